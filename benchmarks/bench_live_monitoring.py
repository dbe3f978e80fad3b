"""Time of the watch and of the check of prices, one step each."""

import numpy as np
import pandas as pd
import pytest

from gridlab.live.believed import SERIES, believed
from gridlab.live.config import STEP, Config
from gridlab.live.monitoring import Seen, baseline, start, watch

STAGES = ("fetch", "forecast", "plan", "auction", "protect", "dispatch", "journal", "send", "total")


def bench_watch_a_step(benchmark):
    rng = np.random.default_rng(0)
    monitor = start(backtest=baseline(rng.standard_t(4, size=(2016, 3)), rng=rng, n_draws=100))
    time = pd.Timestamp("2025-06-21", tz="UTC")
    ms = dict.fromkeys(STAGES, 10.0)
    for i in range(100):
        errors = tuple(rng.standard_t(4, size=3).tolist())
        seen = Seen(
            time + i * STEP,
            (1.0, 2.0, 3.0),
            errors=errors,
            error_scales=(1.0, 1.0, 1.0),
            soc_share=0.5,
            soc_expected=0.5,
            temperature_c=60.0 + rng.normal(),
            utilisation=0.9,
            margin_positive=True,
            profit_today=100.0 * i + rng.normal(),
            planned_today=100.0 * i,
            ms=ms,
            protocols=("scale_down",),
            api_calls=4,
            disk_free_mb=900.0,
            clock_skew_s=0.3,
            readings_minutes=1.0,
        )
        monitor, _ = watch(monitor, seen)
    benchmark(watch, monitor, seen)


@pytest.mark.parametrize("days", [1, 7])
def bench_believe_one_more_row(benchmark, days):
    times = pd.date_range("2025-06-21", periods=288 * days, freq="5min", tz="UTC", name="time")
    values = np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.02, (len(times), 3)), axis=0))
    prices = pd.DataFrame(values, index=times, columns=list(SERIES))
    known = believed(prices[:-1], times[-2], Config()).known
    assert len(benchmark(believed, prices, times[-1], Config(), known).times) == 1
