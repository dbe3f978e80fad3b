"""Bids at worth, at cost and from scenarios: what they clear to is what is best, against the slow way."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridlab.assets import Battery, Cooling, Machine, Site
from gridlab.auctions.at_price import clear_at_price
from gridlab.bids.cost_based import battery_costs, bid_cost_based
from gridlab.bids.curves import bid_from_scenarios, fit_curve
from gridlab.bids.tables import as_wants, curves_of
from gridlab.bids.truthful import bid_truthful, machine_values
from gridlab.errors import DataError
from gridlab.mpc.segments import Segments, terminal_segments
from gridlab.mpc.value import value_of_energy
from gridlab.schema import mock_bids, mock_prices, mock_times, validate

prices_of = st.floats(-200, 3000).map(lambda price: round(price, 2))
slopes = st.lists(prices_of, min_size=1, max_size=4)
batteries = st.builds(
    Battery,
    power_mw=st.sampled_from([0.3, 1.0, 5.0]),
    energy_mwh=st.just(2.0),
    eta_charge=st.sampled_from([0.7, 0.9, 1.0]),
    eta_discharge=st.sampled_from([0.8, 1.0]),
    soc_min=st.sampled_from([0.0, 0.2]),
    degradation_cost=st.sampled_from([0.0, 7.0]),
    self_discharge_per_hour=st.sampled_from([0.0, 0.05]),
)


def at_price(bids: pd.DataFrame, price: float, *, days: int = 1, freq: str = "1h") -> pd.DataFrame:
    """What is awarded when the market's price is the same at all times."""
    return clear_at_price(bids, mock_prices(days, freq=freq).assign(price=price)).awards


def is_ordered(bids: pd.DataFrame) -> bool:
    """Whether each curve is wanted at prices that fall, then offered at prices that rise, and stands in one place."""
    ordered = curves_of(bids)
    return ordered.equals(bids.reset_index(drop=True))


# Values


def test_what_machines_want_at_a_price_earns_most_of_all_counts_that_the_meter_and_the_chiller_allow():
    first, second = Machine("first", 0.5, 4, 30.0), Machine("second", 0.25, 4, 14.0, product="token_price")
    site = Site(3.2, machines=(second, first), cooling=Cooling(2.4, cop_max=3.0))
    prices = mock_prices(1, freq="30min").assign(hash_price=1.0, token_price=2.0, temperature_c=20.0)
    values = machine_values(site, prices, service="energy")
    drawn_at_rest, step = site.cooling.power_mw(0.0, 20.0), values[values["time"] == values["time"][0]]
    for price in (-40.0, 30.0, 60.0, 75.0, 85.0, 101.0, 120.0):
        taken = -at_price(step, price, freq="30min")["quantity_mw"].sum()
        best = -np.inf
        for one in np.linspace(0, 2.0, 81):
            for other in np.linspace(0, 1.0, 41):
                heat = one + other
                meter = heat + site.cooling.power_mw(heat, 20.0) - drawn_at_rest
                if heat <= 2.4 and meter <= 3.2 - drawn_at_rest:
                    best = max(best, (60 * one / 0.5 + 56 * other / 0.25 - price * meter))
        accepted = step[step["price"] >= price]
        worth = -(accepted["quantity_mw"] * (accepted["price"] - price)).sum()
        assert worth == pytest.approx(best, rel=0.01, abs=0.5)
        assert (
            worth >= best - 0.7 and taken <= 3.2 - drawn_at_rest + 1e-9
        )  # the grid of counts and the pieces are coarse


def test_the_rows_of_machines_sum_to_what_they_and_the_chiller_draw_and_earn():
    miners = Machine("miners", 0.1, 20, 4.0)
    cooling = Cooling(3.0)
    prices = mock_prices(1).assign(hash_price=1.5, temperature_c=np.linspace(-5, 35, 24))
    values = machine_values(Site(50.0, machines=(miners,), cooling=cooling), prices)
    for time, rows in values.groupby("time"):
        outside = prices.loc[time, "temperature_c"]
        drawn = 2.0 + cooling.power_mw(2.0, outside) - cooling.power_mw(0.0, outside)
        assert -rows["quantity_mw"].sum() == pytest.approx(drawn)
        assert -(rows["quantity_mw"] * rows["price"]).sum() == pytest.approx(20 * 4.0 * 1.5)
    assert is_ordered(values)


