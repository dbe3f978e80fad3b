"""The value of energy: agreement with the slow recursion and with the linear programme, and its laws."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gridlab.assets import Battery
from gridlab.errors import DataError, PlanError
from gridlab.mpc.battery import plan_battery
from gridlab.mpc.value import (
    ExpectedValue,
    Segments,
    Value,
    act,
    expected_value_of_energy,
    terminal_segments,
    value_of_energy,
)
from gridlab.sources import read_prices

prices = st.lists(st.sampled_from([-80, -20, -1, 0, 3, 20, 35, 50, 90, 3000, None]), min_size=1, max_size=8).map(
    lambda listed: np.array([np.nan if p is None else p for p in listed], dtype=float)
)
batteries = st.builds(
    Battery,
    power_mw=st.sampled_from([0.3, 1.0, 10.0]),
    energy_mwh=st.just(2.0),
    eta_charge=st.sampled_from([0.5, 0.92, 1.0]),
    eta_discharge=st.sampled_from([0.8, 0.92, 1.0]),
    soc_min=st.sampled_from([0.0, 0.2]),
    soc_max=st.sampled_from([0.95, 1.0]),
    degradation_cost=st.sampled_from([0.0, 6.0]),
)
leaky = st.builds(
    lambda battery, leak: Battery(**{**vars(battery), "self_discharge_per_hour": leak}),
    batteries,
    st.sampled_from([0.0, 0.001, 0.3]),
)
shares = st.floats(0, 1)
seeds = st.integers(0, 2**32 - 1)
ON_GRID = Battery(1, 2, eta_charge=0.5, eta_discharge=1.0)  # full power moves it by 0.5 and 1 MWh: 5 states suffice


class Move(NamedTuple):
    """An interval: what the battery has left of its energy, where it ends, and what trade brings."""

    rest_mwh: float
    end_mwh: float
    cash: float


def move(battery, hours, soc, end, price):
    """The interval from `soc` to `end`, or None where power forbids it."""
    rest = battery.soc_low_mwh + battery.kept(hours) * (soc - battery.soc_low_mwh)
    drawn = max(end - rest, 0) / battery.eta_charge
    sold = max(rest - end, 0) * battery.eta_discharge
    limit = 0.0 if np.isnan(price) else battery.power_mw * hours
    if max(drawn, sold) > limit + 1e-12:
        return None
    return Move(rest, end, np.nan_to_num(price) * (sold - drawn) - battery.degradation_cost * sold)


def targets(battery, hours, soc, grid):
    """Every grid point, rest, and full power both ways."""
    rest = battery.soc_low_mwh + battery.kept(hours) * (soc - battery.soc_low_mwh)
    reach = battery.power_mw * hours
    up, down = rest + reach * battery.eta_charge, rest - reach / battery.eta_discharge
    return [*grid, rest, min(up, battery.soc_high_mwh), max(down, battery.soc_low_mwh)]


def slow_value(price, battery, hours, n_states, terminal):
    """Every state, every target, one at a time: the judge."""
    grid = np.linspace(battery.soc_low_mwh, battery.soc_high_mwh, n_states)
    value = [np.asarray(terminal, dtype=float)]
    for p in price[::-1]:
        after, now = value[0], np.empty(n_states)
        for state, soc in enumerate(grid):
            moves = [move(battery, hours, soc, end, p) for end in targets(battery, hours, soc, grid)]
            now[state] = max(m.cash + np.interp(m.end_mwh, grid, after) for m in moves if m is not None)
        value.insert(0, now)
    return np.array(value)


def profit(value, power_mw, price, soc_mwh):
    """Cash of a schedule and what is left at its end."""
    sold = np.maximum(power_mw, 0) * value.step_hours
    cash = np.nan_to_num(price) @ power_mw * value.step_hours - value.battery.degradation_cost * sold.sum()
    return cash + np.interp(soc_mwh[-1], value.soc_mwh, np.atleast_2d(value.value[..., -1, :])[0])


def start(battery, share):
    return battery.soc_low_mwh + share * (battery.soc_high_mwh - battery.soc_low_mwh)


def scale(price):
    return 1 + np.nan_to_num(np.abs(price)).max()


@given(prices, leaky, st.sampled_from([0.25, 1.0]), st.integers(2, 9), seeds)
def test_the_windows_agree_with_trying_every_move_from_every_state(price, battery, hours, n_states, seed):
    terminal = np.random.default_rng(seed).normal(0, 50, n_states)  # of no shape at all
    found = value_of_energy(price, battery, step_hours=hours, n_states=n_states, terminal=terminal)
    slow = slow_value(price, battery, hours, n_states, terminal)
    assert found.value == pytest.approx(slow, abs=1e-9 * scale(price))


@given(prices, leaky, st.integers(2, 9), seeds)
def test_no_move_between_the_candidates_is_better(price, battery, n_states, seed):
    rng = np.random.default_rng(seed)
    terminal = rng.normal(0, 50, n_states)
    found = value_of_energy(price, battery, step_hours=1, n_states=n_states, terminal=terminal)
    for step, p in enumerate(price):
        state, ends = rng.integers(n_states), rng.uniform(found.soc_mwh[0], found.soc_mwh[-1], 40)
        moves = [move(battery, 1, found.soc_mwh[state], end, p) for end in ends]
        worth = [m.cash + np.interp(m.end_mwh, found.soc_mwh, found.value[step + 1]) for m in moves if m is not None]
        assert max(worth, default=-np.inf) <= found.value[step, state] + 1e-9 * scale(price)


def profit_of_programme(price, battery, soc, terminal):
    """What the linear programme's schedule earns, read off the schedule."""
    ends = {"end_low_mwh": battery.soc_low_mwh, "end_high_mwh": battery.soc_high_mwh}
    plan = plan_battery(price, battery, soc_mwh=soc, step_hours=1, terminal_value=terminal, **ends)
    sales = np.nan_to_num(price) @ plan.power_mw
    return sales - battery.degradation_cost * plan.discharge_mw.sum() + terminal * plan.soc_mwh[-1]


