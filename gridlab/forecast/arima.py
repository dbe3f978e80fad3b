"""ARIMA errors around Fourier terms and the inputs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gridlab.days import Days, Floats, filled
from gridlab.features import fourier
from gridlab.forecast.base import DayAheadForecaster
from gridlab.forecast.linear import Effects, Reach, Scales, input_effects, known_inputs, reach_of, scales_of

LEAST_POINTS, MOST_POINTS = 56, 28 * 24
LEAST_RANGE = 1e-8
"""Errors of the regression that span less than this, on the asinh scale, are rounding."""


@dataclass(frozen=True)
class ArimaModel:
    """
    A fit.

    Parameters
    ----------
    scales : Scales
        Of prices and inputs.
    effects : Effects
        Of the inputs.
    coefficients : ndarray, shape (n_terms,)
        Of a constant and the Fourier terms.
    errors : ARIMAResults or None
        The ARIMA of what is left; None where nothing is.
    reach : Reach
        Of the forecasts.
    """

    scales: Scales
    effects: Effects
    coefficients: Floats
    errors: Any
    reach: Reach


class Arima(DayAheadForecaster):
    """
    Regression on Fourier terms of the day and the week and on the inputs, with ARIMA errors.

    Prices and inputs pass through ``asinh``. The inputs' effects on each slot come from differences over a day and over
    a week, the Fourier terms are fitted by least squares, and the order of the errors' ARIMA is searched stepwise by
    AICc. The search is bounded: at most 672 points or a week, p up to 3, q up to 2, d up to 1, 30
    iterations a fit; the order and the parameters are kept for a week and filtered over each new day.

    Parameters
    ----------
    window_days : int
        Days of history used, at most; fewer where they hold more than 672 points, but at least 7, and 56
        points. [d]
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

    min_history_days = 28
    refit_days = 7

    def __init__(self, window_days: int = 28, *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> ArimaModel:
        window = self._window(filled(history))
        scales = scales_of(window)
        price, inputs = scales.price.forward(window.price), known_inputs(window.inputs, scales)
        effects = input_effects(price, inputs)
        rest = (price - effects.explain(inputs)).ravel()
        coefficients = np.asarray(np.linalg.lstsq(_terms(window), rest, rcond=None)[0], dtype=float)
        errors = rest - _terms(window) @ coefficients
        best = None if np.ptp(errors) < LEAST_RANGE else _best_arima(errors)
        return ArimaModel(scales, effects, coefficients, best, reach_of(price))

    def _predict_day(self, model: ArimaModel, history: Days, inputs: Floats) -> Floats:
        days = self._window(history).followed_by(np.zeros(history.n_slots), inputs)
        mean = _terms(days) @ model.coefficients
        mean += model.effects.explain(known_inputs(days.inputs, model.scales)).ravel()
        past, tomorrow = mean[: -history.n_slots], mean[-history.n_slots :]
        if model.errors is not None:
            errors = model.scales.price.forward(days.price[:-1].ravel()) - past
            tomorrow = tomorrow + model.errors.apply(errors).forecast(history.n_slots)
        return model.scales.price.back(model.reach.clip(tomorrow))

    def _window(self, history: Days) -> Days:
        least, most = max(7, LEAST_POINTS // history.n_slots), MOST_POINTS // history.n_slots
        return history[-max(least, min(self.window_days, most)) :]

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, int]]:
        """Give sktime's tests a week and a fortnight."""
        return [{"window_days": 7}, {"window_days": 14}]


def _best_arima(errors: Floats) -> Any:
    """The fitted ARIMA of the order that a stepwise search finds to have the least AICc."""
    import pmdarima

    search = pmdarima.auto_arima(
        errors,
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
    return search.arima_res_


def _terms(days: Days) -> Floats:
    """A constant and Fourier terms of the clock, shape (n_days n_slots, n_terms)."""
    step = pd.Timedelta(days=1) / days.n_slots
    clock = pd.date_range(days.dates[0], periods=len(days) * days.n_slots, freq=step, tz="UTC")
    return np.column_stack([np.ones(len(clock)), fourier(clock)])
