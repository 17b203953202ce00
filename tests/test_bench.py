import json

import pytest
import torch

from trajlm import cli
from trajlm.lstm.loops import choice, loops
from trajlm.lstm.quantization import precision
from trajlm.lstm.settings import TrainingSettings
from trajlm.reproduce.bench import gpu, road, run, work
from trajlm.reproduce.bench.result import GPU, BenchResult, Rate, Ratio, Size


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(work, "OPERATIONS", 1e5)
    monkeypatch.setattr(work, "PLAIN_FRAMES", 3)
    monkeypatch.setattr(work, "WINDOWS", ((10**9, 3),))
    monkeypatch.setattr(work, "MARKOV_FRAMES", 2000)
    monkeypatch.setattr(work, "find_spec", lambda name: None)
    monkeypatch.setattr(run, "SIZES", (Size(3, 2, 16),))
    monkeypatch.setattr(run, "whole_road", lambda say: [Ratio("the road", "in all", 60.0)])


def test_bench_prints_the_table_and_writes_the_same_numbers(quick, tmp_path, capsys):
    out = tmp_path / "speed.json"
    assert cli.run(["bench", "--json", str(out), "--repeats", "1"]) == 0
    table = capsys.readouterr().out
    result = json.loads(out.read_text())
    for rate in result["rates"]:
        assert rate["what"] in table
        assert rate["per_second"] > 0
        if rate["size"]:
            assert rate["gflops"] == pytest.approx(rate["per_second"] * operations(rate) / 1e9)
    by_name = {(r["what"], r["threads"]): r["per_second"] for r in result["rates"]}
    ratio = result["ratios"]["one lane over the plain loop"]["3/16"]
    lanes = by_name["generate, 1 lane", 1] / by_name["plain nn.LSTM loop, 1 lane", 1]
    assert ratio == pytest.approx(lanes)
    precisions = {r["what"]: r["precision"] for r in result["rates"]}
    assert precisions["generate, 16 lanes"] == "single precision"
    assert precisions["plain nn.LSTM loop, 1 lane"] == ""
    assert "generate, 16 lanes (single precision)" in table
    assert "model" in result["ratios"]["ns of alanine dipeptide a second"]
    assert result["ratios"]["the road"] == {"in all": 60.0}
    assert "the road: in all: 60" in table
    assert result["machine"]["compiled loops"] == choice().describe()
    assert choice().describe() in table
    assert all(sentence in table for sentence in result["verdict"])


def test_a_gpu_is_measured_too(quick, monkeypatch):
    # The processor in its place.
    monkeypatch.setattr(run, "gpu", lambda: torch.device("cpu"))
    monkeypatch.setattr(run, "gpu_name", lambda device: "a card")
    for name, value in (("OPERATIONS", 1e5), ("LANES", 20), ("SIDE", 32)):
        monkeypatch.setattr(gpu, name, value)
    result = run.run_bench(run.SIZES, repeats=1)
    assert result.machine["gpu"] == "a card"
    found = {rate.what: rate for rate in result.rates if rate.threads == GPU}
    assert found["generate, 20 lanes, step by step"].share > 0
    assert found["training step"].share > 0
    assert len(found) == 4
    assert "GPU" in result.table()


@pytest.mark.slow
def test_large_networks_are_measured_as_trained_and_rounded(quick, monkeypatch):
    monkeypatch.setattr(precision, "REDUCED_FROM", 1)
    result = run.run_bench(run.SIZES, repeats=1)
    found = {r.what: r.precision for r in result.rates if r.threads == 1}
    once, after = found["generate, 1 lane, not rounded"], found["generate, 1 lane"]
    expected = ("half precision", "8 bits") if loops().HAS_BYTES else ("half precision",) * 2
    assert (once, after) == expected


def result_of(spread, *intervals):
    """What a run says with rates of this spread and these ratios over PyTorch."""
    ratios = tuple(
        Ratio("training", f"20/{k}", sum(i) / 2, i, over_pytorch=True)
        for k, i in enumerate(intervals)
    )
    return BenchResult({}, (Rate("training step", 1, 1.0, "token", spread),), ratios).verdict()


def test_bench_says_whether_pytorch_is_faster_and_whether_it_can_be_read():
    (faster,) = result_of(0.1, (1.2, 1.4), (1.1, 1.2))
    assert "every round" in faster
    assert "20/1: 1.15" in faster
    (slower,) = result_of(0.1, (1.2, 1.4), (0.8, 0.9))
    assert slower.startswith("Slower")
    assert "20/1: 0.85" in slower
    assert "20/0" not in slower
    (unclear,) = result_of(0.1, (0.95, 1.2))
    assert "in some rounds" in unclear
    noisy, _ = result_of(0.5, (1.2, 1.4))
    assert "1 of 1 rates" in noisy


def test_no_round_begins_when_the_time_is_over(quick):
    said = []
    run.run_bench(run.SIZES, repeats=9, say=said.append, minutes=0)
    rounds = [text for text in said if "M, L" in text and "round" in text]
    assert len(rounds) == run.LEAST_REPEATS
    assert f"round {run.LEAST_REPEATS} of 9" in rounds[-1]


@pytest.mark.slow
def test_the_whole_road_is_gone(monkeypatch):
    monkeypatch.setattr(road, "FRAMES", 5000)
    monkeypatch.setattr(road, "SETTINGS", TrainingSettings(epochs=2, hidden_dim=8))
    said = []
    parts = {ratio.of: ratio.value for ratio in road.whole_road(said.append)}
    assert list(parts) == ["reading", "training", "comparison and report", "in all"]
    *each, whole = parts.values()
    assert whole == pytest.approx(sum(each))
    assert min(each[1:]) > 0
    assert ["training" in said[0], "report" in said[1]] == [True, True]


def operations(rate):
    """8 L^2 + 2 L n_states a token, three times that to train on it."""
    L, n = rate["size"]["hidden_dim"], rate["size"]["n_states"]
    return (3 if "training" in rate["what"] else 1) * (8 * L**2 + 2 * L * n)


def test_bench_of_no_network_is_refused(capsys):
    assert cli.run(["bench", "--largest", "8"]) == 2
    assert "smallest network" in capsys.readouterr().err
