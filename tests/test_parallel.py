"""Several processes give what one gives; stopped in any way, they end and can be gone on with."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from trajlm import cli
from trajlm.cli import model
from trajlm.cli.process import prepare
from trajlm.data import States
from trajlm.lstm.training.batching import lay_streams
from trajlm.models.markov import fit_msm
from trajlm.models.registry import load_model
from trajlm.systems.hidden_markov import markov_chain
from trajlm.util.processes import Processes

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="processes are forked"),
    pytest.mark.skipif(not find_spec("lightning_fabric"), reason="needs the extra nodes"),
]
# Forked processes have all packages loaded already: they begin at once instead of in seconds.
FORK = multiprocessing.get_context("fork")
CHAIN = np.array([[0.95, 0.04, 0.01], [0.10, 0.85, 0.05], [0.02, 0.08, 0.90]])
# Five streams: no number of processes here shares them evenly.
TRAIN = ["train", "states.npy", "--hidden-dim", "16", "--embedding-dim", "4", "--epochs", "2",
         "--window", "16", "--streams", "5", "--threads", "1"]  # fmt: skip
GENERATE = ["generate", "one", "--steps", "500", "--lanes", "7", "--seed", "3", "--threads", "1"]
SECONDS = 300


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the data, and what one process makes of it."""
    folder = tmp_path_factory.mktemp("parallel")
    before = Path.cwd()
    os.chdir(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lightning_fabric  # noqa: F401
    states = markov_chain(CHAIN, 1.0, "frame").simulate(4500, seed=0).trajectories[0]
    np.save("states.npy", states)
    assert cli.run([*TRAIN, "--out", "one"]) == 0
    assert cli.run([*GENERATE, "--out", "one.npy"]) == 0
    yield folder
    os.chdir(before)


@pytest.fixture
def here(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def start(n, command, hook=lambda rank: None):
    """Start `n` processes as torchrun would, each with a log of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def body(rank):
        os.environ.update(
            RANK=str(rank), LOCAL_RANK=str(rank), GROUP_RANK="0", WORLD_SIZE=str(n),
            LOCAL_WORLD_SIZE=str(n), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
        )  # fmt: skip
        with open(f"log-{rank}.txt", "w", buffering=1) as log:
            sys.stdout = sys.stderr = log
            prepare()
            warnings.simplefilter("default")
            warnings.showwarning = cli._show_warning
            hook(rank)
            try:
                status = cli.run(command)
            except BaseException:
                traceback.print_exc()
                status = 1
        os._exit(status)

    for log in Path().glob("log-*.txt"):
        log.unlink()
    processes = [FORK.Process(target=body, args=(rank,)) for rank in range(n)]
    for process in processes:
        process.start()
    return processes


def ended(processes):
    """Return the exit statuses and what each process said."""
    for process in processes:
        process.join(SECONDS)
    statuses = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return statuses, [Path(f"log-{k}.txt").read_text() for k in range(len(processes))]


def history(folder):
    record = load_model(folder).record
    return np.array([[epoch.training, epoch.validation] for epoch in record.history])


def wait_for(text, log):
    deadline = time.monotonic() + SECONDS
    while not Path(log).exists() or text not in Path(log).read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def check_training(out):
    np.testing.assert_allclose(history(out), history("one"), rtol=0, atol=1e-5)
    one, several = (load_file(Path(f, "model.safetensors")) for f in ("one", out))
    for name, array in one.items():
        np.testing.assert_allclose(several[name], array, rtol=0, atol=1e-3, err_msg=name)


def test_torchrun_shares_training_and_generation(here):
    commands = [[*TRAIN, "--out", "t2"], [*GENERATE, "--out", "t2.npy"]]
    Path("both.py").write_text(
        f"import sys\nfrom trajlm.cli import run\nsys.exit(max(run(c) for c in {commands!r}))\n"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "both.py"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 2/2") == 1
    check_training("t2")
    assert Path("t2.npy").read_bytes() == Path("one.npy").read_bytes()


@pytest.fixture(scope="module")
def two(trained):
    """The folder of a model that two processes made."""
    statuses, said = ended(start(2, [*TRAIN, "--out", "p2"]))
    assert statuses == [0, 0], said
    return "p2"


def test_two_processes_learn_the_same(here, two):
    check_training(two)


def test_four_processes_learn_the_same(here):
    statuses, said = ended(start(4, [*TRAIN, "--out", "p4"]))
    assert statuses == [0] * 4, said
    assert said[0].count("epoch 2/2") == 1
    assert said[1:] == [""] * 3
    assert sorted(os.listdir("p4")) == ["model.json", "model.safetensors"]
    check_training("p4")


@pytest.mark.parametrize("n", [2, 4])
def test_any_number_of_processes_writes_the_same_lanes(here, n):
    statuses, said = ended(start(n, [*GENERATE, "--out", f"p{n}.npy"]))
    assert statuses == [0] * n, said
    assert Path(f"p{n}.npy").read_bytes() == Path("one.npy").read_bytes()
    assert not list(here.glob(".*partial*"))


def test_processes_without_a_stream_or_a_lane_are_idle(here):
    command = ["--window", "64", "--epochs", "1"]
    assert cli.run([*TRAIN, *command, "--out", "one-stream"]) == 0
    statuses, said = ended(start(2, [*TRAIN, *command, "--out", "idle"]))
    assert statuses == [0, 0], said
    assert "2 processes share 1 stream" in said[0]
    assert said[1] == ""
    np.testing.assert_allclose(history("idle"), history("one-stream"), rtol=0, atol=1e-5)
    assert cli.run([*GENERATE, "--lanes", "1", "--out", "lane.npy"]) == 0
    statuses, said = ended(start(2, [*GENERATE, "--lanes", "1", "--out", "idle.npy"]))
    assert statuses == [0, 0], said
    assert Path("idle.npy").read_bytes() == Path("lane.npy").read_bytes()


@pytest.mark.parametrize("way", ["terminated", "killed"])
def test_stopped_training_ends_and_resumes_to_the_same_model(here, two, way):
    processes = start(2, [*TRAIN, "--out", way], hook=slow_epochs)
    wait_for("epoch 1/2", "log-0.txt")
    if way == "killed":
        processes[1].kill()
    else:
        # As torchrun does when it is stopped itself.
        for process in processes:
            process.terminate()
    statuses, said = ended(processes)
    assert statuses == [130, -signal.SIGKILL if way == "killed" else 130]
    assert "saved: resume" in said[0]
    assert said[1] == ""
    statuses, said = ended(start(2, [*TRAIN, "--out", way, "--resume"]))
    assert statuses == [0, 0], said
    weights = "model.safetensors"
    assert Path(way, weights).read_bytes() == Path(two, weights).read_bytes()
    np.testing.assert_array_equal(history(way), history(two))


def slow_epochs(rank):
    from trajlm.lstm.training.trainer import Trainer

    validate = Trainer._validate

    def slowly(self):
        time.sleep(0.5)
        return validate(self)

    Trainer._validate = slowly


def test_stopped_generation_is_gone_on_with_by_as_many_processes(here):
    def slow(rank):
        from trajlm.lstm.generation.lanes import LaneBlock

        advance = LaneBlock.advance

        def slowly(self, n):
            # The first is done and waits for the other.
            time.sleep(0.05 * rank)
            return advance(self, n)

        LaneBlock.advance, LaneBlock.chunk = slowly, 5

    command = [*GENERATE, "--out", "stopped.npy"]
    processes = start(2, command, hook=slow)
    wait_for("100%", "log-0.txt")
    time.sleep(0.2)
    for process in processes:
        process.terminate()
    statuses, said = ended(processes)
    assert statuses == [130, 130], said
    assert "100% made" in said[0]
    assert not Path("stopped.npy").exists()
    assert cli.run([*command, "--resume"]) == 2
    statuses, said = ended(start(2, [*command, "--resume"]))
    assert statuses == [0, 0], said
    assert Path("stopped.npy").read_bytes() == Path("one.npy").read_bytes()
    assert not list(here.glob(".*partial*"))


def test_what_is_the_work_of_one_process_is_refused(here):
    fit_msm(States((np.load("states.npy"),), 3)).save("msm")
    for command, sentence in (
        (["generate", "one", "--steps", "9", "--out", "x.npz"], ".npy"),
        (["generate", "msm", "--steps", "9", "--out", "x.npy"], "language model"),
        ([*TRAIN, "--device", "mps", "--out", "mps"], "'mps'"),
        (["compare", "states.npy", "one", "--out", "report"], "the work of one process"),
    ):
        statuses, said = ended(start(2, command))
        assert statuses == [2, 2]
        assert sentence in said[0]
        assert said[1].startswith("trajlm: process 1: ")


def test_another_checkpoint_or_other_data_is_noticed(here):
    def other_data(rank):
        if rank == 1:
            others = States((np.load("states.npy")[::-1],), 3)
            model.read_states = lambda *a, **k: others

    statuses, said = ended(start(2, [*TRAIN, "--out", "other"], hook=other_data))
    assert statuses == [130, 2], said
    assert "other data" in said[1]


@pytest.mark.parametrize(("n", "size"), [(5, 2), (3, 4), (64, 3), (0, 2)])
def test_shares_are_all_there_is_each_once(n, size):
    shares = [range(n)[Processes(rank, size).share(n)] for rank in range(size)]
    assert [k for share in shares for k in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_parts_of_streams_hold_every_target_once():
    states = markov_chain(CHAIN, 1.0, "frame").simulate(130, 5, seed=0)
    streams = lay_streams(states, 7, 16, np.random.default_rng(0))
    parts = [streams.part(Processes(rank, 4).share(7)) for rank in range(4)]
    assert sum(part.n_targets for part in parts) == streams.n_targets
    assert all(part.n_steps == streams.n_steps for part in parts)
    for windows in zip(streams, *parts, strict=True):
        whole, *shared = ([x for x in w.targets.T.flatten() if x >= 0] for w in windows)
        assert [x for share in shared for x in share] == whole
