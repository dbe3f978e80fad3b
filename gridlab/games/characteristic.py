"""
Characteristic functions: what each coalition of players is worth.

A coalition is a set of the players 0 .. n - 1. In a table of all of them it is the number whose bit `i` says whether
player `i` belongs to it, so that the table of n players has 2**n entries, of which the first, of nobody, is 0.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Coalition = tuple[int, ...]
Characteristic = ArrayLike | Mapping[Any, float] | Callable[[frozenset[int]], float]

MAX_PLAYERS = 22
"""Most players of a game whose coalitions are all written down, of which there are 4 million."""


def coalition_table(v: Characteristic, n: int) -> Floats:
    """
    The worth of every coalition, whichever way a game is written.

    Parameters
    ----------
    v : array_like, mapping or callable
        What each coalition can get on its own: an array of shape (2**n,), in which the coalition of players `i` is at
        the sum of their ``2**i``; or a mapping from coalitions, each an iterable of players, in which the empty one
        may be missing; or a function of a frozenset of players. [$]
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
        twice or has a player that there is not, a value is not a finite number, or nobody is worth something.

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
        table = np.array([_number(v(frozenset(players_of(mask))), mask) for mask in range(2**n)])
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
        As `coalition_table`.

    Examples
    --------
    >>> is_superadditive(lambda players: len(players) ** 2, 3), is_superadditive(lambda players: len(players) > 0, 3)
    (True, False)
    """
    table = coalition_table(v, n)
    least = -tolerance * np.abs(table).max()
    masks = np.arange(len(table))
    for mask in masks[1:]:
        apart = masks[(masks & mask) == 0]
        if (table[apart | mask] - table[apart] - table[mask]).min() < least:
            return False
    return True


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
    least = -tolerance * np.abs(table).max()
    adds = (added_by(table, player) for player in range(1, n))
    return all(added_by(gain, other).min() >= least for player, gain in enumerate(adds, 1) for other in range(player))


def added_by(table: Floats, player: int) -> Floats:
    """What a player adds to each coalition without it, in the order of the others' table."""
    halves = table.reshape(-1, 2, 2**player)
    return np.asarray(halves[:, 1] - halves[:, 0]).ravel()


def checked_players(n: int) -> int:
    """The number of players, refused where it is none."""
    try:
        n = index(n)
    except TypeError:
        raise DataError(f"n must be a whole number of players, got {n!r}") from None
    if n < 1:
        raise DataError(f"n must be at least 1 player, got {n}")
    return n


def _of_array(v: Any, n: int) -> Floats:
    try:
        table = np.array(v, dtype=float)
    except (TypeError, ValueError):
        raise DataError(
            f"v must be 2**n numbers, a mapping from coalitions or a function, got {type(v).__name__}"
        ) from None
    if table.shape != (2**n,):
        raise DataError(f"v must have shape ({2**n},), a value for each coalition of {n} players, got {table.shape}")
    return table


def _of_mapping(v: Mapping[Any, float], n: int) -> Floats:
    table, seen = np.zeros(2**n), np.zeros(2**n, dtype=bool)
    for key, value in v.items():
        mask = _mask(key, n)
        if seen[mask]:
            raise DataError(f"v has coalition {players_of(mask)} twice, again as {key!r}: leave one")
        table[mask], seen[mask] = _number(value, mask), True
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


def _number(value: Any, mask: int) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"v must be a number, got {value!r} for coalition {players_of(mask)}") from None
