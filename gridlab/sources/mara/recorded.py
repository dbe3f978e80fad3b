"""
What the API said, kept: every price with the values it had, and every reply, in two tables that are only added to.

The tables lie in a file of their own or in a live site's journal. Times are whole microseconds since 1970, UTC.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.files import replacing
from gridlab.sources.mara.records import Exchange
from gridlab.sources.normal import Rules, normalise

VERSION = 1
"""Version of the two tables; a file of a newer one is refused."""

DDL = """
CREATE TABLE IF NOT EXISTS prices (
    revision INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    energy_price REAL NOT NULL,
    hash_price REAL NOT NULL,
    token_price REAL NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS prices_by_time ON prices (time);
CREATE TABLE IF NOT EXISTS replies (
    reply INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    call TEXT NOT NULL,
    status INTEGER,
    latency_ms REAL NOT NULL,
    digest TEXT NOT NULL,
    text TEXT NOT NULL,
    problem TEXT,
    server_time INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS replies_by_time ON replies (at);
CREATE TABLE IF NOT EXISTS recorded_version (version INTEGER PRIMARY KEY) STRICT;
CREATE TRIGGER IF NOT EXISTS prices_keep BEFORE UPDATE ON prices
    BEGIN SELECT RAISE(ABORT, 'prices are only added to'); END;
CREATE TRIGGER IF NOT EXISTS prices_stay BEFORE DELETE ON prices
    BEGIN SELECT RAISE(ABORT, 'prices are only added to'); END;
CREATE TRIGGER IF NOT EXISTS replies_keep BEFORE UPDATE ON replies
    BEGIN SELECT RAISE(ABORT, 'replies are only added to'); END;
CREATE TRIGGER IF NOT EXISTS replies_stay BEFORE DELETE ON replies
    BEGIN SELECT RAISE(ABORT, 'replies are only added to'); END;
"""

COLUMNS = ("price", "hash_price", "token_price")
_MAGIC = b"SQLite format 3\0"
_UNITS = "The prices are in the literal units of the MARA API."
_LATEST = """
SELECT time, energy_price, hash_price, token_price FROM prices
WHERE revision IN (SELECT max(revision) FROM prices WHERE time BETWEEN ? AND ? GROUP BY time) ORDER BY time
"""


def create_tables(connection: sqlite3.Connection) -> None:
    """
    Make the two tables where they are not there yet; the statements run one by one in the caller's transaction.

    Raises
    ------
    DataError
        If they are there and of a newer version.
    """
    for statement in _statements(DDL):
        connection.execute(statement)
    _require_known_version(connection, "the store")
    connection.execute("INSERT OR IGNORE INTO recorded_version VALUES (?)", (VERSION,))


def record_prices(connection: sqlite3.Connection, table: pd.DataFrame, seen_at: pd.Timestamp) -> int:
    """
    Add the prices that were not there, or were there with another value; what is there stays. The caller commits.

    Parameters
    ----------
    connection : sqlite3.Connection
        An open file with the two tables.
    table : DataFrame
        A `prices` table with ``hash_price`` and ``token_price``, in the API's units. Gaps are not recorded.
    seen_at : Timestamp
        When it was received, UTC.

    Returns
    -------
    int
        How many rows were added.

    Raises
    ------
    DataError
        If a column is missing.

    Examples
    --------
    >>> from gridlab.sources.mara.parsing import parse_prices
    >>> connection, now = sqlite3.connect(":memory:"), pd.Timestamp("2025-06-21 12:06", tz="UTC")
    >>> create_tables(connection)
    >>> row = '{"energy_price": %s, "hash_price": 4, "token_price": 2, "timestamp": "2025-06-21T12:00:00"}'
    >>> [record_prices(connection, parse_prices(f"[{row % price}]"), now) for price in (3, 3, 2.5)]
    [1, 0, 1]
    >>> connection.close()
    """
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DataError(f"prices to record have no column '{missing[0]}': take them from MaraClient.get_prices")
    times, values = _microseconds(table.index), table[list(COLUMNS)].to_numpy(dtype=float)
    whole = ~np.isnan(values).any(axis=1)
    times, values = times[whole], values[whole]
    fresh = _not_seen(connection, times, values)
    seen = _microsecond(seen_at)
    rows = [(time, *row, seen) for time, row in zip(times[fresh].tolist(), values[fresh].tolist(), strict=True)]
    connection.executemany(
        "INSERT INTO prices (time, energy_price, hash_price, token_price, seen_at) VALUES (?, ?, ?, ?, ?)", rows
    )
    return len(rows)


def record_exchange(connection: sqlite3.Connection, exchange: Exchange) -> None:
    """Add one request and what came of it to the replies. The caller commits."""
    server_time = None if exchange.server_time is None else _microsecond(exchange.server_time)
    connection.execute(
        "INSERT INTO replies (at, call, status, latency_ms, digest, text, problem, server_time) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            _microsecond(exchange.at),
            exchange.call,
            exchange.status,
            float(exchange.latency_ms),
            exchange.digest,
            exchange.text.encode("utf-8", "replace").decode(),
            exchange.problem,
            server_time,
        ),
    )


def read_recorded(path: str | Path, *, start: str | None = None, end: str | None = None) -> pd.DataFrame:
    """
    The recorded prices with the value that each had last.

    Parameters
    ----------
    path : str or Path
        A store, or a live site's journal; it may be in use.
    start, end : str, optional
        First interval, and the first one no longer read; UTC unless they say otherwise.

    Returns
    -------
    DataFrame
        A `prices` table with ``hash_price`` and ``token_price`` in the API's units, on its grid, gaps as NaN.

    Raises
    ------
    DataError
        If the file is no such store, is of a newer version, holds fewer than two prices, or gaps pass a tenth.
    """
    path = Path(path).expanduser()
    first, last = (_bound(text, other) for text, other in ((start, -(2**63)), (end, 2**63 - 1)))
    with _reading(path) as connection:
        rows = connection.execute(_LATEST, (first, last - 1)).fetchall()
        revised = connection.execute("SELECT count(*) - count(DISTINCT time) FROM prices").fetchone()[0]
    if not rows:
        raise DataError(f"{path.name} has no recorded prices in that time: name another file, start or end")
    table = pd.DataFrame(rows, columns=["time", *COLUMNS])
    table["time"] = pd.to_datetime(table["time"], unit="us", utc=True)
    notes = (_UNITS, *((f"Prices that the server changed later: {revised}; the last value holds.",) if revised else ()))
    return normalise(table, Rules(path.name, price_unit="$/MWh", notes=notes))


def read_replies(path: str | Path) -> pd.DataFrame:
    """
    The recorded replies in the order of time.

    Parameters
    ----------
    path : str or Path
        A store, or a live site's journal.

    Returns
    -------
    DataFrame
        ``at, call, status, latency_ms, digest, text, problem, server_time``.
    """
    with _reading(Path(path).expanduser()) as connection:
        query = "SELECT at, call, status, latency_ms, digest, text, problem, server_time FROM replies ORDER BY reply"
        table = pd.read_sql_query(query, connection)
    for column in ("at", "server_time"):
        table[column] = pd.to_datetime(table[column].astype("Int64"), unit="us", utc=True)
    return table.astype({"status": "Int64"})


def write_recorded(path: str | Path, parquet: str | Path, *, replies: str | Path | None = None) -> None:
    """
    Write the recorded prices to a parquet file that `read_prices` reads; also the replies, where a file is named.

    Raises
    ------
    DataError
        If the store cannot be read or a file's name does not end in ``.parquet``.
    """
    from gridlab.sources.prices import write_parquet

    write_parquet(read_recorded(path), parquet)
    if replies is not None:
        with replacing(replies) as temporary:
            read_replies(path).to_parquet(temporary)


def is_recorded(path: str | Path) -> bool:
    """Whether a file is an SQLite file, by its first bytes."""
    try:
        with Path(path).expanduser().open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:  # whoever reads it says so
        return False


def _statements(ddl: str) -> Iterator[str]:
    statement = ""
    for line in ddl.strip().splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _require_known_version(connection: sqlite3.Connection, name: str) -> None:
    found = connection.execute("SELECT max(version) FROM recorded_version").fetchone()[0]
    if found is not None and found > VERSION:
        raise DataError(f"{name} is of version {found} and this gridlab knows {VERSION}: update gridlab")


def _not_seen(connection: sqlite3.Connection, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which rows differ from what is recorded last for their time, or are not recorded."""
    if not len(times):
        return np.zeros(0, dtype=bool)
    rows = connection.execute(_LATEST, (int(times[0]), int(times[-1]))).fetchall()
    known = np.array([row[0] for row in rows], dtype=np.int64)
    last = np.array([row[1:] for row in rows], dtype=float).reshape(-1, 3)
    at = np.searchsorted(known, times).clip(max=max(len(known) - 1, 0))
    if not len(known):
        return np.ones(len(times), dtype=bool)
    differs: np.ndarray = (known[at] != times) | (last[at] != values).any(axis=1)
    return differs


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not is_recorded(path):
        raise DataError(f"{path} is not there or is no SQLite file: name a store of recorded prices")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            _require_known_version(connection, path.name)
            yield connection
    except sqlite3.Error as error:
        raise DataError(f"{path.name} cannot be read as recorded prices ({error}): name another file") from error


def _microseconds(index: Any) -> np.ndarray:
    return np.asarray(pd.DatetimeIndex(index).as_unit("us").asi8, dtype=np.int64)


def _microsecond(time: pd.Timestamp) -> int:
    if time.tzinfo is None:
        raise DataError(f"{time} has no time zone: give it in UTC")
    return int(time.as_unit("us").asm8.astype(np.int64))


def _bound(text: str | None, other: int) -> int:
    if text is None:
        return other
    time = pd.Timestamp(text)
    return _microsecond(time if time.tzinfo else time.tz_localize("UTC"))
