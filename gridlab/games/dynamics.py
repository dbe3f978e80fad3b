"""Players who learn: best replies, fictitious play, replicator and logit dynamics, and where each comes to rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError
from gridlab.games.checks import checked_tolerance, number, whole
from gridlab.games.payoffs import (
    REGRET_TOLERANCE,
    checked_payoffs,
    checked_strategies,
    earnings,
    normalised,
    payoff_range,
    regrets_of,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Mixes = tuple[Floats, ...]

_INTEGRATION = {"method": "DOP853", "rtol": 1e-11, "atol": 1e-12}


@dataclass(frozen=True)
class Path:
    """
    What the players did over time, and how near the end is to an equilibrium.

    Parameters
    ----------
    times : ndarray, shape (n_points,)
        Rounds or, in continuous time, times. [-]
    strategies : tuple of ndarray, each of shape (n_points, s_i)
        Mixed strategies of each player; in fictitious play the shares of the rounds up to then.
    regrets : ndarray, shape (n_players,)
        What each player could gain by its best reply at the end. [$]
    converged : bool
        Whether no regret at the end is above the tolerance asked for.
    period : int
        Number of rounds after which best replies come back to where they were; 0 where they do not. [-]
    """

    times: Floats
    strategies: Mixes
    regrets: Floats
    converged: bool
    period: int = 0

    @property
    def last(self) -> Mixes:
        """The strategies at the end."""
        return tuple(mix[-1] for mix in self.strategies)


def pure_equilibria(payoffs: Sequence[ArrayLike]) -> list[tuple[int, ...]]:
    """
    All Nash equilibria in pure strategies.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all. [$]

    Returns
    -------
    list of tuple of int
        The choices of the players in each, in order; empty where there is none.

    Raises
    ------
    DataError
        If the payoffs are not those of a game with two players or more, two strategies or more for each, and finite.

    Examples
    --------
    The battle of the sexes.

    >>> pure_equilibria([[[2, 0], [0, 1]], [[1, 0], [0, 2]]])
    [(0, 0), (1, 1)]
    """
    arrays = checked_payoffs(payoffs)
    best = np.ones(arrays[0].shape, dtype=bool)
    for player, payoff in enumerate(arrays):
        best &= payoff == payoff.max(axis=player, keepdims=True)
    return [tuple(int(choice) for choice in place) for place in np.argwhere(best)]


def best_reply(payoffs: Sequence[ArrayLike], strategies: Sequence[ArrayLike], player: int) -> Ints:
    """
    The strategies of a player that earn most against what the others do.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all. [$]
    strategies : sequence of array_like
        A mixed strategy for each player; the player's own is checked and not used.
    player : int
        Its number, from 0.

    Returns
    -------
    ndarray of int
        All strategies whose payoff is the greatest, to 1e-12 of the range of the player's payoffs.

    Raises
    ------
    DataError
        As `pure_equilibria`, or if the strategies do not fit the game or there is no such player.

    Examples
    --------
    >>> best_reply([[[2, 0], [0, 1]], [[1, 0], [0, 2]]], ([1, 0], [1 / 3, 2 / 3]), 0).tolist()
    [0, 1]
    """
    arrays = checked_payoffs(payoffs)
    player = whole(player, "player", least=0)
    if player >= len(arrays):
        raise DataError(f"player must be a number from 0 to {len(arrays) - 1}, got {player}")
    earned = earnings(normalised(arrays[player]), checked_strategies(arrays, strategies), player)
    return np.flatnonzero(earned >= earned.max() - 1e-12)


def best_reply_dynamics(
    payoffs: Sequence[ArrayLike], start: Sequence[int] | None = None, *, rounds: int = 10_000
) -> Path:
    """
    Players in turn choose the best reply to what the others last chose.

    A player moves only where that gains, and then to the first of its best replies. In a potential game this ends in a
    pure equilibrium; in others it may come round for ever, which is noticed.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all. [$]
    start : sequence of int, optional
        Choice of each player before the first round; the first strategy of each when omitted.
    rounds : int
        Greatest number of rounds, in each of which every player may move once.

    Returns
    -------
    Path
        The choices after each round as strategies of one 1 and zeros. It ends after the first round in which nobody
        moved, or when a choice of all comes back, whose `period` is then above 0.

    Raises
    ------
    DataError
        As `pure_equilibria`, or if `start` does not fit the game or `rounds` is below 1.

    References
    ----------
    .. [1] D. Monderer and L. S. Shapley, "Potential games," Games and Economic Behavior 14(1), 1996,
       doi:10.1006/game.1996.0044.

    Examples
    --------
    >>> best_reply_dynamics([[[3, 0], [5, 1]], [[3, 5], [0, 1]]]).last
    (array([0., 1.]), array([0., 1.]))
    >>> best_reply_dynamics([[[1, 0], [0, 1]], [[0, 1], [1, 0]]]).period
    2
    """
    arrays = checked_payoffs(payoffs)
    rounds = whole(rounds, "rounds", least=1)
    choices = [_checked_start(arrays, start)]
    seen, period, is_at_rest = {choices[0]: 0}, 0, False
    while len(choices) <= rounds and not period and not is_at_rest:
        after = _after_a_round(arrays, choices[-1])
        is_at_rest = after == choices[-1]
        period = 0 if is_at_rest else len(choices) - seen.get(after, len(choices))
        seen[after] = len(choices)
        choices.append(after)
    path = np.array(choices)
    mixes = tuple(np.eye(size)[path[:, player]] for player, size in enumerate(arrays[0].shape))
    return _path(arrays, np.arange(len(path), dtype=np.float64), mixes, 0.0, period=period)


def fictitious_play(
    payoffs: Sequence[ArrayLike],
    start: Sequence[int] | None = None,
    *,
    rounds: int = 1000,
    tolerance: float = 0.0,
) -> Path:
    """
    Each round all players choose the best reply to what the others have done on average so far.

    Where several strategies are as good the first is taken. The averages come to an equilibrium in zero-sum games, in
    games of 2 by n strategies without ties and in potential games, with a regret that falls about as one over the
    square root of the rounds or faster; in others, such as Shapley's, they may circle.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all. [$]
    start : sequence of int, optional
        Choice of each player in the first round; the first strategy of each when omitted.
    rounds : int
        Greatest number of rounds.
    tolerance : float
        Regret at which it stops, as a share of the range of each player's payoffs. [-]

    Returns
    -------
    Path
        The shares of the rounds in which each strategy was chosen, after each round.

    Raises
    ------
    DataError
        As `best_reply_dynamics`, or if `tolerance` is negative.

    References
    ----------
    .. [1] G. W. Brown, "Iterative solution of games by fictitious play," in Activity Analysis of Production and
       Allocation, 1951.
    .. [2] J. Robinson, "An iterative method of solving a game," Annals of Mathematics 54(2), 1951,
       doi:10.2307/1969530.

    Examples
    --------
    >>> pennies = [[1, -1], [-1, 1]], [[-1, 1], [1, -1]]
    >>> path = fictitious_play(pennies, rounds=2000)
    >>> [mix.round(1).tolist() for mix in path.last]
    [[0.5, 0.5], [0.5, 0.5]]
    """
    arrays = checked_payoffs(payoffs)
    rounds = whole(rounds, "rounds", least=1)
    tolerance = checked_tolerance(tolerance)
    game = tuple(normalised(payoff) for payoff in arrays)
    counts = [np.zeros((rounds + 1, size)) for size in game[0].shape]
    choice, done = _checked_start(arrays, start), 0
    while done < rounds:
        done += 1
        for player, chosen in enumerate(choice):
            counts[player][done] = counts[player][done - 1]
            counts[player][done, chosen] += 1
        shares = [count[done] / done for count in counts]
        earned = [earnings(payoff, shares, player) for player, payoff in enumerate(game)]
        gains = [float(each.max() - each @ share) for each, share in zip(earned, shares, strict=True)]
        if max(gains) <= tolerance:
            break
        choice = tuple(_first_best(each) for each in earned)
    times = np.arange(1, done + 1, dtype=np.float64)
    mixes = tuple(count[1 : done + 1] / times[:, None] for count in counts)
    return _path(arrays, times, mixes, tolerance)


def replicator(
    payoffs: Sequence[ArrayLike],
    start: Sequence[ArrayLike],
    *,
    horizon: float = 100.0,
    points: int = 201,
    tolerance: float = REGRET_TOLERANCE,
) -> Path:
    r"""
    Strategies that earn more than a player's average grow at the difference.

    .. math::
        \dot x_{ij} = x_{ij} \, (u_{ij}(x) - x_i' u_i(x)), \qquad
        x_{ij}(t) \propto x_{ij}(0) \, \exp \textstyle\int_0^t u_{ij}(x) \, ds.

    The second form is what is integrated: probabilities stay probabilities, and what is never played stays so.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all, a unit of it a unit of growth in a unit of time. [$]
    start : sequence of array_like
        The mixed strategy of each player at time 0.
    horizon : float
        Time at the end. [-]
    points : int
        Number of times, evenly spaced from 0 to the horizon, that are kept.
    tolerance : float
        Regret at the end, as a share of the range of each player's payoffs, that counts as converged. [-]

    Returns
    -------
    Path
        The strategies at each time.

    Raises
    ------
    DataError
        As `pure_equilibria`, or if `start` does not fit the game, `horizon` is not above 0, `points` is below 2 or
        `tolerance` is negative.

    References
    ----------
    .. [1] P. D. Taylor, "Evolutionarily stable strategies with two types of player," J. Applied Probability 16(1),
       1979, doi:10.2307/3213376.
    .. [2] J. Hofbauer and K. Sigmund, "Evolutionary game dynamics," Bulletin of the AMS 40(4), 2003,
       doi:10.1090/S0273-0979-03-00988-1.

    Examples
    --------
    >>> path = replicator([[[3, 0], [5, 1]], [[3, 5], [0, 1]]], ([0.9, 0.1], [0.8, 0.2]))
    >>> [mix.round(6).tolist() for mix in path.last], path.converged
    ([[0.0, 1.0], [0.0, 1.0]], True)
    """
    arrays = checked_payoffs(payoffs)
    first = np.concatenate(checked_strategies(arrays, start))
    with np.errstate(divide="ignore"):
        logs = np.log(first)

    def mixes_of(gathered: Floats) -> Mixes:
        return tuple(_soft(part) for part in _parts(arrays, logs + gathered))

    def gathering(_: float, gathered: Floats) -> Floats:
        mixes = mixes_of(gathered)
        earned = (earnings(payoff, mixes, player) for player, payoff in enumerate(arrays))
        return np.concatenate([each - each.mean() for each in earned])

    times, states = _integrated(gathering, np.zeros_like(first), horizon, points)
    return _continuous(arrays, times, [mixes_of(state) for state in states], tolerance)


def logit_dynamics(
    payoffs: Sequence[ArrayLike],
    start: Sequence[ArrayLike],
    *,
    rationality: float,
    horizon: float = 100.0,
    points: int = 201,
    tolerance: float = REGRET_TOLERANCE,
) -> Path:
    r"""
    Players who move towards a reply in which better strategies are likelier.

    .. math::
        \dot x_i = \sigma(\lambda u_i(x)) - x_i, \qquad \sigma_j(v) = e^{v_j} / \textstyle\sum_k e^{v_k}.

    Points of rest are the logit equilibria of `logit_equilibrium`.

    Parameters
    ----------
    payoffs, start, horizon, points
        As `replicator`; players move the whole way in about a unit of time.
    rationality : float
        :math:`\lambda`, at least 0: the log of the odds of two strategies over the difference of what they earn; at 0
        all are as likely. [1/$]
    tolerance : float
        Regret at the end, as a share of the range of each player's payoffs, that counts as converged; at rest some is
        left, as players mix in what is not best. [-]

    Returns
    -------
    Path
        The strategies at each time.

    Raises
    ------
    DataError
        As `replicator`, or if `rationality` is negative or not finite.

    References
    ----------
    .. [1] D. Fudenberg and D. K. Levine, The Theory of Learning in Games, MIT Press, 1998, ch. 4.
    .. [2] J. Hofbauer and W. H. Sandholm, "Evolution in games with randomly disturbed payoffs," J. Economic Theory
       132(1), 2007, doi:10.1016/j.jet.2005.05.011.

    Examples
    --------
    >>> path = logit_dynamics([[[3, 0], [5, 1]], [[3, 5], [0, 1]]], ([1, 0], [1, 0]), rationality=0.0, horizon=30)
    >>> [mix.round(6).tolist() for mix in path.last]
    [[0.5, 0.5], [0.5, 0.5]]
    """
    arrays = checked_payoffs(payoffs)
    first = np.concatenate(checked_strategies(arrays, start))
    require_rationality(rationality)

    def moving(_: float, state: Floats) -> Floats:
        return np.concatenate(logit_replies(arrays, tuple(_parts(arrays, state)), rationality)) - state

    times, states = _integrated(moving, first, horizon, points)
    mixes = [
        tuple(np.maximum(part, 0) / np.maximum(part, 0).sum() for part in _parts(arrays, state)) for state in states
    ]
    return _continuous(arrays, times, mixes, tolerance)


def logit_replies(payoffs: Sequence[Floats], mixes: Sequence[Floats], rationality: float) -> Mixes:
    """The mixed strategy of each player in which the log odds of strategies are what they earn times a rationality."""
    return tuple(_soft(rationality * earnings(payoff, mixes, player)) for player, payoff in enumerate(payoffs))


def require_rationality(rationality: float) -> None:
    """Refuse a rationality that is negative or not finite."""
    if not 0 <= number(rationality, "rationality") < np.inf:
        raise DataError(f"rationality must be at least 0 and finite, in 1/$, got {rationality}")


def _after_a_round(payoffs: Mixes, choice: tuple[int, ...]) -> tuple[int, ...]:
    """The choices after each player in turn has moved where that gains."""
    now = list(choice)
    for player, payoff in enumerate(payoffs):
        earned = payoff[tuple(slice(None) if other == player else each for other, each in enumerate(now))]
        if earned.max() > earned[now[player]]:
            now[player] = int(earned.argmax())
    return tuple(now)


def _first_best(earned: Floats) -> int:
    """The first strategy that earns most, to rounding."""
    return int(np.argmax(earned >= earned.max() - 1e-12))


def _soft(scores: Floats) -> Floats:
    """Probabilities in proportion to the exponentials of scores."""
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum())


def _parts(payoffs: Mixes, joined: Floats) -> list[Floats]:
    """What belongs to each player of numbers for all strategies."""
    ends = np.cumsum((0, *payoffs[0].shape))
    return [joined[start:end] for start, end in pairwise(ends)]


def _integrated(
    slope: Callable[[float, Floats], Floats], first: Floats, horizon: float, points: int
) -> tuple[Floats, Floats]:
    """Times, and the states at them, of a differential equation."""
    from scipy.integrate import solve_ivp

    if not 0 < number(horizon, "horizon") < np.inf:
        raise DataError(f"horizon must be above 0 and finite, got {horizon}")
    times = np.linspace(0.0, horizon, whole(points, "points", least=2))
    solved = solve_ivp(slope, (0.0, horizon), first, t_eval=times, **_INTEGRATION)
    if not solved.success:
        raise PlanError(f"the path cannot be followed to horizon = {horizon:g}: {solved.message}; shorten it")
    return times, solved.y.T


def _continuous(payoffs: Mixes, times: Floats, mixes: Sequence[Mixes], tolerance: float) -> Path:
    """The path of the strategies at each time."""
    tolerance = checked_tolerance(tolerance)
    return _path(payoffs, times, tuple(np.array(each) for each in zip(*mixes, strict=True)), tolerance)


def _path(payoffs: Mixes, times: Floats, mixes: Mixes, tolerance: float, *, period: int = 0) -> Path:
    """A path with the regrets of its end."""
    gains = regrets_of(payoffs, [mix[-1] for mix in mixes])
    allowed = tolerance * np.array([payoff_range(payoff) for payoff in payoffs])
    return Path(times, mixes, gains, bool((gains <= allowed).all()), period)


def _checked_start(payoffs: Mixes, start: Sequence[int] | None) -> tuple[int, ...]:
    """A choice for each player."""
    shape = payoffs[0].shape
    start = (0,) * len(shape) if start is None else start
    if not np.iterable(start):
        raise DataError(f"start must have a choice for each player, below {shape}, got {start!r}")
    choice = tuple(whole(each, "a choice in start", least=0) for each in start)
    if len(choice) != len(shape) or not all(each < size for each, size in zip(choice, shape, strict=True)):
        raise DataError(f"start must have a choice for each player, below {shape}, got {choice}")
    return choice
