"""What was earned, from files: the ledger of a run, and tables with one row a day."""

from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.schema import validate
from gridlab.sources.opening import name_of, open_table, place

_DAY = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)?)?"
_UTC = r"(?:[Zz]|[+-]00(?::?00)?)$"
_ENTRIES = ("time", "account", "counter_account", "amount", "energy_mwh", "cause")


def read_entries(path: str | Path) -> pd.DataFrame:
    """
    Read the ledger that a run left, ``ledger/<strategy>.parquet`` in its folder.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    DataFrame
        An `entries` table, with what the run said of itself in its attrs (`market_tz`, `power_mw`, `simulated`).

    Raises
    ------
    DataError
        If the file cannot be read, is no `entries` table, or its amounts do not sum to zero, to a millionth of the
        money that moved.

    Examples
    --------
    >>> import tempfile
    >>> from gridlab.schema import mock_entries
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mock_entries(days=1).to_parquet(f"{folder}/idle.parquet")
    ...     read_entries(f"{folder}/idle.parquet").equals(mock_entries(days=1))
    True
    """
    table = open_table(path)
    missing = [column for column in _ENTRIES if column not in table]
    if missing:
        has = ", ".join(map(str, table.columns))
        raise DataError(
            f"{name_of(path)} is no ledger, it has no column '{missing[0]}' (it has {has}): name a file of a run's "
            "folder ledger, or give a table of daily returns to read_returns"
        )
    entries = validate(table[list(_ENTRIES)].reset_index(drop=True), "entries")
    left, moved = float(entries["amount"].sum()), float(entries["amount"].abs().sum())
    if abs(left) > 1e-6 * moved:
        raise DataError(
            f"the amounts of {name_of(path)} sum to {left:.6g}, not to zero: rows are missing, run it again"
        )
    entries.attrs = dict(table.attrs)
    return entries


def read_returns(path: str | Path) -> pd.DataFrame:
    r"""
    Read a table of profits or returns with one row a day.

    Parameters
    ----------
    path : str or Path
        CSV or parquet: the first column holds the days, every other one a service, a strategy or an asset. A day is
        written ``2024-01-31``, with or without a time after it; it is the date on the file's own clock, so an offset
        from UTC is not converted.

    Returns
    -------
    DataFrame
        Index `date`, without a time zone, in order; a column of numbers each. [as in the file]

    Raises
    ------
    DataError
        If the file cannot be read, a cell is no number, a day is no date or is there twice, a day is a time in UTC
        other than midnight, which does not say which of the market's days is meant, or there is no column beside the
        days.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "returns.csv"
    ...     _ = path.write_text("day,energy,hash\n2024-01-02,-3,41\n2024-01-01,12.5,40\n")
    ...     read_returns(path).to_dict("list")
    {'energy': [12.5, -3.0], 'hash': [40.0, 41.0]}
    """
    table, name = open_table(path), name_of(path)
    if table.shape[1] < 2:
        raise DataError(
            f"{name} has the column '{table.columns[0]}' alone: give the days and a column for each service"
        )
    dates = _dates(table.iloc[:, 0], name)
    values = {str(column): _numbers(table[column], dates, name) for column in table.columns[1:]}
    returns = pd.DataFrame(values).set_axis(dates, axis=0).sort_index()
    if returns.index.has_duplicates:
        twice = returns.index[returns.index.duplicated()][0]
        raise DataError(f"{name} has {twice:%Y-%m-%d} twice: keep one row a day, or sum them")
    returns.attrs = dict(table.attrs)
    return returns


def _dates(column: pd.Series, name: str) -> pd.DatetimeIndex:
    """The days of a column, whose cells must be dates from their first sign to their last."""
    text = column.astype(str).str.strip()
    dates = pd.to_datetime(text.where(text.str.fullmatch(_DAY)), format="ISO8601", utc=True, errors="coerce")
    if dates.isna().any():
        line = dates.index[dates.isna()][0]
        raise DataError(f"{_cell(column, line, name)}, is no date: write it 2024-01-31")
    abroad = text.str.contains(_UTC) & (dates != dates.dt.normalize())
    if abroad.any():
        line = abroad.index[abroad][0]
        raise DataError(
            f"{_cell(column, line, name)}, is a time in UTC within a day of the market: write the market's dates, as "
            "2024-01-31"
        )
    return pd.DatetimeIndex(pd.to_datetime(text.str.slice(0, 10), format="%Y-%m-%d"), name="date")


def _numbers(column: pd.Series, dates: pd.DatetimeIndex, name: str) -> "pd.Series[float]":
    readable = column if column.dtype.kind in "iufO" else column.astype(str)
    numbers = pd.to_numeric(readable, errors="coerce").astype(float)
    bad = ~np.isfinite(numbers)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{_cell(column, numbers.index[row], name)} ({dates[row]:%Y-%m-%d}), is no finite number: mend it, or "
            "leave the day or the column out"
        )
    return numbers


def _cell(column: pd.Series, line: Hashable, name: str) -> str:
    """A cell and where it stands, for messages."""
    value = column[line]
    said = "an empty cell" if pd.isna(value) or not str(value).strip() else f"'{value}'"
    return f"{said} in column '{column.name}' of {name}, {place(line)}"
