r"""
A battery's plan under scenarios of the price: two stages, and a weight on the worst of the scenarios.

The power of the first intervals is decided before a price is known and is the same in every scenario; after them each
scenario has a recourse of its own. The decisions form a tree, with one node for each interval of the first stage and
one for each scenario and interval after it, so that no plan can anticipate and no constraint is needed to say so.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab import risk
from gridlab.assets import Battery, Site
from gridlab.errors import DataError
from gridlab.mpc.base import Decision, Planner, PlanningPolicy, State, Window
from gridlab.mpc.battery import BatteryPlanner, solve_one_way
from gridlab.mpc.policies import ModelPredictive, battery_of, end_band
from gridlab.mpc.segments import Segments
from gridlab.programme import MOST_NODES, Programme, Session
from gridlab.storage import stored_after

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Scenarios = Callable[[pd.DataFrame], tuple[ArrayLike, ArrayLike]]

_ENERGY_TOLERANCE = 1e-7  # MWh that is as good as nothing
_SUM_TOLERANCE = 1e-6  # by which the weights of scenarios may miss 1
_ROUNDING = 1e-9  # of an interval, in a quotient of hours


@dataclass(frozen=True)
class StochasticPlan:
    """
    A first stage and the recourse of each scenario.

    Parameters
    ----------
    charge_mw, discharge_mw : ndarray, shape (n_scenarios, n_steps)
        Power drawn from the grid and delivered to it; alike in all scenarios in the intervals committed. [MW]
    soc_mwh : ndarray, shape (n_scenarios, n_steps)
        Energy stored at the end of each interval. [MWh]
    profit : ndarray, shape (n_scenarios,)
        Sales less purchases less wear, and the terminal value of what is left. [$]
    weights : ndarray, shape (n_scenarios,)
        Probabilities. [-]
    var, cvar : float
        Value at risk and conditional value at risk of the loss, which is minus the profit. [$]
    objective : float
        Expected profit and minus the conditional value at risk, weighted. [$]
    solver : str
        Which of `SOLVERS` answered.
    """

    charge_mw: Floats
    discharge_mw: Floats
    soc_mwh: Floats
    profit: Floats
    weights: Floats
    var: float
    cvar: float
    objective: float
    solver: str

    @property
    def power_mw(self) -> Floats:
        """Power into the grid, shape (n_scenarios, n_steps). [MW]"""
        return self.discharge_mw - self.charge_mw

    @property
    def expected_profit(self) -> float:
        """Mean of the profit over the scenarios. [$]"""
        return float(self.weights @ self.profit)


def plan_stochastic(
    paths: ArrayLike,
    weights: ArrayLike,
    battery: Battery,
    *,
    soc_mwh: float,
    step_hours: float,
    end_low_mwh: float,
    end_high_mwh: float,
    n_committed: int | None = None,
    risk_weight: float = 0.0,
    level: float = 0.95,
    terminal_value: float | Segments = 0.0,
    power_mw: float = 0.0,
) -> StochasticPlan:
    r"""
    The two-stage plan of greatest weighted profit under scenarios of the price.

    .. math::
        \max \; (1 - \rho) \sum_k \pi_k R_k - \rho \Big( \alpha + \frac{1}{1 - \beta} \sum_k \pi_k u_k \Big), \qquad
        u_k \ge -R_k - \alpha, \quad u_k \ge 0,

    .. math::
        R_k = \sum_t p_{kt} (d_{kt} - c_{kt}) - w \sum_t d_{kt} + V_k(s_{kT}), \qquad
        s_{kt} = \kappa s_{k,t-1} + \eta_c c_{kt} - d_{kt} / \eta_d,

    where :math:`\pi_k` is the probability of a scenario, :math:`R_k` its profit, :math:`\rho` the weight of risk and
    the bracket the conditional value at risk of the loss :math:`-R_k` at level :math:`\beta`, reached where
    :math:`\alpha` is its value at risk. In the first `n_committed` intervals :math:`c_{kt}, d_{kt}` and
    :math:`s_{kt}` are the same for every :math:`k`. No interval has both :math:`c_{kt} > 0` and :math:`d_{kt} > 0`.

    Parameters
    ----------
    paths : array_like, shape (n_scenarios, n_steps)
        Prices of each scenario; NaN, in all of them, where nothing can be traded. [$/MWh]
    weights : array_like, shape (n_scenarios,)
        Their probabilities. [-]
    battery : Battery
        Power, energy, efficiencies, leak, ramp and wear.
    soc_mwh : float
        Energy stored at the start. [MWh]
    step_hours : float
        Length of an interval. [h]
    end_low_mwh, end_high_mwh : float
        Least and greatest energy stored at the end of each scenario. [MWh]
    n_committed : int, optional
        Intervals whose power is decided before a price is known; all of them when omitted, as in a day-ahead auction.
        With 0 the plan waits and sees: the mean of each scenario's own optimum, a bound that no plan can reach.
    risk_weight : float
        Weight of the conditional value at risk in the objective, in [0, 1]. With 1 nothing is asked of the scenarios
        that are better than the value at risk. [-]
    level : float
        Level of the conditional value at risk, in [0, 1). [-]
    terminal_value : float or Segments
        Worth of each MWh stored at the end, or of each segment of the store; segments of shape
        (n_scenarios, n_segments) are each scenario's own. [$/MWh]
    power_mw : float
        Power in the interval before, from which the battery ramps. [MW]

    Returns
    -------
    StochasticPlan
        Optimal power and state of charge by scenario, profits and their risk, and the solver that found them.

    Raises
    ------
    DataError
        If `weights` are negative, of another length or do not sum to 1, `paths` are not a matrix, are infinite or have
        a NaN in some scenarios only, or `risk_weight`, `level` or `n_committed` is outside its range.
    PlanError
        If the battery cannot start at `soc_mwh` or cannot end between `end_low_mwh` and `end_high_mwh`.

    References
    ----------
    .. [1] R. T. Rockafellar and S. Uryasev, "Optimization of conditional value-at-risk," J. Risk 2(3), 2000,
       doi:10.21314/JOR.2000.038.
    .. [2] J. R. Birge and F. Louveaux, "Introduction to stochastic programming," 2nd ed., Springer, 2011, ch. 4,
       doi:10.1007/978-1-4614-0237-4: wait and see, recourse, and the plan on the mean.

    Examples
    --------
    An hour is committed at an expected price of 30; a scenario each says what the energy will be worth after it.

    >>> battery = Battery(1, 1, 1, 1)
    >>> options = {"soc_mwh": 0, "step_hours": 1, "end_low_mwh": 0, "end_high_mwh": 1, "n_committed": 1}
    >>> plan = plan_stochastic([[30, 90], [30, 10]], [0.5, 0.5], battery, **options)
    >>> plan.power_mw.tolist(), plan.profit.tolist(), plan.objective
    ([[-1.0, 1.0], [-1.0, 1.0]], [60.0, -20.0], 20.0)
    >>> careful = plan_stochastic([[30, 90], [30, 10]], [0.5, 0.5], battery, risk_weight=0.9, **options)
    >>> careful.power_mw.tolist(), careful.cvar
    ([[0.0, 0.0], [0.0, 0.0]], 0.0)
    """
    aim = _Aim(risk_weight, level)
    terminal = terminal_value if isinstance(terminal_value, Segments) else Segments.flat(battery, terminal_value)
    planner = _TreePlanner(battery, step_hours, aim)
    return planner.plan(paths, weights, n_committed, soc_mwh, (end_low_mwh, end_high_mwh), terminal, power_mw)


@dataclass(frozen=True)
class Stochastic(PlanningPolicy):
    """
    The best schedule under scenarios of the price, with a weight on the worst of them, by `plan_stochastic`.

    The schedule is the first stage and, after it, what would be best if the scenarios' mean came true from there: a
    preview, to be planned again once more is known. Energy left at the end of a plan is worth in each scenario what
    `ModelPredictive` says that it is worth on that scenario's path.

    Where the whole plan is committed and risk has no weight, scenarios matter by their mean and by the worth of what
    is left: with a `terminal_value` the plan is that of point MPC on their mean, which is the forecast's if `centred`.

    Parameters
    ----------
    scenarios : callable, optional
        From a forecast's table to paths, shape (n_scenarios, n_steps), and their probabilities, as
        `gridlab.scenarios.sampler` makes. When omitted the forecast's mean is the only scenario, and the plan is that
        of point MPC.
    risk_weight : float
        Weight of the conditional value at risk in the objective, in [0, 1]. [-]
    level : float
        Level of the conditional value at risk, in [0, 1). [-]
    commit_hours : float, optional
        Hours whose power is decided before a price is known; the whole plan when omitted, as in a day-ahead auction.
        After them all prices are known, so that a plan that commits few hours hopes for more than it will get. [h]
    terminal_value : float, optional
        As in `ModelPredictive`. [$/MWh]
    centred : bool
        Whether the scenarios are shifted, interval by interval, so that their mean is the forecast's [1]_. The mean of
        a few draws misses it by more than many a trade is worth.

    References
    ----------
    .. [1] K. Hoyland and S. W. Wallace, "Generating scenario trees for multistage decision problems," Management
       Science 47(2), 2001, doi:10.1287/mnsc.47.2.295.9834: scenarios that have the moments they should.

    Examples
    --------
    >>> times = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC", name="time")
    >>> forecast = pd.DataFrame({"mean": [30.0, 50.0]}, index=times)
    >>> state = State(Battery(1, 1, 1, 1), soc_mwh=0, end_low_mwh=0, end_high_mwh=0)
    >>> def either(forecast):
    ...     return np.array([[30.0, 90.0], [30.0, 10.0]]), np.array([0.5, 0.5])
    >>> Stochastic(either)(state, forecast)["battery_mw"].tolist()
    [-1.0, 1.0]
    >>> Stochastic(either, risk_weight=0.9)(state, forecast)["battery_mw"].tolist()
    [0.0, 0.0]
    """

    scenarios: Scenarios | None = None
    risk_weight: float = 0.0
    level: float = 0.95
    commit_hours: float | None = None
    terminal_value: float | None = None
    centred: bool = True

    def __post_init__(self) -> None:
        _Aim(self.risk_weight, self.level)
        if self.commit_hours is not None and not self.commit_hours > 0:
            raise DataError(
                f"commit_hours must be above 0 h, got {self.commit_hours}: what is not committed is not done"
            )

    def planner(self, asset: Battery | Site, step_hours: float) -> Planner:
        """Solve the two-stage programme on the scenarios of the window."""
        planner = _TreePlanner(battery_of(asset), step_hours, _Aim(self.risk_weight, self.level))

        def plan(state: State, window: Window) -> Decision:
            paths, weights = self._paths(window)
            n_committed = self._n_committed(paths.shape[1], step_hours)
            ends = self._ends(paths, window, planner.one_path.battery)
            found = planner.plan(paths, weights, n_committed, state.soc_mwh, end_band(state), ends, state.power_mw)
            return self._preview(found, n_committed, weights @ paths, state, window, planner.one_path)

        return plan

    def _paths(self, window: Window) -> tuple[Floats, Floats]:
        """Paths and weights of a window, closed where its mean is."""
        if self.scenarios is None:
            return window.mean[np.newaxis], np.ones(1)
        paths, weights = self.scenarios(window.table())
        paths = np.asarray(paths, dtype=float)
        if paths.ndim != 2 or paths.shape[1] != len(window.mean):
            raise DataError(
                f"scenarios gave paths of shape {paths.shape} for {len(window.mean)} intervals: one column each"
            )
        paths, weights = checked_scenarios(np.where(np.isnan(window.mean), np.nan, paths), weights)
        return paths + (window.mean - weights @ paths if self.centred else 0.0), weights

    def _n_committed(self, n_steps: int, step_hours: float) -> int:
        """Intervals that begin within the hours committed."""
        if self.commit_hours is None:
            return n_steps
        return min(n_steps, math.ceil(self.commit_hours / step_hours - _ROUNDING))

    def _ends(self, paths: Floats, window: Window, battery: Battery) -> Segments:
        """Worth of the energy left in each scenario."""
        point = ModelPredictive(self.terminal_value)
        ends = [point.terminal(replace(window, columns={"mean": path}), battery) for path in paths]
        return Segments(*(np.array(part) for part in zip(*ends, strict=True)))

    def _preview(
        self,
        found: StochasticPlan,
        n_committed: int,
        mean: Floats,
        state: State,
        window: Window,
        one_path: BatteryPlanner,
    ) -> Decision:
        """The first stage, and the plan on the mean from its end."""
        power, soc = found.power_mw[0], found.soc_mwh[0]
        if n_committed < len(mean) and len(found.weights) > 1:
            terminal = ModelPredictive(self.terminal_value).terminal(
                replace(window, columns={"mean": mean}), one_path.battery
            )
            rest = one_path.plan(
                mean[n_committed:], soc[n_committed - 1], end_band(state), terminal, power[n_committed - 1]
            )
            power = np.concatenate([power[:n_committed], rest.power_mw])
            soc = np.concatenate([soc[:n_committed], rest.soc_mwh])
        return Decision({"battery_mw": power, "soc_mwh": soc}, found.solver)


@dataclass(frozen=True)
class _Aim:
    """How much the worst scenarios count."""

    risk_weight: float
    level: float

    def __post_init__(self) -> None:
        if not 0 <= self.risk_weight <= 1:
            raise DataError(f"risk_weight must be in [0, 1], got {self.risk_weight}")
        if not 0 <= self.level < 1:
            raise DataError(f"level must be in [0, 1), got {self.level}")


class _Tree(NamedTuple):
    """The decisions: `nodes` (n_scenarios, n_steps), the node `before` each, -1 for the start, and its interval."""

    n_committed: int
    nodes: Ints
    before: Ints
    step: Ints


@lru_cache(maxsize=64)
def _tree(n_scenarios: int, n_steps: int, n_committed: int) -> _Tree:
    """One node for each committed interval, then those of each scenario in a row."""
    n_own = n_steps - n_committed
    nodes = np.tile(np.arange(n_steps), (n_scenarios, 1))
    nodes[:, n_committed:] += n_own * np.arange(n_scenarios)[:, np.newaxis]
    before = np.full(n_committed + n_scenarios * n_own, -1)
    before[nodes[:, 1:]] = nodes[:, :-1]
    step = np.empty_like(before)
    step[nodes] = np.arange(n_steps)
    return _Tree(n_committed, nodes, before, step)


class _Shape(NamedTuple):
    """What a compiled programme is made for."""

    n_scenarios: int
    n_steps: int
    n_committed: int
    n_segments: int
    risk: bool
    ramps: bool
    binaries: bool


class _TreePlanner:
    """The two-stage programme of one battery, solved again and again."""

    def __init__(self, battery: Battery, step_hours: float, aim: _Aim) -> None:
        self.one_path = BatteryPlanner(battery, step_hours)
        self.aim = aim
        self._sessions: dict[_Shape, Session] = {}

    def plan(
        self,
        paths: ArrayLike,
        weights: ArrayLike,
        n_committed: int | None,
        soc_mwh: float,
        end_band: tuple[float, float],
        terminal: Segments,
        power_mw: float,
    ) -> StochasticPlan:
        """As `plan_stochastic`."""
        paths, weights = checked_scenarios(paths, weights)
        tree = _tree(*paths.shape, _checked_committed(n_committed, paths.shape[1]))
        terminal = _by_scenario(terminal, len(paths))
        data = self._data(paths, weights, tree, soc_mwh, end_band, terminal, power_mw)
        answer = solve_one_way(lambda one_way: self._session(data, tree, one_way), data, data["least_price"])
        net = answer.values["discharge"] - answer.values["charge"]
        net[np.abs(net) <= _ENERGY_TOLERANCE] = 0.0
        return self._told(net[tree.nodes], np.nan_to_num(paths), weights, data["start"], terminal, answer.solver)

    def _told(
        self, net: Floats, paths: Floats, weights: Floats, start: float, terminal: Segments, solver: str
    ) -> StochasticPlan:
        """The plan whose energy into the grid is `net`, and what it earns."""
        battery, hours = self.one_path.battery, self.one_path.step_hours
        stored = np.array([stored_after(path, start, battery, hours) for path in net])
        charge, discharge = np.maximum(-net, 0.0), np.maximum(net, 0.0)
        profit = (paths * net).sum(axis=1) - battery.degradation_cost * discharge.sum(axis=1)
        profit += _worth(terminal, stored[:, -1])
        value_at_risk, tail = (float(of(-profit, self.aim.level, weights=weights)) for of in (risk.var, risk.cvar))
        objective = (1 - self.aim.risk_weight) * float(weights @ profit) - self.aim.risk_weight * tail
        soc = battery.soc_low_mwh + np.clip(stored, 0.0, battery.soc_high_mwh - battery.soc_low_mwh)
        return StochasticPlan(
            charge / hours, discharge / hours, soc, profit, weights, value_at_risk, tail, objective, solver
        )

    def _data(
        self,
        paths: Floats,
        weights: Floats,
        tree: _Tree,
        soc_mwh: float,
        end_band: tuple[float, float],
        terminal: Segments,
        power_mw: float,
    ) -> dict[str, Any]:
        """The programme's parameters by name."""
        data = self.one_path._data(weights @ paths, soc_mwh, end_band, terminal, power_mw)
        data |= {name: data[name][tree.step] for name in ("limit", "floor", "room", "ramp")}
        data["least_price"] = np.full(len(tree.step), np.inf)
        np.minimum.at(data["least_price"], tree.nodes, np.nan_to_num(paths))
        data |= {"price": np.nan_to_num(paths), "end_width": terminal.width_mwh, "end_slope": terminal.slope}
        share = (1 - self.aim.risk_weight) * weights
        data["expected_price"] = _by_node(tree, share[:, np.newaxis] * data["price"])
        data["expected_wear"] = data["wear"] * _by_node(tree, np.broadcast_to(share[:, np.newaxis], paths.shape))
        data["expected_end_slope"] = share[:, np.newaxis] * terminal.slope
        data |= {"risk_weight": self.aim.risk_weight, "end_base": terminal.base}
        data["tail"] = self.aim.risk_weight * weights / (1 - self.aim.level)
        return data

    def _session(self, data: Mapping[str, Any], tree: _Tree, one_way: Flags) -> Session:
        """The session of programmes of one shape; it hot-starts from its last answer."""
        battery = self.one_path.battery
        shape = _Shape(
            n_scenarios=tree.nodes.shape[0],
            n_steps=tree.nodes.shape[1],
            n_committed=tree.n_committed,
            n_segments=data["end_width"].shape[1],
            risk=self.aim.risk_weight > 0,
            ramps=battery.ramp_mw_per_hour * self.one_path.step_hours < 2 * battery.power_mw,
            binaries=bool(one_way.any()),
        )
        if shape not in self._sessions:
            self._sessions[shape] = Session(
                _programme(shape), heuristic=partial(self._rest, tree), most_nodes=MOST_NODES
            )
        return self._sessions[shape]

    def _rest(self, tree: _Tree, data: Mapping[str, Any]) -> dict[str, Floats]:
        """The same in every scenario: rest until the end band asks for energy in or out."""
        first = {name: data[name][tree.nodes[0]] for name in ("limit", "floor", "room", "ramp")}
        found = self.one_path._rest({**data, **first})
        return {name: value[tree.step] for name, value in found.items()}


