"""Correlated and coarse correlated equilibria of any number of players, by one linear programme each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError
from gridlab.games.checks import numbers
from gridlab.games.payoffs import REGRET_TOLERANCE, checked_payoffs, normalised, payoff_range, refuse_not_finite

Floats = NDArray[np.float64]

Rows = Callable[[Floats, int], Any]

OBJECTIVES = ("welfare", "least")
"""What there can be most of by name: the sum of the payoffs, and the payoff of the player that earns least."""

_SMALLEST = 1e-10  # HiGHS's smallest tolerance
_METHODS = ("highs-ds", "highs-ipm")
_NEGLIGIBLE = 1e-9  # probability, or gain as a share of the payoff range, taken for none when an answer is polished
_ROUNDING = 1e-15  # gain that is no more than rounding
_LARGEST = 4_000_000  # entries of the system of a polish


@dataclass(frozen=True)
class CorrelatedEquilibrium:
    """
    A distribution over the choices of all players from which none gains by departing.

    Parameters
    ----------
    distribution : ndarray, shape (s_1, ..., s_n)
        Probability of each choice of all. [-]
    value : float
        Mean of the objective, the greatest that there is.
    payoffs : ndarray, shape (n,)
        What each player earns on average. [$]
    regrets : ndarray, shape (n,)
        What each player could gain by departing, at most 1e-9 of the range of its payoffs. [$]
    """

    distribution: Floats
    value: float
    payoffs: Floats
    regrets: Floats


def correlated_equilibrium(
    payoffs: Sequence[ArrayLike], *, objective: str | ArrayLike = "welfare"
) -> CorrelatedEquilibrium:
    r"""
    The correlated equilibrium of greatest welfare, or of the greatest mean of another objective.

    A mediator draws a choice of all and tells each player its own, and it must not pay to do another:

    .. math::
        \max_{p \ge 0} \sum_a p(a) w(a), \qquad \sum_a p(a) = 1, \qquad
        \sum_{a_{-i}} p(j, a_{-i}) \, (u_i(k, a_{-i}) - u_i(j, a_{-i})) \le 0 \quad \text{for all } i, j \ne k.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all. [$]
    objective : str or array_like of shape (s_1, ..., s_n)
        What to have most of on average: "welfare", the sum of the payoffs; "least", of the player that earns least on
        average; or a number for each choice of all.

    Returns
    -------
    CorrelatedEquilibrium
        Distribution, value, payoffs and regrets.

    Raises
    ------
    DataError
        If the payoffs are not those of a game with two players or more, two strategies or more for each, and finite, or
        the objective is unknown, of another shape or not finite.
    PlanError
        If the answer of HiGHS leaves a player more than 1e-9 of the range of its payoffs to gain, with how much.

    References
    ----------
    .. [1] R. J. Aumann, "Subjectivity and correlation in randomized strategies," J. Mathematical Economics 1(1), 1974,
       doi:10.1016/0304-4068(74)90037-8.

    Examples
    --------
    Chicken: no Nash equilibrium has a welfare above 9 1/3; a mediator gets both players 5 1/4.

    >>> chicken = [[6, 2], [7, 0]], [[6, 7], [2, 0]]
    >>> found = correlated_equilibrium(chicken)
    >>> found.distribution.round(9).tolist(), found.payoffs.round(9).tolist()
    ([[0.5, 0.25], [0.25, 0.0]], [5.25, 5.25])
    """
    return _best(payoffs, objective, _departures)


def coarse_correlated_equilibrium(
    payoffs: Sequence[ArrayLike], *, objective: str | ArrayLike = "welfare"
) -> CorrelatedEquilibrium:
    r"""
    The coarse correlated equilibrium of greatest welfare, or of the greatest mean of another objective.

    As `correlated_equilibrium` for players who must choose to depart before they are told anything, for one strategy:

    .. math::
        \sum_a p(a) \, (u_i(k, a_{-i}) - u_i(a)) \le 0 \quad \text{for all } i, k.

    It is where the averages of players without regret end, whatever their rule.

    Parameters
    ----------
    payoffs, objective
        As `correlated_equilibrium`.

    Returns
    -------
    CorrelatedEquilibrium
        Distribution, value, payoffs and regrets.

    Raises
    ------
    DataError, PlanError
        As `correlated_equilibrium`.

    References
    ----------
    .. [1] H. Moulin and J.-P. Vial, "Strategically zero-sum games," Int. J. Game Theory 7, 1978,
       doi:10.1007/BF01769190.

    Examples
    --------
    >>> chicken = [[6, 2], [7, 0]], [[6, 7], [2, 0]]
    >>> round(coarse_correlated_equilibrium(chicken).value, 9)
    10.5
    """
    return _best(payoffs, objective, _coarse_departures)


def correlated_regrets(payoffs: Sequence[ArrayLike], distribution: ArrayLike, *, coarse: bool = False) -> Floats:
    """
    What each player could gain by departing from what it is told; 0 for all in a correlated equilibrium.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all. [$]
    distribution : array_like, shape (s_1, ..., s_n)
        Probability of each choice of all.
    coarse : bool
        Whether players depart before they are told, for one strategy; otherwise from each strategy that they may be
        told to its best replacement, and the gains are summed.

    Returns
    -------
    ndarray, shape (n,)
        Mean gain of each. [$]

    Raises
    ------
    DataError
        As `correlated_equilibrium`, or if the distribution does not fit the game, has a negative or does not sum to 1.

    Examples
    --------
    >>> chicken = [[6, 2], [7, 0]], [[6, 7], [2, 0]]
    >>> correlated_regrets(chicken, [[1, 0], [0, 0]]).tolist()
    [1.0, 1.0]
    """
    arrays = checked_payoffs(payoffs)
    chance = numbers(distribution, "distribution")
    if chance.shape != arrays[0].shape:
        raise DataError(f"distribution must have the payoffs' shape {arrays[0].shape}, got {chance.shape}")
    if not np.isfinite(chance).all() or (chance < 0).any() or abs(chance.sum() - 1) > REGRET_TOLERANCE:
        raise DataError(
            f"distribution must be at least 0 and sum to 1, got a least of {chance.min():g} and a sum of "
            f"{chance.sum():.10g}"
        )
    return _regrets(arrays, chance, coarse=coarse)


def _best(payoffs: Sequence[ArrayLike], objective: str | ArrayLike, departures: Rows) -> CorrelatedEquilibrium:
    """The distribution with the greatest mean of the objective of those from which no departure gains."""
    from scipy.sparse import vstack

    arrays = checked_payoffs(payoffs)
    goals = _goals(arrays, objective)
    rows = vstack([departures(normalised(payoff), player) for player, payoff in enumerate(arrays)]).tocsr()
    ranges = np.array([payoff_range(payoff) for payoff in arrays])
    worst = []
    for method in _METHODS:
        chance = _polished(rows, _solved(goals, rows, method)).reshape(arrays[0].shape)
        gains = _regrets(arrays, chance, coarse=departures is _coarse_departures)
        if (gains <= REGRET_TOLERANCE * ranges).all():
            value = min(float((chance * goal).sum()) for goal in goals)
            means = np.array([float((chance * payoff).sum()) for payoff in arrays])
            return CorrelatedEquilibrium(chance, value, means, gains)
        worst.append(float((gains / ranges).max()))
    raise PlanError(
        f"a player gains {min(worst):.3g} of its payoff range by departing from the best answer found, above "
        f"{REGRET_TOLERANCE:g}: bring the payoffs nearer to one scale"
    )


def _goals(payoffs: tuple[Floats, ...], objective: str | ArrayLike) -> tuple[Floats, ...]:
    """What is worth how much; the least of their means is what there is to be most of."""
    if isinstance(objective, str):
        if objective not in OBJECTIVES:
            raise DataError(f"objective must be one of {', '.join(OBJECTIVES)} or an array, got {objective!r}")
        return payoffs if objective == "least" else (_sum(payoffs),)
    goal = numbers(objective, "objective")
    if goal.shape != payoffs[0].shape:
        raise DataError(f"objective must have the payoffs' shape {payoffs[0].shape}, got {goal.shape}")
    refuse_not_finite(goal, "objective", "say what that choice is worth")
    return (goal,)


def _sum(payoffs: tuple[Floats, ...]) -> Floats:
    """The welfare of each choice of all."""
    with np.errstate(over="ignore"):
        welfare = np.asarray(np.sum(payoffs, axis=0))
    if not np.isfinite(welfare).all():
        raise DataError("the sum of the payoffs is too great for a number: state them in a larger unit")
    return welfare


def _departures(payoff: Floats, player: int) -> Any:
    """What a player gains at each choice of all by a strategy instead of the one told; a row for each such pair."""
    from scipy.sparse import csr_array

    own, places = _by_own(payoff, player)
    told, instead = np.nonzero(~np.eye(len(own), dtype=bool))
    data, columns = own[instead] - own[told], places[told]
    ends = np.arange(len(told) + 1) * own.shape[1]
    return csr_array((data.ravel(), columns.ravel(), ends), shape=(len(told), payoff.size))


def _coarse_departures(payoff: Floats, player: int) -> Any:
    """What a player gains at each choice of all by one strategy whatever it is told; a row for each strategy."""
    from scipy.sparse import csr_array

    own, places = _by_own(payoff, player)
    rows = np.empty((len(own), payoff.size))
    rows[:, places.ravel()] = (own[:, None, :] - own[None, :, :]).reshape(len(own), -1)
    return csr_array(rows)


def _by_own(payoff: Floats, player: int) -> tuple[Floats, NDArray[np.intp]]:
    """Payoffs, and the places of the choices of all, by the player's own strategy and the others' choices."""
    own = np.moveaxis(payoff, player, 0).reshape(payoff.shape[player], -1)
    places = np.moveaxis(np.arange(payoff.size).reshape(payoff.shape), player, 0).reshape(own.shape)
    return own, places


def _solved(goals: tuple[Floats, ...], rows: Any, method: str) -> Floats:
    """Probabilities by HiGHS, of the greatest least mean of the goals, in units of their range."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack, vstack

    worth = normalised(np.stack([goal.ravel() for goal in goals]))
    n_choices, n_rows = worth.shape[1], rows.shape[0]
    of_goals = csr_array(np.hstack([-worth, np.ones((len(worth), 1))]))
    inequalities = vstack([hstack([rows, csr_array((n_rows, 1))]), of_goals]).tocsr()
    solved = linprog(
        np.append(np.zeros(n_choices), -1.0),
        inequalities,
        np.zeros(inequalities.shape[0]),
        np.append(np.ones(n_choices), 0.0)[None],
        [1.0],
        [(0, None)] * n_choices + [(None, None)],
        method=method,
        options={"primal_feasibility_tolerance": _SMALLEST, "dual_feasibility_tolerance": _SMALLEST},
    )
    if solved.x is None:
        raise PlanError(f"HiGHS has no answer: {solved.message}; bring the payoffs nearer to one scale")
    chance = np.maximum(solved.x[:n_choices], 0.0)
    return np.asarray(chance / chance.sum())


