"""Laws of a live site's plan: caps, least runs, the battery's energy, and no profit above that of hindsight."""

import itertools
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridlab.assets import Battery, Cooling, Regulation
from gridlab.dispatch.order import Order, cooling_for
from gridlab.errors import DataError, PlanError
from gridlab.live.accounts import account
from gridlab.live.config import STEP, STEP_HOURS, Config
from gridlab.live.planning import Planner, baseline_best_machine, best_machine_counts, hindsight, hindsight_step
from gridlab.mpc.allocation import allocate
from gridlab.mpc.site import SitePlanner
from gridlab.sources.mara import DOCUMENTED, EVENT, MACHINES, Quote, Scaling, inventory_of, margins
from gridlab.storage import stored_after

NOON = pd.Timestamp("2025-06-21 12:00", tz="UTC")
LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)
TYPICAL = np.array([1.7, 1.6, 1.7])
BATTERY = Battery(0.3, 0.6, soc_min=0.15, soc_max=0.9)
ROOM = Cooling(0.8, room_mwh_per_c=0.02, wall_mw_per_c=0.001)


class Fan(NamedTuple):
    mean: np.ndarray
    quantiles: np.ndarray
    levels: tuple = LEVELS


def a_fan(rng, n_leads=23, level=TYPICAL):
    mean = level[:, None] * np.exp(0.1 * rng.normal(size=(3, n_leads)).cumsum(axis=1))
    return Fan(mean, mean[:, :, None] * (1 + np.array([-0.3, -0.2, 0.0, 0.2, 0.3])))


def simulated(rng, n_steps, level=TYPICAL):
    prices = np.zeros((3, n_steps))
    for step in range(1, n_steps):
        prices[:, step] = 0.9 * prices[:, step - 1] + np.array([0.06, 0.14, 0.14]) * rng.normal(size=3)
    return level[:, None] * np.exp(prices)


def a_quote(values, step=0):
    return Quote(NOON + step * STEP, *(float(value) for value in values))


def a_table(prices):
    times = pd.date_range(NOON, periods=prices.shape[1], freq=STEP, name="time")
    return pd.DataFrame(prices.T, index=times, columns=["price", "hash_price", "token_price"])


def all_types(value):
    return dict.fromkeys(MACHINES, value)


def knapsack(inventory, quote, cap=1_000_000):
    return allocate(list(margins(inventory, quote).values()), list(inventory.power.values()), cap).counts


def drawn(ahead, inventory, config, services_mw=0.0):
    """Machines in the API's unit, and what the meter says. [MW]"""
    power = sum(ahead.counts[name] * inventory.power[name] for name in MACHINES)
    return power, power * config.scaling.power_mw + ahead.cooling_mw + services_mw - ahead.battery_mw


@given(st.lists(st.floats(0.1, 5), min_size=3, max_size=3), st.sampled_from([EVENT, DOCUMENTED]), st.integers(0, 10**6))
def test_without_anything_that_links_intervals_the_plan_is_the_exact_knapsack(values, inventory, cap):
    quote = a_quote(values)
    ahead = Planner(Config(cap_power=cap)).plan(inventory, quote)
    assert tuple(ahead.counts.values()) == knapsack(inventory, quote, cap)
    assert (ahead.rule, ahead.problem, ahead.battery_mw, ahead.cooling_mw) == ("knapsack", None, 0.0, 0.0)
    assert ahead.expected_profit == pytest.approx(hindsight_step(inventory, quote, cap), abs=1e-6)


