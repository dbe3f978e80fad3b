"""What a stochastic planner is given: a call from one origin's forecast to scenarios and their weights."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.days import fold, market_dates, unfold
from gridlab.errors import DataError
from gridlab.scenarios.bootstrap import past_prices
from gridlab.scenarios.copula import correlation_of, shares
from gridlab.scenarios.margins import margins_of, shares_at, values_at
from gridlab.scenarios.reduction import reduce

Floats = NDArray[np.float64]
Weighted = tuple[Floats, Floats]
Process = Literal["bootstrap", "copula"]

PROCESSES: tuple[Process, ...] = ("bootstrap", "copula")


def sampler(
    process: Process,
    forecast: pd.DataFrame,
    prices: pd.DataFrame,
    *,
    n_paths: int,
    rng: np.random.Generator,
    n_keep: int | None = None,
    market_tz: str = "UTC",
    least_days: int = 14,
    most_days: int = 365,
) -> Callable[[pd.DataFrame], Weighted]:
    """
    Scenarios around each forecast to come, from the errors of those before it.

    The call that comes back takes a window, one origin's forecast, and draws from the forecasts of the table whose
    every time lies before the window's first time, and from nothing later. Errors are those of the same slots of the
    market's clock, so that a window may begin at any time, have any length and cross daylight saving; a window that
    touches several market days takes as many consecutive days at once.

    Parameters
    ----------
    process : {"bootstrap", "copula"}
        Past errors around the mean, as `simulate_bootstrap` draws them, or the window's own quantiles with the past's
        dependence, as `simulate_copula` does.
    forecast : DataFrame
        A `forecast` table with one forecast of each time; the copula needs two quantiles.
    prices : DataFrame
        A `prices` table.
    n_paths : int
        Paths to draw for each window.
    rng : Generator
        Source of randomness, asked once, here: the draws of a window then depend on its first time and not on the
        order of calls.
    n_keep : int, optional
        Scenarios to keep of them, by `reduce`; all, with equal weights, when omitted.
    market_tz : str
        Time zone that says when a day begins.
    least_days : int
        With fewer past days (or runs of them) than this, the only scenario is the mean.
    most_days : int
        The latest past days are used, as many as this.

    Returns
    -------
    callable
        ``(window) -> (paths, weights)`` of shapes (k, n_steps) and (k,). A `window` is a DataFrame indexed by `time`
        with a column `mean` and, for the copula, quantiles; where `mean` is NaN, so are the paths.

    Raises
    ------
    DataError
        If there is no such process, a table breaks its schema, a time is forecast twice, the copula has no quantiles,
        or a number is out of range; by the callable, if a window has no rows, no UTC times or an unknown quantile.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> forecast = mock_forecast(days=40)
    >>> draw = sampler("copula", forecast, mock_prices(days=40), n_paths=100, n_keep=5, rng=np.random.default_rng(0))
    >>> window = forecast.xs(pd.Timestamp("2024-02-05", tz="UTC"), level="origin")
    >>> paths, weights = draw(window)
    >>> paths.shape, round(float(weights.sum()), 9)
    ((5, 24), 1.0)
    """
    _check_numbers(process, n_paths, n_keep, least_days, most_days)
    past = _past(forecast, _outcome(process, forecast, prices), prices, market_tz)
    seed = int(rng.integers(2**62))
    return _Sampler(process, past, n_paths, n_keep, seed, least_days, most_days, market_tz)


@dataclass(frozen=True)
class _Past:
    """
    What came of past forecasts, by market day and slot.

    `over` is the time after which nothing that made the day's row was still to come.
    """

    dates: pd.DatetimeIndex
    values: Floats
    over: pd.DatetimeIndex


@dataclass(frozen=True)
class _Sampler:
    process: Process
    past: _Past
    n_paths: int
    n_keep: int | None
    seed: int
    least_days: int
    most_days: int
    market_tz: str
    correlations: dict[tuple[int, int], Floats] = field(default_factory=dict)

    def __call__(self, window: pd.DataFrame) -> Weighted:
        """Scenarios of one window and their weights."""
        times, mean = _checked(window)
        dates = market_dates(times, self.market_tz)
        dates = pd.date_range(dates[0], dates[-1], freq="D")
        runs = self._runs(times[0], len(dates))
        if len(runs) < self.least_days:
            return mean[None], np.ones(1)
        cell = np.arange(runs.shape[1], dtype=float).reshape(len(dates), -1)
        cells = unfold(cell, dates, times, self.market_tz).astype(np.int64)
        rng = np.random.default_rng([self.seed, times[0].value % 2**63])
        if self.process == "bootstrap":
            paths = mean + runs[rng.integers(len(runs), size=self.n_paths)][:, cells]
        else:
            paths = self._by_copula(window, runs, cells, rng)
        return self._reduced(np.where(np.isnan(mean), np.nan, paths))

    def _runs(self, start: pd.Timestamp, n_days: int) -> Floats:
        """Runs of whole consecutive days that were over before a time, shape (n_runs, n_days * n_slots)."""
        known = self.past.values[max(0, self._n_over(start) - self.most_days) : self._n_over(start)]
        if len(known) < n_days:
            return np.empty((0, n_days * self.past.values.shape[1]))
        runs = np.lib.stride_tricks.sliding_window_view(known, n_days, axis=0).swapaxes(1, 2)
        runs = runs.reshape(len(runs), -1)
        return np.asarray(runs[~np.isnan(runs).any(axis=1)])

    def _n_over(self, start: pd.Timestamp) -> int:
        return int(self.past.over.searchsorted(start, side="left"))

    def _by_copula(
        self, window: pd.DataFrame, runs: Floats, cells: NDArray[np.int64], rng: np.random.Generator
    ) -> Floats:
        key = (self._n_over(window.index[0]), runs.shape[1])
        if key not in self.correlations:
            self.correlations[key] = correlation_of(runs)
        used, position = np.unique(cells, return_inverse=True)
        drawn = shares(self.correlations[key][np.ix_(used, used)], n_paths=self.n_paths, rng=rng)
        return values_at(drawn[:, position], *margins_of(window))

    def _reduced(self, paths: Floats) -> Weighted:
        if self.n_keep is None:
            return paths, np.full(len(paths), 1 / len(paths))
        is_open = ~np.isnan(paths).all(axis=0)
        if not is_open.any():
            return paths[:1], np.ones(1)
        kept = reduce(paths[:, is_open], self.n_keep)
        return paths[kept.chosen], kept.weights


def _check_numbers(process: str, n_paths: int, n_keep: int | None, least_days: int, most_days: int) -> None:
    if process not in PROCESSES:
        raise DataError(f"process must be one of {', '.join(PROCESSES)}, got {process!r}")
    if n_paths < 1:
        raise DataError(f"n_paths must be at least 1, got {n_paths}")
    if n_keep is not None and not 1 <= n_keep <= n_paths:
        raise DataError(f"n_keep must be from 1 to the {n_paths} paths, got {n_keep}")
    if not 2 <= least_days <= most_days:
        raise DataError(f"needs 2 <= least_days <= most_days, got {least_days} and {most_days}")


def _outcome(process: Process, forecast: pd.DataFrame, prices: pd.DataFrame) -> pd.Series:
    """Of each forecast time, the error of the mean or the price's probability under the quantiles."""
    price = past_prices(forecast, prices)
    if process == "bootstrap":
        return price - forecast["mean"]
    return pd.Series(shares_at(price, *margins_of(forecast)), forecast.index)


