"""Where supply and demand cross: what every market with two sides reads from its bids, prices and awards."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.clearing import require_step
from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class Book(NamedTuple):
    """
    The bids of a market with two sides as arrays, one element a row; each time is a market of its own.

    Parameters
    ----------
    times : DatetimeIndex
        The markets, in order.
    market : ndarray, shape (n_rows,)
        Position in `times`.
    limit, quantity : ndarray, shape (n_rows,)
        Limit price, and power offered (positive) or wanted (negative). [$/MWh] [MW]
    """

    times: pd.DatetimeIndex
    market: Ints
    limit: Floats
    quantity: Floats


class Curves(NamedTuple):
    """
    Supply and demand at each price that is bid, market by market in order of price.

    Parameters
    ----------
    market : ndarray, shape (n_corners,)
        Number of the market.
    price : ndarray, shape (n_corners,)
        A price that is bid there. [$/MWh]
    supply, demand : ndarray, shape (n_corners,)
        Power offered and wanted at this very price. [MW]
    supply_to, supply_below : ndarray, shape (n_corners,)
        Power offered up to the price, with and without that at the price itself. [MW]
    demand_from, demand_above : ndarray, shape (n_corners,)
        Power wanted from the price on, with and without that at the price itself. [MW]
    """

    market: Ints
    price: Floats
    supply: Floats
    demand: Floats
    supply_to: Floats
    supply_below: Floats
    demand_from: Floats
    demand_above: Floats


def read_book(bids: pd.DataFrame, step_hours: float) -> Book:
    """
    Read the bids of a market with two sides.

    Raises
    ------
    DataError
        If the table breaks its schema or has several services, or `step_hours` is not above 0.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> read_book(mock_bids(3), 1.0).market.tolist()
    [0, 0, 0]
    """
    services = validate(bids, "bids")["service"].unique()
    if len(services) > 1:
        raise DataError(f"bids hold {len(services)} services ({', '.join(map(str, services))}): clear one at a time")
    require_step(step_hours)
    market, times = pd.factorize(bids["time"], sort=True)
    limit, quantity = bids["price"].to_numpy(float), bids["quantity_mw"].to_numpy(float)
    return Book(pd.DatetimeIndex(times, name="time"), market, limit, quantity)


def curves(market: Ints, limit: Floats, quantity: Floats) -> Curves:
    """The corners of supply and demand; bids of one corner are summed in order of quantity, not of the table."""
    order = np.lexsort((quantity, limit, market))
    market, limit, quantity = market[order], limit[order], quantity[order]
    new = np.flatnonzero(np.r_[True, (np.diff(market) != 0) | (limit[1:] != limit[:-1])][: len(market)])
    follows = np.diff(market[new]) == 0
    supply = np.add.reduceat(np.maximum(quantity, 0.0), new)
    demand = np.add.reduceat(np.maximum(-quantity, 0.0), new)
    corner = pd.Series(market[new])
    supply_to = pd.Series(supply).groupby(corner).cumsum().to_numpy()
    demand_from = pd.Series(demand[::-1]).groupby(corner[::-1].to_numpy()).cumsum().to_numpy()[::-1]
    supply_below, demand_above = np.zeros_like(supply_to), np.zeros_like(demand_from)
    supply_below[1:] = np.where(follows, supply_to[:-1], 0.0)
    demand_above[:-1] = np.where(follows, demand_from[1:], 0.0)
    return Curves(market[new], limit[new], supply, demand, supply_to, supply_below, demand_from, demand_above)


def clearing_price(crossing: Curves, n_markets: int, k: float) -> Floats:
    """Price at which supply meets demand, the share `k` of the way up, by market; NaN where nothing is traded."""
    low, high, traded = clearing_interval(crossing, n_markets)
    return np.where(traded > 0, between(low, high, k), np.nan)


def clearing_interval(
    crossing: Curves, n_markets: int, *, rounding: float = 1e-12, skips_rows: bool = False
) -> tuple[Floats, Floats, Floats]:
    """
    Least and greatest bid price at which supply meets demand, and the power traded, by market.

    Supply meets demand if what one is short of the other is at most `rounding` of their sum and half of the power at
    the next price on that side, so that a small bid beside large ones is not taken for rounding. With `skips_rows` it
    is at most `rounding` of all that is offered and wanted there, for power that is itself only known to rounding.
    """
    over = crossing.supply_below - crossing.demand_from
    under = crossing.demand_above - crossing.supply_to
    gap = np.maximum(over, under)
    if skips_rows:
        meets = gap <= rounding * (crossing.supply_to + crossing.demand_from)
    else:
        low_side = crossing.supply_below + crossing.demand_from
        meets = gap <= rounding * np.where(over > under, low_side, crossing.demand_above + crossing.supply_to)
        doubt = np.flatnonzero(meets & (gap > 0))
        meets[doubt] = gap[doubt] <= _least_beside(crossing, doubt, under[doubt] > 0) / 2
    low, high = np.full(n_markets, np.inf), np.full(n_markets, -np.inf)
    np.minimum.at(low, crossing.market[meets], crossing.price[meets])
    np.maximum.at(high, crossing.market[meets], crossing.price[meets])
    traded = np.zeros(n_markets)
    np.maximum.at(traded, crossing.market, np.minimum(crossing.supply_to, crossing.demand_from))
    return low, high, traded


def between(low: Floats, high: Floats, k: float) -> Floats:
    """The share `k` of the way up, or the finite end."""
    with np.errstate(invalid="ignore", over="ignore"):
        inside = np.clip((1 - k) * low + k * high, low, high)
    return np.where(np.isinf(low), high, np.where(np.isinf(high), low, inside))


def award(market: Ints, limit: Floats, quantity: Floats, price: Floats) -> Floats:
    """What each bid gets at its market's price: whole if better, a share if equal, nothing if worse."""
    side, n_markets = np.sign(quantity), len(price)
    gain = np.where(side > 0, price[market] - limit, limit - price[market])
    margin = np.where(side == 0, -1.0, np.nan_to_num(gain, nan=-1.0))
    better, equal = np.abs(quantity) * (margin > 0), np.abs(quantity) * (margin == 0)
    traded = np.minimum(*(totals(market, (better + equal) * (side == s), n_markets) for s in (1, -1)))
    awarded = np.zeros_like(quantity)
    for own in (side == 1, side == -1):
        left = traded - totals(market, better * own, n_markets)
        shared = totals(market, equal * own, n_markets)
        share = np.divide(left, shared, out=np.zeros(n_markets), where=shared > 0)
        awarded += own * (better + equal * np.clip(share, 0.0, 1.0)[market])
    return np.asarray(side * awarded)


def totals(market: Ints, values: Floats, n_markets: int) -> Floats:
    """The sum of the values in each market."""
    return np.bincount(market, values, n_markets).astype(float)


def _least_beside(crossing: Curves, corners: Ints, upward: NDArray[np.bool_]) -> Floats:
    """The lesser of the power offered and wanted at the nearest price above or below that has any of it."""
    least = np.full(len(corners), np.inf)
    for power in (crossing.supply, crossing.demand):
        some = np.flatnonzero(power > 0)
        place = np.where(upward, np.searchsorted(some, corners, "right"), np.searchsorted(some, corners) - 1)
        inside = (place >= 0) & (place < len(some))
        near, own = some[place[inside]], np.flatnonzero(inside)
        same = crossing.market[near] == crossing.market[corners[own]]
        least[own[same]] = np.minimum(least[own[same]], power[near[same]])
    return least
