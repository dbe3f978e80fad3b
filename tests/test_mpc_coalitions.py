"""What coalitions of sites and homes save: laws, the slow obvious version, and cases solved by hand."""

import itertools
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.assets import Battery
from gridlab.errors import DataError, PlanError
from gridlab.games.characteristic import is_superadditive
from gridlab.games.nucleolus import in_core, nucleolus
from gridlab.games.shapley import player_types, shapley, shapley_by_type, shapley_sampled
from gridlab.mpc.coalitions import CoalitionPlanner, Member, Tariff, coalition_values, values_by_count

STORE = Battery(1.0, 1.0, 1.0, 1.0)


def town(n, *, seed=0, n_steps=6, solar=True, batteries=True, size=1.0):
    """Members who differ in all they can, some without a battery and some without sun."""
    rng = np.random.default_rng(seed)
    members = []
    for at in range(n):
        battery = Battery(
            size * rng.uniform(0.3, 1),
            size * rng.uniform(0.5, 2),
            0.9,
            0.95,
            soc_min=0.1,
            degradation_cost=2.0,
            self_discharge_per_hour=0.01,
        )
        members.append(
            Member(
                size * rng.uniform(0, 2, n_steps),
                size * rng.uniform(0, 3, n_steps) if solar and at % 2 else 0.0,
                battery if batteries and at % 3 != 1 else None,
                soc_mwh=0.3 * battery.energy_mwh if at % 2 else None,
            )
        )
    return members


def tariff_of(seed=0, n_steps=6, low=20.0, **more):
    rng = np.random.default_rng(seed)
    bought = rng.uniform(low, 100, n_steps)
    return Tariff(bought, bought - rng.uniform(5, 60, n_steps), **more)


def by_cvxpy(members, tariff, hours):
    """Each member draws from the grid, delivers to it, sends and receives; binaries where nothing may be burnt."""
    n_steps = len(tariff.import_price)
    bought, sold = (np.broadcast_to(price, n_steps) for price in (tariff.import_price, tariff.export_price))
    flows = {name: cp.Variable((len(members), n_steps), nonneg=True) for name in ("draw", "feed", "send", "get")}
    draw, feed, send, get = flows.values()
    rules = [cp.sum(get, axis=0) == (1 - tariff.loss_share) * cp.sum(send, axis=0)]
    cost = tariff.network_fee * cp.sum(get)
    for at, member in enumerate(members):
        load, solar = (hours * np.broadcast_to(power, n_steps) for power in (member.load_mw, member.solar_mw))
        spilled, charge, discharge = (cp.Variable(n_steps, nonneg=True) for _ in range(3))
        rules += [spilled <= solar]
        most = float(load.max() + solar.max())
        battery = member.battery
        if battery is None:
            rules += [charge == 0, discharge == 0]
        else:
            low, start = battery.soc_low_mwh, battery.soc_low_mwh if member.soc_mwh is None else member.soc_mwh
            stored, limit, way = cp.Variable(n_steps), hours * battery.power_mw, cp.Variable(n_steps, boolean=True)
            before = cp.hstack([start - low, stored[:-1]])
            kept = 1 - battery.self_discharge_per_hour * hours
            rules += [
                stored == kept * before + battery.eta_charge * charge - discharge / battery.eta_discharge,
                stored >= 0,
                stored <= battery.soc_high_mwh - low,
                stored[-1] >= start - low,
                charge <= limit * way,
                discharge <= limit * (1 - way),
            ]
            cost += battery.degradation_cost * cp.sum(discharge)
            most += limit
        side = cp.Variable(n_steps, boolean=True)
        rules += [draw[at] + get[at] - feed[at] - send[at] == load - solar + spilled + charge - discharge]
        rules += [draw[at] + get[at] <= most * side, feed[at] + send[at] <= most * (1 - side)]
    cost += bought @ cp.sum(draw, axis=0) - sold @ cp.sum(feed, axis=0)
    cost += tariff.demand_charge * cp.max(cp.sum(draw, axis=0)) / hours
    problem = cp.Problem(cp.Minimize(cost), rules)
    problem.solve(solver=cp.HIGHS, mip_rel_gap=1e-10)
    return problem.value


