"""
Market days: a series of intervals seen as one row a day, in the market's own time zone, and back again.

A day has as many slots as its clock shows, whatever daylight saving does: on the day of 23 hours the slot that the
clock skips is interpolated from its neighbours, and on the day of 25 hours the slot that it shows twice is averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.schema import step_hours

Floats = NDArray[np.float64]

WEEKLY_DAYS = (0, 5, 6)
"""Monday, Saturday and Sunday, on which the EPF-standard naive takes the day a week before, not the day before."""


@dataclass(frozen=True)
class Days:
    """
    Market days as rows.

    Parameters
    ----------
    dates : DatetimeIndex, shape (n_days,)
        The market's dates, midnight without a time zone.
    price : ndarray, shape (n_days, n_slots)
        Prices by slot of the clock; NaN where there is none. [$/MWh]
    inputs : ndarray, shape (n_days, n_slots, n_inputs)
        What is known a day ahead; NaN where it is not.
    names : tuple of str
        Names of the inputs.
    """

    dates: pd.DatetimeIndex
    price: Floats
    inputs: Floats
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.dates)

    def __getitem__(self, rows: slice) -> "Days":
        return Days(self.dates[rows], self.price[rows], self.inputs[rows], self.names)

    @property
    def n_slots(self) -> int:
        """Slots in a day."""
        return int(self.price.shape[1])

    @property
    def is_whole(self) -> NDArray[np.bool_]:
        """Which days have every price, shape (n_days,)."""
        return np.asarray(~np.isnan(self.price).any(axis=1))

    @property
    def has_inputs(self) -> NDArray[np.bool_]:
        """Which days have some value of every input, shape (n_days,)."""
        missing = np.asarray(np.isnan(self.inputs).all(axis=1))
        return np.asarray(~missing.any(axis=1))

    def followed_by(self, price: Floats, inputs: Floats) -> "Days":
        """These days and the next one, with its prices and inputs."""
        next_date = self.dates[-1:] + pd.Timedelta(days=1)
        return Days(
            self.dates.append(next_date),
            np.concatenate([self.price, price[None]]),
            np.concatenate([self.inputs, inputs[None]]),
            self.names,
        )


@dataclass(frozen=True)
class Said:
    """
    What a model says of a day to come.

    Parameters
    ----------
    experts : ndarray, shape (n_slots, n_experts)
        One forecast an expert. [$/MWh]
    spread : ndarray, shape (n_slots,)
        Scale of the errors to expect, relative to that of other days.
    """

    experts: Floats
    spread: Floats


class Learner(Protocol):
    """What learns a mean and bands from the days that come: `gridlab.forecast.aggregate.Aggregate`."""

    def forecast(self, experts: Floats, spread: Floats, quantiles: Sequence[float]) -> Floats:
        """Mean and quantiles of the day to come, shape (n_slots, 1 + n_quantiles)."""

    def observe(self, experts: Floats, spread: Floats, actual: Floats) -> None:
        """Learn from a day that came."""


class DayForecaster(Protocol):
    """
    A day-ahead model's array core: what `gridlab.evaluate` drives without the cost of tables at every origin.

    Each of its `parts` is fitted for itself by `fit_part` on whole market days, kept for `refit_days`, and asked by
    `say` for the day after a (possibly longer) history; `new_aggregate` makes of what they all say a mean and bands,
    once it has heard them on the days of the `rehearsal`.
    """

    refit_days: int
    market_tz: str

    def parts(self) -> "Sequence[DayForecaster]":
        """Forecasters that are fitted apart."""

    def fit_part(self, history: "Days") -> Any:
        """Learn from the days before the origin."""

    def say(self, model: Any, history: "Days", inputs: Floats) -> Said:
        """Forecast the day that follows `history`, given that day's inputs."""

    def rehearsal(self, history: "Days") -> list[list[int]]:
        """Rows of past days to hear the parts on, in blocks that share a fit."""

    def new_aggregate(self) -> Learner:
        """Make what learns from the days that come."""


