"""
From the price to the PUT: how long a step of the live loop takes, and which stage takes it.

    python benchmarks/live_latency.py [--steps 400] [--warm 100] [--inventory documented] [--only NAME ...]

The server is `gridlab serve-mara` in a process of its own, its clock moved by the loop, which runs here with its
journal on disk. A step is timed from outside, from the call of GET /prices to the answer of PUT /machines; the stages
are those that the journal has, *journal* is the row that is written before the request, and *rest* is what they leave
of the whole, the commit of the decision most of all. The first steps are not counted: in them the ensemble learns, and
what is imported late is loaded.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from gridlab.assets import Battery, Cooling
from gridlab.auctions import Coupling
from gridlab.live.config import Config
from gridlab.live.loop import Site
from gridlab.live.reading import Reader
from gridlab.live.starting import joined
from gridlab.sources.mara import MACHINES

SERVER = [
    sys.executable,
    "-m",
    "gridlab.cli",
    "serve-mara",
    "--port",
    "0",
    "--clock",
    "manual",
    "--start",
    "2025-06-02",
]
STAGES = ("fetch", "forecast", "auction", "plan", "protect", "dispatch", "journal", "send", "rest")
BATTERY, COOLING = Battery(0.1, 0.2), Cooling(0.3)
COSTLY = {"switching_cost": dict.fromkeys(MACHINES, 1000.0)}
COUPLING = Coupling(cop={"inference": 4.0, "training": 5.0, "cooling": 5.0})
SITES = {
    "as it is": Config(),
    "10 bids for services": Config(coupling=COUPLING),
    "battery": Config(battery=BATTERY),
    "switching costs, dwell 30 min": Config(**COSTLY, dwell_minutes=dict.fromkeys(MACHINES, 30.0)),
    "battery, chiller, switching costs": Config(battery=BATTERY, cooling=COOLING, **COSTLY),
    "battery, chiller, switching costs, 10 bids": Config(battery=BATTERY, cooling=COOLING, coupling=COUPLING, **COSTLY),
}


class Timed:
    """A client that notes when a step asks for prices and when its PUT is answered."""

    def __init__(self, client: object) -> None:
        self._client, self.began, self.ms = client, 0.0, []

    def __getattr__(self, name: str) -> object:
        return getattr(self._client, name)

    def get_prices(self) -> pd.DataFrame:
        """The prices so far."""
        self.began = time.perf_counter()
        return self._client.get_prices()

    def put_machines(self, counts: dict[str, int]) -> object:
        """Set what runs."""
        reply = self._client.put_machines(counts)
        self.ms.append(1000 * (time.perf_counter() - self.began))
        return reply


def bidding(interval: pd.Timestamp) -> pd.DataFrame:
    """Ten bids, new in each interval, about as high as what the site's own machines earn."""
    rng = np.random.default_rng(interval.value // 10**9)
    services = np.array(["inference", "training", "cooling"])[rng.integers(0, 3, 10)]
    bids = {"time": interval, "bidder": [f"bidder_{n}" for n in range(10)], "service": services}
    bids |= {"quantity_mw": rng.uniform(0.02, 0.2, 10), "price": 12e6 * rng.uniform(0, 10, 10)}
    return pd.DataFrame(bids)


def measured(config: Config, steps: int, warm: int, inventory: str) -> pd.DataFrame:
    """Each stage of each step once warm, with the whole. [ms]"""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([*SERVER, "--inventory", inventory], stdout=subprocess.PIPE, text=True) as server,
    ):
        try:
            url, journal = re.search(r"http://\S+", server.stdout.readline())[0], Path(folder) / "latency.db"
            site = Site() if config.coupling is None else Site(bids=bidding)
            with joined(url, None, journal, config, simulated=True, site=site, seed=0) as loop:
                loop._client = timed = Timed(loop._client)
                loop.run(steps=steps)
            decisions = Reader(journal).decisions()
        finally:
            server.terminate()
            server.communicate()
    table = decisions[[f"ms_{name}" for name in STAGES[:-1]]].fillna(0.0)
    table.columns = list(STAGES[:-1])
    table["whole"] = timed.ms
    table["rest"] = table["whole"] - table[list(STAGES[:-1])].sum(axis=1)
    return table.iloc[warm:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--warm", type=int, default=100, help="steps that are not counted")
    parser.add_argument("--inventory", default="documented")
    parser.add_argument("--only", nargs="*", help="sites whose names start so")
    arguments = parser.parse_args()
    print("| site | median [ms] | p95 [ms] | max [ms] | " + " | ".join(STAGES) + " | load |")  # noqa: T201
    print("|---" + "|--:" * (4 + len(STAGES)) + "|")  # noqa: T201
    for name, config in SITES.items():
        if arguments.only and not any(name.startswith(one) for one in arguments.only):
            continue
        table = measured(config, arguments.steps, arguments.warm, arguments.inventory)
        whole = " | ".join(f"{figure:.1f}" for figure in table["whole"].quantile([0.5, 0.95, 1.0]))
        shares = " | ".join(f"{100 * table[stage].sum() / table['whole'].sum():.1f} %" for stage in STAGES)
        print(f"| {name} | {whole} | {shares} | {os.getloadavg()[0]:.1f} |", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
