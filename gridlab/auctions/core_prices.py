"""Payments that no coalition of bidders and the seller would undo: the core nearest to VCG."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Offer = Callable[[Floats], tuple[float, ArrayLike]]

_ROUNDING = 1e-11  # of the greatest value, below which a constraint counts as kept


def core_payments(values: ArrayLike, vcg: ArrayLike, coalition_value: Offer, *, tolerance: float = 1e-9) -> Floats:
    r"""
    The bidder-optimal core payments nearest to those of VCG.

    Under VCG the seller and some losers may do better without a winner than the winners pay. The core are the
    payments :math:`p` where no coalition :math:`C` of bidders, whose bids are worth :math:`w(C)` to it and the seller,
    blocks the outcome [1]_:

    .. math:: \sum_{i \in W \setminus C} p_i \ge w(C) - \sum_{i \in W \cap C} v_i .

    Of these the least total is taken, and of those the point nearest to VCG [2]_. Coalitions are found as they are
    needed: at given payments each winner's bids are lowered by its surplus and the winners determined anew; an optimum
    that offers the seller more than is paid is a coalition that blocks.

    Parameters
    ----------
    values : array_like, shape (n_winners,)
        What each winner's award is worth by its bids; where there is a reserve price, above it. [$]
    vcg : array_like, shape (n_winners,)
        VCG payment of each winner, above the reserve as well. [$]
    coalition_value : callable
        ``coalition_value(surplus) -> (value, members)``: `surplus` has shape (n_winners,) [$] and is charged once to
        a winner whatever it is awarded (each of its options but that of nothing is lowered by it); `value` is the
        optimum of all bids so lowered, above the reserve [$], and `members` a flag for each winner, shape
        (n_winners,), whether it is awarded anything there.
    tolerance : float
        How much more than is paid a coalition may offer, relative to the greatest value. [-]

    Returns
    -------
    ndarray, shape (n_winners,)
        Payments, each from its VCG payment to its value. [$]

    Raises
    ------
    DataError
        If the shapes differ, `members` has another than `values`, a number is not finite or a VCG payment is above the
        value.
    PlanError
        If a coalition offers more than the winners' whole value, so that they are not the optimum of the bids.

    References
    ----------
    .. [1] R. W. Day and S. Raghavan, "Fair payments for efficient allocations in public sector combinatorial
       auctions," Management Science 53(9), 2007, doi:10.1287/mnsc.1060.0662.
    .. [2] R. W. Day and P. Cramton, "Quadratic core-selecting payment rules for combinatorial auctions," Operations
       Research 60(3), 2012, doi:10.1287/opre.1110.1024.

    Examples
    --------
    Bidder 0 wants the pair at 2 in all, bidders 1 and 2 one each at 2; the last two win and pay nothing under VCG:

    >>> def offer(surplus):
    ...     one, two = 2.0 - surplus
    ...     best = max(one, 0.0) + max(two, 0.0)
    ...     return (2.0, [False, False]) if best < 2.0 else (best, [one > 0, two > 0])
    >>> core_payments([2.0, 2.0], [0.0, 0.0], offer).tolist()
    [1.0, 1.0]
    """
    value, least = np.asarray(values, dtype=float), np.asarray(vcg, dtype=float)
    scale = _checked_scale(value, least)
    if scale == 0:
        return least.copy()
    room = np.maximum(value - least, 0.0) / scale
    blocked = _Blocked(np.zeros((0, len(value))), np.zeros(0))
    extra = np.zeros(len(value))
    while True:
        paid = least + scale * extra
        offered, members = coalition_value(value - paid)
        outside = ~_checked_members(members, len(value))
        excess = (float(offered) - paid.sum()) / scale
        if excess <= tolerance or blocked.has(outside):
            break
        blocked = blocked.and_also(outside, excess + extra[outside].sum())
        _require_core(blocked, room, scale, tolerance)
        extra = _nearest(blocked, room)
    if excess > 1e3 * tolerance:
        raise PlanError(
            f"a coalition offers {excess * scale:g} $ more than the core payments though its claim is met: "
            "coalition_value is not the optimum of the bids lowered by the surplus"
        )
    return np.clip(paid, least, np.maximum(value, least))


class _Blocked(NamedTuple):
    """What the winners outside of each coalition found must pay above VCG, in units of the greatest value."""

    outside: Floats
    claim: Floats

    def has(self, outside: Flags) -> bool:
        return bool((self.outside == outside).all(axis=1).any())

    def and_also(self, outside: Flags, claim: float) -> "_Blocked":
        return _Blocked(np.vstack([self.outside, outside]), np.append(self.claim, claim))


def _checked_members(members: ArrayLike, n_winners: int) -> Flags:
    """Who is in a coalition, one flag for each winner."""
    flags = np.asarray(members, dtype=bool)
    if flags.shape != (n_winners,):
        raise DataError(
            f"coalition_value must give members as one flag for each of {n_winners} winners, got shape {flags.shape}"
        )
    return flags


def _checked_scale(value: Floats, least: Floats) -> float:
    """The greatest value, after refusing what cannot be winners."""
    if value.ndim != 1 or value.shape != least.shape:
        raise DataError(f"values and vcg need one number for each winner, got shapes {value.shape} and {least.shape}")
    if not (np.isfinite(value).all() and np.isfinite(least).all()):
        raise DataError("values and vcg must be finite")
    scale = float(max(np.abs(value).max(initial=0.0), np.abs(least).max(initial=0.0)))
    above = least > value + 1e-9 * scale
    if above.any():
        winner = int(np.argmax(above))
        raise DataError(
            f"vcg is above the value for winner {winner}, {least[winner]:g} above {value[winner]:g} $: a winner pays "
            "at most what it bid"
        )
    return scale


def _require_core(blocked: _Blocked, room: Floats, scale: float, tolerance: float) -> None:
    """Refuse winners that are not the optimum: at payments of their whole value some coalition would still block."""
    lacking = float(blocked.claim[-1] - blocked.outside[-1] @ room)
    if lacking > tolerance:
        raise PlanError(
            f"the core is empty: a coalition offers {lacking * scale:g} $ more than the winners' whole value, so they "
            "are not the optimum of the bids; determine the winners exactly"
        )


def _nearest(blocked: _Blocked, room: Floats) -> Floats:
    """The payments of least total, then nearest to VCG, that meet the claims; who is in no claim pays VCG."""
    asked = blocked.outside.any(axis=0)
    extra = np.zeros_like(room)
    outside, most = blocked.outside[:, asked], room[asked]
    extra[asked] = _least_then_shortest(outside, np.minimum(blocked.claim, outside @ most), most)
    return extra


def _least_then_shortest(outside: Floats, claim: Floats, room: Floats) -> Floats:
    """The shortest of the vectors of least total that meet the claims."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    tight = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    bounds = np.column_stack([np.zeros_like(room), room])
    total, sparse = np.ones_like(room), csr_array(-outside)
    answer = linprog(total, sparse, -claim, bounds=bounds, method="highs", options=tight)
    if answer.x is None:
        raise PlanError(f"the least core payments were not found: {answer.message}")
    identity = np.eye(len(room))
    rows = np.vstack([-total, outside, -identity, identity])
    limits = np.concatenate([[-answer.x.sum()], claim, -room, np.zeros_like(room)])
    found = _shortest(rows, limits)
    return np.clip(answer.x if found is None else found, 0.0, room)


