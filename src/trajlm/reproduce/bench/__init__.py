"""Speed beside plain baselines and beside the machine's own matrix product, in one run."""

from trajlm.reproduce.bench.result import BenchResult, Rate
from trajlm.reproduce.bench.run import run_bench

__all__ = ["BenchResult", "Rate", "run_bench"]
