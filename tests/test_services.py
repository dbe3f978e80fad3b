"""What each service earned: every $ of the ledger in one column, whatever the market's clock does."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab import backtest, ledger, mpc
from gridlab.assets import Battery, Cooling, Machine, Regulation, Site, SiteState
from gridlab.days import market_dates
from gridlab.errors import DataError
from gridlab.schema import mock_entries, mock_forecast, mock_prices, step_hours

ZONE = "America/Los_Angeles"
MINERS = Machine("miners", power_mw=0.1, count=10, output=1.0, start_cost=0.3)
OLD = Machine("old", power_mw=0.1, count=3, output=0.7)
GPUS = Machine("gpus", power_mw=0.2, count=3, output=2.0, product="token_price", service_level=0.5, stop_cost=3.0)
BATTERY = Battery(1.0, 4.0, 0.9, 0.95, degradation_cost=1.0)
SITES = {
    "all": Site(
        2.5,
        1.0,
        BATTERY,
        (MINERS, OLD, GPUS),
        Cooling(2.0, room_mwh_per_c=0.2, wall_mw_per_c=0.01),
        demand_charge=50.0,
        regulation=Regulation(0.2, reserve_hours=0.5, price=6.0),
    ),
    "no battery": Site(1.5, machines=(MINERS, GPUS), cooling=Cooling(2.0), demand_charge=50.0),
    "battery alone": Site(1.5, 1.5, BATTERY, demand_charge=20.0),
}


def history(seed: int, start: str = "2024-01-01") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three days of 2-hour intervals around a start, with negative prices and a gap, and what is believed of them."""
    rng = np.random.default_rng(seed)
    prices = mock_prices(days=4, freq="2h", start=start)[["price"]].assign(price=rng.normal(25, 40, 48).round(1))
    walks = rng.normal(0, 1, (48, 2)).cumsum(axis=0)
    prices = prices.assign(
        hash_price=9 + walks[:, 0], token_price=15 + walks[:, 1], temperature_c=rng.uniform(5, 35, 48)
    )
    forecast = mock_forecast(days=4, freq="2h", start=start).iloc[12:][["mean"]]
    forecast["mean"] = prices["price"].to_numpy()[12:] + rng.normal(0, 10, 36)
    forecast = backtest.with_last_known(forecast, prices, ["hash_price", "token_price"])
    forecast = backtest.with_last_known(forecast, prices, ["temperature_c"], same_time_of_day=True)
    prices.iloc[12 + rng.integers(36), 0] = np.nan
    return prices, forecast


def ran(site: Site, seed: int, *, start: str = "2024-01-01", market_tz: str = "UTC", policy: str = "mpc"):
    prices, forecast = history(seed, start)
    options = {"horizon": 12, "market_tz": market_tz} | ({"soc_mwh": 2.0} if site.battery else {})
    return backtest.run(mpc.POLICIES[policy](), site, prices, forecast, **options), prices


def slowly(result: backtest.Result, site: Site, prices: pd.DataFrame, market_tz: str) -> pd.DataFrame:
    """Each service by day, from the powers of the schedule and the prices alone."""
    done, hours = result.schedule, step_hours(result.schedule.index)
    price = prices["price"].reindex(done.index).fillna(0.0)
    by_time = pd.DataFrame(0.0, index=done.index, columns=[*site.products, "cooling", "energy"])
    for machine in site.machines:
        running = -done[f"{machine.name}_mw"] / machine.power_mw
        paid = prices[machine.product].reindex(done.index)
        by_time[machine.product] += machine.output * running * paid - hours * running * machine.power_mw * price
    if site.cooling is not None:
        by_time["cooling"] += hours * done["cooling_mw"] * price
    if site.battery is not None:
        by_time["energy"] += hours * done["battery_mw"] * price
    daily = by_time.groupby(market_dates(done.index, market_tz)).sum()
    daily["energy"] += ledger.statement(result.entries, "site", market_tz=market_tz)["inventory"]
    return daily


