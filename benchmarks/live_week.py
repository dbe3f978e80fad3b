"""
A simulated week of the live loop under faults and kills: what is lost, what is sent twice, what it costs.

    python benchmarks/live_week.py [--steps 2016] [--faults 0.15] [--kills 20] [--outages 0] [--inventory documented]
                                   [--site SETTINGS.yaml] [--seed 7] [--folder KEPT]

The server runs in this process and its clock stands still unless the loop waits, so that a week passes as fast as the
loop can go. The loop is `gridlab live`, a process that is killed (SIGKILL) at random instants of random steps, one time
in four while it starts, and started again on the same journal. An outage fails every call for eight intervals. The same
week is run without faults and kills beside it. The server's own log says what was applied and what it earned. It ends
with status 1 where a step is lost, one is sent twice, the cap is exceeded, or journal and server differ.
"""

import argparse
import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from gridlab.live.config import STEP, Config
from gridlab.live.reading import Reader
from gridlab.live.settings import read_config
from gridlab.live.simulator import running
from gridlab.live.simulator.faults import CALLS, mixed
from gridlab.live.simulator.sites import SiteSpec
from gridlab.sources.mara import DOCUMENTED, EVENT, MACHINES

INVENTORIES = {"event": EVENT, "documented": DOCUMENTED}
START, OUTAGE_STEPS, APPLIED = pd.Timestamp("2025-06-02", tz="UTC"), 8, ("confirmed", "recovered")


