"""Firms on one node: equilibria against iterated replies, closed forms, and leaders against exhaustive search."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError, PlanError
from gridlab.games.curves import residual_demand
from gridlab.games.oligopoly import competitive, cournot, price_of_anarchy, stackelberg_cournot
from gridlab.games.price_takers import lead_price_takers
from gridlab.games.supply_functions import supply_function_equilibrium

whole = st.integers(0, 20).map(float)


@st.composite
def markets(draw, growing=False):
    """Demand 100 - b Q and firms, often alike, with no capacity, or none to speak of."""
    n_firms = draw(st.integers(1, 5))
    each = {"min_size": n_firms, "max_size": n_firms}
    slope = draw(st.sampled_from([1e-4, 0.5, 1.0, 3.0, 1e4]))
    cost = draw(st.lists(st.sampled_from([-20.0, 0.0, 20.0, 20.0, 50.0, 99.0, 100.0, 130.0]), **each))
    rise = [0.01, 1.0, 1e5] if growing else [0.0, 0.0, 1e-9, 1.0, 1e5]
    rises = [slope * x for x in draw(st.lists(st.sampled_from(rise), **each))]
    room = draw(st.lists(st.sampled_from([0.0, 1e-6, 5.0, 20.0, 40.0, np.inf]), **each))
    return (100.0, slope, cost), {"cost_slope": rises, "capacity_mw": [x / slope for x in room]}


def by_replies(market, limits, rounds=4000):
    """Each firm in turn replies to the others, until nothing moves."""
    (level, slope, cost), quantity = market, np.zeros(len(market[2]))
    for _ in range(rounds):
        before = quantity.copy()
        for i in range(len(cost)):
            room = level - cost[i] - slope * (quantity.sum() - quantity[i])
            quantity[i] = min(max(room / (2 * slope + limits["cost_slope"][i]), 0.0), limits["capacity_mw"][i])
        if np.abs(quantity - before).max() <= 1e-15 * np.abs(quantity).max():
            break
    return quantity


@given(markets())
def test_cournot_quantities_are_those_to_which_replies_in_turn_lead(drawn):
    market, limits = drawn
    assert cournot(*market, **limits).quantity_mw == pytest.approx(
        by_replies(market, limits), rel=1e-7, abs=1e-9 / market[1]
    )


@given(markets())
def test_no_firm_regrets_its_cournot_quantity(drawn):
    market, limits = drawn
    answer = cournot(*market, **limits)
    (level, slope, cost), quantity = market, answer.quantity_mw
    assert (answer.regret <= 1e-12 * np.maximum(answer.profit, 1e-12 * level**2 / slope)).all()
    for i, capacity in enumerate(limits["capacity_mw"]):
        others = slope * (quantity.sum() - quantity[i])
        tried = np.linspace(0, min(capacity, 300 / slope), 101)
        profit = (level - others - slope * tried - cost[i] - limits["cost_slope"][i] * tried / 2) * tried
        assert profit.max() <= answer.profit[i] + 1e-9 * level**2 / slope
    assert (quantity >= 0).all() and (quantity <= limits["capacity_mw"]).all()
    assert answer.price == pytest.approx(level - slope * quantity.sum())


@given(markets())
def test_competition_has_the_greatest_welfare_and_the_least_price_and_a_leader_gains_by_leading(drawn):
    market, limits = drawn
    unit = 100.0**2 / market[1]
    best, simultaneous, led = (solve(*market, **limits) for solve in (competitive, cournot, stackelberg_cournot))
    fringe = stackelberg_cournot(*market, **limits, followers="price_takers")
    for outcome in (simultaneous, led, fringe):
        assert best.welfare >= outcome.welfare - 1e-12 * unit
        assert best.price <= outcome.price + 1e-10
    assert led.profit[0] >= simultaneous.profit[0] - 1e-12 * unit
    assert fringe.profit[0] >= best.profit[0] - 1e-10 * unit
    assert price_of_anarchy(best, simultaneous) >= 1 - 1e-9
    followed = {**limits, "capacity_mw": [led.quantity_mw[0], *limits["capacity_mw"][1:]]}
    assert (led.regret[1:] <= 1e-12 * unit).all()
    assert led.quantity_mw == pytest.approx(
        by_replies((100.0, market[1], [-1e6 if i == 0 else c for i, c in enumerate(market[2])]), followed),
        rel=1e-6,
        abs=1e-9 / market[1],
    )


@given(markets())
def test_the_order_of_firms_does_not_matter(drawn):
    (level, slope, cost), limits = drawn
    turned = {name: column[::-1] for name, column in limits.items()}
    for solve in (cournot, competitive):
        here, there = solve(level, slope, cost, **limits), solve(level, slope, cost[::-1], **turned)
        assert here.quantity_mw[::-1] == pytest.approx(there.quantity_mw, abs=1e-11 / slope, rel=1e-9)


@given(markets())
def test_where_the_leader_stands_its_profit_is_the_greatest_of_many_quantities_tried(drawn):
    market, limits = drawn
    led = stackelberg_cournot(*market, **limits)
    reach = min(limits["capacity_mw"][0], 200 / market[1])
    for tried in np.linspace(0, reach, 9):
        followed = {**limits, "capacity_mw": [tried, *limits["capacity_mw"][1:]]}
        forced = (100.0, market[1], [-1e6, *market[2][1:]])
        quantity = by_replies(forced, followed)
        price = 100.0 - market[1] * quantity.sum()
        profit = (price - market[2][0] - limits["cost_slope"][0] * tried / 2) * tried
        assert profit <= led.profit[0] + 1e-9 * 100**2 / market[1]


@pytest.mark.parametrize("n_firms", [1, 2, 3, 10])
def test_alike_firms_sell_as_in_the_textbook_and_cost_the_known_share_of_welfare(n_firms):
    market = 120.0, 2.0, [24.0] * n_firms
    answer, best = cournot(*market), competitive(*market)
    assert answer.quantity_mw == pytest.approx([(120 - 24) / (2 * (n_firms + 1))] * n_firms, rel=1e-14)
    assert answer.hhi == pytest.approx(1 / n_firms)
    assert price_of_anarchy(best, answer) == pytest.approx((n_firms + 1) ** 2 / (n_firms * (n_firms + 2)), rel=1e-13)
    elasticity = answer.price / (2.0 * answer.quantity_mw.sum())
    assert answer.lerner == pytest.approx([1 / (n_firms * elasticity)] * n_firms)
    assert best.price == pytest.approx(24.0)


def test_a_leader_regrets_that_it_cannot_reply_to_its_followers():
    # it sells 40 and its follower 20 at 40; against 20 it would sell 30 at 50 and earn 900 in place of 800
    assert stackelberg_cournot(100.0, 1.0, [20.0, 20.0]).regret == pytest.approx([100.0, 0.0])


@pytest.mark.parametrize("capacity", [[np.inf, np.inf, np.inf], [30.0, 25.0, 10.0], [90.0, 4.0, 80.0]])
@pytest.mark.parametrize("solve", [competitive, stackelberg_cournot])
def test_what_a_firm_regrets_is_what_the_best_of_many_quantities_gains(solve, capacity):
    cost, rise = np.array([20.0, 25.0, 40.0]), np.array([0.2, 1.0, 0.5])
    answer = solve(100.0, 1.5, cost, cost_slope=rise, capacity_mw=capacity)
    gains = np.zeros(3)
    for firm, sold in enumerate(answer.quantity_mw):
        tried = np.append(np.linspace(0.0, min(capacity[firm], 100.0), 20_001), sold)
        price = 100.0 - 1.5 * (answer.quantity_mw.sum() - sold + tried)
        profit = (price - cost[firm] - rise[firm] * tried / 2) * tried
        gains[firm] = profit.max() - profit[-1]
    assert gains.max() > 1
    assert answer.regret == pytest.approx(gains, abs=1e-4)
    assert (answer.regret >= gains - 1e-9).all()


def test_firms_that_sell_nothing_earn_nothing_and_not_less():
    for solve in (cournot, competitive, stackelberg_cournot):
        assert not np.signbit(solve(10.0, 1.0, [20.0, 10.0, 5.0]).profit).any()


def test_stackelbergs_duopoly():
    answer = stackelberg_cournot(90.0, 3.0, [30.0, 30.0])
    assert answer.quantity_mw == pytest.approx([60 / (2 * 3), 60 / (4 * 3)], rel=1e-14)
    second = stackelberg_cournot(90.0, 3.0, [30.0, 30.0], leader=1)
    assert second.quantity_mw == pytest.approx(answer.quantity_mw[::-1])


def test_where_none_would_sell_nothing_is_sold():
    for solve in (cournot, competitive, stackelberg_cournot):
        answer = solve(10.0, 1.0, [20.0, 10.0])
        assert (answer.quantity_mw.tolist(), answer.price, answer.welfare) == ([0, 0], 10, 0)
        assert np.isnan(answer.hhi)
    assert price_of_anarchy(competitive(10.0, 1.0, [20.0]), cournot(10.0, 1.0, [20.0])) == 1


@given(markets(growing=True), st.lists(st.sampled_from([1.0, 30.0, 60.0, 100.0, 400.0]), min_size=1, max_size=3))
def test_supply_functions_set_prices_between_competition_and_cournot(drawn, demands):
    (_, slope, cost), limits = drawn
    bids = supply_function_equilibrium(demands, slope, cost, **limits)
    for i, demand in enumerate(demands):
        low, high = (solve(demand, slope, cost, **limits).price for solve in (competitive, cournot))
        assert low - 1e-9 * demand <= bids.price[i] <= high + 1e-9 * demand
    assert bids.price_of_anarchy >= 1 - 1e-9


@given(markets(growing=True), st.sampled_from([150.0, 400.0]))
def test_each_supply_function_is_a_best_reply_where_all_sell_and_no_capacity_is_in_reach(drawn, demand):
    (_, slope, cost), limits = drawn
    bids = supply_function_equilibrium([demand], slope, cost, cost_slope=limits["cost_slope"])
    assume((bids.outcomes[0].quantity_mw > 0).all())
    assert (bids.regret <= 1e-9 * demand**2 / slope).all()
    own, rise = bids.slope_mw, np.array(limits["cost_slope"])
    right = (1 - rise * own) * (1 / slope + own.sum() - own)
    assert own == pytest.approx(right, rel=1e-6)


@given(markets(growing=True), st.sampled_from([30.0, 100.0]))
def test_the_regret_of_a_supply_function_is_what_the_best_of_many_quantities_gains(drawn, demand):
    (_, slope, cost), limits = drawn
    bids = supply_function_equilibrium([demand], slope, cost, **limits)
    offer = lambda price: np.clip(bids.slope_mw * (price - np.array(cost)), 0, limits["capacity_mw"])  # noqa: E731
    gains = np.zeros(len(cost))
    for price in np.linspace(min(cost), demand, 301):
        left = (demand - price) / slope - (offer(price).sum() - offer(price))
        sold = np.clip(left, 0, limits["capacity_mw"])
        profit = np.where(left == sold, (price - cost - np.array(limits["cost_slope"]) * sold / 2) * sold, -np.inf)
        gains = np.maximum(gains, profit - bids.outcomes[0].profit)
    unit = demand**2 / slope
    assert (gains <= bids.regret[0] + 1e-9 * unit).all()
    assert (gains >= bids.regret[0] - 2e-2 * unit).all()


@pytest.mark.parametrize("n_firms", [2, 3, 7])
@pytest.mark.parametrize("rise", [0.01, 1.0, 50.0])
def test_alike_firms_bid_the_slope_of_klemperer_and_meyer(n_firms, rise):
    slope = 0.5
    bids = supply_function_equilibrium([80.0], slope, [10.0] * n_firms, cost_slope=rise)
    linear = 1 + rise / slope - (n_firms - 1)
    root = (-linear + np.sqrt(linear**2 + 4 * rise * (n_firms - 1) / slope)) / (2 * rise * (n_firms - 1))
    assert bids.slope_mw == pytest.approx([root] * n_firms, rel=1e-12)


def test_one_firm_with_supply_functions_is_a_monopoly():
    bids = supply_function_equilibrium([80.0], 0.5, [10.0], cost_slope=0.0)
    assert bids.price == pytest.approx([cournot(80.0, 0.5, [10.0]).price])


def test_welfare_lost_over_demands_is_weighted_by_their_probability():
    kept = {"cost_slope": 1.0, "capacity_mw": [3.0, 30.0]}
    one, other = (supply_function_equilibrium([demand], 1.0, [0.0, 5.0], **kept) for demand in (20.0, 60.0))
    both = supply_function_equilibrium([20.0, 60.0], 1.0, [0.0, 5.0], **kept, probability=[3, 1])
    best, met = ([part.best[0].welfare, part.outcomes[0].welfare] for part in (one, other))
    assert both.price_of_anarchy == pytest.approx((3 * best[0] + met[0]) / (3 * best[1] + met[1]))


@st.composite
def bids(draw):
    """Others' bids at few prices, so that many tie; steps, or lines to another price."""
    n_rows = draw(st.integers(1, 6))
    each = {"min_size": n_rows, "max_size": n_rows}
    quantity = np.array(draw(st.lists(st.integers(-4, 4), **each)), dtype=float)
    price = np.array(draw(st.lists(st.sampled_from([-10.0, 0.0, 10.0, 20.0, 20.0, 45.0, 300.0]), **each)))
    width = np.array(draw(st.lists(st.sampled_from([0.0, 0.0, 5.0, 40.0]), **each)))
    return quantity, price, price + np.sign(quantity) * width


