"""
How the time of clearing and of Shapley's value grows with the players: draws docs/auction_growth.png.

    python benchmarks/auction_growth.py

Each point is the least of three calls. Beside each auction the dotted line is n + 1 solves: the time of one solve
without payments times the bidders, of blocks the winners, that n + 1 solves would go through.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from bench_auctions_blocks import options, sale_of, whole_grid
from bench_auctions_divisible import _market
from bench_auctions_peer import orders, pro_rata_by_a_loop
from bench_auctions_services import _auction, _cold_solves
from bench_games_coalitions import _game
from matplotlib.ticker import NullFormatter

from gridlab.auctions import clear_p2p, clear_vcg, clear_vcg_blocks, clear_vcg_services
from gridlab.auctions.clearing import wants
from gridlab.auctions.merit_order import in_merit_order
from gridlab.games import shapley

PICTURE = Path(__file__).parents[1] / "docs" / "auction_growth.png"
Curve = dict[int, float]


def main() -> None:
    """Measure, print and draw."""
    found = {
        "divisible VCG, 10 segments: n + 1 merit orders": divisible(),
        "blocks VCG, 5 options: a solve for each winner": blocks(),
        "services VCG: n + 1 linear programmes": services(),
        "peers, pro rata, beside a loop": peers(),
        "Shapley's value, beside the formula": values(),
    }
    for name, (fast, slow) in found.items():
        for n, seconds in fast.items():
            beside = f", the slow way {1000 * slow[n]:,.1f} ms" if n in slow else ""
            print(f"{name}: {n:,} players {1000 * seconds:,.2f} ms{beside}")  # noqa: T201
    draw(found)


def least(call: Callable[[], object]) -> float:
    """Least time of three calls after one that compiles. [s]"""
    call()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def divisible() -> tuple[Curve, Curve]:
    """VCG of divisible power; n + 1 merit orders."""
    fast, slow = {}, {}
    for n in (100, 1_000, 10_000, 100_000):
        bids, capacity = _market(n)
        fast[n] = least(partial(clear_vcg, bids, capacity))
        slow[n] = (n + 1) * least(partial(_awarded, bids, capacity))
    return fast, slow


def _awarded(bids: pd.DataFrame, capacity: float) -> object:
    return in_merit_order(wants(bids, capacity))


def blocks() -> tuple[Curve, Curve]:
    """VCG of blocks; a dynamic programme over all bidders for each winner."""
    fast, slow = {}, {}
    for n in (100, 300, 1_000, 3_000):
        bids, steps = options(n, "any value"), 10 * n
        fast[n] = least(partial(clear_vcg_blocks, bids, float(steps)))
        winners = int((clear_vcg_blocks(bids, float(steps)).awards["quantity_mw"] > 0).sum())
        sale = sale_of(bids, steps)
        slow[n] = (winners + 1) * least(partial(whole_grid, sale, False))
    return fast, slow


def services() -> tuple[Curve, Curve]:
    """VCG of coupled services; n + 1 linear programmes of scipy."""
    fast, slow = {}, {}
    for n in (25, 50, 100, 200, 400):
        bids, capacity, coupling = _auction(n)
        fast[n] = least(partial(clear_vcg_services, bids, capacity, coupling=coupling))
        if n <= 100:
            slow[n] = least(partial(_cold_solves, bids, capacity, coupling))
    return fast, slow


def peers() -> tuple[Curve, Curve]:
    """Pro-rata matching; a loop over the orders."""
    books = {n: orders(n) for n in (1_000, 10_000, 100_000, 1_000_000)}
    fast = {n: least(partial(clear_p2p, book, price=100.0)) for n, book in books.items()}
    return fast, {n: least(partial(pro_rata_by_a_loop, books[n], 100.0, 0.95)) for n in (1_000, 10_000, 100_000)}


def values() -> tuple[Curve, Curve]:
    """Shapley's value; the formula, player by player."""
    games = {n: _game(n) for n in range(8, 23, 2)}
    fast = {n: least(partial(shapley, v, n)) for n, v in games.items()}
    return fast, {n: least(partial(by_the_formula, games[n], n)) for n in (8, 10, 12, 14)}


def by_the_formula(v: np.ndarray, n: int) -> list[float]:
    """The mean of what a player adds, over all coalitions without it."""
    weight = [1 / (n * math.comb(n - 1, size)) for size in range(n)]
    return [
        sum(weight[mask.bit_count()] * (v[mask | 1 << i] - v[mask]) for mask in range(2**n) if not mask >> i & 1)
        for i in range(n)
    ]


def draw(found: dict[str, tuple[Curve, Curve]]) -> None:
    """One panel each, both axes logarithmic but for the players of Shapley's value."""
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
    axes[1, 2].set_axis_off()
    for ax, (name, (fast, slow)) in zip(axes.ravel()[:5], found.items(), strict=True):
        ax.plot([*fast], [1000 * s for s in fast.values()], marker="o", color="#1F4E79", label="gridlab")
        ax.plot(
            [*slow], [1000 * s for s in slow.values()], marker=".", linestyle=":", color="#8A1C0F", label="slow way"
        )
        ax.set(yscale="log", xlabel="players", ylabel="time [ms]", title=name)
        ax.title.set_size(9)
        if max(fast) > 22:
            ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(alpha=0.3)
    axes[1, 2].legend(*axes[0, 0].get_legend_handles_labels(), loc="center", frameon=False)
    figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
