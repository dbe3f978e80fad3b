"""Runs of a site: conservation, no look-ahead, the bound of perfect foresight, and the battery that a site may be."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab import backtest, ledger, mpc
from gridlab.assets import Battery, Cooling, Machine, Regulation, Site
from gridlab.errors import DataError
from gridlab.schema import mock_forecast, mock_prices, validate

OF_SITES = ("idle", "threshold", "day_ahead", "mpc", "perfect_foresight")
MINERS = Machine("miners", power_mw=0.1, count=10, output=1.0)
GPUS = Machine("gpus", power_mw=0.2, count=3, output=2.0, product="token_price", service_level=0.5, stop_cost=3.0)
BATTERY = Battery(1.0, 8.0, 0.9, 0.95, degradation_cost=1.0)
SITE = Site(1.5, 0.5, BATTERY, (MINERS, GPUS), demand_charge=50.0)
COOLED = Site(1.5, 0.0, None, (MINERS, GPUS), Cooling(2.0, room_mwh_per_c=0.2, wall_mw_per_c=0.01))


def history(seed: int, *, gap: bool = True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four days of six intervals, with forecasts that are poor and the rest as it was last known."""
    rng = np.random.default_rng(seed)
    prices = mock_prices(days=5, freq="4h", rng=rng)[["price"]].assign(price=rng.normal(25, 30, 30).round(1))
    walks = rng.normal(0, 1, (30, 2)).cumsum(axis=0)
    prices = prices.assign(
        hash_price=12 + walks[:, 0], token_price=20 + walks[:, 1], temperature_c=rng.uniform(5, 35, 30)
    )
    forecast = mock_forecast(days=5, freq="4h").iloc[6:][["mean"]]
    forecast["mean"] = prices["price"].to_numpy()[6:] + rng.normal(0, 20, 24).round(1)
    forecast = backtest.with_last_known(forecast, prices, ["hash_price", "token_price"])
    forecast = backtest.with_last_known(forecast, prices, ["temperature_c"], same_time_of_day=True)
    if gap:
        prices.iloc[6 + rng.integers(24), 0] = np.nan
    return prices, forecast


def ran(name: str, site: Site, prices: pd.DataFrame, forecast: pd.DataFrame) -> backtest.Result:
    return backtest.run(mpc.POLICIES[name](), site, prices, forecast, horizon=6)


@settings(max_examples=6)
@pytest.mark.parametrize("site", [SITE, COOLED], ids=["battery", "cooling"])
@pytest.mark.parametrize("name", OF_SITES)
@given(seed=st.integers(0, 10_000))
def test_energy_and_money_are_conserved_and_limits_are_kept(name, site, seed):
    prices, forecast = history(seed)
    result = ran(name, site, prices, forecast)
    assert validate(result.flows, "flows").groupby("time")["energy_mwh"].sum().abs().max() < 1e-9
    assert abs(validate(result.entries, "entries")["amount"].sum()) < 1e-6
    schedule = validate(result.schedule, "schedule")
    powers = schedule[[name for name in schedule.columns if name.endswith("_mw") and name != "grid_mw"]]
    assert schedule["grid_mw"].to_numpy() == pytest.approx(powers.sum(axis=1).to_numpy(), abs=1e-9)
    assert schedule["grid_mw"].min() >= -site.import_limit_mw - 1e-5
    assert schedule["grid_mw"].max() <= site.export_limit_mw + 1e-5
    assert (schedule.loc[prices["price"].reindex(schedule.index).isna(), "grid_mw"] == 0).all()
    slowly = 4 * schedule["grid_mw"] @ prices["price"].reindex(schedule.index).fillna(0)
    assert ledger.statement(result.entries, "site")["energy"].sum() == pytest.approx(slowly)
    made = 0.0
    for machine in site.machines:
        assert schedule[f"{machine.name}_mw"].between(-machine.greatest_mw - 1e-9, 0).all()
        running = -schedule[f"{machine.name}_mw"] / machine.power_mw
        made += machine.output * running @ prices[machine.product].reindex(schedule.index)
    assert ledger.statement(result.entries, "site")["output"].sum() == pytest.approx(made)
    assert result.profit == pytest.approx(ledger.statement(result.entries, "site")["profit"].sum())


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_perfect_foresight_of_a_site_is_never_beaten(seed):
    prices, forecast = history(seed, gap=False)
    site = Site(1.5, 0.5, BATTERY, (MINERS,), demand_charge=50.0)
    best = ran("perfect_foresight", site, prices, forecast).profit
    assert best > 0
    for name in OF_SITES[:-1]:
        result = ran(name, site, prices, forecast)
        assert result.profit <= best + 1e-5 * max(1, best)


