"""Risk parity: weights whose shares of the variance are the budget."""

import numpy as np
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.portfolio.covariance import Floats, aligned, checked_covariance, split_covariance

_MOST_STEPS = 200
_CONVERGED = 1e-14
_MOST_MISSED = 1e-9  # by which a share of the variance may miss its budget
_LEAST_VARIANCE = 1e-12
_SHORTEST = 1e-12
_SLOPE = 0.1  # of the decrease that a step promises, what it must bring


def risk_parity_weights(cov: ArrayLike, *, budget: ArrayLike | None = None) -> Floats:
    r"""
    Weights, all positive, whose shares of the portfolio's variance are equal, or as the budget says.

    The minimum of :math:`x^T \Sigma x / 2 - \sum_i b_i \ln x_i`, which is strictly convex where there is a minimum,
    scaled to the sum 1 [1]_; by Newton's method on the correlations, relative to `x`, with a step that is halved until
    it lowers the function [2]_.

    Parameters
    ----------
    cov : array_like, shape (n_assets, n_assets)
        Covariance of the returns. [($/MW)^2]
    budget : array_like, shape (n_assets,), optional
        Share of the variance that each asset may bring, positive, scaled here to sum to 1. Equal when omitted. A
        Series beside a DataFrame `cov` is read by its labels. [-]

    Returns
    -------
    ndarray, shape (n_assets,)
        Weights that sum to 1. Each share of the variance is within 1e-9 of its budget. [-]

    Raises
    ------
    DataError
        If `cov` is not a covariance, an asset has no variance, a share of the budget is not positive, or the assets
        hedge each other so nearly that a portfolio without short positions has no risk: there is then no share of it.
        The bound is where a double cannot resolve the shares, a deviation of about 1e-4 of the assets' own.

    References
    ----------
    .. [1] F. Spinu, "An algorithm for computing risk parity weights," 2013, doi:10.2139/ssrn.2297383.
    .. [2] S. Boyd and L. Vandenberghe, Convex Optimization, Cambridge University Press, 2004, section 9.6.

    Examples
    --------
    >>> risk_parity_weights([[0.10**2, 0], [0, 0.25**2]]).round(6).tolist()
    [0.714286, 0.285714]
    >>> risk_parity_weights([[0.04, 0.01], [0.01, 0.04]], budget=[3, 1]).round(4).tolist()
    [0.6667, 0.3333]
    """
    correlation, deviation = split_covariance(cov)
    share = _checked_budget(None if budget is None else aligned(budget, cov, "budget"), len(deviation))
    weights = _least(correlation, share) / deviation
    return np.asarray(weights / weights.sum())


def risk_shares(weights: ArrayLike, cov: ArrayLike) -> Floats:
    r"""
    Share of the portfolio's variance that each asset brings, :math:`w_i (\Sigma w)_i / w^T \Sigma w`.

    Parameters
    ----------
    weights : array_like, shape (n_assets,)
        Weights, of any sign; a Series beside a DataFrame `cov` is read by its labels. [-]
    cov : array_like, shape (n_assets, n_assets)
        Covariance of the returns. [($/MW)^2]

    Returns
    -------
    ndarray, shape (n_assets,)
        Shares that sum to 1; that of an asset which hedges the others is negative. [-]

    Raises
    ------
    DataError
        If `cov` is not a covariance, `weights` are of another length, name other assets or are not finite, or the
        portfolio has no variance.

    Examples
    --------
    >>> risk_shares([0.5, 0.5], [[1, 0], [0, 3]]).tolist()
    [0.25, 0.75]
    """
    weights, cov = aligned(weights, cov, "weights"), checked_covariance(cov)
    if weights.shape != (len(cov),) or not np.isfinite(weights).all():
        raise DataError(f"weights must be finite, one for each of {len(cov)} assets, got {weights.tolist()}")
    contribution = weights * (cov @ weights)
    if not contribution.sum() > 0:
        raise DataError("the portfolio has no variance to share: give weights that carry risk")
    return np.asarray(contribution / contribution.sum())


def _checked_budget(budget: Floats | None, n_assets: int) -> Floats:
    if budget is None:
        return np.full(n_assets, 1 / n_assets)
    if budget.shape != (n_assets,):
        raise DataError(f"budget must have shape ({n_assets},), one share for each asset, got {budget.shape}")
    if not ((budget > 0) & (budget < np.inf)).all():
        raise DataError(f"budget must be positive, got {budget.tolist()}: leave out the assets that may bring no risk")
    return np.asarray(budget / budget.sum())


def _least(correlation: Floats, budget: Floats) -> Floats:
    """Where Spinu's function is least; `x` has the variance 1 there, the sum of the budget."""
    x = np.sqrt(budget / max(float(np.sqrt(budget) @ correlation @ np.sqrt(budget)), _LEAST_VARIANCE))
    missed = np.inf
    for _ in range(_MOST_STEPS):
        contribution = x * (correlation @ x)
        before, missed = missed, np.abs(contribution - budget).max()
        if missed <= _CONVERGED or before <= missed < _MOST_MISSED:
            return np.asarray(x)
        if x.sum() ** -2 < _LEAST_VARIANCE:
            break
        curvature = np.outer(x, x) * correlation + np.diag(budget)
        step = np.asarray(np.linalg.solve(curvature, budget - contribution), dtype=float)
        x = _stepped(x, step, correlation, budget)
    raise DataError(
        f"the assets hedge each other to {x.sum() ** -2:.2g} of their variance, too little to share: leave one out or "
        "shrink the covariance"
    )


def _stepped(x: Floats, step: Floats, correlation: Floats, budget: Floats) -> Floats:
    """Along the relative step, as far as `x` stays positive and the function falls."""

    def value(x: Floats) -> float:
        return float(x @ correlation @ x / 2 - budget @ np.log(x))

    promised = float((budget - x * (correlation @ x)) @ step)
    least, length = value(x), min(1.0, 0.95 / max(-float(step.min()), 1e-300))
    rounding = 1e-15 * (1 + abs(least) + x.sum() ** 2)
    while length > _SHORTEST:
        further = x * (1 + length * step)
        if value(further) <= least - _SLOPE * length * promised + rounding:
            break
        length /= 2
    return np.asarray(further)
