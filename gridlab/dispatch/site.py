"""
Dispatch of a site: what its battery, machines and chiller do with a plan when the day comes as it comes.

What is planned is done as far as physics allows. The chiller takes the power that its true curve asks for at the true
temperature. Where the grid's limit or the room's would be passed machines are shed, those of least revenue for their
power first; where that is not enough the battery charges less, and in the end the chiller stops.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.assets import Cooling, Machine, Site, SiteState
from gridlab.days import market_dates
from gridlab.errors import DataError
from gridlab.storage import execute

Floats = NDArray[np.float64]

_TOLERANCE = 1e-6  # share of a limit by which it may be passed by rounding
_HALVINGS = 60  # of a count of machines, to find the most that a limit allows


class SiteDispatch(NamedTuple):
    """
    What a site did.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_steps,)
        As those of the plan: powers into the grid, `soc_mwh` and `room_c`. [MW, MWh, degC]
    flows : mapping of str to ndarray, shape (n_steps,)
        Energy into the grid, into the battery's store, into its losses, into each type of machine and into the
        cooling, by meter; the meters of an interval sum to zero. [MWh]
    state : SiteState
        What the next plan must know.
    soc_mwh : float
        Energy stored at the end. [MWh]
    power_mw : float
        The battery's power in the last interval. [MW]
    clipped_mwh : float
        Energy that the battery was to deliver or take and did not. [MWh]
    shed_mwh : float
        Energy of machines that were to run, and wanted, and did not. [MWh]
    """

    columns: Mapping[str, Floats]
    flows: Mapping[str, Floats]
    state: SiteState
    soc_mwh: float
    power_mw: float
    clipped_mwh: float
    shed_mwh: float


def execute_site(
    planned: Mapping[str, Floats],
    site: Site,
    actual: Mapping[str, Floats],
    *,
    times: pd.DatetimeIndex,
    step_hours: float,
    soc_mwh: float,
    power_mw: float = 0.0,
    state: SiteState | None = None,
    market_tz: str = "UTC",
) -> SiteDispatch:
    """
    Do what is planned as far as the site can.

    Parameters
    ----------
    planned : mapping of str to array_like, shape (n_steps,)
        A plan's columns: `battery_mw`, ``<machine>_mw`` and, where the room stores heat, `room_c`, which the chiller
        steers to. [MW, degC]
    site : Site
        The site.
    actual : mapping of str to array_like, shape (n_steps,)
        What happened: `price`, NaN where the market is closed and everything rests; the machines' products;
        ``<machine>_demand`` where not all machines are wanted; `temperature_c` where there is cooling.
    times : DatetimeIndex, shape (n_steps,)
        The intervals.
    step_hours : float
        Length of an interval. [h]
    soc_mwh, power_mw : float
        Energy stored at the start, and the battery's power in the interval before. [MWh, MW]
    state : SiteState, optional
        What the machines, the room and the meter bring with them.
    market_tz : str
        Time zone that says when days and months begin.

    Returns
    -------
    SiteDispatch

    Raises
    ------
    DataError
        If a column is missing or of another length, or not finite where there is a price, or `soc_mwh` is outside the
        battery's limits.

    Examples
    --------
    >>> site = Site(import_limit_mw=0.15, machines=(Machine("miners", power_mw=0.1, count=2, output=1.0),))
    >>> times = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC", name="time")
    >>> actual = {"price": np.array([20.0, np.nan]), "hash_price": np.array([4.0, 4.0])}
    >>> planned = {"miners_mw": np.array([-0.2, -0.2])}
    >>> done = execute_site(planned, site, actual, times=times, step_hours=1.0, soc_mwh=0.0)
    >>> done.columns["grid_mw"].round(4).tolist(), round(done.shed_mwh, 4)
    ([-0.15, 0.0], 0.25)
    """
    n_steps, state = len(times), SiteState() if state is None else state
    seen = _Seen.of(site, actual, n_steps)
    wished = _wished(site, planned, seen, state, step_hours)
    start = now = _Now.of(site, state, soc_mwh, power_mw)
    steps = []
    for step in range(n_steps):
        done = _step(site, now, wished, seen, step, step_hours)
        steps.append(done)
        now = _Now(done.stored, done.net / step_hours, done.room)
    gathered = _gathered(site, start, steps, wished, step_hours)
    days = _Days.of(times, step_hours, market_tz)
    return gathered._replace(state=_next_state(site, gathered.columns, seen, state, days, step_hours))


def flows_table(flows: Mapping[str, Floats], times: pd.DatetimeIndex) -> pd.DataFrame:
    """
    A site's meters as a `flows` table.

    Examples
    --------
    >>> times = pd.date_range("2024-01-01", periods=1, freq="1h", tz="UTC", name="time")
    >>> flows_table({"grid": np.array([-1.0]), "miners": np.array([1.0])}, times)["meter"].tolist()
    ['grid', 'miners']
    """
    meter = pd.Series(np.tile(np.array(list(flows)), len(times)), dtype="str")
    energy = np.stack(list(flows.values()), axis=1).ravel()
    return pd.DataFrame({"time": times.repeat(len(flows)), "meter": meter, "energy_mwh": energy})


@dataclass(frozen=True)
class _Seen:
    """What happened, checked."""

    is_open: NDArray[np.bool_]
    outside_c: Floats
    demand: Mapping[str, Floats]
    earns_per_mw: Mapping[str, Floats]

    @classmethod
    def of(cls, site: Site, actual: Mapping[str, Floats], n_steps: int) -> "_Seen":
        price = _column(actual, "price", n_steps)
        is_open = ~np.isnan(price)
        paid = {product: _column(actual, product, n_steps, is_open) for product in site.products}
        wanted = {
            m.name: _column(actual, f"{m.name}_demand", n_steps, is_open)
            if f"{m.name}_demand" in actual
            else np.full(n_steps, float(m.count))
            for m in site.machines
        }
        outside = np.zeros(n_steps)
        if site.cooling is not None:
            matters = is_open | (site.cooling.wall_mw_per_c > 0)
            outside = _column(actual, "temperature_c", n_steps, matters)
        earns = {m.name: m.output / m.power_mw * paid[m.product] for m in site.machines}
        return cls(is_open, outside, wanted, earns)


def _column(table: Mapping[str, Floats], name: str, n_steps: int, is_open: NDArray[np.bool_] | None = None) -> Floats:
    if name not in table:
        raise DataError(f"there is no column '{name}' (there are {', '.join(table)}): add it")
    values = np.asarray(table[name], dtype=float)
    if values.shape != (n_steps,):
        raise DataError(f"{name} must have an entry for each of {n_steps} intervals, got shape {values.shape}")
    if is_open is None:
        return values
    if not np.isfinite(values[is_open]).all():
        bad = int(np.flatnonzero(is_open & ~np.isfinite(values))[0])
        raise DataError(f"{name} is {values[bad]} in interval {bad}, where it is needed: fill it")
    return np.where(np.isfinite(values), values, 0.0)


@dataclass(frozen=True)
class _Wished:
    """What the plan asks for: energy of the battery, machines running, and the room's temperature."""

    net: Floats
    running: Mapping[str, Floats]
    room: Floats


