"""Scores of forecasts against what happened."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from gridlab.days import WEEKLY_DAYS, filled, fold, market_dates, unfold
from gridlab.errors import DataError
from gridlab.schema import quantiles_of, validate


def score(
    forecast: pd.DataFrame, prices: pd.DataFrame, *, by: Literal["all", "hour"] = "all", market_tz: str = "UTC"
) -> pd.DataFrame:
    """
    Errors of forecasts against what happened.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table; with a first index level `model`, each model is scored apart
        (``pd.concat({"naive": a, "lear": b}, names=["model"])``).
    prices : DataFrame
        A `prices` table; times without a price are left out.
    by : {"all", "hour"}
        One row over all times, or one for each hour of the market's clock.
    market_tz : str
        Time zone of the clock.

    Returns
    -------
    DataFrame
        `mae` and `rmse` [$/MWh]; `rmae`, the MAE over that of the EPF-standard naive (week on Monday, Saturday and
        Sunday, else the day before) on the times for which there is one [-]; `smape`, 200 |e| / (|p| + |f|) [%]; with
        quantiles `pinball`, their mean pinball loss [$/MWh], and `coverage_<p>`, the share of prices within each
        central interval of p % [-]; `n`, the number of times.

    Raises
    ------
    DataError
        If a table is malformed or they have no time in common.

    References
    ----------
    .. [1] J. Lago, G. Marcjasz, B. De Schutter and R. Weron, "Forecasting day-ahead electricity prices: a review of
       state-of-the-art algorithms, best practices and an open-access benchmark," Applied Energy 293, 2021,
       doi:10.1016/j.apenergy.2021.116983.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> score(mock_forecast(), mock_prices())[["mae", "coverage_80", "n"]].round(2)
          mae  coverage_80    n
    all  5.55         0.99  168
    """
    validate(prices, "prices")
    models = forecast.index.droplevel(["origin", "time"]) if "model" in forecast.index.names else None
    errors = _errors(forecast, prices, market_tz)
    keys: list[Any] = [] if models is None else [models[errors.pop("row")].rename("model")]
    if by == "hour":
        times = pd.DatetimeIndex(errors["time"])
        keys.append(pd.Index(times.tz_convert(market_tz).hour, name="hour"))
    errors = errors.drop(columns=["time", "row"], errors="ignore")
    groups = errors.groupby(keys) if keys else errors.groupby(np.repeat("all", len(errors)))
    table = groups.mean()
    table.insert(1, "rmse", np.sqrt(table.pop("square")))
    table.insert(2, "rmae", table.pop("mae_beside_naive") / table.pop("naive"))
    return table.assign(n=groups.size())


def _errors(forecast: pd.DataFrame, prices: pd.DataFrame, market_tz: str) -> pd.DataFrame:
    """One row for each time with a price: the loss of each kind, and of the naive."""
    times = pd.DatetimeIndex(forecast.index.get_level_values("time"))
    actual = prices["price"].reindex(times).to_numpy(dtype=float)
    found = np.flatnonzero(~np.isnan(actual))
    if not len(found):
        raise DataError("forecast and prices have no time in common: give the prices of the forecast's period")
    actual, mean = actual[found], forecast["mean"].to_numpy(dtype=float)[found]
    error, size = np.abs(actual - mean), np.abs(actual) + np.abs(mean)
    naive = np.abs(actual - _standard_naive(prices, market_tz).reindex(times[found]).to_numpy())
    columns = {
        "row": found,
        "time": times[found],
        "mae": error,
        "square": error**2,
        "naive": naive,
        "mae_beside_naive": np.where(np.isnan(naive), np.nan, error),
        "smape": np.divide(200 * error, size, out=np.zeros_like(error), where=size > 0),
    }
    levels = quantiles_of(forecast)
    values = {level: forecast[name].to_numpy(dtype=float)[found] for name, level in levels.items()}
    if levels:
        losses = [np.maximum(q * (actual - v), (q - 1) * (actual - v)) for q, v in values.items()]
        columns["pinball"] = np.mean(losses, axis=0)
    for low, high in _central_pairs(list(values)):
        columns[f"coverage_{round(100 * (high - low))}"] = (values[low] <= actual) & (actual <= values[high])
    return pd.DataFrame(columns)


def _central_pairs(levels: list[float]) -> list[tuple[float, float]]:
    return [(low, high) for low in levels for high in levels if low < 0.5 and abs(low + high - 1) < 1e-9]


def _standard_naive(prices: pd.DataFrame, market_tz: str) -> pd.Series:
    """Price of the week before on Monday, Saturday and Sunday, of the day before otherwise."""
    known = filled(fold(prices[["price"]], market_tz))
    day, week = (np.vstack([np.full((lag, known.n_slots), np.nan), known.price[:-lag]]) for lag in (1, 7))
    weekly = np.isin(known.dates.weekday, WEEKLY_DAYS)
    naive = np.where(weekly[:, None], week[: len(known)], day[: len(known)])
    times = pd.DatetimeIndex(prices.index)
    times = times[market_dates(times, market_tz) >= known.dates[0]]
    return pd.Series(unfold(naive, known.dates, times, market_tz), index=times)
