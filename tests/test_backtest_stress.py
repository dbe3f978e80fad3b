"""Runs under a shock that no plan knows of: nothing changes before it, and after it only what the price does."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab import backtest, ledger, mpc
from gridlab.assets import Battery, Cooling, Machine, Site
from gridlab.backtest import Shock, run_stressed
from gridlab.errors import DataError
from gridlab.risk.stressing import reverse_stress, stress_table
from gridlab.schema import mock_forecast, mock_prices

BATTERY = Battery(1.0, 4.0, 0.9, 0.95, degradation_cost=1.0)
SITE = Site(
    1.5, 0.5, BATTERY, (Machine("miners", 0.1, 10, output=1.0),), Cooling(2.0, room_mwh_per_c=0.2), demand_charge=20.0
)
POLICIES = ("idle", "threshold", "day_ahead", "mpc", "perfect_foresight")
ASSETS = pytest.mark.parametrize("asset", [BATTERY, SITE], ids=["battery", "site"])


def history(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three days of 2-hour intervals with a gap, and what is believed of them."""
    rng = np.random.default_rng(seed)
    prices = mock_prices(days=4, freq="2h", rng=rng)[["price"]].assign(price=rng.normal(25, 30, 48).round(1))
    prices = prices.assign(hash_price=6 + rng.normal(0, 1, 48).cumsum(), temperature_c=rng.uniform(5, 30, 48))
    forecast = mock_forecast(days=4, freq="2h").iloc[12:][["mean"]]
    forecast["mean"] = prices["price"].to_numpy()[12:] + rng.normal(0, 15, 36)
    forecast = backtest.with_last_known(forecast, prices, ["hash_price"])
    forecast = backtest.with_last_known(forecast, prices, ["temperature_c"], same_time_of_day=True)
    prices.iloc[12 + rng.integers(36), 0] = np.nan
    return prices, forecast


def stressed(name: str, asset: Battery | Site, seed: int, shocks: list[Shock]) -> dict[str, backtest.Result]:
    prices, forecast = history(seed)
    return run_stressed(mpc.POLICIES[name](), asset, prices, forecast, shocks, horizon=12, soc_mwh=2.0)


def traded_time(seed: int, place: int) -> pd.Timestamp:
    """A time of the run that has a price."""
    prices, _ = history(seed)
    return prices["price"].iloc[12:].dropna().index[place % 35]


@ASSETS
@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=2)
@given(seed=st.integers(0, 10_000), place=st.integers(0, 34))
def test_a_shock_of_no_effect_gives_the_same_run(asset, name, seed, place):
    at = traded_time(seed, place)
    nothing = [Shock("spike", "spike", at, 1.0), Shock("jump", "hash_jump", at, 1.0)]
    results = stressed(name, asset, seed, nothing)
    prices, forecast = history(seed)
    base = backtest.run(mpc.POLICIES[name](), asset, prices, forecast, horizon=12, soc_mwh=2.0)
    assert list(results) == ["base", "spike", "jump"]
    for result in results.values():
        assert result.schedule.equals(base.schedule)
        assert result.flows.equals(base.flows)
        assert result.entries.equals(base.entries)
        assert result.profit == base.profit


@ASSETS
@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=2)
@given(seed=st.integers(0, 10_000), place=st.integers(1, 34))
def test_what_was_done_before_a_shock_and_what_was_planned_after_it_do_not_know_of_it(asset, name, seed, place):
    at = traded_time(seed, place)
    results = stressed(name, asset, seed, [Shock("week", "scarcity", at, 500.0), Shock("sun", "crash", at, 90.0, 2)])
    done = {name: result.schedule.drop(columns="price") for name, result in results.items()}
    for shock in ("week", "sun"):
        assert done[shock].loc[: at - pd.Timedelta("1ns")].equals(done["base"].loc[: at - pd.Timedelta("1ns")])
        assert done[shock].equals(done["base"])  # nothing is shed for a price of energy
        assert not results[shock].schedule["price"].equals(results["base"].schedule["price"])


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000), place=st.integers(0, 34), size=st.floats(1, 1000))
def test_an_adder_costs_what_the_meter_drew_and_the_ledger_still_sums_to_zero(seed, place, size):
    at = traded_time(seed, place)
    results = stressed("mpc", SITE, seed, [Shock("adder", "scarcity", at, size, duration=6)])
    base, shocked = results["base"], results["adder"]
    hit = (
        base.schedule["price"].notna()
        & (base.schedule.index >= at)
        & (np.arange(36) < 6 + base.schedule.index.get_loc(at))
    )
    sold = 2 * base.schedule["grid_mw"].where(hit, 0.0).sum()
    cash = [ledger.statement(result.entries)["energy"].sum() for result in (base, shocked)]
    assert cash[1] - cash[0] == pytest.approx(size * sold, abs=1e-6)
    assert shocked.entries["amount"].sum() == pytest.approx(0, abs=1e-6)


