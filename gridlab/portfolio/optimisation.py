"""
Weights from a mean and a covariance: minimum variance, mean-variance and maximum diversification.

Each is a quadratic programme, written once in cvxpy and compiled once for each shape. A solver's answer is corrected to
the optimum by active sets and counts only if its own optimality conditions say so.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError
from gridlab.portfolio.covariance import checked_covariance
from gridlab.portfolio.limits import LimitArrays, Limits, Shape, limited, parameters_of
from gridlab.portfolio.quadratic import Quadratic, corrected, gap, residual
from gridlab.programme import Programme, Session

Floats = NDArray[np.float64]

SOLVERS = ("CLARABEL", "SCS")
"""Who may be asked first; the other one is asked where the answer of the first does not count."""

PRECISION = 1e-9
"""
Greatest residual of an answer that counts: of its limits, and of its gradient relative to the greatest term, or else of
its gap, to ten times this, relative to the objective's terms before they cancel.
"""

REMEDY = "leave out assets that the others make up, or give costs and limits the order of the other numbers"
"""What helps where no answer counts."""

_GAP = 10 * PRECISION  # of an objective's terms before they cancel, by which an answer may be above the least
_DEAR = 1e4  # of the greatest volatility, a cost at which next to nothing is moved
_NO_SPREAD = 1e-12  # of the greatest volatility, as good as none
_OPTIONS: dict[str, dict[str, Any]] = {"CLARABEL": {}, "SCS": {"eps_abs": 1e-8, "eps_rel": 1e-8}}


def min_variance_weights(cov: ArrayLike, *, limits: Limits | None = None, solver: str = "CLARABEL") -> Floats:
    r"""
    The weights of least variance.

    .. math::
        \min_w \; \tfrac12 w' \Sigma w + c' |w - h| \quad \text{within the limits}.

    A cost of turnover weighs here as in `mean_variance_weights` with a mean of zero and a risk aversion of 1.

    Parameters
    ----------
    cov : array_like, shape (n_assets, n_assets)
        Covariance of the returns. Where it is singular, as with more assets than days, several weights may have the
        least variance; one of them is given. [($/MW)^2]
    limits : Limits, optional
        What the weights keep to; shares from 0 to 1 that sum to 1 when omitted.
    solver : str
        One of `SOLVERS`, the first to be asked.

    Returns
    -------
    ndarray, shape (n_assets,)
        The weights; one asset gets all of the total.

    Raises
    ------
    DataError
        If `cov` is not positive semidefinite or `limits` do not fit it.
    PlanError
        If the limits exclude each other, which names the one that would have to give way and by how much, or there is
        no least variance.

    References
    ----------
    .. [1] H. Markowitz, "Portfolio selection," J. Finance 7(1), 1952, doi:10.1111/j.1540-6261.1952.tb01525.x.

    Examples
    --------
    >>> min_variance_weights([[0.01, 0.0], [0.0, 0.03]]).round(9).tolist()
    [0.75, 0.25]
    >>> min_variance_weights([[0.01, 0.0], [0.0, 0.03]], limits=Limits(upper=0.6)).round(9).tolist()
    [0.6, 0.4]
    """
    cov = checked_covariance(cov)
    return mean_variance_weights(np.zeros(len(cov)), cov, 1.0, limits=limits, solver=solver)


def mean_variance_weights(
    mean: ArrayLike,
    cov: ArrayLike,
    risk_aversion: float = 1.0,
    *,
    limits: Limits | None = None,
    solver: str = "CLARABEL",
) -> Floats:
    r"""
    The weights of the greatest mean less risk, which is the variance by half the risk aversion, and cost.

    .. math::
        \max_w \; \mu' w - \tfrac{\gamma}{2} w' \Sigma w - c' |w - h| \quad \text{within the limits},

    where :math:`h` are the weights held and :math:`c` the cost of turnover.

    Parameters
    ----------
    mean : array_like, shape (n_assets,)
        Expected returns. [$/MW]
    cov : array_like, shape (n_assets, n_assets)
        Their covariance. [($/MW)^2]
    risk_aversion : float
        What a unit of variance costs, twice, 0 or above; at 0 only the mean counts. [MW/$]
    limits : Limits, optional
        What the weights keep to; shares from 0 to 1 that sum to 1 when omitted.
    solver : str
        One of `SOLVERS`, the first to be asked.

    Returns
    -------
    ndarray, shape (n_assets,)
        The weights.

    Raises
    ------
    DataError
        If `cov` is not positive semidefinite, `mean` or `limits` do not fit it, or `risk_aversion` is negative.
    PlanError
        If the limits exclude each other, which names the one that would have to give way and by how much, or do not
        bound the weights.

    References
    ----------
    .. [1] H. Markowitz, "Portfolio selection," J. Finance 7(1), 1952, doi:10.1111/j.1540-6261.1952.tb01525.x.

    Examples
    --------
    >>> cov = [[0.01, 0.0], [0.0, 0.03]]
    >>> mean_variance_weights([0.01, 0.02], cov, risk_aversion=1.0).round(9).tolist()
    [0.5, 0.5]
    >>> costly = Limits(held=[1.0, 0.0], turnover_cost=0.1)
    >>> mean_variance_weights([0.01, 0.02], cov, risk_aversion=1.0, limits=costly).round(9).tolist()
    [1.0, 0.0]
    """
    cov = checked_covariance(cov)
    mean = _checked_mean(mean, len(cov))
    if not 0 <= risk_aversion < np.inf:
        raise DataError(f"risk_aversion must be 0 or above and finite, got {risk_aversion}")
    arrays = (limits or Limits()).of(len(cov))
    size = arrays.size
    weights = MeanVariance(mean, risk_aversion * size * cov, arrays.scaled(size)).solve(solver)
    return arrays.clipped(size * weights)


def max_diversification_weights(cov: ArrayLike, *, limits: Limits | None = None, solver: str = "CLARABEL") -> Floats:
    r"""
    The weights whose mean volatility is greatest as a multiple of their portfolio's volatility.

    .. math::
        \max_w \; \frac{\sigma' w - c' |w - h|}{\sqrt{w' \Sigma w}} \quad \text{within the limits},

    solved for :math:`y = k w` as :math:`\min \tfrac12 y' \Sigma y` with :math:`\sigma' y - c' |y - k h| \ge 1` and the
    limits times :math:`k \ge 0`. A cost of turnover is taken off the volatilities, which have its unit.

    Parameters
    ----------
    cov : array_like, shape (n_assets, n_assets)
        Covariance of the returns. Where it is singular a portfolio may have no volatility, and is then the answer.
        [($/MW)^2]
    limits : Limits, optional
        What the weights keep to, with a total; shares from 0 to 1 that sum to 1 when omitted.
    solver : str
        One of `SOLVERS`, the first to be asked.

    Returns
    -------
    ndarray, shape (n_assets,)
        The weights.

    Raises
    ------
    DataError
        If `cov` is not positive semidefinite or all zero, or `limits` do not fit it or have no total above 0, without
        which the ratio does not say how large the weights are.
    PlanError
        If the limits exclude each other or allow no weights with a mean volatility above the cost.

    References
    ----------
    .. [1] Y. Choueifaty and Y. Coignard, "Toward maximum diversification," J. Portfolio Management 35(1), 2008,
       doi:10.3905/JPM.2008.35.1.40.

    Examples
    --------
    >>> max_diversification_weights([[0.01, 0.0], [0.0, 0.0625]]).round(6).tolist()  # as risk parity, uncorrelated
    [0.714286, 0.285714]
    """
    cov = checked_covariance(cov)
    arrays = (limits or Limits()).of(len(cov))
    if arrays.total is None or arrays.total <= 0:
        raise DataError(f"maximum diversification needs limits with a total above 0, got total = {arrays.total}")
    volatility = np.sqrt(cov.diagonal())
    if not volatility.any():
        raise DataError("cov is all zero: no weights are diversified more than others")
    weights = _most_diverse(volatility, cov, arrays.scaled(arrays.size), solver)
    return arrays.clipped(arrays.size * weights)


def _most_diverse(volatility: Floats, cov: Floats, limits: LimitArrays, solver: str) -> Floats:
    """
    The weights of maximum diversification.

    Costs far above the volatilities are sought as smaller ones first, at which no other weights do better than they
    would at the full cost: where the answer leaves these assets as they are held, it is the answer to the full cost.
    """
    dear = limits.turnover_cost > _DEAR * volatility.max()
    if limits.held is not None and dear.any():
        cheaper = replace(limits, turnover_cost=np.minimum(limits.turnover_cost, _DEAR * volatility.max()))
        weights = _Diversification(volatility, cov, cheaper).solve(solver)
        if np.abs(weights - limits.held)[dear].max() <= PRECISION:
            return np.where(dear, limits.held, weights)
    return _Diversification(volatility, cov, limits).solve(solver)


class MeanVariance:
    """
    Mean-variance programmes of one mean, covariance and set of limits, also with a least mean after costs.

    Parameters
    ----------
    mean : ndarray, shape (n_assets,)
        Expected returns.
    cov : ndarray, shape (n_assets, n_assets)
        Positive semidefinite covariance, times the risk aversion.
    limits : LimitArrays
        Limits of weights of the order of 1.
    """

    def __init__(self, mean: Floats, cov: Floats, limits: LimitArrays) -> None:
        self.limits = limits
        self.mean, self.cov, self.cost = mean, cov, limits.turnover_cost
        shape = limits.shape
        self.size = max(np.abs(mean).max(), cov.diagonal().max(), float(self.cost.max()) * shape.has_moves) or 1.0

    def solve(self, solver: str = "CLARABEL") -> Floats:
        """The weights of the greatest mean less half the variance and costs."""
        limits, size = self.limits, self.size
        data = limits.parameters() | {"mean": self.mean / size, "factor": factor(self.cov / size)}
        if limits.shape.has_moves:
            data["turnover_cost"] = self.cost / size
        programme, exact = _programme(limits.shape), self.quadratic()
        return _solved(programme, data, exact, limits, solver, widths=limits.widths())[: len(self.mean)]

    def quadratic(self) -> Quadratic:
        """The same programme as arrays."""
        rows = self.limits.rows()
        hessian = _padded(self.cov / self.size, rows.most.shape[1])
        linear = np.concatenate([-self.mean, self.cost])[: rows.most.shape[1]] / self.size
        return Quadratic(hessian, linear, *rows)


class _Diversification:
    """The homogeneous form of maximum diversification."""

    def __init__(self, volatility: Floats, cov: Floats, limits: LimitArrays) -> None:
        self.limits = limits
        self.size = volatility.max()
        self.volatility, self.cov = volatility / self.size, cov / self.size**2
        self.cost = limits.turnover_cost / self.size

    def solve(self, solver: str) -> Floats:
        """The weights, from the homogeneous ones by their size."""
        limits = self.limits
        data = limits.parameters() | {"volatility": self.volatility, "factor": factor(self.cov)}
        if limits.shape.has_moves:
            data["turnover_cost"] = self.cost
        try:
            programme, exact, columns = _diversification_programme(limits.shape), self.quadratic(), self._columns()
            unknown = np.full(len(columns), np.inf)  # how large the homogeneous weights can be
            x = _solved(programme, data, exact, limits, solver, widths=unknown, columns=columns)
        except PlanError as error:
            if "infeasible" not in str(error):
                raise
            raise PlanError("the limits allow no weights whose mean volatility is above the cost of turnover") from None
        if x[-1] <= _NO_SPREAD:
            raise PlanError("the best weights grow without end: bound them from both sides")
        return np.asarray(x[: len(self.volatility)] / x[-1])

    def quadratic(self) -> Quadratic:
        """
        The homogeneous programme as arrays, its moves times `_columns`; the last column is the scale.

        That moves are not negative follows from the other rows, but to their rounding, which a cost may magnify.
        """
        rows, columns = self.limits.rows(), self._columns()
        finite = np.isfinite(rows.sides)
        spread = np.concatenate([-self.volatility, self.cost])[: rows.most.shape[1]]
        most = np.vstack(
            [
                np.column_stack([rows.most[finite], -rows.sides[finite]]),
                np.append(spread, 0.0),
                -np.eye(len(spread) + 1)[len(self.volatility) :],
            ]
        )
        sides = np.concatenate([np.zeros(finite.sum()), [-1.0], np.zeros(len(spread) + 1 - len(self.volatility))])
        equal = np.column_stack([rows.equal, -rows.sums])
        n_columns = rows.most.shape[1] + 1
        hessian, none = _padded(self.cov, n_columns), np.zeros(n_columns)
        return Quadratic(hessian, none, equal, np.zeros(len(equal)), most / columns, sides)

    def _columns(self) -> Floats:
        """What each column is multiplied by: moves by their cost where this is above the volatilities, which are 1."""
        n_assets = len(self.volatility)
        moves = np.maximum(self.cost, 1.0) if self.limits.shape.has_moves else np.empty(0)
        return np.concatenate([np.ones(n_assets), moves, [1.0]])


@lru_cache(maxsize=64)
def _programme(shape: Shape) -> Programme:
    """The programme of `mean_variance_weights`, with the risk aversion in the factor of the covariance."""
    import cvxpy as cp

    p = parameters_of(shape)
    p |= {"mean": cp.Parameter(shape.n_assets), "factor": cp.Parameter((shape.n_assets, shape.n_assets))}
    within = limited(shape, p)

    risk = cp.sum_squares(p["factor"].T @ within.weights) / 2
    profit = p["mean"] @ within.weights - within.cost
    return Programme(cp.Problem(cp.Maximize(profit - risk), within.constraints), p, within.variables)


@lru_cache(maxsize=64)
def _diversification_programme(shape: Shape) -> Programme:
    """The homogeneous programme of `max_diversification_weights`."""
    import cvxpy as cp

    p = parameters_of(shape)
    p |= {"volatility": cp.Parameter(shape.n_assets), "factor": cp.Parameter((shape.n_assets, shape.n_assets))}
    scale = cp.Variable(nonneg=True, name="scale")
    within = limited(shape, p, scale)

    risk = cp.sum_squares(p["factor"].T @ within.weights) / 2
    spread = p["volatility"] @ within.weights - within.cost >= 1
    problem = cp.Problem(cp.Maximize(-risk), [spread, *within.constraints])
    return Programme(problem, p, within.variables | {"scale": scale})


def _solved(
    programme: Programme,
    data: Mapping[str, Any],
    exact: Quadratic,
    limits: LimitArrays,
    solver: str,
    *,
    widths: Floats,
    columns: Floats | float = 1.0,
) -> Floats:
    """The first answer that, corrected, fulfils its optimality conditions; `columns` are what `exact` counts in."""
    order = ordered(solver)
    said = []
    for name in order:
        try:
            values = Session(programme, solvers={name: _OPTIONS[name]}).solve(data).values
        except PlanError as error:
            limits.refuse()
            if "infeasible" in str(error) or "unbounded" in str(error):
                raise
            said.append(f"{error}")
            continue
        start = np.concatenate([np.atleast_1d(value) for value in values.values()])
        x = corrected(exact, start * columns)
        if counts(exact, x, widths):
            return x
        left = residual(exact, x)
        said.append(f"the answer of {name} misses a limit by {left.primal:.3g} and its gradient by {left.dual:.3g}")
    raise PlanError(f"no solver found the optimum ({'; '.join(said)}): {REMEDY}")


def counts(exact: Quadratic, x: Floats, widths: Floats) -> bool:
    """Whether an answer is the optimum by its gradient or, where rounding hides this, by the gap that prices prove."""
    left = residual(exact, x)
    return left.primal <= PRECISION and (left.dual <= PRECISION or gap(exact, x, widths) <= _GAP)


def ordered(solver: str) -> tuple[str, ...]:
    """The solver asked for, then the others."""
    if solver not in SOLVERS:
        raise DataError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
    return solver, *(name for name in SOLVERS if name != solver)


def factor(cov: Floats) -> Floats:
    """A square matrix `F` with ``F @ F.T == cov``, from the eigenvectors of the correlations."""
    deviation = np.sqrt(cov.diagonal())
    by = np.where(deviation > 0, deviation, 1.0)
    values, vectors = np.linalg.eigh(cov / by / by[:, np.newaxis])
    return np.asarray(by[:, np.newaxis] * vectors * np.sqrt(np.maximum(values, 0.0)))


def _padded(hessian: Floats, n_columns: int) -> Floats:
    padded = np.zeros((n_columns, n_columns))
    padded[: len(hessian), : len(hessian)] = hessian
    return padded


def _checked_mean(mean: ArrayLike, n_assets: int) -> Floats:
    mean = np.asarray(mean, dtype=float)
    if mean.shape != (n_assets,) or not np.isfinite(mean).all():
        raise DataError(f"mean must be finite and of shape ({n_assets},), one for each asset, got {mean}")
    return mean
