r"""
One battery whose trade moves the price, to rounding.

In each interval the battery earns :math:`p_t x - \kappa_t x^2 / 2 h` from the energy :math:`x` that it puts into the
grid, less wear. The value of energy in store is then a falling line with corners, which is carried backwards from the
last interval: moves add up on it, and the store's limits cut it. There is no grid and no tolerance. Where a price is so
negative that energy is worth burning, an interval may do well by charging and well by discharging, but not by something
between; such intervals are held to one of the two, and a search over them ends where its bound meets the best plan.
"""

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlab.assets import Battery

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MOST_NODES = 40  # of a search, each of which costs a plan
_STATES = 201  # of the store, between which the first plan of a search moves
_NEAR = 1e-12  # of a limit, within which it is reached
_CLOSE = 1e-12  # of all that is earned and spent, within which a bound is met
_ROUNDING = 1e-15  # of the greatest value of energy, or of the store, within which two are the same
_INSIDE = 1e-9  # of the greatest move, by which a move must lie inside those that go both ways to be none


class Market(NamedTuple):
    """
    What a battery faces and where it starts and ends; vectors have an element for each interval.

    Parameters
    ----------
    price : ndarray, shape (n_steps,)
        Price without the battery. [$/MWh]
    bend : ndarray, shape (n_steps,)
        By how much the earnings of one more MWh fall with the power, at least 0. [$/MWh per MW]
    limit : ndarray, shape (n_steps,)
        Greatest energy either way. [MWh]
    start, end : float
        Energy stored above the least, before the first interval and after the last. [MWh]
    step_hours : float
        Length of an interval. [h]
    """

    price: Floats
    bend: Floats
    limit: Floats
    start: float
    end: float
    step_hours: float


@dataclass(frozen=True)
class BestPlan:
    """
    The plan of greatest earnings.

    Parameters
    ----------
    net_mwh : ndarray, shape (n_steps,)
        Energy into the grid. [MWh]
    stored_mwh : ndarray, shape (n_steps,)
        Energy stored above the least at the end of each interval. [MWh]
    earned : float
        What it earns, wear deducted. [$]
    bound : float
        What no plan can exceed, by the values of stored energy and, where it was needed, the search. [$]
    """

    net_mwh: Floats
    stored_mwh: Floats
    earned: float
    bound: float


def best_plan(market: Market, battery: Battery) -> BestPlan:
    """
    The plan of greatest earnings of a battery, and what proves it.

    Parameters
    ----------
    market : Market
        Prices and how far the battery moves them; the end can be reached from the start.
    battery : Battery
        Power does not enter, which is in the market's limits, nor does the ramp.

    Examples
    --------
    >>> market = Market(np.array([10.0, 50.0]), np.array([20.0, 20.0]), np.ones(2), 0.0, 0.0, 1.0)
    >>> plan = best_plan(market, Battery(1.0, 1.0, 1.0, 1.0))  # 50 - 20 x = 10 + 20 x
    >>> plan.net_mwh.round(9).tolist(), plan.earned, plan.bound
    ([-1.0, 1.0], 20.0, 20.0)
    """
    jump = _jumps(market, battery)
    best = _solve(market, battery, np.ones((len(market.price), 2), dtype=bool), jump)
    if not best.torn.any():
        return BestPlan(best.net, best.stored, best.earned, max(best.bound, best.earned))
    return _searched(market, battery, best, jump)


def earnings(market: Market, net_mwh: Floats, wear: float) -> float:
    """What energy into the grid earns, less wear. [$]"""
    sold = market.price * net_mwh - market.bend * net_mwh**2 / (2 * market.step_hours)
    return float(sold.sum() - wear * np.maximum(net_mwh, 0.0).sum())


def greatest_earnings(market: Market, wear: float) -> float:
    """A scale of what can be earned and spent: every interval at its limit. [$]"""
    return float(((np.abs(market.price) + wear + market.bend * market.limit / market.step_hours) * market.limit).sum())


class _Node(NamedTuple):
    """A plan in which some intervals are held to one way: what it earns and proves, and which intervals it tears."""

    net: Floats
    stored: Floats
    earned: float
    bound: float
    torn: Flags
    ways: Flags


