"""The command line as a process: its streams, its signals, its environment, a cluster around it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trajlm.cli import run
from trajlm.cli.process import SECONDS_TO_STOP, _Stop
from trajlm.systems.hidden_markov import markov_chain
from trajlm.util.signals import STOPPING, undisturbed
from trajlm.util.words import visible_lines

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and streams")
CHAIN = np.array([[0.95, 0.04, 0.01], [0.10, 0.85, 0.05], [0.02, 0.08, 0.90]])
TRAJLM = [sys.executable, "-m", "trajlm.cli"]
DOCS = Path(__file__).parent.parent / "docs"
NAMES = [signal.Signals(number).name for number in STOPPING]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with states and a model."""
    folder = tmp_path_factory.mktemp("process")
    states = markov_chain(CHAIN, 1.0, "frame").simulate(1500, seed=0).trajectories[0]
    np.save(folder / "states.npy", states)
    command = ["train", str(folder / "states.npy"), "--out", str(folder / "m"), "--hidden-dim", "4",
               "--embedding-dim", "2", "--epochs", "2", "--no-calibration"]  # fmt: skip
    assert run(command) == 0
    assert (
        run(["generate", str(folder / "m"), "--steps", "50", "--out", str(folder / "g.npy")]) == 0
    )
    return folder


@pytest.fixture
def here(start, monkeypatch):
    monkeypatch.chdir(start)
    return start


def shell(command, **environment):
    """Run a shell command in which `trajlm` is this one; return its status and both streams."""
    trajlm = f"trajlm() {{ '{sys.executable}' -m trajlm.cli \"$@\"; }}\n"
    done = subprocess.run(
        ["bash", "-c", trajlm + command],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=300,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


# ---------------------------------------------------------------- streams and environment


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("stream", ["2>&-", "2>/dev/full", "2>/dev/full >/dev/null"])
def test_lost_messages_stop_no_work(here, stream):
    command = f"trajlm generate m --steps 60 --lanes 2 --out lost.npy --overwrite {stream}"
    status, out, _ = shell(command)
    assert status == 0
    assert ("lost.npy" in out) != ("/dev/null" in stream)
    assert np.load("lost.npy").shape == (2, 60)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_lost_results_are_told(here):
    status, _, error = shell("trajlm info states.npy >/dev/full")
    assert status == 2
    assert "standard output cannot be" in error
    assert "no space left" in error
    status, _, error = shell("trajlm info states.npy >&-")
    assert (status, error) == (0, "")


def test_a_reader_that_has_gone_stops_no_work(here):
    # It closes its end long before the first result is written.
    gone = "(exec <&-; sleep 4)"
    assert shell(f"set -o pipefail; trajlm info states.npy | {gone}")[::2] == (0, "")
    command = "trajlm compare states.npy again=states.npy --runs 1 --out gone 2>/dev/null"
    assert shell(f"set -o pipefail; {command} | {gone}")[::2] == (0, "")
    assert Path("gone/index.html").exists()


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({"RANK": "x"}, 0),
        ({"RANK": "7"}, 0),
        ({"RANK": "x", "WORLD_SIZE": "2"}, 2),
        ({"RANK": "0", "WORLD_SIZE": "x"}, 2),
        ({"RANK": "2", "WORLD_SIZE": "2"}, 2),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, 2),
        ({"RANK": "0", "WORLD_SIZE": "1"}, 0),
    ],
)
def test_odd_ranks_are_one_sentence(here, monkeypatch, capsys, environment, status):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run(["info", "states.npy"]) == status
    told = capsys.readouterr().err
    if status:
        assert re.fullmatch(r"trajlm: the environment says [^\n]*unset[^\n]*\n", told)


def test_a_backend_of_jupyter_and_names_that_are_no_text(here):
    name = os.fsdecode(b"g\xe9.npy")
    os.link("g.npy", name)
    status, out, error = shell(
        "trajlm compare states.npy $'g\\xe9.npy' --runs 1 --out c", MPLBACKEND="module://nowhere"
    )
    assert status == 0, error
    assert r"g\xe9" in out
    assert r"g\xe9" in Path("c/index.html").read_text("utf-8")


