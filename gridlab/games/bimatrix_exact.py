"""Payoffs as whole numbers, and tableaux of the polytope {z >= 0, M z <= 1} without rounding."""

from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Whole = NDArray[np.object_]
"""Python's whole numbers, of any size."""

_COARSEST = 2**20  # greatest common denominator that is looked for
_ROUNDING = Fraction(1, 2**50)  # relative error of payoffs that were meant as multiples of one number
_SMALL = 2**31  # whole numbers below which tableaux may fit 64 bits
_HIDDEN = Fraction(1, 2**40)  # share of the greatest payoff below which another may be hidden by rounding
_BLURRED = Fraction(
    1, 10**9
)  # rounding as a share of the range of payoffs above which only exact multiples are read as such


def whole_payoffs(payoffs: Floats) -> tuple[Whole, bool]:
    """
    Whole numbers in the proportions of payoffs, from 0 on, and whether they are small.

    Payoffs that are multiples of one number, or such multiples moved by another, to the rounding of doubles are read as
    those multiples, so that 0.1, 0.2 and 0.3 are evenly spaced; others are the fractions of two that doubles are. They
    are not read as moved multiples where one of them is so small that the rounding of the others would hide it.

    Parameters
    ----------
    payoffs : ndarray
        Finite numbers.

    Examples
    --------
    >>> whole_payoffs(np.array([[0.1, 0.3], [0.2, 0.1]]))[0].tolist()
    [[0, 2], [1, 0]]
    """
    values = np.array([Fraction(value) for value in payoffs.ravel().tolist()], dtype=object)
    low, high, most = values.min(), values.max(), abs(values).max()
    if low == high:
        return np.zeros(payoffs.shape, dtype=int).astype(object), True
    shares, moved = values / most, (values - low) / (high - low)
    rounding = _ROUNDING * most / (high - low)
    scale = _common_denominator(shares, _ROUNDING * abs(shares), _ROUNDING)
    if not scale and min(abs(value) for value in shares if value) > _HIDDEN and rounding < _BLURRED:
        shares = moved
        scale = _common_denominator(shares, np.full(len(shares), rounding, dtype=object), rounding)
    if scale:
        numbers = np.array([round(share * scale) for share in shares], dtype=object)
    else:
        exact = lcm(*(share.denominator for share in moved))
        numbers = np.array([int(share * exact) for share in moved], dtype=object)
    numbers = numbers - numbers.min()
    return numbers.reshape(payoffs.shape), numbers.max() < _SMALL


def polytope(payoffs: Whole, *, least: int) -> Whole:
    """
    The matrix M of a best-reply polytope: payoffs moved in each column so that its least is `least`, above 0.

    What the opponent does changes, column by column, by the same amount for all replies, which changes no best reply.
    """
    lows = np.array([min(column) for column in payoffs.T], dtype=object)
    return np.asarray(payoffs - lows + least)


def as_doubles(matrix: Whole) -> Floats:
    """The matrix over its greatest entry, each rounded once."""
    high = matrix.max()
    return np.array([value / high for value in matrix.ravel()], dtype=float).reshape(matrix.shape)


