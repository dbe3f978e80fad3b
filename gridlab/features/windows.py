"""
Statistics over days: rolling, exponentially weighted, and within one day, all blind to what comes after.

Arrays have a row a day. A window ends with its own row; a result is NaN unless values make up three quarters of its
weight, so that one missing day does not blank the eight weeks after it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gridlab.days import Floats

ENOUGH = 0.75
"""Share of a window's weight that values must make up."""

FLAT = 1e-9
"""Standard deviations below this share of the mean's size are rounding, and taken as 0."""

MOST_SPREADS = 10.0
"""Bound of z-scores, so that a constant that begins to move does not send them to infinity."""

SPANS_KEPT = 4
"""Spans after which an exponentially weighted mean is cut: the weights left out sum to less than a two-thousandth."""


def before(values: Floats, n_days: int) -> Floats:
    """
    Rows moved down by `n_days`, NaN above: what stood there that many days before.

    Examples
    --------
    >>> before(np.array([[1.0], [2.0], [3.0]]), 1).ravel().tolist()
    [nan, 1.0, 2.0]
    """
    moved = np.full_like(values, np.nan)
    moved[n_days:] = values[: max(len(values) - n_days, 0)]
    return moved


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """
    Weighted mean of each row and those above it, ``weights[0]`` being the row's own; gaps count for nothing.

    Examples
    --------
    >>> weighted_mean(np.array([[1.0], [2.0], [6.0]]), np.array([0.5, 0.5])).ravel().tolist()
    [nan, 1.5, 4.0]
    """
    known = ~np.isnan(values)
    total = _sum_of_rows(np.where(known, values, 0.0), weights)
    weight = _sum_of_rows(_by_row(known).astype(float), weights)
    return _quotient(total, weight, weight >= ENOUGH * weights.sum())


def mean(values: Floats, n_days: int) -> Floats:
    """Mean of `n_days` rows."""
    return weighted_mean(values, np.ones(n_days))


def ewm(values: Floats, span: float) -> Floats:
    """
    Exponentially weighted mean: weights ``(1 - 2 / (span + 1)) ** i``, cut at four spans and scaled to sum to 1.

    The cut makes a row depend on a bounded past, so that it is the same wherever the table begins.

    Examples
    --------
    >>> ewm(np.array([[0.0], [0.0], [1.0]]), span=3).ravel().round(4).tolist()
    [nan, 0.0, 0.5714]
    """
    decay = 1 - 2 / (span + 1)
    return weighted_mean(values, np.power(decay, np.arange(np.ceil(SPANS_KEPT * span))))


def half_life(n_days: float) -> float:
    """
    The span of the exponentially weighted mean whose weights halve in `n_days`.

    Examples
    --------
    >>> decay = 1 - 2 / (half_life(7) + 1)
    >>> round(decay**7, 12)
    0.5
    """
    return float(2 / (1 - 0.5 ** (1 / n_days)) - 1)


def covariance(first: Floats, second: Floats, n_days: int) -> Floats:
    """Covariance over `n_days` rows, of the rows where both have values; divided by their number."""
    known = ~np.isnan(first + second)
    centre = mean(np.where(known, first, np.nan), n_days)
    other = centre if second is first else mean(np.where(known, second, np.nan), n_days)
    left, right = np.where(known, first, 0.0), np.where(known, second, 0.0)
    counted, total = _by_row(known), np.zeros(known.shape)
    for lag in range(min(n_days, len(known))):
        rows = len(known) - lag
        deviation = left[:rows] - centre[lag:]
        product = deviation * (deviation if second is first else right[:rows] - other[lag:])
        total[lag:] += product * counted[:rows]
    count = _sum_of_rows(counted.astype(float), np.ones(n_days))
    return _quotient(total, count, count >= ENOUGH * n_days)


def sd(values: Floats, n_days: int) -> Floats:
    """Standard deviation of `n_days` rows, divided by their number; exactly 0 where they are all alike."""
    return settled(np.sqrt(covariance(values, values, n_days)), mean(values, n_days))


def settled(spread: Floats, centre: Floats) -> Floats:
    """A spread with rounding errors taken out: 0 where it is less than a billionth of the centre's size."""
    return np.where(spread < FLAT * np.abs(centre), 0.0, spread)


def slope(values: Floats, regressor: Floats, n_days: int) -> Floats:
    """Least-squares slope of `values` on `regressor` over `n_days` rows; 0 where the regressor does not move."""
    known = np.where(np.isnan(values), np.nan, regressor)
    return ratio(covariance(values, known, n_days), sd(known, n_days) ** 2)


