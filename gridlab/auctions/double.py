"""Markets with two sides: offers against bids to buy."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.clearing import Clearing, clearing_of, refuse_row, require_step
from gridlab.errors import DataError
from gridlab.family import Family
from gridlab.schema import validate

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


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
    ``vcg``           yes       yes      0 or a deficit   the same, each at the harm that it does to the others
    ``mcafee``        nearly    yes      0 or more        traders of one unit; the least valuable trade may fall
    ``muda``          in large  yes      0 or more        two random halves, each at the other's price, the long
                      markets                             side by a Vickrey auction with that price as reserve
    ``muda_lottery``  in large  yes      0                the same, the long side served in a random order
                      markets
    ================= ========= ======== ================ ====================================================

    By the uniform rule the price lies in the interval of prices that clear the market, at the share `k` of the way up
    (at its finite end where the other is infinite), and rows exactly at the price share what is left in proportion to
    their quantities. McAfee's rule gives a unit that two traders value the same to the earlier row; where either side
    has no next trader it drops the last trade. Truthful means that no trader gains by another price or quantity than
    its own, whatever the others do (for ``muda`` whatever the coins fall); a trader is whoever has one name at a time.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of one service. Under ``uniform`` offers may be at ``-inf``, bids to buy at ``inf``, and a bidder
        may be on both sides. Elsewhere prices are finite and the rows of a bidder stand together, on one side, best
        price first for the market (offers ascend, bids to buy descend): its marginal values decrease.
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
        deficit that someone must bear). `prices` are of the uniform rule under ``vcg``; NaN where nothing is traded and
        where buyers and sellers trade at several prices (``muda``, and ``mcafee`` when it drops a trade).

    Raises
    ------
    DataError
        If the table breaks its schema or a rule above, has several services, only price takers are left to set a price,
        `rule` is unknown, `k` is outside [0, 1], or `rng` is missing where coins are tossed.

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
    book = _book(bids, k, step_hours)
    outcome = _RULES[rule](bids, book, rng)
    payment = -outcome.awarded * np.nan_to_num(outcome.rate) * step_hours
    return clearing_of(bids, outcome.awarded, payment, book.times, outcome.price)


class _Book(NamedTuple):
    """The rows of the bids as arrays; each time is a market."""

    times: pd.DatetimeIndex
    market: Ints
    limit: Floats
    quantity: Floats
    k: float


class _Outcome(NamedTuple):
    """Power awarded and price paid or received by row, and the price of each market."""

    awarded: Floats
    rate: Floats
    price: Floats


class _Curves(NamedTuple):
    """Supply and demand at each price that is bid, by market: with and without the bids at that very price."""

    market: Ints
    price: Floats
    supply_to: Floats
    supply_below: Floats
    demand_from: Floats
    demand_above: Floats


def _uniform(bids: pd.DataFrame, book: _Book, rng: np.random.Generator | None) -> _Outcome:
    curves = _curves(book.market, book.limit, book.quantity)
    price = _clearing_price(curves, len(book.times), book.k)
    if np.isinf(price).any():
        raise DataError(
            f"only price takers set the price at {book.times[int(np.argmax(np.isinf(price)))]}: "
            "give them a floor and a cap (bids.bid_price_taker), or add a bid with a price"
        )
    return _Outcome(_award(book.market, book.limit, book.quantity, price), price[book.market], price)


def _vcg(bids: pd.DataFrame, book: _Book, rng: np.random.Generator | None) -> _Outcome:
    trader = _traders(bids, book)
    awarded, _, price = _uniform(bids, book, rng)
    rate = np.zeros_like(awarded)
    for rows in _by_group(book.market, len(price)):
        rate[rows] = _vickrey_rates(
            awarded[rows], book.limit[rows], book.quantity[rows], trader[rows], price[book.market[rows[0]]]
        )
    return _Outcome(awarded, rate, price)


def _mcafee(bids: pd.DataFrame, book: _Book, rng: np.random.Generator | None) -> _Outcome:
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


def _muda(bids: pd.DataFrame, book: _Book, rng: np.random.Generator | None) -> _Outcome:
    half, given, active, _ = _halves(bids, book, rng)
    limit, long_side = _short_side_at(half, book.limit, active, given)
    reached = _clearing_price(_curves(half, limit, active), len(given), book.k)
    awarded, rate = _award(half, limit, active, reached), given[half]
    trader = _traders(bids, book)
    for rows in _by_group(half, len(given)):
        here, own = half[rows[0]], np.sign(active[rows]) == long_side[half[rows[0]]]
        paid = _vickrey_rates(awarded[rows], limit[rows], active[rows], trader[rows], reached[here])
        rate[rows] = np.where(own, paid, rate[rows])
    return _Outcome(awarded, rate, np.full(len(book.times), np.nan))


def _muda_lottery(bids: pd.DataFrame, book: _Book, rng: np.random.Generator | None) -> _Outcome:
    half, given, active, turn = _halves(bids, book, rng)
    traded = np.minimum(*(_totals(half, np.maximum(side * active, 0.0), len(given)) for side in (1, -1)))
    awarded = np.zeros_like(active)
    order = np.lexsort((turn, half))
    for side in (1, -1):
        wanted = np.maximum(side * active, 0.0)[order]
        before = pd.Series(wanted).groupby(half[order]).cumsum().to_numpy() - wanted
        awarded[order] += side * np.clip(traded[half[order]] - before, 0.0, wanted)
    return _Outcome(awarded, given[half], np.full(len(book.times), np.nan))


_Rule = Callable[[pd.DataFrame, _Book, np.random.Generator | None], _Outcome]
_RULES: Family[_Rule] = Family(
    "rule of a double auction",
    {"uniform": _uniform, "vcg": _vcg, "mcafee": _mcafee, "muda": _muda, "muda_lottery": _muda_lottery},
)


def _book(bids: pd.DataFrame, k: float, step_hours: float) -> _Book:
    services = validate(bids, "bids")["service"].unique()
    if len(services) > 1:
        raise DataError(f"bids hold {len(services)} services ({', '.join(services)}): clear one at a time")
    if not 0 <= k <= 1:
        raise DataError(f"k must be in [0, 1], got {k}")
    require_step(step_hours)
    market, times = pd.factorize(bids["time"], sort=True)
    limit, quantity = bids["price"].to_numpy(float), bids["quantity_mw"].to_numpy(float)
    return _Book(pd.DatetimeIndex(times, name="time"), market, limit, quantity, k)


def _traders(bids: pd.DataFrame, book: _Book) -> Ints:
    """Number of the trader of each row, in order of time and name; refuses what a truthful rule cannot take."""
    remedy = "a truthful rule needs a price that the trader stands by"
    refuse_row(bids, np.isinf(book.limit), "price", "is infinite", remedy, unit="$/MWh")
    names, labels = pd.factorize(bids["bidder"], sort=True)
    trader = pd.factorize(book.market * max(len(labels), 1) + names, sort=True)[0]
    side = np.sign(book.quantity)
    sold, bought = (_totals(trader, side == s, len(trader) + 1) > 0 for s in (1, -1))
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


def _one_unit_each(bids: pd.DataFrame, book: _Book, trader: Ints) -> None:
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


def _halves(bids: pd.DataFrame, book: _Book, rng: np.random.Generator | None) -> tuple[Ints, Floats, Floats, Floats]:
    """Half of each row, price that each half is given, power that trades at it, and each row's turn in a lottery."""
    if rng is None:
        raise DataError("muda tosses coins: give it rng, a numpy.random.Generator")
    trader = _traders(bids, book)
    coins = rng.random((int(trader.max(initial=-1)) + 1, 2))
    half = 2 * book.market + (coins[trader, 0] < 0.5)
    n_halves, live = 2 * len(book.times), book.quantity != 0
    low, high, _ = _clearing_interval(_curves(half[live], book.limit[live], book.quantity[live]), n_halves)
    own = np.where(low <= high, _between(low, high, book.k), np.nan)
    given = own.reshape(-1, 2)[:, ::-1].ravel()
    active = np.where(np.sign(book.quantity) * (given[half] - book.limit) >= 0, book.quantity, 0.0)
    return half, given, active, coins[trader, 1]


