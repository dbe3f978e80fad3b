"""Plans under uncertainty: scenarios in two stages with a weight on the worst of them, and prices in sets."""

from dataclasses import replace
from functools import cache
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, milp

from gridlab import mpc, risk
from gridlab.assets import Battery
from gridlab.errors import DataError, PlanError
from gridlab.mpc import robust as robust_module
from gridlab.mpc.robust import Robust, plan_robust
from gridlab.mpc.segments import Segments
from gridlab.mpc.stochastic import Stochastic, plan_stochastic
from gridlab.programme import Session
from gridlab.schema import mock_times

LEVELS = [-80.0, -20.0, -1.0, 0.0, 3.0, 20.0, 35.0, 50.0, 90.0]
PLAIN = Battery(1, 2, 0.9, 0.9, degradation_cost=2.0)
LEAKY = Battery(1, 2, 0.8, 0.9, soc_min=0.1, degradation_cost=1.0, self_discharge_per_hour=0.02, ramp_mw_per_hour=0.7)

path_tables = st.lists(st.lists(st.sampled_from(LEVELS), min_size=5, max_size=5), min_size=3, max_size=3)
weight_lists = st.lists(st.integers(1, 9), min_size=3, max_size=3).map(lambda parts: np.array(parts) / sum(parts))
batteries = st.sampled_from([PLAIN, LEAKY, Battery(1, 1, 1, 1)])
risk_weights = st.sampled_from([0.0, 0.3, 0.9])


def at(battery, **options):
    """The options of a plan that starts and ends anywhere in the battery."""
    low, high = battery.soc_low_mwh, battery.soc_high_mwh
    return {"soc_mwh": (low + high) / 2, "step_hours": 1, "end_low_mwh": low, "end_high_mwh": high} | options


def two_stages(paths, weights, battery, **options):
    return plan_stochastic(paths, weights, battery, **at(battery, **options))


def random_market(n_scenarios, n_steps, seed=0):
    rng = np.random.default_rng(seed)
    shape = 40 + 25 * np.sin(np.arange(n_steps) * np.pi / 12)
    return shape + rng.normal(0, 15, (n_scenarios, n_steps)).cumsum(axis=1) / 2, rng.dirichlet(np.ones(n_scenarios))


class Rows:
    """Rows of a linear programme with whole numbers, stated one by one for scipy."""

    def __init__(self, n_columns):
        self.n_columns, self.entries, self.sides = n_columns, [], []

    def add(self, low, high, entries):
        self.entries.append(np.zeros(self.n_columns))
        for columns, amount in entries:
            self.entries[-1][columns] += amount
        self.sides.append((low, high))

    def add_battery(self, battery, start, charge, discharge, stored, charging):
        """One battery on one path: balance, ramp, and one direction an interval."""
        power, ramp, kept = battery.power_mw, battery.ramp_mw_per_hour, battery.kept(1)
        for t in range(len(charge)):
            balance = [(stored[t], 1.0), (charge[t], -battery.eta_charge), (discharge[t], 1 / battery.eta_discharge)]
            move = [(discharge[t], 1.0), (charge[t], -1.0)]
            if t:
                balance.append((stored[t - 1], -kept))
                move += [(discharge[t - 1], -1.0), (charge[t - 1], 1.0)]
            brought = 0.0 if t else kept * start
            self.add(brought, brought, balance)
            self.add(-ramp, ramp, move)
            self.add(-np.inf, 0.0, [(charge[t], 1.0), (charging[t], -power)])
            self.add(-np.inf, power, [(discharge[t], 1.0), (charging[t], power)])

    def most(self, cost, lower, upper, whole):
        rules = LinearConstraint(np.array(self.entries), *np.array(self.sides).T)
        options = {"mip_rel_gap": 1e-9}
        return -milp(cost, constraints=rules, bounds=(lower, upper), integrality=whole, options=options).fun


