"""No input runs code: a harmless pickle on every way in leaves no trace."""

import os
import pickle
import shutil
import struct
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from trajlm.cli import run
from trajlm.systems.hidden_markov import markov_chain

mdtraj = pytest.importorskip("mdtraj")
h5py = pytest.importorskip("h5py")
tables = pytest.importorskip("tables")

PDB = str(resources.files("trajlm.systems").joinpath("alanine_dipeptide.pdb"))
RAN = "ran"
CHAIN = np.array([[0.9, 0.1], [0.2, 0.8]])
TRAIN = ["train", "states.npy", "--out", "m", "--hidden-dim", "4", "--embedding-dim", "2",
         "--epochs", "1", "--no-calibration"]  # fmt: skip
FEATURES = ["--distances", "name CA", "--distances", "name N,name C", "--out", "f.npz"]


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __reduce__(self):
        return open, (os.path.abspath(RAN), "w")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("states.npy", markov_chain(CHAIN, 1.0, "frame").simulate(800, seed=0).trajectories[0])
    return tmp_path


def trap():
    return np.frombuffer(pickle.dumps(Trap(), protocol=2), np.uint8)


def text_trap():
    """A pickle in which no byte is zero, as strings in HDF5 need."""
    return pickle.dumps(Trap(), protocol=0)


def hdf5_trajectory(spoil):
    frames = mdtraj.join([mdtraj.load(PDB)] * 4)
    frames.time = np.arange(4.0)
    frames.save_hdf5("t.h5")
    shutil.copy("t.h5", "good.h5")
    with h5py.File("t.h5", "a") as file:
        spoil(file)


def on_root(name):
    def spoil(file):
        file.attrs[name] = np.bytes_(text_trap())

    return spoil


def on_coordinates(file):
    file["coordinates"].attrs["units"] = np.bytes_(text_trap())


def on_topology(file):
    del file["topology"]
    file.create_dataset("topology", data=[np.bytes_(text_trap())])


def as_objects(file):
    """PyTables' own arrays of objects."""
    file.close()
    with tables.open_file("t.h5", "a") as own:
        own.remove_node("/topology")
        own.create_vlarray("/", "topology", tables.ObjectAtom()).append(Trap())


SPOILT = {
    "title": on_root("title"),
    "conventions": on_root("conventions"),
    "FILTERS": on_root("FILTERS"),
    "CLASS": on_root("CLASS"),
    "anything": on_root("anything"),
    "units": on_coordinates,
    "topology": on_topology,
    "objects": as_objects,
}


def test_the_trap_works(here):
    """PyTables does run it, as does unpickling: the other tests would see it."""
    hdf5_trajectory(on_root("title"))
    with tables.open_file("t.h5") as file:
        _ = file.root._v_attrs.title
    assert Path(RAN).exists()


@pytest.mark.parametrize("way", ["trajectory", "top", "rmsd", "backmap", "backmap top", "columns"])
@pytest.mark.parametrize("spoilt", SPOILT)
def test_hdf5_attributes_are_never_unpickled(here, spoilt, way):
    hdf5_trajectory(SPOILT[spoilt])
    np.save("few.npy", np.array([0, 1, 0, 1]))
    backmap = ["backmap", "few.npy", "--states", "few.npy", "--out", "b.xtc", "--from"]
    command = {
        "trajectory": ["features", "t.h5", *FEATURES],
        "top": ["features", "good.h5", "--top", "t.h5", *FEATURES],
        "rmsd": ["features", "good.h5", "--rmsd", "t.h5", "--out", "f.npz"],
        "backmap": [*backmap, "t.h5"],
        "backmap top": [*backmap, "good.h5", "--top", "t.h5"],
        "columns": ["discretize", "t.h5", "--bins", "3", "--out", "s.npz"],
    }[way]
    assert run(command) in (0, 2)
    assert not Path(RAN).exists()


@pytest.mark.parametrize("suffix", ["h5", "lh5", "hdf5", "pdb", "gsd", "mol2", "pkl"])
def test_no_suffix_leads_to_a_reader_that_runs_code(here, suffix):
    hdf5_trajectory(on_root("title"))
    shutil.copy("t.h5", f"x.{suffix}")
    for option in ("--top", "--rmsd"):
        run(["features", "good.h5", option, f"x.{suffix}", *FEATURES])
    run(["features", f"x.{suffix}", *FEATURES])
    assert not Path(RAN).exists()


def test_netcdf_attributes_are_never_unpickled(here):
    frames = mdtraj.join([mdtraj.load(PDB)] * 3)
    frames.save_netcdf("t.nc")
    from scipy.io import netcdf_file

    with netcdf_file("t.nc", "a", mmap=False) as file:
        file.title = text_trap()
        file.variables["coordinates"].units = text_trap()
    run(["features", "t.nc", "--top", PDB, *FEATURES, "--dt", "1"])
    assert not Path(RAN).exists()