def taken(quantity, price, price_to, at):
    """What the others take from the leader at a price, at the least and at the most."""
    least = most = 0.0
    for q, start, end in zip(quantity, price, price_to, strict=True):
        if start == end:
            certain = (at > start) if q > 0 else (at < start)
            least -= q * (certain or (at == start and q > 0))
            most -= q * (certain or (at == start and q < 0))
        else:
            share = np.clip((at - start) / (end - start), 0, 1)
            least, most = least - q * share, most - q * share
    return least, most


@settings(max_examples=120)
@given(bids(), st.sampled_from([-10.0, 0.0, 15.0, 20.0, 60.0]), st.sampled_from([0.0, 1.0, 7.0]), st.booleans())
def test_no_price_and_quantity_that_clear_the_market_earn_a_leader_more(others, cost, cost_slope, buys):
    least = -5.0 if buys else 0.0
    lead = lead_price_takers(
        others[0], others[1], price_to=others[2], capacity_mw=5.0, least_mw=least, cost=cost, cost_slope=cost_slope
    )
    assume(np.any(others[0] != 0))
    corners = np.unique(np.r_[others[1], others[2]])
    best = -np.inf
    for at in np.unique(np.r_[corners, np.linspace(corners[0], corners[-1], 61)]):
        low, high = taken(*others, at)
        for quantity in np.clip(np.linspace(low, high, 21), least, 5.0):
            if low - 1e-12 <= quantity <= high + 1e-12:
                best = max(best, (at - cost - cost_slope * quantity / 2) * quantity)
    assert best <= lead.leader.profit + 1e-9
    low, high = taken(*others, lead.leader.price)
    assert low - 1e-9 <= lead.leader.quantity_mw <= high + 1e-9
    assert lead.gain >= -1e-9
    assert lead.deadweight_loss >= 0


