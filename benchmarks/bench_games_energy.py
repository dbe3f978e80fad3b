"""Leaders, oligopolies and batteries that move the price: fast answers beside slow ones. Run with ``make bench``."""

import numpy as np
import pandas as pd
import pytest

from gridlab.assets import Battery
from gridlab.games.battery_play import Market, best_plan
from gridlab.games.market_power import market_power, play_batteries
from gridlab.games.oligopoly import cournot
from gridlab.games.price_takers import lead_price_takers
from gridlab.games.stackelberg import stackelberg
from gridlab.schema import mock_times

BATTERY = Battery(100.0, 400.0, 0.92, 0.92)


def _level(n_steps, mean=40.0):
    rng = np.random.default_rng(7)
    return mean + 20 * np.sin(np.arange(n_steps) / 24 * 2 * np.pi) + rng.normal(0, 8, n_steps)


def _market(n_steps):
    return Market(_level(n_steps), np.full(n_steps, 0.2), np.full(n_steps, 100.0), 0.0, 0.0, 1.0)


def _prices(n_steps, mean=40.0):
    return pd.DataFrame({"price": _level(n_steps, mean)}, index=mock_times(days=n_steps // 24))


@pytest.mark.parametrize("n_steps", [24, 168, 8760])
@pytest.mark.benchmark(group="a battery's best plan against prices that it moves")
def bench_plan_by_values(benchmark, n_steps):
    market = _market(n_steps)
    best_plan(market, BATTERY)
    benchmark(best_plan, market, BATTERY)


@pytest.mark.parametrize("n_steps", [24, 168])
@pytest.mark.benchmark(group="a battery's best plan against prices that it moves")
def bench_plan_by_clarabel(benchmark, n_steps):
    import cvxpy as cp

    market = _market(n_steps)
    price, (charge, discharge, stored) = cp.Parameter(n_steps), (cp.Variable(n_steps, nonneg=True) for _ in range(3))
    net = discharge - charge
    balance = stored == cp.hstack([0.0, stored[:-1]]) + 0.92 * charge - discharge / 0.92
    rules = [balance, charge <= 100, discharge <= 100, stored <= 400, stored[-1] == 0]
    problem = cp.Problem(cp.Maximize(price @ net - 0.1 * cp.sum_squares(net)), rules)

    def solve():
        price.value = market.price
        problem.solve(solver="CLARABEL")
        return problem.value

    assert abs(solve() - best_plan(market, BATTERY).earned) < 1e-5 * abs(problem.value)
    benchmark.pedantic(solve, rounds=5)


@pytest.mark.benchmark(group="a week of market power")
def bench_one_battery(benchmark):
    benchmark(market_power, _prices(168), BATTERY, 0.1)


@pytest.mark.benchmark(group="a week of market power")
def bench_one_battery_where_most_prices_are_negative(benchmark):
    benchmark.pedantic(market_power, (_prices(168, -20.0), BATTERY, 0.1), rounds=2)


@pytest.mark.parametrize("n_batteries", [2, 5])
@pytest.mark.benchmark(group="a week of market power")
def bench_batteries_that_differ(benchmark, n_batteries):
    owned = [Battery(100 * (i + 1) / n_batteries, 300 / (i + 1), 0.92 - 0.01 * i, 0.92) for i in range(n_batteries)]
    benchmark.pedantic(play_batteries, (_prices(168), owned, 0.1), rounds=3)


@pytest.mark.parametrize("n_actions", [10, 50, 100])
@pytest.mark.benchmark(group="a commitment, by actions of each player")
def bench_stackelberg(benchmark, n_actions):
    A, B = np.random.default_rng(7).normal(size=(2, n_actions, n_actions))
    benchmark.pedantic(stackelberg, (A, B), rounds=5)


@pytest.mark.parametrize("n_firms", [3, 100])
@pytest.mark.benchmark(group="Cournot with capacities")
def bench_cournot_by_corners(benchmark, n_firms):
    benchmark(cournot, 100.0, 0.01, np.linspace(10, 90, n_firms), cost_slope=0.01, capacity_mw=400.0)


@pytest.mark.parametrize("n_firms", [3, 100])
@pytest.mark.benchmark(group="Cournot with capacities")
def bench_cournot_by_replies_in_turn(benchmark, n_firms):
    cost = np.linspace(10, 90, n_firms)

    def replies():
        quantity = np.zeros(n_firms)
        for _ in range(2000):
            before = quantity.copy()
            for i in range(n_firms):
                room = 100.0 - cost[i] - 0.01 * (quantity.sum() - quantity[i])
                quantity[i] = min(max(room / 0.03, 0.0), 400.0)
            if np.abs(quantity - before).max() < 1e-9:
                break
        return quantity

    benchmark.pedantic(replies, rounds=2)


@pytest.mark.parametrize("n_bids", [100, 1000])
@pytest.mark.benchmark(group="a leader before price takers")
def bench_lead_price_takers(benchmark, n_bids):
    rng = np.random.default_rng(7)
    quantity, price = rng.normal(size=n_bids), rng.uniform(0, 100, n_bids)
    benchmark(lead_price_takers, quantity, price, capacity_mw=0.3 * n_bids, cost=20.0)
