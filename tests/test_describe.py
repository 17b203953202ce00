"""Facts for the eye: trajlm info, notebooks, citations and the version."""

import re
import sys
from html.parser import HTMLParser
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest

import trajlm
from trajlm.cli import run
from trajlm.cli.citing import CITED_FOR, citations
from trajlm.data import Features, States
from trajlm.errors import InputError
from trajlm.io import write_features, write_states
from trajlm.provenance import Clustering, Discretization, Note
from trajlm.util import progress

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def states():
    s = np.random.default_rng(0).integers(3, size=3000)
    how = Discretization(Clustering(((0.0,), (1.0,), (2.0,), (3.0,))), (EVIL,), notes=(Note(EVIL),))
    return States((s[:2000], s[2000:]), 4, 0.2, "ps", np.arange(4.0), how)


class Tags(HTMLParser):
    """Collect the tags, and fail on one that is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_everything_shows_itself_in_a_notebook_and_is_escaped(states):
    features = Features((np.eye(3),), (EVIL, "b", "c"), 0.1, "ps", notes=(EVIL,))
    model = trajlm.LSTMEstimator(hidden_dim=4, embedding_dim=2, epochs=1).fit_fetch(states)
    msm = trajlm.fit_msm(states)
    comparison = trajlm.compare(states, {EVIL: msm}, n_runs=2)
    for thing, word in (
        (features, "3 frames"),
        (states, "3 visited"),
        (model, "held-out"),
        (msm, "n_states 4"),
        (comparison, "D0"),
        (trajlm.kinetics(states), "timescale 1"),
        (trajlm.kinetics(msm), "population of 0"),
        (comparison.grouping, "group 1"),
        (trajlm.KMeans(2).fit(features), "n_clusters"),
        (trajlm.Bins(30), "n_bins"),
    ):
        page = thing._repr_html_()
        tags = Tags()
        tags.feed(page)
        assert not tags.open
        assert tags.seen - {"img"} == {"table", "caption", "b", "tr", "th", "td"}
        assert word in page
        # A comparison shows its figures, too.
        assert ("img" in tags.seen) == (thing is comparison)
        assert thing is comparison or len(page) < 5000


def test_info_on_files(states, tmp_path, capsys):
    write_states(tmp_path / "s.npz", states)
    write_features(tmp_path / "f.npz", Features((np.eye(3),), ("phi", "b", "c"), 0.1, "ps",
                                                ((-3.2, 3.2), None, None)))  # fmt: skip
    np.save(tmp_path / "x.npy", np.linspace(0, 1, 50))
    for name, words in (
        ("s.npz", ["states", "3,000 frames in 2 trajectories", "4, 3 visited, k-means of"]),
        ("f.npz", ["features", "0.1 ps per frame", "phi: 0 to 1, periodic on [-3.2, 3.2)"]),
        ("x.npy", ["features", "x0: 0 to 1"]),
    ):
        assert run(["info", str(tmp_path / name)]) == 0
        output = capsys.readouterr().out
        assert all(word in output for word in words)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04broken")
    assert run(["info", str(tmp_path / "broken.npz")]) == 2
    assert "broken.npz" in capsys.readouterr().err


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"trajlm {version('trajlm')}"


def keys_of(bibtex):
    assert bibtex.count("{") == bibtex.count("}")
    return set(re.findall(r"^@\w+\{(\w+),$", bibtex, flags=re.MULTILINE))


def test_every_citation_is_there():
    everything = keys_of(citations(used=CITED_FOR))
    assert everything == {"tsai2020", "trajlm"} | {k for keys in CITED_FOR.values() for k in keys}


def test_cite_says_what_was_used(states, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_states("s.npz", states)
    trajlm.fit_hmm(states, 2).save("hmm")
    trajlm.compare(states, {"MSM": trajlm.fit_msm(states)}, n_runs=2).save("report")
    base = {"tsai2020", "trajlm"}
    for arguments, more in (
        ([], set()),
        (["s.npz"], {"hoffmann2022"}),
        (["hmm"], {"hoffmann2022", "rabiner1989"}),
        (["report"], {"hoffmann2022", "prinz2011"}),
        (["--with", "plumed,mdtraj"], {"tribello2014", "plumed2019", "mcgibbon2015"}),
    ):
        assert run(["cite", *arguments]) == 0
        assert keys_of(capsys.readouterr().out) == base | more
    assert run(["cite", "--with", "gromacs"]) == 2
    assert "plumed" in capsys.readouterr().err
    with pytest.raises(InputError):
        citations(["nothing.npz"])


def test_progress_is_one_line_of_a_notebook_that_stays_as_it_ended(monkeypatch, capsys):
    with progress.progress("generating", 3) as advance:
        advance(3)
    assert "generating: 3 of 3 frames (100%)" in capsys.readouterr().err
    shown = []

    def display(line, display_id):
        assert display_id
        shown.append(line)
        return SimpleNamespace(update=shown.append)

    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    ipython = SimpleNamespace(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_SHOWN", -1.0)
    with progress.progress("<generating>", 4) as advance:
        advance(1)
        advance(2)
    assert [line.partition(",")[0] for line in shown] == [
        f"<span>&lt;generating&gt;: {done} frames" for done in ("0 of 4", "1 of 4", "3 of 4", "3")
    ]
    assert ["value='3' max='4'" in line for line in shown] == [False, False, True, False]
    assert not "".join(capsys.readouterr())


def test_the_kinetics_of_groups_name_them(states):
    grouping = trajlm.group_by_list(states, [0, 0, 1, 1], names=("open", EVIL))
    page = trajlm.kinetics(grouping.apply(states))._repr_html_()
    assert "Kinetics of 2 groups" in page
    assert "population of 0, open" in page
    assert EVIL not in page
