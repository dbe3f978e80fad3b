"""A thousand scenarios of a site's day: one hot-started session beside the same programme solved by cvxpy."""

import numpy as np
import pandas as pd
import pytest

from gridlab.assets import Battery, Cooling, Machine, Site
from gridlab.mpc.base import State, Window
from gridlab.mpc.site import site_planner
from gridlab.mpc.site_data import calendar, outlook, site_data
from gridlab.mpc.site_programme import Shape, site_programme
from gridlab.programme import Session

SITE = Site(
    import_limit_mw=3.0,
    export_limit_mw=1.0,
    battery=Battery(1.0, 2.0, 0.92, 0.92, degradation_cost=2.0),
    machines=(
        Machine("miners", power_mw=0.0035, count=300, output=1.0),
        Machine("inference", 0.05, 20, 1.0, "token_price", service_level=0.9, ramp_mw_per_hour=0.5),
        Machine("training", 0.25, 2, 1.0, "job_price", start_cost=5.0, stop_cost=5.0, min_run_hours=4.0),
    ),
    cooling=Cooling(capacity_mw=3.0),
)
STORING = Site(3.0, 1.0, SITE.battery, SITE.machines, Cooling(capacity_mw=3.0, room_mwh_per_c=0.2, wall_mw_per_c=0.01))
STATE = State(SITE, soc_mwh=1.0, end_low_mwh=0.0, end_high_mwh=2.0)
TIMES = pd.date_range("2024-07-01", periods=24, freq="1h", tz="UTC", name="time")


def _windows(n_scenarios: int, *, same_weather: bool = True) -> list[Window]:
    """Days with random walks of the prices of energy, hashes and tokens, some with a spike and some below zero."""
    rng, hour = np.random.default_rng(0), np.arange(24)
    daily = 40 + 25 * np.sin((hour - 12) * np.pi / 12)
    warmth = 25 + 8 * np.sin((hour - 9) * np.pi / 12)
    windows = []
    for _ in range(n_scenarios):
        walk = np.cumsum(rng.normal(0, 4, 24)) + rng.normal(0, 5, 24) + 200 * (rng.random(24) < 0.03)
        columns = {
            "mean": daily + walk,
            "hash_price": 0.0035 * 60 * np.exp(np.cumsum(rng.normal(0, 0.02, 24))),
            "token_price": 0.05 * 70 * np.exp(np.cumsum(rng.normal(0, 0.02, 24))),
            "job_price": np.full(24, 0.25 * 75),
            "temperature_c": warmth if same_weather else warmth + rng.normal(0, 2),
            "inference_demand": 12 + 8 * np.sin((hour - 8) * np.pi / 12),
        }
        windows.append(Window(TIMES, 1.0, columns))
    return windows


def _data(window: Window) -> dict:
    days = calendar(TIMES, 1.0)
    data = site_data(SITE, STATE, outlook(window.columns, SITE), days, 1.0, prorate_demand=False)
    return data | {
        "price": window.mean,
        "days": days.rows,
        "piece_most": np.array([2.0]),
        "piece_value": np.array([20.0]),
    }


PROGRAMME = site_programme(Shape((("", SITE),), 24, 1.0))


@pytest.mark.benchmark(group="1,000 site scenarios of 24 hours")
def bench_thousand_scenarios_by_one_session(benchmark):
    session, data = Session(PROGRAMME), [_data(window) for window in _windows(1000)]
    session.solve(data[0])
    benchmark.pedantic(lambda: [session.solve(one) for one in data], rounds=3)


@pytest.mark.parametrize("site", [SITE, STORING], ids=["heat removed at once", "room stores heat"])
@pytest.mark.benchmark(group="1,000 site scenarios of 24 hours")
def bench_thousand_scenarios_by_the_planner(benchmark, site):
    """Schedules with all checks, and binaries where prices below zero would waste energy."""
    planner, windows = site_planner(site, 1.0, terminal=20.0), _windows(1000)
    planner(STATE, windows[0])
    benchmark.pedantic(lambda: [planner(STATE, window) for window in windows], rounds=3)


@pytest.mark.benchmark(group="1,000 site scenarios of 24 hours")
def bench_thousand_scenarios_each_with_its_own_weather(benchmark):
    """The coefficients of performance are in the matrix, so that every scenario is a new model."""
    planner, windows = site_planner(SITE, 1.0, terminal=20.0), _windows(1000, same_weather=False)
    planner(STATE, windows[0])
    benchmark.pedantic(lambda: [planner(STATE, window) for window in windows], rounds=1)


@pytest.mark.benchmark(group="20 site scenarios of 24 hours: hot-started session against cvxpy")
def bench_twenty_scenarios_by_one_session(benchmark):
    session, data = Session(PROGRAMME), [_data(window) for window in _windows(20)]
    session.solve(data[0])
    benchmark.pedantic(lambda: [session.solve(one) for one in data], rounds=5)


@pytest.mark.parametrize("solver", ["HIGHS", "CLARABEL"])
@pytest.mark.benchmark(group="20 site scenarios of 24 hours: hot-started session against cvxpy")
def bench_twenty_scenarios_by_cvxpy(benchmark, solver):
    data = [_data(window) for window in _windows(20)]

    def solve_all() -> None:
        for one in data:
            for name, parameter in PROGRAMME.parameters.items():
                parameter.value = one[name]
            PROGRAMME.problem.solve(solver=solver)

    benchmark.pedantic(solve_all, rounds=3, warmup_rounds=1)
