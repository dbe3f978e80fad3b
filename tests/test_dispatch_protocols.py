import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.assets import Battery, Cooling, Regulation
from gridlab.dispatch.protocols import (
    PROTOCOLS,
    Order,
    Protection,
    Readings,
    Situation,
    checks,
    cooling_for,
    draw_mw,
    protect,
)
from gridlab.errors import DataError

POWER = {
    "air_miners": 3333,
    "hydro_miners": 5000,
    "immersion_miners": 10000,
    "gpu_compute": 3333,
    "asic_compute": 10000,
}
COOLED = ("gpu_compute", "asic_compute")
BATTERY = Battery(power_mw=0.4, energy_mwh=0.8)
COOLING = Cooling(capacity_mw=0.5)
REGULATION = Regulation(award_mw=0.2, reserve_hours=0.25)
PLAIN = Protection(cap_mw=1.0, machine_cap_power=1_000_000, power=POWER)
FULL = replace(PLAIN, battery=BATTERY, cooling=COOLING, cooled=COOLED, regulation=REGULATION, thermometer=True)
QUIET = Situation(Readings(soc_share=0.5, temperature_c=40.0, outside_c=20.0))


def situation(held=None, **readings):
    return Situation(
        Readings(**{"soc_share": 0.5, "temperature_c": 40.0, "outside_c": 20.0} | readings), held or Order({})
    )


def names(protected):
    return [one.name for one in protected.fired]


def machine_mw(order, protection):
    return sum(count * protection.power[name] for name, count in order.counts.items()) * protection.unit_mw


# wild inputs: what a bug, a broken sensor or a stranger's journal could hand over

WILD = st.one_of(
    st.none(),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e308, -1e308, 5e-324, 0.15, 0.9, 70.0, 75.0, 85.0]),
    st.floats(-2, 2),
    st.floats(-200, 200),
)
COUNT = st.one_of(st.integers(-5, 400), st.integers(-(10**30), 10**400), WILD, st.booleans(), st.just("7"))
TYPE = st.sampled_from([*POWER, "steam_engine"])
WILD_ORDERS = st.builds(
    Order,
    counts=st.dictionaries(TYPE, COUNT),
    battery_mw=WILD,
    cooling_mw=WILD,
    services_mw=st.dictionaries(st.sampled_from(["inference", "training", "cooling"]), WILD),
    base_mw=WILD,
)
ORDERS = st.builds(
    Order,
    counts=st.fixed_dictionaries({name: st.integers(0, 150) for name in POWER}),
    battery_mw=st.floats(-0.6, 0.6),
    cooling_mw=st.floats(0, 0.2),
    services_mw=st.dictionaries(st.sampled_from(["inference", "training"]), st.floats(0, 0.5)),
)
READINGS = st.builds(Readings, soc_share=WILD, temperature_c=WILD, outside_c=WILD, power_mw=WILD, regulation=WILD)
SITUATIONS = st.builds(
    Situation,
    readings=READINGS,
    held=WILD_ORDERS,
    safe=WILD_ORDERS,
    price_problem=st.sampled_from([None, None, None, "The newest price row is 12 min old."]),
    minutes_without_prices=st.sampled_from([0.0, 5.0, 30.0, 31.0, math.nan]),
    minutes_without_temperature=st.sampled_from([0.0, 20.0, math.nan]),
    worth=st.dictionaries(TYPE, WILD),
)
PROTECTIONS = st.builds(
    Protection,
    cap_mw=st.sampled_from([0.0, 0.3, 1.0, 1e6]),
    machine_cap_power=st.sampled_from([0, 9_999, 300_000, 1_000_000]),
    power=st.sampled_from([POWER, {}, {"hydro_miners": 5000}]),
    most=st.sampled_from([{}, {"hydro_miners": 7}, {"gpu_compute": 0}]),
    battery=st.sampled_from([None, BATTERY, replace(BATTERY, ramp_mw_per_hour=0.5, self_discharge_per_hour=0.1)]),
    cooling=st.sampled_from([None, COOLING]),
    cooled=st.sampled_from([(), COOLED]),
    regulation=st.sampled_from([None, REGULATION]),
    export_mw=st.sampled_from([None, 0.0, 0.1]),
    thermometer=st.booleans(),
)


