"""Numbers, units and names as a reader wants them: how a value is printed on the page."""

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

NONE = "–"  # noqa: RUF001
_SUFFIXES = {"_mwh": "MWh", "_mw": "MW", "_kwh": "kWh", "_kw": "kW"}
_MOST_DECIMALS = 6


class Label(NamedTuple):
    """A name and its unit, which may be empty."""

    name: str
    unit: str


def label(column: str) -> Label:
    """
    The words and the unit of a column's name.

    Examples
    --------
    >>> label("profit [$/MW-year]"), label("energy_mwh"), label("capture_ratio")
    (Label(name='profit', unit='$/MW-year'), Label(name='energy', unit='MWh'), Label(name='capture ratio', unit=''))
    """
    found = re.fullmatch(r"(.*?)\s*\[([^\]]*)\]\s*", column)
    if found:
        return Label(found[1].replace("_", " "), "" if found[2] == "-" else found[2])
    suffix = next((suffix for suffix in _SUFFIXES if column.endswith(suffix)), "")
    return Label(column.removesuffix(suffix).replace("_", " "), _SUFFIXES.get(suffix, ""))


def column(values: Sequence[Any]) -> list[str]:
    """
    The values of a column as text: whole numbers whole, others with the decimals that give the largest four digits,
    but no more than three unless all are below 0.1.

    Examples
    --------
    >>> column([41234.6, -5.2, None]), column([0.5, 0.8734]), column([3, 1200]), column(["lear", True])
    (['41,235', '−5', '–'], ['0.500', '0.873'], ['3', '1,200'], ['lear', 'yes'])
    """
    decimals = _decimals([value for value in values if is_number(value)])
    return [text(value, decimals) for value in values]


def text(value: Any, decimals: int | None = None) -> str:
    """One value as text; a number with the given decimals, or else with four digits."""
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not is_number(value):
        return str(value)
    if isinstance(value, str):
        return "∞" if value == "inf" else "−∞"  # noqa: RUF001
    shown = f"{value:,.{_decimals([value]) if decimals is None else decimals}f}"
    if value and not shown.strip("-0.,"):
        shown = f"{value:.1e}"
    return shown.replace("-", "−") if value and shown.strip("-0.,") else shown.lstrip("-")  # noqa: RUF001


def is_number(value: Any) -> bool:
    """Whether a value of a record's table is a number; infinities are text there."""
    return (isinstance(value, (int, float)) and not isinstance(value, bool)) or value in ("inf", "-inf")


def percent(share: float, decimals: int = 0) -> str:
    r"""
    A share as a percentage, its sign held to the number by a space that does not break.

    Examples
    --------
    >>> percent(0.882), percent(0.0354, 1)
    ('88\xa0%', '3.5\xa0%')
    """
    return f"{100 * share:.{decimals}f}\N{NO-BREAK SPACE}%"


def counted(number: float, one: str, many: str = "") -> str:
    """
    A number of things: one alone has the singular.

    Examples
    --------
    >>> counted(1, "bidder"), counted(1440, "auction"), counted(2, "equilibrium", "equilibria")
    ('1 bidder', '1,440 auctions', '2 equilibria')
    """
    return f"{number:,.0f} {one if number == 1 else many or one + 's'}"


def moment(iso: str) -> str:
    """
    A time in ISO format, to the minute.

    Examples
    --------
    >>> moment("2026-03-01T12:34:56+00:00")
    '1 Mar 2026, 12:34 UTC'
    """
    time = datetime.fromisoformat(iso)
    return f"{time.day} {time:%b %Y, %H:%M} {time.tzname() or ''}".strip()


def duration(seconds: float) -> str:
    """
    A duration in the two units that matter.

    Examples
    --------
    >>> duration(4.26), duration(75), duration(7265)
    ('4.3 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _decimals(values: Sequence[Any]) -> int:
    finite = [abs(value) for value in values if not isinstance(value, str)]
    if all(isinstance(value, int) for value in finite) or max(finite) == 0:
        return 0
    order = math.floor(math.log10(max(finite)))
    return min(max(0, 3 - order), 3) if order >= -1 else min(2 - order, _MOST_DECIMALS)
