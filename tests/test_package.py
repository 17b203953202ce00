import re
import subprocess
import sys
from inspect import ismodule
from pathlib import Path

import pytest

import trajlm
from trajlm.util import devices


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_import_brings_no_heavy_package():
    loaded = run("import sys, trajlm; print(*sys.modules)").split()
    heavy = {"torch", "numba", "deeptime", "matplotlib", "scipy", "openmm", "pydantic", "numpy"}
    assert heavy.isdisjoint(loaded)


def test_help_brings_no_heavy_package():
    code = "import sys, trajlm.cli; trajlm.cli.run(['--help']); print(*sys.modules)"
    loaded = run(code).split()
    assert {"torch", "numba", "deeptime", "matplotlib", "scipy"}.isdisjoint(loaded)


NAMES = [name for name in trajlm.__all__ if not ismodule(getattr(trajlm, name))]


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(trajlm, name)
    assert callable(value)
    assert value.__doc__


def test_the_api_page_has_every_public_name():
    page = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
    written = set(re.findall(r"^\.\. auto\w+:: ([\w.]+)$", page, re.MULTILINE))
    assert {f"trajlm.{name}" for name in NAMES} <= written | documented_by_module(page)
    for room in (trajlm.analysis, trajlm.plots):
        missing = {
            name
            for name in room.__all__
            if callable(getattr(room, name)) and f"{room.__name__}.{name}" not in written
        }
        assert not missing or f".. automodule:: {room.__name__}" in page


def documented_by_module(page):
    """Names whose home is a module that the page documents as a whole."""
    whole = re.findall(r"^\.\. automodule:: ([\w.]+)$", page, re.MULTILINE)
    return {f"trajlm.{name}" for name in NAMES if getattr(trajlm, name).__module__ in whole}


@pytest.mark.slow
def test_a_name_that_is_not_there_is_an_error_for_mypy_and_the_others_have_types(tmp_path):
    api = pytest.importorskip("mypy.api")
    uses = tmp_path / "uses.py"
    uses.write_text(
        "import trajlm\n"
        "reveal_type(trajlm.load_dataset)\n"
        "reveal_type(trajlm.LSTMEstimator(seed=1).fit([0, 1, 0]).fetch_model())\n"
        "trajlm.nonsense\n"
        "trajlm.LSTMEstimator(nonsense=1)\n"
    )
    found, _, _ = api.run([str(uses), "--follow-imports=silent", "--ignore-missing-imports"])
    assert 'def (name: str) -> trajlm.data.Features"' in found
    assert '"trajlm.lstm.model.LSTMModel"' in found
    assert ":4: error: Module has no attribute" in found
    assert ":5: error: Unexpected keyword argument" in found


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert trajlm.__version__ == version("trajlm")


def test_no_module_of_the_package_has_the_name_of_a_public_function():
    modules = {p.stem for p in Path(trajlm.__file__).parent.iterdir() if p.name[0] not in "._"}
    assert modules.isdisjoint(NAMES)


def test_public_functions_are_not_hidden_by_modules_of_their_name():
    code = "import trajlm.cli.compare, trajlm; print(callable(trajlm.compare))"
    assert run(code).strip() == "True"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        trajlm.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000", 8), ("150000 100000", 2), ("5000 100000", 1), ("9900000 100000", 8), ("", 8)],
)
def test_cores_are_those_that_a_container_may_use(text, cores, tmp_path, monkeypatch):
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    monkeypatch.setattr(devices, "QUOTA", quota)
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda _: range(8), raising=False)
    assert devices.usable_cores() == cores
    quota.unlink()
    assert devices.usable_cores() == 8