def assert_within_limits(order, given_situation, protection):
    power = sum(count * protection.power[name] for name, count in order.counts.items())
    assert all(type(count) is int and count >= 0 for count in order.counts.values())
    assert all(count <= protection.most.get(name, math.inf) for name, count in order.counts.items())
    assert power <= protection.machine_cap_power
    assert all(mw >= 0 for mw in order.services_mw.values())
    loads = power * protection.unit_mw + order.cooling_mw + sum(order.services_mw.values())
    room = 2e-9 * max(protection.cap_mw, 1e-3)
    assert -protection.greatest_export_mw - room <= loads - order.battery_mw <= protection.cap_mw + room
    assert abs(order.battery_mw) <= (protection.battery.power_mw if protection.battery else 0.0)
    assert 0 <= order.cooling_mw <= protection.chiller_mw(given_situation.readings.outside_c) * (1 + 1e-9)


@settings(max_examples=150)
@given(WILD_ORDERS, SITUATIONS, PROTECTIONS)
def test_whatever_comes_in_the_order_that_goes_out_is_within_every_limit(order, given_situation, protection):
    protected = protect(order, given_situation, protection)
    assert_within_limits(protected.order, given_situation, protection)
    assert [one.priority for one in protected.fired] == sorted(one.priority for one in protected.fired)
    for one in protected.fired:
        assert one.reason.endswith(".") and one.reason[0].isupper() and one.severity in ("info", "warning", "critical")


@settings(max_examples=150)
@given(WILD_ORDERS, SITUATIONS, PROTECTIONS)
def test_to_protect_what_is_protected_changes_nothing(order, given_situation, protection):
    once = protect(order, given_situation, protection).order
    assert protect(once, given_situation, protection).order == once


@settings(max_examples=80)
@given(ORDERS, SITUATIONS, PROTECTIONS)
def test_no_count_and_no_service_is_raised_while_prices_are_known(order, given_situation, protection):
    known = replace(given_situation, price_problem=None)
    after = protect(order, known, protection).order
    assert all(count <= order.counts[name] for name, count in after.counts.items())
    assert all(mw <= order.services_mw[name] for name, mw in after.services_mw.items())


@settings(max_examples=80)
@given(ORDERS, st.floats(0.15, 0.9), st.floats(-60, 65), st.floats(0, 1), st.floats(-20, 45))
def test_an_order_within_all_limits_with_quiet_readings_is_returned_as_it_is(order, soc, celsius, measured, outside):
    quiet = Situation(Readings(soc_share=soc, temperature_c=celsius, outside_c=outside), order)
    safe = protect(order, quiet, replace(FULL, regulation=None)).order
    # meters agree with the order in force
    again = Situation(replace(quiet.readings, power_mw=draw_mw(safe, FULL)), safe)
    protected = protect(safe, again, FULL if safe.battery_mw == 0 else replace(FULL, regulation=None))
    assert protected.order is safe and protected.fired == () and protected.mode == "normal"


def drawn_order(rng):
    """An order, often too much, with the battery and services in play."""
    counts = {name: int(rng.integers(0, rng.choice([5, 80, 200]))) for name in POWER}
    sold = {name: float(rng.uniform(0, 0.8)) for name in rng.choice(["a", "b"], rng.integers(0, 3))}
    base = None if rng.random() < 0.7 else float(rng.uniform(-0.5, 0.5))
    return Order(counts, float(rng.choice([0.0, rng.uniform(-0.6, 0.6)])), float(rng.uniform(0, 0.15)), sold, base)