class _Moves(NamedTuple):
    """The moves of the store by the value of energy, in rows of each interval, and the least move."""

    quantity: Floats
    low: Floats
    high: Floats
    least: Floats
    two_ways: Flags


def _searched(market: Market, battery: Battery, root: _Node, jump: Floats) -> BestPlan:
    """The best plan in which no interval goes both ways, by branch and bound from a plan in which some do."""
    signed = _solve(market, battery, _signed(market, battery, root.ways, jump), jump)
    best = max(signed, _held(market, battery, root, jump), key=lambda node: node.earned)
    enough = _CLOSE * greatest_earnings(market, battery.degradation_cost)
    queue, count = [(-root.bound, 0, root)], 1
    while queue and count < _MOST_NODES and -queue[0][0] > best.earned + enough:
        node = heapq.heappop(queue)[2]
        torn = int(np.argmax(np.where(node.torn, np.abs(node.net), -1.0)))
        for way in (0, 1):
            ways = node.ways.copy()
            ways[torn, 1 - way] = False
            child = _solve(market, battery, ways, jump)
            count += 1
            if not child.torn.any():
                best = child if child.earned > best.earned else best
            elif child.bound > best.earned + enough:
                heapq.heappush(queue, (-child.bound, count, child))
    bound = max(-queue[0][0], best.earned) if queue else best.earned
    return BestPlan(best.net, best.stored, best.earned, bound)


def _signed(market: Market, battery: Battery, ways: Flags, jump: Floats) -> Flags:
    """The ways that the best plan between a few hundred states of the store goes where it could burn energy."""
    from gridlab.games.battery_play_core import best_signs

    usable, hours = battery.soc_high_mwh - battery.soc_low_mwh, market.step_hours
    states = np.unique(np.r_[np.linspace(0.0, usable, _STATES), market.start, market.end])
    physics = battery.degradation_cost, battery.eta_charge, battery.eta_discharge, battery.kept(hours)
    bend = market.bend / hours
    signs, _ = best_signs(market.price, bend, market.limit, *physics, market.start, market.end, states)
    burns = ~np.isnan(jump)
    return np.column_stack([ways[:, 0] & ~(burns & (signs <= 0)), ways[:, 1] & ~(burns & (signs > 0))])


def _held(market: Market, battery: Battery, node: _Node, jump: Floats) -> _Node:
    """The best plan that keeps to the way that a torn plan goes, in the torn intervals or, if need be, in all."""
    for held in (node.torn, ~np.isnan(jump)):
        ways = node.ways.copy()
        ways[held, 0] &= node.net[held] > 0
        ways[held, 1] &= node.net[held] <= 0
        found = _solve(market, battery, ways, jump)
        if not found.torn.any():
            break
    return found


def _solve(market: Market, battery: Battery, ways: Flags, jump: Floats) -> _Node:
    """The plan when each interval may discharge, charge or both, and which intervals would burn energy."""
    from gridlab.games.battery_play_core import combine, move, value_at, within

    moves = _moves_by_value(market, battery, ways, jump)
    kept, usable = battery.kept(market.step_hours), battery.soc_high_mwh - battery.soc_low_mwh
    rows = list(zip(*moves[:4], strict=True))
    line, lines = (np.zeros(1), np.full(1, market.end)), []
    for row in reversed(rows):
        early = combine(*line, *row)
        lines.append((early, line))
        line = within(*early, kept, usable)
    grain = _ROUNDING * max(np.abs(moves.low).max(), np.abs(moves.high).max())
    close = _ROUNDING * max(usable, market.limit.max())
    stored, held, worth = np.empty(len(rows)), market.start, float(line[0][0])
    for t, (early, late) in enumerate(reversed(lines)):
        worth = value_at(*early, kept * held, worth / kept, close)
        stored[t] = held = move(*late, kept * held, *rows[t], worth, moves.two_ways[t], grain)
    return _judged(market, battery, ways, moves, stored)