def test_control_characters_are_shown_not_sent():
    assert visible_lines("a\x1b[2Jb\r\x07\u202ec\ud800\td\n") == (
        r"a\x1b[2Jb\r\x07\u202ec\ud800\td" + "\n"
    )
    assert visible_lines("µs, Å², é, 状態") == "µs, Å², é, 状態"


# ---------------------------------------------------------------- signals


def test_the_first_signal_stops_and_the_next_change_nothing():
    stop = _Stop()
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGTERM, None)
    for number in STOPPING:
        stop(number, None)
    stop.asked -= SECONDS_TO_STOP
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGINT, None)


@pytest.fixture
def armed():
    """The handler for signals and lost interrupts, as the command line has it."""
    stop = _Stop()
    before = {n: signal.signal(n, stop) for n in (*STOPPING, signal.SIGALRM)}
    sys.unraisablehook, hook = stop.unraisable, sys.unraisablehook
    yield stop
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


class Raising:
    def __del__(self):
        raise KeyboardInterrupt


class Signalling:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass


def test_no_interrupt_is_raised_where_the_compiler_calls_back(armed):
    import llvmlite.binding

    source = "os.kill(os.getpid(), signal.SIGTERM)\nfor _ in range(1000): pass"
    exec(compile(source, llvmlite.binding.__file__, "exec"), globals())
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        began = time.monotonic()
        while time.monotonic() - began < 10:
            time.sleep(0.01)


@pytest.mark.slow
def test_signals_while_loops_are_compiled_stop_the_run(here, tmp_path):
    """Nothing is swallowed, and no error of the compiler is told in its place."""
    train = ["train", "s.npy", "--hidden-dim", "4", "--embedding-dim", "2", "--epochs", "500"]
    np.save("s.npy", np.random.default_rng(0).integers(3, size=3000))
    for k, wait in enumerate(np.random.default_rng(1).uniform(0, 15, 10)):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / f"cache{k}")}
        process = subprocess.Popen(
            [*TRAJLM, *train, "--out", f"m{k}"], stderr=subprocess.PIPE, text=True, env=environment
        )
        # From where it says what it trains on, the loops are compiled.
        assert "training on" in process.stderr.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGTERM)
        error = process.communicate(timeout=120)[1]
        assert process.returncode == 130, error
        assert "Traceback" not in error
        assert "ignored" not in error
        assert "stopped" in error or "interrupted" in error


@pytest.mark.parametrize("kind", [Raising, Signalling])
def test_an_interrupt_that_python_drops_is_raised_again(armed, kind):
    thing = kind()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        del thing
        began = time.monotonic()
        while time.monotonic() - began < 10:
            time.sleep(0.01)


def test_work_is_saved_undisturbed(armed):
    saved = []
    with undisturbed():
        for number in STOPPING:
            os.kill(os.getpid(), number)
            saved.append(number)
    assert saved == list(STOPPING)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGUSR1)


LONG = ["generate", "m", "--steps", "40000000", "--lanes", "2", "--threads", "1", "--out"]


