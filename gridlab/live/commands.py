"""
What people ask of a running loop: put into an inbox beside the journal by any process, taken out of it by the loop.

The inbox is a SQLite file of its own, ``<journal>-commands``, so that the journal keeps its one writer.
"""

import getpass
import json
import sqlite3
import uuid
from collections.abc import Mapping
from contextlib import closing
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gridlab.errors import DataError, RunError
from gridlab.live.journal_tables import INBOX, append_only, microseconds, timestamp
from gridlab.live.state import MOST_COUNT
from gridlab.sources.mara import MACHINES

KINDS = ("pause", "resume", "risk", "override", "clear_override")


class Command(NamedTuple):
    """
    What somebody asked.

    Parameters
    ----------
    token : str
        Its own name, unlike any other's.
    at : Timestamp
        When it was asked, UTC.
    kind : str
        One of `KINDS`.
    value : str
        JSON: the risk, or ``{"counts": ..., "until": ...}``; ``null`` of the others.
    by : str
        Who asked.
    """

    token: str
    at: pd.Timestamp
    kind: str
    value: str
    by: str


class Commands:
    """
    Asks things of the loop that runs a journal; each call returns the command's token.

    Parameters
    ----------
    path : path
        The journal.
    by : str, optional
        Who asks; the user's name when omitted.

    Raises
    ------
    DataError
        If there is no journal, or a value is outside its range.
    RunError
        If the inbox cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from gridlab.live.journal import Journal
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Journal.open(f"{folder}/live.db", site="site", simulated=True) as journal:
    ...         _ = Commands(f"{folder}/live.db").risk(0.25)
    ...         [(one.kind, one.value) for one in journal.commands()]
    [('risk', '0.25')]
    """

    def __init__(self, path: str | Path, *, by: str | None = None) -> None:
        self.path = Path(path).expanduser().absolute()
        self.by = by or _user()
        if not self.path.is_file():
            raise DataError(f"there is no journal {self.path}: start the loop first")

    def pause(self) -> str:
        """Ask that the site is left as it is."""
        return self._ask("pause", None)

    def resume(self) -> str:
        """Ask that the site is allocated again."""
        return self._ask("resume", None)

    def risk(self, value: float) -> str:
        """Ask that plans lean to the unfavourable end of the forecast by this much, in [0, 1]. [-]"""
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
            raise DataError(f"risk must be in [0, 1], got {value}")
        return self._ask("risk", float(value))

    def override(self, counts: Mapping[str, int], until: pd.Timestamp) -> str:
        """Ask for an allocation, machines of each type (0 where one is missing), until a time, UTC."""
        for name, count in counts.items():
            if name not in MACHINES or not _is_whole(count):
                raise DataError(f"an override needs whole counts of {', '.join(MACHINES)}, got {count!r} of {name!r}")
        if not isinstance(until, pd.Timestamp) or until is pd.NaT:
            raise DataError(f"an override needs an end, got {until!r}: give a pd.Timestamp with its time zone")
        microseconds(until)
        whole = {name: int(counts.get(name, 0)) for name in MACHINES}
        return self._ask("override", {"counts": whole, "until": until.tz_convert("UTC").isoformat()})

    def clear_override(self) -> str:
        """Ask that the override ends."""
        return self._ask("clear_override", None)

    def _ask(self, kind: str, value: Any) -> str:
        token = uuid.uuid4().hex
        words = (token, microseconds(pd.Timestamp.now("UTC")), kind, json.dumps(value), self.by)
        inbox = inbox_of(self.path)
        try:
            with closing(sqlite3.connect(inbox, isolation_level=None, timeout=5.0)) as connection:
                _add(connection, words)
        except sqlite3.Error as error:
            raise RunError(
                f"the inbox {inbox} cannot be written ({error}): see that there is room and that it may be written"
            ) from error
        return token


def inbox_of(path: Path) -> Path:
    """The inbox of a journal."""
    return path.with_name(path.name + "-commands")


def read_inbox(path: Path) -> tuple[Command, ...]:
    """
    All that was ever asked of a journal's loop, in order; nothing while somebody is writing.

    Raises
    ------
    RunError
        If the inbox is damaged.
    """
    inbox = inbox_of(path)
    if not inbox.exists():
        return ()
    sql = "SELECT token, at, kind, value, by FROM inbox ORDER BY id"
    try:
        with closing(sqlite3.connect(f"{inbox.as_uri()}?mode=rw", uri=True, timeout=0.2)) as connection:
            rows = connection.execute(sql).fetchall()
    except sqlite3.OperationalError:  # being made or written, or not to be opened: it is asked again at the next step
        return ()
    except sqlite3.DatabaseError as error:
        raise RunError(f"the inbox {inbox} is damaged ({error}): remove it, and ask again") from error
    try:
        return tuple(Command(row[0], timestamp(row[1]).as_unit("ns"), *row[2:]) for row in rows)
    except (TypeError, ValueError, OverflowError) as error:
        raise RunError(f"the inbox {inbox} holds a time that is none ({error}): remove it, and ask again") from error


def _add(connection: sqlite3.Connection, words: tuple[Any, ...]) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in (*INBOX, *append_only("inbox")):
        connection.execute(statement)
    connection.execute("INSERT INTO inbox (token, at, kind, value, by) VALUES (?, ?, ?, ?, ?)", words)
    connection.execute("COMMIT")


def _is_whole(count: object) -> bool:
    number = isinstance(count, Real) and not isinstance(count, bool)
    return number and 0 <= float(count) <= MOST_COUNT and float(count).is_integer()  # type: ignore[arg-type]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return "unknown"
