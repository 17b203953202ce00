"""Reading and writing arrays, damaged files of every format, atomic writing."""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trajlm.data import Features, States
from trajlm.errors import InputError, OutputError, TrajlmWarning
from trajlm.io import (
    atomic_path,
    read_colvar,
    read_features,
    read_npy,
    read_npz,
    read_states,
    read_text,
    write_features,
    write_json,
    write_states,
)
from trajlm.provenance import Averaged, Binning, Discretization, Note
from trajlm.util.words import visible

FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FINITE = st.floats(-1e6, 1e6, allow_nan=False).map(float)
TABLES = hnp.arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=FINITE)


def put(folder: Path, content: str | bytes, name: str = "x.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


# ---------------------------------------------------------------- npy, npz


@FEW
@given(table=TABLES, dtype=st.sampled_from(["<f8", ">f8", "<f4", "<i4"]), fortran=st.booleans())
def test_npy_round_trip(tmp_path, table, dtype, fortran):
    array = np.array(table.astype(dtype), order="F" if fortran else "C")
    features = read_features(put(tmp_path, npy_bytes(array), "x.npy"), dt=0.5, unit="ps")
    np.testing.assert_array_equal(features.trajectories[0], array)
    assert not features.trajectories[0].flags.writeable
    assert (features.dt, features.unit) == (0.5, "ps")


@FEW
@given(
    tables=st.lists(TABLES, min_size=1, max_size=3).filter(
        lambda t: len({x.shape[1] for x in t}) == 1
    ),
    dt=st.floats(1e-6, 1e6),
    unit=st.text(min_size=1, max_size=5).filter(lambda text: visible(text) == text),
    note=st.text(max_size=20),
)
def test_features_round_trip(tmp_path, tables, dt, unit, note):
    d = tables[0].shape[1]
    periods = ((-np.pi, np.pi), None, (0.0, 1 / 3))[:d]
    names = ("phi", "ψ", "x")[:d]
    features = Features(tuple(tables), names, dt, unit, periods, (note,))
    write_features(tmp_path / "f.npz", features)
    back = read_features(tmp_path / "f.npz")
    for one, other in zip(features.trajectories, back.trajectories, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (back.names, back.dt, back.unit, back.periods) == (names, dt, unit, periods)
    assert [n.text for n in back.notes] == [note]
    assert read_features(tmp_path / "f.npz", columns=["0"]).names == names[:1]
    with warnings.catch_warnings():  # that the file says another dt
        warnings.simplefilter("ignore", TrajlmWarning)
        assert read_features(tmp_path / "f.npz", dt=3.0).unit == unit


HOW = Discretization(
    Binning((-1.0, 0.5, 1 / 3 + 1)), ("ψ",), (None,), (Averaged(3),), (Note("cut", "gap"),)
)


@FEW
@given(
    rows=st.lists(st.lists(st.integers(0, 300), min_size=2, max_size=20), min_size=1, max_size=4),
    more=st.integers(0, 70_000),
    with_centers=st.booleans(),
)
def test_states_round_trip(tmp_path, rows, more, with_centers):
    n = max(max(r) for r in rows) + 1 + more
    centers = np.linspace(0, 1, n) if with_centers else None
    states = States(tuple(np.array(r) for r in rows), n, 0.1, "ps", centers, HOW)
    write_states(tmp_path / "s.npz", states)
    back = read_states(tmp_path / "s.npz")
    assert [s.tolist() for s in back] == rows
    assert (back.n_states, back.dt, back.unit) == (n, 0.1, "ps")
    assert back.discretization == HOW
    with np.load(tmp_path / "s.npz", allow_pickle=False) as file:
        assert file["states"].dtype == np.min_scalar_type(n - 1)
        assert json.loads(str(file["meta"]))["n_states"] == n
    if centers is not None:
        np.testing.assert_array_equal(back.centers, centers)
    else:
        assert back.centers is None


def test_nan_matters_in_the_columns_that_are_used_only(tmp_path):
    table = np.array([[1.0, np.nan], [2.0, 3.0]])
    np.savez(tmp_path / "x.npz", a=table, b=table)
    for path in (put(tmp_path, npy_bytes(table), "x.npy"), tmp_path / "x.npz"):
        features = read_features(path, columns=["x0"])
        assert (features.names, features.trajectories[-1].tolist()) == (("x0",), [[1.0], [2.0]])
        with pytest.raises(InputError, match="column 'x1'"):
            read_features(path)


def test_dt_and_unit_given_are_held_against_those_of_the_file(tmp_path):
    write_states(tmp_path / "s.npz", States((np.array([0, 1, 2]),), dt=0.2, unit="ps"))
    with pytest.warns(TrajlmWarning, match="says 0.2 ps a frame, but 1 ps as given is used"):
        assert read_states(tmp_path / "s.npz", dt=1).dt == 1
    assert read_states(tmp_path / "s.npz", dt=0.2, unit="ps").dt == 0.2
    path = put(tmp_path, npy_bytes(np.array([0, 1, 2])), "s.npy")
    with pytest.warns(TrajlmWarning, match="has no unit") as warned:
        states = read_states(path, dt=0.1)
    assert (states.dt, states.unit, len(warned)) == (0.1, "time unit", 1)
    assert read_states(path, dt=1).unit == "frame"


def test_states_as_rows_of_npy(tmp_path):
    states = States((np.array([0, 1, 2]), np.array([2, 2, 0])), n_states=256)
    write_states(tmp_path / "s.npy", states)
    raw = np.load(tmp_path / "s.npy")
    assert (raw.shape, raw.dtype) == ((2, 3), np.uint8)
    assert [s.tolist() for s in read_states(tmp_path / "s.npy")] == [[0, 1, 2], [2, 2, 0]]
    uneven = States((np.array([0, 1, 2]), np.array([2, 2])))
    with pytest.raises(InputError, match=r"\.npz"):
        write_states(tmp_path / "s.npy", uneven)


def test_states_from_text_and_one_dimension(tmp_path):
    path = put(tmp_path, "state\n0\r\n3\r1\n")
    states = read_states(
        [path, put(tmp_path, npy_bytes(np.array([5, 0])), "s.npy")], dt=2, unit="s"
    )
    assert [s.tolist() for s in states] == [[0, 3, 1], [5, 0]]
    assert (states.n_states, states.dt, states.unit) == (6, 2, "s")


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        ("0\n1.5\n", "s.txt", "frame 1 is not a whole number"),
        ("0\n-1\n", "s.txt", "frame 1 is negative"),
        ("0\n1e300\n", "s.txt", "frame 1 is too large"),
        ("0 1\n1 0\n", "s.txt", "2 columns"),
        ("0\n", "s.txt", "at least two"),
        (npy_bytes(np.zeros((2, 2, 2), int)), "s.npy", "shape"),
        (npy_bytes(np.array([0.5, 1])), "s.npy", "frame 0 is not a whole number"),
        (npy_bytes(np.array(["a", "b"])), "s.npy", "holds <U1"),
        (npy_bytes(np.array([1 + 1j])), "s.npy", "complex"),
        (npy_bytes(np.zeros((2, 0), int)), "s.npy", "at least two"),
        (npy_bytes(np.zeros((0, 2), int)), "s.npy", "no trajectory"),
    ],
)
def test_bad_states_are_refused(tmp_path, content, name, says):
    path = put(tmp_path, content, name)
    with pytest.raises(InputError, match=says) as error:
        read_states(path)
    assert str(path) in str(error.value)


