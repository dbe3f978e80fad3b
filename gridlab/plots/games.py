"""Plots of games: who answers what with what, what a large battery withholds, and how a gain is shared."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.plots.services import amounts, money, require_finite
from gridlab.plots.style import (
    COLORS,
    SMALL,
    Floats,
    axes_for,
    date_axis,
    dress,
    line_styles,
    require_columns,
    step,
    zero_line,
)

_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "oo")


def plot_best_responses(
    payoff_row: ArrayLike,
    payoff_column: ArrayLike,
    *,
    strategies: Sequence[Any],
    equilibria: Sequence[tuple[Any, Any]] = (),
    players: tuple[str, str] = ("A", "B"),
    axis: str = "strategy",
    ax: Any = None,
) -> Any:
    """
    Best-response map of two players: what each does best against what the other does, over the sum of their payoffs.

    Equilibria in pure strategies are where both marks lie on one another; of a mixed one the strategies played are
    ringed, the larger the likelier.

    Parameters
    ----------
    payoff_row, payoff_column : array_like, shape (n, n)
        Payoffs of the two players; rows are the first player's strategies. [$]
    strategies : sequence
        What the strategies are called, in order, for both.
    equilibria : sequence of (x, y)
        Mixed strategies, as `gridlab.games.nash_equilibria` gives them.
    players : tuple of str
        The two names.
    axis : str
        What a strategy is, for the labels.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If the payoffs differ in shape, are not finite, or do not fit the strategies.

    Examples
    --------
    >>> A, B = [[3, 0], [5, 1]], [[3, 5], [0, 1]]
    >>> ax = plot_best_responses(A, B, strategies=["hold", "sell"], equilibria=[([0, 1], [0, 1])])
    >>> ax.get_title(loc="left")
    'One equilibrium: 2 $ together, where 6 $ were possible'
    """
    rows, columns = np.asarray(payoff_row, dtype=float), np.asarray(payoff_column, dtype=float)
    names = [str(strategy) for strategy in strategies]
    _check_payoffs(rows, columns, len(names))
    ax = axes_for(ax, 5.2)
    image = ax.imshow(rows + columns, cmap="Greys", origin="lower", aspect="auto", alpha=0.55)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.set_label("Both together [$]", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    amounts(bar.ax.yaxis)
    for marker, player, (y, x) in (
        (">", players[0], np.nonzero(_best(rows, axis=0))),
        ("^", players[1], np.nonzero(_best(columns, axis=1))),
    ):
        color = COLORS["forecast"] if marker == ">" else COLORS["discharge"]
        ax.plot(x, y, linestyle="none", marker=marker, color=color, markersize=7, label=f"best for {player}")
    for x_mixed, y_mixed in equilibria:
        _ring(ax, np.outer(x_mixed, y_mixed))
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    subtitle = _equilibria_in_words(rows + columns, equilibria)
    dress(ax, f"{players[1]}: {axis}", f"{players[0]}: {axis}", subtitle=subtitle, grid="both")
    ax.grid(visible=False)
    return ax


def plot_withholding(
    plans: Mapping[str, pd.DataFrame], *, column: str = "battery_mw", market_tz: str = "UTC", ax: Any = None
) -> Any:
    """
    The same battery under several plans: its power, or the price that its power makes.

    Parameters
    ----------
    plans : mapping of str to DataFrame
        By name, tables by time with `battery_mw` [MW] and `price` [$/MWh].
    column : {"battery_mw", "price"}
        What is drawn.
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
        If there is no plan, a plan lacks the column, or their times differ.

    Examples
    --------
    >>> from gridlab.schema import mock_schedule
    >>> plan = mock_schedule(days=1).assign(price=30.0)
    >>> plot_withholding({"price taker": plan, "strategic": plan.assign(battery_mw=0.5)}).get_ylabel()
    'Power into the grid [MW]'
    """
    if not plans:
        raise DataError("plans has no plan: give at least one")
    first = next(iter(plans.values()))
    for name, plan in plans.items():
        require_columns(plan, [column], f"the plan '{name}'")
        if not plan.index.equals(first.index):
            raise DataError(f"the plan '{name}' has other times than the first: plan the same window")
    ax = axes_for(ax)
    times = pd.DatetimeIndex(first.index)
    width = pd.Timedelta(times.freq) if times.freq is not None else times[1] - times[0]
    for name, line in line_styles(plans).items():
        style = {"color": line.color, "linestyle": line.linestyle, "linewidth": 1.6, "label": name}
        step(ax, times, plans[name][column], width, **style)
    zero_line(ax)
    ylabel = "Power into the grid [MW]" if column == "battery_mw" else "Price [$/MWh]"
    dress(ax, date_axis(ax, times, market_tz), ylabel)
    return ax


def plot_sharing(shares: pd.DataFrame, *, unit: str = "$", ax: Any = None) -> Any:
    """
    What each member gets of a common gain, by each rule of sharing.

    Parameters
    ----------
    shares : DataFrame
        Index: the members; a column a rule, such as `shapley` and `nucleolus`. [$]
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
        If there is no member or rule, or a value is not finite.

    Examples
    --------
    >>> shares = pd.DataFrame({"shapley": [4.0, 1.0, 1.0], "nucleolus": [6.0, 0.0, 0.0]}, index=["left", "r1", "r2"])
    >>> plot_sharing(shares).get_title(loc="left")
    '6 $ are shared; left gets most, 67 % by shapley and 100 % by nucleolus'
    """
    if shares.empty:
        raise DataError(f"shares needs a member and a rule, got shape {shares.shape}")
    require_finite(shares, "the shares")
    x, n = np.arange(len(shares)), len(shares.columns)
    ax = axes_for(ax)
    for i, (name, line) in enumerate(line_styles(shares.columns).items()):
        style = {"facecolor": line.color, "hatch": _HATCHES[i % len(_HATCHES)], "edgecolor": "white", "linewidth": 0}
        ax.bar(x + (i - (n - 1) / 2) * 0.8 / n, shares[name], 0.76 / n, label=name, **style)
    ax.set_xticks(x, [str(member) for member in shares.index])
    zero_line(ax)
    dress(ax, "", f"Share of the gain [{unit}]", subtitle=_shares_in_words(shares, unit))
    amounts(ax.yaxis)
    return ax


def plot_market_power(table: pd.DataFrame, *, xlabel: str = "Power of the battery [MW]", ax: Any = None) -> Any:
    """
    Profit against size, one line for each way of planning.

    Parameters
    ----------
    table : DataFrame
        Index: the size, in order; a column a way of planning: profit. [$]
    xlabel : str
        What the size is.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If there are fewer than two sizes, or a value is not finite.

    Examples
    --------
    >>> table = pd.DataFrame({"price taker": [9.0, 10.0], "strategic": [9.0, 15.0]}, index=[10.0, 100.0])
    >>> plot_market_power(table).get_title(loc="left")
    'At 100 MW strategic earns most, 15 $, and price taker least, 10 $'
    """
    if len(table) < 2:
        raise DataError(f"a profit by size needs two sizes, got {len(table)}")
    require_finite(table, "the profits")
    ax = axes_for(ax)
    for name, line in line_styles(table.columns).items():
        style = {"color": line.color, "linestyle": line.linestyle, "marker": line.marker, "markeredgecolor": "white"}
        ax.plot(table.index.to_numpy(float), table[name], label=name, **style)
    zero_line(ax)
    last = table.iloc[-1]
    said = f"At {money(float(table.index[-1]))} MW {last.idxmax()} earns most, {money(last.max())} $"
    said += f", and {last.idxmin()} least, {money(last.min())} $" if len(last) > 1 else ""
    dress(ax, xlabel, "Profit [$]", subtitle=said)
    amounts(ax.yaxis)
    return ax


def _check_payoffs(rows: Floats, columns: Floats, n: int) -> None:
    if rows.shape != (n, n) or columns.shape != (n, n):
        raise DataError(f"payoffs must be {n} x {n}, one for each strategy, got {rows.shape} and {columns.shape}")
    if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
        raise DataError("payoffs must be finite: leave out the strategies for which they are not known")


def _best(payoff: Floats, axis: int) -> Any:
    """Where a payoff is the greatest along an axis, to rounding."""
    return payoff >= payoff.max(axis=axis, keepdims=True) - 1e-9 * (np.ptp(payoff) or 1.0)


def _ring(ax: Any, chance: Floats) -> None:
    """A ring around each pair of strategies that is played, the larger the likelier."""
    y, x = np.nonzero(chance > 1e-9)
    ax.scatter(x, y, s=90 + 330 * chance[y, x], facecolors="none", edgecolors=COLORS["risk"], linewidths=1.6)


def _equilibria_in_words(together: Floats, equilibria: Sequence[tuple[Any, Any]]) -> str:
    most = f"where {money(float(together.max()))} $ were possible"
    if not len(equilibria):
        return f"Both together earn {money(float(together.max()))} $ at most"
    earned = [float(np.asarray(x) @ together @ np.asarray(y)) for x, y in equilibria]
    if len(earned) == 1:
        return f"One equilibrium: {money(earned[0])} $ together, {most}"
    return f"{len(earned)} equilibria: {money(min(earned))} to {money(max(earned))} $ together, {most}"


def _shares_in_words(shares: pd.DataFrame, unit: str) -> str:
    total, first = shares.sum(), shares.columns[0]
    if total[first] <= 0:
        return f"{money(float(total[first]))} {unit} are shared"
    most = shares[first].idxmax()
    parts = [
        f"{100 * shares.loc[most, rule] / total[rule]:.0f} % by {rule}" for rule in shares.columns if total[rule] > 0
    ]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"{money(float(total[first]))} {unit} are shared; {most} gets most, {listed}"
