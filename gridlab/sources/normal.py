"""One way to the `prices` table for every source: UTC, sorted, without duplicates, on its grid, gaps as NaN rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from gridlab.days import zone
from gridlab.errors import DataError
from gridlab.schema import validate
from gridlab.sources.opening import place

STEPS_MINUTES = (5, 15, 30, 60)
UNITS = {"$/MWh": 1.0, "$/kWh": 1000.0}
GREATEST_GAP_SHARE = 0.1
GREATEST_KWH_PRICE = 2.0
MARKET_COLUMNS = ("hash_price", "token_price")
_OFFSET = r"\d:\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
DAYS_NAMED = 10
_MANY_ZEROS = 0.1
_NO_ZONE = "The times state no time zone and are read as UTC."


@dataclass(frozen=True)
class Rules:
    """
    How one source writes its times and numbers.

    Parameters
    ----------
    source : str
        The file's name, for messages and the table's attrs.
    tz : str
        Time zone of times that state no offset.
    price_unit : str, optional
        One of `UNITS`; without one $/MWh is taken, and prices that are plainly in $/kWh are refused.
    time_format : str, optional
        Format of the times, as ``datetime.strptime`` has it; ISO 8601 when omitted.
    decimal : str
        The decimal mark.
    notes : tuple of str
        What the reader has done already.
    """

    source: str
    tz: str = "UTC"
    price_unit: str | None = None
    time_format: str | None = None
    decimal: str = "."
    notes: Sequence[str] = field(default=())


def normalise(table: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """
    A `prices` table from rows of text or numbers.

    Parameters
    ----------
    table : DataFrame
        Columns ``time``, ``price`` and others of the `prices` table; the index says where each row stands.
    rules : Rules
        How to read them.

    Returns
    -------
    DataFrame
        A `prices` table [$/MWh] with its ``freq``; ``attrs`` has ``source``, ``simulated`` and ``notes``.

    Raises
    ------
    DataError
        If a time or a number cannot be read, a price is infinite, prices are plainly in $/kWh, a time is given two
        prices, the most common step is not 5, 15, 30 or 60 minutes, a time is off that grid, or gaps pass a tenth.
    """
    notes = list(rules.notes)
    times, order = _utc_times(table["time"], rules, notes), table.index
    numbers = {str(c): _numbers(table[c], str(c), rules) for c in table.columns if c != "time"}
    rows = pd.DataFrame({"time": times, **numbers}, index=order)
    rows["price"] = _in_mwh(rows["price"], rules, notes)
    rows = _without_duplicates(_sorted(rows, notes), rules, notes)
    prices = _on_grid(rows, _step(rows, rules, notes), rules, notes)
    _note_zeros(prices["price"], notes)
    _note_missing_inputs(prices, notes)
    prices.attrs = {"source": rules.source, "simulated": False, "notes": notes}
    return validate(prices, "prices")


def require_columns(table: pd.DataFrame, wanted: dict[str, str], source: str) -> None:
    """Refuse a table that lacks a column; `wanted` has the remedy for each."""
    for column, remedy in wanted.items():
        if column not in table.columns:
            raise DataError(f"{source} has no column '{column}' (it has {listed(table.columns)}): {remedy}")


def listed(names: Sequence[object] | pd.Index, most: int = 20) -> str:
    """
    Names for a message, the first `most` and how many more.

    Examples
    --------
    >>> listed(["a", "b"]), listed(range(12), most=3)
    ('a, b', '0, 1, 2 and 9 more')
    """
    shown = ", ".join(str(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def pick_one(table: pd.DataFrame, column: str, chosen: str | None, *, option: str, source: str) -> pd.DataFrame:
    """The rows of one place: the chosen one, or the only one in the file."""
    if column not in table.columns:
        if chosen is not None:
            raise DataError(f"{source} has no column '{column}' to choose {option} {chosen!r} by: leave {option} out")
        return table
    found = sorted(str(place) for place in table[column].dropna().unique())
    if chosen is None and len(found) > 1:
        raise DataError(
            f"{source} holds {len(found)} {option}s ({listed(found)}): choose one with {option}={found[0]!r}"
        )
    if chosen is not None and chosen not in found:
        raise DataError(f"{source} has no {option} {chosen!r} (it has {listed(found)}): choose one of them")
    return table if chosen is None else table[table[column] == chosen]


def _utc_times(column: pd.Series, rules: Rules, notes: list[str]) -> pd.DatetimeIndex:
    zone(rules.tz)
    _refuse_first(column.isna(), column, f"{rules.source} has no time", "fill it or drop the row")
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(column).tz_convert("UTC").as_unit("us")
    if pd.api.types.is_datetime64_dtype(column):
        clock = pd.DatetimeIndex(column)
    else:
        text = column.astype(str).str.strip().str.replace(r" ?(?:UTC|GMT)$", "Z", regex=True)
        has_offset = text.str.contains(_OFFSET, regex=True)
        if has_offset.any():
            remedy = "give every time an offset, or none"
            _refuse_first(
                ~has_offset, text, f"{rules.source} has a time without an offset among others with one", remedy
            )
            return _parse(text, rules, utc=True)
        clock = _parse(text, rules, utc=False)
    if str(rules.tz) == "UTC":
        notes.append(_NO_ZONE)
    return _localise(clock, rules, notes)


def _parse(text: pd.Series, rules: Rules, *, utc: bool) -> pd.DatetimeIndex:
    times = pd.to_datetime(text, format=rules.time_format or "ISO8601", errors="coerce", utc=utc)
    remedy = 'correct it, or give the format, e.g. read_csv(path, time_format="%d/%m/%Y %H:%M")'
    _refuse_first(times.isna(), text, f"{rules.source} has a time that cannot be read", remedy)
    return pd.DatetimeIndex(times).as_unit("us")


def _localise(clock: pd.DatetimeIndex, rules: Rules, notes: list[str]) -> pd.DatetimeIndex:
    """UTC times of a clock; the hour that autumn shows twice is told apart by the order of the rows."""
    newest_first = clock[0] > clock[-1]
    in_order = clock[::-1] if newest_first else clock
    try:
        local = in_order.tz_localize(rules.tz, ambiguous="infer")
    except ValueError as error:
        why = str(error).split(" Try ")[0].rstrip(".")
        raise DataError(
            f"{rules.source}'s times are not those of a clock in {rules.tz} ({why}): sort the rows and keep both "
            'hours of the autumn change, name a fixed offset such as tz="Etc/GMT+8", or take the hours as they stand '
            'with tz="UTC"'
        ) from error
    if rules.tz != "UTC":
        notes.append(f"The times state no offset and are read as those of {rules.tz}.")
    utc = local.tz_convert("UTC").as_unit("us")
    return utc[::-1] if newest_first else utc


def _numbers(column: pd.Series, name: str, rules: Rules) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(column):
        text = column.astype("string").str.strip()
        text = text if rules.decimal == "." else text.str.replace(".", "").str.replace(rules.decimal, ".")
        numbers = pd.to_numeric(text, errors="coerce")
        remedy = "correct it or leave it blank"
        if rules.decimal == "." and text.str.contains(r"^-?[\d.]*,\d+$", regex=True).any():
            remedy = 'read it with read_csv(path, decimal=",")'
        bad = numbers.isna() & text.notna()
        _refuse_first(bad, column, f"{rules.source}'s column '{name}' has text", remedy)
        column = numbers.where(numbers.isna(), text.map(float, na_action="ignore"))  # to_numeric errs in the last bit
    values = pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)
    _refuse_first(
        pd.Series(np.isinf(values), index=values.index),
        column,
        f"{rules.source}'s column '{name}' is infinite",
        "correct it or leave it blank",
    )
    return values


def _refuse_first(bad: pd.Series, column: pd.Series, what: str, remedy: str) -> None:
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        raise DataError(f"{what} at {place(column.index[row])} ({column.iloc[row]!r}): {remedy}")


def _in_mwh(price: pd.Series, rules: Rules, notes: list[str]) -> pd.Series:
    if rules.price_unit is not None and rules.price_unit not in UNITS:
        raise DataError(f"price_unit must be one of {', '.join(UNITS)}, got {rules.price_unit!r}")
    if price.isna().all():
        raise DataError(f"{rules.source}'s price column holds no number: name another column with price=")
    large = float(price.abs().quantile(0.99))
    if rules.price_unit is None and 0 < large < GREATEST_KWH_PRICE:
        raise DataError(
            f"{rules.source}'s prices look like $/kWh (99 % lie below {large:.3g}): read them with "
            'price_unit="$/kWh", or with price_unit="$/MWh" if they are as they should be'
        )
    if rules.price_unit == "$/kWh":
        notes.append("Prices are converted from $/kWh to $/MWh.")
    return price * UNITS[rules.price_unit or "$/MWh"]


def _sorted(rows: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    if rows["time"].is_monotonic_increasing:
        return rows
    notes.append("The rows were not in the order of time and are sorted.")
    return rows.sort_values("time", kind="stable")


def _without_duplicates(rows: pd.DataFrame, rules: Rules, notes: list[str]) -> pd.DataFrame:
    kept = rows[~rows.duplicated()]
    if len(kept) < len(rows):
        count = len(rows) - len(kept)
        notes.append(f"Rows dropped because they repeat another exactly: {count}.")
    clash = kept["time"].duplicated(keep=False).to_numpy()
    if clash.any():
        first, second = (kept[clash].iloc[i] for i in (0, 1))
        column = next(c for c in kept.columns[1:] if not _same(first[c], second[c]))
        remedy = "keep one" + (", or name the clock with tz= if the times are local" if _NO_ZONE in notes else "")
        raise DataError(
            f"{rules.source} gives {_utc(first['time'])} two values of '{column}', {first[column]} at "
            f"{place(first.name)} and {second[column]} at {place(second.name)}: {remedy}"
        )
    return kept


def _same(a: float, b: float) -> bool:
    return a == b or (np.isnan(a) and np.isnan(b))


def _step(rows: pd.DataFrame, rules: Rules, notes: list[str]) -> pd.Timedelta:
    """The most common step, and whether every time lies on its grid."""
    if len(rows) < 2:
        raise DataError(f"{rules.source} has one row, at {_utc(rows['time'].iloc[0])}: a series needs two or more")
    step = rows["time"].diff().mode().iloc[0]
    minutes = step / pd.Timedelta(minutes=1)
    if minutes not in STEPS_MINUTES:
        raise DataError(
            f"{rules.source}'s rows are mostly {minutes:g} minutes apart, which is no market interval (5, 15, 30 or 60 "
            "minutes): resample it"
        )
    _check_grid(rows, step, rules, notes)
    return step


def _check_grid(rows: pd.DataFrame, step: pd.Timedelta, rules: Rules, notes: list[str]) -> None:
    """Times are whole steps past midnight, or past a quarter of an hour where the clock's offset has one."""
    past = rows["time"] - rows["time"].dt.floor(step)
    usual = past.mode().iloc[0]
    minutes = round(step / pd.Timedelta(minutes=1))
    if usual % min(step, pd.Timedelta(minutes=15)):
        usual = pd.Timedelta(0)
    off = past != usual
    if off.any():
        first = rows[off.to_numpy()].iloc[0]
        raise DataError(
            f"{rules.source} leaves its {minutes}-minute grid {int(off.sum())} times, first at {_utc(first['time'])} "
            f"at {place(first.name)}: round it or drop the row"
        )
    if usual:
        notes.append(f"The intervals begin {round(usual / pd.Timedelta(minutes=1))} minutes past the hour in UTC.")


