"""A leader who commits to a strategy before the other player chooses."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import PlanError
from gridlab.games.payoffs import REGRET_TOLERANCE, checked_bimatrix, normalised, payoff_range

Floats = NDArray[np.float64]

_TIE = 1e-12  # of the range of the payoffs, within which two are as good
_TOLERANCE = 1e-10  # of HiGHS, on payoffs between 0 and 1; the least that it takes


class Commitment(NamedTuple):
    """
    What a leader commits to, and what follows.

    Parameters
    ----------
    leader : ndarray, shape (n_rows,)
        Probabilities of the leader's actions.
    follower : int
        The follower's action, which is a best reply.
    leader_payoff, follower_payoff : float
        What each expects.
    """

    leader: Floats
    follower: int
    leader_payoff: float
    follower_payoff: float


def stackelberg(A: ArrayLike, B: ArrayLike, *, pure: bool = False) -> Commitment:
    r"""
    The best strategy to commit to, where the follower sees it and replies to it.

    For each action :math:`j` of the follower a linear programme finds the best commitment to which it is a reply,

    .. math::
        \max_x \; x' A_j, \qquad x' B_j \ge x' B_k \text{ for all } k, \quad \textstyle\sum_i x_i = 1, \quad x \ge 0,

    and the best of these is the answer: the strong equilibrium, in which the follower breaks ties for the leader, as it
    would if the leader gave it a hair more. An action that is no best reply to any commitment has no such programme,
    and only such an action is left out, or one whose payoffs cannot pass what the leader has already.

    Parameters
    ----------
    A, B : array_like, shape (n_rows, n_columns)
        Payoffs of the leader, who chooses the row, and of the follower.
    pure : bool
        Whether the leader can only commit to a single action.

    Returns
    -------
    Commitment
        Of several as good the first found, by the follower's actions in order of the leader's greatest payoff. The
        follower's regret is at most 1e-9 of the range of its payoffs, and 0 up to rounding as a rule.

    Raises
    ------
    DataError
        If `A` and `B` are not tables of one shape with two rows and columns or more, or a payoff is not finite.
    PlanError
        If HiGHS finds no commitment whose follower has a regret of at most 1e-9 of the range.

    References
    ----------
    .. [1] V. Conitzer and T. Sandholm, "Computing the optimal strategy to commit to," Proc. 7th ACM Conf. Electronic
       Commerce, 2006, doi:10.1145/1134707.1134717.

    Examples
    --------
    The second row never pays in a simultaneous game, where the leader has 2; the threat of it is worth 1.5.

    >>> stackelberg([[2, 4], [1, 3]], [[1, 0], [0, 1]])
    Commitment(leader=array([0.5, 0.5]), follower=1, leader_payoff=3.5, follower_payoff=0.5)
    >>> stackelberg([[2, 4], [1, 3]], [[1, 0], [0, 1]], pure=True)
    Commitment(leader=array([0., 1.]), follower=1, leader_payoff=3.0, follower_payoff=1.0)
    """
    A, B = checked_bimatrix(A, B)
    if pure:
        return _pure(A, B)
    best, enough = None, -np.inf
    for reply in np.argsort(-A.max(axis=0), kind="stable"):
        if A[:, reply].max() <= enough:
            break
        found = _commitment(A, B, int(reply))
        if found is not None and found.leader_payoff > enough:
            best, enough = found, found.leader_payoff + _TIE * payoff_range(A)
    if best is None:
        raise PlanError(
            f"no commitment gives a follower's regret within {REGRET_TOLERANCE:g} of the range: scale the payoffs"
        )
    return best


def _pure(A: Floats, B: Floats) -> Commitment:
    """The best single action to commit to."""
    replies = B.max(axis=1, keepdims=True) - B <= _TIE * payoff_range(B)
    row, reply = np.unravel_index(np.argmax(np.where(replies, A, -np.inf)), A.shape)
    leader = np.zeros(len(A))
    leader[row] = 1.0
    return Commitment(leader, int(reply), float(A[row, reply]), float(B[row, reply]))


def _commitment(A: Floats, B: Floats, reply: int) -> Commitment | None:
    """The best commitment to which an action is a reply, if there is one."""
    own, lead = normalised(A[:, [reply]])[:, 0], normalised(B)
    better = np.delete(lead, reply, axis=1).T - lead[:, reply]  # of each other action, by the leader's row
    others = better[(better > _TIE).any(axis=1)]
    if (others > _TIE).all(axis=1).any():
        return None
    leader = _most(own, others) if len(others) else np.eye(len(A))[np.argmax(own)]
    if leader is None:
        return None
    if (others @ leader).max(initial=0.0) > _TIE:
        leader = _within(leader, others)
    if (others @ leader).max(initial=0.0) > _TIE:
        return None
    expected = leader @ A[:, reply], leader @ B[:, reply]
    return Commitment(leader, reply, float(expected[0]), float(expected[1]))


def _within(leader: Floats, others: Floats) -> Floats:
    """
    A commitment that HiGHS takes for one within its tolerance, moved to where the follower loses least by the reply.

    It is moved no farther than to where the reply is the best; where it never is, the loss that is left says so.
    """
    slack = np.column_stack(
        [others + 1.0, -np.ones(len(others))]
    )  # losses lie between -1 and 1: none below 0 like this
    least = _most(np.r_[np.zeros(len(leader)), -1.0], slack, np.r_[np.ones(len(leader)), 0.0])
    safest = leader if least is None else least[:-1]
    missed, spare = (others @ leader).max(), -(others @ safest).max()
    share = missed / (missed + spare) if spare > 0 else 1.0
    return np.asarray(leader + share * (safest - leader))


def _most(own: Floats, others: Floats, total: Floats | None = None) -> Floats | None:
    """
    What is not negative, has `others` at most 0, `total` 1 and the greatest `own`; None if there is none.

    All of it adds up to the total when none is given.
    """
    import highspy

    n_rows, n_columns = len(others) + 1, len(own)
    rows = np.vstack([np.ones(n_columns) if total is None else total, others])
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = n_columns, n_rows
    model.col_cost_, model.col_lower_, model.col_upper_ = -own, np.zeros(n_columns), np.full(n_columns, np.inf)
    model.row_lower_ = np.r_[1.0, np.full(n_rows - 1, -np.inf)]
    model.row_upper_ = np.r_[1.0, np.zeros(n_rows - 1)]
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.arange(n_rows + 1) * n_columns
    model.a_matrix_.index_, model.a_matrix_.value_ = np.tile(np.arange(n_columns), n_rows), rows.ravel()
    highs = _solved(model)
    status = highs.getModelStatus()
    if status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
        return None
    if status != highspy.HighsModelStatus.kOptimal:
        raise PlanError(f"HiGHS stopped at a commitment with status {highs.modelStatusToString(status)}: scale payoffs")
    return _on_its_basis(highs, rows)


def _solved(model: Any) -> Any:
    """HiGHS, after the simplex method at its least tolerances."""
    import highspy

    highs = highspy.Highs()
    options = {"output_flag": False, "threads": 1, "solver": "simplex", "primal_feasibility_tolerance": _TOLERANCE}
    for name, value in (options | {"dual_feasibility_tolerance": _TOLERANCE}).items():
        highs.setOptionValue(name, value)
    highs.passModel(model)
    highs.run()
    return highs


def _on_its_basis(highs: Any, rows: Floats) -> Floats:
    """The answer to rounding: the equations of the rows that bind, solved for the columns that are not at zero."""
    import highspy

    basic, basis = highspy.HighsBasisStatus.kBasic, highs.getBasis()
    columns = np.array([status == basic for status in basis.col_status])
    binding = np.array([status != basic for status in basis.row_status])
    answer = np.array(highs.getSolution().col_value)
    equations, sides = rows[np.ix_(binding, columns)], np.eye(len(rows))[0][binding]
    if equations.shape[0] == equations.shape[1] and np.linalg.cond(equations) < 1 / REGRET_TOLERANCE:
        exact = np.zeros(len(answer))
        exact[columns] = np.linalg.solve(equations, sides)
        answer = exact if exact.min() > -REGRET_TOLERANCE else answer
    answer = np.maximum(answer, 0.0)
    return np.asarray(answer / (rows[0] @ answer))
