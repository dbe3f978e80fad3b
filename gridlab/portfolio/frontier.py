"""The efficient frontier: the least risk for each mean, by variance or by conditional value at risk."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError
from gridlab.family import Family
from gridlab.portfolio.limits import LimitArrays, Limits, Shape, limited, parameters_of
from gridlab.portfolio.optimisation import REMEDY, MeanVariance, counts, factor
from gridlab.portfolio.quadratic import Quadratic, corrected, residual
from gridlab.portfolio.tail import Tail, checked_scenarios
from gridlab.programme import Programme, Session

Floats = NDArray[np.float64]

_MEASURED = ("mean", "risk")
_SAME = 1e-12  # of the greatest mean, by which two means are one
_RANK = 1e-12  # of the greatest eigenvalue of the correlations, below which one is as good as zero


def frontier(
    returns: ArrayLike | pd.DataFrame,
    *,
    measure: str = "variance",
    level: float = 0.95,
    n_points: int = 50,
    limits: Limits | None = None,
    mean: ArrayLike | None = None,
) -> pd.DataFrame:
    r"""
    The portfolios of least risk for each mean, from the least risk of all to the greatest mean.

    Parameters
    ----------
    returns : array_like or DataFrame, shape (n_scenarios, n_assets)
        Return of each asset on each day; a DataFrame's columns name the weights. [$/MW]
    measure : str
        ``"variance"``, whose risk is the standard deviation of the sample (divided by the days less one), or
        ``"cvar"``, whose risk is the conditional value at risk of the loss, with the costs of turnover.
    level : float
        Level of the conditional value at risk, in [0, 1); not used by the variance. [-]
    n_points : int
        Number of points, evenly spaced in the mean; at least 2.
    limits : Limits, optional
        What the weights keep to; shares from 0 to 1 that sum to 1 when omitted. By name where `returns` is a DataFrame.
    mean : array_like, shape (n_assets,), optional
        Expected returns; those of the sample when omitted. [$/MW]

    Returns
    -------
    DataFrame
        A row a point, `point` from 0; columns `mean`, after costs of turnover, and `risk` [$/MW], both computed from
        the weights, then one column of weights an asset. The risk is a convex function of the mean. Where several
        portfolios have the least risk, the first point is the one of the greatest mean; where one portfolio has both
        the least risk and the greatest mean, all points are that one.

    Raises
    ------
    DataError
        If `returns` is not a table of finite numbers or calls an asset ``mean`` or ``risk``, has one day only and the
        measure is the variance, `n_points` is not a whole number of 2 or more, or there is no such measure.
    PlanError
        If the limits exclude each other, which names the one that would have to give way and by how much, or do not
        bound the weights.

    References
    ----------
    .. [1] H. Markowitz, "Portfolio selection," J. Finance 7(1), 1952, doi:10.1111/j.1540-6261.1952.tb01525.x.
    .. [2] R. T. Rockafellar and S. Uryasev, "Optimization of conditional value-at-risk," J. Risk 2(3), 2000,
       doi:10.21314/JOR.2000.038.

    Examples
    --------
    >>> returns = pd.DataFrame({"energy": [3.0, 1.0, 5.0, 3.0], "regulation": [2.0, 2.0, 1.0, 3.0]})
    >>> table = frontier(returns, n_points=3).round(4)
    >>> table["mean"].tolist(), table["risk"].tolist(), table["energy"].tolist()
    ([2.2857, 2.6429, 3.0], [0.5345, 0.9386, 1.633], [0.2857, 0.6429, 1.0])
    """
    names = _asset_names(returns) if isinstance(returns, pd.DataFrame) else None
    returns, chance = checked_scenarios(returns, level, None)
    if not isinstance(n_points, (int, np.integer)) or n_points < 2:
        raise DataError(
            f"n_points must be a whole number, 2 or more, the least risk and the greatest mean, got {n_points}"
        )
    expected = returns.mean(axis=0) if mean is None else np.asarray(mean, dtype=float)
    if expected.shape != (returns.shape[1],) or not np.isfinite(expected).all():
        raise DataError(f"mean must be finite and of shape ({returns.shape[1]},), one for each asset, got {expected}")
    arrays = (limits or Limits()).of(returns.shape[1], names)
    curve = CURVES[measure](returns, level, chance, expected, arrays)
    weights = _points(curve, n_points)
    table = pd.DataFrame(weights, columns=names, index=pd.RangeIndex(n_points, name="point"))
    table.insert(0, "mean", [curve.mean(row) for row in weights])
    table.insert(1, "risk", [curve.risk(row) for row in weights])
    return table


def _asset_names(returns: pd.DataFrame) -> list[Hashable]:
    names = list(returns.columns)
    taken = next((name for name in names if name in _MEASURED), None)
    if taken is not None:
        raise DataError(f"no asset can be called {taken!r}, a column of the answer: rename it")
    return names


class Curve(NamedTuple):
    """What a measure has to say: mean and risk of weights, the two ends, and the least risk above a mean."""

    mean: Callable[[Floats], float]
    risk: Callable[[Floats], float]
    safest: Floats
    richest: Floats
    above: Callable[[float, Floats], Floats]


def _points(curve: Curve, n_points: int) -> Floats:
    """Weights of the points, each from the one before."""
    least, most = curve.mean(curve.safest), curve.mean(curve.richest)
    if most - least <= _SAME * max(abs(most), abs(least)):
        return np.tile(curve.safest, (n_points, 1))
    points = [curve.safest]
    for target in np.linspace(least, most, n_points)[1:]:
        points.append(curve.above(float(target), points[-1]))
    return np.array(points)


def _by_cvar(returns: Floats, level: float, chance: Floats, mean: Floats, limits: LimitArrays) -> Curve:
    """The frontier of the conditional value at risk, by one session of HiGHS."""
    tail = Tail(returns, level, chance, limits, "HIGHS", mean=mean)
    richest = tail.greatest_mean()

    def above(target: float, _: Floats) -> Floats:
        try:
            return tail.least(target)
        except PlanError as error:
            if "infeasible" not in str(error) or target < tail.net_mean(richest) - _SAME * np.abs(mean * richest).sum():
                raise
            return richest  # which alone has so great a mean

    return Curve(tail.net_mean, tail.cvar, tail.safest(), richest, above)


def _by_variance(returns: Floats, level: float, chance: Floats, mean: Floats, limits: LimitArrays) -> Curve:
    """The frontier of the variance, by active sets from point to point."""
    if len(returns) < 2:
        raise DataError("returns of one day have no variance: give two days or more")
    from_first = returns - returns[0]  # so that a constant asset has no variance, not one of rounding
    curve = _Variance(np.atleast_2d(np.cov(from_first, rowvar=False)), mean, limits)
    return Curve(curve.net_mean, curve.deviation, curve.safest(), curve.richest, curve.above)


CURVES: Family[Callable[[Floats, float, Floats, Floats, LimitArrays], Curve]] = Family(
    "measure", {"variance": _by_variance, "cvar": _by_cvar}
)
"""How each measure of risk makes its frontier."""


class _Variance:
    """Portfolios of least variance above a mean."""

    def __init__(self, cov: Floats, mean: Floats, limits: LimitArrays) -> None:
        self.cov, self.expected, self.limits = cov, mean, limits
        self.size = limits.size
        self._scaled = limits.scaled(self.size)
        self._unit = max(float(np.abs(mean).max()), float(limits.turnover_cost.max())) or 1.0
        self._spread = float(cov.diagonal().max()) or 1.0
        self.richest = limits.clipped(self.size * MeanVariance(mean, np.zeros_like(cov), self._scaled).solve())

    def net_mean(self, weights: Floats) -> float:
        """Mean after costs of turnover. [$/MW]"""
        return float(self.expected @ weights) - self.limits.cost(weights)

    def deviation(self, weights: Floats) -> float:
        """Standard deviation. [$/MW]"""
        return float(np.sqrt(max(float(weights @ self.cov @ weights), 0.0)))

    def safest(self) -> Floats:
        """The weights of least variance and, of these, of the greatest mean."""
        free = replace(self._scaled, turnover_cost=np.zeros_like(self.expected))
        weights = MeanVariance(np.zeros_like(self.expected), self.cov, free).solve()
        deviation = np.sqrt(self.cov.diagonal())
        by = np.where(deviation > 0, deviation, 1.0)
        spread = np.linalg.eigvalsh(self.cov / by / by[:, np.newaxis])
        chosen = weights if spread[0] > _RANK * spread[-1] else self._richest_like(weights)
        return self.limits.clipped(self.size * chosen)

    def _richest_like(self, weights: Floats) -> Floats:
        """The weights of the greatest mean among those that do on every day as these do."""
        rows = self._scaled.rows()
        alike: Floats = factor(self.cov).T
        norm = np.linalg.norm(alike, axis=1)
        alike = alike[norm > np.sqrt(_RANK) * norm.max(initial=0.0)]
        alike = _widened(alike / np.abs(alike).max(axis=1, keepdims=True), rows.most.shape[1])
        x = self._scaled.with_moves(weights)
        equal, sums = np.vstack([rows.equal, alike]), np.concatenate([rows.sums, alike @ x])
        linear = -self._profit(rows.most.shape[1])
        programme = Quadratic(np.zeros((len(x), len(x))), linear, equal, sums, rows.most, rows.sides)
        return _certified(programme, [lambda: x], self._scaled.widths())[: len(weights)]

    def above(self, target: float, before: Floats) -> Floats:
        """The weights of least variance with a mean of `target`, which lies beyond that of the weights before."""
        here, end = self.net_mean(before), self.net_mean(self.richest)
        share = min(1.0, (target - here) / (end - here)) if end > here else 1.0
        start = self._scaled.with_moves((before + share * (self.richest - before)) / self.size)
        rows = self._scaled.rows()
        n_columns = rows.most.shape[1]
        hessian = np.zeros((n_columns, n_columns))
        hessian[: len(before), : len(before)] = self.cov / self._spread
        most = np.vstack([rows.most, -self._profit(n_columns)])
        sides = np.append(rows.sides, -target / self._unit / self.size)
        programme = Quadratic(hessian, np.zeros(n_columns), rows.equal, rows.sums, most, sides)
        starts = [lambda: start, lambda: self._by_solver(target)]
        x = _certified(programme, starts, self._scaled.widths())
        return self.limits.clipped(self.size * x[: len(before)])

    def _by_solver(self, target: float) -> Floats:
        """A start near the optimum, for where the way from the point before is lost."""
        data = self._scaled.parameters() | {
            "factor": factor(self.cov / self._spread),
            "mean": self.expected / self._unit,
            "least_mean": target / self._unit / self.size,
        }
        if self._scaled.shape.has_moves:
            data["turnover_cost"] = self.limits.turnover_cost / self._unit
        answer = Session(_programme(self._scaled.shape), solvers={"CLARABEL": {}}).solve(data)
        return np.concatenate(list(answer.values.values()))

    def _profit(self, n_columns: int) -> Floats:
        """What weights earn and moves cost, in units of the greatest of both."""
        return np.concatenate([self.expected, -self.limits.turnover_cost])[:n_columns] / self._unit


@lru_cache(maxsize=32)
def _programme(shape: Shape) -> Programme:
    """The least variance of the weights with a mean, after costs, of at least so much."""
    import cvxpy as cp

    p = parameters_of(shape)
    p |= {"mean": cp.Parameter(shape.n_assets), "least_mean": cp.Parameter()}
    p |= {"factor": cp.Parameter((shape.n_assets, shape.n_assets))}
    within = limited(shape, p)

    risk = cp.sum_squares(p["factor"].T @ within.weights) / 2
    profit = p["mean"] @ within.weights - within.cost
    problem = cp.Problem(cp.Maximize(-risk), [profit >= p["least_mean"], *within.constraints])
    return Programme(problem, p, within.variables)


def _certified(programme: Quadratic, starts: list[Callable[[], Floats]], widths: Floats) -> Floats:
    """The optimum from the first point that leads to one which its optimality conditions confirm."""
    for start in starts:
        x = corrected(programme, start())
        if counts(programme, x, widths):
            return x
    left = residual(programme, x)
    raise PlanError(
        f"a point of the frontier misses its limits by {left.primal:.3g} and its gradient by {left.dual:.3g}: {REMEDY}"
    )


def _widened(rows: Floats, n_columns: int) -> Floats:
    return np.hstack([rows, np.zeros((len(rows), n_columns - rows.shape[1]))])
