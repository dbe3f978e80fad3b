"""The time of a simulated server: the machine's, a faster one, or one that is moved by hand."""

import time
from datetime import UTC, datetime, timedelta
from typing import Literal

import pandas as pd

from gridlab.errors import DataError
from gridlab.live.simulator.market import utc

ClockKind = Literal["wall", "fast", "manual"]
KINDS = ("wall", "fast", "manual")
FASTEST = 100_000.0


class ServerClock:
    """
    What time it is at the server.

    Parameters
    ----------
    kind : {"wall", "fast", "manual"}
        The machine's clock, one that runs `speed` times as fast from `start` on, or one that stands still until moved.
    start : Timestamp or str, optional
        Time of a fast or manual clock at first; now when omitted.
    speed : float
        Seconds that a fast clock goes in a second, in (0, 100000]. [-]

    Raises
    ------
    DataError
        If the kind is unknown, or `speed` is outside its range.

    Examples
    --------
    >>> clock = ServerClock("manual", "2025-06-21T12:00")
    >>> clock.move("2025-06-21T12:05")
    >>> clock.now().isoformat()
    '2025-06-21T12:05:00+00:00'
    """

    def __init__(
        self, kind: ClockKind = "wall", start: pd.Timestamp | datetime | str | None = None, *, speed: float = 1.0
    ) -> None:
        if kind not in KINDS:
            raise DataError(f"a clock is one of {', '.join(KINDS)}, got {kind!r}")
        if not 0 < speed <= FASTEST:
            raise DataError(f"speed must be in (0, {FASTEST:,.0f}], got {speed}")
        self.kind, self.speed = kind, speed if kind == "fast" else 1.0
        self._at = datetime.now(UTC) if start is None else utc(start)
        self._since = time.monotonic()

    def now(self) -> datetime:
        """The time, UTC."""
        if self.kind == "wall":
            return datetime.now(UTC)
        if self.kind == "fast":
            return self._at + timedelta(seconds=(time.monotonic() - self._since) * self.speed)
        return self._at

    def move(self, to: pd.Timestamp | datetime | str) -> None:
        """
        Move a manual clock forward.

        Raises
        ------
        DataError
            If it is not manual, or would go backward.
        """
        if self.kind != "manual":
            raise DataError(f"only a manual clock can be moved, and this one is {self.kind}")
        if (target := utc(to)) < self._at:
            raise DataError(f"the clock goes forward only: it is {self._at.isoformat()}, got {target.isoformat()}")
        self._at = target
