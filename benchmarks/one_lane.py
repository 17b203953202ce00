"""One generated lane beside a plain step-by-step ``nn.LSTM`` loop, in one run.

Usage: python benchmarks/one_lane.py [HIDDEN_DIM ...]
"""

from __future__ import annotations

import sys
import time
from statistics import median

import numpy as np
import torch

from trajlm.data import StateSpace
from trajlm.models.lstm import LSTMModel
from trajlm.models.network import LSTMNetwork, export_weights

N_STATES, EMBEDDING_DIM, REPEATS = 20, 32, 5


def plain_loop(network: LSTMNetwork, n_steps: int) -> None:
    """Sample as such models are sampled today: one state at a time through the module."""
    memory, state = network.initial_memory(1), torch.zeros(1, 1, dtype=torch.long)
    with torch.no_grad():
        for _ in range(n_steps):
            logits, memory = network(state, memory)
            state = torch.multinomial(torch.softmax(logits[0], -1), 1)


def main() -> None:
    """Print the medians of tokens a second and their ratio for each hidden size."""
    torch.set_num_threads(1)
    for hidden_dim in [int(word) for word in sys.argv[1:]] or [64]:
        network = LSTMNetwork(N_STATES, EMBEDDING_DIM, hidden_dim)
        model = LSTMModel(export_weights(network), StateSpace(N_STATES), (np.array([0, 1]),))
        n_plain, n_ours = 1000, max(2000, 200_000_000 // hidden_dim**2 // 4)
        plain_loop(network, 100)
        model.generate(100)
        plain, ours = [], []
        for _ in range(REPEATS):
            began = time.perf_counter()
            plain_loop(network, n_plain)
            plain.append(n_plain / (time.perf_counter() - began))
            began = time.perf_counter()
            model.generate(n_ours, n_threads=1)
            ours.append(n_ours / (time.perf_counter() - began))
        a, b = median(plain), median(ours)
        print(
            f"L={hidden_dim}: plain loop {a:,.0f}, trajlm {b:,.0f} tokens a second: {b / a:.0f} x"
        )


if __name__ == "__main__":
    main()
