"""
The MARA API's replies as records: lenient to order, numeric strings and unknown keys, strict on what is needed.

Each takes an open buffer, bytes or text, and raises nothing but `DataError`, whose sentence says what is wrong, where,
and what to do. `decode` and the ``*_of`` calls are the two halves of each ``parse_*``: text to JSON, JSON to a record.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, Protocol

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.sources.mara.keys import ApiKey
from gridlab.sources.mara.records import MACHINES, CreatedSite, Inventory, MachinesReply, SiteReply, inventory_of

PRICES = {"price": "energy_price", "hash_price": "hash_price", "token_price": "token_price"}
"""Our columns and the API's names."""

INVENTORY = {  # our name: where it stands, and what the output is called
    "air_miners": ("miners", "air", "hashrate"),
    "hydro_miners": ("miners", "hydro", "hashrate"),
    "immersion_miners": ("miners", "immersion", "hashrate"),
    "gpu_compute": ("inference", "gpu", "tokens"),
    "asic_compute": ("inference", "asic", "tokens"),
}
MOST_COUNT = 10**15
MOST_INTERVALS = 1_051_200  # ten years of five minutes
STEP_US = 300_000_000

BadRows = Literal["refuse", "gap"]

_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{6})?Z?", re.ASCII).fullmatch
_ISO_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?\s*(?:[Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII
).fullmatch
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII).fullmatch
_REMEDY = "see whether the API has changed"


class NotJsonError(DataError):
    """A reply that is no JSON at all, as a server in trouble gives: worth another try."""


class Buffer(Protocol):
    """What is open and can be read."""

    def read(self) -> bytes | str:
        """All of it."""


Source = Buffer | bytes | str


def parse_prices(source: Source, *, bad_rows: BadRows = "refuse") -> pd.DataFrame:
    """
    The reply to GET ``/prices``, in any order.

    A row holds from the start of the five minutes in which its timestamp lies, as the server itself takes it; times
    without an offset are UTC. Intervals without a row are NaN.

    Parameters
    ----------
    source : buffer, bytes or str
        The reply.
    bad_rows : {"refuse", "gap"}
        What becomes of a row whose price is no finite number, or of an interval with two different rows: the reply is
        refused, or it is a gap and a note says so. The newest row must be whole either way.

    Returns
    -------
    DataFrame
        A `prices` table with ``hash_price`` and ``token_price``, in the API's units.

    Raises
    ------
    DataError
        If it is not JSON, not an array of objects, has no rows, a key is missing, a price or a time cannot be read, an
        interval has two different rows, or the times span more than ten years.

    Examples
    --------
    >>> row = '{"timestamp": "%s", "energy_price": "1.5", "hash_price": 2, "token_price": 1e0}'
    >>> parse_prices(f"[{row % '2025-06-21T12:10:00'}, {row % '2025-06-21 12:00:00Z'}]")["price"].tolist()
    [1.5, nan, 1.5]
    >>> parse_prices(b"[]")
    Traceback (most recent call last):
    gridlab.errors.DataError: GET /prices has no rows yet: try again in five minutes
    """
    return prices_of(decode(source, "GET /prices", nan=bad_rows == "gap"), bad_rows=bad_rows)


def parse_inventory(source: Source) -> Inventory:
    """
    The reply to GET ``/inventory``.

    Raises
    ------
    DataError
        If it is not JSON, a machine is missing, or a power or output is no whole number in its range.

    Examples
    --------
    >>> from gridlab.sources.mara.records import EVENT
    >>> miners = '{"air": {"power": 3333, "hashrate": 1000}, "hydro": {"power": 5000, "hashrate": 10000}, '
    >>> miners += '"immersion": {"hashrate": "5000", "power": 10000, "colour": "blue"}}'
    >>> inference = '{"asic": {"power": 10000, "tokens": 5000}, "gpu": {"power": 3333, "tokens": 1000}}'
    >>> parse_inventory(f'{{"miners": {miners}, "inference": {inference}}}') == EVENT
    True
    """
    return inventory_from(decode(source, "GET /inventory"))


def parse_machines(source: Source, call: str = "GET /machines") -> MachinesReply:
    """
    The reply to GET or PUT ``/machines``; of `call` only the messages speak.

    Raises
    ------
    DataError
        If it is not JSON, a machine is missing, a count is no whole number of at least 0, ``updated_at`` is missing or
        no time, or an amount that is there is no number.

    Examples
    --------
    >>> counts = '"air_miners": 0, "hydro_miners": "200", "immersion_miners": 0, "gpu_compute": 0, "asic_compute": 0'
    >>> parse_machines(f'{{{counts}, "updated_at": "2025-06-21T19:30:47.964566"}}').counts["hydro_miners"]
    200
    """
    return machines_of(decode(source, call), call)


