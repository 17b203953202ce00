"""Write features and states so that they come back exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import FeaturesLike, States, StatesLike, as_features, as_states
from trajlm.errors import InputError
from trajlm.io.read import FEATURES_KIND, STATES_KIND
from trajlm.io.sources import PathLike
from trajlm.provenance import History
from trajlm.util.atomic import atomic_path, plain


def write_features(path: PathLike, features: FeaturesLike) -> None:
    """Write features to an npz file: `values` (N, d), `lengths` and `meta` (JSON).

    Raises
    ------
    InputError
        The name does not end in ``.npz``.
    OutputError
        The file cannot be written.
    """
    features = as_features(features)
    meta = {
        "kind": FEATURES_KIND,
        "names": features.names,
        "dt": features.dt,
        "unit": features.unit,
        "periods": features.periods,
        "column_units": features.column_units,
        **History(features.notes, features.steps, features.projection).to_dict(),
    }
    _write_npz(
        path,
        meta,
        values=np.concatenate(features.trajectories),
        lengths=np.array([len(x) for x in features.trajectories], dtype=np.int64),
    )


def write_states(path: PathLike, states: StatesLike) -> None:
    """Write states to an npz file, or to an npy file with one trajectory a row.

    States are the smallest unsigned integer that fits. An npz file holds `states` (N,),
    `lengths`, `meta` (JSON) and `centers` if there are any, and comes back exactly; an npy
    file holds the array (K, T) and nothing of dt, unit or what the states mean.

    Raises
    ------
    InputError
        The name ends in neither ``.npz`` nor ``.npy``, or trajectories of unequal length
        should go to npy.
    OutputError
        The file cannot be written.
    """
    states = as_states(states)
    if Path(path).suffix.lower() == ".npy":
        _write_rows(path, states)
        return
    meta = {
        "kind": STATES_KIND,
        "n_states": states.n_states,
        "dt": states.dt,
        "unit": states.unit,
        "discretization": states.discretization.to_dict(),
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "states": np.concatenate(states.trajectories),
        "lengths": np.array([len(s) for s in states.trajectories], dtype=np.int64),
    }
    if states.centers is not None:
        arrays["centers"] = states.centers
    _write_npz(path, meta, **arrays)


def _write_rows(path: PathLike, states: States) -> None:
    lengths = sorted({len(s) for s in states.trajectories})
    if len(lengths) > 1:
        raise InputError(
            f"{path}: trajectories of {lengths[0]} to {lengths[-1]} frames do not fit the rows "
            "of one npy array, give a name that ends in .npz"
        )
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.stack(states.trajectories), allow_pickle=False)


def _write_npz(path: PathLike, meta: dict[str, Any], **arrays: npt.NDArray[Any]) -> None:
    if Path(path).suffix.lower() != ".npz":
        raise InputError(f"{path} does not end in .npz: give a name that does")
    text = json.dumps(plain(meta), allow_nan=False)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, meta=np.array(text), **arrays)
