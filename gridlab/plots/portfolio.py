"""Plots of how power is split between services: what the frontier earns, which weights earn it, and against 1/N."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.plots.services import (
    CLEAR,
    SERVICES,
    Flags,
    Look,
    amounts,
    area_style,
    money,
    require_finite,
    service_looks,
    stacked,
)
from gridlab.plots.style import COLORS, INK, SMALL, Floats, axes_for, date_axis, date_numbers, dress, require_columns

_EQUAL, _BENCHMARK, _TODAY = "1/N", "equal", "split today"
_REFERENCE = "only "  # how the name of a row begins that holds a single service
_NEGLIGIBLE = 1e-9  # of the greatest difference, below which there is none
_WHOLE = 1e-3  # from 1, within which weights sum to it
_DIFFERENCE = {"difference": "mean", "difference_low": "low", "difference_high": "high"}
_RULE_MARKERS = ("P", "X", "h", "8", "p", "d", "<", ">")
_RULE_FACES = (INK, "white", COLORS["gap"])
_NOT_WEIGHTS = ("mean", "risk")


def plot_frontier(
    frontier: pd.DataFrame,
    *,
    bands: pd.DataFrame | None = None,
    marks: pd.DataFrame | None = None,
    band_level: float | None = None,
    unit: str = "$/MW-day",
    risk_name: str = "standard deviation",
    ax: Any = None,
) -> Any:
    """
    Mean return against risk along the efficient frontier, its band, and where rules and single services lie.

    Parameters
    ----------
    frontier : DataFrame
        One row a point: `mean` and `risk`, as `gridlab.portfolio.frontier` gives them. [$/MW-day]
    bands : DataFrame, optional
        `risk`, and the `low` and `high` mean at it over resampled histories, drawn as an area, where they
        are not NaN, as `gridlab.portfolio.frontier_bands` gives them. [$/MW-day]
    marks : DataFrame, optional
        One row a portfolio to name, such as `1/N`, a rule or a single service: `risk` and `mean`. One named
        `split today` is drawn as a star. [$/MW-day]
    band_level : float, optional
        Share of the resampled histories inside the band, for its label. [-]
    unit : str
        Unit of mean and risk, for the labels.
    risk_name : str
        What the risk is, for the label.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing, the frontier has no points, a value is not finite, or a band ends below its beginning.

    Examples
    --------
    >>> frontier = pd.DataFrame({"mean": [20.0, 30.0], "risk": [10.0, 20.0], "hash": [0.0, 1.0], "energy": [1.0, 0.0]})
    >>> marks = pd.DataFrame({"risk": [15.0], "mean": [22.0]}, index=["1/N"])
    >>> plot_frontier(frontier, marks=marks).get_title(loc="left")
    'At the risk of 1/N, which earns 22 $/MW-day, the frontier earns 25'
    """
    curve = _checked_frontier(frontier)
    ax = axes_for(ax, 4.6)
    if bands is not None:
        _draw_band(ax, bands, band_level)
    ax.plot(curve["risk"], curve["mean"], color=INK, linewidth=1.9, label="efficient frontier")
    places = {}
    if marks is not None:
        require_columns(marks, ["risk", "mean"], "marks")
        require_finite(marks[["risk", "mean"]], "marks")
        marks = marks.rename(index={_BENCHMARK: _EQUAL})
        places = {str(name): (row["risk"], row["mean"]) for name, row in marks.iterrows()}
        _draw_portfolios(ax, places, _looks_of(places, frontier))
    ax.margins(x=0.08, y=0.1)
    dress(ax, f"Risk: {risk_name} [{unit}]", f"Mean return [{unit}]", subtitle=_frontier_in_words(curve, places, unit),
          grid="both")  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        amounts(axis)
    _name_places(ax, places, curve[["risk", "mean"]].to_numpy(float))
    return ax


def plot_frontier_weights(
    frontier: pd.DataFrame, *, unit: str = "$/MW-day", weight_unit: str = "-", ax: Any = None
) -> Any:
    """
    Which weights make each point of the frontier, stacked, from the least risk to the highest return.

    Parameters
    ----------
    frontier : DataFrame
        One row a point: `mean` and `risk` [$/MW-day], and a column a service with its weight [weight_unit]; negative
        weights are stacked below zero.
    unit : str
        Unit of the risk, for the label.
    weight_unit : str
        Unit of the weights, "MW" for instance; shares ("-") that sum to 1 are told in percent, others as they are.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing, there is no service, fewer than two points, or a value is not finite.

    Examples
    --------
    >>> frontier = pd.DataFrame({"mean": [20.0, 30.0], "risk": [10.0, 20.0], "hash": [0.2, 1.0], "energy": [0.8, 0.0]})
    >>> plot_frontier_weights(frontier).get_title(loc="left")
    'Least risk: energy 80 %, hash 20 %; highest return: hash 100 %'
    """
    curve = _checked_frontier(frontier)
    names = _services_of(frontier)
    if not names or curve["risk"].nunique() < 2:
        raise DataError(
            f"the frontier must have a service and two risks or more, got {len(names)} and {curve['risk'].nunique()}"
        )
    weights, risk = curve[names].astype(float), curve["risk"].to_numpy(float)
    looks = service_looks(names)
    ax = axes_for(ax)
    for (low, high), (name, look) in zip(stacked(weights.to_numpy()), looks.items(), strict=True):
        ax.fill_between(risk, low, high, label=name, **area_style(look))
    _frame_stack(ax, weights.to_numpy())
    shown = [weights.iloc[0], weights.iloc[int(np.argmax(curve["mean"]))]]
    ends = [_holds(point, weight_unit if not _are_shares(weights, weight_unit) else "%") for point in shown]
    words = f"Least risk: {ends[0]}; highest return: {ends[1]}"
    dress(ax, f"Risk of the point on the frontier [{unit}]", f"Weight [{weight_unit}]", subtitle=words)
    for axis in (ax.xaxis, ax.yaxis):
        amounts(axis)
    ax.set_xlim(risk[0], risk[-1])
    return ax


def plot_weights(weights: pd.DataFrame, *, market_tz: str = "UTC", unit: str = "-", ax: Any = None) -> Any:
    """
    Weights over time, stacked; each holds from its date to the next.

    Parameters
    ----------
    weights : DataFrame
        Index of dates, one column a service; negative weights are stacked below zero. [unit]
    market_tz : str
        Time zone of the dates, for the label.
    unit : str
        Unit of the weights, "MW" for instance; shares ("-") that sum to 1 are told in percent, others as they are.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If there are no dates or services, dates repeat or are not sorted, or a weight is not finite.

    Examples
    --------
    >>> dates = pd.date_range("2024-03-01", periods=3, freq="7D", name="date")
    >>> weights = pd.DataFrame({"energy": [0.5, 0.4, 0.4], "hash": [0.5, 0.6, 0.6]}, index=dates)
    >>> plot_weights(weights).get_title(loc="left")
    'hash holds most, 57 % on average; from one date to the next 5 % of the power moves'
    >>> plot_weights(100 * weights, unit="MW").get_title(loc="left")
    'hash holds most, 57 MW on average; from one date to the next 5 MW move'
    """
    _check_weights(weights)
    dates = pd.DatetimeIndex(weights.index)
    last_step = dates[-1] - dates[-2] if len(dates) > 1 else pd.Timedelta(days=1)
    edges = date_numbers(dates.append(dates[-1:] + last_step))
    table = weights.to_numpy(float)
    ax = axes_for(ax)
    for (low, high), (name, look) in zip(stacked(table), service_looks(weights.columns).items(), strict=True):
        ax.stairs(high, edges, baseline=low, fill=True, label=name, **area_style(look))
    _frame_stack(ax, table)
    label = date_axis(ax, dates, market_tz, "Date")
    dress(ax, label, f"Weight [{unit}]", subtitle=_moves_in_words(weights.astype(float), unit))
    amounts(ax.yaxis)
    ax.set_xlim(edges[0], edges[-1])
    return ax


def plot_allocations(table: pd.DataFrame, *, level: float = 0.95, unit: str = "$/MW-day", ax: Any = None) -> Any:
    """
    What each rule earned more than 1/N, a dot with its confidence interval; the best on top.

    The dot is filled where the interval does not hold zero: there the difference is more than chance. Rows named
    `only` and a service are no rules but references, drawn in grey below a thin line and not counted in the title.

    Parameters
    ----------
    table : DataFrame
        One row a rule: `mean`, `low` and `high` of the difference to 1/N [$/MW-day], and, where known, `cvar` of the
        rule's daily loss, written at the right. Or as `gridlab.portfolio.compare_allocations` gives it: then the
        difference is `difference`, `difference_low` and `difference_high`, and `mean` is not read. A skewed interval
        need not hold its mean; one that is NaN is left out. A difference below 1e-9 of the greatest counts as zero.
    level : float
        Confidence level of the interval, for the label. [-]
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
        If a column is missing, there are no rules, a value is not finite, or an interval ends before it begins.

    Examples
    --------
    >>> table = pd.DataFrame({"mean": [1.0, 4.0], "low": [-1.0, 2.0], "high": [3.0, 6.0]}, index=["hash", "min_cvar"])
    >>> plot_allocations(table).get_title(loc="left")
    '1 of 2 rules earned more than 1/N, beyond chance; best min_cvar, +4.0 $/MW-day'
    """
    if "difference" in table:
        table = table.drop(columns="mean", errors="ignore").rename(columns=_DIFFERENCE)
    table = table.rename(index={_BENCHMARK: _EQUAL})
    require_columns(table, ["mean", "low", "high"], "the table of allocations")
    if table.empty:
        raise DataError("the table of allocations has no rules: give it at least one")
    require_finite(table[[column for column in ("mean", "cvar") if column in table]], "the table of allocations")
    if (turned := table["low"] > table["high"]).any():
        raise DataError(f"the interval of '{table.index[turned][0]}' ends before it begins: swap low and high")
    ordered, alone = _rules_first(_without_rounding(table))
    ax = axes_for(ax, 1.5 + 0.38 * len(table))
    ax.axvline(0, color=INK, linewidth=1.2)
    _draw_differences(ax, ordered, alone)
    ax.set_yticks(range(len(ordered)), [str(name) for name in ordered.index])
    ax.set_ylim(len(ordered) - 0.45, -0.6)
    ax.margins(x=0.08)
    _write_tail(ax, ordered, unit)
    xlabel = f"Mean return less that of 1/N, with its {100 * level:.4g} % confidence interval [{unit}]"
    dress(ax, xlabel, "", subtitle=_rules_in_words(ordered[~alone], unit), grid="x")
    amounts(ax.xaxis)
    return ax


def _services_of(frontier: pd.DataFrame) -> list[str]:
    return [column for column in frontier.columns if column not in _NOT_WEIGHTS]


def _looks_of(places: Mapping[str, Any], frontier: pd.DataFrame) -> dict[str, Look]:
    """How the services among the marks are drawn: those of the frontier and those known by name."""
    held = _services_of(frontier)
    return service_looks([*held, *(name for name in places if name.lower() in SERVICES and name not in held)])


def _checked_frontier(frontier: pd.DataFrame) -> pd.DataFrame:
    """The frontier from the least risk to the greatest."""
    require_columns(frontier, _NOT_WEIGHTS, "the frontier")
    if frontier.empty:
        raise DataError("the frontier has no points: give it at least one")
    require_finite(frontier, "the frontier")
    return frontier.sort_values(["risk", "mean"], kind="stable")


def _check_weights(weights: pd.DataFrame) -> None:
    if weights.empty:
        raise DataError("weights has no dates or no services: give it at least one of each")
    index = weights.index
    if not isinstance(index, pd.DatetimeIndex) or not index.is_monotonic_increasing or not index.is_unique:
        raise DataError(
            f"weights must be indexed by dates that rise, none twice, from {index[0]} on: sort and merge them"
        )
    require_finite(weights, "weights")


def _draw_band(ax: Any, bands: pd.DataFrame, band_level: float | None) -> None:
    require_columns(bands, ["risk", "low", "high"], "bands")
    require_finite(bands[["risk"]], "bands")
    if (turned := bands["low"] > bands["high"]).any():
        raise DataError(
            f"the band at risk {bands['risk'][turned].iloc[0]:g} ends below its beginning: swap low and high"
        )
    share = "band" if band_level is None else f"{100 * band_level:.4g} %"
    ordered = bands.sort_values("risk", kind="stable")
    style = {"color": COLORS["gap"], "alpha": 0.45, "linewidth": 0, "label": f"{share} of resampled histories"}
    ax.fill_between(ordered["risk"], ordered["low"], ordered["high"], **style)


def _draw_portfolios(ax: Any, places: Mapping[str, tuple[float, float]], looks: Mapping[str, Look]) -> None:
    """A marker a portfolio: services as drawn everywhere, today's split a star, rules each of a shape of its own."""
    rules = [name for name in places if name not in looks and name != _TODAY]
    styles = {name: (look.marker, look.color, 8) for name, look in looks.items()}
    for place, name in enumerate(rules):
        again, shape = divmod(place, len(_RULE_MARKERS))
        styles[name] = (_RULE_MARKERS[shape], _RULE_FACES[again % len(_RULE_FACES)], 8)
    styles[_TODAY] = ("*", COLORS["extreme"], 15)
    for name, (risk, mean) in places.items():
        marker, face, size = styles[name]
        ax.plot(risk, mean, marker=marker, color=face, markeredgecolor=INK, markersize=size, linestyle="none", zorder=4)


