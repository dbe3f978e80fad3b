"""The programme of a day-ahead market: the best blocks, with or without prices that support them."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.clearing import is_number, told
from gridlab.auctions.day_ahead_orders import Flags, Floats, Ints, Orders
from gridlab.errors import DataError, PlanError

TOLERANCE = 1e-9


class Steps(NamedTuple):
    """Hourly rows of one time, side and price as one: time, +1 to sell or -1 to buy, price, power."""

    market: Ints
    side: Floats
    price: Floats
    power: Floats


class Best(NamedTuple):
    """The best answer: welfare [$/h], whether each block is open, the share of it that is accepted."""

    welfare: float
    is_open: Flags
    share: Floats


def require_time(time_limit_s: float) -> None:
    """Refuse a time in which nothing can be solved."""
    if not is_number(time_limit_s) or not time_limit_s > 0:
        raise DataError(f"time_limit_s must be above 0 s, got {told(time_limit_s)}: leave it out for no limit")


class Programme:
    """
    Choice of blocks for the most welfare by HiGHS, in units of the greatest price and the greatest power.

    Parameters
    ----------
    orders : Orders
        What is bid.
    time_limit_s : float
        Most time for one solve. [s]
    """

    def __init__(self, orders: Orders, *, time_limit_s: float) -> None:
        self.orders, self.steps = orders, _steps(orders)
        self.unit_price = float(max(abs(orders.floor), abs(orders.cap), np.finfo(float).tiny))
        self.unit_power = float(np.abs(orders.quantity).max(initial=0.0)) or 1.0
        self.time_limit_s = time_limit_s
        self._rows: list[tuple[list[tuple[Ints, Floats]], float, float]] = []
        self._columns: list[tuple[Floats, Floats]] = []
        self._offsets: list[int] = [0]
        self._write_primal()

    def best(self, *, divisible: bool = False, start: Flags | None = None) -> Best:
        """The best choice of blocks; `divisible` lets every block be accepted to any share, `start` is a guess."""
        x = self._solve(whole=not divisible, start=start)
        return Best(self._welfare(x), x[self.u] > 0.5, x[self.y])

    def best_shares(self, is_open: Flags) -> Best:
        """The best shares of the open blocks."""
        before = self.open_between()
        self.keep_open_between(is_open.astype(float), is_open.astype(float))
        try:
            return self.best(divisible=True)
        finally:
            self.keep_open_between(*before)

    def open_between(self) -> tuple[Floats, Floats]:
        """What is already decided of the blocks: 0 and 0 if rejected, 1 and 1 if open, 0 and 1 if undecided."""
        return self._columns[1]

    def keep_open_between(self, least: Floats, most: Floats) -> None:
        """Decide on some of the blocks."""
        self._columns[1] = (least, most)

    def demand_welfare(self, welfare: float) -> None:
        """Rule out all that is worse than a welfare [$/h]."""
        least = welfare / self.unit_price / self.unit_power
        self._row([(self.v, -self.cost_v), (self.y, -self.cost_y)], least - 1e-7 * max(1.0, abs(least)), np.inf)

    def ranges(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Least and greatest share of each block, and least and greatest power of all blocks at each time [MW]."""
        highs = self._highs(whole=False)
        profile = self.orders.profile / self.unit_power
        shares = [self._extremes(highs, self.u[[b]], np.ones(1)) for b in range(len(self.u))]
        powers = [self._extremes(highs, self.y, profile[:, t]) for t in range(profile.shape[1])]
        least, most = np.array(shares).reshape(-1, 2).T
        low, high = np.array(powers).reshape(-1, 2).T * self.unit_power
        return least, most, low, high

    def _extremes(self, highs: Any, columns: Ints, weights: Floats) -> tuple[float, float]:
        """Least and greatest weighted sum of some columns over the relaxation; infinite where not found."""
        import highspy

        ends = [-np.inf, np.inf]
        everything = np.arange(self._offsets[-1], dtype=np.int32)
        for i, sign in enumerate((1.0, -1.0)):
            cost = np.zeros(len(everything))
            cost[columns] = sign * weights
            highs.changeColsCost(len(everything), everything, cost)
            highs.run()
            if highs.getModelStatus() == highspy.HighsModelStatus.kOptimal:
                ends[i] = sign * highs.getInfo().objective_function_value
        return ends[0], ends[1]

    def forbid(self, is_open: Flags) -> None:
        """Rule out one choice of blocks."""
        sign = np.where(is_open, -1.0, 1.0)
        self._row([(self.u, sign)], 1.0 - np.count_nonzero(is_open), np.inf)

    def _write_primal(self) -> None:
        orders, steps, n_blocks = self.orders, self.steps, len(self.orders.price)
        power, profile = steps.power / self.unit_power, orders.profile / self.unit_power
        self.v = self._column(np.zeros(len(power)), power)
        self.u = self._column(np.zeros(n_blocks), np.ones(n_blocks))
        self.y = self._column(np.zeros(n_blocks), np.ones(n_blocks))
        for t in range(len(orders.times)):
            own, there = np.flatnonzero(steps.market == t), np.flatnonzero(profile[:, t])
            self._row([(self.v[own], steps.side[own]), (self.y[there], profile[there, t])], 0.0, 0.0)
        for b in range(n_blocks):
            self._row([(self.y[[b]], np.ones(1)), (self.u[[b]], -np.ones(1))], -np.inf, 0.0)
            self._row([(self.y[[b]], np.ones(1)), (self.u[[b]], -orders.least[[b]])], 0.0, np.inf)
            if orders.parent[b] >= 0:
                for x in (self.y, self.u):
                    self._row([(x[[b, orders.parent[b]]], np.array([1.0, -1.0]))], -np.inf, 0.0)
        for g in range(orders.group.max(initial=-1) + 1):
            members = np.flatnonzero(orders.group == g)
            self._row([(self.u[members], np.ones(len(members)))], -np.inf, 1.0)
        self.cost_v = steps.side * steps.price / self.unit_price
        self.cost_y = profile.sum(axis=1) * orders.price / self.unit_price

    def demand_prices(self, low: Floats, high: Floats) -> None:
        """
        Ask for prices between bounds that support the choice.

        The dual of the choice without the blocks' lower bounds, and strong duality; a block that is not open drops out
        of the dual by the most that it could gain within the bounds (Madani and Van Vyve 2015).
        """
        orders, steps, n_blocks = self.orders, self.steps, len(self.orders.price)
        profile = orders.profile / self.unit_power
        low, high = low / self.unit_price, high / self.unit_price
        most = np.maximum(np.maximum(profile * high, profile * low).sum(axis=1) - self.cost_y, 0.0)
        passed = _with_descendants(most, orders.parent)
        price = self._column(low, high)
        room = np.where(steps.side > 0, high[steps.market], -low[steps.market]) - self.cost_v
        gain = self._column(np.zeros(len(room)), np.maximum(room, 0.0))
        block_gain = self._column(np.zeros(n_blocks), passed)
        handed = self._column(np.zeros(n_blocks), np.where(orders.parent >= 0, passed, 0.0))
        for i, (t, side) in enumerate(zip(steps.market, steps.side, strict=True)):
            self._row([(gain[[i]], np.ones(1)), (price[[t]], np.array([-side]))], -self.cost_v[i], np.inf)
        for b in range(n_blocks):
            there, children = np.flatnonzero(profile[b]), np.flatnonzero(orders.parent == b)
            terms = [
                (block_gain[[b]], np.ones(1)),
                (self.u[[b]], -most[[b]]),
                (price[there], -profile[b, there]),
                (handed[children], -np.ones(len(children))),
                (handed[[b]], np.ones(1)),
            ]
            self._row(terms, float(-self.cost_y[b] - most[b]), np.inf)
        power = steps.power / self.unit_power
        dual = [(gain, -power), (block_gain, -np.ones(n_blocks))]
        self._row([(self.v, -self.cost_v), (self.y, -self.cost_y), *dual], 0.0, np.inf)

    def _column(self, lower: Floats, upper: Floats) -> Ints:
        self._columns.append((lower, upper))
        self._offsets.append(self._offsets[-1] + len(lower))
        return np.arange(self._offsets[-2], self._offsets[-1])

    def _row(self, terms: list[tuple[Ints, Floats]], lower: float, upper: float) -> None:
        self._rows.append((terms, lower, upper))

    def _welfare(self, x: Floats) -> float:
        return -float(self.cost_v @ x[self.v] + self.cost_y @ x[self.y]) * self.unit_price * self.unit_power

    def _highs(self, *, whole: bool) -> Any:
        import highspy

        highs = highspy.Highs()
        for name, value in _OPTIONS.items():
            highs.setOptionValue(name, value)
        highs.setOptionValue("time_limit", float(self.time_limit_s))
        highs.passModel(self._model(whole=whole))
        return highs

    def _solve(self, *, whole: bool, start: Flags | None = None) -> Floats:
        import highspy

        highs = self._highs(whole=whole)
        if start is not None:
            highs.setSolution(len(self.u), self.u.astype(np.int32), start.astype(float))
        highs.run()
        status = highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            said = highs.modelStatusToString(status)
            bound = -highs.getInfo().mip_dual_bound * self.unit_price * self.unit_power if whole else np.inf
            known = f"no clearing has a welfare above {bound:g} $/h" if np.isfinite(bound) else "no bound is known"
            raise PlanError(
                f"the day-ahead market was not solved within time_limit_s={self.time_limit_s:g} (HiGHS: {said}; "
                f"{known}): allow more time, or clear fewer blocks"
            )
        return np.array(highs.getSolution().col_value)

    def _model(self, *, whole: bool) -> Any:
        import highspy

        n_columns = self._offsets[-1]
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = n_columns, len(self._rows)
        cost = np.zeros(n_columns)
        cost[self.v], cost[self.y] = self.cost_v, self.cost_y
        lp.col_cost_ = cost
        lp.col_lower_, lp.col_upper_ = (np.concatenate([c[i] for c in self._columns]) for i in (0, 1))
        lp.row_lower_, lp.row_upper_ = (np.array([row[i] for row in self._rows], dtype=float) for i in (1, 2))
        index, value = (
            [np.concatenate([term[i] for term in terms]) if terms else np.zeros(0) for terms, _, _ in self._rows]
            for i in (0, 1)
        )
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.r_[0, np.cumsum([len(part) for part in index])]
        lp.a_matrix_.index_, lp.a_matrix_.value_ = _joined(index).astype(np.int32), _joined(value)
        if whole:
            kinds = [highspy.HighsVarType.kContinuous] * n_columns
            for column in self.u:
                kinds[column] = highspy.HighsVarType.kInteger
            lp.integrality_ = kinds
        return lp


