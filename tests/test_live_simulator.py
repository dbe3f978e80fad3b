"""The simulated server: its formula, its refusals, its faults, its clocks, and its description."""

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError, RunError
from gridlab.live.simulator import (
    CALLS,
    KINDS,
    MEANINGS,
    Fault,
    ReplayedMarket,
    ServerClock,
    SimulatedMarket,
    Simulator,
    SiteSpec,
    mixed,
    running,
    serve,
)
from gridlab.live.simulator.handlers import PATHS
from gridlab.live.simulator.market import utc
from gridlab.live.simulator.openapi import DESCRIPTION
from gridlab.live.simulator.serving import chosen_market
from gridlab.sources.mara import DOCUMENTED, EVENT, MACHINES, Quote, settle

START = pd.Timestamp("2025-06-21 12:00", tz="UTC")
KEY = {"X-Api-Key": "a-key-of-ours"}
SITE = SiteSpec("ours", KEY["X-Api-Key"])
HYDRO = dict.fromkeys(MACHINES, 0) | {"hydro_miners": 200}
NOTHING = dict.fromkeys(MACHINES, 0)


@pytest.fixture(scope="module")
def shared() -> Iterator[httpx.Client]:
    """A server that the tests below share; each leaves it without faults, and its clock never goes back."""
    market = SimulatedMarket(START, seed=3)
    with running(market, clock="manual", sites=[SITE]) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture
def client(shared: httpx.Client) -> Iterator[httpx.Client]:
    yield shared
    strike(shared)


def strike(client: httpx.Client, *faults: dict, keep: bool = False) -> None:
    client.post("/simulator/faults", json={"faults": list(faults), "keep": keep}).raise_for_status()


def move(client: httpx.Client, to: pd.Timestamp) -> None:
    client.post("/simulator/clock", json={"to": to.isoformat()}).raise_for_status()


def now(client: httpx.Client) -> pd.Timestamp:
    return pd.Timestamp(client.get("/simulator/clock").json()["now"])


def put(client: httpx.Client, counts: dict = HYDRO) -> httpx.Response:
    return client.put("/machines", json=counts, headers=KEY)


def applied(client: httpx.Client) -> int:
    return client.get("/simulator/earned", params={"site": 0}).json()[0]["puts"]


def recorded_day(data_dir: Path) -> pd.DataFrame:
    path = data_dir / "mara" / "prices_2025-06-21.csv"
    table = pd.read_csv(path, float_precision="round_trip", parse_dates=["timestamp_utc"], index_col=0)
    table.index = pd.DatetimeIndex(table.index, name="time", freq="5min").tz_localize("UTC")
    return table.rename(columns={"energy_price": "price"})


# -- the API as it was recorded --


def test_all_recorded_replies_are_reproduced_to_the_last_bit(data_dir):
    recorded = json.loads((data_dir / "mara" / "machines_replies.json").read_text())
    others = {"X-Api-Key": "another"}
    sites = [SITE, SiteSpec("another", "another")]
    with running(recorded_day(data_dir), clock="manual", sites=sites) as url, httpx.Client(base_url=url) as client:
        previous = {"id": 2}
        for reply in recorded:
            for _ in range(reply["id"] - 1 - previous["id"]):
                client.put("/machines", json=NOTHING, headers=others)
            move(client, pd.Timestamp(reply["updated_at"], tz="UTC"))
            if "power" in previous:
                assert client.get("/machines", headers=KEY).text == json.dumps(previous), "at the prices of the put"
            was_put = put(client, {name: reply[name] for name in MACHINES}).json()
            assert was_put == {name: reply[name] for name in ("site_id", "id", *MACHINES, "updated_at")}
            assert client.get("/machines", headers=KEY).text == json.dumps(reply)
            previous = reply
    assert len(recorded) == 17


def test_the_recorded_day_is_shown_as_it_was_recorded(data_dir):
    day = recorded_day(data_dir)
    inventory = json.loads((data_dir / "mara" / "inventory.json").read_text())
    with running(day, clock="manual") as url, httpx.Client(base_url=url) as client:
        move(client, day.index[-1] + pd.Timedelta(minutes=4))
        rows = client.get("/prices").json()
        assert client.get("/inventory").json() == inventory
    assert [row["timestamp"] for row in rows] == [time.tz_localize(None).isoformat() for time in day.index[::-1]]
    shown = [[row["energy_price"], row["hash_price"], row["token_price"]] for row in rows]
    np.testing.assert_array_equal(shown, day.to_numpy()[::-1])
    assert len({tuple(row) for row in rows}) > 1, "the order of the keys varies"


