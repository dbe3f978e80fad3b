r"""
Curves from scenarios: the power that is best at each scenario's price, as steps that rise with the price.

An hour's curve is the isotonic regression of power on price, which is the monotone curve nearest to the scenarios in
weighted squares. With fewer rows than it has levels the nearest curve joins whole levels of it, and a dynamic programme
over them finds which.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.bids.tables import checked_times, require_count, rows_of
from gridlab.errors import DataError

Floats = NDArray[np.float64]


class Curve(NamedTuple):
    """
    A curve of power over price, and what it was fitted to.

    Parameters
    ----------
    quantity_mw : ndarray, shape (n_rows,)
        Power offered (positive) or wanted (negative) in each row: what is wanted first, at prices that fall, then what
        is offered, at prices that rise. [MW]
    price : ndarray, shape (n_rows,)
        Greatest price to buy at, least to sell at. [$/MWh]
    fitted_mw : ndarray, shape (n_paths,)
        Power at each scenario's price. [MW]
    """

    quantity_mw: Floats
    price: Floats
    fitted_mw: Floats


def bid_from_scenarios(
    quantities: ArrayLike,
    prices: ArrayLike,
    *,
    times: pd.DatetimeIndex,
    weights: ArrayLike | None = None,
    n_segments: int | None = None,
    floor: float | None = None,
    cap: float | None = None,
    bidder: str = "battery",
    service: str = "energy",
) -> pd.DataFrame:
    """
    The monotone curve of each interval that is nearest to the power that is best in each scenario.

    Parameters
    ----------
    quantities : array_like, shape (n_paths, n_steps)
        Power into the grid that is best in each scenario, negative where it is drawn; as the schedules of plans made
        for one path each. [MW]
    prices : array_like, shape (n_paths, n_steps)
        Price of each interval in each scenario. [$/MWh]
    times : DatetimeIndex, shape (n_steps,)
        The intervals.
    weights : array_like, shape (n_paths,), optional
        Scenario probabilities, of any scale. Equal when omitted. [-]
    n_segments : int, optional
        Most rows in an interval, at least 1; as many as the curve has when omitted.
    floor, cap : float, optional
        Price of what is offered at the least scenario price, and of what is wanted at the greatest. Those prices
        themselves when omitted, so that nothing is traded at a price beyond the scenarios that none of them tells of;
        ``-inf`` and ``inf`` trade there as at the last scenario. [$/MWh]
    bidder, service : str
        Who bids, and for what.

    Returns
    -------
    DataFrame
        A `bids` table. Cleared at a scenario's price an interval trades the fitted power of that scenario.

    Raises
    ------
    DataError
        If there are fewer than two paths, shapes do not fit, a number is not finite, weights are negative or all zero,
        `n_segments` is less than 1, `floor` is above an interval's least price or `cap` below its greatest.

    Notes
    -----
    An offer stands at the least scenario price at which it was wanted, a bid to buy at the greatest: between two
    scenarios nothing is traded that the one with the worse price would not have. Scenarios at one price count as their
    mean; where all are, the curve is that mean at that price.

    References
    ----------
    .. [1] R. E. Barlow et al., "Statistical Inference under Order Restrictions," Wiley, 1972.
    .. [2] J. P. Hardwick and Q. F. Stout, "Optimal reduced isotonic regression," arXiv:1412.2844.

    Examples
    --------
    >>> from gridlab.schema import mock_times
    >>> quantities, prices = [[-2.0], [0.0], [1.0], [0.8]], [[10.0], [30.0], [50.0], [60.0]]
    >>> bid_from_scenarios(quantities, prices, times=mock_times(1)[:1])[["quantity_mw", "price"]].values.tolist()
    [[-2.0, 10.0], [0.9, 50.0]]
    """
    power, price = np.asarray(quantities, dtype=float), np.asarray(prices, dtype=float)
    if power.ndim != 2 or power.shape != price.shape:
        raise DataError(
            f"quantities and prices must share a shape (n_paths, n_steps), got {power.shape}, {price.shape}"
        )
    times = checked_times(times, power.shape[1])
    curves = [
        fit_curve(*interval, weights=weights, n_segments=n_segments, floor=floor, cap=cap)
        for interval in zip(power.T, price.T, strict=True)
    ]
    step = np.repeat(np.arange(len(times)), [len(curve.price) for curve in curves])
    quantity, limit = ([*(curve[part] for curve in curves), np.zeros(0)] for part in (0, 1))
    return rows_of(times.take(step), bidder, service, np.concatenate(quantity), np.concatenate(limit))


def fit_curve(
    quantity: ArrayLike,
    price: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    n_segments: int | None = None,
    floor: float | None = None,
    cap: float | None = None,
) -> Curve:
    r"""
    The nearest monotone curve with at most `n_segments` rows, for one interval.

    .. math::
        \min_{Q} \; \sum_i w_i (q_i - Q(p_i))^2, \qquad Q \text{ never falling, with at most } n \text{ steps from } 0.

    Rest is a level that takes no row.

    Parameters
    ----------
    quantity, price : array_like, shape (n_paths,)
        As one interval of `bid_from_scenarios`. [MW] [$/MWh]
    weights, n_segments, floor, cap
        As there.

    Returns
    -------
    Curve

    Raises
    ------
    DataError
        As there.

    Examples
    --------
    >>> curve = fit_curve([-2.0, -1.0, 0.0, 2.0, 3.0], [10.0, 20.0, 30.0, 40.0, 50.0], n_segments=2)
    >>> curve.quantity_mw.tolist(), curve.price.tolist(), curve.fitted_mw.tolist()
    ([-1.5, 2.5], [20.0, 40.0], [-1.5, -1.5, 0.0, 2.5, 2.5])
    """
    power, at, weight = _checked(quantity, price, weights)
    if n_segments is not None:
        require_count("n_segments", n_segments)
    counted = weight > 0
    level, mass, first, last = _levels(power[counted], at[counted], weight[counted])
    ends, joined = _reduced(level, mass, len(level) if n_segments is None else n_segments)
    low, high = first[np.concatenate([[0], ends[:-1]])], last[ends - 1]
    rows = _rows(joined, low, high, _limit("floor", floor, low[0]), _limit("cap", cap, high[-1]))
    return Curve(*rows, joined[np.clip(np.searchsorted(low, at, side="right") - 1, 0, None)])


def _checked(quantity: ArrayLike, price: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    power, at = np.asarray(quantity, dtype=float), np.asarray(price, dtype=float)
    if power.ndim != 1 or power.shape != at.shape or len(power) < 2:
        raise DataError(
            f"a curve needs a power and a price from each of two scenarios or more, got shapes {power.shape} and "
            f"{at.shape}: for one plan use bid_price_taker"
        )
    weight = np.ones(len(power)) if weights is None else np.asarray(weights, dtype=float)
    if weight.shape != power.shape:
        raise DataError(f"weights must have shape {power.shape}, one for each path, got {weight.shape}")
    for name, values in {"quantities": power, "prices": at, "weights": weight}.items():
        if not np.isfinite(values).all():
            path = int(np.argmin(np.isfinite(values)))
            raise DataError(f"{name} is {values[path]} in path {path}: fill it or drop the path")
    if (weight < 0).any() or weight.sum() == 0:
        raise DataError(f"weights must not be negative and not all zero, got {weight.min():g} to {weight.max():g}")
    return power, at, weight / weight.max()


def _levels(power: Floats, price: Floats, weight: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Levels of the isotonic regression of power on price: value, weight, least and greatest price."""
    from scipy.optimize import isotonic_regression

    prices, at = np.unique(price, return_inverse=True)
    mass = np.bincount(at, weight)
    fitted = isotonic_regression(np.bincount(at, weight * power) / mass, weights=mass)
    level, start = np.unique(fitted.x, return_index=True)
    return level, np.add.reduceat(mass, start), prices[start], prices[np.append(start[1:], len(prices)) - 1]


