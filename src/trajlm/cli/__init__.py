"""The command line: one sentence for each error, exit status 0, 2 or 130."""

from __future__ import annotations

import sys
import warnings
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from typing import Annotated, TextIO

import typer

from trajlm.cli.commands import Commands, Stopped
from trajlm.cli.process import finish, prepare, system_error
from trajlm.errors import (
    InputError,
    TrajlmError,
    TrajlmNote,
    TrajlmWarning,
    UnfinishedTrainingError,
)
from trajlm.util.processes import place
from trajlm.util.words import visible

BAD_INPUT = 2
INTERRUPTED = 130
STOPPED = "interrupted; a file that was not whole yet was not written"

app = typer.Typer(
    name="trajlm",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# Commands whose work several processes can share.
SHARED = ("train", "generate")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"trajlm {version('trajlm')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Learn molecular trajectories as a language, generate new ones, and compare."""
    _, size = place()
    if size > 1 and context.invoked_subcommand not in SHARED:
        raise InputError(
            f"trajlm {context.invoked_subcommand} is the work of one process, not of {size}: start "
            "it without torchrun"
        )


def main() -> None:
    """Run the command line and leave with its exit status."""
    prepare()
    warnings.showwarning = _show_warning
    sys.exit(finish(run(sys.argv[1:])))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status: 0 done, 2 bad input, 130 interrupted."""
    try:
        # Of several processes the first gives the result.
        with redirect_stdout(StringIO()) if place()[0] > 0 else nullcontext():
            status = int(app(arguments, prog_name="trajlm", standalone_mode=False) or 0)
        # Typer turns an interrupt that no command caught into this status without a word.
        return _fail(STOPPED, status) if status == INTERRUPTED else status
    except Stopped as stopped:
        return _fail(str(stopped), INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(STOPPED, INTERRUPTED)
    except UnfinishedTrainingError as error:
        command = f"trajlm train STATES --out {error.folder} --resume"
        return _fail(f"{error}: {command}", BAD_INPUT)
    except TrajlmError as error:
        return _fail(str(error), BAD_INPUT)
    except typer.TyperException as error:
        return _fail(error.format_message(), BAD_INPUT)
    except OSError as error:
        return _fail(system_error(error), BAD_INPUT)
    except MemoryError:
        return _fail("there is not enough memory for this: use less data at once", BAD_INPUT)


def _fail(sentence: str, status: int) -> int:
    try:
        rank, _ = place()
    except InputError:
        rank = 0
    line = visible(" ".join(sentence.split()))
    if rank == 0:
        print(f"trajlm: {line}", file=sys.stderr)
    elif status != INTERRUPTED:
        # What went wrong here may not have elsewhere; that all are stopped the first one says.
        print(f"trajlm: process {rank}: {line}", file=sys.stderr)
    return status


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show the package's own warnings as plain notes and no others."""
    if issubclass(category, TrajlmWarning | TrajlmNote) and place()[0] == 0:
        print(f"trajlm: note: {visible(str(message))}", file=sys.stderr)
