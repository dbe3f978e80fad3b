import json
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress

import pandas as pd
import pytest
from conftest import PROJECT
from test_live_step import market

from gridlab.dispatch.order import Readings
from gridlab.errors import DataError, RunError, ServerError
from gridlab.live.clock import SimulatedClock
from gridlab.live.commands import Commands
from gridlab.live.config import STEP, Config
from gridlab.live.inputs import read_readings
from gridlab.live.journal import Journal
from gridlab.live.logs import open_log
from gridlab.live.loop import Loop, Site
from gridlab.live.reading import Reader
from gridlab.live.replay import replay
from gridlab.live.running import run_site
from gridlab.live.settings import read_config
from gridlab.live.simulator import SiteSpec, mixed, running
from gridlab.live.starting import joined, simulated
from gridlab.live.state import Asked
from gridlab.sources.mara import DOCUMENTED, EVENT, MACHINES, ApiKey
from gridlab.sources.prices import read_prices

KEY = "5f0c1a9e-3d7b-4f6a-9a51-0c2f5b8e7d46"
START = pd.Timestamp("2025-06-21 12:00", tz="UTC")


@pytest.fixture
def journal_path(tmp_path):
    return tmp_path / "live.db"


def ask(url, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url + path, data=data), timeout=10) as reply:
        return json.load(reply)


def puts_by_interval(url):
    puts = pd.DataFrame(ask(url, "/simulator/log")["puts"])
    return puts.set_index(pd.to_datetime(puts["time"], utc=True, format="ISO8601").dt.floor("5min"))[list(MACHINES)]


def fail(url, *calls, kind="drop"):
    ask(url, "/simulator/faults", {"faults": [{"kind": kind, "probability": 1.0, "call": call} for call in calls]})


def events(path, name, kind="fallback"):
    told = Reader(path).events()
    return told[(told["name"] == name) & (told["kind"] == kind)]


def decided(path):
    """How many intervals are decided; none while the journal is being made."""
    with suppress(DataError):
        return Reader(path).status()["n_decisions"]
    return 0


def phases(path, name, kind="fallback"):
    return events(path, name, kind)["phase"].tolist()


@contextmanager
def site_of(journal_path, config=None, **server):
    """A simulated server with the site of `KEY`, and what joins a loop to it."""
    with running(**{"clock": "manual", "start": START, "sites": [SiteSpec("site", KEY)]} | server) as url:

        def join(path=journal_path, **options):
            return joined(url, ApiKey(KEY), path, config or Config(), simulated=True, **options)

        yield url, join


def test_the_loop_decides_as_the_replay_of_the_same_prices_does(journal_path):
    prices = market(30)
    with simulated(journal_path, market=prices, inventory=DOCUMENTED, start=prices.index[0]) as loop:
        assert loop.run(steps=12) == 12
    decisions, played = Reader(journal_path).decisions(), replay(prices, DOCUMENTED, Config())
    columns = [*MACHINES, "expected_profit"]
    pd.testing.assert_frame_equal(decisions[columns], played.decisions[columns][:12], check_freq=False)
    outcomes = Reader(journal_path).outcomes()
    pd.testing.assert_frame_equal(outcomes, played.outcomes[outcomes.columns][:12], check_freq=False, rtol=1e-12)


def test_under_faults_every_interval_is_decided_and_applied_once_and_the_cap_holds(journal_path):
    sites = [SiteSpec("site", KEY)]
    with running(clock="manual", start=START, sites=sites, faults=mixed(0.25), seed=5) as url:
        with joined(url, ApiKey(KEY), journal_path, Config(), simulated=True, seed=1) as loop:
            loop.run(steps=30)
        puts = puts_by_interval(url)
    decisions, replies = Reader(journal_path).decisions(), Reader(journal_path).replies()
    assert len(decisions) == 30
    assert (decisions.index[1:] - decisions.index[:-1] == STEP).all()
    assert set(decisions["status"]) <= {"confirmed", "recovered", "failed"}
    assert not puts.index.duplicated().any()
    assert (puts @ pd.Series(EVENT.power) <= 1_000_000).all()
    in_force = decisions[decisions["status"] != "failed"]
    pd.testing.assert_frame_equal(puts, in_force[list(MACHINES)], check_freq=False, check_names=False)
    assert len(in_force) >= 28
    assert replies["problem"].notna().mean() > 0.1


