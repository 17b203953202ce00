"""HDF5 records, as single-molecule instruments write them."""

import os

import numpy as np
import pytest

from trajlm.cli import run
from trajlm.errors import InputError, TrajlmWarning
from trajlm.io import read_features, read_hdf5, read_states

h5py = pytest.importorskip("h5py")

X = np.random.default_rng(0).normal(size=(200, 2))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "record.h5"


def write(path, datasets, **attributes):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name, data=values, compression="gzip")
        file.attrs.update(attributes)


def test_channels_are_columns_and_the_sample_rate_gives_dt(path):
    """The layout of optical-tweezers software: one dataset a channel, with its rate in Hz."""
    write(path, {"Force HF/Force 1x": X[:, 0], "Force HF/Force 2x": X[:, 1]})
    with h5py.File(path, "a") as file:
        file["Force HF/Force 1x"].attrs["Sample rate (Hz)"] = 78125
    features = read_features(path)
    assert features.names == ("Force HF/Force 1x", "Force HF/Force 2x")
    assert (features.dt, features.unit) == (1.28e-5, "s")
    np.testing.assert_array_equal(features.trajectories[0], X)
    one = read_features(path, columns=["Force HF/Force 2x"], dt=2.0, unit="ms")
    np.testing.assert_array_equal(one.trajectories[0][:, 0], X[:, 1])
    assert (one.dt, one.unit) == (2.0, "ms")


def test_time_gives_dt_and_gaps_cut_the_record(path):
    time = 0.1 * np.arange(200)
    time[120:] += 5
    write(path, {"time": time, "extension": X[:, 0], "force": X[:, 1]})
    with h5py.File(path, "a") as file:
        file["time"].attrs["unit"] = "ms"
    with pytest.warns(TrajlmWarning, match="1 gap.* frame 120"):
        features = read_features(path)
    assert features.names == ("extension", "force")
    assert [len(x) for x in features.trajectories] == [120, 80]
    assert (features.dt, features.unit) == (0.1, "ms")
    write(path, {"time": time[::-1], "x": X[:, 0]})
    with pytest.raises(InputError, match="frame 1: the time goes back from"):
        read_features(path)
    write(path, {"time": np.cumsum(np.random.default_rng(0).random(200)), "x": X[:, 0]})
    with pytest.raises(InputError, match="not evenly spaced"):
        read_features(path)


def test_traces_are_trajectories_with_a_key(path):
    write(path, {f"trace_{k}": X[: 50 + k] for k in range(3)}, sampling_rate=10.0)
    with pytest.raises(InputError, match="key option"):
        read_features(path)
    features = read_features(path, key="trace_*", columns=["1"])
    assert [len(x) for x in features.trajectories] == [50, 51, 52]
    assert features.dt == 0.1


def test_one_dataset_of_several_columns(path):
    write(path, {"both": X})
    features = read_hdf5(path)
    assert features.names == ("both[0]", "both[1]")
    assert (features.dt, features.unit) == (1.0, "frame")


def test_links_to_other_files_are_not_followed(path, tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(X.tobytes())
    with h5py.File(path, "w") as file:
        file["linked"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
        file.create_dataset("stolen", shape=(200,), dtype="f8", external=[(str(secret), 0, 1600)])
    write(tmp_path / "other.h5", {"x": X[:, 0]})
    with pytest.raises(InputError, match="lies in another file"):
        read_features(path)
    layout = h5py.VirtualLayout(shape=(200,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape=(200,))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("virtual", layout)
    with pytest.raises(InputError, match="lies in another file"):
        read_features(path)


def test_a_size_that_was_never_written_takes_no_memory(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", shape=(10**13,), dtype="f8", chunks=(1000,))
    with pytest.raises(InputError, match="claims 80,000,000,000,000 bytes"):
        read_features(path)


def test_what_is_no_record_is_refused(path):
    with h5py.File(path, "w") as file:
        file["text"] = "hello"
    with pytest.raises(InputError, match="no dataset of numbers"):
        read_features(path)
    write(path, {"x": X[:, 0], "y": X[:9, 0]})
    with pytest.raises(InputError, match=r"x \(200,\), y \(9,\)"):
        read_features(path)
    with pytest.raises(InputError, match="there is no column 'z', there are x, y"):
        read_features(path, columns=["z"])
    with pytest.raises(InputError, match="discretise it first"):
        read_states(path)
    write(path, {"coordinates": X}, conventions="Pande")
    with pytest.raises(InputError, match="trajlm features"):
        read_features(path)
    write(path, {"x": [1.0, np.nan]})
    with pytest.raises(InputError, match="frame 1"):
        read_features(path)
    path.write_bytes(path.read_bytes()[: os.path.getsize(path) // 2])
    with pytest.raises(InputError, match="damaged"):
        read_features(path)


def test_discretize_averages_a_record(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(path, {"extension": X[:, 0]}, sample_rate=1000)
    command = ["discretize", "record.h5", "--bins", "4", "--out", "s.npz"]
    assert run([*command, "--average", "10"]) == 0
    states = read_states("s.npz")
    assert (states.n_frames, states.dt, states.unit) == (20, 0.01, "s")
    assert run([*command, "--average", "2", "--decimate", "2"]) == 2
    assert "one of --average and --decimate" in capsys.readouterr().err
