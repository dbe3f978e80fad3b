r"""
A battery's plan for the worst prices of a set around the forecast.

Each price lies between a low and a high one. Sales fear low prices and purchases high ones; how many prices may be at
their worst is bounded by a budget, which leaves a linear programme, or by an ellipsoid, which leaves a cone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery, Site
from gridlab.errors import DataError, PlanError
from gridlab.mpc.base import Decision, Planner, PlanningPolicy, State, Window
from gridlab.mpc.battery import BatteryPlanner, both_ways, solve_one_way, two_way_limits
from gridlab.mpc.policies import ModelPredictive, battery_of, end_band
from gridlab.mpc.segments import Segments
from gridlab.programme import MOST_NODES, Answer, Programme, Session
from gridlab.programme.session import _asked_by_cvxpy
from gridlab.schema import quantile_column
from gridlab.storage import bands_ahead, stored_after, towards

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Uncertainty = Literal["budget", "ellipsoid"]

_ENERGY_TOLERANCE = 1e-7  # MWh that is as good as nothing
_SLIP = 1e-4  # of the greatest energy, by which what can be done may miss what a solver says
_GAP = 1e-5  # of the objective, by which the answer of a conic solver may miss its bound
_TANGENTS = 16  # of the cone, by which a linear programme grows
_MOST_ROUNDS = 100  # of such programmes


@dataclass(frozen=True)
class RobustPlan:
    """
    A schedule, what it earns at worst, and the prices at which it does.

    Parameters
    ----------
    charge_mw, discharge_mw : ndarray, shape (n_steps,)
        Power drawn from the grid and delivered to it; one of the two is zero in each interval. [MW]
    soc_mwh : ndarray, shape (n_steps,)
        Energy stored at the end of each interval. [MWh]
    worst_price : ndarray, shape (n_steps,)
        Prices of the set at which the schedule earns least. [$/MWh]
    objective : float
        What it earns there: sales less purchases less wear, and the terminal value of what is left. [$]
    expected_profit : float
        What it earns at the expected prices. [$]
    solver : str
        Which of `SOLVERS` answered.
    """

    charge_mw: Floats
    discharge_mw: Floats
    soc_mwh: Floats
    worst_price: Floats
    objective: float
    expected_profit: float
    solver: str

    @property
    def power_mw(self) -> Floats:
        """Power into the grid, shape (n_steps,). [MW]"""
        return self.discharge_mw - self.charge_mw


def plan_robust(
    mean: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    battery: Battery,
    *,
    soc_mwh: float,
    step_hours: float,
    end_low_mwh: float,
    end_high_mwh: float,
    uncertainty: Uncertainty = "budget",
    budget: float = 1.0,
    kappa: float = 0.5,
    terminal_value: float | Segments = 0.0,
    power_mw: float = 0.0,
) -> RobustPlan:
    r"""
    The schedule that earns most at the prices of a set that are worst for it.

    .. math::
        \max \; \sum_t p_t (d_t - c_t) - w \sum_t d_t + V(s_T) - \beta(x), \qquad
        x_t = (p_t - \underline{p}_t) d_t + (\bar{p}_t - p_t) c_t,

    where :math:`x_t` is the money at risk in an interval, what is sold being at risk of low prices and what is bought
    of high ones, and :math:`\beta` is what the worst prices take. With at most :math:`\Gamma` prices at their worst,
    one of them in part where :math:`\Gamma` is not whole [1]_, it is by duality

    .. math::
        \beta(x) = \min \; \Gamma z + \sum_t q_t, \qquad z + q_t \ge x_t, \quad z, q_t \ge 0,

    and with deviations in an ellipsoid [2]_, :math:`\beta(x) = \kappa \lVert x \rVert_2`. The battery is that of
    `plan_battery`.

    Parameters
    ----------
    mean, low, high : array_like, shape (n_steps,)
        Expected, least and greatest price of each interval, NaN where nothing can be traded. A mean outside the other
        two leaves no risk on that side. [$/MWh]
    battery : Battery
        Power, energy, efficiencies, leak, ramp and wear.
    soc_mwh : float
        Energy stored at the start. [MWh]
    step_hours : float
        Length of an interval. [h]
    end_low_mwh, end_high_mwh : float
        Least and greatest energy stored at the end. [MWh]
    uncertainty : {"budget", "ellipsoid"}
        Shape of the set.
    budget : float
        :math:`\Gamma`, how many prices may be at their worst; from the number of intervals on, all of them. With 0 the
        plan is that of point MPC. [intervals]
    kappa : float
        :math:`\kappa`, the ellipsoid's size; one price alone deviates by as many of its ranges. [-]
    terminal_value : float or Segments
        Worth of each MWh stored at the end, or of each segment of the store. [$/MWh]
    power_mw : float
        Power in the interval before, from which the battery ramps. [MW]

    Returns
    -------
    RobustPlan
        Optimal power and state of charge, the worst prices, and the solver that found them.

    Raises
    ------
    DataError
        If the prices are of different lengths, infinite or unknown in different intervals, `low` is above `high`,
        `budget` or `kappa` is negative, or `uncertainty` is not one of the two.
    PlanError
        If the battery cannot start at `soc_mwh` or cannot end between `end_low_mwh` and `end_high_mwh`.

    Notes
    -----
    A cone is solved by SCS. Its answer counts if the store's limits are kept by doing what it says interval by interval
    and it earns as much as the best schedule for its own worst prices, which bounds every answer, up to 1e-5 of it;
    otherwise Clarabel is asked. Where the optimum would charge and discharge at once, a linear programme with binaries
    and tangents of the cone, and the cone with the directions that it finds, close in on the optimum from both sides
    [3]_.

    References
    ----------
    .. [1] D. Bertsimas and M. Sim, "The price of robustness," Operations Research 52(1), 2004, Prop. 1 and Thm. 1,
       doi:10.1287/opre.1030.0065.
    .. [2] A. Ben-Tal and A. Nemirovski, "Robust solutions of uncertain linear programs," Operations Research Letters
       25(1), 1999, doi:10.1016/S0167-6377(99)00016-4.
    .. [3] M. A. Duran and I. E. Grossmann, "An outer-approximation algorithm for a class of mixed-integer nonlinear
       programs," Mathematical Programming 36, 1986, doi:10.1007/BF02592064.

    Examples
    --------
    Bought at 10 for certain and sold at 50 for certain or at 60, give or take 30:

    >>> battery, options = Battery(1, 1, 1, 1), {"soc_mwh": 0, "step_hours": 1, "end_low_mwh": 0, "end_high_mwh": 0}
    >>> plan = plan_robust([10, 50, 60], [10, 50, 30], [10, 50, 90], battery, budget=0, **options)
    >>> plan.power_mw.tolist(), plan.objective
    ([-1.0, 0.0, 1.0], 50.0)
    >>> plan = plan_robust([10, 50, 60], [10, 50, 30], [10, 50, 90], battery, budget=1, **options)
    >>> plan.power_mw.tolist(), plan.objective
    ([-1.0, 1.0, 0.0], 40.0)
    """
    aim = _Aim(uncertainty, budget, kappa)
    terminal = terminal_value if isinstance(terminal_value, Segments) else Segments.flat(battery, terminal_value)
    prices = _checked_prices(mean, low, high)
    return _RobustPlanner(battery, step_hours, aim).plan(
        *prices, soc_mwh, (end_low_mwh, end_high_mwh), terminal, power_mw
    )


@dataclass(frozen=True)
class Robust(PlanningPolicy):
    """
    The best schedule for the worst prices between two quantiles of the forecast, by `plan_robust`.

    Energy left at the end of a plan is worth what `ModelPredictive` says.

    Parameters
    ----------
    uncertainty : {"budget", "ellipsoid"}
        Shape of the set of prices.
    level : float
        Probability between the two quantiles, in (0, 1); for 0.8 the forecast needs the columns `q10` and `q90`. [-]
    budget : float
        How many prices of a plan may be at their worst. [intervals]
    kappa : float
        Size of the ellipsoid. [-]
    terminal_value : float, optional
        As in `ModelPredictive`. [$/MWh]

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC", name="time")
    >>> forecast = pd.DataFrame({"mean": [10.0, 50, 60], "q10": [10.0, 50, 30], "q90": [10.0, 50, 90]}, index=times)
    >>> state = State(Battery(1, 1, 1, 1), soc_mwh=0, end_low_mwh=0, end_high_mwh=0)
    >>> Robust(budget=1)(state, forecast)["battery_mw"].tolist()
    [-1.0, 1.0, 0.0]
    >>> Robust(budget=1)(state, forecast[["mean"]])
    Traceback (most recent call last):
    gridlab.errors.DataError: level = 0.8 needs the columns q10 and q90, the forecast has mean: add them or change level
    """

    uncertainty: Uncertainty = "budget"
    level: float = 0.8
    budget: float = 1.0
    kappa: float = 0.5
    terminal_value: float | None = None

    def __post_init__(self) -> None:
        _Aim(self.uncertainty, self.budget, self.kappa)
        if not 0 < self.level < 1:
            raise DataError(f"level must be in (0, 1), got {self.level}")

    def planner(self, asset: Battery | Site, step_hours: float) -> Planner:
        """Solve the robust programme on the window's mean and quantiles."""
        point = ModelPredictive(self.terminal_value)
        planner = _RobustPlanner(battery_of(asset), step_hours, _Aim(self.uncertainty, self.budget, self.kappa))

        def plan(state: State, window: Window) -> Decision:
            prices = _checked_prices(window.mean, *self._range(window))
            terminal = point.terminal(window, planner.one_path.battery)
            found = planner.plan(*prices, state.soc_mwh, end_band(state), terminal, state.power_mw)
            return Decision({"battery_mw": found.power_mw, "soc_mwh": found.soc_mwh}, found.solver)

        return plan

    def _range(self, window: Window) -> tuple[Floats, Floats]:
        """The outer quantiles, closed where the mean is."""
        names = [quantile_column((1 + side * self.level) / 2) for side in (-1, 1)]
        if any(name not in window.columns for name in names):
            raise DataError(
                f"level = {self.level} needs the columns {' and '.join(names)}, the forecast has "
                f"{', '.join(window.columns)}: add them or change level"
            )
        low, high = (np.where(np.isnan(window.mean), np.nan, window.columns[name]) for name in names)
        return low, high


