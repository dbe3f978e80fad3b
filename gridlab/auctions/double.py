"""Markets with two sides: offers against bids to buy."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.clearing import Clearing, clearing_of, is_number, refuse_row, told
from gridlab.auctions.crossing import Book, award, between, clearing_interval, clearing_price, curves, read_book, totals
from gridlab.errors import DataError
from gridlab.family import Family

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]
_Coins: TypeAlias = np.random.Generator | None


def clear_double(
    bids: pd.DataFrame,
    *,
    rule: str = "uniform",
    k: float = 0.5,
    step_hours: float = 1.0,
    rng: np.random.Generator | None = None,
) -> Clearing:
    """
    Clear offers against bids to buy; each time is a market of its own.

    ================= ========= ======== ================ ====================================================
    rule              efficient truthful money left over  who trades, at what price
    ================= ========= ======== ================ ====================================================
    ``uniform``       yes       no       0                where supply meets demand, all at one price
    ``pay_as_bid``    yes       no       0 or more        the same, each at its own limit; the market keeps the rest
    ``vcg``           yes       yes      0 or a deficit   the same, each at the harm that it does to the others
    ``mcafee``        nearly    yes      0 or more        traders of one unit; the least valuable trade may fall
    ``muda``          in large  yes      0 or more        two random halves, each at the other's price, the long
                      markets                             side by a Vickrey auction with that price as reserve
    ``muda_lottery``  in large  yes      0                the same, the long side served in a random order
                      markets
    ================= ========= ======== ================ ====================================================

    By the uniform rule the price lies in the interval of prices that clear the market, at the share `k` of the way up
    (at its finite end where the other is infinite), and rows exactly at the price share what is left in proportion to
    their quantities. Supply meets demand if they differ by no more than rounding: by 1e-12 of their sum, and by half of
    the power at the next price. McAfee's rule gives a unit that two traders value the same to the earlier row; where
    either side has no next trader it drops the last trade. Efficient is meant by the prices that are bid. Truthful
    means that no trader gains by another price or quantity than its own, whatever the others do (for ``muda`` whatever
    the coins fall); a trader is whoever has one name at a time.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of one service; a quantity is offered (positive) or wanted (negative). Under ``uniform`` offers
        may be at ``-inf``, bids to buy at ``inf``, and a bidder may be on both sides; under ``pay_as_bid`` alike, with
        finite prices. Elsewhere prices are finite and the rows of a bidder stand together, on one side, best price
        first for the market (offers ascend, bids to buy descend): its marginal values decrease.
    rule : str
        A name of the table above.
    k : float
        Where in the interval of clearing prices the price lies, from 0 (the sellers' end) to 1. Not for ``mcafee``. [-]
    step_hours : float
        Length of an interval. [h]
    rng : Generator, optional
        Tosses the coins of ``muda`` and ``muda_lottery``, one for each trader in order of time and name; needed there.

    Returns
    -------
    Clearing
        Quantities awarded sum to zero at each time. The payments sum to what the market keeps (a negative sum is the
        deficit that someone must bear). `prices` are of the uniform rule under ``vcg`` and ``pay_as_bid``; NaN where
        nothing is traded and where buyers and sellers trade at several prices (``muda``, and ``mcafee`` when it drops a
        trade). No bids have the empty answer, no trade a price of NaN.

    Raises
    ------
    DataError
        If the table breaks its schema or a rule above, has several services, only price takers are left to set a price,
        `rule` is unknown, `k` is outside [0, 1], or `rng` is not a Generator or is missing where coins are tossed.

    References
    ----------
    .. [1] A. Rustichini, M. A. Satterthwaite and S. R. Williams, "Convergence to efficiency in a simple market with
       incomplete information," Econometrica 62(5), 1994, doi:10.2307/2951506 (the k-double auction).
    .. [2] R. P. McAfee, "A dominant strategy double auction," J. Economic Theory 56(2), 1992,
       doi:10.1016/0022-0531(92)90091-U.
    .. [3] E. Segal-Halevi, A. Hassidim and Y. Aumann, "MUDA: a truthful multi-unit double-auction mechanism," AAAI
       2018, arXiv:1712.06848.
    .. [4] W. Vickrey, "Counterspeculation, auctions, and competitive sealed tenders," J. Finance 16(1), 1961,
       doi:10.1111/j.1540-6261.1961.tb02789.x (two sides, and their deficit).

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[3.0, -4.0, 2.0], price=[10.0, 50.0, 30.0])
    >>> clearing = clear_double(bids)
    >>> clearing.awards["quantity_mw"].tolist(), clearing.prices.tolist(), clearing.payments.tolist()
    ([3.0, -4.0, 1.0], [30.0], [-90.0, 120.0, -30.0])
    >>> clear_double(bids, rule="vcg").payments.tolist()  # the buyer pays the costs; without row 0 its 2 MW are lost
    [-130.0, 60.0, -50.0]
    """
    book = read_book(bids, step_hours)
    if not (is_number(k) and 0 <= k <= 1):
        raise DataError(f"k must be in [0, 1], got {told(k)}")
    if not (rng is None or isinstance(rng, np.random.Generator)):
        raise DataError(f"rng must be a numpy.random.Generator, got {told(rng)}: use numpy.random.default_rng")
    outcome = _RULES[rule](bids, book, k, rng)
    payment = -outcome.awarded * np.nan_to_num(outcome.rate) * step_hours
    return clearing_of(bids, outcome.awarded, payment, book.times, outcome.price)


class _Outcome(NamedTuple):
    """Power awarded and price paid or received by row, and the price of each market."""

    awarded: Floats
    rate: Floats
    price: Floats


def _uniform(bids: pd.DataFrame, book: Book, k: float, rng: _Coins) -> _Outcome:
    price = clearing_price(curves(book.market, book.limit, book.quantity), len(book.times), k)
    if np.isinf(price).any():
        raise DataError(
            f"only price takers set the price at {book.times[int(np.argmax(np.isinf(price)))]}: "
            "give them a floor and a cap (bids.bid_price_taker), or add a bid with a price"
        )
    return _Outcome(award(book.market, book.limit, book.quantity, price), price[book.market], price)


def _pay_as_bid(bids: pd.DataFrame, book: Book, k: float, rng: _Coins) -> _Outcome:
    remedy = "each row pays or is paid its own price here, state it"
    refuse_row(bids, np.isinf(book.limit), "price", "is infinite", remedy, unit="$/MWh")
    return _uniform(bids, book, k, rng)._replace(rate=book.limit)


def _vcg(bids: pd.DataFrame, book: Book, k: float, rng: _Coins) -> _Outcome:
    trader = _traders(bids, book)
    awarded, _, price = _uniform(bids, book, k, rng)
    rate = np.zeros_like(awarded)
    for rows in _by_group(book.market, len(price)):
        rate[rows] = _vickrey_rates(
            awarded[rows], book.limit[rows], book.quantity[rows], trader[rows], price[book.market[rows[0]]]
        )
    return _Outcome(awarded, rate, price)


def _mcafee(bids: pd.DataFrame, book: Book, k: float, rng: _Coins) -> _Outcome:
    _one_unit_each(bids, book, _traders(bids, book))
    awarded, rate = np.zeros_like(book.quantity), np.zeros_like(book.quantity)
    price = np.full(len(book.times), np.nan)
    for rows in _by_group(book.market, len(price)):
        buyers, sellers = rows[book.quantity[rows] < 0], rows[book.quantity[rows] > 0]
        buyers = buyers[np.argsort(-book.limit[buyers], kind="stable")]
        sellers = sellers[np.argsort(book.limit[sellers], kind="stable")]
        trades, paid, received = _trade_reduction(book.limit[buyers], book.limit[sellers])
        for side, at in ((buyers[:trades], paid), (sellers[:trades], received)):
            awarded[side], rate[side] = book.quantity[side], at
        if trades and paid == received:
            price[book.market[rows[0]]] = paid
    return _Outcome(awarded, rate, price)


def _muda(bids: pd.DataFrame, book: Book, k: float, rng: _Coins) -> _Outcome:
    trader, coins = _tossed(bids, book, rng)
    half, given, active = _halves(book, k, coins[trader, 0])
    limit, long_side = _short_side_at(half, book.limit, active, given)
    reached = clearing_price(curves(half, limit, active), len(given), k)
    awarded, rate = award(half, limit, active, reached), given[half]
    for rows in _by_group(half, len(given)):
        here, own = half[rows[0]], np.sign(active[rows]) == long_side[half[rows[0]]]
        paid = _vickrey_rates(awarded[rows], limit[rows], active[rows], trader[rows], reached[here])
        rate[rows] = np.where(own, paid, rate[rows])
    return _Outcome(awarded, rate, np.full(len(book.times), np.nan))


def _muda_lottery(bids: pd.DataFrame, book: Book, k: float, rng: _Coins) -> _Outcome:
    trader, coins = _tossed(bids, book, rng)
    half, given, active = _halves(book, k, coins[trader, 0])
    traded = np.minimum(*(totals(half, np.maximum(side * active, 0.0), len(given)) for side in (1, -1)))
    awarded = np.zeros_like(active)
    order = np.lexsort((coins[trader, 1], half))
    for side in (1, -1):
        wanted = np.maximum(side * active, 0.0)[order]
        before = pd.Series(wanted).groupby(half[order]).cumsum().to_numpy() - wanted
        awarded[order] += side * np.clip(traded[half[order]] - before, 0.0, wanted)
    return _Outcome(awarded, given[half], np.full(len(book.times), np.nan))


_Rule = Callable[[pd.DataFrame, Book, float, _Coins], _Outcome]
_RULES: Family[_Rule] = Family(
    "rule of a double auction",
    {
        "uniform": _uniform,
        "pay_as_bid": _pay_as_bid,
        "vcg": _vcg,
        "mcafee": _mcafee,
        "muda": _muda,
        "muda_lottery": _muda_lottery,
    },
)


def _traders(bids: pd.DataFrame, book: Book) -> Ints:
    """Number of the trader of each row, in order of time and name; refuses what a truthful rule cannot take."""
    remedy = "a truthful rule needs a price that the trader stands by"
    refuse_row(bids, np.isinf(book.limit), "price", "is infinite", remedy, unit="$/MWh")
    names, labels = pd.factorize(bids["bidder"], sort=True)
    trader = pd.factorize(book.market * max(len(labels), 1) + names, sort=True)[0]
    side = np.sign(book.quantity)
    sold, bought = (totals(trader, side == s, len(trader) + 1) > 0 for s in (1, -1))
    _refuse_trader(bids, (sold & bought)[trader], "is on both sides", "keep its offers or its bids to buy")
    starts = np.flatnonzero(np.r_[True, np.diff(trader) != 0][: len(trader)])
    again = np.zeros(len(trader), dtype=bool)
    again[starts] = pd.Series(trader[starts]).duplicated().to_numpy()
    _refuse_trader(bids, again, "comes twice, in separate places", "put its rows together, or drop the duplicate")
    live = np.flatnonzero(side)
    turns = np.diff(trader[live]) == 0
    turns &= side[live][1:] * np.diff(book.limit[live]) < 0
    wrong = np.zeros(len(trader), dtype=bool)
    wrong[live[1:][turns]] = True
    remedy = "prices of offers must not fall from row to row and those of bids to buy not rise"
    refuse_row(bids, wrong, "price", "is out of order", remedy, unit="$/MWh")
    return np.asarray(trader)


def _refuse_trader(bids: pd.DataFrame, bad: Flags, what: str, remedy: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"bidder '{bids['bidder'].iloc[row]}' {what} at {bids['time'].iloc[row]}, row {bids.index[row]}: {remedy}"
        )


def _one_unit_each(bids: pd.DataFrame, book: Book, trader: Ints) -> None:
    """Refuse rows that are not the one unit of their trader."""
    size = np.abs(book.quantity)
    unit = np.zeros(len(book.times))
    np.maximum.at(unit, book.market, size)
    odd = (size > 0) & ~np.isclose(size, unit[book.market], rtol=1e-9, atol=0.0)
    remedy = (
        f"mcafee trades one unit size at a time, here {unit[book.market][odd].max(initial=0.0):g} MW; muda takes any"
    )
    refuse_row(bids, odd, "quantity_mw", "is not a unit", remedy, unit="MW")
    second = pd.Series(trader).where(size > 0).dropna().duplicated().reindex(range(len(size)), fill_value=False)
    _refuse_trader(bids, second.to_numpy(bool), "has a second unit", "mcafee trades one unit a trader; muda takes more")


def _trade_reduction(buyers: Floats, sellers: Floats) -> tuple[int, float, float]:
    """Number of trades, what buyers pay and what sellers get, of values in order of merit (McAfee 1992)."""
    both = min(len(buyers), len(sellers))
    k = int(np.count_nonzero(buyers[:both] >= sellers[:both]))
    if k == 0:
        return 0, np.nan, np.nan
    if k < both:
        price = buyers[k] + (sellers[k] - buyers[k]) / 2
        if sellers[k - 1] <= price <= buyers[k - 1]:
            return k, price, price
    return k - 1, float(buyers[k - 1]), float(sellers[k - 1])


def _tossed(bids: pd.DataFrame, book: Book, rng: _Coins) -> tuple[Ints, Floats]:
    """The trader of each row, and two numbers in [0, 1) for each trader: its half's and its turn's in a lottery."""
    if rng is None:
        raise DataError("muda tosses coins: give it rng, a numpy.random.Generator")
    trader = _traders(bids, book)
    return trader, rng.random((int(trader.max(initial=-1)) + 1, 2))


def _halves(book: Book, k: float, coin: Floats) -> tuple[Ints, Floats, Floats]:
    """Half of each row, price that each half is given, and power that trades at it."""
    half = 2 * book.market + (coin < 0.5)
    n_halves, live = 2 * len(book.times), book.quantity != 0
    low, high, _ = clearing_interval(curves(half[live], book.limit[live], book.quantity[live]), n_halves)
    own = np.where(low <= high, between(low, high, k), np.nan)
    given = own.reshape(-1, 2)[:, ::-1].ravel()
    active = np.where(np.sign(book.quantity) * (given[half] - book.limit) >= 0, book.quantity, 0.0)
    return half, given, active


def _short_side_at(half: Ints, limit: Floats, active: Floats, given: Floats) -> tuple[Floats, Floats]:
    """The limits with those of each half's short side moved to the given price, and the sign of the long side."""
    supply, demand = (totals(half, np.maximum(side * active, 0.0), len(given)) for side in (1, -1))
    long_side = np.where(demand >= supply, -1.0, 1.0)
    moved = (active != 0) & (np.sign(active) != long_side[half])
    return np.where(moved, given[half], limit), long_side