def equivalent(paths, weights, battery, n_committed, risk_weight, level, value, start):
    """Optimum of the deterministic equivalent, with a copy of every decision in every scenario: the judge."""
    n_scenarios, size = len(paths), paths.size
    charge, discharge, stored, charging = np.arange(4 * size).reshape(4, *paths.shape)
    alpha, excess = 4 * size, 4 * size + 1 + np.arange(n_scenarios)
    rows, cost = Rows(4 * size + 1 + n_scenarios), np.zeros(4 * size + 1 + n_scenarios)
    for k, path in enumerate(paths):
        rows.add_battery(battery, start, charge[k], discharge[k], stored[k], charging[k])
        profit = [(charge[k], -path), (discharge[k], path - battery.degradation_cost), (stored[k, -1], value)]
        rows.add(0.0, np.inf, [*profit, (alpha, 1.0), (excess[k], 1.0)])
        for columns, amount in profit:
            cost[columns] -= (1 - risk_weight) * weights[k] * amount
        for t in range(n_committed if k else 0):
            rows.add(0.0, 0.0, [(charge[k, t], 1.0), (charge[0, t], -1.0)])
            rows.add(0.0, 0.0, [(discharge[k, t], 1.0), (discharge[0, t], -1.0)])
    cost[alpha], cost[excess] = risk_weight, risk_weight * weights / (1 - level)
    room = battery.soc_high_mwh - battery.soc_low_mwh
    upper = np.append(
        np.repeat([battery.power_mw, room, 1.0], [2 * size, size, size]), np.full(1 + n_scenarios, np.inf)
    )
    lower = np.where(np.arange(len(cost)) == alpha, -np.inf, 0.0)
    return rows.most(cost, lower, upper, np.isin(np.arange(len(cost)), charging))


@settings(max_examples=20)
@given(
    path_tables, weight_lists, batteries, st.sampled_from([0, 2, 5]), risk_weights, st.sampled_from([0.0, 0.6, 0.95])
)
def test_the_two_stage_plan_is_the_optimum_of_its_deterministic_equivalent(
    paths, weights, battery, n_committed, risk_weight, level
):
    paths = np.array(paths)
    options = {"n_committed": n_committed, "risk_weight": risk_weight, "level": level, "terminal_value": 30.0}
    found = two_stages(paths, weights, battery, **options)
    start = (battery.soc_high_mwh - battery.soc_low_mwh) / 2
    best = equivalent(paths, weights, battery, n_committed, risk_weight, level, 30.0, start)
    best += 30.0 * battery.soc_low_mwh
    assert found.objective == pytest.approx(best, abs=1e-5)
    assert (found.power_mw[:, :n_committed] == found.power_mw[0, :n_committed]).all()
    assert (found.soc_mwh[:, :n_committed] == found.soc_mwh[0, :n_committed]).all()
    assert np.minimum(found.charge_mw, found.discharge_mw).max() == 0


@given(path_tables, batteries, st.sampled_from([0, 2, 5]), st.sampled_from([0.0, 0.5]))
def test_with_one_scenario_or_many_alike_it_is_the_plan_of_point_mpc(paths, battery, n_committed, risk_weight):
    path, options = np.array(paths[0]), {"n_committed": n_committed, "risk_weight": risk_weight}
    best = mpc.plan_battery(path, battery, terminal_value=25.0, **at(battery)).objective
    for copies in (1, 3):
        weights = np.full(copies, 1 / copies)
        found = two_stages([path] * copies, weights, battery, terminal_value=25.0, **options)
        assert found.expected_profit == pytest.approx(best, abs=1e-6)
        assert found.objective == pytest.approx((1 - risk_weight) * best - risk_weight * -best, abs=1e-6)


@given(path_tables, weight_lists, batteries)
def test_committed_whole_without_a_weight_on_risk_it_is_point_mpc_on_the_mean(paths, weights, battery):
    found = two_stages(paths, weights, battery)
    best = mpc.plan_battery(weights @ np.array(paths), battery, **at(battery))
    assert found.objective == pytest.approx(best.objective, abs=1e-6)


@pytest.mark.parametrize("n_committed", [0, 6, 24])
def test_its_risk_is_that_of_its_scenarios_losses_and_is_bought_with_expected_profit(n_committed):
    paths, weights = random_market(8, 24)
    plans = [
        two_stages(paths, weights, PLAIN, n_committed=n_committed, risk_weight=rho, level=0.7)
        for rho in (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)
    ]
    for plan, rho in zip(plans, (0.0, 0.2, 0.4, 0.6, 0.8, 0.95), strict=True):
        power, price = plan.power_mw, paths
        cash = (power * price).sum(axis=1) - PLAIN.degradation_cost * plan.discharge_mw.sum(axis=1)
        assert plan.profit == pytest.approx(cash, abs=1e-6)
        assert plan.cvar == pytest.approx(float(risk.cvar(-cash, 0.7, weights=weights)), abs=1e-6)
        assert plan.objective == pytest.approx((1 - rho) * weights @ cash - rho * plan.cvar, abs=1e-6)
    expected, tail = np.array([(plan.expected_profit, plan.cvar) for plan in plans]).T
    assert (np.diff(expected) <= 1e-6).all()
    assert (np.diff(tail) <= 1e-6).all()
    if n_committed:
        assert tail[0] - tail[-1] > 1


