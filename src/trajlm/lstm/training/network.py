"""The language model as a PyTorch module, for training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, linear

from trajlm.lstm.training.batching import PADDING
from trajlm.lstm.training.window import LSTMWindow, WindowWeights
from trajlm.lstm.weights import LSTMWeights

# Hidden units and cells of the streams, shape (1, streams, L) each.
Memory = tuple[Tensor, Tensor]


class LSTMNetwork(nn.Module):
    """Embedding, LSTM, linear output and, optionally, a bigram skip.

    It predicts one column of the next token: for tokens of one column, the state.

    Parameters
    ----------
    n_states, embedding_dim, hidden_dim
        n_states, M and L.
    log_transitions
        Log of a smoothed transition matrix, shape (n_states, n_labels), that the skip B starts
        from while D and b start at zero: the network starts as the Markov model and learns only
        the memory. Where something is given, that of the labels given it, (n_given, n_labels).
        None: no skip (the network of the 2020 paper).
    embedding_scale
        Standard deviation of the state vectors at the start.
    memories
        Frames after which the first units forget at the start, shape (n_slow,); the others begin
        as PyTorch's do, with some two frames.
    seed
        Fixes the start. PyTorch's own generator, which all threads share, is left alone.
    n_labels
        Labels of the column; n_states when None.
    n_given
        Numbers of what the columns before say; then G takes part, and the skip goes by them, see
        `trajlm.lstm.weights`. None in the first column.
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
        n_labels: int | None = None,
        n_given: int | None = None,
    ) -> None:
        super().__init__()
        n_labels = n_states if n_labels is None else n_labels
        # Without numbers, which the layers would take from the generator of all threads.
        self.embedding = nn.Embedding(n_states, embedding_dim, device="meta")
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, device="meta")
        self.readout = nn.Linear(hidden_dim, n_labels, device="meta")
        self.skip: nn.Embedding | None = None
        self.given: nn.Embedding | None = None
        if n_given is not None:
            self.given = nn.Embedding(n_given, embedding_dim, device="meta")
        if log_transitions is not None:
            rows = len(log_transitions)
            self.skip = nn.Embedding(rows, n_labels, device="meta")
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
        tables = [t for t in (self.embedding, self.given) if t is not None]
        for table in tables:
            nn.init.normal_(table.weight, generator=random)
        bound = self.lstm.hidden_size**-0.5
        for weight in (*self.lstm.parameters(), *self.readout.parameters()):
            nn.init.uniform_(weight, -bound, bound, generator=random)
        with torch.no_grad():
            for table in tables:
                table.weight.mul_(embedding_scale)

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

    def forward(
        self, states: Tensor, memory: Memory, given: Tensor | None = None
    ) -> tuple[Tensor, Memory]:
        """Return logits (window, streams, n_labels) of the next labels, and the new memory.

        `states` have shape (window, streams), and so has `given`, the number of what the columns
        before say of the next state.
        """
        read = embedding(states, self._vectors())
        if self.given is not None:
            read = read + self.given(given)
        hidden, memory = self.lstm(read, memory)
        logits: Tensor = self.readout(hidden)
        if (skip := self._skip_rows()) is not None:
            logits = logits + embedding(states if given is None else given, skip)
        return logits, memory

    def _vectors(self) -> Tensor:
        """Return the vector of each input."""
        return self.embedding.weight

    def _learn_vectors(self, gradient: Tensor) -> None:
        """Leave the gradient by what the vectors are made of."""
        self.embedding.weight.grad = gradient

    def _skip_rows(self) -> Tensor | None:
        """Return the row of the skip of each input, if there is a skip."""
        return None if self.skip is None else self.skip.weight

    def _learn_skip_rows(self, gradient: Tensor) -> None:
        """Leave the gradient by what the rows of the skip are made of."""
        assert self.skip is not None
        self.skip.weight.grad = gradient

    def nats(
        self,
        states: Tensor,
        targets: Tensor,
        memory: Memory,
        window: LSTMWindow | None = None,
        given: Tensor | None = None,
    ) -> tuple[Tensor, Memory]:
        """Return the summed -ln Q of the targets, and the memory after, without gradient.

        `states`, `targets` and `given` have shape (window, streams); targets, the next labels, of
        `PADDING` do not count. With `window`, its loops take the place of PyTorch's layers, and
        nothing has a gradient.
        """
        if window is not None:
            return self._looped(states, targets, memory, window, None, given)
        logits, after = self(states, memory, given)
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
        given: Tensor | None = None,
    ) -> tuple[Tensor, Memory]:
        """Return what `nats` does, and leave the gradients of `scale` times the nats.

        They take the place of what the parameters' ``grad`` held.
        """
        if window is not None:
            return self._looped(states, targets, memory, window, scale, given)
        nats, after = self.nats(states, targets, memory, given=given)
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
        given: Tensor | None,
    ) -> tuple[Tensor, Memory]:
        """Run a window through the loops; with `scale`, leave the gradients."""
        (inputs, recurrent, *biases), out = self.lstm.all_weights[0], self.readout
        with torch.no_grad():
            vectors, skip_rows = self._vectors(), self._skip_rows()
            table = linear(vectors, inputs, biases[0] + biases[1])
            by_given = table[:0] if self.given is None else linear(self.given.weight, inputs)
            skip = table.new_zeros(len(table), out.out_features)
            if skip_rows is not None:
                skip = skip_rows
            arrays = (table, by_given, recurrent, out.weight, out.bias, skip)
            found = window(
                WindowWeights(*(x.detach().numpy() for x in arrays)),
                states.numpy(),
                targets.numpy(),
                torch.cat(memory).numpy(),
                scale,
                None if given is None else given.numpy(),
            )
            if (by := found.gradients) is not None:
                by_table, by_given = torch.from_numpy(by.table), torch.from_numpy(by.given)
                self._learn_vectors(by_table @ inputs)
                inputs.grad = by_table.t() @ vectors
                if self.given is not None:
                    self.given.weight.grad = by_given @ inputs
                    inputs.grad += by_given.t() @ self.given.weight
                biases[0].grad = by_table.sum(0)
                biases[1].grad = biases[0].grad.clone()
                recurrent.grad = torch.from_numpy(by.recurrent)
                out.weight.grad, out.bias.grad = map(torch.from_numpy, (by.readout, by.bias))
                if skip_rows is not None:
                    self._learn_skip_rows(torch.from_numpy(by.skip))
        after = torch.from_numpy(found.memory)
        nats = torch.from_numpy(np.array(found.nats, np.float32))
        return nats, (after[:1], after[1:])


def export_weights(network: LSTMNetwork) -> LSTMWeights:
    """Return a copy of the network's weights as plain arrays."""
    skip = torch.zeros(network.embedding.num_embeddings, network.readout.out_features)
    if network.skip is not None:
        skip = network.skip.weight
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
            *(() if network.given is None else (network.given.weight,)),
        )
    ]
    return LSTMWeights(*arrays)
