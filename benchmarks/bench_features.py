"""A year of features, the columns for one day to forecast, and the choice among them. Run with ``make bench``."""

import numpy as np
import pytest

from gridlab import features
from gridlab.days import fold

ROLLING = [f"price_slot_{what}_{n}d" for n in (7, 28, 56) for what in ("mean", "median", "sd")]


@pytest.fixture(scope="module")
def year(market):
    """A year of hours with two inputs."""
    wind = np.random.default_rng(1).gamma(2, 50, 365 * 24)
    return market.iloc[: 365 * 24].filter(["price", "load_forecast"]).assign(wind_forecast=wind)


@pytest.mark.benchmark(group="features of a year of hours")
def bench_features_of_a_year(benchmark, year):
    features.build(year, country="US")
    table = benchmark(features.build, year, market_tz="America/New_York", country="US")
    assert table.shape[1] >= 104


@pytest.mark.benchmark(group="nine rolling columns of a year of hours")
def bench_rolling_columns_of_a_year(benchmark, year):
    benchmark(features.build, year, columns=ROLLING)


@pytest.mark.benchmark(group="nine rolling columns of a year of hours")
def bench_rolling_columns_of_a_year_by_pandas(benchmark, year):
    def by_pandas():
        past = year["price"].groupby(year.index.hour).shift(1)
        windows = [past.groupby(year.index.hour).rolling(n, min_periods=int(np.ceil(0.75 * n))) for n in (7, 28, 56)]
        return [slow for window in windows for slow in (window.mean(), window.median(), window.std(ddof=0))]

    benchmark(by_pandas)


@pytest.mark.benchmark(group="features of one day to forecast")
def bench_features_of_a_day(benchmark, year):
    days = fold(year)[-features.MEMORY_DAYS - 1 :]
    benchmark(features.of_days, days)


@pytest.mark.benchmark(group="selection of 30 columns on a year of hours")
def bench_selection_on_a_year(benchmark, year):
    table = features.build(year)
    benchmark(features.select, table, year["price"], 30)
