"""
Sending an allocation once: what is written before and after the request, and what is done after a crash in between.

**The protocol.** A decision is committed to the journal; then a row ``sending`` with the server's `updated_at` as it
was before; then the request is made; then a row ``confirmed``. `recover` settles what a crash, a failed request or a
full disk has left open; it is the only way to settle, so that a failure at run time and a restart take the same path:

- never ``sending``: the decision is sent now if its interval still has room for a request, else ``superseded``;
- ``sending``: wait until the request cannot be under way any more, and ask the server. It runs these counts, set after
  the row ``sending``: ``recovered``. Nothing was set since: sent once more if the interval has room, else ``failed``.
  Something else was set since: ``failed``, not sent again. The server does not answer: still open, and asked again at
  the next call; ``failed``, saying that it is not known, once a newer decision is to be sent.

Where a newer decision is there, an older one is only settled, never sent.

**The guarantee.** Every committed decision ends in exactly one of ``confirmed, recovered, failed, superseded, kept``,
and its allocation is applied by the server **at most once**: once where it is ``confirmed`` or ``recovered``, never
where it is ``superseded``, ``kept``, or ``failed`` after an answer, once or never where it is ``failed`` without one.
No request is made while an earlier one may be under way, so that an old allocation never replaces a newer one; none
is made later than `in_flight_s` before its interval ends, so that none is applied after it. This holds wherever the
process is killed, provided that

1. one loop sends to the site: the journal's lock sees to it on one machine, nothing does between two machines;
2. the server applies a request within `in_flight_s` of the row ``sending``, or never. `client.put_machines` must give
   up within half of that time, and is not called when writing the row has used up the other half; but a proxy that
   keeps a request for longer would break this;
3. each application changes `updated_at`, and nothing else does: so it is in the recorded replies. (A time ahead of our
   clock, or before the last, is believed only where a second answer says the same.) If somebody else
   sets the same counts in between, the decision is ``recovered`` by their request; other counts, ``failed``;
4. `client.put_machines` makes one request that can be applied, or makes another only after it has seen by itself that
   the first was not;
5. the disk keeps what it says that it has kept (see `gridlab.live.journal`), and the machine is not set back to a
   snapshot.

A request is only made when the server's `updated_at` of before is known, which it is from the answer before. Before
the first answer that the journal ever had (a new site may have none to give) the clocks judge instead: set since means
`updated_at` not earlier than the row ``sending`` less `skew_s`, and ``recovered`` may then be by the request before, if
that had the same counts. With all of these broken at once there still are at most two requests for a decision, each
with the counts that the journal has: the database refuses a third row ``sending``.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import pandas as pd

from gridlab.errors import DataError, RunError, ServerError
from gridlab.live.config import STEP
from gridlab.live.journal import Journal, Unsettled
from gridlab.live.journal_tables import SendEvent, microseconds
from gridlab.sources.mara import MACHINES, MachinesReply

IN_FLIGHT_S = 45.0
"""How long after the row ``sending`` a request may still be applied; half covers the client's deadline of 20 s. [s]"""

SKEW_S = 120.0
"""How far the server's clock may be behind ours, where nothing better than the clocks tells what was applied. [s]"""

ATTEMPTS = 2

MOST_LOOKS = 4
"""Answers that are asked for after one whose time is odd."""


class Client(Protocol):
    """What sends: `gridlab.sources.mara.client.MaraClient` is one."""

    def put_machines(self, counts: Mapping[str, int]) -> MachinesReply:
        """Set the machines; ServerError where it is not known whether they were set."""

    def get_machines(self) -> MachinesReply:
        """What runs, and since when."""


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> pd.Timestamp:
        """The time, UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Sent(NamedTuple):
    """
    How the sending of a decision stands.

    Parameters
    ----------
    decision : int
        Its number.
    status : str
        ``decided`` or ``sending`` where it is open and `recover` will settle it; else as the journal has it.
    at : Timestamp
        When, UTC.
    updated_at : Timestamp, optional
        The server's, where it answered.
    ms_send : float, optional
        Duration of the request. [ms]
    problem : str, optional
        What went wrong, in a sentence.
    """

    decision: int
    status: str
    at: pd.Timestamp
    updated_at: pd.Timestamp | None = None
    ms_send: float | None = None
    problem: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether `recover` has still to settle it."""
        return self.status in ("decided", "sending")


