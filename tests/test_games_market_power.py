"""Batteries that move the price: against a conic solver and all ways to go, laws of conduct, and answers by hand."""

from importlib import import_module
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.assets import Battery
from gridlab.errors import DataError, PlanError
from gridlab.games.battery_play import Market, best_plan, earnings, greatest_earnings
from gridlab.games.market_power import CONDUCTS, market_power, play_batteries
from gridlab.games.price_slopes import slope_of_bids, slope_of_prices
from gridlab.schema import mock_prices, mock_times, validate

MODULE = import_module("gridlab.games.market_power")

SPIKES = [-30.0, -5.0, 0.0, 10.0, 10.0, 20.0, 35.0, 60.0, 2000.0]


def hours(values):
    return pd.DataFrame({"price": np.array(values, dtype=float)}, index=mock_times(days=10)[: len(values)])


@st.composite
def batteries(draw):
    return Battery(
        power_mw=draw(st.sampled_from([0.5, 1.0, 40.0])),
        energy_mwh=draw(st.sampled_from([0.3, 1.0, 2.5, 100.0])),
        eta_charge=draw(st.sampled_from([1.0, 0.9])),
        eta_discharge=draw(st.sampled_from([1.0, 0.8])),
        soc_min=draw(st.sampled_from([0.0, 0.1])),
        degradation_cost=draw(st.sampled_from([0.0, 4.0])),
        self_discharge_per_hour=draw(st.sampled_from([0.0, 0.01])),
    )


slopes = st.sampled_from([0.0, 1e-9, 0.3, 5.0, 1e3])
positive = st.lists(st.sampled_from(SPIKES[2:]), min_size=1, max_size=10)
any_sign = st.lists(st.sampled_from(SPIKES), min_size=1, max_size=10)
few = st.lists(st.sampled_from(SPIKES[:6]), min_size=1, max_size=4)


def facing(price, battery, bend, step_hours=1.0):
    n_steps = len(price)
    start = 0.3 * (battery.soc_high_mwh - battery.soc_low_mwh) if n_steps > 3 else 0.0
    end = start * battery.kept(step_hours) ** n_steps
    bends = np.broadcast_to(np.asarray(bend, dtype=float), n_steps)
    return Market(np.array(price), bends, np.full(n_steps, battery.power_mw * step_hours), start, end, step_hours)


def best_by_cvxpy(market, battery, charges=None):
    """The optimum by Clarabel; `charges` holds each interval to one way, without it an interval may do both."""
    import cvxpy as cp

    charge, discharge, stored = (cp.Variable(len(market.price), nonneg=True) for _ in range(3))
    net = discharge - charge
    before = cp.hstack([market.start, stored[:-1]]) * battery.kept(market.step_hours)
    sold = market.price @ net - cp.sum(cp.multiply(market.bend / (2 * market.step_hours), cp.square(net)))
    rules = [
        stored == before + battery.eta_charge * charge - discharge / battery.eta_discharge,
        charge <= market.limit * (1 if charges is None else np.array(charges)),
        discharge <= market.limit * (1 if charges is None else 1 - np.array(charges)),
        stored <= battery.soc_high_mwh - battery.soc_low_mwh,
        stored[-1] == market.end,
    ]
    problem = cp.Problem(cp.Maximize(sold - battery.degradation_cost * cp.sum(discharge)), rules)
    problem.solve(solver="CLARABEL")
    return problem.value if problem.status == "optimal" else -np.inf


def require_feasible(plan, market, battery):
    net, before = plan.net_mwh, np.r_[market.start, plan.stored_mwh[:-1]] * battery.kept(market.step_hours)
    after = before - np.where(net < 0, net * battery.eta_charge, net / battery.eta_discharge)
    size = max(battery.energy_mwh, battery.power_mw)
    assert plan.stored_mwh == pytest.approx(after, abs=1e-12 * size)
    assert (np.abs(net) <= market.limit * (1 + 1e-12)).all()
    assert (plan.stored_mwh >= -1e-12 * size).all()
    assert (plan.stored_mwh <= battery.soc_high_mwh - battery.soc_low_mwh + 1e-12 * size).all()
    assert plan.stored_mwh[-1] == pytest.approx(market.end, abs=1e-12 * size)


