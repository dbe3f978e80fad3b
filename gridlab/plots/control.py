"""Plots of what a site does and why: its schedule, where its profit comes from, and what its limits cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.plots.prices import days_of
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
from gridlab.schema import step_hours, validate

Floats = NDArray[np.float64]

_AREAS = (
    ("#8A1C0F", ""),
    ("#E69F00", "...."),
    ("#2E9E5B", ""),
    ("#8A3FE0", "////"),
    ("#00708C", ""),
    ("#B0416B", "xxxx"),
    ("#4D7C0F", "\\\\\\\\"),
    ("#5C4033", ""),
)  # of the machines, in their order; no two neighbours differ by colour alone
_COOLING, _CHARGE, _DISCHARGE = ("#9BD3E8", "----"), (COLORS["charge"], "||||"), (COLORS["discharge"], "////")
_LEAST_SHARE = 1e-3  # of the greatest worth, below which a limit is as good as free


_CENT = 0.005  # $ a day that is as good as nothing


def plot_site_schedule(
    schedule: pd.DataFrame,
    prices: pd.DataFrame,
    *,
    machines: Sequence[str] | None = None,
    import_limit_mw: float | None = None,
    first_day: str | None = None,
    days: int = 7,
    market_tz: str = "UTC",
    axes: Any = None,
) -> Any:
    """
    A few days of a site: the price, what draws power as stacked areas, and what is stored.

    This plot needs three pairs of axes, so it takes and returns an array of three, from top to bottom. Power drawn is
    up: the machines by type, the cooling and the battery's charging; its discharging is below zero, and the line is
    what the meter says. The room's temperature, where there is one, has its scale at the right of the energy stored.

    Parameters
    ----------
    schedule : DataFrame
        A `schedule` table with ``<machine>_mw``, and `battery_mw`, `cooling_mw`, `grid_mw` and `room_c` where there are
        such; power into the grid is positive. [MW, MWh, degC]
    prices : DataFrame
        A `prices` table that covers the days shown. [$/MWh]
    machines : sequence of str, optional
        The machines from the bottom of the stack to its top; all that the schedule has when omitted.
    import_limit_mw : float, optional
        Greatest power drawn from the grid, drawn as a line. [MW]
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
        If a table is not as its schema, `schedule` lacks a machine's power, or the days lie outside it.

    Examples
    --------
    >>> from gridlab.schema import mock_prices, mock_schedule
    >>> schedule = mock_schedule(days=3).assign(miners_mw=-0.5)
    >>> axes = plot_site_schedule(schedule, mock_prices(days=3), import_limit_mw=2.0, days=2)
    >>> [ax.get_ylabel() for ax in axes]
    ['Price [$/MWh]', 'Power drawn [MW]', 'Stored [MWh]']
    """
    validate(prices, "prices")
    names = _machines_of(validate(schedule, "schedule")) if machines is None else list(machines)
    require_columns(schedule, [f"{name}_mw" for name in names], "schedule")
    shown = days_of(schedule, first_day, days, market_tz)
    width = pd.Timedelta(hours=step_hours(schedule.index))
    axes = _three_axes() if axes is None else np.asarray(axes, dtype=object)
    _draw_price(axes[0], prices["price"].reindex(shown.index), width)
    _draw_stack(axes[1], shown, names, width)
    if import_limit_mw is not None:
        style = {"color": COLORS["risk"], "linewidth": 1.4, "linestyle": (0, (5, 2))}
        axes[1].axhline(import_limit_mw, label="grid limit", **style)
    _draw_levels(axes[2], shown, width)
    label = date_axis(axes[2], shown.index, market_tz)
    for ax, ylabel in zip(axes, ("Price [$/MWh]", "Power drawn [MW]", "Stored [MWh]"), strict=True):
        dress(ax, label if ax is axes[2] else "", ylabel, legend=ax is axes[1])
    edges = date_numbers(shown.index[[0]].append(shown.index[-1:] + width))
    axes[2].set_xlim(edges[0], edges[1])
    _give_room(axes[1])
    return axes


def plot_profit_sources(sources: pd.Series, *, unit: str = "$", ax: Any = None) -> Any:
    """
    Where a profit came from: a waterfall of what was earned and paid, one cause after another, to the sum.

    Parameters
    ----------
    sources : Series
        Money received by cause, in the order to draw from the left; money paid is negative. Causes without money are
        left out. [$]
    unit : str
        Unit of `sources`, for the labels.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If `sources` is empty, or has a NaN.

    Examples
    --------
    >>> ax = plot_profit_sources(pd.Series({"hash price": 90.0, "energy": -40.0, "wear": 0.0, "demand": -10.0}))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['hash price', 'energy', 'demand', 'profit']
    """
    if sources.empty:
        raise DataError("sources has no causes: give it at least one")
    _require_known(sources, "sources")
    amounts = sources[sources != 0].astype(float)
    total = float(amounts.sum())
    after = amounts.cumsum().to_numpy()
    before = np.concatenate([[0.0], after[:-1]])[: len(after)]
    ax = axes_for(ax, 4.2)
    x = np.arange(len(amounts) + 1)
    _draw_falls(ax, x, before, after)
    ax.bar(x[-1], total, 0.66, color=COLORS["stored"])
    zero_line(ax)
    tops = np.append(np.maximum(before, after), max(total, 0.0))
    for at, top, value in zip(x, tops, [*amounts, total], strict=True):
        style = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "fontsize": SMALL, "color": INK}
        ax.annotate(_money(value), (at, top), **style)
    ax.set_xticks(x, [*(_wrapped(str(name)) for name in amounts.index), "profit"])
    dress(ax, "", f"Money [{unit}]")
    ax.tick_params(axis="x", length=0)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    _give_room(ax)
    return ax


def plot_best_days(daily: pd.Series, *, unit: str = "$", axes: Any = None) -> Any:
    """
    The days that made a profit: the share of the sum that the best days had made, and each day's from best to worst.

    This plot needs two pairs of axes, so it takes and returns an array of two, from top to bottom. The dotted line is
    that of days which are all alike; the shares are left out where the sum is no profit.

    Parameters
    ----------
    daily : Series
        Profit of each day, by date. [$]
    unit : str
        Unit of `daily`, for the labels.
    axes : array of Axes, shape (2,), optional
        Where to draw.

    Returns
    -------
    ndarray of Axes, shape (2,)

    Raises
    ------
    DataError
        If `daily` is empty, or has a NaN.

    Examples
    --------
    >>> days = pd.date_range("2024-03-01", periods=4, name="date")
    >>> plot_best_days(pd.Series([1.0, 6.0, -1.0, 4.0], index=days))[0].get_title(loc="left")
    'The best of 4 days made 60 % of the profit; 1 day lost money'
    """
    if daily.empty:
        raise DataError("daily has no days: give it at least one")
    _require_known(daily, "daily")
    best_first = daily.astype(float).sort_values(ascending=False, kind="stable")
    values, x = best_first.to_numpy(), np.arange(1, len(daily) + 1)
    axes = _two_axes() if axes is None else np.asarray(axes, dtype=object)
    if values.sum() > 0:
        _draw_shares(axes[0], x, 100 * np.cumsum(values) / values.sum())
    _draw_days(axes[1], x, best_first)
    dress(axes[0], "", "Share of the profit [%]", subtitle=_best_in_words(values), legend=False)
    dress(axes[1], "Days, the best first", f"Profit of the day [{unit}]", legend=False)
    axes[1].yaxis.set_major_formatter("{x:,.0f}")
    for ax in axes:
        ax.set_xlim(0, len(daily) + 0.7)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return axes


def plot_shadow_prices(shadow_prices: pd.DataFrame, *, market_tz: str = "UTC", ax: Any = None) -> Any:
    """
    Shadow price of each limit over time: what a plan would gain for each MWh by which the limit were loosened then.

    Parameters
    ----------
    shadow_prices : DataFrame
        Indexed by time, a column for each limit; limits that never bind are named below the axes' title and not drawn.
        [$/MWh]
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
        If there are no columns, or a NaN.

    Examples
    --------
    >>> times = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC", name="time")
    >>> table = pd.DataFrame({"charging": [5.0, 0.0, 0.0], "full": 0.0}, index=times)
    >>> plot_shadow_prices(table).get_title(loc="left")
    'never bind: full'
    """
    if shadow_prices.shape[1] == 0:
        raise DataError("shadow_prices has no limits: give it at least one column")
    for name in shadow_prices.columns:
        _require_known(shadow_prices[name], f"shadow_prices['{name}']")
    width = pd.Timedelta(hours=step_hours(shadow_prices.index))
    greatest = shadow_prices.abs().max()
    binding = greatest[greatest > _LEAST_SHARE * max(float(greatest.max()), 1e-9)].index
    free = [str(name) for name in shadow_prices.columns if name not in binding]
    ax = axes_for(ax, 3.6)
    zero_line(ax)
    dashes = ("-", (0, (5, 2)), (0, (1, 1)), (0, (5, 1, 1, 1)))
    for i, name in enumerate(binding):
        style = {"color": _AREAS[i % len(_AREAS)][0], "linestyle": dashes[i % len(dashes)], "linewidth": 1.7}
        step(ax, shadow_prices.index, shadow_prices[name], width, label=str(name), **style)
    label = date_axis(ax, shadow_prices.index, market_tz)
    dress(ax, label, "Shadow price [$/MWh]", subtitle=f"never bind: {', '.join(free)}" if free else "")
    ax.margins(x=0.01)
    return ax


def plot_limit_worth(worth: pd.Series, *, xlabel: str = "Worth of one unit more [$]", ax: Any = None) -> Any:
    """
    What one unit more of each limit would have been worth, the dearest limit on top.

    Parameters
    ----------
    worth : Series
        By limit, its name with its unit, such as "grid import [MW]". [$ per unit]
    xlabel : str
        What the bars say.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If `worth` is empty, or has a NaN.

    Examples
    --------
    >>> ax = plot_limit_worth(pd.Series({"full [MWh]": 20.0, "grid import [MW]": 300.0}))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['grid import [MW]', 'full [MWh]']
    """
    if worth.empty:
        raise DataError("worth has no limits: give it at least one")
    _require_known(worth, "worth")
    dearest = worth.astype(float).sort_values(ascending=False, kind="stable")
    ax = axes_for(ax, 1.2 + 0.32 * len(worth))
    y = np.arange(len(dearest))
    ax.barh(y, dearest, 0.66, color=COLORS["stored"])
    for at, value in zip(y, dearest, strict=True):
        style = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": SMALL, "color": INK}
        ax.annotate(_money(value), (max(value, 0.0), at), **style)
    ax.axvline(0, color="#555555", linewidth=0.8)
    ax.set_yticks(y, [str(name) for name in dearest.index])
    ax.invert_yaxis()
    dress(ax, xlabel, "", grid="x")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.margins(x=0.12)
    return ax


def _machines_of(schedule: pd.DataFrame) -> list[str]:
    """Names of the machines in a schedule."""
    others = {"battery", "cooling", "grid"}
    names = [str(column).removesuffix("_mw") for column in schedule.columns if str(column).endswith("_mw")]
    return [name for name in names if name not in others]


def _three_axes() -> Any:
    import matplotlib.pyplot as plt

    ratios = {"height_ratios": [1.0, 2.0, 1.0]}
    return plt.subplots(
        3, 1, figsize=(WIDTH_INCHES, 7.4), sharex=True, layout="constrained", gridspec_kw=ratios
    )[1]  # fmt: skip


def _two_axes() -> Any:
    import matplotlib.pyplot as plt

    return plt.subplots(2, 1, figsize=(WIDTH_INCHES, 5.4), sharex=True, layout="constrained")[1]


def _draw_price(ax: Any, price: pd.Series, width: pd.Timedelta) -> None:
    zero_line(ax)
    step(ax, price.index, price, width, color=COLORS["actual"], linewidth=1.1)


def _draw_stack(ax: Any, shown: pd.DataFrame, names: Sequence[str], width: pd.Timedelta) -> None:
    """What draws power upwards, what the battery gives downwards, and the meter as a line."""
    battery = shown.get("battery_mw", pd.Series(0.0, index=shown.index)).fillna(0.0)
    drawn = {name: -shown[f"{name}_mw"] for name in names}
    looks = {name: _AREAS[i % len(_AREAS)] for i, name in enumerate(names)}
    if "cooling_mw" in shown:
        drawn["cooling"], looks["cooling"] = -shown["cooling_mw"], _COOLING
    if "battery_mw" in shown:
        drawn["charging"], looks["charging"] = (-battery).clip(lower=0.0), _CHARGE
    base = pd.Series(0.0, index=shown.index)
    for name, power in drawn.items():
        top = base + power.fillna(0.0)
        step_band(ax, shown.index, base, top, width, label=name.replace("_", " "), **_area(looks[name]))
        base = top
    if "battery_mw" in shown:
        low, none = -battery.clip(lower=0.0), pd.Series(0.0, index=shown.index)
        step_band(ax, shown.index, low, none, width, label="discharging", **_area(_DISCHARGE))
    zero_line(ax)
    if "grid_mw" in shown:
        step(ax, shown.index, -shown["grid_mw"], width, color=INK, linewidth=1.0, label="meter")


def _area(look: tuple[str, str]) -> Mapping[str, Any]:
    color, hatch = look
    return {"facecolor": color, "alpha": 0.75, "hatch": hatch, "edgecolor": "white"}


def _draw_levels(ax: Any, shown: pd.DataFrame, width: pd.Timedelta) -> None:
    """Energy stored, and at the right the room's temperature."""
    ends = date_numbers(shown.index + width)
    ax.fill_between(ends, 0, shown["soc_mwh"], color=COLORS["stored"], alpha=0.25, linewidth=0)
    ax.plot(ends, shown["soc_mwh"], color=COLORS["stored"], linewidth=1.3)
    if "room_c" in shown:
        right = ax.twinx()
        right.plot(ends, shown["room_c"], color=COLORS["extreme"], linewidth=1.1, linestyle=(0, (4, 1.5)))
        _dress_right(right, "Room, dashed [°C]", COLORS["extreme"])


