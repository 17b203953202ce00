"""Dwell times, survival and mixtures of exponentials."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from trajlm.analysis import cramer_von_mises, dwell_times, fit_exponentials, survival
from trajlm.analysis.dwells import DwellTimes, Survival
from trajlm.data import States
from trajlm.errors import InputError


def complete_dwells(durations, dt=1.0):
    none = np.zeros(len(durations), dtype=bool)
    return DwellTimes(np.asarray(durations), none, none, dt, "ps")


def two_exponentials(n, constants, weights, rng):
    component = rng.choice(2, size=n, p=weights)
    return rng.geometric(-np.expm1(-1 / np.asarray(constants))[component])


def test_dwells_cut_by_the_ends_are_marked():
    states = States(
        (np.array([0, 0, 1, 0, 0, 0, 1, 1]), np.array([1, 1, 0]), np.array([0, 0])), dt=0.1
    )
    dwells = dwell_times(states, 0)
    assert dwells.durations.tolist() == [2, 3, 1, 2]
    assert dwells.cut_at_start.tolist() == [True, False, False, True]
    assert dwells.cut_at_end.tolist() == [False, False, True, True]
    assert dwells.complete.tolist() == [3]
    with pytest.raises(InputError):
        dwell_times(states, 2)


def test_survival_of_an_example_worked_by_hand():
    # Ended after 1, 2, 2, 4 frames; cut after 2 (at risk at 1 only) and after 5 (at all); the
    # one running at the first frame is no part of it.
    dwells = DwellTimes(
        durations=np.array([9, 1, 2, 2, 4, 2, 5]),
        cut_at_start=np.array([1, 0, 0, 0, 0, 0, 0], dtype=bool),
        cut_at_end=np.array([0, 0, 0, 0, 0, 1, 1], dtype=bool),
        dt=0.5,
        unit="ps",
    )
    result = survival(dwells)
    np.testing.assert_allclose(result.times, [0, 0.5, 1, 2])
    np.testing.assert_allclose(result.probability, [1, 5 / 6, 5 / 6 * 2 / 4, 5 / 6 * 2 / 4 / 2])
    variance = 1 / (6 * 5) / np.log(5 / 6) ** 2
    spread = np.exp(1.959964 * np.sqrt(variance))
    np.testing.assert_allclose(result.low[1], (5 / 6) ** spread, rtol=1e-6)
    np.testing.assert_allclose(result.high[1], (5 / 6) ** (1 / spread), rtol=1e-6)


@given(st.lists(st.tuples(st.integers(2, 12), st.booleans()), min_size=3, max_size=30))
def test_survival_agrees_with_scipy(rows):
    durations = np.array([d for d, _ in rows])
    cut = np.array([c for _, c in rows])
    cut[0] = False
    dwells = DwellTimes(durations, np.zeros(len(rows), dtype=bool), cut, 1.0, "frame")
    result = survival(dwells)
    data = scipy.stats.CensoredData.right_censored(durations - cut, cut)
    oracle = scipy.stats.ecdf(data).sf
    np.testing.assert_allclose(result.probability, oracle.evaluate(result.times), atol=1e-12)
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        band = oracle.confidence_interval(0.95, method="log-log")
    inner = (result.probability < 1) & (result.probability > 0)
    np.testing.assert_allclose(result.low[inner], band.low.evaluate(result.times[inner]), atol=1e-9)
    assert (result.low <= result.probability).all()
    assert (result.high >= result.probability).all()


def test_survival_of_a_state_never_entered_is_refused():
    with pytest.raises(InputError, match="entered"):
        survival(dwell_times(States((np.array([0, 0, 1]),)), 0))


def test_one_exponential_has_the_closed_form():
    rng = np.random.default_rng(0)
    dwells = complete_dwells(rng.geometric(0.03, size=500), dt=2.0)
    fit = fit_exponentials(dwells, n_components=1, n_bootstrap=50)
    q = 1 - 1 / dwells.durations.mean()
    assert fit.time_constants[0] == pytest.approx(-2.0 / np.log(q), rel=1e-4)
    assert fit.weights[0] == 1
    exact = scipy.stats.geom(1 - q).logpmf(dwells.durations).sum()
    assert fit.log_likelihood == pytest.approx(exact, rel=1e-8)


def test_dwells_cut_at_the_end_lengthen_the_time_constant():
    dwells = DwellTimes(
        durations=np.array([3, 5, 8, 20, 30]),
        cut_at_start=np.zeros(5, dtype=bool),
        cut_at_end=np.array([0, 0, 0, 1, 1], dtype=bool),
        dt=1.0,
        unit="frame",
    )
    fit = fit_exponentials(dwells, n_components=1, n_bootstrap=2)
    stays = 2 + 4 + 7 + 19 + 29
    assert fit.time_constants[0] == pytest.approx(-1 / np.log(stays / (stays + 3)), rel=1e-4)


def test_two_exponentials_are_recovered_with_their_intervals():
    rng = np.random.default_rng(3)
    dwells = complete_dwells(two_exponentials(4000, (4.0, 60.0), (0.6, 0.4), rng), dt=0.5)
    fit = fit_exponentials(dwells, n_components=2, seed=1, n_bootstrap=100)
    for truth, low, high in zip(
        (2.0, 30.0), fit.time_constants_low, fit.time_constants_high, strict=True
    ):
        assert low < truth < high
        assert high - low < 0.5 * truth
    assert fit.weights_low[0] < 0.6 < fit.weights_high[0]
    assert fit.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(fit.time_constants, [2, 30], rtol=0.12)
    expected = 0.6 * np.exp(-30 / 2) + 0.4 * np.exp(-30 / 30)
    np.testing.assert_allclose(fit.survival([0.0, 30.0]), [1, expected], rtol=0.1)
    again = fit_exponentials(dwells, n_components=2, seed=1, n_bootstrap=100)
    np.testing.assert_array_equal(fit.time_constants_low, again.time_constants_low)


def test_bootstrap_intervals_cover_the_truth():
    inside = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        dwells = complete_dwells(two_exponentials(400, (3.0, 80.0), (0.5, 0.5), rng))
        fit = fit_exponentials(dwells, seed=seed, n_bootstrap=40)
        inside += fit.time_constants_low[1] < 80 < fit.time_constants_high[1]
    assert 26 <= inside <= 30


def test_too_few_dwells_are_refused():
    with pytest.raises(InputError, match="3 complete dwells"):
        fit_exponentials(complete_dwells([1, 2, 3]), n_components=2)


def test_cramer_von_mises_distance_agrees_with_quadrature():
    def curve(rate):
        times = np.arange(0, 2000) * 0.01
        p = np.exp(-rate * times)
        return Survival(times, p, p, p, 0.95, "s")

    one, other = curve(1.0), curve(2.0)
    # The integral of (exp(-t) - exp(-2t))^2 2 exp(-2t).
    assert cramer_von_mises(one, other) == pytest.approx(2 * (1 / 4 - 2 / 5 + 1 / 6), rel=1e-3)
    assert cramer_von_mises(one, one) == 0
    never = Survival(np.array([0.0, 1e9]), *[np.array([1.0, 0.0])] * 3, 0.95, "s")
    assert cramer_von_mises(never, one) == pytest.approx(1 / 3, rel=1e-3)
    with pytest.raises(InputError, match="unit"):
        cramer_von_mises(one, replace(one, unit="ms"))
