"""What the loops over the network are handed, in vector code as in plain code."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trajlm.kernels.arrays import F32, I64

I32 = npt.NDArray[np.int32]

# Logit of the states that only fill a panel.
NEVER = np.float32(-1e30)
# In the counter of the threads' meetings, this lets everybody go: more than any number of meetings.
DISMISSED = 2**62
# Units that a matrix is filled up with are fewer.
FILLED_UP = 16


class Recurrent(NamedTuple):
    """A recurrent matrix (L, 4L), packed.

    Parameters
    ----------
    weights
        Float32, half precision in a uint16, or bytes in an int8.
    offsets
        Where the sums of bytes begin, of those worth 256 and of those worth 1, shape (2, 4L).
    scales
        What the sums are multiplied by, shape (4L,).
    units
        The fine units, a multiple of eight; where the weights are no bytes, None as the two before.
    n_fine
        How many of them are not there to make up the eight.
    """

    weights: npt.NDArray[Any]
    offsets: I32 | None = None
    scales: F32 | None = None
    units: I64 | None = None
    n_fine: int = 0

    @property
    def precision(self) -> str:
        """What the weights are, for people."""
        if self.scales is None:
            return "single precision" if self.weights.dtype == np.float32 else "half precision"
        # Units that only fill up a vector are zero.
        all_fine = len(self.scales) // 4 - self.n_fine < FILLED_UP
        return "12 bits" if all_fine else "8 and 12 bits" if self.n_fine else "8 bits"


class Column(NamedTuple):
    """A column of a token: its network as the loops read it, and what it leads to.

    Parameters
    ----------
    inputs, given_inputs
        What a state and what is given add to the gates, shapes (n_states, 4L) and (n_given, 4L);
        the first column is given nothing and has no row.
    recurrent
        In the precision that is read, packed.
    readout
        Packed matrix (L, n_labels), float32.
    skip
        Shape (n_given, n_labels padded), (n_states, n_labels padded) of the first column.
    follow
        What is given to the next column, or the next state, shape (n_given or 1, n_labels).
    """

    inputs: F32
    given_inputs: F32
    recurrent: Recurrent
    readout: F32
    skip: F32
    follow: I64
