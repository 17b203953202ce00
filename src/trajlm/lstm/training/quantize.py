"""Rounding the recurrent weights of a trained model for generation, within a tolerance.

From some hundred units on, a lane that is alone waits for its weights: with one byte each it is
twice as fast as in half precision. Rounded to the nearest, one byte changes log probabilities
too much. Here the errors of a weight's neighbours make up for its own in the hidden states that
occur (`trajlm.kernels.rounding`), and the units that say most about all others keep a byte and a
half: as few as keep the log probabilities of the states within a tolerance on trajectories of the
model itself, also on hot ones, which visit what is rare. Generation rounds hidden states as well,
to 16 bits, which changes log probabilities by some 2e-5 and is not looked at.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from trajlm.lstm.loops import loops
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.quantization import precision
from trajlm.lstm.quantization.weights import (
    BYTE,
    HALF_BYTE,
    MOST,
    RoundedWeights,
    in_two_bytes,
    worth_of_one,
)
from trajlm.lstm.record import Rounding
from trajlm.lstm.tables import StepTables
from trajlm.util.arrays import F32, F64, I64, IntArray
from trajlm.util.devices import threads_of

if TYPE_CHECKING:
    from trajlm.kernels.arguments import Recurrent


# Temperatures of the trajectories that are looked at, and the largest change of a log probability
# that is taken on them. Promised is 2e-3, and on twenty times as many frames the largest was
# up to three times that on these. When it is hot, pasts come up that are rare else.
ALLOWED = {1.0: 5e-4, 2.0: 2e-3}
# Shares of the units that may keep a byte and a half, the first that suffices.
SHARES = (0.0, 0.25, 0.5, 1.0)
# Trajectories at each temperature, and their frames: to learn from, and to look at.
N_LANES, FRAMES, FRAMES_CHECKED = 48, 200, 100
# Added to the mean squares of the units, in parts of their mean.
DAMPING = 1e-3


def round_for_generation(
    model: LSTMModel, seed: int = 0, n_threads: int | None = None
) -> tuple[LSTMModel, Rounding | None]:
    """Return the model with rounded recurrent weights for generation, and what was done.

    Parameters
    ----------
    model
        As trained.
    seed
        Fixes the result.
    n_threads
        Threads that work on it; they do not change the result.

    Returns
    -------
    tuple
        The model, and None if it is as it was: small, or with too large errors. Generation then
        reads large networks in half precision.
    """
    if model.hidden_dim < precision.REDUCED_FROM:
        return model, None
    tables, weights, L = model.tables, model.weights.recurrent_weights, model.hidden_dim
    paths = [
        np.array(
            model.generate(
                FRAMES + FRAMES_CHECKED,
                N_LANES,
                seed,
                temperature=temperature,
                n_threads=n_threads,
            ).trajectories
        )
        for temperature in ALLOWED
    ]
    with ThreadPoolExecutor(threads_of(n_threads)) as pool:
        grams = list(pool.map(partial(_gram, tables), paths))
        factor, order = _cholesky(sum(grams, np.zeros(()))[:L, :L])
        exact = list(pool.map(partial(_log_probs, tables, tables.recurrent), paths))
        for share in SHARES:
            n_fine = round(share * L)
            rounded = _round(weights, factor, order, n_fine, pool)
            reduced = precision.single_precision(rounded.weights)
            found = pool.map(partial(_log_probs, tables, reduced), paths)
            changes = [float(np.abs(a - b).max()) for a, b in zip(exact, found, strict=True)]
            if all(x <= most for x, most in zip(changes, ALLOWED.values(), strict=True)):
                done = Rounding(L, n_fine, N_LANES * FRAMES_CHECKED, (changes[0], changes[1]))
                new = LSTMModel(model.weights, model.space, model.starts, model.record, rounded)
                return new, done
    return model, None


def _gram(tables: StepTables, paths: IntArray) -> F64:
    """Return the sum of h h^T over the first `FRAMES` frames, for L padded to whole panels."""
    from trajlm.kernels.arrays import cache_aligned

    panel = loops().PANEL
    columns = -(-tables.hidden_dim // panel) * panel
    gram = cache_aligned((columns, columns))
    loops().add_gram(tables.inputs, tables.recurrent, paths[:, :FRAMES], gram)
    return gram.astype(np.float64)


def _log_probs(tables: StepTables, recurrent: Recurrent, paths: IntArray) -> F64:
    """Return the log probabilities of the states of the last `FRAMES_CHECKED` frames."""
    t = tables
    out = np.empty((len(paths), paths.shape[1] - 1))
    loops().score_lanes(t.inputs, recurrent, t.readout, t.skip, paths, out)
    return out[:, -FRAMES_CHECKED:]


def _cholesky(gram: F64) -> tuple[F32, I64]:
    """Return C and the order of its columns, from G or a multiple of it."""
    from trajlm.kernels.rounding import pivoted_cholesky

    damped = gram + DAMPING * gram.trace() / len(gram) * np.eye(len(gram))
    order = np.empty(len(gram), np.int64)
    pivoted_cholesky(damped, order)
    return np.tril(damped).astype(np.float32), order


def _round(
    weights: F32, factor: F32, order: I64, n_fine: int, pool: ThreadPoolExecutor
) -> RoundedWeights:
    """Return the rounded weights; the first `n_fine` units of the order keep a byte and a half."""
    from trajlm.kernels.rounding import round_rows

    worth = worth_of_one(weights)
    multiples = np.where(np.arange(len(order)) < n_fine, HALF_BYTE, BYTE)
    integers = np.empty(weights.shape, np.int32)

    def some(gate: slice) -> None:
        round_rows(weights[gate], worth[gate], factor, order, multiples, MOST, integers[gate])

    L = len(order)
    list(pool.map(some, [slice(k * L, (k + 1) * L) for k in range(4)]))
    return in_two_bytes(integers, worth, order[:n_fine].copy())
