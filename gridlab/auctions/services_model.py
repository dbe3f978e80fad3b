"""
The programme of an auction of coupled services, and its optimum with some bidders left out.

One HiGHS model is kept for a market: to leave a bidder out its columns are held at 0 and the dual simplex goes on from
the basis that it has. Curves with a minimum quantity are served a whole number of times: their first quantity is a
block worth its mean price, which is the concave hull of "nothing or at least that", and the hull is branched on. Where
the cap is the only limit and all curves are served whole or not at all it is a knapsack, solved as one.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlab.auctions.blocks import sale_of
from gridlab.auctions.blocks_optimum import solve
from gridlab.auctions.services_columns import Curves, parts_of
from gridlab.auctions.services_solver import GAP, Deadline, Model, OutOfTimeError, Sifted
from gridlab.errors import PlanError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]

MOST_NODES = 100
"""Nodes of the search for whole curves, after which HiGHS's own search is asked."""

_TIE = 1e-12  # of the welfare, by which a branch must promise more to be looked at
_AT = 1e-11  # of what can be sold, within which a limit or bid is used up
_WHOLE = 1e-9  # by which a count may miss a whole number before it is branched on


class Limit(NamedTuple):
    """One limit: what a MW of each service adds to it, and the range that it keeps the sum in."""

    name: str
    weight: Floats
    low: float
    high: float


class Optimum(NamedTuple):
    """
    The best award, with some bidders left out.

    Parameters
    ----------
    welfare : float
        Its value above the reserve, less what is paid for minima that are missed. [$/h]
    awarded : ndarray, shape (n_rows,)
        Power awarded. [MW]
    missed : ndarray, shape (n_limits,)
        By how much each minimum is missed; 0 for the other limits. [MW]
    """

    welfare: float
    awarded: Floats
    missed: Floats


