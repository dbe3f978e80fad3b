"""
Programmes: written once in cvxpy, compiled once, solved many times, every answer certified.

A `Programme` is a cvxpy problem and the names of what goes in and comes out. A `Session` keeps one HiGHS model of it
between solves: new parameters change its costs and bounds, the dual simplex starts from the basis of the answer
before, and the answer counts only if the residuals and the gap, computed here from the programme's own arrays, say that
it is the optimum. Otherwise HiGHS solves it cold, then Clarabel, then SCS, then a heuristic where there is one. The
conic solvers' answers to a linear programme need the same certificate; those to programmes with cones or squares count
by their status and by the limits they keep to.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError
from gridlab.programme.canonical import Canonical, Data, canonical

Floats = NDArray[np.float64]
Heuristic = Callable[[Mapping[str, Any]], Mapping[str, Floats]]
Solvers = Mapping[str, Mapping[str, Any]]

SOLVERS = ("HIGHS", "HIGHS_COLD", "CLARABEL", "SCS", "HEURISTIC")
"""Who may have answered, in the order in which they are asked; whole numbers only the first and the last can answer."""

MOST_NODES = 5_000
"""Nodes of a search for whole numbers, by default of those who have a heuristic to fall back on."""

TOLERANCE = 1e-6
"""Greatest residual and relative gap of an answer that counts."""

_HIGHS = {"output_flag": False, "threads": 1, "simplex_strategy": 1, "mip_rel_gap": 1e-9, "mip_abs_gap": 1e-9}
# the relaxations are so close to the optimum that heuristics for a first answer cost more than they save
_HIGHS |= {"mip_heuristic_effort": 0.0}
_HIGHS |= {f"mip_heuristic_run_{name}": False for name in ("rins", "rens", "root_reduced_cost", "feasibility_jump")}
_MISSED = 1e-4  # by which an answer of a conic solver may miss a limit
_CONIC = {"SCS": {"eps_abs": 1e-7, "eps_rel": 1e-7, "max_iters": 100_000}, "CLARABEL": {}}
_REFUTED = "its certificate is off by"
_ASKING = Lock()  # a cvxpy problem holds the data of one solve at a time


@dataclass(frozen=True)
class Programme:
    """
    A cvxpy problem that is compiled once.

    Parameters
    ----------
    problem : cvxpy.Problem
        Maximises; it follows the rules of disciplined parametrised programming.
    parameters : mapping of str to cvxpy.Parameter
        All of its parameters.
    variables : mapping of str to cvxpy.Variable
        The variables that are read off.
    limits : mapping of str to cvxpy.Constraint
        The constraints whose shadow prices are of interest.

    Examples
    --------
    >>> import cvxpy as cp
    >>> price, power = cp.Parameter(2), cp.Variable(2)
    >>> limit = power <= 3
    >>> programme = Programme(
    ...     cp.Problem(cp.Maximize(price @ power), [limit, power >= 0]),
    ...     parameters={"price": price},
    ...     variables={"power": power},
    ...     limits={"power": limit},
    ... )
    >>> answer = Session(programme).solve({"price": [5.0, -1.0]})
    >>> answer.values["power"].tolist(), answer.objective, answer.shadow_prices["power"].tolist(), answer.solver
    ([3.0, 0.0], 15.0, [5.0, 0.0], 'HIGHS')
    """

    problem: Any
    parameters: Mapping[str, Any]
    variables: Mapping[str, Any]
    limits: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def canonical(self) -> Canonical | None:
        """The linear programme as a function of the parameters; None for one with cones or squares."""
        return canonical(self.problem, self.parameters) if self.problem.objective.expr.is_pwl() else None


@dataclass(frozen=True)
class Answer:
    """
    An optimal answer.

    Parameters
    ----------
    values : mapping of str to ndarray
        The programme's variables.
    objective : float
        What was maximised. [$]
    solver : str
        Which of `SOLVERS` answered.
    """

    values: Mapping[str, Floats]
    objective: float
    solver: str
    _price: Callable[[], Mapping[str, Floats]]

    @cached_property
    def shadow_prices(self) -> Mapping[str, Floats]:
        """What the objective gains for each unit by which a limit is loosened, by limit; NaN where it is not known."""
        return self._price()


class _Point(NamedTuple):
    """An answer of HiGHS: the columns, and the prices of the rows, which are zero where columns are whole."""

    x: Floats
    y: Floats


class Session:
    """
    One programme, solved again and again.

    Parameters
    ----------
    programme : Programme
        What is solved.
    heuristic : callable, optional
        The parameters' values to feasible values of the variables, for when no solver answers.
    most_nodes : int, optional
        Nodes after which a search for whole numbers is given up, and the heuristic asked.
    solvers : mapping of str to mapping, optional
        Who is asked, of HIGHS, CLARABEL and SCS, each with its own options; HIGHS first where it is among them, then
        the others in the order given. When omitted all of them.
    tolerance : float
        Greatest residual and relative gap of an answer of HiGHS that counts; of an answer of a conic solver to a linear
        programme it is this or `TOLERANCE`, the greater.

    Notes
    -----
    `counts` says how often each solver answered, and `refuted` how many answers failed their certificate.
    """

    def __init__(
        self,
        programme: Programme,
        *,
        heuristic: Heuristic | None = None,
        most_nodes: int | None = None,
        solvers: Solvers | None = None,
        tolerance: float = TOLERANCE,
    ) -> None:
        if not set(solvers or ()) <= {SOLVERS[0], *_CONIC}:
            raise DataError(f"solvers must be of HIGHS, CLARABEL and SCS, got {', '.join(solvers or ())}")
        self.programme = programme
        self._most_nodes = most_nodes
        self._solvers = solvers
        self._tolerance = tolerance
        self.counts: Counter[str] = Counter()
        self._heuristic = heuristic
        self._highs: Any = None
        self._coefficients: Floats | None = None

    def solve(self, data: Mapping[str, ArrayLike]) -> Answer:
        """
        The optimum for one set of parameters.

        Parameters
        ----------
        data : mapping of str to array_like
            A value for each of the programme's parameters.

        Returns
        -------
        Answer

        Raises
        ------
        DataError
            If a parameter is not finite.
        PlanError
            If the programme has no feasible or no bounded answer, or no solver finds one.
        """
        asks_highs = self._solvers is None or SOLVERS[0] in self._solvers
        form = self.programme.canonical
        answer = self._by_highs(form, data) if form is not None and asks_highs else None
        if answer is None:
            answer = self._by_others(data, form)
        self.counts[answer.solver] += 1
        return answer

    def _by_highs(self, form: Canonical, data: Mapping[str, ArrayLike]) -> Answer | None:
        """The answer of HiGHS, from the basis before and if need be from none; None if neither is certified."""
        lp = form.data(form.vector(data))
        self._load(form, lp)
        for solver in SOLVERS[:2]:
            point = self._run(form, lp, believed=solver == "HIGHS_COLD" or form.integer.size > 0)
            if point is not None:
                return _answer(self.programme, form, lp, point, solver)
            self.counts["refuted"] += 1
            self._highs.clearSolver()
            if form.integer.size:
                break
        return None

    def _load(self, form: Canonical, lp: Data) -> None:
        """Bring the model up to date; a new matrix is a new model that begins with the basis of the old one."""
        if self._coefficients is None or not (
            form.fixed_coefficients or np.array_equal(self._coefficients, lp.coefficients)
        ):
            before, self._highs, self._coefficients = self._highs, _model(form, lp), lp.coefficients
            if self._most_nodes is not None:
                self._highs.setOptionValue("mip_max_nodes", self._most_nodes)
            for name, value in (self._solvers or {}).get(SOLVERS[0], {}).items():
                self._highs.setOptionValue(name, value)
            if before is not None and not form.integer.size:
                self._highs.setBasis(before.getBasis())
            return
        columns, rows = form.column_numbers, form.row_numbers
        self._highs.changeColsCost(len(columns), columns, lp.cost)
        self._highs.changeColsBounds(len(columns), columns, lp.lower, lp.upper)
        self._highs.changeRowsBounds(len(rows), rows, lp.row_lower, lp.row_upper)

    def _run(self, form: Canonical, lp: Data, *, believed: bool) -> _Point | None:
        """What HiGHS answers, if it is certified; that there is no answer is believed only of a cold solve."""
        import highspy

        self._highs.run()
        status = self._highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            if believed and status in (
                highspy.HighsModelStatus.kInfeasible,
                highspy.HighsModelStatus.kUnboundedOrInfeasible,
            ):
                raise PlanError("the programme is infeasible: loosen one of its limits")
            if believed and status == highspy.HighsModelStatus.kUnbounded:
                raise PlanError("the programme is unbounded: give it the limits that it lacks")
            return None
        solution = self._highs.getSolution()
        point = _Point(np.array(solution.col_value), np.array(solution.row_dual))
        gap = self._highs.getInfo().mip_gap if form.integer.size else None
        return point if _certified(form, lp, point, gap, self._tolerance) else None

    def _by_others(self, data: Mapping[str, ArrayLike], form: Canonical | None) -> Answer:
        """The answer of the conic solvers by cvxpy, or of the heuristic. A cone's own solver is SCS."""
        said = []
        conic = ("SCS", "CLARABEL") if form is None else ("CLARABEL", "SCS")
        asked = self._solvers or {solver: {} for solver in conic}
        for solver in () if form is not None and form.integer.size else [name for name in asked if name in _CONIC]:
            tolerance = max(self._tolerance, TOLERANCE)
            answer, why = _asked_by_cvxpy(self.programme, data, solver, asked[solver], form, tolerance)
            self.counts["refuted"] += why.startswith(_REFUTED)
            if answer is not None:
                return answer
            said.append(f"{solver}: {why}")
        if self._heuristic is None:
            said = said or ["HIGHS found no whole numbers" if form and form.integer.size else "HIGHS is not certified"]
            raise PlanError(f"no solver found the optimum ({'; '.join(said)}): check the size of the numbers")
        values = self._heuristic(data)
        return Answer(values, float("nan"), "HEURISTIC", lambda: {})