def test_the_knapsack_alone_loads_no_solver():
    script = (
        "import sys, pandas as pd; from gridlab.live.planning import Planner; from gridlab.live.config import Config;"
        "from gridlab.sources.mara import EVENT, Quote;"
        "Planner(Config()).plan(EVENT, Quote(pd.Timestamp('2025-06-21', tz='UTC'), 1.5, 1.75, 1.0));"
        "print([name for name in ('cvxpy', 'highspy', 'scipy.optimize') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


SITES = {
    "plain": Config(),
    "chiller": Config(cooling=Cooling(0.5)),
    "battery": Config(battery=BATTERY),
    "room": Config(cooling=ROOM),
    "regulation": Config(battery=BATTERY, regulation=Regulation(0.1), cooling=Cooling(0.9)),
    "switching": Config(switching_cost=all_types(2000.0), dwell_minutes=all_types(15.0), horizon_steps=6),
    "all": Config(battery=BATTERY, cooling=ROOM, switching_cost=all_types(500.0), dwell_minutes=all_types(15.0)),
}
PLANNERS = {name: Planner(config) for name, config in SITES.items()}


@settings(max_examples=12)
@pytest.mark.parametrize("name", SITES)
@given(st.integers(0, 2**32 - 1))
def test_no_plan_passes_the_caps_of_machines_meter_battery_or_chiller(name, seed):
    rng, config = np.random.default_rng(seed), SITES[name]
    inventory = [EVENT, DOCUMENTED][seed % 2]
    before = np.floor(rng.dirichlet(np.ones(6))[:5] * 1e6 / list(inventory.power.values())).astype(int)
    counts = dict(zip(MACHINES, before.tolist(), strict=True))
    services, soc, outside = 0.3 * rng.uniform() * rng.integers(2), rng.uniform(), rng.uniform(-10, 45)
    ahead = PLANNERS[name].plan(
        inventory,
        a_quote(TYPICAL * np.exp(0.5 * rng.normal(size=3))),
        a_fan(rng),
        counts=counts,
        started=((NOON - STEP, counts),),
        soc_share=soc,
        room_c=rng.uniform(15, 30),
        outside_c=outside,
        services_mw=services,
        risk=rng.uniform(),
    )
    award = config.regulation.award_mw if config.regulation else 0.0
    power, meter = drawn(ahead, inventory, config, services)
    assert power <= config.cap_power
    assert -1.0 - 1e-9 <= meter <= 1.0 - award + 1e-9
    assert abs(ahead.battery_mw) <= (BATTERY.power_mw if config.battery else 0.0) - award + 1e-9
    if config.cooling is not None:
        assert 0 <= ahead.cooling_mw <= cooling_for(np.inf, outside, config.cooling) * (1 + 1e-9)
    if config.dwell_minutes and ahead.problem is None:
        assert all(ahead.counts[name] >= counts[name] for name in MACHINES)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["plain", "switching", "chiller"]))
def test_the_profit_that_a_plan_expects_is_the_one_that_is_accounted(seed, name):
    rng, config = np.random.default_rng(seed), SITES[name]
    quote, counts = a_quote(TYPICAL * np.exp(0.2 * rng.normal(size=3))), all_types(0) | {"hydro_miners": 90}
    ahead = PLANNERS[name].plan(EVENT, quote, a_fan(rng), counts=counts, services_mw=0.1)
    order = Order(ahead.counts, ahead.battery_mw, ahead.cooling_mw, {"inference": 0.1})
    outcome = account(order, Order(counts), EVENT, quote, config)
    assert ahead.expected_profit == pytest.approx(outcome.profit, rel=1e-9, abs=1e-6)


TINY = inventory_of(
    dict(zip(MACHINES, (5, 7, 10, 6, 15), strict=True)), dict(zip(MACHINES, (5, 8, 10, 6, 16), strict=True))
)