def _by_node(tree: _Tree, numbers: Floats) -> Floats:
    """Sums over the scenarios that share a node, shape (n_nodes,)."""
    return np.asarray(np.bincount(tree.nodes.ravel(), weights=numbers.ravel(), minlength=len(tree.step)), dtype=float)


@lru_cache(maxsize=64)
def _programme(shape: _Shape) -> Programme:
    """The programme of `plan_stochastic` over the nodes of the tree, in MWh an interval."""
    import cvxpy as cp

    tree = _tree(shape.n_scenarios, shape.n_steps, shape.n_committed)
    n_nodes, last, ends = len(tree.step), tree.nodes[:, -1], (shape.n_scenarios, shape.n_segments)
    is_first, from_before = _steps_back(tree)
    p = {name: cp.Parameter(n_nodes) for name in ("expected_price", "expected_wear", "limit", "floor", "room")}
    p |= {name: cp.Parameter() for name in ("eta_charge", "per_discharge", "kept", "start_kept")}
    p |= {name: cp.Parameter(ends) for name in ("expected_end_slope", "end_width")}

    charge = cp.Variable(n_nodes, name="charge")
    discharge = cp.Variable(n_nodes, name="discharge")
    stored = cp.Variable(n_nodes, name="stored")
    end = cp.Variable(ends, name="end")
    net = discharge - charge
    leaked = p["start_kept"] * is_first + p["kept"] * (from_before @ stored)

    objective = p["expected_price"] @ net - p["expected_wear"] @ discharge
    objective += cp.sum(cp.multiply(p["expected_end_slope"], end))
    limits = {
        "energy": stored == leaked + p["eta_charge"] * charge - p["per_discharge"] * discharge,
        "charging": charge <= p["limit"],
        "discharging": discharge <= p["limit"],
        "full": stored <= p["room"],
        "empty": stored >= p["floor"],
    }
    signs = [charge >= 0, discharge >= 0, end >= 0, end <= p["end_width"], cp.sum(end, axis=1) == stored[last]]
    if shape.risk:
        p |= {"price": cp.Parameter(tree.nodes.shape), "end_slope": cp.Parameter(ends)}
        p |= {"wear": cp.Parameter(), "risk_weight": cp.Parameter(), "tail": cp.Parameter(shape.n_scenarios)}
        p |= {"end_base": cp.Parameter(shape.n_scenarios)}
        value_at_risk = cp.Variable(name="value_at_risk")
        excess = cp.Variable(shape.n_scenarios, name="excess")
        profit = p["end_base"] + cp.sum(cp.multiply(p["price"], net[tree.nodes]), axis=1)
        profit += cp.sum(cp.multiply(p["end_slope"], end), axis=1) - p["wear"] * cp.sum(discharge[tree.nodes], axis=1)
        objective -= p["risk_weight"] * value_at_risk + p["tail"] @ excess
        signs += [excess >= -profit - value_at_risk, excess >= 0]
    if shape.ramps:
        p |= {"ramp": cp.Parameter(n_nodes), "net_before": cp.Parameter()}
        change = net - p["net_before"] * is_first - from_before @ net
        limits |= {"ramp up": change <= p["ramp"], "ramp down": -change <= p["ramp"]}
    if shape.binaries:
        p |= {"two_way_limit": cp.Parameter(n_nodes), "greatest_limit": cp.Parameter()}
        charging = cp.Variable(n_nodes, boolean=True, name="charging")
        signs += [
            charge <= p["two_way_limit"] + p["greatest_limit"] * charging,
            discharge <= p["two_way_limit"] + p["greatest_limit"] * (1 - charging),
        ]
    problem = cp.Problem(cp.Maximize(objective), [*limits.values(), *signs])
    return Programme(problem, p, {"charge": charge, "discharge": discharge, "stored": stored}, limits)


