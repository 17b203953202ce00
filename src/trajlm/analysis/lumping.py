"""Metastable groups by lumping: what leaves soon belongs to where it goes."""

from __future__ import annotations

import numpy as np

from trajlm.analysis.slow import SLOW
from trajlm.data import States
from trajlm.util.arrays import F64, I64

# Share of the frames below which a group is rather part of another.
LEAST_SHARE = 1e-3
MOST_GROUPS = 32


def lump(states: States, lag: int) -> I64:
    """Return the metastable group of each state, shape (n_states,), numbered from the largest.

    Group by group, the one that is left most readily, as transitions counted both ways over `lag`
    frames show, joins the group that it goes to most often, until each stays for more than three
    lags on average; then what holds less than a thousandth of the frames, or is more than 32
    groups, joins its like in the same way, the smallest first. This is the idea of most probable
    paths (Jain and Stock, J. Chem. Theory Comput. 8:3810 (2012)) with one path at a time: unlike
    eigenvectors, it is not led astray by states that were visited once. Groups that the data does
    not join stay apart; states that it does not visit belong to the largest group.
    """
    counts = states.transition_counts(lag).astype(np.float64)
    counts += counts.T.copy()
    frames = counts.sum(axis=1)
    whole, group = frames.sum(), np.arange(states.n_states)
    stays = counts.diagonal().copy()
    np.fill_diagonal(counts, 0.0)
    # Groups that no other can take in are done with.
    open_ = np.asarray(counts.any(axis=1))
    while open_.any():
        share = np.where(open_, frames / whole, np.inf)
        stay = np.where(open_, stays / np.maximum(frames, 1.0), np.inf)
        if stay.min() < SLOW:
            k = int(stay.argmin())
        elif share.min() < LEAST_SHARE or np.count_nonzero(frames) > MOST_GROUPS:
            k = int(share.argmin())
        else:
            break
        to = int(counts[k].argmax())
        stays[to] += stays[k] + 2 * counts[k, to]
        frames[to] += frames[k]
        _join(counts, k, to)
        counts[to, to] = frames[k] = stays[k] = 0.0
        group[group == k] = to
        open_[k], open_[to] = False, counts[to].any()
    kept = np.argsort(-frames)[: np.count_nonzero(frames)]
    number = np.zeros(states.n_states, np.int64)
    number[kept] = np.arange(len(kept))
    return number[group]


def bundle(states: States, groups: I64, largest: int) -> I64:
    """Return a bundle of neighbouring states of one group for each state, shape (n_states,).

    The bundle of fewest states joins the one of its group that transitions, counted both ways over
    one frame, lead to most often, as long as both have no more than `largest` states together.

    Parameters
    ----------
    groups
        The group of each state, shape (n_states,).
    """
    counts = states.transition_counts(1).astype(np.float64)
    counts += counts.T.copy()
    bundle, size = np.arange(len(groups)), np.ones(len(groups))
    open_ = np.ones(len(groups), np.bool_)
    while open_.any():
        k = int(np.where(open_, size, np.inf).argmin())
        fits = (groups == groups[k]) & (size > 0) & (size + size[k] <= largest)
        fits[k] = False
        if not fits.any():
            open_[k] = False
            continue
        to = int(np.where(fits, counts[k], -1.0).argmax())
        _join(counts, k, to)
        size[to] += size[k]
        size[k], open_[k] = 0.0, False
        bundle[bundle == k] = to
    return np.unique(bundle, return_inverse=True)[1]


def _join(counts: F64, k: int, to: int) -> None:
    """Let the transitions of one set be those of another, shape (n, n), in place."""
    counts[to] += counts[k]
    counts[:, to] += counts[:, k]
    counts[k] = counts[:, k] = 0.0
