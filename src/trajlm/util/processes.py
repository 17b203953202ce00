"""One training or generation shared by several processes, as ``torchrun`` starts them.

``torchrun`` tells each process its number, from 0 to the last, in the environment; Lightning
Fabric connects them: gloo on processors, NCCL on GPUs.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

from trajlm.errors import InputError, MissingDependencyError
from trajlm.util.devices import usable_cores, usable_device

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric
    from torch import Tensor

T = TypeVar("T")
# The others wait while the first calibrates; one that has died is noticed at once, not by this.
LONGEST_WAIT = timedelta(days=2)


def place() -> tuple[int, int]:
    """Return the number of this process and how many there are, (0, 1) without `torchrun`.

    Raises
    ------
    InputError
        The environment says something that `torchrun` does not.
    """
    size = _from_environment("WORLD_SIZE", 1)
    rank = _from_environment("RANK", 0) if "WORLD_SIZE" in os.environ else 0
    if not 0 <= rank < size:
        raise InputError(
            f"the environment says that this is process RANK = {rank} of WORLD_SIZE = {size}, "
            "counted from 0: unset both, or start the processes with torchrun"
        )
    return rank, size


def _from_environment(name: str, default: int) -> int:
    word = os.environ.get(name, str(default))
    try:
        return int(word)
    except ValueError:
        raise InputError(
            f"the environment says {name} = {word!r}, which is no whole number: unset it, or start "
            "the processes with torchrun"
        ) from None


@dataclass(frozen=True)
class Processes:
    """One process among those that share the work; alone, there is nothing to share.

    Parameters
    ----------
    rank
        Number of this process; the first, 0, writes files and tells the user.
    size
        Number of processes.
    device
        The PyTorch device of this process.
    neighbours
        Processes on the same machine, this one among them.
    fabric
        What connects them, unless there is one only.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    neighbours: int = 1
    fabric: Fabric | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and tells the user."""
        return self.rank == 0

    def n_threads(self, wanted: int | None) -> int:
        """Return the threads of this process: what is wanted, or its part of the cores."""
        return wanted or max(1, usable_cores() // self.neighbours)

    def share(self, n: int) -> slice:
        """Return which of `n` things, side by side, are this process's; perhaps none."""
        begin, end = (n * k // self.size for k in (self.rank, self.rank + 1))
        return slice(begin, end)

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum over processes, the same bits in each."""
        if self.fabric is None:
            return value
        with _lost_process_as_interrupt():
            return cast("Tensor", self.fabric.all_reduce(value, reduce_op="sum"))

    def sum_gradients(self, network: torch.nn.Module, loss: Tensor) -> Tensor:
        """Sum the gradients of `network` in place, and return the sum of `loss`."""
        import torch

        if self.fabric is None:
            return loss
        parameters = list(network.parameters())
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        # One message a step: small networks wait for its arrival, not for its size.
        both = torch.cat([loss.reshape(1), *(g.flatten() for g in gradients)])
        both = self.sum(both)
        begin = 1
        for p in parameters:
            p.grad = both[begin : begin + p.numel()].view_as(p)
            begin += p.numel()
        return both[0]

    def tell(self, what: T) -> T:
        """Return `what` of the first process to all."""
        if self.fabric is None:
            return what
        with _lost_process_as_interrupt():
            return self.fabric.broadcast(what)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.fabric is not None:
            with _lost_process_as_interrupt():
                self.fabric.barrier()

    def check_same(self, what: object) -> None:
        """Check that this process has been given the same as the first.

        Raises
        ------
        InputError
            It has not.
        """
        if self.tell(what) != what:
            raise InputError(
                f"process {self.rank} of {self.size} has other data, other settings or another "
                "checkpoint than the first: give all the same command, on files that all see"
            )


ALONE = Processes()


def join(device: str = "cpu") -> Processes:
    """Meet the processes that `torchrun` started beside this one.

    Parameters
    ----------
    device
        "cpu", or "cuda" for one GPU a process.

    Raises
    ------
    MissingDependencyError
        There are several processes, and no Lightning Fabric.
    InputError
        Not a device that processes can share work on, or fewer GPUs than processes, or the
        processes do not reach each other.
    """
    rank, size = place()
    if size == 1:
        return Processes(device=device)
    if device not in ("cpu", "cuda"):
        raise InputError(f"several processes cannot share work on {device!r}: give cpu or cuda")
    neighbours = max(1, _from_environment("LOCAL_WORLD_SIZE", 1))
    own = f"cuda:{_from_environment('LOCAL_RANK', 0)}" if device == "cuda" else "cpu"
    usable_device(own)
    return Processes(rank, size, own, neighbours, _connected(device, neighbours, size))


def _connected(accelerator: str, neighbours: int, size: int) -> Fabric:
    """Return what connects the processes, after they have met."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from lightning_fabric import Fabric
            from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
            from lightning_fabric.strategies.ddp import DDPStrategy
    except ModuleNotFoundError:
        raise MissingDependencyError(
            "several processes need Lightning Fabric: pip install 'trajlm[nodes]'"
        ) from None
    # It greets, and advises on what is decided here.
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=neighbours,
            num_nodes=size // neighbours,
            # Inside a Slurm job as elsewhere it is torchrun that starts the processes.
            strategy=DDPStrategy(
                cluster_environment=TorchElasticEnvironment(), timeout=LONGEST_WAIT
            ),
        )
        fabric.launch()
        fabric.barrier()
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"the {size} processes do not reach each other ({error}): start them with torchrun, "
            "the same number on each machine"
        ) from None
    return fabric


@contextmanager
def _lost_process_as_interrupt() -> Iterator[None]:
    """Stop as for Ctrl-C, with all work saved, when another process has ended."""
    try:
        yield
    except RuntimeError as error:
        raise KeyboardInterrupt(f"another process ended: {error}") from error