@settings(max_examples=25)
@given(positive, batteries(), st.lists(slopes, min_size=10, max_size=10), st.sampled_from([0.25, 1.0]))
def test_a_plan_is_proven_the_best_by_the_values_of_stored_energy_and_agrees_with_a_conic_solver(
    price, battery, bends, step_hours
):
    market = facing(price, battery, bends[: len(price)], step_hours)
    plan, scale = best_plan(market, battery), greatest_earnings(facing(price, battery, bends[: len(price)]), 4.0)
    require_feasible(plan, market, battery)
    assert plan.earned == pytest.approx(earnings(market, plan.net_mwh, battery.degradation_cost))
    assert 0 <= plan.bound - plan.earned <= 1e-11 * scale
    assert plan.earned == pytest.approx(best_by_cvxpy(market, battery), abs=1e-6 * max(scale, 1))


@settings(max_examples=15)
@given(few, batteries(), st.sampled_from([0.0, 0.3, 5.0]))
def test_at_negative_prices_a_plan_is_the_best_of_all_in_which_no_interval_charges_and_discharges(price, battery, bend):
    market = facing(price, battery, bend)
    plan, scale = best_plan(market, battery), greatest_earnings(market, battery.degradation_cost)
    require_feasible(plan, market, battery)
    best = max(best_by_cvxpy(market, battery, ways) for ways in product((0, 1), repeat=len(price)))
    assert plan.earned == pytest.approx(best, abs=1e-6 * max(scale, 1))
    assert plan.bound >= best - 1e-6 * max(scale, 1)


@given(any_sign, batteries(), st.sampled_from([0.0, 0.01, 0.5, 20.0]))
def test_no_conduct_earns_more_than_the_strategic_or_is_worth_more_than_the_efficient(price, battery, slope):
    power = market_power(hours(price), battery, slope)
    room = power.strategic.regret.max() + power.efficient.regret.max() + 1e-9 * (1 + max(map(abs, price)) * 1000)
    assert power.strategic.profit[0] >= power.efficient.profit[0] - room
    assert power.strategic.profit[0] >= power.price_taker.profit[0] - room
    assert power.efficient.welfare >= power.strategic.welfare - room
    assert power.efficient.welfare >= power.price_taker.welfare - room
    if slope == 0:
        assert power.gain == pytest.approx(0, abs=room)
        assert power.welfare_loss == pytest.approx(0, abs=room)
    for play in (power.strategic, power.efficient, power.price_taker):
        validate(play.schedule, "schedule")
        made = np.array(price) - slope * play.schedule["battery_mw"]
        assert play.schedule["price"].to_numpy() == pytest.approx(made.to_numpy())
        sold = play.schedule["battery_mw"] @ play.schedule["price"] - battery.degradation_cost * play.delivered_mwh
        assert play.profit[0] == pytest.approx(sold, abs=1e-9 * (1 + max(map(abs, price)) * 100))


@given(positive, batteries(), st.sampled_from([1e-8, 1e-10]))
def test_as_the_price_moves_less_conduct_matters_less(price, battery, slope):
    power = market_power(hours(price), battery, slope)
    greatest = 2 * slope * battery.power_mw**2 * len(price)
    assert 0 <= power.gain + 1e-6 <= greatest + 1e-5
    assert 0 <= power.welfare_loss + 1e-6 <= greatest + 1e-5


@given(st.floats(0, 50), st.floats(0, 50), st.sampled_from([0.1, 1.0, 10.0]), batteries())
def test_over_one_cycle_a_battery_withholds_and_never_the_other_way(low, spread, slope, battery):
    power = market_power(hours([low, low + spread]), battery, slope)
    assert power.withheld_mwh >= -1e-9


