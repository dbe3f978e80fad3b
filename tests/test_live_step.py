from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.assets import Battery, Cooling
from gridlab.auctions import Coupling
from gridlab.dispatch.order import Readings
from gridlab.dispatch.protocols import draw_mw
from gridlab.errors import DataError
from gridlab.live.config import STEP, Config
from gridlab.live.hindsight import hindsight
from gridlab.live.limits import protection
from gridlab.live.loop import NO_PRICES, Site
from gridlab.live.replay import replay
from gridlab.live.settings import as_mapping, config_of, read_config
from gridlab.live.state import Asked, Override, State, first_state, from_json, to_json
from gridlab.live.step import step
from gridlab.sources.mara import DOCUMENTED, EVENT, MACHINES, Scaling

NOON = pd.Timestamp("2025-06-21 12:00", tz="UTC")
IN_MWH = Scaling(cost=1e-6 / 12, revenue=1e-6 / 12)
YARD = Config(
    battery=Battery(0.2, 0.4, soc_min=0.1, soc_max=0.95),
    cooling=Cooling(capacity_mw=0.5),
    switching_cost={"hydro_miners": 50.0, "asic_compute": 80.0},
    dwell_minutes={"asic_compute": 15.0},
    horizon_steps=12,
)


def market(n_rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    noise = np.cumsum(rng.normal(0, [0.1, 0.2, 0.2], (n_rows, 3)), axis=0)
    values = np.maximum(np.array([1.7, 1.6, 1.7]) + noise, [0.5, 1.0, 0.4])
    times = pd.date_range(NOON, periods=n_rows, freq="5min", name="time")
    return pd.DataFrame(values, index=times, columns=["price", "hash_price", "token_price"])


def stepped(state: State, prices: pd.DataFrame, n_steps: int, config: Config):
    for _ in range(n_steps):
        decision = step(state, prices, EVENT, config)
        state = decision.state.at(decision.state.now + STEP)
        yield decision


def recorded_day(data_dir):
    table = pd.read_csv(data_dir / "mara" / "prices_2025-06-21.csv", parse_dates=["timestamp_utc"])
    table = table.set_index(pd.DatetimeIndex(table.pop("timestamp_utc")).tz_localize("UTC").rename("time"))
    return table.rename(columns={"energy_price": "price"}).asfreq("5min")


def test_a_step_is_pure():
    prices, state = market(30), first_state(NOON + 29 * STEP, YARD)
    before = to_json(state)
    one, two = (step(state, prices, DOCUMENTED, YARD) for _ in range(2))
    assert one.order == two.order
    assert one.payload == two.payload
    assert to_json(state) == before
    assert to_json(one.state) == to_json(two.state)


@pytest.mark.parametrize("config", [Config(), YARD])
def test_no_decision_sees_a_price_that_had_not_come(config):
    prices, noisy = market(40), market(40)
    noisy.iloc[25:] = market(40, seed=9).iloc[25:]
    one, two = replay(prices, DOCUMENTED, config), replay(noisy, DOCUMENTED, config)
    pd.testing.assert_frame_equal(one.decisions.iloc[:25], two.decisions.iloc[:25])
    assert not one.decisions.iloc[25:].equals(two.decisions.iloc[25:])


@given(
    values=st.lists(st.floats(width=32) | st.floats(0, 5), min_size=9, max_size=9),
    readings=st.builds(
        Readings,
        soc_share=st.none() | st.floats(-1, 2),
        temperature_c=st.none() | st.floats(-50, 200),
        power_mw=st.none() | st.floats(-1, 3),
        regulation=st.floats(-2, 2),
    ),
    config=st.sampled_from([Config(), YARD]),
)
def test_every_order_keeps_the_caps_whatever_the_prices_and_readings(values, readings, config):
    times = pd.date_range(NOON, periods=3, freq="5min", name="time")
    prices = pd.DataFrame(np.reshape(values, (3, 3)), index=times, columns=["price", "hash_price", "token_price"])
    state = first_state(NOON + 2 * STEP + pd.Timedelta("2s"), config).at(NOON + 2 * STEP, readings=readings)
    decision = step(state, prices, EVENT, config)
    limits = protection(config, EVENT)
    assert sum(decision.order.counts[name] * EVENT.power[name] for name in MACHINES) <= config.cap_power
    assert draw_mw(decision.order, limits) <= config.cap_mw * (1 + 1e-9)
    assert all(count >= 0 for count in decision.order.counts.values())


def test_without_prices_the_order_holds_then_the_site_is_safe_and_then_it_comes_back_by_itself():
    config, prices = Config(hold_minutes=15.0, stale_minutes=5.0), market(40)
    first = step(first_state(NOON + 2 * STEP, config), prices[:3], EVENT, config)
    assert first.mode == "normal"
    later = list(stepped(first.state.at(NOON + 4 * STEP), NO_PRICES, 4, config))
    assert [one.mode for one in later] == ["hold", "hold", "safe", "safe"]
    assert later[1].order.counts == first.order.counts
    assert sum(later[2].order.counts.values()) == 0
    assert all(one.fallbacks[0].name == "prices" for one in later)
    back = step(later[-1].state.at(NOON + 9 * STEP), prices[:10], EVENT, config)
    assert back.mode == "normal"
    assert back.order.counts == first.order.counts


def test_a_paused_site_is_left_as_it_is_unless_a_protocol_must_act():
    prices, config = market(10), Config()
    first = step(first_state(NOON + STEP, config), prices[:2], EVENT, config)
    paused = first.state.at(NOON + 2 * STEP, asked=Asked(paused=True))
    decision = step(paused, prices[:3], EVENT, config)
    assert (decision.mode, decision.to_send, decision.order.counts) == ("paused", False, first.order.counts)
    hot = step(paused.at(NOON + 2 * STEP, readings=Readings(temperature_c=90.0)), prices[:3], EVENT, config)
    assert hot.to_send
    assert sum(hot.order.counts.values()) == 0
    assert "temperature" in hot.fired[0].name


def test_an_override_replaces_the_plan_until_it_ends_and_never_passes_the_cap():
    prices, config = market(10), Config()
    asked = Asked(override=Override({"gpu_compute": 10}, NOON + 3 * STEP))
    state = first_state(NOON + STEP, config).at(NOON + STEP, asked=asked)
    one, two, three = stepped(state, prices, 3, config)
    assert [d.mode for d in (one, two, three)] == ["override", "override", "normal"]
    assert one.order.counts == dict.fromkeys(MACHINES, 0) | {"gpu_compute": 10}
    greedy = replace(asked, override=Override({"asic_compute": 500}, NOON + 3 * STEP))
    shed = step(state.at(NOON + STEP, asked=greedy), prices, EVENT, config)
    assert shed.order.counts["asic_compute"] * EVENT.power["asic_compute"] <= config.cap_power
    assert "cap" in {one.name for one in shed.fired}


def test_services_displace_own_machines_only_where_they_pay_more():
    config = Config(scaling=IN_MWH, coupling=Coupling(cop={"training": float("inf")}))
    prices = pd.DataFrame(
        {"price": 30.0, "hash_price": 20.0, "token_price": 1.0},
        index=pd.date_range(NOON, periods=2, freq="5min", name="time"),
    )
    bids = pd.DataFrame(
        {
            "time": NOON + STEP,
            "bidder": ["lab", "mill"],
            "service": "training",
            "quantity_mw": 0.4,
            "price": [90.0, 35.0],
        }
    )
    state = first_state(NOON + STEP, config).at(NOON + STEP, bids=bids)
    decision = step(state, prices, EVENT, config)
    assert decision.order.services_mw == {"training": 0.4}
    assert decision.order.counts["hydro_miners"] == 120
    assert decision.services.paid == pytest.approx(40.0 * 0.4 / 12)
    without = step(state.at(NOON + STEP, bids=None), prices, EVENT, config)
    assert decision.expected_profit >= without.expected_profit * (1 - 1e-12)


def test_a_failing_auction_costs_its_sale_and_not_the_step():
    bids = pd.DataFrame({"time": [NOON], "bidder": [None], "service": ["x"], "quantity_mw": ["?"], "price": [1.0]})
    decision = step(first_state(NOON + STEP, Config()).at(NOON + STEP, bids=bids), market(2), EVENT, Config())
    assert decision.mode == "normal"
    assert "auction" in {one.name for one in decision.fallbacks}


def test_the_recorded_day_is_replayed_at_the_optimum_of_hindsight(data_dir):
    prices = recorded_day(data_dir)
    for inventory, best_alone in ((EVENT, 0.0), (DOCUMENTED, 107_633.0)):
        played = replay(prices, inventory, Config())
        assert played.profit == pytest.approx(hindsight(prices, inventory, Config()).profit, rel=1e-12)
        assert played.profit - played.outcomes["best_machine"].sum() == pytest.approx(best_alone, abs=100)
    assert (replay(prices, EVENT, Config()).decisions["hydro_miners"] == 200).all()


def test_with_a_battery_and_switching_no_replay_passes_the_bound_of_hindsight():
    prices = market(60, seed=4)
    played = replay(prices, DOCUMENTED, YARD)
    assert played.profit <= hindsight(prices, DOCUMENTED, YARD).profit
    assert played.decisions["soc_share"].between(0.1 - 1e-9, 0.95 + 1e-9).all()


def test_a_state_survives_its_journal():
    decision = list(stepped(first_state(NOON + STEP, YARD), market(10), 3, YARD))[-1]
    asked = Asked(True, 0.25, Override({"air_miners": 1}, NOON))
    state = decision.state.at(NOON + 9 * STEP, asked=asked)
    kept = from_json(to_json(state))
    assert (kept.order, kept.started, kept.asked) == (state.order, state.started, state.asked)
    assert (kept.soc_share, kept.room_c, kept.fresh_at) == (state.soc_share, state.room_c, state.fresh_at)


def test_settings_come_back_as_they_were_written_and_say_what_is_wrong(tmp_path):
    config = replace(YARD, coupling=Coupling(cop={"inference": 4.0, "mining": float("inf")}), scaling=IN_MWH)
    assert config_of(as_mapping(config)) == config
    path = tmp_path / "site.yaml"
    path.write_text("battery: {power_mw: 1.0, energy_mhw: 2.0}\n")
    with pytest.raises(DataError, match="did you mean 'energy_mwh'"):
        read_config(path)
    path.write_text("cap_power: many\n")
    with pytest.raises(DataError, match=r"cap_power of .* must be of type int, got 'many'"):
        read_config(path)
    path.write_text("switching_cost: {gpu: 3}\n")
    with pytest.raises(DataError, match="switching_cost names 'gpu'"):
        read_config(path)


def test_a_replay_refuses_a_table_that_is_not_every_five_minutes():
    with pytest.raises(DataError, match="every 5 minutes"):
        replay(market(4).asfreq("10min"), EVENT, Config())
    with pytest.raises(DataError, match="token_price"):
        replay(market(4).drop(columns="token_price"), EVENT, Config())


def test_readings_and_bids_reach_the_replay():
    played = replay(market(6), EVENT, Config(), site=Site(lambda: Readings(temperature_c=95.0)))
    assert played.decisions[list(MACHINES)].to_numpy().sum() == 0
    assert played.decisions["fired"].str.contains("temperature").all()
