"""Scores of forecasts against what happened."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import ndtri

from gridlab.days import WEEKLY_DAYS, Floats, filled, fold, market_dates, unfold, zone
from gridlab.errors import DataError
from gridlab.schema import quantiles_of, validate

Split = Literal["all", "hour", "weekday", "month", "year"]
Loss = Literal["absolute", "squared", "crps"]


def score(
    forecast: pd.DataFrame,
    prices: pd.DataFrame,
    *,
    by: Split = "all",
    market_tz: str = "UTC",
    target: str = "price",
) -> pd.DataFrame:
    r"""
    Errors of forecasts against what happened.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table; with a first index level `model`, each model is scored apart
        (``pd.concat({"naive": a, "lear": b}, names=["model"])``), and a model without quantiles has NaN where they
        are needed.
    prices : DataFrame
        A `prices` table; times without a value are left out.
    by : {"all", "hour", "weekday", "month", "year"}
        One row over all times, or one for each hour, weekday (0 is Monday), month or year of the market's clock.
    market_tz : str
        Time zone of the clock.
    target : str
        The column of `prices` that was forecast; its unit stands for $/MWh below.

    Returns
    -------
    DataFrame
        - `mae` and `rmse` [$/MWh]
        - `rmae`, the MAE over that of the EPF-standard naive (week on Monday, Saturday and Sunday, else the day
          before) on the times for which there is one [-]
        - `rmae_week`, the convention of [1]_: the MAE over that of the price a week before, which is measured where
          that week lies within the forecast's own days; NaN up to seven days [-]
        - `smape`, 200 \|e\| / (\|p\| + \|f\|) [%]

        with quantiles also

        - `pinball`, their mean pinball loss, and `crps`, twice that [$/MWh]
        - for each central interval of p %: `coverage_<p>`, the share of prices within it [-], `interval_score_<p>`,
          its width plus 2 / (1 - p / 100) times the distance of a price outside it [2]_, and `width_<p>` [$/MWh]

        and `n`, the number of times.

    Raises
    ------
    DataError
        If a table is malformed, they have no time in common, or there is no such column or split.

    Notes
    -----
    The continuous ranked probability score is twice the integral of the pinball loss over all probabilities. `crps`
    puts the mean over the quantile columns in the place of that integral, so it needs an even grid: with
    ``q01 .. q99`` it is about 1 % too high (for a normal distribution), with nine deciles 9 %. On few levels it says
    what the levels say and no more: quartiles overstate it by 22 %, ``q10, q50, q90`` understate it by 11 %, ``q05,
    q50, q95`` by 28 %. Compare it only between forecasts on the same levels. Some papers print half of it, the mean
    pinball loss, under the same name.

    References
    ----------
    .. [1] J. Lago, G. Marcjasz, B. De Schutter and R. Weron, "Forecasting day-ahead electricity prices: a review of
       state-of-the-art algorithms, best practices and an open-access benchmark," Applied Energy 293, 2021,
       doi:10.1016/j.apenergy.2021.116983.
    .. [2] T. Gneiting and A. E. Raftery, "Strictly proper scoring rules, prediction, and estimation," J. American
       Statistical Association 102(477), 2007, sections 4.2 and 6.2, doi:10.1198/016214506000001437.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> score(mock_forecast(), mock_prices())[["mae", "coverage_80", "interval_score_80", "n"]].round(2)
          mae  coverage_80  interval_score_80    n
    all  5.55         0.99              40.12  168
    """
    _check(prices, by, target)
    naives = _naives(prices, market_tz, target)
    parts = {name: _score_one(table, prices, naives, by, market_tz, target) for name, table in _models(forecast)}
    table = pd.concat(parts, names=["model"])
    table = table[[*table.columns.drop("n"), "n"]]
    if "model" not in forecast.index.names:
        return table.droplevel("model")
    return table.droplevel(1) if by == "all" else table


def reliability(forecast: pd.DataFrame, prices: pd.DataFrame, *, target: str = "price") -> pd.DataFrame:
    """
    Share of prices at or below each quantile: what a calibrated forecast makes equal to the quantile's probability.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table with quantiles; with a first index level `model`, one column a model.
    prices : DataFrame
        A `prices` table; times without a value are left out.
    target : str
        The column of `prices` that was forecast.

    Returns
    -------
    DataFrame
        Index `quantile`, one column a model (`forecast` where there is one without a name). [-]

    Raises
    ------
    DataError
        As `score` does, and if there are no quantiles.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> reliability(mock_forecast(), mock_prices())["forecast"].round(2).to_dict()
    {0.1: 0.01, 0.5: 0.49, 0.9: 0.99}
    """
    _check(prices, "all", target)
    columns = {}
    for name, table in _models(forecast):
        _, actual, _, values = _scored(table, prices, target)
        columns[name] = pd.Series({q: float(np.mean(actual <= value)) for q, value in values.items()}, dtype=float)
    shares = pd.DataFrame(columns).rename_axis("quantile").sort_index()
    if shares.empty:
        raise DataError("the forecast has no quantile columns: roll it with quantiles=(0.1, 0.5, 0.9)")
    return shares


def sigma(forecast: pd.DataFrame) -> pd.Series:
    """
    Standard deviation that a forecast's quantiles imply: half the width of the central interval of 68.3 %.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table of any column (price, hash price, load), with a quantile on either side of the median.

    Returns
    -------
    Series
        Same index, in the unit of what was forecast. Between quantiles it is interpolated by normal score.

    Raises
    ------
    DataError
        If the quantiles do not lie on both sides of the median.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast
    >>> table = mock_forecast(days=1)
    >>> bool((sigma(table) < table["q90"] - table["q10"]).all())
    True
    """
    levels = quantiles_of(forecast)
    probabilities = np.array(list(levels.values()))
    if not len(levels) or probabilities[0] >= 0.5 or probabilities[-1] <= 0.5:
        raise DataError("sigma needs quantiles below and above the median: roll with quantiles=(0.1, 0.5, 0.9)")
    scores, values = ndtri(probabilities), forecast[list(levels)].to_numpy(dtype=float)
    lower, upper = (np.array([np.interp(z, scores, row) for row in values]) for z in (-1.0, 1.0))
    reach = min(1.0, scores[-1]) - max(-1.0, scores[0])
    return pd.Series((upper - lower) / reach, index=forecast.index, name="sigma")


def daily_losses(
    forecast: pd.DataFrame,
    prices: pd.DataFrame,
    *,
    loss: Loss = "absolute",
    market_tz: str = "UTC",
    target: str = "price",
) -> pd.DataFrame:
    """
    Losses of a forecast, one row a market day: what the tests of difference and the drift monitor take.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table with one forecast for each time; with a first index level `model`, one block of columns a
        model, over the days that all of them have.
    prices : DataFrame
        A `prices` table. Days on which a price or a forecast is missing are left out.
    loss : {"absolute", "squared", "crps"}
        Error of the mean, its square, or `crps` as `score` has it.
    market_tz : str
        Time zone that says when a day begins.
    target : str
        The column of `prices` that was forecast.

    Returns
    -------
    DataFrame
        Index `date`; columns the slots of the day, under (model, slot) where there are models. [$/MWh, or its square]

    Raises
    ------
    DataError
        If a table is malformed, a time is forecast twice, quantiles are wanted and absent, or no day is whole.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> losses = daily_losses(mock_forecast(days=3), mock_prices(days=3))
    >>> losses.shape, losses.mean(axis=1).round(2).tolist()
    ((3, 24), [4.15, 6.23, 5.27])
    """
    _check(prices, "all", target)
    if loss not in ("absolute", "squared", "crps"):
        raise DataError(f"loss must be 'absolute', 'squared' or 'crps', got {loss!r}")

    def losses(name: str, table: pd.DataFrame) -> pd.Series:
        times, actual, mean, values = _scored(table, prices, target)
        if loss == "crps" and not values:
            raise DataError(f"'{name}' has no quantile columns: roll it with quantiles, or take the absolute loss")
        error = np.abs(actual - mean)
        made = 2 * _pinball(actual, values) if loss == "crps" else error if loss == "absolute" else error**2
        return pd.Series(made, index=times)

    return _by_day({name: losses(name, table) for name, table in _models(forecast)}, forecast, prices, market_tz)


def daily_hits(
    forecast: pd.DataFrame,
    prices: pd.DataFrame,
    *,
    level: float = 0.8,
    market_tz: str = "UTC",
    target: str = "price",
) -> pd.DataFrame:
    """
    Whether each price fell inside a central interval, one row a market day: 1 inside, 0 outside.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table, as for `daily_losses`.
    prices : DataFrame
        A `prices` table, as for `daily_losses`.
    level : float
        Nominal coverage of the interval, whose two quantiles must be among the columns. [-]
    market_tz : str
        Time zone that says when a day begins.
    target : str
        The column of `prices` that was forecast.

    Returns
    -------
    DataFrame
        As `daily_losses`. Where daylight saving doubles or skips an hour, the slot is a mean. [-]

    Raises
    ------
    DataError
        As `daily_losses` does, and if an interval of that level cannot be made of the quantiles.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> daily_hits(mock_forecast(days=3), mock_prices(days=3)).mean(axis=1).round(3).tolist()
    [1.0, 0.958, 1.0]
    """
    _check(prices, "all", target)

    def hits(name: str, table: pd.DataFrame) -> pd.Series:
        times, actual, _, values = _scored(table, prices, target)
        pairs = {round(high - low, 9): (values[low], values[high]) for low, high in _central_pairs(list(values))}
        if round(level, 9) not in pairs:
            raise DataError(f"'{name}' has no interval of {level:g}: it has {', '.join(map(str, pairs)) or 'none'}")
        low, high = pairs[round(level, 9)]
        return pd.Series(((low <= actual) & (actual <= high)).astype(float), index=times)

    return _by_day({name: hits(name, table) for name, table in _models(forecast)}, forecast, prices, market_tz)


def _check(prices: pd.DataFrame, by: str, target: str) -> None:
    validate(prices, "prices")
    if target not in prices.columns:
        raise DataError(f"prices has no column '{target}' (it has {', '.join(map(str, prices.columns))}): name one")
    if by not in ("all", "hour", "weekday", "month", "year"):
        raise DataError(f"by must be 'all', 'hour', 'weekday', 'month' or 'year', got {by!r}")


def _models(forecast: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each model's name and `forecast` table, without the quantiles that only other models have."""
    if "model" not in forecast.index.names:
        yield "forecast", validate(forecast, "forecast")
        return
    for name, table in forecast.groupby(level="model"):
        yield name, validate(table.droplevel("model").dropna(axis="columns", how="all"), "forecast")


