"""Shared set-up of the tests."""

import os
import signal
from pathlib import Path

from hypothesis import settings

import trajlm

# Several test processes run side by side: more threads each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A property is right or wrong, however busy the machine and whatever is compiled on first use.
settings.register_profile("trajlm", deadline=None)
settings.load_profile("trajlm")


# A shell starts what runs in the background with Ctrl-C ignored, here and in what tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    """Clear compiled kernels that are older than a kernel: numba looks at one file only."""
    if hasattr(config, "workerinput"):
        return
    kernels = Path(trajlm.__file__).parent / "kernels"
    compiled = list((kernels / "__pycache__").glob("*.nb[ic]"))
    changed = max(path.stat().st_mtime for path in kernels.glob("*.py"))
    if any(path.stat().st_mtime < changed for path in compiled):
        for path in compiled:
            path.unlink()
