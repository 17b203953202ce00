"""What the report says of the numbers: no sentence may contradict them."""

from dataclasses import replace

import numpy as np
import pytest

from trajlm.analysis import Autocorrelation, Survival
from trajlm.comparison import compare
from trajlm.data import States
from trajlm.evaluate.curves import far_curves, shares_outside
from trajlm.evaluate.rates import RateRow, Settled, SlowestProcess
from trajlm.evaluate.significance import placed
from trajlm.evaluate.summary import ModelSummary, Summary, UnseenSummary, summary
from trajlm.evaluate.verdict import (
    floor_sentence,
    headline,
    unseen_sentence,
    verdicts,
    warning,
)
from trajlm.models.markov import fit_msm
from trajlm.systems.hidden_markov import markov_chain

CHAIN = markov_chain(np.array([[0.95, 0.05], [0.08, 0.92]]), 1.0, "frame")
NAN = float("nan")


def numbers(
    models, floor=0.04, judged=6, curves=None, inside=20, unseen=None, settled=(4, 0), slowest=None
):
    """Return the summary of models by name with D, low and high."""
    scale = 1 / floor if floor else NAN
    rows = {
        name: ModelSummary(
            D=d,
            D_interval=(low, high),
            D_over_D0=d * scale,
            D_over_D0_interval=(low * scale, high * scale),
            n_terms=5,
            n_trainings=1,
            cross_entropy=None,
            rates_inside=inside,
            rates_judged=20,
            settled=Settled(*settled, 2),
            curves_outside=(curves or {}).get(name, {}),
            unseen=(unseen or {}).get(name),
        )
        for name, (d, low, high) in models.items()
    }
    return Summary(
        D0=floor,
        D0_terms=5,
        pairs=6,
        pairs_judged=judged,
        models=rows,
        own_unseen=(unseen or {}).get("data"),
        commit_time=1.0,
        corrected=True,
        rates=(),
        dwells=(),
        populations=(),
        slowest=slowest,
    )


@pytest.mark.parametrize(
    ("d", "low", "high", "words"),
    [
        (0.03, 0.01, 0.05, "as close to the data as its two halves are"),
        (0.045, 0.03, 0.06, "as close to the data as its two halves are"),
        # 2.3 times D0, and so few generated frames that D0 lies in the interval.
        (0.093, 0.018, 0.17, "too few generated frames to tell D from D0; generate more"),
        (0.093, NAN, NAN, "too few generated frames to tell D from D0; generate more"),
        (0.06, 0.05, 0.07, "a little farther"),
        (0.12, 0.1, 0.14, "farther from the data than chance"),
        (0.4, 0.3, 0.5, "far from the data"),
    ],
)
def test_the_reading_agrees_with_the_numbers(d, low, high, words):
    (found,) = verdicts(numbers({"x": (d, low, high)}))
    reading = found.reading
    assert words in reading
    assert ("as close" in reading) == ("as close" in words)


def test_a_small_d_is_not_praised_where_the_rates_lie_outside():
    (good,) = verdicts(numbers({"x": (0.03, 0.01, 0.05)}, inside=18))
    (bad,) = verdicts(numbers({"x": (0.03, 0.01, 0.05)}, inside=12))
    assert "outside" not in good.reading
    assert "8 of the 20 rates" in bad.reading


def test_no_model_is_praised_whose_settled_rates_lie_outside():
    close = {"x": (0.03, 0.01, 0.05)}
    refuted = numbers(close, settled=(1, 3))
    (found,) = verdicts(refuted)
    assert "as close" not in found.reading
    assert "3 of its 4 settled rate constants" in found.reading
    assert "3 of its 4 settled rate constants" in headline(refuted)
    assert "But" not in headline(numbers(close, settled=(4, 0)))


@pytest.mark.parametrize(("time", "word"), [(5.0, "longer"), (1.0, "faster"), (2.2, None)])
def test_no_model_is_praised_whose_slowest_process_lies_outside(time, word):
    models = (placed("x", (time, NAN, NAN), 1.8, 2.5),)
    slowest = SlowestProcess((("a",), ("b", "c")), 2.0, 1.8, 2.5, 100, models)
    (found,) = verdicts(numbers({"x": (0.03, 0.01, 0.05)}, slowest=slowest))
    assert ("as close" in found.reading) == (word is None)
    assert word is None or word in found.reading


@pytest.mark.parametrize(
    ("d", "low", "high", "word"),
    [
        (0.10, 0.08, 0.12, "closer"),
        (0.19, 0.15, 0.23, "as close"),
        (0.25, 0.18, 0.32, "as close"),
        (0.40, 0.30, 0.50, "farther"),
    ],
)
def test_models_and_the_training_data_are_judged_by_one_rule_on_unseen_data(d, low, high, word):
    unseen = {
        "data": UnseenSummary(0.2, (0.15, 0.25), 1.0, None),
        "x": UnseenSummary(d, (low, high), d / 0.2, 0.3),
    }
    found = numbers({"x": (0.03, 0.01, 0.05)}, unseen=unseen)
    (verdict,) = verdicts(found)
    assert f"{word} " in verdict.reading.split("On unseen data")[1]
    assert "0.20" in unseen_sentence(found)
    assert unseen_sentence(numbers({"x": (0.03, 0.01, 0.05)})) == ""


