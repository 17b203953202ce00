"""Values beyond a range, set to its ends."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.provenance import Note
from trajlm.util.words import counted


def clipped(features: Features, clip: tuple[float, float]) -> Features:
    """Return features with what lies beyond (low, high) set to these ends, and a note.

    Raises
    ------
    InputError
        Ends that are no range, or periodic columns.
    """
    low, high = ends(clip, "what values are clipped to")
    if any(features.periods):
        raise InputError("values of a periodic column wrap around: they are not clipped")
    n_beyond = sum(int(((x < low) | (x > high)).sum()) for x in features.trajectories)
    if not n_beyond:
        return features
    values = counted(n_beyond, "value", "values")
    note = Note(f"{values} beyond {low:g} to {high:g} set to these ends", "clip")
    return replace(
        features,
        trajectories=tuple(np.clip(x, low, high) for x in features.trajectories),
        notes=(*features.notes, note),
    )


def ends(values: tuple[float, float], what: str) -> tuple[float, float]:
    """Return a low and a high end.

    Raises
    ------
    InputError
        They are not finite, or do not rise.
    """
    low, high = values
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{what} goes from a lower to a higher number, not {low:g} to {high:g}")
    return low, high
