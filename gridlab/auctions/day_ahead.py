"""Markets of a day ahead: hourly steps and blocks over several hours, cleared at one price for each hour."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from gridlab.auctions.clearing import Clearing, clearing_of, require_cleared
from gridlab.auctions.crossing import award, between, clearing_interval, curves
from gridlab.auctions.day_ahead_orders import Flags, Floats, Orders, read_orders
from gridlab.auctions.day_ahead_programme import TOLERANCE, Best, Programme, require_time


class WelfareGivenUp(NamedTuple):
    """
    What uniform prices and whole blocks cost.

    Parameters
    ----------
    cleared : float
        Welfare of the clearing. [$]
    unpriced : float
        Greatest welfare when no prices need support the choice of blocks. [$]
    divisible : float
        Greatest welfare when, besides, every block may be accepted to any share. [$]
    """

    cleared: float
    unpriced: float
    divisible: float


def clear_day_ahead(
    bids: pd.DataFrame,
    *,
    step_hours: float = 1.0,
    floor: float | None = None,
    cap: float | None = None,
    time_limit_s: float = math.inf,
) -> Clearing:
    r"""
    Clear hourly orders and block orders of two sides together, for the most welfare that uniform prices support.

    A row without a block is an hourly order: at the price of its time it is accepted whole where that is better than
    its limit, to any share where equal, and not at all where worse. The rows of a block are accepted to one share.
    Of all choices of blocks for which there are prices, one for each time, between `floor` and `cap`, such that

    - the hourly orders that the prices accept balance the blocks at each time,
    - no accepted block loses money, ``sum(quantity_mw * (price - limit)) >= 0``, unless accepted children of it earn as
      much (a loss may be carried by children, never by a parent), and
    - a block accepted in part is exactly at the money,

    the one with the most welfare is found, by the primal-dual programme of Madani and Van Vyve [1]_ in HiGHS, to a
    relative gap of 0. A block that would gain may be rejected: see `paradoxical_blocks` and `welfare_given_up`. Where
    the choice leaves the prices open they are as near as can be (least squares) to the middle of the interval that the
    hourly orders leave at each time (its end where the other is `floor` or `cap`), so that without blocks the clearing
    is that of ``clear_double(rule="uniform")``. Among choices of the same welfare the solver's first is taken, in an
    order that does not depend on that of the rows. Powers that differ by 1e-9 of the power traded count as equal.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of one service with finite prices; a quantity is offered (positive) or wanted (negative).
        Optional columns: `block` (name of the row's block among those of its bidder; empty or NaN for an hourly row),
        `minimum_share` (least share of the block if it is accepted; 1 when missing: all or nothing), `parent` (name of
        a block of the bidder without which this one is not accepted, nor to a greater share) and `exclusive_group`
        (name of a group of blocks of the bidder of which one at most is accepted). The last three are empty or NaN for
        an hourly row, which is accepted to any share. A block has one limit price; its rows may be of both signs.
    step_hours : float
        Length of an interval. [h]
    floor, cap : float, optional
        Limits of the market's prices; by default the least and the greatest limit price in the table. [$/MWh]
    time_limit_s : float
        Most time for one solve. [s]

    Returns
    -------
    Clearing
        Awards and payments sum to zero at each time; prices are NaN at times when nothing is traded. No bids have the
        empty answer, bids for no power award nothing.

    Raises
    ------
    DataError
        If the table breaks its schema, has several services, `floor` is above `cap`, a limit price is infinite or
        outside of them, a block has two limit prices, least shares, parents or groups, a least share is not a number in
        [0, 1], a parent is not a block of the bidder or its own descendant, an hourly row has a least share, a parent
        or a group, or `time_limit_s` is not above 0.
    PlanError
        If the optimum is not found within `time_limit_s`; the message has the bound on the welfare.

    References
    ----------
    .. [1] M. Madani and M. Van Vyve, "Computationally efficient MIP formulation and algorithms for European day-ahead
       electricity market auctions," European J. Operational Research 242(2), 2015, doi:10.1016/j.ejor.2014.09.060.
    .. [2] NEMO Committee, "EUPHEMIA public description," 2020 (rules for blocks, linked blocks and exclusive groups).

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[10.0, -12.0, 12.0], price=[100.0, 300.0, 40.0], block=["", "", "base"])
    >>> clearing = clear_day_ahead(bids)
    >>> clearing.awards["quantity_mw"].tolist(), clearing.prices.tolist()
    ([0.0, -12.0, 12.0], [100.0])
    """
    orders = read_orders(bids, step_hours=step_hours, floor=floor, cap=cap)
    require_time(time_limit_s)
    if not orders.quantity.any():
        nothing = np.zeros(len(bids))
        return clearing_of(bids, nothing, nothing, orders.times, np.full(len(orders.times), np.nan))
    share, prices = _supported(orders, time_limit_s)
    awarded = _awards(orders, share, prices)
    payment = -awarded * prices[orders.market] * step_hours
    traded = np.bincount(orders.market, np.abs(awarded), len(prices)) > 0
    return clearing_of(bids, awarded, payment, orders.times, np.where(traded, prices, np.nan))


def paradoxical_blocks(
    bids: pd.DataFrame,
    clearing: Clearing,
    *,
    step_hours: float = 1.0,
    floor: float | None = None,
    cap: float | None = None,
) -> pd.DataFrame:
    """
    Blocks that were rejected although they would gain at the prices of the clearing.

    A block is left out where its own rules explain the rejection: its parent is rejected, or another of its exclusive
    group is accepted. At a time when nothing was traded the price is taken to be the worst for the block that the
    hourly orders leave.

    Parameters
    ----------
    bids : DataFrame
        The bids that were cleared.
    clearing : Clearing
        What `clear_day_ahead` decided on them.
    step_hours, floor, cap
        As in `clear_day_ahead`.

    Returns
    -------
    DataFrame
        One row a block, in order of bidder and name: `bidder`, `block`, `energy_mwh` (positive for sale), `price` (its
        limit), `market_price` (mean over its energy; NaN where that is zero) and `forgone` (what it would have
        gained). [MWh] [$/MWh] [$]

    Raises
    ------
    DataError
        As `clear_day_ahead`, or if `clearing` is of other bids.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[10.0, -11.0, 12.0], price=[100.0, 300.0, 40.0], block=["", "", "base"])
    >>> paradoxical_blocks(bids, clear_day_ahead(bids))[["block", "energy_mwh", "price", "market_price", "forgone"]]
      block  energy_mwh  price  market_price  forgone
    0  base        12.0   40.0         300.0   3120.0
    """
    orders = _orders_of(bids, clearing, step_hours, floor, cap)
    share = _shares(orders, clearing)
    paid = _worst_receipts(orders, clearing, share)
    energy = orders.profile.sum(axis=1)
    surplus, accepted = paid - energy * orders.price, share > TOLERANCE
    alone = (orders.parent < 0) | accepted[orders.parent]
    taken = np.bincount(orders.group[accepted & (orders.group >= 0)], minlength=len(share) + 1) > 0
    alone &= (orders.group < 0) | ~taken[orders.group]
    gains = surplus > 10 * TOLERANCE * np.abs(orders.profile).sum(axis=1) * _price_scale(orders)
    mean = np.divide(paid, energy, out=np.full(len(paid), np.nan), where=energy != 0)
    table = orders.names.assign(
        energy_mwh=energy * step_hours, price=orders.price, market_price=mean, forgone=surplus * step_hours
    )
    return table[alone & ~accepted & gains].reset_index(drop=True)


def welfare_given_up(
    bids: pd.DataFrame, clearing: Clearing, *, step_hours: float = 1.0, time_limit_s: float = math.inf
) -> WelfareGivenUp:
    """
    Welfare of a clearing beside what could be reached without the rule of prices, and without whole blocks.

    Parameters
    ----------
    bids : DataFrame
        The bids that were cleared.
    clearing : Clearing
        What `clear_day_ahead` decided on them.
    step_hours : float
        Length of an interval. [h]
    time_limit_s : float
        Most time for one solve. [s]

    Returns
    -------
    WelfareGivenUp
        Three welfares, each at least the one before it; what rounding takes from that is put back. [$]

    Raises
    ------
    DataError, PlanError
        As `clear_day_ahead`, or if `clearing` is of other bids.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[10.0, -11.0, 12.0], price=[100.0, 300.0, 40.0], block=["", "", "base"])
    >>> [round(welfare, 6) for welfare in welfare_given_up(bids, clear_day_ahead(bids))]
    [2000.0, 2000.0, 2860.0]
    """
    orders = _orders_of(bids, clearing, step_hours, None, None)
    awarded = clearing.awards["quantity_mw"].to_numpy(float)
    require_time(time_limit_s)
    if not orders.quantity.any():
        return WelfareGivenUp(0.0, 0.0, 0.0)
    programme = Programme(orders, time_limit_s=time_limit_s)
    whole, parts = programme.best(), programme.best(divisible=True)
    cleared = -float(awarded @ orders.limit)
    reached = np.maximum.accumulate([cleared, whole.welfare, parts.welfare]) * step_hours
    return WelfareGivenUp(*(float(welfare) for welfare in reached))


def _supported(orders: Orders, time_limit_s: float) -> tuple[Floats, Floats]:
    """
    Shares of the best choice of blocks that prices support, and those prices.

    Where the best choice of all is not supported a first one that is bounds what is left to search: the blocks that
    every better choice accepts or rejects, and the prices at which the hourly orders can meet what the blocks trade.
    """
    free = Programme(orders, time_limit_s=time_limit_s)
    best, found = _first_supported(orders, free)
    if free.open_between()[1].all():
        return found
    search = Programme(orders, time_limit_s=time_limit_s)
    search.demand_welfare(best.welfare)
    least, most, low, high = search.ranges()
    search.keep_open_between((least > 1e-6).astype(float), (most >= 1 - 1e-6).astype(float))
    search.demand_prices(*_price_range(orders, low, high))
    free = Programme(orders, time_limit_s=time_limit_s)
    start: Flags | None = best.is_open
    while True:
        better = search.best(start=start)
        answer = _prices_of(orders, free.best_shares(better.is_open))
        if answer is not None:
            return answer
        search.forbid(better.is_open)
        start = None


def _first_supported(orders: Orders, free: Programme) -> tuple[Best, tuple[Floats, Floats]]:
    """A choice of blocks that prices support: the best, or what is left after rejecting the block that loses most."""
    least, most = free.open_between()
    while True:
        best = free.best()
        shares = free.best_shares(best.is_open)
        found = _prices_of(orders, shares)
        if found is not None:
            return Best(shares.welfare, best.is_open, shares.share), found
        prices = _hourly_interval(orders, _net(orders, shares.share))[2]
        surplus = np.where(best.is_open, orders.surplus(prices), np.inf)
        most = most.copy()
        most[np.argmin(surplus)] = 0.0
        free.keep_open_between(least, most)


def _price_range(orders: Orders, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Bounds of the prices where the blocks' power lies between bounds [MW]: the more they sell the lower."""
    room = 1e-6 * np.abs(orders.profile).sum(axis=0)
    whole = np.abs(orders.profile).sum(axis=0)
    least = _hourly_interval(orders, np.minimum(high + room, whole))[0]
    most = _hourly_interval(orders, np.maximum(low - room, -whole))[1]
    return np.where(np.isfinite(least), least, orders.floor), np.where(np.isfinite(most), most, orders.cap)


