"""Plots of how far a forecast can be trusted: tests of difference, calibration, drift."""

from typing import Any

import numpy as np
import pandas as pd

from gridlab.days import zone
from gridlab.errors import DataError
from gridlab.plots.style import (
    COLORS,
    INK,
    SMALL,
    axes_for,
    date_axis,
    date_numbers,
    dress,
    line_styles,
    require_columns,
)

_P_VALUE_TOP = 0.1
_P_VALUE_NUMBERS = 14  # models up to which the cells have room for a number


def plot_p_values(table: pd.DataFrame, *, ax: Any = None) -> Any:
    """
    Heat map of the p-values of every pair of models: dark where the column's model is the more accurate.

    The scale of the field ends at 0.1: what lies above is no evidence, and is grey and hatched. The colours run from
    dark to light, so that they say the same in print and to every eye.

    Parameters
    ----------
    table : DataFrame
        One row and one column a model, as `gridlab.evaluate.compare_all` gives it; NaN on the diagonal. [-]
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If the rows are not the columns, or a value is outside [0, 1].

    Examples
    --------
    >>> table = pd.DataFrame({"lear": [np.nan, 0.01], "naive": [0.99, np.nan]}, index=["lear", "naive"])
    >>> [text.get_text() for text in plot_p_values(table).texts]
    ['0.99', '0.01']
    """
    if not table.index.equals(table.columns) or table.empty:
        raise DataError("the table must have the same models in rows and columns: take it from evaluate.compare_all")
    values = table.to_numpy(dtype=float)
    if ((values < 0) | (values > 1)).any():
        raise DataError(f"p-values must be in [0, 1], got {np.nanmin(values):g} to {np.nanmax(values):g}")
    ax = axes_for(ax, 1.6 + 0.5 * len(table))
    edges = np.arange(len(table) + 1) - 0.5
    style = {"cmap": _p_value_colors(), "vmin": 0, "vmax": _P_VALUE_TOP, "edgecolors": "white", "linewidth": 1.5}
    mesh = ax.pcolormesh(edges, edges, np.ma.masked_invalid(values), **style)
    _hatch_no_evidence(ax, values)
    if len(table) <= _P_VALUE_NUMBERS:
        _write_p_values(ax, values)
    bar = ax.figure.colorbar(mesh, ax=ax, extend="max", extendrect=True, ticks=[0, 0.01, 0.05, 0.1], pad=0.02)
    bar.set_label("p-value [-]", fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL)
    names = [str(name) for name in table.index]
    ax.set_xticks(range(len(names)), names, rotation=35, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    dress(ax, "Model tested to be the better [p-value]", "Model it is tested against", legend=False)
    ax.grid(visible=False)
    return ax


def plot_calibration(table: pd.DataFrame, *, ax: Any = None) -> Any:
    """
    Reliability: the share of prices at or below each quantile against the quantile's probability.

    A line below the diagonal at its right end and above it at its left belongs to a forecast that is too sure.

    Parameters
    ----------
    table : DataFrame
        Index: the quantiles' probabilities; one column a model: the observed shares, as
        `gridlab.evaluate.reliability` gives them. NaN where a model has no such quantile. [-]
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If there is no quantile, or a probability or a share is outside [0, 1].

    Examples
    --------
    >>> table = pd.DataFrame({"lear": [0.15, 0.5, 0.82]}, index=[0.1, 0.5, 0.9])
    >>> plot_calibration(table).get_title(loc="left")
    'Farthest from the diagonal: lear 0.08 at 0.9'
    """
    nominal = np.asarray(table.index, dtype=float)
    every = np.concatenate([nominal, table.to_numpy(dtype=float).ravel()])
    if table.empty or ((every < 0) | (every > 1)).any():
        raise DataError("probabilities and observed shares must be in [0, 1]: take them from evaluate.reliability")
    ax = axes_for(ax, 4.6)
    ax.plot([0, 1], [0, 1], color="#555555", linewidth=0.9, label="calibrated")
    for model, line in line_styles(table.columns).items():
        share = table[model].dropna()
        style = {"color": line.color, "linestyle": line.linestyle, "marker": line.marker, "markersize": 4.5}
        ax.plot(share.index, share, linewidth=1.5, markevery=max(1, len(share) // 20), label=model, **style)
    farthest = table.sub(nominal, axis=0).abs()
    words = (f"{model} {column.max():.2f} at {column.idxmax():g}" for model, column in farthest.items())
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_aspect("equal")
    subtitle = "Farthest from the diagonal: " + ", ".join(words)
    dress(ax, "Probability of the quantile [-]", "Share of prices at or below it [-]", subtitle=subtitle, grid="both")
    return ax


def plot_coverage_by_hour(coverage: pd.DataFrame, *, level: float = 0.8, market_tz: str = "UTC", ax: Any = None) -> Any:
    """
    Share of prices inside a central interval by hour of the day, one line a model, and the share it promises.

    Parameters
    ----------
    coverage : DataFrame
        Index: hour of the day, 0 to 23; one column a model, as
        ``score(..., by="hour")["coverage_80"].unstack("model")`` gives it. [-]
    level : float
        Nominal coverage. [-]
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
        If the index has an hour outside 0 to 24, or a share or `level` is outside [0, 1].

    Examples
    --------
    >>> coverage = pd.DataFrame({"lear": np.full(24, 0.78)}, index=range(24))
    >>> plot_coverage_by_hour(coverage).get_ylabel()
    'Share of prices inside the 80 % interval [-]'
    """
    hours, shares = np.asarray(coverage.index, dtype=float), coverage.to_numpy(dtype=float)
    if coverage.empty or hours.min() < 0 or hours.max() >= 24:
        raise DataError(f"coverage must be indexed by hour of the day, 0 to 23, got {list(coverage.index)}")
    if not 0 < level < 1 or ((shares < 0) | (shares > 1)).any():
        raise DataError("coverage and level must be shares between 0 and 1: divide percentages by 100")
    ax = axes_for(ax)
    ax.axhline(level, color="#555555", linewidth=1.1, label=f"promised: {level:.3g}")
    for model, line in line_styles(coverage.columns).items():
        style = {"color": line.color, "linestyle": line.linestyle, "marker": line.marker, "markersize": 4.5}
        ax.plot(hours, coverage[model], linewidth=1.5, label=model, **style)
    ax.set_xticks(range(0, 24, 3), [f"{hour:02d}:00" for hour in range(0, 24, 3)])
    ax.set_ylim(max(0, min(np.nanmin(shares), level) - 0.08), min(1, max(np.nanmax(shares), level) + 0.08))
    ylabel = f"Share of prices inside the {100 * level:.3g} % interval [-]"
    dress(ax, f"Start of the delivery hour [{zone(market_tz).key}]", ylabel)
    return ax


def plot_drift(table: pd.DataFrame, *, market_tz: str = "UTC", unit: str = "$/MWh", ax: Any = None) -> Any:
    """
    Each day's loss in use, its rolling mean against the limit from the backtest, and the days of alarm.

    Parameters
    ----------
    table : DataFrame
        Index of days: `loss`, `rolling_mean`, `limit`, `cusum`, `alarm`, as `gridlab.evaluate.loss_drift` gives them.
    market_tz : str
        Time zone of the days, for the label.
    unit : str
        Unit of the loss.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing or there are no days.

    Examples
    --------
    >>> days = pd.date_range("2024-03-01", periods=3, name="date")
    >>> columns = {"loss": [2.0, 3.0, 9.0], "rolling_mean": [np.nan, 2.5, 6.0], "limit": 4.0, "cusum": [0.0, 0.2, 1.3]}
    >>> plot_drift(pd.DataFrame(columns, index=days).assign(alarm=[False, False, True])).get_title(loc="left")
    'Alarm on 1 of 3 days, the first 2024-03-03: rolling mean and cumulative sum past their limits'
    """
    require_columns(table, ["loss", "rolling_mean", "limit", "cusum", "alarm"], "the drift table")
    if table.empty:
        raise DataError("the drift table has no days: give it at least one")
    ax = axes_for(ax)
    x = date_numbers(table.index)
    _shade_days(ax, x, table["alarm"].to_numpy(dtype=bool))
    ax.plot(x, table["loss"], linestyle="none", marker=".", color=COLORS["stored"], alpha=0.7, label="loss of the day")
    ax.plot(x, table["rolling_mean"], color=COLORS["forecast"], linewidth=1.8, label="rolling mean")
    limit = {"color": COLORS["extreme"], "linestyle": (0, (5, 2)), "linewidth": 1.4}
    ax.plot(x, table["limit"], label="limit of the rolling mean", **limit)
    ax.set_ylim(bottom=0)
    label = date_axis(ax, table.index, market_tz, "Delivery day")
    dress(ax, label, f"Loss [{unit}]", subtitle=_alarms_in_words(table))
    return ax


def _p_value_colors() -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"].with_extremes(over="#E4E4E4")


def _hatch_no_evidence(ax: Any, values: Any) -> None:
    from matplotlib.patches import Rectangle

    style: dict[str, Any] = {"facecolor": "none", "edgecolor": "white", "linewidth": 1.5, "hatch": "///"}
    for row, column in np.argwhere(values > _P_VALUE_TOP):
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **style))


def _write_p_values(ax: Any, values: Any) -> None:
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            text = "<.001" if value < 0.001 else f"{value:.3f}" if value < 0.01 else f"{value:.2f}"
            color = "white" if value < 0.045 else "black"
            ax.text(column, row, text, ha="center", va="center", fontsize=SMALL - 1, color=color)


def _shade_days(ax: Any, x: Any, alarm: Any) -> None:
    """A hatched band over each run of days of alarm."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], alarm.astype(int), [0]])))
    for i, (first, end) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        style = {"facecolor": COLORS["risk"], "alpha": 0.12, "hatch": "///", "edgecolor": COLORS["risk"]}
        ax.axvspan(x[first] - 0.5, x[end - 1] + 0.5, linewidth=0, label="_" if i else "alarm", **style)


def _alarms_in_words(table: pd.DataFrame) -> str:
    alarm = table["alarm"].to_numpy(dtype=bool)
    if not alarm.any():
        return f"No alarm in {len(table)} days"
    past = {
        "rolling mean": (table["rolling_mean"] > table["limit"]).any(),
        "cumulative sum": (table["cusum"] > 1).any(),
    }
    which = " and ".join(name for name, is_past in past.items() if is_past)
    first = pd.Timestamp(table.index[int(np.argmax(alarm))]).date()
    limits = "their limits" if all(past.values()) else "its limit"
    return f"Alarm on {int(alarm.sum())} of {len(table)} days, the first {first}: {which} past {limits}"
