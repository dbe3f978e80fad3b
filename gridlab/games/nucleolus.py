r"""
Divisions that no coalition can better: the core, the least core and the nucleolus, by linear programmes.

The nucleolus makes the greatest excess :math:`e(S, x) = v(S) - x(S)` of a coalition as small as can be, then the next
greatest, and so on. Each round is a linear programme over what the rounds before left free; the coalitions with a
positive price at its optimum have the same excess at every optimum and are settled, and with them all whose
characteristic vector they span. So each round takes at least one direction from the divisions that are left, and what
is settled never depends on which of many optima the solver found. Rows are added where they are violated, as hardly any
of the 2**n coalitions matter.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError
from gridlab.games.characteristic import (
    Characteristic,
    Coalition,
    checked_players,
    coalition_table,
    players_of,
    sums_over,
)
from gridlab.games.checks import checked_tolerance, numbers
from gridlab.games.nucleolus_round import Found, Master

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_TOLERANCE = 1e-9  # what counts as nothing, as a share of the greatest worth
_VIOLATED = 1e-11  # by which a row must be violated to be added, in units of the greatest worth
_PRICED = 1e-7  # least price that counts; those of 12 players are quotients of whole numbers below 4,000
_SPANNED = 1e-7  # greatest distance of a characteristic vector from a span that it lies in
_ROUNDING = 1e-11  # of a rank
_MOST_ROWS = 20  # added at a time


class Objection(NamedTuple):
    """
    The coalition that a division treats worst.

    Parameters
    ----------
    coalition : tuple of int
        Its players.
    excess : float
        What it would gain on its own; negative where it would lose. [$]
    """

    coalition: Coalition
    excess: float


class LeastCore(NamedTuple):
    """
    The least core.

    Parameters
    ----------
    epsilon : float
        What a coalition must be charged for leaving, at least, that none would; 0 or less where there is a core. [$]
    payoff : ndarray, shape (n,)
        A division that no coalition leaves at that charge: the prenucleolus. [$]
    """

    epsilon: float
    payoff: Floats


class Balance(NamedTuple):
    """
    The balanced collection of coalitions that speaks loudest against a core.

    Parameters
    ----------
    worth : float
        The weighted sum of what its coalitions can get; the core is empty where this exceeds the worth of all. [$]
    weights : dict of tuple to float
        Share of their time that the players give to each coalition; those of a player's coalitions sum to 1. [-]
    """

    worth: float
    weights: dict[Coalition, float]


def in_core(v: Characteristic, n: int, x: ArrayLike, *, tolerance: float = _TOLERANCE) -> bool:
    """
    Whether a division hands out just what all players get together, and no coalition would get more on its own.

    Parameters
    ----------
    v : array_like, mapping or callable
        What each coalition can get on its own, as `coalition_table` reads it. [$]
    n : int
        Number of players.
    x : array_like, shape (n,)
        The division. [$]
    tolerance : float
        What counts as nothing, as a share of the greatest worth or payment. [-]

    Returns
    -------
    bool
        `objection` names the coalition that is treated worst.

    Raises
    ------
    DataError
        As `coalition_table`, or if `x` does not have `n` finite numbers.

    Examples
    --------
    >>> gloves = lambda players: float(0 in players and len(players) > 1)
    >>> in_core(gloves, 3, [1, 0, 0]), in_core(gloves, 3, [0.5, 0.25, 0.25])
    (True, False)
    >>> objection(gloves, 3, [0.5, 0.25, 0.25])
    Objection(coalition=(0, 1), excess=0.25)
    """
    table = coalition_table(v, n)
    x = _division(x, n)
    nothing = checked_tolerance(tolerance) * max(np.abs(table).max(), np.abs(x).max())
    return bool(abs(x.sum() - table[-1]) <= nothing and (table - sums_over(x)).max() <= nothing)


def objection(v: Characteristic, n: int, x: ArrayLike) -> Objection:
    """
    The coalition with most to gain on its own from a division, of several the first in the table.

    Parameters
    ----------
    v, n, x
        As for `in_core`.

    Returns
    -------
    Objection
        Of all coalitions but the empty one; that of all players where they do not get what they are worth.

    Raises
    ------
    DataError
        As `in_core`.
    """
    excess = coalition_table(v, n) - sums_over(_division(x, n))
    worst = 1 + int(np.argmax(excess[1:]))
    return Objection(players_of(worst), float(excess[worst]))


def core_is_empty(v: Characteristic, n: int, *, tolerance: float = _TOLERANCE) -> bool:
    """
    Whether every division has a coalition that would get more on its own.

    Parameters
    ----------
    v, n
        The game, as `coalition_table` reads it.
    tolerance : float
        What counts as nothing, as a share of the greatest worth. [-]

    Returns
    -------
    bool
        `balance` names the coalitions because of which it is empty.

    Raises
    ------
    DataError
        As `coalition_table`.

    Examples
    --------
    >>> core_is_empty(lambda players: len(players) > 1, 3), core_is_empty(lambda players: len(players) > 2, 3)
    (True, False)
    """
    table = coalition_table(v, n)
    nothing = checked_tolerance(tolerance) * np.abs(table).max()
    if n == 1:
        return False
    return bool(_Rounds(table, n, rational=False).settle().epsilon > nothing)


def balance(v: Characteristic, n: int) -> Balance:
    r"""
    The balanced collection that proves the core empty, or that comes nearest to it.

    Weights :math:`\lambda_S \ge 0` with :math:`\sum_{S \ni i} \lambda_S = 1` for every player are balanced; there is a
    core if and only if :math:`\sum_S \lambda_S v(S) \le v(N)` for all of them [1]_.

    Parameters
    ----------
    v, n
        The game, as `coalition_table` reads it.

    Returns
    -------
    Balance
        The collection whose coalitions have the greatest excess at every division of the least core.

    Raises
    ------
    DataError
        As `coalition_table`.

    References
    ----------
    .. [1] L. S. Shapley, "On balanced sets and cores," Naval Research Logistics 14(4), 1967,
       doi:10.1002/nav.3800140404.

    Examples
    --------
    Any two of three have a majority: each pair half of the time would be worth more than all of them.

    >>> worth, weights = balance(lambda players: len(players) > 1, 3)
    >>> round(worth, 9), {pair: round(weight, 9) for pair, weight in sorted(weights.items())}
    (1.5, {(0, 1): 0.5, (0, 2): 0.5, (1, 2): 0.5})
    """
    table = coalition_table(v, n)
    if n == 1:
        return Balance(float(table[-1]), {(0,): 1.0})
    prices = _Rounds(table, n, rational=False).settle().prices
    share = sum(price for mask, price in prices.items() if mask & 1)
    weights = {mask: price / share for mask, price in prices.items()}
    worth = float(sum(weight * table[mask] for mask, weight in weights.items()))
    return Balance(worth, {players_of(mask): weight for mask, weight in weights.items()})


def least_core(v: Characteristic, n: int) -> LeastCore:
    r"""
    The least charge on leaving at which no coalition would, and a division at that charge.

    .. math::
        \min_{\varepsilon, x} \; \varepsilon, \qquad x(S) \ge v(S) - \varepsilon, \quad \emptyset \ne S \ne N, \qquad
        x(N) = v(N).

    Parameters
    ----------
    v, n
        The game, as `coalition_table` reads it.

    Returns
    -------
    LeastCore
        The charge, below 0 where every coalition can gain by staying, and the prenucleolus, which is in the least core
        whatever the solver. The charge is 0 where there is only one player.

    Raises
    ------
    DataError
        As `coalition_table`.

    References
    ----------
    .. [1] M. Maschler, B. Peleg and L. S. Shapley, "Geometric properties of the kernel, nucleolus, and related solution
       concepts," Math. of Operations Research 4(4), 1979, doi:10.1287/moor.4.4.303.

    Examples
    --------
    >>> def vote(players):
    ...     return sum((40, 22, 30, 9)[player] for player in players) >= 51
    >>> epsilon, payoff = least_core(vote, 4)
    >>> round(epsilon, 9), payoff.round(9).tolist()
    (0.333333333, [0.333333333, 0.333333333, 0.333333333, 0.0])
    """
    table = coalition_table(v, n)
    if n == 1:
        return LeastCore(0.0, table[1:] + 0.0)
    rounds = _Rounds(table, n, rational=False)
    return LeastCore(rounds.settle().epsilon + 0.0, rounds.all_settled())


def nucleolus(v: Characteristic, n: int) -> Floats:
    """
    The division among those that give each player at least what it gets alone that complaints are least against.

    Complaints are the coalitions' excesses, sorted from the greatest on and compared in that order [1]_. Where there is
    a core the nucleolus is in it.

    Parameters
    ----------
    v : array_like, mapping or callable
        What each coalition can get on its own, as `coalition_table` reads it; costs come with a minus. [$]
    n : int
        Number of players; 12 take hundredths of a second.

    Returns
    -------
    ndarray, shape (n,)
        What each player is due, to about 1e-9 of the greatest worth. [$]

    Raises
    ------
    DataError
        As `coalition_table`.
    PlanError
        If the players get more alone than together, so that no division gives each at least that; `prenucleolus` does
        not ask for it.

    References
    ----------
    .. [1] D. Schmeidler, "The nucleolus of a characteristic function game," SIAM J. Applied Mathematics 17(6), 1969,
       doi:10.1137/0117107.
    .. [2] M. Benedek, J. Fliege and T.-D. Nguyen, "Finding and verifying the nucleolus of cooperative games," Math.
       Programming 190, 2021, doi:10.1007/s10107-020-01527-9.

    Examples
    --------
    Player 0 has a left glove, 1 and 2 a right one. Claims of 100, 200 and 300 on an estate of 200 [Talmud, Kethuboth].

    >>> nucleolus(lambda players: 0 in players and len(players) > 1, 3).round(9).tolist()
    [1.0, 0.0, 0.0]
    >>> def estate(players):
    ...     return max(0, 200 - sum((100, 200, 300)[player] for player in {0, 1, 2} - players))
    >>> nucleolus(estate, 3).round(9).tolist()
    [50.0, 75.0, 75.0]
    """
    table = coalition_table(v, n)
    alone = table[1 << np.arange(n)]
    missing = alone.sum() - table[-1]
    if missing > _TOLERANCE * np.abs(table).max():
        raise PlanError(
            f"the players get {alone.sum():g} alone and {table[-1]:g} together, {missing:.3g} less: no division gives "
            "each what it gets alone; use prenucleolus, or put a minus before costs"
        )
    return _Rounds(table, n, rational=True).all_settled()


def prenucleolus(v: Characteristic, n: int) -> Floats:
    """
    The division that complaints are least against, which may give a player less than it gets alone.

    It is the nucleolus where that gives no player just what it gets alone, and where there is a core.

    Parameters
    ----------
    v, n
        As for `nucleolus`.

    Returns
    -------
    ndarray, shape (n,)
        What each player is due. [$]

    Raises
    ------
    DataError
        As `coalition_table`.

    Examples
    --------
    Two who lose by joining share the loss.

    >>> prenucleolus({(0,): 3.0, (1,): 1.0, (0, 1): 2.0}, 2).tolist()
    [2.0, 0.0]
    """
    return _Rounds(coalition_table(v, n), n, rational=False).all_settled()


def satisfies_kohlberg(
    v: Characteristic, n: int, x: ArrayLike, *, rational: bool = True, tolerance: float = 1e-7
) -> bool:
    """
    Whether a division is the nucleolus, by Kohlberg's criterion: the judge of `nucleolus`, by other programmes.

    For every level, the coalitions of at least that excess must be balanced with positive weights, where players who
    get what they get alone may be added with any weight [1]_.

    Parameters
    ----------
    v, n, x
        As for `in_core`.
    rational : bool
        Whether to judge by the nucleolus; otherwise by the prenucleolus.
    tolerance : float
        Within which excesses count as equal, as a share of the greatest worth. [-]

    Raises
    ------
    DataError
        As `in_core`.

    References
    ----------
    .. [1] E. Kohlberg, "On the nucleolus of a characteristic function game," SIAM J. Applied Mathematics 20(1), 1971,
       doi:10.1137/0120009.

    Examples
    --------
    >>> gloves = lambda players: float(0 in players and len(players) > 1)
    >>> satisfies_kohlberg(gloves, 3, [1, 0, 0]), satisfies_kohlberg(gloves, 3, [0.8, 0.1, 0.1])
    (True, False)
    """
    table, x = coalition_table(v, n), _division(x, n)
    nothing = checked_tolerance(tolerance) * max(np.abs(table).max(), np.abs(x).max())
    alone = x - table[1 << np.arange(n)]
    if abs(x.sum() - table[-1]) > nothing or (rational and alone.min() < -nothing):
        return False
    order = 1 + np.argsort(-(table - sums_over(x))[1:-1], kind="stable")
    excess = (table - sums_over(x))[order]
    ends = np.append(np.flatnonzero(np.diff(excess) < -nothing) + 1, len(excess))
    free = np.eye(n)[alone <= nothing] if rational else np.empty((0, n))
    return _levels_are_balanced(_vectors(order, n), ends, free)


@dataclass
class _Round:
    """What a round of the rounds found: the greatest excess left, and who has a price at it."""

    epsilon: float
    prices: dict[int, float]


@dataclass
class _Rounds:
    """
    The programmes of a game, one after another.

    Parameters
    ----------
    worth : ndarray, shape (2**n,)
        The game.
    n : int
        Number of players.
    rational : bool
        Whether each player must get what it gets alone.
    """

    worth: Floats
    n: int
    rational: bool
    excess: Floats = field(init=False)
    span: list[int] = field(init=False)
    rows: list[int] = field(init=False)

    def __post_init__(self) -> None:
        n = checked_players(self.n)
        self.alone = self.worth[1 << np.arange(n)]
        gain = self.worth - sums_over(self.alone)
        gain[1 << np.arange(n)] = 0.0
        self.unit = float(max(gain.max(), abs(gain[-1]))) or float(np.abs(gain).max()) or 1.0
        gain /= self.unit
        self.x = np.full(n, gain[-1] / n)
        self.span, self.rows = [2**n - 1], []
        if self.rational and gain[-1] <= 0:
            self.x, self.span = np.zeros(n), [1 << player for player in range(n)]
        self.excess = gain - sums_over(self.x)
        self.free = _free(self.span, n)

    def all_settled(self) -> Floats:
        """The division that is left when every coalition is settled."""
        while self.free.shape[1]:
            self.settle()
        x = np.maximum(self.x, 0.0) if self.rational else self.x
        return np.asarray(self.alone + self.unit * x + 0.0)

    def settle(self) -> _Round:
        """Make the greatest excess that is not settled as small as can be, and settle who has a price at it."""
        open_ = self._open()
        master = Master(self.free.shape[1])
        if self.rational:
            held = np.flatnonzero(open_[1 << np.arange(self.n)])
            master.hold(held, self.free[held], -self.x[held])
        kept = [mask for mask in self.rows if open_[mask]] or np.flatnonzero(open_)[:1].tolist()
        self.rows = []
        found = self._solved_with(kept, master)
        while new := self._violated(found, open_):
            found = self._solved_with(new, master)
        return self._move(found, master)

    def _open(self) -> Flags:
        """The coalitions that are not settled."""
        open_ = np.zeros(len(self.excess), dtype=bool)
        for direction in self.free.T:
            open_ |= np.abs(sums_over(direction)) > _SPANNED
        return open_

    def _solved_with(self, new: list[int], master: Master) -> Found:
        """The optimum with more rows: with a coalition that of the others, so that no excess can fall for ever."""
        everyone = len(self.excess) - 1
        pairs = dict.fromkeys(mask for one in new for mask in (one, everyone ^ one))
        rows = [mask for mask in pairs if mask not in self.rows]
        master.add(_vectors(np.array(rows), self.n) @ self.free, self.excess[rows])
        self.rows += rows
        return master.solve()

    def _violated(self, found: Found, open_: Flags) -> list[int]:
        """The coalitions whose excess is above what the rows allow, the worst first."""
        above = np.where(open_, self.excess - sums_over(self.free @ found.move) - found.epsilon, -np.inf)
        above[self.rows] = -np.inf
        count = min(_MOST_ROWS, len(above))
        worst = np.argpartition(-above, count - 1)[:count]
        worst = worst[above[worst] > _VIOLATED]
        return [int(mask) for mask in worst[np.argsort(-above[worst], kind="stable")]]

    def _move(self, found: Found, master: Master) -> _Round:
        """Go to the optimum and take from what is free the directions that would change who is settled."""
        move = self.free @ found.move
        self.x, self.excess = self.x + move, self.excess - sums_over(move)
        prices = {mask: float(price) for mask, price in zip(self.rows, found.prices, strict=True) if price > _PRICED}
        alone = [1 << int(player) for player, price in zip(master.held, found.held, strict=True) if price > _PRICED]
        self.span += [*prices, *alone]
        self.free = _free(self.span, self.n)
        return _Round(found.epsilon * self.unit, prices)


def _free(span: list[int], n: int) -> Floats:
    """Directions of divisions that change nothing for the coalitions that are settled, shape (n, n_directions)."""
    from scipy.linalg import null_space

    free = null_space(_vectors(np.array(span), n), rcond=_ROUNDING)
    free[np.abs(free) < 1e-14] = 0.0
    return np.asarray(free)


def _vectors(masks: Ints, n: int) -> Floats:
    """Characteristic vectors, shape (n_coalitions, n)."""
    return (np.asarray(masks)[:, np.newaxis] >> np.arange(n) & 1).astype(float)


def _division(given: Any, n: int) -> Floats:
    x = numbers(given, "x")
    if x.shape != (n,) or not np.isfinite(x).all():
        raise DataError(f"x must have {n} finite numbers, one for each player, got {x.tolist()}")
    return x


def _levels_are_balanced(vectors: Floats, ends: Ints, free: Floats) -> bool:
    """Whether the first rows up to each end are balanced, which is asked where they span more than before."""
    n, rank = vectors.shape[1], 1
    for end in ends:
        grown = int(np.linalg.matrix_rank(np.vstack([vectors[:end], np.ones(n)])))
        if grown == rank:
            continue
        if not _balanced(vectors[:end], free):
            return False
        rank = grown
        if rank == n:
            break
    return True


def _balanced(vectors: Floats, free: Floats) -> bool:
    """Whether no transfer between players helps one of the coalitions and hurts none of them."""
    from scipy.optimize import linprog

    rows = np.vstack([vectors, free])
    helped = -vectors.sum(axis=0)
    found = linprog(
        helped, A_ub=-rows, b_ub=np.zeros(len(rows)), A_eq=np.ones((1, rows.shape[1])), b_eq=[0.0], bounds=(-1, 1)
    )
    return bool(found.status == 0 and -found.fun <= 1e-7)
