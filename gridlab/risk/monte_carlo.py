"""Measures of any loss of any scenarios, with the errors that the number of scenarios leaves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, as_probabilities, checked_level, cvar, refuse_masked, var

LEAST_TAIL = 10
"""Fewest scenarios beyond the VaR, as many as they are worth when all count the same, from which errors are stated."""

WIDTH = 1.96
"""Standard errors on either side in the interval of the VaR."""


@dataclass(frozen=True)
class MonteCarloRisk:
    """
    Measures of simulated losses and their standard errors.

    Parameters
    ----------
    var, cvar : float
        Value at risk and conditional value at risk. [$]
    var_error, cvar_error : float
        Their standard errors; twice as much on either side holds the truth about 95 times in 100. [$]
    n_effective : float
        Number of equally likely scenarios that are worth as much, ``1 / sum(weights**2)``. [-]
    """

    var: float
    cvar: float
    var_error: float
    cvar_error: float
    n_effective: float


def monte_carlo(
    loss_of_paths: Callable[[Floats], ArrayLike],
    paths: ArrayLike,
    *,
    level: float = 0.95,
    weights: ArrayLike | None = None,
) -> MonteCarloRisk:
    r"""
    VaR and CVaR of any function of scenarios, with standard errors.

    The error of the CVaR is that of a mean of its influence function ``v + (L - v)+ / (1 - level) - c``, at the VaR v
    and CVaR c [1]_. That of the VaR needs no density: the level is moved by 1.96 standard errors of the estimated
    probability of not passing v, up and down, and the error is the distance between the two quantiles over 2 times
    1.96 [2]_. Both take unequal weights as those of importance sampling; of a set that was reduced to a few
    scenarios, or of all that can happen, they say nothing.

    Parameters
    ----------
    loss_of_paths : callable
        From the paths to the loss of each, shape (n_paths,), positive when money is paid. [$]
    paths : array_like, shape (n_paths, ...)
        Independent scenarios, such as (n_paths, n_steps) prices or losses.
    level : float
        Confidence level, ``0 < level < 1``. [-]
    weights : array_like, shape (n_paths,), optional
        Scenario probabilities, scaled here to sum to 1. Equal when omitted. [-]

    Returns
    -------
    MonteCarloRisk

    Raises
    ------
    DataError
        If `level` is outside (0, 1), there is not one finite loss a path, the weights are negative, all zero or of
        another length, or the scenarios that reach the VaR are worth fewer than 10 of equal weight.

    References
    ----------
    .. [1] L. J. Hong, Z. Hu and G. Liu, "Monte Carlo methods for value-at-risk and conditional value-at-risk: a
       review," ACM Trans. Modeling and Computer Simulation 24(4), 2014, doi:10.1145/2661631.
    .. [2] R. S. Woodruff, "Confidence intervals for medians and other position measures," J. American Statistical
       Association 47, 1952, doi:10.1080/01621459.1952.10483443.

    Examples
    --------
    >>> paths = np.random.default_rng(0).normal(size=(10_000, 5))  # a week of daily losses
    >>> risk = monte_carlo(lambda paths: paths.sum(axis=1), paths, level=0.95)
    >>> abs(risk.cvar - 5**0.5 * 2.062713) < 2 * risk.cvar_error, round(risk.cvar_error, 2)
    (True, 0.05)
    """
    level = checked_level(level)
    if level == 0:
        raise DataError("level must be above 0, got 0: the least loss that can occur has no error")
    refuse_masked(paths, "paths")
    paths = np.asarray(paths, dtype=float)
    loss = _losses(loss_of_paths, paths)
    probability = as_probabilities(weights, len(loss))
    quantile, tail_mean = float(var(loss, level, weights=weights)), float(cvar(loss, level, weights=weights))
    _refuse_thin_tail(probability[loss >= quantile], level)
    influence = quantile + np.maximum(loss - quantile, 0.0) / (1 - level) - tail_mean
    return MonteCarloRisk(
        var=quantile,
        cvar=tail_mean,
        var_error=_quantile_error(loss, probability, quantile, level),
        cvar_error=float(np.sqrt((probability**2 * influence**2).sum())),
        n_effective=float(1 / (probability**2).sum()),
    )


def _losses(loss_of_paths: Callable[[Floats], ArrayLike], paths: Floats) -> Floats:
    if paths.ndim == 0 or len(paths) == 0:
        raise DataError(f"paths need at least one scenario on their first axis, got shape {paths.shape}")
    loss = np.asarray(loss_of_paths(paths), dtype=float)
    if loss.shape != (len(paths),):
        raise DataError(f"needs one finite loss for each of {len(paths)} paths, got shape {loss.shape}")
    if not np.isfinite(loss).all():
        path = int(np.argmin(np.isfinite(loss)))
        raise DataError(f"the loss of path {path} is {loss[path]}: give a finite loss for each path")
    return loss


def _refuse_thin_tail(tail: Floats, level: float) -> None:
    n_tail = tail.sum() ** 2 / (tail**2).sum()
    if n_tail < LEAST_TAIL:
        raise DataError(
            f"the tail of level {level:g} has the worth of {n_tail:.3g} scenarios, and its errors need {LEAST_TAIL}: "
            f"draw at least {int(np.ceil(LEAST_TAIL / (1 - level)))}, or take var and cvar, which state no error"
        )


def _quantile_error(loss: Floats, probability: Floats, quantile: float, level: float) -> float:
    reached = np.where(loss <= quantile, 1 - level, -level)
    error = WIDTH * float(np.sqrt((probability**2 * reached**2).sum()))
    lower, upper = max(level - error, 0.0), min(level + error, float(np.nextafter(1.0, 0.0)))
    return float(var(loss, upper, weights=probability) - var(loss, lower, weights=probability)) / (2 * WIDTH)
