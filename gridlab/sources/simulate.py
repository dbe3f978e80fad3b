"""A market made here: load, wind and their day-ahead forecasts, and the price that a convex supply curve gives them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]

FREQS = ("5min", "15min", "30min", "1h")

MEAN_LOAD_GW = 91.0
WIND_CAPACITY_GW = 20.0
LEAST_PRICE, GREATEST_PRICE = -150.0, 1000.0  # the market's limits [$/MWh]

# Load of each hour over the day's mean, in January and in July; and of each day, Monday first, over the week's mean.
WINTER_DAY = (
    0.91, 0.89, 0.88, 0.88, 0.90, 0.94, 1.01, 1.05, 1.06, 1.06, 1.04, 1.03,
    1.02, 1.00, 0.99, 0.99, 1.01, 1.07, 1.10, 1.09, 1.08, 1.05, 1.00, 0.95,
)  # fmt: skip
SUMMER_DAY = (
    0.86, 0.81, 0.78, 0.75, 0.75, 0.77, 0.81, 0.87, 0.92, 0.98, 1.04, 1.08,
    1.12, 1.16, 1.18, 1.20, 1.21, 1.21, 1.19, 1.15, 1.12, 1.09, 1.02, 0.93,
)  # fmt: skip
WEEK = (1.02, 1.03, 1.03, 1.03, 1.02, 0.95, 0.92)


@dataclass(frozen=True)
class Reverting:
    """An Ornstein-Uhlenbeck process around zero: hours to fall to 1/e, and standard deviation."""

    hours: float
    sd: float


WEATHER = Reverting(48, 0.06)  # in the logarithm of the load
WIND = Reverting(36, 1.0)  # in the logit of the capacity factor
LOAD_ERROR = Reverting(12, 0.013)  # of the day-ahead forecast, in the logarithm of the load
WIND_ERROR = Reverting(12, 0.25)  # of the day-ahead forecast, in the logit of the capacity factor
OUTAGES = Reverting(240, 4.0)  # plant out of order, seen as load [GW]
FUEL = Reverting(1500, 0.18)  # in the logarithm of the price of fuel
HOURLY_NOISE = Reverting(9, 0.095)  # shares of the price
DAILY_NOISE = Reverting(60, 0.06)
TIGHTNESS = Reverting(120, 1.0)  # above a threshold the market is scarce for days

SCARCE_ABOVE, SCARCE_AT_MOST, SCARCE_SLOPE = 1.85, 1.1, 2.0
SPIKES_PER_HOUR, SPIKE_MEAN, SPIKE_HOURS = 1 / 400, 1.0, 3.0  # a spike adds on average the price once, and decays


def simulate_market(
    start: str = "2023-08-01", days: int = 790, freq: str = "1h", *, rng: np.random.Generator
) -> pd.DataFrame:
    """
    Simulate prices of a market with load and wind, which are known a day ahead only as forecasts.

    The price is that of a convex supply curve at the load less wind and less plant in order, with mean-reverting noise,
    spikes of hours, scarcity of days and, at low load, an excess that makes it negative. The load and wind that drive
    it are the realised ones; the table has their day-ahead forecasts alone. Hours of the day are UTC.

    The constants of this module are calibrated to PJM's zone COMED, day ahead, 2013 to 2018. Two years of hours:

    =====================================  =====  ===============  ==========
    statistic                              PJM    simulated, mean  tolerance
    =====================================  =====  ===============  ==========
    mean [$/MWh]                           30.5   30.4             3
    standard deviation [$/MWh]             19.4   17.8             4
    autocorrelation at 24 hours [-]        0.59   0.56             0.06
    above mean + 3 sd [%]                  0.9    1.2              0.4
    below zero [%]                         0.2    0.2              0.15
    MAE of a ridge over the EPF naive [-]  0.66   0.61             0.07
    =====================================  =====  ===============  ==========

    The tolerance is that of the mean of many seeds, to which a test holds it. One seed differs from another as PJM's
    pairs of years do: their standard deviation was 28, 12 and 11 $/MWh.

    Parameters
    ----------
    start : str
        First day.
    days : int
        Days, 1 or more.
    freq : {"1h", "30min", "15min", "5min"}
        Interval. The processes are exact in time, so that the statistics do not depend on it.
    rng : Generator
        Draws everything; the same state gives the same market.

    Returns
    -------
    DataFrame
        A `prices` table: ``price`` [$/MWh], ``load_forecast`` and ``wind_forecast`` [MW]; attrs say "simulated".

    Raises
    ------
    DataError
        If `start` is no date, `days` is below 1 or no whole number, or `freq` is another.

    References
    ----------
    .. [1] A. Cartea and P. Villaplana, "Spot price modeling and the valuation of electricity forward contracts: the
       role of demand and capacity," J. Banking & Finance 32(12), 2008, doi:10.1016/j.jbankfin.2008.04.006.

    Examples
    --------
    >>> prices = simulate_market("2024-01-01", 7, rng=np.random.default_rng(7))
    >>> prices.shape, prices.columns.tolist(), prices.attrs["simulated"]
    ((168, 3), ['price', 'load_forecast', 'wind_forecast'], True)
    """
    times = _times(start, days, freq)
    step_hours = pd.Timedelta(freq) / pd.Timedelta(hours=1)
    load, load_forecast = _load(times, step_hours, rng)
    wind, wind_forecast = _wind(times, step_hours, rng)
    price = _price(load - wind, step_hours, rng)
    columns = {"price": price, "load_forecast": 1000 * load_forecast, "wind_forecast": 1000 * wind_forecast}
    prices = pd.DataFrame(columns, index=times)
    note = "This market is simulated, with statistics near those of PJM, 2013 to 2018: no price of it was ever paid."
    prices.attrs = {"source": "simulated market", "simulated": True, "notes": [note]}
    return validate(prices, "prices")


def _times(start: str, days: int, freq: str) -> pd.DatetimeIndex:
    if freq not in FREQS:
        raise DataError(f"freq must be one of {', '.join(FREQS)}, got {freq!r}")
    if isinstance(days, bool) or not isinstance(days, int | np.integer) or days < 1:
        raise DataError(f"days must be a whole number, 1 or more, got {days!r}")
    first = pd.to_datetime(start, format="%Y-%m-%d", errors="coerce", utc=True)
    if pd.isna(first):
        raise DataError(f"start must be a date such as '2024-01-01', got {start!r}")
    end = first + pd.Timedelta(days=days)
    return pd.date_range(first, end, freq=freq, inclusive="left", name="time", unit="us")


def _load(times: pd.DatetimeIndex, step_hours: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Load and its forecast [GW]; weather counts for more in winter and summer than between them."""
    year, hour = _year_angle(times), _hour(times)
    winter = (1 + np.cos(year)) / 2
    day = winter * _by_hour(WINTER_DAY, hour) + (1 - winter) * _by_hour(SUMMER_DAY, hour)
    season = 1 + 0.02 * np.cos(year) + 0.10 * np.cos(2 * year)
    weather = path(WEATHER, len(times), step_hours, rng) * (1 + 0.5 * np.cos(2 * year))
    load = MEAN_LOAD_GW * season * day * np.take(WEEK, times.dayofweek) * np.exp(weather)
    forecast = load * np.exp(path(LOAD_ERROR, len(times), step_hours, rng))
    return np.asarray(load), np.asarray(forecast)


