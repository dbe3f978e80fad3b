"""What a site's programme is solved with: the parameters' values, from a forecast and a state."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.assets import Battery, Cooling, Machine, Site
from gridlab.days import zone
from gridlab.errors import DataError, PlanError
from gridlab.mpc.base import State
from gridlab.mpc.site_programme import N_CHORDS, chords
from gridlab.storage import reach

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_TOLERANCE = 1e-6  # MWh and degrees by which a start may lie outside its limits by rounding


class Calendar(NamedTuple):
    """
    Which market day and calendar month each interval belongs to.

    Parameters
    ----------
    day, month : ndarray of int, shape (n_steps,)
        Counted from the first.
    month_share : ndarray, shape (n_months,)
        Hours of the plan in each month as a share of those from the first of them to the month's end. [-]
    """

    day: NDArray[np.int64]
    month: NDArray[np.int64]
    month_share: Floats

    @property
    def n_days(self) -> int:
        """Market days that the plan touches."""
        return int(self.day[-1]) + 1

    @property
    def n_months(self) -> int:
        """Calendar months that the plan touches."""
        return int(self.month[-1]) + 1

    @property
    def rows(self) -> Floats:
        """One for each interval of a day, shape (n_days, n_steps)."""
        return np.asarray(self.day == np.arange(self.n_days)[:, None], dtype=float)

    def by_day(self, values: Floats) -> Floats:
        """Sums over each day."""
        return np.bincount(self.day, values, self.n_days).astype(float)


def calendar(times: pd.DatetimeIndex, step_hours: float, market_tz: str = "UTC") -> Calendar:
    """
    The days and months of a plan, by the market's clock.

    Examples
    --------
    >>> days = calendar(pd.date_range("2024-01-31 22:00", periods=4, freq="1h", tz="UTC"), 1.0)
    >>> days.day.tolist(), days.month.tolist(), days.month_share.round(3).tolist()
    ([0, 0, 1, 1], [0, 0, 1, 1], [1.0, 0.003])
    """
    clock = times.tz_convert(zone(market_tz)).tz_localize(None).to_numpy()
    dates, months = clock.astype("datetime64[D]"), clock.astype("datetime64[M]")
    month = (months - months[0]).astype(np.int64)
    first = np.flatnonzero(np.diff(month, prepend=-1))
    month_end = (months[first] + 1).astype("datetime64[s]")
    left = (month_end - clock[first].astype("datetime64[s]")).astype(float) / 3600
    share = np.minimum(1.0, step_hours * np.bincount(month) / np.maximum(left, step_hours))
    return Calendar((dates - dates[0]).astype(np.int64), month, share)


class Outlook(NamedTuple):
    """
    What is believed about a site's intervals, checked.

    Parameters
    ----------
    price : ndarray, shape (n_steps,)
        Price, 0 where the market is closed. [$/MWh]
    is_open : ndarray of bool, shape (n_steps,)
        Where there is a price.
    earns : mapping of str to ndarray
        What a machine of each type earns in each interval. [$]
    demand : mapping of str to ndarray
        Machines of each type that are wanted, 0 where the market is closed.
    outside_c : ndarray, shape (n_steps,)
        Outside temperature, 0 where it does not matter. [degC]
    per_cop : ndarray, shape (n_steps,)
        Power for each unit of heat at full load; 0 where the market is closed, or without a chiller. [-]
    """

    price: Floats
    is_open: Flags
    earns: Mapping[str, Floats]
    demand: Mapping[str, Floats]
    outside_c: Floats
    per_cop: Floats


def outlook(columns: Mapping[str, Floats], site: Site, prefix: str = "") -> Outlook:
    """
    Check what a site needs of a forecast; a column with the site's `prefix` goes before one without.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_steps,)
        `mean`; the machines' products; ``<machine>_demand`` where not all machines are wanted; `temperature_c` where
        there is cooling.
    site : Site
        The site.
    prefix : str
        Of the site's own columns, as ``<prefix><column>``.

    Returns
    -------
    Outlook

    Raises
    ------
    DataError
        If a column is missing, or not finite where the market is open.
    """
    price = np.asarray(columns["mean"], dtype=float)
    if price.size == 0:
        raise DataError("the forecast has no rows: give it one for each interval of the plan")
    if np.isinf(price).any():
        raise DataError(f"mean is infinite in interval {int(np.argmax(np.isinf(price)))}: correct it or set it to NaN")
    is_open = ~np.isnan(price)

    def read(name: str, purpose: str, needed: Flags = is_open) -> Floats:
        return _read(columns, prefix, name, purpose, needed)

    paid = {product: read(product, "pays for what the machines make") for product in site.products}
    wanted = {
        machine.name: _wanted(read(f"{machine.name}_demand", "") if _has(columns, prefix, machine) else None, machine)
        for machine in site.machines
    }
    outside = np.zeros(len(price))
    if site.cooling is not None:
        matters = is_open | (site.cooling.wall_mw_per_c > 0)
        outside = read("temperature_c", "says how well the chiller works", matters)
    return Outlook(
        price=np.where(is_open, price, 0.0),
        is_open=is_open,
        earns={machine.name: machine.output * paid[machine.product] for machine in site.machines},
        demand={name: np.where(is_open, demand, 0.0) for name, demand in wanted.items()},
        outside_c=outside,
        per_cop=_per_cop(site.cooling, outside, is_open),
    )


def _has(columns: Mapping[str, Floats], prefix: str, machine: Machine) -> bool:
    name = f"{machine.name}_demand"
    return name in columns or prefix + name in columns


def _read(columns: Mapping[str, Floats], prefix: str, name: str, purpose: str, needed: Flags) -> Floats:
    name = prefix + name if prefix + name in columns else name
    if name not in columns:
        raise DataError(f"the forecast has no column '{name}', which {purpose} (it has {', '.join(columns)}): add it")
    values = np.asarray(columns[name], dtype=float)
    finite = np.isfinite(values)
    if not finite[needed].all():
        bad = int(np.flatnonzero(needed & ~finite)[0])
        raise DataError(f"{name} is {values[bad]} in interval {bad}, where it is needed: fill it")
    return np.where(finite, values, 0.0)


def _wanted(demand: Floats | None, machine: Machine) -> Floats | float:
    if demand is None:
        return float(machine.count)
    if (demand < 0).any():
        bad = int(np.argmax(demand < 0))
        raise DataError(f"{machine.name}_demand must be at least 0 machines, got {demand[bad]} in interval {bad}")
    return demand


def _per_cop(cooling: Cooling | None, outside: Floats, is_open: Flags) -> Floats:
    if cooling is None:
        return np.zeros(len(outside))
    return np.where(is_open, [1 / cooling.cop(temperature) for temperature in outside.tolist()], 0.0)


def site_data(
    site: Site, state: State, known: Outlook, days: Calendar, step_hours: float, *, prorate_demand: bool
) -> dict[str, Floats | float]:
    """The parameters' values, by name; some of them only some shapes of the programme ask for."""
    award = site.regulation.award_mw if site.regulation is not None else 0.0
    data: dict[str, Floats | float] = {
        "import_most": step_hours * np.where(known.is_open, site.import_limit_mw - award, 0.0),
        "export_most": step_hours * np.where(known.is_open, site.export_limit_mw - award, 0.0),
    }
    if site.battery is not None:
        data |= battery_data(site, site.battery, state, known.is_open, step_hours)
    for machine in site.machines:
        data |= _machine_data(machine, state, known, days, step_hours)
        if machine.service_level > 0:
            data[f"{machine.name} service price"] = machine.power_mw * _last_resort(site, known, step_hours)
    if site.cooling is not None:
        powers = (machine.power_mw * data[f"{machine.name}_most"] for machine in site.machines)
        heat = np.asarray(step_hours * sum(powers, np.zeros(len(known.price))), dtype=float)
        data |= _cooling_data(site, site.cooling, state, known, heat, step_hours)
    if site.demand_charge > 0:
        share = days.month_share if prorate_demand else np.ones(days.n_months)
        other = days.month[:, None] != np.arange(days.n_months)
        before = np.zeros(days.n_months)
        before[0] = state.site.peak_mw
        data |= {"demand_price": site.demand_charge * share, "peak_before": before}
        data["other_month"] = step_hours * site.import_limit_mw * other
    return data


