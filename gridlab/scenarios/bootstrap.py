"""The residual bootstrap: whole days of past errors, drawn around a forecast."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BootstrapParams:
    """
    Errors of past forecasts, one row a forecast.

    Parameters
    ----------
    residuals : ndarray, shape (n_days, n_steps)
        Price less forecast mean, in order of lead. [$/MWh]
    left_out : int
        Forecasts not used: those with a NaN, and those of another length, such as days of 23 and 25 hours.
    """

    residuals: Floats
    left_out: int


def calibrate_bootstrap(forecast: pd.DataFrame, prices: pd.DataFrame) -> BootstrapParams:
    """
    Collect the errors of past forecasts, whole days at a time.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table of days that are over.
    prices : DataFrame
        A `prices` table that covers them.

    Returns
    -------
    BootstrapParams

    Raises
    ------
    DataError
        If a table breaks its schema or no forecast is complete.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> calibrate_bootstrap(mock_forecast(days=7), mock_prices(days=7)).residuals.shape
    (7, 24)
    """
    price = past_prices(forecast, prices)
    residuals, left_out = whole_days(price - forecast["mean"])
    return BootstrapParams(residuals, left_out)


def simulate_bootstrap(params: BootstrapParams, mean: ArrayLike, *, n_paths: int, rng: np.random.Generator) -> Floats:
    """
    Draw whole days of past errors, with replacement, around a forecast.

    Parameters
    ----------
    params : BootstrapParams
        Errors of past forecasts.
    mean : array_like, shape (n_steps,)
        The forecast. [$/MWh]
    n_paths : int
        Paths to draw.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (n_paths, n_steps)
        Price paths. [$/MWh]

    Raises
    ------
    DataError
        If `mean` is not as long as the errors, or `n_paths` is below 1.

    Examples
    --------
    >>> params = BootstrapParams(residuals=np.array([[-1.0, 2.0], [3.0, 0.0]]), left_out=0)
    >>> simulate_bootstrap(params, [10, 20], n_paths=3, rng=np.random.default_rng(0)).tolist()
    [[13.0, 20.0], [13.0, 20.0], [13.0, 20.0]]
    """
    mean = np.asarray(mean, dtype=float)
    n_days, n_steps = params.residuals.shape
    if mean.shape != (n_steps,):
        raise DataError(
            f"mean must have shape ({n_steps},), as the errors have, got {mean.shape}: bring days of other lengths "
            "to the slots of a day with gridlab.days.fold"
        )
    if not np.isfinite(mean).all():
        raise DataError(f"mean must be finite, got {mean[~np.isfinite(mean)][0]}: forecast every step of the path")
    if n_paths < 1:
        raise DataError(f"n_paths must be at least 1, got {n_paths}")
    return np.asarray(mean + params.residuals[rng.integers(n_days, size=n_paths)])


def past_prices(forecast: pd.DataFrame, prices: pd.DataFrame) -> pd.Series:
    """
    The prices of a forecast's times, by its index; NaN where there is none.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> int(past_prices(mock_forecast(days=2), mock_prices(days=1)).isna().sum())
    24
    """
    validate(forecast, "forecast"), validate(prices, "prices")
    if forecast.empty:
        raise DataError("the forecast has no rows, and so no errors: give at least one day that is over")
    return pd.Series(prices["price"].reindex(forecast.index.get_level_values("time")).to_numpy(float), forecast.index)


def whole_days(values: pd.Series) -> tuple[Floats, int]:
    """
    Values of a forecast's times, one row a forecast, and the number of forecasts left out.

    Left out are those with a NaN and those that are not of the usual length.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast
    >>> days, left_out = whole_days(mock_forecast(days=3)["mean"][:-1])
    >>> days.shape, left_out
    ((2, 24), 1)
    """
    by_origin = [day.to_numpy() for _, day in values.sort_index().groupby(level="origin")]
    lengths = [len(day) for day in by_origin]
    usual = max(set(lengths), key=lengths.count)
    whole = [day for day in by_origin if len(day) == usual and not np.isnan(day).any()]
    if not whole:
        raise DataError(f"none of the {len(by_origin)} forecasts has a price for each of its times: add days")
    return np.stack(whole), len(by_origin) - len(whole)
