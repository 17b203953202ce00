"""Comparing generated trajectories with the data, the same way for every model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from trajlm.analysis import (
    Autocorrelation,
    CommittedTransitions,
    Discrepancy,
    Grouping,
    Survival,
    autocorrelation,
    blocks,
    commit_times,
    committed_transitions,
    discrepancy,
    dwell_times,
    floor,
    free_energy,
    group_by_list,
    group_by_pcca,
    survival,
)
from trajlm.analysis.pcca import slow_timescales
from trajlm.analysis.runs import longest_run
from trajlm.data import IntArray, States, as_states
from trajlm.discretize import find_difference
from trajlm.errors import InputError
from trajlm.evaluate.result import Evaluation, SourceResult
from trajlm.models.base import SequenceModel

# States up to this number are compared as they are; more are grouped by PCCA+.
FEW_STATES = 5
# Lag, in frames, of the Markov model behind the default grouping.
GROUPING_LAG = 10
# Parts into which generated data is cut, where it is not many lanes, for the interval of D.
N_PARTS = 10
# Frames of each source that a report shows.
EXCERPT_FRAMES = 20_000
# Longest lag of the autocorrelation in frames.
MAX_LAG = 10_000

Stage = Callable[[str], None]


def evaluate(
    reference: States | IntArray | Sequence[IntArray],
    models: Mapping[str, SequenceModel | States],
    grouping: Grouping | None = None,
    *,
    n_runs: int = 10,
    n_frames: int | None = None,
    seed: int = 0,
    stage: Stage | None = None,
) -> Evaluation:
    """Measure the data and what each model generates, and how far they are apart.

    Parameters
    ----------
    reference
        The data.
    models
        By name: a model, which then generates, or States that were generated before.
    grouping
        How fine states are grouped for the kinetics; None: as they are up to five, else by
        PCCA+ (`default_grouping`).
    n_runs
        Independent generations of each model, from which the intervals of D come.
    n_frames
        Frames of each generation; as many as the data has when None.
    seed
        Of the generations.
    stage
        Called with what is being done, before each step.

    Raises
    ------
    InputError
        No model, or models of other states than the data.
    """
    data = as_states(reference)
    if not models:
        raise InputError("there is nothing to compare the data with: give a model or states")
    for name, other in models.items():
        _check_same_states(data, name, other)
    grouping = grouping or default_grouping(data)
    grouped = grouping.apply(data)
    times = commit_times(longest_run(grouped.trajectories))
    say = stage or (lambda _: None)
    say("measuring the data")
    measured = _measure("data", data, grouped, times, floor(grouped, times), None)
    results = []
    # Every model has random numbers of its own, or their noise would be the same.
    seeds = np.random.SeedSequence(seed).generate_state(len(models)).tolist()
    for own_seed, (name, other) in zip(seeds, models.items(), strict=True):
        model = other if isinstance(other, SequenceModel) else None
        if model:
            say(f"generating with {name}")
            generated = model.generate(n_frames or data.n_frames, n_runs, own_seed)
        else:
            assert isinstance(other, States)
            generated = data.with_trajectories(other.trajectories)
        say(f"measuring {name}")
        generated = cut_alike(generated, data)
        grouped = grouping.apply(generated)
        value, interval = _discrepancy_with_interval(measured.transitions, grouped)
        results.append(
            _measure(name, generated, grouped, times, value, interval, model=model, data=data)
        )
    settings = {"n_runs": n_runs, "n_frames": n_frames or data.n_frames, "seed": seed}
    return Evaluation(measured, tuple(results), grouping, data.space, settings)


def cut_alike(states: States, reference: States) -> States:
    """Cut generated lanes into trajectories of the lengths that the reference has.

    The end of a trajectory cuts a stay short, and a stay cut short is committed less often: only
    trajectories of the same lengths can be compared. Each lane is cut into the reference's
    lengths one after the other, over and over; what is left at its end is kept where it holds a
    transition.
    """
    lengths = [len(s) for s in reference]
    pieces: list[IntArray] = []
    for s in states:
        begin = 0
        for length in itertools.cycle(lengths):
            if len(s) - begin < 2:
                break
            pieces.append(s[begin : begin + length])
            begin += length
    return states.with_trajectories(pieces)


def default_grouping(states: States) -> Grouping:
    """Return the states as they are up to five, else PCCA+ groups.

    The number of groups, 2 to 4, is where the implied timescales of the Markov state model that
    PCCA+ groups, at a lag of ten frames, have their largest ratio.
    """
    if states.n_states <= FEW_STATES:
        return group_by_list(states, list(range(states.n_states)))
    lag = min(GROUPING_LAG, max(len(s) for s in states) - 1)
    timescales = slow_timescales(states, lag, 4)
    n_groups = int(np.argmax(timescales[:3] / timescales[1:4])) + 2
    return group_by_pcca(states, n_groups, lag)


def _check_same_states(data: States, name: str, other: SequenceModel | States) -> None:
    if other.n_states > data.n_states:
        raise InputError(
            f"{name} has {other.n_states} states but the data has {data.n_states}: compare models "
            "of the same states"
        )
    space = other.space
    if different := find_difference(space, data.space):
        raise InputError(
            f"the states of {name} are {different[0]}, those of the data are {different[1]}: "
            "compare models of the same states"
        )
    known = isinstance(other, SequenceModel) or space.unit != "frame"
    if known and (space.dt, space.unit) != (data.dt, data.unit):
        raise InputError(
            f"{name} makes one frame each {space.dt:g} {space.unit} but the data has one each "
            f"{data.dt:g} {data.unit}: compare at the same dt"
        )


def _discrepancy_with_interval(
    reference: CommittedTransitions, grouped: States
) -> tuple[Discrepancy, tuple[float, float]]:
    """Return D of all generated data, and its jackknife interval over independent parts."""
    from scipy.stats import t as student_t

    times = reference.commit_times
    whole = discrepancy(reference, committed_transitions(grouped, times))
    if len(grouped) >= N_PARTS:
        lanes = np.array_split(np.arange(len(grouped)), N_PARTS)
        parts = [[grouped.trajectories[k] for k in lane] for lane in lanes]
    else:
        parts = [list(part.trajectories) for part in blocks(grouped, N_PARTS)]
    n = len(parts)
    if n < 2:
        return whole, (float("nan"), float("nan"))
    found = [committed_transitions(grouped.with_trajectories(p), times, n_blocks=1) for p in parts]
    left_out = [discrepancy(reference, _others(found, k)).value for k in range(n)]
    error = np.sqrt((n - 1) / n * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    half = float(student_t.ppf(0.975, n - 1) * error)
    return whole, (max(whole.value - half, 0.0), whole.value + half)


def _others(parts: Sequence[CommittedTransitions], left_out: int) -> CommittedTransitions:
    """Return the sum of what was counted in all parts but one."""
    rest = [part for k, part in enumerate(parts) if k != left_out]
    return replace(
        parts[0],
        counts=np.sum([part.counts for part in rest], axis=0),
        time_in_state=np.sum([part.time_in_state for part in rest], axis=0),
        total_frames=sum(part.total_frames for part in rest),
    )


def _measure(
    name: str,
    states: States,
    grouped: States,
    times: npt.NDArray[np.int64],
    distance: Discrepancy,
    interval: tuple[float, float] | None,
    model: SequenceModel | None = None,
    data: States | None = None,
) -> SourceResult:
    from trajlm.lstm.model import LSTMModel

    return SourceResult(
        name=name,
        n_frames=states.n_frames,
        n_trajectories=len(states),
        free_energy=free_energy(states),
        group_free_energy=free_energy(grouped),
        transitions=committed_transitions(grouped, times),
        survivals=tuple(_survival(grouped, k) for k in range(grouped.n_states)),
        autocorrelation=_autocorrelation(states),
        discrepancy=distance,
        discrepancy_interval=interval,
        cross_entropy=model.cross_entropy(data) if model and data else None,
        excerpt=max(states, key=len)[:EXCERPT_FRAMES].copy(),
        embedding=model.embedding if isinstance(model, LSTMModel) else None,
        record=model.record if model else None,
    )


def _autocorrelation(states: States) -> Autocorrelation | None:
    if states.visited().sum() < 2:
        return None
    longest = max(len(s) for s in states)
    centers = states.centers
    values = centers if centers is not None and centers.ndim == 1 else np.arange(states.n_states)
    return autocorrelation(states, min(MAX_LAG, max(1, longest // 10)), values)


def _survival(grouped: States, state: int) -> Survival | None:
    dwells = dwell_times(grouped, state)
    return survival(dwells) if len(dwells.complete) else None