def allocations(cap):
    ranges = [range(cap // TINY.power[name] + 1) for name in MACHINES]
    powers = list(TINY.power.values())
    return [np.array(n) for n in itertools.product(*ranges) if np.dot(n, powers) <= cap]


def keeps_the_run(path, dwell):
    """Whether every machine that started runs for so many intervals: the first to start is the first to stop."""
    for kind in range(len(path[0])):
        for step in range(1, len(path)):
            young = sum(max(path[s][kind] - path[s - 1][kind], 0) for s in range(max(1, step - dwell + 1), step))
            if path[step][kind] < min(young, path[step - 1][kind]):
                return False
    return True


def by_enumeration(prices, before, cost, dwell, cap):
    """The slow obvious version: every sequence of allocations."""
    options, n_steps = allocations(cap), prices.shape[1]
    margin = [np.array(list(margins(TINY, a_quote(prices[:, t])).values())) for t in range(n_steps)]
    best = -np.inf
    for path in itertools.product(options, repeat=n_steps):
        rows = [before, *path]
        money = sum(margin[t] @ path[t] - cost * np.abs(rows[t + 1] - rows[t]).sum() for t in range(n_steps))
        if money > best and keeps_the_run(rows, dwell):
            best = money
    return best


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 2.0]), st.sampled_from([1, 2]))
def test_a_sequence_can_be_run_and_is_near_the_best_of_all_of_them_on_a_tiny_horizon(seed, cost, dwell):
    rng, cap = np.random.default_rng(seed), 15
    prices = np.array([1.0, 1.1, 1.1])[:, None] * np.exp(0.3 * rng.normal(size=(3, 3)))
    config = Config(
        cap_power=cap, horizon_steps=3, switching_cost=all_types(cost), dwell_minutes=all_types(5.0 * dwell)
    )
    assume(cost > 0 or dwell > 1)
    options = allocations(cap)
    before = options[rng.integers(len(options))]
    mean = prices[:, 1:]
    ahead = Planner(config).plan(
        TINY,
        a_quote(prices[:, 0]),
        Fan(mean, mean[:, :, None]),
        counts=dict(zip(MACHINES, before.tolist(), strict=True)),
    )
    best = by_enumeration(prices, before, cost, dwell, cap)
    rows = [before, *np.array([ahead.columns[name] for name in MACHINES]).T.astype(int)]
    margin = [np.array(list(margins(TINY, a_quote(prices[:, t])).values())) for t in range(3)]
    value = sum(margin[t] @ rows[t + 1] - cost * np.abs(rows[t + 1] - rows[t]).sum() for t in range(3))
    assert keeps_the_run(rows, dwell)
    assert ahead.value == pytest.approx(value, rel=1e-9, abs=1e-9)
    assert ahead.value <= best + 1e-9
    assert ahead.value >= (0.98 if dwell == 1 else 0.85) * best - 1e-9  # most are equal; a site of one or two machines


def run(config, inventory, prices, soc=None, n_steps=None):
    """A site run by its plans with the prices to come known; its profit, its allocations and its plans."""
    planner, counts, started, plans, profit = Planner(config), all_types(0), [], [], 0.0
    power_mw = 0.0
    for step in range(n_steps or prices.shape[1]):
        quote, ahead_prices = a_quote(prices[:, step], step), prices[:, step + 1 :]
        fan = Fan(ahead_prices, ahead_prices[:, :, None])
        ahead = planner.plan(
            inventory, quote, fan, counts=counts, started=tuple(started), soc_share=soc, battery_mw=power_mw
        )
        order = Order(ahead.counts, ahead.battery_mw, ahead.cooling_mw)
        profit += account(order, Order(counts), inventory, quote, config).profit
        started.append((quote.time, {m: max(ahead.counts[m] - counts[m], 0) for m in MACHINES}))
        counts, power_mw = dict(ahead.counts), ahead.battery_mw
        if soc is not None:
            net, energy = np.array([power_mw * STEP_HOURS]), config.battery.energy_mwh
            soc = float(stored_after(net, soc * energy, config.battery, STEP_HOURS)[0]) / energy
        plans.append(ahead)
    return profit, [p.counts for p in plans], plans


@settings(max_examples=6)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 300.0, 3000.0]))
def test_no_run_earns_more_than_hindsight(seed, cost):
    prices = simulated(np.random.default_rng(seed), 24, np.array([1.7, 0.9, 3.8]))
    config = Config(switching_cost=all_types(cost) if cost else {}, horizon_steps=12)
    bound, (profit, _, _) = hindsight(a_table(prices), EVENT, config), run(config, EVENT, prices)
    assert bound.exact == (cost == 0)
    assert profit <= bound.profit * (1 + 1e-7)
    assert profit >= bound.profit * (0.97 if cost else 1 - 1e-9)


def test_a_battery_earns_no_more_than_hindsight_and_keeps_its_energy_and_its_limits():
    prices = simulated(np.random.default_rng(3), 60)
    config = Config(battery=BATTERY)
    profit, _, plans = run(config, EVENT, prices, soc=0.5)
    moved = np.array([plan.battery_mw for plan in plans])
    stored = stored_after(moved * STEP_HOURS, 0.5 * 0.6, BATTERY, STEP_HOURS)
    assert np.abs(moved).max() > 0.05
    assert (stored >= BATTERY.soc_low_mwh - 1e-9).all()
    assert (stored <= BATTERY.soc_high_mwh + 1e-9).all()
    assert profit <= hindsight(a_table(prices), EVENT, config).profit * (1 + 1e-7)
    columns = plans[0].columns
    along = stored_after(columns["battery_mw"] * STEP_HOURS, 0.5 * 0.6, BATTERY, STEP_HOURS)
    np.testing.assert_allclose(along, columns["soc_mwh"], atol=1e-6)
    assert {plan.rule for plan in plans} == {"programme"}


