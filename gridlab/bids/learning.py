r"""
Bids learned in an auction that is held again and again, by rules that leave no regret.

Every bidder scales its worths by one of a few shadings. After each round it knows what each shading would have earned
against what the others bid (by `exp3` only what its own did), and plays those that did well more often. The external
regret of a bidder after :math:`T` rounds is

.. math::
    \frac{1}{T} \max_a \sum_t \bigl( u_t(a) - p_t \cdot u_t \bigr),

and all rules drive it to zero whatever the others do, so that average play approaches a coarse correlated equilibrium.
"""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.bids.tables import checked_hours, refuse_infinite, require_count
from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_MOST_KEPT = 2**16  # profiles of shadings whose payoffs are all worked out beforehand


class Cleared(Protocol):
    """What a mechanism on tables gives back, such as `auctions.Clearing`."""

    @property
    def awards(self) -> pd.DataFrame:
        """The bids with `quantity_mw` cut down to what was awarded."""
        ...

    @property
    def payments(self) -> pd.Series:
        """What the auction is paid for each row."""
        ...


ArrayMechanism = Callable[[Floats], tuple[Floats, Floats]]
TableMechanism = Callable[[pd.DataFrame], Cleared]


@dataclass(frozen=True)
class Learned:
    """
    What bidders learned.

    Parameters
    ----------
    bidders : tuple
        Their names, or numbers.
    shadings : ndarray, shape (n_shadings,)
        What they could scale their worths by. [-]
    play, last_play : ndarray, shape (n_bidders, n_shadings)
        Probability of each shading, on average and in the last round. [-]
    regret, bound : ndarray, shape (n_rounds, n_bidders)
        Mean external regret up to each round, and what the rule says it is at most. For `exp3` the bound is on the
        pseudo-regret, the expected regret against the shading that is best in expectation; that of a run may be above.
        [$]
    payoff : ndarray, shape (n_bidders,)
        Mean expected payoff of a round. [$]
    drawn : ndarray of int, shape (n_rounds, n_bidders)
        The shading that was drawn, by number.
    bids : ndarray or DataFrame
        The last bids, laid out as `values`.
    """

    bidders: tuple[Hashable, ...]
    shadings: Floats
    play: Floats
    last_play: Floats
    regret: Floats
    bound: Floats
    payoff: Floats
    drawn: Ints
    bids: Floats | pd.DataFrame

    @property
    def mean_shading(self) -> Floats:
        """Mean of what each bidder scaled its worths by, shape (n_bidders,). [-]"""
        return np.asarray(self.play @ self.shadings)


