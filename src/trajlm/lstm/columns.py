"""Tokens of several columns: a state as labels that are drawn one after the other.

A state s has a label y_c(s) in each column c, and all its labels together are its own. The
probability of the next state s', given the past, is then

    p(s' | past) = product over c of p(y_c(s') | y_1(s'), ..., y_c-1(s'), past),

with a network for each factor (`trajlm.lstm.column_model`). A metastable group and then the state
within it are two columns; the bins of several coordinates are as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trajlm.util.arrays import I64


@dataclass(frozen=True)
class Column:
    """One column of a token.

    Parameters
    ----------
    name
        Of what its labels are: states, groups, or a coordinate.
    labels
        y of each state, shape (n_states,), from 0 on.
    given
        The number q of what the columns before say of each state, shape (n_states,); zeros in the
        first column.
    follow
        What is given to the next column, in the last one the state, shape (n_given, n_labels);
        -1 where no state has these labels.
    """

    name: str
    labels: I64
    given: I64
    follow: I64

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return int(self.follow.shape[1])

    @property
    def n_given(self) -> int:
        """Number of combinations of labels in the columns before; one where they say nothing."""
        return len(self.follow)

    @property
    def is_first(self) -> bool:
        """Whether nothing is given, as in the first column or after one of a single label."""
        return self.n_given == 1

    def is_plain(self) -> bool:
        """Return whether the column is the whole state."""
        return bool((self.labels == np.arange(len(self.labels))).all()) and self.is_first


def whole_state(n_states: int) -> Column:
    """Return the column of a token that has no other."""
    numbers = np.arange(n_states)
    return Column("state", numbers, np.zeros(n_states, np.int64), numbers[None])


def make_columns(labels: Sequence[I64], names: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns of tokens with the given labels, shape (n_columns, n_states).

    Raises
    ------
    ValueError
        Two states have the same labels.
    """
    columns: list[Column] = []
    n_states = len(labels[0])
    given = np.zeros(n_states, np.int64)
    for name, own in zip(names, np.asarray(labels, np.int64), strict=True):
        n_labels = int(own.max()) + 1
        pairs, after = np.unique(given * n_labels + own, return_inverse=True)
        if len(columns) == len(labels) - 1:
            if len(pairs) < n_states:
                raise ValueError("two states have the same labels in all columns")
            after = np.arange(n_states)
        follow = np.full((int(given.max()) + 1, n_labels), -1, np.int64)
        follow[given, own] = after
        columns.append(Column(name, own, given, follow))
        given = after
    return tuple(columns)