def drawn_site(rng):
    slow = replace(BATTERY, ramp_mw_per_hour=0.6, self_discharge_per_hour=0.05, soc_min=0.2)
    return replace(
        PLAIN,
        cap_mw=float(rng.choice([1.0, rng.uniform(0, 1.5)])),
        machine_cap_power=int(rng.choice([400_000, 1_000_000])),
        battery=rng.choice([None, BATTERY, slow]),
        cooling=rng.choice([None, COOLING]),
        cooled=COOLED if rng.random() < 0.7 else (),
        regulation=rng.choice([None, REGULATION]),
        export_mw=rng.choice([None, 0.0, 0.1]),
        thermometer=bool(rng.random() < 0.5),
    )


def drawn_situation(rng):
    soc, celsius = rng.choice([None, 0.15, 0.9, rng.uniform(0, 1)]), rng.choice([None, 40.0, rng.uniform(60, 90)])
    read = Readings(
        None, soc, celsius, 20.0, rng.choice([None, rng.uniform(-0.5, 2)]), rng.choice([0, rng.uniform(-1, 1)])
    )
    worth = {name: float(rng.uniform(-1, 1)) for name in POWER}
    problem = "There are no prices." if rng.random() < 0.2 else None
    return Situation(read, drawn_order(rng), drawn_order(rng), problem, float(rng.choice([0.0, 40.0])), worth=worth)


def test_what_is_graver_never_leaves_more_machines():
    rng = np.random.default_rng(11)
    for _ in range(1500):
        order, now, site = drawn_order(rng), replace(drawn_situation(rng), price_problem=None), drawn_site(rng)
        cool, hot = sorted(rng.uniform(40, 90, 2))
        low, high = sorted(rng.uniform(0, 2, 2))
        mild = replace(now, readings=replace(now.readings, temperature_c=cool, power_mw=low))
        hotter = replace(now, readings=replace(now.readings, temperature_c=hot, power_mw=low))
        fuller = replace(now, readings=replace(now.readings, temperature_c=cool, power_mw=high))
        tight = replace(site, cap_mw=site.cap_mw * rng.uniform(0.3, 1), export_mw=site.greatest_export_mw)
        before = protect(order, mild, site).order.counts
        for grave, limits in ((hotter, site), (fuller, site), (mild, tight)):
            after = protect(order, grave, limits).order.counts
            assert all(after[name] <= count for name, count in before.items()), (order, grave, limits)


def test_at_many_sites_the_limits_hold_and_to_protect_again_changes_nothing():
    rng, fired = np.random.default_rng(7), set()
    for _ in range(2500):
        now, site = drawn_situation(rng), drawn_site(rng)
        protected = protect(drawn_order(rng), now, site)
        assert_within_limits(protected.order, now, site)
        assert protect(protected.order, now, site).order == protected.order
        fired |= set(names(protected))
    assert fired == {rule.name for rule in PROTOCOLS}


def test_the_rules_have_names_priorities_and_reasons_of_their_own():
    assert [rule.name for rule in PROTOCOLS] == ["cap", "temperature", "battery", "regulation", "order", "prices"]
    assert [rule.priority for rule in PROTOCOLS] == [1, 2, 3, 4, 5, 6]
    assert all(rule.reason.endswith(".") for rule in PROTOCOLS)


# --- the cap


def test_an_order_at_the_cap_exactly_stands_and_one_machine_more_costs_the_margin():
    at = Order({"hydro_miners": 200})
    assert protect(at, QUIET, PLAIN).order is at
    over = protect(Order({"hydro_miners": 201}), QUIET, PLAIN)
    assert over.order.counts == {"hydro_miners": 180}
    assert names(over) == ["cap"] and over.fired[0].severity == "warning"
    assert over.fired[0].reason == "The order draws 1.005 MW and the cap is 1 MW: 21 hydro_miners are shed, to 0.9 MW."


