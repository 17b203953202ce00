"""Model potentials against quadrature and differences written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

from trajlm.errors import InputError
from trajlm.systems.potentials import (
    FOUR_STATE,
    LINEAR3,
    POTENTIALS,
    GaussianWells,
    exact_populations,
    mean_energy,
)

coordinates = st.floats(-4, 4)


def midpoint_rule(potential, energy):
    """Populations and mean energy on square cells whose borders fall on the dividing lines."""
    r = -6 + (np.arange(2400) + 0.5) * 0.005
    U = energy(r[:, None], r)
    boltzmann = np.exp(-potential.beta * U)
    centers = np.sort([x for x, _ in potential.wells])
    nearest = np.abs(r[:, None] - centers).argmin(axis=1)
    populations = np.bincount(nearest, boltzmann.sum(axis=1)) / boltzmann.sum()
    return populations, (U * boltzmann).sum() / boltzmann.sum()


def gaussian(x, y, cx, cy):
    return np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 0.8**2))


def test_populations_and_energy_match_quadrature_of_the_written_out_four_state_energy():
    def energy(x, y):
        return (
            1e-4 * (x**6 + y**6)
            - gaussian(x, y, -2, 1)
            - gaussian(x, y, -0.5, -2)
            - gaussian(x, y, 0.5, 2)
            - gaussian(x, y, 2, -1)
            + gaussian(x, y, 0, 0)
        )

    populations, U = midpoint_rule(FOUR_STATE, energy)
    np.testing.assert_allclose(exact_populations(FOUR_STATE), populations, atol=1e-5)
    assert mean_energy(FOUR_STATE) == pytest.approx(U, abs=1e-6)


@pytest.mark.parametrize("potential", POTENTIALS.values(), ids=POTENTIALS)
def test_populations_and_energy_match_the_midpoint_rule(potential):
    populations, U = midpoint_rule(potential, potential.energy)
    np.testing.assert_allclose(exact_populations(potential), populations, atol=1e-5)
    assert mean_energy(potential) == pytest.approx(U, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "populations", "energy"),
    [
        ("linear3", [0.2874, 0.4252, 0.2874], -0.9231),
        ("triangular3", [0.3343, 0.3459, 0.3198], -0.8655),
        ("four_state", [0.2697, 0.2303, 0.2303, 0.2697], -0.8487),
    ],
)
def test_documented_numbers(name, populations, energy):
    np.testing.assert_allclose(exact_populations(POTENTIALS[name]), populations, atol=1e-4)
    assert mean_energy(POTENTIALS[name]) == pytest.approx(energy, abs=1e-4)


@pytest.mark.parametrize("potential", [LINEAR3, FOUR_STATE], ids=["linear3", "four_state"])
def test_populations_have_the_symmetry_of_the_potential(potential):
    populations = exact_populations(potential)
    np.testing.assert_allclose(populations, populations[::-1], rtol=1e-10)


def test_energy_broadcasts():
    x, y = np.zeros((5, 1)), np.zeros(3)
    assert FOUR_STATE.energy(x, y).shape == (5, 3)


def test_wells_at_the_same_x_share_a_population():
    potential = GaussianWells("stack", wells=((0.0, -2.0), (0.0, 2.0), (3.0, 0.0)))
    populations = exact_populations(potential)
    assert populations.shape == (2,)
    assert populations.sum() == pytest.approx(1)
    assert populations[0] > populations[1]


@pytest.mark.parametrize("parameter", ["width", "beta", "friction", "h", "steps_per_frame"])
def test_parameters_must_be_positive(parameter):
    with pytest.raises(InputError, match=f"{parameter} of potential 'bad' must be positive"):
        GaussianWells("bad", wells=((0.0, 0.0),), **{parameter: 0})


def test_a_potential_needs_a_well():
    with pytest.raises(InputError, match="no well"):
        GaussianWells("flat", wells=())
