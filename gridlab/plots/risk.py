"""Plots of what can be lost in a day: whether a measure holds, how losses are spread, and how deep a strategy fell."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.plots.services import CLEAR, amounts, date_words, money, require_finite, room_beside, write_beside
from gridlab.plots.style import (
    COLORS,
    INK,
    SMALL,
    WIDTH_INCHES,
    Floats,
    axes_for,
    date_axis,
    date_numbers,
    dress,
    line_styles,
    require_columns,
    step,
    step_band,
    zero_line,
)

Flags = NDArray[np.bool_]

_DAY = pd.Timedelta(days=1)
_BAND = 0.95  # of the binomial band around the expected hits
_WIDE = 30  # times the usual loss or gain, from which the axis is logarithmic far from zero
_FAR = 4  # times as far above the median as the measures and the usual days reach, from which a loss is collected
_FEW = 10  # losses above a threshold, below which their mean says little
_VAR = {"color": COLORS["risk"], "linestyle": (0, (5, 2))}
_CVAR = {"color": COLORS["risk"], "linestyle": (0, (1, 1))}


def plot_hits(
    measures: pd.DataFrame, *, level: float, market_tz: str = "UTC", unit: str = "$", axes: Any = None
) -> Any:
    """
    Each day's loss against the value at risk stated for it, and the hits so far against those expected.

    This plot needs two pairs of axes, so it takes and returns an array of two, from top to bottom. A hit is a loss
    above the VaR. The band below holds 95 % of the counts that a right VaR with independent hits would give on each
    day by itself. A CVaR of infinity is not drawn, and gains so far off that the measures and the losses above them
    would lie on one line are drawn at the edge, a quarter of the days at most.
    Where a loss is more than 30 times the median amount, the axis is linear around zero and logarithmic far from it.

    Parameters
    ----------
    measures : DataFrame
        Index of dates; `loss`, `var` and `cvar` of each day, positive when money is lost. [$]
    level : float
        Confidence level of both measures, in [0, 1). [-]
    market_tz : str
        Time zone of the days, for the label.
    unit : str
        Unit of `measures`, for the labels.
    axes : array of Axes, shape (2,), optional
        Where to draw.

    Returns
    -------
    ndarray of Axes, shape (2,)

    Raises
    ------
    DataError
        If a column is missing, there are no days, dates repeat or are not sorted, a value is not finite, or `level` is
        outside [0, 1).

    Examples
    --------
    >>> days = pd.date_range("2024-03-01", periods=20, name="date")
    >>> measures = pd.DataFrame({"loss": np.arange(20.0), "var": 17.5, "cvar": 19.0}, index=days)
    >>> plot_hits(measures, level=0.95)[0].get_title(loc="left")
    '2 of 20 days lost more than the VaR; 1 was expected'
    """
    require_columns(measures, ["loss", "var", "cvar"], "measures")
    _require_level(level)
    _require_dates(measures, "measures")
    finite_cvar = measures["cvar"].where(measures["cvar"] != np.inf, 0.0)
    require_finite(measures[["loss", "var"]].assign(cvar=finite_cvar), "measures")
    hit = (measures["loss"] > measures["var"]).to_numpy()
    axes = _two_axes() if axes is None else np.asarray(axes, dtype=object)
    _draw_losses(axes[0], measures, hit, level)
    _draw_counts(axes[1], measures.index, hit, level)
    label = [date_axis(ax, measures.index, market_tz, "Day") for ax in axes][-1]
    dress(axes[0], "", f"Loss of the day [{unit}]", subtitle=_hits_in_words(hit, level))
    dress(axes[1], label, "Hits so far [days]")
    amounts(axes[0].yaxis)
    edges = date_numbers(measures.index[[0, -1]])
    for ax in axes:
        ax.set_xlim(edges[0], edges[1] + 1)
    return axes


def plot_loss_distribution(
    loss: pd.Series | ArrayLike,
    *,
    measures: Mapping[str, tuple[float, float]] | pd.DataFrame,
    level: float,
    unit: str = "$",
    ax: Any = None,
) -> Any:
    """
    How the losses of days are spread, and below the axis VaR and CVaR of each model, on a line of its own.

    The first line below the axis has a tick for each day that lost more than the smallest VaR. Gains so far off that
    the tail would have no room are collected in a hatched bar at the left, losses that would leave none for the usual
    days and the measures in one at the right.

    Parameters
    ----------
    loss : Series or array_like, shape (n_days,)
        Loss of each day, positive when money is lost. [$]
    measures : mapping of str to (var, cvar), or DataFrame
        VaR and CVaR of each model: a pair by name, or a row each with columns `var` and `cvar`. [$]
    level : float
        Confidence level of the measures, in [0, 1). [-]
    unit : str
        Unit of the losses, for the labels.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If there are no days or no models, a value is not finite, or `level` is outside [0, 1).

    Examples
    --------
    >>> ax = plot_loss_distribution([-3.0, -1.0, 20.0, -40.0], measures={"history": (20.0, 20.0)}, level=0.75)
    >>> ax.get_title(loc="left")
    '4 days, the worst lost 20 $; CVaR 20 $ (history)'
    """
    _require_level(level)
    values = np.asarray(loss, dtype=float)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise DataError(f"loss must be one finite number a day and at least one, got shape {values.shape}: drop NaN")
    table = _as_measures(measures)
    ax = axes_for(ax, 3.0 + 0.32 * len(table))
    edges = _edges_shown(values, table)
    tallest = _draw_histogram(ax, values, edges, float(table.to_numpy().max()), unit)
    _draw_marks(ax, values, table, 0.15 * tallest, level)
    _name_rows(ax, [f"days above {money(float(table['var'].min()))}", *map(str, table.index)], tallest)
    dress(ax, f"Loss of the day [{unit}]", "Days", subtitle=_losses_in_words(values, table, unit))
    amounts(ax.xaxis)
    return ax


def plot_drawdown(profit: pd.DataFrame, *, market_tz: str = "UTC", unit: str = "$", ax: Any = None) -> Any:
    """
    How far each strategy was below the most it had ever earned, day by day, and when it fell deepest.

    Where days are absent, so are the lines.

    Parameters
    ----------
    profit : DataFrame
        Profit of each day (not summed): index of days, one column a strategy. Profits are added, not compounded. [$]
    market_tz : str
        Time zone of the days, for the label.
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
        If there are no days or strategies, dates repeat or are not sorted, or a value is not finite.

    Examples
    --------
    >>> days = pd.date_range("2024-03-01", periods=5, name="date")
    >>> profit = pd.DataFrame({"lear": [5.0, -4.0, -2.0, 7.0, 1.0]}, index=days)
    >>> plot_drawdown(profit).get_title(loc="left")
    'lear fell deepest: 6 $ from 2 Mar 2024 to 3 Mar 2024, made good on 4 Mar 2024'
    """
    _require_dates(profit, "profit")
    require_finite(profit, "profit")
    days = pd.DatetimeIndex(profit.index)
    x, broken = _days_apart(days)
    falls = {str(name): _fall(daily.to_numpy(float)) for name, daily in profit.items()}
    deepest = min(falls, key=lambda name: falls[name].below.min())
    ax = axes_for(ax)
    zero_line(ax)
    ax.fill_between(x, 0, _with_breaks(falls[deepest].below, broken), color=COLORS["stored"], alpha=0.18, linewidth=0)
    for name, line in line_styles(falls).items():
        below, trough = falls[name].below, falls[name].trough
        label = f"{name}  {money(float(below[trough]))}"
        deepest_at = trough + 2 * int((broken + 1 < trough).sum())
        ax.plot(x, _with_breaks(below, broken), color=line.color, linestyle=line.linestyle, linewidth=1.5, label=label,
                marker=line.marker, markersize=7, markevery=[deepest_at])  # fmt: skip
    words = _fall_in_words(deepest, falls[deepest], days, unit)
    label = date_axis(ax, days, market_tz, "Day")
    dress(ax, label, f"Below the most earned so far [{unit}]", subtitle=words)
    amounts(ax.yaxis)
    ax.set_xlim(x[0], x[-1])
    ax.margins(y=0.08)
    return ax


def plot_mean_excess(table: pd.DataFrame, *, threshold: float | None = None, unit: str = "$", ax: Any = None) -> Any:
    """
    Mean by which losses pass a threshold, by threshold: straight where a generalised Pareto tail fits.

    It rises where the tail is heavy and falls where the tail ends: a shape of xi has a slope of xi / (1 - xi). The
    dashed line is that of the shape fitted above `threshold`, or, where the table has none, is fitted to the points
    from there on, weighted with the losses above each. Points with fewer than 10 losses above them are hollow, and how
    many there are stands above the axis.

    Parameters
    ----------
    table : DataFrame
        One row a threshold: `threshold`, as the index or a column, and `mean_excess` [$], `n_above`, the losses above
        it, and, where known, `mean_excess_error` or `error`, its standard error [$], drawn as a band of 95 %, and `xi`
        [-] and `scale` [$] of the tail fitted above it; as `gridlab.risk.mean_excess` gives it.
    threshold : float, optional
        The threshold chosen. [$]
    unit : str
        Unit of the losses, for the labels.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing, there is no threshold, a value is not finite, or `threshold` is outside the table's.

    References
    ----------
    A. C. Davison and R. L. Smith, "Models for exceedances over high thresholds," J. Royal Statistical Society B 52(3),
    1990, doi:10.1111/j.2517-6161.1990.tb01796.x.

    Examples
    --------
    >>> columns = {"threshold": [0.0, 10.0, 20.0], "mean_excess": [8.0, 10.0, 12.0], "n_above": [90, 40, 15]}
    >>> plot_mean_excess(pd.DataFrame(columns), threshold=10.0).get_title(loc="left")
    'Above 10 $ (40 losses) the mean excess rises by 0.20 a $: a heavy tail of shape 0.17'
    """
    table = table.reset_index() if table.index.name == "threshold" else table
    require_columns(table, ["threshold", "mean_excess", "n_above"], "the mean excess table")
    if table.empty:
        raise DataError("the mean excess table has no thresholds: give it at least one")
    require_finite(table[["threshold", "mean_excess", "n_above"]], "the mean excess table")
    points = table.sort_values("threshold", kind="stable").rename(columns={"mean_excess_error": "error"})
    low, high = points["threshold"].iloc[[0, -1]]
    if threshold is not None and not low <= threshold <= high:
        raise DataError(f"threshold must be in the table's [{low:g}, {high:g}], got {threshold:g}")
    ax = axes_for(ax)
    _draw_mean_excess(ax, points)
    words = ""
    if threshold is not None:
        words = _tail_in_words(points, threshold, _draw_tail_line(ax, points, threshold), unit)
    dress(ax, f"Threshold [{unit}]", f"Mean excess over the threshold [{unit}]", subtitle=words)
    for axis in (ax.xaxis, ax.yaxis):
        amounts(axis)
    return ax


def _require_level(level: float) -> None:
    if not 0 <= level < 1:
        raise DataError(f"level must be in [0, 1), got {level}: write 95 % as 0.95")


def _require_dates(table: pd.DataFrame, what: str) -> None:
    if table.empty:
        raise DataError(f"{what} has no days: give it at least one")
    index = table.index
    if not isinstance(index, pd.DatetimeIndex) or not index.is_monotonic_increasing or not index.is_unique:
        raise DataError(
            f"{what} must be indexed by dates that rise, none twice, from {index[0]} on: sort and merge them"
        )


def _two_axes() -> Any:
    import matplotlib.pyplot as plt

    ratios = {"height_ratios": [2.2, 1.0]}
    return plt.subplots(2, 1, figsize=(WIDTH_INCHES, 5.4), sharex=True, layout="constrained", gridspec_kw=ratios)[1]


def _least_shown(loss: Floats, tail: float, greatest: float) -> float:
    """
    The least loss that has room, so that the tail of losses from `tail` to `greatest` keeps a quarter of the axis.

    A quarter of the days at most is cut off, and none where that would not halve the axis.
    """
    least = float(loss.min())
    edge = min(greatest - 4 * (greatest - tail), float(np.quantile(loss, 0.25, method="lower")))
    return edge if greatest - least > 2 * (greatest - edge) else least


def _most_shown(loss: Floats, greatest_measure: float) -> float:
    """The greatest loss that has room: one far beyond the measures and the usual days would leave them none."""
    usual, greatest = float(np.median(loss)), float(loss.max())
    reach = max(greatest_measure, float(np.quantile(loss, 0.95, method="lower"))) - usual
    return usual + 2 * reach if reach > 0 and greatest - usual > _FAR * reach else greatest


def _edges_shown(loss: Floats, table: pd.DataFrame) -> tuple[float, float]:
    """Between which losses the histogram has bars of its own."""
    greatest_measure = float(table.to_numpy().max())
    most = _most_shown(loss, greatest_measure)
    return _least_shown(loss, float(table["var"].min()), max(most, greatest_measure)), most


def _draw_losses(ax: Any, measures: pd.DataFrame, hit: Flags, level: float) -> None:
    """A dot a day, crosses where it passed the VaR, and both measures held for the day."""
    index, loss = pd.DatetimeIndex(measures.index), measures["loss"].to_numpy(float)
    cvar = measures["cvar"].astype(float).where(measures["cvar"] < np.inf)
    middle = date_numbers(index) + 0.5
    greatest = float(np.nanmax([loss.max(), measures["var"].max(), cvar.max()]))
    least = _least_shown(loss, float(measures["var"].min()), greatest)
    off = loss < least
    zero_line(ax)
    dots = {"linestyle": "none", "markersize": 3.5, "color": COLORS["stored"], "alpha": 0.75}
    ax.plot(middle[~hit & ~off], loss[~hit & ~off], marker="o", markeredgewidth=0, label="loss of the day", **dots)
    if off.any():
        ax.plot(middle[off], np.full(off.sum(), least), marker="v", label="gain beyond the edge", **dots)
    step(ax, index, measures["var"], _DAY, linewidth=1.5, label=f"VaR {100 * level:.4g} %", **_VAR)
    if cvar.notna().any():
        step(ax, index, cvar, _DAY, linewidth=1.5, label=f"CVaR {100 * level:.4g} %", **_CVAR)
    style = {"linestyle": "none", "markersize": 6.5, "markeredgecolor": "white", "markeredgewidth": 0.5}
    ax.plot(middle[hit], loss[hit], marker="X", color=COLORS["actual"], zorder=3, label="hit: loss above VaR", **style)
    top = greatest if greatest - least < -greatest else max(greatest, 0.0)
    room = 0.06 * (top - min(least, 0.0)) or 1.0
    ax.set_ylim(min(least, 0.0) - room, top + room)
    usual = float(np.median(np.abs(loss)))
    if max(greatest, -least) > _WIDE * usual > 0:
        _widen(ax, usual, 1.3 * min(least, -usual), 1.3 * max(greatest, usual))


def _widen(ax: Any, usual: float, low: float, high: float) -> None:
    """An axis that is linear up to the usual amount and logarithmic beyond, with powers of ten on it."""
    ax.set_yscale("asinh", linear_width=usual)
    tens = 10.0 ** np.arange(np.ceil(np.log10(usual)), np.ceil(np.log10(max(high, -low))))
    ticks = np.concatenate([-tens[::-1], [0.0], tens])
    ax.set_yticks(ticks[(ticks >= low) & (ticks <= high)])
    ax.set_yticks([], minor=True)
    ax.set_ylim(low, high)


def _draw_counts(ax: Any, index: pd.Index, hit: Flags, level: float) -> None:
    """Hits up to each day, those expected, and where 95 % of the counts of a right measure lie."""
    from scipy.stats import binom

    days = pd.DatetimeIndex(index)
    n = np.arange(1, len(hit) + 1)
    low, high = (binom.ppf(edge, n, 1 - level) for edge in ((1 - _BAND) / 2, (1 + _BAND) / 2))
    band = {"facecolor": COLORS["gap"], "alpha": 0.5, "label": "95 % of counts if the VaR is right"}
    step_band(ax, days, low, high, _DAY, **band)
    step(ax, days, n * (1 - level), _DAY, color="#555555", linewidth=1.1, linestyle=(0, (4, 2)), label="expected")
    step(ax, days, np.cumsum(hit), _DAY, color=COLORS["actual"], linewidth=1.7, label="hits")
    ax.set_ylim(0, 1.08 * max(high[-1], hit.sum(), 1))
    ax.yaxis.get_major_locator().set_params(integer=True)


def _hits_in_words(hit: Flags, level: float) -> str:
    expected = len(hit) * (1 - level)
    said = f"{expected:,.1f}".removesuffix(".0") if expected >= 0.05 else "fewer than 0.1"
    days = "1 day" if len(hit) == 1 else f"{len(hit):,} days"
    return f"{hit.sum():,} of {days} lost more than the VaR; {said} {'was' if said == '1' else 'were'} expected"


def _as_measures(measures: Mapping[str, tuple[float, float]] | pd.DataFrame) -> pd.DataFrame:
    if not isinstance(measures, pd.DataFrame):
        pairs = {str(name): pair for name, pair in measures.items()}
        measures = pd.DataFrame.from_dict(pairs, orient="index", columns=["var", "cvar"])
    require_columns(measures, ["var", "cvar"], "measures")
    if measures.empty:
        raise DataError("measures has no models: give it at least one")
    table = measures[["var", "cvar"]].astype(float)
    require_finite(table, "measures")
    return table


def _draw_histogram(ax: Any, values: Floats, shown: tuple[float, float], measure: float, unit: str) -> float:
    """Bars of days, hatched ones for those beyond the edges; the tallest bar's height comes back."""
    off, far = values < shown[0], values > shown[1]
    counts, edges = np.histogram(values[~off & ~far], bins=int(np.clip(len(values) // 4, 8, 60)))
    width = float(edges[1] - edges[0])
    style = {"color": COLORS["stored"], "edgecolor": "white", "linewidth": 0.8}
    ax.bar(edges[:-1], counts, width, align="edge", alpha=0.6, **style)
    if off.any():
        label = f"{_days(int(off.sum()))} {_below(edges[0], float(values.min()), unit)}"
        ax.bar(edges[0] - 2 * width, off.sum(), width, align="edge", hatch="////", alpha=0.6, label=label, **style)
    if far.any():
        label = f"{_days(int(far.sum()))} lost more than {money(edges[-1])} {unit}, up to {money(values.max())} {unit}"
        at = max(edges[-1], measure) + width
        ax.bar(at, far.sum(), width, align="edge", hatch="\\\\", alpha=0.6, label=label, **style)
    low, high = ax.dataLim.intervalx
    if low - (high - low) < 0 < high + (high - low):
        ax.axvline(0, color="#555555", linewidth=0.8)
    return float(max(counts.max(), off.sum(), far.sum()))


def _below(edge: float, least: float, unit: str) -> str:
    if edge > 0:
        return f"lost less than {money(edge)} {unit}"
    return f"gained more than {money(-edge)} {unit}, up to {money(-least)} {unit}"


def _draw_marks(ax: Any, values: Floats, table: pd.DataFrame, row: float, level: float) -> None:
    """Below the axis a line of ticks for the worst days, then a line a model with its VaR and CVaR."""
    ax.axhline(0, color="#888888", linewidth=0.8)
    beyond = values[values > table["var"].min()]
    ticks = {"linestyle": "none", "marker": "|", "markersize": 9, "color": INK}
    ax.plot(np.minimum(beyond, ax.dataLim.x1), np.full(len(beyond), -row), **ticks)
    y = -row * (np.arange(len(table)) + 2)
    ax.hlines(y, table["var"], table["cvar"], color=COLORS["risk"], linewidth=1.2)
    style = {"linestyle": "none", "color": COLORS["risk"], "markersize": 6}
    ax.plot(table["var"], y, marker="o", markerfacecolor="white", label=f"VaR {100 * level:.4g} %", **style)
    ax.plot(table["cvar"], y, marker="D", label=f"CVaR {100 * level:.4g} %", **style)
    for at, (var, cvar) in zip(y, table.to_numpy(), strict=True):
        write_beside(ax, max(var, cvar), at, f"VaR {money(var)}, CVaR {money(cvar)}", gap=9)
    room_beside(ax, float(ax.dataLim.x0), max(float(ax.dataLim.x1), float(table.to_numpy().max())))


def _name_rows(ax: Any, names: list[str], tallest: float) -> None:
    """Whole numbers of days above the axis and the names of the lines below it."""
    from matplotlib.ticker import MaxNLocator

    row = 0.15 * tallest
    ticks = np.asarray(MaxNLocator(5, integer=True).tick_values(0, tallest))
    ticks = ticks[(ticks >= 0) & (ticks <= 1.02 * tallest)]
    rows = -row * (np.arange(len(names)) + 1)
    ax.set_yticks([*ticks, *rows], [*(f"{tick:,.0f}" for tick in ticks), *names])
    bottom, top = rows[-1] - 0.7 * row, 1.06 * tallest
    ax.set_ylim(bottom, top)
    ax.yaxis.label.set_y((tallest / 2 - bottom) / (top - bottom))


def _losses_in_words(values: Floats, table: pd.DataFrame, unit: str) -> str:
    worst = float(values.max())
    said = f"lost {money(worst)} {unit}" if worst >= 0 else f"gained {money(-worst)} {unit}"
    by_size = table["cvar"].sort_values(kind="stable")
    ends = [f"{money(value)} {unit} ({name})" for name, value in by_size.iloc[[0, -1]].items()]
    cvar = f"from {' to '.join(ends)}" if len(table) > 1 else ends[0]
    return f"{_days(len(values))}, the worst {said}; CVaR {cvar}"


class _Fall(NamedTuple):
    """Depth below the peak at the start and after each day, and the positions of the deepest fall in it."""

    below: Floats
    peak: int
    trough: int
    made_good: int | None


def _days_apart(days: pd.DatetimeIndex) -> tuple[Floats, NDArray[np.intp]]:
    """The edges of the days on the axis, broken where days are absent, and after which of them that is."""
    starts = date_numbers(days)
    apart = np.diff(starts)
    usual = float(apart.min()) if len(apart) > 1 else 1.0
    broken = np.flatnonzero(apart > 1.5 * usual)
    edges = np.append(starts, starts[-1] + usual)
    return np.insert(edges, np.repeat(broken + 1, 2), np.repeat(starts[broken] + usual, 2)), broken


def _with_breaks(below: Floats, broken: NDArray[np.intp]) -> Floats:
    """The depth at each edge, and after each day in `broken` none until the next."""
    ends = np.column_stack([below[broken + 1], np.full(len(broken), np.nan)])
    return np.insert(below, np.repeat(broken + 1, 2), ends.ravel())


def _fall(daily: Floats) -> _Fall:
    total = np.concatenate([[0.0], np.cumsum(daily)])
    below = total - np.maximum.accumulate(total)
    trough = int(below.argmin())
    peak = int(np.flatnonzero(below[: trough + 1] == 0)[-1])
    after = np.flatnonzero(below[trough:] == 0)
    return _Fall(below, peak, trough, trough + int(after[0]) if len(after) else None)


def _fall_in_words(name: str, fall: _Fall, days: pd.DatetimeIndex, unit: str) -> str:
    depth = -float(fall.below.min())
    if depth == 0:
        return f"Never below the most earned in {_days(len(days))}"
    first, last = date_words(days[fall.peak]), date_words(days[fall.trough - 1])
    when = f"on {first}" if first == last else f"from {first} to {last}"
    if fall.made_good is None:
        end = f"not made good by {date_words(days[-1])}"
    else:
        end = f"made good on {date_words(days[fall.made_good - 1])}"
    return f"{name} fell deepest: {money(depth)} {unit} {when}, {end}"


def _draw_mean_excess(ax: Any, points: pd.DataFrame) -> None:
    """Points and the line through them, a band where errors are known, and how many losses are above a few of them."""
    x, y, n = (points[column].to_numpy() for column in ("threshold", "mean_excess", "n_above"))
    if "error" in points:
        reach = 1.96 * points["error"].to_numpy()
        ax.fill_between(x, y - reach, y + reach, color=COLORS["gap"], alpha=0.45, linewidth=0, label="95 % band")
    few = n < _FEW
    ax.plot(x, y, color=COLORS["stored"], linewidth=1.0)
    dots = {"linestyle": "none", "marker": "o", "markersize": 4.5, "color": COLORS["stored"]}
    for chosen, label, face in (
        (~few, "mean excess", COLORS["stored"]),
        (few, f"of fewer than {_FEW} losses", "white"),
    ):
        if chosen.any():
            ax.plot(x[chosen], y[chosen], markerfacecolor=face, label=label, **dots)
    ax.margins(x=0.04)
    high = float(ax.get_ylim()[1])
    ax.set_ylim(-0.1 * high, high)
    for i in _apart(x, 0.11 * (x[-1] - x[0])):
        style = {"xycoords": ("data", "axes fraction"), "ha": "center", "fontsize": SMALL - 1, "color": "#555555"}
        ax.annotate(f"n = {n[i]:,.0f}", (x[i], 0.02), bbox=CLEAR, zorder=4, **style)


def _apart(x: Floats, least: float) -> list[int]:
    """Places in the rising `x` that are at least so far apart, the last one among them."""
    chosen = [len(x) - 1]
    for i in range(len(x) - 2, -1, -1):
        if x[chosen[-1]] - x[i] >= max(least, 1e-12):
            chosen.append(i)
    return chosen


def _draw_tail_line(ax: Any, points: pd.DataFrame, threshold: float) -> float:
    """The threshold, and the straight line from it on; its slope comes back, NaN where there is no such line."""
    ax.axvline(threshold, linewidth=1.4, label="threshold chosen", **_VAR)
    tail = points[points["threshold"] >= threshold]
    fitted = {"xi", "scale"} <= set(tail.columns)
    slope, at_zero = _line_of_fit(tail.iloc[0]) if fitted else _line_through(tail)
    if np.isfinite(slope):
        ends = np.array([threshold, tail["threshold"].iloc[-1]])
        label = "generalised Pareto tail fitted above it" if fitted else "straight line from it on"
        ax.plot(ends, at_zero + slope * ends, color=INK, linewidth=1.4, linestyle=(0, (6, 2)), label=label)
    return slope


def _line_of_fit(fitted: pd.Series) -> tuple[float, float]:
    """Slope and value at zero of the mean excess of a generalised Pareto tail; none where its mean is infinite."""
    xi, scale = float(fitted["xi"]), float(fitted["scale"])
    return (xi / (1 - xi), scale / (1 - xi)) if xi < 1 else (np.nan, np.nan)


def _line_through(tail: pd.DataFrame) -> tuple[float, float]:
    """Slope and value at zero of the line fitted to points weighted with their losses; none through one point."""
    if tail["threshold"].nunique() < 2:
        return np.nan, np.nan
    slope, at_zero = np.polyfit(tail["threshold"], tail["mean_excess"], 1, w=np.sqrt(tail["n_above"]))
    return float(slope), float(at_zero)


def _tail_in_words(points: pd.DataFrame, threshold: float, slope: float, unit: str) -> str:
    n = int(points.loc[points["threshold"] >= threshold, "n_above"].iloc[0])
    where = f"Above {money(threshold)} {unit} ({n:,} {'loss' if n == 1 else 'losses'})"
    if not slope > -1:
        return f"{where}: no straight line"
    if abs(slope) < 0.005:
        return f"{where} the mean excess is level: an exponential tail"
    moves, kind = ("rises", "a heavy tail") if slope > 0 else ("falls", "a tail that ends")
    shape = f"{slope / (1 + slope):.2f}".replace("-", "\N{MINUS SIGN}")
    return f"{where} the mean excess {moves} by {abs(slope):.2f} a {unit}: {kind} of shape {shape}"


def _days(number: int) -> str:
    return f"{number:,} {'day' if number == 1 else 'days'}"
