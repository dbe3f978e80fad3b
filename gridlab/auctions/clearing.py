"""What an auction decides, and what every auction of capacity reads from its bids."""

import numbers
from typing import NamedTuple, TypeGuard

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
        where it is paid. A bidder's payment is the sum over its rows, which `by_bidder` makes. [$]
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
    refuse_row(bids, quantity < 0, "quantity_mw", "is negative", remedy, unit="MW")
    refuse_row(bids, np.isinf(price), "price", "is infinite", "state what the power is worth at most", unit="$/MWh")
    require_number(reserve_price, "reserve_price", "$/MWh")
    require_step(step_hours)
    market, times = pd.factorize(bids["time"], sort=True)
    bidder, bidders = pd.factorize(bids["bidder"])
    when = pd.DatetimeIndex(times, name="time")
    return Wants(when, market, bidder, pd.Index(bidders), quantity, price, _capacity_at(capacity_mw, when))


def clearing_of(
    bids: pd.DataFrame, awarded: Floats, payment: Floats, times: pd.DatetimeIndex, price: Floats
) -> Clearing:
    """A `Clearing` from what each row was awarded and pays, and the price of each time; a zero has no sign."""
    return Clearing(
        bids.assign(quantity_mw=awarded + 0.0),
        pd.Series(payment + 0.0, index=bids.index, name="payment"),
        pd.Series(price + 0.0, index=times, name="price"),
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
    if not is_number(step_hours) or not 0 < step_hours < np.inf:
        raise DataError(f"step_hours must be above 0, a number of hours, got {told(step_hours)}")


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def require_number(value: object, name: str, unit: str) -> float:
    """
    A finite number; anything else is refused.

    Examples
    --------
    >>> require_number("5", "reserve_price", "$/MWh")
    Traceback (most recent call last):
    gridlab.errors.DataError: reserve_price must be finite, a number in $/MWh, got '5'
    """
    if not is_number(value) or not np.isfinite(value):
        raise DataError(f"{name} must be finite, a number in {unit}, got {told(value)}")
    return float(value)


def require_cleared(bids: pd.DataFrame, clearing: Clearing) -> None:
    """Refuse a clearing of other bids, or of the same in another order."""
    if not (clearing.awards.index.equals(bids.index) and clearing.payments.index.equals(bids.index)):
        raise DataError(
            f"clearing has {len(clearing.awards)} awards and {len(clearing.payments)} payments whose rows are not the "
            f"{len(bids)} of bids: pass the bids that were cleared"
        )
    for column in ("time", "bidder", "service"):
        own, awarded = bids[column], clearing.awards[column]
        if not own.equals(awarded):
            other = np.asarray(own.astype(object) != awarded.astype(object))
            if other.any():
                row = int(np.argmax(other))
                raise DataError(
                    f"clearing has the {column} {awarded.iloc[row]} in row {bids.index[row]} where bids have "
                    f"{own.iloc[row]}: pass the bids that were cleared"
                )


def by_time(value: float | pd.Series, times: pd.DatetimeIndex, name: str) -> Floats:
    """
    A number for all times, or that of each time in a Series by time.

    Raises
    ------
    DataError
        If it is neither, or the Series does not hold numbers, has a time twice or lacks one of `times`.

    Examples
    --------
    >>> by_time(5.0, pd.DatetimeIndex(["2024-01-01", "2024-01-02"], tz="UTC"), "capacity_mw").tolist()
    [5.0, 5.0]
    """
    if not isinstance(value, pd.Series):
        if not is_number(value):
            raise DataError(f"{name} must be a number or a Series by time, got {told(value)}")
        return np.full(len(times), float(value))
    if not pd.api.types.is_numeric_dtype(value):
        raise DataError(f"{name} must hold numbers, got {value.dtype}: use pd.to_numeric")
    if value.index.has_duplicates:
        raise DataError(f"{name} has {value.index[value.index.duplicated()][0]} twice: give each time one value")
    missing = times.difference(value.index)
    if len(missing):
        raise DataError(f"{name} has no value for {missing[0]}, for which there is a bid: add it")
    return np.asarray(value.reindex(times).to_numpy(float, na_value=np.nan))


def _capacity_at(capacity_mw: float | pd.Series, times: pd.DatetimeIndex) -> Floats:
    """The capacity at each time."""
    capacity = by_time(capacity_mw, times, "capacity_mw")
    every = capacity_mw.to_numpy(float, na_value=np.nan) if isinstance(capacity_mw, pd.Series) else [capacity_mw]
    stated = np.asarray(every, dtype=float)
    bad = ~((stated >= 0) & (stated < np.inf))
    if bad.any():
        raise DataError(f"capacity_mw must be at least 0 MW and finite, got {stated[bad][0]:g}")
    return capacity


def told(value: object) -> str:
    """How a message shows a value: a number or text as such, anything else by its type."""
    if is_number(value):
        return f"{value}"
    return repr(value) if value is None or isinstance(value, str | bool) else f"a {type(value).__name__}"
