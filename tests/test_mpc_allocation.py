"""Laws of the allocation of machines under a cap, against enumeration, a slow recursion and HiGHS."""

import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from gridlab.errors import DataError, PlanError
from gridlab.mpc import allocation
from gridlab.mpc.allocation import allocate, nearly
from gridlab.mpc.allocation_core import by_recursion
from gridlab.sources.mara import DOCUMENTED, EVENT, Quote, margins

EVENT_POWER, DOCUMENTED_POWER = list(EVENT.power.values()), list(DOCUMENTED.power.values())


def money(counts, case):
    """What an allocation earns, exactly."""
    earned = sum((Fraction(m) * n for m, n in zip(case["margin"], counts, strict=True)), Fraction(0))
    switched = (Fraction(s) * abs(n - b) for s, n, b in zip(case["cost"], counts, case["before"], strict=True))
    return earned - sum(switched, Fraction(0))


def enumerated(case, tied=Fraction(1, 10**12)):
    """The slow obvious version: every allocation under the cap, and the rule word for word."""
    ranges = [range(h, m + 1) for h, m in zip(case["held"], case["most"], strict=True)]
    under = [n for n in itertools.product(*ranges) if np.dot(n, case["power"]) <= case["cap"]]
    base = money(case["held"], case)
    gains = {n: money(n, case) - base for n in under}
    floor = max(gains.values()) * (1 - tied)
    best = [n for n in under if gains[n] >= floor]
    switched = {n: sum(abs(a - b) for a, b in zip(n, case["before"], strict=True)) for n in best}

    def rule(n):
        return (np.dot(n, case["power"]), switched[n] if case["counted"] else 0, [-count for count in n])

    return min(best, key=rule)


def solved(case):
    extra = {"before": case["before"], "switching_cost": case["cost"]} if case["counted"] else {}
    return allocate(case["margin"], case["power"], case["cap"], most=case["most"], held=case["held"], **extra)


def recursed(case):
    ints = {name: np.array(case[name], dtype=np.int64) for name in ("power", "most", "held", "before")}
    floats = {name: np.array(case[name], dtype=float) for name in ("margin", "cost")}
    counts, status = by_recursion(
        floats["margin"], ints["power"], case["cap"], ints["most"], ints["held"], ints["before"], floats["cost"],
        case["counted"], 10**6,
    )  # fmt: skip
    assert status == 0
    return tuple(counts.tolist())


@st.composite
def cases(draw):
    """Small sites: margins of any sign, whole, decimal or in proportion to power, so that many tie."""
    n = draw(st.integers(1, 4))
    power = draw(st.lists(st.integers(1, 12), min_size=n, max_size=n))
    size = draw(st.sampled_from([1.0, 1e-12, 1e12]))
    free = st.floats(-1, 5, allow_subnormal=False).map(lambda x: round(x, 6))
    tied = st.sampled_from([0.1, 0.1, 0.2, 0.1 * (1 + 1e-15), 0.1 * (1 + 1e-8)])
    per_power = draw(st.booleans())
    drawn = draw(st.lists(tied if per_power else st.one_of(free, st.integers(-1, 4)), min_size=n, max_size=n))
    margin = [float(size * m * (w if per_power else 1)) for m, w in zip(drawn, power, strict=True)]
    counts = st.lists(st.integers(0, 6), min_size=n, max_size=n)
    cap = draw(st.integers(0, 40))
    held = [draw(st.integers(0, 2)) for _ in range(n)] if draw(st.booleans()) else [0] * n
    assume(np.dot(held, power) <= cap)
    counted = draw(st.booleans())
    cost = [size * draw(st.sampled_from([0.0, 0.0, 0.05, 0.5])) for _ in range(n)] if counted else [0.0] * n
    most = [h + draw(st.integers(0, 12)) for h in held]
    before = draw(counts) if counted else [0] * n
    return {
        "margin": margin, "power": power, "cap": cap, "most": most, "held": held, "before": before, "cost": cost,
        "counted": counted,
    }  # fmt: skip


@settings(max_examples=300)
@given(cases())
def test_an_allocation_is_the_one_that_enumeration_and_the_stated_rule_choose(case):
    best = enumerated(case)
    found = solved(case)
    assert found.counts == best
    assert found.power == np.dot(best, case["power"])
    assert found.value == pytest.approx(float(money(best, case)), rel=1e-12, abs=1e-12 * max(map(abs, case["margin"])))


