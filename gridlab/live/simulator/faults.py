"""Faults on demand: what goes wrong at a simulated server, how often, and what it does to a reply."""

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import numpy as np

from gridlab.errors import DataError
from gridlab.sources.mara import MACHINES

CALLS = ("GET /inventory", "GET /machines", "GET /prices", "GET /sites", "POST /sites", "PUT /machines")
"""The calls of the API that faults may befall."""

_PRICES, _MACHINES = ("GET /prices",), ("GET /machines", "PUT /machines")

KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "latency": ("before", CALLS),
        "server_error": ("before", CALLS),
        "rate_limit": ("before", CALLS),
        "html": ("before", CALLS),
        "drop": ("before", CALLS),
        "drop_after": ("after", CALLS),
        "server_error_after": ("after", CALLS),
        "malformed": ("after", CALLS),
        "truncated": ("after", CALLS),
        "skew": ("reply", CALLS),
        "future": ("reply", (*_PRICES, *_MACHINES)),
        "stale": ("reply", _PRICES),
        "nan_price": ("reply", _PRICES),
        "negative_price": ("reply", _PRICES),
        "huge_price": ("reply", _PRICES),
        "missing_machine": ("reply", _MACHINES),
    }
)
"""Each kind: when it strikes, before the request is applied, after it, or in the reply; and the calls it may befall."""

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "latency": "the request waits `seconds` before it is applied; it is not applied if the client has gone by then",
        "server_error": "status 500; the request is not applied",
        "rate_limit": "status 429 with a Retry-After of `seconds`; the request is not applied",
        "html": "a page of HTML with status `status`, as of a proxy; the request is not applied",
        "drop": "the connection is closed before the request is applied",
        "drop_after": "the request is applied, then the connection is closed without a reply",
        "server_error_after": "the request is applied, then the reply is status 500",
        "malformed": "the request is applied; the reply's JSON has a character that does not belong there",
        "truncated": "the request is applied; the reply's JSON is cut in the middle",
        "skew": "the Date header and `updated_at` are `seconds` ahead; behind where that is negative",
        "future": "the newest row, or `updated_at`, is `seconds` ahead of the server's clock",
        "stale": "the newest `rows` rows of the prices are withheld",
        "nan_price": "a price of the newest row is NaN",
        "negative_price": "a price of the newest row has its sign changed",
        "huge_price": "a price of the newest row is `factor` times what it is",
        "missing_machine": "the reply lacks one of the machine types",
    }
)

SECONDS = MappingProxyType({"latency": (0.0, 60.0), "skew": (-1e8, 1e8)})
"""Least and greatest length of kinds whose length is not in [0, 1e8]."""

USUAL_SECONDS = MappingProxyType({"latency": 0.2, "rate_limit": 1.0, "skew": 3600.0, "future": 86400.0})


@dataclass(frozen=True)
class Fault:
    """
    One thing that goes wrong.

    Parameters
    ----------
    kind : str
        One of `KINDS`; `MEANINGS` says what each does.
    probability : float
        Of a call that it may befall, in [0, 1].
    call : str, optional
        The one call that it befalls, such as ``"PUT /machines"``; all of its kind when omitted.
    next : int, optional
        It befalls so many calls and is then over; for ever when omitted.
    seconds : float, optional
        How long, where the kind has a length: latency up to 60, wait, skew and future; 0.2, 1, 3600 and 86400 when
        omitted. [s]
    status : int
        Status of a page of HTML, in [200, 599].
    rows : int
        Rows withheld where prices are stale, at least 1.
    factor : float
        By which a huge price is too great.

    Raises
    ------
    DataError
        If there is no such kind or call, or a value is outside its range.

    Examples
    --------
    >>> Fault("latency", 0.1, call="PUT /machines").length_s
    0.2
    """

    kind: str
    probability: float = 1.0
    call: str | None = None
    next: int | None = None
    seconds: float | None = None
    status: int = 502
    rows: int = 6
    factor: float = 100.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"there is no fault {str(self.kind)[:40]!r}: the kinds are {', '.join(KINDS)}")
        if self.call is not None and self.call not in KINDS[self.kind][1]:
            raise DataError(f"{self.kind} befalls {', '.join(KINDS[self.kind][1])}, not {str(self.call)[:40]!r}")
        _within("probability", self.probability, 0, 1)
        _within("next", 1 if self.next is None else self.next, 0, 1_000_000)
        _within(f"seconds of {self.kind}", self.length_s, *SECONDS.get(self.kind, (0.0, 1e8)))
        _within("status", self.status, 200, 599)
        _within("rows", self.rows, 1, 1_000_000)
        _within("factor", self.factor, -1e12, 1e12)

    @property
    def length_s(self) -> float:
        """How long it takes, or how far it is off. [s]"""
        return USUAL_SECONDS.get(self.kind, 0.0) if self.seconds is None else self.seconds

    def befalls(self, call: str) -> bool:
        """Whether it may befall a call."""
        return self.next != 0 and call in (KINDS[self.kind][1] if self.call is None else (self.call,))


