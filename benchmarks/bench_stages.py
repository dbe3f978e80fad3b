"""Forecast day, MPC day, clearing and report. Run with ``make bench``."""

import pandas as pd
import pytest

from gridlab import auctions, backtest, evaluate, mpc, plots, report
from gridlab.assets import Battery
from gridlab.days import fold
from gridlab.forecast import MODELS
from gridlab.mpc.battery import plan_battery
from gridlab.schema import mock_bids, mock_flows, mock_forecast, mock_prices
from gridlab.sources import describe

BATTERY = Battery(1.0, 2.0, 0.922, 0.922)


@pytest.mark.parametrize("name", ["naive", "wavelet", "lear", "arima", "mean"])
@pytest.mark.benchmark(group="forecast day: refit, held-out errors and quantiles")
def bench_forecast_day(benchmark, market, name):
    days, forecaster = fold(market), MODELS[name]()

    def one_day():
        return forecaster.forecast_day(forecaster.fit_days(days[:-1]), days[:-1], days.inputs[-1], (0.1, 0.5, 0.9))

    one_day()
    benchmark.pedantic(one_day, rounds=5)


@pytest.mark.benchmark(group="a week of naive forecasts: array core against sktime's interface")
def bench_roll_by_the_array_core(benchmark, market):
    benchmark(evaluate.roll, MODELS["naive_day"](), market, first_day="2025-03-01", days=7)


@pytest.mark.benchmark(group="a week of naive forecasts: array core against sktime's interface")
def bench_roll_by_sktimes_interface(benchmark, market):
    import warnings

    from sktime.forecasting.naive import NaiveForecaster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        benchmark.pedantic(
            evaluate.roll, (NaiveForecaster(sp=24), market), {"first_day": "2025-03-01", "days": 7}, rounds=3
        )


def _plan(price):
    return plan_battery(price, BATTERY, soc_mwh=0.0, step_hours=1.0, end_low_mwh=0.0, end_high_mwh=0.0)


@pytest.mark.benchmark(group="MPC day: 24 steps")
def bench_mpc_day_resolved(benchmark, market):
    price = market["price"].to_numpy()[-24:]
    _plan(price)
    benchmark(_plan, price)


@pytest.mark.benchmark(group="MPC day: 24 steps")
def bench_mpc_day_compiled_anew(benchmark, market):
    from gridlab.mpc import battery

    price = market["price"].to_numpy()[-24:]

    def anew():
        battery._compiled.cache_clear()
        return _plan(price)

    benchmark.pedantic(anew, rounds=10)


@pytest.mark.benchmark(group="clearing")
def bench_clearing_100_000_bids(benchmark):
    bids = mock_bids(100_000)
    benchmark(auctions.clear_double, bids)


@pytest.mark.benchmark(group="clearing")
def bench_clearing_1_000_bids(benchmark):
    bids = mock_bids(1_000)
    benchmark(auctions.clear_double, bids)


@pytest.mark.benchmark(group="backtest of eight weeks")
def bench_backtest_of_mpc(benchmark):
    prices, forecast = mock_prices(56), mock_forecast(56)
    benchmark.pedantic(backtest.run, (mpc.POLICIES["mpc"](), BATTERY, prices, forecast), {"horizon": 24}, rounds=5)


@pytest.mark.benchmark(group="report")
def bench_report(benchmark, market, tmp_path):
    figures = [
        report.figure(plots.plot_prices(market), "Prices.", "Prices."),
        report.figure(plots.plot_daily_shape(market), "Shape.", "Shape."),
    ]
    record = report.Record(
        study="bench",
        question="How long does a page take?",
        verdict=["Asked.", "Answered.", "Measured.", "Risked.", "Windowed."],
        figures=figures,
        tables={"Statistics": describe(market).statistics.T, "Flows": mock_flows(7).drop(columns="time")},
        headline="Statistics",
        method=["None."],
        limits=["None."],
        metrics={"rows": float(len(pd.DataFrame(market)))},
        simulated=True,
    )
    benchmark.pedantic(report.write, (record, tmp_path), rounds=5)
