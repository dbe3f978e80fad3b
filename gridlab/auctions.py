"""Auctions: bids in, awards, payments and prices out."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.schema import step_hours, validate

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class Clearing(NamedTuple):
    """
    What an auction decided.

    Parameters
    ----------
    awards : DataFrame
        The `bids` table with `quantity_mw` cut down to what was awarded; its rows are those of the bids. [MW]
    payments : Series
        Money received for each row of the bids; negative where money is paid. [$]
    prices : Series
        Clearing price by `time`; NaN where nothing cleared. [$/MWh]
    """

    awards: pd.DataFrame
    payments: pd.Series
    prices: pd.Series


def clear_at_price(bids: pd.DataFrame, prices: pd.DataFrame) -> Clearing:
    """
    Clear small bids against a market whose price they do not move.

    An offer is awarded whole where its price is at or below the market's, a bid to buy where it is at or above; the
    market is the other side of every payment.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table.
    prices : DataFrame
        A `prices` table that covers the bids' times. Nothing is awarded where its price is NaN.

    Returns
    -------
    Clearing
        Payments are for intervals of the length of those of `prices`.

    Raises
    ------
    DataError
        If a table breaks its schema, or a bid is for a time that `prices` does not have.

    Examples
    --------
    >>> from gridlab.schema import mock_bids, mock_prices
    >>> prices, bids = mock_prices(days=1), mock_bids(4)
    >>> clearing = clear_at_price(bids.assign(price=[0, 50, 40, 20]), prices.assign(price=30))
    >>> (clearing.awards["quantity_mw"] != 0).tolist()
    [True, True, False, False]
    """
    validate(bids, "bids"), validate(prices, "prices")
    row = prices.index.get_indexer(bids["time"])
    if (row < 0).any():
        raise DataError(f"there is no price for the bid at {bids['time'].iloc[int(np.argmin(row))]}: cut the bids")
    market, limit = prices["price"].to_numpy(float)[row], bids["price"].to_numpy(float)
    quantity = bids["quantity_mw"].to_numpy(float)
    awarded = np.where(np.where(quantity > 0, limit <= market, limit >= market), quantity, 0.0)
    payment = awarded * np.nan_to_num(market) * step_hours(prices.index)
    return Clearing(
        bids.assign(quantity_mw=awarded),
        pd.Series(payment, index=bids.index, name="payment"),
        prices["price"].iloc[np.unique(row)],
    )


def clear_uniform(bids: pd.DataFrame, *, step_hours: float = 1.0) -> Clearing:
    """
    Clear offers against bids to buy at one price for each time.

    The price is where supply meets demand. Where a whole interval of prices clears the market the middle of it is
    taken, or its finite end where the other is infinite; bids exactly at the price share what is left in
    proportion to their quantities. Where nothing can be traded the price is NaN.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of one service. Offers may be at ``-inf``, bids to buy at ``inf``.
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    Clearing
        Quantities awarded sum to zero at each time, and so do the payments.

    Raises
    ------
    DataError
        If the table breaks its schema, has several services, or only price takers are left to set a price.

    References
    ----------
    .. [1] S. Stoft, "Power System Economics," IEEE Press, 2002, part 3, doi:10.1109/9780470545584.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[3.0, -4.0, 2.0], price=[10.0, 50.0, 30.0])
    >>> clearing = clear_uniform(bids)
    >>> clearing.awards["quantity_mw"].tolist(), clearing.prices.tolist(), clearing.payments.tolist()
    ([3.0, -4.0, 1.0], [30.0], [90.0, -120.0, 30.0])
    """
    _check_uniform(bids, step_hours)
    market, times = pd.factorize(bids["time"], sort=True)
    quantity, limit = bids["quantity_mw"].to_numpy(float), bids["price"].to_numpy(float)
    curves = _curves(market, limit, quantity)
    price = _clearing_price(curves, len(times))
    if np.isinf(price).any():
        raise DataError(
            f"only price takers set the price at {times[int(np.argmax(np.isinf(price)))]}: "
            "give them a floor and a cap (bids.bid_price_taker), or add a bid with a price"
        )
    awarded = _award(market, limit, quantity, price)
    payment = awarded * np.nan_to_num(price)[market] * step_hours
    return Clearing(
        bids.assign(quantity_mw=awarded),
        pd.Series(payment, index=bids.index, name="payment"),
        pd.Series(price, index=pd.DatetimeIndex(times, name="time"), name="price"),
    )


class _Curves(NamedTuple):
    """Supply and demand at each price that is bid, by market: with and without the bids at that very price."""

    market: Ints
    price: Floats
    supply_to: Floats
    supply_below: Floats
    demand_from: Floats
    demand_above: Floats


def _check_uniform(bids: pd.DataFrame, step_hours: float) -> None:
    services = validate(bids, "bids")["service"].unique()
    if len(services) > 1:
        raise DataError(f"bids hold {len(services)} services ({', '.join(services)}): clear one at a time")
    if not 0 < step_hours < np.inf:
        raise DataError(f"step_hours must be above 0, got {step_hours}")


def _curves(market: Ints, limit: Floats, quantity: Floats) -> _Curves:
    """The curves' corners in order of market and price; bids of one corner are summed in order of quantity."""
    order = np.lexsort((quantity, limit, market))
    market, limit, quantity = market[order], limit[order], quantity[order]
    new = np.flatnonzero(np.r_[True, (np.diff(market) != 0) | (limit[1:] != limit[:-1])][: len(market)])
    supply = np.add.reduceat(np.maximum(quantity, 0.0), new)
    demand = np.add.reduceat(np.maximum(-quantity, 0.0), new)
    corner = pd.Series(market[new])
    supply_to = pd.Series(supply).groupby(corner).cumsum().to_numpy()
    demand_from = pd.Series(demand[::-1]).groupby(corner[::-1].to_numpy()).cumsum().to_numpy()[::-1]
    return _Curves(market[new], limit[new], supply_to, supply_to - supply, demand_from, demand_from - demand)