def _judged(market: Market, battery: Battery, ways: Flags, moves: _Moves, stored: Floats) -> _Node:
    """A plan by its states, the bound that the values of energy prove, and which intervals would burn energy."""
    kept = battery.kept(market.step_hours)
    change = stored - kept * np.r_[market.start, stored[:-1]]
    net = np.where(change > 0, -change / battery.eta_charge, -change * battery.eta_discharge)
    scale = np.maximum(market.limit, 1e-300)
    missed = np.maximum(np.abs(net) - market.limit, 0.0) + np.where(net > 0, ~ways[:, 0], ~ways[:, 1]) * np.abs(net)
    if (missed > 1e-6 * scale).any() or abs(stored[-1] - market.end) > 1e-6 * max(scale.max(), market.end):
        return _Node(net, stored, -np.inf, -np.inf, np.zeros(len(net), dtype=bool), ways)
    net = np.clip(net, -market.limit, market.limit)
    earned = earnings(market, net, battery.degradation_cost)
    atom, jump = moves.quantity[:, 1], np.where(moves.two_ways, moves.low[:, 1], np.nan)
    first = moves.least + moves.quantity[:, 0]
    inside = np.minimum(change - first, first + atom - change)
    torn = moves.two_ways & (inside > _INSIDE * atom)
    bound = _bound(market, battery, ways, _values_of(market, battery, ways, net, stored, jump, torn))
    return _Node(net, stored, earned, bound, torn, ways)


def _bound(market: Market, battery: Battery, ways: Flags, value: Floats) -> float:
    """What no plan can exceed, whatever the values of stored energy are, by weak duality."""
    usable, kept = battery.soc_high_mwh - battery.soc_low_mwh, battery.kept(market.step_hours)
    best = np.maximum(*_surplus(market, battery, ways, value))
    held = kept * value[1:] - value[:-1]
    return float(
        best.sum() + usable * np.maximum(held, 0.0).sum() + kept * value[0] * market.start - value[-1] * market.end
    )


def _values_of(
    market: Market, battery: Battery, ways: Flags, net: Floats, stored: Floats, jump: Floats, torn: Flags
) -> Floats:
    """
    Values of stored energy that make a plan's moves the best, as far as there are such values.

    Each move tells between which values it is the best; from one interval to the next the value changes by the leak
    alone unless the store is full, after which it may only rise, or empty, after which it may only fall.
    """
    low, high = _best_between(market, battery, ways, net)
    low = np.where(torn, jump, np.where(net < 0, np.fmax(low, jump), np.fmin(low, jump)))
    high = np.where(torn, jump, np.where(net < 0, np.fmax(high, jump), np.fmin(high, jump)))
    kept, usable = battery.kept(market.step_hours), battery.soc_high_mwh - battery.soc_low_mwh
    near = _NEAR * usable
    empty, full = (stored <= near).tolist(), (stored >= usable - near).tolist()
    lows, highs = low.tolist(), high.tolist()
    for t in range(1, len(net)):
        if not full[t - 1]:
            highs[t] = max(min(highs[t], highs[t - 1] / kept), lows[t])
        if not empty[t - 1]:
            lows[t] = min(max(lows[t], lows[t - 1] / kept), highs[t])
    value = [0.0] * len(net)
    later = min(max(0.0, lows[-1]), highs[-1])
    for t in range(len(net) - 1, -1, -1):
        value[t] = later = min(max(later, lows[t]), highs[t])
        later *= kept
    return np.array(value)


def _best_between(market: Market, battery: Battery, ways: Flags, net: Floats) -> tuple[Floats, Floats]:
    """The least and the greatest value of stored energy at which each move is the best in its interval."""
    net = np.where(np.abs(net) > _NEAR * market.limit, net, 0.0)
    along = market.bend * np.abs(net) / market.step_hours
    sell = (market.price - battery.degradation_cost - along) * battery.eta_discharge
    buy = (market.price + along) / battery.eta_charge
    whole = np.abs(net) >= (1 - _NEAR) * market.limit
    low = np.where(net > 0, np.where(whole, -np.inf, sell), np.where(net < 0, buy, np.where(ways[:, 0], sell, -np.inf)))
    high = np.where(net > 0, sell, np.where(net < 0, np.where(whole, np.inf, buy), np.where(ways[:, 1], buy, np.inf)))
    low, high = np.where(market.limit > 0, low, -np.inf), np.where(market.limit > 0, high, np.inf)
    return np.minimum(low, high), np.maximum(low, high)