@given(bids(), st.sampled_from([-10.0, 0.0, 15.0, 20.0, 60.0]), st.sampled_from([0.0, 1.0, 7.0]))
def test_the_competitive_quantity_of_a_leader_has_the_greatest_welfare(others, cost, cost_slope):
    assume(np.any(others[0] != 0))
    lead = lead_price_takers(
        others[0], others[1], price_to=others[2], capacity_mw=5.0, least_mw=-5.0, cost=cost, cost_slope=cost_slope
    )
    curve = residual_demand(*others)
    low, high = max(-5.0, curve.quantity_mw[0]), min(5.0, curve.quantity_mw[-1])
    welfare = lambda q: curve.area(low, q) - cost * q - cost_slope * q**2 / 2  # noqa: E731
    best = max(welfare(q) for q in np.linspace(low, high, 201))
    assert welfare(lead.competitive.quantity_mw) >= best - 1e-9
    expected = welfare(lead.competitive.quantity_mw) - welfare(lead.leader.quantity_mw)
    assert lead.deadweight_loss == pytest.approx(expected, abs=1e-9)


def test_a_leader_before_a_straight_demand_and_fringe_sells_the_monopolists_quantity_of_what_is_left():
    # demand 100 - p, fringe p / 3: left for the leader at p is 100 - 4 p / 3
    lead = lead_price_takers([-100.0, 100.0], [100.0, 0.0], price_to=[0.0, 300.0], capacity_mw=100.0, cost=15.0)
    assert lead.leader.price == pytest.approx((75 + 15) / 2)
    assert lead.leader.quantity_mw == pytest.approx(40)
    assert lead.competitive.price == pytest.approx(15)
    assert lead.deadweight_loss == pytest.approx(0.5 * 30 * 40)