def test_demand_closed_markets_and_the_import_limit_cut_what_machines_want():
    site = Site(1.0, machines=(Machine("a", 0.1, 5, 2.0), Machine("b", 0.1, 8, 1.0, integer=True)))
    prices = mock_prices(1).assign(hash_price=3.0, a_demand=3.0, b_demand=1.5)
    prices.iloc[1, prices.columns.get_loc("price")] = np.nan
    prices.iloc[1, prices.columns.get_loc("hash_price")] = np.nan
    wanted = machine_values(site, prices).groupby(["time", "service"])["quantity_mw"].sum().unstack()
    assert len(wanted) == 23 and prices.index[1] not in wanted.index
    assert wanted["a"].unique() == pytest.approx([-0.3]) and wanted["b"].unique() == pytest.approx([-0.2])
    full = machine_values(site, prices.drop(columns=["a_demand", "b_demand"])).query("time == time.max()")
    assert full["quantity_mw"].tolist() == pytest.approx([-0.5, -0.5])
    with pytest.raises(DataError, match=r"hash_price'\] is nan at 2024-01-01 00:00"):
        machine_values(site, prices.assign(hash_price=np.nan))
    with pytest.raises(DataError, match="no column 'hash_price'"):
        machine_values(site, mock_prices(1))
    with pytest.raises(DataError, match="a_demand must be at least 0 machines, got -1"):
        machine_values(site, prices.assign(a_demand=-1.0))
    with pytest.raises(DataError, match="no column 'temperature_c'"):
        machine_values(Site(1.0, machines=site.machines, cooling=Cooling(1.0)), prices)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-5, 5)), max_size=12), st.sampled_from(["a", None]))
def test_the_truth_is_the_same_values_in_order(rows, service):
    table = mock_bids(max(len(rows), 1)).iloc[: len(rows)]
    quantity, price = (np.array([row[part] for row in rows], dtype=float) for part in (0, 1))
    values = table.assign(bidder="one", quantity_mw=quantity, price=price)
    values["service"] = np.where(np.arange(len(rows)) % 2, "a", "b")
    bids = validate(bid_truthful(values, service=service), "bids")
    assert is_ordered(bids) and (bids["quantity_mw"] != 0).all()
    keys = ["price"] if service else ["service", "price"]
    for side in (1, -1):
        before = values[np.sign(values["quantity_mw"]) == side].groupby(keys)["quantity_mw"].sum()
        after = bids[np.sign(bids["quantity_mw"]) == side].groupby(keys)["quantity_mw"].sum()
        assert before.to_dict() == after.to_dict()


def test_values_that_are_no_values_are_refused():
    with pytest.raises(DataError, match="worth of a MWh is inf in row 0"):
        bid_truthful(mock_bids(2).assign(price=np.inf))
    with pytest.raises(DataError, match="quantity_mw"):
        bid_truthful(mock_bids(2).assign(quantity_mw=np.nan))


def test_wants_are_positive_where_capacity_is_auctioned():
    book = mock_bids(4)
    wants = as_wants(book)
    assert wants["quantity_mw"].tolist() == (-book["quantity_mw"][[1, 3]]).tolist()
    assert wants["bidder"].tolist() == ["bidder_1", "bidder_3"] and len(as_wants(book.iloc[:0])) == 0


# Costs


@given(batteries, slopes, st.floats(0, 1), prices_of, st.sampled_from([0.25, 1.0]))
def test_a_battery_at_cost_does_what_earns_most_at_any_price(battery, worths, share, price, hours):
    room = battery.soc_high_mwh - battery.soc_low_mwh
    width = np.full(len(worths), room / len(worths))
    segments = Segments(width, np.array(sorted(worths, reverse=True)), np.array(0.0))
    costs = battery_costs(
        battery, segments, times=mock_times(1)[:1], soc_mwh=battery.soc_low_mwh + share * room, step_hours=hours
    )
    stored = battery.kept(hours) * share * room

    def gain(power: float) -> float:
        end = stored + (-power * battery.eta_charge if power < 0 else -power / battery.eta_discharge) * hours
        worn = battery.degradation_cost * max(power, 0.0)
        return hours * (price * power - worn) + float(segments.worth(end)) - float(segments.worth(stored))

    most_out = min(battery.power_mw, stored * battery.eta_discharge / hours)
    most_in = min(battery.power_mw, (room - stored) / battery.eta_charge / hours)
    awards = at_price(bid_cost_based(costs), price)["quantity_mw"]
    assert not ((awards > 1e-12).any() and (awards < -1e-12).any())
    assert -most_in - 1e-9 <= awards.sum() <= most_out + 1e-9
    corners = [*np.linspace(-most_in, 0, 60), *np.linspace(0, most_out, 60)]
    assert gain(float(np.clip(awards.sum(), -most_in, most_out))) >= max(map(gain, corners)) - 1e-6 * (1 + abs(price))
    assert is_ordered(costs)