def test_machines_of_the_least_worth_for_their_power_are_shed_first_and_one_at_a_time_suffices_to_see_it():
    worth = {"air_miners": 3.0, "hydro_miners": 10.0, "immersion_miners": -1.0, "gpu_compute": 5.0, "asic_compute": 9.0}
    order = Order(
        {"air_miners": 60, "hydro_miners": 100, "immersion_miners": 10, "gpu_compute": 50, "asic_compute": 20}
    )
    after = protect(order, replace(QUIET, worth=worth), PLAIN).order
    left, value = dict(order.counts), {name: worth[name] / POWER[name] for name in POWER}
    while sum(left[name] * POWER[name] for name in POWER) > 900_000:
        left[min((name for name in POWER if left[name]), key=value.__getitem__)] -= 1
    assert after.counts == left


def test_the_cap_counts_cooling_and_services_and_what_the_battery_delivers():
    assert protect(Order({"hydro_miners": 180}, services_mw={"training": 0.1}), QUIET, PLAIN).fired == ()
    sold = protect(Order({"hydro_miners": 190}, services_mw={"training": 0.1}), QUIET, PLAIN).order
    assert sold.counts["hydro_miners"] == 160 and sold.services_mw == {"training": 0.1}
    chilled = protect(Order({"hydro_miners": 200}, cooling_mw=0.01), QUIET, FULL).order
    assert draw_mw(chilled, FULL) <= 0.9
    helped = Order({"hydro_miners": 180}, battery_mw=0.15, services_mw={"training": 0.2})
    assert protect(helped, QUIET, replace(FULL, regulation=None)).fired == ()


def test_charging_gives_way_before_machines_and_services_only_after_all_of_them():
    charging = protect(Order({"hydro_miners": 170}, battery_mw=-0.3), QUIET, replace(FULL, regulation=None)).order
    assert charging.counts["hydro_miners"] == 170 and charging.battery_mw == pytest.approx(-0.05)
    sold = protect(Order({"hydro_miners": 10}, services_mw={"a": 1.0, "b": 0.5}), QUIET, PLAIN).order
    assert sold.counts == {"hydro_miners": 0}
    assert sold.services_mw == pytest.approx({"a": 0.6, "b": 0.3})


def test_the_machines_have_a_cap_of_their_own_that_a_battery_does_not_lift():
    order = Order({"hydro_miners": 220}, battery_mw=0.3)
    protected = protect(order, QUIET, replace(FULL, regulation=None))
    assert protected.order.counts["hydro_miners"] == 180
    assert protected.fired[0].reason.startswith("The machines draw 1.1e+06 units of power and their cap is 1e+06")


def test_a_meter_above_the_cap_scales_the_order_by_what_it_reads_and_stays_there_without_chatter():
    order, drawn, seen = Order({"hydro_miners": 200}), 1.2, []
    held = order
    for _ in range(6):
        measured = drawn * draw_mw(held, PLAIN)
        protected = protect(order, situation(held, power_mw=measured), PLAIN)
        held = protected.order
        seen.append(held.counts["hydro_miners"])
        assert protected.fired[0].name == "cap"
    assert seen == [150] * 6 and drawn * draw_mw(held, PLAIN) == pytest.approx(0.9)
    first = protect(order, situation(order, power_mw=1.2), PLAIN).fired[0]
    assert first.severity == "critical" and first.reason.startswith("The meter reads 1.2 MW and the cap is 1 MW: 50 ")


def test_a_meter_that_reads_within_its_inaccuracy_is_no_cause_for_anything():
    order = Order({"hydro_miners": 200})
    assert protect(order, situation(order, power_mw=1.0049), PLAIN).order is order
    assert names(protect(order, situation(order, power_mw=1.0051), PLAIN)) == ["cap"]


