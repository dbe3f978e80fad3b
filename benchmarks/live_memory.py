"""
Does the live loop's memory stay as it is? Simulated days, the server, the loop and the journal's viewer apart.

    python benchmarks/live_memory.py [--days 1] [--warm-up 0.25] [--inventory documented] [--site SETTINGS.yaml]

The server is `gridlab serve-mara` with a clock that the loop moves, the loop is `gridlab live`, and this process looks
at both from outside, after every so many decisions: resident memory (Linux), open files, threads, and the journal's
size. The slope is that of a straight line through what was seen after the warm-up, with twice its standard error, which
takes no account of samples that hang together. The server keeps every price that it has shown, as the API does, so that
its replies grow by 288 rows a day.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.live.reading import Reader

START, STEPS_A_DAY = "2025-06-02", 288
CLI = [sys.executable, "-m", "gridlab.cli"]


def seen(pid: int) -> dict[str, float]:
    """What a process holds."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    files, names = list((process / "fd").iterdir()), ("VmRSS", "RssAnon")
    sizes = {name: int(status[name].split()[0]) / 1024 for name in names}
    return {
        "rss_mb": sizes["VmRSS"],
        "private_mb": sizes["RssAnon"],
        "files": len(files),
        "threads": int(status["Threads"]),
    }


def sampled(loop: "subprocess.Popen[str]", server: "subprocess.Popen[str]", journal: Path, every: int) -> pd.DataFrame:
    """What the loop and the server hold, after every so many decisions."""
    rows, due, began = [], 0, time.perf_counter()
    while loop.poll() is None:
        try:
            done = Reader(journal).status()["n_decisions"]
        except DataError:  # not made yet
            done = 0
        if done >= due + (done == 0):
            try:
                row = seen(loop.pid) | {f"server_{name}": value for name, value in seen(server.pid).items()}
            except (FileNotFoundError, KeyError):  # it ends now
                break
            sizes = {suffix: size_mb(journal, suffix) for suffix in ("", "-wal")}
            rows.append(
                {"step": done, "s": time.perf_counter() - began, "db_mb": sizes[""], "wal_mb": sizes["-wal"], **row}
            )
            due = done + every
        time.sleep(0.2)
    return pd.DataFrame(rows).set_index("step")


def size_mb(path: Path, suffix: str) -> float:
    file = path.with_name(path.name + suffix)
    return file.stat().st_size / 2**20 if file.exists() else 0.0


def slope(steps: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Slope a day of a straight line, and twice its standard error."""
    days = steps / STEPS_A_DAY
    fitted, covariance = np.polyfit(days, values, 1, cov=True)
    return float(fitted[0]), 2 * float(np.sqrt(covariance[0, 0]))


def shown(table: pd.DataFrame, days: float, warm_up: float) -> None:
    """The table of what was seen, ten rows of it, and the slopes."""
    names = ["rss_mb", "private_mb", "files", "threads", "server_rss_mb", "db_mb", "wal_mb", "s"]
    few = table.iloc[np.unique(np.linspace(0, len(table) - 1, 13).astype(int))][names]
    print("| step | " + " | ".join(names) + " |\n|--:|" + "--:|" * len(names))  # noqa: T201
    for step, row in few.iterrows():
        print(f"| {step} | " + " | ".join(f"{value:.1f}" for value in row) + " |")  # noqa: T201
    warm = table[table.index >= warm_up * STEPS_A_DAY]
    print(f"\nafter {warm_up:g} of {days:g} days, {len(warm)} samples:")  # noqa: T201
    for name in ("rss_mb", "private_mb", "files", "threads", "server_rss_mb", "db_mb"):
        values = warm[name].to_numpy(float)
        a_day, error = slope(warm.index.to_numpy(float), values)
        seen_in = f"from {values.min():.1f} to {values.max():.1f}"
        print(f"  {name}: {seen_in}; slope {a_day:+.3f} +- {error:.3f} a day")  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--warm-up", type=float, default=0.25, help="days that are not counted")
    parser.add_argument("--every", type=int, default=6, help="decisions from one look to the next")
    parser.add_argument("--inventory", default="documented")
    parser.add_argument("--site", help="settings of the site (YAML)")
    arguments = parser.parse_args()
    serving = [*CLI, "serve-mara", "--port", "0", "--clock", "manual", "--start", START]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([*serving, "--inventory", arguments.inventory], stdout=subprocess.PIPE, text=True) as server,
    ):
        try:
            url = re.search(r"http://\S+", server.stdout.readline())[0]
            journal, steps = Path(folder) / "memory.db", round(arguments.days * STEPS_A_DAY)
            live = [*CLI, "live", "--no-report", "--url", url, "--journal", str(journal), "--steps", str(steps)]
            live += [] if arguments.site is None else ["--site", arguments.site]
            with subprocess.Popen(live, stdout=subprocess.DEVNULL, text=True) as loop:
                table = sampled(loop, server, journal, arguments.every)
            shown(table, arguments.days, arguments.warm_up)
            print(f"  decisions {len(Reader(journal).decisions())}, the journal at rest {size_mb(journal, ''):.2f} MB")  # noqa: T201
        finally:
            server.terminate()
            server.communicate()
    return loop.returncode


if __name__ == "__main__":
    sys.exit(main())
