"""Systems whose truth is known: model potentials, alanine dipeptide, hidden Markov processes."""

from __future__ import annotations

from collections.abc import Callable

from trajlm.data import Features
from trajlm.errors import InputError

SYSTEMS = ("linear3", "triangular3", "four_state", "alanine")


def simulate(
    system: str,
    n_frames: int,
    n_trajectories: int = 1,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    n_threads: int | None = None,
) -> Features:
    """Simulate a system by its name, with the settings of the paper.

    Parameters
    ----------
    system
        ``linear3``, ``triangular3``, ``four_state`` (a frame is one time unit) or ``alanine``
        (a frame is 0.1 ps).
    n_frames
        Frames in each trajectory.
    n_trajectories
        Number of independent trajectories, run side by side.
    seed
        The same seed gives the same result.
    progress
        Called now and then with the number of frames newly done, counted over trajectories.
    n_threads
        That share the trajectories of a potential; all cores when None. The result is the same
        for any number. Each walker of ``alanine`` is a process of one thread.

    Returns
    -------
    Features
        Columns x and y, or phi and psi.

    Raises
    ------
    InputError
        An unknown name; the message lists the names. Numbers that are not positive.
    MissingDependencyError
        ``alanine`` without OpenMM.
    """
    if system not in SYSTEMS:
        raise InputError(f"there is no system {system!r}: the systems are {', '.join(SYSTEMS)}")
    if system == "alanine":
        from trajlm.systems.alanine import FRAME_PS, simulate_alanine

        n_ns = n_frames * n_trajectories * FRAME_PS / 1000
        return simulate_alanine(n_ns, n_trajectories, seed=seed, progress=progress)
    from trajlm.systems.langevin import simulate_langevin
    from trajlm.systems.potentials import POTENTIALS

    return simulate_langevin(
        POTENTIALS[system],
        n_frames,
        n_trajectories,
        seed,
        progress=progress,
        n_threads=n_threads,
    )