def _past(forecast: pd.DataFrame, outcome: pd.Series, prices: pd.DataFrame, market_tz: str) -> _Past:
    by_time = outcome.droplevel("origin")
    if by_time.index.has_duplicates:
        twice = by_time.index[by_time.index.duplicated()][0]
        raise DataError(f"the forecast has several forecasts of {twice}: keep one origin for each time")
    grid = prices.loc[by_time.index.min() : by_time.index.max()].index
    if not len(grid):
        raise DataError("the forecast and the prices have no time in common: give prices of the forecast's days")
    days = fold(pd.DataFrame({"price": by_time.reindex(grid)}, index=grid), market_tz)
    times = forecast.index.get_level_values("time")
    last = times.to_series(index=forecast.index).groupby(level="origin").transform("max")
    over = last.groupby(market_dates(times, market_tz)).max().reindex(days.dates).bfill().cummax()
    return _Past(days.dates, days.price, pd.DatetimeIndex(over))


def _checked(window: pd.DataFrame) -> tuple[pd.DatetimeIndex, Floats]:
    times = window.index
    if not len(window) or "mean" not in window:
        raise DataError(f"a window needs rows and a column 'mean', got {len(window)} rows of {list(window.columns)}")
    if not (isinstance(times, pd.DatetimeIndex) and str(times.tz) == "UTC" and times.is_monotonic_increasing):
        raise DataError(f"a window must be indexed by rising UTC times, got {times.dtype}")
    return times, window["mean"].to_numpy(float)