@pytest.mark.parametrize("soc", [0.15, 0.4, 0.9])
def test_a_battery_rests_where_prices_do_not_change(soc):
    flat = np.repeat(TYPICAL[:, None], 23, axis=1)
    ahead = PLANNERS["battery"].plan(EVENT, a_quote(TYPICAL), Fan(flat, flat[:, :, None]), soc_share=soc)
    assert abs(ahead.battery_mw) < 1e-6


def test_a_battery_buys_before_a_dear_hour_and_sells_in_it():
    mean = np.repeat(TYPICAL[:, None], 23, axis=1)
    mean[0, 3:15] *= 3
    cheap = PLANNERS["battery"].plan(
        EVENT, a_quote(TYPICAL * [0.5, 0.2, 0.2]), Fan(mean, mean[:, :, None]), soc_share=0.5
    )
    dear = PLANNERS["battery"].plan(EVENT, a_quote(TYPICAL * [3, 1, 1]), Fan(mean, mean[:, :, None]), soc_share=0.5)
    assert cheap.battery_mw == pytest.approx(-0.3)
    assert dear.battery_mw == pytest.approx(0.3)


@given(st.integers(0, 2**32 - 1))
def test_a_plan_without_risk_sees_the_mean_alone_and_with_all_of_it_the_unfavourable_quantiles(seed):
    rng = np.random.default_rng(seed)
    fan, quote, planner = a_fan(rng), a_quote(TYPICAL), PLANNERS["switching"]
    before = all_types(0) | {"hydro_miners": 60, "asic_compute": 60}
    noise = fan._replace(quantiles=rng.normal(size=fan.quantiles.shape))
    lean = np.stack([fan.quantiles[0, :, 3], fan.quantiles[1, :, 1], fan.quantiles[2, :, 1]])

    def planned(fan, risk):
        ahead = planner.plan(EVENT, quote, fan, counts=before, risk=risk)
        return ahead.counts, pytest.approx(ahead.value)

    assert planned(fan, 0.0) == planned(noise, 0.0)
    assert planned(fan, 1.0) == planned(Fan(lean, lean[:, :, None]), 0.0)


def test_what_lies_beyond_the_horizon_changes_nothing():
    fan = a_fan(np.random.default_rng(0))
    other = Fan(fan.mean.copy(), fan.quantiles.copy())
    other.mean[:, 5:] = 1e3
    other.quantiles[:, 5:] = -1e3
    planner = PLANNERS["switching"]  # six intervals: that of the quote and five of the forecast
    plan, same = (planner.plan(EVENT, a_quote(TYPICAL), seen) for seen in (fan, other))
    assert plan == same
    assert all((plan.columns[name] == same.columns[name]).all() for name in MACHINES)


def test_machines_run_for_their_least_time_once_started():
    prices = simulated(np.random.default_rng(5), 40, np.array([1.7, 0.9, 3.8]))
    config = Config(dwell_minutes=all_types(20.0), switching_cost=all_types(50.0), horizon_steps=12)
    _, counts, _ = run(config, EVENT, prices)
    rows = [np.zeros(5, int), *(np.array(list(row.values())) for row in counts)]
    assert sum(int(np.abs(b - a).sum()) for a, b in itertools.pairwise(rows)) > 200
    assert keeps_the_run(rows, 4)


def test_a_least_run_gives_way_to_a_cap_that_fell():
    config = Config(cap_power=500_000, dwell_minutes=all_types(60.0))
    counts = all_types(0) | {"hydro_miners": 200}
    ahead = Planner(config).plan(EVENT, a_quote(TYPICAL), counts=counts, started=((NOON - STEP, counts),))
    assert ahead.counts["hydro_miners"] == 100
    assert "0.5 MW above" not in ahead.problem
    assert "machines held by their least run draw 1 MW above the cap of 0.5: some stop" in ahead.problem