@given(prices, leaky, st.sampled_from([2, 9, 50, 201]), shares, st.sampled_from([0.0, 30.0, -10.0]))
def test_the_linear_programme_agrees_within_the_bound_of_the_grid(price, battery, n_states, share, terminal):
    value = value_of_energy(price, battery, step_hours=1, n_states=n_states, terminal=terminal)
    soc = start(battery, share)
    exact = profit_of_programme(price, battery, soc, terminal)
    assert abs(value.at(soc) - exact) <= value.error_bound() + 1e-5 * scale(price)


@given(prices, st.sampled_from([0.0, 6.0]), st.integers(0, 4), st.sampled_from([0.0, 30.0]))
def test_the_linear_programme_agrees_exactly_where_full_power_moves_by_whole_grid_steps(price, wear, state, terminal):
    battery = Battery(1, 2, eta_charge=0.5, eta_discharge=1.0, degradation_cost=wear)
    value = value_of_energy(price, battery, step_hours=1, n_states=5, terminal=terminal)
    exact = profit_of_programme(price, battery, value.soc_mwh[state], terminal)
    assert value.value[0, state] == pytest.approx(exact, abs=1e-6 * scale(price))


@given(prices, leaky, st.integers(3, 30))
def test_the_bound_halves_with_the_grid_and_holds_between_two_grids(price, battery, n_states):
    coarse = value_of_energy(price, battery, step_hours=1, n_states=n_states)
    fine = value_of_energy(price, battery, step_hours=1, n_states=8 * (n_states - 1) + 1)
    miss = np.abs(coarse.value[0] - fine.value[0, ::8]).max()
    assert miss <= coarse.error_bound() + fine.error_bound() + 1e-9 * scale(price)
    slopes = np.concatenate([price / battery.eta_charge, (price - 6) * battery.eta_discharge, [0.0]])
    spread = np.nanmax(slopes) - np.nanmin(slopes)
    assert fine.error_bound() <= fine.limits.grid_mwh / 4 * len(price) * spread + 1e-9


