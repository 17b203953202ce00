"""Hidden Markov processes with given rates: likelihood and entropy rate are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trajlm.data import States, StatesLike, as_states, smallest_unsigned
from trajlm.errors import InputError
from trajlm.kernels import stochastic
from trajlm.util.arrays import F64
from trajlm.util.trajectories import owned

# kinSoftChallenge, simulated data of level 3: four hidden states, of which 0 and 1 look alike and
# so do 2 and 3. Rates in 1/s from row to column. Goetz et al., Nat. Commun. 13:5402 (2022).
KINSOFT_LEVEL3_RATES = (
    (-0.025, 0.015, 0.0, 0.01),
    (0.2, -0.5, 0.3, 0.0),
    (0.0, 0.85, -0.95, 0.1),
    (0.01, 0.0, 0.025, -0.035),
)
KINSOFT_LEVEL3_LUMPING = (0, 0, 1, 1)

# Frames between two chances for Ctrl-C.
_FRAMES_PER_CHUNK = 1_000_000
_N_BLOCKS = 100


class EntropyRate(NamedTuple):
    """Entropy rate in nats per frame, with its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class HiddenMarkovProcess:
    """A stationary Markov chain that is seen only through what its states emit.

    Parameters
    ----------
    transition_matrix
        Probability of going from hidden state i to j in one frame, shape (n, n).
    emission_matrix
        Probability that hidden state i is seen as symbol k, shape (n, m).
    dt, unit
        Time between two frames and its unit.

    Raises
    ------
    InputError
        Matrices that do not fit together or whose rows are not probabilities.
    """

    transition_matrix: F64
    emission_matrix: F64
    dt: float = 1.0
    unit: str = "frame"

    def __post_init__(self) -> None:
        T = np.asarray(self.transition_matrix, dtype=np.float64)
        E = np.asarray(self.emission_matrix, dtype=np.float64)
        _check_stochastic(T, "transition matrix")
        _check_stochastic(E, "emission matrix")
        if T.shape[0] != T.shape[1] or len(E) != len(T):
            raise InputError(
                f"a transition matrix of shape {T.shape} and an emission matrix of shape {E.shape} "
                "do not fit together: (n, n) and (n, m) are needed"
            )
        if not (np.isfinite(self.dt) and self.dt > 0):
            raise InputError(f"dt must be positive, not {self.dt}")
        object.__setattr__(self, "transition_matrix", np.ascontiguousarray(T))
        object.__setattr__(self, "emission_matrix", np.ascontiguousarray(E))

    @classmethod
    def from_rates(
        cls,
        Q: npt.ArrayLike,
        dt: float,
        lumping: Sequence[int] | None = None,
        unit: str = "s",
    ) -> HiddenMarkovProcess:
        """Sample a continuous-time process at a fixed interval, T = exp(Q dt).

        Parameters
        ----------
        Q
            Rate matrix, row to column, in one over the unit of dt, shape (n, n); rows sum to zero.
        dt, unit
            Time between two frames and its unit.
        lumping
            The symbol that each hidden state is seen as; every state is seen when not given.

        Raises
        ------
        InputError
            A matrix that is no rate matrix, or a lumping of another length.
        """
        from scipy.linalg import expm

        Q = np.asarray(Q, dtype=np.float64)
        _check_rates(Q)
        if not (np.isfinite(dt) and dt > 0):
            raise InputError(f"dt must be positive, not {dt}")
        symbols = np.arange(len(Q)) if lumping is None else np.asarray(lumping)
        if symbols.shape != (len(Q),) or symbols.dtype.kind not in "iu" or symbols.min() < 0:
            raise InputError(f"the lumping must be {len(Q)} integers from 0, not {lumping}")
        # The exponential of a rate matrix has no negative entry but for rounding.
        T = np.clip(expm(Q * dt), 0.0, None)
        emission = np.eye(int(symbols.max()) + 1)[symbols]
        return cls(T / T.sum(axis=1, keepdims=True), emission, dt, unit)

    @property
    def n_hidden(self) -> int:
        """Number n of hidden states."""
        return len(self.transition_matrix)

    @property
    def n_symbols(self) -> int:
        """Number m of symbols."""
        return int(self.emission_matrix.shape[1])

    @property
    def stationary_distribution(self) -> F64:
        """Stationary probabilities of the hidden states, shape (n,).

        Raises
        ------
        InputError
            The chain falls into parts that do not communicate, so that there are many.
        """
        return stationary_distribution(self.transition_matrix)

    def simulate(self, n_frames: int, n_trajectories: int = 1, seed: int = 0) -> States:
        """Simulate independent stationary trajectories of the symbols.

        Parameters
        ----------
        n_frames
            Frames in each trajectory, at least two.
        n_trajectories
            Number of trajectories.
        seed
            The same seed gives the same result.
        """
        from trajlm.kernels.chain import simulate_hidden_chain
        from trajlm.kernels.random_streams import stream_keys

        if n_frames < 2 or n_trajectories < 1:
            raise InputError(
                f"{n_trajectories} trajectories of {n_frames} frames were asked for: "
                "at least 1 trajectory of 2 frames is needed"
            )
        keys = stream_keys(seed, n_trajectories + 1)
        starts = np.random.default_rng(int(keys[0])).choice(
            self.n_hidden, size=n_trajectories, p=self.stationary_distribution
        )
        cumulative = np.cumsum(self.transition_matrix, axis=1)
        cumulative_emission = np.cumsum(self.emission_matrix, axis=1)
        out = np.empty((n_trajectories, n_frames), dtype=smallest_unsigned(self.n_symbols))
        for hidden, key, trajectory in zip(starts, keys[1:], out, strict=True):
            for first in range(0, n_frames, _FRAMES_PER_CHUNK):
                chunk = trajectory[first : first + _FRAMES_PER_CHUNK]
                hidden = simulate_hidden_chain(
                    cumulative, cumulative_emission, int(hidden), key, first, chunk
                )
        return States(owned(out), self.n_symbols, self.dt, self.unit)

    def log_probs(self, states: StatesLike) -> list[F64]:
        """Compute ln P(s_t | s_0 .. s_{t-1}) for every frame but the first of each trajectory.

        Scaled forward algorithm, started from the stationary distribution. From the first
        symbol that cannot occur on, the values are minus infinity.

        Raises
        ------
        InputError
            A symbol that the process does not have (which trajectory and frame).

        References
        ----------
        Rabiner, Proc. IEEE 77:257 (1989), section V.A.
        """
        from trajlm.kernels.chain import forward_log_probs

        start = self.stationary_distribution
        log_probs = []
        for i, s in enumerate(as_states(states)):
            if s.max() >= self.n_symbols:
                frame = int(np.argmax(s >= self.n_symbols))
                raise InputError(
                    f"symbol {int(s[frame])} in trajectory {i}, frame {frame} is unknown to this "
                    f"process of {self.n_symbols} symbols"
                )
            out = np.full(len(s) - 1, -np.inf)
            if start @ self.emission_matrix[:, s[0]] > 0:
                # The kernel stops at a symbol of probability zero: the rest stays as it is.
                with suppress(ZeroDivisionError):
                    forward_log_probs(self.transition_matrix, self.emission_matrix, start, s, out)
            log_probs.append(out)
        return log_probs

    def log_prob(self, states: StatesLike) -> F64:
        """Compute the exact ln P(s_1 .. s_T | s_0) of each trajectory, shape (n_trajectories,)."""
        return np.array([x.sum() for x in self.log_probs(states)])

    def entropy_rate(self, n_frames: int = 1_000_000, seed: int = 0) -> EntropyRate:
        """Estimate the entropy rate of the symbols as the mean of -ln P(s_t | past).

        One path is simulated; its first hundredth, whose past is short, is not counted, and
        the standard error is that of the means of 100 blocks.

        Returns
        -------
        EntropyRate
            Value and standard error in nats per frame.

        Raises
        ------
        InputError
            A path of fewer than 10,000 frames.
        """
        if n_frames < 100 * _N_BLOCKS:
            raise InputError(
                f"{n_frames} frames are too few for an entropy rate: {100 * _N_BLOCKS} are needed"
            )
        surprise = -self.log_probs(self.simulate(n_frames, seed=seed))[0][n_frames // 100 :]
        whole_blocks = surprise[: len(surprise) // _N_BLOCKS * _N_BLOCKS]
        means = whole_blocks.reshape(_N_BLOCKS, -1).mean(axis=1)
        return EntropyRate(float(means.mean()), float(means.std(ddof=1) / np.sqrt(_N_BLOCKS)))


def markov_chain(
    T: npt.ArrayLike,
    dt: float = 1.0,
    unit: str = "frame",
) -> HiddenMarkovProcess:
    """Return the Markov chain with transition matrix T, shape (n, n), all its states seen."""
    T = np.asarray(T, dtype=np.float64)
    return HiddenMarkovProcess(T, np.eye(len(T)), dt, unit)


def markov_entropy_rate(T: npt.ArrayLike) -> float:
    r"""Compute the entropy rate of a Markov chain, in nats per frame.

    .. math:: h = -\sum_{ij} \pi_i T_{ij} \ln T_{ij}

    Parameters
    ----------
    T
        Transition matrix, shape (n, n).

    Raises
    ------
    InputError
        Rows that are not probabilities, or parts that do not communicate.

    References
    ----------
    Cover, Thomas, Elements of Information Theory, eq. 4.27.
    """
    from scipy.special import xlogy

    T = np.asarray(T, dtype=np.float64)
    _check_stochastic(T, "transition matrix")
    return float(-stationary_distribution(T) @ xlogy(T, T).sum(axis=1))


def stationary_distribution(T: F64) -> F64:
    """Compute the stationary distribution of a transition matrix, shape (n,).

    Raises
    ------
    InputError
        The chain falls into parts that do not communicate, so that there are many.
    """
    if len(stochastic.closed_sets(T)) > 1:
        raise InputError(
            "the hidden chain falls into parts that do not communicate: "
            "it has no single stationary distribution"
        )
    return stochastic.stationary_distribution(T)


def _check_stochastic(matrix: F64, what: str) -> None:
    if matrix.ndim != 2 or matrix.size == 0:
        raise InputError(f"the {what} has shape {matrix.shape}: two dimensions are needed")
    good = np.isfinite(matrix).all(axis=1) & (matrix >= 0).all(axis=1)
    good &= np.abs(matrix.sum(axis=1) - 1) < 1e-8
    if not good.all():
        raise InputError(
            f"row {int(np.argmin(good))} of the {what} is not a probability distribution: "
            "its entries must be positive or zero and sum to one"
        )


def _check_rates(Q: F64) -> None:
    if Q.ndim != 2 or Q.shape[0] != Q.shape[1] or Q.size == 0:
        raise InputError(f"the rate matrix has shape {Q.shape}: a square matrix is needed")
    rates = Q - np.diag(np.diag(Q))
    good = np.isfinite(Q).all(axis=1) & (rates >= 0).all(axis=1)
    good &= np.abs(Q.sum(axis=1)) <= 1e-8 * np.abs(Q).max()
    if not good.all():
        raise InputError(
            f"row {int(np.argmin(good))} of the rate matrix must have rates that are positive or "
            "zero and a diagonal that makes it sum to zero"
        )
