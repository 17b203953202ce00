"""One walker of alanine dipeptide, run as a process by `trajlm.systems.alanine`.

``python -m trajlm.systems.alanine_walker N_FRAMES TEMPERATURE SEED [KEEP]`` writes the angles phi
and psi of each frame to standard output as pairs of float64. With a file KEEP, the walk is saved
in it after each leg, and one that was stopped is taken up there.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

from trajlm.systems.alanine import FRAME_PS, dihedral
from trajlm.util.arrays import F64
from trajlm.util.atomic import atomic_path

STEP_PS = 0.002
FRICTION_PER_PS = 1.0
EQUILIBRATION_PS = 20.0
STEPS_PER_FRAME = round(FRAME_PS / STEP_PS)
FRAMES_PER_CHUNK = 1000
# Frames of a leg: random numbers begin anew with each, so that a walk can go on from its border.
LEG_FRAMES = 10_000
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Border:
    """Where a walk stands after a whole number of legs.

    Parameters
    ----------
    angles
        Of all frames so far, shape (n, 2).
    positions, velocities
        Of the atoms, in nm and nm/ps, shape (22, 3).
    """

    angles: F64
    positions: F64
    velocities: F64


def load_structure() -> app.PDBFile:
    """Load the minimised ACE-ALA-NME structure (C7eq, 22 atoms) with its topology."""
    with resources.files("trajlm.systems").joinpath("alanine_dipeptide.pdb").open() as file:
        return app.PDBFile(file)


def backbone_atoms(topology: app.Topology) -> list[int]:
    """Return the atom numbers of C(ACE), N, CA, C(ALA) and N(NME): phi and psi in one chain."""
    chain = [("ACE", "C"), ("ALA", "N"), ("ALA", "CA"), ("ALA", "C"), ("NME", "N")]
    number = {(atom.residue.name, atom.name): atom.index for atom in topology.atoms()}
    return [number[atom] for atom in chain]


def walk(n_frames: int, temperature: float, seed: int, keep: Path | None = None) -> Iterator[F64]:
    """Simulate one walker and yield (phi, psi) in radians, in arrays of shape (n, 2).

    With `keep`, the walk is saved there at the end of each leg and taken up from there; it is
    bit-identical to one that was never stopped.
    """
    structure = load_structure()
    atoms = backbone_atoms(structure.topology)
    border = read_border(keep, temperature, seed) if keep else None
    if border is None:
        border = _equilibrated(structure, temperature, seed)
    yield border.angles[:n_frames]
    for first in range(len(border.angles), n_frames, LEG_FRAMES):
        context = _make_context(structure, temperature, leg_seed(seed, 1 + first // LEG_FRAMES))
        context.setPositions(border.positions)
        context.setVelocities(border.velocities)
        pieces = [border.angles]
        for start in range(first, min(first + LEG_FRAMES, n_frames), FRAMES_PER_CHUNK):
            n = min(FRAMES_PER_CHUNK, n_frames - start)
            pieces.append(_advance(context, atoms, n, temperature))
            yield pieces[-1]
        border = _border(context, np.concatenate(pieces))
        if keep and len(border.angles) % LEG_FRAMES == 0:
            write_border(keep, border, temperature, seed)


def leg_seed(seed: int, leg: int) -> int:
    """Return OpenMM's seed for a leg: a positive signed 32-bit integer."""
    return int(1 + np.random.SeedSequence((seed, leg)).generate_state(1)[0] % (LARGEST_SEED - 1))


def write_border(path: Path, border: Border, temperature: float, seed: int) -> None:
    """Save a walk."""
    with atomic_path(path) as temporary:
        np.savez(temporary, made_with=np.array([temperature, seed]), **vars(border))


def read_border(path: Path, temperature: float, seed: int) -> Border | None:
    """Return a saved walk; None where there is none of this temperature and seed, whole."""
    with suppress(OSError, ValueError, KeyError, EOFError), np.load(path) as file:
        if file["made_with"].tolist() == [temperature, seed]:
            return Border(file["angles"], file["positions"], file["velocities"])
    return None


def _equilibrated(structure: app.PDBFile, temperature: float, seed: int) -> Border:
    context = _make_context(structure, temperature, leg_seed(seed, 0))
    context.setPositions(structure.positions)
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(temperature, leg_seed(seed, 0))
    context.getIntegrator().step(round(EQUILIBRATION_PS / STEP_PS))
    return _border(context, np.empty((0, 2)))


def _advance(context: openmm.Context, atoms: list[int], n_frames: int, temperature: float) -> F64:
    positions = np.empty((n_frames, len(atoms), 3))
    for frame in positions:
        context.getIntegrator().step(STEPS_PER_FRAME)
        state = context.getState(positions=True)
        frame[:] = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)[atoms]
    if not np.isfinite(positions).all():
        raise FloatingPointError(f"the molecule flew apart at {temperature} K")
    a, b, c, d, e = positions.swapaxes(0, 1)
    return np.stack([dihedral(a, b, c, d), dihedral(b, c, d, e)], axis=1)


def _border(context: openmm.Context, angles: F64) -> Border:
    state = context.getState(positions=True, velocities=True)
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    velocities = state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond)
    return Border(angles, np.asarray(positions), np.asarray(velocities))


def _make_context(structure: app.PDBFile, temperature: float, seed: int) -> openmm.Context:
    system = app.ForceField("amber96.xml").createSystem(
        structure.topology,
        nonbondedMethod=app.NoCutoff,
        constraints=app.HBonds,
        # Langevin noise needs no removal of drift, and angles do not see it.
        removeCMMotion=False,
    )
    integrator = openmm.LangevinMiddleIntegrator(temperature, FRICTION_PER_PS, STEP_PS)
    integrator.setRandomNumberSeed(seed)
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))


def main() -> None:
    """Walk as the command line says and write the angles to standard output."""
    # Ctrl-C goes to the whole process group: the parent decides and ends its walkers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    n_frames, temperature, seed = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    keep = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    for angles in walk(n_frames, temperature, seed, keep):
        sys.stdout.buffer.write(angles.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
