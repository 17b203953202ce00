"""The language model as a PyTorch module, for training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from trajlm.lstm.training.batching import PADDING
from trajlm.lstm.training.window import LSTMWindow, WindowWeights
from trajlm.lstm.weights import LSTMWeights

# Hidden units and cells of the streams, shape (1, streams, L) each.
Memory = tuple[Tensor, Tensor]


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
    seed
        Fixes the start. PyTorch's own generator, which all threads share, is left alone.
    """

    def __init__(
        self,
        n_states: int,
        embedding_dim: int,
        hidden_dim: int,
        log_transitions: Tensor | None = None,
        embedding_scale: float = 1.0,
        memories: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        # Without numbers, which the layers would take from the generator of all threads.
        self.embedding = nn.Embedding(n_states, embedding_dim, device="meta")
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, device="meta")
        self.readout = nn.Linear(hidden_dim, n_states, device="meta")
        self.skip: nn.Embedding | None = None
        if log_transitions is not None:
            self.skip = nn.Embedding(n_states, n_states, device="meta")
        self.to_empty(device="cpu")
        self._start(torch.Generator().manual_seed(seed), embedding_scale)
        if memories is not None:
            self._remember(memories)
        if self.skip is not None:
            self.skip.load_state_dict({"weight": log_transitions})
            nn.init.zeros_(self.readout.weight)
            nn.init.zeros_(self.readout.bias)

    def _start(self, random: torch.Generator, embedding_scale: float) -> None:
        """Draw the start as PyTorch's layers do: uniform up to 1 / sqrt(L) for all but vectors."""
        nn.init.normal_(self.embedding.weight, generator=random)
        bound = self.lstm.hidden_size**-0.5
        for weight in (*self.lstm.parameters(), *self.readout.parameters()):
            nn.init.uniform_(weight, -bound, bound, generator=random)
        with torch.no_grad():
            self.embedding.weight.mul_(embedding_scale)

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
        With `window`, its loops take the place of PyTorch's layers, and nothing has a gradient.
        """
        if window is not None:
            return self._looped(states, targets, memory, window, None)
        logits, after = self(states, memory)
        nats = cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=PADDING, reduction="sum"
        )
        return nats, (after[0].detach(), after[1].detach())

    def learn(
        self,
        states: Tensor,
        targets: Tensor,
        memory: Memory,
        scale: float,
        window: LSTMWindow | None = None,
    ) -> tuple[Tensor, Memory]:
        """Return what `nats` does, and leave the gradients of `scale` times the nats.

        They take the place of what the parameters' ``grad`` held.
        """
        if window is not None:
            return self._looped(states, targets, memory, window, scale)
        nats, after = self.nats(states, targets, memory)
        self.zero_grad()
        torch.autograd.backward(nats * scale)
        return nats.detach(), after

    def _looped(
        self,
        states: Tensor,
        targets: Tensor,
        memory: Memory,
        window: LSTMWindow,
        scale: float | None,
    ) -> tuple[Tensor, Memory]:
        """Run a window through the loops; with `scale`, leave the gradients."""
        (inputs, recurrent, *biases), out = self.lstm.all_weights[0], self.readout
        with torch.no_grad():
            table = linear(self.embedding.weight, inputs, biases[0] + biases[1])
            n_states = len(table)
            skip = table.new_zeros(n_states, n_states) if self.skip is None else self.skip.weight
            arrays = (x.detach().numpy() for x in (table, recurrent, out.weight, out.bias, skip))
            found = window(
                WindowWeights(*arrays),
                states.numpy(),
                targets.numpy(),
                torch.cat(memory).numpy(),
                scale,
            )
            if (by := found.gradients) is not None:
                by_table = torch.from_numpy(by.table)
                self.embedding.weight.grad = by_table @ inputs
                inputs.grad = by_table.t() @ self.embedding.weight
                biases[0].grad = by_table.sum(0)
                biases[1].grad = biases[0].grad.clone()
                recurrent.grad = torch.from_numpy(by.recurrent)
                out.weight.grad, out.bias.grad = map(torch.from_numpy, (by.readout, by.bias))
                if self.skip is not None:
                    self.skip.weight.grad = torch.from_numpy(by.skip)
        after = torch.from_numpy(found.memory)
        nats = torch.from_numpy(np.array(found.nats, np.float32))
        return nats, (after[:1], after[1:])


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
