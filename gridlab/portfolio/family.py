"""
The family of weightings: rules from a history of returns to weights within limits.

Where a rule needs a covariance it is Ledoit and Wolf's of the history, and where it needs a level of CVaR it is 0.95.
Parity and the hierarchical tree know no limits, and equal shares may break them: their weights are the nearest that
keep to the limits, in the Euclidean norm. A cost of turnover, which has the unit of the returns, counts for the rules
that weigh returns; a greatest turnover counts for all. Parity and the tree refuse a history in which an asset does not
vary, as no weight gives it a share of the risk, and diversification one in which none does.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.errors import DataError
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
        """
        The weights that a history leads to.

        Parameters
        ----------
        returns : array_like or DataFrame, shape (n_days, n_assets)
            Returns of the days before the decision. [$/MW]
        limits : Limits, optional
            What the weights keep to; shares from 0 to 1 that sum to 1 when omitted. Limits by name need a DataFrame.

        Returns
        -------
        ndarray, shape (n_assets,)
            Weights, in the unit of the total.

        Raises
        ------
        DataError
            If `returns` are no table of finite numbers, fewer than two days (one for `equal`), or `limits` do not fit
            them; `risk_parity`, `hierarchical_risk_parity` and `max_diversification` also where nothing varies.
        PlanError
            If the limits exclude each other.
        """
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
    return nearest_within(np.full(n_assets, 1 / n_assets), _named(limits, returns))


def min_variance(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """
    The weights of least variance.

    Examples
    --------
    >>> min_variance([[1.0, 9.0], [3.0, 2.0], [2.0, 6.0], [4.0, 8.0]]).round(4).tolist()
    [0.8519, 0.1481]
    """
    covariance = shrunk_covariance(returns).covariance
    return min_variance_weights(covariance, limits=_without_cost(_named(limits, returns)))


def mean_variance(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """
    The weights of the greatest mean less risk, as averse to it as one who holds equal shares.

    The risk aversion is the one at which no more of the equal shares would be wanted, their mean by their variance
    [1]_, so that the unit of the returns does not matter. Where they lose money or do not vary none is implied: it is
    then the least variance, respectively the greatest mean.

    References
    ----------
    .. [1] F. Black and R. Litterman, "Global portfolio optimization," Financial Analysts J. 48(5), 1992,
       doi:10.2469/faj.v48.n5.28.

    Examples
    --------
    >>> mean_variance([[1.0, 9.0], [3.0, 2.0], [2.0, 6.0], [4.0, 8.0]]).round(4).tolist()
    [0.6376, 0.3624]
    """
    limits = _named(limits, returns)
    covariance = shrunk_covariance(returns).covariance
    mean = np.asarray(returns, dtype=float).mean(axis=0)
    shares = equal(returns, limits=limits)
    earned, variance = float(mean @ shares), float(shares @ covariance @ shares)
    if earned <= 0 < variance:
        return min_variance(returns, limits=limits)
    return mean_variance_weights(mean, covariance, earned / variance if variance > 0 else 0.0, limits=limits)


def risk_parity(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """
    Equal shares of the variance, or the nearest weights within the limits.

    An asset that does not vary has no risk to share, and gets no weight but what the limits ask for.

    Examples
    --------
    >>> risk_parity([[1.0, 9.0], [3.0, 2.0], [2.0, 6.0], [4.0, 8.0]]).round(4).tolist()
    [0.7057, 0.2943]
    """
    return nearest_within(_of_varying(returns, risk_parity_weights), _named(limits, returns))


def hierarchical_risk_parity(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """
    Weights down the tree of single linkage, or the nearest within the limits.

    An asset that does not vary has no place in the tree, and gets no weight but what the limits ask for.

    Examples
    --------
    >>> hierarchical_risk_parity([[1.0, 9.0], [3.0, 2.0], [2.0, 6.0], [4.0, 8.0]]).round(4).tolist()
    [0.8519, 0.1481]
    """
    return nearest_within(_of_varying(returns, hierarchical_risk_parity_weights), _named(limits, returns))


def max_diversification(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """
    The weights whose mean volatility is greatest as a multiple of the portfolio's.

    Examples
    --------
    >>> max_diversification([[1.0, 9.0], [3.0, 2.0], [2.0, 6.0], [4.0, 8.0]]).round(4).tolist()
    [0.7057, 0.2943]
    """
    covariance = shrunk_covariance(returns).covariance
    return max_diversification_weights(covariance, limits=_without_cost(_named(limits, returns)))


def min_cvar(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """
    The weights of least CVaR on the days of the history.

    Examples
    --------
    >>> min_cvar([[1.0, 9.0], [3.0, 2.0], [2.0, 6.0], [4.0, 8.0]]).round(4).tolist()
    [0.7778, 0.2222]
    """
    return min_cvar_weights(checked_returns(returns), LEVEL, limits=_named(limits, returns))


def max_return(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
    """
    The weights of the greatest mean whose CVaR, on the days of the history, is not above that of equal shares.

    Where turnover has a cost, it is part of both.

    Examples
    --------
    >>> max_return([[1.0, 9.0], [3.0, 2.0], [2.0, 6.0], [4.0, 8.0]]).round(4).tolist()
    [0.5, 0.5]
    """
    limits = _named(limits, returns)
    returns = checked_returns(returns)
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
    arrays = limits.of(len(target))
    if arrays.violation(target) <= _ROUNDING * max(arrays.size, float(np.abs(target).max())):
        return target
    return mean_variance_weights(target, np.eye(len(target)), 1.0, limits=limits)


def _named(limits: Limits | None, returns: ArrayLike) -> Limits:
    """The limits, of which those by name are put in the order of the columns of a DataFrame."""
    limits = limits or Limits()
    return limits.aligned(returns.columns) if isinstance(returns, pd.DataFrame) else limits


def _of_varying(returns: ArrayLike, weigh: Callable[[Floats], Floats]) -> Floats:
    """Weights by covariance of the assets that vary, and 0 of the others."""
    covariance = shrunk_covariance(returns).covariance
    varies = np.diag(covariance) > 0
    if not varies.any():
        raise DataError("no asset varies in these days, so there is no risk to share: take 'equal' or more days")
    weights = np.zeros(len(covariance))
    weights[varies] = weigh(covariance[np.ix_(varies, varies)])
    return weights


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
