"""
The base of our forecasters: an array core of whole market days, and sktime's interface around it.

A member gives two pure methods: ``_fit_model(history)`` and ``_predict_day(model, history, inputs)``; one that speaks
with several voices gives ``_experts`` instead of the second. The rest is here: what the model would have said of days
held out of a fit, the mean and the bands that are learned from it, horizons of several days by feeding forecasts
back, and the conversion between sktime's series and days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sktime.forecasting.base import BaseForecaster

from gridlab.days import Days, Floats, Said, filled, fold, market_dates, unfold
from gridlab.errors import DataError
from gridlab.forecast.aggregate import Aggregate
from gridlab.forecast.clock import Clock, read_clock

EARLY_DAYS = 28
"""Days held out together: a model's past errors come from fits at least this far apart."""


@dataclass(frozen=True)
class Fitted:
    """
    A fit.

    Parameters
    ----------
    models : sequence of tuple
        Each part and its fit.
    aggregate : Aggregate
        What the parts' forecasts of days held out have taught.
    early_models : sequence of tuple
        Each part and its fit without the last `held_out` days.
    held_out : int
        Number of days that the early models have not seen.
    """

    models: "Models"
    aggregate: Aggregate
    early_models: "Models"
    held_out: int


Models = Sequence[tuple["DayAheadForecaster", Any]]