def _scored(
    forecast: pd.DataFrame, prices: pd.DataFrame, target: str
) -> tuple[pd.DatetimeIndex, Floats, Floats, dict[float, Floats]]:
    """The forecast times with a price, and there: the price, the mean, and the quantiles by probability."""
    times = pd.DatetimeIndex(forecast.index.get_level_values("time"))
    actual = prices[target].reindex(times).to_numpy(dtype=float)
    found = ~np.isnan(actual)
    if not found.any():
        raise DataError("forecast and prices have no time in common: give the prices of the forecast's period")
    values = {level: forecast[name].to_numpy(dtype=float)[found] for name, level in quantiles_of(forecast).items()}
    return times[found], actual[found], forecast["mean"].to_numpy(dtype=float)[found], values


def _score_one(
    forecast: pd.DataFrame, prices: pd.DataFrame, naives: pd.DataFrame, by: str, market_tz: str, target: str
) -> pd.DataFrame:
    times, actual, mean, values = _scored(forecast, prices, target)
    points = _point_losses(actual, mean)
    dates = market_dates(times, market_tz)
    beside = {name: np.abs(actual - naive.reindex(times).to_numpy()) for name, naive in naives.items()}
    beside["week"] = np.where(dates >= dates.min() + pd.Timedelta(days=7), beside["week"], np.nan)
    own = np.where(np.isnan(beside["standard"]), np.nan, points["mae"])
    losses = pd.DataFrame({**points, **beside, "own": own, **_quantile_losses(actual, values)})
    key = np.repeat("all", len(times)) if by == "all" else getattr(times.tz_convert(zone(market_tz)), by).rename(by)
    groups = losses.groupby(key)
    means = groups.mean()
    relative = {"rmae": means.pop("own") / means.pop("standard"), "rmae_week": means["mae"] / means.pop("week")}
    points = {"mae": means.pop("mae"), "rmse": np.sqrt(means.pop("square")), **relative, "smape": means.pop("smape")}
    return pd.concat([pd.DataFrame(points), means, groups.size().rename("n")], axis="columns")