@given(positive, st.sampled_from([0.05, 1.0]), st.lists(batteries(), min_size=2, max_size=3))
def test_each_of_several_batteries_replies_best_to_the_others(price, slope, owned):
    play, level = play_batteries(hours(price), owned, slope), np.array(price)
    scale = 1e-9 * (1 + np.abs(level).max() + 200 * slope) * 40 * len(price)
    for i, battery in enumerate(owned):
        own, others = (
            play.schedule[f"battery_{i}_mw"].to_numpy(),
            (play.schedule["battery_mw"] - play.schedule[f"battery_{i}_mw"]).to_numpy(),
        )
        market = facing(level - slope * others, battery, 2 * slope)._replace(start=0.0, end=0.0)
        assert best_plan(market, battery).earned - earnings(market, own, battery.degradation_cost) <= scale
    assert (play.regret <= scale).all()
    assert play.schedule["soc_mwh"].to_numpy() == pytest.approx(
        sum(play.schedule[f"soc_{i}_mwh"] for i in range(len(owned))).to_numpy()
    )


@settings(max_examples=12)
@given(
    positive,
    st.sampled_from([0.05, 1.0]),
    st.lists(batteries(), min_size=2, max_size=3),
    st.sampled_from([("strategic", 1, 1), ("cartel", 2, 0), ("efficient", 1, 0), ("price_taker", 0, 0)]),
)
def test_the_regret_of_several_batteries_is_what_a_conic_solver_still_gains_where_replies_are_cut_short(
    price, slope, owned, conduct
):
    name, together, alone = conduct
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "_SWEEPS", 0)
        play = play_batteries(hours(price), owned, slope, conduct=name)
    for i, battery in enumerate(owned):
        own = play.schedule[f"battery_{i}_mw"].to_numpy()
        others = play.schedule["battery_mw"].to_numpy() - own
        market = facing(price - together * slope * others, battery, (together + alone) * slope)
        market = market._replace(start=0.0, end=0.0)
        scale = greatest_earnings(market, battery.degradation_cost)
        gain = best_by_cvxpy(market, battery) - earnings(market, own, battery.degradation_cost)
        assert play.regret[i] == pytest.approx(gain, abs=1e-6 * max(scale, 1))


def test_batteries_of_different_sizes_that_plan_as_if_alike_regret_it(monkeypatch):
    owned = [Battery(1.0, 2.0), Battery(30.0, 60.0, 0.9, 0.8)]
    monkeypatch.setattr(MODULE, "_SWEEPS", 0)
    assert play_batteries(hours([10.0, 60.0, 20.0, 90.0]), owned, 1.0).regret.max() > 1


@given(positive, st.sampled_from([0.05, 1.0]), st.permutations(range(3)))
def test_the_order_of_batteries_does_not_matter(price, slope, order):
    owned = [Battery(1.0, 2.0), Battery(3.0, 1.0, 0.9, 0.8), Battery(2.0, 5.0, degradation_cost=3.0)]
    here, there = (play_batteries(hours(price), fleet, slope) for fleet in (owned, [owned[i] for i in order]))
    assert here.schedule["battery_mw"].to_numpy() == pytest.approx(there.schedule["battery_mw"].to_numpy(), abs=1e-4)
    assert here.profit[list(order)] == pytest.approx(there.profit, abs=1e-4 * max(price) + 1e-6)


