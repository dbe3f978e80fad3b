"""
What does a large battery gain by withholding, week by week on real prices?

    python benchmarks/market_power.py prices.csv [more.csv ...] [--weeks 52] [--sizes 0.01,0.05,0.1] [--hours 4]

The price falls by one slope for each MW put into the grid, estimated from the net load forecast within the weeks of
the year before those tested and from nothing after. A battery's power is a share of the mean load forecast; it knows
the prices of its week, ends each week as it began, and is divided among one, two or four owners. Prints the table as
Markdown.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd

from gridlab import games, sources
from gridlab.assets import Battery

WEAR = 5.0  # $/MWh delivered


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--weeks", default=52, help="Weeks tested, the last of the file.")
@click.option("--sizes", default="0.01,0.05,0.1", help="Power over the mean load, with commas.")
@click.option("--hours", default=4.0, help="Hours of energy.")
def main(files: tuple[Path, ...], weeks: int, sizes: str, hours: float) -> None:
    """Play each size and number of owners on each file."""
    for file in files:
        prices = sources.read_prices(file)
        tested = prices.iloc[-weeks * 168 :]
        before = prices.loc[: tested.index[0]].iloc[-364 * 24 - 1 : -1].dropna()
        load = next(name for name in prices if "load" in name)
        renewable = [name for name in prices if "wind" in name or "solar" in name]
        net_load = before[load] - before[renewable].sum(axis=1)
        estimate = games.slope_of_prices(before["price"], net_load, within=168)
        mean_load = float(before[load].mean())
        print(f"\n## {file.stem}: mean load {mean_load:,.0f} MW, slope {1000 * estimate.slope:.3f}")  # noqa: T201
        print(f"(standard error {1000 * estimate.standard_error:.3f}) $/MWh per GW\n")  # noqa: T201
        rows = [
            played(tested, float(size) * mean_load, hours, owners, estimate.slope)
            for size in sizes.split(",")
            for owners in (1, 2, 4)
        ]
        show(pd.DataFrame(rows))


def played(prices: pd.DataFrame, power_mw: float, hours: float, owners: int, slope: float) -> dict[str, object]:
    """One size and number of owners over all weeks."""
    size = power_mw / owners
    owned = [Battery(size, hours * size, 0.922, 0.922, degradation_cost=WEAR)] * owners
    weeks = [
        games.market_power(prices.iloc[start : start + 168][["price"]], owned, slope)
        for start in range(0, len(prices), 168)
    ]
    strategic = np.sum([week.strategic.profit.sum() for week in weeks])
    efficient = np.sum([week.efficient.profit.sum() for week in weeks])
    taker = np.sum([week.price_taker.profit.sum() for week in weeks])
    withheld = np.sum([week.withheld_mwh for week in weeks])
    delivered = np.sum([week.efficient.delivered_mwh for week in weeks])
    best = np.sum([week.efficient.welfare for week in weeks])
    return {
        "power [MW]": round(power_mw),
        "owners": owners,
        "efficient [$/MW-year]": efficient / power_mw * 52 / len(weeks),
        "price taker [$/MW-year]": taker / power_mw * 52 / len(weeks),
        "strategic [$/MW-year]": strategic / power_mw * 52 / len(weeks),
        "gain": f"{100 * (strategic / efficient - 1):.1f} %",
        "withheld": f"{100 * withheld / delivered:.1f} %",
        "welfare lost": f"{100 * sum(week.welfare_loss for week in weeks) / best:.1f} %",
        "greatest regret [$]": f"{max(float(week.strategic.regret.max()) for week in weeks):.0e}",
    }


def show(table: pd.DataFrame) -> None:
    """The table as Markdown."""
    print(f"| {' | '.join(table.columns)} |\n|{'---|' * len(table.columns)}")  # noqa: T201
    for row in table.itertuples(index=False):
        cells = [f"{cell:,.0f}" if isinstance(cell, float) and abs(cell) >= 1 else f"{cell}" for cell in row]
        print(f"| {' | '.join(cells)} |")  # noqa: T201


if __name__ == "__main__":
    main()
