"""What a site is told to do in an interval, what its sensors say, and what it may not exceed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pandas as pd

from gridlab.assets import Battery, Cooling, Regulation
from gridlab.errors import DataError

_NONE: Mapping[str, Any] = MappingProxyType({})


SOC_LOW, SOC_HIGH = 0.15, 0.90
"""States of charge outside which a protocol brings the battery back. [-]"""


@dataclass(frozen=True)
class Readings:
    """
    What a site's sensors say; None where there is no sensor or it is silent.

    Parameters
    ----------
    at : Timestamp, optional
        When they were read, UTC.
    soc_share : float, optional
        Energy stored in the battery as a share of what it holds when full. [-]
    temperature_c : float, optional
        The hottest temperature of the machines. [degC]
    outside_c : float, optional
        Temperature of the outside air. [degC]
    power_mw : float, optional
        Power that the site draws from the grid as its meter says. [MW]
    regulation : float
        The grid's signal, in [-1, 1]: the share of the award asked for now, positive for power into the grid. [-]
    """

    at: pd.Timestamp | None = None
    soc_share: float | None = None
    temperature_c: float | None = None
    outside_c: float | None = None
    power_mw: float | None = None
    regulation: float = 0.0


@dataclass(frozen=True)
class Order:
    """
    What a site is to do over an interval.

    Parameters
    ----------
    counts : mapping of str to int
        Machines of each type that run.
    battery_mw : float
        Power of the battery, positive into the grid. [MW]
    cooling_mw : float
        Power of the chiller. [MW]
    services_mw : mapping of str to float
        Power sold to bidders, by service, with what cooling it draws. [MW]
    base_mw : float, optional
        Power planned for the battery, around which it follows the grid's signal; `battery_mw` when omitted. [MW]
    """

    counts: Mapping[str, int]
    battery_mw: float = 0.0
    cooling_mw: float = 0.0
    services_mw: Mapping[str, float] = field(default_factory=lambda: _NONE)
    base_mw: float | None = None


@dataclass(frozen=True)
class Protection:
    """
    A site's limits, and where its protocols begin to act.

    Parameters
    ----------
    cap_mw : float
        What the site may draw from the grid. [MW]
    machine_cap_power : int
        What its machines may draw in all. [power]
    power : mapping of str to int
        Power of one machine of each type. [power]
    unit_mw : float
        Power of one unit of power. [MW]
    most : mapping of str to int
        Machines that there are, by type; without a bound where a type is missing.
    battery : Battery, optional
        The battery.
    cooling : Cooling, optional
        The chiller.
    cooled : tuple of str
        Types of machines whose heat the chiller removes.
    regulation : Regulation, optional
        The award of frequency response.
    export_mw : float, optional
        What the site may deliver to the grid; as much as it may draw when omitted. [MW]
    margin : float
        What stays free of a cap that was passed, as a share of it. [-]
    meter_share : float
        Inaccuracy of the meter, as a share of the cap; less than that above the cap is not above it. [-]
    temperature_max_c : float
        Above it cooling is raised, then machines are shed. [degC]
    temperature_critical_c : float
        From it on everything but the chiller stops. [degC]
    temperature_resume_c : float
        Below it machines that were shed begin to return, from it on none is added. [degC]
    temperature_free_c : float
        Up to it the temperature limits nothing. [degC]
    thermometer : bool
        Whether there is one, so that None is one that is silent.
    silent_minutes : float
        How long a silent thermometer only keeps machines from being added. [min]
    outside_c : float
        Temperature of the outside air where it is not known. [degC]
    soc_low, soc_high : float
        State of charge below which the battery does not discharge and above which it does not charge. [-]
    recover_share : float
        Power that brings the state of charge back between the two, as a share of the battery's. [-]

    Raises
    ------
    DataError
        If a value lies outside its range; the message has the name, the value and the range.

    Examples
    --------
    >>> Protection(cap_mw=1.0, machine_cap_power=1_000_000, power={"hydro_miners": 5000}).greatest_export_mw
    1.0
    >>> Protection(cap_mw=-1.0, machine_cap_power=0, power={})
    Traceback (most recent call last):
    gridlab.errors.DataError: cap_mw must be at least 0 MW and finite, got -1.0
    """

    cap_mw: float
    machine_cap_power: int
    power: Mapping[str, int]
    unit_mw: float = 1e-6
    most: Mapping[str, int] = field(default_factory=lambda: _NONE)
    battery: Battery | None = None
    cooling: Cooling | None = None
    cooled: tuple[str, ...] = ()
    regulation: Regulation | None = None
    export_mw: float | None = None
    margin: float = 0.10
    meter_share: float = 0.005
    temperature_max_c: float = 75.0
    temperature_critical_c: float = 85.0
    temperature_resume_c: float = 70.0
    temperature_free_c: float = 65.0
    thermometer: bool = False
    silent_minutes: float = 15.0
    outside_c: float = 35.0
    soc_low: float = SOC_LOW
    soc_high: float = SOC_HIGH
    recover_share: float = 0.2

    def __post_init__(self) -> None:
        for name in ("cap_mw", "machine_cap_power", "export_mw", "silent_minutes"):
            value = getattr(self, name)
            if value is not None:
                _require(name, value, 0 <= value < math.inf, f"at least 0{_UNITS[name]} and finite")
        for machine, power in self.power.items():
            _require(f"power of {machine}", power, 0 < power < math.inf, "above 0 and finite")
        for machine, count in self.most.items():
            _require(f"most of {machine}", count, count >= 0, "at least 0")
        _require("unit_mw", self.unit_mw, 0 < self.unit_mw < math.inf, "above 0 MW and finite")
        for name in ("margin", "meter_share", "recover_share"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) < 1, "in [0, 1)")
        _require("outside_c", self.outside_c, -60 <= self.outside_c <= 60, "in [-60, 60] degC")
        _require("soc_low", self.soc_low, 0 <= self.soc_low < self.soc_high <= 1, "below soc_high, both in [0, 1]")
        levels = [self.temperature_free_c, self.temperature_resume_c, self.temperature_max_c]
        levels.append(self.temperature_critical_c)
        rising = all(low < high for low, high in pairwise(levels))
        if not (rising and math.isfinite(levels[0]) and math.isfinite(levels[-1])):
            told = ", ".join(f"{level:g}" for level in levels)
            raise DataError(f"temperatures free, resume, max and critical must rise and be finite, got {told} degC")

    @property
    def greatest_export_mw(self) -> float:
        """What the site may deliver to the grid. [MW]"""
        return self.cap_mw if self.export_mw is None else self.export_mw

    def chiller_mw(self, outside_c: float | None) -> float:
        """Power of the chiller when it removes all the heat that it can; 0 without one. [MW]"""
        return 0.0 if self.cooling is None else cooling_for(math.inf, self._outside(outside_c), self.cooling)

    def cooling_mw(self, counts: Mapping[str, int], outside_c: float | None) -> float:
        """Power of the chiller that removes the heat of machines, all of it as far as it can. [MW]"""
        if self.cooling is None:
            return 0.0
        heat = self.unit_mw * sum(counts.get(name, 0) * self.power.get(name, 0) for name in self.cooled)
        return cooling_for(heat, self._outside(outside_c), self.cooling)

    def _outside(self, outside_c: float | None) -> float:
        known = outside_c is not None and -60 <= outside_c <= 60
        return outside_c if known and outside_c is not None else self.outside_c


def cooling_for(heat_mw: float, outside_c: float, cooling: Cooling) -> float:
    """
    Power of a chiller that removes the heat of machines, which is all of the power that they draw. [MW]

    Parameters
    ----------
    heat_mw : float
        Heat; of more than the chiller's capacity it removes its capacity. [MW]
    outside_c : float
        Temperature of the outside air. [degC]
    cooling : Cooling
        The chiller; without heat it is off.

    Returns
    -------
    float

    Raises
    ------
    DataError
        If the heat is negative or NaN, or it is not a temperature of air outside.

    Examples
    --------
    >>> chiller = Cooling(capacity_mw=2.0)
    >>> round(cooling_for(1.0, 35.0, chiller), 3), cooling_for(0.0, 35.0, chiller)
    (0.216, 0.0)
    >>> cooling_for(3.0, 35.0, chiller) == cooling_for(2.0, 35.0, chiller)
    True
    """
    _require("heat_mw", heat_mw, heat_mw >= 0, "at least 0 MW")
    _require("outside_c", outside_c, -60 <= outside_c <= 60, "in [-60, 60] degC")
    return cooling.power_mw(min(heat_mw, cooling.capacity_mw), outside_c) if heat_mw > 0 else 0.0


@dataclass(frozen=True)
class Situation:
    """
    What the protocols look at beside an order.

    Parameters
    ----------
    readings : Readings
        What the sensors say, while `held` is in force.
    held : Order
        The order in force.
    safe : Order
        The order of the safe state.
    price_problem : str, optional
        Why the prices cannot be used, a sentence; None where they can.
    minutes_without_prices : float
        How long they could not be used. [min]
    hold_minutes : float
        How long the order in force holds without them. [min]
    minutes_without_temperature : float
        How long the thermometer has been silent. [min]
    worth : mapping of str to float
        What a machine of each type earns over the interval; 0 where a type is missing. [$]
    step_hours : float
        Length of the interval. [h]
    """

    readings: Readings = field(default_factory=Readings)
    held: Order = field(default_factory=lambda: Order(_NONE))
    safe: Order = field(default_factory=lambda: Order(_NONE))
    price_problem: str | None = None
    minutes_without_prices: float = 0.0
    hold_minutes: float = 30.0
    minutes_without_temperature: float = 0.0
    worth: Mapping[str, float] = field(default_factory=lambda: _NONE)
    step_hours: float = 1 / 12


_UNITS = {"cap_mw": " MW", "export_mw": " MW", "machine_cap_power": "", "silent_minutes": " min"}


def _require(name: str, value: float, holds: bool, rule: str) -> None:
    if not holds:
        raise DataError(f"{name} must be {rule}, got {value}")
