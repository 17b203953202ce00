"""Model folders: ``model.safetensors`` and ``model.json``; nothing in them runs on load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import StateSpace
from trajlm.errors import InputError, ModelFileError, UnfinishedTrainingError
from trajlm.util.atomic import atomic_path, write_json
from trajlm.util.versions import package_versions

Tensors = dict[str, npt.NDArray[Any]]

# What an unfinished training leaves where its model will be.
CHECKPOINT = "checkpoint.safetensors"
FORMAT = "trajlm-model"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ModelContent:
    """What the two files of a model folder hold.

    Parameters
    ----------
    kind
        Of the model, such as ``lstm``.
    space
        The states that it speaks about.
    record
        How it was made.
    sizes
        Plain values.
    arrays
        By name.
    """

    kind: str
    space: StateSpace
    record: Mapping[str, Any]
    sizes: Mapping[str, Any]
    arrays: Tensors


def write_model(folder: Path, content: ModelContent) -> None:
    """Write a model into `folder`, each file atomically; the JSON, last, names the weights' hash.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    from safetensors.numpy import save

    space = content.space
    weights = save({k: np.ascontiguousarray(v) for k, v in content.arrays.items()})
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": content.kind,
        "sizes": content.sizes,
        "dt": space.dt,
        "unit": space.unit,
        "state_labels": _state_labels(space),
        "centers": None if space.centers is None else space.centers.tolist(),
        "discretization": dict(space.discretization),
        "record": content.record,
        "seed": content.record.get("settings", {}).get("seed"),
        "versions": package_versions(),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    with atomic_path(folder / "model.safetensors") as temporary:
        temporary.write_bytes(weights)
    write_json(folder / "model.json", description)


def read_model(folder: Path) -> ModelContent:
    """Return what a model folder holds. Reading never runs code from the files.

    Raises
    ------
    InputError
        There is no such folder.
    ModelFileError
        A file is missing, damaged, of another version, or the two do not belong together.
    """
    if not folder.is_dir():
        raise InputError(f"there is no model folder {folder}")
    description = _read_description(folder / "model.json")
    arrays = _read_weights(folder / "model.safetensors", description)
    try:
        space = _read_space(description)
        kind, record, sizes = (description[key] for key in ("kind", "record", "sizes"))
        return ModelContent(kind, space, record, sizes, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise no_model(folder, error) from None


def no_model(folder: Path, error: Exception) -> ModelFileError:
    """Return the error of a folder whose files describe no model."""
    return ModelFileError(
        f"{folder / 'model.json'} does not describe a model ({error}): train it again"
    )


def _read_space(description: dict[str, Any]) -> StateSpace:
    """Return the meaning of the states, checked as that of data would be."""
    n_states = int(description["sizes"]["n_states"])
    centers = description["centers"]
    if centers is not None:
        centers = np.array(centers, dtype=np.float64)
        if len(centers) != n_states or not np.isfinite(centers).all():
            raise ValueError("the state centres do not fit the number of states")
    dt, unit = float(description["dt"]), description["unit"]
    if not (np.isfinite(dt) and dt > 0 and isinstance(unit, str) and unit):
        raise ValueError("dt is no positive time with a unit")
    for key in ("discretization", "record"):
        if not isinstance(description[key], dict):
            raise ValueError(f"{key} is no mapping")
    return StateSpace(n_states, dt, unit, centers, description["discretization"])


def _state_labels(space: StateSpace) -> list[str]:
    if space.centers is None:
        return [str(k) for k in range(space.n_states)]
    return [", ".join(f"{x:.6g}" for x in np.atleast_1d(c)) for c in space.centers]


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _no_model_there(path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged ({error}): train the model again") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ModelFileError(f"{path} is not the description of a trajlm model")
    if description.get("format_version") != FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format version {description.get('format_version')} but this trajlm reads "
            f"version {FORMAT_VERSION}: use the trajlm that wrote it, or train the model again"
        )
    return description


def _no_model_there(path: Path) -> ModelFileError:
    folder = path.parent
    if (folder / CHECKPOINT).exists():
        return UnfinishedTrainingError(folder)
    if (folder / "results.json").exists():
        return ModelFileError(f"{folder} holds a report and no model: open {folder / 'index.html'}")
    return ModelFileError(f"{path} is missing: the folder holds no whole model")


def _read_weights(path: Path, description: dict[str, Any]) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelFileError(f"{path} is missing: the folder holds no whole model") from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != description.get("weights_sha256"):
        raise ModelFileError(
            f"{path} is damaged or belongs to another model.json: train the model again"
        )
    try:
        arrays: Tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelFileError(f"{path} is damaged ({error}): train the model again") from None
    return arrays
