"""Model folders: ``model.safetensors`` and ``model.json``; nothing in them runs on load."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import StateSpace
from trajlm.errors import InputError, ModelFileError, UnfinishedTrainingError
from trajlm.io.states import LARGEST_STATE
from trajlm.provenance import Discretization
from trajlm.util.atomic import atomic_path, flush_folder, unwritable, write_json
from trajlm.util.checked import LARGEST, NAME, UNEXPECTED, checked
from trajlm.util.versions import package_versions
from trajlm.util.words import complaint, visible

Tensors = dict[str, npt.NDArray[Any]]

# What an unfinished training leaves where its model will be.
CHECKPOINT = "checkpoint.safetensors"
# The folder in which one of an ensemble leaves its members.
MEMBERS = ".members"
DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"
# The description of weights that are about to take their place.
NEXT = ".model.next.json"
FORMAT = "trajlm-model"
# The first version had free dictionaries where the second has typed objects.
FORMAT_VERSION = 2
READABLE = (1, 2)
# Bytes: descriptions and weights beyond are no model's.
LARGEST_DESCRIPTION, LARGEST_WEIGHTS = 1 << 25, 1 << 34


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
        How it was made, as plain values; None where that is not known.
    seed
        That fixed the result, where there was one.
    sizes
        Plain values.
    arrays
        By name.
    """

    kind: str
    space: StateSpace
    record: object
    sizes: Mapping[str, Any]
    arrays: Tensors
    seed: int | None = None


def write_model(folder: Path, content: ModelContent) -> None:
    """Write a model into `folder`: killed at any moment, this leaves the model before or the new.

    The new description lies beside the old one before the weights are replaced, and names their
    hash: whichever weights are there, a description of them is.

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
        "discretization": space.discretization.to_dict(),
        "record": content.record,
        "seed": content.seed,
        "versions": package_versions(),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(weights)
        write_json(folder / NEXT, description)
    try:
        os.replace(folder / NEXT, folder / DESCRIPTION)
    except OSError as error:
        raise unwritable(folder / DESCRIPTION, error) from error
    flush_folder(folder)


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
    description, weights = _read_pair(folder)
    arrays = _read_weights(folder / WEIGHTS, weights)
    try:
        space = _read_space(description)
        kind, record, sizes = (description[key] for key in ("kind", "record", "sizes"))
        return ModelContent(kind, space, record, sizes, arrays)
    except UNEXPECTED as error:
        raise no_model(folder, error) from None


def holds_model(folder: Path) -> bool:
    """Return whether a model was written into `folder`, whole or not."""
    return any((folder / name).exists() for name in (DESCRIPTION, NEXT))


def holds_training(folder: Path) -> bool:
    """Return whether a training in `folder` was begun and is not finished."""
    return any((folder / name).exists() for name in (CHECKPOINT, MEMBERS))


def column_checkpoint(path: Path, k: int) -> Path:
    """Return the checkpoint of column k of a training whose own is `path`."""
    return path.with_name(f"{path.stem}.{k}{path.suffix}") if k else path


def forget_training(folder: Path) -> None:
    """Remove what an unfinished training left in `folder`; the caller holds it."""
    # The first at last: while it is there, the training is known to be unfinished.
    checkpoint = folder / CHECKPOINT
    for other in folder.glob(f"{checkpoint.stem}.*{checkpoint.suffix}"):
        other.unlink(missing_ok=True)
    checkpoint.unlink(missing_ok=True)
    if (folder / MEMBERS).exists():
        shutil.rmtree(folder / MEMBERS)


def settle_model(folder: Path) -> None:
    """Finish what a killed `write_model` left; the caller holds the folder."""
    if not (folder / NEXT).exists():
        return
    try:
        following = _parse_description(folder / NEXT)
        weights = _read_file(folder / WEIGHTS, LARGEST_WEIGHTS)
        fits = following.get("weights_sha256") == hashlib.sha256(weights).hexdigest()
    except ModelFileError:
        fits = False
    if fits:
        os.replace(folder / NEXT, folder / DESCRIPTION)
        flush_folder(folder)
    else:
        (folder / NEXT).unlink(missing_ok=True)


def no_model(folder: Path, error: Exception) -> ModelFileError:
    """Return the error of a folder whose files describe no model."""
    return ModelFileError(
        f"{folder / DESCRIPTION} does not describe a model ({complaint(error)}): train it again"
    )


def _read_space(description: dict[str, Any]) -> StateSpace:
    """Return the meaning of the states, checked as that of data would be."""
    n_states = int(description["sizes"]["n_states"])
    if not 1 <= n_states <= LARGEST_STATE + 1:
        raise ValueError(f"it claims {n_states:.3g} states")
    centers = description["centers"]
    if centers is not None:
        centers = np.array(centers, dtype=np.float64)
        if len(centers) != n_states or not (np.abs(centers) <= LARGEST).all():
            raise ValueError("the state centres do not fit the number of states")
    dt, unit = float(description["dt"]), checked(NAME, description["unit"])
    if not (np.isfinite(dt) and dt > 0 and unit and visible(unit) == unit):
        raise ValueError("dt is no positive time with a unit")
    how = Discretization.from_dict(description["discretization"])
    return StateSpace(n_states, dt, unit, centers, how)


def _state_labels(space: StateSpace) -> list[str]:
    if space.centers is None:
        return [str(k) for k in range(space.n_states)]
    return [", ".join(f"{x:.6g}" for x in np.atleast_1d(c)) for c in space.centers]


def _read_pair(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Return the description of a model and its weights, which name each other."""
    # Twice, since the model may be replaced meanwhile.
    for _ in range(2):
        weights = _read_file(folder / WEIGHTS, LARGEST_WEIGHTS)
        digest = hashlib.sha256(weights).hexdigest()
        reason: ModelFileError | None = None
        # Killed between two renames, a run leaves new weights and their description hidden.
        for name in (DESCRIPTION, NEXT):
            try:
                description = _parse_description(folder / name)
            except ModelFileError as error:
                reason = error if name == DESCRIPTION else reason
                continue
            if description.get("weights_sha256") == digest:
                return description, weights
    raise reason or ModelFileError(
        f"{folder / WEIGHTS} is damaged or belongs to another {DESCRIPTION}: train the model again"
    )