def test_a_spike_is_a_multiple_of_the_median_price_and_reaches_no_further_than_it_lasts():
    prices = mock_prices(days=2)
    shocked = Shock("evening", "spike", "2024-01-02 18:00", size=100.0, duration=2).put_on(prices)
    change = shocked["price"] - prices["price"]
    assert change.iloc[42:44].to_numpy() == pytest.approx(99 * prices["price"].abs().median())
    assert (change.drop(change.index[42:44]) == 0).all()
    assert shocked["load_forecast"].equals(prices["load_forecast"])
    local = pd.Timestamp("2024-01-02 10:00", tz="America/Los_Angeles")
    assert Shock("evening", "spike", local, size=100.0, duration=2).put_on(prices).equals(shocked)


@dataclass(frozen=True)
class Holding:
    """Buys on the first evening, holds, and sells in the last hours."""

    sees: str = "prices"

    def __call__(self, state, forecast):
        power = np.zeros(len(forecast))
        power[20:24], power[-4:] = -1.0, 1.0
        return pd.DataFrame({"battery_mw": power, "soc_mwh": 0.0}, index=forecast.index)


def days_under(asset: Battery | Site, *shocks: Shock) -> tuple[dict[str, backtest.Result], pd.DataFrame]:
    prices = mock_prices(days=6)[["price"]].assign(price=30.0)
    results = run_stressed(Holding(), asset, prices, None, shocks, horizon=144, soc_mwh=0.0)
    profit = {name: ledger.statement(result.entries)["profit"] for name, result in results.items()}
    return results, pd.DataFrame(profit).fillna(0.0)


HOLDERS = pytest.mark.parametrize(
    "asset", [Battery(1, 4, 1, 1), Site(1.0, 1.0, Battery(1, 4, 1, 1))], ids=["battery", "site"]
)


@HOLDERS
def test_a_shock_while_nothing_is_traded_changes_no_days_profit_and_breaks_no_limit(asset):
    _, profit = days_under(
        asset,
        Shock("spike", "spike", "2024-01-03 10:00", 100.0, duration=3),
        Shock("sun", "crash", "2024-01-01 03:00", 900.0, duration=10),
    )
    assert profit["spike"].tolist() == profit["sun"].tolist() == profit["base"].tolist()
    table = stress_table(profit["base"], {"spike": profit["spike"], "sun": profit["sun"]}, limit=100.0)
    assert not table["breach"].any()


@HOLDERS
def test_a_shock_is_felt_on_the_day_on_which_it_trades_and_the_sum_is_that_of_its_own_prices(asset):
    sun = Shock("sun", "crash", "2024-01-06 20:00", 50.0, duration=4)
    short = Shock("short", "scarcity", "2024-01-01 20:00", 70.0, duration=4)
    results, profit = days_under(asset, sun, short)
    assert (profit["sun"] - profit["base"]).tolist() == [0.0] * 5 + [4 * (-50.0 - 30.0)]
    assert (profit["short"] - profit["base"]).tolist() == [-4 * 70.0] + [0.0] * 5
    shocked = sun.put_on(mock_prices(days=6)[["price"]].assign(price=30.0))
    alone = backtest.run(Holding(), asset, shocked, horizon=144, soc_mwh=0.0)
    assert results["sun"].profit == pytest.approx(alone.profit)
    assert results["sun"].entries["amount"].sum() == 0.0
    assert results["sun"].entries.attrs == alone.entries.attrs


def test_the_column_of_a_shock_is_that_of_its_kind_unless_it_is_named():
    prices = mock_prices(days=1)[["price"]].assign(hash_price=6.0, token_price=2.0)
    halved = Shock("halving", "hash_jump", "2024-01-01 12:00", 0.5).put_on(prices)
    assert halved["price"].equals(prices["price"])
    assert halved["hash_price"].tolist() == [6.0] * 12 + [3.0] * 12
    tokens = Shock("tokens", "hash_jump", "2024-01-01 12:00", 0.5, column="token_price").put_on(prices)
    assert tokens["token_price"].iloc[-1] == 1.0
    assert tokens["hash_price"].equals(prices["hash_price"])
    with pytest.raises(DataError, match="'halving' is put on 'hash_price' and the prices have price"):
        Shock("halving", "hash_jump", "2024-01-01 12:00", 0.5).put_on(prices[["price"]])


