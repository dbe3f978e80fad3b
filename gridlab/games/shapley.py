"""
What each player adds: the Shapley value and Banzhaf's, exact, by types of alike players, or sampled.

Exact values of games with many players come from counting how many of each type take part; where all differ, from a
sample of the orders in which they may come, with an interval that says how far to trust it.
"""

from collections.abc import Callable, Sequence
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.games.characteristic import (
    MAX_PLAYERS,
    Characteristic,
    added_by,
    checked_players,
    coalition_table,
    sizes,
    worth_of,
)
from gridlab.games.checks import checked_tolerance, number, numbers, whole

Floats = NDArray[np.float64]
Worth = Callable[[frozenset[int]], float]

_REPLICATES = 30  # independent draws that a sample is divided into before each is spread over more starts
_ROUNDING = 1e-15  # least standard error, as a share of all that is divided


class Sampled(NamedTuple):
    """
    A value from a sample of orders.

    Parameters
    ----------
    value : ndarray, shape (n,)
        The estimate, which sums to the worth of all players. [$]
    low, high : ndarray, shape (n,)
        Ends of each player's own confidence interval. [$]
    standard_error : ndarray, shape (n,)
        Of the estimate. [$]
    samples : int
        Orders of the players that it rests on.
    """

    value: Floats
    low: Floats
    high: Floats
    standard_error: Floats
    samples: int


def shapley(v: Characteristic, n: int) -> Floats:
    r"""
    The Shapley value: what each player adds, averaged over all orders in which the players may come.

    .. math::
        \varphi_i = \sum_{S \not\ni i} \frac{|S|! \, (n - |S| - 1)!}{n!} \bigl(v(S \cup i) - v(S)\bigr).

    Parameters
    ----------
    v : array_like, mapping or callable
        What each coalition can get on its own, as `coalition_table` reads it. [$]
    n : int
        Number of players, from 1 to 22.

    Returns
    -------
    ndarray, shape (n,)
        What each player is due. [$]

    Raises
    ------
    DataError
        As `coalition_table`; more players are for `shapley_by_type` or `shapley_sampled`.

    References
    ----------
    .. [1] L. S. Shapley, "A value for n-person games," Contributions to the Theory of Games II, 1953,
       doi:10.1515/9781400881970-018.

    Examples
    --------
    Player 0 has a left glove, 1 and 2 a right one; a pair is worth 1.

    >>> shapley(lambda players: 0 in players and len(players) > 1, 3).round(12).tolist()
    [0.666666666667, 0.166666666667, 0.166666666667]
    """
    n = checked_players(n)
    if n > MAX_PLAYERS:
        raise DataError(
            f"n must be at most {MAX_PLAYERS} where all coalitions count, got {n}: use shapley_by_type where players "
            "are alike, or shapley_sampled"
        )
    table = coalition_table(v, n)
    weights = np.array([1 / (n * comb(n - 1, size)) for size in range(n)])[sizes(n - 1)]
    return np.array([weights @ added_by(table, player) for player in range(n)])


def banzhaf(v: Characteristic, n: int, *, normalised: bool = False) -> Floats:
    r"""
    Banzhaf's value: what each player adds, averaged over all coalitions of the others.

    .. math::
        \beta_i = 2^{1 - n} \sum_{S \not\ni i} \bigl(v(S \cup i) - v(S)\bigr).

    Parameters
    ----------
    v : array_like, mapping or callable
        What each coalition can get on its own, as `coalition_table` reads it. [$]
    n : int
        Number of players, from 1 to 22.
    normalised : bool
        Whether the values are scaled to sum to the worth of all players; of a vote this is the Banzhaf index.

    Returns
    -------
    ndarray, shape (n,)
        Value of each player. [$]

    Raises
    ------
    DataError
        As `coalition_table`, or if values that sum to 0 are to be scaled to something else.

    References
    ----------
    .. [1] P. Dubey and L. S. Shapley, "Mathematical properties of the Banzhaf power index," Math. of Operations
       Research 4(2), 1979, doi:10.1287/moor.4.2.99.

    Examples
    --------
    >>> def vote(players):
    ...     return sum((50, 49, 1)[player] for player in players) >= 51
    >>> banzhaf(vote, 3).tolist(), banzhaf(vote, 3, normalised=True).round(3).tolist()
    ([0.75, 0.25, 0.25], [0.6, 0.2, 0.2])
    """
    table = coalition_table(v, n)
    raw = np.array([added_by(table, player).mean() for player in range(checked_players(n))])
    if not normalised or table[-1] == 0:
        return raw * (0.0 if normalised else 1.0)
    if abs(raw.sum()) <= 1e-12 * np.abs(raw).sum() or not raw.any():
        raise DataError(f"Banzhaf's values sum to 0 and cannot be scaled to {table[-1]:g}: leave normalised out")
    return np.asarray(raw * (table[-1] / raw.sum()))


