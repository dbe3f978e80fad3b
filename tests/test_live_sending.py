"""An allocation is sent once, wherever the loop is killed and whatever the server and the disk do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import live_crash
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_crash import FAULTS, START, Client, CrashingJournal, Killed, World, check, run

from gridlab.errors import DataError, RunError, ServerError
from gridlab.live import journal_file
from gridlab.live.journal import Journal
from gridlab.live.journal_tables import DecisionRow
from gridlab.live.reading import Reader
from gridlab.live.sending import recover, send
from gridlab.sources.mara import MACHINES, MachinesReply

NOON = pd.Timestamp("2025-06-21 12:00", tz="UTC")
COUNTS = dict.fromkeys(MACHINES, 0) | {"hydro_miners": 200}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Here a killed process is an exception, and the disk loses nothing."""
    monkeypatch.setattr(journal_file, "SYNCHRONOUS", "OFF")


@pytest.fixture
def journal(tmp_path):
    with CrashingJournal.open(tmp_path / "live.db", site="site", simulated=True) as opened:
        yield opened


def decide(journal, interval=NOON, **changes):
    values = {"mode": "normal", "reason": "plan", "counts": COUNTS, "power": 1_000_000, "power_mw": 1.0} | changes
    return journal.record_decision(DecisionRow(interval, interval, **values))


def meet(journal, **changes):
    """A world around a journal."""
    journal.world = world = World(**changes)
    return world, Client(world, journal)


def until_settled(path, world, intervals, kills, same):
    """Run through a list of kills, each after so many steps of the run before it; how often it was killed."""
    n = 0
    for kill_at, down_s in [*kills, (None, 0)]:
        world.ticks, world.kill_at, world.dead = 0, kill_at, False
        try:
            run(path, world, intervals, same=same, kind=CrashingJournal)
            return n
        except Killed:
            n += 1
            world.second += down_s
    raise AssertionError("the last run is not killed")


@pytest.mark.parametrize("same", [False, True], ids=["other counts each time", "the same counts each time"])
@pytest.mark.parametrize("fault", FAULTS)
def test_killed_at_any_instant_it_restarts_loses_nothing_and_sends_nothing_twice(tmp_path, fault, same):
    ticks, statuses = 0, {}
    while True:
        ticks += 1
        path = tmp_path / f"{ticks}.db"
        world = World(faults=["ok", fault])
        killed = until_settled(path, world, 2, [(ticks, 4.0 if ticks % 2 else 45.0)], same)
        for status, n in check(path, world, 2).items():
            statuses[status] = statuses.get(status, 0) + n
        if not killed:
            break
    assert ticks > 25
    assert statuses["recovered"] and statuses["confirmed"]


def test_a_loop_that_is_down_for_an_interval_does_not_send_what_it_had_decided_for_it(tmp_path):
    path, world = tmp_path / "live.db", World()
    with Journal.open(path, site="site", simulated=True) as journal:
        decide(journal)
        world.second = 400.0
        [one] = recover(journal, Client(world, journal), world).sent
    assert (one.status, world.requests) == ("superseded", [])
    assert Reader(path).decisions()["status"].tolist() == ["superseded"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=8),
    silent=st.sets(st.integers(1, 12), max_size=6),
    full=st.sets(st.integers(1, 25), max_size=6),
    kills=st.lists(st.tuples(st.integers(1, 30), st.floats(0.0, 40.0)), max_size=6),
    same=st.booleans(),
    never_set=st.booleans(),
    data=st.data(),
)
def test_under_any_faults_of_server_disk_and_process_each_decision_is_applied_at_most_once(
    tmp_path_factory, faults, silent, full, kills, same, never_set, data
):
    skew_s = data.draw(st.floats(-100.0, 100.0) if never_set or silent else st.floats(-1e5, 1e5))
    path = tmp_path_factory.mktemp("any") / "live.db"
    world = World(faults=faults, silent=silent, full=full, skew_s=skew_s, never_set=never_set)
    intervals = 3
    until_settled(path, world, intervals, kills, same)
    laws_without_a_whole_table(path, world, intervals)