def _answer(programme: Programme, form: Canonical, lp: Data, point: _Point, solver: str) -> Answer:
    """The variables that are read off an answer to a linear programme."""
    values = {
        name: _shaped(point.x[form.variables[variable.id]], variable) for name, variable in programme.variables.items()
    }
    price = partial(_shadow_prices, programme, form, lp, point)
    return Answer(values, -float(lp.cost @ point.x) - lp.offset, solver, price)


def _shaped(value: Floats, variable: Any) -> Floats:
    return value if len(variable.shape) == 1 else value.reshape(variable.shape, order="F")


def _model(form: Canonical, lp: Data) -> Any:
    """A HiGHS model of a linear programme."""
    import highspy

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = form.n_columns, len(form.kept)
    model.col_cost_, model.col_lower_, model.col_upper_ = lp.cost, lp.lower, lp.upper
    model.row_lower_, model.row_upper_ = lp.row_lower, lp.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = form.starts, form.rows, lp.coefficients
    if form.integer.size:
        whole = np.isin(form.column_numbers, form.integer)
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        model.integrality_ = [kinds[int(is_whole)] for is_whole in whole]
    highs = highspy.Highs()
    for name, value in _HIGHS.items():
        highs.setOptionValue(name, value)
    highs.passModel(model)
    return highs


