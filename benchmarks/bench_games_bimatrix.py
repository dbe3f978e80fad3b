"""Equilibria of two players beside QuantEcon's and the slow, plain search through supports. Run with ``make bench``."""

from itertools import combinations, product

import numpy as np
import pytest
from quantecon.game_theory import NormalFormGame, Player, lemke_howson, vertex_enumeration

from gridlab.games.bimatrix import nash_equilibria, one_equilibrium
from gridlab.games.correlated import correlated_equilibrium
from gridlab.games.dynamics import fictitious_play
from gridlab.games.payoffs import regrets
from gridlab.games.zero_sum import zero_sum

ALL_GROUP = "All equilibria, random 13 x 13"
SMALL_GROUP = "All equilibria, random 6 x 6"
ONE_GROUP = "One equilibrium, random 200 x 200"
ZERO_GROUP = "Zero-sum value"
PLAYERS_GROUP = "Three players with eight strategies"


def game_of(size, seed=0):
    return np.random.default_rng(seed).normal(size=(2, size, size))


def of_quantecon(A, B):
    return NormalFormGame([Player(A), Player(B.T.copy())])


def by_supports(A, B):
    """Every pair of supports of one size, as two linear systems each."""
    found = []
    for size in range(1, len(A) + 1):
        for rows, columns in product(combinations(range(len(A)), size), repeat=2):
            x, y = indifferent(B.T, columns, rows), indifferent(A, rows, columns)
            if x is not None and y is not None:
                found.append((x, y))
    return found


def indifferent(payoffs, replies, played):
    square = np.ones((len(played) + 1, len(played) + 1))
    square[:-1, :-1], square[:-1, -1], square[-1, -1] = payoffs[np.ix_(replies, played)], -1, 0
    solved = np.linalg.solve(square, np.eye(len(square))[-1])
    mix = np.zeros(payoffs.shape[1])
    mix[list(played)] = solved[:-1]
    return mix if (solved[:-1] > 0).all() and (payoffs @ mix <= solved[-1] + 1e-9).all() else None


@pytest.mark.benchmark(group=ALL_GROUP)
def bench_nash_equilibria(benchmark):
    A, B = game_of(13)
    found = benchmark.pedantic(nash_equilibria, (A, B), rounds=5, warmup_rounds=1)
    assert found.complete and found.regrets.max() <= 1e-9


@pytest.mark.benchmark(group=ALL_GROUP)
def bench_quantecon_vertex_enumeration_without_proof(benchmark):
    A, B = game_of(13)
    found = benchmark.pedantic(vertex_enumeration, (of_quantecon(A, B),), rounds=5, warmup_rounds=1)
    assert len(found) == len(nash_equilibria(A, B))


@pytest.mark.benchmark(group=ALL_GROUP)
def bench_nash_equilibria_of_whole_numbers_with_ties(benchmark):
    A, B = np.random.default_rng(0).integers(0, 3, (2, 10, 10)) * 1.0
    found = benchmark.pedantic(nash_equilibria, (A, B), rounds=5, warmup_rounds=1)
    assert found.complete and found.degenerate


@pytest.mark.benchmark(group=SMALL_GROUP)
def bench_nash_equilibria_small(benchmark):
    A, B = game_of(6)
    assert benchmark(nash_equilibria, A, B).complete


@pytest.mark.benchmark(group=SMALL_GROUP)
def bench_search_through_supports(benchmark):
    A, B = game_of(6)
    found = benchmark.pedantic(by_supports, (A, B), rounds=3)
    assert len(found) == len(nash_equilibria(A, B))


@pytest.mark.benchmark(group=ONE_GROUP)
def bench_one_equilibrium(benchmark):
    A, B = game_of(200)
    x, y = benchmark.pedantic(one_equilibrium, (A, B), rounds=10, warmup_rounds=1)
    assert regrets((A, B), (x, y)).max() <= 1e-12


@pytest.mark.benchmark(group=ONE_GROUP)
def bench_quantecon_lemke_howson_unverified(benchmark):
    benchmark.pedantic(lemke_howson, (of_quantecon(*game_of(200)),), {"capping": 10}, rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group=ZERO_GROUP)
@pytest.mark.parametrize("size", [10, 50, 200])
def bench_zero_sum(benchmark, size):
    benchmark.pedantic(zero_sum, (game_of(size)[0],), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=PLAYERS_GROUP)
def bench_correlated_equilibrium(benchmark):
    payoffs = np.random.default_rng(0).normal(size=(3, 8, 8, 8))
    benchmark.pedantic(correlated_equilibrium, (payoffs,), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group=PLAYERS_GROUP)
def bench_fictitious_play_of_1000_rounds(benchmark):
    payoffs = np.random.default_rng(0).normal(size=(3, 8, 8, 8))
    benchmark.pedantic(fictitious_play, (payoffs,), rounds=3, warmup_rounds=1)
