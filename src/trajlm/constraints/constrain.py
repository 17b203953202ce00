"""Constraining a model to what is known from elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trajlm.analysis.grouping import Grouping
from trajlm.analysis.metastable import default_grouping
from trajlm.constraints.feasibility import check_feasible, check_seen
from trajlm.constraints.language import (
    LEAST_FRAMES,
    N_LANES,
    Report,
    choose_frames,
    constrain_language_model,
    is_met,
    measure_run,
)
from trajlm.constraints.markov import chain_values, constrain_markov
from trajlm.constraints.measures import Quantity, make_quantity
from trajlm.constraints.result import Change, Constrained
from trajlm.constraints.targets import Population, Rate, Target
from trajlm.errors import InputError
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.record import LSTMRecord
from trajlm.models.base import SequenceModel
from trajlm.models.markov import MarkovModel
from trajlm.models.record import ConstraintRecord, MarkovRecord, MetTarget
from trajlm.util.arrays import F64
from trajlm.util.words import listed, number

# Standard errors of a 95 % interval.
INTERVAL = 1.96


def constrain(
    model: SequenceModel,
    targets: Sequence[Target],
    grouping: Grouping | None = None,
    *,
    reversible: bool | None = None,
    n_frames: int | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    report: Report | None = None,
) -> Constrained:
    """Return the model closest to `model` whose free run meets the targets (maximum caliber).

    Closest is that with the smallest KL rate of its paths, lim (1/T) E' ln Q'(path) / Q(path).
    A Markov model is solved exactly: P'_ij = P_ij exp(mu f_ij) r_j / (rho r_i). A language model
    runs freely, step by step; what is added to its logits is the same in terms of its hidden units,
    read out linearly, so that D, B and b change and the speed does not.

    Parameters
    ----------
    model
        A language model or a Markov model.
    targets
        `Population`, `Ratio`, `Rate`, `Mean` and `StepMean`, all to be met at once; one with an
        error is met within it.
    grouping
        The groups that the targets speak of. None: the states as they are up to five, else PCCA+
        groups of a free run (`trajlm.analysis.default_grouping`).
    reversible
        Whether to keep the balance of all that is counted from one group to another: transitions
        there and back change alike. None: where the model was made without a direction of time.
    n_frames
        Of each free run on the way of a language model, over 32 lanes; from how well the targets
        are known after a first run when None. Runs that check are as long as tells the targets to
        0.6 %, 10⁸ frames at most.
    seed
        Of the free runs.
    n_threads
        That generate; they do not change the result.
    report
        Called after each step of a language model.

    Raises
    ------
    InputError
        A target that cannot be met, or several that contradict each other, by name; an unknown
        group or column; a model of another kind; states of a Markov model that do not all lead to
        each other.

    References
    ----------
    Tsai et al., Nat. Commun. 13:7231 (2022); Ghosh et al., Annu. Rev. Phys. Chem. 71:213 (2020);
    Chetrite and Touchette, Ann. Henri Poincare 16:2005 (2015).

    Examples
    --------
    >>> import numpy as np, trajlm
    >>> coin = trajlm.fit_msm(np.random.default_rng(0).integers(2, size=10_000))
    >>> loaded = trajlm.constrain(coin, [trajlm.Population(0, 0.7)])
    >>> bool(abs(loaded.model.stationary_distribution[0] - 0.7) < 1e-9)
    True
    """
    began = time.perf_counter()
    if not targets:
        raise InputError("no target was given: say what is known of the model")
    if reversible is None:
        reversible = _has_no_direction(model)
    if grouping is None:
        grouping = _default_grouping(model, seed, n_threads)
    _check_grouping(grouping, model)
    asked = [make_quantity(target, model.space, grouping, reversible) for target in targets]
    _check_apart(asked)
    check_feasible(asked, grouping)
    shown = [*asked, *_others(asked, model, grouping, reversible)]
    if isinstance(model, MarkovModel):
        made = _of_markov_model(model, asked, shown)
    elif isinstance(model, LSTMModel):
        made = _of_language_model(model, asked, shown, n_frames, seed, n_threads, report)
    else:
        raise InputError(
            f"a model of the kind {model.kind} cannot be constrained: give a Markov model, or a "
            "language model of one network that draws whole states"
        )
    changes = tuple(
        _change(q, made, k, str(q.target) if k < len(asked) else "") for k, q in enumerate(shown)
    )
    record = _record(made.model, asked, made, seed)
    constrained = made.model if record is None else made.model.with_record(record)
    seconds = time.perf_counter() - began
    return Constrained(constrained, made.kl_rate, changes, made.n_generated, seconds)


@dataclass(frozen=True)
class _Made:
    """A constrained model with all that is shown of it, as values and standard errors."""

    model: SequenceModel
    kl_rate: float
    before: F64
    before_errors: F64
    after: F64
    after_errors: F64
    n_generated: int = 0


def _of_markov_model(
    model: MarkovModel, asked: Sequence[Quantity], shown: Sequence[Quantity]
) -> _Made:
    before = chain_values(model, shown)
    check_seen(asked, before[: len(asked)].tolist(), "in the model")
    result, solution = constrain_markov(model, asked)
    after = chain_values(result, shown)
    if not solution.reached:
        _refuse(asked, after[: len(asked)], np.zeros(len(asked), np.bool_))
    exact = np.zeros(len(shown))
    return _Made(result, solution.kl_rate, before, exact, after, exact)


def _of_language_model(
    model: LSTMModel,
    asked: Sequence[Quantity],
    shown: Sequence[Quantity],
    n_frames: int | None,
    seed: int,
    n_threads: int | None,
    report: Report | None,
) -> _Made:
    if n_frames is not None and n_frames < LEAST_FRAMES // 10:
        raise InputError(
            f"{n_frames} frames a run were asked for: {LEAST_FRAMES // 10:,} are the least that "
            "tell how a model answers"
        )
    chosen, n_checked = choose_frames(model, asked, seed, n_threads)
    n = n_frames or chosen
    n_checked = max(n, n_checked)
    before = measure_run(model, model, shown, n_checked, seed, n_threads)
    n_asked = len(asked)
    check_seen(asked, before.values[:n_asked].tolist(), f"in {before.n_frames:,} generated frames")
    result, n_generated = constrain_language_model(
        model, asked, n, n_checked, seed + 1, n_threads, report
    )
    # Of a run of its own, which no step has seen.
    after = measure_run(result, model, shown, n_checked, seed + 1000, n_threads)
    own = replace(after, values=after.values[:n_asked], errors=after.errors[:n_asked])
    if not (met := is_met(asked, own)).all():
        _refuse(asked, own.values, met)
    return _Made(
        result,
        after.kl_rate,
        before.values,
        before.errors,
        after.values,
        after.errors,
        n_generated + before.n_frames + after.n_frames,
    )


def _refuse(asked: Sequence[Quantity], values: F64, met: npt.NDArray[np.bool_]) -> None:
    off = [
        f"{q.target} (it came to {number(float(value))})"
        for q, value, is_there in zip(asked, values, met, strict=True)
        if not is_there
    ]
    raise InputError(
        f"the model cannot be brought to {listed(off)}: its paths have too little of it, or the "
        "targets work against each other; loosen or leave out one"
    )


def _has_no_direction(model: SequenceModel) -> bool:
    """Whether a model was made from data without a direction of time."""
    record = model.record
    if isinstance(record, MarkovRecord):
        return record.reversible
    if isinstance(record, LSTMRecord):
        return record.direction is not None and record.direction.both_ways
    return False


def _default_grouping(model: SequenceModel, seed: int, n_threads: int | None) -> Grouping:
    frames = LEAST_FRAMES // N_LANES
    return default_grouping(model.generate(frames, N_LANES, seed, n_threads=n_threads))


def _check_grouping(grouping: Grouping, model: SequenceModel) -> None:
    if grouping.running_mean > 1:
        raise InputError(
            "the groups are those of a running mean, but a model is constrained in its own states: "
            "give a grouping without one, and a commit time for the rates"
        )
    if len(grouping.assignment) != model.n_states:
        raise InputError(
            f"the grouping knows {len(grouping.assignment)} states but the model has "
            f"{model.n_states}: make it from data of the same states"
        )


def _check_apart(asked: Sequence[Quantity]) -> None:
    """Refuse the same quantity twice."""
    seen: dict[object, Quantity] = {}
    for quantity in asked:
        if quantity.key in seen:
            raise InputError(
                f"{seen[quantity.key].target} and {quantity.target} are two targets for the same: "
                "give one"
            )
        seen[quantity.key] = quantity


def _others(
    asked: Sequence[Quantity], model: SequenceModel, grouping: Grouping, reversible: bool
) -> list[Quantity]:
    """Return populations of all groups and rates between them that were not asked for."""
    names = grouping.names or tuple(str(g) for g in range(grouping.n_groups))
    commits = sorted({q.target.commit for q in asked if isinstance(q.target, Rate)}) or [1]
    possible: list[Target] = [Population(name, 0.5) for name in names]
    possible += [
        Rate(g, h, 1.0, commit=commit)
        for commit in commits
        for i, g in enumerate(names)
        for j, h in enumerate(names)
        if i != j and not (reversible and i > j)
    ]
    known = {q.key for q in asked}
    found = [make_quantity(target, model.space, grouping, reversible) for target in possible]
    return [q for q in found if q.key not in known]


def _change(quantity: Quantity, made: _Made, k: int, target: str) -> Change:
    before, after = float(made.before[k]), float(made.after[k])
    around = [
        (value - INTERVAL * float(error), value + INTERVAL * float(error))
        for value, error in ((before, made.before_errors[k]), (after, made.after_errors[k]))
    ]
    return Change(quantity.name, before, after, around[0], around[1], quantity.unit, target)


def _record(
    model: SequenceModel, asked: Sequence[Quantity], made: _Made, seed: int
) -> MarkovRecord | LSTMRecord | None:
    """Return how the model was made, with what it was constrained to; None where it is unknown."""
    met = tuple(
        MetTarget(str(q.target), float(made.before[k]), float(made.after[k]))
        for k, q in enumerate(asked)
    )
    own = ConstraintRecord(met, made.kl_rate, made.n_generated, seed)
    record = model.record
    if isinstance(model, MarkovModel):
        flow = model.stationary_distribution[:, None] * model.transition_matrix
        balanced = bool(np.allclose(flow, flow.T, rtol=1e-6, atol=1e-12))
        if not isinstance(record, MarkovRecord):
            connected = tuple(np.flatnonzero(model.stationary_distribution).tolist())
            record = MarkovRecord(lag=1, reversible=balanced, connected=connected)
        return replace(record, reversible=balanced, constrained=(*record.constrained, own))
    if isinstance(record, LSTMRecord):
        return replace(record, constrained=(*record.constrained, own))
    return None
