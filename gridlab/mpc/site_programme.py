r"""
A site's programme, block by block: battery, machines, cooling, grid.

With energies in MWh an interval: :math:`c_t` and :math:`d_t` are drawn from and delivered to the grid by the battery,
:math:`s_t` is stored in it above its least, :math:`n_{it}` machines of type :math:`i` run, :math:`u_{it}` and
:math:`v_{it}` of them are started and stopped, :math:`q_{kt}` is the heat that the chiller removes in the
:math:`k`-th piece of its part-load curve and :math:`g_t` the energy into the grid:

.. math::
    \max \; & \sum_t p_t g_t - w \sum_t d_t + \sum_{it} (y_i \pi_{it} n_{it} - \alpha_i u_{it} - \beta_i v_{it})
              - D \, (P - P_0) + V(s_T) \\
    g_t &= d_t - c_t - \sum_i h e_i n_{it} - \text{COP}_t^{-1} \Bigl(h a Q + \sum_k b_k q_{kt}\Bigr) \\
    s_t &= \kappa s_{t-1} + \eta_c c_t - d_t / \eta_d \\
    u_{it} - v_{it} &= n_{it} - n_{i,t-1}, \qquad \sum_{\tau = t - m_i + 1}^{t} u_{i\tau} \le n_{it} \\
    \sum_k q_{kt} &= \sum_i h e_i n_{it} \quad \text{or the room's temperature moves} \\
    P &\ge -g_t / h, \qquad P \ge P_0

and every power, energy, count and temperature within its limits. The part-load curve is replaced by its chords, which
lie above it, so that the power planned for cooling is enough; the service of a day, and the room's limits, may be
missed at a price that makes it the last resort.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gridlab.assets import Battery, Cooling, Machine, Site
from gridlab.errors import DataError
from gridlab.programme import Programme

GIVEN = "given: "
"""Before the name of the limit in that of the variable by which it gives way."""

N_CHORDS = 8
"""Chords of the part-load curve; the power is at most ``c / (4 * N_CHORDS**2)`` of that at full load too great."""


class Shape(NamedTuple):
    """
    What a programme is compiled for.

    Parameters
    ----------
    sites : tuple of (str, Site)
        The sites and the prefix of their names.
    n_steps : int
        Intervals.
    step_hours : float
        Length of an interval. [h]
    n_days, n_months : int
        Market days and calendar months that the plan touches.
    n_pieces : int
        Pieces of the value of the energy stored at the end.
    burns : bool
        Whether binaries keep the battery and the chiller from wasting energy.
    elastic : bool
        Whether to ask for the least by which limits must give way, and not for profit.
    shares_budget : bool
        Whether the sites together may draw no more than a budget.
    """

    sites: tuple[tuple[str, Site], ...]
    n_steps: int
    step_hours: float
    n_days: int = 1
    n_months: int = 1
    n_pieces: int = 1
    burns: bool = False
    elastic: bool = False
    shares_budget: bool = False


@lru_cache(maxsize=64)
def site_programme(shape: Shape) -> Programme:
    """The programme of a site, or of several that share one price and one budget of power."""
    draft = Draft(shape)
    grids = [_site(draft.of(prefix), site) for prefix, site in shape.sites]
    if shape.shares_budget:
        imports = [draft.variable(f"{prefix}import", nonneg=True) for prefix, _ in shape.sites]
        draft.constraints += [drawn >= -grid for drawn, grid in zip(imports, grids, strict=True)]
        draft.limit("budget", sum(imports), draft.parameter("budget"), size=shape.step_hours)
    return draft.programme()


def chords(cooling: Cooling) -> tuple[float, np.ndarray[Any, np.dtype[np.float64]]]:
    """Power at no load as a share of that heat capacity over COP, and the slopes of the chords over COP. [-]"""
    at_none, linear, quadratic = cooling.part_load
    return at_none, linear + quadratic * (2 * np.arange(N_CHORDS) + 1) / N_CHORDS


@dataclass
class Draft:
    """A programme being written: its names, constraints and profit."""

    shape: Shape
    prefix: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    constraints: list[Any] = field(default_factory=list)
    profit: list[Any] = field(default_factory=list)

    def of(self, prefix: str) -> "Draft":
        """The same programme, for the site with a prefix."""
        return Draft(self.shape, prefix, self.parameters, self.variables, self.limits, self.constraints, self.profit)

    def parameter(self, name: str, *shape: int, shared: bool = False) -> Any:
        """A parameter, by default one number for each interval."""
        import cvxpy as cp

        name = name if shared else self.prefix + name
        if name not in self.parameters:
            self.parameters[name] = cp.Parameter(shape or self.shape.n_steps, name=name)
        return self.parameters[name]

    def scalar(self, name: str) -> Any:
        """A parameter that is one number."""
        import cvxpy as cp

        return self.parameters.setdefault(self.prefix + name, cp.Parameter(name=self.prefix + name))

    def variable(self, name: str, *shape: int, **kind: bool) -> Any:
        """A variable, by default one number for each interval."""
        import cvxpy as cp

        return self.variables.setdefault(
            self.prefix + name, cp.Variable(shape or self.shape.n_steps, name=self.prefix + name, **kind)
        )

    def programme(self) -> Programme:
        """The programme as it stands, with the parameters that it uses."""
        import cvxpy as cp

        problem = cp.Problem(cp.Maximize(sum(self.profit, cp.Constant(0.0))), self.constraints)
        used = {parameter.id for parameter in problem.parameters()}
        parameters = {name: parameter for name, parameter in self.parameters.items() if parameter.id in used}
        return Programme(problem, parameters, self.variables, self.limits)

    def law(self, constraint: Any) -> None:
        """What always holds."""
        self.constraints.append(constraint)

    def balance(self, name: str, constraint: Any) -> None:
        """What always holds, and what more of it would be worth is of interest."""
        self.limits[self.prefix + name] = constraint
        self.constraints.append(constraint)

    def limit(self, name: str, lesser: Any, greater: Any, *, size: float, where: Any = 1.0) -> None:
        """What holds unless it must give way, by the same in all intervals; their sizes make limits comparable."""
        if self.shape.elastic:
            given = self.variable(f"{GIVEN}{name}", 1, nonneg=True)
            self.profit.append(-given.sum() / size)
            greater = greater + where * given.sum()
        self.limits[self.prefix + name] = lesser <= greater
        self.constraints.append(self.limits[self.prefix + name])

    def soft_limit(self, name: str, lesser: Any, greater: Any, *, size: float) -> None:
        """What may be missed at the price ``<name> price``."""
        if not self.shape.elastic:
            missed = self.variable(f"{name} missed", *lesser.shape, nonneg=True)
            self.earn(-self.scalar(f"{name} price") * missed.sum())
            greater = greater + missed
        self.limit(name, lesser, greater, size=size)

    def earn(self, money: Any) -> None:
        """Add to the profit."""
        if not self.shape.elastic:
            self.profit.append(money)


def _site(draft: Draft, site: Site) -> Any:
    """A site's blocks; its energy into the grid comes back."""
    hours = draft.shape.step_hours
    stored = battery_block(draft, site.battery) if site.battery is not None else 0.0
    running = [_machine(draft, machine) for machine in site.machines]
    used = sum(hours * machine.power_mw * n for machine, n in zip(site.machines, running, strict=True))
    cooling = _cooling(draft, site.cooling, used) if site.cooling is not None else 0.0
    grid = draft.variable("grid")
    draft.law(grid == stored - used - cooling)
    draft.limit("grid import", -grid, draft.parameter("import_most"), size=hours * max(site.import_limit_mw, 1e-3))
    draft.limit("grid export", grid, draft.parameter("export_most"), size=hours * max(site.export_limit_mw, 1e-3))
    draft.earn(draft.parameter("price", shared=True) @ grid)
    if site.demand_charge > 0 and not draft.shape.elastic:
        _demand_charge(draft, grid)
    return grid


