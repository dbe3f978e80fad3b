"""
The nouns: tables that stages hand to each other, with their columns, units and signs, and mock tables of any size.

Time is a UTC ``DatetimeIndex`` named ``time`` with its ``freq`` set; a time is the start of its interval. Power into
the grid is positive; money received is positive. A gap in a price series is a row whose price is NaN.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd

from gridlab.errors import DataError

IndexKind = Literal["time", "origin_time", "range"]


@dataclass(frozen=True)
class Column:
    """One column of a table: its unit, its meaning, and what it may hold."""

    unit: str
    meaning: str
    kind: Literal["number", "text", "time"] = "number"
    may_be_nan: bool = False
    may_be_infinite: bool = False


@dataclass(frozen=True)
class Table:
    """One table: its index and the columns that it must have; others may follow."""

    index: IndexKind
    columns: MappingProxyType[str, Column]


def _table(index: IndexKind, **columns: Column) -> Table:
    return Table(index, MappingProxyType(columns))


TABLES: MappingProxyType[str, Table] = MappingProxyType(
    {
        "prices": _table("time", price=Column("$/MWh", "market price; NaN in a gap", may_be_nan=True)),
        "forecast": _table("origin_time", mean=Column("$/MWh", "expected price")),
        "schedule": _table("time", soc_mwh=Column("MWh", "energy stored at the end of the interval")),
        "bids": _table(
            "range",
            time=Column("UTC", "start of the interval", kind="time"),
            bidder=Column("-", "who bids", kind="text"),
            service=Column("-", "what is traded", kind="text"),
            quantity_mw=Column(
                "MW", "in a market power offered (positive) or wanted (negative), for capacity power wanted (positive)"
            ),
            price=Column("$/MWh", "least price to sell at, greatest to buy at", may_be_infinite=True),
        ),
        "flows": _table(
            "range",
            time=Column("UTC", "start of the interval", kind="time"),
            meter=Column("-", "where the energy is measured", kind="text"),
            energy_mwh=Column("MWh", "energy into the place the meter names; the meters of a time sum to zero"),
        ),
        "entries": _table(
            "range",
            time=Column("UTC", "start of the interval", kind="time"),
            account=Column("-", "whose money", kind="text"),
            counter_account=Column("-", "the other side", kind="text"),
            amount=Column("$", "money received by the account"),
            energy_mwh=Column("MWh", "energy the amount is for"),
            cause=Column("-", "energy or wear", kind="text"),
        ),
    }
)


def validate(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """
    Check a table against its schema and hand it back unchanged.

    Parameters
    ----------
    table : DataFrame
        The table.
    name : str
        One of `TABLES`.

    Returns
    -------
    DataFrame
        `table` itself.

    Raises
    ------
    DataError
        If a column is missing, is of the wrong kind or holds what it must not, or the index is not as the table's;
        the message names the column, the row and the remedy.

    Examples
    --------
    >>> prices = mock_prices(days=1)
    >>> validate(prices, "prices") is prices
    True
    >>> validate(prices.rename(columns={"price": "lmp"}), "prices")
    Traceback (most recent call last):
    gridlab.errors.DataError: prices has no column 'price' (it has lmp, load_forecast): rename one or add it
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"{name} must be a DataFrame, got {type(table).__name__}")
    rules = TABLES[name]
    for column, rule in rules.columns.items():
        _check_column(table, name, column, rule)
    if name == "schedule" and not any(str(column).endswith("_mw") for column in table.columns):
        raise DataError(f"schedule has no column that ends in '_mw': add the asset's power, got {list(table.columns)}")
    for column in _quantile_columns(table) if name == "forecast" else ():
        _check_column(table, name, column, Column("$/MWh", "quantile of the price"))
    _check_index(table, name, rules.index)
    return table


def quantile_column(quantile: float) -> str:
    """
    Name of a quantile's column, ``q05`` for 0.05 and ``q975`` for 0.975.

    Examples
    --------
    >>> quantile_column(0.05), quantile_column(0.5), quantile_column(0.975)
    ('q05', 'q50', 'q975')
    """
    if not 0 < quantile < 1:
        raise DataError(f"quantile must be in (0, 1), got {quantile}")
    return "q" + f"{quantile:.6f}"[2:].rstrip("0").ljust(2, "0")


