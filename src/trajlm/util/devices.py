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
    import torch

    before = torch.get_num_threads()
    use_in_pytorch(1)
    try:
        yield
    finally:
        use_in_pytorch(before)


def use_in_pytorch(n: int) -> None:
    """Let PyTorch use `n` threads for what this thread does, and no other thread.

    ``torch.set_num_threads`` sets the number of the thread that calls it and, besides, that of
    all threads that use PyTorch for the first time afterwards. The latter is put back here, by a
    thread that ends at once.
    """
    import torch

    with _SETTING_THREADS, ThreadPoolExecutor(1) as passing:
        others = passing.submit(torch.get_num_threads).result()
        torch.set_num_threads(n)
        passing.submit(torch.set_num_threads, others).result()


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
