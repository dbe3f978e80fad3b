"""The optimum of an auction of blocks, and the optimum without each winner: bounds first, then the rest exactly."""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlab.errors import PlanError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]

_GRID_WORK, _GRID_STEPS = 10**9, 10**7  # options x steps, and steps, up to which a grid is gone through
_FIRST_GAP = 1 / 16  # of the gap of the greedy solutions, what is tried first
_BOUND_ROUNDING = 1e-11  # of the bound, losses below which are none
_STATES = 10**7  # held at once where there is no such grid


class Sale(NamedTuple):
    """
    The options of one time that could win a step more, of bidders ``start[i]`` to ``start[i + 1]``, by rising size.

    Sizes and the capacity are whole numbers of `step` MW, or MW where it is None; values are above the reserve.
    """

    start: Ints
    row: Ints
    size: Floats
    value: Floats
    capacity: float
    step: Fraction | None


class Answer(NamedTuple):
    """Options chosen, what all others lose by each of their bidders, the optimum, and what a step more is worth."""

    chosen: Ints
    harm: Floats
    total: float
    more: float


class Bound(NamedTuple):
    """
    What `blocks_core.narrow` found, the loss of each option left out.

    Any solution is worth `total` less its losses and the price of the capacity that it leaves.
    """

    profit: Floats
    price: float
    total: float
    gap: float


def solve(sale: Sale, *, payments: bool = True) -> Answer:
    """
    The optimum, and that without each winner.

    What loses more than a gap is left out at first. The answer is the optimum if it comes within this gap of the bound;
    if not, how far it falls short is a gap that suffices, as is that of the greedy solutions.
    """
    from gridlab.auctions.blocks_core import narrow

    one = 0.0 if sale.step is None else 1.0
    loss, *rest = narrow(sale.start, sale.size, sale.value, sale.capacity, one)
    bound = Bound(*rest)
    rounding = _BOUND_ROUNDING * bound.total
    widest, gap = bound.gap + rounding, max(bound.gap * _FIRST_GAP, 2 * rounding)
    while True:
        answer = _within(sale, loss, bound._replace(gap=min(gap, widest)), one, payments=payments)
        missing = _missing(sale, answer, bound, one, payments=payments) + rounding
        if gap >= min(missing, widest):
            return answer
        gap = min(missing, 4 * gap)


def dantzig(sale: Sale) -> float:
    """The optimum of the relaxation in which a bidder may be awarded a mixture of its options."""
    from gridlab.auctions.blocks_core import relaxed

    fitting = kept(sale, sale.size <= sale.capacity)
    return float(relaxed(fitting.start, fitting.size, fitting.value, fitting.capacity)[1])


def bidder_of(sale: Sale) -> Ints:
    """Position of each option's bidder."""
    return np.repeat(np.arange(len(sale.start) - 1), np.diff(sale.start))


def starts(bidder: Ints) -> Ints:
    """Where the rows of each bidder begin, and the end."""
    return np.concatenate([np.flatnonzero(np.diff(bidder, prepend=-1)), [len(bidder)]])


def kept(sale: Sale, keep: Flags) -> Sale:
    """Of the options those that are kept, of the bidders those that have one."""
    return sale._replace(
        start=starts(bidder_of(sale)[keep]), row=sale.row[keep], size=sale.size[keep], value=sale.value[keep]
    )


def pruned(sale: Sale) -> Sale:
    """Without options that are worth no more than a smaller one of their bidder, or than nothing."""
    from gridlab.auctions.blocks_core import undominated

    return kept(sale, undominated(sale.start, sale.size, sale.value, sale.row))


def _missing(sale: Sale, answer: Answer, bound: Bound, one: float, *, payments: bool) -> float:
    """What an answer falls short of the bounds at most: of all bidders, of a step more, of all but each winner."""
    short = bound.total - answer.total
    if not payments:
        return short
    without = answer.total - sale.value[answer.chosen] + answer.harm
    short_without = bound.total - bound.profit[bidder_of(sale)[answer.chosen]] - without
    return max(short, short + bound.price * one - answer.more, float(short_without.max(initial=0.0)))


def _within(sale: Sale, loss: Floats, bound: Bound, one: float, *, payments: bool) -> Answer:
    """The best of what loses no more than the gap: a bidder with one such option is settled; the rest is solved."""
    bidder, keep, may_lose = bidder_of(sale), loss <= bound.gap, bound.profit <= bound.gap
    is_open = (np.bincount(bidder, keep, len(may_lose)) > 1) | may_lose
    settled, rest = np.flatnonzero(keep & ~is_open[bidder]), np.flatnonzero(keep & is_open[bidder])
    base, taken = float(sale.value[settled].sum()), float(sale.size[settled].sum())
    remaining = kept(sale, keep & is_open[bidder])._replace(capacity=sale.capacity - taken)
    top = remaining.capacity + max(float(sale.size[settled].max(initial=0.0)), one)
    of_rest = bound._replace(profit=bound.profit[np.unique(bidder[rest])])
    chosen, without, best = _solve_rest(remaining, top, of_rest, payments=payments)
    inside, more = best(remaining.capacity + np.array([0.0, one]))
    if inside == -np.inf:
        return Answer(rest[:0], np.zeros(0), -np.inf, 0.0)
    harm = np.concatenate([best(remaining.capacity + sale.size[settled]) - inside, without - inside])
    chosen = np.concatenate([settled, rest[chosen]])
    harm[len(settled) :] += sale.value[chosen[len(settled) :]]
    order = np.argsort(chosen)
    return Answer(chosen[order], harm[order], base + float(inside), float(more - inside))


def _solve_rest(
    sale: Sale, top: float, bound: Bound, *, payments: bool
) -> tuple[Ints, Floats, Callable[[Floats], Floats]]:
    """Options chosen, the optimum without each of their bidders, and the optimum by capacity up to `top`."""
    steps = min(top, float(np.maximum.reduceat(sale.size, sale.start[:-1]).sum()) if len(sale.size) else 0.0)
    if sale.step is None or steps > _GRID_STEPS or steps * len(sale.size) > _GRID_WORK:
        return _by_lists(sale, top, bound, payments=payments)
    from gridlab.auctions.blocks_core import on_grid

    whole, capacity = sale.size.astype(np.int64), int(min(sale.capacity, steps))
    chosen, without, best = on_grid(sale.start, whole, sale.value, sale.row, capacity, int(steps), payments)
    won = chosen >= 0
    return chosen[won], without[won], lambda capacity: best[np.minimum(capacity, len(best) - 1).astype(np.int64)]


def _by_lists(
    sale: Sale, top: float, bound: Bound, *, payments: bool
) -> tuple[Ints, Floats, Callable[[Floats], Floats]]:
    """As `_solve_rest`, where there is no grid to go through."""
    from gridlab.auctions.blocks_core import in_lists

    chosen, without, sizes, values = in_lists(
        sale.start,
        sale.size,
        sale.value,
        sale.row,
        sale.capacity,
        top,
        bound.price,
        bound.profit,
        bound.gap,
        payments,
        _STATES,
    )
    if len(chosen) == len(sale.start):
        raise PlanError(
            f"the sizes of {len(chosen) - 1} bidders combine in more than {_STATES} ways that none is better than: "
            "give sizes a coarser common step, or clear them by clear_vcg_rounded"
        )
    won = chosen >= 0
    values = np.concatenate([[-np.inf], values])
    return chosen[won], without[won], lambda capacity: values[np.searchsorted(sizes, capacity, side="right")]