def _shortest(rows: Floats, limits: Floats) -> Floats | None:
    """
    The shortest vector within ``rows @ x >= limits``, by the dual active set method of Goldfarb and Idnani.

    From no constraint at all the most violated is made active, one after another, while those whose price falls to
    zero are let go. None where rounding leaves no room.

    References
    ----------
    .. [1] D. Goldfarb and A. Idnani, "A numerically stable dual method for solving strictly convex quadratic programs,"
       Mathematical Programming 27, 1983, doi:10.1007/BF02591962.
    """
    length = np.linalg.norm(rows, axis=1)
    at, active, price = np.zeros(rows.shape[1]), list[int](), np.zeros(0)
    for _ in range(50 * sum(rows.shape)):
        lack = (limits - rows @ at) / length
        worst = int(np.argmax(lack))
        if lack[worst] <= _ROUNDING:
            return at
        step = _activate(rows, limits, worst, at, active, price)
        if step is None:
            return None
        at, active, price = step
    return None


def _activate(
    rows: Floats, limits: Floats, new: int, at: Floats, active: list[int], price: Floats
) -> tuple[Floats, list[int], Floats] | None:
    """Move to where a violated constraint is met, letting go of those whose price falls to zero on the way."""
    own = 0.0
    while True:
        weight = np.linalg.lstsq(rows[active].T, rows[new], rcond=None)[0] if active else np.zeros(0)
        move = rows[new] - weight @ rows[active] if active else rows[new]
        falls = weight > 1e-12
        ratio = np.divide(price, weight, out=np.full(len(price), np.inf), where=falls)
        drop = int(np.argmin(ratio)) if len(ratio) else -1
        until_drop = ratio[drop] if drop >= 0 else np.inf
        squared = float(move @ move)
        free = squared > 1e-18 * float(rows[new] @ rows[new])
        until_met = (limits[new] - rows[new] @ at) / squared if free else np.inf
        by = min(until_drop, until_met)
        if not np.isfinite(by):
            return None
        at = at + by * move if free else at
        price, own = price - by * weight, own + by
        if until_met <= until_drop:
            return at, [*active, new], np.append(price, own)
        active, price = [*active[:drop], *active[drop + 1 :]], np.delete(price, drop)
