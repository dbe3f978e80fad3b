"""A site's plan as bids for the day ahead: whole it is the plan, and no part that is accepted loses."""

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab import sources
from gridlab.assets import Battery, Cooling, Machine, Site
from gridlab.auctions.at_price import clear_at_price
from gridlab.auctions.merit_order import clear_vcg
from gridlab.auctions.one_sided import clear_uniform
from gridlab.bids.day_ahead import bid_day_ahead
from gridlab.bids.tables import as_wants, curves_of
from gridlab.errors import DataError
from gridlab.mpc.base import State
from gridlab.mpc.site import plan_site
from gridlab.schema import mock_prices, step_hours, validate
from gridlab.sources.products import simulate_products

MACHINES = (
    Machine("inference", 0.0102, 80, 1.0, product="token_price"),
    Machine("training", 0.25, 4, 14.0, product="token_price"),
)
BATTERY = Battery(1.0, 4.0, 0.922, 0.9, soc_min=0.05, degradation_cost=5.0)
ROOMS = {"no room": 0.0, "room": 0.3}


def site_of(room: str = "no room", machines: tuple[Machine, ...] = MACHINES) -> Site:
    """A site of battery, machines and chiller."""
    return Site(2.6, 1.0, battery=BATTERY, machines=machines, cooling=Cooling(3.0, room_mwh_per_c=ROOMS[room]))


@lru_cache
def planned(room: str = "no room", *, seed: int = 2, freq: str = "1h", start: str = "2024-01-01", days: float = 1.0):
    """A site, its plan and what the plan believed."""
    rng = np.random.default_rng(seed)
    prices = mock_prices(2, freq=freq, start=start, rng=rng)
    prices = simulate_products(prices, inference_demand=80, rng=rng)
    times = prices.index[: round(days * 24 / step_hours(prices.index))]
    prices = prices.loc[times].set_axis(pd.DatetimeIndex(times, freq=freq, name="time"))
    site = site_of(room)
    plan = plan_site(State(site, 2.0, 2.0, 2.0), prices.rename(columns={"price": "mean"}))
    return site, pd.DataFrame(dict(plan.columns), index=prices.index), prices


def by_hour(bids: pd.DataFrame, schedule: pd.DataFrame) -> np.ndarray:
    """Power of each interval."""
    return bids.groupby("time")["quantity_mw"].sum().reindex(schedule.index).fillna(0.0).to_numpy()


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bids_accepted_whole_are_the_schedule(room, seed):
    site, schedule, prices = planned(room, seed=seed)
    bids = validate(bid_day_ahead(schedule, prices, site), "bids")
    assert by_hour(bids, schedule) == pytest.approx(schedule["grid_mw"].to_numpy(), abs=1e-8)
    parts = {"energy": "battery", "inference": "inference", "training": "training", "cooling": "cooling"}
    assert set(bids["service"]) <= set(parts)
    for service, part in parts.items():
        assert by_hour(bids[bids["service"] == service], schedule) == pytest.approx(schedule[f"{part}_mw"], abs=1e-8)
    for _, rows in bids.groupby("service"):
        assert curves_of(rows).equals(rows.reset_index(drop=True))
    curve = bids["time"].astype(str) + bids["service"]
    assert (curve != curve.shift()).sum() == curve.nunique()


@pytest.mark.parametrize("seed", range(4))
def test_at_the_plans_own_prices_the_battery_is_accepted_whole(seed):
    for room in ROOMS:
        site, schedule, prices = planned(room, seed=seed)
        awards = clear_at_price(bid_day_ahead(schedule, prices, site), prices).awards
        assert by_hour(awards[awards["service"] == "energy"], schedule) == pytest.approx(schedule["battery_mw"])


def test_machines_that_pay_for_themselves_and_their_cooling_are_accepted_at_the_plans_prices():
    site, schedule, prices = planned()
    bids = bid_day_ahead(schedule, prices, site)
    awards = clear_at_price(bids, prices).awards
    for name in ("inference", "training"):
        machine = next(machine for machine in site.machines if machine.name == name)
        share = schedule["cooling_mw"] / (schedule["inference_mw"] + schedule["training_mw"])
        earned = prices["token_price"] * machine.output / machine.power_mw
        pays = (earned > prices["price"] * (1 + share) * (1 + 1e-12)).to_numpy()
        found = by_hour(awards[awards["service"] == name], schedule)
        assert found == pytest.approx(np.where(pays, schedule[f"{name}_mw"], 0.0), abs=1e-9)


