"""Allocations of whole machines over a horizon: the best of an interval, and the best sequence of them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridlab.dispatch.order import cooling_for
from gridlab.errors import PlanError
from gridlab.live.config import Config
from gridlab.mpc.allocation import allocate
from gridlab.sources.mara import Inventory, Quote

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MANY = 10**12
"""Machines: more than there are."""

_LOADS = (1 / 8, 3 / 8, 5 / 8, 7 / 8, 1.0)  # shares of the chiller's capacity at which its curve has tangents
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

    def holds(self, step: int, counts: Ints) -> bool:
        """Whether an allocation keeps the caps, the chiller's capacity and the least runs of an interval."""
        return bool(np.isfinite(self.money(counts[None, :], slice(step, step + 1))[0, 0]))

    def money(self, stack: Ints, steps: slice = slice(None)) -> Floats:
        """What allocations earn, shape (n_steps, n_allocations); minus infinity where they break a limit. [$]"""
        task, cooling, unit = self.task, self.config.cooling, self.unit
        drawn, heat = stack @ task.power, (stack * task.power * self.cooled).sum(axis=1) * unit
        n_steps = len(task.energy[steps])
        chilled = np.zeros((n_steps, len(stack)))
        if self.fixed is not None:
            chilled += self.fixed[steps, None]
        elif cooling is not None:
            chilled += [cooling_for(mw, task.outside_c, cooling) for mw in heat.tolist()]
        meter = drawn * unit + chilled
        good = (meter <= np.array(self.limits[steps])[:, None] * (1 + _ROUNDING) + _ROUNDING) & (
            drawn <= self.config.cap_power
        )
        if cooling is not None and self.fixed is None:
            good &= heat <= cooling.capacity_mw + _ROUNDING
        good &= (stack[None, :, :] >= task.held[steps, None, :]).all(axis=2)
        return np.where(good, task.pays[steps] @ stack.T - task.energy[steps, None] * (meter / unit), -np.inf)

    def profit(self, step: int, counts: Ints) -> float:
        """What machines make less their power and the chiller's. [$]"""
        return self._worth(step, counts, self.task.pays[step], float(self.task.energy[step]))

    def best(self, step: int, held_for: int = 1, cost: Floats | None = None) -> Ints:
        """The best allocation of an interval, or of one that is held for so many with the cost of moving to it."""
        ahead = slice(step, step + held_for)
        pays, energy = self.task.pays[ahead].mean(axis=0), float(self.task.energy[ahead].mean())
        cooling, no_heat = self.config.cooling, np.zeros(len(pays))
        if cooling is None or not self.cooled.any():
            return self._under(step, pays, energy, no_heat, 0.0, cost)
        cop, (a, b, c) = cooling.cop(self.task.outside_c), cooling.part_load
        if self.fixed is not None:
            later = pays - energy * self.task.power * self.cooled / cop
            return self._under(step, later, energy, no_heat, float(self.fixed[step]), cost)
        tried = [self._under(step, np.where(self.cooled, -np.inf, pays), energy, no_heat, 0.0, cost)]
        for load in _LOADS:
            slope = np.where(self.cooled, (b + 2 * c * load) / cop, 0.0)
            at_none = cooling.capacity_mw / cop * (a - c * load**2)
            tried.append(self._under(step, pays, energy, slope, at_none, cost))
        moving = no_heat if cost is None else cost
        good = [counts for counts in tried if self.holds(step, counts)]
        return max(
            good or tried[:1],
            key=lambda n: self._worth(step, n, pays, energy) - float(moving @ np.abs(n - self.task.before)),
        )

    def _worth(self, step: int, counts: Ints, pays: Floats, energy: float) -> float:
        power = float(counts @ self.task.power) + self.cooling_mw(step, counts) / self.unit
        return float(pays[counts > 0] @ counts[counts > 0]) - energy * power

    def _under(
        self, step: int, pays: Floats, energy: float, per_heat: Floats, other_mw: float, cost: Floats | None
    ) -> Ints:
        """The knapsack with so much cooling for each unit of power, beside a load of the meter."""
        drawn = self.task.power * (1 + per_heat)
        margin = pays - energy * drawn
        meter = max((self.limits[step] - other_mw) / self.unit * (1 + _ROUNDING), 0.0)
        if not per_heat.any():
            return self._knapsack(step, margin, self.task.power, min(self.config.cap_power, math.floor(meter)), cost)
        finer = max(1, 2_000_000 // max(1, self.config.cap_power))
        weights = np.ceil(drawn * finer).astype(np.int64)
        counts = self._knapsack(step, margin, weights, math.floor(meter * finer), cost)
        if int(counts @ self.task.power) > self.config.cap_power:  # the battery's power lets the meter have more
            share = max(1.0, meter / max(1, self.config.cap_power))
            weights = np.ceil(np.maximum(drawn, self.task.power * share) * finer).astype(np.int64)
            counts = self._knapsack(step, margin, weights, math.floor(meter * finer), cost)
        return counts

    def _knapsack(self, step: int, margin: Floats, weights: Ints, cap: int, cost: Floats | None) -> Ints:
        """The knapsack, with no more heat than the chiller can remove."""
        held, never = self.task.held[step], np.isneginf(margin)
        most = np.full(len(margin), MANY, np.int64) if self.most is None or step > 0 else self.most
        most = np.maximum(np.where(never, 0, most), held)
        margin = np.where(never, 0.0, margin)
        counts = self._allocated(margin, weights, cap, most, held, cost)
        cooling = self.config.cooling
        if cooling is None or self.fixed is not None or self.heat_mw(counts) <= cooling.capacity_mw + _ROUNDING:
            return counts
        capacity = math.floor(cooling.capacity_mw / self.unit * (1 + _ROUNDING))
        hot = np.where(self.cooled, most, 0)
        within = self._allocated(margin, self.task.power, capacity, hot, np.where(self.cooled, held, 0), cost)
        return self._allocated(margin, weights, cap, np.where(self.cooled, within, most), held, cost)

    def _allocated(self, margin: Floats, weights: Ints, cap: int, most: Ints, held: Ints, cost: Floats | None) -> Ints:
        """The exact optimum; without a proof of it, or without room for what is held, the fewest machines."""
        cap = min(cap, 10**12)
        try:
            found = allocate(margin, weights, cap, most=most, held=held, before=self.task.before, switching_cost=cost)
        except PlanError as error:
            self.problem = str(error)
            return held.copy()
        return np.array(found.counts, dtype=np.int64)


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

    They are the best of each interval, the best to move to and hold, what these leave running of the one in force, and
    nothing.
    """
    n_steps, before = len(choice.task.energy), choice.task.before
    best = [choice.best(step) for step in range(n_steps)]
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
    older, here = np.minimum(np.arange(ages) + 1, ages - 1), np.arange(n_kept)
    for step in range(n_steps - 1, -1, -1):
        later = np.where(starts[:, :, None], value[None, :, :1], value[None, :, older])
        options = np.where(allowed, (money[step] - moving)[:, :, None] + later, -np.inf)
        moves[step], value = options.argmax(axis=1), options.max(axis=1)
        stay = options[here, here]
        as_good = np.isfinite(stay) & (stay >= value - _SAME * np.abs(value))
        moves[step] = np.where(as_good, here[:, None], moves[step])
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
