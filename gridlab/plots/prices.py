"""Plots of prices, and of what a battery did with them."""

from typing import Any

import numpy as np
import pandas as pd

from gridlab.days import fold, market_dates, zone
from gridlab.errors import DataError
from gridlab.plots.style import (
    COLORS,
    SMALL,
    WIDTH_INCHES,
    axes_for,
    date_axis,
    date_numbers,
    dress,
    require_columns,
    step,
    zero_line,
)
from gridlab.schema import step_hours, validate

_MOST_STEPS = 1500  # intervals that can be told apart in one figure


def plot_prices(prices: pd.DataFrame, *, market_tz: str = "UTC", ax: Any = None) -> Any:
    """
    A price series: its course, negative prices, spikes and gaps.

    A series longer than 1,500 intervals is drawn as each day's range and median, since its steps would run into one
    another. A spike is a price more than three interquartile ranges above the upper quartile (Tukey's "far out").

    Parameters
    ----------
    prices : DataFrame
        A `prices` table. [$/MWh]
    market_tz : str
        Time zone of the axis, and of the days.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If `prices` is not a `prices` table.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> plot_prices(mock_prices(days=3)).get_ylabel()
    'Price [$/MWh]'
    """
    price = validate(prices, "prices")["price"]
    ax = axes_for(ax)
    zero_line(ax)
    _draw_course(ax, price, market_tz)
    _mark_extremes(ax, price)
    _shade_gaps(ax, price)
    dress(ax, date_axis(ax, price.index, market_tz), "Price [$/MWh]")
    ax.margins(x=0.01)
    return ax


