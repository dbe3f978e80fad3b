"""Plots of auctions: who wins, at what price, what a payment is made of, and what another bid would have earned."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.plots.services import amounts, area_style, money, require_finite, room_beside, service_looks, write_beside
from gridlab.plots.style import COLORS, INK, Floats, axes_for, dress, line_styles, require_columns, zero_line

_LOST = {"alpha": 0.35}
_PARTS = {
    "surplus": {"facecolor": COLORS["charge"], "hatch": "....", "edgecolor": "white", "linewidth": 0},
    "revenue": {"facecolor": COLORS["discharge"], "edgecolor": "white", "linewidth": 0},
}


def plot_merit_order(
    bids: pd.DataFrame,
    awards: pd.DataFrame | None = None,
    *,
    capacity_mw: float,
    price: float | None = None,
    ax: Any = None,
) -> Any:
    """
    Bids for capacity, the dearest first: what wins lies left of the capacity, what loses is pale.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of one time; quantities are wanted, positive. [MW, $/MWh]
    awards : DataFrame, optional
        The same rows with what was awarded. When omitted, what lies left of the capacity is drawn as won.
    capacity_mw : float
        Power on sale. [MW]
    price : float, optional
        Clearing price, drawn as a line. [$/MWh]
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing, there is no bid, the bids are of several times, or a value is not finite.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[2.0, 1.0, 2.0], price=[10.0, 50.0, 30.0])
    >>> plot_merit_order(bids, capacity_mw=2.5, price=30.0).get_title(loc="left")
    '2 of 3 bidders win 2.5 of the 5 MW they want; one more MWh would be worth 30 $'
    """
    _check_curve(bids)
    won = np.minimum(_left_of(bids, capacity_mw), bids["quantity_mw"]) if awards is None else awards["quantity_mw"]
    table = bids.assign(won=np.asarray(won, dtype=float)).sort_values("price", ascending=False, kind="stable")
    ax = axes_for(ax)
    for service, look in service_looks(pd.unique(table["service"])).items():
        _draw_segments(ax, table, (table["service"] == service).to_numpy(), str(service), look)
    ax.axvline(capacity_mw, color=INK, linewidth=1.2, linestyle=(0, (5, 2)), label="capacity")
    if price is not None and np.isfinite(price):
        ax.axhline(price, color=COLORS["risk"], linewidth=1.2, label="clearing price")
    zero_line(ax)
    ax.set_xlim(0, 1.02 * max(float(table["quantity_mw"].sum()), capacity_mw))
    dress(ax, "Power [MW]", "Bid [$/MWh]", subtitle=_winners_in_words(table, price))
    return ax


def plot_supply_demand(bids: pd.DataFrame, *, price: float | None = None, ax: Any = None) -> Any:
    """
    Supply and demand of a market with two sides, as steps, and the price at which they meet.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of one time; offered is positive, wanted negative. Bids at infinite prices are drawn to the edge
        of the others. [MW, $/MWh]
    price : float, optional
        Clearing price; NaN is none. [$/MWh]
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing, there is no bid, the bids are of several times, or all prices are infinite.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[3.0, -4.0, 2.0], price=[10.0, 50.0, 30.0])
    >>> plot_supply_demand(bids, price=30.0).get_title(loc="left")
    '5 MW are offered and 4 MW are wanted; they meet at 30 $/MWh'
    """
    _check_curve(bids.assign(price=bids["price"].replace([np.inf, -np.inf], 0.0)))
    quantity, limit = bids["quantity_mw"].to_numpy(float), bids["price"].to_numpy(float)
    shown = limit[np.isfinite(limit)]
    if not len(shown):
        raise DataError("all bids are at infinite prices: give at least one a price to draw a curve")
    room = 0.08 * (np.ptp(shown) or abs(shown[0]) or 1.0)
    limit = np.clip(limit, shown.min() - room, shown.max() + room)
    ax = axes_for(ax)
    for chosen, order, label, color in (
        (quantity > 0, 1.0, "supply", COLORS["discharge"]),
        (quantity < 0, -1.0, "demand", COLORS["forecast"]),
    ):
        if chosen.any():
            _draw_curve(ax, np.abs(quantity[chosen]), limit[chosen], order, label=label, color=color)
    meets = price is not None and np.isfinite(price)
    if meets:
        ax.axhline(price, color=COLORS["risk"], linewidth=1.0, linestyle=(0, (5, 2)), label="clearing price")
    zero_line(ax)
    ax.set_xlim(left=0)
    offered, wanted = quantity[quantity > 0].sum(), -quantity[quantity < 0].sum()
    end = f"they meet at {money(price)} $/MWh" if price is not None and meets else "nothing is traded"
    said = f"{offered:,.4g} MW are offered and {wanted:,.4g} MW are wanted; {end}"
    dress(ax, "Power [MW]", "Price [$/MWh]", subtitle=said)
    return ax


def plot_payment(explained: pd.DataFrame, *, bidder: str, value: float, ax: Any = None) -> Any:
    """
    A winner's payment as a waterfall: from what its award is worth, less what each whom it displaced would have had.

    Parameters
    ----------
    explained : DataFrame
        One row for each bidder displaced: `bidder`, `displaced` and `amount`, as `gridlab.auctions.explain_vcg` gives
        it. [$]
    bidder : str
        The winner.
    value : float
        What its award is worth to it. [$]
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing or a value is not finite.

    Examples
    --------
    >>> explained = pd.DataFrame({"bidder": "A", "displaced": ["C", "D", "D"], "amount": [75.0, 85.0, 65.0]})
    >>> plot_payment(explained, bidder="A", value=339.0).get_title(loc="left")
    'A wins what is worth 339 $ and pays 225 $, the greatest part for displacing D; 114 $ are left'
    """
    require_columns(explained, ["bidder", "displaced", "amount"], "the explanation")
    mine = explained[explained["bidder"] == bidder]
    require_finite(mine[["amount"]].assign(value=value), "the explanation")
    parts = mine.groupby("displaced", sort=False)["amount"].sum().sort_values(ascending=False, kind="stable")
    ends = value - np.concatenate([[0.0], parts.cumsum()])
    ax = axes_for(ax, 1.6 + 0.36 * (len(parts) + 2))
    ax.barh(0, value, 0.66, color=COLORS["stored"])
    ax.barh(np.arange(len(parts)) + 1, -parts.to_numpy(), 0.66, left=ends[:-1], **_PARTS["revenue"])
    ax.barh(len(parts) + 1, ends[-1], 0.66, **_PARTS["surplus"])
    for y, (x, amount) in enumerate(zip([value, *ends[:-1], ends[-1]], [value, *-parts, ends[-1]], strict=True)):
        write_beside(ax, max(x, 0.0), y, money(float(amount)), gap=6)
    ax.set_yticks(
        range(len(parts) + 2), ["worth of the award", *(f"displaces {name}" for name in parts.index), "surplus"]
    )
    ax.set_ylim(len(parts) + 1.55, -0.55)
    ax.axvline(0, color="#555555", linewidth=0.8)
    dress(ax, "$", "", subtitle=_payment_in_words(bidder, value, parts), grid="x")
    amounts(ax.xaxis)
    room_beside(ax, min(float(ax.dataLim.x0), 0.0), max(float(ax.dataLim.x1), 0.0))
    return ax


def plot_mechanisms(table: pd.DataFrame, *, unit: str = "$", ax: Any = None) -> Any:
    """
    How each mechanism divides the welfare between the auction and the bidders.

    Parameters
    ----------
    table : DataFrame
        One row a mechanism: `welfare` and `revenue`; what is left of the welfare is the bidders'. [$]
    unit : str
        Unit of the table, for the labels.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If a column is missing, there is no row, or a value is not finite.

    Examples
    --------
    >>> table = pd.DataFrame({"welfare": [9.0, 9.0], "revenue": [4.0, 5.0]}, index=["vcg", "uniform"])
    >>> plot_mechanisms(table).get_title(loc="left")
    'By uniform the auction keeps most, 5 $ of 9 $'
    """
    require_columns(table, ["welfare", "revenue"], "the mechanisms")
    if table.empty:
        raise DataError("the mechanisms have no rows: give at least one")
    require_finite(table[["welfare", "revenue"]], "the mechanisms")
    welfare, revenue = table["welfare"].to_numpy(float), table["revenue"].to_numpy(float)
    y = np.arange(len(table))
    ax = axes_for(ax, 1.5 + 0.42 * len(table))
    ax.barh(y, revenue, 0.62, label="kept by the auction", **_PARTS["revenue"])
    ax.barh(y, welfare - revenue, 0.62, left=revenue, label="left to the bidders", **_PARTS["surplus"])
    for i in range(len(table)):
        write_beside(ax, max(welfare[i], revenue[i], 0.0), i, f"{money(revenue[i])} of {money(welfare[i])}", gap=6)
    ax.set_yticks(y, [str(name) for name in table.index])
    ax.set_ylim(len(table) - 0.45, -0.55)
    ax.axvline(0, color="#555555", linewidth=0.8)
    best = int(np.argmax(revenue))
    said = (
        f"By {table.index[best]} the auction keeps most, {money(revenue[best])} {unit} of {money(welfare[best])} {unit}"
    )
    dress(ax, f"Welfare [{unit}]", "", subtitle=said, grid="x")
    amounts(ax.xaxis)
    room_beside(ax, min(float(ax.dataLim.x0), 0.0), max(float(ax.dataLim.x1), 0.0))
    return ax


def plot_misreports(surplus: pd.DataFrame, *, bidder: str, ax: Any = None) -> Any:
    """
    What a bidder keeps when it states more or less than its values, under each mechanism.

    Parameters
    ----------
    surplus : DataFrame
        Index: what is stated over the true value, in order; a column a mechanism, the bidder's surplus in true values.
        [$]
    bidder : str
        Who bids, for the title.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If there are fewer than two rows, no mechanism, or a value is not finite.

    Examples
    --------
    >>> surplus = pd.DataFrame({"vcg": [3.0, 4.0, 4.0], "pay as bid": [3.0, 1.0, 0.0]}, index=[0.5, 0.8, 1.0])
    >>> plot_misreports(surplus, bidder="A").get_title(loc="left")
    'The truth is best for A under vcg; under pay as bid it keeps 3 $ more at 0.5 of it'
    """
    if len(surplus) < 2 or not len(surplus.columns):
        raise DataError(f"surplus needs two rows and a mechanism, got shape {surplus.shape}: state several bids")
    require_finite(surplus, "the surplus")
    stated = surplus.index.to_numpy(float)
    ax = axes_for(ax)
    for name, line in line_styles(surplus.columns).items():
        kept = surplus[name].to_numpy(float)
        best = _nearest_best(stated, kept)
        ax.plot(stated, kept, color=line.color, linestyle=line.linestyle, label=name)
        ax.plot(stated[best], kept[best], color=line.color, marker=line.marker, markersize=7, markeredgecolor="white")
    ax.axvline(1.0, color=INK, linewidth=0.8, linestyle=(0, (5, 2)))
    zero_line(ax)
    subtitle = _misreports_in_words(surplus, bidder)
    dress(ax, "Stated over true value [-]", "Surplus [$]", subtitle=subtitle)
    amounts(ax.yaxis)
    return ax


def _check_curve(bids: pd.DataFrame) -> None:
    require_columns(bids, ["time", "bidder", "service", "quantity_mw", "price"], "the bids")
    if bids.empty:
        raise DataError("the bids have no rows: give at least one")
    times = bids["time"].unique()
    if len(times) > 1:
        raise DataError(f"the bids are of {len(times)} times: take those of one")
    require_finite(bids[["quantity_mw", "price"]], "the bids")


def _left_of(bids: pd.DataFrame, capacity_mw: float) -> Floats:
    """How much of the capacity is left when each bid's turn comes, the dearest first. [MW]"""
    order = np.argsort(-bids["price"].to_numpy(float), kind="stable")
    left = np.empty(len(bids))
    left[order] = capacity_mw - np.r_[0.0, np.cumsum(bids["quantity_mw"].to_numpy(float)[order])[:-1]]
    return np.maximum(left, 0.0)


