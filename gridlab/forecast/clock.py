"""The index of a series in sktime's sense, read as times that have days."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from gridlab.errors import DataError

ORIGIN = pd.Timestamp("2000-01-01", tz="UTC")


@dataclass(frozen=True)
class Clock:
    """
    How an index is read: intervals that divide a day as they stand, in UTC where they have no zone; anything else
    (weeks, months, integers) as one slot a day, counted from a date without meaning.

    Parameters
    ----------
    freq : offset or None
        Frequency of the index; None for integers.
    has_days : bool
        Whether the index is read as it stands.
    """

    freq: Any
    has_days: bool

    def times(self, index: pd.Index) -> pd.DatetimeIndex:
        """UTC times of an index of the kind that the clock was made for."""
        if not self.has_days:
            return pd.DatetimeIndex(ORIGIN + pd.to_timedelta(self._positions(index), unit="D"), name="time")
        stamps = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else pd.DatetimeIndex(index)
        utc = stamps.tz_localize("UTC") if stamps.tz is None else stamps.tz_convert("UTC")
        return utc.rename("time")

    def _positions(self, index: pd.Index) -> Any:
        if isinstance(index, pd.DatetimeIndex):
            index = index.tz_localize(None).to_period(self.freq)
        return index.astype("int64")

    @property
    def step(self) -> Any:
        """Frequency of the times."""
        return self.freq if self.has_days else "D"


def read_clock(index: pd.Index) -> Clock:
    """
    The clock of an index.

    Raises
    ------
    DataError
        If the index is neither times nor integers, or its times have no frequency.

    Examples
    --------
    >>> read_clock(pd.period_range("2024-01-01", periods=3, freq="h")).has_days
    True
    >>> clock = read_clock(pd.RangeIndex(3))
    >>> clock.times(pd.RangeIndex(3, 5)).strftime("%d %b").tolist()
    ['04 Jan', '05 Jan']
    """
    if isinstance(index, pd.PeriodIndex):
        return Clock(index.freq, _divides_a_day(index.freq))
    if isinstance(index, pd.DatetimeIndex):
        name = index.freq or (pd.infer_freq(index) if len(index) > 2 else None)
        if name is None:
            raise DataError("the times have no frequency: resample them, or give an index with one")
        freq = pd.tseries.frequencies.to_offset(name)
        return Clock(freq, _divides_a_day(freq))
    if pd.api.types.is_integer_dtype(index):
        return Clock(None, False)
    raise DataError(f"the series needs an index of times or integers, got {type(index).__name__}: give it dates")


def _divides_a_day(freq: Any) -> bool:
    try:
        step = pd.Timedelta(freq)
    except ValueError:
        return bool(freq == pd.offsets.Day())
    return bool(step <= pd.Timedelta(days=1) and pd.Timedelta(days=1) % step == pd.Timedelta(0))
