"""Generating straight to disk: constant memory, and going on after an interruption.

Beside ``X.npy`` grow ``.X.partial.npy``, the array itself, and ``.X.partial.safetensors``, the
memory of all lanes and how far each has come. When all is made the array takes its name.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from trajlm.atomic import atomic_path, write_failure
from trajlm.data import IntArray, smallest_unsigned
from trajlm.errors import InputError, Interrupted, OutputError
from trajlm.generate import CARRIED, Block, lane_blocks, run_blocks

if TYPE_CHECKING:
    from trajlm.models.base import Progress
    from trajlm.models.lstm import LSTMModel

SECONDS_BETWEEN_SAVES = 60.0


def generate_to_file(
    model: LSTMModel,
    path: Path,
    n_steps: int,
    n_lanes: int,
    seed: int,
    *,
    start: int | None = None,
    temperature: float = 1.0,
    progress: Progress | None = None,
    n_threads: int | None = None,
    device: str = "cpu",
    resume: bool = False,
) -> None:
    """Write `n_lanes` sampled trajectories to an npy file of shape (n_lanes, n_steps).

    Parameters
    ----------
    path
        The file, whose name ends in ``.npy``.
    resume
        Go on where an interrupted call with the same arguments stopped; the file is
        bit-identical to one written in one go. Without, what it left is replaced.

    For the others see `LSTMModel.generate`.

    Raises
    ------
    InputError
        An argument out of range, or what is to be resumed was begun with other arguments.
    OutputError
        The file cannot be written.
    Interrupted
        Ctrl-C; everything made so far is kept for `resume`.
    """
    model.check_lanes(n_steps, n_lanes, seed, start)
    target = Path(os.path.realpath(path))
    array_path = target.with_name(f".{target.stem[:100]}.partial.npy")
    memory_path = array_path.with_suffix(".safetensors")
    request = {
        "model": _digest(model),
        "steps": n_steps,
        "lanes": n_lanes,
        "seed": seed,
        "start": start,
        "temperature": temperature,
        "device": device,
    }
    blocks = lane_blocks(model, n_lanes, seed, start, temperature, n_threads, device)
    going_on = resume and memory_path.exists() and array_path.exists()
    if going_on:
        _load(memory_path, request, blocks)
        if progress:
            progress(sum(b.made * b.n_lanes for b in blocks))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with array_path.open("r+b" if going_on else "w+b") as file:
            shape = (n_lanes, n_steps)
            _Sink(file, shape, smallest_unsigned(model.n_states)).fill(
                blocks, memory_path, request, progress, n_threads
            )
        os.replace(array_path, target)
        memory_path.unlink(missing_ok=True)
    except OSError as error:
        if not memory_path.exists():
            # Nothing to go on from: the space is worth more than the file.
            with suppress(OSError):
                array_path.unlink()
        raise OutputError(f"{path} cannot be written: {write_failure(error)}") from error


class _Sink:
    """The growing file."""

    def __init__(self, file: IO[bytes], shape: tuple[int, int], dtype: Any) -> None:
        self.file = file
        self.n_steps = shape[1]
        self.dtype = np.dtype(dtype)
        self.lock = threading.Lock()
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        self.begin = file.tell()
        file.truncate(self.begin + shape[0] * shape[1] * self.dtype.itemsize)

    def fill(
        self,
        blocks: Sequence[Block],
        memory_path: Path,
        request: dict[str, Any],
        progress: Progress | None,
        n_threads: int | None,
    ) -> None:
        """Make all frames that are left; save the lanes' memory now and then, and at Ctrl-C."""
        saved = time.monotonic()

        def save() -> None:
            # The frames first: the memory must never be ahead of them.
            self.file.flush()
            os.fsync(self.file.fileno())
            _save(memory_path, request, blocks)

        def save_now_and_then() -> None:
            nonlocal saved
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                save()
                saved = time.monotonic()

        try:
            run_blocks(blocks, self.n_steps, self.write, progress, n_threads, save_now_and_then)
        except KeyboardInterrupt:
            save()
            share = sum(b.made * b.n_lanes for b in blocks) / request["lanes"] / self.n_steps
            raise Interrupted(
                f"generation stopped with {share:.0%} made and saved; go on with --resume"
            ) from None
        self.file.flush()
        os.fsync(self.file.fileno())

    def write(self, lane: int, frame: int, states: IntArray) -> None:
        """Put states (lanes, frames) in their place."""
        with self.lock:
            for k, row in enumerate(states):
                at = (lane + k) * self.n_steps + frame
                self.file.seek(self.begin + at * self.dtype.itemsize)
                self.file.write(row.tobytes())


def _digest(model: LSTMModel) -> str:
    """Return a digest of the weights and of the stretches that lanes begin from."""
    digest = hashlib.sha256()
    for array in (*vars(model.weights).values(), *model.starts):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _save(path: Path, request: dict[str, Any], blocks: Sequence[Block]) -> None:
    """Write the memory of all lanes, atomically."""
    from safetensors.numpy import save_file

    memories = [b.memory() for b in blocks]
    arrays = {name: np.concatenate([m[name] for m in memories]) for name in CARRIED}
    arrays["made"] = np.repeat([b.made for b in blocks], [b.n_lanes for b in blocks])
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, {"request": json.dumps(request)})


def _load(path: Path, request: dict[str, Any], blocks: Sequence[Block]) -> None:
    """Give the blocks the memory that was saved.

    Raises
    ------
    InputError
        It was saved for another request, for another number of threads, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            then = json.loads((file.metadata() or {})["request"])
            arrays = {name: file.get_tensor(name) for name in (*CARRIED, "made")}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): generate without --resume") from None
    for name, value in request.items():
        if then.get(name) != value:
            raise InputError(
                f"{path} was made with another {name} than is asked for now ({value}): give the "
                "same, or generate without --resume"
            )
    for block in blocks:
        lanes = slice(block.first, block.first + block.n_lanes)
        made = np.unique(arrays["made"][lanes])
        if len(made) != 1:
            raise InputError(
                f"{path} was made on another number of threads: give the same with --threads, or "
                "generate without --resume"
            )
        block.remember(int(made[0]), {name: arrays[name][lanes] for name in CARRIED})
