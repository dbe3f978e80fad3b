"""
A cvxpy problem as the arrays of a linear programme, each an affine function of the problem's parameters.

cvxpy derives these maps once. A new set of parameters then costs two sparse products, not a compilation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Data(NamedTuple):
    """A linear programme: least ``cost @ x`` with ``lower <= x <= upper`` and ``row_lower <= A x <= row_upper``."""

    cost: Floats
    coefficients: Floats  # of A, by columns
    lower: Floats
    upper: Floats
    row_lower: Floats
    row_upper: Floats
    offset: float
    constant: Floats  # of every row of the problem, also of those that became bounds


class Sides(NamedTuple):
    """Rows of a problem that bound a single variable from one side: ``coefficient * x[column] + h[row] >= 0``."""

    row: Ints
    column: Ints
    coefficient: Floats


@dataclass(frozen=True)
class Canonical:
    """
    The maps from a problem's parameters to its linear programme.

    Parameters
    ----------
    places : mapping of str to slice
        Where each parameter lies in the vector of all of them, which ends with a 1.
    map : sparse array
        Parameters to the costs, the constant of the objective, the constants of the rows, which end at `ends`, and the
        coefficients.
    lower, upper : ndarray
        Bounds that do not depend on the parameters.
    starts, rows : ndarray
        Columns of the matrix, compressed: where each begins, and the row of each coefficient.
    equal : ndarray
        Which of the rows are equalities.
    above, below : Sides
        Rows that bound one variable from below and from above.
    kept : ndarray
        The rows that are left.
    integer : ndarray
        The columns that are whole numbers.
    variables, constraints : mapping
        Where variables lie among the columns, and constraints among all rows, by their number in cvxpy.
    """

    places: Mapping[str, slice]
    map: Any
    ends: Ints
    lower: Floats
    upper: Floats
    starts: Ints
    rows: Ints
    equal: NDArray[np.bool_]
    above: Sides
    below: Sides
    kept: Ints
    integer: Ints
    variables: Mapping[int, slice]
    constraints: Mapping[int, slice]

    @property
    def n_rows(self) -> int:
        """Number of rows of the problem."""
        return int(self.ends[2] - self.ends[1])

    @property
    def n_columns(self) -> int:
        """Number of variables."""
        return len(self.starts) - 1

    @cached_property
    def column_numbers(self) -> NDArray[np.int32]:
        """The columns, numbered."""
        return np.arange(self.n_columns, dtype=np.int32)

    @cached_property
    def row_numbers(self) -> NDArray[np.int32]:
        """The rows that are left, numbered."""
        return np.arange(len(self.kept), dtype=np.int32)

    @cached_property
    def fixed_coefficients(self) -> bool:
        """Whether the matrix is the same whatever the parameters."""
        return bool(self.map[self.ends[-1] :, :-1].nnz == 0)

    def vector(self, data: Mapping[str, ArrayLike]) -> Floats:
        """The parameters as one vector."""
        vector = np.empty(self.map.shape[1])
        vector[-1] = 1.0
        for name, place in self.places.items():
            value = data[name]
            vector[place] = np.ravel(value, order="F") if np.ndim(value) > 1 else value
        if not np.isfinite(vector).all():
            bad = next(name for name, place in self.places.items() if not np.isfinite(vector[place]).all())
            raise DataError(f"{bad} of the programme must be finite, got {np.asarray(data[bad])}")
        return vector

    def data(self, vector: Floats) -> Data:
        """The linear programme of one vector of parameters."""
        from gridlab.programme.canonical_core import assemble

        n_columns, at_rows, at_matrix = self.ends
        entries, lower, upper, row_lower, row_upper = assemble(
            *self._maps, vector, at_rows, self.lower, self.upper, self.kept, self.equal
        )
        cost, constant, coefficients = entries[:n_columns], entries[at_rows:at_matrix], entries[at_matrix:]
        return Data(cost, coefficients, lower, upper, row_lower, row_upper, float(entries[n_columns]), constant)

    @cached_property
    def _maps(self) -> tuple[Any, ...]:
        """The map and the sides as plain arrays."""
        return self.map.indptr, self.map.indices, self.map.data, *self.above, *self.below

    def matrix(self, lp: Data) -> Any:
        """The matrix of the rows that are left, shape (n_rows, n_columns)."""
        return sp.csc_array((lp.coefficients, self.rows, self.starts), shape=(len(self.kept), self.n_columns))


def canonical(problem: Any, parameters: Mapping[str, Any]) -> Canonical | None:
    """
    Compile a cvxpy problem.

    Parameters
    ----------
    problem : cvxpy.Problem
        A problem that follows the rules of disciplined parametrised programming.
    parameters : mapping of str to cvxpy.Parameter
        All of its parameters, by name.

    Returns
    -------
    Canonical or None
        None where the problem has cones and is not a linear programme.
    """
    import cvxpy as cp

    for parameter in parameters.values():
        parameter.value = np.zeros(parameter.shape)
    cones = problem.get_problem_data(cp.SCS if _has_cones(problem) else cp.HIGHS)
    compiled, inverses = cones[0]["param_prob"], cones[2]
    if compiled.cone_dims.soc or compiled.cone_dims.exp or compiled.cone_dims.psd or compiled.cone_dims.p3d:
        return None
    if compiled.lb_tensor is not None or compiled.ub_tensor is not None:
        raise DataError("bounds of a variable depend on a parameter: write them as constraints of the problem")
    n_columns, n_rows, n_equal = compiled.x.size, compiled.constr_size, compiled.cone_dims.zero
    entries = _entries(compiled.A.tocoo(), n_rows)
    above, below, kept = _sides(entries.where(entries.column < n_columns), n_rows, n_equal)
    matrix = entries.where((entries.column < n_columns) & np.isin(entries.row, kept))
    constants = entries.where(entries.column == n_columns)
    side_map = (
        sp.csr_array(
            sp.coo_array(
                (np.ones(len(constants.row)), (constants.row, np.arange(len(constants.row)))),
                (n_rows, len(constants.row)),
            )
        )
        @ constants.map
    )
    return Canonical(
        places={name: _place(compiled, parameter) for name, parameter in parameters.items()},
        map=sp.csr_array(sp.vstack([compiled.q, side_map, matrix.map])),
        ends=np.cumsum([n_columns, 1, compiled.constr_size]),
        starts=np.concatenate([[0], np.cumsum(np.bincount(matrix.column, minlength=n_columns))]),
        rows=np.searchsorted(kept, matrix.row),
        equal=kept < n_equal,
        above=above,
        below=below,
        kept=kept,
        lower=_bounds(compiled, compiled.lower_bounds, -np.inf, 0.0),
        upper=_bounds(compiled, compiled.upper_bounds, np.inf, 1.0),
        integer=np.union1d(_flagged(compiled.x, "integer"), _flagged(compiled.x, "boolean")),
        variables={i: slice(at, at + compiled.id_to_var[i].size) for i, at in compiled.var_id_to_col.items()},
        constraints=dict(_constraints(problem, compiled, inverses)),
    )


def _has_cones(problem: Any) -> bool:
    return not (problem.is_lp() or problem.is_mixed_integer())


def _place(compiled: Any, parameter: Any) -> slice:
    if parameter.id not in compiled.param_id_to_col:
        return slice(0, 0)
    start = compiled.param_id_to_col[parameter.id]
    return slice(start, start + parameter.size)


def _bounds(compiled: Any, stated: Floats | None, none: float, binary: float) -> Floats:
    bounds = np.full(compiled.x.size, none) if stated is None else np.array(stated, dtype=float)
    bounds[_flagged(compiled.x, "boolean")] = binary
    return bounds


def _flagged(variable: Any, kind: str) -> Ints:
    """The columns that are of a kind; cvxpy lists them as tuples of one index."""
    chosen = variable.attributes[kind]
    return np.array([index[0] for index in chosen] if chosen else [], dtype=np.int64)


class _Entries(NamedTuple):
    """The entries of a matrix that are not always zero, by columns, and the map from the parameters to their values."""

    row: Ints
    column: Ints
    map: Any

    def where(self, chosen: NDArray[np.bool_]) -> "_Entries":
        return _Entries(self.row[chosen], self.column[chosen], self.map[np.flatnonzero(chosen)])


def _entries(tensor: Any, n_rows: int) -> _Entries:
    """The entries of cvxpy's tensor, whose rows number the matrix and the constants beside it, by columns."""
    place, entry = np.unique(tensor.row.astype(np.int64), return_inverse=True)
    values = sp.csr_array((tensor.data, (entry, tensor.col)), shape=(len(place), tensor.shape[1]))
    return _Entries(place % n_rows, place // n_rows, values)


def _sides(entries: _Entries, n_rows: int, n_equal: int) -> tuple[Sides, Sides, Ints]:
    """The inequalities in one variable with a constant coefficient, one a side, and the rows that are left."""
    row, column = entries.row, entries.column
    coefficient = entries.map[:, -1:].toarray().ravel()
    varies = np.diff(entries.map[:, :-1].tocsr().indptr) > 0
    single = np.bincount(row, minlength=n_rows) == 1
    single[:n_equal] = False
    single[row[varies]] = False
    above, below = (
        _first_of_each_column(Sides(row[chosen], column[chosen], coefficient[chosen]))
        for chosen in (single[row] & (coefficient > 0), single[row] & (coefficient < 0))
    )
    return above, below, np.setdiff1d(np.arange(n_rows), np.concatenate([above.row, below.row]))


def _first_of_each_column(sides: Sides) -> Sides:
    _, first = np.unique(sides.column, return_index=True)
    return Sides(sides.row[first], sides.column[first], sides.coefficient[first])


def _constraints(problem: Any, compiled: Any, inverses: list[Any]) -> Iterator[tuple[int, slice]]:
    """Where each of the problem's constraints lies among the rows."""
    ends = np.cumsum([constraint.size for constraint in compiled.constraints])
    rows = {c.id: slice(end - c.size, end) for c, end in zip(compiled.constraints, ends, strict=True)}
    renamed = [inverse.cons_id_map for inverse in inverses if hasattr(inverse, "cons_id_map")]
    for constraint in problem.constraints:
        number = constraint.id
        for names in renamed:
            number = names.get(number, number)
        if number in rows:
            yield constraint.id, rows[number]
