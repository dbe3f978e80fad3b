"""
The payload of a dispatch: what a site is told in an interval, and what state it is in, as one checked document.

Importing this module loads pydantic; nothing else of `dispatch` does. Every number is in the unit that its name ends
in, and its field says so in the JSON schema (``Payload.model_json_schema()``). Documents are strict: no text where a
number belongs, no share of a machine, no NaN, no key that is not known.
"""

import math
from datetime import datetime
from typing import Annotated, Literal

import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from gridlab.dispatch.limits import Check, Seen, checks, number, power_of, services_mw
from gridlab.dispatch.order import Order, Protection, Situation
from gridlab.dispatch.protocols import Fired, Protected

SCHEMA_VERSION: Literal[1] = 1
"""Raised when a document of before could not be read any more."""

_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


def _of(description: str, unit: str) -> object:
    return Field(description=f"{description} [{unit}]", json_schema_extra={"unit": unit})


Machines = Annotated[NonNegativeInt, Field(json_schema_extra={"unit": "machines"})]
Load = Annotated[float, Field(ge=0)]


class Power(BaseModel):
    """What an order needs; the total is machines, cooling and services less the battery."""

    model_config = _STRICT
    total_mw: Annotated[float, _of("drawn from the grid, negative where the site delivers", "MW")]
    machines_mw: Annotated[Load, _of("drawn by machines", "MW")]
    cooling_mw: Annotated[Load, _of("drawn by the chiller", "MW")]
    battery_mw: Annotated[float, _of("of the battery, positive into the grid", "MW")]
    services_mw: Annotated[Load, _of("drawn by services sold to bidders, with what cools them", "MW")]

    @model_validator(mode="after")
    def _adds_up(self) -> "Power":
        total = self.machines_mw + self.cooling_mw + self.services_mw - self.battery_mw
        if not math.isclose(total, self.total_mw, rel_tol=1e-9, abs_tol=1e-9):
            raise ValueError(
                f"total_mw is {self.total_mw:g} MW and its parts add up to {total:g} MW: send what the parts add up to"
            )
        return self


class Constraint(BaseModel):
    """Whether one limit holds."""

    model_config = _STRICT
    name: Annotated[str, Field(description="the limit's name", min_length=1)]
    holds: Annotated[
        bool, Field(description="whether the value keeps the limit; of a silent sensor it is not known to")
    ]
    value: Annotated[float | None, Field(description="what is limited, in `unit`; null where its sensor is silent")]
    limit: Annotated[float, Field(description="the limit, in `unit`")]
    unit: Annotated[str, Field(description="unit of the value and of the limit")]

    @model_validator(mode="after")
    def _known(self) -> "Constraint":
        if self.holds and self.value is None:
            raise ValueError(f"{self.name} cannot be said to hold without a value: set holds to false")
        return self


class State(BaseModel):
    """What state a site is in."""

    model_config = _STRICT
    soc_share: Annotated[float | None, _of("energy stored in the battery as a share of its capacity", "1")]
    utilisation_share: Annotated[float | None, _of("drawn from the grid as a share of the cap", "1")]
    temperature_c: Annotated[float | None, _of("hottest temperature of the machines", "degC")]
    efficiency_share: Annotated[
        float | None, _of("drawn by machines and services as a share of that and cooling; null where nothing runs", "1")
    ]
    profit_per_mwh: Annotated[float | None, _of("profit expected of the interval for each MWh drawn", "$/MWh")]


class FiredProtocol(BaseModel):
    """A protocol that fired."""

    model_config = _STRICT
    name: Annotated[str, Field(description="the protocol's name", min_length=1)]
    priority: Annotated[int, Field(description="its priority, 1 the most important", ge=1)]
    reason: Annotated[str, Field(description="what it saw and what it did", min_length=1)]
    severity: Annotated[Literal["info", "warning", "critical"], Field(description="how grave that is")]


