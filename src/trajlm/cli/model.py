"""Commands about one model: train and generate."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from trajlm.cli.output import Overwrite, check_output, is_to_be_trained
from trajlm.cli.series import Condition, Extrapolate, at_condition, is_series, train_in_series
from trajlm.data import States
from trajlm.errors import InputError
from trajlm.io import read_states, write_states
from trajlm.lstm.ensemble import EnsembleModel, EnsembleRecord
from trajlm.lstm.language import LanguageModel
from trajlm.lstm.record import ColumnLSTMRecord, LSTMRecord, still_improving
from trajlm.lstm.settings import Columns, TrainingSettings, training_settings
from trajlm.lstm.to_file import generate_to_file, is_begun, is_finished, is_saved, remove_orphans
from trajlm.lstm.training.ensemble import finished_ensemble, train_ensemble_in_folder
from trajlm.lstm.training.train import finished_model, train_in_folder
from trajlm.models.files import CHECKPOINT, MEMBERS
from trajlm.models.registry import load_model
from trajlm.util.atomic import check_writable, lone_file_writer, lone_writer
from trajlm.util.processes import Processes, join, place
from trajlm.util.progress import progress, say, tell
from trajlm.util.words import counted

DEFAULT = TrainingSettings()


def train(
    states: Annotated[
        list[Path],
        typer.Argument(
            metavar="STATES...",
            help="States: .npy of integers, or .npz; of a series of conditions several, or a .csv "
            "list of them.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    epochs: Annotated[int, typer.Option(help="Passes over the data at most.")] = DEFAULT.epochs,
    hidden_dim: Annotated[int, typer.Option(help="LSTM units L.")] = DEFAULT.hidden_dim,
    embedding_dim: Annotated[
        int, typer.Option(help="Length M of the state vectors.")
    ] = DEFAULT.embedding_dim,
    bigram_skip: Annotated[
        bool, typer.Option(help="Start as the Markov model and learn the memory.")
    ] = DEFAULT.bigram_skip,
    learning_rate: Annotated[
        float, typer.Option(help="Adam's learning rate at the start.")
    ] = DEFAULT.learning_rate,
    window: Annotated[
        int, typer.Option(help="Frames after which gradients are cut.")
    ] = DEFAULT.window,
    streams: Annotated[int, typer.Option(help="Streams a batch at most.")] = DEFAULT.streams,
    patience: Annotated[
        int | None,
        typer.Option(help="Epochs without gain before stopping (default: 5, more on small data)."),
    ] = DEFAULT.patience,
    validation: Annotated[
        float, typer.Option(help="Share of the frames held out to see when to stop.")
    ] = DEFAULT.validation,
    reversible: Annotated[
        bool | None,
        typer.Option(help="Read both ways in time (default: if the data has no direction)."),
    ] = DEFAULT.reversible,
    calibration: Annotated[
        bool, typer.Option(help="Match slow rates to the data (needs the bigram skip).")
    ] = DEFAULT.calibration,
    columns: Annotated[
        Columns,
        typer.Option(
            help="Drawn one after the other: the state; its metastable group, then the state; its "
            "bin in each coordinate (auto: groups for 100 states and more, if 2 to 12)."
        ),
    ] = DEFAULT.columns,
    seed: Annotated[int, typer.Option(help="Fixes the result.")] = DEFAULT.seed,
    n_models: Annotated[
        int, typer.Option(min=1, help="Trainings side by side, as one model: an ensemble.")
    ] = 1,
    condition: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of each file of a series, such as force=10.9."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the processor (default: all cores).")
    ] = None,
    dt: Annotated[float | None, typer.Option(help="Time between frames.")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of dt, such as ps or ms.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Arrays of an npz to read, such as 'G_*'.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after an interruption, with the same options.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model or training that is there.")
    ] = False,
) -> None:
    """Train the language model on states."""
    settings = training_settings(
        epochs=epochs,
        hidden_dim=hidden_dim,
        embedding_dim=embedding_dim,
        bigram_skip=bigram_skip,
        learning_rate=learning_rate,
        window=window,
        streams=streams,
        patience=patience,
        validation=validation,
        reversible=reversible,
        calibration=calibration,
        columns=columns,
        seed=seed,
    )
    if is_series(states, condition):
        if n_models > 1 or place()[1] > 1:
            raise InputError(
                "a series is trained as one model by one process: leave out --n-models and torchrun"
            )
        train_in_series(
            states, condition or [], out, settings, resume, overwrite, device, threads, key, dt,
            unit,
        )  # fmt: skip
        return
    (path,) = states
    data = read_states(path, key=key, dt=dt, unit=unit)
    check_writable(out / CHECKPOINT)
    # Of several processes the first holds the folder for all.
    with lone_writer(out) if place()[0] == 0 else nullcontext():
        other = CHECKPOINT if n_models > 1 else MEMBERS
        if not is_to_be_trained(
            out, lambda: _is_finished(data, out, settings, n_models), other, resume, overwrite
        ):
            return
        say(
            f"training on {counted(len(data), 'trajectory', 'trajectories')}, "
            f"{data.n_frames:,} frames, {data.n_states} states"
        )
        trained: LanguageModel | EnsembleModel
        if n_models > 1:
            trained = _train_ensemble(data, out, settings, n_models, resume, device, threads)
        else:
            trained = _train(data, out, settings, resume, device, threads)
    _tell_trained(trained, out, data)


def _is_finished(data: States, out: Path, settings: TrainingSettings, n_models: int) -> bool:
    if n_models > 1:
        return finished_ensemble(out, data, settings, n_models) is not None
    return finished_model(out, data, settings) is not None


def _train(
    data: States,
    out: Path,
    settings: TrainingSettings,
    resume: bool,
    device: str,
    threads: int | None,
) -> LanguageModel:
    """Train one model into a folder that is held."""
    # From here on files change: every process has seen by now what was there.
    processes = join(device)
    return train_in_folder(
        data,
        settings,
        out,
        resume=resume,
        device=processes.device,
        n_threads=processes.n_threads(threads),
        processes=processes,
        report=lambda record, baselines: say(record.describe(settings.epochs, baselines)),
        report_calibration=lambda done: say(done.describe()),
    )


def _train_ensemble(
    data: States,
    out: Path,
    settings: TrainingSettings,
    n_models: int,
    resume: bool,
    device: str,
    threads: int | None,
) -> EnsembleModel:
    """Train several models, as one, into a folder that is held."""
    if place()[1] > 1:
        raise InputError("the members of an ensemble share one process: start it without torchrun")
    return train_ensemble_in_folder(
        data,
        settings,
        n_models,
        out,
        resume=resume,
        device=device,
        n_threads=threads,
        report=lambda k, record, baselines: say(
            f"member {k}, {record.describe(settings.epochs, baselines)}"
        ),
        report_calibration=lambda k, done: say(f"member {k}, {done.describe()}"),
    )


def _tell_trained(model: LanguageModel | EnsembleModel, out: Path, data: States) -> None:
    """Say how a training went, or that of each member."""
    assert model.record is not None
    if isinstance(model.record, EnsembleRecord):
        for k, record in enumerate(model.record.members):
            say(f"member {k}: {_told(record)}")
        held_out = [record.held_out_nats for record in model.record.members]
        told = (
            f"{len(held_out)} members, {min(held_out):.4f} to {max(held_out):.4f} nats per frame "
            "on the held-out stretch"
        )
    else:
        told = _told(model.record)
    for note in data.discretization.bias_notes:
        say(f"note: {note}")
    tell(f"{out}: {told}")


def _told(record: LSTMRecord | ColumnLSTMRecord) -> str:
    """Say how a training went; return its held-out nats in words."""
    for done in (record.direction, record.rounding, record.calibration):
        if done:
            say(done.describe())
    if record.held_out_nats >= record.msm_nats:
        say(
            "the model predicts the held-out stretch no better than the MSM: there is no "
            "memory to learn, or too little data to learn it from"
        )
    unfinished = still_improving(record)
    return f"{record.held_out_nats:.4f} nats per frame on the held-out stretch" + (
        f"; {unfinished}" if unfinished else ""
    )


def generate(
    model_dir: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="Trained model.")],
    steps: Annotated[int, typer.Option(help="Frames a lane.")],
    out: Annotated[Path, typer.Option(help=".npy of shape (lanes, steps), or .npz with the time.")],
    lanes: Annotated[int, typer.Option(help="Independent trajectories.")] = 1,
    seed: Annotated[int, typer.Option(help="Fixes the result.")] = 0,
    start: Annotated[
        int | None,
        typer.Option(help="State before the first frame (default: go on from stretches of data)."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Divides the logits of a language model (1 as learned).")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of a language model (default: all cores).")
    ] = None,
    condition: Condition = None,
    extrapolate: Extrapolate = False,
    device: Annotated[
        str, typer.Option(help="cpu, or cuda for thousands of lanes of a language model.")
    ] = "cpu",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after an interruption, with the same options.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Let a model write new trajectories."""
    if out.suffix not in (".npy", ".npz"):
        raise InputError(f"{out} ends in neither .npy nor .npz: give one of these")
    # Of several processes the first holds the file for all.
    with lone_file_writer(out) if place()[0] == 0 else nullcontext():
        done = _generate(
            model_dir,
            out,
            (steps, lanes, seed),
            resume,
            overwrite,
            start=start,
            temperature=temperature,
            threads=threads,
            device=device,
            condition=condition,
            extrapolate=extrapolate,
        )
    if done:
        tell(f"{out}: {counted(lanes, 'lane', 'lanes')} of {steps:,} frames")