def _prices_of(orders: Orders, best: Best) -> tuple[Floats, Floats] | None:
    """Shares and the prices nearest to the middle of what the hourly orders leave; None where none support them."""
    share = np.clip(np.where(best.is_open, best.share, 0.0), 0.0, 1.0)
    for end in (0.0, 1.0):
        share[np.abs(share - end) <= TOLERANCE] = end
    low, high, middle = _hourly_interval(orders, _net(orders, share))
    if (low > high).any():
        return None
    energies, least, exact = _block_rules(orders, share)
    prices = _nearest(middle, low, high, energies, least, exact)
    return None if prices is None else (share, prices)


def _hourly_interval(orders: Orders, net: Floats) -> tuple[Floats, Floats, Floats]:
    """Least, greatest and middle price at which the hourly orders balance the blocks, by time; low > high if none."""
    n_times = len(orders.times)
    crossing = curves(*_book_of(orders, net))
    low, high, _ = clearing_interval(crossing, n_times, rounding=TOLERANCE, skips_rows=True)
    middle = between(low, high, 0.5)
    impossible = (low == np.inf) | (high == -np.inf)
    low, high = np.clip(low, orders.floor, orders.cap), np.clip(high, orders.floor, orders.cap)
    middle = np.where(np.isfinite(middle), middle, low / 2 + high / 2)
    return np.where(impossible, np.inf, low), np.where(impossible, -np.inf, high), middle


