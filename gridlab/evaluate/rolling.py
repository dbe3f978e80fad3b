"""Rolling origin: forecasts as they would have been made."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from gridlab.days import DayForecaster, Days, Floats, day_times, filled, fold, unfold
from gridlab.errors import DataError
from gridlab.schema import quantile_column, validate


def roll(
    forecaster: Any,
    prices: pd.DataFrame,
    *,
    first_day: str,
    days: int,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    n_jobs: int = 1,
    market_tz: str | None = None,
) -> pd.DataFrame:
    """
    Day-ahead forecasts of a run of days, each from the prices before its midnight and its inputs alone.

    Parameters
    ----------
    forecaster : forecaster
        A member of `gridlab.forecast.MODELS`, or any sktime forecaster; it is not changed. Ours are refitted as
        often as their `refit_days` says, others for every day.
    prices : DataFrame
        A `prices` table. Columns that end in ``_forecast`` are the inputs known a day ahead.
    first_day : str
        The first market day to forecast.
    days : int
        Number of market days. Days that a gap touches are left out, of the fits as of the result; so are, of the
        result, days for which an input was not published at all.
    quantiles : sequence of float
        Probabilities in (0, 1), rising.
    n_jobs : int
        Processes; the result does not depend on it.
    market_tz : str, optional
        Time zone that says when a day begins; the forecaster's own where it has one, else UTC.

    Returns
    -------
    DataFrame
        A `forecast` table: index (origin, time), columns `mean` and a column for each quantile. [$/MWh]

    Raises
    ------
    DataError
        If the days lie outside the data, the history is too short for the model, the quantiles are not rising in
        (0, 1), the forecaster gives no quantiles, its time zone is another, or `n_jobs` is below 1.

    Examples
    --------
    >>> from gridlab.forecast import MODELS
    >>> from gridlab.schema import mock_prices
    >>> forecast = roll(MODELS["naive"](), mock_prices(days=30), first_day="2024-01-28", days=2)
    >>> forecast.shape, list(forecast.columns)
    ((48, 4), ['mean', 'q10', 'q50', 'q90'])
    """
    validate(prices, "prices")
    if n_jobs < 1:
        raise DataError(f"n_jobs must be at least 1, got {n_jobs}")
    market_tz = _market_tz(forecaster, market_tz)
    names = ["mean", *_quantile_names(quantiles)]
    known = fold(prices, market_tz)
    rows = _rows(known, first_day, days)
    blocks = _blocks(rows, known.is_whole & known.has_inputs, getattr(forecaster, "refit_days", 1))
    if not blocks:
        raise DataError(f"a gap touches each of the {days} days from {first_day}: choose other days")
    one_block = _forecast_block if hasattr(forecaster, "fit_days") else _SktimeBlock(prices, market_tz)
    values = np.concatenate(_in_parallel(one_block, forecaster, known, blocks, quantiles, n_jobs=n_jobs))
    return _forecast_table(values, known.dates[np.concatenate(blocks)], names, prices, market_tz)


def roll_many(forecasters: Mapping[str, Any], prices: pd.DataFrame, **options: Any) -> pd.DataFrame:
    """
    Forecasts of several forecasters over the same days.

    Parameters
    ----------
    forecasters : mapping of str to forecaster
        Forecasters by the name that the result gives them.
    prices : DataFrame
        A `prices` table.
    **options
        As for `roll`.

    Returns
    -------
    DataFrame
        `forecast` tables, one below another, with `model` as the first level of the index.

    Raises
    ------
    DataError
        If there is no forecaster, or as `roll` does.

    Examples
    --------
    >>> from gridlab.forecast import MODELS
    >>> from gridlab.schema import mock_prices
    >>> both = {name: MODELS[name]() for name in ("naive_day", "naive_week")}
    >>> roll_many(both, mock_prices(days=30), first_day="2024-01-28", days=2).groupby("model").size().tolist()
    [48, 48]
    """
    if not forecasters:
        raise DataError("there is no forecaster to roll: name at least one")
    return pd.concat({name: roll(one, prices, **options) for name, one in forecasters.items()}, names=["model"])


def last_days(prices: pd.DataFrame, days: int, *, history_days: int = 28, market_tz: str = "UTC") -> tuple[str, int]:
    """
    The last days of a table that can be scored: as many as asked for, or as leave enough history before them.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table.
    days : int
        Days wanted.
    history_days : int
        Whole days to leave before the first.
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    first_day : str
    days : int

    Raises
    ------
    DataError
        If `days` is below 1, or not one day is left.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> last_days(mock_prices(days=40), 56)
    ('2024-01-29', 12)
    """
    if days < 1:
        raise DataError(f"days must be at least 1, got {days}")
    known = fold(prices[["price"]], market_tz)
    whole = np.flatnonzero(known.is_whole)
    if len(whole) <= history_days:
        raise DataError(
            f"the prices have {len(whole)} whole days of {len(known)}, {history_days + 1} are needed: give a longer "
            "file, or fill its gaps"
        )
    end = int(whole[-1])
    first = max(int(whole[history_days]), end - days + 1)
    return str(known.dates[first].date()), end - first + 1


def _market_tz(forecaster: Any, market_tz: str | None) -> str:
    own = getattr(forecaster, "market_tz", None)
    if own is not None and market_tz is not None and own != market_tz:
        raise DataError(f"the forecaster's market_tz is {own}, not {market_tz}: make it with market_tz={market_tz!r}")
    return market_tz or own or "UTC"


def _quantile_names(quantiles: Sequence[float]) -> list[str]:
    names = [quantile_column(q) for q in quantiles]
    if list(quantiles) != sorted(set(quantiles)):
        raise DataError(f"quantiles must rise, got {list(quantiles)}")
    return names


def _rows(known: Days, first_day: str, days: int) -> range:
    date = pd.to_datetime(first_day, errors="coerce")
    if pd.isna(date) or date.tz is not None:
        raise DataError(f"first_day must be a date such as 2024-03-01, got {first_day!r}")
    first = (date - known.dates[0]).days
    if days < 1:
        raise DataError(f"days must be at least 1, got {days}")
    if first < 0 or first + days > len(known):
        span = f"{known.dates[0].date()} to {known.dates[-1].date()}"
        raise DataError(f"{days} days from {first_day} do not lie in the data ({span}): choose others")
    return range(first, first + days)


def _blocks(rows: range, is_whole: Any, refit_days: int) -> list[list[int]]:
    """Rows that share a fit, those with a gap left out; empty blocks are dropped."""
    kept = (row for row in rows if is_whole[row])
    return [list(block) for _, block in groupby(kept, key=lambda row: (row - rows[0]) // refit_days)]


def _forecast_block(forecaster: DayForecaster, known: Days, rows: list[int], quantiles: Sequence[float]) -> Floats:
    fitted = forecaster.fit_days(known[: rows[0]])
    return np.stack([forecaster.forecast_day(fitted, known[:row], known.inputs[row], quantiles) for row in rows])


class _SktimeBlock:
    """Forecasts by sktime's interface alone, in periods of UTC, gaps closed by what was known."""

    def __init__(self, prices: pd.DataFrame, market_tz: str) -> None:
        self.index, self.market_tz = pd.DatetimeIndex(prices.index), market_tz

    def __call__(self, forecaster: Any, known: Days, rows: list[int], quantiles: Sequence[float]) -> Floats:
        if quantiles and not forecaster.get_tag("capability:pred_int"):
            name = type(forecaster).__name__
            raise DataError(f"{name} gives no quantiles: wrap it in sktime's ConformalIntervals, or ask for none")
        return np.stack([self._one_day(forecaster.clone(), known[: row + 1], quantiles) for row in rows])

    def _one_day(self, forecaster: Any, known: Days, quantiles: Sequence[float]) -> Floats:
        past = filled(known[:-1])
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
        if not quantiles:
            return self._by_slot(mean, tomorrow)
        spread = forecaster.predict_quantiles(fh=fh, X=X_tomorrow, alpha=list(quantiles)).to_numpy()
        return self._by_slot(np.hstack([mean, spread]), tomorrow)

    def _periods(self, times: pd.DatetimeIndex) -> pd.PeriodIndex:
        return times.tz_localize(None).to_period(self.index.freq)

    def _by_slot(self, values: Floats, times: pd.DatetimeIndex) -> Floats:
        table = pd.DataFrame(values, index=pd.DatetimeIndex(times, freq=self.index.freq))
        return np.stack([fold(table, self.market_tz, target=column).price[0] for column in table], axis=-1)


def _in_parallel(
    one_block: Any, forecaster: Any, known: Days, blocks: list[list[int]], quantiles: Sequence[float], *, n_jobs: int
) -> list[Floats]:
    if n_jobs == 1 or len(blocks) == 1:
        return [one_block(forecaster, known, rows, quantiles) for rows in blocks]
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=n_jobs)(delayed(one_block)(forecaster, known, rows, quantiles) for rows in blocks))


def _forecast_table(
    values: Floats, dates: pd.DatetimeIndex, names: list[str], prices: pd.DataFrame, market_tz: str
) -> pd.DataFrame:
    tables = []
    for date, day_values in zip(dates, values, strict=True):
        times = day_times(date, pd.DatetimeIndex(prices.index), market_tz)
        of_day = unfold(day_values[None], pd.DatetimeIndex([date]), times, market_tz)
        index = pd.MultiIndex.from_arrays([times[[0] * len(times)], times], names=["origin", "time"])
        tables.append(pd.DataFrame(of_day, index=index, columns=names))
    return pd.concat(tables)
