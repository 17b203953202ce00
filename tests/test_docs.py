"""The commands of the pages about one's own data, run as they stand there; the site's build."""

import glob
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import trajlm
from trajlm.cli import run
from trajlm.cli.commands import COMMANDS
from trajlm.systems.hidden_markov import markov_chain

DOCS = Path(__file__).parent.parent / "docs"
WELLS = np.array([[0.97, 0.03, 0.0], [0.05, 0.9, 0.05], [0.0, 0.03, 0.97]])


def blocks(page, language):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(page):
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("trajlm ")]


def walk(n, seed=0):
    """Return a noisy coordinate with three wells at -1, 0 and 1."""
    wells = markov_chain(WELLS, 1.0, "frame").simulate(n, seed=seed).trajectories[0]
    return wells.astype(float) - 1 + np.random.default_rng(seed).normal(0, 0.15, n)


def make_colvar(folder):
    rows = "".join(f" {0.2 * t:.6f} {x:.6f}\n" for t, x in enumerate(walk(4000)))
    sets = "#! SET min_phi -pi\n#! SET max_phi pi\n"
    (folder / "COLVAR").write_text(f"#! FIELDS time phi\n{sets}{rows}")


def make_trace(folder):
    x = 700 + 5 * np.repeat(walk(4000), 10) + np.random.default_rng(1).normal(0, 1, 40_000)
    np.savetxt(folder / "trace.txt", x, header="extension", comments="", fmt="%.3f")


def make_runs(folder):
    (folder / "runs").mkdir()
    for k in range(12):
        np.savetxt(folder / "runs" / f"{k:02}.txt", walk(400, k), header="x", comments="")


def make_fret(folder):
    (folder / "level1").mkdir()
    header = "%t (s)\tIdd (a.u.)\tIda (a.u.)\tIaa (a.u.)\tFRET E"
    for k in range(12):
        E = 0.5 + 0.3 * walk(400, k)
        noise = np.random.default_rng(k).normal(0, 60, (400, 3))
        seen = 1000 * np.column_stack([1 - E, E, np.ones(400)]) + noise
        rows = np.column_stack([0.2 * np.arange(400), seen, seen[:, 1] / seen[:, :2].sum(axis=1)])
        path = folder / "level1" / f"trace_{k}.txt"
        np.savetxt(path, rows, "%.3f", "\t", header=header, comments="")


def make_molecule(folder):
    """Twist phi of alanine dipeptide between two wells, written as GROMACS would."""
    mdtraj = pytest.importorskip("mdtraj")
    pdb = Path(trajlm.__file__).parent / "systems" / "alanine_dipeptide.pdb"
    frame = mdtraj.load(str(pdb))
    states = markov_chain(WELLS, 1.0, "frame").simulate(3000, seed=0).trajectories[0]
    xyz = np.repeat(frame.xyz, 3000, axis=0)
    axis = frame.xyz[0, 8] - frame.xyz[0, 6]
    axis /= np.linalg.norm(axis)
    angles = states + np.random.default_rng(0).normal(0, 0.2, 3000)
    turned = [a for a in range(22) if a not in (4, 5, 6, 7, 0, 1, 2, 3)]
    arms = frame.xyz[0, turned] - frame.xyz[0, 6]
    cosines, sines = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    along = (arms @ axis)[:, None] * axis
    xyz[:, turned] = frame.xyz[0, 6] + along + cosines * (arms - along)
    xyz[:, turned] += sines * np.cross(axis, arms)
    trajectory = mdtraj.Trajectory(xyz, frame.topology, time=0.1 * np.arange(3000))
    trajectory.save_xtc(str(folder / "traj.xtc"))
    frame.save_pdb(str(folder / "top.pdb"))


@pytest.mark.parametrize(
    ("page", "make"),
    [
        ("colvar", make_colvar),
        ("force", make_trace),
        ("smfret", make_fret),
        ("short-trajectories", make_runs),
        ("molecular-dynamics", make_molecule),
    ],
)
def test_the_commands_of_a_page_lead_to_a_report(page, make, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make(tmp_path)
    for command in commands(page):
        words = [name for word in command for name in (sorted(glob.glob(word)) or [word])]
        if words[0] == "train":
            words += ["--epochs", "1"]
        if words[0] == "compare":
            words += ["--runs", "2"]
        assert run(words) == 0, capsys.readouterr().err
    assert (tmp_path / "report" / "index.html").exists()


@pytest.mark.parametrize("page", sorted(p.stem for p in DOCS.glob("*.md")))
def test_commands_and_options_on_every_page_exist(page, capsys):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    for name in re.findall(r"trajlm ([a-z]+)\b(?=[ `\n])", text):
        assert name in COMMANDS, name
    for command in commands(page):
        assert run([command[0], "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(word.split("=")[0] in shown for word in command if word.startswith("--"))


def test_every_page_is_in_the_contents():
    listed = set(re.findall(r"^([a-z-]+)$", "\n".join(blocks("index", "{toctree}")), re.MULTILINE))
    assert listed >= {p.stem for p in DOCS.glob("*.md")} - {"index", "performance"}


def test_the_first_page_has_plain_links_to_all_others():
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([a-z-]+)\.md\)", text))
    assert links == {p.stem for p in DOCS.glob("*.md")} - {"index"}
    assert (DOCS / "results" / "README.md").exists()


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("sphinx"), reason="needs the extra docs")
def test_the_site_builds_without_a_warning(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(tmp_path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
