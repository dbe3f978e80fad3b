"""
All vertices of a best-reply polytope, with a proof that they are all.

The graph of a polytope is connected, so a set of vertices that has all neighbours of each of its members is the whole.
Where several bases share a vertex the lexicographic rule decides as if the right sides differed by amounts that are as
small as one likes, which makes the polytope simple; its bases then cover every vertex. Numbers are whole in 64 bits
where they fit; else doubles, with bounds on their rounding that prove each vertex; else whole numbers of any size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlab.games.bimatrix_exact import (
    Floats,
    Ints,
    Whole,
    as_doubles,
    exact_neighbours,
    polytope,
    tableau_at,
)

Flags = NDArray[np.bool_]
Step = Callable[[Ints], tuple[Ints, Flags] | None]

_UNIT = 2.0**-53  # relative rounding of doubles
_MARGIN = 4.0  # for the rounding of the bounds themselves
_EXACT_COST = 300  # a step in whole numbers of any size takes about as long as this many in 64 bits
_BATCH = 4096
_FEW = 200  # vertices that doubles leave open, which are then looked at one by one


class Vertices(NamedTuple):
    """
    Vertices of {z >= 0, M z <= 1} but the one at 0.

    Parameters
    ----------
    matrix : ndarray of int, shape (n_rows, n_columns)
        The matrix M.
    positive : ndarray of bool, shape (n_vertices, n_columns + n_rows)
        Whether each variable, slacks last, is above 0.
    bases : ndarray of int, shape (n_vertices, n_rows)
        A basis of each.
    """

    matrix: Whole
    positive: Flags
    bases: Ints

    @property
    def is_simple(self) -> bool:
        """Whether no vertex is on more facets than there are dimensions."""
        return bool((self.positive.sum(axis=1) == len(self.matrix)).all())


@dataclass
class _Work:
    """Entries of tableaux that may still be computed, below 0 once they did not suffice."""

    left: float

    def suffices_for(self, entries: float) -> bool:
        """Take some entries."""
        self.left -= entries
        return self.left >= 0


def vertices(payoffs: Whole, small: bool, max_work: float) -> Vertices | None:
    """
    All vertices of the best-reply polytope of payoffs, a row for each reply; None where the work does not suffice.

    Parameters
    ----------
    payoffs : ndarray of int, shape (n_replies, n_opponent)
        Payoffs in whole numbers.
    small : bool
        Whether these may be worked with in 64 bits.
    max_work : float
        Greatest number of entries of tableaux that are computed, in whichever numbers.
    """
    work = _Work(max_work)
    least = polytope(payoffs, least=1)
    found = _in_whole_numbers(least, work) if small else None
    if found is not None or work.left < 0:
        return found
    balanced = polytope(payoffs, least=max(int(payoffs.max()), 1))
    found = _in_doubles(balanced, work)
    if found is not None or work.left < 0:
        return found
    matrix = least if small else balanced
    return _walk(matrix, _exact_step(matrix), work, cost=_EXACT_COST)


def _in_whole_numbers(matrix: Whole, work: _Work) -> Vertices | None:
    """The vertices by 64-bit numbers; None where these, or the work, do not suffice."""
    from gridlab.games.bimatrix_core import FOUND, whole_neighbours

    if matrix.max() >= 2**31:
        return None
    numbers = matrix.astype(np.int64)

    def step(bases: Ints) -> tuple[Ints, Flags] | None:
        near, positive, status = whole_neighbours(numbers, bases)
        return (near, positive) if status == FOUND else None

    return _walk(matrix, step, work)


def _in_doubles(matrix: Whole, work: _Work) -> Vertices | None:
    """The vertices by doubles, each of them proved; None where one cannot be, or the work does not suffice."""
    from gridlab.games.bimatrix_core import FOUND, double_neighbours

    doubles = as_doubles(matrix)

    def step(bases: Ints) -> tuple[Ints, Flags] | None:
        near, positive, status = double_neighbours(doubles, bases)
        return (near, positive) if status == FOUND else None

    found = _walk(matrix, step, work)
    if found is None:
        return None
    open_ones = np.flatnonzero(~_proved(doubles, found.bases))
    if len(open_ones) > _FEW:
        return None
    for number in open_ones.tolist():
        if min(tableau_at(matrix, found.bases[number]).values().values()) <= 0:
            return None
    return found


def _exact_step(matrix: Whole) -> Step:
    """The step in whole numbers of any size."""
    return lambda bases: exact_neighbours(matrix, bases)


def _walk(matrix: Whole, step: Step, work: _Work, *, cost: float = 1.0) -> Vertices | None:
    """All bases that can be reached from the one at 0, as vertices; None where a step or the work fails."""
    n_rows, n_columns = matrix.shape
    frontier = np.arange(n_columns, n_columns + n_rows, dtype=np.int32)[None]
    seen = {frontier[0].tobytes()}
    bases, positives = [], []
    while len(frontier):
        fresh = []
        for batch in np.array_split(frontier, -(-len(frontier) // _BATCH)):
            stepped = step(batch) if work.suffices_for(cost * _entries(batch, n_columns)) else None
            if stepped is None:
                return None
            bases.append(batch)
            positives.append(stepped[1])
            fresh += _unseen(stepped[0].reshape(-1, n_rows), seen)
        frontier = np.frombuffer(b"".join(fresh), dtype=np.int32).reshape(-1, n_rows)
    return _distinct(matrix, np.concatenate(bases), np.concatenate(positives))


def _unseen(near: Ints, seen: set[bytes]) -> list[bytes]:
    """The bases that were not seen before, which now are."""
    width = near.shape[1] * near.itemsize
    raw = np.ascontiguousarray(near).tobytes()
    fresh = []
    for start in range(0, len(raw), width):
        basis = raw[start : start + width]
        if basis not in seen:
            seen.add(basis)
            fresh.append(basis)
    return fresh


def _entries(bases: Ints, n_columns: int) -> float:
    """Entries of tableaux that the neighbours of bases take."""
    n_rows = bases.shape[1]
    pivots = float((bases < n_columns).sum())
    return float((pivots + len(bases)) * n_rows * (n_columns + n_rows + 1))


def _distinct(matrix: Whole, bases: Ints, positive: Flags) -> Vertices:
    """One basis for each vertex but 0; vertices differ in what is positive at them."""
    packed = np.packbits(positive, axis=1)
    _, first = np.unique(packed, axis=0, return_index=True)
    first = np.sort(first[positive[first][:, : matrix.shape[1]].any(axis=1)])
    return Vertices(matrix, positive[first], bases[first])


def _proved(matrix: Floats, bases: Ints) -> Flags:
    """Whether all basic variables are above 0 at each basis whatever the rounding of doubles."""
    n_columns = matrix.shape[1]
    proved = np.zeros(len(bases), dtype=bool)
    sizes = (bases < n_columns).sum(axis=1)
    for size in np.unique(sizes).tolist():
        for group in np.array_split(np.flatnonzero(sizes == size), -(-(sizes == size).sum() // _BATCH)):
            proved[group] = _proved_of_size(matrix, bases[group], size)
    return proved


def _proved_of_size(matrix: Floats, bases: Ints, size: int) -> Flags:
    """`_proved` for bases with the same number of variables that are not slacks."""
    played, tight = systems(matrix, bases, size)
    columns = np.moveaxis(matrix[:, played], 1, 0)  # (n_bases, n_rows, size)
    square = np.take_along_axis(columns, tight[:, :, None], axis=1)
    try:
        inverse = np.linalg.inv(square)
    except np.linalg.LinAlgError:
        return np.zeros(len(bases), dtype=bool)
    rounding = _MARGIN * (size + 3) * _UNIT
    error = np.abs(np.eye(size) - inverse @ square) + rounding * (np.abs(inverse) @ square)
    contraction = error.sum(axis=2).max(axis=1)
    point = inverse.sum(axis=2)
    residual = np.abs(1 - np.einsum("bij,bj->bi", square, point))
    residual += rounding * (1 + np.einsum("bij,bj->bi", square, np.abs(point)))
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.einsum("bij,bj->bi", np.abs(inverse), residual).max(axis=1) / (1 - contraction)
    off *= 1 + rounding
    slack = 1 - np.einsum("bij,bj->bi", columns, point)
    slack_off = off[:, None] * columns.sum(axis=2) * (1 + rounding)
    slack_off += rounding * (1 + np.einsum("bij,bj->bi", columns, np.abs(point)))
    loose = np.ones(slack.shape, dtype=bool)
    np.put_along_axis(loose, tight, False, axis=1)
    return np.asarray(
        (contraction < 0.5) & (point > off[:, None]).all(axis=1) & ((slack > slack_off) | ~loose).all(axis=1)
    )


def systems(matrix: Floats, bases: Ints, size: int) -> tuple[Ints, Ints]:
    """Columns that are basic and rows whose slack is not, at bases with `size` of each; both (n_bases, size)."""
    n_rows, n_columns = matrix.shape
    played = bases[:, :size]
    tight = np.ones((len(bases), n_columns + n_rows), dtype=bool)
    np.put_along_axis(tight, bases.astype(np.intp), False, axis=1)
    rows = np.nonzero(tight[:, n_columns:])[1].reshape(len(bases), size)
    return played, rows.astype(np.int32)
