"""The test for a direction of time, on processes whose direction is known."""

import numpy as np
import pytest

from trajlm.analysis.reversibility import reversibility_p_value
from trajlm.data import States
from trajlm.lstm.training.direction import DIRECTED, find_direction
from trajlm.systems.hidden_markov import (
    KINSOFT_LEVEL3_LUMPING,
    KINSOFT_LEVEL3_RATES,
    HiddenMarkovProcess,
    markov_chain,
)


def reversible_chain(rng):
    flux = rng.gamma(0.3, size=(6, 6))
    flux = flux + flux.T + np.diag(rng.uniform(20, 400, 6))
    return markov_chain(flux / flux.sum(axis=1, keepdims=True), dt=1.0, unit="frame")


def ring(drive):
    forth, back = 0.05 * (1 + drive), 0.05 * (1 - drive)
    rows = [[0.9, forth, back], [back, 0.9, forth], [forth, back, 0.9]]
    return markov_chain(rows, dt=1.0, unit="frame")


def test_reversible_chains_are_seldom_taken_to_have_a_direction():
    rng = np.random.default_rng(0)
    p_values = [
        reversibility_p_value(reversible_chain(rng).simulate(5000, seed=k)) for k in range(200)
    ]
    # Binomial: more than 6 of 200 at a level of .01 has a probability of .4 %.
    assert sum(p < DIRECTED for p in p_values) <= 6


def test_a_driven_ring_has_a_direction_and_the_ring_at_rest_has_none():
    driven = [reversibility_p_value(ring(0.1).simulate(100_000, seed=k)) for k in range(5)]
    at_rest = [reversibility_p_value(ring(0.0).simulate(100_000, seed=k)) for k in range(5)]
    assert max(driven) < 0.01
    assert np.median(at_rest) > DIRECTED


def test_two_states_show_a_direction_in_the_order_of_long_and_short_stays():
    process = HiddenMarkovProcess.from_rates(
        KINSOFT_LEVEL3_RATES, dt=0.2, lumping=KINSOFT_LEVEL3_LUMPING
    )
    assert reversibility_p_value(process.simulate(500_000, seed=1)) < 0.01


def test_trajectories_that_relax_from_one_place_have_a_direction():
    chain = ring(0.0)
    started = [s[np.argmax(s == 0) :][:60] for s in chain.simulate(100, 400, seed=0)]
    assert reversibility_p_value(States(tuple(started), 3)) < 0.01


def test_mirroring_the_data_changes_nothing():
    states = ring(0.1).simulate(20_000, 5, seed=0)
    mirrored = states.with_trajectories([s[::-1] for s in states])
    assert reversibility_p_value(mirrored) == pytest.approx(reversibility_p_value(states), abs=0.01)


@pytest.mark.parametrize("trajectories", [([0, 1],), ([0, 0, 0], [1, 1]), ([0] * 50 + [1],)])
def test_data_too_small_to_tell_has_no_direction(trajectories):
    states = States(tuple(np.array(s) for s in trajectories), 2)
    assert reversibility_p_value(states) == 1.0


def test_the_user_decides_where_asked():
    driven = ring(0.2).simulate(100_000, seed=0)
    assert find_direction(driven, True, 0).both_ways
    assert not find_direction(driven, None, 0).both_ways
    assert not find_direction(ring(0.0).simulate(20_000, seed=0), False, 0).both_ways
    assert "a direction of time" in find_direction(driven, None, 0).describe()
