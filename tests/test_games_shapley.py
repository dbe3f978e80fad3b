"""What each player adds: laws, all orders one by one, and known answers."""

import itertools
from fractions import Fraction
from math import factorial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.games import characteristic
from gridlab.games.characteristic import coalition_table, is_convex, is_superadditive, players_of, sums_over
from gridlab.games.nucleolus import in_core
from gridlab.games.shapley import _ring, banzhaf, player_types, shapley, shapley_by_type, shapley_sampled


@st.composite
def games(draw, most=5):
    n = draw(st.integers(1, most))
    worth = draw(st.lists(st.integers(-20, 20), min_size=2**n - 1, max_size=2**n - 1))
    return np.array([0, *worth], dtype=float), n


def by_all_orders(v, n):
    """The mean of what each player adds, order by order, in fractions."""
    due = [Fraction(0)] * n
    for order in itertools.permutations(range(n)):
        mask = 0
        for player in order:
            due[player] += Fraction(v[mask | 1 << player]) - Fraction(v[mask])
            mask |= 1 << player
    return np.array([float(one / factorial(n)) for one in due])


def vote(weights, quota):
    return lambda players: float(sum(weights[player] for player in players) >= quota)


@given(games())
def test_the_shapley_value_is_the_mean_over_all_orders(game):
    assert shapley(*game) == pytest.approx(by_all_orders(*game), abs=1e-12)


def test_it_is_the_mean_over_all_orders_of_six_players():
    v = np.random.default_rng(0).normal(size=64)
    v[0] = 0
    assert shapley(v, 6) == pytest.approx(by_all_orders(v, 6), abs=1e-14)


@given(games())
def test_all_that_is_gained_is_handed_out(game):
    v, n = game
    assert shapley(v, n).sum() == pytest.approx(v[-1], abs=1e-12)


@given(games(), st.randoms(use_true_random=False))
def test_renaming_the_players_renames_what_they_are_due(game, random):
    v, n = game
    names = list(range(n))
    random.shuffle(names)
    renamed = {tuple(names[player] for player in players_of(mask)): v[mask] for mask in range(2**n)}
    assert shapley(renamed, n)[names] == pytest.approx(shapley(v, n), abs=1e-12)
    assert banzhaf(renamed, n)[names] == pytest.approx(banzhaf(v, n), abs=1e-12)


@given(games(4))
def test_a_player_who_adds_nothing_is_due_exactly_nothing(game):
    v, n = game
    assert shapley(np.concatenate([v, v]), n + 1)[n] == 0
    assert banzhaf(np.concatenate([v, v]), n + 1)[n] == 0
    assert shapley(np.concatenate([v, v]), n + 1)[:n] == pytest.approx(shapley(v, n), abs=1e-12)


@given(games(4), st.integers(0, 99), st.floats(-3, 3))
def test_the_value_of_two_games_added_is_the_sum_of_their_values(game, seed, scale):
    v, n = game
    other = np.random.default_rng(seed).normal(size=2**n)
    other[0] = 0
    assert shapley(v + scale * other, n) == pytest.approx(shapley(v, n) + scale * shapley(other, n), abs=1e-11)


@given(games(4))
def test_players_who_can_take_each_others_place_are_due_the_same_and_found(game):
    v, n = game
    twins = np.array([v[mask >> 1] + v[(mask >> 1) ^ (mask >> 1 & 1) | (mask & 1)] for mask in range(2 ** (n + 1))])
    value = shapley(twins, n + 1)
    assert value[0] == pytest.approx(value[1], abs=1e-12)
    kind = next(kind for kind in player_types(twins, n + 1) if 0 in kind)
    assert 1 in kind


