"""What is known at the origin, and the record that describes a column made from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.days import Days, Floats, market_dates, zone
from gridlab.errors import DataError
from gridlab.features.windows import before

Category = Literal[
    "temporal", "price", "technical indicators", "market regime", "lags", "volume or load", "interactions"
]


@dataclass(frozen=True)
class Feature:
    """
    A column of the table, or one for each input where its name holds ``<input>``.

    Parameters
    ----------
    category : str
        One of the seven categories.
    name : str
        Name; ``<input>`` stands for an input's name, ``<other>`` for that of a second one.
    unit : str
        Unit; "as <input>" for that of the input.
    formula : str
        What it is, in the notation of ``docs/features.md``.
    values : callable
        From `Known`, and the names of the inputs that the name holds, to values that broadcast to (n_days, n_slots).
    """

    category: Category
    name: str
    unit: str
    formula: str
    values: Callable[..., Floats]

    @property
    def n_inputs(self) -> int:
        """How many inputs the name holds: 0, 1 or 2."""
        return ("<input>" in self.name) + ("<other>" in self.name)

    def for_inputs(self, *names: str) -> "Feature":
        """
        The column of these inputs.

        Examples
        --------
        >>> pattern = Feature("volume or load", "<input>_lag_1d", "as <input>", "x[d-1, s]", lambda known, x: known[x])
        >>> pattern.for_inputs("wind_forecast").name
        'wind_forecast_lag_1d'
        """
        name, unit, formula = self.name, self.unit, self.formula
        for place, given in zip(("<input>", "<other>"), names, strict=False):
            name, unit, formula = (text.replace(place, given) for text in (name, unit, formula))
        return Feature(self.category, name, unit, formula, lambda known: self.values(known, *names))


@dataclass(frozen=True)
class Clock:
    """
    The market's clock and calendar at some times.

    Parameters
    ----------
    dates : DatetimeIndex, shape (n_dates,)
        The market's dates, midnight without a time zone.
    rows : ndarray of int
        Which of the dates each time has.
    hour : ndarray
        Hour of each time with its minutes as a fraction; broadcasts with `rows`. [h]
    market_tz : str
        Time zone that says when a day begins.
    country : str, optional
        ISO 3166 code whose public holidays count.
    """

    dates: pd.DatetimeIndex
    rows: NDArray[np.int64]
    hour: Floats
    market_tz: str = "UTC"
    country: str | None = None

    @classmethod
    def of_days(cls, days: Days, market_tz: str, country: str | None, *, offset_hours: float = 0.0) -> "Clock":
        """The clock of whole days; `offset_hours` from a slot's beginning to that of the intervals in it."""
        hour = np.arange(days.n_slots)[None] * 24 / days.n_slots + offset_hours
        return cls(days.dates, np.arange(len(days))[:, None], hour, market_tz, country)

    @classmethod
    def of_times(cls, times: pd.DatetimeIndex, market_tz: str, country: str | None) -> "Clock":
        """The clock at UTC times."""
        clock = times.tz_convert(zone(market_tz)).tz_localize(None)
        rows, dates = pd.factorize(market_dates(times, market_tz))
        hour = (clock.hour + clock.minute / 60).to_numpy(float)
        return cls(pd.DatetimeIndex(dates), rows, hour, market_tz, country)

    def of_date(self, values: NDArray[np.generic] | pd.Index) -> Floats:
        """A fact of each date, at the times."""
        return np.asarray(values, dtype=float)[self.rows]

    def is_holiday(self, shift_days: int = 0) -> Floats:
        """Whether the date so many days later is a public holiday; 0 without a country."""
        return self.of_date((self.dates + pd.Timedelta(days=shift_days)).isin(self._public_holidays))

    def is_free(self, shift_days: int = 0) -> Floats:
        """Whether the date so many days later is a Saturday, a Sunday or a public holiday."""
        weekend = self.of_date((self.dates + pd.Timedelta(days=shift_days)).weekday >= 5)
        return np.maximum(weekend, self.is_holiday(shift_days))

    def hours_put_forward(self) -> Floats:
        """Hours by which the clock is put forward on the date: 1, or -1 where it is put back. [h]."""
        noon = self.dates + pd.Timedelta(hours=12)
        return self.of_date(self._offset_hours(noon) - self._offset_hours(noon - pd.Timedelta(days=1)))

    @cached_property
    def _public_holidays(self) -> pd.DatetimeIndex:
        if self.country is None or not len(self.dates):
            return pd.DatetimeIndex([])
        import holidays

        years = range(self.dates.min().year - 1, self.dates.max().year + 2)
        try:
            return pd.DatetimeIndex(sorted(holidays.country_holidays(self.country, years=years)))
        except NotImplementedError as error:
            raise DataError(f"country must be an ISO 3166 code such as 'US' or 'NO', got {self.country!r}") from error

    def _offset_hours(self, clock: pd.DatetimeIndex) -> Floats:
        local = clock.tz_localize(zone(self.market_tz), nonexistent="shift_forward", ambiguous=True)
        return np.asarray((local.tz_localize(None) - local.tz_convert("UTC").tz_localize(None)) / pd.Timedelta(hours=1))


@dataclass
class Known:
    """
    What is known at the midnight that opens each row's day; ``known[name]`` is a column, computed once.

    Parameters
    ----------
    past : ndarray, shape (n_days, n_slots)
        Prices of the day before; the day's own are not here. [$/MWh]
    inputs : dict of str to ndarray, shape (n_days, n_slots)
        Inputs of the day, published the day before.
    clock : Clock
        The clock of the days.
    columns : mapping of str to Feature
        What ``known[name]`` can be asked for.
    """

    past: Floats
    inputs: dict[str, Floats]
    clock: Clock
    columns: Mapping[str, Feature]
    computed: dict[object, Floats] = field(default_factory=dict)

    @classmethod
    def of_days(cls, days: Days, clock: Clock, columns: Mapping[str, Feature]) -> "Known":
        """What is known of days whose own prices may be there or not: they are left behind here."""
        inputs = {name: days.inputs[:, :, i] for i, name in enumerate(days.names)}
        return cls(before(days.price, 1), inputs, clock, columns)

    def __getitem__(self, name: str) -> Floats:
        return self.once(name, lambda: np.asarray(self.columns[name].values(self), dtype=float))

    def once(self, key: object, compute: Callable[[], Floats]) -> Floats:
        """The result of `compute`, kept under `key` for the columns that share it."""
        if key not in self.computed:
            self.computed[key] = compute()
        return self.computed[key]

    @property
    def n_slots(self) -> int:
        """Slots in a day."""
        return int(self.past.shape[1])
