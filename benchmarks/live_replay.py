"""
The live loop over the day recorded on 2025-06-21: its profit beside what could have been earned.

    python benchmarks/live_replay.py [PRICES.csv] [--battery-mw 0.1] [--battery-mwh 0.2]

Each step is `gridlab live`'s own, without a network. *Hindsight* is the optimum with all prices known; where it says
"bound" nothing can reach it. *Best machine* puts all power on the type that earns most at the prices of the interval,
which it is given without error, and pays for its switching as the loop does. *Do nothing* earns 0. A battery starts
half full and may end empty in hindsight; its share at the end is that of the loop. Nothing is tuned on this day.
"""

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd

from gridlab.assets import Battery
from gridlab.live.config import Config
from gridlab.live.hindsight import Hindsight, best_machine_counts, hindsight
from gridlab.live.replay import replay
from gridlab.sources import read_prices
from gridlab.sources.mara import DOCUMENTED, EVENT, MACHINES, Inventory, Quote, margins

DAY = Path(os.environ.get("GRIDLAB_SHARED", "../shared")) / "data" / "mara" / "prices_2025-06-21.csv"


def studied(battery: Battery) -> dict[str, Config]:
    """The sites."""

    def costly(cost: float, **more: object) -> Config:
        return Config(switching_cost=dict.fromkeys(MACHINES, cost), **more)

    return {
        "as it is": Config(),
        "risk 0.5": Config(risk=0.5),
        "risk 1": Config(risk=1.0),
        "dwell 15 min": Config(dwell_minutes=dict.fromkeys(MACHINES, 15.0)),
        "dwell 30 min": Config(dwell_minutes=dict.fromkeys(MACHINES, 30.0)),
        "switching 1,000 $": costly(1_000.0),
        "switching 20,000 $": costly(20_000.0),
        "switching 20,000 $, risk 0.5": costly(20_000.0, risk=0.5),
        "switching 20,000 $, risk 1": costly(20_000.0, risk=1.0),
        "switching 1,000 $, dwell 30 min": costly(1_000.0, dwell_minutes=dict.fromkeys(MACHINES, 30.0)),
        "battery": Config(battery=battery),
        "battery, risk 0.5": Config(battery=battery, risk=0.5),
        "battery, risk 1": Config(battery=battery, risk=1.0),
        "battery, switching 1,000 $": costly(1_000.0, battery=battery),
    }


def best_machine(prices: pd.DataFrame, inventory: Inventory, config: Config) -> float:
    """Profit of all power on the best machine of each interval, its switching paid. [$]"""
    earned, before = 0.0, dict.fromkeys(MACHINES, 0)
    for at, *row in prices[["price", "hash_price", "token_price"]].itertuples(name=None):
        quote = Quote(at, *row)
        counts = best_machine_counts(inventory, quote, config.cap_power, config.scaling)
        worth = margins(inventory, quote, config.scaling)
        earned += sum(counts[name] * worth[name] for name in MACHINES)
        earned -= sum(config.switching_cost.get(name, 0.0) * abs(counts[name] - before[name]) for name in MACHINES)
        before = counts
    return earned


def bound(prices: pd.DataFrame, inventory: Inventory, config: Config) -> Hindsight:
    """The optimum in hindsight; without a battery at most that of whole machines whose switching is free."""
    most = hindsight(prices, inventory, config)
    free = hindsight(prices, inventory, replace(config, switching_cost={}))
    return most if most.exact or config.battery is not None else Hindsight(min(most.profit, free.profit), exact=False)


def row_of(prices: pd.DataFrame, inventory: Inventory, config: Config) -> str:
    """A row of the table."""
    began = time.perf_counter()
    played, most = replay(prices, inventory, config), bound(prices, inventory, config)
    alone = best_machine(prices, inventory, config)
    soc = played.decisions["soc_share"].iloc[-1]
    changes = int((played.decisions[list(MACHINES)].diff().abs().sum(axis=1) > 0).sum())
    figures = f"{played.profit:,.0f} | {most.profit:,.0f}{'' if most.exact else ' (bound)'} | "
    figures += (
        f"{100 * played.profit / most.profit:.2f} | {alone:,.0f} | {100 * (played.profit / alone - 1):+.2f} | 0 | "
    )
    milliseconds = 1000 * (time.perf_counter() - began) / len(prices)
    return figures + f"{changes} | {'' if config.battery is None else f'{soc:.2f}'} | {milliseconds:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prices", nargs="?", type=Path, default=DAY)
    parser.add_argument("--battery-mw", type=float, default=0.1)
    parser.add_argument("--battery-mwh", type=float, default=0.2)
    arguments = parser.parse_args()
    prices, battery = read_prices(arguments.prices), Battery(arguments.battery_mw, arguments.battery_mwh)
    print(f"{len(prices)} intervals from {prices.index[0]} to {prices.index[-1]}\n")  # noqa: T201
    heads = "inventory | site | profit [$] | hindsight [$] | share [%] | best machine [$] | against it [%]"
    print(f"| {heads} | do nothing [$] | changes | SOC at the end | ms a step |")  # noqa: T201
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")  # noqa: T201
    for name, inventory in (("event", EVENT), ("documented", DOCUMENTED)):
        for site, config in studied(battery).items():
            print(f"| {name} | {site} | {row_of(prices, inventory, config)} |", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