def _net(orders: Orders, share: Floats) -> Floats:
    """Power that the blocks sell at each time, without what is rounding. [MW]"""
    net, volume = share @ orders.profile, share @ np.abs(orders.profile)
    return np.where(np.abs(net) <= 1e-12 * volume, 0.0, net)


def _book_of(orders: Orders, net: Floats) -> tuple[np.ndarray, Floats, Floats]:
    """Time, limit and quantity of the hourly rows, and at each time of what the blocks sell and buy at any price."""
    n_times, hourly = len(orders.times), orders.block < 0
    every, ends = np.arange(n_times), np.full(n_times, np.inf)
    market = np.concatenate([orders.market[hourly], every, every])
    limit = np.concatenate([orders.limit[hourly], -ends, ends])
    quantity = np.concatenate([orders.quantity[hourly], np.maximum(net, 0.0), np.minimum(net, 0.0)])
    return market, limit, quantity


def _block_rules(orders: Orders, share: Floats) -> tuple[Floats, Floats, Flags]:
    """
    What the prices owe the blocks: rows of ``energies @ prices >= least``, and which hold with equality.

    An accepted block and the accepted blocks below it whose shares equal its own must not lose together; the topmost
    of those is at the money if it is accepted in part.
    """
    energies, least, exact = [], [], []
    profit = orders.profile, orders.profile.sum(axis=1) * orders.price
    tied = (orders.parent >= 0) & (np.abs(share - share[orders.parent]) <= TOLERANCE)
    family = _families(orders, tied)
    for b in np.flatnonzero(share > 0):
        energies.append(profit[0][family[b]].sum(axis=0))
        least.append(profit[1][family[b]].sum())
        exact.append(not tied[b] and share[b] < 1)
    shape = (len(least), len(orders.times))
    return np.array(energies).reshape(shape), np.array(least, dtype=float), np.array(exact, dtype=bool)


