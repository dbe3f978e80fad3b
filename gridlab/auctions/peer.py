"""Trade between neighbours: sellers and buyers matched over a network that loses some of what is sent."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.clearing import Clearing, by_time, clearing_of, is_number, refuse_row, told
from gridlab.auctions.crossing import Book, read_book, totals
from gridlab.errors import DataError
from gridlab.family import Family

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def clear_p2p(
    bids: pd.DataFrame,
    *,
    rule: str = "pro_rata",
    loss_share: float = 0.05,
    price: float | pd.Series | None = None,
    step_hours: float = 1.0,
) -> Clearing:
    r"""
    Match sellers with buyers when a share of the power sold is lost on its way.

    The power bought is the power sold times ``1 - loss_share``, at each time. A price is per MWh bought; what the
    buyers pay the sellers receive, so a seller gets ``price * (1 - loss_share)`` for a MWh sold. A trade takes place
    only where it creates value: ``bid * (1 - loss_share) >= offer``.

    - ``pro_rata``: all trade at one stated price. Those whose limits allow it take part; the short side is filled and
      the long side shares in proportion to its quantities.
    - ``price_ranked``: the highest bid meets the lowest offer, until a pair would lose. Each pair trades at the middle
      of what the two would accept, ``(bid + offer / (1 - loss_share)) / 2``, so that both gain. Among equal prices
      the earlier row comes first. No matching creates more value. `match_p2p` has the pairs.

    Bidders' names are not read: a name may be on both sides, and its rows may come in any order.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of one service; a quantity is offered (positive) or wanted (negative). A home's limits are
        usually the tariffs that it would pay or get elsewhere.
    rule : str
        ``pro_rata`` or ``price_ranked``.
    loss_share : float
        Share of the power sold that is lost, in [0, 1). [-]
    price : float or Series by time, optional
        Price of ``pro_rata``. By default the mid-market rate of each time: the middle between the highest bid and the
        lowest offer grossed up by the loss. Refused by ``price_ranked``. [$/MWh bought]
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    Clearing
        Payments sum to zero. `prices` are per MWh bought (for ``price_ranked`` the mean over the power bought), NaN
        where nothing is traded. No bids have the empty answer.

    Raises
    ------
    DataError
        If the table breaks its schema or has several services, `loss_share` is outside [0, 1), `rule` is unknown,
        `price` is not finite, has a time twice, lacks one or is given to ``price_ranked``, or a limit is infinite where
        a price has to be made of it.

    References
    ----------
    .. [1] C. Long, J. Wu, C. Zhang, L. Thomas, M. Cheng and N. Jenkins, "Peer-to-peer energy trading in a community
       microgrid," IEEE PES General Meeting, 2017, doi:10.1109/PESGM.2017.8274546 (the mid-market rate).

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[4.0, -1.8, -7.2], price=[10.0, 30.0, 25.0])
    >>> clearing = clear_p2p(bids, loss_share=0.1, price=20.0)
    >>> clearing.awards["quantity_mw"].round(9).tolist(), clearing.payments.round(9).tolist()
    ([4.0, -0.72, -2.88], [-72.0, 14.4, 57.6])
    >>> clear_p2p(bids, rule="price_ranked", loss_share=0.1).awards["quantity_mw"].round(9).tolist()
    [4.0, -1.8, -1.8]
    """
    book, kept = read_book(bids, step_hours), _kept(loss_share)
    awarded, rate, at = _RULES[rule](bids, book, kept, price)
    return clearing_of(bids, awarded, -rate * step_hours, book.times, at)


def match_p2p(bids: pd.DataFrame, *, loss_share: float = 0.05) -> pd.DataFrame:
    """
    The pairs of the price-ranked matching of `clear_p2p`.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of one service with finite prices; a quantity is offered (positive) or wanted (negative).
    loss_share : float
        Share of the power sold that is lost, in [0, 1). [-]

    Returns
    -------
    DataFrame
        One row a pair, in order of time and rank: `time`, `seller`, `buyer`, `seller_row`, `buyer_row` (labels of the
        bids' index), `sold_mw`, `bought_mw` and `price` [$/MWh bought].

    Raises
    ------
    DataError
        As `clear_p2p`.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[4.0, -1.8, -7.2], price=[9.0, 30.0, 25.0])
    >>> match_p2p(bids, loss_share=0.1)[["seller", "buyer", "sold_mw", "bought_mw", "price"]]
         seller     buyer  sold_mw  bought_mw  price
    0  bidder_0  bidder_1      2.0        1.8   20.0
    1  bidder_0  bidder_2      2.0        1.8   17.5
    """
    pairs = _pairs(bids, read_book(bids, 1.0), _kept(loss_share))
    return pd.DataFrame(
        {
            "time": bids["time"].array[pairs.seller],
            "seller": bids["bidder"].array[pairs.seller],
            "buyer": bids["bidder"].array[pairs.buyer],
            "seller_row": bids.index[pairs.seller],
            "buyer_row": bids.index[pairs.buyer],
            "sold_mw": pairs.sold,
            "bought_mw": pairs.bought,
            "price": pairs.price,
        }
    )


class _Pairs(NamedTuple):
    """Matched orders: positions of the rows, power sold and bought, price per MWh bought."""

    seller: Ints
    buyer: Ints
    sold: Floats
    bought: Floats
    price: Floats


_Price: TypeAlias = float | pd.Series | None


def _pro_rata(bids: pd.DataFrame, book: Book, kept: float, price: _Price) -> tuple[Floats, Floats, Floats]:
    """Power awarded and money received by row [$/h], and the price of each time."""
    at = _stated(bids, book, kept, price)
    received = at[book.market]
    received *= np.where(book.quantity > 0, kept, 1.0)
    takes_part = np.where(book.quantity > 0, book.limit <= received, book.limit >= received)
    awarded = np.where(takes_part, book.quantity, 0.0)
    offered, wanted = (totals(book.market, np.maximum(side * awarded, 0.0), len(at)) for side in (1, -1))
    bought = np.minimum(offered * kept, wanted)
    fill = np.stack([_share(bought, wanted), _share(bought, offered * kept)])
    awarded *= fill[(book.quantity > 0).astype(np.intp), book.market]
    return awarded, awarded * np.nan_to_num(received), np.where(bought > 0, at, np.nan)


def _price_ranked(bids: pd.DataFrame, book: Book, kept: float, price: _Price) -> tuple[Floats, Floats, Floats]:
    if price is not None:
        raise DataError("price_ranked makes the price of each pair of its limits: leave price out, or use pro_rata")
    pairs = _pairs(bids, book, kept)
    n_rows, paid = len(book.limit), pairs.bought * pairs.price
    awarded = np.bincount(pairs.seller, pairs.sold, n_rows) - np.bincount(pairs.buyer, pairs.bought, n_rows)
    received = np.bincount(pairs.seller, paid, n_rows) - np.bincount(pairs.buyer, paid, n_rows)
    at = book.market[pairs.buyer]
    bought, money = (np.bincount(at, values, len(book.times)).astype(float) for values in (pairs.bought, paid))
    mean = np.divide(money, bought, out=np.full(len(bought), np.nan), where=bought > 0)
    return awarded.astype(float), received.astype(float), mean


_Rule = Callable[[pd.DataFrame, Book, float, _Price], tuple[Floats, Floats, Floats]]
_RULES: Family[_Rule] = Family("rule of peer matching", {"pro_rata": _pro_rata, "price_ranked": _price_ranked})


def _kept(loss_share: float) -> float:
    """The share of the power sold that arrives."""
    if not (is_number(loss_share) and 0 <= loss_share < 1):
        raise DataError(f"loss_share must be in [0, 1), got {told(loss_share)}: at 1 nothing arrives")
    return 1.0 - loss_share


def _stated(bids: pd.DataFrame, book: Book, kept: float, price: _Price) -> Floats:
    """The price of each time, given or the mid-market rate; NaN where one side is missing."""
    if price is None:
        return _mid_market(bids, book, kept)
    at = by_time(price, book.times, "price")
    bad = ~np.isfinite(at)
    if bad.any():
        raise DataError(f"price must be finite, in $/MWh, got {at[bad][0]} at {book.times[int(np.argmax(bad))]}")
    return at


def _mid_market(bids: pd.DataFrame, book: Book, kept: float) -> Floats:
    live = book.quantity != 0
    remedy = "the mid-market rate needs finite limits: state them, or give price"
    refuse_row(bids, live & np.isinf(book.limit), "price", "is infinite", remedy, unit="$/MWh")
    highest, lowest = np.full(len(book.times), -np.inf), np.full(len(book.times), np.inf)
    buys, sells = book.quantity < 0, book.quantity > 0
    np.maximum.at(highest, book.market[buys], book.limit[buys])
    np.minimum.at(lowest, book.market[sells], book.limit[sells] / kept)
    both = np.isfinite(highest) & np.isfinite(lowest)
    middle = np.where(both, highest, 0.0) / 2 + np.where(both, lowest, 0.0) / 2
    return np.asarray(np.where(both, middle, np.nan))


def _pairs(bids: pd.DataFrame, book: Book, kept: float) -> _Pairs:
    from gridlab.auctions.peer_core import ranked_pairs

    live = book.quantity != 0
    remedy = "a pair's price is the middle of two limits, state them"
    refuse_row(bids, live & np.isinf(book.limit), "price", "is infinite", remedy, unit="$/MWh")
    sells, buys = np.flatnonzero(book.quantity > 0), np.flatnonzero(book.quantity < 0)
    sells = sells[np.lexsort((book.limit[sells], book.market[sells]))]
    buys = buys[np.lexsort((-book.limit[buys], book.market[buys]))]
    orders = [(book.market[rows], book.limit[rows], np.abs(book.quantity[rows])) for rows in (sells, buys)]
    seller, buyer, sold, bought = ranked_pairs(*orders[0], *orders[1], kept)
    price = book.limit[buys[buyer]] / 2 + book.limit[sells[seller]] / kept / 2
    return _Pairs(sells[seller], buys[buyer], sold, bought, price)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
