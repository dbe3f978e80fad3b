"""
What is known at the origin: columns for a price model, one function a category, put together by `build`.

The origin is the midnight that opens the market's day. A row of that day holds the calendar, the inputs known a day
ahead, and prices of earlier days only, so that a column may be used for any hour of the day.
"""

import numpy as np
import pandas as pd

from gridlab.days import Days, Floats, fold, market_dates, unfold, zone
from gridlab.errors import DataError

LAG_DAYS = (1, 2, 3, 7)
WINDOW_DAYS = (7, 28)


def build(prices: pd.DataFrame, *, market_tz: str = "UTC", country: str | None = None) -> pd.DataFrame:
    """
    All feature columns of a price table, each known at the origin of its row's day.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table. Columns that end in ``_forecast`` count as known for the whole of their day.
    market_tz : str
        Time zone that says when a day begins.
    country : str, optional
        ISO 3166 code whose public holidays mark `is_holiday`; without it the column is 0.

    Returns
    -------
    DataFrame, shape (n_times, n_features)
        Same index as `prices`; NaN where the history is too short or has a gap.

    Raises
    ------
    DataError
        If `country` is not known.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> table = build(mock_prices(days=10))
    >>> table.shape[0], int(table["hour"].iloc[30]), bool(table["price_lag_7d"].iloc[:168].isna().all())
    (240, 6, True)
    """
    days = fold(prices, market_tz)
    times = pd.DatetimeIndex(prices.index)
    by_slot = {**lags(days), **rolling(days), **known_inputs(days)}
    columns = {name: unfold(values, days.dates, times, market_tz) for name, values in by_slot.items()}
    return temporal(times, market_tz=market_tz, country=country).join(pd.DataFrame(columns, index=times))


def temporal(times: pd.DatetimeIndex, *, market_tz: str = "UTC", country: str | None = None) -> pd.DataFrame:
    """
    The calendar by the market's clock.

    Columns: `hour` (with its minutes as a fraction), `weekday` (Monday 0), `is_weekend`, `is_holiday`, `month`,
    `season` (0 winter from December, 3 autumn), and the hour, the week and the year as sine and cosine.

    Examples
    --------
    >>> times = pd.date_range("2024-07-04", periods=2, freq="30min", tz="UTC")
    >>> temporal(times, country="US")[["hour", "weekday", "is_holiday", "season"]].to_numpy().tolist()
    [[0.0, 3.0, 1.0, 2.0], [0.5, 3.0, 1.0, 2.0]]
    """
    clock = times.tz_convert(zone(market_tz)).tz_localize(None)
    hour = clock.hour.to_numpy() + clock.minute.to_numpy() / 60
    weekday = clock.weekday.to_numpy()
    phases = {"hour": hour / 24, "week": (weekday + hour / 24) / 7, "year": clock.dayofyear.to_numpy() / 365.25}
    waves = {f"{name}_{f.__name__}": f(2 * np.pi * phase) for name, phase in phases.items() for f in (np.sin, np.cos)}
    return pd.DataFrame(
        {
            "hour": hour,
            "weekday": weekday,
            "is_weekend": (weekday >= 5).astype(int),
            "is_holiday": _is_holiday(clock, country),
            "month": clock.month.to_numpy(),
            "season": clock.month.to_numpy() % 12 // 3,
            **waves,
        },
        index=times,
    )


def lags(days: Days) -> dict[str, Floats]:
    """
    Prices of the same slot 1, 2, 3 and 7 days before: ``price_lag_<n>d``, shape (n_days, n_slots). [$/MWh].

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> days = fold(mock_prices(days=3))
    >>> bool((lags(days)["price_lag_1d"][2] == days.price[1]).all())
    True
    """
    return {f"price_lag_{n}d": before(days.price, n) for n in LAG_DAYS}


def rolling(days: Days) -> dict[str, Floats]:
    """
    Statistics of the days before: shape of yesterday, and mean and spread of the last week and four weeks.

    Columns, each (n_days, n_slots) and in $/MWh: `price_{mean,min,max,last}_1d` of yesterday; `price_mean_<n>d` and
    `price_sd_<n>d` over all slots of the last n days; `price_slot_mean_<n>d` over the same slot of the last n days.
    """
    yesterday = before(days.price, 1)
    of_day = {
        "price_mean_1d": yesterday.mean(axis=1),
        "price_min_1d": yesterday.min(axis=1),
        "price_max_1d": yesterday.max(axis=1),
        "price_last_1d": yesterday[:, -1],
    }
    columns = {}
    for n in WINDOW_DAYS:
        mean, square = _mean_of_last(days.price, n), _mean_of_last(days.price**2, n)
        of_day[f"price_mean_{n}d"] = mean.mean(axis=1)
        of_day[f"price_sd_{n}d"] = np.sqrt(np.maximum(square.mean(axis=1) - mean.mean(axis=1) ** 2, 0.0))
        columns[f"price_slot_mean_{n}d"] = mean
    return {name: np.repeat(value[:, None], days.n_slots, axis=1) for name, value in of_day.items()} | columns


def known_inputs(days: Days) -> dict[str, Floats]:
    """The inputs known a day ahead, of the day itself and of the day before, shape (n_days, n_slots)."""
    today = {name: days.inputs[:, :, i] for i, name in enumerate(days.names)}
    return today | {f"{name}_lag_1d": before(values, 1) for name, values in today.items()}


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


def before(values: Floats, n_days: int) -> Floats:
    """Rows moved down by `n_days`, NaN above: what stood there that many days before."""
    moved = np.full_like(values, np.nan)
    moved[n_days:] = values[: max(len(values) - n_days, 0)]
    return moved


def _mean_of_last(values: Floats, n_days: int) -> Floats:
    """Mean of each column over the `n_days` rows above, NaN where there are fewer or one has a gap."""
    padded = before(values, 1)
    if len(padded) < n_days:
        return np.full_like(values, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_days, axis=0).mean(axis=-1)
    return np.concatenate([np.full((n_days - 1, values.shape[1]), np.nan), windows])


def _is_holiday(clock: pd.DatetimeIndex, country: str | None) -> Floats:
    if country is None:
        return np.zeros(len(clock))
    import holidays

    years = range(clock[0].year, clock[-1].year + 1)
    try:
        public = holidays.country_holidays(country, years=years)
    except NotImplementedError as error:
        raise DataError(f"country must be an ISO 3166 code such as 'US' or 'NO', got {country!r}") from error
    dates = market_dates(clock.tz_localize("UTC"))
    return np.isin(dates.date, list(public)).astype(float)