def _on_grid(rows: pd.DataFrame, step: pd.Timedelta, rules: Rules, notes: list[str]) -> pd.DataFrame:
    times = pd.date_range(rows["time"].iloc[0], rows["time"].iloc[-1], freq=_freq(step), name="time", unit="us")
    prices = rows.set_index("time").reindex(times)
    gap = prices["price"].isna().to_numpy()
    days = [str(day.date()) for day in times[gap].normalize().unique()]
    what = f"{int(gap.sum())} of {len(times)} intervals have no price, on {listed(days, DAYS_NAMED)}"
    if gap.mean() > GREATEST_GAP_SHARE:
        raise DataError(f"{rules.source} has too many gaps, {what}: more than a tenth; fill them or cut the period")
    if gap.any():
        notes.append(f"{what} (UTC); they are NaN.")
    return prices


def _freq(step: pd.Timedelta) -> str:
    minutes = round(step / pd.Timedelta(minutes=1))
    return "1h" if minutes == 60 else f"{minutes}min"


def _note_zeros(price: pd.Series, notes: list[str]) -> None:
    share = float((price == 0).sum() / price.notna().sum())
    if share > _MANY_ZEROS:
        notes.append(
            f"{100 * share:.0f} % of the prices are exactly 0: see that the column is the price and not a part of it, "
            "such as congestion or loss."
        )


def _note_missing_inputs(prices: pd.DataFrame, notes: list[str]) -> None:
    for column in prices.columns.drop("price"):
        missing = int((prices[column].isna() & prices["price"].notna()).sum())
        if missing:
            notes.append(f"'{column}' is NaN in {missing} intervals that have a price.")


def _utc(time: Any) -> str:
    time = pd.Timestamp(time)
    return f"{time:%Y-%m-%d %H:%M:%S UTC}" if time.second else f"{time:%Y-%m-%d %H:%M UTC}"
