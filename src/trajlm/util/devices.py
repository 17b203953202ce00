"""What training and generation run on: the device and the threads of the processor."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from trajlm.errors import InputError

if TYPE_CHECKING:
    import torch


_SETTING_THREADS = Lock()
# Time of processors that a container may use in a period, and the period, in microseconds.
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Return how many cores this process may use, by its affinity and its container's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        time, period = QUOTA.read_text(encoding="ascii").split()
        # Threads beyond it would be stopped in turn while the others wait for them.
        return max(1, min(cores, math.ceil(int(time) / int(period))))
    except (OSError, ValueError):
        # No container, or one without a limit ("max").
        return cores


def threads_of(n: int | None) -> int:
    """Return how many threads our loops get: `n`, or all cores when None.

    Raises
    ------
    InputError
        Less than one thread.
    """
    if n is not None and n < 1:
        raise InputError(f"{n} threads were asked for: at least one is needed")
    return n or usable_cores()


@contextmanager
def one_thread_in_pytorch() -> Iterator[None]:
    """Hold PyTorch to one thread for what this thread does in the block, and no other thread.

    PyTorch's threads wait for each other at every small operation, endlessly when something else
    shares the cores (epochs of 1 s took more than 30 s); ours share the streams of a window.
    """
    before = use_in_pytorch(1)
    try:
        yield
    finally:
        use_in_pytorch(before)


def use_in_pytorch(n: int) -> int:
    """Let PyTorch use `n` threads for what this thread does; return how many it was before.

    ``torch.set_num_threads`` sets the number of the thread that calls it and, besides, that of
    all threads that use PyTorch for the first time afterwards. The latter is put back here, by a
    thread that ends at once; until then no other thread may ask for its number here.
    """
    import torch

    with _SETTING_THREADS, ThreadPoolExecutor(1) as passing:
        before = torch.get_num_threads()
        others = passing.submit(torch.get_num_threads).result()
        torch.set_num_threads(n)
        passing.submit(torch.set_num_threads, others).result()
    return before


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error means that there was not enough memory.

    PyTorch has an exception of its own for the memory of a GPU. For that of the processor it has
    none, and names its allocator.
    """
    import torch

    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def usable_device(name: str) -> torch.device:
    """Return the PyTorch device of that name.

    Raises
    ------
    InputError
        There is none, or it cannot hold a number.
    """
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"there is no device {name!r} on this machine: try 'cpu'") from None
    return device
