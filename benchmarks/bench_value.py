"""The value of energy: sliding windows beside every move from every state, and a year beside its linear programme."""

import numpy as np
import pytest

from gridlab.assets import Battery
from gridlab.mpc.value import act, expected_value_of_energy, terminal_segments, value_of_energy
from gridlab.sources import simulate_market

BATTERY = Battery(1.0, 2.0, 0.922, 0.922, degradation_cost=1.0)
HOURS, N_STATES = 1 / 12, 200


@pytest.fixture(scope="module")
def five_minutes():
    market = simulate_market("2025-01-01", 365, "5min", rng=np.random.default_rng(7))
    return market["price"].to_numpy()


def _value(price):
    return value_of_energy(price, BATTERY, step_hours=HOURS, n_states=N_STATES)


def _every_move(price):
    """Every state against every target, a matrix an interval: grid points, rest and full power."""
    grid = np.linspace(BATTERY.soc_low_mwh, BATTERY.soc_high_mwh, N_STATES)
    reach = BATTERY.power_mw * HOURS
    full = np.minimum(grid + reach * BATTERY.eta_charge, grid[-1])
    empty = np.maximum(grid - reach / BATTERY.eta_discharge, grid[0])
    ends = np.column_stack([np.broadcast_to(grid, (N_STATES, N_STATES)), full, empty])
    change = ends - grid[:, np.newaxis]
    drawn, sold = np.maximum(change, 0) / BATTERY.eta_charge, np.maximum(-change, 0) * BATTERY.eta_discharge
    barred = np.maximum(drawn, sold) > reach + 1e-12
    value = np.zeros((len(price) + 1, N_STATES))
    for step in range(len(price) - 1, -1, -1):
        cash = price[step] * (sold - drawn) - BATTERY.degradation_cost * sold
        cash[barred] = -np.inf
        value[step] = (cash + np.interp(ends, grid, value[step + 1])).max(axis=1)
    return value


@pytest.mark.benchmark(group="value of two days of 5-minute prices, 200 states: 576 x 200 state-steps")
def bench_value_of_two_days_by_sliding_windows(benchmark, five_minutes):
    price = five_minutes[: 2 * 288]
    assert _value(price).value == pytest.approx(_every_move(price), abs=1e-9)
    benchmark(_value, price)


@pytest.mark.benchmark(group="value of two days of 5-minute prices, 200 states: 576 x 200 state-steps")
def bench_value_of_two_days_by_every_move(benchmark, five_minutes):
    benchmark.pedantic(_every_move, (five_minutes[: 2 * 288],), rounds=3)


@pytest.mark.benchmark(group="a year of 5-minute prices: value for every state and interval, and one programme")
def bench_value_of_a_year_for_200_states(benchmark, five_minutes):
    _value(five_minutes[:2])
    benchmark.pedantic(_value, (five_minutes,), rounds=5)


@pytest.mark.benchmark(group="a year of 5-minute prices: value for every state and interval, and one programme")
def bench_year_as_one_linear_programme(benchmark, five_minutes):
    """Bare HiGHS from one starting state; burning energy is not excluded here."""
    profit = benchmark.pedantic(_linear_programme, (five_minutes,), rounds=1)
    value = _value(five_minutes)
    assert abs(value.at(0.0) - profit) <= 1e-3 * profit


def _linear_programme(price):
    from scipy.optimize import linprog
    from scipy.sparse import eye, hstack

    n, same, before = len(price), eye(len(price), format="csc"), eye(len(price), k=-1, format="csc")
    balance = hstack([-BATTERY.eta_charge * same, same / BATTERY.eta_discharge, same - before]).tocsc()
    cost = np.concatenate([price, BATTERY.degradation_cost - price, np.zeros(n)])
    most = np.repeat([BATTERY.power_mw * HOURS, BATTERY.power_mw * HOURS, BATTERY.soc_high_mwh], n)
    bounds = np.column_stack([np.zeros(3 * n), most])
    return -linprog(cost, A_eq=balance, b_eq=np.zeros(n), bounds=bounds, method="highs-ds").fun


@pytest.mark.benchmark(group="value of energy: policies")
def bench_values_of_8_760_windows_of_a_day(benchmark, market):
    windows = np.lib.stride_tricks.sliding_window_view(market["price"].to_numpy(), 24)[:8_760]
    benchmark.pedantic(value_of_energy, (windows, BATTERY), {"step_hours": 1, "n_states": 51}, rounds=3)


@pytest.mark.benchmark(group="value of energy: policies")
def bench_segments_of_8_760_windows(benchmark, market):
    windows = np.lib.stride_tricks.sliding_window_view(market["price"].to_numpy(), 24)[:8_760]
    value = value_of_energy(windows, BATTERY, step_hours=1, n_states=51)
    benchmark.pedantic(terminal_segments, (value,), rounds=3)


@pytest.mark.benchmark(group="value of energy: policies")
def bench_expected_value_of_a_year_of_hours_with_a_chain_of_15_prices(benchmark, market):
    price = market["price"].to_numpy()[:8_760, np.newaxis] + np.linspace(-30, 30, 15)
    after = np.exp(-np.abs(np.subtract.outer(np.arange(15), np.arange(15))) / 2.0)
    after /= after.sum(axis=1, keepdims=True)
    options = {"step_hours": 1, "transition": after}
    benchmark.pedantic(expected_value_of_energy, (price, np.full(15, 1 / 15), BATTERY), options, rounds=2)


@pytest.mark.benchmark(group="value of energy: one decision")
def bench_act(benchmark, market):
    value = value_of_energy(market["price"].to_numpy()[:8_760], BATTERY, step_hours=1)
    benchmark(act, value, 100, 1.0, 30.0)