def _short_side_at(half: Ints, limit: Floats, active: Floats, given: Floats) -> tuple[Floats, Floats]:
    """The limits with those of each half's short side moved to the given price, and the sign of the long side."""
    supply, demand = (_totals(half, np.maximum(side * active, 0.0), len(given)) for side in (1, -1))
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


def _curves(market: Ints, limit: Floats, quantity: Floats) -> _Curves:
    """The curves' corners in order of market and price; bids of one corner are summed in order of quantity."""
    order = np.lexsort((quantity, limit, market))
    market, limit, quantity = market[order], limit[order], quantity[order]
    new = np.flatnonzero(np.r_[True, (np.diff(market) != 0) | (limit[1:] != limit[:-1])][: len(market)])
    supply = np.add.reduceat(np.maximum(quantity, 0.0), new)
    demand = np.add.reduceat(np.maximum(-quantity, 0.0), new)
    corner = pd.Series(market[new])
    supply_to = pd.Series(supply).groupby(corner).cumsum().to_numpy()
    demand_from = pd.Series(demand[::-1]).groupby(corner[::-1].to_numpy()).cumsum().to_numpy()[::-1]
    return _Curves(market[new], limit[new], supply_to, supply_to - supply, demand_from, demand_from - demand)


def _clearing_price(curves: _Curves, n_markets: int, k: float) -> Floats:
    """Price at which supply meets demand, by market; NaN where nothing is traded."""
    low, high, traded = _clearing_interval(curves, n_markets)
    return np.where(traded > 0, _between(low, high, k), np.nan)