def test_where_stored_energy_is_a_burden_the_battery_never_buys_and_sells_at_one_price():
    """At eta 0.8 and 0.9 energy worth -20 is bought up to -16 and sold from -22.2: the better of the two is done."""
    battery, times = Battery(1.0, 10.0, eta_charge=0.8, eta_discharge=0.9), mock_times(1)[:1]
    costs = bid_cost_based(battery_costs(battery, -20.0, times=times, soc_mwh=5.0))
    for price in np.linspace(-25, -14, 45):
        power = at_price(costs, price)["quantity_mw"].sum()
        gains = {-1.0: -16.0 - price, 0.0: 0.0, 1.0: price + 20 / 0.9}
        assert gains[power] == max(gains.values())


def test_a_batterys_offers_are_those_of_the_value_of_energy_that_the_plan_has():
    battery, times = Battery(1.0, 2.0, 0.9, 0.95, degradation_cost=3.0), mock_times(1)
    price = mock_prices(1)["price"].to_numpy()
    value = value_of_energy(price, battery, step_hours=1.0, n_states=401)
    soc, planned = 0.8, value.follow(0.8)[0]
    for step in range(24):
        segments = terminal_segments(value, step=step + 1, n_segments=60)
        costs = battery_costs(battery, segments, times=times[step : step + 1], soc_mwh=soc)
        power = at_price(bid_cost_based(costs), price[step])["quantity_mw"].sum()
        assert power == pytest.approx(planned[step], abs=0.02)
        soc = float(value.follow(0.8)[1][step])


def test_a_markup_moves_offers_up_and_bids_to_buy_down_whatever_their_sign():
    costs = mock_bids(4).assign(bidder="b", quantity_mw=[1.0, 1.0, -1.0, -1.0], price=[20.0, -20.0, 10.0, -30.0])
    plain, marked = bid_cost_based(costs), bid_cost_based(costs, markup=0.1, adder=1.0)
    assert plain.groupby("price")["quantity_mw"].sum().to_dict() == {-30: -1, -20: 1, 10: -1, 20: 1}
    assert marked["price"].tolist() == [8.0, -34.0, -17.0, 23.0]
    with pytest.raises(DataError, match="markup must be at least 0"):
        bid_cost_based(costs, markup=-0.1)
    with pytest.raises(DataError, match="cost of a MWh is -inf in row 0"):
        bid_cost_based(costs.assign(price=-np.inf))


def test_values_of_energy_that_are_none_are_refused():
    battery, one = Battery(1.0, 2.0), mock_times(1)[:1]
    bad = {
        "must fall|rises by 10": (([1.0, 1.0], [20.0, 30.0]), 1.0),
        "hold 1 MWh and the battery 2": (([0.5, 0.5], [20.0, 10.0]), 1.0),
        "negative width": (([3.0, -1.0], [20.0, 10.0]), 1.0),
        "must be finite": (np.nan, 1.0),
        "value must be a number": ([1.0, 2.0], 1.0),
        "soc_mwh must be in": (20.0, 2.5),
        "soc_mwh must be a number": (20.0, [1.0, 2.0]),
        "segments must have shape": (([1.0, 1.0], [2.0]), 1.0),
    }
    for message, (value, soc) in bad.items():
        with pytest.raises(DataError, match=message):
            battery_costs(battery, value, times=one, soc_mwh=soc)
    assert len(battery_costs(battery, 20.0, times=one[:0], soc_mwh=1.0)) == 0
    with pytest.raises(DataError, match="less than nothing"):
        battery_costs(Battery(1, 2, self_discharge_per_hour=0.6), 20.0, times=one, soc_mwh=1.0, step_hours=2.0)


