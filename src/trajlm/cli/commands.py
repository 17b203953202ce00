"""The commands by name: the module of a command is imported when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from trajlm.errors import Interrupted

# For each command the module here that has it, and its line in the list of commands.
COMMANDS = {
    "demo": ("demo", "Simulate alanine dipeptide, learn it, generate, and report."),
    "simulate": ("data", "Simulate a system whose truth is known."),
    "features": ("structures", "Compute dihedrals, distances or RMSD from molecular dynamics."),
    "discretize": ("data", "Cut continuous data into states."),
    "score": ("data", "Say how much of the dynamics states hold, to choose among them."),
    "train": ("model", "Train the language model on states."),
    "generate": ("model", "Generate trajectories from a model."),
    "constrain": ("constrain", "Change a model so that it meets measured populations and rates."),
    "condition": ("series", "Take the model at one condition out of a model of a series."),
    "series": ("series", "Draw and tabulate rates against the condition of a series."),
    "backmap": ("structures", "Turn generated states into structures."),
    "structures": ("structures", "Write structures of each metastable state."),
    "compare": ("compare", "Compare generated trajectories with the data."),
    "paper": ("paper", "Go from nothing to the paper's figures and numbers for a system."),
    "benchmark": ("benchmark", "Judge models on the unseen stretch of public data."),
    "bench": ("bench", "Measure speed beside plain PyTorch and the machine's matrix product."),
    "info": ("info", "Say what a model or a data file is and how it was made."),
    "cite": ("info", "Print BibTeX for what was used."),
}
# Commands that go on with what was stopped when they are told to.
RESUMED = ("train", "generate")


class Stopped(Exception):
    """The user stopped a command, which said in a sentence what is saved."""


class Commands(TyperGroup):
    """All commands, as names and lines until one of them is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name of the command, the command itself, and its arguments."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, known and _imported(str(name)), rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it says when the user stops it is kept.

        Of a KeyboardInterrupt Typer would leave the exit status only.
        """
        try:
            return super().invoke(ctx)
        except Interrupted as stopped:
            resumes = stopped.resumable and ctx.invoked_subcommand in RESUMED
            raise Stopped(f"{stopped} (--resume)" if resumes else str(stopped)) from None


def _imported(name: str) -> Any:
    module, _ = COMMANDS[name]
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command(name)(getattr(import_module(f"trajlm.cli.{module}"), name))
    return typer.main.get_command(alone)
