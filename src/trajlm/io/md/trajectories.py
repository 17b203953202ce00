"""Molecular trajectories through mdtraj, read in chunks so that memory does not grow."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError, MissingDependencyError
from trajlm.io.arrays import damaged_as_input_error
from trajlm.io.clock import Timeline, Times, follow
from trajlm.io.md.hdf5 import HDF5Trajectory
from trajlm.io.md.headers import check_frames, other_atoms
from trajlm.io.sources import PathLike, check_file
from trajlm.util.arrays import F64, I64

HDF5 = (".h5", ".hdf5")
NETCDF = (".nc", ".netcdf", ".ncdf")
TIMED = (".xtc", ".trr", *NETCDF, *HDF5)
# A DCD header has a step, but programs write it in different units or not at all.
UNTIMED = (".dcd",)
WRITTEN = (".xtc", ".trr", ".dcd")
# What else holds atoms' names. Files that mdtraj would read through PyTables, which can run code,
# are not among them.
TOPOLOGIES = (
    *(".pdb", ".pdbx", ".cif", ".mmcif", ".pdb.gz", ".pdbx.gz", ".cif.gz", ".mmcif.gz", ".gro"),
    *(".prmtop", ".parm7", ".prm7", ".psf", ".mol2", ".arc", ".hoomdxml", ".gsd"),
)
# They say what to simulate; a topology for mdtraj is a structure or one of AMBER's or CHARMM's.
GROMACS_INPUTS = (".tpr", ".top", ".itp")
# Files that are held open at once.
OPEN_FILES = 64
# Atoms by which a frame that repeats the one before is known.
FEW_ATOMS = 20
# Coordinates that are held at once.
CHUNK_BYTES = 32_000_000
# Two threads that turn standard output away at once could leave it so.
ONE_AT_A_TIME = threading.Lock()

Topology = Any  # mdtraj is untyped
Trajectory = Any


def require_mdtraj() -> None:
    """Refuse politely where mdtraj is not installed.

    Raises
    ------
    MissingDependencyError
        mdtraj is not there.
    """
    if importlib.util.find_spec("mdtraj") is None:
        raise MissingDependencyError(
            'reading molecular trajectories needs mdtraj: pip install "trajlm[md]"'
        )


def check_format(path: PathLike) -> str:
    """Return the suffix of a trajectory that can be read, in lower case.

    Raises
    ------
    InputError
        The file is missing or of another format.
    MissingDependencyError
        The format needs a package that is not installed.
    """
    require_mdtraj()
    suffix = check_file(path).suffix.lower()
    if suffix not in TIMED + UNTIMED:
        raise InputError(
            f"{path} ends in {suffix or 'no suffix'}: trajectories in xtc, trr, nc, h5 and dcd are "
            "read, convert it to one of them (mdconvert of mdtraj does)"
        )
    if suffix in HDF5:
        require_h5py(path)
    return suffix


def require_h5py(path: PathLike) -> None:
    """Refuse politely where h5py is not installed.

    Raises
    ------
    MissingDependencyError
        h5py is not there.
    """
    if importlib.util.find_spec("h5py") is None:
        raise MissingDependencyError(
            f'{path}: HDF5 trajectories need h5py: pip install "trajlm[md]"'
        )


def load_topology(top: PathLike | None, trajectory: PathLike) -> Topology:
    """Return mdtraj's topology from `top`, or from an HDF5 trajectory that holds its own.

    Raises
    ------
    InputError
        No topology, or a file that mdtraj does not read as one.
    """
    require_mdtraj()

    if top is None:
        if check_format(trajectory) not in HDF5:
            raise InputError(
                f"{trajectory} holds no atom names: give the topology, such as a PDB, GRO "
                "or PRMTOP file of the same atoms"
            )
        top = trajectory
    suffix = check_file(top).suffix.lower()
    if suffix in GROMACS_INPUTS:
        raise InputError(
            f"{top} is an input of GROMACS that mdtraj does not read: give conf.gro or a PDB "
            "file of the same atoms (gmx editconf -f topol.tpr -o conf.gro makes one)"
        )
    try:
        topology = _read_topology(top, suffix)
    except MissingDependencyError:
        raise
    except Exception as error:  # its parsers raise whatever a foreign file makes them stumble over
        # The first sentence: the second lists formats that may not hold a topology.
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0][:120]
        raise InputError(
            f"{top} cannot be read as a topology ({reason}): give a PDB, GRO, PRMTOP, PSF or HDF5 "
            "file of the same atoms"
        ) from error
    if topology is None or topology.n_atoms == 0:
        raise InputError(f"{top} holds no atoms: give the topology of the trajectory")
    return topology


def _read_topology(top: PathLike, suffix: str) -> Topology:
    import mdtraj

    if suffix in HDF5:
        require_h5py(top)
        with HDF5Trajectory(top) as file:
            return file.topology
    if not str(top).lower().endswith(TOPOLOGIES):
        raise ValueError(f"the {suffix or 'nameless'} format is not supported")
    return mdtraj.load_topology(str(top))


def load_structure(path: PathLike, topology: Topology, atoms: I64) -> Trajectory:
    """Return the given atoms of the first frame of a structure that `load_topology` read.

    Raises
    ------
    InputError
        It holds no coordinates.
    """
    import mdtraj

    try:
        if Path(path).suffix.lower() not in HDF5:
            return mdtraj.load_frame(str(path), 0).atom_slice(atoms)
        with HDF5Trajectory(path) as file:
            return mdtraj.Trajectory(file.read(1, atoms)[0], topology.subset(atoms))
    except Exception as error:  # topology files without coordinates end anywhere in mdtraj
        raise InputError(f"{path} holds no coordinates: give a structure (PDB, GRO, H5)") from error


def _open(path: PathLike) -> Any:
    """Open a trajectory to read."""
    import mdtraj

    if Path(path).suffix.lower() in HDF5:
        return HDF5Trajectory(path)
    if Path(path).suffix.lower() in UNTIMED:
        with _quiet_c_code():
            return mdtraj.open(str(path))
    return mdtraj.open(str(path))


@contextmanager
def _quiet_c_code() -> Iterator[None]:
    """Keep standard output clean of what the C reader of DCD says of each file it opens.

    It prints past Python to the file descriptor, into a buffer that must be emptied before the
    descriptor is what it was. Where any of this cannot be done, its words are let through.
    """
    with ONE_AT_A_TIME:
        try:
            flush = ctypes.CDLL(None).fflush
            sys.stdout.flush()
            flush(None)
            kept = os.dup(1)
            nowhere = os.open(os.devnull, os.O_WRONLY)
        except (OSError, TypeError, AttributeError, ValueError):
            yield
            return
        try:
            os.dup2(nowhere, 1)
            yield
        finally:
            flush(None)
            os.dup2(kept, 1)
            os.close(kept)
            os.close(nowhere)


def read_chunks(path: PathLike, topology: Topology, atoms: I64) -> Iterator[Trajectory]:
    """Yield the frames of a trajectory in chunks, with the given atoms only.

    Raises
    ------
    InputError
        A damaged file, or one of another number of atoms than the topology.
    """
    suffix = check_format(path)
    _check_atoms(path, topology)
    n_frames = max(1, CHUNK_BYTES // (12 * topology.n_atoms))
    with damaged_as_input_error(path), _open(path) as file:
        arguments = () if suffix in HDF5 else (topology,)
        while True:
            chunk = file.read_as_traj(*arguments, n_frames=n_frames, atom_indices=atoms)
            if len(chunk) == 0:
                return
            yield chunk


class FrameReader:
    """Frames of several trajectories by number; a context that keeps their files open.

    Parameters
    ----------
    paths
        Trajectories of the same atoms.
    topology
        Of all their atoms.
    atoms
        Numbers of the atoms to read.
    """

    def __init__(self, paths: Sequence[PathLike], topology: Topology, atoms: I64) -> None:
        for path in paths:
            check_format(path)
            _check_atoms(path, topology)
        self.paths, self.atoms = list(paths), atoms
        self._files: OrderedDict[int, Any] = OrderedDict()
        # Made once: mdtraj's own reading makes it anew for each frame, which takes far longer.
        self._read_topology = topology.subset(atoms)

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        while self._files:
            self._files.popitem()[1].close()

    def n_frames(self, trajectory: int) -> int:
        """Return the number of frames of one trajectory."""
        with damaged_as_input_error(self.paths[trajectory]):
            return len(self._open(trajectory))

    def read(self, trajectories: I64, frames: I64) -> Trajectory:
        """Return the frames (trajectory, number in it), in the order asked for.

        Raises
        ------
        InputError
            A damaged file, or a frame beyond its end.
        """
        import mdtraj

        wanted, place = np.unique(
            np.column_stack([trajectories, frames]), axis=0, return_inverse=True
        )
        xyz = np.concatenate([self._read_one(int(i), int(frame)) for i, frame in wanted])
        return mdtraj.Trajectory(xyz[place.ravel()], self._read_topology)

    def _read_one(self, trajectory: int, frame: int) -> npt.NDArray[Any]:
        path = self.paths[trajectory]
        with damaged_as_input_error(path):
            file = self._open(trajectory)
            file.seek(frame)
            xyz = np.asarray(file.read(n_frames=1, atom_indices=self.atoms)[0])
            if len(xyz) != 1:
                raise InputError(f"{path} has no frame {frame}")
            return xyz / 10 if file.distance_unit == "angstroms" else xyz

    def _open(self, trajectory: int) -> Any:
        if trajectory not in self._files:
            if len(self._files) == OPEN_FILES:
                self._files.popitem(last=False)[1].close()
            self._files[trajectory] = _open(self.paths[trajectory])
        self._files.move_to_end(trajectory)
        return self._files[trajectory]


class FrameWriter:
    """Write an xtc, trr or dcd file chunk by chunk; a context."""

    def __init__(self, path: Path) -> None:
        import mdtraj

        self.suffix = path.suffix.lower()
        self._file = mdtraj.open(str(path), "w")

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, xyz: npt.NDArray[Any], first: int, frame_ps: float) -> None:
        """Append coordinates in nm, shape (n, atoms, 3), as the frames from number `first` on."""
        if self.suffix == ".dcd":
            self._file.write(10 * xyz)
            return
        steps = np.arange(first, first + len(xyz))
        self._file.write(
            xyz.astype(np.float32),
            time=(steps * frame_ps).astype(np.float32),
            step=steps.astype(np.int32),
        )


def time_line(path: PathLike, times: F64, same_frame: Callable[[int], bool]) -> Timeline | None:
    """Return the even stretches of a trajectory, in ps; None when the file does not say its times.

    Files hold times in single precision: late in a long run their steps scatter by a good part of
    a step, and only their mean is right. `same_frame` says whether a frame repeats the one before.

    Raises
    ------
    InputError
        A time that goes back or stands still, with the frame.
    """
    if len(times) < 2 or not np.diff(times).any() or not _has_time(path):
        return None
    remedy = "as where runs were joined: give each run its own file"
    return follow(
        Times(
            times,
            path,
            lambda row: f"frame {row}",
            unit="ps",
            same_row=same_frame,
            remedy=remedy,
        )
    )


def stretches_of(path: PathLike, topology: Topology) -> list[I64]:
    """Return the frames of each stretch without a gap, as features of the file were cut."""
    few = np.arange(min(FEW_ATOMS, topology.n_atoms))
    chunks = [(c.xyz, np.asarray(c.time, np.float64)) for c in read_chunks(path, topology, few)]
    xyz, times = (np.concatenate(part) for part in zip(*chunks, strict=True))
    line = time_line(path, times, lambda k: bool((xyz[k] == xyz[k - 1]).all()))
    return [np.arange(len(times))] if line is None else list(line.pieces)


def _check_atoms(path: PathLike, topology: Topology) -> None:
    check_frames(path, topology.n_atoms)
    with damaged_as_input_error(path), _open(path) as file:
        first = file.read(n_frames=1)[0]
    if len(first) == 0:
        raise InputError(f"{path} holds no frame")
    if first.shape[1] != topology.n_atoms:
        raise other_atoms(path, first.shape[1], topology.n_atoms)


def _has_time(path: PathLike) -> bool:
    """Whether the file itself says the times: mdtraj counts frames where it does not."""
    suffix = Path(path).suffix.lower()
    if suffix in UNTIMED:
        return False
    if suffix in HDF5 + NETCDF:
        with _open(path) as file:
            return file.read(n_frames=1)[1] is not None
    return True
