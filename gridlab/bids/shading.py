r"""
Bids shaded by the best response to what the others are believed to bid.

The others are samples of critical prices: :math:`c_{sk}` is what a bid for the k-th lot has to beat in sample
:math:`s`. With worths :math:`v_k` of lots of :math:`q_k` MW and bids :math:`b_1 \ge b_2 \ge \dots`, let
:math:`F_k(b) = P(c_k \le b)`, :math:`G_k(b) = E[c_k 1\{c_k \le b\}]` and :math:`Q_k = q_1 + \dots + q_k`. Pay as bid
earns

.. math::
    \sum_k q_k (v_k - b_k) F_k(b_k)

and one price, that of the highest losing bid, one's own among them,

.. math::
    \sum_k \bigl[ q_k v_k F_k(b_k) - Q_k G_k(b_k) + Q_{k-1} G_{k-1}(b_k) - Q_{k-1} b_k (F_{k-1}(b_k) - F_k(b_k)) \bigr],

whose last term is what a bid costs that loses and sets the price of the lots before it. Both are sums over the lots,
and between the critical prices of the samples neither rises, so the best monotone bids are at some of them and a
dynamic programme over lots and prices finds them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.bids.tables import curves_of, refuse_infinite, rows_of
from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]

RULES = ("first_price", "pay_as_bid", "uniform", "second_price", "vcg")
"""How winners pay: what they bid, one price for all, or what they displace, which makes the truth best."""


class Response(NamedTuple):
    """
    The best bids against samples of the others.

    Parameters
    ----------
    price : ndarray, shape (n_lots,)
        What is bid for each lot, never rising. [$/MWh]
    surplus, truthful : float
        Expected surplus of these bids, and of bidding the worths, over an hour. [$/h]
    win : ndarray, shape (n_lots,)
        Share of the samples in which each lot is won. [-]
    """

    price: Floats
    surplus: float
    truthful: float
    win: Floats


def bid_shaded(
    values: pd.DataFrame,
    others: ArrayLike | Mapping[pd.Timestamp, ArrayLike],
    *,
    rule: str = "pay_as_bid",
    weights: ArrayLike | None = None,
    reserve_price: float = -np.inf,
    price_cap: float = np.inf,
) -> pd.DataFrame:
    """
    The best response of each bidder to samples of what the others bid.

    Parameters
    ----------
    values : DataFrame
        Laid out as a `bids` table, with what a MWh is worth, or costs, as `price`; each row is a lot. The rows of one
        time, bidder and service are all wanted or all offered. [MW] [$/MWh]
    others : array_like, shape (n_samples,) or (n_samples, n_lots), or mapping of times to such
        Critical price of each lot in each sample, the same for all bidders: for who buys what a bid must reach, never
        falling from lot to lot; for who sells what an offer must not pass, never rising. `critical_prices` makes them.
        [$/MWh]
    rule : str
        One of `RULES`.
    weights : array_like, shape (n_samples,), optional
        Probabilities of the samples, of any scale. Equal when omitted. [-]
    reserve_price, price_cap : float
        No bid to buy below the one wins, and no offer above the other. [$/MWh]

    Returns
    -------
    DataFrame
        A `bids` table of the shaded curves; lots of equal price are one row.

    Raises
    ------
    DataError
        If the table breaks its schema, a worth is infinite, a curve has both sides, a time has no samples, or as
        `best_response`.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> values = mock_bids(1).assign(quantity_mw=-1.0, price=80.0)
    >>> bid_shaded(values, [20.0, 30.0, 50.0, 75.0])["price"].tolist()
    [30.0]
    >>> bid_shaded(values, [20.0, 30.0, 50.0, 75.0], rule="second_price")["price"].tolist()
    [80.0]
    """
    validate(values, "bids")
    refuse_infinite(values, "the worth of a MWh")
    own = values[values["quantity_mw"] != 0]
    shaded = [
        _respond(key, lots, _samples_at(others, key[0]), rule, weights, (reserve_price, -price_cap))
        for key, lots in own.groupby(["time", "bidder", "service"], sort=False, observed=True)
    ]
    return curves_of(pd.concat(shaded, ignore_index=True) if shaded else own)


def best_response(
    values: ArrayLike,
    others: ArrayLike,
    *,
    quantity_mw: ArrayLike | None = None,
    rule: str = "pay_as_bid",
    weights: ArrayLike | None = None,
    reserve_price: float = -np.inf,
) -> Response:
    """
    The bids to buy of greatest expected surplus among those that never rise, exact for the samples.

    Parameters
    ----------
    values : array_like, shape () or (n_lots,)
        Worth of each lot, never rising. [$/MWh]
    others : array_like, shape (n_samples,) or (n_samples, n_lots or more)
        Critical price of each lot in each sample, never falling from lot to lot; ``inf`` for a lot that cannot be won,
        ``-inf`` for one that no one else wants. [$/MWh]
    quantity_mw : array_like, shape (n_lots,), optional
        Power of each lot; 1 MW when omitted. A lot is won whole or not at all. [MW]
    rule : str
        One of `RULES`. First price and pay as bid are the same, and so are second price and VCG.
    weights : array_like, shape (n_samples,), optional
        Probabilities of the samples, of any scale. Equal when omitted. [-]
    reserve_price : float
        No lot is won below it. [$/MWh]

    Returns
    -------
    Response

    Raises
    ------
    DataError
        If there are no samples or lots, a shape does not fit, worths rise or are not finite, critical prices fall or
        are NaN, a power is not above 0, weights are negative or all zero, `rule` is unknown, or a lot that no one else
        wants has no reserve price, which leaves no least bid that wins it.

    Notes
    -----
    Ties: a bid that equals a critical price wins, so where the auction decides otherwise bid a tick more. Of curves
    that expect the same the one with the lowest last lot is taken, then the lowest lot before it, and so on; a lot that
    cannot be won at a gain is bid at no more than its worth.

    References
    ----------
    .. [1] V. Krishna, "Auction Theory," 2nd ed., Academic Press, 2009, sections 2.3 and 13.4,
       doi:10.1016/C2009-0-22474-3.
    .. [2] R. Engelbrecht-Wiggans and C. M. Kahn, "Multi-unit auctions with uniform prices," Economic Theory 12(2),
       1998, doi:10.1007/s001990050220.

    Examples
    --------
    Someone else wants one of two lots at a price between 0 and 60: bidding nothing for the second leaves both cheap.

    >>> one_rival = np.array([[0.0, 15.0], [0.0, 30.0], [0.0, 45.0], [0.0, 60.0]])
    >>> best_response([50.0, 50.0], one_rival, rule="uniform").price.tolist()
    [0.0, 0.0]
    >>> best_response([50.0, 50.0], one_rival, rule="vcg").price.tolist()
    [50.0, 50.0]
    """
    if rule not in RULES:
        raise DataError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    worth, lots, critical, weight = _checked(values, others, quantity_mw, weights, reserve_price)
    if rule in ("second_price", "vcg"):
        own = worth[:, None]
        surplus = float((lots @ _truthful_gain(own, critical, weight)).item())
        return Response(worth, surplus, surplus, _won(worth, critical, weight))
    prices = _candidates(worth, critical, reserve_price)
    gains = _gains(rule, worth, lots, critical, weight, prices)
    price, surplus = _best_falling(gains, prices)
    truth = sum(_gains(rule, worth, lots, critical, weight, worth[k : k + 1], only=k)[0, 0] for k in range(len(worth)))
    return Response(price, surplus, float(truth), _won(price, critical, weight))


def critical_prices(
    price: ArrayLike, quantity_mw: ArrayLike, *, capacity_mw: float, lots_mw: ArrayLike, reserve_price: float = 0.0
) -> Floats:
    """
    What a bid has to reach to be awarded the first lot, the first two and so on, against the others' bids.

    Parameters
    ----------
    price : array_like, shape (n_samples, n_bids)
        The others' bids to buy in each sample. [$/MWh]
    quantity_mw : array_like, shape (n_bids,) or (n_samples, n_bids)
        Power that each wants, which may be awarded in part. [MW]
    capacity_mw : float
        Power on sale. [MW]
    lots_mw : array_like, shape (n_lots,)
        Power of one's own lots. [MW]
    reserve_price : float
        What the seller asks. [$/MWh]

    Returns
    -------
    ndarray, shape (n_samples, n_lots)
        Never falling from lot to lot; ``inf`` beyond the capacity. For a market in which one sells, give prices with
        their sign turned and turn that of the answer.

    Raises
    ------
    DataError
        If shapes do not fit, a number is NaN, or a power is negative.

    Examples
    --------
    >>> critical_prices([[50.0, 20.0]], [2.0, 2.0], capacity_mw=4.0, lots_mw=[1.0, 1.0, 1.0, 2.0])
    array([[20., 20., 50., inf]])
    """
    bids, wanted = np.asarray(price, dtype=float), np.asarray(quantity_mw, dtype=float)
    lots = np.asarray(lots_mw, dtype=float)
    if bids.ndim != 2 or wanted.shape not in (bids.shape, bids.shape[1:]) or lots.ndim != 1:
        raise DataError(
            f"price must have shape (n_samples, n_bids), quantity_mw that or (n_bids,) and lots_mw (n_lots,), got "
            f"{bids.shape}, {wanted.shape} and {lots.shape}"
        )
    if np.isnan(bids).any() or not ((wanted >= 0).all() and (lots > 0).all() and capacity_mw >= 0):
        raise DataError("a price is NaN, or a power is negative or NaN: wanted power is positive, a lot above 0")
    order = np.argsort(-bids, axis=1, kind="stable")
    dearest = np.take_along_axis(bids, order, axis=1)
    taken = np.cumsum(np.take_along_axis(np.broadcast_to(wanted, bids.shape), order, axis=1), axis=1)
    left = capacity_mw - np.cumsum(lots)
    slack = 1e-12 * max(capacity_mw, 1.0)
    stays = (taken[:, None, :] <= left[:, None] + slack).sum(axis=2)  # of the others, the dearest that keep their award
    padded = np.column_stack([dearest, np.full(len(bids), -np.inf)])
    critical = np.maximum(np.take_along_axis(padded, stays, axis=1), reserve_price)
    return np.where(left < -slack, np.inf, critical)


def _respond(
    key: tuple[pd.Timestamp, str, str],
    lots: pd.DataFrame,
    samples: ArrayLike,
    rule: str,
    weights: ArrayLike | None,
    limits: tuple[float, float],
) -> pd.DataFrame:
    """One curve, shaded; who sells is who buys with the signs turned."""
    side = -np.sign(lots["quantity_mw"].to_numpy(float))
    if (side != side[0]).any():
        raise DataError(f"{key[1]} wants and offers {key[2]} at {key[0]}: shade each side as a bidder of its own")
    worth, power = side * lots["price"].to_numpy(float), lots["quantity_mw"].abs().to_numpy(float)
    order = np.argsort(-worth, kind="stable")
    found = best_response(
        worth[order],
        side[0] * np.asarray(samples, dtype=float),
        quantity_mw=power[order],
        rule=rule,
        weights=weights,
        reserve_price=limits[0] if side[0] > 0 else limits[1],
    )
    times = pd.DatetimeIndex([key[0]] * len(lots))
    return rows_of(times, key[1], key[2], -side * power[order], side[0] * found.price)


def _samples_at(others: ArrayLike | Mapping[pd.Timestamp, ArrayLike], time: pd.Timestamp) -> ArrayLike:
    if not isinstance(others, Mapping):
        return others
    if time not in others:
        raise DataError(f"others has no samples for {time}, at which there is a value: add them")
    return others[time]


def _checked(
    values: ArrayLike, others: ArrayLike, quantity_mw: ArrayLike | None, weights: ArrayLike | None, reserve: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Worths, powers, critical prices (n_lots, n_samples) and probabilities."""
    worth = np.atleast_1d(np.asarray(values, dtype=float))
    lots = np.ones(len(worth)) if quantity_mw is None else np.atleast_1d(np.asarray(quantity_mw, dtype=float))
    critical = np.asarray(others, dtype=float)
    critical = critical[:, None] if critical.ndim == 1 else critical
    if worth.ndim != 1 or len(worth) == 0 or lots.shape != worth.shape:
        raise DataError(f"values must have shape (n_lots,), and quantity_mw as many, got {worth.shape}, {lots.shape}")
    if critical.ndim != 2 or len(critical) == 0 or critical.shape[1] < len(worth):
        raise DataError(f"others must have samples of {len(worth)} lots or more, got shape {critical.shape}")
    _check_monotone(worth, critical)
    if not ((lots > 0) & np.isfinite(lots)).all():
        raise DataError(f"quantity_mw of a lot must be above 0 MW and finite, got {lots.min():g}")
    critical = np.maximum(critical[:, : len(worth)], reserve)
    if np.isnan(reserve) or np.isneginf(critical).any():
        raise DataError(
            "a lot has no rival in a sample, or the reserve is NaN: state the reserve_price that a bid must reach, "
            "for offers the price_cap"
        )
    chance = np.ones(len(critical)) if weights is None else np.asarray(weights, dtype=float)
    if chance.shape != (len(critical),) or not (chance >= 0).all() or not 0 < chance.sum() < np.inf:
        raise DataError(f"weights must be one for each of {len(critical)} samples, none negative and not all zero")
    return worth, lots, critical.T, chance / chance.sum()


