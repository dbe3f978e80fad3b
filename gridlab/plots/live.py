"""Plots of a live site, legible at the width of a phone: prices, power, profit of the day, battery, latency."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from gridlab.plots.services import Look, area_style, money
from gridlab.plots.style import (
    COLORS,
    INK,
    SMALL,
    WIDTH_INCHES,
    axes_for,
    date_axis,
    date_numbers,
    dress,
    require_columns,
    step,
    step_band,
    zero_line,
)
from gridlab.schema import quantiles_of

MACHINE_LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "air_miners": Look("#CC6677", "....", "o"),
        "hydro_miners": Look("#0072B2", "", "s"),
        "immersion_miners": Look("#882255", "////", "^"),
        "gpu_compute": Look("#DDAA33", "\\\\\\\\", "D"),
        "asic_compute": Look("#117733", "xxxx", "v"),
        "cooling": Look("#9BD3E8", "----", "<"),
        "services": Look("#999933", "++++", ">"),
    }
)
"""How the power of each machine type is filled, and of the cooling and of services sold."""

_SPARE_LOOKS = (Look("#5C4033", "||||", "p"), Look("#6E7F80", "oo", "h"), Look("#C8A2C8", "**", "d"))

MODE_LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "override": Look("#8A3FE0", "////", "o"),
        "paused": Look("#8C8C8C", "....", "s"),
        "hold": Look("#E69F00", "", "^"),
        "safe": Look("#E4002B", "xxxx", "v"),
    }
)
"""How a time is marked in which the loop did not plan by itself."""

STEP = pd.Timedelta(minutes=5)
_BESIDE_INCHES = 0.7  # the axes' labels at the left

_PROFITS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "profit": ("this site", {"color": COLORS["actual"], "linewidth": 2.6}),
        "best_machine": ("best machine", {"color": "#F28E2B", "linewidth": 1.4, "linestyle": (0, (4, 3))}),
        "nothing": ("do nothing", {"color": "#8C8C8C", "linewidth": 1.4, "linestyle": (0, (1, 1))}),
        "hindsight": ("machines in hindsight", {"color": "#332288", "linewidth": 1.4, "linestyle": (0, (6, 2, 1, 2))}),
    }
)


def plot_live_prices(
    prices: pd.DataFrame,
    forecast: pd.DataFrame | None = None,
    *,
    series: str = "price",
    unit: str = "$/power/interval",
    market_tz: str = "UTC",
    ax: Any = None,
) -> Any:
    """
    A price as it came, in black, and the forecast's mean and bands from the time of issue on.

    Every pair of quantiles that lie evenly about the median is a band. A dotted line marks the start of the forecast.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table; rows may be missing, and stay empty. [`unit`]
    forecast : DataFrame, optional
        Index: future intervals; columns: (series, ``mean`` or a quantile such as ``q05``). [`unit`]
    series : str
        Column of `prices`, and first level of the columns of `forecast`.
    unit : str
        Unit of the price, for the label.
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
        If `prices` has no column `series`.

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=3, freq="5min", tz="UTC")
    >>> plot_live_prices(pd.DataFrame({"hash_price": [1.0, 2.0, 1.5]}, times), series="hash_price").get_ylabel()
    'Hash price [$/power/interval]'
    """
    require_columns(prices, [series], "prices")
    ax = axes_for(ax, 3.0)
    fan = _fan_of(forecast, series)
    times = prices.index if fan is None else prices.index.append(fan.index)
    if fan is not None:
        _draw_fan(ax, fan)
    known = prices[series].dropna()
    if len(known):
        step(ax, known.index, known, STEP, color=COLORS["actual"], linewidth=1.6, zorder=3, label="actual")
    name = "Energy price" if series == "price" else series.replace("_", " ").capitalize()
    return _finish(ax, times, market_tz, f"{name} [{unit}]")


def plot_live_power(
    power: pd.DataFrame,
    *,
    cap_mw: float | None = None,
    mode: pd.Series | None = None,
    market_tz: str = "UTC",
    ax: Any = None,
) -> Any:
    """
    What draws power as stacked steps, below the site's cap; what never ran is not in the legend.

    A battery is no part of the stack: where there is one, a black line says what the site draws from the grid. A strip
    at the top marks when the loop held, was paused, was overridden or was in the safe state.

    Parameters
    ----------
    power : DataFrame
        Index: starts of intervals; one column a load, in the order of the stack, and `battery`, positive into the
        grid. [MW]
    cap_mw : float, optional
        Power that the site may draw. [MW]
    mode : Series, optional
        Mode of each interval: a name of `MODE_LOOKS`, or another word where the loop planned.
    market_tz : str
        Time zone of the axis.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=3, freq="5min", tz="UTC")
    >>> ax = plot_live_power(pd.DataFrame({"hydro_miners": [1.0, 0.5, 0.0], "gpu_compute": 0.0}, times), cap_mw=1.0)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['hydro miners', 'cap 1 MW']
    """
    ax = axes_for(ax, 3.4)
    loads = power.drop(columns="battery", errors="ignore").fillna(0.0).clip(lower=0.0)
    top = np.zeros(len(loads))
    for name, look in _looks_of(loads.columns).items():
        if (load := loads[name].to_numpy(dtype=float)).any():
            step_band(ax, loads.index, top, top + load, STEP, label=machine_words(name), **_fill(look))
            top = top + load
    zero_line(ax)
    if "battery" in power and len(power) and power["battery"].fillna(0.0).any():
        step(ax, power.index, top - power["battery"].fillna(0.0), STEP, color=INK, linewidth=1.2, label="from the grid")
    most = float(top.max(initial=0.0))
    if cap_mw is not None:
        style = {"color": COLORS["risk"], "linewidth": 1.6, "linestyle": (0, (5, 2))}
        ax.axhline(cap_mw, label=f"cap {cap_mw:g} MW", **style)
        most = max(most, cap_mw)
    ax.set_ylim(top=1.14 * (most or 1.0))
    if mode is not None:
        _mark_modes(ax, mode)
    return _finish(ax, power.index, market_tz, "Power drawn [MW]")


def plot_day_profit(outcomes: pd.DataFrame, *, unit: str = "$", market_tz: str = "UTC", ax: Any = None) -> Any:
    """
    Profit since the first interval given, beside all power on the best machine, doing nothing, and what its machines
    would have earned at prices known beforehand (without services and battery).

    Parameters
    ----------
    outcomes : DataFrame
        Index: starts of intervals; columns `profit`, and `best_machine` and `hindsight` where there are such. [`unit`]
    unit : str
        Unit of money.
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
        If `outcomes` has no column `profit`.

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=2, freq="5min", tz="UTC")
    >>> ax = plot_day_profit(pd.DataFrame({"profit": [20.0, 30.0], "best_machine": 10.0}, times))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['this site 50 $', 'best machine 20 $', 'do nothing 0 $']
    """
    require_columns(outcomes, ["profit"], "outcomes")
    ax = axes_for(ax, 3.4)
    zero_line(ax)
    table = outcomes.assign(nothing=0.0)
    for column, (name, style) in _PROFITS.items():
        if column in table and len(table):
            total = table[column].fillna(0.0).cumsum()
            label = f"{name} {short_money(float(total.iloc[-1]))} {unit}"
            ends = date_numbers(table.index[:1].append(table.index + STEP))
            ax.plot(ends, np.append(0.0, total), label=label, **style)
    ax.yaxis.set_major_formatter(lambda value, _: _money_tick(value, ax))
    return _finish(ax, outcomes.index, market_tz, f"Profit so far [{unit}]")


def plot_live_battery(
    soc_share: pd.Series,
    *,
    limits: tuple[float, float] = (0.15, 0.90),
    market_tz: str = "UTC",
    ax: Any = None,
) -> Any:
    """
    State of charge, between the limits at which a protocol steps in; where it is outside, it is marked.

    Parameters
    ----------
    soc_share : Series
        Index: starts of intervals; energy stored as a share of what the battery holds. [-]
    limits : tuple of float
        Least and greatest share. [-]
    market_tz : str
        Time zone of the axis.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=2, freq="5min", tz="UTC")
    >>> plot_live_battery(pd.Series([0.5, 0.1], times)).get_ylabel()
    'State of charge [%]'
    """
    ax = axes_for(ax, 2.4)
    share = 100 * soc_share.dropna().astype(float)
    low, high = 100 * limits[0], 100 * limits[1]
    for level, name in ((high, "most"), (low, "least")):
        style = {"color": COLORS["risk"], "linewidth": 1.4, "linestyle": _dashes(name)}
        ax.axhline(level, label=f"{name} {level:g} %", **style)
    if len(share):
        ax.plot(date_numbers(share.index), share, color=COLORS["stored"], linewidth=1.8, label="stored")
        _mark_outside(ax, share, (share < low) | (share > high))
    ax.set_ylim(0, 104)
    return _finish(ax, share.index, market_tz, "State of charge [%]")


def plot_live_temperature(
    temperature_c: pd.Series, *, limit_c: float = 75.0, market_tz: str = "UTC", ax: Any = None
) -> Any:
    """
    The hottest temperature of the machines, and the limit at which they are cooled more and then shed.

    Parameters
    ----------
    temperature_c : Series
        Index: starts of intervals. [degC]
    limit_c : float
        The limit. [degC]
    market_tz : str
        Time zone of the axis.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=2, freq="5min", tz="UTC")
    >>> plot_live_temperature(pd.Series([50.0, 61.0], times)).get_ylabel()
    'Hottest machine [°C]'
    """
    ax = axes_for(ax, 2.4)
    warm = temperature_c.dropna().astype(float)
    ax.axhline(limit_c, color=COLORS["risk"], linewidth=1.4, linestyle=_dashes("most"), label=f"limit {limit_c:g} °C")
    if len(warm):
        style = {"color": COLORS["extreme"], "linewidth": 1.8, "label": "hottest machine"}
        ax.plot(date_numbers(warm.index), warm, **style)
        _mark_outside(ax, warm, warm > limit_c)
    ax.margins(y=0.12)
    return _finish(ax, warm.index, market_tz, "Hottest machine [°C]")


def plot_stage_latency(decisions: pd.DataFrame, *, target_ms: float | None = 200.0, ax: Any = None) -> Any:
    """
    How long each stage of a step takes: the median as a bar, the last step as a diamond, 95 of 100 below the tick.

    Parameters
    ----------
    decisions : DataFrame
        Columns ``ms_<stage>`` in the order of the stages, `ms_total` among them. [ms]
    target_ms : float, optional
        Greatest median of the total that is asked for. [ms]
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If there is no column `ms_total`.

    Examples
    --------
    >>> ax = plot_stage_latency(pd.DataFrame({"ms_fetch": [20.0, 40.0], "ms_total": [90.0, 110.0]}))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['fetch', 'total']
    """
    require_columns(decisions, ["ms_total"], "decisions")
    columns = [str(name) for name in decisions.columns if str(name).startswith("ms_") and name != "ms_total"]
    spent = decisions[[*columns, "ms_total"]].astype(float).dropna(how="all").dropna(axis=1, how="all")
    ax = axes_for(ax, 3.0)
    y = np.arange(spent.shape[1])
    if len(spent):
        _draw_latency(ax, y, spent)
    if target_ms is not None:
        style = {"color": COLORS["risk"], "linewidth": 1.4, "linestyle": (0, (5, 2))}
        ax.axvline(target_ms, label=f"target {target_ms:g} ms", **style)
    ax.set_yticks(y, [str(name).removeprefix("ms_") for name in spent.columns])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    _dress(ax, "Time taken [ms]", "", grid="x")
    return ax


def machine_words(name: str) -> str:
    """
    A machine type in words.

    Examples
    --------
    >>> machine_words("gpu_compute"), machine_words("air_miners")
    ('GPU compute', 'air miners')
    """
    return " ".join(word.upper() if word in {"gpu", "asic"} else word for word in name.split("_"))


def short_money(value: float) -> str:
    """
    An amount in few letters: millions from ten million on.

    Examples
    --------
    >>> short_money(1234.5), short_money(-345_678_901.0), short_money(2e9)
    ('1,234', '−345.7 M', '2,000 M')
    """
    if abs(value) < 1e7:
        return money(value)
    return f"{value / 1e6:,.1f} M".replace(".0 M", " M").replace("-", "\N{MINUS SIGN}")


def _money_tick(value: float, ax: Any) -> str:
    """An amount on an axis, of which all are in millions or none."""
    if value and max(map(abs, ax.get_ylim())) >= 1e7:
        return f"{value / 1e6:,.1f} M".replace(".0 M", " M").replace("-", "\N{MINUS SIGN}")
    return money(value)


def _fan_of(forecast: pd.DataFrame | None, series: str) -> pd.DataFrame | None:
    """The series' own columns of a forecast; None where it has none."""
    if forecast is None or forecast.empty or series not in forecast.columns.get_level_values(0):
        return None
    return forecast[series]


