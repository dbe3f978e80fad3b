"""What services do to a loss, and how a service is drawn: one colour, pattern and marker each, wherever it appears."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.plots.style import COLORS, INK, SMALL, Floats, axes_for, dress, require_columns

Flags = NDArray[np.bool_]

CLEAR = {"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 0.8}
"""What lies behind words on the axes, so that a line below them does not cross them out."""

_BASE = "base"


class Look(NamedTuple):
    """How one service is drawn, so that no two differ by colour alone."""

    color: str
    hatch: str
    marker: str


SERVICES: Mapping[str, Look] = MappingProxyType(
    {
        "energy": Look("#DDCC77", "", "o"),
        "regulation": Look("#117733", "////", "s"),
        "hash": Look("#CC6677", "\\\\\\\\", "^"),
        "inference": Look("#88CCEE", "....", "D"),
        "training": Look("#882255", "xxxx", "v"),
    }
)
"""The fixed look of each service."""

_SPARE = (
    Look("#44AA99", "||||", "<"),
    Look("#6E5A00", "oo", ">"),
    Look("#C8A2C8", "++++", "p"),
    Look("#203560", "----", "d"),
    Look("#B5B58A", "**", "h"),
    Look("#5C4033", "//\\\\", "8"),
)


def service_looks(names: Iterable[str]) -> dict[str, Look]:
    """
    The look of each service: one of `SERVICES` has its own wherever it appears, others take spare ones in order.

    From the seventh of the others on colours come again, each with another hatch and marker.

    Examples
    --------
    >>> looks = service_looks(["reserve", "hash"])
    >>> looks["hash"] == SERVICES["hash"], looks["reserve"] == SERVICES["energy"]
    (True, False)
    """
    names = [str(name) for name in names]
    others = [name for name in names if name.lower() not in SERVICES]
    spare = {name: _spare_look(i) for i, name in enumerate(others)}
    return {name: spare.get(name) or SERVICES[name.lower()] for name in names}


def plot_attribution(attribution: pd.DataFrame, *, unit: str = "$", ax: Any = None) -> Any:
    """
    What each service adds to the loss of the worst days, beside what it would lose by itself; the largest on top.

    A service that loses less on the worst days of all than nothing is a hedge: its bar is hatched and lies left of
    zero. A diamond marks by how much the total would fall without the service. The lower bar of the total is the sum of
    what each service loses by itself. Shares stand beside the bars where the total is a loss; where even the worst days
    earn, the total has a colour of its own.

    Parameters
    ----------
    attribution : DataFrame
        One row a service, the last row `total`: `standalone`, `contribution`, `incremental` [$] and `share` of the
        total [-], NaN where that is zero, as `gridlab.risk.attribution` gives it.
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
        If a column or the last row `total` is missing, there is no service, or an amount is not finite.

    Examples
    --------
    >>> columns = {"standalone": [9.0, 4.0, 13.0], "contribution": [8.0, -3.0, 5.0], "share": [1.6, -0.6, 1.0]}
    >>> table = pd.DataFrame({**columns, "incremental": [7.0, -4.0, 5.0]}, index=["hash", "energy", "total"])
    >>> plot_attribution(table).get_title(loc="left")
    'hash drives the tail with 160 % of the loss, energy hedges; 5 $ together, 13 $ one by one'
    """
    columns = ["standalone", "contribution", "incremental"]
    require_columns(attribution, [*columns, "share"], "the attribution")
    if len(attribution) < 2 or attribution.index[-1] != "total":
        raise DataError(f"the attribution must end with the row 'total' after its services, got {[*attribution.index]}")
    require_finite(attribution[columns], "the attribution")
    services = attribution.iloc[:-1].astype(float).sort_values("contribution", ascending=False, kind="stable")
    total = float(attribution["contribution"].iloc[-1])
    ax = axes_for(ax, 1.5 + 0.46 * len(attribution))
    _draw_attribution(ax, services, total)
    _write_attribution(ax, services, total)
    ax.axvline(0, color="#555555", linewidth=0.8)
    ax.axhline(len(services) - 0.5, color="#888888", linewidth=0.8)
    ax.set_yticks(range(len(attribution)), [*map(str, services.index), "total"])
    ax.set_ylim(len(attribution) - 0.45, -0.55)
    dress(ax, f"Loss of the worst days [{unit}]", "", subtitle=_drivers_in_words(services, total, unit), grid="x")
    amounts(ax.xaxis)
    room_beside(ax, min(float(ax.dataLim.x0), 0.0), max(float(ax.dataLim.x1), 0.0))
    return ax


def plot_stress(
    table: pd.DataFrame,
    *,
    services: Sequence[str] = (),
    limit: float | None = None,
    unit: str = "$",
    ax: Any = None,
) -> Any:
    """
    What each shock would lose, the base on top and then the worst first, against a limit where there is one.

    Parameters
    ----------
    table : DataFrame
        One row a shock, among them `base` where there is one: `loss`, and the `services`, as
        `gridlab.risk.stress_table` gives it; where it has `date`, the day of the loss, that is written beside. [$]
    services : sequence of str
        Columns with each service's part of `loss`, drawn as a stack with `loss` as a mark; gains of a service lie left
        of zero.
    limit : float, optional
        Greatest loss allowed, drawn as a line; losses above it are marked. [$]
    unit : str
        Unit of `table`, for the labels.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing, there is no shock, a value is not finite, or the services do not add up to the loss.

    Examples
    --------
    >>> table = pd.DataFrame({"loss": [90.0, 40.0, 200.0]}, index=["heat", "base", "price spike"])
    >>> ax = plot_stress(table, limit=100.0)
    >>> ax.get_title(loc="left"), [label.get_text() for label in ax.get_yticklabels()]
    ('1 of 2 shocks loses more than 100 $; the worst, price spike, 200 $ (base 40 $)', ['base', 'price spike', 'heat'])
    """
    _check_stress(table, services)
    worst_first = table.sort_values("loss", ascending=False, kind="stable")
    ordered = pd.concat([worst_first[worst_first.index == _BASE], worst_first[worst_first.index != _BASE]])
    loss, parts = ordered["loss"].astype(float), ordered[[*services]].astype(float)
    past = np.zeros(len(loss), dtype=bool) if limit is None else (loss > limit).to_numpy()
    ax = axes_for(ax, 1.4 + 0.36 * len(table))
    _draw_shocks(ax, loss, parts, past)
    if limit is not None:
        ax.axvline(limit, linewidth=1.4, label="limit", color=COLORS["risk"], linestyle=(0, (5, 2)))
    ax.axvline(0, color="#555555", linewidth=0.8)
    ends = np.maximum(loss, parts.clip(lower=0.0).sum(axis=1)).clip(lower=0.0)
    for y, (end, words) in enumerate(zip(ends, _beside_shocks(ordered, past), strict=True)):
        write_beside(ax, end, y, words, gap=7)
    ax.set_yticks(range(len(ordered)), [str(name) for name in ordered.index])
    ax.set_ylim(len(ordered) - 0.45, -0.55)
    dress(ax, f"Loss [{unit}]", "", subtitle=_shocks_in_words(loss, limit, unit), grid="x")
    amounts(ax.xaxis)
    room_beside(ax, min(float(ax.dataLim.x0), 0.0), max(float(ax.dataLim.x1), 0.0))
    return ax


def stacked(values: Floats) -> list[tuple[Floats, Floats]]:
    """The two edges of each column of `values` in a stack: what is positive upwards from zero, the rest downwards."""
    up, down = np.maximum(values, 0.0), np.minimum(values, 0.0)
    top, bottom = np.cumsum(up, axis=1), np.cumsum(down, axis=1)
    low, high = np.where(values >= 0, top - up, bottom), np.where(values >= 0, top, bottom - down)
    return [(low[:, i], high[:, i]) for i in range(values.shape[1])]


def area_style(look: Look) -> dict[str, Any]:
    """How the area or the bar of a service is filled."""
    return {"facecolor": look.color, "hatch": look.hatch, "edgecolor": "white", "linewidth": 0}


def date_words(day: pd.Timestamp) -> str:
    """A date as it is written in titles."""
    return f"{day.day} {day:%b %Y}"


def write_beside(ax: Any, x: float, y: float, text: str, gap: float = 5) -> None:
    """Words at the right of a point of the axes."""
    style = {"xytext": (gap, 0), "textcoords": "offset points", "va": "center", "fontsize": SMALL, "color": INK}
    ax.annotate(text, (x, y), bbox=CLEAR, parse_math=False, **style)


def room_beside(ax: Any, low: float, high: float) -> None:
    """Show what lies from `low` to `high`, with room for the words that stand at the right of points."""
    inches = ax.get_window_extent().width / ax.figure.dpi
    width = high - low or 1.0
    right = high + 0.02 * width
    for text in ax.texts:
        letters = (0.6 * SMALL * len(text.get_text()) + 14) / (72 * inches)
        right = max(right, low + (text.xy[0] - low) / (1 - min(letters, 0.7)))
    ax.set_xlim(low - (0.04 * width if low < 0 else 0.0), right)


def amounts(axis: Any) -> None:
    """Numbers on an axis of money: whole from 10,000 on, four digits below."""
    axis.set_major_formatter(lambda value, _: _amount(value))


def money(value: float) -> str:
    """An amount for a label: whole from 10 on, two digits below."""
    shown = f"{value:,.0f}" if abs(value) >= 9.95 or value == 0 else f"{value:.2g}"
    return shown.replace("-", "" if value == 0 else "\N{MINUS SIGN}")


def _amount(value: float) -> str:
    shown = f"{value:,.0f}" if abs(value) >= 9999.5 or value == 0 else f"{value:,.4g}"
    return shown.replace("-", "" if value == 0 else "\N{MINUS SIGN}")


def _spare_look(place: int) -> Look:
    """The spare look at a place: its colours come again after the last, then with another hatch and marker."""
    n = len(_SPARE)
    again, color = divmod(place, n)
    return Look(_SPARE[color].color, _SPARE[(color + again) % n].hatch, _SPARE[(color + again + again // n) % n].marker)


def require_finite(table: pd.DataFrame, what: str) -> None:
    """Refuse a table with a value that is not finite, naming the first one."""
    bad = ~np.isfinite(table.to_numpy(dtype=float))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        where = f"{what}['{table.columns[column]}'] is {table.iloc[row, column]} at {table.index[row]}"
        raise DataError(f"{where}: drop the row or set it to a finite number")


def _draw_attribution(ax: Any, services: pd.DataFrame, total: float) -> None:
    """For each service a bar of what it adds and below it one of what it loses by itself; the total last."""
    y = np.arange(len(services))
    contribution, hedge = services["contribution"].to_numpy(), (services["contribution"] < 0).to_numpy()
    hedging = {"color": COLORS["charge"], "hatch": "////", "edgecolor": "white", "linewidth": 0}
    for chosen, label, style in (
        (~hedge, "adds to the worst days", {"color": COLORS["risk"]}),
        (hedge, "hedges", hedging),
    ):
        if chosen.any():
            ax.barh(y[chosen] - 0.19, contribution[chosen], 0.36, label=label, **style)
    outline = {"facecolor": "#EFEFEF", "edgecolor": "#777777", "linewidth": 0.8}
    ax.barh(y + 0.19, services["standalone"], 0.36, label="by itself (total: sum of each alone)", **outline)
    earns = {"color": COLORS["stored"], "label": "total: the worst days still earn"}
    ax.barh(len(services) - 0.19, total, 0.36, **(earns if total < 0 else {"color": COLORS["risk"]}))
    ax.barh(len(services) + 0.19, services["standalone"].sum(), 0.36, **outline)
    style = {"linestyle": "none", "marker": "D", "markersize": 5, "color": INK, "markeredgecolor": "white"}
    ax.plot(services["incremental"], y - 0.19, label="the total falls by this without it", **style)


def _write_attribution(ax: Any, services: pd.DataFrame, total: float) -> None:
    """What each adds, with its share, right of the upper bar and its diamond; what it loses alone, of the lower one."""
    ends = services[["contribution", "incremental"]].max(axis=1).clip(lower=0.0)
    for y, (name, row) in enumerate(services.iterrows()):
        share = f" ({100 * row['share']:.0f} %)".replace("-", "\N{MINUS SIGN}") if total > 0 else ""
        write_beside(ax, ends[name], y - 0.19, money(row["contribution"]) + share, gap=7)
        write_beside(ax, max(row["standalone"], 0.0), y + 0.19, money(row["standalone"]), gap=7)
    alone = float(services["standalone"].sum())
    write_beside(ax, max(total, 0.0), len(services) - 0.19, money(total), gap=7)
    write_beside(ax, max(alone, 0.0), len(services) + 0.19, money(alone), gap=7)


def _drivers_in_words(services: pd.DataFrame, total: float, unit: str) -> str:
    name, driver = services.index[0], services.iloc[0]
    alone = float(services["standalone"].sum())
    apart = f"{money(total)} {unit} together, {money(alone)} {unit} one by one"
    if total < 0:
        apart = f"the worst days still earn {money(-total)} {unit}, one by one {money(-alone)} {unit}"
    if driver["contribution"] <= 0:
        return f"No service adds to the tail; {apart}"
    if total > 0:
        drives = f"{name} drives the tail with {100 * driver['share']:.0f} % of the loss"
    else:
        drives = f"{name} drives the tail with {money(driver['contribution'])} {unit}"
    hedges = [str(service) for service in services.index[services["contribution"] < 0]]
    who = f"{len(hedges)} others" if len(hedges) > 2 else " and ".join(hedges)
    verb = "hedges" if len(hedges) == 1 else "hedge"
    return f"{drives}{f', {who} {verb}' if hedges else ''}; {apart}"


def _check_stress(table: pd.DataFrame, services: Sequence[str]) -> None:
    require_columns(table, ["loss", *services], "the stress table")
    if table.empty:
        raise DataError("the stress table has no shocks: give it at least one")
    require_finite(table[["loss", *services]], "the stress table")
    if services:
        rest = (table["loss"] - table[[*services]].sum(axis=1)).abs()
        if (off := rest > 1e-6 * table["loss"].abs().max()).any():
            name = table.index[off][0]
            raise DataError(
                f"the services of shock '{name}' miss its loss by {rest[name]:g}: give each one's part of the loss"
            )


def _beside_shocks(ordered: pd.DataFrame, past: Flags) -> list[str]:
    """What stands beside each bar: the loss, its day where known, and whether it is past the limit."""
    days = [f" on {date_words(day)}" for day in ordered["date"]] if "date" in ordered else [""] * len(ordered)
    limits = [", past the limit" if is_past else "" for is_past in past]
    return [money(loss) + day + over for loss, day, over in zip(ordered["loss"], days, limits, strict=True)]


def _draw_shocks(ax: Any, loss: pd.Series, services: pd.DataFrame, past: Flags) -> None:
    """A bar a shock, or a stack of its services with the loss as a mark."""
    y = np.arange(len(loss))
    if services.empty:
        over = {"color": COLORS["risk"], "hatch": "////", "edgecolor": "white", "linewidth": 0}
        for chosen, style in ((~past, {"color": COLORS["stored"]}), (past, over)):
            ax.barh(y[chosen], loss.to_numpy()[chosen], 0.66, **style)
        return
    looks = service_looks(services.columns)
    for (low, high), (name, look) in zip(stacked(services.to_numpy()), looks.items(), strict=True):
        ax.barh(y, high - low, 0.66, left=low, label=name, **area_style(look))
    style = {"linestyle": "none", "marker": "D", "markersize": 6, "color": INK, "markeredgecolor": "white"}
    ax.plot(loss, y, label="loss", **style)


def _shocks_in_words(loss: pd.Series, limit: float | None, unit: str) -> str:
    shocks = loss.drop(_BASE, errors="ignore")
    if shocks.empty:
        return f"The base loses {money(float(loss.iloc[0]))} {unit}"
    base = f" (base {money(float(loss[_BASE]))} {unit})" if _BASE in loss.index else ""
    worst = f"{shocks.index[0]}, {money(float(shocks.iloc[0]))} {unit}{base}"
    if limit is None:
        return f"The worst of {len(shocks)} {'shock' if len(shocks) == 1 else 'shocks'}: {worst}"
    past = int((shocks > limit).sum())
    many = f"{past or 'None'} of {len(shocks)} {'shock' if len(shocks) == 1 else 'shocks'}"
    return f"{many} {'lose' if past > 1 else 'loses'} more than {money(limit)} {unit}; the worst, {worst}"