def _families(orders: Orders, tied: Flags) -> list[list[int]]:
    """Each block with those below it that are tied to it."""
    family = [[b] for b in range(len(orders.price))]
    for b in range(len(orders.price)):
        above = b
        while tied[above]:
            above = int(orders.parent[above])
            family[above].append(b)
    return family


def _nearest(middle: Floats, low: Floats, high: Floats, energies: Floats, least: Floats, exact: Flags) -> Floats | None:
    """The prices nearest to the middle between bounds that give blocks their due; None if there are none."""
    middle = np.clip(middle, low, high)
    unit = float(max(np.abs(low).max(), np.abs(high).max())) or 1.0
    size = np.abs(energies).sum(axis=1)
    live = size > 0
    rows, due = energies[live] / size[live, None], (least[live] / size[live] - energies[live] @ middle / size[live])
    due, exact, span = due / unit, exact[live], (high - low) / unit
    if _owed(rows @ np.zeros(len(middle)) - due, exact) <= TOLERANCE:
        return middle
    free = np.flatnonzero(span > 0)
    sides = np.concatenate([np.eye(len(free)), -np.eye(len(free))])
    bounds = np.concatenate([(low - middle)[free], (middle - high)[free]]) / unit
    step = _least_distance(
        np.concatenate([sides, rows[:, free], -rows[exact][:, free]]), np.concatenate([bounds, due, -due[exact]])
    )
    if step is None:
        return None
    prices = middle.copy()
    prices[free] = np.clip(middle[free] + unit * step, low[free], high[free])
    return prices if _owed(rows @ (prices - middle) / unit - due, exact) <= TOLERANCE else None