@pytest.mark.parametrize("hours", [1.0, 0.25])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"demand_charge": 80.0},
        {"loss_share": 0.07},
        {"loss_share": 0.03, "network_fee": 6.0, "demand_charge": 50.0},
    ],
)
def test_costs_are_those_of_the_slow_programme(more, hours):
    members, tariff = town(4), tariff_of(**more)
    planner = CoalitionPlanner(members, tariff, step_hours=hours)
    costs = planner.costs((1, 1, 1, 1)).ravel(order="F")
    for coalition in [(0,), (1,), (1, 2), (0, 1, 2, 3)]:
        slow = by_cvxpy([members[at] for at in coalition], tariff, hours)
        assert costs[sum(1 << at for at in coalition)] == pytest.approx(slow, abs=1e-6)
        assert planner.cost(coalition) == pytest.approx(slow, abs=1e-6)


@pytest.mark.parametrize("more", [{}, {"loss_share": 0.07}, {"network_fee": 3.0}])
@pytest.mark.parametrize("seed", range(3))
def test_nobody_burns_energy_where_prices_are_below_zero(more, seed):
    members, tariff = town(2, seed=seed), tariff_of(seed, low=-120.0, **more)
    planner = CoalitionPlanner(members, tariff)
    for coalition in [(0,), (1,), (0, 1)]:
        slow = by_cvxpy([members[at] for at in coalition], tariff, 1.0)
        assert planner.cost(coalition) == pytest.approx(slow, abs=1e-5)


@settings(max_examples=6)
@given(st.integers(0, 999), st.booleans(), st.sampled_from([0.0, 60.0]), st.sampled_from([0.0, 0.05]))
def test_joining_never_loses_and_nobody_saves_alone(seed, solar, demand_charge, loss_share):
    members = town(3, seed=seed, n_steps=4, solar=solar)
    tariff = tariff_of(seed, 4, demand_charge=demand_charge, loss_share=loss_share)
    v = coalition_values(members, tariff)
    assert v[[0, 1, 2, 4]].tolist() == [0, 0, 0, 0]
    assert v.min() >= 0
    assert is_superadditive(v, 3, tolerance=1e-8)
    shares = nucleolus(v, 3)
    assert shares.sum() == pytest.approx(v[-1])
    assert shares.min() >= 0


@settings(max_examples=3)
@given(st.integers(0, 99), st.permutations(range(4)))
def test_renaming_the_members_renames_the_coalitions(seed, order):
    members, tariff = town(4, seed=seed), tariff_of(seed, demand_charge=30.0, loss_share=0.02)
    v = coalition_values(members, tariff)
    renamed = coalition_values([members[at] for at in order], tariff)
    for mask in range(16):
        was = sum(1 << order[at] for at in range(4) if mask >> at & 1)
        assert renamed[mask] == pytest.approx(v[was], abs=1e-7)


def test_alike_members_are_due_the_same():
    member = town(1)[0]
    members = {"a": member, "b": town(2)[1], "c": member}
    v = coalition_values(members, tariff_of(demand_charge=40.0, loss_share=0.02))
    value = shapley(v, 3)
    assert value[0] == pytest.approx(value[2], abs=1e-8)
    assert [0, 2] in player_types(v, 3, tolerance=1e-8)
    assert v[-1] > 1


@pytest.mark.parametrize("more", [{}, {"loss_share": 0.05, "network_fee": 2.0}])
def test_counts_of_alike_members_save_what_they_save_one_by_one(more):
    types, counts, tariff = town(3, seed=4), (2, 0, 3), tariff_of(2, demand_charge=40.0, **more)
    by_count = values_by_count(types, counts, tariff)
    assert by_count.shape == (3, 1, 4)
    kind = np.repeat(np.arange(3), counts)
    v = coalition_values([types[at] for at in kind], tariff)
    for mask in range(2**5):
        have = np.bincount(kind[[at for at in range(5) if mask >> at & 1]], minlength=3)
        assert v[mask] == pytest.approx(by_count[tuple(have)], abs=1e-6)
    assert shapley_by_type(by_count, counts)[kind] == pytest.approx(shapley(v, 5), abs=1e-6)


