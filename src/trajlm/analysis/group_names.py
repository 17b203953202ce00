"""Names of groups that nobody named."""

from __future__ import annotations

import numpy as np

from trajlm.data import States
from trajlm.util.arrays import F64

# Letters of the name of a column that the name of a group begins with.
LONGEST_COLUMN = 6
# Digits that are tried, the first that tell the groups apart.
DIGITS = range(2, 6)


def names_by_place(states: States, centers: F64 | None) -> tuple[str, ...]:
    """Return the mean centre of each group as its name; nothing where that is no name.

    On one coordinate it follows a short name of the column, ``phi 0.9``; a place in the plane is
    ``(0.9, 0.5)``, in the order of the columns. In more dimensions, or where groups lie at one
    place, there are no such names.

    Parameters
    ----------
    states
        Of the data, which know the columns.
    centers
        Mean centre of each group, shape (n_groups,) or (n_groups, d).
    """
    if centers is None:
        return ()
    places = centers.reshape(len(centers), -1)
    if places.shape[1] > 2:
        return ()
    columns = states.discretization.columns
    plane = places.shape[1] == 2
    short = f"{columns[0]} " if not plane and columns and len(columns[0]) <= LONGEST_COLUMN else ""
    for digits in DIGITS:
        written = [_rounded(column, digits) for column in places.T]
        names = tuple(
            f"({', '.join(place)})" if plane else f"{short}{place[0]}"
            for place in zip(*written, strict=True)
        )
        if len(set(names)) == len(names):
            return names
    return ()


def _rounded(values: F64, digits: int) -> list[str]:
    """Return numbers with as many decimals as give the largest so many digits."""
    largest = float(np.abs(values).max())
    decimals = max(0, digits - 1 - int(np.floor(np.log10(largest)))) if largest > 0 else 0
    # Adding zero takes the sign of a negative one.
    rounded = np.round(values, decimals) + 0.0
    return [f"{x:.{decimals}f}".replace("-", "\N{MINUS SIGN}") for x in rounded]
