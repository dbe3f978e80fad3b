"""Services that couple: re-solved for winners from one basis, beside n + 1 solves from nothing, and how it grows."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from gridlab.auctions.blocks import clear_vcg_blocks
from gridlab.auctions.services import Coupling, clear_vcg_services, explain_vcg_services

NAMES = ("cooling", "inference", "training")


def _auction(n_bidders: int, *, whole: bool = False) -> tuple[pd.DataFrame, float, Coupling]:
    """Bidders with five segments of each service; three limits bind. With `whole` two in three have a minimum."""
    rng, shape = np.random.default_rng(0), (n_bidders, 3, 5)
    price = rng.uniform(30, 120, (*shape[:2], 1)) * np.sort(rng.uniform(0.3, 1, shape), axis=-1)[..., ::-1]
    quantity = rng.uniform(0.1, 2, shape)
    price[:, 0] *= 0.4
    bids = pd.DataFrame(
        {
            "time": pd.Timestamp("2024-07-01", tz="UTC"),
            "bidder": np.repeat([f"bidder_{i}" for i in range(n_bidders)], 15),
            "service": np.tile(np.repeat(NAMES, 5), n_bidders),
            "quantity_mw": quantity.ravel(),
            "price": price.ravel(),
        }
    )
    if whole:
        least = quantity.sum(axis=-1) * rng.choice([0, 0.3, 0.6], shape[:2])
        bids = bids.assign(minimum_mw=np.repeat(least.ravel(), 5))
    wanted = float(quantity.sum())
    limits = {"at_most": {"inference": 0.12 * wanted}, "at_least": {"training": 0.08 * wanted}}
    coupling = Coupling({"inference": 4.0, "training": 3.0, "cooling": 5.0}, cooling_mw=0.3 * wanted, **limits)
    return bids, 0.3 * wanted, coupling


def _cold_solves(bids: pd.DataFrame, capacity: float, coupling: Coupling) -> float:
    """What the bidders pay, by n + 1 solves of scipy from nothing."""
    service, bidder = bids["service"], bids["bidder"].to_numpy()
    rows = np.array([service.map(coupling.draw), service.map(coupling.heat), service == "inference"], dtype=float)
    rows = np.vstack([rows, -1.0 * (service == "training")])
    most = [capacity, coupling.cooling_mw, coupling.at_most["inference"], -coupling.at_least["training"]]
    value, quantity = bids["price"].to_numpy(), bids["quantity_mw"].to_numpy()
    best = linprog(-value, rows, most, bounds=np.column_stack([0 * quantity, quantity]))
    paid = 0.0
    for who in pd.unique(bidder):
        left = linprog(-value, rows, most, bounds=np.column_stack([0 * quantity, quantity * (bidder != who)]))
        paid += best.fun - left.fun + (value * best.x)[bidder == who].sum()
    return paid


@pytest.mark.benchmark(group="coupled services: 200 bidders, 3 services, 5 segments")
def bench_winners_from_one_basis(benchmark):
    bids, capacity, coupling = _auction(200)
    clearing = benchmark.pedantic(
        lambda: clear_vcg_services(bids, capacity, coupling=coupling), rounds=5, warmup_rounds=1
    )
    assert clearing.payments.sum() == pytest.approx(_cold_solves(bids, capacity, coupling), rel=1e-9)


@pytest.mark.benchmark(group="coupled services: 200 bidders, 3 services, 5 segments")
def bench_n_and_one_cold_solves(benchmark):
    benchmark.pedantic(_cold_solves, args=_auction(200), rounds=1)


@pytest.mark.benchmark(group="coupled services: 200 bidders, 3 services, 5 segments")
def bench_winners_with_minimum_quantities(benchmark):
    bids, capacity, coupling = _auction(200, whole=True)
    benchmark.pedantic(lambda: clear_vcg_services(bids, capacity, coupling=coupling), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="coupled services: 200 bidders, 3 services, 5 segments")
def bench_explained(benchmark):
    bids, capacity, coupling = _auction(200)
    benchmark.pedantic(lambda: explain_vcg_services(bids, capacity, coupling=coupling), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("limits", ["the cap alone", "the cap and a chiller"])
@pytest.mark.parametrize("n_bidders", [50, 200])
@pytest.mark.benchmark(group="coupled services: all or nothing")
def bench_all_or_nothing(benchmark, n_bidders, limits):
    rng = np.random.default_rng(2)
    size, price = rng.integers(5, 50, n_bidders) / 10, rng.integers(20, 80, n_bidders).astype(float)
    bids = pd.DataFrame({"bidder": [f"bidder_{i}" for i in range(n_bidders)], "quantity_mw": size, "price": price})
    bids = bids.assign(time=pd.Timestamp("2024-07-01", tz="UTC"), service="training", minimum_mw=size)
    cooling_mw = float("inf") if limits == "the cap alone" else size.sum() / 2.2
    coupling, capacity = Coupling({"training": 4.0}, cooling_mw=cooling_mw), size.sum() / 2
    clearing = benchmark.pedantic(
        lambda: clear_vcg_services(bids, capacity, coupling=coupling), rounds=2, warmup_rounds=1
    )
    if limits == "the cap alone":
        drawn = bids.assign(quantity_mw=1.25 * size, price=price / 1.25)
        exact = clear_vcg_blocks(drawn, capacity)
        assert clearing.payments.sum() == pytest.approx(exact.payments.sum(), rel=1e-9)


@pytest.mark.parametrize("whole", [False, True], ids=["divisible", "minimum quantities"])
@pytest.mark.parametrize("n_bidders", [50, 100, 200, 400, 800])
@pytest.mark.benchmark(group="coupled services: growth with the bidders")
def bench_growth(benchmark, n_bidders, whole):
    bids, capacity, coupling = _auction(n_bidders, whole=whole)
    benchmark.pedantic(
        lambda: clear_vcg_services(bids, capacity, coupling=coupling), rounds=2 if n_bidders < 400 else 1
    )
