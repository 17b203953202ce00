"""Langevin dynamics of one particle in a plane of Gaussian wells."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trajlm.data import Features
from trajlm.errors import InputError
from trajlm.systems.potentials import GaussianWells
from trajlm.util.arrays import F64
from trajlm.util.devices import threads_of
from trajlm.util.trajectories import owned

BURN_IN_FRAMES = 1000

# About a fifth of a second of work: the longest that Ctrl-C has to wait.
_STEPS_PER_CHUNK = 2_000_000


@dataclass(frozen=True)
class _Walker:
    """One particle: where it is and which random numbers come next."""

    phase: F64
    rng: npt.NDArray[np.uint64]


def simulate_langevin(
    potential: GaussianWells,
    n_frames: int,
    n_trajectories: int = 1,
    seed: int = 0,
    time_step: float | None = None,
    progress: Callable[[int], None] | None = None,
    n_threads: int | None = None,
) -> Features:
    r"""Simulate Langevin dynamics with the integrator of Bussi and Parrinello.

    Each trajectory starts in a well chosen at random, and its first 1,000 frames are not kept.
    Trajectories run side by side, one a core; the result does not depend on the number of cores.

    Parameters
    ----------
    potential
        The potential with its temperature, friction, mass and step.
    n_frames
        Frames to keep in each trajectory.
    n_trajectories
        Number of independent trajectories.
    seed
        The same seed gives the same result.
    time_step
        Integration step in place of `potential.h`; the number of steps a frame stays.
    progress
        Called now and then with the number of frames newly done, counted over trajectories.
    n_threads
        That share the trajectories; all cores when None. The result is the same for any number.

    Returns
    -------
    Features
        Columns x and y in trajectories of shape (n_frames, 2), ``dt`` in time units.

    Raises
    ------
    InputError
        Numbers that are not positive, or a time step so long that the particle flies off.

    References
    ----------
    Bussi, Parrinello, Phys. Rev. E 75:056707 (2007), eq. 24. Tsai, Kuo, Tiwary,
    Nat. Commun. 11:5115 (2020), Methods.
    """
    if n_frames < 1 or n_trajectories < 1:
        raise InputError(
            f"{n_trajectories} trajectories of {n_frames} frames were asked for: "
            "give positive numbers"
        )
    if time_step is not None:
        potential = replace(potential, h=time_step)
    walkers = [_place(potential, s) for s in np.random.SeedSequence(seed).spawn(n_trajectories)]
    frames_per_chunk = max(1, _STEPS_PER_CHUNK // potential.steps_per_frame)
    trajectories = np.empty((n_trajectories, n_frames, 2))
    with ThreadPoolExecutor(min(n_trajectories, threads_of(n_threads))) as pool:
        discarded = np.empty((n_trajectories, BURN_IN_FRAMES, 2))
        _advance_all(pool, potential, walkers, discarded)
        for start in range(0, n_frames, frames_per_chunk):
            chunk = trajectories[:, start : start + frames_per_chunk]
            _advance_all(pool, potential, walkers, chunk)
            if progress is not None:
                progress(chunk.shape[0] * chunk.shape[1])
    return Features(
        list(owned(trajectories)),
        names=("x", "y"),
        dt=potential.steps_per_frame * potential.h,
        unit="time unit",
    )


def _place(potential: GaussianWells, sequence: np.random.SeedSequence) -> _Walker:
    """Put a particle with a thermal momentum in a well chosen at random."""
    placing, moving = sequence.spawn(2)
    generator = np.random.default_rng(placing)
    well = potential.wells[generator.integers(len(potential.wells))]
    momentum = generator.normal(scale=math.sqrt(potential.mass / potential.beta), size=2)
    key = moving.generate_state(1, np.uint64)[0]
    return _Walker(np.array([*well, *momentum]), np.array([key, 0], dtype=np.uint64))


def _advance_all(
    pool: ThreadPoolExecutor,
    potential: GaussianWells,
    walkers: list[_Walker],
    frames: F64,
) -> None:
    """Move every walker on and fill `frames`, shape (n_trajectories, n, 2)."""
    from trajlm.kernels.langevin import advance

    c1 = math.exp(-potential.friction * potential.h / 2)
    c2 = math.sqrt((1 - c1**2) * potential.mass / potential.beta)

    def advance_one(walker: _Walker, out: F64) -> None:
        advance(
            walker.phase,
            walker.rng,
            out,
            potential.steps_per_frame,
            potential.h,
            potential.mass,
            c1,
            c2,
            potential.centers,
            potential.heights,
            potential.width,
            potential.weight,
        )

    list(pool.map(advance_one, walkers, frames))
    if not np.isfinite(frames).all():
        raise InputError(
            f"the particle flew off with a time step of {potential.h}: use a shorter one"
        )
