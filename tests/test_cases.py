"""Files as people have them: what a right reader makes of each, by Python and the command line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trajlm.cli import run
from trajlm.discretize import Bins
from trajlm.errors import InputError, TrajlmWarning
from trajlm.io import read_features, read_states
from trajlm.io.names import canonical_unit, is_counter, is_molecule, time_unit

CASES = Path(__file__).parent / "cases"
PS, S = (0.2, "ps"), (0.2, "s")
FRAMES, UNNAMED = (1.0, "frame"), (0.2, "time unit")
PI = np.pi

# columns, lengths, (dt, unit), words of the notes
READ = {
    "named_columns.npz": ("phi psi", [40], UNNAMED, ""),
    "blank_header_time.txt": ("phi psi", [40], PS, ""),
    "savetxt_header_time.txt": ("phi psi", [40], PS, ""),
    "time_name_0.csv": ("x", [40], S, ""),
    "time_name_1.csv": ("x", [40], S, ""),
    "time_name_2.csv": ("x", [40], (0.2, "ms"), ""),
    "time_name_3.csv": ("x", [40], PS, ""),
    "time_name_4.csv": ("x", [40], PS, ""),
    "time_name_5.csv": ("x", [40], S, ""),
    "time_name_6.csv": ("x", [40], S, ""),
    "no_header_time_first.dat": ("x1", [40], FRAMES, "like a time"),
    "comment_above_fields.colvar": ("phi", [40], PS, ""),
    "first_frame_twice.colvar": ("phi", [40], PS, "1 frame that repeats"),
    "one_row_doubled.txt": ("phi", [40], UNNAMED, "1 frame that repeats"),
    "two_pi.colvar": ("puck.phi", [40], PS, ""),
    "killed_then_restarted.colvar": ("phi", [40], PS, "line 22.*broken off"),
    "stacked_molecules.dat": ("x1 x2", [15] * 3, FRAMES, "3 trajectories"),
    "stacked_molecules.csv": ("fret", [15] * 3, FRAMES, "'molecule'.*3 trajectories"),
    "grace_sets.agr": ("phi1 y1", [20], FRAMES, "like a time"),
    "running_job_last_line_cut.txt": ("phi", [40], UNNAMED, "line 42.*cut short"),
    "running_job_value_cut.txt": ("phi", [40], UNNAMED, "line 42.*cut short"),
    "several_header_lines.txt": ("D-Dexc A-Dexc", [40], S, ""),
    "units_in_second_line.csv": ("extension", [40], S, ""),
    "cpptraj.dat": ("d1 d2", [40], FRAMES, ""),
    "colvars.traj": ("phi psi", [40], FRAMES, ""),
    "text_in_unused_column.csv": ("phi", [40], PS, "source hold text"),
    "rama.xvg": ("phi psi", [40], FRAMES, "residue hold text"),
    "column_vectors.h5": ("extension", [40], UNNAMED, ""),
    "colvar.gz": ("phi", [40], PS, ""),
    "gap_in_time.colvar": ("phi", [15, 20], PS, "1 gap.*line 17"),
    "gap_in_time.txt": ("phi", [15, 20], UNNAMED, "1 gap.*line 17"),
    "temperature_T.csv": ("T phi", [40], FRAMES, ""),
    "fortran_exponents.dat": ("phi", [40], UNNAMED, ""),
    "csv_header_repeated.csv": ("phi", [40], PS, ""),
    "time_and_state.txt": ("state", [40], UNNAMED, ""),
    "micro_sign_a.csv": ("x", [40], (0.2, "µs"), ""),
    "micro_sign_b.csv": ("x", [40], (0.2, "µs"), ""),
}  # fmt: skip
NAMES_WITH_BLANKS = {
    "openmm_reporter.csv": (("Temperature (K)", "phi"), 40, PS),
    "percent_header_kinsoft.txt": (("Idd (a.u.)", "Ida (a.u.)", "FRET E"), 41, S),
}
REFUSED = {
    "all_times_zero.colvar": "all times are 0.*give dt",
    "kernels.opes": "kernels.*give the COLVAR file",
    "fes.dat": "grid.*give the COLVAR file",
    "time_goes_back.csv": "line 22: the time goes back from 3.8 to 2,.*column that splits them",
}


def read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajlmWarning)
        return read_features(path, **options)


def test_every_case_is_held():
    listed = {*READ, *NAMES_WITH_BLANKS, *REFUSED, "dtraj_column.npy", "README.md"}
    assert {path.name for path in CASES.iterdir()} == listed


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name):
    columns, lengths, time, words = READ[name]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        features = read_features(CASES / name)
    assert features.names == tuple(columns.split())
    assert [len(x) for x in features] == lengths
    assert (features.dt, features.unit) == time
    assert re.search(words, " ".join(str(w.message) for w in found))
    assert all(str(CASES / name) in note.text for note in features.notes)
    assert len(found) == len(features.notes)  # nothing is done in silence


@pytest.mark.parametrize("name", READ)
def test_values_are_those_of_the_series(name):
    """All cases with phi hold one series, whole or in part."""
    features = read(CASES / name)
    series = read(CASES / "blank_header_time.txt").trajectories[0][:, 0]
    if "phi" not in features.names or name.startswith(("rama", "gap")):
        return
    np.testing.assert_allclose(features.select(["phi"]).trajectories[0][:, 0], series, atol=1e-9)


@pytest.mark.parametrize("name", NAMES_WITH_BLANKS)
def test_names_with_blanks(name):
    names, n, time = NAMES_WITH_BLANKS[name]
    features = read_features(CASES / name)
    assert (features.names, features.n_frames) == (names, n)
    assert (features.dt, features.unit) == time


def test_periods_of_the_cases():
    assert read(CASES / "comment_above_fields.colvar").periods == ((-PI, PI),)
    assert read(CASES / "two_pi.colvar").periods == ((0, 2 * PI),)
    assert read(CASES / "rama.xvg").periods == ((-180, 180),) * 2


@pytest.mark.parametrize("name", [*READ, *NAMES_WITH_BLANKS])
def test_info_shows_what_discretize_reads(name, tmp_path, capsys):
    command = ["discretize", str(CASES / name), "--kmeans", "2", "--out", str(tmp_path / "s.npz")]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", TrajlmWarning)
        assert run(command) == 0
        assert len(found) == len(read(CASES / name).notes)
        assert run(["info", str(CASES / name)]) == 0
    shown = capsys.readouterr().out
    features = read(CASES / name)
    if name != "time_and_state.txt":
        assert all(f"{column}: " in shown for column in features.names)
        assert "first rows" in shown
    assert f"{features.n_frames} frames" in shown
    assert f"{features.dt:g} {features.unit}" in shown or features.unit == "frame"


@pytest.mark.parametrize("name", REFUSED)
def test_info_gives_the_reason_of_discretize(name, tmp_path, capsys):
    with pytest.raises(InputError, match=REFUSED[name]):
        read_features(CASES / name)
    command = ["discretize", str(CASES / name), "--bins", "3", "--out", str(tmp_path / "s.npz")]
    assert run(command) == 2
    reason = capsys.readouterr().err
    assert run(["info", str(CASES / name)]) == 2
    assert capsys.readouterr().err == reason


def test_ways_on(tmp_path, capsys):
    """The options that messages and notes name settle what a file does not say."""
    with pytest.warns(TrajlmWarning, match="all times are 0"):
        features = read_features(CASES / "all_times_zero.colvar", dt=0.2, unit="ps")
    assert (features.n_frames, features.dt, features.unit) == (40, 0.2, "ps")
    features = read_features(CASES / "no_header_time_first.dat", time_column=0, unit="ps")
    assert (features.names, features.dt, features.unit) == (("x1",), 0.2, "ps")
    assert read_features(CASES / "no_header_time_first.dat", columns=["0", "1"]).n_columns == 2
    for name, column in (("stacked_molecules.csv", "molecule"), ("stacked_molecules.dat", 0)):
        features = read_features(CASES / name, split_by=column)
        assert ([len(x) for x in features], features.notes) == ([15] * 3, ())
    features = read_features(CASES / "text_in_unused_column.csv", columns="phi")
    assert (features.names, features.notes) == (("phi",), ())
    assert read_features(CASES / "rama.xvg", columns=["0", "1"]).names == ("phi", "psi")
    assert read_features(CASES / "temperature_T.csv", columns="phi").n_frames == 40
    out = str(tmp_path / "s.npz")
    command = ["discretize", str(CASES / "percent_header_kinsoft.txt"), "--bins", "5", "--out", out]
    command += ["--column", "FRET E", "--range", "0", "1"]
    assert run(command) == 2
    assert "frame 40" in capsys.readouterr().err
    assert run([*command, "--open-ends"]) == 0
    opened = read_states(out)
    assert run([*command, "--clip", "0", "1"]) == 0
    assert (opened.trajectories[0] == read_states(out).trajectories[0]).all()
    assert opened.trajectories[0][-1] == 4
    command = ["discretize", str(CASES / "several_header_lines.txt"), "--kmeans", "2", "--out", out]
    assert run([*command, "--header-lines", "5"]) == 0
    assert read_states(out).unit == "s"


def test_states_of_the_cases():
    states = read_states(CASES / "time_and_state.txt")
    assert (states.n_states, states.n_frames, states.dt) == (3, 40, 0.2)
    states = read_states(CASES / "dtraj_column.npy")
    assert [len(s) for s in states] == [40]
    assert read([CASES / "micro_sign_a.csv", CASES / "micro_sign_b.csv"]).n_frames == 80


# ---------------------------------------------------------------- the kinds, with other names


TIMES = st.sampled_from(["Time", "time", "t", "TIME", "Elapsed Time", "elapsed_time", "Sim Time"])
SPELT = st.sampled_from(
    [("ps", "ps"), ("PS", "ps"), ("picoseconds", "ps"), ("sec", "s"), ("Seconds", "s"),
     ("ms", "ms"), ("msec", "ms"), ("milliseconds", "ms"), ("us", "µs"), ("\u00b5s", "µs"),
     ("\u03bcs", "µs"), ("ns", "ns"), ("fs", "fs"), ("min", "min"), ("hours", "h")]
)  # fmt: skip
FORMS = st.sampled_from(["{} ({})", "{} [{}]", "{}({})", "{}/{}", "{}_{}", "{} in {}", "{} ( {} )"])


@given(time=TIMES, unit=SPELT, form=FORMS)
def test_times_are_known_by_their_names(time, unit, form):
    assert time_unit(form.format(time, unit[0])) == (True, unit[1])
    assert canonical_unit(unit[0]) == unit[1]


@pytest.mark.parametrize(
    "name", ["T", "T (K)", "tps", "Time Remaining", "time constant", "x", "temperature", "tau"]
)
def test_what_is_no_time(name):
    assert not time_unit(name)[0]


@pytest.mark.parametrize(
    ("name", "counter", "molecule"),
    [("#Frame", True, False), ("Frame number", True, False), ("Step", True, False),
     ("steps", True, False), ("MD step", True, False), ("index", True, False),
     ("molecule", False, True), ("Trace ID", False, True), ("particle_no", False, True),
     ("Replica", False, True), ("phi", False, False), ("stepsize", False, False)],
)  # fmt: skip
def test_counters_and_molecules(name, counter, molecule):
    assert (is_counter(name), is_molecule(name)) == (counter, molecule)


def put(folder, text, name="x.txt"):
    path = folder / name
    path.write_text(text)
    return path


def table(rows, header=(), separator=","):
    lines = [separator.join(header)] if header else []
    return "\n".join([*lines, *(separator.join(f"{x:g}" for x in row) for row in rows)]) + "\n"


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(5, 30), min_size=2, max_size=6),
    named=st.booleans(),
    with_time=st.booleans(),
    separator=st.sampled_from([",", "\t", " ", ";"]),
    seed=st.integers(0, 2**20),
)
def test_stacked_trajectories_are_never_joined(
    tmp_path_factory, lengths, named, with_time, separator, seed
):
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=n).round(3) for n in lengths]
    rows = [
        [k + 1, *([0.5 * i] if with_time else []), x]
        for k, v in enumerate(values)
        for i, x in enumerate(v.tolist())
    ]
    header = ("trace", *(["time (s)"] if with_time else []), "fret") if named else ()
    path = put(tmp_path_factory.mktemp("stacked"), table(rows, header, separator))
    features = read(path, columns=[1 + with_time])
    assert [x[:, 0].tolist() for x in features] == [v.tolist() for v in values]
    by = read_features(path, columns=[1 + with_time], split_by=0)
    assert [x.tolist() for x in by] == [x.tolist() for x in features]


def test_frames_that_take_turns_are_never_joined(tmp_path):
    """As GROMACS writes the angles of several residues: all of a frame, then of the next."""
    rows = [f"{10 * k + r} {-r} RES-{r}" for k in range(6) for r in range(3)]
    path = put(tmp_path, '@    title "Ramachandran Plot"\n' + "\n".join(rows) + "\n", "rama.xvg")
    with pytest.warns(TrajlmWarning, match="'residue'.*3 trajectories"):
        features = read_features(path)
    assert [x[:, 0].tolist() for x in features] == [
        [10 * k + r for k in range(6)] for r in range(3)
    ]
    assert read_features(path, split_by="residue", columns="phi").n_columns == 1


@pytest.mark.parametrize("header", [("frame", "fret"), ("time", "fret"), ()])
def test_a_clock_that_begins_anew_is_refused_or_split(tmp_path, header):
    rows = [(i, 0.1 * i) for _ in range(3) for i in range(15)]
    path = put(tmp_path, table(rows, header))
    split = read_features(path, split_by=0, columns=[1])
    assert [len(x) for x in split] == [15] * 3
    if header:
        with pytest.raises(InputError, match=r"line 17.*back from 14 to 0.*splits them"):
            read_features(path)
        return
    with pytest.raises(InputError, match=r"line 16.*column that splits"):
        read_features(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["comment_above_fields.colvar", "time_name_0.csv"])
def test_packed_files_are_read_as_if_they_were_not(tmp_path, pack, name):
    path = tmp_path / "packed"
    path.write_bytes(pack((CASES / name).read_bytes()))
    packed, plain = read_features(path), read_features(CASES / name)
    assert (packed.names, packed.dt, packed.periods) == (plain.names, plain.dt, plain.periods)
    np.testing.assert_array_equal(packed.trajectories[0], plain.trajectories[0])
    path.write_bytes(pack((CASES / name).read_bytes())[:-20])
    with pytest.raises(InputError, match="cut short"):
        read_features(path)
    path.write_bytes(pack((CASES / "dtraj_column.npy").read_bytes()))
    with pytest.raises(InputError, match=r"packed npy file.*unpack it"):
        read_features(path)


def test_a_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.xz"
    path.write_bytes(lzma.compress(b"1\n" * (40 << 20)))
    with pytest.raises(InputError, match="unpacks to more than"):
        read_features(path)


ATF = 'ATF\t1.0\n2\t2\n"AcquisitionMode=Gap Free"\n"Comment="\n"Time (s)"\t"Trace #1 (pA)"\n'
ISMS = "Exported by iSMS\nDate: 1. May 2020\nMovie filename: 12\nFRET pair #3\n\nD-D\tA-D\tA-A\tE\n"


@pytest.mark.parametrize(
    ("head", "rows", "names", "time"),
    [
        (ATF, "0.0\t1.5\n0.5\t2.5\n1.0\t3.5\n", ("Trace #1 (pA)",), (0.5, "s")),
        (ISMS, "1\t2\t3\t.5\n4\t5\t6\t.6\n", ("D-D", "A-D", "A-A", "E"), FRAMES),
        ("3\ntime,x\n", "0,1\n1,2\n2,4\n", ("x",), (1.0, "time unit")),
        ("Time,Force\n(ms),(pN)\n", "0,1\n1,2\n2,4\n", ("Force",), (1.0, "ms")),
        ("a,b\n", "1,2,\n3,4,\n", None, None),
        ('"Time (ns)" "end to end (nm)"\n', "0 1\n2 3\n4 7\n", ("end to end (nm)",), (2.0, "ns")),
    ],
)
def test_several_header_lines(tmp_path, head, rows, names, time):
    path = put(tmp_path, head + rows)
    features = read(path)
    if names is not None:
        assert features.names == names
        assert (features.dt, features.unit) == time
        again = read_features(path, header_lines=head.count("\n"))
        assert (again.names, again.n_frames) == (features.names, features.n_frames)
    else:
        assert features.n_columns == 2


def test_profiles_and_histograms_are_refused(tmp_path):
    rows = [(x, x**2) for x in np.linspace(0.1, 2, 30)]
    texts = [
        '@ xaxis label "r (nm)"\n@ yaxis label "g(r)"\n' + table(rows, (), " "),
        table(rows, ("distance", "pmf")),
        table(rows, ("phi", "Free energy (kJ/mol)")),
        table(rows, ("bin_center", "density")),
        "#! FIELDS phi hh\n#! SET nbins_phi 30\n" + table(rows, (), " "),
    ]
    for text in texts:
        with pytest.raises(InputError, match=r"no.* trajectory"):
            read_features(put(tmp_path, text))


def test_arrays_of_an_npz_are_columns_where_their_names_say_so(tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 20))
    path = tmp_path / "z.npz"
    np.savez(path, distance=x[0], angle=x[1])
    assert read_features(path).names == ("distance", "angle")
    np.savez(path, *x)
    features = read_features(path)
    assert [len(t) for t in features] == [20] * 3
    assert len(read_features(path, key="arr_0").trajectories) == 1
    np.savez(path, t=np.arange(20) / 4, arr_0=x[0], arr_1=x[1])
    assert (read_features(path).names, read_features(path).dt) == (("arr_0", "arr_1"), 0.25)


def test_the_first_column_of_a_table_of_numbers_may_be_a_time(tmp_path):
    table = np.column_stack([np.arange(30) * 0.1, np.sin(np.arange(30))])
    np.save(tmp_path / "x.npy", table)
    with pytest.warns(TrajlmWarning, match="like a time"):
        features = read_features(tmp_path / "x.npy")
    assert features.names == ("x1",)
    assert read_features(tmp_path / "x.npy", time_column=0, unit="ns").dt == 0.1


def test_times_in_tables_of_an_npz_are_no_coordinates(tmp_path):
    """As of smFRET traces of different lengths, each a table with the time in front."""
    tables = [np.column_stack([0.2 * np.arange(n), np.sin(np.arange(n))]) for n in (30, 12, 25)]
    np.savez(tmp_path / "z.npz", *tables)
    with pytest.warns(TrajlmWarning, match="like a time"):
        features = read_features(tmp_path / "z.npz")
    assert features.names == ("x1",)
    assert [x[:, 0].tolist() for x in features] == [t[:, 1].tolist() for t in tables]
    features = read_features(tmp_path / "z.npz", time_column=0, unit="s", columns=["x1"])
    assert ([len(x) for x in features], features.dt) == ([30, 12, 25], 0.2)


def test_open_ends_hold_what_lies_beyond():
    x = np.array([-5.0, 0.1, 0.9, 7.0])
    bins = Bins(2, range=(0, 1), open_ends=True).fit(x)
    assert bins.transform(x).trajectories[0].tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match="frame 0"):
        Bins(2, range=(0, 1)).fit(x).transform(x)


@settings(max_examples=40, deadline=None)
@given(
    dt=st.sampled_from([0.16, 0.2, 0.1, 0.002, 1.0]),
    begin=st.integers(0, 3_000_000),
    n=st.integers(300, 2000),
    gap=st.one_of(st.none(), st.integers(50, 250)),
)
def test_times_in_single_precision_late_in_a_run(dt, begin, n, gap):
    from trajlm.io.clock import Times, follow

    times = begin + dt * np.arange(n)
    if gap is not None:
        times[gap:] += 1000 * dt + 100
    held = np.float32(times).astype(np.float64)
    if dt < np.spacing(np.float32(held[-1])) / 3:
        return  # nothing is left of the steps
    line = follow(Times(held, "t.xtc", lambda row: f"frame {row}"))
    assert line.uneven is None
    assert [len(p) for p in line.pieces] == ([n] if gap is None else [gap, n - gap])
    assert line.dt == pytest.approx(
        dt, rel=float(2 * np.spacing(np.float32(held[-1])) / (dt * n) + 1e-6)
    )


def test_cases_survive_a_round_trip_of_line_ends(tmp_path):
    for name in ("killed_then_restarted.colvar", "several_header_lines.txt", "rama.xvg"):
        for end in (b"\r\n", b"\r"):
            path = tmp_path / name
            path.write_bytes((CASES / name).read_bytes().replace(b"\n", end))
            assert read(path).n_frames == 40
    shutil.copy(CASES / "colvar.gz", tmp_path / "COLVAR")
    assert read(tmp_path / "COLVAR").n_frames == 40