def test_foreign_npz_with_key(tmp_path):
    path = tmp_path / "z.npz"
    rng = np.random.default_rng(0)
    arrays = {f"E_{k}": rng.normal(size=5 + k) for k in (2, 10, 1)}
    arrays |= {f"G_{k}": rng.integers(0, 3, 4 + k) for k in (2, 10, 1)}
    np.savez_compressed(path, dt_s=0.1, **arrays)
    states = read_states(path, key="G_*", dt=0.1, unit="s")
    assert [len(s) for s in states] == [6, 14, 5]  # in the order of the file
    features = read_features(path, key="E_*")
    for k, x in zip((2, 10, 1), features.trajectories, strict=True):
        np.testing.assert_array_equal(x[:, 0], arrays[f"E_{k}"])
    assert len(read_npz(path, key="E_10").trajectories) == 1
    for read in (read_features, read_states):
        with pytest.raises(InputError, match=r"dt_s.*E_2.*key option"):
            read(path)
        with pytest.raises(InputError, match=r"no array 'Z_\*', there are dt_s"):
            read(path, key="Z_*")


def test_object_arrays_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "boom"),))

    bomb = np.array([Bomb()], dtype=object)
    np.save(tmp_path / "b.npy", bomb, allow_pickle=True)
    np.savez(tmp_path / "b.npz", x=bomb)
    for name in ("b.npy", "b.npz"):
        for read in (read_features, read_states):
            with pytest.raises(InputError, match="Python objects"):
                read(tmp_path / name)
    assert not (tmp_path / "boom").exists()


