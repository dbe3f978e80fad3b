"""Plots of what policies earned."""

from typing import Any

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.plots.style import (
    COLORS,
    INK,
    SMALL,
    axes_for,
    date_axis,
    date_numbers,
    dress,
    is_benchmark,
    label_ends,
    line_styles,
    require_columns,
    zero_line,
)


def plot_cumulative_profit(profit: pd.DataFrame, *, market_tz: str = "UTC", unit: str = "$", ax: Any = None) -> Any:
    """
    What each policy had earned by the end of each day; doing nothing and perfect foresight as thin benchmarks.

    Parameters
    ----------
    profit : DataFrame
        Profit of each day (not yet summed): index of days or times, one column a policy. [$]
    market_tz : str
        Time zone of the days.
    unit : str
        Unit of `profit`, for the labels.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If `profit` has no rows, or a NaN.

    Examples
    --------
    >>> days = pd.date_range("2024-03-01", periods=3, name="day")
    >>> profit = pd.DataFrame({"idle": 0.0, "perfect": [5.0, 1.0, 4.0]}, index=days)
    >>> [float(y) for y in plot_cumulative_profit(profit).get_lines()[-1].get_ydata()]
    [0.0, 5.0, 6.0, 10.0]
    """
    _check_profit(profit)
    days = pd.DatetimeIndex(profit.index)
    last_step = days[-1] - days[-2] if len(days) > 1 else pd.Timedelta(days=1)
    x = date_numbers(days.append(days[-1:] + last_step))
    total = np.vstack([np.zeros(profit.shape[1]), profit.to_numpy(float).cumsum(axis=0)])
    styles = line_styles(profit.columns)
    ax = axes_for(ax, 4.4)
    zero_line(ax)
    for (name, line), y in zip(styles.items(), total.T, strict=True):
        thin = is_benchmark(name)
        style = {"color": line.color, "linestyle": line.linestyle, "marker": line.marker, "markersize": 4}
        ax.plot(x, y, linewidth=1.1 if thin else 1.8, markevery=max(1, len(x) // 8), label=name, **style)
    ends = {name: (x[-1], y) for name, y in zip(styles, total[-1], strict=True)}
    dress(ax, date_axis(ax, days, market_tz, "Delivery day"), f"Cumulative profit [{unit}]", legend=False)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.margins(x=0.01)
    label_ends(ax, ends, {name: f"{name}  {y:,.0f}" for name, (_, y) in ends.items()})
    return ax


def plot_daily_profit(
    profit: pd.DataFrame,
    *,
    policy: str | None = None,
    cvar: float | None = None,
    level: float = 0.95,
    market_tz: str = "UTC",
    unit: str = "$",
    ax: Any = None,
) -> Any:
    """
    Profit of each day of one policy: the few days that made half of it, the days that lost, and the worst days' mean.

    Parameters
    ----------
    profit : DataFrame
        Profit of each day: index of days, one column a policy. [$]
    policy : str, optional
        Column to draw; the policy that earned most, benchmarks apart, when omitted.
    cvar : float, optional
        Conditional value at risk of the daily loss, positive when money is lost; drawn as a line when given. [$]
    level : float
        Confidence level of `cvar`, for its label.
    market_tz : str
        Time zone of the days.
    unit : str
        Unit of `profit`, for the labels.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If `profit` has fewer than two rows, a NaN, or no column `policy`.

    Examples
    --------
    >>> days = pd.date_range("2024-03-01", periods=4, name="day")
    >>> profit = pd.DataFrame({"idle": 0.0, "lear": [5.0, 1.0, -1.0, 2.0]}, index=days)
    >>> plot_daily_profit(profit).get_title(loc="left")
    'lear: 1 of 4 days made half of the profit, 1 day lost money'
    """
    _check_profit(profit)
    policy = _best(profit) if policy is None else policy
    require_columns(profit, [policy], "profit")
    daily = profit[policy].astype(float)
    makers, losers = _makers_of_half(daily), daily < 0
    x, color = date_numbers(daily.index), line_styles(profit.columns)[policy].color
    ax = axes_for(ax)
    zero_line(ax)
    width = 0.85 * float(np.min(np.diff(x)))
    kinds = (
        (makers, "days that made half", {"color": color}),
        (~makers & ~losers, "other days", {"color": color, "alpha": 0.4}),
        (losers, "days that lost", {"color": COLORS["risk"], "hatch": "////", "edgecolor": "white", "linewidth": 0}),
    )
    for chosen, label, style in kinds:
        if chosen.any():
            ax.bar(x[chosen], daily[chosen], width, align="edge", label=label, **style)
    if cvar is not None:
        share = f"mean of the worst {100 * (1 - level):.3g} % of days: {-cvar:,.0f} {unit}"
        ax.axhline(-cvar, color=COLORS["risk"], linewidth=1.4, linestyle=(0, (5, 2)), label=share)
    _name_best_days(ax, daily, width)
    label = date_axis(ax, daily.index, market_tz, "Delivery day")
    dress(ax, label, f"Profit of the day [{unit}]", subtitle=_days_in_words(policy, daily, makers, losers))
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.margins(x=0.01, y=0.12)
    return ax


def plot_profit_distribution(
    profit: pd.Series,
    *,
    var: float,
    cvar: float,
    level: float = 0.95,
    of: str = "days",
    unit: str = "$",
    ax: Any = None,
) -> Any:
    """
    How the profit of a day is spread, with value at risk and conditional value at risk marked.

    Parameters
    ----------
    profit : Series
        Profit of each day, or of a day in each scenario. [$]
    var, cvar : float
        Value at risk and conditional value at risk of the daily loss, positive when money is lost. [$]
    level : float
        Confidence level of both.
    of : str
        What the values are, "days" or "scenarios", for the labels.
    unit : str
        Unit of `profit`, for the labels.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If `profit` has no values, or a NaN.

    Examples
    --------
    >>> ax = plot_profit_distribution(pd.Series([3.0, 1.0, -2.0, 4.0]), var=2.0, cvar=2.0, unit="$/MW")
    >>> ax.get_xlabel()
    'Profit of the day [$/MW]'
    """
    _check_profit(profit.to_frame())
    ax = axes_for(ax, 3.6)
    bins = int(np.clip(len(profit) // 4, 8, 60))
    ax.hist(profit, bins=bins, color=COLORS["stored"], alpha=0.55, edgecolor="white", linewidth=0.8)
    worst = f"worst {100 * (1 - level):.3g} % of {of}"
    marks = (
        (float(profit.mean()), f"mean of all {of}", INK, "-"),
        (-var, f"the {worst} earn less than (VaR)", COLORS["risk"], (0, (5, 2))),
        (-cvar, f"mean of the {worst} (CVaR)", COLORS["risk"], (0, (1, 1))),
    )
    for x, name, color, linestyle in marks:
        ax.axvline(x, color=color, linestyle=linestyle, linewidth=1.6, label=f"{name}: {x:,.0f} {unit}")
    ax.axvline(0, color="#555555", linewidth=0.8)
    dress(ax, f"Profit of the day [{unit}]", of.capitalize(), subtitle=f"{len(profit):,} {of}")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    return ax


def plot_capture(table: pd.DataFrame, *, level: float = 0.95, ax: Any = None) -> Any:
    """
    Capture ratio of each strategy, a dot with its confidence interval, between doing nothing and perfect foresight.

    Parameters
    ----------
    table : DataFrame
        One row a strategy, in the order to draw from the top: `capture_ratio`, `low`, `high`; NaN where there was
        nothing to capture. A skewed bootstrap interval need not hold its ratio. [-]
    level : float
        Confidence level of the interval, for the label.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing, or an interval ends before it begins.

    Examples
    --------
    >>> table = pd.DataFrame({"capture_ratio": [0.8], "low": [0.7], "high": [0.9]}, index=["lear"])
    >>> [label.get_text() for label in plot_capture(table).get_yticklabels()]
    ['lear']
    """
    require_columns(table, ["capture_ratio", "low", "high"], "the capture table")
    if (turned := table["low"] > table["high"]).any():
        raise DataError(f"the interval of '{table.index[turned][0]}' ends before it begins: swap low and high")
    ax = axes_for(ax, 1.3 + 0.42 * len(table))
    for x, name in ((0, "doing nothing"), (1, "perfect foresight")):
        line = line_styles([name])[name]
        ax.axvline(x, color=line.color, linestyle=line.linestyle, linewidth=1.2)
        ax.annotate(name, (x, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
                    ha="center", va="bottom", fontsize=SMALL, color=INK)  # fmt: skip
    for y, (name, line) in enumerate(line_styles(table.index).items()):
        ratio, low, high = table.loc[name, ["capture_ratio", "low", "high"]]
        if np.isnan(ratio):
            ax.annotate("nothing to capture", (0, y), xytext=(4, -3), textcoords="offset points", fontsize=SMALL)
            continue
        ax.errorbar((low + high) / 2, y, xerr=(high - low) / 2, fmt="none", color=line.color, capsize=4, linewidth=1.8)
        ax.plot(ratio, y, marker=line.marker, color=line.color, markersize=6)
        ax.annotate(f"{ratio:.2f}", (ratio, y), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=SMALL)
    ax.set_yticks(range(len(table)), [str(name) for name in table.index])
    ax.set_ylim(len(table) - 0.5, -0.6)
    interval = f"with its {100 * level:.3g} % confidence interval"
    dress(ax, f"Capture ratio, {interval} [share of perfect foresight's profit]", "", grid="x")
    return ax


def _check_profit(profit: pd.DataFrame) -> None:
    if profit.empty:
        raise DataError("profit has no days: give it at least one")
    if profit.isna().any(axis=None):
        column = profit.columns[profit.isna().any()][0]
        raise DataError(f"profit['{column}'] is NaN at {profit.index[profit[column].isna()][0]}: drop the day")


def _best(profit: pd.DataFrame) -> str:
    """The policy that earned most; a benchmark only where there is nothing else."""
    total = profit.sum()
    policies = [name for name in profit.columns if not is_benchmark(name)]
    return str(total[policies or list(profit.columns)].idxmax())


def _makers_of_half(daily: pd.Series) -> pd.Series:
    """The fewest days that together made at least half of the profit; none where there was none."""
    best_first = daily.sort_values(ascending=False)
    if best_first.sum() <= 0:
        return pd.Series(False, index=daily.index)
    n = 1 + int((best_first.cumsum() < best_first.sum() / 2).sum())
    return pd.Series(daily.index.isin(best_first.index[:n]), index=daily.index)


def _name_best_days(ax: Any, daily: pd.Series, width: float) -> None:
    """The dates of the three best days above their bars."""
    for day, value in daily.nlargest(3).items():
        if value > 0:
            x = date_numbers(pd.DatetimeIndex([day]))[0] + width / 2
            style = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "fontsize": SMALL - 1}
            ax.annotate(f"{day.day} {day:%b}", (x, value), color=INK, **style)


def _days_in_words(policy: str, daily: pd.Series, makers: pd.Series, losers: pd.Series) -> str:
    lost = int(losers.sum())
    losing = f"{lost} {'day' if lost == 1 else 'days'} lost money"
    made = f"{int(makers.sum())} of {len(daily)} days made half of the profit" if makers.any() else "no profit"
    return f"{policy}: {made}, {losing}"
