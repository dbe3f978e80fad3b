"""
Divisible power under one cap: payments from the merit order beside n + 1 full re-solves. Run with ``make bench``.

Re-solves are by the same compiled merit order. At 200 bidders all of them are made; from 10,000 bidders on only those
without 5 of the winners, so that n + 1 of them take n / 5 times what is shown.
"""

import numpy as np
import pandas as pd
import pytest

from gridlab.auctions import merit_order_core as core
from gridlab.auctions.clearing import wants
from gridlab.auctions.merit_order import clear_vcg, explain_vcg, in_merit_order
from gridlab.auctions.one_sided import clear_uniform
from gridlab.auctions.statistics import statistics
from gridlab.schema import mock_times

SEGMENTS = 10
SIZES = [200, 10_000, 100_000]
SAMPLE = 5


def _market(n_bidders: int, n_times: int = 1, *, seed: int = 0) -> tuple[pd.DataFrame, float]:
    """Decreasing curves of ten segments and a capacity that serves about half of them."""
    rng = np.random.default_rng(seed)
    shape = (n_times * n_bidders, SEGMENTS)
    names = np.array([f"bidder_{i}" for i in range(n_bidders)])
    times = mock_times(1 + n_times // 24)[:n_times]
    table = pd.DataFrame(
        {
            "time": times.repeat(n_bidders * SEGMENTS),
            "bidder": np.tile(names.repeat(SEGMENTS), n_times),
            "service": "power",
            "quantity_mw": rng.uniform(0.1, 2.0, shape).ravel(),
            "price": -np.sort(-rng.lognormal(4, 0.5, shape), axis=1).ravel(),
        }
    )
    return table, 5.0 * n_bidders


def _one_bidder_wins_nearly_all(bids: pd.DataFrame, capacity: float) -> pd.DataFrame:
    whale = bids.index < SEGMENTS
    return bids.assign(
        quantity_mw=bids["quantity_mw"].mask(whale, 0.0999 * capacity), price=bids["price"].mask(whale, 1e5)
    )


def _welfare_without(bids: pd.DataFrame, capacity: float, bidder: str | None) -> float:
    rest = bids if bidder is None else bids[bids["bidder"] != bidder]
    asked = wants(rest, capacity)
    return float(in_merit_order(asked).awarded @ asked.price)


def _payments_by_solving_again(bids: pd.DataFrame, capacity: float, bidders: list[str]) -> dict[str, float]:
    asked = wants(bids, capacity)
    value = pd.Series(in_merit_order(asked).awarded * asked.price).groupby(bids["bidder"].to_numpy()).sum()
    total = value.sum()
    return {name: _welfare_without(bids, capacity, name) - (total - value[name]) for name in bidders}


def _agrees(bids: pd.DataFrame, capacity: float, slow: dict[str, float]) -> None:
    fast = clear_vcg(bids, capacity).payments.groupby(bids["bidder"]).sum()
    assert fast[list(slow)].to_numpy() == pytest.approx(list(slow.values()), abs=1e-9 * (fast.sum() + 1))


@pytest.mark.parametrize("n_bidders", SIZES)
@pytest.mark.benchmark(group="VCG, 10 segments a bidder: the whole call, names and all")
def bench_vcg(benchmark, n_bidders):
    bids, capacity = _market(n_bidders)
    benchmark.pedantic(clear_vcg, (bids, capacity), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("n_bidders", SIZES)
@pytest.mark.benchmark(group="VCG, 10 segments a bidder: from arrays")
def bench_vcg_arrays(benchmark, n_bidders):
    asked = wants(*_market(n_bidders))

    def paid():
        merit = in_merit_order(asked)
        rows = (field[merit.order] for field in (asked.price, asked.quantity, asked.bidder, merit.awarded))
        return core.payments(merit.start, *rows, merit.margin, merit.floor, n_bidders, 0.0)

    benchmark.pedantic(paid, rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="VCG, 200 bidders x 10 segments: n + 1 full re-solves")
def bench_vcg_by_solving_again(benchmark):
    bids, capacity = _market(200)
    names = list(bids["bidder"].unique())
    slow = benchmark.pedantic(_payments_by_solving_again, (bids, capacity, names), rounds=3, warmup_rounds=1)
    _agrees(bids, capacity, slow)


@pytest.mark.parametrize("n_bidders", SIZES[1:])
@pytest.mark.benchmark(group=f"VCG, 10 segments a bidder: {SAMPLE} of the n + 1 re-solves")
def bench_vcg_by_solving_again_without_a_few(benchmark, n_bidders):
    bids, capacity = _market(n_bidders)
    names = list(bids["bidder"].unique()[:: n_bidders // SAMPLE])
    slow = benchmark.pedantic(_payments_by_solving_again, (bids, capacity, names), rounds=1, warmup_rounds=0)
    _agrees(bids, capacity, slow)


@pytest.mark.parametrize("n_bidders", SIZES)
@pytest.mark.benchmark(group="VCG, 10 segments a bidder: one wins nearly all, all others are displaced")
def bench_vcg_of_a_whale(benchmark, n_bidders):
    bids, capacity = _market(n_bidders)
    benchmark.pedantic(clear_vcg, (_one_bidder_wins_nearly_all(bids, capacity), capacity), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("n_bidders", SIZES)
@pytest.mark.benchmark(group="VCG, 10 segments a bidder: losing rows are a thousandth of the winning ones")
def bench_vcg_of_small_losers(benchmark, n_bidders):
    bids, capacity = _market(n_bidders)
    losing = bids["price"] < bids["price"].median()
    bids = bids.assign(quantity_mw=bids["quantity_mw"].where(~losing, bids["quantity_mw"] / 1000))
    benchmark.pedantic(clear_vcg, (bids, 0.9 * capacity), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(("n_times", "n_bidders"), [(24, 1000), (8760, 10)])
@pytest.mark.benchmark(group="VCG, 10 segments a bidder: many times at once")
def bench_vcg_of_many_times(benchmark, n_times, n_bidders):
    bids, capacity = _market(n_bidders, n_times)
    benchmark.pedantic(clear_vcg, (bids, capacity), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("n_bidders", SIZES)
@pytest.mark.benchmark(group="10 segments a bidder: beside VCG")
@pytest.mark.parametrize("what", ["uniform", "explain", "statistics"])
def bench_beside_vcg(benchmark, what, n_bidders):
    bids, capacity = _market(n_bidders)
    clearing = clear_vcg(bids, capacity)
    calls = {
        "uniform": lambda: clear_uniform(bids, capacity),
        "explain": lambda: explain_vcg(bids, capacity),
        "statistics": lambda: statistics(bids, clearing, capacity_mw=capacity),
    }
    benchmark.pedantic(calls[what], rounds=3, warmup_rounds=1)
