"""Records with gaps in time: cut where frames are missing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.io.sources import PathLike, first_bad_step
from trajlm.provenance import Note
from trajlm.util.warn import warn

# A step beyond this many typical ones is a gap: frames are missing there.
GAP = 1.5
# Beyond this many, frames are missing even where the times are printed too coarsely to be even.
CLEAR_GAP = 3.0
# Where more than this share of the steps are gaps, the times are uneven rather than gapped.
LARGEST_SHARE_OF_GAPS = 0.1


@dataclass(frozen=True)
class Clock:
    """Time between two frames and its unit."""

    dt: float = 1.0
    unit: str = "frame"


@dataclass(frozen=True)
class Segments:
    """The even stretches of a record.

    Parameters
    ----------
    dt
        Time between two frames within a stretch.
    pieces
        Its frames, one slice a stretch of at least two frames.
    notes
        What was cut and dropped.
    """

    dt: float
    pieces: tuple[slice, ...]
    notes: tuple[Note, ...]


def even_segments(
    times: npt.NDArray[np.float64], quantum: float
) -> tuple[float, npt.NDArray[np.int64]] | int:
    """Find the step of increasing times and the frames before which others are missing.

    Parameters
    ----------
    times
        Shape (n,), n at least 2, not decreasing.
    quantum
        The step in which the times are printed; 0 where they are binary.

    Returns
    -------
    (dt, starts) or frame
        The step and the first frame of each stretch but the first; or the first frame after a
        step that is neither typical nor a gap.
    """
    step, _, bad = first_bad_step(times, quantum)
    if bad is None:
        return step, np.zeros(0, np.int64)
    steps = np.diff(times)
    gaps = steps > GAP * step
    if step <= 0 or (gaps.mean() > LARGEST_SHARE_OF_GAPS and gaps.sum() > 1):
        return bad
    # With each gap drawn together to one typical step, the times must be even.
    closed = times - np.concatenate([[0.0], np.cumsum(np.where(gaps, steps - step, 0.0))])
    # What was cut out carries the rounding of the times that it was cut from.
    rounding = max(quantum, 2.4e-7 * float(np.abs(times).max()))
    step, _, bad = first_bad_step(closed, rounding)
    return bad if bad is not None else (step, np.flatnonzero(gaps) + 1)


def clear_gaps(times: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return the first frames after gaps in times that are even but for rounding or jitter.

    Empty where there is no gap, or where the steps differ by so much that none is typical.
    """
    steps = np.diff(times)
    typical = float(np.median(steps))
    gaps = steps > CLEAR_GAP * typical
    others_alike = (np.abs(steps[~gaps] - typical) <= 0.5 * typical).all()
    if typical <= 0 or not others_alike or gaps.mean() > LARGEST_SHARE_OF_GAPS:
        return np.zeros(0, np.int64)
    return np.flatnonzero(gaps) + 1


def cut_at_gaps(
    times: npt.NDArray[np.float64],
    path: PathLike,
    what: str,
    places: npt.NDArray[np.int64],
    quantum: float = 0.0,
) -> Segments:
    """Return the even stretches of a record, with a warning where it was cut.

    Parameters
    ----------
    times
        Shape (n,).
    path, what, places
        Named in messages: `places` holds the number of each frame's `what` (line or frame).
    quantum
        As for `even_segments`.

    Raises
    ------
    InputError
        Fewer than two frames, a time that goes backwards or stands still, uneven steps.
    """
    if len(times) < 2:
        raise InputError(f"{path} holds {len(times)} frame(s): at least two are needed")
    steps = np.diff(times)
    if not np.isfinite(times).all() or (steps <= 0).any():
        at = int(np.argmax(~(steps > 0))) + 1
        raise InputError(
            f"{path}, {what} {places[at]}: the time goes from {times[at - 1]:.10g} to "
            f"{times[at]:.10g}, give each trajectory its own file"
        )
    found = even_segments(times, quantum)
    if isinstance(found, int):
        raise InputError(
            f"{path}, {what} {places[found]}: the time is not evenly spaced, it goes from "
            f"{times[found - 1]:.10g} to {times[found]:.10g}; give dt and leave the time out"
        )
    return segments(times, *found, path, what, places)


def segments(
    times: npt.NDArray[np.float64],
    dt: float,
    starts: npt.NDArray[np.int64],
    path: PathLike,
    what: str,
    places: npt.NDArray[np.int64],
) -> Segments:
    """Return the stretches that begin at `starts` as `Segments`, with a warning."""
    if len(starts) == 0:
        return Segments(dt, (slice(0, len(times)),), ())
    borders = [0, *starts.tolist(), len(times)]
    pieces = [slice(a, b) for a, b in pairwise(borders)]
    kept = tuple(piece for piece in pieces if piece.stop - piece.start >= 2)
    first = int(starts[0])
    note = (
        f"{path}: {len(starts)} gap(s) in the time, the first at {what} {places[first]} from "
        f"{times[first - 1]:.10g} to {times[first]:.10g}, cut it into {len(kept)} trajectories"
    )
    if len(kept) < len(pieces):
        note += f"; {len(pieces) - len(kept)} lone frame(s) between gaps were dropped"
    warn(note)
    return Segments(dt, kept, (Note(note, "gap"),))
