"""LEAR: a LASSO-estimated autoregressive model for each slot of the day."""

from dataclasses import dataclass

import numpy as np

from gridlab.days import Days, Floats
from gridlab.features import LAG_DAYS, before
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.transform import AsinhScale, asinh_scale, hourly

INPUT_LAG_DAYS = (0, 1, 7)


@dataclass(frozen=True)
class LearModel:
    """Coefficients of every slot's LASSO and the scales around them."""

    regressors: AsinhScale
    target: AsinhScale
    coefficients: Floats
    intercepts: Floats
    least: Floats
    greatest: Floats


class Lear(DayAheadForecaster):
    """
    LASSO-estimated autoregressive model, one for each slot of the day, refitted every day.

    Regressors: every hour's price of 1, 2, 3 and 7 days before, every hour's inputs of the day itself, the day
    before and the week before, and the weekday. All but the weekday pass through ``asinh`` of the deviation from the
    median in scaled median absolute deviations; the penalty is chosen by AICc.

    Parameters
    ----------
    window_days : int
        Days of history used, at most. [d]
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] J. Lago, G. Marcjasz, B. De Schutter and R. Weron, "Forecasting day-ahead electricity prices: a review of
       state-of-the-art algorithms, best practices and an open-access benchmark," Applied Energy 293, 2021,
       doi:10.1016/j.apenergy.2021.116983.
    .. [2] B. Uniejewski, R. Weron and F. Ziel, "Variance stabilizing transformations for electricity spot price
       forecasting," IEEE Trans. Power Systems 33(2), 2018, doi:10.1109/TPWRS.2017.2734563.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=40)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Lear().fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    min_history_days = 28

    def __init__(self, window_days: int = 728, *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> LearModel:
        from gridlab.forecast.lasso import lasso_by_aicc

        closed, whole = past_closed(history[-self.window_days :])
        raw, weekday = regressors(closed)
        usable = whole & ~np.isnan(raw).any(axis=1)
        scale, target = asinh_scale(raw[usable]), asinh_scale(closed.price[usable])
        X = np.hstack([scale.forward(raw[usable]), weekday[usable]])
        Y = target.forward(closed.price[usable])
        return LearModel(scale, target, *lasso_by_aicc(X, Y), Y.min(axis=0) - 1, Y.max(axis=0) + 1)

    def _predict_day(self, model: LearModel, history: Days, inputs: Floats) -> Floats:
        week = history[-7:].followed_by(np.zeros(history.n_slots), inputs)
        raw, weekday = regressors(week)
        row = np.concatenate([model.regressors.forward(raw[-1]), weekday[-1]])
        # a linear model on the asinh scale is exponential in prices: it may pass what it has seen by a factor e
        transformed = np.clip(row @ model.coefficients + model.intercepts, model.least, model.greatest)
        return model.target.back(transformed)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> dict[str, int]:
        """Give sktime's tests a short window."""
        return {"window_days": 56}


def regressors(days: Days) -> tuple[Floats, Floats]:
    """
    LEAR's regressors of each day: hourly lags and inputs, NaN where the history is too short, and weekday dummies.

    Returns
    -------
    lags : ndarray, shape (n_days, 24 (4 + 3 n_inputs))
    weekday : ndarray, shape (n_days, 7)
    """
    price = hourly(days.price)
    blocks = [before(price, lag) for lag in LAG_DAYS]
    for i in range(days.inputs.shape[2]):
        values = hourly(days.inputs[:, :, i])
        blocks += [before(values, lag) for lag in INPUT_LAG_DAYS]
    return np.hstack(blocks), np.eye(7)[days.dates.weekday]
