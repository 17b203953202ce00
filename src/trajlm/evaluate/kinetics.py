"""The kinetics of a model in the terms of Markov state models, in the same way for every model.

Markov and hidden Markov models are solved exactly. A language model has no closed form: it
generates, and what it wrote is counted, with intervals. Data is counted like that, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from trajlm.data import StatesLike, as_states
from trajlm.errors import InputError
from trajlm.evaluate.counted import CountedKinetics
from trajlm.evaluate.estimates import Kinetics
from trajlm.evaluate.exact import ExactKinetics
from trajlm.evaluate.fitted import FittedKinetics
from trajlm.lstm.ensemble import EnsembleRecord
from trajlm.lstm.record import ColumnLSTMRecord, LSTMRecord
from trajlm.models.base import SequenceModel
from trajlm.models.hidden_markov import HiddenMarkovModel
from trajlm.models.markov import MarkovModel

# Frames a run where the model does not say how much data it comes from.
DEFAULT_FRAMES = 100_000


def kinetics(
    source: SequenceModel | Sequence[SequenceModel] | StatesLike,
    n_runs: int = 10,
    n_frames: int | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    *,
    data: StatesLike | None = None,
) -> Kinetics:
    """Return the kinetics of a model, of several trainings of it, or of data.

    Parameters
    ----------
    source
        A Markov or hidden Markov model, which is solved exactly; any other model generates.
        States are counted as they are. A list of models is taken as independent trainings of
        one, and needs the data.
    n_runs, n_frames
        Trajectories generated and frames of each; as many frames as the model was trained on
        when None.
    seed
        Of the generation.
    n_threads
        That generate; all cores when None. The result is the same for any number.
    data
        What the models were trained on. The intervals then are those of a prediction about the
        molecule: they hold the error of the data, of the training and of the generation
        (`trajlm.evaluate.fitted.FittedKinetics`). Without it they hold that of the generation
        alone, and have no width for what is solved exactly.

    Raises
    ------
    InputError
        Several models without the data, or models and data of different states.

    Examples
    --------
    >>> import numpy as np, trajlm
    >>> s = np.random.default_rng(0).integers(2, size=10_000)
    >>> exact = trajlm.kinetics(trajlm.fit_msm(s))
    >>> bool(abs(exact.mfpt(0, 1).value - 2) < 0.1)  # a fair coin, in frames
    True
    """
    models = _models(source)
    if data is not None:
        counted = CountedKinetics(as_states(data))
        if not models:
            raise InputError("data is given beside data: give the models that were trained on it")
        seeds = [seed, *np.random.SeedSequence(seed).generate_state(len(models)).tolist()][
            : len(models)
        ]
        solved = [
            _of_model(model, n_runs, n_frames, own, n_threads)
            for model, own in zip(models, seeds, strict=True)
        ]
        return FittedKinetics(solved, counted)
    if len(models) > 1:
        raise InputError(f"{len(models)} models were given: give the data that they learned, too")
    if models:
        return _of_model(models[0], n_runs, n_frames, seed, n_threads)
    return CountedKinetics(as_states(cast(StatesLike, source)))


def _models(source: SequenceModel | Sequence[SequenceModel] | StatesLike) -> list[SequenceModel]:
    if isinstance(source, SequenceModel):
        return [source]
    if isinstance(source, list | tuple) and all(isinstance(x, SequenceModel) for x in source):
        return list(source)
    return []


def _of_model(
    model: SequenceModel, n_runs: int, n_frames: int | None, seed: int, n_threads: int | None
) -> Kinetics:
    if isinstance(model, MarkovModel):
        identity = np.eye(model.n_states)
        return ExactKinetics(
            model.transition_matrix, identity, model.space, model.stationary_distribution
        )
    if isinstance(model, HiddenMarkovModel):
        return ExactKinetics(
            model.transition_matrix, model.emission, model.space, model.stationary_distribution
        )
    record, known = model.record, DEFAULT_FRAMES
    if isinstance(record, LSTMRecord | ColumnLSTMRecord | EnsembleRecord):
        known = record.n_frames
    return CountedKinetics(model.generate(n_frames or known, n_runs, seed, n_threads=n_threads))
