"""How a model was made: frozen, typed, and written with a version."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BeforeValidator, TypeAdapter
from pydantic.dataclasses import dataclass

from trajlm.analysis.transitions import name_states
from trajlm.util.checked import FROZEN, Count, Flag, Measured, Name, Number, Positive, checked
from trajlm.util.words import Fact, number


class ModelRecord:
    """What the records of all kinds of models share.

    Each is a frozen dataclass; files hold its fields, the kind of the model and a version. The
    first version had neither kind nor version, and else the same fields.
    """

    kind: str

    @property
    def seed(self) -> int | None:
        """The seed that fixed the result, where there was one."""
        return None

    def facts(self) -> list[Fact]:
        """Return how the model was made, as names and values for people."""
        return []

    def to_dict(self) -> dict[str, object]:
        """Return plain values that fit in JSON."""
        values: dict[str, object] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return values

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Rebuild what `to_dict` returned.

        Raises
        ------
        ValueError
            Values that describe no such record.
        """
        return checked(TypeAdapter(cls), values)


@dataclass(frozen=True, config=FROZEN)
class MetTarget:
    """A target that a model was constrained to.

    Parameters
    ----------
    what
        In words, with its value and error.
    before, after
        In the model before and in the constrained one.
    """

    what: Name
    before: Measured
    after: Measured


@dataclass(frozen=True, config=FROZEN)
class ConstraintRecord:
    """What a model was constrained to.

    Parameters
    ----------
    targets
        All that were met at once.
    kl_rate
        From the model before, in nats per frame.
    n_generated
        Frames generated on the way; 0 where it was solved.
    seed
        Of these.
    """

    targets: tuple[MetTarget, ...]
    kl_rate: Measured
    n_generated: Count
    seed: Count

    def facts(self) -> list[Fact]:
        """Return the targets and the price, as names and values."""
        met = [
            ("constrained to", f"{t.what} ({number(t.before)} before, {number(t.after)} now)")
            for t in self.targets
        ]
        return [*met, ("KL rate of the constraints", f"{number(self.kl_rate)} nats per frame")]


@dataclass(frozen=True, config=FROZEN)
class MarkovRecord(ModelRecord):
    """How a Markov state model was fitted.

    Parameters
    ----------
    lag
        In frames.
    reversible
        Whether detailed balance was imposed.
    connected
        The largest set of states that all lead to each other.
    lag_reason
        Why this lag.
    direction_p_value
        Of the test for a direction of time; None where the user decided.
    outside
        The visited states outside that set.
    never_left
        The sets of states that are never left, where not all states lead to each other.
    constrained
        What it was constrained to after the fit, one after another.
    """

    lag: Positive
    reversible: Flag
    connected: tuple[Count, ...]
    lag_reason: Name = ""
    direction_p_value: Number | None = None
    outside: tuple[Count, ...] = ()
    never_left: tuple[tuple[Count, ...], ...] = ()
    constrained: tuple[ConstraintRecord, ...] = ()
    kind: Literal["msm"] = "msm"
    version: Literal[2] = 2

    def facts(self) -> list[Fact]:
        """Return which states are outside the largest set, as names and values."""
        facts = []
        if self.outside:
            facts.append(("not connected", name_states(np.array(self.outside))))
        if self.never_left:
            sets = (name_states(np.array(states)) for states in self.never_left)
            facts.append(("never left", "; ".join(sets)))
        return facts + [fact for made in self.constrained for fact in made.facts()]


def _as_pairs(tried: object) -> object:
    """Return the pairs of a mapping, in whose form the first version has them in JSON."""
    return [(int(m), bic) for m, bic in tried.items()] if isinstance(tried, dict) else tried


@dataclass(frozen=True, config=FROZEN)
class HiddenMarkovRecord(ModelRecord):
    """How a hidden Markov model was fitted.

    Parameters
    ----------
    n_hidden
        Hidden states.
    log_likelihood
        Of the data, in nats.
    bic
        Bayesian information criterion.
    reversible
        Whether detailed balance was imposed on the hidden states; None in older files.
    bic_tried
        Numbers of hidden states with the criterion of each, where the number was chosen by it.
    """

    n_hidden: Positive
    log_likelihood: Measured
    bic: Measured
    reversible: Flag | None = None
    bic_tried: Annotated[tuple[tuple[Count, Measured], ...], BeforeValidator(_as_pairs)] = ()
    kind: Literal["hmm"] = "hmm"
    version: Literal[2] = 2

    @property
    def stopped_at_most(self) -> bool:
        """Whether the criterion still fell at the largest number of hidden states tried."""
        return len(self.bic_tried) > 1 and self.bic_tried[-1][0] == self.n_hidden

    def facts(self) -> list[Fact]:
        """Return whether more hidden states might do better, as names and values."""
        if not self.stopped_at_most:
            return []
        return [("hidden states", f"{self.n_hidden}, the most tried: the criterion still fell")]


@dataclass(frozen=True, config=FROZEN)
class NGramRecord(ModelRecord):
    """How counts after the last k states were made.

    Parameters
    ----------
    order
        k.
    n_sequences
        Different sequences of up to k + 1 states that the data shows.
    held_out_nats
        Nats per frame of each order from 0 on held-out data, where the order was chosen by them.
    """

    order: Count
    n_sequences: Positive
    held_out_nats: tuple[Measured, ...] = ()
    kind: Literal["ngram"] = "ngram"
    version: Literal[2] = 2