def _generate(
    model_dir: Path,
    out: Path,
    size: tuple[int, int, int],
    resume: bool,
    overwrite: bool,
    *,
    start: int | None,
    temperature: float | None,
    threads: int | None,
    device: str,
    condition: str | None,
    extrapolate: bool,
) -> bool:
    """Let a model write to a file that is held; return whether there was anything to do."""
    begun = _check_generated(out, resume, overwrite)
    model = at_condition(load_model(model_dir), condition, extrapolate)
    warmth = 1.0 if temperature is None else temperature
    if (
        resume
        and not begun
        and isinstance(model, LanguageModel)
        and _was_finished(model, out, size, start=start, temperature=warmth)
    ):
        say(f"{out} is finished already")
        return False
    processes = join(device)
    steps, lanes, _ = size
    own = len(range(lanes)[processes.share(lanes)])
    with progress("generating", steps * own) as advance:
        if isinstance(model, LanguageModel):
            _language_model_writes(
                model,
                out,
                size,
                processes,
                start=start,
                temperature=warmth,
                progress=advance,
                n_threads=processes.n_threads(threads),
                device=processes.device,
                resume=resume,
            )
        elif processes.size > 1:
            raise InputError(f"{model_dir} is not one language model: start it without torchrun")
        elif isinstance(model, EnsembleModel):
            if resume:
                raise InputError(f"{model_dir} is an ensemble: what it generates is not resumed")
            write_states(
                out,
                model.generate(
                    *size,
                    start=start,
                    progress=advance,
                    n_threads=threads,
                    temperature=warmth,
                    device=device,
                ),
            )
        elif temperature is not None or threads is not None or device != "cpu" or resume:
            raise InputError(
                f"{model_dir} is no language model: it has no temperature, runs on one thread of "
                "the processor and is not resumed"
            )
        else:
            write_states(out, model.generate(*size, start=start, progress=advance))
    return True


