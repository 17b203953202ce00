"""What the names of columns mean: times and their units, counters of frames, molecules, grids."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

PREFIXES = {
    "": ("", ""),
    "f": ("f", "femto"),
    "p": ("p", "pico"),
    "n": ("n", "nano"),
    "µ": ("u", "micro"),
    "m": ("m", "milli"),
}
UNITS = {
    **{
        spelt: f"{prefix}s"
        for prefix, (short, long) in PREFIXES.items()
        for spelt in (
            *(f"{short}{word}" for word in ("s", "sec", "secs")),
            *(f"{long}{word}" for word in ("sec", "secs", "second", "seconds")),
        )
    },
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
}
MICRO = str.maketrans("µμ", "uu")  # U+00B5, the micro sign, and U+03BC, the Greek letter

TIME = re.compile(
    r"(?P<kind>elapsed|simulation|sim|total|acquisition|relative|real|md|lab)?[\s_.-]*"
    r"(?P<word>time(?:[\s_-]?stamp)?|zeit|t)(?P<rest>\W.*|_.*|\s+in\s+.*)?",
    re.IGNORECASE | re.DOTALL,
)
# What a second row of a header holds: s, nm, (pN), a.u., or nothing.
UNIT_WORD = re.compile(
    r"[(\[]?(?:[fpnuµμmk]?(?:s|sec|m|N|V|A|J|Hz|g|rad)|Å|A|Angstroms?|deg|degrees?|rad|°|K|bar|"
    r"k[JT](?:/mol)?|kcal/mol|a\.?u\.?|arb\.?|counts?|frames?|%|-|1)?[)\]]?"
)
COUNTERS = {"frame", "step", "index", "idx", "iteration", "iter", "sample", "snapshot", "nstep",
            "timestep", "mdstep", "nframe", "row", "unnamed:0", "#"}  # fmt: skip
MOLECULES = {"molecule", "mol", "trace", "particle", "traj", "trajectory", "replica", "replicate",
             "walker", "run", "segment", "id", "pair", "fretpair", "spot", "cell",
             "movie", "file", "track"}  # fmt: skip
NUMBERED = re.compile(r"(?:[\s_.#-]*(?:number|num|no|nr|index|idx|ids?|name|n))?[\s_.#:-]*\Z")
# Of free-energy grids, histograms and distributions: a row is a point of a coordinate, not a frame.
GRIDS = ("*.free", "free", "free?energy*", "fes", "pmf", "der_*", "hist*", "*density", "prob*",
         "pdf", "count*", "bin*", "population*")  # fmt: skip


def canonical_unit(unit: str) -> str:
    """Return one spelling of a unit of time: ps for PS and picoseconds, µs for us and both µ."""
    return UNITS.get(unit.strip().translate(MICRO).lower(), unit)


def time_unit(name: str) -> tuple[bool, str | None]:
    """Return whether a column is named as a time, and the unit in its name if there is one.

    T alone is a temperature, T (K) too; t, T [s] and Time in ps are times.
    """
    match = TIME.fullmatch(name.strip().strip("\"'").strip())
    if match is None:
        return False, None
    rest = (match["rest"] or "").strip(" \t_()[]{}/,:;.-")
    rest = re.sub(r"^in\s+", "", rest, flags=re.IGNORECASE)
    if not rest:
        return match["word"] != "T" and not (match["kind"] and match["word"] == "t"), None
    unit = UNITS.get(rest.translate(MICRO).lower())
    return unit is not None, unit


def is_second_clock(name: str) -> bool:
    """Return whether a time is that of the computer rather than that of the molecule."""
    return name.strip().strip("\"'").lower().startswith(("elapsed", "real", "total"))


def is_counter(name: str) -> bool:
    """Return whether a column is named as a count of frames or steps."""
    return _stem(name) in COUNTERS


def is_molecule(name: str) -> bool:
    """Return whether a column is named as one that says which molecule or trace a row is of."""
    return _stem(name) in MOLECULES


def is_grid(name: str) -> bool:
    """Return whether a column is named as a free energy, a density or a count."""
    return any(fnmatchcase(name.strip().lower(), pattern) for pattern in GRIDS)


def is_unit(word: str) -> bool:
    """Return whether a word is a unit, in brackets or not."""
    bare = word.strip("()[] ")
    return canonical_unit(bare) in UNITS.values() or UNIT_WORD.fullmatch(word) is not None


def _stem(name: str) -> str:
    text = name.strip().strip("\"'").lower().lstrip("#")
    if not text:
        return "#" if "#" in name else ""
    joined = re.sub(r"[\s_-]+", "", text)
    if joined in COUNTERS | MOLECULES:
        return joined
    stem = re.sub(r"[\s_-]+", "", NUMBERED.sub("", text))
    return stem if stem in COUNTERS | MOLECULES else stem.removesuffix("s")
