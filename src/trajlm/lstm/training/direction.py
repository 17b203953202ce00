"""Whether a training reads the data in both directions of time."""

from __future__ import annotations

from trajlm.analysis.reversibility import DIRECTED, reversibility_p_value
from trajlm.data import States
from trajlm.lstm.record import Direction


def find_direction(training: States, reversible: bool | None, seed: int) -> Direction:
    """Return whether to read both ways: as set or, by default, where the data has no direction.

    In equilibrium a path and its mirror image are equally probable, so that both may be learned
    from: memory that the data holds too few examples of then has twice as many.
    """
    if reversible is not None:
        return Direction(reversible, None)
    p_value = reversibility_p_value(training, seed)
    return Direction(p_value >= DIRECTED, p_value)
