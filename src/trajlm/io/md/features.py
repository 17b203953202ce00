"""Features of molecular trajectories: dihedral angles, distances and RMSD."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.io.clock import Timeline
from trajlm.io.md.superpose import rmsd as superposed_rmsd
from trajlm.io.md.trajectories import (
    Topology,
    Trajectory,
    check_format,
    load_structure,
    load_topology,
    read_chunks,
    require_mdtraj,
    time_line,
)
from trajlm.io.record import warn_of
from trajlm.io.sources import PathLike, Paths, as_paths, build, listed, read_all, time_of
from trajlm.provenance import Note
from trajlm.util.arrays import I64

Atoms = I64
Period = tuple[float, float] | None

DIHEDRALS = ("phi", "psi", "omega", "chi1", "chi2", "chi3", "chi4")
ATOM_NUMBERS = re.compile(r"\d+(-\d+){3}", re.ASCII)
CIRCLE = (-np.pi, np.pi)
HEAVY_ATOMS = "element != H"
# In nm; bonds of sulfur are the longest along a chain, of 0.2 nm.
LONGEST_BOND = 0.3
# More pairs than this are a slip of the selection rather than a wish.
LARGEST_N_PAIRS = 5000


@dataclass(frozen=True)
class _Measure:
    """Columns that are computed together from a chunk of frames.

    `atoms` are those it needs; `compute` takes a chunk and its own atoms' places in the chunk.
    """

    names: tuple[str, ...]
    period: Period
    atoms: Atoms
    compute: Callable[[Trajectory, Atoms], npt.NDArray[Any]]


def read_md(
    path: Paths,
    top: PathLike | None = None,
    dihedrals: Sequence[str] = (),
    distances: Sequence[str] = (),
    rmsd: PathLike | None = None,
    rmsd_atoms: str = HEAVY_ATOMS,
    dt: float | None = None,
    unit: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Features:
    """Compute features of molecular trajectories (xtc, trr, nc, h5, dcd), one file a trajectory.

    Files are read in chunks through mdtraj, so memory does not grow with their length. Dihedral
    angles and distances take the nearest image where the file has a unit cell; the RMSD does
    not, so molecules must be whole.

    Parameters
    ----------
    path
        A file, or a list of files of the same atoms and dt.
    top
        File with the atoms' names (PDB, GRO, PRMTOP, PSF ...); HDF5 trajectories hold their own.
    dihedrals
        Names among phi, psi, omega and chi1 to chi4, of every residue that has them, or four
        atom numbers from 0 such as ``4-6-8-10``. In radians in [-pi, pi), with that period.
    distances
        Selections in mdtraj's language: ``"name CA"`` for all pairs of the selected atoms,
        ``"SELECTION, SELECTION"`` for the pairs between two. In nm.
    rmsd
        A structure; its first frame is the reference after optimal superposition. In nm.
    rmsd_atoms
        Selection of the atoms that are superposed and compared, in both files.
    dt, unit
        Time between two frames and its unit (ps), instead of what the file says; dt is needed
        for DCD, whose files do not say it reliably.
    progress
        Called with the number of frames newly read.

    Returns
    -------
    Features
        Columns ``phi`` or, where several residues have one, ``phi_ALA2``; ``d_ALA2-CA_ALA5-CA``;
        ``rmsd``.

    Raises
    ------
    InputError
        A selection that finds nothing, another number of atoms than the topology, frames not
        evenly spaced or going back in time (which frame), a file without times and no `dt`.
    MissingDependencyError
        mdtraj is not installed.

    References
    ----------
    McGibbon et al., Biophys. J. 109:1528 (2015).
    """
    require_mdtraj()
    files = as_paths(path)
    for file in files:
        check_format(file)
    topology = load_topology(top, files[0])
    measures, notes = _dihedral_measures(topology, dihedrals, files[0])
    if distances:
        measures.append(_distance_measure(topology, distances))
    if rmsd is not None:
        measures.append(_rmsd_measure(topology, rmsd, rmsd_atoms))
    if not measures:
        raise InputError("nothing to compute was asked for: give dihedrals, distances or an RMSD")
    names = [name for m in measures for name in m.names]
    if len(set(names)) < len(names):
        raise InputError(f"a feature was asked for twice among {listed(names)}")
    warn_of(notes)
    found = read_all(files, lambda one: _read_one(one, topology, measures, dt, unit, progress))
    return replace(found, notes=(*notes, *found.notes))


def _read_one(
    path: PathLike,
    topology: Topology,
    measures: Sequence[_Measure],
    dt: float | None,
    unit: str | None,
    progress: Callable[[int], None] | None,
) -> Features:
    atoms = np.unique(np.concatenate([m.atoms for m in measures]))
    places = [np.searchsorted(atoms, m.atoms) for m in measures]
    values, times = [], []
    for chunk in read_chunks(path, topology, atoms):
        columns = [m.compute(chunk, p) for m, p in zip(measures, places, strict=True)]
        values.append(np.concatenate(columns, axis=1).astype(np.float64))
        times.append(np.asarray(chunk.time, dtype=np.float64))
        if progress:
            progress(len(chunk))
    table = np.concatenate(values)
    every = np.concatenate(times)
    line = time_line(path, every, lambda k: bool((table[k] == table[k - 1]).all()))
    line = line or Timeline(None, (np.arange(len(every)),))
    if line.dt is None and dt is None:
        if line.uneven:
            raise InputError(f"{line.uneven}; give dt, and the times are left out")
        raise InputError(
            f"{path} does not say the time between its frames: give dt in ps, the step of "
            "the simulation times the steps between two frames"
        )
    notes = line.notes
    if line.uneven:
        notes += (Note(f"{line.uneven}, so dt is not taken from it", "uneven time"),)
    warn_of(notes)
    for k, measure in enumerate(measures):
        if measure.period:
            first = sum(len(m.names) for m in measures[:k])
            angles = table[:, first : first + len(measure.names)]
            # In single precision pi is above pi, and atan2 gives both ends of the circle.
            angles[np.abs(angles) >= np.pi] = -np.pi
    return build(
        path,
        [table[piece] for piece in line.pieces],
        names=tuple(name for m in measures for name in m.names),
        periods=tuple(m.period for m in measures for _ in m.names),
        notes=notes,
        column_units=tuple("rad" if m.period else "nm" for m in measures for _ in m.names),
        **time_of(dt, unit, line.dt, "ps"),
    )


def select_atoms(topology: Topology, selection: str) -> Atoms:
    """Return the atoms that a selection in mdtraj's language finds.

    Raises
    ------
    InputError
        The selection cannot be understood or finds no atom.
    """
    try:
        atoms = np.asarray(topology.select(selection.strip()), dtype=np.int64)
    except Exception as error:  # its parser raises pyparsing's, and the evaluation anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise InputError(
            f"the selection {selection!r} is not one of mdtraj's ({reason}): such as 'name CA', "
            "'resid 0 to 5 and backbone' or 'index 4'"
        ) from None
    if len(atoms) == 0:
        residues = listed(dict.fromkeys(str(r) for r in topology.residues))
        raise InputError(f"the selection {selection!r} finds no atom; residues are {residues}")
    return atoms


def _dihedral_measures(
    topology: Topology, wanted: Sequence[str], path: PathLike
) -> tuple[list[_Measure], tuple[Note, ...]]:
    """Return the measures, and notes on residues left out where the chain is broken."""
    measures, notes = [], []
    for name in (w.strip() for w in wanted):
        if ATOM_NUMBERS.fullmatch(name):
            quadruples = np.array([[int(k) for k in name.split("-")]])
            names: tuple[str, ...] = (f"dihedral_{name}",)
            if quadruples.max() >= topology.n_atoms:
                raise InputError(
                    f"the dihedral {name} has no atom {quadruples.max()}: there are "
                    f"{topology.n_atoms}, counted from 0"
                )
        else:
            every = _named_dihedrals(topology, name)
            quadruples = every[_are_bonded(every, topology, path)]
            # The second atom lies in the residue that the angle is named after.
            residues = [topology.atom(int(q[1])).residue for q in quadruples]
            if len(quadruples) < len(every):
                kept = {tuple(q) for q in quadruples.tolist()}
                lost = [topology.atom(q[1]).residue for q in every.tolist() if tuple(q) not in kept]
                text = (
                    f"{path}: {name} of {listed(map(str, lost))} was left out, since its atoms are "
                    "not bonded to each other: residues are missing there"
                )
                notes.append(Note(text, "columns"))
            if not residues:
                raise InputError(f"{path}: no residue has the dihedral {name} with bonded atoms")
            names = (name,) if len(residues) == 1 else _residue_names(topology, name, residues)
        measures.append(_Measure(names, CIRCLE, quadruples.ravel(), _compute_dihedrals))
    return measures, tuple(notes)


def _are_bonded(quadruples: Atoms, topology: Topology, path: PathLike) -> npt.NDArray[np.bool_]:
    """Return which dihedrals have atoms at the distance of a bond, in the first frame.

    The topology says only which residue follows which, not that some between are missing.
    """
    import mdtraj

    atoms = np.unique(quadruples)
    first = next(read_chunks(path, topology, atoms))[0]
    places = np.searchsorted(atoms, quadruples)
    pairs = np.stack([places[:, :3], places[:, 1:]], axis=2).reshape(-1, 2)
    lengths = np.asarray(mdtraj.compute_distances(first, pairs)).reshape(-1, 3)
    return np.asarray((lengths < LONGEST_BOND).all(axis=1))


def _named_dihedrals(topology: Topology, name: str) -> Atoms:
    import mdtraj

    if name not in DIHEDRALS:
        raise InputError(
            f"there is no dihedral {name!r}: give some of {', '.join(DIHEDRALS)}, or four atom "
            "numbers from 0 such as 4-6-8-10"
        )
    quadruples = getattr(mdtraj.geometry, f"indices_{name}")(topology)
    if len(quadruples) == 0:
        raise InputError(f"no residue of the topology has the dihedral {name}")
    return np.asarray(quadruples, dtype=np.int64)


def _residue_names(topology: Topology, name: str, residues: Sequence[Any]) -> tuple[str, ...]:
    several = len({r.chain.index for r in residues}) > 1
    return tuple(f"{name}_{r}" + (f"_chain{r.chain.index}" if several else "") for r in residues)


def _compute_dihedrals(chunk: Trajectory, places: Atoms) -> npt.NDArray[Any]:
    import mdtraj

    return np.asarray(mdtraj.compute_dihedrals(chunk, places.reshape(-1, 4)))


def _distance_measure(topology: Topology, wanted: Sequence[str]) -> _Measure:
    pairs: list[tuple[int, int]] = []
    for text in wanted:
        parts = [select_atoms(topology, part) for part in text.split(",")]
        if len(parts) == 1:
            found = list(combinations(parts[0].tolist(), 2))
        elif len(parts) == 2:
            found = [(a, b) for a, b in product(*(p.tolist() for p in parts)) if a != b]
        else:
            raise InputError(
                f"the distances {text!r} name {len(parts)} selections: give one or two"
            )
        if not found:
            raise InputError(f"the distances {text!r} select one atom only: two are needed")
        pairs += found
        if len(pairs) > LARGEST_N_PAIRS:
            raise InputError(
                f"the distances {text!r} are {len(pairs):,} pairs of atoms, more than "
                f"{LARGEST_N_PAIRS:,}: select fewer atoms"
            )
    names = tuple(f"d_{topology.atom(a)}_{topology.atom(b)}" for a, b in pairs)
    if len(set(names)) < len(names):
        # Chains may repeat names of residues: atom numbers tell the atoms apart.
        names = tuple(f"d_{a}_{b}" for a, b in pairs)
    return _Measure(names, None, np.array(pairs, dtype=np.int64).ravel(), _compute_distances)


def _compute_distances(chunk: Trajectory, places: Atoms) -> npt.NDArray[Any]:
    import mdtraj

    return np.asarray(mdtraj.compute_distances(chunk, places.reshape(-1, 2)))


def _rmsd_measure(topology: Topology, reference: PathLike, selection: str) -> _Measure:

    structure_topology = load_topology(reference, reference)
    atoms = select_atoms(topology, selection)
    own = select_atoms(structure_topology, selection)
    if len(atoms) != len(own):
        raise InputError(
            f"the selection {selection!r} finds {len(own)} atoms in {reference} but {len(atoms)} "
            "in the topology: give a reference of the same atoms or another selection"
        )
    if len(atoms) < 3:
        raise InputError(f"the selection {selection!r} finds {len(atoms)} atoms: 3 are needed")
    structure = load_structure(reference, structure_topology, own)

    def compute(chunk: Trajectory, places: Atoms) -> npt.NDArray[Any]:
        return np.asarray(superposed_rmsd(chunk.xyz[:, places], structure.xyz[0]))[:, None]

    return _Measure(("rmsd",), None, atoms, compute)
