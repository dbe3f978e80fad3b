"""
The family of weightings: rules from a history of returns to weights within limits.

Where a rule needs a covariance it is Ledoit and Wolf's of the history, and where it needs a level of CVaR it is 0.95.
Parity and the hierarchical tree know no limits, and equal shares may break them: their weights are the nearest that
keep to the limits, in the Euclidean norm. A cost of turnover, which has the unit of the returns, counts for the rules
that weigh returns; a greatest turnover counts for all. Parity, the tree and diversification refuse a history in which
nothing varies.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from gridlab.family import Family
from gridlab.portfolio.covariance import Floats, checked_returns, shrunk_covariance
from gridlab.portfolio.hierarchical import hierarchical_risk_parity_weights
from gridlab.portfolio.limits import Limits
from gridlab.portfolio.optimisation import max_diversification_weights, mean_variance_weights, min_variance_weights
from gridlab.portfolio.parity import risk_parity_weights
from gridlab.portfolio.tail import max_return_weights, min_cvar_weights
from gridlab.risk.historical import cvar

LEVEL = 0.95
"""Level of the CVaR of the rules that look at the tail."""


_ROUNDING = 1e-9  # of the numbers at hand, by which a limit may be missed


class Weighting(Protocol):
    """A rule from returns (n_days, n_assets) and limits to weights (n_assets,)."""

    def __call__(self, returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
        """The weights."""
        ...  # pragma: no cover


def equal(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """
    Equal shares of the total, 1/N, or the nearest weights within the limits.

    Examples
    --------
    >>> equal([[1.0, 2.0], [3.0, 1.0]]).tolist()
    [0.5, 0.5]
    >>> equal([[1.0, 2.0], [3.0, 1.0]], limits=Limits(upper=[0.2, 1.0])).round(9).tolist()
    [0.2, 0.8]
    """
    n_assets = checked_returns(returns, least_days=1).shape[1]
    return nearest_within(np.full(n_assets, 1 / n_assets), limits)


def min_variance(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """The weights of least variance."""
    return min_variance_weights(shrunk_covariance(returns).covariance, limits=_without_cost(limits))


def mean_variance(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    r"""
    The weights of the greatest mean less risk, as averse to it as one who holds equal shares.

    The risk aversion is the one at which no more of the equal shares would be wanted, their mean by their variance
    [1]_, so that the unit of the returns does not matter. Where they lose money or do not vary none is implied: it is
    then the least variance, respectively the greatest mean.

    References
    ----------
    .. [1] F. Black and R. Litterman, "Global portfolio optimization," Financial Analysts J. 48(5), 1992,
       doi:10.2469/faj.v48.n5.28.
    """
    covariance = shrunk_covariance(returns).covariance
    mean = np.asarray(returns, dtype=float).mean(axis=0)
    shares = equal(returns, limits=limits)
    earned, variance = float(mean @ shares), float(shares @ covariance @ shares)
    if earned <= 0 < variance:
        return min_variance(returns, limits=limits)
    return mean_variance_weights(mean, covariance, earned / variance if variance > 0 else 0.0, limits=limits)


def risk_parity(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """Equal shares of the variance, or the nearest weights within the limits."""
    return nearest_within(risk_parity_weights(shrunk_covariance(returns).covariance), limits)


def hierarchical_risk_parity(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """Weights down the tree of single linkage, or the nearest within the limits."""
    return nearest_within(hierarchical_risk_parity_weights(shrunk_covariance(returns).covariance), limits)


def max_diversification(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """The weights whose mean volatility is greatest as a multiple of the portfolio's."""
    return max_diversification_weights(shrunk_covariance(returns).covariance, limits=_without_cost(limits))


def min_cvar(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """The weights of least CVaR on the days of the history."""
    return min_cvar_weights(checked_returns(returns), LEVEL, limits=limits)


def max_return(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """
    The weights of the greatest mean whose CVaR, on the days of the history, is not above that of equal shares.

    Where turnover has a cost, it is part of both.
    """
    returns = checked_returns(returns)
    limits = limits or Limits()
    shares = equal(returns, limits=limits)
    cost = limits.of(len(shares)).cost(shares)
    most = float(cvar(-returns @ shares, LEVEL)) + cost + _ROUNDING * float(np.abs(returns).max() + cost)
    return max_return_weights(returns, LEVEL, most, limits=limits)


def nearest_within(weights: ArrayLike, limits: Limits | None) -> Floats:
    """
    The nearest weights within the limits, in the Euclidean norm; shares of 1 are made shares of the total first.

    Parameters
    ----------
    weights : array_like, shape (n_assets,)
        Shares that sum to 1. [-]
    limits : Limits or None
        What the weights keep to, but for the cost of turnover.

    Returns
    -------
    ndarray, shape (n_assets,)
        `weights` times the total themselves where they keep to the limits.

    Raises
    ------
    DataError
        If the limits do not fit the weights.
    PlanError
        If the limits exclude each other.

    Examples
    --------
    >>> nearest_within([0.7, 0.2, 0.1], Limits(upper=0.5)).round(9).tolist()
    [0.5, 0.3, 0.2]
    """
    limits = _without_cost(limits) or Limits()
    target = np.asarray(weights, dtype=float) * (1.0 if limits.total is None else limits.total)
    if limits.violation(target) <= _ROUNDING * max(1.0, float(np.abs(target).max())):
        return target
    return mean_variance_weights(target, np.eye(len(target)), 1.0, limits=limits)


def _without_cost(limits: Limits | None) -> Limits | None:
    return None if limits is None else replace(limits, turnover_cost=0.0)


WEIGHTINGS: Family[Weighting] = Family(
    "weighting",
    {
        "equal": equal,
        "min_variance": min_variance,
        "mean_variance": mean_variance,
        "risk_parity": risk_parity,
        "hierarchical_risk_parity": hierarchical_risk_parity,
        "max_diversification": max_diversification,
        "min_cvar": min_cvar,
        "max_return": max_return,
    },
)
"""Rules by name, each called with returns (n_days, n_assets) and `limits`."""
