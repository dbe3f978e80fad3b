"""
How the time of LEAR's daily recalibration grows with the history and with the columns: draws docs/lear_growth.png.

    python benchmarks/growth.py

Each point is the least of five fits of 24 hours on one calibration window.
"""

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gridlab.days import Days, fold
from gridlab.forecast.lear import Lear
from gridlab.sources import simulate_market

WINDOWS = (56, 84, 182, 364, 728, 1092, 1456, 2184)
N_INPUTS = (0, 1, 2, 4, 6)
PICTURE = Path(__file__).parents[1] / "docs" / "lear_growth.png"


def seconds(days: Days, window: int) -> float:
    """Least time of five fits."""
    forecaster, times = Lear((window,), level="kept"), []
    for _ in range(5):
        began = time.perf_counter()
        forecaster.fit_part(days)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Measure, print and draw."""
    rng = np.random.default_rng(7)
    prices = simulate_market("2018-01-01", max(WINDOWS) + 1, "1h", rng=rng)[["price"]]
    for i in range(max(N_INPUTS)):
        prices[f"input_{i}_forecast"] = prices["price"] * rng.normal() + rng.normal(0, 20, len(prices))
    tables = {n: fold(prices[["price", *prices.columns[1 : n + 1]]]) for n in N_INPUTS}
    seconds(tables[0], WINDOWS[0])  # compiles
    history = [seconds(tables[2], window) for window in WINDOWS]
    columns = [seconds(tables[n], 1092) for n in N_INPUTS]
    for window, value in zip(WINDOWS, history, strict=True):
        print(f"{window} days, 2 inputs: {1000 * value:.1f} ms")  # noqa: T201
    for n, value in zip(N_INPUTS, columns, strict=True):
        print(f"1092 days, {n} inputs: {1000 * value:.1f} ms")  # noqa: T201
    draw(history, columns)


def draw(history: list[float], columns: list[float]) -> None:
    """Both curves, side by side."""
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
    left.plot(WINDOWS, 1000 * np.array(history), marker="o", color="#1F4E79")
    left.set(xlabel="calibration window [d], 2 inputs", ylabel="time of 24 LASSO paths [ms]", ylim=(0, None))
    right.plot([24 * (4 + 3 * n) + 7 for n in N_INPUTS], 1000 * np.array(columns), marker="o", color="#1F4E79")
    right.set(xlabel="regressors, window of 1,092 days")
    for ax in (left, right):
        ax.grid(alpha=0.3)
    plt.savefig(PICTURE, dpi=120)


if __name__ == "__main__":
    main()