class Week:
    """A week that is run: the server's address, the journal, who is killed when, and how far it is."""

    def __init__(self, url: str, journal: Path, settings: argparse.Namespace, faults: float, kills: int) -> None:
        self.url, self.journal, self.settings, self.faults = url, journal, settings, faults
        rng = np.random.default_rng(settings.seed)
        self.starting = int(rng.binomial(kills, 0.25))
        self.targets = sorted(rng.choice(np.arange(1, settings.steps - 1), kills - self.starting, replace=False))
        n_outages = settings.outages if faults else 0
        self.outages = [int(one) for one in rng.uniform(0, settings.steps - OUTAGE_STEPS, n_outages)]
        self.rng, self.out, self.told, self.phases, self.failed = rng, False, 0, Counter(), 0

    def run(self) -> None:
        """Start the loop as often as it ends, until all intervals are decided."""
        restarted = False
        while (done := self.done()) < self.settings.steps:
            with self.journal.with_suffix(".err").open("ab") as errors:
                loop = subprocess.Popen(self.command(done), stdout=subprocess.DEVNULL, stderr=errors)
            if restarted and self.starting and self.rng.random() < 0.5:
                self.starting -= 1
                self.watched(loop, self.settings.steps, self.rng.uniform(0, 4))
                restarted = self.kill(loop, done)
            elif self.targets:
                self.watched(loop, self.targets.pop(0), self.settings.steps)
                time.sleep(self.rng.uniform(0, 0.1))
                restarted = self.kill(loop, done)
            else:
                self.watched(loop, self.settings.steps + 1, self.settings.steps)
                self.failed += loop.wait() != 0

    def command(self, done: int) -> list[str]:
        """The command of the loop for the steps that are left."""
        program = [sys.executable, "-m", "gridlab.cli", "live", "--no-report", "--url", self.url]
        program += [] if self.settings.site is None else ["--site", self.settings.site]
        return [*program, "--journal", str(self.journal), "--steps", str(self.settings.steps - done)]

    def watched(self, loop: "subprocess.Popen[bytes]", target: int, most_s: float) -> None:
        """Wait until the loop is so far, has run so long, or has ended; begin and end outages."""
        until = time.monotonic() + most_s
        while loop.poll() is None and (done := self.done()) < target and time.monotonic() < until:
            out = any(first <= done < first + OUTAGE_STEPS for first in self.outages)
            if out != self.out:
                faults = [{"kind": "server_error", "call": call} for call in CALLS] if out else as_faults(self.faults)
                ask(self.url, "/simulator/faults", {"faults": faults})
                self.out = out
            if done >= self.told + 288:
                self.told = done
                print(f"  ... {done} of {self.settings.steps} intervals, {sum(self.phases.values())} kills", flush=True)  # noqa: T201
            time.sleep(0.01 if target - done < 20 or self.outages else 0.2)  # a look costs the server's process time

    def kill(self, loop: "subprocess.Popen[bytes]", before: int) -> bool:
        """Kill the loop, and note where it was."""
        if loop.poll() is not None:
            self.failed += loop.returncode != 0
            return False
        loop.send_signal(signal.SIGKILL)
        loop.wait()
        sql = "SELECT event FROM sends WHERE decision_id = (SELECT max(id) FROM decisions) ORDER BY id DESC LIMIT 1"
        last = (self.rows(sql) or [("decided",)])[0][0]
        self.phases["while it started" if self.done() == before else f"the last decision was {last}"] += 1
        return True

    def done(self) -> int:
        """Intervals from the first one decided to the last, those without a decision too."""
        first, last = (self.rows("SELECT min(interval), max(interval) FROM decisions") or [(None, None)])[0]
        return 0 if first is None else (last - first) // 300_000_000 + 1

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of the journal; none before it is made."""
        try:
            with closing(sqlite3.connect(f"{self.journal.as_uri()}?mode=ro", uri=True)) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return []


def as_faults(rate: float) -> list[dict[str, object]]:
    return [{"kind": one.kind, "probability": one.probability, "call": one.call} for one in mixed(rate)]


def ask(url: str, path: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url + path, data), timeout=60) as reply:
        return json.load(reply)


def week(folder: Path, arguments: argparse.Namespace, config: Config, faults: float, kills: int) -> dict[str, object]:
    """Run the week, killing the loop; the journal, and what the server says of it."""
    journal, site = folder / f"week-{faults:g}-{kills}.db", SiteSpec("site", str(uuid.uuid4()), config.cap_power)
    key = journal.with_name(f"{journal.name}-key")
    key.touch(0o600)
    key.write_text(site.key)
    world: dict[str, object] = {"inventory": INVENTORIES[arguments.inventory], "faults": mixed(faults)}
    with running(clock="manual", start=START, sites=[site], seed=arguments.seed, **world) as url:
        began, one = time.perf_counter(), Week(url, journal, arguments, faults, kills)
        one.run()
        seconds = time.perf_counter() - began
        ask(url, "/simulator/clock", {"to": (Reader(journal).decisions().index[-1] + STEP).isoformat()})
        log, counted = ask(url, "/simulator/log"), ask(url, "/simulator/faults")
        journal.with_suffix(".server.json").write_text(json.dumps([log, counted]))
    return {"journal": journal, "log": log, "faults": counted, "phases": one.phases, "failed": one.failed, "s": seconds}


def told(run: dict[str, object], arguments: argparse.Namespace, config: Config) -> tuple[dict[str, object], list[str]]:
    """The figures of a run, the journal's beside the server's, and what is wrong."""
    reader = Reader(run["journal"])
    decisions, outcomes, replies, events = reader.decisions(), reader.outcomes(), reader.replies(), reader.events()
    steps = pd.date_range(decisions.index[0], periods=arguments.steps, freq="5min")
    puts = pd.DataFrame(run["log"]["puts"])
    puts.index = pd.to_datetime(puts["time"], utc=True, format="ISO8601").dt.floor("5min")
    worth = pd.DataFrame(run["log"]["intervals"]).set_index("time")
    worth.index = pd.to_datetime(worth.index, utc=True)
    earned = float(worth.loc[worth.index.isin(steps), "profit"].sum())
    changed = puts[list(MACHINES)].diff().fillna(puts[list(MACHINES)]).abs()
    switching = sum(cost * changed[name].sum() for name, cost in config.switching_cost.items())
    faulty = sum(run["faults"]["faulty_calls"].values()), sum(run["faults"]["calls"].values())
    wrong = violations(steps, decisions, puts, worth, INVENTORIES[arguments.inventory].power, config)
    figures = {
        "steps": len(decisions),
        "steps lost": len(steps.difference(decisions.index)),
        "kills, by where": dict(run["phases"]),
        "starts that failed": run["failed"],
        "calls": f"{faulty[1]}, by the server's count {faulty[0]} faulty ({100 * faulty[0] / faulty[1]:.1f} %)",
        "kinds of faults": dict(sum((Counter(kinds) for kinds in run["faults"]["counts"].values()), Counter())),
        "calls that failed for good": int(replies["problem"].notna().sum()),
        "applied": len(puts),
        "applied twice": int(puts.index.duplicated().sum()),
        "steps whose allocation changed": int((decisions[list(MACHINES)].diff().abs().sum(axis=1) > 0).sum()),
        "greatest power, server [power]": int(worth["mean_power"].max()),
        "greatest power, journal [power]": int(decisions["power"].max()),
        "status": dict(Counter(decisions["status"])),
        "mode": dict(Counter(decisions["mode"])),
        **fallbacks(events),
        "recovered after a restart or a lost answer": int((events["kind"] == "recovery").sum()),
        "earned by the server's count": earned,
        "less switching by the server's count": earned - switching,
        "booked by the journal": float(outcomes["profit"].sum()),
        "booked intervals": len(outcomes),
        "hindsight": float(outcomes["hindsight"].sum()),
        "best machine": float(outcomes["best_machine"].sum()),
        "price to PUT, median [ms]": round(float(decisions["ms_total"].median()), 1),
        "seconds": round(float(run["s"]), 1),
    }
    return figures, wrong


def violations(
    steps: pd.DatetimeIndex,
    decisions: pd.DataFrame,
    puts: pd.DataFrame,
    worth: pd.DataFrame,
    power: dict[str, int],
    config: Config,
) -> list[str]:
    """What breaks the loop's promise, a sentence each."""
    names = list(MACHINES)
    wrong = [f"{at}: no decision" for at in steps.difference(decisions.index)]
    wrong += [f"{at}: applied twice" for at in puts.index[puts.index.duplicated()]]
    wrong += [f"{row.Index}: {row.power} above the cap in the journal" for row in above(decisions, config)]
    draws = sum(puts[name] * power[name] for name in names)
    wrong += [f"{at}: {draw} above the cap at the server" for at, draw in draws[draws > config.cap_power].items()]
    over = worth["mean_power"] > config.cap_power * (1 + 1e-12)
    wrong += [f"{at}: mean power above the cap at the server" for at in worth.index[over]]
    counts = puts.loc[~puts.index.duplicated(), names]
    for at, row in decisions.iterrows():
        if at not in counts.index:
            before = puts.loc[:at, names].tail(1)
            same = "the same was in force" if len(before) and (before.iloc[0] == row[names]).all() else "nor in force"
            wrong += [f"{at}: {row['status']}, but never applied, {same}"] * (row["status"] in APPLIED)
        elif row["status"] not in APPLIED:
            wrong.append(f"{at}: {row['status']}, but applied")
        elif (counts.loc[at] != row[names]).any():
            wrong.append(f"{at}: applied otherwise than recorded")
    return [*wrong, *(f"{at}: applied without a decision" for at in counts.index.difference(decisions.index))]


