"""Scenarios around a forecast: reduction, regimes and a year of windows, each beside the slow, obvious version."""

import numpy as np
import pytest

from gridlab import scenarios
from gridlab.schema import mock_forecast, mock_prices

PATHS = np.cumsum(np.random.default_rng(0).normal(size=(1000, 24)), axis=1)

TRUTH = scenarios.RegimesParams(
    intercept=np.array([0.0, 1.5]),
    phi=np.array([0.85, 0.5]),
    sigma=np.array([0.15, 0.8]),
    transition=np.array([[0.97, 0.03], [0.2, 0.8]]),
)


def _greedy(paths, n_keep):
    apart = np.linalg.norm(paths[:, None] - paths[None], axis=2)
    chosen = []
    for _ in range(n_keep):
        cost = [apart[:, [*chosen, j]].min(axis=1).mean() for j in range(len(paths))]
        chosen.append(int(np.argmin(cost)))
    return chosen


@pytest.mark.benchmark(group="10 of 1000 scenarios of a day")
def bench_reduce(benchmark):
    scenarios.reduce(PATHS, 2)
    benchmark(scenarios.reduce, PATHS, 10)


@pytest.mark.benchmark(group="10 of 1000 scenarios of a day")
def bench_reduce_by_the_definition(benchmark):
    kept = benchmark.pedantic(_greedy, (PATHS, 10), rounds=1)
    assert kept == scenarios.reduce(PATHS, 10).chosen.tolist()


@pytest.mark.benchmark(group="two regimes in 2000 steps")
def bench_regimes(benchmark):
    x = scenarios.simulate_regimes(TRUTH, start=0.0, n_steps=2000, n_paths=1, rng=np.random.default_rng(0))[0]
    scenarios.calibrate_regimes(x, rng=np.random.default_rng(0))
    benchmark.pedantic(lambda: scenarios.calibrate_regimes(x, rng=np.random.default_rng(0)), rounds=3)


@pytest.mark.benchmark(group="two regimes in 2000 steps")
def bench_regimes_by_statsmodels_from_one_start(benchmark):
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    x = scenarios.simulate_regimes(TRUTH, start=0.0, n_steps=2000, n_paths=1, rng=np.random.default_rng(0))[0]
    model = MarkovRegression(x[1:], k_regimes=2, exog=x[:-1], switching_variance=True)
    benchmark.pedantic(model.fit, rounds=1)


@pytest.mark.parametrize("process", ["bootstrap", "copula"])
@pytest.mark.benchmark(group="a year of daily windows, 10 of 500 paths each")
def bench_a_year_of_windows(benchmark, process):
    forecast, prices = mock_forecast(days=730), mock_prices(days=730)
    table = forecast.droplevel("origin")
    draw = scenarios.sampler(process, forecast, prices, n_paths=500, n_keep=10, rng=np.random.default_rng(0))
    benchmark.pedantic(lambda: [draw(table[24 * day : 24 * day + 24]) for day in range(365, 730)], rounds=1)
