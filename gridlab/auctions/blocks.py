"""Auctions of blocks: each bidder is awarded one of its options whole, or nothing, and pays what the others lose."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.blocks_optimum import Answer, Sale, bidder_of, dantzig, kept, pruned, solve, starts
from gridlab.auctions.clearing import Clearing, Wants, clearing_of, refuse_row, wants
from gridlab.auctions.core_prices import core_payments
from gridlab.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]

_WHOLE = 2.0**52  # sums of whole numbers below this are exact
_PLACES = 13  # decimal places that are tried
_ROUNDING = 1e-12  # of a size or the capacity, within which it is a whole number of steps or is not exceeded
_MOST = 1e300  # MW, $/h or $ that the bids of a time may sum to, so that what is made of them stays a number


class Rounded(NamedTuple):
    """
    What an auction of blocks of rounded size decided, and how far from the optimum it may be.

    Parameters
    ----------
    clearing : Clearing
        Awards, payments and prices.
    welfare, bound : Series
        By time: what the awards are worth by the bids above the reserve price, and what any could be at most. [$]
    gap : Series
        By time: the share of the bound that the awards fall short of; they are worth at least ``1 - gap`` of the
        optimum. [-]
    """

    clearing: Clearing
    welfare: pd.Series
    bound: pd.Series
    gap: pd.Series


def clear_vcg_blocks(
    bids: pd.DataFrame,
    capacity_mw: float | pd.Series,
    *,
    step_mw: float | None = None,
    reserve_price: float = 0.0,
    payments: Literal["vcg", "core"] = "vcg",
    step_hours: float = 1.0,
) -> Clearing:
    """
    Sell capacity in blocks to those who value it most, each for what the others lose by it.

    Each row is an option of its bidder, all of `quantity_mw` at `price` or nothing, and at most one row of a bidder is
    awarded at each time; the values of the options may be any. The awards are the exact optimum. Of equal optima that
    of the fewest MW is chosen, then that which awards the earlier bidders, then the earlier rows; so a block at the
    reserve price loses.

    Bidders and options that a bound proves to be in every optimum, or in none, are settled first: Dantzig's bound and a
    greedy solution, for all bidders and for all but each [1]_. The rest is a dynamic programme over steps of capacity,
    from both ends: the rows of the prefixes and of the suffixes give the optimum without each winner. Sizes without
    a common step, or with too many steps, are gone through by lists of undominated sizes and values [2]_.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table of power wanted, positive.
    capacity_mw : float or Series
        Power on sale, or by time. Awards may exceed it by a share of 1e-12, so that sizes fill a capacity that is their
        sum but for rounding. [MW]
    step_mw : float, optional
        Step that all sizes are multiples of, within a share of 1e-12; the greatest common one of each time's sizes, as
        decimals of up to 9 places, when omitted. [MW]
    reserve_price : float
        Price that a block has to be above; no block is paid less for. [$/MWh]
    payments : str
        ``"vcg"``, or ``"core"``: the least payments that no coalition of losers and the seller would outbid, nearest
        to those of VCG (see `core_prices.core_payments`), where truth is no longer each bidder's best bid.
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    Clearing
        A bidder pays on the row that it is awarded. A value within a rounding error of a decimal is taken to be it
        (10 for 3 MW at ``10 / 3``), so that whole values give whole payments. `prices` are what a step more of capacity
        would be worth, with the reserve; NaN where nothing was awarded or the sizes have no common step.

    Raises
    ------
    DataError
        If the bids are not as `clearing.wants` asks, an option of a bidder comes twice, a bidder's rows of one time
        and service stand apart, a size is not a multiple of `step_mw`, `payments` is unknown, or the sizes or values of
        a time sum to more than 1e300, or the sizes to 2**52 steps.
    PlanError
        If sizes without a common step leave more combinations than can be held.

    References
    ----------
    .. [1] D. Pisinger, "A minimal algorithm for the multiple-choice knapsack problem," European J. Operational Research
       83(2), 1995, doi:10.1016/0377-2217(95)00015-I.
    .. [2] G. L. Nemhauser and Z. Ullmann, "Discrete dynamic programming and capital allocation," Management Science
       15(9), 1969, doi:10.1287/mnsc.15.9.494.

    Examples
    --------
    Two chairs: Alice bids 5 for one or 7 for the two of them, Bob 4 for one.

    >>> bids = pd.DataFrame({"time": pd.Timestamp("2025-01-01", tz="UTC"), "bidder": ["Alice", "Alice", "Bob"],
    ...                      "service": "chairs", "quantity_mw": [1.0, 2.0, 1.0], "price": [5.0, 3.5, 4.0]})
    >>> awards, payments, prices = clear_vcg_blocks(bids, 2.0)
    >>> awards["quantity_mw"].tolist(), payments.tolist(), prices.tolist()
    ([1.0, 0.0, 1.0], [0.0, 0.0, 2.0], [2.0])
    """
    if payments not in ("vcg", "core"):
        raise DataError(f"payments must be 'vcg' or 'core', got {payments!r}")
    asked, value, reserve, unit = _read(bids, capacity_mw, reserve_price, step_hours)
    awarded, payment = np.zeros(len(bids)), np.zeros(len(bids))
    price = np.full(len(asked.times), np.nan)
    for market, sale in _sales(bids, asked, value - reserve, step_mw, round_up=False):
        answer = solve(sale)
        won = sale.row[answer.chosen]
        above = _vcg(sale, answer) if payments == "vcg" else _core(sale, answer)
        awarded[won] = asked.quantity[won]
        payment[won] = unit.money(reserve[won] + above)
        price[market] = unit.price(answer.more, sale.step, reserve_price) if len(won) else np.nan
    return clearing_of(bids, awarded, payment, asked.times, price)


def explain_vcg_blocks(
    bids: pd.DataFrame,
    capacity_mw: float | pd.Series,
    *,
    step_mw: float | None = None,
    reserve_price: float = 0.0,
    step_hours: float = 1.0,
    bidders: Iterable[str] | None = None,
) -> pd.DataFrame:
    """
    Whom each winner of `clear_vcg_blocks` displaced, and at what value.

    The auction is held again without the winner; each bidder whose award differs has a row. One that would have won
    less without the winner, as its blocks fit beside, has a negative amount.

    Parameters
    ----------
    bids, capacity_mw, step_mw, reserve_price, step_hours
        As for `clear_vcg_blocks`.
    bidders : iterable of str, optional
        Winners to explain; all when omitted.

    Returns
    -------
    DataFrame
        One row for each time, winner and bidder displaced (or ``"reserve"``, the capacity that the seller would have
        kept): time, bidder, displaced, quantity_mw and amount, which are what the displaced would have won more and its
        value, and price, the one for the other (NaN where the power is the same). The amounts of a bidder
        sum to its payment. [MW] [$/MWh] [$]

    Raises
    ------
    DataError, PlanError
        As `clear_vcg_blocks`, or if a bidder is called ``"reserve"`` or one of `bidders` has no bid.

    Examples
    --------
    >>> bids = pd.DataFrame({"time": pd.Timestamp("2025-01-01", tz="UTC"), "bidder": ["Alice", "Alice", "Bob"],
    ...                      "service": "chairs", "quantity_mw": [1.0, 2.0, 1.0], "price": [5.0, 3.5, 4.0]})
    >>> explain_vcg_blocks(bids, 2.0)[["bidder", "displaced", "quantity_mw", "price", "amount"]].values.tolist()
    [['Bob', 'Alice', 1.0, 2.0, 2.0]]
    """
    asked, value, reserve, unit = _read(bids, capacity_mw, reserve_price, step_hours)
    refuse_names(asked, "reserve")
    of_interest = set(range(len(asked.bidders))) if bidders is None else _numbers(asked.bidders, bidders)
    found = []
    for market, sale in _sales(bids, asked, value - reserve, step_mw, round_up=False):
        won = sale.row[solve(sale, payments=False).chosen]
        for row in won:
            if int(asked.bidder[row]) in of_interest:
                instead = _solve_without(sale, asked.bidder[row], asked.bidder)
                moved = _differences(row, won, instead, asked, value, reserve, reserve_price, unit)
                found.append(moved.assign(time=asked.times[market], bidder=asked.bidders[asked.bidder[row]]))
    columns = ["time", "bidder", "displaced", "quantity_mw", "price", "amount"]
    return pd.concat(found, ignore_index=True)[columns] if found else no_rows(asked.times, columns)


def clear_vcg_rounded(
    bids: pd.DataFrame,
    capacity_mw: float | pd.Series,
    *,
    step_mw: float,
    reserve_price: float = 0.0,
    step_hours: float = 1.0,
) -> Rounded:
    """
    Clear blocks of any size by a coarse grid: an approximation that keeps the truth each bidder's best bid.

    A block takes up its size rounded up to `step_mw`, and of the awards that then fit the best are found exactly, with
    VCG payments. Which awards fit does not depend on the values bid, so it is VCG over a smaller range [1]_: no bidder
    gains by misreporting, none loses by taking part, and losers pay nothing.

    Parameters
    ----------
    bids, capacity_mw, reserve_price, step_hours
        As for `clear_vcg_blocks`.
    step_mw : float
        Step that sizes are rounded up to, and the capacity down; what is within a share of 1e-12 of a whole number of
        steps is taken to be it. [MW]

    Returns
    -------
    Rounded
        The bound is that of the relaxation in which a bidder may be awarded a mixture of its options [2]_. `prices` are
        what a step more would be worth in the rounded auction.

    References
    ----------
    .. [1] N. Nisan and A. Ronen, "Computationally feasible VCG mechanisms," J. Artificial Intelligence Research 29,
       2007, doi:10.1613/jair.2046.
    .. [2] P. Sinha and A. A. Zoltners, "The multiple-choice knapsack problem," Operations Research 27(3), 1979,
       doi:10.1287/opre.27.3.503.

    Examples
    --------
    >>> bids = pd.DataFrame({"time": pd.Timestamp("2025-01-01", tz="UTC"), "bidder": ["a", "b", "c"],
    ...                      "service": "training", "quantity_mw": [1.2, 1.7, 0.9], "price": [10.0, 9.0, 5.0]})
    >>> rounded = clear_vcg_rounded(bids, 4.0, step_mw=1.0)
    >>> rounded.clearing.awards["quantity_mw"].tolist(), rounded.clearing.payments.tolist()
    ([1.2, 1.7, 0.0], [4.5, 4.5, 0.0])
    >>> [round(float(series.iloc[0]), 3) for series in (rounded.welfare, rounded.bound, rounded.gap)]
    [27.3, 31.8, 0.142]
    """
    asked, value, reserve, unit = _read(bids, capacity_mw, reserve_price, step_hours)
    awarded, payment = np.zeros(len(bids)), np.zeros(len(bids))
    price, worth, bound = np.full(len(asked.times), np.nan), *np.zeros((2, len(asked.times)))
    for market, sale in _sales(bids, asked, value - reserve, step_mw, round_up=True):
        answer = solve(sale)
        won = sale.row[answer.chosen]
        awarded[won] = asked.quantity[won]
        payment[won] = unit.money(reserve[won] + _vcg(sale, answer))
        worth[market] = unit.money(answer.total)
        price[market] = unit.price(answer.more, sale.step, reserve_price) if len(won) else np.nan
    for market, sale in _sales(bids, asked, value - reserve, None, round_up=False):
        bound[market] = max(unit.money(dantzig(sale)), worth[market])
    gap = 1 - np.divide(worth, bound, out=np.ones_like(bound), where=bound > 0)
    by_time = pd.DataFrame({"welfare": worth, "bound": bound, "gap": gap}, index=asked.times)
    clearing = clearing_of(bids, awarded, payment, asked.times, price)
    return Rounded(clearing, by_time["welfare"], by_time["bound"], by_time["gap"])


class _Unit(NamedTuple):
    """What values are counted in: `per` to a $/h, whole numbers where `whole`, for intervals of `hours`."""

    per: float
    hours: Fraction
    whole: bool

    def money(self, amount: Floats | float) -> Floats:
        """In $, by one division, so that what is whole stays whole."""
        return np.asarray(np.asarray(amount) * float(self.hours.numerator) / (self.per * float(self.hours.denominator)))

    def price(self, amount: float, step: Fraction | None, reserve_price: float) -> float:
        """In $/MWh, where `amount` is what a step of capacity is worth above the reserve."""
        if step is None:
            return np.nan
        if self.whole:
            return float(Fraction(int(amount), int(self.per)) / step + Fraction(str(reserve_price)))
        return amount / self.per / float(step) + reserve_price


def _read(
    bids: pd.DataFrame, capacity_mw: float | pd.Series, reserve_price: float, step_hours: float
) -> tuple[Wants, Floats, Floats, _Unit]:
    """The bids, the value of each row and of the capacity that it takes by the reserve price, and their unit."""
    asked = wants(bids, capacity_mw, reserve_price=reserve_price, step_hours=step_hours)
    _refuse_duplicates(bids, asked)
    hours = Fraction(float(step_hours)).limit_denominator(10_000)
    hours = hours if float(hours) == step_hours else Fraction(float(step_hours))
    with np.errstate(over="ignore"):
        values = np.stack([asked.price * asked.quantity, reserve_price * asked.quantity])
    beyond = np.isinf(values[0]) | np.isinf(values[1])
    refuse_row(bids, beyond, "price", "times quantity_mw is beyond all numbers", "take a larger unit", unit="$/MWh")
    _refuse_large_sums(bids, asked, values, step_hours)
    whole, places = _decimals(values, ulps=2)
    most = np.bincount(asked.market, np.abs(whole).max(axis=0, initial=0.0)).max(initial=0.0) if places >= 0 else np.inf
    if most * hours.numerator < _WHOLE and hours.denominator * 10.0**places < _WHOLE:
        return asked, *whole, _Unit(10.0**places, hours, True)
    return asked, *values, _Unit(1.0, hours, False)


def _refuse_large_sums(bids: pd.DataFrame, asked: Wants, values: Floats, step_hours: float) -> None:
    """Refuse bids of which the sums of a time would not all be numbers."""
    worth, remedy = np.abs(values).max(axis=0, initial=0.0), "take a larger unit"
    with np.errstate(over="ignore"):
        power = np.bincount(asked.market, asked.quantity)[asked.market]
        money = np.bincount(asked.market, worth)[asked.market] * max(float(step_hours), 1.0)
    what = f"sums to more than {_MOST:g} MW at its time"
    refuse_row(bids, power > _MOST, "quantity_mw", what, remedy, unit="MW")
    what = f"times quantity_mw sums to more than {_MOST:g} $ at its time"
    refuse_row(bids, money > _MOST, "price", what, remedy, unit="$/MWh")


def _refuse_duplicates(bids: pd.DataFrame, asked: Wants) -> None:
    """Refuse a bidder that comes twice: the same option again, or rows that stand apart."""
    service = pd.factorize(bids["service"])[0]
    again = _repeats(asked.quantity, asked.bidder, service, asked.market) & (asked.quantity > 0)
    remedy = "one option of each size for a bidder; keep the better"
    refuse_row(bids, again, "quantity_mw", "comes twice for its bidder, time and service", remedy, unit="MW")
    order = np.lexsort((service, asked.market))
    market, service, bidder = asked.market[order], service[order], asked.bidder[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = np.any(np.diff([market, service, bidder]) != 0, axis=0)
    apart = np.zeros(len(order), dtype=bool)
    apart[order[begins]] = _repeats(bidder[begins], service[begins], market[begins])
    if apart.any():
        row = int(np.argmax(apart))
        raise DataError(
            f"bids['bidder'] comes twice, row {bids.index[row]} ({bids['bidder'].iloc[row]}): the options of a bidder "
            "stand together; sort the rows or give the bidders names of their own"
        )


def _repeats(*keys: NDArray[Any]) -> Flags:
    """Flags of the rows that have all keys of one before."""
    order = np.lexsort(keys)
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for key in keys:
        same &= key[order][1:] == key[order][:-1]
    flags = np.zeros(len(order), dtype=bool)
    flags[order[1:]] = same
    return flags


def _decimals(numbers: Floats, *, ulps: int, places: int = _PLACES) -> tuple[Floats, int]:
    """Numbers as whole multiples of the coarsest ``10**-places`` within some roundings of each; places -1 if none."""
    for n in range(places + 1):
        whole = np.rint(numbers * 10.0**n)
        if np.abs(whole).max(initial=0.0) >= _WHOLE:
            break
        if (np.abs(whole / 10.0**n - numbers) <= ulps * np.spacing(np.abs(numbers))).all():
            return whole, n
    return numbers, -1


def _sales(
    bids: pd.DataFrame, asked: Wants, value: Floats, step_mw: float | None, *, round_up: bool
) -> Iterator[tuple[int, Sale]]:
    """The auctions, one for each time, of the options that could win."""
    size = asked.quantity
    if step_mw is not None:
        size = _steps(bids, asked, step_mw, round_up=round_up)
    step = None if step_mw is None else Fraction(str(float(step_mw)))
    order = np.lexsort((np.arange(len(size)), size, asked.bidder, asked.market))
    ends = np.searchsorted(asked.market[order], np.arange(len(asked.times) + 1))
    for market in range(len(asked.times)):
        rows = order[ends[market] : ends[market + 1]]
        rows = rows[asked.quantity[rows] > 0]
        capacity = float(asked.capacity[market])
        yield market, sale_of(rows, asked.bidder[rows], size[rows], value[rows], capacity, step)


def sale_of(
    rows: Ints, bidder: Ints, size: Floats, value: Floats, capacity: float, step: Fraction | None = None
) -> Sale:
    """
    The options of one auction that could win, those of a bidder in one piece and by rising size.

    Parameters
    ----------
    rows, bidder : ndarray of int, shape (n_options,)
        Name of each option, by which ties are broken, and whose it is.
    size, value : ndarray, shape (n_options,)
        In steps, or in MW without one; above the reserve.
    capacity : float
        Power on sale. [MW]
    step : Fraction, optional
        Step of the sizes; the greatest common one is looked for when omitted. [MW]
    """
    if step is None:
        size, step = _in_common_steps(size)
    limit = _within_capacity(capacity, starts(bidder), size, step)
    fits = (size <= limit + (step is not None)) & (value > 0)
    return pruned(Sale(starts(bidder[fits]), rows[fits], size[fits], value[fits], limit, step))


def _steps(bids: pd.DataFrame, asked: Wants, step_mw: float, *, round_up: bool) -> Floats:
    """Sizes in steps; one that is no multiple is refused, or rounded up."""
    if not isinstance(step_mw, int | float | np.number) or not 0 < step_mw < np.inf:
        raise DataError(f"step_mw must be a number above 0 and finite, got {step_mw!r}")
    with np.errstate(over="ignore"):
        exact = asked.quantity / step_mw
        total = np.bincount(asked.market, np.ceil(exact))[asked.market]
    what = "sums to 2**52 steps or more at its time"
    refuse_row(bids, total >= _WHOLE, "quantity_mw", what, "take a coarser step", unit="MW")
    whole = np.rint(exact)
    off = np.abs(whole * step_mw - asked.quantity) > _ROUNDING * asked.quantity
    if not round_up:
        what = f"is not a multiple of step_mw ({step_mw:g} MW)"
        refuse_row(bids, off, "quantity_mw", what, "take a finer step, None, or clear_vcg_rounded", unit="MW")
    return np.where(off, np.ceil(exact), whole)


def _within_capacity(capacity: float, start: Ints, size: Floats, step: Fraction | None) -> float:
    """Whole steps within the capacity, or MW; no more than all could win, and a step."""
    most = float(np.maximum.reduceat(size, start[:-1]).sum()) if len(size) else 0.0
    if step is None:
        return min(capacity, most) * (1 + _ROUNDING)
    if capacity >= (most + 1) * float(step):
        return most + 1
    whole = np.rint(capacity / float(step))
    near = abs(whole * float(step) - capacity) <= _ROUNDING * capacity
    return float(whole if near else np.floor(capacity / float(step)))


def _in_common_steps(quantity: Floats) -> tuple[Floats, Fraction | None]:
    """Sizes in their greatest common step, and that step; MW and None where there is none."""
    whole, places = _decimals(quantity, ulps=0, places=9)
    if places < 0 or not len(quantity) or whole.sum() >= _WHOLE:
        return quantity, None
    divisor = int(np.gcd.reduce(whole.astype(np.int64)))
    return whole / divisor, Fraction(divisor, 10**places)


def _solve_without(sale: Sale, bidder: int, bidder_of_row: Ints) -> Ints:
    """The rows that are awarded where a bidder stays away."""
    others = kept(sale, bidder_of_row[sale.row] != bidder)
    return np.asarray(others.row[solve(others, payments=False).chosen])


def _vcg(sale: Sale, answer: Answer) -> Floats:
    """What the others lose by each winner, above the reserve."""
    return np.clip(answer.harm, 0.0, sale.value[answer.chosen])


def _core(sale: Sale, answer: Answer) -> Floats:
    """Core payments nearest to those of VCG, above the reserve."""
    bidder = bidder_of(sale)
    winners = bidder[answer.chosen]

    def offered(surplus: Floats) -> tuple[float, Flags]:
        charge = np.zeros(len(sale.start) - 1)
        charge[winners] = surplus
        lowered = pruned(sale._replace(value=sale.value - charge[bidder]))
        best = solve(lowered, payments=False)
        members = bidder[np.isin(sale.row, lowered.row[best.chosen])]
        return best.total, np.isin(winners, members)

    return core_payments(sale.value[answer.chosen], _vcg(sale, answer), offered)


def _differences(
    row: int, won: Ints, instead: Ints, asked: Wants, value: Floats, reserve: Floats, reserve_price: float, unit: _Unit
) -> pd.DataFrame:
    """What each of the others would win instead without the winner of a row, and what the seller would keep."""
    signed = np.concatenate([np.full(len(instead), 1.0), np.full(len(won), -1.0)])
    rows = np.concatenate([instead, won])
    change = pd.DataFrame(
        {
            "displaced": asked.bidders[asked.bidder[rows]],
            "order": asked.bidder[rows],
            "quantity_mw": signed * asked.quantity[rows],
            "amount": signed * value[rows],
            "kept": signed * reserve[rows],
        }
    )
    kept, left = -float(change["kept"].sum()), -float(change["quantity_mw"].sum())
    moved = (np.bincount(rows, signed, len(value)) != 0)[rows] & (rows != row)
    by_bidder = change[moved].groupby(["order", "displaced"], as_index=False)[["quantity_mw", "amount"]].sum()
    if kept != 0:
        by_bidder.loc[len(by_bidder)] = [-1, "reserve", left, kept]
    amount, energy = unit.money(by_bidder["amount"].to_numpy(float)), by_bidder["quantity_mw"] * float(unit.hours)
    price = np.divide(amount, energy, out=np.full(len(energy), np.nan), where=energy.to_numpy() != 0)
    return by_bidder.assign(amount=amount, price=price)


def _numbers(bidders: pd.Index, wanted: Iterable[str]) -> set[int]:
    """Numbers of the bidders asked for."""
    names = list(wanted)
    numbers = bidders.get_indexer(names)
    if (numbers < 0).any():
        raise DataError(f"bidders has {names[int(np.argmin(numbers))]!r}, who has no bid: take names of the bids")
    return set(numbers.tolist())


def refuse_names(asked: Wants, *names: str) -> None:
    """Refuse a bidder whom an explanation could not tell from the seller."""
    taken = [name for name in names if name in asked.bidders]
    if taken:
        raise DataError(
            f"bids['bidder'] has '{taken[0]}', which stands for the seller here: give the bidder another name"
        )


def no_rows(times: pd.DatetimeIndex, columns: list[str]) -> pd.DataFrame:
    """A table of explanations without a row."""
    text = {name: pd.Series(dtype=str) for name in ("bidder", "displaced", "service") if name in columns}
    empty = pd.DataFrame({name: pd.Series(dtype=float) for name in columns})
    return empty.assign(time=times[:0], **text)
