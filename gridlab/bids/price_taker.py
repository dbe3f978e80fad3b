"""A plan as bids that are accepted at any price."""

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.schema import validate


def bid_price_taker(
    schedule: pd.DataFrame,
    *,
    bidder: str = "battery",
    service: str = "energy",
    floor: float = -np.inf,
    cap: float = np.inf,
) -> pd.DataFrame:
    """
    Offer and want what the schedule says, whatever the price.

    Parameters
    ----------
    schedule : DataFrame
        A `schedule` table with the column ``<bidder>_mw``. [MW]
    bidder : str
        Who bids; names the column.
    service : str
        What is traded.
    floor, cap : float
        Least and greatest price that the auction admits: an offer to sell is made at the floor, a bid to buy at the
        cap. [$/MWh]

    Returns
    -------
    DataFrame
        A `bids` table with a row for each interval in which the schedule has power.

    Raises
    ------
    DataError
        If the schedule has no column ``<bidder>_mw`` or `floor` is not below `cap`.

    Examples
    --------
    >>> from gridlab.schema import mock_schedule
    >>> bids = bid_price_taker(mock_schedule(days=1))
    >>> bids[["service", "quantity_mw", "price"]].values.tolist()
    [['energy', -1.0, inf], ['energy', 1.0, -inf]]
    """
    column = f"{bidder}_mw"
    if column not in schedule.columns:
        raise DataError(f"schedule has no column '{column}' (it has {', '.join(schedule.columns)}): name its bidder")
    if not floor < cap:
        raise DataError(f"floor must be below cap, got {floor} and {cap}")
    power = validate(schedule, "schedule")[column]
    power = power[power != 0]
    quantity = power.to_numpy(float)
    return pd.DataFrame(
        {
            "time": pd.DatetimeIndex(power.index),
            "bidder": pd.Series(bidder, index=range(len(power)), dtype="str"),
            "service": pd.Series(service, index=range(len(power)), dtype="str"),
            "quantity_mw": quantity,
            "price": np.where(quantity > 0, floor, cap),
        }
    )