def test_what_others_draw_beside_hardly_any_load_in_force_is_left_free():
    idle = Order({"hydro_miners": 0})
    after = protect(Order({"hydro_miners": 200}), situation(idle, power_mw=0.2), PLAIN).order
    assert after.counts["hydro_miners"] == 140  # 0.9 MW less 0.2 MW
    hardly = situation(Order({"hydro_miners": 10}), power_mw=0.25)
    assert protect(Order({"hydro_miners": 200}), hardly, PLAIN).order.counts["hydro_miners"] == 140
    assert protect(Order({"hydro_miners": 200}), situation(idle, power_mw=9.0), PLAIN).order.counts["hydro_miners"] == 0


def test_the_chiller_follows_the_heat_of_the_machines_that_are_left():
    order = Order({"gpu_compute": 150, "hydro_miners": 120}, cooling_mw=FULL.cooling_mw({"gpu_compute": 150}, 20.0))
    after = protect(order, replace(QUIET, worth={"hydro_miners": 1.0}), FULL).order
    assert after.counts["hydro_miners"] == 120 and after.counts["gpu_compute"] < 150
    assert after.cooling_mw == pytest.approx(FULL.cooling_mw(after.counts, 20.0))
    assert draw_mw(after, FULL) <= 0.9


def test_the_site_delivers_no_more_than_it_may():
    protected = protect(
        Order({"hydro_miners": 10}, battery_mw=0.4), QUIET, replace(FULL, export_mw=0.1, regulation=None)
    )
    assert protected.order.battery_mw == pytest.approx(0.15)
    assert protected.fired[0].reason.startswith("The order delivers 0.35 MW and the site may deliver 0.1 MW")


# --- the temperature


GPUS = Order({"gpu_compute": 100, "hydro_miners": 50}, cooling_mw=0.02)
CHILLER = FULL.chiller_mw(20.0)
CHILLED = replace(GPUS, cooling_mw=CHILLER)


def test_above_75_degrees_cooling_is_raised_first_and_machines_are_shed_when_it_is_at_its_capacity():
    first = protect(GPUS, situation(GPUS, temperature_c=76.0), FULL)
    assert first.order == CHILLED and names(first) == ["temperature"] and first.fired[0].severity == "warning"
    assert first.fired[0].reason == (
        f"The temperature is 76.0 C and the limit is 75 C: the chiller is at {CHILLER:g} MW."
    )
    second = protect(GPUS, situation(first.order, temperature_c=77.0), FULL).order
    assert second.counts == {"gpu_compute": 80, "hydro_miners": 50} and second.cooling_mw == CHILLER
    third = protect(GPUS, situation(second, temperature_c=80.0), FULL).order
    assert third.counts == {"gpu_compute": 40, "hydro_miners": 50}


def test_at_the_critical_temperature_everything_stops_but_the_chiller():
    order = replace(GPUS, services_mw={"inference": 0.1})
    protected = protect(order, situation(GPUS, temperature_c=85.0), FULL)
    assert protected.order == Order({"gpu_compute": 0, "hydro_miners": 0}, cooling_mw=CHILLER)
    assert protected.fired[0].severity == "critical"


def test_without_a_chiller_machines_are_shed_at_once_and_all_types_alike():
    hot = situation(Order({"gpu_compute": 100, "hydro_miners": 50}), temperature_c=80.0)
    after = protect(Order({"gpu_compute": 100, "hydro_miners": 50}), hot, replace(PLAIN, cooled=COOLED)).order
    assert after.counts == {"gpu_compute": 50, "hydro_miners": 25} and after.cooling_mw == 0


def test_between_70_and_75_degrees_nothing_is_added_and_below_70_machines_return_step_by_step():
    held = replace(CHILLED, counts={"gpu_compute": 10, "hydro_miners": 50})
    counts = []
    for celsius in (74.9, 70.0, 69.0, 66.0, 65.0):
        protected = protect(GPUS, situation(held, temperature_c=celsius), FULL)
        counts.append(protected.order.counts["gpu_compute"])
        assert protected.order.counts["hydro_miners"] == 50
        assert protected.order.cooling_mw == (CHILLER if celsius >= 70 else GPUS.cooling_mw)
        assert [one.severity for one in protected.fired] == ([] if celsius < 67 else ["info"])
    assert counts == [10, 10, 70, 100, 100]


