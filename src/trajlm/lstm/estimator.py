"""The language model as an estimator in the manner of deeptime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trajlm.data import IntArray, States
from trajlm.errors import InputError
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.settings import training_settings
from trajlm.lstm.training.calibrate import ReportRound
from trajlm.lstm.training.train import Report, train


class LSTMEstimator:
    """Estimator of the language model in the manner of deeptime: `fit`, then `fetch_model`.

    Parameters
    ----------
    device
        A PyTorch device.
    **settings
        Any field of `TrainingSettings`, for example ``hidden_dim=64, seed=0``.

    Raises
    ------
    InputError
        A setting that does not exist or is out of range.
    """

    def __init__(self, device: str = "cpu", **settings: Any) -> None:
        self.device = device
        self.settings = training_settings(**settings)
        self._model: LSTMModel | None = None

    @property
    def has_model(self) -> bool:
        """Whether `fit` was called."""
        return self._model is not None

    def fit(
        self,
        states: States | IntArray | Sequence[IntArray],
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        report: Report | None = None,
        report_calibration: ReportRound | None = None,
    ) -> LSTMEstimator:
        """Train on `states`; see `train`."""
        self._model = train(
            states,
            self.settings,
            device=self.device,
            checkpoint=checkpoint,
            resume=resume,
            report=report,
            report_calibration=report_calibration,
        )
        return self

    def fetch_model(self) -> LSTMModel:
        """Return the trained model.

        Raises
        ------
        InputError
            `fit` was not called.
        """
        if self._model is None:
            raise InputError("there is no model yet: call fit first")
        return self._model

    def fit_fetch(
        self, states: States | IntArray | Sequence[IntArray], **options: Any
    ) -> LSTMModel:
        """Train on `states` with the options of `fit`, and return the model."""
        return self.fit(states, **options).fetch_model()
