"""The clocks that a loop goes by, and those of the simulated server."""

import threading
import time
from datetime import timedelta

import httpx
import pandas as pd
import pytest

from gridlab.errors import DataError, ServerError
from gridlab.live.clock import SimulatedClock, WallClock
from gridlab.live.simulator import ServerClock, SimulatedMarket, Simulator, running

START = pd.Timestamp("2025-06-21 12:00", tz="UTC")


def test_a_manual_clock_goes_forward_and_only_when_it_is_moved():
    with running(clock="manual", start=START) as url, httpx.Client(base_url=url) as client:
        _check_manual(client)


def _check_manual(client: httpx.Client) -> None:
    before = START
    wrong = [((before - pd.Timedelta("1us")).isoformat(), 409, "forward only")]
    wrong += [("2100-01-01T00:00:00Z", 409, "market ends"), (7, 422, "must be a time"), ("soon", 422, "is no time")]
    for to, status, words in wrong:
        reply = client.post("/simulator/clock", json={"to": to})
        assert (reply.status_code, words in reply.json()["detail"]) == (status, True)
    clock = SimulatedClock(str(client.base_url))
    assert clock.now() == before
    clock.sleep(90)
    assert clock.now() == before + pd.Timedelta("90s")
    stop = threading.Event()
    stop.set()
    clock.sleep(90, stop)
    clock.sleep(-90)
    assert clock.now() == before + pd.Timedelta("90s")
    with pytest.raises(DataError, match="market ends"):
        clock.sleep(1e9)


def test_a_fast_clock_goes_by_its_speed_and_shortens_waits():
    with running(clock="fast", start=START, speed=1000) as url:
        clock = SimulatedClock(url)
        before = clock.now()
        clock.sleep(200)
        assert clock.now() - before >= pd.Timedelta("200s")
        assert before >= START
        assert httpx.post(url + "/simulator/clock", json={"to": "2100-01-01T00:00:00"}).status_code == 409


def test_a_wait_ends_when_it_is_told_to_stop():
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    before = time.monotonic()
    WallClock().sleep(30, stop)
    assert time.monotonic() - before < 10
    assert abs(WallClock().now() - pd.Timestamp.now("UTC")) < pd.Timedelta("1min")


def test_a_clock_without_a_server_says_so():
    with running() as url:
        clock = SimulatedClock(url)
        assert abs(clock.now() - pd.Timestamp.now("UTC")) < pd.Timedelta("1min")
    with pytest.raises(ServerError, match="does not answer"):
        clock.now()


def test_the_time_stands_still_when_the_market_ends():
    world = Simulator(SimulatedMarket(START), ServerClock("manual", START + timedelta(days=400)))
    assert world.now() == START + timedelta(days=366)