def test_prices_are_shown_up_to_the_clock_and_no_further(client):
    before = client.get("/prices").json()
    move(client, now(client).floor("5min") + pd.Timedelta("4min59s"))
    assert client.get("/prices").json() == before
    move(client, now(client) + pd.Timedelta("1s"))
    after = client.get("/prices").json()
    assert after[1:] == before
    assert pd.Timestamp(after[0]["timestamp"], tz="UTC") == now(client)


def test_most_rows_leaves_the_newest():
    with running(clock="manual", start=START, most_rows=3) as url:
        rows = httpx.get(url + "/prices").json()
    assert [row["timestamp"] for row in rows] == ["2025-06-21T12:00:00", "2025-06-21T11:55:00", "2025-06-21T11:50:00"]


def test_the_date_of_a_reply_is_the_servers(client):
    date = client.get("/inventory").headers["Date"]
    assert pd.Timestamp(date) == now(client).floor("s")


def test_a_new_site_has_a_key_of_its_own_and_runs_nothing(client):
    made = [client.post("/sites", json={"name": "twin"}).json() for _ in range(2)]
    assert all(list(one) == ["api_key", "name", "power"] and one["power"] == 1_000_000 for one in made)
    assert made[0]["api_key"] != made[1]["api_key"]
    put(client)
    headers = {"X-Api-Key": made[1]["api_key"]}
    seen = client.get("/machines", headers=headers).json()
    assert {name: seen[name] for name in MACHINES} == NOTHING
    assert (seen["total_power_used"], seen["total_revenue"]) == (0, 0)
    site = client.get("/sites", headers=headers).json()
    assert (site["name"], site["power"]) == ("twin", 1_000_000)


def test_a_put_replaces_all_five_counts(client):
    assert put(client, {"gpu_compute": 1}).json()["gpu_compute"] == 1
    assert put(client, {"air_miners": "2", "unknown": [1], "asic_compute": 3.0}).status_code == 200
    seen = client.get("/machines", headers=KEY).json()
    assert {name: seen[name] for name in MACHINES} == NOTHING | {"air_miners": 2, "asic_compute": 3}


@given(counts=st.lists(st.integers(0, 150), min_size=5, max_size=5), documented=st.booleans())
def test_the_cap_holds_for_every_allocation_and_may_be_met(counts, documented):
    inventory = DOCUMENTED if documented else EVENT
    wanted = dict(zip(MACHINES, counts, strict=True))
    used = sum(wanted[name] * inventory.power[name] for name in MACHINES)
    for cap, allowed in ((used, True), (used - 1, False)):
        world = Simulator(
            SimulatedMarket(START), ServerClock("manual", START), inventory=inventory, cap_power=max(cap, 0)
        )
        _, site = world.add_site("s")
        if allowed or used == 0:
            assert world.apply(site, wanted)["hydro_miners"] == wanted["hydro_miners"]
        else:
            with pytest.raises(DataError, match="run fewer machines"):
                world.apply(site, wanted)
            assert site.put.counts == (0,) * 5


# -- what is refused --

BAD_COUNTS = [-1, 1.5, True, None, [], {}, "1.5", "-1", "1e3", "", "٣", 201, "201", 10**18, 10**400, 1e300, 1e18]
BAD_BODIES = [
    b"", b"{", b"<html></html>", b"\xff\xfe", b"null", b"[]", b'"x"', b"{}", b'{"water_miners": 1}', b"[" * 60_000,
    b'{"hydro_miners": NaN}', b'{"hydro_miners": Infinity}', b'{"hydro_miners": 1e999}', b'{"hydro_miners": 0x1}',
    b'{"hydro_miners": ' + b"9" * 5000 + b"}",
]  # fmt: skip


def refused(reply: httpx.Response, status: int) -> str:
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    (said,) = reply.json().items()
    assert said[0] == "detail"
    assert "Traceback" not in said[1]
    assert ".py" not in said[1]
    assert KEY["X-Api-Key"] not in said[1]
    return said[1]