@settings(max_examples=20)
@given(path_tables, weight_lists, batteries)
def test_it_is_worth_something_to_wait_and_something_to_know(paths, weights, battery):
    worth = [two_stages(paths, weights, battery, n_committed=committed).objective for committed in (0, 1, 3, 5)]
    assert (np.diff(worth) <= 1e-6).all()
    seen = [mpc.plan_battery(path, battery, **at(battery)).objective for path in paths]
    assert worth[0] == pytest.approx(weights @ seen, abs=1e-6)
    mean = mpc.plan_battery(weights @ np.array(paths), battery, **at(battery))
    assert worth[1] >= weights @ [first_stage_then_best(path, mean, 1, battery) for path in paths] - 1e-6


def first_stage_then_best(path, plan, n_committed, battery):
    """Profit of a scenario whose first stage is another plan's and whose rest is its own best."""
    power = plan.power_mw[:n_committed]
    start = plan.soc_mwh[n_committed - 1]
    cash = power @ path[:n_committed] - battery.degradation_cost * plan.discharge_mw[:n_committed].sum()
    options = at(battery, soc_mwh=start, power_mw=power[-1])
    return cash + mpc.plan_battery(path[n_committed:], battery, **options).objective


def test_each_scenario_may_have_its_own_worth_of_what_is_left():
    battery, paths = Battery(1, 2, 1, 1), [[30.0, 30.0], [30.0, 30.0]]
    room = np.array([[1.0, 1.0], [2.0, 0.0]])
    ends = Segments(room, np.array([[40.0, 20.0], [31.0, 31.0]]), np.zeros(2))
    options = {"soc_mwh": 0, "terminal_value": ends}
    own = two_stages(paths, [0.5, 0.5], battery, n_committed=0, **options)
    assert own.soc_mwh[:, -1].tolist() == [1, 2]
    assert own.profit.tolist() == pytest.approx([10, 2])
    common = two_stages(paths, [0.5, 0.5], battery, **options)
    assert common.soc_mwh[:, -1].tolist() == [1, 1]


def test_where_the_market_is_closed_nothing_is_traded_in_any_scenario():
    paths, weights = random_market(4, 12)
    paths[:, [0, 5, 6]] = np.nan
    found = two_stages(paths, weights, PLAIN, n_committed=3, risk_weight=0.5)
    assert (found.power_mw[:, [0, 5, 6]] == 0).all()
    assert np.isfinite(found.profit).all()


@pytest.mark.parametrize(
    ("paths", "weights", "options", "said"),
    [
        ([[1.0, 2.0]] * 2, [0.5, 0.6], {}, "must sum to 1, they sum to 1.1"),
        ([[1.0, 2.0]] * 2, [1.5, -0.5], {}, "must not be negative"),
        ([[1.0, 2.0]] * 2, [np.nan, 1.0], {}, "they sum to nan"),
        ([[1.0, 2.0]] * 2, [1.0], {}, r"shape \(2,\), one for each scenario, got \(1,\)"),
        ([1.0, 2.0], [1.0], {}, r"shape \(n_scenarios, n_steps\), got \(2,\)"),
        ([[1.0, np.inf]], [1.0], {}, "infinite in scenario 0, interval 1"),
        ([[1.0, np.nan], [1.0, 2.0]], [0.5, 0.5], {}, "NaN in interval 1 in some scenarios only"),
        ([[1.0, 2.0]], [1.0], {"risk_weight": 1.2}, r"risk_weight must be in \[0, 1\], got 1.2"),
        ([[1.0, 2.0]], [1.0], {"level": 1.0}, r"level must be in \[0, 1\), got 1"),
        ([[1.0, 2.0]], [1.0], {"n_committed": 3}, "from 0 to the 2 intervals of the plan, got 3"),
    ],
)
def test_scenarios_that_cannot_be_planned_on_are_refused(paths, weights, options, said):
    with pytest.raises(DataError, match=said):
        two_stages(paths, weights, PLAIN, **options)


