"""The season of prices: their asinh less its mean by hour and weekday, so that a process may be fitted to the rest."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.days import zone
from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]

MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Season:
    """
    Scale of the prices' asinh, and its mean by weekday and hour of the market's clock.

    Parameters
    ----------
    median, spread : float
        The transform is ``asinh((price - median) / spread)``. [$/MWh]
    profile : ndarray, shape (7, 24)
        Its mean, Monday first. [-]
    market_tz : str
        Time zone of the clock.
    """

    median: float
    spread: float
    profile: Floats
    market_tz: str = "UTC"

    def remove(self, prices: pd.DataFrame) -> pd.Series:
        """
        What is left of prices without their season; NaN in a gap. [-]

        Parameters
        ----------
        prices : DataFrame
            A `prices` table.
        """
        validate(prices, "prices")
        scaled = np.arcsinh((prices["price"].to_numpy(float) - self.median) / self.spread)
        return pd.Series(scaled - self._means(prices.index), prices.index, name="x")

    def restore(self, x: ArrayLike, times: pd.DatetimeIndex) -> Floats:
        """
        Prices of paths without season. [$/MWh]

        Parameters
        ----------
        x : array_like, shape (..., n_steps)
            Paths. [-]
        times : DatetimeIndex, shape (n_steps,)
            Their UTC times.
        """
        values = np.asarray(x, dtype=float)
        if values.shape[-1:] != (len(times),):
            raise DataError(f"paths of shape {values.shape} need as many times as steps, got {len(times)}")
        return np.asarray(np.sinh(values + self._means(times)) * self.spread + self.median)

    def _means(self, times: pd.Index) -> Floats:
        weekday, hour = _clock(times, self.market_tz)
        return np.asarray(self.profile[weekday, hour])


def calibrate_season(prices: pd.DataFrame, *, market_tz: str = "UTC") -> Season:
    """
    Scale and season of a price series, on a scale on which spikes are tame and prices may be negative [1]_.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table. An hour of the week without a price takes the mean of the hour, or else of all.
    market_tz : str
        Time zone of the clock.

    Returns
    -------
    Season

    Raises
    ------
    DataError
        If the table breaks its schema or has no price, or there is no such time zone.

    References
    ----------
    .. [1] B. Uniejewski, R. Weron and F. Ziel, "Variance stabilizing transformations for electricity spot price
       forecasting," IEEE Trans. Power Systems 33(2), 2018, doi:10.1109/TPWRS.2017.2734563.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=28)
    >>> season = calibrate_season(prices)
    >>> x = season.remove(prices)
    >>> abs(round(float(x.mean()), 9)), bool(np.allclose(season.restore(x, prices.index), prices["price"]))
    (0.0, True)
    """
    known = validate(prices, "prices")["price"].dropna()
    if known.empty:
        raise DataError("the prices are all NaN and have no season: give a period with prices")
    values = known.to_numpy(float)
    median = float(np.median(values))
    spread = MAD_TO_SD * float(np.median(np.abs(values - median))) or float(values.std()) or 1.0
    weekday, hour = _clock(known.index, market_tz)
    cell = 24 * weekday + hour
    scaled = np.arcsinh((values - median) / spread)
    by_cell, by_hour = _means(scaled, cell, 168).reshape(7, 24), _means(scaled, hour, 24)
    by_hour = np.where(np.isnan(by_hour), scaled.mean(), by_hour)
    return Season(median, spread, np.where(np.isnan(by_cell), by_hour, by_cell), market_tz)


def _means(values: Floats, cell: NDArray[np.int64], n_cells: int) -> Floats:
    """Mean of the values of each cell, NaN where there is none."""
    count, total = np.bincount(cell, minlength=n_cells), np.bincount(cell, values, n_cells)
    return np.asarray(np.divide(total, count, out=np.full(n_cells, np.nan), where=count > 0))


def _clock(times: pd.Index, market_tz: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    local = pd.DatetimeIndex(times).tz_convert(zone(market_tz))
    return local.weekday.to_numpy().astype(np.int64), local.hour.to_numpy().astype(np.int64)
