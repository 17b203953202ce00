"""The language model as a PyTorch module, for training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from trajlm.models.lstm import LSTMWeights
from trajlm.models.window import LSTMWindow, Memory
from trajlm.streams import PADDING


class LSTMNetwork(nn.Module):
    """Embedding, LSTM, linear output and, optionally, a bigram skip.

    Parameters
    ----------
    n_states, embedding_dim, hidden_dim
        n_states, M and L.
    log_transitions
        Log of a smoothed transition matrix, shape (n_states, n_states), that the skip B starts
        from while D and b start at zero: the network starts as the Markov model and learns only
        the memory. None: no skip (the network of the 2020 paper).
    embedding_scale
        Standard deviation of the state vectors at the start.
    memories
        Frames after which the first units forget at the start, shape (n_slow,); the others begin
        as PyTorch's do, with some two frames.
    """

    def __init__(
        self,
        n_states: int,
        embedding_dim: int,
        hidden_dim: int,
        log_transitions: Tensor | None = None,
        embedding_scale: float = 1.0,
        memories: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_states, embedding_dim)
        with torch.no_grad():
            self.embedding.weight.mul_(embedding_scale)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim)
        if memories is not None:
            self._remember(memories)
        self.readout = nn.Linear(hidden_dim, n_states)
        self.skip: nn.Embedding | None = None
        if log_transitions is not None:
            self.skip = nn.Embedding(n_states, n_states)
            self.skip.load_state_dict({"weight": log_transitions})
            nn.init.zeros_(self.readout.weight)
            nn.init.zeros_(self.readout.bias)

    def _remember(self, memories: Tensor) -> None:
        """Let the first units keep t / (1 + t) of their memory a frame, and take in the rest.

        Gradients of a long memory vanish in units that forget at once; these do not (the chrono
        initialisation of Tallec and Ollivier, arXiv:1804.11188).
        """
        biases = dict(self.lstm.named_parameters())
        forget = memories.log()
        with torch.no_grad():
            for name, bias in (("bias_ih_l0", forget), ("bias_hh_l0", torch.zeros_like(forget))):
                gates = biases[name].view(4, self.lstm.hidden_size)
                gates[0, : len(memories)] = -bias
                gates[1, : len(memories)] = bias

    def initial_memory(self, n_streams: int) -> Memory:
        """Return the memory of streams with no past: two zeros of shape (1, n_streams, L)."""
        zeros = self.readout.weight.new_zeros(1, n_streams, self.lstm.hidden_size)
        return zeros, zeros

    def forward(self, states: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Return logits (window, streams, n_states) of the next states, and the new memory.

        `states` has shape (window, streams).
        """
        hidden, memory = self.lstm(self.embedding(states), memory)
        logits: Tensor = self.readout(hidden)
        if self.skip is not None:
            logits = logits + self.skip(states)
        return logits, memory

    def nats(
        self, states: Tensor, targets: Tensor, memory: Memory, window: LSTMWindow | None = None
    ) -> tuple[Tensor, Memory]:
        """Return the summed -ln Q of the targets, and the memory after, without gradient.

        `states` and `targets` have shape (window, streams); targets of `PADDING` do not count.
        With `window`, its loops take the place of PyTorch's layers.
        """
        if window is None:
            logits, after = self(states, memory)
            nats = cross_entropy(
                logits.flatten(0, 1), targets.flatten(), ignore_index=PADDING, reduction="sum"
            )
            return nats, (after[0].detach(), after[1].detach())
        weights = dict(self.lstm.named_parameters())
        bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]
        table = linear(self.embedding.weight, weights["weight_ih_l0"], bias)
        out, n_states = self.readout, len(table)
        skip = table.new_zeros(n_states, n_states) if self.skip is None else self.skip.weight
        all_weights = table, weights["weight_hh_l0"], out.weight, out.bias, skip
        return window(all_weights, states, targets, memory)


def export_weights(network: LSTMNetwork) -> LSTMWeights:
    """Return a copy of the network's weights as plain arrays."""
    n = network.readout.out_features
    skip = network.skip.weight if network.skip is not None else torch.zeros(n, n)
    lstm = dict(network.lstm.named_parameters())
    arrays = [
        t.detach().cpu().float().numpy().copy()
        for t in (
            network.embedding.weight,
            lstm["weight_ih_l0"],
            lstm["weight_hh_l0"],
            lstm["bias_ih_l0"] + lstm["bias_hh_l0"],
            network.readout.weight,
            network.readout.bias,
            skip,
        )
    ]
    return LSTMWeights(*arrays)