def _certified(form: Canonical, lp: Data, point: _Point, mip_gap: float | None, tolerance: float = TOLERANCE) -> bool:
    """Whether an answer is feasible and, by its own prices, the best; whole numbers rest on HiGHS's own gap."""
    primal, dual, gap = _judged(form, lp, point)
    if mip_gap is not None:
        whole = point.x[form.integer]
        return max(primal, mip_gap, float(np.abs(whole - np.rint(whole)).max())) <= tolerance
    return max(primal, dual, gap) <= tolerance


def _judged(form: Canonical, lp: Data, point: _Point) -> tuple[float, float, float]:
    from gridlab.programme.certificate import certificate

    return certificate(form, lp, point.x, point.y)


def _certified_by_cvxpy(
    programme: Programme,
    data: Mapping[str, ArrayLike],
    solver: str,
    options: Mapping[str, Any],
    form: Canonical,
    tolerance: float,
) -> tuple[Answer | None, str]:
    """The answer of a conic solver to a linear programme if it is certified, or why there is none."""
    lp = form.data(form.vector(data))
    point, why = _conic_point(form, lp, solver, options)
    if point is None:
        return None, why
    judged = max(_judged(form, lp, point))
    if judged > tolerance:
        return None, f"{_REFUTED} {judged:.3g}"
    return _answer(programme, form, lp, point, solver), ""


