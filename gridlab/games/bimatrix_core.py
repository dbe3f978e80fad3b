"""The bases next to a basis of a polytope {z >= 0, M z <= 1}, compiled: in whole numbers, exactly, and in doubles."""

import numba
import numpy as np

FOUND, TIE, OVERFLOW = 0, 1, 2

_LARGEST = 2**31  # of the whole numbers in a tableau: the difference of two products still fits 64 bits
_SAME = 1e-11  # relative difference of two ratios below which doubles cannot tell which is less


@numba.njit(cache=True)
def whole_neighbours(matrix, bases):  # type: ignore[no-untyped-def]
    """
    The neighbours of bases by the lexicographic rule, in whole numbers.

    `matrix` (n_rows, n_columns) has whole numbers, positive; `bases` (n_bases, n_rows) the basic variables in order,
    where variable ``n_columns + i`` is the slack of row i. Returns the neighbours (n_bases, n_columns, n_rows), the
    variables that are positive at each basis (n_bases, n_columns + n_rows) and whether numbers grew too large.
    """
    n_bases, (n_rows, n_columns) = len(bases), matrix.shape
    width = n_columns + n_rows
    near = np.empty((n_bases, n_columns, n_rows), dtype=np.int32)
    positive = np.zeros((n_bases, width), dtype=np.bool_)
    tableau, basic = np.empty((n_rows, width + 1), dtype=np.int64), np.empty(n_rows, dtype=np.int64)
    for number in range(n_bases):
        inside = _membership(bases[number], width)
        scale = _whole_tableau(matrix, bases[number], inside, tableau, basic)
        if scale == 0:
            return near, positive, OVERFLOW
        for row in range(n_rows):
            positive[number, basic[row]] = tableau[row, width] > 0
        place = 0
        for entering in range(width):
            if inside[entering]:
                continue
            row = _lexicographic_row(tableau, entering, n_columns)
            _write_swapped(near[number, place], basic, row, entering)
            place += 1
    return near, positive, FOUND


@numba.njit(cache=True)
def double_neighbours(matrix, bases):  # type: ignore[no-untyped-def]
    """As `whole_neighbours` for a matrix of doubles; stops at ratios that doubles cannot tell apart."""
    n_bases, (n_rows, n_columns) = len(bases), matrix.shape
    width = n_columns + n_rows
    near = np.empty((n_bases, n_columns, n_rows), dtype=np.int32)
    positive = np.zeros((n_bases, width), dtype=np.bool_)
    tableau, basic = np.empty((n_rows, width + 1)), np.empty(n_rows, dtype=np.int64)
    for number in range(n_bases):
        inside = _membership(bases[number], width)
        if not _double_tableau(matrix, bases[number], inside, tableau, basic):
            return near, positive, TIE
        for row in range(n_rows):
            positive[number, basic[row]] = True
        place = 0
        for entering in range(width):
            if inside[entering]:
                continue
            row = _least_row(tableau, entering)
            if row < 0:
                return near, positive, TIE
            _write_swapped(near[number, place], basic, row, entering)
            place += 1
    return near, positive, FOUND


@numba.njit(cache=True)
def _write_swapped(found, basic, row, entering):  # type: ignore[no-untyped-def]
    """Write the basis with the variable of a row replaced, in order."""
    found[:] = basic
    found[row] = entering
    found.sort()


@numba.njit(cache=True)
def _start(matrix, tableau, basic):  # type: ignore[no-untyped-def]
    """The tableau in which all slacks are basic."""
    n_rows, n_columns = matrix.shape
    tableau[:] = 0
    tableau[:, :n_columns] = matrix
    tableau[:, n_columns + n_rows] = 1
    for row in range(n_rows):
        tableau[row, n_columns + row] = 1
        basic[row] = n_columns + row


@numba.njit(cache=True)
def _membership(basis, width):  # type: ignore[no-untyped-def]
    """Whether each variable is in a basis."""
    inside = np.zeros(width, dtype=np.bool_)
    for variable in basis:
        inside[variable] = True
    return inside


