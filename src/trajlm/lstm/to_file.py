"""Generating straight to disk: constant memory, and going on after an interruption.

Beside ``X.npy`` grow ``.X.partial.npy``, the array itself, and ``.X.partial.safetensors``, the
memory of all lanes and how far each has come. When all is made the array takes its name. Several
processes write their lanes into the same array, and each has a memory file of its own.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from trajlm.data import IntArray, smallest_unsigned
from trajlm.errors import InputError, Interrupted, OutputError
from trajlm.lstm.generation.blocks import CARRIED, Block
from trajlm.lstm.generation.lanes import lane_blocks, run_blocks
from trajlm.lstm.model import LSTMModel
from trajlm.models.base import Progress
from trajlm.util.atomic import atomic_path, write_failure
from trajlm.util.processes import ALONE, Processes

SECONDS_BETWEEN_SAVES = 60.0
# Frames and lanes of a finished file by which it is known again.
LOOKED_AT = 50, 16


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
    processes: Processes = ALONE,
) -> None:
    """Write `n_lanes` sampled trajectories to an npy file of shape (n_lanes, n_steps).

    Parameters
    ----------
    path
        The file, whose name ends in ``.npy``.
    resume
        Go on where an interrupted call with the same arguments stopped; the file is
        bit-identical to one written in one go. Without, what it left is replaced.
    processes
        Those that share the lanes, as `trajlm.util.processes.join` returns them. On processors of
        one kind the file is bit-identical for any number; one is gone on with by as many as
        began it.

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
    target, array_path = Path(os.path.realpath(path)), _array_path(path)
    memory_path, memories = _memory_paths(array_path, processes)
    request = {
        "model": _digest(model),
        "steps": n_steps,
        "lanes": n_lanes,
        "seed": seed,
        "start": start,
        "temperature": temperature,
        "device": device,
        "precision of the weights": model.generating.precision if device == "cpu" else "",
    }
    share = processes.share(n_lanes)
    blocks = lane_blocks(model, n_lanes, seed, start, temperature, n_threads, device, share)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        going_on = resume and array_path.exists() and any(m.exists() for m in memories)
        if processes.is_first and not going_on:
            _begin_anew(array_path, resume)
        going_on = processes.tell(going_on)
        if going_on and memory_path.exists():
            _load(memory_path, request, blocks)
            if progress:
                progress(sum(b.made * b.n_lanes for b in blocks))
        with array_path.open("r+b") as file:
            shape = (n_lanes, n_steps)
            _Sink(file, shape, smallest_unsigned(model.n_states)).fill(
                blocks, memory_path, request, progress, n_threads, processes
            )
        if processes.is_first:
            os.replace(array_path, target)
            for path_of_one in memories:
                path_of_one.unlink(missing_ok=True)
    except OSError as error:
        if processes.is_first and not any(m.exists() for m in memories):
            # Nothing to go on from: the space is worth more than the file.
            with suppress(OSError):
                array_path.unlink()
        raise OutputError(f"{path} cannot be written: {write_failure(error)}") from error


def is_begun(path: Path) -> bool:
    """Return whether an interrupted call has left something to go on with."""
    array_path = _array_path(path)
    return array_path.exists() and bool(_memories_left(array_path))


def is_finished(
    model: LSTMModel,
    path: Path,
    n_steps: int,
    n_lanes: int,
    seed: int,
    *,
    start: int | None = None,
    temperature: float = 1.0,
) -> bool:
    """Return whether the file is what these arguments make, as its size and beginning tell."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return False
    if array.shape != (n_lanes, n_steps):
        return False
    frames, lanes = min(n_steps, LOOKED_AT[0]), min(n_lanes, LOOKED_AT[1])
    begin = model.generate(frames, lanes, seed, start=start, temperature=temperature)
    return bool((array[:lanes, :frames] == np.array(begin.trajectories)).all())


def _array_path(path: Path) -> Path:
    """Return where the array grows."""
    target = Path(os.path.realpath(path))
    return target.with_name(f".{target.stem[:100]}.partial.npy")


def _memories_left(array_path: Path) -> list[Path]:
    """Return the memory files beside an array, of any number of processes."""
    return sorted(array_path.parent.glob(f"{glob.escape(array_path.stem)}*.safetensors"))


def _memory_paths(array_path: Path, processes: Processes) -> tuple[Path, list[Path]]:
    """Return where this process keeps the memory of its lanes, and where each of them does."""
    names = [".safetensors"]
    if processes.size > 1:
        names = [f".{k}-of-{processes.size}.safetensors" for k in range(processes.size)]
    paths = [array_path.with_suffix(name) for name in names]
    return paths[processes.rank], paths


def _begin_anew(array_path: Path, resume: bool) -> None:
    """Make an empty array, and remove memory that belongs to an earlier one.

    Raises
    ------
    InputError
        It is to be gone on with, but was begun by another number of processes.
    """
    left = _memories_left(array_path)
    if left and resume and array_path.exists():
        raise InputError(
            f"{left[0]} was made by another number of processes: start as many, or generate anew"
        )
    for memory in left:
        memory.unlink(missing_ok=True)
    array_path.write_bytes(b"")


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
        processes: Processes,
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
            self.file.flush()
            os.fsync(self.file.fileno())
            processes.wait()
        except KeyboardInterrupt:
            save()
            asked = self.n_steps * sum(b.n_lanes for b in blocks)
            share = sum(b.made * b.n_lanes for b in blocks) / max(asked, 1)
            raise Interrupted(
                f"generation stopped with {share:.0%} made and saved: resume it to go on",
                resumable=True,
            ) from None

    def write(self, lane: int, frame: int, states: IntArray) -> None:
        """Put states (lanes, frames) in their place."""
        with self.lock:
            for k, row in enumerate(states):
                at = (lane + k) * self.n_steps + frame
                self.file.seek(self.begin + at * self.dtype.itemsize)
                self.file.write(row.tobytes())


def _digest(model: LSTMModel) -> str:
    """Return a digest of the weights, also as rounded, and of the stretches lanes begin from."""
    digest = hashlib.sha256()
    rounded = vars(model.rounded).values() if model.rounded else ()
    for array in (*vars(model.weights).values(), *rounded, *model.starts):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _save(path: Path, request: dict[str, Any], blocks: Sequence[Block]) -> None:
    """Write the memory of the lanes that are made here, atomically."""
    from safetensors.numpy import save_file

    if not blocks:
        return  # more processes than lanes
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
        raise InputError(f"{path} is damaged ({error}): generate anew") from None
    for name, value in request.items():
        if then.get(name) != value:
            raise InputError(
                f"{path} was made with another {name} than is asked for now ({value}): give the "
                "same, or generate anew"
            )
    for block in blocks:
        begin = block.first - blocks[0].first
        lanes = slice(begin, begin + block.n_lanes)
        made = np.unique(arrays["made"][lanes])
        if len(made) != 1:
            raise InputError(
                f"{path} was made on another number of threads: give the same, or generate anew"
            )
        block.remember(int(made[0]), {name: arrays[name][lanes] for name in CARRIED})
