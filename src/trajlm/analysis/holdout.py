"""Holding a part of the data out of training, to see when to stop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trajlm.data import States
from trajlm.errors import InputError
from trajlm.util.arrays import I64, IntArray

# With at least this many trajectories whole ones are held out instead of a stretch of each.
MANY_TRAJECTORIES = 10
# A state is lost to training when less than this share of its frames is left there, if it makes up
# more than RARE of the frames held out.
LEFT, RARE = 0.5, 0.01
# Choices that are tried for one that loses no state.
N_CHOICES = 20

Parts = tuple[States, States]


def hold_out(states: States, fraction: float, seed: int) -> Parts:
    """Return (training, validation): validation is a stretch of time, never shuffled frames.

    Of ten or more trajectories, whole ones chosen at random, about `fraction` of the frames;
    otherwise, and where one trajectory alone holds more than that, the last `fraction` of each.
    Where training would be left with less than half of the frames of a state that is not rare,
    since the data visits it in that part mostly, other trajectories or an earlier stretch are held
    out.

    Raises
    ------
    InputError
        Too few frames to hold any out.
    """
    lengths = np.array([len(s) for s in states])
    wanted = fraction * lengths.sum()
    if len(states) >= MANY_TRAJECTORIES and lengths.max() <= wanted:
        choices = _whole(states, lengths, wanted, seed)
    else:
        choices = _stretches(states, lengths, fraction)
    best, fewest = None, np.inf
    for parts in choices:
        if (lost := _lost(states, *parts)) < fewest:
            best, fewest = parts, lost
        if not lost:
            break
    assert best is not None
    return best


def _lost(states: States, training: States, validation: States) -> int:
    """Return the frames of states of which training is left with less than half."""
    all_frames = states.counts()
    without = training.counts() < LEFT * all_frames
    return int(all_frames[without & (all_frames > RARE * validation.n_frames)].sum())


def _whole(states: States, lengths: I64, wanted: float, seed: int) -> Iterator[Parts]:
    """Choose trajectories at random, again and again."""
    rng = np.random.default_rng(seed)
    for _ in range(N_CHOICES):
        order = rng.permutation(len(states))
        n_held = 1 + int(np.argmin(np.abs(np.cumsum(lengths[order]) - wanted)))
        held, kept = np.sort(order[:n_held]), np.sort(order[n_held:])
        yield (
            states.with_trajectories([states.trajectories[i] for i in kept]),
            states.with_trajectories([states.trajectories[i] for i in held]),
        )


def _stretches(states: States, lengths: I64, fraction: float) -> Iterator[Parts]:
    """Choose the last stretch of each trajectory, then earlier ones."""
    begins = [round(n * (1 - fraction)) for n in lengths]
    for k in range(N_CHOICES):
        moved = [round(begin * (1 - k / N_CHOICES)) for begin in begins]
        pieces: tuple[list[IntArray], ...] = ([], [])
        for s, begin, last in zip(states, moved, begins, strict=True):
            end = begin + len(s) - last
            for part, piece in zip((0, 1, 0), (s[:begin], s[begin:end], s[end:]), strict=True):
                if len(piece) >= 2:
                    pieces[part].append(piece)
        if pieces[0] and pieces[1]:
            yield states.with_trajectories(pieces[0]), states.with_trajectories(pieces[1])
        elif k == 0:
            raise InputError(
                f"{states.n_frames} frames are too few to train on and to hold "
                f"{fraction:.0%} of them out"
            )