def _wished(site: Site, planned: Mapping[str, Floats], seen: _Seen, state: SiteState, hours: float) -> _Wished:
    n_steps = len(seen.is_open)
    net = np.zeros(n_steps) if site.battery is None else _column(planned, "battery_mw", n_steps)
    running = {
        m.name: _as_machines_can(m, _wanted(m, _column(planned, f"{m.name}_mw", n_steps), seen), seen, state, hours)
        for m in site.machines
    }
    stores_heat = site.cooling is not None and site.cooling.room_mwh_per_c > 0
    return _Wished(net, running, _column(planned, "room_c", n_steps) if stores_heat else np.zeros(n_steps))


def _wanted(machine: Machine, planned_mw: Floats, seen: _Seen) -> Floats:
    """Machines that are to run: as planned, and no more than are wanted."""
    planned, demand = -planned_mw / machine.power_mw, seen.demand[machine.name]
    if machine.integer:
        planned, demand = np.rint(planned), np.ceil(demand - 1e-9)
    return np.clip(planned, 0.0, np.clip(demand, 0.0, machine.count))


def _as_machines_can(machine: Machine, wanted: Floats, seen: _Seen, state: SiteState, hours: float) -> Floats:
    """What is wanted, within the machines' ramp and least run; where they are not wanted at all they stop at once."""
    ramp, n_run = machine.ramp_mw_per_hour * hours / machine.power_mw, machine.run_steps(hours)
    before = state.running.get(machine.name, 0.0)
    started = [float(count) for count in state.started.get(machine.name, ())]
    most = np.clip(seen.demand[machine.name], 0.0, machine.count)
    running = wanted.copy()
    for step, wish in enumerate(wanted):
        if not seen.is_open[step]:
            started.append(0.0)
            before = 0.0
            continue
        held = sum(started[-(n_run - 1) :]) if n_run > 1 else 0.0
        now = min(max(wish, before - ramp, held), before + ramp, np.ceil(most[step]) if machine.integer else most[step])
        started.append(max(now - before, 0.0))
        running[step] = before = now
    return running