@dataclass(frozen=True)
class _Aim:
    """The set of prices that a plan is to stand."""

    uncertainty: Uncertainty
    budget: float
    kappa: float

    def __post_init__(self) -> None:
        if self.uncertainty not in get_args(Uncertainty):
            raise DataError(f"uncertainty must be 'budget' or 'ellipsoid', got {self.uncertainty!r}")
        for name, number in (("budget", self.budget), ("kappa", self.kappa)):
            if not 0 <= number < np.inf:
                raise DataError(f"{name} must be at least 0 and finite, got {number}")

    def worst(self, at_risk: Floats) -> Floats:
        """The share of its range by which each price deviates at worst, given the money at risk, shape (n_steps,)."""
        if self.uncertainty == "ellipsoid":
            norm = float(np.linalg.norm(at_risk))
            return self.kappa * at_risk / norm if norm > 0 else np.zeros(len(at_risk))
        share = np.zeros(len(at_risk))
        share[np.argsort(-at_risk, kind="stable")] = np.clip(self.budget - np.arange(len(at_risk)), 0.0, 1.0)
        return share


class _Shape(NamedTuple):
    """What a compiled programme is made for; `protection` is a set's or, for the cone, that of so many tangents."""

    n_steps: int
    n_segments: int
    protection: Uncertainty | int
    ramps: bool
    binaries: bool


