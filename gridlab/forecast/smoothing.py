"""Exponential smoothing with a weekly season for each slot of the day."""

from dataclasses import dataclass

import numpy as np

from gridlab.days import Days, Floats, filled
from gridlab.forecast.base import DayAheadForecaster
from gridlab.forecast.linear import Effects, Reach, Scales, input_effects, known_inputs, reach_of, recent, scales_of

SEASON_DAYS = 7
START = (0.4, 0.1, 0.4)


@dataclass(frozen=True)
class Smoothing:
    """Shares of an error that enter the level and the season, and the share of it that lasts until the next day."""

    level: float
    season: float
    carry: float


@dataclass(frozen=True)
class EtsModel:
    """Smoothing parameters of all slots, the effects of the inputs, the scales, and the reach of its forecasts."""

    scales: Scales
    effects: Effects
    smoothing: Smoothing
    reach: Reach


class Ets(DayAheadForecaster):
    """
    Additive exponential smoothing, ETS(A,N,A), of each slot of the day by a level and a season of seven days.

    The innovation carries over to the next day by an autoregressive term, as Taylor found electric series to need
    [2]_. The inputs enter linearly, with effects for each slot from the differences over a day and over a week. The
    three smoothing parameters are one set for all slots and minimise the squared errors one day ahead; they are kept
    for a week, while every new day is smoothed in. Prices and inputs pass through ``asinh``.

    Parameters
    ----------
    window_days : int
        Whole days of history used, at most; 14 or more. [d]
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] R. J. Hyndman, A. B. Koehler, J. K. Ord and R. D. Snyder, "Forecasting with Exponential Smoothing: The State
       Space Approach," Springer, 2008, doi:10.1007/978-3-540-71918-2.
    .. [2] J. W. Taylor, "Short-term electricity demand forecasting using double seasonal exponential smoothing," J.
       Operational Research Society 54(8), 2003, doi:10.1057/palgrave.jors.2601589.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Ets(window_days=28).fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    min_history_days = 28
    refit_days = 7

    def __init__(self, window_days: int = 182, *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        super().__init__(market_tz=market_tz)

    def _fit_model(self, history: Days) -> EtsModel:
        closed = filled(recent(history, self.window_days))
        scales = scales_of(closed)
        price, inputs = scales.price.forward(closed.price), known_inputs(closed.inputs, scales)
        effects = input_effects(price, inputs)
        return EtsModel(scales, effects, fit_smoothing(price - effects.explain(inputs)), reach_of(price))

    def _predict_day(self, model: EtsModel, history: Days, inputs: Floats) -> Floats:
        window = history[-self.window_days :]
        known = known_inputs(np.concatenate([window.inputs, inputs[None]]), model.scales)
        explained = model.effects.explain(known)
        said = smooth(model.scales.price.forward(window.price) - explained[:-1], model.smoothing)
        return model.scales.price.back(model.reach.clip(said[-1] + explained[-1]))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, int]]:
        """Give sktime's tests short windows."""
        return [{"window_days": 21}, {"window_days": 14}]


def smooth(series: Floats, smoothing: Smoothing) -> Floats:
    """
    Forecasts one day ahead of each column, by its level, its season of seven days and what lasts of its last error.

    Parameters
    ----------
    series : ndarray, shape (n_days, n_slots)
        Begins with a week from which level and season are read.
    smoothing : Smoothing
        Parameters for all columns.

    Returns
    -------
    ndarray, shape (n_days + 1, n_slots)
        Row t is the forecast of day t from the days before; the last is that of the day to come.

    Examples
    --------
    >>> week = np.array([[5.0], [6.0], [6.0], [6.0], [5.0], [2.0], [1.0]])
    >>> smooth(np.tile(week, (3, 1)), Smoothing(0.3, 0.1, 0.0))[-1].round(9).tolist()
    [5.0]
    """
    level = series[:SEASON_DAYS].mean(axis=0)
    seasons = list(series[:SEASON_DAYS] - level)
    lasting, said = np.zeros_like(level), np.empty((len(series) + 1, *level.shape))
    for day, actual in enumerate(series):
        base = level + seasons[day]
        said[day] = base + smoothing.carry * lasting
        error, lasting = actual - said[day], actual - base
        level = level + smoothing.level * error
        seasons.append(seasons[day] + smoothing.season * error)
    said[-1] = level + seasons[len(series)] + smoothing.carry * lasting
    return said


def fit_smoothing(series: Floats) -> Smoothing:
    """
    The parameters that minimise the squared errors of `smooth` after the first two weeks (one, of a short series).

    Parameters
    ----------
    series : ndarray, shape (n_days, n_slots)
        On a scale on which spikes are tame.
    """
    from scipy.optimize import minimize

    first = SEASON_DAYS * (2 if len(series) > 3 * SEASON_DAYS else 1)

    def squared_error(position: Floats) -> float:
        said = smooth(series, _smoothing_at(position))
        return float(((series - said[:-1])[first:] ** 2).mean())

    start = np.log(np.array(START) / (1 - np.array(START)))
    options = {"xatol": 0.02, "fatol": 1e-9, "maxiter": 120}
    return _smoothing_at(minimize(squared_error, start, method="Nelder-Mead", options=options).x)


def _smoothing_at(position: Floats) -> Smoothing:
    """Parameters in (0, 1) at a point of the plane; the season takes its share of what the level leaves."""
    level, season, carry = (float(share) for share in 1 / (1 + np.exp(-position)))
    return Smoothing(level, season * (1 - level), carry)
