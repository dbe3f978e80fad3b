"""The records of the watch: what is seen, what is remembered, where each check is raised, and what is said."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd

from gridlab.errors import DataError

if TYPE_CHECKING:
    from gridlab.evaluate.drift import SumTest

Severity = Literal["info", "warning", "critical"]

CHECKS: Mapping[str, Severity] = MappingProxyType(
    {
        "no_price": "critical",
        "price_jump": "warning",
        "price_shift": "warning",
        "forecast_drift": "warning",
        "soc_limits": "critical",
        "soc_motion": "warning",
        "temperature": "critical",
        "temperature_rising": "warning",
        "utilisation": "warning",
        "revenue": "warning",
        "latency": "warning",
        "api": "warning",
        "journal": "critical",
        "clock": "warning",
        "readings": "warning",
        "fallback": "warning",
        "protocol": "warning",
        "gap": "warning",
    }
)
"""Name and severity of each check, in the order in which notices come."""

HOUR = 12
"""Intervals of an hour."""

BLOCK = 36
"""Intervals whose sums of profit against plan teach the chance of a day: three hours."""

BLOCKS_A_DAY = 8
"""Blocks of a day."""

LEARNING_BLOCKS = 16
"""Blocks to be known before ``revenue`` is watched: two days."""

WINDOW = 60
"""Steps over which latency is judged."""


@dataclass(frozen=True)
class Thresholds:
    """
    Where each check is raised, and where it ends.

    Parameters
    ----------
    price_z : float
        ``price_jump``: error of a one-step forecast over its expected size, or the greatest of the backtest where that
        is larger; ends after three intervals below half of it. Where errors are exchangeable the backtest's greatest
        of n is passed once in n + 1 intervals. [-]
    drift_rise : float
        ``forecast_drift``: the relative rise of losses to be found soonest. [-]
    shift : float
        ``price_shift``: the lasting error, in expected sizes, to be found soonest. [-]
    false_alarm, horizon_steps : float, int
        Chance of an alarm of either of these two in that many intervals when nothing has changed; a week of them.
        Both end when their sum is back at half of its threshold.
    soc_share : tuple of float
        ``soc_limits``: least and greatest state of charge, ends `soc_margin` inside. [-]
    soc_margin, soc_error : float
        ``soc_motion``: distance from where the orders lead that is raised on the third interval, and ends on the third
        within half of it. [-]
    temperature_c, temperature_margin_c : float
        ``temperature``: raised above, ends the margin below; ``temperature_rising``: raised when the rise would pass
        it within `rise_steps`, ends when it would stay the margin below. [degC]
    rise_steps : int
        Intervals for which a rise of temperature is continued.
    utilisation : float
        ``utilisation``: share of the cap below which, for an hour with positive margins, it is raised; ends at 0.05
        above it, or when no margin is positive. [-]
    revenue_sd, revenue_share : float
        ``revenue``: profit of the day under plan by more than that many standard deviations of a day, and by that
        share of the plan; ends at half of it, and with the day. The chance of a false alarm a day is
        ``2 * (1 - Phi(revenue_sd))``, 0.3 % for 3, where errors three hours apart are independent; it is watched
        after two days. [-]
    latency_ms : float
        ``latency``: budget of a whole step, raised when the 95th percentile of the last 60 is over it and 20 or more
        are known; ends when it is not. Where 1 % of steps are slow by chance that is so 22 times a year, where half of
        that are, 4 times. [ms]
    stage_ms : mapping of str to float
        Budgets of single stages, checked in the same way. [ms]
    api_share : float
        ``api``: share of the last hour's calls that failed, at least three of them; ends at half of it. Where
        one of ten fails by chance, of four a step, that is so about once a year. [-]
    disk_mb : float
        ``journal``: free space, raised below, ends at a quarter more; also raised by any problem of the journal. [MB]
    clock_s : float
        ``clock``: distance of the server's clock, on two intervals, ends below half. [s]
    readings_minutes : float
        ``readings``: age of the sensors' last reading. [min]
    no_price_steps : int
        ``no_price``: intervals in a row without a price to act upon; ends with the first.
    in_force_minutes : float
        ``fallback`` and ``protocol``: time for which the same one has been in force; end with it. [min]
    """

    price_z: float = 8.0
    drift_rise: float = 0.5
    shift: float = 1.0
    false_alarm: float = 0.05
    horizon_steps: int = 2016
    soc_share: tuple[float, float] = (0.15, 0.90)
    soc_margin: float = 0.01
    soc_error: float = 0.05
    temperature_c: float = 75.0
    temperature_margin_c: float = 2.0
    rise_steps: int = 3
    utilisation: float = 0.5
    revenue_sd: float = 3.0
    revenue_share: float = 0.02
    latency_ms: float = 200.0
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    api_share: float = 0.33
    disk_mb: float = 200.0
    clock_s: float = 30.0
    readings_minutes: float = 15.0
    no_price_steps: int = 2
    in_force_minutes: float = 30.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, (int, float)) and not value > 0:
                raise DataError(f"{one.name} must be above 0, got {value}")
        low, high = self.soc_share
        if not 0 <= low < high <= 1:
            raise DataError(f"soc_share must be a least and a greatest share in [0, 1], got {self.soc_share}")


class Baseline(NamedTuple):
    """
    How a forecast erred in its backtest, as the checks need it; made by `baseline`.

    Parameters
    ----------
    greatest : tuple of float
        Greatest size of an error over its expected size, by series. [-]
    loss, above, below : tuple of SumTest
        Tests of the size of errors, and of errors that stay above and below zero, by series.
    """

    greatest: tuple[float, ...]
    loss: tuple["SumTest", ...]
    above: tuple["SumTest", ...]
    below: tuple["SumTest", ...]


@dataclass(frozen=True)
class Seen:
    """
    What one step of the loop knew and did; None where it is not known.

    Parameters
    ----------
    interval : Timestamp
        Start of the interval.
    prices : tuple of float, optional
        The three prices that were believed.
    price_problem : str, optional
        Why not, in a sentence.
    errors, error_scales : tuple of float, optional
        Last price less its one-step forecast, and the size expected of it, by series in the order of the prices; NaN
        where one is not known. [API's units]
    soc_share, soc_expected : float, optional
        State of charge, and where the orders so far should have led it. [-]
    temperature_c : float, optional
        The hottest of the machines. [degC]
    utilisation : float, optional
        Power drawn over the cap. [-]
    margin_positive : bool, optional
        Whether some machine earns more than its power costs.
    profit_today, planned_today : float, optional
        Since midnight UTC, as settled and as planned for the same intervals. [$]
    ms : mapping of str to float
        Time taken by stage, with ``total``. [ms]
    protocols, fallbacks : tuple of str
        Names of the protocols that fired and of the fallbacks in force.
    api_calls, api_failures : int
        Requests made in this step, and those that failed.
    journal_problem : str, optional
        What the journal could not do, in a sentence.
    disk_free_mb : float, optional
        Space where the journal lies. [MB]
    clock_skew_s : float, optional
        The server's clock less ours. [s]
    readings_minutes : float, optional
        Age of the newest reading of a sensor. [min]
    """

    interval: pd.Timestamp
    prices: tuple[float, ...] | None = None
    price_problem: str | None = None
    errors: tuple[float, ...] | None = None
    error_scales: tuple[float, ...] | None = None
    soc_share: float | None = None
    soc_expected: float | None = None
    temperature_c: float | None = None
    utilisation: float | None = None
    margin_positive: bool | None = None
    profit_today: float | None = None
    planned_today: float | None = None
    ms: Mapping[str, float] = field(default_factory=dict)
    protocols: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    api_calls: int = 0
    api_failures: int = 0
    journal_problem: str | None = None
    disk_free_mb: float | None = None
    clock_skew_s: float | None = None
    readings_minutes: float | None = None


@dataclass(frozen=True)
class Notice:
    """
    That an alert begins or ends.

    Parameters
    ----------
    name : str
        One of `CHECKS`.
    severity : str
        ``info``, ``warning`` or ``critical``.
    phase : str
        ``raised`` or ``ended``.
    text : str
        Why, with numbers and units, in a sentence.
    count : int
        Steps for which it has lasted.
    """

    name: str
    severity: Severity
    phase: Literal["raised", "ended"]
    text: str
    count: int


class Alert(NamedTuple):
    """One check's state: steps it has been in force, 0 when it is not, the steps towards a change, and its reason."""

    lasted: int = 0
    streak: int = 0
    text: str = ""


class Temperature(NamedTuple):
    """The last temperature, when it was, and its smoothed rise. [degC, ns, degC/interval]"""

    at: int
    value: float
    rise: float


class Revenue(NamedTuple):
    """
    The day's profit against its plan.

    Parameters
    ----------
    day : int
        Days since 1970.
    gap : float
        Profit less plan so far today. [$]
    block, steps : float, int
        The same of the block of three hours that is running, and its intervals.
    variance, blocks : float, int
        Mean square of a block's sum, and the blocks that taught it. [$^2]
    """

    day: int = -1
    gap: float = 0.0
    block: float = 0.0
    steps: int = 0
    variance: float = 0.0
    blocks: int = 0


@dataclass(frozen=True)
class Monitor:
    """
    What the watch remembers; `start` makes one.

    Parameters
    ----------
    thresholds : Thresholds
        Where checks are raised and end.
    baseline : Baseline, optional
        The backtest's errors; without it ``price_shift`` and ``forecast_drift`` are not watched.
    interval : int, optional
        Start of the last interval watched. [ns since 1970, UTC]
    alerts : mapping of str to Alert
        By name of the check.
    loss, above, below : tuple of float
        Cumulative sums by series, in thresholds. [-]
    temperature : Temperature, optional
        For the rise.
    revenue : Revenue
        For the day.
    unpriced : int
        Intervals in a row without a price.
    ms : mapping of str to tuple of float
        Times of the last 60 steps by stage. [ms]
    api : tuple of (int, int)
        Calls and failures of the last 12 steps.
    in_force : mapping of (str, str) to int
        When each fallback and protocol in force began. [ns since 1970, UTC]
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    baseline: Baseline | None = None
    interval: int | None = None
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    loss: tuple[float, ...] = ()
    above: tuple[float, ...] = ()
    below: tuple[float, ...] = ()
    temperature: Temperature | None = None
    revenue: Revenue = field(default_factory=Revenue)
    unpriced: int = 0
    ms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    api: tuple[tuple[int, int], ...] = ()
    in_force: Mapping[tuple[str, str], int] = field(default_factory=dict)
