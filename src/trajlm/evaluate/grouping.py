"""The groups of a comparison where none were asked for, hidden states among them."""

from __future__ import annotations

from dataclasses import replace

from trajlm.analysis import Grouping, blocks, group_by_hidden_states
from trajlm.analysis.group_names import names_by_place
from trajlm.analysis.metastable import default_grouping, is_noisy
from trajlm.data import States, StatesLike, as_states
from trajlm.models.hidden_markov import fit_hmm

# Frames that the hidden states are fitted to, and stretches of longer data that they come from.
MOST_FRAMES, N_STRETCHES = 200_000, 50


def choose_grouping(data: States) -> Grouping:
    """Return the default groups; as hidden states where the coordinate is noise about levels.

    See `trajlm.analysis.metastable.default_grouping`. A threshold on such a record counts noise
    as transitions.
    """
    grouping = default_grouping(data)
    if grouping.method != "list" and is_noisy(data, grouping):
        return group_by_hmm(data, grouping.n_groups)
    return grouping


def group_by_hmm(states: StatesLike, n_groups: int, seed: int = 0) -> Grouping:
    """Group states by the hidden states of a hidden Markov model that is fitted to them.

    For noisy records, such as FRET efficiencies: the rates between the groups are those between
    the levels behind the noise (`trajlm.analysis.group_by_hidden_states`). Groups are named by
    their level where states lie on one coordinate or two.

    Parameters
    ----------
    states
        The reference, such as fine bins of the efficiency.
    n_groups
        Number of hidden states, at least 2.
    seed
        Of the first guesses of the fit.

    Raises
    ------
    InputError
        Fewer than two groups.
    """
    data = as_states(states)
    model = fit_hmm(_part(data), n_groups, seed=seed)
    found = group_by_hidden_states(
        data, model.transition_matrix, model.emission, model.stationary_distribution
    )
    return replace(found, names=names_by_place(data, found.group_centers) or found.names)


def _part(data: States) -> States:
    """Return the data, or of long data the first stretch of each of so many parts."""
    if data.n_frames <= MOST_FRAMES:
        return data
    parts = [s for part in blocks(data, N_STRETCHES) for s in part]
    share = MOST_FRAMES / data.n_frames
    return data.with_trajectories([s[: max(2, int(share * len(s)))] for s in parts])