def test_an_end_that_no_scenario_reaches_is_refused():
    with pytest.raises(PlanError, match=r"end_low_mwh = 2 is 0\.2 MWh above"):
        two_stages([[1.0, 2.0]] * 2, [0.5, 0.5], PLAIN, soc_mwh=0.0, end_low_mwh=2.0)


ranges = st.lists(st.sampled_from([0.0, 4.0, 15.0, 40.0]), min_size=4, max_size=4).map(np.array)
short_paths = st.lists(st.sampled_from(LEVELS), min_size=4, max_size=4).map(np.array)


def robust(mean, below, above, battery, **options):
    return plan_robust(mean, mean - below, mean + above, battery, **at(battery, **options))


def vertices(mean, below, above, budget):
    """The corners of the set in which `budget` of the prices may deviate, the last of them in part."""
    whole, part = int(budget), budget - int(budget)
    for chosen in combinations(range(len(mean)), min(whole + (part > 0), len(mean))):
        for signs in product((-1, 1), repeat=len(chosen)):
            for in_part in chosen if part and len(chosen) > whole else (None,):
                price = mean.copy()
                for step, sign in zip(chosen, signs, strict=True):
                    price[step] += sign * (below, above)[sign > 0][step] * (part if step == in_part else 1.0)
                yield price


def best_for_the_worst(prices, battery, value, start):
    """Greatest of the least profits at several prices: the judge, from the definition."""
    size = len(prices[0])
    charge, discharge, stored, charging = np.arange(4 * size).reshape(4, size)
    rows, least = Rows(4 * size + 1), 4 * size
    rows.add_battery(battery, start, charge, discharge, stored, charging)
    for price in prices:
        sold = (discharge, price - battery.degradation_cost)
        rows.add(0.0, np.inf, [sold, (charge, -price), (stored[-1], value), (least, -1.0)])
    room = battery.soc_high_mwh - battery.soc_low_mwh
    upper = np.append(np.repeat([battery.power_mw, room, 1.0], [2 * size, size, size]), np.inf)
    columns = np.arange(4 * size + 1)
    return rows.most(
        -1.0 * (columns == least), np.where(columns == least, -np.inf, 0.0), upper, np.isin(columns, charging)
    )


@given(short_paths, ranges, ranges, batteries, st.sampled_from([0.0, 1.0, 1.5, 2.0, 4.0]))
def test_the_budgeted_plan_is_best_for_the_worst_corner_of_its_set(mean, below, above, battery, budget):
    found = robust(mean, below, above, battery, budget=budget, terminal_value=20.0)
    corners = list(vertices(mean, below, above, budget))
    start = (battery.soc_high_mwh - battery.soc_low_mwh) / 2
    best = best_for_the_worst(corners, battery, 20.0, start) + 20.0 * battery.soc_low_mwh
    assert found.objective == pytest.approx(best, abs=1e-5)
    assert np.minimum(found.charge_mw, found.discharge_mw).max() == 0
    left = 20.0 * found.soc_mwh[-1] - battery.degradation_cost * found.discharge_mw.sum()
    assert found.worst_price @ found.power_mw + left == pytest.approx(found.objective, abs=1e-5)


@settings(max_examples=20)
@given(short_paths, ranges, ranges, batteries)
def test_no_budget_is_point_mpc_a_full_one_the_box_and_more_never_earns_more(mean, below, above, battery):
    worth = [robust(mean, below, above, battery, budget=budget).objective for budget in (0.0, 0.5, 1.0, 2.5, 4.0, 9.0)]
    assert worth[0] == pytest.approx(mpc.plan_battery(mean, battery, **at(battery)).objective, abs=1e-6)
    assert (np.diff(worth) <= 1e-6).all()
    assert worth[-1] == pytest.approx(worth[-2], abs=1e-6)
    start = (battery.soc_high_mwh - battery.soc_low_mwh) / 2
    corners = [np.where(up, mean + above, mean - below) for up in product((True, False), repeat=4)]
    assert worth[-1] == pytest.approx(best_for_the_worst(corners, battery, 0.0, start), abs=1e-5)


