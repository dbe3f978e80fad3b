"""Auctions of blocks: all payments in about two solves, beside a solve without each winner. Run with ``make bench``."""

import numpy as np
import pandas as pd
import pytest

from gridlab.auctions import blocks, blocks_optimum
from gridlab.auctions.blocks import clear_vcg_blocks, clear_vcg_rounded
from gridlab.auctions.blocks_core import on_grid

TIME = pd.Timestamp("2025-01-01", tz="UTC")
SIZES = [(1_000, 10_000), (2_000, 20_000), (4_000, 40_000)]  # bidders, of 5 options each, and steps
KINDS = ["any value", "one price"]  # one price: every award that fills the capacity is as good, bounds settle nothing
SAMPLE = 20  # winners that are solved without, of some hundred: read the time of all as theirs x winners / 20


def options(n_bidders, kind, step=1.0):
    rng = np.random.default_rng(1)
    size = np.array([np.sort(rng.choice(np.arange(1, 51), 5, replace=False)) for _ in range(n_bidders)])
    value = rng.integers(1, 1000, size.shape) if kind == "any value" else 10 * size
    names = np.repeat([f"bidder_{i}" for i in range(n_bidders)], 5)
    quantity = step * size.ravel()
    columns = {"time": TIME, "bidder": names, "service": "training", "quantity_mw": quantity}
    return pd.DataFrame(columns | {"price": value.ravel() / quantity})


def sale_of(bids, capacity):
    """The arrays of the one auction of a table."""
    asked, value, reserve, _ = blocks._read(bids, float(capacity), 0.0, 1.0)
    return next(blocks._sales(bids, asked, value - reserve, None, round_up=False))[1]


def whole_grid(sale, payments):
    """The dynamic programme over all bidders and steps, nothing settled before."""
    steps = int(sale.capacity)
    return on_grid(sale.start, sale.size.astype(np.int64), sale.value, sale.row, steps, steps, payments)


def without(sale, bidder):
    """The auction without a bidder."""
    return blocks_optimum.kept(sale, np.repeat(np.arange(len(sale.start) - 1), np.diff(sale.start)) != bidder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_bidders, steps", SIZES)
@pytest.mark.benchmark(group="blocks, VCG: table in, clearing out, against solves without each winner")
def bench_blocks_cleared(benchmark, n_bidders, steps, kind):
    bids = options(n_bidders, kind)
    clear_vcg_blocks(bids, float(steps))
    clearing = benchmark.pedantic(clear_vcg_blocks, (bids, float(steps)), rounds=5)
    benchmark.extra_info["winners"] = int((clearing.awards["quantity_mw"] > 0).sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.benchmark(group="blocks, VCG: table in, clearing out, against solves without each winner")
def bench_blocks_by_the_whole_grid_from_both_ends(benchmark, kind):
    sale = sale_of(options(*SIZES[0][:1], kind), SIZES[0][1])
    whole_grid(sale, True)
    benchmark.pedantic(whole_grid, (sale, True), rounds=5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.benchmark(group="blocks, VCG: table in, clearing out, against solves without each winner")
def bench_blocks_solved_without_each_of_twenty_winners(benchmark, kind):
    sale = sale_of(options(*SIZES[0][:1], kind), SIZES[0][1])
    chosen, expected, _ = whole_grid(sale, True)
    winners = np.flatnonzero(chosen >= 0)[:SAMPLE]
    others = [without(sale, winner) for winner in winners]

    def solve_without():
        return [whole_grid(rest, False)[2].max() for rest in others]

    assert benchmark.pedantic(solve_without, rounds=3) == expected[winners].tolist()
    benchmark.extra_info["winners"] = int((chosen >= 0).sum())


@pytest.mark.benchmark(group="blocks of any size: exact lists, and rounded up to a grid")
def bench_blocks_without_a_common_step(benchmark):
    bids = options(1_000, "any value", step=np.pi / 10)
    clear_vcg_blocks(bids, 3_000.0)
    benchmark.pedantic(clear_vcg_blocks, (bids, 3_000.0), rounds=5)


@pytest.mark.benchmark(group="blocks of any size: exact lists, and rounded up to a grid")
def bench_blocks_rounded_up_to_a_megawatt(benchmark):
    bids = options(1_000, "any value", step=np.pi / 10)
    clear_vcg_rounded(bids, 3_000.0, step_mw=1.0)
    rounded = benchmark.pedantic(clear_vcg_rounded, (bids, 3_000.0), {"step_mw": 1.0}, rounds=5)
    benchmark.extra_info["gap"] = float(rounded.gap.iloc[0])


@pytest.mark.benchmark(group="blocks, core payments, 100 bidders")
def bench_blocks_core_payments(benchmark):
    bids = options(100, "any value")
    clear_vcg_blocks(bids, 600.0, payments="core")
    benchmark.pedantic(clear_vcg_blocks, (bids, 600.0), {"payments": "core"}, rounds=3)
