"""Where a simulated server's prices come from: a table that is replayed, or processes without end drawn from a seed."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.schema import validate
from gridlab.sources.mara import Quote

STEP = timedelta(minutes=5)
_GRID = datetime(2000, 1, 1, tzinfo=UTC)
BLOCK = 288
COLUMNS = ("price", "hash_price", "token_price")

Row = tuple[float, float, float]
"""The energy, hash and token price of an interval."""


@dataclass(frozen=True)
class Reverting:
    """
    A price whose logarithm reverts to its mean, and that is never below a floor.

    Parameters
    ----------
    mean, sd : float
        Of the logarithm.
    persistence : float
        Correlation of the logarithm with itself an interval before. [-]
    floor : float
        Least price. [API's unit]
    """

    mean: float
    sd: float
    persistence: float
    floor: float = 0.0


PROCESSES = (
    Reverting(0.5460005, 0.1386162, 0.9107827),
    Reverting(0.4379405, 0.2168411, 0.7755952, floor=1.0),
    Reverting(0.4938924, 0.3130914, 0.9042975),
)
"""
Energy, hash and token price. Their means, standard deviations of steps and autocorrelations at one interval are those
of the 110 rows recorded on 2025-06-21: 1.743, 0.103, 0.91; 1.588, 0.234, 0.77 and a floor at 1; 1.721, 0.247, 0.90.
"""


class Market(ABC):
    """
    Prices every five minutes from `start` on, without end.

    Parameters
    ----------
    start : Timestamp or str
        Start of the first interval; UTC where it states no zone.

    Raises
    ------
    DataError
        If `start` is no time, or not on the grid of five minutes.
    """

    simulated = True

    def __init__(self, start: pd.Timestamp | datetime | str) -> None:
        self.start = utc(start)
        if self.start != interval_of(self.start):
            raise DataError(f"the start of a market must be on the grid of 5 minutes, got {self.start}")

    @abstractmethod
    def row(self, k: int) -> Row | None:
        """Prices of the interval that starts `k` steps after `start`; None where the table has a gap."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What the prices are, in words and numbers."""

    def index(self, time: datetime) -> int:
        """The interval that holds a time; below 0 before the market's start."""
        return (time - self.start) // STEP

    def time(self, k: int) -> datetime:
        """Start of an interval."""
        return self.start + k * STEP

    def quote(self, k: int) -> Quote:
        """Prices that hold in an interval: its own, in a gap those before."""
        while k >= 0:
            row = self.row(k)
            if row is not None:
                return Quote(pd.Timestamp(self.time(k)), *row)
            k -= 1
        raise DataError(f"the market has no prices before its start, {self.start}")


class SimulatedMarket(Market):
    """
    Prices drawn from a seed, with the statistics of those recorded at the event.

    The logarithm of each price is an autoregressive process of order 1. A row depends on the seed and on its place
    alone, not on what was asked for before it.

    Parameters
    ----------
    start : Timestamp or str
        Start of the first interval; UTC where it states no zone.
    seed : int
        Draws everything.
    daily : float
        Share by which energy costs more at 18:00 UTC than its mean, and less at 06:00, in [0, 1). [-]
    before : tuple of float, optional
        Prices of the interval before the first, from which they go on; drawn when omitted.

    Raises
    ------
    DataError
        If a parameter is outside its range.

    Examples
    --------
    >>> market = SimulatedMarket("2025-06-21T12:00", seed=7)
    >>> far = market.row(2016)
    >>> SimulatedMarket("2025-06-21T12:00", seed=7).row(2016) == far
    True
    """

    def __init__(
        self,
        start: pd.Timestamp | datetime | str,
        *,
        seed: int = 0,
        daily: float = 0.0,
        before: Row | None = None,
    ) -> None:
        super().__init__(start)
        if not 0 <= daily < 1:
            raise DataError(f"daily must be in [0, 1), got {daily}")
        self.seed, self.daily = seed, daily
        self._rng = np.random.default_rng(seed)
        first = self._rng.standard_normal(3)
        self._last = [_score(p, x) for p, x in zip(PROCESSES, before, strict=True)] if before else first.tolist()
        self._rows: list[Row] = []

    def row(self, k: int) -> Row:
        """Prices of the interval that starts `k` steps after `start`."""
        while k >= len(self._rows):
            self._draw()
        return self._rows[k]

    def about(self) -> dict[str, Any]:
        """What the prices are."""
        return {"kind": "simulated", "start": self.start.isoformat(), "seed": self.seed, "daily": self.daily}

    def _draw(self) -> None:
        """A day more."""
        noise = self._rng.standard_normal((BLOCK, 3)).tolist()
        for shocks in noise:
            self._last = [
                p.persistence * z + math.sqrt(1 - p.persistence**2) * e
                for p, z, e in zip(PROCESSES, self._last, shocks, strict=True)
            ]
            energy, hashes, tokens = (
                max(p.floor, math.exp(p.mean + p.sd * z)) for p, z in zip(PROCESSES, self._last, strict=True)
            )
            self._rows.append((energy * self._shape(len(self._rows)), hashes, tokens))

    def _shape(self, k: int) -> float:
        clock = self.time(k)
        return 1 + self.daily * math.cos(2 * math.pi * (clock.hour + clock.minute / 60 - 18) / 24)


class ReplayedMarket(Market):
    """
    The prices of a table, and what follows when it ends.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table every five minutes, with ``hash_price`` and ``token_price``. A row with NaN is a gap: it is
        not served.
    start : Timestamp or str, optional
        When the table's first row is taken to be; as the table says when omitted.
    after : {"loop", "simulate"}
        When the table ends: it begins again, or goes on by simulation from its last prices.
    seed : int
        Draws what is simulated.

    Raises
    ------
    DataError
        If the table lacks a column, is not every five minutes, or its first row has a NaN.

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=2, freq="5min", tz="UTC", name="time")
    >>> prices = pd.DataFrame({"price": [3.0, 2.9], "hash_price": [4.0, 3.2], "token_price": [2.0, 2.3]}, index=times)
    >>> ReplayedMarket(prices).row(3)
    (2.9, 3.2, 2.3)
    """

    def __init__(
        self,
        prices: pd.DataFrame,
        *,
        start: pd.Timestamp | datetime | str | None = None,
        after: Literal["loop", "simulate"] = "loop",
        seed: int = 0,
    ) -> None:
        self._rows = _rows_of(prices)
        super().__init__(prices.index[0] if start is None else start)
        if after not in ("loop", "simulate"):
            raise DataError(f"after must be 'loop' or 'simulate', got {after!r}")
        self.after, self._source = after, str(prices.attrs.get("source", "table"))
        self.simulated = bool(prices.attrs.get("simulated", False))
        last = next(row for row in reversed(self._rows) if row is not None)
        self._next = SimulatedMarket(self.time(len(self._rows)), seed=seed, before=last)

    def row(self, k: int) -> Row | None:
        """Prices of the interval that starts `k` steps after `start`; None where the table has a gap."""
        n = len(self._rows)
        if k < n or self.after == "loop":
            return self._rows[k % n]
        return self._next.row(k - n)

    def about(self) -> dict[str, Any]:
        """What the prices are."""
        rows = {"source": self._source, "rows": len(self._rows), "after": self.after}
        return {"kind": "replayed", "start": self.start.isoformat(), **rows}


def utc(time: pd.Timestamp | datetime | str) -> datetime:
    """
    A time as a datetime in UTC; one that states no zone is taken to be UTC.

    Raises
    ------
    DataError
        If it is no time.

    Examples
    --------
    >>> utc("2025-06-21T14:00+02:00")
    datetime.datetime(2025, 6, 21, 12, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        given = (
            datetime.fromisoformat(time) if isinstance(time, str) else pd.Timestamp(time).floor("us").to_pydatetime()
        )
        return (given.replace(tzinfo=UTC) if given.tzinfo is None else given).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        raise DataError(f"{str(time)[:40]!r} is no time: write it as 2025-06-21T12:00:00") from error


def interval_of(time: datetime) -> datetime:
    """
    Start of the interval of five minutes that holds a time.

    Examples
    --------
    >>> interval_of(utc("2025-06-21T12:09:59")).isoformat()
    '2025-06-21T12:05:00+00:00'
    """
    return time - (time - _GRID) % STEP


def _rows_of(prices: pd.DataFrame) -> list[Row | None]:
    validate(prices, "prices")
    missing = [name for name in COLUMNS if name not in prices]
    if missing:
        raise DataError(f"the prices to replay have no column {missing[0]!r}: a site needs {', '.join(COLUMNS)}")
    if len(prices) > 1 and prices.index[1] - prices.index[0] != STEP:
        raise DataError(
            f"the prices to replay must be every 5 minutes, got {prices.index[1] - prices.index[0]}: resample them"
        )
    values = prices[list(COLUMNS)].to_numpy(dtype=float)
    rows: list[Row | None] = [
        (float(a), float(b), float(c)) if np.isfinite((a, b, c)).all() else None for a, b, c in values
    ]
    if rows[0] is None:
        raise DataError("the prices to replay begin with a row of NaN: drop the rows before the first whole one")
    return rows


def _score(process: Reverting, price: float) -> float:
    """How far a price is from the process's mean, in standard deviations; at most 3 where the process is never so."""
    value = (math.log(max(price, 1e-9)) - process.mean) / process.sd
    return min(max(value, -3.0), 3.0)