def test_a_room_that_heats_settles_without_chatter():
    celsius, held, counts = 60.0, GPUS, []
    for _ in range(60):
        held = protect(GPUS, situation(held, temperature_c=celsius), FULL).order
        counts.append(held.counts["gpu_compute"])
        settles = 20 + 0.8 * held.counts["gpu_compute"] - 40 * held.cooling_mw / CHILLER
        celsius += 0.3 * (settles - celsius)
        assert celsius < 85
    turns = [b - a for a, b in pairwise(counts) if a != b]
    assert sum(1 for a, b in pairwise(turns) if a * b < 0) <= 4


def test_a_silent_thermometer_is_not_a_reading_of_zero():
    for silent in (None, math.nan, math.inf, -300.0):
        more = Order({"gpu_compute": 100, "hydro_miners": 60}, cooling_mw=0.02)
        held = Order({"gpu_compute": 40, "hydro_miners": 50}, cooling_mw=0.02)
        soon = protect(more, situation(held, temperature_c=silent), FULL)
        assert soon.order.counts == {"gpu_compute": 40, "hydro_miners": 60} and soon.fired[0].severity == "warning"
        late = replace(situation(held, temperature_c=silent), minutes_without_temperature=20.0)
        cautious = protect(more, late, FULL)
        assert cautious.order.cooling_mw == CHILLER and cautious.fired[0].severity == "critical"
        assert protect(more, replace(late, held=cautious.order), FULL).order.counts["gpu_compute"] == 20
    assert protect(GPUS, situation(temperature_c=None), replace(FULL, thermometer=False)).fired == ()


# --- the battery


ALONE = replace(FULL, regulation=None)


@pytest.mark.parametrize(("soc", "given_mw", "expected"), [
    (0.14, 0.3, -0.08), (0.14, 0.0, -0.08), (0.14, -0.2, -0.2), (0.149999, 0.0, None), (0.15, 0.3, 0.0),
    (0.95, -0.3, 0.08), (0.95, 0.0, 0.08), (0.95, 0.2, 0.2), (0.9, -0.3, 0.0), (0.5, 0.4, 0.4), (0.5, 9.0, 0.4),
])  # fmt: skip
def test_outside_15_to_90_percent_the_battery_comes_back_gently(soc, given_mw, expected):
    after = protect(Order({"hydro_miners": 20}, battery_mw=given_mw), situation(soc_share=soc), ALONE).order.battery_mw
    missing = (0.15 - soc) * 0.8 / 0.92 * 12  # what is missing and no more
    assert after == pytest.approx(-missing if expected is None else expected)


def test_within_an_interval_the_battery_does_not_pass_its_range():
    for soc in (0.16, 0.2, 0.85, 0.89):
        for wish in (-0.4, 0.4):
            mw = protect(Order({"hydro_miners": 20}, battery_mw=wish), situation(soc_share=soc), ALONE).order.battery_mw
            after = soc - (mw / 0.92 if mw > 0 else mw * 0.92) / 12 / 0.8
            assert 0.15 - 1e-9 <= after <= 0.9 + 1e-9 and mw * wish >= 0


def test_the_charge_comes_back_only_within_headroom_that_leaves_the_margin():
    order = Order({"hydro_miners": 170})
    assert protect(order, situation(soc_share=0.05), ALONE).order.battery_mw == pytest.approx(-0.05)
    assert protect(Order({"hydro_miners": 190}), situation(soc_share=0.05), ALONE).order.battery_mw == 0
    shed = protect(Order({"hydro_miners": 220}), situation(soc_share=0.05), ALONE)
    assert shed.order.counts["hydro_miners"] == 180 and names(shed) == ["cap", "battery"]


