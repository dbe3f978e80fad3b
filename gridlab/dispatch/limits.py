"""What an order draws, what of a reading can be one, and whether each limit of a site holds."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from gridlab.assets import Battery
from gridlab.dispatch.order import Order, Protection, Readings, Situation

LEAST_KNOWN_SHARE = 0.1
"""Loads in force, as a share of the cap, from which on the meter's ratio is learned."""

MOST_MACHINES = 10**12
"""A count above it is no count."""

MOST_RATIO = 1e9
"""Greatest ratio that is learned: nothing runs at it, and it is a number."""

EXACT = 1e-9
"""Relative, within which a limit is kept."""


class Check(NamedTuple):
    """
    Whether a limit holds.

    Parameters
    ----------
    name : str
        Its name.
    value : float or None
        What is limited; None where its sensor is silent.
    limit : float
        The limit.
    unit : str
        Unit of both.
    holds : bool
        Whether the value keeps the limit; of a sensor that is silent it is not known to.
    """

    name: str
    value: float | None
    limit: float
    unit: str
    holds: bool


def checks(order: Order, situation: Situation, protection: Protection) -> tuple[Check, ...]:
    """
    Whether each limit holds, for an order and what the sensors say.

    Parameters
    ----------
    order, situation, protection
        As in `protocols.protect`.

    Returns
    -------
    tuple of Check
        Of the cap, the machines' cap and the export; of the battery's power and its state of charge where there is a
        battery; of the chiller where there is one; of the power measured and the temperature where they are read.

    Examples
    --------
    >>> protection = Protection(cap_mw=1.0, machine_cap_power=1_000_000, power={"hydro_miners": 5000})
    >>> checks(Order({"hydro_miners": 200}), Situation(), protection)[0]
    Check(name='cap', value=1.0, limit=1.0, unit='MW', holds=True)
    """
    draw, readings = draw_mw(order, protection), situation.readings
    out = [
        _at_most("cap", draw, protection.cap_mw, "MW"),
        _at_most("machine_cap", power_of(order.counts, protection), protection.machine_cap_power, "power"),
        _at_most("export", max(-draw, 0.0), protection.greatest_export_mw, "MW"),
    ]
    if readings.power_mw is not None:
        inaccuracy = protection.cap_mw * protection.meter_share
        out.append(_at_most("measured_power", number(readings.power_mw), protection.cap_mw + inaccuracy, "MW"))
    if protection.battery is not None:
        soc = soc_share(situation)
        known = soc is not None and soc >= protection.soc_low - EXACT
        out.append(_at_most("battery_power", abs(order.battery_mw), protection.battery.power_mw, "MW"))
        out.append(Check("soc_low", soc, protection.soc_low, "share", known))
        out.append(_at_most("soc_high", soc, protection.soc_high, "share"))
    if protection.cooling is not None:
        out.append(_at_most("chiller", order.cooling_mw, protection.chiller_mw(number(readings.outside_c)), "MW"))
    if protection.thermometer or readings.temperature_c is not None:
        out.append(_at_most("temperature", celsius(readings), protection.temperature_max_c, "degC"))
    return tuple(out)


def draw_mw(order: Order, protection: Protection) -> float:
    """
    What an order draws from the grid, negative where it delivers. [MW]

    Examples
    --------
    >>> protection = Protection(cap_mw=1.0, machine_cap_power=1_000_000, power={"hydro_miners": 5000})
    >>> draw_mw(Order({"hydro_miners": 100}, battery_mw=0.25, services_mw={"training": 0.125}), protection)
    0.375
    """
    machines = power_of(order.counts, protection) * protection.unit_mw
    return machines + order.cooling_mw + services_mw(order) - order.battery_mw


def services_mw(order: Order) -> float:
    """What services draw. [MW]"""
    return math.fsum(order.services_mw.values()) if order.services_mw else 0.0


def power_of(counts: Mapping[str, int], protection: Protection) -> int:
    """Power of machines; those that the site does not have draw none. [power]"""
    power = protection.power
    return sum([count * power.get(name, 0) for name, count in counts.items()])


class Meter(NamedTuple):
    """
    What the meter says of the loads.

    Parameters
    ----------
    ratio : float
        What a MW that is ordered draws. [-]
    offset : float
        What is drawn beside what is ordered. [MW]
    over : bool
        Whether it reads more than the cap.
    """

    ratio: float = 1.0
    offset: float = 0.0
    over: bool = False

    def reads(self, loads: float) -> float:
        """What it would read of loads. [MW]"""
        return self.ratio * loads + self.offset


def meter(situation: Situation, protection: Protection) -> Meter:
    """
    What is drawn of what was ordered, by the meter and the order in force.

    Examples
    --------
    >>> from gridlab.dispatch.order import Readings
    >>> protection = Protection(cap_mw=1.0, machine_cap_power=1_000_000, power={"hydro_miners": 5000})
    >>> meter(Situation(Readings(power_mw=0.75), held=Order({"hydro_miners": 100})), protection)
    Meter(ratio=1.5, offset=0.0, over=False)
    """
    measured, cap = number(situation.readings.power_mw), protection.cap_mw
    if measured is None:
        return _EXACT_METER
    held, inaccuracy = situation.held, protection.meter_share * cap
    over = measured > cap + inaccuracy
    counts = {name: count_of(count) or 0 for name, count in held.counts.items()}
    others = [max(number(mw) or 0.0, 0.0) for mw in (held.cooling_mw, *held.services_mw.values())]
    loads = power_of(counts, protection) * protection.unit_mw + sum(others)
    seen = measured + (number(held.battery_mw) or 0.0)
    if not math.isfinite(seen) or not seen - loads > inaccuracy:
        return Meter(over=over)
    if loads > 0 and loads >= LEAST_KNOWN_SHARE * cap:
        return Meter(min(seen / loads, MOST_RATIO), 0.0, over)
    return Meter(1.0, seen - loads, over)