@given(prices.map(np.abs), leaky, st.integers(2, 30), shares)
def test_at_prices_that_never_pay_for_burning_the_grid_promises_no_more_than_following_it_earns(
    price, battery, n_states, share
):
    value = value_of_energy(price, battery, step_hours=1, n_states=n_states)
    soc = start(battery, share)
    assert (np.diff(value.value, 2, axis=1) <= 1e-9 * scale(price)).all()
    power, stored = value.follow(soc)
    earned = profit(value, power, price, stored)
    assert value.at(soc) <= earned + 1e-9 * scale(price)
    finest = value_of_energy(price, battery, step_hours=1, n_states=401)
    assert earned <= finest.at(soc) + finest.error_bound() + 1e-9 * scale(price)


@given(prices, leaky, st.integers(2, 30), shares, st.sampled_from([0.25, 1.0]))
def test_what_is_followed_balances_keeps_its_limits_and_rests_where_nothing_can_be_traded(
    price, battery, n_states, share, hours
):
    value, soc = value_of_energy(price, battery, step_hours=hours, n_states=n_states), start(battery, share)
    power, stored = value.follow(soc)
    before, low = np.concatenate([[soc], stored[:-1]]), battery.soc_low_mwh
    drawn, sold = np.maximum(-power, 0) * hours, np.maximum(power, 0) * hours
    kept = low + battery.kept(hours) * (before - low)
    assert stored == pytest.approx(kept + battery.eta_charge * drawn - sold / battery.eta_discharge, abs=1e-9)
    assert np.abs(power).max() <= battery.power_mw * (1 + 1e-12)
    assert ((stored >= low) & (stored <= battery.soc_high_mwh)).all()
    assert (power[np.isnan(price)] == 0).all()


@given(prices, st.integers(0, 4), st.sampled_from([0.0, 30.0]))
def test_what_is_followed_earns_the_value_where_the_grid_is_exact(price, state, terminal):
    value = value_of_energy(price, ON_GRID, step_hours=1, n_states=5, terminal=terminal)
    power, stored = value.follow(value.soc_mwh[state])
    assert profit(value, power, price, stored) == pytest.approx(value.value[0, state], abs=1e-9 * scale(price))


@given(prices, leaky, st.integers(2, 40), shares, seeds)
def test_no_schedule_earns_more_than_the_value_of_perfect_foresight(price, battery, n_states, share, seed):
    rng = np.random.default_rng(seed)
    value, soc = value_of_energy(price, battery, step_hours=1, n_states=n_states), start(battery, share)
    at, cash = soc, 0.0
    for p in price:
        made = None
        while made is None:
            rest = targets(battery, 1, at, [])[0]
            made = move(battery, 1, at, rng.choice([rest, rng.uniform(battery.soc_low_mwh, battery.soc_high_mwh)]), p)
        at, cash = made.end_mwh, cash + made.cash
    assert cash <= value.at(soc) + value.error_bound() + 1e-9 * scale(price)


@given(prices.map(np.abs), leaky, st.integers(2, 30), st.floats(0, 100))
def test_energy_is_never_harmful_where_no_price_is_negative(price, battery, n_states, terminal):
    value = value_of_energy(price, battery, step_hours=1, n_states=n_states, terminal=terminal)
    assert (np.diff(value.value, axis=1) >= -1e-9 * scale(price)).all()
    assert (value.slope() >= -1e-9 * scale(price) / value.limits.grid_mwh).all()


def test_energy_is_harmful_where_the_price_is_negative_and_it_takes_up_room():
    value = value_of_energy([-50.0], Battery(1, 1, 1, 1), step_hours=1, n_states=3)
    assert value.value[0].tolist() == [50, 25, 0]
    assert value.slope().tolist() == [-50, -50, -50]


def test_where_burning_pays_the_value_is_not_concave_and_still_right():
    value = value_of_energy(np.full(4, -50.0), Battery(1, 1, 0.8, 0.8), step_hours=1, n_states=401)
    assert np.diff(value.value[0], 2).max() > 1e-3
    # draw 1 and store 0.8; deliver 0.64; draw 1, and then 0.25 to the brim: as the programme with binaries
    assert value.at(0.0) == pytest.approx(50 * 1.61, abs=0.2)