class Programme:
    """
    One market's programme, solved again and again from the basis of the answer before.

    Parameters
    ----------
    curves : Curves
        The bids.
    alike : ndarray, shape (n_services,)
        Equal numbers for services that draw on all limits alike.
    limits : sequence of Limit
        The limits; one with a `low` is a minimum.
    shortfall_price : float
        What a MWh of a minimum that is missed costs; infinite where it must be met. [$/MWh]
    deadline : Deadline
        When searches for whole curves are given up, by a PlanError.
    apart : bool
        Whether bidders are kept apart, as charges on them need.

    Notes
    -----
    Power is in units of what can be sold and values in units of their median, so that HiGHS's tolerances are relative.
    """

    def __init__(
        self,
        curves: Curves,
        alike: Ints,
        limits: list[Limit],
        shortfall_price: float,
        *,
        deadline: Deadline,
        apart: bool = False,
    ) -> None:
        self.deadline, self._knapsack = deadline, _knapsack_of(curves, limits)
        self.curves, self.limits, self.parts = curves, limits, parts_of(curves, alike, apart=apart)
        self.minima = np.flatnonzero([limit.low > 0 for limit in limits])
        weights = np.array([limit.weight for limit in limits])
        wanted = float(weights[0, curves.service] @ curves.quantity)
        self.unit = min(limits[0].high, wanted) or 1.0
        worth = np.abs(self.parts.value[self.parts.value != 0])
        self.money = float(np.median(worth)) if len(worth) else 1.0
        slack = np.zeros((len(limits), len(self.minima)))
        slack[self.minima, np.arange(len(self.minima))] = 1.0
        self._matrix = np.hstack([weights[:, self.parts.service], slack])
        self._soft = np.isfinite(shortfall_price)
        self._value = np.r_[self.parts.value, np.full(len(self.minima), -shortfall_price if self._soft else 0.0)]
        self._low = np.array([limit.low for limit in limits]) / self.unit
        self._high = (
            np.array([self._on_grid(row, limit) for row, limit in zip(weights, limits, strict=True)]) / self.unit
        )
        self._most = limits[0].high / self.unit / self._matrix[0, : len(self.parts.value)]
        self._one = self._copy_sizes()
        self._most_copies = self._copies_within_limits()
        self._level = np.flatnonzero((self.parts.value == 0) & (self.parts.group < 0))
        self._lp = Sifted(Model(self._matrix, self._value / self.money, self._low, self._high))

    def best(self, keep: Flags | None = None) -> Optimum | None:
        """The optimum of the rows kept, None where the minima cannot be met."""
        if self._knapsack is not None:
            return self._packed(self._knapsack, keep, {})
        room, copies = self._room(keep)
        try:
            found = self._searched(room, copies)
        except OutOfTimeError:
            raise self._unproven() from None
        if found is None:
            return None
        point, counts = found
        if len(self._level):
            point = self._filled(point, room)
        missed = np.zeros(len(self.limits))
        missed[self.minima] = self.unit * point[len(room) :]
        welfare = self.unit * float(self._value @ point)
        return Optimum(welfare, self._by_row(point[: len(room)], counts, keep), missed)

    def nearest(self, keep: Flags | None = None) -> Optimum | None:
        """The award that misses the minima by the least; its `welfare` is minus the sum missed. [MW]"""
        lacking = copy(self)
        lacking._value = np.r_[np.zeros(len(self.parts.value)), -np.ones(len(self.minima))]
        lacking._soft, lacking.money, lacking._level = True, 1.0, np.zeros(0, dtype=np.intp)
        lacking._lp = Sifted(Model(self._matrix, lacking._value, self._low, self._high))
        return lacking.best(keep)

    def gains(self) -> Floats:
        """
        What the welfare gains with each MW by which a limit is loosened, from the optimum on. [$/MWh]

        It is the optimum of the directions in which the award may move, so that it is one number also where the prices
        of the limits are not unique. NaN where quantities are whole.
        """
        if len(self.parts.block):
            return np.full(len(self.limits), np.nan)
        room, _ = self._room(None)
        low, high = self._bounds(room, np.zeros(0), np.zeros(0))
        if self._lp.solve(low, high) is None:
            return np.full(len(self.limits), np.nan)
        at, activity, model = self._lp.point, self._matrix @ self._lp.point, self._lp.whole
        high[: len(room)] = room
        down, up = np.where(at <= low + _AT, 0.0, -np.inf), np.where(at >= high - _AT, 0.0, np.inf)
        floor = np.where(activity <= self._low + _AT, 0.0, -np.inf)
        roof = np.where(activity >= self._high - _AT, 0.0, np.inf)
        gains = np.zeros(len(self.limits))
        for number, limit in enumerate(self.limits):
            side, binds = (-1.0, floor) if limit.low > 0 else (1.0, roof)
            if binds[number] == 0:
                binds[number] = side
                model.between(floor, roof)
                gains[number] = self.money * (model.solve(down, up) or 0.0)
                binds[number] = 0.0
        model.between(self._low, self._high)
        return gains

    def charged(self, charge: Mapping[int, float]) -> tuple[float, Flags]:
        """
        The optimum where bidders pay a charge, in $/h, once they are awarded anything, and which of them are.

        It needs a programme that keeps bidders apart.
        """
        if self._knapsack is not None and self._knapsack.one_each:
            packed = self._packed(self._knapsack, None, charge)
            return packed.welfare, np.isin(list(charge), self.curves.bidder[packed.awarded > 0])
        room, copies = self._room(None)
        try:
            found = self._by_highs(room, copies, charge)
        except OutOfTimeError:
            raise self._unproven() from None
        if found is None:
            return 0.0, np.zeros(len(charge), dtype=bool)
        served = found[2]
        keep = ~np.isin(self.curves.bidder, [who for who, is_in in zip(charge, served, strict=True) if not is_in])
        best = self.best(keep)
        paid = sum(cost for cost, is_in in zip(charge.values(), served, strict=True) if is_in)
        return (0.0 if best is None else best.welfare) - paid, served

    def _packed(self, knapsack: "_Knapsack", keep: Flags | None, charge: Mapping[int, float]) -> Optimum:
        """The optimum of curves that are served whole or not at all, each lowered by the charge on its bidder."""
        try:
            self.deadline.left()
        except OutOfTimeError:
            raise self._unproven() from None
        value = knapsack.value - [charge.get(bidder, 0.0) for bidder in knapsack.bidder.tolist()]
        kept = np.ones(len(value), dtype=bool) if keep is None else keep[knapsack.first]
        items = np.flatnonzero(kept & (knapsack.size > 0))
        sale = sale_of(items, np.arange(len(items)), knapsack.size[items], value[items], self.limits[0].high)
        answer = solve(sale, payments=False)
        served = np.isin(knapsack.of_row, sale.row[answer.chosen])
        return Optimum(answer.total, np.where(served, self.curves.quantity, 0.0), np.zeros(len(self.limits)))

    def _unproven(self) -> PlanError:
        """What is said where the time is over."""
        return PlanError(
            f"the award is not proven best within time_limit_s = {self.deadline.seconds:g} s with "
            f"{len(self.parts.copy_group)} curves that have a minimum_mw or are charged for the core: allow more time, "
            "lower the minima, or use clear_vcg_blocks for all-or-nothing bids under one cap"
        )

    def _filled(self, point: Floats, room: Floats) -> Floats:
        """What is worth just the reserve is served as well, as far as the limits have room."""
        point = point.copy()
        for column in self._level:
            weight = self._matrix[:, column]
            left = np.maximum(self._high - self._matrix @ point, 0.0)
            slack = np.divide(left, weight, out=np.full(len(left), np.inf), where=weight > 0).min()
            point[column] = max(point[column], min(room[column], point[column] + slack))
        return point

    def _room(self, keep: Flags | None) -> tuple[Floats, Ints]:
        """Size of each column, and how many copies of each group there are, with some rows kept."""
        parts = self.parts
        kept = slice(None) if keep is None else keep[parts.row]
        room = np.bincount(parts.column[kept], parts.size[kept], len(parts.value))
        n_groups = len(parts.block)
        if not n_groups:
            return room / self.unit, np.zeros(0, dtype=np.intp)
        copies = np.bincount(parts.copy_group[self._kept_copies(keep)], minlength=n_groups)
        return room / self.unit, np.minimum(copies, self._most_copies)

    def _kept_copies(self, keep: Flags | None) -> Flags:
        out = np.ones(len(self.parts.copy_group), dtype=bool)
        if keep is not None:
            mine = self.parts.copy >= 0
            out[self.parts.copy[mine]] = keep[self.parts.row[mine]]
        return out

    def _bounds(self, room: Floats, fewest: Floats, most: Floats) -> tuple[Floats, Floats]:
        """Bounds of the columns in units; those of a group for its fewest and most copies served."""
        low, high = np.zeros(len(self._value)), np.zeros(len(self._value))
        np.minimum(room, self._most, out=high[: len(room)])
        high[len(room) :] = np.inf if self._soft else 0.0
        if len(self.parts.block):
            mine = np.flatnonzero(self.parts.group >= 0)
            high[mine] = self._one[mine] * most[self.parts.group[mine]]
            low[self.parts.block] = self.parts.minimum / self.unit * fewest
        return low, high

    def _on_grid(self, weight: Floats, limit: Limit) -> float:
        """The limit, or what whole blocks of sizes on a grid can fill of it where nothing else draws on it."""
        parts = self.parts
        draws = np.flatnonzero(weight[parts.service] > 0)
        if not (np.isfinite(limit.high) and len(draws) and np.isin(draws, parts.block).all()):
            return limit.high
        sizes = weight[parts.service[draws]] * parts.minimum[parts.group[draws]]
        for per_mw in 10.0 ** np.arange(5):
            counts = np.rint(sizes * per_mw)
            if (
                (counts >= 1).all()
                and (counts < 2.0**53).all()
                and np.allclose(sizes * per_mw, counts, rtol=1e-13, atol=0.0)
            ):
                step = float(np.gcd.reduce(counts.astype(np.int64))) / per_mw
                return float(min(limit.high, step * np.floor(limit.high / step + _WHOLE)))
        return limit.high

    def _copies_within_limits(self) -> Ints:
        """How many copies of each group the limits have room for."""
        drawn = self._matrix[:, self.parts.block] * (self.parts.minimum / self.unit)
        fit = np.divide(self._high[:, None], drawn, out=np.full(drawn.shape, np.inf), where=drawn > 0)
        most = np.minimum(fit.min(axis=0, initial=np.inf), len(self.parts.copy_group))
        return np.asarray(np.floor(most + _WHOLE), dtype=np.intp)

    def _copy_sizes(self) -> Floats:
        """Size of the columns of groups in one copy, in units."""
        size = np.zeros(len(self.parts.value))
        size[self.parts.column] = self.parts.size / self.unit
        if len(self.parts.block):
            size[self.parts.block] = self.parts.minimum / self.unit
        return size

    def _searched(self, room: Floats, copies: Ints) -> tuple[Floats, Floats] | None:
        """Point and counts of the optimum; with whole curves by branching, and past `MOST_NODES` by HiGHS."""
        if not len(copies):
            low, high = self._bounds(room, np.zeros(0), np.zeros(0))
            found = self._lp.solve(low, high)
            return None if found is None else (np.clip(self._lp.point, low, high), np.zeros(0))
        best, proven = self._branched(room, copies.astype(float))
        if proven:
            return best
        found_whole = self._by_highs(room, copies, {})
        if found_whole is None:
            return None
        low, high = self._bounds(room, found_whole[1], found_whole[1])
        if self._lp.solve(low, high) is None:
            raise PlanError("the whole minimum quantities found cannot be awarded: check the size of the numbers")
        return np.clip(self._lp.point, low, high), found_whole[1]

    def _branched(self, room: Floats, copies: Floats) -> tuple[tuple[Floats, Floats] | None, bool]:
        """Best point and counts by branch and bound, depth first to the nearer side; whether they are proven best."""
        best, found = -np.inf, None
        nodes = [(np.zeros_like(copies), copies)]
        for _ in range(MOST_NODES):
            if not nodes:
                break
            self.deadline.left()
            fewest, most = nodes.pop()
            bound = self._lp.solve(*self._bounds(room, fewest, most))
            if bound is None or (found is not None and bound <= best + _TIE * abs(best)):
                continue
            served = self._served(most)
            off = np.abs(served - np.rint(served))
            group = int(np.argmax(off))
            if off[group] > _WHOLE:
                nodes += _branches(fewest, most, group, served[group])
                continue
            whole = np.rint(served)
            low, high = self._bounds(room, whole, whole)
            exact = self._lp.solve(low, high)
            if exact is not None and exact > best:
                best, found = exact, (np.clip(self._lp.point, low, high), whole)
            if (fewest != most).any() and (exact is None or bound > exact + GAP * abs(exact)):
                group = int(np.argmax(most - fewest))
                nodes += _branches(fewest, most, group, (fewest[group] + most[group]) / 2 + 0.25)
        return found, not nodes

    def _served(self, most: Floats) -> Floats:
        """How many copies of each group the last point stands for, the block filled before the rest."""
        parts = self.parts
        mine = parts.group >= 0
        total = np.bincount(parts.group[mine], self._lp.point[: len(parts.group)][mine], len(most))
        return np.minimum(total / (parts.minimum / self.unit), most)

    def _by_row(self, point: Floats, counts: Floats, keep: Flags | None) -> Floats:
        """Awards of the rows: a free column's by quantity, a group's among its first copies kept."""
        parts, n_rows = self.parts, len(self.curves.quantity)
        kept = np.ones(len(parts.row), dtype=bool) if keep is None else keep[parts.row]
        size = np.bincount(parts.column[kept], parts.size[kept], len(parts.value)) / self.unit
        share = np.divide(point, size, out=np.zeros_like(point), where=size > 0)
        if len(parts.block):
            mine = parts.group >= 0
            share[mine] = point[mine] / (self._one[mine] * np.maximum(counts, 1.0)[parts.group[mine]])
            kept &= (parts.copy < 0) | self._first_copies(counts, keep)[parts.copy]
        awarded = np.bincount(parts.row[kept], (parts.size * share[parts.column])[kept], n_rows)
        return np.minimum(awarded, self.curves.quantity)

    def _first_copies(self, counts: Floats, keep: Flags | None) -> Flags:
        """Which copies are served: of those that are the same the first."""
        kept, group = self._kept_copies(keep), self.parts.copy_group
        order = np.argsort(group, kind="stable")
        before: Ints = np.cumsum(kept[order]) - kept[order]
        start = np.searchsorted(group[order], np.arange(len(counts)))
        rank = np.empty(len(kept))
        rank[order] = before - before[start][group[order]]
        return np.asarray(kept & (rank < counts[group]))

    def _by_highs(self, room: Floats, copies: Ints, charge: Mapping[int, float]) -> tuple[Floats, Floats, Flags] | None:
        """Point, counts and who is charged, by HiGHS's search for whole numbers."""
        from scipy.sparse import block_array

        value = self._value / self.money
        low, high = self._bounds(room, np.zeros(len(copies)), copies.astype(float))
        times, equal = self._ties(high, list(charge))
        whole = np.r_[copies.astype(float), np.ones(len(charge))]
        cost = np.array(list(charge.values())) / (self.unit * self.money)
        model = Model(
            block_array([[self._matrix, None], list(times)], format="csc"),
            np.r_[value, np.zeros(len(copies)), -cost],
            np.r_[self._low, np.where(equal, 0.0, -np.inf)],
            np.r_[self._high, np.zeros(len(equal))],
            whole=len(whole),
            seconds=self.deadline.left(),
        )
        if model.solve(np.r_[low, np.zeros(len(whole))], np.r_[high, whole]) is None:
            return None
        point, answer = model.point[: len(value)], np.rint(model.point[len(value) :])
        return point, answer[: len(copies)], answer[len(copies) :] > 0

    def _ties(self, high: Floats, charged: list[int]) -> tuple[tuple[Any, Any], Flags]:
        """
        Rows that tie columns to whole numbers, for both, and which of them are equalities.

        A group's block is its minimum as often as it is served, its other columns at most their size as often; the
        columns of a bidder who is charged are at most theirs if it is served.
        """
        from scipy.sparse import csc_array

        parts = self.parts
        mine = np.flatnonzero(parts.group >= 0)
        who = np.full(len(high), -1)
        who[parts.column] = [
            charged.index(bidder) if bidder in charged else -1 for bidder in self.curves.bidder[parts.row]
        ]
        theirs = np.flatnonzero((who >= 0) & (high > 0))
        column, row = np.r_[mine, theirs], np.arange(len(mine) + len(theirs))
        number = np.r_[parts.group[mine], len(parts.block) + who[theirs]]
        shape = (len(row), len(parts.block) + len(charged))
        of_columns = csc_array((np.ones(len(row)), (row, column)), shape=(len(row), len(high)))
        of_numbers = csc_array((-np.r_[self._one[mine], high[theirs]], (row, number)), shape=shape)
        equal = np.r_[np.isin(mine, parts.block), np.zeros(len(theirs), dtype=bool)]
        return (of_columns, of_numbers), equal