def _conic_point(form: Canonical, lp: Data, solver: str, options: Mapping[str, Any]) -> tuple[_Point | None, str]:
    """A conic solver's answer to the arrays of a linear programme, with its rows' prices, or why there is none."""
    import cvxpy as cp

    x, matrix = cp.Variable(form.n_columns), form.matrix(lp).tocsr()
    floor, roof = np.isfinite(lp.row_lower) & ~form.equal, np.isfinite(lp.row_upper) & ~form.equal
    low, high = np.isfinite(lp.lower), np.isfinite(lp.upper)
    rows = [matrix[form.equal] @ x == lp.row_lower[form.equal], matrix[floor] @ x >= lp.row_lower[floor]]
    rows += [matrix[roof] @ x <= lp.row_upper[roof]]
    problem = cp.Problem(cp.Minimize(lp.cost @ x), [*rows, x[low] >= lp.lower[low], x[high] <= lp.upper[high]])
    why = _run_by_cvxpy(problem, solver, options)
    if why:
        return None, why
    y = np.zeros(len(form.kept))
    y[form.equal] -= rows[0].dual_value
    y[floor] += rows[1].dual_value
    y[roof] -= rows[2].dual_value
    return _Point(np.clip(x.value, lp.lower, lp.upper), y), ""


def _run_by_cvxpy(problem: Any, solver: str, options: Mapping[str, Any]) -> str:
    """Solve, and say why there is no answer. No warm start: an answer depends on its data alone."""
    import cvxpy as cp

    # an inaccurate answer is told by the status, and refused; of variables without bounds cvxpy takes 0 times infinity
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
        try:
            problem.solve(solver=solver, warm_start=False, **(_CONIC[solver] | dict(options)))
        except cp.SolverError as error:
            return str(error)
    if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        raise PlanError("the programme is infeasible: loosen one of its limits")
    if problem.status in (cp.UNBOUNDED, cp.UNBOUNDED_INACCURATE):
        raise PlanError("the programme is unbounded: give it the limits that it lacks")
    return "" if problem.status == cp.OPTIMAL else str(problem.status)


def _asked_by_cvxpy(
    programme: Programme,
    data: Mapping[str, ArrayLike],
    solver: str,
    options: Mapping[str, Any] = MappingProxyType({}),
    form: Canonical | None = None,
    tolerance: float = TOLERANCE,
) -> tuple[Answer | None, str]:
    """The answer of a conic solver, or why there is none; to a linear programme, if its form is given, certified."""
    if form is not None:
        return _certified_by_cvxpy(programme, data, solver, options, form, tolerance)
    with _ASKING:
        for name, parameter in programme.parameters.items():
            parameter.value = np.asarray(data[name], dtype=float)
        why = _run_by_cvxpy(programme.problem, solver, options)
        if why:
            return None, why
        missed = max(float(np.max(limit.violation(), initial=0.0)) for limit in programme.problem.constraints)
        if missed > _MISSED:
            return None, f"misses a limit by {missed:.3g}"
        values = {name: np.array(variable.value) for name, variable in programme.variables.items()}
        prices = {name: np.array(limit.dual_value) for name, limit in programme.limits.items()}
        return Answer(values, float(programme.problem.value), solver, lambda: prices), ""


def _shadow_prices(programme: Programme, form: Canonical, lp: Data, point: _Point) -> dict[str, Floats]:
    """What the objective gains for each unit by which a limit is loosened, or the right side of a balance raised."""
    if form.integer.size:
        lp, point = _fixed(form, lp, point)
    by_row = np.zeros(form.n_rows)
    by_row[form.kept] = np.where(form.equal, point.y, np.maximum(point.y, 0.0))
    reduced = lp.cost - form.matrix(lp).T @ point.y
    for sides, bound, sign in ((form.above, lp.lower, 1.0), (form.below, lp.upper, -1.0)):
        own = -lp.constant[sides.row] / sides.coefficient
        binds = np.isclose(own, bound[sides.column]) & (sign * reduced[sides.column] > 0)
        by_row[sides.row] = np.where(binds, reduced[sides.column] / sides.coefficient, 0.0)
    return {
        name: by_row[form.constraints[limit.id]].reshape(limit.shape, order="F")
        for name, limit in programme.limits.items()
        if limit.id in form.constraints
    }


def _fixed(form: Canonical, lp: Data, point: _Point) -> tuple[Data, _Point]:
    """The linear programme that is left when the whole numbers are held at their answer, solved."""
    whole = np.rint(point.x[form.integer])
    lower, upper = lp.lower.copy(), lp.upper.copy()
    lower[form.integer], upper[form.integer] = whole, whole
    held = lp._replace(lower=lower, upper=upper)
    highs = _model(replace(form, integer=form.integer[:0]), held)
    highs.run()
    solution = highs.getSolution()
    return held, _Point(np.array(solution.col_value), np.array(solution.row_dual))
