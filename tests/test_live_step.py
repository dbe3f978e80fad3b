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
from gridlab.live.books import Books, Placed
from gridlab.live.config import STEP, Config
from gridlab.live.hindsight import hindsight
from gridlab.live.learning import errors_of, learned
from gridlab.live.limits import protection
from gridlab.live.loop import NO_PRICES, Site
from gridlab.live.replay import replay
from gridlab.live.settings import as_mapping, config_of, read_config
from gridlab.live.state import Asked, Override, State, first_state, from_json, to_json
from gridlab.live.step import held, step
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


def faulty(n_rows, seed=0):
    """A market with rows missing alone and together, one half missing, absurd ones and levels that jump."""
    prices, rng = market(n_rows, seed), np.random.default_rng(seed)
    prices.iloc[n_rows // 2 :] += [4.0, 30.0, 5.0]
    prices[rng.random(n_rows) < 0.1] *= 40
    prices[rng.random(n_rows) < 0.2] = np.nan
    prices.iloc[30:36] = np.nan
    prices.iloc[37, 1], prices.iloc[39, 0] = np.nan, -3.0
    return prices


def same_beliefs(one, other):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one.state, other.state, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_a_replay_decides_as_a_loop_that_sees_the_whole_table(seed):
    prices, config = faulty(90, seed), Config()
    played = replay(prices, DOCUMENTED, config)
    state = first_state(NOON, config)
    for row, time in enumerate(prices.index):
        decision = step(state.at(time + pd.Timedelta("2s")), prices[: row + 1], DOCUMENTED, config)
        state, told = decision.state, played.decisions.iloc[row]
        assert (decision.mode, decision.order.counts) == (told["mode"], told[list(MACHINES)].to_dict())
        expected = np.nan if decision.expected_profit is None else decision.expected_profit
        assert np.array_equal(expected, told["expected_profit"], equal_nan=True)
    assert {"normal", "hold"} <= set(played.decisions["mode"])


def test_a_gap_in_a_replay_hides_no_row_that_waits_for_one_like_it():
    prices = market(50, seed=3)
    prices.iloc[40:] = [9.0, 60.0, 9.0]
    prices.iloc[41:47] = np.nan
    assert replay(prices, EVENT, Config()).decisions["mode"].iloc[47] == "normal"


@pytest.mark.parametrize("gap", [1, 287, 288, 289, 290, 577, 700])
def test_after_an_outage_of_any_length_the_site_is_run_again(gap):
    prices, config = market(22 + gap), Config()
    before = step(first_state(NOON + 20 * STEP, config), prices[:21], EVENT, config).state
    for rows in (prices.iloc[[20 + gap]], prices[: 21 + gap]):
        back = step(before.at(NOON + (20 + gap) * STEP), rows, EVENT, config)
        assert back.mode == "normal"
        assert back.state.beliefs.slot == (NOON.value // STEP.value + 20 + gap) % 288
        assert step(back.state.at(NOON + (21 + gap) * STEP), prices, EVENT, config).mode == "normal"


@pytest.mark.parametrize("first", [0, 20])
def test_a_row_revised_to_an_absurd_one_costs_its_interval_and_no_more(first):
    prices, config = market(first + 3), Config()
    before = step(first_state(NOON + first * STEP, config), prices[: first + 1], EVENT, config).state
    prices.iloc[first, 2] = np.nan
    revised = step(before.at(NOON + first * STEP + pd.Timedelta("60s")), prices[: first + 1], EVENT, config)
    assert (revised.mode, len(revised.seen.known.times)) == ("hold", first)
    later = list(stepped(revised.state.at(NOON + (first + 1) * STEP), prices, 2, config))
    assert [one.mode for one in later] == ["normal", "normal"]
    assert later[-1].state.beliefs.n_rows == first + 3


@pytest.mark.parametrize("seed", range(3))
def test_a_loop_that_begins_again_believes_of_recorded_prices_what_it_did(seed):
    prices, config = faulty(330, seed), Config()
    state = first_state(NOON, config)
    for row, time in enumerate(prices.index):
        state = step(state.at(time + pd.Timedelta("2s")), prices[: row + 1], EVENT, config).state
    again = learned(first_state(state.now, config), prices, config)
    assert np.array_equal(again.known.times, state.known.times)
    assert (again.known.scale, again.known.newest) == (state.known.scale, state.known.newest)
    assert same_beliefs(again.beliefs, state.beliefs)
    errors = np.array(list(errors_of(prices, config)))
    assert np.array_equal(errors[-1], state.beliefs.last_error / state.beliefs.expected_error, equal_nan=True)


def test_recorded_prices_without_a_row_that_is_believed_teach_nothing():
    prices = market(5) * np.nan
    assert learned(first_state(NOON, Config()), prices, Config()).beliefs is None
    assert list(errors_of(prices, Config())) == []


def test_at_the_very_start_without_any_row_the_site_is_safe_and_begins_by_itself():
    config = Config(safe={"hydro_miners": 3})
    first = step(first_state(NOON, config), NO_PRICES, EVENT, config)
    assert (first.mode, first.order.counts["hydro_miners"], first.state.beliefs) == ("safe", 3, None)
    assert "since the beginning" in first.reason
    assert step(first.state.at(NOON + STEP), market(2), EVENT, config).mode == "normal"


def test_a_row_that_is_later_than_the_forecast_reaches_is_taken_as_its_last():
    config = Config(horizon_steps=1, stale_minutes=20.0)
    first = step(first_state(NOON + STEP, config), market(2), EVENT, config)
    late = step(first.state.at(NOON + 4 * STEP), market(2), EVENT, config)
    assert (late.mode, late.quote.time) == ("normal", NOON + 4 * STEP)
    quote = late.quote
    assert [quote.energy_price, quote.hash_price, quote.token_price] == late.outlook.mean[:, -1].tolist()


def test_a_step_that_failed_is_held_even_where_nothing_can_be_forecast():
    state = step(first_state(NOON + STEP, Config()), market(2), EVENT, Config()).state.at(NOON + 2 * STEP)
    longer = Config(horizon_steps=48)  # of which these beliefs know nothing
    with pytest.raises(DataError, match="n_leads"):
        step(state, market(3), EVENT, longer)
    kept = held(state, "the step failed", EVENT, longer)
    assert (kept.mode, kept.order.counts, kept.outlook) == ("hold", state.order.counts, None)


def test_what_a_person_asks_for_and_what_is_safe_is_cooled():
    config = replace(YARD, safe={"gpu_compute": 10})
    need = protection(config, DOCUMENTED).cooling_mw({"gpu_compute": 10}, None)
    asked = Asked(override=Override({"gpu_compute": 10}, NOON + 9 * STEP))
    told = step(first_state(NOON + STEP, config).at(NOON + STEP, asked=asked), market(2), DOCUMENTED, config)
    safe = step(first_state(NOON, config), NO_PRICES, DOCUMENTED, config)
    assert [one.mode for one in (told, safe)] == ["override", "safe"]
    assert told.order.cooling_mw == safe.order.cooling_mw == need > 0


def test_a_thermometer_that_reads_no_number_is_as_one_that_is_silent():
    config, prices, states = Config(thermometer=True), market(8), []
    for read in (None, float("nan"), -300.0):
        first = step(
            first_state(NOON, config).at(NOON, readings=Readings(temperature_c=40.0)), prices[:1], EVENT, config
        )
        later = first.state.at(NOON + STEP, readings=Readings(temperature_c=read))
        states.append([one.order.counts["hydro_miners"] for one in stepped(later, prices, 6, config)])
    assert states[0] == states[1] == states[2]
    assert states[0][-1] < states[0][0] > 0


@pytest.mark.parametrize("outside", [float("nan"), 900.0, None])
def test_a_room_is_warmed_by_air_that_can_be(outside):
    config = replace(YARD, cooling=Cooling(capacity_mw=0.5, room_mwh_per_c=0.02, wall_mw_per_c=0.001))
    state = first_state(NOON, config).at(NOON, readings=Readings(outside_c=outside))
    assert 10 < step(state, market(1), DOCUMENTED, config).state.room_c < 60


def test_bidders_pay_for_what_the_protocols_let_pass():
    config = Config(scaling=IN_MWH, coupling=Coupling(cop={"training": float("inf")}))
    prices = market(2) * 0 + [30.0, 20.0, 1.0]
    bids = pd.DataFrame({"time": NOON + STEP, "bidder": ["a", "b"], "service": "training", "price": [90.0, 80.0]})
    bids["quantity_mw"] = 0.5
    state = first_state(NOON + STEP, config).at(NOON + STEP, bids=bids)
    whole, cut, none = (
        step(state.at(NOON + STEP, readings=readings), prices, EVENT, config)
        for readings in (Readings(), Readings(power_mw=0.5), Readings(temperature_c=95.0))
    )
    assert whole.services_paid == whole.services.paid > 0
    share = cut.order.services_mw["training"] / cut.services.services_mw["training"]
    assert 0 < share < 1
    assert cut.services_paid == pytest.approx(share * cut.services.paid)
    assert (none.order.services_mw, none.services_paid, none.expected_profit) == ({}, 0.0, 0.0)


def test_an_interval_of_yesterday_that_is_settled_late_leaves_the_day_as_it_is():
    config, books, prices = Config(), Books(Config()), market(160)
    played = step(first_state(prices.index[0], config), prices[:1], EVENT, config)
    today = learned(played.state, prices[150:], config).known
    yesterday = learned(played.state, prices[130:140], config).known
    for interval in prices.index:
        books.place(interval, Placed(played.order, played.order, expected=1.0))
    assert len(books.settle(today, EVENT)) == 10
    before = replace(books.day)
    assert len(books.settle(yesterday, EVENT)) == 10
    assert books.day == before
    assert books.day.expected == 10
