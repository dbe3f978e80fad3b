"""
The base of our forecasters: an array core of whole market days, and sktime's interface around it.

A member gives two pure methods: ``_fit_model(history)`` and ``_predict_day(model, history, inputs)``. The rest is
here: honest errors from days held out of a fit, quantiles from those errors, horizons of several days by feeding
forecasts back, and the conversion between sktime's series and days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sktime.forecasting.base import BaseForecaster

from gridlab.days import Days, Floats, filled, fold, unfold
from gridlab.errors import DataError


@dataclass(frozen=True)
class Fitted:
    """A fit: the model, the same fitted without the last days, and its errors on those days by lead, in days."""

    model: Any
    early_model: Any
    n_held_out: int
    errors: Floats


class DayAheadForecaster(BaseForecaster):
    """
    A forecaster of whole market days.

    Parameters
    ----------
    market_tz : str
        Time zone that says when a day begins. sktime's series are read as UTC where they have no zone.

    Notes
    -----
    Quantiles are the mean plus quantiles of the errors that the model, fitted without the last 28 days (a third of
    a short history), made on those days, each slot pooled with those up to an hour away. It is akin to split
    conformal prediction [1]_ but has no guarantee: the final fit has seen the days, and neighbouring slots err alike.

    References
    ----------
    .. [1] C. Kath and F. Ziel, "Conformal prediction interval estimation and applications to day-ahead and intraday
       power markets," Int. J. Forecasting 37(2), 2021, doi:10.1016/j.ijforecast.2020.09.006.
    """

    _tags = {  # noqa: RUF012 - sktime's convention
        "authors": ["gridlab"],
        "capability:exogenous": True,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:missing_values": True,
        "capability:update": True,
        "requires-fh-in-fit": False,
        "y_inner_mtype": "pd.Series",
        "X_inner_mtype": "pd.DataFrame",
    }

    _config = {"remember_data": False}  # noqa: RUF012 - `_update` keeps what it needs

    refit_days = 1
    """Days for which `gridlab.evaluate.roll` keeps a fit."""

    min_history_days = 15
    """Least number of whole days that a fit needs."""

    calibration_days = 28
    """Days held out to measure errors."""

    def __init__(self, *, market_tz: str = "UTC") -> None:
        self.market_tz = market_tz
        super().__init__()

    def _fit_model(self, history: Days) -> Any:
        """Learn from days whose gaps are NaN."""
        raise NotImplementedError

    def _predict_day(self, model: Any, history: Days, inputs: Floats) -> Floats:
        """Mean of the day after `history`, whose gaps are closed; shape (n_slots,)."""
        raise NotImplementedError

    def fit_days(self, history: Days) -> Fitted:
        """
        Learn from the days before the origin.

        Parameters
        ----------
        history : Days
            Days up to the origin; NaN where there are gaps.

        Returns
        -------
        Fitted

        Raises
        ------
        DataError
            If there are fewer whole days than the model needs, or an input has no values at all.
        """
        self._check_history(history)
        whole = np.flatnonzero(history.is_whole)
        n_held_out = len(history) - int(whole[-min(self.calibration_days, len(whole) // 3)])
        model, early_model = self._fit_model(history), self._fit_model(history[:-n_held_out])
        return Fitted(model, early_model, n_held_out, self._held_out_errors(early_model, n_held_out, history, lead=1))

    def forecast_day(self, fitted: Fitted, history: Days, inputs: Floats, quantiles: Sequence[float]) -> Floats:
        """
        Mean and quantiles of the day after a history.

        Parameters
        ----------
        fitted : Fitted
            From `fit_days` on this history or the beginning of it.
        history : Days
            Days up to the origin.
        inputs : ndarray, shape (n_slots, n_inputs)
            Inputs known ahead for the day to forecast.
        quantiles : sequence of float
            Probabilities in (0, 1).

        Returns
        -------
        ndarray, shape (n_slots, 1 + n_quantiles)
            The mean, then the quantiles. [$/MWh]
        """
        mean = self._predict_day(fitted.model, filled(history), self._known(history, inputs))
        return np.column_stack([mean, mean[:, None] + error_quantiles(fitted.errors, quantiles)])

    def _held_out_errors(self, model: Any, n_held_out: int, history: Days, *, lead: int) -> Floats:
        """Errors of forecasts `lead` days ahead on the whole days of the last `n_held_out`, (n_errors, n_slots)."""
        closed, errors = filled(history), []
        whole = history.is_whole[-len(closed) :]
        for row in range(len(closed) - n_held_out, len(closed)):
            first = row - lead + 1
            if whole[row] and first > 0:
                known = closed[:first]
                for step in range(first, row):
                    known = known.followed_by(self._predict_day(model, known, closed.inputs[step]), closed.inputs[step])
                errors.append(closed.price[row] - self._predict_day(model, known, closed.inputs[row]))
        return np.array(errors)

    def _check_history(self, history: Days) -> None:
        n_whole = int(history.is_whole.sum())
        if n_whole < self.min_history_days:
            raise DataError(
                f"{type(self).__name__} needs {self.min_history_days} whole days of history, got {n_whole} before "
                f"{history.dates[-1].date() + pd.Timedelta(days=1)}: begin later or give more data"
            )
        empty = np.isnan(history.inputs).all(axis=(0, 1))
        if empty.any():
            raise DataError(f"input '{history.names[int(np.argmax(empty))]}' has no values: drop the column")

    def _known(self, history: Days, inputs: Floats) -> Floats:
        """Inputs of the day, slots without a value closed by the week before; none at all is refused."""
        missing = np.isnan(inputs).all(axis=0)
        if missing.any():
            name, date = history.names[int(np.argmax(missing))], history.dates[-1].date() + pd.Timedelta(days=1)
            raise DataError(f"input '{name}' has no values on {date}: give them or drop the column")
        if not np.isnan(inputs).any():
            return inputs
        return np.asarray(filled(history.followed_by(np.zeros(history.n_slots), inputs)).inputs[-1])

    # sktime's interface

    def _fit(self, y: pd.Series, X: pd.DataFrame | None, fh: Any) -> "DayAheadForecaster":
        self._table = _prices_table(y, X)
        self._fitted = self.fit_days(_whole_days(self._table, self.market_tz))
        return self

    def _update(self, y: pd.Series, X: pd.DataFrame | None = None, update_params: bool = True) -> "DayAheadForecaster":
        merged = _prices_table(y, X).combine_first(self._table)
        self._table = merged.asfreq(self._table.index.freq)[self._table.columns]
        if update_params:
            self._fitted = self.fit_days(_whole_days(self._table, self.market_tz))
        return self

    def _predict(self, fh: Any, X: pd.DataFrame | None) -> pd.Series:
        path, times, index = self._path(fh, X)
        return pd.Series(unfold(path.price, path.dates, times, self.market_tz), index=index, name=self._y_name())

    def _predict_quantiles(self, fh: Any, X: pd.DataFrame | None, alpha: list[float]) -> pd.DataFrame:
        path, times, index = self._path(fh, X)
        history = _whole_days(self._table, self.market_tz)
        spread = np.zeros((len(path), path.n_slots, len(alpha)))
        for row in range(len(history), len(path)):
            lead = row - len(history) + 1
            errors = self._held_out_errors(self._fitted.early_model, self._fitted.n_held_out, history, lead=lead)
            spread[row] = error_quantiles(errors, alpha)
        values = unfold(path.price[:, :, None] + spread, path.dates, times, self.market_tz)
        columns = pd.MultiIndex.from_product([self._get_varnames(), alpha])
        return pd.DataFrame(values, index=index, columns=columns)

    def _y_name(self) -> Any:
        return self._get_varnames()[0] if self._get_varnames()[0] != 0 else None

    def _path(self, fh: Any, X: pd.DataFrame | None) -> tuple[Days, pd.DatetimeIndex, pd.Index]:
        """History and forecast of every day up to the horizon, the UTC times asked for, and sktime's index of them."""
        index = fh.to_absolute_index(self.cutoff)
        times = _utc(index, self._table.index.freq)
        table = self._table.drop(columns="price").reindex(
            pd.date_range(self._table.index[0], times[-1], freq=self._table.index.freq, name="time")
        )
        if X is not None:
            table = _prices_table(None, X).reindex(table.index).combine_first(table)[table.columns]
        known = fold(table.assign(price=self._table["price"].reindex(table.index)), self.market_tz)
        path = filled(_whole_days(self._table, self.market_tz))
        first = int((path.dates[-1] - known.dates[0]).days) + 1
        for row in range(first, len(known)):
            inputs = self._known(path, known.inputs[row])
            mean = self._predict_day(self._fitted.model, path, inputs)
            path = path.followed_by(np.where(np.isnan(known.price[row]), mean, known.price[row]), inputs)
        return path, times, index