def _clearing_price(curves: _Curves, n_markets: int) -> Floats:
    """Middle of the prices at which supply meets demand, by market; NaN where nothing is traded."""
    rounding = 1e-12 * (curves.supply_to + curves.demand_from)
    meets = curves.supply_below <= curves.demand_from + rounding
    meets &= curves.demand_above <= curves.supply_to + rounding
    low, high = np.full(n_markets, np.inf), np.full(n_markets, -np.inf)
    np.minimum.at(low, curves.market[meets], curves.price[meets])
    np.maximum.at(high, curves.market[meets], curves.price[meets])
    traded = np.zeros(n_markets)
    np.maximum.at(traded, curves.market, np.minimum(curves.supply_to, curves.demand_from))
    with np.errstate(invalid="ignore"):
        middle = np.where(np.isinf(low), high, np.where(np.isinf(high), low, low + (high - low) / 2))
    return np.where(traded > 0, middle, np.nan)


def _award(market: Ints, limit: Floats, quantity: Floats, price: Floats) -> Floats:
    """What each bid gets at its market's price: whole if better, a share if equal, nothing if worse."""
    side, n_markets = np.sign(quantity), len(price)
    margin = np.nan_to_num(side * (price[market] - limit), nan=-1.0)
    better, equal = np.abs(quantity) * (margin > 0), np.abs(quantity) * (margin == 0)
    traded = np.minimum(*(_totals(market, (better + equal) * (side == s), n_markets) for s in (1, -1)))
    awarded = np.zeros_like(quantity)
    for own in (side == 1, side == -1):
        left = traded - _totals(market, better * own, n_markets)
        shared = _totals(market, equal * own, n_markets)
        share = np.divide(left, shared, out=np.zeros(n_markets), where=shared > 0)
        awarded += own * (better + equal * np.clip(share, 0.0, 1.0)[market])
    return np.asarray(side * awarded)


def _totals(market: Ints, values: Floats, n_markets: int) -> Floats:
    return np.bincount(market, values, n_markets).astype(float)