def battery_block(draft: Draft, battery: Battery) -> Any:
    """The battery's laws and wear; its energy into the site comes back. [MWh]"""
    import cvxpy as cp

    hours, most = draft.shape.step_hours, draft.parameter("battery_most")
    charge = draft.variable("charge", nonneg=True)
    discharge = draft.variable("discharge", nonneg=True)
    stored = draft.variable("stored")
    before = _before(draft.scalar("stored_before"), stored)

    draft.earn(-battery.degradation_cost * cp.sum(discharge))
    draft.law(stored == battery.kept(hours) * before + battery.eta_charge * charge - discharge / battery.eta_discharge)
    draft.limit("charging", charge, most, size=hours * battery.power_mw)
    draft.limit("discharging", discharge, most, size=hours * battery.power_mw)
    draft.limit("empty", draft.parameter("stored_low"), stored, size=battery.energy_mwh)
    draft.limit("full", stored, draft.parameter("stored_high"), size=battery.energy_mwh)
    if battery.ramp_mw_per_hour * hours < 2 * battery.power_mw:
        change = discharge - charge - _before(draft.scalar("energy_before"), discharge - charge)
        _ramp(draft, "battery", change, size=hours * battery.power_mw)
    if draft.shape.burns:
        charging, free = draft.variable("charging", boolean=True), draft.parameter("two_way")
        greatest = hours * battery.power_mw
        draft.law(charge <= free + greatest * charging)
        draft.law(discharge <= free + greatest * (1 - charging))
    _terminal_value(draft, stored)
    return discharge - charge


