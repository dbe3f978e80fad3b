"""Payoffs of a game in normal form: what is refused, what a strategy earns, and what a player could gain alone."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.games.checks import numbers

Floats = NDArray[np.float64]

REGRET_TOLERANCE = 1e-9
"""Greatest regret of an equilibrium, as a share of the player's payoff range."""

_SUM_TOLERANCE = 1e-9


def checked_payoffs(payoffs: Sequence[ArrayLike]) -> tuple[Floats, ...]:
    """
    The payoffs of a game of two players or more, as arrays of numbers.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all. [$]

    Raises
    ------
    DataError
        If there are fewer than two players, the arrays have not one axis for each player or differ in shape, a player
        has fewer than two strategies, or a payoff is not finite, which the message names.

    Examples
    --------
    >>> checked_payoffs([[[3, 0], [5, 1]], [[3, 5], [0, float("nan")]]])
    Traceback (most recent call last):
    gridlab.errors.DataError: the payoff of player 1 is nan at (1, 1): payoffs must be finite; ...
    """
    arrays = _of_each_player(payoffs)
    for player, array in enumerate(arrays):
        if array.ndim != len(arrays):
            raise DataError(
                f"payoffs of player {player} must have one axis for each of the {len(arrays)} players, got shape "
                f"{array.shape}"
            )
    for player, (array, other) in enumerate(pairwise(arrays)):
        if array.shape != other.shape:
            raise DataError(
                f"payoffs of player {player + 1} have shape {other.shape}, those of player {player} {array.shape}: "
                "give what each earns at the same choices"
            )
    for player, size in enumerate(arrays[0].shape):
        _require_choice(size, f"player {player}")
    for player, array in enumerate(arrays):
        refuse_not_finite(array, f"the payoff of player {player}")
    return arrays


def checked_bimatrix(A: ArrayLike, B: ArrayLike) -> tuple[Floats, Floats]:
    """
    The payoffs of the player who chooses the row, and of the one who chooses the column.

    Raises
    ------
    DataError
        If they are not two tables of one shape with at least two rows and two columns, or a payoff is not finite.

    Examples
    --------
    >>> checked_bimatrix([[1, 2]], [[3, 4]])
    Traceback (most recent call last):
    gridlab.errors.DataError: the row player has 1 strategy, a game needs at least 2 for each player: ...
    """
    first, second = checked_matrix(A, "A"), checked_matrix(B, "B")
    if first.shape != second.shape:
        raise DataError(
            f"A has shape {first.shape} and B {second.shape}: both have a row for each strategy of the row player and "
            "a column for each of the column player, transpose the one that has not"
        )
    return first, second


def checked_matrix(A: ArrayLike, name: str) -> Floats:
    """A table of payoffs by row and column."""
    matrix = numbers(A, name)
    if matrix.ndim != 2:
        raise DataError(f"{name} must be a table of payoffs by row and column, got shape {matrix.shape}")
    _require_choice(matrix.shape[0], "the row player")
    _require_choice(matrix.shape[1], "the column player")
    refuse_not_finite(matrix, name)
    return matrix


def refuse_not_finite(array: Floats, what: str, remedy: str = "drop the strategy or say what it earns") -> None:
    """Refuse NaN and infinity, with the place of the first."""
    if not np.isfinite(array).all():
        place = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"{what} is {array[place]} at {place}: payoffs must be finite; {remedy}")


def checked_strategies(payoffs: Sequence[Floats], strategies: Sequence[ArrayLike]) -> tuple[Floats, ...]:
    """
    One mixed strategy for each player, scaled to sum to 1.

    Raises
    ------
    DataError
        If there is not one strategy for each player with a probability for each of its choices, or the probabilities
        are negative or do not sum to 1.

    Examples
    --------
    >>> game = checked_payoffs([[[3, 0], [5, 1]], [[3, 5], [0, 1]]])
    >>> checked_strategies(game, ([0.5, 0.6], [1, 0]))
    Traceback (most recent call last):
    gridlab.errors.DataError: the strategy of player 0 sums to 1.1: probabilities sum to 1
    """
    shape = payoffs[0].shape
    if not np.iterable(strategies):
        raise DataError(f"there must be one strategy for each of the {len(shape)} players, got {strategies!r}")
    mixes = tuple(numbers(mix, f"the strategy of player {player}") for player, mix in enumerate(strategies))
    if len(mixes) != len(shape):
        raise DataError(f"there must be one strategy for each of the {len(shape)} players, got {len(mixes)}")
    for player, (mix, size) in enumerate(zip(mixes, shape, strict=True)):
        if mix.shape != (size,):
            raise DataError(
                f"the strategy of player {player} must have {size} probabilities, one for each choice, got shape "
                f"{mix.shape}"
            )
        if not np.isfinite(mix).all() or (mix < 0).any():
            worst = int(np.argmax(~(mix >= 0) | np.isinf(mix)))
            raise DataError(
                f"the strategy of player {player} is {mix[worst]} at choice {worst}: probabilities are at least 0"
            )
        if abs(mix.sum() - 1) > _SUM_TOLERANCE:
            raise DataError(f"the strategy of player {player} sums to {mix.sum():.10g}: probabilities sum to 1")
    return tuple(mix / mix.sum() for mix in mixes)


