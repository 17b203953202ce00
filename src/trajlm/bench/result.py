"""What a run measured, as a table and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# In the place of a number of threads.
GPU = 0


@dataclass(frozen=True)
class Size:
    """n_states, the length M of the state vectors, and L."""

    n_states: int
    embedding_dim: int
    hidden_dim: int

    @property
    def operations(self) -> int:
        """Multiplications and additions a generated token, 8 L^2 + 2 L n_states.

        The input product is a look-up and is not counted.
        """
        return 8 * self.hidden_dim**2 + 2 * self.hidden_dim * self.n_states

    def __str__(self) -> str:
        return f"{self.n_states}, {self.embedding_dim}, {self.hidden_dim}"


@dataclass(frozen=True)
class Rate:
    """The median rate of one kind of work.

    Parameters
    ----------
    what
        A key such as ``generate, 256 lanes``.
    threads
        Threads it ran on; `GPU` for work on one.
    per_second
        `unit` a second: median over the repeats.
    spread
        (largest - smallest) / median over the repeats.
    gflops, share
        Billions of multiplications and additions a second, and that over the machine's matrix
        product on as many threads.
    """

    what: str
    threads: int
    per_second: float
    unit: str
    spread: float
    size: Size | None = None
    gflops: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class BenchResult:
    """Everything one run measured.

    Parameters
    ----------
    machine
        Processor, cores and package versions.
    rates
        One a row of the table.
    ratios
        Ours over the baseline, by name and L.
    """

    machine: dict[str, Any]
    rates: tuple[Rate, ...]
    ratios: dict[str, dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "machine": self.machine,
            "rates": [asdict(r) for r in self.rates],
            "ratios": self.ratios,
        }

    def table(self) -> str:
        """Return the table that is printed."""
        lines = [
            ("what", "threads", "rate", "spread", "GFLOP/s", "share"),
            *(_cells(r) for r in self.rates),
        ]
        text = ["n_states, M, L in brackets; share: of the single-precision product there", ""]
        text += _aligned(lines)
        text += ["", "ratios (by L)"]
        text += [
            f"  {name}: " + ", ".join(f"{L}: {value:.3g}" for L, value in by_size.items())
            for name, by_size in self.ratios.items()
        ]
        return "\n".join(text)


def _cells(rate: Rate) -> tuple[str, ...]:
    size = f"[{rate.size}] " if rate.size else ""
    return (
        size + rate.what,
        str(rate.threads or "GPU"),
        f"{rate.per_second:,.4g} {rate.unit}/s"
        if rate.per_second < 1000
        else f"{rate.per_second:,.0f} {rate.unit}/s",
        f"{rate.spread:.0%}",
        "" if rate.gflops is None else f"{rate.gflops:.3g}",
        "" if rate.share is None else f"{rate.share:.0%}",
    )


def _aligned(lines: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return [
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for line in lines
    ]
