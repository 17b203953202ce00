"""Constraints against what is known in closed form, and what cannot be met."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, fsolve

import trajlm
from trajlm import Mean, Population, Rate, Ratio, StepMean
from trajlm.analysis import Grouping, committed_transitions
from trajlm.cli import run
from trajlm.cli.constrain import parse_population, parse_rate, parse_ratio
from trajlm.constraints.decisions import walk
from trajlm.constraints.language import is_met, measure_run
from trajlm.constraints.markov import chain_values, solve_chain
from trajlm.constraints.measures import CommittedFlux, group_number, make_quantity
from trajlm.constraints.tilts import answers, tilt_of
from trajlm.errors import InputError
from trajlm.kernels.stochastic import stationary_distribution
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.weights import LSTMWeights

P = np.array(
    [
        [0.84, 0.08, 0.05, 0.03],
        [0.07, 0.85, 0.07, 0.01],
        [0.01, 0.02, 0.81, 0.16],
        [0.08, 0.07, 0.01, 0.84],
    ]
)
SPACE = trajlm.StateSpace(4, 0.5, "ms", np.array([0.0, 1.0, 2.0, 4.0]))


def groups(*assignment, names=()):
    names = names or tuple(str(g) for g in range(max(assignment) + 1))
    return Grouping(np.array(assignment), "list", names=names)


ALONE = groups(0, 1, 2, 3)


def chain(matrix=P, space=SPACE):
    return trajlm.MarkovModel(matrix, stationary_distribution(matrix), space)


def tilted(matrix, exponent):
    """The maximum-caliber chain by its eigenvector: P_ij exp(e_ij) r_j / (rho r_i)."""
    M = matrix * np.exp(exponent)
    values, vectors = np.linalg.eig(M)
    k = int(np.argmax(values.real))
    r = np.abs(vectors[:, k].real)
    return M * r / (values[k].real * r[:, None])


def flow(matrix):
    return stationary_distribution(matrix)[:, None] * matrix


def test_a_population_is_met_by_the_tilted_chain():
    f = np.tile([1.0, 0.0, 0.0, 0.0], (4, 1))
    mu = brentq(lambda mu: stationary_distribution(tilted(P, mu * f))[0] - 0.5, -2, 2)
    found = trajlm.constrain(chain(), [Population(0, 0.5)])
    exact = tilted(P, mu * f)
    np.testing.assert_allclose(found.model.transition_matrix, exact, atol=1e-9)
    assert found.kl_rate == pytest.approx((flow(exact) * np.log(exact / P)).sum(), rel=1e-6)
    assert found.n_generated == 0


def test_several_functions_of_a_step_are_met_at_once():
    steps = np.zeros((4, 4))
    steps[0, 1] = 1.0
    f = np.array([np.tile(SPACE.centers, (4, 1)), np.tile([0.0, 0.0, 1.0, 0.0], (4, 1)), steps])
    wanted = np.array([1.9, 0.25, 0.012])

    def off(mu):
        return (f * flow(tilted(P, np.tensordot(mu, f, 1)))).sum(axis=(1, 2)) - wanted

    mu = fsolve(off, np.zeros(3))
    targets = [Mean("x0", 1.9), Population(2, 0.25), StepMean(steps, 0.012)]
    found = trajlm.constrain(chain(), targets)
    np.testing.assert_allclose(
        found.model.transition_matrix, tilted(P, np.tensordot(mu, f, 1)), atol=1e-7
    )
    assert [c.after for c in found.changes[:3]] == pytest.approx(wanted.tolist())


@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=200),
    st.integers(1, 5),
    st.booleans(),
)
def test_committed_transitions_of_a_path_are_those_counted(path, commit, both_ways):
    own = groups(0, 1, 1, 2)
    counts = committed_transitions(own.apply(np.array([*path, 3])[:-1]), [commit]).counts[0]
    counts = np.pad(counts, (0, 3 - len(counts)))
    measure = CommittedFlux(own.assignment, 0, 1, commit, both_ways)
    expected = (counts[0, 1] + counts[1, 0]) / 2 if both_ways else counts[0, 1]
    assert measure.contributions(np.array(path)).sum() == expected


@pytest.mark.parametrize("commit", [1, 2, 7])
def test_the_committed_flux_of_two_states_is_that_of_geometric_stays(commit):
    a, b = 0.1, 0.3
    own = chain(np.array([[1 - a, a], [b, 1 - b]]), trajlm.StateSpace(2))
    held_a, held_b = (1 - a) ** (commit - 1), (1 - b) ** (commit - 1)
    none_of_both = (1 - held_a) * (1 - held_b)
    exact = b / (a + b) * a * held_a * held_b / (1 - none_of_both)
    quantity = make_quantity(Rate(0, 1, 1.0, commit=commit), own.space, groups(0, 1))
    assert chain_values(own, [quantity])[0] == pytest.approx(exact)


def test_the_committed_flux_of_groups_is_that_of_a_long_path():
    own = groups(0, 0, 1, 2)
    written = own.apply(chain().generate(400_000, 1, seed=0))
    counted = committed_transitions(written, [5])
    low, high = counted.rate_intervals(0.999)
    for g, h in ((0, 1), (1, 2), (2, 0)):
        quantity = make_quantity(Rate(g, h, 1.0, commit=5), SPACE, own)
        assert low[0, g, h] < chain_values(chain(), [quantity])[0] < high[0, g, h]


def test_a_committed_rate_is_met_and_no_chain_near_by_pays_less():
    targets = [Population(0, 0.4), Rate(0, 1, 0.02, unit="ms", commit=3)]
    quantities = [make_quantity(t, SPACE, ALONE) for t in targets]
    found = trajlm.constrain(chain(), targets)
    assert [c.after for c in found.changes[:2]] == pytest.approx([0.4, 0.02])
    # Chains that meet the same targets exactly, made from others: they pay more.
    generator = np.random.default_rng(0)
    for _ in range(5):
        start = found.model.transition_matrix * np.exp(0.2 * generator.normal(size=(4, 4)))
        start /= start.sum(axis=1, keepdims=True)
        other = solve_chain(start, quantities).transition_matrix
        assert (flow(other) * np.log(other / P)).sum() > found.kl_rate


def test_a_target_with_an_error_is_met_at_its_nearer_end():
    exact = trajlm.constrain(chain(), [Population(0, 0.45)])
    within = trajlm.constrain(chain(), [Population(0, 0.5, 0.05)])
    np.testing.assert_allclose(
        within.model.transition_matrix, exact.model.transition_matrix, atol=1e-8
    )
    met = float(chain().stationary_distribution[1])
    nothing = trajlm.constrain(chain(), [Population(1, met + 0.01, 0.02)])
    np.testing.assert_allclose(nothing.model.transition_matrix, P, atol=1e-9)
    assert nothing.kl_rate == pytest.approx(0.0, abs=1e-12)


def test_a_model_without_a_direction_of_time_stays_one():
    balanced = flow(P) + flow(P).T
    matrix = balanced / balanced.sum(axis=1, keepdims=True)
    data = chain(matrix).generate(30_000, 1, seed=2)
    model = trajlm.fit_msm(data, reversible=True)
    found = trajlm.constrain(model, [Rate(0, 1, 0.01)])
    after = flow(found.model.transition_matrix)
    np.testing.assert_allclose(after, after.T, atol=1e-9)
    assert after[0, 1] / SPACE.dt == pytest.approx(0.01)
    assert found.model.record.reversible
    one_way = trajlm.constrain(model, [Rate(0, 1, 0.01)], reversible=False)
    assert one_way.kl_rate < found.kl_rate
    assert not one_way.model.record.reversible


def test_rates_in_other_units_constants_and_ratios():
    targets = [Rate(0, 1, 30.0, unit="s", constant=True), Ratio(2, 3, 0.5)]
    found = trajlm.constrain(chain(), targets).model
    p = found.stationary_distribution
    assert found.transition_matrix[0, 1] == pytest.approx(30.0 * 0.5e-3)
    assert p[2] / p[3] == pytest.approx(0.5)


def test_the_record_says_what_a_model_was_constrained_to(tmp_path):
    once = trajlm.constrain(chain(), [Population(0, 0.5)]).model
    twice = trajlm.constrain(once, [Mean(0, 1.5, 0.1)]).model
    twice.save(tmp_path / "model")
    loaded = trajlm.load_model(tmp_path / "model")
    assert [len(made.targets) for made in loaded.record.constrained] == [1, 1]
    assert loaded.record.constrained[0].targets[0].after == pytest.approx(0.5)
    assert "population 0 = 0.5000" in str(loaded.facts())


@pytest.mark.parametrize(
    ("targets", "named"),
    [
        ([Population(0, 0.6), Population(1, 0.5)], ["population 0", "population 1"]),
        ([Population(g, 0.2) for g in range(4)], ["population 3"]),
        ([Population(0, 0.5), Population(0, 0.6)], ["0.5000", "0.6000"]),
        ([Population("5", 0.5)], ["group '5'", "0, 1, 2 and 3"]),
        ([Mean("y", 0.5)], ["column 'y'", "x0"]),
        ([Mean("x0", 5.0)], ["mean x0", "4.00"]),
        ([Rate(0, 1, 0.3, commit=20)], ["rate 0-1", "0.0500"]),
        ([Rate(0, 1, 0.3, unit="frame", commit=20, constant=True)], ["rate constant", "0.05"]),
        ([Rate(0, 1, 1.0, unit="year")], ["year", "ms"]),
        ([Population(0, 0.01), Rate(0, 1, 0.01, commit=20)], ["population 0", "rate 0-1"]),
        ([Ratio(0, 1, 2.0), Population(0, 0.7)], ["ratio 0/1", "population 0"]),
        ([StepMean(np.ones((3, 3)), 0.5)], ["(3, 3)", "4 states"]),
        ([], ["no target"]),
    ],
)
def test_what_cannot_be_met_is_refused_by_name(targets, named):
    with pytest.raises(InputError) as refused:
        trajlm.constrain(chain(), targets)
    for words in named:
        assert words in str(refused.value)


def test_targets_that_none_can_meet_are_refused_at_once():
    for value in (0.0, 1.0, -0.1, 1.5, np.nan, np.inf):
        with pytest.raises(InputError, match="population A"):
            Population("A", value)
    for made in (lambda: Rate(0, 1, 0.0), lambda: Rate(0, 0, 1.0), lambda: Ratio(0, 1, -1.0)):
        with pytest.raises(InputError):
            made()
    with pytest.raises(InputError, match="error"):
        Population(0, 0.5, -0.1)


def test_a_group_is_known_by_its_name_and_else_by_its_number():
    of = groups(0, 1, 2, names=("1", "open", "(0.1, 2)"))
    numbers = [group_number(Population(0, 0.5), group, of) for group in ("1", 0, "2", "open")]
    assert numbers == [0, 0, 2, 1]
    with pytest.raises(InputError, match="open"):
        group_number(Population(0, 0.5), "3", of)


def test_what_a_model_never_does_is_refused():
    matrix = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    own = chain(matrix, trajlm.StateSpace(3))
    with pytest.raises(InputError, match="rate 0-2"):
        trajlm.constrain(own, [Rate(0, 2, 0.01)])
    parted = trajlm.MarkovModel(np.eye(2), np.array([0.5, 0.5]), trajlm.StateSpace(2))
    with pytest.raises(InputError, match="never left"):
        trajlm.constrain(parted, [Population(0, 0.6)])
    hidden = trajlm.fit_hmm(own.generate(500, seed=0), 2)
    with pytest.raises(InputError, match="hmm"):
        trajlm.constrain(hidden, [Population(0, 0.5)])
    with pytest.raises(InputError, match="2 states"):
        trajlm.constrain(own, [Population(0, 0.5)], groups(0, 1))


def test_an_angle_has_no_mean():
    x = trajlm.Features(
        np.random.default_rng(0).uniform(-180, 180, 500), ("phi",), periods=[(-180, 180)]
    )
    states = trajlm.Bins(6, range=(-180, 180)).fit(x).transform(x)
    with pytest.raises(InputError, match="periodic"):
        trajlm.constrain(trajlm.fit_msm(states), [Mean("phi", 0.0)], groups(0, 0, 1, 1, 2, 2))


def network(matrix, hidden_dim=6, seed=0):
    """A network whose next state depends on the present one alone, with hidden units that move."""
    n = len(matrix)
    generator = np.random.default_rng(seed)

    def random(*shape):
        return (0.3 * generator.normal(size=shape)).astype(np.float32)

    L, M = hidden_dim, 3
    weights = LSTMWeights(
        random(n, M), random(4 * L, M), random(4 * L, L), random(4 * L),
        np.zeros((n, L), np.float32), np.zeros(n, np.float32), np.log(matrix).astype(np.float32),
    )  # fmt: skip
    own = chain(matrix)
    return LSTMModel(weights, own.space, own.generate(500, 4, seed=1).trajectories)


def mean_matrix(model, n_frames=20_000):
    """The mean next-state probabilities after each state, over a free run."""
    written = model.generate(n_frames, 4, seed=7)
    total, weight = np.zeros((model.n_states, model.n_states)), np.zeros(model.n_states)
    w = model.weights
    for frames in walk(model, written, np.empty((0, 4, n_frames)), 0):
        states = frames.states.ravel()
        hidden = frames.hidden.reshape(len(states), -1)
        p = np.exp(hidden @ w.readout.T + w.readout_bias + w.skip[states])
        np.add.at(total, states, p / p.sum(axis=1, keepdims=True))
        weight += np.bincount(states, minlength=model.n_states)
    return total / weight[:, None]


def test_a_network_of_a_chain_becomes_the_closed_form():
    targets = [Population(0, 0.4), Population(1, 0.3), Rate(0, 1, 0.03, unit="frame")]
    exact = trajlm.constrain(chain(), targets)
    lines = []
    found = trajlm.constrain(
        network(P),
        targets,
        n_frames=400_000,
        n_threads=1,
        report=lambda s: lines.append(s.describe()),
    )
    assert np.abs(mean_matrix(found.model) - exact.model.transition_matrix).max() < 2.5e-3
    assert found.kl_rate == pytest.approx(exact.kl_rate, rel=0.08)
    assert "step 1" in lines[0]
    assert found.n_generated >= 400_000 * len(lines)
    assert found.model.record is None
    for change in found.changes[:3]:
        assert change.after_interval[0] < change.after < change.after_interval[1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_network_of_a_chain_is_the_closed_form_to_a_thousandth(seed):
    targets = [Population(0, 0.4), Population(1, 0.3), Rate(0, 1, 0.03, unit="frame")]
    exact = trajlm.constrain(chain(), targets)
    found = trajlm.constrain(network(P, seed=seed), targets, n_frames=3_000_000, seed=seed)
    assert np.abs(mean_matrix(found.model) - exact.model.transition_matrix).max() < 1e-3
    assert found.kl_rate == pytest.approx(exact.kl_rate, rel=0.02)


def test_the_record_of_a_language_model_keeps_its_training_and_its_constraints(tmp_path):
    data = chain().generate(4000, 1, seed=0)
    settings = trajlm.TrainingSettings(epochs=1, hidden_dim=4, embedding_dim=2)
    model = trajlm.train(data, settings, n_threads=1)
    target = Population(0, 0.35, 0.05)
    found = trajlm.constrain(model, [target], n_frames=150_000, n_threads=1)
    quantity = make_quantity(target, model.space, ALONE)
    again = measure_run(found.model, model, [quantity], 200_000, seed=99)
    assert is_met([quantity], again).all()
    found.model.save(tmp_path / "model")
    loaded = trajlm.load_model(tmp_path / "model")
    assert loaded.record.history == model.record.history
    assert loaded.record.constrained[0].targets[0].what == str(target)
    np.testing.assert_array_equal(
        loaded.generate(100).trajectories, found.model.generate(100).trajectories
    )


def test_targets_as_written_on_the_command_line():
    assert parse_population("1=0.40") == Population("1", 0.4)
    assert parse_population("a b = 0.4 +- 0.05") == Population("a b", 0.4, 0.05)
    assert parse_population("A=.4±5e-2") == Population("A", 0.4, 0.05)
    assert parse_ratio("A/B=2") == Ratio("A", "B", 2.0)
    assert parse_rate("A-B=12+-3/s@5", constant=False) == Rate("A", "B", 12.0, 3.0, "s", 5)
    assert parse_rate("0-1=1e-3", constant=True) == Rate("0", "1", 1e-3, constant=True)
    for text in ("A", "A=x", "=0.4", "A=0.4+-", "A=0.4@5", ""):
        with pytest.raises(InputError, match=r"GROUP=0\.40"):
            parse_population(text)
    for text in ("A=1", "A-=1", "A-B-C=1", "A-B=1/@5", "A-B=1@x"):
        with pytest.raises(InputError, match="A-B=12"):
            parse_rate(text, constant=False)


def test_the_command_constrains_a_model_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    chain().save(tmp_path / "msm")

    def tried(*options):
        status = run(["constrain", "msm", "--out", "out", *options])
        return status, capsys.readouterr()

    options = ["--group", "list:0,0,1,1", "--names", "open,closed", "--population", "open=0.7"]
    status, said = tried(*options, "--rate", "open-closed=25/s@2")
    assert status == 0, said.err
    assert re.search(r"population open +0\.\d+ +0\.700", said.out)
    assert "KL rate" in said.out
    own = groups(0, 0, 1, 1)
    quantity = make_quantity(Rate(0, 1, 1.0, unit="s", commit=2), SPACE, own)
    assert chain_values(trajlm.load_model("out"), [quantity])[0] == pytest.approx(25.0)
    for bad, words in (
        (options, "--overwrite"),
        (["--overwrite"], "nothing is asked"),
        (["--overwrite", "--population", "7=0.3"], "'7'"),
        (["--overwrite", "--population", "0=2"], "population 0"),
        (["--overwrite", "--population", "0=0.3", "--names", "a,b"], "--names a,b"),
        (["--overwrite", "--population", "0:0.3"], "GROUP=0.40"),
    ):
        status, said = tried(*bad)
        assert status == 2
        assert words in said.err
        assert "Traceback" not in said.err
    # What was there is there still.
    assert chain_values(trajlm.load_model("out"), [quantity])[0] == pytest.approx(25.0)


def test_tilts_answer_as_a_reversible_chain_does():
    flows = np.array([[30, 9, 0.4, 0.1], [9, 20, 0.3, 0.2], [0.4, 0.3, 40, 5], [0.1, 0.2, 5, 25]])
    own = groups(0, 0, 1, 1)
    asked = (Population(0, 0.5), Rate(0, 1, 1.0, unit="s", commit=3))
    measures = [make_quantity(target, SPACE, own, reversible=True).above for target in asked]

    def means(steps):
        pi = torch.tensor(steps.sum(axis=1))
        matrix = torch.tensor(steps / steps.sum(axis=1, keepdims=True))
        return np.array([float(m.of_chain(matrix, pi)) for m in measures])

    steps = flows / flows.sum()
    promised = answers(measures, means(steps), steps)
    for k, measure in enumerate(measures):
        weights = steps / steps.sum(axis=1, keepdims=True)
        weights = weights * np.exp(1e-4 * tilt_of(measure, 3).skip)
        found = (means(flow(weights / weights.sum(axis=1, keepdims=True))) - means(steps)) / 1e-4
        # Both are small and raise what is normalised with them by a little.
        np.testing.assert_allclose(found, promised[:, k], atol=0.04 * means(steps).max(), rtol=0.05)
        assert found[k] > 0