def test_a_battery_cut_into_more_owners_comes_to_behave_efficiently():
    prices, whole, slope = mock_prices(days=2), Battery(60.0, 120.0, 0.95, 0.95), 0.2
    best = play_batteries(prices, whole, slope, conduct="efficient")
    cartel = play_batteries(prices, whole, slope)
    parts = {n: [Battery(60.0 / n, 120.0 / n, 0.95, 0.95)] * n for n in (1, 2, 5, 20, 100)}
    plays = {n: play_batteries(prices, owned, slope) for n, owned in parts.items()}
    welfare = [play.welfare for play in plays.values()]
    profit = [play.profit.sum() for play in plays.values()]
    assert np.all(np.diff(welfare) >= -1e-6) and np.all(np.diff(profit) <= 1e-6)
    assert welfare[-1] == pytest.approx(best.welfare, rel=1e-3)
    assert welfare[0] == pytest.approx(cartel.welfare)
    assert welfare[0] < best.welfare
    together = play_batteries(prices, parts[5], slope, conduct="cartel")
    assert together.profit.sum() == pytest.approx(cartel.profit.sum(), rel=1e-9)
    assert play_batteries(prices, parts[5], slope, conduct="efficient").welfare == pytest.approx(best.welfare, rel=1e-9)


@pytest.mark.parametrize("n_batteries", [1, 2, 3, 9])
def test_lossless_batteries_on_one_spread_move_what_cournot_says(n_batteries):
    # each MWh moved narrows the spread of 60 by 2 x 5 $/MWh: a = 60, b = 10, so q = 60 / (10 (n + 1))
    play = play_batteries(hours([20.0, 80.0]), [Battery(9.0, 9.0, 1.0, 1.0)] * n_batteries, 5.0)
    moved = 60 / (10 * (n_batteries + 1))
    assert play.profit == pytest.approx([moved * (60 - 10 * n_batteries * moved)] * n_batteries)
    assert play.delivered_mwh == pytest.approx(n_batteries * moved)


def test_one_spread_with_losses_worked_by_hand():
    # store 0.8 of what is drawn, wear 2: max (50 - s d) d - 2 d - (10 + s c) c with d = 0.8 c and s = 10
    power = market_power(hours([10.0, 50.0]), Battery(5.0, 5.0, 0.8, 1.0, degradation_cost=2.0), 10.0)
    drawn = (48 * 0.8 - 10) / (2 * 10 * (1 + 0.64))
    assert power.strategic.schedule["battery_mw"].tolist() == pytest.approx([-drawn, 0.8 * drawn])
    assert power.efficient.schedule["battery_mw"].tolist() == pytest.approx([-2 * drawn, 1.6 * drawn])
    assert power.strategic.profit[0] == pytest.approx((48 * 0.8 - 10) * drawn / 2)
    assert power.efficient.profit[0] == pytest.approx(0)
    assert power.withheld_mwh == pytest.approx(0.8 * drawn)
    assert power.price_of_anarchy == pytest.approx(4 / 3)


def test_intervals_of_any_length_give_the_same_power():
    quarter = pd.DataFrame(
        {"price": np.repeat([20.0, 80.0, 30.0], 4)},
        index=pd.date_range("2024-01-01", periods=12, freq="15min", tz="UTC"),
    ).rename_axis("time")
    battery = Battery(9.0, 4.0, 0.9, 0.9)
    fine, coarse = market_power(quarter, battery, 2.0), market_power(hours([20.0, 80.0, 30.0]), battery, 2.0)
    assert fine.gain == pytest.approx(coarse.gain)
    assert fine.strategic.schedule["battery_mw"].to_numpy()[::4] == pytest.approx(
        coarse.strategic.schedule["battery_mw"].to_numpy(), abs=1e-9
    )


def test_over_quarters_of_an_hour_a_profit_is_what_is_sold_at_the_price_less_wear():
    times = pd.date_range("2024-01-01", periods=12, freq="15min", tz="UTC", name="time")
    quarter = pd.DataFrame({"price": np.tile([20.0, 80.0, 30.0], 4)}, index=times)
    battery = Battery(9.0, 4.0, 0.9, 0.9, degradation_cost=3.0)
    for conduct in CONDUCTS:
        play = play_batteries(quarter, battery, 2.0, conduct=conduct)
        moved, price = play.schedule["battery_mw"], play.schedule["price"]
        assert price.to_numpy() == pytest.approx((quarter["price"] - 2.0 * moved).to_numpy())
        assert play.delivered_mwh == pytest.approx(moved.clip(lower=0).sum() / 4) != 0
        assert play.profit == pytest.approx([(moved @ price) / 4 - 3.0 * play.delivered_mwh])


