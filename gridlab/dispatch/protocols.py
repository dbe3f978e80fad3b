"""
Protocols: the rules that overrule an order where the site's limits, its sensors or the prices ask for it.

They are applied from the least important to the most important, which has the last word: prices, then what can be done
at all, the grid's signal, the battery, the temperature and at last the cap. Where one made room for another those
of the site are applied again, until the loads stay as they are.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple

from gridlab.dispatch.limits import Check, Seen, checks, count_of, draw_mw, number
from gridlab.dispatch.order import Order, Protection, Readings, Situation, cooling_for
from gridlab.dispatch.protocols_battery import follow_signal, keep_charge
from gridlab.dispatch.protocols_cap import keep_cap
from gridlab.dispatch.protocols_temperature import keep_cool
from gridlab.dispatch.rulings import Ruling, Severity

__all__ = [
    "PROTOCOLS",
    "Check",
    "Fired",
    "Mode",
    "Order",
    "Protected",
    "Protection",
    "Protocol",
    "Readings",
    "Ruling",
    "Seen",
    "Severity",
    "Situation",
    "checks",
    "cooling_for",
    "draw_mw",
    "protect",
]

Mode = Literal["normal", "hold", "safe"]


class Fired(NamedTuple):
    """
    A protocol that fired.

    Parameters
    ----------
    name : str
        Its name in `PROTOCOLS`.
    priority : int
        Its priority, 1 the most important.
    reason : str
        What it saw and what it did, one sentence.
    severity : str
        ``"info"``, ``"warning"`` or ``"critical"``.
    """

    name: str
    priority: int
    reason: str
    severity: Severity


class Protected(NamedTuple):
    """
    An order that keeps every limit.

    Parameters
    ----------
    order : Order
        The order.
    fired : tuple of Fired
        The protocols that fired, the most important first.
    mode : str
        ``"normal"``, or ``"hold"`` or ``"safe"`` where the prices cannot be used.
    """

    order: Order
    fired: tuple[Fired, ...]
    mode: Mode


class Protocol(NamedTuple):
    """
    A rule.

    Parameters
    ----------
    name : str
        Its name.
    priority : int
        Its priority; the rule of priority 1 has the last word.
    reason : str
        What it is for, one sentence.
    act : callable
        From an order and what is seen to a `Ruling`; None where it has nothing to say.
    restated : bool
        Whether what it says last counts, not what it says of the order as it came.
    """

    name: str
    priority: int
    reason: str
    act: Callable[[Order, Seen], Ruling | None]
    restated: bool = False


def protect(order: Order, situation: Situation, protection: Protection) -> Protected:
    """
    The order that a site may be given.

    Parameters
    ----------
    order : Order
        What was planned.
    situation : Situation
        What is known now.
    protection : Protection
        The site's limits.

    Returns
    -------
    Protected
        An order within the limits that the site was given: its cap, its machines, what the battery and the chiller can
        do. One that is within them already, with readings that give no cause for anything, is returned as it is.
        Whatever is no number in it is replaced by what is cautious, and nothing is refused.

    Notes
    -----
    Over a cap charging gives way first, then whole machines in the order of their worth for the power that they draw,
    the least first (of equals the type named last in `Protection.power`), then services alike, then the chiller; where
    a cap was passed its `margin` stays free. The battery's ramp gives way to its state of charge and to the cap: it can
    be stopped at any time.

    Examples
    --------
    >>> protection = Protection(cap_mw=1.0, machine_cap_power=1_000_000, power={"hydro_miners": 5000})
    >>> protect(Order({"hydro_miners": 200}), Situation(), protection).fired
    ()
    >>> protected = protect(Order({"hydro_miners": 240}), Situation(), protection)
    >>> protected.order.counts["hydro_miners"], protected.fired[0].name
    (180, 'cap')
    >>> protected.fired[0].reason
    'The order draws 1.2 MW and the cap is 1 MW: 60 hydro_miners are shed, to 0.9 MW.'
    """
    fired: dict[str, Fired] = {}
    seen = Seen(situation, protection)
    order = _ruled(order, seen, _ONCE, fired)
    for _ in range(_PASSES):
        before = order
        order = _ruled(order, seen, _AGAIN, fired)
        if _same_loads(order, before):
            break
    return Protected(order, tuple(sorted(fired.values(), key=lambda one: one.priority)), _mode(situation))


def _ruled(order: Order, seen: Seen, rules: tuple[Protocol, ...], fired: dict[str, Fired]) -> Order:
    """The order after rules, each of which may fire."""
    for rule in rules:
        ruling = rule.act(order, seen)
        if ruling is not None:
            order = ruling.order
            if rule.restated or rule.name not in fired:
                fired[rule.name] = Fired(rule.name, rule.priority, ruling.reason, ruling.severity)
    return order


def _same_loads(order: Order, before: Order) -> bool:
    """Whether no load has made room for another, so that the rules would say the same again."""
    if order is before:
        return True
    same = order.cooling_mw == before.cooling_mw and order.counts == before.counts
    return same and order.services_mw == before.services_mw


def _mode(situation: Situation) -> Mode:
    if situation.price_problem is None:
        return "normal"
    return "hold" if situation.minutes_without_prices <= situation.hold_minutes else "safe"


def _without_prices(order: Order, seen: Seen) -> Ruling | None:
    """Hold the order in force, then the safe one; services end with their interval, without prices none is sold."""
    now = seen.now
    if now.price_problem is None:
        return None
    minutes = now.minutes_without_prices
    since = f"for {round(minutes, 1):g} min" if math.isfinite(minutes) else "since the beginning"
    cause = f"{now.price_problem}".rstrip(" .") + f", {since}"
    if _mode(now) == "hold":
        told = f"{cause}: the last order holds, for up to {now.hold_minutes:g} min."
        return Ruling(replace(now.held, services_mw={}), told, "warning")
    told = f"{cause}, longer than {now.hold_minutes:g} min: the site goes to its safe state."
    return Ruling(replace(now.safe, services_mw={}), told, "critical")


def _what_can_be(order: Order, seen: Seen) -> Ruling | None:
    """Counts that are counts of machines that there are, and powers that are powers."""
    wrong: list[str] = []
    counts = _counts(order, seen.site, wrong)
    services = {name: _sold(name, mw, wrong) for name, mw in order.services_mw.items()}
    battery, base = number(order.battery_mw), number(order.base_mw)
    if battery is None:
        wrong.append(f"the battery's power is {order.battery_mw} MW, it rests")
    if base is None and order.base_mw is not None:
        wrong.append(f"the battery's plan is {order.base_mw} MW, it keeps its power")
    cooling = _chilled(order.cooling_mw, counts, seen, wrong)
    if not wrong:
        return None
    more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    told = f"The order cannot be done as it is: {'; '.join(wrong[:3])}{more}."
    return Ruling(Order(counts, battery or 0.0, cooling, services, base), told, "warning")


def _counts(order: Order, protection: Protection, wrong: list[str]) -> dict[str, int]:
    """Whole numbers of known machines, none above those that there are."""
    out = {}
    for name, given in order.counts.items():
        if name not in protection.power:
            wrong.append(f"{name} is no machine of this site")
            continue
        count, most = count_of(given), protection.most.get(name)
        if count is None or count != given or isinstance(given, float):
            wrong.append(f"{name} is {given!r}, not a number of machines, and {count or 0} run")
        elif most is not None and count > most:
            wrong.append(f"{name} is {count} and there are {most}")
        out[name] = min(count or 0, count or 0 if most is None else most)
    return out


def _sold(name: str, given: float, wrong: list[str]) -> float:
    power = number(given)
    if power is None or power < 0:
        wrong.append(f"the service {name} is given {given} MW, it gets none")
        return 0.0
    return power


def _chilled(given: float, counts: dict[str, int], seen: Seen, wrong: list[str]) -> float:
    """Power of the chiller, within what it can take; where it is no number what the machines' heat needs."""
    power = number(given)
    if power == 0:
        return 0.0
    most = seen.chiller_mw
    if power is None:
        power = seen.site.cooling_mw(counts, seen.outside_c)
        wrong.append(f"the chiller's power is {given} MW, it takes {power:g} MW")
    elif not 0 <= power <= most * (1 + 1e-9):
        wrong.append(f"the chiller's power is {power:g} MW, its range 0 to {most:g} MW")
    return min(max(power, 0.0), most) if wrong else power


PROTOCOLS: tuple[Protocol, ...] = (
    Protocol("cap", 1, "The site and its machines draw no more than they may, with a margin once they did.", keep_cap),
    Protocol("temperature", 2, "Machines that get too hot are cooled more, then shed.", keep_cool),
    Protocol("battery", 3, "The battery does what it can and stays within its range of charge.", keep_charge, True),
    Protocol("regulation", 4, "The battery follows the grid's signal within its headroom.", follow_signal, True),
    Protocol("order", 5, "An order is made of numbers that can be.", _what_can_be),
    Protocol("prices", 6, "Without prices the last order holds for a while, then the safe one.", _without_prices),
)
"""The rules, the most important first."""

_CAP, _TEMPERATURE, _BATTERY, _REGULATION, _ORDER, _PRICES = PROTOCOLS
_ONCE = (_PRICES, _ORDER)
_AGAIN = (_REGULATION, _BATTERY, _CAP, _TEMPERATURE, _CAP)  # before too, so that what is too hot makes no room
_PASSES = 5
