"""Rate constants against the rate matrices of processes that are known."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import norm

from trajlm.analysis import (
    committed_transitions,
    dwell_times,
    fit_exponentials,
    group_by_hidden_states,
    rate_constants,
)
from trajlm.comparison import compare
from trajlm.data import States
from trajlm.errors import InputError, TrajlmNote
from trajlm.evaluate.grouping import choose_grouping, group_by_hmm
from trajlm.evaluate.rates import rate_tables
from trajlm.models.hidden_markov import fit_hmm
from trajlm.models.markov import fit_msm
from trajlm.systems.hidden_markov import HiddenMarkovProcess, markov_chain

# Three FRET states in a row, per second, seen ten times a second.
Q = np.array([[-0.25, 0.25, 0.0], [0.35, -0.6, 0.25], [0.0, 0.6, -0.6]])
DT = 0.1
PAIRS = Q > 0
LEVELS = np.array([0.2, 0.5, 0.8])
EDGES = np.linspace(-0.2, 1.2, 31)


def smfret(sigma, seed, n_traces=60, n_frames=600):
    """Return traces of binned efficiencies with Gaussian noise about three levels."""
    below = norm.cdf(EDGES, LEVELS[:, None], sigma)
    below[:, 0], below[:, -1] = 0.0, 1.0
    process = HiddenMarkovProcess(expm(Q * DT), np.diff(below), DT, "s")
    seen = process.simulate(n_frames, n_traces, seed)
    return States(seen.trajectories, 30, DT, "s", centers=(EDGES[1:] + EDGES[:-1]) / 2)


def exact_counts(T, c, n_frames):
    """Return the transitions expected, by following runs of every length one by one.

    A chain of (state held last for c frames, present state, frames in it up to c), as an oracle.
    """
    n = len(T)
    index = {}
    for held in range(n):
        for now in range(n):
            for run in range(1, c + 1):
                index[held, now, run] = len(index)
    W = np.zeros((len(index), len(index)))
    crossed = np.zeros((len(index), n, n))
    for (held, now, run), k in index.items():
        for nxt in range(n):
            length = min(run + 1, c) if nxt == now else 1
            reached = nxt if length == c else held
            W[k, index[reached, nxt, length]] += T[now, nxt]
            if reached != held:
                crossed[k, held, reached] += T[now, nxt]
    values, vectors = np.linalg.eig(W.T)
    pi = np.real(vectors[:, np.argmax(values.real)])
    pi /= pi.sum()
    return np.einsum("k,kij->ij", pi, crossed) * n_frames


@pytest.mark.parametrize("commit_time", [1, 2, 3, 5])
def test_the_counts_of_an_exact_chain_give_its_rate_matrix_at_any_commit_time(commit_time):
    T = expm(Q * DT)
    n_frames = 10**9
    pi = np.linalg.matrix_power(T, 10_000)[0]
    some = committed_transitions(np.array([0, 1, 2, 1, 0]), [commit_time])
    vars(some).update(
        counts=exact_counts(T, commit_time, n_frames)[None],
        exposure=(pi * n_frames)[None],
        dispersion=np.ones((1, 3, 3)),
        dt=DT,
    )
    found = rate_constants(some, commit_time)
    assert found.corrected
    np.testing.assert_allclose(found.values[PAIRS], Q[PAIRS], rtol=1e-4)
    assert found.values[0, 2] == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(found.dwells, -1 / np.diag(Q), rtol=1e-4)


@pytest.mark.parametrize("commit_time", [1, 5])
def test_intervals_of_rate_constants_and_dwells_hold_the_truth(commit_time):
    process = HiddenMarkovProcess.from_rates(Q, DT)
    inside = []
    for seed in range(40):
        states = process.simulate(600, 30, seed)
        found = rate_constants(committed_transitions(states, [commit_time]), commit_time)
        inside += list((found.low[PAIRS] <= Q[PAIRS]) & (Q[PAIRS] <= found.high[PAIRS]))
        truth = -1 / np.diag(Q)
        inside += list((found.dwells_low <= truth) & (truth <= found.dwells_high))
    # 280 intervals, not all independent.
    assert 0.90 <= np.mean(inside) <= 0.995


def test_the_ends_of_short_trajectories_do_not_bias_rate_constants():
    states = HiddenMarkovProcess.from_rates(Q, DT).simulate(20, 40_000, 0)
    for commit_time in (1, 2, 5):
        found = rate_constants(committed_transitions(states, [commit_time]), commit_time)
        np.testing.assert_allclose(found.values[PAIRS], Q[PAIRS], rtol=0.04)


def test_exposure_leaves_out_what_cannot_be_followed():
    states = States((np.array([0, 0, 1, 1, 1, 0, 0]), np.array([1, 1, 0])), 2)
    found = committed_transitions(states, [1, 2, 3])
    assert found.exposure.tolist() == [[3, 5], [1, 3], [0, 2]]


def test_what_was_never_seen_has_a_bound_and_what_was_not_counted_is_refused():
    states = States(np.repeat([0, 1], 500), 3, 0.5, "ns")
    found = rate_constants(committed_transitions(states, [1]), 1)
    assert found.values[1, 0] == found.low[1, 0] == 0
    assert found.high[1, 0] == pytest.approx(3.689 / (499 * 0.5), rel=1e-3)
    assert found.dwells[1] == np.inf
    assert np.isnan(found.values[2, 0])
    with pytest.raises(InputError, match="7"):
        rate_constants(committed_transitions(states, [1]), 7)


def test_a_step_that_was_never_made_has_no_rate():
    # Of 0 - 1 - 2 - 3 in a row the logarithm of the matrix has a small rate from end to end.
    leave = np.diag([0.1, 0.1, 0.1], 1) + np.diag([0.1, 0.1, 0.1], -1)
    chain = markov_chain(leave + np.diag(1 - leave.sum(axis=1)))
    found = rate_constants(committed_transitions(chain.simulate(20_000, 1, 0), [1]), 1)
    ends = abs(np.subtract.outer(range(4), range(4))) > 1
    assert (found.values[ends] == 0).all()
    assert (found.low[ends] == 0).all()
    assert (found.values[~ends & ~np.eye(4, dtype=bool)] > 0.1).all()


def test_a_commit_time_as_long_as_the_stays_is_not_corrected():
    states = States(np.tile(np.repeat([0, 1], 3), 300), 2)
    assert not rate_constants(committed_transitions(states, [3]), 3).corrected


@pytest.mark.parametrize("sigma", [0.06, 0.1, 0.14])
def test_hidden_states_of_noisy_traces_have_the_rates_of_the_truth(sigma):
    states = smfret(sigma, seed=0)
    grouping = group_by_hmm(states, 3)
    np.testing.assert_allclose(grouping.group_centers, LEVELS, atol=0.02)
    found = rate_constants(committed_transitions(grouping.apply(states), [2]), 2)
    assert ((found.low <= Q) & (found.high >= Q))[PAIRS].all()
    np.testing.assert_allclose(found.values[PAIRS], Q[PAIRS], rtol=0.15)


def test_the_same_data_has_the_same_path_and_another_level_is_another_state():
    states = smfret(0.08, seed=1, n_traces=10)
    grouping = group_by_hmm(states, 3)
    assert grouping.apply(states) == grouping.apply(states)
    strange = states.with_trajectories([np.full(5, 22, np.uint8)])
    assert grouping.apply(strange).trajectories[0].tolist() == [2] * 5


def test_hidden_states_with_matrices_that_do_not_fit_are_refused():
    states = smfret(0.08, seed=1, n_traces=2)
    with pytest.raises(InputError, match="shapes"):
        group_by_hidden_states(states, np.eye(2), np.ones((3, 30)) / 30, [0.5, 0.5])


@pytest.mark.parametrize("sigma", [0.04, 0.06])
def test_the_table_of_noisy_traces_holds_the_truth_for_data_and_models(sigma):
    states = smfret(sigma, seed=2)
    model = fit_hmm(states, 3)
    made = compare(states, {"HMM": model, "MSM": fit_msm(states)}, n_runs=2)
    assert [float(name) for name in made.grouping.names] == [0.2, 0.5, 0.8]
    tables = rate_tables(made)
    order = {name: k for k, name in enumerate(made.grouping.names)}
    judged = 0
    for row in tables.rates:
        truth = Q[order[row.source], order[row.target]]
        if truth == 0:
            continue
        judged += 1
        assert row.low <= truth <= row.high
        hmm, msm = row.models
        assert hmm.place == "inside"
        assert hmm.value == pytest.approx(truth, rel=0.2)
        assert hmm.low <= hmm.value <= hmm.high
        # A Markov model of the bins remembers no level.
        assert msm.place == "above" or sigma < 0.05
    assert judged == 4
    for row, truth in zip(tables.dwells, -1 / np.diag(Q), strict=True):
        assert row.low <= truth <= row.high
    slowest = tables.slowest
    # The second eigenvalue of the rate matrix.
    relaxation = -1 / np.sort(np.linalg.eigvals(Q).real)[-2]
    assert slowest.low <= relaxation <= slowest.high
    low, middle, high = made.grouping.names
    assert set(slowest.between) == {(low,), (middle, high)}


def test_groups_of_molecular_dynamics_stay_thresholds():
    # An Ornstein-Uhlenbeck walk in two wells: correlated from frame to frame.
    rng = np.random.default_rng(0)
    x, out = -1.0, np.empty(30_000)
    kicks = 0.19 * rng.normal(size=len(out))
    for t in range(len(out)):
        x += 0.05 * (4 * x - 4 * x**3) + kicks[t]
        out[t] = x
    bins = np.clip(((out + 2) / 4 * 20).astype(int), 0, 19)
    states = States(bins, 20, centers=np.linspace(-1.9, 1.9, 20))
    assert choose_grouping(states).method in ("pcca", "list")


def test_intervals_from_the_curvature_agree_with_the_bootstrap():
    rng = np.random.default_rng(0)
    stays = np.where(rng.random(3000) < 0.4, rng.exponential(3, 3000), rng.exponential(40, 3000))
    lengths = 1 + np.floor(stays).astype(int)
    path = np.repeat(np.arange(len(lengths)) % 2, lengths)
    dwells = dwell_times(States(path, 2), 0)
    one = fit_exponentials(dwells, 2, n_bootstrap=0)
    other = fit_exponentials(dwells, 2, n_bootstrap=60)
    for name in ("time_constants", "weights"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))
        for end in ("low", "high"):
            ours, theirs = (getattr(fit, f"{name}_{end}") for fit in (one, other))
            half = np.abs(theirs - getattr(other, name))
            np.testing.assert_allclose(ours, theirs, atol=0.35 * half.max())


def test_the_most_hidden_states_that_are_tried_are_named():
    states = smfret(0.06, seed=3, n_traces=30)
    with pytest.warns(TrajlmNote, match="2 hidden|3 hidden"):
        model = fit_hmm(states, max_hidden=3)
    assert model.record.stopped_at_most
    assert dict(model.record.facts())["hidden states"].startswith("3")
