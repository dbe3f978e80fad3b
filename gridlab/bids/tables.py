"""What every curve of bids has in common: its order, its merged rows, and its form in an auction of capacity."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]


def as_wants(bids: pd.DataFrame) -> pd.DataFrame:
    """
    The bids to buy as an auction of capacity reads them: power wanted is positive.

    Where power is wanted and offered, as for the day ahead, wanted power is negative; where capacity is auctioned, as
    by VCG, it is positive. Offers are left out: they are supply, to be added to the capacity by who holds the auction.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of a market with two sides.

    Returns
    -------
    DataFrame
        The rows that want power, in their order, with a new range index.

    Raises
    ------
    DataError
        If the table breaks its schema.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> as_wants(mock_bids(3).assign(quantity_mw=[1.0, -2.0, 0.0]))[["bidder", "quantity_mw"]].values.tolist()
    [['bidder_1', 2.0]]
    """
    wanted = validate(bids, "bids").loc[bids["quantity_mw"] < 0]
    return wanted.assign(quantity_mw=-wanted["quantity_mw"]).reset_index(drop=True)


def curves_of(bids: pd.DataFrame) -> pd.DataFrame:
    """
    The rows of bids as curves, one for each time, bidder and service.

    Times are in order, bidders and services in that of their first appearance. What is wanted comes first, at prices
    that fall; then what is offered, at prices that rise. Rows of one curve, side and price become one, and rows
    without power none.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> rows = mock_bids(4).assign(bidder="a", quantity_mw=[-1.0, 0.0, -2.0, -1.0], price=[10.0, 5.0, 30.0, 10.0])
    >>> curves_of(rows)[["quantity_mw", "price"]].values.tolist()
    [[-2.0, 30.0], [-2.0, 10.0]]
    """
    quantity, price = bids["quantity_mw"].to_numpy(float), bids["price"].to_numpy(float)
    at, times = pd.factorize(bids["time"], sort=True)
    who, bidders = pd.factorize(bids["bidder"])
    what, services = pd.factorize(bids["service"])
    offered = quantity > 0
    keys = np.stack([at, who, what, offered])
    order = np.lexsort((np.where(offered, price, -price), offered, what, who, at))
    order = order[quantity[order] != 0]
    keys, price = keys[:, order], price[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(keys, axis=1) != 0).any(axis=0) | (price[1:] != price[:-1])
    first = np.flatnonzero(new)
    total = np.add.reduceat(quantity[order], first) if len(first) else np.zeros(0)
    at, who, what = keys[:3, first]
    return rows_of(
        pd.DatetimeIndex(times).take(at), np.asarray(bidders)[who], np.asarray(services)[what], total, price[first]
    )


def rows_of(
    times: pd.DatetimeIndex, bidder: ArrayLike, service: ArrayLike, quantity_mw: ArrayLike, price: ArrayLike
) -> pd.DataFrame:
    """A `bids` table from its columns; one name stands for all rows."""
    index = range(len(times))
    return pd.DataFrame(
        {
            "time": pd.DatetimeIndex(times).tz_convert("UTC"),
            "bidder": _text(bidder, index),
            "service": _text(service, index),
            "quantity_mw": np.broadcast_to(np.asarray(quantity_mw, dtype=float), len(index)),
            "price": np.broadcast_to(np.asarray(price, dtype=float), len(index)),
        }
    )


def refuse_infinite(bids: pd.DataFrame, what: str) -> None:
    """Refuse a price without an end; the message has its row."""
    bad = ~np.isfinite(bids["price"].to_numpy(float))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{what} is {bids['price'].iloc[row]:g} in row {bids.index[row]}: state what a MWh is worth, in $/MWh"
        )


def checked_times(times: pd.DatetimeIndex, n_steps: int) -> pd.DatetimeIndex:
    """The times of a table to be, refused where they are not UTC or not as many as the intervals."""
    if not (isinstance(times, pd.DatetimeIndex) and str(times.tz) == "UTC"):
        raise DataError("times must be a DatetimeIndex in UTC: use pd.to_datetime(utc=True)")
    if len(times) != n_steps:
        raise DataError(f"times has {len(times)} intervals and the numbers {n_steps}: give one for each")
    return times


def checked_hours(step_hours: float) -> float:
    """Length of an interval, refused where it has none."""
    if not 0 < step_hours < np.inf:
        raise DataError(f"step_hours must be above 0, got {step_hours}")
    return step_hours


def require_count(name: str, count: object) -> None:
    """Refuse what is no whole number of at least 1."""
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
        raise DataError(f"{name} must be at least 1, a whole number, got {count!r}")


def _text(name: ArrayLike, index: range) -> pd.Series:
    values = name if isinstance(name, str) else np.asarray(name, dtype=object)
    return pd.Series(values, index=index, dtype="str")
