"""Plans of a battery: the hot-started session beside a bare HiGHS model, cvxpy's own solve, and a year of plans."""

import highspy
import numpy as np
import pandas as pd
import pytest

from gridlab import backtest, mpc
from gridlab.assets import Battery
from gridlab.mpc.battery import BatteryPlanner, programme
from gridlab.programme import Session
from gridlab.programme.canonical import Data

BATTERY = Battery(1.0, 2.0, 0.922, 0.922)
STEPS, SHIFTS = 24, 50
RESOLVE = "50 re-solves of a 24-hour battery programme, hour after hour"


@pytest.fixture
def plans(market):
    """The parameters of a chain of plans, each an hour later and from where the last one's first hour ends."""
    planner, price = BatteryPlanner(BATTERY, 1.0), market["price"].to_numpy()
    end, soc, chain = mpc.Segments.flat(BATTERY, float(price.mean())), 0.0, []
    for hour in range(SHIFTS):
        data = planner._data(price[hour : hour + STEPS], soc, (0.0, 2.0), end, 0.0)
        chain.append(data)
        soc = planner.plan(price[hour : hour + STEPS], soc, (0.0, 2.0), end).soc_mwh[0]
    return chain


def bare_model(lp: Data, starts, rows) -> highspy.Highs:
    """The same linear programme written into HiGHS by hand."""
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(lp.cost), len(lp.row_lower)
    model.col_cost_, model.col_lower_, model.col_upper_ = lp.cost, lp.lower, lp.upper
    model.row_lower_, model.row_upper_ = lp.row_lower, lp.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = starts, rows, lp.coefficients
    highs = highspy.Highs()
    for name, value in {"output_flag": False, "threads": 1, "simplex_strategy": 1}.items():
        highs.setOptionValue(name, value)
    highs.passModel(model)
    return highs


@pytest.mark.benchmark(group=RESOLVE)
def bench_resolve_bare_highspy(benchmark, plans):
    form = programme(STEPS, 1, False, False).canonical
    lps = [form.data(form.vector(data)) for data in plans]
    highs = bare_model(lps[0], form.starts, form.rows)
    columns, rows = form.column_numbers, form.row_numbers

    def chain():
        for lp in lps:
            highs.changeColsCost(len(columns), columns, lp.cost)
            highs.changeColsBounds(len(columns), columns, lp.lower, lp.upper)
            highs.changeRowsBounds(len(rows), rows, lp.row_lower, lp.row_upper)
            highs.run()
            np.array(highs.getSolution().col_value)

    benchmark(chain)


@pytest.mark.benchmark(group=RESOLVE)
def bench_resolve_session(benchmark, plans):
    session = Session(programme(STEPS, 1, False, False))
    benchmark(lambda: [session.solve(data) for data in plans])


@pytest.mark.benchmark(group=RESOLVE)
def bench_resolve_cold_session(benchmark, plans):
    compiled = programme(STEPS, 1, False, False)
    benchmark.pedantic(lambda: [Session(compiled).solve(data) for data in plans], rounds=5)


@pytest.mark.parametrize("solver", ["HIGHS", "CLARABEL", "SCS"])
@pytest.mark.benchmark(group=RESOLVE)
def bench_resolve_cvxpy(benchmark, plans, solver):
    compiled = programme(STEPS, 1, False, False)

    def chain():
        for data in plans:
            for name, parameter in compiled.parameters.items():
                parameter.value = data[name]
            compiled.problem.solve(solver=solver)

    chain()
    benchmark.pedantic(chain, rounds=3)


def hourly(market: pd.DataFrame, n_plans: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Prices, and a forecast of the next 24 hours for each hour: the price of the day before."""
    prices = market.iloc[: 24 + n_plans + STEPS]
    place = np.arange(n_plans)[:, np.newaxis] + np.arange(STEPS)
    times = prices.index[24:][place.ravel()]
    origins = prices.index[24:][np.repeat(np.arange(n_plans), STEPS)]
    index = pd.MultiIndex.from_arrays([origins, times], names=["origin", "time"])
    return prices, pd.DataFrame({"mean": prices["price"].to_numpy()[place.ravel()]}, index=index)


@pytest.mark.parametrize(
    ("terminal_value", "least"),
    [(0.0, 0.5), (0.0, None), (None, None)],
    ids=["no-negative-prices", "negative-prices", "value-of-energy"],
)
@pytest.mark.benchmark(group="a year of hourly plans over 24 hours: 8,760 solves, settled and posted")
def bench_year_of_hourly_plans(benchmark, market, terminal_value, least):
    prices, forecast = hourly(market.assign(price=market["price"].clip(lower=least)), 8760)
    policy = mpc.POLICIES["mpc"](terminal_value)
    backtest.run(policy, BATTERY, prices, forecast.iloc[: 24 * STEPS], horizon=STEPS)
    result = benchmark.pedantic(
        backtest.run, (policy, BATTERY, prices, forecast), {"horizon": STEPS}, rounds=1, iterations=1
    )
    assert result.counts["plans"] == 8760
