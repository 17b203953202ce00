"""Checkpoints of a training: one safetensors file, nothing that runs on load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from trajlm.errors import ModelFileError
from trajlm.lstm.record import CheckpointRecord
from trajlm.models.files import LARGEST_WEIGHTS, read_plain_file
from trajlm.util.atomic import atomic_path
from trajlm.util.checked import UNEXPECTED
from trajlm.util.words import complaint

if TYPE_CHECKING:
    import torch

FORMAT = "trajlm-checkpoint-1"

Weights = dict[str, dict[str, "torch.Tensor"]]
# What Adam remembers of each parameter, by its number.
Moments = dict[int, dict[str, "torch.Tensor"]]


def write_checkpoint(
    path: Path, weights: Weights, moments: Moments, record: CheckpointRecord
) -> None:
    """Write named sets of weights, what Adam remembers and a record, atomically.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from safetensors.torch import save

    tensors = {f"{name}/{k}": v for name, group in weights.items() for k, v in group.items()}
    for index, own in moments.items():
        tensors |= {f"adam/{index}/{k}": v for k, v in own.items()}
    metadata = {"format": FORMAT, "record": json.dumps(record.to_dict())}
    # Written by Python, so that a full disk is an OSError that says so.
    data = save({k: v.cpu().contiguous() for k, v in tensors.items()}, metadata)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_checkpoint(path: Path) -> tuple[Weights, Moments, CheckpointRecord]:
    """Return the weights, what Adam remembers and the record that were written.

    Raises
    ------
    ModelFileError
        The file is damaged or of another version.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = read_plain_file(path, LARGEST_WEIGHTS)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        tensors = load(data)
        if metadata["format"] != FORMAT:
            raise ModelFileError(
                f"{path} is a checkpoint of another version of trajlm: train again"
            )
        record = CheckpointRecord.from_dict(json.loads(metadata["record"]))
        if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
            raise ValueError("it holds what is not a finite number")
        weights: Weights = {}
        moments: Moments = {}
        for key, tensor in tensors.items():
            group, rest = key.split("/", 1)
            if group == "adam":
                index, name = rest.split("/", 1)
                moments.setdefault(int(index), {})[name] = tensor
            else:
                weights.setdefault(group, {})[rest] = tensor
    except (SafetensorError, OSError, *UNEXPECTED) as error:
        raise ModelFileError(f"{path} is damaged ({complaint(error)}): train again") from None
    return weights, moments, record
