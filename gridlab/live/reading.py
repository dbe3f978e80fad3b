"""
A live site's journal, read: tables of what was known, decided and earned, while the loop writes or long after.

Each call opens the file read-only, reads one state of it and closes it again: any number of readers, none of which can
hold up the loop, keep its write-ahead log from shrinking, or change a row.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.live.commands import read_inbox
from gridlab.live.config import STEP
from gridlab.live.journal_file import refusal, require_journal
from gridlab.live.journal_tables import FAN, SERIES, STAGES, VERSION, fan_columns, microseconds, timestamp
from gridlab.live.site_lock import holder, is_held
from gridlab.sources.mara import MACHINES, Inventory, parse_inventory

_TABLES = (
    "decisions", "sends", "outcomes", "events", "commands", "loops", "prices", "replies",
)  # fmt: skip
_COMMANDS = "SELECT token, at, kind, value, by, applied_at, detail FROM commands"
_COMMAND = {"at": "time", "kind": "text", "value": "text", "by": "text", "applied_at": "time", "detail": "text"}
_MS = tuple(f"ms_{stage}" for stage in STAGES)
_MONEY = ("revenue", "cost", "services_paid", "switching", "profit", "best_machine", "hindsight")
_REALS = ("power_mw", "cooling_mw", "battery_mw", "services_mw", "soc_share", "temperature_c", "expected_profit")
_SENT = """
    (SELECT event FROM sends WHERE decision_id = d.id ORDER BY id DESC LIMIT 1),
    (SELECT max(at) FROM sends WHERE decision_id = d.id AND event = 'sending'),
    (SELECT max(ms_journal) FROM sends WHERE decision_id = d.id),
    (SELECT max(ms_send) FROM sends WHERE decision_id = d.id)
