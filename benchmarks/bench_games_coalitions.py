"""Coalitions: values and divisions beside the slow, obvious versions, and their growth with the number of players."""

import itertools

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog

from gridlab.assets import Battery
from gridlab.games.characteristic import is_superadditive, sums_over
from gridlab.games.nucleolus import prenucleolus
from gridlab.games.shapley import shapley, shapley_by_type, shapley_sampled
from gridlab.mpc.coalitions import CoalitionPlanner, Member, Tariff, values_by_count


def _game(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    v = sums_over(rng.random(n)) ** 1.5 + rng.random(2**n)
    v[0] = 0
    return v


def _members(n: int) -> tuple[list[Member], Tariff]:
    """A day of homes and sites: loads with peaks at different hours, sun on every other, batteries on two of three."""
    rng, hour, members = np.random.default_rng(0), np.arange(24), []
    for at in range(n):
        load = rng.uniform(0.5, 2) * (1 + 0.5 * np.sin((hour - rng.integers(24)) * np.pi / 12)) + rng.uniform(
            0, 0.3, 24
        )
        sun = rng.uniform(0, 2) * np.maximum(0, np.sin((hour - 6) * np.pi / 12)) if at % 2 else 0.0
        battery = Battery(rng.uniform(0.2, 1), rng.uniform(1, 3), 0.93, 0.94, degradation_cost=2.0)
        members.append(Member(load, sun, battery if at % 3 else None))
    price = 50 + 30 * np.sin((hour - 12) * np.pi / 12) + rng.normal(0, 5, 24)
    return members, Tariff(price, 0.4 * price, demand_charge=200.0)


@pytest.mark.parametrize("n", [10, 14, 17])
@pytest.mark.benchmark(group="Superadditivity")
def bench_is_superadditive(benchmark, n):
    v = np.bitwise_count(np.arange(2**n)) ** 2.0
    assert benchmark.pedantic(lambda: is_superadditive(v, n), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("n", [10])
@pytest.mark.benchmark(group="Superadditivity")
def bench_is_superadditive_pair_by_pair(benchmark, n):
    v = (np.bitwise_count(np.arange(2**n)) ** 2.0).tolist()

    def slow():
        return all(v[a | b] >= v[a] + v[b] for a in range(2**n) for b in range(2**n) if not a & b)

    assert benchmark.pedantic(slow, rounds=1)


@pytest.mark.parametrize("n", [10, 14, 18, 20, 22])
@pytest.mark.benchmark(group="Shapley value of a table")
def bench_shapley(benchmark, n):
    v = _game(n)
    benchmark.pedantic(lambda: shapley(v, n), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("n", [10, 14])
@pytest.mark.benchmark(group="Shapley value of a table")
def bench_shapley_player_by_player(benchmark, n):
    """The formula as it is written."""
    v = _game(n).tolist()
    weights = [1 / (n * len(list(itertools.combinations(range(n - 1), size)))) for size in range(n)]

    def slow():
        return [
            sum(weights[mask.bit_count()] * (v[mask | 1 << i] - v[mask]) for mask in range(2**n) if not mask >> i & 1)
            for i in range(n)
        ]

    assert benchmark.pedantic(slow, rounds=1) == pytest.approx(shapley(v, n))


@pytest.mark.parametrize("n", [30, 100])
@pytest.mark.benchmark(group="Shapley value of many")
def bench_shapley_of_a_thousand_orders(benchmark, n):
    benchmark.pedantic(
        lambda: shapley_sampled(lambda s: len(s) ** 1.5, n, samples=1000, rng=np.random.default_rng(0)), rounds=3
    )


@pytest.mark.benchmark(group="Shapley value of many")
def bench_shapley_of_three_types_of_forty(benchmark):
    table = np.sqrt(np.add.outer(np.add.outer(np.arange(41), 2 * np.arange(41)), 3 * np.arange(41)))
    benchmark.pedantic(lambda: shapley_by_type(table, (40, 40, 40)), rounds=3)


@pytest.mark.parametrize("n", [6, 8, 10, 12, 14])
@pytest.mark.benchmark(group="prenucleolus")
def bench_prenucleolus(benchmark, n):
    v = _game(n)
    benchmark.pedantic(lambda: prenucleolus(v, n), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("n", [6, 8])
@pytest.mark.benchmark(group="prenucleolus")
def bench_prenucleolus_with_all_rows(benchmark, n):
    """The rounds with a row for every coalition, and a programme for each that is tight."""
    v = _game(n)
    rows = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)

    def slow():
        settled = {2**n - 1: 0.0}
        while np.linalg.matrix_rank(rows[list(settled)]) < n:
            open_ = [mask for mask in range(1, 2**n - 1) if mask not in settled]
            bounds, above = [(None, None)] * n, np.column_stack([-rows[open_], -np.ones(len(open_))])
            equal = np.column_stack([rows[list(settled)], np.zeros(len(settled))])
            sides = {"A_ub": above, "A_eq": equal, "b_eq": [v[mask] - excess for mask, excess in settled.items()]}
            found = linprog(np.append(np.zeros(n), 1), b_ub=-v[open_], bounds=[*bounds, (None, None)], **sides)
            held = [*bounds, (None, found.fun + 1e-9)]
            for mask in open_:
                if rows[mask] @ found.x[:n] + found.fun - v[mask] < 1e-7:
                    most = linprog(np.append(-rows[mask], 0), b_ub=-v[open_] + 1e-9, bounds=held, **sides)
                    if -most.fun + found.fun - v[mask] < 1e-6:
                        settled[mask] = found.fun
        sides_of = np.array([v[mask] - excess for mask, excess in settled.items()])
        return np.linalg.lstsq(rows[list(settled)], sides_of, rcond=None)[0]

    assert benchmark.pedantic(slow, rounds=1) == pytest.approx(prenucleolus(v, n), abs=1e-6)


@pytest.mark.parametrize("n", [4, 6, 8, 10])
@pytest.mark.benchmark(group="what coalitions of a day's members save")
def bench_coalition_values(benchmark, n):
    members, tariff = _members(n)
    CoalitionPlanner(members, tariff).cost([0])
    benchmark.pedantic(lambda: CoalitionPlanner(members, tariff).values(), rounds=2)


@pytest.mark.parametrize("n", [4])
@pytest.mark.benchmark(group="what coalitions of a day's members save")
def bench_coalition_values_by_cvxpy(benchmark, n):
    """A cvxpy problem for each coalition."""
    members, tariff = _members(n)

    def cost(coalition):
        rules, cost, net = [], 0.0, 0.0
        for member in coalition:
            spilled, charge, discharge = (cp.Variable(24, nonneg=True) for _ in range(3))
            net = net + member.solar_mw - member.load_mw - spilled + discharge - charge
            rules += [spilled <= member.solar_mw]
            if (battery := member.battery) is None:
                rules += [charge == 0, discharge == 0]
                continue
            stored = cp.cumsum(battery.eta_charge * charge - discharge / battery.eta_discharge)
            rules += [stored >= 0, stored <= battery.energy_mwh]
            rules += [charge <= battery.power_mw, discharge <= battery.power_mw]
            cost += battery.degradation_cost * cp.sum(discharge)
        bought, sold = cp.Variable(24, nonneg=True), cp.Variable(24, nonneg=True)
        cost += tariff.import_price @ bought - tariff.export_price @ sold + tariff.demand_charge * cp.max(bought)
        problem = cp.Problem(cp.Minimize(cost), [*rules, sold - bought == net])
        problem.solve(solver=cp.HIGHS)
        return problem.value

    def slow():
        masks = range(1, 2**n)
        costs = [cost([one for at, one in enumerate(members) if mask >> at & 1]) for mask in masks]
        return [sum(costs[(1 << at) - 1] for at in range(n) if mask >> at & 1) - costs[mask - 1] for mask in masks]

    assert benchmark.pedantic(slow, rounds=1) == pytest.approx(CoalitionPlanner(members, tariff).values()[1:], abs=1e-5)


@pytest.mark.benchmark(group="what coalitions of a day's members save")
def bench_values_of_forty_homes_of_three_types(benchmark):
    members, tariff = _members(3)
    CoalitionPlanner(members, tariff).cost([0])
    benchmark.pedantic(lambda: values_by_count(members, (20, 10, 10), tariff), rounds=1)
