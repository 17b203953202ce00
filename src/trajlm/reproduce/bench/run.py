"""Measuring: every round of repeats runs all kinds of work in turn, so that ratios are fair."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

from trajlm.reproduce.bench.gpu import gpu, gpu_name, gpu_work
from trajlm.reproduce.bench.result import BenchResult, Rate, Size
from trajlm.reproduce.bench.work import Work, generation, matrix_products, others, training
from trajlm.systems.alanine import FRAME_PS
from trajlm.util.devices import usable_cores
from trajlm.util.versions import package_versions

SIZES = (Size(4, 8, 64), Size(20, 32, 64), Size(20, 128, 512), Size(34, 128, 1024))
REPEATS = 5


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
    """
    cores, card = usable_cores(), gpu()
    rates: list[Rate] = []
    ratios: dict[str, dict[str, float]] = {}
    for size in sizes:
        say(f"measuring n_states, M, L = {size}")
        works = [*matrix_products(cores), *generation(size, cores), *training(size, cores)]
        found = _measure(works, repeats)
        rates += found
        _compare(ratios, size, found, cores)
        if card is not None:
            rates += _measure(gpu_work(size, card), repeats)
    say("measuring simulators, MSM and HMM")
    found = _measure(others(), repeats)
    rates += found
    _molecular_time(ratios, rates)
    machine = _machine(cores) | {"gpu": gpu_name(card) if card else None}
    return BenchResult(machine, tuple(rates), ratios)


def _measure(works: Sequence[Work], repeats: int) -> list[Rate]:
    """Run all works in turn, once to warm up and then `repeats` times."""
    seconds: list[list[float]] = [[] for _ in works]
    for round_ in range(repeats + 1):
        for work, times in zip(works, seconds, strict=True):
            # What one thread does is timed by the processor's time, which other processes on a
            # shared machine do not stretch.
            clock = time.process_time if work.threads == 1 else time.perf_counter
            began = clock()
            done = work.run()
            spent = clock() - began
            if work.took is not None:
                spent = work.took()
            if round_:
                times.append(spent / done)
    peaks = {
        w.threads: w.operations / median(s) / 1e9
        for w, s in zip(works, seconds, strict=True)
        if w.unit == "product"
    }
    return [_rate(w, s, peaks.get(w.threads)) for w, s in zip(works, seconds, strict=True)]


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


def _compare(
    ratios: dict[str, dict[str, float]], size: Size, found: Sequence[Rate], cores: int
) -> None:
    """Add the ratios of one size."""
    per_second = {(r.what, r.threads): r.per_second for r in found}
    for name, ours, plain, which in RATIOS:
        threads = 1 if which == "one" else cores
        value = per_second[ours, threads] / per_second[plain, threads]
        ratios.setdefault(name, {})[f"{size.n_states}/{size.hidden_dim}"] = value
    share = next(r.share for r in found if r.what == "generate, 4096 lanes")
    ratios.setdefault("share of the matrix product, 4096 lanes", {})[
        f"{size.n_states}/{size.hidden_dim}"
    ] = float(share or 0.0)


def _molecular_time(ratios: dict[str, dict[str, float]], rates: Sequence[Rate]) -> None:
    """Add ns of alanine dipeptide a second: a frame each 0.1 ps, by the model with L = 64."""
    tokens = [r.per_second for r in rates if r.what == "generate, 4096 lanes"]
    molecular = {"model": max(tokens) * FRAME_PS / 1000}
    molecular |= {r.what: r.per_second for r in rates if r.unit == "ns"}
    ratios["ns of alanine dipeptide a second"] = molecular


def _machine(cores: int) -> dict[str, Any]:
    """Say what it was measured on."""
    from trajlm.kernels.simd import WIDTH

    return {
        "processor": _processor(),
        "cores": cores,
        "vector width": WIDTH,
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
