"""
A linear programme in HiGHS, solved again and again from the basis of the answer before, every answer proven.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlab.errors import PlanError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

GAP = 1e-9
"""Between an answer and the bound that its prices prove, relative to the sum of their parts."""

_DUAL = 1e-10  # by which a price may be on the wrong side, in units of the median value
_NEAR = 150  # columns near the margin that HiGHS is given at first
_HIGHS: dict[str, Any] = {"output_flag": False, "threads": 1, "simplex_strategy": 1, "small_matrix_value": 1e-12}
_HIGHS |= {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": _DUAL, "presolve": "off"}
_MIP: dict[str, Any] = {"mip_rel_gap": 0.0, "mip_abs_gap": 0.0, "mip_feasibility_tolerance": 1e-9, "presolve": "on"}


class OutOfTimeError(Exception):
    """A search for whole numbers that was not over in its time."""


class Deadline:
    """When searches for whole numbers, begun now, are given up; `seconds` may be infinite."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._end = seconds, time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; refused where none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise OutOfTimeError
        return left


class Model:
    """A HiGHS model that maximises, its bounds changed between solves; the last `whole` columns are whole numbers."""

    def __init__(
        self, matrix: Any, value: Floats, low: Floats, high: Floats, *, whole: int = 0, seconds: float = np.inf
    ) -> None:
        import highspy
        from scipy.sparse import csc_array

        self.matrix, self.value, self.low, self.high = matrix, value, low, high
        self._least, self._most = np.zeros_like(value), np.zeros_like(value)
        self._columns, self._rows = (np.arange(size, dtype=np.int32) for size in matrix.shape[::-1])
        model = highspy.HighsLp()
        model.num_row_, model.num_col_ = matrix.shape
        model.col_cost_, model.col_lower_, model.col_upper_ = -value, np.zeros_like(value), np.zeros_like(value)
        model.row_lower_, model.row_upper_ = low, high
        sparse = csc_array(matrix)
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_, model.a_matrix_.index_ = sparse.indptr, sparse.indices
        model.a_matrix_.value_ = sparse.data
        if whole:
            kinds = highspy.HighsVarType
            model.integrality_ = [kinds.kContinuous] * (len(value) - whole) + [kinds.kInteger] * whole
        self._highs = highspy.Highs()
        for name, option in (_HIGHS | (_MIP if whole else {})).items():
            self._highs.setOptionValue(name, option)
        self._highs.setOptionValue("time_limit", seconds)
        self._highs.passModel(model)

    def between(self, low: Floats, high: Floats) -> None:
        """Other ranges of the rows."""
        self.low, self.high = low.copy(), high.copy()
        self._highs.changeRowsBounds(len(low), self._rows, self.low, self.high)

    def solve(self, low: Floats, high: Floats) -> float | None:
        """
        The greatest value within the bounds, None where nothing is; from the basis before, and if need be cold.

        `OutOfTimeError` where the model's seconds are over.
        """
        import highspy

        self._move(low, high)
        for _ in range(2):
            self._highs.run()
            status = self._highs.getModelStatus()
            if status == highspy.HighsModelStatus.kOptimal:
                return -float(self._highs.getInfo().objective_function_value)
            if status == highspy.HighsModelStatus.kTimeLimit:
                raise OutOfTimeError
            self._highs.clearSolver()
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
        raise PlanError(
            f"HiGHS found no optimum ({self._highs.modelStatusToString(status)}): check the size of the bids"
        )

    def cold(self) -> None:
        """Forget the basis."""
        self._highs.clearSolver()

    @property
    def point(self) -> Floats:
        """The last answer."""
        return np.array(self._highs.getSolution().col_value)

    @property
    def price(self) -> Floats:
        """What the last answer gains with each unit by which a row is loosened."""
        return -np.array(self._highs.getSolution().row_dual)

    def _move(self, low: Floats, high: Floats) -> None:
        """Change the bounds that differ from those of the solve before."""
        new = np.flatnonzero((low != self._least) | (high != self._most)).astype(np.int32)
        self._least, self._most = low.copy(), high.copy()
        self._highs.changeColsBounds(len(new), new, low[new], high[new])


class Sifted:
    """
    A model of which only the columns near the margin are given to HiGHS, the others held at a bound.

    The rows' prices say of every column whether it is at the right bound; those that are not are added, so that the
    answer is that of the whole model. It counts only if these prices prove it the best.
    """

    def __init__(self, whole: Model) -> None:
        self.whole = whole
        self.point = np.zeros_like(whole.value)
        self._near: Flags | None = None
        self._part: Model = whole
        self._at_most = np.zeros(len(whole.value), dtype=bool)

    def solve(self, low: Floats, high: Floats) -> float | None:
        """The greatest value within the bounds, None where there is none."""
        if self._near is None:
            return self._wholly(low, high)
        while True:
            held = np.where(self._near, 0.0, np.where(self._at_most, high, low))
            used = self.whole.matrix @ held
            self._part.between(self.whole.low - used, self.whole.high - used)
            found = self._part.solve(low[self._near], high[self._near])
            if found is None:
                return self._wholly(low, high)
            price = self._part.price
            reduced = self.whole.value - price @ self.whole.matrix
            wrong = ~self._near & (low < high) & np.where(self._at_most, reduced < -_DUAL, reduced > _DUAL)
            if not wrong.any():
                break
            self._take(self._near | wrong)
        held[self._near] = self._part.point
        self.point = held
        found = float(self.whole.value @ held)
        return found if self._proven(found, low, high, price, reduced) else self._wholly(low, high)

    def _wholly(self, low: Floats, high: Floats) -> float | None:
        """The answer of the whole model, and from it which columns are near the margin."""
        for _ in range(2):
            found = self.whole.solve(low, high)
            if found is None:
                return None
            self.point, price = self.whole.point, self.whole.price
            reduced = self.whole.value - price @ self.whole.matrix
            if self._proven(found, low, high, price, reduced):
                self._choose(high, reduced)
                return found
            self.whole.cold()
        raise PlanError("no award is proven the best: check the size of the quantities and prices")

    def _choose(self, high: Floats, reduced: Floats) -> None:
        near = np.isinf(high)
        if len(reduced) > 2 * _NEAR:
            near[np.argpartition(np.abs(reduced), _NEAR)[:_NEAR]] = True
            self._at_most = reduced > 0
            self._take(near)

    def _take(self, near: Flags) -> None:
        self._near = near
        self._part = Model(self.whole.matrix[:, near], self.whole.value[near], self.whole.low, self.whole.high)

    def _proven(self, found: float, low: Floats, high: Floats, price: Floats, reduced: Floats) -> bool:
        """Whether the rows' prices leave nothing possible above the value found, relative to the sizes of its parts."""
        side = np.where(price > 0, self.whole.high, self.whole.low)
        rows = price * np.where(np.isfinite(side), side, 0.0)
        bound = np.where(reduced > 0, high, low)
        columns = reduced * np.where(np.isfinite(bound), bound, 0.0)
        parts = float(np.abs(rows).sum() + np.abs(columns).sum())
        return abs(float(rows.sum() + columns.sum()) - found) <= GAP * parts
