"""
Plans of sites: batteries, machines and cooling behind one meter, or behind several that share a budget of power.

`gridlab.mpc.site_programme` says what is solved. Where a day's service cannot be met, or nothing is feasible, a second
programme asks for the least by which limits would have to give way, and the refusal names them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery, Site
from gridlab.errors import DataError, PlanError
from gridlab.mpc.base import Decision, Planner, State, Window, window_of
from gridlab.mpc.battery import runs_that_hold
from gridlab.mpc.segments import Segments
from gridlab.mpc.site_answer import Task, at_rest, missed_service, read, refusal, waste
from gridlab.mpc.site_data import Calendar, calendar, outlook, site_data
from gridlab.mpc.site_programme import Shape, site_programme
from gridlab.programme import MOST_NODES, SOLVERS, Answer, Session, Solvers

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_HELD = ("two_way", "any_order")  # parameters that are zero where nothing may be wasted

Terminal = float | Segments | Callable[[Window, Battery], Segments]


@dataclass(frozen=True)
class SitePlan:
    """
    An optimal schedule of a site.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_steps,)
        `grid_mw` and what it is the sum of: `battery_mw`, ``<machine>_mw`` and `cooling_mw`, positive into the grid;
        `soc_mwh` and `room_c` at the end of each interval. [MW, MWh, degC]
    objective : float
        Money expected: sales less purchases, what the machines earn, and the regulation's payment, less wear, starts,
        stops and the demand charge on what the greatest power rises, and the terminal value of what is left. [$]
    solver : str
        Which of `gridlab.programme.SOLVERS` answered.
    slacks : mapping of str to ndarray
        By how much limits that may be missed were missed: machine-hours of service by market day, degrees of the room.
    """

    columns: Mapping[str, Floats]
    objective: float
    solver: str
    slacks: Mapping[str, Floats]
    _answer: Answer = field(repr=False, compare=False)

    @property
    def shadow_prices(self) -> Mapping[str, Floats]:
        """
        What the objective gains for each unit by which a limit is loosened in an interval, by limit.

        Powers count as MWh an interval [$/MWh], counts as machines [$], a day's service as machine-hours [$/h] and the
        room's limits as degrees [$/K].
        """
        return self._answer.shadow_prices


@dataclass(frozen=True)
class SitesPlan:
    """
    The plans of sites that share a budget of power.

    Parameters
    ----------
    plans : mapping of str to SitePlan
        The sites' own.
    budget_price : ndarray, shape (n_steps,)
        What all of them would gain for each MWh more in an interval. [$/MWh]
    objective : float
        The sum of theirs. [$]
    solver : str
        Which of `gridlab.programme.SOLVERS` answered.
    """

    plans: Mapping[str, SitePlan]
    budget_price: Floats
    objective: float
    solver: str


def plan_site(
    state: State,
    forecast: pd.DataFrame,
    *,
    terminal: Terminal = 0.0,
    market_tz: str = "UTC",
    prorate_demand: bool = False,
    strict: bool = True,
) -> SitePlan:
    """
    The schedule of greatest profit of a site, if the forecast comes true.

    Parameters
    ----------
    state : State
        The site, where its plan starts and where its battery may end.
    forecast : DataFrame
        Indexed by time, with `mean`, the price, NaN where the market is closed and everything rests; the machines'
        products, such as `hash_price`; ``<machine>_demand`` where not all machines are wanted at all times; and
        `temperature_c` where there is cooling. [$/MWh, $/unit/interval, machines, degC]
    terminal : float, Segments or callable, optional
        Worth of the energy stored at the end: of each MWh, of segments of the store, or a function of the plan's window
        and the battery that says it. [$/MWh]
    market_tz : str
        Time zone that says when the days of the service and the months of the demand charge begin.
    prorate_demand : bool
        Whether a month's charge on a greater peak counts only for the plan's share of what is left of the month. A plan
        of a day that is charged for the month will not run a machine that pays for its peak in a week.
    strict : bool
        Whether a service level that cannot be met is refused; otherwise as much is served as can be.

    Returns
    -------
    SitePlan

    Raises
    ------
    DataError
        If a column is missing, or not finite where there is a price.
    PlanError
        If a service level, or a limit, cannot be kept; the message says which limit gave way and by how much.

    Notes
    -----
    A market day that the plan cuts short is served as the part of it that lies in the plan asks.

    Examples
    --------
    >>> from gridlab.assets import Machine
    >>> times = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC", name="time")
    >>> forecast = pd.DataFrame({"mean": [20.0, 60.0, 30.0], "hash_price": 4.0}, index=times)
    >>> site = Site(import_limit_mw=1.0, machines=(Machine("miners", power_mw=0.1, count=20, output=1.0),))
    >>> plan = plan_site(State(site, soc_mwh=0, end_low_mwh=0, end_high_mwh=0), forecast)
    >>> plan.columns["miners_mw"].tolist(), plan.objective
    ([-1.0, 0.0, -1.0], 30.0)
    >>> plan.shadow_prices["grid import"].tolist()  # a machine earns 40 $/MWh
    [20.0, 0.0, 10.0]
    """
    window = replace(window_of(forecast), market_tz=market_tz)
    return SitePlanner({"": _site_of(state)}, window.step_hours, terminal, prorate_demand, strict).plan(
        {"": state}, window
    )[""]


def plan_sites(
    states: Mapping[str, State],
    forecast: pd.DataFrame,
    *,
    budget_mw: ArrayLike,
    terminal: Terminal = 0.0,
    market_tz: str = "UTC",
    prorate_demand: bool = False,
    strict: bool = True,
) -> SitesPlan:
    """
    The schedules of greatest profit of several sites that share one price and one budget of power.

    Parameters
    ----------
    states : mapping of str to State
        The sites by name, and where their plans start.
    forecast : DataFrame
        As for `plan_site`. A column that is one site's own has its name before it, as ``<site>_temperature_c``.
    budget_mw : float or array_like, shape (n_steps,)
        Greatest power that all of them together may draw. [MW]
    terminal, market_tz, prorate_demand, strict
        As for `plan_site`.

    Returns
    -------
    SitesPlan

    Raises
    ------
    DataError
        As `plan_site`, or if there are no sites or `budget_mw` is negative.
    PlanError
        As `plan_site`.

    Examples
    --------
    >>> from gridlab.assets import Machine
    >>> times = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC", name="time")
    >>> forecast = pd.DataFrame({"mean": [20.0, 60.0], "hash_price": 4.0, "token_price": 5.0}, index=times)
    >>> north = Site(import_limit_mw=1.0, machines=(Machine("miners", power_mw=0.1, count=20, output=1.0),))
    >>> south = Site(1.0, machines=(Machine("gpus", power_mw=0.1, count=5, output=1.0, product="token_price"),))
    >>> states = {name: State(site, 0, 0, 0) for name, site in [("north", north), ("south", south)]}
    >>> both = plan_sites(states, forecast, budget_mw=1.0)
    >>> both.plans["north"].columns["grid_mw"].tolist(), both.plans["south"].columns["grid_mw"].tolist()
    ([-0.5, 0.0], [-0.5, 0.0])
    >>> both.budget_price.tolist()
    [20.0, 0.0]
    """
    window, budget = replace(window_of(forecast), market_tz=market_tz), np.asarray(budget_mw, dtype=float)
    if not states:
        raise DataError("there are no sites: give at least one state")
    for name, other in permutations(states, 2):
        if other.startswith(f"{name}_"):
            raise DataError(
                f"site {other!r} begins with the name of site {name!r}, got {', '.join(states)}: rename one"
            )
    if not (np.isfinite(budget).all() and (budget >= 0).all()):
        raise DataError(f"budget_mw must be finite and at least 0 MW, got {budget.tolist()}")
    sites = {f"{name}_": _site_of(state) for name, state in states.items()}
    by_prefix = {f"{name}_": state for name, state in states.items()}
    planner = SitePlanner(sites, window.step_hours, terminal, prorate_demand, strict, shares_budget=True)
    plans = planner.plan(by_prefix, window, np.broadcast_to(budget, len(window.times)))
    first = next(iter(plans.values()))
    return SitesPlan(
        {prefix[:-1]: plan for prefix, plan in plans.items()},
        first.shadow_prices["budget"],
        sum(plan.objective for plan in plans.values()),
        first.solver,
    )


def site_planner(
    site: Site,
    step_hours: float,
    *,
    terminal: Terminal = 0.0,
    prorate_demand: bool = True,
    strict: bool = False,
) -> Planner:
    """
    A planner of a site, which keeps its compiled programmes between plans; the arguments are those of `plan_site`.

    In a run, what an earlier interval failed to serve can make a service level impossible, and the run has to go on:
    without `strict` the plan then serves as much as can be.
    """
    planner = SitePlanner({"": site}, step_hours, terminal, prorate_demand, strict)

    def plan(state: State, window: Window) -> Decision:
        found = planner.plan({"": state}, window)[""]
        return Decision(found.columns, found.solver)

    return plan


def _site_of(state: State) -> Site:
    if not isinstance(state.asset, Site):
        raise DataError(f"the asset must be a Site, got {type(state.asset).__name__}: use plan_battery for a battery")
    return state.asset


@dataclass
class SitePlanner:
    """Sites and their compiled programmes; `plan_site` and `plan_sites` say what they solve, `Session` by whom."""

    sites: Mapping[str, Site]
    step_hours: float
    terminal: Terminal = 0.0
    prorate_demand: bool = False
    strict: bool = True
    shares_budget: bool = False
    solvers: Solvers | None = None
    sessions: dict[Shape, Session] = field(default_factory=dict)

    def plan(self, states: Mapping[str, State], window: Window, budget_mw: Floats | None = None) -> dict[str, SitePlan]:
        """The plans of the sites, by the prefix of their names."""
        days = calendar(window.times, self.step_hours, window.market_tz)
        tasks = {prefix: self._task(prefix, site, states[prefix], window, days) for prefix, site in self.sites.items()}
        data = {prefix + name: value for prefix, task in tasks.items() for name, value in task.data.items()}
        data |= {"price": next(iter(tasks.values())).known.price, "days": days.rows}
        if budget_mw is not None:
            data["budget"] = self.step_hours * budget_mw
        answer = self._solve(tasks, data)
        return {prefix: SitePlan(*read(task, answer, prefix), answer) for prefix, task in tasks.items()}

    def _task(self, prefix: str, site: Site, state: State, window: Window, days: Calendar) -> Task:
        known = outlook(window.columns, site, prefix)
        data = site_data(site, state, known, days, self.step_hours, prorate_demand=self.prorate_demand)
        if site.battery is not None:
            end = self._end(window, site.battery)
            data |= {"piece_most": end.width_mwh, "piece_value": end.slope}
        return Task(site, state, known, days, self.step_hours, data)

    def _end(self, window: Window, battery: Battery) -> Segments:
        """Worth of the energy stored at the end."""
        if isinstance(self.terminal, Segments):
            return self.terminal
        return self.terminal(window, battery) if callable(self.terminal) else Segments.flat(battery, self.terminal)

    def _solve(self, tasks: Mapping[str, Task], data: dict[str, Any]) -> Answer:
        """The optimum that wastes nothing and serves what can be served."""
        shape = self._shape(tasks)
        try:
            answer = self._solve_without_waste(shape, tasks, data)
        except PlanError as error:
            raise self._refusal(shape, tasks, data) or error from error
        missed = {prefix: missed_service(task, answer, prefix) for prefix, task in tasks.items()}
        if answer.solver == SOLVERS[-1] or not any(missed.values()):
            return answer
        refusal = self._refusal(shape, tasks, data, missed)
        if refusal is None:  # the price of missing it was too low
            dearer = {name: 1e3 * value for name, value in data.items() if name.endswith(" service price")}
            return self._solve_without_waste(shape, tasks, data | dearer)
        if self.strict:
            raise refusal
        return answer

    def _shape(self, tasks: Mapping[str, Task]) -> Shape:
        task = next(iter(tasks.values()))
        n_pieces = max(len(task.data.get("piece_value", ())) for task in tasks.values())
        sites = tuple(self.sites.items())
        n_days, n_months = task.days.n_days, task.days.n_months
        return Shape(
            sites, len(task.known.price), self.step_hours, n_days, n_months, n_pieces, shares_budget=self.shares_budget
        )

    def _solve_without_waste(self, shape: Shape, tasks: Mapping[str, Task], data: dict[str, Any]) -> Answer:
        """Binaries are added until no battery goes both ways at once and no chiller works harder than it must."""
        held: dict[str, Flags] = {}
        while True:
            answer = self._session(shape).solve(data)
            wasted: dict[str, Flags] = {}
            for prefix, task in tasks.items():
                wasted |= {prefix + name: flags for name, flags in waste(task, answer, prefix).items()}
            if not any((flags & ~held.get(name, False)).any() for name, flags in wasted.items()):
                return answer
            cheap = data["price"] <= 0
            held = {name: held.get(name, False) | runs_that_hold(flags, cheap) for name, flags in wasted.items()}
            data = data | {name: np.where(_like(held[name], data[name]), 0.0, data[name]) for name in held}
            shape = shape._replace(burns=True)

    def _refusal(
        self, shape: Shape, tasks: Mapping[str, Task], data: dict[str, Any], missed: Mapping[str, Any] | None = None
    ) -> PlanError | None:
        """What would have to give way, in words; None where nothing has to."""
        if missed is None:  # it is not the service that cannot be met: that may be missed
            data = data | {name: np.zeros_like(value) for name, value in data.items() if name.endswith(" required")}
        refused = refusal(tasks, self._elastic(shape, data, burns=False), self.step_hours, missed or {})
        if refused is None and missed is None:  # it may be that only waste would be feasible
            held = {name: np.zeros_like(value) for name, value in data.items() if name.endswith(_HELD)}
            refused = refusal(tasks, self._elastic(shape, data | held, burns=True), self.step_hours, {})
        return refused

    def _elastic(self, shape: Shape, data: dict[str, Any], *, burns: bool) -> Answer:
        """The least by which limits must give way."""
        return self._session(shape._replace(elastic=True, burns=burns)).solve(data)

    def _session(self, shape: Shape) -> Session:
        if shape not in self.sessions:
            rest, programme = partial(at_rest, shape), site_programme(shape)
            self.sessions[shape] = Session(programme, heuristic=rest, most_nodes=MOST_NODES, solvers=self.solvers)
        return self.sessions[shape]


def _like(flags: Flags, values: Floats) -> Flags:
    """Flags by interval, with as many dimensions as the values."""
    return flags if values.ndim == 1 else flags[:, None]
