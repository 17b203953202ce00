"""Public trajectories by name: fetched with a checksum, or taken from a local folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from trajlm.data import Features
from trajlm.errors import InputError

# A folder that holds the files, so that nothing is fetched.
FOLDER_VARIABLE = "TRAJLM_DATA"

_WOODSIDE = (
    "https://raw.githubusercontent.com/bhmm/singlemoleculetools/"
    "d47ed2182faf6968d89cf61a017c3e9ca3d3837b/examples/woodside-multistate/"
)


_MEMNETS = (
    "https://raw.githubusercontent.com/xuhuihuang/memnets/03cb2268d2d2e1984eeb9fc7e6940714a7b8148a/"
    "data/alanine_dipeptide/dihedral_coordinates/"
)
_GPT = "https://raw.githubusercontent.com/palash892/gpt_state_generation/"
_BERA = "Bera and Mondal, Chem. Sci. (2025)"


@dataclass(frozen=True)
class Dataset:
    """A public record and where it is found.

    Parameters
    ----------
    title
        What it is.
    url
        Public address.
    sha256
        Checksum of the file.
    path
        Where the file lies in a local folder.
    quantity
        What its columns hold, with commas between.
    dt, unit
        Time between two frames and its unit.
    terms
        Licence and source.
    cite
        Publication of the data.
    """

    title: str
    url: str
    sha256: str
    path: str
    quantity: str
    dt: float
    unit: str
    terms: str
    cite: str


def _dihedrals(run: int, sha256: str) -> Dataset:
    return Dataset(
        title=f"alanine dipeptide in water, run {run}: phi and psi/radian",
        url=f"{_MEMNETS}dihedral_traj{run}.npy",
        sha256=sha256,
        path=f"mdshare_alanine/dihedral_traj{run}.npy",
        quantity="phi, psi",
        dt=1.0,
        unit="ps",
        terms="GitHub xuhuihuang/memnets (MIT), the data of the tutorials of PyEMMA and deeptime",
        cite="Nueske et al., J. Chem. Phys. 146:094104 (2017)",
    )


def _gpt(system: str, folder: str, stretch: str, terms: str, sha256: str) -> Dataset:
    """Describe a stretch of states, one a line, of the benchmark of language models."""
    return Dataset(
        title=f"{system.replace('_', ' ')}: states, {stretch}",
        url=f"{_GPT}{folder}/run_1/{stretch}_data.txt",
        sha256=sha256,
        path=f"gpt_{system}/{stretch}_data.txt",
        quantity="state",
        dt=1.0,
        unit="frame",
        terms=f"GitHub palash892/gpt_state_generation (GPL-3){terms}",
        cite=_BERA,
    )


_DESRES = "; a run of D. E. Shaw Research: not for commerce, not to be passed on"
_TRPCAGE = "871abbe877f29c078897c45fb374969816e8a1ec/trpcage_deshaw_data"
_POLYMER = "9bc70c03427d49cb984a93c741aed187faaef2f1/passive_polymer"

DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "gpt_passive_polymer_train": _gpt(
            "passive_polymer",
            _POLYMER,
            "train",
            "",
            "1291fcbe2e7b52bf5304daa437192057264ba2ba360a47c69ef3f7d7e9e13804",
        ),
        "gpt_passive_polymer_inference": _gpt(
            "passive_polymer",
            _POLYMER,
            "inference",
            "",
            "5dbb1ae442320cf66ff32327d9dae13321b0e4368d39242be749dd68680da9bd",
        ),
        "gpt_trpcage_train": _gpt(
            "trpcage",
            _TRPCAGE,
            "train",
            _DESRES,
            "8a7e4e05fd3913a0d745a1271c59749d605e2b9869879f2cc72d59c1d7cd509f",
        ),
        "gpt_trpcage_inference": _gpt(
            "trpcage",
            _TRPCAGE,
            "inference",
            _DESRES,
            "a115d9df511ca5be029249f4f69665797fff690819f8d91272271dc3a248b286",
        ),
        "mdshare_alanine_0": _dihedrals(
            0, "d08f7af1fb8a169ee5ec01c2fe0e3dd7f9c8ec77ae8c57f5b547ea127915dc8e"
        ),
        "mdshare_alanine_1": _dihedrals(
            1, "8f71bcc5014f0a7fdfaa55575b58faf7497196bae87fb4892ba9c99520262412"
        ),
        "mdshare_alanine_2": _dihedrals(
            2, "296b542dff97bdf945fcc4520adfa8c4a976e921470fd78f14fc1d7d0c240741"
        ),
        "riboswitch_mol2": Dataset(
            title="add adenine riboswitch aptamer at constant force, molecule 2: extension/nm",
            url=_WOODSIDE + "Mol2_6_Ext_9.txt",
            sha256="de6685a656fcebcee4f99a044a0a13f58cfc9b93b2f90f487e59537dbab53cc8",
            path="riboswitch/Mol2_6_Ext_9.txt",
            quantity="extension",
            dt=0.1,
            unit="ms",
            terms="GitHub bhmm/singlemoleculetools (LGPLv3), data of the Woodside group",
            cite="Neupane et al., Nucleic Acids Res. 39:7677 (2011)",
        ),
        "riboswitch_mol3": Dataset(
            title="add adenine riboswitch aptamer at constant force, molecule 3: extension/nm",
            url=_WOODSIDE + "Mol3_9_Ext_15.txt",
            sha256="eaa5b00e03ea8fc1ea9088ecc6accf2030dab3aa88fa61239b539224ff73226a",
            path="riboswitch/Mol3_9_Ext_15.txt",
            quantity="extension",
            dt=0.1,
            unit="ms",
            terms="GitHub bhmm/singlemoleculetools (LGPLv3), data of the Woodside group",
            cite="Neupane et al., Nucleic Acids Res. 39:7677 (2011)",
        ),
    }
)


def fetch_dataset(name: str) -> Path:
    """Return the local file of a public data set, fetching it where it is not here yet.

    The folder that the environment variable TRAJLM_DATA names is looked into first; else the
    file comes from its public address, once, into the user's cache folder. Either way its
    checksum is verified.

    Raises
    ------
    InputError
        An unknown name, a file with another checksum, or a file that cannot be had; the
        message says both ways to get it.
    """
    if name not in DATASETS:
        raise InputError(f"there is no data set {name!r}: there are {', '.join(sorted(DATASETS))}")
    dataset = DATASETS[name]
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        for path in (Path(folder) / dataset.path, Path(folder) / Path(dataset.path).name):
            if path.is_file():
                return _verified(path, dataset)
    return _download(name, dataset)


def load_dataset(name: str) -> Features:
    """Read a public data set, with its dt and unit.

    Returns
    -------
    Features
        One trajectory of the columns that `Dataset.quantity` names.

    Raises
    ------
    InputError
        As `fetch_dataset`.
    """
    from trajlm.io import read_features

    path = fetch_dataset(name)
    dataset = DATASETS[name]
    names = tuple(dataset.quantity.split(", "))
    features = read_features(path, list(range(len(names))), dt=dataset.dt, unit=dataset.unit)
    return replace(features, names=names)


def _download(name: str, dataset: Dataset) -> Path:
    import pooch

    try:
        return Path(
            pooch.retrieve(
                dataset.url,
                known_hash=f"sha256:{dataset.sha256}",
                fname=dataset.path.replace("/", "-"),
                path=pooch.os_cache("trajlm"),
                downloader=pooch.HTTPDownloader(timeout=30),
            )
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"the data set {name} could not be fetched ({reason}): get {dataset.url} yourself "
            f"and put it at {dataset.path} in a folder that {FOLDER_VARIABLE} names, or try again "
            "with a connection"
        ) from None


def _verified(path: Path, dataset: Dataset) -> Path:
    import pooch

    if pooch.file_hash(str(path)) != dataset.sha256:
        raise InputError(
            f"{path} is not the published file, its checksum differs: download {dataset.url} again"
        )
    return path