def _name_places(ax: Any, places: Mapping[str, tuple[float, float]], curve: Floats) -> None:
    """Each portfolio's name beside its marker, where it covers no other name, marker or the curve."""
    if not places:
        return
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())
    marks = _in_points(ax, np.array(list(places.values()), dtype=float))
    risk, mean = curve.T
    along = np.linspace(risk.min(), risk.max(), 200)
    line = _in_points(ax, np.column_stack([along, np.interp(along, risk, mean)]))
    whole = np.array([*_in_points(ax, np.array([[ax.get_xlim()[1], ax.get_ylim()[1]]]))[0]])
    taken = [np.array([x - 5, y - 5, x + 5, y + 5]) for x, y in marks]
    for (name, place), mark in zip(places.items(), marks, strict=True):
        size = np.array([0.58 * SMALL * len(name) + 2, 1.35 * SMALL])
        offset, box = _free_offset(mark, size, taken, line, whole)
        taken.append(box)
        arrow = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.6, "shrinkB": 4} if abs(offset[1]) > 15 else None
        ax.annotate(name, place, xytext=tuple(offset), textcoords="offset points", ha="center", va="center",
                    fontsize=SMALL, color=INK, arrowprops=arrow, bbox=CLEAR, zorder=5, parse_math=False)  # fmt: skip


