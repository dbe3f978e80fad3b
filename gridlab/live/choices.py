"""Allocations of whole machines over a horizon: the best of an interval, and the best sequence of them."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlab.dispatch.order import cooling_for
from gridlab.errors import PlanError
from gridlab.live.config import Config
from gridlab.mpc.allocation import allocate, nearly
from gridlab.sources.mara import Inventory, Quote

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MANY = 10**12
"""Machines: more than there are."""

_GRID = 2500  # units of power under the cap, at most, in which machines with a chiller are planned
_TRIED = 50  # numbers of machines that fill what the grid leaves
_SEEN = 24  # intervals whose best allocations are tried
_CAP = 1e12
_ENTRIES = 10**7  # of its tables
_HOLDS = (1, 3, 6, 12)  # intervals for which an allocation is tried as if it were held
_SAME = 1e-9  # relative, by which staying is as good as moving
_ROUNDING = 1e-12  # relative, and of powers in MW


@dataclass(frozen=True)
class Task:
    """What is planned: arrays by interval and machine type, in the API's unit of power and in money an interval."""

    inventory: Inventory
    quote: Quote
    power: Ints
    pays: Floats  # of one machine, shape (n_steps, n_types)
    energy: Floats  # of a unit of power, shape (n_steps,)
    prices: Floats  # the API's, shape (3, n_steps)
    held: Ints  # shape (n_steps, n_types)
    before: Ints
    outside_c: float
    services_mw: float
    cap_mw: float  # of machines, chiller and services