def _surplus(market: Market, battery: Battery, ways: Flags, value: Floats) -> tuple[Floats, Floats]:
    """What discharging, and what charging, earns at most in each interval, stored energy at its value."""
    surplus = []
    for way, margin in zip(ways.T, _margins(market, battery, value), strict=True):
        energy = _energy(margin, market)
        surplus.append(np.where(way, margin * energy - market.bend * energy**2 / (2 * market.step_hours), 0.0))
    return surplus[0], surplus[1]


def _margins(market: Market, battery: Battery, value: Floats) -> tuple[Floats, Floats]:
    """What the first MWh earns that is discharged, and that is charged, stored energy at its value. [$/MWh]"""
    sold = market.price - battery.degradation_cost - value / battery.eta_discharge
    return sold, value * battery.eta_charge - market.price


def _energy(margin: Floats, market: Market) -> Floats:
    """The energy of greatest surplus at a margin on the first MWh."""
    most = np.where(margin > 0, market.limit, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        inner = np.divide(margin * market.step_hours, market.bend, out=most.copy(), where=market.bend > 0)
    return np.asarray(np.clip(inner, 0.0, market.limit))


def _moves_by_value(market: Market, battery: Battery, ways: Flags, jump: Floats) -> _Moves:
    """
    The move of the store by the value of energy: discharging that gives way to rest, and rest to charging.

    Where discharging still pays when charging already does, an interval jumps from one to the other.
    """
    low, high = _values(market, battery)
    whole = np.column_stack([market.limit / battery.eta_discharge, market.limit * battery.eta_charge])
    quantity = np.column_stack([whole[:, 0], np.zeros(len(whole)), whole[:, 1]]) * ways[:, [0, 0, 1]]
    two_ways = ways.all(axis=1) & ~np.isnan(jump)
    if two_ways.any():
        at = np.where(two_ways, jump, 0.0)
        out, into = (_energy(margin, market) for margin in _margins(market, battery, at))
        out, into = out / battery.eta_discharge, into * battery.eta_charge
        rows = np.column_stack([whole[:, 0] - out, out + into, whole[:, 1] - into])
        quantity[two_ways] = rows[two_ways]
        low[two_ways, 1:], high[two_ways, :2] = jump[two_ways, None], jump[two_ways, None]
        low[two_ways, 0] = np.minimum(low[two_ways, 0], jump[two_ways])
        high[two_ways, 2] = np.maximum(high[two_ways, 2], jump[two_ways])
    return _Moves(quantity, low, high, -whole[:, 0] * ways[:, 0], two_ways)


def _values(market: Market, battery: Battery) -> tuple[Floats, Floats]:
    """Values of energy at which discharging ends to be whole and ends, and charging begins and is whole."""
    fall = market.bend * market.limit / market.step_hours
    sell, buy = (market.price - battery.degradation_cost) * battery.eta_discharge, market.price / battery.eta_charge
    low = np.column_stack([sell - fall * battery.eta_discharge, sell, buy])
    return low, np.column_stack([sell, sell, buy + fall / battery.eta_charge])


def _jumps(market: Market, battery: Battery) -> Floats:
    """The value at which charging earns what discharging does, to the last digit; NaN where rest is better."""
    both = np.ones((len(market.price), 2), dtype=bool)
    ends = _values(market, battery)
    low, high = ends[0][:, 2], ends[1][:, 0]
    burns = (high > low) & (market.limit > 0)
    low, high = np.where(burns, low, 0.0), np.where(burns, high, 0.0)
    while True:
        middle = low + (high - low) / 2
        inner = (middle > low) & (middle < high)
        if not inner.any():
            return np.where(burns, middle, np.nan)
        out, into = _surplus(market, battery, both, middle)
        low, high = np.where(inner & (out > into), middle, low), np.where(inner & (out <= into), middle, high)
