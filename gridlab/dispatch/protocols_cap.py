r"""
The protocol of the cap: what is taken away where a site or its machines would draw too much.

What is drawn at the grid is

.. math:: P = r L + o - b,

with :math:`L` drawn by machines, chiller and services by the order and :math:`b` the battery's power into the grid;
:math:`r \ge 1` is what the meter reads of the loads in force for each MW that was ordered, or :math:`o \ge 0` what it
reads beside them where hardly any are in force. They are 1 and 0 where there is no meter or it reads no more.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from gridlab.dispatch.limits import (
    EXACT,
    Meter,
    Seen,
    draw_mw,
    number,
    power_of,
    services_mw,
    within,
)
from gridlab.dispatch.order import Order
from gridlab.dispatch.protocols_temperature import is_cool
from gridlab.dispatch.rulings import Ruling


def keep_cap(order: Order, seen: Seen) -> Ruling | None:
    """
    Nothing above the cap at the grid, by the order or by the meter, nor above the machines' own.

    Charging gives way first, then whole machines, those of least worth for their power first, then services alike, then
    the chiller. The margin stays free of a cap that was passed; one that is met exactly is not passed.
    """
    read, loads, battery = seen.meter, seen.loads(order), order.battery_mw
    power, most_power = seen.power(order), float(seen.site.machine_cap_power)
    drawn, export = read.reads(loads), seen.site.greatest_export_mw
    first = _passed(order, drawn - battery, power, read, seen)
    if first is None:
        return None
    allowed, free = math.inf, 1 - seen.site.margin
    if read.over or drawn - battery > within(seen.site.cap_mw):
        target = free * seen.site.cap_mw
        battery = min(0.0, max(battery, drawn - target)) if battery < 0 else battery
        allowed = _allowed(target, battery, read, export)
    most_power *= free if power > most_power else 1
    new = _lightened(order, seen, allowed, most_power)
    battery = min(battery, seen.loads(new) + export)
    new = replace(new, battery_mw=battery) if battery != new.battery_mw else new
    reason = f"{first}: {_taken(order, new)}, to {draw_mw(new, seen.site):g} MW."
    return Ruling(order if new == order else new, reason, "critical" if read.over else "warning")


def _passed(order: Order, drawn: float, power: int, read: Meter, seen: Seen) -> str | None:
    """Which limit is passed, the beginning of a sentence; None where none is."""
    cap, machine_cap = seen.site.cap_mw, seen.site.machine_cap_power
    if read.over:
        return f"The meter reads {seen.now.readings.power_mw:g} MW and the cap is {cap:g} MW"
    if drawn > within(cap):
        learned = " by what the meter reads" if read.ratio > 1 or read.offset > 0 else ""
        return f"The order draws {drawn:g} MW{learned} and the cap is {cap:g} MW"
    if power > machine_cap:
        return f"The machines draw {power:g} units of power and their cap is {machine_cap:g}"
    if order.battery_mw - seen.loads(order) > within(seen.site.greatest_export_mw):
        export = seen.site.greatest_export_mw
        return f"The order delivers {order.battery_mw - seen.loads(order):g} MW and the site may deliver {export:g} MW"
    return None


def _allowed(target: float, battery: float, read: Meter, export: float) -> float:
    """Loads that keep the target, also where the battery may deliver no more than them and the export. [MW]"""
    allowed = (target + max(battery, 0.0) - read.offset) / read.ratio
    if read.ratio > 1:
        allowed = min(allowed, (target + export - read.offset) / (read.ratio - 1))
    return max(allowed, 0.0)


def _lightened(order: Order, seen: Seen, allowed: float, most_power: float) -> Order:
    """The order with machines, then services, then cooling taken away until its loads are what is allowed."""
    power = seen.power(order)
    excess_mw = seen.loads(order) - allowed
    excess = max(min(excess_mw / seen.site.unit_mw, float(power)), power - most_power)
    counts = _shed(order.counts, excess, seen) if excess > 0 else order.counts
    machines, services = seen.site.unit_mw * power_of(counts, seen.site), services_mw(order)
    room = max(allowed - machines - order.cooling_mw, 0.0)
    sold = order.services_mw
    if services > within(room):
        sold = {name: room * (mw / services) for name, mw in order.services_mw.items()} if room > 0 else {}
    cooling = order.cooling_mw
    if counts != order.counts and is_cool(seen):
        cooling = min(cooling, seen.site.cooling_mw(counts, seen.outside_c))
    if machines + cooling + sum(sold.values()) > within(allowed):
        cooling = max(allowed - machines - sum(sold.values()), 0.0)
    return replace(order, counts=counts, services_mw=sold, cooling_mw=cooling)


def _shed(counts: Mapping[str, int], excess: float, seen: Seen) -> dict[str, int]:
    """Whole machines taken away until `excess` units of power are gone, those of least worth for theirs first."""
    left, power = dict(counts), seen.site.power
    by_worth = {name: (number(seen.now.worth.get(name)) or 0.0) / power[name] for name in list(power)[::-1]}
    for name in sorted(by_worth, key=by_worth.__getitem__):
        if excess <= EXACT * power[name]:
            break
        gone = min(left.get(name, 0), math.ceil(excess / power[name] - EXACT))
        if gone > 0:
            left[name], excess = left[name] - gone, excess - gone * power[name]
    return left


def _taken(order: Order, new: Order) -> str:
    """What was taken away."""
    fewer = {name: count - new.counts[name] for name, count in order.counts.items() if count > new.counts[name]}
    did = [f"{count} {name} are shed" for name, count in fewer.items()]
    did += ["services are cut"] if new.services_mw != order.services_mw else []
    did += [f"the chiller is at {new.cooling_mw:g} MW"] if new.cooling_mw != order.cooling_mw else []
    did += [f"the battery is at {new.battery_mw:g} MW"] if new.battery_mw != order.battery_mw else []
    return ", ".join(did) or "no more is shed"