def test_the_floor_says_that_d_may_lie_below_it():
    sentence = floor_sentence(numbers({"x": (0.02, 0.01, 0.03)}))
    assert "D0 = 0.040" in sentence
    assert "can lie below" in sentence


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (
            {"a": (0.10, 0.05, 0.2), "b": (0.12, 0.06, 0.2), "c": (0.3, 0.15, 0.4)},
            ["No difference between the models is settled", "smallest D is that of a"],
        ),
        ({"a": (0.10, NAN, NAN), "b": (0.12, 0.11, 0.13)}, ["No difference between"]),
        (
            {"a": (0.10, 0.08, 0.13), "b": (0.12, 0.11, 0.14), "c": (0.3, 0.25, 0.4)},
            ["comes closest is a, though its lead over b is not settled"],
        ),
        ({"a": (0.10, 0.09, 0.11), "b": (0.3, 0.2, 0.4)}, ["The model that comes closest is a."]),
        ({"a": (0.10, 0.09, 0.11)}, ["The rates of a differ"]),
        ({"a": (0.10, 0.05, 0.2), "b": (NAN, NAN, NAN)}, ["The rates of a differ"]),
    ],
)
def test_the_headline_names_a_best_model_only_where_that_is_settled(models, words):
    said = headline(numbers(models))
    assert all(word in said for word in words)
    assert ("comes closest" in said) == any("comes closest" in word for word in words)


def test_the_headline_says_over_what_d_is_a_mean():
    said = headline(numbers({"a": (0.1, 0.09, 0.11)}, judged=2))
    assert said.endswith("on average, over the 2 of 6 pairs with 20 transitions.")


def test_curves_far_outside_are_named_where_d_is_small_only():
    curves = {"a": {"dwells in 0": 0.6, "autocorrelation": 0.1}}
    close = headline(numbers({"a": (0.03, 0.01, 0.05)}, curves=curves))
    assert "for a (dwells in 0)" in close
    far = headline(numbers({"a": (0.4, 0.3, 0.5)}, curves=curves))
    assert "outside" not in far
    assert "outside" not in headline(numbers({"a": (0.03, 0.01, 0.05)}))


@pytest.fixture(scope="module")
def comparison():
    data = CHAIN.simulate(20_000, seed=0)
    return compare(data, {"truth": CHAIN.simulate(200_000, seed=1)})


def test_curves_of_the_true_process_lie_inside_and_those_of_a_slower_one_do_not(comparison):
    assert far_curves(shares_outside(comparison, comparison.models[0])) == []
    slow = markov_chain(np.array([[0.98, 0.02], [0.032, 0.968]]), 1.0, "frame")
    data = CHAIN.simulate(20_000, seed=0)
    other = compare(data, {"slow": slow.simulate(200_000, seed=1)})
    assert set(far_curves(shares_outside(other, other.models[0]))) == {
        "dwells in 0", "dwells in 1", "autocorrelation"
    }  # fmt: skip
    assert summary(other).models["slow"].curves_outside["dwells in 0"] > 0.25


def test_a_share_outside_is_counted_by_its_definition(comparison):
    times = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    data = Survival(
        times, np.array([1, 0.8, 0.6, 0.4, 0.0]), np.array([1, 0.7, 0.5, np.nan, 0.0]),
        np.array([1, 0.9, 0.7, np.nan, 0.1]), 0.95, "frame",
    )  # fmt: skip
    # At 1 both are out by half the width of 0.2. At 2, 0.31 is out by less than the width and
    # 0.29 by more. At 3 there is no band; at 4 both are out by more than the width of 0.1.
    nearly = Survival(times[[0, 2]], np.array([1.0, 0.31]), times, times, 0.95, "frame")
    beyond = Survival(times[[0, 2]], np.array([1.0, 0.29]), times, times, 0.95, "frame")
    lags = np.arange(3)
    flat = Autocorrelation(lags, np.ones(3), np.ones(3) - 0.1, np.ones(3) + 0.1, 0.95, 1.0, "frame")
    off = replace(flat, values=np.array([1.0, 1.35, 1.0]))
    reference = replace(comparison.reference, survivals=(data, None), autocorrelation=flat)
    given = replace(comparison, reference=reference)
    for curve, share in ((nearly, 1 / 3), (beyond, 2 / 3)):
        model = replace(comparison.models[0], survivals=(curve, curve), autocorrelation=off)
        shares = shares_outside(given, model)
        assert shares == {"dwells in 0": pytest.approx(share), "autocorrelation": 0.5}


def test_the_comparison_of_models_that_differ_by_chance_alone_settles_nothing():
    data = CHAIN.simulate(5000, seed=0)
    made = compare(data, {"one": fit_msm(data), "two": fit_msm(data)}, n_runs=3)
    assert "No difference between the models is settled" in headline(summary(made))


def test_few_generated_frames_are_said_to_be_too_few():
    data = CHAIN.simulate(100_000, seed=0)
    few = States((CHAIN.simulate(400, seed=5).trajectories[0],), 2)
    found = verdicts(summary(compare(data, {"gen": few})))
    assert "too few generated frames" in found[0].reading


def test_a_rate_that_may_be_zero_is_only_bounded_from_above():
    row = RateRow("a", "b", 1, 1, 1e-5, 0.0, 1.2e-3, 0.0, ())
    assert "at most 0.0012 per ps" in warning(row, "ps")
    assert "factor" not in warning(row, "ps")
    assert "a factor of 12" in warning(replace(row, low=1e-4), "ps")
