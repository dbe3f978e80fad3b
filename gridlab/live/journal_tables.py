"""The journal's tables: what they hold, the rules that the database itself keeps, and the records that go into them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from numbers import Integral
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.live.config import STEP
from gridlab.sources.mara import MACHINES

VERSION = 1
"""Version of the tables; a journal of a later one is refused."""

APPLICATION_ID = 0x67726C6A
"""What marks a SQLite file as a journal (``PRAGMA application_id``)."""

MIGRATIONS: dict[int, tuple[str, ...]] = {}
"""Statements that bring a journal from a version to the next one."""

STAGES = ("fetch", "forecast", "plan", "auction", "protect", "dispatch")
"""Stages whose duration is known when a decision is recorded."""

SERIES = ("price", "hash_price", "token_price")
FAN = ("mean", "q05", "q10", "q50", "q90", "q95")

Mode = Literal["normal", "hold", "safe", "override", "paused"]
SendEvent = Literal["sending", "confirmed", "recovered", "failed", "superseded", "kept"]

_NONE: Mapping[str, float] = {}


class Fan(NamedTuple):
    """
    A forecast with its quantiles, as stored with a decision.

    Parameters
    ----------
    first : Timestamp
        Start of its first interval, UTC.
    values : ndarray, shape (3, 6, n_intervals)
        For each of `SERIES` each of `FAN`. [API's units]
    """

    first: pd.Timestamp
    values: np.ndarray


class Event(NamedTuple):
    """
    Something that happened.

    Parameters
    ----------
    at : Timestamp
        When, UTC.
    kind : str
        ``protocol``, ``fallback``, ``alert``, ``command``, ``loop`` or ``recovery``.
    name : str
        Its name within the kind.
    text : str
        What happened, in a sentence.
    severity : str
        ``info``, ``warning`` or ``critical``.
    phase : str
        ``once``, or ``raised`` and later ``ended``.
    interval : Timestamp, optional
        The interval it belongs to, UTC.
    """

    at: pd.Timestamp
    kind: str
    name: str
    text: str = ""
    severity: str = "info"
    phase: str = "once"
    interval: pd.Timestamp | None = None


class Bid(NamedTuple):
    """
    A bid for a service, and what it was awarded.

    Parameters
    ----------
    bidder, service : str
        Who bids, and for what.
    quantity_mw, price : float
        Power wanted, and the greatest price for it. [MW], [$/MWh]
    award_mw, payment : float
        Power awarded, and what the bidder pays. [MW], [$]
    """

    bidder: str
    service: str
    quantity_mw: float
    price: float
    award_mw: float = 0.0
    payment: float = 0.0


@dataclass(frozen=True)
class DecisionRow:
    """
    A decision with all that belongs to it, written whole or not at all.

    Parameters
    ----------
    interval, decided_at : Timestamp
        Start of the interval decided, on the grid of 5 minutes, and when it was decided; UTC.
    mode : str
        ``normal``, ``hold``, ``safe``, ``override`` or ``paused``.
    reason : str
        Why, in a sentence.
    counts : mapping of str to int
        Machines of each type that are to run; all five.
    power : int
        What the machines draw. [power]
    power_mw : float
        What the site draws: machines, cooling and services, less the battery. [MW]
    cooling_mw, battery_mw, services_mw : float
        Power of the chiller, of the battery (positive into the grid) and sold to bidders. [MW]
    soc_share, temperature_c, expected_profit : float, optional
        State of charge, temperature, and profit expected of the interval. [-], [degC], [$]
    ms : mapping of str to float
        Duration of each of `STAGES`. [ms]
    payload, state : str
        JSON: what was known and sent to the site, and the state from which a restarted loop continues.
    forecast : Fan, optional
        The forecast it rests on.
    events : tuple of Event
        Protocols, fallbacks and alerts of this step.
    bids : tuple of Bid
        Services cleared.
    to_send : bool
        False where the site is left as it is, as when paused: the decision is recorded as ``kept`` and never sent.

    Raises
    ------
    DataError
        If a time has no time zone, the interval is off the grid, or a count is missing, negative or not whole.
    """

    interval: pd.Timestamp
    decided_at: pd.Timestamp
    mode: Mode
    reason: str
    counts: Mapping[str, int]
    power: int
    power_mw: float
    cooling_mw: float = 0.0
    battery_mw: float = 0.0
    services_mw: float = 0.0
    soc_share: float | None = None
    temperature_c: float | None = None
    expected_profit: float | None = None
    ms: Mapping[str, float] = field(default_factory=lambda: _NONE)
    payload: str = "{}"
    state: str = "{}"
    forecast: Fan | None = None
    events: tuple[Event, ...] = ()
    bids: tuple[Bid, ...] = ()
    to_send: bool = True

    def __post_init__(self) -> None:
        if microseconds(self.interval) % (STEP // pd.Timedelta(microseconds=1)):
            raise DataError(f"a decision's interval must start on the grid of 5 minutes, got {self.interval}")
        if set(self.counts) != set(MACHINES) or not all(map(_is_count, self.counts.values())):
            raise DataError(
                f"a decision needs whole counts of {', '.join(MACHINES)}, at least 0: {self.interval} has {self.counts}"
            )
        if self.forecast is not None and np.shape(self.forecast.values)[:2] != (len(SERIES), len(FAN)):
            raise DataError(
                f"a forecast must be of shape ({len(SERIES)}, {len(FAN)}, n), got {np.shape(self.forecast.values)}"
            )
        if set(self.ms) - set(STAGES):
            raise DataError(f"ms names {sorted(set(self.ms) - set(STAGES))[0]!r}: the stages are {', '.join(STAGES)}")


def microseconds(time: pd.Timestamp) -> int:
    """
    A time as whole microseconds since 1970, UTC; DataError where it has no time zone.

    Examples
    --------
    >>> microseconds(pd.Timestamp("1970-01-01 00:00:01", tz="UTC"))
    1000000
    """
    if time is None or time.tz is None:
        raise DataError(f"the journal's times need a time zone, got {time!r}: localise it to UTC")
    return int(time.value // 1000)


def timestamp(value: int) -> pd.Timestamp:
    """
    The time of whole microseconds since 1970, UTC.

    Examples
    --------
    >>> timestamp(1_000_000)
    Timestamp('1970-01-01 00:00:01+0000', tz='UTC')
    """
    return pd.Timestamp(value, unit="us", tz="UTC")


def fan_columns() -> pd.MultiIndex:
    """The columns of a forecast read back: series by mean and quantiles."""
    return pd.MultiIndex.from_tuples(list(product(SERIES, FAN)), names=["series", "level"])


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _one_of(column: str, *values: str) -> str:
    return f"{column} TEXT NOT NULL CHECK ({column} IN ({', '.join(repr(value) for value in values)}))"


_COUNTS = ",\n".join(f"{name} INTEGER NOT NULL CHECK ({name} >= 0)" for name in MACHINES)
_MS = ",\n".join(f"ms_{stage} REAL" for stage in STAGES)

# times are whole microseconds since 1970, UTC; state is JSON packed by zlib; fan is float64, little endian
SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    f"""CREATE TABLE decisions (
        id INTEGER PRIMARY KEY, interval INTEGER NOT NULL UNIQUE, decided_at INTEGER NOT NULL,
        {_one_of("mode", "normal", "hold", "safe", "override", "paused")}, reason TEXT NOT NULL, {_COUNTS},
        power INTEGER NOT NULL, power_mw REAL NOT NULL, cooling_mw REAL NOT NULL, battery_mw REAL NOT NULL,
        services_mw REAL NOT NULL, soc_share REAL, temperature_c REAL, expected_profit REAL, {_MS},
        payload TEXT NOT NULL, state BLOB NOT NULL) STRICT""",
    """CREATE TABLE forecasts (
        decision_id INTEGER PRIMARY KEY REFERENCES decisions, first INTEGER NOT NULL, n INTEGER NOT NULL,
        fan BLOB NOT NULL) STRICT""",
    """CREATE TABLE bids (
        id INTEGER PRIMARY KEY, decision_id INTEGER NOT NULL REFERENCES decisions, bidder TEXT NOT NULL,
        service TEXT NOT NULL, quantity_mw REAL, price REAL, award_mw REAL, payment REAL) STRICT""",
    f"""CREATE TABLE sends (
        id INTEGER PRIMARY KEY, decision_id INTEGER NOT NULL REFERENCES decisions, at INTEGER NOT NULL,
        {_one_of("event", "sending", "confirmed", "recovered", "failed", "superseded", "kept")},
        attempt INTEGER NOT NULL CHECK (attempt BETWEEN 0 AND 2), updated_at INTEGER, ms_journal REAL, ms_send REAL,
        detail TEXT NOT NULL) STRICT""",
    """CREATE TABLE outcomes (
        id INTEGER PRIMARY KEY, interval INTEGER NOT NULL UNIQUE, at INTEGER NOT NULL, revenue REAL, cost REAL,
        services_paid REAL, switching REAL, profit REAL, best_machine REAL, hindsight REAL) STRICT""",
    f"""CREATE TABLE events (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL, interval INTEGER,
        {_one_of("kind", "protocol", "fallback", "alert", "command", "loop", "recovery")}, name TEXT NOT NULL,
        {_one_of("severity", "info", "warning", "critical")}, {_one_of("phase", "once", "raised", "ended")},
        text TEXT NOT NULL) STRICT""",
    """CREATE TABLE commands (
        id INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, kind TEXT NOT NULL,
        value TEXT NOT NULL, by TEXT NOT NULL, applied_at INTEGER NOT NULL, detail TEXT NOT NULL) STRICT""",
    f"""CREATE TABLE loops (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL, {_one_of("event", "start", "stop")}, pid INTEGER NOT NULL,
        host TEXT NOT NULL, version TEXT NOT NULL, config TEXT NOT NULL) STRICT""",
    "CREATE INDEX bids_of ON bids (decision_id)",
    "CREATE INDEX sends_of ON sends (decision_id, event)",
    "CREATE INDEX events_at ON events (at)",
    """CREATE TRIGGER decisions_go_forward BEFORE INSERT ON decisions BEGIN
        SELECT RAISE(ABORT, 'a decision must be for a later interval than all before it')
        WHERE NEW.interval <= (SELECT max(interval) FROM decisions);
    END""",
    """CREATE TRIGGER sends_in_order BEFORE INSERT ON sends BEGIN
        SELECT RAISE(ABORT, 'the decision is settled')
        WHERE EXISTS (SELECT 1 FROM sends WHERE decision_id = NEW.decision_id AND event <> 'sending');
        SELECT RAISE(ABORT, 'the decision was never sent') WHERE NEW.event IN ('confirmed', 'recovered', 'failed')
        AND NOT EXISTS (SELECT 1 FROM sends WHERE decision_id = NEW.decision_id);
        SELECT RAISE(ABORT, 'the decision was sent') WHERE NEW.event IN ('superseded', 'kept')
        AND EXISTS (SELECT 1 FROM sends WHERE decision_id = NEW.decision_id);
        SELECT RAISE(ABORT, 'attempts count up from 1') WHERE NEW.event = 'sending'
        AND NEW.attempt <> 1 + (SELECT count(*) FROM sends WHERE decision_id = NEW.decision_id);
        SELECT RAISE(ABORT, 'a later decision was sent') WHERE NEW.event = 'sending'
        AND EXISTS (SELECT 1 FROM sends WHERE decision_id > NEW.decision_id AND event = 'sending');
    END""",
)

INBOX = (
    """CREATE TABLE IF NOT EXISTS inbox (
        id INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, kind TEXT NOT NULL,
        value TEXT NOT NULL, by TEXT NOT NULL) STRICT""",
)


def append_only(table: str) -> tuple[str, str]:
    """Statements with which the database itself refuses to change or to remove a row of a table."""
    made = (
        f"CREATE TRIGGER IF NOT EXISTS {table}_{verb.lower()} BEFORE {verb} ON {table} BEGIN "
        f"SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    )
    first, second = made
    return first, second
