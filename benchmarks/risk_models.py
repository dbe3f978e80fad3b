"""
Which model of tomorrow's loss holds? Value at risk and expected shortfall of a battery, rolled over real days.

    python benchmarks/risk_models.py prices.csv [more.csv ...] [--days 728] [--window 364] [--levels 0.95,0.99]
        [--model naive] [--hours 2] [--draws 1999]

A battery of 1 MW with a round trip of 85 % plans each day at midnight on a forecast and is settled at the price that
came. Each model of the daily loss sees the `--window` days before a day and nothing else; GARCH is fitted again every
28 days and filtered daily. The last `--days` days are tested, with p-values simulated. Prints the tables as Markdown;
nothing is chosen here.
"""

import time
from pathlib import Path

import click
import numpy as np
import pandas as pd

from gridlab import backtest, evaluate, mpc, risk, sources
from gridlab.assets import Battery
from gridlab.forecast import MODELS

REFIT_EVERY = {"fhs": 28, "garch_normal": 28, "garch_student": 28, "garch_pot": 28}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--days", default=728, help="Days tested.")
@click.option("--window", default=364, help="Days that each model sees.")
@click.option("--levels", default="0.95,0.99", help="Levels, with commas.")
@click.option("--model", default="naive", help="Name in gridlab.forecast.MODELS that the battery plans on.")
@click.option("--hours", default=2.0, help="Hours of energy.")
@click.option("--draws", default=1999, help="Simulations of each p-value.")
@click.option("--jobs", default=2, help="Processes for the forecasts.")
def main(
    files: tuple[Path, ...], days: int, window: int, levels: str, model: str, hours: float, draws: int, jobs: int
) -> None:
    """Test each model of `risk.LOSS_MODELS` on each file."""
    for file in files:
        loss = daily_loss(sources.read_prices(file), days + window, model, hours, jobs)
        for level in map(float, levels.split(",")):
            click.echo(f"\n### {file.stem}, {100 * level:g} %, {days} days\n")
            click.echo(table(loss, level, window, draws))


def daily_loss(prices: pd.DataFrame, days: int, model: str, hours: float, jobs: int) -> pd.Series:
    """Loss of each day of a battery that plans on a forecast. [$]"""
    first_day, n_days = evaluate.last_days(prices, days)
    forecast = evaluate.roll(MODELS[model](), prices, first_day=first_day, days=n_days, n_jobs=jobs)
    battery = Battery(1.0, hours, 0.85**0.5, 0.85**0.5)
    steps = round(pd.Timedelta("1D") / prices.index.freq)
    result = backtest.run(mpc.POLICIES["mpc"](), battery, prices, forecast, horizon=steps)
    return -backtest.daily_profit({"loss": result})["loss"]


def table(loss: pd.Series, level: float, window: int, draws: int) -> str:
    """One row a model, the best score first."""
    rows = {}
    for name in risk.LOSS_MODELS:
        began = time.process_time()
        rolled = risk.roll_measures(loss, name, level=level, window=window, refit_every=REFIT_EVERY.get(name, 1))
        spent = time.process_time() - began
        rng = np.random.default_rng(0)
        tests = risk.backtest_measures(
            rolled.measures, level, simulated=rolled.simulate(draws, rng=rng), exact=True, rng=np.random.default_rng(1)
        )
        rows[name] = (rolled.measures, tests, spent)
    return markdown(rows, level)


def markdown(rows: dict[str, tuple[pd.DataFrame, pd.DataFrame, float]], level: float) -> str:
    """Hits, the p-value of each test and the score, by model."""
    scores = {name: score(measures, level) for name, (measures, _, _) in rows.items()}
    tests = next(iter(rows.values()))[1].index
    lines = ["| model | hits (expected) | mean VaR | mean ES | score | " + " | ".join(tests) + " | s |"]
    lines.append("|" + "---|" * (6 + len(tests)))
    for name in sorted(rows, key=lambda name: scores[name]):
        measures, table, spent = rows[name]
        hits = int((measures["loss"] > measures["var"]).sum())
        p_values = " | ".join(f"{p:.3f}" for p in table["p_value"])
        lines.append(
            f"| {name} | {hits} ({(1 - level) * len(measures):.1f}) | {measures['var'].mean():.1f} | "
            f"{measures['cvar'].mean():.1f} | {scores[name]:.3f} | {p_values} | {spent:.1f} |"
        )
    return "\n".join(lines)


def score(measures: pd.DataFrame, level: float) -> float:
    """Mean score of Fissler and Ziegel."""
    return float(np.mean(risk.fissler_ziegel(measures["loss"], measures["var"], measures["cvar"], level)))


if __name__ == "__main__":
    main()