def test_a_leader_that_buys_holds_the_price_down():
    # 3 MW are offered at 10 and 2 at 50; each MWh is worth 60 to the leader
    lead = lead_price_takers([3.0, 2.0], [10.0, 50.0], capacity_mw=0.0, least_mw=-5.0, cost=60.0)
    assert lead.leader == (-3.0, 10.0, 150.0)
    assert lead.competitive[:2] == (-5.0, 55.0)  # any price from 50 to 60
    assert lead.withheld_mw == 2


def test_a_leader_with_capacity_to_spare_sets_its_cost_when_it_takes_the_price():
    lead = lead_price_takers([3.0, -4.0], [10.0, 50.0], capacity_mw=6.0, cost=5.0)
    assert lead.competitive == (4.0, 5.0, 0.0)
    assert lead.leader == (1.0, 50.0, 45.0)


def test_a_leader_without_others_does_nothing():
    lead = lead_price_takers([], [], capacity_mw=5.0)
    assert lead.leader.quantity_mw == lead.leader.profit == lead.deadweight_loss == 0
    assert np.isnan(lead.leader.price)
    with pytest.raises(PlanError, match="nobody trades"):
        lead_price_takers([0.0], [1.0], capacity_mw=5.0, least_mw=1.0)


def test_profits_are_for_the_length_of_the_interval():
    hour, quarter = (lead_price_takers([-4.0], [50.0], capacity_mw=3.0, step_hours=h) for h in (1.0, 0.25))
    assert quarter.leader.profit == hour.leader.profit / 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, np.nan], [1.0, 2.0]), "quantity_mw must be finite.*row 1"),
        (([1.0, -1.0], [1.0, np.inf]), "price must be finite.*row 1"),
        (([1.0], [1.0, 2.0]), "one length"),
        ((["a"], [1.0]), "quantity_mw must be numbers"),
    ],
)
def test_bids_that_are_wrong_are_refused_with_the_row(arguments, message):
    with pytest.raises(DataError, match=message):
        lead_price_takers(*arguments, capacity_mw=1.0)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"price_to": [5.0, 80.0]}, "wrong side"),
        ({"capacity_mw": np.nan}, "capacity_mw"),
        ({"capacity_mw": "a"}, "capacity_mw must be one number"),
        ({"cost": [1.0, 2.0]}, "cost must be one number"),
        ({"least_mw": 4.0}, "swap"),
        ({"cost": np.inf}, "cost must be finite"),
        ({"cost_slope": -1.0}, "cost_slope"),
        ({"step_hours": 0.0}, "step_hours"),
    ],
)
def test_leaders_that_cannot_be_are_refused(given_, message):
    with pytest.raises(DataError, match=message):
        lead_price_takers([3.0, -4.0], [10.0, 50.0], **({"capacity_mw": 2.0} | given_))


