"""
How should power be split between services? Rules against 1/N and each single service, on real prices of energy.

    python benchmarks/allocations.py prices.csv [more.csv ...] [--days 1456] [--window 364] [--every 28] [--cost 10]

Each market, in its own currency, gives three services of 1 MW: a battery of two hours that plans on the naive forecast,
miners that run where the day-ahead price is below their break-even, and inference servers that always run. What
machines earn is a constant here, the median price before the first day times `--miner` and `--server`. Weights are
shares of 1 MW, made every 28 days from the 364 days before, none above `--most`; moving 1 MW costs `--cost`. Prints two
tables a market as Markdown; nothing is chosen here.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd

from gridlab import backtest, evaluate, mpc, portfolio, sources
from gridlab.assets import Battery
from gridlab.forecast import MODELS


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--days", default=1456, help="Days at the end of the files.")
@click.option("--window", default=364, help="Days that a rule sees.")
@click.option("--every", default=28, help="Days between weights.")
@click.option("--cost", default=10.0, help="Cost of moving 1 MW from one service to another [$].")
@click.option("--miner", default=1.1, help="What miners earn, over the median price of the days before the window.")
@click.option("--server", default=1.5, help="What servers earn, over the same.")
@click.option("--most", default=0.5, help="Greatest share of a service.")
def main(
    files: tuple[Path, ...], days: int, window: int, every: int, cost: float, miner: float, server: float, most: float
) -> None:
    """Compare the rules of `portfolio.WEIGHTINGS`."""
    for file in files:
        returns = services(file, days + window, miner, server)
        click.echo(f"\n### {file.stem}: {len(returns)} days [$/MW-day]\n")
        click.echo(table(returns, window, every, cost, most))


def table(returns: pd.DataFrame, window: int, every: int, cost: float, most: float) -> str:
    """What the services returned, and the rules beside each other."""
    compared = portfolio.compare_allocations(
        returns,
        list(portfolio.WEIGHTINGS),
        window=window,
        every=every,
        limits=portfolio.Limits(upper=most, turnover_cost=cost),
        rng=np.random.default_rng(0),
    )
    return f"{markdown(returns.agg(['mean', 'std', 'min']).T.round(1))}\n\n{markdown(compared.round(2))}"


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown."""
    lines = [
        f"| {table.index.name or ''} | " + " | ".join(map(str, table.columns)) + " |",
        "|" + "---|" * (1 + table.shape[1]),
    ]
    return "\n".join(
        lines
        + [
            f"| {name} | " + " | ".join(map(str, row)) + " |"
            for name, row in zip(table.index, table.to_numpy(), strict=True)
        ]
    )


def services(file: Path, days: int, miner: float, server: float) -> pd.DataFrame:
    """Daily profit of 1 MW of each service of a market. [$/MW per day]"""
    prices = sources.read_prices(file)
    first_day, days = evaluate.last_days(prices, days)
    forecast = evaluate.roll(MODELS["naive"](), prices, first_day=first_day, days=days)
    steps = round(pd.Timedelta("1D") / prices.index.freq)
    battery = Battery(1.0, 2.0, 0.85**0.5, 0.85**0.5)
    played = backtest.run(mpc.POLICIES["mpc"](), battery, prices, forecast, horizon=steps)
    hours = pd.Timedelta(prices.index.freq) / pd.Timedelta("1h")
    level = prices["price"][prices.index < pd.Timestamp(first_day, tz="UTC")].median()
    paid = prices["price"].reindex(played.schedule.index)
    margins = {"miners": (miner * level - paid).clip(lower=0), "servers": server * level - paid}
    daily = {name: hours * margin.groupby(margin.index.date).sum() for name, margin in margins.items()}
    daily = {name: series.set_axis(pd.DatetimeIndex(series.index, name="date")) for name, series in daily.items()}
    return pd.DataFrame({"battery": backtest.daily_profit({"battery": played})["battery"], **daily})


if __name__ == "__main__":
    main()
