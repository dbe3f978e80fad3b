"""
Characteristic functions: what each coalition of players is worth.

A coalition is a set of the players 0 .. n - 1. In a table of all of them it is the number whose bit `i` says whether
player `i` belongs to it, so that the table of n players has 2**n entries, of which the first, of nobody, is 0.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.games.checks import checked_tolerance, numbers, whole

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Coalition = tuple[int, ...]
Characteristic = ArrayLike | Mapping[Any, float] | Callable[[frozenset[int]], float]

MAX_PLAYERS = 22
"""Most players of a game whose coalitions are all written down, of which there are 4 million."""

_AT_ONCE = 2**10  # coalitions whose pairs are all written down at once


def coalition_table(v: Characteristic, n: int) -> Floats:
    """
    The worth of every coalition, whichever way a game is written.

    Parameters
    ----------
    v : array_like, mapping or callable
        What each coalition can get on its own: an array of shape (2**n,), in which the coalition of players `i` is at
        the sum of their ``2**i``; or a mapping from coalitions, each an iterable of players, in which the empty one
        may be missing; or a function of a frozenset of players, which is not asked for the empty one. [$]
    n : int
        Number of players, from 1 to `MAX_PLAYERS`.

    Returns
    -------
    ndarray, shape (2**n,)
        The worth of each coalition. [$]

    Raises
    ------
    DataError
        If `n` is not a whole number from 1 to `MAX_PLAYERS`, there are not 2**n values, a coalition is missing, comes
        twice or has a player that there is not, a value is not a finite number, an array or a mapping has another
        worth than 0 for nobody, or a Series is not in the order of the array.

    Examples
    --------
    >>> coalition_table({(0,): 1, (1,): 2, (0, 1): 4}, 2).tolist()
    [0.0, 1.0, 2.0, 4.0]
    >>> coalition_table(lambda players: len(players) ** 2, 2).tolist()
    [0.0, 1.0, 1.0, 4.0]
    >>> coalition_table({(0,): 1, (0, 1): 4}, 2)
    Traceback (most recent call last):
    gridlab.errors.DataError: v has no value for coalition (1,): each of the 3 coalitions of 2 players needs one
    """
    n = checked_players(n)
    if n > MAX_PLAYERS:
        raise DataError(f"n must be at most {MAX_PLAYERS} where all 2**n coalitions are written down, got {n}")
    if isinstance(v, Mapping):
        table = _of_mapping(v, n)
    elif callable(v):
        coalitions = (players_of(mask) for mask in range(1, 2**n))
        table = np.array([0.0, *(worth_of(v(frozenset(players)), players) for players in coalitions)])
    else:
        table = _of_array(v, n)
    bad = np.flatnonzero(~np.isfinite(table))
    if bad.size:
        raise DataError(f"v must be finite, got {table[bad[0]]} for coalition {players_of(int(bad[0]))}: correct it")
    if table[0] != 0:
        raise DataError(f"v of the empty coalition must be 0, got {table[0]:g}: take it off every coalition")
    return table


def players_of(mask: int) -> Coalition:
    """
    The players of the coalition at a place of the table.

    Examples
    --------
    >>> players_of(5)
    (0, 2)
    """
    return tuple(player for player in range(mask.bit_length()) if mask >> player & 1)


def sums_over(x: ArrayLike) -> Floats:
    """
    What each coalition gets together where each player gets something, shape (2**n,).

    Examples
    --------
    >>> sums_over([1.0, 10.0]).tolist()
    [0.0, 1.0, 10.0, 11.0]
    """
    total = np.zeros(1)
    for share in np.asarray(x, dtype=float):
        total = np.concatenate([total, total + share])
    return total


def sizes(n: int) -> Ints:
    """Number of players of each coalition, shape (2**n,)."""
    return np.bitwise_count(np.arange(2**n)).astype(np.int64)


def is_superadditive(v: Characteristic, n: int, *, tolerance: float = 1e-9) -> bool:
    """
    Whether no two coalitions without a common player lose by joining.

    Parameters
    ----------
    v, n
        The game, as `coalition_table` reads it.
    tolerance : float
        What counts as nothing, as a share of the greatest worth. [-]

    Raises
    ------
    DataError
        As `coalition_table`, or if `tolerance` is negative or not finite.

    Notes
    -----
    Each of the (3**n - 1) / 2 pairs is looked at once, which takes a second or two for 17 players and three times as
    long for each more.

    Examples
    --------
    >>> is_superadditive(lambda players: len(players) ** 2, 3), is_superadditive(lambda players: len(players) > 0, 3)
    (True, False)
    """
    table = coalition_table(v, n)
    least = -checked_tolerance(tolerance) * np.abs(table).max()
    halves = ((table[2**last : 2 ** (last + 1)], table[: 2**last]) for last in range(n))
    return all(_never_loses(with_last, with_last, without, least) for with_last, without in halves)


def is_convex(v: Characteristic, n: int, *, tolerance: float = 1e-9) -> bool:
    """
    Whether what a player adds never falls as the coalition grows; the Shapley value is then in the core.

    Parameters
    ----------
    v, n, tolerance
        As for `is_superadditive`.

    Raises
    ------
    DataError
        As `coalition_table`.

    References
    ----------
    .. [1] L. S. Shapley, "Cores of convex games," Int. J. Game Theory 1, 1971, doi:10.1007/BF01753431.

    Examples
    --------
    >>> is_convex(lambda players: len(players) ** 2, 3), is_convex(lambda players: len(players) > 1, 3)
    (True, False)
    """
    table = coalition_table(v, n)
    least = -checked_tolerance(tolerance) * np.abs(table).max()
    adds = (added_by(table, player) for player in range(1, n))
    return all(added_by(gain, other).min() >= least for player, gain in enumerate(adds, 1) for other in range(player))


def added_by(table: Floats, player: int) -> Floats:
    """What a player adds to each coalition without it, in the order of the others' table."""
    halves = table.reshape(-1, 2, 2**player)
    return np.asarray(halves[:, 1] - halves[:, 0]).ravel()