class _Now(NamedTuple):
    """Where an interval starts: energy stored above the least, the battery's power, the room's temperature."""

    stored: float
    power_mw: float
    room: float

    @classmethod
    def of(cls, site: Site, state: SiteState, soc_mwh: float, power_mw: float) -> "_Now":
        stored = 0.0
        if site.battery is not None:
            low, high = site.battery.soc_low_mwh, site.battery.soc_high_mwh
            if not low - 1e-6 <= soc_mwh <= high + 1e-6:
                raise DataError(
                    f"soc_mwh must be in [{low:g}, {high:g}], got {soc_mwh}: start within the battery's limits"
                )
            stored = min(max(soc_mwh, low), high) - low
        room = state.room_c
        if room is None:
            room = (site.cooling.room_low_c + site.cooling.room_high_c) / 2 if site.cooling is not None else 0.0
        return cls(stored, power_mw, room)


class _Done(NamedTuple):
    """What was done in an interval: energies, machines running, and where it ends."""

    net: float
    running: dict[str, float]
    cooling: float
    stored: float
    room: float
    wanted_net: float


def _step(site: Site, now: _Now, wished: _Wished, seen: _Seen, step: int, hours: float) -> _Done:
    wanted = float(wished.net[step]) * hours
    chill = _Chiller(site.cooling, now.room, float(seen.outside_c[step]), float(wished.room[step]), hours)
    if not seen.is_open[step]:
        return _Done(
            0.0, dict.fromkeys(site.names, 0.0), 0.0, _stored(site, now, 0.0, hours), chill.room_after(0.0), wanted
        )
    net, most = _battery_moved(site, now, wanted, hours), _grid_limits(site, hours)

    def heat_of(running: Mapping[str, float]) -> float:
        return hours * sum(m.power_mw * running[m.name] for m in site.machines)

    def fits(running: Mapping[str, float]) -> bool:
        heat = heat_of(running)
        return chill.carries(heat) and heat + chill.energy(heat) - net <= _passable(most[0])

    running = {name: float(values[step]) for name, values in wished.running.items()}
    if not fits(running):
        running = _shed(site.machines, running, {n: float(v[step]) for n, v in seen.earns_per_mw.items()}, fits)
    heat = heat_of(running)
    net, cooling = _within_grid(net, heat, chill.energy(heat), most)
    removed = chill.removed(heat) if cooling > 0 else 0.0
    return _Done(net, running, cooling, _stored(site, now, net, hours), chill.room_after(heat - removed), wanted)


def _within_grid(net: float, heat: float, cooling: float, most: tuple[float, float]) -> tuple[float, float]:
    """The battery's energy and the chiller's, once machines are shed: the one moves less, the other may stop."""
    if net < 0 and heat + cooling - net > _passable(most[0]):
        net = min(0.0, heat + cooling - most[0])
    if heat + cooling - net > _passable(most[0]):
        cooling = 0.0
    if net > 0 and net - heat - cooling > _passable(most[1]):
        net = max(0.0, most[1] + heat + cooling)
    return net, cooling


