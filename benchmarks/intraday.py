"""
The intraday ensemble by rolling origin: ``python benchmarks/intraday.py [series ...]`` prints the tables.

Of every row as origin the forecasts of the rows to come are scored from row 30 (100 where there are more than 400):
MAE of the ensemble and of each member as a share of the naive's on the same rows, the share of values within the 80 %
and 90 % bands, the mean pinball loss of the five levels as a share of the naive's MAE, and the p-value of
Diebold-Mariano's test, with Bartlett weights over the lead, of the ensemble against the naive (single series only).

The constants of `gridlab.forecast.intraday_core` were chosen on the simulated series, with the seeds below, and on the
first half of the real-time prices; the fresh seeds, the second half and the recorded day were left for the end. Real
data is read from GRIDLAB_DATA, or from ../shared/data beside the checkout; series without data are left out.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from gridlab.evaluate import diebold_mariano
from gridlab.forecast.intraday import LEVELS, MEMBERS, observe, observe_all, predict, start

DATA = Path(os.environ.get("GRIDLAB_DATA", Path(__file__).parents[2] / "shared" / "data"))
LEADS = np.array([1, 3, 6, 12, 24])
RING = {1: 0, 3: 3, 6: 6, 12: 12, 24: 24}  # where the forecasts of a lead begin in the ring of those not yet due
DAY = 288


def simulated(n, seed, phi=0.93, sd=0.1, jump=0.01, size=1.0, daily=0.0, floor=None, drift=0.0, clustered=False):
    """Three series with correlated noise that revert to a level, with jumps up, a season, a floor or moving levels."""
    rng, factor = np.random.default_rng(seed), np.linalg.cholesky([[1, 0.4, 0.2], [0.4, 1, 0.3], [0.2, 0.3, 1]])
    x, level, log_volatility = np.zeros((n, 3)), np.zeros(3), 0.0
    for t in range(1, n):
        log_volatility = 0.98 * log_volatility + 0.15 * rng.normal() if clustered else 0.0
        noise = sd * np.exp(log_volatility) * (factor @ rng.normal(size=3))
        jumps = (rng.random(3) < jump) * rng.exponential(size, 3)
        level = level + drift * rng.normal(size=3)
        x[t] = level + phi * (x[t - 1] - level) + noise + jumps
    angle = 2 * np.pi * np.arange(n) / DAY
    prices = np.array([1.7, 1.6, 1.7]) + x + daily * (np.sin(angle) + 0.5 * np.sin(3 * angle))[:, None]
    return prices if floor is None else np.maximum(prices, floor)


def real_time():
    table = pd.read_csv(DATA / "caiso_sp15" / "real_time.csv", parse_dates=["timestamp"]).set_index("timestamp")
    return table["price_mwh"].sort_index().asfreq("5min").to_numpy()[:, None]


def recorded():
    table = pd.read_csv(DATA / "mara" / "prices_2025-06-21.csv")
    return [table[["energy_price", "hash_price", "token_price"]].to_numpy()]


SERIES = {
    "short": lambda s: [simulated(150, s + i) for i in range(12)],
    "floor": lambda s: [simulated(150, s + 20 + i, phi=0.8, sd=0.25, floor=1.3) for i in range(10)],
    "walk": lambda s: [simulated(1500, s + 1, phi=1.0, jump=0.0)],
    "reverting": lambda s: [simulated(3000, s + 2)],
    "spiky": lambda s: [simulated(3000, s + 3, phi=0.7, sd=0.2, jump=0.02, size=3)],
    "daily": lambda s: [simulated(9 * DAY, s + 4, phi=0.95, daily=1.0)],
    "drifting": lambda s: [simulated(3000, s + 5, phi=0.85, drift=0.05)],
    "clustered": lambda s: [simulated(3000, s + 6, phi=0.95, clustered=True)],
    "first half": lambda s: [real_time()[: 30 * DAY]],
    "second half": lambda s: [real_time()[30 * DAY :]],
    "recorded day": lambda s: recorded(),
}
REAL = ("first half", "second half", "recorded day")


def rolled(rows):
    """What was forecast at each origin: members and ensemble, (n, series, leads, members + 1), and the bands."""
    beliefs, members, bands = start(rows.shape[1]), [], []
    for t, row in enumerate(rows):
        beliefs = observe(beliefs, row, t % DAY)
        at = [RING[lead] + t % lead for lead in LEADS]
        issued = beliefs.state.issued[:, at]
        members.append(np.concatenate([beliefs.state.members[:, at], issued[..., :1]], axis=-1))
        bands.append(np.sort(issued[..., 2:]))
    return np.array(members), np.array(bands)


def scored(rows):
    """Of one series: relative MAE of each forecast, shares in the bands, relative pinball loss, p-value, by lead."""
    forecasts, bands = rolled(rows)
    first = 30 if len(rows) <= 400 else 100
    return [_at(rows, forecasts[:, :, k], bands[:, :, k], lead, first) for k, lead in enumerate(LEADS)]


def _at(rows, forecasts, bands, lead, first):
    actual, forecast, band = rows[lead + first :], forecasts[first:-lead], bands[first:-lead]
    error = np.abs(actual[..., None] - forecast)
    known = np.isfinite(error[..., -1]) & np.isfinite(error[..., 0])
    naive = error[..., 0][known].mean()
    relative = [_share(error[..., m], error[..., 0], known) for m in range(len(MEMBERS) + 1)]
    inside = [((actual >= band[..., j]) & (actual <= band[..., -1 - j]))[known].mean() for j in (1, 0)]
    distance, level = actual[..., None] - band, np.array(LEVELS)
    pinball = np.maximum(level * distance, (level - 1) * distance).mean(axis=-1)[known].mean() / naive
    pairs = error[known.all(axis=1)].mean(axis=1)
    p_value = diebold_mariano(pairs[:, 0], pairs[:, -1], lags=lead - 1).p_value
    return [*relative, *inside, pinball, float(p_value)]


def _share(error, naive, known):
    both = known & np.isfinite(error)
    return error[both].mean() / naive[both].mean() if both.any() else np.nan


def study(name, seed):
    results = [scored(rows) for rows in SERIES[name](seed)]
    columns = [*MEMBERS, "ensemble", "in 80 %", "in 90 %", "pinball", "p"]
    table = pd.DataFrame(np.mean(results, axis=0), index=pd.Index(LEADS, name="lead"), columns=columns)
    return table.drop(columns=["naive", "p"] if len(results) > 1 else "naive")


def timing():
    rows = simulated(7 * DAY, 0)
    slots, beliefs = np.arange(len(rows)) % DAY, start(3)
    warm = observe_all(beliefs, rows, slots)
    predict(warm)
    week, step, ahead = [], [], []
    for _ in range(10):
        begin = time.perf_counter()
        observe_all(beliefs, rows, slots)
        week.append(time.perf_counter() - begin)
    for _ in range(1000):
        begin = time.perf_counter()
        after = observe(warm, rows[0], 0)
        middle = time.perf_counter()
        predict(after)
        step.append(middle - begin)
        ahead.append(time.perf_counter() - middle)
    fast = f"observe {1e6 * min(step):.0f} us (median {1e6 * np.median(step):.0f}), predict {1e6 * min(ahead):.0f} us"
    return f"{fast} (median {1e6 * np.median(ahead):.0f}), a week {1e3 * min(week):.0f} ms, {warm.nbytes} bytes"


if __name__ == "__main__":
    for series in sys.argv[1:] or SERIES:
        if series in REAL and not DATA.is_dir():
            continue
        for seed in (0,) if series in REAL else (0, 1000):
            print(f"\n{series}" + ("" if series in REAL else f", {'chosen on' if seed == 0 else 'fresh seeds'}"))  # noqa: T201
            print(study(series, seed).round(3).to_string())  # noqa: T201
    print(f"\n{timing()}")  # noqa: T201