@pytest.mark.parametrize("silent", [None, math.nan, math.inf, -0.5, 1.5])
def test_a_battery_whose_charge_is_unknown_rests(silent):
    protected = protect(Order({"hydro_miners": 20}, battery_mw=0.3), situation(soc_share=silent), ALONE)
    assert protected.order.battery_mw == 0 and names(protected) == ["battery"]
    assert protected.fired[0].reason == f"The state of charge is {silent}, no reading: the battery rests."


def test_the_battery_keeps_its_ramp_but_can_always_be_stopped():
    slow = replace(ALONE, battery=replace(BATTERY, ramp_mw_per_hour=0.6))  # 0.05 MW in an interval
    held = Order({"hydro_miners": 20}, battery_mw=0.2)
    wish = Order({"hydro_miners": 20}, battery_mw=-0.4)
    assert protect(wish, situation(held), slow).order.battery_mw == pytest.approx(0.15)
    assert protect(wish, situation(held, soc_share=0.1), slow).order.battery_mw == 0


def test_a_battery_that_does_not_exist_is_left_out():
    assert protect(Order({"hydro_miners": 20}, battery_mw=0.3), QUIET, PLAIN).order.battery_mw == 0


# --- the grid's signal


def test_the_battery_follows_the_signal_around_its_plan():
    for signal, plan in ((1.0, 0.0), (-0.5, 0.1), (0.25, -0.1), (9.0, 0.0)):
        protected = protect(Order({"hydro_miners": 100}, battery_mw=plan), situation(regulation=signal), FULL)
        assert protected.order.battery_mw == pytest.approx(plan + min(signal, 1.0) * 0.2)
        assert protected.order.base_mw == plan and names(protected) == ["regulation"]
        assert protected.fired[0].severity == "info"
        next_one = protect(protected.order, situation(protected.order, regulation=0.0), FULL).order
        assert next_one.battery_mw == plan


def test_the_signal_is_followed_within_the_headroom_of_the_connection_both_ways_and_the_rest_is_said():
    down = protect(Order({"hydro_miners": 190}), situation(regulation=-1.0), FULL)
    assert down.order.battery_mw == pytest.approx(-0.05) and down.order.counts["hydro_miners"] == 190
    assert down.fired[0].reason == (
        "The grid asks for -0.2 MW around 0 MW: the battery is at -0.05 MW, 0.15 MW short for want of headroom."
    )
    up = protect(Order({"hydro_miners": 10}), situation(regulation=1.0), replace(FULL, export_mw=0.1))
    assert up.order.battery_mw == pytest.approx(0.15) and up.fired[0].severity == "warning"


def test_the_signal_does_not_empty_the_battery_and_the_plan_leaves_the_award_its_reserve():
    empty = protect(Order({"hydro_miners": 10}), situation(regulation=1.0, soc_share=0.15), FULL)
    assert empty.order.battery_mw == 0 and empty.fired[0].severity == "warning"
    reserve = 0.2 * 0.25 / 0.92
    soc = 0.15 + reserve / 0.8 + 0.01  # 0.008 MWh above the reserve
    plan = protect(Order({"hydro_miners": 10}, battery_mw=0.3), situation(soc_share=soc), FULL)
    assert plan.order.battery_mw == pytest.approx(0.008 * 0.92 * 12) and names(plan) == ["regulation"]
    asked = protect(Order({"hydro_miners": 10}, battery_mw=0.3), situation(soc_share=soc, regulation=1.0), FULL)
    assert asked.order.battery_mw == pytest.approx(0.2 + 0.008 * 0.92 * 12)


def test_a_signal_that_is_no_number_leaves_the_plan():
    protected = protect(Order({"hydro_miners": 10}, battery_mw=0.1), situation(regulation=math.nan), FULL)
    assert protected.order.battery_mw == 0.1 and names(protected) == ["regulation"]


# --- orders and prices


