"""What an auction decides, and what every auction of capacity reads from its bids."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.schema import validate

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
        What the auction is paid for each row of the bids, with their index: positive where the bidder pays, negative
        where it is paid. A bidder's payment is the sum over its rows. [$]
    prices : Series
        Clearing price by `time`: where capacity is auctioned what one more MWh of it would be worth; NaN where nothing
        cleared or no price is defined. [$/MWh]
    """

    awards: pd.DataFrame
    payments: pd.Series
    prices: pd.Series


class Wants(NamedTuple):
    """
    The bids for capacity as arrays, one element a row; each time is an auction of its own.

    Parameters
    ----------
    times : DatetimeIndex
        The auctions, in order.
    market : ndarray, shape (n_rows,)
        Position in `times`.
    bidder : ndarray, shape (n_rows,)
        Number of the bidder, in order of first appearance.
    bidders : Index
        Names of the bidders.
    quantity, price : ndarray, shape (n_rows,)
        Power wanted and what it is worth. [MW] [$/MWh]
    capacity : ndarray, shape (n_times,)
        Power on sale. [MW]
    """

    times: pd.DatetimeIndex
    market: Ints
    bidder: Ints
    bidders: pd.Index
    quantity: Floats
    price: Floats
    capacity: Floats


def wants(
    bids: pd.DataFrame, capacity_mw: float | pd.Series, *, reserve_price: float = 0.0, step_hours: float = 1.0
) -> Wants:
    """
    Read the bids of an auction of capacity.

    Raises
    ------
    DataError
        If the table breaks its schema, a quantity is negative, a price or the capacity is not finite, the capacity is
        negative or lacks a time of the bids, `reserve_price` is not finite or `step_hours` not above 0.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> wants(mock_bids(3).assign(quantity_mw=1.0), 2.0).capacity.tolist()
    [2.0]
    >>> wants(mock_bids(3).assign(quantity_mw=[1.0, 2.0, -1.0]), 2.0)
    Traceback (most recent call last):
    gridlab.errors.DataError: bids['quantity_mw'] is negative in row 2, -1 MW: power wanted is positive where ...
    """
    validate(bids, "bids")
    quantity, price = bids["quantity_mw"].to_numpy(float), bids["price"].to_numpy(float)
    remedy = "power wanted is positive where capacity is auctioned; a market with two sides is for clear_double"
    refuse_row(bids, quantity < 0, "quantity_mw", "is negative", f"{remedy}", unit="MW")
    refuse_row(bids, np.isinf(price), "price", "is infinite", "state what the power is worth at most", unit="$/MWh")
    if not np.isfinite(reserve_price):
        raise DataError(f"reserve_price must be finite, in $/MWh, got {reserve_price}")
    require_step(step_hours)
    market, times = pd.factorize(bids["time"], sort=True)
    bidder, bidders = pd.factorize(bids["bidder"])
    when = pd.DatetimeIndex(times, name="time")
    return Wants(when, market, bidder, pd.Index(bidders), quantity, price, _capacity_at(capacity_mw, when))


def clearing_of(
    bids: pd.DataFrame, awarded: Floats, payment: Floats, times: pd.DatetimeIndex, price: Floats
) -> Clearing:
    """A `Clearing` from what each row was awarded and pays, and the price of each time."""
    return Clearing(
        bids.assign(quantity_mw=awarded),
        pd.Series(payment, index=bids.index, name="payment"),
        pd.Series(price, index=times, name="price"),
    )


def refuse_row(bids: pd.DataFrame, bad: NDArray[np.bool_], column: str, what: str, remedy: str, *, unit: str) -> None:
    """Refuse bids of which a row breaks a rule; the message has the first such row, its value and the remedy."""
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"bids['{column}'] {what} in row {bids.index[row]}, {bids[column].iloc[row]:g} {unit}: {remedy}"
        )


def require_step(step_hours: float) -> None:
    """Refuse an interval without a length."""
    if not 0 < step_hours < np.inf:
        raise DataError(f"step_hours must be above 0, got {step_hours}")


def spread(payment: Floats, bidder: Ints, value: Floats) -> Floats:
    """
    Divide each bidder's payment over its rows in proportion to the value of what they were awarded.

    So that no row pays more than it is worth. A bidder whose awarded rows are worth nothing pays on the first of them.

    Parameters
    ----------
    payment : ndarray, shape (n_bidders,)
        What each bidder pays. [$]
    bidder : ndarray, shape (n_rows,)
        Whose row it is.
    value : ndarray, shape (n_rows,)
        What each row's award is worth, none negative. [$]

    Examples
    --------
    >>> spread(np.array([3.0, 0.0]), np.array([0, 0, 1]), np.array([4.0, 2.0, 5.0])).tolist()
    [2.0, 1.0, 0.0]
    """
    total = np.bincount(bidder, value, len(payment))
    share = np.divide(value, total[bidder], out=np.zeros_like(value), where=total[bidder] > 0)
    rest = np.flatnonzero((total == 0) & (payment != 0))
    if len(rest):
        first = np.full(len(payment), len(bidder))
        np.minimum.at(first, bidder, np.arange(len(bidder)))
        share[first[rest]] = 1.0
    return np.asarray(share * payment[bidder])


def _capacity_at(capacity_mw: float | pd.Series, times: pd.DatetimeIndex) -> Floats:
    """The capacity at each time."""
    if not isinstance(capacity_mw, pd.Series | int | float | np.number):
        raise DataError(f"capacity_mw must be a number or a Series by time, got {type(capacity_mw).__name__}")
    by_time = capacity_mw if isinstance(capacity_mw, pd.Series) else pd.Series(float(capacity_mw), index=times)
    if by_time.index.has_duplicates:
        raise DataError(
            f"capacity_mw has {by_time.index[by_time.index.duplicated()][0]} twice: give each time one value"
        )
    missing = times.difference(by_time.index)
    if len(missing):
        raise DataError(f"capacity_mw has no value for {missing[0]}, for which there is a bid: add it")
    capacity: Floats = by_time.reindex(times).to_numpy(float)
    stated = by_time.to_numpy(float) if len(times) else np.atleast_1d(np.asarray(capacity_mw, dtype=float))
    bad = ~((stated >= 0) & (stated < np.inf))
    if bad.any():
        raise DataError(f"capacity_mw must be at least 0 MW and finite, got {stated[bad][0]:g}")
    return capacity
