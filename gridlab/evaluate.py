"""Rolling-origin evaluation: forecasts as they would have been made, and their scores."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

import numpy as np
import pandas as pd

from gridlab.days import WEEKLY_DAYS, DayForecaster, Days, Floats, day_times, filled, fold, market_dates, unfold
from gridlab.errors import DataError
from gridlab.schema import quantile_column, quantiles_of, validate


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


def score(
    forecast: pd.DataFrame, prices: pd.DataFrame, *, by: Literal["all", "hour"] = "all", market_tz: str = "UTC"
) -> pd.DataFrame:
    """
    Errors of forecasts against what happened.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table; with a first index level `model`, each model is scored apart
        (``pd.concat({"naive": a, "lear": b}, names=["model"])``).
    prices : DataFrame
        A `prices` table; times without a price are left out.
    by : {"all", "hour"}
        One row over all times, or one for each hour of the market's clock.
    market_tz : str
        Time zone of the clock.

    Returns
    -------
    DataFrame
        `mae` and `rmse` [$/MWh]; `rmae`, the MAE over that of the EPF-standard naive (week on Monday, Saturday and
        Sunday, else the day before) on the times for which there is one [-]; `smape`, 200 |e| / (|p| + |f|) [%]; with
        quantiles `pinball`, their mean pinball loss [$/MWh], and `coverage_<p>`, the share of prices within each
        central interval of p % [-]; `n`, the number of times.

    Raises
    ------
    DataError
        If a table is malformed or they have no time in common.

    References
    ----------
    .. [1] J. Lago, G. Marcjasz, B. De Schutter and R. Weron, "Forecasting day-ahead electricity prices: a review of
       state-of-the-art algorithms, best practices and an open-access benchmark," Applied Energy 293, 2021,
       doi:10.1016/j.apenergy.2021.116983.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> score(mock_forecast(), mock_prices())[["mae", "coverage_80", "n"]].round(2)
          mae  coverage_80    n
    all  5.55         0.99  168
    """
    validate(prices, "prices")
    models = forecast.index.droplevel(["origin", "time"]) if "model" in forecast.index.names else None
    errors = _errors(forecast, prices, market_tz)
    keys: list[Any] = [] if models is None else [models[errors.pop("row")].rename("model")]
    if by == "hour":
        times = pd.DatetimeIndex(errors["time"])
        keys.append(pd.Index(times.tz_convert(market_tz).hour, name="hour"))
    errors = errors.drop(columns=["time", "row"], errors="ignore")
    groups = errors.groupby(keys) if keys else errors.groupby(np.repeat("all", len(errors)))
    table = groups.mean()
    table.insert(1, "rmse", np.sqrt(table.pop("square")))
    table.insert(2, "rmae", table.pop("mae_beside_naive") / table.pop("naive"))
    return table.assign(n=groups.size())


def _errors(forecast: pd.DataFrame, prices: pd.DataFrame, market_tz: str) -> pd.DataFrame:
    """One row for each time with a price: the loss of each kind, and of the naive."""
    times = pd.DatetimeIndex(forecast.index.get_level_values("time"))
    actual = prices["price"].reindex(times).to_numpy(dtype=float)
    found = np.flatnonzero(~np.isnan(actual))
    if not len(found):
        raise DataError("forecast and prices have no time in common: give the prices of the forecast's period")
    actual, mean = actual[found], forecast["mean"].to_numpy(dtype=float)[found]
    error, size = np.abs(actual - mean), np.abs(actual) + np.abs(mean)
    naive = np.abs(actual - _standard_naive(prices, market_tz).reindex(times[found]).to_numpy())
    columns = {
        "row": found,
        "time": times[found],
        "mae": error,
        "square": error**2,
        "naive": naive,
        "mae_beside_naive": np.where(np.isnan(naive), np.nan, error),
        "smape": np.divide(200 * error, size, out=np.zeros_like(error), where=size > 0),
    }
    levels = quantiles_of(forecast)
    values = {level: forecast[name].to_numpy(dtype=float)[found] for name, level in levels.items()}
    if levels:
        losses = [np.maximum(q * (actual - v), (q - 1) * (actual - v)) for q, v in values.items()]
        columns["pinball"] = np.mean(losses, axis=0)
    for low, high in _central_pairs(list(values)):
        columns[f"coverage_{round(100 * (high - low))}"] = (values[low] <= actual) & (actual <= values[high])
    return pd.DataFrame(columns)


def _central_pairs(levels: list[float]) -> list[tuple[float, float]]:
    return [(low, high) for low in levels for high in levels if low < 0.5 and abs(low + high - 1) < 1e-9]


def _standard_naive(prices: pd.DataFrame, market_tz: str) -> pd.Series:
    """Price of the week before on Monday, Saturday and Sunday, of the day before otherwise."""
    known = filled(fold(prices[["price"]], market_tz))
    day, week = (np.vstack([np.full((lag, known.n_slots), np.nan), known.price[:-lag]]) for lag in (1, 7))
    weekly = np.isin(known.dates.weekday, WEEKLY_DAYS)
    naive = np.where(weekly[:, None], week[: len(known)], day[: len(known)])
    times = pd.DatetimeIndex(prices.index)
    times = times[market_dates(times, market_tz) >= known.dates[0]]
    return pd.Series(unfold(naive, known.dates, times, market_tz), index=times)


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