@pytest.mark.parametrize("count", BAD_COUNTS, ids=lambda count: str(count)[:12])
def test_a_count_that_is_none_is_refused_and_nothing_changes(client, count):
    before = client.get("/machines", headers=KEY).json()
    text = json.dumps({"hydro_miners": count}) if count is not None else '{"hydro_miners": null}'
    assert (
        "hydro_miners" in (said := refused(client.put("/machines", content=text, headers=KEY), 422)) or "draws" in said
    )
    assert client.get("/machines", headers=KEY).json() == before


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: str(body[:20]))
def test_a_body_that_is_none_is_refused(client, body):
    reply = client.put("/machines", content=body, headers=KEY)
    refused(reply, reply.status_code)
    assert reply.status_code in (400, 422)


def test_wrong_keys_paths_methods_and_lengths_are_refused(client):
    assert "lacks" in refused(client.get("/machines"), 401)
    assert "no site's" in refused(client.get("/machines", headers={"X-Api-Key": "wrong"}), 401)
    refused(client.put("/machines", json=HYDRO, headers={"X-Api-Key": ""}), 401)
    refused(client.get("/sites"), 401)
    assert "openapi.json" in refused(client.get("/machines/", headers=KEY), 404)
    reply = client.delete("/machines", headers=KEY)
    refused(reply, 405)
    assert reply.headers["Allow"] == "GET, PUT"
    refused(client.request("TRACE", "/prices"), 405)
    assert "65,536" in refused(client.put("/machines", content=b" " * 70_000, headers=KEY), 413)
    for body in ({}, {"name": ""}, {"name": 7}, {"name": "x" * 101}):
        refused(client.post("/sites", json=body), 422)
    refused(client.get("/simulator/earned", params={"site": 10**6}), 404)
    refused(client.get("/simulator/log", params={"site": "x"}), 422)
    refused(client.get("/simulator/log", params={"since": "yesterday"}), 422)
    refused(client.get("/simulator/log?since=%ff"), 400)


def test_a_defect_is_answered_and_logged_without_traceback_path_or_key(client, caplog, monkeypatch):
    monkeypatch.setattr(Simulator, "machines", lambda self, site: 1 / 0)
    with caplog.at_level(logging.DEBUG):
        said = refused(client.get("/machines", headers=KEY), 500)
    assert "division" not in said
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert "GET failed: ZeroDivisionError" in [record.getMessage() for record in ours]
    for record in ours:
        assert record.exc_info is None
        assert KEY["X-Api-Key"] not in record.getMessage()
    assert KEY["X-Api-Key"] not in repr(SITE)