def _in_points(ax: Any, places: Floats) -> Floats:
    """Places on the axes, in points from its lower left corner."""
    corner = ax.transAxes.transform([0.0, 0.0])
    return np.asarray((ax.transData.transform(places) - corner) * 72 / ax.figure.dpi)


def _free_offset(mark: Floats, size: Floats, taken: list[Floats], line: Floats, whole: Floats) -> tuple[Floats, Floats]:
    """The nearest place for the middle of a name that covers least, and the box it fills there."""
    offsets = [np.array([right * (size[0] / 2 + 7), 0.0]) for right in (1, -1)]
    for ring, (right, up) in product(range(9), ((0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))):
        away = 11 + 11 * ring
        offsets.append(np.array([right * (size[0] / 2 + 0.6 * away), up * away]))
    boxes = [np.concatenate([mark + offset - size / 2, mark + offset + size / 2]) for offset in offsets]
    costs = [
        _covered(box, taken, line, whole) + 0.02 * np.hypot(*offset) for box, offset in zip(boxes, offsets, strict=True)
    ]
    nearest = int(np.argmin(costs))
    return offsets[nearest], boxes[nearest]


def _covered(box: Floats, taken: list[Floats], line: Floats, whole: Floats) -> float:
    """How bad a place for words is: over others, outside the axes, over the curve."""
    low, high = box[:2], box[2:]
    words = sum(bool((low < other[2:]).all() and (high > other[:2]).all()) for other in taken)
    outside = bool((low < 0).any() or (high > whole).any())
    crossed = bool(((line > low) & (line < high)).all(axis=1).any())
    return 10 * words + 10 * outside + 6 * crossed


