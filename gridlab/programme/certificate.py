"""The certificate of a linear programme's answer: residuals and gap from its own arrays, whoever solved it."""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from gridlab.programme.canonical import Canonical, Data

Floats = NDArray[np.float64]


class Certificate(NamedTuple):
    """
    How far an answer is from feasible, from priced right, and from the bound that its prices prove.

    Parameters
    ----------
    primal : float
        Greatest violation of a bound or row, relative to the greatest of the programme's finite sides, at least 1.
    dual : float
        Greatest price on a side that there is not, relative to the greatest cost, at least 1.
    gap : float
        Objective less the bound that the prices prove, relative to the objective, at least 1.
    """

    primal: float
    dual: float
    gap: float


def certificate(form: Canonical, lp: Data, x: Floats, y: Floats) -> Certificate:
    r"""
    Judge an answer `x` by the prices `y` of the rows, by weak duality.

    With :math:`z = c - A^T y`, no feasible point costs less than
    :math:`\sum_i (y_i^+ l_i - y_i^- u_i) + \sum_j (z_j^+ l_j - z_j^- u_j)` over the sides of rows and columns.

    Parameters
    ----------
    form : Canonical
        Where the coefficients lie.
    lp : Data
        The programme, which minimises.
    x : ndarray, shape (n_columns,)
        The answer.
    y : ndarray, shape (n_rows,)
        The prices of the rows.

    Returns
    -------
    Certificate
        All three are 0 at the exact optimum.
    """
    return Certificate(
        *_judge(form.starts, form.rows, lp.coefficients, lp.cost, lp.lower, lp.upper, lp.row_lower, lp.row_upper, x, y)
    )


@numba.njit(cache=True)
def _judge(starts, rows, coefficients, cost, lower, upper, row_lower, row_upper, x, y):  # type: ignore[no-untyped-def]
    activity = np.zeros(len(row_lower))
    primal, dual, objective, bound, greatest_side, greatest_cost = 0.0, 0.0, 0.0, 0.0, 1.0, 1.0
    for j in range(len(x)):
        reduced = cost[j]
        for entry in range(starts[j], starts[j + 1]):
            activity[rows[entry]] += coefficients[entry] * x[j]
            reduced -= coefficients[entry] * y[rows[entry]]
        objective += cost[j] * x[j]
        greatest_cost = max(greatest_cost, abs(cost[j]))
        primal = max(primal, lower[j] - x[j], x[j] - upper[j])
        side = lower[j] if reduced > 0 else upper[j]
        if np.isfinite(side):
            bound += reduced * side
            greatest_side = max(greatest_side, abs(side))
        else:
            dual = max(dual, abs(reduced))
    for i in range(len(y)):
        primal = max(primal, row_lower[i] - activity[i], activity[i] - row_upper[i])
        side = row_lower[i] if y[i] > 0 else row_upper[i]
        if np.isfinite(side):
            bound += y[i] * side
            greatest_side = max(greatest_side, abs(side))
        else:
            dual = max(dual, abs(y[i]))
    gap = abs(objective - bound) / max(1.0, abs(objective))
    return primal / greatest_side, dual / greatest_cost, gap
