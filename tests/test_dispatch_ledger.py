"""Dispatch and ledger: energy and money are conserved."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab import ledger
from gridlab.assets import Battery
from gridlab.dispatch import dispatch
from gridlab.errors import DataError
from gridlab.schema import mock_bids, mock_entries, mock_flows, mock_prices, mock_times, validate

powers = st.lists(st.floats(-3, 3), min_size=24, max_size=24)
batteries = st.builds(
    Battery,
    power_mw=st.sampled_from([0.5, 1.0, 2.0]),
    energy_mwh=st.sampled_from([1.0, 4.0]),
    eta_charge=st.sampled_from([0.8, 0.95, 1.0]),
    eta_discharge=st.sampled_from([0.7, 1.0]),
    soc_min=st.sampled_from([0.0, 0.1]),
    soc_max=st.sampled_from([0.9, 1.0]),
)


def awards_of(powers: list[float], freq: str = "1h") -> tuple[pd.DataFrame, pd.DatetimeIndex]:
    times = mock_times(1, freq=freq)[: len(powers)]
    return mock_bids(len(powers)).assign(time=times, quantity_mw=powers), times


def meters_of(flows: pd.DataFrame) -> pd.DataFrame:
    return flows.pivot_table(index="time", columns="meter", values="energy_mwh")


@given(powers, batteries)
def test_whatever_is_awarded_energy_is_conserved_and_the_limits_hold(powers, battery):
    awards, times = awards_of(powers, "30min")
    done = dispatch(awards, battery, soc_mwh=battery.soc_low_mwh, times=times)
    meters = meters_of(validate(done.flows, "flows"))
    assert meters.sum(axis=1).abs().max() < 1e-9
    assert meters["loss"].min() > -1e-12
    soc = np.r_[battery.soc_low_mwh, done.schedule["soc_mwh"]]
    assert np.diff(soc) == pytest.approx(meters["battery"].to_numpy(), abs=1e-9)
    assert soc.min() >= battery.soc_low_mwh
    assert soc.max() <= battery.soc_high_mwh
    assert done.schedule["battery_mw"].abs().max() <= battery.power_mw


@given(powers, batteries)
def test_the_store_follows_the_split_efficiencies(powers, battery):
    awards, times = awards_of(powers)
    done = dispatch(awards, battery, soc_mwh=battery.soc_low_mwh, times=times)
    soc = battery.soc_low_mwh
    for power, after in done.schedule.to_numpy():
        soc += -power * battery.eta_charge if power < 0 else -power / battery.eta_discharge
        assert after == pytest.approx(soc, abs=1e-9)


@given(powers, batteries)
def test_what_is_clipped_is_what_was_awarded_and_not_done(powers, battery):
    awards, times = awards_of(powers)
    done = dispatch(awards, battery, soc_mwh=battery.soc_low_mwh, times=times)
    missed = awards["quantity_mw"].to_numpy() - done.schedule["battery_mw"].to_numpy()
    assert done.clipped_mwh == pytest.approx(np.abs(missed).sum())


def test_awards_of_one_time_add_up_and_a_time_without_one_rests():
    times = mock_times(1)[:3]
    awards = mock_bids(2).assign(time=times[1], quantity_mw=[-0.25, -0.5])
    done = dispatch(awards, Battery(1, 2, 1, 1), soc_mwh=0, times=times)
    assert done.schedule["battery_mw"].tolist() == [0, -0.75, 0]
    assert done.schedule["soc_mwh"].tolist() == [0, 0.75, 0.75]


def test_what_cannot_be_executed_is_refused():
    awards, times = awards_of([1.0] * 4)
    with pytest.raises(DataError, match="outside the times to execute"):
        dispatch(awards, Battery(1, 2), soc_mwh=0, times=times[:2])
    with pytest.raises(DataError, match="soc_mwh must be in"):
        dispatch(awards, Battery(1, 2), soc_mwh=2.5, times=times)


@given(powers, batteries, st.sampled_from([0.0, 7.0]))
def test_every_ledger_sums_to_zero_and_the_profit_is_sales_less_wear(powers, battery, cost):
    awards, times = awards_of(powers)
    prices = mock_prices(days=1)
    done = dispatch(awards, battery, soc_mwh=battery.soc_low_mwh, times=times)
    entries = validate(ledger.post(done.flows, prices, degradation_cost=cost), "entries")
    assert entries["amount"].sum() == pytest.approx(0, abs=1e-9)
    assert entries["energy_mwh"].sum() == pytest.approx(0, abs=1e-9)
    sold = done.schedule["battery_mw"].to_numpy()
    slowly = sum(p * e - cost * max(e, 0) for p, e in zip(prices["price"], sold, strict=True))
    assert ledger.profit(entries) == pytest.approx(slowly)
    accounts = {"battery", *entries["counter_account"]}
    assert sum(ledger.profit(entries, account) for account in accounts) == pytest.approx(0, abs=1e-9)


def test_every_posting_has_its_mirror():
    entries = ledger.post(mock_flows(days=2), mock_prices(days=2), degradation_cost=3.0)
    half = len(entries) // 2
    one, mirror = entries[:half].reset_index(drop=True), entries[half:].reset_index(drop=True)
    assert (one["account"] == mirror["counter_account"]).all()
    assert (one["counter_account"] == mirror["account"]).all()
    assert (one["amount"] == -mirror["amount"]).all()
    assert set(one["cause"]) == {"energy", "wear"}


def test_no_energy_makes_no_entries():
    flows = mock_flows(days=1).assign(energy_mwh=0.0)
    entries = validate(ledger.post(flows, mock_prices(days=1)), "entries")
    assert len(entries) == 0
    assert ledger.profit(entries) == 0
    assert ledger.statement(entries).columns.tolist() == ["energy", "wear", "inventory", "profit"]
    assert len(ledger.statement(entries)) == 0


def test_energy_without_a_price_is_refused():
    prices = mock_prices(days=1)
    prices.loc[prices.index[12], "price"] = np.nan
    with pytest.raises(DataError, match="energy flowed at 2024-01-01 12:00"):
        ledger.post(mock_flows(days=1), prices)


def test_a_statement_has_every_day_and_sums_to_the_profit():
    entries = ledger.post(mock_flows(days=5), mock_prices(days=5), degradation_cost=2.0)
    quiet = entries[~entries["time"].dt.day.isin([3])]
    statement = ledger.statement(quiet)
    assert len(statement) == 5
    assert statement.loc["2024-01-03"].tolist() == [0, 0, 0, 0]
    assert statement["profit"].sum() == pytest.approx(ledger.profit(quiet))
    assert statement["wear"].iloc[0] == -2


def test_a_statement_goes_by_the_markets_day():
    evening = mock_entries(days=1).assign(time=pd.Timestamp("2024-01-02T03:00Z"))
    assert ledger.statement(evening).index.strftime("%F").tolist() == ["2024-01-02"]
    here = ledger.statement(evening, market_tz="America/Chicago")
    assert here.index.strftime("%F").tolist() == ["2024-01-01"]
