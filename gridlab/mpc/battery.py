"""
One battery that takes the price as given: the linear programme behind every plan.

It is linear while prices are positive. Where a price is negative and the optimum would charge and discharge at once, to
burn energy, binaries are added for the intervals concerned until no interval does both. Where they take too long, as
in hours of the same negative price, the dynamic programme answers, to its grid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery
from gridlab.errors import DataError, PlanError
from gridlab.mpc.segments import Segments
from gridlab.mpc.value import value_of_energy
from gridlab.programme import Answer, Programme, Session
from gridlab.storage import bands_ahead, reach, stored_after, towards

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MOST_NODES = 500  # of a search for binaries: many equal negative prices have many equal plans
_STATES = 401  # of the dynamic programme that answers where binaries take too long
_ENERGY_TOLERANCE = 1e-7  # MWh that is as good as nothing, an order above HiGHS's own feasibility tolerance


@dataclass(frozen=True)
class Plan:
    """
    An optimal schedule of a battery.

    Parameters
    ----------
    charge_mw, discharge_mw : ndarray, shape (n_steps,)
        Power drawn from the grid and delivered to it; one of the two is zero in each interval. [MW]
    soc_mwh : ndarray, shape (n_steps,)
        Energy stored at the end of each interval. [MWh]
    objective : float
        Money expected: sales less purchases less wear, and the terminal value of what is left. [$]
    solver : str
        Which of `SOLVERS` answered.
    """

    charge_mw: Floats
    discharge_mw: Floats
    soc_mwh: Floats
    objective: float
    solver: str
    _answer: Answer | None = field(default=None, repr=False, compare=False)

    @property
    def power_mw(self) -> Floats:
        """Power into the grid, shape (n_steps,). [MW]"""
        return self.discharge_mw - self.charge_mw

    @property
    def shadow_prices(self) -> Mapping[str, Floats]:
        """
        What the objective gains for each MWh by which a limit is loosened in an interval, by limit. [$/MWh]

        `energy` is the value of a MWh more in store, `charging` and `discharging` are the power limits, `full` and
        `empty` those of the store, and `ramp` limits the change of power where there is one.
        """
        return {} if self._answer is None else self._answer.shadow_prices


def plan_battery(
    price: ArrayLike,
    battery: Battery,
    *,
    soc_mwh: float,
    step_hours: float,
    end_low_mwh: float,
    end_high_mwh: float,
    terminal_value: float | Segments = 0.0,
    power_mw: float = 0.0,
) -> Plan:
    r"""
    The schedule of greatest profit at given prices.

    .. math::
        \max \; \sum_t p_t (d_t - c_t) - w \sum_t d_t + V(s_T), \qquad
        s_t = k s_{t-1} + \eta_c c_t - d_t / \eta_d,

    where :math:`c_t` and :math:`d_t` are the energy drawn from and delivered to the grid in an interval, :math:`s_t`
    the energy stored above the least at its end, :math:`k` the share of it that does not leak in an interval,
    :math:`w` the cost of wear and :math:`V` the terminal value. No interval has both :math:`c_t > 0` and
    :math:`d_t > 0`.

    Parameters
    ----------
    price : array_like, shape (n_steps,)
        Price of each interval; NaN where nothing can be traded. [$/MWh]
    battery : Battery
        Power, energy, efficiencies, leak, ramp and wear.
    soc_mwh : float
        Energy stored at the start. [MWh]
    step_hours : float
        Length of an interval. [h]
    end_low_mwh, end_high_mwh : float
        Least and greatest energy stored at the end. [MWh]
    terminal_value : float or Segments
        Worth of each MWh stored at the end, or of each segment of the store. [$/MWh]
    power_mw : float
        Power in the interval before, from which the battery ramps. [MW]

    Returns
    -------
    Plan
        Optimal power and state of charge, and the solver that found them.

    Raises
    ------
    DataError
        If `price` is empty, not a vector or infinite.
    PlanError
        If the battery cannot start at `soc_mwh` or cannot end between `end_low_mwh` and `end_high_mwh`; the message
        names the limit and by how much it is missed.

    References
    ----------
    .. [1] E. Prat, R. M. Lusby and P. Pinson, arXiv:2508.12999: binaries only where the relaxation is not tight.

    Examples
    --------
    >>> plan = plan_battery(
    ...     [10, 50, 60], Battery(1, 4, 1, 1), soc_mwh=0, step_hours=1, end_low_mwh=0, end_high_mwh=0
    ... )
    >>> plan.power_mw.tolist(), plan.objective
    ([-1.0, 0.0, 1.0], 50.0)
    >>> plan.shadow_prices["charging"].tolist(), plan.shadow_prices["energy"].tolist()  # one more goes at 50
    ([40.0, 0.0, 0.0], [50.0, 50.0, 50.0])
    """
    terminal = terminal_value if isinstance(terminal_value, Segments) else Segments.flat(battery, terminal_value)
    return BatteryPlanner(battery, step_hours).plan(
        np.asarray(price, dtype=float), soc_mwh, (end_low_mwh, end_high_mwh), terminal, power_mw
    )


class BatteryPlanner:
    """
    The programme of one battery, solved again and again; `plan_battery` says what it solves.

    Parameters
    ----------
    battery : Battery
        The asset.
    step_hours : float
        Length of an interval. [h]
    """

    def __init__(self, battery: Battery, step_hours: float) -> None:
        if not 0 < step_hours < float("inf"):
            raise DataError(f"step_hours must be above 0 and finite, got {step_hours}")
        if battery.kept(step_hours) < 0:
            raise DataError(
                f"self_discharge_per_hour = {battery.self_discharge_per_hour:g} leaves less than nothing after "
                f"{step_hours:g} h: use shorter intervals"
            )
        self.battery = battery
        self.step_hours = step_hours
        self.usable_mwh = battery.soc_high_mwh - battery.soc_low_mwh
        self._ramp_mw = min(battery.ramp_mw_per_hour * step_hours, 2 * battery.power_mw)
        self._sessions: dict[tuple[int, int, bool], Session] = {}

    def plan(
        self, price: Floats, soc_mwh: float, end_band: tuple[float, float], terminal: Segments, power_mw: float = 0.0
    ) -> Plan:
        """The schedule of greatest profit; the arguments are those of `plan_battery`."""
        data = self._data(_checked_price(price), soc_mwh, end_band, terminal, power_mw)
        answer = solve_one_way(lambda one_way: self._session(data, one_way), data, data["price"])
        net = answer.values["discharge"] - answer.values["charge"]
        net[np.abs(net) <= _ENERGY_TOLERANCE] = 0.0
        charge, discharge = np.maximum(-net, 0.0), np.maximum(net, 0.0)
        hours, stored = self.step_hours, stored_after(net, data["start"], self.battery, self.step_hours)
        soc = np.minimum(np.maximum(stored, 0.0), self.usable_mwh) + self.battery.soc_low_mwh
        objective = answer.objective + float(terminal.base)
        if answer.solver == "HEURISTIC":
            wear = self.battery.degradation_cost * discharge.sum()
            objective = float(data["price"] @ net - wear + terminal.worth(stored[-1]))
        return Plan(charge / hours, discharge / hours, soc, objective, answer.solver, answer)

    def _data(
        self, price: Floats, soc_mwh: float, end_band: tuple[float, float], terminal: Segments, power_mw: float
    ) -> dict[str, Any]:
        """The programme's parameters by name."""
        battery, hours, n_steps = self.battery, self.step_hours, len(price)
        limit, ramp = np.full(n_steps, battery.power_mw * hours), np.full(n_steps, self._ramp_mw * hours)
        ramp[0] = max(ramp[0], abs(power_mw * hours))  # it may always come to rest, as with a store that is full
        closed = np.isnan(price)
        if closed.any():
            price, limit[closed] = np.where(closed, 0.0, price), 0.0
            ramp[closed] = 2 * battery.power_mw * hours  # a market that closes stops the battery at once
        floor, room = np.zeros(n_steps), np.full(n_steps, self.usable_mwh)
        start = self._start(soc_mwh)
        floor[-1], room[-1] = self._reachable_band(limit, start, end_band)
        return {
            "price": price,
            "limit": limit,
            "wear": battery.degradation_cost,
            "eta_charge": battery.eta_charge,
            "per_discharge": 1 / battery.eta_discharge,
            "kept": battery.kept(hours),
            "start": start,
            "start_kept": start * battery.kept(hours),
            "floor": floor,
            "room": room,
            "end_width": terminal.width_mwh,
            "end_slope": terminal.slope,
            "ramp": ramp,
            "net_before": power_mw * hours,
        }

    def _start(self, soc_mwh: float) -> float:
        """Energy stored above the least, at the start."""
        low, high = self.battery.soc_low_mwh, self.battery.soc_high_mwh
        if not low - _ENERGY_TOLERANCE <= soc_mwh <= high + _ENERGY_TOLERANCE:
            raise PlanError(
                f"soc_mwh = {soc_mwh:g} is outside the battery's {low:g} to {high:g} MWh: start within them"
            )
        return min(max(soc_mwh, low), high) - low

    def _reachable_band(self, limit: Floats, start: float, end_band: tuple[float, float]) -> tuple[float, float]:
        """The part of the end band that can be reached; what lies outside by rounding only is moved in."""
        base, (low, high), usable = self.battery.soc_low_mwh, end_band, self.usable_mwh
        if low <= base and high >= base + usable:
            return 0.0, usable
        least, most = reach(limit, start, self.battery, self.step_hours)
        if not low <= high + _ENERGY_TOLERANCE:
            raise PlanError(f"end_low_mwh = {low:g} lies above end_high_mwh = {high:g}: swap or widen them")
        if low - base > most + _ENERGY_TOLERANCE:
            raise PlanError(
                f"end_low_mwh = {low:g} is {low - base - most:.3g} MWh above what the battery can reach from "
                f"{base + start:g} MWh, {base + most:g}: lower end_low_mwh, start fuller or plan over more intervals"
            )
        if high - base < least - _ENERGY_TOLERANCE:
            raise PlanError(
                f"end_high_mwh = {high:g} is {least - high + base:.3g} MWh below what the battery can reach from "
                f"{base + start:g} MWh, {base + least:g}: raise end_high_mwh, start emptier or plan over more intervals"
            )
        return max(0.0, min(low - base, most)), max(high - base, least)

    def _session(self, data: Mapping[str, Any], one_way: Flags) -> Session:
        """The session of programmes of one size; it hot-starts from its last answer."""
        key = (len(one_way), len(data["end_width"]), bool(one_way.any()))
        if key not in self._sessions:
            ramps = self._ramp_mw < 2 * self.battery.power_mw
            whole = {"heuristic": self._on_a_grid, "most_nodes": _MOST_NODES}
            self._sessions[key] = Session(programme(*key, ramps), **whole if key[2] else {"heuristic": self._rest})
        return self._sessions[key]

    def _rest(self, data: Mapping[str, Any]) -> dict[str, Floats]:
        """Rest until the end band asks for energy in or out, and then move as late as can be."""
        return self._towards(np.zeros(len(data["limit"])), data)

    def _on_a_grid(self, data: Mapping[str, Any]) -> dict[str, Floats]:
        """The plan of the dynamic programme, for when the binaries take too long; a ramp it does not know."""
        battery, hours = self.battery, self.step_hours
        if self._ramp_mw < 2 * battery.power_mw:
            return self._rest(data)
        price = np.where(data["limit"] > 0, data["price"], np.nan)
        stored = np.linspace(0.0, battery.soc_high_mwh - battery.soc_low_mwh, _STATES)
        segments = Segments(data["end_width"], data["end_slope"], np.zeros(()))
        missed = np.maximum(data["floor"][-1] - stored, 0.0) + np.maximum(stored - data["room"][-1], 0.0)
        steep = 10 * (1 + np.abs(data["price"]).max()) / battery.eta_round_trip
        worth = np.array([segments.worth(energy) for energy in stored]) - steep * missed
        value = value_of_energy(price, battery, step_hours=hours, n_states=_STATES, terminal=worth)
        return self._towards(value.follow(battery.soc_low_mwh + data["start"])[0] * hours, data)

    def _towards(self, wish: Floats, data: Mapping[str, Any]) -> dict[str, Floats]:
        """The moves nearest to a wish that end in the band."""
        limit, ends = data["limit"], (data["floor"][-1], data["room"][-1])
        low, high = bands_ahead(limit, *ends, self.battery, self.step_hours)
        net = towards(wish, limit, data["start"], low, high, self.battery, self.step_hours, data["net_before"])
        return {"charge": np.maximum(-net, 0.0), "discharge": np.maximum(net, 0.0)}


