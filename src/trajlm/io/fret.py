"""FRET efficiencies from the intensities of donor and acceptor."""

from __future__ import annotations

import numpy as np

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.io.clip import clipped
from trajlm.io.sources import select_index
from trajlm.provenance import Note
from trajlm.util.arrays import F64
from trajlm.util.trajectories import owned
from trajlm.util.words import counted

NAME = "FRET efficiency"
# Frames over which the highest mean is the level of a molecule that is not bleached.
BRIGHT_FRAMES = 10


def fret_efficiency(
    features: Features,
    donor: str | int,
    acceptor: str | int,
    *,
    gamma: float = 1.0,
    leakage: float = 0.0,
    direct_excitation: float = 0.0,
    acceptor_excited: str | int | None = None,
    bleach: float | None = None,
    clip: tuple[float, float] | None = None,
) -> Features:
    r"""Return FRET efficiencies from background-corrected intensities.

    With donor emission D and acceptor emission A after excitation of the donor, and acceptor
    emission AA after its own excitation,

    .. math:: F = A - \alpha D - \delta\,AA, \qquad E = F / (\gamma D + F)

    (Hellenkamp et al., Nat. Methods 15:669 (2018), eqs. 2 and 4).

    Parameters
    ----------
    features
        One trajectory a molecule.
    donor, acceptor
        Columns of D and A, by name or number.
    gamma
        Ratio of the detection efficiencies and quantum yields of acceptor and donor.
    leakage
        alpha: share of the donor's emission that is seen as the acceptor's.
    direct_excitation
        delta: emission of the acceptor that the donor's excitation causes, over AA.
    acceptor_excited
        Column of AA, where excitation alternates.
    bleach
        Where given, such as 0.5, each trajectory ends where a dye bleaches: where
        :math:`\gamma D + F`, or AA, falls below this share of its highest mean over ten frames for
        good. A molecule that ends within two frames is left out. An acceptor that bleaches while
        the donor does not is only seen in AA.
    clip
        Lowest and highest efficiency (low, high): what noise drives beyond is set to them.

    Returns
    -------
    Features
        One column, ``FRET efficiency``.

    Raises
    ------
    InputError
        Columns that are not there, factors out of range, direct excitation without its column, a
        frame without any intensity, or no molecule that lives two frames.

    Examples
    --------
    >>> import numpy as np, trajlm
    >>> traces = trajlm.Features(np.array([[800.0, 200.0], [300.0, 700.0]]), ("donor", "acceptor"))
    >>> trajlm.fret_efficiency(traces, "donor", "acceptor")[0].ravel()
    array([0.2, 0.7])
    """
    _check(gamma, leakage, direct_excitation, acceptor_excited, bleach)
    wanted = [donor, acceptor, *([] if acceptor_excited is None else [acceptor_excited])]
    index = select_index(features.names, wanted, "the features")
    names = [features.names[k] for k in index]
    efficiencies, n_cut, n_dark = [], 0, 0
    for number, table in enumerate(features):
        D, A, *rest = (table[:, k] for k in index)
        F = A - leakage * D - (direct_excitation * rest[0] if rest else 0.0)
        total = gamma * D + F
        end = len(total)
        if bleach is not None:
            end = min(_bleaching(x, bleach) for x in (total, *rest))
            n_cut += end < len(total)
            if end < 2:
                n_dark += 1
                continue
        if not total[:end].all():
            frame = int(np.argmin(total[:end] != 0))
            raise InputError(
                f"trajectory {number}, frame {frame}: there is no intensity, so no efficiency: cut "
                "the trace where it bleaches"
            )
        efficiencies.append(owned((F[:end] / total[:end])[:, None]))
    if not efficiencies:
        raise InputError("no molecule lives two frames before it bleaches: lower the level")
    found = Features(
        efficiencies,
        (NAME,),
        features.dt,
        features.unit,
        notes=(*features.notes, *_notes(names, gamma, leakage, direct_excitation, n_cut, n_dark)),
        steps=features.steps,
    )
    return found if clip is None else clipped(found, clip)


def _check(
    gamma: float,
    leakage: float,
    direct_excitation: float,
    acceptor_excited: str | int | None,
    bleach: float | None,
) -> None:
    if not (np.isfinite(gamma) and gamma > 0):
        raise InputError(f"gamma is {gamma}: it is a positive number, 1 for none")
    for name, factor in (("leakage", leakage), ("direct excitation", direct_excitation)):
        if not 0 <= factor < 1:
            raise InputError(f"the {name} is {factor}: it is a share from 0 to below 1")
    if direct_excitation and acceptor_excited is None:
        raise InputError(
            "direct excitation is a share of the emission after the acceptor's own excitation: "
            "name its column"
        )
    if bleach is not None and not 0 < bleach < 1:
        raise InputError(f"the level of bleaching is {bleach}: it is a share between 0 and 1")


def _bleaching(intensity: F64, share: float) -> int:
    """Return the frame from which on a trace is dark, its length where it never is.

    The frame that most others agree with: bright ones before it, dark ones from it on.
    """
    window = min(BRIGHT_FRAMES, len(intensity))
    sums = np.cumsum(np.concatenate([[0.0], intensity]))
    bright = (sums[window:] - sums[:-window]).max() / window
    dark = intensity < share * bright
    wrong = np.concatenate([[0], np.cumsum(dark)]) - np.concatenate([[0], np.cumsum(~dark)])
    # The latest of several such frames, since a molecule may blink before.
    return len(wrong) - 1 - int(wrong[::-1].argmin())


def _notes(
    names: list[str],
    gamma: float,
    leakage: float,
    direct_excitation: float,
    n_cut: int,
    n_dark: int,
) -> list[Note]:
    text = f"FRET efficiency from donor {names[0]} and acceptor {names[1]}, gamma {gamma:g}"
    text += f", leakage {leakage:g}"
    if len(names) > 2:
        text += f", direct excitation {direct_excitation:g} of {names[2]}"
    notes = [Note(text, "fret")]
    if n_cut:
        what = counted(n_cut, "trace", "traces")
        left_out = f", {n_dark} of them left out as dark from the beginning" if n_dark else ""
        notes.append(Note(f"{what} cut where a dye bleaches{left_out}", "fret"))
    return notes
