"""The core, the least core and the nucleolus: laws, the slow obvious versions, and known answers."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridlab.errors import DataError, PlanError
from gridlab.games.characteristic import is_convex, is_superadditive, players_of, sums_over
from gridlab.games.nucleolus import (
    balance,
    core_is_empty,
    in_core,
    least_core,
    nucleolus,
    objection,
    prenucleolus,
    satisfies_kohlberg,
)
from gridlab.games.shapley import player_types


@st.composite
def games(draw, least=1, most=5, low=-6, high=12):
    n = draw(st.integers(least, most))
    worth = draw(st.lists(st.integers(low, high), min_size=2**n - 1, max_size=2**n - 1))
    return np.array([0, *worth], dtype=float), n


@st.composite
def games_with_imputations(draw, most=5):
    """Few different worths, so that many coalitions tie, and enough for all to give each what it gets alone."""
    v, n = draw(games(most=most, low=0, high=draw(st.sampled_from([1, 3, 12]))))
    v[-1] = max(v[-1], v[1 << np.arange(n)].sum()) + draw(st.sampled_from([0, 1]))
    return v, n


def vote(weights, quota):
    return (sums_over(weights) >= quota).astype(float)


def gloves(left, right):
    return np.minimum(sums_over([1] * left + [0] * right), sums_over([0] * left + [1] * right))


def complaints(v, x):
    """Excesses of all coalitions but nobody and all, from the greatest on."""
    return np.sort((v - sums_over(x))[1:-1])[::-1]


def by_vertices(v, n):
    """
    The nucleolus in fractions: of each round all vertices are listed, and who is tight at all of the best is settled.

    The last player's share is what the others leave; the unknowns are their shares and the greatest excess.
    """
    worth = [Fraction(int(one)) for one in v]

    def row(mask):  # x(S) as a row over the unknowns and a constant
        last = mask >> (n - 1) & 1
        return [Fraction((mask >> i & 1) - last) for i in range(n - 1)], last * worth[-1]

    settled, masks = [], list(range(1, 2**n - 1))
    alone = [(row(1 << i)[0] + [Fraction(0)], worth[1 << i] - row(1 << i)[1]) for i in range(n)]
    while True:
        open_ = [(row(mask)[0] + [Fraction(1)], worth[mask] - row(mask)[1]) for mask in masks]
        points = [
            point
            for chosen in itertools.combinations(open_ + alone, max(n - len(_independent(settled)), 0))
            if (point := _solved([*settled, *chosen], n)) is not None
            and all(sum(a * b for a, b in zip(left, point, strict=True)) >= side for left, side in open_ + alone)
        ]
        least = min(point[-1] for point in points)
        best = [point for point in points if point[-1] == least]
        tight = [
            at
            for at, (left, side) in enumerate(open_)
            if all(sum(a * b for a, b in zip(left, point, strict=True)) == side for point in best)
        ]
        settled += [([*open_[at][0][:-1], Fraction(0)], open_[at][1] - least) for at in tight]
        masks = [mask for at, mask in enumerate(masks) if at not in tight]
        if len({tuple(point[:-1]) for point in best}) == 1:
            x = best[0][:-1]
            return np.array([float(one) for one in [*x, worth[-1] - sum(x)]])


def _independent(rows):
    reduced = []
    for left, _ in rows:
        left = list(left)
        for other, at in reduced:
            left = [a - left[at] / other[at] * b for a, b in zip(left, other, strict=True)]
        at = next((i for i, a in enumerate(left) if a), None)
        if at is not None:
            reduced.append((left, at))
    return reduced


def _solved(rows, n):
    """The point at which all rows hold, if there is just one."""
    reduced = []
    for left, side in rows:
        line = [*left, side]
        for other, at in reduced:
            line = [a - line[at] * b for a, b in zip(line, other, strict=True)] if line[at] else line
        at = next((i for i, a in enumerate(line[:-1]) if a), None)
        if at is None:
            if line[-1]:
                return None
            continue
        line = [a / line[at] for a in line]
        reduced = [([a - o[at] * b for a, b in zip(o, line, strict=True)], where) for o, where in reduced]
        reduced.append((line, at))
    if len(reduced) < n:
        return None
    point = [Fraction(0)] * n
    for line, at in reduced:
        point[at] = line[-1]
    return point


def by_all_rows(v, n, *, rational):
    """The rounds of Maschler, Peleg and Shapley with all rows; who is tight at every optimum is found one by one."""
    rows = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    settled, bounds = {2**n - 1: 0.0}, [(worth if rational else None, None) for worth in v[1 << np.arange(n)]]
    while np.linalg.matrix_rank(rows[list(settled)]) < n:
        open_ = [mask for mask in range(1, 2**n - 1) if mask not in settled]
        above = np.column_stack([-rows[open_], -np.ones(len(open_))])
        equal = np.column_stack([rows[list(settled)], np.zeros(len(settled))])
        sides = {"A_ub": above, "A_eq": equal, "b_eq": [v[mask] - excess for mask, excess in settled.items()]}
        round_ = linprog(np.append(np.zeros(n), 1), b_ub=-v[open_], bounds=[*bounds, (None, None)], **sides)
        least = round_.fun
        tight = [mask for mask in open_ if rows[mask] @ round_.x[:n] + least - v[mask] < 1e-7]
        held = [*bounds, (None, least + 1e-9)]
        slack = {
            mask: -linprog(np.append(-rows[mask], 0), b_ub=-v[open_] + 1e-9, bounds=held, **sides).fun for mask in tight
        }
        settled |= {mask: least for mask in tight if slack[mask] + least - v[mask] < 1e-6}
    return np.linalg.lstsq(rows[list(settled)], np.array([v[m] - e for m, e in settled.items()]), rcond=None)[0]


def talmud(claims, estate):
    """Half of each claim is what equal gains, and then equal losses, stop at (Aumann and Maschler 1985)."""
    half = np.asarray(claims, dtype=float) / 2

    def equal_gains(total):
        share, left = np.zeros(len(half)), total
        for rank, at in enumerate(np.argsort(half)):
            share[at] = min(half[at], left / (len(half) - rank))
            left -= share[at]
        return share

    if estate <= half.sum():
        return equal_gains(estate)
    return 2 * half - equal_gains(2 * half.sum() - estate)


def bankruptcy(claims, estate):
    return np.maximum(0.0, estate - sums_over(claims)[::-1])


@settings(max_examples=15)
@given(games_with_imputations(most=3))
def test_the_nucleolus_is_that_of_all_vertices_in_fractions(game):
    v, n = game
    if n > 1:
        assert nucleolus(v, n) == pytest.approx(by_vertices(v, n), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_nucleolus_of_four_is_that_of_all_vertices_in_fractions(seed):
    rng = np.random.default_rng(seed)
    v = rng.integers(0, (2, 4, 20)[seed], 16).astype(float)
    v[0], v[-1] = 0, max(v[-1], v[1 << np.arange(4)].sum()) + 1
    assert nucleolus(v, 4) == pytest.approx(by_vertices(v, 4), abs=1e-9)


@given(games_with_imputations(), st.sampled_from([1.0, 1e9, 1e-6]))
def test_the_nucleolus_is_that_of_the_rounds_with_all_rows(game, scale):
    v, n = game
    assert nucleolus(scale * v, n) / scale == pytest.approx(by_all_rows(v, n, rational=True), abs=1e-6)


@settings(max_examples=20)
@given(games())
def test_the_prenucleolus_is_that_of_the_rounds_with_all_rows(game):
    v, n = game
    assert prenucleolus(v, n) == pytest.approx(by_all_rows(v, n, rational=False), abs=1e-6)


@given(games_with_imputations())
def test_the_nucleolus_hands_out_all_and_gives_each_what_it_gets_alone(game):
    v, n = game
    x = nucleolus(v, n)
    assert x.sum() == pytest.approx(v[-1], abs=1e-12)
    assert (x >= v[1 << np.arange(n)]).all()


@given(games_with_imputations(), st.integers(0, 999))
def test_no_other_imputation_has_smaller_complaints(game, seed):
    v, n = game
    x, alone = nucleolus(v, n), v[1 << np.arange(n)]
    if n == 1 or v[-1] == alone.sum():
        return
    rng = np.random.default_rng(seed)
    for reach in (1.0, 0.1, 0.01, 0.001):
        other = alone + rng.dirichlet(np.ones(n)) * (v[-1] - alone.sum())
        other = x + reach * (other - x)
        differ = complaints(v, other) - complaints(v, x)
        first = np.flatnonzero(np.abs(differ) > 1e-9)
        assert first.size == 0 or differ[first[0]] > 0


@given(games_with_imputations(), st.integers(0, 999))
def test_kohlbergs_criterion_holds_of_the_nucleolus_and_of_nothing_else(game, seed):
    v, n = game
    x = nucleolus(v, n)
    assert satisfies_kohlberg(v, n, x)
    moved = np.random.default_rng(seed).normal(size=n)
    moved -= moved.mean()
    if n > 1:
        assert not satisfies_kohlberg(v, n, x + 0.01 * moved / np.abs(moved).max())
    assert not satisfies_kohlberg(v, n, x + 0.1)


@settings(max_examples=8)
@given(st.integers(0, 9999), st.integers(6, 9))
def test_kohlbergs_criterion_holds_where_many_coalitions_tie(seed, n):
    rng = np.random.default_rng(seed)
    v = [vote(rng.integers(1, 6, n), rng.integers(5, 15)), np.floor(3 * rng.random(2**n)), gloves(n // 2, n - n // 2)]
    for worth in v:
        worth[0] = 0
        assert satisfies_kohlberg(worth, n, prenucleolus(worth, n), rational=False)
        if worth[1 << np.arange(n)].sum() <= worth[-1]:
            assert satisfies_kohlberg(worth, n, nucleolus(worth, n))


@given(games_with_imputations(), st.randoms(use_true_random=False))
def test_renaming_the_players_renames_the_nucleolus(game, random):
    v, n = game
    names = list(range(n))
    random.shuffle(names)
    renamed = {tuple(names[player] for player in players_of(mask)): v[mask] for mask in range(2**n)}
    assert nucleolus(renamed, n)[names] == pytest.approx(nucleolus(v, n), abs=1e-9)


@given(games_with_imputations(), st.integers(0, 99))
def test_what_each_player_has_besides_is_added(game, seed):
    v, n = game
    own = np.random.default_rng(seed).normal(size=n)
    assert nucleolus(v + sums_over(own), n) == pytest.approx(nucleolus(v, n) + own, abs=1e-9)


@given(games(least=2))
def test_the_core_is_empty_if_the_least_charge_is_above_nothing_and_holds_the_nucleolus_otherwise(game):
    v, n = game
    epsilon, payoff = least_core(v, n)
    assert objection(v - np.eye(1, 2**n, 2**n - 1)[0] * 1e9, n, payoff).excess == pytest.approx(epsilon, abs=1e-8)
    assert core_is_empty(v, n) == (epsilon > 1e-8)
    assert in_core(v, n, payoff) != core_is_empty(v, n)
    if not core_is_empty(v, n):
        assert in_core(v, n, nucleolus(v, n))
        assert nucleolus(v, n) == pytest.approx(prenucleolus(v, n), abs=1e-8)


@given(games(least=2))
def test_the_least_charge_is_that_of_the_programme_with_all_rows(game):
    v, n = game
    rows = (np.arange(1, 2**n - 1)[:, None] >> np.arange(n) & 1).astype(float)
    found = linprog(
        np.append(np.zeros(n), 1),
        np.column_stack([-rows, -np.ones(len(rows))]),
        -v[1:-1],
        np.append(np.ones(n), 0)[None],
        v[-1:],
        bounds=(None, None),
    )
    assert least_core(v, n).epsilon == pytest.approx(found.fun, abs=1e-8)


@given(games())
def test_weights_are_balanced_and_worth_more_than_all_only_where_the_core_is_empty(game):
    v, n = game
    worth, weights = balance(v, n)
    for player in range(n):
        assert sum(weight for players, weight in weights.items() if player in players) == pytest.approx(1)
    assert min(weights.values()) > 0
    mapping = {players_of(mask): v[mask] for mask in range(2**n)}
    assert worth == pytest.approx(sum(weight * mapping[players] for players, weight in weights.items()))
    assert (worth > v[-1] + 1e-8) == core_is_empty(v, n)


@given(games(), st.integers(0, 99))
def test_the_objection_is_that_of_the_coalition_with_most_to_gain(game, seed):
    v, n = game
    x = np.random.default_rng(seed).integers(-9, 9, n).astype(float)
    gains = [v[mask] - sum(x[list(players_of(mask))]) for mask in range(1, 2**n)]
    coalition, excess = objection(v, n, x)
    assert excess == max(gains)
    assert coalition == players_of(1 + int(np.argmax(gains)))
    assert in_core(v, n, x) == (max(gains) <= 0 and x.sum() == v[-1])


@settings(max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.floats(0, 1), st.sampled_from([1.0, 1e9, 1e-6]))
def test_an_estate_is_divided_as_the_talmud_divides_it(claims, share, scale):
    estate = scale * share * sum(claims)
    v = bankruptcy(scale * np.array(claims), estate)
    assert nucleolus(v, len(claims)) / scale == pytest.approx(talmud(claims, estate / scale), abs=1e-9 * sum(claims))


def test_an_estate_is_divided_among_twelve_as_the_talmud_divides_it():
    claims = np.random.default_rng(0).random(12)
    assert nucleolus(bankruptcy(claims, 3.1), 12) == pytest.approx(talmud(claims, 3.1), abs=1e-10)


@pytest.mark.parametrize(
    ("v", "n", "x"),
    [
        (gloves(1, 2), 3, [1, 0, 0]),
        (gloves(2, 2), 4, [0.5, 0.5, 0.5, 0.5]),
        (gloves(2, 3), 5, [1, 1, 0, 0, 0]),
        (bankruptcy([100, 200, 300], 100), 3, [100 / 3, 100 / 3, 100 / 3]),
        (bankruptcy([100, 200, 300], 200), 3, [50, 75, 75]),
        (bankruptcy([100, 200, 300], 300), 3, [50, 100, 150]),
        (vote((40, 22, 30, 9), 51), 4, [1 / 3, 1 / 3, 1 / 3, 0]),
        (vote((3, 1, 1, 1, 1), 4), 5, [3 / 7, 1 / 7, 1 / 7, 1 / 7, 1 / 7]),  # the apex game: its least integer weights
        (vote((7,) * 5 + (1,) * 5, 37), 10, [1 / 5] * 5 + [0] * 5),  # all veto players, and two of the others
        ([0, 7], 1, [7]),
        ([0, -7], 1, [-7]),
        ([0, 3, 1, 10], 2, [6, 4]),
        ([0, 0, 0, 0], 2, [0, 0]),
        (sums_over([1, -2, 3.5]), 3, [1, -2, 3.5]),
        ([0, 0, 0, 0, 0, 0, 0, 9], 3, [3, 3, 3]),
        ([0, 1, 0, 0, 0, 0, 0, 1], 3, [1, 0, 0]),
        ([0, 0, 0, 5, 0, 5, 5, 0], 3, [0, 0, 0]),
    ],
)
def test_known_nucleoli(v, n, x):
    assert nucleolus(v, n) == pytest.approx(x, abs=1e-9)


@given(st.lists(st.integers(1, 20), min_size=2, max_size=8, unique=True))
def test_an_airport_is_paid_for_as_littlechild_says(costs):
    """Int. J. Game Theory 3, 1974, doi:10.1007/BF01766217: blocks of types, from the shortest runway on."""
    cost, n = np.sort(np.array(costs, dtype=float)), len(costs)
    masks = np.arange(1, 2**n)
    v = np.append(0.0, -cost[np.floor(np.log2(masks)).astype(int)])
    paid, done, before = np.zeros(n), 0, 0.0
    while done < n:
        base = cost[done - 1] if done else 0.0
        rates = [(cost[k] - base + before) / (k - done + 2) for k in range(done, n - 1)]
        rates.append((cost[-1] - base + before) / (n - done))
        if len(rates) > 1 and min(rates[:-1]) <= rates[-1]:
            last = max(k for k, rate in enumerate(rates[:-1]) if rate == min(rates[:-1])) + done
        else:
            last = n - 1
        before = min(rates)
        paid[done : last + 1] = before
        done = last + 1
    assert nucleolus(v, n) == pytest.approx(-paid, abs=1e-9)


def test_least_charges_that_are_known():
    assert least_core(vote((40, 22, 30, 9), 51), 4).epsilon == pytest.approx(1 / 3)
    assert least_core(gloves(1, 2), 3).epsilon == pytest.approx(0, abs=1e-12)
    assert least_core([0, 0, 0, 0, 0, 0, 0, 9], 3).epsilon == pytest.approx(-3)
    assert least_core([0, 4], 1) == (0.0, np.array([4.0]))
    assert not np.signbit(least_core([0, -1, 1, 0], 2).epsilon)


@pytest.mark.parametrize("tolerance", ["a", None, np.nan, -1.0, np.inf])
def test_tolerances_that_are_none_are_refused(tolerance):
    v = [0.0, 1.0, 2.0, 4.0]
    for ask in (is_superadditive, is_convex, core_is_empty, player_types):
        with pytest.raises(DataError, match="tolerance must be"):
            ask(v, 2, tolerance=tolerance)
    for ask in (in_core, satisfies_kohlberg):
        with pytest.raises(DataError, match="tolerance must be"):
            ask(v, 2, [1.5, 2.5], tolerance=tolerance)


def test_worths_that_no_coalition_will_see_do_not_blur_the_rest():
    v = np.full(2**5, -1e12)
    v[0], v[-1] = 0, 1.0
    v[1 << np.arange(5)] = 0
    v[3], v[28] = 0.6, 0.7
    assert nucleolus(v, 5).sum() == pytest.approx(1)
    assert satisfies_kohlberg(np.maximum(v, -100), 5, nucleolus(v, 5), tolerance=1e-9)


def test_players_who_get_more_alone_have_no_imputation_but_a_prenucleolus():
    v = [0, 3, 1, 2]
    with pytest.raises(PlanError, match=r"get 4 alone and 2 together, 2 less.*prenucleolus"):
        nucleolus(v, 2)
    assert prenucleolus(v, 2) == pytest.approx([2, 0])
    assert core_is_empty(v, 2)


def test_the_prenucleolus_may_give_less_than_a_player_gets_alone():
    v = np.array(
        [0, 0, 0, 8, 0, 0, 0, 6.0]
    )  # two would get 8 and must share 6 with a third, who adds less than nothing
    assert prenucleolus(v, 3)[2] < -0.1
    assert nucleolus(v, 3) == pytest.approx([3, 3, 0])


def test_superadditive_games_have_imputations():
    rng = np.random.default_rng(0)
    v = sums_over(rng.random(6)) ** 2
    assert is_superadditive(v, 6)
    assert in_core(v, 6, nucleolus(v, 6))


@pytest.mark.parametrize("function", [nucleolus, prenucleolus, least_core, core_is_empty, balance])
def test_games_that_are_none_are_refused(function):
    with pytest.raises(DataError, match="got nan for coalition"):
        function([0, 1, np.nan, 2], 2)
    with pytest.raises(DataError, match="no value for coalition"):
        function({(0,): 1}, 2)
    with pytest.raises(DataError, match="n must be at least 1"):
        function([0], 0)


@pytest.mark.parametrize("x", [["a", 1], [[1], [1, 2]], ["1", "2"]])
def test_divisions_that_are_no_numbers_are_refused(x):
    for function in (in_core, objection, satisfies_kohlberg):
        with pytest.raises(DataError, match="x must be numbers in rows of one length"):
            function([0, 1, 2, 4], 2, x)


@pytest.mark.parametrize("x", [[1], [1, 2, 3], [1, np.nan], [[1, 2]]])
def test_divisions_that_are_none_are_refused(x):
    for function in (in_core, objection, satisfies_kohlberg):
        with pytest.raises(DataError, match="x must have 2 finite numbers"):
            function([0, 1, 2, 4], 2, x)