@cache
def cone_judge(battery, n_steps):
    """The ellipsoidal plan with the direction of every interval given, stated once for Clarabel."""
    import cvxpy as cp

    mean, below, above = (cp.Parameter(n_steps) for _ in range(3))
    charge_limit, discharge_limit = cp.Parameter(n_steps), cp.Parameter(n_steps)
    charge, discharge, stored = (cp.Variable(n_steps, nonneg=True) for _ in range(3))
    start = (battery.soc_high_mwh - battery.soc_low_mwh) / 2
    before, net = cp.hstack([start, stored[:-1]]), discharge - charge
    rules = [charge <= charge_limit, discharge <= discharge_limit, stored <= 2 * start]
    rules += [stored == battery.kept(1) * before + battery.eta_charge * charge - discharge / battery.eta_discharge]
    if np.isfinite(battery.ramp_mw_per_hour):
        rules += [cp.abs(net - cp.hstack([0.0, net[:-1]])) <= battery.ramp_mw_per_hour]
    earned = mean @ net - battery.degradation_cost * cp.sum(discharge)
    lost = cp.norm2(cp.multiply(below, discharge) + cp.multiply(above, charge))
    return cp.Problem(cp.Maximize(earned - lost), rules), (mean, below, above), (charge_limit, discharge_limit)


def best_of_all_directions(mean, below, above, battery, kappa):
    problem, prices, limits = cone_judge(battery, len(mean))
    for parameter, value in zip(prices, (mean, kappa * below, kappa * above), strict=True):
        parameter.value = value
    worth = []
    for sells in product((0.0, 1.0), repeat=len(mean)):
        limits[0].value, limits[1].value = battery.power_mw * (1 - np.array(sells)), battery.power_mw * np.array(sells)
        worth.append(problem.solve(solver="CLARABEL"))
    return max(worth)  # minus infinity where a direction has no answer


@settings(max_examples=20)
@given(short_paths, ranges, ranges, batteries, st.sampled_from([0.4, 1.0, 2.0]))
def test_the_ellipsoidal_plan_is_the_best_of_clarabels_in_all_directions(mean, below, above, battery, kappa):
    found = robust(mean, below, above, battery, uncertainty="ellipsoid", kappa=kappa)
    best = best_of_all_directions(mean, below, above, battery, kappa)
    assert found.objective == pytest.approx(best, abs=2e-5 * max(1.0, abs(best)))
    at_risk = below * found.discharge_mw + above * found.charge_mw
    left = mean @ found.power_mw - battery.degradation_cost * found.discharge_mw.sum()
    assert found.objective == pytest.approx(left - kappa * np.linalg.norm(at_risk), abs=1e-6)
    assert found.worst_price @ found.power_mw - mean @ found.power_mw == pytest.approx(found.objective - left, abs=1e-6)
    assert np.abs(np.diff(found.power_mw, prepend=0.0)).max() <= battery.ramp_mw_per_hour + 1e-3


def market_with_ranges(seed=3, level=60.0):
    rng = np.random.default_rng(seed)
    mean = level + 25 * np.sin(np.arange(24) * np.pi / 12) + rng.normal(0, 8, 24)
    return mean, rng.uniform(2, 15, 24), rng.uniform(2, 15, 24)


def test_an_ellipsoid_of_no_size_is_point_mpc_and_a_larger_one_never_earns_more():
    mean, below, above = market_with_ranges()
    plans = [robust(mean, below, above, PLAIN, uncertainty="ellipsoid", kappa=kappa) for kappa in (0, 0.5, 1, 2, 4)]
    assert plans[0].objective == pytest.approx(mpc.plan_battery(mean, PLAIN, **at(PLAIN)).objective, rel=1e-5)
    assert (np.diff([plan.objective for plan in plans]) < 0).all()
    assert {plan.solver for plan in plans} == {"SCS"}


def test_clarabel_answers_the_cone_where_scs_misses_its_bound_and_agrees_with_it(monkeypatch):
    mean, below, above = market_with_ranges()
    options = {"uncertainty": "ellipsoid", "kappa": 1.5}
    first = robust(mean, below, above, PLAIN, **options)
    asked = robust_module._asked_by_cvxpy

    def hasty(programme, data, solver):
        answer, why = asked(programme, data, solver)
        if solver == "SCS":
            answer = replace(answer, values={name: 0.9 * value for name, value in answer.values.items()})
        return answer, why

    monkeypatch.setattr(robust_module, "_asked_by_cvxpy", hasty)
    second = robust(mean, below, above, PLAIN, **options)
    assert (first.solver, second.solver) == ("SCS", "CLARABEL")
    assert second.objective == pytest.approx(first.objective, rel=1e-5)
    assert second.power_mw == pytest.approx(first.power_mw, abs=2e-2)