@given(st.integers(1, 80), st.floats(0, 0.99), leaky, st.integers(2, 60))
def test_a_spread_that_does_not_pay_for_losses_and_wear_earns_exactly_nothing(price, share, battery, n_states):
    needed = (1 / battery.eta_round_trip - 1) * price + battery.degradation_cost
    assume(needed > 0)
    spread = share * needed
    value = value_of_energy([price, price + spread] * 3, battery, step_hours=1, n_states=n_states)
    power, stored = value.follow(battery.soc_low_mwh)
    assert (value.value[:, 0] == 0).all()
    assert (power == 0).all()
    assert (stored == battery.soc_low_mwh).all()


def test_of_equal_moves_it_is_the_one_that_rests():
    value = value_of_energy(np.full(6, 10.0), Battery(1, 2, 1, 1), step_hours=1)
    assert (value.follow(0.0)[0] == 0).all()
    assert value.follow(2.0)[0].tolist() == [0, 0, 0, 0, 1, 1]


@given(prices, leaky, st.integers(2, 20), st.integers(0, 8))
def test_the_value_of_the_rest_is_the_terminal_value_of_the_start(price, battery, n_states, cut):
    cut = min(cut, len(price) - 1)
    whole = value_of_energy(price, battery, step_hours=1, n_states=n_states)
    rest = value_of_energy(price[cut:], battery, step_hours=1, n_states=n_states)
    assert (whole.value[cut:] == rest.value).all()
    if cut:
        first = value_of_energy(price[:cut], battery, step_hours=1, n_states=n_states, terminal=rest.value[0])
        assert (whole.value[: cut + 1] == first.value).all()


@given(leaky, seeds, st.integers(2, 20))
def test_many_windows_at_once_are_the_windows_one_by_one(battery, seed, n_states):
    rng = np.random.default_rng(seed)
    price, terminal = rng.normal(20, 60, (3, 5)), rng.normal(0, 9, (3, n_states))
    price[0, 1], soc = np.nan, start(battery, rng.random(3))
    together = value_of_energy(price, battery, step_hours=1, n_states=n_states, terminal=terminal)
    power, stored = together.follow(soc)
    segments = terminal_segments(together, n_segments=3)
    assert together.value.shape == (3, 6, n_states)
    for window in range(3):
        alone = value_of_energy(price[window], battery, step_hours=1, n_states=n_states, terminal=terminal[window])
        assert (together.value[window] == alone.value).all()
        assert (np.stack([power[window], stored[window]]) == alone.follow(soc[window])).all()
        assert together.error_bound()[window] == alone.error_bound()
        assert together.at(soc[0], 2)[window] == alone.at(soc[0], 2)
        assert (segments.slope[window] == terminal_segments(alone, n_segments=3).slope).all()


@given(prices, leaky, st.integers(2, 20), shares)
def test_acting_step_by_step_is_worth_what_following_is(price, battery, n_states, share):
    value, soc = value_of_energy(price, battery, step_hours=1, n_states=n_states), start(battery, share)
    power, stored = value.follow(soc)
    for step, p in enumerate(price):
        energy = act(value, step, soc, p)
        taken = worth_of(value, step, soc, energy, p), worth_of(value, step, soc, power[step], p)
        assert taken[0] == pytest.approx(taken[1], abs=1e-9 * scale(price))
        soc = stored[step]


def worth_of(value, step, soc, energy, price):
    """Cash of an interval and the value at its end."""
    battery = value.battery
    stored = -energy * battery.eta_charge if energy < 0 else -energy / battery.eta_discharge
    end = battery.soc_low_mwh + battery.kept(1) * (soc - battery.soc_low_mwh) + stored
    cash = np.nan_to_num(price) * energy - battery.degradation_cost * max(energy, 0)
    return cash + np.interp(end, value.soc_mwh, value.value[step + 1])


# the value in expectation

node_prices = st.sampled_from([-80.0, -20.0, 0.0, 20.0, 35.0, 50.0, 90.0])
trees = (
    st.integers(1, 4)
    .flatmap(
        lambda n_steps: st.lists(st.lists(node_prices, min_size=2, max_size=2), min_size=n_steps, max_size=n_steps)
    )
    .map(np.array)
)


