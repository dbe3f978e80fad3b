"""Files and frames of the gridstatus library and of its service."""

from pathlib import Path

import pandas as pd

from gridlab.errors import DataError
from gridlab.sources.normal import Rules, listed, normalise, pick_one
from gridlab.sources.opening import name_of, open_table

COLUMNS = (  # (their name, our name, conversion); the first that is there is taken
    ("Interval Start", "time", "UTC"),
    ("interval_start_utc", "time", "UTC"),
    ("Time", "time", "UTC"),
    ("LMP", "price", "$/MWh"),
    ("lmp", "price", "$/MWh"),
    ("Location", "location", "-"),
    ("location", "location", "-"),
)


def read_gridstatus(path: str | Path, *, location: str | None = None) -> pd.DataFrame:
    """
    Read locational marginal prices saved from gridstatus; offsets may differ from row to row.

    Parameters
    ----------
    path : str or Path
        The file.
    location : str, optional
        The location to read; needed where the file holds several.

    Returns
    -------
    DataFrame
        A `prices` table. [$/MWh]

    Raises
    ------
    DataError
        If the file cannot be read, has no interval start or no LMP, holds several locations and none is chosen, or
        lacks the location chosen.
    """
    return parse_gridstatus(open_table(path), location=location, source=name_of(path))


def parse_gridstatus(table: pd.DataFrame, *, location: str | None = None, source: str = "table") -> pd.DataFrame:
    """
    The `prices` table of a gridstatus frame.

    Examples
    --------
    >>> table = pd.DataFrame({"Interval Start": ["2025-11-02 01:00:00-07:00", "2025-11-02 01:00:00-08:00"],
    ...                       "Location": "TH_NP15_GEN-APND", "LMP": [31.0, 29.5]})
    >>> parse_gridstatus(table).index.strftime("%H:%M").tolist()
    ['08:00', '09:00']
    """
    theirs = {ours: _first_of(table, ours) for ours in ("time", "price", "location")}
    for ours in ("time", "price"):
        if theirs[ours] is None:
            names = listed([name for name, column, _ in COLUMNS if column == ours])
            raise DataError(f"{source} has no {ours} column ({names}), it has {listed(table.columns)}: use read_csv")
    rows = pick_one(table, theirs["location"] or "Location", location, option="location", source=source)
    rows = rows[[theirs["time"], theirs["price"]]].set_axis(["time", "price"], axis=1)
    return normalise(rows, Rules(source, price_unit="$/MWh"))


def is_gridstatus(columns: list[str]) -> bool:
    """Whether a header is that of a gridstatus price file."""
    return bool({"Interval Start", "interval_start_utc"} & set(columns)) and bool({"LMP", "lmp"} & set(columns))


def _first_of(table: pd.DataFrame, ours: str) -> str | None:
    return next((name for name, column, _ in COLUMNS if column == ours and name in table.columns), None)