# Scenarios

numbers = st.integers(-4, 4).map(float)
scenario_sets = st.integers(2, 7).flatmap(
    lambda n: st.tuples(arrays(float, n, elements=numbers), arrays(float, n, elements=numbers))
)


def nearest_by_hand(power, price, weight, n_rows):
    """Least weighted squares of all monotone step curves with at most n_rows steps away from rest."""
    at = np.unique(price)
    best = np.inf
    for n_pieces in range(1, len(at) + 1):
        for cuts in combinations(range(1, len(at)), n_pieces - 1):
            piece = np.searchsorted(np.array([0, *cuts]), np.searchsorted(at, price), side="right") - 1
            means = [np.average(power[piece == i], weights=weight[piece == i]) for i in range(n_pieces)]
            for rest in [None, *range(n_pieces)]:
                level = np.array([0.0 if i == rest else mean for i, mean in enumerate(means)])
                if (np.diff(level) >= 0).all() and np.count_nonzero(level) <= n_rows:
                    best = min(best, (weight * (power - level[piece]) ** 2).sum())
    return best


@given(scenario_sets, st.integers(1, 4), st.booleans())
def test_no_monotone_curve_of_as_many_rows_is_nearer(scenarios, n_segments, weighted):
    power, price = scenarios
    weight = np.arange(1.0, len(power) + 1) if weighted else np.ones(len(power))
    curve = fit_curve(power, price, weights=weight, n_segments=n_segments)
    missed = (weight * (power - curve.fitted_mw) ** 2).sum()
    assert missed == pytest.approx(nearest_by_hand(power, price, weight, n_segments), abs=1e-9)
    assert len(curve.price) <= n_segments
    order = np.argsort(price, kind="stable")
    assert (np.diff(curve.fitted_mw[order]) >= -1e-12).all()


@given(scenario_sets, st.sampled_from([1, 2, 3, None]), st.booleans())
def test_cleared_at_a_scenarios_price_the_curve_trades_what_was_fitted(scenarios, n_segments, open_ended):
    power, price = scenarios
    ends = {"floor": -np.inf, "cap": np.inf} if open_ended else {}
    curve = fit_curve(power, price, n_segments=n_segments, **ends)
    bids = bid_from_scenarios(
        power[:, None], price[:, None], times=mock_times(1)[:1], n_segments=n_segments, bidder="b", **ends
    )
    assert len(bids) == len(curve.price) and is_ordered(bids)
    for one, fitted in zip(price, curve.fitted_mw, strict=True):
        assert at_price(bids, one)["quantity_mw"].sum() == pytest.approx(fitted, abs=1e-12)
    for beyond in (price.min() - 1, price.max() + 1):
        awards = at_price(bids, beyond)["quantity_mw"].sum()
        end = curve.fitted_mw[np.argmin(np.abs(price - beyond))]
        assert awards == pytest.approx(end if open_ended else max(end, 0) if beyond > price.max() else min(end, 0))


@given(scenario_sets, st.integers(1, 5))
def test_the_order_and_the_repetition_of_scenarios_do_not_matter(scenarios, n_segments):
    power, price = scenarios
    assume(len(np.unique(price)) > 1)
    one = fit_curve(power, price, n_segments=n_segments)
    order = np.random.default_rng(len(power)).permutation(len(power))
    repeated = fit_curve(np.r_[power, power][::-1], np.r_[price, price][::-1], n_segments=n_segments)
    shuffled = fit_curve(power[order], price[order], n_segments=n_segments)
    missed = ((power - one.fitted_mw) ** 2).sum()
    assert missed == pytest.approx(((power - repeated.fitted_mw[::-1][: len(power)]) ** 2).sum(), abs=1e-9)
    assert missed == pytest.approx(((power[order] - shuffled.fitted_mw) ** 2).sum(), abs=1e-9)


