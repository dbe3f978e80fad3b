"""A Gaussian process from one day to the next."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlab.days import Days, Floats, filled
from gridlab.errors import DataError
from gridlab.features import before
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.linear import Reach, Scales, known_inputs, reach_of, recent, scales_of
from gridlab.forecast.transform import hourly

LAG_DAYS = (1, 7)
INPUT_LAG_DAYS = (0, 1)
MEMORY_DAYS = 7
SMOOTHNESS = (0.5, 1.5, 2.5)


@dataclass(frozen=True)
class GaussianProcessModel:
    """The kernel with its hyperparameters, the scales, and the reach of its forecasts."""

    scales: Scales
    kernel: Any
    reach: Reach


class GaussianProcess(DayAheadForecaster):
    """
    One Gaussian process for the whole day: all slots share a kernel on what is known of the day.

    A day is described by the prices of every hour 1 and 7 days before, every hour's inputs of the day and of the day
    before, and the weekday; each block counts alike in the distance between two days. The kernel is a Matern function
    of that distance, a linear one, and noise. The hyperparameters, found by marginal likelihood, are kept for 28
    days; the posterior is exact and is conditioned on the window before every day. Prices and inputs pass through
    ``asinh``.

    Parameters
    ----------
    window_days : int
        Whole days of history used, at most; 14 or more. Time grows with its cube. [d]
    smoothness : {0.5, 1.5, 2.5}
        The Matern kernel's nu. [-]
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning," MIT Press, 2006, ch. 2, 4.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = GaussianProcess(window_days=28).fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    min_history_days = 28
    refit_days = 28

    def __init__(self, window_days: int = 182, smoothness: float = 2.5, *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        self.smoothness = smoothness
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> GaussianProcessModel:
        if self.smoothness not in SMOOTHNESS:
            raise DataError(f"smoothness must be 0.5, 1.5 or 2.5, got {self.smoothness}")
        closed, whole = past_closed(recent(history, self.window_days))
        scales = scales_of(closed)
        X, Y = day_regressors(closed, scales), scales.price.forward(closed.price)
        usable = whole & ~np.isnan(X).any(axis=1)
        kernel = fit_kernel(X[usable], hourly(Y[usable]), self.smoothness)
        return GaussianProcessModel(scales, kernel, reach_of(Y))

    def _predict_day(self, model: GaussianProcessModel, history: Days, inputs: Floats) -> Floats:
        mean, _ = self._posterior(model, history, inputs)
        return model.scales.price.back(mean)

    def sigma_day(self, model: GaussianProcessModel, history: Days, inputs: Floats) -> Floats:
        """
        Standard deviation of the predictive distribution, noise included.

        It is that of the transformed price, carried to prices by the slope of the transform at the mean.

        Parameters
        ----------
        model : GaussianProcessModel
            From `fit_part`.
        history : Days
            Days up to the origin.
        inputs : ndarray, shape (n_slots, n_inputs)
            Inputs known ahead for the day to forecast.

        Returns
        -------
        ndarray, shape (n_slots,)
            [$/MWh]
        """
        mean, deviation = self._posterior(model, filled(history), inputs)
        return np.asarray(deviation * np.cosh(mean) * model.scales.price.spread)

    def _posterior(self, model: GaussianProcessModel, history: Days, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of every slot, on the scale of the transform."""
        days = history[-self.window_days - MEMORY_DAYS :].followed_by(np.zeros(history.n_slots), inputs)
        X, Y = day_regressors(days, model.scales), model.scales.price.forward(days.price)
        lost = min(MEMORY_DAYS, len(days) - 2)
        process = _conditioned(model.kernel, np.nan_to_num(X[lost:-1]), Y[lost:-1])
        mean, deviation = process.predict(X[-1:], return_std=True)
        return model.reach.clip(mean.ravel()), deviation.ravel()

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests short windows."""
        return [{"window_days": 21}, {"window_days": 14, "smoothness": 1.5}]


def day_regressors(days: Days, scales: Scales) -> Floats:
    """
    What is known of each day, each block of `n` columns divided by the root of `n`; NaN where history is too short.

    Parameters
    ----------
    days : Days
        Days whose gaps are closed.
    scales : Scales
        The scale of prices and inputs.

    Returns
    -------
    ndarray, shape (n_days, n_regressors)
    """
    price, inputs = hourly(scales.price.forward(days.price)), known_inputs(days.inputs, scales)
    blocks = [before(price, lag) for lag in LAG_DAYS]
    for i in range(inputs.shape[2]):
        blocks += [before(hourly(inputs[:, :, i]), lag) for lag in INPUT_LAG_DAYS]
    blocks.append(np.eye(7)[days.dates.weekday])
    return np.hstack([block / np.sqrt(block.shape[1]) for block in blocks])


def fit_kernel(X: Floats, Y: Floats, smoothness: float) -> Any:
    """
    The sum of a Matern, a linear and a noise kernel, of the greatest marginal likelihood for all columns of `Y`.

    Parameters
    ----------
    X : ndarray, shape (n_rows, n_regressors)
    Y : ndarray, shape (n_rows, n_targets)
    smoothness : float
        The Matern kernel's nu.

    Returns
    -------
    Kernel
        Of scikit-learn.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

    def variance(start: float) -> Any:
        return ConstantKernel(start, (1e-4, 1e3))

    curved = variance(1.0) * Matern(1.0, (0.1, 100.0), nu=smoothness)
    straight = variance(1.0) * DotProduct(1.0, sigma_0_bounds="fixed")
    with warnings.catch_warnings():
        # a hyperparameter at its bound says that the data has no use for its part of the kernel
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _process(curved + straight + WhiteKernel(0.1, (1e-4, 10.0))).fit(X, Y).kernel_


def _conditioned(kernel: Any, X: Floats, Y: Floats) -> Any:
    return _process(kernel, optimizer=None).fit(X, Y)


def _process(kernel: Any, **options: Any) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(kernel, normalize_y=True, **options)