class Recovered(NamedTuple):
    """
    What `recover` found.

    Parameters
    ----------
    sent : tuple of Sent
        Each decision that was open, as it stands now.
    problem : str, optional
        Why nothing could be done: the journal cannot be written.
    """

    sent: tuple[Sent, ...] = ()
    problem: str | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is open any more."""
        return self.problem is None and not any(one.is_open for one in self.sent)


class _Way(NamedTuple):
    """What every call here needs."""

    journal: Journal
    client: Client
    clock: Clock
    in_flight_s: float
    skew_s: float
    ms_before: float = 0.0


def send(
    decision: int,
    counts: Mapping[str, int],
    journal: Journal,
    client: Client,
    clock: Clock,
    *,
    in_flight_s: float = IN_FLIGHT_S,
    skew_s: float = SKEW_S,
    ms_before: float = 0.0,
) -> Sent:
    """
    Send a recorded decision, once, after whatever is open before it has been settled.

    Parameters
    ----------
    decision : int
        Its number, from `Journal.record_decision`.
    counts : mapping of str to int
        Its machines of each type, as recorded.
    journal : Journal
        The site's.
    client : Client
        What sends; its `put_machines` must give up within half of `in_flight_s`.
    clock : Clock
        What tells the time.
    in_flight_s : float
        How long a request may be under way. [s]
    skew_s : float
        How far the server's clock may be behind ours; less than an interval. [s]
    ms_before : float
        How long recording the decision took, which counts as the journal's. [ms]

    Returns
    -------
    Sent
        ``confirmed``; or open (``decided``, ``sending``) with the problem: call `recover` after a while; or
        ``superseded`` where its interval has no room left for a request.

    Raises
    ------
    DataError
        If the decision is settled already or unknown, or `counts` are not those recorded.
    """
    way = _Way(journal, client, clock, in_flight_s, skew_s, ms_before)
    try:
        unsettled = journal.unsettled()
    except RunError as error:
        return Sent(decision, "decided", clock.now(), problem=str(error))
    mine = _find(unsettled, decision, counts)
    try:
        for earlier in (one for one in unsettled if one.id < decision):
            _settle(way, earlier, newer=True)
        return _settle(way, mine)
    except RunError as error:
        return Sent(decision, "sending", clock.now(), problem=str(error))


def recover(
    journal: Journal, client: Client, clock: Clock, *, in_flight_s: float = IN_FLIGHT_S, skew_s: float = SKEW_S
) -> Recovered:
    """
    Settle what is open: at a start, after a failed request, and before a new decision.

    It may wait up to `in_flight_s` by the clock for a request that may still be under way. What stays open because
    the server does not answer, or because the journal cannot be written, is settled by a later call.

    Parameters
    ----------
    journal, client, clock, in_flight_s, skew_s
        As for `send`.

    Returns
    -------
    Recovered
        Every decision that was open, as it stands now.
    """
    way = _Way(journal, client, clock, in_flight_s, skew_s)
    settled: list[Sent] = []
    try:
        unsettled = journal.unsettled()
        for one in unsettled:
            settled.append(_settle(way, one, newer=one is not unsettled[-1]))
    except RunError as error:
        return Recovered(tuple(settled), str(error))
    return Recovered(tuple(settled))


def _find(unsettled: tuple[Unsettled, ...], decision: int, counts: Mapping[str, int]) -> Unsettled:
    mine = next((one for one in unsettled if one.id == decision), None)
    if mine is None:
        raise DataError(f"decision {decision} is settled already, or is not in the journal: record a new one")
    if dict(counts) != mine.counts:
        raise DataError(
            f"decision {decision} is recorded with {mine.counts}, not {dict(counts)}: send what is recorded"
        )
    return mine


def _settle(way: _Way, one: Unsettled, *, newer: bool = False) -> Sent:
    """Settle one decision; where there is a newer one it is closed, and not sent."""
    if one.sending_at is None:
        return _close(way, one, "superseded", None, "a newer decision is there") if newer else _first(way, one)
    _wait_until_landed(way, one.sending_at)
    try:
        reply = _seen(way, one.baseline)
    except (ServerError, DataError) as error:
        if newer:
            return _close(way, one, "failed", None, f"it is not known whether it was applied: {error}")
        return Sent(one.id, "sending", way.clock.now(), problem=str(error))
    return _judge(way, one, reply, newer)


def _judge(way: _Way, one: Unsettled, reply: MachinesReply, newer: bool) -> Sent:
    """What the server runs says how a request ended."""
    if _set_since(way, one, reply):
        if _same(reply.counts, one.counts):
            return _close(way, one, "recovered", reply, "found in force")
        return _close(way, one, "failed", reply, f"the server runs {dict(reply.counts)}, set since by another hand")
    if not newer and one.attempt < ATTEMPTS and _has_room(way, one):
        return _attempt(way, one, reply.updated_at)
    return _close(way, one, "failed", reply, "it was not applied")


def _first(way: _Way, one: Unsettled) -> Sent:
    """Send a decision that never was, or say that its time is over."""
    baseline = way.journal.last_updated_at()
    if baseline is None and _has_room(way, one):
        try:
            baseline = _seen(way, None).updated_at
        except (ServerError, DataError) as error:
            if way.journal.has_heard():
                return Sent(one.id, "decided", way.clock.now(), problem=str(error))
    if _has_room(way, one):
        return _attempt(way, one, baseline)
    return _close(way, one, "superseded", None, "its interval was over before it was sent")


def _attempt(way: _Way, one: Unsettled, baseline: pd.Timestamp | None) -> Sent:
    began = time.perf_counter()
    at, attempt = way.clock.now(), one.attempt + 1
    try:
        way.journal.record_send(one.id, "sending", at, attempt=attempt, updated_at=baseline)
    except RunError as error:
        return Sent(one.id, "sending" if one.attempt else "decided", at, problem=str(error))
    ms_journal = way.ms_before + 1000 * (time.perf_counter() - began)
    if way.clock.now() > at + pd.Timedelta(seconds=way.in_flight_s / 2):
        return Sent(one.id, "sending", at, problem="writing the journal took too long: the request was not made")
    began = time.perf_counter()
    try:
        reply = way.client.put_machines(one.counts)
        reply = _seen(way, baseline) if _is_odd(way, reply, baseline) else reply
    except (ServerError, DataError) as error:
        return Sent(one.id, "sending", at, ms_send=1000 * (time.perf_counter() - began), problem=str(error))
    ms_send = 1000 * (time.perf_counter() - began)
    if not _same(reply.counts, one.counts) or _is(reply.updated_at, baseline):
        problem = f"the server answers {dict(reply.counts)}, set at {reply.updated_at}"
        return Sent(one.id, "sending", at, reply.updated_at, ms_send, problem)
    believed = None if _is_odd(way, reply, baseline) else reply.updated_at
    way.journal.record_send(
        one.id, "confirmed", way.clock.now(), attempt=attempt, updated_at=believed,
        ms_journal=ms_journal, ms_send=ms_send,
    )  # fmt: skip
    return Sent(one.id, "confirmed", at, reply.updated_at, ms_send)


def _seen(way: _Way, baseline: pd.Timestamp | None) -> MachinesReply:
    """What the server runs; where the time that it gives is odd, two answers alike are asked for."""
    reply = way.client.get_machines()
    for _ in range(MOST_LOOKS):
        if not _is_odd(way, reply, baseline):
            return reply
        again = way.client.get_machines()
        if again.updated_at == reply.updated_at:
            return again
        reply = again
    raise ServerError(f"the server gives one time after another for when its machines were set, now {reply.updated_at}")


def _is_odd(way: _Way, reply: MachinesReply, baseline: pd.Timestamp | None) -> bool:
    """Whether a reply's `updated_at` is ahead of our clock, or before what it was."""
    ahead = reply.updated_at > way.clock.now() + pd.Timedelta(seconds=way.skew_s)
    return bool(ahead or (baseline is not None and reply.updated_at < baseline))