def _draw_fan(ax: Any, fan: pd.DataFrame) -> None:
    """Bands, the widest first, the mean, and where the forecast starts."""
    column = {round(q, 6): name for name, q in quantiles_of(fan).items()}
    pairs = [(q, round(1 - q, 6)) for q in sorted(column) if q < 0.5 and round(1 - q, 6) in column]
    for i, (low, high) in enumerate(pairs):
        style = {"color": COLORS["forecast"], "alpha": 0.16 + 0.12 * i, "label": f"{100 * (high - low):.0f} % band"}
        step_band(ax, fan.index, fan[column[low]], fan[column[high]], STEP, **style)
    mean = {"color": COLORS["forecast"], "linewidth": 1.6, "linestyle": (0, (4, 1.2)), "label": "forecast mean"}
    step(ax, fan.index, fan["mean"], STEP, **mean)
    start = date_numbers(fan.index[:1])[0]
    ax.axvline(start, color="#555555", linewidth=1.0, linestyle=(0, (1, 2)), label="issued")


def _looks_of(names: Sequence[Any] | pd.Index) -> dict[str, Look]:
    others = [str(name) for name in names if str(name) not in MACHINE_LOOKS]
    spare = {name: _SPARE_LOOKS[i % len(_SPARE_LOOKS)] for i, name in enumerate(others)}
    return {str(name): spare.get(str(name)) or MACHINE_LOOKS[str(name)] for name in names}


