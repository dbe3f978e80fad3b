"""Two players of whom one gains what the other loses: the value and a safe strategy for each."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import PlanError
from gridlab.games.bimatrix_exact import slack_tableau, whole_payoffs
from gridlab.games.payoffs import REGRET_TOLERANCE, checked_matrix, indifferent, normalised

Floats = NDArray[np.float64]

_AIM = 1e-12  # gap, as a share of the payoff range, above which the programme is solved again without rounding
_PLAYED = 1e-9  # probability below which the rounding of HiGHS is taken for none
_FEW_CELLS = 256  # table small enough that it always is
_EXACT_CELLS = 2500  # largest table for which it is


class ZeroSum(NamedTuple):
    """
    The value of a zero-sum game and strategies that secure it.

    Parameters
    ----------
    value : float
        What the row player earns and the column player loses. [$]
    x : ndarray, shape (m,)
        The row player's strategy, which earns at least the value whatever the other does.
    y : ndarray, shape (n,)
        The column player's strategy, which loses at most the value.
    """

    value: float
    x: Floats
    y: Floats


def zero_sum(A: ArrayLike) -> ZeroSum:
    r"""
    Value and optimal strategies of a zero-sum game, by one linear programme.

    .. math::
        \max_{x, v} \; v, \qquad A' x \ge v, \quad \textstyle\sum_i x_i = 1, \quad x \ge 0,

    whose dual is the column player's. A saddle point, where a row's least payoff is a column's greatest, is taken where
    there is one. HiGHS solves the rest; the answer of a table of up to 256 payoffs, and of one of up to 2,500 where
    HiGHS's is not good enough, is found again in whole numbers, so that payoffs of very different sizes do no harm.
    What x secures and what y concedes must agree to 1e-9 of the payoff range.

    Parameters
    ----------
    A : array_like, shape (m, n)
        What the column player pays the row player. [$]

    Returns
    -------
    ZeroSum
        The tuple (value, x, y).

    Raises
    ------
    DataError
        If `A` is not a table of finite numbers with at least two rows and two columns.
    PlanError
        If the gap stays above 1e-9 of the payoff range, with the gap.

    References
    ----------
    .. [1] J. von Neumann, "Zur Theorie der Gesellschaftsspiele," Mathematische Annalen 100, 1928,
       doi:10.1007/BF01448847.
    .. [2] G. B. Dantzig, "A proof of the equivalence of the programming problem and the game problem," in Activity
       Analysis of Production and Allocation, 1951.

    Examples
    --------
    >>> value, x, y = zero_sum([[3, -1], [-2, 1]])
    >>> round(value, 12), x.round(12).tolist(), y.round(12).tolist()
    (0.142857142857, [0.428571428571, 0.571428571429], [0.285714285714, 0.714285714286])
    """
    payoffs = checked_matrix(A, "A")
    saddle = _saddle(payoffs)
    if saddle is not None:
        return saddle
    game = normalised(payoffs)
    x, y = _by_programme(game)
    if payoffs.size <= (_FEW_CELLS if _gap(game, x, y) <= _AIM else _EXACT_CELLS):
        x, y = _without_rounding(payoffs)
    gap = _gap(game, x, y)
    if gap > REGRET_TOLERANCE:
        raise PlanError(
            f"the value is known only to {gap:.3g} of the payoff range, {REGRET_TOLERANCE:g} is asked for: bring the "
            "payoffs nearer to one scale"
        )
    return ZeroSum(float((x @ payoffs).min()) / 2 + float((payoffs @ y).max()) / 2, x, y)


def _saddle(payoffs: Floats) -> ZeroSum | None:
    """The first saddle point in pure strategies, if there is one."""
    secured, conceded = payoffs.min(axis=1), payoffs.max(axis=0)
    if secured.max() < conceded.min():
        return None
    m, n = payoffs.shape
    return ZeroSum(float(secured.max()), np.eye(m)[secured.argmax()], np.eye(n)[conceded.argmin()])


def _gap(game: Floats, x: Floats, y: Floats) -> float:
    """What y concedes less what x secures; infinite where they are no strategies."""
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return np.inf
    return max(float((game @ y).max() - (x @ game).min()), 0.0)


def _by_programme(game: Floats) -> tuple[Floats, Floats]:
    """Both strategies by HiGHS, from payoffs in [0, 1]."""
    from scipy.optimize import linprog

    m, n = game.shape
    rows = np.hstack([-game.T, np.ones((n, 1))])
    solved = linprog(
        np.append(np.zeros(m), -1.0),
        rows,
        np.zeros(n),
        np.append(np.ones(m), 0.0)[None],
        [1.0],
        [(0, None)] * m + [(None, None)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if solved.x is None:
        return np.full(m, np.nan), np.full(n, np.nan)
    x, y = _mix(solved.x[:m]), _mix(-solved.ineqlin.marginals)
    rows, columns = np.flatnonzero(x > _PLAYED), np.flatnonzero(y > _PLAYED)
    again = indifferent(game.T, columns, rows), indifferent(game, rows, columns)
    return again if _gap(game, *again) <= _gap(game, x, y) else (x, y)


def _mix(weights: Floats) -> Floats:
    """Weights as probabilities."""
    weights = np.maximum(weights, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(weights / weights.sum())


def _without_rounding(payoffs: Floats) -> tuple[Floats, Floats]:
    """Both strategies by the simplex method in whole numbers, on the greatest sum of {y >= 0, M y <= 1}."""
    matrix = whole_payoffs(payoffs)[0] + 1
    n = matrix.shape[1]
    tableau = slack_tableau(matrix)
    while True:
        played = tableau.basic < n
        gains = -tableau.entries[played, :-1].sum(axis=0)
        gains[:n] += tableau.scale
        entering = int(np.argmax(gains))
        if gains[entering] <= 0:
            break
        tableau = tableau.pivoted(tableau.leaving(entering), entering)
    loads, values = -gains[n:], tableau.values()
    total = sum(loads)
    y = np.array([values.get(column, 0) / total for column in range(n)])
    return np.array([load / total for load in loads]), y