@pytest.mark.parametrize("kind", [{"min_run_hours": 12.0}, {"ramp_mw_per_hour": 0.05}])
def test_no_rule_gains_by_asking_of_machines_what_they_cannot_do(kind):
    times = pd.date_range("2024-01-01", periods=36, freq="4h", tz="UTC", name="time")
    prices = pd.DataFrame({"price": np.where(np.arange(36) % 2, 80.0, 20.0), "hash_price": 16.0}, index=times)
    origin = pd.DatetimeIndex(times.normalize(), name="origin")
    believed = pd.DataFrame(
        {"mean": prices["price"].to_numpy(), "hash_price": 16.0}, index=pd.MultiIndex.from_arrays([origin, times])
    )
    site = Site(3.0, machines=(Machine("miners", power_mw=0.1, count=10, output=1.0, **kind),))
    best, rule = (ran(name, site, prices, believed) for name in ("perfect_foresight", "threshold"))
    assert rule.profit <= best.profit + 1e-6
    change = np.diff(-rule.schedule["miners_mw"], prepend=0.0)
    if "ramp_mw_per_hour" in kind:
        assert np.abs(change).max() <= 0.2 + 1e-9
    else:
        running = -rule.schedule["miners_mw"].to_numpy()
        starts = np.maximum(change, 0.0)
        assert all(running[t] >= starts[max(0, t - 2) : t + 1].sum() - 1e-9 for t in range(36))


@pytest.mark.parametrize("export_limit_mw", [0.0, 1.5])
def test_an_award_is_paid_only_where_the_meter_could_deliver_it(export_limit_mw):
    prices, forecast = history(3, gap=False)
    site = Site(1.5, export_limit_mw, BATTERY, regulation=Regulation(0.5, reserve_hours=2.0, price=4.0))
    rested = ran("idle", site, prices, forecast)
    paid = ledger.statement(rested.entries, "site")["regulation"].sum()
    assert paid == pytest.approx(24 * 4 * 0.5 * 4.0 if export_limit_mw else 0.0)


def test_energy_hoarded_by_the_end_is_worth_no_more_than_the_least_price():
    times = pd.date_range("2024-01-01", periods=48, freq="1h", tz="UTC", name="time")
    prices = pd.DataFrame({"price": [95.0] * 24 + [90.0] * 12 + [10.0] * 12}, index=times)
    site = Site(3.0, 3.0, Battery(1, 2, 1, 1))

    class Hoarder:
        sees = "prices"

        def __call__(self, state, forecast):
            power = -(forecast["mean"] < 30).astype(float)
            return pd.DataFrame({"battery_mw": power, "soc_mwh": 0.0}, index=forecast.index)

    hoarded = backtest.run(Hoarder(), site, prices, horizon=48)
    best = backtest.run(mpc.PerfectForesight(), site, prices, horizon=48)
    assert hoarded.profit <= best.profit + 1e-9
    assert abs(hoarded.entries["amount"].sum()) < 1e-9


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 23))
def test_what_a_site_does_before_a_time_does_not_depend_on_what_comes_after(seed, cut):
    prices, forecast = history(seed, gap=False)
    noisy = prices.copy()
    noisy.iloc[6 + cut :] += np.random.default_rng(seed + 1).normal(0, 50, (24 - cut, 4))
    for name in OF_SITES[:-1]:
        one, two = (ran(name, SITE, table, forecast).schedule.iloc[:cut] for table in (prices, noisy))
        assert one.drop(columns="price").equals(two.drop(columns="price"))