def test_a_leader_that_must_sell_more_than_is_wanted_is_told_by_how_much():
    with pytest.raises(PlanError, match="by 2 MW"):
        lead_price_takers([-4.0], [50.0], capacity_mw=9.0, least_mw=6.0)


@pytest.mark.parametrize(
    ("market", "limits", "message"),
    [
        ((100.0, 1.0, []), {}, "at least one"),
        ((np.nan, 1.0, [1.0]), {}, "intercept"),
        ((100.0, 0.0, [1.0]), {}, "slope must be above 0"),
        ((100.0, 1.0, [1.0, np.nan]), {}, "cost must be finite, got nan of firm 1"),
        ((100.0, 1.0, [1.0]), {"capacity_mw": -1.0}, "capacity_mw must be at least 0"),
        ((100.0, 1.0, [1.0]), {"capacity_mw": np.nan}, "capacity_mw"),
        ((100.0, 1.0, [1.0]), {"cost_slope": -1.0}, "cost_slope must be at least 0"),
        ((100.0, 1.0, [1.0]), {"cost_slope": [1.0, 2.0]}, "elements of cost"),
        ((100.0, 1.0, ["a", "b"]), {}, "cost must be numbers"),
        ((100.0, "a", [1.0]), {}, "slope must be one number, got 'a'"),
        (([100.0, 120.0], 1.0, [1.0]), {}, r"intercept must be one number, got \[100.0, 120.0\]"),
        ((100.0, 1.0, [1.0]), {"capacity_mw": "a"}, "capacity_mw must be numbers"),
    ],
)
def test_firms_that_cannot_be_are_refused(market, limits, message):
    for solve in (cournot, competitive, stackelberg_cournot):
        with pytest.raises(DataError, match=message):
            solve(*market, **limits)


