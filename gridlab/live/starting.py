"""Starting a loop: on a simulated site that is made for it, or on a site behind the API."""

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridlab.errors import DataError, ServerError
from gridlab.live.clock import SimulatedClock, WallClock
from gridlab.live.config import Config
from gridlab.live.journal import Journal
from gridlab.live.loop import Clock, DayEnded, Loop, Site
from gridlab.live.watching import Watch
from gridlab.sources.mara.client import MaraClient
from gridlab.sources.mara.keys import ENVIRONMENT, ApiKey

if TYPE_CHECKING:
    from gridlab.sources.mara.records import Exchange

CALL_S = 12.0
"""Longest time for a call with all its tries: within half of what `sending` gives a request. [s]"""


@contextmanager
def joined(
    url: str,
    key: ApiKey | None,
    journal_path: str | Path,
    config: Config,
    *,
    simulated: bool,
    site: Site | None = None,
    watch: Watch | None = None,
    log: logging.Logger | None = None,
    day_ended: DayEnded | None = None,
    seed: int | None = None,
) -> Iterator[Loop]:
    """
    A loop on a site that a server has, its journal open as long as the context lasts.

    Parameters
    ----------
    url : str
        The server's address.
    key : ApiKey, optional
        The site's key; of a simulated server a new site is made where there is none.
    journal_path : path
        The journal.
    config : Config
        The site.
    simulated : bool
        Whether the server is a simulated one, whose clock is gone by and whose journal says so.
    site, watch, log, day_ended
        As for `Loop`.
    seed : int, optional
        Seeds the waits between tries.

    Raises
    ------
    RunError
        If a loop already runs the site, or the journal is damaged or of a newer version.
    DataError
        If the journal is another site's, the address is none, or the key is missing or not accepted.
    ServerError
        If a simulated server does not answer.
    """
    if key is None and not simulated:
        raise DataError(f"the site at {url} needs its API key: set {ENVIRONMENT}, or name a file that holds it")
    if not config.site.strip():
        raise DataError(f"a site needs a name, got {config.site!r}: name it in its settings")
    watch = watch or Watch()
    clock: Clock = _Steady(SimulatedClock(url)) if simulated else WallClock()
    with ExitStack() as stack:
        lock = None if key is None else hashlib.sha256(f"{url} {key.reveal()}".encode()).hexdigest()[:16]
        journal = stack.enter_context(Journal.open(journal_path, site=config.site, simulated=simulated, lock_name=lock))

        statuses: list[int | None] = []

        def heard(exchange: "Exchange") -> None:
            statuses[:] = [exchange.status]
            journal.record_exchange(exchange)
            watch.heard(exchange)

        pace = _Pace(clock)
        options: dict[str, Any] = {"sleep": pace.sleep, "monotonic": pace.monotonic, "now": clock.now}
        options |= {"deadline_s": CALL_S, "on_exchange": heard, "rng": np.random.default_rng(seed)}
        if key is None:
            with MaraClient(url, **options) as stranger:
                key = stranger.create_site(config.site).key
        client = stack.enter_context(MaraClient(url, key, **options))
        _require_accepted(client, statuses)
        loop = Loop(
            replace(config, simulated=simulated),
            client,
            journal,
            clock,
            site=site,
            watch=watch,
            log=log,
            day_ended=day_ended,
        )
        pace.wait = loop.sleep
        yield loop


def _require_accepted(client: MaraClient, statuses: list[int | None]) -> None:
    """Without a key that the server accepts nothing can run; any other trouble may end by itself."""
    try:
        client.get_site()
    except ServerError:
        return
    except DataError:
        if statuses[-1:] in ([401], [403]):
            raise


@contextmanager
def simulated(journal_path: str | Path, config: Config | None = None, **server: Any) -> Iterator[Loop]:
    """
    A loop on a simulated site of a server in this process, both for as long as the context lasts.

    Parameters
    ----------
    journal_path : path
        The journal.
    config : Config, optional
        The site.
    **server
        As for `gridlab.live.simulator.running`; a clock that the loop moves when omitted.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, simulated(f"{folder}/live.db") as loop:
    ...     loop.run(steps=2)
    2
    """
    from gridlab.live.simulator import SiteSpec, running

    config, key = config or Config(), str(uuid.uuid4())
    sites = [SiteSpec(config.site, key, server.get("cap_power", config.cap_power))]
    options: dict[str, Any] = {"clock": "manual", "sites": sites} | server
    with (
        running(**options) as url,
        joined(url, ApiKey(key), journal_path, config, simulated=True, seed=0) as loop,
    ):
        yield loop


class _Pace:
    """Waits by a clock, and durations that count what was waited by it beside what went by."""

    def __init__(self, clock: Clock) -> None:
        self._waited = 0.0
        self.wait: Callable[[float], None] = clock.sleep

    def sleep(self, seconds: float) -> None:
        began = time.monotonic()
        self.wait(seconds)
        self._waited += seconds - (time.monotonic() - began)

    def monotonic(self) -> float:
        return time.monotonic() + self._waited


class _Steady:
    """A simulated server's clock that goes on by itself while the server does not answer."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock, self._at, self._since = clock, clock.now(), time.monotonic()

    def now(self) -> pd.Timestamp:
        try:
            self._at, self._since = self._clock.now(), time.monotonic()
        except ServerError:
            gone_s = (time.monotonic() - self._since) * self._clock.speed
            return self._at + pd.Timedelta(seconds=gone_s)
        return self._at

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        try:
            self._clock.sleep(seconds, stop)
        except ServerError:
            (stop or threading.Event()).wait(max(seconds, 0.0) / self._clock.speed)
