"""The journal's file: opened, made, checked, and what its errors mean."""

import sqlite3
from pathlib import Path

from gridlab.errors import DataError, RunError
from gridlab.live.journal_tables import APPLICATION_ID, MIGRATIONS, SCHEMA, VERSION, append_only
from gridlab.sources.mara.recorded import create_tables

BUSY_S = 5.0
"""How long a write waits for another program that has the file locked. [s]"""

WAL_BYTES = 4 * 2**20
"""Size to which the write-ahead log returns after a checkpoint. [B]"""

SYNCHRONOUS = "FULL"
"""When the log is forced to the disk: at every commit."""

_PASSING = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM,
}  # fmt: skip
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def connect(path: Path) -> sqlite3.Connection:
    """A connection that waits for others, with transactions begun and ended by hand."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)


def prepare(connection: sqlite3.Connection, path: Path, site: str, simulated: bool) -> None:
    """Make the tables, or check that they are this site's, whole and of a known version."""
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        _configure(connection, path)
        _create(connection, site, simulated)
    require_journal(connection, path)
    _migrate(connection, path)
    _configure(connection, path)
    found = dict(connection.execute("SELECT name, value FROM meta"))
    if found["site"] != site:
        raise DataError(f"{path} is the journal of site {found['site']!r}, not of {site!r}: name another file")
    if found["simulated"] != str(int(simulated)):
        kinds = ("real", "simulated")
        raise DataError(
            f"{path} is the journal of a {kinds[not simulated]} site and this one is {kinds[simulated]}: "
            "name another file"
        )
    if (word := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise RunError(_damaged(path, word))


def require_journal(connection: sqlite3.Connection, path: Path) -> int:
    """The version of a journal; what is none, or is newer than this gridlab, is refused."""
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        raise DataError(f"the journal {path} is empty or being made: ask again once a loop runs")
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise DataError(f"{path} is a SQLite file but no journal of a live site: name another file")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise RunError(f"the journal {path} is of version {version} and this gridlab knows {VERSION}: update gridlab")
    return version


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise RunError(f"{path} cannot be in WAL mode, it is in {mode!r}: put the journal on a local disk")
    connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    connection.execute("PRAGMA recursive_triggers = ON")  # REPLACE too must not remove a row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")


def _create(connection: sqlite3.Connection, site: str, simulated: bool) -> None:
    meta = {"site": site, "simulated": str(int(simulated)), "schema_version": str(VERSION)}
    meta |= {"made_by": library_version()}
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA:
        connection.execute(statement)
    create_tables(connection)
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for statement in append_only(table):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring an older journal to this version, one version a transaction."""
    for version in range(require_journal(connection, path), VERSION):
        if version not in MIGRATIONS:
            raise RunError(f"the journal {path} is of version {version}, too old for this gridlab: name a new file")
        connection.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[version]:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES (?, ?)", (f"migrated_to_{version + 1}", library_version()))
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")


def library_version() -> str:
    """The version of gridlab that writes."""
    from gridlab import __version__

    return __version__


def refusal(path: Path, error: Exception) -> DataError | RunError:
    """The sentence for an error that does not pass."""
    if _code(error) == sqlite3.SQLITE_NOTADB:
        return DataError(f"{path} is no journal of a live site, nor any SQLite file: name another file")
    if _code(error) in _DAMAGED:
        return RunError(_damaged(path, str(error)))
    if _code(error) in _PASSING:
        return RunError(
            f"the journal {path} cannot be opened ({error}): see that there is room and that it may be written"
        )
    return DataError(f"the journal {path} refuses a row ({error}): it would contradict what is recorded")


def _damaged(path: Path, word: str) -> str:
    return (
        f"the journal {path} is damaged ({' '.join(word.split())}): move it aside and start a new one; "
        "what it holds can be saved with sqlite3's .recover"
    )


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def passes(error: Exception) -> bool:
    """Whether an error may be gone at the next try, as a full disk."""
    return _code(error) in _PASSING


def is_of_the_file(error: Exception) -> bool:
    """Whether an error is the file's or the disk's, and not that of the row."""
    return _code(error) in _PASSING | _DAMAGED
