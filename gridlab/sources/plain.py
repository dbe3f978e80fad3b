"""Any other table of prices: the columns are named by the caller, or recognised by their names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gridlab.errors import DataError
from gridlab.sources.normal import MARKET_COLUMNS, Rules, listed, normalise, require_columns
from gridlab.sources.opening import name_of, open_table

COLUMNS = (  # (their name in small letters and underscores, our name, conversion); the first that is there is taken
    *((name, "time", "UTC or tz") for name in (
        "time", "timestamp", "timestamp_utc", "time_utc", "utc_time", "datetime", "datetime_utc", "date_time",
        "interval_start", "interval_start_utc", "start_time", "start", "date",
    )),
    *((name, "price", "price_unit") for name in (
        "price", "price_mwh", "price_kwh", "energy_price", "lmp", "spot_price", "day_ahead_price", "clearing_price",
        "settlement_price", "market_price", "rrp", "spp",
    )),
    ("forecast", "price_forecast", "price_unit"),
    ("hash_price", "hash_price", "as it stands"),
    ("token_price", "token_price", "as it stands"),
)  # fmt: skip


def read_csv(
    path: str | Path,
    *,
    time: str = "time",
    price: str = "price",
    tz: str = "UTC",
    price_unit: str | None = None,
    inputs: Mapping[str, str] | None = None,
    time_format: str | None = None,
    decimal: str = ".",
) -> pd.DataFrame:
    r"""
    Read prices from any table of text, or from parquet, by the names of its columns.

    Parameters
    ----------
    path : str or Path
        The file.
    time, price : str
        Names of the columns that hold the start of the interval and the price.
    tz : str
        Time zone of times that state no offset. Days of 23 and 25 hours are those of its clock; the hour that autumn
        shows twice is told apart by the order of the rows.
    price_unit : {"$/MWh", "$/kWh"}, optional
        Unit of the price. When omitted it is what the column's name says, else $/MWh, and prices that are plainly in
        $/kWh are refused.
    inputs : mapping of str to str, optional
        Other columns to keep: the file's name and ours, which ends in ``_forecast`` (what is known a day ahead) or is
        ``hash_price`` or ``token_price``. When omitted, the columns that have such names already.
    time_format : str, optional
        Format of the times, for instance ``"%d/%m/%Y %H:%M"``; ISO 8601 when omitted.
    decimal : {".", ","}
        The decimal mark.

    Returns
    -------
    DataFrame
        A `prices` table. [$/MWh]

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing or holds what it must not, or times do not make a market's grid.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "tariff.csv"
    ...     _ = path.write_text("hour,eur\n2024-01-01 00:00,0.21\n2024-01-01 01:00,0.19\n")
    ...     read_csv(path, time="hour", price="eur", tz="Europe/Berlin", price_unit="$/kWh")["price"].round(9).tolist()
    [210.0, 190.0]
    """
    options: dict[str, Any] = {"tz": tz, "price_unit": price_unit, "time_format": time_format, "decimal": decimal}
    return parse_csv(open_table(path), time=time, price=price, inputs=inputs, source=name_of(path), **options)


def parse_csv(
    table: pd.DataFrame,
    *,
    time: str = "time",
    price: str = "price",
    tz: str = "UTC",
    price_unit: str | None = None,
    inputs: Mapping[str, str] | None = None,
    time_format: str | None = None,
    decimal: str = ".",
    source: str = "table",
) -> pd.DataFrame:
    """
    The `prices` table of an open table; the parameters are those of `read_csv`.

    Examples
    --------
    >>> table = pd.DataFrame({"t": ["2024-01-01T00:00Z", "2024-01-01T00:30Z"], "p": [30, 31], "wind": [5, 6]})
    >>> parse_csv(table, time="t", price="p", inputs={"wind": "wind_forecast"}).columns.tolist()
    ['price', 'wind_forecast']
    """
    inputs = _named_as_ours(table, (time, price)) if inputs is None else dict(inputs)
    wanted = {time: "name the column of times with time=", price: "name the column of prices with price="}
    require_columns(table, wanted | dict.fromkeys(inputs, "correct the names in inputs="), source)
    _check_inputs(inputs)
    unread = [str(column) for column in table.columns if column not in (time, price, *inputs)]
    notes = [f"Columns not read: {listed(unread)}."] if unread else []
    if price != "price":
        notes.append(f"The column '{price}' is read as the price.")
    unit = price_unit or _unit_in(price)
    if unit is None:
        notes.append("The file states no unit for its prices, which are taken as $/MWh.")
    if set(MARKET_COLUMNS) & set(inputs.values()):
        unit = unit or "$/MWh"  # the prices of a compute market are small, and not $/kWh by mistake
    rows = table[[time, price, *inputs]].set_axis(["time", "price", *inputs.values()], axis=1)
    return normalise(rows, Rules(source, tz, unit, time_format, decimal, tuple(notes)))


def recognise(columns: list[str], source: str) -> dict[str, Any]:
    """
    Options of `parse_csv` for a header whose names say what the columns are.

    Examples
    --------
    >>> recognise(["Timestamp", "Day-ahead Price [EUR/MWh]", "load_forecast"], "prices.csv")
    {'time': 'Timestamp', 'price': 'Day-ahead Price [EUR/MWh]', 'inputs': {'load_forecast': 'load_forecast'}}
    """
    names = {_plain(column): column for column in reversed(columns)}
    time = _find(names, "time") or _unnamed_first(columns)
    price = _find(names, "price") or _only_price(names, source)
    for what, found in (("time", time), ("price", price)):
        if found is None:
            raise DataError(
                f"{source} has no column that is plainly the {what} (it has {listed(columns)}): name it with "
                f"read_csv(path, time=..., price=...)"
            )
    known = {theirs: ours for theirs, ours, _ in COLUMNS if ours not in ("time", "price")}
    inputs = {
        column: known.get(name, name) for name, column in reversed(names.items()) if _is_input(known.get(name, name))
    }
    return {"time": time, "price": price, "inputs": inputs}


def _plain(column: str) -> str:
    return "_".join(re.findall(r"[a-z0-9]+", str(column).lower()))


def _find(names: dict[str, str], ours: str) -> str | None:
    return next((names[theirs] for theirs, column, _ in COLUMNS if column == ours and theirs in names), None)


def _unnamed_first(columns: list[str]) -> str | None:
    """The first column where its header is blank, which is how pandas writes an index."""
    return columns[0] if columns[0] == "Unnamed: 0" else None


def _only_price(names: dict[str, str], source: str) -> str | None:
    """The one column whose name has the word price, where no name is one that we know."""
    found = [column for name, column in names.items() if "price" in name.split("_") and not _is_input(name)]
    if len(found) > 1:
        raise DataError(
            f"{source} has several prices ({listed(sorted(found))}): choose one with price={sorted(found)[0]!r}"
        )
    return found[0] if found else None


def _is_input(name: str) -> bool:
    return name.endswith("_forecast") or name in MARKET_COLUMNS


def _named_as_ours(table: pd.DataFrame, taken: tuple[str, str]) -> dict[str, str]:
    return {str(c): str(c) for c in table.columns if _is_input(str(c)) and c not in taken}


def _check_inputs(inputs: dict[str, str]) -> None:
    for theirs, ours in inputs.items():
        if not _is_input(ours):
            raise DataError(
                f"inputs[{theirs!r}] must end in '_forecast', for it has to be known a day ahead, or be one of "
                f"{', '.join(MARKET_COLUMNS)}; got {ours!r}"
            )
    if len(set(inputs.values())) < len(inputs):
        raise DataError(f"inputs names a column twice ({listed(list(inputs.values()))}): give each its own name")


def _unit_in(column: str) -> str | None:
    name = _plain(column)
    return "$/kWh" if "kwh" in name else "$/MWh" if "mwh" in name else None