def _close(way: _Way, one: Unsettled, status: SendEvent, reply: MachinesReply | None, detail: str) -> Sent:
    at, updated_at = way.clock.now(), None if reply is None else reply.updated_at
    way.journal.record_send(
        one.id,
        status,
        at,
        attempt=one.attempt,
        updated_at=updated_at,
        detail=detail,
    )
    return Sent(one.id, status, at, updated_at, problem=None if status == "recovered" else detail)


def _wait_until_landed(way: _Way, sending_at: pd.Timestamp) -> None:
    """Wait out a request; the whole time where the clock was set back in between."""
    waited = (way.clock.now() - sending_at).total_seconds()
    left = way.in_flight_s - waited if waited >= 0 else way.in_flight_s
    if left > 0:
        way.clock.sleep(left)


def _has_room(way: _Way, one: Unsettled) -> bool:
    """Whether a request made now is over before its interval is."""
    return bool(way.clock.now() + pd.Timedelta(seconds=way.in_flight_s) <= one.interval + STEP)


def _set_since(way: _Way, one: Unsettled, reply: MachinesReply) -> bool:
    """Whether the machines were set after the decision's first row ``sending``."""
    if one.baseline is not None:
        return not _is(reply.updated_at, one.baseline)
    return bool(reply.updated_at >= one.sending_at - pd.Timedelta(seconds=way.skew_s))


def _is(time: pd.Timestamp, other: pd.Timestamp | None) -> bool:
    """Whether two times are the same microsecond, which is what the journal keeps."""
    return other is not None and microseconds(time) == microseconds(other)


def _same(counts: Mapping[str, int], others: Mapping[str, int]) -> bool:
    return all(counts.get(name, 0) == others.get(name, 0) for name in MACHINES)
