r"""
What a site does in an interval.

Where nothing couples the intervals, the exact knapsack of the interval is the plan. Where switching costs or a least
run couple them, dynamic programming goes over the allocations that are best somewhere in the horizon: its states are an
allocation and for how long it has run, and all of them are whole machines under the cap. A battery and a room that
stores heat are planned first, by the site's linear programme with machines that can be split; what they leave of the
cap is then allocated.

With a chiller the meter's cap has to hold beside that of the machines. Its power follows a curve in the heat: of every
heat that whole machines can give off, the best machines with it and the best beside it are compared, at the curve's own
power. Where the machines' powers have no common unit they are taken as multiples of one that they all but have.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.assets import Battery, Machine, Site, SiteState
from gridlab.dispatch.order import SOC_HIGH, SOC_LOW, cooling_for
from gridlab.errors import DataError, PlanError
from gridlab.live.choices import MANY, Choice, Task, sequence
from gridlab.live.config import STEP, STEP_HOURS, Config
from gridlab.live.hindsight import Hindsight, baseline_best_machine, best_machine_counts, hindsight, hindsight_step
from gridlab.mpc.segments import Segments
from gridlab.programme import SOLVERS
from gridlab.sources.mara import MACHINES, Inventory, Quote

if TYPE_CHECKING:
    from gridlab.mpc.base import Window
    from gridlab.mpc.site import SitePlan, SitePlanner

__all__ = [
    "OUTSIDE_C",
    "UNFAVOURABLE",
    "Ahead",
    "Fan",
    "Hindsight",
    "Planner",
    "baseline_best_machine",
    "best_machine_counts",
    "hindsight",
    "hindsight_step",
    "value_at_the_end",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Started = tuple[tuple[pd.Timestamp, Mapping[str, int]], ...]

OUTSIDE_C = 35.0
"""Temperature of the outside air where it is not known, as in `gridlab.dispatch.order.Protection`. [degC]"""

UNFAVOURABLE = (0.9, 0.1, 0.1)
"""Quantiles of the energy, hash and token price to which a plan leans: dear energy, cheap products."""

_END_SEGMENTS = 10
_CLEAR = 1e-3  # of the state of charge, by which plans stay inside the protocol's limits


class Fan(Protocol):
    """
    A forecast of the energy, hash and token price for the intervals after that of the quote.

    `mean` has shape (3, n_leads) and `quantiles` (3, n_leads, n_levels), of the probabilities `levels`.
    """

    @property
    def mean(self) -> Floats: ...  # noqa: D102

    @property
    def quantiles(self) -> Floats: ...  # noqa: D102

    @property
    def levels(self) -> tuple[float, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Ahead:
    """
    A plan: what the site is to do in the interval, and what it sees ahead.

    Parameters
    ----------
    counts : mapping of str to int
        Machines of each type that run.
    battery_mw : float
        Power of the battery, positive into the grid. [MW]
    cooling_mw : float
        Power of the chiller. [MW]
    expected_profit : float
        Of the interval: what the machines make, less the power of machines, chiller and services and what is switched,
        and what the battery sells or buys. [$]
    value : float
        Of the horizon, as far as the rule looks ahead; of a linear programme with its battery's end. [$]
    rule : str
        ``knapsack``, ``sequence`` or ``programme``: which part of the planner decided.
    problem : str, optional
        Why a simpler rule decided than the one configured, or which limit gave way, one sentence.
    columns : mapping of str to ndarray, shape (n_steps,)
        The plan by interval from this one on: machines by name, `battery_mw`, `cooling_mw`, `soc_mwh`, `room_c`.
    """

    counts: Mapping[str, int]
    battery_mw: float
    cooling_mw: float
    expected_profit: float
    value: float
    rule: str
    problem: str | None = None
    columns: Mapping[str, Floats] = field(default_factory=dict, repr=False, compare=False)


class _Stores(NamedTuple):
    """What the linear programme says of battery and room."""

    battery_mw: Floats
    cooling_mw: Floats | None  # None where the chiller removes heat as it is produced
    most: Ints  # machines of the interval
    value: float
    columns: Mapping[str, Floats]


class Planner:
    """
    The planner of a site; its programmes are compiled once for an inventory and solved anew with each call's data.

    Parameters
    ----------
    config : Config
        The site.

    Examples
    --------
    >>> from gridlab.sources.mara import EVENT
    >>> quote = Quote(pd.Timestamp("2025-06-21 12:00", tz="UTC"), 1.5, 1.75, 1.0)
    >>> ahead = Planner(Config()).plan(EVENT, quote)
    >>> ahead.counts["hydro_miners"], ahead.expected_profit, ahead.rule
    (200, 2000000.0, 'knapsack')
    """

    def __init__(self, config: Config) -> None:
        self.config = config = replace(config, battery=_within_protocol(config.battery))
        self._programmes: dict[Inventory, SitePlanner] = {}
        self._cost = np.array([float(config.switching_cost.get(name, 0.0)) for name in MACHINES])
        minutes = np.array([float(config.dwell_minutes.get(name, 0.0)) for name in MACHINES])
        self._dwell = np.maximum(1, np.ceil(minutes / (60 * STEP_HOURS) - 1e-9)).astype(np.int64)
        self._room = config.cooling is not None and config.cooling.room_mwh_per_c > 0
        self._cooled = np.array([config.cooling is not None and name in config.cooled for name in MACHINES])

    @property
    def stores(self) -> bool:
        """Whether a battery or a room that stores heat links the intervals."""
        return self.config.battery is not None or self._room

    @property
    def switches(self) -> bool:
        """Whether switching costs or a least run link the intervals."""
        return bool((self._cost > 0).any() or (self._dwell > 1).any())

    def plan(
        self,
        inventory: Inventory,
        quote: Quote,
        fan: Fan | None = None,
        *,
        counts: Mapping[str, int] | None = None,
        started: Started = (),
        soc_share: float | None = None,
        battery_mw: float = 0.0,
        room_c: float | None = None,
        outside_c: float | None = None,
        services_mw: float = 0.0,
        risk: float | None = None,
    ) -> Ahead:
        """
        Plan an interval.

        Parameters
        ----------
        inventory : Inventory
            The machine types.
        quote : Quote
            The prices of the interval, whose start is its time.
        fan : Fan, optional
            The forecast of the intervals that follow; prices stay as they are where it is shorter than the horizon.
        counts : mapping of str to int, optional
            Machines that ran in the interval before; none when omitted.
        started : tuple of (Timestamp, mapping of str to int)
            Machines that were started in intervals before, for the least run.
        soc_share : float, optional
            Energy stored in the battery as a share of what it holds when full; it rests where that is not known. [-]
        battery_mw : float
            Power of the battery in the interval before, for its ramp. [MW]
        room_c, outside_c : float, optional
            Temperature of the room and of the outside air; the middle of the room's limits and `OUTSIDE_C` when
            omitted. [degC]
        services_mw : float
            Power sold to bidders, which the machines cannot have. [MW]
        risk : float, optional
            In the place of the configured one. [-]

        Returns
        -------
        Ahead
            Machines under the machines' cap; machines, chiller and services less the battery under the meter's. A
            least run gives way to the caps.

        Raises
        ------
        DataError
            If a price, count or reading is not finite or outside its range.
        """
        if soc_share is not None and not 0 <= soc_share <= 1:
            raise DataError(f"soc_share must be in [0, 1], got {soc_share}")
        task = self._task(inventory, quote, fan, counts, started, outside_c, services_mw, risk)
        found, problem = None, None
        if self.config.battery is not None and soc_share is None:
            problem = "the battery rests: its state of charge is not known"
        if task.cap_mw > 0 and (self._room or (self.stores and soc_share is not None)):
            try:
                found = self._stored(task, soc_share, battery_mw, room_c)
            except (PlanError, ArithmeticError, np.linalg.LinAlgError) as error:
                problem = f"the battery rests and heat is removed as it comes: {error}"
        return self._settled(task, found, problem)

    def _task(
        self,
        inventory: Inventory,
        quote: Quote,
        fan: Fan | None,
        counts: Mapping[str, int] | None,
        started: Started,
        outside_c: float | None,
        services_mw: float,
        risk: float | None,
    ) -> Task:
        scaling = self.config.scaling
        prices = self._prices(quote, fan, self.config.risk if risk is None else risk)
        product = [1 if one.product == "hash_price" else 2 for one in inventory.types]
        outputs = np.array([one.output * scaling.revenue for one in inventory.types], dtype=float)
        before = _counts(counts)
        reserved = services_mw + (self.config.regulation.award_mw if self.config.regulation is not None else 0.0)
        if not 0 <= services_mw < math.inf:
            raise DataError(f"services_mw must be at least 0 MW and finite, got {services_mw}")
        known = outside_c is not None and -60 <= outside_c <= 60
        return Task(
            inventory=inventory,
            quote=quote,
            power=np.array([one.power for one in inventory.types], dtype=np.int64),
            pays=(outputs[:, None] * prices[product]).T,
            energy=prices[0] * scaling.cost,
            prices=prices,
            held=self._held(quote.time, started, before, prices.shape[1]),
            before=before,
            outside_c=outside_c if known and outside_c is not None else OUTSIDE_C,
            services_mw=services_mw,
            cap_mw=max(self.config.cap_mw - reserved, 0.0),
        )

    def _prices(self, quote: Quote, fan: Fan | None, risk: float) -> Floats:
        """Energy, hash and token price of each interval, leant from the mean to what is unfavourable."""
        if not 0 <= risk <= 1:
            raise DataError(f"risk must be in [0, 1], got {risk}")
        prices = np.empty((3, self.config.horizon_steps if self.stores or self.switches else 1))
        prices[:] = np.array([[quote.energy_price], [quote.hash_price], [quote.token_price]])
        if fan is not None and prices.shape[1] > 1 and fan.mean.shape[1] > 0:
            n_leads = min(prices.shape[1] - 1, fan.mean.shape[1])
            mean = np.asarray(fan.mean, dtype=float)[:, :n_leads]
            prices[:, 1 : 1 + n_leads] = mean
            if risk > 0:
                prices[:, 1 : 1 + n_leads] += risk * (_unfavourable(fan, n_leads) - mean)
            prices[:, 1 + n_leads :] = prices[:, n_leads, None]
        if not np.isfinite(prices).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(prices))[0])
            name = ("energy", "hash", "token")[row]
            raise DataError(f"the {name} price is {prices[row, column]} {column} intervals ahead: it must be finite")
        return prices

    def _held(self, now: pd.Timestamp, started: Started, before: Ints, n_steps: int) -> Ints:
        """Machines of each type that may not stop yet, by interval."""
        held = np.zeros((n_steps, len(MACHINES)), np.int64)
        for time, machines in started if (self._dwell > 1).any() else ():
            age = round((now - time) / STEP)
            for i, name in enumerate(MACHINES):
                held[: max(0, int(self._dwell[i]) - age), i] += machines.get(name, 0)
        return np.minimum(held, before)

    def _settled(self, task: Task, found: _Stores | None, problem: str | None) -> Ahead:
        """Machines into what battery and chiller leave of the cap, and what that is worth."""
        n_steps = len(task.energy)
        battery = found.battery_mw if found is not None else np.zeros(n_steps)
        limits = [task.cap_mw + float(power) for power in battery]
        fixed = None if found is None else found.cooling_mw
        task, gave_way = self._released(task, limits[0])
        choice = Choice(self.config, task, limits, fixed, None if found is None else found.most, self._cooled)
        planned, value = sequence(choice, self._cost, self._dwell) if self.switches else ([choice.best(0)], None)
        counts, cooling_mw = planned[0], choice.cooling_mw(0, planned[0])
        moved = self._within(task, choice, float(battery[0]), counts, cooling_mw)
        profit = choice.profit(0, counts) - float(self._cost @ np.abs(counts - task.before))
        profit += float(task.energy[0]) * (moved - task.services_mw) / self.config.scaling.power_mw
        columns = dict(found.columns) if found is not None else {}
        if self.switches:
            columns |= {name: np.array([row[i] for row in planned], float) for i, name in enumerate(MACHINES)}
        return Ahead(
            counts=dict(zip(MACHINES, counts.tolist(), strict=True)),
            battery_mw=moved,
            cooling_mw=cooling_mw,
            expected_profit=profit,
            value=found.value if found is not None else profit if value is None else value,
            rule="programme" if found is not None else "sequence" if self.switches else "knapsack",
            problem=gave_way or problem or choice.problem,
            columns=columns,
        )

    def _released(self, task: Task, limit_mw: float) -> tuple[Task, str | None]:
        """The task with fewer machines held where they would pass the cap."""
        held = task.held[0]
        cooling = self.config.cooling
        drawn = held @ task.power * self.config.scaling.power_mw
        if cooling is not None and (held[self._cooled] > 0).any():
            heat = float(held[self._cooled] @ task.power[self._cooled]) * self.config.scaling.power_mw
            drawn += cooling_for(heat, task.outside_c, cooling)
        most = min(limit_mw, self.config.cap_mw)
        if drawn <= most * (1 + 1e-12):
            return task, None
        kept = np.floor(held * (0.9 * most / drawn if cooling is not None else most / drawn)).astype(np.int64)
        released = Task(**{**task.__dict__, "held": np.minimum(task.held, kept)})
        return released, f"machines held by their least run draw {drawn:.6g} MW above the cap of {most:.6g}: some stop"

    def _within(self, task: Task, choice: Choice, battery_mw: float, counts: Ints, cooling_mw: float) -> float:
        """The battery's power, with the meter within what the site may draw and deliver."""
        battery = self.config.battery
        if battery is None:
            return 0.0
        load = float(counts @ task.power) * self.config.scaling.power_mw + cooling_mw + task.services_mw
        award = self.config.regulation.award_mw if self.config.regulation is not None else 0.0
        least, most = load - (self.config.cap_mw - award), load + self.config.cap_mw - award
        room = battery.power_mw - award
        return float(min(max(battery_mw, least, -room), max(min(most, room), -room)))

    def _stored(self, task: Task, soc_share: float | None, battery_mw: float, room_c: float | None) -> _Stores:
        """Battery and room by the site's linear programme, with machines that can be split and switched freely."""
        from gridlab.mpc.base import State, Window

        times = pd.date_range(task.quote.time, periods=len(task.energy), freq=STEP)
        columns = {
            "mean": task.energy / (self.config.scaling.power_mw * STEP_HOURS),
            "hash_price": task.prices[1],
            "token_price": task.prices[2],
            "temperature_c": np.full(len(times), task.outside_c),
        }
        planner = self._programme(task.inventory)
        states = {}
        for name, site in planner.sites.items():
            soc, low, high = _start(site, soc_share)
            states[name] = State(site, soc, low, high, battery_mw, SiteState(room_c=room_c))
        plans = planner.plan(states, Window(times, STEP_HOURS, columns), np.full(len(times), task.cap_mw))
        found = self._read(task, plans)
        found.battery_mw[0] = self._reachable(float(found.battery_mw[0]), soc_share)
        return found if soc_share is not None else found._replace(battery_mw=np.zeros(len(times)))

    def _reachable(self, battery_mw: float, soc_share: float | None) -> float:
        """The battery's power as far as what is really stored allows. [MW]"""
        battery = self.config.battery
        if battery is None or soc_share is None:
            return 0.0
        stored = soc_share * battery.energy_mwh
        out = max(stored - battery.soc_low_mwh, 0.0) * battery.eta_discharge / STEP_HOURS
        into = max(battery.soc_high_mwh - stored, 0.0) / battery.eta_charge / STEP_HOURS
        return float(min(max(battery_mw, -into), out))

    def _read(self, task: Task, plans: Mapping[str, "SitePlan"]) -> _Stores:
        """Battery, room and machines off the programme's plans."""
        if any(plan.solver not in SOLVERS[:2] for plan in plans.values()):
            raise PlanError("the programme was not solved to its tolerance")
        columns = {name: values for plan in plans.values() for name, values in plan.columns.items()}
        unit = self.config.scaling.power_mw
        most = np.full(len(MACHINES), MANY, np.int64)
        out = {"battery_mw": np.array(columns.get("battery_mw", np.zeros(len(task.energy))))}
        for i, one in enumerate(task.inventory.types):
            running = -columns[f"{one.name}_mw"] / (one.power * unit)
            out[one.name] = running
            if self._cooled[i] and "room_c" in columns:
                most[i] = math.ceil(running[0] - 1e-6)
        if "cooling_mw" in columns:
            out["cooling_mw"] = -columns["cooling_mw"]
        out |= {"soc_mwh": plans["store_"].columns["soc_mwh"]} | {k: columns[k] for k in ("room_c",) if k in columns}
        room = out["cooling_mw"] if "room_c" in columns else None
        return _Stores(out["battery_mw"], room, most, sum(plan.objective for plan in plans.values()), out)

    def _programme(self, inventory: Inventory) -> "SitePlanner":
        """
        The linear programme: sites for the battery, what the chiller does not cool and what it does, under one budget.

        The machines' cap is the import limit of their site, so that energy from the battery lets none run above it.
        """
        from gridlab.mpc.site import SitePlanner

        if inventory not in self._programmes:
            config, cap_mw = self.config, self.config.cap_mw
            machines = [_machine(one.name, inventory, config) for one in inventory.types]
            plain = tuple(m for m, cooled in zip(machines, self._cooled, strict=True) if not cooled)
            cooled = tuple(m for m, is_cooled in zip(machines, self._cooled, strict=True) if is_cooled)
            regulation = config.regulation if config.battery is not None else None
            sites = {"store_": Site(cap_mw, cap_mw, config.battery, regulation=regulation)}
            if plain:
                sites["main_"] = Site(cap_mw, 0.0, machines=plain)
            if cooled:
                sites["cooled_"] = Site(cap_mw, 0.0, machines=cooled, cooling=config.cooling)
            self._programmes[inventory] = SitePlanner(
                sites, STEP_HOURS, value_at_the_end, strict=False, shares_budget=True, solvers={SOLVERS[0]: {}}
            )
        return self._programmes[inventory]


