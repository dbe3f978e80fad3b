"""What a battery's flows earned and cost."""

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.ledger.entries import postings, with_mirror
from gridlab.schema import validate


def post(flows: pd.DataFrame, prices: pd.DataFrame, *, degradation_cost: float = 0.0) -> pd.DataFrame:
    """
    Enter what the battery's flows earned and cost.

    Energy at the grid's meter is settled between `battery` and `market` at the price; energy delivered is charged
    by `wear`. Intervals without energy have no entries.

    Parameters
    ----------
    flows : DataFrame
        A `flows` table with the meter `grid`.
    prices : DataFrame
        A `prices` table that covers the flows.
    degradation_cost : float
        Cost of wear for each MWh delivered to the grid. [$/MWh]

    Returns
    -------
    DataFrame
        An `entries` table in which each posting is followed, in the second half, by its mirror: account and counter
        account swapped, amount and energy negated.

    Raises
    ------
    DataError
        If a table breaks its schema, or energy flowed where there is no price.

    Examples
    --------
    >>> from gridlab.schema import mock_flows, mock_prices
    >>> entries = post(mock_flows(days=1), mock_prices(days=1).assign(price=30.0), degradation_cost=2.0)
    >>> entries[["account", "counter_account", "amount", "cause"]].head(3).values.tolist()
    [['battery', 'market', -30.0, 'energy'], ['battery', 'market', 30.0, 'energy'], ['battery', 'wear', -2.0, 'wear']]
    >>> float(entries["amount"].sum())
    0.0
    """
    validate(flows, "flows"), validate(prices, "prices")
    grid = flows[(flows["meter"] == "grid") & (flows["energy_mwh"] != 0)]
    sold = grid["energy_mwh"].to_numpy(float)
    price = prices["price"].reindex(pd.DatetimeIndex(grid["time"])).to_numpy(float)
    if np.isnan(price).any():
        raise DataError(
            f"energy flowed at {grid['time'].iloc[int(np.argmax(np.isnan(price)))]}, where there is no price: "
            "trade nothing in a gap"
        )
    worn = (sold > 0) & (degradation_cost != 0)
    energy = postings(grid["time"], "battery", "market", sold * price, sold, "energy")
    wear = postings(grid["time"][worn], "battery", "wear", -degradation_cost * sold[worn], sold[worn], "wear")
    return with_mirror(pd.concat([energy, wear], ignore_index=True))