def _check_monotone(worth: Floats, critical: Floats) -> None:
    if not np.isfinite(worth).all() or (np.diff(worth) > 0).any():
        raise DataError(f"values must be finite and must not rise from lot to lot, got {worth}")
    if np.isnan(critical).any():
        raise DataError(f"others is NaN in sample {int(np.argmax(np.isnan(critical).any(axis=1)))}: drop the sample")
    falls = (critical[:, 1:] < critical[:, :-1]).any(axis=1)
    if falls.any():
        raise DataError(f"others falls from lot to lot in sample {int(np.argmax(falls))}: sort its critical prices")


def _candidates(worth: Floats, critical: Floats, reserve: float) -> Floats:
    """Prices at which a best bid may stand: the critical ones, and one low enough for every lot to be refused."""
    reached = critical[np.isfinite(critical)]
    low = min([worth[-1], *([reserve] if np.isfinite(reserve) else []), *([reached.min()] if reached.size else [])])
    return np.unique(np.append(reached, low))


def _gains(
    rule: str, worth: Floats, lots: Floats, critical: Floats, weight: Floats, prices: Floats, only: int | None = None
) -> Floats:
    """What each lot adds to the expected surplus at each price, shape (n_lots, n_prices). [$/h]"""
    chosen = range(len(worth)) if only is None else [only]
    total = np.cumsum(lots)
    rows = []
    for k in chosen:
        chance, paid = _beaten(critical[k], weight, prices)
        if rule != "uniform":
            rows.append(lots[k] * (worth[k] - prices) * chance)
            continue
        row = lots[k] * worth[k] * chance - total[k] * paid
        if k > 0:
            before, paid_before = _beaten(critical[k - 1], weight, prices)
            row += total[k - 1] * (paid_before - prices * (before - chance))
        rows.append(row)
    return np.array(rows)


