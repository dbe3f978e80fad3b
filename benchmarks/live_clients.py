"""
How many clients does the simulated server hold, each polling as a live site does?

    python benchmarks/live_clients.py [--clients 200] [--seconds 30] [--every 1.0] [--history-days 1.0] [--fault-rate 0]

The server runs in a process of its own. Each client has a site and a connection of its own, and in every period reads
the prices, puts an allocation and reads it back, at a moment of the period drawn once. Prints, as Markdown, the number
of calls, the errors, the percentiles of the latency of each call, as the client sees it, and the server's memory before
and after. With --every 0 the clients never wait, which shows what the server can do at most.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import click
import numpy as np

SERVER = (
    "import sys; from gridlab.live.simulator import serve; "
    "serve(0, clock='fast', speed=float(sys.argv[1]), history_days=float(sys.argv[2]), fault_rate=float(sys.argv[3]), "
    "echo=lambda line: print(line, flush=True))"
)
COUNTS = json.dumps(
    {"air_miners": 0, "hydro_miners": 190, "immersion_miners": 0, "gpu_compute": 5, "asic_compute": 0}
).encode()


@click.command()
@click.option("--clients", default=200, help="Clients at a time.")
@click.option("--seconds", default=30.0, help="How long they poll.")
@click.option("--every", default=1.0, help="Seconds from one round of a client to its next; 0 without a wait.")
@click.option("--history-days", default=1.0, help="Days of prices in the reply to GET /prices.")
@click.option("--speed", default=60.0, help="Simulated seconds in a second.")
@click.option("--fault-rate", default=0.0, help="Share of the calls that something goes wrong with.")
def main(clients: int, seconds: float, every: float, history_days: float, speed: float, fault_rate: float) -> None:
    """Start the server, poll it, and print what was seen."""
    command = [sys.executable, "-c", SERVER, str(speed), str(history_days), str(fault_rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(re.search(r":(\d+)", server.stdout.readline())[1])
            asyncio.run(measured(port, clients, seconds, every, server.pid))
        finally:
            server.terminate()
            server.communicate()


async def measured(port: int, clients: int, seconds: float, every: float, pid: int) -> None:
    """Let all clients poll, then print the table."""
    latencies: dict[str, list[float]] = {}
    errors: Counter[str] = Counter()
    offsets = np.random.default_rng(0).uniform(0, every, clients)
    peers = [Client(port, latencies, errors) for _ in range(clients)]
    for peer in peers:
        await peer.join()
    before, began = memory_mb(pid), time.perf_counter()
    await asyncio.gather(
        *(peer.poll(began + offset, began + seconds, every) for peer, offset in zip(peers, offsets, strict=True))
    )
    took = time.perf_counter() - began
    calls = sum(len(times) for times in latencies.values())
    print(f"{clients} clients, {took:.1f} s, {calls} calls, {calls / took:,.0f} calls/s, {sum(errors.values())} errors")  # noqa: T201
    print(f"errors: {dict(errors)}; server memory {before:.0f} MB before, {memory_mb(pid):.0f} MB after\n")  # noqa: T201
    print("| call | calls | median [ms] | p95 [ms] | p99 [ms] | max [ms] |\n|---|---|---|---|---|---|")  # noqa: T201
    for call, times in latencies.items():
        figures = 1000 * np.quantile(times, [0.5, 0.95, 0.99, 1.0])
        print(f"| {call} | {len(times)} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |")  # noqa: T201


class Client:
    """A site that polls on one connection, opened again when it is lost."""

    def __init__(self, port: int, latencies: dict[str, list[float]], errors: Counter[str]) -> None:
        self.port, self.latencies, self.errors = port, latencies, errors
        self.key, self.reader, self.writer = "", None, None

    async def join(self) -> None:
        """Make a site."""
        for _ in range(20):
            try:
                status, body = await self.call("POST", "/sites", b'{"name": "client"}')
                self.key = json.loads(body)["api_key"]
                return
            except (OSError, EOFError, ValueError, KeyError):
                self.close()
        raise SystemExit(f"no site after 20 tries, the last status being {status}")

    async def poll(self, first: float, last: float, every: float) -> None:
        """Rounds of calls until the last moment."""
        due = first
        while due < last:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            for method, path, body in (
                ("GET", "/prices", b""),
                ("PUT", "/machines", COUNTS),
                ("GET", "/machines", b""),
            ):
                await self.timed(method, path, body)
            due = max(due + every, time.perf_counter()) if every == 0 else due + every
        self.close()

    async def timed(self, method: str, path: str, body: bytes) -> None:
        """One call, its latency and what went wrong."""
        began = time.perf_counter()
        try:
            status, text = await self.call(method, path, body)
            if status != 200:
                self.errors[f"{method} {path} {status}"] += 1
            elif text[-1:] not in (b"]", b"}"):
                self.errors[f"{method} {path} cut"] += 1
        except (OSError, EOFError, ValueError) as error:
            self.errors[f"{method} {path} {type(error).__name__}"] += 1
            self.close()
        self.latencies.setdefault(f"{method} {path}", []).append(time.perf_counter() - began)

    async def call(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a request and read its reply whole."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        headers = ("Host: 127.0.0.1", f"X-Api-Key: {self.key}", f"Content-Length: {len(body)}")
        head = "\r\n".join((f"{method} {path} HTTP/1.1", *headers, "", ""))
        self.writer.write(head.encode() + body)
        reply = await self.reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"[Cc]ontent-[Ll]ength: (\d+)", reply)[1])
        return int(reply.split(b" ", 2)[1]), await self.reader.readexactly(length)

    def close(self) -> None:
        """Leave the connection."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def memory_mb(pid: int) -> float:
    """Memory that a process holds, where the system says so."""
    status = Path(f"/proc/{pid}/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if status.exists() else float("nan")


if __name__ == "__main__":
    main()