def parse_site(source: Source) -> SiteReply:
    """
    The reply to GET ``/sites``, an object or an array with one.

    Raises
    ------
    DataError
        If it is not JSON, there is not one site, or ``power`` is missing or no whole number of at least 0.

    Examples
    --------
    >>> parse_site('{"name": "HackFestSite", "power": 1000000}')
    SiteReply(name='HackFestSite', power=1000000)
    """
    return site_of(decode(source, "GET /sites"))


def parse_created_site(source: Source) -> CreatedSite:
    """
    The reply to POST ``/sites``.

    Raises
    ------
    DataError
        As `parse_site`, and if ``api_key`` is missing or cannot be one. The message has no key.

    Examples
    --------
    >>> reply = '{"api_key": "3f2b8c4e-0000-4000-8000-5d1f6a7b9c01", "name": "HackFestSite", "power": 1000000}'
    >>> parse_created_site(reply)
    CreatedSite(key=ApiKey([redacted], from POST /sites), name='HackFestSite', power=1000000)
    """
    return created_site_of(decode(source, "POST /sites", quiet=True))


def decode(source: Source, call: str, *, nan: bool = False, quiet: bool = False) -> Any:
    """
    The JSON of a reply.

    Parameters
    ----------
    source : buffer, bytes or str
        The reply.
    call : str
        What it answers, for messages.
    nan : bool
        Whether the literals NaN and Infinity, which are not JSON, are let through as NaN.
    quiet : bool
        Whether messages leave out how the reply starts, for it may hold a key.

    Raises
    ------
    NotJsonError
        If it is empty, not UTF-8, a web page or not JSON.
    """
    text = _text(source, call)
    shown = "" if quiet else f" (it starts {_shown(text.strip()[:40])})"
    if not text.strip():
        raise NotJsonError(f"{call} is empty: try again later")
    if text.lstrip().startswith("<"):
        raise NotJsonError(f"{call} is a web page and not JSON{shown}: try again later")
    try:
        return json.loads(text, parse_constant=_constant_as_nan if nan else _refuse_constant)
    except json.JSONDecodeError as error:
        problem = f"{error.msg.rstrip(':')} at line {error.lineno}, column {error.colno} of {len(text)} characters"
    except (ValueError, RecursionError) as error:
        problem = "too deeply nested" if isinstance(error, RecursionError) else str(error)
    raise NotJsonError(f"{call} is not JSON{shown}, {problem}: try again later")


def prices_of(rows: Any, *, bad_rows: BadRows = "refuse") -> pd.DataFrame:
    """The table of decoded rows, as `parse_prices` has it."""
    call = "GET /prices"
    if not isinstance(rows, list):
        raise DataError(f"{call} must be an array of rows, got {_kind(rows)}: {_REMEDY}")
    if not rows:
        raise DataError(f"{call} has no rows yet: try again in five minutes")
    times = _intervals(_column(rows, "timestamp", call), call)
    values = np.column_stack([_prices(_column(rows, key, call), key, call, bad_rows) for key in PRICES.values()])
    newest = int(times.argmax())
    if np.isnan(values[newest]).any():
        raise DataError(f"{call} row {newest}, the newest, has no finite {_first_nan(values[newest])}: {_REMEDY}")
    return _table(*_once(times, values, call, bad_rows), call)


def inventory_from(document: Any) -> Inventory:
    """The inventory of a decoded reply."""
    call, power, output = "GET /inventory", {}, {}
    for name, (group, kind, produced) in INVENTORY.items():
        one = _object(_object(document, call)(group), f"{call} {group}")(kind)
        of = _object(one, f"{call} {group}.{kind}")
        power[name] = _count(of("power"), f"{call} {group}.{kind}.power", least=1)
        output[name] = _count(of(produced), f"{call} {group}.{kind}.{produced}")
    return inventory_of(power, output)


def machines_of(document: Any, call: str = "GET /machines") -> MachinesReply:
    """The record of a decoded reply to GET or PUT ``/machines``."""
    of = _object(document, call)
    counts = {name: _count(of(name), f"{call} {name}") for name in MACHINES}
    updated_at = _time(of("updated_at"), f"{call} updated_at")
    optional: dict[str, Any] = {
        key: None if document.get(key) is None else read(document[key], f"{call} {key}")
        for key, read in _OPTIONAL.items()
    }
    return MachinesReply(counts, updated_at, **optional)