def test_a_gap_in_prices_is_not_traded_in():
    play = play_batteries(hours([10.0, np.nan, 60.0]), Battery(1.0, 1.0, 1.0, 1.0), 1.0)
    assert play.schedule["battery_mw"].tolist() == [-1.0, 0.0, 1.0]
    assert np.isnan(play.schedule["price"].iloc[1])


def test_a_slope_may_change_by_interval_and_steepness_turns_a_battery_away():
    prices = hours([10.0, 10.0, 60.0])
    steep = pd.Series([50.0, 0.0, 0.0], index=prices.index)
    for slope in (steep, steep.to_numpy()):
        assert play_batteries(prices, Battery(1.0, 1.0, 1.0, 1.0), slope).schedule["battery_mw"].tolist() == [0, -1, 1]


def test_energy_at_the_start_and_the_end_is_as_asked():
    owned = [Battery(5.0, 10.0, soc_min=0.1), Battery(5.0, 10.0)]
    play = play_batteries(hours([10.0, 60.0, 20.0]), owned, 0.5, soc_mwh=[4.0, 2.0], end_mwh=3.0)
    assert play.schedule["soc_0_mwh"].iloc[-1] == play.schedule["soc_1_mwh"].iloc[-1] == pytest.approx(3.0)


def test_a_real_week_is_certified(data_dir):
    from gridlab.sources import read_prices

    week = read_prices(data_dir / "epf" / "PJM.csv").iloc[:168]
    power = market_power(week, Battery(200.0, 800.0), 0.02)
    for play in (power.strategic, power.efficient, power.price_taker):
        assert play.regret[0] <= 1e-9 * week["price"].abs().sum() * 200
    assert power.gain > 0
    assert power.withheld_mwh > 0
    assert power.table().loc["strategic", "profit"] == power.table()["profit"].max()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"slope": -1.0}, DataError, "slope must be at least 0"),
        ({"slope": np.nan}, DataError, "slope must be at least 0"),
        ({"slope": [1.0, 2.0, 3.0]}, DataError, "2 elements"),
        ({"slope": pd.Series([1.0], index=mock_times(days=1)[:1])}, DataError, "no value for"),
        ({"slope": "a"}, DataError, "slope must be numbers"),
        ({"slope": pd.Series([1.0] * 3, index=mock_times(days=1)[[0, 1, 1]])}, DataError, "slope has .* twice"),
        ({"prices": hours([])}, DataError, "prices has no intervals"),
        ({"batteries": []}, DataError, "holds none"),
        ({"batteries": ["x"]}, DataError, "batteries must be a Battery or a sequence of them, got 'x'"),
        ({"batteries": None}, DataError, "batteries must be a Battery or a sequence of them, got None"),
        ({"end_mwh": "a"}, DataError, "end_mwh must be numbers"),
        ({"batteries": Battery(1.0, 1.0, ramp_mw_per_hour=0.5)}, DataError, "may bind"),
        ({"conduct": "bertrand"}, DataError, "conduct must be one of"),
        ({"soc_mwh": 3.0}, PlanError, "outside the battery's 0 to 1 MWh"),
        ({"soc_mwh": np.nan}, PlanError, "outside the battery's"),
        ({"soc_mwh": [0.0, 0.0]}, DataError, "one for each of 1"),
        ({"batteries": Battery(0.1, 1.0, 1.0, 1.0), "end_mwh": 0.7}, PlanError, "0.5 MWh outside what"),
        ({"prices": mock_prices(days=1).drop(columns="price")}, DataError, "no column 'price'"),
    ],
)
def test_what_cannot_be_played_is_refused(change, error, message):
    asked = {"prices": hours([10.0, 50.0]), "batteries": Battery(1.0, 1.0), "slope": 1.0} | change
    with pytest.raises(error, match=message):
        play_batteries(**asked)