@given(st.integers(0, 10_000), st.sampled_from([1.0, 100.0]), st.integers(0, 2))
def test_machines_and_their_cooling_never_lose_at_any_prices(seed, scale, plan):
    site, schedule, prices = planned(seed=plan)
    came = prices.assign(price=scale * np.random.default_rng(seed).normal(30, 40, len(prices)))
    bids = bid_day_ahead(schedule, prices, site)
    awards = clear_at_price(bids, came).awards
    services = ("inference", "training", "cooling")
    one, two, cooling = (-by_hour(awards[awards["service"] == service], schedule) for service in services)
    earned = prices["token_price"].to_numpy() * (one / 0.0102 + 14.0 * two / 0.25)
    gain = earned - came["price"].to_numpy() * (one + two + cooling)
    assert (gain[one + two > 0] >= -1e-9).all() and (one + two > 0).any()


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.01]), st.booleans())
def test_what_a_battery_buys_and_sells_again_never_loses_if_both_are_accepted(seed, leak, starts_full):
    """Any schedule, and prices at which all of its bids are accepted: what is stored is worth the terminal value."""
    rng = np.random.default_rng(seed)
    battery = Battery(1.0, 3.0, 0.9, 0.8, degradation_cost=2.0, self_discharge_per_hour=leak)
    times = mock_prices(1).index
    soc, power = [3.0 if starts_full else 0.0], []
    for step in rng.uniform(-1, 1, 24):
        kept = battery.kept(1.0) * soc[-1]
        power.append(max(step, -(3.0 - kept) / 0.9) if step < 0 else min(step, kept * 0.8))
        soc.append(kept + (-0.9 * power[-1] if power[-1] < 0 else -power[-1] / 0.8))
    schedule = pd.DataFrame({"battery_mw": power, "soc_mwh": soc[1:]}, index=times)
    prices = mock_prices(1).assign(price=rng.normal(30, 30, 24))
    bids = bid_day_ahead(schedule, prices, Site(2.0, 2.0, battery=battery), terminal=25.0)
    assert by_hour(bids, schedule) == pytest.approx(np.array(power), abs=1e-9)
    worst = -(bids["quantity_mw"] * -bids["price"]).sum()  # each row at its own price, which is the worst that may come
    wear = 2.0 * np.maximum(power, 0).sum()
    idle = soc[0] * battery.kept(1.0) ** 24
    assert worst - wear + 25.0 * (soc[-1] - idle) == pytest.approx(0.0, abs=1e-6)


def test_what_was_stored_before_is_sold_for_what_it_takes_to_replace_it():
    times = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC", name="time")
    prices = pd.DataFrame({"price": [60.0, 20.0]}, index=times)
    schedule = pd.DataFrame({"battery_mw": [1.0, -1.0], "soc_mwh": [0.0, 1.0]}, index=times)
    site = Site(1.0, 1.0, battery=Battery(1.0, 1.0, 1.0, 1.0))
    assert bid_day_ahead(schedule, prices, site)["price"].tolist() == [40.0, 40.0]
    only_sold = schedule.assign(battery_mw=[1.0, 0.0], soc_mwh=0.0)
    assert bid_day_ahead(only_sold, prices, site, terminal=15.0)["price"].tolist() == [15.0]


def test_what_was_stored_last_is_sold_first():
    times = pd.date_range("2024-01-01", periods=4, freq="1h", tz="UTC", name="time")
    prices = pd.DataFrame({"price": [10.0, 30.0, 50.0, 80.0]}, index=times)
    schedule = pd.DataFrame({"battery_mw": [-1.0, -1.0, 1.0, 1.0], "soc_mwh": [1.0, 2.0, 1.0, 0.0]}, index=times)
    site = Site(1.0, 1.0, battery=Battery(1.0, 2.0, 1.0, 1.0))
    assert bid_day_ahead(schedule, prices, site)["price"].tolist() == [45.0, 40.0, 40.0, 45.0]
    parts = bid_day_ahead(schedule.assign(battery_mw=[-1.0, -0.5, 1.0, 0.5]), prices, site)
    assert parts["price"].tolist() == [45.0, 30.0, 40.0, 30.0, 40.0, 45.0]


def test_a_given_value_of_energy_is_bid_through_the_efficiencies():
    site, schedule, prices = planned()
    bids = bid_day_ahead(schedule, prices, site, energy_value=40.0).query("service == 'energy'")
    sells = bids["quantity_mw"] > 0
    assert bids["price"][sells].unique() == pytest.approx([40 / 0.9 + 5]) and bids["price"][
        ~sells
    ].unique() == pytest.approx([40 * 0.922])
    hourly = bid_day_ahead(schedule, prices, site, energy_value=np.arange(24.0)).query("service == 'energy'")
    hour = hourly["time"].dt.hour.to_numpy()
    expected = np.where(hourly["quantity_mw"] > 0, hour / 0.9 + 5, hour * 0.922)
    assert hourly["price"].to_numpy() == pytest.approx(expected)


