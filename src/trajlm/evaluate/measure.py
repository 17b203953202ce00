"""What is measured on the data, and on what a model generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trajlm.analysis import (
    Autocorrelation,
    CommittedTransitions,
    Discrepancy,
    DwellTimes,
    ExponentialMixture,
    autocorrelation,
    blocks,
    committed_transitions,
    discrepancy,
    dwell_times,
    fit_exponentials,
    free_energy,
    mean_interval,
    populations,
    survival,
)
from trajlm.analysis.uncertainty import FEW_EVENTS, jackknife_error
from trajlm.data import States
from trajlm.evaluate import processes
from trajlm.evaluate.reference import Reference, cut_alike
from trajlm.evaluate.result import DataAtLag, HiddenPath, SourceResult, TrainingResult, UnseenResult
from trajlm.lstm.language import LanguageModel
from trajlm.models.base import SequenceModel
from trajlm.models.hidden_markov import HiddenMarkovModel

# Parts into which generated data is cut, where it is not many lanes, for the interval of D.
N_PARTS = 10
# Frames of each source that a report shows.
EXCERPT_FRAMES = 20_000
# Groups up to this number have exponentials fitted to their dwells, up to so many.
FITTED_GROUPS, MOST_EXPONENTIALS = 8, 3
# Longest lag of the autocorrelation in frames.
MAX_LAG = 10_000


def measure_data(reference: Reference, unseen: Reference | None) -> SourceResult:
    """Measure the data itself, and how close it is to an unseen stretch."""
    future = None
    if unseen is not None:
        held = [_as_prediction(reference, unseen)]
        future = UnseenResult(*_discrepancy_with_interval(unseen, held), None)
    counts = _Counts(reference.grouped, reference.transitions)
    return _source("data", reference, reference.states, counts, future)


def data_at_lag(reference: Reference, unseen: Reference | None) -> DataAtLag:
    """Return what models of one lag are held against, the data's own D to unseen data with it."""
    own = None
    if unseen is not None:
        own = discrepancy(unseen.transitions, _as_prediction(reference, unseen).transitions)
    return DataAtLag(reference.lag, reference.transitions, reference.floor, own)


def measure_model(
    name: str,
    trainings: Sequence[SequenceModel | States],
    reference: Reference,
    unseen: Reference | None,
    *,
    n_frames: int,
    n_runs: int,
    seed: int,
    n_threads: int | None,
) -> SourceResult:
    """Let each training of a model generate, and hold all of it against the data.

    Parameters
    ----------
    name
        Of this kind of model.
    trainings
        Models, or what they generated before.
    reference, unseen
        The data at the model's lag, and data that no model was trained on.
    n_frames, n_runs
        Frames of each generated trajectory, and how many each training generates.
    seed
        Of the generations.
    n_threads
        That generate; all cores when None.
    """
    seeds: list[int] = [seed]
    if len(trainings) > 1:
        seeds = np.random.SeedSequence(seed).generate_state(len(trainings)).tolist()
    generated, counts, results = [], [], []
    for training, own_seed in zip(trainings, seeds, strict=True):
        if isinstance(training, SequenceModel):
            made = training.generate(n_frames, n_runs, own_seed, n_threads=n_threads)
        else:
            made = reference.states.with_trajectories(training.trajectories)
        generated.append(cut_alike(made, reference.states))
        counts.append(_count(generated[-1], reference))
        results.append(_training_result(training, generated[-1], counts[-1], reference, own_seed))
    future = None
    if unseen is not None:
        again = [_count(cut_alike(made, unseen.states), unseen) for made in generated]
        nats = [_cross_entropy(training, unseen) for training in trainings]
        future = UnseenResult(*_discrepancy_with_interval(unseen, again), _mean(nats))
    distance, interval = _discrepancy_with_interval(reference, counts)
    first, together = trainings[0], _together(generated)
    of_all = counts[0] if len(counts) == 1 else _count(together, reference)
    return replace(
        _source(name, reference, together, of_all, future),
        discrepancy=distance,
        discrepancy_interval=interval,
        cross_entropy=_mean([result.cross_entropy for result in results]),
        trainings=tuple(results),
        embedding=first.embedding if isinstance(first, LanguageModel) else None,
        hidden_path=_hidden_path(first, reference),
    )


@dataclass(frozen=True)
class _Counts:
    """Trajectories in groups, and what is counted on them."""

    grouped: States
    transitions: CommittedTransitions


def _count(states: States, reference: Reference) -> _Counts:
    grouped = reference.grouping.apply(states)
    return _Counts(grouped, committed_transitions(grouped, reference.transitions.commit_times))


def _as_prediction(reference: Reference, unseen: Reference) -> _Counts:
    """Count the data as what a model has generated is counted, to be held against unseen data."""
    return _count(cut_alike(reference.states, unseen.states), unseen)


def _together(parts: Sequence[States]) -> States:
    return parts[0].with_trajectories([s for part in parts for s in part])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _cross_entropy(training: SequenceModel | States, reference: Reference) -> float | None:
    """Return nats per frame of the data; None where there is no model, or one of another lag."""
    if not isinstance(training, SequenceModel) or reference.lag > 1:
        return None
    return training.cross_entropy(reference.states)