def _check_generated(out: Path, resume: bool, overwrite: bool) -> bool:
    """Refuse what would be lost, and return whether an interrupted file is there to go on with."""
    is_array = out.suffix == ".npy"
    if is_array and place()[0] == 0:
        remove_orphans(out)
    if is_array and is_saved(out) and not (resume or overwrite):
        raise InputError(
            f"{out} is incomplete: use --resume to continue it or --overwrite to start over"
        )
    # What is resumed was allowed to take the place of a file when it was begun.
    check_output(out, overwrite=overwrite or (resume and is_array))
    return is_array and is_begun(out)


def _was_finished(model: LanguageModel, out: Path, size: tuple[int, int, int], **how: Any) -> bool:
    """Return whether all that is to be gone on with is there; refuse what was made otherwise."""
    if out.suffix != ".npy" or not out.is_file():
        return False
    if not is_finished(model, out, *size, **how):
        raise InputError(f"{out} is there already, made otherwise: --overwrite replaces it")
    return True


def _language_model_writes(
    model: LanguageModel,
    out: Path,
    size: tuple[int, int, int],
    processes: Processes,
    *,
    resume: bool,
    **options: Any,
) -> None:
    """Write an npy file as it is made; an npz file, which holds its time too, at the end."""
    if out.suffix == ".npy":
        generate_to_file(model, out, *size, resume=resume, processes=processes, **options)
    elif processes.size > 1:
        raise InputError(f"{out} is not an .npy file: several processes can only write .npy")
    elif resume:
        raise InputError(f"{out} is not an .npy file: only .npy output can be resumed")
    else:
        write_states(out, model.generate(*size, **options))