class Seen:
    """
    A situation at a site, and what follows from the two, worked out once.

    Parameters
    ----------
    situation : Situation
        What is known now.
    protection : Protection
        The site's limits.
    """

    def __init__(self, situation: Situation, protection: Protection) -> None:
        self.now, self.site = situation, protection
        self._powers: dict[int, tuple[Mapping[str, int], int]] = {}

    def power(self, order: Order) -> int:
        """Power of an order's machines. [power]"""
        known = self._powers.get(id(order.counts))
        if known is None:
            known = self._powers[id(order.counts)] = (order.counts, power_of(order.counts, self.site))
        return known[1]

    def loads(self, order: Order) -> float:
        """What machines, chiller and services draw. [MW]"""
        return self.power(order) * self.site.unit_mw + order.cooling_mw + services_mw(order)

    @cached_property
    def meter(self) -> Meter:
        """What the meter says of the loads."""
        return meter(self.now, self.site)

    @cached_property
    def soc(self) -> float | None:
        """The state of charge; None of what cannot be one. [-]"""
        return soc_share(self.now)

    @cached_property
    def ramp_mw(self) -> tuple[float, float]:
        """Least and greatest power of the battery that its ramp reaches; 0 without one. [MW]"""
        battery = self.site.battery
        if battery is None:
            return 0.0, 0.0
        most, ramp = battery.power_mw, battery.ramp_mw_per_hour * self.now.step_hours
        before = min(max(number(self.now.held.battery_mw) or 0.0, -most), most)
        return max(-most, before - ramp), min(most, before + ramp)

    @cached_property
    def room_mw(self) -> tuple[float, float]:
        """Least and greatest power of the battery that its charge allows; 0 where that is not known. [MW]"""
        battery, soc = self.site.battery, self.soc
        if battery is None or soc is None:
            return 0.0, 0.0
        return battery_room(soc, battery, self.site, self.now.step_hours)

    @cached_property
    def celsius(self) -> float | None:
        """The temperature read; None of what cannot be one. [degC]"""
        return celsius(self.now.readings)

    @cached_property
    def outside_c(self) -> float | None:
        """Temperature of the outside air, None where it is not known. [degC]"""
        return number(self.now.readings.outside_c)

    @cached_property
    def chiller_mw(self) -> float:
        """Power of the chiller when it removes all the heat that it can. [MW]"""
        return self.site.chiller_mw(self.outside_c)


def battery_room(
    soc: float,
    battery: Battery,
    protection: Protection,
    step_hours: float,
    reserve_mwh: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, float]:
    """
    Power that charges a battery up to its greatest state of charge and discharges it down to its least, in an interval.

    Parameters
    ----------
    soc : float
        Energy stored as a share of what it holds. [-]
    battery : Battery
        The battery.
    protection : Protection
        Has the range of the state of charge; the battery's own binds as well.
    step_hours : float
        Length of the interval. [h]
    reserve_mwh : tuple of float
        Energy kept above the least, and room kept below the greatest. [MWh]

    Returns
    -------
    tuple of float
        The charging power, not above 0, and the discharging power, at the grid. [MW]

    Examples
    --------
    >>> site = Protection(cap_mw=1.0, machine_cap_power=1_000_000, power={})
    >>> battery = Battery(power_mw=9.0, energy_mwh=2.0, eta_charge=0.5, eta_discharge=1.0)
    >>> charge, discharge = battery_room(0.65, battery, site, 1.0)
    >>> round(charge, 9), round(discharge, 9)
    (-1.0, 1.0)
    """
    below, above = reserve_mwh
    least, most = max(protection.soc_low, battery.soc_min), min(protection.soc_high, battery.soc_max)
    after = soc
    if soc > battery.soc_min:
        after = battery.soc_min + (soc - battery.soc_min) * battery.kept(step_hours)
    charge = max((most - after) * battery.energy_mwh - above, 0.0) / (step_hours * battery.eta_charge)
    discharge = max((after - least) * battery.energy_mwh - below, 0.0) * battery.eta_discharge / step_hours
    return -min(charge, battery.power_mw), min(discharge, battery.power_mw)


def soc_share(situation: Situation) -> float | None:
    """The state of charge; None of what cannot be one, as is more than 0.02 outside [0, 1]."""
    soc = number(situation.readings.soc_share)
    return min(max(soc, 0.0), 1.0) if soc is not None and -0.02 <= soc <= 1.02 else None


def celsius(readings: Readings) -> float | None:
    """The temperature read; None of what cannot be one, as is less than -60 degC. [degC]"""
    read = number(readings.temperature_c)
    return read if read is not None and read >= -60 else None


def count_of(value: object) -> int | None:
    """A whole number of machines, rounded down; None of what is none."""
    read = None if isinstance(value, bool) else number(value)
    return int(read) if read is not None and 0 <= read <= MOST_MACHINES else None


def number(value: object) -> float | None:
    """A finite number; None of anything else."""
    if value is None or type(value) is float:
        return value if value is not None and math.isfinite(value) else None
    try:
        read = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def within(limit: float) -> float:
    """A limit with the room that rounding needs."""
    return limit * (1 + EXACT) + 1e-12


_EXACT_METER = Meter()


def _at_most(name: str, value: float | None, limit: float, unit: str) -> Check:
    return Check(name, value, limit, unit, value is not None and value <= within(limit))
