"""What a comparison of models with data holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.analysis import (
    Autocorrelation,
    CommittedTransitions,
    Discrepancy,
    FreeEnergy,
    Grouping,
    Survival,
)
from trajlm.data import IntArray, StateSpace
from trajlm.models.record import ModelRecord
from trajlm.util.words import counted


@dataclass(frozen=True, repr=False)
class SourceResult:
    """What was measured on the data, or on what one model generated.

    Parameters
    ----------
    name
        For example ``data`` or ``LSTM``.
    n_frames, n_trajectories
        Size of what was measured.
    free_energy
        Of the fine states.
    group_free_energy
        Of the groups.
    transitions
        Committed transitions between the groups.
    survivals
        For each group, the survival curve of its dwells; None where it is never entered.
    autocorrelation
        Of the state centres (state numbers where there are none); None where one state is
        never left.
    discrepancy
        D against the data and its terms; for the data itself the floor D0.
    discrepancy_interval
        95 % interval of D over independent generations (jackknife); None for the data.
    cross_entropy
        Nats a frame of the data under the model; None where no model is at hand.
    excerpt
        The beginning of the longest trajectory, for the eye, shape (frames,).
    embedding
        The state vectors of a language model, shape (n_states, M), or None.
    record
        How the model was made; None where that is not known.
    """

    name: str
    n_frames: int
    n_trajectories: int
    free_energy: FreeEnergy
    group_free_energy: FreeEnergy
    transitions: CommittedTransitions
    survivals: tuple[Survival | None, ...]
    autocorrelation: Autocorrelation | None
    discrepancy: Discrepancy
    discrepancy_interval: tuple[float, float] | None
    cross_entropy: float | None
    excerpt: IntArray
    embedding: npt.NDArray[np.float32] | None
    record: ModelRecord | None

    def __repr__(self) -> str:
        size = counted(self.n_frames, "frame", "frames")
        return f"SourceResult({self.name}, {size}, D = {self.discrepancy.value:.3g})"


@dataclass(frozen=True, repr=False)
class Evaluation:
    """The data beside one or more models.

    Parameters
    ----------
    reference
        The data; its `discrepancy` is the floor D0, between its two halves.
    models
        What each model generated, in the order given.
    grouping
        How fine states became the groups whose kinetics are compared.
    space
        The meaning of the fine states.
    settings
        Seeds and sizes of the comparison.
    """

    reference: SourceResult
    models: tuple[SourceResult, ...]
    grouping: Grouping
    space: StateSpace
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        data = self.reference
        size = counted(data.n_frames, "frame", "frames")
        models = ", ".join(f"{m.name} D = {m.discrepancy.value:.3g}" for m in self.models)
        floor = f"{data.discrepancy.value:.3g}"
        return f"{type(self).__name__}(data of {size} with D0 = {floor}; {models})"