def _between(low: Floats, high: Floats, k: float) -> Floats:
    """The share `k` of the way up, or the finite end."""
    with np.errstate(invalid="ignore", over="ignore"):
        inside = np.clip((1 - k) * low + k * high, low, high)
    return np.where(np.isinf(low), high, np.where(np.isinf(high), low, inside))


def _clearing_interval(curves: _Curves, n_markets: int, *, rounding: float = 1e-12) -> tuple[Floats, Floats, Floats]:
    """Least and greatest bid price at which supply meets demand, and the power traded, by market."""
    slack = rounding * (curves.supply_to + curves.demand_from)
    meets = curves.supply_below <= curves.demand_from + slack
    meets &= curves.demand_above <= curves.supply_to + slack
    low, high = np.full(n_markets, np.inf), np.full(n_markets, -np.inf)
    np.minimum.at(low, curves.market[meets], curves.price[meets])
    np.maximum.at(high, curves.market[meets], curves.price[meets])
    traded = np.zeros(n_markets)
    np.maximum.at(traded, curves.market, np.minimum(curves.supply_to, curves.demand_from))
    return low, high, traded


def _award(market: Ints, limit: Floats, quantity: Floats, price: Floats) -> Floats:
    """What each bid gets at its market's price: whole if better, a share if equal, nothing if worse."""
    side, n_markets = np.sign(quantity), len(price)
    gain = np.where(side > 0, price[market] - limit, limit - price[market])
    margin = np.where(side == 0, -1.0, np.nan_to_num(gain, nan=-1.0))
    better, equal = np.abs(quantity) * (margin > 0), np.abs(quantity) * (margin == 0)
    traded = np.minimum(*(_totals(market, (better + equal) * (side == s), n_markets) for s in (1, -1)))
    awarded = np.zeros_like(quantity)
    for own in (side == 1, side == -1):
        left = traded - _totals(market, better * own, n_markets)
        shared = _totals(market, equal * own, n_markets)
        share = np.divide(left, shared, out=np.zeros(n_markets), where=shared > 0)
        awarded += own * (better + equal * np.clip(share, 0.0, 1.0)[market])
    return np.asarray(side * awarded)


def _totals(market: Ints, values: Floats, n_markets: int) -> Floats:
    return np.bincount(market, values, n_markets).astype(float)