def _draw_falls(ax: Any, x: NDArray[np.int64], before: Floats, after: Floats) -> None:
    """Bars from one sum to the next, money paid hatched, and a thin line between them."""
    gains = after >= before
    paid = {"color": COLORS["risk"], "hatch": "////", "edgecolor": "white", "linewidth": 0}
    for chosen, label, style in ((gains, "received", {"color": "#2E9E5B"}), (~gains, "paid", paid)):
        if chosen.any():
            at, height = x[:-1][chosen], (after - before)[chosen]
            ax.bar(at, height, 0.66, bottom=before[chosen], label=label, **style)
    ax.hlines(after, x[:-1] + 0.33, x[1:] - 0.33, color="#888888", linewidth=0.8)


def _draw_shares(ax: Any, x: NDArray[np.int64], share: Floats) -> None:
    """Share of the sum that the days up to each had made, and that of days which are alike."""
    ax.plot([0, x[-1]], [0, 100], color="#888888", linewidth=1.0, linestyle=(0, (1, 2)))
    ax.plot(np.append(0, x), np.append(0.0, share), color=INK, linewidth=1.5, marker="o", markersize=3)
    ax.set_ylim(0, 1.06 * max(100.0, float(share.max())))


def _draw_days(ax: Any, x: NDArray[np.int64], best_first: pd.Series) -> None:
    """Each day's profit, losses hatched, and the dates of the three best and of the worst."""
    values = best_first.to_numpy()
    gains = values >= 0
    zero_line(ax)
    ax.bar(x[gains], values[gains], 0.85, color=COLORS["discharge"])
    ax.bar(x[~gains], values[~gains], 0.85, color=COLORS["risk"], hatch="////", edgecolor="white", linewidth=0)
    for place in sorted({*x[:3], x[-1]}):
        value, name = values[place - 1], f"{best_first.index[place - 1]:%d %b}".lstrip("0")
        away = (3, "bottom") if value >= 0 else (-3, "top")
        style = {"xytext": (0, away[0]), "textcoords": "offset points", "ha": "center", "va": away[1], "rotation": 90}
        ax.annotate(name, (place, value), fontsize=SMALL - 1, color=INK, **style)
    _give_room(ax, 0.3)