def test_an_outage_holds_then_goes_safe_and_ends_by_itself_with_every_stage_told(journal_path):
    config, sites = Config(hold_minutes=10.0, stale_minutes=5.0), [SiteSpec("site", KEY)]
    with running(clock="manual", start=START, sites=sites) as url:
        with joined(url, ApiKey(KEY), journal_path, config, simulated=True) as loop:
            loop.run(steps=2)
            ask(url, "/simulator/faults", {"faults": [{"kind": "drop", "probability": 1.0, "call": "GET /prices"}]})
            loop.run(steps=5)
            ask(url, "/simulator/faults", {"faults": []})
            loop.run(steps=1)
        puts = puts_by_interval(url)
    modes = Reader(journal_path).decisions()["mode"].tolist()
    assert modes[:2] == ["normal", "normal"]
    assert modes[-1] == "normal"
    assert modes[2:7] == ["hold", "safe", "safe", "safe", "safe"]
    assert puts.iloc[5].sum() == 0
    assert puts.iloc[-1].sum() > 0
    told = Reader(journal_path).events().query("kind == 'fallback' and name == 'prices'")["phase"].tolist()
    assert told == ["raised", "ended"]


def test_an_allocation_that_could_not_be_sent_is_not_taken_to_be_in_force(journal_path):
    with (
        running(clock="manual", start=START, sites=[SiteSpec("site", KEY)]) as url,
        joined(url, ApiKey(KEY), journal_path, Config(), simulated=True) as loop,
    ):
        ask(url, "/simulator/faults", {"faults": [{"kind": "drop", "probability": 1.0, "call": "PUT /machines"}]})
        loop.run(steps=1)
        ask(url, "/simulator/faults", {"faults": []})
        loop.run(steps=1)
    decisions, outcomes = Reader(journal_path).decisions(), Reader(journal_path).outcomes()
    assert decisions["status"].tolist() == ["failed", "confirmed"]
    assert outcomes["revenue"].iloc[0] == 0
    assert outcomes["revenue"].iloc[1] > 0


def test_a_loop_that_begins_again_goes_on_as_if_it_had_never_stopped(journal_path, tmp_path):
    prices = market(30)
    config = Config(switching_cost={"asic_compute": 100.0})
    for path, parts in ((journal_path, [9]), (tmp_path / "cut.db", [2, 1, 3, 3])):
        sites = [SiteSpec("site", KEY)]
        with running(prices, clock="manual", sites=sites, inventory=DOCUMENTED, start=START) as url:
            for steps in parts:
                with joined(url, ApiKey(KEY), path, config, simulated=True) as loop:
                    loop.run(steps=steps)
    whole, cut = Reader(journal_path), Reader(tmp_path / "cut.db")
    columns = [*MACHINES, "mode", "status", "expected_profit"]
    pd.testing.assert_frame_equal(whole.decisions()[columns], cut.decisions()[columns])
    pd.testing.assert_frame_equal(whole.outcomes(), cut.outcomes())
    pd.testing.assert_frame_equal(whole.forecast(), cut.forecast())


def test_a_second_loop_on_a_site_refuses(journal_path):
    with simulated(journal_path, start=START) as loop:
        loop.run(steps=1)
        with pytest.raises(RunError, match="already run"):
            Journal.open(journal_path, site="site", simulated=True)


def test_people_pause_resume_lean_and_override_and_the_journal_says_when(journal_path):
    with simulated(journal_path, start=START) as loop:
        loop.run(steps=1)
        last, commands = Reader(journal_path).decisions().index[-1], Commands(journal_path, by="operator")
        commands.pause()
        loop.run(steps=1)
        commands.resume()
        commands.risk(0.5)
        commands.override({"gpu_compute": 7}, last + 4 * STEP)
        loop.run(steps=1)
        commands.clear_override()
        loop.run(steps=1)
    reader = Reader(journal_path)
    assert reader.decisions()["mode"].tolist() == ["normal", "paused", "override", "normal"]
    assert reader.decisions()["status"].tolist() == ["confirmed", "kept", "confirmed", "confirmed"]
    assert reader.decisions()["gpu_compute"].iloc[2] == 7
    assert reader.commands()["applied_at"].notna().all()
    assert json.loads(reader.state())["risk"] == 0.5