def quantiles_of(forecast: pd.DataFrame) -> dict[str, float]:
    """
    The quantile columns of a forecast table and the probabilities they stand for, in order of probability.

    Examples
    --------
    >>> quantiles_of(mock_forecast(days=1))
    {'q10': 0.1, 'q50': 0.5, 'q90': 0.9}
    """
    found = {column: float("0." + column[1:]) for column in _quantile_columns(forecast)}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def step_hours(index: pd.Index) -> float:
    """
    Hours in one interval of a time index.

    Examples
    --------
    >>> step_hours(mock_prices(days=1, freq="15min").index)
    0.25
    """
    if not isinstance(index, pd.DatetimeIndex) or index.freq is None:
        raise DataError("the time index has no freq: read the file with gridlab.sources or call .asfreq() on the table")
    if index.freq.n < 0:
        raise DataError("the times descend: call .sort_index().asfreq() so that they ascend")
    if isinstance(index.freq, pd.offsets.Day):
        return 24.0 * int(index.freq.n)
    return float(pd.Timedelta(index.freq) / pd.Timedelta(hours=1))


def mock_times(days: int = 7, *, freq: str = "1h", start: str = "2024-01-01") -> pd.DatetimeIndex:
    """A time index of whole UTC days."""
    first = pd.Timestamp(start, tz="UTC")
    return pd.date_range(first, first + pd.Timedelta(days=days), freq=freq, inclusive="left", name="time")


def mock_prices(
    days: int = 7, *, freq: str = "1h", start: str = "2024-01-01", rng: np.random.Generator | None = None
) -> pd.DataFrame:
    """
    A small `prices` table with a daily shape, some negative prices and one input known a day ahead, for tests.

    Examples
    --------
    >>> mock_prices(days=2, freq="30min").shape
    (96, 2)
    """
    rng = np.random.default_rng(0) if rng is None else rng
    times = mock_times(days, freq=freq, start=start)
    hour = times.hour.to_numpy() + times.minute.to_numpy() / 60
    load = 100 + 20 * np.sin((hour - 9) * np.pi / 12) + rng.normal(0, 2, len(times))
    price = 0.8 * (load - 60) + rng.normal(0, 15, len(times))
    return pd.DataFrame({"price": price, "load_forecast": load}, index=times)


def mock_forecast(
    days: int = 7, *, freq: str = "1h", start: str = "2024-01-01", rng: np.random.Generator | None = None
) -> pd.DataFrame:
    """A `forecast` table for the days of `mock_prices`, made at the midnight that opens each day."""
    rng = np.random.default_rng(1) if rng is None else rng
    prices = mock_prices(days, freq=freq, start=start)
    mean = prices["price"].to_numpy() + rng.normal(0, 8, len(prices))
    times = pd.DatetimeIndex(prices.index)
    index = pd.MultiIndex.from_arrays([times.normalize(), times], names=["origin", "time"])
    return pd.DataFrame({"mean": mean, "q10": mean - 20, "q50": mean, "q90": mean + 20}, index=index)


def mock_schedule(days: int = 7, *, freq: str = "1h", start: str = "2024-01-01") -> pd.DataFrame:
    """A `schedule` of a lossless 1 MW, 2 MWh battery that charges at noon and discharges at 18:00 for an hour."""
    times = mock_times(days, freq=freq, start=start)
    power = np.select([times.hour == 12, times.hour == 18], [-1.0, 1.0], 0.0)
    soc = -np.cumsum(power) * step_hours(times)
    return pd.DataFrame({"battery_mw": power, "soc_mwh": soc}, index=times)


def mock_bids(n_bids: int = 100, *, rng: np.random.Generator | None = None) -> pd.DataFrame:
    """A `bids` table of one interval: half offers, half bids to buy, prices around 30 $/MWh."""
    rng = np.random.default_rng(2) if rng is None else rng
    sign = np.where(np.arange(n_bids) % 2 == 0, 1.0, -1.0)
    return pd.DataFrame(
        {
            "time": mock_times(1)[0],
            "bidder": [f"bidder_{i}" for i in range(n_bids)],
            "service": "energy",
            "quantity_mw": sign * rng.uniform(0.1, 5, n_bids),
            "price": rng.normal(30, 10, n_bids),
        }
    )


