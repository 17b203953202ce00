"""Contexts of up to k states in a tree: following them, scoring and drawing the next state.

A node stands for a sequence of states; its children are those with one state more at the end, in
increasing order, one after the other in memory. Node 0 is the empty sequence.

Interpolation after Witten and Bell (IEEE Trans. Inf. Theory 37:1085 (1991)): after the context c
of j states with N(c) followers of T(c) kinds, of which N(c, x) are x,
P_j(x) = (N(c, x) + T(c) P_{j-1}(x)) / (N(c) + T(c)), and P_{-1} = 1/n.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.kernels.compiled import compiled
from trajlm.kernels.random_streams import uniform

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@compiled
def child(state: I64, begin: I64, node: int, x: int) -> int:
    """Return the node of the sequence with x at the end, -1 where the data has none."""
    low, high = begin[node], begin[node + 1]
    end = high
    while low < high:
        middle = (low + high) // 2
        if state[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low if low < end and state[low] == x else -1


@compiled
def follow(state: I64, begin: I64, nodes: I64, x: int) -> None:
    """Change `nodes`, of the last 0..k states, shape (k + 1,), to those after another state x."""
    for j in range(len(nodes) - 1, 0, -1):
        nodes[j] = child(state, begin, nodes[j - 1], x) if nodes[j - 1] >= 0 else -1
    nodes[0] = 0


@compiled
def interpolated(
    state: I64, begin: I64, cumulative: I64, nodes: I64, x: int, n_states: int, out: F64
) -> None:
    """Write P_j(x) for j = 0..k, shape (k + 1,)."""
    p = 1.0 / n_states
    for j in range(len(nodes)):
        node = nodes[j]
        if node >= 0 and begin[node + 1] > begin[node]:
            kinds = begin[node + 1] - begin[node]
            total = cumulative[begin[node + 1]] - cumulative[begin[node]]
            next_node = child(state, begin, node, x)
            count = cumulative[next_node + 1] - cumulative[next_node] if next_node >= 0 else 0
            p = (count + kinds * p) / (total + kinds)
        out[j] = p


@compiled
def score_contexts(
    state: I64, begin: I64, cumulative: I64, path: npt.NDArray[Any], n_states: int, out: F64
) -> None:
    """Write ln P_j(path[t+1] | path[..t]), shape (T - 1, k + 1)."""
    nodes = np.full(out.shape[1], -1, np.int64)
    nodes[0] = 0
    row = np.empty(out.shape[1])
    for t in range(len(path) - 1):
        follow(state, begin, nodes, np.int64(path[t]))
        interpolated(state, begin, cumulative, nodes, np.int64(path[t + 1]), n_states, row)
        for j in range(out.shape[1]):
            out[t, j] = math.log(row[j])


@compiled
def simulate_contexts(
    state: I64,
    begin: I64,
    cumulative: I64,
    nodes: I64,
    n_states: int,
    key: np.uint64,
    first: int,
    out: npt.NDArray[Any],
) -> None:
    """Write the states that follow the contexts `nodes`, and leave there the last ones.

    The interpolation is a mixture: from the longest context down, the next state is one of its
    followers with probability N / (N + T), else left to the next shorter one.
    """
    k = len(nodes) - 1
    for t in range(len(out)):
        counter = np.uint64((first + t) * (2 * k + 3))
        x = -1
        for j in range(k, -1, -1):
            node = nodes[j]
            if node < 0 or begin[node + 1] == begin[node]:
                continue
            low, high = begin[node], begin[node + 1]
            kinds, total = high - low, cumulative[high] - cumulative[low]
            u = uniform(key, counter + np.uint64(2 * j)) * (total + kinds)
            if u >= total:
                continue
            # The last child whose cumulative count is not above u.
            wanted = cumulative[low] + u
            while high - low > 1:
                middle = (low + high) // 2
                if cumulative[middle] <= wanted:
                    low = middle
                else:
                    high = middle
            x = state[low]
            break
        if x < 0:
            u = uniform(key, counter + np.uint64(2 * k + 2))
            x = min(int(u * n_states), n_states - 1)
        out[t] = x
        follow(state, begin, nodes, x)