def _draw_segments(ax: Any, table: pd.DataFrame, chosen: Any, label: str, look: Any) -> None:
    """A service's bids as bars as wide as their power; of each the part that lost is pale."""
    width, won = table["quantity_mw"].to_numpy(float), table["won"].to_numpy(float)
    start, height = np.r_[0.0, np.cumsum(width)[:-1]], table["price"].to_numpy(float)
    style = {"align": "edge", **area_style(look)}
    ax.bar(start[chosen], height[chosen], won[chosen], label=label, **style)
    ax.bar((start + won)[chosen], height[chosen], (width - won)[chosen], **style, **_LOST)


def _draw_curve(ax: Any, quantity: Floats, limit: Floats, order: float, **style: Any) -> None:
    """One side's steps, the best price first."""
    rank = np.argsort(order * limit, kind="stable")
    edges = np.r_[0.0, np.cumsum(quantity[rank])]
    ax.stairs(limit[rank], edges, baseline=None, linewidth=1.6, **style)


def _winners_in_words(table: pd.DataFrame, price: float | None) -> str:
    won = table.groupby("bidder")["won"].sum()
    winners, n = int((won > 0).sum()), len(won)
    total = float(table["quantity_mw"].sum())
    worth = f"; one more MWh would be worth {money(price)} $" if price is not None and np.isfinite(price) else ""
    verb = "wins" if winners == 1 else "win"
    return f"{winners} of {n} bidders {verb} {won.sum():,.4g} of the {total:,.4g} MW they want{worth}"


