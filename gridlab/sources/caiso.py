"""Prices that CAISO's OASIS gives: day ahead, 15 and 5 minutes, zips of them, and the export in $/kWh."""

from pathlib import Path

import pandas as pd

from gridlab.errors import DataError
from gridlab.sources.normal import Rules, listed, normalise, pick_one, require_columns
from gridlab.sources.opening import name_of, open_table

COLUMNS = (  # (their name, our name, conversion)
    ("INTERVALSTARTTIME_GMT", "time", "UTC"),
    ("MW", "price", "$/MWh"),  # day ahead
    ("PRC", "price", "$/MWh"),  # 15 minutes
    ("VALUE", "price", "$/MWh"),  # 5 minutes
    ("Price KWH", "price", "$/kWh"),  # a common export
)
TIME = COLUMNS[0][0]
PRICES = {theirs: unit for theirs, ours, unit in COLUMNS if ours == "price"}
NODES = ("NODE", "NODE_ID")


def read_caiso(path: str | Path, *, node: str | None = None) -> pd.DataFrame:
    """
    Read locational marginal prices of CAISO's OASIS, from a CSV file or a zip of several.

    Parameters
    ----------
    path : str or Path
        The file.
    node : str, optional
        The node to read, for instance ``"TH_SP15_GEN-APND"``; needed where the file holds several.

    Returns
    -------
    DataFrame
        A `prices` table. [$/MWh]

    Raises
    ------
    DataError
        If the file cannot be read, has no start of interval or no price, holds no rows of ``LMP_TYPE`` LMP, holds
        several nodes and none is chosen, or lacks the node chosen.
    """
    return parse_caiso(open_table(path), node=node, source=name_of(path))


def parse_caiso(table: pd.DataFrame, *, node: str | None = None, source: str = "table") -> pd.DataFrame:
    """
    The `prices` table of an open OASIS file.

    Examples
    --------
    >>> table = pd.DataFrame({"INTERVALSTARTTIME_GMT": ["2025-08-01T08:00:00-00:00", "2025-08-01T07:00:00-00:00"],
    ...                       "LMP_TYPE": "LMP", "NODE": "TH_SP15_GEN-APND", "MW": ["41.68", "28.82"]})
    >>> parse_caiso(table)["price"].tolist()
    [28.82, 41.68]
    """
    require_columns(table, {TIME: "download it from OASIS again"}, source)
    price = next((column for column in PRICES if column in table.columns), None)
    if price is None:
        raise DataError(
            f"{source} has none of the price columns {listed(list(PRICES))} (it has {listed(table.columns)})"
        )
    rows = _lmp_only(table, source)
    column = next((name for name in NODES if name in rows.columns), NODES[0])
    rows = pick_one(rows, column, node, option="node", source=source)
    rows = rows[[TIME, price]].rename(columns={TIME: "time", price: "price"})
    return normalise(rows, Rules(source, price_unit=PRICES[price]))


def is_caiso(columns: list[str]) -> bool:
    """Whether a header is that of an OASIS price file."""
    return TIME in columns


def _lmp_only(table: pd.DataFrame, source: str) -> pd.DataFrame:
    if "LMP_TYPE" not in table.columns:
        return table
    rows = table[table["LMP_TYPE"] == "LMP"]
    if rows.empty:
        types = listed(sorted(table["LMP_TYPE"].dropna().unique()))
        raise DataError(f"{source} has no rows with LMP_TYPE 'LMP' (it has {types}): download the LMP file")
    return rows