@lru_cache(maxsize=64)
def programme(n_steps: int, n_segments: int, binaries: bool, ramps: bool) -> Programme:
    """The programme of `plan_battery`, in MWh an interval, so that the length of an interval does not enter."""
    import cvxpy as cp

    vectors = {name: cp.Parameter(n_steps) for name in ("price", "limit", "floor", "room")}
    segments = {name: cp.Parameter(n_segments) for name in ("end_width", "end_slope")}
    scalars = {name: cp.Parameter() for name in ("wear", "eta_charge", "per_discharge", "kept", "start_kept")}
    p = vectors | segments | scalars

    charge = cp.Variable(n_steps, name="charge")
    discharge = cp.Variable(n_steps, name="discharge")
    stored = cp.Variable(n_steps, name="stored")
    end = cp.Variable(n_segments, name="end")
    leaked = cp.hstack([p["start_kept"], p["kept"] * stored[:-1]])

    profit = p["price"] @ (discharge - charge) - p["wear"] * cp.sum(discharge) + p["end_slope"] @ end
    limits = {
        "energy": stored == leaked + p["eta_charge"] * charge - p["per_discharge"] * discharge,
        "charging": charge <= p["limit"],
        "discharging": discharge <= p["limit"],
        "full": stored <= p["room"],
        "empty": stored >= p["floor"],
    }
    signs = [charge >= 0, discharge >= 0, end >= 0, end <= p["end_width"], cp.sum(end) == stored[-1]]
    if ramps:
        p |= {"ramp": cp.Parameter(n_steps), "net_before": cp.Parameter()}
        net = discharge - charge
        change = net - cp.hstack([p["net_before"], net[:-1]])
        limits |= {"ramp up": change <= p["ramp"], "ramp down": -change <= p["ramp"]}
    if binaries:
        p |= {
            "two_way_limit": cp.Parameter(n_steps),
            "greatest_limit": cp.Parameter(),
        }
        charging = cp.Variable(n_steps, boolean=True, name="charging")
        signs += [
            charge <= p["two_way_limit"] + p["greatest_limit"] * charging,
            discharge <= p["two_way_limit"] + p["greatest_limit"] * (1 - charging),
        ]
    problem = cp.Problem(cp.Maximize(profit), [*limits.values(), *signs])
    return Programme(problem, p, {"charge": charge, "discharge": discharge, "stored": stored}, limits)


