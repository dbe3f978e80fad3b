"""Divisible power under one cap: merit order, and the honest payments of Vickrey, Clarke and Groves."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.clearing import Clearing, Wants, clearing_of, refuse_row, wants
from gridlab.errors import DataError, PlanError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_ROWS = 10_000_000
"""The longest explanation that `explain_vcg` makes."""


def clear_vcg(
    bids: pd.DataFrame, capacity_mw: float | pd.Series, *, reserve_price: float = 0.0, step_hours: float = 1.0
) -> Clearing:
    r"""
    Sell divisible power so that it pays every bidder to state what the power is worth to it.

    For whole units, all of which or none a bidder takes, see `clear_vcg_blocks`.

    Power goes to the dearest marginal values first, which is where the sum of values :math:`W` is greatest, and
    bidder :math:`i` pays what its presence costs the others,

    .. math:: p_i = W(\text{without } i) - \bigl(W - \textstyle\sum_{\text{rows of } i} v_k q_k\bigr),

    the others' dearest marginal values that its award displaces and, where these run out, the reserve. They are read
    off the merit order; nothing is solved again.

    Because segments are divisible and marginal values do not rise, no bidder gains by bidding under several names and
    one more bidder never lowers the revenue; with blocks neither holds. Bidders that act together may still gain, and
    the revenue is at most that of one price for the same bids.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table; a quantity is power wanted, and positive. A bidder's rows of one time and service are its
        marginal values, one segment a row, from the dearest on; segments are divisible. All services share the cap,
        and a bidder may ask for several.
    capacity_mw : float or Series
        Power on sale, one number or one for each time. [MW]
    reserve_price : float
        What the seller keeps power for: it bids for the whole capacity at this price. A bid at the reserve is
        accepted. Below 0 it is what the seller pays at most to be rid of power. [$/MWh]
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    Clearing
        Rows at the marginal price share what is left in proportion to their quantity. A bidder's payment is divided
        over its rows in proportion to what they are worth above the reserve. The price is what one more MWh would be
        worth: the marginal row's price, the dearest losing one where no row is cut, the reserve where power is left.
        Rows at one price that lack no more than rounding of what they want, 1e-12 of the capacity and half of it, are
        served whole. No bids or no capacity award nothing, at a NaN price.

    Raises
    ------
    DataError
        If the table breaks its schema, a quantity is negative, a price, the capacity or `reserve_price` is not a finite
        number, the capacity is negative or lacks a time of the bids, `step_hours` is not above 0, a price is above
        that of the bidder's segment before, or a bidder comes twice for one time and service, its rows apart.

    References
    ----------
    .. [1] L. M. Ausubel and P. Milgrom, "The lovely but lonely Vickrey auction," in Combinatorial Auctions, MIT Press,
       2006, doi:10.7551/mitpress/9780262033428.003.0002.
    .. [2] W. Vickrey, "Counterspeculation, auctions, and competitive sealed tenders," J. Finance 16(1), 1961,
       doi:10.1111/j.1540-6261.1961.tb02789.x.

    Examples
    --------
    Two segments of the lab and one of the mill meet 3 MW; the lab's award displaces 1 MW of the mill's.

    >>> import pandas as pd
    >>> bids = pd.DataFrame({"time": pd.Timestamp("2024-01-01", tz="UTC"), "bidder": ["lab", "lab", "mill"],
    ...     "service": "power", "quantity_mw": [1.0, 1.0, 2.0], "price": [90.0, 60.0, 50.0]})
    >>> clearing = clear_vcg(bids, 3.0)
    >>> clearing.awards["quantity_mw"].tolist(), clearing.payments.round(9).tolist(), clearing.prices.tolist()
    ([1.0, 1.0, 1.0], [30.0, 20.0, 0.0], [50.0])
    """
    from gridlab.auctions import merit_order_core as core

    asked = wants(bids, capacity_mw, reserve_price=reserve_price, step_hours=step_hours)
    require_decreasing(bids, asked)
    merit = in_merit_order(asked, reserve_price)
    paid = core.payments(*_ranked(merit, asked), float(reserve_price))
    payment = np.empty_like(paid)
    payment[merit.order] = step_hours * paid
    return clearing_of(bids, merit.awarded, payment, asked.times, merit.price)


def explain_vcg(
    bids: pd.DataFrame,
    capacity_mw: float | pd.Series,
    *,
    reserve_price: float = 0.0,
    step_hours: float = 1.0,
    bidders: Sequence[str] | None = None,
) -> pd.DataFrame:
    """
    Explain the payments of `clear_vcg`: whose power each winner displaced, and what it was worth there.

    Parameters
    ----------
    bids, capacity_mw, reserve_price, step_hours
        As in `clear_vcg`.
    bidders : sequence of str, optional
        The winners to explain; all when omitted. Each may displace every losing row, so that the whole table has up to
        the product of the winners and the losing rows.

    Returns
    -------
    DataFrame
        One row for each winner and row of the bids that it displaced, wholly or in part: `time`, `bidder`, `displaced`
        (who would have had the power, ``"reserve"`` for the seller), `service` (what for, missing for the seller),
        `quantity_mw` [MW], `price` [$/MWh] and `amount` [$]. The quantities of a bidder sum to its award, the amounts
        to its payment. In order of time, bidder and price. No bids or no capacity have an empty table.

    Raises
    ------
    DataError
        As `clear_vcg`, or if one of `bidders` does not bid.
    PlanError
        If the table would have over `MOST_ROWS` rows.

    Examples
    --------
    >>> import pandas as pd
    >>> bids = pd.DataFrame({"time": pd.Timestamp("2024-01-01", tz="UTC"), "bidder": ["lab", "lab", "mill"],
    ...     "service": "power", "quantity_mw": [1.0, 1.0, 2.0], "price": [90.0, 60.0, 50.0]})
    >>> explain_vcg(bids, 3.0, reserve_price=20.0)[["bidder", "displaced", "quantity_mw", "price", "amount"]]
      bidder displaced  quantity_mw  price  amount
    0    lab      mill          1.0   50.0    50.0
    1    lab   reserve          1.0   20.0    20.0
    2   mill   reserve          1.0   20.0    20.0
    """
    from gridlab.auctions import merit_order_core as core

    asked = wants(bids, capacity_mw, reserve_price=reserve_price, step_hours=step_hours)
    require_decreasing(bids, asked)
    merit = in_merit_order(asked, reserve_price)
    curves = (*_ranked(merit, asked), _chosen(asked.bidders, bidders))
    n_rows = core.n_displacements(*curves, MOST_ROWS)
    if n_rows > MOST_ROWS:
        raise PlanError(f"the explanation would have over {MOST_ROWS:,} rows: name the winners to explain in bidders")
    market, winner, place, quantity = core.displacements(*curves, n_rows)
    row = np.append(merit.order, -1)[place]
    price = np.append(asked.price, reserve_price)[row]
    return pd.DataFrame(
        {
            "time": asked.times[market],
            "bidder": asked.bidders[winner],
            "displaced": bids["bidder"].astype(object).take(row).where(row >= 0, "reserve").to_numpy(),
            "service": bids["service"].take(row).where(row >= 0).to_numpy(),
            "quantity_mw": quantity,
            "price": price,
            "amount": quantity * price * step_hours,
        }
    )


class Merit(NamedTuple):
    """
    The rows of an auction of divisible power from the dearest on, and what each was awarded.

    Parameters
    ----------
    order : ndarray, shape (n_rows,)
        Rows of the bids, market by market, the dearest first, equal prices in the order of the table.
    start : ndarray, shape (n_times + 1,)
        Where each market starts in `order`.
    margin : ndarray, shape (n_times,)
        The first row that is not served whole, counted from the market's start.
    floor : ndarray, shape (n_times,)
        How many rows meet the reserve.
    awarded : ndarray, shape (n_rows,)
        Power awarded to each row. [MW]
    price : ndarray, shape (n_times,)
        What one more MWh would be worth, NaN where nothing was sold. [$/MWh]
    """

    order: Ints
    start: Ints
    margin: Ints
    floor: Ints
    awarded: Floats
    price: Floats


def in_merit_order(asked: Wants, reserve_price: float = 0.0) -> Merit:
    """
    Award each market's capacity to its dearest rows; rows at the marginal price share in proportion.

    Rows at one price that lack no more than rounding of what they want are served whole: 1e-12 of the capacity, and
    half of what they want.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[1.0, 2.0, 4.0], price=[30.0, 50.0, 30.0])
    >>> in_merit_order(wants(bids, 3.0)).awarded.tolist()
    [0.2, 2.0, 0.8]
    """
    return merit_of(asked.market, asked.quantity, asked.price, asked.capacity, reserve_price)


def merit_of(
    market: NDArray[np.intp], quantity: Floats, worth: Floats, capacity: Floats, reserve_price: float = 0.0
) -> Merit:
    """
    As `in_merit_order`, of arrays: the market of each row, its power and its worth, and each market's capacity.

    Examples
    --------
    >>> merit_of(np.zeros(2, int), np.ones(2), np.array([30.0, 50.0]), np.array([1.5])).awarded.tolist()
    [0.5, 1.0]
    """
    from gridlab.auctions import merit_order_core as core

    order, start = core.by_market(core.dearest_first(worth), market, len(capacity))
    ranked_awards, price, margin, floor = core.awards(
        start, worth[order], quantity[order], capacity, float(reserve_price)
    )
    awarded = np.empty_like(ranked_awards)
    awarded[order] = ranked_awards
    return Merit(order, start, margin, floor, awarded, price)


def require_decreasing(bids: pd.DataFrame, asked: Wants) -> None:
    """
    Refuse sealed curves that rise, and a bidder that comes twice for one time and service.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(2).assign(bidder="lab", quantity_mw=1.0, price=[30.0, 40.0])
    >>> require_decreasing(bids, wants(bids, 3.0))
    Traceback (most recent call last):
    gridlab.errors.DataError: bids['price'] is above the bidder's segment before in row 1, 40 $/MWh: marginal values ...
    """
    from gridlab.auctions import merit_order_core as core

    service, services = pd.factorize(bids["service"])
    cell = asked.market * len(services) + service
    n_cells = len(asked.times) * len(services)
    rises, opens, suspect = core.first_faults(cell, asked.bidder, asked.price, n_cells)
    if suspect:
        _refuse_twice(bids, np.flatnonzero(opens), cell * len(asked.bidders) + asked.bidder)
    remedy = "marginal values must not increase, sort them from the dearest on; what is whole or nothing is for blocks"
    refuse_row(
        bids, np.arange(len(bids)) == rises, "price", "is above the bidder's segment before", remedy, unit="$/MWh"
    )


def _ranked(merit: Merit, asked: Wants) -> tuple[Ints | Floats | int, ...]:
    """What the kernels of payments read, the rows in merit order."""
    rows = (field[merit.order] for field in (asked.price, asked.quantity, asked.bidder, merit.awarded))
    return (merit.start, *rows, merit.margin, merit.floor, len(asked.bidders))


def _refuse_twice(bids: pd.DataFrame, opens: Ints, curve: Ints) -> None:
    """Refuse the first curve that opens again."""
    again = pd.Series(curve[opens]).duplicated().to_numpy()
    if again.any():
        row = int(opens[np.argmax(again)])
        who = bids.iloc[row]
        raise DataError(
            f"bids['bidder'] has {who['bidder']} twice at {who['time']} for {who['service']}, again in row "
            f"{bids.index[row]}: a bidder states one curve, its segments in rows that follow each other"
        )


def _chosen(names: pd.Index, bidders: Sequence[str] | None) -> NDArray[np.bool_]:
    """Which of the bidders are asked for."""
    if bidders is None:
        return np.ones(len(names), dtype=bool)
    if isinstance(bidders, str) or not pd.api.types.is_list_like(bidders):
        raise DataError(f"bidders must be a sequence of names, got {bidders!r}: write [{bidders!r}]")
    known = set(names)
    unknown = [name for name in bidders if name not in known]
    if unknown:
        raise DataError(f"bidders has {unknown[0]}, who does not bid: ask for a name in bids['bidder']")
    return np.asarray(names.isin(list(bidders)))