def _reduced(level: Floats, mass: Floats, n_segments: int) -> tuple[NDArray[np.intp], Floats]:
    """
    Ends and values of the nearest levels of which at most `n_segments` are not rest.

    A piece of the levels is their mean, for a row, or rest, once and for none. The nearest pieces never fall: means of
    levels that rise rise, and rest beyond a piece above it is further from its levels than that piece is.
    """
    if np.count_nonzero(level) <= n_segments:
        return np.arange(1, len(level) + 1), level
    at_mean, at_rest = _misses(level, mass)
    steps, either = _least_misses(at_mean, at_rest, n_segments)
    ends, rest, end, k = [], -1, len(level), n_segments
    while end > 0:
        ends.append(end)
        if rest < 0 and either[k, end] < steps[k, end] and either[k, end] == (steps[k] + at_rest[:, end]).min():
            end = rest = int(np.argmin(steps[k] + at_rest[:, end]))
        else:
            before = either if rest < 0 else steps
            end, k = int(np.argmin(before[k - 1] + at_mean[:, end])), k - 1
    starts = np.array([0, *ends[:0:-1]], dtype=np.intp)
    joined = np.add.reduceat(mass * level, starts) / np.add.reduceat(mass, starts)
    return np.array(ends[::-1], dtype=np.intp), np.where(starts == rest, 0.0, joined)