"""


class Reader:
    """
    Reads a journal.

    Each table takes `since`, a time in UTC before which rows are left out: of the interval where the index is
    ``time``, otherwise of the moment. A table without rows has its columns and their types.

    Parameters
    ----------
    path : path
        The journal.

    Raises
    ------
    DataError
        If the file is not there, is no journal, or cannot be read.
    RunError
        If it is damaged, or of a newer version.

    Examples
    --------
    >>> import tempfile
    >>> from gridlab.live.journal import Journal
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Journal.open(f"{folder}/live.db", site="site", simulated=True):
    ...         reader = Reader(f"{folder}/live.db")
    ...         len(reader.decisions()), reader.status()["running"]
    (0, True)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        with self._open() as connection:
            require_journal(connection, self.path)

    def prices(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Prices as last stated, by the start of their interval: ``price, hash_price, token_price``. [API's units]"""
        sql = (
            "SELECT time, energy_price, hash_price, token_price FROM prices WHERE revision IN "
            "(SELECT max(revision) FROM prices WHERE time >= ? GROUP BY time) ORDER BY time"
        )
        return _by_time(self._rows(sql, _from(since)), _floats(*SERIES))

    def decisions(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """
        Decisions by their interval, with what was sent.

        ``status`` is ``decided`` (not sent yet), ``sending`` (not known yet), ``confirmed`` (by the answer),
        ``recovered`` (found in force later), ``failed``, ``superseded`` (its interval was over before it was sent) or
        ``kept`` (not to be sent: the site is left as it is). ``ms_journal`` and ``ms_send`` are of the last attempt.
        """
        names = ("decided_at", "mode", "reason", *MACHINES, "power", *_REALS)
        sql = (
            f"SELECT interval, {', '.join((*names, *_MS))}, {_SENT} FROM decisions AS d "
            "WHERE interval >= ? ORDER BY interval"
        )
        kinds = {"decided_at": "time", "mode": "text", "reason": "text", **dict.fromkeys((*MACHINES, "power"), "count")}
        kinds |= _floats(*_REALS, *_MS) | {"status": "text", "sent_at": "time"} | _floats("ms_journal", "ms_send")
        table = _by_time(self._rows(sql, _from(since)), kinds)
        stages = [*_MS, "ms_journal", "ms_send"]
        table["status"] = table["status"].fillna("decided")
        table["ms_total"] = table[stages].sum(axis=1)
        return table[[*names, "status", "sent_at", *stages, "ms_total"]]

    def forecast(self, time: pd.Timestamp | None = None) -> pd.DataFrame:
        """
        The forecast stored with the decision of an interval, by default with the last that has one.

        Its index is the intervals ahead; its columns are a series (``price, hash_price, token_price``) by a level
        (``mean, q05, q10, q50, q90, q95``). [API's units]
        """
        chosen = "" if time is None else "WHERE decision_id = (SELECT id FROM decisions WHERE interval = ?) "
        sql = f"SELECT first, fan FROM forecasts {chosen}ORDER BY decision_id DESC LIMIT 1"
        rows = self._rows(sql, () if time is None else (microseconds(time),))
        first, packed = rows[0] if rows else (0, b"")
        values = np.frombuffer(packed, dtype="<f8").reshape(len(SERIES) * len(FAN), -1).T
        step = STEP // pd.Timedelta(microseconds=1)
        index = _times(first + step * np.arange(len(values)))
        return pd.DataFrame(values.astype(float), index=index.rename("time"), columns=fan_columns())

    def outcomes(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """What intervals earned, beside the best machine and the optimum in hindsight. [$]"""
        sql = f"SELECT interval, {', '.join(_MONEY)} FROM outcomes WHERE interval >= ? ORDER BY interval"
        return _by_time(self._rows(sql, _from(since)), _floats(*_MONEY))

    def events(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """What happened: ``at, interval, kind, name, severity, phase, text``."""
        names = ("at", "interval", "kind", "name", "severity", "phase", "text")
        kinds = {name: "time" if name in ("at", "interval") else "text" for name in names}
        return _table(
            self._rows(f"SELECT {', '.join(names)} FROM events WHERE at >= ? ORDER BY id", _from(since)), kinds
        )

    def replies(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Requests to the server: ``at, call, status, latency_ms, problem``; no status where none came. [-], [ms]"""
        kinds = {"at": "time", "call": "text", "status": "status", "latency_ms": "number", "problem": "text"}
        return _table(
            self._rows(f"SELECT {', '.join(kinds)} FROM replies WHERE at >= ? ORDER BY reply", _from(since)), kinds
        )

    def commands(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """What people asked: ``at, kind, value, by, applied_at`` (NaT until the loop applies it) and ``detail``."""
        done = {row[0]: row[1:] for row in self._rows(_COMMANDS)}
        waiting = [
            (microseconds(one.at), one.kind, one.value, one.by, None, "")
            for one in read_inbox(self.path)
            if one.token not in done
        ]
        rows = sorted((row for row in [*done.values(), *waiting] if row[0] >= _from(since)[0]), key=lambda row: row[0])
        return _table(rows, _COMMAND)

    def obeyed(self) -> pd.DataFrame:
        """What people asked and the loop has done, in the order in which it did, as `commands` has them."""
        return _table([row[1:] for row in self._rows(f"{_COMMANDS} WHERE detail = '' ORDER BY id")], _COMMAND)

    def bids(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Bids for services and their awards: ``time, bidder, service, quantity_mw, price, award_mw, payment``."""
        kinds = {"time": "time", "bidder": "text", "service": "text"}
        kinds |= _floats("quantity_mw", "price", "award_mw", "payment")
        sql = (
            "SELECT interval, bidder, service, quantity_mw, price, award_mw, payment FROM bids "
            "JOIN decisions ON decisions.id = decision_id WHERE interval >= ? ORDER BY bids.id"
        )
        return _table(self._rows(sql, _from(since)), kinds)

    def awards(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """The bids that were awarded something, as `bids` has them."""
        bids = self.bids(since)
        return bids[bids["award_mw"] > 0].reset_index(drop=True)

    def sends(self, since: pd.Timestamp | None = None) -> pd.DataFrame:
        """How decisions were sent: ``time`` of the interval, ``at, event, attempt, updated_at, ms_send, detail``."""
        kinds = {"time": "time", "at": "time", "event": "text", "attempt": "count", "updated_at": "time"}
        kinds |= {"ms_send": "number", "detail": "text"}
        sql = (
            "SELECT interval, at, event, attempt, updated_at, sends.ms_send, detail FROM sends "
            "JOIN decisions ON decisions.id = decision_id WHERE interval >= ? ORDER BY sends.id"
        )
        return _table(self._rows(sql, _from(since)), kinds)

    def payload(self, time: pd.Timestamp | None = None) -> str | None:
        """The payload of an interval's decision, by default of the last, as JSON; None where there is none."""
        payload = self._text("payload", time)
        return None if payload is None else str(payload)

    def state(self, time: pd.Timestamp | None = None) -> str | None:
        """The state stored with an interval's decision, by default with the last, as JSON; None where there is none."""
        packed = self._text("state", time)
        return None if packed is None else zlib.decompress(packed).decode()

    def config(self) -> dict[str, Any] | None:
        """The settings with which a loop last started, as `gridlab.live.settings.config_of` takes them."""
        rows = self._rows("SELECT config FROM loops ORDER BY rowid DESC LIMIT 1", ())
        return None if not rows else dict(json.loads(rows[0][0]))

    def inventory(self) -> Inventory | None:
        """The machine types as the server last gave them; None where it never did."""
        sql = "SELECT text FROM replies WHERE call = 'GET /inventory' AND problem IS NULL ORDER BY reply DESC LIMIT 1"
        rows = self._rows(sql, ())
        return None if not rows else parse_inventory(rows[0][0])

    def status(self) -> dict[str, Any]:
        """
        How the site stands.

        ``site, simulated, running, pid, since`` (of the loop that runs), ``paused, last_interval, last_decided_at,
        n_decisions, n_confirmed`` (confirmed or recovered), ``n_events`` by kind, ``schema_version``.
        """
        lock = self.path.with_name(self.path.name + "-lock")
        running = is_held(lock)
        with self._open() as connection:
            connection.execute("BEGIN")
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            last = connection.execute("SELECT interval, decided_at FROM decisions ORDER BY id DESC LIMIT 1").fetchone()
            asked = connection.execute(
                "SELECT kind FROM commands WHERE kind IN ('pause', 'resume') ORDER BY id DESC LIMIT 1"
            ).fetchone()
            n_sent = "SELECT count(*) FROM sends WHERE event IN ('confirmed', 'recovered')"
            return {
                "site": meta["site"],
                "simulated": meta["simulated"] == "1",
                "running": running,
                "pid": holder(lock).get("pid") if running else None,
                "since": holder(lock).get("since") if running else None,
                "paused": asked == ("pause",),
                "last_interval": None if last is None else timestamp(last[0]),
                "last_decided_at": None if last is None else timestamp(last[1]),
                "n_decisions": connection.execute("SELECT count(*) FROM decisions").fetchone()[0],
                "n_confirmed": connection.execute(n_sent).fetchone()[0],
                "n_events": dict(connection.execute("SELECT kind, count(*) FROM events GROUP BY kind")),
                "schema_version": VERSION,
            }

    def latest_change(self) -> int:
        """A number that grows with every row recorded or asked: poll it, and read again only when it has changed."""
        counts = " + ".join(f"(SELECT coalesce(max(rowid), 0) FROM {name})" for name in _TABLES)
        return int(self._rows(f"SELECT {counts}")[0][0]) + len(read_inbox(self.path))

    def _text(self, column: str, time: pd.Timestamp | None) -> Any:
        chosen = "" if time is None else "WHERE interval = ? "
        rows = self._rows(
            f"SELECT {column} FROM decisions {chosen}ORDER BY id DESC LIMIT 1",
            () if time is None else (microseconds(time),),
        )
        return rows[0][0] if rows else None

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._open() as connection:
            return connection.execute(sql, values).fetchall()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():
            raise DataError(f"there is no journal {self.path}: start the loop first, or name another file")
        try:
            with closing(_connect(self.path)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise refusal(self.path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    """A read-only connection; of a file at rest in a folder that may not be written, one that takes no locks."""
    uri = f"{path.as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5.0)
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        return sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    return connection


def _from(since: pd.Timestamp | None) -> tuple[int]:
    return (-(2**63) if since is None else microseconds(since),)


def _floats(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "number")


def _times(values: Any) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.asarray(values, dtype=np.int64).view("M8[us]")).tz_localize("UTC")


def _column(values: list[Any], kind: str) -> Any:
    if kind == "time":
        stamps = np.array(["NaT" if value is None else value for value in values], dtype="M8[us]")
        return pd.DatetimeIndex(stamps).tz_localize("UTC")
    if kind == "number":
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    return pd.array(values, dtype={"count": "int64", "status": "Int64", "text": "str"}[kind])


def _table(rows: Sequence[tuple[Any, ...]], kinds: dict[str, str]) -> pd.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(kinds)
    return pd.DataFrame(
        {name: _column(list(one), kind) for (name, kind), one in zip(kinds.items(), columns, strict=True)}
    )


def _by_time(rows: Sequence[tuple[Any, ...]], kinds: dict[str, str]) -> pd.DataFrame:
    """Rows whose first value is the start of their interval."""
    table = _table([row[1:] for row in rows], kinds)
    return table.set_index(_times([row[0] for row in rows]).rename("time"))
