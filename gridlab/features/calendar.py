"""Temporal columns: the hour, the week, the year and the holidays by the market's clock, and waves of them."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from gridlab.days import Floats, zone
from gridlab.features.known import Clock, Feature, Known

temporal_column = partial(Feature, "temporal")

PERIODS: dict[str, tuple[int, str, Callable[[Known], Floats]]] = {
    "hour": (4, "hour / 24", lambda k: k.clock.hour / 24),
    "week": (2, "(weekday + hour / 24) / 7", lambda k: (k["weekday"] + k.clock.hour / 24) / 7),
    "year": (2, "day_of_year / 365.25", lambda k: k["day_of_year"] / 365.25),
}
"""Cycles: the number of harmonics, the phase in words, and the phase."""


def temporal(times: pd.DatetimeIndex, *, market_tz: str = "UTC", country: str | None = None) -> pd.DataFrame:
    """
    The temporal columns at any times, for instance after the end of a price table.

    Parameters
    ----------
    times : DatetimeIndex
        UTC times.
    market_tz : str
        Time zone of the clock.
    country : str, optional
        ISO 3166 code whose public holidays count; without it no day is one.

    Returns
    -------
    DataFrame, shape (n_times, n_features)

    Raises
    ------
    DataError
        If there is no such time zone or `country` is not known.

    Examples
    --------
    >>> times = pd.date_range("2024-07-04", periods=2, freq="30min", tz="UTC")
    >>> temporal(times, country="US")[["hour", "weekday", "is_holiday", "season"]].to_numpy().tolist()
    [[0.0, 3.0, 1.0, 2.0], [0.5, 3.0, 1.0, 2.0]]
    """
    known = Known(np.empty((0, 0)), {}, Clock.of_times(times, market_tz, country), {f.name: f for f in FEATURES})
    return pd.DataFrame({feature.name: known[feature.name] for feature in FEATURES}, index=times)


def fourier(times: pd.DatetimeIndex, *, market_tz: str = "UTC", daily: int = 4, weekly: int = 2) -> Floats:
    """
    Sines and cosines of the day and of the week by the market's clock, shape (n_times, 2 (daily + weekly)).

    Parameters
    ----------
    times : DatetimeIndex
        UTC times.
    market_tz : str
        Time zone of the clock.
    daily, weekly : int
        Number of harmonics of the day and of the week.

    Examples
    --------
    >>> times = pd.date_range("2024-01-01", periods=168, freq="1h", tz="UTC")
    >>> fourier(times).shape
    (168, 12)
    """
    clock = times.tz_convert(zone(market_tz)).tz_localize(None)
    day = (clock - clock.normalize()) / pd.Timedelta(days=1)
    week = (clock.weekday.to_numpy() + day.to_numpy()) / 7
    angles = [2 * np.pi * k * day.to_numpy() for k in range(1, daily + 1)]
    angles += [2 * np.pi * k * week for k in range(1, weekly + 1)]
    return np.column_stack([wave(angle) for angle in angles for wave in (np.sin, np.cos)])


def _is_peak(known: Known) -> Floats:
    hour = known.clock.hour
    return np.asarray((hour >= 8) & (hour < 20) & (known["is_free_day"] == 0), dtype=float)


def _is_bridge(known: Known) -> Floats:
    clock = known.clock
    return (1 - clock.is_free()) * clock.is_free(-1) * clock.is_free(1)


def _waves(cycle: str) -> list[Feature]:
    harmonics, phase, phase_of = PERIODS[cycle]
    return [
        temporal_column(
            f"{cycle}_{wave.__name__}" + (f"_{k}" if k > 1 else ""),
            "-",
            f"{wave.__name__}(2 pi {'' if k == 1 else f'{k} '}{phase})",
            lambda known, wave=wave, k=k: wave(2 * np.pi * k * phase_of(known)),
        )
        for k in range(1, harmonics + 1)
        for wave in (np.sin, np.cos)
    ]


FEATURES = (
    temporal_column("hour", "h", "hour of the market's clock, minutes as a fraction", lambda k: k.clock.hour),
    temporal_column("weekday", "-", "0 on Monday to 6 on Sunday", lambda k: k.clock.of_date(k.clock.dates.weekday)),
    temporal_column("day_of_month", "-", "1 to 31", lambda k: k.clock.of_date(k.clock.dates.day)),
    temporal_column("day_of_year", "-", "1 to 366", lambda k: k.clock.of_date(k.clock.dates.dayofyear)),
    temporal_column("month", "-", "1 to 12", lambda k: k.clock.of_date(k.clock.dates.month)),
    temporal_column("quarter", "-", "1 to 4", lambda k: k.clock.of_date(k.clock.dates.quarter)),
    temporal_column("season", "-", "floor((month mod 12) / 3): 0 from December, 3 from September",
                    lambda k: k["month"] % 12 // 3),
    temporal_column("is_weekend", "-", "1 if weekday >= 5", lambda k: k["weekday"] >= 5),
    temporal_column("is_holiday", "-", "1 on a public holiday of `country`", lambda k: k.clock.is_holiday()),
    temporal_column("is_free_day", "-", "1 if is_weekend or is_holiday", lambda k: k.clock.is_free()),
    temporal_column("is_day_before_holiday", "-", "is_holiday of d+1", lambda k: k.clock.is_holiday(1)),
    temporal_column("is_day_after_holiday", "-", "is_holiday of d-1", lambda k: k.clock.is_holiday(-1)),
    temporal_column("is_bridge_day", "-", "1 on a working day between two free days", _is_bridge),
    temporal_column("is_peak", "-", "1 if 8 <= hour < 20 on a day that is not free", _is_peak),
    temporal_column("hours_put_forward", "h", "1 on the day of 23 hours, -1 on that of 25, else 0",
                    lambda k: k.clock.hours_put_forward()),
    *(column for cycle in PERIODS for column in _waves(cycle)),
)  # fmt: skip