def _misses(level: Floats, mass: Floats) -> tuple[Floats, Floats]:
    """Squares missed by the levels i to j - 1 at their mean and at rest, shape (n + 1, n + 1)."""
    centre = np.average(level, weights=mass)
    moments = [mass, mass * (level - centre), mass * (level - centre) ** 2, mass * level**2]
    sums = [np.concatenate([[0.0], np.cumsum(moment)]) for moment in moments]
    weight, first, second, square = (total[None, :] - total[:, None] for total in sums)
    some = np.arange(len(level) + 1) > np.arange(len(level) + 1)[:, None]
    mean = np.divide(first, weight, out=np.zeros_like(first), where=some)
    return np.where(some, np.maximum(second - mean * first, 0.0), np.inf), np.where(some, square, np.inf)


def _least_misses(at_mean: Floats, at_rest: Floats, n_segments: int) -> tuple[Floats, Floats]:
    """Squares missed by the first j levels in at most k steps, without rest and with or without it, (k + 1, n + 1)."""
    steps = np.full((n_segments + 1, len(at_mean)), np.inf)
    either = steps.copy()
    for k in range(n_segments + 1):
        if k > 0:
            steps[k] = (steps[k - 1][:, None] + at_mean).min(axis=0)
            either[k] = (either[k - 1][:, None] + at_mean).min(axis=0)
        steps[k, 0] = 0.0
        either[k] = np.minimum(np.minimum(either[k], steps[k]), (steps[k][:, None] + at_rest).min(axis=0))
    return steps, either


def _rows(level: Floats, low: Floats, high: Floats, floor: float, cap: float) -> tuple[Floats, Floats]:
    """What is wanted and offered so that each level is traded from its least price to its greatest."""
    wanted, offered = level < 0, level > 0
    buys = np.diff(np.append(level[wanted], 0.0))
    sells = np.diff(level[offered], prepend=0.0)
    buy_at, sell_at = high[wanted], low[offered]
    if wanted[-1]:
        buy_at = np.append(buy_at[:-1], cap)
    if offered[0]:
        sell_at = np.append(floor, sell_at[1:])
    return np.concatenate([-buys[::-1], sells]), np.concatenate([buy_at[::-1], sell_at])


def _limit(name: str, given: float | None, scenario: float) -> float:
    """The floor or the cap, refused within the scenarios' prices or where it is none."""
    if given is None:
        return float(scenario)
    if not (given <= scenario if name == "floor" else given >= scenario):
        side = "at most the least" if name == "floor" else "at least the greatest"
        raise DataError(f"{name} must be {side} scenario price, {scenario:g} $/MWh, got {given}")
    return given
