"""The tanh of the loops over the network, as a rational function."""

from __future__ import annotations

import numpy as np

HALF, ONE = np.float32(0.5), np.float32(1)
# Rational approximation of tanh between -CLAMP and CLAMP, x P(x^2) / Q(x^2), with the least
# largest relative error, found by reweighted least squares: 1.3e-7, and 4.2e-7 as computed in
# single precision, which is also what it stays below 1 beyond. A degree less makes 2.5e-6.
CLAMP = np.float32(7.905)
P6, P4, P2, P0 = (
    np.float32(c) for c in (1.15266603e-05, 2.96000182e-03, 1.29339814e-01, 9.99999881e-01)
)
Q8, Q6, Q4, Q2 = (
    np.float32(c) for c in (2.49087378e-07, 2.39944944e-04, 2.38521621e-02, 4.62672085e-01)
)
