"""A constrained model and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from trajlm.models.base import SequenceModel
from trajlm.util.words import elapsed, interval, number


@dataclass(frozen=True)
class Change:
    """A population or rate before and after, asked for or not.

    Parameters
    ----------
    what
        Its name.
    before, after
        In the model as it was and in the constrained one.
    before_interval, after_interval
        95 % intervals of what was measured in free runs; of no width where it was solved.
    unit
        Of a rate; empty for a number.
    target
        What was asked for, in words; empty where it was not.
    """

    what: str
    before: float
    after: float
    before_interval: tuple[float, float]
    after_interval: tuple[float, float]
    unit: str = ""
    target: str = ""


@dataclass(frozen=True)
class Constrained:
    """A model that meets targets.

    Parameters
    ----------
    model
        Of the kind of the one that was given; its record says what it was constrained to.
    kl_rate
        KL divergence of its paths from those of the model that was given, in nats per frame.
    changes
        The targets, then the populations of all groups and the rates between them.
    n_generated
        Frames generated on the way; 0 where everything was solved.
    seconds
        That it took.
    """

    model: SequenceModel
    kl_rate: float
    changes: tuple[Change, ...]
    n_generated: int
    seconds: float

    def __str__(self) -> str:
        rows = [("", "before", "", "after", "", "target")]
        for c in self.changes:
            what = f"{c.what}, per {c.unit}" if c.unit else c.what
            rows.append(
                (
                    what,
                    number(c.before),
                    interval(*c.before_interval) if c.before_interval[0] < c.before else "",
                    number(c.after),
                    interval(*c.after_interval) if c.after_interval[0] < c.after else "",
                    c.target,
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = "\n".join(
            "  ".join(
                word.ljust(w) if k in (0, 5) else word.rjust(w)
                for k, (word, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )
        run = f", {self.n_generated:,} frames generated" if self.n_generated else ""
        paid = f"KL rate {number(self.kl_rate)} nats per frame"
        return f"{table}\n{paid}{run}, {elapsed(self.seconds)}"
