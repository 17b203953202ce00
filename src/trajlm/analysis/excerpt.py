"""Long trajectories in few points that look the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trajlm.util.arrays import I64


def extreme_frames(values: npt.ArrayLike, n_points: int) -> I64:
    """Return at most `n_points` frames that keep every excursion of a curve.

    Of each of n_points / 2 equal pieces they are those of the lowest and the highest value.

    Parameters
    ----------
    values
        The curve, shape (T,).
    n_points
        Two at least.
    """
    curve = np.asarray(values)
    if len(curve) <= n_points:
        return np.arange(len(curve))
    edges = np.linspace(0, len(curve), n_points // 2 + 1).astype(np.int64)
    kept: list[int] = []
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        piece = curve[begin:end]
        kept += sorted({begin + int(piece.argmin()), begin + int(piece.argmax())})
    return np.array(kept, dtype=np.int64)
