"""Lanes as a GPU makes them: on a GPU where there is one, else by the same code on the processor.

Without a GPU the fused kernel runs in Triton's interpreter, which takes 60 ms for a frame.
"""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from test_lstm import by_definition, small_model, small_network
from trajlm import cli
from trajlm.data import States, StateSpace
from trajlm.errors import InputError, Interrupted, TrajlmWarning
from trajlm.lstm.generation import gpu
from trajlm.lstm.generation.gpu import DeviceBlock, can_be_fused
from trajlm.lstm.generation.lanes import lane_blocks
from trajlm.lstm.model import LSTMModel
from trajlm.lstm.to_file import generate_to_file
from trajlm.lstm.training.network import export_weights
from trajlm.models.markov import fit_msm

HAS_GPU = torch.cuda.is_available()
HAS_TRITON = importlib.util.find_spec("triton") is not None
FUSED = pytest.param(
    True,
    id="fused",
    marks=pytest.mark.skipif(not HAS_TRITON, reason='needs Triton: pip install "trajlm[gpu]"'),
)
BOTH = pytest.mark.parametrize("fused", [pytest.param(False, id="steps"), FUSED])


@pytest.fixture
def device(monkeypatch):
    """The GPU, or the processor in its place."""
    if not HAS_GPU:
        monkeypatch.setattr(gpu, "gpu", lambda name: torch.device("cpu"))


@pytest.fixture
def kernel(device, monkeypatch):
    """Choose whether the fused kernel makes the frames."""

    def choose(fused):
        monkeypatch.setattr(gpu, "can_be_fused", lambda weights, device: fused)

    return choose


def array(states):
    return np.array(list(states))


@BOTH
@pytest.mark.parametrize(
    ("n_states", "hidden_dim", "n_lanes", "temperature"),
    [(3, 16, 70, 1.0), (20, 24, 33, 0.7), (300, 16, 9, 1.0)],
)
def test_lanes_are_those_of_the_processor(
    kernel, fused, n_states, hidden_dim, n_lanes, temperature
):
    kernel(fused)
    model = small_model(n_states=n_states, hidden_dim=hidden_dim)
    size, options = (30, n_lanes, 4), {"temperature": temperature}
    found = model.generate(*size, device="cuda", **options)
    wanted = model.generate(*size, **options)
    assert found.trajectories[0].dtype == wanted.trajectories[0].dtype
    assert (array(found) == array(wanted)).all(axis=1).mean() > 0.9


