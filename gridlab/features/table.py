"""The registry of columns, and the tables made from it: the values, and the words that describe them."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
import pandas as pd

from gridlab.days import Days, Floats, fold, unfold
from gridlab.errors import DataError
from gridlab.features import calendar, indicators, inputs, interactions, lags, price, regime
from gridlab.features.known import Clock, Feature, Known
from gridlab.schema import step_hours

REGISTRY: tuple[Feature, ...] = (
    *calendar.FEATURES,
    *price.FEATURES,
    *indicators.FEATURES,
    *regime.FEATURES,
    *lags.FEATURES,
    *inputs.FEATURES,
    *interactions.FEATURES,
)
"""Every column or pattern of columns, in the order of the table."""

MEMORY_DAYS = 144
"""No column looks back further than this."""


def build(
    prices: pd.DataFrame, *, market_tz: str = "UTC", country: str | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """
    The feature columns of a price table, each known at the origin of its row's day.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table. Columns that end in ``_forecast`` count as known for the whole of their day.
    market_tz : str
        Time zone that says when a day begins.
    country : str, optional
        ISO 3166 code whose public holidays count; without it no day is one.
    columns : sequence of str, optional
        Names of the columns wanted, in their order; all when omitted. Only what they need is computed.

    Returns
    -------
    DataFrame, shape (n_times, n_features)
        Same index as `prices`; NaN where the history is too short or has too large a gap.

    Raises
    ------
    DataError
        If `country` or a name in `columns` is not known, or an input has the name of a column made from others.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> table = build(mock_prices(days=10))
    >>> table.shape[0], int(table["hour"].iloc[30]), bool(table["price_lag_7d"].iloc[:168].isna().all())
    (240, 6, True)
    >>> build(mock_prices(days=10), columns=["price_lag_1d", "load_forecast_ramp_1h"]).shape
    (240, 2)
    """
    days = fold(prices, market_tz)
    times = pd.DatetimeIndex(prices.index)
    clock = Clock.of_days(days, market_tz, country, offset_hours=_offset_hours(times, market_tz))
    wanted = _wanted(days.names, columns)
    cells = np.arange(days.price.size, dtype=float).reshape(days.price.shape)
    cell_of_time = unfold(cells, days.dates, times, market_tz).astype(int)
    values = np.empty((len(wanted), len(times)))
    for row, column in zip(values, _computed(days, clock, wanted), strict=True):
        np.take(column, cell_of_time, out=row)
    return pd.DataFrame(values.T, index=prices.index, columns=wanted, copy=False)


def of_days(
    days: Days, *, market_tz: str = "UTC", country: str | None = None, columns: Sequence[str] | None = None
) -> Floats:
    """
    The same columns, by day and slot, for models that work on `Days`.

    The prices of a row's own day are not read: the day to forecast may be the last row, its prices NaN.

    Parameters
    ----------
    days : Days
        Market days in order; `MEMORY_DAYS` before a day are all that its row needs.
    market_tz, country, columns
        As for `build`.

    Returns
    -------
    ndarray, shape (n_days, n_slots, n_features)
        In the order of `names`, or of `columns`.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> days = fold(mock_prices(days=30))
    >>> values = of_days(days)
    >>> values.shape == (30, 24, len(names(days.names)))
    True
    >>> bool((of_days(days, columns=["price_lag_2d"])[9, :, 0] == days.price[7]).all())
    True
    """
    clock, wanted = Clock.of_days(days, market_tz, country), _wanted(days.names, columns)
    return np.stack(list(_computed(days, clock, wanted)), axis=-1)


def names(inputs: Sequence[str] = ()) -> list[str]:
    """
    Names of all columns, given the names of the inputs.

    Examples
    --------
    >>> len(names()) >= 104
    True
    >>> [name for name in names(["load_forecast"]) if name.startswith("load_forecast_lag")]
    ['load_forecast_lag_1d', 'load_forecast_lag_7d']
    """
    return list(_columns(tuple(inputs)))


def describe(columns: Sequence[str] | None = None) -> pd.DataFrame:
    """
    Category, unit and formula of columns; of every column and pattern of columns when none are named.

    Parameters
    ----------
    columns : sequence of str, optional
        Names of columns, for instance those that `select` chose.

    Returns
    -------
    DataFrame, shape (n_columns, 3)
        Columns ``category``, ``unit`` and ``formula``, indexed by ``name``; the notation is in ``docs/features.md``.

    Raises
    ------
    DataError
        If there is no column of that name.

    Examples
    --------
    >>> describe(["wind_forecast_lag_1d"]).loc["wind_forecast_lag_1d"].tolist()
    ['volume or load', 'as wind_forecast', 'x[d-1, s]']
    """
    found = REGISTRY if columns is None else tuple(_column_named(name) for name in columns)
    rows = [(column.category, column.unit, column.formula) for column in found]
    index = pd.Index([column.name for column in found], name="name", dtype="str")
    return pd.DataFrame(rows, index=index, columns=["category", "unit", "formula"])


def _computed(days: Days, clock: Clock, wanted: list[str]) -> Iterator[Floats]:
    """The columns wanted, each (n_days, n_slots)."""
    known = Known.of_days(days, clock, _columns(days.names))
    for name in wanted:
        yield np.broadcast_to(known[name], days.price.shape)


@cache
def _columns(inputs: tuple[str, ...]) -> Mapping[str, Feature]:
    """The columns of a table with these inputs, by name."""
    pairs = [(inputs[0], name) for name in inputs[1:]]
    given: dict[int, list[tuple[str, ...]]] = {0: [()], 1: [(name,) for name in inputs], 2: [*pairs]}
    columns = [feature.for_inputs(*chosen) for feature in REGISTRY for chosen in given[feature.n_inputs]]
    by_name = {column.name: column for column in columns}
    if len(by_name) < len(columns):
        seen = [column.name for column in columns]
        twice = next(name for name in seen if seen.count(name) > 1)
        raise DataError(f"'{twice}' is the name of an input and of a column made from others: rename the input")
    return MappingProxyType(by_name)


def _wanted(inputs: tuple[str, ...], columns: Sequence[str] | None) -> list[str]:
    known = _columns(inputs)
    for name in columns or ():
        if name not in known:
            raise DataError(f"there is no feature '{name}'{_hint(name, known)} features.names() lists them")
    return list(known if columns is None else columns)


def _column_named(name: str) -> Feature:
    """The column of that name, whatever its inputs; the pattern with most words of its own goes first."""
    for feature in sorted(REGISTRY, key=lambda feature: -len(feature.name)):
        pattern = re.escape(feature.name)
        for place in ("<input>", "<other>"):
            pattern = pattern.replace(place, "(.+?_forecast)")
        match = re.fullmatch(pattern, name)
        if match:
            return feature.for_inputs(*match.groups())
    raise DataError(
        f"there is no feature '{name}'{_hint(name, [f.name for f in REGISTRY])} features.names() lists them"
    )


def _hint(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean '{near[0]}'?" if near else ":"


def _offset_hours(times: pd.DatetimeIndex, market_tz: str) -> float:
    """From a slot's beginning to that of the interval in it, where the zone's clock is not on the grid of the hours."""
    hour = float(Clock.of_times(times[:1], market_tz, None).hour[0])
    return hour % step_hours(times)