@numba.njit(cache=True)
def _largest_pivot(tableau, basic, inside, entering, n_columns):  # type: ignore[no-untyped-def]
    """The row, of a slack that has to leave, and the place of the entering variable of the largest pivot, or -1."""
    best, at_row, at_place = 0.0, -1, -1
    for row in range(len(basic)):
        if basic[row] < n_columns or inside[basic[row]]:
            continue
        for place in range(len(entering)):
            size = float(abs(tableau[row, entering[place]]))
            if size > best:
                best, at_row, at_place = size, row, place
    return at_row, at_place


@numba.njit(cache=True)
def _whole_tableau(matrix, basis, inside, tableau, basic):  # type: ignore[no-untyped-def]
    """The tableau of a basis over a common denominator, which is returned; 0 where the numbers grow too large."""
    n_columns = matrix.shape[1]
    _start(matrix, tableau, basic)
    scale = 1
    entering = basis[basis < n_columns]
    for done in range(len(entering)):
        pivot_row, place = _largest_pivot(tableau, basic, inside, entering[done:], n_columns)
        if pivot_row < 0:
            return 0
        pivot_column = entering[done + place]
        entering[done + place] = entering[done]
        pivot = tableau[pivot_row, pivot_column]
        for row in range(len(basic)):
            if row == pivot_row:
                continue
            factor = tableau[row, pivot_column]
            for column in range(tableau.shape[1]):
                value = (tableau[row, column] * pivot - factor * tableau[pivot_row, column]) // scale
                if abs(value) >= _LARGEST:
                    return 0
                tableau[row, column] = value
        scale = pivot
        basic[pivot_row] = pivot_column
    if scale < 0:
        tableau *= -1
    return abs(scale)


@numba.njit(cache=True)
def _double_tableau(matrix, basis, inside, tableau, basic):  # type: ignore[no-untyped-def]
    """The tableau of a basis; False where it is singular."""
    n_columns = matrix.shape[1]
    _start(matrix, tableau, basic)
    entering = basis[basis < n_columns]
    for done in range(len(entering)):
        pivot_row, place = _largest_pivot(tableau, basic, inside, entering[done:], n_columns)
        if pivot_row < 0:
            return False
        pivot_column = entering[done + place]
        entering[done + place] = entering[done]
        tableau[pivot_row] /= tableau[pivot_row, pivot_column]
        for row in range(len(basic)):
            factor = tableau[row, pivot_column]
            if row != pivot_row and factor != 0:
                for column in range(tableau.shape[1]):
                    tableau[row, column] -= factor * tableau[pivot_row, column]
        basic[pivot_row] = pivot_column
    return True


@numba.njit(cache=True)
def _lexicographic_row(tableau, entering, n_columns):  # type: ignore[no-untyped-def]
    """The row whose right side and slack columns, over its entry in the entering column, come first."""
    n_rows, last = len(tableau), tableau.shape[1] - 1
    best = -1
    for row in range(n_rows):
        if tableau[row, entering] <= 0:
            continue
        if best < 0:
            best = row
            continue
        for place in range(n_rows + 1):
            column = last if place == 0 else n_columns + place - 1
            ahead = tableau[row, column] * tableau[best, entering] - tableau[best, column] * tableau[row, entering]
            if ahead != 0:
                if ahead < 0:
                    best = row
                break
    return best


@numba.njit(cache=True)
def _least_row(tableau, entering):  # type: ignore[no-untyped-def]
    """The row of the least ratio of right side to entry; -1 where another is the same to rounding or it is 0."""
    last = tableau.shape[1] - 1
    best, least, second = -1, np.inf, np.inf
    for row in range(len(tableau)):
        entry = tableau[row, entering]
        if entry <= 0:
            continue
        ratio = tableau[row, last] / entry
        if ratio < least:
            best, least, second = row, ratio, least
        elif ratio < second:
            second = ratio
    if best < 0 or least <= 0 or second * (1 - _SAME) <= least:
        return -1
    return best