@settings(max_examples=4)
@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
@given(
    seed=st.integers(0, 10_000),
    clock=st.sampled_from([("2024-01-01", "UTC"), ("2024-03-08", ZONE), ("2024-11-01", ZONE)]),
)
def test_services_sum_to_the_days_profit_and_are_what_powers_and_prices_say(site, seed, clock):
    result, prices = ran(site, seed, start=clock[0], market_tz=clock[1])
    services = ledger.by_service(result.entries, prices, flows=result.flows, market_tz=clock[1])
    statement = ledger.statement(result.entries, market_tz=clock[1])
    assert services.index.equals(statement.index)
    assert services.index.name == "date"
    assert services.sum(axis=1).to_numpy() == pytest.approx(statement["profit"].to_numpy(), abs=1e-9)
    assert services.to_numpy().sum() == pytest.approx(result.profit, abs=1e-9)
    expected = slowly(result, site, prices, clock[1])
    costs = ["regulation", "wear", "starts", "demand"]
    assert set(services.columns) - {"cooling"} <= {*site.products, "energy", *costs}
    for name in services.columns.drop(costs):
        assert services[name].to_numpy() == pytest.approx(expected[name].to_numpy(), abs=1e-8)
    for name in expected.columns.difference(services.columns):
        assert expected[name].to_numpy() == pytest.approx(0.0, abs=1e-8)
    for cost in ("wear", "starts", "demand", "regulation"):
        assert services[cost].equals(statement[cost])


def test_a_batterys_services_are_its_trade_and_its_wear():
    prices, forecast = mock_prices(days=5), mock_forecast(days=5)
    result = backtest.run(mpc.ModelPredictive(), Battery(1, 2, degradation_cost=2.0), prices, forecast, horizon=24)
    services, statement = ledger.by_service(result.entries), ledger.statement(result.entries)
    assert list(services.columns) == ["energy", "wear"]
    assert services["energy"].equals(statement["energy"] + statement["inventory"])
    assert services.sum(axis=1).to_numpy() == pytest.approx(statement["profit"].to_numpy(), abs=1e-9)
    assert (services["wear"] < 0).any()


def test_without_a_battery_nothing_is_left_to_energy_and_without_flows_the_cooling_is():
    result, prices = ran(SITES["no battery"], 1)
    known = ledger.by_service(result.entries, prices, flows=result.flows)
    assert known["energy"].abs().max() < 1e-9
    unknown = ledger.by_service(result.entries, prices)
    assert unknown["energy"].to_numpy() == pytest.approx(known["cooling"].to_numpy(), abs=1e-9)
    assert (unknown["cooling"] == 0).all()


def test_machines_fed_by_the_battery_buy_at_the_market_and_the_battery_sells_to_them():
    times = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC", name="time")
    site = Site(1.0, 0.0, Battery(1, 1, 1, 1), (Machine("miners", 0.5, 2, output=1.0),))
    done = pd.DataFrame(
        {"miners_mw": [0.0, -1.0], "battery_mw": [-1.0, 1.0], "grid_mw": [-1.0, 0.0], "soc_mwh": [1.0, 0.0]},
        index=times,
    )
    prices = pd.DataFrame({"price": [10.0, 50.0], "hash_price": 35.0}, index=times)
    entries = ledger.post_site(done, site, prices, soc_mwh=0.0)
    services = ledger.by_service(entries, prices)
    assert services[["hash_price", "energy"]].values.tolist() == [[70.0 - 50.0, 50.0 - 10.0]]
    with pytest.raises(DataError, match=r"drew energy at 2024-01-01 01:00:00.*where no price is known"):
        ledger.by_service(entries)


@settings(max_examples=3)
@given(seed=st.integers(0, 10_000))
def test_the_ledgers_own_prices_are_those_it_was_settled_at(seed):
    result, prices = ran(SITES["no battery"], seed)
    services = ledger.by_service(result.entries, prices)
    assert np.allclose(ledger.by_service(result.entries), services, atol=1e-8)
    assert np.allclose(ledger.by_service(result.entries, result.schedule), services, atol=1e-12)


def test_a_months_demand_charge_spread_over_its_days_gives_the_backtests_daily_profit():
    result, prices = ran(SITES["battery alone"], 2, start="2024-01-29", policy="threshold")
    spread = ledger.by_service(result.entries, prices, demand="spread")
    booked = ledger.by_service(result.entries, prices)
    months = spread.index.to_period("M")
    assert (booked["demand"] == 0).any()
    assert not (spread["demand"] == 0).any()
    assert spread["demand"].groupby(months).sum().to_numpy() == pytest.approx(booked["demand"].groupby(months).sum())
    profit = backtest.daily_profit({"run": result})["run"]
    assert spread.sum(axis=1).reindex(profit.index).to_numpy() == pytest.approx(profit.to_numpy(), abs=1e-9)


