"""Equilibria of two players: all of them, each verified and the list honest about whether it is whole; or one."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError
from gridlab.games.bimatrix_exact import Whole, as_doubles, exact_shares, polytope, slack_tableau, whole_payoffs
from gridlab.games.bimatrix_vertices import Vertices, systems, vertices
from gridlab.games.checks import number
from gridlab.games.payoffs import (
    REGRET_TOLERANCE,
    checked_bimatrix,
    indifferent,
    normalised,
    regrets_of,
)

Floats = NDArray[np.float64]

_AIM = 1e-13  # regret, as a share of the payoff range, above which a point found by doubles is solved again
_PRECISE = 1e-12  # rounding of a share that is good enough
_PLAYED = 1e-12  # probability below which Lemke-Howson's rounding is taken for none
_CAPPING = 10  # steps after which Lemke-Howson tries the next label, of Codenotti, De Rossi and Pagan
_EXACT_CELLS = 2500  # largest table on which Lemke-Howson is run without rounding
_PATH_COST = 100  # steps that one run of Lemke-Howson is reckoned to take


class Equilibrium(NamedTuple):
    """
    A Nash equilibrium of two players.

    Parameters
    ----------
    x : ndarray, shape (m,)
        Probabilities of the row player's strategies.
    y : ndarray, shape (n,)
        Probabilities of the column player's strategies.
    """

    x: Floats
    y: Floats


class Equilibria(list[Equilibrium]):
    """
    A list of equilibria and what is known of it.

    Parameters
    ----------
    equilibria : iterable of Equilibrium
        The pairs (x, y).
    regrets : ndarray, shape (n_equilibria, 2)
        What each player could gain by its best reply, as a share of the range of its payoffs. [-]
    degenerate : bool
        Whether the game is known to be degenerate: a strategy has more best replies than it has strategies played with
        positive probability. Such a game may have infinitely many equilibria.
    complete : bool
        Whether the list is proved to have all equilibria; of a degenerate game all extreme ones, of which every
        equilibrium is a mixture. False where this is not known.
    """

    def __init__(
        self, equilibria: Iterable[Equilibrium] = (), *, regrets: Floats, degenerate: bool, complete: bool
    ) -> None:
        super().__init__(equilibria)
        self.regrets = regrets
        self.degenerate = degenerate
        self.complete = complete

    def __repr__(self) -> str:
        return f"{super().__repr__()} (degenerate={self.degenerate}, complete={self.complete})"


def nash_equilibria(A: ArrayLike, B: ArrayLike, *, max_work: float = 1.5e9) -> Equilibria:
    r"""
    All Nash equilibria of a game of two players.

    Equilibria are the pairs of vertices of the best-reply polytopes

    .. math::
        P = \{x \ge 0 : B' x \le 1\}, \qquad Q = \{y \ge 0 : A y \le 1\}

    of payoffs moved above 0 at which each strategy is either not played or a best reply, scaled to sum to 1. The
    vertices are found by walking from each to all its neighbours. This is done in whole numbers where payoffs are
    multiples of one number, to the rounding of doubles, and otherwise in doubles whose rounding is bounded: a vertex
    counts when it is proved to be one, and what doubles leave open is done without rounding. The list is therefore
    complete, ties and bad scaling included, or says that it is not.

    Parameters
    ----------
    A, B : array_like, shape (m, n)
        Payoffs of the row player and of the column player. [$]
    max_work : float
        Entries of tableaux that may be computed for each polytope, of which a second has about 3e8; whole numbers of
        any size count 300 times. Where it does not suffice the list has the pure equilibria and those that QuantEcon's
        Lemke-Howson paths end in, and `complete` is False. 14 strategies each take a second or two; from about 17 the
        list is often incomplete, after some 5 seconds: for one equilibrium of a large game use `one_equilibrium`.

    Returns
    -------
    Equilibria
        List of the pairs (x, y), from the one that most plays the row player's first strategies to the one that least
        does, with the flags `degenerate` and `complete` and the `regrets`, none above 1e-9.

    Raises
    ------
    DataError
        If `A` and `B` are not two tables of one shape with at least two rows and two columns, a payoff is not finite,
        or `max_work` is negative or NaN.

    References
    ----------
    .. [1] B. von Stengel, "Equilibrium computation for two-player games in strategic and extensive form," in
       Algorithmic Game Theory, 2007, ch. 3, doi:10.1017/CBO9780511800481.005.
    .. [2] D. Avis, G. D. Rosenberg, R. Savani and B. von Stengel, "Enumeration of Nash equilibria for two-player
       games," Economic Theory 42, 2010, doi:10.1007/s00199-009-0449-x.

    Examples
    --------
    >>> found = nash_equilibria([[3, 3], [2, 5], [0, 6]], [[3, 2], [2, 6], [3, 1]])
    >>> for x, y in found:
    ...     print(x.round(4).tolist(), y.round(4).tolist())
    [1.0, 0.0, 0.0] [1.0, 0.0]
    [0.8, 0.2, 0.0] [0.6667, 0.3333]
    [0.0, 0.3333, 0.6667] [0.3333, 0.6667]
    >>> found.complete, found.degenerate
    (True, False)
    """
    first, second = checked_bimatrix(A, B)
    max_work = number(max_work, "max_work")
    if not max_work >= 0:
        raise DataError(f"max_work must be at least 0 entries, got {max_work}")
    of_rows = vertices(*whole_payoffs(second.T), max_work)
    of_columns = vertices(*whole_payoffs(first), max_work) if of_rows is not None else None
    if of_rows is None or of_columns is None:
        return _by_paths(first, second, max_work, degenerate=of_rows is not None and not of_rows.is_simple)
    degenerate = not (of_rows.is_simple and of_columns.is_simple)
    pairs = _pairs(first, second, of_rows, of_columns)
    return _verified(first, second, pairs, degenerate=degenerate, complete=True)


def one_equilibrium(A: ArrayLike, B: ArrayLike) -> Equilibrium:
    """
    One Nash equilibrium of a game of two players, of any size, by the path of Lemke and Howson.

    QuantEcon follows the path; the point that it ends in is solved again on its support, and counts when no player can
    gain more than 1e-9 of the range of its payoffs. Otherwise the paths from the other strategies are followed and, in
    a table of up to 2,500 payoffs, one without rounding.

    Parameters
    ----------
    A, B : array_like, shape (m, n)
        Payoffs of the row player and of the column player. [$]

    Returns
    -------
    Equilibrium
        The pair (x, y).

    Raises
    ------
    DataError
        As `nash_equilibria`.
    PlanError
        If no path ends in an equilibrium to the precision of doubles, with the least regret that was reached.

    References
    ----------
    .. [1] C. E. Lemke and J. T. Howson, "Equilibrium points of bimatrix games," J. SIAM 12(2), 1964,
       doi:10.1137/0112033.
    .. [2] B. Codenotti, S. De Rossi and M. Pagan, "An experimental analysis of Lemke-Howson algorithm," 2008,
       arXiv:0811.3247.

    Examples
    --------
    Matching pennies.

    >>> x, y = one_equilibrium([[1, -1], [-1, 1]], [[-1, 1], [1, -1]])
    >>> x.tolist(), y.tolist()
    ([0.5, 0.5], [0.5, 0.5])
    """
    first, second = checked_bimatrix(A, B)
    least = np.inf
    for label in range(sum(first.shape)):
        found = _lemke_howson(first, second, label)
        gain = _relative_regrets(first, second, found).max()
        if gain <= REGRET_TOLERANCE:
            return found
        least = min(least, gain)
    if first.size <= _EXACT_CELLS:
        return _exact_path(whole_payoffs(first)[0], whole_payoffs(second.T)[0])
    raise PlanError(
        f"no path ends in an equilibrium: the least regret is {least:.3g} of the payoff range, above "
        f"{REGRET_TOLERANCE:g}; bring the payoffs nearer to one scale"
    )


def _fully_labelled(of_rows: Vertices, of_columns: Vertices) -> NDArray[np.intp]:
    """Pairs of vertices, one of each polytope, at which every strategy is either not played or a best reply."""
    lacks = of_rows.positive
    other = np.roll(of_columns.positive, of_rows.matrix.shape[1], axis=1)  # slacks, the row player's labels, first
    if of_rows.is_simple and of_columns.is_simple:
        places = {label.tobytes(): place for place, label in enumerate(np.packbits(~other, axis=1))}
        found = [places.get(label.tobytes(), -1) for label in np.packbits(lacks, axis=1)]
        return np.array([(row, column) for row, column in enumerate(found) if column >= 0], dtype=np.intp).reshape(
            -1, 2
        )
    rows_at_once, columns = max(1, 2**24 // len(other)), other.T.astype(np.float32)
    pairs = []
    for start in range(0, len(lacks), rows_at_once):
        shared = lacks[start : start + rows_at_once].astype(np.float32) @ columns
        pairs.append(np.argwhere(shared == 0) + np.array([start, 0]))
    return np.concatenate(pairs)


def _shares(of: Vertices, at: NDArray[np.intp]) -> Floats:
    """The vertices at some places scaled to sum to 1, by doubles; NaN for those not known to `_PRECISE`."""
    doubles = as_doubles(of.matrix)
    n_columns = doubles.shape[1]
    points = np.zeros((len(at), n_columns))
    bases = of.bases[at]
    sizes = (bases < n_columns).sum(axis=1)
    for size in np.unique(sizes).tolist():
        group = np.flatnonzero(sizes == size)
        played, tight = systems(doubles, bases[group], size)
        points[group[:, None], played] = _solved(doubles[tight[:, :, None], played[:, None, :]])
    points[~of.positive[at, :n_columns] & ~np.isnan(points)] = 0.0
    points = np.maximum(points, 0.0)
    return np.asarray(points / points.sum(axis=1, keepdims=True))


def _solved(square: Floats) -> Floats:
    """The answers to systems with right sides 1, refined once; NaN where rounding may be more than `_PRECISE`."""
    try:
        inverse = np.linalg.inv(square)
    except np.linalg.LinAlgError:
        return np.full(square.shape[:2], np.nan)
    point = inverse.sum(axis=2)
    point += np.einsum("bij,bj->bi", inverse, 1 - np.einsum("bij,bj->bi", square, point))
    size = np.abs(point)
    error = np.einsum("bij,bj->bi", np.abs(inverse), np.einsum("bij,bj->bi", np.abs(square), size)) * 2.0**-53
    point[error.max(axis=1) > _PRECISE * size.sum(axis=1)] = np.nan
    return np.asarray(point)


def _pairs(first: Floats, second: Floats, of_rows: Vertices, of_columns: Vertices) -> list[Equilibrium]:
    """The equilibria that vertices make, by doubles where that is good enough and otherwise without rounding."""
    at = _fully_labelled(of_rows, of_columns)
    x, y = _shares(of_rows, at[:, 0]), _shares(of_columns, at[:, 1])
    pairs = []
    for pair, (row, column) in zip(map(Equilibrium, x, y), at, strict=True):
        if not _relative_regrets(first, second, pair).max() <= _AIM:
            pair = Equilibrium(
                exact_shares(of_rows.matrix, of_rows.bases[row]),
                exact_shares(of_columns.matrix, of_columns.bases[column]),
            )
        pairs.append(pair)
    return pairs


def _relative_regrets(first: Floats, second: Floats, pair: Equilibrium) -> Floats:
    """Regrets as shares of the payoff ranges; infinite where the pair is no pair of strategies."""
    if not all(np.isfinite(mix).all() for mix in pair):
        return np.full(2, np.inf)
    return regrets_of((normalised(first), normalised(second)), pair)


def _verified(
    first: Floats, second: Floats, pairs: list[Equilibrium], *, degenerate: bool, complete: bool
) -> Equilibria:
    """The pairs with small regrets, in order; a pair that has to be left out leaves the list incomplete."""
    pairs = sorted(pairs, key=lambda pair: [*(-pair.x.round(12)).tolist(), *(-pair.y.round(12)).tolist()])
    regrets = np.array([_relative_regrets(first, second, pair) for pair in pairs]).reshape(-1, 2)
    good = np.all(regrets <= REGRET_TOLERANCE, axis=1)
    kept = [pair for pair, is_good in zip(pairs, good.tolist(), strict=True) if is_good]
    return Equilibria(kept, regrets=regrets[good], degenerate=degenerate, complete=complete and bool(good.all()))


def _by_paths(first: Floats, second: Floats, max_work: float, *, degenerate: bool) -> Equilibria:
    """Pure equilibria and the ends of Lemke-Howson's paths, as many as the work allows; not known to be all."""
    best_row, best_column = first == first.max(axis=0), second == second.max(axis=1, keepdims=True)
    m, n = first.shape
    pairs = [Equilibrium(np.eye(m)[row], np.eye(n)[column]) for row, column in np.argwhere(best_row & best_column)]
    n_paths = min(m + n, max(1, int(max_work / (_PATH_COST * first.size))))
    pairs += [_lemke_howson(first, second, label) for label in range(n_paths)]
    pairs = [pair for pair in pairs if _relative_regrets(first, second, pair).max() <= REGRET_TOLERANCE]
    distinct = {np.concatenate(pair).round(9).tobytes(): pair for pair in reversed(pairs)}
    tied = bool((best_row.sum(axis=0) > 1).any() or (best_column.sum(axis=1) > 1).any())
    return _verified(first, second, list(distinct.values()), degenerate=degenerate or tied, complete=False)


def _lemke_howson(first: Floats, second: Floats, label: int) -> Equilibrium:
    """The end of QuantEcon's path from one label, solved again on its support where that lessens the regret."""
    from quantecon.game_theory import NormalFormGame, Player, lemke_howson

    game = NormalFormGame([Player(normalised(first)), Player(np.ascontiguousarray(normalised(second).T))])
    x, y = lemke_howson(game, init_pivot=label, capping=_CAPPING)
    found = Equilibrium(*(np.maximum(mix, 0.0) / np.maximum(mix, 0.0).sum() for mix in (x, y)))
    rows, columns = np.flatnonzero(found.x > _PLAYED), np.flatnonzero(found.y > _PLAYED)
    again = Equilibrium(indifferent(normalised(second).T, columns, rows), indifferent(normalised(first), rows, columns))
    better = _relative_regrets(first, second, again).max() <= _relative_regrets(first, second, found).max()
    return again if better else found


def _exact_path(of_rows: Whole, of_columns: Whole) -> Equilibrium:
    """The end of Lemke and Howson's path from the first strategy in whole numbers, by the lexicographic rule."""
    m, n = of_rows.shape
    tableaux = [slack_tableau(polytope(of_columns, least=1)), slack_tableau(polytope(of_rows, least=1))]
    player, entering = 0, 0
    while True:
        tableau = tableaux[player]
        row = tableau.leaving(entering)
        left = int(tableau.basic[row])
        tableaux[player] = tableau.pivoted(row, entering)
        if (left if player == 0 else (left - n) % (m + n)) == 0:
            break
        entering = (left - m) % (m + n) if player == 0 else (left - n) % (m + n)
        player = 1 - player
    matrices = polytope(of_columns, least=1), polytope(of_rows, least=1)
    x, y = (exact_shares(matrix, np.sort(tableau.basic)) for matrix, tableau in zip(matrices, tableaux, strict=True))
    return Equilibrium(x, y)
