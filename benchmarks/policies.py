"""
The policies of a battery beside each other: the share of perfect foresight that each captures, by forecast.

    python benchmarks/policies.py prices.csv [more.csv ...] [--days 728] [--skip 0] [--models naive,lear]
        [--hours 2,4] [--jobs 2] [--store folder] [--seen]
    python benchmarks/policies.py real_time.csv --planned-on day_ahead.csv [--hours 2,4]

Each file of hourly prices is forecast over its last 728 days (less the last `--skip`), day by day; stored forecasts of
others (`Forecasts_<name>*.csv` beside the file) are planned on as well. Every plan is made at midnight, settled on the
prices that came, and the run ends with the energy that it began with; the battery has 1 MW, a round trip of 85 % and no
wear. With `--planned-on` the prices of another file, such as a day-ahead market's, are the forecast; with `--seen`
every interval is planned anew when its own price is known, and the rest of 24 hours is believed to come as the forecast
of midnight has their time of day. Prints the tables as Markdown; nothing is chosen here.
"""

import time
from pathlib import Path

import click
import numpy as np
import pandas as pd

from gridlab import backtest, evaluate, mpc, scenarios, sources
from gridlab.assets import Battery
from gridlab.forecast import MODELS
from gridlab.programme import SOLVERS
from gridlab.schema import quantiles_of

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
POLICIES = ("threshold", "day_ahead", "mpc", "stochastic", "robust", "value")
SEEN = ("threshold", "mpc", "value")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--planned-on", type=click.Path(exists=True, path_type=Path), help="Prices that are the forecast.")
@click.option("--days", default=728, help="Days at the end of the file.")
@click.option("--skip", default=0, help="Days at the end of the file to leave out.")
@click.option("--models", default="naive,lear", help="Names in gridlab.forecast.MODELS, with commas.")
@click.option("--hours", default="2,4", help="Hours of energy, with commas.")
@click.option("--jobs", default=2, help="Processes for the forecasts.")
@click.option("--seen", is_flag=True, help="Plan each interval when its price is known.")
@click.option("--store", type=click.Path(path_type=Path), help="Folder that keeps forecasts as they are made.")
def main(
    files: tuple[Path, ...],
    planned_on: Path | None,
    days: int,
    skip: int,
    models: str,
    hours: str,
    jobs: int,
    seen: bool,
    store: Path | None,
) -> None:
    """Play each policy on each forecast of each file."""
    for file in files:
        prices = sources.read_prices(file)
        prices = prices.iloc[: len(prices) - skip * int(pd.Timedelta("1D") / prices.index.freq)].asfreq(
            prices.index.freq
        )
        if planned_on is not None:
            forecasts = {planned_on.stem: of_prices(sources.read_prices(planned_on), prices)}
        else:
            first_day, n_days = evaluate.last_days(prices, days)
            period = {"first_day": first_day, "days": n_days, "n_jobs": jobs, "store": store}
            forecasts = {
                name: evaluate.roll(MODELS[name](), prices, quantiles=QUANTILES, **period) for name in models.split(",")
            }
            forecasts |= published(file, forecasts[models.split(",")[0]].index)
        if seen:
            forecasts = {name: seen_first(forecast, prices) for name, forecast in forecasts.items()}
        for size in map(float, hours.split(",")):
            played = table(prices, forecasts, size, SEEN if seen else POLICIES)
            click.echo(f"\n### {file.stem}, 1 MW / {size:g} MWh\n\n{played}")


def of_prices(plan: pd.DataFrame, prices: pd.DataFrame) -> pd.DataFrame:
    """A forecast for each day, at its midnight, of the prices of another market, on the intervals of `prices`."""
    mean = plan["price"].reindex(prices.index, method="ffill", limit=int(plan.index.freq / prices.index.freq) - 1)
    mean = mean.dropna()
    index = pd.MultiIndex.from_arrays([mean.index.normalize(), mean.index], names=["origin", "time"])
    return pd.DataFrame({"mean": mean.to_numpy()}, index=index)


