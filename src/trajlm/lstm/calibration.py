"""What a calibration matched, and what of it is still off: frozen, typed, written with a model."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import model_validator
from pydantic.dataclasses import dataclass

from trajlm.util.checked import FROZEN, Count, Flag, Measured
from trajlm.util.words import counted

# Pairs of sets whose transitions are told one by one, and populations and rates that are off.
MOST_LISTED = 8


@dataclass(frozen=True, config=FROZEN)
class _Matched:
    """What every calibration says; shape (n_sets,) or (n_pairs,), pairs of sets g < h.

    Parameters
    ----------
    lag
        Frames of the gradient window: what takes more than three is calibrated.
    slowest
        The longest implied timescale of the data, in frames.
    assignment
        The slow set of each state, shape (n_states,).
    commit_time
        Frames that a stay must last for its transition to count as one of `events`.
    tilt
        a of each set.
    pairs
        The pairs of sets with such transitions in the data.
    events
        Transitions of each pair, both ways.
    mobility
        b of each pair.
    population_errors, rate_errors
        ln(generated / data).
    n_generated
        Frames generated on the way.
    """

    lag: Count
    slowest: Measured
    assignment: tuple[Count, ...]
    commit_time: Count
    tilt: tuple[Measured, ...]
    pairs: tuple[tuple[Count, Count], ...]
    events: tuple[Count, ...]
    mobility: tuple[Measured, ...]
    population_errors: tuple[Measured, ...]
    rate_errors: tuple[Measured, ...]
    n_generated: Count

    def _of_each_pair(self) -> tuple[tuple[float, ...], ...]:
        return self.events, self.mobility, self.rate_errors

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if any(len(values) != len(self.pairs) for values in self._of_each_pair()):
            raise ValueError("the calibration has not one value for each pair of sets")
        return self

    @property
    def _found(self) -> str:
        return f"{len(self.tilt)} slow sets (slowest timescale {self.slowest:.0f} frames): "


@dataclass(frozen=True, config=FROZEN)
class Calibration(_Matched):
    """What was matched and how, with the errors of the calibrated model as measured.

    Parameters
    ----------
    populations
        Of the sets, in the data.
    settled_mobility
        c of each pair.
    flicker_errors
        ln(generated / data) of the transitions that hold for less.
    population_errors_before, rate_errors_before, flicker_errors_before
        The errors of the model as trained.
    """

    populations: tuple[Measured, ...]
    settled_mobility: tuple[Measured, ...]
    flicker_errors: tuple[Measured, ...]
    population_errors_before: tuple[Measured, ...]
    rate_errors_before: tuple[Measured, ...]
    flicker_errors_before: tuple[Measured, ...]

    def _of_each_pair(self) -> tuple[tuple[float, ...], ...]:
        return *super()._of_each_pair(), self.settled_mobility

    @model_validator(mode="after")
    def _fitting_sets(self) -> Self:
        if any(len(x) != len(self.tilt) for x in (self.populations, self.population_errors)):
            raise ValueError("the calibration has not one value for each set")
        return self

    def describe(self) -> str:
        """Say what was matched to how many transitions, and by name what is still off."""
        if not self.pairs:
            return f"{self._found}no transition that holds for {self.commit_time} frames to match"
        pairs = counted(len(self.pairs), "pair", "pairs")
        said = (
            f"{self._found}populations and the rates of {pairs} "
            f"matched to {_listed(list(self.events))} transitions held for {self.commit_time} "
            "frames"
        )
        off = self.out_of_line()
        more = [f"and {len(off) - MOST_LISTED} more"] if len(off) > MOST_LISTED else []
        return f"{said}; not in line: {', '.join([*off[:MOST_LISTED], *more])}" if off else said

    def out_of_line(self) -> tuple[str, ...]:
        """Return the populations and rates that the data makes unlikely at 68 %, in words."""
        words = []
        visits = np.zeros(len(self.tilt))
        for (g, h), n in zip(self.pairs, self.events, strict=True):
            visits[[g, h]] += n / 2
        for g, (data, error) in enumerate(
            zip(self.populations, self.population_errors, strict=True)
        ):
            if abs(error) > np.sqrt(2 / max(visits[g], 0.5)):
                words.append(
                    f"{self._named(g)}: {data * np.exp(error):.2g} in the model, "
                    f"{data:.2g} in the data"
                )
        for (g, h), n, error in zip(self.pairs, self.events, self.rate_errors, strict=True):
            if abs(error) > np.sqrt(2 / n):
                words.append(
                    f"transitions {self._named(g)} to {self._named(h)} and back: "
                    f"{np.exp(error):.2g} times those of the data"
                )
        return tuple(words)

    def _named(self, g: int) -> str:
        states = [k for k, own in enumerate(self.assignment) if own == g]
        if len(states) == 1:
            return f"state {states[0]}"
        few = ", ".join(str(k) for k in states[:3])
        return f"states {few}{', ...' if len(states) > 3 else ''}"


@dataclass(frozen=True, config=FROZEN)
class EarlierCalibration(_Matched):
    """What the calibration of the first version matched, as its files have it.

    Its errors are those before the calibration, zero where nothing was matched.

    Parameters
    ----------
    matched
        Whether the transitions were enough to match the rate of the pair.
    """

    matched: tuple[Flag, ...]

    def _of_each_pair(self) -> tuple[tuple[float, ...], ...]:
        return *super()._of_each_pair(), self.matched

    def describe(self) -> str:
        """Say in a sentence or two what was matched, and what the data cannot tell."""
        matched = [n for n, is_matched in zip(self.events, self.matched, strict=True) if is_matched]
        rare = [
            n for n, is_matched in zip(self.events, self.matched, strict=True) if not is_matched
        ]
        said = []
        if matched:
            said.append(
                f"populations and the rates of {counted(len(matched), 'pair', 'pairs')} matched to "
                f"those of the training stretch, {_listed(matched)} transitions held for "
                f"{self.commit_time} frames"
            )
        if rare or not matched:
            said.append(
                f"too few transitions, {_listed(rare)}, to trust the rates of "
                f"{counted(max(len(rare), 1), 'pair', 'pairs')}"
            )
        return self._found + "; ".join(said)


def _listed(counts: list[int]) -> str:
    if len(counts) > MOST_LISTED:
        return f"{min(counts)} to {max(counts)}"
    return ", ".join(str(n) for n in counts) or "none"
