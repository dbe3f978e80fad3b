"""The linear programme of one round of the nucleolus, kept hot in HiGHS while rows are added."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlab.errors import PlanError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Found(NamedTuple):
    """An optimum of a round: the move, the greatest excess, the prices of the rows and of what players get alone."""

    move: Floats
    epsilon: float
    prices: Floats
    held: Floats


class Master:
    """The linear programme of a round: least epsilon with ``reach @ move + epsilon >= excess`` on some coalitions."""

    def __init__(self, n_directions: int) -> None:
        import highspy

        self.highs, self.n_directions, self.held = highspy.Highs(), n_directions, np.empty(0, dtype=np.int64)
        options = {"output_flag": False, "threads": 1, "presolve": "off", "small_matrix_value": 1e-12}
        for name, value in options.items():
            self.highs.setOptionValue(name, value)
        for name in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            self.highs.setOptionValue(name, 1e-10)
        for _ in range(n_directions + 1):
            self.highs.addVar(-np.inf, np.inf)
        self.highs.changeColCost(n_directions, 1.0)

    def hold(self, players: Ints, reach: Floats, least: Floats) -> None:
        """Rows by which players get at least what they get alone, which they do to begin with."""
        self.held = players
        self._rows(np.column_stack([reach, np.zeros(len(players))]), np.minimum(least, 0.0))

    def add(self, reach: Floats, excess: Floats) -> None:
        """Rows of coalitions."""
        self._rows(np.column_stack([reach, np.ones(len(excess))]), excess)

    def _rows(self, coefficients: Floats, least: Floats) -> None:
        columns = np.arange(self.n_directions + 1, dtype=np.int32)
        for row, side in zip(coefficients, least, strict=True):
            used = row != 0
            self.highs.addRow(float(side), np.inf, int(used.sum()), columns[used], row[used])

    def solve(self) -> Found:
        """The optimum, from the basis before and if need be from none."""
        import highspy

        for _ in range(2):
            self.highs.run()
            if self.highs.getModelStatus() == highspy.HighsModelStatus.kOptimal:
                solution = self.highs.getSolution()
                x, prices = np.array(solution.col_value), np.array(solution.row_dual)
                n_held = len(self.held)
                return Found(x[:-1], float(x[-1]), prices[n_held:], prices[:n_held])
            self.highs.clearSolver()
        raise PlanError(
            f"no optimum of a round was found ({self.highs.getModelStatus()}): check the size of the worths"
        )