def quantiles(values: Floats, n_days: int, levels: Sequence[float]) -> Floats:
    """Quantiles of `n_days` rows, linear between order statistics, shape (n_levels, n_days, n_slots)."""
    padded = np.concatenate([np.full((n_days - 1, values.shape[1]), np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_days, axis=0)
    blocks = np.array_split(windows, max(1, values.shape[1] // 24), axis=1)
    found = [_order_statistics(np.sort(block, axis=-1), levels) for block in blocks]
    return np.concatenate(found, axis=2)


def rank(values: Floats, n_days: int) -> Floats:
    """Share of the `n_days` rows that lie below their last one, ties and itself counted half."""
    below, count = np.zeros(values.shape), np.zeros(values.shape)
    for lag in range(min(n_days, len(values))):
        then, now = values[: len(values) - lag], values[lag:]
        below[lag:] += (then < now) + 0.5 * (then == now)
        count[lag:] += ~np.isnan(then)
    return _quotient(below, count, (count >= ENOUGH * n_days) & ~np.isnan(values))


def lowest(values: Floats, n_days: int) -> Floats:
    """Least of `n_days` rows."""
    least = values.copy()
    for lag in range(1, min(n_days, len(values))):
        least[lag:] = np.fmin(least[lag:], values[: len(values) - lag])
    return np.where(np.isnan(mean(values, n_days)), np.nan, least)


def highest(values: Floats, n_days: int) -> Floats:
    """Greatest of `n_days` rows."""
    return -lowest(-values, n_days)


def days_since(flags: Floats, n_days: int) -> Floats:
    """Rows since the last flag, 0 where the row has it, `n_days` where none of `n_days` rows has."""
    since = np.full(flags.shape, float(n_days))
    for lag in reversed(range(min(n_days, len(flags)))):
        since[lag:] = np.where(flags[: len(flags) - lag] > 0, float(lag), since[lag:])
    return np.where(np.isnan(mean(flags, n_days)), np.nan, since)


def day_mean(values: Floats) -> Floats:
    """Mean of each day, shape (n_days, 1); this and the next need three quarters of the day's slots."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=1, keepdims=True)
    count = known.sum(axis=1, keepdims=True)
    return _quotient(total, count, count >= ENOUGH * values.shape[1])


def day_sd(values: Floats) -> Floats:
    """Standard deviation of each day, shape (n_days, 1)."""
    centre = day_mean(values)
    return settled(np.sqrt(day_mean((values - centre) ** 2)), centre)


def day_min(values: Floats) -> Floats:
    """Least value of each day, shape (n_days, 1)."""
    return np.where(np.isnan(day_mean(values)), np.nan, np.fmin.reduce(values, axis=1, keepdims=True))


def day_max(values: Floats) -> Floats:
    """Greatest value of each day, shape (n_days, 1)."""
    return -day_min(-values)


def day_median(values: Floats) -> Floats:
    """Median of each day, shape (n_days, 1)."""
    return np.asarray(_order_statistics(np.sort(values, axis=1), (0.5,))[0][:, None])


def hour_of_max(values: Floats) -> Floats:
    """Hour at which each day's greatest value begins, the first of equals, shape (n_days, 1). [h]."""
    slot = np.argmax(np.where(np.isnan(values), -np.inf, values), axis=1)[:, None]
    return np.where(np.isnan(day_mean(values)), np.nan, slot * 24 / values.shape[1])


def slots(hours: float, n_slots: int) -> int:
    """
    Slots in so many hours: at least one, and fewer than a day.

    Examples
    --------
    >>> slots(1, 24), slots(1, 96), slots(2, 6), slots(1, 1)
    (1, 4, 1, 0)
    """
    return min(max(round(hours * n_slots / 24), 1), n_slots - 1)


def changes(values: Floats, hours: float) -> Floats:
    """Change over so many hours within each day, shape (n_days, n_slots - slots)."""
    step = slots(hours, values.shape[1])
    return np.asarray(values[:, step:] - values[:, : values.shape[1] - step])


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """
    The quotient, 0 where the denominator is.

    Examples
    --------
    >>> ratio(np.array([1.0, 1.0, np.nan]), np.array([2.0, 0.0, 0.0])).tolist()
    [0.5, 0.0, nan]
    """
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    quotient = np.where(np.isnan(numerator + denominator), np.nan, 0.0)
    return np.asarray(np.divide(numerator, denominator, out=quotient, where=denominator != 0))


def z_score(values: Floats, centre: Floats, spread: Floats) -> Floats:
    """
    Deviations from the centre in units of the spread, held within 10; 0 where there is no spread.

    Examples
    --------
    >>> z_score(np.array([3.0, 99.0, 5.0]), np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 0.0])).tolist()
    [1.0, 10.0, 0.0]
    """
    return np.clip(ratio(values - centre, spread), -MOST_SPREADS, MOST_SPREADS)


def _sum_of_rows(values: Floats, weights: Floats) -> Floats:
    if values.shape[1] == 1:
        return np.asarray(np.convolve(values[:, 0], weights)[: len(values), None])
    total = np.zeros(values.shape)
    for lag, weight in enumerate(weights[: len(values)]):
        total[lag:] += values[: len(values) - lag] if weight == 1.0 else weight * values[: len(values) - lag]
    return total


def _by_row(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One column in place of all where days are missing whole or not at all, as they mostly are."""
    first = known[:, :1]
    return first if bool((known == first).all()) else known


def _quotient(total: Floats, weight: Floats | NDArray[np.int64], enough: NDArray[np.bool_]) -> Floats:
    quotient = np.full(total.shape, np.nan)
    return np.asarray(np.divide(total, weight, out=quotient, where=np.broadcast_to(enough, total.shape)))


def _order_statistics(ordered: Floats, levels: Sequence[float]) -> Floats:
    """Quantiles along the last axis of values in order, the NaN last."""
    count = (~np.isnan(ordered)).sum(axis=-1)
    enough = count >= ENOUGH * ordered.shape[-1]
    found = []
    for level in levels:
        position = level * np.maximum(count - 1, 0)
        floor = position.astype(int)
        ends = np.stack([floor, np.minimum(floor + 1, np.maximum(count - 1, 0))], axis=-1)
        low, high = np.moveaxis(np.take_along_axis(ordered, ends, axis=-1), -1, 0)
        found.append(np.where(enough, low + (position - floor) * (high - low), np.nan))
    return np.array(found)
