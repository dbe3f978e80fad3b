"""
A small loop over a journal, a server that lands requests late, never or unanswered, and a hand that kills.

The world (the server's log and the clock) outlives the process that is killed: in memory where the kill is an
exception, in a file where it is SIGKILL. Run as a script it forks loops and kills them; it prints what it did as JSON.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from itertools import count
from pathlib import Path

import pandas as pd

from gridlab.errors import RunError, ServerError
from gridlab.live import journal as journal_module
from gridlab.live import journal_file
from gridlab.live.journal import Journal
from gridlab.live.journal_tables import Bid, DecisionRow, Event
from gridlab.live.reading import Reader
from gridlab.live.sending import recover, send
from gridlab.sources.mara import MACHINES, MachinesReply

START = pd.Timestamp("2025-06-21 12:00:02", tz="UTC")
STEP_S = 300
WATCHED = []
FAULTS = ("ok", "late", "lost", "unanswered", "slow")


class Killed(BaseException):
    """The process ends here."""


class World:
    """What is outside the process: the server's requests as (sent, lands, decision, counts) and the clock."""

    def __init__(self, faults=(), silent=(), full=(), skew_s=-3600.0, file=None, never_set=False):
        self.faults, self.silent, self.full, self.skew_s = list(faults), set(silent), set(full), skew_s
        self.never_set, self.file = never_set, file
        self.second, self.requests, self.gets, self.commits = 0.0, [], 0, 0
        self.ticks, self.kill_at, self.kill, self.dead = 0, None, self._raise, False
        if file is not None and file.exists():
            self.second, self.requests, self.gets, self.commits = json.loads(file.read_text())

    def tick(self):
        self.ticks += 1
        if self.ticks == self.kill_at:
            self.kill()

    def _raise(self):
        self.dead = True
        raise Killed

    def save(self):
        if self.file is not None:
            part = self.file.with_suffix(".part")
            part.write_text(json.dumps([self.second, self.requests, self.gets, self.commits]))
            part.replace(self.file)

    def now(self):
        return START + pd.Timedelta(seconds=self.second)

    def sleep(self, seconds):
        self.tick()
        self.second += max(seconds, 0.0)
        self.save()

    def landed(self):
        return sorted(
            (request for request in self.requests if request[1] is not None and request[1] <= self.second),
            key=lambda request: request[1],
        )

    def reply(self):
        landed = self.landed()
        second, counts = (landed[-1][1], landed[-1][3]) if landed else (-1e6, [0] * len(MACHINES))
        updated_at = START + pd.Timedelta(seconds=second + self.skew_s)
        return MachinesReply(counts=dict(zip(MACHINES, counts, strict=True)), updated_at=updated_at)


class Client:
    def __init__(self, world, journal):
        self.world, self.journal = world, journal

    def put_machines(self, counts):
        world = self.world
        fault = world.faults[len(world.requests)] if len(world.requests) < len(world.faults) else "ok"
        lands = {"late": world.second + 17.0, "lost": None, "slow": world.second + 0.4}.get(fault, world.second + 1e-3)
        [one] = [one for one in self.journal.unsettled() if one.sending_at is not None]
        world.tick()
        world.requests.append([world.second, lands, one.id, [counts[name] for name in MACHINES]])
        world.save()
        world.tick()
        world.sleep(5.0 if fault in ("late", "lost", "unanswered") else 0.5)
        if fault in ("late", "lost", "unanswered"):
            raise ServerError("PUT /machines did not answer within 5 s: try again")
        return world.reply()

    def get_machines(self):
        world = self.world
        world.tick()
        world.gets += 1
        world.save()
        if world.gets in world.silent or (world.never_set and not world.landed()):
            raise ServerError("GET /machines answered 404: try again")
        return world.reply()


class CrashingJournal(Journal):
    """Killed before, within and after each commit, and refused by a full disk at some."""

    world: World

    def flush(self):
        if self.world.dead:  # what waits in memory dies with the process
            raise RunError("killed")
        return super().flush()

    def _commit(self, write):
        world = self.world
        world.tick()
        world.commits += 1
        if world.commits in world.full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        def watched(connection):
            row = write(connection)
            world.tick()
            return row

        row = super()._commit(watched)
        world.tick()
        return row


def run(path, world, intervals, *, same=False, kind=Journal):
    """Decide and send each interval until there are so many decisions, from wherever the journal stands."""
    with kind.open(path, site="site", simulated=True) as journal:
        journal.world = world
        client = Client(world, journal)
        while (last := journal.last_decision()) is None or json.loads(last.state)["n"] < intervals:
            step(journal, client, world, last, same)
            if not recover(journal, client, world).is_settled:
                world.sleep(20.0)
                recover(journal, client, world)
            world.sleep(STEP_S - (world.second + 2.0) % STEP_S + 2.0)
        for _ in range(20):  # the server answers again at last
            if recover(journal, client, world).is_settled:
                return
            world.sleep(60.0)
        raise AssertionError("nothing settles")


