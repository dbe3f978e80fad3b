"""Markets with two sides: offers against bids to buy."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.clearing import Clearing, clearing_of, require_step
from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


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
    ([3.0, -4.0, 1.0], [30.0], [-90.0, 120.0, -30.0])
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
    payment = -awarded * np.nan_to_num(price)[market] * step_hours
    return clearing_of(bids, awarded, payment, pd.DatetimeIndex(times, name="time"), price)


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
    require_step(step_hours)


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