def test_sales_fear_low_prices_and_purchases_high_ones():
    mean, below, above = market_with_ranges()
    for uncertainty in ("budget", "ellipsoid"):
        found = robust(mean, below, above, PLAIN, uncertainty=uncertainty, budget=24, kappa=1)
        sells, buys = found.power_mw > 1e-3, found.power_mw < -1e-3
        assert (found.worst_price[sells] < mean[sells]).all()
        assert (found.worst_price[buys] > mean[buys]).all()


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({"low": [9.0, 30.0, 7.0]}, {}, "low is above high in interval 1, 30 and 21"),
        ({"low": [9.0, 19.0]}, {}, r"low must be a vector as long as mean, \(3,\), got shape \(2,\)"),
        ({"high": [11.0, np.inf, 9.0]}, {}, "high is infinite in interval 1"),
        ({"mean": [10.0, np.nan, 8.0]}, {}, "low and mean are not both known in interval 1"),
        ({}, {"budget": -1.0}, "budget must be at least 0 and finite, got -1"),
        ({}, {"kappa": np.nan}, "kappa must be at least 0 and finite, got nan"),
        ({}, {"uncertainty": "box"}, "uncertainty must be 'budget' or 'ellipsoid', got 'box'"),
    ],
)
def test_ranges_that_cannot_be_planned_on_are_refused(change, options, said):
    prices = {"mean": [10.0, 20.0, 8.0], "low": [9.0, 19.0, 7.0], "high": [11.0, 21.0, 9.0]} | change
    with pytest.raises(DataError, match=said):
        plan_robust(*prices.values(), PLAIN, **at(PLAIN, **options))


def forecast_of(mean, **columns):
    return pd.DataFrame({"mean": mean} | columns, index=mock_times(2)[: len(mean)])


def state_of(battery, soc=0.0):
    return mpc.State(battery, soc, battery.soc_low_mwh, battery.soc_high_mwh)


def spread(forecast):
    """Five scenarios around a forecast's mean, of which it is the mean."""
    mean, shift = forecast["mean"].to_numpy(), np.array([-30.0, -10.0, 0.0, 15.0, 25.0])
    return mean + shift[:, np.newaxis] * np.sin(np.arange(len(mean))), np.full(5, 0.2)


UNCERTAIN = {
    "mean": Stochastic(),
    "scenarios": Stochastic(spread),
    "cvar": Stochastic(spread, risk_weight=0.4, level=0.6),
    "recourse": Stochastic(spread, commit_hours=3, risk_weight=0.4),
    "budget": Robust(budget=3),
    "budget of the inner half": Robust(budget=3, level=0.5),
    "ellipsoid": Robust("ellipsoid", kappa=0.5),
}


@pytest.mark.parametrize("policy", UNCERTAIN.values(), ids=UNCERTAIN)
def test_every_policy_keeps_to_the_battery_its_band_and_the_markets_hours(policy):
    mean, below, above = market_with_ranges(level=20.0)
    mean[[4, 5]] = np.nan
    forecast = forecast_of(
        mean,
        q10=mean - below,
        q25=mean - below / 2,
        q75=mean + above / 2,
        q90=np.where(np.isnan(mean), 70.0, mean + above),
    )
    battery = Battery(1, 2, 0.9, 0.9, soc_min=0.1, degradation_cost=2.0, self_discharge_per_hour=0.01)
    schedule = policy(mpc.State(battery, 1.0, 0.5, 0.8), forecast)
    power, soc = schedule["battery_mw"].to_numpy(), schedule["soc_mwh"].to_numpy()
    assert np.abs(power).max() <= 1 + 1e-6
    assert (power[[4, 5]] == 0).all()
    assert (soc.min(), soc.max()) >= (0.2 - 1e-6, 0.2)
    assert soc.max() <= 2 + 1e-6
    assert 0.5 - 1e-6 <= soc[-1] <= 0.8 + 1e-6
    before = np.concatenate([[1.0], soc[:-1]]) - 0.2
    balance = 0.2 + 0.99 * before + np.where(power < 0, -power * 0.9, -power / 0.9)
    assert balance == pytest.approx(soc, abs=1e-6)


