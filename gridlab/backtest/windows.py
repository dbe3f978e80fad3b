"""The plans of a run: which rows of the forecast each one sees, and how long it is in force."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.mpc import Policy, Window
from gridlab.schema import step_hours, validate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Span(NamedTuple):
    """One plan: it begins with interval `start`, looks as far as `stop` and is executed up to `until`."""

    start: int
    stop: int
    until: int
    first_row: int
    last_row: int


class Agenda(NamedTuple):
    """
    What a run settles at, and its plans in order of time.

    Parameters
    ----------
    period : DataFrame
        Prices that the run settles at, NaN where nothing can be traded.
    spans : list of Span
        The plans.
    place : ndarray, shape (n_rows,)
        Interval of each row of what is believed.
    columns : mapping of str to ndarray, shape (n_rows,)
        What is believed, in order of origin and time.
    """

    period: pd.DataFrame
    spans: list[Span]
    place: Ints
    columns: dict[str, Floats]

    def windows(self, market_tz: str = "UTC") -> Iterator[tuple[Span, Window]]:
        """Each plan with what it sees; the mean is NaN where the market is closed."""
        times, hours = pd.DatetimeIndex(self.period.index), step_hours(self.period.index)
        closed = self.period["price"].isna().to_numpy()
        for span in self.spans:
            seen = {name: self._seen(values, span) for name, values in self.columns.items()}
            shut = closed[span.start : span.stop]
            if shut.any():
                seen["mean"] = np.where(shut, np.nan, seen["mean"])
            yield span, Window(times, hours, seen, market_tz, span.start)

    def _seen(self, values: Floats, span: Span) -> Floats:
        """A column on the grid of intervals of one plan."""
        rows = slice(span.first_row, span.last_row)
        place = self.place[rows] - span.start
        if len(place) >= span.stop - span.start and place[span.stop - span.start - 1] == span.stop - span.start - 1:
            return values[rows][: span.stop - span.start]
        seen = np.full(span.stop - span.start, np.nan)
        within = place < len(seen)
        seen[place[within]] = values[rows][within]
        return seen


def agenda(policy: Policy, prices: pd.DataFrame, forecast: pd.DataFrame | None, horizon: int) -> Agenda:
    """
    The plans of a run.

    Parameters
    ----------
    policy : Policy
        Says by `sees` what it is handed.
    prices : DataFrame
        A `prices` table.
    forecast : DataFrame, optional
        A `forecast` table; the run covers its times.
    horizon : int
        Intervals that a plan looks ahead.

    Returns
    -------
    Agenda

    Raises
    ------
    DataError
        If a table breaks its schema, the two do not fit, or the policy needs a forecast and there is none.
    """
    validate(prices, "prices")
    if horizon < 2:
        raise DataError(f"horizon must be at least 2 intervals, to buy and to sell, got {horizon}")
    if forecast is None and policy.sees == "forecast":
        raise DataError("the policy plans on a forecast and none is given: pass one, for instance of evaluate.roll")
    if forecast is None:
        return _at_once(policy, prices)
    period = _covered(prices, forecast)
    planned = _by_origin(period, forecast, horizon)
    reached = np.zeros(len(period), dtype=bool)
    for span, window in planned.windows():
        reached[span.start : min(span.stop, span.until)] = ~np.isnan(window.mean[: span.until - span.start])
    period = period.assign(price=period["price"].where(reached))
    return planned._replace(period=period) if policy.sees == "forecast" else _at_once(policy, period)


def _at_once(policy: Policy, period: pd.DataFrame) -> Agenda:
    """One plan over the whole period, of the prices themselves or of nothing."""
    n_steps = len(period)
    seen = {name: period[name].to_numpy(float) for name in period.columns}
    seen["mean"] = seen.pop("price")
    if policy.sees == "nothing":
        seen = {name: np.full(n_steps, np.nan) for name in seen}
    return Agenda(period, [Span(0, n_steps, n_steps, 0, n_steps)], np.arange(n_steps), seen)


def _covered(prices: pd.DataFrame, forecast: pd.DataFrame) -> pd.DataFrame:
    """The prices from the forecast's first time to its last."""
    times = validate(forecast, "forecast").index.get_level_values("time")
    if len(times) == 0:
        raise DataError("the forecast has no rows: forecast at least one day")
    known = times.isin(prices.index)
    if not known.all():
        missing = times[int(np.argmin(known))]
        raise DataError(f"the forecast is for {missing}, which prices does not have: cut it to the prices' times")
    return prices.loc[times.min() : times.max()]


def _by_origin(period: pd.DataFrame, forecast: pd.DataFrame, horizon: int) -> Agenda:
    """A plan for each origin; it reaches the next plan."""
    place = period.index.get_indexer(forecast.index.get_level_values("time"))
    origin = forecast.index.get_level_values("origin").asi8
    order = np.lexsort((place, origin))
    place = place[order]
    firsts = np.flatnonzero(np.diff(origin[order], prepend=origin[order[0]] - 1))
    lasts = np.append(firsts[1:], len(order))
    starts = place[firsts]
    if not (np.diff(starts) > 0).all():
        raise DataError("a later origin's forecast must begin later: drop the origins that do not")
    untils = np.append(starts[1:], len(period))
    stops = np.minimum(np.maximum(starts + horizon, untils), 1 + place[lasts - 1])
    spans = [Span(*map(int, span)) for span in zip(starts, stops, untils, firsts, lasts, strict=True)]
    columns = {str(name): forecast[name].to_numpy(float)[order] for name in forecast.columns}
    return Agenda(period, spans, place, columns)


def with_last_known(
    forecast: pd.DataFrame, prices: pd.DataFrame, columns: list[str], *, same_time_of_day: bool = False
) -> pd.DataFrame:
    """
    A forecast with further columns as they were last known at each origin: the simplest belief about them.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table.
    prices : DataFrame
        A `prices` table with the columns, such as `hash_price` or `temperature_c`.
    columns : list of str
        Which to add.
    same_time_of_day : bool
        Whether to take the latest value of the same time of day, and not the latest of all.

    Returns
    -------
    DataFrame
        The `forecast` with the columns.

    Raises
    ------
    DataError
        If a column is missing, or nothing is known of it at an origin.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> prices = mock_prices(days=3).assign(hash_price=range(72))
    >>> known = with_last_known(mock_forecast(days=3).iloc[24:], prices, ["hash_price"])
    >>> known["hash_price"].groupby("origin").agg(["min", "max"]).values.tolist()
    [[23, 23], [47, 47]]
    """
    absent = [name for name in columns if name not in prices.columns]
    if absent:
        raise DataError(f"the prices have no column '{absent[0]}' (they have {', '.join(prices.columns)}): add it")
    origin, times = (pd.DatetimeIndex(forecast.index.get_level_values(level)) for level in ("origin", "time"))
    day = pd.Timedelta("1D")
    latest = times - (1 + (times - origin) // day) * day if same_time_of_day else origin - pd.Timedelta("1ns")
    place = prices.index.get_indexer(latest, method="ffill")
    if (place < 0).any():
        raise DataError(f"nothing is known of {columns[0]} before {origin[place < 0][0]}: give earlier prices")
    return forecast.assign(**{name: prices[name].ffill().to_numpy()[place] for name in columns})