def battery_data(site: Site, battery: Battery, state: State, is_open: Flags, hours: float) -> dict[str, Floats | float]:
    """What the battery's block is given: energies an interval, and limits of what is stored above the least. [MWh]"""
    award, reserve = 0.0, (0.0, 0.0)
    if site.regulation is not None:
        award, reserve = site.regulation.award_mw, site.regulation.reserve_mwh(battery)
    usable, n_steps = battery.soc_high_mwh - battery.soc_low_mwh, len(is_open)
    start = _start(battery, state, reserve if is_open[0] else (0.0, 0.0))
    promised = is_open | np.append(is_open[1:], False)
    low = np.where(promised, reserve[0], 0.0)
    high = np.where(promised, usable - reserve[1], usable)
    most = np.where(is_open, battery.power_mw - award, 0.0)
    reached = reach(hours * most, start, battery, hours)
    low[-1], high[-1] = _end_band(battery, state, float(low[-1]), float(high[-1]), reached)
    ramp = np.where(is_open, min(battery.ramp_mw_per_hour * hours, 2 * battery.power_mw), 2 * battery.power_mw)
    ramp[0] = max(ramp[0], abs(state.power_mw) - most[0])
    return {
        "battery_most": hours * most,
        "stored_before": start,
        "stored_low": low,
        "stored_high": high,
        "energy_before": hours * state.power_mw,
        "battery_ramp_up": hours * ramp,
        "battery_ramp_down": hours * ramp,
        "two_way": np.full(n_steps, hours * battery.power_mw),
    }


