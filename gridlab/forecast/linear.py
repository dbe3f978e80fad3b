"""Linear regression on the expert's few lags, one for each slot of the day."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridlab.days import Days, Floats
from gridlab.errors import DataError
from gridlab.features import before
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.transform import AsinhScale, asinh_scale, intervals

LAG_DAYS = (1, 2, 7)
INPUT_LAG_DAYS = (0, 1, 7)
MEMORY_DAYS = 7
LEAST_WINDOW = 14
DIFFERENCE_DAYS = (1, 7)
EFFECT_PENALTY = 1e-4
POOLING = 0.5


@dataclass(frozen=True)
class Scales:
    """Scale of the prices of all slots, and of each input."""

    price: AsinhScale
    inputs: AsinhScale


@dataclass(frozen=True)
class Effects:
    """Usual inputs of each slot and the linear effects of deviations from them, each of shape (n_slots, n_inputs)."""

    usual: Floats
    coefficients: Floats

    def explain(self, inputs: Floats) -> Floats:
        """What the inputs of some days, (n_days, n_slots, n_inputs), add to the price of each slot."""
        return np.asarray(((inputs - self.usual) * self.coefficients).sum(axis=2))


@dataclass(frozen=True)
class Reach:
    """
    Transformed prices of each slot that a forecast may have, each of shape (n_slots,).

    On the scale of asinh a linear model is exponential in prices: as in LEAR, it may pass what it has seen by one,
    which is about a factor e.
    """

    least: Floats
    greatest: Floats

    def clip(self, transformed: Floats) -> Floats:
        """The forecast, held within reach."""
        return np.clip(transformed, self.least, self.greatest)


@dataclass(frozen=True)
class LinearModel:
    """Coefficients, shape (n_slots, n_regressors), and intercepts of every slot, and the reach of their forecasts."""

    scales: Scales
    coefficients: Floats
    intercepts: Floats
    reach: Reach


class Linear(DayAheadForecaster):
    """
    Least squares on the regressors of Ziel and Weron's expert model [1]_ and on the inputs, one regression a slot.

    The regressors are the price of the same slot 1, 2 and 7 days before, the least and the greatest price of the day
    before and its last one, the weekday, and of each input the slot's value on the day, the day before and the week
    before, and the day's mean. Prices and inputs pass through ``asinh``. All slots are solved at once.

    Parameters
    ----------
    window_days : int
        Whole days of history used, at most; 14 or more. [d]
    penalty : float
        Ridge penalty on standardised regressors, as heavy as that many days; 0 is least squares of least norm. [d]
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] F. Ziel and R. Weron, "Day-ahead electricity price forecasting with high-dimensional structures: univariate
       vs. multivariate modeling frameworks," Energy Economics 70, 2018, doi:10.1016/j.eneco.2017.12.016.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=100)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Linear().fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    min_history_days = 28

    def __init__(self, window_days: int = 182, penalty: float = 3.0, *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        self.penalty = penalty
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> LinearModel:
        if not self.penalty >= 0:
            raise DataError(f"penalty must be at least 0, got {self.penalty}")
        closed, whole = past_closed(recent(history, self.window_days))
        scales = scales_of(closed)
        X, Y = expert_regressors(closed, scales), scales.price.forward(closed.price)
        usable = whole & ~np.isnan(X).any(axis=(1, 2))
        coefficients, intercepts = _ridge(X[usable], Y[usable], self.penalty)
        return LinearModel(scales, coefficients, intercepts, reach_of(Y))

    def _predict_day(self, model: LinearModel, history: Days, inputs: Floats) -> Floats:
        days = history[-MEMORY_DAYS:].followed_by(np.zeros(history.n_slots), inputs)
        row = expert_regressors(days, model.scales)[-1]
        transformed = (row * model.coefficients).sum(axis=1) + model.intercepts
        return model.scales.price.back(model.reach.clip(transformed))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests short windows."""
        return [{"window_days": 56}, {"window_days": 28, "penalty": 20.0}]


def expert_regressors(days: Days, scales: Scales) -> Floats:
    """
    Regressors of each day and slot, NaN where the history is too short.

    Parameters
    ----------
    days : Days
        Days whose gaps are closed.
    scales : Scales
        The scale of prices and inputs.

    Returns
    -------
    ndarray, shape (n_days, n_slots, 13 + 4 n_inputs)
    """
    price, inputs = scales.price.forward(days.price), known_inputs(days.inputs, scales)
    day_before = before(price, 1)
    columns = [before(price, lag) for lag in LAG_DAYS]
    columns += [day_before.min(axis=1, keepdims=True), day_before.max(axis=1, keepdims=True), day_before[:, -1:]]
    columns += list(np.eye(7)[days.dates.weekday].T[:, :, None])
    for i in range(inputs.shape[2]):
        columns += [before(inputs[:, :, i], lag) for lag in INPUT_LAG_DAYS]
        columns.append(inputs[:, :, i].mean(axis=1, keepdims=True))
    return np.stack([np.broadcast_to(column, price.shape) for column in columns], axis=-1)


def recent(history: Days, n_whole: int) -> Days:
    """
    The end of a history that holds `n_whole` whole days, or all of it where it has fewer.

    Raises
    ------
    DataError
        If `n_whole` is below 14.
    """
    if n_whole < LEAST_WINDOW:
        raise DataError(f"window_days must be {LEAST_WINDOW} or more, got {n_whole}")
    return history[int(np.flatnonzero(history.is_whole)[-n_whole:][0]) :]


def scales_of(closed: Days) -> Scales:
    """The scales of prices and inputs, from the days on which every input is known."""
    known = closed.inputs[~np.isnan(closed.inputs).any(axis=(1, 2))]
    n_inputs = closed.inputs.shape[2]
    inputs = asinh_scale(intervals(known)) if len(known) else AsinhScale(np.zeros(n_inputs), np.ones(n_inputs))
    return Scales(asinh_scale(closed.price.reshape(-1, 1)), inputs)


def reach_of(transformed: Floats) -> Reach:
    """What forecasts may be after transformed prices, shape (n_days, n_slots)."""
    return Reach(transformed.min(axis=0) - 1, transformed.max(axis=0) + 1)


def known_inputs(inputs: Floats, scales: Scales) -> Floats:
    """Inputs on their scale, those that were not known yet at their median."""
    return np.nan_to_num(scales.inputs.forward(inputs))


def input_effects(price: Floats, inputs: Floats) -> Effects:
    """
    Linear effects of the inputs on each slot, by least squares on differences over a day and over a week.

    Differences leave out the level and the season, which belong to the model of what the inputs do not explain. Each
    slot's moments are pooled with those of all slots, which short windows need.

    Parameters
    ----------
    price : ndarray, shape (n_days, n_slots)
        On the scale of the model.
    inputs : ndarray, shape (n_days, n_slots, n_inputs)
        On theirs.

    Examples
    --------
    >>> load = np.random.default_rng(0).normal(size=(60, 1, 1))
    >>> input_effects(100 + 2 * load[:, :, 0], load).coefficients.round(2).tolist()
    [[2.0]]
    """
    X = np.concatenate([inputs[lag:] - inputs[:-lag] for lag in DIFFERENCE_DAYS]).transpose(1, 0, 2)
    Y = np.concatenate([price[lag:] - price[:-lag] for lag in DIFFERENCE_DAYS]).T[:, :, None]
    gram, moments = X.transpose(0, 2, 1) @ X / X.shape[1], X.transpose(0, 2, 1) @ Y / X.shape[1]
    gram = gram + POOLING * gram.mean(axis=0) + EFFECT_PENALTY * np.eye(X.shape[2])
    moments = moments + POOLING * moments.mean(axis=0)
    return Effects(inputs.mean(axis=0), np.linalg.solve(gram, moments)[:, :, 0])


def _ridge(X: Floats, Y: Floats, penalty: float) -> tuple[Floats, Floats]:
    """Coefficients (n_slots, n_regressors) and intercepts (n_slots,) of all slots, from X (n_rows, n_slots, ...)."""
    centre, spread = X.mean(axis=0), _spread_or_one(X.std(axis=0))
    Z = ((X - centre) / spread).transpose(1, 0, 2)
    moments = Z.transpose(0, 2, 1) @ (Y - Y.mean(axis=0)).T[:, :, None]
    gram = Z.transpose(0, 2, 1) @ Z + penalty * np.eye(X.shape[2])
    coefficients = (np.linalg.pinv(gram, rcond=1e-12, hermitian=True) @ moments)[:, :, 0] / spread
    return coefficients, Y.mean(axis=0) - (centre * coefficients).sum(axis=1)


def _spread_or_one(spread: Floats) -> NDArray[np.float64]:
    return np.where(spread > 1e-9, spread, 1.0)