def test_cooling_before_the_machines_run_bids_what_the_day_breaks_even_at():
    times = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC", name="time")
    prices = pd.DataFrame({"price": 10.0, "hash_price": [9.0, 5.0, 0.0]}, index=times)
    miners = Machine("miners", 0.1, 20, 1.0)
    site = Site(5.0, machines=(miners,), cooling=Cooling(3.0, room_mwh_per_c=0.3))
    parts = {"miners_mw": [0.0, -2.0, 0.0], "cooling_mw": [-0.3, -0.2, 0.0], "soc_mwh": 0.0}
    bids = bid_day_ahead(pd.DataFrame(parts, index=times), prices, site)
    assert bids["service"].tolist() == ["cooling", "miners", "cooling"]
    assert bids["price"].tolist() == pytest.approx([40.0, 40.0, 40.0])  # 100 $ over 2.5 MWh
    rests = pd.DataFrame(parts | {"miners_mw": 0.0}, index=times)
    assert bid_day_ahead(rests, prices, site)["price"].tolist() == [0.0, 0.0]


def test_a_promised_service_bids_what_it_costs_to_break_it():
    site, schedule, prices = planned()
    plain = bid_day_ahead(schedule, prices, site)
    firm = bid_day_ahead(schedule, prices, site, at_least={"inference": 500.0})
    for name, same in {"inference": False, "training": True}.items():
        one, two = (table.loc[table["service"] == name, "price"].to_numpy() for table in (plain, firm))
        assert (one == two).all() == same
    rows = firm[firm["service"] == "inference"].set_index("time")
    cooled = 1 + schedule["cooling_mw"] / (schedule["inference_mw"] + schedule["training_mw"])
    assert rows["price"].to_numpy() == pytest.approx((500.0 / cooled).loc[rows.index].to_numpy())
    with pytest.raises(DataError, match="at_least names 'mining'"):
        bid_day_ahead(schedule, prices, site, at_least={"mining": 1.0})


@pytest.mark.parametrize(
    ("start", "days", "freq"),
    [("2024-03-30 23:00", 23 / 24, "1h"), ("2024-10-26 22:00", 25 / 24, "1h"), ("2024-03-30 23:00", 23 / 24, "15min")],
)
def test_days_of_23_and_25_hours_and_quarters_of_an_hour_go_through(start, days, freq):
    for room in ROOMS:
        site, schedule, prices = planned(room, start=start, days=days, freq=freq)
        bids = bid_day_ahead(schedule, prices, site, market_tz="Europe/Berlin")
        assert by_hour(bids, schedule) == pytest.approx(schedule["grid_mw"].to_numpy(), abs=1e-8)
        assert bids["time"].nunique() == len(schedule) == round(days * 24 / step_hours(schedule.index))
        awards = clear_at_price(bids, prices).awards
        assert by_hour(awards[awards["service"] == "energy"], schedule) == pytest.approx(schedule["battery_mw"])


def test_the_bids_clear_in_a_market_with_two_sides():
    site, schedule, prices = planned()
    bids = bid_day_ahead(schedule, prices, site, services="energy")
    others = [
        pd.DataFrame(
            {
                "time": schedule.index,
                "bidder": name,
                "service": "energy",
                "quantity_mw": quantity,
                "price": prices["price"].to_numpy(),
            }
        )
        for name, quantity in (("grid", 50.0), ("town", -50.0))
    ]
    cleared = clear_uniform(pd.concat([bids, *others], ignore_index=True))
    mine = cleared.awards[cleared.awards["bidder"] == "site"]
    alone = clear_at_price(bids, prices).awards
    assert mine["quantity_mw"].to_numpy() == pytest.approx(alone["quantity_mw"].to_numpy())
    assert cleared.prices.to_numpy() == pytest.approx(prices["price"].to_numpy())
    assert abs(cleared.payments.sum()) < 1e-6