def test_two_who_share_a_battery_and_a_peak_by_hand():
    """
    A store of 1 MWh and a shop of 2 MW in the second hour; energy at 20 and then 60, a peak at 30 a MW, sold for 0.

    Alone the store rests and the shop pays 2 x 60 + 2 x 30 = 180. Together 1 MWh is bought at 20 and 1 MWh at 60, and
    the peak is 1 MW: 20 + 60 + 30 = 110. With a tenth lost on the way, 0.9 arrive: 20 + 1.1 x 60 + 1.1 x 30 = 119; a
    fee of 5 on what arrives makes it 123.5.
    """
    members = {"store": Member(0.0, battery=STORE), "shop": Member([0.0, 2.0])}
    prices = {"import_price": [20.0, 60.0], "demand_charge": 30.0}
    planner = CoalitionPlanner(members, Tariff(**prices))
    assert planner.table()["cost"].tolist() == pytest.approx([0, 180, 110])
    assert planner.values() == pytest.approx([0, 0, 0, 70])
    plan = planner.plan([0, 1])
    assert plan.members == ("store", "shop")
    assert plan.schedule["store_battery_mw"].tolist() == pytest.approx([-1, 1])
    assert plan.schedule["import_mw"].tolist() == pytest.approx([1, 1])
    assert plan.schedule["shared_mw"].tolist() == pytest.approx([0, 1])
    assert shapley(planner.values(), 2) == pytest.approx([35, 35])
    assert CoalitionPlanner(members, Tariff(**prices, loss_share=0.1)).cost([0, 1]) == pytest.approx(119)
    lossy = CoalitionPlanner(members, Tariff(**prices, loss_share=0.1, network_fee=5.0))
    assert lossy.cost([0, 1]) == pytest.approx(123.5)
    assert lossy.plan([0, 1]).schedule["shared_mw"].tolist() == pytest.approx([0, 0.9])


@settings(max_examples=8)
@given(st.integers(0, 99), st.sampled_from([0.0, 0.05]))
def test_sharing_creates_nothing_without_sun_to_spare_or_peaks_apart(seed, loss_share):
    rng = np.random.default_rng(seed)
    shape = rng.uniform(0, 2, 5)
    members = [Member(rng.uniform(0.1, 3) * shape, solar_mw=0.05 * shape * rng.random()) for _ in range(3)]
    tariff = tariff_of(seed, 5, demand_charge=100.0, loss_share=loss_share)
    assert coalition_values(members, tariff).tolist() == [0.0] * 8
    apart = [*members[:2], Member(np.roll(shape, 1))]
    assert coalition_values(apart, tariff)[-1] > 0  # their peaks come at different times
    free = replace(tariff, demand_charge=0.0)
    assert coalition_values(apart, free).tolist() == [0.0] * 8
    sunny = [*members[:2], Member(0.0, solar_mw=0.1)]
    assert coalition_values(sunny, free)[-1] > 0


def test_what_is_lost_on_the_way_lowers_what_is_saved_and_to_nothing_in_the_end():
    members, saved = town(3), []
    for loss_share in (0.0, 0.02, 0.1, 0.3, 0.999):
        saved.append(coalition_values(members, tariff_of(loss_share=loss_share))[-1])
    assert (np.diff(saved) <= 1e-9).all()
    assert saved[0] > 1 > saved[-1]
    fees = [coalition_values(members, tariff_of(network_fee=fee))[-1] for fee in (0.0, 5.0, 1000.0)]
    assert fees[0] == pytest.approx(saved[0])
    assert fees[0] > fees[1] > fees[2] == 0


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("more", [{}, {"loss_share": 0.05}])
def test_homes_and_works_save_in_proportion_to_their_size(size, more):
    saved = coalition_values(town(3, size=size), tariff_of(demand_charge=20.0, **more))
    assert saved / size == pytest.approx(coalition_values(town(3), tariff_of(demand_charge=20.0, **more)), abs=1e-6)


