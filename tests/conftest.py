"""Shared set-up of the tests."""

import os

from hypothesis import settings

# Several test processes run side by side: more threads each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A property is right or wrong, however busy the machine and whatever is compiled on first use.
settings.register_profile("trajlm", deadline=None)
settings.load_profile("trajlm")
