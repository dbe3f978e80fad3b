"""Unobserved components: level, trend and seasons, told apart by a Kalman filter."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlab.days import Days, Floats, filled
from gridlab.errors import DataError
from gridlab.forecast.base import DayAheadForecaster
from gridlab.forecast.linear import Effects, Reach, Scales, input_effects, known_inputs, reach_of, recent, scales_of
from gridlab.forecast.transform import hourly

MOST_ITERATIONS = 50
LEAST_RANGE = 1e-8
SEASON_DAYS = 7


@dataclass(frozen=True)
class ComponentsModel:
    """
    A fit.

    Parameters
    ----------
    scales : Scales
        Of prices and inputs.
    effects : Effects
        Of the inputs.
    within_hour : ndarray, shape (n_slots,)
        Average deviation of a slot from its hour's mean.
    parameters : ndarray or None
        Variances of the components; None for prices that the inputs explain wholly, or that never change.
    reach : Reach
        Of the forecasts.
    """

    scales: Scales
    effects: Effects
    within_hour: Floats
    parameters: Floats | None
    reach: Reach


class UnobservedComponents(DayAheadForecaster):
    """
    A level that wanders, a trend, seasons of the day and the week, and autoregressive noise, in a state-space model.

    The seasons are trigonometric and may change [1]_. The inputs enter linearly, with effects for each slot from the
    differences over a day and over a week. The variances are found by maximum likelihood and kept for 28 days, while
    every new day is filtered in. Prices and inputs pass through ``asinh``; intervals shorter than an hour are
    modelled by their hourly means and the average pattern within hours.

    Parameters
    ----------
    window_days : int
        Whole days of history used, at most; 14 or more. [d]
    harmonics : tuple of int
        Number of harmonics of the day and of the week; at most half the slots of either are used.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] A. C. Harvey, "Forecasting, Structural Time Series Models and the Kalman Filter," Cambridge University
       Press, 1990, ch. 2 and 4, doi:10.1017/CBO9781107049994.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=40)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = UnobservedComponents(14, (2, 1)).fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    min_history_days = 28
    refit_days = 28

    def __init__(self, window_days: int = 42, harmonics: Sequence[int] = (8, 3), *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        self.harmonics = harmonics
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> ComponentsModel:
        if len(self.harmonics) != 2 or min(self.harmonics) < 0:
            raise DataError(f"harmonics must be two numbers, of the day and of the week, got {self.harmonics}")
        window = filled(recent(history, self.window_days))
        scales = scales_of(window)
        price, inputs = scales.price.forward(window.price), known_inputs(window.inputs, scales)
        effects = input_effects(price, inputs)
        rest = price - effects.explain(inputs)
        parameters = None if np.ptp(rest) < LEAST_RANGE else _most_likely(self.state_space(hourly(rest)))
        within_hour = (rest - _by_slot(hourly(rest), rest)).mean(axis=0)
        return ComponentsModel(scales, effects, within_hour, parameters, reach_of(price))

    def _predict_day(self, model: ComponentsModel, history: Days, inputs: Floats) -> Floats:
        window = history[-self.window_days :]
        known = known_inputs(np.concatenate([window.inputs, inputs[None]]), model.scales)
        explained = model.effects.explain(known)
        rest = hourly(model.scales.price.forward(window.price) - explained[:-1])
        tomorrow = rest[-1:]
        if model.parameters is not None:
            filtered = self.state_space(rest).filter(model.parameters, cov_type="none")
            tomorrow = np.asarray(filtered.forecast(rest.shape[1]))[None]
        transformed = _by_slot(tomorrow, explained)[0] + model.within_hour + explained[-1]
        return model.scales.price.back(model.reach.clip(transformed))

    def state_space(self, series: Floats) -> Any:
        """
        The components of a series as a state-space model of statsmodels.

        Parameters
        ----------
        series : ndarray, shape (n_days, n_slots)
            On a scale on which spikes are tame.
        """
        from statsmodels.tsa.statespace.structural import UnobservedComponents as StateSpace

        periods = (series.shape[1], SEASON_DAYS * series.shape[1])
        counts = [min(count, period // 2) for count, period in zip(self.harmonics, periods, strict=True)]
        seasons = [{"period": p, "harmonics": n} for p, n in zip(periods, counts, strict=True) if n]
        trend = "local linear deterministic trend"
        return StateSpace(series.ravel(), level=trend, freq_seasonal=seasons, autoregressive=1)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests short windows and few states."""
        return [{"window_days": 14, "harmonics": (1, 0)}, {"window_days": 14, "harmonics": (2, 1)}]


def _most_likely(state_space: Any) -> Floats:
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # the iterations are bounded: after fifty the likelihood hardly rises
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = state_space.fit(method="lbfgs", maxiter=MOST_ITERATIONS, cov_type="none", disp=False)
    return np.asarray(fit.params, dtype=float)


def _by_slot(values: Floats, like: Floats) -> Floats:
    """Values by hour, repeated for each of the slots that `like` has in it."""
    return np.repeat(values, like.shape[1] // values.shape[1], axis=1)
