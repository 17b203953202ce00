"""The signals by which a run is asked to stop, and how work is saved in spite of more of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Ctrl-C; the end of a job, its preemption, its time and processor time; a closed terminal. Not
# all systems have all of them.
STOPPING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)
)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no further signal to stop come through while work is saved.

    Handlers belong to the main thread: in others nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    own = [number for number, handler in before.items() if callable(handler)]
    for number in own:
        signal.signal(number, _pass)
    try:
        yield
    finally:
        for number in own:
            signal.signal(number, before[number])


def _pass(signum: int, frame: object) -> None:
    """Do nothing, as SIG_IGN does, but not in what is started meanwhile."""
