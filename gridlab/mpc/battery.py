"""
One battery that takes the price as given: the linear programme behind every plan.

The programme is compiled once for each number of intervals and solved again with new data. It is linear while prices
are positive; where a price is negative and the optimum would charge and discharge at once, to burn energy, binaries
are added for the intervals concerned until no interval does both.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery
from gridlab.errors import DataError, PlanError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SOLVERS = ("HIGHS", "CLARABEL", "SCS")
"""Solvers in the order in which they are tried; where binaries are needed only the first can answer."""

_OPTIONS: dict[str, dict[str, Any]] = {
    # the relaxation is so close to the optimum that heuristics for a first answer cost more than they save
    "HIGHS": {"mip_rel_gap": 1e-7, "mip_heuristic_effort": 0.0}
    | {f"mip_heuristic_run_{name}": False for name in ("rins", "rens", "root_reduced_cost")},
    "CLARABEL": {},
    "SCS": {},
}
_ENERGY_TOLERANCE = 1e-7  # MWh that is as good as nothing, an order above HiGHS's own feasibility tolerance
_SOLVING = Lock()  # a compiled programme holds the data of one solve at a time


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

    @property
    def power_mw(self) -> Floats:
        """Power into the grid, shape (n_steps,). [MW]"""
        return self.discharge_mw - self.charge_mw


def plan_battery(
    price: ArrayLike,
    battery: Battery,
    *,
    soc_mwh: float,
    step_hours: float,
    end_low_mwh: float,
    end_high_mwh: float,
    terminal_value: float = 0.0,
    price_beyond: ArrayLike = (),
) -> Plan:
    r"""
    The schedule of greatest profit at given prices.

    .. math::
        \max \; \sum_t p_t (d_t - c_t) - w \sum_t d_t + v s_T, \qquad
        s_t = s_{t-1} + \eta_c c_t - d_t / \eta_d,

    where :math:`c_t` and :math:`d_t` are the energy drawn from and delivered to the grid in an interval, :math:`s_t`
    the energy stored at its end, :math:`w` the cost of wear and :math:`v` the terminal value. No interval has both
    :math:`c_t > 0` and :math:`d_t > 0`. With `price_beyond` the sums run on over its intervals, so that energy left at
    the end of the plan is worth what it would earn there.

    Parameters
    ----------
    price : array_like, shape (n_steps,)
        Price of each interval; NaN where nothing can be traded. [$/MWh]
    battery : Battery
        Power, energy, efficiencies and wear.
    soc_mwh : float
        Energy stored at the start. [MWh]
    step_hours : float
        Length of an interval. [h]
    end_low_mwh, end_high_mwh : float
        Least and greatest energy stored at the end. [MWh]
    terminal_value : float
        Worth of each MWh stored at the end. [$/MWh]
    price_beyond : array_like, shape (n_beyond,)
        Prices believed to follow the plan. [$/MWh]

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
    ...     [10, 50], Battery(1, 1, 1, 1), soc_mwh=0, step_hours=1, end_low_mwh=0, end_high_mwh=0
    ... )
    >>> plan.power_mw.tolist(), plan.objective
    ([-1.0, 1.0], 40.0)
    """
    price, beyond = _checked_price(price, "price"), _checked_price(price_beyond, "price_beyond")
    if price.size == 0:
        raise DataError("price is empty: give it an entry for each interval of the plan")
    band = _reachable_band(price, battery, soc_mwh, step_hours, end_low_mwh, end_high_mwh)
    net, solver = _solve_one_way(_data(price, beyond, battery, soc_mwh, step_hours, band, terminal_value))
    net = net[: len(price)]
    charge, discharge = np.maximum(-net, 0.0), np.maximum(net, 0.0)
    soc = soc_mwh + np.cumsum(battery.eta_charge * charge - discharge / battery.eta_discharge)
    soc = np.clip(soc, battery.soc_low_mwh, battery.soc_high_mwh)
    sales = np.nan_to_num(price) @ net - battery.degradation_cost * discharge.sum()
    return Plan(charge / step_hours, discharge / step_hours, soc, float(sales + terminal_value * soc[-1]), solver)


def _checked_price(price: ArrayLike, name: str) -> Floats:
    price = np.asarray(price, dtype=float)
    if price.ndim != 1:
        raise DataError(f"{name} must be a vector with an entry for each interval, got shape {price.shape}")
    if np.isinf(price).any():
        raise DataError(
            f"{name} is infinite in interval {int(np.argmax(np.isinf(price)))}: correct it or set it to NaN"
        )
    return price


def _data(
    price: Floats,
    beyond: Floats,
    battery: Battery,
    soc_mwh: float,
    step_hours: float,
    band: tuple[float, float],
    terminal_value: float,
) -> dict[str, Any]:
    """The programme's parameters by name."""
    prices, last = np.concatenate([price, beyond]), len(price) - 1
    low, high = np.full(len(prices), battery.soc_low_mwh), np.full(len(prices), battery.soc_high_mwh)
    low[last], high[last] = band
    return {
        "price": np.nan_to_num(prices),
        "limit": np.where(np.isnan(prices), 0.0, battery.power_mw * step_hours),
        "wear": battery.degradation_cost,
        "eta_charge": battery.eta_charge,
        "per_discharge": 1 / battery.eta_discharge,
        "soc_start": soc_mwh,
        "soc_low": low,
        "soc_high": high,
        "value": np.where(np.arange(len(prices)) == last, terminal_value, 0.0),
    }