def test_the_policies_are_point_mpc_where_nothing_is_uncertain():
    mean, below, above = market_with_ranges()
    forecast, state = forecast_of(mean, q10=mean - below, q90=mean + above), state_of(PLAIN)
    point = mpc.ModelPredictive()(state, forecast)["battery_mw"].to_numpy()
    once = lambda forecast: (forecast[["mean"]].to_numpy().T, [1.0])  # noqa: E731
    for policy in (Stochastic(), Stochastic(once, commit_hours=2), Stochastic(once, risk_weight=0.5), Robust(budget=0)):
        assert policy(state, forecast)["battery_mw"].to_numpy() == pytest.approx(point, abs=1e-6)
    worth = mpc.ModelPredictive(terminal_value=30.0), Stochastic(spread, terminal_value=30.0)
    assert worth[1](state, forecast)["battery_mw"].to_numpy() == pytest.approx(
        worth[0](state, forecast)["battery_mw"].to_numpy(), abs=1e-6
    )


def test_scenarios_have_the_forecasts_mean_unless_they_are_to_have_their_own():
    mean, _, _ = market_with_ranges()
    forecast, state = forecast_of(mean), state_of(PLAIN)
    drawn = np.random.default_rng(0).normal(mean, 20, (6, 24)), np.full(6, 1 / 6)
    point, own = (mpc.ModelPredictive(20.0)(state, forecast_of(price)) for price in (mean, drawn[0].mean(axis=0)))
    for centred, plan in ((True, point), (False, own)):
        found = Stochastic(lambda _: drawn, terminal_value=20.0, centred=centred)(state, forecast)
        assert found["battery_mw"].to_numpy() == pytest.approx(plan["battery_mw"].to_numpy(), abs=1e-6)
    assert np.abs(point["battery_mw"] - own["battery_mw"]).max() > 0.5


def test_a_plan_does_not_depend_on_the_plans_before_it():
    mean, below, above = market_with_ranges(level=20.0)
    windows = [
        mpc.Window(mock_times(1), 1.0, {"mean": mean + shift, "q10": mean + shift - below, "q90": mean + shift + above})
        for shift in (0.0, 40.0, -30.0)
    ]
    for policy in (Stochastic(spread, risk_weight=0.4, commit_hours=4), Robust(budget=3), Robust("ellipsoid")):
        planner, state = policy.planner(PLAIN, 1.0), state_of(PLAIN)
        for window in windows:
            driven, alone = planner(state, window), policy.planner(PLAIN, 1.0)(state, window)
            assert driven.columns["battery_mw"] == pytest.approx(alone.columns["battery_mw"], abs=1e-6)


def test_what_a_policy_cannot_plan_on_is_refused_with_the_remedy():
    forecast, state = forecast_of([10.0, 20.0, 8.0]), state_of(PLAIN)
    with pytest.raises(DataError, match=r"level = 0\.9 needs the columns q05 and q95, the forecast has mean: add them"):
        Robust(level=0.9)(state, forecast)
    with pytest.raises(DataError, match=r"paths of shape \(2, 2\) for 3 intervals"):
        Stochastic(lambda forecast: (np.ones((2, 2)), [0.5, 0.5]))(state, forecast)
    with pytest.raises(DataError, match="commit_hours must be above 0 h, got 0"):
        Stochastic(commit_hours=0)
    with pytest.raises(DataError, match=r"level must be in \(0, 1\), got 1"):
        Robust(level=1)


def test_when_no_solver_answers_the_plan_is_one_that_can_be_done_and_says_so(monkeypatch):
    mean, below, above = market_with_ranges()
    monkeypatch.setattr(Session, "_by_highs", lambda *_: None)
    monkeypatch.setattr("gridlab.programme.session._asked_by_cvxpy", lambda *_: (None, "silent"))
    monkeypatch.setattr(robust_module, "_asked_by_cvxpy", lambda *_: (None, "silent"))
    monkeypatch.setattr(robust_module, "_MOST_ROUNDS", 2)
    options = {"soc_mwh": 0.0, "end_low_mwh": 1.5}
    plans = [robust(mean, below, above, PLAIN, uncertainty=name, **options) for name in ("budget", "ellipsoid")]
    plans.append(two_stages([mean, mean + below], [0.5, 0.5], PLAIN, n_committed=3, **options))
    for plan in plans:
        assert plan.solver == "HEURISTIC"
        assert np.atleast_2d(plan.soc_mwh)[:, -1] == pytest.approx(1.5)
        assert np.atleast_2d(plan.power_mw).max(axis=0) == pytest.approx(np.atleast_2d(plan.power_mw).min(axis=0))
