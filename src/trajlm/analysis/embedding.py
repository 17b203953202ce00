"""Where the states lie in the embedding space of a model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.util.arrays import F64


def principal_plane(vectors: npt.ArrayLike) -> tuple[F64, F64]:
    """Project embedding vectors on their two principal axes.

    A training fixes the embedding up to a rotation and to signs only. Each axis is turned so
    that it grows with the number of the state, which makes plots of different trainings alike.

    Parameters
    ----------
    vectors
        One row a state, shape (n, M).

    Returns
    -------
    coordinates : ndarray, shape (n, 2)
        About the mean; the second column is zero when M is 1.
    explained : ndarray, shape (2,)
        Fraction of the variance along each axis.

    Raises
    ------
    InputError
        Fewer than two vectors, or values that are not finite.
    """
    x = _as_vectors(vectors)
    left, sizes, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    coordinates = np.zeros((len(x), 2))
    explained = np.zeros(2)
    kept = min(2, len(sizes))
    coordinates[:, :kept] = left[:, :kept] * sizes[:kept]
    if sizes.any():
        explained[:kept] = sizes[:kept] ** 2 / np.sum(sizes**2)
    trend = (np.arange(len(x)) - (len(x) - 1) / 2) @ coordinates
    return coordinates * np.where(trend < 0, -1.0, 1.0), explained


def euclidean_distances(vectors: npt.ArrayLike) -> F64:
    """Return ``|x_l - x_m|`` between all embedding vectors of shape (n, M), shape (n, n)."""
    from scipy.spatial.distance import pdist, squareform

    return np.asarray(squareform(pdist(_as_vectors(vectors))), dtype=np.float64)


def _as_vectors(vectors: npt.ArrayLike) -> F64:
    x = np.asarray(vectors, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2 or x.shape[1] == 0:
        raise InputError(f"the vectors have shape {x.shape}: two rows (states) at least are needed")
    if not np.isfinite(x).all():
        row = int(np.argmax(~np.isfinite(x).all(axis=1)))
        raise InputError(f"the vector of state {row} is not finite: the training has diverged")
    return x