def expected_over_paths(tree, value, chance, soc):
    """What following `value` earns on every path through the tree, weighted by `chance` of a path."""
    total = 0.0
    for path in itertools.product(range(tree.shape[1]), repeat=len(tree)):
        price = tree[np.arange(len(tree)), list(path)]
        power, stored = value.follow(soc, price)
        total += chance(path) * profit(value, power, price, stored)
    return total


@given(trees, st.floats(0, 1), st.integers(0, 4))
def test_following_an_expected_value_earns_it_over_all_paths(tree, share, state):
    probabilities = np.array([share, 1 - share])
    value = expected_value_of_energy(tree, probabilities, ON_GRID, step_hours=1, n_states=5)
    soc = value.soc_mwh[state]
    earned = expected_over_paths(tree, value, lambda path: probabilities[list(path)].prod(), soc)
    assert earned == pytest.approx(value.value[0, state], abs=1e-8)


@given(trees, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 4))
def test_following_a_chain_of_prices_earns_its_value_over_all_paths(tree, first, stay, back, state):
    tree = tree + np.array([0.0, 1.0]) * (tree[:, :1] == tree[:, 1:])  # nodes apart, so that the price tells the node
    begin, after = np.array([first, 1 - first]), np.array([[stay, 1 - stay], [back, 1 - back]])
    value = expected_value_of_energy(tree, begin, ON_GRID, step_hours=1, n_states=5, transition=after)

    def chance(path):
        return begin[path[0]] * np.prod([after[before, now] for before, now in itertools.pairwise(path)])

    earned = expected_over_paths(tree, value, chance, value.soc_mwh[state])
    assert value.value.shape == (2, len(tree) + 1, 5)
    assert value.value[:, 0, state] == pytest.approx(earned, abs=1e-8)


def best_by_hand(tree, begin, after, soc, step=0, node=0):
    """Recursion over the tree itself, states on the half MWh: no array, no grid but the battery's own."""
    if step == len(tree):
        return 0.0
    chances, total = begin if step == 0 else after[node], 0.0
    for now, price in enumerate(tree[step]):
        moves = [move(ON_GRID, 1, soc, end, price) for end in np.linspace(0, 2, 5)]
        total += chances[now] * max(
            m.cash + best_by_hand(tree, begin, after, m.end_mwh, step + 1, now) for m in moves if m is not None
        )
    return total


@pytest.mark.parametrize("seed", range(3))
def test_the_value_of_a_chain_is_what_a_recursion_over_its_tree_finds(seed):
    rng = np.random.default_rng(seed)
    tree, begin, after = rng.normal(10, 50, (3, 2)), np.array([0.3, 0.7]), rng.dirichlet([1, 1], 2)
    value = expected_value_of_energy(tree, begin, ON_GRID, step_hours=1, n_states=5, transition=after)
    assert value.at(0.5)[0] == pytest.approx(best_by_hand(tree, begin, after, 0.5), abs=1e-9)


@given(prices, leaky, st.integers(2, 20), shares)
def test_with_one_node_the_expected_value_is_the_value(price, battery, n_states, share):
    sure = value_of_energy(price, battery, step_hours=1, n_states=n_states)
    one = expected_value_of_energy(price[:, None], [1.0], battery, step_hours=1, n_states=n_states)
    chain = expected_value_of_energy(
        price[:, None], [1.0], battery, step_hours=1, n_states=n_states, transition=[[1.0]]
    )
    soc = start(battery, share)
    assert (one.value == sure.value).all()
    assert (chain.value[0] == sure.value).all()
    assert one.error_bound() == sure.error_bound()
    assert (np.stack(one.follow(soc, price)) == sure.follow(soc)).all()


@given(leaky, seeds, st.integers(2, 20))
def test_seeing_the_price_is_worth_no_less_than_the_plan_on_the_mean_and_no_more_than_foresight(
    battery, seed, n_states
):
    rng = np.random.default_rng(seed)
    nodes, probabilities = rng.normal(20, 60, (4, 3)), rng.dirichlet([1, 1, 1], 4)
    options = {"step_hours": 1, "n_states": n_states}
    expected = expected_value_of_energy(nodes, probabilities, battery, **options).value[0]
    mean = value_of_energy((nodes * probabilities).sum(axis=1), battery, **options).value[0]
    paths = list(itertools.product(range(3), repeat=4))
    foresight = value_of_energy([nodes[range(4), path] for path in paths], battery, **options).value[:, 0]
    chance = [probabilities[range(4), path].prod() for path in paths]
    assert (expected >= mean - 1e-9).all()
    assert (expected <= chance @ foresight + 1e-9).all()


