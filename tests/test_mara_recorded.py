"""What the MARA API said, kept: nothing is overwritten, the last value is read, and the studies' reader reads it."""

import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.schema import validate
from gridlab.sources import read_prices, write_parquet
from gridlab.sources.mara.recorded import (
    create_tables,
    read_recorded,
    read_replies,
    record_exchange,
    record_prices,
    write_recorded,
)
from gridlab.sources.mara.records import Exchange

NOON = pd.Timestamp("2025-06-21 12:00", tz="UTC")
STEP = pd.Timedelta(minutes=5)


def prices(values: np.ndarray, start: int = 0) -> pd.DataFrame:
    """A table as `parse_prices` gives it, from its three columns."""
    times = pd.date_range(NOON + start * STEP, periods=len(values), freq="5min", name="time", unit="us")
    return pd.DataFrame(np.asarray(values, dtype=float), index=times, columns=["price", "hash_price", "token_price"])


def week() -> pd.DataFrame:
    return prices(np.random.default_rng(0).uniform(0.1, 4, (300, 3)))


@pytest.fixture
def store(tmp_path):
    """A path, and a call that records tables there."""
    path = tmp_path / "mara.sqlite"

    def record(*tables: pd.DataFrame) -> list[int]:
        with closing(sqlite3.connect(path)) as connection, connection:
            create_tables(connection)
            return [record_prices(connection, table, NOON + n * STEP) for n, table in enumerate(tables)]

    record.path = path
    return record


