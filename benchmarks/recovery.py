"""
Known parameters recovered from simulated series: ``python benchmarks/recovery.py [process ...]`` prints the table.

Of each process 200 series are drawn and calibrated. `score` is the mean estimate less the truth, in standard errors of
that mean; `coverage` is the share of series whose estimate lies within two of its own standard errors of the truth,
about 0.954 where the standard errors are right.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from gridlab import scenarios
from gridlab.schema import mock_prices

N_SERIES = 200

HOURS = pd.date_range("2023-01-02", periods=8760, freq="1h", tz="UTC", name="time")
SEASON = scenarios.calibrate_season(mock_prices(days=28))
OU = scenarios.OUParams(30.0, 0.1, 4.0, 1.0)
GBM = scenarios.GBMParams(0.0005, 0.02, 1.0)
MERTON = scenarios.MertonParams(0.0, 0.02, 0.05, 0.03, 0.12, 1.0)
KOU = scenarios.KouParams(0.0, 0.02, 0.06, 0.6, 0.1, 0.06, 1.0)
MRJD = scenarios.MRJDParams(0.1, 0.1, 0.1, 0.04, 0.2, 0.5, 1.0, SEASON)
RHO = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.1], [-0.3, 0.1, 1.0]])
TOGETHER = scenarios.CorrelatedParams(
    ("energy", "hash", "token"), (OU, scenarios.OUParams(5.0, 0.02, 0.4, 1.0), GBM), RHO, np.zeros((3, 3))
)


def path(simulate: Callable[..., Any], params: Any, start: Any, n_steps: int, seed: int) -> Any:
    return simulate(params, start=start, n_steps=n_steps, n_paths=1, rng=np.random.default_rng([n_steps, seed]))[0]


def ou(seed: int) -> tuple[Any, Any]:
    return OU, scenarios.calibrate_ou(path(scenarios.simulate_ou, OU, 30.0, 8760, seed), dt=1.0)


def gbm(seed: int) -> tuple[Any, Any]:
    return GBM, scenarios.calibrate_gbm(path(scenarios.simulate_gbm, GBM, 30.0, 8760, seed), dt=1.0)


def merton(seed: int) -> tuple[Any, Any]:
    return MERTON, scenarios.calibrate_merton(path(scenarios.simulate_merton, MERTON, 0.0, 8760, seed), dt=1.0)


def kou(seed: int) -> tuple[Any, Any]:
    return KOU, scenarios.calibrate_kou(path(scenarios.simulate_kou, KOU, 0.0, 5000, seed), dt=1.0)


def mrjd(seed: int) -> tuple[Any, Any]:
    return MRJD, scenarios.calibrate_mrjd(reverting_prices(seed), season=SEASON)


def correlated(seed: int) -> tuple[Any, Any]:
    x = path(scenarios.simulate_correlated, TOGETHER, [30.0, 5.0, 2.0], 8760, seed)
    table = pd.DataFrame(x, columns=list(TOGETHER.names))
    return TOGETHER, scenarios.calibrate_correlated(table, dt=1.0, process={"token": "gbm"})


def reverting_prices(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng([8760, seed])
    price = scenarios.simulate_mrjd(MRJD, start=30.0, times=HOURS, n_paths=1, rng=rng)[0]
    return pd.DataFrame({"price": price}, index=HOURS)


PROCESSES = {"ou": ou, "gbm": gbm, "merton": merton, "kou": kou, "mrjd": mrjd, "correlated": correlated}


def study(process: str) -> pd.DataFrame:
    """Truth, mean estimate, mean standard error, spread of the estimates, score and coverage by parameter."""
    fits = [PROCESSES[process](seed) for seed in range(N_SERIES)]
    truth = fits[0][0].table()["estimate"]
    estimates = np.array([fit.table()["estimate"] for _, fit in fits])
    errors = np.array([fit.table()["standard_error"] for _, fit in fits])
    deviation, sd = estimates - truth.to_numpy(), estimates.std(axis=0, ddof=1)
    table = pd.DataFrame(
        {
            "truth": truth,
            "mean": estimates.mean(axis=0),
            "mean_error": errors.mean(axis=0),
            "sd": sd,
            "score": deviation.mean(axis=0) / (sd / np.sqrt(N_SERIES)),
            "coverage": (np.abs(deviation) < 2 * errors).mean(axis=0),
        }
    )
    table.index = pd.Index([f"{process} {' '.join(np.atleast_1d(np.array(name)))}" for name in table.index])
    return table


if __name__ == "__main__":
    for name in sys.argv[1:] or PROCESSES:
        print(study(name).round(5).to_string(), flush=True)  # noqa: T201
