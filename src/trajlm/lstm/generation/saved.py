"""What is kept of lanes that are on their way to a file, and whether it may be gone on with.

A memory file holds what each lane carries, how many frames of it are made, and a checksum of
these frames. It is believed only as far as it fits the lanes and the frames in the file.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError, ModelFileError
from trajlm.lstm.generation.blocks import CARRIED, Block
from trajlm.models.files import LARGEST_WEIGHTS, read_plain_file
from trajlm.util.atomic import atomic_path
from trajlm.util.checked import UNEXPECTED
from trajlm.util.words import complaint

Memory = Mapping[str, npt.NDArray[Any]]

# Bytes of frames that are checked at a time.
READ_AT_ONCE = 1 << 24


class Unfit(Exception):
    """What was saved cannot be gone on with; the message says why."""


def save_lanes(
    path: Path, request: dict[str, Any], blocks: Sequence[Block], checksums: npt.NDArray[np.uint32]
) -> None:
    """Write the memory of lanes and the checksums of their frames, atomically.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from safetensors.numpy import save

    memories = [b.memory() for b in blocks]
    arrays = {name: np.concatenate([m[name] for m in memories]) for name in CARRIED}
    arrays["made"] = np.repeat([b.made for b in blocks], [b.n_lanes for b in blocks])
    arrays["checksums"] = checksums
    # Written by Python, so that a full disk is an OSError that says so.
    data = save(arrays, {"request": json.dumps(request), "sha256": _digest(arrays)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_lanes(path: Path, request: dict[str, Any]) -> Memory:
    """Return what was saved for the same request.

    Raises
    ------
    InputError
        It was saved for another request.
    Unfit
        It is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = read_plain_file(path, LARGEST_WEIGHTS)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        then = json.loads(metadata["request"])
        arrays = load(data)
        if "sha256" in metadata and metadata["sha256"] != _digest(arrays):
            raise ValueError("its digest is another")
        if not isinstance(then, dict):
            raise ValueError("it names no request")
    except (SafetensorError, ModelFileError, OSError, *UNEXPECTED) as error:
        raise Unfit(f"{path} is damaged ({complaint(error)})") from None
    for name, value in request.items():
        if then.get(name) != value:
            raise InputError(
                f"{path} was made with another {name} than is asked for now ({value}): give the "
                "same, or generate it again"
            )
    return arrays


def take_up(
    path: Path, memory: Memory, blocks: Sequence[Block], frames: npt.NDArray[Any], n_states: int
) -> npt.NDArray[np.uint32]:
    """Give the blocks the memory that was read from `path`; return the checksums of their frames.

    Parameters
    ----------
    frames
        The growing file, shape (lanes, steps).

    Raises
    ------
    InputError
        It was saved on another number of threads.
    Unfit
        It does not fit the lanes or the frames in the file.
    """
    n_lanes = sum(b.n_lanes for b in blocks)
    lanes_of, first = [], blocks[0].first if blocks else 0
    for block in blocks:
        begin = block.first - first
        lanes_of.append(slice(begin, begin + block.n_lanes))
    _check_memory(path, memory, blocks, lanes_of, n_lanes, n_states)
    made = memory["made"]
    for lanes in lanes_of:
        if len(np.unique(made[lanes])) != 1:
            raise InputError(
                f"{path} was made on another number of threads: give the same, or generate it again"
            )
    if made.min() < 0 or made.max() > frames.shape[1]:
        raise Unfit(f"{path} is damaged (it counts {made.min()} to {made.max()} frames)")
    own = frames[first : first + n_lanes]
    checksums = np.array(
        [checksum(row[:n]) for row, n in zip(own, made, strict=True)], dtype=np.uint32
    )
    last = [row[n - 1] if n else k for row, n, k in zip(own, made, memory["states"], strict=True)]
    wrong = (last != memory["states"]) | (checksums != memory.get("checksums", checksums))
    if wrong.any():
        lane = first + int(np.argmax(wrong))
        raise Unfit(f"the frames of lane {lane} are not those that {path} goes with")
    for block, lanes in zip(blocks, lanes_of, strict=True):
        block.remember(int(made[lanes][0]), {name: memory[name][lanes] for name in CARRIED})
    return checksums


def checksum(states: npt.NDArray[Any], before: int = 0) -> int:
    """Return the checksum of frames that follow those of the checksum `before`."""
    step = READ_AT_ONCE // states.itemsize
    for begin in range(0, len(states), step):
        before = zlib.crc32(np.ascontiguousarray(states[begin : begin + step]).data, before)
    return before


def _check_memory(
    path: Path,
    memory: Memory,
    blocks: Sequence[Block],
    lanes_of: Sequence[slice],
    n_lanes: int,
    n_states: int,
) -> None:
    """Check kinds, shapes and ranges: compiled code indexes tables with the states."""
    kinds = {"made": "iu", "checksums": "u"}
    try:
        for name, kind in kinds.items():
            array = memory.get(name)
            if array is None and name == "checksums":
                continue  # saved by an earlier version
            if array is None or array.dtype.kind not in kind or array.shape != (n_lanes,):
                raise ValueError(f"{name} is not one number a lane")
        for block, lanes in zip(blocks, lanes_of, strict=True):
            for name, own in block.memory().items():
                saved = memory[name]
                if len(saved) != n_lanes or saved[lanes].shape != own.shape:
                    raise ValueError(f"{name} has shape {saved.shape}")
                if saved.dtype != own.dtype or not np.isfinite(saved).all():
                    raise ValueError(f"{name} holds no such numbers")
        if n_lanes and not 0 <= memory["states"].min() <= memory["states"].max() < n_states:
            raise ValueError("a state is out of range")
    except (KeyError, TypeError, ValueError) as error:
        raise Unfit(f"{path} is damaged ({error})") from None


def _digest(arrays: Memory) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