@given(leaky, seeds)
def test_a_chain_that_forgets_is_independent_prices(battery, seed):
    rng = np.random.default_rng(seed)
    nodes, share = rng.normal(20, 60, (5, 3)), rng.dirichlet([1, 1, 1], 5)
    apart = expected_value_of_energy(nodes, share, battery, step_hours=1, n_states=11)
    after = np.repeat(share[1:, None, :], 3, axis=1)
    chain = expected_value_of_energy(nodes, share[0], battery, step_hours=1, n_states=11, transition=after)
    assert chain.value == pytest.approx(np.broadcast_to(apart.value, (3, 6, 11)), abs=1e-9)
    assert np.stack([act(chain, 2, start(battery, 0.4), p) for p in nodes[2]]) == pytest.approx(
        [act(apart, 2, start(battery, 0.4), p) for p in nodes[2]], abs=1e-9
    )


def test_a_chain_knows_what_a_price_says_about_the_next():
    battery, after = Battery(1, 1, 1, 1), [[0.9, 0.1], [0.1, 0.9]]
    value = expected_value_of_energy([[20, 30]] * 2, [0.5, 0.5], battery, step_hours=1, n_states=2, transition=after)
    assert value.slope(1)[:, 0] == pytest.approx([21, 29])
    assert act(value, 0, 1.0, 22.0) == 1.0  # nearest to 20: 21 is to come
    assert act(value, 0, 1.0, 28.0) == 0.0  # nearest to 30: 29 is to come


# segments for the linear programme


@given(prices, leaky, st.integers(2, 30), st.integers(1, 12), shares)
def test_segments_are_concave_and_never_above_the_envelope_of_the_value(price, battery, n_states, n_segments, share):
    value = value_of_energy(price, battery, step_hours=1, n_states=n_states)
    width, slope, base = terminal_segments(value, n_segments=n_segments)
    assert width.shape == slope.shape == (n_segments,)
    assert width.sum() == pytest.approx(battery.soc_high_mwh - battery.soc_low_mwh)
    assert (np.diff(slope) <= 0).all()
    assert np.isfinite(slope).all()
    corners = base + np.concatenate([[0], np.cumsum(width * slope)])
    polygon = np.interp(value.soc_mwh, battery.soc_low_mwh + np.concatenate([[0], np.cumsum(width)]), corners)
    envelope = slow_envelope(value.soc_mwh, value.value[0])
    assert (polygon <= envelope + 1e-9 * scale(price)).all()
    if n_segments >= n_states - 1:
        assert polygon == pytest.approx(envelope, abs=1e-9 * scale(price))


def slow_envelope(soc, worth):
    """The highest chord over every point: the least concave function above `worth`."""
    envelope = worth.copy()
    for left, middle, right in itertools.combinations(range(len(soc)), 3):
        share = (soc[middle] - soc[left]) / (soc[right] - soc[left])
        envelope[middle] = max(envelope[middle], (1 - share) * worth[left] + share * worth[right])
    return envelope


def test_more_segments_are_never_further_from_the_value():
    price = np.random.default_rng(3).normal(40, 30, 48)
    value = value_of_energy(price, Battery(1, 4), step_hours=1, terminal=20.0)
    low = value.battery.soc_low_mwh
    misses = []
    for n_segments in (1, 2, 4, 8, 16, 200):
        width, slope, base = terminal_segments(value, n_segments=n_segments)
        ends = np.concatenate([[0], np.cumsum(width)])
        polygon = np.interp(value.soc_mwh, low + ends, base + np.concatenate([[0], np.cumsum(width * slope)]))
        misses.append((value.value[0] - polygon).max())
    assert (np.diff(misses) <= 1e-12).all()
    assert misses[-1] == pytest.approx(0, abs=1e-9)


