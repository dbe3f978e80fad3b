"""What a site tells the loop: its sensors' readings and the bids for its services, from files that others write."""

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from gridlab.dispatch.order import Readings
from gridlab.errors import DataError

SILENT_MINUTES = 10.0
"""Age from which readings count for nothing, as if the sensors were silent. [min]"""

AHEAD_MINUTES = 2.0
"""How far ahead of our clock readings may be; those further ahead say that a clock is wrong. [min]"""

_LIMITS = {"soc_share": (0.0, 1.0), "temperature_c": (-90.0, 300.0), "outside_c": (-90.0, 70.0)}
_LIMITS |= {"power_mw": (-math.inf, math.inf), "regulation": (-1.0, 1.0)}


def read_readings(path: str | Path) -> Readings:
    """
    A site's readings from a file.

    Parameters
    ----------
    path : path
        A JSON object with `at` (a time with its offset) and any other fields of `Readings`; null where a sensor is
        silent. Write it to another name and rename it, so that it is never read half-written.

    Returns
    -------
    Readings

    Raises
    ------
    DataError
        If the file cannot be read or is no such object, or a value is no number or outside what it can be.

    Examples
    --------
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile("w+") as file:
    ...     _ = file.write('{"at": "2025-06-21T12:00:00Z", "soc_share": 0.5, "temperature_c": null}')
    ...     file.flush()
    ...     read_readings(file.name).soc_share
    0.5
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise OSError("it is no regular file")  # a pipe would be waited for
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"the readings {path} cannot be read ({error}): write them as one JSON object") from error
    names = [field.name for field in fields(Readings)]
    if not isinstance(values, dict) or not set(values) <= set(names):
        raise DataError(f"the readings {path} must be an object with {', '.join(names)}, got {str(values)[:200]}")
    known = {name: value for name, value in values.items() if value is not None and name != "at"}
    return Readings(at=_time(values.get("at"), path), **{name: _number(name, known[name], path) for name in known})


def current(readings: Readings, now: pd.Timestamp) -> tuple[Readings, str | None]:
    """
    Readings as far as they may be acted upon, and in a sentence why they may not.

    Parameters
    ----------
    readings : Readings
        What the sensors say; without a time it is what they say now.
    now : Timestamp
        Our clock, UTC.

    Returns
    -------
    Readings
        The same; or those of silent sensors, with the old time, where the old ones are `SILENT_MINUTES` old or more
        than `AHEAD_MINUTES` ahead of the clock.
    str or None

    Examples
    --------
    >>> at = pd.Timestamp("2025-06-21 12:00", tz="UTC")
    >>> current(Readings(at, soc_share=0.5), at + pd.Timedelta("11min"))[1]
    'the readings are 11 min old, over the limit of 10 min, and count for nothing: see what writes them'
    """
    if readings.at is None:
        return readings, None
    age = (now - readings.at) / pd.Timedelta(minutes=1)
    if -AHEAD_MINUTES <= age < SILENT_MINUTES:
        return readings, None
    words = (
        f"{age:.0f} min old, over the limit of {SILENT_MINUTES:g} min," if age > 0 else f"{-age:.0f} min ahead of us"
    )
    return Readings(readings.at), f"the readings are {words} and count for nothing: see what writes them"


def bids_of(bids: pd.DataFrame, interval: pd.Timestamp) -> pd.DataFrame | None:
    """The bids of an interval; None where there are none."""
    now = bids[bids["time"] == interval]
    return None if now.empty else now.reset_index(drop=True)


def _time(value: Any, path: str | Path) -> pd.Timestamp:
    try:
        time = pd.Timestamp(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"at of the readings {path} is no time, got {value!r}: write 2025-06-21T12:00:00Z") from error
    if time is pd.NaT or time.tzinfo is None:
        raise DataError(f"at of the readings {path} must be a time with its offset, got {value!r}")
    return time.tz_convert("UTC")


def _within(value: float, low: float, high: float) -> bool:
    return low <= value <= high and abs(value) < math.inf


def _number(name: str, value: Any, path: str | Path) -> float:
    low, high = _LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not _within(value, low, high):
        raise DataError(f"{name} of the readings {path} must be a number in [{low:g}, {high:g}], got {value!r}")
    return float(value)
