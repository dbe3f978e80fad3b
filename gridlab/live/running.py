"""Running a site from the command line: which server, whose key, and what is left at the end of a day."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from gridlab.errors import DataError, RunError, ServerError
from gridlab.files import project_path
from gridlab.live.alerts import Sink, Webhook, to_log
from gridlab.live.clock import SimulatedClock
from gridlab.live.config import STEP, Config
from gridlab.live.inputs import bids_of, read_readings
from gridlab.live.logs import open_log
from gridlab.live.loop import Site
from gridlab.live.page.serving import is_loopback
from gridlab.live.reading import Reader
from gridlab.live.starting import joined
from gridlab.live.watching import Watch
from gridlab.sources.mara.keys import ENVIRONMENT, ApiKey, key_from, redact

URL = "https://mara-hackathon-api.onrender.com"
"""Where the API was at the event of 2025-06-21."""


def run_site(
    config: Config,
    journal_path: str | Path,
    *,
    url: str | None = None,
    key_path: Path | None = None,
    steps: int | None = None,
    readings_path: Path | None = None,
    bids_path: Path | None = None,
    webhook: str | None = None,
    speed: float = 1.0,
    report: bool = True,
    seed: int = 0,
    echo: Callable[[str], object] = print,
) -> int:
    """
    Run a site until it is interrupted, its journal and log side by side.

    Parameters
    ----------
    config : Config
        The site.
    journal_path : path
        Its journal; the log is beside it, ``<journal>.log``.
    url : str, optional
        The server. When omitted, the API's where there is a key, and otherwise a simulated server of this process.
    key_path : Path, optional
        The file of the key; of the environment when omitted.
    steps : int, optional
        Decisions after which to stop.
    readings_path, bids_path : Path, optional
        Files of the sensors' readings and of bids, which are read at every step.
    webhook : str, optional
        Where alerts are posted.
    speed : float
        How fast the clock of a simulated server of this process goes.
    report : bool
        Whether the notebook `live_day` makes a report of each day that ends.
    seed : int
        Seeds the prices of a simulated server.
    echo : callable
        Says each line to the person who started it.

    Returns
    -------
    int
        Decisions made.

    Raises
    ------
    RunError
        If a loop already runs the site, or it ends while its journal cannot be written.
    DataError, ServerError
        As of `joined`.
    """
    stop, path = threading.Event(), Path(journal_path).absolute()
    site = _site(readings_path, bids_path)
    with ExitStack() as stack:
        key = key_from(path=key_path)
        address, simulated = _server(stack, url, key, config, speed, seed, path)
        if simulated and key_path is None:  # the environment's is another server's
            key = _simulated_key(path, address, config)
        log = stack.enter_context(open_log(path.with_name(path.name + ".log"), redact=[lambda text: redact(text, key)]))
        sinks: dict[str, Sink] = {"log": to_log(log)}
        if webhook is not None:
            hook = Webhook(webhook, site=config.site, simulated=simulated, redact=[lambda text: redact(text, key)])
            sinks["webhook"] = stack.enter_context(hook).send
        loop = stack.enter_context(
            joined(
                address,
                key,
                path,
                config,
                simulated=simulated,
                site=site,
                watch=Watch(sinks=sinks),
                log=log,
                day_ended=_reporter(path, echo) if report else None,
            )
        )
        stack.enter_context(_stopping(stop))
        echo(f"{'SIMULATED: ' if simulated else ''}site {config.site!r} of {address}, journal {path}")
        echo(f"Look on with: gridlab live-page {path}")
        made = loop.run(steps=steps, stop=stop)
        if not loop.journal.flush():
            raise RunError(f"the loop has ended with {loop.journal.waiting} rows not recorded: {loop.journal.problem}")
        return made


def _server(
    stack: ExitStack, url: str | None, key: ApiKey | None, config: Config, speed: float, seed: int, path: Path
) -> tuple[str, bool]:
    """The server's address, and whether it is a simulated one."""
    if url is None and key is None:
        from gridlab.live.simulator import running

        options: dict[str, Any] = {"clock": "wall"} if speed == 1 else {"clock": "fast", "speed": speed}
        if (after := _after(path)) is not None:
            options = {"clock": "fast", "speed": speed, "start": after}
        return stack.enter_context(running(**options, cap_power=config.cap_power, seed=seed)), True
    address = url or URL
    try:
        urlsplit(address)
    except ValueError as error:
        raise DataError(f"the address of the server cannot be read ({error}): copy it again") from error
    return address, is_loopback(urlsplit(address).hostname or "") and _has_clock(address)


def _after(path: Path) -> pd.Timestamp | None:
    """Where a simulated clock goes on from: the interval after the journal's last, where that lies ahead."""
    if not path.exists():
        return None
    last = Reader(path).status()["last_interval"]
    return last + STEP if last is not None and last + STEP > pd.Timestamp.now("UTC") else None


def _has_clock(url: str) -> bool:
    try:
        SimulatedClock(url)
    except ServerError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return False
    return True


def _simulated_key(path: Path, url: str, config: Config) -> ApiKey:
    """The key of a simulated site, kept beside its journal so that a loop that begins again has it."""
    from gridlab.sources.mara.client import MaraClient

    kept = path.with_name(f"{path.name}-key")
    with MaraClient(url, _kept_key(kept)) as client:
        if _kept_key(kept) is not None and _is_known(client):
            return _kept_key(kept)  # type: ignore[return-value]
        made = client.create_site(config.site).key
    path.parent.mkdir(parents=True, exist_ok=True)
    kept.unlink(missing_ok=True)
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made.reveal())
    return made


def _kept_key(kept: Path) -> ApiKey | None:
    return key_from(path=kept) if kept.exists() else None


def _is_known(client: "object") -> bool:
    """Whether the server knows the key; a simulated one that was started anew does not."""
    try:
        client.get_site()  # type: ignore[attr-defined]
    except DataError:
        return False
    except ServerError:  # it does not answer now: the key that was known is kept
        return True
    return True


def _site(readings_path: Path | None, bids_path: Path | None) -> Site:
    """What the site tells beside the API, asked for anew at every step."""
    from gridlab.dispatch.order import Readings
    from gridlab.sources import read_bids

    def bids(interval: pd.Timestamp) -> pd.DataFrame | None:
        return None if bids_path is None else bids_of(read_bids(bids_path), interval)

    return Site(Readings if readings_path is None else partial(read_readings, readings_path), bids)


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and a signal to end stop the loop after its step."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, lambda *_: stop.set()) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def _reporter(path: Path, echo: Callable[[str], object]) -> Callable[[pd.Timestamp], None]:
    """Runs the notebook of a day that has ended, in a process of its own that the loop does not wait for."""
    running: list[subprocess.Popen[bytes]] = []

    def report(day: pd.Timestamp) -> None:
        running[:] = [one for one in running if one.poll() is None]
        given = ["-p", f"journal_path={path}", "-p", f"day={day:%Y-%m-%d}"]
        command = [sys.executable, "-m", "gridlab.cli", "run", "live_day", *given]
        names = {name: value for name, value in os.environ.items() if name != ENVIRONMENT}
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=project_path("."), env=names))
        echo(f"The report of {day:%Y-%m-%d} is being made in {project_path('reports') / 'live_day'}.")

    return report
