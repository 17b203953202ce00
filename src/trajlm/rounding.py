"""Rounding the recurrent weights of a trained model for generation, within a tolerance.

From some hundred units on, a lane that is alone waits for its weights: with one byte each it is
twice as fast as in half precision. Rounded to the nearest, one byte changes log probabilities
too much. Here the errors of a weight's neighbours make up for its own in the hidden states that
occur (`trajlm.kernels.rounding`), and the units that say most about all others keep two bytes:
as few as keep every log probability within the tolerance on trajectories of the model itself, also
on hot ones, which visit what is rare.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from trajlm.data import IntArray
from trajlm.devices import usable_cores
from trajlm.models import precision
from trajlm.models.lstm import LSTMModel, StepTables
from trajlm.models.rounded import RoundedWeights, scales_of

# Temperatures of the trajectories that are looked at, and the largest change of a log probability
# that is taken on them. Promised is 2e-3, and on twenty times as many frames the largest was
# up to three times that on these. When it is hot, pasts come up that are rare else.
ALLOWED = {1.0: 5e-4, 2.0: 2e-3}
# Shares of the units that may keep two bytes, the first that suffices.
SHARES = (0.0, 0.125, 0.25, 0.5)
# Trajectories at each temperature, and their frames: to learn from, and to look at.
N_LANES, FRAMES, FRAMES_CHECKED = 48, 200, 100
# Added to the mean squares of the units, in parts of their mean.
DAMPING = 1e-3


@dataclass(frozen=True)
class Rounding:
    """How the recurrent weights were rounded.

    Parameters
    ----------
    hidden_dim, n_fine
        Units, and how many of them keep two bytes.
    n_frames
        Frames that were looked at, at each temperature.
    changes
        The largest change of a log probability on those at 1 and on hot ones.
    """

    hidden_dim: int
    n_fine: int
    n_frames: int
    changes: tuple[float, ...]

    def describe(self) -> str:
        """Say in a line what was done and what it changes."""
        own, hot = self.changes
        fine = f", those of {self.n_fine} of {self.hidden_dim} units of 16" if self.n_fine else ""
        return (
            f"where the machine multiplies bytes, with recurrent weights of 8 bits{fine}: log "
            f"probabilities within {own:.1e} of those of the trained weights on "
            f"{self.n_frames:,} frames of its own, {hot:.1e} on hotter ones"
        )


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
        reads two bytes of all weights, or half precision.
    """
    if model.hidden_dim < precision.REDUCED_FROM:
        return model, None
    tables, weights, L = model.tables, model.weights.recurrent_weights, model.hidden_dim
    n_steps = FRAMES + FRAMES_CHECKED
    paths = [
        np.array(
            model.generate(
                n_steps, N_LANES, seed, temperature=temperature, n_threads=n_threads
            ).trajectories
        )
        for temperature in ALLOWED
    ]
    with ThreadPoolExecutor(n_threads or usable_cores()) as pool:
        grams = pool.map(partial(_gram, tables), [p[:, :FRAMES] for p in paths])
        factor, order = _cholesky(sum(grams, np.zeros(()))[:L, :L])
        for share in SHARES:
            n_fine = round(share * L)
            rounded = _round(weights, factor, order, n_fine)
            changes = tuple(pool.map(partial(_largest_change, tables, rounded), paths))
            if all(x <= most for x, most in zip(changes, ALLOWED.values(), strict=True)):
                done = Rounding(L, n_fine, N_LANES * FRAMES_CHECKED, changes)
                new = LSTMModel(model.weights, model.space, model.starts, model.record, rounded)
                return new, done
    return model, None


def _gram(tables: StepTables, paths: IntArray) -> npt.NDArray[np.float64]:
    """Return the sum of h h^T over all frames of the paths, for L padded to whole panels."""
    from trajlm.kernels.arrays import cache_aligned
    from trajlm.kernels.rounding import add_gram
    from trajlm.kernels.tile import PANEL

    columns = -(-tables.hidden_dim // PANEL) * PANEL
    gram = cache_aligned((columns, columns))
    add_gram(tables.inputs, tables.recurrent, paths, gram)
    return gram.astype(np.float64)


def _cholesky(
    gram: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return C and the order of its columns, from G or a multiple of it."""
    from trajlm.kernels.rounding import pivoted_cholesky

    damped = gram + DAMPING * gram.trace() / len(gram) * np.eye(len(gram))
    order = np.empty(len(gram), np.int64)
    pivoted_cholesky(damped, order)
    return np.tril(damped).astype(np.float32), order


def _round(
    weights: npt.NDArray[np.float32],
    factor: npt.NDArray[np.float32],
    order: npt.NDArray[np.int64],
    n_fine: int,
) -> RoundedWeights:
    """Return the rounded weights, with two bytes for the first `n_fine` units of the order."""
    from trajlm.kernels.rounding import round_rows

    scales = scales_of(weights)
    high = np.empty(weights.shape, np.int8)
    low = np.empty((len(weights), n_fine), np.int8)
    round_rows(weights, scales, factor, order, high, low)
    return RoundedWeights(high, low, order[:n_fine].copy(), scales)


def _largest_change(tables: StepTables, rounded: RoundedWeights, paths: IntArray) -> float:
    """Return the largest change of a log probability on the frames that are looked at."""
    from trajlm.kernels.rounding import largest_change

    t, other = tables, precision.single_precision(rounded.weights)
    return float(largest_change(t.inputs, t.recurrent, other, t.readout, t.skip, paths, FRAMES))