def _fill(look: Look) -> dict[str, Any]:
    return {"facecolor": look.color, "hatch": look.hatch, "edgecolor": "white", "alpha": 0.85}


def _mark_modes(ax: Any, mode: pd.Series) -> None:
    """A strip at the top of the axes wherever the mode is one of `MODE_LOOKS`."""
    for name, look in MODE_LOOKS.items():
        times = mode.index[(mode == name).to_numpy()]
        starts = times[~np.isin(times, times + STEP)]
        ends = (times + STEP)[~np.isin(times + STEP, times)]
        for i, (left, right) in enumerate(zip(date_numbers(starts), date_numbers(ends), strict=True)):
            label = "_" if i else {"hold": "holding", "safe": "safe state"}.get(name, name)
            ax.axvspan(left, right, 0.955, 1.0, label=label, **area_style(look), zorder=3)


def _mark_outside(ax: Any, values: pd.Series, outside: pd.Series) -> None:
    if outside.any():
        style = {"linestyle": "none", "marker": "v", "markersize": 5, "color": COLORS["risk"], "zorder": 4}
        ax.plot(date_numbers(values.index[outside]), values[outside], label="outside", **style)


def _dashes(name: str) -> Any:
    return (0, (5, 2)) if name == "most" else (0, (1, 1))