def payoff_range(payoff: Floats) -> float:
    """The greatest payoff less the least, 1 where they are all the same or the difference is too great for a number."""
    with np.errstate(over="ignore"):
        spread = float(payoff.max() - payoff.min())
    return spread if 0 < spread < np.inf else 1.0


def normalised(payoff: Floats) -> Floats:
    """
    Payoffs moved and scaled to go from 0 to 1, which changes no equilibrium; all 0 where they are all the same.

    Examples
    --------
    >>> normalised(np.array([[1e6, 1e6 + 4.0], [1e6 + 1.0, 1e6 + 2.0]])).tolist()
    [[0.0, 1.0], [0.25, 0.5]]
    """
    low, half = float(payoff.min()), payoff / 2
    spread = float(payoff.max() / 2 - low / 2)
    if np.isfinite(2 * spread):
        return np.asarray((payoff - low) / (2 * spread)) if spread > 0 else np.zeros_like(payoff)
    return np.asarray((half - low / 2) / spread)


def earnings(payoff: Floats, strategies: Sequence[Floats], player: int) -> Floats:
    """
    What each strategy of a player earns on average when the others mix.

    Parameters
    ----------
    payoff : ndarray, shape (s_1, ..., s_n)
        Payoffs of the player. [$]
    strategies : sequence of ndarray
        Probabilities of each player's strategies; the player's own are not read.
    player : int
        Its number.

    Returns
    -------
    ndarray, shape (s_player,)

    Examples
    --------
    >>> earnings(np.array([[3.0, 0.0], [5.0, 1.0]]), (np.array([1.0, 0.0]), np.array([0.5, 0.5])), 0).tolist()
    [1.5, 3.0]
    """
    earned = np.moveaxis(payoff, player, 0)
    others = [mix for number, mix in enumerate(strategies) if number != player]
    for mix in reversed(others):
        earned = earned @ mix
    return np.asarray(earned)


def regrets(payoffs: Sequence[ArrayLike], strategies: Sequence[ArrayLike]) -> Floats:
    """
    What each player could gain by its best reply to what the others do; 0 for all in a Nash equilibrium.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all. [$]
    strategies : sequence of array_like
        A mixed strategy for each player, of length s_i: probabilities that sum to 1.

    Returns
    -------
    ndarray, shape (n,)
        Gain of each player. [$]

    Raises
    ------
    DataError
        If the payoffs are not those of a game, see `checked_payoffs`, or the strategies do not fit it.

    Examples
    --------
    The prisoners' dilemma: who confesses gains 2 while the other is silent.

    >>> dilemma = [[3, 0], [5, 1]], [[3, 5], [0, 1]]
    >>> regrets(dilemma, ([1, 0], [1, 0])).tolist()
    [2.0, 2.0]
    >>> regrets(dilemma, ([0, 1], [0, 1])).tolist()
    [0.0, 0.0]
    """
    arrays = checked_payoffs(payoffs)
    return regrets_of(arrays, checked_strategies(arrays, strategies))


def regrets_of(payoffs: Sequence[Floats], strategies: Sequence[Floats]) -> Floats:
    """`regrets` of what was checked; the differences are taken from the least payoff, whatever its size."""
    gains = np.empty(len(payoffs))
    for player, payoff in enumerate(payoffs):
        earned = earnings(payoff - payoff.min(), strategies, player)
        gains[player] = max(float((earned.max() - earned) @ strategies[player]), 0.0)
    return gains


def indifferent(payoffs: Floats, replies: NDArray[np.intp], played: NDArray[np.intp]) -> Floats:
    """
    The mix of what is played that leaves an opponent indifferent between replies; NaN where doubles have none.

    Parameters
    ----------
    payoffs : ndarray, shape (n_replies, n_strategies)
        What the opponent earns.
    replies, played : ndarray of int
        Rows and columns, as many of each.

    Examples
    --------
    >>> indifferent(np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([0, 1]), np.array([0, 1])).tolist()
    [0.25, 0.75]
    """
    size = len(played)
    mix = np.full(payoffs.shape[1], np.nan)
    if len(replies) != size or size == 0:
        return mix
    square = np.zeros((size + 1, size + 1))
    square[:size, :size] = payoffs[np.ix_(replies, played)]
    square[:size, size], square[size, :size] = -1.0, 1.0
    try:
        solved = np.linalg.solve(square, np.append(np.zeros(size), 1.0))[:size]
    except np.linalg.LinAlgError:
        return mix
    if (solved < 0).any():
        return mix
    mix[:] = 0.0
    mix[played] = solved / solved.sum()
    return mix


def _of_each_player(payoffs: Any) -> tuple[Floats, ...]:
    """An array for each of two players or more."""
    if not np.iterable(payoffs):
        raise DataError(f"a game needs an array of payoffs for each player, got {payoffs!r}")
    arrays = tuple(numbers(payoff, f"payoffs of player {player}") for player, payoff in enumerate(payoffs))
    if len(arrays) < 2:
        raise DataError(f"a game needs at least 2 players, each with an array of payoffs, got {len(arrays)}")
    return arrays


def _require_choice(size: int, who: str) -> None:
    """Refuse a player without a choice."""
    if size < 2:
        plural = "y" if size == 1 else "ies"
        raise DataError(
            f"{who} has {size} strateg{plural}, a game needs at least 2 for each player: where only one chooses, its "
            "best choice is the greatest payoff"
        )