def test_declared_size_is_checked_before_memory_is_taken(tmp_path):
    data = npy_bytes(np.zeros(4)).replace(b"(4,), }", b"(9999999999999,), }")
    assert b"9999999999999" in data
    put(tmp_path, data, "x.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", data)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError, match="cut short or damaged"):
            read_features(tmp_path / name)


def test_features_and_states_are_not_confused(tmp_path):
    write_features(tmp_path / "f.npz", Features((np.arange(3.0),)))
    write_states(tmp_path / "s.npz", States((np.arange(3),)))
    with pytest.raises(InputError, match="features, not states"):
        read_states(tmp_path / "f.npz")
    with pytest.raises(InputError, match="states, not features"):
        read_features(tmp_path / "s.npz")


def test_states_files_that_mean_different_things_are_not_mixed(tmp_path):
    write_states(tmp_path / "a.npz", States((np.arange(3),), n_states=4))
    write_states(tmp_path / "b.npz", States((np.arange(3),), n_states=5))
    with pytest.raises(InputError, match=r"a.npz and .*b.npz"):
        read_states([tmp_path / "a.npz", tmp_path / "b.npz"])
    assert len(read_states([tmp_path / "a.npz", tmp_path / "a.npz"])) == 2


@pytest.mark.parametrize("read", [read_features, read_states, read_text, read_colvar, read_npy])
def test_missing_empty_and_folder(tmp_path, read):
    empty = put(tmp_path, "", "empty.npy")
    for path, says in ((tmp_path / "no.npy", "not exist"), (empty, "empty"), (tmp_path, "folder")):
        with pytest.raises(InputError, match=says) as error:
            read(path)
        assert str(path) in str(error.value)


def test_pipe_is_refused_before_anything_is_taken_from_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe"):
        read_features(tmp_path / "pipe")


# ---------------------------------------------------------------- damage


def valid_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        x = np.random.default_rng(0).normal(size=(30, 2))
        write_features(f"{folder}/f.npz", Features((x, x[:9]), ("phi", "psi"), 0.1, "ps"))
        write_states(f"{folder}/s.npz", States((np.arange(30) % 5,), centers=np.arange(5.0)))
        np.savez_compressed(f"{folder}/z.npz", a=x, b=x)
        made = {p.name: p.read_bytes() for p in Path(folder).iterdir()}
    made["x.npy"] = npy_bytes(x)
    made["i.npy"] = npy_bytes(np.arange(30) % 4)
    made["x.csv"] = b"time,x\n" + b"".join(b"%d,%.3f\n" % (k, v) for k, v in enumerate(x[:, 0]))
    sets = "#! SET min_phi -pi\n#! SET max_phi pi\n"
    frames = "".join(f" {k}.000000 {a:.6f} {b:.6f}\n" for k, (a, b) in enumerate(x))
    made["COLVAR"] = f"#! FIELDS time phi psi\n{sets}{frames}".encode()
    return made


VALID = valid_files()