def test_the_key_is_in_no_file_that_the_loop_leaves(tmp_path, journal_path):
    key = ApiKey(KEY)
    with (
        running(clock="manual", start=START, sites=[SiteSpec("site", KEY)], faults=mixed(0.3), seed=2) as url,
        open_log(tmp_path / "loop.log", redact=[key.redact], level=logging.DEBUG) as log,
        joined(url, key, journal_path, Config(), simulated=True, log=log) as loop,
    ):
        loop.run(steps=8)
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert {"loop.log", "live.db"} <= {path.name for path in files}
    assert not any(KEY.encode() in path.read_bytes() for path in files)


def test_a_server_that_grants_less_is_kept_to(journal_path):
    with simulated(journal_path, Config(cap_power=1_000_000), cap_power=400_000, start=START) as loop:
        loop.run(steps=1)
    assert Reader(journal_path).decisions()["power"].tolist() == [400_000]
    assert "cap" in Reader(journal_path).events()["name"].tolist()


def test_what_the_loop_recorded_can_be_read_as_prices(journal_path):
    prices = market(30)
    with simulated(journal_path, market=prices, start=prices.index[5]) as loop:
        loop.run(steps=3)
    read = read_prices(journal_path)
    pd.testing.assert_frame_equal(read, prices[:8], check_freq=False, check_names=False)


def test_the_command_makes_a_simulated_site_keeps_its_key_to_itself_and_stops_when_told(tmp_path):
    said = []
    path = tmp_path / "yard" / "live.db"
    assert run_site(Config(site="yard"), path, steps=2, speed=3000.0, report=False, echo=said.append) == 2
    assert said[0].startswith("SIMULATED: site 'yard'")
    assert stat.S_IMODE(path.with_name("live.db-key").stat().st_mode) == 0o600
    assert len(Reader(path).decisions()) == 2
    assert json.loads((tmp_path / "yard" / "live.db.log").read_text().splitlines()[0])["message"] == "decided"


def test_a_killed_loop_is_started_again_and_nothing_is_lost_or_sent_twice(tmp_path):
    path = tmp_path / "live.db"
    kept = tmp_path / "live.db-key"
    kept.write_text(KEY)
    kept.chmod(0o600)
    with running(clock="manual", start=START, sites=[SiteSpec("site", KEY)]) as url:
        command = [sys.executable, "-m", "gridlab.cli", "live", "--url", url, "--journal", str(path), "--no-report"]
        loop = subprocess.Popen([*command, "--steps", "500"], cwd=PROJECT, stdout=subprocess.DEVNULL)
        while decided(path) < 4:
            time.sleep(0.05)
        loop.kill()
        loop.wait()
        before = Reader(path).status()["n_decisions"]
        subprocess.run([*command, "--steps", "3"], cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
        puts = puts_by_interval(url)
    decisions = Reader(path).decisions()
    assert len(decisions) == before + 3
    assert (decisions.index[1:] - decisions.index[:-1] == STEP).all()
    assert not puts.index.duplicated().any()
    assert set(decisions["status"]) <= {"confirmed", "recovered"}


def test_the_loop_stops_between_steps_when_told(journal_path):
    stop = threading.Event()
    with simulated(journal_path, start=START) as loop:
        stop.set()
        assert loop.run(steps=5, stop=stop) == 0
    assert Reader(journal_path).status()["running"] is False


def test_a_fault_of_the_step_itself_holds_the_site_and_is_told(journal_path, monkeypatch):
    with simulated(journal_path, start=START) as loop:
        loop.run(steps=1)
        monkeypatch.setattr("gridlab.live.loop.step", lambda *_, **__: 1 / 0)
        loop.run(steps=1)
        monkeypatch.undo()
        loop.run(steps=1)
    decisions = Reader(journal_path).decisions()
    assert decisions["mode"].tolist() == ["normal", "hold", "normal"]
    assert "ZeroDivisionError" in decisions["reason"].iloc[1]


def test_while_the_disk_is_full_nothing_is_sent_and_after_it_nothing_is_lost(journal_path, monkeypatch):
    def full(self, write):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with site_of(journal_path) as (url, join), join() as loop:
        loop.run(steps=2)
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "_commit", full)
            assert loop.run(steps=3) == 3
            assert not loop.journal.healthy
        loop.run(steps=2)
        puts = puts_by_interval(url)
    decisions = Reader(journal_path).decisions()
    assert (decisions.index[1:] - decisions.index[:-1] == STEP).all()
    assert decisions["status"].tolist() == [*["confirmed"] * 2, *["superseded"] * 2, *["confirmed"] * 3]
    in_force = decisions.loc[decisions["status"] == "confirmed", list(MACHINES)]
    pd.testing.assert_frame_equal(puts, in_force, check_freq=False, check_names=False)


