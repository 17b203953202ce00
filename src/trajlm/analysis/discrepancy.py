"""How far the kinetics of generated data are from the reference, in one number."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from trajlm.analysis.kinetics import CommittedTransitions, committed_transitions
from trajlm.data import States, StatesLike, as_states
from trajlm.errors import InputError
from trajlm.util.arrays import F64, I64, IntArray

# Transitions of the data from which on a rate is a term of D.
MIN_COUNT = 20
# Splits of several trajectories, and the share of all frames, one in so many, from which on one of
# them is cut instead of dealt.
N_SPLITS = 8
LONG = 20


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
    source: I64
    target: I64
    commit_times: I64
    reference_counts: I64
    generated_counts: I64
    log_ratios: F64


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
    """Compare two halves of the data that are alike: D0, with the terms of all splits.

    One trajectory is cut into its first half of time, as reference, and its second. Several are
    split as `alike_halves` says, eight times, and the mean is over the terms of all of them. This
    is the discrepancy that data of half the length have by chance alone.

    Raises
    ------
    InputError
        Too few frames to be cut in two.
    """
    found = []
    for halves in alike_halves(as_states(states)):
        first, second = (committed_transitions(half, commit_times) for half in halves)
        found.append(discrepancy(first, second, min_count))
    return _pooled(found)


def alike_halves(states: States) -> list[tuple[States, States]]:
    """Return pairs of halves of the data that hold trajectories alike, whatever their order.

    A trajectory of more than a twentieth of all frames gives half of its time to each half of the
    data, and its first half of time to the one or the other in turn. The others are dealt whole:
    of two of like length, one to each half, by chance. There are eight such splits; one trajectory
    alone is split once, at the middle of its time.
    """
    order = sorted(range(len(states)), key=lambda i: _digest(states.trajectories[i]))
    trajectories = [states.trajectories[i] for i in order]
    lengths = np.array([len(s) for s in trajectories])
    cut = lengths * LONG > states.n_frames
    splits = []
    for split in range(1 if len(states) == 1 else N_SPLITS):
        rng = np.random.default_rng(split)
        halves: tuple[list[IntArray], list[IntArray]] = ([], [])
        first = split
        for k in np.flatnonzero(cut):
            middle = lengths[k] // 2
            halves[first % 2].append(trajectories[k][:middle])
            halves[1 - first % 2].append(trajectories[k][middle:])
            first += 1
        whole = np.flatnonzero(~cut)
        whole = whole[np.lexsort((rng.random(len(whole)), lengths[whole]))]
        for pair in (whole[i : i + 2] for i in range(0, len(whole), 2)):
            turn = int(rng.integers(2))
            for side, k in enumerate(pair):
                halves[(turn + side) % 2].append(trajectories[k])
        splits.append((_with_some(states, halves[0]), _with_some(states, halves[1])))
    return splits


def _digest(trajectory: IntArray) -> tuple[int, bytes]:
    """Return what orders trajectories by themselves, whatever order they came in."""
    data = np.ascontiguousarray(trajectory).data
    return len(trajectory), hashlib.sha256(data).digest()


def _with_some(states: States, pieces: list[IntArray]) -> States:
    kept = [s for s in pieces if len(s) >= 2]
    if not kept:
        raise InputError(f"{states.n_frames} frames are too few to be cut in two")
    return states.with_trajectories(kept)


def _pooled(found: list[Discrepancy]) -> Discrepancy:
    """Return the mean over all terms of several discrepancies, and those terms."""
    names = [f.name for f in fields(Discrepancy)[2:]]
    terms = {name: np.concatenate([getattr(d, name) for d in found]) for name in names}
    n = len(terms["log_ratios"])
    value = float(np.abs(terms["log_ratios"]).mean()) if n else float("nan")
    return Discrepancy(value, n, **terms)


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