@pytest.mark.parametrize("low", [20.0, -120.0])
@pytest.mark.parametrize("more", [{}, {"loss_share": 0.05, "network_fee": 1.0}, {"network_fee": 40.0}])
def test_a_plan_balances_keeps_to_limits_and_costs_what_it_says(more, low):
    hours, tariff = 0.5, tariff_of(3, low=low, demand_charge=25.0, **more)
    members = dict(zip("abc", town(3, seed=2), strict=True))
    planner = CoalitionPlanner(members, tariff, step_hours=hours)
    for coalition in [(0,), (0, 1), (0, 1, 2)]:
        plan = planner.plan(coalition)
        assert plan.cost == pytest.approx(planner.cost(coalition), abs=1e-6)
        schedule, power, wear = plan.schedule, np.zeros((3, 6)), 0.0
        for at, name in enumerate(plan.members):
            member = members[name]
            power[at] = np.broadcast_to(member.solar_mw, 6) - np.broadcast_to(member.load_mw, 6)
            if member.battery is None:
                assert f"{name}_battery_mw" not in schedule
                continue
            battery, moved = member.battery, schedule[f"{name}_battery_mw"].to_numpy()
            soc = schedule[f"{name}_soc_mwh"].to_numpy()
            assert np.abs(moved).max() <= battery.power_mw + 1e-9
            assert soc.min() >= battery.soc_low_mwh - 1e-9
            assert soc.max() <= battery.soc_high_mwh + 1e-9
            start = battery.soc_low_mwh if member.soc_mwh is None else member.soc_mwh
            assert soc[-1] >= start - 1e-9
            kept, base = 1 - battery.self_discharge_per_hour * hours, battery.soc_low_mwh
            drawn, given_ = np.maximum(-moved, 0) * hours, np.maximum(moved, 0) * hours
            change = battery.eta_charge * drawn - given_ / battery.eta_discharge
            assert soc - base == pytest.approx(kept * (np.append(start, soc[:-1]) - base) + change, abs=1e-7)
            power[at] += moved
            wear += battery.degradation_cost * given_.sum()
        lost = schedule["shared_mw"] * tariff.loss_share / (1 - tariff.loss_share)
        net = schedule["export_mw"] - schedule["import_mw"] + schedule["spilled_mw"] + lost
        assert power.sum(axis=0) == pytest.approx(net.to_numpy(), abs=1e-7)
        money = schedule["import_mw"] @ tariff.import_price - schedule["export_mw"] @ tariff.export_price
        money += tariff.network_fee * schedule["shared_mw"].sum()
        assert hours * money + wear + 25 * schedule["import_mw"].max() == pytest.approx(plan.cost, abs=1e-6)


def test_energy_that_nobody_buys_is_spilled_and_not_burnt():
    members = [Member(0.0, [2.0, 0.0, 0.0], Battery(1.0, 0.5, 0.8, 0.8)), Member([0.0, 1.0, 0.0])]
    planner = CoalitionPlanner(members, Tariff([50.0, 50.0, 50.0]))
    plan = planner.plan([0, 1])
    moved = plan.schedule["0_battery_mw"].to_numpy()
    assert moved == pytest.approx([-0.625, 0.4, 0])
    assert plan.cost == pytest.approx(30)
    assert plan.schedule["spilled_mw"].sum() + plan.schedule["export_mw"].sum() == pytest.approx(2 - 0.625)


def test_a_battery_that_ramps_slowly_costs_what_the_slow_programme_says():
    slow = Member([1.0, 0.0, 1.0, 0.0], battery=Battery(1.0, 2.0, 0.9, 0.9, ramp_mw_per_hour=0.5))
    fast = replace(slow, battery=Battery(1.0, 2.0, 0.9, 0.9))
    tariff = Tariff([90.0, 10.0, 90.0, 10.0])
    assert CoalitionPlanner([slow], tariff).cost([0]) > CoalitionPlanner([fast], tariff).cost([0]) + 1
    moved = CoalitionPlanner([slow], tariff).plan([0]).schedule["0_battery_mw"]
    assert np.abs(np.diff(moved, prepend=0)).max() <= 0.5 + 1e-9


def test_one_coalition_saves_what_the_table_says_and_the_grand_one_can_be_held_together():
    members, tariff = dict(zip("abcde", town(5), strict=True)), tariff_of(demand_charge=50.0)
    planner = CoalitionPlanner(members, tariff)
    v, table = planner.values(), planner.table()
    assert table["value"].tolist() == pytest.approx(v[1:].tolist())
    assert table.loc[table["coalition"] == "a+c", "value"].item() == pytest.approx(planner.value([2, "a"]))
    assert planner.value([]) == planner.cost([]) == 0
    assert in_core(v, 5, nucleolus(v, 5))


def test_many_members_are_for_counts_or_for_a_sample():
    members, tariff = town(17, batteries=False), tariff_of(demand_charge=50.0)
    planner = CoalitionPlanner(members, tariff)
    with pytest.raises(DataError, match="131072 coalitions, above 65536"):
        planner.values()
    found = shapley_sampled(planner.value, 17, samples=8, rng=np.random.default_rng(0))
    assert found.value.sum() == pytest.approx(planner.value(range(17)))
    assert found.value.min() > 0


def test_all_coalitions_are_met_one_member_apart():
    from gridlab.mpc.coalitions import _neighbours

    places = list(_neighbours((2, 3, 2, 1, 2)))
    assert sorted(places) == list(itertools.product(*map(range, (2, 3, 2, 1, 2))))
    assert all(np.abs(np.subtract(a, b)).sum() == 1 for a, b in itertools.pairwise(places))