def seen_first(forecast: pd.DataFrame, prices: pd.DataFrame) -> pd.DataFrame:
    """A forecast for each interval, whose first price is known and whose others have the last midnight's belief."""
    steps = round(pd.Timedelta("1D") / prices.index.freq)
    days = forecast.to_numpy().reshape(-1, steps, forecast.shape[1])
    times = forecast.index.get_level_values("time")
    lead = np.arange(steps)
    step = np.arange(len(times))[:, np.newaxis] + lead
    believed = days[np.arange(len(times))[:, np.newaxis] // steps, step % steps]
    believed[:, 0] = prices["price"].reindex(times).to_numpy()[:, np.newaxis]
    inside = step < len(times)
    index = pd.MultiIndex.from_arrays(
        [times[np.broadcast_to(step[:, :1], step.shape)[inside]], times[step[inside]]], names=["origin", "time"]
    )
    return pd.DataFrame(believed[inside], index=index, columns=forecast.columns)


def published(file: Path, index: pd.MultiIndex) -> dict[str, pd.DataFrame]:
    """The ensembles of others that lie beside a price file, on the times of ours."""
    tables = {}
    for found in sorted(file.parent.glob(f"Forecasts_{file.stem}*.csv")):
        stored = pd.read_csv(found, index_col=0, parse_dates=True)
        stored.index = pd.DatetimeIndex(stored.index, tz="UTC")
        on_ours = stored.reindex(index.get_level_values("time"))
        if not on_ours.isna().any(axis=None):
            ensembles = [name for name in stored.columns if "ensemble" in name.lower()]
            tables |= {name: pd.DataFrame({"mean": on_ours[name].to_numpy()}, index=index) for name in ensembles}
    return tables


def table(prices: pd.DataFrame, forecasts: dict[str, pd.DataFrame], hours: float, policies: tuple[str, ...]) -> str:
    """Share of perfect foresight with its confidence interval, and profit, by policy and forecast."""
    battery = Battery(1.0, hours, 0.85**0.5, 0.85**0.5)
    first = next(iter(forecasts.values()))
    steps = round(pd.Timedelta("1D") / prices.index.freq)
    results, seconds = {}, {}
    for model, forecast in {"": first, **forecasts}.items():
        for name in policies if model else ("idle", "perfect_foresight"):
            policy = made(name, forecast, prices)
            if policy is not None:
                began = time.process_time()
                results[f"{name} {model}".strip()] = backtest.run(policy, battery, prices, forecast, horizon=steps)
                seconds[f"{name} {model}".strip()] = time.process_time() - began
    compared = backtest.compare(results, asset=battery, rng=np.random.default_rng(0))
    compared["fallbacks"] = {n: sum(r.counts.get(s, 0) for s in SOLVERS[1:]) for n, r in results.items()}
    return markdown(compared.assign(seconds=seconds))


def made(name: str, forecast: pd.DataFrame, prices: pd.DataFrame) -> mpc.Policy | None:
    """The policy with its defaults; None where it needs quantiles that the forecast has not."""
    if name == "stochastic":
        process = "copula" if quantiles_of(forecast) else "bootstrap"
        draw = scenarios.sampler(process, forecast, prices, n_paths=200, n_keep=10, rng=np.random.default_rng(0))
        return mpc.POLICIES[name](draw, risk_weight=0.3)
    if name in ("robust", "value") and not quantiles_of(forecast):
        return None
    return mpc.POLICIES[name]()


def markdown(compared: pd.DataFrame) -> str:
    """The comparison as a Markdown table."""
    rows = ["| policy and forecast | share of perfect foresight | 95 % | k$/MW-year | cycles a day | fallbacks | s |"]
    rows.append("|" + "---|" * 7)
    for name, row in compared.iterrows():
        interval = f"{100 * row['capture_low']:.1f} to {100 * row['capture_high']:.1f}"
        rows.append(
            f"| {name} | {100 * row['capture']:.1f} | {interval} | {row['profit_per_mw_year'] / 1000:.2f} | "
            f"{row['cycles_per_day']:.2f} | {row['fallbacks']:.0f} | {row['seconds']:.1f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
