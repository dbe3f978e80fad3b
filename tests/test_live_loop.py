import json
import logging
import stat
import subprocess
import sys
import threading
import time
import urllib.request

import pandas as pd
import pytest
from conftest import PROJECT
from test_live_step import market

from gridlab.errors import RunError
from gridlab.live.commands import Commands
from gridlab.live.config import STEP, Config
from gridlab.live.journal import Journal
from gridlab.live.logs import open_log
from gridlab.live.reading import Reader
from gridlab.live.replay import replay
from gridlab.live.running import run_site
from gridlab.live.simulator import SiteSpec, mixed, running
from gridlab.live.starting import joined, simulated
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
        while not path.exists() or Reader(path).status()["n_decisions"] < 4:
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
