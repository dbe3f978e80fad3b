"""Two players: lists of equilibria that are whole or say so, ties and scales, one equilibrium, zero-sum values."""

import warnings
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gridlab.errors import DataError
from gridlab.games import bimatrix, bimatrix_vertices
from gridlab.games.bimatrix import nash_equilibria, one_equilibrium
from gridlab.games.bimatrix_exact import exact_neighbours, whole_payoffs
from gridlab.games.payoffs import payoff_range, regrets
from gridlab.games.zero_sum import zero_sum

shapes = array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=4)
small = shapes.flatmap(lambda shape: st.tuples(*[arrays(float, shape, elements=st.integers(-2, 2))] * 2))
wide = shapes.flatmap(lambda shape: st.tuples(*[arrays(float, shape, elements=st.integers(-99, 99))] * 2))
seeds = st.integers(0, 10_000)


def solved(rows: list[list[Fraction]]) -> list[Fraction] | None:
    """The one answer to a square system in fractions, its right side last in each row; None where there is not one."""
    rows = [list(row) for row in rows]
    size = len(rows)
    for column in range(size):
        pivot = next((row for row in range(column, size) if rows[row][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for row in range(size):
            if row != column and rows[row][column]:
                rows[row] = [a - rows[row][column] * b for a, b in zip(rows[row], rows[column], strict=True)]
    return [row[-1] for row in rows]


def corners(payoffs: np.ndarray) -> list[tuple[tuple[Fraction, ...], set[int], set[int]]]:
    """
    Corners of the best-reply polyhedron of an opponent's mix: what is unplayed and which replies (rows) are best.

    By trying every set of inequalities, in fractions.
    """
    table = [[Fraction(value) for value in row] for row in payoffs.tolist()]
    replies, played = payoffs.shape
    one = [Fraction(1)] * played + [Fraction(0), Fraction(1)]
    found = {}
    for tight in combinations(range(played + replies), played):
        rows = [one]
        for label in tight:
            if label < played:
                rows.append([Fraction(int(column == label)) for column in range(played)] + [Fraction(0)] * 2)
            else:
                rows.append([*table[label - played], Fraction(-1), Fraction(0)])
        point = solved(rows)
        if point is None or min(point[:-1]) < 0:
            continue
        mix, best = tuple(point[:-1]), point[-1]
        earned = [sum(a * p for a, p in zip(row, mix, strict=True)) for row in table]
        if max(earned) <= best:
            unplayed = {label for label, share in enumerate(mix) if share == 0}
            found[mix] = (mix, unplayed, {row for row, value in enumerate(earned) if value == best})
    return list(found.values())


def by_brute_force(A: np.ndarray, B: np.ndarray) -> tuple[list[np.ndarray], bool]:
    """All extreme equilibria, and whether the game is degenerate."""
    of_rows, of_columns = corners(B.T), corners(A)
    pairs = [
        np.array([*x, *y], dtype=float)
        for (x, no_row, best_column), (y, no_column, best_row) in product(of_rows, of_columns)
        if len(no_row | best_row) == A.shape[0] and len(no_column | best_column) == A.shape[1]
    ]
    degenerate = any(len(best) > len(mix) - len(unplayed) for mix, unplayed, best in of_rows + of_columns)
    return sorted(pairs, key=lambda pair: tuple(-pair)), degenerate


def by_supports(A: np.ndarray, B: np.ndarray) -> list[np.ndarray]:
    """Equilibria on supports of one size with one answer, in fractions: of a nondegenerate game all."""
    found = []
    for size in range(1, min(A.shape) + 1):
        for rows, columns in product(combinations(range(A.shape[0]), size), combinations(range(A.shape[1]), size)):
            x = indifferent(B.T, columns, rows)
            y = indifferent(A, rows, columns)
            if x is not None and y is not None:
                found.append(np.array([*x, *y], dtype=float))
    return sorted(found, key=lambda pair: tuple(-pair))


def indifferent(payoffs: np.ndarray, replies: tuple[int, ...], played: tuple[int, ...]) -> list[Fraction] | None:
    """The mix above 0 of what is played at which the replies are all best."""
    table = [[Fraction(value) for value in row] for row in payoffs.tolist()]
    rows = [[*(table[reply][column] for column in played), Fraction(-1), Fraction(0)] for reply in replies]
    point = solved([*rows, [Fraction(1)] * len(played) + [Fraction(0), Fraction(1)]])
    if point is None or min(point[:-1]) <= 0:
        return None
    mix = [Fraction(0)] * payoffs.shape[1]
    for column, share in zip(played, point[:-1], strict=True):
        mix[column] = share
    return mix if max(sum(a * p for a, p in zip(row, mix, strict=True)) for row in table) <= point[-1] else None


def joined(equilibria: bimatrix.Equilibria) -> np.ndarray:
    return np.array([np.concatenate(pair) for pair in equilibria])


def dual_cyclic_game() -> tuple[np.ndarray, np.ndarray]:
    """
    The 6 x 6 game of two dual cyclic polytopes whose facets are labelled so that 75 pairs of vertices have all labels.

    B. von Stengel, "New maximal numbers of equilibria in bimatrix games," Discrete Comput. Geom. 21, 1999,
    doi:10.1007/PL00009438.
    """
    angles = 2 * np.pi * np.arange(12) / 12
    curve = np.array([[f(k * angle) for k in (1, 2, 3) for f in (np.cos, np.sin)] for angle in angles])

    def payoffs(facets: list[int]) -> np.ndarray:
        inverse, others = np.linalg.inv(curve[facets[:6]]), curve[facets[6:]]
        return -(others @ inverse) / (1 - others @ inverse @ np.ones(6))[:, None]

    swapped = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10]
    return payoffs(swapped[6:] + swapped[:6]), payoffs(list(range(12))).T


@settings(max_examples=25)
@given(small | wide)
def test_the_list_is_every_extreme_equilibrium_that_brute_force_in_fractions_finds(game):
    A, B = game
    found, (expected, degenerate) = nash_equilibria(A, B), by_brute_force(A, B)
    assert found.complete
    assert found.degenerate == degenerate
    assert len(found) == len(expected)
    np.testing.assert_allclose(joined(found), expected, atol=1e-14)


@given(small)
def test_ties_survive_scales_and_decimals_that_doubles_round(game):
    A, B = game
    expected, degenerate = by_brute_force(A, B)
    for scale, shift in ((1e-9, 0.0), (1e9, 0.0), (1.0, 1e6), (0.1, 0.7), (1e-9, 3e-6), (1 / 3, 0.0)):
        found = nash_equilibria(A * scale + shift, B * scale + shift)
        assert (found.complete, found.degenerate, len(found)) == (True, degenerate, len(expected))
        np.testing.assert_allclose(joined(found), expected, atol=1e-12)


@given(wide)
def test_a_nondegenerate_game_has_an_odd_number_of_equilibria_all_on_supports_of_one_size(game):
    A, B = game
    found, expected = nash_equilibria(A, B), by_supports(A, B)
    if found.degenerate:
        known = joined(found)
        assert all(np.abs(known - pair).max(axis=1).min() < 1e-12 for pair in expected)
    else:
        assert len(found) % 2 == 1
        np.testing.assert_allclose(joined(found), expected, atol=1e-14)


@settings(max_examples=12)
@given(seed=seeds, size=st.integers(2, 7))
def test_random_games_agree_with_quantecon_and_pass_their_regrets(seed, size):
    from quantecon.game_theory import NormalFormGame, Player, vertex_enumeration

    A, B = np.random.default_rng(seed).normal(size=(2, size, size + seed % 2))
    found = nash_equilibria(A, B)
    oracle = vertex_enumeration(NormalFormGame([Player(A), Player(B.T.copy())]))
    assert (found.complete, found.degenerate) == (True, False)
    assert sorted(joined(found).round(8).tolist()) == sorted(np.concatenate(pair).round(8).tolist() for pair in oracle)
    assert len(found.regrets) == len(found) and found.regrets.max() <= 1e-9
    for x, y in found:
        assert (regrets((A, B), (x, y)) <= 1e-9 * np.array([payoff_range(A), payoff_range(B)])).all()


@given(game=small | wide, seed=seeds)
def test_what_the_columns_of_a_player_all_gain_and_the_order_of_strategies_change_no_equilibrium(game, seed):
    A, B = game
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(A.shape[0]), rng.permutation(A.shape[1])
    moved = nash_equilibria(
        (A + rng.integers(-5, 5, A.shape[1]))[rows][:, columns],
        (B + rng.integers(-5, 5, (A.shape[0], 1)))[rows][:, columns],
    )
    back = sorted(np.concatenate([x[np.argsort(rows)], y[np.argsort(columns)]]).round(12).tolist() for x, y in moved)
    assert back == sorted(joined(nash_equilibria(A, B)).round(12).tolist())


@given(small)
def test_the_walk_in_64_bits_and_the_walk_without_limits_find_the_same_vertices(game):
    from gridlab.games.bimatrix_core import whole_neighbours

    matrix = whole_payoffs(game[0])[0] + 1
    bases = np.arange(matrix.shape[1], sum(matrix.shape), dtype=np.int32)[None]
    for _ in range(3):
        near, positive, _ = whole_neighbours(matrix.astype(np.int64), bases)
        exact_near, exact_positive = exact_neighbours(matrix, bases)
        np.testing.assert_array_equal(near, exact_near)
        np.testing.assert_array_equal(positive, exact_positive)
        bases = np.unique(near.reshape(-1, matrix.shape[0]), axis=0)


@pytest.mark.parametrize("decimals", [None, 2, 4])
@pytest.mark.parametrize("scale, shift", [(1, 0), (1e-9, 0), (1e9, 0), (1, 1e6)])
def test_the_dual_cyclic_game_has_75_equilibria_at_every_scale(decimals, scale, shift):
    A, B = dual_cyclic_game()
    if decimals is not None:
        A, B = A.round(decimals), B.round(decimals)
    found = nash_equilibria(A * scale + shift, B * scale + shift)
    assert (len(found), found.degenerate, found.complete) == (75, False, True)
    assert found.regrets.max() <= 1e-9


def test_columns_of_very_different_sizes_leave_the_75_equilibria():
    A, B = dual_cyclic_game()
    sizes = np.array([1, 1e-5, 1e5, 1e-9, 1, 1e9])
    found = nash_equilibria(A * sizes, B)
    assert (len(found), found.degenerate, found.complete) == (75, False, True)
    assert found.regrets.max() <= 1e-9


def test_nashpy_does_not_find_the_75():
    import nashpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(nashpy.Game(*dual_cyclic_game()).support_enumeration())
    assert len(found) != 75


@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_a_game_of_coordination_has_an_equilibrium_for_each_set_of_strategies(size):
    found = nash_equilibria(np.eye(size), np.eye(size))
    assert (len(found), found.degenerate, found.complete) == (2**size - 1, False, True)
    assert {tuple((x > 0).tolist()) for x, _ in found} == set(product((False, True), repeat=size)) - {(False,) * size}
    for x, y in found:
        np.testing.assert_allclose(x, y)
        np.testing.assert_allclose(x[x > 0], 1 / (x > 0).sum())


def test_in_a_game_about_nothing_every_pair_of_choices_is_an_extreme_equilibrium():
    found = nash_equilibria(np.zeros((3, 4)), np.full((3, 4), 1e6))
    assert (len(found), found.degenerate, found.complete) == (12, True, True)
    assert {(int(x.argmax()), int(y.argmax())) for x, y in found} == set(product(range(3), range(4)))


def test_a_strategy_that_comes_twice_makes_the_game_degenerate_unless_it_is_dominated():
    A, B = np.random.default_rng(2).normal(size=(2, 5, 5))
    once = nash_equilibria(A, B)
    best = int(once[0].x.argmax())
    twice = nash_equilibria(np.vstack([A, A[best]]), np.vstack([B, B[best]]))
    assert twice.degenerate and twice.complete and len(twice) > len(once)
    dominated = nash_equilibria(np.vstack([A, [A.min(axis=0) - 1] * 2]), np.vstack([B, B[:1], B[:1]]))
    assert not dominated.degenerate and dominated.complete
    np.testing.assert_allclose([x[:5] for x, _ in dominated], [x for x, _ in once], atol=1e-12)


def test_a_strategy_that_doubles_cannot_tell_from_another_is_still_told_apart():
    A, B = np.array([[1.0, 0.0], [1.0 + 2**-52, 0.0], [0.3, 0.7]]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = nash_equilibria(A, B)
    assert found.complete and found.regrets.max() <= 1e-9
    assert any(pair.x[2] == 1 for pair in found)


def test_one_player_may_have_many_more_strategies_than_the_other():
    A, B = np.random.default_rng(1).normal(size=(2, 2, 70))
    found, turned = nash_equilibria(A, B), nash_equilibria(B.T, A.T)
    assert found.complete and len(found) % 2 == 1
    assert sorted(y.round(9).tolist() for _, y in found) == sorted(x.round(9).tolist() for x, _ in turned)


def test_the_game_of_von_stengel_has_its_three_equilibria():
    found = nash_equilibria([[3, 3], [2, 5], [0, 6]], [[3, 2], [2, 6], [3, 1]])
    expected = [[1, 0, 0, 1, 0], [4 / 5, 1 / 5, 0, 2 / 3, 1 / 3], [0, 1 / 3, 2 / 3, 1 / 3, 2 / 3]]
    np.testing.assert_allclose(joined(found), expected, atol=1e-15)


def test_the_degenerate_game_of_von_stengel_has_the_ends_of_its_segments():
    # B. von Stengel in Algorithmic Game Theory, 2007, 3.6: (3, 3) for the first row against the first column makes ties
    A, B = np.array([[3, 3], [2, 5], [0, 6]]), np.array([[3, 3], [2, 6], [3, 1]])
    found = nash_equilibria(A, B)
    expected, degenerate = by_brute_force(A * 1.0, B * 1.0)
    assert degenerate and found.degenerate and found.complete
    np.testing.assert_allclose(joined(found), expected, atol=1e-15)


def test_where_the_work_does_not_suffice_the_list_says_that_it_may_not_be_whole():
    A, B = dual_cyclic_game()
    found = nash_equilibria(A, B, max_work=1e4)
    assert not found.complete
    assert 0 < len(found) <= 75 and found.regrets.max() <= 1e-9
    tied = nash_equilibria(np.eye(9)[:, [0, *range(8)]], np.ones((9, 9)), max_work=1.0)
    assert tied.degenerate and not tied.complete


def test_work_that_runs_out_is_not_begun_again_in_other_numbers(monkeypatch):
    walked = []
    monkeypatch.setattr(bimatrix_vertices, "_in_doubles", lambda *_: walked.append("doubles"))
    monkeypatch.setattr(bimatrix_vertices, "_exact_step", lambda *_: walked.append("exact"))
    A, B = np.random.default_rng(0).integers(0, 5, (2, 9, 9))
    assert not nash_equilibria(A, B, max_work=1e4).complete
    assert walked == []


def test_what_one_walk_has_worked_is_taken_from_the_next(monkeypatch):
    left = []

    def doubles(matrix, work):
        work.suffices_for(7e4)

    def exact(matrix, step, work, *, cost):
        left.append((work.left, cost))

    monkeypatch.setattr(bimatrix_vertices, "_in_doubles", doubles)
    monkeypatch.setattr(bimatrix_vertices, "_walk", exact)
    assert bimatrix_vertices.vertices(np.array([[1, 2], [2, 1]], dtype=object), False, 1e5) is None
    assert left == [(3e4, 300)]


@pytest.mark.parametrize("max_work", [np.nan, -1.0, "a", None])
def test_work_that_is_no_number_is_refused(max_work):
    with pytest.raises(DataError, match="max_work must be"):
        nash_equilibria(np.eye(2), np.eye(2), max_work=max_work)


@given(seed=seeds, shape=array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=30), ties=st.booleans())
def test_one_equilibrium_has_no_regret_at_any_scale(seed, shape, ties):
    rng = np.random.default_rng(seed)
    A, B = rng.integers(0, 3, (2, *shape)) * 1.0 if ties else rng.normal(size=(2, *shape))
    for scale, shift in ((1.0, 0.0), (1e-9, 0.0), (1e9, 0.0), (1.0, 1e6)):
        x, y = one_equilibrium(A * scale + shift, B * scale + shift)
        gains = regrets((A * scale + shift, B * scale + shift), (x, y))
        assert (gains <= 1e-9 * scale * np.array([payoff_range(A), payoff_range(B)])).all()


@given(small | wide)
def test_the_path_without_rounding_ends_in_an_equilibrium(game):
    A, B = game
    x, y = bimatrix._exact_path(whole_payoffs(A)[0], whole_payoffs(B.T)[0])
    assert (regrets((A, B), (x, y)) <= 1e-12).all()
    known = joined(nash_equilibria(A, B))
    assert np.abs(known - np.concatenate([x, y])).max(axis=1).min() < 1e-12


def test_one_equilibrium_of_200_by_200_has_no_regret():
    A, B = np.random.default_rng(0).normal(size=(2, 200, 200))
    assert (regrets((A, B), one_equilibrium(A, B)) <= 1e-12).all()


def test_where_doubles_lose_the_path_one_equilibrium_is_found_without_rounding(monkeypatch):
    lost = bimatrix.Equilibrium(np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    monkeypatch.setattr(bimatrix, "_lemke_howson", lambda *_: lost)
    x, y = one_equilibrium([[1, -1], [-1, 1]], [[-1, 1], [1, -1]])
    np.testing.assert_array_equal([x, y], 0.5)


@settings(max_examples=20)
@given(seed=seeds, size=st.integers(2, 6))
def test_the_equilibria_of_a_zero_sum_game_earn_its_value(seed, size):
    A = np.random.default_rng(seed).integers(-3, 4, (size, size)) * 1.0
    value = zero_sum(A).value
    for x, y in nash_equilibria(A, -A):
        assert abs(x @ A @ y - value) < 1e-12


@given(seed=seeds, shape=array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12), ties=st.booleans())
def test_what_one_secures_the_other_concedes(seed, shape, ties):
    rng = np.random.default_rng(seed)
    A = rng.integers(-3, 4, shape) * 1.0 if ties else rng.normal(size=shape)
    value, x, y = zero_sum(A)
    assert min(x.min(), y.min()) >= 0
    assert abs(x.sum() - 1) < 1e-12 and abs(y.sum() - 1) < 1e-12
    assert (x @ A >= value - 1e-12).all() and (A @ y <= value + 1e-12).all()
    assert abs(zero_sum(3 * A + 7).value - 3 * value - 7) < 1e-11
    assert abs(zero_sum(-A.T).value + value) < 1e-12


@pytest.mark.parametrize(
    "A, value, x, y",
    [
        ([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], 0, [1 / 3] * 3, [1 / 3] * 3),
        ([[3, -1], [-2, 1]], 1 / 7, [3 / 7, 4 / 7], [2 / 7, 5 / 7]),
        ([[4, 2, 5], [3, 1, 0]], 2, [1, 0], [0, 1, 0]),  # a saddle point
        (np.diag([1, 1e4, 1e8]), 1 / 1.00010001, np.array([1, 1e-4, 1e-8]) / 1.00010001, None),
        (np.zeros((2, 3)), 0, [1, 0], [1, 0, 0]),
    ],
)
def test_zero_sum_games_have_their_known_values(A, value, x, y):
    found = zero_sum(A)
    assert abs(found.value - value) < 1e-13
    np.testing.assert_allclose(found.x, x, atol=1e-13)
    np.testing.assert_allclose(found.y, x if y is None else y, atol=1e-13)


def test_a_large_zero_sum_game_is_solved_to_rounding():
    A = np.random.default_rng(3).normal(size=(120, 90))
    value, x, y = zero_sum(A)
    assert (x @ A).min() >= value - 1e-12 and (A @ y).max() <= value + 1e-12


@pytest.mark.parametrize("solve", [nash_equilibria, one_equilibrium])
@pytest.mark.parametrize(
    "A, B, message",
    [
        ([[1, np.nan], [0, 1]], np.eye(2), r"A is nan at \(0, 1\)"),
        (np.eye(2), [[1, 0], [np.inf, 1]], r"B is inf at \(1, 0\)"),
        ([[1, 2, 3]], [[1, 2, 3]], "the row player has 1 strategy"),
        ([[1], [2]], [[1], [2]], "the column player has 1 strategy"),
        (np.empty((0, 3)), np.empty((0, 3)), "the row player has 0 strategies"),
        (np.eye(2), np.ones((2, 3)), "transpose"),
        ([1, 2], [3, 4], "table of payoffs"),
        ([[1, 2], [3]], np.eye(2), "rows of one length"),
        ([["a", "b"], ["c", "d"]], np.eye(2), "must be numbers"),
    ],
)
def test_tables_that_are_no_game_are_refused_with_the_place_and_the_rule(solve, A, B, message):
    with pytest.raises(DataError, match=message):
        solve(A, B)


def test_zero_sum_and_regrets_refuse_what_does_not_fit():
    with pytest.raises(DataError, match="the column player has 1 strategy"):
        zero_sum([[1], [2]])
    with pytest.raises(DataError, match="A is nan"):
        zero_sum([[np.nan, 1], [2, 3]])
    with pytest.raises(DataError, match="2 probabilities"):
        regrets((np.eye(2), np.eye(2)), ([1, 0, 0], [1, 0]))
    with pytest.raises(DataError, match=r"-0\.5 at choice 1"):
        regrets((np.eye(2), np.eye(2)), ([1.5, -0.5], [1, 0]))


def test_huge_and_tiny_payoffs_are_a_game_too():
    for scale in (1e300, 1.7e308, 1e-300):
        found = nash_equilibria(np.array([[1, -1], [-1, 1]]) * scale, np.array([[-1, 1], [1, -1]]) * scale)
        np.testing.assert_allclose(joined(found), [[0.5, 0.5, 0.5, 0.5]])
        value = zero_sum(np.array([[1, -1], [-1, 1]]) * scale).value
        assert abs(value) <= 1e-12 * scale


def test_payoffs_too_far_apart_for_doubles_are_told_apart():
    found = nash_equilibria(np.diag([1e300, 1e-300]), np.diag([1e300, 1e-300]))
    assert (len(found), found.degenerate, found.complete) == (3, False, True)
    small = np.array([[0.0, 0.0], [-20.0, 1e9]]), np.array([[-2e-9, 0.0], [-2e8, 0.0]])
    assert nash_equilibria(*small).degenerate == by_brute_force(*small)[1]


@settings(max_examples=15)
@given(game=small, seed=seeds)
def test_columns_and_rows_of_any_size_and_payoffs_a_little_off_agree_with_brute_force(game, seed):
    rng = np.random.default_rng(seed)
    A, B = game
    sized = A * 10.0 ** rng.integers(-9, 10, A.shape[1]), B * 10.0 ** rng.integers(-9, 10, (B.shape[0], 1))
    for moved in (sized, (A + rng.normal(size=A.shape) * 10.0 ** -rng.integers(1, 12), B)):
        found, (expected, degenerate) = nash_equilibria(*moved), by_brute_force(*moved)
        assert (len(found), found.degenerate, found.complete) == (len(expected), degenerate, True)
        assert {tuple(pair) for pair in joined(found).round(9)} == {tuple(pair) for pair in np.round(expected, 9)}
