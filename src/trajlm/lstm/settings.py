"""What decides a training, apart from the data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trajlm.errors import InputError

Columns = Literal["auto", "state", "groups", "bins"]


class TrainingSettings(BaseModel):
    """What decides a training, apart from the data; `docs/model.md` has the evidence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    columns: Columns = Field(
        "auto",
        description="what is drawn one after the other: the state as it is; its metastable group "
        "and then the state; its bin in each coordinate (auto: groups for many states)",
    )
    embedding_dim: int = Field(32, ge=1, description="length M of the state vectors")
    hidden_dim: int = Field(64, ge=1, description="number L of LSTM units")
    embedding_scale: float = Field(1.0, gt=0, description="spread of the state vectors at start")
    bigram_skip: bool = Field(True, description="add B[s(t)], started from the MSM, to the logits")
    slow_units: float = Field(
        0.5, ge=0, le=1, description="share of units that start with memories of up to a window"
    )
    epochs: int = Field(40, ge=1, description="passes over the training stretch at most")
    learning_rate: float = Field(2e-3, gt=0, description="Adam's at the start; cosine to zero")
    window: int = Field(100, ge=2, description="frames after which gradients are cut")
    streams: int = Field(32, ge=1, description="contiguous streams a batch at most")
    averaging: float = Field(2.0, ge=0, description="epochs over which weights are averaged")
    clip: float = Field(1.0, gt=0, description="largest norm of a gradient")
    validation: float = Field(0.1, gt=0, lt=0.5, description="held-out share of the frames")
    patience: int | None = Field(
        None, ge=1, description="epochs without gain before stopping; five, or more on small data"
    )
    reversible: bool | None = Field(
        None, description="read both ways in time (default: where the data has no direction)"
    )
    calibration: bool = Field(True, description="match slow rates at last (with the skip)")
    seed: int = Field(0, ge=0, lt=2**63, description="fixes the result")


def training_settings(**settings: Any) -> TrainingSettings:
    """Return checked settings.

    Raises
    ------
    InputError
        The first setting that does not exist or is out of range.
    """
    try:
        return TrainingSettings(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(k) for k in first["loc"])
        raise InputError(f"setting {name} = {first['input']!r}: {first['msg'].lower()}") from None
