"""Model folders: ``model.safetensors`` and ``model.json``; nothing in them runs on load."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from trajlm.atomic import atomic_path, write_json
from trajlm.data import StateSpace
from trajlm.describe import duration, notes_of
from trajlm.errors import InputError, ModelFileError
from trajlm.models.base import SequenceModel, Tensors
from trajlm.models.record import training_facts

# What an unfinished training leaves where its model will be.
CHECKPOINT = "checkpoint.safetensors"
FORMAT = "trajlm-model"
FORMAT_VERSION = 1
PACKAGES = ("trajlm", "numpy", "scipy", "torch", "numba", "deeptime", "safetensors", "openmm")


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide a result, as far as installed."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def save_model(model: SequenceModel, folder: Path) -> None:
    """Write `model` into `folder`, each file atomically; the JSON, last, names the weights' hash.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    from safetensors.numpy import save

    sizes, arrays = model.to_arrays()
    space = model.space
    weights = save({k: np.ascontiguousarray(v) for k, v in arrays.items()})
    description = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": model.kind,
        "sizes": sizes,
        "dt": space.dt,
        "unit": space.unit,
        "state_labels": _state_labels(space),
        "centers": None if space.centers is None else space.centers.tolist(),
        "discretization": dict(space.discretization),
        "record": model.record,
        "seed": model.record.get("settings", {}).get("seed"),
        "versions": package_versions(),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    with atomic_path(folder / "model.safetensors") as temporary:
        temporary.write_bytes(weights)
    write_json(folder / "model.json", description)


def load_model(folder: str | Path) -> SequenceModel:
    """Return the model in `folder`. Loading never runs code from the files.

    Raises
    ------
    InputError
        There is no such folder.
    ModelFileError
        A file is missing, damaged, of another version, or the two do not belong together.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no model folder {folder}")
    description = _read_description(folder / "model.json")
    arrays = _read_weights(folder / "model.safetensors", description)
    from trajlm.models.hidden_markov import HiddenMarkovModel
    from trajlm.models.lstm import LSTMModel
    from trajlm.models.markov import MarkovModel

    kinds: dict[str, type[SequenceModel]] = {
        c.kind: c for c in (LSTMModel, MarkovModel, HiddenMarkovModel)
    }
    try:
        space = _read_space(description)
        cls = kinds[description["kind"]]
        return cls.from_arrays(space, description["record"], description["sizes"], arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise ModelFileError(
            f"{folder / 'model.json'} does not describe a model ({error}): train it again"
        ) from None


def describe_model(folder: str | Path) -> str:
    """Return a few lines that say what the model in `folder` is and how it was made.

    Raises
    ------
    InputError, ModelFileError
        As `load_model`.
    """
    model = load_model(folder)
    try:
        return "\n".join(f"{name}: {value}" for name, value in model_facts(model))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelFileError(
            f"{Path(folder) / 'model.json'} has a damaged training record ({error!r})"
        ) from None


def model_facts(model: SequenceModel) -> list[tuple[str, str]]:
    """Return what a model is and how it was made, as names and values."""
    space = model.space
    sizes, _ = model.to_arrays()
    facts = [
        (model.kind, ", ".join(f"{k} {v}" for k, v in sizes.items())),
        ("time", f"one frame each {duration(space.dt, space.unit)}"),
        ("states", _discretization_sentence(space)),
    ]
    if "history" in model.record:
        facts += training_facts(model.record)
    return facts + [("note", note) for note in notes_of(space.discretization)]


def _discretization_sentence(space: StateSpace) -> str:
    how = space.discretization
    if not how:
        return f"{space.n_states}, as given"
    column = how.get("column") or ", ".join(how.get("columns", []))
    return f"{space.n_states} by {how.get('method', 'grouping')} of {column or 'states'}"


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
        raise ModelFileError(_why_no_model(path)) from None
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


def _why_no_model(path: Path) -> str:
    folder = path.parent
    if (folder / CHECKPOINT).exists():
        return (
            f"{folder} holds an unfinished training and no model yet: go on with "
            f"trajlm train STATES --out {folder} --resume"
        )
    if (folder / "results.json").exists():
        return f"{folder} holds a report and no model: open {folder / 'index.html'}"
    return f"{path} is missing: the folder holds no whole model"


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
