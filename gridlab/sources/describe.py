"""What a `prices` table is: its range, its gaps, the days that are not of 24 hours, and its statistics."""

from dataclasses import dataclass

import pandas as pd

from gridlab.days import day_times, gap_dates, market_dates, zone
from gridlab.errors import DataError
from gridlab.schema import step_hours, validate
from gridlab.sources.normal import DAYS_NAMED, listed


@dataclass(frozen=True)
class Description:
    """
    What `describe` found.

    Parameters
    ----------
    source : str
        Where the table came from.
    simulated : bool
        Whether it was made by `simulate_market`.
    start, end : Timestamp
        Start of the first interval and end of the last, in the market's time.
    step_minutes : float
        Length of an interval. [min]
    rows : int
        Intervals, gaps included.
    n_missing : int
        Intervals without a price.
    gap_dates : tuple of str
        Market days that a gap or an end of the table touches.
    short_dates, long_dates : tuple of str
        Market days of fewer and of more than 24 hours.
    notes : tuple of str
        What the reader did to the rows.
    statistics : DataFrame
        One row a column, one column a statistic: see `describe`.
    """

    source: str
    simulated: bool
    start: pd.Timestamp
    end: pd.Timestamp
    step_minutes: float
    rows: int
    n_missing: int
    gap_dates: tuple[str, ...]
    short_dates: tuple[str, ...]
    long_dates: tuple[str, ...]
    notes: tuple[str, ...]
    statistics: pd.DataFrame

    @property
    def facts(self) -> pd.DataFrame:
        """Everything but the statistics, as a table of one column of text, ``value``."""
        facts = {
            "source": self.source + (" (simulated)" if self.simulated else ""),
            "from": f"{self.start:%Y-%m-%d %H:%M %Z}",
            "to": f"{self.end:%Y-%m-%d %H:%M %Z}",
            "interval": f"{self.step_minutes:g} minutes",
            "rows": str(self.rows),
            "without a price": str(self.n_missing),
            "days with a gap or cut": _counted(self.gap_dates),
            "days under 24 hours": _counted(self.short_dates),
            "days over 24 hours": _counted(self.long_dates),
        }
        return pd.DataFrame({"value": facts}).rename_axis("fact")

    def __str__(self) -> str:
        """Facts, notes and statistics as text."""
        width = max(map(len, self.facts.index))
        facts = [f"{fact:<{width}}  {value}" for fact, value in self.facts["value"].items()]
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([*facts, *notes, "", self.statistics.T.to_string(float_format=lambda x: f"{x:.4g}")])


def describe(prices: pd.DataFrame, *, market_tz: str = "UTC") -> Description:
    """
    Say what a `prices` table is.

    The statistics of each column are ``mean``, ``sd``, ``min``, ``q05``, ``median``, ``q95`` and ``max`` in its unit,
    ``share_negative``, ``share_spikes`` (above the mean by three standard deviations or more), ``autocorrelation_24h``
    (NaN where the table is too short for it) and ``share_missing``.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table.
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    Description
        The record; ``str`` of it is a page of text.

    Raises
    ------
    DataError
        If `prices` is no such table, or has no price.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> found = describe(mock_prices(days=3))
    >>> found.rows, found.gap_dates, round(float(found.statistics.loc["price", "mean"]))
    (72, (), 33)
    """
    validate(prices, "prices")
    if prices["price"].isna().all():
        raise DataError(f"none of the {len(prices)} rows has a price: choose another period or file")
    step, clock = pd.Timedelta(hours=step_hours(prices.index)), zone(market_tz)
    short, long = _odd_days(prices.index, market_tz)
    return Description(
        source=str(prices.attrs.get("source", "table")),
        simulated=bool(prices.attrs.get("simulated", False)),
        start=prices.index[0].tz_convert(clock),
        end=(prices.index[-1] + step).tz_convert(clock),
        step_minutes=step / pd.Timedelta(minutes=1),
        rows=len(prices),
        n_missing=int(prices["price"].isna().sum()),
        gap_dates=_iso(gap_dates(prices, market_tz)),
        short_dates=short,
        long_dates=long,
        notes=tuple(prices.attrs.get("notes", ())),
        statistics=pd.DataFrame({str(c): _statistics(prices[c], step) for c in prices.columns}).T.rename_axis("column"),
    )


def _statistics(values: pd.Series, step: pd.Timedelta) -> pd.Series:
    mean, sd = values.mean(), values.std()
    lag = round(pd.Timedelta(hours=24) / step)
    known = values.notna()
    statistics = {
        "mean": mean,
        "sd": sd,
        "min": values.min(),
        "q05": values.quantile(0.05),
        "median": values.median(),
        "q95": values.quantile(0.95),
        "max": values.max(),
        "share_negative": (values[known] < 0).mean(),
        "share_spikes": (values[known] > mean + 3 * sd).mean(),
        "autocorrelation_24h": _autocorrelation(values, lag),
        "share_missing": 1 - known.mean(),
    }
    return pd.Series(statistics)


def _autocorrelation(values: pd.Series, lag: int) -> float:
    """Correlation of a series with itself `lag` steps before; NaN where it is too short or does not vary."""
    pairs = pd.DataFrame({"now": values, "before": values.shift(lag)}).dropna()
    if len(pairs) < 2 or (pairs.std() == 0).any():
        return float("nan")
    return float(pairs["now"].corr(pairs["before"]))


def _odd_days(times: pd.DatetimeIndex, market_tz: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Market days of fewer and of more than 24 hours."""
    first, last = market_dates(times[[0, -1]], market_tz)
    whole = pd.date_range(day_times(first, times, market_tz)[0], day_times(last, times, market_tz)[-1], freq=times.freq)
    hours = market_dates(whole, market_tz).value_counts().sort_index() * step_hours(times)
    return _iso(hours.index[hours < 24]), _iso(hours.index[hours > 24])


def _iso(dates: pd.DatetimeIndex) -> tuple[str, ...]:
    return tuple(dates.strftime("%Y-%m-%d"))


def _counted(dates: tuple[str, ...]) -> str:
    return f"{len(dates)}: {listed(dates, DAYS_NAMED)}" if dates else "none"