def _frontier_in_words(curve: pd.DataFrame, places: Mapping[str, tuple[float, float]], unit: str) -> str:
    risk, mean = curve["risk"].to_numpy(float), curve["mean"].to_numpy(float)
    if _EQUAL not in places or not risk[0] <= places[_EQUAL][0] <= risk[-1]:
        ends = (f"{money(mean[i])} {unit} at a risk of {money(risk[i])}" for i in (0, -1))
        return f"The frontier goes from {' to '.join(ends)}"
    at, earned = places[_EQUAL]
    could = money(float(np.interp(at, risk, mean)))
    return f"At the risk of {_EQUAL}, which earns {money(earned)} {unit}, the frontier earns {could}"


def _frame_stack(ax: Any, weights: Floats) -> None:
    """Room from the deepest stack to the tallest, and zero where weights pass it."""
    low, high = np.minimum(weights, 0.0).sum(axis=1).min(), np.maximum(weights, 0.0).sum(axis=1).max()
    low = low if low < -1e-6 else 0.0
    ax.set_ylim(low, high if high > low else low + 1)
    if low < 0:
        ax.axhline(0, color=INK, linewidth=1.0)


def _are_shares(weights: pd.DataFrame, unit: str) -> bool:
    """Whether weights are parts of a whole, so that percent say what they are."""
    return unit == "-" and bool((np.abs(weights.sum(axis=1) - 1) <= _WHOLE).all())


