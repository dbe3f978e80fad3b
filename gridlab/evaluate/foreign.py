"""Any sktime forecaster as one that `roll` can drive."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gridlab.days import Days, Floats, Said, day_times, filled, fold, unfold
from gridlab.errors import DataError


class SktimeDays:
    """
    A forecaster asked by sktime's interface alone, in periods of UTC, gaps closed by what was known.

    Parameters
    ----------
    forecaster : BaseForecaster
        It is cloned for every day.
    prices : DataFrame
        A `prices` table, of which the index is used.
    market_tz : str
        Time zone that says when a day begins.
    quantiles : sequence of float
        Probabilities in (0, 1); with none the forecaster need not give any.
    """

    refit_days = 1

    def __init__(self, forecaster: Any, prices: pd.DataFrame, market_tz: str, quantiles: Sequence[float]) -> None:
        if quantiles and not forecaster.get_tag("capability:pred_int"):
            name = type(forecaster).__name__
            raise DataError(f"{name} gives no quantiles: wrap it in sktime's ConformalIntervals, or ask for none")
        self.forecaster, self.index, self.market_tz = forecaster, pd.DatetimeIndex(prices.index), market_tz
        self.quantiles = quantiles

    def parts(self) -> tuple["SktimeDays", ...]:
        """Itself."""
        return (self,)

    def rehearsal(self, history: Days) -> list[list[int]]:
        """Nothing: its quantiles are its own."""
        return []

    def new_aggregate(self) -> "AsSaid":
        """Make what passes on the forecaster's own mean and quantiles."""
        return AsSaid()

    def get_params(self) -> dict[str, Any]:
        """Its forecaster with all parameters, in words."""
        return {"forecaster": repr(self.forecaster), **self.forecaster.get_params()}

    def fit_part(self, history: Days) -> Days:
        """Keep the history: a gap is closed by what was known."""
        return filled(history)

    def say(self, model: Days, history: Days, inputs: Floats) -> Said:
        """Mean and quantiles of the day after `history`, as columns."""
        known = history.followed_by(np.full(history.n_slots, np.nan), inputs)
        return Said(self._one_day(self.forecaster.clone(), known), np.ones(history.n_slots))

    def _one_day(self, forecaster: Any, known: Days) -> Floats:
        past = known[:-1]
        tomorrow = day_times(known.dates[-1], self.index, self.market_tz)
        start = day_times(past.dates[0], self.index, self.market_tz)[0]
        times = pd.date_range(start, tomorrow[0], freq=self.index.freq, inclusive="left", name="time")
        y = pd.Series(unfold(past.price, past.dates, times, self.market_tz), self._periods(times), name="price")
        X = X_tomorrow = None
        if known.names:
            inputs = np.concatenate([past.inputs, known.inputs[-1:]])
            dates = past.dates.append(known.dates[-1:])
            table = pd.DataFrame(unfold(inputs, dates, times.append(tomorrow), self.market_tz), columns=known.names)
            X = table.iloc[: len(times)].set_axis(y.index)
            X_tomorrow = table.iloc[len(times) :].set_axis(self._periods(tomorrow))
        fh = np.arange(1, len(tomorrow) + 1)
        forecaster.fit(y, X=X, fh=fh)
        mean = forecaster.predict(fh=fh, X=X_tomorrow).to_numpy()[:, None]
        if not self.quantiles:
            return self._by_slot(mean, tomorrow)
        spread = forecaster.predict_quantiles(fh=fh, X=X_tomorrow, alpha=list(self.quantiles)).to_numpy()
        return self._by_slot(np.hstack([mean, spread]), tomorrow)

    def _periods(self, times: pd.DatetimeIndex) -> pd.PeriodIndex:
        return times.tz_localize(None).to_period(self.index.freq)

    def _by_slot(self, values: Floats, times: pd.DatetimeIndex) -> Floats:
        table = pd.DataFrame(values, index=pd.DatetimeIndex(times, freq=self.index.freq))
        return np.stack([fold(table, self.market_tz, target=column).price[0] for column in table], axis=-1)


class AsSaid:
    """Columns of a mean and quantiles, passed on."""

    def forecast(self, experts: Floats, spread: Floats, quantiles: Sequence[float]) -> Floats:
        """Mean and quantiles as they were said."""
        return experts

    def observe(self, experts: Floats, spread: Floats, actual: Floats) -> None:
        """Nothing to learn."""
