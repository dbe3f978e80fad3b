"""The MARA client against a server that misbehaves: it ends, tells what was wrong, sets once, and keeps its key."""

import gc
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from email.utils import format_datetime
from typing import NamedTuple
from urllib.parse import quote_plus

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError, ServerError
from gridlab.sources.mara.client import DoubtfulError, MaraClient
from gridlab.sources.mara.keys import ApiKey, key_from
from gridlab.sources.mara.records import EVENT, MACHINES
from gridlab.sources.mara.skew import Skew
from gridlab.sources.mara.transport import keep_from_logs

SECRET = "3f2b8c4e-0000-4000-8000-5d1f6a7b9c01"
PLAIN = "Zq7wertvKolm9xPd"  # a key that has no form by which it could be known
COUNTS = dict(zip(MACHINES, (0, 200, 0, 1, 2), strict=True))
NOTHING = dict.fromkeys(MACHINES, 0)
PRICES = [{"energy_price": 3.0, "hash_price": 4.0, "token_price": 2.0, "timestamp": "2025-06-21T12:00:00"}]
INVENTORY = {
    "inference": {"asic": {"power": 10000, "tokens": 5000}, "gpu": {"power": 3333, "tokens": 1000}},
    "miners": {
        "air": {"hashrate": 1000, "power": 3333},
        "hydro": {"hashrate": 10000, "power": 5000},
        "immersion": {"hashrate": 5000, "power": 10000},
    },
}
NOON = pd.Timestamp("2025-06-21 12:00", tz="UTC")


# A server that does as it is told


class Request(NamedTuple):
    call: str
    headers: dict[str, str]
    body: bytes


Reply = Callable[["Server", Request], Iterable[bytes | float]]


