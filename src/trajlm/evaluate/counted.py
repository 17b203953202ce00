"""Kinetics counted from trajectories, measured or generated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trajlm.analysis import (
    committed_transitions,
    count_interval,
    counted_timescales,
    dwell_times,
    population_intervals,
    populations,
    stationary_first_passage_time,
)
from trajlm.analysis.transitions import counted_transition_matrix, name_states
from trajlm.analysis.uncertainty import FEW_EVENTS, independent_parts, jackknife_error
from trajlm.data import States
from trajlm.evaluate.estimates import Estimate, Kinetics, StateSet
from trajlm.util.arrays import F64

# Parts that are left out in turn for an interval.
N_PARTS = 10


class CountedKinetics(Kinetics):
    """Kinetics counted from trajectories, with intervals over parts that are left out in turn.

    Parameters
    ----------
    states
        Generated or measured trajectories.
    """

    def __init__(self, states: States) -> None:
        super().__init__(states.space)
        self.states = states

    def transition_matrix(self, lag: int = 1) -> Estimate:
        """Return the normalised counts, see `trajlm.analysis.transitions.transition_matrix`."""
        self._check_lag(lag)
        return self._jackknife(lambda s: counted_transition_matrix(s, lag), 0.0, 1.0)

    def stationary_distribution(self) -> Estimate:
        """Return the share of frames; intervals as `trajlm.analysis.population_intervals`."""
        return Estimate(populations(self.states), *population_intervals(self.states))

    def timescales(self, lag: int = 1, n: int | None = None) -> Estimate:
        """Return the implied timescales of the counted matrix at `lag`.

        See `trajlm.analysis.counted_timescales`.
        """
        self._check_lag(lag)
        found = counted_timescales(self.states, lag, n)
        return Estimate(found.values, found.low, found.high, found.unit, found.why, found.n_events)

    def mfpt(self, source: StateSet, target: StateSet) -> Estimate:
        """Return what `trajlm.analysis.stationary_first_passage_time` finds."""
        found = stationary_first_passage_time(self.states, source, target)
        value, low, high = (np.asarray(x) for x in (found.mean, found.low, found.high))
        events = np.asarray(found.n_events, dtype=np.float64)
        return Estimate(value, low, high, self.space.unit, found.why, events)

    def dwell_times(self) -> Estimate:
        """Return the time in each state over the number of its stays that ended.

        The interval is that of the number of ends, over-dispersed as the lengths of the stays are
        and as the mean varies from part to part.
        """
        value, low, high, ends = np.full((4, self.space.n_states), np.nan)
        for k in np.flatnonzero(self.states.visited()).tolist():
            time, ends[k] = _time_and_ends(self.states, k)
            bounds = count_interval(ends[k], self._dispersion_of_stays(k, ends[k]))
            with np.errstate(divide="ignore"):
                value[k], high[k], low[k] = time / np.array([ends[k], *bounds])
        few = np.flatnonzero(~(ends >= FEW_EVENTS))
        why = f"fewer than {FEW_EVENTS} stays in {name_states(few)} have ended" if len(few) else ""
        dt = self.space.dt
        return Estimate(value * dt, low * dt, high * dt, self.space.unit, why, ends)

    def _dispersion_of_stays(self, k: int, n_ends: float) -> float:
        """Return the variance of ln(mean stay) times the number of ends, at least 1."""
        stays = dwell_times(self.states, k)
        whole = stays.durations[~(stays.cut_at_start | stays.cut_at_end)]
        spread = whole.var() / whole.mean() ** 2 if len(whole) > 1 else 1.0
        sums = np.array([_time_and_ends(part, k) for part in independent_parts(self.states, 20)])
        left_out = sums.sum(axis=0) - sums
        if n_ends >= FEW_EVENTS and (left_out > 0).all():
            error = jackknife_error(np.log(left_out[:, 0] / left_out[:, 1]))
            spread = max(spread, n_ends * float(error) ** 2)
        return max(spread, 1.0)

    def committed_rates(self, commit_time: int = 1) -> Estimate:
        """Return counts over the total time, with quasi-Poisson intervals.

        Frames at the ends of trajectories, where no transition can be seen to be committed, are
        left out of the time in the state that it leaves.
        """
        self._check_lag(commit_time, "commit time")
        found = committed_transitions(self.states, [commit_time])
        counts = found.counts[0].astype(np.float64)
        bounds = count_interval(counts, found.dispersion[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            share = found.time_in_state / found.exposure[0] / found.total_time
            value, low, high = (x * share[:, None] for x in (counts, *bounds))
        for x in (value, low, high):
            np.fill_diagonal(x, 0.0)
        few = counts[(counts > 0) & (counts < FEW_EVENTS)]
        why = f"a rate rests on {few.min():.0f} transitions" if len(few) else ""
        return Estimate(value, low, high, f"1/{self.space.unit}", why, counts)

    def _jackknife(
        self, of: Callable[[States], F64], least: float, most: float, unit: str = ""
    ) -> Estimate:
        """Return `of` all data, and Student's t interval from leaving out each part in turn."""
        from scipy.special import stdtrit

        states = self.states
        parts = [list(part) for part in independent_parts(states, N_PARTS)]
        value, n = of(states), len(parts)
        if n < 2:
            return Estimate(value, np.full_like(value, least), np.full_like(value, most), unit)
        left_out = np.array(
            [
                of(states.with_trajectories([s for j in range(n) if j != k for s in parts[j]]))
                for k in range(n)
            ]
        )
        half = stdtrit(n - 1, 0.975) * jackknife_error(left_out)
        low, high = (np.clip(value + sign * half, least, most) for sign in (-1, 1))
        return Estimate(value, low, high, unit)


def _time_and_ends(states: States, k: int) -> tuple[float, float]:
    """Return the frames in a state and the number of its stays that end in sight."""
    stays = dwell_times(states, k)
    return float(stays.durations.sum()), float(np.count_nonzero(~stays.cut_at_end))
