"""What a viewer sees of a journal in one look, and how the site is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pandas as pd

from gridlab.live.config import STEP, Config
from gridlab.sources.mara import MACHINES, Inventory

ALERT_DAYS = 7

Clock = Callable[[], pd.Timestamp]


class JournalReader(Protocol):
    """The tables of a journal that a page reads; `gridlab.live.reading.Reader` is one."""

    def status(self) -> Mapping[str, Any]:
        """Site, state of the loop, and counts."""

    def prices(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Prices as recorded."""

    def decisions(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """One row a decision."""

    def forecast(self, time: pd.Timestamp | None = None) -> pd.DataFrame:
        """The fan stored with a decision."""

    def outcomes(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """What each interval earned."""

    def events(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Protocols, fallbacks, alerts, and what happened to the loop."""

    def commands(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """What viewers asked for."""

    def bids(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Bids for services, and their awards."""


@dataclass(frozen=True)
class View:
    """
    How a site is shown.

    Parameters
    ----------
    market_tz : str
        Time zone of every time on the page, and of the day whose profit is shown.
    config : Config, optional
        The site; without it no cap is shown.
    inventory : Inventory, optional
        The machine types; without it the power of all machines is shown as one.
    hours : float
        How far back figures go. [h]
    late_s : float
        Time since the last step above which the loop is late. [s]
    soc_limits : tuple of float
        Shares of the battery at which a protocol steps in. [-]
    limit_c : float
        Temperature above which a protocol steps in. [degC]
    """

    market_tz: str = "UTC"
    config: Config | None = None
    inventory: Inventory | None = None
    hours: float = 24.0
    late_s: float = 330.0
    soc_limits: tuple[float, float] = (0.15, 0.90)
    limit_c: float = 75.0


class Seen(NamedTuple):
    """The tables of one look at a journal, and the time by the site's clock."""

    now: pd.Timestamp
    status: Mapping[str, Any]
    prices: pd.DataFrame
    decisions: pd.DataFrame
    forecast: pd.DataFrame | None
    outcomes: pd.DataFrame
    events: pd.DataFrame
    commands: pd.DataFrame
    bids: pd.DataFrame

    @property
    def last(self) -> pd.Series | None:
        """The last decision; None before the first."""
        return None if self.decisions.empty else self.decisions.iloc[-1]


def look(reader: JournalReader, clock: Clock | None, view: View) -> Seen:
    """
    Read what the page shows.

    Parameters
    ----------
    reader : JournalReader
        A journal.
    clock : callable, optional
        The time by the site's clock, UTC; see `site_time`.
    view : View
        How the site is shown.

    Returns
    -------
    Seen
    """
    status = dict(reader.status())
    now = site_time(clock, status)
    since, midnight = now - pd.Timedelta(hours=view.hours), day_start(now, view.market_tz)
    return Seen(
        now,
        status,
        reader.prices(since),
        reader.decisions(since),
        reader.forecast(),
        reader.outcomes(midnight),
        reader.events(now - pd.Timedelta(days=ALERT_DAYS)),
        reader.commands(),
        reader.bids(status.get("last_interval") or now),
    )


def site_time(clock: Clock | None, status: Mapping[str, Any]) -> pd.Timestamp:
    """
    The time by the site's clock; where none is given the computer's, or that of a simulated site's last decision.

    Examples
    --------
    >>> decided = pd.Timestamp("2025-06-21 12:00", tz="UTC")
    >>> site_time(None, {"simulated": True, "last_decided_at": decided}) == decided
    True
    """
    if clock is not None:
        return clock()
    decided = status.get("last_decided_at")
    if status.get("simulated") and decided is not None and not pd.isna(decided):
        return pd.Timestamp(decided)
    return pd.Timestamp.now("UTC")


def day_start(now: pd.Timestamp, market_tz: str) -> pd.Timestamp:
    """
    Start of the market's day, UTC.

    Examples
    --------
    >>> day_start(pd.Timestamp("2025-06-21 03:00", tz="UTC"), "America/Los_Angeles")
    Timestamp('2025-06-20 07:00:00+0000', tz='UTC')
    """
    return now.tz_convert(market_tz).normalize().tz_convert("UTC")


def fingerprint(seen: Seen) -> tuple[Any, ...]:
    """What changes whenever a figure would: figures are drawn anew only when this has changed."""
    last = seen.last
    decided = None if last is None else (seen.decisions.index[-1], last["status"], last["ms_total"])
    return (
        decided,
        len(seen.prices),
        seen.prices.index[-1:].tolist(),
        len(seen.outcomes),
        seen.outcomes.index[-1:].tolist(),
        bool(seen.status.get("simulated")),
    )


def load_of(seen: Seen, view: View) -> pd.DataFrame:
    """
    Power of each machine type, the cooling and services sold, and the battery, as `plot_live_power` takes it. [MW]

    Without an inventory the machines are one column, `machines`.
    """
    decisions = seen.decisions
    unit = view.config.scaling.power_mw if view.config else 1e-6
    if view.inventory is None:
        made = {"machines": decisions["power"] * unit}
    else:
        made = {name: decisions[name] * view.inventory.power[name] * unit for name in MACHINES}
    for name in ("cooling", "services", "battery"):
        made[name] = decisions[f"{name}_mw"]
    return pd.DataFrame(made, index=decisions.index).astype(float)


def sensors_of(seen: Seen, view: View) -> tuple[str, ...]:
    """The columns of `decisions` of the sensors that the site has, by its settings or because they were heard."""
    config = view.config
    has = {
        "soc_share": config is not None and config.battery is not None,
        "temperature_c": config is not None and config.thermometer,
    }
    return tuple(name for name in has if has[name] or seen.decisions[name].notna().any())


def sells_services(seen: Seen, view: View) -> bool:
    """Whether services are sold at the site, by its settings or because there were bids."""
    named = view.config is not None and view.config.coupling is not None
    return named or len(seen.bids) > 0 or bool((seen.outcomes["services_paid"] != 0).any())


def in_force(events: pd.DataFrame) -> pd.DataFrame:
    """The events that were raised and have not ended, the newest first."""
    lasting = events[events["phase"].isin(["raised", "ended"])]
    latest = lasting.groupby(["kind", "name"], sort=False).tail(1)
    return latest[latest["phase"] == "raised"].iloc[::-1]


def age_s(seen: Seen) -> float | None:
    """Time since the last decision by the site's clock; None before the first. [s]"""
    decided = seen.status.get("last_decided_at")
    if decided is None and seen.last is not None:
        decided = seen.last["decided_at"]
    return None if decided is None or pd.isna(decided) else float((seen.now - decided).total_seconds())


def next_step(now: pd.Timestamp) -> pd.Timestamp:
    """Start of the next interval."""
    return now.floor(STEP) + STEP
