"""The protocol of the temperature: cooling first, then machines, and their return."""

import math
from dataclasses import replace
from typing import NamedTuple

from gridlab.dispatch.limits import EXACT, Seen, count_of, number
from gridlab.dispatch.order import Order
from gridlab.dispatch.rulings import Ruling, Severity

AT_CAPACITY = 0.95
"""Share of its power from which on a chiller in force is at its capacity."""


def keep_cool(order: Order, seen: Seen) -> Ruling | None:
    """
    Cooling, then machines, by the temperature.

    Above the limit the chiller takes all its power; where it has it already, or there is none, machines of those in
    force are shed in proportion to the excess, and all at the critical temperature. Until the temperature is below
    `temperature_resume_c` no machine is added and the chiller is not lowered; below it they return the faster the
    cooler it is. A thermometer that is silent counts as that temperature at first, and after `silent_minutes` as the
    middle between the limit and the critical temperature.
    """
    felt = _felt(seen)
    if felt is None or felt.celsius <= seen.site.temperature_free_c:
        return None
    new = _cooled(order, seen, felt.celsius)
    if new == order and felt.severity == "info":
        return None
    did = [f"the chiller is at {new.cooling_mw:g} MW"] if new.cooling_mw != order.cooling_mw else []
    fewer = {name: count - new.counts[name] for name, count in order.counts.items() if count > new.counts[name]}
    did += [f"{count} {name} do not run" for name, count in fewer.items()]
    did += ["services stop"] if new.services_mw != order.services_mw else []
    return Ruling(new, f"{felt.told}: {', '.join(did) or 'the order changes nothing of that'}.", felt.severity)


def is_cool(seen: Seen) -> bool:
    """Whether the chiller may be lowered."""
    felt = _felt(seen)
    return felt is None or felt.celsius < seen.site.temperature_resume_c


class _Felt(NamedTuple):
    """The temperature to act on [degC], what is said of it and how grave it is."""

    celsius: float
    told: str
    severity: Severity


def _felt(seen: Seen) -> _Felt | None:
    """The temperature to act on, None where nothing is known of one."""
    read, given = seen.celsius, seen.now.readings.temperature_c
    if read is not None:
        return _read(read, seen)
    if given is None and not seen.site.thermometer:
        return None
    minutes, patience = seen.now.minutes_without_temperature, seen.site.silent_minutes
    told = f"The thermometer has given no reading for {minutes:g} min, its last is {given}"
    if minutes <= patience:
        return _Felt(seen.site.temperature_resume_c, f"{told}, and no machine is added that it watches", "warning")
    halfway = (seen.site.temperature_max_c + seen.site.temperature_critical_c) / 2
    return _Felt(halfway, f"{told}, and after {patience:g} min that is taken as {halfway:g} C", "critical")


def _read(read: float, seen: Seen) -> _Felt:
    first = f"The temperature is {read:.1f} C and"
    if read >= seen.site.temperature_critical_c:
        return _Felt(read, f"{first} from {seen.site.temperature_critical_c:g} C on everything stops", "critical")
    if read > seen.site.temperature_max_c:
        return _Felt(read, f"{first} the limit is {seen.site.temperature_max_c:g} C", "warning")
    return _Felt(read, f"{first} machines return below {seen.site.temperature_resume_c:g} C", "info")


def _cooled(order: Order, seen: Seen, degrees: float) -> Order:
    """The order as a temperature allows it."""
    chiller = seen.chiller_mw
    cooling, held = order.cooling_mw, number(seen.now.held.cooling_mw) or 0.0
    if degrees > seen.site.temperature_max_c:
        cooling = chiller
    elif degrees >= seen.site.temperature_resume_c:
        cooling = max(cooling, min(held, chiller))
    if degrees >= seen.site.temperature_critical_c:
        return replace(order, counts=dict.fromkeys(order.counts, 0), cooling_mw=cooling, services_mw={})
    ceiling = _ceilings(degrees, seen, held >= AT_CAPACITY * chiller)
    counts = {name: min(count, ceiling.get(name, count)) for name, count in order.counts.items()}
    return replace(order, counts=counts, cooling_mw=cooling)


def _ceilings(degrees: float, seen: Seen, at_capacity: bool) -> dict[str, int]:
    """Most machines of each type that is watched: those cooled, or all where nothing is."""
    watched = seen.site.cooled if seen.site.cooling is not None and seen.site.cooled else tuple(seen.site.power)
    held = {name: count_of(seen.now.held.counts.get(name)) or 0 for name in watched}
    resume, hot, critical = (
        seen.site.temperature_resume_c,
        seen.site.temperature_max_c,
        seen.site.temperature_critical_c,
    )
    if degrees < resume:
        share = (resume - degrees) / (resume - seen.site.temperature_free_c)
        return {name: count + _returning(share, name, seen) for name, count in held.items()}
    if degrees <= hot or not at_capacity:
        return held
    kept = (critical - degrees) / (critical - hot)
    return {name: math.floor(count * kept + EXACT) for name, count in held.items()}


def _returning(share: float, name: str, seen: Seen) -> int:
    """Machines that may be added of a type: a share of those that its cap has room for, at least 1."""
    most = seen.site.machine_cap_power // seen.site.power[name] if name in seen.site.power else 0
    return max(math.floor(share * most + EXACT), 1)