class DayAheadForecaster(BaseForecaster):
    """
    A forecaster of whole market days.

    Parameters
    ----------
    market_tz : str
        Time zone that says when a day begins. sktime's series are read as UTC where they have no zone.

    Notes
    -----
    The mean and the quantiles of a day are learned from what the model said of days that it had not seen: of the last
    `calibration_days` (a third of a short history), from fits 28 days apart, and in `gridlab.evaluate.roll` of every
    day since. A series without a day's cycle (days, months, integers) is read as days of one slot; where it is
    shorter than the model needs, its mirror image is put before it.
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

    min_history_days = 21
    """Least number of whole days that a fit needs, whatever the parameters."""

    calibration_days = 28
    """Days, at most, of which a fit asks what the model would have said."""

    combination = "mean"
    """How experts become a mean, a name in `gridlab.forecast.combine.COMBINATIONS`."""

    calibration = "adaptive"
    """How errors become bands, a name in `gridlab.forecast.calibrate.CALIBRATIONS`."""

    def __init__(self, *, market_tz: str = "UTC") -> None:
        self.market_tz = market_tz
        super().__init__()
        self._y = self._X = None  # sktime expects them even of a forecaster that does not remember its data

    # what a member gives

    def _fit_model(self, history: Days) -> Any:
        """Learn from days whose gaps are NaN."""
        raise NotImplementedError

    def _predict_day(self, model: Any, history: Days, inputs: Floats) -> Floats:
        """Mean of the day after `history`, whose gaps are closed; shape (n_slots,)."""
        return np.asarray(self._experts(model, history, inputs).mean(axis=1))

    def _experts(self, model: Any, history: Days, inputs: Floats) -> Floats:
        """Forecasts of the day after `history`, whose gaps are closed, one an expert; shape (n_slots, n_experts)."""
        return self._predict_day(model, history, inputs)[:, None]

    def _spread(self, model: Any, history: Days, inputs: Floats) -> Floats:
        """Scale of the errors to expect on the day after `history`; shape (n_slots,)."""
        return np.ones(history.n_slots)

    # the array core

    def needed_days(self) -> int:
        """Least number of whole days that a fit needs with these parameters."""
        return self.min_history_days

    def parts(self) -> "tuple[DayAheadForecaster, ...]":
        """Forecasters that are fitted apart, each as often as its own `refit_days` says."""
        return (self,)

    def fit_part(self, history: Days) -> Any:
        """Learn from days whose gaps are NaN; the model that `say` takes."""
        return self._fit_model(history)

    def say(self, model: Any, history: Days, inputs: Floats) -> Said:
        """Forecasts of the day after `history`, whose gaps are closed, one an expert, and the scale of their errors."""
        known = self._known(history, inputs)
        return Said(self._experts(model, history, known), self._spread(model, history, known))

    def new_aggregate(self) -> Aggregate:
        """Make what learns a mean and bands from the days that come."""
        return Aggregate(self.combination, self.calibration)

    def rehearsal(self, history: Days) -> list[list[int]]:
        """
        Rows of the whole days to ask the model about before a history's end, in blocks that share a fit.

        Returns
        -------
        list of list of int
            Blocks of at most 28 days, oldest first; each is to be forecast by a fit on what precedes it.

        Raises
        ------
        DataError
            If there are fewer whole days than the model needs, or an input has no values at all.
        """
        self._check_history(history)
        whole = np.flatnonzero(history.is_whole)
        rows = whole[-min(self.calibration_days, len(whole) // 3) :]
        firsts = range(len(rows), 0, -EARLY_DAYS)
        return [rows[max(end - EARLY_DAYS, 0) : end].tolist() for end in firsts][::-1]

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
        blocks, aggregate = self.rehearsal(history), self.new_aggregate()
        for rows in blocks:
            early_models = [(part, part.fit_part(history[: rows[0]])) for part in self.parts()]
            for row in rows:
                said = _say_all(early_models, filled(history[:row]), history.inputs[row])
                aggregate.observe(said.experts, said.spread, history.price[row])
        models = [(part, part.fit_part(history)) for part in self.parts()]
        return Fitted(models, aggregate, early_models, len(history) - blocks[-1][0])

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
        said = _say_all(fitted.models, filled(history), inputs)
        return fitted.aggregate.forecast(said.experts, said.spread, quantiles)

    def _lead_errors(self, fitted: Fitted, history: Days, n_leads: int) -> list[Floats]:
        """Errors of forecasts 1 to `n_leads` days ahead on the whole days held out, each (n_errors, n_slots)."""
        closed = filled(history)
        errors: list[list[Floats]] = [[] for _ in range(n_leads)]
        whole = history.is_whole[-len(closed) :]
        first = len(closed) - fitted.held_out
        for origin in range(max(first - n_leads + 1, 1), len(closed)):
            path = closed[:origin]
            for lead in range(min(n_leads, len(closed) - origin)):
                mean = _mean_of_day(fitted.early_models, fitted.aggregate, path, closed.inputs[origin + lead])
                if whole[origin + lead] and origin + lead >= first:
                    errors[lead].append(closed.price[origin + lead] - mean)
                path = path.followed_by(mean, closed.inputs[origin + lead])
        return [np.array(of_lead) for of_lead in errors]

    def _check_history(self, history: Days) -> None:
        n_whole = int(history.is_whole.sum())
        needed = self.needed_days()
        if n_whole < needed:
            raise DataError(
                f"{type(self).__name__} needs {needed} whole days of history, got {n_whole} before "
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
        return _closed_inputs(history, inputs)

    # sktime's interface

    def _fit(self, y: pd.Series, X: pd.DataFrame | None, fh: Any) -> "DayAheadForecaster":
        self._clock = read_clock(y.index)
        self._table = _prices_table(self._clock, y, X).asfreq(self._clock.step)
        self._fitted = self.fit_days(self._history())
        return self

    def _update(self, y: pd.Series, X: pd.DataFrame | None = None, update_params: bool = True) -> "DayAheadForecaster":
        merged = _prices_table(self._clock, y, X).combine_first(self._table)
        self._table = merged.asfreq(self._clock.step)[self._table.columns]
        if update_params:
            self._fitted = self.fit_days(self._history())
        return self

    def _predict(self, fh: Any, X: pd.DataFrame | None) -> pd.Series:
        path, times, index = self._path(fh, X)
        return pd.Series(unfold(path.price, path.dates, times, self._zone()), index=index, name=self._y_name())

    def _predict_quantiles(self, fh: Any, X: pd.DataFrame | None, alpha: list[float]) -> pd.DataFrame:
        path, times, index = self._path(fh, X)
        history = self._history()
        values = np.repeat(path.price[:, :, None], len(alpha), axis=2)
        n_known, n_leads = len(path) - self._n_ahead(path, history), self._n_ahead(path, history)
        if n_leads:
            values[n_known] = self.forecast_day(self._fitted, history, path.inputs[n_known], alpha)[:, 1:]
        if n_leads > 1:
            for lead, errors in enumerate(self._lead_errors(self._fitted, history, n_leads)[1:], start=1):
                values[n_known + lead] += error_quantiles(errors, alpha)
        columns = pd.MultiIndex.from_product([self._get_varnames(), alpha])
        return pd.DataFrame(unfold(values, path.dates, times, self._zone()), index=index, columns=columns)

    def _y_name(self) -> Any:
        return self._get_varnames()[0] if self._get_varnames()[0] != 0 else None

    def _zone(self) -> str:
        return self.market_tz if self._clock.has_days else "UTC"

    def _history(self) -> Days:
        """Days up to the last whole one: the day in hand, of which some slots are not known yet, is left out."""
        days = fold(self._table, self._zone())
        days = days[:-1] if np.isnan(days.price[-1]).any() else days
        return _mirrored(days, self.needed_days()) if days.n_slots == 1 else days

    @staticmethod
    def _n_ahead(path: Days, history: Days) -> int:
        return int((path.dates[-1] - history.dates[-1]).days)

    def _path(self, fh: Any, X: pd.DataFrame | None) -> tuple[Days, pd.DatetimeIndex, pd.Index]:
        """History and forecast of every day up to the horizon, the UTC times asked for, and sktime's index of them."""
        index = fh.to_absolute_index(self.cutoff)
        times = self._clock.times(index)
        span = pd.date_range(self._table.index[0], times[-1], freq=self._clock.step, name="time")
        table = self._table.drop(columns="price").reindex(span)
        if X is not None:
            table = _prices_table(self._clock, None, X).reindex(span).combine_first(table)[table.columns]
        known = fold(table.assign(price=self._table["price"].reindex(span)), self._zone())
        path = filled(self._history())
        first = int((path.dates[-1] - known.dates[0]).days) + 1
        asked = known.dates.isin(market_dates(times, self._zone()))
        for row in range(first, len(known)):
            close = self._known if asked[row] else _closed_inputs
            inputs = close(path, known.inputs[row])
            mean = _mean_of_day(self._fitted.models, self._fitted.aggregate, path, inputs)
            path = path.followed_by(np.where(np.isnan(known.price[row]), mean, known.price[row]), inputs)
        return path, times, index