class _Knapsack(NamedTuple):
    """
    Curves that are served whole or not at all, and draw on the cap alone.

    The curve of each row; of each curve the first row, its bidder, what it draws [MW] and its worth [$/h]; and whether
    no bidder has two.
    """

    of_row: Ints
    first: Ints
    bidder: Ints
    size: Floats
    value: Floats
    one_each: bool


def _knapsack_of(curves: Curves, limits: list[Limit]) -> _Knapsack | None:
    """The curves as a knapsack, None where they are none: a minimum is below all of its curve, or limits are many."""
    key = curves.bidder * len(limits[0].weight) + curves.service
    _, first, of_row = np.unique(key, return_index=True, return_inverse=True)
    by_place = np.argsort(first)
    first, of_row = first[by_place], np.argsort(by_place)[of_row.ravel()]
    whole = curves.minimum >= np.bincount(of_row, curves.quantity)[of_row] * (1 - 1e-12)
    if len(limits) > 1 or not (curves.minimum.any() and whole.all()):
        return None
    bidder = curves.bidder[first]
    size = np.bincount(of_row, limits[0].weight[curves.service] * curves.quantity).astype(float)
    value = np.bincount(of_row, curves.value * curves.quantity).astype(float)
    return _Knapsack(of_row, first, bidder, size, value, len(np.unique(bidder)) == len(bidder))


def _branches(fewest: Floats, most: Floats, group: int, served: float) -> list[tuple[Floats, Floats]]:
    """Serve a group less often, or more; the nearer last, to be looked at first."""
    below, above = most.copy(), fewest.copy()
    below[group], above[group] = np.floor(served), np.floor(served) + 1
    two = [(fewest, below), (above, most)]
    return two if served - np.floor(served) >= 0.5 else two[::-1]
