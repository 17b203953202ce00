"""One walker of alanine dipeptide, run as a process by `trajlm.systems.alanine`.

``python -m trajlm.systems.alanine_walker N_FRAMES TEMPERATURE SEED`` writes the angles phi and
psi of each frame to standard output as pairs of float64.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from importlib import resources

import numpy as np
import numpy.typing as npt
import openmm
from openmm import app, unit

from trajlm.systems.alanine import FRAME_PS, dihedral

FloatArray = npt.NDArray[np.float64]

STEP_PS = 0.002
FRICTION_PER_PS = 1.0
EQUILIBRATION_PS = 20.0
STEPS_PER_FRAME = round(FRAME_PS / STEP_PS)
FRAMES_PER_CHUNK = 1000


def load_structure() -> app.PDBFile:
    """Load the minimised ACE-ALA-NME structure (C7eq, 22 atoms) with its topology."""
    with resources.files("trajlm.systems").joinpath("alanine_dipeptide.pdb").open() as file:
        return app.PDBFile(file)


def backbone_atoms(topology: app.Topology) -> list[int]:
    """Return the atom numbers of C(ACE), N, CA, C(ALA) and N(NME): phi and psi in one chain."""
    chain = [("ACE", "C"), ("ALA", "N"), ("ALA", "CA"), ("ALA", "C"), ("NME", "N")]
    number = {(atom.residue.name, atom.name): atom.index for atom in topology.atoms()}
    return [number[atom] for atom in chain]


def walk(n_frames: int, temperature: float, seed: int) -> Iterator[FloatArray]:
    """Simulate one walker and yield (phi, psi) in radians, in arrays of shape (n, 2)."""
    structure = load_structure()
    context = _make_context(structure, temperature, seed)
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(temperature, seed)
    integrator = context.getIntegrator()
    integrator.step(round(EQUILIBRATION_PS / STEP_PS))
    atoms = backbone_atoms(structure.topology)
    for start in range(0, n_frames, FRAMES_PER_CHUNK):
        positions = np.empty((min(FRAMES_PER_CHUNK, n_frames - start), len(atoms), 3))
        for frame in positions:
            integrator.step(STEPS_PER_FRAME)
            state = context.getState(positions=True)
            frame[:] = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)[atoms]
        if not np.isfinite(positions).all():
            raise FloatingPointError(f"the molecule flew apart at {temperature} K")
        a, b, c, d, e = positions.swapaxes(0, 1)
        yield np.stack([dihedral(a, b, c, d), dihedral(b, c, d, e)], axis=1)


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
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(structure.positions)
    return context


def main() -> None:
    """Walk as the command line says and write the angles to standard output."""
    # Ctrl-C goes to the whole process group: the parent decides and ends its walkers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    n_frames, temperature, seed = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    for angles in walk(n_frames, temperature, seed):
        sys.stdout.buffer.write(angles.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
