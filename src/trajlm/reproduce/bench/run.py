"""Measuring: every round of repeats runs all kinds of work in turn, so that ratios are fair."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

from trajlm.lstm.loops import choice
from trajlm.reproduce.bench.gpu import gpu, gpu_name, gpu_work
from trajlm.reproduce.bench.result import BenchResult, Rate, Ratio, Size
from trajlm.reproduce.bench.road import whole_road
from trajlm.reproduce.bench.work import Work, generation, matrix_products, others, training
from trajlm.systems.alanine import FRAME_PS
from trajlm.util.devices import usable_cores
from trajlm.util.versions import package_versions
from trajlm.util.words import elapsed

SIZES = (Size(4, 8, 64), Size(20, 32, 64), Size(20, 128, 512), Size(34, 128, 1024))
REPEATS = 5
# Rounds that are made however long they take, and minutes after which no other begins.
LEAST_REPEATS = 3
MINUTES = 5.0
# Of these, for what is measured in rounds; the rest is for the whole road.
SHARE_OF_ROUNDS = 0.7
# What one work took for each of its units, in seconds, round after round.
Times = list[float]


@contextmanager
def _threads_restored() -> Iterator[None]:
    """Give PyTorch back the threads that it had: each work sets its own."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_threads_restored()
def run_bench(
    sizes: Sequence[Size] = SIZES,
    repeats: int = REPEATS,
    say: Callable[[str], None] = lambda text: None,
    minutes: float = MINUTES,
) -> BenchResult:
    """Measure everything, on the cores that this process may use and on a GPU if there is one.

    Parameters
    ----------
    sizes
        Networks to measure.
    repeats
        Rounds whose median counts, after one round to warm up.
    say
        Told what is being measured.
    minutes
        Where this is too short for all repeats, less are made, `LEAST_REPEATS` at least. The whole
        road from a file to the report is gone once, at last.
    """
    cores, card = usable_cores(), gpu()
    found: list[Rate] = []
    ratios: list[Ratio] = []
    began = time.monotonic()

    def measure(what: str, works: Sequence[Work], section: int) -> list[Times]:
        """Run the works, until the time that is due to the sections up to this one is over."""
        until = began + 60 * minutes * SHARE_OF_ROUNDS * section / (len(sizes) + 1)
        return _rounds(
            works,
            repeats,
            lambda: time.monotonic() > until,
            lambda text: say(f"{what}: {text}, {elapsed(time.monotonic() - began)} so far"),
        )

    for k, size in enumerate(sizes):
        what = f"n_states, M, L = {size}"
        say(f"{what}: setting up, with compiling on first use")
        works = [*matrix_products(cores), *generation(size, cores), *training(size, cores)]
        times = measure(what, works, k + 1)
        rates = _rates(works, times)
        ratios += _ratios(size, works, times, cores)
        ratios.append(_share(size, rates))
        found += rates
        if card is not None:
            works = gpu_work(size, card)
            found += _rates(works, measure(f"{what}, GPU", works, k + 1))
    works = others()
    found += _rates(works, measure("simulators, MSM and HMM", works, len(sizes) + 1))
    ratios += _molecular_time(found)
    ratios += whole_road(lambda text: say(f"{text}, {elapsed(time.monotonic() - began)} so far"))
    machine = _machine(cores) | {"gpu": gpu_name(card) if card else None}
    return BenchResult(machine, tuple(found), tuple(ratios))


def _rounds(
    works: Sequence[Work], repeats: int, late: Callable[[], bool], say: Callable[[str], None]
) -> list[Times]:
    """Run all works in turn, once to warm up and then `repeats` times or until it is late."""
    times: list[Times] = [[] for _ in works]
    for round_ in range(repeats + 1):
        if round_ > LEAST_REPEATS and late():
            break
        say(f"round {round_} of {repeats}" if round_ else "warming up")
        for work, own in zip(works, times, strict=True):
            # What one thread does is timed by the processor's time, which other processes on a
            # shared machine do not stretch.
            clock = time.process_time if work.threads == 1 else time.perf_counter
            began = clock()
            done = work.run()
            spent = clock() - began
            if work.took is not None:
                spent = work.took()
            if round_:
                own.append(spent / done)
    return times


def _rates(works: Sequence[Work], times: Sequence[Times]) -> list[Rate]:
    """Return the rates of works, and their shares of the products among them."""
    peaks = {
        w.threads: w.operations / median(s) / 1e9
        for w, s in zip(works, times, strict=True)
        if w.unit == "product"
    }
    return [_rate(w, s, peaks.get(w.threads)) for w, s in zip(works, times, strict=True)]


def _rate(work: Work, seconds: list[float], peak: float | None) -> Rate:
    middle = median(seconds)
    gflops = work.operations / middle / 1e9 if work.operations else None
    return Rate(
        work.what,
        work.threads,
        1 / middle,
        work.unit,
        (max(seconds) - min(seconds)) / middle,
        work.size,
        gflops,
        gflops / peak if gflops and peak else None,
        work.precision,
    )


# Name of a ratio, ours, the baseline, and whether on one thread or all.
RATIOS = (
    ("one lane over the plain loop", "generate, 1 lane", "plain nn.LSTM loop, 1 lane", "one"),
    (
        "one lane over the plain loop, all threads",
        "generate, 1 lane",
        "plain nn.LSTM loop, 1 lane",
        "all",
    ),
    ("many lanes over plain", "generate, 4096 lanes", "plain nn.LSTM loop, 512 lanes", "all"),
    ("training, one thread", "training step", "plain nn.LSTM training step", "one"),
    ("training, all threads", "training step", "plain nn.LSTM training step", "all"),
)


def _ratios(size: Size, works: Sequence[Work], times: Sequence[Times], cores: int) -> list[Ratio]:
    """Return how many times as fast ours is, for one size; each round gives a ratio."""
    by_work = {(w.what, w.threads): t for w, t in zip(works, times, strict=True)}
    found = []
    for name, ours, plain, which in RATIOS:
        threads = 1 if which == "one" else cores
        pairs = zip(by_work[plain, threads], by_work[ours, threads], strict=True)
        values = [a / b for a, b in pairs]
        found.append(
            Ratio(name, size.short, median(values), (min(values), max(values)), over_pytorch=True)
        )
    return found


def _share(size: Size, rates: Sequence[Rate]) -> Ratio:
    """Return the share of the matrix product that many lanes make."""
    share = next(r.share for r in rates if r.what == "generate, 4096 lanes")
    return Ratio("share of the matrix product, 4096 lanes", size.short, float(share or 0.0))


def _molecular_time(rates: Sequence[Rate]) -> list[Ratio]:
    """Return ns of alanine dipeptide a second: a frame each 0.1 ps, by the model with L = 64."""
    tokens = [r.per_second for r in rates if r.what == "generate, 4096 lanes"]
    molecular = {"model": max(tokens) * FRAME_PS / 1000}
    molecular |= {r.what: r.per_second for r in rates if r.unit == "ns"}
    return [Ratio("ns of alanine dipeptide a second", k, v) for k, v in molecular.items()]


def _machine(cores: int) -> dict[str, Any]:
    """Say what it was measured on."""
    return {
        "processor": _processor(),
        "cores": cores,
        "compiled loops": choice().describe(),
        "load before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": package_versions(),
    }


def _processor() -> str:
    """Return the processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