def _start(battery: Battery, state: State, reserve: tuple[float, float]) -> float:
    """Energy stored at the start above the least; refused outside its limits, or within the regulation's reserve."""
    low, high, soc = battery.soc_low_mwh, battery.soc_high_mwh, state.soc_mwh
    if not low - _TOLERANCE <= soc <= high + _TOLERANCE:
        raise PlanError(f"soc_mwh = {soc:g} is outside the battery's {low:g} to {high:g} MWh: start within them")
    if soc < low + reserve[0] - _TOLERANCE:
        raise PlanError(
            f"soc_mwh = {soc:g} lacks {low + reserve[0] - soc:.3g} MWh of the regulation's reserve, which needs "
            f"{low + reserve[0]:g}: start fuller or award less"
        )
    if soc > high - reserve[1] + _TOLERANCE:
        raise PlanError(
            f"soc_mwh = {soc:g} lacks {soc - high + reserve[1]:.3g} MWh of room for the regulation's reserve, which "
            f"allows {high - reserve[1]:g}: start emptier or award less"
        )
    return min(max(soc, low), high) - low


def _end_band(battery: Battery, state: State, low: float, high: float, reached: tuple[float, float]) -> Floats:
    """Least and greatest energy stored at the end above the least; what lies outside by rounding only is moved in."""
    base, band = battery.soc_low_mwh, f"the end band of {state.end_low_mwh:g} to {state.end_high_mwh:g} MWh"
    least, most = max(state.end_low_mwh - base, low), min(state.end_high_mwh - base, high)
    if least > most + _TOLERANCE:
        raise PlanError(
            f"{band} misses what the battery and the regulation's reserve allow, {low + base:g} to {high + base:g}, "
            f"by {least - most:.3g} MWh: widen it"
        )
    short = max(least - reached[1], reached[0] - most)
    if short > _TOLERANCE:
        raise PlanError(
            f"{band} is {short:.3g} MWh beyond what the battery can reach from {state.soc_mwh:g} MWh, "
            f"{reached[0] + base:g} to {reached[1] + base:g}: widen it or plan over more intervals"
        )
    return np.array([min(least, reached[1]), max(most, reached[0])])


def _machine_data(
    machine: Machine, state: State, known: Outlook, days: Calendar, hours: float
) -> dict[str, Floats | float]:
    name, n_steps, runs = machine.name, len(known.price), machine.run_steps(hours)
    before = min(float(state.site.running.get(name, 0.0)), float(machine.count))
    recent = _recent(np.asarray(state.site.started.get(name, ()), dtype=float), runs, n_steps)
    most = np.minimum(np.ceil(known.demand[name] - 1e-9) if machine.integer else known.demand[name], machine.count)
    most = np.where(known.is_open, most, 0.0)
    held = np.minimum.accumulate(np.minimum(np.minimum(recent, before), most))  # what is not wanted may stop
    recent = np.where(_after_closed(known.is_open, runs), -float(machine.count * runs), held)
    change = min(machine.ramp_mw_per_hour * hours, machine.greatest_mw)
    change = machine.power_mw * np.floor(change / machine.power_mw + 1e-9) if machine.integer else change
    ramp = np.where(known.is_open, change, machine.greatest_mw)
    down = ramp.copy()
    too_many = machine.power_mw * (before - most) - ramp * np.arange(n_steps)  # for the ramp, should demand fall
    down[0] = max(ramp[0], too_many.max())
    return {
        f"{name}_most": most,
        f"{name}_earns": np.where(known.is_open, known.earns[name], 0.0),
        f"{name}_before": before,
        f"{name}_recent": recent,
        f"{name}_lacks": (known.demand[name] > machine.count).astype(float),
        f"{name}_ramp_up": hours * ramp,
        f"{name}_ramp_down": hours * down,
        f"{name} service required": required_hours(machine, state, known, days, hours),
    }