@given(games())
def test_types_are_those_whose_swap_changes_no_coalition(game):
    v, n = game

    def swapped(mask, a, b):
        bits = mask >> a & 1, mask >> b & 1
        return (mask & ~(1 << a | 1 << b)) | bits[0] << b | bits[1] << a

    types = player_types(v, n)
    assert sorted(itertools.chain(*types)) == list(range(n))
    for a, b in itertools.combinations(range(n), 2):
        alike = all(v[mask] == v[swapped(mask, a, b)] for mask in range(2**n))
        assert alike == any(a in kind and b in kind for kind in types)


def test_noise_of_a_solver_is_no_difference_where_it_is_tolerated():
    v = sums_over([5.0, 5.0, 1.0]) + np.random.default_rng(0).normal(size=8) * 1e-12
    v[0] = 0
    assert len(player_types(v, 3)) == 3
    assert player_types(v, 3, tolerance=1e-9) == [[0, 1], [2]]


@given(games(4))
def test_a_game_may_be_a_table_a_mapping_or_a_function(game):
    v, n = game
    mapping = {players_of(mask)[::-1]: v[mask] for mask in range(1, 2**n)}
    named = {frozenset(players): worth for players, worth in mapping.items()}
    forms = [v.tolist(), mapping, named, lambda players: named.get(players, 0)]
    for form in forms:
        assert coalition_table(form, n).tolist() == v.tolist()


@given(games())
def test_banzhafs_value_is_the_mean_over_the_coalitions_of_the_others(game):
    v, n = game
    slow = [
        np.mean([v[mask | 1 << player] - v[mask] for mask in range(2**n) if not mask >> player & 1])
        for player in range(n)
    ]
    assert banzhaf(v, n) == pytest.approx(np.array(slow), abs=1e-12)


def test_scaled_values_of_banzhaf_hand_out_what_there_is_or_are_refused():
    assert banzhaf([0, 1, 2, 6], 2, normalised=True).sum() == pytest.approx(6)
    assert banzhaf([0, 0, 0, 0], 2, normalised=True).tolist() == [0, 0]
    assert banzhaf([0, 1, -1, 0], 2, normalised=True).tolist() == [0, 0]
    with pytest.raises(DataError, match="sum to 0 and cannot be scaled to 1"):
        banzhaf([0, 0, 0, -1, 0, -1, -1, 1], 3, normalised=True)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=5), st.integers(0, 5))
def test_the_shapley_value_of_a_convex_game_is_in_its_core(claims, left):
    total = np.array(claims, dtype=float)
    v = np.maximum(0.0, min(left, total.sum()) - sums_over(total)[::-1])
    assert is_convex(v, len(claims))
    assert is_superadditive(v, len(claims))
    assert in_core(v, len(claims), shapley(v, len(claims)))


@given(games(4))
def test_convex_and_superadditive_are_what_they_say(game):
    v, n = game
    pairs = list(itertools.product(range(2**n), repeat=2))
    assert is_superadditive(v, n) == all(v[a] + v[b] <= v[a | b] for a, b in pairs if not a & b)
    assert is_convex(v, n) == all(v[a] + v[b] <= v[a | b] + v[a & b] for a, b in pairs)


@pytest.mark.parametrize(
    ("v", "n", "value"),
    [
        (lambda s: float(0 in s and len(s) > 1), 3, [2 / 3, 1 / 6, 1 / 6]),
        (vote((40, 22, 30, 9), 51), 4, [1 / 3, 1 / 3, 1 / 3, 0]),
        (lambda s: max((0, *((18, 20, 24)[p] for p in s))), 3, [6, 7, 11]),  # the airport game: runways of three types
        ([0, 7], 1, [7]),
        ([0, 3, 1, 10], 2, [6, 4]),
    ],
)
def test_known_shapley_values(v, n, value):
    assert shapley(v, n) == pytest.approx(value, abs=1e-12)


