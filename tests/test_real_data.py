"""Long checks on the public trajectories in the folder that TRAJLM_DATA names."""

import os
from pathlib import Path

import numpy as np
import pytest

from trajlm.analysis import (
    commit_times,
    committed_transitions,
    discrepancy,
    dwell_times,
    fit_exponentials,
    floor,
    group_by_edges,
)
from trajlm.cli import run
from trajlm.io import read_states
from trajlm.models.markov import fit_msm
from trajlm.models.registry import load_model
from trajlm.systems.hidden_markov import KINSOFT_LEVEL3_RATES

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
