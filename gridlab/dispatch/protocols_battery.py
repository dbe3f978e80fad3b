"""The protocols of the battery: what it can do, its range of charge, and the grid's signal."""

from dataclasses import replace

from gridlab.assets import Battery
from gridlab.dispatch.limits import Seen, battery_room, number
from gridlab.dispatch.order import Order
from gridlab.dispatch.rulings import Ruling

_ROUNDING = 1e-9  # MW, below which nothing is missing


def follow_signal(order: Order, seen: Seen) -> Ruling | None:
    """The battery delivers what the grid asks for of the award, around its plan, as far as there is headroom."""
    regulation, read = seen.site.regulation, seen.now.readings.regulation
    if regulation is None or seen.site.battery is None:
        return None
    base, signal = _base(order), number(read)
    if signal is None:
        return Ruling(
            _at(order, base, seen), f"The grid's signal is {read}, no number: the battery keeps its plan.", "warning"
        )
    asked = min(max(signal, -1.0), 1.0) * regulation.award_mw
    wanted = _keeping_reserve(base, seen) + asked
    if asked == 0 and wanted == order.battery_mw:
        return None
    low, high = _headroom(order, seen)
    done = _possible(min(max(wanted, low), high), order, seen)
    short = abs(wanted - done)
    told = f"The grid asks for {asked:g} MW around {wanted - asked:g} MW: the battery is at {done:g} MW"
    if short <= _ROUNDING:
        return Ruling(_at(order, done, seen), f"{told}.", "info")
    return Ruling(_at(order, done, seen), f"{told}, {short:g} MW short for want of headroom.", "warning")


def keep_charge(order: Order, seen: Seen) -> Ruling | None:
    """Power, ramp and state of charge of the battery; outside its range of charge it is brought back gently."""
    now, soc = order.battery_mw, seen.soc
    if seen.site.battery is None:
        told = f"The order has {now:g} MW of a battery and the site has none: it is left out."
        return None if now == 0 else Ruling(replace(order, battery_mw=0.0, base_mw=None), told, "warning")
    done = _possible(now, order, seen)
    new = order if done == now else _at(order, done, seen)
    if soc is None:
        told = f"The state of charge is {seen.now.readings.soc_share}, no reading: the battery rests."
        return Ruling(new, told, "warning")
    low, high = seen.site.soc_low, seen.site.soc_high
    if not low - 1e-6 <= soc <= high + 1e-6:
        told = f"The state of charge is {soc:.1%}, outside {low:.0%} to {high:.0%}: the battery is at {done:g} MW."
        return Ruling(new, told, "warning")
    if done == now:
        return None
    told = f"The battery can be at {done:g} MW, not at {now:g} MW, with {soc:.1%} of its energy stored."
    return Ruling(new, told, "warning")


def _base(order: Order) -> float:
    return order.battery_mw if order.base_mw is None else order.base_mw


def _at(order: Order, battery_mw: float, seen: Seen) -> Order:
    """The order with another power of the battery; where it follows a signal its plan is remembered."""
    return replace(order, battery_mw=battery_mw, base_mw=_base(order) if seen.site.regulation else order.base_mw)


def _keeping_reserve(base: float, seen: Seen) -> float:
    """The plan as far as it leaves the energy and the room that the award may need. [MW]"""
    soc, battery, regulation = seen.soc, seen.site.battery, seen.site.regulation
    if soc is None or battery is None or regulation is None:
        return base
    low, high = battery_room(soc, battery, seen.site, seen.now.step_hours, regulation.reserve_mwh(battery))
    return min(max(base, low), high)


def _headroom(order: Order, seen: Seen) -> tuple[float, float]:
    """Least and greatest power that the connection has room for beside the loads. [MW]"""
    loads = seen.loads(order)
    drawn = seen.meter.reads(loads)
    return min(0.0, drawn - seen.site.cap_mw), max(0.0, loads + seen.site.greatest_export_mw)


def _possible(wanted: float, order: Order, seen: Seen) -> float:
    """The power nearest to what is wanted that the battery may have; it may always be stopped. [MW]"""
    battery, soc = seen.site.battery, seen.soc
    if battery is None or soc is None:
        return 0.0
    least, most = seen.ramp_mw
    low, high = seen.room_mw
    done = min(max(min(max(wanted, least), most), low), high)
    if seen.site.soc_low <= soc <= seen.site.soc_high:
        return done
    back = _back(soc, battery, order, seen)
    if soc < seen.site.soc_low:
        return min(done, 0.0, max(back, least, low))
    return max(done, 0.0, min(back, most, high))


def _back(soc: float, battery: Battery, order: Order, seen: Seen) -> float:
    """Power that brings the state of charge back, within headroom that leaves the margin free. [MW]"""
    free, gentle = 1 - seen.site.margin, seen.site.recover_share * battery.power_mw
    per_share, loads = battery.energy_mwh / seen.now.step_hours, seen.loads(order)
    if soc < seen.site.soc_low:
        headroom = free * seen.site.cap_mw - seen.meter.reads(loads)
        missing = (seen.site.soc_low - soc) * per_share / battery.eta_charge
        return -max(min(gentle, missing, headroom), 0.0)
    missing = (soc - seen.site.soc_high) * per_share * battery.eta_discharge
    return max(min(gentle, missing, loads + free * seen.site.greatest_export_mw), 0.0)