@given(prices.map(np.abs), prices.map(np.abs), leaky, st.integers(0, 40))
def test_a_programme_that_ends_on_the_segments_of_what_follows_is_as_good_as_one_over_both(now, later, battery, state):
    follows = value_of_energy(later, battery, step_hours=1, n_states=41)
    whole = value_of_energy(np.concatenate([now, later]), battery, step_hours=1, n_states=41)
    segments = terminal_segments(follows, n_segments=40)
    ends = {"end_low_mwh": battery.soc_low_mwh, "end_high_mwh": battery.soc_high_mwh}
    soc = float(whole.soc_mwh[state])
    plan = plan_battery(now, battery, soc_mwh=soc, step_hours=1, terminal_value=segments, **ends)
    sales = np.nan_to_num(now) @ plan.power_mw - battery.degradation_cost * plan.discharge_mw.sum()
    earned = sales + segments.worth(plan.soc_mwh[-1] - battery.soc_low_mwh)
    slack = 1e-5 * scale(np.concatenate([now, later]))
    assert whole.at(soc) - slack <= earned <= whole.at(soc) + whole.error_bound() + slack


def test_what_segments_are_worth_is_what_fills_them():
    battery = Battery(1, 2, soc_min=0.25)
    assert Segments.flat(battery, 30.0).worth(1.0) == 30.0 * 1.5  # half a MWh lies below the least
    assert Segments(np.array([1.0, 0.5]), np.array([50.0, -2.0]), np.array(7.0)).worth(1.25) == 7 + 50 - 0.5
    value = value_of_energy([[10.0, 50.0], [50.0, 20.0]], battery, step_hours=1, n_states=4)
    assert terminal_segments(value, n_segments=3).worth(0.5) == pytest.approx(value.at(1.0))


# known numbers, and what is refused


def test_known_numbers_of_two_prices():
    value = value_of_energy([10.0, 50.0], Battery(1, 1, 0.9, 0.9, degradation_cost=5), step_hours=1, n_states=2)
    # buys 1 MWh, stores 0.9 and sells 0.81 of it, each of which wears 5; a full battery sells 0.9
    assert value.value[0].tolist() == pytest.approx([0.81 * 45 - 10, 0.9 * 45])


def test_what_leaks_is_lost_down_to_the_least_state_and_no_further():
    battery = Battery(1, 2, 1, 1, soc_min=0.25, self_discharge_per_hour=0.5)
    value = value_of_energy([np.nan, np.nan], battery, step_hours=1, n_states=4, terminal=10.0)
    assert value.value[0].tolist() == pytest.approx([5, 5 + 0.25 * 5, 5 + 0.25 * 10, 5 + 0.25 * 15])
    assert value.follow(2.0)[1].tolist() == pytest.approx([1.25, 0.875])


