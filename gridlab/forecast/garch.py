"""A regression for each slot whose errors have a conditional variance, so that bands widen in wild times."""

from dataclasses import dataclass

import numpy as np

from gridlab.days import Days, Floats
from gridlab.features import LAG_DAYS, before
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.transform import AsinhScale, asinh_scale, intervals
from gridlab.volatility import LEAST_SHOCKS, Garch, fit_garch

RIDGE = 1e-2
"""Penalty, a row, on coefficients of regressors of unit size."""

MEMORY_DAYS = 182
"""Days of errors from which the variance of the next day is reckoned."""


@dataclass(frozen=True)
class GarchModel:
    """Coefficients and error of every slot on the asinh scale, the variance of a day's shock, and the scales around."""

    price: AsinhScale
    inputs: AsinhScale
    coefficients: Floats
    error_sd: Floats
    shock: Garch | None
    least: float
    greatest: float

    def to_price(self, transformed: Floats) -> Floats:
        """Prices of forecasts on the asinh scale, which may pass what was seen by a factor e."""
        return self.price.back(np.clip(transformed, self.least, self.greatest))

    def slope(self, transformed: Floats) -> Floats:
        """Change of the price with the asinh scale."""
        return np.asarray(np.cosh(np.clip(transformed, self.least, self.greatest)) * self.price.spread)


class RegressionGarch(DayAheadForecaster):
    r"""
    A linear regression for each slot with GARCH errors of Student's t, whose variance sets the width of the bands.

    The regressors are the field's expert model [1]_ on the scale of asinh: the slot's price of 1, 2, 3 and 7 days
    before; least, greatest, mean and last price of the day before, and mean of the week before; the slot's inputs of
    the day and the day before and their mean over the day; and the weekday, under a light ridge penalty. A day's shock
    is the root mean square of its errors, each in standard deviations of its slot, with the sign of their mean; its
    variance follows a GARCH(p, q) with Student t shocks [2]_ from day to day. The spread of a slot is its standard
    deviation, times the conditional one of the day's shock, times the slope of the price at the forecast.

    Parameters
    ----------
    window_days : int
        Days of history used, at most. [d]
    p, q : int
        Past squared shocks, at least 1, and past variances of the GARCH. With fewer than 50 days of errors, or none
        that is not 0, the variance is constant.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] F. Ziel and R. Weron, "Day-ahead electricity price forecasting with high-dimensional structures: univariate
       vs. multivariate modeling frameworks," Energy Economics 70, 2018, doi:10.1016/j.eneco.2017.12.016.
    .. [2] T. Bollerslev, "A conditionally heteroskedastic time series model for speculative prices and rates of
       return," Review of Economics and Statistics 69(3), 1987, doi:10.2307/1925546.

    Examples
    --------
    >>> from gridlab.forecast.garch import RegressionGarch
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = RegressionGarch().fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    min_history_days = 28

    def __init__(self, window_days: int = 728, p: int = 1, q: int = 1, *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        self.p = p
        self.q = q
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> GarchModel:
        closed, whole = past_closed(history[-self.window_days :])
        scale = asinh_scale(closed.price[whole].reshape(-1, 1))
        input_scale = asinh_scale(intervals(closed.inputs[~np.isnan(closed.inputs).any(axis=(1, 2))]))
        X, Y = _regressors(closed, scale, input_scale), scale.forward(closed.price)
        usable = whole & ~np.isnan(X).any(axis=(1, 2))
        coefficients = _ridge(X[usable], Y[usable])
        error = np.where(usable[:, None], Y - _fitted(X, coefficients), np.nan)[max(LAG_DAYS) :]
        error_sd = np.sqrt(np.nanmean(error**2, axis=0))
        error_sd[error_sd < np.finfo(float).eps * (1 + np.abs(Y).max())] = 1.0
        shock = self._shock_model(_shocks(error, error_sd))
        return GarchModel(scale, input_scale, coefficients, error_sd, shock, float(Y.min()) - 1, float(Y.max()) + 1)

    def _shock_model(self, shocks: Floats) -> Garch | None:
        known = shocks[~np.isnan(shocks)]
        varies = len(known) >= LEAST_SHOCKS and bool((np.abs(known) > 1e-6).any())
        return fit_garch(known, p=self.p, q=self.q) if varies else None

    def _predict_day(self, model: GarchModel, history: Days, inputs: Floats) -> Floats:
        return model.to_price(self._transformed(model, history, inputs))

    def _spread(self, model: GarchModel, history: Days, inputs: Floats) -> Floats:
        """Conditional standard deviation of the day after `history`; shape (n_slots,). [$/MWh]."""
        steepness = model.slope(self._transformed(model, history, inputs))
        return np.asarray(np.sqrt(self._shock_variance(model, history)) * model.error_sd * steepness)

    def _transformed(self, model: GarchModel, history: Days, inputs: Floats) -> Floats:
        days = history[-max(LAG_DAYS) :].followed_by(np.zeros(history.n_slots), inputs)
        return np.asarray(_fitted(_regressors(days, model.price, model.inputs)[-1:], model.coefficients)[0])

    def _shock_variance(self, model: GarchModel, history: Days) -> float:
        if model.shock is None:
            return 1.0
        days = history[-MEMORY_DAYS - max(LAG_DAYS) :]
        forecast = _fitted(_regressors(days, model.price, model.inputs), model.coefficients)
        error = (model.price.forward(days.price) - forecast)[max(LAG_DAYS) :]
        return float(model.shock.variance(_shocks(error, model.error_sd))[-1])

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, int]]:
        """Give sktime's tests short windows and two orders."""
        return [{"window_days": 84}, {"window_days": 84, "p": 2}]


def _regressors(days: Days, scale: AsinhScale, input_scale: AsinhScale) -> Floats:
    """Of every day and slot, shape (n_days, n_slots, n_regressors); NaN in the first days."""
    price, inputs = scale.forward(days.price), input_scale.forward(days.inputs)
    yesterday = before(price, 1)
    of_day = [yesterday.min(axis=1), yesterday.max(axis=1), yesterday.mean(axis=1), yesterday[:, -1]]
    of_day += [before(price, 7).mean(axis=1), *np.eye(7)[days.dates.weekday].T]
    of_day += list(inputs.mean(axis=1).T)
    of_slot = [before(price, lag) for lag in LAG_DAYS]
    for i in range(inputs.shape[2]):
        of_slot += [inputs[:, :, i], before(inputs[:, :, i], 1)]
    return np.stack([*of_slot, *(np.broadcast_to(column[:, None], price.shape) for column in of_day)], axis=-1)


def _ridge(X: Floats, Y: Floats) -> Floats:
    """Coefficients of every slot, shape (n_slots, n_regressors)."""
    by_slot = X.transpose(1, 0, 2)
    gram = by_slot.transpose(0, 2, 1) @ by_slot + RIDGE * len(X) * np.eye(X.shape[2])
    moments = np.einsum("dsk,ds->sk", X, Y)
    return np.asarray(np.linalg.solve(gram, moments[:, :, None])[:, :, 0])


def _fitted(X: Floats, coefficients: Floats) -> Floats:
    return np.asarray(np.einsum("dsk,sk->ds", X, coefficients))


def _shocks(error: Floats, error_sd: Floats) -> Floats:
    """One a day, shape (n_days,): root mean square of its standardised errors, with the sign of their mean."""
    standard = error / error_sd
    return np.asarray(np.sqrt(np.mean(standard**2, axis=1)) * np.where(standard.mean(axis=1) < 0, -1.0, 1.0))