def _passable(limit: float) -> float:
    return limit + _TOLERANCE * max(limit, 1.0)


def _grid_limits(site: Site, hours: float) -> tuple[float, float]:
    """Greatest energy drawn and delivered, less what is kept for the regulation. [MWh]"""
    award = site.regulation.award_mw if site.regulation is not None else 0.0
    return hours * (site.import_limit_mw - award), hours * (site.export_limit_mw - award)


def _battery_moved(site: Site, now: _Now, wanted: float, hours: float) -> float:
    """The battery's energy into the grid, as far as its power, ramp, energy and room allow. [MWh]"""
    if site.battery is None:
        return 0.0
    award = site.regulation.award_mw if site.regulation is not None else 0.0
    limit = np.array([hours * (site.battery.power_mw - award)])
    net, _ = execute(np.array([wanted]), limit, now.stored, site.battery, hours, now.power_mw * hours)
    return float(net[0])


def _stored(site: Site, now: _Now, net: float, hours: float) -> float:
    """Energy above the least after an interval. [MWh]"""
    if site.battery is None:
        return 0.0
    moved = net * site.battery.eta_charge if net < 0 else net / site.battery.eta_discharge
    usable = site.battery.soc_high_mwh - site.battery.soc_low_mwh
    return min(max(site.battery.kept(hours) * now.stored - moved, 0.0), usable)


@dataclass(frozen=True)
class _Chiller:
    """A chiller in an interval: it steers the room to a temperature, or removes all heat where the room stores none."""

    cooling: Cooling | None
    room: float
    outside: float
    target: float
    hours: float

    def removed(self, heat: float) -> float:
        """Heat that is removed. [MWh]"""
        if self.cooling is None:
            return 0.0
        if self.cooling.room_mwh_per_c == 0:
            return heat
        target = min(max(self.target, self.cooling.room_low_c), self.cooling.room_high_c)
        surplus = (self.room_after(heat) - target) / self.cooling.room_c_per_mwh(self.hours)
        return min(max(surplus, 0.0), self.cooling.capacity_mw * self.hours)

    def energy(self, heat: float) -> float:
        """Energy drawn. [MWh]"""
        if self.cooling is None:
            return 0.0
        return self.hours * self.cooling.power_mw(self.removed(heat) / self.hours, self.outside)

    def carries(self, heat: float) -> bool:
        """Whether all the heat can be removed, or the room can take what is left."""
        if self.cooling is None:
            return True
        if self.cooling.room_mwh_per_c == 0:
            return heat <= self.cooling.capacity_mw * self.hours * (1 + _TOLERANCE)
        return self.room_after(heat - self.removed(heat)) <= self.cooling.room_high_c + _TOLERANCE

    def room_after(self, heat: float) -> float:
        """Temperature at the end if so much more heat is produced than removed. [degC]"""
        if self.cooling is None or self.cooling.room_mwh_per_c == 0:
            return self.room
        return self.cooling.room_after(self.room, heat, self.outside, self.hours)


def _shed(
    machines: tuple[Machine, ...],
    running: Mapping[str, float],
    earns_per_mw: Mapping[str, float],
    fits: Callable[[Mapping[str, float]], bool],
) -> dict[str, float]:
    """Machines that may go on: of one type after another, least revenue for its power first, the most that fits."""
    left = dict(running)
    for machine in sorted(machines, key=lambda one: earns_per_mw[one.name]):
        if fits(left | {machine.name: 0.0}):
            return left | {machine.name: _most(machine, left, fits)}
        left[machine.name] = 0.0
    return left


def _most(machine: Machine, running: Mapping[str, float], fits: Callable[[Mapping[str, float]], bool]) -> float:
    low, high = 0.0, running[machine.name]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits({**running, machine.name: middle}) else (low, middle)
    return float(np.floor(low + 1e-9)) if machine.integer else low


