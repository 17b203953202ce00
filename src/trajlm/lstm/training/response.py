"""A search for zeros of noisy measurements, whose responses are known by and by."""

from __future__ import annotations

import numpy as np

from trajlm.util.arrays import F64

# How much of a measurement the linear response may be wrong by.
CURVATURE = 0.3


class Search:
    """Finds x such that measurements y = y0 + R x are close to zero.

    R is the mean of what is likely before and of the measurements, row by row: a Bayesian linear
    regression. A measurement far from zero counts for less, since the response is linear only
    nearby. The x looked for minimises sum_i w_i y_i^2 + sum_j (x_j / s_j)^2.

    Parameters
    ----------
    response, spread
        Mean and standard deviation of R before any measurement, shape (n_y, n_x) each.
    weights
        w, shape (n_y,).
    widths
        s, shape (n_x,).
    largest_step
        By which no element of x moves from one measurement to the next.
    """

    def __init__(
        self,
        response: F64,
        spread: F64,
        weights: F64,
        widths: F64,
        largest_step: float,
    ) -> None:
        self.response, self.spread = response, spread
        self.weights, self.widths = weights, widths
        self.largest_step = largest_step
        self.x: list[F64] = []
        self.y: list[F64] = []
        self.variances: list[F64] = []

    def add(self, x: F64, y: F64, variance: F64) -> None:
        """Take the measurement y at x, with the variance of its noise as estimated by itself."""
        self.x.append(x)
        self.y.append(y)
        self.variances.append(variance)

    def next(self) -> F64:
        """Return the x that is expected to be best, within a step of the last one."""
        y0, R = self._regression()
        precision = (R.T * self.weights) @ R + np.diag(self.widths**-2.0)
        best = -np.linalg.solve(precision, (R.T * self.weights) @ y0)
        last = self.x[-1]
        return last + np.clip(best - last, -self.largest_step, self.largest_step)

    def best(self) -> int:
        """Return the number of the measurement whose x is expected to be best by all of them."""
        y0, R = self._regression()
        return int(np.argmin([self.cost(x, y0 + R @ x) for x in self.x]))

    def cost(self, x: F64, y: F64) -> float:
        """Return the sum that the search makes small."""
        return float(self.weights @ y**2 + ((x / self.widths) ** 2).sum())

    def _regression(self) -> tuple[F64, F64]:
        """Return y0 and R as known by now."""
        x, y = np.array(self.x), np.array(self.y)
        # One estimate of a variance is a noisy one itself.
        noise = np.median(self.variances, axis=0)
        constants, responses = np.empty(y.shape[1]), np.empty_like(self.response)
        for i, (mean, spread) in enumerate(zip(self.response, self.spread, strict=True)):
            trust = 1 / (noise[i] + (CURVATURE * y[:, i]) ** 2)
            at = trust @ x / trust.sum()
            level = trust @ y[:, i] / trust.sum()
            dx, dy = x - at, y[:, i] - level
            precision = (dx.T * trust) @ dx + np.diag(spread**-2.0)
            found = mean + np.linalg.solve(precision, (dx.T * trust) @ (dy - dx @ mean))
            constants[i], responses[i] = level - found @ at, found
        return constants, responses
