"""Plots of forecasts and scenarios beside what happened."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.days import zone
from gridlab.errors import DataError
from gridlab.plots.style import (
    COLORS,
    axes_for,
    date_axis,
    date_numbers,
    dress,
    line_styles,
    step,
    step_band,
    zero_line,
)
from gridlab.schema import quantiles_of, step_hours, validate

_SAMPLE_PATHS = 12


def plot_forecast_fan(
    forecast: pd.DataFrame,
    prices: pd.DataFrame,
    *,
    first_day: str | None = None,
    days: int = 5,
    market_tz: str = "UTC",
    ax: Any = None,
) -> Any:
    """
    A few days of a forecast: its bands and mean, the actual price in black on top, and when it was issued.

    Every pair of quantiles that lie evenly about the median is a band: q10 and q90 hold 80 %. The subtitle sets the
    nominal coverage of each beside the share of prices that fell inside, over the whole table. Where forecasts overlap,
    the latest origin is drawn.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table. [$/MWh]
    prices : DataFrame
        A `prices` table. [$/MWh]
    first_day : str, optional
        First market day shown; the last `days` forecast when omitted.
    days : int
        Origins shown.
    market_tz : str
        Time zone of the axis, and of `first_day`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a table is not as its schema, or the forecast has no origin on or after `first_day`.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> ax = plot_forecast_fan(mock_forecast(days=7), mock_prices(days=7), days=3)
    >>> ax.get_title(loc="left")
    'Share of prices inside the band, of 168: 80 % band holds 98.8 %'
    """
    validate(forecast, "forecast")
    price = validate(prices, "prices")["price"]
    shown, origins = _days_of(forecast, first_day, days, market_tz)
    width = pd.Timedelta(hours=step_hours(prices.index))
    bands = _bands(forecast)
    ax = axes_for(ax)
    zero_line(ax)
    for i, (share, low, high) in enumerate(bands):
        style = {"color": COLORS["forecast"], "alpha": 0.14 + 0.06 * i, "label": f"{share:.0%} band".replace("%", " %")}
        step_band(ax, shown.index, shown[low], shown[high], width, **style)
    mean = {"color": COLORS["forecast"], "linewidth": 1.4, "linestyle": (0, (4, 1.2)), "label": "forecast mean"}
    step(ax, shown.index, shown["mean"], width, **mean)
    actual = {"color": COLORS["actual"], "linewidth": 1.3, "zorder": 3, "label": "actual price"}
    step(ax, shown.index, price.reindex(shown.index), width, **actual)
    _mark_origins(ax, origins)
    label = date_axis(ax, shown.index, market_tz)
    dress(ax, label, "Price [$/MWh]", subtitle=_coverage(forecast, price, bands))
    ax.margins(x=0.005)
    return ax


def plot_error_by_hour(scores: pd.DataFrame, *, market_tz: str = "UTC", ax: Any = None) -> Any:
    """
    Mean absolute error by hour of the day, one line a model.

    Parameters
    ----------
    scores : DataFrame
        Index: hour of the day, 0 to 23; one column a model. [$/MWh]
    market_tz : str
        Time zone of the hours, for the label.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If the index has an hour outside 0 to 24.

    Examples
    --------
    >>> scores = pd.DataFrame({"naive": np.full(24, 6.0), "lear": np.full(24, 4.0)}, index=range(24))
    >>> plot_error_by_hour(scores).get_ylabel()
    'Mean absolute error [$/MWh]'
    """
    hours = np.asarray(scores.index, dtype=float)
    if hours.min() < 0 or hours.max() >= 24:
        raise DataError(f"scores must be indexed by hour of the day, 0 to 23, got {hours.min():g} to {hours.max():g}")
    ax = axes_for(ax)
    for model, line in line_styles(scores.columns).items():
        style = {"color": line.color, "linestyle": line.linestyle, "marker": line.marker, "markersize": 4.5}
        ax.plot(hours, scores[model], linewidth=1.5, label=model, **style)
    ax.set_xticks(range(0, 24, 3), [f"{hour:02d}:00" for hour in range(0, 24, 3)])
    ax.set_ylim(bottom=0)
    dress(ax, f"Start of the delivery hour [{zone(market_tz).key}]", "Mean absolute error [$/MWh]")
    return ax


def plot_paths(
    paths: ArrayLike,
    times: pd.DatetimeIndex,
    observed: ArrayLike | None = None,
    *,
    market_tz: str = "UTC",
    ax: Any = None,
) -> Any:
    """
    Scenarios as a fan: the bands that hold half and nine tenths of the paths, the median, and the first twelve paths.

    Where the price that came is given, it is drawn in black on top, and the subtitle counts how often it lay inside.

    Parameters
    ----------
    paths : array_like, shape (n_paths, n_steps)
        Price paths, equally likely. [$/MWh]
    times : DatetimeIndex, shape (n_steps,)
        Starts of the intervals, with a `freq`.
    observed : array_like, shape (n_steps,), optional
        What happened; NaN where it is not known. [$/MWh]
    market_tz : str
        Time zone of the axis.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If `paths` or `observed` has not one value for each time.

    Examples
    --------
    >>> from gridlab.schema import mock_times
    >>> rng = np.random.default_rng(0)
    >>> plot_paths(rng.normal(30, 5, (100, 24)), mock_times(1)).get_title(loc="left")
    '100 paths'
    """
    paths = np.asarray(paths, dtype=float)
    if paths.ndim != 2 or paths.shape[1] != len(times):
        raise DataError(f"paths must have the shape (n_paths, {len(times)} times), got {paths.shape}")
    if observed is not None and np.shape(observed) != (len(times),):
        raise DataError(f"observed must have a value for each of the {len(times)} times, got {np.shape(observed)}")
    q05, q25, median, q75, q95 = np.quantile(paths, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    width, color = pd.Timedelta(hours=step_hours(times)), COLORS["forecast"]
    ax = axes_for(ax)
    zero_line(ax)
    step_band(ax, times, q05, q95, width, color=color, alpha=0.16, label="90 % of paths")
    step_band(ax, times, q25, q75, width, color=color, alpha=0.28, label="50 % of paths")
    for i, path in enumerate(paths[:_SAMPLE_PATHS]):
        step(ax, times, path, width, color="#555555", linewidth=0.5, alpha=0.6, label="_" if i else "some paths")
    step(ax, times, median, width, color=color, linewidth=1.8, linestyle=(0, (4, 1.2)), label="median")
    words = f"{len(paths):,} paths"
    if observed is not None:
        came = np.asarray(observed, dtype=float)
        step(ax, times, came, width, color=COLORS["actual"], linewidth=1.4, zorder=3, label="actual price")
        n_inside = np.count_nonzero((q05 <= came) & (came <= q95))
        words += f"; {n_inside} of {np.count_nonzero(~np.isnan(came))} prices inside the 90 % band"
    label = date_axis(ax, times, market_tz)
    dress(ax, label, "Price [$/MWh]", subtitle=words)
    ax.margins(x=0.005)
    return ax


def _days_of(
    forecast: pd.DataFrame, first_day: str | None, days: int, market_tz: str
) -> tuple[pd.DataFrame, pd.DatetimeIndex]:
    """The latest forecast of each time of some origins, indexed by time, and those origins."""
    every = pd.DatetimeIndex(forecast.index.unique("origin")).sort_values()
    clock = zone(market_tz)
    origins = every[-days:] if first_day is None else every[every >= pd.Timestamp(first_day, tz=clock)][:days]
    if origins.empty:
        raise DataError(f"forecast has no origin on or after {first_day}: its last is {every[-1]:%Y-%m-%d %H:%M} UTC")
    rows = forecast[forecast.index.get_level_values("origin").isin(origins)].sort_index()
    return rows.groupby(level="time").tail(1).droplevel("origin").sort_index(), origins


def _bands(forecast: pd.DataFrame) -> list[tuple[float, str, str]]:
    """Share and columns of each pair of quantiles that lie evenly about the median, the widest first."""
    by_quantile = {round(q, 6): column for column, q in quantiles_of(forecast).items()}
    pairs = ((q, round(1 - q, 6)) for q in by_quantile if q < 0.5)
    return [(1 - 2 * q, by_quantile[q], by_quantile[r]) for q, r in pairs if r in by_quantile]


def _coverage(forecast: pd.DataFrame, price: pd.Series, bands: list[tuple[float, str, str]]) -> str:
    """Nominal beside empirical coverage in words, over every forecast that has a price."""
    actual = price.reindex(forecast.index.get_level_values("time")).to_numpy()
    scored, actual = forecast[~np.isnan(actual)], actual[~np.isnan(actual)]
    if not bands or not len(actual):
        return ""
    inside = [float(np.mean((scored[low] <= actual) & (actual <= scored[high]))) for _, low, high in bands]
    words = [f"{100 * b[0]:.0f} % band holds {100 * share:.1f} %" for b, share in zip(bands, inside, strict=True)]
    return f"Share of prices inside the band, of {len(actual):,}: " + ", ".join(words)


def _mark_origins(ax: Any, origins: pd.DatetimeIndex) -> None:
    for i, x in enumerate(date_numbers(origins)):
        label = "_" if i else "origin (forecast issued)"
        ax.axvline(x, color="#777777", linewidth=0.8, linestyle=(0, (1, 2)), label=label)