def _draw_latency(ax: Any, y: Any, spent: pd.DataFrame) -> None:
    median, most, last = spent.median(), spent.quantile(0.95), spent.iloc[-1]
    total = np.asarray(spent.columns == "ms_total")
    for chosen, style in ((~total, {"label": "median"}), (total, {"label": "_", "hatch": "////"})):
        fill = {"color": COLORS["stored"], "edgecolor": "white", "linewidth": 0}
        ax.barh(y[chosen], median.to_numpy()[chosen], 0.6, **fill, **style)
    tick = {"linestyle": "none", "color": INK}
    ax.plot(most, y, marker="|", markersize=11, markeredgewidth=2, label="95 of 100 below", **tick)
    ax.plot(last, y, marker="D", markersize=4.5, markeredgecolor="white", label="last step", **tick)


def _finish(ax: Any, times: pd.Index, market_tz: str, ylabel: str) -> Any:
    """Dates, labels and legend; where there is nothing to show yet, words instead."""
    label = ""
    if len(times):
        label = date_axis(ax, times, market_tz, "Start of interval")
        _fewer_dates(ax)
        ax.xaxis.get_offset_text().set_visible(False)
        left, right = date_numbers(pd.DatetimeIndex([times[0], times[-1] + STEP]))
        ax.set_xlim(left, right)
    else:
        ax.set_xticks([])
        words = {"transform": ax.transAxes, "ha": "center", "va": "center", "fontsize": SMALL + 1, "color": "#444444"}
        words["bbox"] = {"facecolor": "white", "edgecolor": "none"}
        ax.text(0.5, 0.5, "Nothing recorded yet", **words)
    _dress(ax, label, ylabel)
    return ax


def _fewer_dates(ax: Any) -> None:
    """Few dates on a narrow figure, so that they do not touch; at the least 2 and at the most 5 fit every span."""
    most = max(5, int(ax.figure.get_figwidth() / 0.75))
    locator = ax.xaxis.get_major_locator()
    locator.minticks = 2
    locator.maxticks = {unit: min(limit, most) for unit, limit in locator.maxticks.items()}


def _dress(ax: Any, xlabel: str, ylabel: str, *, grid: str = "y") -> None:
    """The house's dress, with a legend above the axes in as many rows as their own width needs."""
    dress(ax, xlabel, ylabel, grid=grid, legend=False)
    handles, labels = ax.get_legend_handles_labels()
    if not labels:
        return
    columns = _columns_of(labels, 112 * (ax.figure.get_figwidth() - _BESIDE_INCHES) / (WIDTH_INCHES - _BESIDE_INCHES))
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": columns, "borderaxespad": 0.2, "borderpad": 0.2}
    legend = ax.legend(handles, labels, frameon=False, fontsize=SMALL, columnspacing=1.2, handlelength=2.0, **place)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _columns_of(labels: Sequence[str], room: float) -> int:
    """The most columns of a legend, filled downwards, that fit into a width in letters."""
    for columns in range(len(labels), 1, -1):
        rows = math.ceil(len(labels) / columns)
        widest = [max(map(len, labels[i : i + rows])) for i in range(0, len(labels), rows)]
        if sum(letters + 7 for letters in widest) <= room:
            return len(widest)
    return 1
