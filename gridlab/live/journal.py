"""
The journal of a live site: what was known, what was decided and what happened, in a SQLite file only added to.

One process writes: the loop that holds the site's lock. Viewers read (`gridlab.live.reading.Reader`) and put what they
ask of the loop into a file of their own beside the journal, ``<journal>-commands``, so that no viewer can lock the
journal or write to it; the loop enters a command in the journal when it applies it.

**What a committed row survives.** The file is in WAL mode with ``synchronous=FULL``: the log is forced to the disk
before a write returns, so that a row outlives SIGKILL, a crash of the system and a loss of power. With ``NORMAL`` it
would outlive the first alone: after a loss of power the file is whole, but the last rows, back to the last
checkpoint, are gone, among them the row that says that an allocation was sent; it would be sent again.

**What is whole.** A decision is one transaction with its forecast, events and bids. The database refuses to change
or remove a row (triggers), a second decision for an interval, and events of sending out of order.

**When the disk is full** (or read-only, or another program keeps the file locked) rows wait in memory in their order
and are written before any later one once that is possible: nothing is lost while the process lives. A decision that
is not in the file is not sent: the last allocation stays in force. When `MOST_WAITING` writes wait, the next is
refused.

Journals belong on a local disk: neither WAL nor the lock works on a network drive.
"""

import json
import os
import platform
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd

from gridlab.errors import DataError, RunError
from gridlab.files import make_folder
from gridlab.live.commands import Command, read_inbox
from gridlab.live.journal_file import connect, is_of_the_file, library_version, passes, prepare, refusal
from gridlab.live.journal_tables import (
    STAGES,
    DecisionRow,
    Event,
    SendEvent,
    microseconds,
    timestamp,
)
from gridlab.live.site_lock import SiteLock, machine_lock
from gridlab.sources.mara import MACHINES
from gridlab.sources.mara.recorded import record_exchange, record_prices

if TYPE_CHECKING:
    from gridlab.sources.mara.records import Exchange

MOST_WAITING = 20_000
"""Writes that wait in memory while the file cannot be written: some weeks of them."""

Write = Callable[[sqlite3.Connection], int | None]


class Recalled(NamedTuple):
    """
    A decision read back.

    Parameters
    ----------
    id : int
        Its number.
    interval : Timestamp
        The interval decided, UTC.
    mode : str
        Its mode.
    counts : dict of str to int
        Machines of each type.
    state : str
        JSON from which the loop continues.
    """

    id: int
    interval: pd.Timestamp
    mode: str
    counts: dict[str, int]
    state: str


class Unsettled(NamedTuple):
    """
    A decision of which it is not recorded how its sending ended.

    Parameters
    ----------
    id : int
        Its number.
    interval : Timestamp
        The interval decided, UTC.
    counts : dict of str to int
        Machines of each type.
    attempt : int
        How often sending it began.
    sending_at : Timestamp, optional
        When it last began; None where it never did.
    baseline : Timestamp, optional
        The server's `updated_at` before it last began, where it was known.
    """

    id: int
    interval: pd.Timestamp
    counts: dict[str, int]
    attempt: int
    sending_at: pd.Timestamp | None
    baseline: pd.Timestamp | None