def test_an_order_that_cannot_be_is_mended_cautiously():
    order = Order({"hydro_miners": -3, "air_miners": 2.7, "tractors": 4, "gpu_compute": math.nan}, math.nan, math.nan,
                  {"training": -1.0})  # fmt: skip
    protected = protect(order, QUIET, ALONE)
    assert protected.order == Order({"hydro_miners": 0, "air_miners": 2, "gpu_compute": 0}, 0.0, 0.0, {"training": 0.0})
    assert names(protected) == ["order"] and "and 4 more" in protected.fired[0].reason
    assert protect(Order({"hydro_miners": 9}), QUIET, replace(PLAIN, most={"hydro_miners": 5})).order.counts == {
        "hydro_miners": 5
    }


def test_without_prices_the_last_order_holds_and_then_the_safe_one():
    held, safe = Order({"hydro_miners": 100}), Order({"hydro_miners": 5})
    stale = replace(QUIET, held=held, safe=safe, price_problem="The newest price row is 12 min old.", hold_minutes=30.0)
    order = Order({"air_miners": 1})
    hold = protect(order, replace(stale, minutes_without_prices=30.0), PLAIN)
    assert (hold.order, hold.mode, hold.fired[0].severity) == (held, "hold", "warning")
    assert (
        hold.fired[0].reason
        == "The newest price row is 12 min old, for 30 min: the last order holds, for up to 30 min."
    )
    gone = protect(order, replace(stale, minutes_without_prices=30.1), PLAIN)
    assert (gone.order, gone.mode, gone.fired[0].severity) == (safe, "safe", "critical")
    back = protect(order, replace(stale, price_problem=None), PLAIN)
    assert (back.order, back.mode, back.fired) == (order, "normal", ())


def test_what_holds_without_prices_keeps_the_limits_too():
    stale = replace(QUIET, held=Order({"hydro_miners": 300}), price_problem="no prices")
    assert protect(Order({}), stale, PLAIN).order.counts["hydro_miners"] == 180


def test_checks_say_of_each_limit_whether_it_holds():
    found = {one.name: one for one in checks(GPUS, situation(temperature_c=80.0, soc_share=0.1, power_mw=1.2), FULL)}
    assert set(found) == {"cap", "machine_cap", "export", "measured_power", "battery_power", "soc_low", "soc_high",
                          "chiller", "temperature"}  # fmt: skip
    failed = {name for name, one in found.items() if not one.holds}
    assert failed == {"measured_power", "soc_low", "temperature"}
    silent = {one.name: one for one in checks(GPUS, situation(temperature_c=None, soc_share=None), FULL)}
    assert silent["temperature"].value is None and not silent["temperature"].holds and not silent["soc_low"].holds


def test_cooling_for_the_heat_of_machines_is_their_power_over_the_coefficient_of_performance():
    chiller = Cooling(capacity_mw=0.5)
    assert cooling_for(0.5, 30.0, chiller) == pytest.approx(0.5 / chiller.cop(30.0) * sum(chiller.part_load))
    assert FULL.cooling_mw({"gpu_compute": 30, "hydro_miners": 9}, 30.0) == cooling_for(30 * 3333e-6, 30.0, COOLING)
    assert cooling_for(0.0, 30.0, chiller) == 0
    for outside in (None, math.nan, 1e300, -273.0):
        assert FULL.chiller_mw(outside) == FULL.chiller_mw(35.0)
    with pytest.raises(DataError, match="heat_mw must be at least 0 MW"):
        cooling_for(math.nan, 30.0, chiller)


@pytest.mark.parametrize(("change", "words"), [
    ({"cap_mw": math.nan}, "cap_mw must be at least 0 MW"), ({"margin": 1.0}, "margin must be in"),
    ({"power": {"hydro_miners": 0}}, "power of hydro_miners"), ({"soc_low": 0.95}, "soc_low must be below soc_high"),
    ({"temperature_critical_c": 70.0}, "must rise"), ({"unit_mw": math.inf}, "unit_mw must be above 0 MW"),
])  # fmt: skip
def test_limits_that_cannot_be_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        replace(PLAIN, **change)