class Choice:
    """Allocations of a task's intervals under their limits."""

    def __init__(
        self,
        config: Config,
        task: Task,
        limits: list[float],
        fixed: Floats | None,
        most: Ints | None,
        cooled: NDArray[np.bool_],
    ) -> None:
        self.config, self.task, self.cooled = config, task, cooled
        self.limits, self.fixed, self.most = limits, fixed, most
        self.unit = config.scaling.power_mw
        self.problem: str | None = None
        self._known: dict[tuple[Any, ...], Ints] = {}

    def cooling_mw(self, step: int, counts: Ints) -> float:
        """Power of the chiller: planned with the room, or what removes the heat. [MW]"""
        if self.config.cooling is None:
            return 0.0
        if self.fixed is not None:
            return float(self.fixed[step])
        return cooling_for(self.heat_mw(counts), self.task.outside_c, self.config.cooling)

    def heat_mw(self, counts: Ints) -> float:
        """Heat for the chiller. [MW]"""
        return float((counts * self.task.power)[self.cooled].sum()) * self.unit

    def chiller_mw(self, heat: NDArray[np.floating[Any]]) -> Floats:
        """Power that removes heats, infinite above the chiller's capacity. [MW]"""
        cooling = self.config.cooling
        if cooling is None:
            return np.zeros_like(heat)
        share, (a, b, c) = heat / cooling.capacity_mw, cooling.part_load
        full = cooling.capacity_mw / cooling.cop(self.task.outside_c)
        on = np.where(heat > 0, full * (a + b * np.minimum(share, 1.0) + c * np.minimum(share, 1.0) ** 2), 0.0)
        return np.where(heat <= cooling.capacity_mw + _ROUNDING, on, np.inf)

    def _limited(self, stack: Ints, steps: slice) -> tuple[NDArray[np.bool_], Floats]:
        """Whether allocations keep the limits of intervals, and what the meter reads [MW]."""
        task, unit = self.task, self.unit
        drawn, heat = stack @ task.power, (stack * task.power * self.cooled).sum(axis=1) * unit
        chilled = self.chiller_mw(heat)[None, :] if self.fixed is None else self.fixed[steps, None]
        meter = drawn * unit + chilled
        good = (meter <= np.array(self.limits[steps])[:, None] * (1 + _ROUNDING) + _ROUNDING) & (
            drawn <= self.config.cap_power
        )
        return good & (stack[None, :, :] >= task.held[steps, None, :]).all(axis=2), meter

    def money(self, stack: Ints, steps: slice = slice(None)) -> Floats:
        """What allocations earn, shape (n_steps, n_allocations); minus infinity where they break a limit. [$]"""
        task, (good, meter) = self.task, self._limited(stack, steps)
        meter = np.where(np.isfinite(meter), meter, 0.0)
        return np.where(good, task.pays[steps] @ stack.T - task.energy[steps, None] * (meter / self.unit), -np.inf)

    def profit(self, step: int, counts: Ints) -> float:
        """What machines make less their power and the chiller's. [$]"""
        pays, power = self.task.pays[step], float(counts @ self.task.power) + self.cooling_mw(step, counts) / self.unit
        return float(pays @ counts) - float(self.task.energy[step]) * power

    def best(self, step: int, held_for: int = 1, cost: Floats | None = None) -> Ints:
        """
        The best allocation of an interval, or of one that is held for so many with the cost of moving to it.

        Without a cost, and without a chiller whose power follows its heat, it is the exact optimum; with a cost, what
        the first nodes of the search find.
        """
        ahead = slice(step, step + held_for)
        pays, energy = self.task.pays[ahead].mean(axis=0), float(self.task.energy[ahead].mean())
        limits = (self.limits[step], None if self.fixed is None else self.fixed[step], self.task.held[step].tobytes())
        costs = None if cost is None else cost.tobytes()
        key = (pays.tobytes(), energy, costs, limits, self.most is not None and step == 0)
        if key not in self._known:
            self._known[key] = self._best(step, pays, energy, cost)
        return self._known[key]

    def _best(self, step: int, pays: Floats, energy: float, cost: Floats | None) -> Ints:
        cooling, power = self.config.cooling, self.task.power
        if cooling is None or not self.cooled.any():
            return self._knapsack(step, pays - energy * power, self._spare(step, 0.0), cost)
        if self.fixed is None:
            return self._chilled(step, pays, energy, cost)
        later = pays - energy * power * (1 + self.cooled / cooling.cop(self.task.outside_c))
        return self._knapsack(step, later, self._spare(step, float(self.fixed[step])), cost)

    def _spare(self, step: int, other_mw: float) -> int:
        """What the machines may draw beside another load of the meter."""
        meter = (self.limits[step] - other_mw) / self.unit * (1 + _ROUNDING)
        return min(self.config.cap_power, math.floor(max(meter, 0.0)))

    def _knapsack(self, step: int, margin: Floats, cap: int, cost: Floats | None) -> Ints:
        """The optimum; without a proof of it where it is to be exact, or room for what is held, the fewest machines."""
        task, most, held = self.task, self._most(step), self.task.held[step]
        try:
            if cost is not None:
                return nearly(margin, task.power, cap, most, held, task.before, cost)
            found = allocate(margin, task.power, cap, most=most, held=held)
        except PlanError as error:
            self.problem = str(error)
            return np.array(held)
        return np.array(found.counts, dtype=np.int64)

    def _most(self, step: int) -> Ints:
        most = np.full(len(self.task.power), MANY, np.int64) if self.most is None or step > 0 else self.most
        return np.asarray(np.maximum(most, self.task.held[step]))

    def _chilled(self, step: int, pays: Floats, energy: float, cost: Floats | None) -> Ints:
        """
        The best machines with what cools them, over every heat that the machines cooled can give off.

        Powers are in units of the grid, rounded up; what that leaves of the caps is filled last.
        """
        from gridlab.mpc.allocation_core import taken_at

        task, held, grid = self.task, self.task.held[step], self._grid
        drawn, heat = int(held @ task.power), self.heat_mw(held)
        size = (self.config.cap_power - drawn) // grid.unit
        if size < 0:
            self.problem = f"the machines held draw {drawn}, above the cap of {self.config.cap_power}"
            return np.array(held)
        plain, cooled = (self._table(step, pays - energy * task.power, size, kind, cost) for kind in (False, True))
        hot = np.flatnonzero(cooled[0] > -np.inf)
        chiller = self.chiller_mw(heat + hot * (grid.unit * self.unit))
        meter = (self.limits[step] * (1 + _ROUNDING) - chiller) / self.unit - drawn
        spare = np.floor(np.clip(meter / grid.unit - hot, -1.0, size - hot)).astype(np.int64)
        hot, chiller, spare = hot[spare >= 0], chiller[spare >= 0], spare[spare >= 0]
        if len(hot) == 0:
            self.problem = (
                f"machines held pass the chiller's capacity or, with it, the meter's {self.limits[step]:.6g} MW"
            )
            return np.array(held)
        best_with = _running_argmax(plain[0])
        best = int((cooled[0][hot] + plain[0][best_with[spare]] - energy * chiller / self.unit).argmax())
        at, n_types, rest = int(hot[best]), len(held), int(best_with[spare[best]])
        counts = held + taken_at(*cooled[1:], at, n_types) + taken_at(*plain[1:], rest, n_types)
        if grid.exact:
            return np.asarray(counts)
        moving = np.zeros(len(pays)) if cost is None else cost
        tried = np.array(
            [
                self._filled(step, n, pays, energy, moving)
                for n in (counts, self._full(step, pays - energy * task.power, moving))
            ]
        )
        return np.asarray(tried[self._earned(step, tried, pays, energy, moving).argmax()])

    def _full(self, step: int, margin: Floats, moving: Floats) -> Ints:
        """The machines cooled that pay most up to the chiller's capacity; what is held where they do not fit."""
        from gridlab.mpc.allocation_core import best_counts

        task, held, cooling = self.task, self.task.held[step], self.config.cooling
        capacity = min(cooling.capacity_mw / self.unit * (1 + _ROUNDING), _CAP) if cooling is not None else _CAP
        most = np.where(self.cooled, self._most(step), held)
        data = (margin, task.power, min(math.floor(capacity), self.config.cap_power), most, held, task.before, moving)
        counts = np.asarray(best_counts(*data, False, 300)[0])
        return counts if self._limited(counts[None, :], slice(step, step + 1))[0].all() else np.array(held)

    def _earned(self, step: int, stack: Ints, pays: Floats, energy: float, moving: Floats) -> Floats:
        """What allocations earn less the cost of moving to them; minus infinity where they break a limit. [$]"""
        good, meter = self._limited(stack, slice(step, step + 1))
        drawn = np.where(good[0], meter[0] / self.unit, 0.0)
        money = stack @ pays - energy * drawn - np.abs(stack - self.task.before) @ moving
        return np.where(good[0], money, -np.inf)

    def _table(self, step: int, margin: Floats, size: int, cooled: bool, cost: Floats | None) -> tuple[Any, Any, Any]:
        """The recursion over the power of what is cooled, or of what is not."""
        from gridlab.mpc.allocation_core import tables

        held, before = self.task.held[step], self.task.before
        most = np.where(self.cooled == cooled, self._most(step), held)
        if cooled and self.config.cooling is not None:
            size = min(size, math.ceil(min(self.config.cooling.capacity_mw / self.unit, _CAP) / self._grid.unit))
        moving = np.zeros(len(margin)) if cost is None else cost
        found: tuple[Any, Any, Any] = tables(
            margin, self._grid.weights, size, most, held, before, moving, False, _ENTRIES
        )
        return found

    @cached_property
    def _grid(self) -> "_Grid":
        """The powers' common unit, or the one of which they are nearly multiples."""
        power, cap = self.task.power, max(self.config.cap_power, 1)
        unit = int(np.gcd.reduce(power))
        if cap // unit > _GRID:
            low, high = max(1, cap // _GRID), max(2, cap // 500)
            units = np.arange(low, high, max(1, (high - low) // 2000))
            wasted = (-(-power[:, None] // units) * units / power[:, None]).max(axis=0)
            unit = int(units[wasted.argmin()])
        return _Grid(unit, -(-power // unit), not (power % unit).any())

    def _filled(self, step: int, counts: Ints, pays: Floats, energy: float, moving: Floats) -> Ints:
        """An allocation with the machines that still fit and pay."""
        each = (pays - energy * self.task.power) / self.task.power
        for i in np.argsort(-each, kind="stable"):
            fits = int(self.config.cap_power - counts @ self.task.power) // int(self.task.power[i])
            fits = min(fits, int(self._most(step)[i] - counts[i]))
            if each[i] <= 0 or fits <= 0:
                continue
            more = np.arange(fits + 1) if fits < _TRIED else np.linspace(0, fits, _TRIED).astype(np.int64)
            tried = counts + more[:, None] * (np.arange(len(pays)) == i)
            counts = tried[self._earned(step, tried, pays, energy, moving).argmax()]
        return counts


class _Grid(NamedTuple):
    """A unit of power, the machines' powers in it, rounded up, and whether they are whole in it."""

    unit: int
    weights: Ints
    exact: bool


def _running_argmax(values: Floats) -> Ints:
    """Where the greatest of the values up to each is, the first of them."""
    greatest = np.maximum.accumulate(values)
    risen = np.concatenate([[True], greatest[1:] > greatest[:-1]])
    return np.asarray(np.maximum.accumulate(np.where(risen, np.arange(len(values)), 0)))


def sequence(choice: Choice, cost: Floats, dwell: Ints) -> tuple[list[Ints], float]:
    """
    The best sequence of allocations, of those that are best somewhere in the horizon and the one that runs, by value.

    An allocation may lose machines of a type once none was started for their least run, a sufficient condition.
    """
    task, n_steps = choice.task, len(choice.task.energy)
    kept = _candidates(choice, cost)
    money = choice.money(kept)
    if not np.isfinite(money).any(axis=1).all():
        counts = choice.best(0, 1, cost)
        return [counts], choice.profit(0, counts) - float(cost @ np.abs(counts - task.before))
    change: Ints = kept[None, :, :] - kept[:, None, :]
    ages = int(min(dwell.max(), n_steps))
    needs = np.where(change < 0, dwell, 1).max(axis=2)  # how long none was started before the second may follow
    allowed = np.minimum(needs, ages)[:, :, None] <= np.arange(1, ages + 1)
    starts = np.asarray((change > 0).any(axis=2))
    value, moves = _backwards(money, np.abs(change) @ cost, allowed, starts)
    return [kept[i] for i in _followed(moves, starts, ages)], value


def _candidates(choice: Choice, cost: Floats) -> Ints:
    """
    Allocations, each once, the one in force first.

    They are the best of each interval, of a horizon of many of those that lie close ahead and fewer of those far off,
    the best to move to and hold, what these leave running of the one in force, and nothing.
    """
    n_steps, before = len(choice.task.energy), choice.task.before
    seen = range(n_steps) if n_steps <= _SEEN else np.unique(np.geomspace(1, n_steps, _SEEN).astype(int) - 1).tolist()
    best = [choice.best(step, 1, 1e-6 * cost) for step in seen]
    best += [choice.best(0, k, cost / k) for k in (*_HOLDS, n_steps) if k <= n_steps]
    found = [before, *best, *(np.minimum(before, counts) for counts in best), np.zeros_like(before)]
    return np.array(list({tuple(counts.tolist()): counts for counts in found}.values()))


def _backwards(
    money: Floats, moving: Floats, allowed: NDArray[np.bool_], starts: NDArray[np.bool_]
) -> tuple[float, Ints]:
    """
    Value from the allocation in force, and the best next allocation by interval, allocation and age.

    The age is how many intervals ago a machine was last started, from 0 for one to the longest least run.
    """
    n_steps, n_kept = money.shape
    ages = allowed.shape[2]
    moves, value = np.empty((n_steps, n_kept, ages), np.int64), np.zeros((n_kept, ages))
    older, here, every = np.minimum(np.arange(ages) + 1, ages - 1), np.arange(n_kept)[:, None], np.arange(ages)
    paid = np.where(allowed, -moving[:, :, None], -np.inf).transpose(0, 2, 1).copy()  # from, age, to
    for step in range(n_steps - 1, -1, -1):
        then = value + money[step][:, None]
        options = paid + np.where(starts[:, None, :], then[:, 0], then.T[None, older])
        best = options.argmax(axis=2)
        value, stay = options[here, every, best], options[here, every, here]
        as_good = np.isfinite(stay) & (stay >= value - _SAME * np.abs(value))
        moves[step] = np.where(as_good, here, best)
    return float(value[0, -1]), moves


def _followed(moves: Ints, starts: NDArray[np.bool_], ages: int) -> list[int]:
    """The allocations along the best sequence, from the first of them, which has run for long."""
    at, age, path = 0, ages - 1, []
    for step in range(len(moves)):
        to = int(moves[step, at, age])
        age = 0 if starts[at, to] else min(age + 1, ages - 1)
        at = to
        path.append(at)
    return path
