"""The lag from which a Markov state model is Markovian, as the implied timescales show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.analysis.kinetics import commit_times
from trajlm.analysis.timescales import (
    N_PARTS,
    Eigenvalues,
    Timescales,
    counted_timescales,
    slowest_eigenvalues,
)
from trajlm.analysis.uncertainty import FEW_EVENTS
from trajlm.data import States
from trajlm.errors import InputError
from trajlm.kernels.stochastic import implied_timescales
from trajlm.util.arrays import F64
from trajlm.util.words import counted

# Timescales that are looked at.
SLOWEST = 3
# The longest lag is this share of the longest trajectory, where that is not asked otherwise.
SHARE = 0.1
# A timescale that still rises by less than this is level, however well it is known.
LEVEL = 0.05


@dataclass(frozen=True)
class LagChoice:
    """The lag of a Markov state model, and what speaks for it.

    Parameters
    ----------
    lag
        The shortest from which the slowest timescales are level, in frames.
    why
        The reason, in a sentence.
    level
        Whether any lag was found to be long enough; otherwise `lag` is the longest at which the
        timescales are still known.
    timescales
        The slowest implied timescales at each lag that was tried, with their intervals.
    """

    lag: int
    why: str
    level: bool
    timescales: tuple[Timescales, ...]


def choose_lag(states: States, longest: int | None = None) -> LagChoice:
    """Return the shortest lag from which the slowest implied timescales no longer rise.

    Lags of 1, 2, 5, 10 ... frames are tried. At each, those of the three slowest timescales are
    looked at that are longer than the lag and rest on ten events or more. They are level when no
    longer lag gives one that is larger by more than 5 % and by more than twice the standard error
    of the logarithm of their ratio, over 20 parts of the data. Source: Prinz et al., J. Chem. Phys.
    134:174105 (2011).

    Parameters
    ----------
    states
        The data.
    longest
        The longest lag in frames; a tenth of the longest trajectory when None.

    Raises
    ------
    InputError
        A longest lag that no trajectory spans.
    """
    frames = max(len(s) for s in states)
    limit = max(int(SHARE * frames), 1) if longest is None else longest
    if not 1 <= limit < frames:
        raise InputError(f"lag {limit} is out of range: the longest trajectory has {frames} frames")
    tried: list[tuple[int, Eigenvalues]] = []
    for lag in commit_times(limit).tolist():
        found = slowest_eigenvalues(states, lag, SLOWEST)
        if not _known(found, lag).any():
            break
        tried.append((lag, found))
    if not tried:
        why = "no timescale is longer than a frame and rests on ten events"
        return LagChoice(1, why, False, (counted_timescales(states, 1, SLOWEST),))
    evidence = tuple(counted_timescales(states, lag, SLOWEST) for lag, _ in tried)
    for k, (lag, found) in enumerate(tried[:-1]):
        if not any(_rises(lag, found, *later) for later in tried[k + 1 :]):
            last = counted(tried[-1][0], "frame", "frames")
            why = f"from a lag of {counted(lag, 'frame', 'frames')} to one of {last} the slowest "
            return LagChoice(lag, f"{why}timescales do not rise beyond their error", True, evidence)
    lag = tried[-1][0]
    why = f"the slowest timescales still rise at a lag of {counted(lag, 'frame', 'frames')}"
    return LagChoice(lag, why, False, evidence)


def _known(found: Eigenvalues, lag: int) -> npt.NDArray[np.bool_]:
    """Return which timescales are longer than the lag and rest on enough events."""
    lost = 1 - found.moduli
    enough = lost**2 >= FEW_EVENTS * found.variance
    known: npt.NDArray[np.bool_] = (
        (lost > 0) & enough & (implied_timescales(found.moduli, lag) > lag)
    )
    return known


def _rises(lag: int, found: Eigenvalues, later_lag: int, later: Eigenvalues) -> bool:
    """Return whether a timescale is longer at the later lag by more than its error."""
    both = _known(found, lag) & _known(later, later_lag)
    times = [implied_timescales(e.moduli, t) for e, t in ((found, lag), (later, later_lag))]
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.log(times[1] / times[0])
    error = np.zeros(len(rise))
    if found.moved is not None and later.moved is not None:
        steps = _relative(later) - _relative(found)
        error = np.sqrt(N_PARTS / (N_PARTS - 1) * (steps**2).sum(axis=0))
    return bool((both & (rise > np.maximum(2 * error, LEVEL))).any())


def _relative(found: Eigenvalues) -> F64:
    """Return what each part of the data adds to the logarithm of each timescale."""
    assert found.moved is not None
    kept = np.clip(found.moduli, 1e-12, 1 - 1e-12)
    relative: F64 = found.moved / (-kept * np.log(kept))
    return relative