def stopped_by(name, out, n_signals=4, wait=None):
    """Start a long generation, signal it when it has begun, return status and last line."""
    process = subprocess.Popen([*TRAJLM, *LONG, out], stderr=subprocess.PIPE, text=True)
    try:
        begun = time.monotonic()
        while not list(Path().glob(f".{Path(out).stem}.partial.npy")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() - begun < 120
            time.sleep(0.02)
        time.sleep(0.5 if wait is None else wait)
        for _ in range(n_signals):
            process.send_signal(getattr(signal, name))
            time.sleep(0.01)
        error = process.communicate(timeout=120)[1]
    finally:
        process.kill()
    return process.returncode, error


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1"])
def test_signals_of_a_cluster_save_the_work(here, name):
    status, error = stopped_by(name, f"{name}.npy")
    assert status == 130, error
    assert "Traceback" not in error
    assert "ignored" not in error
    assert Path(f".{name}.partial.npy").exists() == Path(f".{name}.partial.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_signal_at_random_moments_saves_the_work(here, name):
    for k, wait in enumerate(np.random.default_rng(0).uniform(0, 2, 10)):
        out = f"{name}{k}.npy"
        status, error = stopped_by(name, out, n_signals=5, wait=wait)
        assert status == 130, error
        assert "Traceback" not in error
        assert "ignored" not in error


def test_nohup_is_respected(here):
    begin = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
    code = begin + (
        "from trajlm.cli.process import prepare; prepare();"
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


# ---------------------------------------------------------------- a cluster


def scripts():
    """The batch scripts of the docs."""
    text = (DOCS / "cluster.md").read_text("utf-8")
    found = re.findall(r"```sh\n(#!/bin/bash\n.*?)```", text, re.DOTALL)
    assert len(found) == 3
    return found


# Notes its number, and gets the signal that Slurm sends to steps.
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
echo $$ >> steps
exec "$@"
"""
# Does as a run of trajlm at a signal: saves, takes its time, leaves with 130.
WORK = """#!/bin/bash
trap 'sleep 0.3; echo saved > saved; exit 130' TERM
echo "$0 $@" > started
for _ in $(seq 200); do sleep 0.05; done
echo "not stopped" > saved
"""


@pytest.mark.parametrize("number", [0, 1, 2])
def test_batch_scripts_of_the_docs_are_stopped_in_time(tmp_path, number):
    """As Slurm does: to the steps that srun started, or with B: to the batch shell alone."""
    script = scripts()[number]
    activate = tmp_path / "trajlm" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text("")
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in {"srun": SRUN, "trajlm": WORK, "torchrun": WORK,
                       "scontrol": "#!/bin/bash\necho node1\n"}.items():  # fmt: skip
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    (tmp_path / "job.sh").write_text(script)
    environment = {
        **os.environ, "HOME": str(tmp_path), "PATH": f"{commands}:{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_ID": "3", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2",
        "SLURM_JOB_ID": "5",
    }  # fmt: skip
    batch = subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=environment)
    try:
        began = time.monotonic()
        while not (tmp_path / "started").exists() and time.monotonic() - began < 30:
            time.sleep(0.02)
        to_batch, name, seconds = re.search(
            r"^#SBATCH --signal=(B:)?(\w+)@(\d+)$", script, re.MULTILINE
        ).groups()
        assert int(seconds) >= 60
        steps = tmp_path / "steps"
        targets = [batch.pid] if to_batch else [int(n) for n in steps.read_text().split()]
        assert targets
        for target in targets:
            os.kill(target, getattr(signal, f"SIG{name}"))
        assert batch.wait(30) == 130
        assert (tmp_path / "saved").read_text() == "saved\n"
    finally:
        batch.kill()


def test_commands_in_batch_scripts_exist():
    for script in scripts():
        words = script.replace("\\\n", " ").split()
        assert "train" in words
        options = {w for w in words[words.index("train") :] if w.startswith("--")}
        status, text, _ = shell("trajlm train --help")
        assert status == 0
        assert all(option in text for option in options), options


# ---------------------------------------------------------------- workers

PARENT = """
import os, sys, time
from pathlib import Path
from trajlm.reproduce.paper.tasks import run_tasks
import sleeper

if __name__ == "__main__":
    run_tasks([sleeper.Sleep(k) for k in range(2)], 2, print)
"""
SLEEPER = """
import os, time
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Sleep:
    number: int

    def __call__(self):
        Path(f"worker{self.number}").write_text(str(os.getpid()))
        time.sleep(300)
        return "done"
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
def test_workers_end_with_the_command_however_it_ends(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    parent = subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path)
    files = [tmp_path / f"worker{k}" for k in range(2)]
    try:
        began = time.monotonic()
        while not all(f.exists() and f.read_text() for f in files):
            assert time.monotonic() - began < 120
            time.sleep(0.1)
    finally:
        parent.kill()
        parent.wait()
    workers = [int(f.read_text()) for f in files]
    began = time.monotonic()
    while any(map(alive, workers)):
        assert time.monotonic() - began < 20
        time.sleep(0.05)