def test_what_a_person_asked_outlives_a_kill_between_the_asking_and_the_decision(journal_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with site_of(journal_path) as (_, join):
        with join() as loop:
            loop.run(steps=1)
            Commands(journal_path).pause()
            monkeypatch.setattr(Loop, "_decide", killed)
            with pytest.raises(KeyboardInterrupt):
                loop.run(steps=1)
        monkeypatch.undo()
        with join() as loop:
            loop.run(steps=1)
    assert Reader(journal_path).decisions()["mode"].tolist() == ["normal", "paused"]


def test_a_loop_that_begins_again_knows_what_really_runs_and_not_what_was_decided(journal_path, monkeypatch):
    config = Config(stale_minutes=5.0, hold_minutes=60.0)
    with site_of(journal_path, config) as (url, join):
        with join() as loop:
            loop.run(steps=1)
            fail(url, "PUT /machines")
            Commands(journal_path).override({"gpu_compute": 9}, START + 10 * STEP)
            loop.run(steps=1)
        fail(url, "GET /prices")
        with join() as loop:
            loop.run(steps=1)
    decisions = Reader(journal_path).decisions()
    assert decisions["status"].tolist() == ["confirmed", "failed", "confirmed"]
    assert decisions["gpu_compute"].tolist()[:2] == [0, 9]
    assert decisions["mode"].iloc[2] == "hold"
    assert decisions["hydro_miners"].tolist() == [200, 0, 200]


def test_machines_that_run_before_a_first_decision_are_held_where_there_are_no_prices(journal_path, tmp_path):
    with site_of(journal_path) as (_, join):
        with join() as loop:
            loop.run(steps=1)
        with join(tmp_path / "new.db") as loop:
            loop._begin()
            assert loop._state.order.counts["hydro_miners"] == 200


def test_a_loop_told_to_stop_while_it_waits_for_a_lost_answer_stops_and_the_next_one_settles_it(
    journal_path, monkeypatch
):
    stop, sleep = threading.Event(), SimulatedClock.sleep

    def told(self, seconds, ended=None):
        if 30 < seconds < 50:  # the wait for a request that may be under way
            stop.set()
        sleep(self, seconds, ended)

    monkeypatch.setattr(SimulatedClock, "sleep", told)
    with site_of(journal_path) as (url, join):
        with join() as loop:
            fail(url, "PUT /machines", "GET /machines", kind="drop_after")
            assert loop.run(steps=5, stop=stop) == 0
        assert Reader(journal_path).decisions()["status"].tolist() == ["sending"]
        monkeypatch.undo()
        fail(url)
        with join() as loop:
            loop.run(steps=1)
        puts = puts_by_interval(url)
    assert Reader(journal_path).decisions()["status"].tolist() == ["recovered", "confirmed"]
    assert not puts.index.duplicated().any()


def test_whatever_sensors_bids_and_the_days_end_throw_at_it_the_loop_goes_on_and_tells_it_once(journal_path):
    def broken(*_):
        raise KeyError("no such sensor")

    with site_of(journal_path, start=START + 142 * STEP) as (_, join):
        with join(site=Site(readings=broken, bids=broken), day_ended=broken) as loop:
            assert loop.run(steps=4) == 4
        with join() as loop:
            loop.run(steps=1)
    assert set(Reader(journal_path).decisions()["status"]) == {"confirmed"}
    assert phases(journal_path, "readings") == phases(journal_path, "bids") == ["raised", "ended"]
    assert events(journal_path, "readings")["text"].iloc[-1] == "ended after 4 steps"


def test_old_readings_count_as_silent_and_are_told(journal_path):
    said = [Readings(START - 3 * STEP, temperature_c=90.0)]
    with site_of(journal_path) as (_, join), join(site=Site(readings=lambda: said.pop(0))) as loop:
        loop.run(steps=1)
        assert loop._state.readings.temperature_c is None
        assert loop._state.readings.at == START - 3 * STEP
        said[:] = [Readings(START + STEP, temperature_c=90.0)]
        loop.run(steps=1)
        said[:] = [Readings(START + 20 * STEP, temperature_c=90.0)]
        loop.run(steps=1)
    decisions = Reader(journal_path).decisions()
    assert [power > 0 for power in decisions["power"][:2]] == [True, False]
    assert phases(journal_path, "readings") == ["raised", "ended", "raised"]


def test_a_machine_that_was_suspended_says_what_it_missed_and_goes_on(journal_path, monkeypatch):
    with site_of(journal_path) as (_, join), join() as loop:
        loop.run(steps=1)
        sleep, suspended = SimulatedClock.sleep, [3600.0]

        def slept(self, seconds, stop=None):
            sleep(self, seconds + (suspended.pop() if suspended else 0.0), stop)

        monkeypatch.setattr(SimulatedClock, "sleep", slept)
        loop.run(steps=2)
    decisions = Reader(journal_path).decisions()
    assert decisions["status"].iloc[2] == "confirmed"
    assert decisions.index[1] - decisions.index[0] == 12 * STEP
    missed = events(journal_path, "missed", "loop")["text"].tolist()
    assert len(missed) == 1
    assert missed[0].startswith("11 intervals")


class Off:
    """A clock that is wrong."""

    def __init__(self, clock, by):
        self._clock, self.by = clock, by

    def now(self):
        return self._clock.now() + self.by

    def sleep(self, seconds, stop=None):
        self._clock.sleep(seconds, stop)


@pytest.mark.parametrize("hours", [-1, 1])
def test_an_hour_between_the_clocks_leads_to_the_safe_state_and_is_told(journal_path, hours):
    with site_of(journal_path, Config(hold_minutes=5.0), start=START + 24 * STEP) as (url, join), join() as loop:
        loop._clock = Off(loop._clock, pd.Timedelta(hours=hours))
        loop._client._now = loop.now
        loop.run(steps=4)
        last = ask(url, "/simulator/log")["puts"][-1]
    decisions = Reader(journal_path).decisions()
    assert decisions["mode"].iloc[-1] == "safe"
    assert sum(last[name] for name in MACHINES) == 0
    assert set(decisions["status"]) <= {"confirmed", "recovered"}
    assert phases(journal_path, "prices") == ["raised"]


def test_a_clock_that_was_set_back_is_told_and_no_interval_is_decided_twice(journal_path):
    with site_of(journal_path) as (_, join), join() as loop:
        right = loop._clock
        loop._clock = Off(right, pd.Timedelta(hours=1))
        loop.run(steps=1)
        loop._clock = right
        loop.run(steps=1)
    decisions = Reader(journal_path).decisions()
    assert decisions.index[1] - decisions.index[0] == STEP
    assert phases(journal_path, "clock") == ["raised", "ended"]


def test_the_end_of_a_day_is_told_once_even_where_midnight_itself_was_missed(journal_path):
    ended = []
    with site_of(journal_path, start=START + 141 * STEP) as (url, join):
        with join(day_ended=ended.append) as loop:
            loop.run(steps=2)
            ask(url, "/simulator/clock", {"to": (START + 150 * STEP).isoformat()})
        with join(day_ended=ended.append) as loop:
            loop.run(steps=2)
    assert ended == [START.normalize()]


def test_a_cap_that_the_server_lowers_is_kept_to_until_it_raises_it(journal_path):
    with site_of(journal_path) as (_, join), join() as loop:
        site, granted = loop._client.get_site(), [400_000, 400_000, 0, 2_000_000]
        loop._client.get_site = lambda: site._replace(power=granted.pop(0))
        for _ in range(4):
            loop._asked_at = pd.Timestamp(0, tz="UTC")
            loop.run(steps=1)
    assert Reader(journal_path).decisions()["power"].tolist() == [400_000, 400_000, 0, 1_000_000]
    assert phases(journal_path, "cap") == ["raised", "ended"]


def test_a_site_that_the_server_does_not_tell_is_run_with_the_cap_of_the_settings(journal_path):
    with site_of(journal_path) as (url, join), join() as loop:
        fail(url, "GET /sites")
        loop.run(steps=1)
        fail(url)
        loop.run(steps=1)
    assert Reader(journal_path).decisions()["power"].tolist() == [1_000_000, 1_000_000]
    assert phases(journal_path, "site") == ["raised", "ended"]


def test_without_machine_types_the_loop_waits_tells_it_and_goes_on_by_itself(journal_path, monkeypatch):
    with site_of(journal_path) as (url, join), join() as loop:
        fail(url, "GET /inventory")
        told, sleep = [], SimulatedClock.sleep

        def mended(self, seconds, stop=None):
            told.append(seconds)
            if told.count(30.0) == 3:
                fail(url)
            sleep(self, seconds, stop)

        monkeypatch.setattr(SimulatedClock, "sleep", mended)
        loop.run(steps=1)
    assert Reader(journal_path).decisions()["mode"].tolist() == ["normal"]
    assert phases(journal_path, "inventory") == ["raised", "ended"]


def test_a_simulated_server_that_is_gone_costs_its_intervals_and_not_the_loop(journal_path, monkeypatch):
    def gone(self, *_):
        raise ServerError("the simulated clock does not answer")

    with site_of(journal_path, clock="fast", speed=3000.0) as (url, join), join() as loop:
        loop.run(steps=1)
        fail(url, "GET /prices")
        monkeypatch.setattr(SimulatedClock, "now", gone)
        loop.run(steps=2)
        monkeypatch.undo()
        fail(url)
        loop.run(steps=1)
    assert len(Reader(journal_path).decisions()) == 4


def test_a_send_that_fails_is_told_once_and_ends_by_itself(journal_path):
    with site_of(journal_path) as (url, join):
        with join() as loop:
            loop.run(steps=1)
            fail(url, "PUT /machines", kind="server_error")
            loop.run(steps=2)
        with join() as loop:
            loop.run(steps=1)
            fail(url)
            loop.run(steps=1)
    assert phases(journal_path, "send") == ["raised", "ended"]
    assert events(journal_path, "send")["text"].iloc[-1] == "ended after 4 steps"


def test_alerts_that_stood_when_a_loop_ended_end_and_are_raised_anew(journal_path):
    with site_of(journal_path) as (_, join):
        hot = Site(readings=lambda: Readings(temperature_c=80.0))
        with join(site=hot) as loop:
            loop.run(steps=2)
        with join(site=hot) as loop:
            loop.run(steps=1)
        with join() as loop:
            loop.run(steps=1)
    assert phases(journal_path, "temperature", "alert") == ["raised", "ended", "raised", "ended"]


def test_a_step_that_fails_wholly_loses_its_interval_is_told_and_the_loop_goes_on(journal_path, monkeypatch):
    with site_of(journal_path) as (_, join), join() as loop:
        loop.run(steps=1)
        with monkeypatch.context() as patch:
            patch.setattr("gridlab.live.loop.row_of", lambda *_: 1 / 0)
            loop.run(steps=2)
        loop.run(steps=1)
    decisions = Reader(journal_path).decisions()
    assert (decisions.index[1] - decisions.index[0]) == 3 * STEP
    assert phases(journal_path, "step") == ["raised", "ended"]


def test_a_wrong_key_and_none_end_before_anything_is_decided(journal_path):
    other = ApiKey("5f0c1a9e-3d7b-4f6a-9a51-0c2f5b8e7d47")
    with (
        site_of(journal_path) as (url, _),
        pytest.raises(DataError, match="401: the server does not accept the API key"),
        joined(url, other, journal_path, Config(), simulated=True),
    ):
        pass
    assert Reader(journal_path).decisions().empty
    nameless = joined(url, None, journal_path, Config(), simulated=False)
    with pytest.raises(DataError, match="needs its API key"), nameless:
        pass


def test_the_stages_of_a_step_add_up_from_the_prices_to_the_answer(journal_path, monkeypatch):
    record = Journal.record_decision

    def slow(self, row):
        time.sleep(0.05)
        return record(self, row)

    monkeypatch.setattr(Journal, "record_decision", slow)
    with site_of(journal_path) as (_, join), join() as loop:
        loop.run(steps=1)
    [row] = Reader(journal_path).decisions().itertuples()
    assert row.ms_journal >= 50
    stages = [name for name in row._fields if name.startswith("ms_") and name != "ms_total"]
    assert row.ms_total == pytest.approx(sum(getattr(row, name) for name in stages))


def test_a_loop_that_ends_while_the_disk_is_full_says_what_is_not_recorded(journal_path, monkeypatch):
    def full(self, write):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with running(clock="manual", start=START) as url:
        run_site(Config(), journal_path, url=url, steps=1, report=False, echo=lambda _: None)
        monkeypatch.setattr(Journal, "_commit", full)
        with pytest.raises(RunError, match=r"rows not recorded: .* make room"):
            run_site(Config(), journal_path, url=url, steps=2, report=False, echo=lambda _: None)


def test_a_site_without_a_name_is_refused(journal_path):
    with pytest.raises(DataError, match="a site needs a name"):
        joined("http://127.0.0.1:9", ApiKey(KEY), journal_path, Config(site=" "), simulated=True).__enter__()


def test_an_inbox_that_is_damaged_is_told_and_costs_no_step(journal_path):
    with site_of(journal_path) as (_, join):
        with join() as loop:
            loop.run(steps=1)
        inbox = journal_path.with_name("live.db-commands")
        inbox.write_bytes(b"no database" * 1000)
        with join() as loop:
            loop.run(steps=2)
            inbox.unlink()
            loop.run(steps=1)
    assert set(Reader(journal_path).decisions()["status"]) == {"confirmed"}
    assert phases(journal_path, "commands") == ["raised", "ended"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("override", '{"counts": {"gpu_compute": -5}, "until": "2025-06-22T00:00Z"}'),
        ("override", '{"counts": {"gpu_compute": 1.5}, "until": "2025-06-22T00:00Z"}'),
        ("override", '{"counts": {"gpu_compute": 1' + 30 * "0" + '}, "until": "2025-06-22T00:00Z"}'),
        ("override", '{"counts": {"gpu_compute": 5}, "until": "2025-06-22T00:00"}'),
        ("override", '{"counts": {"gpu_compute": 5}, "until": null}'),
        ("risk", "NaN"),
        ("risk", "[" * 100_000),
        ("pause", "no JSON"),
        ("zap", "1"),
    ],
)
def test_a_command_that_is_none_changes_nothing(kind, value):
    with pytest.raises(DataError):
        Asked().after(kind, value)


