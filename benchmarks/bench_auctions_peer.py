"""Peer matching of a million orders beside a plain loop over fewer, and its growth. Run with ``make bench``."""

import numpy as np
import pandas as pd
import pytest

from gridlab.auctions.peer import clear_p2p, match_p2p
from gridlab.schema import mock_times


def orders(n_orders: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    sells = rng.random(n_orders) < 0.5
    return pd.DataFrame(
        {
            "time": mock_times(1)[rng.integers(0, 24, n_orders)],
            "bidder": [f"home_{i}" for i in range(n_orders)],
            "service": "energy",
            "quantity_mw": np.where(sells, 1.0, -1.0) * rng.uniform(0.001, 0.01, n_orders),
            "price": np.where(sells, 40.0, 200.0) + rng.normal(0, 30, n_orders),
        }
    )


def pro_rata_by_a_loop(bids: pd.DataFrame, price: float, kept: float) -> list[tuple[float, float]]:
    """Awards and payments, row by row."""
    rows = list(bids[["time", "quantity_mw", "price"]].itertuples(index=False))
    offered, wanted = {}, {}
    for time, quantity, limit in rows:
        if quantity > 0 and limit <= price * kept:
            offered[time] = offered.get(time, 0.0) + quantity * kept
        elif quantity < 0 and limit >= price:
            wanted[time] = wanted.get(time, 0.0) - quantity
    result = []
    for time, quantity, limit in rows:
        bought = min(offered.get(time, 0.0), wanted.get(time, 0.0))
        if quantity > 0 and limit <= price * kept:
            awarded = quantity * bought / offered[time]
            result.append((awarded, -awarded * price * kept))
        elif quantity < 0 and limit >= price:
            awarded = quantity * bought / wanted[time]
            result.append((awarded, -awarded * price))
        else:
            result.append((0.0, 0.0))
    return result


@pytest.mark.parametrize("n_orders", [10_000, 100_000, 1_000_000])
@pytest.mark.benchmark(group="pro-rata peer matching")
def bench_pro_rata(benchmark, n_orders):
    bids = orders(n_orders)
    benchmark.pedantic(clear_p2p, (bids,), {"price": 120.0}, rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="pro-rata peer matching")
def bench_pro_rata_by_a_loop_100_000(benchmark):
    bids = orders(100_000)
    slow = np.array(benchmark.pedantic(pro_rata_by_a_loop, (bids, 120.0, 0.95), rounds=3))
    fast = clear_p2p(bids, price=120.0)
    np.testing.assert_allclose(slow[:, 0], fast.awards["quantity_mw"], atol=1e-12)
    np.testing.assert_allclose(slow[:, 1], fast.payments, atol=1e-9)


@pytest.mark.parametrize("n_orders", [10_000, 100_000, 1_000_000])
@pytest.mark.benchmark(group="price-ranked peer matching")
def bench_price_ranked(benchmark, n_orders):
    bids = orders(n_orders)
    benchmark.pedantic(clear_p2p, (bids,), {"rule": "price_ranked"}, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="price-ranked peer matching")
def bench_pairs_of_100_000(benchmark):
    bids = orders(100_000)
    benchmark.pedantic(match_p2p, (bids,), rounds=5, warmup_rounds=1)
