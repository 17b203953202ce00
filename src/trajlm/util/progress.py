"""Progress of long work: a bar on a terminal or in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape

from trajlm.util.processes import place
from trajlm.util.words import elapsed, visible_lines

SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_SHOWN = 10.0, 0.3

Advance = Callable[[int], None]


def say(text: str) -> None:
    """Print a line about the work (not a result) to standard error; of several processes, one."""
    if place()[0] == 0:
        print(visible_lines(text), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """Print a result to standard output."""
    print(visible_lines(text), flush=True)


def in_notebook() -> bool:
    """Return whether a notebook shows what is printed."""
    return "ipykernel" in sys.modules


@contextmanager
def progress(what: str, total: int | None, unit: str = "frames") -> Iterator[Advance]:
    """Yield a function that is told how much was newly done, `total` in all if that is known.

    A bar on a terminal and in a notebook, plain lines elsewhere. Models take the function as
    their `progress`.
    """
    if place()[0] > 0:
        yield lambda n: None
    elif in_notebook():
        with _notebook_line(what, total, unit) as advance:
            yield advance
    elif sys.stderr.isatty():
        with _bar(what, total) as advance:
            yield advance
    else:
        yield _Lines(what, total, unit)


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda n: bar.advance(task, n)


@contextmanager
def _notebook_line(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Keep one line of a notebook at how far the work is; it stays in the notebook as it ended."""
    from IPython.display import HTML, display

    began = last = time.monotonic()
    done = 0

    def line(bar: str = "") -> object:
        count = f"{done:,} of {total:,}" if total and bar else f"{done:,}"
        words = f"{what}: {count} {unit}, {elapsed(time.monotonic() - began)}"
        return HTML(f"<span>{escape(words)}</span> {bar}")

    def bar() -> str:
        return f"<progress value='{done}' max='{total}'></progress>" if total else "&hellip;"

    shown = display(line(bar()), display_id=True)

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        if shown is not None and time.monotonic() - last > SECONDS_BETWEEN_SHOWN:
            last = time.monotonic()
            shown.update(line(bar()))

    try:
        yield advance
    finally:
        if shown is not None:
            shown.update(line())


class _Lines:
    """Say how far the work is now and then."""

    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self.last = time.monotonic()

    def __call__(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        finished = self.total is not None and self.done >= self.total
        if now - self.last < SECONDS_BETWEEN_LINES and not finished:
            return
        self.last = now
        of_all = ""
        if self.total is not None:
            of_all = f" of {self.total:,} {self.unit} ({self.done / max(self.total, 1):.0%})"
        say(f"{self.what}: {self.done:,}{of_all or f' {self.unit}'}")
