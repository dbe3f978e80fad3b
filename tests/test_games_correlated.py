"""Correlated and coarse correlated equilibria: what departures gain, how they nest around Nash's, and known ones."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridlab.errors import DataError, PlanError
from gridlab.games import correlated
from gridlab.games.bimatrix import nash_equilibria
from gridlab.games.correlated import coarse_correlated_equilibrium, correlated_equilibrium, correlated_regrets
from gridlab.games.dynamics import pure_equilibria

seeds = st.integers(0, 10_000)
shapes = st.lists(st.integers(2, 4), min_size=2, max_size=3).map(tuple)
CHICKEN = [[6, 2], [7, 0]], [[6, 7], [2, 0]]


def game_of(seed: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    """A random game, of whole numbers with ties for every other seed."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 5, shape) * 1.0 if seed % 2 else rng.normal(size=shape) for _ in shape]


def departures(payoffs: list[np.ndarray], *, coarse: bool) -> np.ndarray:
    """A row for each way to depart, with what it gains at each choice of all, by going through them."""
    shape, rows = payoffs[0].shape, []
    for player, payoff in enumerate(payoffs):
        for told, instead in product([None] if coarse else range(shape[player]), range(shape[player])):
            row = np.zeros(shape)
            for place in product(*map(range, shape)):
                if told in (None, place[player]):
                    row[place] = payoff[(*place[:player], instead, *place[player + 1 :])] - payoff[place]
            rows.append(row.ravel())
    return np.array(rows)


def best_by_plain_programme(payoffs: list[np.ndarray], goal: np.ndarray, *, coarse: bool) -> float:
    rows = departures(payoffs, coarse=coarse)
    return -linprog(-goal.ravel(), rows, np.zeros(len(rows)), np.ones((1, goal.size)), [1.0]).fun


@given(seed=seeds, shape=shapes, coarse=st.booleans())
def test_no_departure_gains_and_no_distribution_without_such_gains_is_worth_more(seed, shape, coarse):
    payoffs = game_of(seed, shape)
    find = coarse_correlated_equilibrium if coarse else correlated_equilibrium
    found = find(payoffs)
    spread = max(np.ptp(payoff) for payoff in payoffs)
    assert (found.distribution >= 0).all() and abs(found.distribution.sum() - 1) < 1e-12
    assert (departures(payoffs, coarse=coarse) @ found.distribution.ravel() <= 1e-9 * spread).all()
    expected = best_by_plain_programme(payoffs, sum(payoffs), coarse=coarse)
    np.testing.assert_allclose(found.value, expected, atol=1e-7 * spread)
    np.testing.assert_allclose(found.value, found.payoffs.sum(), atol=1e-12 * spread)
    np.testing.assert_allclose(found.payoffs, [(found.distribution * payoff).sum() for payoff in payoffs])


@given(seed=seeds, shape=shapes)
def test_regrets_sum_the_best_departures_from_each_strategy_told(seed, shape):
    payoffs = game_of(seed, shape)
    chance = np.random.default_rng(seed).dirichlet(np.ones(np.prod(shape))).reshape(shape)
    gains = [iter(departures(payoffs, coarse=coarse) @ chance.ravel()) for coarse in (False, True)]
    for player, size in enumerate(shape):
        told = sum(max(next(gains[0]) for _ in range(size)) for _ in range(size))
        untold = max(next(gains[1]) for _ in range(size))
        assert correlated_regrets(payoffs, chance)[player] == pytest.approx(told, abs=1e-12)
        assert correlated_regrets(payoffs, chance, coarse=True)[player] == pytest.approx(max(untold, 0), abs=1e-12)


