"""
Quadratic programmes as arrays: the residual of an answer, by its own optimality conditions, and exact answers.

An interior point stops some digits short of the optimum. From there the active sets find the optimum to rounding.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_NEAR = 1e-6  # slack within which a row of an answer of a solver may be active
_ACTIVE = 1e-10  # slack within which a row of a corrected answer is
_ROUNDS = 10  # of corrections, by row and column
_ROUNDING = 1e-14  # by which a row may be missed without being mended
_REACH = 1e3  # of what is missed, within which rows may be met when it is mended
_ENOUGH = 1e-10  # residual at which no other is tried
_SAFE = 1e-12  # of the greatest curvature, below which a gradient is as good as none
_LONG = 1e3  # of a solution of nearly singular equations, which is better sought as the shortest
_RANK = 1e-10  # eigenvalue of a scaled curvature, as good as none
_LEVEL = 1e-14  # of a step, by which it may approach a row and go along it
_FLAT = 1e-18  # of the greatest curvature, as good as none
_SINGULAR = 1e-13  # share of the greatest singular value that is as good as zero
_DONE = 1e-12  # residual at which nothing is left to correct
_HEDGED = 1e-5  # of the gradient before terms cancel, below which what is left of it is rounding


class _Way(NamedTuple):
    """How a step is sought: as the shortest, which is slow, and the part of it by which it may leave rows held."""

    shortest: bool
    leave: float


_PULLS = (
    1e-6,
    1e-8,
    1e-10,
    1e-11,
    1e-12,
    1e-14,
)  # of the curvature, by which a point is held where it is, the next one weaker
_HOLDS = 6  # points held with each pull


_WAYS = (_Way(False, 1e-6), _Way(True, 1e-6), _Way(True, 1e-4))  # tried one after the other


class Quadratic(NamedTuple):
    """Least ``x' hessian x / 2 + linear @ x`` with ``equal x = sums`` and ``most x <= sides``; a side may be inf."""

    hessian: Floats
    linear: Floats
    equal: Floats
    sums: Floats
    most: Floats
    sides: Floats

    def value(self, x: Floats) -> float:
        """What is least."""
        return float(x @ self.hessian @ x / 2 + self.linear @ x)


class System(Protocol):
    """Anything with rows ``equal x = sums`` and ``most x <= sides``."""

    @property
    def equal(self) -> Floats: ...  # noqa: D102
    @property
    def sums(self) -> Floats: ...  # noqa: D102
    @property
    def most(self) -> Floats: ...  # noqa: D102
    @property
    def sides(self) -> Floats: ...  # noqa: D102


class Residual(NamedTuple):
    """
    How far an answer is from its optimality conditions.

    Parameters
    ----------
    primal : float
        Greatest violation of a row.
    dual : float
        What is left of the gradient when the rows that bind have taken what they can, relative to its greatest term.
    """

    primal: float
    dual: float


def residual(quadratic: Quadratic, x: Floats) -> Residual:
    r"""
    How far an answer is from the conditions of Karush, Kuhn and Tucker.

    .. math::
        \min_{y, z \ge 0} \; \lVert H x + c + E^T y + \textstyle\sum_{i \in A} z_i m_i \rVert,

    where :math:`A` are the rows of :math:`M` that bind at :math:`x`: at 0 no direction from :math:`x` gains.

    Parameters
    ----------
    quadratic : Quadratic
        The programme.
    x : ndarray, shape (n,)
        The answer.

    Returns
    -------
    Residual
    """
    slack = quadratic.sides - quadratic.most @ x
    primal = max(np.abs(quadratic.equal @ x - quadratic.sums).max(initial=0.0), -slack.min(initial=0.0))
    left, _ = _left(quadratic, x, np.flatnonzero(slack <= _ACTIVE))
    return Residual(float(primal), float(np.linalg.norm(left)))


def gap(quadratic: Quadratic, x: Floats, widths: Floats) -> float:
    r"""
    The most by which an answer can be above the least, as a share of the objective's terms before they cancel.

    .. math::
        f(x) - f(x^*) \le z' (s - M x) + \textstyle\sum_i |r_i| \, d_i, \qquad r = H x + c + E'y + M'z, \; z \ge 0,

    as :math:`f` is convex, where :math:`d_i` is how far apart two feasible points can be. Where assets hedge each other
    almost wholly, the gradient is what is left of much larger terms, and this says more than its size.

    Parameters
    ----------
    quadratic : Quadratic
        The programme.
    x : ndarray, shape (n,)
        The answer, which keeps to the rows.
    widths : ndarray, shape (n,)
        How far from each other feasible points can be; infinite where it is not known, and then so is the gap.

    Returns
    -------
    float
    """
    slack = quadratic.sides - quadratic.most @ x
    binding = np.flatnonzero(slack <= _ACTIVE)
    left, price = _left(quadratic, x, binding)
    unit = _gradient_size(quadratic, x)
    lost = price @ np.maximum(slack[binding], 0.0) + np.abs(left) @ np.where(left == 0.0, 0.0, widths)
    terms = np.abs(x) @ np.abs(quadratic.hessian) @ np.abs(x) / 2 + np.abs(quadratic.linear) @ np.abs(x)
    return float(unit * lost / terms) if terms > 0 else 0.0


