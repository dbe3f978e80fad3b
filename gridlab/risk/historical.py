"""Measures by history: a loss has the scenarios given, each with its probability."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]

_ROUNDING = 1e-12  # probabilities that differ by less are equal


def var(loss: ArrayLike, level: float = 0.95, *, weights: ArrayLike | None = None) -> Floats:
    r"""
    Value at risk: the least loss that is not exceeded with probability `level`, the lower quantile.

    Parameters
    ----------
    loss : array_like, shape (..., n_scenarios)
        Loss of each scenario, positive when money is paid. [$]
    level : float
        Confidence level, ``0 <= level < 1``; 0 gives the least loss that can occur. [-]
    weights : array_like, shape (n_scenarios,), optional
        Scenario probabilities, scaled here to sum to 1. Equal when omitted. [-]

    Returns
    -------
    ndarray, shape (...)
        Value at risk, one of the losses. [$]

    Raises
    ------
    DataError
        If `level` is outside [0, 1), `loss` has a NaN or no scenarios, or `weights` are negative, all zero or of
        another length.

    References
    ----------
    .. [1] R. T. Rockafellar and S. Uryasev, "Conditional value-at-risk for general loss distributions," J. Banking &
       Finance 26(7), 2002, eq. (7), doi:10.1016/S0378-4266(02)00271-6.

    Examples
    --------
    >>> float(var([0, 0, 10, 30], level=0.5)), float(var([0, 0, 10, 30], level=0.6))
    (0.0, 10.0)
    """
    loss, probability = _checked(loss, level, weights)
    best_first = np.argsort(loss, axis=-1)
    reached = np.cumsum(probability[best_first], axis=-1)
    boundary = np.argmax((reached >= level - _ROUNDING) & (reached > 0), axis=-1)
    sorted_loss = np.take_along_axis(loss, best_first, axis=-1)
    return np.asarray(np.take_along_axis(sorted_loss, boundary[..., np.newaxis], axis=-1)[..., 0])


def cvar(loss: ArrayLike, level: float = 0.95, *, weights: ArrayLike | None = None) -> Floats:
    r"""
    Mean of the worst ``1 - level`` share of the losses.

    The share is measured in probability, not in scenarios: the scenario that straddles the boundary counts for
    the part of it inside the tail, so the result moves continuously with `level` and with `weights`.

    Parameters
    ----------
    loss : array_like, shape (..., n_scenarios)
        Loss of each scenario, positive when money is paid. [$]
    level : float
        Confidence level, ``0 <= level < 1``; 0 gives the mean. [-]
    weights : array_like, shape (n_scenarios,), optional
        Scenario probabilities, scaled here to sum to 1. Equal when omitted. [-]

    Returns
    -------
    ndarray, shape (...)
        Conditional value at risk. [$]

    Raises
    ------
    DataError
        If `level` is outside [0, 1), `loss` has a NaN or no scenarios, or `weights` are negative, all zero or of
        another length.

    References
    ----------
    .. [1] R. T. Rockafellar and S. Uryasev, "Conditional value-at-risk for general loss distributions," J. Banking &
       Finance 26(7), 2002, Prop. 8, doi:10.1016/S0378-4266(02)00271-6.

    Examples
    --------
    >>> float(cvar([0, 0, 10, 30], level=0.5))
    20.0
    >>> round(float(cvar([0, 0, 10, 30], level=0.6)), 9)  # all of 30 and 0.15/0.25 of 10
    22.5
    """
    loss, probability = _checked(loss, level, weights)
    worst_first = np.argsort(-loss, axis=-1)
    reached = np.minimum(np.cumsum(probability[worst_first], axis=-1), 1 - level)
    tail_mass = np.diff(reached, axis=-1, prepend=0.0)
    sorted_loss = np.take_along_axis(loss, worst_first, axis=-1)
    return np.asarray((sorted_loss * tail_mass).sum(axis=-1) / tail_mass.sum(axis=-1))


def _checked(loss: ArrayLike, level: float, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    loss = np.asarray(loss, dtype=float)
    if not 0 <= level < 1:
        raise DataError(f"level must be in [0, 1), got {level}")
    if loss.ndim == 0 or loss.shape[-1] == 0 or np.isnan(loss).any():
        raise DataError(f"loss needs scenarios and no NaN, got shape {loss.shape}")
    return loss, as_probabilities(weights, loss.shape[-1])


def as_probabilities(weights: ArrayLike | None, n_scenarios: int) -> Floats:
    """Weights of scenarios scaled to sum to 1, equal when omitted, shape (n_scenarios,). [-]"""
    if weights is None:
        return np.full(n_scenarios, 1 / n_scenarios)
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (n_scenarios,):
        raise DataError(f"weights must have shape ({n_scenarios},), one for each scenario, got {weights.shape}")
    if not ((weights >= 0) & (weights < np.inf)).all() or weights.sum() == 0:
        raise DataError("weights must be finite, not negative and not all zero")
    return np.asarray(weights / weights.sum())