def _point_losses(actual: Floats, mean: Floats) -> dict[str, Floats]:
    error, size = np.abs(actual - mean), np.abs(actual) + np.abs(mean)
    smape = np.divide(200 * error, size, out=np.zeros_like(error), where=size > 0)
    return {"mae": error, "square": error**2, "smape": smape}


def _quantile_losses(actual: Floats, values: dict[float, Floats]) -> dict[str, Floats]:
    if not values:
        return {}
    pinball = _pinball(actual, values)
    losses = {"pinball": pinball, "crps": 2 * pinball}
    pairs = {f"{100 * (high - low):.6g}": (low, high) for low, high in _central_pairs(list(values))}
    for share, (low, high) in pairs.items():
        losses[f"coverage_{share}"] = ((values[low] <= actual) & (actual <= values[high])).astype(float)
    for share, (low, high) in pairs.items():
        outside = np.maximum(values[low] - actual, 0) + np.maximum(actual - values[high], 0)
        losses[f"interval_score_{share}"] = values[high] - values[low] + outside / low
    for share, (low, high) in pairs.items():
        losses[f"width_{share}"] = values[high] - values[low]
    return losses


def _pinball(actual: Floats, values: dict[float, Floats]) -> Floats:
    total = np.zeros_like(actual)
    for level, value in values.items():
        over = actual - value
        total += np.maximum(level * over, (level - 1) * over)
    return np.asarray(total / len(values))


