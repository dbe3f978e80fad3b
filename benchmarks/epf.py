"""
The benchmark of day-ahead electricity price forecasting on any market: ours beside forecasts that are published.

    python benchmarks/epf.py prices.csv [more.csv ...] [--days 728] [--models lear,ensemble] [--jobs 2] [--store folder]

Each file of hourly prices is forecast over its last 728 days, day by day, by every model with its defaults; nothing is
chosen here and nothing depends on the market. Stored forecasts of others (`Forecasts_<name>*.csv` beside the file, a
time and one column a model) are scored on the same days and tested against ours. Prints the tables as Markdown and
writes a page for each market to `reports/epf`. With a store, an interrupted run goes on where it was.
"""

import sys
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd

from gridlab import evaluate, plots, report, sources
from gridlab.files import project_path
from gridlab.forecast import MODELS

PERCENTILES = tuple(np.arange(1, 100) / 100)
MODELS_SCORED = "naive,linear,gp,lear,boosting,mlp,deep,ensemble,ensemble_deep"
UNITS = {
    "mae": "MAE [$/MWh]",
    "rmae": "rMAE, standard naive [-]",
    "rmae_week": "rMAE, week before [-]",
    "rmse": "RMSE [$/MWh]",
    "smape": "sMAPE [%]",
    "crps": "CRPS [$/MWh]",
    "coverage_50": "in 50 % band [-]",
    "coverage_80": "in 80 % band [-]",
    "coverage_90": "in 90 % band [-]",
}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--days", default=728, help="Days at the end of the file to forecast.")
@click.option("--models", default=MODELS_SCORED, help="Names in gridlab.forecast.MODELS, with commas.")
@click.option("--market-tz", default="UTC", help="Time zone that says when a day begins.")
@click.option("--jobs", default=2, help="Processes.")
@click.option("--store", type=click.Path(path_type=Path), help="Folder that keeps forecasts as they are made.")
@click.option("--out", default="reports/epf", help="Folder of the pages.")
def main(
    files: tuple[Path, ...], days: int, models: str, market_tz: str, jobs: int, store: Path | None, out: str
) -> None:
    """Forecast the last days of each file by each model, and compare."""
    for file in files:
        prices = sources.read_prices(file)
        first_day, n_days = evaluate.last_days(prices, days, market_tz=market_tz)
        period = {"first_day": first_day, "days": n_days, "market_tz": market_tz}
        ours, seconds = rolled(models.split(","), prices, period, jobs, store)
        forecasts = pd.concat({**ours, **published(file, next(iter(ours.values())).index)}, names=["model"])
        record = study(file.stem, prices, forecasts, seconds, evaluate.failures(forecasts), period)
        for title, table in record.tables.items():
            click.echo(f"\n### {file.stem}: {title}\n\n{markdown(table)}")
        click.echo(f"\n{report.write(record, project_path(out) / file.stem)}")


def rolled(names: list[str], prices: pd.DataFrame, period: dict, jobs: int, store: Path | None):
    """Forecast tables by model, and the seconds that each took."""
    tables, seconds = {}, {}
    for name in names:
        began = time.perf_counter()
        forecaster = MODELS[name](market_tz=period["market_tz"])
        tables[name] = evaluate.roll(
            forecaster, prices, quantiles=PERCENTILES, n_jobs=jobs, store=store, progress=sys.stderr.isatty(), **period
        )
        seconds[name] = time.perf_counter() - began
        click.echo(f"{name}: {seconds[name]:.0f} s", err=True)
    return tables, seconds


def published(file: Path, index: pd.MultiIndex) -> dict[str, pd.DataFrame]:
    """Forecasts of others that lie beside a price file, on the times of ours, and the mean of the single models."""
    found = sorted(file.parent.glob(f"Forecasts_{file.stem}*.csv"))
    if not found:
        return {}
    table = pd.read_csv(found[0], index_col=0, parse_dates=True).tz_localize("UTC")
    table = table.drop(columns="Real price", errors="ignore").reindex(index.get_level_values("time")).set_axis(index)
    single = [name for name in table if "ensemble" not in str(name).lower()]
    table[f"mean of {len(single)} published"] = table[single].mean(axis=1)
    return {
        f"{name} (published)".replace("published (published)", "published"): table[[name]].set_axis(["mean"], axis=1)
        for name in table
    }


def study(name: str, prices: pd.DataFrame, forecasts: pd.DataFrame, seconds: dict, failed: pd.DataFrame, period: dict):
    """The record of one market: scores, coverage by year, p-values, and a heat map of them."""
    scores = evaluate.score(forecasts, prices, market_tz=period["market_tz"])
    by_year = evaluate.score(forecasts.loc[list(seconds)], prices, by="year", market_tz=period["market_tz"])
    by_year = by_year[["mae", "crps", "coverage_50", "coverage_80", "coverage_90"]].reset_index("year")
    shown = (
        scores[list(UNITS)].rename(columns=UNITS).assign(**{"seconds": pd.Series(seconds)}).sort_values("MAE [$/MWh]")
    )
    compared = [model for model in shown.index if "published" not in model or "nsemble" in model or "mean of" in model]
    tests = {test: evaluate.compare_all(forecasts.loc[compared], prices, test=test) for test in ("dm", "gw")}
    best = scores.loc[list(seconds), "mae"].idxmin()
    others = [model for model in compared if model not in seconds] or [next(iter(seconds))]
    rival = scores.loc[others, "mae"].idxmin()
    p_value = tests["dm"].loc[rival, best]
    covered = [f"{100 * scores.loc[best, f'coverage_{level}']:.1f} (of {level}) %" for level in (50, 80, 90)]
    return report.Record(
        study="epf",
        question=f"How good is the best day-ahead forecast of {name}?",
        verdict=[
            f"Which of {len(seconds)} forecasts of {name} errs least, and how does it stand beside those of others?",
            f"{best} errs least of ours: its MAE is {scores.loc[best, 'mae']:.3f} $/MWh.",
            f"That of {rival} is {scores.loc[rival, 'mae']:.3f}; that {best} is no better has a p-value of "
            f"{p_value:.2g} (Diebold-Mariano, multivariate, one-sided).",
            f"Bands may promise more than they hold; those of {best} held {', '.join(covered)}.",
            f"{period['days']} days from {period['first_day']}, each forecast from the day before; {len(failed)} were "
            "filled after a model failed.",
        ],
        figures=[
            report.figure(
                plots.plot_p_values(tests["dm"]),
                "Which forecast is better than which: p-values of the Diebold-Mariano test.",
                "Heat map of one-sided p-values; a small one says that the column's forecast is better than the row's.",
            )
        ],
        tables={
            "Scores": shown,
            "Coverage by year": by_year.astype({"year": str}).rename(columns=UNITS),
            "Diebold-Mariano p-values": tests["dm"],
            "Giacomini-White p-values": tests["gw"],
        },
        headline="Scores",
        method=[
            "Every model has its defaults; nothing is chosen on these days.",
            "rMAE divides by the EPF-standard naive and, in the second column, by the price a week before.",
            "A p-value is of the hypothesis that the column's forecast is no better than the row's.",
        ],
        limits=["Seconds are of a shared machine, and of what was not in the store already."],
        metrics={"MAE [$/MWh]": float(scores.loc[best, "mae"]), "CRPS [$/MWh]": float(scores.loc[best, "crps"])},
        simulated=False,
        parameters=period,
    )


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    flat = table.reset_index()
    cells = [
        [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row] for row in flat.to_numpy(object)
    ]
    rows = [[str(name) for name in flat], ["---"] * flat.shape[1], *cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