def _vickrey_rates(awarded: Floats, limit: Floats, quantity: Floats, trader: Ints, price: float) -> Floats:
    """
    Average price of each row by Vickrey's rule in one market, `price` being one that clears it.

    Without a buyer its award would go to the best of the others' bids to buy that were turned down and of the offers
    that would stay with their owners: what it pays. Without a seller its award would come out of the least valuable of
    the others' purchases and of the offers that were turned down: what it is paid.
    """
    if np.isnan(price):
        return np.zeros_like(awarded)
    trader = np.unique(trader, return_inverse=True)[1]
    rate = np.full(len(awarded), price)
    for side in (-1.0, 1.0):
        own = np.sign(quantity) == side
        need = np.bincount(trader, np.abs(awarded) * own).astype(float)
        size = np.where(own, np.abs(quantity) - np.abs(awarded), np.abs(awarded))
        rungs = np.flatnonzero(size > 0)
        rungs = rungs[np.argsort(side * limit[rungs], kind="stable")]
        worth = _first_of_others(need, trader[rungs], own[rungs], size[rungs], limit[rungs] - price)
        mean = price + side * np.maximum(side * np.divide(worth, need, out=np.zeros_like(need), where=need > 0), 0.0)
        rate = np.where(own, mean[trader], rate)
    return rate


def _first_of_others(need: Floats, trader: Ints, own: Flags, size: Floats, value: Floats) -> Floats:
    """What the first `need` MW of a ladder are worth to each trader that must step over its own rungs."""
    top = np.cumsum(size)
    before = pd.Series(size * own).groupby(trader).cumsum().to_numpy() - size * own
    stepped = size * (own & (top - size - before < need[trader]))
    reach = need + np.bincount(trader, stepped, len(need))
    worth = np.interp(reach, np.r_[0.0, top], np.r_[0.0, np.cumsum(size * value)])
    return np.asarray(worth - np.bincount(trader, stepped * value, len(need)))


def _by_group(group: Ints, n_groups: int) -> list[Ints]:
    """The rows of each group that has any."""
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(group, minlength=n_groups))[:-1]) if n_groups else []
    return [rows for rows in parts if len(rows)]
