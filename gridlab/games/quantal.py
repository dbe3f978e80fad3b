"""Logit equilibria of any number of players, along the branch that begins where all strategies are as likely."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import PlanError
from gridlab.games.dynamics import Path, logit_replies, require_rationality
from gridlab.games.payoffs import REGRET_TOLERANCE, checked_payoffs, earnings, payoff_range, regrets_of

Floats = NDArray[np.float64]

_STEPS = 5000  # of the path before it is given up
_FIRST, _SHORTEST = 0.1, 1e-12  # lengths of a step
_CORRECTIONS = 8
_STRAIGHT = (0.998, 0.9995, 0.9999)  # least cosine of the angle between two steps, tried in turn
_FORK = 1e-6  # length of a step within which the sign changes because branches do cross, as in symmetric games
_ASIDE = 0.1  # greatest correction, as a share of a step
_RESIDUAL = 1e-12  # of the equations along the branch
_ROUNDING = 1e-14  # of what a strategy earns, in the units of the payoffs


def logit_equilibrium(payoffs: Sequence[ArrayLike], rationality: float) -> Path:
    r"""
    The logit quantal-response equilibrium on the branch from the middle of the strategies.

    .. math::
        x_{ij} = e^{\lambda u_{ij}(x)} / \textstyle\sum_k e^{\lambda u_{ik}(x)},

    followed from :math:`\lambda = 0`, where it is the only one, in logarithms and by the length of the path, so that it
    is followed where the branch turns back. At a great :math:`\lambda` it comes, but for ties, to a Nash equilibrium.

    Parameters
    ----------
    payoffs : sequence of array_like, each of shape (s_1, ..., s_n)
        What each of the n players earns at each choice of all. [$]
    rationality : float
        :math:`\lambda`, at least 0: the log of the odds of two strategies over the difference of what they earn. [1/$]

    Returns
    -------
    Path
        The equilibria along the branch, whose `times` are the rationalities; `last` is the first that is met at the
        rationality asked for. It counts as converged where its regrets are at most 1e-9 of the ranges of the payoffs.

    Raises
    ------
    DataError
        If the payoffs are not those of a game with two players or more, two strategies or more for each, and finite, or
        `rationality` is negative or not finite.
    PlanError
        If the branch cannot be followed to the rationality, with the one that was reached.

    References
    ----------
    .. [1] R. D. McKelvey and T. R. Palfrey, "Quantal response equilibria for normal form games," Games and Economic
       Behavior 10(1), 1995, doi:10.1006/game.1995.1023.
    .. [2] T. L. Turocy, "A dynamic homotopy interpretation of the logistic quantal response equilibrium
       correspondence," Games and Economic Behavior 51(2), 2005, doi:10.1016/j.geb.2004.04.003.

    Examples
    --------
    >>> lopsided = [[9, 0], [0, 1]], [[0, 1], [1, 0]]
    >>> path = logit_equilibrium(lopsided, 1.0)
    >>> [mix.round(4).tolist() for mix in path.last]
    [[0.8936, 0.1064], [0.3128, 0.6872]]
    """
    arrays = checked_payoffs(payoffs)
    require_rationality(rationality)
    unit = max(payoff_range(payoff) for payoff in arrays)
    branch = _Branch(tuple((payoff - payoff.min()) / unit for payoff in arrays))
    points = np.array(branch.followed(rationality * unit))
    mixes = tuple(np.exp(points[:, part]) for part in branch.parts)
    mixes = tuple(mix / mix.sum(axis=1, keepdims=True) for mix in mixes)
    last = [mix[-1] for mix in mixes]
    replies = logit_replies(branch.payoffs, last, rationality * unit)
    off = max(float(np.abs(reply - mix).max()) for reply, mix in zip(replies, last, strict=True))
    if off > max(REGRET_TOLERANCE, _ROUNDING * rationality * unit):
        raise PlanError(f"rationality = {rationality:g}: replies differ by {off:.3g} from what they reply to; lower it")
    gains = regrets_of(arrays, last)
    allowed = REGRET_TOLERANCE * np.array([payoff_range(payoff) for payoff in arrays])
    return Path(points[:, -1] / unit, mixes, gains, bool((gains <= allowed).all()))


class _Branch:
    """Logit equilibria of a game as points: the logs of all probabilities, and the rationality."""

    def __init__(self, payoffs: tuple[Floats, ...]) -> None:
        self.payoffs = payoffs
        shape = payoffs[0].shape
        ends = np.cumsum((0, *shape)).tolist()
        self.size = ends[-1]
        self.parts = [slice(start, end) for start, end in pairwise(ends)]
        self.start = np.append(np.concatenate([np.full(size, -np.log(size)) for size in shape]), 0.0)

    def followed(self, target: float) -> list[Floats]:
        """Points along the branch, to the first with a rationality; in shorter steps where longer ones lose it."""
        if target == 0:
            return [self.start]
        reached = 0.0
        for straight in _STRAIGHT:
            points = self._walked(target, straight)
            if points[-1][-1] == target:
                return points
            reached = max(reached, points[-1][-1])
        raise PlanError(
            f"the branch of logit equilibria is lost at {reached / target:.3g} of the rationality asked for: lower it, "
            "or follow logit_dynamics"
        )

    def _walked(self, target: float, straight: float) -> list[Floats]:
        """Points along the branch, with the least cosine of the angle between two steps, as far as they go."""
        points, length = [self.start], _FIRST
        direction = self._direction(self.start, np.eye(self.size + 1)[-1])
        for _ in range(_STEPS):
            found = self._next(points[-1], direction, length, straight)
            if found is not None and found[-1] >= target:
                found = self._at(points[-1], found, target)
                if found is not None:
                    return [*points, found]
            if found is None:
                length /= 2
                if length < _SHORTEST:
                    break
                continue
            if found[-1] < 0:
                break
            direction = self._direction(found, direction)
            points.append(found)
            length *= 1.5
        return points

    def _next(self, point: Floats, direction: Floats, length: float, straight: float) -> Floats | None:
        """The point of the branch a step on; None where it is not near, or on another branch, or the branch bends."""
        guess = point + length * direction
        found = self._corrected(guess, direction)
        if found is None or np.linalg.norm(found - guess) > _ASIDE * length:
            return None
        onward = self._direction(found, direction)
        is_over = self._side(found, onward) != self._side(point, direction) and length > _FORK
        return None if is_over or onward @ direction < straight else found

    def _side(self, point: Floats, direction: Floats) -> float:
        """A sign that stays along a branch; it is another on the branch beyond a bend that a step has leapt over."""
        return float(np.linalg.slogdet(np.vstack([self._slope(point), direction]))[0])

    def _residual(self, point: Floats) -> Floats:
        """By how much the point misses the equations: log odds against the first strategy, and sums."""
        mixes = [np.exp(point[part]) for part in self.parts]
        missed = np.empty(self.size)
        for player, part in enumerate(self.parts):
            gap = point[part] - point[-1] * earnings(self.payoffs[player], mixes, player)
            missed[part] = gap - gap[0]
            missed[part.start] = 1 - mixes[player].sum()
        return missed

    def _slope(self, point: Floats) -> Floats:
        """Derivatives of the residual."""
        mixes = [np.exp(point[part]) for part in self.parts]
        slope = np.zeros((self.size, self.size + 1))
        for player, part in enumerate(self.parts):
            rows = np.zeros((part.stop - part.start, self.size + 1))
            rows[:, part] = np.eye(len(rows))
            rows[:, -1] = -earnings(self.payoffs[player], mixes, player)
            for other, place in enumerate(self.parts):
                if other != player:
                    rows[:, place] = -point[-1] * self._between(player, other, mixes) * mixes[other]
            slope[part] = rows - rows[0]
            slope[part.start] = 0.0
            slope[part.start, part] = -mixes[player]
        return slope

    def _between(self, player: int, other: int, mixes: Sequence[Floats]) -> Floats:
        """What each strategy of a player earns against each of another's, on average over the rest."""
        earned = np.moveaxis(self.payoffs[player], (player, other), (0, 1))
        for number in reversed([each for each in range(len(mixes)) if each not in (player, other)]):
            earned = earned @ mixes[number]
        return earned

    def _direction(self, point: Floats, onward: Floats) -> Floats:
        """The direction of the branch at a point, of the two the one that goes on."""
        direction = np.linalg.qr(self._slope(point).T, mode="complete")[0][:, -1]
        return np.asarray(direction if direction @ onward >= 0 else -direction)

    def _corrected(self, point: Floats, direction: Floats) -> Floats | None:
        """The point of the branch across a direction, by Newton's method; None where it is not found."""
        for _ in range(_CORRECTIONS):
            missed = self._residual(point)
            if np.abs(missed).max() <= _RESIDUAL * (1 + np.abs(point).max()):
                return point
            step = self._step(point, direction)
            if not np.abs(step).max() <= 1 + np.abs(point).max():
                return None
            point = point + step
        return None

    def _step(self, point: Floats, direction: Floats) -> Floats:
        """Newton's step towards the branch across a direction; NaN where there is none."""
        try:
            square = np.vstack([self._slope(point), direction])
            return np.asarray(np.linalg.solve(square, np.append(-self._residual(point), 0.0)))
        except np.linalg.LinAlgError:
            return np.full(self.size + 1, np.nan)

    def _at(self, before: Floats, after: Floats, target: float) -> Floats | None:
        """The point of the branch at a rationality between those of two points."""
        share = (target - before[-1]) / (after[-1] - before[-1])
        guess = before + share * (after - before)
        guess[-1] = target
        upright = np.eye(self.size + 1)[-1]
        end = self._corrected(guess, upright)
        return None if end is None else end + self._step(end, upright)