def test_perfect_foresight_does_not_foresee_the_shock():
    prices = mock_prices(days=4)
    evening = Shock("evening", "spike", "2024-01-02 03:00", size=50.0)
    results = run_stressed(mpc.PerfectForesight(), BATTERY, prices, None, [evening], horizon=24)
    aware = backtest.run(mpc.PerfectForesight(), BATTERY, evening.put_on(prices), horizon=24)
    assert results["evening"].profit < aware.profit - 100


def test_a_policy_of_ones_own_runs_under_stress_whatever_it_sees():
    class Cheap:
        def __init__(self, sees):
            self.sees = sees

        def __call__(self, state, forecast):
            power = np.where(forecast["mean"].rank() <= 2, -0.5, 0.0)
            power[forecast["mean"].rank() > len(forecast) - 2] = 0.4
            return pd.DataFrame({"battery_mw": power, "soc_mwh": 0.0}, index=forecast.index)

    prices, forecast = mock_prices(days=1), mock_forecast(days=1)
    for sees in ("forecast", "prices"):
        evening = Shock("evening", "spike", "2024-01-01 03:00", size=50.0)
        results = run_stressed(Cheap(sees), Battery(1, 4, 0.8, 1), prices, forecast, [evening], horizon=24, soc_mwh=0.0)
        done = [result.schedule["battery_mw"] for result in results.values()]
        assert done[0].equals(done[1])


def test_services_and_stress_tables_read_off_what_a_shock_did_and_the_multiple_that_breaks_a_limit():
    prices, forecast = history(6)
    at = traded_time(6, 20)
    runs = {
        size: run_stressed(
            mpc.POLICIES["mpc"](),
            SITE,
            prices,
            forecast,
            [
                Shock("adder", "scarcity", at, size, duration=6),
                Shock("halving", "hash_jump", at, 0.5),
            ],
            horizon=12,
            soc_mwh=2.0,
        )
        for size in (100.0, 300.0)
    }
    services = {
        name: ledger.by_service(result.entries, result.schedule, flows=result.flows)
        for name, result in runs[100.0].items()
    }
    table = stress_table(services["base"], {name: services[name] for name in ("adder", "halving")}, limit=50.0)
    assert table.loc["adder", "change"] == pytest.approx(runs[100.0]["adder"].profit - runs[100.0]["base"].profit)
    assert table.loc["halving", "energy"] == pytest.approx(0.0, abs=1e-9)
    assert table.loc["halving", "hash_price"] == pytest.approx(table.loc["halving", "change"])
    assert table.loc["halving", "change"] < 0
    base, once = -runs[100.0]["base"].profit, -runs[100.0]["adder"].profit
    thrice = -runs[300.0]["adder"].profit
    assert base < once
    assert reverse_stress(base, once, thrice) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("shocks", "said"),
    [
        ([Shock("base", "spike", "2024-01-02", 2.0)], "each shock needs a name of its own"),
        ([Shock("one", "spike", "2024-01-02", 2.0)] * 2, "each shock needs a name of its own"),
        ([Shock("one", "spyke", "2024-01-02", 2.0)], "there is no shock 'spyke', did you mean 'spike'"),
        ([Shock("one", "spike", "2024-01-02 00:30", 2.0)], "which is no interval of the prices"),
        ([Shock("one", "spike", "2024-01-01 02:00", 2.0)], "trades nothing"),
        ([Shock("one", "spike", "2024-01-02 02:00", 2.0, column="token_price")], "put on 'token_price'"),
        ([Shock("one", "spike", "2024-01-02 02:00", 0.0)], "size must be positive"),
        ([Shock("one", "spike", "2024-01-02 02:00", 2.0, duration=0)], "duration must be at least 1"),
    ],
)
def test_a_shock_that_cannot_be_is_refused(shocks, said):
    prices, forecast = mock_prices(days=3, freq="2h"), mock_forecast(days=3, freq="2h").iloc[12:]
    with pytest.raises(DataError, match=said):
        run_stressed(mpc.Idle(), BATTERY, prices, forecast, shocks, horizon=12)
