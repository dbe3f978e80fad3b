"""LEAR: a LASSO-estimated autoregressive model for each slot of the day, on several calibration windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gridlab.days import Days, Floats
from gridlab.errors import DataError
from gridlab.features import LAG_DAYS, before
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.transform import AsinhScale, asinh_scale, hourly

INPUT_LAG_DAYS = (0, 1, 7)
WINDOWS = (56, 84, 1092, 1456)
LEVELS = {"kept": (False,), "removed": (True,), "both": (False, True)}
LOST_DAYS = 7
LEAST_WINDOW = 14

Level = Literal["kept", "removed", "both"]


@dataclass(frozen=True)
class Regressors:
    """
    Of each day.

    Parameters
    ----------
    lags : ndarray, shape (n_days, n_lags)
        Prices and inputs, 24 a day: ``24 (4 + 3 n_inputs)``, and the level if it is removed.
    weekday : ndarray, shape (n_days, 7)
        Dummies.
    level : ndarray, shape (n_days, 1)
        What is subtracted from the prices; 0 where the level is kept. [$/MWh]
    """

    lags: Floats
    weekday: Floats
    level: Floats


@dataclass(frozen=True)
class LearModel:
    """Coefficients of every slot's LASSO on one window and the scales around them."""

    regressors: AsinhScale
    target: AsinhScale
    coefficients: Floats
    intercepts: Floats
    least: Floats
    greatest: Floats


class Lear(DayAheadForecaster):
    """
    LASSO-estimated autoregressive models, one for each slot of the day and each calibration window, refitted daily.

    Regressors: every hour's price of 1, 2, 3 and 7 days before, every hour's inputs of the day itself, the day
    before and the week before, and the weekday. All but the weekday pass through ``asinh`` of the deviation from the
    median in scaled median absolute deviations; the penalty is chosen by AICc. The forecast is the mean over the
    windows [1]_, with the level of prices kept and removed.

    Parameters
    ----------
    windows : sequence of int, optional
        Calibration windows, each of which the history must fill; 56, 84, 1092 and 1456 when omitted, of which those
        that reach past the history end with it. The first 7 days of a window are lost to the lags. [d]
    level : {"kept", "removed", "both"}
        With "removed", the mean price of the day before is subtracted from the lagged prices and from the target and
        is a regressor of its own: for markets whose level wanders. "both" makes every window's model twice.
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
    >>> from gridlab.forecast.lear import Lear
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = Lear((28, 56)).fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    calibration_days = 182

    def __init__(self, windows: Sequence[int] | None = None, level: Level = "both", *, market_tz: str = "UTC") -> None:
        self.windows = windows
        self.level = level
        super().__init__(market_tz=market_tz)

    min_history_days = 28

    def needed_days(self) -> int:
        """Those of the longest window, or 28 where the windows are not given."""
        return max((self.min_history_days, *(self.windows or ())))

    def _fit_model(self, history: Days) -> list[tuple[LearModel, ...]]:
        self._check_parameters()
        return [self._fit_level(history, removed) for removed in LEVELS[self.level]]

    def _fit_level(self, history: Days, removed: bool) -> tuple[LearModel, ...]:
        windows = self.windows or WINDOWS
        first = np.flatnonzero(history.is_whole)[-max(windows) :][0]
        closed, whole = past_closed(history[first:])
        table = regressors(closed, level_removed=removed)
        usable = whole & ~np.isnan(table.lags).any(axis=1)
        target = closed.price - table.level
        lengths = [min(window, int(whole.sum())) for window in windows]
        by_length = {length: _fit_window(table, target, usable, length) for length in lengths}
        return tuple(by_length[length] for length in lengths)

    def _experts(self, model: list[tuple[LearModel, ...]], history: Days, inputs: Floats) -> Floats:
        week = history[-LOST_DAYS:].followed_by(np.zeros(history.n_slots), inputs)
        tables = [regressors(week, level_removed=removed) for removed in LEVELS[self.level]]
        of_level = zip(model, tables, strict=True)
        return np.column_stack([_predict_window(one, table) for windows, table in of_level for one in windows])

    def _check_parameters(self) -> None:
        if self.level not in LEVELS:
            raise DataError(f"level must be one of {', '.join(LEVELS)}, got {self.level!r}")
        if self.windows is not None and min(self.windows, default=0) < LEAST_WINDOW:
            raise DataError(f"windows must be of {LEAST_WINDOW} days or more, got {list(self.windows)}")

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests short windows."""
        return [{"windows": (21, 28)}, {"windows": (28,), "level": "kept"}]


def regressors(days: Days, *, level_removed: bool = False) -> Regressors:
    """
    LEAR's regressors of each day: hourly lags and inputs, NaN where the history is too short, and weekday dummies.

    Parameters
    ----------
    days : Days
        Days whose gaps are closed.
    level_removed : bool
        Whether the mean price of the day before is a regressor of its own, subtracted from the lagged prices.
    """
    price = hourly(days.price)
    mean = before(price, 1).mean(axis=1, keepdims=True) * level_removed
    blocks = [before(price, lag) - mean for lag in LAG_DAYS]
    for i in range(days.inputs.shape[2]):
        values = hourly(days.inputs[:, :, i])
        blocks += [before(values, lag) for lag in INPUT_LAG_DAYS]
    if level_removed:
        blocks.append(mean)
    return Regressors(np.hstack(blocks), np.eye(7)[days.dates.weekday], mean)


def _fit_window(table: Regressors, target: Floats, usable: NDArray[np.bool_], length: int) -> LearModel:
    """LASSO of every slot on the last `length` days, gaps not counted, less those that the lags lose."""
    from gridlab.forecast.lasso import lasso_by_aicc

    rows = np.flatnonzero(usable)[-max(length - LOST_DAYS, 1) :]
    lags, prices = table.lags[rows], target[rows]
    scale, target_scale = asinh_scale(lags), asinh_scale(prices)
    Y = target_scale.forward(prices)
    coefficients, intercepts = lasso_by_aicc(np.hstack([scale.forward(lags), table.weekday[rows]]), Y)
    return LearModel(scale, target_scale, coefficients, intercepts, Y.min(axis=0) - 1, Y.max(axis=0) + 1)


def _predict_window(model: LearModel, table: Regressors) -> Floats:
    """Forecast of the table's last day."""
    row = np.concatenate([model.regressors.forward(table.lags[-1]), table.weekday[-1]])
    # a linear model on the asinh scale is exponential in prices: it may pass what it has seen by a factor e
    transformed = np.clip(row @ model.coefficients + model.intercepts, model.least, model.greatest)
    return np.asarray(model.target.back(transformed) + table.level[-1])