def _within_protocol(battery: Battery | None) -> Battery | None:
    """The battery between the states of charge at which its protocol steps in."""
    if battery is None:
        return None
    low, high = max(battery.soc_min, SOC_LOW + _CLEAR), min(battery.soc_max, SOC_HIGH - _CLEAR)
    return replace(battery, soc_min=low, soc_max=high) if low < high else battery


def value_at_the_end(window: "Window", battery: Battery) -> Segments:
    """
    Worth of the energy stored at the end of a horizon that is too short to say when it will be sold.

    It falls from what buying it at the mean price of the horizon would have cost, for the first MWh stored, to what
    selling it at that price would bring, less wear, for the last.

    Examples
    --------
    >>> from gridlab.mpc.base import Window
    >>> times = pd.date_range("2025-06-21", periods=2, freq="5min", tz="UTC")
    >>> window = Window(times, 1 / 12, {"mean": np.array([30.0, 50.0])})
    >>> value_at_the_end(window, Battery(1, 1, 0.8, 0.8)).slope[[0, -1]].tolist()
    [49.1, 32.9]
    """
    mean = float(window.mean.mean())
    sold = (mean - battery.degradation_cost) * battery.eta_discharge
    bought = mean / battery.eta_charge
    shares = (np.arange(_END_SEGMENTS) + 0.5) / _END_SEGMENTS
    slope = max(bought, sold) + shares * (sold - max(bought, sold))
    width = np.full(_END_SEGMENTS, (battery.soc_high_mwh - battery.soc_low_mwh) / _END_SEGMENTS)
    return Segments(width, np.round(slope, 9), np.zeros(()))


