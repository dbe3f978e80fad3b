"""Measures by history: a loss has the scenarios given, each with its probability."""

import math
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]

_ROUNDING = 1e-12  # share of a probability that rounding may add or take
_MARGIN = 1e-9  # the same for sums in another order
_SAMPLE = 1000  # scenarios that propose a threshold
_EPSILON = float(np.finfo(float).eps)


def var(loss: ArrayLike, level: float = 0.95, *, weights: ArrayLike | None = None) -> Floats:
    r"""
    Value at risk: the least loss that is not exceeded with probability `level`, the lower quantile.

    A boundary that falls on a scenario is that scenario's, whichever way `level` and `weights` were rounded. A
    scenario of weight zero cannot occur, and one scenario is its own value at risk.

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
        If `level` is outside [0, 1), `loss` is a DataFrame or has no scenarios or one that is NaN or infinite, or
        `weights` are negative, all zero, of another length or another index.

    References
    ----------
    .. [1] R. T. Rockafellar and S. Uryasev, "Conditional value-at-risk for general loss distributions," J. Banking &
       Finance 26(7), 2002, eq. (7), doi:10.1016/S0378-4266(02)00271-6.

    Examples
    --------
    >>> float(var([0, 0, 10, 30], level=0.5)), float(var([0, 0, 10, 30], level=0.6))
    (0.0, 10.0)
    """
    loss, level, probability = checked_losses(loss, level, weights)
    if _equal(probability):
        n_scenarios = loss.shape[-1]
        below = max(math.ceil(n_scenarios * (level - _ROUNDING)), 1) - 1
        return np.asarray(_greatest(loss, n_scenarios - below)[..., 0])
    exceeding = (1 - level) * (1 + _ROUNDING) + _EPSILON
    worst_first, mass = _worst(loss, probability, exceeding)
    reached = np.cumsum(mass, axis=-1)
    reached[..., -1] = np.inf
    boundary = np.argmax(reached > exceeding, axis=-1)
    return np.asarray(np.take_along_axis(worst_first, boundary[..., np.newaxis], axis=-1)[..., 0])


