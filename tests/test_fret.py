"""FRET efficiencies: the published equations, bleaching, and the files people have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trajlm
from trajlm import Features, InputError, fret_efficiency
from trajlm.cli import run

NAMES = ("Idd (a.u.)", "Ida (a.u.)", "Iaa (a.u.)")


def intensities(E, brightness=1000.0, gamma=1.0, leakage=0.0, direct=0.0, aa=800.0):
    """Return what a microscope sees of molecules of known efficiencies, shape (T, 3)."""
    donor = (1 - E) * brightness
    acceptor = gamma * E * brightness + leakage * donor + direct * aa
    return np.column_stack([donor, acceptor, np.full(len(E), aa)])


@settings(max_examples=30, deadline=None)
@given(
    gamma=st.floats(0.3, 3),
    leakage=st.floats(0, 0.3),
    direct=st.floats(0, 0.3),
    seed=st.integers(0, 9),
)
def test_the_efficiencies_behind_the_intensities_come_back(gamma, leakage, direct, seed):
    E = np.random.default_rng(seed).uniform(0, 1, 50)
    seen = Features(intensities(E, 1000, gamma, leakage, direct), NAMES, 0.1, "s")
    found = fret_efficiency(
        seen,
        NAMES[0],
        NAMES[1],
        gamma=gamma,
        leakage=leakage,
        direct_excitation=direct,
        acceptor_excited=NAMES[2],
    )
    np.testing.assert_allclose(found[0][:, 0], E, atol=1e-9)
    assert (found.names, found.dt, found.unit) == (("FRET efficiency",), 0.1, "s")


def test_traces_end_where_a_dye_bleaches():
    rng = np.random.default_rng(0)
    E = np.where(rng.random(300) < 0.5, 0.2, 0.8)
    whole = intensities(E) + rng.normal(0, 60, (300, 3))
    donor, acceptor, early = whole.copy(), whole.copy(), whole.copy()
    donor[120:, :2] = rng.normal(0, 60, (180, 2))
    # The acceptor bleaches: the donor is as bright as both were.
    acceptor[200:] = intensities(np.zeros(100), aa=0.0) + rng.normal(0, 60, (100, 3))
    early[1:, :2] = 0.0
    # A molecule that blinks for ten frames is not bleached.
    blinking = whole.copy()
    blinking[50:60, :2] = 0.1
    seen = Features((whole, donor, acceptor, early, blinking), NAMES, 0.1, "s")
    found = fret_efficiency(seen, 0, 1, acceptor_excited=2, bleach=0.5)
    assert [len(x) for x in found] == [300, 120, 200, 300]
    assert any("3 traces" in note.text and "1 of them" in note.text for note in found.notes)
    # Without the acceptor's own excitation its bleaching is not seen.
    found = fret_efficiency(seen[:3], 0, 1, bleach=0.5)
    assert [len(x) for x in found] == [300, 120, 300]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"gamma": 0.0}, "gamma"),
        ({"leakage": 1.2}, "leakage"),
        ({"direct_excitation": 0.1}, "column"),
        ({"bleach": 2.0}, "bleaching"),
        ({"acceptor": "none"}, "none"),
    ],
)
def test_what_cannot_be_is_refused(options, word):
    seen = Features(intensities(np.array([0.2, 0.8])), NAMES)
    with pytest.raises(InputError, match=word):
        fret_efficiency(seen, **({"donor": 0, "acceptor": 1} | options))


def test_a_frame_without_intensity_is_named_and_outliers_can_be_clipped():
    dark = intensities(np.full(5, 0.5))
    dark[3] = 0.0
    with pytest.raises(InputError, match="frame 3"):
        fret_efficiency(Features(dark, NAMES), 0, 1)
    odd = intensities(np.full(5, 0.5))
    odd[2, :2] = 100.0, -90.0
    found = fret_efficiency(Features(odd, NAMES), 0, 1, clip=(-0.2, 1.2))
    assert found[0][2, 0] == -0.2


def published(folder, n=6):
    """Write traces as the kinSoft challenge publishes them."""
    rng = np.random.default_rng(0)
    paths = []
    for k in range(n):
        E = np.where(rng.random(400) < 0.05, 1, 0).cumsum() % 2 * 0.5 + 0.25
        table = intensities(E) + rng.normal(0, 50, (400, 3))
        rows = np.column_stack(
            [0.2 * np.arange(400), table, table[:, 1] / table[:, :2].sum(axis=1)]
        )
        path = folder / f"trace_{k}.txt"
        header = "%t (s)\t" + "\t".join(NAMES) + "\tFRET E"
        lines = [
            "\t".join([f"{r[0]:.3f}", *(f"{x:+.3e}" for x in r[1:4]), f"{r[4]:+.3f}"]) for r in rows
        ]
        path.write_text("\n".join([header, *lines, ""]))
        paths.append(path)
    return paths


def test_the_command_line_reads_published_traces(tmp_path):
    paths = [str(p) for p in published(tmp_path)]
    out = str(tmp_path / "states.npz")
    command = ["discretize", *paths, "--bins", "20", "--out", out, "--clip", "-0.2", "1.2"]
    assert run([*command, "--fret", *NAMES[:2], "--bleach", "0.5"]) == 0
    states = trajlm.read_states(out)
    assert (len(states), states.dt, states.unit) == (6, 0.2, "s")
    assert states.discretization.columns == ("FRET efficiency",)
    # The efficiency that the files hold is the same.
    assert run([*command, "--column", "FRET E", "--range", "-0.2", "1.2"]) == 0
    same = trajlm.read_states(out)
    assert [len(s) for s in same] == [len(s) for s in states]
    # Arrays without names, as the same data may come.
    arrays = [np.loadtxt(p, skiprows=1) for p in paths]
    np.savez(tmp_path / "traces.npz", **{f"trace_{k}": x for k, x in enumerate(arrays)})
    command[1:7] = [str(tmp_path / "traces.npz"), "--time-column", "0", "--unit", "s"]
    with pytest.warns(trajlm.errors.TrajlmNote):
        assert run([*command, "--fret", "1", "2"]) == 0
    again = trajlm.read_states(out)
    assert (len(again), again.dt, again.unit) == (6, pytest.approx(0.2), "s")


def test_options_of_fret_without_it_are_refused(tmp_path, capsys):
    path = str(published(tmp_path, 1)[0])
    command = ["discretize", path, "--bins", "20", "--out", str(tmp_path / "s.npz")]
    assert run([*command, "--column", "FRET E", "--gamma", "0.8"]) == 2
    assert "--fret" in capsys.readouterr().err
    assert run([*command, "--column", "FRET E", "--fret", *NAMES[:2]]) == 2