class _RobustPlanner:
    """The robust programme of one battery, solved again and again."""

    def __init__(self, battery: Battery, step_hours: float, aim: _Aim) -> None:
        self.one_path = BatteryPlanner(battery, step_hours)
        self.aim = aim
        self._sessions: dict[_Shape, Session] = {}

    def plan(
        self,
        mean: Floats,
        low: Floats,
        high: Floats,
        soc_mwh: float,
        end_band: tuple[float, float],
        terminal: Segments,
        power_mw: float,
    ) -> RobustPlan:
        """As `plan_robust`."""
        data = self.one_path._data(mean, soc_mwh, end_band, terminal, power_mw)
        data |= {"charge_limit": data["limit"], "discharge_limit": data["limit"], "end_base": float(terminal.base)}
        data["sale_range"] = np.nan_to_num(np.maximum(mean - low, 0.0))
        data["purchase_range"] = np.nan_to_num(np.maximum(high - mean, 0.0))
        if self.aim.uncertainty == "budget":
            answer = self._by_budget(data | {"budget": self.aim.budget})
        else:
            answer = self._by_cone(data)
        net = answer.values["discharge"] - answer.values["charge"]
        net[np.abs(net) <= _ENERGY_TOLERANCE] = 0.0
        return self._told(net, data, answer.solver)

    def _told(self, net: Floats, data: Mapping[str, Any], solver: str) -> RobustPlan:
        """The plan whose energy into the grid is `net`, and what it earns."""
        hours, battery = self.one_path.step_hours, self.one_path.battery
        stored = stored_after(net, data["start"], battery, hours)
        charge, discharge = np.maximum(-net, 0.0), np.maximum(net, 0.0)
        expected = self._profit(charge, discharge, stored[-1], data) + data["end_base"]
        deviation = self.aim.worst(_at_risk(charge, discharge, data))
        price = data["price"] + np.where(net > 0, -data["sale_range"], data["purchase_range"]) * deviation
        soc = battery.soc_low_mwh + np.clip(stored, 0.0, battery.soc_high_mwh - battery.soc_low_mwh)
        worst = expected - float(deviation @ _at_risk(charge, discharge, data))
        return RobustPlan(charge / hours, discharge / hours, soc, price, worst, expected, solver)

    def _profit(self, charge: Floats, discharge: Floats, stored: float, data: Mapping[str, Any]) -> float:
        """What a schedule earns at the expected prices, less the worth of an empty store at the end."""
        below = np.cumsum(data["end_width"]) - data["end_width"]
        left = np.clip(stored - below, 0.0, data["end_width"]) @ data["end_slope"]
        return float(data["price"] @ (discharge - charge) - data["wear"] * discharge.sum() + left)

    def _by_budget(self, data: dict[str, Any]) -> Answer:
        """The optimum of the linear programme in which no interval charges and discharges."""
        return solve_one_way(lambda one_way: self._session(data, "budget", one_way), data, data["price"])

    def _by_cone(self, data: Mapping[str, Any]) -> Answer:
        """The answer of a conic solver that earns what its own prices promise, or else the best of all directions."""
        both_ways_allowed = np.zeros(len(data["price"]), dtype=bool)
        for solver in ("SCS", "CLARABEL"):
            found = self._asked(data, solver)
            if found is not None:
                answer, tangent = found
                if _earns(answer, self._with_tangents(data, [tangent], both_ways_allowed)):
                    return answer
        return self._by_directions(data)

    def _by_directions(self, data: Mapping[str, Any]) -> Answer:
        """
        The optimum in which no interval charges and discharges.

        A programme with tangents in place of the cone says in which direction each interval goes, the cone what is best
        in those directions, and its worst prices are the next tangent. What is still unproven after all rounds counts
        as an answer of the heuristic.
        """
        tangents: list[Floats] = []
        answers: list[Answer] = []
        one_way = data["price"] <= 0
        for _ in range(_MOST_ROUNDS):
            promised = self._with_tangents(data, tangents, one_way)
            one_way = one_way | both_ways(promised, data)
            directed = _directed(data, promised, one_way)
            found = [self._asked(directed, "SCS") or self._asked(directed, "CLARABEL"), self._priced(promised, data)]
            for answer, tangent in filter(None, found):
                answers.append(answer)
                tangents.append(tangent)
            best = max(answers, key=_objective, default=None)
            if best is not None and _earns(best, promised):
                return best
        return Answer(self.one_path._rest(data) if best is None else best.values, float("nan"), "HEURISTIC", dict)

    def _asked(self, data: Mapping[str, Any], solver: str) -> tuple[Answer, Floats] | None:
        """A conic solver's answer as the battery would carry it out, and the deviations of the prices worst for it."""
        shape = self._shape(data, "ellipsoid", binaries=False)
        scaled = {**data, **{name: self.aim.kappa * data[name] for name in ("sale_range", "purchase_range")}}
        try:
            answer, _ = _asked_by_cvxpy(_programme(shape), scaled, solver)
        except PlanError:  # that no schedule is feasible is for the linear programmes to say, which are exact
            return None
        done = None if answer is None else self._carried_out(answer, data)
        if answer is None or done is None:
            return None
        return done, self.aim.kappa * _within_ball(answer.shadow_prices["at_risk"])

    def _priced(self, answer: Answer, data: Mapping[str, Any]) -> tuple[Answer, Floats] | None:
        """A linear programme's answer as the battery would carry it out, and the deviations worst for it."""
        done = self._carried_out(answer, data)
        return None if done is None else (done, self.aim.worst(_at_risk(**done.values, data=data)))

    def _carried_out(self, answer: Answer, data: Mapping[str, Any]) -> Answer | None:
        """The answer as the battery would carry it out, and what it earns at worst; None if it cannot be done."""
        battery, hours = self.one_path.battery, self.one_path.step_hours
        bands = bands_ahead(data["limit"], data["floor"][-1], data["room"][-1], battery, hours)
        wish = answer.values["discharge"] - answer.values["charge"]
        net = towards(wish, data["limit"], data["start"], *bands, battery, hours, data["net_before"])
        if np.abs(net - wish).max() > _SLIP * battery.power_mw * hours:
            return None
        charge, discharge = np.maximum(-net, 0.0), np.maximum(net, 0.0)
        end, at_risk = stored_after(net, data["start"], battery, hours)[-1], _at_risk(charge, discharge, data)
        earned = self._profit(charge, discharge, end, data) - float(self.aim.worst(at_risk) @ at_risk)
        return replace(answer, values={"charge": charge, "discharge": discharge}, objective=earned)

    def _with_tangents(self, data: Mapping[str, Any], tangents: list[Floats], one_way: Flags) -> Answer:
        """The optimum if only these deviations of the prices could occur: no less than with all of them."""
        rows = np.zeros((-(-max(len(tangents), 1) // _TANGENTS) * _TANGENTS, len(one_way)))
        rows[: len(tangents)] = tangents if tangents else 0.0
        ranges = {f"{side}_deviation": rows * data[f"{side}_range"] for side in ("sale", "purchase")}
        return self._session(data, len(rows), one_way).solve({**data, **ranges, **two_way_limits(data, one_way)})

    def _session(self, data: Mapping[str, Any], protection: Uncertainty | int, one_way: Flags) -> Session:
        """The session of programmes of one shape; it hot-starts from its last answer."""
        shape = self._shape(data, protection, bool(one_way.any()))
        if shape not in self._sessions:
            self._sessions[shape] = Session(_programme(shape), heuristic=self.one_path._rest, most_nodes=MOST_NODES)
        return self._sessions[shape]

    def _shape(self, data: Mapping[str, Any], protection: Uncertainty | int, binaries: bool) -> _Shape:
        battery = self.one_path.battery
        ramps = battery.ramp_mw_per_hour * self.one_path.step_hours < 2 * battery.power_mw
        return _Shape(len(data["price"]), len(data["end_width"]), protection, ramps, binaries)


@lru_cache(maxsize=64)
def _programme(shape: _Shape) -> Programme:
    """The programme of `plan_robust`, in MWh an interval."""
    import cvxpy as cp

    n_steps = shape.n_steps
    vectors = {name: cp.Parameter(n_steps) for name in ("price", "charge_limit", "discharge_limit", "floor", "room")}
    segments = {name: cp.Parameter(shape.n_segments) for name in ("end_width", "end_slope")}
    scalars = {name: cp.Parameter() for name in ("wear", "eta_charge", "per_discharge", "kept", "start_kept")}
    p = vectors | segments | scalars

    charge = cp.Variable(n_steps, name="charge")
    discharge = cp.Variable(n_steps, name="discharge")
    stored = cp.Variable(n_steps, name="stored")
    end = cp.Variable(shape.n_segments, name="end")
    leaked = cp.hstack([p["start_kept"], p["kept"] * stored[:-1]])

    profit = p["price"] @ (discharge - charge) - p["wear"] * cp.sum(discharge) + p["end_slope"] @ end
    limits = {
        "energy": stored == leaked + p["eta_charge"] * charge - p["per_discharge"] * discharge,
        "charging": charge <= p["charge_limit"],
        "discharging": discharge <= p["discharge_limit"],
        "full": stored <= p["room"],
        "empty": stored >= p["floor"],
    }
    signs = [charge >= 0, discharge >= 0, end >= 0, end <= p["end_width"], cp.sum(end) == stored[-1]]
    protection, worst = _protection(shape, p, limits, charge, discharge)
    if shape.ramps:
        p |= {"ramp": cp.Parameter(shape.n_steps), "net_before": cp.Parameter()}
        net = discharge - charge
        change = net - cp.hstack([p["net_before"], net[:-1]])
        limits |= {"ramp up": change <= p["ramp"], "ramp down": -change <= p["ramp"]}
    if shape.binaries:
        p |= {"two_way_limit": cp.Parameter(n_steps), "greatest_limit": cp.Parameter()}
        charging = cp.Variable(n_steps, boolean=True, name="charging")
        signs += [
            charge <= p["two_way_limit"] + p["greatest_limit"] * charging,
            discharge <= p["two_way_limit"] + p["greatest_limit"] * (1 - charging),
        ]
    problem = cp.Problem(cp.Maximize(profit - protection), [*limits.values(), *signs, *worst])
    return Programme(problem, p, {"charge": charge, "discharge": discharge, "stored": stored}, limits)


def _protection(
    shape: _Shape, p: dict[str, Any], limits: dict[str, Any], charge: Any, discharge: Any
) -> tuple[Any, list[Any]]:
    """What the worst prices of the set take, and the constraints that say so."""
    import cvxpy as cp

    if isinstance(shape.protection, int):
        size = (shape.protection, shape.n_steps)
        p |= {name: cp.Parameter(size) for name in ("sale_deviation", "purchase_deviation")}
        most = cp.Variable(name="most")
        return most, [most >= p["sale_deviation"] @ discharge + p["purchase_deviation"] @ charge, most >= 0]
    p |= {name: cp.Parameter(shape.n_steps) for name in ("sale_range", "purchase_range")}
    at_risk = cp.multiply(p["sale_range"], discharge) + cp.multiply(p["purchase_range"], charge)
    if shape.protection == "ellipsoid":
        risk = cp.Variable(shape.n_steps, name="at_risk")
        limits["at_risk"] = risk == at_risk  # its prices are the worst deviations
        return cp.norm2(risk), []
    p |= {"budget": cp.Parameter()}
    threshold, excess = cp.Variable(name="threshold"), cp.Variable(shape.n_steps, name="excess")
    return p["budget"] * threshold + cp.sum(excess), [threshold + excess >= at_risk, threshold >= 0, excess >= 0]


def _at_risk(charge: Floats, discharge: Floats, data: Mapping[str, Any]) -> Floats:
    """Money at risk in each interval. [$]"""
    return np.asarray(data["sale_range"] * discharge + data["purchase_range"] * charge)


def _directed(data: Mapping[str, Any], answer: Answer, one_way: Flags) -> dict[str, Any]:
    """The parameters with the intervals of `one_way` held to the direction of an answer."""
    charges = answer.values["charge"] > answer.values["discharge"]
    allowed = {"charge_limit": ~one_way | charges, "discharge_limit": ~one_way | ~charges}
    return {**data, **{name: np.where(steps, data["limit"], 0.0) for name, steps in allowed.items()}}


def _within_ball(deviation: Floats) -> Floats:
    """Deviations of a cone's prices, whose sign is the solver's, scaled to the ball if they lie outside it."""
    return np.asarray(np.abs(deviation) / max(1.0, float(np.linalg.norm(deviation))))


def _objective(answer: Answer) -> float:
    return answer.objective


def _earns(answer: Answer, promised: Answer) -> bool:
    """Whether an answer is worth, up to the tolerance, what was promised of the best."""
    return promised.objective - answer.objective <= _GAP * max(1.0, abs(answer.objective))


def _checked_prices(mean: ArrayLike, low: ArrayLike, high: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """The prices as vectors, or the sentence what is wrong with them."""
    named = {name: np.asarray(part, dtype=float) for name, part in (("mean", mean), ("low", low), ("high", high))}
    mean, low, high = named.values()
    for name, part in named.items():
        if part.ndim != 1 or part.size == 0 or part.shape != mean.shape:
            raise DataError(f"{name} must be a vector as long as mean, {mean.shape}, got shape {part.shape}")
        if np.isinf(part).any():
            raise DataError(
                f"{name} is infinite in interval {int(np.argmax(np.isinf(part)))}: correct it or set it to NaN"
            )
        if (np.isnan(part) != np.isnan(mean)).any():
            step = int(np.argmax(np.isnan(part) != np.isnan(mean)))
            raise DataError(f"{name} and mean are not both known in interval {step}: give both or neither")
    if (low > high).any():
        step = int(np.argmax(low > high))
        raise DataError(f"low is above high in interval {step}, {low[step]:g} and {high[step]:g}: swap them")
    return mean, low, high
