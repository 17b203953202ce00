"""Shared set-up of the tests."""

import os
import signal
from collections import Counter

import pytest
import torch
from hypothesis import settings

# How much the slow tests of faults try.
COUNTS = {
    "inputs": (20_000, "crafted files, over all readers and loaders"),
    "pairs": (50, "pairs of concurrent runs, of each command that writes"),
}
# What was tried of it, for the last lines of a run.
TRIED: Counter[str] = Counter()


def pytest_addoption(parser):
    for name, (number, what) in COUNTS.items():
        parser.addoption(f"--{name}", type=int, default=number, help=f"{what} ({number:,})")


@pytest.fixture
def tried():
    return TRIED


def pytest_terminal_summary(terminalreporter):
    if TRIED:
        counts = ", ".join(f"{n:,} {what}" for what, n in sorted(TRIED.items()))
        terminalreporter.write_line(f"tried: {counts}")


# Several test processes run side by side: more threads each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Without a GPU its kernels run in Triton's interpreter. It is read when Triton is first imported,
# which PyTorch's optimisers do.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# A property is right or wrong, however busy the machine and whatever is compiled on first use.
settings.register_profile("trajlm", deadline=None)
settings.load_profile("trajlm")


# A shell starts what runs in the background with Ctrl-C ignored, here and in what tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _pages_without_pdf(monkeypatch):
    """Leave the PDF files out of pages, half of the time that one takes.

    Pages of module fixtures, which are made before, have them.
    """
    monkeypatch.setattr("trajlm.report.picture.as_pdf", lambda figure: b"")