def test_the_security_council_of_fifteen():
    weights = np.array([7.0] * 5 + [1.0] * 10)
    value = shapley(sums_over(weights) >= 39, 15)
    assert value[:5] == pytest.approx(421 / 2145, abs=1e-14)
    assert value[5:] == pytest.approx(4 / 2145, abs=1e-14)
    index = banzhaf(sums_over(weights) >= 39, 15, normalised=True)
    assert index[[0, 5]] == pytest.approx([106 / 635, 21 / 1270], abs=1e-14)  # Straffin, Game Theory and Strategy, 1993
    council = shapley_by_type(lambda count: count[0] == 5 and count[1] >= 4, (5, 10))
    assert council == pytest.approx([421 / 2145, 4 / 2145], abs=1e-15)


def test_airports_of_any_number_share_each_stretch_among_those_who_need_it():
    """Littlechild and Owen, Management Science 20, 1973."""
    cost = np.sort(np.random.default_rng(1).random(10))
    masks = np.arange(2**10)
    top = np.where(masks > 0, np.floor(np.log2(np.maximum(masks, 1))), 0).astype(int)
    v = -np.where(masks > 0, cost[top], 0.0)
    stretch = np.diff(cost, prepend=0.0) / np.arange(10, 0, -1)
    assert shapley(v, 10) == pytest.approx(-np.cumsum(stretch), abs=1e-14)


@pytest.mark.parametrize("scale", [1e-9, 1e9, 1e200])
def test_values_scale_with_the_game(scale):
    v = np.random.default_rng(0).random(2**8)
    v[0] = 0
    assert shapley(v * scale, 8) / scale == pytest.approx(shapley(v, 8), rel=1e-13)


def test_twenty_two_players_are_due_what_their_squares_say():
    size = np.arange(22.0)
    assert shapley(sums_over(size) ** 2, 22) == pytest.approx(size * 231, rel=1e-12)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3).filter(sum), st.integers(0, 99))
def test_the_value_by_types_is_that_of_all_players_one_by_one(counts, seed):
    table = np.random.default_rng(seed).normal(size=tuple(count + 1 for count in counts))
    table.flat[0] = 0
    kind = np.repeat(np.arange(len(counts)), counts)

    def worth(players):
        return table[tuple(np.bincount(kind[list(players)], minlength=len(counts)))]

    by_type = shapley_by_type(table, counts)
    assert np.isnan(by_type).tolist() == [count == 0 for count in counts]
    assert shapley(worth, len(kind)) == pytest.approx(by_type[kind], abs=1e-12)


def test_a_thousand_alike_share_alike_and_two_crowds_of_gloves_share_a_pair():
    assert shapley_by_type(np.sqrt(np.arange(1001.0)), (1000,)) == pytest.approx([np.sqrt(1000) / 1000], rel=1e-13)
    left, right = shapley_by_type(lambda count: min(count), (100, 150))
    assert 100 * left + 150 * right == pytest.approx(100, rel=1e-13)
    assert left > 0.8 > 0.2 > right > 0


@pytest.mark.parametrize("n_starts", [1, 2, 3, 4])
def test_the_mean_over_all_rings_is_the_shapley_value(n_starts):
    v = np.random.default_rng(3).normal(size=16)
    v[0] = 0
    worth = lambda players: v[sum(1 << player for player in players)]  # noqa: E731
    rings = [_ring(worth, np.array(ring), n_starts) for ring in itertools.permutations(range(4))]
    assert np.mean(rings, axis=0) == pytest.approx(shapley(v, 4), abs=1e-13)


@pytest.mark.parametrize(("samples", "level"), [(240, 0.9), (40, 0.8)])
def test_the_interval_holds_the_value_as_often_as_it_says(samples, level):
    rng = np.random.default_rng(0)
    v = np.exp(rng.normal(size=2**6)) * sums_over(np.ones(6)) ** 2
    v[0] = 0
    exact, hits = shapley(v, 6), []
    for _ in range(300):
        found = shapley_sampled(v, 6, samples=samples, level=level, rng=rng)
        assert found.value.sum() == pytest.approx(v[-1])
        hits.append((found.low <= exact) & (exact <= found.high))
    assert np.mean(hits) == pytest.approx(level, abs=0.03)


