"""The README's examples, run as they stand there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from trajlm.cli import run
from trajlm.reproduce.paper.recipe import SYSTEMS
from trajlm.systems.hidden_markov import markov_chain

README = Path(__file__).parent.parent.joinpath("README.md").read_text(encoding="utf-8")
WELLS = np.array([[0.97, 0.03, 0.0], [0.05, 0.9, 0.05], [0.0, 0.03, 0.97]])


def blocks(language):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


@pytest.fixture
def coordinate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wells = markov_chain(WELLS, 1.0, "frame").simulate(6000, seed=0).trajectories[0]
    return wells.astype(float) - 1 + np.random.default_rng(0).normal(0, 0.2, 6000)


def test_python_example(coordinate, tmp_path, capsys):
    lines = ["#! FIELDS time phi psi", "#! SET min_phi -pi", "#! SET max_phi pi"]
    lines += [f"{0.2 * t:.6f} {x:.6f} {-x:.6f}" for t, x in enumerate(coordinate)]
    (tmp_path / "COLVAR").write_text("\n".join(lines) + "\n")
    (example,) = blocks("python")
    assert len(example.splitlines()) <= 12
    exec(compile(example, "README", "exec"), {})
    assert capsys.readouterr().out.startswith("LSTM")
    assert (tmp_path / "report" / "index.html").exists()


def test_command_line_example(coordinate, tmp_path, capsys):
    table = np.column_stack([0.1 * np.arange(6000), 700 + 5 * coordinate])
    np.savetxt("extension.txt", table, header="time extension", comments="", fmt="%.4f")
    commands = [
        line for block in blocks("sh") for line in block.splitlines() if line.startswith("trajlm ")
    ]
    assert len(commands) == 4
    for command in commands:
        assert run(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    assert (tmp_path / "report" / "results.json").exists()
    assert np.load("generated.npy").shape == (4, 100_000)


def test_set_up_commands_are_targets_of_the_makefile():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in re.findall(r"^make (\S+)", "\n".join(blocks("sh")), flags=re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_the_table_of_systems_is_that_of_the_results():
    results = (Path(__file__).parent.parent / "docs" / "results" / "README.md").read_text("utf-8")
    table = [line for line in results.splitlines() if line.startswith("|")]
    assert len(table) >= 4
    assert "\n".join(table) in README


def test_every_system_has_its_page():
    folder = Path(__file__).parent.parent / "docs" / "results"
    for name in SYSTEMS:
        page = (folder / f"{name}.md").read_text("utf-8")
        for figure in re.findall(r"\]\((figures/[^)]*)\)", page):
            assert (folder / figure).exists(), figure