@pytest.mark.parametrize("count", [2.5, -1, float("nan"), float("inf"), "x", 10**30, True, None])
def test_a_count_that_is_none_is_refused_where_it_is_asked(journal_path, count):
    Journal.open(journal_path, site="site", simulated=True).close()
    with pytest.raises(DataError, match="whole counts"):
        Commands(journal_path).override({"gpu_compute": count}, START)


@pytest.mark.parametrize("until", [None, pd.NaT, pd.Timestamp("2025-06-21"), "2025-06-21T12:00Z"])
def test_an_override_without_an_end_is_refused_where_it_is_asked(journal_path, until):
    Journal.open(journal_path, site="site", simulated=True).close()
    with pytest.raises(DataError):
        Commands(journal_path).override({"gpu_compute": 1}, until)


@pytest.mark.parametrize("text", ["[]", "0", "''", "text", "risk: 0.1\nrisk: 0.2", "[" * 5000])
def test_settings_that_are_no_mapping_or_say_a_thing_twice_are_refused(tmp_path, text):
    (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(DataError):
        read_config(tmp_path / "site.yaml")


def test_readings_of_a_pipe_or_without_bound_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="no regular file"):
        read_readings(tmp_path / "pipe")
    (tmp_path / "readings.json").write_text('{"at": "2025-06-21T12:00:00Z", "power_mw": Infinity}')
    with pytest.raises(DataError, match="power_mw"):
        read_readings(tmp_path / "readings.json")
