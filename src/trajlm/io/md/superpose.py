"""Superposition in double precision: in single precision a rotation is now and then lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.util.arrays import F64


def superposed(xyz: npt.NDArray[Any], reference: npt.NDArray[Any], atoms: npt.NDArray[Any]) -> F64:
    """Return frames rotated and moved so that some atoms lie on those of a reference.

    Parameters
    ----------
    xyz
        Shape (n, n_atoms, 3).
    reference
        Shape (n_atoms, 3).
    atoms
        Numbers of the atoms that are laid on each other, at least three.

    References
    ----------
    Kabsch, Acta Cryst. A 32:922 (1976).
    """
    x, target = xyz.astype(np.float64), reference.astype(np.float64)
    center, goal = x[:, atoms].mean(axis=1, keepdims=True), target[atoms].mean(axis=0)
    u, _, vt, sign = _decomposed(x[:, atoms] - center, target[atoms] - goal)
    u[:, :, -1] *= sign[:, None]
    moved: F64 = (x - center) @ (u @ vt) + goal
    return moved


def rmsd(xyz: npt.NDArray[Any], reference: npt.NDArray[Any]) -> F64:
    """Return the root mean square distance of each frame after superposition, shape (n,)."""
    x = xyz - xyz.mean(axis=1, keepdims=True, dtype=np.float64)
    target = reference - reference.mean(axis=0, dtype=np.float64)
    _, s, _, sign = _decomposed(x, target)
    overlap = s[:, 0] + s[:, 1] + sign * s[:, 2]
    squares = (x**2).sum(axis=(1, 2)) + (target**2).sum() - 2 * overlap
    found: F64 = np.sqrt(np.maximum(squares, 0) / len(target))
    return found


def _decomposed(x: F64, target: F64) -> tuple[F64, F64, F64, F64]:
    """Return the singular values and vectors of the covariance, and the sign of a mirror image."""
    u, s, vt = np.linalg.svd(np.swapaxes(x, 1, 2) @ target)
    return u, s, vt, np.sign(np.linalg.det(u) * np.linalg.det(vt))
