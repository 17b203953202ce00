"""How long the stages of a long run take."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trajlm.util.atomic import write_json


class StageClock:
    """Adds up the seconds of each stage, and over interrupted runs where it has a file.

    Parameters
    ----------
    path
        File that keeps the seconds; None for one run only.
    clock
        What tells the time; `time.process_time` for seconds of the processor.
    """

    def __init__(
        self, path: Path | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.path = path
        self.clock = clock
        self.seconds: dict[str, float] = {}
        if path and path.exists():
            self.seconds = json.loads(path.read_text())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block, interrupted or not."""
        began = self.clock()
        try:
            yield
        finally:
            spent = self.clock() - began
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 1)
            if self.path:
                write_json(self.path, self.seconds)