def _central_pairs(levels: list[float]) -> list[tuple[float, float]]:
    return [(low, high) for low in levels for high in levels if low < 0.5 and abs(low + high - 1) < 1e-9]


def _naives(prices: pd.DataFrame, market_tz: str, target: str) -> pd.DataFrame:
    """`standard`: the week before on Monday, Saturday and Sunday, else the day before; `week`: the week before."""
    known = filled(fold(prices[[target]], market_tz, target=target))
    day, week = (np.vstack([np.full((lag, known.n_slots), np.nan), known.price[:-lag]]) for lag in (1, 7))
    day, week = day[: len(known)], week[: len(known)]
    weekly = np.isin(known.dates.weekday, WEEKLY_DAYS)[:, None]
    times = pd.DatetimeIndex(prices.index)
    times = times[market_dates(times, market_tz) >= known.dates[0]]
    naives = {"standard": np.where(weekly, week, day), "week": week}
    return pd.DataFrame({name: unfold(naive, known.dates, times, market_tz) for name, naive in naives.items()}, times)


def _by_day(
    by_model: dict[str, pd.Series], forecast: pd.DataFrame, prices: pd.DataFrame, market_tz: str
) -> pd.DataFrame:
    """Series by time as days by slots: the days that are whole, and in every series."""
    blocks = {}
    for name, series in by_model.items():
        if series.index.has_duplicates:
            time = series.index[series.index.duplicated()][0]
            raise DataError(f"'{name}' has several forecasts for {time}: keep one origin for each time")
        days = fold(series.reindex(prices.index).to_frame("loss"), market_tz, target="loss")
        blocks[name] = pd.DataFrame(days.price, days.dates)[days.is_whole].rename_axis(columns="slot")
    table = pd.concat(blocks, axis="columns", join="inner", names=["model"])
    if table.empty:
        raise DataError("no market day has a price and a forecast in every slot: give whole days of the market's clock")
    return table if "model" in forecast.index.names else table.droplevel("model", axis="columns")