@pytest.mark.parametrize(
    ("members", "tariff", "message"),
    [
        ([], {}, "there are no members"),
        ({1: Member(1.0), 0: Member(2.0)}, {}, "member names must be text, got 1"),
        ([Member("a")], {}, "load_mw of 0 must be numbers"),
        ([1.0], {}, "member 0 must be a Member, got 1.0"),
        (Member(1.0), {}, "members must be a mapping from names to Member or a sequence"),
        (5, {}, "members must be a mapping from names to Member or a sequence"),
        ([Member(1.0, battery="x")], {}, "the battery of 0 must be a Battery, got 'x'"),
        ([Member(1.0, battery=STORE, soc_mwh="x")], {}, "soc_mwh of 0 must be one number, got 'x'"),
        ([Member(1.0)], {"import_price": ["a", "b"]}, "import_price must be numbers"),
        ([Member(1.0)], {"demand_charge": "a"}, "demand_charge must be one number"),
        ([Member(1.0)], {"loss_share": [0.1, 0.2]}, "loss_share must be one number"),
        ([Member([1.0])], {}, r"load_mw of 0 must be a number or 2 of them"),
        ([Member([1.0, np.nan])], {}, "load_mw of 0 must be finite, got nan MW in interval 1"),
        ({"a": Member([1.0, -2.0])}, {}, "load_mw of a must be at least 0 MW, got -2 in interval 1"),
        ([Member(1.0, -1.0)], {}, "solar_mw of 0 must be at least 0 MW"),
        ([Member(1.0)], {"export_price": [0.0, 60.0]}, "got 60 above 50 .* in interval 1"),
        ([Member(1.0)], {"import_price": [[1.0]]}, "import_price must be a vector"),
        ([Member(1.0)], {"import_price": []}, "import_price must be a vector"),
        ([Member(1.0)], {"import_price": [1.0, np.inf]}, "import_price must be finite"),
        ([Member(1.0)], {"demand_charge": -1.0}, "demand_charge must be at least 0"),
        ([Member(1.0)], {"network_fee": np.nan}, "network_fee must be at least 0"),
        ([Member(1.0)], {"loss_share": 1.0}, "loss_share must be in"),
    ],
)
def test_members_and_tariffs_that_are_none_are_refused(members, tariff, message):
    with pytest.raises(DataError, match=message):
        coalition_values(members, Tariff(**({"import_price": [50.0, 50.0]} | tariff)))


def test_what_cannot_be_is_refused():
    tariff = Tariff([50.0, 50.0])
    with pytest.raises(PlanError, match=r"battery of a.*soc"):
        coalition_values({"a": Member(1.0, battery=STORE, soc_mwh=2.0)}, tariff)
    with pytest.raises(DataError, match="step_hours"):
        coalition_values([Member(1.0)], tariff, step_hours=0.0)
    with pytest.raises(DataError, match="step_hours must be one number, got 'a'"):
        coalition_values([Member(1.0)], tariff, step_hours="a")
    with pytest.raises(DataError, match="tariff must be a Tariff, got None"):
        coalition_values([Member(1.0)], None)
    for counts in [(1,), (1, -1), (1, 0.5), 5]:
        with pytest.raises(DataError, match="counts must be a whole number"):
            values_by_count([Member(1.0), Member(2.0)], counts, tariff)
    planner = CoalitionPlanner([Member(1.0), Member(2.0)], tariff)
    for coalition in ([2], [0, 0], [-1], ["x"], [0, "0"]):
        with pytest.raises(DataError, match="members 0 to 1, or their names, each once"):
            planner.cost(coalition)
    for coalition in (1, "0", None):
        with pytest.raises(DataError, match="iterable of members"):
            planner.cost(coalition)
    burning = [Member([0.0], battery=Battery(1.0, 1.0, 0.5, 0.5), soc_mwh=1.0)]
    with pytest.raises(PlanError, match="alike batteries"):
        values_by_count(burning, (2,), Tariff([-50.0], [-60.0]))


def test_a_day_of_real_prices_is_worth_sharing(data_dir):
    from gridlab.sources import read_prices

    day = read_prices(data_dir / "epf" / "PJM.csv")["price"].loc["2013-07-17"]
    members, bought = town(4, n_steps=len(day)), day.to_numpy()
    tariff = Tariff(bought + 10.0, bought, demand_charge=500.0, loss_share=0.02)
    planner = CoalitionPlanner(members, tariff)
    v = planner.values()
    assert is_superadditive(v, 4, tolerance=1e-8)
    assert v[-1] > 100
    assert planner.cost(range(4)) == pytest.approx(by_cvxpy(members, tariff, 1.0), rel=1e-7)
    assert nucleolus(v, 4).min() >= 0
