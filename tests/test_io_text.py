"""Reading text and COLVAR: every separator and line end, restarts, and what is refused."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trajlm.errors import InputError, TrajlmWarning
from trajlm.io import (
    read_colvar,
    read_features,
    read_text,
)
from trajlm.io.colvar import parse_pi

RIBOSWITCH = Path(os.environ.get("TRAJLM_DATA", "data")) / "riboswitch" / "Mol2_6_Ext_9.txt"
FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FINITE = st.floats(-1e6, 1e6, allow_nan=False).map(float)
TABLES = hnp.arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=FINITE)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def put(folder: Path, content: str | bytes, name: str = "x.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def colvar(times, values, names="phi", sets="", header=True) -> str:
    lines = [f"#! FIELDS time {names}\n{sets}"] if header else []
    lines += [f" {t:.6f} {' '.join(f'{v:.6f}' for v in np.atleast_1d(x))}\n"
              for t, x in zip(times, values, strict=True)]  # fmt: skip
    return "".join(lines)


def read_warned(path, match, **options):
    with pytest.warns(TrajlmWarning, match=match):
        return read_colvar(path, **options)


# ---------------------------------------------------------------- text


@FEW
@given(
    table=TABLES,
    separator=st.sampled_from([",", ";", "\t", " ", "  ", ", ", " \t "]),
    end=ENDS,
    header=st.booleans(),
    bom=st.booleans(),
    comment=st.sampled_from(["", "# made by hand", "% x", "@ title", "# \u00b5s"]),
    last_end=st.booleans(),
)
def test_text_round_trip(tmp_path, table, separator, end, header, bom, comment, last_end):
    names = [f"c{k}" for k in range(table.shape[1])]
    lines = [comment] if comment else []
    lines += [separator.join(names)] if header else []
    lines += [separator.join(repr(float(v)) for v in row) for row in table]
    text = end.join(lines) + (end if last_end else "")
    path = put(tmp_path, text.encode("utf-8-sig" if bom else "utf-8"))
    features = read_features(path)
    np.testing.assert_array_equal(features.trajectories[0], table)
    assert list(features.names) == (names if header else [f"x{k}" for k in range(len(names))])
    assert (features.dt, features.unit) == (1.0, "frame")


def test_mixed_line_ends_and_latin1_comment(tmp_path):
    path = put(tmp_path, b"# 20 \xb0C\r\nExt\r1.5\n2.5\r\n\r\n3.5")
    assert read_text(path).trajectories[0].ravel().tolist() == [1.5, 2.5, 3.5]
    assert read_text(path).names == ("Ext",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1\n2\nabc\n4\n", "line 3: the text 'abc'"),
        ("1 2\r3 4\r5\r", "line 3: 1 column"),
        ("a,b\n1,2\n3,4,5\n", "line 3: 3 column"),
        ("1,2\n3,\n", "line 2: an empty field"),
        ("# c\n\nx\n1\nnan\n", "line 5: nan"),
        ("1\n-inf\n", "line 2: -inf"),
        ("1\n1e999\n", "line 2: inf"),
        ("1\n1_000\n", "line 2: the text '1_000'"),
        ("1\n0x10\n", "line 2: the text '0x10'"),
        ("1\nx 2\n", "line 2: the text 'x'"),
        ("1.0 abc\n2.0 3.0\n", "line 1: the text 'abc'"),
        ("a b\nc d\n1 2\n3 x\n", "line 4: the text 'x'"),
        ("x x\n1 2\n", "2 columns are named 'x'"),
        ("# only\n", "no line of numbers"),
        ("word\n", "no line of numbers"),
        ("\n\n", "no line of numbers"),
    ],
)
def test_bad_text_names_file_and_line(tmp_path, text, says):
    path = put(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_features(path)
    assert str(path) in str(error.value)
    assert says in str(error.value)


def test_columns_by_name_and_number(tmp_path):
    path = put(tmp_path, "phi,psi,d\n1,2,3\n4,5,6\n")
    assert read_text(path, columns=["psi", "0"]).names == ("psi", "phi")
    assert read_text(path, columns=["2"]).trajectories[0].ravel().tolist() == [3, 6]
    assert read_text(path, columns="psi").trajectories[0].ravel().tolist() == [2, 5]
    with pytest.raises(InputError, match="no column 'chi', there are phi, psi, d"):
        read_text(path, columns=["chi"])
    with pytest.raises(InputError, match="no column '7'"):
        read_text(path, columns=["7"])
    with pytest.raises(InputError, match="twice"):
        read_text(path, columns=["phi", "0"])


def test_header_of_another_length_does_not_name_columns(tmp_path):
    features = read_text(put(tmp_path, "Extension in nm\n1\n2\n"))
    assert features.names == ("x0",)
    assert "Extension in nm" in features.notes[0].text


def test_even_time_column_gives_dt(tmp_path):
    path = put(tmp_path, "time x\n10.0 1\n10.1 2\n10.2 3\n")
    features = read_text(path)
    assert (features.dt, features.unit, features.names) == (0.1, "time unit", ("x",))
    assert read_text(path, unit="ms").unit == "ms"
    with pytest.warns(
        TrajlmWarning, match="says 0.1 time units a frame, but 5 time units as given is"
    ):
        assert read_text(path, dt=5.0).dt == 5.0
    assert read_text(path, dt=5.0, unit="ms").dt == 5.0
    assert read_text(path, columns=["time", "x"]).names == ("time", "x")
    features = read_text(put(tmp_path, "Time (ps),x\n0,1\n2,2\n4,3\n"))
    assert (features.dt, features.unit, features.names) == (2.0, "ps", ("x",))


def test_uneven_time_column_is_not_used_and_backward_time_refused(tmp_path):
    path = put(tmp_path, "t x\n0 1\n1 2\n2 3\n2.7 4\n")
    with pytest.warns(TrajlmWarning, match="line 5"):
        features = read_text(path)
    assert (features.dt, features.unit, features.names) == (1.0, "frame", ("x",))
    with pytest.raises(InputError, match=r"line 4: the time goes back from 1 to 0"):
        read_text(put(tmp_path, "t x\n0 1\n1 2\n0 3\n1 4\n"))


@FEW
@given(lengths=st.lists(st.integers(1, 30), min_size=2, max_size=5), jump=st.integers(2, 1000))
def test_a_record_is_cut_where_frames_are_missing(tmp_path, lengths, jump):
    lengths = [60, *lengths]  # gaps are rare among the steps
    starts = np.cumsum([0, *lengths[:-1]]) + np.arange(len(lengths)) * jump
    frames = [np.arange(start, start + n) for start, n in zip(starts, lengths, strict=True)]
    rows = "".join(f"{0.25 * k:.2f} {k}\n" for k in np.concatenate(frames))
    with pytest.warns(TrajlmWarning, match=f"{len(lengths) - 1} gap.* line 62"):
        features = read_text(put(tmp_path, "time_(ms) x\n" + rows))
    expected = [f.tolist() for f in frames if len(f) > 1]
    assert [x.ravel().tolist() for x in features.trajectories] == expected
    assert (features.dt, features.unit) == (0.25, "ms")
    dropped = len(lengths) - len(expected)
    assert (f"{dropped} lone" in features.notes[0].text) == bool(dropped)
    assert features.notes[0].kind == "gap"


def test_tps_is_no_time_column(tmp_path):
    assert read_text(put(tmp_path, "tps x\n0 1\n1 2\n")).names == ("tps", "x")


def test_files_of_a_list_stay_apart_and_must_agree(tmp_path):
    a = put(tmp_path, "x\n1\n2\n", "a.txt")
    b = put(tmp_path, "x\n3\n4\n5\n", "b.txt")
    c = put(tmp_path, "y\n3\n4\n", "c.txt")
    assert [len(x) for x in read_features([a, b]).trajectories] == [2, 3]
    with pytest.raises(InputError, match=r"a.txt and .*c.txt have different columns"):
        read_features([a, c])
    p = put(tmp_path, colvar([0, 1, 2], [1, 2, 3]), "p")
    q = put(tmp_path, colvar([0, 2, 4], [1, 2, 3]), "q")
    with pytest.raises(InputError, match=r"/p and .*/q have different dt"):
        read_features([p, q])
    with pytest.warns(TrajlmWarning, match="says 2 ps a frame, but 1 ps as given is"):
        assert read_features([p, q], dt=1.0).dt == 1.0
    with pytest.raises(InputError, match="no file"):
        read_features([])


DECIMALS = st.lists(st.integers(-999_999, 999_999), min_size=2, max_size=30)


@FEW
@given(values=DECIMALS, header=st.sampled_from(["Ext_9", "Force (pN)", "", "x y"]), end=ENDS)
def test_decimal_commas_are_asked_about_and_never_two_columns(tmp_path, values, header, end):
    """Three decimals: known by a header of one name, or by a zero right after the comma."""
    rows = [f"{v / 1000:.3f}".replace(".", ",") for v in values]
    path = put(tmp_path, end.join([header, *rows] if header else rows))
    if header in ("", "x y") and not any(",0" in row for row in rows):
        assert read_text(path).n_columns == 2
        return
    with pytest.raises(InputError, match=r"line [12]: .*decimal commas\?"):
        read_features(path)


@FEW
@given(
    table=st.lists(st.tuples(st.integers(-9999, 9999), st.integers(0, 9999)), min_size=1),
    header=st.sampled_from(["", "x,y", "x y", "# made by hand", "Ext_9,"]),
    blank=st.booleans(),
)
def test_two_columns_of_whole_numbers_are_read_as_such(tmp_path, table, header, blank):
    separator = ", " if blank else ","
    rows = [f"{a}{separator}{b}" for a, b in table]
    path = put(tmp_path, "\n".join([header, *rows] if header else rows))
    assert read_features(path).trajectories[0].tolist() == [list(row) for row in table]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Ext\n711,657\n712\n", 3),
        ("711,657\n712\n", 2),
        ("t;x\n0,0;711,657\n0,1;712,5\n", 2),
        ("t\tx\n0,0\t711,657\n", 2),
        ("0,0 711\n0,1 712,5\n", 1),
    ],
)
def test_what_decimal_commas_break_asks_about_them(tmp_path, text, line):
    with pytest.raises(InputError, match=rf"line {line}: .*\(decimal commas\? write points\)"):
        read_features(put(tmp_path, text))


def test_nan_matters_in_the_columns_that_are_used_only(tmp_path):
    path = put(tmp_path, "time,phi,psi\n0,1,nan\n1,2,3\n")
    assert read_features(path, columns="phi").dt == 1
    with pytest.raises(InputError, match=r"line 2: nan in column 'psi'"):
        read_features(path)
    with pytest.raises(InputError, match=r"line 3: nan in column 'time'"):
        read_features(put(tmp_path, "time,phi\n0,1\nnan,2\n"), columns="phi")
    path = put(tmp_path, colvar([0, 1], [(1, np.nan), (2, 3)], "phi psi"))
    assert read_features(path, columns="phi").n_columns == 1
    with pytest.raises(InputError, match=r"line 2: nan in column 'psi'"):
        read_features(path, columns=["psi", "phi"])


def test_columns_with_a_comma_are_to_be_given_one_by_one(tmp_path):
    path = put(tmp_path, "phi psi d\n1 2 3\n4 5 6\n")
    with pytest.raises(InputError, match="give each on its own, 'phi' and 'd'"):
        read_text(path, columns=["phi, d"])


XVG = """# made by gmx
@    title "Ramachandran"
@    xaxis  label "Time (ps)"
@    yaxis  label "Angle (deg)"
@TYPE xy
@ s0 legend "phi"
@ s1 legend "psi"
"""


def test_xvg_names_its_columns_and_its_time(tmp_path):
    path = put(tmp_path, XVG + "0.0 -60 120\n2.0 -70 130\n4.0 -80 140\n", "angles.xvg")
    features = read_features(path)
    assert (features.names, features.dt, features.unit) == (("phi", "psi"), 2.0, "ps")
    assert read_features(path, columns=["2"]).names == ("psi",)
    other = XVG.replace('"psi"', '"phi"')
    assert read_features(put(tmp_path, other + "0 -60 120\n2 -70 130\n")).names[0] == "x0"
    assert read_features(put(tmp_path, XVG + "0 -60\n2 -70\n")).names == ("phi",)


@FEW
@given(
    head=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20).map(
            "@ s0 legend {}".format
        ),
        max_size=4,
    )
)
def test_any_lines_of_an_xvg_are_read(tmp_path, head):
    lines = [" ".join(line.split()) for line in head]
    path = put(tmp_path, "\n".join([*lines, "0 1", "1 2"]))
    assert read_features(path).trajectories[0][:, -1].tolist() == [1, 2]


def test_a_period_is_given_where_the_file_cannot_say_it(tmp_path):
    path = put(tmp_path, "phi psi\n-170 1\n175 2\n")
    assert read_features(path, period=(-180, 180)).periods == ((-180, 180),) * 2
    for period in ((180, -180), (0, np.inf), (np.nan, 1)):
        with pytest.raises(InputError, match="from a lower to a higher number"):
            read_features(path, period=period)


@pytest.mark.parametrize("suffix", ["xtc", "trr", "nc", "dcd"])
def test_a_molecular_trajectory_is_no_table(tmp_path, suffix):
    path = put(tmp_path, b"\0\0\7\xcb" * 300, f"t.{suffix}")
    with pytest.raises(InputError, match=r"molecular trajectory: .*\(trajlm features\)"):
        read_features(path)


@pytest.mark.skipif(not RIBOSWITCH.exists(), reason="needs TRAJLM_DATA with the riboswitch record")
def test_riboswitch_record_with_bare_cr_is_read_fast():
    start = time.perf_counter()
    features = read_text(RIBOSWITCH, dt=0.1, unit="ms")
    assert time.perf_counter() - start < 3
    assert features.names == ("Ext_9",)
    assert features.n_frames == 400_000
    assert features.trajectories[0][:3, 0].tolist() == [711.657, 707.192, 708.913]
    assert features.trajectories[0][-1, 0] == 714.183


# ---------------------------------------------------------------- COLVAR


def test_colvar_fields_periods_and_time(tmp_path):
    sets = "#! SET min_phi -pi\n#! SET max_phi pi\n#! SET min_d 0\n#! SET max_d 2*pi\n"
    values = [(0.1, 0.2, 7), (0.3, 0.4, 8), (0.5, 0.6, 9)]
    path = put(tmp_path, colvar([0, 0.002, 0.004], values, "phi psi d", sets))
    features = read_features(path)
    assert features.names == ("phi", "psi", "d")
    assert (features.dt, features.unit) == (0.002, "ps")
    assert features.periods == ((-np.pi, np.pi), None, (0.0, 2 * np.pi))
    assert read_colvar(path, columns=["3", "psi"]).names == ("d", "psi")
    assert read_colvar(path, columns="time").trajectories[0].ravel().tolist() == [0, 0.002, 0.004]
    assert read_warned(path, "says 0.002 ps a frame, but 2 ns", dt=2.0, unit="ns").dt == 2.0
    assert read_warned(path, "says 0.002 ps a frame, but 0.002 ns", unit="ns").unit == "ns"
    assert read_colvar(path, dt=0.002, unit="ps").dt == 0.002
    with pytest.raises(InputError, match="there are time, phi, psi, d"):
        read_colvar(path, columns=["chi"])


@pytest.mark.parametrize(
    ("text", "value"),
    [("-pi", -np.pi), ("2*pi", 2 * np.pi), ("pi/2", np.pi / 2), ("-2*pi/3", -2 * np.pi / 3),
     ("+1.5e-1", 0.15), ("180", 180.0), ("pi/0", None), ("__import__", None), ("", None),
     ("1e999", None), ("pi**2", None), ("--pi", None)],
)  # fmt: skip
def test_parse_pi(text, value):
    assert parse_pi(text) == (None if value is None else pytest.approx(value, rel=1e-15))


@given(
    n=st.integers(2, 40),
    stop=st.integers(2, 40),
    restart=st.integers(1, 39),
    extra=st.integers(1, 9),
)
@FEW
def test_colvar_repeated_frames_after_restart(tmp_path, n, stop, restart, extra):
    """Oracle: a dictionary from time to value, in which the later copy overwrites."""
    restart = min(restart, stop)
    first = {k: 1000 + k for k in range(stop)}
    second = {k: 2000 + k for k in range(restart, restart + extra)}
    text = colvar([0.1 * k for k in first], first.values())
    text += colvar([0.1 * k for k in second], second.values())
    expected = [first[k] for k in range(restart)] + list(second.values())
    path = put(tmp_path, text)
    n_dropped = stop - restart
    if len(expected) < 2:
        return
    if n_dropped:
        says = f"{n_dropped} repeated frames? after a restart at time {0.1 * restart:.10g} "
        features = read_warned(path, says)
        assert str(n_dropped) in features.notes[0].text
    else:
        features = read_colvar(path)
    assert features.trajectories[0].ravel().tolist() == expected
    assert features.dt == 0.1


def test_two_walkers_in_one_file_are_refused(tmp_path):
    walkers = colvar([0, 1, 2], [1, 2, 3]) + colvar([0, 1, 2], [4, 5, 6])
    with pytest.raises(InputError, match=r"line 6: .* all 3 frames .* two runs in one file"):
        read_colvar(put(tmp_path, walkers))
    stopped_at_its_start = colvar([0], [1]) + colvar([0, 1, 2], [4, 5, 6])
    features = read_warned(put(tmp_path, stopped_at_its_start), "1 repeated frame ")
    assert features.trajectories[0].ravel().tolist() == [4, 5, 6]


def test_colvar_two_restarts(tmp_path):
    text = colvar([0, 1, 2, 3], [0, 1, 2, 3]) + colvar([2, 3, 4], [12, 13, 14])
    text += colvar([4, 5], [24, 25])
    features = read_warned(put(tmp_path, text), "repeated")
    assert features.trajectories[0].ravel().tolist() == [0, 1, 12, 13, 24, 25]
    assert len(features.notes) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (colvar([0, 1, 2, 1, 2], range(5)), "line 5: the time goes back from 2 to 1"),
        (colvar([0, 1, 1, 2], range(4)), "line 4: the time stands still at 1"),
        (colvar([0, 1, 2, 2.5, 3.5], range(5)), "line 5: .* step of 1 was expected"),
        (colvar([5, 6], [1, 2]) + colvar([0, 1], [1, 2]), "line 5: .* before the first frame"),
        (colvar([0, 1], [1, 2]) + colvar([2, 3], [1, 2], "psi"), "line 4: the columns change"),
        (colvar([0, 1, 2], [1, np.nan, 2]), "line 3: nan"),
        (colvar([0, 1], [1, 2]) + "2 x\n3 4\n", "line 4: the text 'x'"),
        (colvar([0, 1], [1, 2]) + "2\n3 4\n", "line 4: 1 column"),
        (colvar([0, 1], [1, 2]) + "2 3 4\n", "line 4: 3 column"),
        ("#! FIELDS time phi\n", "no frame"),
        ("#! FIELDS time phi\n0 1\n", "one frame only"),
        (colvar([0, 1], [1, 2], sets="#! SET min_phi x\n#! SET max_phi pi\n"), "domain x to pi"),
        (colvar([0, 1], [1, 2], sets="#! SET min_phi pi\n"), "domain pi to None"),
    ],
)
def test_bad_colvar_is_refused(tmp_path, text, says):
    path = put(tmp_path, text, "COLVAR")
    with pytest.raises(InputError, match=says) as error:
        read_features(path)
    assert str(path) in str(error.value)


def test_colvar_one_missing_frame_is_seen_however_coarse_the_times(tmp_path):
    times = [f"{0.1 * k:.1f}" for k in range(200) if k != 120]
    text = "#! FIELDS time x\n" + "".join(f"{t} 0\n" for t in times)
    features = read_warned(put(tmp_path, text), "1 gap.* line 122 from 11.9 to 12.1")
    assert [len(x) for x in features.trajectories] == [120, 79]


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        (colvar([0, 1, 2, 4, 5], range(5)), [3, 2]),
        (colvar([0, 1], [1, 2]) + colvar([4, 5], [1, 2]), [2, 2]),
    ],
)
def test_colvar_is_cut_where_frames_are_missing(tmp_path, text, lengths):
    features = read_warned(put(tmp_path, text), "1 gap.* line 5 from . to 4, cut it into 2")
    assert [len(x) for x in features.trajectories] == lengths
    assert features.dt == 1


def test_a_clear_gap_is_cut_though_the_times_are_printed_too_coarsely(tmp_path):
    times = np.arange(300) / 3000
    times[120:] += 0.5
    lines = "".join(f"{t:.4f} {k}\n" for k, t in enumerate(times))
    path = put(tmp_path, "time x\n" + lines)
    with pytest.warns(TrajlmWarning, match=r"1 gap\(s\)"):
        features = read_text(path, columns=["x"], unit="s")
    assert [len(x) for x in features.trajectories] == [120, 180]
    assert features.dt == pytest.approx(1 / 3000, rel=0.005)
    times = 0.01 * np.arange(300) + np.random.default_rng(0).uniform(0, 0.002, 300)
    times[120:] += 0.5
    path = put(tmp_path, "time x\n" + "".join(f"{t:.4f} {k}\n" for k, t in enumerate(times)))
    with pytest.warns(TrajlmWarning) as found:
        features = read_text(path, columns=["x"], dt=1 / 3, unit="ms")
    assert [len(x) for x in features.trajectories] == [120, 180]
    told = " ".join(str(w.message) for w in found)
    assert "not evenly spaced" in told
    assert "1 gap(s)" in told


def test_a_unit_that_contradicts_the_file_needs_a_dt(tmp_path):
    path = put(tmp_path, "time (s),x\n0.001,1\n0.002,2\n0.003,3\n")
    with pytest.raises(InputError, match=r"says 0.001 s a frame, the unit given is ms"):
        read_text(path, unit="ms")
    with pytest.warns(TrajlmWarning, match="1 ms as given is used"):
        features = read_text(path, dt=1, unit="ms")
    assert (features.dt, features.unit) == (1, "ms")


def test_a_period_that_contradicts_the_file_is_refused(tmp_path):
    path = put(
        tmp_path, colvar([0, 1, 2], [0, 1, 2], sets="#! SET min_phi -pi\n#! SET max_phi pi\n")
    )
    with pytest.raises(
        InputError, match=r"phi is periodic from -3.14159 to 3.14159, not from -180"
    ):
        read_features(path, period=(-180, 180))
    assert read_features(path, period=(-3.1416, 3.1416)).n_frames == 3


def test_colvar_printing_precision_is_no_gap(tmp_path):
    text = "#! FIELDS time x\n" + "".join(f"{k / 3:.2f} 0\n" for k in range(301))
    assert read_colvar(put(tmp_path, text)).dt == pytest.approx(1 / 3, abs=1e-4)


@pytest.mark.parametrize("tail", ["3.0", "3.000000 0.1", "3.000000 -", "3.0000", "3.000000 0.1e"])
def test_colvar_last_line_cut_short_is_dropped(tmp_path, tail):
    text = colvar([0, 1, 2], [(1, 1), (2, 2), (3, 3)], "phi psi")
    features = read_warned(put(tmp_path, text + tail), "line 5: the last line is cut short")
    assert features.trajectories[0][:, 0].tolist() == [1, 2, 3]


def test_colvar_last_number_cut_short_is_dropped(tmp_path):
    text = colvar(range(5), [-1.234567] * 5)
    features = read_warned(put(tmp_path, text[:-4]), "cut short")
    assert features.n_frames == 4
    assert read_colvar(put(tmp_path, text[:-1])).n_frames == 5  # only the line end is missing


@pytest.mark.parametrize(
    "name",
    ["metad.bias", "metad.rct", "m.rbias", "restraint.bias", "@4.bias", "uwall.force2", "bias",
     "opes.zed", "steer.d_kappa"],
)  # fmt: skip
def test_biased_data_taken_for_unbiased(tmp_path, name):
    text = colvar([0, 1], [(1, 2), (3, 4)], f"phi {name}")
    features = read_warned(put(tmp_path, text), "equilibrium", columns=["phi"])
    assert "biased" in features.notes[0].text
    assert name in features.notes[0].text
    assert features.notes[0].kind == "bias"


def test_a_wall_that_was_never_reached_is_no_bias(tmp_path):
    text = colvar([0, 1], [(1, 0), (3, 0)], "phi uwall.bias")
    assert read_colvar(put(tmp_path, text), columns=["phi"]).notes == ()


def test_hills_are_no_trajectory(tmp_path):
    fields = "phi sigma_phi height biasf"
    path = put(tmp_path, colvar([0, 1], [(1, 0.1, 2, 10)] * 2, fields), "HILLS")
    with pytest.raises(InputError, match="give the COLVAR file"):
        read_features(path)


def test_several_walkers_with_restarts_are_several_trajectories(tmp_path):
    sets = "#! SET min_phi -pi\n#! SET max_phi pi\n"
    for walker in range(3):
        text = colvar([0, 1, 2], [walker] * 3, sets=sets)
        text += colvar([2, 3], [walker + 0.5] * 2, sets=sets)
        put(tmp_path, text, f"COLVAR.{walker}")
    files = [tmp_path / f"COLVAR.{walker}" for walker in range(3)]
    features = read_warned(files, "repeated")
    expected = [[w, w, w + 0.5, w + 0.5] for w in range(3)]
    assert [x.ravel().tolist() for x in features.trajectories] == expected
    assert features.periods == ((-np.pi, np.pi),)
    assert len(features.notes) == 3
    other = put(tmp_path, colvar([0, 2, 4], [1] * 3, sets=sets), "COLVAR.3")
    with pytest.raises(InputError, match=r"COLVAR.0 and .*COLVAR.3 have different dt"):
        read_warned([*files, other], "repeated")


@pytest.mark.parametrize(
    ("comment", "names"),
    [
        ("# time force", ("force",)),
        ("# made by a program of ours\n#time (ms)\tforce (pN)", ("force (pN)",)),
        ("# two columns here", ("x0", "x1")),
        ("# pulled twice", ("x0", "x1")),
        ("# force force", ("x0", "x1")),
        ("# from 2020", ("x0", "x1")),
        ("# time force\n", ("x0", "x1")),
    ],
)
def test_a_comment_right_above_the_numbers_names_them(tmp_path, comment, names):
    path = tmp_path / "saved.txt"
    path.write_text(f"{comment}\n0.0 3.5\n0.5 4.5\n1.0 5.0\n")
    features = read_text(path)
    assert features.names == names
    assert features.dt == (0.5 if "x0" not in names else 1.0)


@pytest.mark.filterwarnings("ignore::trajlm.errors.TrajlmWarning")
def test_a_run_that_was_broken_off_is_seen_with_the_exponents_of_fortran(tmp_path):
    text = (Path(__file__).parent / "cases" / "killed_then_restarted.colvar").read_text()
    # Also in the row that was broken off.
    written = re.sub(r"^ (\d\S*)", r" \1D+00", text, flags=re.MULTILINE)
    plain, fortran = (
        read_colvar(put(tmp_path, content, f"{k}.colvar"))
        for k, content in enumerate((text, written))
    )
    assert all((a == b).all() for a, b in zip(plain, fortran, strict=True))
