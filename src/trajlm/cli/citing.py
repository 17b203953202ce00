"""What to cite: BibTeX entries for what was used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from trajlm.errors import InputError
from trajlm.io import read_states
from trajlm.io.sources import read_bytes
from trajlm.models.registry import load_model, read_record
from trajlm.provenance import Clustering, Discretization, Grouped
from trajlm.util.checked import UNEXPECTED
from trajlm.util.words import complaint

# Entries of references.bib by what brings them in.
CITED_FOR = {
    "lstm": ("paszke2019", "lam2015"),
    "lstm-columns": ("paszke2019", "lam2015"),
    "ensemble": ("paszke2019", "lam2015"),
    "conditional": ("paszke2019", "lam2015"),
    "msm": ("prinz2011", "hoffmann2022"),
    "hmm": ("rabiner1989", "hoffmann2022"),
    "kmeans": ("hoffmann2022",),
    "tica": ("perezhernandez2013", "noe2015", "hoffmann2022"),
    "vamp": ("wu2020", "hoffmann2022"),
    "pcca": ("roblitz2013", "hoffmann2022"),
    "deeptime": ("hoffmann2022",),
    "mdtraj": ("mcgibbon2015",),
    "openmm": ("eastman2024",),
    "plumed": ("tribello2014", "plumed2019"),
    "langevin": ("bussi2007",),
}


def citations(paths: Sequence[str | Path] = (), used: Iterable[str] = ()) -> str:
    """Return BibTeX for the method, this software and what else was used.

    Parameters
    ----------
    paths
        Model folders, reports and files of states, which say how they were made.
    used
        What they cannot say: names among lstm, ensemble, msm, hmm, kmeans, tica, vamp, pcca,
        deeptime, mdtraj, openmm, plumed and langevin.

    Raises
    ------
    InputError
        A name that is not known, or a path that says nothing.
    """
    names = {name.strip().lower() for name in used if name.strip()}
    for name in sorted(names - set(CITED_FOR)):
        raise InputError(f"there is no citation for {name!r}: give some of {', '.join(CITED_FOR)}")
    for path in paths:
        names |= _used_in(Path(path))
    entries = _entries()
    more = dict.fromkeys(key for name in CITED_FOR if name in names for key in CITED_FOR[name])
    return "\n\n".join([entries["tsai2020"], _software(), *(entries[key] for key in more)])


def _software() -> str:
    return (
        "@software{trajlm,\n  author = {{The trajlm developers}},\n"
        "  title = {trajlm: molecular trajectories as a language},\n"
        f"  version = {{{version('trajlm')}}}\n}}"
    )


def _entries() -> dict[str, str]:
    text = resources.files("trajlm").joinpath("templates/references.bib").read_text("utf-8")
    parts = [part.strip() for part in re.split(r"\n(?=@)", text)]
    return {part[part.index("{") + 1 : part.index(",")]: part for part in parts}


def _used_in(path: Path) -> set[str]:
    """Return what a model folder, a report or a file of states was made with."""
    if (path / "results.json").is_file():
        return _used_in_report(path / "results.json")
    if path.is_dir():
        model = load_model(path)
        return {model.kind} | _used_in_discretization(model.space.discretization)
    return _used_in_discretization(read_states(path).discretization)


def _used_in_report(path: Path) -> set[str]:
    data = read_bytes(path)
    try:
        results = json.loads(data)
        names = {"pcca"} if results["grouping"]["method"] == "pcca" else set()
        records = (read_record(model["record"]) for model in results["models"].values())
        names |= {record.kind for record in records if record}
        how = Discretization.from_dict(results["space"]["discretization"])
        return names | _used_in_discretization(how)
    except UNEXPECTED as error:
        raise InputError(f"{path} is no report of trajlm ({complaint(error)})") from None


def _used_in_discretization(how: Discretization) -> set[str]:
    method = how.method
    names = {"pcca"} if isinstance(method, Grouped) and method.rule == "pcca" else set()
    cut = method.fine if isinstance(method, Grouped) else method
    names |= {"kmeans"} if isinstance(cut, Clustering) else set()
    return names | ({how.projection.method.lower()} if how.projection else set())