def fold(prices: pd.DataFrame, market_tz: str = "UTC", *, target: str = "price") -> Days:
    """
    Prices and the inputs known ahead, one row a market day.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table. Columns that end in ``_forecast`` are the inputs.
    market_tz : str
        Time zone that says when a day begins.
    target : str
        The column to fold as the price.

    Returns
    -------
    Days
        Every market day that the table touches; slots that it does not reach are NaN.

    Raises
    ------
    DataError
        If the table is empty, its intervals do not divide a day, or there is no such time zone.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> days = fold(mock_prices(days=3))
    >>> days.price.shape, days.inputs.shape, days.names
    ((3, 24), (3, 24, 1), ('load_forecast',))
    """
    if not len(prices):
        raise DataError("the table has no rows: choose a period within the data")
    names = tuple(str(column) for column in prices.columns if str(column).endswith("_forecast"))
    n_slots = _slots_in_a_day(prices.index)
    day, slot = _cells(prices.index, market_tz, n_slots)
    dates = pd.DatetimeIndex(pd.date_range(*_first_and_last_date(prices.index, market_tz), freq="D", name="date"))
    skipped = _skipped_slots(dates, market_tz, n_slots)
    tables = [_to_cells(prices[c].to_numpy(float), day, slot, (len(dates), n_slots), skipped) for c in (target, *names)]
    return Days(dates, tables[0], np.stack(tables[1:], axis=-1) if names else np.empty((len(dates), n_slots, 0)), names)


def unfold(values: Floats, dates: pd.DatetimeIndex, times: pd.DatetimeIndex, market_tz: str = "UTC") -> Floats:
    """
    Values by day and slot, read off at times: the inverse of `fold`, bar daylight saving.

    Parameters
    ----------
    values : ndarray, shape (n_days, n_slots, ...)
        Values by slot.
    dates : DatetimeIndex, shape (n_days,)
        The market's dates of the rows, without gaps.
    times : DatetimeIndex, shape (n_times,)
        UTC times within those dates.
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    ndarray, shape (n_times, ...)
    """
    day, slot = _cells(times, market_tz, values.shape[1])
    first, _ = _first_and_last_date(times, market_tz)
    return np.asarray(values[day + (first - dates[0]).days, slot])


def zone(name: str) -> ZoneInfo:
    """
    The time zone of an IANA name.

    Examples
    --------
    >>> zone("Mars/Olympus")
    Traceback (most recent call last):
    gridlab.errors.DataError: there is no time zone 'Mars/Olympus': use an IANA name such as 'America/Los_Angeles'
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, IndexError) as error:
        raise DataError(f"there is no time zone {name!r}: use an IANA name such as 'America/Los_Angeles'") from error


def market_dates(times: pd.DatetimeIndex, market_tz: str = "UTC") -> pd.DatetimeIndex:
    """
    The market's date of each time, midnight without a time zone.

    Examples
    --------
    >>> times = pd.DatetimeIndex(["2024-07-01T03:00Z", "2024-07-01T08:00Z"])
    >>> market_dates(times, "America/Los_Angeles").strftime("%d %b").tolist()
    ['30 Jun', '01 Jul']
    """
    return times.tz_convert(zone(market_tz)).tz_localize(None).normalize()


def day_times(date: pd.Timestamp, index: pd.DatetimeIndex, market_tz: str = "UTC") -> pd.DatetimeIndex:
    """UTC times of one market day, on the grid of `index`: 23, 24 or 25 hours of them."""
    start, end = _bounds(pd.DatetimeIndex([date, date + pd.Timedelta(days=1)]), market_tz)
    return pd.date_range(start, end, freq=index.freq, inclusive="left", name="time")


def filled(days: Days) -> Days:
    """
    The days with their gaps closed by what was known: the same slot a week before, or else the day before.

    Days that open the table with a gap have nothing before them and are left out.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=9)
    >>> prices.loc["2024-01-08", "price"] = float("nan")
    >>> days = filled(fold(prices))
    >>> bool((days.price[7] == days.price[0]).all())
    True
    """
    days = days[int(np.argmax(days.is_whole)) :]
    return replace(days, price=_closed(days.price), inputs=_closed(days.inputs))


def gap_dates(prices: pd.DataFrame, market_tz: str = "UTC") -> pd.DatetimeIndex:
    """
    Market dates that a gap touches: those with a NaN price, and the first and last if the table cuts them short.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=3)
    >>> prices.iloc[30, 0] = float("nan")
    >>> [str(date.date()) for date in gap_dates(prices)]
    ['2024-01-02']
    """
    days = fold(prices[["price"]], market_tz)
    return days.dates[~days.is_whole]


def _closed(values: Floats) -> Floats:
    broken = np.flatnonzero(np.isnan(values).reshape(len(values), -1).any(axis=1))
    if not len(broken):
        return values
    closed = values.copy()
    for row in broken:
        for lag in (lag for lag in (7, 1) if lag <= row):
            closed[row] = np.where(np.isnan(closed[row]), closed[row - lag], closed[row])
    return closed


def _bounds(dates: pd.DatetimeIndex, market_tz: str) -> pd.DatetimeIndex:
    """UTC time of each date's midnight; where the clock skips midnight, the first moment after it."""
    return dates.tz_localize(zone(market_tz), nonexistent="shift_forward", ambiguous=True).tz_convert("UTC")


