"""What auction houses use: one price for all, everyone its own bid, and one lot to the greatest."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.clearing import Clearing, Wants, clearing_of, require_number, wants
from gridlab.auctions.merit_order import Merit, in_merit_order, require_decreasing
from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_MOST = float(np.finfo(float).max)  # stands for the price of a bid at any price


def clear_uniform(
    bids: pd.DataFrame,
    capacity_mw: float | pd.Series | None = None,
    *,
    reserve_price: float = 0.0,
    step_hours: float = 1.0,
) -> Clearing:
    """
    Clear at one price for each time: power on sale or, without `capacity_mw`, offers against bids to buy.

    With a capacity the dearest rows are served and all pay what one more MWh would be worth: the dearest losing row
    where no row is cut, the marginal row's own price where one is, the reserve where power is left.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of divisible segments, as in `clear_vcg`: a quantity is power wanted, and positive; a bid at
        ``inf`` buys at any price. Without `capacity_mw` as in `clear_double`: a quantity is offered (positive) or
        wanted (negative), so that positive rows alone are offers that no one takes, and clear to nothing.
    capacity_mw : float or Series, optional
        Power on sale, one number or one for each time. [MW]
    reserve_price : float
        What the seller keeps power for; a bid at the reserve is accepted. [$/MWh]
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    Clearing
        Rows at the marginal price share what is left in proportion to their quantity. No bids or no capacity award
        nothing, at a NaN price.

    Raises
    ------
    DataError
        As `clear_vcg`, if bids at any price leave no other to set the price, or if `reserve_price` is given
        without a capacity.

    References
    ----------
    .. [1] V. Krishna, "Auction Theory," 2nd ed., Academic Press, 2010, ch. 12, doi:10.1016/C2009-0-22474-3.

    Examples
    --------
    >>> import pandas as pd
    >>> bids = pd.DataFrame({"time": pd.Timestamp("2024-01-01", tz="UTC"), "bidder": ["lab", "lab", "mill"],
    ...     "service": "power", "quantity_mw": [1.0, 1.0, 2.0], "price": [90.0, 60.0, 50.0]})
    >>> clearing = clear_uniform(bids, 2.0)
    >>> clearing.awards["quantity_mw"].tolist(), clearing.payments.tolist(), clearing.prices.tolist()
    ([1.0, 1.0, 0.0], [50.0, 50.0, 0.0], [50.0])
    """
    if capacity_mw is None:
        return _clear_two_sides(bids, reserve_price, step_hours)
    finite = bids.assign(price=validate(bids, "bids")["price"].clip(-_MOST, _MOST))
    asked, merit = _awarded(finite, capacity_mw, reserve_price, step_hours)
    if (merit.price >= _MOST).any():
        when = asked.times[int(np.argmax(merit.price >= _MOST))]
        raise DataError(f"bids at any price alone set the price at {when}: give one of them a price, or sell more")
    paid = np.nan_to_num(merit.price)[asked.market] * merit.awarded
    return clearing_of(bids, merit.awarded, step_hours * paid, asked.times, merit.price)


def clear_pay_as_bid(
    bids: pd.DataFrame, capacity_mw: float | pd.Series, *, reserve_price: float = 0.0, step_hours: float = 1.0
) -> Clearing:
    """
    Sell divisible power to the dearest rows, each of which pays its own price.

    Parameters
    ----------
    bids, capacity_mw, reserve_price, step_hours
        As in `clear_vcg`: a quantity is power wanted, and positive.

    Returns
    -------
    Clearing
        Awards and prices as in `clear_uniform`; the prices are what one more MWh would be worth, which nobody pays.

    Raises
    ------
    DataError
        As `clear_vcg`.

    References
    ----------
    .. [1] V. Krishna, "Auction Theory," 2nd ed., Academic Press, 2010, ch. 12, doi:10.1016/C2009-0-22474-3.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=1.0, price=[30.0, 50.0, 40.0])
    >>> clear_pay_as_bid(bids, 1.5).payments.tolist()
    [0.0, 50.0, 20.0]
    """
    asked, merit = _awarded(bids, capacity_mw, reserve_price, step_hours)
    return clearing_of(bids, merit.awarded, step_hours * merit.awarded * asked.price, asked.times, merit.price)


def clear_first_price(bids: pd.DataFrame, *, reserve_price: float = 0.0, step_hours: float = 1.0) -> Clearing:
    """
    Sell one indivisible lot at each time to the highest bid, which pays its own price.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table, one row for each bidder and time; the lot is the quantity, positive and the same in all rows of
        a time.
    reserve_price : float
        Least price at which the lot is sold. [$/MWh]
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    Clearing
        A tie goes to the earliest row. The price is what the winner pays, NaN where no bid meets the reserve or the lot
        is of nothing. No bids have the empty answer.

    Raises
    ------
    DataError
        If the table breaks its schema, a quantity is negative, a price or `reserve_price` is not a finite number,
        `step_hours` is not above 0, a bidder comes twice at a time, or a time has lots of several quantities or
        services.

    References
    ----------
    .. [1] V. Krishna, "Auction Theory," 2nd ed., Academic Press, 2010, ch. 2, doi:10.1016/C2009-0-22474-3.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=2.0, price=[30.0, 50.0, 40.0])
    >>> clear_first_price(bids).payments.tolist()
    [0.0, 100.0, 0.0]
    """
    return _sell_lot(bids, 0, reserve_price, step_hours)


def clear_second_price(bids: pd.DataFrame, *, reserve_price: float = 0.0, step_hours: float = 1.0) -> Clearing:
    """
    Sell one indivisible lot at each time to the highest bid, which pays the second highest or the reserve.

    It pays every bidder to state what the lot is worth to it.

    Parameters
    ----------
    bids, reserve_price, step_hours
        As in `clear_first_price`.

    Returns
    -------
    Clearing
        A tie goes to the earliest row, which then pays its own price. NaN is the price where no bid meets the reserve.

    Raises
    ------
    DataError
        As `clear_first_price`.

    References
    ----------
    .. [1] W. Vickrey, "Counterspeculation, auctions, and competitive sealed tenders," J. Finance 16(1), 1961,
       doi:10.1111/j.1540-6261.1961.tb02789.x.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=2.0, price=[30.0, 50.0, 40.0])
    >>> clear_second_price(bids).payments.tolist(), clear_second_price(bids, reserve_price=45.0).payments.tolist()
    ([0.0, 80.0, 0.0], [0.0, 90.0, 0.0])
    """
    return _sell_lot(bids, 1, reserve_price, step_hours)


def _clear_two_sides(bids: pd.DataFrame, reserve_price: float, step_hours: float) -> Clearing:
    from gridlab.auctions.double import clear_double

    if require_number(reserve_price, "reserve_price", "$/MWh") != 0:
        raise DataError(f"reserve_price = {reserve_price} needs capacity_mw: where two sides meet, offer at that price")
    return clear_double(bids, rule="uniform", step_hours=step_hours)


def _awarded(
    bids: pd.DataFrame, capacity_mw: float | pd.Series, reserve_price: float, step_hours: float
) -> tuple[Wants, Merit]:
    asked = wants(bids, capacity_mw, reserve_price=reserve_price, step_hours=step_hours)
    require_decreasing(bids, asked)
    return asked, in_merit_order(asked, reserve_price)


def _sell_lot(bids: pd.DataFrame, paying: int, reserve_price: float, step_hours: float) -> Clearing:
    """Sell each time's lot to the highest bid at the price of the one `paying` places below it, or the reserve."""
    asked = wants(bids, 0.0, reserve_price=reserve_price, step_hours=step_hours)
    _require_lots(bids, asked)
    order = np.lexsort((-asked.price, asked.market))
    first = np.searchsorted(asked.market[order], np.arange(len(asked.times)))
    after = np.append(first[1:], len(bids))
    winner = order[first]
    sold = (asked.price[winner] >= reserve_price) & (asked.quantity[winner] > 0)
    payer = order[np.minimum(first + paying, after - 1)]
    price = np.where(first + paying < after, np.maximum(asked.price[payer], reserve_price), reserve_price)
    awarded = np.zeros(len(bids))
    awarded[winner[sold]] = asked.quantity[winner[sold]]
    price = np.where(sold, price, np.nan)
    paid = np.nan_to_num(price)[asked.market] * awarded
    return clearing_of(bids, awarded, step_hours * paid, asked.times, price)


def _require_lots(bids: pd.DataFrame, asked: Wants) -> None:
    """Refuse a bidder that comes twice at a time, and lots that are not one."""
    twice = pd.DataFrame({"market": asked.market, "bidder": asked.bidder}).duplicated().to_numpy()
    if twice.any():
        row = int(np.argmax(twice))
        who = bids["bidder"].iloc[row]
        raise DataError(
            f"bids['bidder'] has {who} twice at {bids['time'].iloc[row]}, again in row {bids.index[row]}: "
            "one lot takes one bid of each; several segments are for clear_vcg"
        )
    for column, unit in (("quantity_mw", " MW"), ("service", "")):
        first = bids.groupby(asked.market, sort=False)[column].transform("first")
        other = (bids[column] != first).to_numpy()
        if other.any():
            row = int(np.argmax(other))
            raise DataError(
                f"bids['{column}'] is {bids[column].iloc[row]}{unit} in row {bids.index[row]} and "
                f"{first.iloc[row]}{unit} in another of {bids['time'].iloc[row]}: all rows of a time bid for one lot"
            )
