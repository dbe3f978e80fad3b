"""Players who learn: where best replies, fictitious play, replicator and logit dynamics go, and what they conserve."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError, PlanError
from gridlab.games import quantal
from gridlab.games.bimatrix import nash_equilibria
from gridlab.games.dynamics import (
    best_reply,
    best_reply_dynamics,
    fictitious_play,
    logit_dynamics,
    logit_replies,
    pure_equilibria,
    replicator,
)
from gridlab.games.payoffs import checked_payoffs, normalised, regrets
from gridlab.games.quantal import logit_equilibrium

seeds = st.integers(0, 10_000)
shapes = st.lists(st.integers(2, 4), min_size=2, max_size=4).map(tuple)

ROCK_PAPER_SCISSORS = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
SHAPLEY = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]), np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])


def game_of(seed: int, shape: tuple[int, ...], *, ties: bool = False) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 4, shape) * 1.0 if ties else rng.normal(size=shape) for _ in shape]


def potential_game(seed: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    """A common potential and for each player something that its own choice does not change."""
    rng = np.random.default_rng(seed)
    potential = rng.integers(-9, 10, shape) * 1.0
    others = [[1 if axis == player else size for axis, size in enumerate(shape)] for player in range(len(shape))]
    return [potential + rng.integers(-9, 10, size) for size in others]


def mixes_of(seed: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.dirichlet(np.ones(size)) for size in shape]


def gains_by_summing(payoffs: list[np.ndarray], mixes: list[np.ndarray]) -> list[float]:
    """Regrets by going through every choice of all."""
    gains = []
    for player, payoff in enumerate(payoffs):
        earned = np.zeros(payoff.shape[player])
        for place in product(*map(range, payoff.shape)):
            chance = np.prod([mixes[other][each] for other, each in enumerate(place) if other != player])
            earned[place[player]] += chance * payoff[place]
        gains.append(earned.max() - earned @ mixes[player])
    return gains


@given(seed=seeds, shape=shapes)
def test_regrets_are_the_gains_of_best_replies_summed_over_every_choice(seed, shape):
    payoffs, mixes = game_of(seed, shape), mixes_of(seed + 1, shape)
    np.testing.assert_allclose(regrets(payoffs, mixes), gains_by_summing(payoffs, mixes), atol=1e-12)


@given(seed=seeds, shape=shapes)
def test_pure_equilibria_are_the_choices_that_nobody_regrets(seed, shape):
    payoffs = game_of(seed, shape, ties=True)
    expected = [
        place
        for place in product(*map(range, shape))
        if (regrets(payoffs, [np.eye(size)[each] for size, each in zip(shape, place, strict=True)]) == 0).all()
    ]
    assert pure_equilibria(payoffs) == expected


@given(seed=seeds, shape=shapes)
def test_best_replies_earn_the_most_and_all_of_them_are_told(seed, shape):
    payoffs, mixes = game_of(seed, shape, ties=True), [np.eye(size)[0] for size in shape]
    for player, payoff in enumerate(payoffs):
        earned = payoff[tuple(slice(None) if other == player else 0 for other in range(len(shape)))]
        assert best_reply(payoffs, mixes, player).tolist() == np.flatnonzero(earned == earned.max()).tolist()


@given(seed=seeds, shape=shapes)
def test_best_replies_end_in_a_pure_equilibrium_of_a_potential_game(seed, shape):
    payoffs = potential_game(seed, shape)
    path = best_reply_dynamics(payoffs, [size - 1 for size in shape])
    assert path.converged and path.period == 0 and (path.regrets == 0).all()
    assert tuple(int(mix.argmax()) for mix in path.last) in pure_equilibria(payoffs)


@given(seed=seeds, shape=shapes)
def test_best_replies_end_at_rest_or_come_round(seed, shape):
    payoffs = game_of(seed, shape, ties=True)
    path = best_reply_dynamics(payoffs)
    assert path.converged != (path.period > 0)
    if path.period:
        for mix in path.strategies:
            np.testing.assert_array_equal(mix[-1], mix[-1 - path.period])
    else:
        assert tuple(int(mix.argmax()) for mix in path.last) in pure_equilibria(payoffs)


def test_best_replies_stop_at_the_rounds_given():
    path = best_reply_dynamics(SHAPLEY, rounds=1)
    assert len(path.times) == 2 and not path.converged and path.period == 0


@settings(max_examples=8)
@given(seed=seeds, size=st.integers(2, 4))
def test_fictitious_play_comes_to_the_value_of_a_zero_sum_game(seed, size):
    A = np.random.default_rng(seed).normal(size=(size, size))
    early, late = fictitious_play((A, -A), rounds=30), fictitious_play((A, -A), rounds=2500)
    assert late.regrets.sum() <= max(early.regrets.sum(), 1e-12)
    assert late.regrets.sum() <= 0.1 * (A.max() - A.min())


@settings(max_examples=8)
@given(seed=seeds, size=st.integers(2, 4))
def test_fictitious_play_loses_its_regret_in_games_of_two_by_n(seed, size):
    A, B = np.random.default_rng(seed).normal(size=(2, 2, size))
    path = fictitious_play((A, B), rounds=4000)
    assert path.regrets.max() <= 0.05 * max(np.ptp(A), np.ptp(B))


def test_fictitious_play_follows_brown_s_rule_round_by_round():
    A, B = np.random.default_rng(4).normal(size=(2, 3, 4))
    path = fictitious_play((A, B), (1, 2), rounds=50)
    rows, columns = np.zeros(3), np.zeros(4)
    row, column = 1, 2
    for x, y in zip(*path.strategies, strict=True):
        rows[row] += 1
        columns[column] += 1
        np.testing.assert_allclose(x, rows / rows.sum())
        np.testing.assert_allclose(y, columns / columns.sum())
        row, column = int((A @ y).argmax()), int((x @ B).argmax())


def test_fictitious_play_stops_once_the_regret_is_small():
    path = fictitious_play((ROCK_PAPER_SCISSORS, -ROCK_PAPER_SCISSORS), rounds=100_000, tolerance=0.02)
    assert path.converged and len(path.times) < 100_000
    assert path.regrets.max() <= 0.02 * 2
    before = [mix[-2] for mix in path.strategies]
    assert regrets((ROCK_PAPER_SCISSORS, -ROCK_PAPER_SCISSORS), before).max() > 0.02 * 2


def test_fictitious_play_circles_in_shapley_s_game():
    path = fictitious_play(SHAPLEY, (0, 1), rounds=20_000)
    x = path.strategies[0]
    assert not path.converged and path.regrets.min() > 0.05
    late = x[len(x) // 10 :]
    assert (np.ptp(late, axis=0) > 0.2).all()  # while the only equilibrium has a third of each
    assert len(nash_equilibria(*SHAPLEY)) == 1


@settings(max_examples=15)
@given(seed=seeds, shape=shapes)
def test_the_replicator_keeps_probabilities_and_never_plays_what_is_not_played(seed, shape):
    start = mixes_of(seed, shape)
    start[0][0] = 0.0
    start[0] /= start[0].sum()
    path = replicator(game_of(seed, shape), start, horizon=30)
    for mix in path.strategies:
        assert (mix >= 0).all()
        np.testing.assert_allclose(mix.sum(axis=1), 1, atol=1e-14)
    assert (path.strategies[0][:, 0] == 0).all()
    assert all(np.allclose(mix[0], each) for mix, each in zip(path.strategies, start, strict=True))


def test_the_replicator_has_the_slope_of_its_equation():
    payoffs, start = game_of(5, (3, 4, 2)), mixes_of(6, (3, 4, 2))
    path = replicator(payoffs, start, horizon=1e-4, points=2)
    for player, mix in enumerate(start):
        others = [each for number, each in enumerate(start) if number != player]
        earned = np.moveaxis(payoffs[player], player, 0) @ others[1] @ others[0]
        slope = mix * (earned - mix @ earned)
        np.testing.assert_allclose((path.strategies[player][1] - mix) / 1e-4, slope, atol=1e-3)


@settings(max_examples=5)
@given(seed=seeds)
def test_the_replicator_conserves_the_product_in_rock_paper_scissors(seed):
    rng = np.random.default_rng(seed)
    start = [rng.dirichlet(np.full(3, 3.0)) for _ in range(2)]
    path = replicator((ROCK_PAPER_SCISSORS, -ROCK_PAPER_SCISSORS), start, horizon=50)
    product_of_all = np.prod(path.strategies[0], axis=1) * np.prod(path.strategies[1], axis=1)
    np.testing.assert_allclose(product_of_all, product_of_all[0], rtol=1e-7)
    assert not path.converged


def test_the_replicator_drives_out_a_dominated_strategy_and_stays_at_an_equilibrium():
    dilemma = [[3, 0], [5, 1]], [[3, 5], [0, 1]]
    path = replicator(dilemma, ([0.99, 0.01], [0.5, 0.5]), horizon=200)
    assert path.converged and path.strategies[0][-1, 1] > 1 - 1e-9
    assert (np.diff(path.strategies[0][:, 1]) >= -1e-12).all()
    A, B = np.array([[9.0, 0], [0, 1]]), np.array([[0.0, 1], [1, 0]])
    (x, y), *_ = nash_equilibria(A, B)
    still = replicator((A, B), (x, y), horizon=1.0)
    np.testing.assert_allclose(still.strategies[0][-1], x, atol=1e-9)


@settings(max_examples=6)
@given(seed=seeds, shape=shapes)
def test_a_logit_equilibrium_replies_to_itself_along_the_whole_branch(seed, shape):
    payoffs = checked_payoffs(game_of(seed, shape))
    path = logit_equilibrium(payoffs, 20.0)
    assert path.times[0] == 0 and path.times[-1] == pytest.approx(20.0, rel=1e-12)
    for rationality, *mixes in zip(path.times, *path.strategies, strict=True):
        for mix, reply in zip(mixes, logit_replies(payoffs, mixes, rationality), strict=True):
            np.testing.assert_allclose(mix, reply, atol=1e-9)


@settings(max_examples=12)
@given(seed=seeds, shape=shapes)
def test_with_no_rationality_all_strategies_are_as_likely_and_with_much_the_regret_goes(seed, shape):
    payoffs = game_of(seed, shape)
    for mix in logit_equilibrium(payoffs, 0.0).last:
        np.testing.assert_allclose(mix, 1 / len(mix))
    spread = max(np.ptp(payoff) for payoff in payoffs)
    for mix in logit_equilibrium(payoffs, 1e-4 / spread).last:
        np.testing.assert_allclose(mix, 1 / len(mix), atol=1e-4)
    assert logit_equilibrium(payoffs, 1e4 / spread).regrets.max() <= 2e-4 * spread * len(shape) * max(shape)


def test_the_branch_is_followed_where_it_turns_back_and_leaps_to_no_other(monkeypatch):
    whole = [np.random.default_rng(seed).integers(0, 10, (2, 3, 3)) * 1.0 for seed in (53, 168)]
    sharp = np.random.default_rng(198).normal(size=(2, 3, 4))
    found = [logit_equilibrium(game, 200.0) for game in (*whole, sharp)]
    assert (np.diff(found[0].times) < 0).any()
    monkeypatch.setattr(quantal, "_STRAIGHT", (0.9999,))
    for game, path in zip((*whole, sharp), found, strict=True):
        for mix, finer in zip(path.last, logit_equilibrium(game, 200.0).last, strict=True):
            np.testing.assert_allclose(mix, finer, atol=1e-9)


def test_a_symmetric_game_stays_on_the_symmetric_branch_where_branches_cross():
    path = logit_equilibrium(([[2, 0], [0, 1]], [[1, 0], [0, 2]]), 1000.0)
    np.testing.assert_allclose(path.last, [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], atol=1e-3)


@settings(max_examples=10)
@given(seed=seeds, shape=shapes)
def test_logit_dynamics_rest_at_logit_equilibria_when_rationality_is_low(seed, shape):
    payoffs = game_of(seed, shape)
    low = 0.1 / max(np.ptp(payoff) for payoff in payoffs)
    path = logit_dynamics(payoffs, [np.eye(size)[0] for size in shape], rationality=low, horizon=60)
    for mix, rest in zip(path.last, logit_equilibrium(payoffs, low).last, strict=True):
        np.testing.assert_allclose(mix, rest, atol=1e-8)


def test_logit_dynamics_move_towards_the_best_reply_when_rationality_is_high():
    payoffs = game_of(8, (3, 3))
    start = mixes_of(9, (3, 3))
    path = logit_dynamics(payoffs, start, rationality=1e4, horizon=1e-3, points=2)
    for player, mix in enumerate(start):
        reply = np.eye(3)[best_reply(payoffs, start, player)[0]]
        np.testing.assert_allclose((path.strategies[player][1] - mix) / 1e-3, reply - mix, atol=2e-3)


def test_the_known_logit_equilibrium_of_lopsided_pennies_moves_the_wrong_player():
    # raising the row player's payoff leaves its own mix and moves the column player's in a Nash equilibrium only
    path = logit_equilibrium(([[9, 0], [0, 1]], [[0, 1], [1, 0]]), 1e4)
    np.testing.assert_allclose(path.last[0], [0.5, 0.5], atol=1e-3)
    np.testing.assert_allclose(path.last[1], [0.1, 0.9], atol=1e-3)
    assert logit_equilibrium(([[9, 0], [0, 1]], [[0, 1], [1, 0]]), 1.0).last[0][0] > 0.8


def test_a_branch_that_is_lost_says_where(monkeypatch):
    monkeypatch.setattr(quantal, "_STEPS", 3)
    with pytest.raises(PlanError, match="branch of logit equilibria is lost at"):
        logit_equilibrium(game_of(0, (3, 3)), 1e4)


@given(seed=seeds, shape=shapes)
def test_moved_and_scaled_payoffs_change_no_choice(seed, shape):
    payoffs = game_of(seed, shape, ties=True)
    moved = [payoff * 1e9 + 1e10 for payoff in payoffs]
    assert pure_equilibria(moved) == pure_equilibria(payoffs)
    for play in (best_reply_dynamics, lambda game: fictitious_play(game, rounds=50)):
        for one, other in zip(play(moved).strategies, play(payoffs).strategies, strict=True):
            np.testing.assert_array_equal(one, other)


def test_normalised_payoffs_take_the_whole_range_of_doubles():
    np.testing.assert_allclose(normalised(np.array([-1.7e308, 0.0, 1.7e308])), [0, 0.5, 1])
    np.testing.assert_array_equal(normalised(np.full((2, 2), 3.0)), 0)


DILEMMA = [[3, 0], [5, 1]], [[3, 5], [0, 1]]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: pure_equilibria([[[1, 2], [3, np.nan]], np.eye(2)]), r"player 0 is nan at \(1, 1\)"),
        (lambda: pure_equilibria([np.ones(3)]), "at least 2 players"),
        (lambda: pure_equilibria([np.ones((1, 2)), np.ones((1, 2))]), "player 0 has 1 strategy"),
        (lambda: pure_equilibria([np.ones((2, 2, 2))] * 2), "one axis for each of the 2 players"),
        (lambda: pure_equilibria([np.ones((2, 2)), np.ones((2, 3))]), "what each earns at the same choices"),
        (lambda: pure_equilibria(None), "an array of payoffs for each player, got None"),
        (lambda: replicator(DILEMMA, None), "one strategy for each of the 2 players, got None"),
        (lambda: best_reply(DILEMMA, ([1, 0], [1, 0]), 2), "from 0 to 1"),
        (lambda: best_reply(DILEMMA, ([1, 0], [1, 0]), 0.5), "player must be a whole number, got 0.5"),
        (lambda: best_reply(DILEMMA, ([1, 0],), 0), "one strategy for each of the 2"),
        (lambda: regrets(DILEMMA, ([1, 0], [np.nan, 1])), "nan at choice 0"),
        (lambda: regrets(DILEMMA, ([1, 0], [0.5, 0.6])), "sums to"),
        (lambda: best_reply_dynamics(DILEMMA, (0, 2)), "start must have a choice"),
        (lambda: best_reply_dynamics(DILEMMA, rounds=0), "rounds must be at least 1"),
        (lambda: best_reply_dynamics(DILEMMA, rounds=10.5), "rounds must be a whole number, got 10.5"),
        (lambda: fictitious_play(DILEMMA, rounds=np.nan), "rounds must be a whole number, got nan"),
        (lambda: fictitious_play(DILEMMA, [0.7, 1.2]), "a choice in start must be a whole number, got 0.7"),
        (lambda: fictitious_play(DILEMMA, (0, -1)), "a choice in start must be at least 0, got -1"),
        (lambda: best_reply_dynamics(DILEMMA, 0), "start must have a choice for each player"),
        (lambda: fictitious_play(DILEMMA, tolerance="a"), "tolerance must be one number, got 'a'"),
        (lambda: replicator(DILEMMA, ([1, 0], [1, 0]), horizon=[1, 2]), "horizon must be one number"),
        (lambda: replicator(DILEMMA, ([1, 0], [1, 0]), points=2.5), "points must be a whole number, got 2.5"),
        (lambda: logit_dynamics(DILEMMA, ([1, 0], [1, 0]), rationality="a"), "rationality must be one number"),
        (lambda: fictitious_play(DILEMMA, (0,)), "start must have a choice"),
        (lambda: fictitious_play(DILEMMA, tolerance=-1.0), "tolerance must be at least 0"),
        (lambda: replicator(DILEMMA, ([1, 0], [1, 0]), horizon=0), "horizon must be above 0"),
        (lambda: replicator(DILEMMA, ([1, 0], [1, 0]), points=1), "points must be at least 2"),
        (lambda: logit_dynamics(DILEMMA, ([1, 0], [1, 0]), rationality=-1), "rationality must be at least 0"),
        (lambda: logit_equilibrium(DILEMMA, np.inf), "rationality must be at least 0 and finite"),
    ],
)
def test_what_is_no_game_or_no_rule_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