def test_more_orders_come_nearer_and_rings_come_nearer_than_single_orders():
    v = np.random.default_rng(5).random(2**10) + sums_over(np.ones(10)) ** 1.5
    v[0] = 0
    exact = shapley(v, 10)

    def error(samples):
        draws = [shapley_sampled(v, 10, samples=samples, rng=np.random.default_rng(seed)).value for seed in range(20)]
        return np.sqrt(np.mean((np.array(draws) - exact) ** 2))

    def of_single_orders(samples):
        rng, due = np.random.default_rng(0), np.zeros((20, 10))
        for draw in range(20):
            for _ in range(samples):
                order = rng.permutation(10)
                due[draw, order] += np.diff(v[np.cumsum(np.append(0, 1 << order))]) / samples
        return np.sqrt(np.mean((due - exact) ** 2))

    assert error(1600) < 0.7 * error(400)
    assert error(400) < 0.75 * of_single_orders(400)


def test_a_sampled_value_is_the_same_for_the_same_rng_and_exact_where_worth_is_a_square():
    first, again = (
        shapley_sampled(lambda s: sum(s) ** 2, 50, samples=100, rng=np.random.default_rng(2)) for _ in range(2)
    )
    assert first.value.tolist() == again.value.tolist()
    assert first.samples == 100
    exact = np.arange(50) * 1225
    assert first.value == pytest.approx(exact)
    assert ((first.low <= exact) & (exact <= first.high)).all()


@pytest.mark.parametrize("n", [1, 2])
def test_a_sampled_value_of_one_or_two_players_is_exact(n):
    found = shapley_sampled(lambda s: 7.0 * len(s), n, samples=10, rng=np.random.default_rng(0))
    assert found.value == pytest.approx([7.0] * n)


