"""The one checker of times: restarts and repeats dropped, gaps cut, the time step found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from trajlm.errors import InputError
from trajlm.io.sources import PathLike
from trajlm.provenance import Note
from trajlm.util.arrays import F64, I64

Rows = I64

# A step beyond this many typical ones is a gap: frames are missing there.
GAP = 1.5
# Beyond this many, frames are missing even where the times are printed too coarsely to be even.
CLEAR_GAP = 3.0
# Where more than this share of the steps are gaps, the times are uneven rather than gapped.
LARGEST_SHARE_OF_GAPS = 0.1
# Times may have been held in single precision: so much of them is rounding.
SINGLE_PRECISION = 2.4e-7


@dataclass(frozen=True)
class Times:
    """A column of times and what is needed to name a place in it.

    Parameters
    ----------
    values
        Shape (n,), finite.
    path, place
        Named in messages; `place` returns ``line 12`` or ``frame 11`` for a row.
    quantum
        The step in which the times are printed; 0 where they are binary.
    unit
        Written behind times in messages; empty where it is not known.
    marks
        Rows before which a header or a broken line stands, as a restart leaves them.
    same_row
        Whether a row holds the same numbers as the row before it.
    remedy
        What to do about a time that goes back.
    """

    values: F64
    path: PathLike
    place: Callable[[int], str]
    quantum: float = 0.0
    unit: str = ""
    marks: Sequence[int] = ()
    same_row: Callable[[int], bool] = lambda row: False
    remedy: str = "give each trajectory its own file"

    def shown(self, row: int) -> str:
        """Return a time as it was meant, 0.2 where single precision holds 0.200000003."""
        value = float(self.values[row])
        single = float(str(np.float32(value)))
        text = f"{single if float(np.float32(value)) == value else value:.10g}"
        return f"{text} {self.unit}".rstrip()


@dataclass(frozen=True)
class Timeline:
    """The even stretches of a record.

    Parameters
    ----------
    dt
        Time between two frames; None where it is uneven, or there is only one frame.
    pieces
        The rows of each stretch, increasing.
    notes
        What was dropped and cut.
    uneven
        What is wrong with the spacing; None where nothing is.
    """

    dt: float | None
    pieces: tuple[Rows, ...]
    notes: tuple[Note, ...] = ()
    uneven: str | None = None


def follow(times: Times) -> Timeline:
    """Return the frames that stand, cut where others are missing.

    Frames that a restart wrote again are dropped, the later copy stands; a frame written twice
    is dropped once.

    Raises
    ------
    InputError
        A time that goes back or stands still, a restart that leaves nothing of what was before.
    """
    t = times.values
    kept, notes = _after_restarts(times)
    if len(kept) < 2:
        return Timeline(None, (kept,), notes)
    if t[kept[0]] == t[kept[-1]] and not np.diff(t[kept]).any():
        found = f"{times.path}: all times are {times.shown(int(kept[0]))}, so they say no dt"
        return Timeline(None, (kept,), notes, found)
    kept, doubled = _without_repeats(times, kept)
    notes += doubled
    step, starts, bad = _spacing(t[kept], times.quantum)
    uneven = None
    if bad is not None:
        uneven = (
            f"{times.path}, {times.place(int(kept[bad]))}: the time is not evenly spaced, it goes "
            f"from {times.shown(int(kept[bad - 1]))} to {times.shown(int(kept[bad]))} where a step "
            f"of {step:.6g} was expected"
        )
        starts = _clear_gaps(t[kept])
    pieces, cut = _cut(times, kept, starts)
    return Timeline(None if bad is not None else step, pieces, notes + cut, uneven)


def _after_restarts(times: Times) -> tuple[Rows, tuple[Note, ...]]:
    """Return the rows that stand after all restarts, and what was dropped."""
    t = times.values
    borders = [0, *sorted({m for m in times.marks if 0 < m < len(t)}), len(t)]
    blocks = [np.arange(a, b) for a, b in pairwise(borders) if b > a]
    for block in blocks:
        back = np.flatnonzero(np.diff(t[block]) < 0)
        if len(back):
            row = int(block[back[0]])
            raise InputError(
                f"{times.path}, {times.place(row + 1)}: the time goes back from "
                f"{times.shown(row)} to {times.shown(row + 1)}, {times.remedy}"
            )
    kept, notes = blocks[0], []
    slack = _slack(t, blocks)
    for block in blocks[1:]:
        start, place = times.shown(int(block[0])), times.place(int(block[0]))
        first = float(t[block[0]])
        n_before = int(np.searchsorted(t[kept], first - slack))
        n_repeated = len(kept) - n_before
        if first < t[kept[0]] - slack:
            raise InputError(
                f"{times.path}, {place}: a restart at time {start} lies before the first frame, "
                f"{times.shown(int(kept[0]))}: give each run its own file"
            )
        # One frame is what a run leaves that is stopped at its start; more are a run.
        if n_before == 0 and n_repeated > 1:
            raise InputError(
                f"{times.path}, {place}: the time starts over at {start}, so that all "
                f"{n_repeated} frames before it would be dropped: these are two runs in one file, "
                "give each its own file"
            )
        if n_repeated:
            frames = "frame" if n_repeated == 1 else "frames"
            text = (
                f"{times.path}: {n_repeated} repeated {frames} after a restart at time {start} "
                "were dropped, the later copy stands"
            )
            notes.append(Note(text, "restart"))
        kept = np.concatenate([kept[:n_before], block])
    return kept, tuple(notes)


def _slack(t: F64, blocks: Sequence[Rows]) -> float:
    steps = np.concatenate([np.diff(t[block]) for block in blocks])
    return 0.1 * float(np.median(steps)) if len(steps) and len(blocks) > 1 else 0.0


def _without_repeats(times: Times, kept: Rows) -> tuple[Rows, tuple[Note, ...]]:
    """Return the rows without those that repeat the row before them, time and all."""
    steps = np.diff(times.values[kept])
    still = np.flatnonzero(steps == 0) + 1
    if len(still) == 0:
        return kept, ()
    rounding = _rounding(times.values[kept], times.quantum)
    near = steps[steps <= CLEAR_GAP * max(float(np.median(steps)), rounding)]
    coarse = rounding > 0.4 * float(near.mean())
    if coarse and len(still) > LARGEST_SHARE_OF_GAPS * len(steps):
        return kept, ()  # many steps are lost to rounding
    for k in still.tolist():
        row = int(kept[k])
        if kept[k - 1] != row - 1 or not times.same_row(row):
            raise InputError(
                f"{times.path}, {times.place(row)}: the time stands still at {times.shown(row)} "
                "while the values change, give each trajectory its own file or give dt and leave "
                "the time out"
            )
    n = len(still)
    note = (
        f"{times.path}: {n} {'frame that repeats' if n == 1 else 'frames that repeat'} the one "
        f"before {'was' if n == 1 else 'were'} dropped, the first at "
        f"{times.place(int(kept[still[0]]))}"
    )
    return np.delete(kept, still), (Note(note, "repeat"),)


def _spacing(times: F64, quantum: float) -> tuple[float, Rows, int | None]:
    """Return the step, the frames before which others are missing, and the first bad frame."""
    none = np.zeros(0, np.int64)
    step, bad = _even_step(times, quantum)
    if bad is None:
        return step, none, None
    coarse = _coarse_step(times, quantum)
    # Printed times are multiples of what they are printed in: a longer step is a gap. Those in
    # single precision need not be: a longer step may be a rounded one.
    printed = quantum >= _rounding(times, 0.0)
    if coarse is not None and not printed:
        return *coarse, None
    steps = np.diff(times)
    gaps = steps > (GAP * step if printed else max(GAP * step, step + 1.5 * _rounding(times, 0.0)))
    if step > 0 and (gaps.mean() <= LARGEST_SHARE_OF_GAPS or gaps.sum() == 1):
        # With each gap drawn together to one typical step, the times must be even.
        closed = times - np.concatenate([[0.0], np.cumsum(np.where(gaps, steps - step, 0.0))])
        # What was cut out carries the rounding of the times that it was cut from.
        rounding = max(quantum, SINGLE_PRECISION * float(np.abs(times).max()))
        even, still_bad = _even_step(closed, rounding)
        if still_bad is None:
            return even, np.flatnonzero(gaps) + 1, None
    return (*coarse, None) if coarse is not None else (step, none, bad)


def _rounding(times: F64, quantum: float) -> float:
    """Return by how much times may be rounded: to printed digits, or to single precision."""
    single = times.astype(np.float32)
    held = float(np.spacing(np.abs(single).max())) if (single == times).all() else 0.0
    return max(quantum, held)


def _even_step(times: F64, quantum: float) -> tuple[float, int | None]:
    """Find the step of increasing times and the first frame that breaks it, None if none does.

    The times are decimal numbers printed with a step of `quantum`, or were held in single
    precision, so a step may be off by that much, but never by a tenth of a step or more: a
    missing frame is always seen.
    """
    steps = np.diff(times)
    # One of the steps, not a mean of two.
    typical = float(np.partition(steps, (len(steps) - 1) // 2)[(len(steps) - 1) // 2])
    largest = float(np.abs(times).max())
    tolerance = min(max(quantum, SINGLE_PRECISION * largest), 0.1 * typical) + 1e-12 * largest
    wrong = np.abs(steps - typical) > tolerance * (1 + 1e-9)
    if typical <= 0 or wrong.any():
        return typical, int(np.argmax(wrong)) + 1
    mean = (times[-1] - times[0]) / len(steps)
    # Nine digits: a step of 0.1 must come back as 0.1, not as 0.09999999999999432.
    return float(f"{mean:.9g}"), None


def _coarse_step(times: F64, quantum: float) -> tuple[float, Rows] | None:
    """Return step and gaps of times so coarse that single steps say little; None where they don't.

    Late in a long run single precision holds times in steps of, say, 0.125 ps, so that frames
    each 0.16 ps lie 0.125 or 0.25 apart. Their distances from a straight line stay within the
    rounding all the same; where a frame is missing they do not.
    """
    rounding = _rounding(times, quantum)
    steps = np.diff(times)
    gaps = steps > CLEAR_GAP * max(float(np.median(steps)), rounding)
    if gaps.mean() > LARGEST_SHARE_OF_GAPS or not (~gaps).any():
        return None
    mean = float(steps[~gaps].mean())
    if not 0.1 * mean < rounding < 4 * mean:
        return None
    starts = np.flatnonzero(gaps) + 1
    pieces = np.split(times, starts)
    longest = max(pieces, key=len)
    frames = np.arange(len(longest))
    slope = float(np.polyfit(frames, longest - longest[0], 1)[0]) if len(longest) > 1 else 0.0
    for piece in pieces:
        off = piece - piece[0] - slope * np.arange(len(piece))
        far = np.abs(np.diff(piece) - slope) > 1.001 * rounding
        if far.any() or np.ptp(off) > rounding * (1 + 4 / np.sqrt(len(longest))):
            return None
    # As many digits as the rounding leaves sure.
    sure = rounding / len(longest)
    digits = (float(f"{slope:.{n}g}") for n in range(1, 10))
    return next((step for step in digits if abs(step - slope) <= sure), slope), starts


def _clear_gaps(times: F64) -> Rows:
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


def _cut(times: Times, kept: Rows, starts: Rows) -> tuple[tuple[Rows, ...], tuple[Note, ...]]:
    if len(starts) == 0:
        return (kept,), ()
    every = np.split(kept, starts)
    pieces = tuple(piece for piece in every if len(piece) >= 2)
    first = int(kept[starts[0]])
    note = (
        f"{times.path}: {len(starts)} gap(s) in the time, the first at {times.place(first)} from "
        f"{times.shown(int(kept[starts[0] - 1]))} to {times.shown(first)}, cut it into "
        f"{len(pieces)} trajectories"
    )
    if len(pieces) < len(every):
        note += f"; {len(every) - len(pieces)} lone frame(s) between gaps were dropped"
    return pieces, (Note(note, "gap"),)
