"""What all threads share stays as it was, and two calls at once give what each gives alone."""

import inspect
import random
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest
import torch

import trajlm
from trajlm.lstm.training.network import LSTMNetwork
from trajlm.plots import plot_free_energy
from trajlm.util.devices import one_thread_in_pytorch

QUICK = {"hidden_dim": 8, "embedding_dim": 4, "epochs": 2, "window": 20}


def walk(seed=0, n=3000):
    rng = np.random.default_rng(seed)
    return np.clip(np.cumsum(rng.integers(-1, 2, n)) % 7, 0, 4)


def in_a_new_thread(call):
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def shared():
    return {
        "threads of PyTorch here": torch.get_num_threads(),
        "threads of PyTorch in threads to come": in_a_new_thread(torch.get_num_threads),
        "generator of PyTorch": torch.get_rng_state().numpy().tobytes(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "type of numbers": torch.get_default_dtype(),
        "generator of NumPy": str(np.random.get_state()),  # noqa: NPY002
        "generator of Python": random.getstate(),
        "errors of NumPy": np.geterr(),
        "filters of warnings": list(warnings.filters),
        "style of figures": dict(matplotlib.rcParams),
        "backend": matplotlib.get_backend(),
    }


def save_comparison(folder):
    states = trajlm.States(walk())
    trajlm.compare(states, {"MSM": trajlm.fit_msm(states)}, n_runs=2).save(folder)


CALLS = {
    "train": lambda folder: trajlm.LSTMEstimator(**QUICK).fit(walk()),
    "generate": lambda folder: trajlm.fit_msm(walk()).generate(100, 2, seed=1),
    "fit_hmm": lambda folder: trajlm.fit_hmm(walk(), 5),
    "k-means": lambda folder: trajlm.KMeans(3).fit_transform(np.arange(300.0)),
    "pcca": lambda folder: trajlm.group_by_pcca(walk(), 2),
    "compare": save_comparison,
    "plot": lambda folder: plot_free_energy(trajlm.analysis.free_energy(walk())),
    "simulate": lambda folder: trajlm.simulate("linear3", 50, 2, seed=1),
    "kinetics": lambda folder: trajlm.kinetics(walk()).mfpt(0, 2),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_what_all_share_as_it_was(name, tmp_path):
    matplotlib.get_backend()
    CALLS[name](tmp_path)  # the first call imports, which is no call's doing
    before = shared()
    CALLS[name](tmp_path)
    after = shared()
    assert [what for what in before if before[what] != after[what]] == []


def start_of(seed):
    network = LSTMNetwork(5, 4, 16, seed=seed)
    return [p.detach().numpy().tobytes() for p in network.parameters()]


def test_networks_start_the_same_whatever_other_threads_draw():
    alone = {seed: start_of(seed) for seed in range(4)}
    with ThreadPoolExecutor(4) as pool:
        seeds = [k % 4 for k in range(400)]
        assert all(
            alone[s] == found for s, found in zip(seeds, pool.map(start_of, seeds), strict=True)
        )


def train(arguments):
    data, seed = arguments
    model = trajlm.LSTMEstimator(**QUICK, seed=seed, n_threads=2).fit_fetch(data)
    return [w.tobytes() for w in model.weights.arrays().values()]


def test_two_trainings_at_once_give_what_each_gives_alone():
    tasks = [(walk(0), 0), (walk(1), 0), (walk(0), 1)]
    alone = [train(task) for task in tasks]
    before = shared()
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(train, tasks)) == alone
    after = shared()
    assert [what for what in before if before[what] != after[what]] == []


def test_one_thread_in_pytorch_is_for_the_thread_that_asks_and_no_other():
    before = torch.get_num_threads()
    meet = threading.Barrier(3)

    def hold():
        with one_thread_in_pytorch():
            meet.wait()
            meet.wait()
            inside = torch.get_num_threads()
        return inside, torch.get_num_threads()

    try:
        torch.set_num_threads(2)
        with ThreadPoolExecutor(2) as pool:
            held = [pool.submit(hold) for _ in range(2)]
            meet.wait()
            here, new = torch.get_num_threads(), in_a_new_thread(torch.get_num_threads)
            meet.wait()
            assert (here, new) == (2, 2)
            assert [h.result() for h in held] == [(1, 2), (1, 2)]
        assert in_a_new_thread(torch.get_num_threads) == 2
    finally:
        torch.set_num_threads(before)


def test_a_thread_that_asks_while_another_is_setting_gets_its_own_number_back(monkeypatch):
    """The number of all threads is another for a moment: nobody may take it for the usual one."""
    before, setting = torch.get_num_threads(), torch.set_num_threads
    begun = threading.Event()

    def slowly(n):
        setting(n)
        begun.set()
        time.sleep(0.1)

    def hold():
        with one_thread_in_pytorch():
            pass
        return torch.get_num_threads()

    try:
        setting(2)
        monkeypatch.setattr(torch, "set_num_threads", slowly)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(hold)
            begun.wait()
            second = pool.submit(hold)
            assert (first.result(), second.result()) == (2, 2)
    finally:
        setting(before)


@pytest.mark.parametrize(
    "function",
    [trajlm.train, trajlm.LSTMEstimator, trajlm.compare, trajlm.kinetics, trajlm.simulate,
     trajlm.LSTMModel.generate, trajlm.MarkovModel.generate, trajlm.HiddenMarkovModel.generate],
)  # fmt: skip
def test_whatever_runs_threads_takes_their_number(function):
    assert inspect.signature(function).parameters["n_threads"].default is None


def test_the_number_of_threads_changes_no_result():
    one, three = (trajlm.simulate("linear3", 20, 4, seed=3, n_threads=n) for n in (1, 3))
    assert one == three
    with pytest.raises(trajlm.InputError, match="at least one"):
        trajlm.simulate("linear3", 20, n_threads=0)
