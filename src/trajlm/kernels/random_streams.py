"""Counter-based random numbers for compiled loops.

Number `n` of the stream `key` is the SplitMix64 hash of ``key + n * golden`` (Steele, Lea,
Flood, OOPSLA 2014): nothing is carried from one call to the next, so lanes with different keys
are independent streams and the result cannot depend on which thread runs which lane.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trajlm.kernels.compiled import compiled

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX1 = np.uint64(0xBF58476D1CE4E5B9)
MIX2 = np.uint64(0x94D049BB133111EB)
S30, S27, S31, S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
TWO_TO_MINUS_53 = 1.0 / 9007199254740992.0


@compiled
def uniform(key: np.uint64, counter: np.uint64) -> float:
    """Return number `counter` of stream `key`, uniform in [0, 1)."""
    x = key + counter * GOLDEN
    x = (x ^ (x >> S30)) * MIX1
    x = (x ^ (x >> S27)) * MIX2
    x ^= x >> S31
    return np.float64(x >> S11) * TWO_TO_MINUS_53


def stream_keys(seed: int, n_streams: int) -> npt.NDArray[np.uint64]:
    """Return one independent key a stream, shape (n_streams,); the first are always the same."""
    keys: npt.NDArray[np.uint64] = np.random.Philox(seed).random_raw(n_streams)
    return keys