_OPTIONS: dict[str, Any] = {
    "output_flag": False,
    "threads": 1,
    "mip_rel_gap": 0.0,
    "mip_abs_gap": TOLERANCE,
    "mip_feasibility_tolerance": TOLERANCE,
    "primal_feasibility_tolerance": TOLERANCE,
    "dual_feasibility_tolerance": TOLERANCE,
}


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)


def _steps(orders: Orders) -> Steps:
    """Hourly rows that differ in neither time, side nor price as one step, in that order."""
    hourly = np.flatnonzero((orders.block < 0) & (orders.quantity != 0))
    rows = pd.DataFrame(
        {
            "market": orders.market[hourly],
            "side": np.sign(orders.quantity[hourly]),
            "price": orders.limit[hourly],
            "power": np.abs(orders.quantity[hourly]),
        }
    )
    steps = rows.sort_values(["market", "side", "price", "power"]).groupby(["market", "side", "price"])["power"].sum()
    keys = steps.index.to_frame(index=False)
    return Steps(keys["market"].to_numpy(), keys["side"].to_numpy(), keys["price"].to_numpy(), steps.to_numpy())


def _with_descendants(values: Floats, parent: Ints) -> Floats:
    """Each block's value with those of all blocks below it."""
    total = values.copy()
    for b in range(len(values)):
        above = parent[b]
        while above >= 0:
            total[above] += values[b]
            above = parent[above]
    return total
