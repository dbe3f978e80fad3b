"""
Weights from scenarios: the least conditional value at risk, and the greatest return within one.

Rockafellar and Uryasev's linear programmes, written once in cvxpy and compiled once for each shape; HiGHS answers them
from the basis before, with a certificate, where one session asks again and again.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError
from gridlab.portfolio.limits import LimitArrays, Limits, Shape, limited, parameters_of
from gridlab.portfolio.quadratic import mended
from gridlab.programme import Programme, Session
from gridlab.risk.historical import as_probabilities, checked_level, cvar

Floats = NDArray[np.float64]

SOLVERS = ("HIGHS", "CLARABEL", "SCS")
"""Who may be asked; the conic solvers are asked where the answer of the one asked first does not count."""

_PRECISION = 1e-9  # residuals and gap of an answer of HiGHS that counts, relative to the units that it is sought in
_COARSE = 0.1  # of the unit that an answer was sought in, below which its own risk is a better one
_FINEST = 1e-9  # of the greatest return, the smallest unit
_OPTIONS: dict[str, dict[str, Any]] = {
    "HIGHS": {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    "CLARABEL": {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10},
    "SCS": {"eps_abs": 1e-8, "eps_rel": 1e-8},
}


def min_cvar_weights(
    returns: ArrayLike,
    level: float = 0.95,
    *,
    probabilities: ArrayLike | None = None,
    limits: Limits | None = None,
    solver: str = "HIGHS",
) -> Floats:
    r"""
    The weights of least conditional value at risk.

    .. math::
        \min_{w, \alpha, u} \; \alpha + \frac{1}{1 - \beta} \sum_k p_k u_k + c' |w - h|, \qquad
        u_k \ge -r_k' w - \alpha, \quad u_k \ge 0, \quad \text{within the limits}.

    The loss of a scenario is minus its return and the cost of turnover, and the least is that of `risk.cvar`.

    Parameters
    ----------
    returns : array_like, shape (n_scenarios, n_assets)
        Return of each asset in each scenario or on each day. With one scenario the loss is that scenario's. [$/MW]
    level : float
        Level of the conditional value at risk, in [0, 1); at 0 it is the mean loss. [-]
    probabilities : array_like, shape (n_scenarios,), optional
        Probabilities of the scenarios, scaled here to sum to 1. Equal when omitted. [-]
    limits : Limits, optional
        What the weights keep to; shares from 0 to 1 that sum to 1 when omitted.
    solver : str
        One of `SOLVERS`, the first to be asked. HiGHS gives a corner, whose risk is the least to 1e-9 of it; the others
        something between corners where several are as good, to 1e-6. An answer counts only if its prices prove this.

    Returns
    -------
    ndarray, shape (n_assets,)
        The weights.

    Raises
    ------
    DataError
        If `returns` is not a table of finite numbers, `level` is outside [0, 1), or `probabilities` or `limits` do not
        fit.
    PlanError
        If the limits exclude each other, which names the one that would have to give way and by how much, or do not
        bound the weights.

    References
    ----------
    .. [1] R. T. Rockafellar and S. Uryasev, "Optimization of conditional value-at-risk," J. Risk 2(3), 2000,
       doi:10.21314/JOR.2000.038.

    Examples
    --------
    Of two services that lose on different days, the half of each loses least in the worst quarter of days.

    >>> returns = [[-4.0, 4.0], [4.0, -4.0], [1.0, 1.0], [1.0, 1.0]]
    >>> min_cvar_weights(returns, level=0.75).round(9).tolist()
    [0.5, 0.5]
    """
    returns, chance = checked_scenarios(returns, level, probabilities)
    arrays = (limits or Limits()).of(returns.shape[1])
    return Tail(returns, level, chance, arrays, solver).least()


def max_return_weights(
    returns: ArrayLike,
    level: float = 0.95,
    max_cvar: float = 0.0,
    *,
    probabilities: ArrayLike | None = None,
    limits: Limits | None = None,
    solver: str = "HIGHS",
) -> Floats:
    r"""
    The weights of the greatest mean return whose conditional value at risk is at most `max_cvar`.

    .. math::
        \max_{w, \alpha, u} \; \sum_k p_k r_k' w - c' |w - h|, \qquad
        \alpha + \frac{1}{1 - \beta} \sum_k p_k u_k + c' |w - h| \le \text{max\_cvar},

    with :math:`u` as in `min_cvar_weights` and within the limits.

    Parameters
    ----------
    returns, level, probabilities, limits, solver
        As in `min_cvar_weights`.
    max_cvar : float
        Greatest conditional value at risk of the loss, costs of turnover included. [$/MW]

    Returns
    -------
    ndarray, shape (n_assets,)
        The weights.

    Raises
    ------
    DataError
        As `min_cvar_weights`, or if `max_cvar` is NaN.
    PlanError
        As `min_cvar_weights`, or if `max_cvar` is below the least that can be had, which the message names.

    References
    ----------
    .. [1] P. Krokhmal, J. Palmquist and S. Uryasev, "Portfolio optimization with conditional value-at-risk objective
       and constraints," J. Risk 4(2), 2002, doi:10.21314/JOR.2002.057.

    Examples
    --------
    >>> returns = [[-4.0, -1.0], [6.0, 2.0]]
    >>> max_return_weights(returns, level=0.5, max_cvar=2.5).round(9).tolist()
    [0.5, 0.5]
    >>> max_return_weights(returns, level=0.5, max_cvar=0.5)
    Traceback (most recent call last):
    gridlab.errors.PlanError: max_cvar = 0.5 is below the least that can be had, 1: raise it or loosen the limits
    """
    returns, chance = checked_scenarios(returns, level, probabilities)
    if not np.isfinite(max_cvar):
        raise DataError(f"max_cvar must be finite, got {max_cvar}")
    arrays = (limits or Limits()).of(returns.shape[1])
    return Tail(returns, level, chance, arrays, solver).greatest(max_cvar)


def checked_scenarios(returns: ArrayLike, level: float, probabilities: ArrayLike | None) -> tuple[Floats, Floats]:
    """Returns as a table of finite numbers, and the probabilities of its rows."""
    returns = np.asarray(returns, dtype=float)
    if returns.ndim != 2 or 0 in returns.shape:
        raise DataError(f"returns must have shape (n_scenarios, n_assets), neither of them 0, got {returns.shape}")
    if not np.isfinite(returns).all():
        row, column = np.argwhere(~np.isfinite(returns))[0]
        raise DataError(f"returns must be finite, got {returns[row, column]} in scenario {row} of asset {column}")
    checked_level(level)
    return returns, as_probabilities(probabilities, len(returns))


class Tail:
    """
    The programmes of one table of returns, one level and one set of limits, asked again from the basis before.

    Parameters
    ----------
    returns : ndarray, shape (n_scenarios, n_assets)
        Returns. [$/MW]
    level : float
        Level of the conditional value at risk. [-]
    probabilities : ndarray, shape (n_scenarios,)
        Probabilities that sum to 1. [-]
    limits : LimitArrays
        Limits of the weights.
    solver : str
        The first to be asked.
    mean : ndarray, shape (n_assets,), optional
        Expected returns; the mean of the scenarios when omitted. [$/MW]
    """

    def __init__(
        self,
        returns: Floats,
        level: float,
        probabilities: Floats,
        limits: LimitArrays,
        solver: str,
        *,
        mean: Floats | None = None,
    ) -> None:
        if solver not in SOLVERS:
            raise DataError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
        self.returns, self.level, self.probabilities, self.limits = returns, level, probabilities, limits
        self.mean = probabilities @ returns if mean is None else mean
        self.size = limits.size
        self.unit = float(np.abs(returns).max()) or 1.0
        self._solvers = {name: _OPTIONS[name] for name in (solver, *SOLVERS[1:])}
        self._sessions: dict[str, Session] = {}

    def least(self, least_mean: float | None = None) -> Floats:
        """The weights of least conditional value at risk, of those with at least a mean after costs if one is given."""
        if least_mean is None:
            return self._solved("risk", {})
        return self._solved("risk above a mean", {"least_mean": least_mean})

    def greatest(self, max_cvar: float) -> Floats:
        """The weights of the greatest mean after costs, within a conditional value at risk."""
        try:
            return self._solved("mean within a risk", {"max_cvar": max_cvar})
        except PlanError as error:
            if "infeasible" not in str(error):
                raise
        weights = self.least()
        least = self.cvar(weights)
        if least <= max_cvar + _PRECISION * abs(max_cvar):
            return weights
        raise PlanError(
            f"max_cvar = {max_cvar:.6g} is below the least that can be had, {least:.6g}: raise it or loosen the limits"
        )

    def safest(self) -> Floats:
        """The weights of least conditional value at risk and, of these, of the greatest mean after costs."""
        weights = self.least()
        least = self.cvar(weights)
        try:
            richer = self._solved("mean within a risk", {"max_cvar": least + _PRECISION * abs(least)})
        except PlanError as error:  # by rounding, as the weights of least risk are within it
            if "infeasible" not in str(error):
                raise
            return weights
        return richer if self.net_mean(richer) > self.net_mean(weights) else weights

    def greatest_mean(self) -> Floats:
        """The weights of the greatest mean after costs."""
        return self._solved("mean", {})

    def cvar(self, weights: Floats) -> float:
        """Conditional value at risk of the loss, with costs. [$/MW]"""
        loss = -self.returns @ weights
        return float(cvar(loss, self.level, weights=self.probabilities)) + self.limits.cost(weights)

    def net_mean(self, weights: Floats) -> float:
        """Mean after costs of turnover. [$/MW]"""
        return float(self.mean @ weights) - self.limits.cost(weights)

    def _solved(self, aim: str, more: dict[str, float]) -> Floats:
        """
        The weights of one of the programmes.

        Sought in units of the greatest return and of the total; where these are not the order of the answer, because
        it hedges, or holds what moves little, or borrows much, it is sought again in units of its own.
        """
        try:
            weights = self._in_units(aim, more, self.size, self.unit)
        except PlanError as error:
            self.limits.refuse()
            weights = self._elsewhere(aim, more, error)
        size = max(float(np.abs(weights).max()), self.size)
        unit = max(abs(self.cvar(weights)) / size, _FINEST * self.unit)
        if unit > _COARSE * self.unit:
            return weights
        try:
            finer = self._in_units(aim, more, size, unit)
        except PlanError:  # the first answer is certified, in its units
            return weights
        return finer if self._is_better(aim, more, finer, weights) else weights

    def _elsewhere(self, aim: str, more: dict[str, float], error: PlanError) -> Floats:
        """The weights of a programme that has no answer in the units of the total and the greatest return."""
        for size in dict.fromkeys((self.limits.reach, self.size)):
            for target in {**more, "": size * self.unit}.values():
                unit = max(abs(target) / size, _FINEST * self.unit)
                if (size, unit) == (self.size, self.unit):
                    continue
                try:
                    return self._in_units(aim, more, size, unit)
                except PlanError:  # the error in the first units is what is told
                    continue
        raise error

    def _is_better(self, aim: str, more: dict[str, float], weights: Floats, other: Floats) -> bool:
        """Whether weights, which like the others keep to the limits, do better in a programme or keep to it better."""
        risk, mean = self.cvar(weights) - self.cvar(other), self.net_mean(weights) - self.net_mean(other)
        if aim == "mean within a risk" and self.cvar(other) > more["max_cvar"]:
            return risk < 0
        if aim == "risk above a mean" and self.net_mean(other) < more["least_mean"]:
            return mean > 0
        return risk < 0 if aim.startswith("risk") else mean > 0

    def _in_units(self, aim: str, more: dict[str, float], size: float, unit: float) -> Floats:
        """The weights, moved onto the limits that they miss by rounding."""
        if aim not in self._sessions:
            programme = _programme(_TailShape(len(self.returns), aim, self.limits.shape))
            self._sessions[aim] = Session(programme, solvers=self._solvers, tolerance=_PRECISION)
        scaled = self.limits.scaled(size)
        data = scaled.parameters() | self._data(aim, unit) | {name: side / unit / size for name, side in more.items()}
        answer = self._sessions[aim].solve(data)
        weights = mended(scaled.rows(), scaled.with_moves(answer.values["weights"]))
        return self.limits.clipped(size * weights[: self.returns.shape[1]])

    def _data(self, aim: str, unit: float) -> dict[str, Any]:
        """The returns of a programme, in a unit."""
        data: dict[str, Any] = {}
        if self.limits.shape.has_moves:
            data["turnover_cost"] = self.limits.turnover_cost / unit
        if "mean" in aim:
            data["mean"] = self.mean / unit
        if "risk" in aim:
            tail = np.minimum(self.probabilities / (1 - self.level), 1.0)
            data |= {"returns": self.returns / unit, "tail": tail}
        return data


class _TailShape(NamedTuple):
    """What a programme is compiled for."""

    n_scenarios: int
    aim: str
    limits: Shape


@lru_cache(maxsize=32)
def _programme(shape: _TailShape) -> Programme:
    """
    The programme of an aim.

    The price of a shortfall is the probability over the tail's, but at most 1: no scenario is more than all of the
    tail, whose threshold may be anything.
    """
    import cvxpy as cp

    n_assets, aim = shape.limits.n_assets, shape.aim
    p = parameters_of(shape.limits)
    within = limited(shape.limits, p)
    constraints = within.constraints
    objective = 0.0
    if "mean" in aim:
        p["mean"] = cp.Parameter(n_assets)
        objective = mean = p["mean"] @ within.weights - within.cost
    if "risk" in aim:
        p |= {
            "returns": cp.Parameter((shape.n_scenarios, n_assets)),
            "tail": cp.Parameter(shape.n_scenarios, nonneg=True),
        }
        threshold = cp.Variable(name="threshold")
        shortfall = cp.Variable(shape.n_scenarios, nonneg=True, name="shortfall")
        risk = threshold + p["tail"] @ shortfall + within.cost
        constraints = [*constraints, shortfall >= -p["returns"] @ within.weights - threshold]
    if aim == "risk above a mean":
        p["least_mean"] = cp.Parameter()
        constraints = [*constraints, mean >= p["least_mean"]]
    if aim == "mean within a risk":
        p["max_cvar"] = cp.Parameter()
        constraints = [*constraints, risk <= p["max_cvar"]]
    if aim.startswith("risk"):
        objective = -risk
    return Programme(cp.Problem(cp.Maximize(objective), constraints), p, within.variables)