@settings(max_examples=150)
@given(cases())
def test_the_recursion_over_power_gives_the_same_allocation_as_the_search(case):
    assert recursed(case) == solved(case).counts


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_an_allocation_of_a_whole_site_earns_what_highs_says(seed, switches):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    power, cap = rng.integers(2_000, 20_000, n), 1_000_000
    margin = power * (1 + rng.choice([0.3, 0.05, 0.01]) * rng.uniform(-1, 1, n))
    before = rng.integers(0, 15, n)
    cost = 0.2 * power * rng.uniform(size=n) if switches else np.zeros(n)
    found = allocate(margin, power, cap, before=before, switching_cost=cost)
    # counts, machines started and machines stopped
    law = np.hstack([np.eye(n), -np.eye(n), np.eye(n)])
    answer = milp(
        -np.concatenate([margin, -cost, -cost]),
        constraints=[
            LinearConstraint(np.concatenate([power, np.zeros(2 * n)])[None, :], ub=cap),
            LinearConstraint(law, before, before),
        ],
        integrality=np.concatenate([np.ones(n), np.zeros(2 * n)]),
        bounds=Bounds(0, np.inf),
        options={"mip_rel_gap": 1e-7, "time_limit": 5.0},
    )
    assert found.power <= cap
    assert found.value >= -answer.fun * (1 - 1e-9)  # never less than HiGHS finds
    if answer.mip_dual_bound is not None:
        assert found.value <= -answer.mip_dual_bound * (1 + 1e-6)  # nor more than it proves


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 30, 300]), st.sampled_from([0.0, 1e-9, 1e-4, 0.3]))
def test_a_search_that_is_cut_short_keeps_the_cap_and_loses_less_than_one_machine(seed, nodes, closeness):
    rng = np.random.default_rng(seed)
    power, held, cap = rng.integers(2_000, 20_000, 5), rng.integers(0, 5, 5), 1_000_000
    margin = power * (1 + closeness * rng.uniform(-1, 1, 5))
    most = held + rng.integers(0, 300, 5)
    none = np.zeros(5, np.int64)
    counts = nearly(margin, power, cap, most, held, none, np.zeros(5), nodes)
    best = allocate(margin, power, cap, most=most, held=held)
    assert (counts >= held).all()
    assert (counts <= most).all()
    assert counts @ power <= cap
    assert best.value - margin.max() <= counts @ margin <= best.value * (1 + 1e-9)


@given(st.integers(0, 2**32 - 1))
def test_exact_ties_of_awkward_powers_fill_the_cap_as_far_as_any_allocation_can(seed):
    rng = np.random.default_rng(seed)
    power = rng.integers(2_000, 20_000, 5)
    found = allocate(power * 0.7, power, 1_000_000, before=rng.integers(0, 10, 5))
    reached = 1  # a bit for each power that some allocation draws
    for w in power.tolist():
        step = w
        while step <= 1_000_000:
            reached |= (reached << step) & ((1 << 1_000_001) - 1)
            step *= 2
    assert found.power == reached.bit_length() - 1
    assert found.value == pytest.approx(0.7 * found.power, rel=1e-12, abs=0)


def slow_value(margin, power, cap):
    """The textbook recursion over every unit of the cap."""
    best = np.zeros(cap + 1)
    for used in range(1, cap + 1):
        options = [best[used - w] + m for m, w in zip(margin, power, strict=True) if w <= used]
        best[used] = max([best[used - 1], *options])
    return best[cap]


@settings(max_examples=25)
@given(st.lists(st.integers(30, 300), min_size=2, max_size=5), st.integers(0, 3_000), st.integers(0, 2**32 - 1))
def test_near_ties_of_awkward_powers_are_told_apart_as_by_the_slow_recursion(power, cap, seed):
    rng = np.random.default_rng(seed)
    margin = [w * (1 + 1e-4 * rng.uniform()) for w in power]
    assert allocate(margin, power, cap).value == pytest.approx(slow_value(margin, power, cap), rel=1e-12, abs=0)


@given(cases(), st.integers(0, 3))
def test_noise_in_the_last_bits_of_margins_does_not_move_the_allocation(case, seed):
    rng = np.random.default_rng(seed)
    noisy = [float(m * (1 + 4e-16 * rng.integers(-2, 3))) for m in case["margin"]]
    assume(enumerated(case, Fraction(1, 10**11)) == enumerated(case, Fraction(1, 10**13)))
    assume(all(c == 0 for c in case["cost"]))
    assert solved(case | {"margin": noisy}).counts == solved(case).counts


def test_nothing_runs_where_nothing_pays_or_fits():
    assert allocate([-1.0, 0.0, -1e12], [1, 2, 3], 100) == ((0, 0, 0), 0.0, 0)
    assert allocate([5.0, 6.0], [7, 9], 6).counts == (0, 0)
    assert allocate([5.0], [7], 0).counts == (0,)