def solve_one_way(session_of: Callable[[Flags], Session], data: dict[str, Any], price: Floats) -> Answer:
    """
    The optimum in which nothing charges and discharges at once: binaries are added until it is so.

    `session_of` gives the session with binaries for some of the intervals, or nodes of a tree, whose limits are filled
    into `data`; `price` says where energy may be worth burning.
    """
    one_way = np.zeros(len(data["limit"]), dtype=bool)
    while True:
        answer = session_of(one_way).solve(data)
        both = both_ways(answer, data)
        if not both.any() or not (both & ~one_way).any():
            return answer
        one_way |= runs_that_hold(both, price <= 0)
        data |= two_way_limits(data, one_way)


def both_ways(answer: Answer, data: Mapping[str, Any]) -> Flags:
    """The intervals that charge and discharge to burn energy."""
    burnt = np.minimum(answer.values["charge"], answer.values["discharge"])
    return np.asarray(burnt * (data["per_discharge"] - data["eta_charge"]) > _ENERGY_TOLERANCE)


def two_way_limits(data: Mapping[str, Any], one_way: Flags) -> dict[str, Any]:
    """What the binaries leave to each interval."""
    return {"two_way_limit": np.where(one_way, 0.0, data["limit"]), "greatest_limit": data["limit"].max()}


def runs_that_hold(steps: Flags, among: Flags) -> Flags:
    """The runs of `among` that hold one of `steps`: a burn that is forbidden in one interval moves to its neighbour."""
    run = np.cumsum(np.diff(among, prepend=False))
    return steps | (among & np.isin(run, run[steps]))


def _checked_price(price: Floats) -> Floats:
    if price.ndim != 1 or price.size == 0:
        raise DataError(f"price must be a vector with an entry for each interval, got shape {price.shape}")
    if np.isinf(price).any():
        raise DataError(f"price is infinite in interval {int(np.argmax(np.isinf(price)))}: correct it or set it to NaN")
    return price