def _closed_inputs(history: Days, inputs: Floats) -> Floats:
    """Inputs of the day after a history, slots without a value closed by the week before or the day before."""
    if not np.isnan(inputs).any():
        return inputs
    return np.asarray(filled(history.followed_by(np.zeros(history.n_slots), inputs)).inputs[-1])


def _say_all(models: Models, history: Days, inputs: Floats) -> Said:
    """What all parts say of the day after a history, side by side."""
    each = [part.say(model, history, inputs) for part, model in models]
    spread = each[0].spread if len(each) == 1 else np.ones(history.n_slots)
    return Said(np.hstack([said.experts for said in each]), spread)


def _mean_of_day(models: Models, aggregate: Aggregate, history: Days, inputs: Floats) -> Floats:
    said = _say_all(models, history, inputs)
    return aggregate.forecast(said.experts, said.spread, ())[:, 0]


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


def _mirrored(days: Days, n_whole: int) -> Days:
    """Days with their mirror image before them, as often as it takes to have `n_whole` whole ones."""
    while 0 < int(days.is_whole.sum()) < n_whole and len(days) > 1:
        dates = pd.DatetimeIndex(pd.date_range(end=days.dates[-1], periods=2 * len(days) - 1, freq="D", name="date"))
        price, inputs = (np.concatenate([values[:0:-1], values]) for values in (days.price, days.inputs))
        days = Days(dates, price, inputs, days.names)
    return days


def _prices_table(clock: Clock, y: pd.Series | None, X: pd.DataFrame | None) -> pd.DataFrame:
    """Series of sktime as a `prices` table: UTC, with the exogenous columns named as inputs known ahead."""
    tables = [] if y is None else [y.to_frame("price")]
    if X is not None:
        tables.append(X.rename(columns=lambda name: str(name).removesuffix("_forecast") + "_forecast"))
    table = pd.concat(tables, axis=1).astype(float)
    return table.set_axis(clock.times(table.index))