@BOTH
@pytest.mark.parametrize("hidden_dim", [16, 24])
def test_log_probabilities_after_the_path_agree_with_the_equations(kernel, fused, hidden_dim):
    kernel(fused)
    model = small_model(n_states=5, hidden_dim=hidden_dim)
    (block,) = lane_blocks(model, 8, 1, None, 1.0, None, "cuda")
    paths = block.advance(40)
    memory, w = block.memory(), model.weights
    # A frame more on the processor, in double precision, from the memory of the device.
    f64 = {k: v.astype(np.float64) for k, v in w.arrays().items()}
    gates = f64["embedding"][paths[:, -1]] @ f64["input_weights"].T + f64["gate_bias"]
    gates += memory["hidden"] @ f64["recurrent_weights"].T
    i, f, g, o = np.split(gates, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
    hidden = o * np.tanh(f * memory["cell"] + i * np.tanh(g))
    z = hidden @ f64["readout"].T + f64["readout_bias"] + f64["skip"][paths[:, -1]]
    found = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    chosen = [model.starts[k] for k in starts_of(model, 8, 1)]
    for lane, (start, path) in enumerate(zip(chosen, paths, strict=True)):
        for state in range(5):
            wanted = by_definition(w, [*start, *path, state])[-1]
            assert found[lane, state] == pytest.approx(wanted, abs=1e-4)


def starts_of(model, n_lanes, seed):
    """The number of the stretch that each lane reads, from the processor's blocks."""
    blocks = lane_blocks(model, n_lanes, seed, None, 1.0, 1)
    read = [start for block in blocks for start in block.starts]
    return [next(k for k, s in enumerate(model.starts) if s is start) for start in read]


@BOTH
def test_frames_in_chunks_are_those_of_one_go(kernel, fused, monkeypatch):
    kernel(fused)
    model = small_model(n_states=4, hidden_dim=16)
    whole = array(model.generate(40, 9, 2, device="cuda"))
    monkeypatch.setattr(DeviceBlock, "chunk", 13)
    np.testing.assert_array_equal(array(model.generate(40, 9, 2, device="cuda")), whole)
    assert len({lane.tobytes() for lane in whole}) == 9


def test_starts_of_every_kind_are_read(kernel):
    kernel(False)
    model = small_model(n_states=4, hidden_dim=16)
    data = States((np.random.default_rng(0).integers(4, size=3000),))
    for start in (2, data, None):
        found = array(model.generate(50, 40, 1, start, device="cuda"))
        wanted = array(model.generate(50, 40, 1, start))
        assert (found == wanted).all(axis=1).mean() > 0.9


def test_transitions_pass_a_chi_square_test(kernel):
    kernel(False)
    network = small_network(n_states=6, hidden_dim=16)
    torch.nn.init.zeros_(network.readout.weight)
    weights = export_weights(network)
    model = LSTMModel(weights, StateSpace(6), (np.array([0, 1]),))
    logits = (weights.skip + weights.readout_bias).astype(np.float64)
    p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    states = array(model.generate(500, 1000, seed=8, device="cuda")).astype(np.int64)
    counts = np.bincount((states[:, :-1] * 6 + states[:, 1:]).ravel(), minlength=36).reshape(6, 6)
    expected = counts.sum(1, keepdims=True) * p
    assert chi2.sf(((counts - expected) ** 2 / expected).sum(), 6 * 5) > 1e-4


@BOTH
def test_a_resumed_file_is_bit_identical(kernel, fused, tmp_path, monkeypatch):
    kernel(fused)
    monkeypatch.setattr(DeviceBlock, "chunk", 10)
    model = small_model(n_states=4, hidden_dim=24)
    path, size = tmp_path / "x.npy", (30, 9, 5)

    def stop(n):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        generate_to_file(model, path, *size, device="cuda", progress=stop)
    with pytest.raises(InputError, match="another device"):
        generate_to_file(model, path, *size, resume=True)
    generate_to_file(model, path, *size, device="cuda", resume=True)
    np.testing.assert_array_equal(np.load(path), array(model.generate(*size, device="cuda")))


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from trajlm.lstm.generation.gpu_fused import write_frames

kinds = {"states": "*i32", "keys": "*i64", "out": "*u8", "inverse_temperature": "fp32"}
kinds |= dict.fromkeys(("inputs", "skip", "hiddens", "cells"), "*fp32")
kinds |= dict.fromkeys(("recurrent", "readout"), "*fp16")
kinds |= dict.fromkeys(("n_lanes", "n_frames", "first"), "i32")
sizes = {"n_states": 4, "L": 16, "columns": 16, "lanes": 64}
names = write_frames.arg_names
source = ASTSource(
    write_frames,
    {name: kinds.get(name, "constexpr") for name in names},
    {(names.index(name),): size for name, size in sizes.items()},
)
compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
print("tensor cores:", "wgmma" in compiled.asm["ptx"], len(compiled.asm["cubin"]) > 0)
"""


@pytest.mark.skipif(not HAS_TRITON, reason='needs Triton: pip install "trajlm[gpu]"')
def test_the_kernel_compiles_for_a_card_that_is_not_there(tmp_path):
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "tensor cores: True True", done.stderr


@pytest.mark.skipif(not HAS_TRITON, reason='needs Triton: pip install "trajlm[gpu]"')
def test_a_card_with_too_little_fast_memory_goes_step_by_step(kernel, monkeypatch):
    from triton.runtime.errors import OutOfResources

    from trajlm.lstm.generation.gpu_fused import FusedFrames

    def refuse(self, first, out):
        raise OutOfResources(100_000, 65_536, "shared memory")

    model = small_model(hidden_dim=16)
    kernel(False)
    wanted = array(model.generate(20, 9, device="cuda"))
    kernel(True)
    monkeypatch.setattr(FusedFrames, "write", refuse)
    np.testing.assert_array_equal(array(model.generate(20, 9, device="cuda")), wanted)


def test_only_networks_that_fit_are_fused_and_a_lack_of_triton_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    cuda = torch.device("cuda")
    assert not can_be_fused(small_model(hidden_dim=65).weights, cuda)
    assert not can_be_fused(small_model(n_states=257).weights, cuda)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(TrajlmWarning, match="Triton is not installed"):
        assert not can_be_fused(small_model(hidden_dim=64).weights, cuda)


def test_lanes_that_do_not_fit_in_the_memory_are_refused(device, monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(gpu, "read_starts", full)
    with pytest.raises(InputError, match="9 lanes do not fit"):
        small_model().generate(20, 9, device="cuda")


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_a_missing_gpu_is_said(tmp_path, capsys):
    LSTMModel(small_model().weights, StateSpace(3), (np.array([1], np.uint8),)).save(tmp_path / "m")
    command = ["generate", str(tmp_path / "m"), "--steps", "9", "--out", str(tmp_path / "x.npy")]
    assert cli.run([*command, "--device", "cuda"]) == 2
    assert "there is no device 'cuda' on this machine" in capsys.readouterr().err
    assert cli.run([*command, "--device", "abacus"]) == 2
    assert "on cpu or on cuda, not on 'abacus'" in capsys.readouterr().err


def test_only_language_models_run_on_a_gpu(tmp_path, capsys):
    fit_msm(States((np.array([0, 1, 0, 0, 1, 1, 0]),))).save(tmp_path / "m")
    command = ["generate", str(tmp_path / "m"), "--steps", "9", "--out", str(tmp_path / "x.npy")]
    assert cli.run([*command, "--device", "cuda"]) == 2
    assert "no language model" in capsys.readouterr().err


@pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA device")
@pytest.mark.parametrize("hidden_dim", [64, 200])
def test_the_gpu_itself_agrees_with_the_processor(hidden_dim):
    model = small_model(n_states=20, hidden_dim=hidden_dim)
    found = array(model.generate(200, 2000, 3, device="cuda"))
    assert (found == array(model.generate(200, 2000, 3))).all(axis=1).mean() > 0.9
