"""
A simulated week of the live loop under faults and kills: what is lost, what is sent twice, what it costs.

    python benchmarks/live_week.py [--steps 2016] [--faults 0.12] [--kills 20] [--seed 7]

The server runs in this process and its clock stands still unless the loop waits, so that a week passes as fast as the
loop can go. The loop is `gridlab live`, a process that is killed (SIGKILL) at random instants and started again on the
same journal. The same week is run without faults and kills beside it. The server's own log says what was applied.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.live.reading import Reader
from gridlab.live.simulator import running
from gridlab.live.simulator.faults import mixed
from gridlab.live.simulator.sites import SiteSpec
from gridlab.sources.mara import DOCUMENTED, EVENT, MACHINES

INVENTORIES = {"event": EVENT, "documented": DOCUMENTED}


def command(url: str, journal: Path, steps: int) -> list[str]:
    program = [sys.executable, "-m", "gridlab.cli", "live", "--no-report"]
    return [*program, "--url", url, "--journal", str(journal), "--steps", str(steps)]


def decided(journal: Path) -> int:
    try:
        return Reader(journal).status()["n_decisions"]
    except DataError:  # not made yet
        return 0


def week(folder: Path, arguments: argparse.Namespace, faults: float, kills: int) -> dict[str, object]:
    """Run the week, killing the loop; what the server and the journal say of it."""
    rng, journal = np.random.default_rng(arguments.seed), folder / f"week-{faults:g}-{kills}.db"
    start = pd.Timestamp("2025-06-02", tz="UTC")
    site = SiteSpec("site", str(uuid.uuid4()))
    journal.with_name(f"{journal.name}-key").write_text(site.key)
    journal.with_name(f"{journal.name}-key").chmod(0o600)
    world = {"inventory": INVENTORIES[arguments.inventory], "faults": mixed(faults), "seed": arguments.seed}
    with running(clock="manual", start=start, sites=[site], **world) as url:
        began, killed, failed = time.perf_counter(), 0, 0
        while (done := decided(journal)) < arguments.steps:
            loop = subprocess.Popen(command(url, journal, arguments.steps - done), stdout=subprocess.DEVNULL)
            if killed < kills:
                target = done + 1 + int(rng.integers(0, max(1, 2 * (arguments.steps - done) // (kills - killed + 1))))
                killed += kill_near(loop, journal, min(target, arguments.steps - 1), rng)
            elif loop.wait():
                failed += 1  # what starts a service would start it again
        seconds = time.perf_counter() - began
        log = ask(url, "/simulator/log")
        earned = ask(url, "/simulator/earned")
        counted = ask(url, "/simulator/faults")
    said = {"log": log, "earned": earned, "faults": counted}
    return said | {"journal": journal, "kills": killed, "failed": failed, "seconds": seconds}


def kill_near(loop: "subprocess.Popen[bytes]", journal: Path, target: int, rng: np.random.Generator) -> int:
    """Kill the loop at a random instant of a step near a target; 0 where it had ended by itself."""
    while loop.poll() is None and decided(journal) < target:
        time.sleep(0.02)
    time.sleep(float(rng.uniform(0, 0.06)))
    if loop.poll() is not None:
        return 0
    os.kill(loop.pid, signal.SIGKILL)
    loop.wait()
    return 1


def ask(url: str, path: str) -> dict[str, object]:
    with urllib.request.urlopen(url + path, timeout=60) as reply:
        return json.load(reply)


def told(run: dict[str, object], arguments: argparse.Namespace) -> dict[str, object]:
    """The figures of a run: the journal's decisions beside what the server applied and what it was worth."""
    reader = Reader(run["journal"])
    decisions, outcomes, replies = reader.decisions(), reader.outcomes(), reader.replies()
    steps = pd.date_range(decisions.index[0], periods=arguments.steps, freq="5min")
    puts = pd.DataFrame(run["log"]["puts"])
    interval = pd.to_datetime(puts["time"], utc=True, format="ISO8601").dt.floor("5min")
    inventory = INVENTORIES[arguments.inventory]
    power = sum(puts[name] * inventory.power[name] for name in MACHINES)
    counts = puts.set_index(interval)[list(MACHINES)]
    in_force = decisions.loc[decisions["status"].isin(["confirmed", "recovered"]), list(MACHINES)]
    agrees = (counts[~counts.index.duplicated()].reindex(in_force.index) == in_force).all(axis=1)
    return {
        "steps": len(decisions),
        "steps lost": len(steps.difference(decisions.index)),
        "kills": run["kills"],
        "starts that failed": run["failed"],
        "calls": len(replies),
        "calls that failed [%]": round(100 * float(replies["problem"].notna().mean()), 1),
        "applied": len(puts),
        "applied twice": int(interval.duplicated().sum()),
        "applied otherwise than recorded": int((~agrees).sum()),
        "above the cap": int((power > 1_000_000).sum()),
        "status": dict(Counter(decisions["status"])),
        "mode": dict(Counter(decisions["mode"])),
        "really earned": run["earned"][0]["profit"],
        "booked": float(outcomes["profit"].sum()),
        "hindsight": float(outcomes["hindsight"].sum()),
        "best machine": float(outcomes["best_machine"].sum()),
        "price to PUT, median [ms]": round(float(decisions["ms_total"].median()), 1),
        "seconds": round(float(run["seconds"]), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2016)
    parser.add_argument("--faults", type=float, default=0.12)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--inventory", choices=sorted(INVENTORIES), default="documented")
    parser.add_argument("--seed", type=int, default=7)
    arguments, earned = parser.parse_args(), []
    with tempfile.TemporaryDirectory() as folder:
        for faults, kills in ((0.0, 0), (arguments.faults, arguments.kills)):
            run = week(Path(folder), arguments, faults, kills)
            figures = told(run, arguments)
            earned.append(figures["really earned"])
            print(f"\nfaults {faults:g}, kills {kills}")  # noqa: T201
            for name, value in figures.items():
                print(f"  {name}: {value}")  # noqa: T201
    print(f"\nloss of profit against the run without faults: {100 * (1 - earned[1] / earned[0]):.3f} %")  # noqa: T201


if __name__ == "__main__":
    main()