def shapley_by_type(v_of_counts: ArrayLike | Callable[[tuple[int, ...]], float], counts: Sequence[int]) -> Floats:
    """
    The Shapley value of games whose players come in types, exact whatever their number.

    Parameters
    ----------
    v_of_counts : array_like or callable
        What a coalition can get that has so many players of each type: an array of shape ``(counts[0] + 1, ...)``, or a
        function of a tuple of counts, which is not asked for nobody. [$]
    counts : sequence of int
        Number of players of each type.

    Returns
    -------
    ndarray, shape (n_types,)
        What one player of each type is due; NaN for a type of none. [$]

    Raises
    ------
    DataError
        If `counts` has no player or a negative one, the array has another shape, a value is not finite, or nobody is
        worth something.

    Examples
    --------
    The Security Council: 5 permanent members with a veto, 10 others of whom 4 are needed.

    >>> council = shapley_by_type(lambda count: count[0] == 5 and count[1] >= 4, (5, 10))
    >>> (2145 * council).round(9).tolist()
    [421.0, 4.0]
    """
    if not np.iterable(counts):
        raise DataError(f"counts must be a number of players for each type, got {counts!r}")
    sizes_of = [checked_count(count) for count in counts]
    if not sum(sizes_of):
        raise DataError(f"counts must have at least one player, got {list(counts)}")
    table = _count_table(v_of_counts, tuple(sizes_of))
    return np.array([_of_a_type(table, sizes_of, kind) if count else np.nan for kind, count in enumerate(sizes_of)])


def player_types(v: Characteristic, n: int, *, tolerance: float = 0.0) -> list[list[int]]:
    """
    The players sorted into types: those of a type add the same to every coalition without them.

    Parameters
    ----------
    v, n
        The game, as `coalition_table` reads it.
    tolerance : float
        What counts as the same, as a share of the greatest worth; worths from a solver ask for 1e-9. [-]

    Returns
    -------
    list of list of int
        The types, in the order of their first players.

    Raises
    ------
    DataError
        As `coalition_table`.

    Examples
    --------
    >>> player_types(lambda players: 0 in players and len(players) > 1, 3)
    [[0], [1, 2]]
    """
    table = coalition_table(v, n)
    same = checked_tolerance(tolerance) * float(np.abs(table).max())
    types: list[list[int]] = []
    for player in range(n):
        alike = next((kind for kind in types if _swap_changes(table, kind[0], player) <= same), None)
        types.append([player]) if alike is None else alike.append(player)
    return types