def _machine(name: str, inventory: Inventory, config: Config) -> Machine:
    """All machines of a type that fit, which can be split."""
    count = max(1, -(-config.cap_power // inventory.power[name]))
    output = inventory.output[name] * config.scaling.revenue
    product = inventory.product[name]
    return Machine(name, inventory.power[name] * config.scaling.power_mw, count, output, product)


def _start(site: Site, soc_share: float | None) -> tuple[float, float, float]:
    """Energy stored, within the battery's limits and its reserve, and the limits at the end. [MWh]"""
    battery = site.battery
    if battery is None:
        return 0.0, 0.0, 0.0
    low, high = battery.soc_low_mwh, battery.soc_high_mwh
    reserve = site.regulation.reserve_mwh(battery) if site.regulation is not None else (0.0, 0.0)
    stored = (low + high) / 2 if soc_share is None else soc_share * battery.energy_mwh
    return min(max(stored, low + reserve[0]), high - reserve[1]), low, high


def _unfavourable(fan: Fan, n_leads: int) -> Floats:
    """The quantile of each series that costs most, shape (3, n_leads)."""
    quantiles, levels = np.asarray(fan.quantiles, dtype=float)[:, :n_leads], list(fan.levels)
    if len(levels) == 0 or any(low >= high for low, high in pairwise(levels)):
        raise DataError(f"levels of the forecast must rise, got {levels}")
    return np.array(
        [[np.interp(at, levels, row) for row in series] for at, series in zip(UNFAVOURABLE, quantiles, strict=True)]
    )


def _counts(counts: Mapping[str, int] | None) -> Ints:
    """Counts as an array in the order of the types."""
    if counts is None:
        return np.zeros(len(MACHINES), np.int64)
    for name, count in counts.items():
        if name not in MACHINES or count != int(count) or count < 0:
            raise DataError(
                f"counts must be whole numbers, at least 0, of {', '.join(MACHINES)}, got {count} of {name}"
            )
    return np.array([counts.get(name, 0) for name in MACHINES], dtype=np.int64)
