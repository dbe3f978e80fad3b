"""A leader who commits: against exact enumeration in fractions, against equilibria, and known answers."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.games.stackelberg import stackelberg


@st.composite
def games(draw, most=4):
    rows, columns = draw(st.integers(2, most)), draw(st.integers(2, most))
    table = st.lists(st.lists(st.integers(-3, 3), min_size=columns, max_size=columns), min_size=rows, max_size=rows)
    return np.array(draw(table)), np.array(draw(table))


def solved(equations, sides):
    """Gauss's elimination in fractions; None where the equations are singular."""
    rows = [[Fraction(int(x)) for x in row] + [Fraction(int(side))] for row, side in zip(equations, sides, strict=True)]
    for column in range(len(rows)):
        pivot = next((i for i in range(column, len(rows)) if rows[i][column] != 0), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [x / rows[column][column] for x in rows[column]]
        for i in range(len(rows)):
            if i != column:
                rows[i] = [x - rows[i][column] * y for x, y in zip(rows[i], rows[column], strict=True)]
    return [row[-1] for row in rows]


def value_by_enumeration(A, B):
    """The leader's payoff at every vertex of the regions in which the follower's replies do not change."""
    n_rows, n_columns = A.shape
    walls = [np.eye(n_rows, dtype=int)[i] for i in range(n_rows)]
    walls += [B[:, j] - B[:, k] for j, k in combinations(range(n_columns), 2)]
    best = None
    for chosen in combinations(walls, n_rows - 1):
        x = solved([np.ones(n_rows, dtype=int), *chosen], [1] + [0] * (n_rows - 1))
        if x is None or min(x) < 0:
            continue
        leader, follower = (
            [sum(p * int(entry) for p, entry in zip(x, column, strict=True)) for column in table.T] for table in (A, B)
        )
        value = max(own for own, other in zip(leader, follower, strict=True) if other == max(follower))
        best = value if best is None or value > best else best
    return best


@given(games(most=3))
def test_the_leaders_payoff_is_that_of_exact_enumeration(game):
    assert stackelberg(*game).leader_payoff == pytest.approx(float(value_by_enumeration(*game)), abs=1e-12)


@given(games(most=6))
def test_the_follower_has_no_regret_and_the_payoffs_are_those_of_the_strategies(game):
    A, B = game
    answer = stackelberg(A, B)
    replies = answer.leader @ B
    assert replies.max() - replies[answer.follower] <= 1e-12 * max(np.ptp(B), 1)
    assert answer.leader.min() >= 0
    assert answer.leader.sum() == pytest.approx(1, abs=1e-15)
    assert answer.leader_payoff == pytest.approx(answer.leader @ A[:, answer.follower], abs=1e-13)
    assert answer.follower_payoff == pytest.approx(replies[answer.follower], abs=1e-13)


@given(games(most=5))
def test_to_mix_is_worth_at_least_a_single_action_and_that_at_least_the_maximin_of_actions(game):
    A, B = game
    single = stackelberg(A, B, pure=True)
    assert single.leader_payoff >= A.min(axis=1).max()
    assert stackelberg(A, B).leader_payoff >= single.leader_payoff - 1e-12
    assert set(single.leader.tolist()) == {0.0, 1.0}
    assert (single.leader @ B).max() == single.follower_payoff


@given(games(most=4))
def test_to_lead_is_worth_at_least_every_equilibrium(game):
    from gridlab.games.bimatrix import nash_equilibria

    A, B = game
    value = stackelberg(A, B).leader_payoff
    for x, y in nash_equilibria(A, B):
        assert value >= x @ A @ y - 1e-9 * max(np.ptp(A), 1)


@given(games(most=4))
def test_where_one_wins_what_the_other_loses_to_lead_is_worth_the_value_of_the_game(game):
    from scipy.optimize import linprog

    A = game[0].astype(float)
    n_rows, n_columns = A.shape
    answer = linprog(
        np.r_[np.zeros(n_rows), -1],
        A_ub=np.column_stack([-A.T, np.ones(n_columns)]),
        b_ub=np.zeros(n_columns),
        A_eq=[np.r_[np.ones(n_rows), 0]],
        b_eq=[1],
        bounds=[(0, None)] * n_rows + [(None, None)],
    )
    assert stackelberg(A, -A).leader_payoff == pytest.approx(-answer.fun, abs=1e-9)


@given(games(), st.sampled_from([2.0**-60, 0.25, 8.0, 2.0**80]), st.sampled_from([-64.0, 0.0, 1024.0]))
def test_to_scale_and_shift_payoffs_changes_the_payoffs_alone(game, scale, shift):
    A, B = game
    here, there = stackelberg(A, B), stackelberg(scale * (A + shift), scale * (B - shift))
    assert there.leader_payoff == pytest.approx(scale * (here.leader_payoff + shift), abs=1e-9 * scale)
    replies = there.leader @ (scale * (B - shift))
    assert replies.max() - replies[there.follower] <= 1e-9 * scale * max(np.ptp(B), 1e-3)


def test_commitments_of_conitzer_and_sandholm():
    answer = stackelberg([[2, 4], [1, 3]], [[1, 0], [0, 1]])
    assert answer.leader.tolist() == [0.5, 0.5]
    assert answer.leader_payoff == 3.5
    answer = stackelberg([[2, 0, 0], [1, 0, 0]], [[0, 2, 5], [0, -1, -4]])
    assert answer.leader == pytest.approx([1 / 3, 2 / 3], abs=1e-15)
    assert answer.leader_payoff == pytest.approx(4 / 3, abs=1e-15)


def test_a_reply_that_is_only_as_good_as_another_is_chosen_where_it_suits_the_leader():
    answer = stackelberg([[0, 7], [0, 9]], [[1, 1], [2, 1]])
    assert (answer.leader.tolist(), answer.follower, answer.leader_payoff) == ([1, 0], 1, 7)


def test_a_reply_that_is_best_at_one_commitment_only_is_found():
    A, B = np.array([[0, 9, 0], [0, 9, 0]]), np.array([[3, 1, -1], [-1, 1, 3]])
    answer = stackelberg(A, B)
    assert answer.leader == pytest.approx([0.5, 0.5], abs=1e-14)
    assert answer.leader_payoff == pytest.approx(9)


def test_equal_payoffs_of_the_follower_let_the_leader_have_its_greatest():
    assert stackelberg([[1, 2], [8, 3]], [[5, 5], [5, 5]]).leader_payoff == 8


def test_a_large_game_is_solved_to_rounding():
    A, B = np.random.default_rng(5).normal(size=(2, 40, 60))
    answer = stackelberg(A, B)
    assert (answer.leader @ B).max() - answer.follower_payoff <= 1e-12
    assert answer.leader_payoff >= stackelberg(A, B, pure=True).leader_payoff - 1e-12


@pytest.mark.parametrize(
    ("A", "B", "message"),
    [
        ([[1, np.nan], [1, 1]], [[1, 1], [1, 1]], "must be finite"),
        ([[1, 1], [1, 1]], [[1, 1], [np.inf, 1]], "must be finite"),
        ([[1, 1]], [[1, 1]], "1 strategy"),
        ([[1], [1]], [[1], [1]], "1 strategy"),
        ([[1, 2], [3, 4]], [[1, 2, 3], [4, 5, 6]], "shape"),
        ([1, 2], [1, 2], "table"),
    ],
)
def test_games_that_are_none_are_refused(A, B, message):
    with pytest.raises(DataError, match=message):
        stackelberg(A, B)