def corrected(quadratic: Quadratic, x: Floats) -> Floats:
    """
    The optimum, from a point near it or at least feasible, by active sets.

    Each step goes to the least point of the rows that hold with a price, as far as the other rows allow; where these
    allow nothing it goes along the steepest way that the rows allow, so that every step gains.

    Parameters
    ----------
    quadratic : Quadratic
        A convex programme, with numbers of the order of 1.
    x : ndarray, shape (n,)
        Where to begin.

    Returns
    -------
    ndarray, shape (n,)
        The optimum, or as near as the steps came: `residual` says.

    References
    ----------
    .. [1] J. Nocedal and S. J. Wright, "Numerical optimization," 2nd ed., Springer, 2006, section 16.5,
       doi:10.1007/978-0-387-40065-5.
    """
    answers = []
    for way in _WAYS if _is_definite(quadratic) else _WAYS[1:]:
        answer = _by_active_sets(quadratic, x, way)
        answers.append((max(residual(quadratic, answer)), answer))
        if answers[-1][0] <= _ENOUGH:
            return answer
    return _pulled(quadratic, *min(answers, key=lambda found: found[0]))


def _pulled(quadratic: Quadratic, left: float, x: Floats) -> Floats:
    """
    The optimum where some directions have next to no curvature, by points that are held to the one before.

    Each is the optimum of the programme with a pull to the one before it, which gives every direction a curvature. The
    points approach an optimum of the programme itself (Rockafellar, SIAM J. Control Optim. 14(5), 1976,
    doi:10.1137/0314056), the faster the weaker the pull.
    """
    curved = np.diag(quadratic.hessian)
    greatest = curved.max(initial=0.0)
    metric = np.where(curved > _FLAT * greatest, curved, greatest or 1.0)
    best, point = (left, x), x
    for pull in _PULLS:
        held = quadratic._replace(hessian=quadratic.hessian + pull * np.diag(metric))
        for _ in range(_HOLDS):
            point = _by_active_sets(held._replace(linear=quadratic.linear - pull * metric * point), point, _WAYS[0])
            best = min(best, (max(residual(quadratic, point)), point), key=lambda found: found[0])
            if best[0] <= _ENOUGH:
                return best[1]
    return best[1]


def mended(quadratic: System, x: Floats) -> Floats:
    """
    The nearest point that keeps to the rows.

    Parameters
    ----------
    quadratic : System
        Rows: a programme, or limits alone.
    x : ndarray, shape (n,)
        A point that misses them by little.

    Returns
    -------
    ndarray, shape (n,)
        A point that keeps to them within rounding; as near as the steps came where there is none.

    References
    ----------
    .. [1] C. L. Lawson and R. J. Hanson, "Solving least squares problems," SIAM, 1995, ch. 23, problem LDP,
       doi:10.1137/1.9781611971217.
    """
    from scipy.optimize import nnls

    for _ in range(_ROUNDS):
        slack, off = quadratic.sides - quadratic.most @ x, quadratic.sums - quadratic.equal @ x
        missed = max(-slack.min(initial=0.0), np.abs(off).max(initial=0.0))
        if missed <= _ROUNDING:
            break
        near = slack <= _REACH * missed
        rows = np.vstack([-quadratic.most[near], quadratic.equal, -quadratic.equal])
        sides = np.concatenate([-slack[near], off, -off]) / missed
        price, _ = nnls(np.vstack([rows.T, sides]), np.append(np.zeros(len(x)), 1.0))
        left = np.append(rows.T @ price, sides @ price - 1.0)
        if abs(left[-1]) <= _DONE:
            break
        x = x - missed * left[:-1] / left[-1]
    return x


def _is_definite(quadratic: Quadratic) -> bool:
    """Whether what has a curvature at all has one in every direction."""
    curved = np.diag(quadratic.hessian)
    chosen = curved > 0
    by = np.sqrt(curved[chosen])
    scaled = quadratic.hessian[np.ix_(chosen, chosen)] / by / by[:, np.newaxis]
    return bool(np.linalg.eigvalsh(scaled).min(initial=1.0) > _RANK)


def _by_active_sets(quadratic: Quadratic, x: Floats, way: _Way) -> Floats:
    """As `corrected`."""
    x, near, before = mended(quadratic, x), _NEAR, np.inf
    for _ in range(_ROUNDS * sum(quadratic.most.shape)):
        binding = np.flatnonzero(quadratic.sides - quadratic.most @ x <= near)
        left, price = _left(quadratic, x, binding)
        size = np.abs(left).max(initial=0.0)
        if near == _ACTIVE and size <= _DONE:
            break
        step = _step(quadratic, x, binding, price > 0, way)
        if near == _ACTIVE and np.abs(step).max(initial=0.0) <= _DONE and size > before / 2:
            step = _down(quadratic, x, -left)
            if np.abs(step).max(initial=0.0) <= _ROUNDING:
                break
        x, near, before = x + step, _ACTIVE, size
    return mended(quadratic, x)