def above(decisions: pd.DataFrame, config: Config) -> list[object]:
    over = (decisions["power"] > config.cap_power) | (decisions["power_mw"] > config.cap_mw * (1 + 1e-9))
    return list(decisions[over].itertuples())


def fallbacks(events: pd.DataFrame) -> dict[str, object]:
    """Fallbacks and alerts that were raised, and those that did not end."""
    found = {}
    for kind in ("fallback", "alert", "protocol"):
        rows = events[events["kind"] == kind]
        of = {phase: Counter(rows.loc[rows["phase"] == phase, "name"]) for phase in ("once", "raised", "ended")}
        found[f"{kind}s raised"] = dict(of["raised"])
        found[f"{kind}s raised and not ended"] = dict(of["raised"] - of["ended"])
        found[f"{kind}s at once"] = dict(of["once"])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2016)
    parser.add_argument("--faults", type=float, default=0.15)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--outages", type=int, default=0)
    parser.add_argument("--inventory", choices=sorted(INVENTORIES), default="documented")
    parser.add_argument("--site", help="settings of the site (YAML)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the journals are kept")
    arguments, earned, wrong = parser.parse_args(), [], []
    config = Config() if arguments.site is None else read_config(arguments.site)
    with tempfile.TemporaryDirectory() as made:
        folder = (arguments.folder or Path(made)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for faults, kills in ((0.0, 0), (arguments.faults, arguments.kills)):
            print(f"\nfaults {faults:g}, kills {kills}", flush=True)  # noqa: T201
            run = week(folder, arguments, config, faults, kills)
            figures, found = told(run, arguments, config)
            earned.append(figures["less switching by the server's count"])
            wrong += found
            for name, value in figures.items():
                print(f"  {name}: {value}")  # noqa: T201
            print(f"  violations: {len(found)}", *found[:20], sep="\n    ", flush=True)  # noqa: T201
    print(f"\nloss of the server's profit against the run without faults: {100 * (1 - earned[1] / earned[0]):.5f} %")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
