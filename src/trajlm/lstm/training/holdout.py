"""Holding a part of the data out of training, to see when to stop."""

from __future__ import annotations

import numpy as np

from trajlm.data import States
from trajlm.errors import InputError

# With at least this many trajectories whole ones are held out instead of a stretch of each.
MANY_TRAJECTORIES = 10


def hold_out(states: States, fraction: float, seed: int) -> tuple[States, States]:
    """Return (training, validation): validation is a stretch of time, never shuffled frames.

    Of ten or more trajectories, whole ones chosen at random, about `fraction` of the frames;
    otherwise, and where one trajectory alone holds more than that, the last `fraction` of each.

    Raises
    ------
    InputError
        Too few frames to hold any out.
    """
    lengths = np.array([len(s) for s in states])
    wanted = fraction * lengths.sum()
    if len(states) >= MANY_TRAJECTORIES and lengths.max() <= wanted:
        order = np.random.default_rng(seed).permutation(len(states))
        n_held = 1 + int(np.argmin(np.abs(np.cumsum(lengths[order]) - wanted)))
        held = np.sort(order[:n_held])
        kept = np.sort(order[n_held:])
        return (
            states.with_trajectories([states.trajectories[i] for i in kept]),
            states.with_trajectories([states.trajectories[i] for i in held]),
        )
    cuts = [round(n * (1 - fraction)) for n in lengths]
    heads = [s[:c] for s, c in zip(states, cuts, strict=True) if c >= 2]
    tails = [s[c:] for s, c in zip(states, cuts, strict=True) if len(s) - c >= 2]
    if not heads or not tails:
        raise InputError(
            f"{states.n_frames} frames are too few to train on and to hold "
            f"{fraction:.0%} of them out"
        )
    return states.with_trajectories(heads), states.with_trajectories(tails)
