"""
The columns of the programme of coupled services: bids that the optimum cannot tell apart are put together.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class Curves(NamedTuple):
    """
    One market's rows of bids, those of a curve in one piece.

    Parameters
    ----------
    bidder : ndarray, shape (n_rows,)
        Number of the bidder.
    service : ndarray, shape (n_rows,)
        Number of the service.
    quantity : ndarray, shape (n_rows,)
        Power wanted. [MW]
    value : ndarray, shape (n_rows,)
        What it is worth above what the seller would keep its power for. [$/MWh]
    minimum : ndarray, shape (n_rows,)
        Least total of the row's curve, if it is served; 0 for none. [MW]
    """

    bidder: Ints
    service: Ints
    quantity: Floats
    value: Floats
    minimum: Floats


class Parts(NamedTuple):
    """
    Which rows make up the columns of the programme.

    A column holds what is alike: the rows of one price, or one segment of all curves with a minimum that are the same.

    Parameters
    ----------
    row, column : ndarray, shape (n_parts,)
        A part of a row lies in a column.
    size : ndarray, shape (n_parts,)
        How much of the row. [MW]
    copy : ndarray, shape (n_parts,)
        Number of the curve with a minimum that the row is of, or -1.
    value : ndarray, shape (n_columns,)
        What the column is worth. [$/MWh]
    service : ndarray, shape (n_columns,)
        A service of the column; those of one column draw on all limits alike.
    group : ndarray, shape (n_columns,)
        Group of curves that are the same, or -1; a group's first column is its block.
    copy_group : ndarray, shape (n_copies,)
        Group of each curve with a minimum, in the order of the bids.
    copy_bidder : ndarray, shape (n_copies,)
        Whose it is.
    block : ndarray, shape (n_groups,)
        Column of each group's block.
    minimum : ndarray, shape (n_groups,)
        Its size in one curve. [MW]
    """

    row: Ints
    column: Ints
    size: Floats
    copy: Ints
    value: Floats
    service: Ints
    group: Ints
    copy_group: Ints
    copy_bidder: Ints
    block: Ints
    minimum: Floats


def parts_of(curves: Curves, alike: Ints, *, apart: bool = False) -> Parts:
    """
    Put together the rows that the optimum cannot tell apart.

    Parameters
    ----------
    curves : Curves
        The market's bids.
    alike : ndarray, shape (n_services,)
        Equal numbers for services that draw on all limits alike.
    apart : bool
        Whether bidders are kept apart.

    Examples
    --------
    >>> two = Curves(np.array([0, 1]), np.array([0, 0]), np.array([1.0, 3.0]), np.array([5.0, 5.0]), np.zeros(2))
    >>> parts_of(two, np.array([0])).column.tolist(), parts_of(two, np.array([0]), apart=True).column.tolist()
    ([0, 0], [0, 1])
    """
    free = np.flatnonzero(curves.minimum == 0)
    whose = curves.bidder[free] if apart else np.zeros(len(free))
    key = np.column_stack([alike[curves.service[free]], whose, -curves.value[free]])
    _, first, column = np.unique(key, axis=0, return_index=True, return_inverse=True)
    order = np.lexsort((curves.quantity[free], column.ravel()))
    draft = _Draft(curves, len(first))
    for keyed in _same(curves, alike, apart=apart):
        draft.add_group(keyed)
    lone = free[first]
    return Parts(
        np.r_[free[order], np.array(draft.row, dtype=np.intp)],
        np.r_[column.ravel()[order], np.array(draft.column, dtype=np.intp)],
        np.r_[curves.quantity[free][order], np.array(draft.size)],
        np.r_[np.full(len(free), -1), np.array(draft.copy, dtype=np.intp)],
        np.r_[curves.value[lone], np.array(draft.value)],
        np.r_[curves.service[lone], np.array(draft.service, dtype=np.intp)],
        np.r_[np.full(len(lone), -1), np.array(draft.group, dtype=np.intp)],
        np.array(draft.copy_group, dtype=np.intp),
        np.array(draft.copy_bidder, dtype=np.intp),
        np.array(draft.block, dtype=np.intp),
        np.array(draft.minimum, dtype=float),
    )


class _Draft:
    """The parts of curves with a minimum, being written."""

    def __init__(self, curves: Curves, n_columns: int) -> None:
        self.curves, self.n_columns, self.n_copies = curves, n_columns, 0
        self.row, self.column, self.copy = list[int](), list[int](), list[int]()
        self.size, self.value, self.minimum = list[float](), list[float](), list[float]()
        self.service, self.group, self.block = list[int](), list[int](), list[int]()
        self.copy_group, self.copy_bidder = list[int](), list[int]()

    def add_group(self, copies: list[Ints]) -> None:
        """Curves that are the same: a block of the minimum, worth its mean, then what is left of each segment."""
        quantity, value = self.curves.quantity[copies[0]], self.curves.value[copies[0]]
        minimum, group = float(self.curves.minimum[copies[0][0]]), len(self.block)
        first = np.clip(minimum - (np.cumsum(quantity) - quantity), 0.0, quantity)
        rest = np.flatnonzero(quantity > first)
        self.block.append(self.n_columns + len(self.value))
        self.minimum.append(minimum)
        for rows in copies:
            self._add_copy(rows, first, quantity - first, rest, group)
        self.value += [float(first @ value / minimum), *value[rest].tolist()]
        self.group += [group] * (1 + len(rest))
        self.service += [int(self.curves.service[copies[0][0]])] * (1 + len(rest))

    def _add_copy(self, rows: Ints, first: Floats, beyond: Floats, rest: Ints, group: int) -> None:
        block, inside = self.block[-1], np.flatnonzero(first)
        self.row += [*rows[inside].tolist(), *rows[rest].tolist()]
        self.size += [*first[inside].tolist(), *beyond[rest].tolist()]
        self.column += [block] * len(inside) + list(range(block + 1, block + 1 + len(rest)))
        self.copy += [self.n_copies] * (len(inside) + len(rest))
        self.copy_group.append(group)
        self.copy_bidder.append(int(self.curves.bidder[rows[0]]))
        self.n_copies += 1


def _same(curves: Curves, alike: Ints, *, apart: bool) -> list[list[Ints]]:
    """The curves with a minimum, those that are the same together, in an order that bidders' names do not change."""
    bound = np.flatnonzero(curves.minimum > 0)
    curve = pd.factorize(curves.bidder[bound] * len(alike) + curves.service[bound])[0]
    together = np.argsort(curve, kind="stable")
    pieces = np.split(bound[together], np.flatnonzero(np.diff(curve[together])) + 1) if len(bound) else []
    found: dict[tuple[Any, ...], list[Ints]] = {}
    for rows in pieces:
        whose = int(curves.bidder[rows[0]]) if apart else 0
        key = (int(alike[curves.service[rows[0]]]), tuple(curves.value[rows]), tuple(curves.quantity[rows]))
        found.setdefault((*key, float(curves.minimum[rows[0]]), whose), []).append(rows)
    return [found[key] for key in sorted(found)]
