"""How far the kinetics of generated data are from the reference, in one number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trajlm.analysis.kinetics import CommittedTransitions, committed_transitions
from trajlm.analysis.runs import Integers
from trajlm.data import StatesLike, as_states
from trajlm.errors import InputError

# Transitions of the data from which on a rate is a term of D.
MIN_COUNT = 20


@dataclass(frozen=True)
class Discrepancy:
    """Mean absolute logarithm of the ratios of committed rates, and its terms, shape (k,) each.

    Parameters
    ----------
    value
        The mean of ``|log_ratios|``; NaN when there is no term.
    n_terms
        Number of terms k.
    source, target
        The pair of states i -> j of each term.
    commit_times
        Its commit time in frames of the reference.
    reference_counts, generated_counts
        The transitions counted.
    log_ratios
        ln(generated rate / reference rate), a generated count of zero taken as 0.5.
    """

    value: float
    n_terms: int
    source: Integers
    target: Integers
    commit_times: Integers
    reference_counts: Integers
    generated_counts: Integers
    log_ratios: npt.NDArray[np.float64]


def discrepancy(
    reference: CommittedTransitions, generated: CommittedTransitions, min_count: int = MIN_COUNT
) -> Discrepancy:
    """Compare committed rates over all pairs of states and commit times.

    D = mean ``|ln(rate_generated / rate_reference)|`` over the ordered pairs and commit times at
    which the reference counts at least `min_count` transitions.

    Raises
    ------
    InputError
        Different numbers of states, units of time or commit times (in units of time).
    """
    _check_comparable(reference, generated)
    if min_count < 1:
        raise InputError(f"min_count is {min_count}: it must be at least 1")
    times, source, target = np.nonzero(reference.counts >= min_count)
    expected = reference.counts[times, source, target]
    found = generated.counts[times, source, target]
    rates = np.where(found > 0, found, 0.5) / generated.total_time
    log_ratios = np.log(rates * reference.total_time / expected)
    return Discrepancy(
        value=float(np.abs(log_ratios).mean()) if len(times) else float("nan"),
        n_terms=len(times),
        source=source,
        target=target,
        commit_times=reference.commit_times[times],
        reference_counts=expected,
        generated_counts=found,
        log_ratios=log_ratios,
    )


def floor(
    states: StatesLike, commit_times: npt.ArrayLike, min_count: int = MIN_COUNT
) -> Discrepancy:
    """Compare the first half of the data, as reference, with the second half.

    The halves are of equal numbers of frames over the list of trajectories. This is the
    discrepancy that data of half the length have by chance alone.
    """
    states = as_states(states)
    first, second = states.split_at(states.n_frames // 2)
    return discrepancy(
        committed_transitions(first, commit_times),
        committed_transitions(second, commit_times),
        min_count,
    )


def _check_comparable(reference: CommittedTransitions, generated: CommittedTransitions) -> None:
    n, n_generated = len(reference.time_in_state), len(generated.time_in_state)
    if n != n_generated:
        raise InputError(
            f"the reference has {n} states and the generated data {n_generated}: count both "
            "with the same n_states"
        )
    if reference.unit != generated.unit:
        raise InputError(
            f"the reference is in {reference.unit} and the generated data in {generated.unit}: "
            "give both the same unit of time"
        )
    times = [data.commit_times * data.dt for data in (reference, generated)]
    if len(times[0]) != len(times[1]) or not np.allclose(times[0], times[1], rtol=1e-6, atol=0):
        raise InputError(
            f"the commit times are {times[0].tolist()} {reference.unit} in the reference and "
            f"{times[1].tolist()} {generated.unit} in the generated data: they must be equal"
        )