@settings(max_examples=10)
@pytest.mark.parametrize("name", ["threshold", "day_ahead", "mpc", "perfect_foresight"])
@given(seed=st.integers(0, 10_000))
def test_a_site_with_nothing_but_a_battery_is_the_battery(name, seed):
    prices, forecast = history(seed)
    site = Site(BATTERY.power_mw, BATTERY.power_mw, BATTERY)
    alone = backtest.run(mpc.POLICIES[name](), BATTERY, prices, forecast, horizon=6)
    behind = ran(name, site, prices, forecast)
    assert behind.profit == pytest.approx(alone.profit, abs=1e-5)


def test_a_site_that_keeps_an_award_holds_its_reserve_and_is_paid():
    prices, forecast = history(3, gap=False)
    site = Site(1.5, 1.5, BATTERY, regulation=Regulation(0.5, reserve_hours=2.0, price=4.0))
    result = ran("mpc", site, prices, forecast)
    reserve = 0.5 * 2.0
    assert result.schedule["soc_mwh"].min() >= reserve / BATTERY.eta_discharge - 1e-6
    assert result.schedule["soc_mwh"].max() <= BATTERY.energy_mwh - reserve * BATTERY.eta_charge + 1e-6
    assert result.schedule["battery_mw"].abs().max() <= 0.5 + 1e-6
    assert ledger.statement(result.entries, "site")["regulation"].sum() == pytest.approx(24 * 4 * 0.5 * 4.0)


def test_an_award_that_is_not_kept_is_not_paid():
    prices, forecast = history(3, gap=False)
    site = Site(1.5, 1.5, BATTERY, regulation=Regulation(0.5, reserve_hours=2.0, price=4.0))
    empty = backtest.run(mpc.Idle(), site, prices, forecast, horizon=6, soc_mwh=0.0)
    assert ledger.statement(empty.entries, "site")["regulation"].sum() == 0


def test_strategies_of_a_site_are_compared_by_what_it_may_draw():
    prices, forecast = history(5, gap=False)
    results = {name: ran(name, SITE, prices, forecast) for name in ("idle", "mpc", "perfect_foresight")}
    table = backtest.compare(results, asset=SITE, rng=np.random.default_rng(0))
    profit = backtest.daily_profit(results).sum()
    assert table["profit_per_mw_year"].to_numpy() == pytest.approx((profit / 4 * 365 / 1.5).to_numpy())
    assert table.loc["idle", "cycles_per_day"] == 0
    nothing = {"idle": ran("idle", COOLED, prices, forecast)}
    assert backtest.compare(nothing, asset=COOLED, benchmark="idle", rng=np.random.default_rng(0))["days"].item() == 4


def test_what_a_site_lacks_is_named():
    prices, forecast = history(1)
    with pytest.raises(DataError, match="hash_price"):
        ran("mpc", SITE, prices, forecast.drop(columns="hash_price"))
    with pytest.raises(DataError, match="plans a battery alone, got a site"):
        ran("value", SITE, prices, forecast)
    with pytest.raises(DataError, match="no column 'hash_price'"):
        backtest.with_last_known(forecast, prices.drop(columns="hash_price"), ["hash_price"])
    with pytest.raises(DataError, match="nothing is known of price before"):
        backtest.with_last_known(mock_forecast(days=1), mock_prices(days=1), ["price"])


def test_the_last_known_value_is_that_before_the_origin_or_of_the_same_time_of_day():
    prices, forecast = mock_prices(days=3).assign(hash_price=np.arange(72.0)), mock_forecast(days=3).iloc[24:]
    flat = backtest.with_last_known(forecast, prices, ["hash_price"])["hash_price"]
    daily = backtest.with_last_known(forecast, prices, ["hash_price"], same_time_of_day=True)["hash_price"]
    assert flat.tolist() == [23.0] * 24 + [47.0] * 24
    assert daily.tolist() == list(range(48))
