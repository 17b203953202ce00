"""What the command line makes of its process: streams that do not fail, signals that stop it."""

from __future__ import annotations

import os
import signal
import sys
import time
from io import TextIOWrapper
from types import FrameType
from typing import Any, TextIO, cast

from trajlm.util.signals import STOPPING
from trajlm.util.words import visible_lines

# After which a signal is tried again that came where it could not be followed.
SECONDS_TO_RETRY = 0.2
# For which further signals are the same wish: what runs is being stopped and saved.
SECONDS_TO_STOP = 60.0
STANDARD_OUTPUT = "standard output"


def prepare() -> None:
    """Make the process one that is stopped by signals and not by its streams."""
    _open_streams()
    # Jupyter names a backend of its own, which need not be installed here.
    os.environ["MPLBACKEND"] = "Agg"
    stop = _Stop()
    for number in STOPPING:
        wanted = number in (signal.SIGINT, signal.SIGTERM)
        # nohup has others ignored. A shell ignores Ctrl-C for all that it starts with &.
        if wanted or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, stop)
    sys.unraisablehook = stop.unraisable


def finish(status: int) -> int:
    """Write out the results that are still to be written; return the exit status."""
    for number in (*STOPPING, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else [])):
        signal.signal(number, signal.SIG_IGN)
    try:
        sys.stdout.flush()
    except OSError as error:
        # What cannot be written now cannot be at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        print(f"trajlm: {system_error(error)}", file=sys.stderr)
        return status or 2
    return status


def system_error(error: OSError) -> str:
    """Return the sentence about an error of the system that no part of the package explains."""
    from trajlm.util.atomic import write_failure

    where = error.filename
    if where is None:
        return f"the system refused ({write_failure(error)}): see the limits of this machine"
    return f"{os.fsdecode(where)} cannot be read or written: {write_failure(error)}"


class _Stop:
    """Turns the first signal to stop into a KeyboardInterrupt, wherever it can be followed."""

    def __init__(self) -> None:
        self.asked = -SECONDS_TO_STOP
        self.wanted = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if time.monotonic() - self.asked < SECONDS_TO_STOP:
            return
        if signum not in STOPPING and not self.wanted:
            return
        if _cannot_follow(frame):
            self._retry()
            return
        self.asked = time.monotonic()
        self.wanted = False
        raise KeyboardInterrupt

    def unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        """Try again where Python dropped the interrupt, as in a destructor."""
        if lost.exc_type is not None and issubclass(lost.exc_type, KeyboardInterrupt):
            self.asked = -SECONDS_TO_STOP
            self._retry()
        elif not isinstance(lost.exc_value, BrokenPipeError):
            sys.__unraisablehook__(lost)

    def _retry(self) -> None:
        self.wanted = True
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_RETRY)


def _cannot_follow(frame: FrameType | None) -> bool:
    """Return whether an exception would be dropped, or leave a module half imported.

    The compiler calls back into Python, where its C++ takes no exception: one that is dropped there
    is found missing later, as an error of the compiler.
    """
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__":
            return True
        if f"{os.sep}llvmlite{os.sep}" in code.co_filename:
            return True
        frame = frame.f_back
    return False


def _open_streams() -> None:
    """Give the process all three streams, and those that it writes to a patient face."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # else the next file would be taken for a stream
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lasts
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout = cast("TextIO", Results(sys.stdout))
    sys.stderr = cast("TextIO", Messages(sys.stderr))


class _Stream:
    """A stream with other ways to write; all else is that of the stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # File names may hold bytes that are no text.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Messages(_Stream):
    """Standard error: a closed pipe or a full disk behind it stops no work."""

    def write(self, text: str) -> int:
        """Write, or let it be."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        """Flush, or let it be."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return


class Results(_Stream):
    """Standard output: control characters are shown, not sent, and errors have its name.

    A reader that has gone, as ``head`` has after its lines, stops no work.
    """

    def write(self, text: str) -> int:
        """Write what a terminal shows as it is."""
        try:
            return self._stream.write(visible_lines(text))
        except BrokenPipeError:
            self._write_to_nobody()
            return len(text)
        except OSError as error:
            error.filename = STANDARD_OUTPUT
            raise

    def flush(self) -> None:
        """Flush."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._write_to_nobody()
        except OSError as error:
            error.filename = STANDARD_OUTPUT
            raise

    def _write_to_nobody(self) -> None:
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, self._stream.fileno())
        os.close(nobody)
