"""Alanine dipeptide in vacuum: the molecular system with slow, rare transitions in phi."""

from __future__ import annotations

import importlib.util
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trajlm.data import Features
from trajlm.errors import InputError, MissingDependencyError, TrajlmError
from trajlm.util.arrays import F64
from trajlm.util.trajectories import owned

_Parcel = tuple[int, F64 | None]

FRAME_PS = 0.1
_BYTES_PER_FRAME = 2 * 8


def simulate_alanine(
    n_ns: float,
    n_walkers: int = 2,
    temperature: float = 450.0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    keep: Path | None = None,
) -> Features:
    """Simulate alanine dipeptide (ACE-ALA-NME) in vacuum with OpenMM.

    AMBER ff96, no cutoff, bonds to hydrogen constrained, Langevin dynamics (middle scheme) with
    a friction of 1/ps and a step of 2 fs on OpenMM's Reference platform, the fastest one for a
    molecule this small. Every walker starts from the minimised structure, and its first 20 ps
    are not kept. Walkers are processes of their own: in one process all of OpenMM's Reference
    simulations draw from one random generator, so that the same seed would not give the same
    result.

    Parameters
    ----------
    n_ns
        Simulated time in ns, summed over the walkers.
    n_walkers
        Number of independent trajectories, simulated side by side: one a core is best.
    temperature
        Temperature in K.
    seed
        The same seed gives the same result on the same machine.
    progress
        Called now and then with the number of frames newly done, counted over walkers.
    keep
        A path from which each walker makes a file of its own (see `kept_files`), written after
        every ns: a simulation that was stopped is taken up there, bit-identical. The files stay
        until the caller, who has saved the result, removes them.

    Returns
    -------
    Features
        Columns phi and psi in radians in [-pi, pi), 0.1 ps per frame, one trajectory a
        walker.

    Raises
    ------
    InputError
        Numbers that are not positive, or less than one frame a walker.
    MissingDependencyError
        OpenMM is not installed.
    TrajlmError
        A walker stopped before its end, for example because the molecule flew apart.

    References
    ----------
    Tsai, Kuo, Tiwary, Nat. Commun. 11:5115 (2020), Methods.
    """
    if not (np.isfinite(n_ns) and n_ns > 0 and n_walkers >= 1):
        raise InputError(
            f"{n_ns} ns with {n_walkers} walkers were asked for: give positive numbers"
        )
    if not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"the temperature must be a positive number of K, not {temperature}")
    n_frames = round(n_ns * 1000 / FRAME_PS)
    if n_frames < n_walkers:
        raise InputError(
            f"{n_ns} ns are {n_frames} frames of {FRAME_PS} ps: too few for {n_walkers} walkers"
        )
    if importlib.util.find_spec("openmm") is None:
        raise MissingDependencyError(
            'simulating alanine dipeptide needs OpenMM: pip install "trajlm[sim]"'
        )
    lengths = [(n_frames + i) // n_walkers for i in reversed(range(n_walkers))]
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(n_walkers)]
    files = kept_files(keep, n_walkers)
    return Features(
        [owned(x) for x in _run_walkers(lengths, temperature, seeds, files, progress)],
        names=("phi", "psi"),
        dt=FRAME_PS,
        unit="ps",
        periods=((-np.pi, np.pi), (-np.pi, np.pi)),
    )


def kept_files(keep: Path | None, n_walkers: int) -> list[Path | None]:
    """Return the file in which each walker is kept while it runs; None where none is."""
    if keep is None:
        return [None] * n_walkers
    return [keep.with_name(f"{keep.name}-walker{i}.npz") for i in range(n_walkers)]


def remove_kept(keep: Path, n_walkers: int) -> None:
    """Remove the files of a simulation whose result is saved."""
    for file in kept_files(keep, n_walkers):
        if file is not None:
            file.unlink(missing_ok=True)


def dihedral(a: F64, b: F64, c: F64, d: F64) -> F64:
    """Compute the dihedral angle of the chain a-b-c-d, positive when clockwise along b-c (IUPAC).

    Parameters
    ----------
    a, b, c, d
        Positions, shape (..., 3).

    Returns
    -------
    ndarray, shape (...)
        Angles in radians in [-pi, pi).
    """
    ab, bc, cd = b - a, c - b, d - c
    normal = np.cross(bc, cd)
    sine = np.linalg.norm(bc, axis=-1) * np.sum(ab * normal, axis=-1)
    cosine = np.sum(np.cross(ab, bc) * normal, axis=-1)
    angle = np.arctan2(sine, cosine)
    return np.where(angle >= np.pi, -np.pi, angle)


def _run_walkers(
    lengths: list[int],
    temperature: float,
    seeds: list[int],
    files: list[Path | None],
    progress: Callable[[int], None] | None,
) -> list[F64]:
    """Run one process a walker and return its angles, shape (length, 2) each."""
    parcels: queue.Queue[_Parcel] = queue.Queue()
    chunks: list[list[F64]] = [[] for _ in lengths]
    processes: list[subprocess.Popen[bytes]] = []
    readers: list[threading.Thread] = []
    try:
        for i, (length, seed, file) in enumerate(zip(lengths, seeds, files, strict=True)):
            processes.append(_start_walker(length, temperature, seed, file))
            reading = (i, processes[i], parcels)
            readers.append(threading.Thread(target=_read, args=reading, daemon=True))
            readers[-1].start()
        n_running = len(processes)
        while n_running:
            walker, angles = _next_parcel(parcels)
            if angles is not None:
                chunks[walker].append(angles)
                if progress is not None:
                    progress(len(angles))
            else:
                n_running -= 1
                if sum(map(len, chunks[walker])) < lengths[walker]:
                    raise TrajlmError(_epitaph(walker, processes[walker]))
    finally:
        for process in processes:
            process.kill()
        for reader in readers:
            reader.join()
        for process in processes:
            process.communicate()  # waits for its end and closes its pipes
    return [np.concatenate(parts) for parts in chunks]


def _start_walker(
    n_frames: int, temperature: float, seed: int, file: Path | None
) -> subprocess.Popen[bytes]:
    # A plain command rather than multiprocessing, which would run the caller's script again in
    # every walker. -P keeps files in the working folder from shadowing modules.
    program = [sys.executable, "-P", "-m", "trajlm.systems.alanine_walker"]
    arguments = [str(n_frames), str(temperature), str(seed), *([str(file)] if file else [])]
    return subprocess.Popen(
        program + arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _read(walker: int, process: subprocess.Popen[bytes], parcels: queue.Queue[_Parcel]) -> None:
    """Pass on what a walker writes, in whole frames; None says that it has ended."""
    pipe: Any = process.stdout
    rest = b""
    while data := pipe.read1(1 << 16):
        rest += data
        whole = len(rest) - len(rest) % _BYTES_PER_FRAME
        if whole:
            parcels.put((walker, np.frombuffer(rest[:whole]).reshape(-1, 2)))
            rest = rest[whole:]
    parcels.put((walker, None))


def _next_parcel(parcels: queue.Queue[_Parcel]) -> _Parcel:
    # A wait without a limit cannot be interrupted by Ctrl-C on Windows.
    while True:
        try:
            return parcels.get(timeout=0.5)
        except queue.Empty:
            continue


def _epitaph(walker: int, process: subprocess.Popen[bytes]) -> str:
    stderr: Any = process.stderr
    last_line = (stderr.read().decode(errors="replace").strip().splitlines() or ["no message"])[-1]
    return f"walker {walker} of alanine dipeptide stopped before its end: {last_line}"
