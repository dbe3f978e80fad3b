"""The simulated server as a program in the foreground, and in a thread beside a test, a study or a notebook."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from gridlab.errors import DataError, MissingExtraError, RunError
from gridlab.live.simulator.faults import Fault, mixed
from gridlab.live.simulator.market import BLOCK, STEP, Market, ReplayedMarket, SimulatedMarket, interval_of, utc
from gridlab.live.simulator.sites import CAP, Simulator, SiteSpec
from gridlab.live.simulator.ticking import ClockKind, ServerClock
from gridlab.sources.mara import DOCUMENTED, EVENT, Inventory

INVENTORIES = {"event": EVENT, "documented": DOCUMENTED}
HOST = "127.0.0.1"


@contextmanager
def running(
    market: Market | pd.DataFrame | None = None,
    *,
    clock: ClockKind = "wall",
    start: pd.Timestamp | datetime | str | None = None,
    speed: float = 1.0,
    inventory: Inventory = EVENT,
    sites: Iterable[SiteSpec] = (),
    cap_power: int = CAP,
    faults: Iterable[Fault] = (),
    seed: int = 0,
    most_rows: int | None = None,
    port: int = 0,
) -> Iterator[str]:
    """
    Run a simulated server in a thread of this process, for as long as the context lasts.

    Parameters
    ----------
    market : Market or DataFrame, optional
        Where the prices come from; a `prices` table is replayed and then begins again. When omitted they are drawn
        from `seed`, and begin a day before the clock does.
    clock : {"wall", "fast", "manual"}
        What the server goes by; `start` and `speed` as in `ServerClock`. A fast or manual clock starts with the
        market when `start` is omitted.
    inventory, sites, cap_power, faults, seed, most_rows
        As in `Simulator`.
    port : int
        Port to listen on, on this machine alone; a free one when 0.

    Yields
    ------
    str
        The server's URL.

    Raises
    ------
    DataError
        If the clock is before the market's start, or a parameter is outside its range.
    RunError
        If the port is taken.
    MissingExtraError
        If tornado is not installed.

    Examples
    --------
    >>> import urllib.request
    >>> with running(clock="manual", start="2025-06-21T12:00") as url:
    ...     urllib.request.urlopen(url + "/inventory").status
    200
    """
    world = _simulator(
        market,
        clock,
        start,
        speed,
        inventory=inventory,
        sites=sites,
        cap_power=cap_power,
        faults=faults,
        seed=seed,
        most_rows=most_rows,
    )
    ready: Future[tuple[int, Callable[[], None]]] = Future()
    thread = threading.Thread(target=_in_thread, args=(world, port, ready), name="gridlab simulator", daemon=True)
    thread.start()
    bound, stop = ready.result()
    try:
        yield f"http://{HOST}:{bound}"
    finally:
        stop()
        thread.join()


def serve(
    port: int = 8700,
    *,
    prices: Path | None = None,
    after: Literal["loop", "simulate"] = "loop",
    clock: ClockKind = "wall",
    start: str | None = None,
    speed: float = 1.0,
    history_days: float = 1.0,
    inventory: str = "event",
    cap_power: int = CAP,
    fault_rate: float = 0.0,
    daily: float = 0.0,
    seed: int = 0,
    echo: Callable[[str], object] = print,
) -> None:
    """
    Run a simulated server until Ctrl-C or a signal to end.

    Parameters
    ----------
    port : int
        Port to listen on, on this machine alone; a free one when 0.
    prices : Path, optional
        A file of prices to replay, of any format that gridlab reads; drawn from `seed` when omitted. They are moved
        in time so that the clock starts `history_days` after their beginning, or as far as they go; a clock that
        is not the machine's stays in their own time when `start` is omitted.
    after : {"loop", "simulate"}
        What follows when the file ends: it begins again, or prices are drawn.
    clock : {"wall", "fast", "manual"}
        What the server goes by; `start` and `speed` as in `ServerClock`.
    history_days : float
        Prices that are there before the clock starts. [d]
    inventory : {"event", "documented"}
        The machine types on offer.
    cap_power : int
        What a site may draw. [power]
    fault_rate : float
        Share of the calls that something goes wrong with, in [0, 1). [-]
    daily : float
        Daily shape of simulated energy prices, as in `SimulatedMarket`.
    seed : int
        Draws prices and faults.
    echo : callable
        Says each line to the person who started it.

    Raises
    ------
    DataError
        If a parameter is outside its range, or the file cannot be read.
    RunError
        If the port is taken.
    MissingExtraError
        If tornado is not installed.
    """
    if inventory not in INVENTORIES:
        raise DataError(f"inventory must be one of {', '.join(INVENTORIES)}, got {inventory!r}")
    if not 0 <= history_days <= 300:
        raise DataError(f"history_days must be in [0, 300], got {history_days}")
    market, begins = chosen_market(
        prices, after, clock=clock, start=start, history_days=history_days, daily=daily, seed=seed
    )
    world = Simulator(
        market,
        ServerClock(clock, begins, speed=speed),
        inventory=INVENTORIES[inventory],
        cap_power=cap_power,
        faults=mixed(fault_rate),
        seed=seed,
    )
    with suppress(KeyboardInterrupt):
        asyncio.run(_foreground(world, port, echo))
    echo("Stopped.")


def chosen_market(
    prices: Path | None,
    after: Literal["loop", "simulate"] = "loop",
    *,
    clock: ClockKind = "wall",
    start: str | None = None,
    history_days: float = 1.0,
    daily: float = 0.0,
    seed: int = 0,
) -> tuple[Market, datetime]:
    """The market that `serve` shows, and when its clock starts; the parameters are those of `serve`."""
    history = timedelta(days=history_days) // STEP * STEP
    given = datetime.now(UTC) if start is None or clock == "wall" else utc(start)
    if prices is None:
        return SimulatedMarket(interval_of(given) - history, seed=seed, daily=daily), given
    from gridlab.sources import read_prices

    table = read_prices(prices)
    history = min(history, (len(table) - 1) * STEP)
    if start is None and clock != "wall":
        market = ReplayedMarket(table, after=after, seed=seed)
        return market, market.start + history
    return ReplayedMarket(table, start=interval_of(given) - history, after=after, seed=seed), given


def _simulator(
    market: Market | pd.DataFrame | None,
    clock: ClockKind,
    start: pd.Timestamp | datetime | str | None,
    speed: float,
    *,
    seed: int,
    **more: Any,
) -> Simulator:
    if isinstance(market, pd.DataFrame):
        market = ReplayedMarket(market, seed=seed)
    if start is None and market is not None and clock != "wall":
        start = market.start
    ticking = ServerClock(clock, start, speed=speed)
    if market is None:
        market = SimulatedMarket(interval_of(ticking.now()) - BLOCK * STEP, seed=seed)
    return Simulator(market, ticking, seed=seed, **more)


def _in_thread(world: Simulator, port: int, ready: "Future[tuple[int, Callable[[], None]]]") -> None:
    """Serve on an event loop of this thread; say the port and how to stop, or what went wrong."""

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        await _until(stop, world, port, lambda bound: ready.set_result((bound, _stopper(loop, stop))))

    try:
        asyncio.run(main())
    except Exception as error:
        if ready.done():
            raise
        ready.set_exception(error)


def _stopper(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> Callable[[], None]:
    def stopper() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)

    return stopper


async def _foreground(world: Simulator, port: int, echo: Callable[[str], object]) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(name, stop.set)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            break
    await _until(stop, world, port, lambda bound: _announce(world, bound, echo))


def _announce(world: Simulator, port: int, echo: Callable[[str], object]) -> None:
    url = f"http://{HOST}:{port}"
    about = ", ".join(f"{name} {value}" for name, value in world.market.about().items() if name != "kind")
    echo(f"SIMULATED MARA API at {url} ({world.clock.kind} clock; {world.market.about()['kind']} prices: {about})")
    echo(
        f'A site and its key: POST {url}/sites with {{"name": "mine"}}. All calls: {url}/openapi.json. Ctrl-C ends it.'
    )


async def _until(stop: asyncio.Event, world: Simulator, port: int, ready: Callable[[int], object]) -> None:
    """Serve until the event is set."""
    http = _http_server(world)
    try:
        bound = _bind(port)
    except OSError as error:
        raise RunError(f"port {port} cannot be listened on ({error.strerror}): choose another, or 0") from error
    http.add_socket(bound)
    logging.getLogger("tornado.general").addFilter(_without_headers)
    try:
        ready(bound.getsockname()[1])
        await stop.wait()
    finally:
        http.stop()
        await http.close_all_connections()


def _without_headers(record: logging.LogRecord) -> bool:
    """Keep what a malformed request holds, which may be a key, out of tornado's log."""
    if str(record.msg).startswith("Malformed HTTP message"):
        record.msg, record.args = "Malformed HTTP message", ()
    return True


def _bind(port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise DataError(f"port must be in [0, 65535], got {port}")
    bound = socket.create_server((HOST, port), backlog=1024)
    bound.setblocking(False)
    return bound


def _http_server(world: Simulator) -> Any:
    try:
        from tornado.httpserver import HTTPServer
    except ImportError as error:
        raise MissingExtraError("tornado is not installed: pip install 'gridlab[live]'") from error
    from gridlab.live.simulator.handlers import application

    return HTTPServer(application(world), max_body_size=1_000_000)
