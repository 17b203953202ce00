"""Long checks on the public trajectories in the folder that TRAJLM_DATA names."""

import os
from pathlib import Path

import numpy as np
import pytest

from trajlm.analysis import (
    commit_times,
    committed_transitions,
    cramer_von_mises,
    discrepancy,
    dwell_times,
    fit_exponentials,
    floor,
    group_by_edges,
    survival,
)
from trajlm.cli import run
from trajlm.comparison import Comparison
from trajlm.io import read_states
from trajlm.models.markov import fit_msm
from trajlm.models.registry import load_model
from trajlm.systems.hidden_markov import KINSOFT_LEVEL3_RATES, HiddenMarkovProcess

pytestmark = pytest.mark.slow


def data_file(name):
    folder = os.environ.get("TRAJLM_DATA")
    if not folder or not (Path(folder) / name).exists():
        pytest.skip(f"TRAJLM_DATA names no folder with {name}")
    return str(Path(folder) / name)


def command(*arguments):
    assert run([str(a) for a in arguments]) == 0


def distance(reference, states, grouping):
    grouped = grouping.apply(states)
    return discrepancy(reference, committed_transitions(grouped, reference.commit_times)).value


def test_riboswitch_kinetics_are_as_close_as_the_data_to_itself(tmp_path):
    record = data_file("riboswitch/Mol2_6_Ext_9.txt")
    path = tmp_path / "states.npz"
    command("discretize", record, "--bins", 34, "--dt", 0.1, "--unit", "ms", "--out", path)
    states = read_states(path)
    grouping = group_by_edges(states, [706.1, 711.45], running_mean=20)
    grouped = grouping.apply(states)
    reference = committed_transitions(grouped, commit_times(2000))
    found = []
    for seed in range(3):
        model = tmp_path / f"model{seed}"
        out = tmp_path / f"generated{seed}.npy"
        command("train", path, "--out", model, "--seed", seed)
        command("generate", model, "--steps", 100_000, "--lanes", 10, "--seed", 1, "--out", out)
        generated = states.with_trajectories(read_states(out).trajectories)
        found.append(distance(reference, generated, grouping))
    limit = floor(grouped, reference.commit_times).value
    msm = distance(reference, fit_msm(states).generate(100_000, 10, seed=1), grouping)
    print(f"D {found}, D0 {limit}, MSM {msm}")
    assert np.mean(found) <= 1.5 * limit
    assert msm >= 10 * np.mean(found)


def test_kinsoft_dwell_times_have_the_time_constants_of_the_truth(tmp_path):
    archive = data_file("kinsoft/test_level3_with_truth.npz")
    options = ("--key", "G_*", "--dt", 0.2, "--unit", "s")
    states = read_states(archive, key="G_*", dt=0.2, unit="s")
    assert len(states) == 150
    for seed in range(3):
        model = tmp_path / f"model{seed}"
        command("train", archive, *options, "--out", model, "--seed", seed)
        generated = load_model(model).generate(20_000, 50, seed=1)
        for state, hidden in ((1, (0, 1)), (2, (2, 3))):
            block = np.array(KINSOFT_LEVEL3_RATES)[np.ix_(hidden, hidden)]
            truth = np.sort(-1 / np.linalg.eigvals(block).real)
            measured = fit_exponentials(dwell_times(states, state))
            learned = fit_exponentials(dwell_times(generated, state)).time_constants
            print(f"seed {seed}, state {state}: learned {learned}, data {measured}, truth {truth}")
            # The interval is that of the 150 short trajectories the model was trained on.
            low, high = measured.time_constants_low, measured.time_constants_high
            assert ((low <= truth) & (truth <= high)).all()
            assert ((low <= learned) & (learned <= high)).all()


# The published truth of the challenge's level 3, per second; hidden states 0 and 1 look alike, and
# so do 2 and 3.
BLIND_LEVEL3 = np.array(
    [
        [-0.071, 0.053, 0.0, 0.018],
        [0.080, -0.330, 0.250, 0.0],
        [0.0, 0.680, -0.680, 0.0],
        [0.032, 0.0, 0.0, -0.032],
    ]
)


def test_kinsoft_dwell_distributions_of_levels_with_hidden_states_are_near_the_truth(tmp_path):
    traces = data_file("kinsoft_blind/level3.npz")
    states, model, report = tmp_path / "s.npz", tmp_path / "model", tmp_path / "report"
    columns = ("--time-column", 0, "--unit", "s", "--fret", 1, 2)
    cut = ("--bleach", 0.5, "--clip", -0.2, 1.2, "--bins", 30)
    command("discretize", traces, *columns, *cut, "--out", states)
    command("train", states, "--out", model)
    command("compare", states, f"LSTM={model}", "--models", "msm", "--out", report)
    found = Comparison.load(report)
    assert found.grouping.n_groups == 2
    process = HiddenMarkovProcess.from_rates(BLIND_LEVEL3, 0.2, (0, 0, 1, 1), "s")
    truth = process.simulate(2_000_000, 2, 0)
    distances = {}
    for source in (found.reference, *found.models):
        curves = [survival(dwell_times(truth, k)) for k in range(2)]
        distances[source.name] = [
            cramer_von_mises(curve, of) for curve, of in zip(source.survivals, curves, strict=True)
        ]
    print(distances)
    # Of the data there are some hundred stays in each level.
    assert max(distances["data"]) < 0.01
    assert max(distances["LSTM"]) < 0.03
    assert distances["LSTM"][1] < distances["MSM"][1]
