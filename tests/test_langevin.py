"""Langevin dynamics against Boltzmann statistics, free diffusion and Newton's equations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from trajlm import systems
from trajlm.errors import InputError
from trajlm.kernels.langevin import advance
from trajlm.systems import langevin
from trajlm.systems.langevin import simulate_langevin
from trajlm.systems.potentials import (
    FOUR_STATE,
    LINEAR3,
    POTENTIALS,
    exact_populations,
    mean_energy,
)


def run_kernel(phase, n_frames, steps_per_frame, h, mass, c1, c2, potential=None, key=1):
    phase = np.array(phase, dtype=float)
    frames = np.empty((n_frames, 2))
    centers = potential.centers if potential else np.empty((0, 2))
    heights = potential.heights if potential else np.empty(0)
    weight = potential.weight if potential else 0.0
    rng = np.array([key, 0], dtype=np.uint64)
    advance(phase, rng, frames, steps_per_frame, h, mass, c1, c2, centers, heights, 0.8, weight)
    return phase, frames


# At beta 4 the slow transitions are frequent enough for tight populations in a short run.
@pytest.mark.parametrize(
    ("name", "beta", "precision"),
    [
        ("linear3", 4, 0.006),
        ("triangular3", 4, 0.007),
        ("four_state", 4, 0.01),
        ("linear3", 9.5, 0.02),
    ],
)
def test_populations_and_mean_energy_are_those_of_boltzmann(name, beta, precision):
    potential = replace(POTENTIALS[name], beta=beta)
    # Many trajectories rather than long ones: the standard error must itself be well known.
    features = simulate_langevin(potential, 5_000, n_trajectories=48, seed=7)
    centers = np.sort([x for x, _ in potential.wells])
    expected = np.append(exact_populations(potential), mean_energy(potential))
    measured = []
    for xy in features.trajectories:
        nearest = np.abs(xy[:, :1] - centers).argmin(axis=1)
        populations = np.bincount(nearest, minlength=len(centers)) / len(xy)
        measured.append(np.append(populations, potential.energy(*xy.T).mean()))
    standard_error = np.std(measured, axis=0, ddof=1) / np.sqrt(len(measured))
    assert (standard_error < precision).all()
    np.testing.assert_array_less(np.abs(np.mean(measured, axis=0) - expected), 4 * standard_error)


def test_without_thermostat_the_kernel_solves_newtons_equations_to_second_order():
    mass, start = 2.0, [-1.2, -1.0, 0.8, -0.3]

    def newton(_, s):
        # The force by differences of the energy.
        x, y, e = s[0], s[1], 1e-4
        ahead = LINEAR3.energy([x + e, x], [y, y + e])
        behind = LINEAR3.energy([x - e, x], [y, y - e])
        return [s[2] / mass, s[3] / mass, *(behind - ahead) / (2 * e)]

    exact = solve_ivp(newton, (0, 4), start, rtol=1e-11, atol=1e-12).y[:2, -1]
    errors = []
    for h in (0.02, 0.01):
        _, frames = run_kernel(start, 1, round(4 / h), h, mass, 1.0, 0.0, LINEAR3)
        errors.append(np.abs(frames[0] - exact).max())
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_free_particle_diffuses_as_the_discrete_closed_form_says():
    friction, h, mass, beta, steps = 1.5, 0.02, 2.0, 3.0, 50
    c1 = math.exp(-friction * h / 2)
    c2 = math.sqrt(mass * (1 - c1**2) / beta)
    phase, frames = run_kernel([0, 0, 0, 0], 200_000, steps, h, mass, c1, c2)
    displacements = np.diff(frames[100:], axis=0)
    # Each step moves by h p / m, and p forgets by c1^2 a step.
    lags = np.arange(1, steps)
    sum_of_correlations = steps + 2 * np.sum((steps - lags) * c1 ** (2 * lags))
    expected = h**2 / (mass * beta) * sum_of_correlations
    np.testing.assert_allclose(displacements.var(axis=0), expected, rtol=0.03)
    assert np.isfinite(phase).all()
    scale = math.sqrt(expected)
    kurtosis = np.mean((displacements / scale) ** 4, axis=0)
    np.testing.assert_allclose(kurtosis, 3, rtol=0.05)
    assert abs(np.corrcoef(displacements.T)[0, 1]) < 0.02


def test_momentum_has_the_variance_of_equipartition():
    mass, beta = 2.0, 3.0
    c1 = math.exp(-0.5)
    c2 = math.sqrt(mass * (1 - c1**2) / beta)
    momenta = [
        run_kernel([0, 0, 0, 0], 1, 30, 0.01, mass, c1, c2, key=k)[0][2:] for k in range(5000)
    ]
    np.testing.assert_allclose(np.var(momenta, axis=0), mass / beta, rtol=0.1)


def test_same_seed_same_result_and_other_seed_another():
    a, b, c = (simulate_langevin(LINEAR3, 50, 2, seed=s).trajectories for s in (3, 3, 4))
    np.testing.assert_array_equal(a, b)
    assert not np.isclose(a[0], c[0]).all(axis=1).any()
    assert not np.isclose(a[0], a[1]).all(axis=1).any()


def test_result_depends_neither_on_chunks_nor_on_how_many_run_side_by_side(monkeypatch):
    alone = simulate_langevin(FOUR_STATE, 200, 1, seed=5).trajectories
    monkeypatch.setattr(langevin, "_STEPS_PER_CHUNK", 700)
    many = simulate_langevin(FOUR_STATE, 200, 3, seed=5, n_threads=1).trajectories
    np.testing.assert_array_equal(alone[0], many[0])


def test_progress_counts_every_frame_once(monkeypatch):
    monkeypatch.setattr(langevin, "_STEPS_PER_CHUNK", 1500)
    done = []
    simulate_langevin(LINEAR3, 100, 3, progress=done.append)
    assert sum(done) == 300
    assert len(done) == 7


def test_time_step_sets_dt_and_columns_have_names():
    features = simulate_langevin(LINEAR3, 20, time_step=0.005)
    assert (features.dt, features.unit, features.names) == (0.5, "time unit", ("x", "y"))
    assert simulate_langevin(LINEAR3, 20).dt == 1.0


def test_interrupt_is_passed_on(monkeypatch):
    monkeypatch.setattr(langevin, "_STEPS_PER_CHUNK", 1000)

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_langevin(LINEAR3, 10**7, progress=interrupt)


def test_too_long_a_time_step_is_an_error():
    with pytest.raises(InputError, match=r"flew off with a time step of 5\.0"):
        simulate_langevin(LINEAR3, 100, time_step=5.0)
    with pytest.raises(InputError, match="h of potential 'linear3' must be positive"):
        simulate_langevin(LINEAR3, 100, time_step=-1.0)


@pytest.mark.parametrize(("n_frames", "n_trajectories"), [(0, 1), (10, 0)])
def test_numbers_must_be_positive(n_frames, n_trajectories):
    with pytest.raises(InputError, match="give positive numbers"):
        simulate_langevin(LINEAR3, n_frames, n_trajectories)


def test_friction_slows_diffusion_between_wells():
    def crossings(potential):
        (xy,) = simulate_langevin(potential, 20_000, seed=2).trajectories
        side = xy[np.abs(xy[:, 0]) > 1.2, 0] > 0
        return np.count_nonzero(np.diff(side.astype(int)))

    assert crossings(LINEAR3) > 2 * crossings(replace(LINEAR3, friction=20.0)) > 0


def test_systems_are_simulated_by_name():
    by_name = systems.simulate("four_state", 30, 2, seed=1)
    direct = simulate_langevin(FOUR_STATE, 30, 2, seed=1)
    np.testing.assert_array_equal(by_name.trajectories, direct.trajectories)


def test_unknown_system_names_the_known_ones():
    with pytest.raises(InputError, match="linear3, triangular3, four_state, alanine"):
        systems.simulate("lineer3", 10)
