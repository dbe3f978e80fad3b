"""Forecasts: LEAR's recalibration beside scikit-learn's, the cost of rolling, and a day from a fitted ensemble."""

import warnings

import numpy as np
import pytest

from gridlab import evaluate
from gridlab.days import filled, fold
from gridlab.forecast import MODELS
from gridlab.forecast.lear import WINDOWS, Lear, regressors
from gridlab.forecast.transform import asinh_scale
from gridlab.sources import simulate_market


@pytest.fixture(scope="module")
def six_years():
    prices = simulate_market("2019-01-01", 2184, "1h", rng=np.random.default_rng(7))
    wind = np.random.default_rng(8).normal(3000, 900, len(prices))
    return prices.assign(wind_forecast=wind)  # two inputs, as the public benchmark has


@pytest.fixture(scope="module")
def history(six_years):
    return fold(six_years)[:1500]


def matrices(history, window):
    """LEAR's 247 regressors and 24 targets on one window, as the LASSO sees them."""
    table = regressors(history[-window:])
    lags, price = table.lags[7:], history.price[-window:][7:]
    X = np.hstack([asinh_scale(lags).forward(lags), table.weekday[7:]])
    return (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-9), asinh_scale(price).forward(price)


@pytest.mark.benchmark(group="LEAR of four windows recalibrated for a day, 24 hours")
def bench_lear_of_a_day_compiled(benchmark, history):
    forecaster = Lear(WINDOWS, level="kept")
    forecaster.fit_part(history)
    benchmark.pedantic(forecaster.fit_part, (history,), rounds=20)


@pytest.mark.benchmark(group="LEAR of four windows recalibrated for a day, 24 hours")
def bench_lear_of_a_day_by_scikit_learn(benchmark, history):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso, LassoLarsIC

    prepared = [matrices(history, window) for window in WINDOWS]

    def by_the_book():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for X, Y in prepared:
                for y in Y.T:
                    penalty = LassoLarsIC("aic", noise_variance=0.1 * y.var()).fit(X, y).alpha_
                    Lasso(penalty, max_iter=2500).fit(X, y)

    benchmark.pedantic(by_the_book, rounds=1)


@pytest.mark.benchmark(group="364 days of naive forecasts: rolled, and their own time")
def bench_roll(benchmark, six_years):
    benchmark.pedantic(
        evaluate.roll, (MODELS["naive"](), six_years), {"first_day": "2023-01-01", "days": 364}, rounds=5
    )


@pytest.mark.benchmark(group="364 days of naive forecasts: rolled, and their own time")
def bench_own_time(benchmark, six_years):
    days, forecaster = fold(six_years), MODELS["naive"]()
    first = int(np.flatnonzero(days.dates == "2023-01-01")[0])
    closed = filled(days)

    def by_the_array_core():
        learner = forecaster.new_aggregate()
        for row in range(first - 28, first + 364):
            said = forecaster.say(forecaster.fit_part(days[:row]), closed[:row], days.inputs[row])
            if row >= first:
                learner.forecast(said.experts, said.spread, (0.1, 0.5, 0.9))
            learner.observe(said.experts, said.spread, days.price[row])

    benchmark.pedantic(by_the_array_core, rounds=5)


@pytest.mark.parametrize("name", ["lear", "online"])
@pytest.mark.benchmark(group="24 hours with intervals from a fitted ensemble")
def bench_forecast_of_a_day_from_a_fit(benchmark, history, name):
    forecaster = MODELS[name]()
    fitted = forecaster.fit_days(history[:-1])
    benchmark(forecaster.forecast_day, fitted, history[:-1], history.inputs[-1], (0.1, 0.5, 0.9))
