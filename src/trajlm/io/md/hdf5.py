"""mdtraj's HDF5 trajectories, read with h5py.

mdtraj's own reader goes through PyTables, which unpickles attributes: a stranger's file could run
code there. Here attributes are text or they are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.io.hdf5 import check_dataset
from trajlm.io.sources import PathLike
from trajlm.util.arrays import I64

# Lengths in nm, times in ps.
LENGTHS = {"nanometers": 1.0, "nanometer": 1.0, "nm": 1.0, "angstroms": 0.1, "angstrom": 0.1}
TIMES = {
    "femtoseconds": 1e-3, "picoseconds": 1.0, "ps": 1.0, "nanoseconds": 1e3, "microseconds": 1e6,
}  # fmt: skip

Topology = Any  # mdtraj and h5py are untyped
Trajectory = Any
Dataset = Any
Frames = tuple[npt.NDArray[Any], npt.NDArray[Any] | None]


class HDF5Trajectory:
    """An open HDF5 trajectory that is read like mdtraj's files; a context.

    Parameters
    ----------
    path
        The file.
    """

    distance_unit = "nanometers"

    def __init__(self, path: PathLike) -> None:
        import h5py

        self.path = path
        self._file = h5py.File(path, "r")
        try:
            self._xyz = self._dataset("coordinates", 3)
            self._times = self._dataset("time", 1, required=False)
        except BaseException:
            self._file.close()
            raise
        self._topology: Topology = None
        self._frame = 0

    def __enter__(self) -> HDF5Trajectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._xyz)

    def seek(self, frame: int) -> None:
        """Go to a frame."""
        self._frame = frame

    @property
    def topology(self) -> Topology:
        """The atoms and bonds that the file holds."""
        if self._topology is None:
            raw = np.asarray(self._dataset("topology", 1)[()]).ravel()[0]
            text = raw.decode() if isinstance(raw, bytes) else str(raw)
            self._topology = _topology(json.loads(text))
        return self._topology

    def read(self, n_frames: int, atom_indices: I64 | None = None) -> Frames:
        """Return coordinates in nm, shape (n, atoms, 3), and times in ps of the next frames.

        The times are None where the file has none.
        """
        frames = slice(self._frame, min(self._frame + n_frames, len(self)))
        self._frame = frames.stop
        xyz = np.asarray(self._xyz[frames], np.float32) * _factor(self._xyz, LENGTHS, "nanometers")
        if atom_indices is not None:
            xyz = xyz[:, atom_indices]
        return xyz, self._per_frame(self._times, frames, TIMES, "picoseconds")

    def read_as_traj(self, n_frames: int, atom_indices: I64) -> Trajectory:
        """Return the next frames with the given atoms, and the unit cell if there is one."""
        import mdtraj

        lengths = self._dataset("cell_lengths", 2, required=False)
        angles = self._dataset("cell_angles", 2, required=False)
        frames = slice(self._frame, min(self._frame + n_frames, len(self)))
        xyz, times = self.read(n_frames, atom_indices)
        return mdtraj.Trajectory(
            xyz,
            self.topology.subset(atom_indices),
            times,
            self._per_frame(lengths, frames, LENGTHS, "nanometers"),
            self._per_frame(angles, frames, {"degrees": 1.0}, "degrees"),
        )

    def _per_frame(
        self, dataset: Dataset, frames: slice, units: Mapping[str, float], unit: str
    ) -> npt.NDArray[Any] | None:
        if dataset is None:
            return None
        if len(dataset) != len(self):
            raise ValueError(f"{len(dataset)} values of {dataset.name} for {len(self)} frames")
        return np.asarray(dataset[frames]) * _factor(dataset, units, unit)

    def _dataset(self, name: str, n_dim: int, required: bool = True) -> Dataset:
        """Return a dataset of the file itself, checked before memory is taken."""
        import h5py

        link = self._file.get(name, getlink=True)
        if link is None and not required:
            return None
        dataset = self._file[name] if isinstance(link, h5py.HardLink) else None
        kinds = "SO" if name == "topology" else "f"
        if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in kinds:
            raise ValueError(f"no dataset {name} of a molecular trajectory")
        if dataset.ndim != n_dim or (n_dim > 1 and dataset.shape[-1] != 3):
            raise ValueError(f"{name} has shape {dataset.shape}")
        check_dataset(dataset, self.path)
        return dataset


def _factor(dataset: Dataset, units: Mapping[str, float], default: str) -> np.float32:
    """Return by what the values of a dataset are multiplied."""
    unit = dataset.attrs.get("units", default)
    name = unit.decode() if isinstance(unit, bytes) else str(unit)
    if name not in units:
        raise ValueError(f"{dataset.name} is in {name[:40]!r}, not in {', '.join(units)}")
    return np.float32(units[name])


def _topology(described: Mapping[str, Any]) -> Topology:
    """Return mdtraj's topology from its JSON."""
    import mdtraj
    from mdtraj.core import element as elements

    topology = mdtraj.Topology()
    index = itemgetter("index")
    for chain_of in sorted(described["chains"], key=index):
        chain = topology.add_chain()
        chain.chain_id = chain_of.get("chain_id")
        for residue_of in sorted(chain_of["residues"], key=index):
            residue = topology.add_residue(
                str(residue_of["name"]),
                chain,
                resSeq=residue_of.get("resSeq"),
                segment_id=residue_of.get("segmentID", ""),
            )
            for atom in sorted(residue_of["atoms"], key=index):
                try:
                    element = elements.get_by_symbol(atom["element"])
                except KeyError:
                    element = elements.virtual
                topology.add_atom(str(atom["name"]), element, residue)
    atoms = list(topology.atoms)
    for one, other in described["bonds"]:
        topology.add_bond(atoms[one], atoms[other])
    return topology
