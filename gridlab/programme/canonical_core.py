"""A set of parameters into a linear programme, compiled."""

import numba
import numpy as np


@numba.njit(cache=True)
def assemble(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    values,
    above_row,
    above_column,
    above_coefficient,
    below_row,
    below_column,
    below_coefficient,
    vector,
    at_rows,
    least,
    greatest,
    kept,
    equal,
):
    """All entries of the map, the bounds of the columns and the sides of the rows that are left."""
    entries = np.zeros(len(indptr) - 1)
    for row in range(len(entries)):
        for entry in range(indptr[row], indptr[row + 1]):
            entries[row] += values[entry] * vector[indices[entry]]
    lower, upper = least.copy(), greatest.copy()
    for side in range(len(above_row)):
        bound = (0.0 - entries[at_rows + above_row[side]]) / above_coefficient[side]
        lower[above_column[side]] = max(lower[above_column[side]], bound)
    for side in range(len(below_row)):
        bound = (0.0 - entries[at_rows + below_row[side]]) / below_coefficient[side]
        upper[below_column[side]] = min(upper[below_column[side]], bound)
    row_lower, row_upper = np.empty(len(kept)), np.full(len(kept), np.inf)
    for row in range(len(kept)):
        row_lower[row] = 0.0 - entries[at_rows + kept[row]]
        if equal[row]:
            row_upper[row] = row_lower[row]
    return entries, lower, upper, row_lower, row_upper
