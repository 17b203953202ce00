"""Markov and hidden Markov chains: simulating, scoring and drawing paths (forward algorithm)."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from trajlm.kernels.compiled import compiled
from trajlm.kernels.random_streams import uniform

F64 = npt.NDArray[np.float64]


@numba.njit()
def draw(cumulative: F64, u: float) -> int:
    """Return the index that the uniform number `u` selects from cumulative probabilities."""
    index = 0
    while index < cumulative.shape[0] - 1 and u >= cumulative[index]:
        index += 1
    return index


@compiled
def simulate_chain(
    cumulative: F64, state: int, key: np.uint64, first: int, out: npt.NDArray[Any]
) -> int:
    """Write the states that follow `state`, by cumulative transition rows; return the last."""
    for t in range(out.shape[0]):
        state = draw(cumulative[state], uniform(key, np.uint64(first + t)))
        out[t] = state
    return state


@compiled
def simulate_hidden_chain(
    cumulative: F64,
    cumulative_emission: F64,
    hidden: int,
    key: np.uint64,
    first: int,
    out: npt.NDArray[Any],
) -> int:
    """Write what the hidden states that follow `hidden` emit; return the last hidden state."""
    for t in range(out.shape[0]):
        counter = np.uint64(2 * (first + t))
        hidden = draw(cumulative[hidden], uniform(key, counter))
        out[t] = draw(cumulative_emission[hidden], uniform(key, counter + np.uint64(1)))
    return hidden


@compiled
def forward_log_probs(
    transition: F64, emission: F64, initial: F64, path: npt.NDArray[Any], out: F64
) -> None:
    """Write ln P(path[t+1] | path[0..t]) by the scaled forward algorithm."""
    n = transition.shape[0]
    alpha = initial * emission[:, path[0]]
    alpha /= alpha.sum()
    after = np.empty(n)
    for t in range(path.shape[0] - 1):
        scale = 0.0
        for j in range(n):
            p = 0.0
            for i in range(n):
                p += alpha[i] * transition[i, j]
            after[j] = p * emission[j, path[t + 1]]
            scale += after[j]
        out[t] = math.log(scale)
        for j in range(n):
            alpha[j] = after[j] / scale


@compiled
def expected_counts(
    transition: F64,
    emission: F64,
    initial: F64,
    path: npt.NDArray[Any],
    alpha: F64,
    scales: F64,
    first: F64,
    shown: F64,
    steps: F64,
) -> float:
    """Add the expected counts of one trajectory (forward-backward) and return ln P(path).

    Parameters
    ----------
    transition, emission, initial
        Shapes (m, m), (m, n), (m,).
    path
        Shape (T,).
    alpha, scales
        Work space of shapes (T, m) and (T,) at least.
    first
        Added to: probability of each hidden state at the first frame, shape (m,).
    shown
        Added to: expected frames in hidden state h that show state s, shape (m, n).
    steps
        Added to: expected steps from h to k, over transition[h, k], shape (m, m).
    """
    m, n_frames = transition.shape[0], path.shape[0]
    log_likelihood = 0.0
    for t in range(n_frames):
        row = alpha[t]
        if t == 0:
            for j in range(m):
                row[j] = initial[j]
        else:
            before = alpha[t - 1]
            for j in range(m):
                row[j] = 0.0
            for i in range(m):
                for j in range(m):
                    row[j] += before[i] * transition[i, j]
        scale = 0.0
        for j in range(m):
            row[j] *= emission[j, path[t]]
            scale += row[j]
        for j in range(m):
            row[j] /= scale
        scales[t] = scale
        log_likelihood += math.log(scale)
    # beta is scaled so that alpha beta is the probability of each hidden state given the path.
    beta, ahead = np.ones(m), np.empty(m)
    for t in range(n_frames - 1, -1, -1):
        for j in range(m):
            shown[j, path[t]] += alpha[t, j] * beta[j]
        if t == 0:
            break
        for j in range(m):
            ahead[j] = beta[j] * emission[j, path[t]] / scales[t]
        for i in range(m):
            total = 0.0
            for j in range(m):
                total += transition[i, j] * ahead[j]
                steps[i, j] += alpha[t - 1, i] * ahead[j]
            beta[i] = total
    for j in range(m):
        first[j] += alpha[0, j] * beta[j]
    return log_likelihood


@compiled
def most_likely_path(
    log_transition: F64,
    log_emission: F64,
    log_initial: F64,
    path: npt.NDArray[Any],
    came_from: npt.NDArray[Any],
    out: npt.NDArray[Any],
) -> None:
    """Write the hidden path of the highest probability (Viterbi's algorithm).

    Parameters
    ----------
    log_transition, log_emission, log_initial
        Shapes (m, m), (m, n) and (m,).
    path
        What was seen, shape (T,).
    came_from
        Room for T x m hidden states.
    out
        The hidden path, shape (T,).
    """
    m = log_initial.shape[0]
    best = log_initial + log_emission[:, path[0]]
    after = np.empty(m)
    for t in range(1, path.shape[0]):
        for j in range(m):
            source, highest = 0, -np.inf
            for i in range(m):
                reached = best[i] + log_transition[i, j]
                if reached > highest:
                    source, highest = i, reached
            after[j] = highest + log_emission[j, path[t]]
            came_from[t, j] = source
        best[:] = after
    hidden = best.argmax()
    for t in range(path.shape[0] - 1, 0, -1):
        out[t] = hidden
        hidden = came_from[t, hidden]
    out[0] = hidden


@compiled
def draw_hidden_path(
    transition: F64,
    emission: F64,
    initial: F64,
    path: npt.NDArray[Any],
    key: np.uint64,
    alpha: F64,
    out: npt.NDArray[Any],
) -> None:
    """Draw one hidden path from its probability given the whole trajectory.

    Forward filtering and backward sampling. A state that no hidden state shows says nothing.

    Parameters
    ----------
    transition, emission, initial
        Shapes (m, m), (m, n), (m,).
    path
        Shape (T,).
    key
        Of the random numbers.
    alpha
        Work space of shape (T, m) at least.
    out
        The hidden states, shape (T,).
    """
    m, n_frames = transition.shape[0], path.shape[0]
    before = np.empty(m)
    for t in range(n_frames):
        scale, shown = 0.0, 0.0
        for j in range(m):
            p = 0.0
            if t == 0:
                p = initial[j]
            else:
                for i in range(m):
                    p += alpha[t - 1, i] * transition[i, j]
            before[j] = p
            alpha[t, j] = p * emission[j, path[t]]
            scale += alpha[t, j]
            shown += p
        for j in range(m):
            if scale > 0:
                alpha[t, j] /= scale
            else:
                alpha[t, j] = before[j] / shown
    cumulative = np.empty(m)
    following = 0
    for t in range(n_frames - 1, -1, -1):
        total = 0.0
        for j in range(m):
            weight = alpha[t, j]
            if t < n_frames - 1:
                weight *= transition[j, following]
            total += weight
            cumulative[j] = total
        following = draw(cumulative, uniform(key, np.uint64(t)) * total)
        out[t] = following