REFUSED = {
    "an empty price": ({"price": []}, "price must have shape"),
    "a cube of prices": ({"price": np.zeros((1, 1, 1))}, "price must have shape"),
    "an infinite price": ({"price": [1, np.inf]}, r"price is infinite at \(1,\)"),
    "one state": ({"n_states": 1}, "n_states must be at least 2, got 1"),
    "no time": ({"step_hours": 0}, "step_hours must be above 0 and finite, got 0"),
    "a terminal value of another shape": ({"terminal": [1.0, 2.0]}, r"terminal must be a number or have shape \(5,\)"),
    "a terminal value that is NaN": ({"terminal": np.nan}, "terminal must be finite"),
    "a ramp": ({"battery": Battery(1, 2, ramp_mw_per_hour=1.9)}, "ramp_mw_per_hour = 1.9 binds.*linear programme"),
    "a leak of more than all": (
        {"battery": Battery(1, 2, self_discharge_per_hour=0.5), "step_hours": 3},
        "self_discharge_per_hour = 0.5 leaves less than nothing after an interval of 3 h",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_valued_is_refused(case):
    changes, said = REFUSED[case]
    call = {"price": [1.0, 2.0], "battery": Battery(1, 2), "step_hours": 1, "n_states": 5} | changes
    with pytest.raises(DataError, match=said):
        value_of_energy(call.pop("price"), call.pop("battery"), **call)


def test_a_ramp_that_does_not_bind_is_not_refused():
    free, slow = Battery(1, 2), Battery(1, 2, ramp_mw_per_hour=2.0)
    price = [1.0, 80.0, 3.0]
    same = value_of_energy(price, free, step_hours=1).value == value_of_energy(price, slow, step_hours=1).value
    assert same.all()


@pytest.mark.parametrize(
    ("probabilities", "transition", "said"),
    [
        ([0.5, 0.4], None, "probabilities must sum to 1, got 0.9"),
        ([[0.5, 0.5], [0.5, 0.6]], None, r"probabilities of row \(1,\) must sum to 1, got 1.1"),
        ([1.5, -0.5], None, "probabilities must not be negative or NaN, got -0.5"),
        ([np.nan, 1], None, "probabilities must not be negative or NaN, got nan"),
        ([0.5, 0.5, 0], None, r"probabilities must have shape \(2,\) or \(2, 2\), got shape \(3,\)"),
        ([0.5, 0.5], [[1, 0], [0.3, 0.3]], r"transition of row \(1,\) must sum to 1, got 0.6"),
        ([[0.5, 0.5]] * 2, np.eye(2), r"probabilities must have shape \(2,\), got shape \(2, 2\)"),
        ([0.5, 0.5], np.eye(3), r"transition must have shape \(2, 2\) or \(1, 2, 2\), got shape \(3, 3\)"),
    ],
)
def test_probabilities_that_are_none_are_refused_with_their_sum(probabilities, transition, said):
    with pytest.raises(DataError, match=said):
        expected_value_of_energy(
            [[1.0, 2.0], [3.0, 4.0]], probabilities, Battery(1, 2), step_hours=1, transition=transition
        )


def test_what_cannot_be_asked_of_a_value_is_refused():
    value = value_of_energy([1.0, 2.0], Battery(1, 2), step_hours=1, n_states=5)
    windows = value_of_energy([[1.0, 2.0]] * 3, Battery(1, 2), step_hours=1, n_states=5)
    expected = expected_value_of_energy([[1.0], [2.0]], [1.0], Battery(1, 2), step_hours=1, n_states=5)
    with pytest.raises(PlanError, match="soc_mwh = 3 is outside the battery's 0 to 2 MWh"):
        act(value, 0, 3.0, 5.0)
    with pytest.raises(PlanError, match="soc_mwh = -1 is outside"):
        value.follow(-1.0)
    for step in (-1, 2):
        with pytest.raises(DataError, match=f"step must be from 0 to 1, got {step}"):
            act(value, step, 1.0, 5.0)
    with pytest.raises(DataError, match="value has 3 windows: choose one"):
        act(windows, 0, 1.0, 5.0)
    with pytest.raises(DataError, match=r"soc_mwh must be a number or have shape \(3,\), got shape \(2,\)"):
        windows.follow([0.0, 1.0])
    with pytest.raises(DataError, match="step must be from 0 to 2, got 3"):
        value.slope(3)
    with pytest.raises(DataError, match="n_segments must be at least 1, got 0"):
        terminal_segments(value, n_segments=0)
    with pytest.raises(DataError, match="price has 3 intervals, and the value 2"):
        expected.follow(0.0, [1.0, 2.0, 3.0])


def test_a_price_that_is_closed_moves_nothing():
    value = value_of_energy([10.0, 90.0], Battery(1, 2), step_hours=1)
    assert act(value, 0, 1.0, np.nan) == 0.0


@pytest.mark.parametrize("market", ["PJM", "NP"])
def test_on_real_prices_the_programme_and_the_value_agree_and_the_bound_holds(data_dir, market):
    price = read_prices(data_dir / "epf" / f"{market}.csv")["price"].to_numpy()[: 24 * 14]
    exact = profit_of_programme(price, Battery(1, 2), 1.0, 0.0)
    misses = []
    for n_states in (51, 201, 801):
        value = value_of_energy(price, Battery(1, 2), step_hours=1, n_states=n_states)
        misses.append(exact - value.at(1.0))
        assert -1e-5 <= misses[-1] <= value.error_bound()
    assert misses[-1] <= 1e-3 * exact
    assert isinstance(value, Value)
    assert not isinstance(value, ExpectedValue)