def test_leaders_and_followers_that_are_not_there_are_refused():
    with pytest.raises(DataError, match="number of a firm"):
        stackelberg_cournot(100.0, 1.0, [1.0], leader=1)
    for leader in (1.0, 0.5, "a", None):
        with pytest.raises(DataError, match="leader must be a whole number"):
            stackelberg_cournot(100.0, 1.0, [1.0, 2.0], leader=leader)
    with pytest.raises(DataError, match="leader must be at least 0"):
        stackelberg_cournot(100.0, 1.0, [1.0], leader=-1)
    with pytest.raises(DataError, match="followers"):
        stackelberg_cournot(100.0, 1.0, [1.0], followers="bertrand")


def test_supply_functions_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="firms 0 and 2, which undercut"):
        supply_function_equilibrium([50.0], 1.0, [1.0, 2.0, 3.0], cost_slope=[0.0, 1.0, 0.0])
    with pytest.raises(DataError, match="each demand"):
        supply_function_equilibrium([], 1.0, [1.0], cost_slope=1.0)
    with pytest.raises(DataError, match="intercepts must be numbers"):
        supply_function_equilibrium(["a"], 1.0, [1.0], cost_slope=1.0)
    for wrong in ([1.0], [-1.0, 2.0], [0.0, 0.0]):
        with pytest.raises(DataError, match="probability"):
            supply_function_equilibrium([50.0, 60.0], 1.0, [1.0], cost_slope=1.0, probability=wrong)