def cvar(loss: ArrayLike, level: float = 0.95, *, weights: ArrayLike | None = None) -> Floats:
    r"""
    Mean of the worst ``1 - level`` share of the losses.

    The share is measured in probability, not in scenarios: the scenario that straddles the boundary counts for
    the part of it inside the tail, so the result moves continuously with `level` and with `weights`. One scenario
    is its own tail at every level.

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
        If `level` is outside [0, 1), `loss` is a DataFrame or has no scenarios or one that is NaN or infinite, or
        `weights` are negative, all zero, of another length or another index.

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
    loss, level, probability = checked_losses(loss, level, weights)
    if _equal(probability):
        return _equal_cvar(loss, loss.shape[-1] * (1 - level))
    worst_first, mass = _worst(loss, probability, 1 - level)
    reached = np.minimum(np.cumsum(mass, axis=-1), 1 - level)
    tail_mass = np.diff(reached, axis=-1, prepend=0.0)
    mean = (worst_first * tail_mass).sum(axis=-1) / tail_mass.sum(axis=-1)
    least = np.where(tail_mass > 0, worst_first, np.inf).min(axis=-1)
    return np.asarray(np.clip(mean, least, worst_first[..., 0]))


def as_probabilities(weights: ArrayLike | None, n_scenarios: int) -> Floats:
    """Weights of scenarios scaled to sum to 1, equal when omitted, shape (n_scenarios,). [-]"""
    if weights is None:
        return np.full(n_scenarios, 1 / n_scenarios)
    weights = as_numbers(weights, "weights")
    if weights.shape != (n_scenarios,):
        raise DataError(f"weights must have shape ({n_scenarios},), one for each scenario, got {weights.shape}")
    rule = "weights must be finite, not negative and not all zero"
    wrong = np.flatnonzero(~((weights >= 0) & (weights < np.inf)))
    if len(wrong):
        raise DataError(f"{rule}, got {weights[wrong[0]]} for scenario {wrong[0]}")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not 0 < total < np.inf:
        raise DataError(f"{rule}, and their sum too, got a sum of {total}")
    return np.asarray(weights / total)


def checked_losses(loss: ArrayLike, level: float, weights: ArrayLike | None) -> tuple[Floats, float, Floats]:
    """Losses of the scenarios that can occur, the level and the probabilities, or why there is no measure."""
    level = checked_level(level)
    refuse_other_index(loss=loss, weights=weights)
    loss = as_series(loss, "loss", "scenarios")
    probability = as_probabilities(weights, loss.shape[-1])
    occurs = probability > 0
    return (loss, level, probability) if occurs.all() else (loss[..., occurs], level, probability[occurs])


def checked_level(level: Any, *, above_zero: bool = False) -> float:
    """
    The confidence level, refused outside [0, 1), or (0, 1); one of single precision is the decimal that it prints as.

    Examples
    --------
    >>> checked_level(np.float32(0.6)), checked_level(0)
    (0.6, 0.0)
    >>> checked_level(95)
    Traceback (most recent call last):
    gridlab.errors.DataError: level must be in [0, 1), got 95: write one number, 0.95 for 95 %
    """
    number = level[()] if isinstance(level, np.ndarray) else level
    if isinstance(number, Real):
        value = float(str(number)) if isinstance(number, np.floating) else float(number)
        if 0 <= value < 1 and not (above_zero and value == 0):
            return value
    interval, got = "(0, 1)" if above_zero else "[0, 1)", repr(level) if isinstance(level, str) else level
    raise DataError(f"level must be in {interval}, got {got}: write one number, 0.95 for 95 %")


def as_series(values: ArrayLike, name: str, along: str) -> Floats:
    """Numbers with something along the last axis and all of them finite, shape (..., n)."""
    numbers = as_numbers(values, name)
    if numbers.ndim == 0 or numbers.shape[-1] == 0:
        raise DataError(f"{name} needs {along} along its last axis, got shape {numbers.shape}")
    return finite(numbers, name)


def as_numbers(values: ArrayLike, name: str) -> Floats:
    """Values as an array, of which tables and masked arrays are refused."""
    refuse_table(values, name)
    return np.asarray(values, dtype=float)


def finite(values: Floats, name: str, remedy: str = "drop or fill it") -> Floats:
    """The values, refused where one is NaN or infinite, with its position."""
    if not np.isfinite(values).all():
        first = np.argwhere(~np.isfinite(values))[0].tolist()
        raise DataError(f"{name} must be finite, with no NaN, got {values[tuple(first)]} at {first}: {remedy}")
    return values


def finite_number(value: Any, name: str) -> float:
    """One number, refused where it is NaN, infinite or none."""
    number = value[()] if isinstance(value, np.ndarray) else value
    if not isinstance(number, Real) or not math.isfinite(number):
        raise DataError(f"{name} must be one finite number, got {value}")
    return float(number)


def refuse_table(values: Any, name: str) -> None:
    """Refuse what numpy would read with time on the first axis, or without its mask."""
    if isinstance(values, pd.DataFrame):
        raise DataError(
            f"{name} is a DataFrame of shape {values.shape}, but time (scenarios) lies on the last axis: "
            "give table.to_numpy().T"
        )
    refuse_masked(values, name)


def refuse_masked(values: Any, name: str) -> None:
    """Refuse an array whose mask numpy would leave behind."""
    if isinstance(values, np.ma.MaskedArray):
        raise DataError(f"{name} is a masked array, whose mask would be lost: drop or fill what is masked")


def refuse_other_index(**inputs: Any) -> None:
    """Refuse series that are matched by position where their indices differ."""
    indices = {name: values.index for name, values in inputs.items() if isinstance(values, pd.Series)}
    first = next(iter(indices), "")
    for name, index in indices.items():
        if not index.equals(indices[first]):
            raise DataError(
                f"{first} and {name} must have the same index, got {_span(indices[first])} and {_span(index)}: "
                "keep the days of both, or give arrays"
            )


def refuse_unordered(index: pd.Index) -> None:
    """Refuse an index whose dates do not rise."""
    falls = np.flatnonzero(~(index[1:] > index[:-1]))
    if len(falls):
        raise DataError(f"dates must rise, got {as_day(index[falls[0] + 1])} after {as_day(index[falls[0]])}")


def as_day(label: Any) -> str:
    """How a message names a day of an index."""
    return str(label.date()) if isinstance(label, pd.Timestamp) else str(label)


def _span(index: pd.Index) -> str:
    days = f"{as_day(index[0])} to {as_day(index[-1])}" if len(index) else "nothing"
    return f"{days} ({len(index)} rows)"


def _equal(probability: Floats) -> bool:
    return bool(probability.max() == probability.min())


def _equal_cvar(loss: Floats, tail: float) -> Floats:
    """Mean of the `tail` worst losses, a number of scenarios above 0 that need not be whole."""
    whole = math.ceil(tail) - 1
    worst = _greatest(loss, whole + 1)
    straddling, above = worst[..., 0], worst[..., 1:]
    mean = (above.sum(axis=-1) + (tail - whole) * straddling) / tail
    return np.asarray(np.clip(mean, straddling, worst.max(axis=-1)))


def _greatest(loss: Floats, n_greatest: int) -> Floats:
    """
    The `n_greatest` losses of each row, the least of them first and the others in no order.

    Of many scenarios a sample proposes a threshold that twice as many as are wanted should reach, and only those that
    do are parted; where they are too few, the whole row is.
    """
    n_scenarios = loss.shape[-1]
    if n_scenarios < 2 * _SAMPLE or n_greatest > n_scenarios / 8:
        return _parted(loss, n_greatest)
    loss = np.ascontiguousarray(loss)
    sample = loss[..., :: n_scenarios // _SAMPLE]
    thresholds = _parted(sample, 2 * math.ceil(n_greatest * sample.shape[-1] / n_scenarios) + 8)[..., 0]
    greatest = np.empty((*loss.shape[:-1], n_greatest))
    for row in np.ndindex(thresholds.shape):
        candidates = loss[row][loss[row] >= thresholds[row]]
        greatest[row] = _parted(candidates if len(candidates) >= n_greatest else loss[row], n_greatest)
    return greatest


def _parted(loss: Floats, n_greatest: int) -> Floats:
    first = loss.shape[-1] - n_greatest
    return np.asarray(np.partition(loss, first, axis=-1)[..., first:])


def _worst(loss: Floats, probability: Floats, mass: float) -> tuple[Floats, Floats]:
    """Losses and their probabilities, the worst first, as many as hold more than `mass`, or all."""
    n_scenarios = len(probability)
    n_worst = min(2 * math.ceil(mass * n_scenarios), n_scenarios)
    worst = _positions_of_worst(loss, n_worst)
    while n_worst < n_scenarios and (probability[worst].sum(axis=-1) <= mass * (1 + _MARGIN)).any():
        n_worst = min(2 * n_worst, n_scenarios)
        worst = _positions_of_worst(loss, n_worst)
    tail = np.take_along_axis(loss, worst, axis=-1)
    order = np.argsort(tail, axis=-1)[..., ::-1]
    return np.take_along_axis(tail, order, axis=-1), probability[np.take_along_axis(worst, order, axis=-1)]


def _positions_of_worst(loss: Floats, n_worst: int) -> NDArray[np.intp]:
    first = loss.shape[-1] - n_worst
    return np.argpartition(loss, first, axis=-1)[..., first:]