def test_every_conduct_has_an_answer_for_a_price_that_never_changes():
    for conduct in CONDUCTS:
        play = play_batteries(hours([30.0] * 6), [Battery(1.0, 2.0), Battery(2.0, 1.0)], 1.0, conduct=conduct)
        assert (play.schedule["battery_mw"] == 0).all()
        assert play.welfare == 0


steps = st.lists(
    st.tuples(st.integers(-3, 3).map(float), st.sampled_from([0.0, 10.0, 20.0, 20.0, 90.0])), min_size=1, max_size=6
)


@given(steps)
def test_the_error_of_a_slope_is_the_greatest_distance_of_the_bids_from_the_line(rows):
    quantity, price = np.array(rows).T
    power = min(-quantity[quantity < 0].sum(), quantity[quantity > 0].sum())
    if power == 0:
        with pytest.raises(DataError, match="power_mw"):
            slope_of_bids(quantity, price, 1.0)
        return
    line = slope_of_bids(quantity, price, power)
    order = np.argsort(-price, kind="stable")
    ends = np.cumsum(np.abs(quantity)[order]) - quantity[quantity > 0].sum()
    tried = np.linspace(-power, power, 4001)[1:-1]
    met = price[order][np.minimum(np.searchsorted(ends, tried), len(ends) - 1)]
    distance = np.abs(met - (line.price - line.slope * tried)).max()
    assert distance <= line.error + 1e-9
    assert distance >= line.error - line.slope * power / 500 - 1e-9


def test_a_straight_market_has_a_line_without_error():
    line = slope_of_bids([-100.0, 50.0], [100.0, 0.0], 20.0, price_to=[0.0, 100.0])
    assert line.slope == pytest.approx(1 / 1.5)
    assert line.error == pytest.approx(0, abs=1e-12)
    assert line.price == pytest.approx(100 / 1.5)


def test_the_slope_of_prices_and_its_error_are_those_of_newey_and_wests_matrices():
    rng = np.random.default_rng(3)
    load = 1000 + np.cumsum(rng.normal(0, 10, 300))
    price = 20 + 0.05 * load + np.convolve(rng.normal(0, 2, 310), np.ones(11) / 3, "valid")
    known = np.column_stack([np.ones(300), load])
    fitted = np.linalg.lstsq(known, price)[0]
    moments = known * (price - known @ fitted)[:, None]
    apart = np.abs(np.subtract.outer(np.arange(300), np.arange(300)))
    meat = moments.T @ np.maximum(1 - apart / 13, 0) @ moments
    bread = np.linalg.inv(known.T @ known)
    ours = slope_of_prices(price, load, lags=12)
    assert ours.slope == pytest.approx(fitted[1], rel=1e-8)
    assert ours.standard_error == pytest.approx(np.sqrt((bread @ meat @ bread)[1, 1]), rel=1e-6)


def test_slopes_that_cannot_be_seen_are_refused():
    with pytest.raises(DataError, match="does not vary"):
        slope_of_prices([1.0, 2.0, 3.0], [5.0, 5.0, 5.0], lags=0)
    with pytest.raises(DataError, match="entry 1 is not finite"):
        slope_of_prices([1.0, np.nan, 3.0], [5.0, 6.0, 5.0], lags=0)
    with pytest.raises(DataError, match="3 or more"):
        slope_of_prices([1.0, 2.0], [5.0, 6.0], lags=0)
    with pytest.raises(DataError, match="lags"):
        slope_of_prices([1.0, 2.0, 3.0], [5.0, 6.0, 7.0], lags=3)
    with pytest.raises(DataError, match="above 0"):
        slope_of_bids([1.0, -1.0], [1.0, 2.0], 0.0)
