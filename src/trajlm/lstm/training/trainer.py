"""The state of a training between epochs, and what an epoch does."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trajlm.data import States
from trajlm.errors import InputError, ModelFileError
from trajlm.lstm.columns import Column
from trajlm.lstm.loops import loops
from trajlm.lstm.record import CheckpointRecord, EpochRecord, LSTMRecord
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.batching import PADDING, Streams, Window, choose_n_streams, lay_streams
from trajlm.lstm.training.direction import find_direction
from trajlm.lstm.training.start import baselines, build_network
from trajlm.util.devices import usable_device
from trajlm.util.processes import Processes
from trajlm.util.warn import warn
from trajlm.util.words import complaint, counted

if TYPE_CHECKING:
    import torch

    from trajlm.lstm.training.checkpoint import Moments
    from trajlm.lstm.training.network import LSTMNetwork, Memory
    from trajlm.lstm.weights import LSTMWeights

# Validation reads few, long streams, so that their beginnings without memory do not weigh.
VALIDATION_STREAMS = 8
# Epochs without gain that end a training, if they hold so many gradient steps: on small data
# the held-out stretch is small too, and its noise hides a gain for longer.
PATIENCE, PATIENT_STEPS = 5, 500
# Nats a frame, in those of a blind guess, from which on a training has gone astray.
DIVERGED = 10.0


# Makes the network of training data, settings, window, whether it is read both ways, and column.
Build = Callable[[States, TrainingSettings, int, bool, Column], "LSTMNetwork"]


class Trainer:
    """Network, optimiser, history and best weights of the training of a column."""

    def __init__(
        self,
        training: States,
        validation: States,
        settings: TrainingSettings,
        device: str,
        n_threads: int,
        processes: Processes,
        column: Column,
        build: Build | None = None,
    ) -> None:
        import torch

        from trajlm.lstm.training.window import LSTMWindow

        self.settings = settings
        self.column = column
        self.training = training
        self.processes = processes
        self.device = usable_device(device)
        longest = max(len(s) for s in training) - 1
        self.window = min(settings.window, longest)
        self.n_streams = choose_n_streams(training, self.window, settings.streams)
        steps = training.n_transitions / (self.n_streams * self.window)
        self.patience = settings.patience or max(PATIENCE, math.ceil(PATIENT_STEPS / steps))
        self.validation_streams = lay_streams(
            validation, min(VALIDATION_STREAMS, self.n_streams), self.window
        )
        if processes.is_first and self.n_streams < processes.size:
            warn(
                f"{processes.size} processes share {counted(self.n_streams, 'stream', 'streams')}, "
                "as many as so little data is read in: the others have nothing to do",
            )
        self.direction = find_direction(training, settings.reversible, settings.seed)
        self.baselines = baselines(training, validation, column, self.direction.both_ways)
        build = build or build_network
        self.network = build(training, settings, self.window, self.direction.both_ways, column)
        self.network.to(self.device)
        self.averaged = copy.deepcopy(self.network)
        # To collect them from the layers anew would take longer than a step of the optimiser.
        self.parameters = list(self.network.parameters())
        self.averaged_parameters = list(self.averaged.parameters())
        self.optimizer = torch.optim.Adam(
            self.parameters,
            lr=settings.learning_rate,
            fused=self.device.type in ("cpu", "cuda"),
        )
        # Elsewhere PyTorch's own layer runs.
        self.loops = LSTMWindow(n_threads) if self.device.type == "cpu" else None
        self.history: list[EpochRecord] = []
        self.best = {k: v.clone() for k, v in self.averaged.state_dict().items()}

    @property
    def computed_by(self) -> str:
        """What computes the steps: the last bits of a model are those of one kind of code."""
        return loops().NAME if self.loops else self.device.type

    @property
    def finished(self) -> bool:
        """Whether all epochs ran, or the held-out stretch stopped improving."""
        done = len(self.history)
        return done >= self.settings.epochs or done - self.best_epoch >= self.patience

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) with the lowest held-out nats per frame; 0 before the first."""
        values = [r.validation for r in self.history]
        return int(np.argmin(values)) + 1 if values else 0

    def run_epoch(self) -> EpochRecord:
        """Train one epoch and look at the held-out stretch."""
        began = time.perf_counter()
        epoch = len(self.history) + 1
        rng = np.random.default_rng((self.settings.seed, epoch))
        streams = lay_streams(
            self.training, self.n_streams, self.window, rng, self.direction.both_ways
        )
        training = self._learn(streams, epoch)
        validation = self._validate()
        limit = DIVERGED * np.log(self.training.n_states)
        if not (training < limit and validation < limit):
            raise InputError(
                f"the training diverged in epoch {epoch}: lower the learning rate from "
                f"{self.settings.learning_rate:g}"
            )
        seconds = time.perf_counter() - began
        record = EpochRecord(
            epoch=epoch,
            training=training,
            validation=validation,
            seconds=seconds,
            column="" if self.column.is_plain() else self.column.name,
        )
        self.history.append(record)
        if self.best_epoch == epoch:
            self.best = {k: v.clone() for k, v in self.averaged.state_dict().items()}
        return record

    def _learn(self, streams: Streams, epoch: int) -> float:
        """Take one gradient step a window; return the nats per frame met on the way."""
        own = streams.part(self.processes.share(streams.n_streams))
        memory = self.network.initial_memory(own.n_streams)
        frames_a_step = streams.n_targets / streams.n_steps
        total = 0.0
        for step, window in enumerate(own):
            steps_done = (epoch - 1) * streams.n_steps + step
            self._set_learning_rate(steps_done / streams.n_steps)
            loss, memory = self._loss(self.network, window, memory, 1 / frames_a_step)
            loss = self.processes.sum_gradients(self.network, loss)
            self._clip()
            self.optimizer.step()
            horizon = 1 + self.settings.averaging * streams.n_steps
            self._average(1 / min(steps_done + 1, horizon))
            total += float(loss)
        return total / streams.n_targets

    def _validate(self) -> float:
        """Return the nats per frame of the averaged weights on the held-out stretch."""
        import torch

        streams = self.validation_streams
        own = streams.part(self.processes.share(streams.n_streams))
        memory = self.averaged.initial_memory(own.n_streams)
        total = 0.0
        with torch.no_grad():
            for window in own:
                loss, memory = self._loss(self.averaged, window, memory)
                total += float(loss)
        of_all = self.processes.sum(torch.tensor(total, dtype=torch.float64, device=self.device))
        return float(of_all) / streams.n_targets

    def _clip(self) -> None:
        """Shorten the gradient to the largest norm."""
        import torch

        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = float(torch.cat([g.flatten() for g in gradients]).norm())
        if norm > self.settings.clip:
            for gradient in gradients:
                gradient.mul_(self.settings.clip / norm)

    def _average(self, weight: float) -> None:
        """Move the averaged weights towards the present ones by the share `weight`."""
        import torch

        with torch.no_grad():
            for mean, now in zip(self.averaged_parameters, self.parameters, strict=True):
                mean.lerp_(now, weight)

    def _loss(
        self, network: LSTMNetwork, window: Window, memory: Memory, scale: float | None = None
    ) -> tuple[torch.Tensor, Memory]:
        """Return the summed nats of one window and the memory after it.

        With `scale`, the gradients of so many times the nats are left in the parameters.
        """
        import torch

        if not window.targets.size:
            # One of several processes may have nothing to read where others have.
            network.zero_grad()
            return torch.zeros((), device=self.device), memory
        column, following = self.column, np.maximum(window.targets, 0)
        labels = np.where(window.targets < 0, PADDING, column.labels[following])
        inputs, targets, known = (
            torch.from_numpy(x).to(self.device)
            for x in (window.inputs, labels, column.given[following])
        )
        given = None if column.is_first else known
        keep = torch.from_numpy(~window.fresh).to(self.device, torch.float32)[None, :, None]
        kept = memory[0] * keep, memory[1] * keep
        if scale is None:
            return network.nats(inputs, targets, kept, self.loops, given)
        return network.learn(inputs, targets, kept, scale, self.loops, given)

    def _set_learning_rate(self, epochs_done: float) -> None:
        fraction = epochs_done / self.settings.epochs
        rate = self.settings.learning_rate * 0.5 * (1 + np.cos(np.pi * fraction))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def weights(self) -> LSTMWeights:
        """Return the weights of the best epoch."""
        from trajlm.lstm.training.network import export_weights

        self.network.load_state_dict(self.best)
        return export_weights(self.network)

    def record(self, data: States, data_sha256: str) -> LSTMRecord:
        """Return how the network was trained."""
        return LSTMRecord(
            settings=self.settings,
            n_frames=data.n_frames,
            n_trajectories=len(data),
            best_epoch=self.best_epoch,
            history=tuple(self.history),
            baselines=self.baselines,
            data_sha256=data_sha256,
            direction=self.direction,
        )

    def save(self, path: Path, data_sha256: str) -> None:
        """Write everything a resumed run needs."""
        from trajlm.lstm.training.checkpoint import write_checkpoint

        write_checkpoint(
            path,
            {
                "network": self.network.state_dict(),
                "averaged": self.averaged.state_dict(),
                "best": self.best,
            },
            self.optimizer.state_dict()["state"],
            CheckpointRecord(
                self.settings, tuple(self.history), data_sha256, computed_by=self.computed_by
            ),
        )

    def load(self, path: Path, data_sha256: str) -> None:
        """Take up a saved training.

        Raises
        ------
        InputError
            The checkpoint is of other data or other settings.
        ModelFileError
            It is damaged.
        """
        from trajlm.lstm.training.checkpoint import read_checkpoint

        weights, moments, record = read_checkpoint(path)
        if record.data_sha256 != data_sha256:
            raise InputError(f"{path} belongs to other data: train again")
        then = record.settings
        for name in TrainingSettings.model_fields:
            if getattr(then, name) != getattr(self.settings, name):
                raise InputError(
                    f"{path} was trained with {name} = {getattr(then, name)}: give the same "
                    "settings or train again"
                )
        try:
            self.network.load_state_dict(weights["best"])
            self.best = {k: v.clone() for k, v in self.network.state_dict().items()}
            self.network.load_state_dict(weights["network"])
            self.averaged.load_state_dict(weights["averaged"])
            self._take_up(moments)
        except (KeyError, ValueError, RuntimeError) as error:
            raise ModelFileError(f"{path} is damaged ({complaint(error)}): train again") from None
        if record.computed_by not in ("", self.computed_by):
            warn(
                f"{path} was begun with {record.computed_by} and goes on with {self.computed_by}: "
                "the model is not bit-identical to that of a run in one go"
            )
        self.history = list(record.history)

    def _take_up(self, moments: Moments) -> None:
        """Give the optimiser what it remembered of each parameter; its settings are ours."""
        if moments and sorted(moments) != list(range(len(self.parameters))):
            raise ValueError("the optimiser remembers other parameters")
        for k, own in moments.items():
            shape = tuple(self.parameters[k].shape)
            shapes = {name: tuple(x.shape) for name, x in own.items()}
            if shapes != {"step": (), "exp_avg": shape, "exp_avg_sq": shape}:
                raise ValueError(f"the optimiser remembers {shapes} of parameter {k}")
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