def _held(weight: float, unit: str) -> str:
    """A weight in words: a share in percent, anything else as it is."""
    if unit == "%":
        return f"{100 * weight:.0f} %".replace("-", "\N{MINUS SIGN}")
    return money(weight) if unit == "-" else f"{money(weight)} {unit}"


def _holds(weights: pd.Series, unit: str) -> str:
    """The greatest weights in words, up to three of them."""
    greatest = weights[weights.abs() >= max(0.015 * weights.abs().sum(), 1e-12)]
    if greatest.empty:
        return "nothing"
    ordered = greatest.sort_values(ascending=False, kind="stable")
    said = [f"{name} {_held(weight, unit)}" for name, weight in ordered.items()]
    return ", ".join(said[:3]) + (" and others" if len(said) > 3 else "")


def _moves_in_words(weights: pd.DataFrame, unit: str) -> str:
    shares = _are_shares(weights, unit)
    mean = weights.mean().sort_values(ascending=False, kind="stable")
    most = f"{mean.index[0]} holds most, {_held(mean.iloc[0], '%' if shares else unit)} on average"
    if len(weights) == 1:
        return most
    moved = float(weights.diff().iloc[1:].abs().sum(axis=1).mean() / 2)
    moves = f"{100 * moved:.2g} % of the power moves" if shares else f"{_held(moved, unit)} move"
    return f"{most}; from one date to the next {moves}"


