"""The systems of the benchmark: where their data is from, what is learned, and beside what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from trajlm.errors import InputError
from trajlm.lstm.settings import Columns
from trajlm.reproduce.benchmark.data import (
    Stretches,
    alanine_angles,
    gpt_states,
    hp35_contacts,
    kinsoft,
)


@dataclass(frozen=True)
class System:
    """A public system.

    Parameters
    ----------
    name, title
        For the command, and for people.
    about
        What is learned, and what is unseen.
    source
        Where the data is from, its terms and what to cite.
    load
        Reads both stretches.
    columns
        What the language models draw, one kind each (`TrainingSettings.columns`).
    max_hidden
        Most hidden states that are tried; None: no hidden Markov model is fitted.
    left_out
        Why not.
    relaxation_lags
        Frames at which T(t) of the groups is judged too; none where it is not.
    """

    name: str
    title: str
    about: str
    source: str
    load: Callable[[], Stretches]
    columns: tuple[Columns, ...] = ("auto",)
    max_hidden: int | None = 6
    left_out: str = ""
    relaxation_lags: tuple[int, ...] = ()


_GPT = "GitHub palash892/gpt_state_generation (GPL-3); Bera and Mondal, Chem. Sci. (2025)"
_DESRES = "; the run itself is D. E. Shaw Research's, for non-commercial use, never to be passed on"
_GPT_STRETCHES = (
    "Learned from train_data.txt; unseen is inference_data.txt, as in the peers' benchmark. The "
    "frames between them (val_data.txt) are not used"
)
_KINSOFT = "kinSoftChallenge, Zenodo 5701310 (CC-BY-4.0); Götz et al., Nat. Commun. 13:5402 (2022)"
_FRET = (
    "Efficiencies in 30 bins, cut at bleaching; the first, third, fifth ... trace is learned, the "
    "others are unseen. Groups are hidden states of the training traces: every path, of data and "
    "of models, is drawn by a hidden Markov model, which brings kinetics of its own into each row"
)


def _gpt(name: str, title: str, terms: str = "") -> System:
    load = partial(gpt_states, f"gpt_{name}")
    return System(f"gpt_{name}", title, f"{_GPT_STRETCHES}.", f"{_GPT}{terms}.", load)


_ALL = (
    _gpt("trpcage", "Trp-cage, 3 states", _DESRES),
    System(
        name="mdshare_alanine",
        title="Alanine dipeptide in water, 100 states of phi and psi",
        about="Learned from the first run of 250 ns (1 ps a frame), judged on the two others. "
        "K-means states of both angles on the circle, by the first run; groups are its four PCCA+ "
        "groups.",
        source="GitHub xuhuihuang/memnets (MIT), the data of the tutorials of PyEMMA and deeptime.",
        load=alanine_angles,
        columns=("auto", "state"),
        max_hidden=6,
        relaxation_lags=(1, 2, 5, 10, 20, 50, 100, 200, 500),
    ),
    System(
        name="hp35",
        title="Villin HP35, 547 microstates of contacts",
        about="Learned from the first half of a run of 300 us (0.2 ns a frame), judged on the "
        "second. Groups are the 12 published macrostates.",
        source=f"GitHub moldyn/HP35 (BSD-3); Nagel, Sartore, Stock, JCTC (2023){_DESRES}.",
        load=hp35_contacts,
        max_hidden=None,
        left_out="547 states ask for more hidden states than are fitted in hours",
    ),
    System(
        name="kinsoft1",
        title="kinSoft level 1, smFRET of two states",
        about=f"75 simulated traces of the blind challenge. {_FRET}.",
        source=f"{_KINSOFT}.",
        load=partial(kinsoft, 1),
    ),
    System(
        name="kinsoft3",
        title="kinSoft level 3, four hidden states seen as two",
        about=f"250 simulated traces of the blind challenge. {_FRET}.",
        source=f"{_KINSOFT}.",
        load=partial(kinsoft, 3),
    ),
    _gpt("passive_polymer", "Passive polymer, 5 states"),
    _gpt("active_polymer", "Active polymer, 2 states"),
    _gpt("asyn", "Alpha-synuclein, 3 states", _DESRES),
    _gpt("four_state", "Four states of a model potential"),
    _gpt("three_state", "Three states of a model potential"),
)
SYSTEMS: Mapping[str, System] = MappingProxyType({system.name: system for system in _ALL})
# Whose data comes with a checksum, or from a folder in a form that was tried.
ALL = tuple(SYSTEMS)[:6]


def system_of(name: str) -> System:
    """Return the system of a name.

    Raises
    ------
    InputError
        There is none; the message lists the names.
    """
    if name not in SYSTEMS:
        raise InputError(f"there is no system {name!r}: there are {', '.join(SYSTEMS)} and all")
    return SYSTEMS[name]