def plot_daily_shape(prices: pd.DataFrame, *, market_tz: str = "UTC", ax: Any = None) -> Any:
    """
    Price by time of day: the median, and the bands that hold half and nine tenths of the days.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table. [$/MWh]
    market_tz : str
        Time zone that says when a day begins.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If `prices` is not a `prices` table, or has no price in some interval of the day.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> plot_daily_shape(mock_prices(days=9), market_tz="UTC").get_xlabel()
    'Time of day [UTC]'
    """
    by_day = fold(validate(prices, "prices"), market_tz).price
    if np.isnan(by_day).all(axis=0).any():
        raise DataError("prices leave some interval of the day without any price: give at least one whole market day")
    q05, q25, median, q75, q95 = np.nanquantile(by_day, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    hours = np.linspace(0, 24, by_day.shape[1] + 1)
    ax = axes_for(ax)
    zero_line(ax)
    color = COLORS["actual"]
    ax.stairs(q95, hours, baseline=q05, fill=True, color=color, alpha=0.12, linewidth=0, label="9 days in 10")
    ax.stairs(q75, hours, baseline=q25, fill=True, color=color, alpha=0.25, linewidth=0, label="1 day in 2")
    ax.step(hours, np.append(median, median[-1]), where="post", color=color, linewidth=1.8, label="median")
    ax.set_xlim(0, 24)
    ax.set_xticks(range(0, 25, 3), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
    dress(ax, f"Time of day [{market_tz}]", "Price [$/MWh]", subtitle=f"{len(by_day):,} days")
    return ax


def plot_dispatch(
    schedule: pd.DataFrame,
    prices: pd.DataFrame,
    *,
    asset: str = "battery",
    first_day: str | None = None,
    days: int = 7,
    market_tz: str = "UTC",
    axes: Any = None,
) -> Any:
    """
    A few days of a battery: the price, its power, and the energy stored.

    This plot needs three pairs of axes, so it takes and returns an array of three, from top to bottom.

    Parameters
    ----------
    schedule : DataFrame
        A `schedule` table; power into the grid (discharging) is positive. [MW, MWh]
    prices : DataFrame
        A `prices` table that covers the days shown. [$/MWh]
    asset : str
        Whose power to draw: the column ``<asset>_mw``.
    first_day : str, optional
        First market day shown; the last `days` of the schedule when omitted.
    days : int
        Market days shown.
    market_tz : str
        Time zone of the axis, and of the days.
    axes : array of Axes, shape (3,), optional
        Where to draw.

    Returns
    -------
    ndarray of Axes, shape (3,)

    Raises
    ------
    DataError
        If a table is not as its schema, `schedule` lacks the asset's power, or the days lie outside it.

    Examples
    --------
    >>> from gridlab.schema import mock_prices, mock_schedule
    >>> axes = plot_dispatch(mock_schedule(), mock_prices(), days=3)
    >>> [ax.get_ylabel() for ax in axes]
    ['Price [$/MWh]', 'Power [MW]', 'Stored [MWh]']
    """
    validate(prices, "prices")
    require_columns(validate(schedule, "schedule"), [f"{asset}_mw"], "schedule")
    shown = days_of(schedule, first_day, days, market_tz)
    width = pd.Timedelta(hours=step_hours(schedule.index))
    price_ax, power_ax, stored_ax = axes = _three_axes() if axes is None else axes
    step(price_ax, shown.index, prices["price"].reindex(shown.index), width, color=COLORS["actual"], linewidth=1.2)
    _draw_power(power_ax, shown[f"{asset}_mw"], width)
    _draw_stored(stored_ax, shown["soc_mwh"], width)
    for ax, label in zip(axes, ["Price [$/MWh]", "Power [MW]", "Stored [MWh]"], strict=True):
        zero_line(ax)
        dress(ax, "", label)
        ax.margins(x=0.005)
    label = date_axis(stored_ax, shown.index, market_tz)
    stored_ax.set_xlabel(label, fontsize=SMALL)
    return axes


def _draw_course(ax: Any, price: pd.Series, market_tz: str) -> None:
    width = pd.Timedelta(hours=step_hours(price.index))
    color = COLORS["actual"]
    if len(price) <= _MOST_STEPS:
        step(ax, price.index, price, width, color=color, linewidth=1.0, label="price")
        return
    by_day = price.tz_convert(zone(market_tz)).resample("1D").agg(["min", "median", "max"])
    edges = date_numbers(by_day.index.append(by_day.index[-1:] + pd.DateOffset(days=1)))
    band = {"baseline": by_day["min"], "fill": True, "alpha": 0.3, "linewidth": 0, "label": "range of each day"}
    ax.stairs(by_day["max"], edges, color=color, **band)
    ax.stairs(by_day["median"], edges, baseline=None, color=color, linewidth=0.9, label="median of each day")


def _mark_extremes(ax: Any, price: pd.Series) -> None:
    """Triangles up at spikes and down at negative prices, each at its price; their number is in the legend."""
    lower, upper = price.quantile([0.25, 0.75])
    spikes, negative = price[price > upper + 3 * (upper - lower)], price[price < 0]
    for found, marker, name in ((spikes, "^", "spike"), (negative, "v", "negative price")):
        if len(found):
            style = {"marker": marker, "s": 14, "color": COLORS["extreme"], "linewidth": 0, "alpha": 0.8, "zorder": 3}
            share = f"{name}s: {len(found):,} intervals" if len(found) > 1 else f"{name}: 1 interval"
            ax.scatter(date_numbers(found.index), found, label=share, **style)


def _shade_gaps(ax: Any, price: pd.Series) -> None:
    """A hatched band over each run of missing prices, with their number in the legend."""
    missing = price.isna()
    if not missing.any():
        return
    width = pd.Timedelta(hours=step_hours(price.index))
    run = (missing != missing.shift()).cumsum()[missing]
    label = f"gap: {int(missing.sum()):,} intervals without a price"
    for _, times in run.groupby(run).groups.items():
        start, end = date_numbers(pd.DatetimeIndex([times[0], times[-1] + width]))
        ax.axvspan(start, end, facecolor=COLORS["gap"], alpha=0.35, hatch="///", edgecolor="#777777", label=label)
        label = "_"


def days_of(schedule: pd.DataFrame, first_day: str | None, days: int, market_tz: str) -> pd.DataFrame:
    """The rows of some market days."""
    dates = market_dates(schedule.index, market_tz)
    last = dates[-1] - pd.Timedelta(days=days - 1)
    start = last if first_day is None else pd.Timestamp(first_day)
    shown = schedule[(dates >= start) & (dates < start + pd.Timedelta(days=days))]
    if shown.empty:
        raise DataError(f"schedule runs from {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}, got first_day {first_day}")
    return shown


def _three_axes() -> Any:
    import matplotlib.pyplot as plt

    return plt.subplots(
        3,
        1,
        figsize=(WIDTH_INCHES, 6.2),
        sharex=True,
        layout="constrained",
        gridspec_kw={"height_ratios": [1.5, 1.1, 1]},
    )[1]


def _draw_power(ax: Any, power: pd.Series, width: pd.Timedelta) -> None:
    """Discharging above zero and plain, charging below zero and hatched."""
    edges = date_numbers(power.index.append(power.index[-1:] + width))
    sold, bought = np.clip(power, 0, None), np.clip(power, None, 0)
    ax.stairs(sold, edges, fill=True, color=COLORS["discharge"], label="discharging: sells (+)")
    charge = {"facecolor": COLORS["charge"], "edgecolor": "#1F6F9E", "hatch": "/////", "linewidth": 0}
    ax.stairs(bought, edges, fill=True, label="charging: buys (−)", **charge)  # noqa: RUF001


def _draw_stored(ax: Any, stored: pd.Series, width: pd.Timedelta) -> None:
    """The energy stored runs straight from the end of one interval to the end of the next."""
    ends = date_numbers(stored.index + width)
    ax.fill_between(ends, 0, stored, color=COLORS["stored"], alpha=0.25, linewidth=0)
    ax.plot(ends, stored, color=COLORS["stored"], linewidth=1.3)