def cooled_best(inventory, quote, config, cap):
    """Every allocation of a small site with a chiller."""
    ranges = [range(cap // inventory.power[name] + 1) for name in MACHINES]
    margin, best = margins(inventory, quote), 0.0
    for n in itertools.product(*ranges):
        power = sum(k * inventory.power[name] for k, name in zip(n, MACHINES, strict=True))
        heat = 1e-6 * sum(n[MACHINES.index(name)] * inventory.power[name] for name in config.cooled)
        chiller = cooling_for(heat, 35.0, config.cooling)
        if power <= cap and heat <= config.cooling.capacity_mw and 1e-6 * power + chiller <= 1e-6 * cap + 1e-12:
            money = sum(k * margin[name] for k, name in zip(n, MACHINES, strict=True))
            best = max(best, money - chiller * 1e6 * quote.energy_price)
    return best


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([30_000, 40_000]))
def test_machines_with_a_chiller_earn_what_enumeration_finds(seed, cap):
    rng = np.random.default_rng(seed)
    config = Config(cap_power=cap, cooling=Cooling(rng.uniform(0.3, 1.0) * 1e-6 * cap))
    quote = a_quote(TYPICAL * np.exp(0.3 * rng.normal(size=3)) * [0.5, 1, 2])
    ahead = Planner(config).plan(DOCUMENTED, quote)
    assert ahead.expected_profit == pytest.approx(cooled_best(DOCUMENTED, quote, config, cap), rel=1e-9, abs=1e-6)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_machines_of_awkward_powers_with_a_chiller_earn_nearly_what_enumeration_finds(seed):
    rng, cap = np.random.default_rng(seed), 60_000
    power = rng.integers(7_000, 18_000, 5)
    awkward = inventory_of(
        *(dict(zip(MACHINES, row.tolist(), strict=True)) for row in (power, power + rng.integers(-500, 500, 5)))
    )
    config = Config(cap_power=cap, cooling=Cooling(rng.uniform(0.3, 1.0) * 1e-6 * cap))
    quote = a_quote(TYPICAL * np.exp(0.2 * rng.normal(size=3)) * [0.5, 1, 1])
    ahead, best = Planner(config).plan(awkward, quote), cooled_best(awkward, quote, config, cap)
    assert 0.97 * best <= ahead.expected_profit <= best + 1e-6


@given(st.integers(0, 2**32 - 1), st.floats(0, 10))
def test_a_chiller_that_takes_no_power_and_all_heat_leaves_the_knapsack(seed, scale):
    quote = a_quote(scale * TYPICAL * np.exp(0.3 * np.random.default_rng(seed).normal(size=3)))
    free = Cooling(2.0, part_load=(0.0, 0.0, 0.0))
    ahead = Planner(Config(cooling=free)).plan(DOCUMENTED, quote)
    assert ahead.expected_profit == pytest.approx(hindsight_step(DOCUMENTED, quote, 1_000_000), rel=1e-9, abs=1e-6)
    assert ahead.cooling_mw == 0


def test_a_horizon_of_a_day_ends_as_it_should_with_switching_costs():
    mean = np.repeat(TYPICAL[:, None], 287, axis=1)
    mean[:, 100:] *= [[9.0], [0.1], [0.1]]  # nothing pays
    config = Config(switching_cost=all_types(100.0), horizon_steps=288)
    columns = Planner(config).plan(EVENT, a_quote(TYPICAL), Fan(mean, mean[:, :, None])).columns
    running = np.array([columns[name] for name in MACHINES]).sum(axis=0)
    assert (running[:101] > 0).all()
    assert (running[101:] == 0).all()


def test_services_leave_the_machines_less():
    ahead = Planner(Config()).plan(EVENT, a_quote(TYPICAL), services_mw=0.25)
    assert ahead.counts["hydro_miners"] == 150


def test_a_room_is_kept_between_its_limits_as_the_programme_sees_it():
    columns = PLANNERS["room"].plan(DOCUMENTED, a_quote(TYPICAL), room_c=26.5, outside_c=30.0).columns
    assert columns["room_c"].max() <= ROOM.room_high_c + 1e-6
    assert columns["cooling_mw"].max() > 0


def test_trouble_of_the_solver_leaves_the_knapsack_and_says_so(monkeypatch):
    def fail(*args, **kwargs):
        raise PlanError("no solver found the optimum")

    monkeypatch.setattr(SitePlanner, "plan", fail)
    config, quote = SITES["battery"], a_quote(TYPICAL)
    ahead = Planner(config).plan(EVENT, quote, a_fan(np.random.default_rng(0)), soc_share=0.5)
    assert (ahead.rule, ahead.battery_mw) == ("knapsack", 0.0)
    assert tuple(ahead.counts.values()) == knapsack(EVENT, quote)
    assert "no solver found the optimum" in ahead.problem


def test_a_battery_whose_state_is_not_known_rests_and_the_plan_is_the_knapsack():
    quote = a_quote(TYPICAL)
    ahead = PLANNERS["battery"].plan(EVENT, quote, a_fan(np.random.default_rng(0)))
    assert (tuple(ahead.counts.values()), ahead.battery_mw) == (knapsack(EVENT, quote), 0.0)
    assert "not known" in ahead.problem


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"soc_share": 1.5}, "soc_share must be in"),
        ({"soc_share": np.nan}, "soc_share must be in"),
        ({"services_mw": -1.0}, "services_mw must be at least 0"),
        ({"risk": 2.0}, "risk must be in"),
        ({"counts": {"hydro": 1}}, "counts must be whole"),
        ({"counts": {"hydro_miners": -1}}, "counts must be whole"),
        ({"fan": Fan(np.full((3, 23), np.nan), np.zeros((3, 23, 5)))}, "energy price is nan 1 intervals ahead"),
        ({"fan": Fan(np.ones((3, 23)), np.ones((3, 23, 2)), (0.9, 0.1)), "risk": 1.0}, "levels of the forecast"),
    ],
)
def test_bad_input_is_refused_with_a_sentence(given_, words):
    with pytest.raises(DataError, match=words):
        PLANNERS["battery"].plan(EVENT, a_quote(TYPICAL), **given_)