@given(games(), st.integers(0, 2))
def test_superadditive_games_are_known_whichever_part_is_looked_at_at_once(game, power):
    v, n = game
    pairs = list(itertools.product(range(2**n), repeat=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(characteristic, "_AT_ONCE", 2**power)
        for tried in (v, np.array([players.bit_count() for players in range(2**n)]) ** 2 + 1e-3 * v):
            assert is_superadditive(tried, n, tolerance=0.0) == all(
                tried[a | b] - tried[a] - tried[b] >= 0 for a, b in pairs if not a & b
            )


@pytest.mark.parametrize(("one", "other"), [((0,), (12,)), ((3, 12), (0, 5)), ((1, 2, 3), (4, 5, 6)), ((11,), (12,))])
def test_one_pair_among_thirteen_players_that_loses_by_joining_is_found(one, other):
    v = np.bitwise_count(np.arange(2**13)).astype(float) ** 2
    assert is_superadditive(v, 13)
    first, second = (sum(1 << player for player in players) for players in (one, other))
    v[first | second] = v[first] + v[second] - 1
    assert not is_superadditive(v, 13)


def test_a_function_is_not_asked_what_nobody_is_worth():
    length = (3.0, 5.0, 8.0)
    airport = lambda players: -max(length[player] for player in players)  # noqa: E731
    assert coalition_table(airport, 3).tolist() == [0, -3, -5, -5, -8, -8, -8, -8]
    assert shapley(airport, 3) == pytest.approx([-1, -2, -5])
    sampled = shapley_sampled(airport, 3, samples=600, rng=np.random.default_rng(0))
    assert sampled.value.sum() == pytest.approx(-8)
    of_types = shapley_by_type(lambda count: -max(length[kind] for kind in range(3) if count[kind]), (1, 1, 1))
    assert of_types == pytest.approx([-1, -2, -5])


@pytest.mark.parametrize(
    ("v", "n", "message"),
    [
        ([0, 1], 2, r"v must have shape \(4,\)"),
        ([[0, 1], [2, 3]], 2, r"v must have shape \(4,\)"),
        ([0, 1, np.nan, 2], 2, r"got nan for coalition \(1,\)"),
        ([0, 1, 2, np.inf], 2, r"got inf for coalition \(0, 1\)"),
        ([1, 1, 2, 3], 2, "empty coalition must be 0, got 1"),
        (["a", "b"], 1, "v, unless a mapping from coalitions or a function, must be numbers"),
        (None, 1, r"v must have shape \(2,\)"),
        (pd.Series({(0, 1): 3.0, (0, 2): 1.0}), 1, r"give its \.to_dict\(\)"),
        ({(0,): 1, (0, 1): 3}, 2, r"no value for coalition \(1,\)"),
        ({(0,): 1, (1,): 2, (0, 1): 3, (1, 0): 3}, 2, r"coalition \(0, 1\) twice"),
        ({(): 1, (0,): 1}, 1, "empty coalition must be 0"),
        ({(0,): 1, (2,): 2, (0, 2): 3}, 2, "player 2: the players are 0 to 1"),
        ({(0,): 1, (1, 1): 2, (0, 1): 3}, 2, "player 1 twice"),
        ({0: 1, 1: 2, 3: 3}, 2, "iterable of players"),
        ({"0": 1}, 1, "iterable of players"),
        ({(0,): None}, 1, "must be a number, got None"),
        (lambda players: np.nan if players else 0, 2, r"got nan for coalition \(0,\)"),
        ([0], 0, "n must be at least 1"),
        ([0, 1], -1, "n must be at least 1"),
        ([0, 1], 1.5, "n must be a whole number"),
        (lambda players: 0.0, 23, "shapley_by_type where players are alike, or shapley_sampled"),
    ],
)
def test_games_that_are_none_are_refused(v, n, message):
    with pytest.raises(DataError, match=message):
        shapley(v, n)


@pytest.mark.parametrize(
    ("table", "counts", "message"),
    [
        (np.zeros(3), (3,), r"shape \(4,\)"),
        (np.array([0, np.nan]), (1,), r"got nan for counts \(1,\)"),
        (np.array([1.0, 2.0]), (1,), "of nobody must be 0"),
        (np.zeros(1), (0,), "at least one player"),
        (np.zeros(1), (-1,), "whole numbers of at least 0"),
        (np.zeros(1), (0.5,), "whole numbers of at least 0"),
        (np.zeros(1), 5, "a number of players for each type, got 5"),
        (np.array(["a", "b"]), (1,), "v_of_counts must be numbers"),
        (lambda counts: "a", (1,), r"v_of_counts at \(1,\) must be one number, got 'a'"),
    ],
)
def test_counts_that_are_none_are_refused(table, counts, message):
    with pytest.raises(DataError, match=message):
        shapley_by_type(table, counts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 3}, "at least 4"),
        ({"samples": np.nan}, "samples must be a whole number, got nan"),
        ({"level": "a"}, "level must be one number, got 'a'"),
        ({"level": 1.0}, "level must be in"),
        ({"level": np.nan}, "level must be in"),
    ],
)
def test_samples_that_say_nothing_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        shapley_sampled(lambda players: len(players), 30, rng=np.random.default_rng(0), **options)


def test_sampling_refuses_worths_that_are_no_numbers_and_tables_that_are_too_large():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="v must be finite, got nan"):
        shapley_sampled(lambda players: np.nan if len(players) == 3 else 0.0, 30, samples=4, rng=rng)
    for worth in ("a", None):
        with pytest.raises(DataError, match=f"v must be a number, got {worth!r} for coalition"):
            shapley_sampled(lambda players, worth=worth: worth, 30, samples=4, rng=rng)
    for seed in (0, None):
        with pytest.raises(DataError, match="rng must be a numpy Generator"):
            shapley_sampled(lambda players: 0.0, 30, samples=4, rng=seed)
    with pytest.raises(DataError, match="function of a frozenset"):
        shapley_sampled({}, 30, samples=4, rng=rng)