def _without_rounding(table: pd.DataFrame) -> pd.DataFrame:
    """The table with differences that are rounding set to zero, which their intervals then hold."""
    none = table["mean"].abs() <= _NEGLIGIBLE * table["mean"].abs().max()
    low, high = table["low"].mask(none, table["low"].clip(upper=0.0)), table["high"].mask(none, table["high"].clip(0.0))
    return table.assign(mean=table["mean"].mask(none, 0.0), low=low, high=high)


def _rules_first(table: pd.DataFrame) -> tuple[pd.DataFrame, Flags]:
    """Rules and below them the single services, each with the best on top; and which rows are the latter."""
    ordered = table.sort_values("mean", ascending=False, kind="stable")
    alone = np.array([str(name).startswith(_REFERENCE) for name in ordered.index], dtype=bool)
    return pd.concat([ordered[~alone], ordered[alone]]), np.sort(alone)


def _draw_differences(ax: Any, ordered: pd.DataFrame, alone: Flags) -> None:
    """A dot with its interval a rule, hollow where the interval holds zero; single services in grey below a line."""
    y = np.arange(len(ordered))
    low, mean, high = (ordered[column].to_numpy(float) for column in ("low", "mean", "high"))
    sure = (low > 0) | (high < 0)
    if alone.any() and not alone.all():
        ax.axhline(np.flatnonzero(alone)[0] - 0.5, color="#888888", linewidth=0.8)
    ax.hlines(y, low, high, color=COLORS["stored"], linewidth=1.8)
    ax.plot(np.concatenate([low, high]), [*y, *y], linestyle="none", marker="|", color=COLORS["stored"], markersize=9)
    style = {"linestyle": "none", "marker": "o", "markersize": 7, "zorder": 3}
    for chosen, label, edge, face in (
        (sure & ~alone, "more than chance", COLORS["forecast"], COLORS["forecast"]),
        (~sure & ~alone, "no more than chance", COLORS["forecast"], "white"),
        (alone, "one service alone, for reference", "#777777", "white"),
    ):
        if chosen.any():
            ax.plot(mean[chosen], y[chosen], color=edge, markerfacecolor=face, label=label, **style)
    above = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": SMALL, "color": INK}
    for at, value in zip(y, mean, strict=True):
        ax.annotate(_signed(value), (value, at), bbox=CLEAR, zorder=2.5, **above)


def _write_tail(ax: Any, ordered: pd.DataFrame, unit: str) -> None:
    """The CVaR of each rule in a column at the right."""
    if "cvar" not in ordered:
        return
    style = {"xycoords": ("axes fraction", "data"), "va": "center", "ha": "right", "fontsize": SMALL, "color": INK}
    for y, value in enumerate(ordered["cvar"]):
        ax.annotate(money(value), (1.1, y), annotation_clip=False, **style)
    head = {"xycoords": "axes fraction", "va": "bottom", "ha": "right", "fontsize": SMALL, "color": "#444444"}
    ax.annotate(f"CVaR\n[{unit}]", (1.1, 1.01), **head)


def _rules_in_words(ordered: pd.DataFrame, unit: str) -> str:
    rules = ordered.drop(_EQUAL, errors="ignore")
    if rules.empty:
        return f"No rule beside {_EQUAL}"
    more, less = int((rules["low"] > 0).sum()), int((rules["high"] < 0).sum())
    many = f"{more or 'None'} of {len(rules)} {'rule' if len(rules) == 1 else 'rules'}"
    best = f"{rules.index[0]}, {_signed(float(rules['mean'].iloc[0]))} {unit}"
    return f"{many} earned more than {_EQUAL}, beyond chance{f', {less} less' if less else ''}; best {best}"


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{value:+,.2g}".replace("-", "\N{MINUS SIGN}") if abs(value) < 0.95 else _plus(value)


def _plus(value: float) -> str:
    return (f"{value:+,.1f}" if abs(value) < 9.95 else f"{value:+,.0f}").replace("-", "\N{MINUS SIGN}")