def _parse_description(path: Path) -> dict[str, Any]:
    text = _read_file(path, LARGEST_DESCRIPTION)
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{path} is damaged ({complaint(error)}): train the model again"
        ) from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ModelFileError(f"{path} is not the description of a trajlm model")
    if description.get("format_version") not in READABLE:
        raise ModelFileError(
            f"{path} has format version {description.get('format_version')} but this trajlm reads "
            f"versions 1 to {FORMAT_VERSION}: use the trajlm that wrote it, or train it again"
        )
    return description


def read_plain_file(path: Path, largest: int) -> bytes:
    """Return the bytes of a file; never those of a device or a pipe, which may have no end.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ModelFileError
        It is no plain file, larger than `largest` bytes, or cannot be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ModelFileError(f"{path} is not a plain file: the folder holds no whole model")
        if found.st_size > largest:
            raise ModelFileError(f"{path} is too large for a model: {found.st_size:,} bytes")
        with path.open("rb") as file:
            # Not `largest`: as much memory as is asked for is taken at once.
            return file.read(found.st_size)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} cannot be read ({complaint(error)})") from None


def _read_file(path: Path, largest: int) -> bytes:
    try:
        return read_plain_file(path, largest)
    except FileNotFoundError:
        raise _no_model_there(path) from None


def _no_model_there(path: Path) -> ModelFileError:
    folder = path.parent
    if holds_training(folder):
        return UnfinishedTrainingError(folder)
    if (folder / "results.json").exists():
        return ModelFileError(f"{folder} holds a report and no model: open {folder / 'index.html'}")
    return ModelFileError(f"{path} is missing: the folder holds no whole model")


def _read_weights(path: Path, data: bytes) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: Tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelFileError(
            f"{path} is damaged ({complaint(error)}): train the model again"
        ) from None
    return arrays