def _dress_right(ax: Any, label: str, color: str) -> None:
    ax.spines[["top", "left", "bottom"]].set_visible(False)
    ax.spines["right"].set_color("#888888")
    ax.tick_params(labelsize=SMALL, color="#888888", labelcolor=color)
    ax.set_ylabel(label, fontsize=SMALL, color=color)


def _best_in_words(best_first: Floats) -> str:
    lost, total = int((best_first < -_CENT).sum()), float(best_first.sum())
    losing = f"{_of_days(lost)} lost money"
    if total <= 0:
        return f"{_of_days(len(best_first))} made no profit in sum; {losing}"
    n_best = 1 + int((np.cumsum(best_first) < total / 2).sum())
    share = f"{100 * best_first[:n_best].sum() / total:.0f} % of the profit"
    best = "The best" if n_best == 1 else f"The best {n_best}"
    return f"{best} of {_of_days(len(best_first))} made {share}; {losing}"


def _of_days(number: int) -> str:
    return f"{number} {'day' if number == 1 else 'days'}"


def _give_room(ax: Any, share: float = 0.08) -> None:
    """Room for labels above what is drawn, and below it where it passes zero."""
    low, high = ax.dataLim.y0, ax.dataLim.y1
    room = share * (max(high, 0.0) - min(low, 0.0))
    if room == 0:
        return
    ax.set_ylim(low - room if low < 0 else 0.0, max(high, 0.0) + room)


def _wrapped(name: str) -> str:
    """A name in two lines where it is long."""
    return name.replace(" ", "\n", 1) if len(name) > 10 else name


def _money(value: float) -> str:
    shown = f"{value:,.0f}" if abs(value) >= 10 or value == 0 else f"{value:.2g}"
    return shown.replace("-", "−")  # noqa: RUF001


def _require_known(values: pd.Series, what: str) -> None:
    if values.isna().any():
        raise DataError(f"{what} is NaN at {values.index[values.isna()][0]}: drop it or set it")