def required_hours(machine: Machine, state: State, known: Outlook, days: Calendar, hours: float) -> Floats:
    """Machine-hours that each market day of the plan still owes, shape (n_days,). [h]"""
    demanded = hours * days.by_day(known.demand[machine.name])
    demanded[0] += state.site.demanded.get(machine.name, 0.0)
    required = machine.service_level * demanded
    required[0] -= state.site.served.get(machine.name, 0.0)
    return np.maximum(required, 0.0)


def _recent(started: Floats, runs: int, n_steps: int) -> Floats:
    """Machines started before the plan that must still run, by interval."""
    held = runs - 1 - np.arange(min(runs - 1, n_steps))
    recent = np.zeros(n_steps)
    recent[: len(held)] = [started[max(0, len(started) - steps) :].sum() for steps in held]
    return recent


def _after_closed(is_open: Flags, steps: int) -> Flags:
    """Intervals with a closed one among the `steps` that end with them."""
    if is_open.all():
        return np.zeros(len(is_open), dtype=bool)
    closed = np.concatenate([[0], np.cumsum(~is_open)])
    first = np.maximum(np.arange(len(is_open)) - steps + 1, 0)
    return np.asarray(closed[1:] > closed[first])


def _cooling_data(
    site: Site, cooling: Cooling, state: State, known: Outlook, heat: Floats, hours: float
) -> dict[str, Floats | float]:
    at_none, _ = chords(cooling)
    width = hours * cooling.capacity_mw / N_CHORDS
    full = np.where(known.is_open[:, None], width, 0.0) * np.ones(N_CHORDS)
    most = full
    if cooling.room_mwh_per_c == 0:  # no more than the machines' heat: less to waste where prices are negative
        most = np.clip(heat[:, None] - width * np.arange(N_CHORDS), 0.0, full)
    data: dict[str, Floats | float] = {
        "per_cop": known.per_cop,
        "at_no_load": hours * cooling.capacity_mw * at_none * known.per_cop,
        "pieces_most": most,
        "pieces_full": full,
        "any_order": np.full((len(most), N_CHORDS - 1), width),
    }
    if cooling.room_mwh_per_c > 0:
        price = _last_resort(site, known, hours) / cooling.room_c_per_mwh(hours)
        data |= {
            "room_before": room_start(cooling, state),
            "room_drawn": (1 - cooling.room_kept(hours)) * known.outside_c,
            "room_least": np.full(len(most), cooling.room_low_c),
            "room_most": np.full(len(most), cooling.room_high_c),
            "room low price": price,
            "room high price": price,
        }
    return data


def room_start(cooling: Cooling, state: State) -> float:
    """Temperature of the room at the start, the middle of its limits where it is not known. [degC]"""
    room = state.site.room_c
    if room is None:
        return (cooling.room_low_c + cooling.room_high_c) / 2
    if not math.isfinite(room):
        raise DataError(f"room_c must be a temperature, got {room}")
    return float(room)


def _last_resort(site: Site, known: Outlook, hours: float) -> float:
    """What missing a limit costs for each MWh of the machines, above anything that keeping it could. [$/MWh]"""
    earned = sum(float(known.earns[m.name].max()) / (hours * m.power_mw) for m in site.machines)
    changed = sum((m.start_cost + m.stop_cost) / (hours * m.power_mw) for m in site.machines)
    chilled = 1 + float(known.per_cop.max()) * (1 + sum(site.cooling.part_load) if site.cooling else 0.0)
    worn = site.battery.degradation_cost / site.battery.eta_round_trip if site.battery else 0.0
    bought = float(np.abs(known.price).max()) + worn + site.demand_charge / hours
    return 10 * (chilled * bought + earned + changed) + 1.0