def object_npz():
    np.savez("x.npz", states=np.array([Trap()], dtype=object), lengths=np.array([1]))


def object_meta():
    np.savez("x.npz", meta=np.array(Trap(), dtype=object), states=np.zeros(5, int))


def raw_in_zip():
    with zipfile.ZipFile("x.npz", "w") as archive:
        archive.writestr("states.npy", trap().tobytes())


def header_that_calls():
    """An npy header is Python: only literals may be read."""
    header = f"{{'descr': open({RAN!r}, 'w'), 'fortran_order': False, 'shape': (1,)}}\n".encode()
    Path("x.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


FILES = {
    "object npy": ("x.npy", lambda: np.save("x.npy", np.array([Trap()], dtype=object))),
    "bare pickle as npy": ("x.npy", lambda: Path("x.npy").write_bytes(trap().tobytes())),
    "header": ("x.npy", header_that_calls),
    "object npz": ("x.npz", object_npz),
    "object meta": ("x.npz", object_meta),
    "pickle in npz": ("x.npz", raw_in_zip),
    "pickle as text": ("x.txt", lambda: Path("x.txt").write_bytes(trap().tobytes())),
    "pickle as pkl": ("x.pkl", lambda: Path("x.pkl").write_bytes(trap().tobytes())),
}


@pytest.mark.parametrize("name", FILES)
def test_arrays_and_text_are_never_unpickled(here, name):
    path, make = FILES[name]
    make()
    for command in (
        ["train", path, "--out", "m"],
        ["discretize", path, "--bins", "3", "--out", "s.npz"],
        ["compare", path, path, "--out", "c"],
        ["compare", "states.npy", path, "--out", "c"],
        ["info", path],
        ["cite", path],
        ["paper", "authors_prediction", path, "--out", "p"],
        ["backmap", path, "--states", path, "--from", PDB, "--out", "b.xtc"],
        ["structures", path, "--from", PDB, "--out", "o"],
        ["score", path, "--lag", "1"],
        ["train", "states.npy", path, "--condition", "f=1", "--condition", "f=2", "--out", "m"],
    ):
        assert run(command) == 2
    assert not Path(RAN).exists()


def pickled_by_torch(path):
    import torch

    torch.save({"x": Trap()}, path)


def bare(path):
    Path(path).write_bytes(trap().tobytes())


@pytest.mark.parametrize("spoil", [pickled_by_torch, bare])
@pytest.mark.parametrize("file", ["model.safetensors", "model.json", "checkpoint.safetensors"])
def test_model_folders_are_never_unpickled(here, spoil, file):
    assert run(TRAIN) == 0
    spoil(f"m/{file}")
    for command in (
        [*TRAIN, "--resume"],
        ["generate", "m", "--steps", "10", "--out", "g.npy"],
        ["compare", "states.npy", "m", "--out", "c", "--runs", "1"],
        ["constrain", "m", "--population", "0=2", "--out", "k"],
        ["series", "m", "--out", "r"],
        ["condition", "m", "--at", "f=1", "--out", "k"],
        ["info", "m"],
        ["cite", "m"],
    ):
        assert run(command) in (0, 2)
    assert not Path(RAN).exists()


@pytest.mark.parametrize("spoil", [pickled_by_torch, bare])
def test_members_of_an_ensemble_are_never_unpickled(here, spoil):
    for file in ("checkpoint.safetensors", "model.safetensors", "model.json"):
        os.makedirs("m/.members/0", exist_ok=True)
        spoil(f"m/.members/0/{file}")
    assert run([*TRAIN, "--n-models", "2", "--resume"]) == 2
    assert not Path(RAN).exists()


def test_lists_of_a_series_and_reports_are_never_unpickled(here):
    os.mkdir("c")
    for path in ("list.csv", "c/results.json"):
        bare(path)
    assert run(["train", "list.csv", "--out", "m"]) == 2
    assert run(["cite", "c"]) == 2
    assert not Path(RAN).exists()


@pytest.mark.filterwarnings("default::trajlm.errors.TrajlmWarning")
@pytest.mark.parametrize("spoil", [pickled_by_torch, bare])
def test_what_generation_goes_on_from_is_never_unpickled(here, spoil):
    assert run(TRAIN) == 0
    np.save(".g.partial.npy", np.zeros((1, 10), np.uint8))
    spoil(".g.partial.safetensors")
    assert run(["generate", "m", "--steps", "10", "--out", "g.npy", "--resume"]) in (0, 2)
    assert not Path(RAN).exists()
