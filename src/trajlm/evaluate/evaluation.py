"""Measuring the data and what models generate, the same way for every model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

import numpy as np

from trajlm.analysis import Grouping, free_energy
from trajlm.data import States, StatesLike, as_states
from trajlm.discretize import find_difference
from trajlm.errors import InputError
from trajlm.evaluate.grouping import choose_grouping
from trajlm.evaluate.measure import data_at_lag, measure_data, measure_model
from trajlm.evaluate.reference import Reference, lag_of, make_reference
from trajlm.evaluate.result import Evaluation, UnseenData
from trajlm.models.base import SequenceModel

Stage = Callable[[str], None]
# One model or what was generated before, or several trainings of one kind.
Kind: TypeAlias = "SequenceModel | StatesLike | Sequence[SequenceModel | States]"


def evaluate(
    reference: StatesLike,
    models: Mapping[str, Kind],
    grouping: Grouping | None = None,
    *,
    unseen: StatesLike | None = None,
    n_runs: int = 10,
    n_frames: int | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    commit_time: float | None = None,
    stage: Stage | None = None,
) -> Evaluation:
    """Measure the data and what each model generates; see `trajlm.compare`."""
    data = as_states(reference)
    if not models:
        raise InputError("there is nothing to compare the data with: give a model or states")
    if commit_time is not None and not commit_time > 0:
        raise InputError(f"the commit time is {commit_time}: give a time above zero")
    kinds = {name: _trainings(name, kind) for name, kind in models.items()}
    lags = {name: _common_lag(data, name, kind) for name, kind in kinds.items()}
    say = stage or (lambda _: None)
    say("measuring the data")
    grouping = grouping or choose_grouping(data)
    at_lag = {lag: make_reference(data, grouping, lag) for lag in sorted({1, *lags.values()})}
    future = {} if unseen is None else _unseen(data, as_states(unseen), at_lag)
    measured = measure_data(at_lag[1], future.get(1))
    results = []
    # Every kind has random numbers of its own, or their noise would be the same.
    seeds = np.random.SeedSequence(seed).generate_state(len(kinds)).tolist()
    for own_seed, (name, kind) in zip(seeds, kinds.items(), strict=True):
        lag = lags[name]
        say(f"generating with {name} and measuring it")
        results.append(
            measure_model(
                name,
                kind,
                at_lag[lag],
                future.get(lag),
                n_frames=(n_frames or data.n_frames) // lag,
                n_runs=n_runs,
                seed=own_seed,
                n_threads=n_threads,
            )
        )
    return Evaluation(
        reference=measured,
        models=tuple(results),
        grouping=grouping,
        space=data.space,
        lags=tuple(data_at_lag(r, future.get(lag)) for lag, r in at_lag.items() if lag > 1),
        unseen=_describe_unseen(future[1]) if future else None,
        commit_time=commit_time,
        settings={"n_runs": n_runs, "n_frames": n_frames or data.n_frames, "seed": seed},
    )


def _trainings(name: str, kind: Kind) -> tuple[SequenceModel | States, ...]:
    if isinstance(kind, SequenceModel):
        return (kind,)
    if isinstance(kind, list | tuple):
        if not kind:
            raise InputError(f"{name} has no training: give at least one model")
        if all(isinstance(training, SequenceModel | States) for training in kind):
            return tuple(kind)
    return (as_states(cast(StatesLike, kind)),)


def _unseen(data: States, unseen: States, at_lag: Mapping[int, Reference]) -> dict[int, Reference]:
    """Return the unseen stretch in the groups of the data, at each lag."""
    if _common_lag(data, "the unseen data", (unseen,)) != 1:
        raise InputError(
            f"the unseen data has one frame every {unseen.dt:g} {unseen.unit} but the data has one "
            f"every {data.dt:g} {data.unit}: compare at the same dt"
        )
    same = data.with_trajectories(unseen.trajectories)
    return {lag: make_reference(same, at_lag[1].grouping, lag) for lag in at_lag}


def _describe_unseen(unseen: Reference) -> UnseenData:
    return UnseenData(
        n_frames=unseen.states.n_frames,
        n_trajectories=len(unseen.states),
        group_free_energy=free_energy(unseen.grouped),
        transitions=unseen.transitions,
        floor=unseen.floor,
    )


def _common_lag(data: States, name: str, kind: Sequence[SequenceModel | States]) -> int:
    """Return the frames of the data that one frame of a model is, checked for all trainings."""
    lags = {_checked_lag(data, name, other) for other in kind}
    if len(lags) > 1:
        raise InputError(f"the trainings of {name} have different lags: compare them by themselves")
    return lags.pop()


def _checked_lag(data: States, name: str, other: SequenceModel | States) -> int:
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
    if isinstance(other, States) and space.unit == "frame":
        return 1
    lag = lag_of(space, data.space)
    if lag is None:
        raise InputError(
            f"{name} makes one frame every {space.dt:g} {space.unit} but the data has one every "
            f"{data.dt:g} {data.unit}: compare at the same dt, or at a multiple of the data's"
        )
    return lag