def learn_bids(
    values: ArrayLike | pd.DataFrame,
    mechanism: Callable[[Any], Any],
    *,
    shadings: ArrayLike | None = None,
    rounds: int = 1000,
    rule: str = "hedge",
    two_sided: bool = False,
    step_hours: float = 1.0,
    payoff_range: tuple[float, float] | None = None,
    rng: np.random.Generator,
) -> Learned:
    r"""
    What bidders come to bid in an auction that is held again and again.

    Parameters
    ----------
    values : array_like, shape (n_bidders,) or (n_bidders, n_lots), or DataFrame
        What each lot of one MW is worth to each bidder; or a table laid out as `bids`, with what a MWh is worth, or
        costs, as `price`. [$/MWh]
    mechanism : callable
        The auction, which must not draw lots. On arrays it clears many markets at once: from bids of shape
        ``(n_markets, *values.shape)`` it gives awards of that shape and payments of shape (n_markets, n_bidders). On a
        table it takes the bids and gives an object with `awards` and `payments`, as every `clear_*` does; give the
        capacity with `functools.partial`. [MW] [$]
    shadings : array_like, shape (n_shadings,), optional
        What the worths may be scaled by, at least 0; above 1 for who sells. From 0 to 1 by 0.05 when omitted. [-]
    rounds : int
        How often the auction is held, at least 1.
    rule : str
        One of `LEARNERS`: `hedge` (AdaHedge) and `regret_matching` see what each shading would have earned, `exp3` sees
        what the one it drew did.
    two_sided : bool
        Whether wanted power is negative in the awards, as in a market with two sides, and not positive.
    step_hours : float
        Length of the interval that the mechanism's payments are for, as it is given to that: a MW awarded is worth its
        value times this. [h]
    payoff_range : tuple of float, optional
        Least and greatest payoff of a round, which `exp3` must know. When omitted it is that of a bidder of capacity
        who never pays more than it bids; with shadings below 1 it may then lose where it bids for power that it would
        have to be paid for, or offers power. [$]
    rng : Generator
        Draws a shading for each bidder and round.

    Returns
    -------
    Learned

    Raises
    ------
    DataError
        If a worth is not finite, a shading is negative or comes twice, there is only one, `rounds` is below 1 or not
        whole, `step_hours` is not above 0, `rule` is unknown, the mechanism's answer is no pair or has another shape or
        is not finite, `payoff_range` is none, or, by `exp3`, a payoff lies outside it.

    Notes
    -----
    Where the bidders' shadings have at most 65,536 profiles the payoffs of all are worked out on arrays before the
    first round; on a table those that come up are, and kept.

    References
    ----------
    .. [1] S. de Rooij, T. van Erven, P. D. Grünwald and W. M. Koolen, "Follow the leader if you can, hedge if you
       must," JMLR 15, 2014, theorem 6, arXiv:1301.0534.
    .. [2] S. Hart and A. Mas-Colell, "A simple adaptive procedure leading to correlated equilibrium," Econometrica
       68(5), 2000, doi:10.1111/1468-0262.00153.
    .. [3] S. Bubeck and N. Cesa-Bianchi, "Regret analysis of stochastic and nonstochastic multi-armed bandit problems,"
       2012, theorem 3.1, doi:10.1561/2200000024.

    Examples
    --------
    In a first-price auction the one who would pay most comes to bid just above what the other would.

    >>> def first_price(bids):
    ...     wins = np.eye(2)[bids.argmax(axis=1)]
    ...     return wins, wins * bids
    >>> learned = learn_bids([1.0, 0.5], first_price, rounds=2000, rng=np.random.default_rng(1))
    >>> bool(0.4 < learned.bids[0] <= 0.55), bool((learned.regret <= learned.bound).all())
    (True, True)
    """
    grid = _checked_shadings(np.linspace(0.0, 1.0, 21) if shadings is None else shadings)
    require_count("rounds", rounds)
    hours = checked_hours(step_hours)
    if rule not in LEARNERS:
        raise DataError(f"rule must be one of {', '.join(LEARNERS)}, got {rule!r}")
    if payoff_range is not None and not -np.inf < payoff_range[0] < payoff_range[1] < np.inf:
        raise DataError(f"payoff_range must be two finite numbers, the least first, got {payoff_range}")
    sign = -hours if two_sided else hours
    game: _Game
    if isinstance(values, pd.DataFrame):
        game = _TableGame(values, mechanism, grid, sign)
    else:
        game = _ArrayGame(values, mechanism, grid, sign)
    learner = LEARNERS[rule](len(game.bidders), len(grid), rounds, payoff_range or game.payoff_range)
    return _held(game, learner, rng.random((rounds, len(game.bidders))))


def _held(game: "_Game", learner: "_Learner", chances: Floats) -> Learned:
    """The rounds, one for each row of chances, and what they taught."""
    drawn, regret, bound = np.empty(chances.shape, dtype=np.intp), np.empty(chances.shape), np.empty(chances.shape)
    play, earned = np.zeros((2, chances.shape[1], len(game.shadings)))
    mixed, mine = play, np.zeros(chances.shape[1])
    for step, chance in enumerate(chances):
        mixed = learner.play()
        drawn[step] = actions = _draw(mixed, chance)
        payoffs = game.payoffs(actions)
        learner.learn(mixed, payoffs, actions)
        play, earned, mine = play + mixed, earned + payoffs, mine + (mixed * payoffs).sum(axis=1)
        regret[step] = (earned.max(axis=1) - mine) / (step + 1)
        bound[step] = learner.bound(step + 1) / (step + 1)
    n_rounds, bids = len(chances), game.bids(drawn[-1])
    return Learned(game.bidders, game.shadings, play / n_rounds, mixed, regret, bound, mine / n_rounds, drawn, bids)