def drawing(powers: np.ndarray, *, start: str, peak_mw: float = 0.0, market_tz: str = "UTC") -> pd.DataFrame:
    """Entries of a site that draws these powers in 6-hour intervals, after a month's earlier peak."""
    times = pd.date_range(pd.Timestamp(start, tz=market_tz).tz_convert("UTC"), periods=len(powers), freq="6h")
    done = pd.DataFrame({"grid_mw": 0.0 - powers, "soc_mwh": 0.0}, index=times.rename("time"))
    prices = pd.DataFrame({"price": 20.0}, index=done.index)
    return ledger.post_site(
        done, Site(9.0, 9.0, demand_charge=40.0), prices, state=SiteState(peak_mw=peak_mw), market_tz=market_tz
    )


def accrued_slowly(powers: np.ndarray, dates: pd.DatetimeIndex, peak_mw: float) -> pd.Series:
    """Day by day: 40 $ for each MW by which the day passes the greatest of the month so far."""
    charge, so_far, month = pd.Series(0.0, index=dates.unique()), peak_mw, dates[0].month
    for date in charge.index:
        if date.month != month:
            so_far, month = 0.0, date.month
        most = max(so_far, powers[dates == date].max())
        charge[date], so_far = -40.0 * (most - so_far), most
    return charge


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    peak_mw=st.sampled_from([0.0, 1.5, 20.0]),
    market_tz=st.sampled_from(["UTC", ZONE]),
)
def test_an_accrued_demand_charge_is_what_each_day_adds_to_the_peak_so_far(seed, peak_mw, market_tz):
    rng = np.random.default_rng(seed)
    powers = rng.normal(1, 1.5, 45 * 4).clip(-5, 5)
    entries = drawing(powers, start="2024-01-25", peak_mw=peak_mw, market_tz=market_tz)
    dates = market_dates(pd.date_range(pd.Timestamp("2024-01-25", tz=market_tz), periods=180, freq="6h"), market_tz)
    booked = ledger.by_service(entries, market_tz=market_tz)["demand"]
    accrued = ledger.by_service(entries, demand="accrued", market_tz=market_tz)["demand"]
    months = accrued.index.to_period("M")
    assert accrued.groupby(months).sum().to_numpy() == pytest.approx(booked.groupby(months).sum().to_numpy())
    assert accrued.to_numpy() == pytest.approx(accrued_slowly(powers, dates, peak_mw).to_numpy(), abs=1e-9)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 39))
def test_what_a_day_accrues_does_not_depend_on_the_days_after_it(seed, cut):
    rng = np.random.default_rng(seed)
    powers = rng.uniform(0.1, 4, 40 * 4)
    other = np.concatenate([powers[: 4 * cut], rng.uniform(0.1, 9, (40 - cut) * 4)])
    known = [
        ledger.by_service(drawing(each, start="2024-02-10"), demand="accrued")["demand"].to_numpy()
        for each in (powers, other)
    ]
    assert known[0][:cut] == pytest.approx(known[1][:cut], abs=1e-9)
    spread = [
        ledger.by_service(drawing(each, start="2024-02-10"), demand="spread")["demand"].to_numpy()
        for each in (powers, 2 * powers)
    ]
    assert (spread[0] != spread[1]).all()


def test_a_first_month_with_an_earlier_peak_and_no_month_after_it_still_sums_to_what_is_posted():
    powers = np.repeat([1.0, 3.0, 2.0, 4.0], 4)
    accrued = ledger.by_service(drawing(powers, start="2024-01-05", peak_mw=2.0), demand="accrued")["demand"]
    assert accrued.tolist() == pytest.approx([-20.0, -40.0, 0.0, -20.0])  # 80 $ in all, by rises of 1, 2 and 1 MW
    sold = ledger.by_service(drawing(0.0 - powers, start="2024-01-05"), demand="accrued")["demand"]
    assert (sold == 0).all()


@settings(max_examples=3)
@given(seed=st.integers(0, 10_000))
def test_returns_times_power_are_the_days_profit(seed):
    result, prices = ran(SITES["all"], seed)
    services = ledger.by_service(result.entries, prices, flows=result.flows)
    power = {"hash_price": 1.3, "token_price": 0.6, "energy": 0.8, "regulation": 0.2}
    returns = ledger.service_returns(services, power)
    assert list(returns.columns) == list(power)
    profit = ledger.statement(result.entries)["profit"].to_numpy()
    assert (returns * pd.Series(power)).sum(axis=1).to_numpy() == pytest.approx(profit, abs=1e-9)
    assert returns["regulation"].to_numpy() == pytest.approx((services["regulation"] / 0.2).to_numpy())
    moved = ledger.service_returns(
        services, power, borne_by={"demand": ["hash_price"], "wear": ["regulation", "energy"]}
    )
    assert (moved * pd.Series(power)).sum(axis=1).to_numpy() == pytest.approx(profit, abs=1e-9)
    one = ledger.service_returns(services, power, borne_by={"demand": "hash_price", "wear": ("regulation", "energy")})
    pd.testing.assert_frame_equal(one, moved)
    assert moved["regulation"].to_numpy() == pytest.approx((services["regulation"] / 0.2 + services["wear"]).to_numpy())


