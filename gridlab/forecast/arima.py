"""ARIMA errors around Fourier terms and the inputs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridlab.days import Days, Floats, filled
from gridlab.features import fourier
from gridlab.forecast.base import DayAheadForecaster
from gridlab.forecast.transform import AsinhScale, asinh_scale, intervals

MOST_POINTS = 28 * 24


@dataclass(frozen=True)
class ArimaModel:
    """Coefficients of the regression, the fitted ARIMA of its errors, and the scales around them."""

    price: AsinhScale
    inputs: AsinhScale
    coefficients: Floats
    errors: Any


class Arima(DayAheadForecaster):
    """
    Regression on Fourier terms of the day and the week and on the inputs, with ARIMA errors.

    Prices pass through ``asinh``; the regression is fitted by least squares, and the order of its errors' ARIMA is
    searched stepwise by AICc. The search is bounded: at most 672 points or a week, p up to 3, q up to 2, d up to 1, 30
    iterations a fit; the order and the parameters are kept for a week and filtered over each new day.

    Parameters
    ----------
    window_days : int
        Days of history used, at most; fewer where they hold more than 672 points, but never fewer than 7. [d]
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] R. J. Hyndman and Y. Khandakar, "Automatic time series forecasting: the forecast package for R," J.
       Statistical Software 27(3), 2008, doi:10.18637/jss.v027.i03.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=30)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Arima(window_days=14).fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    refit_days = 7

    def __init__(self, window_days: int = 28, *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> ArimaModel:
        import pmdarima

        window = self._window(filled(history))
        price_scale = asinh_scale(window.price.reshape(-1, 1))
        input_scale = asinh_scale(intervals(window.inputs))
        X, y = _regressors(window, input_scale), price_scale.forward(window.price.ravel())
        coefficients = np.asarray(np.linalg.lstsq(X, y, rcond=None)[0], dtype=float)
        errors = pmdarima.auto_arima(
            y - X @ coefficients,
            seasonal=False,
            with_intercept=False,
            start_p=1,
            start_q=0,
            max_p=3,
            max_q=2,
            max_d=1,
            maxiter=30,
            information_criterion="aicc",
            suppress_warnings=True,
            error_action="ignore",
        )
        return ArimaModel(price_scale, input_scale, coefficients, errors.arima_res_)

    def _predict_day(self, model: ArimaModel, history: Days, inputs: Floats) -> Floats:
        window = self._window(history)
        X, y = _regressors(window, model.inputs), model.price.forward(window.price.ravel())
        tomorrow = window[-1:].followed_by(np.zeros(window.n_slots), inputs)[1:]
        errors = model.errors.apply(y - X @ model.coefficients).forecast(window.n_slots)
        return model.price.back(_regressors(tomorrow, model.inputs) @ model.coefficients + errors)

    def _window(self, history: Days) -> Days:
        return history[-max(7, min(self.window_days, MOST_POINTS // history.n_slots)) :]

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> dict[str, int]:
        """Give sktime's tests a short window."""
        return {"window_days": 7}


def _regressors(days: Days, input_scale: AsinhScale) -> Floats:
    """A constant, Fourier terms of the clock and the inputs, shape (n_days n_slots, n_regressors)."""
    step = pd.Timedelta(days=1) / days.n_slots
    clock = pd.date_range(days.dates[0], periods=len(days) * days.n_slots, freq=step, tz="UTC")
    inputs = input_scale.forward(days.inputs.reshape(len(clock), -1))
    return np.column_stack([np.ones(len(clock)), fourier(clock), inputs])