def test_what_is_wanted_clears_as_an_auction_of_capacity():
    site, schedule, prices = planned()
    bids = bid_day_ahead(schedule, prices, site)
    wants = as_wants(bids)
    rival = wants.assign(bidder="rival")
    book = pd.concat([wants, rival], ignore_index=True).sort_values(["time", "bidder", "service"], kind="stable")
    cleared = clear_vcg(book.reset_index(drop=True), 2.0)
    awarded = cleared.awards.groupby("time")["quantity_mw"].sum()
    wanted = book[book["price"] >= 0].groupby("time")["quantity_mw"].sum()
    sold = np.minimum(wanted, 2.0).reindex(awarded.index).fillna(0.0)
    assert awarded.to_numpy() == pytest.approx(sold.to_numpy())
    assert (cleared.payments >= -1e-9).all()


def test_parts_may_be_named_and_a_forecast_may_stand_for_the_prices():
    site, schedule, prices = planned()
    named = bid_day_ahead(schedule, prices, site, services={"battery": "storage", "cooling": "chill"}, bidder="north")
    assert set(named["service"]) == {"storage", "inference", "training", "chill"} and set(named["bidder"]) == {"north"}
    forecast = prices.rename(columns={"price": "mean"})
    assert bid_day_ahead(schedule, forecast, site).equals(bid_day_ahead(schedule, prices, site))
    one = bid_day_ahead(schedule, prices, site, services="energy")
    assert set(one["service"]) == {"energy"} and curves_of(one).equals(one)


def test_a_site_at_rest_bids_nothing_and_closed_intervals_need_no_price():
    site, schedule, prices = planned()
    closed = prices.assign(price=np.nan, token_price=np.nan)
    assert len(validate(bid_day_ahead(schedule * 0.0, closed, site), "bids")) == 0
    empty = Site(1.0, 1.0)
    assert len(bid_day_ahead(schedule * 0.0, prices, empty)) == 0


def test_a_real_day_of_prices_goes_through(data_dir):
    prices = sources.read_prices(data_dir / "epf" / "PJM.csv").iloc[-72:]
    prices = simulate_products(prices, inference_demand=80, rng=np.random.default_rng(0))
    prices = prices.set_axis(pd.DatetimeIndex(prices.index, freq="1h", name="time"))
    site = site_of("room")
    plan = plan_site(State(site, 2.0, 0.5, 4.0), prices.rename(columns={"price": "mean"}), terminal=20.0)
    schedule = pd.DataFrame(dict(plan.columns), index=prices.index)
    bids = bid_day_ahead(schedule, prices, site, terminal=20.0, market_tz="America/New_York")
    assert by_hour(bids, schedule) == pytest.approx(schedule["grid_mw"].to_numpy(), abs=1e-8)
    awards = clear_at_price(bids, prices).awards
    assert by_hour(awards[awards["service"] == "energy"], schedule) == pytest.approx(schedule["battery_mw"], abs=1e-9)


def test_schedules_that_are_none_are_refused():
    site, schedule, prices = planned()
    one = {"schedule": schedule, "prices": prices, "site": site}
    for message, more in {
        "no column 'training_mw'": {"schedule": schedule.drop(columns="training_mw")},
        "no column 'cooling_mw'": {"schedule": schedule.drop(columns="cooling_mw")},
        "what a machine or the cooling draws": {"schedule": schedule.assign(training_mw=1.0)},
        "is not finite": {"schedule": schedule.assign(battery_mw=np.nan)},
        "no row for 2024-01-01 00": {"prices": prices.iloc[1:]},
        "prices has 2024-01-01 00:00:00\\+00:00 twice": {"prices": pd.concat([prices.iloc[:1], prices])},
        "'minning_mw'.* is -1 MW at 2024.*no such part": {"schedule": schedule.assign(minning_mw=-1.0)},
        "services names 'inferense', and the parts": {"services": {"inferense": "a"}},
        "services must be a name or map parts to names, got 3": {"services": 3},
        "services must be a name or map parts to names, got {'battery": {"services": {"battery": 3}},
        "at_least must map machines": {"at_least": 3},
        r"'note_mw'\] must hold numbers": {"schedule": schedule.assign(note_mw="a")},
        "site must be a Site, got a Battery": {"site": BATTERY},
        "no column 'token_price'": {"prices": prices.drop(columns="token_price")},
        r"'token_price'\] is nan at 2024": {"prices": prices.assign(token_price=np.nan)},
        r"'price'\] is nan at 2024": {"prices": prices.assign(price=np.nan)},
        "neither 'price' nor 'mean'": {"prices": prices.drop(columns="price")},
        "energy_value must be a number": {"energy_value": [1.0, 2.0]},
        "terminal must be finite": {"terminal": np.nan},
        "must hold|no freq": {"schedule": schedule.drop(index=prices.index[1])},
    }.items():
        with pytest.raises(DataError, match=message):
            bid_day_ahead(**(one | more))
