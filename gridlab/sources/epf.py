"""The files of the EPF benchmark: ``Date, <zone> price, <exogenous 1>, <exogenous 2>``, 24 hours every day."""

import re
from pathlib import Path

import pandas as pd

from gridlab.errors import DataError
from gridlab.sources.normal import Rules, listed, normalise
from gridlab.sources.opening import name_of, open_table

COLUMNS = (  # (their name as a pattern, our name, conversion)
    (r"date", "time", "UTC as it stands"),
    (r".*\bprices?", "price", "$/MWh"),
    (r".*\b(?:for?e?cast|exogenous)\b.*", "<its words>_forecast", "as it stands"),
)


def read_epf(path: str | Path) -> pd.DataFrame:
    """
    Read a file of the EPF benchmark (Lago, Marcjasz, De Schutter and Weron).

    The hours are local market hours with daylight saving evened out, 24 a day; they are kept as they stand and labelled
    UTC, so that a day of the table is a market day. The exogenous series are day-ahead forecasts and become inputs.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    DataFrame
        A `prices` table: ``price`` [$/MWh, or the file's currency] and one ``..._forecast`` for each exogenous series.

    Raises
    ------
    DataError
        If the file cannot be read, or does not have the benchmark's columns.

    References
    ----------
    .. [1] J. Lago, G. Marcjasz, B. De Schutter and R. Weron, "Forecasting day-ahead electricity prices," Applied Energy
       293, 2021, 116983, doi:10.1016/j.apenergy.2021.116983.
    """
    return parse_epf(open_table(path), source=name_of(path))


def parse_epf(table: pd.DataFrame, *, source: str = "table") -> pd.DataFrame:
    """
    The `prices` table of an open EPF file.

    Examples
    --------
    >>> table = pd.DataFrame({"Date": ["2013-01-01 00:00", "2013-01-01 01:00"], "Price": ["31.05", "30.47"],
    ...                       "Grid load forecast": ["42497", "41463"]})
    >>> parse_epf(table).columns.tolist()
    ['price', 'grid_load_forecast']
    """
    first, second, *inputs = [*map(str, table.columns), "", ""]
    if not (_matches(first, 0) and _matches(second, 1)):
        raise DataError(
            f"{source} does not begin with the columns 'Date' and '... price' (it has {listed(table.columns)}): "
            "read it with read_csv(path, time=..., price=...)"
        )
    names = {first: "time", second: "price", **_input_names([column for column in inputs if column])}
    notes = ("Read as an EPF benchmark file: 24 market hours a day, as they stand.",)
    return normalise(table.rename(columns=names), Rules(source, notes=notes))


def is_epf(columns: list[str]) -> bool:
    """Whether a header is that of an EPF file with at least one exogenous series."""
    if len(columns) < 3:
        return False
    return _matches(columns[0], 0) and _matches(columns[1], 1) and all(_matches(column, 2) for column in columns[2:])


def input_name(column: str) -> str:
    """
    Our name of an exogenous series: its words, and ``forecast`` once, at the end.

    Examples
    --------
    >>> input_name("Zonal COMED load foecast"), input_name("PV+Wind Forecast"), input_name("Exogenous 1")
    ('zonal_comed_load_forecast', 'pv_wind_forecast', 'exogenous_1_forecast')
    """
    words = re.findall(r"[a-z0-9]+", column.lower())
    return "_".join([*(word for word in words if not re.fullmatch("for?e?cast", word)), "forecast"])


def _input_names(columns: list[str]) -> dict[str, str]:
    """Our names, with a number where two would be the same."""
    names: dict[str, str] = {}
    for column in columns:
        name, stem, count = input_name(column), input_name(column).removesuffix("_forecast"), 1
        while name in names.values():
            count += 1
            name = f"{stem}_{count}_forecast"
        names[column] = name
    return names


def _matches(column: str, row: int) -> bool:
    return re.fullmatch(COLUMNS[row][0], column.strip(), re.IGNORECASE) is not None