def _training_result(
    training: SequenceModel | States,
    generated: States,
    counts: _Counts,
    reference: Reference,
    seed: int,
) -> TrainingResult:
    model = training if isinstance(training, SequenceModel) else None
    return TrainingResult(
        seed=seed if model else None,
        n_frames=generated.n_frames,
        populations=populations(generated),
        group_populations=populations(counts.grouped),
        rates=counts.transitions.rates(),
        discrepancy=discrepancy(reference.transitions, counts.transitions).value,
        cross_entropy=_cross_entropy(training, reference),
        record=model.record if model else None,
    )


def _discrepancy_with_interval(
    reference: Reference, counts: Sequence[_Counts]
) -> tuple[Discrepancy, tuple[float, float]]:
    """Return D with the terms of all trainings, and its interval.

    Over the trainings (Student's t) or, of one alone, over parts of what it generated that are
    left out in turn (jackknife).
    """
    found = [discrepancy(reference.transitions, each.transitions) for each in counts]
    if len(found) == 1:
        return found[0], _jackknife(reference.transitions, counts[0].grouped, found[0].value)
    value, low, high = mean_interval([d.value for d in found])
    terms = {
        name: np.concatenate([getattr(d, name) for d in found])
        for name, array in vars(found[0]).items()
        if isinstance(array, np.ndarray)
    }
    n_terms = sum(d.n_terms for d in found)
    return Discrepancy(value=value, n_terms=n_terms, **terms), (max(low, 0.0), high)


def _jackknife(
    reference: CommittedTransitions, grouped: States, value: float
) -> tuple[float, float]:
    """Return the interval of D over parts of `grouped`, each left out in turn."""
    from scipy.special import stdtrit

    times = reference.commit_times
    if len(grouped) >= N_PARTS:
        lanes = np.array_split(np.arange(len(grouped)), N_PARTS)
        parts = [[grouped.trajectories[k] for k in lane] for lane in lanes]
    else:
        parts = [list(part.trajectories) for part in blocks(grouped, N_PARTS)]
    n = len(parts)
    if n < 2:
        return float("nan"), float("nan")
    found = [committed_transitions(grouped.with_trajectories(p), times, n_blocks=1) for p in parts]
    left_out = [discrepancy(reference, _others(found, k)).value for k in range(n)]
    half = float(stdtrit(n - 1, 0.975) * jackknife_error(np.array(left_out)))
    return max(value - half, 0.0), value + half


def _others(parts: Sequence[CommittedTransitions], left_out: int) -> CommittedTransitions:
    """Return the sum of what was counted in all parts but one."""
    rest = [part for k, part in enumerate(parts) if k != left_out]
    return replace(
        parts[0],
        counts=np.sum([part.counts for part in rest], axis=0),
        time_in_state=np.sum([part.time_in_state for part in rest], axis=0),
        exposure=np.sum([part.exposure for part in rest], axis=0),
        total_frames=sum(part.total_frames for part in rest),
    )


def _source(
    name: str, reference: Reference, states: States, counts: _Counts, unseen: UnseenResult | None
) -> SourceResult:
    """Measure what the data and the models have in common; of the data, D is the floor D0."""
    grouped = counts.grouped
    longest = max(states, key=len)
    is_data = states is reference.states
    dwells = [dwell_times(grouped, k) for k in range(grouped.n_states)]
    return SourceResult(
        name=name,
        lag=reference.lag,
        n_frames=states.n_frames,
        n_trajectories=len(states),
        free_energy=free_energy(states),
        group_free_energy=free_energy(grouped),
        transitions=counts.transitions,
        survivals=tuple(survival(d) if len(d.complete) else None for d in dwells),
        dwell_fits=tuple(_exponentials(d) for d in dwells) if len(dwells) <= FITTED_GROUPS else (),
        autocorrelation=_autocorrelation(states, reference.column),
        discrepancy=reference.floor,
        discrepancy_interval=None,
        cross_entropy=None,
        trainings=(),
        unseen=unseen,
        excerpt=np.repeat(longest[: EXCERPT_FRAMES // reference.lag], reference.lag),
        embedding=None,
        relaxation=processes.relaxation(grouped, intervals=is_data),
        timescales=processes.timescales(states, grouped, intervals=is_data),
        kinetic_map=processes.map_of_states(states),
        overview=processes.overview(longest, reference),
    )


def _hidden_path(model: SequenceModel | States, reference: Reference) -> HiddenPath | None:
    """Return the hidden path behind the excerpt of the data, where the model has one."""
    if not isinstance(model, HiddenMarkovModel) or reference.lag > 1:
        return None
    excerpt = max(reference.states, key=len)[:EXCERPT_FRAMES]
    return processes.hidden_path(model, reference.states, excerpt)


def _autocorrelation(states: States, column: int | None) -> Autocorrelation | None:
    if states.visited().sum() < 2:
        return None
    longest = max(len(s) for s in states)
    centers = states.centers
    values = np.arange(states.n_states) if centers is None else None
    longest_lag = min(MAX_LAG, max(1, longest // 10))
    return autocorrelation(states, longest_lag, values, column=column)


def _exponentials(dwells: DwellTimes) -> ExponentialMixture | None:
    """Return the mixture of least BIC, up from one exponential; None where dwells are few."""
    n, best, least = len(dwells.complete), None, np.inf
    for n_components in range(1, MOST_EXPONENTIALS + 1):
        if n < FEW_EVENTS * n_components:
            break
        fit = fit_exponentials(dwells, n_components, n_bootstrap=0)
        bic = (2 * n_components - 1) * np.log(n) - 2 * fit.log_likelihood
        if bic >= least:
            break
        best, least = fit, bic
    return best
