"""What a live site is, and how it is to be run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from gridlab.assets import Battery, Cooling, Regulation
from gridlab.auctions import Coupling
from gridlab.errors import DataError
from gridlab.sources.mara import LITERAL, MACHINES, Scaling

STEP = pd.Timedelta(minutes=5)
"""Length of an interval of the API."""

STEP_HOURS = STEP / pd.Timedelta(hours=1)


@dataclass(frozen=True)
class Bounds:
    """
    Prices that are believed; one outside them is absurd and moves nothing.

    Parameters
    ----------
    energy, hash, token : tuple of float
        Least and greatest price. Where a market pays for using power, lower the least energy price. [API's units]
    jump : float
        Greatest change in an interval, in standard deviations of such changes, before a price waits for the next one
        to confirm it. [-]
    """

    energy: tuple[float, float] = (0.0, 1000.0)
    hash: tuple[float, float] = (0.0, 1000.0)
    token: tuple[float, float] = (0.0, 1000.0)
    jump: float = 12.0

    def __post_init__(self) -> None:
        for name in ("energy", "hash", "token"):
            low, high = getattr(self, name)
            if not low < high:
                raise DataError(f"bounds.{name} must be a least and a greater price, got {low} and {high}")
        _require("bounds.jump", self.jump, self.jump > 0, "above 0")


@dataclass(frozen=True)
class Config:
    """
    A site and how it is run.

    Parameters
    ----------
    site : str
        Its name.
    cap_power : int
        What its machines may draw in all, as GET ``/sites`` says. [power]
    scaling : Scaling
        What the API's numbers stand for.
    battery : Battery, optional
        A battery behind the meter.
    cooling : Cooling, optional
        The chiller of the machines in `cooled`; its power counts under the cap.
    cooled : tuple of str
        Machine types whose heat the chiller removes.
    regulation : Regulation, optional
        An award of frequency response that the battery follows.
    coupling : Coupling, optional
        The services sold by auction, where there are bids.
    switching_cost : mapping of str to float
        Cost of starting or of stopping one machine, by type; 0 where a type is missing. [$]
    dwell_minutes : mapping of str to float
        Least time that a machine runs once started, by type. [min]
    horizon_steps : int
        Intervals that a plan looks ahead.
    risk : float
        How far plans lean from the mean to the unfavourable end of the forecast, in [0, 1]. [-]
    bounds : Bounds
        Prices that are believed.
    stale_minutes : float
        Age of the newest price row, from its start, above which it is stale. [min]
    hold_minutes : float
        How long the last allocation holds when nothing new is known, before the safe state. [min]
    safe : mapping of str to int
        The allocation of the safe state; nothing runs when omitted.
    thermometer : bool
        Whether the site reads the temperature of its machines, so that a reading that is missing is a fault.
    simulated : bool
        Whether the site and its prices are simulated; whatever is made of it says so.

    Raises
    ------
    DataError
        If a value is outside its range or a machine type is unknown; the message has the name and the range.
    """

    site: str = "site"
    cap_power: int = 1_000_000
    scaling: Scaling = LITERAL
    battery: Battery | None = None
    cooling: Cooling | None = None
    cooled: tuple[str, ...] = ("gpu_compute", "asic_compute")
    regulation: Regulation | None = None
    coupling: Coupling | None = None
    switching_cost: Mapping[str, float] = field(default_factory=dict)
    dwell_minutes: Mapping[str, float] = field(default_factory=dict)
    horizon_steps: int = 24
    risk: float = 0.0
    bounds: Bounds = field(default_factory=Bounds)
    stale_minutes: float = 10.0
    hold_minutes: float = 30.0
    safe: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(MACHINES, 0))
    thermometer: bool = False
    simulated: bool = False

    def __hash__(self) -> int:
        return hash((self.site, self.cap_power, self.scaling, self.horizon_steps, self.risk))

    def __post_init__(self) -> None:
        _require("cap_power", self.cap_power, self.cap_power >= 0, "at least 0")
        _require("horizon_steps", self.horizon_steps, 1 <= self.horizon_steps <= 288, "in [1, 288]")
        _require("risk", self.risk, 0 <= self.risk <= 1, "in [0, 1]")
        _require("stale_minutes", self.stale_minutes, self.stale_minutes >= 5, "at least 5 min, an interval")
        _require("hold_minutes", self.hold_minutes, self.hold_minutes >= 0, "at least 0 min")
        for name in ("switching_cost", "dwell_minutes", "safe"):
            _require_types(name, getattr(self, name))
        if set(self.cooled) - set(MACHINES):
            raise DataError(f"cooled names {sorted(set(self.cooled) - set(MACHINES))[0]!r}: the types are {MACHINES}")

    @property
    def cap_mw(self) -> float:
        """What the site may draw. [MW]"""
        return self.cap_power * self.scaling.power_mw


def _require(name: str, value: float, holds: bool, rule: str) -> None:
    if not holds:
        raise DataError(f"{name} must be {rule}, got {value}")


def _require_types(name: str, values: Mapping[str, float]) -> None:
    for machine, value in values.items():
        if machine not in MACHINES:
            raise DataError(f"{name} names {machine!r}: the machine types are {', '.join(MACHINES)}")
        _require(f"{name} of {machine}", value, 0 <= value < float("inf"), "at least 0 and finite")