def error_quantiles(errors: Floats, quantiles: Sequence[float]) -> Floats:
    """
    Quantiles of past errors by slot, each slot pooled with those up to an hour away.

    Parameters
    ----------
    errors : ndarray, shape (n_errors, n_slots)
        Actual minus forecast. [$/MWh]
    quantiles : sequence of float
        Probabilities in (0, 1).

    Returns
    -------
    ndarray, shape (n_slots, n_quantiles)
        At the rank ``q (n + 1)`` of the pooled errors.

    Examples
    --------
    >>> error_quantiles(np.arange(-4.0, 5.0)[:, None], [0.1, 0.5, 0.9]).tolist()
    [[-4.0, 0.0, 4.0]]
    """
    n_slots = errors.shape[1]
    reach = max(1, n_slots // 24)
    neighbours = np.clip(np.arange(n_slots)[:, None] + np.arange(-reach, reach + 1), 0, n_slots - 1)
    pooled = errors[:, neighbours] if n_slots > 1 else errors[:, :, None]
    return np.asarray(np.quantile(pooled, list(quantiles), axis=(0, 2), method="weibull").T)


def past_closed(window: Days) -> tuple[Days, NDArray[np.bool_]]:
    """
    A window whose gaps are closed, to take lags from as a forecast will, and which of its days are whole, to learn.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=30)
    >>> prices.iloc[24 * 20 + 3, 0] = float("nan")
    >>> closed, whole = past_closed(fold(prices))
    >>> bool(np.isnan(closed.price).any()), np.flatnonzero(~whole).tolist()
    (False, [20])
    """
    closed = filled(window)
    return closed, window.is_whole[-len(closed) :]


def _whole_days(table: pd.DataFrame, market_tz: str) -> Days:
    """Days up to the last whole one: the day in hand, of which some slots are not known yet, is left out."""
    days = fold(table, market_tz)
    complete = not np.isnan(days.price[-1]).any()
    return days if complete else days[:-1]


def _prices_table(y: pd.Series | None, X: pd.DataFrame | None) -> pd.DataFrame:
    """Series of sktime as a `prices` table: UTC, with the exogenous columns named as inputs known ahead."""
    tables = [] if y is None else [y.to_frame("price")]
    if X is not None:
        tables.append(X.rename(columns=lambda name: str(name).removesuffix("_forecast") + "_forecast"))
    table = pd.concat(tables, axis=1).astype(float)
    return table.set_axis(_utc(table.index, None))


def _utc(index: pd.Index, freq: Any) -> pd.DatetimeIndex:
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(f"the series needs a time index, got {type(index).__name__}: give it dates with a frequency")
    index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    freq = freq or index.freq or (pd.infer_freq(index) if len(index) > 2 else None)
    if freq is not None and len(index) > 1 and index.freq is None and _is_regular(index, freq):
        index = pd.DatetimeIndex(index, freq=freq)
    return index.rename("time")


def _is_regular(index: pd.DatetimeIndex, freq: Any) -> bool:
    return len(pd.date_range(index[0], index[-1], freq=freq)) == len(index)
