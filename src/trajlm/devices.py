"""What a training runs on: the device and the threads of the processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trajlm.errors import InputError

if TYPE_CHECKING:
    import torch

# Largest L that is trained by one thread unless told otherwise.
ONE_THREAD = 128


@contextmanager
def threads(n: int | None, hidden_dim: int) -> Iterator[None]:
    """Give PyTorch `n` threads for the time of the block; by default those that L is worth.

    Raises
    ------
    InputError
        Less than one thread.
    """
    import torch

    before = torch.get_num_threads()
    if n is not None and n < 1:
        raise InputError(f"{n} threads were asked for: at least one is needed")
    torch.set_num_threads(n or (1 if hidden_dim <= ONE_THREAD else before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
        raise InputError(f"there is no device {name!r} to train on: try --device cpu") from None
    return device
