"""
What was earned, how evenly, and beside which benchmark, in $ and $/MW.

`profit` has time on its last axis: of a daily table with a column for each strategy, hand over ``table.to_numpy().T``.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, as_series, cvar, finite_number, refuse_other_index

LEAST_PROFIT = 0.01
"""Profit of a day below which a share of it says nothing. [$]"""

_DAYS_A_YEAR = 365.0


def profit_per_mw_year(profit: ArrayLike, power_mw: float) -> Floats:
    """
    Profit of 365 days for each MW of power, from the days counted.

    Parameters
    ----------
    profit : array_like, shape (..., n_days)
        Profit of each day. [$]
    power_mw : float
        Power that it was earned with. [MW]

    Returns
    -------
    ndarray, shape (...)
        Mean daily profit, times 365, over the power. [$/MW-year]

    Raises
    ------
    DataError
        If `profit` has no days or one that is NaN or infinite, or `power_mw` is not above 0.

    Examples
    --------
    >>> float(profit_per_mw_year([100.0, 300.0], power_mw=2.0))
    36500.0
    """
    profit = as_series(profit, "profit", "days")
    return np.asarray(profit.sum(axis=-1) / profit.shape[-1] * _DAYS_A_YEAR / positive(power_mw, "power_mw", "MW"))


def capture_ratio(profit: ArrayLike, benchmark: ArrayLike, *, least: float = LEAST_PROFIT) -> Floats:
    """
    Sum of the profits over the sum of the benchmark's, such as perfect foresight's, on the same days.

    Parameters
    ----------
    profit, benchmark : array_like, shape (..., n_days)
        Profits of the same days; shapes are broadcast. [$]
    least : float
        Profit of a day that the benchmark must exceed on average. [$]

    Returns
    -------
    ndarray, shape (...)
        Share captured, a ratio of sums; NaN where the benchmark's mean daily profit is not above `least`. [-]

    Raises
    ------
    DataError
        If either is a DataFrame, has no days or one that is NaN or infinite, they are of different days, or series
        with different indices, or `least` is NaN, infinite or negative.

    Examples
    --------
    >>> float(capture_ratio([60.0, -10.0], [80.0, 20.0])), float(capture_ratio([5.0], [0.0]))
    (0.5, nan)
    """
    profit, benchmark = _same_days(profit, benchmark)
    return ratio_of_totals(profit.sum(axis=-1), benchmark.sum(axis=-1), profit.shape[-1], least=least)


def ratio_of_totals(total: ArrayLike, of: ArrayLike, n_days: int, *, least: float = LEAST_PROFIT) -> Floats:
    """
    The quotient of two totals over `n_days` days, NaN where `of` is no profit worth the name: `least` a day or less.

    Raises
    ------
    DataError
        If `n_days` is below 1, or `least` is NaN, infinite or negative.

    Examples
    --------
    >>> ratio_of_totals([50.0, 50.0], [100.0, 0.01], 2).tolist()
    [0.5, nan]
    """
    if n_days < 1:
        raise DataError(f"n_days must be at least 1, got {n_days}")
    of, least = np.asarray(of, dtype=float), _checked_least(least)
    return np.asarray(np.asarray(total, dtype=float) / np.where(of > least * n_days, of, np.nan))


class Regret(NamedTuple):
    """What a benchmark earned more: over all days, shape (...), and on each, shape (..., n_days). [$]"""

    total: Floats
    daily: Floats


def regret(profit: ArrayLike, benchmark: ArrayLike) -> Regret:
    """
    Profit of a benchmark less the profit earned, in all and on each day.

    Parameters
    ----------
    profit, benchmark : array_like, shape (..., n_days)
        Profits of the same days; shapes are broadcast. [$]

    Returns
    -------
    Regret
        `total`, shape (...), and `daily`, shape (..., n_days). [$]

    Raises
    ------
    DataError
        If either is a DataFrame, has no days or one that is NaN or infinite, or they are of different days, or series
        with different indices.

    Examples
    --------
    >>> missed = regret([60.0, -10.0], [80.0, 20.0])
    >>> float(missed.total), missed.daily.tolist()
    (50.0, [20.0, 30.0])
    """
    profit, benchmark = _same_days(profit, benchmark)
    daily = benchmark - profit
    return Regret(np.asarray(daily.sum(axis=-1)), daily)


def share_of_best_days(profit: ArrayLike, share: float = 0.01, *, least: float = LEAST_PROFIT) -> Floats:
    """
    Part of the profit that came from the best days; the day at the boundary counts for the part of it inside.

    Parameters
    ----------
    profit : array_like, shape (..., n_days)
        Profit of each day. [$]
    share : float
        The best days' share of all days, ``0 < share <= 1``. [-]
    least : float
        Profit of a day that must be exceeded on average. [$]

    Returns
    -------
    ndarray, shape (...)
        Profit of the best days over the profit of all, above 1 where the others lost; NaN where the mean daily profit
        is not above `least`. [-]

    Raises
    ------
    DataError
        If `profit` has no days or one that is NaN or infinite, `share` is outside (0, 1], or `least` is NaN, infinite
        or negative.

    Examples
    --------
    >>> float(share_of_best_days([10.0, 0.0, 70.0, 20.0], share=0.5))
    0.9
    """
    profit = as_series(profit, "profit", "days")
    if not 0 < share <= 1:
        raise DataError(f"share must be in (0, 1], got {share}")
    n_days, level = profit.shape[-1], min(1 - share, float(np.nextafter(1.0, 0.0)))
    return ratio_of_totals(share * n_days * cvar(profit, level), profit.sum(axis=-1), n_days, least=least)


def days_for_half(profit: ArrayLike, *, least: float = LEAST_PROFIT) -> Floats:
    """
    Number of days, the best first, whose profits come to half of the profit of all days.

    The last of them counts for the part that is needed, so the number moves continuously with the profits; its ceiling
    is the number of whole days. Profits that are equal every day give half the days.

    Parameters
    ----------
    profit : array_like, shape (..., n_days)
        Profit of each day. [$]
    least : float
        Profit of a day that must be exceeded on average. [$]

    Returns
    -------
    ndarray, shape (...)
        Days, NaN where the mean daily profit is not above `least`. [day]

    Raises
    ------
    DataError
        If `profit` has no days or one that is NaN or infinite, or `least` is NaN, infinite or negative.

    Examples
    --------
    >>> float(days_for_half([10.0, 0.0, 70.0, 20.0])), float(days_for_half([3.0, 3.0, 3.0]))
    (0.7142857142857143, 1.5)
    """
    profit = as_series(profit, "profit", "days")
    best_first = np.sort(profit, axis=-1)[..., ::-1]
    total = profit.sum(axis=-1)
    reached = np.cumsum(best_first, axis=-1)
    last = np.argmax(reached >= total[..., np.newaxis] / 2, axis=-1)[..., np.newaxis]
    beyond = np.take_along_axis(reached, last, axis=-1)[..., 0] - total / 2
    of_the_last = np.take_along_axis(best_first, last, axis=-1)[..., 0]
    worth = total > _checked_least(least) * profit.shape[-1]
    return np.asarray(np.where(worth, last[..., 0] + 1 - beyond / np.where(worth, of_the_last, 1.0), np.nan))


def equivalent_full_cycles(discharged_mwh: ArrayLike, usable_mwh: float) -> Floats:
    """
    Energy taken out of a store, in full stores.

    Parameters
    ----------
    discharged_mwh : array_like, shape (..., n_periods)
        Energy out of the store in each period, before the loss on its way out. [MWh]
    usable_mwh : float
        Energy between the least and the greatest state of charge allowed. [MWh]

    Returns
    -------
    ndarray, shape (...)
        Cycles over all periods; over their number of days, cycles a day. [-]

    Raises
    ------
    DataError
        If `discharged_mwh` has no periods or one that is NaN, infinite or negative, or `usable_mwh` is not above 0.

    Examples
    --------
    >>> float(equivalent_full_cycles([2.0, 0.0, 1.0], usable_mwh=2.0))
    1.5
    """
    discharged = as_series(discharged_mwh, "discharged_mwh", "periods")
    if (discharged < 0).any():
        raise DataError(f"discharged_mwh must not be negative, got {discharged.min():g}: count what leaves the store")
    return np.asarray(discharged.sum(axis=-1) / positive(usable_mwh, "usable_mwh", "MWh"))


def positive(value: Any, name: str, unit: str) -> float:
    """The value, once it is a finite number above 0."""
    if value is None or not 0 < value < np.inf:
        raise DataError(f"{name} must be a finite number above 0 [{unit}], got {value}")
    return float(value)


def _checked_least(least: float) -> float:
    if finite_number(least, "least") < 0:
        raise DataError(f"least must not be negative, got {least}: a profit below nothing is none to have a share of")
    return float(least)


def _same_days(profit: ArrayLike, benchmark: ArrayLike) -> tuple[Floats, Floats]:
    refuse_other_index(profit=profit, benchmark=benchmark)
    profit, benchmark = as_series(profit, "profit", "days"), as_series(benchmark, "benchmark", "days")
    if profit.shape[-1] != benchmark.shape[-1]:
        raise DataError(
            f"profit has {profit.shape[-1]} days and benchmark {benchmark.shape[-1]}: give both for the same days"
        )
    return profit, benchmark
