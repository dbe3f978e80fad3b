"""What the answer of a site's programme says: the schedule, its worth, what it wastes, and why there is none."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridlab.assets import Battery, Cooling, Machine, Site
from gridlab.errors import PlanError
from gridlab.mpc.base import State
from gridlab.mpc.site_data import Calendar, Outlook, room_start
from gridlab.mpc.site_programme import GIVEN, N_CHORDS, Shape, chords
from gridlab.programme import Answer
from gridlab.storage import bands_ahead, stored_after, towards

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ENERGY_TOLERANCE = 1e-7  # MWh that is as good as nothing
_NOISE = 1e-10  # MWh that stands for none
_MISSED = 1e-6  # machine-hours, or share of a limit, by which nothing was missed


class Task(NamedTuple):
    """
    What a plan of a site is asked for.

    Parameters
    ----------
    site, state : Site and State
        The site and where it starts.
    known : Outlook
        What is believed.
    days : Calendar
        The days and months of the plan.
    hours : float
        Length of an interval. [h]
    data : mapping
        The parameters' values.
    """

    site: Site
    state: State
    known: Outlook
    days: Calendar
    hours: float
    data: Mapping[str, Any]


class Read(NamedTuple):
    """What a plan says: its columns, worth, solver, and by how much it missed what it may miss."""

    columns: dict[str, Floats]
    objective: float
    solver: str
    slacks: dict[str, Floats]


def read(task: Task, answer: Answer, prefix: str = "") -> Read:
    """The schedule, exact in its balances, and its worth."""
    values = {name.removeprefix(prefix): value for name, value in answer.values.items() if name.startswith(prefix)}
    site, hours = task.site, task.hours
    parts, levels = {}, {"soc_mwh": np.zeros(len(task.known.price))}
    if site.battery is not None:
        net, stored = _moved(site.battery, task, values["stored"])
        parts["battery_mw"], levels["soc_mwh"] = net / hours, stored + site.battery.soc_low_mwh
    running = {name: _running(task, name, values[name]) for name in site.names}
    parts |= {f"{m.name}_mw": 0.0 - m.power_mw * running[m.name] for m in site.machines}
    if site.cooling is not None:
        heat = -hours * sum((parts[f"{name}_mw"] for name in site.names), np.zeros(len(task.known.price)))
        removed = heat
        if site.cooling.room_mwh_per_c > 0:
            removed = np.clip(values["cooling_pieces"].sum(axis=1), 0.0, None)
            levels["room_c"] = _room(site.cooling, task, heat - removed)
        drive = _least_drive(site.cooling, removed, hours)
        parts["cooling_mw"] = -(task.data["at_no_load"] + task.known.per_cop * drive) / hours
    grid = sum(parts.values(), np.zeros(len(task.known.price)))
    columns = parts | {"grid_mw": grid} | levels
    slacks = {name.removesuffix(" missed"): value for name, value in values.items() if name.endswith(" missed")}
    return Read(columns, _worth(task, columns, running), answer.solver, slacks)


def _moved(battery: Battery, task: Task, stored: Floats) -> tuple[Floats, Floats]:
    """Energy into the grid and energy stored, one from the other."""
    stored = np.clip(stored, 0.0, battery.soc_high_mwh - battery.soc_low_mwh)
    before = np.concatenate([[task.data["stored_before"]], stored[:-1]])
    gained = stored - battery.kept(task.hours) * before
    net = np.where(gained > 0, -gained / battery.eta_charge, -gained * battery.eta_discharge)
    return np.where(np.abs(net) > _NOISE, net, 0.0), stored


def _running(task: Task, name: str, values: Floats) -> Floats:
    machine = task.site.machines[task.site.names.index(name)]
    values = np.rint(values) if machine.integer else values
    return np.clip(values, 0.0, task.data[f"{name}_most"]) + 0.0


def _room(cooling: Cooling, task: Task, heat: Floats) -> Floats:
    """Temperature of the room at the end of each interval. [degC]"""
    room, now = np.empty(len(heat)), room_start(cooling, task.state)
    for step, (gain, outside) in enumerate(zip(heat.tolist(), task.known.outside_c.tolist(), strict=True)):
        room[step] = now = cooling.room_after(now, gain, outside, task.hours)
    return room


def _least_drive(cooling: Cooling, removed: Floats, hours: float) -> Floats:
    """Energy times COP that removes heat along the chords, beside that at no load. [MWh]"""
    return np.asarray(_filled(cooling, removed, hours) @ chords(cooling)[1])


def _filled(cooling: Cooling, removed: Floats, hours: float) -> Floats:
    """Heat in each piece of the part-load curve, in their order, shape (n_steps, n_chords). [MWh]"""
    width = hours * cooling.capacity_mw / N_CHORDS
    return np.clip(removed[:, None] - width * np.arange(N_CHORDS), 0.0, width)


def _worth(task: Task, columns: Mapping[str, Floats], running: Mapping[str, Floats]) -> float:
    """Money that a schedule brings if the forecast comes true. [$]"""
    site, known, hours = task.site, task.known, task.hours
    money = hours * known.price @ columns["grid_mw"]
    for machine in site.machines:
        change = np.diff(running[machine.name], prepend=task.data[f"{machine.name}_before"])
        money += task.data[f"{machine.name}_earns"] @ running[machine.name]
        money -= machine.start_cost * np.maximum(change, 0).sum() + machine.stop_cost * np.maximum(-change, 0).sum()
    if site.battery is not None:
        money -= site.battery.degradation_cost * hours * np.maximum(columns["battery_mw"], 0.0).sum()
        width, slope = task.data["piece_most"], task.data["piece_value"]
        left = columns["soc_mwh"][-1] - site.battery.soc_low_mwh - (np.cumsum(width) - width)
        money += slope @ np.clip(left, 0.0, width)
    if site.demand_charge > 0:
        peak = np.zeros(task.days.n_months)
        np.maximum.at(peak, task.days.month, -columns["grid_mw"])
        money -= task.data["demand_price"] @ np.maximum(peak - task.data["peak_before"], 0.0)
    if site.regulation is not None:
        money += site.regulation.price * site.regulation.award_mw * hours * known.is_open.sum()
    return float(money)


def at_rest(shape: Shape, data: Mapping[str, Any]) -> dict[str, Floats]:
    """
    What a site can always do, for when no solver answers: as few machines as their least runs and ramps allow.

    The battery rests until its end band asks for energy in or out, and the chiller removes the machines' heat.
    """
    values: dict[str, Floats] = {}
    for prefix, site in shape.sites:
        mine = {name.removeprefix(prefix): value for name, value in data.items() if name.startswith(prefix)}
        found = _battery_at_rest(site.battery, mine, shape.step_hours) if site.battery is not None else {}
        found |= {machine.name: _fewest(machine, mine, shape) for machine in site.machines}
        if site.cooling is not None:
            powers = (machine.power_mw * found[machine.name] for machine in site.machines)
            heat = shape.step_hours * sum(powers, np.zeros(shape.n_steps))
            found["cooling_pieces"] = _filled(site.cooling, heat, shape.step_hours)
        for machine in (machine for machine in site.machines if machine.service_level > 0):
            name = f"{machine.name} service"
            served = shape.step_hours * data["days"] @ found[machine.name]
            found[f"{name} missed"] = np.maximum(mine[f"{name} required"] - served, 0.0)
        values |= {prefix + name: value for name, value in found.items()}
    return values


def _battery_at_rest(battery: Battery, data: Mapping[str, Any], hours: float) -> dict[str, Floats]:
    most, start, floor, roof = (data[name] for name in ("battery_most", "stored_before", "stored_low", "stored_high"))
    low, high = bands_ahead(most, floor[-1], roof[-1], battery, hours)
    low, high = np.maximum(low, floor), np.minimum(high, roof)
    net = towards(np.zeros(len(low)), most, start, low, high, battery, hours, data["energy_before"])
    stored = stored_after(net, start, battery, hours)
    return {"charge": np.maximum(-net, 0.0), "discharge": np.maximum(net, 0.0), "stored": stored}


def _fewest(machine: Machine, data: Mapping[str, Any], shape: Shape) -> Floats:
    """Fewest machines that may run in each interval."""
    fall = data[f"{machine.name}_ramp_down"] / (shape.step_hours * machine.power_mw)
    left = data[f"{machine.name}_before"] - np.cumsum(fall)
    left = np.ceil(left - 1e-9) if machine.integer else left
    least = np.maximum(left, data[f"{machine.name}_recent"])
    return np.asarray(np.clip(least, 0.0, data[f"{machine.name}_most"]))


def waste(task: Task, answer: Answer, prefix: str) -> dict[str, Flags]:
    """Where energy is wasted that a battery or a chiller cannot waste, by the parameter that keeps it from that."""
    found, values = {}, answer.values
    if (battery := task.site.battery) is not None:
        both = np.minimum(values[f"{prefix}charge"], values[f"{prefix}discharge"])
        found["two_way"] = both * (1 / battery.eta_discharge - battery.eta_charge) > _ENERGY_TOLERANCE
    if (cooling := task.site.cooling) is not None and cooling.part_load[2] > 0:
        pieces = values[f"{prefix}cooling_pieces"]
        least = _least_drive(cooling, pieces.sum(axis=1), task.hours)
        found["any_order"] = pieces @ chords(cooling)[1] - least > _ENERGY_TOLERANCE
    return found


def missed_service(task: Task, answer: Answer, prefix: str) -> dict[str, Floats]:
    """Machine-hours by which each machine's service is missed, by market day, where it is."""
    missed = {
        machine.name: answer.values[f"{prefix}{machine.name} service missed"]
        for machine in task.site.machines
        if machine.service_level > 0
    }
    return {name: hours for name, hours in missed.items() if hours.max() > _MISSED}