def mock_flows(days: int = 7, *, freq: str = "1h", start: str = "2024-01-01") -> pd.DataFrame:
    """The `flows` of `mock_schedule`: what the grid and the battery took, and no loss."""
    schedule = mock_schedule(days, freq=freq, start=start)
    energy = schedule["battery_mw"].to_numpy() * step_hours(schedule.index)
    by_meter = pd.DataFrame({"grid": energy, "battery": -energy, "loss": 0.0}, index=schedule.index)
    return by_meter.rename_axis(columns="meter").stack().rename("energy_mwh").reset_index()


def mock_entries(days: int = 7, *, freq: str = "1h", start: str = "2024-01-01") -> pd.DataFrame:
    """The double `entries` of `mock_flows` at 30 $/MWh."""
    sold = mock_flows(days, freq=freq, start=start).query("meter == 'grid' and energy_mwh != 0")
    one = sold[["time", "energy_mwh"]].assign(
        account="battery", counter_account="market", amount=30.0 * sold["energy_mwh"], cause="energy"
    )
    mirror = one.assign(
        account="market", counter_account="battery", amount=-one["amount"], energy_mwh=-one["energy_mwh"]
    )
    columns = list(TABLES["entries"].columns)
    return pd.concat([one, mirror], ignore_index=True)[columns]


def _quantile_columns(table: pd.DataFrame) -> list[str]:
    return [str(c) for c in table.columns if str(c).startswith("q") and str(c)[1:].isdigit()]


def _check_column(table: pd.DataFrame, name: str, column: str, rule: Column) -> None:
    if column not in table.columns:
        has = ", ".join(map(str, table.columns)) or "none"
        raise DataError(f"{name} has no column '{column}' (it has {has}): rename one or add it")
    values = table[column]
    if rule.kind == "time" and not (isinstance(values.dtype, pd.DatetimeTZDtype) and str(values.dt.tz) == "UTC"):
        raise DataError(f"{name}['{column}'] must hold UTC times, got {values.dtype}: use pd.to_datetime(utc=True)")
    if rule.kind != "number":
        _refuse(values.isna(), table, name, column, "is missing", "fill it or drop the row")
        return
    if not pd.api.types.is_numeric_dtype(values):
        raise DataError(f"{name}['{column}'] must hold numbers [{rule.unit}], got {values.dtype}: use pd.to_numeric")
    if not rule.may_be_nan:
        _refuse(values.isna(), table, name, column, "is NaN", "fill it or drop the row")
    if not rule.may_be_infinite:
        _refuse(np.isinf(values), table, name, column, "is infinite", "correct it or set it to NaN")


def _refuse(bad: pd.Series, table: pd.DataFrame, name: str, column: str, what: str, remedy: str) -> None:
    if bad.any():
        row = table.index[int(np.argmax(bad.to_numpy()))]
        raise DataError(f"{name}['{column}'] {what} in {int(bad.sum())} rows, the first at {row}: {remedy}")


def _check_index(table: pd.DataFrame, name: str, kind: IndexKind) -> None:
    index = table.index
    if kind == "range":
        return
    if kind == "origin_time":
        if list(index.names) != ["origin", "time"]:
            raise DataError(f"{name} must be indexed by (origin, time), got {list(index.names)}: use set_index")
        index = index.levels[1]
    if not (isinstance(index, pd.DatetimeIndex) and str(index.tz) == "UTC" and index.name == "time"):
        raise DataError(f"{name} must be indexed by UTC times named 'time', got {index.dtype} named {index.name!r}")
    if kind == "time" and index.freq is None:
        raise DataError(f"{name}'s time index has no freq: read the file with gridlab.sources or call .asfreq()")
    if kind == "time" and index.freq.n < 0:
        raise DataError(f"{name}'s times descend: call .sort_index().asfreq() so that they ascend")
