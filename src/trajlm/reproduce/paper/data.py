"""From a recipe to features, states and groups, with checks against what is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trajlm.analysis import (
    Grouping,
    group_by_edges,
    group_by_list,
    mean_interval,
    population_intervals,
    populations,
)
from trajlm.data import Features, States
from trajlm.discretize import Bins, NearestCenters, remove_spikes, smooth
from trajlm.reproduce.paper.recipe import (
    AlanineData,
    HiddenMarkovData,
    PotentialData,
    Recipe,
    RecordData,
    View,
)
from trajlm.systems.hidden_markov import (
    KINSOFT_LEVEL3_LUMPING,
    KINSOFT_LEVEL3_RATES,
    HiddenMarkovProcess,
    markov_chain,
)
from trajlm.systems.potentials import POTENTIALS, GaussianWells, exact_populations, mean_energy
from trajlm.util.arrays import F64

Advance = Callable[[int], None]

# Reversible, as molecular processes at equilibrium are.
MARKOV3_TRANSITION_MATRIX = ((0.95, 0.04, 0.01), (0.04, 0.92, 0.04), (0.02, 0.08, 0.9))
KINSOFT_LEVEL3_DT = 0.2
# Walkers that check a potential, and their frames together in lengths of a data trajectory.
CHECK_WALKERS = 20
CHECK_LENGTHS = 4


@dataclass(frozen=True)
class ExactCheck:
    """A quantity measured on the simulation beside its exact value.

    Parameters
    ----------
    quantity
        What it is, with the integrator's time step.
    exact, measured, low, high
        The exact value, the measured one and its 95 % interval.
    """

    quantity: str
    exact: float
    measured: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Whether the interval holds the exact value."""
        return self.low <= self.exact <= self.high


def make_features(
    recipe: Recipe, progress: Advance | None = None, keep: Path | None = None
) -> Features:
    """Simulate, fetch or sample the data of a recipe.

    A hidden Markov process gives its symbols as a feature. With `keep`, a long simulation that
    was stopped goes on from the files that begin with this path.

    Raises
    ------
    InputError
        A record that is neither here nor to be fetched.
    MissingDependencyError
        OpenMM is not installed.
    """
    data = recipe.data
    if isinstance(data, PotentialData):
        from trajlm.systems.langevin import simulate_langevin

        potential = POTENTIALS[data.system]
        return simulate_langevin(
            potential, data.n_frames, data.n_trajectories, recipe.seed, progress=progress
        )
    if isinstance(data, AlanineData):
        from trajlm.systems.alanine import simulate_alanine

        return simulate_alanine(
            data.ns, data.n_walkers, data.temperature, recipe.seed, progress, keep
        )
    if isinstance(data, RecordData):
        from trajlm.io.datasets import load_dataset

        features = load_dataset(data.dataset)
        return replace(features, trajectories=(features.trajectories[0][: data.n_frames],))
    states = process_of(data).simulate(data.n_frames, seed=recipe.seed)
    symbols = tuple(s.astype(np.float64) for s in states)
    return Features(symbols, ("state",), states.dt, states.unit)


def n_frames_expected(recipe: Recipe) -> int:
    """Return how many frames `make_features` reports as progress; 0 where it reports none."""
    if isinstance(recipe.data, PotentialData):
        return recipe.data.n_frames * recipe.data.n_trajectories
    if isinstance(recipe.data, AlanineData):
        from trajlm.systems.alanine import FRAME_PS

        return round(recipe.data.ns * 1000 / FRAME_PS)
    return 0


def process_of(data: HiddenMarkovData) -> HiddenMarkovProcess:
    """Return the process behind the data."""
    if data.process == "markov3":
        return markov_chain(MARKOV3_TRANSITION_MATRIX)
    return HiddenMarkovProcess.from_rates(
        KINSOFT_LEVEL3_RATES, KINSOFT_LEVEL3_DT, KINSOFT_LEVEL3_LUMPING
    )