def refusal(
    tasks: Mapping[str, Task], elastic: Answer, hours: float, missed: Mapping[str, Mapping[str, Floats]]
) -> PlanError | None:
    """The sentence that says which service or plan cannot be and which limits would have to give way."""
    given = "; ".join(_given(tasks, elastic, hours))
    if not given:
        return None
    for prefix, names in missed.items():
        for name, short in names.items():
            task, day = tasks[prefix], int(np.argmax(short))
            machine = task.site.machines[task.site.names.index(name)]
            return PlanError(
                f"service_level = {machine.service_level:g} of {prefix}{name} cannot be met on market day {day} of the "
                f"plan: {short[day]:.4g} of {task.data[f'{name} service required'][day]:.4g} machine-hours are missed "
                f"unless {given}: loosen the limit or lower service_level"
            )
    return PlanError(f"the plan is infeasible unless {given}: loosen the limit")


def _given(tasks: Mapping[str, Task], elastic: Answer, hours: float) -> Iterator[str]:
    for name, value in elastic.values.items():
        if GIVEN in name and value[0] > _MISSED:
            prefix, _, limit = name.partition(GIVEN)
            words, unit, size = _limit_words(limit, hours)
            yield f"{prefix}{words} gives way by {value[0] / size:.4g} {unit}"