def _polished(rows: Any, chance: Floats) -> Floats:
    """Probabilities moved by the least that makes the departures that nearly gain gain nothing, where that helps."""
    played = np.flatnonzero(chance > _NEGLIGIBLE)
    gain = rows @ chance
    tight = np.flatnonzero(np.abs(gain) <= _NEGLIGIBLE)
    if gain.max(initial=0.0) <= _ROUNDING or len(played) * len(tight) > _LARGEST:
        return chance
    square = np.vstack([rows[tight][:, played].toarray(), np.ones(len(played))])
    moved = np.zeros_like(chance)
    aim = np.append(np.zeros(len(tight)), 1.0)
    moved[played] = chance[played] + np.linalg.lstsq(square, aim - square @ chance[played], rcond=None)[0]
    moved = np.maximum(moved, 0.0) / np.maximum(moved, 0.0).sum()
    return np.asarray(moved if (rows @ moved).max() < gain.max() else chance)


def _regrets(payoffs: tuple[Floats, ...], chance: Floats, *, coarse: bool) -> Floats:
    """What each player could gain by departing; the differences are taken from the least payoff, whatever its size."""
    gains = np.empty(len(payoffs))
    for player, payoff in enumerate(payoffs):
        own, places = _by_own(payoff - payoff.min(), player)
        told = chance.ravel()[places]
        instead = own @ told.T if not coarse else (own @ told.sum(axis=0))[:, None]
        earned = (own * told).sum(axis=1) if not coarse else (own * told).sum()
        gains[player] = max(float((instead.max(axis=0) - earned).sum()), 0.0)
    return gains