def _first_and_last_date(times: pd.Index, market_tz: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    dates = market_dates(pd.DatetimeIndex(times[[0, -1]]), market_tz)
    return dates[0], dates[-1]


def _slots_in_a_day(times: pd.Index) -> int:
    step_minutes = round(60 * step_hours(times))
    if 1440 % step_minutes:
        raise DataError(f"intervals must divide a day, got {step_minutes} minutes: resample the prices")
    return 1440 // step_minutes


def _cells(times: pd.Index, market_tz: str, n_slots: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row, counted from the first time's date, and slot of each time."""
    clock = pd.DatetimeIndex(times).tz_convert(zone(market_tz)).tz_localize(None)
    dates = clock.normalize()
    day = ((dates - dates[0]) / pd.Timedelta(days=1)).to_numpy().round().astype(np.int64)
    minute = (clock.hour.to_numpy() * 60 + clock.minute.to_numpy()).astype(np.int64)
    return day, minute * n_slots // 1440


def _skipped_slots(dates: pd.DatetimeIndex, market_tz: str, n_slots: int) -> NDArray[np.bool_]:
    """Slots that the clock skips, where daylight saving begins, shape (n_days, n_slots)."""
    midnights = _bounds(dates.append(pd.DatetimeIndex([dates[-1] + pd.Timedelta(days=1)])), market_tz)
    short = np.flatnonzero(midnights[1:] - midnights[:-1] < pd.Timedelta(days=1))
    skipped = np.zeros((len(dates), n_slots), dtype=bool)
    for row in short:
        step = pd.Timedelta(days=1) / n_slots
        times = pd.date_range(midnights[row], midnights[row + 1], freq=step, inclusive="left", name="time")
        skipped[row] = True
        skipped[row, _cells(times, market_tz, n_slots)[1]] = False
    return skipped


def _to_cells(
    values: Floats, day: NDArray[np.int64], slot: NDArray[np.int64], shape: tuple[int, int], skipped: NDArray[np.bool_]
) -> Floats:
    """Mean of the values in each cell; a cell that the clock skips is interpolated, a cell without values is NaN."""
    cell = day * shape[1] + slot
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    total = np.bincount(cell, weights=values, minlength=shape[0] * shape[1])
    with np.errstate(invalid="ignore"):
        table = (total / count).reshape(shape)
    for row in np.flatnonzero(skipped.any(axis=1)):
        holes = skipped[row]
        slots = np.arange(shape[1])
        table[row, holes] = np.interp(slots[holes], slots[~holes], table[row, ~holes])
    return table
