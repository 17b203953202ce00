"""The language model as an estimator in the manner of scikit-learn and deeptime."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

from trajlm.data import StatesLike
from trajlm.errors import InputError
from trajlm.lstm.ensemble import EnsembleModel
from trajlm.lstm.language import LanguageModel
from trajlm.lstm.record import Baselines, EpochRecord
from trajlm.lstm.settings import Columns, TrainingSettings, training_settings
from trajlm.lstm.training.calibrate import ReportRound
from trajlm.lstm.training.ensemble import train_ensemble
from trajlm.lstm.training.train import Report, train
from trajlm.util.parameters import Parameters
from trajlm.util.progress import Advance, in_notebook
from trajlm.util.progress import progress as show_progress


class LSTMEstimator(Parameters):
    """Estimator of the language model: `fit`, then `fetch_model`.

    Parameters
    ----------
    embedding_dim
        Length M of the state vectors.
    hidden_dim
        Number L of LSTM units.
    embedding_scale
        Spread of the state vectors at the start.
    bigram_skip
        Whether B[s(t)], started from the Markov state model, is added to the logits.
    slow_units
        Share of the units that start with memories of up to a window.
    epochs
        Passes over the training stretch at most.
    learning_rate
        Adam's at the start; it falls to zero along a cosine.
    window
        Frames after which gradients are cut.
    streams
        Contiguous streams a batch at most.
    averaging
        Epochs over which weights are averaged.
    clip
        Largest norm of a gradient.
    validation
        Held-out share of the frames.
    patience
        Epochs without gain before stopping; None: five, or more on small data.
    reversible
        Whether the data is read both ways in time; None: where it has no direction.
    calibration
        Whether slow rates are matched to the data at last (with the skip).
    columns
        What is drawn one after the other: the "state"; its metastable group and then the state,
        "groups"; or its bin in each coordinate, "bins". "auto": groups for 100 states and more,
        where there are 2 to 12.
    seed
        Fixes the result.
    n_models
        Trainings, side by side; several are one model, an ensemble.
    device
        A PyTorch device, such as "cpu" or "cuda".
    n_threads
        Threads of the processor; all cores when None. The result is the same for any number.

    Raises
    ------
    InputError
        A setting that is out of range.

    See Also
    --------
    trajlm.TrainingSettings : the same settings, with their bounds.
    """

    def __init__(
        self,
        *,
        embedding_dim: int = 32,
        hidden_dim: int = 64,
        embedding_scale: float = 1.0,
        bigram_skip: bool = True,
        slow_units: float = 0.5,
        epochs: int = 40,
        learning_rate: float = 2e-3,
        window: int = 100,
        streams: int = 32,
        averaging: float = 2.0,
        clip: float = 1.0,
        validation: float = 0.1,
        patience: int | None = None,
        reversible: bool | None = None,
        calibration: bool = True,
        columns: Columns = "auto",
        seed: int = 0,
        n_models: int = 1,
        device: str = "cpu",
        n_threads: int | None = None,
    ) -> None:
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.embedding_scale = embedding_scale
        self.bigram_skip = bigram_skip
        self.slow_units = slow_units
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.window = window
        self.streams = streams
        self.averaging = averaging
        self.clip = clip
        self.validation = validation
        self.patience = patience
        self.reversible = reversible
        self.calibration = calibration
        self.columns = columns
        self.seed = seed
        self.n_models = n_models
        self.device = device
        self.n_threads = n_threads
        self._model: LanguageModel | EnsembleModel | None = None
        _ = self.settings

    @property
    def settings(self) -> TrainingSettings:
        """The parameters that decide the result, checked."""
        names = TrainingSettings.model_fields
        return training_settings(**{name: getattr(self, name) for name in names})

    @property
    def has_model(self) -> bool:
        """Whether `fit` was called."""
        return self._model is not None

    def fit(
        self,
        states: StatesLike,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        report: Report | None = None,
        report_calibration: ReportRound | None = None,
        progress: bool | None = None,
    ) -> Self:
        """Train on `states` with the options of `trajlm.train`; return the estimator itself.

        Of an ensemble `checkpoint` is a folder, and the reports are those of all members.
        `progress` shows how many epochs are done; None does in a notebook.
        """
        with self._progress(progress) as advance:

            def report_all(record: EpochRecord, baselines: Baselines) -> None:
                advance(1)
                if report:
                    report(record, baselines)

            return self._fit(states, report_all, report_calibration, checkpoint, resume)

    def _progress(self, shown: bool | None) -> AbstractContextManager[Advance]:
        if not (in_notebook() if shown is None else shown):
            return nullcontext(lambda n: None)
        return show_progress("training", self.epochs * self.n_models, "epochs")

    def _fit(
        self,
        states: StatesLike,
        report: Report,
        report_calibration: ReportRound | None,
        checkpoint: str | Path | None,
        resume: bool,
    ) -> Self:
        if self.n_models != 1:
            self._model = train_ensemble(
                states,
                self.settings,
                self.n_models,
                device=self.device,
                folder=checkpoint,
                resume=resume,
                report=lambda _, *done: report(*done),
                report_calibration=report_calibration and (lambda _, d: report_calibration(d)),
                n_threads=self.n_threads,
            )
            return self
        self._model = train(
            states,
            self.settings,
            device=self.device,
            checkpoint=checkpoint,
            resume=resume,
            report=report,
            report_calibration=report_calibration,
            n_threads=self.n_threads,
        )
        return self

    def fetch_model(self) -> LanguageModel | EnsembleModel:
        """Return the trained model; an ensemble where there are several.

        Raises
        ------
        InputError
            `fit` was not called.
        """
        if self._model is None:
            raise InputError("there is no model yet: call fit first")
        return self._model

    def fit_fetch(self, states: StatesLike, **options: Any) -> LanguageModel | EnsembleModel:
        """Train on `states` with the options of `fit`, and return the model."""
        return self.fit(states, **options).fetch_model()