def test_prices_that_are_not_numbers_are_refused():
    with pytest.raises(DataError, match="energy price is nan 0 intervals ahead"):
        Planner(Config()).plan(EVENT, a_quote([np.nan, 1.0, 1.0]))


def test_the_best_machine_earns_less_than_the_knapsack_where_a_remainder_is_left():
    quote = a_quote([1.0, 2.0, 1.0])
    assert best_machine_counts(DOCUMENTED, quote, 1_000_000) == all_types(0) | {"asic_compute": 66}
    assert baseline_best_machine(DOCUMENTED, quote, 1_000_000) < hindsight_step(DOCUMENTED, quote, 1_000_000)
    assert best_machine_counts(DOCUMENTED, a_quote([9.0, 1.0, 0.1]), 1_000_000) == all_types(0)


def test_gaps_in_the_prices_earn_nothing_with_hindsight():
    prices = a_table(np.array([[1.5, np.nan], [1.75, 1.75], [1.0, 1.0]]))
    assert hindsight(prices, EVENT, Config()).profit == 2_000_000.0
    assert hindsight(prices.iloc[1:], EVENT, Config()) == (0.0, True)


def test_money_scales_with_the_scaling():
    scaling = Scaling(cost=1e-6 / 12, revenue=1e-6)
    quote = a_quote([30.0, 2.0, 1.0])
    ahead = Planner(Config(scaling=scaling, battery=BATTERY)).plan(EVENT, quote, soc_share=0.5)
    profit = hindsight_step(EVENT, quote, 1_000_000, scaling)
    assert ahead.expected_profit - ahead.battery_mw / 12 * 30.0 == pytest.approx(profit)


def test_a_battery_stops_no_machine_that_earns_more_than_its_energy():
    """Energy from the battery lets no machine run above the machines' cap, so that charging is worth no machine."""
    planner = Planner(Config(battery=Battery(0.1, 0.2)))
    mean = np.tile([[1.7], [1.75], [1.7]], 23)
    later = mean.copy()
    later[1:, 6:] *= 1.5
    for fan_mean in (mean, later):
        fan = Fan(fan_mean, np.repeat(fan_mean[:, :, None], 5, axis=2))
        ahead = planner.plan(DOCUMENTED, a_quote(mean[:, 0]), fan, counts={"asic_compute": 66}, soc_share=0.3)
        assert ahead.counts["asic_compute"] == 66
        assert ahead.battery_mw == pytest.approx(0.0, abs=1e-6)  # machines fill the cap, and are worth more
