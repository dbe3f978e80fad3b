"""The battery's linear programme and the policies built on it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab import mpc
from gridlab.assets import Battery
from gridlab.errors import DataError, PlanError
from gridlab.mpc.battery import programme
from gridlab.programme import Session
from gridlab.schema import mock_times, validate

price_lists = st.lists(st.sampled_from([-80, -20, -1, 0, 3, 20, 35, 50, 90, None]), min_size=8, max_size=8)
vectors = price_lists.map(lambda prices: np.array([np.nan if p is None else p for p in prices], dtype=float))
batteries = st.builds(
    Battery,
    power_mw=st.just(1.0),
    energy_mwh=st.sampled_from([1.0, 2.0, 5.0]),
    eta_charge=st.sampled_from([0.5, 0.9, 1.0]),
    eta_discharge=st.sampled_from([0.8, 1.0]),
    soc_min=st.sampled_from([0.0, 0.2]),
    degradation_cost=st.sampled_from([0.0, 6.0]),
)


def plan(price, battery, soc=None, low=None, high=None, **terminal):
    low = battery.soc_low_mwh if low is None else low
    soc = battery.soc_low_mwh if soc is None else soc
    high = battery.soc_high_mwh if high is None else high
    return mpc.plan_battery(price, battery, soc_mwh=soc, step_hours=1, end_low_mwh=low, end_high_mwh=high, **terminal)


def plan_and_answer(price, battery, **options):
    """A plan, and what the solver answered before charge and discharge were netted. [MWh]"""
    found = plan(price, battery, **options)
    return found, found._answer.values["charge"], found._answer.values["discharge"]


def best_on_a_grid(price, battery, grid_mwh, terminal_value):
    """Dynamic programming over every state of charge on a grid, one action an interval: the judge."""
    soc = np.arange(battery.soc_low_mwh, battery.soc_high_mwh + 1e-9, grid_mwh)
    change = soc[np.newaxis, :] - soc[:, np.newaxis]
    drawn = np.where(change > 0, change / battery.eta_charge, 0)
    sold = np.where(change < 0, -change * battery.eta_discharge, 0)
    value = terminal_value * soc
    for p in price[::-1]:
        limit = 0 if np.isnan(p) else battery.power_mw
        cash = np.nan_to_num(p) * (sold - drawn) - battery.degradation_cost * sold
        cash[np.maximum(drawn, sold) > limit + 1e-9] = -np.inf
        value = (cash + value).max(axis=1)
    return value[0]


@given(vectors, st.sampled_from([0.0, 10.0, 40.0]), st.sampled_from([0.0, 6.0]))
def test_the_plan_is_as_good_as_the_best_of_all_on_a_grid(price, terminal_value, cost):
    battery = Battery(1, 2, eta_charge=0.5, eta_discharge=1.0, degradation_cost=cost)  # its corners lie on the grid
    best = best_on_a_grid(price, battery, 0.5, terminal_value)
    assert plan(price, battery, terminal_value=terminal_value).objective == pytest.approx(best, abs=1e-5)


@given(vectors, batteries)
def test_a_plan_keeps_its_limits_never_goes_both_ways_and_rests_in_a_gap(price, battery):
    found, charge, discharge = plan_and_answer(price, battery, high=battery.soc_low_mwh)
    burnt = np.minimum(charge, discharge) * (1 / battery.eta_discharge - battery.eta_charge)
    assert burnt.max() <= 1e-6
    assert max(found.charge_mw.max(), found.discharge_mw.max()) <= battery.power_mw + 1e-6
    assert (found.power_mw[np.isnan(price)] == 0).all()
    stored = np.cumsum(battery.eta_charge * found.charge_mw - found.discharge_mw / battery.eta_discharge)
    assert battery.soc_low_mwh + stored == pytest.approx(found.soc_mwh, abs=1e-6)
    assert found.soc_mwh[-1] == pytest.approx(battery.soc_low_mwh, abs=1e-6)
    assert found.soc_mwh.max() <= battery.soc_high_mwh


@given(st.integers(1, 80), st.floats(0, 0.99), batteries)
def test_a_spread_that_does_not_pay_for_the_losses_and_the_wear_trades_nothing(price, share, battery):
    spread = share * ((1 / battery.eta_round_trip - 1) * price + battery.degradation_cost)
    prices = np.array([price, price + spread, price, price + spread], dtype=float)
    assert (plan(prices, battery).power_mw == 0).all()


def test_burning_energy_at_negative_prices_is_excluded():
    battery = Battery(1, 1, 0.8, 0.8)
    found, charge, discharge = plan_and_answer([-50, -50, -50, -50], battery)
    assert np.minimum(charge, discharge).max() <= 1e-6
    assert found.power_mw == pytest.approx(discharge - charge, abs=1e-6)
    assert found.objective == pytest.approx(best_on_a_grid(np.full(4, -50.0), battery, 0.01, 0), abs=0.5)


def test_without_binaries_the_programme_would_burn_energy_and_promise_more_than_can_be_had():
    price, battery = np.full(4, -50.0), Battery(1, 1, 0.8, 0.8)
    data = mpc.BatteryPlanner(battery, 1.0)._data(price, 0.0, (0.0, 1.0), mpc.Segments.flat(battery, 0.0), 0.0)
    relaxed = Session(programme(4, 1, False, False)).solve(data)
    # exact: draw 1, deliver 0.64, draw 1 and 0.25; relaxed: draw 4 and deliver 1.76, at once where need be
    assert np.minimum(relaxed.values["charge"], relaxed.values["discharge"]).max() > 0.1
    assert (plan(price, battery).objective, relaxed.objective) == pytest.approx((50 * 1.61, 50 * 2.24))


def test_energy_left_is_worth_what_its_segments_say():
    battery = Battery(1, 1, 1, 1)
    assert plan([10], battery).power_mw.tolist() == [0]
    assert plan([10], battery, terminal_value=20).objective == pytest.approx(10)
    falling = mpc.Segments(np.array([0.4, 0.6]), np.array([90.0, 5.0]), np.zeros(()))
    assert plan([10], battery, terminal_value=falling).power_mw.tolist() == pytest.approx([-0.4])


def test_a_leak_is_bought_back_and_nothing_leaks_below_the_least():
    battery = Battery(1, 2, 0.8, 1, soc_min=0.25, self_discharge_per_hour=0.1)
    held = plan([10.0, 10.0], battery, soc=1.5, low=1.5, high=1.5)
    assert held.power_mw.sum() == pytest.approx(-(0.1 * (1.0 - 0.1) + 0.1) / 0.8)
    assert (plan([10.0, 10.0], battery, soc=0.5).power_mw == 0).all()


def test_a_ramp_bounds_the_change_of_power_and_has_a_price():
    battery = Battery(1, 4, 1, 1, ramp_mw_per_hour=0.5)
    found = plan([10.0, 10, 10, 90, 90, 90], battery)
    assert np.abs(np.diff(found.power_mw, prepend=0.0)).max() <= 0.5 + 1e-9
    assert found.shadow_prices["ramp up"].max() > 0
    free = plan([10.0, 10, 10, 90, 90, 90], Battery(1, 4, 1, 1))
    assert found.objective < free.objective


@given(vectors, batteries, st.sampled_from(["limit", "room"]), st.integers(0, 7))
def test_a_shadow_price_is_what_a_little_more_would_earn(price, battery, name, step):
    price = np.where(np.isnan(price), 25.0, np.abs(price)) + np.linspace(0, 1, 8)
    planner = mpc.BatteryPlanner(battery, 1.0)
    data = planner._data(price, battery.soc_low_mwh, (0.0, battery.soc_high_mwh), mpc.Segments.flat(battery, 30.0), 0.0)
    session = Session(programme(8, 1, False, False))
    answer, loosened = session.solve(data), {**data, name: data[name] + 1e-4 * (np.arange(8) == step)}
    tightened = {**data, name: data[name] - 1e-4 * (np.arange(8) == step)}
    more, less = ((session.solve(d).objective - answer.objective) / 1e-4 for d in (loosened, tightened))
    prices = answer.shadow_prices
    said = prices["full"][step] if name == "room" else prices["charging"][step] + prices["discharging"][step]
    assert more - 1e-3 <= said <= -less + 1e-3


@pytest.mark.parametrize(
    ("soc", "low", "high", "said"),
    [
        (3, 0, 2, "soc_mwh = 3 is outside the battery's 0 to 2 MWh"),
        (0, 1.5, 2, "end_low_mwh = 1.5 is 0.6 MWh above what the battery can reach from 0 MWh, 0.9"),
        (2, 0, 0.5, "end_high_mwh = 0.5 is 0.5 MWh below what the battery can reach from 2 MWh, 1"),
        (0, 1, 0.5, "end_low_mwh = 1 lies above end_high_mwh = 0.5"),
    ],
)
def test_what_cannot_be_planned_names_the_limit_and_by_how_much(soc, low, high, said):
    with pytest.raises(PlanError, match=said):
        plan([50.0, np.nan], Battery(1, 2, 0.9, 1.0), soc=soc, low=low, high=high)


@pytest.mark.parametrize(
    ("price", "said"),
    [([], "must be a vector"), ([[1.0]], "must be a vector"), ([1.0, np.inf], "infinite in interval 1")],
)
def test_prices_that_cannot_be_planned_on_are_refused(price, said):
    with pytest.raises(DataError, match=said):
        plan(price, Battery(1, 2))


def test_when_no_solver_answers_the_battery_rests_until_its_end_asks_for_energy(monkeypatch):
    battery = Battery(1, 2, 1, 1)
    monkeypatch.setattr(Session, "_by_highs", lambda *_: None)
    monkeypatch.setattr("gridlab.programme.session._asked_by_cvxpy", lambda *_: (None, "asleep"))
    rested = plan([10.0, 20, 90, 40], battery, low=1.5)
    assert rested.solver == "HEURISTIC"
    assert rested.power_mw.tolist() == [0, 0, -0.5, -1]


def test_a_plan_does_not_depend_on_the_plan_before_it():
    price, battery = np.array([10.0, 10, 90, 90, 10, 90]), Battery(1, 2, 1, 1)
    alone = plan(price, battery).power_mw
    plan(price[::-1], battery)
    assert (plan(price, battery).power_mw == alone).all()


def forecast_of(mean, freq="1h"):
    return pd.DataFrame({"mean": mean}, index=mock_times(2, freq=freq)[: len(mean)])


bands = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@settings(max_examples=25)
@pytest.mark.parametrize("name", sorted(mpc.POLICIES))
@given(price=vectors, battery=batteries, start=st.floats(0, 1), band=bands)
def test_every_policy_keeps_to_the_battery_and_ends_in_its_band(name, price, battery, start, band):
    low, high = battery.soc_low_mwh, battery.soc_high_mwh
    open_hours = np.count_nonzero(~np.isnan(price))
    soc = low + start * (high - low)
    reach_low, reach_high = soc - open_hours / battery.eta_discharge, soc + open_hours * battery.eta_charge
    end_low, end_high = np.clip(low + np.array(band) * (high - low), reach_low, reach_high).clip(low, high)
    if name == "idle":
        end_low = end_high = soc
    state = mpc.State(battery, soc, end_low, end_high)
    bands = {"q10": price - 9.0, "q90": price + 9.0}
    schedule = validate(mpc.POLICIES[name]()(state, forecast_of(price).assign(**bands)), "schedule")
    power = schedule["battery_mw"].to_numpy()
    assert np.abs(power).max() <= battery.power_mw + 1e-6
    assert (power[np.isnan(price)] == 0).all()
    assert schedule["soc_mwh"].between(low - 1e-6, high + 1e-6).all()
    assert end_low - 1e-6 <= schedule["soc_mwh"].iloc[-1] <= end_high + 1e-6
    stored = np.where(power < 0, -power * battery.eta_charge, -power / battery.eta_discharge)
    assert soc + np.cumsum(stored) == pytest.approx(schedule["soc_mwh"].to_numpy(), abs=1e-5)


def test_the_threshold_rule_charges_when_cheap_and_discharges_when_dear():
    state = mpc.State(Battery(1, 2, 1, 1), 0.0, 0.0, 0.0)
    schedule = mpc.Threshold()(state, forecast_of([10.0, 10, 40, 40, 40, 40, 90, 90]))
    assert schedule["battery_mw"].tolist() == [-1, -1, 0, 0, 0, 0, 1, 1]


def test_the_threshold_rule_rests_when_nothing_is_known_or_the_quantiles_are_equal():
    state = mpc.State(Battery(1, 2, 1, 1), 0.0, 0.0, 0.0)
    for mean in ([np.nan] * 4, [-30.0] * 4):
        assert (mpc.Threshold()(state, forecast_of(mean))["battery_mw"] == 0).all()


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(DataError, match="charge_quantile < discharge_quantile"):
        mpc.Threshold(0.8, 0.2)


def test_mpc_carries_energy_to_a_morning_peak_that_it_has_seen_before():
    peak_at_the_start = np.r_[90.0, 90.0, np.full(20, 40.0), 10.0, 10.0]
    state = mpc.State(Battery(1, 2, 1, 1), 0.0, 0.0, 2.0)
    guessed = mpc.ModelPredictive()(state, forecast_of(peak_at_the_start))
    assert guessed["soc_mwh"].iloc[-1] == 2
    assert guessed.attrs["solver"] == "HIGHS"
    assert mpc.ModelPredictive(terminal_value=0.0)(state, forecast_of(peak_at_the_start))["soc_mwh"].iloc[-1] == 0


def test_mpc_rests_when_nothing_is_known():
    state = mpc.State(Battery(1, 2), 0.5, 0.5, 0.5)
    assert (mpc.ModelPredictive()(state, forecast_of([np.nan] * 3))["battery_mw"] == 0).all()


def test_where_binaries_take_too_long_the_dynamic_programme_answers_and_says_so(monkeypatch):
    price, battery = np.r_[np.full(6, -20.0), 30.0, 5.0], Battery(1, 2, 0.9, 0.9, degradation_cost=1.0)
    exact = plan(price, battery, terminal_value=12.0)
    monkeypatch.setattr("gridlab.programme.session._certified", lambda *_: False)
    planner = mpc.BatteryPlanner(battery, 1.0)
    data = planner._data(price, 0.0, (0.0, 2.0), mpc.Segments.flat(battery, 12.0), 0.0)
    data |= {"two_way_limit": np.zeros(8), "greatest_limit": 1.0}
    answer = planner._session(data, np.ones(8, dtype=bool)).solve(data)
    net = answer.values["discharge"] - answer.values["charge"]
    stored = np.cumsum(-np.where(net < 0, net * 0.9, net / 0.9))
    earned = price @ net - np.maximum(net, 0).sum() + 12.0 * stored[-1]
    assert answer.solver == "HEURISTIC"
    assert exact.solver == "HIGHS"
    assert exact.objective - 0.05 <= earned <= exact.objective + 1e-6
    assert stored.min() >= -1e-9
    assert stored.max() <= 2 + 1e-9


def test_a_market_that_closes_stops_a_battery_whatever_its_ramp():
    battery = Battery(1, 4, 1, 1, ramp_mw_per_hour=0.2)
    found = mpc.plan_battery(
        [np.nan, 50.0], battery, soc_mwh=2, step_hours=1, end_low_mwh=0, end_high_mwh=4, power_mw=1.0
    )
    assert found.power_mw.tolist() == pytest.approx([0.0, 0.2])


def test_lengths_of_intervals_that_cannot_be_are_refused():
    for hours, said in ((0.0, "step_hours must be above 0"), (2.0, "self_discharge_per_hour = 0.9 leaves less")):
        with pytest.raises(DataError, match=said):
            mpc.BatteryPlanner(Battery(1, 2, self_discharge_per_hour=0.9), hours)


def test_a_full_store_stops_a_battery_whatever_its_ramp():
    battery = Battery(1, 2, 1, 1, ramp_mw_per_hour=0.3)
    found = mpc.plan_battery(
        [50.0, 50.0], battery, soc_mwh=2, step_hours=1, end_low_mwh=0, end_high_mwh=2, power_mw=-1.0
    )
    assert found.power_mw.min() >= 0
