"""The loop without a network: a week of steps as `replay` takes them, and one step with each of its stages."""

import time

import numpy as np
import pandas as pd
import pytest

from gridlab.live.config import STEP, Config
from gridlab.live.replay import replay
from gridlab.live.state import first_state
from gridlab.live.step import step
from gridlab.sources.mara import DOCUMENTED, EVENT

START = pd.Timestamp("2025-06-21", tz="UTC")
WEEK = 2016


def market(n_rows, missing=0.0, jumps=0.0):
    """Prices that return to their means, with rows that are missing and prices that jump."""
    rng = np.random.default_rng(3)
    around, noise = np.zeros((n_rows, 3)), rng.normal(0, [0.1, 0.15, 0.1], (n_rows, 3))
    for i in range(1, n_rows):
        around[i] = 0.97 * around[i - 1] + noise[i]
    values = np.maximum(around + np.array([1.5, 2.5, 1.5]), 0.01)
    values[rng.random(n_rows) < jumps] *= 20
    values[rng.random(n_rows) < missing] = np.nan
    times = pd.date_range(START, periods=n_rows, freq="5min", name="time")
    return pd.DataFrame(values, index=times, columns=["price", "hash_price", "token_price"])


@pytest.mark.parametrize("faults", [0.0, 0.1])
@pytest.mark.parametrize("inventory", [EVENT, DOCUMENTED], ids=["event", "documented"])
def bench_replay_of_a_week(benchmark, inventory, faults):
    prices = market(WEEK, faults, faults / 4)
    begin = time.process_time()
    played = benchmark.pedantic(replay, (prices, inventory, Config()), rounds=3, warmup_rounds=1)
    benchmark.extra_info["steps_per_cpu_s"] = round(4 * WEEK / (time.process_time() - begin))
    assert len(played.decisions) == WEEK


def bench_one_step_over_the_table_of_a_day(benchmark):
    prices, config = market(288), Config()
    state = first_state(START, config)
    for row, interval in enumerate(prices.index[:-1]):
        state = step(state.at(interval), prices[: row + 1], DOCUMENTED, config).state
    last = state.at(prices.index[-1])
    decision = benchmark(step, last, prices, DOCUMENTED, config)
    assert (decision.mode, decision.interval) == ("normal", START + 287 * STEP)