def test_machines_that_lose_money_run_only_where_they_are_held():
    assert allocate([-5.0, 2.0], [3, 4], 12, held=[2, 0]) == ((2, 1), -8.0, 10)


def test_ties_go_to_the_least_power_then_the_fewest_switched_then_the_earlier_type():
    assert allocate([1.0, 1.0], [3, 2], 3).counts == (0, 1)
    assert allocate([2.0, 4.0], [5, 10], 20).counts == (4, 0)
    assert allocate([2.0, 4.0], [5, 10], 20, before=[0, 2]).counts == (0, 2)
    assert allocate([1.0] * 12, [10] * 12, 10_000).counts == (1000, *[0] * 11)


def test_margins_of_very_different_size_go_together():
    found = allocate([1e-12, 1e12], [1, 5], 12)
    assert found.counts == (0, 2)  # what is left over earns less than a share of 1e-12
    assert allocate([1e-12, 1e-11], [1, 5], 12).counts == (2, 2)


def test_the_documented_inventory_fills_the_remainder_that_66_asics_leave():
    quote = Quote(pd.Timestamp("2025-06-21", tz="UTC"), 1.0, 2.0, 1.0)
    found = allocate(list(margins(DOCUMENTED, quote).values()), DOCUMENTED_POWER, 1_000_000)
    assert found.counts == (0, 2, 0, 0, 66)  # hydro and immersion tie: the earlier type
    assert (found.power, found.value) == (1_000_000, 2_320_000.0)


def test_hydro_fills_the_cap_on_every_row_of_the_recorded_day(data_dir):
    rows = pd.read_csv(data_dir / "mara" / "prices_2025-06-21.csv")
    times = pd.to_datetime(rows["timestamp_utc"], utc=True)
    assert len(rows) == 110
    for time, row in zip(times, rows.itertuples(index=False), strict=True):
        quote = Quote(time, row.energy_price, row.hash_price, row.token_price)
        found = allocate(list(margins(EVENT, quote).values()), EVENT_POWER, 1_000_000)
        assert found.counts == (0, 200, 0, 0, 0)
        assert found.power == 1_000_000


@given(st.integers(0, 2**32 - 1))
def test_a_switching_cost_above_what_the_horizon_pays_leaves_everything_as_it_was(seed):
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 20, 5)
    margin = rng.uniform(-1, 1, 5)
    found = allocate(margin, EVENT_POWER, 1_000_000, before=before, switching_cost=np.full(5, 2.0))
    assert found.counts == tuple(before.tolist())


@given(st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=5), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_greater_cap_never_earns_less(margin, cap, more):
    assert allocate(margin, DOCUMENTED_POWER, cap + more).value >= allocate(margin, DOCUMENTED_POWER, cap).value - 1e-9


def test_large_coprime_powers_are_exact_or_refused(monkeypatch):
    power = [999_999_937, 999_999_929, 999_999_893]
    found = allocate([3.0, 2.0, 1.0], power, 10**12)
    assert found.counts == (1000, 0, 0)
    monkeypatch.setattr(allocation, "_NODES", (100, 1_000))
    with pytest.raises(PlanError, match="no optimum was proven within 1000 nodes"):
        allocate([w * (1 + 1e-9 * i) for i, w in enumerate(power)], power, 10**12 - 1)


def test_machines_held_above_the_cap_are_refused_with_by_how_much():
    with pytest.raises(PlanError, match="draw 20000, 5000 above the cap of 15000"):
        allocate([1.0], [5000], 15_000, held=[4])


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"margin": [np.nan]}, "margin must be finite, got nan for type 0"),
        ({"margin": []}, "a number for each machine type"),
        ({"power": [0]}, "power must be whole and in"),
        ({"power": [2.5]}, "power must be whole"),
        ({"power": [1, 2]}, "each of the 1 types"),
        ({"power": ["x"]}, "power must be whole numbers"),
        ({"power": [2 * 10**9]}, "power must be whole and in"),
        ({"cap": -1}, "cap must be whole"),
        ({"cap": 1.5}, "cap must be whole"),
        ({"cap": 10**13}, "cap must be whole"),
        ({"held": [-1]}, "held must be whole"),
        ({"held": [2], "most": [1]}, "held must be at most most, got 2 above 1"),
        ({"switching_cost": [1.0]}, "switching_cost needs before"),
        ({"before": [1], "switching_cost": [-1.0]}, "none negative"),
        ({"before": [np.nan]}, "before must be whole"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(given_, words):
    call = {"margin": [1.0], "power": [5], "cap": 20} | given_
    with pytest.raises(DataError, match=words):
        allocate(call.pop("margin"), call.pop("power"), call.pop("cap"), **call)
