"""The two stretches of each public system: one to learn, one that no model sees."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trajlm.analysis import Grouping, group_by_list
from trajlm.data import States
from trajlm.discretize import Bins, KMeans
from trajlm.errors import InputError
from trajlm.io import fret_efficiency, read_features, read_states
from trajlm.io.arrays import load_npz
from trajlm.io.datasets import DATASETS, FOLDER_VARIABLE, fetch_dataset, load_dataset
from trajlm.util.arrays import AnyArray

# States of the angles of alanine dipeptide, and bins of FRET efficiencies.
ALANINE_STATES, FRET_BINS = 100, 30
# What to put where, for data whose published files have another form or are not known by checksum.
GPT_FORM = (
    "put train_data.txt and inference_data.txt there from the folder of this system in "
    "github.com/palash892/gpt_state_generation, one state a line"
)
HP35_FORM = (
    "it holds the arrays microstates, numbered from 0, made of CLUSTERING/hp35.mindist2."
    "gaussian10f_microstates_pcs5_p153, and macrostate_of_microstate, from 1, made of the file "
    "MPP/*.macrotraj_lumped13, both in github.com/moldyn/HP35"
)
KINSOFT_FORM = (
    "it holds one array for each trace of this level in zenodo.org/records/5701310, trace_001, "
    "trace_002 ..., with the columns of the published text files"
)


@dataclass(frozen=True)
class Stretches:
    """What is learned, and what models and the data itself are judged on.

    Parameters
    ----------
    training, unseen
        In the same states, which were chosen on the first.
    grouping
        Of the states into metastable ones; None: as a comparison chooses it, on the first.
    """

    training: States
    unseen: States
    grouping: Grouping | None = None


def gpt_states(system: str) -> Stretches:
    """Read ``train_data.txt`` and ``inference_data.txt`` of a system, or its ``states.npz``."""
    packed = local_file(f"{system}/states.npz")
    if packed is not None:
        arrays, _ = load_npz(packed, None)
        return _same_states(arrays["train"], arrays["unseen"], 1.0, "frame")
    files = [_text_file(f"{system}/{name}_data.txt") for name in ("train", "inference")]
    training, unseen = (read_states(file).trajectories[0] for file in files)
    return _same_states(training, unseen, 1.0, "frame")


def hp35_contacts() -> Stretches:
    """Cut the microstates of villin in half; groups are the published macrostates."""
    arrays, _ = load_npz(wanted_file("hp35_contacts/states.npz", HP35_FORM), None)
    microstates, macrostates = arrays["microstates"], arrays["macrostate_of_microstate"]
    half = len(microstates) // 2
    found = _same_states(microstates[:half], microstates[half:], 0.2, "ns")
    names = [str(k) for k in range(1, macrostates.max() + 1)]
    grouping = group_by_list(found.training, [int(k) - 1 for k in macrostates], names=names)
    return Stretches(found.training, found.unseen, grouping)


def alanine_angles() -> Stretches:
    """Cut phi and psi into k-means states of their cosines and sines, by the first run."""
    runs = [
        replace(load_dataset(f"mdshare_alanine_{k}"), periods=2 * ((-np.pi, np.pi),))
        for k in range(3)
    ]
    cut = KMeans(ALANINE_STATES, seed=0).fit(runs[0])
    training, *others = [cut.transform(run) for run in runs]
    return Stretches(training, training.with_trajectories([s for run in others for s in run]))


def kinsoft(level: int) -> Stretches:
    """Cut FRET efficiencies into bins; every other molecule is unseen."""
    path = wanted_file(f"kinsoft_blind/level{level}.npz", KINSOFT_FORM)
    traces = read_features(path, key="trace_*", time_column=0, unit="s")
    both = [traces[first::2] for first in (0, 1)]
    training, unseen = (fret_efficiency(f, "x1", "x2", bleach=0.5, clip=(-0.2, 1.2)) for f in both)
    cut = Bins(FRET_BINS, open_ends=True).fit(training)
    return Stretches(cut.transform(training), cut.transform(unseen))


def local_file(path: str) -> Path | None:
    """Return a file of the folder that TRAJLM_DATA names; None where it is not there."""
    folder = os.environ.get(FOLDER_VARIABLE)
    file = Path(folder or "") / path
    return file if folder and file.is_file() else None


def wanted_file(path: str, form: str) -> Path:
    """Return a file of the folder that TRAJLM_DATA names.

    Raises
    ------
    InputError
        It is not there; the message says what it holds and where that is had.
    """
    file = local_file(path)
    if file is None:
        raise InputError(f"{path} is not in a folder that {FOLDER_VARIABLE} names: {form}")
    return file


def _text_file(path: str) -> Path:
    name = path.removesuffix("_data.txt").replace("/", "_")
    return fetch_dataset(name) if name in DATASETS else wanted_file(path, GPT_FORM)


def _same_states(training: AnyArray, unseen: AnyArray, dt: float, unit: str) -> Stretches:
    n_states = 1 + int(max(training.max(), unseen.max()))
    first, second = (States(s.astype(np.int64), n_states, dt, unit) for s in (training, unseen))
    return Stretches(first, second)
