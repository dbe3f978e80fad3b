"""What a request asks for: its body and its query as values, or one sentence that says what is wrong with them."""

import json
import math
import re
from datetime import datetime
from typing import Any

from gridlab.errors import DataError
from gridlab.live.simulator.faults import Fault
from gridlab.live.simulator.market import utc
from gridlab.sources.mara import MACHINES

MOST_BYTES = 64 * 1024
LONGEST_NAME = 100
_BLANK_OFFSET = re.compile(r"(T.*) (\d\d:?\d\d)$")
_DIGITS = re.compile(r"[0-9]{1,18}")


class NotJsonError(ValueError):
    """A body that is not JSON at all."""


def body_of(raw: bytes) -> dict[str, Any]:
    """
    The JSON object that a body holds.

    Raises
    ------
    NotJsonError
        If it is not JSON.
    DataError
        If it is JSON and not an object.
    """
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise NotJsonError("the body is not JSON: send an object in UTF-8, such as {}") from error
    if not isinstance(value, dict):
        raise DataError("the body must be a JSON object: send one in braces")
    return value


def counts_of(body: dict[str, Any]) -> dict[str, int]:
    """
    The allocation that a body asks for; a type that it does not name runs no machine, and other names mean nothing.

    Raises
    ------
    DataError
        If it names no type, or a count is not a whole number of at least 0.

    Examples
    --------
    >>> counts_of({"hydro_miners": "200", "note": "all of it"})["hydro_miners"]
    200
    """
    if not any(name in body for name in MACHINES):
        raise DataError(f"the body names no machine type: give the counts of {', '.join(MACHINES)}")
    return {name: _count(name, body.get(name, 0)) for name in MACHINES}


def name_of(body: dict[str, Any]) -> str:
    """The name of the site that a body asks for."""
    name = body.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
        raise DataError(
            f'the body needs the site\'s name, a text of 1 to {LONGEST_NAME} characters: {{"name": "mine"}}'
        )
    return name


def faults_of(body: dict[str, Any]) -> tuple[list[Fault], bool]:
    """The faults that a body asks for, and whether those in force stay."""
    asked, keep = body.get("faults"), body.get("keep", False)
    if not isinstance(asked, list) or len(asked) > 1000 or not isinstance(keep, bool):
        raise DataError('the body needs a list of at most 1,000 faults, and "keep" is true or false: {"faults": []}')
    return [_fault(one) for one in asked], keep


def time_of(value: object, name: str) -> datetime:
    """A time, UTC, that a body or a query gives; a plus that a query made a blank is a plus again."""
    if not isinstance(value, str):
        raise DataError(f"{name} must be a time as text, such as 2025-06-21T12:00:00")
    return utc(_BLANK_OFFSET.sub(r"\1+\2", value))


def number_of(text: str, name: str) -> int:
    """A whole number of at least 0 that a query gives."""
    if not _DIGITS.fullmatch(text):
        raise DataError(f"{name} must be a whole number of at least 0, got {text[:40]!r}")
    return int(text)


def _count(name: str, value: object) -> int:
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    whole = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value) and value.is_integer())
    if isinstance(value, bool) or not whole or value < 0:  # type: ignore[operator]
        raise DataError(f"{name} must be a whole number of at least 0, got {_shown(value)}")
    return int(value)  # type: ignore[call-overload, no-any-return]


def _fault(given: object) -> Fault:
    if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
        raise DataError('each fault must be an object with a "kind", such as {"kind": "latency", "probability": 0.1}')
    integers, numbers = ("next", "status", "rows"), ("probability", "seconds", "factor")
    known = {name: given[name] for name in ("kind", "call", *integers, *numbers) if name in given}
    for name, value in known.items():
        if name in integers and isinstance(value, float) and value.is_integer():
            known[name] = value = int(value)
        kinds = (int,) if name in integers else (int, float) if name in numbers else (str,)
        absent = value is None and name in ("call", "next", "seconds")
        if not absent and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise DataError(f"{name} of a fault is of the wrong kind, got {_shown(value)}")
    return Fault(**known)


def _shown(value: object) -> str:
    return repr(value)[:40] if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"


def _no_number(text: str) -> float:
    raise ValueError(text)