def shapley_sampled(
    v: Characteristic, n: int, *, samples: int = 10_000, level: float = 0.95, rng: np.random.Generator
) -> Sampled:
    """
    The Shapley value of a game of any size, from a sample of the orders in which the players come.

    The players are put in a ring in random order, and from evenly spaced starts on it come one after another, once each
    way round. So each player comes early and late as often, which takes most of the variance away, and an order and its
    reverse use the same worths: a ring with all n starts is 2 n orders for about n**2 worths. Rings are independent,
    and the interval is Student's for their mean.

    Parameters
    ----------
    v : array_like, mapping or callable
        What each coalition can get on its own; with more than 22 players a function of a frozenset of players, which is
        asked again where a coalition comes again. [$]
    n : int
        Number of players, at least 1.
    samples : int
        Greatest number of orders, at least 4. A ring has 2 of them for each start; there are at least 30 rings where
        there are 60 orders.
    level : float
        Probability with which the interval of a player holds its value, in (0, 1). [-]
    rng : Generator
        Draws the rings.

    Returns
    -------
    Sampled
        The estimate, its interval and standard error, and how many orders it rests on.

    Raises
    ------
    DataError
        As `coalition_table`, if `samples` is no whole number of 4 or more, `level` is outside (0, 1), `rng` is no
        generator, or a worth that is met is not finite.

    Notes
    -----
    The interval knows only what was drawn: a player who matters in one coalition of a million seems never to.

    References
    ----------
    .. [1] J. Castro, D. Gomez and J. Tejada, "Polynomial calculation of the Shapley value based on sampling," Computers
       & Operations Research 36(5), 2009, doi:10.1016/j.cor.2008.04.004.
    .. [2] R. Mitchell, J. Cooper, E. Frank and G. Holmes, "Sampling permutations for Shapley value estimation," JMLR
       23, 2022, arXiv:2104.12199: antithetic orders.

    Examples
    --------
    >>> def worth(players):
    ...     return float(len(players) >= 20) + float(0 in players)
    >>> found = shapley_sampled(worth, 40, samples=2000, rng=np.random.default_rng(0))
    >>> bool((found.low[1:] <= 1 / 40).all() and (found.high[1:] >= 1 / 40).all()), round(float(found.value.sum()), 9)
    (True, 2.0)
    """
    n, worth = _worth(v, n)
    samples = whole(samples, "samples", least=4)
    if not 0 < number(level, "level") < 1:
        raise DataError(f"level must be in (0, 1), got {level}")
    if not isinstance(rng, np.random.Generator):
        raise DataError(f"rng must be a numpy Generator, got {rng!r}: give np.random.default_rng(seed)")
    n_starts = int(min(max(samples // (2 * _REPLICATES), 1), n))
    n_rings = int(samples // (2 * n_starts))
    drawn = np.array([_ring(worth, rng.permutation(n), n_starts) for _ in range(n_rings)])
    return _interval(drawn, level, 2 * n_starts * n_rings)


def checked_count(count: Any) -> int:
    """A number of players of a type, refused where it is none."""
    if not isinstance(count, int | np.integer) or count < 0:
        raise DataError(f"counts must be whole numbers of at least 0 players, got {count!r}")
    return int(count)


def _count_table(v_of_counts: Any, counts: tuple[int, ...]) -> Floats:
    """What coalitions are worth, by how many of each type they have."""
    shape = tuple(count + 1 for count in counts)
    if callable(v_of_counts):
        places = list(np.ndindex(shape))[1:]
        table = np.array([0.0, *(number(v_of_counts(at), f"v_of_counts at {at}") for at in places)]).reshape(shape)
    else:
        table = numbers(v_of_counts, "v_of_counts")
    if table.shape != shape:
        raise DataError(f"v_of_counts must have shape {shape}, from none to all of each type, got {table.shape}")
    if not np.isfinite(table).all():
        bad = tuple(int(at) for at in np.argwhere(~np.isfinite(table))[0])
        raise DataError(f"v_of_counts must be finite, got {table[bad]} for counts {bad}: correct it")
    if table.flat[0] != 0:
        raise DataError(f"v_of_counts of nobody must be 0, got {table.flat[0]:g}: take it off every coalition")
    return table


def _of_a_type(table: Floats, counts: Sequence[int], kind: int) -> float:
    """The value of one player of a type; weights are quotients of whole numbers, each rounded once."""
    n, others = sum(counts), [count - (at == kind) for at, count in enumerate(counts)]
    ways: Any = np.ones((), dtype=object)
    size: Any = np.zeros((), dtype=np.int64)
    for count in others:
        ways = np.multiply.outer(ways, np.array([comb(count, k) for k in range(count + 1)], dtype=object))
        size = np.add.outer(size, np.arange(count + 1))
    orders = np.array([n * comb(n - 1, k) for k in range(n)], dtype=object)
    weights = (ways / orders[size]).astype(float)
    return float((weights * np.diff(table, axis=kind)).sum())


def _swap_changes(table: Floats, player: int, other: int) -> float:
    """The most by which a coalition's worth changes where one player takes the place of another."""
    quarters = table.reshape(-1, 2, 2 ** (other - player - 1), 2, 2**player)
    return float(np.abs(quarters[:, 1, :, 0] - quarters[:, 0, :, 1]).max())


def _worth(v: Any, n: int) -> tuple[int, Worth]:
    """A game as a function of a coalition."""
    n = checked_players(n)
    if callable(v):
        return n, lambda players: worth_of(v(players), players)
    if n > MAX_PLAYERS:
        raise DataError(f"v must be a function of a frozenset of players where there are more than {MAX_PLAYERS}")
    table = coalition_table(v, n)
    return n, lambda players: float(table[sum(1 << player for player in players)])


def _ring(worth: Worth, ring: NDArray[np.int64], n_starts: int) -> Floats:
    """What each player adds on average in the orders of a ring."""
    n = len(ring)
    twice = [*ring.tolist(), *ring.tolist()]
    starts = (np.arange(n_starts) * n // n_starts).tolist()
    known: dict[tuple[int, int], float] = {(0, 0): 0.0}

    def arc(start: int, length: int) -> float:
        """The worth of `length` players from a place on the ring."""
        place = (start % n if 0 < length < n else 0, length)
        if place not in known:
            known[place] = worth(frozenset(twice[place[0] : place[0] + length]))
        return known[place]

    length = range(n + 1)
    onward = np.array([[arc(start, k) for k in length] for start in starts])
    backward = np.array([[arc(start - k, k) for k in length] for start in starts])
    added = np.zeros(n)
    step = np.arange(n)
    np.add.at(added, ring[(np.array(starts)[:, None] + step) % n], np.diff(onward))
    np.add.at(added, ring[(np.array(starts)[:, None] - 1 - step) % n], np.diff(backward))
    if not np.isfinite(added).all():
        at = next(at for at, value in known.items() if not np.isfinite(value))
        raise DataError(
            f"v must be finite, got {known[at]} for coalition {tuple(sorted(twice[at[0] : at[0] + at[1]]))}"
        )
    return added / (2 * n_starts)


def _interval(drawn: Floats, level: float, samples: int) -> Sampled:
    """Student's interval for the mean of independent draws."""
    from scipy.special import stdtrit

    value, n_rings = drawn.mean(axis=0), len(drawn)
    rounding = _ROUNDING * np.abs(value).sum()
    error = np.maximum(drawn.std(axis=0, ddof=1) / np.sqrt(n_rings), rounding)
    reach = float(stdtrit(n_rings - 1, (1 + level) / 2)) * error
    return Sampled(value, value - reach, value + reach, error, samples)
