"""What was earned, from files: the ledger of a run, and tables with one row a day."""

from pathlib import Path

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.schema import validate
from gridlab.sources.opening import name_of, open_table, place

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
        CSV or parquet: the first column holds the days, every other one a service, a strategy or an asset.

    Returns
    -------
    DataFrame
        Index `date`, without a time zone, in order; a column of numbers each. [as in the file]

    Raises
    ------
    DataError
        If the file cannot be read, a cell is no number, a day is no date or is there twice, or there is no column
        beside the days.

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
    values = {str(column): _numbers(table[column], name) for column in table.columns[1:]}
    returns = pd.DataFrame(values).set_axis(dates, axis=0).sort_index()
    if returns.index.has_duplicates:
        twice = returns.index[returns.index.duplicated()][0]
        raise DataError(f"{name} has {twice:%Y-%m-%d} twice: keep one row a day, or sum them")
    returns.attrs = dict(table.attrs)
    return returns


def _dates(column: pd.Series, name: str) -> pd.DatetimeIndex:
    # a day is what the file's own clock says, so an offset is not converted
    text = column.astype(str).str.slice(0, 10)
    dates = pd.to_datetime(text, format="%Y-%m-%d", errors="coerce")
    if dates.isna().any():
        line = dates.index[dates.isna()][0]
        raise DataError(
            f"'{column[line]}' in column '{column.name}' of {name}, {place(line)}, is no date: write it 2024-01-31"
        )
    return pd.DatetimeIndex(dates, name="date")


def _numbers(column: pd.Series, name: str) -> "pd.Series[float]":
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = ~np.isfinite(numbers)
    if bad.any():
        line = numbers.index[bad][0]
        raise DataError(
            f"'{column[line]}' in column '{column.name}' of {name}, {place(line)}, is no finite number: mend it, or "
            "leave the day or the column out"
        )
    return numbers
