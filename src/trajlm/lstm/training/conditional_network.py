"""The network of a series of conditions as a PyTorch module, for training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from trajlm.lstm.conditional import ConditionalWeights
from trajlm.lstm.settings import TrainingSettings
from trajlm.lstm.training.network import LSTMNetwork, export_weights
from trajlm.util.arrays import F64


class ConditionalNetwork(LSTMNetwork):
    """A network whose inputs are states at conditions, s + n k.

    Parameters
    ----------
    n_states
        n.
    scaled
        c of each condition, shape (K,).
    settings
        Sizes and seed.
    log_transitions
        B and G at the start, shape (n, n) each; None: no skip.
    memories
        As of `LSTMNetwork`.
    """

    def __init__(
        self,
        n_states: int,
        scaled: F64,
        settings: TrainingSettings,
        log_transitions: tuple[F64, F64] | None,
        memories: Tensor,
    ) -> None:
        level = None if log_transitions is None else torch.from_numpy(log_transitions[0]).float()
        super().__init__(
            n_states,
            settings.embedding_dim,
            settings.hidden_dim,
            level,
            settings.embedding_scale,
            memories,
            settings.seed,
        )
        self.register_buffer("scaled", torch.from_numpy(scaled).float())
        self.embedding_slope = nn.Parameter(torch.zeros_like(self.embedding.weight))
        if log_transitions is not None:
            self.skip_slope = nn.Parameter(torch.from_numpy(log_transitions[1]).float())

    def _of_inputs(self, level: Tensor, slope: Tensor) -> Tensor:
        """Return level + c_k slope, the rows of all states at each condition in turn."""
        return (level + self.scaled[:, None, None] * slope).flatten(0, 1)  # type: ignore[index]

    def _to_both(self, by_inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients by level and slope, of that by their rows."""
        by_condition = by_inputs.view(len(self.scaled), -1, by_inputs.shape[1])  # type: ignore[arg-type]
        level = by_condition.sum(0)
        return level, (self.scaled[:, None, None] * by_condition).sum(0)  # type: ignore[index]

    def _vectors(self) -> Tensor:
        return self._of_inputs(self.embedding.weight, self.embedding_slope)

    def _learn_vectors(self, gradient: Tensor) -> None:
        self.embedding.weight.grad, self.embedding_slope.grad = self._to_both(gradient)

    def _skip_rows(self) -> Tensor | None:
        if self.skip is None:
            return None
        return self._of_inputs(self.skip.weight, self.skip_slope)

    def _learn_skip_rows(self, gradient: Tensor) -> None:
        assert self.skip is not None
        self.skip.weight.grad, self.skip_slope.grad = self._to_both(gradient)

    def conditional_weights(self) -> ConditionalWeights:
        """Return a copy of the weights as plain arrays, without corrections."""
        middle = export_weights(self)
        n, L = middle.readout.shape
        K = len(self.scaled)  # type: ignore[arg-type]
        slope = np.zeros((n, n), np.float32)
        if self.skip is not None:
            slope = self.skip_slope.detach().numpy().copy()
        return ConditionalWeights(
            middle,
            self.embedding_slope.detach().numpy().copy(),
            slope,
            np.zeros((K, n, L), np.float32),
            np.zeros((K, n, n), np.float32),
        )