@dataclass
class _Learner:
    """What all rules keep; one row for each bidder."""

    n_bidders: int
    n_actions: int
    rounds: int
    payoff_range: tuple[float, float]
    score: Floats = field(init=False)
    widest: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.score = np.zeros((self.n_bidders, self.n_actions))
        self.widest = np.zeros(self.n_bidders)

    def play(self) -> Floats:
        """Probability of each action."""
        raise NotImplementedError

    def learn(self, mixed: Floats, payoffs: Floats, actions: Ints) -> None:
        """Take in a round: what was played, and what each action would have earned."""
        raise NotImplementedError

    def bound(self, rounds: int) -> Floats:
        """What the external regret of so many rounds is at most."""
        raise NotImplementedError

    def _widen(self, payoffs: Floats) -> None:
        self.widest = np.maximum(self.widest, payoffs.max(axis=1) - payoffs.min(axis=1))


class _Hedge(_Learner):
    """AdaHedge: the unit of payoff is what mixing has cost so far, over the logarithm of the number of actions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cost = np.zeros(self.n_bidders)

    def _unit(self) -> Floats:
        """What must be earned more to be e times as likely; none where nothing but rounding has been lost so far."""
        return np.where(self.cost > 1e-12 * self.widest, self.cost / math.log(self.n_actions), 0.0)

    def play(self) -> Floats:
        return _softmax(self.score, self._unit())

    def learn(self, mixed: Floats, payoffs: Floats, actions: Ints) -> None:
        self._widen(payoffs)
        unit = self._unit()
        best = np.where(mixed > 0, payoffs, -np.inf).max(axis=1)
        behind = np.minimum(payoffs - best[:, None], 0.0)
        mean = unit * np.log((mixed * _grown(behind, unit)).sum(axis=1))
        self.cost += np.maximum(best + mean - (mixed * payoffs).sum(axis=1), 0.0)
        self.score += payoffs

    def bound(self, rounds: int) -> Floats:
        log = math.log(self.n_actions)
        return self.widest * (math.sqrt(rounds * log) + 4 / 3 * log + 2)


class _RegretMatching(_Learner):
    """Each action as often as it is regretted."""

    def play(self) -> Floats:
        wished = np.maximum(self.score, 0.0)
        total = wished.sum(axis=1, keepdims=True)
        return np.where(total > 0, wished / np.where(total > 0, total, 1.0), 1 / self.n_actions)

    def learn(self, mixed: Floats, payoffs: Floats, actions: Ints) -> None:
        self._widen(payoffs)
        self.score += payoffs - (mixed * payoffs).sum(axis=1, keepdims=True)

    def bound(self, rounds: int) -> Floats:
        return self.widest * math.sqrt(rounds * self.n_actions)


class _Exp3(_Learner):
    """Hedge on losses of which only that of the drawn action is seen, over its probability."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rate = math.sqrt(2 * math.log(self.n_actions) / (self.rounds * self.n_actions))

    def play(self) -> Floats:
        return _softmax(self.score, np.full(self.n_bidders, 1 / self.rate))

    def learn(self, mixed: Floats, payoffs: Floats, actions: Ints) -> None:
        low, high = self.payoff_range
        who = np.arange(self.n_bidders)
        seen = payoffs[who, actions]
        slack = 1e-9 * (high - low)
        if seen.min() < low - slack or seen.max() > high + slack:
            raise DataError(
                f"a payoff of {seen.min():g} to {seen.max():g} $ is outside payoff_range = ({low:g}, {high:g}), which "
                "exp3 must know: widen it"
            )
        self.score[who, actions] -= (high - seen) / max(high - low, 1e-300) / mixed[who, actions]

    def bound(self, rounds: int) -> Floats:
        low, high = self.payoff_range
        seen = math.log(self.n_actions) / self.rate + self.rate * rounds * self.n_actions / 2
        return np.full(self.n_bidders, (high - low) * seen)


