"""What training and generation run on: the device and the threads of the processor."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trajlm.errors import InputError

if TYPE_CHECKING:
    import torch


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


@contextmanager
def threads(n: int | None) -> Iterator[int]:
    """Give how many threads our own loops get, and hold PyTorch to one for the time of the block.

    PyTorch's threads wait for each other at every small operation, endlessly when something else
    shares the cores (epochs of 1 s took more than 30 s); ours share the streams of a window.

    Raises
    ------
    InputError
        Less than one thread.
    """
    import torch

    if n is not None and n < 1:
        raise InputError(f"{n} threads were asked for: at least one is needed")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield n or usable_cores()
    finally:
        torch.set_num_threads(before)


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
        raise InputError(f"there is no device {name!r} on this machine: try --device cpu") from None
    return device