class Tableau(NamedTuple):
    """
    A basis of {z >= 0, M z <= 1} with slacks, in whole numbers over one positive denominator.

    Parameters
    ----------
    entries : ndarray of int, shape (n_rows, n_columns + n_rows + 1)
        Rows of the tableau; the right side is last.
    scale : int
        The denominator.
    basic : ndarray of int, shape (n_rows,)
        Variable of each row.
    """

    entries: Whole
    scale: int
    basic: NDArray[np.intp]

    @property
    def n_columns(self) -> int:
        """Number of variables that are not slacks."""
        return int(self.entries.shape[1]) - 1 - len(self.basic)

    def pivoted(self, row: int, column: int) -> "Tableau":
        """The tableau with the variable of a column in the basis for that of a row."""
        pivot = self.entries[row, column]
        entries = (self.entries * pivot - np.outer(self.entries[:, column], self.entries[row])) // self.scale
        entries[row] = self.entries[row]
        basic = self.basic.copy()
        basic[row] = column
        return Tableau(entries, pivot, basic) if pivot > 0 else Tableau(-entries, -pivot, basic)

    def leaving(self, entering: int) -> int:
        """The row that leaves when a variable enters, by the lexicographic rule, so that no basis comes twice."""
        n_rows, last = len(self.basic), self.entries.shape[1] - 1
        order = [last, *range(self.n_columns, self.n_columns + n_rows)]
        rows = [row for row in range(n_rows) if self.entries[row, entering] > 0]
        for column in order:
            ratios = [Fraction(self.entries[row, column], self.entries[row, entering]) for row in rows]
            least = min(ratios)
            rows = [row for row, ratio in zip(rows, ratios, strict=True) if ratio == least]
            if len(rows) == 1:
                break
        return rows[0]

    def values(self) -> dict[int, int]:
        """Values of the basic variables, over the denominator."""
        return dict(zip(self.basic.tolist(), self.entries[:, -1].tolist(), strict=True))


def slack_tableau(matrix: Whole) -> Tableau:
    """The tableau at 0, where all slacks are basic."""
    n_rows, n_columns = matrix.shape
    identity = np.eye(n_rows, dtype=int).astype(object)
    ones = np.ones((n_rows, 1), dtype=int).astype(object)
    return Tableau(np.hstack([matrix, identity, ones]), 1, np.arange(n_columns, n_columns + n_rows))


def tableau_at(matrix: Whole, basis: Ints) -> Tableau:
    """The tableau of a basis, which must not be singular."""
    n_columns = matrix.shape[1]
    tableau, wanted = slack_tableau(matrix), set(basis.tolist())
    for column in basis[basis < n_columns].tolist():
        row = next(
            row
            for row, variable in enumerate(tableau.basic.tolist())
            if variable >= n_columns and variable not in wanted and tableau.entries[row, column] != 0
        )
        tableau = tableau.pivoted(row, column)
    return tableau


def exact_neighbours(matrix: Whole, bases: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """As `bimatrix_core.whole_neighbours`, for numbers of any size."""
    n_bases, (n_rows, n_columns) = len(bases), matrix.shape
    near = np.empty((n_bases, n_columns, n_rows), dtype=np.int32)
    positive = np.zeros((n_bases, n_columns + n_rows), dtype=bool)
    for number, basis in enumerate(bases):
        tableau = tableau_at(matrix, basis)
        positive[number, tableau.basic] = tableau.entries[:, -1] > 0
        others = np.setdiff1d(np.arange(n_columns + n_rows), tableau.basic)
        for place, entering in enumerate(others.tolist()):
            found = tableau.basic.copy()
            found[tableau.leaving(entering)] = entering
            near[number, place] = np.sort(found)
    return near, positive


def exact_shares(matrix: Whole, basis: Ints) -> Floats:
    """The point of a basis, scaled to sum to 1, each share rounded once."""
    values = tableau_at(matrix, basis).values()
    amounts = [values.get(column, 0) for column in range(matrix.shape[1])]
    total = sum(amounts)
    return np.array([amount / total for amount in amounts])


def _common_denominator(shares: Whole, tolerances: Whole, greatest: Fraction) -> int:
    """The common denominator of shares in [-1, 1] to tolerances; 0 where it is not small beside the greatest."""
    coarsest = min(_COARSEST, int(0.1 / float(greatest) ** 0.5))
    scale = 1
    while scale <= coarsest:
        pairs = enumerate(zip(shares, tolerances, strict=True))
        place = next(
            (at for at, (share, near) in pairs if abs(share * scale - round(share * scale)) > near * scale), None
        )
        if place is None:
            return scale
        share, denominator = shares[place], 2
        while abs(share.limit_denominator(denominator) - share) > tolerances[place]:
            denominator *= 2
            if denominator > coarsest:
                return 0
        scale = lcm(scale, share.limit_denominator(denominator).denominator)
    return 0