LEARNERS: dict[str, type[_Learner]] = {"hedge": _Hedge, "regret_matching": _RegretMatching, "exp3": _Exp3}
"""How a bidder learns, by name."""


class _Game:
    """A game of shadings: payoffs of all that a bidder could have done against what the others did."""

    def __init__(self, bidders: tuple[Hashable, ...], shadings: Floats, payoff_range: tuple[float, float]) -> None:
        self.bidders, self.shadings, self.payoff_range = bidders, shadings, payoff_range

    def payoffs(self, actions: Ints) -> Floats:
        """What each bidder earns by each shading, the others keeping to theirs, (n_bidders, n_shadings)."""
        who, what = np.indices((len(self.bidders), len(self.shadings)))
        profiles = np.tile(actions, (*who.shape, 1))
        profiles[who, what, who] = what
        payoffs = self.of(profiles.reshape(-1, len(actions))).reshape(profiles.shape)
        return np.asarray(payoffs[who, what, who], dtype=float)

    def of(self, profiles: Ints) -> Floats:
        """Payoffs of profiles of shadings, (n_profiles, n_bidders)."""
        raise NotImplementedError

    def bids(self, actions: Ints) -> Floats | pd.DataFrame:
        """The bids of a profile."""
        raise NotImplementedError


class _ArrayGame(_Game):
    """On arrays, all profiles at once where they are few; `hours` are negative where wanted power is."""

    def __init__(self, values: ArrayLike, mechanism: ArrayMechanism, shadings: Floats, hours: float) -> None:
        self.values, self.mechanism, self.hours = np.asarray(values, dtype=float), mechanism, hours
        if self.values.ndim not in (1, 2) or self.values.size == 0 or not np.isfinite(self.values).all():
            raise DataError(f"values must be finite, of shape (n_bidders,) or (n_bidders, n_lots), got {self.values}")
        worth = abs(hours) * np.abs(self.values).reshape(len(self.values), -1).sum(axis=1)
        may_cost = hours < 0 or bool((self.values < 0).any())
        super().__init__(tuple(range(len(self.values))), shadings, _range_of(worth, shadings, may_cost))
        shape = (len(shadings),) * len(self.values)
        self.kept: Floats | None = None
        if math.prod(shape) <= _MOST_KEPT:
            everything = np.indices(shape).reshape(len(shape), -1).T
            self.kept = self._cleared(everything).reshape(*shape, len(shape))
            self.strides = len(shadings) ** np.arange(len(shape) - 1, -1, -1)

    def payoffs(self, actions: Ints) -> Floats:
        if self.kept is None:
            return super().payoffs(actions)
        base = int(self.strides @ actions)
        first = base - self.strides * actions
        at = first[:, None] + self.strides[:, None] * np.arange(len(self.shadings))
        flat = self.kept.reshape(-1, len(actions))
        return np.asarray(flat[at, np.arange(len(actions))[:, None]], dtype=float)

    def of(self, profiles: Ints) -> Floats:
        return self._cleared(profiles)

    def bids(self, actions: Ints) -> Floats:
        return np.asarray(self._scaled(actions[None])[0])

    def _scaled(self, profiles: Ints) -> Floats:
        scale = self.shadings[profiles]
        return np.asarray(self.values * (scale if self.values.ndim == 1 else scale[..., None]))

    def _cleared(self, profiles: Ints) -> Floats:
        bids = self._scaled(profiles)
        answer = self.mechanism(bids)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise DataError(f"the mechanism must give a pair of awards and payments, got a {type(answer).__name__}")
        awards, payments = (np.asarray(part, dtype=float) for part in answer)
        if awards.shape != bids.shape or payments.shape != profiles.shape:
            raise DataError(
                f"the mechanism must give awards of shape {bids.shape} and payments of shape {profiles.shape}, got "
                f"{awards.shape} and {payments.shape}"
            )
        worth: Floats = (self.hours * self.values * awards).reshape(*profiles.shape, -1).sum(axis=-1)
        return _finite(worth - payments)