def test_what_has_no_answer_is_refused():
    result, prices = ran(SITES["no battery"], 3)
    with pytest.raises(DataError, match=r"prices say.*give the prices of the run"):
        ledger.by_service(result.entries, prices + 1)
    with pytest.raises(DataError, match="prices say nan"):
        ledger.by_service(result.entries, prices.iloc[:-30])
    with pytest.raises(DataError, match="no column 'price'"):
        ledger.by_service(result.entries, prices[["hash_price"]])
    with pytest.raises(DataError, match="entries has no column 'account'"):
        ledger.by_service(result.entries.drop(columns="account"))
    renamed = result.entries.replace({"counter_account": {"hash_price": "energy"}})
    with pytest.raises(DataError, match="a product is named 'energy'"):
        ledger.by_service(renamed, prices)
    services = ledger.by_service(result.entries, prices, flows=result.flows)
    power = {"hash_price": 1.0, "token_price": 1.0}
    ledger.service_returns(services, power)
    with pytest.raises(DataError, match="services must be finite"):
        ledger.service_returns(services * np.nan, power)
    with pytest.raises(DataError, match="there is no service 'fcr'"):
        ledger.service_returns(services, power | {"fcr": 1.0})
    with pytest.raises(DataError, match="power_mw of hash_price must be positive and finite, got 0"):
        ledger.service_returns(services, power | {"hash_price": 0.0})
    with pytest.raises(DataError, match="'token_price' is not zero and nothing bears it"):
        ledger.service_returns(services, {"hash_price": 1.0})
    with pytest.raises(DataError, match="'fcr' is to bear 'demand' and has no power_mw"):
        ledger.service_returns(services, power, borne_by={"demand": ["fcr"]})
    with pytest.raises(
        DataError, match=r"borne_by names 'demands', which is no cost \(they are energy, regulation, wear"
    ):
        ledger.service_returns(services, power, borne_by={"demands": ["hash_price"]})
    with pytest.raises(DataError, match="borne_by names 'token_price', which is no cost"):
        ledger.service_returns(services, power, borne_by={"token_price": ["hash_price"]})
    with pytest.raises(DataError, match="'demand' is to be borne twice by one of hash_price, hash_price"):
        ledger.service_returns(services, power, borne_by={"demand": ["hash_price", "hash_price"]})
    with pytest.raises(DataError, match="there is no time zone 'Mars'"):
        ledger.by_service(result.entries, prices, market_tz="Mars")
    with pytest.raises(DataError, match="there is no time zone 'Mars'"):
        ledger.by_time_of_day(result.entries, market_tz="Mars")
    with pytest.raises(DataError, match="demand must be 'posted', 'spread' or 'accrued', got True"):
        ledger.by_service(result.entries, prices, demand=True)


@pytest.mark.parametrize("block_hours", [1, 4, 24])
def test_parts_of_the_day_sum_to_the_statement_on_days_of_23_and_25_hours_too(block_hours):
    for first in ("2024-03-30", "2024-10-26"):
        prices = mock_prices(days=4, start=first)
        result = backtest.run(mpc.PerfectForesight(), Battery(1, 2), prices, horizon=24, market_tz="Europe/Oslo")
        parts = ledger.by_time_of_day(result.entries, block_hours=block_hours, market_tz="Europe/Oslo")
        whole = ledger.statement(result.entries, market_tz="Europe/Oslo")["profit"]
        pd.testing.assert_series_equal(parts.sum(axis=1), whole, check_names=False, atol=1e-9)
        assert sum("-" in name for name in parts.columns) == 24 // block_hours


@pytest.mark.parametrize("block_hours", [0, 5, -4])
def test_parts_that_do_not_divide_the_day_are_refused(block_hours):
    with pytest.raises(DataError, match=f"divide 24, as 4 or 6 do, got {block_hours}"):
        ledger.by_time_of_day(mock_entries(days=1), block_hours=block_hours)
