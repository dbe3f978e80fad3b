"""What a site is told to do in an interval, and what its sensors say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pandas as pd

_NONE: Mapping[str, float] = MappingProxyType({})


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
        Power sold to bidders, by service. [MW]
    """

    counts: Mapping[str, int]
    battery_mw: float = 0.0
    cooling_mw: float = 0.0
    services_mw: Mapping[str, float] = field(default_factory=lambda: _NONE)