def make_states(features: Features, view: View) -> States:
    """Cut the features into the states of a view."""
    if view.column is None:
        whole = [x[:, 0].astype(np.int64) for x in features.trajectories]
        return States(tuple(whole), dt=features.dt, unit=features.unit)
    column = features.select([view.column])
    if view.sine:
        sines = tuple(np.sin(x) for x in column.trajectories)
        column = replace(column, trajectories=sines, names=(f"sin {view.column}",), periods=(None,))
    if view.running_mean > 1:
        column = smooth(column, view.running_mean)
    discretizer = (
        NearestCenters(list(view.centers))
        if view.centers is not None
        else Bins(view.bins or 0, range=view.bounds)
    )
    states = discretizer.fit(column).transform(column)
    return remove_spikes(states, view.remove_spikes) if view.remove_spikes else states


def make_grouping(states: States, view: View) -> Grouping:
    """Return the grouping of a view."""
    groups = view.groups
    if groups.edges is not None:
        return group_by_edges(states, groups.edges, groups.running_mean, groups.names)
    return group_by_list(states, groups.assignment or (), groups.running_mean, groups.names)


def plane_states(features: Features, recipe: Recipe) -> States:
    """Return the wells of a potential told apart in the plane, prepared like the view of x.

    The running mean is taken over x and y, a frame belongs to the nearest well in the plane,
    and spikes are removed: what would be seen if nothing were hidden. Wells are numbered in
    order of x.
    """
    assert isinstance(recipe.data, PotentialData)
    view = recipe.views[0]
    wells = sorted(POTENTIALS[recipe.data.system].wells)
    smoothed = smooth(features, view.running_mean)
    states = NearestCenters(np.array(wells)).fit(smoothed).transform(smoothed)
    return remove_spikes(states, view.remove_spikes)


def exact_values(recipe: Recipe) -> F64 | None:
    """Return the exact populations of the states of the first view; None where unknown."""
    if isinstance(recipe.data, PotentialData):
        return exact_populations(POTENTIALS[recipe.data.system])
    if isinstance(recipe.data, HiddenMarkovData):
        process = process_of(recipe.data)
        return process.stationary_distribution @ process.emission_matrix
    return None


def check_potential(recipe: Recipe) -> list[ExactCheck]:
    """Hold populations and mean energy against the exact ones, and with half the time step.

    Many short walkers, which start in wells at random, since their spread gives honest intervals
    where one trajectory holds few relaxations. The populations are those of raw x, without
    running mean, as in the quadrature.
    """
    from trajlm.systems.langevin import simulate_langevin

    assert isinstance(recipe.data, PotentialData)
    potential = POTENTIALS[recipe.data.system]
    halved = replace(potential, h=potential.h / 2, steps_per_frame=2 * potential.steps_per_frame)
    n_frames = CHECK_LENGTHS * recipe.data.n_frames // CHECK_WALKERS
    checks = []
    for one, seed in ((potential, recipe.seed + 1), (halved, recipe.seed + 2)):
        simulated = simulate_langevin(one, n_frames, CHECK_WALKERS, seed)
        checks += [_check_energy(one, simulated), *_check_populations(recipe, one, simulated)]
    return checks


def _check_energy(potential: GaussianWells, simulated: Features) -> ExactCheck:
    means = [potential.energy(*x.T).mean() for x in simulated.trajectories]
    measured, low, high = mean_interval(means)
    name = f"mean energy, step {potential.h:g}"
    return ExactCheck(name, mean_energy(potential), measured, low, high)


def _check_populations(
    recipe: Recipe, potential: GaussianWells, simulated: Features
) -> list[ExactCheck]:
    x = simulated.select(["x"])
    states = NearestCenters(sorted(center for center, _ in potential.wells)).fit(x).transform(x)
    low, high = population_intervals(states, n_blocks=CHECK_WALKERS)
    exact, measured = exact_populations(potential), populations(states)
    return [
        ExactCheck(f"population of {name}, step {potential.h:g}", *map(float, values))
        for name, *values in zip(
            recipe.views[0].groups.names, exact, measured, low, high, strict=True
        )
    ]
