"""A reader of a journal that never was: the agreed tables, some hundreds of intervals, made up, for tests of views."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from gridlab.sources.mara import EVENT, MACHINES

STEP = pd.Timedelta(minutes=5)
STAGES = {"fetch": 46, "forecast": 12, "plan": 8, "auction": 2, "protect": 1, "dispatch": 2, "journal": 6, "send": 52}
CAP_POWER = 1_000_000


class MockCommands:
    """Appends each command as a line of a file, as another process than the loop would append it to the journal."""

    def __init__(self, path):
        self.path = Path(path)

    def pause(self, by="page"):
        self._append("pause", None, by)

    def resume(self, by="page"):
        self._append("resume", None, by)

    def risk(self, value, by="page"):
        self._append("risk", value, by)

    def override(self, counts, until, by="page"):
        self._append("override", {"counts": dict(counts), "until": until.isoformat()}, by)

    def clear_override(self, by="page"):
        self._append("clear_override", None, by)

    def _append(self, kind, value, by):
        row = {"at": pd.Timestamp.now("UTC").isoformat(), "kind": kind, "value": value, "by": by}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


class MockReader:
    """The tables of a site that has run for `n` intervals, the last one `now`; `commands` is the file of the above."""

    def __init__(self, n=300, *, now=None, simulated=True, commands=None, seed=3):
        self.now = pd.Timestamp.now("UTC") if now is None else pd.Timestamp(now)
        self.simulated, self.path, self.applied = simulated, commands and Path(commands), set()
        self.paused, self.running, self.n = False, True, n
        rng = np.random.default_rng(seed)
        self.times = pd.date_range(end=self.now.floor(STEP), periods=n, freq=STEP, name="time")
        self._prices, self._decisions = mock_prices(self.times, rng), None
        self._decisions = mock_decisions(self._prices, rng)
        self._outcomes = mock_outcomes(self._decisions, self._prices)
        self._events = mock_events(self.times)

    def prices(self, since=None):
        return bounded(self._prices.iloc[: self.n], since)

    def decisions(self, since=None):
        return bounded(self._decisions.iloc[: self.n], since)

    def outcomes(self, since=None):
        return bounded(self._outcomes.iloc[: self.n - 1], since)

    def forecast(self, time=None):
        return mock_forecast(self._prices.iloc[: self.n])

    def events(self, since=None):
        return self._events if since is None else self._events[self._events["at"] >= since]

    def replies(self, since=None):
        columns = ["at", "call", "status", "latency_ms", "problem"]
        return pd.DataFrame([[self.now, "GET /prices", 200, 41.0, None]], columns=columns)

    def commands(self, since=None):
        columns = ["at", "kind", "value", "by", "applied_at"]
        lines = self.path.read_text("utf-8").splitlines() if self.path and self.path.exists() else []
        rows = [json.loads(line) for line in lines]
        table = pd.DataFrame(
            [[pd.Timestamp(r["at"]), r["kind"], r["value"], r["by"], pd.NaT] for r in rows], columns=columns
        )
        table["applied_at"] = [self.now if i in self.applied else pd.NaT for i in range(len(table))]
        return table

    def bids(self, since=None):
        return pd.DataFrame(columns=["time", "bidder", "service", "quantity_mw", "price", "award_mw", "payment"])

    def awards(self, since=None):
        return pd.DataFrame(columns=["time", "bidder", "service", "award_mw", "payment"])

    def status(self):
        last = self._decisions.iloc[: self.n]
        return {
            "site": "Hill <site> & sons",
            "simulated": self.simulated,
            "running": self.running,
            "paused": self.paused,
            "last_interval": last.index[-1],
            "last_decided_at": last["decided_at"].iloc[-1],
            "n_decisions": len(last),
            "n_confirmed": int(last["status"].isin(["confirmed", "recovered"]).sum()),
            "n_events": self._events["kind"].value_counts().to_dict(),
            "schema_version": 1,
        }


def bounded(table, since):
    return table if since is None else table[table.index >= since]


def mock_prices(times, rng):
    """Three prices that wander about the means that were recorded, with a few rows missing."""
    level, spread, floor = np.array([1.74, 1.59, 1.72]), np.array([0.10, 0.23, 0.25]), np.array([0.6, 1.0, 0.5])
    values = np.empty((len(times), 3))
    now = level.copy()
    for i, shock in enumerate(rng.normal(size=(len(times), 3))):
        now = np.maximum(level + 0.92 * (now - level) + spread * shock, floor)
        values[i] = now
    table = pd.DataFrame(values, index=times, columns=["price", "hash_price", "token_price"])
    return table.drop(times[[len(times) // 3, len(times) // 3 + 1]])


def mock_decisions(prices, rng):
    times, n = prices.index, len(prices)
    hash_pays = (prices["hash_price"] * 10_000 > prices["price"] * 5_000).to_numpy()
    tokens_pay = (prices["token_price"] * 5_000 > prices["price"] * 10_000 * 0.62).to_numpy()
    counts = pd.DataFrame(0, index=times, columns=list(MACHINES))
    counts["hydro_miners"] = np.where(hash_pays, np.where(tokens_pay, 150, 190), 0)
    counts["asic_compute"] = np.where(tokens_pay, 20, 0)
    asked = times[n // 2 : n // 2 + 8]
    counts.loc[asked, ["air_miners", "hydro_miners"]] = 30, 120
    counts.loc[times[2 * n // 3 + 4 : 2 * n // 3 + 7]] = 0
    power = sum(counts[name] * EVENT.power[name] for name in MACHINES)
    soc = 0.52 + 0.36 * np.sin(np.arange(n) / 30)
    mode = np.full(n, "normal", dtype=object)
    mode[n // 2 : n // 2 + 8] = "override"
    mode[2 * n // 3 : 2 * n // 3 + 4] = "hold"
    mode[2 * n // 3 + 4 : 2 * n // 3 + 7] = "safe"
    reason = {"normal": "best by plan", "override": "asked for by a person", "hold": "no prices", "safe": "no prices"}
    battery = -np.gradient(soc) * 2
    made = {
        "decided_at": times + pd.Timedelta(seconds=1.2),
        "mode": mode,
        "reason": [reason[m] for m in mode],
        **{name: counts[name] for name in MACHINES},
        "power": power,
        "power_mw": power * 1e-6 + 0.03 - battery,
        "cooling_mw": 0.03,
        "battery_mw": battery,
        "services_mw": 0.0,
        "soc_share": soc,
        "temperature_c": 62 + 9 * np.sin(np.arange(n) / 40) + rng.normal(0, 0.6, n),
        "expected_profit": 600_000.0,
        "status": "confirmed",
        "sent_at": times + pd.Timedelta(seconds=1.4),
    }
    spent = {f"ms_{name}": mean * rng.lognormal(0, 0.25, n) for name, mean in STAGES.items()}
    return pd.DataFrame({**made, **spent, "ms_total": sum(spent.values())}, index=times)


def mock_outcomes(decisions, prices):
    cost = decisions["power"] * prices["price"]
    hashed = decisions["hydro_miners"] * 10_000 * prices["hash_price"]
    tokens = decisions["asic_compute"] * 5_000 * prices["token_price"]
    best = np.maximum(200 * (10_000 * prices["hash_price"] - 5_000 * prices["price"]), 0.0)
    profit = hashed + tokens - cost
    return pd.DataFrame(
        {
            "revenue": hashed + tokens,
            "cost": cost,
            "services_paid": 0.0,
            "switching": 0.0,
            "profit": profit,
            "best_machine": 0.93 * best,
            "hindsight": np.maximum(best, profit),
        }
    )


def mock_forecast(prices, steps=24):
    times = pd.date_range(prices.index[-1] + STEP, periods=steps, freq=STEP, name="time")
    parts = {}
    for name, level in {"price": 1.74, "hash_price": 1.59, "token_price": 1.72}.items():
        lead = np.arange(1, steps + 1)
        mean = level + (prices[name].iloc[-1] - level) * 0.92**lead
        spread = 0.2 * np.sqrt(1 - 0.92 ** (2 * lead)) / np.sqrt(1 - 0.92**2) / 2
        levels = {"mean": 0.0, "q05": -1.64, "q10": -1.28, "q50": 0.0, "q90": 1.28, "q95": 1.64}
        parts |= {(name, column): mean + z * spread for column, z in levels.items()}
    return pd.DataFrame(parts, index=times)


def mock_events(times):
    """Two protocols, a fallback that ended, an alert that ended and one in force; words with marks of HTML in them."""
    at = [times[len(times) * k // 20] for k in (4, 9, 10, 14, 16, 18, 19)]
    rows = [
        ("protocol", "battery_limits", "warning", "once", "The battery stood at 91 %: charging stopped."),
        ("fallback", "api_down", "critical", "raised", "GET /prices answered 500 <html>oops</html>: holding."),
        ("fallback", "api_down", "critical", "ended", "GET /prices answers again."),
        ("alert", "forecast_drift", "warning", "raised", "The error of hash_price is twice that of its backtest."),
        ("alert", "latency", "warning", "raised", "The last twelve steps took 210 ms in the median."),
        ("alert", "latency", "warning", "ended", "The median is below 200 ms again."),
        ("protocol", "over_temperature", "warning", "once", "76.2 °C: cooling raised by 0.01 MW."),
    ]
    columns = ["at", "interval", "kind", "name", "severity", "phase", "text"]
    return pd.DataFrame([(t, t.floor(STEP), *row) for t, row in zip(at, rows, strict=True)], columns=columns)
