"""Any price file, by its header; and the library's own file, which is parquet."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gridlab.errors import DataError
from gridlab.files import replacing
from gridlab.schema import validate
from gridlab.sources.caiso import is_caiso, parse_caiso
from gridlab.sources.epf import is_epf, parse_epf
from gridlab.sources.gridstatus import is_gridstatus, parse_gridstatus
from gridlab.sources.mara.recorded import is_recorded, read_recorded
from gridlab.sources.opening import name_of, open_table
from gridlab.sources.plain import parse_csv, recognise


class Format(NamedTuple):
    """A format: its name, whether a header is of it, and who parses it."""

    name: str
    is_of: Callable[[list[str]], bool]
    parse: Callable[..., pd.DataFrame]


FORMATS = (
    Format("an EPF benchmark file", is_epf, parse_epf),
    Format("a CAISO OASIS file", is_caiso, parse_caiso),
    Format("a gridstatus file", is_gridstatus, parse_gridstatus),
)
RECORDED = Format("a store of recorded prices", lambda columns: False, read_recorded)
PLAIN = Format("a plain table", lambda columns: True, parse_csv)


def read_prices(path: str | Path, **options: Any) -> pd.DataFrame:
    r"""
    Read prices from a file of any format that gridlab knows; its header says which.

    Parameters
    ----------
    path : str or Path
        A file of the EPF benchmark, of CAISO's OASIS (also a zip), of gridstatus, a parquet file, what was recorded of
        the MARA API (SQLite), or any CSV whose columns have recognisable names such as ``timestamp`` and ``price_mwh``.
    **options
        Options of the format's reader: ``node`` (CAISO), ``location`` (gridstatus), ``start`` and ``end`` (recorded),
        those of `read_csv` (any other).

    Returns
    -------
    DataFrame
        A `prices` table [$/MWh; recorded ones are in the API's units]; ``attrs["notes"]`` says what was done to the
        rows.

    Raises
    ------
    DataError
        If the file cannot be read as its format's reader says, or the format has no such option.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "prices.csv"
    ...     _ = path.write_text("timestamp,price_mwh\n2025-08-01 01:00+00:00,41.7\n2025-08-01 00:00+00:00,28.8\n")
    ...     prices = read_prices(path)
    >>> prices["price"].tolist(), prices.attrs["notes"][-1]
    ([28.8, 41.7], 'The rows were not in the order of time and are sorted.')
    """
    if is_recorded(path):
        _check_options(options, RECORDED, name_of(path))
        return read_recorded(path, **options)
    table, source = open_table(path), name_of(path)
    is_ours = "notes" in table.attrs  # a parquet file that write_parquet wrote
    columns = [str(column) for column in table.columns]
    found = PLAIN if {"time", "price"} & set(options) else next((f for f in FORMATS if f.is_of(columns)), PLAIN)
    _check_options(options, found, source)
    if found is PLAIN:
        options = _recognised(columns, source, options) | ({"price_unit": "$/MWh"} if is_ours else {}) | options
    prices = found.parse(table, source=source, **options)
    if is_ours:  # its notes are those of the first reading
        prices.attrs = dict(table.attrs)
    return prices


def write_parquet(prices: pd.DataFrame, path: str | Path) -> None:
    """
    Write a `prices` table to a parquet file, with its attrs; `read_prices` gives both back.

    The file is whole or not there: it is written under another name and renamed.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table.
    path : str or Path
        The file, which ends in ``.parquet``. Its folder is made where it does not exist.

    Raises
    ------
    DataError
        If `prices` is no such table, `path` has another ending, or the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from gridlab.schema import mock_prices
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_parquet(mock_prices(days=2), f"{folder}/prices.parquet")
    ...     read_prices(f"{folder}/prices.parquet").equals(mock_prices(days=2))
    True
    """
    if Path(path).suffix != ".parquet":
        raise DataError(f"{path} must end in .parquet, by which read_prices knows the format: rename it")
    validate(prices, "prices")
    with replacing(path) as temporary:
        prices.to_parquet(temporary)


def _check_options(options: dict[str, Any], found: Format, source: str) -> None:
    known = [name for name in inspect.signature(found.parse).parameters if name not in ("table", "source", "path")]
    for name in options:
        if name not in known:
            takes = ", ".join(known) or "no options"
            raise DataError(f"{source} is {found.name}, whose reader has no option '{name}' (it takes {takes})")


def _recognised(columns: list[str], source: str, options: dict[str, Any]) -> dict[str, Any]:
    """What the header says, but for the columns that the options name."""
    if {"time", "price"} <= set(options):
        return {}
    stand_in = {str(options[name]): name for name in ("time", "price") if name in options}
    return recognise([stand_in.get(column, column) for column in columns], source)