def _reachable_band(
    price: Floats, battery: Battery, soc: float, step_hours: float, end_low: float, end_high: float
) -> tuple[float, float]:
    """The part of the end band that the battery can reach; what lies outside by rounding only is moved in."""
    low, high = battery.soc_low_mwh, battery.soc_high_mwh
    if not low - _ENERGY_TOLERANCE <= soc <= high + _ENERGY_TOLERANCE:
        raise PlanError(f"soc_mwh = {soc:g} is outside the battery's {low:g} to {high:g} MWh: start within them")
    if not end_low <= end_high + _ENERGY_TOLERANCE:
        raise PlanError(f"end_low_mwh = {end_low:g} lies above end_high_mwh = {end_high:g}: swap or widen them")
    room = battery.power_mw * step_hours * np.count_nonzero(~np.isnan(price))
    least, most = max(low, soc - room / battery.eta_discharge), min(high, soc + room * battery.eta_charge)
    if end_low > most + _ENERGY_TOLERANCE:
        raise PlanError(
            f"end_low_mwh = {end_low:g} is {end_low - most:.3g} MWh above what the battery can reach from "
            f"{soc:g} MWh, {most:g}: lower end_low_mwh, start fuller or plan over more intervals"
        )
    if end_high < least - _ENERGY_TOLERANCE:
        raise PlanError(
            f"end_high_mwh = {end_high:g} is {least - end_high:.3g} MWh below what the battery can reach from "
            f"{soc:g} MWh, {least:g}: raise end_high_mwh, start emptier or plan over more intervals"
        )
    return max(low, min(end_low, most)), min(high, max(end_high, least))


def _solve_one_way(data: dict[str, Any]) -> tuple[Floats, str]:
    """Net energy into the grid by interval, and the solver: binaries are added until no interval goes both ways."""
    one_way = np.zeros(len(data["price"]), dtype=bool)
    with _SOLVING:
        while True:
            charge, discharge, solver = _compiled(len(one_way), bool(one_way.any())).solve(data, one_way)
            burnt = np.minimum(charge, discharge) * (data["per_discharge"] - data["eta_charge"])
            both = (burnt > _ENERGY_TOLERANCE) & ~one_way
            if not both.any():
                break
            one_way |= _runs_that_hold(both, data["price"] <= 0)
    net = discharge - charge
    return np.where(np.abs(net) > _ENERGY_TOLERANCE, net, 0.0), solver


def _runs_that_hold(steps: Flags, among: Flags) -> Flags:
    """The runs of `among` that hold one of `steps`: a burn that is forbidden in one interval moves to its neighbour."""
    run = np.cumsum(np.diff(among, prepend=False))
    return steps | (among & np.isin(run, run[steps]))


@dataclass(frozen=True)
class _Programme:
    """A compiled programme: its parameters by name, and the variables that are read off."""

    problem: Any
    parameters: dict[str, Any]
    charge: Any
    discharge: Any

    def solve(self, data: dict[str, Any], one_way: Flags) -> tuple[Floats, Floats, str]:
        """Energy drawn and delivered by interval, and the solver; `one_way` are the intervals with a binary."""
        for name, value in data.items():
            self.parameters[name].value = value
        if one_way.any():
            self.parameters["two_way_limit"].value = np.where(one_way, 0.0, data["limit"])
            self.parameters["greatest_limit"].value = data["limit"].max()
        solver = _first_that_answers(self.problem, SOLVERS[:1] if one_way.any() else SOLVERS)
        return np.maximum(self.charge.value, 0.0), np.maximum(self.discharge.value, 0.0), solver


@lru_cache(maxsize=32)
def _compiled(n_steps: int, binaries: bool) -> _Programme:
    """Energies in MWh an interval, so that the length of an interval does not enter."""
    import cvxpy as cp

    p = {name: cp.Parameter(n_steps) for name in ("price", "limit", "soc_low", "soc_high", "value")}
    p |= {name: cp.Parameter() for name in ("soc_start", "eta_charge", "per_discharge", "wear")}

    charge = cp.Variable(n_steps, nonneg=True, name="charge")
    discharge = cp.Variable(n_steps, nonneg=True, name="discharge")
    soc = cp.Variable(n_steps, name="soc")
    soc_before = cp.hstack([p["soc_start"], soc[:-1]])

    profit = p["price"] @ (discharge - charge) - p["wear"] * cp.sum(discharge) + p["value"] @ soc
    constraints = [
        soc == soc_before + p["eta_charge"] * charge - p["per_discharge"] * discharge,
        charge <= p["limit"],
        discharge <= p["limit"],
        p["soc_low"] <= soc,
        soc <= p["soc_high"],
    ]
    if binaries:
        p |= {"two_way_limit": cp.Parameter(n_steps), "greatest_limit": cp.Parameter()}
        charging = cp.Variable(n_steps, boolean=True, name="charging")
        constraints += [
            charge <= p["two_way_limit"] + p["greatest_limit"] * charging,
            discharge <= p["two_way_limit"] + p["greatest_limit"] * (1 - charging),
        ]
    return _Programme(cp.Problem(cp.Maximize(profit), constraints), p, charge, discharge)


def _first_that_answers(problem: Any, solvers: tuple[str, ...]) -> str:
    """Solve with each in turn until one is sure of its answer. No warm start: a plan depends on its data alone."""
    import cvxpy as cp

    said = []
    for solver in solvers:
        try:
            with warnings.catch_warnings():  # an inaccurate answer is told by the status, and refused below
                warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
                problem.solve(solver=solver, warm_start=False, **_OPTIONS[solver])
        except cp.SolverError as error:
            said.append(f"{solver}: {error}")
            continue
        if problem.status == cp.OPTIMAL:
            return solver
        said.append(f"{solver}: {problem.status}")
    raise PlanError(f"no solver found the optimum ({'; '.join(said)}): check the size of the prices and of the battery")
