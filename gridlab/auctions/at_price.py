"""Clearing of small bids against a market whose price they do not move."""

import numpy as np
import pandas as pd

from gridlab.auctions.clearing import Clearing, clearing_of
from gridlab.errors import DataError
from gridlab.schema import step_hours, validate


def clear_at_price(bids: pd.DataFrame, prices: pd.DataFrame) -> Clearing:
    """
    Clear small bids against a market whose price they do not move.

    An offer is awarded whole where its price is at or below the market's, a bid to buy where it is at or above; the
    market is the other side of every payment.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table; a quantity is offered (positive) or wanted (negative).
    prices : DataFrame
        A `prices` table that covers the bids' times. Nothing is awarded where its price is NaN.

    Returns
    -------
    Clearing
        Payments are for intervals of the length of those of `prices`. `prices` are those of the bids' times. No bids
        have the empty answer.

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
    payment = -awarded * np.nan_to_num(market) * step_hours(prices.index)
    of_bids = np.unique(row)
    times = pd.DatetimeIndex(prices.index[of_bids])
    return clearing_of(bids, awarded, payment, times, prices["price"].to_numpy(float)[of_bids])