def _limit_words(limit: str, hours: float) -> tuple[str, str, float]:
    """What a limit is called, its unit, and how much of the programme's unit that is."""
    whole = {
        "grid import": ("import_limit_mw", "MW", hours),
        "grid export": ("export_limit_mw", "MW", hours),
        "charging": ("the battery's power_mw (charging)", "MW", hours),
        "discharging": ("the battery's power_mw (discharging)", "MW", hours),
        "empty": ("the least energy stored (soc_min, end_low_mwh or the reserve)", "MWh", 1.0),
        "full": ("the greatest energy stored (soc_max, end_high_mwh or the reserve)", "MWh", 1.0),
        "cooling capacity": ("capacity_mw of the cooling", "MW", hours),
        "room high": ("room_high_c", "K", 1.0),
        "room low": ("room_low_c", "K", 1.0),
        "budget": ("budget_mw", "MW", hours),
    }
    name, _, what = limit.partition(" ")
    of_machine = {
        "count": (f"count of {name}", "machines", 1.0),
        "least run": (f"min_run_hours of {name}", "machines", 1.0),
        "ramp up": (f"ramp_mw_per_hour of {name} (up)", "MW/h", hours * hours),
        "ramp down": (f"ramp_mw_per_hour of {name} (down)", "MW/h", hours * hours),
    }
    return whole[limit] if limit in whole else of_machine[what]