def _left(quadratic: Quadratic, x: Floats, binding: Ints) -> tuple[Floats, Floats]:
    """What binding rows leave of the gradient, relative to its greatest term, and their prices."""
    from scipy.optimize import nnls

    gradient = quadratic.hessian @ x + quadratic.linear
    size = _gradient_size(quadratic, x)
    if size == 0.0 or len(binding) + len(quadratic.equal) == 0:
        return gradient / (size or 1.0), np.zeros(len(binding))
    rows = np.vstack([quadratic.equal, -quadratic.equal, quadratic.most[binding]]).T
    try:
        price, _ = nnls(rows, -gradient / size)
    except RuntimeError:  # it did not end: no price is known, and the residual says so
        price = np.zeros(rows.shape[1])
    return gradient / size + rows @ price, price[2 * len(quadratic.equal) :]


def _gradient_size(quadratic: Quadratic, x: Floats) -> float:
    """What a gradient is relative to: its greatest term, or a share of it before it cancels."""
    terms = np.abs(quadratic.hessian) @ np.abs(x)
    least = max(_HEDGED * terms.max(initial=0.0), _SAFE * np.abs(quadratic.hessian).max(initial=0.0))
    curved = np.abs(quadratic.hessian @ x).max(initial=0.0)
    return float(max(curved, np.abs(quadratic.linear).max(initial=0.0), least))


def _step(quadratic: Quadratic, x: Floats, binding: Ints, priced: Flags, way: _Way) -> Floats:
    """The step to the least point of the rows with a price and of those that bind in its way, as far as it goes."""
    held = priced.copy()
    for _ in binding:
        step = _to_the_least(quadratic, x, binding[held], way)
        ahead = quadratic.most[binding] @ step
        in_way = (ahead > _LEVEL * np.abs(step).max(initial=0.0)) & ~held
        if not in_way.any():
            break
        held |= in_way
    else:
        step = _to_the_least(quadratic, x, binding[held], way)
    return step * _allowed(quadratic, x, step, binding[held])


def _to_the_least(quadratic: Quadratic, x: Floats, held: Ints, way: _Way) -> Floats:
    """The shortest step to a least point of the rows that are held, which mends what these miss; none without one."""
    rows = np.vstack([quadratic.equal, quadratic.most[held]])
    missed = np.concatenate([quadratic.sums, quadratic.sides[held]]) - rows @ x
    curved = np.diag(quadratic.hessian)
    by = 1 / np.sqrt(np.where(curved > _FLAT * curved.max(initial=0.0), curved, 1.0))
    rows = rows * by
    norm = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
    rows, missed = rows / norm[:, np.newaxis], missed / norm
    system = np.block([[quadratic.hessian * by * by[:, np.newaxis], rows.T], [rows, np.zeros((len(rows),) * 2)]])
    gradient = (quadratic.hessian @ x + quadratic.linear) * by
    aim = np.concatenate([-gradient, missed])
    found = _solution(system, aim, way.shortest)
    step, off = found[: len(x)], np.abs(missed).max(initial=0.0)
    keeps = np.abs(rows @ step - missed).max(initial=0.0) <= way.leave * (off + np.abs(step).max(initial=0.0))
    return np.asarray(step * by) if keeps else np.zeros_like(x)


def _solution(system: Floats, aim: Floats, shortest: bool) -> Floats:
    """The solution of linear equations; the shortest of the nearest where there are several or none, or it is asked."""
    if not shortest:
        try:
            found = np.linalg.solve(system, aim)
        except np.linalg.LinAlgError:  # rows that depend on each other
            found = np.full_like(aim, np.inf)
        if np.abs(found).max(initial=0.0) < _LONG:
            return np.asarray(found)
    return np.asarray(np.linalg.lstsq(system, aim, rcond=_SINGULAR)[0])


def _allowed(quadratic: Quadratic, x: Floats, step: Floats, held: Ints) -> float:
    """The share of a step, at most 1, that the rows which are not held allow."""
    slack, ahead = quadratic.sides - quadratic.most @ x, quadratic.most @ step
    blocks = ahead > _LEVEL * np.abs(step).max(initial=0.0)
    blocks[held] = False
    return float(np.minimum(1.0, np.maximum(slack[blocks], 0.0) / ahead[blocks]).min(initial=1.0))


def _down(quadratic: Quadratic, x: Floats, way: Floats) -> Floats:
    """A step down the steepest way that the rows allow: to the least on it, or to the row that ends it."""
    slope = (quadratic.hessian @ x + quadratic.linear) @ way
    curve = way @ quadratic.hessian @ way
    slack, ahead = quadratic.sides - quadratic.most @ x, quadratic.most @ way
    ends = (ahead > _DONE * np.abs(way).max(initial=0.0)) & (slack > _ACTIVE)
    share = min(-slope / curve if curve > 0 else np.inf, (slack[ends] / ahead[ends]).min(initial=np.inf))
    return way * share if np.isfinite(share) and slope < 0 else np.zeros_like(way)