def worth_of(value: Any, players: Iterable[int]) -> float:
    """What a function or a mapping says that a coalition is worth, as a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"v must be a number, got {value!r} for coalition {tuple(sorted(players))}") from None


def checked_players(n: int) -> int:
    """The number of players, refused where it is none."""
    return whole(n, "n", least=1)


def _never_loses(union: Floats, one: Floats, other: Floats, least: float) -> bool:
    """
    Whether no pair of coalitions gains less than the least by joining.

    The tables are of the same players, each of whom is in neither of a pair, in the one or in the other.
    """
    if len(union) > _AT_ONCE:
        half = len(union) // 2
        (u, u_with), (a, a_with), (b, b_with) = ((table[:half], table[half:]) for table in (union, one, other))
        thirds = (u, a, b), (u_with, a_with, b), (u_with, a, b_with)
        return all(_never_loses(*third, least) for third in thirds)
    union, one, other = union[None], one[None], other[None]
    while union.shape[1] > 1:
        half = union.shape[1] // 2
        (u, u_with), (a, a_with), (b, b_with) = ((table[:, :half], table[:, half:]) for table in (union, one, other))
        union, one, other = (np.concatenate(each) for each in ((u, u_with, u_with), (a, a_with, a), (b, b, b_with)))
    return bool((union - one - other).min() >= least)


def _of_array(v: Any, n: int) -> Floats:
    if isinstance(v, pd.Series) and not v.index.equals(pd.RangeIndex(len(v))):
        raise DataError(
            "v is a Series whose index is not 0, 1, 2, ..: give its .to_dict() if the index has coalitions, each a "
            "tuple of players, or its .to_numpy() if it is in the order of the table"
        )
    table = numbers(v, "v, unless a mapping from coalitions or a function,").copy()
    if table.shape != (2**n,):
        raise DataError(f"v must have shape ({2**n},), a value for each coalition of {n} players, got {table.shape}")
    return table


def _of_mapping(v: Mapping[Any, float], n: int) -> Floats:
    table, seen = np.zeros(2**n), np.zeros(2**n, dtype=bool)
    for key, value in v.items():
        mask = _mask(key, n)
        if seen[mask]:
            raise DataError(f"v has coalition {players_of(mask)} twice, again as {key!r}: leave one")
        table[mask], seen[mask] = worth_of(value, players_of(mask)), True
    seen[0] = True
    if not seen.all():
        missing = players_of(int(np.argmin(seen)))
        raise DataError(
            f"v has no value for coalition {missing}: each of the {2**n - 1} coalitions of {n} players needs one"
        )
    return table


def _mask(key: Any, n: int) -> int:
    """The place of a coalition in the table."""
    if not isinstance(key, Iterable) or isinstance(key, str | bytes):
        raise DataError(f"a coalition must be an iterable of players, such as (0, 2), got {key!r}")
    mask = 0
    for player in key:
        if not isinstance(player, int | np.integer) or not 0 <= player < n:
            raise DataError(f"coalition {key!r} has player {player!r}: the players are 0 to {n - 1}")
        if mask >> int(player) & 1:
            raise DataError(f"coalition {key!r} has player {player} twice: a coalition is a set of players")
        mask |= 1 << int(player)
    return mask
