"""Alanine dipeptide: angles against mdtraj, the structure, and the walkers as processes."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajlm import systems
from trajlm.errors import InputError, MissingDependencyError, TrajlmError
from trajlm.systems import alanine
from trajlm.systems.alanine import dihedral, simulate_alanine

needs_openmm = pytest.mark.skipif(
    importlib.util.find_spec("openmm") is None, reason="OpenMM is not installed"
)


@given(st.floats(-3.14, 3.14), st.floats(0.2, 2.9), st.floats(0.5, 2), st.floats(0.5, 2))
def test_dihedral_is_the_angle_the_last_atom_was_turned_by(angle, bend, bond, axis):
    # Looking along b-c (the z axis), clockwise is from x towards y.
    a, b = np.array([bond, 0.0, -0.3]), np.zeros(3)
    c = np.array([0.0, 0.0, axis])
    radius = bond * np.sin(bend)
    d = c + np.array([radius * np.cos(angle), radius * np.sin(angle), bond * np.cos(bend)])
    assert dihedral(a, b, c, d) == pytest.approx(angle, abs=1e-9)


def test_dihedral_of_a_trans_chain_is_minus_pi():
    a, b, c, d = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 1], [-1, 0, 1]])
    assert dihedral(a, b, c, d) == -np.pi


def test_dihedrals_equal_those_of_mdtraj():
    md = pytest.importorskip("mdtraj")
    positions = np.random.default_rng(0).normal(size=(500, 4, 3))
    topology = md.Topology()
    residue = topology.add_residue("X", topology.add_chain())
    for k in range(4):
        topology.add_atom(f"C{k}", md.element.carbon, residue)
    expected = md.compute_dihedrals(md.Trajectory(positions, topology), [[0, 1, 2, 3]])[:, 0]
    difference = dihedral(*positions.swapaxes(0, 1)) - expected
    np.testing.assert_allclose(np.sin(difference / 2), 0, atol=1e-5)


@needs_openmm
def test_phi_and_psi_of_the_structure_equal_those_of_mdtraj():
    md = pytest.importorskip("mdtraj")
    from trajlm.systems.alanine_walker import backbone_atoms, load_structure

    with resources.as_file(resources.files("trajlm.systems") / "alanine_dipeptide.pdb") as path:
        other = md.load_pdb(str(path))
    structure = load_structure()
    a, b, c, d, e = structure.getPositions(asNumpy=True)._value[backbone_atoms(structure.topology)]
    assert dihedral(a, b, c, d) == pytest.approx(md.compute_phi(other)[1][0, 0], abs=1e-5)
    assert dihedral(b, c, d, e) == pytest.approx(md.compute_psi(other)[1][0, 0], abs=1e-5)


@needs_openmm
def test_a_walk_that_was_stopped_goes_on_bit_identically(tmp_path, monkeypatch):
    from trajlm.systems import alanine_walker

    monkeypatch.setattr(alanine_walker, "LEG_FRAMES", 40)
    monkeypatch.setattr(alanine_walker, "FRAMES_PER_CHUNK", 20)
    whole = np.concatenate(list(alanine_walker.walk(130, 450.0, 7)))
    keep = tmp_path / "walk.npz"
    for _ in alanine_walker.walk(130, 450.0, 7, keep):
        if keep.exists() and len(np.load(keep)["angles"]) == 80:
            break
    resumed = np.concatenate(list(alanine_walker.walk(130, 450.0, 7, keep)))
    np.testing.assert_array_equal(resumed, whole)
    other = np.concatenate(list(alanine_walker.walk(40, 450.0, 8, keep)))
    assert not np.array_equal(other, whole[:40])  # another seed begins anew


@needs_openmm
def test_a_simulation_takes_up_kept_walkers(tmp_path):
    keep = tmp_path / "simulation"
    first = simulate_alanine(1.0, n_walkers=1, seed=3, keep=keep)
    kept = alanine.kept_files(keep, 1)
    assert kept[0].exists()
    second = simulate_alanine(1.0, n_walkers=1, seed=3, keep=keep)
    np.testing.assert_array_equal(first.trajectories[0], second.trajectories[0])
    alanine.remove_kept(keep, 1)
    assert not kept[0].exists()


@needs_openmm
def test_the_structure_is_l_alanine_with_its_caps():
    from trajlm.systems.alanine_walker import load_structure

    structure = load_structure()
    assert structure.topology.getNumAtoms() == 22
    assert [r.name for r in structure.topology.residues()] == ["ACE", "ALA", "NME"]
    positions = structure.getPositions(asNumpy=True)._value
    ala = {a.name: positions[a.index] for a in structure.topology.atoms() if a.residue.index == 1}
    n, c, cb = (ala[k] - ala["CA"] for k in ("N", "C", "CB"))
    assert np.dot(np.cross(n, c), cb) > 0


@needs_openmm
def test_walkers_give_frames_within_their_periods_and_progress_counts_them():
    done = []
    features = simulate_alanine(0.0501, n_walkers=2, seed=1, progress=done.append)
    assert [len(x) for x in features.trajectories] == [251, 250]
    assert sum(done) == 501
    assert (features.names, features.dt, features.unit) == (("phi", "psi"), 0.1, "ps")
    assert features.periods == ((-np.pi, np.pi),) * 2
    angles = np.concatenate(features.trajectories)
    assert angles.min() >= -np.pi
    assert angles.max() < np.pi
    assert (angles.std(axis=0) > 0.2).all()


@needs_openmm
def test_same_seed_same_result_whatever_runs_beside():
    a = simulate_alanine(0.02, n_walkers=2, seed=5).trajectories
    b = simulate_alanine(0.02, n_walkers=2, seed=5).trajectories
    c = simulate_alanine(0.01, n_walkers=1, seed=6).trajectories
    np.testing.assert_array_equal(a, b)
    assert (a[0] != a[1]).all()
    assert (a[0] != c[0]).all()


@needs_openmm
def test_kinetic_temperature_is_the_one_asked_for():
    import openmm
    from openmm import unit

    from trajlm.systems.alanine_walker import _make_context, load_structure

    structure = load_structure()
    context = _make_context(structure, 450.0, 3)
    context.setPositions(structure.positions)
    assert context.getPlatform().getName() == "Reference"
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(450.0, 3)
    integrator = context.getIntegrator()
    integrator.step(5000)
    degrees_of_freedom = 3 * 22 - context.getSystem().getNumConstraints()
    kelvin = 2 / (degrees_of_freedom * unit.MOLAR_GAS_CONSTANT_R)
    temperatures = []
    for _ in range(4000):
        integrator.step(25)
        energy = context.getState(energy=True).getKineticEnergy()
        temperatures.append((energy * kelvin).value_in_unit(unit.kelvin))
    blocks = np.reshape(temperatures, (20, -1)).mean(axis=1)
    standard_error = blocks.std(ddof=1) / np.sqrt(20)
    assert standard_error < 10
    assert abs(blocks.mean() - 450) < 4 * standard_error


@needs_openmm
def test_interrupt_ends_the_walkers_within_two_seconds(monkeypatch):
    started, interrupted = [], []
    popen = subprocess.Popen

    def remember(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    def interrupt():
        interrupted.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(alanine.subprocess, "Popen", remember)
    timer = threading.Timer(1.5, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        simulate_alanine(1000, n_walkers=2)
    assert time.monotonic() - interrupted[0] < 2
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


@needs_openmm
def test_a_script_without_a_main_guard_can_simulate(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from trajlm.systems.alanine import simulate_alanine\n"
        "print(simulate_alanine(0.002, n_walkers=2).n_frames)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["20"], done.stderr


@needs_openmm
def test_a_molecule_that_flies_apart_is_an_error():
    with pytest.raises(TrajlmError, match=r"walker 0 .* flew apart at 10000000\.0 K"):
        simulate_alanine(0.01, n_walkers=1, temperature=1e7)


@needs_openmm
def test_alanine_is_simulated_by_its_name():
    features = systems.simulate("alanine", n_frames=30, n_trajectories=2, seed=1)
    assert [x.shape for x in features.trajectories] == [(30, 2), (30, 2)]


def test_without_openmm_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(alanine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'pip install "trajlm\[sim\]"'):
        simulate_alanine(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_ns": 0}, "give positive numbers"),
        ({"n_ns": 1, "n_walkers": 0}, "give positive numbers"),
        ({"n_ns": 1, "temperature": -3}, "temperature must be a positive number of K"),
        ({"n_ns": 1e-4, "n_walkers": 2}, "too few for 2 walkers"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate_alanine(**arguments)


@needs_openmm
@pytest.mark.slow
def test_ramachandran_histograms_equal_those_of_a_long_reference():
    folder = os.environ.get("TRAJLM_DATA")
    if not folder:
        pytest.skip("set TRAJLM_DATA to the data folder")
    path = Path(folder) / "alanine" / "phi_psi_450K_0p1ps_100ns.npy"
    if not path.exists():
        pytest.skip(f"there is no {path}")
    blocks = np.array_split(np.load(path), 25)
    own = simulate_alanine(4, n_walkers=2, seed=2)

    def histograms(angles):
        # Left of the rare barrier in phi: what is sampled well in a few nanoseconds.
        left = angles[(angles[:, 0] < 0) | (angles[:, 0] > 2.2)]
        edges = np.linspace(-np.pi, np.pi, 13)
        return np.array([np.histogram(a, edges)[0] / len(left) for a in left.T])

    reference = np.array([histograms(b) for b in blocks])
    spread = np.maximum(reference.std(axis=0, ddof=1), 1e-3)
    z = (histograms(np.concatenate(own.trajectories)) - reference.mean(axis=0)) / spread
    assert np.abs(z).max() < 4