def _terminal_value(draft: Draft, stored: Any) -> None:
    """The energy left, in pieces of falling worth."""
    n_pieces = draft.shape.n_pieces
    left = draft.variable("left", n_pieces, nonneg=True)
    draft.law(stored[-1] == left.sum())
    draft.law(left <= draft.parameter("piece_most", n_pieces))
    draft.earn(draft.parameter("piece_value", n_pieces) @ left)


def _machine(draft: Draft, machine: Machine) -> Any:
    import cvxpy as cp

    name, hours, runs = machine.name, draft.shape.step_hours, machine.run_steps(draft.shape.step_hours)
    running = draft.variable(name, integer=True) if machine.integer else draft.variable(name, nonneg=True)
    if machine.integer:
        draft.law(running >= 0)
    lacks = draft.parameter(f"{name}_lacks") if draft.shape.elastic else 1.0
    draft.limit(f"{name} count", running, draft.parameter(f"{name}_most"), size=machine.count, where=lacks)
    draft.earn(draft.parameter(f"{name}_earns") @ running)

    change = running - _before(draft.scalar(f"{name}_before"), running)
    if machine.start_cost > 0 or machine.stop_cost > 0 or runs > 1:
        started, stopped = (draft.variable(f"{name}_{what}", nonneg=True) for what in ("started", "stopped"))
        draft.law(started - stopped == change)
        draft.earn(-machine.start_cost * cp.sum(started) - machine.stop_cost * cp.sum(stopped))
        if runs > 1:
            recent = np.tri(draft.shape.n_steps) - np.tri(draft.shape.n_steps, k=-runs)
            lesser = recent @ started + draft.parameter(f"{name}_recent")
            draft.limit(f"{name} least run", lesser, running, size=machine.count)
    ramp = machine.ramp_mw_per_hour * hours
    if machine.integer and ramp < machine.power_mw:
        raise DataError(
            f"ramp_mw_per_hour = {machine.ramp_mw_per_hour:g} of {name} lets less than one of its machines of "
            f"{machine.power_mw:g} MW start in an interval of {hours:g} h: raise it or plan with shares of them"
        )
    if ramp < machine.greatest_mw:
        _ramp(draft, name, hours * machine.power_mw * change, size=hours * machine.greatest_mw)
    if machine.service_level > 0:
        _service(draft, machine, running)
    return running