def laws_without_a_whole_table(path, world, intervals):
    """As `check`, but a full disk or a long silence may have cost an interval."""
    table, sends = Reader(path).decisions(), Reader(path).sends()
    assert len(table) == intervals
    assert [json.loads(Reader(path).state(time))["n"] for time in table.index] == [1, 2, 3]
    world.second += 1000.0
    landed = world.landed()
    for decision, (interval, row) in enumerate(table.iterrows(), start=1):
        mine = [request for request in landed if request[2] == decision]
        last = sends[sends["time"] == interval].iloc[-1]
        once = 1 if row["status"] in ("confirmed", "recovered") else 0
        assert (
            len(mine) == once
            or (len(mine) == 1 and "not known" in last["detail"])
            or (
                row["status"] == "recovered"
                and not mine
                and sends.loc[sends["time"] <= interval, "updated_at"].count() == 1
            )
        )
        assert all(request[3] == row[list(MACHINES)].tolist() for request in mine)
        assert all(0 <= (START - interval).total_seconds() + request[1] < 300 for request in mine)
    assert [request[2] for request in landed] == sorted(request[2] for request in landed)


def test_killed_by_sigkill_at_every_statement_and_at_random_instants_nothing_is_lost_or_sent_twice(tmp_path):
    words = [sys.executable, str(Path(live_crash.__file__)), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    every, at_random = json.loads(done.stdout)
    assert every["kills"] > 30 and at_random["kills"] == 20


def test_a_decision_is_confirmed_by_the_answer_after_its_sending_was_recorded(journal):
    world, client = meet(journal)
    sent = send(decide(journal), COUNTS, journal, client, world)
    assert (sent.status, sent.is_open) == ("confirmed", False)
    sends = Reader(journal.path).sends()
    assert sends["event"].tolist() == ["sending", "confirmed"]
    assert sends["updated_at"].iloc[1] == sent.updated_at
    assert len(world.requests) == 1 and recover(journal, client, world).is_settled
    assert len(world.requests) == 1


def test_what_is_sent_is_what_is_recorded(journal):
    world, client = meet(journal)
    decision = decide(journal)
    with pytest.raises(DataError, match="is recorded with"):
        send(decision, COUNTS | {"hydro_miners": 199}, journal, client, world)
    send(decision, COUNTS, journal, client, world)
    with pytest.raises(DataError, match="settled already"):
        send(decision, COUNTS, journal, client, world)
    assert len(world.requests) == 1


def test_the_same_counts_in_force_from_before_are_no_confirmation(journal):
    world, client = meet(journal)
    before = world.reply()
    client.put_machines = lambda counts: MachinesReply(counts, before.updated_at)
    assert send(decide(journal), COUNTS, journal, client, world).is_open
    assert Reader(journal.path).sends()["event"].tolist() == ["sending"]
    client.get_machines = lambda: MachinesReply(COUNTS, before.updated_at)
    assert recover(journal, client, world).sent[0].is_open
    assert recover(journal, client, world).sent[0].status == "failed"


def test_a_request_without_an_answer_is_looked_for_and_not_repeated_where_it_was_applied(journal):
    world, client = meet(journal, faults=["unanswered"])
    sent = send(decide(journal), COUNTS, journal, client, world)
    assert (sent.status, sent.is_open) == ("sending", True) and "did not answer" in sent.problem
    [one] = recover(journal, client, world).sent
    assert one.status == "recovered" and len(world.requests) == 1


def test_a_request_still_under_way_is_waited_for(journal):
    world, client = meet(journal, faults=["late"])
    send(decide(journal), COUNTS, journal, client, world)
    [one] = recover(journal, client, world).sent
    assert one.status == "recovered" and len(world.requests) == 1
    assert world.second >= 30.0


def test_a_lost_request_is_made_once_more_and_then_given_up(journal):
    world, client = meet(journal, faults=["lost", "lost"])
    send(decide(journal), COUNTS, journal, client, world)
    assert recover(journal, client, world).sent[0].status == "sending"
    assert recover(journal, client, world).sent[0].status == "failed"
    assert len(world.requests) == 2 and recover(journal, client, world) == ((), None)


def test_no_request_is_made_that_could_outlast_its_interval(journal):
    world, client = meet(journal)
    world.second = 299.0 - 30.0
    assert send(decide(journal), COUNTS, journal, client, world).status == "superseded"
    assert world.requests == []


def test_a_pause_is_recorded_and_never_sent(journal):
    world, client = meet(journal)
    decide(journal, mode="paused", to_send=False)
    assert recover(journal, client, world).sent == () and world.requests == []
    assert Reader(journal.path).decisions()["status"].tolist() == ["kept"]


def test_a_newer_decision_closes_an_older_one_whose_end_is_not_known_and_waits_to_know_what_runs(journal):
    world, client = meet(journal, faults=["lost"], silent=range(2, 5))
    send(decide(journal), COUNTS, journal, client, world)
    assert recover(journal, client, world).sent[0].is_open
    world.second = 300.0
    later = decide(journal, NOON + pd.Timedelta(minutes=5))
    assert send(later, COUNTS, journal, client, world).status == "decided"
    sends = Reader(journal.path).sends()
    assert "not known" in sends.loc[sends["event"] == "failed", "detail"].item()
    assert len(world.requests) == 1
    assert recover(journal, client, world).sent[0].status == "confirmed"


def test_of_two_decisions_never_sent_only_the_newer_is(journal):
    world, client = meet(journal)
    decide(journal), decide(journal, NOON + pd.Timedelta(minutes=5))
    assert [one.status for one in recover(journal, client, world).sent] == ["superseded", "confirmed"]
    assert [request[2] for request in world.requests] == [2]


def test_another_hand_on_the_site_is_not_overruled_within_the_interval(journal):
    world, client = meet(journal, faults=["lost"])
    send(decide(journal), COUNTS, journal, client, world)
    world.requests.append([world.second, world.second, 99, [1, 0, 0, 0, 0]])
    [one] = recover(journal, client, world).sent
    assert one.status == "failed" and "another hand" in one.problem
    assert len(world.requests) == 2


def test_an_answer_with_other_counts_is_no_confirmation(journal):
    world, client = meet(journal)
    answered = MachinesReply(COUNTS | {"hydro_miners": 1}, NOON + pd.Timedelta(seconds=9))
    client.put_machines = lambda counts: answered
    client.get_machines = lambda: answered
    sent = send(decide(journal), COUNTS, journal, client, world)
    assert sent.is_open and "the server answers" in sent.problem
    assert recover(journal, client, world).sent[0].status in ("failed", "sending")


def test_what_cannot_be_recorded_is_not_sent_and_is_sent_when_it_can_be(journal):
    world, client = meet(journal, full=[2])
    decision = decide(journal)
    sent = send(decision, COUNTS, journal, client, world)
    assert (sent.status, world.requests) == ("decided", []) and "cannot be written" in sent.problem
    assert not journal.healthy
    assert recover(journal, client, world).sent[0].status == "confirmed"
    assert journal.healthy and len(world.requests) == 1


def test_an_answer_that_cannot_be_recorded_waits_and_nothing_is_sent_meanwhile(journal):
    world, client = meet(journal, full=range(3, 8))
    assert send(decide(journal), COUNTS, journal, client, world).status == "confirmed"
    assert journal.waiting == 1 and Reader(journal.path).decisions()["status"].tolist() == ["sending"]
    found = recover(journal, client, world)
    assert found.sent == () and "cannot be written" in found.problem and not found.is_settled
    while not journal.healthy:
        journal.flush()
    assert Reader(journal.path).decisions()["status"].tolist() == ["confirmed"]
    assert len(world.requests) == 1


def test_no_request_is_made_when_writing_took_most_of_its_time(journal, monkeypatch):
    world, client = meet(journal)
    decision = decide(journal)
    write = journal.record_send

    def slow(*args, **kwargs):
        write(*args, **kwargs)
        world.second += 25.0

    monkeypatch.setattr(journal, "record_send", slow)
    assert "took too long" in send(decision, COUNTS, journal, client, world).problem
    assert world.requests == []


def test_a_clock_set_back_makes_recovery_wait_the_whole_time(journal):
    world, client = meet(journal, faults=["unanswered"])
    world.second = 100.0
    send(decide(journal), COUNTS, journal, client, world)
    world.second = 20.0
    recover(journal, client, world)
    assert world.second >= 50.0


def test_a_later_decision_that_was_sent_bars_an_earlier_one(journal):
    meet(journal)
    first, second = decide(journal), decide(journal, NOON + pd.Timedelta(minutes=5))
    journal.record_send(second, "sending", NOON, attempt=1)
    with pytest.raises(DataError, match="a later decision was sent"):
        journal.record_send(first, "sending", NOON, attempt=1)


def test_a_server_that_fails_in_words_of_its_own_leaves_the_decision_open(journal):
    world, client = meet(journal)

    def refuse(counts):
        raise ServerError("PUT /machines answered 401: check the key")

    client.put_machines = refuse
    assert "401" in send(decide(journal), COUNTS, journal, client, world).problem
    assert [one.attempt for one in journal.unsettled()] == [1]


def test_a_damaged_journal_sends_nothing(journal, monkeypatch):
    world, client = meet(journal)
    decision = decide(journal)

    def damaged():
        raise RunError("the journal is damaged")

    monkeypatch.setattr(journal, "unsettled", damaged)
    assert send(decision, COUNTS, journal, client, world).problem == "the journal is damaged"
    assert recover(journal, client, world).problem == "the journal is damaged"
    assert world.requests == []