@given(seed=seeds, rows=st.integers(2, 4), columns=st.integers(2, 4))
def test_a_nash_equilibrium_is_correlated_and_a_correlated_one_is_coarse(seed, rows, columns):
    payoffs = game_of(seed, (rows, columns))
    ranges = np.array([np.ptp(payoff) or 1.0 for payoff in payoffs])
    inner, outer = correlated_equilibrium(payoffs), coarse_correlated_equilibrium(payoffs)
    for x, y in nash_equilibria(*payoffs):
        assert (correlated_regrets(payoffs, np.outer(x, y)) <= 1e-9 * ranges).all()
        assert x @ sum(payoffs) @ y <= inner.value + 1e-9 * ranges.sum()
    assert (correlated_regrets(payoffs, inner.distribution, coarse=True) <= 1e-9 * ranges).all()
    assert inner.value <= outer.value + 1e-9 * ranges.sum()


@given(seed=seeds)
def test_among_many_players_a_pure_equilibrium_is_no_better_than_the_best_correlated_one(seed):
    payoffs = game_of(seed, (2, 2, 2, 2))
    best = correlated_equilibrium(payoffs).value
    assert all(sum(payoff[place] for payoff in payoffs) <= best + 1e-8 for place in pure_equilibria(payoffs))


@given(seed=seeds, shape=shapes)
def test_scales_and_shifts_of_the_payoffs_scale_and_shift_the_value(seed, shape):
    payoffs = game_of(seed, shape)
    value = correlated_equilibrium(payoffs).value
    spread = max(np.ptp(payoff) for payoff in payoffs)
    for scale, shift in ((1e-9, 0.0), (1e9, 0.0), (1.0, 1e6)):
        moved = correlated_equilibrium([payoff * scale + shift for payoff in payoffs])
        assert moved.value == pytest.approx(value * scale + len(shape) * shift, abs=1e-8 * spread * scale)
        assert (moved.regrets <= 1e-9 * scale * np.array([np.ptp(payoff) for payoff in payoffs]) + 0.0).all()


def test_players_whose_payoffs_differ_in_scale_have_the_regrets_of_their_own():
    payoffs = [game_of(4, (3, 3))[0], game_of(6, (3, 3))[1] * 1e-9]
    found = correlated_equilibrium(payoffs)
    assert (found.regrets <= 1e-9 * np.array([np.ptp(payoff) for payoff in payoffs])).all()


@given(seed=seeds, shape=shapes)
def test_any_objective_is_had_most_of_and_the_least_payoff_is_raised(seed, shape):
    payoffs = game_of(seed, shape)
    goal = np.random.default_rng(seed + 1).normal(size=shape)
    found = correlated_equilibrium(payoffs, objective=goal)
    assert found.value == pytest.approx(best_by_plain_programme(payoffs, goal, coarse=False), abs=1e-7)
    fair = correlated_equilibrium(payoffs, objective="least")
    assert fair.value == pytest.approx(fair.payoffs.min())
    assert fair.value >= correlated_equilibrium(payoffs).payoffs.min() - 1e-8
    one = correlated_equilibrium(payoffs, objective=payoffs[0])
    assert fair.value <= one.value + 1e-8


def test_in_chicken_a_mediator_gets_both_players_five_and_a_quarter():
    # Aumann (1974): 1/3 of each of three choices earns both 5; the most that there is is 5 1/4
    found = correlated_equilibrium(CHICKEN)
    np.testing.assert_allclose(found.distribution, [[1 / 2, 1 / 4], [1 / 4, 0]], atol=1e-12)
    np.testing.assert_allclose(found.payoffs, 5.25, atol=1e-12)
    third = np.array([[1, 1], [1, 0]]) / 3
    np.testing.assert_allclose(correlated_regrets(CHICKEN, third), 0, atol=1e-12)
    assert max(x @ np.sum(CHICKEN, axis=0) @ y for x, y in nash_equilibria(*CHICKEN)) == pytest.approx(28 / 3)