class _TableGame(_Game):
    """On tables, one clearing for each profile that comes up; `hours` are negative where wanted power is."""

    def __init__(self, values: pd.DataFrame, mechanism: TableMechanism, shadings: Floats, hours: float) -> None:
        validate(values, "bids")
        refuse_infinite(values, "the worth of a MWh")
        if len(values) == 0:
            raise DataError("values has no rows: give at least one bidder a worth")
        self.values, self.mechanism, self.hours = values, mechanism, hours
        self.who, names = pd.factorize(values["bidder"])
        self.worth = values["price"].to_numpy(float)
        value = hours * self.worth * values["quantity_mw"].to_numpy(float)
        most = np.bincount(self.who, np.abs(value)).astype(float)
        super().__init__(tuple(names), shadings, _range_of(most, shadings, bool((value < 0).any())))
        self.kept: dict[tuple[int, ...], Floats] = {}

    def of(self, profiles: Ints) -> Floats:
        return np.array([self._one(tuple(profile)) for profile in profiles.tolist()])

    def bids(self, actions: Ints) -> pd.DataFrame:
        return self.values.assign(price=self.worth * self.shadings[np.asarray(actions)][self.who])

    def _one(self, profile: tuple[int, ...]) -> Floats:
        if profile not in self.kept:
            cleared = self.mechanism(self.bids(np.array(profile, dtype=np.intp)))
            if not (hasattr(cleared, "awards") and hasattr(cleared, "payments")):
                raise DataError(
                    f"the mechanism must give an object with awards and payments, got a {type(cleared).__name__}"
                )
            awarded = cleared.awards["quantity_mw"].reindex(self.values.index).to_numpy(float)
            paid = cleared.payments.reindex(self.values.index).to_numpy(float)
            gain = self.hours * self.worth * awarded - paid
            self.kept[profile] = _finite(np.bincount(self.who, gain, len(self.bidders)).astype(float))
        return self.kept[profile]


def _checked_shadings(shadings: ArrayLike) -> Floats:
    grid = np.asarray(shadings, dtype=float)
    if grid.ndim != 1 or len(grid) < 2 or len(np.unique(grid)) < len(grid):
        raise DataError(f"shadings must be two or more different numbers, got {grid.tolist()}")
    if not (np.isfinite(grid) & (grid >= 0)).all():
        raise DataError(f"shadings must be at least 0 and finite, got {grid.tolist()}")
    return grid


def _range_of(worth: Floats, shadings: Floats, may_cost: bool) -> tuple[float, float]:
    """Least and greatest payoff of who never pays more than it bids, or is paid less where what it wins costs it."""
    most = float(worth.max())
    overbid = max(float(shadings.max()) - 1.0, 0.0)
    underbid = max(1.0 - float(shadings.min()), 0.0) if may_cost else 0.0
    return -most * max(overbid, underbid), most


def _finite(payoffs: Floats) -> Floats:
    if not np.isfinite(payoffs).all():
        raise DataError("the mechanism's awards or payments are not finite: a bidder's payoff must be a number")
    return payoffs


def _draw(mixed: Floats, chance: Floats) -> Ints:
    """An action for each bidder, by a number in [0, 1)."""
    reached = np.cumsum(mixed, axis=1)
    return np.asarray((reached <= (chance * reached[:, -1])[:, None]).sum(axis=1))


def _softmax(score: Floats, unit: Floats) -> Floats:
    """Weights that grow with the score by its unit; without one the best share all."""
    grown = _grown(score - score.max(axis=1, keepdims=True), unit)
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def _grown(behind: Floats, unit: Floats) -> Floats:
    """The exponential of what is behind over its unit: where there is none, one for what is not behind."""
    known = unit[:, None] > 0
    return np.asarray(np.where(known, np.exp(behind / np.where(known, unit[:, None], np.inf)), behind == 0))
