"""
Do calibrated regimes recover the parameters that made the series?

    python benchmarks/recovery_regimes.py [--series 200] [--steps 3000] [--regimes 2]

Draws series from known regimes, calibrates each, and prints for every parameter its true value, the mean estimate and
standard error, the spread of the estimates, and the share of series within two standard errors of the truth.
"""

import time

import click
import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.scenarios.regimes import RegimesParams, calibrate_regimes, simulate_regimes

TRUTHS = {
    "base and spike": RegimesParams(
        intercept=np.array([0.0, 1.5]),
        phi=np.array([0.85, 0.5]),
        sigma=np.array([0.15, 0.8]),
        transition=np.array([[0.97, 0.03], [0.2, 0.8]]),
    ),
    "base, spike and drop": RegimesParams(
        intercept=np.array([0.0, -1.2, 2.0]),
        phi=np.array([0.8, 0.5, 0.4]),
        sigma=np.array([0.15, 0.5, 1.0]),
        transition=np.array([[0.96, 0.02, 0.02], [0.15, 0.82, 0.03], [0.2, 0.03, 0.77]]),
    ),
}


@click.command()
@click.option("--series", default=200, help="Series to draw from each truth.")
@click.option("--steps", default=3000, help="Steps of a series.")
@click.option("--regimes", type=click.Choice(["2", "3"]), help="Only the truth with so many regimes.")
def main(series: int, steps: int, regimes: str | None) -> None:
    """Print a table of recovery for each truth."""
    for name, truth in TRUTHS.items():
        if regimes not in (None, str(len(truth.sigma))):
            continue
        began = time.perf_counter()
        tables, refused = recovered(truth, series, steps)
        click.echo(f"\n{name}: {len(tables)} series of {steps} steps, {time.perf_counter() - began:.0f} s")
        click.echo(summary(truth, tables).round(4).to_string())
        click.echo("\n".join(refused) or "none refused")


def recovered(truth: RegimesParams, series: int, steps: int) -> tuple[list[pd.DataFrame], list[str]]:
    """The calibrations' tables, and the reasons of those that were refused."""
    tables, refused = [], []
    for seed in range(series):
        rng = np.random.default_rng(seed)
        x = simulate_regimes(truth, start=0.0, n_steps=steps, n_paths=1, rng=rng)[0]
        try:
            tables.append(calibrate_regimes(x, n_regimes=len(truth.sigma), rng=rng).table())
        except DataError as error:
            refused.append(f"series {seed}: {error}")
    return tables, refused


def summary(truth: RegimesParams, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One row a parameter."""
    estimates, errors = (
        pd.concat([t[c] for t in tables], axis=1, ignore_index=True) for c in ("estimate", "standard_error")
    )
    true = truth.table()["estimate"]
    return pd.DataFrame(
        {
            "truth": true,
            "mean_estimate": estimates.mean(axis=1),
            "mean_error": errors.mean(axis=1),
            "spread": estimates.std(axis=1),
            "within_2_errors": (estimates.sub(true, axis=0).abs() <= 2 * errors).mean(axis=1),
        }
    )


if __name__ == "__main__":
    main()
