"""Regression on wavelet-denoised prices, and on the bands of prices, one model a band."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlab.days import Days, Floats
from gridlab.features import before
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.transform import AsinhScale, asinh_scale, hourly, intervals
from gridlab.wavelets import Threshold, causal_bands, denoise

__all__ = ["MultiScale", "Wavelet", "denoise"]

PAST_DAYS = 8
"""Days that are denoised together, the last of them the day before the forecast."""

LAG_DAYS = (1, 2, 7)
ALPHAS = tuple(10.0 ** np.arange(-1, 5))


@dataclass(frozen=True)
class WaveletModel:
    """A ridge regression for all slots, and the scales around it."""

    price: AsinhScale
    inputs: AsinhScale
    ridge: Any


class Wavelet(DayAheadForecaster):
    """
    Ridge regression on denoised prices of 1, 2 and 7 days before, the day's inputs, and the weekday.

    The eight days before each day are denoised by themselves, so that a row of the training set has met the same
    edge of the window as the day to forecast, and nothing after it.

    Parameters
    ----------
    window_days : int
        Days of history used, at most. [d]
    wavelet : str
        Name of a discrete wavelet in PyWavelets.
    threshold : {"universal", "sure", "bayes"}
        How much is taken for noise, as in `gridlab.wavelets.denoise`.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] A. J. Conejo, M. A. Plazas, R. Espinola and A. B. Molina, "Day-ahead electricity price forecasting using the
       wavelet transform and ARIMA models," IEEE Trans. Power Systems 20(2), 2005, doi:10.1109/TPWRS.2005.846054.

    Examples
    --------
    >>> from gridlab.forecast.wavelet import Wavelet
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Wavelet().fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    min_history_days = 28

    def __init__(
        self,
        window_days: int = 364,
        wavelet: str = "db4",
        *,
        threshold: Threshold = "bayes",
        market_tz: str = "UTC",
    ) -> None:
        self.window_days = window_days
        self.wavelet = wavelet
        self.threshold = threshold
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> WaveletModel:
        from sklearn.linear_model import RidgeCV

        window = history[-self.window_days :]
        closed, whole = past_closed(window)
        scale = asinh_scale(closed.price[whole].reshape(-1, 1))
        input_scale = asinh_scale(intervals(closed.inputs[~np.isnan(closed.inputs).any(axis=(1, 2))]))
        X = self._regressors(closed, scale, input_scale)
        usable = whole & ~np.isnan(X).any(axis=1)
        ridge = RidgeCV(alphas=ALPHAS).fit(X[usable], scale.forward(closed.price[usable]))
        return WaveletModel(scale, input_scale, ridge)

    def _predict_day(self, model: WaveletModel, history: Days, inputs: Floats) -> Floats:
        days = history[-PAST_DAYS:].followed_by(np.zeros(history.n_slots), inputs)
        return model.price.back(model.ridge.predict(self._regressors(days, model.price, model.inputs)[-1:])[0])

    def _regressors(self, days: Days, scale: AsinhScale, input_scale: AsinhScale) -> Floats:
        """Of each day, shape (n_days, n_regressors); NaN in the first days and after gaps."""
        price = hourly(scale.forward(days.price))
        past = np.hstack([before(price, lag) for lag in range(PAST_DAYS, 0, -1)])
        smooth = np.full_like(past, np.nan)
        complete = ~np.isnan(past).any(axis=1)
        smooth[complete] = denoise(past[complete], self.wavelet, threshold=self.threshold)
        per_day = price.shape[1]
        hours = [np.arange(per_day) + per_day * (PAST_DAYS - lag) for lag in LAG_DAYS]
        return np.hstack([smooth[:, np.concatenate(hours)], known_ahead(days, input_scale)])

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests short windows and two thresholds."""
        return [{"window_days": 56}, {"window_days": 56, "threshold": "sure"}]


@dataclass(frozen=True)
class MultiScaleModel:
    """A ridge regression for each band, the size of the bands, and the scales around them."""

    price: AsinhScale
    inputs: AsinhScale
    size: Floats
    ridges: tuple[Any, ...]
    least: float
    greatest: float


class MultiScale(DayAheadForecaster):
    """
    Prices forecast band by band: a ridge regression for each, whose forecasts add up.

    The bands are those of the Haar transform "with holes", of which no value depends on a later one [1]_: the mean of
    the last week or so, and what each halving of the span adds to it. A band's regressors are its own values of 1, 2
    and 7 days before, the day's inputs, and the weekday; each has a penalty of its own.

    Parameters
    ----------
    window_days : int
        Days of history used, at most. [d]
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] O. Renaud, J.-L. Starck and F. Murtagh, "Wavelet-based combined signal filtering and prediction," IEEE
       Trans. Systems, Man, and Cybernetics B 35(6), 2005, doi:10.1109/TSMCB.2005.850182.

    Examples
    --------
    >>> from gridlab.forecast.wavelet import MultiScale
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = MultiScale().fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    min_history_days = 28

    def __init__(self, window_days: int = 364, *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> MultiScaleModel:
        from sklearn.linear_model import RidgeCV

        closed, whole = past_closed(history[-self.window_days :])
        scale = asinh_scale(closed.price[whole].reshape(-1, 1))
        input_scale = asinh_scale(intervals(closed.inputs[~np.isnan(closed.inputs).any(axis=(1, 2))]))
        target = scale.forward(closed.price)
        bands = day_bands(target)
        size = bands.std(axis=(1, 2))
        size[size == 0] = 1.0
        known, ridges = known_ahead(closed, input_scale), []
        for band in bands / size[:, None, None]:
            X = np.hstack([lagged(band), known])
            usable = whole & ~np.isnan(X).any(axis=1)
            ridges.append(RidgeCV(alphas=ALPHAS).fit(X[usable], band[usable]))
        return MultiScaleModel(scale, input_scale, size, tuple(ridges), target.min() - 1, target.max() + 1)

    def _predict_day(self, model: MultiScaleModel, history: Days, inputs: Floats) -> Floats:
        days = history[-4 * max(LAG_DAYS) :].followed_by(history.price[-1], inputs)
        bands = day_bands(model.price.forward(days.price))
        known = known_ahead(days[-1:], model.inputs)
        total = np.zeros(history.n_slots)
        for band, size, ridge in zip(bands, model.size, model.ridges, strict=True):
            total += size * ridge.predict(np.hstack([lagged(band / size)[-1:], known]))[0]
        return model.price.back(np.clip(total, model.least, model.greatest))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests short windows."""
        return [{"window_days": 56}, {"window_days": 42}]


def day_bands(price: Floats) -> Floats:
    """
    Bands by day and slot, without the future, the smooth over the most slots of a week that are a power of two.

    Examples
    --------
    >>> day_bands(np.ones((9, 24))).shape
    (8, 9, 24)
    """
    level = int(np.log2(7 * price.shape[1]))
    return causal_bands(price.ravel(), level=level).reshape(1 + level, *price.shape)


def lagged(values: Floats) -> Floats:
    """Hourly values of the days before, by `LAG_DAYS`; NaN where there are none."""
    return np.hstack([before(hourly(values), lag) for lag in LAG_DAYS])


def known_ahead(days: Days, scale: AsinhScale) -> Floats:
    """Hourly inputs of the day on their scale, and the weekday, shape (n_days, 24 n_inputs + 7)."""
    inputs = [hourly(scale.forward(days.inputs)[:, :, i]) for i in range(days.inputs.shape[2])]
    return np.hstack([*inputs, np.eye(7)[days.dates.weekday]])
