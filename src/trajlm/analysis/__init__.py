"""Analysis of discrete trajectories: pure functions from States to results with intervals."""

from trajlm.analysis.correlation import Autocorrelation, autocorrelation
from trajlm.analysis.discrepancy import Discrepancy, discrepancy, floor
from trajlm.analysis.dwells import (
    DwellTimes,
    Survival,
    cramer_von_mises,
    dwell_times,
    survival,
)
from trajlm.analysis.embedding import euclidean_distances, principal_plane
from trajlm.analysis.equilibrium import FreeEnergy, free_energy, population_intervals, populations
from trajlm.analysis.excerpt import extreme_frames
from trajlm.analysis.exponentials import ExponentialMixture, fit_exponentials
from trajlm.analysis.group_by import (
    group_by_edges,
    group_by_hidden_states,
    group_by_list,
    group_by_pcca,
)
from trajlm.analysis.grouping import Grouping
from trajlm.analysis.kinetic_map import KineticMap, kinetic_map
from trajlm.analysis.kinetics import CommittedTransitions, commit_times, committed_transitions
from trajlm.analysis.lag import LagChoice, choose_lag
from trajlm.analysis.lumping import lump
from trajlm.analysis.memory import (
    grouped_propagators,
    hummer_szabo,
    propagate_memory,
    transfer_tensors,
)
from trajlm.analysis.passages import (
    FirstPassage,
    TransitionPaths,
    mean_first_passage_time,
    transition_path_times,
)
from trajlm.analysis.rates import RateConstants, rate_constants
from trajlm.analysis.relaxation import TransitionProbabilities, transition_probabilities
from trajlm.analysis.score import StateScore, best_by, score_states
from trajlm.analysis.stationary import stationary_first_passage_time
from trajlm.analysis.timescales import Timescales, counted_timescales
from trajlm.analysis.uncertainty import (
    blocks,
    count_interval,
    fraction_interval,
    mean_interval,
)

__all__ = [
    "Autocorrelation",
    "CommittedTransitions",
    "Discrepancy",
    "DwellTimes",
    "ExponentialMixture",
    "FirstPassage",
    "FreeEnergy",
    "Grouping",
    "KineticMap",
    "LagChoice",
    "RateConstants",
    "StateScore",
    "Survival",
    "Timescales",
    "TransitionPaths",
    "TransitionProbabilities",
    "autocorrelation",
    "best_by",
    "blocks",
    "choose_lag",
    "commit_times",
    "committed_transitions",
    "count_interval",
    "counted_timescales",
    "cramer_von_mises",
    "discrepancy",
    "dwell_times",
    "euclidean_distances",
    "extreme_frames",
    "fit_exponentials",
    "floor",
    "fraction_interval",
    "free_energy",
    "group_by_edges",
    "group_by_hidden_states",
    "group_by_list",
    "group_by_pcca",
    "grouped_propagators",
    "hummer_szabo",
    "kinetic_map",
    "lump",
    "mean_first_passage_time",
    "mean_interval",
    "population_intervals",
    "populations",
    "principal_plane",
    "propagate_memory",
    "rate_constants",
    "score_states",
    "stationary_first_passage_time",
    "survival",
    "transfer_tensors",
    "transition_path_times",
    "transition_probabilities",
]