def _service(draft: Draft, machine: Machine, running: Any) -> None:
    """Machine-hours of each market day; it is what must hold when other limits are asked to give way."""
    n_days, hours, name = draft.shape.n_days, draft.shape.step_hours, f"{machine.name} service"
    served = hours * (draft.parameter("days", n_days, draft.shape.n_steps, shared=True) @ running)
    required = draft.parameter(f"{name} required", n_days)
    if draft.shape.elastic:
        draft.law(required <= served)
    else:
        draft.soft_limit(name, required, served, size=1.0)


def _cooling(draft: Draft, cooling: Cooling, heat: Any) -> Any:
    """The chiller's energy; the heat that it removes fills the pieces of the part-load curve in their order."""
    import cvxpy as cp

    shape, (_, slopes) = draft.shape, chords(cooling)
    width = shape.step_hours * cooling.capacity_mw / N_CHORDS
    pieces = draft.variable("cooling_pieces", shape.n_steps, N_CHORDS, nonneg=True)
    most = draft.parameter("pieces_full" if shape.elastic else "pieces_most", shape.n_steps, N_CHORDS)
    draft.law(pieces[:, :-1] <= most[:, :-1])
    draft.limit("cooling capacity", pieces[:, -1], most[:, -1], size=N_CHORDS * width)
    if shape.burns:
        full = draft.variable("cooling_full", shape.n_steps, N_CHORDS - 1, boolean=True)
        free = draft.parameter("any_order", shape.n_steps, N_CHORDS - 1)
        draft.law(pieces[:, 1:] <= free + width * full)
        draft.law(pieces[:, :-1] + free >= width * full)
    _room(draft, cooling, heat - cp.sum(pieces, axis=1))
    return draft.parameter("at_no_load") + cp.multiply(draft.parameter("per_cop"), pieces @ slopes)


def _room(draft: Draft, cooling: Cooling, heat: Any) -> None:
    """Where the heat that is not removed goes."""
    hours = draft.shape.step_hours
    if cooling.room_mwh_per_c == 0:
        draft.law(heat == 0)
        return
    room = draft.variable("room")
    kept, span = cooling.room_kept(hours), cooling.room_high_c - cooling.room_low_c
    before = _before(draft.scalar("room_before"), room)
    draft.law(room == kept * before + draft.parameter("room_drawn") + cooling.room_c_per_mwh(hours) * heat)
    draft.soft_limit("room low", draft.parameter("room_least"), room, size=span)
    draft.soft_limit("room high", room, draft.parameter("room_most"), size=span)


def _demand_charge(draft: Draft, grid: Any) -> None:
    """The greatest power drawn in each calendar month, where it passes what was drawn before."""
    n_months, hours = draft.shape.n_months, draft.shape.step_hours
    peak = draft.variable("peak", n_months)
    draft.law(peak >= draft.parameter("peak_before", n_months))
    beside = draft.parameter("other_month", draft.shape.n_steps, n_months)
    for month in range(n_months):
        draft.law(-grid <= hours * peak[month] + beside[:, month])
    draft.earn(-draft.parameter("demand_price", n_months) @ peak)


def _ramp(draft: Draft, name: str, change: Any, *, size: float) -> None:
    draft.limit(f"{name} ramp up", change, draft.parameter(f"{name}_ramp_up"), size=size)
    draft.limit(f"{name} ramp down", -change, draft.parameter(f"{name}_ramp_down"), size=size)


def _before(first: Any, series: Any) -> Any:
    """The series an interval earlier."""
    import cvxpy as cp

    return cp.hstack([first, series[:-1]])
