"""Regression on wavelet-denoised prices."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlab.days import Days, Floats
from gridlab.features import before
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.transform import AsinhScale, asinh_scale, hourly, intervals

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
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] A. J. Conejo, M. A. Plazas, R. Espinola and A. B. Molina, "Day-ahead electricity price forecasting using the
       wavelet transform and ARIMA models," IEEE Trans. Power Systems 20(2), 2005, doi:10.1109/TPWRS.2005.846054.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Wavelet().fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    min_history_days = 28

    def __init__(self, window_days: int = 364, wavelet: str = "db4", *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        self.wavelet = wavelet
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
        smooth[complete] = denoise(past[complete], self.wavelet)
        hours = [np.arange(24) + 24 * (PAST_DAYS - lag) for lag in LAG_DAYS]
        inputs = [hourly(input_scale.forward(days.inputs)[:, :, i]) for i in range(days.inputs.shape[2])]
        return np.hstack([smooth[:, np.concatenate(hours)], *inputs, np.eye(7)[days.dates.weekday]])

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> dict[str, int]:
        """Give sktime's tests a short window."""
        return {"window_days": 56}


def denoise(series: Floats, wavelet: str = "db4") -> Floats:
    """
    Rows with their wavelet details shrunk by the universal threshold.

    Parameters
    ----------
    series : ndarray, shape (n_series, n_times)
        One series a row, each treated by itself.
    wavelet : str
        Name of a discrete wavelet in PyWavelets.

    Returns
    -------
    ndarray, shape (n_series, n_times)

    References
    ----------
    .. [1] D. L. Donoho, "De-noising by soft-thresholding," IEEE Trans. Information Theory 41(3), 1995,
       doi:10.1109/18.382009.

    Examples
    --------
    >>> noisy = np.sin(np.arange(192) / 12) + np.random.default_rng(0).normal(0, 0.3, (1, 192))
    >>> clean = denoise(noisy) - np.sin(np.arange(192) / 12)
    >>> bool(clean.std() < 0.15)
    True
    """
    import pywt

    n_times = series.shape[1]
    approximation, *details = pywt.wavedec(series, wavelet, mode="symmetric", axis=-1)
    noise_sd = np.median(np.abs(details[-1]), axis=-1, keepdims=True) / 0.6745
    threshold = noise_sd * np.sqrt(2 * np.log(n_times))
    shrunk = [np.sign(d) * np.maximum(np.abs(d) - threshold, 0.0) for d in details]
    return np.asarray(pywt.waverec([approximation, *shrunk], wavelet, mode="symmetric", axis=-1)[:, :n_times])