def _gathered(site: Site, start: _Now, steps: list[_Done], wished: _Wished, hours: float) -> SiteDispatch:
    """The intervals as columns and meters; the state is still that of the start."""
    net, cooling, stored, room, wanted = (
        np.array([getattr(done, name) for done in steps]) for name in ("net", "cooling", "stored", "room", "wanted_net")
    )
    running = {name: np.array([done.running[name] for done in steps]) for name in site.names}
    meters: dict[str, Floats] = {}
    if site.battery is not None:
        kept = np.diff(stored, prepend=start.stored)
        meters |= {"battery": kept, "loss": -net - kept}
    meters |= {m.name: hours * m.power_mw * running[m.name] for m in site.machines}
    meters |= {"cooling": cooling} if site.cooling is not None else {}
    grid = 0.0 - sum(meters.values(), np.zeros(len(net)))
    columns = {"battery_mw": net / hours} if site.battery is not None else {}
    columns |= {f"{name}_mw": 0.0 - meters[name] / hours for name in meters if name not in ("battery", "loss")}
    columns |= {"grid_mw": grid / hours, "soc_mwh": stored + (site.battery.soc_low_mwh if site.battery else 0.0)}
    columns |= {"room_c": room} if site.cooling is not None and site.cooling.room_mwh_per_c > 0 else {}
    less = {m.name: np.maximum(wished.running[m.name] - running[m.name], 0.0).sum() for m in site.machines}
    shed = hours * float(sum(m.power_mw * less[m.name] for m in site.machines))
    clipped = float(np.abs(wanted - net).sum())
    soc, power = float(columns["soc_mwh"][-1]), float(net[-1]) / hours
    return SiteDispatch(columns, {"grid": grid} | meters, SiteState(), soc, power, clipped, shed)


@dataclass(frozen=True)
class _Days:
    """Which intervals are of the market day and the calendar month that the next plan begins in."""

    in_day: NDArray[np.bool_]
    in_month: NDArray[np.bool_]

    @classmethod
    def of(cls, times: pd.DatetimeIndex, hours: float, market_tz: str) -> "_Days":
        after = times.append(pd.DatetimeIndex([times[-1] + pd.Timedelta(hours=hours)]))
        dates = market_dates(after, market_tz).to_numpy()
        months = dates.astype("datetime64[M]")
        return cls(dates[:-1] == dates[-1], months[:-1] == months[-1])


def _next_state(
    site: Site, columns: Mapping[str, Floats], seen: _Seen, state: SiteState, days: _Days, hours: float
) -> SiteState:
    running = {m.name: -columns[f"{m.name}_mw"] / m.power_mw for m in site.machines}
    running |= {m.name: np.rint(running[m.name]) for m in site.machines if m.integer}
    wanted = {name: np.where(seen.is_open, demand, 0.0) for name, demand in seen.demand.items()}
    drawn = np.maximum(-columns["grid_mw"], 0.0)[days.in_month].tolist()
    return replace(
        state,
        peak_mw=max([state.peak_mw if days.in_month[0] else 0.0, *drawn]),
        room_c=float(columns["room_c"][-1]) if "room_c" in columns else state.room_c,
        running={name: float(values[-1]) for name, values in running.items()},
        started={m.name: _started(m, running[m.name], state, hours) for m in site.machines},
        served=_added(state.served, running, days.in_day, hours),
        demanded=_added(state.demanded, wanted, days.in_day, hours),
    )


def _added(
    before: Mapping[str, float], values: Mapping[str, Floats], in_day: NDArray[np.bool_], hours: float
) -> dict[str, float]:
    """Machine-hours of the day, with those of before where it had begun then."""
    kept = before if in_day[0] else {}
    return {name: float(kept.get(name, 0.0)) + hours * float(series[in_day].sum()) for name, series in values.items()}


def _started(machine: Machine, running: Floats, state: SiteState, hours: float) -> Floats:
    """Machines started in the intervals that count for the least run; no more of them than still run."""
    change = np.diff(running, prepend=state.running.get(machine.name, 0.0))
    before = np.asarray(state.started.get(machine.name, ()), dtype=float)
    kept = machine.run_steps(hours) - 1
    started = np.concatenate([before, np.maximum(change, 0.0)])[max(0, len(before) + len(change) - kept) :]
    newest_first = np.minimum(np.cumsum(started[::-1]), running[-1])
    return np.asarray(np.diff(newest_first, prepend=0.0)[::-1])