def _steps_back(tree: _Tree) -> tuple[Floats, Any]:
    """Which nodes follow the start, and the matrix that gives every other node what its node before has."""
    import scipy.sparse as sp

    after = np.flatnonzero(tree.before >= 0)
    shape = (len(tree.before), len(tree.before))
    return (tree.before < 0).astype(float), sp.csr_array(
        (np.ones(len(after)), (after, tree.before[after])), shape=shape
    )


def checked_scenarios(paths: ArrayLike, weights: ArrayLike) -> tuple[Floats, Floats]:
    """The paths and their probabilities, or the sentence what is wrong with them."""
    paths, weights = np.asarray(paths, dtype=float), np.asarray(weights, dtype=float)
    if paths.ndim != 2 or paths.size == 0:
        raise DataError(f"paths must have shape (n_scenarios, n_steps), got {paths.shape}")
    if np.isinf(paths).any():
        scenario, step = np.argwhere(np.isinf(paths))[0]
        raise DataError(f"paths is infinite in scenario {scenario}, interval {step}: correct it or set all to NaN")
    closed = np.isnan(paths)
    if (closed.any(axis=0) != closed.all(axis=0)).any():
        step = int(np.argmax(closed.any(axis=0) != closed.all(axis=0)))
        raise DataError(
            f"paths has a NaN in interval {step} in some scenarios only: the market is open or closed to all"
        )
    if weights.shape != paths.shape[:1]:
        raise DataError(f"weights must have shape ({len(paths)},), one for each scenario, got {weights.shape}")
    if not (weights >= 0).all() or not abs(weights.sum() - 1) <= _SUM_TOLERANCE:
        raise DataError(f"weights must not be negative and must sum to 1, they sum to {weights.sum():.9g}: scale them")
    return paths, weights / weights.sum()


def _checked_committed(n_committed: int | None, n_steps: int) -> int:
    if n_committed is None:
        return n_steps
    if not 0 <= n_committed <= n_steps:
        raise DataError(f"n_committed must be from 0 to the {n_steps} intervals of the plan, got {n_committed}")
    return n_committed


def _by_scenario(terminal: Segments, n_scenarios: int) -> Segments:
    """Segments of shape (n_scenarios, n_segments)."""
    shape = (n_scenarios, terminal.slope.shape[-1])
    width, slope = (np.broadcast_to(part, shape) for part in (terminal.width_mwh, terminal.slope))
    return Segments(width, slope, np.broadcast_to(terminal.base, n_scenarios))


def _worth(terminal: Segments, stored: Floats) -> Floats:
    """Worth of the energy at the end of each scenario, `stored` above the least, shape (n_scenarios,). [$]"""
    below = np.cumsum(terminal.width_mwh, axis=1) - terminal.width_mwh
    filled = np.clip(stored[:, np.newaxis] - below, 0.0, terminal.width_mwh)
    return np.asarray(terminal.base + (filled * terminal.slope).sum(axis=1))