def _beaten(critical: Floats, weight: Floats, prices: Floats) -> tuple[Floats, Floats]:
    """Probability that each price wins, and the mean of the critical prices that it beats times that probability."""
    order = np.argsort(critical, kind="stable")
    won = np.searchsorted(critical[order], prices, side="right")
    paid = weight[order] * np.where(np.isfinite(critical[order]), critical[order], 0.0)
    chance, mean = (np.concatenate([[0.0], np.cumsum(part)]) for part in (weight[order], paid))
    return chance[won], mean[won]


def _best_falling(gains: Floats, prices: Floats) -> tuple[Floats, float]:
    """The greatest sum of a gain for each lot, at prices that never rise from lot to lot."""
    best, tables = np.zeros(len(prices)), []
    for gain in gains:
        best = gain + np.maximum.accumulate(best[::-1])[::-1]
        tables.append(best)
    chosen, low = np.empty(len(gains), dtype=np.intp), 0
    for k in range(len(gains) - 1, -1, -1):
        chosen[k] = low = low + int(np.argmax(tables[k][low:]))
    return prices[chosen], float(best.max())


def _truthful_gain(own: Floats, critical: Floats, weight: Floats) -> Floats:
    """Expected surplus of each lot where a winner pays the critical price. [$/MWh]"""
    return np.asarray(np.where(critical <= own, own - np.where(critical <= own, critical, 0.0), 0.0) @ weight)


def _won(price: Floats, critical: Floats, weight: Floats) -> Floats:
    return np.asarray((critical <= price[:, None]) @ weight)
