"""The journal keeps what it was given, whole and for good; many read it while one writes."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError, RunError
from gridlab.live import journal as journal_module
from gridlab.live import journal_file, journal_tables
from gridlab.live.commands import Commands, inbox_of
from gridlab.live.journal import Journal
from gridlab.live.journal_tables import FAN, SERIES, STAGES, Bid, DecisionRow, Event, Fan
from gridlab.live.reading import Reader
from gridlab.live.site_lock import SiteLock, holder, is_held
from gridlab.sources.mara import MACHINES
from gridlab.sources.mara.recorded import read_recorded
from gridlab.sources.mara.records import Exchange

NOON = pd.Timestamp("2025-06-21 12:00", tz="UTC")
STEP = pd.Timedelta(minutes=5)
COUNTS = dict.fromkeys(MACHINES, 0) | {"hydro_miners": 200}
MONEY = ("revenue", "cost", "services_paid", "switching", "profit", "best_machine", "hindsight")


def open_site(path, **changes):
    return Journal.open(path, **{"site": "site", "simulated": True} | changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "live.db"


@pytest.fixture
def journal(path):
    with open_site(path) as opened:
        yield opened


def row(n=0, **changes):
    interval = NOON + n * STEP
    values = {"mode": "normal", "reason": "plan", "counts": COUNTS, "power": 1_000_000, "power_mw": 1.0} | changes
    return DecisionRow(interval, interval + pd.Timedelta(seconds=2), **values)


def full(n=0):
    """A decision with all that may belong to it."""
    fan = Fan(NOON + (n + 1) * STEP, np.random.default_rng(n).normal(size=(3, 6, 24)))
    event = Event(NOON + n * STEP, "protocol", "cap", "scaled down", "warning")
    bids = (Bid("hospital", "cooling", 0.1, float("inf"), 0.1, 3.0), Bid("a", "b", 1, 2))
    known = {"state": json.dumps({"n": n}), "soc_share": 0.5, "expected_profit": 0.1 + 0.2}
    return row(n, forecast=fan, events=(event,), bids=bids, ms=dict.fromkeys(STAGES, 1.5), **known)


def prices(n=3, start=NOON):
    index = pd.date_range(start, periods=n, freq="5min", name="time")
    return pd.DataFrame({"price": 1.5, "hash_price": 1.75, "token_price": np.arange(n) + 0.1}, index=index)


# ---- what is kept


number = st.floats(allow_nan=False, allow_infinity=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    st.lists(number, min_size=7, max_size=7),
    st.lists(number, min_size=18, max_size=18),
    st.text(),
    st.integers(0, 2**53),
)
def test_every_number_and_word_comes_back_to_the_last_bit(tmp_path_factory, values, fan, words, count):
    path = tmp_path_factory.mktemp("exact") / "live.db"
    words = words.encode("utf-8", "replace").decode()
    names = ("power_mw", "cooling_mw", "battery_mw", "services_mw", "soc_share", "temperature_c", "expected_profit")
    forecast = Fan(NOON + STEP, np.array(fan).reshape(3, 6, 1))
    state = json.dumps({"words": words})
    with open_site(path) as journal:
        counts = dict.fromkeys(MACHINES, count)
        changes = dict(zip(names, values, strict=True)) | {"counts": counts, "reason": words, "payload": words}
        journal.record_decision(row(forecast=forecast, state=state, **changes))
        journal.record_outcome(NOON, NOON, **dict(zip(MONEY, values, strict=True)))
    reader = Reader(path)
    table = reader.decisions()
    assert table[list(names)].to_numpy().tolist() == [values]
    assert table["reason"].tolist() == [words] and reader.payload() == words and reader.state() == state
    assert table[list(MACHINES)].to_numpy().tolist() == [[count] * 5]
    assert reader.outcomes()[list(MONEY)].to_numpy().tolist() == [values]
    assert reader.forecast().to_numpy().tobytes() == np.array(fan).tobytes()


def test_a_decision_and_all_that_belongs_to_it_come_back(journal):
    for n in range(3):
        journal.record_decision(full(n))
    reader = Reader(journal.path)
    table = reader.decisions(NOON + STEP)
    assert table.index.tolist() == [NOON + STEP, NOON + 2 * STEP] and table.index.name == "time"
    assert table["decided_at"].tolist() == [time + pd.Timedelta(seconds=2) for time in table.index]
    assert table["status"].tolist() == ["decided"] * 2 and table["sent_at"].isna().all()
    assert table["ms_total"].tolist() == [9.0, 9.0] and table["temperature_c"].isna().all()
    fan = reader.forecast(NOON + STEP)
    assert fan.index[0] == NOON + 2 * STEP and fan.shape == (24, 18) and fan.index[1] - fan.index[0] == STEP
    stored = full(1).forecast.values
    assert np.array_equal(fan[("hash_price", "q90")], stored[SERIES.index("hash_price"), FAN.index("q90")])
    assert reader.events()["interval"].tolist() == [NOON, NOON + STEP, NOON + 2 * STEP]
    assert len(reader.bids()) == 6 and reader.awards()["bidder"].tolist() == ["hospital"] * 3
    assert np.isinf(reader.awards()["price"]).all()
    last = journal.last_decision()
    assert (last.interval, last.counts, json.loads(last.state)) == (NOON + 2 * STEP, COUNTS, {"n": 2})


def test_prices_and_replies_are_kept_as_they_came(journal):
    exchange = Exchange(NOON, "GET /prices", 500, 12.5, "<html>", "it answered 500: try again", None)
    journal.record_exchange(exchange)
    journal.record_exchange(exchange._replace(status=None) if hasattr(exchange, "_replace") else exchange)
    journal.record_prices(prices(), NOON)
    journal.record_prices(prices().assign(price=2.0), NOON + STEP)
    reader = Reader(journal.path)
    table = reader.prices()
    assert table["price"].tolist() == [2.0] * 3 and table["token_price"].tolist() == [0.1, 1.1, 2.1]
    assert len(reader.prices(NOON + 2 * STEP)) == 1
    replies = reader.replies()
    assert replies["call"].tolist() == ["GET /prices"] * 2 and replies["status"].iloc[0] == 500
    assert read_recorded(journal.path)["price"].tolist() == [2.0] * 3


def test_tables_without_rows_have_their_columns_and_types(journal):
    reader = Reader(journal.path)
    names = ("prices", "decisions", "outcomes", "events", "replies", "commands", "bids", "awards", "sends")
    empty = {name: getattr(reader, name)() for name in names} | {"forecast": reader.forecast()}
    journal.record_decision(full())
    journal.record_send(1, "sending", NOON, attempt=1, updated_at=NOON)
    journal.record_outcome(NOON, NOON, **dict.fromkeys(MONEY, 1.0))
    journal.record_prices(prices(), NOON)
    journal.record_exchange(Exchange(NOON, "GET /prices", 200, 12.5, "[]", None, None))
    Commands(journal.path).pause()
    filled = {name: getattr(reader, name)() for name in names} | {"forecast": reader.forecast()}
    for name, table in empty.items():
        assert len(table) == 0 < len(filled[name]), name
        assert table.dtypes.to_dict() == filled[name].dtypes.to_dict(), name
        assert table.index.dtype == filled[name].index.dtype and table.index.name == filled[name].index.name
    assert reader.payload() == "{}"


def test_the_database_refuses_to_change_or_remove_a_row(journal):
    journal.record_decision(full())
    journal.record_prices(prices(), NOON)
    journal.record_loop("start", NOON, {"cap_power": 1})
    with closing(sqlite3.connect(journal.path)) as other:
        for table, column in (
            ("decisions", "power"),
            ("prices", "time"),
            ("forecasts", "n"),
            ("loops", "pid"),
            ("meta", "value"),
        ):
            with pytest.raises(sqlite3.IntegrityError, match=r"append-only|added to"):
                other.execute(f"UPDATE {table} SET {column} = 0")
            with pytest.raises(sqlite3.IntegrityError, match=r"append-only|added to"):
                other.execute(f"DELETE FROM {table}")


def test_an_interval_is_decided_once_and_in_order(journal):
    journal.record_decision(row(1))
    for n in (0, 1):
        with pytest.raises(DataError, match="decided already"):
            journal.record_decision(row(n))
    with pytest.raises(DataError, match="is settled"):
        journal.record_send(1, "sending", NOON, attempt=1)
        journal.record_send(1, "failed", NOON, attempt=1)
        journal.record_send(1, "confirmed", NOON, attempt=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"interval": NOON + pd.Timedelta(seconds=1)}, "grid of 5 minutes"),
        ({"interval": pd.Timestamp("2025-06-21 12:00")}, "time zone"),
        ({"counts": {"hydro_miners": 1}}, "needs whole counts"),
        ({"counts": COUNTS | {"air_miners": -1}}, "needs whole counts"),
        ({"counts": COUNTS | {"air_miners": 1.5}}, "needs whole counts"),
        ({"ms": {"lunch": 1.0}}, "the stages are"),
        ({"forecast": Fan(NOON, np.zeros((3, 5, 2)))}, "must be of shape"),
    ],
)
def test_a_decision_that_is_none_is_refused(change, words):
    values = {"interval": NOON, "decided_at": NOON, "mode": "normal", "reason": "", "counts": COUNTS}
    with pytest.raises(DataError, match=words):
        DecisionRow(**values | {"power": 0, "power_mw": 0.0} | change)


# ---- one loop a site


def test_a_second_loop_refuses_and_names_the_first(journal):
    with pytest.raises(RunError, match=rf"already run by process {os.getpid()} since 20\d\d-"):
        open_site(journal.path)


def test_two_loops_of_one_site_refuse_each_other_even_with_two_journals(tmp_path):
    locks = {"lock_name": "host/site", "lock_folder": tmp_path / "locks"}
    with open_site(tmp_path / "a.db", **locks):
        with pytest.raises(RunError, match="already run by"):
            open_site(tmp_path / "b.db", **locks)
        with open_site(tmp_path / "c.db", lock_name="host/other", lock_folder=tmp_path / "locks"):
            pass
    with open_site(tmp_path / "b.db", **locks):
        pass


def test_a_killed_loop_leaves_the_site_free_though_its_worker_lives_on(path):
    script = (
        "import os, sys, time, multiprocessing\n"
        "from gridlab.live.journal import Journal\n"
        f"journal = Journal.open({str(path)!r}, site='site', simulated=True)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(30); os._exit(0)\n"
        "sys.stdout.write(f'{child}\\n'); sys.stdout.flush(); time.sleep(30)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as loop:
        worker = int(loop.stdout.readline())
        try:
            lock = path.with_name("live.db-lock")
            assert is_held(lock) and holder(lock)["pid"] == loop.pid and Reader(path).status()["pid"] == loop.pid
            with pytest.raises(RunError, match=f"process {loop.pid} since"):
                open_site(path)
            loop.kill()
            loop.wait()
            assert not Reader(path).status()["running"]
            with open_site(path):
                pass
        finally:
            os.kill(worker, signal.SIGKILL)


def test_a_lock_file_left_behind_blocks_nobody_and_viewers_who_look_do_not_either(path):
    lock = path.with_name("live.db-lock")
    lock.write_text(json.dumps({"pid": 1, "since": "2020-01-01"}))
    stop = threading.Event()

    def look():
        while not stop.is_set():
            is_held(lock)

    viewers = [threading.Thread(target=look) for _ in range(3)]
    for viewer in viewers:
        viewer.start()
    try:
        for _ in range(5):
            SiteLock.acquire(lock, "site").release()
    finally:
        stop.set()
        for viewer in viewers:
            viewer.join()


# ---- what is refused


def test_a_journal_of_a_newer_version_is_refused(path):
    open_site(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    for opened in (open_site, Reader):
        with pytest.raises(RunError, match="version 99 and this gridlab knows 1: update gridlab"):
            opened(path)


def test_an_older_journal_is_migrated_or_refused(path, monkeypatch):
    with open_site(path) as journal:
        journal.record_decision(row())
    for module in (journal_file, journal_tables):
        monkeypatch.setattr(module, "VERSION", 2)
    with pytest.raises(RunError, match="too old"):
        open_site(path)
    monkeypatch.setitem(journal_tables.MIGRATIONS, 1, ("CREATE TABLE notes (id INTEGER PRIMARY KEY)",))
    for _ in range(2):
        with open_site(path) as journal:
            assert journal.last_decision().interval == NOON
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (2,)


def test_what_is_no_journal_is_refused_and_left_as_it_is(tmp_path):
    words, foreign = tmp_path / "words.db", tmp_path / "foreign.db"
    words.write_bytes(b"no database, " * 100)
    with closing(sqlite3.connect(foreign)) as other:
        other.execute("CREATE TABLE t (a)")
    for file in (words, foreign):
        before = file.read_bytes()
        for opened in (open_site, Reader):
            with pytest.raises(DataError, match="journal of a live site"):
                opened(file)
        assert file.read_bytes() == before
    with pytest.raises(DataError, match="there is no journal"):
        Reader(tmp_path / "none.db")
    with pytest.raises(DataError, match="there is no journal"):
        Commands(tmp_path / "none.db")


def test_another_sites_journal_and_a_simulated_one_for_a_real_site_are_refused(path):
    open_site(path).close()
    with pytest.raises(DataError, match="of site 'site', not of 'other'"):
        open_site(path, site="other")
    with pytest.raises(DataError, match="of a simulated site and this one is real"):
        open_site(path, simulated=False)


def test_a_damaged_journal_is_refused_in_a_sentence(path):
    with open_site(path) as journal:
        for n in range(40):
            journal.record_decision(full(n))
    raw = bytearray(path.read_bytes())
    for page in range(20, len(raw) // 4096):
        raw[4096 * page : 4096 * page + 64] = bytes(range(64))
    path.write_bytes(raw)
    with pytest.raises(RunError, match="is damaged"):
        open_site(path)
    with pytest.raises(RunError, match="is damaged"):
        Reader(path).decisions()


# ---- a full disk


def fill(journal):
    """No page more than there are."""
    journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")


def free(journal):
    journal._connection.execute("PRAGMA max_page_count = 1000000")


def test_with_a_full_disk_rows_wait_in_their_order_and_none_is_lost_or_halved(journal):
    fill(journal)
    ids = [journal.record_decision(full(n)) for n in range(12)]
    first = ids.index(None)
    assert all(one is None for one in ids[first:])
    assert "database or disk is full" in journal.problem and "not sent" in journal.problem
    journal.record_event(Event(NOON, "alert", "disk"))
    assert not journal.healthy and journal.waiting == 12 - first + 1
    assert len(Reader(journal.path).decisions()) == len(Reader(journal.path).events()) == first
    with pytest.raises(DataError, match="decided already"):
        journal.record_decision(full(11))
    with pytest.raises(RunError, match="cannot be written"):
        journal.unsettled()
    free(journal)
    assert journal.flush() and journal.healthy and journal.problem is None
    reader = Reader(journal.path)
    assert reader.decisions().index.tolist() == [NOON + n * STEP for n in range(12)]
    assert reader.events()["name"].tolist() == ["cap"] * 12 + ["disk"]
    assert len(journal.unsettled()) == 12


def test_a_disk_that_takes_no_more_bytes_is_waited_out(journal):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal.record_decision(full(0))
    size = journal.path.with_name("live.db-wal").stat().st_size
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        assert journal.record_decision(full(1)) is None
        with pytest.raises(RunError, match="cannot be written"):
            journal.record_send(1, "sending", NOON, attempt=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.flush()
    assert len(Reader(journal.path).decisions()) == 2
    journal.record_send(1, "sending", NOON, attempt=1)


def test_while_another_program_has_the_file_locked_rows_wait(journal):
    journal._connection.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert journal.record_decision(row()) is None
        assert "locked" in journal.problem
        other.execute("ROLLBACK")
    assert journal.record_decision(row(1)) == 2 and journal.healthy


def test_what_waits_in_memory_is_bounded(journal, monkeypatch):
    monkeypatch.setattr(journal_module, "MOST_WAITING", 3)
    journal._connection.execute("PRAGMA query_only = ON")
    for _ in range(3):
        journal.record_event(Event(NOON, "alert", "disk"))
    with pytest.raises(RunError, match="3 writes wait"):
        journal.record_event(Event(NOON, "alert", "disk"))
    journal._connection.execute("PRAGMA query_only = OFF")
    assert journal.flush() and len(Reader(journal.path).events()) == 3


def test_a_row_that_waited_and_contradicts_what_is_recorded_is_reported_and_holds_nothing_up(journal):
    journal._connection.execute("PRAGMA query_only = ON")
    journal.record_send(1, "confirmed", NOON, attempt=1)
    journal.record_event(Event(NOON, "alert", "disk"))
    journal._connection.execute("PRAGMA query_only = OFF")
    assert journal.flush()
    events = Reader(journal.path).events()
    assert events["name"].tolist() == ["refused row", "disk"] and "never sent" in events["text"].iloc[0]


def test_the_journal_is_not_written_by_a_forked_process(journal):
    journal._pid += 1
    with pytest.raises(RunError, match="after a fork"):
        journal.record_event(Event(NOON, "alert", "disk"))


# ---- many readers


def test_readers_do_not_hold_up_the_loop_nor_let_the_log_grow(journal):
    stop, seen = threading.Event(), []

    def read():
        reader = Reader(journal.path)
        while not stop.is_set():
            table = reader.decisions()
            assert len(reader.forecast()) in (0, 24)
            seen.append(len(table))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for one in readers:
        one.start()
    largest = 0
    for n in range(300):
        journal.record_decision(full(n))
        largest = max(largest, journal.path.with_name("live.db-wal").stat().st_size)
    stop.set()
    for one in readers:
        one.join()
    assert journal.healthy and len(seen) > 0
    assert largest < 2 * journal_file.WAL_BYTES


def test_a_reader_cannot_write(journal):
    with pytest.raises(RunError, match="readonly"):
        Reader(journal.path)._rows("CREATE TABLE t (a)")


def test_a_journal_is_read_while_the_loop_runs_and_after_it_was_closed_or_killed(path):
    with open_site(path) as journal:
        journal.record_decision(row())
        assert len(Reader(path).decisions()) == 1
    assert len(Reader(path).decisions()) == 1 and not Reader(path).status()["running"]


def test_the_latest_change_grows_with_every_row_and_with_nothing_else(journal):
    reader = Reader(journal.path)
    before = reader.latest_change()
    assert before == reader.latest_change()
    writes = (
        lambda: journal.record_decision(full()),
        lambda: journal.record_send(1, "sending", NOON, attempt=1),
        lambda: journal.record_event(Event(NOON, "alert", "x")),
        lambda: journal.record_outcome(NOON, NOON, **dict.fromkeys(MONEY, 0.0)),
        lambda: journal.record_prices(prices(), NOON),
        lambda: journal.record_exchange(Exchange(NOON, "GET /prices", 200, 1.0, "[]", None, None)),
        lambda: Commands(journal.path).resume(),
        lambda: journal.apply_command(journal.commands()[0], NOON),
        lambda: journal.record_loop("stop", NOON, {}),
    )
    for write in writes:
        write()
        assert reader.latest_change() > before
        before = reader.latest_change()


def test_status_says_how_the_site_stands(journal):
    journal.record_decision(full())
    journal.record_send(1, "sending", NOON, attempt=1)
    journal.record_send(1, "confirmed", NOON, attempt=1, updated_at=NOON)
    status = Reader(journal.path).status()
    assert status.pop("since") and status == {
        "site": "site", "simulated": True, "running": True, "pid": os.getpid(), "paused": False, "last_interval": NOON,
        "last_decided_at": NOON + pd.Timedelta(seconds=2), "n_decisions": 1, "n_confirmed": 1,
        "n_events": {"protocol": 1}, "schema_version": 1,
    }  # fmt: skip


# ---- commands


def test_commands_are_given_out_until_they_are_applied_and_across_restarts(path):
    until = NOON + pd.Timedelta(hours=1)
    with open_site(path) as journal:
        asked = Commands(path, by="viewer")
        tokens = [
            asked.pause(),
            asked.risk(0.5),
            asked.override({"air_miners": 3}, until),
            asked.clear_override(),
            asked.resume(),
        ]
        assert [one.token for one in journal.commands()] == tokens
        journal.apply_command(journal.commands()[0], NOON)
        assert Reader(path).status()["paused"]
    with open_site(path) as journal:
        waiting = journal.commands()
        assert [one.token for one in waiting] == tokens[1:]
        value = json.loads(waiting[1].value)
        assert value["counts"] == dict.fromkeys(MACHINES, 0) | {"air_miners": 3}
        assert pd.Timestamp(value["until"]) == until
        for one in waiting:
            journal.apply_command(one, NOON, "as asked")
        assert journal.commands() == ()
        with pytest.raises(DataError, match="contradict"):
            journal.apply_command(waiting[0], NOON)
    table = Reader(path).commands()
    assert table["kind"].tolist() == ["pause", "risk", "override", "clear_override", "resume"]
    assert table["by"].tolist() == ["viewer"] * 5 and table["applied_at"].notna().all()
    assert not Reader(path).status()["paused"]


def test_absurd_commands_are_refused(journal):
    asked = Commands(journal.path)
    for call in (
        lambda: asked.risk(1.5),
        lambda: asked.risk(float("nan")),
        lambda: asked.override({"air": 1}, NOON),
        lambda: asked.override({"air_miners": -1}, NOON),
        lambda: asked.override({"air_miners": 0.5}, NOON),
        lambda: asked.override({"air_miners": 1}, pd.Timestamp("2025-06-21")),
    ):
        with pytest.raises(DataError):
            call()
    assert journal.commands() == ()


def test_a_busy_or_damaged_inbox_does_not_stop_the_loop_silently(journal):
    asked = Commands(journal.path)
    asked.pause()
    with closing(sqlite3.connect(inbox_of(journal.path), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert journal.commands() == ()
        other.execute("ROLLBACK")
    assert len(journal.commands()) == 1
    inbox_of(journal.path).write_bytes(b"x" * 5000)
    with pytest.raises(RunError, match="is damaged"):
        journal.commands()
    with pytest.raises(RunError, match="cannot be written"):
        asked.pause()
