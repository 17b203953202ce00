"""Shared set-up of the tests."""

import os

# Several test processes run side by side: more threads each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