def refused(call: object, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == [], message


few = st.sampled_from([0.0, -0.5, 1.0, 1.5, np.nan])
replies = st.lists(
    st.tuples(st.integers(0, 6), st.lists(st.tuples(few, few, few), min_size=1, max_size=8)), min_size=1, max_size=6
)


@given(replies)
def test_every_value_that_a_price_ever_had_is_kept_once_and_in_order(tables):
    ever: dict[int, list[tuple]] = {}
    with closing(sqlite3.connect(":memory:")) as connection:
        create_tables(connection)
        for n, (start, values) in enumerate(tables):
            added = 0
            for offset, row in enumerate(values):
                had = ever.setdefault(start + offset, [])
                if not np.isnan(row).any() and had[-1:] != [row]:
                    had.append(row)
                    added += 1
            assert record_prices(connection, prices(values, start), NOON + n * STEP) == added
        rows = connection.execute("SELECT time, energy_price, hash_price, token_price FROM prices ORDER BY revision")
        kept: dict[int, list[tuple]] = {}
        for time, *row in rows:
            kept.setdefault((pd.Timestamp(time, unit="us", tz="UTC") - NOON) // STEP, []).append(tuple(row))
    assert kept == {time: had for time, had in ever.items() if had}


@given(replies)
@settings(max_examples=5)
def test_what_is_read_has_the_last_value_of_each_price(tmp_path_factory, tables):
    path = tmp_path_factory.mktemp("store") / "mara.sqlite"
    full = week()
    with closing(sqlite3.connect(path)) as connection, connection:
        create_tables(connection)
        record_prices(connection, full, NOON)
        for start, values in tables:
            table = prices(values, start)
            record_prices(connection, table, NOON)
            full.update(table[table.notna().all(axis=1)])
    assert validate(read_recorded(path), "prices").equals(full)


def test_the_studies_reader_reads_the_store_and_the_parquet(store, tmp_path):
    store(week())
    read = read_prices(store.path)
    pd.testing.assert_frame_equal(read, week(), check_exact=True)
    assert read.attrs["source"] == "mara.sqlite"
    assert "units of the MARA API" in read.attrs["notes"][0]
    write_recorded(store.path, tmp_path / "prices.parquet", replies=tmp_path / "replies.parquet")
    again = read_prices(tmp_path / "prices.parquet")
    assert again.equals(read)
    assert again.attrs == read.attrs
    assert len(pd.read_parquet(tmp_path / "replies.parquet")) == 0


def test_small_recorded_prices_are_not_taken_for_dollars_a_kilowatt_hour(store):
    store(prices(np.full((20, 3), 0.3)))
    assert read_prices(store.path)["price"].eq(0.3).all()


def test_a_gap_is_nan_and_said(store):
    full = week()
    store(full.drop(full.index[[7, 8, 40]]))
    read = read_prices(store.path)
    assert read["price"].isna().sum() == 3
    assert "3 of 300 intervals have no price" in " ".join(read.attrs["notes"])


def test_a_changed_price_is_said(store):
    store(week(), week() + 1)
    assert "Prices that the server changed later: 300" in " ".join(read_prices(store.path).attrs["notes"])


def test_part_of_the_time_can_be_read(store):
    store(week())
    part = read_prices(store.path, start="2025-06-21 13:00", end="2025-06-21T16:00+02:00")
    assert part.index[[0, -1]].tolist() == [NOON + 12 * STEP, NOON + 23 * STEP]
    refused(lambda: read_prices(store.path, start="2026-01-01"), "no recorded prices in that time")
    refused(lambda: read_prices(store.path, node="SP15"), "no option 'node'", "start, end")


def test_a_store_in_use_is_read(store):
    store(week())
    with closing(sqlite3.connect(store.path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        record_prices(writer, prices(np.ones((1, 3)), 300), NOON)
        assert len(read_prices(store.path)) == 300
        writer.commit()
        assert len(read_prices(store.path)) == 301


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE prices SET energy_price = 0",
        "DELETE FROM prices",
        "UPDATE replies SET digest = ''",
        "DELETE FROM replies",
    ],
)
def test_nothing_recorded_is_changed_or_deleted(store, change):
    store(week())
    with closing(sqlite3.connect(store.path)) as connection:
        record_exchange(connection, exchange())
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            connection.execute(change)


def exchange(**changed: object) -> Exchange:
    fields = {
        "at": NOON + pd.Timedelta(microseconds=123456), "call": "GET /machines", "status": 200, "latency_ms": 12.5,
        "text": "{}", "problem": None, "server_time": NOON, "digest": "ab",
    }  # fmt: skip
    return Exchange(**(fields | changed))


def test_replies_are_read_as_they_were_recorded(store):
    store()
    failed = exchange(status=None, problem="no answer in time", server_time=None, digest="", text="a \ud800 b")
    with closing(sqlite3.connect(store.path)) as connection, connection:
        record_exchange(connection, exchange())
        record_exchange(connection, failed)
    read = read_replies(store.path)
    assert read["at"].tolist() == [exchange().at] * 2
    assert read["server_time"].tolist() == [NOON, pd.NaT]
    assert read["status"].tolist() == [200, pd.NA]
    assert read["problem"].fillna("none").tolist() == ["none", "no answer in time"]
    assert read["text"].tolist() == ["{}", "a ? b"]


def test_making_the_tables_twice_changes_nothing(store):
    store(week())
    store(week())
    assert len(read_prices(store.path)) == 300


def test_a_store_of_a_newer_version_is_refused(store):
    store(week())
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("INSERT INTO recorded_version VALUES (99)")
        refused(lambda: create_tables(connection), "version 99", "update gridlab")
    refused(lambda: read_prices(store.path), "mara.sqlite", "version 99", "update gridlab")


def test_what_is_no_store_is_refused(tmp_path, store):
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    refused(lambda: read_prices(tmp_path / "other.sqlite"), "other.sqlite", "no such table")
    (tmp_path / "broken.sqlite").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    refused(lambda: read_prices(tmp_path / "broken.sqlite"), "broken.sqlite")
    refused(lambda: read_recorded(tmp_path / "none.sqlite"), "none.sqlite")
    refused(lambda: read_prices(tmp_path / "none.sqlite"), "there is no file")
    store()
    refused(lambda: read_prices(store.path), "no recorded prices")
    store(prices(np.ones((1, 3))))
    refused(lambda: read_prices(store.path), "one row")


def test_tables_that_are_not_the_apis_are_refused():
    with closing(sqlite3.connect(":memory:")) as connection:
        create_tables(connection)
        refused(lambda: record_prices(connection, week()[["price"]], NOON), "hash_price")
        refused(lambda: record_prices(connection, week(), NOON.tz_localize(None)), "no time zone")


def test_the_recorded_day_is_kept_and_read_as_it_is(store, data_dir, tmp_path):
    day = read_prices(data_dir / "mara" / "prices_2025-06-21.csv")
    store(day, day.iloc[:50], day)
    assert read_prices(store.path).equals(day)
    write_parquet(day, tmp_path / "day.parquet")
    assert read_prices(tmp_path / "day.parquet").equals(day)