def site_of(document: Any, call: str = "GET /sites") -> SiteReply:
    """The site of a decoded reply to GET ``/sites``."""
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    power = _count(_object(document, call)("power"), f"{call} power")
    name = document.get("name")
    if name is not None and not isinstance(name, str):
        raise DataError(f"{call} name must be text, got {_kind(name)}: {_REMEDY}")
    return SiteReply(name or "", power)


def created_site_of(document: Any) -> CreatedSite:
    """The new site of a decoded reply to POST ``/sites``."""
    call = "POST /sites"
    secret = _object(document, call)("api_key")
    if not isinstance(secret, str):
        raise DataError(f"{call} api_key must be text, got {type(secret).__name__}: {_REMEDY}")
    site = site_of(document, call)
    return CreatedSite(ApiKey(secret.strip(), origin=call), site.name, site.power)


def _text(source: Source, call: str) -> str:
    read = source if isinstance(source, bytes | bytearray | memoryview | str) else source.read()
    if isinstance(read, str):
        return read.removeprefix("\ufeff")
    try:
        return str(read, "utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"byte {error.object[error.start]:#04x} at position {error.start}"
    raise NotJsonError(f"{call} is not UTF-8 text ({problem}): try again later")


def _constant_as_nan(literal: str) -> float:
    return math.nan


def _refuse_constant(literal: str) -> NoReturn:
    raise ValueError(f"it holds {literal}, which is no number")


def _column(rows: list[Any], key: str, call: str) -> list[Any]:
    try:
        return [row[key] for row in rows]
    except (KeyError, TypeError, IndexError):
        for number, row in enumerate(rows):
            _object(row, f"{call} row {number}")(key)
        raise


def _intervals(stamps: list[Any], call: str) -> np.ndarray:
    """Starts of the intervals in which the timestamps lie, in microseconds."""
    if all(type(stamp) is str and _PLAIN_TIME(stamp) for stamp in stamps):
        try:
            return (
                np.array([stamp.rstrip("Z") for stamp in stamps], dtype="datetime64[us]").astype(np.int64)
                // STEP_US
                * STEP_US
            )
        except ValueError:  # a day that no month has, which is named below
            pass
    times = [_microseconds(stamp, f"{call} row {number} timestamp") for number, stamp in enumerate(stamps)]
    return np.array(times, dtype=np.int64) // STEP_US * STEP_US


def _microseconds(stamp: Any, where: str) -> int:
    if isinstance(stamp, str) and _ISO_TIME(stamp.strip()):
        try:
            time = datetime.fromisoformat(_six_digits(stamp.strip().upper().replace(",", ".").replace(" Z", "Z")))
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
            return (time - _EPOCH) // _MICROSECOND
        except (ValueError, OverflowError):
            pass
    raise DataError(f"{where} must be an ISO 8601 time such as 2025-06-21T13:00:00, got {_shown(stamp)}: {_REMEDY}")


def _prices(values: list[Any], key: str, call: str, bad_rows: BadRows) -> np.ndarray:
    if set(map(type, values)) == {float}:
        column = np.array(values)
        if np.isfinite(column).all():
            return column
    gap = bad_rows == "gap"
    return np.array([_price(value, f"{call} row {number} {key}", gap) for number, value in enumerate(values)])


def _price(value: Any, where: str, gap: bool) -> float:
    number = _float(value)
    if number is None or not math.isfinite(number):
        if gap:
            return math.nan
        raise DataError(f"{where} must be a finite number, got {_shown(value)}: {_REMEDY}")
    return number


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER(value.strip()):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _once(times: np.ndarray, values: np.ndarray, call: str, bad_rows: BadRows) -> tuple[np.ndarray, np.ndarray]:
    """Rows in the order of time, each time once."""
    steps = np.diff(times)
    if len(times) == 1 or (steps > 0).all():
        return times, values
    if (steps < 0).all():
        return times[::-1], values[::-1]
    order = np.argsort(times, kind="stable")
    ascending, rows = times[order], values[order]
    same = np.diff(ascending) == 0
    clash = same & ~((rows[1:] == rows[:-1]) | (np.isnan(rows[1:]) & np.isnan(rows[:-1]))).all(axis=1)
    if clash.any():
        rows = _without_clashes(ascending, rows, order, clash, call, bad_rows)
    first = np.concatenate([[True], ~same])
    return ascending[first], rows[first]


def _without_clashes(
    times: np.ndarray, rows: np.ndarray, order: np.ndarray, clash: np.ndarray, call: str, bad_rows: BadRows
) -> np.ndarray:
    at = int(np.argmax(clash))
    time = pd.Timestamp(int(times[at]), unit="us")
    contested = np.isin(times, times[1:][clash])
    if bad_rows == "refuse" or contested[-1]:
        raise DataError(
            f"{call} rows {order[at]} and {order[at + 1]} give the interval of {time:%Y-%m-%d %H:%M} UTC different "
            f"prices: {_REMEDY}"
        )
    return np.where(contested[:, None], np.nan, rows)


def _table(times: np.ndarray, values: np.ndarray, call: str) -> pd.DataFrame:
    """The rows on their grid, with the `freq` set."""
    n_intervals = int(times[-1] - times[0]) // STEP_US + 1
    if n_intervals > MOST_INTERVALS:
        raise DataError(
            f"{call} has times more than ten years apart, {_day(times[0])} and {_day(times[-1])}: {_REMEDY}"
        )
    if n_intervals > len(times):
        on_grid = np.full((n_intervals, values.shape[1]), np.nan)
        on_grid[(times - times[0]) // STEP_US] = values
        values = on_grid
    start = pd.Timestamp(int(times[0]), unit="us", tz="UTC").as_unit("us")
    index = pd.date_range(start, periods=n_intervals, freq="5min", name="time", unit="us")
    table = pd.DataFrame(values, index=index, columns=list(PRICES))
    gaps = int(np.isnan(values).any(axis=1).sum())
    notes = [f"{gaps} of {n_intervals} intervals have no price that can be read; they are NaN."] if gaps else []
    table.attrs = {"source": call, "simulated": False, "notes": notes}
    return table


def _object(document: Any, where: str) -> Callable[[str], Any]:
    """What looks up the keys of an object, and says where one is missing."""
    if not isinstance(document, dict):
        raise DataError(f"{where} must be an object, got {_kind(document)}: {_REMEDY}")

    def value_of(key: str) -> Any:
        if key not in document:
            has = ", ".join(sorted(map(str, document))[:12]) or "none"
            raise DataError(f"{where} has no key {key!r} (it has {_plain(has, 120)}): {_REMEDY}")
        return document[key]

    return value_of


def _count(value: Any, where: str, least: int = 0) -> int:
    number = _float(value)
    if number is None or not math.isfinite(number) or not number.is_integer() or not least <= number <= MOST_COUNT:
        raise DataError(f"{where} must be a whole number of at least {least}, got {_shown(value)}: {_REMEDY}")
    return int(number)


def _amount(value: Any, where: str) -> float:
    return _price(value, where, gap=False)


def _each(read: Callable[[Any, str], Any]) -> Callable[[Any, str], dict[str, Any]]:
    def read_all(document: Any, where: str) -> dict[str, Any]:
        of = _object(document, where)
        return {name: read(of(name), f"{where}.{name}") for name in MACHINES}

    return read_all


def _time(value: Any, where: str) -> pd.Timestamp:
    return pd.Timestamp(_microseconds(value, where), unit="us", tz="UTC").as_unit("us")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = datetime.resolution
_OPTIONAL: Mapping[str, Callable[[Any, str], Any]] = {
    "power": _each(_count),
    "revenue": _each(_amount),
    "total_power_used": _count,
    "total_power_cost": _amount,
    "total_revenue": _amount,
    "id": _count,
    "site_id": _count,
}


def _six_digits(stamp: str) -> str:
    """A time whose fraction of a second has at most six digits."""
    return re.sub(r"(\.\d{6})\d+", r"\1", stamp)


def _first_nan(row: np.ndarray) -> str:
    return list(PRICES.values())[int(np.argmax(np.isnan(row)))]


def _day(microseconds: int) -> str:
    return str(np.datetime64(int(microseconds), "us").astype("datetime64[D]"))


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "a truth value", type(None): "null"}
    return names[type(value)] if type(value) in names else f"the number {_shown(value)}"


def _shown(value: Any) -> str:
    """A value for a message, on one line and not long."""
    if isinstance(value, dict | list):
        return _kind(value)
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"an integer of about {int(value.bit_length() * math.log10(2)) + 1} digits"
    return _plain(repr(value))


def _plain(text: Any, most: int = 60) -> str:
    shown = ascii(str(text))[1:-1].replace("\\'", "'") if not str(text).isascii() else str(text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= most else shown[:most] + "..."