class Server:
    """
    Answers on a free port of this machine; each reply is taken from `script` first, and is right after that.

    A reply is a generator of bytes to send and of seconds to wait; the connection is dropped when it returns False.
    """

    def __init__(self, *script: Reply, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.script, self.requests, self.applied = list(script), [], []
        self.counts, self.connections = dict(NOTHING), 0
        self.given_up = False
        self.over = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self.serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def serve(self, connection: socket.socket) -> None:
        if self.tls is not None:
            try:
                connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                return
        with connection, connection.makefile("rb") as file:
            try:
                while not self.over.is_set() and (request := self.read(file)) is not None:
                    self.requests.append(request)
                    reply = self.script.pop(0) if self.script else right
                    if not self.send(connection, reply(self, request)):
                        break
            except OSError:
                self.given_up = True

    @staticmethod
    def read(file) -> Request | None:
        line = file.readline().decode()
        if not line:
            return None
        headers = {}
        while (header := file.readline().decode().strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", 0)))
        return Request(" ".join(line.split()[:2]), headers, body)

    def send(self, connection: socket.socket, pieces) -> bool:
        while True:
            try:
                piece = next(pieces)
            except StopIteration as end:
                return end.value is not False
            if isinstance(piece, bytes):
                connection.sendall(piece)
            elif self.over.wait(piece):
                return False

    def apply(self, request: Request) -> None:
        self.counts = json.loads(request.body)
        self.applied.append(self.counts)

    def calls(self) -> list[str]:
        return [request.call for request in self.requests]

    def close(self) -> None:
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(5)


def head(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    lines = {"Content-Length": str(len(body)), "Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value != "")
    return f"HTTP/1.1 {status} Whatever\r\n{text}\r\n".encode() + body


def right_body(server: Server, request: Request) -> bytes:
    machines = server.counts | {"updated_at": "2025-06-21T19:30:47.964566"}
    site = {"name": "HackFestSite", "power": 1_000_000}
    bodies = {
        "GET /prices": PRICES,
        "GET /inventory": INVENTORY,
        "GET /machines": machines,
        "PUT /machines": machines,
        "GET /sites": site,
        "POST /sites": site | {"api_key": SECRET},
    }
    return json.dumps(bodies[request.call]).encode()


def right(server, request):
    if request.call == "PUT /machines":
        server.apply(request)
    yield head(body=right_body(server, request), Date=format_datetime(pd.Timestamp.now("UTC"), usegmt=True))


def says(status: int, body: bytes | str = b"", **headers: str) -> Reply:
    def reply(server, request):
        yield head(status, body.encode() if isinstance(body, str) else body, **headers)

    return reply


def echoes(status: int) -> Reply:
    """Everything that was sent, in every place of the answer."""

    def reply(server, request):
        key = request.headers.get("x-api-key", SECRET)
        said = json.dumps({"detail": f"wrong key {key}", "headers": request.headers, "url": quote_plus(f"a {key}&")})
        yield head(status, said.encode(), X_Echo=key, X_Api_Key=key, Location=f"https://example.org/?k={key}")

    return reply


def drops_before(server, request):
    yield b""
    return False


def drops_after(server, request):
    if request.call == "PUT /machines":
        server.apply(request)
    yield b""
    return False


def drops_in_the_head(server, request):
    yield b"HTTP/1.1 200 OK\r\nContent-Le"
    return False


def drops_in_the_body(server, request):
    yield right_after_applying(server, request)[:-9]
    return False


def right_after_applying(server, request) -> bytes:
    return b"".join(right(server, request))


def with_body(change: Callable[[bytes], bytes], status: int = 200, **headers: str) -> Reply:
    """The server does as asked, and its answer is changed."""

    def reply(server, request):
        if request.call == "PUT /machines":
            server.apply(request)
        yield head(status, change(right_body(server, request)), **headers)

    return reply


def html(body: bytes) -> bytes:
    return b"<html><body>Service unavailable</body></html>"


def no_http(server, request):
    yield b"SSH-2.0-OpenSSH_9.6\r\n\r\n"
    return False


def bad_chunks(server, request):
    yield head(Content_Length="", Transfer_Encoding="chunked") + b"zz\r\nnot a length\r\n"
    return False


def stalls(seconds: float, before: bool = False) -> Reply:
    def reply(server, request):
        if before:
            server.apply(request)
        yield seconds
        yield from right(server, request) if not before else iter(())

    return reply


def drips(where: str) -> Reply:
    """A byte every few milliseconds, for a quarter of an hour."""

    def reply(server, request):
        yield head(Content_Length="1000000") if where == "body" else b"HTTP/1.1 200 OK\r\nX-Drip: "
        for _ in range(100_000):
            yield b" "
            yield 0.01

    return reply


def endless(server, request):
    yield head(Content_Length=str(10**12))
    while True:
        yield b" " * 65536


def chunks_without_end(server, request):
    yield head(Content_Length="", Transfer_Encoding="chunked")
    while True:
        yield b"10000\r\n" + b" " * 65536 + b"\r\n"


PASSING = {
    "500": says(500, '{"detail": "Internal Server Error"}'),
    "502": says(502, html(b"")),
    "503": says(503),
    "504": says(504),
    "408": says(408),
    "429": says(429),
    "429 and a time": says(429, Retry_After="1"),
    "nothing": drops_before,
    "half a head": drops_in_the_head,
    "half a body": drops_in_the_body,
    "a web page with 200": with_body(html),
    "half the JSON": with_body(lambda body: body[:-5]),
    "no body": with_body(lambda body: b""),
    "204": says(204),
    "bytes": with_body(lambda body: b"\xff\xfe" + body),
    "no HTTP": no_http,
    "bad chunks": bad_chunks,
    "other JSON": with_body(lambda body: b'{"air_miners": 1}'),
    "an encoding": with_body(lambda body: body, Content_Encoding="br"),
}


class Clock:
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.skipped, self.waits = 0.0, []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.skipped += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped


@contextmanager
def talking(*script: Reply, key: str | None = SECRET, **options):
    """A server with a script, and a client whose waits take no time."""
    server, clock = Server(*script), Clock()
    options = {"sleep": clock.sleep, "monotonic": clock.monotonic, "rng": np.random.default_rng(1)} | options
    try:
        with MaraClient(server.url, None if key is None else ApiKey(key), **options) as client:
            client.clock = clock
            yield server, client
    finally:
        server.close()


def refused(error: type[Exception], call: object, *words: str) -> str:
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message
    return message


# Right answers


def test_each_call_gives_what_the_server_says():
    with talking() as (server, client):
        assert client.get_prices()["price"].tolist() == [3.0]
        assert client.get_inventory() == EVENT
        assert client.put_machines(COUNTS).counts == COUNTS
        assert client.get_machines().counts == COUNTS
        assert client.get_site() == ("HackFestSite", 1_000_000)
        assert client.create_site("HackFestSite").key == ApiKey(SECRET)
        assert server.connections == 1


def test_the_key_goes_only_where_it_is_needed():
    with talking() as (server, client):
        client.get_prices()
        client.get_inventory()
        client.create_site("site")
        client.get_machines()
        client.put_machines(COUNTS)
        client.get_site()
    sent = {request.call: request.headers.get("x-api-key") for request in server.requests}
    assert sent == {"GET /prices": None, "GET /inventory": None, "POST /sites": None} | dict.fromkeys(
        ["GET /machines", "PUT /machines", "GET /sites"], SECRET
    )


def test_what_needs_a_key_is_not_asked_without_one():
    with talking(key=None) as (server, client):
        for call in (client.get_machines, client.get_site, lambda: client.put_machines(COUNTS)):
            refused(DataError, call, "needs an API key", "MARA_API_KEY")
        assert server.requests == []


def test_an_address_may_have_a_path():
    with talking() as (server, client), MaraClient(server.url + "/", client._key) as other:
        assert other.get_inventory() == EVENT


def test_an_older_price_that_cannot_be_read_is_a_gap():
    rows = [PRICES[0] | {"timestamp": "2025-06-21T12:05:00"}, PRICES[0] | {"hash_price": float("nan")}]
    with talking(with_body(lambda body: json.dumps(rows).encode())) as (_, client):
        assert client.get_prices()["hash_price"].isna().tolist() == [True, False]


# Tried again, or not


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("call", ["get_prices", "get_machines"])
def test_what_passes_is_tried_again(fault, call):
    with talking(PASSING[fault], PASSING[fault]) as (server, client):
        getattr(client, call)()
        assert len(server.requests) == 3


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 422])
@pytest.mark.parametrize("call", ["get_prices", "get_machines", "put"])
def test_what_does_not_pass_is_not_tried_again(status, call):
    with talking(echoes(status), echoes(status)) as (server, client):
        message = refused(DataError, (lambda: client.put_machines(COUNTS)) if call == "put" else getattr(client, call))
        assert f" {status}" in message
        assert len(server.requests) == 1
        assert SECRET not in message


def test_a_wrong_key_is_told_by_where_it_came_from(tmp_path):
    path = tmp_path / "key"
    path.write_text(SECRET)
    path.chmod(0o600)
    with talking(says(401)) as (server, _), MaraClient(server.url, key_from(path=path)) as client:
        assert SECRET not in refused(DataError, client.get_machines, "401", str(path))


def test_json_that_lacks_what_is_needed_is_asked_for_three_times():
    lacks = with_body(lambda body: b'{"air_miners": 1}')
    with talking(*[lacks] * 9) as (server, client):
        refused(DataError, client.get_machines, "GET /machines has no key 'hydro_miners'")
        assert len(server.requests) == 3
    with talking(lacks, lacks) as (server, client):
        assert client.get_machines().counts == NOTHING


def test_a_price_that_is_nan_for_a_moment_is_asked_for_again():
    with talking(with_body(lambda body: body.replace(b"4.0", b"NaN"))) as (_, client):
        assert client.get_prices()["hash_price"].tolist() == [4.0]


def test_a_server_that_is_not_there_is_tried_until_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    clock = Clock()
    with MaraClient(url, deadline_s=20, sleep=clock.sleep, monotonic=clock.monotonic) as client:
        refused(ServerError, client.get_prices, "GET /prices: no connection", "try again later")
    assert 10 < sum(clock.waits) <= 20


@given(seed=st.integers(0, 2**32), deadline_s=st.floats(0.5, 60))
def test_waits_are_drawn_below_a_bound_that_doubles_and_end_by_the_deadline(seed, deadline_s):
    clock = Clock()
    with MaraClient(
        "http://127.0.0.1:1", deadline_s=deadline_s, sleep=clock.sleep, monotonic=clock.monotonic,
        rng=np.random.default_rng(seed),
    ) as client:  # fmt: skip
        refused(ServerError, client.get_prices)
    assert all(0 <= wait <= min(5.0, 0.1 * 2 ** (n + 1)) for n, wait in enumerate(clock.waits))
    assert sum(clock.waits) <= deadline_s


@pytest.mark.parametrize(
    ("status", "header", "least"),
    [
        (429, "7", 7),
        (503, "7", 7),
        (429, format_datetime(NOON + pd.Timedelta(seconds=8), usegmt=True), 8),
        (429, "soon", 0),
        (429, "-5", 0),
    ],
)
def test_nothing_is_sent_before_the_time_that_the_server_asks_for(status, header, least):
    date = format_datetime(NOON, usegmt=True)
    with talking(says(status, Retry_After=header, Date=date)) as (server, client):
        client.get_prices()
        assert len(server.requests) == 2
        assert least - 0.1 <= sum(client.clock.waits) <= least + 1


def test_a_wait_beyond_the_deadline_ends_the_call_and_holds_for_the_next():
    with talking(says(429, Retry_After="3600")) as (server, client):
        refused(ServerError, client.get_prices, "GET /prices answered 429")
        refused(ServerError, client.get_inventory, "was not sent", "60 s")
        assert len(server.requests) == 1
        client.clock.skipped += 61
        assert client.get_inventory() == EVENT


@given(rate=st.floats(0.1, 50), burst=st.integers(1, 20), pauses=st.lists(st.floats(0, 3), max_size=40))
def test_no_more_requests_are_made_than_the_bucket_holds(rate, burst, pauses):
    from gridlab.sources.mara.client import _Pace

    now, sent = [100.0], []
    pace = _Pace(rate, burst, lambda: now[0])
    for pause in pauses:
        now[0] += pause
        now[0] += pace.wait_s()
        pace.take()
        sent.append(now[0])
    for i, first in enumerate(sent):
        for j in range(i, len(sent)):
            assert j - i + 1 <= burst + rate * (sent[j] - first) + 1e-6


def test_the_limit_on_calls_makes_them_wait():
    with talking(calls_per_s=2, burst=3) as (_, client):
        for _ in range(7):
            client.get_inventory()
        assert 1.5 < sum(client.clock.waits) <= 2.0


# No call hangs, and none fills the memory


@pytest.mark.parametrize("where", ["head", "body"])
def test_an_answer_that_drips_is_left_at_the_deadline(where):
    with talking(*[drips(where)] * 9, deadline_s=0.4, timeout_s=5.0) as (server, client):
        refused(ServerError, client.get_prices, "GET /prices: ")
        assert len(server.requests) < 9


def test_a_server_that_is_silent_is_left_after_the_timeout():
    with talking(*[stalls(60)] * 99, deadline_s=0.3, timeout_s=0.1) as (server, client):
        refused(ServerError, client.get_prices, "no answer in time")
        assert 1 < len(server.requests) < 9


@pytest.mark.parametrize("flood", [endless, chunks_without_end])
def test_an_answer_too_long_is_left_before_it_fills_the_memory(flood):
    with talking(flood, most_bytes=100_000) as (_, client):
        told = []
        client._on_exchange = told.append
        client.get_prices()
        assert "longer than 100,000 bytes" in told[0].problem
        assert len(told[0].text) <= 4000


heads = st.sampled_from(
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 999 \r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
     b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 301 Go\r\nLocation: \xff\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", b"HTTP/1.1 200 OK\r\nDate: \xe9\xff\r\nX: " + b"y" * 200_000,
     b"HTTP/1.1 429 No\r\nRetry-After: 99999999999999999999\r\n\r\n", b"HTTP/1.1 503 No\r\nRetry-After: -1e9\r\n\r\n"]
)  # fmt: skip


@given(answers=st.lists(st.tuples(heads, st.binary(max_size=30)), min_size=1, max_size=4))
def test_whatever_bytes_come_back_a_call_gives_a_value_or_one_of_two_errors(answers):
    def raw(data: bytes) -> Reply:
        def reply(server, request):
            yield data
            return False

        return reply

    with talking(*(raw(first + rest) for first, rest in answers), deadline_s=3) as (_, client):
        for call in (client.get_prices, client.get_machines, lambda: client.put_machines(COUNTS)):
            try:
                call()
            except (DataError, ServerError) as error:
                assert "\n" not in str(error)
                assert len(str(error)) < 700


# PUT


@given(
    name=st.sampled_from(MACHINES),
    bad=st.sampled_from([-1, -0.0, 0.5, 1.0, True, np.True_, None, "3", float("nan"), 10**16, np.float64(2)]),
)
def test_bad_counts_are_refused_and_nothing_is_sent(name, bad):
    with MaraClient("http://127.0.0.1:1", ApiKey(SECRET)) as client:
        refused(DataError, lambda: client.put_machines(COUNTS | {name: bad}), name, "integer")
        refused(DataError, lambda: client.put_machines({k: v for k, v in COUNTS.items() if k != name}), "lack", name)
    refused(DataError, lambda: client.put_machines(COUNTS | {"fans": 1}), "fans")


@given(counts=st.fixed_dictionaries(dict.fromkeys(MACHINES, st.integers(0, 10**6).map(np.int64))))
@settings(max_examples=5)
def test_all_five_counts_are_sent_as_integers(counts):
    with talking() as (server, client):
        client.put_machines(dict(reversed(counts.items())))
        assert json.loads(server.requests[0].body) == {name: int(value) for name, value in counts.items()}
        assert b"." not in server.requests[0].body


@pytest.mark.parametrize("fault", sorted(set(PASSING) - {"504"}))
def test_a_decision_is_applied_once_whatever_becomes_of_the_answer(fault):
    with talking(PASSING[fault]) as (server, client):
        assert client.put_machines(COUNTS).counts == COUNTS
        assert server.applied == [COUNTS]


def test_a_decision_whose_answer_is_lost_is_read_back_and_not_sent_again():
    with talking(drops_after) as (server, client):
        assert client.put_machines(COUNTS).counts == COUNTS
        assert server.calls() == ["PUT /machines", "GET /machines"]


def test_a_decision_that_was_lost_is_sent_again_after_a_look():
    with talking(drops_before) as (server, client):
        client.put_machines(COUNTS)
        assert server.calls() == ["PUT /machines", "GET /machines", "PUT /machines"]


def test_a_decision_refused_for_too_many_calls_is_sent_again_without_a_look():
    with talking(says(429)) as (server, client):
        client.put_machines(COUNTS)
        assert server.calls() == ["PUT /machines", "PUT /machines"]


def slow_put(seconds: float) -> Reply:
    """The server takes its time and does as asked in the end, though nobody waits any more."""

    def reply(server, request):
        yield seconds
        server.apply(request)
        return False

    return reply


def test_a_decision_applied_after_the_timeout_is_found_and_not_sent_again():
    with talking(slow_put(0.3), timeout_s=0.1, sleep=lambda seconds: time.sleep(0.05)) as (server, client):
        assert client.put_machines(COUNTS).counts == COUNTS
        assert server.applied == [COUNTS]


def test_nothing_is_sent_while_the_server_may_still_be_at_the_first_request():
    with talking(stalls(60), timeout_s=0.1, deadline_s=3) as (server, client):
        refused(DoubtfulError, lambda: client.put_machines(COUNTS), "no answer in time", "not known", "GET /machines")
        assert server.calls().count("PUT /machines") == 1


def test_nothing_is_sent_while_a_proxy_says_that_the_server_is_slow():
    with talking(says(504), deadline_s=3) as (server, client):
        refused(DoubtfulError, lambda: client.put_machines(COUNTS), "answered 504", "not known")
        assert server.calls().count("PUT /machines") == 1


def test_a_doubt_that_cannot_be_settled_is_said():
    with talking(drops_after, *[says(500)] * 99, deadline_s=3) as (server, client):
        refused(DoubtfulError, lambda: client.put_machines(COUNTS), "GET /machines answered 500", "not known")
        assert server.applied == [COUNTS]


def test_other_counts_in_the_answer_are_told():
    other = COUNTS | {"hydro_miners": 199, "updated_at": "2025-06-21T12:00:00"}
    with talking(with_body(lambda body: json.dumps(other).encode())) as (_, client):
        refused(ServerError, lambda: client.put_machines(COUNTS), "hydro_miners 199 for 200")


def test_a_refused_allocation_is_told_in_the_servers_words():
    with talking(says(422, '{"detail": "power 1200000 is over 1000000"}')) as (server, client):
        refused(DataError, lambda: client.put_machines(COUNTS), "422", "power 1200000 is over 1000000")
        assert server.applied == []


@given(script=st.lists(st.sampled_from(sorted(set(PASSING) - {"429 and a time"})), max_size=8))
@settings(max_examples=25)
def test_whatever_happens_a_decision_is_applied_at_most_once_and_an_answer_is_true(script):
    with talking(*(PASSING[fault] for fault in script), deadline_s=4) as (server, client):
        try:
            confirmed = client.put_machines(COUNTS)
        except DoubtfulError:
            assert len(server.applied) <= 1
        except ServerError:
            assert server.applied == []
        else:
            assert confirmed.counts == COUNTS
            assert server.applied == [COUNTS]


def test_a_site_is_not_made_twice():
    with talking(drops_after) as (server, client):
        refused(ServerError, lambda: client.create_site("site"), "a site may have been made")
        assert len(server.requests) == 1
    with talking(says(429)) as (server, client):
        client.create_site("site")
        assert len(server.requests) == 2
    refused(DataError, lambda: client.create_site(" "), "needs a name")


# What is told of each request


def test_every_request_is_told_of_failed_or_not():
    told = []
    with talking(says(500, "no"), drops_before, on_exchange=told.append) as (_, client):
        client.get_inventory()
        client.put_machines(COUNTS)
    assert [(one.call, one.status) for one in told] == [
        ("GET /inventory", 500), ("GET /inventory", None), ("GET /inventory", 200), ("PUT /machines", 200),
    ]  # fmt: skip
    assert [one.problem is None for one in told] == [False, False, True, True]
    assert told[0].text == "no"
    assert json.loads(told[3].text)["hydro_miners"] == 200
    assert all(one.at.tz is not None and one.latency_ms >= 0 for one in told)
    assert abs(told[2].server_time - told[2].at) < pd.Timedelta(minutes=1)
    assert len(told[2].digest) == 64


def test_prices_are_kept_only_where_they_could_not_be_read():
    told = []
    with talking(with_body(html), on_exchange=told.append) as (_, client):
        client.get_prices()
        client.create_site("site")
    assert [bool(one.text) for one in told] == [True, False, False]


def test_an_error_of_the_listener_comes_through_after_the_request():
    def full(exchange):
        raise OSError("no space left on device")

    with talking(on_exchange=full) as (server, client):
        with pytest.raises(OSError, match="no space"):
            client.put_machines(COUNTS)
        assert server.applied == [COUNTS]


# The key


def everything_about(error: BaseException) -> str:
    """An error with its causes, and the values of the names in their frames."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


FRAGMENTS = {key.lower()[i : i + 8] for key in (SECRET, PLAIN) for i in range(len(key) - 7)}


@pytest.mark.parametrize("status", [200, 302, 401, 422, 500])
@pytest.mark.parametrize("call", ["get_machines", "get_site", "put", "get_prices", "create"])
def test_no_log_error_record_or_text_form_has_the_key(caplog, status, call):
    caplog.set_level(logging.DEBUG)
    told = []
    with talking(*[echoes(status)] * 99, key=PLAIN, deadline_s=1, on_exchange=told.append) as (_, client):
        calls = {"put": lambda: client.put_machines(COUNTS), "create": lambda: client.create_site("site")}
        with pytest.raises((DataError, ServerError)) as caught:
            calls.get(call, lambda: getattr(client, call)())()
        seen = [repr(client), str(client), repr(told), everything_about(caught.value), caplog.text]
        seen += [str(record.__dict__) for record in caplog.records]
    assert told
    assert "httpcore" in caplog.text
    assert [part for part in FRAGMENTS for text in seen if part in text.lower()] == []


def test_a_key_stays_out_of_logs_when_another_object_of_it_is_gone(caplog):
    first, second = ApiKey("kept-by-two-objects"), ApiKey("kept-by-two-objects")
    keep_from_logs(first)
    keep_from_logs(second)
    del first
    gc.collect()
    with caplog.at_level(logging.DEBUG, logger="httpcore.http11"):
        logging.getLogger("httpcore.http11").debug("a header has %s", second.reveal())
    assert "a header has" in caplog.text
    assert "kept-by-two-objects" not in caplog.text


def test_an_error_of_the_listener_has_no_key_in_its_frames():
    def full(exchange):
        raise OSError("no space left on device")

    with talking(echoes(401), key=PLAIN, on_exchange=full) as (_, client):
        with pytest.raises(OSError, match="no space") as caught:
            client.get_machines()
        shown = everything_about(caught.value).lower()
    assert [part for part in FRAGMENTS if part in shown] == []


def test_a_redirect_does_not_carry_the_key_to_another_host():
    with talking() as (elsewhere, _):

        def away(server, request):
            yield head(307, Location=elsewhere.url + request.call.split()[1])

        with talking(away, away) as (_, client):
            refused(DataError, client.get_machines, "307", "the key is not sent")
            refused(DataError, lambda: client.put_machines(COUNTS), "307")
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "address",
    ["http://example.org", "http://10.0.0.1:8000", "http://localhost.example.org", "http://127.0.0.1@example.org",
     "http://user:secret@127.0.0.1", "https://example.org/?key=secret", "ftp://127.0.0.1", "example.org", "", "http://",
     "https://", "https://[::1", "http://127.0.0.1:port", "https://example.org#secret", "http://0.0.0.0:80"],
)  # fmt: skip
def test_only_https_or_this_machine_is_spoken_to(address):
    assert "secret" not in refused(DataError, lambda: MaraClient(address, ApiKey(SECRET)))


@pytest.mark.parametrize(
    "address", ["https://example.org", "http://localhost:1", "http://127.1.2.3", "http://[::1]:8000"]
)
def test_https_and_this_machine_are_spoken_to(address):
    MaraClient(address).close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for this machine that nobody has signed but itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_https_is_spoken_with_a_server_that_is_trusted_and_with_no_other(certificate, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server, clock = Server(drips("body"), tls=context), Clock()
    options = {"sleep": clock.sleep, "monotonic": clock.monotonic}
    try:
        with MaraClient(server.url, ApiKey(SECRET), deadline_s=2, **options) as client:
            refused(ServerError, client.get_machines, "no connection", "certificate verify failed")
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        with MaraClient(server.url, ApiKey(SECRET), deadline_s=0.4, timeout_s=5, **options) as client:
            refused(ServerError, client.get_machines, "GET /machines: ")
            assert client.get_machines().counts == NOTHING
    finally:
        server.close()


def test_a_proxy_is_asked_for_a_tunnel_and_given_no_key(monkeypatch):
    with talking(says(403), says(403)) as (proxy, _):
        monkeypatch.setenv("https_proxy", proxy.url)
        clock = Clock()
        with MaraClient(
            "https://example.invalid", ApiKey(SECRET), sleep=clock.sleep, monotonic=clock.monotonic, deadline_s=0.1
        ) as client:
            refused(ServerError, client.get_machines, "no connection", "403")
        assert set(proxy.calls()) == {"CONNECT example.invalid:443"}
        assert SECRET not in str(proxy.requests)


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with talking() as (_, client):
        assert client.get_machines().counts == NOTHING


# Clocks


@given(
    skew=st.floats(-1e5, 1e5),
    calls=st.lists(st.tuples(st.floats(0, 400), st.floats(0, 3), st.floats(0, 1)), min_size=1, max_size=30),
)
def test_the_servers_clock_lies_within_what_is_said_of_it(skew, calls):
    seen, at = Skew(), NOON
    for pause, trip, share in calls:
        at += pd.Timedelta(seconds=pause)
        stamped = at + pd.Timedelta(seconds=trip * share + skew)
        received = at + pd.Timedelta(seconds=trip)
        seen.observe(stamped.floor("s"), at, received)
        at = received
        off = abs(seen.value.total_seconds() - skew)
        assert off <= seen.error.total_seconds() + 1e-5
        assert seen.error.total_seconds() <= 0.5 + 1.5 + 1e-4 * 403


def test_one_odd_date_is_set_aside_and_a_clock_that_was_moved_is_followed():
    seen, second = Skew(), pd.Timedelta(seconds=1)
    assert (seen.value, seen.error) == (None, None)
    for minute, hours in enumerate((0, 0, 5, 0, 1, 1, 1)):
        at = NOON + minute * pd.Timedelta(minutes=5)
        seen.observe(at + pd.Timedelta(hours=hours), at, at)
        expected = pd.Timedelta(hours=1 if minute > 4 else 0)
        assert abs(seen.value - expected) <= second


def test_the_skew_is_that_of_the_servers_date():
    ahead = pd.Timestamp.now("UTC") + pd.Timedelta(hours=2)
    with talking(says(404, Date=format_datetime(ahead, usegmt=True))) as (_, client):
        assert client.skew is None
        refused(DataError, client.get_prices)
        assert abs(client.skew - pd.Timedelta(hours=2)) <= client.skew_error + pd.Timedelta(seconds=5)
    for date in ("", "yesterday", "Sat, 99 Foo 2025 12:00:00 GMT", "Sat, 21 Jun 99999 12:00:00 GMT", ";;;"):
        with talking(says(404, Date=date)) as (_, client):
            refused(DataError, client.get_prices)
            assert client.skew is None