def test_a_request_that_is_no_http_leaves_no_key_in_the_log(client, caplog, monkeypatch):
    for name in ("tornado", "tornado.general"):  # as they are where no application has set them
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
        caplog.set_level(logging.DEBUG, logger=name)
    address = (client.base_url.host, client.base_url.port)
    with caplog.at_level(logging.DEBUG), socket.create_connection(address, timeout=5) as raw:
        raw.sendall(b"GET /machines HTTP/1.1\r\nHost: x\r\nX-Api-Key: a-key-of-ours\x00\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
    assert "Malformed HTTP message" in caplog.text
    assert KEY["X-Api-Key"] not in caplog.text


def test_sites_are_limited():
    world = Simulator(SimulatedMarket(START), ServerClock("manual", START))
    for number in range(1000):
        world.add_site(str(number))
    with pytest.raises(DataError, match="at most 1,000 sites"):
        world.add_site("one more")
    with pytest.raises(DataError, match="give each site its own"):
        Simulator(SimulatedMarket(START), ServerClock("manual", START), sites=[SITE, SITE])


# -- what is really earned --


@given(moves=st.lists(st.tuples(st.integers(1, 900), st.integers(0, 200), st.integers(0, 60)), min_size=1, max_size=8))
def test_earnings_are_the_formulas_second_by_second(moves):
    market = SimulatedMarket(START, seed=5)
    clock = ServerClock("manual", START)
    world = Simulator(market, clock)
    _, site = world.add_site("s", power=10**9)
    expected, counts, at = 0.0, NOTHING, START
    for seconds, hydro, asic in moves:
        for second in range(seconds):
            row = market.row(market.index((at + pd.Timedelta(seconds=second)).to_pydatetime()))
            expected += settle(counts, EVENT, Quote(at, *row)).profit / 300
        at += pd.Timedelta(seconds=seconds)
        clock.move(at)
        counts = NOTHING | {"hydro_miners": hydro, "asic_compute": asic}
        world.apply(site, counts)
    earned = world.earned(site)
    assert earned["profit"] == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert earned["seconds"] == pytest.approx(sum(seconds for seconds, _, _ in moves))
    assert sum(one["profit"] for one in world.intervals(site)) == pytest.approx(earned["profit"], abs=1e-6)


def test_the_log_has_every_put_that_was_applied_and_no_other(client):
    since = now(client) + pd.Timedelta("5min")
    move(client, since)
    counts = [HYDRO | {"hydro_miners": n} for n in (1, 2, 3)]
    for wanted in counts:
        assert put(client, wanted).status_code == 200
    assert put(client, {"hydro_miners": 201}).status_code == 422
    move(client, since + pd.Timedelta("10min"))
    log = client.get("/simulator/log", params={"site": 0, "since": since.isoformat()}).json()
    assert [{name: one[name] for name in MACHINES} for one in log["puts"]] == counts
    assert [one["seconds"] for one in log["intervals"]] == [300.0, 300.0]
    row = client.get("/prices").json()[1]
    quote = Quote(since, row["energy_price"], row["hash_price"], row["token_price"])
    assert log["intervals"][1]["profit"] == pytest.approx(settle(counts[-1], EVENT, quote).profit)
    assert log["puts_forgotten"] == 0


# -- markets --


def test_simulated_prices_have_the_statistics_that_were_published():
    markets = [SimulatedMarket(START, seed=seed) for seed in range(10)]
    paths = np.array([[market.row(k) for k in range(4032)] for market in markets])
    step_sd = np.diff(paths, axis=1).std(axis=(0, 1))
    np.testing.assert_allclose(paths.mean(axis=(0, 1)), [1.743, 1.588, 1.721], rtol=0.02)
    np.testing.assert_allclose(step_sd, [0.103, 0.234, 0.247], rtol=0.03)
    correlation = [np.corrcoef(paths[:, :-1, j].ravel(), paths[:, 1:, j].ravel())[0, 1] for j in range(3)]
    np.testing.assert_allclose(correlation, [0.91, 0.77, 0.90], atol=0.01)
    assert paths[..., 1].min() == 1.0
    assert paths.min() > 0


@given(seed=st.integers(0, 2**32), asked=st.lists(st.integers(0, 900), min_size=1, max_size=5))
def test_a_simulated_row_depends_on_the_seed_and_its_place_alone(seed, asked):
    market, whole = SimulatedMarket(START, seed=seed), SimulatedMarket(START, seed=seed)
    rows = [whole.row(k) for k in range(901)]
    assert [market.row(k) for k in asked] == [rows[k] for k in asked]


def test_the_daily_shape_makes_evenings_dear():
    flat, shaped = SimulatedMarket(START), SimulatedMarket(START, daily=0.3)
    ratio = [shaped.row(k)[0] / flat.row(k)[0] for k in range(288)]
    assert shaped.time(int(np.argmax(ratio))).hour == 18
    assert (max(ratio), min(ratio)) == pytest.approx((1.3, 0.7))


def table(values: list[list[float]], start: pd.Timestamp = START, freq: str = "5min") -> pd.DataFrame:
    index = pd.date_range(start, periods=len(values), freq=freq, name="time")
    return pd.DataFrame(values, index=index, columns=["price", "hash_price", "token_price"])


def test_a_replay_begins_again_or_goes_on_from_its_last_prices():
    day = table([[1.5, 2.0, 1.0], [1.6, 2.1, 1.1], [1.7, 1.9, 1.2]])
    loop, on = ReplayedMarket(day), ReplayedMarket(day, after="simulate", seed=4)
    assert [loop.row(k) for k in range(3)] == [on.row(k) for k in range(3)] == [tuple(row) for row in day.to_numpy()]
    assert loop.row(3) == loop.row(0)
    steps = (
        np.array([ReplayedMarket(day, after="simulate", seed=seed).row(3) for seed in range(50)])
        - day.iloc[-1].to_numpy()
    )
    np.testing.assert_array_less(np.abs(steps).mean(axis=0), [0.15, 0.35, 0.35])
    assert loop.about()["after"] == "loop"
    assert on.about()["after"] == "simulate"
    later = ReplayedMarket(day, start="2026-01-01T00:00")
    assert later.time(1).isoformat() == "2026-01-01T00:05:00+00:00"


def test_a_gap_is_not_shown_and_the_prices_before_it_hold():
    day = table([[1.5, 2.0, 1.0], [np.nan, 2.1, 1.1], [1.7, 1.9, 1.2]])
    with running(day, clock="manual", sites=[SITE]) as url, httpx.Client(base_url=url) as client:
        move(client, START + pd.Timedelta("6min"))
        assert put(client).status_code == 200
        assert len(client.get("/prices").json()) == 1
        seen = client.get("/machines", headers=KEY).json()
        assert seen["total_power_cost"] == 1.5e6
        move(client, START + pd.Timedelta("10min"))
        assert [row["timestamp"][11:16] for row in client.get("/prices").json()] == ["12:10", "12:00"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReplayedMarket(table([[1, 2, 3]]).drop(columns="hash_price")), "no column 'hash_price'"),
        (lambda: ReplayedMarket(table([[1, 2, 3]] * 3, freq="1h")), "every 5 minutes"),
        (lambda: ReplayedMarket(table([[np.nan, 2, 3], [1, 2, 3]])), "begin with a row of NaN"),
        (lambda: ReplayedMarket(table([[1, 2, 3]]), after="stop"), "'loop' or 'simulate'"),
        (lambda: SimulatedMarket("2025-06-21T12:01"), "grid of 5 minutes"),
        (lambda: SimulatedMarket("tomorrow"), "'tomorrow' is no time"),
        (lambda: SimulatedMarket(START, daily=1.0), "daily must be in"),
        (lambda: ServerClock("sundial"), "a clock is one of"),
        (lambda: ServerClock("fast", speed=0), "speed must be in"),
        (lambda: ServerClock("fast").move("2100-01-01"), "only a manual clock"),
        (lambda: Simulator(SimulatedMarket(START), ServerClock("manual", "2025-01-01")), "before the market's start"),
        (lambda: Simulator(SimulatedMarket(START), ServerClock("manual", START), most_rows=0), "most_rows at least 1"),
        (lambda: Fault("flood"), "there is no fault 'flood'"),
        (lambda: Fault("stale", call="PUT /machines"), "stale befalls GET /prices"),
        (lambda: Fault("latency", 1.5), "probability must be in"),
        (lambda: Fault("latency", seconds=61), "seconds of latency must be in"),
        (lambda: Fault("skew", seconds=float("nan")), "seconds of skew must be in"),
        (lambda: mixed(1.0), "rate must be in"),
        (lambda: serve(inventory="rumoured"), "event, documented"),
        (lambda: serve(history_days=-1), "history_days"),
        (lambda: SimulatedMarket(START).quote(-1), "before its start"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


# -- faults --


def outcome(client: httpx.Client, call: str) -> str:
    method, path = call.split()
    body = {"PUT": HYDRO, "POST": {"name": "more"}}.get(method)
    try:
        reply = client.request(method, path, json=body, headers=KEY)
        reply.json()
        return str(reply.status_code)
    except httpx.RemoteProtocolError:
        return "dropped"
    except ValueError:
        return "not JSON " + str(reply.status_code)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("kind", "seen", "is_applied"),
    [
        ("server_error", "500", False),
        ("rate_limit", "429", False),
        ("html", "not JSON 502", False),
        ("drop", "dropped", False),
        ("drop_after", "dropped", True),
        ("server_error_after", "500", True),
        ("malformed", "not JSON 200", True),
        ("truncated", "not JSON 200", True),
        ("latency", "200", True),
        ("skew", "200", True),
    ],
)
def test_a_fault_befalls_the_next_calls_then_is_over(client, call, kind, seen, is_applied):
    strike(client, {"kind": kind, "call": call, "next": 2, "seconds": 0.01})
    before = applied(client), len(client.get("/simulator").json()["sites"])
    assert [outcome(client, call) for _ in range(3)] == [seen, seen, "200"]
    after = applied(client), len(client.get("/simulator").json()["sites"])
    times = 3 if is_applied else 1
    assert after == (before[0] + times * (call == "PUT /machines"), before[1] + times * (call == "POST /sites"))


def test_a_limit_says_when_to_come_again(client):
    strike(client, {"kind": "rate_limit", "seconds": 7})
    assert client.get("/prices").headers["Retry-After"] == "7"
    assert client.get("/simulator/earned").status_code == 200


def test_spoiled_prices_differ_from_the_true_ones_in_the_newest_row_alone(client):
    move(client, now(client) + pd.Timedelta("1h"))
    true = client.get("/prices").json()
    for kind in ("nan_price", "negative_price", "huge_price", "future"):
        strike(client, {"kind": kind})
        rows = client.get("/prices").json()
        assert rows[1:] == true[1:]
        (changed,) = [name for name in rows[0] if rows[0][name] != true[0][name]]
        seen, was = rows[0][changed], true[0][changed]
        if kind == "future":
            assert pd.Timestamp(seen, tz="UTC") > now(client) + pd.Timedelta("23h")
        else:
            assert {"nan_price": seen != seen, "negative_price": seen == -was, "huge_price": seen == 100 * was}[kind]
    strike(client, {"kind": "stale", "rows": 4})
    assert client.get("/prices").json() == true[4:]


def to_ms(time):
    """A time to the millisecond: while a manual clock stands, each allocation is a microsecond after the last."""
    return pd.Timestamp(time).round("1ms")


def test_spoiled_machines_lack_a_type_or_are_of_another_time(client):
    true = put(client).json()
    strike(client, {"kind": "missing_machine"})
    for method in ("GET", "PUT"):
        reply = client.request(method, "/machines", json=HYDRO, headers=KEY).json()
        assert len(set(MACHINES) & set(reply)) == 4
    strike(client, {"kind": "skew", "seconds": -600})
    reply = put(client)
    behind = pd.Timestamp(true["updated_at"]) - pd.Timedelta("10min")
    assert to_ms(reply.json()["updated_at"]) == to_ms(behind)
    assert pd.Timestamp(reply.headers["Date"]) == (now(client) - pd.Timedelta("10min")).floor("s")
    strike(client, {"kind": "future", "seconds": 3600})
    assert to_ms(put(client).json()["updated_at"]) == to_ms(now(client) + pd.Timedelta("1h")).tz_localize(None)
    strike(client)
    assert to_ms(client.get("/machines", headers=KEY).json()["updated_at"]) == to_ms(true["updated_at"])


def test_a_put_of_a_client_that_has_gone_is_not_applied(client):
    before = applied(client)
    strike(client, {"kind": "latency", "call": "PUT /machines", "seconds": 0.15})
    with pytest.raises(httpx.ReadTimeout):
        client.put("/machines", json=HYDRO, headers=KEY, timeout=0.05)
    time.sleep(0.3)
    assert applied(client) == before
    assert client.put("/machines", json=HYDRO, headers=KEY, timeout=5).status_code == 200
    assert applied(client) == before + 1


def test_faults_are_drawn_from_the_seed_at_their_rate_and_counted():
    def run(seed: int, n_calls: int) -> tuple[list[str], dict]:
        market = SimulatedMarket(START - pd.Timedelta("1h"))
        faults = mixed(0.3, without=("latency",))
        with (
            running(market, clock="manual", start=START, sites=[SITE], faults=faults, seed=seed) as url,
            httpx.Client(base_url=url) as client,
        ):
            seen = [outcome(client, call) for call in ("GET /prices", "PUT /machines") for _ in range(n_calls)]
            return seen, client.get("/simulator/faults").json()

    (first, summary), (again, _), (other, _) = run(1, 120), run(1, 30), run(2, 30)
    assert first[:30] == again[:30] != other[:30]
    assert summary["calls"] == {"GET /prices": 120, "PUT /machines": 120}
    for call, counts in summary["counts"].items():
        assert sum(counts.values()) == summary["faulty_calls"][call]
        assert summary["faulty_calls"][call] / 120 == pytest.approx(0.3, abs=0.12)
        assert set(counts) <= {kind for kind, (_, calls) in KINDS.items() if call in calls}


def test_faults_are_replaced_or_kept_and_a_wrong_one_changes_nothing(client):
    strike(client, {"kind": "drop", "probability": 0.0})
    strike(client, {"kind": "html", "probability": 0, "status": 200.0}, keep=True)
    wrong = [{"kind": "html", "status": "x"}, {"kind": "html", "next": True}, {"kind": 1}, 7, {"kind": "flood"}]
    for one in wrong:
        refused(client.post("/simulator/faults", json={"faults": [one]}), 422)
    refused(client.post("/simulator/faults", json={"faults": {}}), 422)
    in_force = client.get("/simulator/faults").json()["faults"]
    assert [one["kind"] for one in in_force] == ["drop", "html"]
    assert set(MEANINGS) == set(KINDS)


# -- the server as a whole --


def test_a_port_that_is_taken_is_refused():
    with (
        running() as url,
        pytest.raises(RunError, match="cannot be listened on"),
        running(port=int(url.rsplit(":", 1)[1])),
    ):
        pass


def test_the_server_ends_with_calls_in_flight_and_leaves_no_thread():
    before, ended = threading.active_count(), []

    def hear_the_end(url: str) -> None:
        try:
            httpx.get(url, timeout=10)
        except httpx.RemoteProtocolError as error:
            ended.append(error)

    with running(faults=[Fault("latency", seconds=20)]) as url:
        waiting = threading.Thread(target=hear_the_end, args=(url + "/prices",))
        waiting.start()
        while not httpx.get(url + "/simulator/faults").json()["calls"]:
            time.sleep(0.01)
    waiting.join(10)
    assert len(ended) == 1
    assert threading.active_count() == before


@pytest.fixture(scope="module")
def short_day(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("prices") / "day.csv"
    rows = [f"2025-06-21T{12 + k // 12:02}:{k % 12 * 5:02}:00,1.5,2.0,1.{k:02}" for k in range(30)]
    path.write_text("timestamp_utc,energy_price,hash_price,token_price\n" + "\n".join(rows) + "\n")
    return path


def test_the_command_says_simulated_and_ends_by_an_interrupt(short_day):
    code = (
        "from pathlib import Path; from gridlab.live.simulator import serve; import sys; "
        "serve(0, prices=Path(sys.argv[1]), echo=lambda line: print(line, flush=True))"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(short_day)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        assert "SIMULATED" in line
        assert "day.csv" in line
        assert "after loop" in line
        rows = httpx.get(line.split(" at ")[1].split()[0] + "/prices").json()
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=20)
    assert (server.returncode, err, out.splitlines()[-1]) == (0, "", "Stopped.")
    assert len(rows) in (30, 31)
    assert pd.Timestamp.now("UTC") - pd.Timestamp(rows[0]["timestamp"], tz="UTC") < pd.Timedelta("6min")


def test_a_file_is_replayed_in_its_own_time_or_moved_to_the_clocks(short_day):
    in_its_own, at = chosen_market(short_day, clock="manual", history_days=0.05)
    assert (in_its_own.start, at) == (START, START + pd.Timedelta("1h10min"))
    assert chosen_market(short_day, clock="fast")[1] == START + pd.Timedelta("2h25min")
    moved, at = chosen_market(short_day, clock="fast", start="2026-01-01T00:02:30", history_days=0.05)
    assert (moved.start, at) == (utc("2025-12-31T22:50:00"), utc("2026-01-01T00:02:30"))
    drawn, at = chosen_market(None, clock="fast", start="2026-01-01T00:02:30", daily=0.2, seed=3)
    assert (drawn.start, at) == (utc("2025-12-31T00:00:00"), utc("2026-01-01T00:02:30"))


# -- the description --


def test_every_path_and_method_is_described():
    assert set(DESCRIPTION["paths"]) == set(PATHS)
    for path, handler in PATHS.items():
        methods = {name for name in ("get", "put", "post", "delete", "patch") if name in vars(handler)}
        assert set(DESCRIPTION["paths"][path]) == methods


def _operations() -> list[str]:
    return [f"{method.upper()} {path}" for path, calls in DESCRIPTION["paths"].items() for method in calls]


@pytest.mark.parametrize("call", _operations())
def test_no_request_is_answered_otherwise_than_described(client, call):
    import schemathesis

    method, path = call.split()
    checks = {
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "401", "409", "422" if call == "PUT /machines" else "404"]
        }
    }
    config = schemathesis.Config.from_dict({"checks": checks})
    operation = schemathesis.openapi.from_dict(DESCRIPTION, config=config)[path][method]
    can_be_wrong = bool({"requestBody", "parameters", "security"} & set(DESCRIPTION["paths"][path][method.lower()]))
    for mode in list(schemathesis.GenerationMode)[: 1 + can_be_wrong]:

        @settings(max_examples=8, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def fuzz(case):
            headers = KEY if operation.definition.raw.get("security") else None
            case.call_and_validate(base_url=str(client.base_url), headers=headers)
            if call == "POST /simulator/faults":
                strike(client)

        fuzz()