class Payload(BaseModel):
    """
    What a site is told in an interval.

    Raises
    ------
    ValidationError
        If a value is missing, of another type, outside its range or does not agree with the others; it names them all,
        and it is a `ValueError`.

    Examples
    --------
    >>> from gridlab.dispatch.protocols import protect
    >>> protection = Protection(cap_mw=1.0, machine_cap_power=1_000_000, power={"hydro_miners": 5000})
    >>> protected = protect(Order({"hydro_miners": 100}), Situation(), protection)
    >>> start = pd.Timestamp("2025-06-21T12:00", tz="UTC")
    >>> payload = payload_of(protected, Situation(), protection, site="yard", start=start, simulated=True)
    >>> payload.allocation, payload.power.total_mw, payload.state.utilisation_share, payload.constraints_satisfied
    ({'hydro_miners': 100}, 0.5, 0.5, True)
    >>> Payload.model_validate_json(payload.model_dump_json()) == payload
    True
    """

    model_config = _STRICT
    schema_version: Annotated[Literal[1], Field(description="version of this document's shape")]
    site: Annotated[str, Field(description="the site's name", min_length=1)]
    simulated: Annotated[bool, Field(description="whether the site and its prices are simulated")]
    start: Annotated[AwareDatetime, Field(description="start of the interval, UTC")]
    step_hours: Annotated[float, Field(gt=0), _of("length of the interval", "h")]
    mode: Annotated[
        Literal["normal", "hold", "safe", "override", "paused"], Field(description="on what the order rests")
    ]
    allocation: Annotated[dict[str, Machines], Field(description="machines of each type that run [machines]")]
    power: Annotated[Power, Field(description="what that needs")]
    constraints: Annotated[tuple[Constraint, ...], Field(description="whether each limit holds")]
    constraints_satisfied: Annotated[bool, Field(description="whether all of them hold")]
    state: Annotated[State, Field(description="the state of the site")]
    fired: Annotated[tuple[FiredProtocol, ...], Field(description="protocols that fired, the most important first")]

    @model_validator(mode="after")
    def _agrees(self) -> "Payload":
        if self.constraints_satisfied != all(one.holds for one in self.constraints):
            broken = ", ".join(one.name for one in self.constraints if not one.holds) or "none"
            raise ValueError(
                f"constraints_satisfied is {self.constraints_satisfied} and of the constraints {broken} is broken: "
                "set it to whether all hold"
            )
        if self.start.utcoffset():
            raise ValueError(f"start must be in UTC, got {self.start.isoformat()}: convert it")
        return self


def payload_of(
    protected: Protected,
    situation: Situation,
    protection: Protection,
    *,
    site: str,
    start: pd.Timestamp,
    simulated: bool,
    mode: Literal["normal", "hold", "safe", "override", "paused"] | None = None,
    expected_profit: float | None = None,
) -> Payload:
    """
    The payload of an order.

    Parameters
    ----------
    protected : Protected
        The order that the protocols let pass, and those that fired.
    situation, protection
        What they saw, as in `protocols.protect`.
    site : str
        The site's name.
    start : Timestamp
        Start of the interval, with its time zone.
    simulated : bool
        Whether the site and its prices are simulated.
    mode : str, optional
        On what the order rests; what the protocols say when omitted.
    expected_profit : float, optional
        What the interval is expected to earn. [$]

    Returns
    -------
    Payload

    Raises
    ------
    ValidationError
        As `Payload`.
    """
    order, seen = protected.order, Seen(situation, protection)
    found = checks(order, situation, protection)
    power = _power(order, protection)
    return Payload(
        schema_version=SCHEMA_VERSION,
        site=site,
        simulated=simulated,
        start=_plain(start),
        step_hours=situation.step_hours,
        mode=protected.mode if mode is None else mode,
        allocation={name: int(count) for name, count in order.counts.items()},
        power=power,
        constraints=tuple(_constraint(one) for one in found),
        constraints_satisfied=all(one.holds for one in found),
        state=_state(power, seen, expected_profit),
        fired=tuple(_fired(one) for one in protected.fired),
    )


def _plain(start: pd.Timestamp) -> datetime:
    utc = start if start.tzinfo is None else start.tz_convert("UTC")
    plain: datetime = utc.to_pydatetime(warn=False)
    return plain


def _power(order: Order, protection: Protection) -> Power:
    machines, services = power_of(order.counts, protection) * protection.unit_mw, services_mw(order)
    battery, cooling = float(order.battery_mw), float(order.cooling_mw)
    return Power(
        total_mw=machines + cooling + services - battery,
        machines_mw=machines,
        cooling_mw=cooling,
        battery_mw=battery,
        services_mw=services,
    )


def _constraint(check: Check) -> Constraint:
    value = None if check.value is None else float(check.value)
    return Constraint(name=check.name, holds=check.holds, value=value, limit=float(check.limit), unit=check.unit)


def _state(power: Power, seen: Seen, expected_profit: float | None) -> State:
    cap, useful = seen.site.cap_mw, power.machines_mw + power.services_mw
    energy, profit = power.total_mw * seen.now.step_hours, number(expected_profit)
    return State(
        soc_share=seen.soc,
        utilisation_share=power.total_mw / cap if cap > 0 else None,
        temperature_c=seen.celsius,
        efficiency_share=useful / (useful + power.cooling_mw) if useful > 0 else None,
        profit_per_mwh=profit / energy if profit is not None and energy > 0 else None,
    )


def _fired(fired: Fired) -> FiredProtocol:
    return FiredProtocol(name=fired.name, priority=fired.priority, reason=fired.reason, severity=fired.severity)