class Journal:
    """
    The one writer of a site's journal.

    Made by `Journal.open`; close it, or use it in a ``with`` block. Safe to share between threads of a process.

    Parameters
    ----------
    path : Path
        The file.
    site : str
        The site's name.
    simulated : bool
        Whether the site is a simulated one.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> noon = pd.Timestamp("2025-06-21 12:00", tz="UTC")
    >>> counts = dict.fromkeys(MACHINES, 0) | {"hydro_miners": 200}
    >>> with Journal.open(f"{folder.name}/live.db", site="site", simulated=True) as journal:
    ...     decision = journal.record_decision(DecisionRow(noon, noon, "normal", "plan", counts, 1000000, 1.0))
    ...     journal.record_send(decision, "sending", noon, attempt=1)
    ...     [one.attempt for one in journal.unsettled()]
    [1]
    >>> folder.cleanup()
    """

    def __init__(self, path: Path, site: str, simulated: bool, connection: sqlite3.Connection, locks: list[SiteLock]):
        self.path, self.site, self.simulated = path, site, simulated
        self.problem: str | None = None
        self._connection, self._locks, self._pid = connection, locks, os.getpid()
        self._mutex = threading.RLock()
        self._waiting: deque[Write] = deque()
        self._last_interval: int | None = connection.execute("SELECT max(interval) FROM decisions").fetchone()[0]
        self._settled_to = 0

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        site: str,
        simulated: bool,
        lock_name: str | None = None,
        lock_folder: str | Path | None = None,
    ) -> Self:
        """
        Open a site's journal to write to it, or make it where it does not exist.

        Parameters
        ----------
        path : path
            The file, on a local disk.
        site : str
            The site's name.
        simulated : bool
            Whether the site is a simulated one; a journal is of one kind for good.
        lock_name : str, optional
            What tells the site apart whatever the journal (see `gridlab.live.site_lock.machine_lock`): with it two
            loops of this user on this machine refuse each other even with two journals. Loops on two machines do not
            see each other.
        lock_folder : path, optional
            Where locks by name lie.

        Raises
        ------
        DataError
            If the file is no journal, another site's, of the other kind, or cannot be made.
        RunError
            If a loop already runs the site, the journal is of a newer version, or it is damaged.
        """
        path = Path(path).expanduser().absolute()
        make_folder(path.parent)
        locks = [SiteLock.acquire(path.with_name(path.name + "-lock"), f"site {site!r} of {path}")]
        connection = None
        try:
            if lock_name is not None:
                locks.append(SiteLock.acquire(machine_lock(lock_name, lock_folder), f"site {site!r}"))
            connection = connect(path)
            prepare(connection, path, site, simulated)
            return cls(path, site, simulated, connection, locks)
        except BaseException as error:
            _let_go(connection, locks)
            if isinstance(error, sqlite3.Error):
                raise refusal(path, error) from error
            raise

    def close(self) -> None:
        """Write what waits, as far as that is possible, and let the file and the site go."""
        with self._mutex:
            with suppress(RunError):
                self.flush()
            _let_go(self._connection, self._locks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def healthy(self) -> bool:
        """Whether all that was recorded is in the file and the last write went well; `problem` says why not."""
        return self.problem is None and not self._waiting

    @property
    def waiting(self) -> int:
        """How many writes wait in memory."""
        return len(self._waiting)

    def flush(self) -> bool:
        """Write what waits in memory, in its order; whether nothing waits any more."""
        with self._mutex:
            while self._waiting:
                try:
                    self._commit(self._waiting[0])
                except Exception as error:
                    if is_of_the_file(error):
                        self._note(error)
                        return False
                    self._waiting[0] = _refused(error)
                    continue
                self._waiting.popleft()
            return True

    def record_decision(self, row: DecisionRow) -> int | None:
        """
        Record a decision with all that belongs to it.

        Returns
        -------
        int or None
            Its number; None where it waits in memory because the file cannot be written: it must not be sent.

        Raises
        ------
        DataError
            If its interval is not later than that of every decision before.
        RunError
            If the journal is damaged, or too much waits.
        """
        with self._mutex:
            interval = microseconds(row.interval)
            if self._last_interval is not None and interval <= self._last_interval:
                last = timestamp(self._last_interval)
                raise DataError(f"{row.interval} is decided already, or later ones are: the last decided is {last}")
            decision = self._write(_decision(row))
            self._last_interval = interval
            return decision

    def record_send(
        self,
        decision: int,
        event: SendEvent,
        at: pd.Timestamp,
        *,
        attempt: int = 0,
        updated_at: pd.Timestamp | None = None,
        ms_journal: float | None = None,
        ms_send: float | None = None,
        detail: str = "",
    ) -> None:
        """
        Record how the sending of a decision goes on.

        Parameters
        ----------
        decision : int
            The decision's number.
        event : str
            ``sending``, and then once ``confirmed``, ``recovered`` or ``failed``; or ``superseded`` or ``kept``.
        at : Timestamp
            When, UTC.
        attempt : int
            How often sending began, from 1; 0 where it never did.
        updated_at : Timestamp, optional
            The server's `updated_at`: before, of ``sending``; as answered, of the others.
        ms_journal, ms_send : float, optional
            How long recording and the request took. [ms]
        detail : str
            What happened, in a sentence.

        Raises
        ------
        RunError
            If ``sending`` cannot be written now: the request must not be made. The others wait in memory.
        """
        seen = None if updated_at is None else microseconds(updated_at)
        values = (decision, microseconds(at), event, attempt, seen, ms_journal, ms_send, detail)
        sql = (
            "INSERT INTO sends (decision_id, at, event, attempt, updated_at, ms_journal, ms_send, detail) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        self._write(lambda connection: connection.execute(sql, values).lastrowid, at_once=event == "sending")

    def record_event(self, event: Event) -> None:
        """Record something that happened outside a decision."""
        self._write(lambda connection: _event(connection, event))

    def record_outcome(self, interval: pd.Timestamp, at: pd.Timestamp, **money: float) -> None:
        """
        Record what an interval earned, once.

        Parameters
        ----------
        interval, at : Timestamp
            The interval, and when this was worked out; UTC.
        **money : float
            ``revenue, cost, services_paid, switching, profit, best_machine, hindsight``; all. [$]
        """
        names = ("revenue", "cost", "services_paid", "switching", "profit", "best_machine", "hindsight")
        if set(money) != set(names):
            raise DataError(f"an outcome needs {', '.join(names)}, got {', '.join(sorted(money))}")
        values = (microseconds(interval), microseconds(at), *(float(money[name]) for name in names))
        sql = f"INSERT OR IGNORE INTO outcomes (interval, at, {', '.join(names)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._write(lambda connection: connection.execute(sql, values).lastrowid)

    def record_exchange(self, exchange: "Exchange") -> None:
        """Record one request to the server and what came of it."""
        self._write(lambda connection: record_exchange(connection, exchange))

    def record_prices(self, table: pd.DataFrame, seen_at: pd.Timestamp) -> None:
        """Record the prices that are new, or were restated."""
        self._write(lambda connection: record_prices(connection, table, seen_at))

    def record_loop(self, event: Literal["start", "stop"], at: pd.Timestamp, config: Mapping[str, Any]) -> None:
        """Record that the loop starts or stops, with its configuration, which must hold no key."""
        values = (
            microseconds(at),
            event,
            os.getpid(),
            platform.node(),
            library_version(),
            json.dumps(config, default=str),
        )
        sql = "INSERT INTO loops (at, event, pid, host, version, config) VALUES (?, ?, ?, ?, ?, ?)"
        self._write(lambda connection: connection.execute(sql, values).lastrowid)

    def commands(self) -> tuple[Command, ...]:
        """What people asked and was not applied yet, in the order of asking; nothing while the inbox is busy."""
        with self._mutex:
            if not self.flush():
                return ()
            asked = read_inbox(self.path)
            done = {row[0] for row in self._connection.execute("SELECT token FROM commands")}
            return tuple(one for one in asked if one.token not in done)

    def apply_command(self, command: Command, at: pd.Timestamp, detail: str = "") -> None:
        """Record that a command was applied, or in `detail` why it was not; it is not given out again."""
        words = (command.token, microseconds(command.at), command.kind, command.value, command.by)
        sql = "INSERT INTO commands (token, at, kind, value, by, applied_at, detail) VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._write(lambda connection: connection.execute(sql, (*words, microseconds(at), detail)).lastrowid)

    def last_decision(self) -> Recalled | None:
        """The last decision in the file; None where there is none."""
        sql = f"SELECT id, interval, mode, state, {', '.join(MACHINES)} FROM decisions ORDER BY id DESC LIMIT 1"
        with self._mutex:
            row = self._connection.execute(sql).fetchone()
        if row is None:
            return None
        counts = dict(zip(MACHINES, row[4:], strict=True))
        return Recalled(row[0], timestamp(row[1]), row[2], counts, zlib.decompress(row[3]).decode())

    def unsettled(self) -> tuple[Unsettled, ...]:
        """
        Decisions of which it is not recorded how their sending ended, in their order.

        Raises
        ------
        RunError
            While writes wait in memory: the answer may be among them.
        """
        with self._mutex:
            if not self.flush():
                raise RunError(self.problem or "the journal cannot be written")
            rows = self._connection.execute(_UNSETTLED, (self._settled_to,)).fetchall()
            last = self._connection.execute("SELECT coalesce(max(id), 0) FROM decisions").fetchone()[0]
            self._settled_to = rows[0][0] - 1 if rows else last
        return tuple(
            Unsettled(
                row[0], timestamp(row[1]), dict(zip(MACHINES, row[5:], strict=True)), row[2],
                *(None if value is None else timestamp(value) for value in row[3:5]),
            )
            for row in rows
        )  # fmt: skip

    def last_updated_at(self) -> pd.Timestamp | None:
        """The server's `updated_at` as last known; None where it is not known since the last request."""
        sql = "SELECT updated_at FROM sends WHERE event NOT IN ('superseded', 'kept') ORDER BY id DESC LIMIT 1"
        with self._mutex:
            row = self._connection.execute(sql).fetchone()
        return None if row is None or row[0] is None else timestamp(row[0])

    def has_heard(self) -> bool:
        """Whether the server ever said, since the journal was made, when the machines were last set."""
        with self._mutex:
            row = self._connection.execute("SELECT 1 FROM sends WHERE updated_at IS NOT NULL LIMIT 1").fetchone()
        return row is not None

    def _write(self, write: Write, *, at_once: bool = False) -> int | None:
        """Commit a write, after those that wait; where the file cannot be written keep it, or refuse it."""
        with self._mutex:
            if os.getpid() != self._pid:
                raise RunError(f"the journal {self.path} is of process {self._pid}: open it in this one after a fork")
            if self.flush():
                try:
                    return self._commit(write)
                except sqlite3.Error as error:
                    self._note(error)
            if at_once or len(self._waiting) >= MOST_WAITING:
                raise RunError(self.problem)
            self._waiting.append(write)
            return None

    def _commit(self, write: Write) -> int | None:
        """One transaction: all of it or nothing."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            row = write(connection)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self.problem = None
        return row

    def _note(self, error: Exception) -> None:
        """Keep the sentence for an error that may pass; raise for one that does not."""
        if not passes(error):
            raise refusal(self.path, error) from error
        self.problem = (
            f"the journal {self.path} cannot be written ({error}; {len(self._waiting)} writes wait in memory, and what "
            "is not recorded is not sent): make room on its disk or see that it may be written"
        )


def _decision(row: DecisionRow) -> Write:
    """The write of a decision with all that belongs to it; what it needs is worked out now."""
    values: dict[str, Any] = {
        "interval": microseconds(row.interval), "decided_at": microseconds(row.decided_at), "mode": row.mode,
        "reason": row.reason, **{name: int(row.counts[name]) for name in MACHINES}, "power": int(row.power),
        **{name: _real(getattr(row, name)) for name in _REALS},
        **{f"ms_{stage}": _real(row.ms.get(stage)) for stage in STAGES},
        "payload": row.payload, "state": zlib.compress(row.state.encode()),
    }  # fmt: skip
    sql = f"INSERT INTO decisions ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
    fan = None if row.forecast is None else np.ascontiguousarray(row.forecast.values, dtype="<f8")

    def write(connection: sqlite3.Connection) -> int | None:
        decision = connection.execute(sql, tuple(values.values())).lastrowid
        if row.forecast is not None and fan is not None:
            stored = (decision, microseconds(row.forecast.first), fan.shape[2], fan.tobytes())
            connection.execute("INSERT INTO forecasts VALUES (?, ?, ?, ?)", stored)
        for event in row.events:
            _event(connection, event if event.interval is not None else event._replace(interval=row.interval))
        connection.executemany(_BID, [(decision, *bid) for bid in row.bids])
        if not row.to_send:
            connection.execute(_KEPT, (decision, values["decided_at"], row.reason))
        return decision

    return write


def _event(connection: sqlite3.Connection, event: Event) -> int | None:
    interval = None if event.interval is None else microseconds(event.interval)
    values = (microseconds(event.at), interval, event.kind, event.name, event.severity, event.phase, event.text)
    sql = "INSERT INTO events (at, interval, kind, name, severity, phase, text) VALUES (?, ?, ?, ?, ?, ?, ?)"
    return connection.execute(sql, values).lastrowid


_REALS = (
    "power_mw", "cooling_mw", "battery_mw", "services_mw", "soc_share", "temperature_c", "expected_profit",
)  # fmt: skip
_BID = (
    "INSERT INTO bids (decision_id, bidder, service, quantity_mw, price, award_mw, payment) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_KEPT = "INSERT INTO sends (decision_id, at, event, attempt, detail) VALUES (?, ?, 'kept', 0, ?)"
_UNSETTLED = f"""
    SELECT id, interval, (SELECT count(*) FROM sends WHERE decision_id = decisions.id),
    (SELECT max(at) FROM sends WHERE decision_id = decisions.id),
    (SELECT updated_at FROM sends WHERE decision_id = decisions.id ORDER BY id DESC LIMIT 1), {", ".join(MACHINES)}
    FROM decisions WHERE id > ? AND NOT EXISTS
    (SELECT 1 FROM sends WHERE decision_id = decisions.id AND event <> 'sending') ORDER BY id
"""


def _real(value: float | None) -> float | None:
    return None if value is None else float(value)


def _refused(error: Exception) -> Write:
    """What is written in place of a row that waited and turned out to contradict what is recorded."""
    text = f"a row that waited in memory was refused: {error}"
    event = Event(pd.Timestamp.now("UTC"), "loop", "refused row", text, severity="critical")
    return lambda connection: _event(connection, event)


def _let_go(connection: sqlite3.Connection | None, locks: list[SiteLock]) -> None:
    if connection is not None:
        connection.close()
    for lock in locks:
        lock.release()