def test_known_games_have_their_only_correlated_equilibria():
    dilemma = [[3, 0], [5, 1]], [[3, 5], [0, 1]]
    np.testing.assert_allclose(correlated_equilibrium(dilemma).distribution, [[0, 0], [0, 1]], atol=1e-12)
    rps = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    for goal in np.eye(9).reshape(9, 3, 3):
        found = correlated_equilibrium((rps, -rps), objective=goal)
        np.testing.assert_allclose(found.distribution, 1 / 9, atol=1e-12)


def test_the_battle_of_the_sexes_is_shared_by_a_coin():
    battle = [[2, 0], [0, 1]], [[1, 0], [0, 2]]
    np.testing.assert_allclose(correlated_equilibrium(battle, objective="least").payoffs, [1.5, 1.5])


def test_a_coarse_equilibrium_may_be_worth_more_than_any_correlated_one():
    games = np.random.default_rng(0).normal(size=(30, 2, 3, 3))
    gaps = [coarse_correlated_equilibrium(game).value - correlated_equilibrium(game).value for game in games]
    assert min(gaps) >= -1e-9 and max(gaps) > 0.05


def test_a_game_of_some_size_is_solved():
    payoffs = game_of(12, (8, 8, 8))
    found = correlated_equilibrium(payoffs)
    assert (found.regrets <= 1e-9 * np.array([np.ptp(payoff) for payoff in payoffs])).all()


def test_an_answer_that_departures_gain_on_is_refused(monkeypatch):
    monkeypatch.setattr(correlated, "_solved", lambda goals, *_: np.full(goals[0].size, 1 / goals[0].size))
    with pytest.raises(PlanError, match="of its payoff range by departing"):
        correlated_equilibrium(CHICKEN)


def test_an_answer_that_is_off_by_the_solver_s_tolerance_is_polished(monkeypatch):
    exact = np.array([0.5, 0.25, 0.25, 0.0])
    monkeypatch.setattr(correlated, "_solved", lambda *_: (exact + np.array([3e-9, 0, 0, 0])) / (1 + 3e-9))
    np.testing.assert_allclose(correlated_equilibrium(CHICKEN).distribution.ravel(), exact, atol=1e-14)


@pytest.mark.parametrize("find", [correlated_equilibrium, coarse_correlated_equilibrium])
@pytest.mark.parametrize(
    "payoffs, objective, message",
    [
        ([np.eye(2), [[np.nan, 1], [0, 1]]], "welfare", r"player 1 is nan at \(0, 0\)"),
        ([np.ones((2, 1)), np.ones((2, 1))], "welfare", "player 1 has 1 strategy"),
        ([np.eye(2)], "welfare", "at least 2 players"),
        (CHICKEN, "fairness", "objective must be one of welfare, least"),
        (CHICKEN, np.ones((2, 3)), "objective must have the payoffs' shape"),
        (CHICKEN, [[np.inf, 0], [0, 0]], r"objective is inf at \(0, 0\): payoffs must be finite"),
        (CHICKEN, [[0, np.nan], [0, 0]], r"objective is nan at \(0, 1\)"),
        (CHICKEN, [["a", "b"], ["c", "d"]], "objective must be numbers"),
        (CHICKEN, [[1, 2], [3]], "objective must be numbers in rows of one length"),
        ([np.full((2, 2), 1.7e308)] * 2, "welfare", "too great for a number"),
    ],
)
def test_what_is_no_game_or_no_objective_is_refused(find, payoffs, objective, message):
    with pytest.raises(DataError, match=message):
        find(payoffs, objective=objective)


def test_what_is_no_distribution_is_refused():
    with pytest.raises(DataError, match="the payoffs' shape"):
        correlated_regrets(CHICKEN, np.ones(4) / 4)
    for wrong in (["a", "b"], [[1, 0], [0]], [["1", "0"], ["0", "0"]]):
        with pytest.raises(DataError, match="distribution must be numbers"):
            correlated_regrets(CHICKEN, wrong)
    with pytest.raises(DataError, match="sum of 2"):
        correlated_regrets(CHICKEN, np.ones((2, 2)) / 2)