def step(journal, client, world, last, same):
    recover(journal, client, world)
    interval = world.now().floor("5min")
    last = journal.last_decision()
    if journal.healthy and (last is None or last.interval < interval):
        n = 1 + (0 if last is None else json.loads(last.state)["n"])
        counts = dict.fromkeys(MACHINES, 0) | {"hydro_miners": 200 if same else n}
        row = DecisionRow(
            interval, world.now(), "normal", "plan", counts, 5000 * n, 0.005 * n, state=json.dumps({"n": n}),
            events=(Event(world.now(), "protocol", "cap"),), bids=(Bid("data centre", "inference", 0.1, 30.0),),
        )  # fmt: skip
        decision = journal.record_decision(row)
        if decision is not None:
            send(decision, counts, journal, client, world)


def check(path, world, intervals):
    """The laws; what the server applied against what the journal says."""
    reader = Reader(path)
    table, sends = reader.decisions(), reader.sends()
    assert len(table) == intervals == len(reader.events()[lambda events: events["kind"] == "protocol"])
    assert len(reader.bids()) == intervals
    assert (table.index[1:] - table.index[:-1] == pd.Timedelta(minutes=5)).all()
    assert table["hydro_miners"].tolist() == [json.loads(reader.state(time))["n"] for time in table.index] or (
        set(table["hydro_miners"]) == {200}
    )
    world.second += 1000.0
    landed = world.landed()
    for decision, (interval, row) in enumerate(table.iterrows(), start=1):
        mine = [request for request in landed if request[2] == decision]
        detail = sends.loc[sends["time"] == interval, "detail"].iloc[-1]
        few = {"confirmed": {1}, "recovered": {1}, "superseded": {0}, "failed": {0}}.get(row["status"], set())
        assert len(mine) in (few | ({1} if "not known" in detail else set())), (row["status"], detail, mine)
        for request in mine:
            assert request[3] == row[list(MACHINES)].tolist()
            assert 0 <= (START - interval).total_seconds() + request[1] < STEP_S
    order = [request[2] for request in landed]
    assert order == sorted(order)
    return table["status"].value_counts().to_dict()


def _fork(work):
    """Work in a process of its own; its exit code, negative where it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(0)
    return child


def _code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _traced():
    """Every statement of SQL is a place to be killed at."""
    plain = journal_module.connect

    def connect(path):
        connection = plain(path)
        connection.set_trace_callback(lambda _: [world.tick() for world in WATCHED])
        return connection

    journal_module.connect = connect


def kill_at_every_statement(folder, intervals=1):
    """Kill a loop with SIGKILL at its k-th statement or step for every k, restart it, and check the laws."""
    journal_file.SYNCHRONOUS = "OFF"  # the kernel keeps what a killed process has written; it is quicker
    _traced()
    empty, statuses = folder / "empty.db", {}
    Journal.open(empty, site="site", simulated=True).close()
    for k in count(1):
        place = folder / f"at{k}"
        place.mkdir()
        shutil.copy(empty, place / "live.db")
        if not _killed_at(k, place, intervals, statuses):
            break
    for j in range(1, 60, 7):  # while it makes the journal
        place = folder / f"new{j}"
        place.mkdir()
        assert _killed_at(j, place, intervals, statuses)
    return {"kills": k - 1, "statuses": statuses}


def _killed_at(k, place, intervals, statuses):
    """Whether there was a k-th step to be killed at."""

    def loop():
        world = World(file=place / "world", faults=["unanswered"] * (k % 2))
        world.kill_at, world.kill = k, _die
        WATCHED.append(world)
        run(place / "live.db", world, intervals)

    code = _code(_fork(loop))
    assert code in (0, -signal.SIGKILL), code
    world = World(file=place / "world", faults=["unanswered"] * (k % 2))
    world.sleep(3.0)
    run(place / "live.db", world, intervals)
    for status, n in check(place / "live.db", world, intervals).items():
        statuses[status] = statuses.get(status, 0) + n
    return code != 0


def kill_at_random(folder, kills=20, seed=7):
    """Kill a loop with SIGKILL at random instants and restart it each time, until it has run its course."""
    dice = random.Random(seed)
    faults = [dice.choice(FAULTS) for _ in range(400)]
    journal_file.SYNCHRONOUS = "FULL"
    folder.mkdir()
    path, n, intervals = folder / "live.db", 0, 10**6

    def loop():
        run(path, World(file=folder / "world", faults=faults), intervals)

    while n < kills:
        child = _fork(loop)
        time.sleep(dice.uniform(0.0, 0.12))
        os.kill(child, signal.SIGKILL)
        n += _code(child) == -signal.SIGKILL
    done = len(Reader(path).decisions())
    intervals = done + 3
    assert _code(_fork(loop)) == 0
    statuses = check(path, World(file=folder / "world"), intervals)
    return {"kills": n, "decisions": intervals, "statuses": statuses}


if __name__ == "__main__":
    where = Path(sys.argv[1])
    sys.stdout.write(json.dumps([kill_at_every_statement(where), kill_at_random(where / "random")]))