def _owed(slack: Floats, exact: Flags) -> float:
    """The most by which a rule is broken."""
    return float(np.where(exact, np.abs(slack), -slack).max(initial=0.0))


def _least_distance(rows: Floats, due: Floats) -> Floats | None:
    """
    The shortest `x` with ``rows @ x >= due``; None if there is none (Lawson and Hanson 1974, chapter 23, by NNLS).

    It is read off the residual of a nonnegative least squares problem, whose last element is ``1 / (1 + x @ x)``; no
    `x` within the unit cube has one below ``1 / (1 + n)``.
    """
    from scipy.optimize import nnls

    n = rows.shape[1]
    system = np.vstack([rows.T, due])
    target = np.r_[np.zeros(n), 1.0]
    weights, _ = nnls(system, target, maxiter=50 * (len(due) + n + 1))
    residual = target - system @ weights
    return np.asarray(-residual[:n] / residual[n]) if residual[n] > 0.1 / (1 + 4 * n) else None


def _awards(orders: Orders, share: Floats, prices: Floats) -> Floats:
    """Power awarded to each row."""
    hourly = orders.block < 0
    awarded = np.where(hourly, 0.0, orders.quantity * np.r_[share, 0.0][orders.block])
    awarded[hourly] = award(*_book_of(orders, _net(orders, share)), prices)[: np.count_nonzero(hourly)]
    return np.asarray(awarded)


def _orders_of(
    bids: pd.DataFrame, clearing: Clearing, step_hours: float, floor: float | None, cap: float | None
) -> Orders:
    orders = read_orders(bids, step_hours=step_hours, floor=floor, cap=cap)
    require_cleared(bids, clearing)
    return orders


def _shares(orders: Orders, clearing: Clearing) -> Floats:
    """Share of each block that was accepted."""
    rows = orders.block >= 0
    awarded = np.abs(clearing.awards["quantity_mw"].to_numpy(float))[rows]
    n_blocks = len(orders.price)
    taken, whole = (
        np.bincount(orders.block[rows], power, n_blocks) for power in (awarded, np.abs(orders.quantity[rows]))
    )
    return np.divide(taken, whole, out=np.zeros(n_blocks), where=whole > 0)


def _worst_receipts(orders: Orders, clearing: Clearing, share: Floats) -> Floats:
    """What each block would be paid at least if it were accepted whole. [$/h]"""
    prices = clearing.prices.to_numpy(float)
    low, high, _ = _hourly_interval(orders, _net(orders, share))
    low, high = (np.where(np.isnan(prices), end, prices) for end in (low, high))
    return np.asarray(np.minimum(orders.profile * low, orders.profile * high).sum(axis=1))


def _price_scale(orders: Orders) -> float:
    return max(abs(orders.floor), abs(orders.cap))
