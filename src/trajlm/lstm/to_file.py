"""Generating straight to disk: constant memory, and going on after an interruption.

Beside ``X.npy`` grow ``.X.partial.npy``, the array itself, and ``.X.partial.safetensors``, the
memory of all lanes and how far each has come. When all is made the array takes its name. Several
processes write their lanes into the same array, and each has a memory file of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import smallest_unsigned
from trajlm.errors import InputError, Interrupted, OutputError
from trajlm.lstm.generation.blocks import Block
from trajlm.lstm.generation.lanes import lane_blocks, run_blocks
from trajlm.lstm.generation.saved import Memory, Unfit, checksum, read_lanes, save_lanes, take_up
from trajlm.lstm.language import LanguageModel
from trajlm.lstm.loops import loops
from trajlm.models.base import Progress
from trajlm.util.arrays import IntArray
from trajlm.util.atomic import flush_folder, hidden_stem, unwritable
from trajlm.util.processes import ALONE, Processes
from trajlm.util.signals import undisturbed
from trajlm.util.warn import warn

SECONDS_BETWEEN_SAVES = 60.0
# Frames and lanes of a finished file by which it is known again.
LOOKED_AT = 50, 16


def generate_to_file(
    model: LanguageModel,
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

    The caller holds the file with `trajlm.util.atomic.lone_file_writer`.

    Parameters
    ----------
    path
        The file, whose name ends in ``.npy``.
    resume
        Go on where an interrupted call with the same arguments stopped; the file is
        bit-identical to one written in one go. Without, or where what it left does not fit
        together (a warning says so), it is replaced.
    processes
        Those that share the lanes, as `trajlm.util.processes.join` returns them. On processors of
        one kind the file is bit-identical for any number; one is resumed by as many as
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
        "compiled code": loops().NAME if device == "cpu" else "",
    }
    blocks = lane_blocks(
        model, n_lanes, seed, start, temperature, n_threads, device, processes.share(n_lanes)
    )
    with _named(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        going_on = resume and array_path.exists() and any(m.exists() for m in memories)
        memory = _memory(memory_path, request) if going_on and memory_path.exists() else None
        sink = _Sink(path, array_path, (n_lanes, n_steps), smallest_unsigned(model.n_states))
        if processes.is_first:
            if going_on and not sink.is_whole():
                _begin_again(f"{array_path} was cut or changed")
                going_on = False
            if not going_on:
                _begin_anew(array_path, memories, resume)
        going_on = processes.tell(going_on)
        if going_on and memory and blocks:
            _go_on(memory_path, memory, blocks, sink, model.n_states, progress)
    try:
        with sink:
            sink.fill(blocks, memory_path, request, progress, n_threads, processes)
    except OutputError:
        if processes.is_first and not any(m.exists() for m in memories):
            # Nothing to go on from: the space is worth more than the file.
            with suppress(OSError):
                array_path.unlink()
        raise
    if processes.is_first:
        with _named(path):
            os.replace(array_path, target)
            flush_folder(target.parent)
            remove_orphans(path)


def is_begun(path: Path) -> bool:
    """Return whether an interrupted call was to write the file."""
    return _array_path(path).exists()


def is_saved(path: Path) -> bool:
    """Return whether an interrupted call has left frames to go on from."""
    return is_begun(path) and bool(_memories_left(_array_path(path)))


def remove_orphans(path: Path) -> None:
    """Remove memory that goes with no frames, left by a call that was killed at its very end."""
    array_path = _array_path(path)
    if not array_path.exists():
        for memory in _memories_left(array_path):
            memory.unlink(missing_ok=True)


def is_finished(
    model: LanguageModel,
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
    return target.with_name(f".{hidden_stem(target)}.partial.npy")


def _memories_left(array_path: Path) -> list[Path]:
    """Return the memory files beside an array, of any number of processes."""
    name = re.compile(re.escape(array_path.stem) + r"(\.\d+-of-\d+)?\.safetensors")
    return sorted(p for p in array_path.parent.glob(".*.safetensors") if name.fullmatch(p.name))


def _memory_paths(array_path: Path, processes: Processes) -> tuple[Path, list[Path]]:
    """Return where this process keeps the memory of its lanes, and where each of them does."""
    names = [".safetensors"]
    if processes.size > 1:
        names = [f".{k}-of-{processes.size}.safetensors" for k in range(processes.size)]
    paths = [array_path.with_suffix(name) for name in names]
    return paths[processes.rank], paths


def _memory(path: Path, request: dict[str, Any]) -> Memory | None:
    """Return what was saved, None where it is damaged.

    Raises
    ------
    InputError
        It was saved for another request.
    """
    try:
        return read_lanes(path, request)
    except Unfit as reason:
        _begin_again(reason)
        return None


def _go_on(
    memory_path: Path,
    memory: Memory,
    blocks: Sequence[Block],
    sink: _Sink,
    n_states: int,
    progress: Progress | None,
) -> None:
    """Go on from what was saved, unless it does not fit the frames that are there."""
    try:
        found = take_up(memory_path, memory, blocks, sink.frames(), n_states)
    except Unfit as reason:
        _begin_again(reason)
        return
    sink.checksums[blocks[0].first : blocks[0].first + len(found)] = found
    if progress:
        progress(sum(b.made * b.n_lanes for b in blocks))


def _begin_again(reason: object) -> None:
    warn(f"{reason}: starting over")


def _begin_anew(array_path: Path, memories: Sequence[Path], resume: bool) -> None:
    """Make an empty array, and remove memory that belongs to an earlier one.

    Raises
    ------
    InputError
        It is to be resumed, but was begun by another number of processes.
    """
    left = _memories_left(array_path)
    if left and resume and array_path.exists() and not set(left) & set(memories):
        raise InputError(
            f"{left[0]} was made by another number of processes: start as many, or generate again"
        )
    for memory in left:
        memory.unlink(missing_ok=True)
    array_path.write_bytes(b"")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error of the system name the file that is written."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


class _Sink:
    """The growing file; a context that keeps it open.

    Parameters
    ----------
    path, array_path
        The file asked for, and the one that grows.
    shape
        Lanes and steps.
    dtype
        Of the states.
    """

    def __init__(self, path: Path, array_path: Path, shape: tuple[int, int], dtype: Any) -> None:
        self.path, self.array_path, self.shape = path, array_path, shape
        self.dtype = np.dtype(dtype)
        self.lock = threading.Lock()
        self.checksums = np.zeros(shape[0], np.uint32)
        head = BytesIO()
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(head, header)
        self.header = head.getvalue()

    def __enter__(self) -> _Sink:
        with _named(self.path):
            self.file = self.array_path.open("r+b")
            self.file.write(self.header)
            self.file.truncate(self._size())
        return self

    def __exit__(self, *_: object) -> None:
        with _named(self.path):
            self.file.close()

    def _size(self) -> int:
        return len(self.header) + self.shape[0] * self.shape[1] * int(self.dtype.itemsize)

    def is_whole(self) -> bool:
        """Return whether the file has the header and the length that it should have."""
        with self.array_path.open("rb") as file:
            begins = file.read(len(self.header)) == self.header
        return begins and self.array_path.stat().st_size == self._size()

    def frames(self) -> npt.NDArray[Any]:
        """Return the array in the file, shape (lanes, steps)."""
        return np.memmap(self.array_path, self.dtype, "r", len(self.header), self.shape)

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
        n_lanes = sum(b.n_lanes for b in blocks)

        def save() -> None:
            # The frames first: the memory must never be ahead of them.
            self._flush()
            if blocks:  # else more processes than lanes
                first = blocks[0].first
                save_lanes(memory_path, request, blocks, self.checksums[first : first + n_lanes])

        def save_now_and_then() -> None:
            nonlocal saved
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                save()
                saved = time.monotonic()

        try:
            run_blocks(blocks, self.shape[1], self.write, progress, n_threads, save_now_and_then)
            self._flush()
            processes.wait()
        except KeyboardInterrupt:
            with undisturbed():
                save()
            asked = self.shape[1] * n_lanes
            share = sum(b.made * b.n_lanes for b in blocks) / max(asked, 1)
            raise Interrupted(
                f"generation stopped with {share:.0%} made and saved: resume it to go on",
                resumable=True,
            ) from None

    def write(self, lane: int, frame: int, states: IntArray) -> None:
        """Put states (lanes, frames), which follow those before, in their place."""
        for k, row in enumerate(states, lane):
            self.checksums[k] = checksum(row, int(self.checksums[k]))
        with self.lock, _named(self.path):
            for k, row in enumerate(states, lane):
                at = k * self.shape[1] + frame
                self.file.seek(len(self.header) + at * self.dtype.itemsize)
                self.file.write(row.tobytes())

    def _flush(self) -> None:
        with _named(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())


def _digest(model: LanguageModel) -> str:
    """Return a digest of the weights, also as rounded, and of the stretches lanes begin from."""
    digest = hashlib.sha256()
    for array in model.to_arrays()[1].values():
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
