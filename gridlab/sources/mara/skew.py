"""How far a server's clock is ahead of ours, from the Date of its answers, which has whole seconds."""

import pandas as pd

DRIFT = 1e-4


class Skew:
    """
    The server's clock less ours.

    An answer dated `d`, sent for at `s` and received at `r`, puts it between ``d - r`` and ``d + 1 s - s``. Answers of
    one pair of clocks agree, so what they have in common is kept and narrows with each of them, after Marzullo's
    algorithm for intervals. What was known widens by `DRIFT` as it ages. One answer that disagrees is set aside; a
    second one that agrees with it says that a clock was moved, and takes its place.

    References
    ----------
    .. [1] K. Marzullo and S. Owicki, "Maintaining the time in a distributed system," ACM SIGOPS Operating Systems
       Review 19(3), 1985, doi:10.1145/1041490.1041495.

    Examples
    --------
    >>> skew, noon = Skew(), pd.Timestamp("2025-06-21 12:00", tz="UTC")
    >>> for ms in (100, 350, 600, 950):  # the server is 3.2 s ahead and cuts its time to whole seconds
    ...     sent = noon + pd.Timedelta(milliseconds=ms)
    ...     skew.observe((sent + pd.Timedelta(seconds=3.2)).floor("s"), sent, sent)
    >>> round(skew.value.total_seconds(), 3), round(skew.error.total_seconds(), 3)
    (3.225, 0.175)
    """

    def __init__(self) -> None:
        self._known: tuple[float, float] | None = None
        self._apart: tuple[float, float] | None = None
        self._at = 0.0

    def observe(self, date: pd.Timestamp, sent: pd.Timestamp, received: pd.Timestamp) -> None:
        """Learn from an answer's Date, and from when it was sent for and received by our clock."""
        at, d, s = received.timestamp(), date.timestamp(), sent.timestamp()
        seen = (d - at, max(d + 1 - s, d - at))
        common = None if self._known is None else _common(_wider(self._known, DRIFT * abs(at - self._at)), seen)
        if self._known is not None and common is None:
            common = None if self._apart is None else _common(self._apart, seen)
            if common is None:
                self._apart = seen
                return
        self._known, self._apart, self._at = common or seen, None, at

    @property
    def value(self) -> pd.Timedelta | None:
        """The server's clock less ours; None before the first answer."""
        return None if self._known is None else pd.Timedelta(seconds=sum(self._known) / 2)

    @property
    def error(self) -> pd.Timedelta | None:
        """How far `value` may be off either way; None before the first answer."""
        return None if self._known is None else pd.Timedelta(seconds=(self._known[1] - self._known[0]) / 2)


def _wider(interval: tuple[float, float], by: float) -> tuple[float, float]:
    return interval[0] - by, interval[1] + by


def _common(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float] | None:
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None