def read_or_refuse(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in (read_features, read_states):
            with suppress(InputError):
                read(path)


@settings(FEW, max_examples=150)
@given(name=st.sampled_from(sorted(VALID)), data=st.data())
def test_damaged_file_gives_input_error_or_an_answer(tmp_path, name, data):
    content = bytearray(VALID[name])
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    content = content[: data.draw(st.integers(1, len(content)))]
    read_or_refuse(put(tmp_path, bytes(content), name))


@settings(FEW, max_examples=100)
@given(
    start=st.sampled_from(
        [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"#! FIELDS time x\n", b"\xef\xbb\xbf", b"1 2\n"]
    ),
    content=st.binary(max_size=200),
    name=st.sampled_from(["x", "x.npy", "x.npz", "x.txt"]),
)
def test_random_bytes_give_input_error_or_an_answer(tmp_path, start, content, name):
    read_or_refuse(put(tmp_path, start + content + b"\n", name))


@pytest.mark.parametrize("name", ["f.npz", "s.npz", "z.npz"])
def test_no_flipped_bit_in_npz_data_goes_unseen(tmp_path, name):
    """The archive's checksum guards the data: a read that succeeds gives the right values."""
    read = read_states if name == "s.npz" else read_features
    right = read(put(tmp_path, VALID[name], name)).trajectories
    for position in range(0, len(VALID[name]), 7):
        content = bytearray(VALID[name])
        content[position] ^= 16
        try:
            found = read(put(tmp_path, bytes(content), name)).trajectories
        except InputError:
            continue
        for one, other in zip(found, right, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("key", ["names", "dt", "unit", "periods", "notes"])
@pytest.mark.parametrize("value", [None, -1, "x", [], {"a": 1}, [[1]], 1e999])
def test_tampered_meta_is_refused_or_read(tmp_path, key, value):
    with np.load(io.BytesIO(VALID["f.npz"])) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays.pop("meta"))) | {key: value}
    np.savez(tmp_path / "f.npz", meta=np.array(json.dumps(meta)), **arrays)
    read_or_refuse(tmp_path / "f.npz")


# ---------------------------------------------------------------- writing


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = put(tmp_path, "old")

    def fail(error: BaseException) -> None:
        with atomic_path(path) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".txt"
            temporary.write_text("half")
            raise error

    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    with pytest.raises(OutputError, match="no space"):
        fail(OSError(28, "No space left on device"))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_write_makes_folders_and_follows_links(tmp_path):
    write_json(tmp_path / "a" / "b" / "r.json", {"x": np.array([1.5, np.nan]), "n": np.int64(3)})
    assert json.loads((tmp_path / "a/b/r.json").read_text()) == {"x": [1.5, None], "n": 3}
    (tmp_path / "link.json").symlink_to(tmp_path / "a" / "b" / "r.json")
    write_json(tmp_path / "link.json", 1)
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "a/b/r.json").read_text() == "1\n"


def test_targets_that_cannot_be_written(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    file = put(tmp_path, "x")
    states = States((np.arange(3),))
    with pytest.raises(OutputError, match="folder"):
        write_states(tmp_path / "folder.npz", states)
    with pytest.raises(OutputError, match="a file stands where a folder"):
        write_states(file / "s.npz", states)
    with pytest.raises(OutputError, match="not a plain file"):
        write_json("/dev/null", {})
    with pytest.raises(InputError, match=r"\.npz"):
        write_states(tmp_path / "s.txt", states)


def test_a_dt_without_a_unit_is_noted(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(10.0))
    with pytest.warns(TrajlmWarning, match=r"dt = 0\.1 has no unit: give one"):
        read_features(path, dt=0.1)
    assert read_features(path, dt=0.1, unit="ms").unit == "ms"


def test_periods_that_differ_are_told_in_numbers(tmp_path):
    for name, lines in (("a", "#! SET min_phi -pi\n#! SET max_phi pi\n"), ("b", "")):
        (tmp_path / name).write_text(f"#! FIELDS time phi\n{lines}0 1\n1 2\n")
    with pytest.raises(InputError, match=r"periods, \(-3.14159 to 3.14159\) and \(none\)"):
        read_features([tmp_path / "a", tmp_path / "b"])