def mixed(rate: float, calls: Iterable[str] = CALLS, *, without: Iterable[str] = ()) -> tuple[Fault, ...]:
    """
    Faults of every kind, as likely as each other, that befall a share of the calls.

    Parameters
    ----------
    rate : float
        Share of the calls that something goes wrong with, in [0, 1). [-]
    calls : iterable of str
        The calls that they befall.
    without : iterable of str
        Kinds to leave out.

    Returns
    -------
    tuple of Fault

    Raises
    ------
    DataError
        If `rate` is outside its range.

    Examples
    --------
    >>> [fault.kind for fault in mixed(0.1, ["GET /inventory"], without=["html", "latency"])][:3]
    ['server_error', 'rate_limit', 'drop']
    """
    if not 0 <= rate < 1:
        raise DataError(f"rate must be in [0, 1), got {rate}")
    left_out = set(without)
    chosen = []
    for call in calls:
        kinds = [kind for kind, (_, befallen) in KINDS.items() if call in befallen and kind not in left_out]
        each = 1 - (1 - rate) ** (1 / max(len(kinds), 1))
        chosen += [Fault(kind, each, call) for kind in kinds]
    return tuple(chosen)


class Faults:
    """
    The faults in force, drawn call by call from a seed, and counted.

    Parameters
    ----------
    faults : iterable of Fault
        Those in force at first.
    seed : int
        Draws whether each befalls a call.
    """

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self.in_force = list(faults)
        self.rng = np.random.default_rng(seed)
        self.calls: Counter[str] = Counter()
        self.befallen: Counter[str] = Counter()
        self.counts: dict[str, Counter[str]] = {}

    def set(self, faults: Iterable[Fault], *, keep: bool = False) -> None:
        """Replace the faults in force, or add to them."""
        self.in_force = [*(self.in_force if keep else ()), *faults]

    def draw(self, call: str) -> dict[str, Fault]:
        """What befalls a call, by when it strikes: at most one latency, and one other thing."""
        if call not in CALLS:
            return {}
        self.calls[call] += 1
        struck: dict[str, Fault] = {}
        for place, fault in enumerate(self.in_force):
            if not fault.befalls(call) or self.rng.random() >= fault.probability:
                continue
            when = "latency" if fault.kind == "latency" else KINDS[fault.kind][0]
            if when in struck or (when != "latency" and set(struck) - {"latency"}):
                continue
            struck[when] = fault
            if fault.next is not None:
                self.in_force[place] = replace(fault, next=fault.next - 1)
        self._count(call, struck)
        return struck

    def summary(self) -> dict[str, Any]:
        """The faults in force, and how many calls there were and what befell them."""
        return {
            "faults": [asdict(fault) for fault in self.in_force],
            "calls": dict(self.calls),
            "faulty_calls": dict(self.befallen),
            "counts": {call: dict(kinds) for call, kinds in self.counts.items()},
        }

    def _count(self, call: str, struck: Mapping[str, Fault]) -> None:
        self.befallen[call] += bool(struck)
        for fault in struck.values():
            self.counts.setdefault(call, Counter())[fault.kind] += 1


def spoiled(fault: Fault, reply: Any, now: datetime, rng: np.random.Generator) -> Any:
    """
    A reply as a fault of the kind ``reply`` leaves it.

    Parameters
    ----------
    fault : Fault
        The fault.
    reply : dict, or list of dict
        A machines reply, or rows of prices, newest first.
    now : datetime
        Time of the server.
    rng : Generator
        Draws which price or machine.

    Returns
    -------
    dict, or list of dict
        New; `reply` stays as it is.
    """
    if isinstance(reply, list):
        return _spoiled_rows(fault, reply, now, rng)
    new = copy.copy(reply)
    if fault.kind == "missing_machine":
        del new[MACHINES[int(rng.integers(len(MACHINES)))]]
    elif fault.kind in ("skew", "future") and "updated_at" in new:
        base = datetime.fromisoformat(new["updated_at"]) if fault.kind == "skew" else now.replace(tzinfo=None)
        new["updated_at"] = (base + timedelta(seconds=fault.length_s)).isoformat(timespec="microseconds")
    return new


def garbled(fault: Fault, text: bytes, rng: np.random.Generator) -> bytes:
    """A reply's text with a character that does not belong there, or cut; JSON no more."""
    place = int(rng.integers(1, max(len(text), 2)))
    return text[:place] if fault.kind == "truncated" else b"}" + text[:place] + b"\xff" + text[place:]


def _spoiled_rows(
    fault: Fault, rows: list[dict[str, Any]], now: datetime, rng: np.random.Generator
) -> list[dict[str, Any]]:
    if fault.kind == "stale":
        return rows[fault.rows :]
    if not rows or fault.kind not in ("future", "nan_price", "negative_price", "huge_price"):
        return rows
    newest = dict(rows[0])
    if fault.kind == "future":
        floor = now - timedelta(minutes=now.minute % 5, seconds=now.second, microseconds=now.microsecond)
        newest["timestamp"] = (floor + timedelta(seconds=fault.length_s)).replace(tzinfo=None).isoformat()
        return [newest, *rows[1:]]
    name = ("energy_price", "hash_price", "token_price")[int(rng.integers(3))]
    by = {"nan_price": float("nan"), "negative_price": -1.0, "huge_price": fault.factor}[fault.kind]
    newest[name] *= by
    return [newest, *rows[1:]]


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise DataError(f"{name} must be in [{least:,}, {most:,}], got {str(value)[:40]}")
