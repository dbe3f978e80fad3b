"""The allocation of machines and the plan of a live step. Run with ``make bench``."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from gridlab.assets import Battery, Cooling
from gridlab.live.config import Config
from gridlab.live.planning import Planner, hindsight
from gridlab.mpc.allocation import allocate
from gridlab.schema import mock_prices
from gridlab.sources.mara import DOCUMENTED, EVENT, MACHINES, Quote, margins

NOON = pd.Timestamp("2025-06-21 12:00", tz="UTC")
QUOTE = Quote(NOON, 1.7, 1.6, 1.7)
EACH = dict.fromkeys(MACHINES, 2000.0)


class Fan(NamedTuple):
    mean: np.ndarray
    quantiles: np.ndarray
    levels: tuple[float, ...] = (0.1, 0.5, 0.9)


@pytest.mark.parametrize("inventory", [EVENT, DOCUMENTED], ids=["event", "documented"])
@pytest.mark.benchmark(group="allocation of five types under a cap")
def bench_allocate(benchmark, inventory):
    margin, power = list(margins(inventory, QUOTE).values()), list(inventory.power.values())
    benchmark(allocate, margin, power, 1_000_000)


@pytest.mark.benchmark(group="allocation of five types under a cap")
def bench_allocate_with_switching_costs(benchmark):
    margin, power = list(margins(EVENT, QUOTE).values()), list(EVENT.power.values())
    benchmark(allocate, margin, power, 1_000_000, before=[10, 100, 5, 20, 8], switching_cost=[500.0] * 5)


@pytest.mark.parametrize("closeness", [1e-2, 1e-4], ids=["to 1e-2", "to 1e-4"])
@pytest.mark.benchmark(group="allocation of five types that are alike, of awkward powers")
def bench_allocate_near_ties(benchmark, closeness):
    power = np.array([3333, 5001, 9999, 7417, 14983])
    margin = power * (1 + closeness * np.random.default_rng(0).uniform(size=5))
    benchmark(allocate, margin, power, 1_000_000)


SITES = {
    "machines alone": Config(),
    "chiller": Config(cooling=Cooling(0.8)),
    "switching costs": Config(switching_cost=EACH),
    "switching costs and least runs": Config(switching_cost=EACH, dwell_minutes=dict.fromkeys(MACHINES, 30.0)),
    "battery": Config(battery=Battery(0.3, 0.6)),
    "room": Config(cooling=Cooling(0.8, room_mwh_per_c=0.02)),
    "chiller and switching costs": Config(cooling=Cooling(0.5), switching_cost=EACH),
    "all": Config(battery=Battery(0.3, 0.6), cooling=Cooling(0.8, room_mwh_per_c=0.02), switching_cost=EACH),
}


@pytest.mark.parametrize("site", SITES)
@pytest.mark.benchmark(group="plan of a live step, two hours ahead")
def bench_plan(benchmark, site):
    planner, rng = Planner(SITES[site]), np.random.default_rng(0)
    battery = 0.5 if SITES[site].battery else None

    def fan():
        mean = 1.7 * np.exp(0.05 * rng.normal(size=(3, 23)).cumsum(axis=1))
        return (DOCUMENTED, QUOTE, Fan(mean, mean[:, :, None] * [0.9, 1.0, 1.1])), {"soc_share": battery}

    planner.plan(*fan()[0], soc_share=battery)
    benchmark.pedantic(planner.plan, setup=fan, rounds=50)


@pytest.mark.benchmark(group="hindsight of a day")
def bench_hindsight_with_switching_costs(benchmark):
    rng, prices = np.random.default_rng(0), mock_prices(days=1, freq="5min")
    prices = prices.assign(
        price=1.7, hash_price=rng.uniform(1, 2, len(prices)), token_price=rng.uniform(1, 2, len(prices))
    )
    benchmark.pedantic(hindsight, (prices, EVENT, Config(switching_cost=EACH)), rounds=3)
