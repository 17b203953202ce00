"""Whether a training reads the data in both directions of time."""

from __future__ import annotations

from dataclasses import dataclass

from trajlm.analysis.reversibility import DIRECTED, reversibility_p_value
from trajlm.data import States


@dataclass(frozen=True)
class Direction:
    """What was decided, and why.

    Parameters
    ----------
    both_ways
        Whether half of the data is read backwards in each epoch.
    p_value
        Of the test for a direction of time; None where the user decided.
    """

    both_ways: bool
    p_value: float | None

    def describe(self) -> str:
        """Say it in a sentence."""
        read = "read both ways" if self.both_ways else "read forwards only"
        if self.p_value is None:
            return f"{read}, as set"
        found = "no direction of time" if self.both_ways else "a direction of time"
        return f"{found} in the data (p = {self.p_value:.2g}): {read}"


def find_direction(training: States, reversible: bool | None, seed: int) -> Direction:
    """Return whether to read both ways: as set or, by default, where the data has no direction.

    In equilibrium a path and its mirror image are equally probable, so that both may be learned
    from: memory that the data holds too few examples of then has twice as many.
    """
    if reversible is not None:
        return Direction(reversible, None)
    p_value = reversibility_p_value(training, seed)
    return Direction(p_value >= DIRECTED, p_value)