def test_a_curve_that_is_monotone_is_met_exactly_and_weights_of_none_do_not_count():
    price = np.array([10.0, 20.0, 30.0, 40.0])
    power = np.array([-3.0, -1.0, 0.0, 2.0])
    curve = fit_curve(power, price)
    assert curve.quantity_mw.tolist() == [-1.0, -2.0, 2.0] and curve.price.tolist() == [20.0, 10.0, 40.0]
    none = fit_curve(np.r_[power, 99.0], np.r_[price, 5.0], weights=[1, 1, 1, 1, 0])
    assert none.price.tolist() == curve.price.tolist()


def test_scenarios_at_one_price_bid_their_mean_at_it():
    bids = bid_from_scenarios([[1.0, -1.0], [2.0, -3.0]], [[30.0, 5.0]] * 2, times=mock_times(1)[:2])
    assert bids[["quantity_mw", "price"]].values.tolist() == [[1.5, 30.0], [-2.0, 5.0]]


def test_power_that_falls_with_the_price_is_best_met_by_its_mean():
    curve = fit_curve([2.0, 1.0, 0.0], [10.0, 20.0, 30.0])
    assert curve.quantity_mw.tolist() == [1.0] and curve.price.tolist() == [10.0]


def test_spikes_negative_prices_and_many_paths_go_through():
    rng = np.random.default_rng(0)
    price = rng.normal(30, 20, (300, 24))
    price[::50] *= 100
    power = np.where(price > 50, 1.0, np.where(price < 10, -1.0, 0.0))
    bids = bid_from_scenarios(power, price, times=mock_times(1), n_segments=2)
    assert len(bids) == 48
    for step, time in enumerate(mock_times(1)):
        rows = bids[bids["time"] == time]
        for path in range(0, 300, 37):
            assert at_price(rows, price[path, step])["quantity_mw"].sum() == power[path, step]


@pytest.mark.parametrize("hours", [23, 25, 96])
def test_days_of_any_length_go_through(hours):
    times = pd.date_range("2024-03-30 23:00", periods=hours, freq="15min" if hours == 96 else "1h", tz="UTC")
    rng = np.random.default_rng(1)
    bids = bid_from_scenarios(rng.normal(size=(5, hours)), rng.normal(size=(5, hours)), times=times)
    assert validate(bids, "bids")["time"].nunique() == hours


def test_sets_that_are_none_are_refused():
    times = mock_times(1)[:1]
    for message, (power, price, more) in {
        "two scenarios or more": ([[1.0]], [[1.0]], {}),
        "prices is nan in path 1": ([[1.0], [2.0]], [[1.0], [np.nan]], {}),
        "quantities is inf in path 0": ([[np.inf], [2.0]], [[1.0], [2.0]], {}),
        "share a shape": ([[1.0], [2.0]], [[1.0, 2.0]], {}),
        "n_segments must be at least 1": ([[1.0], [2.0]], [[1.0], [2.0]], {"n_segments": 0}),
        "n_segments must be at least 1, a whole": ([[1.0], [2.0]], [[1.0], [2.0]], {"n_segments": 1.5}),
        "not all zero": ([[1.0], [2.0]], [[1.0], [2.0]], {"weights": [0, 0]}),
        "weights must have shape": ([[1.0], [2.0]], [[1.0], [2.0]], {"weights": [1, 1, 1]}),
        "floor must be at most": ([[1.0], [2.0]], [[1.0], [2.0]], {"floor": 1.5}),
        "cap must be at least": ([[1.0], [2.0]], [[1.0], [2.0]], {"cap": 1.5}),
    }.items():
        with pytest.raises(DataError, match=message):
            bid_from_scenarios(power, price, times=times, **more)
    with pytest.raises(DataError, match="times has 2 intervals"):
        bid_from_scenarios([[1.0], [2.0]], [[1.0], [2.0]], times=mock_times(1)[:2])
    with pytest.raises(DataError, match="times must be a DatetimeIndex in UTC"):
        bid_from_scenarios([[1.0], [2.0]], [[1.0], [2.0]], times=times.tz_localize(None))


def test_curves_do_not_depend_on_the_order_of_their_rows():
    book = mock_bids(4).assign(bidder="a", quantity_mw=[-1.0, 2.0, -2.0, 1.0], price=[1.0, 2.0, 3.0, 1.0])
    tables = [curves_of(book.iloc[list(order)]) for order in permutations(range(4))]
    assert all(table.equals(tables[0]) for table in tables)
