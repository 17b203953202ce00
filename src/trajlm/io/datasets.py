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
        What its one column holds.
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


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
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
        One trajectory of one column.

    Raises
    ------
    InputError
        As `fetch_dataset`.
    """
    from trajlm.io import read_text

    path = fetch_dataset(name)
    dataset = DATASETS[name]
    features = read_text(path, columns=[0], dt=dataset.dt, unit=dataset.unit)
    return replace(features, names=(dataset.quantity,))


def _download(name: str, dataset: Dataset) -> Path:
    import pooch

    try:
        return Path(
            pooch.retrieve(
                dataset.url,
                known_hash=f"sha256:{dataset.sha256}",
                fname=Path(dataset.path).name,
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