def _payment_in_words(bidder: str, value: float, parts: pd.Series) -> str:
    paid = float(parts.sum())
    most = f", the greatest part for displacing {parts.index[0]}" if len(parts) > 1 else ""
    most = f", for displacing {parts.index[0]}" if len(parts) == 1 else most
    return f"{bidder} wins what is worth {money(value)} $ and pays {money(paid)} $" + (
        f"{most if paid > 0 else ''}; {money(value - paid)} $ are left"
    )


def _nearest_best(stated: Floats, kept: Floats) -> int:
    """Of the stated bids that keep most the one nearest to the truth."""
    best = kept >= kept.max() - 1e-9 * max(1.0, float(np.abs(kept).max()))
    return int(np.argmin(np.where(best, np.abs(stated - 1), np.inf)))


def _misreports_in_words(surplus: pd.DataFrame, bidder: str) -> str:
    stated = surplus.index.to_numpy(float)
    truth = int(np.argmin(np.abs(stated - 1)))
    best = {name: _nearest_best(stated, surplus[name].to_numpy(float)) for name in surplus.columns}
    gain = {name: float(surplus[name].iloc[at] - surplus[name].iloc[truth]) for name, at in best.items()}
    honest = [str(name) for name, at in best.items() if at == truth]
    said = (
        f"The truth is best for {bidder} under {_listed(honest)}" if honest else f"The truth is never best for {bidder}"
    )
    if len(honest) == len(best):
        return said
    most = max(gain, key=lambda name: gain[name])
    return f"{said}; under {most} it keeps {money(gain[most])} $ more at {stated[best[most]]:.2g} of it"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