def _wind(times: pd.DatetimeIndex, step_hours: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Wind and its forecast [GW]; more of it in winter and at night."""
    usual = -1.1 + 0.5 * np.cos(_year_angle(times)) + 0.15 * np.cos(2 * np.pi * (_hour(times) - 2) / 24)
    logit = usual + path(WIND, len(times), step_hours, rng)
    error = path(WIND_ERROR, len(times), step_hours, rng)
    return WIND_CAPACITY_GW / (1 + np.exp(-logit)), WIND_CAPACITY_GW / (1 + np.exp(-logit - error))


def _price(net_load: Floats, step_hours: float, rng: np.random.Generator) -> Floats:
    """Price [$/MWh] at a load less wind [GW]."""
    n_steps = len(net_load)
    tight = net_load + path(OUTAGES, n_steps, step_hours, rng)
    supply = 27.0 * np.exp(0.013 * (tight - 84)) + 6 * np.exp(np.minimum(0.13 * (tight - 130), 3.4))
    excess = 4 * np.exp(np.minimum((60 - tight) / 8, 2.5))
    fuel = np.exp(path(FUEL, n_steps, step_hours, rng))
    noise = path(HOURLY_NOISE, n_steps, step_hours, rng) + path(DAILY_NOISE, n_steps, step_hours, rng)
    above = np.clip(path(TIGHTNESS, n_steps, step_hours, rng) - SCARCE_ABOVE, 0, SCARCE_AT_MOST)
    scarcity = np.exp(SCARCE_SLOPE * above)
    price = fuel * (supply * scarcity * (1 + noise + _spikes(n_steps, step_hours, rng)) - excess)
    return np.asarray(np.clip(price, LEAST_PRICE, GREATEST_PRICE))


def path(process: Reverting, n_steps: int, step_hours: float, rng: np.random.Generator) -> Floats:
    """A stationary path at any step, exact in law."""
    keep = np.exp(-step_hours / process.hours)
    shocks = process.sd * rng.normal(size=n_steps)
    shocks[1:] *= np.sqrt(1 - keep**2)
    return _decaying_sum(shocks, keep)


def _spikes(n_steps: int, step_hours: float, rng: np.random.Generator) -> Floats:
    """Poisson arrivals of exponential height that decay, as shares of the price."""
    arrives = rng.random(n_steps) < -np.expm1(-SPIKES_PER_HOUR * step_hours)
    return _decaying_sum(arrives * rng.exponential(SPIKE_MEAN, n_steps), np.exp(-step_hours / SPIKE_HOURS))


def _decaying_sum(shocks: Floats, keep: float) -> Floats:
    """``y[t] = keep * y[t - 1] + shocks[t]``, which is pandas' exponentially weighted sum."""
    scaled = shocks / np.where(np.arange(len(shocks)) == 0, 1.0, 1 - keep)
    return np.asarray(pd.Series(scaled).ewm(alpha=1 - keep, adjust=False).mean())


def _hour(times: pd.DatetimeIndex) -> Floats:
    return np.asarray(times.hour + times.minute / 60, dtype=float)


def _year_angle(times: pd.DatetimeIndex) -> Floats:
    """Angle of the day in the year, zero on 20 January."""
    return np.asarray(2 * np.pi * (times.dayofyear - 20) / 365.25, dtype=float)


def _by_hour(shape: tuple[float, ...], hour: Floats) -> Floats:
    return np.interp(hour, np.arange(24), shape, period=24)
