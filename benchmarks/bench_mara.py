"""The MARA client: reading a reply of prices, asking for it, and recording it. Run with ``make bench``."""

import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pandas as pd
import pytest

from gridlab.sources.mara.client import MaraClient
from gridlab.sources.mara.parsing import parse_prices
from gridlab.sources.mara.recorded import create_tables, record_prices

DAY, WEEK = 288, 2016


def reply(n_rows: int, suffix: str = "") -> bytes:
    values = np.random.default_rng(0).uniform(0.5, 4, (n_rows, 3)).tolist()
    times = pd.date_range("2025-06-21", periods=n_rows, freq="5min")
    names = ("energy_price", "hash_price", "token_price")
    rows = [
        dict(zip(names, row, strict=True)) | {"timestamp": time.isoformat() + suffix}
        for time, row in zip(times, values, strict=True)
    ]
    return json.dumps(rows[::-1]).encode()


def by_pandas_only(body: bytes) -> pd.DataFrame:
    table = pd.DataFrame(json.loads(body))
    table.index = pd.to_datetime(table.pop("timestamp"), utc=True)
    return table.rename(columns={"energy_price": "price"}).sort_index().asfreq("5min")


@pytest.fixture(scope="module")
def url():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        body = reply(DAY)

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.body)))
            self.end_headers()
            self.wfile.write(self.body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("n_rows", [DAY, WEEK])
@pytest.mark.parametrize("suffix", ["", "Z"])
@pytest.mark.benchmark(group="a reply of prices to a table")
def bench_parse_prices(benchmark, n_rows, suffix):
    benchmark(parse_prices, reply(n_rows, suffix))


@pytest.mark.parametrize("n_rows", [DAY, WEEK])
@pytest.mark.benchmark(group="a reply of prices to a table")
def bench_parse_by_pandas_only(benchmark, n_rows):
    benchmark(by_pandas_only, reply(n_rows))


@pytest.mark.benchmark(group="GET of a day of prices")
def bench_get_by_the_client(benchmark, url):
    with MaraClient(url, on_exchange=lambda exchange: None) as client:
        benchmark(client.get_prices)


@pytest.mark.benchmark(group="GET of a day of prices")
def bench_get_by_httpx_and_parse(benchmark, url):
    with httpx.Client() as client:
        benchmark(lambda: parse_prices(client.get(f"{url}/prices").content))


@pytest.mark.benchmark(group="GET of a day of prices")
def bench_get_by_httpx_alone(benchmark, url):
    with httpx.Client() as client:
        benchmark(lambda: client.get(f"{url}/prices").content)


@pytest.mark.benchmark(group="recording a week of prices of which one row is new")
def bench_record_prices(benchmark):
    table, connection = parse_prices(reply(WEEK)), sqlite3.connect(":memory:")
    create_tables(connection)
    record_prices(connection, table, table.index[-1])
    benchmark(record_prices, connection, table, table.index[-1])
    connection.close()
