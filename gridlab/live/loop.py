"""
The loop that runs a site: every five minutes it asks, decides, writes down, sends, and looks at what came of it.

All that it decides is `step`'s; here are the clock, the network, the journal and what people are told. Whatever fails
costs the interval it fails in: without prices the last allocation holds and then the safe one follows, without a
journal nothing is sent, and an answer that is lost is looked for before anything is sent again.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pandas as pd

from gridlab.dispatch.order import Readings
from gridlab.errors import DataError, RunError, ServerError
from gridlab.live.books import IN_FORCE, Books, Placed
from gridlab.live.commands import Command
from gridlab.live.config import STEP, Config
from gridlab.live.inputs import current
from gridlab.live.journal import Journal
from gridlab.live.journal_tables import Event
from gridlab.live.reading import Reader
from gridlab.live.rows import conditions_of, in_force, resumed, row_of
from gridlab.live.sending import IN_FLIGHT_S, Sent, recover, send
from gridlab.live.settings import as_mapping
from gridlab.live.standing import Condition, standing_of
from gridlab.live.state import State, first_state
from gridlab.live.step import Decision, held, step
from gridlab.live.watching import Watch
from gridlab.sources.mara import Inventory, MachinesReply
from gridlab.sources.mara.records import SiteReply

SETTLE_S = 1.0
"""How long after an interval has begun its prices are asked for. [s]"""

PATIENCE_S, AGAIN_S = 20.0, 3.0
"""How long the row of an interval is waited for before an earlier one is used, and between two tries. [s]"""

NAP_S = 60.0
"""Longest wait after which the clock is read again: it may have been set, or the machine suspended. [s]"""

INVENTORY_EVERY, INVENTORY_AGAIN_S = pd.Timedelta(hours=1), 30.0

MOST_SAID = 400
"""Characters of what a person asked, and of why it was not done, that are told."""

NEVER = pd.Timestamp(0, tz="UTC")

APART = ("inventory", "site", "cap", "send", "step", "clock")
"""Fallbacks that begin and end apart from a decision."""

WARMING = pd.DataFrame(
    {"price": 1.0, "hash_price": 1.0, "token_price": 1.0},
    index=pd.date_range(NEVER, periods=2, freq=STEP, name="time"),
)
"""Prices of a step that is thrown away: it loads and compiles what the first true one needs."""

NO_PRICES = pd.DataFrame(
    {name: pd.Series(dtype=float) for name in ("price", "hash_price", "token_price")},
    index=pd.DatetimeIndex([], tz="UTC", name="time"),
)


DayEnded = Callable[[pd.Timestamp], object]


class Client(Protocol):
    """What speaks to the site: `gridlab.sources.mara.MaraClient` is one."""

    def get_prices(self) -> pd.DataFrame:
        """The prices so far."""

    def get_inventory(self) -> Inventory:
        """The machine types."""

    def get_site(self) -> SiteReply:
        """The site's name and power."""

    def get_machines(self) -> MachinesReply:
        """What runs."""

    def put_machines(self, counts: Mapping[str, int]) -> MachinesReply:
        """Set what runs."""

    @property
    def skew(self) -> pd.Timedelta | None:
        """The server's clock less ours."""


class Stopped(Exception):  # noqa: N818
    """The loop was told to stop while it waited."""


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> pd.Timestamp:
        """The time, UTC."""

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait, unless told to stop."""


@dataclass(frozen=True)
class Site:
    """
    What a site tells the loop beside the API.

    Parameters
    ----------
    readings : callable
        Gives what its sensors say; a DataError where they cannot be read.
    bids : callable
        Gives the bids for an interval, None where there are none; a DataError where they cannot be read.
    """

    readings: Callable[[], Readings] = Readings
    bids: Callable[[pd.Timestamp], pd.DataFrame | None] = lambda interval: None


class Loop:
    """
    Runs a site.

    Parameters
    ----------
    config : Config
        The site.
    client : Client
        What speaks to the API; the loop has it record every exchange by `Journal.record_exchange`.
    journal : Journal
        The site's journal, open.
    clock : Clock
        What tells the time.
    site : Site
        Its sensors and bids.
    watch : Watch, optional
        What looks for trouble and says so.
    log : Logger, optional
        Where each step and each failure is written.
    day_ended : callable, optional
        Called with a day, UTC, after the first step of the next one.

    Examples
    --------
    >>> import tempfile
    >>> from gridlab.live.starting import simulated
    >>> with tempfile.TemporaryDirectory() as folder, simulated(f"{folder}/live.db") as loop:
    ...     loop.run(steps=3)
    3
    """

    def __init__(
        self,
        config: Config,
        client: Client,
        journal: Journal,
        clock: Clock,
        *,
        site: Site | None = None,
        watch: Watch | None = None,
        log: logging.Logger | None = None,
        day_ended: DayEnded | None = None,
    ) -> None:
        self.config, self.journal = config, journal
        self._settings, self._stop = config, threading.Event()
        self._client, self._clock, self._site = client, clock, site or Site()
        self._log = log or logging.getLogger("gridlab.live")
        self._watch, self._day_ended = watch or Watch(), day_ended
        self._state = first_state(clock.now(), config)
        self._books = Books(config)
        self._standing = standing_of(Reader(journal.path))
        self._said: list[Condition] = []
        self._inventory: Inventory | None = None
        self._asked_at, self._warm = NEVER, False
        self._last: pd.Timestamp | None = None

    def run(self, *, steps: int | None = None, stop: threading.Event | None = None) -> int:
        """
        Run until told to stop.

        Parameters
        ----------
        steps : int, optional
            Decisions after which to stop.
        stop : Event, optional
            Stops the loop as soon as it is set, between two steps or while it waits.

        Returns
        -------
        int
            Decisions made.

        Raises
        ------
        RunError
            If the journal is damaged, or so much waits for it that more would be lost.
        DataError
            If the market of a simulated server with a manual clock has ended.
        """
        self._stop = stop or threading.Event()
        made = 0
        try:
            self._begin()
            while steps is None or made < steps:
                inventory = self._known_inventory()
                self._one(self._awaited(), inventory)
                made += 1
        except Stopped:
            self._log.info("told to stop")
        finally:
            with suppress(RunError):
                self.journal.record_loop("stop", self._clock.now(), as_mapping(self.config))
        return made

    def sleep(self, seconds: float) -> None:
        """
        Wait by the loop's clock.

        Raises
        ------
        Stopped
            If the loop is told to stop.
        """
        if self._stop.is_set():
            raise Stopped
        self._clock.sleep(seconds, self._stop)
        if self._stop.is_set():
            raise Stopped

    def now(self) -> pd.Timestamp:
        """The time by the loop's clock, UTC."""
        return self._clock.now()

    def _begin(self) -> None:
        """Say that the loop starts, learn what the journal knows, and settle what was left open."""
        self.journal.record_loop("start", self.now(), as_mapping(self.config))
        reader, last = Reader(self.journal.path), self.journal.last_decision()
        for kind, name in standing_of(reader, "alert").steps:
            words = "the loop begins again: it is raised anew where it still holds"
            self.journal.record_event(Event(self.now(), kind, name, words, phase="ended"))
        if self._last is not None:  # it has run before, and knows more than the file may
            self._recover(None, self._state)
        elif last is not None:
            self._last = last.interval
            self._tell("restart", f"The loop begins again after the decision of {last.interval:%Y-%m-%d %H:%M} UTC.")
            self._state, recorded = resumed(last, reader, self.config)
            self._inventory = _recorded_inventory(reader)
            self._watch.learn(recorded, self.config)
            self._recover(None, self._state)
            self._state = in_force(self._state, reader)
            self._books.reopen(reader)
        self._see()

    def _awaited(self) -> pd.Timestamp:
        """The interval to decide, waited for; what passed meanwhile without a decision is told."""
        while (left := self._left(interval := self._next_interval())) > 0:
            if left > (STEP + pd.Timedelta(seconds=NAP_S)).total_seconds():
                words = f"The clock says {self.now():%Y-%m-%d %H:%M} and {self._last:%Y-%m-%d %H:%M} is decided already"
                self._holds("clock", f"{words}: nothing is decided before then; see that the clock is right.")
            self.sleep(min(left, NAP_S))
        if self._stop.is_set():
            raise Stopped
        self._over("clock")
        missed = 0 if self._last is None else (interval - self._last) // STEP - 1
        if missed > 0:
            words = f"{missed} interval{'s' * (missed > 1)} before {interval:%Y-%m-%d %H:%M} passed without a decision."
            self._tell("missed", words, "warning")
        return interval

    def _left(self, interval: pd.Timestamp) -> float:
        """How long until an interval's prices may be asked for. [s]"""
        return float((interval + pd.Timedelta(seconds=SETTLE_S) - self.now()).total_seconds())

    def _next_interval(self) -> pd.Timestamp:
        """The interval to decide: that of now, or the next one where it is decided already."""
        moment = self.now()
        now = moment.floor(STEP)
        if self._last is None:
            room = now + STEP - moment > pd.Timedelta(seconds=IN_FLIGHT_S + PATIENCE_S)
            return now if room else now + STEP
        return max(now, self._last + STEP)

    def _known_inventory(self) -> Inventory:
        """The machine types, asked for anew every hour; without any nothing can be decided, so they are waited for."""
        while self._inventory is None or self.now() - self._asked_at >= INVENTORY_EVERY:
            is_known = self._ask_site()
            if self._inventory is not None:
                self._asked_at = self.now() if is_known else self._asked_at
                break
            self.sleep(INVENTORY_AGAIN_S)
        if not self._warm:
            self._warm_up(self._inventory)
        return self._inventory

    def _ask_site(self) -> bool:
        """Ask for the machine types and the cap; whether both are known now."""
        name = "inventory"
        try:
            self._inventory = self._client.get_inventory()
            self._over(name)
            name = "site"
            self._keep_to(self._client.get_site())
            self._over(name)
        except (ServerError, DataError) as error:
            self._log.warning("the %s is not known: %s", name, error)
            self._holds(name, f"What was known before of the {name} holds, if anything: {error}")
            return False
        return True

    def _keep_to(self, site: SiteReply) -> None:
        """Never allocate more than the server grants."""
        least = min(site.power, self._settings.cap_power)
        if least < self._settings.cap_power:
            words = (
                f"The server grants {site.power} of power, less than the {self._settings.cap_power} of the settings."
            )
            self._holds("cap", words)
        else:
            self._over("cap")
        if least != self.config.cap_power:
            self.config = self._books.config = replace(self._settings, cap_power=least)

    def _warm_up(self, inventory: Inventory) -> None:
        """Take a step that is thrown away, so that the first true one finds everything loaded and compiled."""
        services = () if self.config.coupling is None else self.config.coupling.cop
        rows = [(WARMING.index[-1], "nobody", service, 0.001, 1e-6) for service in services]
        bids = pd.DataFrame(rows, columns=["time", "bidder", "service", "quantity_mw", "price"]) if rows else None
        state = first_state(WARMING.index[-1], self.config).at(WARMING.index[-1], bids=bids)
        self._warm = True
        try:
            row_of(step(state, WARMING, inventory, self.config), inventory, {})
        except Exception:
            self._log.exception("the step that is thrown away failed")

    def _one(self, interval: pd.Timestamp, inventory: Inventory) -> None:
        """One step; where something fails that should not, the interval is lost and the loop goes on."""
        before, self._last = self._last, interval
        try:
            self._step(interval, inventory)
        except (RunError, Stopped):
            raise
        except Exception as error:
            self._log.exception("the step failed")
            words = f"The step of {interval:%H:%M} failed with {type(error).__name__}, which the log describes."
            self._holds("step", words, "critical")
        else:
            self._over("step")
        if self._day_ended is not None and before is not None and self._last.normalize() > before.normalize():
            try:
                self._day_ended(before.normalize())
            except Exception:
                self._log.exception("what is done at the end of a day failed")

    def _step(self, interval: pd.Timestamp, inventory: Inventory) -> None:
        """One step, from the prices to what came of it."""
        stages = Stopwatch()
        prices = self._fetch(interval, stages)
        before = self._heard(interval)
        decision = self._decide(before, prices, inventory, stages.lap)
        told = [*self._said, *conditions_of(decision)]
        self._standing, events = self._standing.turned(told, decision.state.now, apart=APART)
        row = self.journal.record_decision(row_of(decision, inventory, stages.ms, events))
        self._last = decision.interval
        stages.lap("journal")
        sent = self._send(row, decision, before, stages.ms["journal"])
        self.journal.record_prices(prices, before.now)
        self._account(decision, before, inventory)
        self._look(decision, before, inventory, sent, stages)

    def _fetch(self, interval: pd.Timestamp, stages: "Stopwatch") -> pd.DataFrame:
        """The prices, the interval's row waited for; no row where they cannot be had."""
        prices = NO_PRICES
        try:
            stages.restart()
            prices = self._client.get_prices()
            while self._is_early(prices, interval):
                self.sleep(AGAIN_S)
                stages.restart()
                prices = self._client.get_prices()
        except (ServerError, DataError) as error:
            self._log.warning("the prices are not known: %s", error)
        stages.lap("fetch")
        return prices

    def _is_early(self, prices: pd.DataFrame, interval: pd.Timestamp) -> bool:
        waited = (self.now() - interval).total_seconds()
        return bool(len(prices)) and prices.index[-1] < interval and waited < PATIENCE_S

    def _heard(self, interval: pd.Timestamp) -> State:
        """The state at this moment: what people asked, the sensors say and bidders offer."""
        self._said = []
        for command in self._told("commands", self.journal.commands, ()):
            self._obey(command)
        now, skew = self.now(), self._client.skew
        readings, problem = current(self._told("readings", self._site.readings, Readings()), now)
        if problem is not None:
            self._said.append(Condition("fallback", "readings", problem))
        return self._state.at(
            max(now, interval),
            readings=readings,
            bids=self._told("bids", lambda: self._site.bids(interval), None),
            server_time=None if skew is None else now + skew,
        )

    def _told(self, name: str, ask: Callable[[], Any], otherwise: Any) -> Any:
        """What the site or a person says; where that cannot be read nothing was said."""
        try:
            return ask()
        except (DataError, RunError) as error:
            words = str(error)
            self._log.warning("the %s are not known: %s", name, error)
        except Exception as error:
            words = f"the {name} cannot be read ({type(error).__name__}): the log has more"
            self._log.exception("the %s are not known", name)
        self._said.append(Condition("fallback", name, words))
        return otherwise

    def _obey(self, command: Command) -> None:
        """Do what a person asked, and write down that it was done, or why not."""
        refused = ""
        try:
            self._state = replace(self._state, asked=self._state.asked.after(command.kind, command.value))
        except DataError as error:
            refused = f"; not done: {error}"[:MOST_SAID]
        self.journal.apply_command(command, self.now(), refused.strip("; "))
        words = f"{command.by} asked for {command.kind} {command.value[:MOST_SAID]}{refused}"
        self._tell(command.kind, words, kind="command")

    def _decide(
        self, state: State, prices: pd.DataFrame, inventory: Inventory, told: Callable[[str], None]
    ) -> Decision:
        """The step's decision; where it fails, which is a fault of ours, the order in force holds."""
        try:
            if self._is_behind(state, prices):
                words = "the server's clock is {:.0f} min ahead of ours, and its prices of now are ahead of us"
                ahead = (state.server_time - state.now) / pd.Timedelta(minutes=1)
                return held(state, f"{words.format(ahead)}: set the clock that is wrong", inventory, self.config)
            return step(state, prices, inventory, self.config, told=told)
        except Exception as error:
            self._log.exception("the step failed")
            words = f"the step failed with {type(error).__name__}, which the log describes"
            return held(state, words, inventory, self.config)

    def _is_behind(self, state: State, prices: pd.DataFrame) -> bool:
        """Whether our clock is so far behind that what it takes for the prices of now are stale."""
        limit = pd.Timedelta(minutes=self.config.stale_minutes)
        if state.server_time is None or state.server_time - state.now <= limit or not len(prices):
            return False
        return bool(prices.index[-1] - state.now > limit)

    def _send(self, row: int | None, decision: Decision, before: State, ms_before: float) -> Sent | None:
        """Send what is recorded; the state that follows has what is in force."""
        self._state = not_in_force(decision, before)
        if row is None:
            return None
        if not decision.to_send:
            self._state = decision.state
            return None
        sent = send(row, decision.order.counts, self.journal, self._client, self, ms_before=ms_before)
        if sent.status == "confirmed":
            self._state = decision.state
            self._over("send")
            return sent
        self._holds("send", sent.problem or sent.status)
        if not (sent.is_open and self._recover(row, decision.state)):
            self._see()
        return sent

    def _recover(self, row: int | None, after: State) -> bool:
        """Settle what is open; whether a decision, whose state follows, is in force."""
        done = False
        for one in recover(self.journal, self._client, self).sent:
            words = f"Decision {one.decision} is {one.status}. {one.problem or ''}".strip()
            if not one.is_open:
                self._tell(one.status, words, kind="recovery")
            done = done or (one.decision == row and one.status in IN_FORCE)
        if done:
            self._state = after
        return done

    def _see(self) -> None:
        """Take for in force what the server runs, where it says so."""
        try:
            counts = dict(self._client.get_machines().counts)
        except (ServerError, DataError) as error:
            self._log.warning("what runs is not known: %s", error)
            return
        self._state = replace(self._state, order=replace(self._state.order, counts=counts))

    def _account(self, decision: Decision, before: State, inventory: Inventory) -> None:
        """Write down what the intervals earned whose prices are known now."""
        paid = decision.services_paid
        placed = Placed(self._state.order, before.order, paid, decision.expected_profit)
        self._books.place(decision.interval, placed)
        for interval, outcome in self._books.settle(decision.seen.known, inventory):
            self.journal.record_outcome(interval, self.now(), **outcome._asdict(), profit=outcome.profit)

    def _look(
        self, decision: Decision, before: State, inventory: Inventory, sent: Sent | None, stages: "Stopwatch"
    ) -> None:
        """Watch what happened, and tell people what begins and ends."""
        stages.add("send", 0.0 if sent is None or sent.ms_send is None else sent.ms_send)
        told = {"interval": str(decision.interval), "mode": decision.mode, "counts": dict(decision.order.counts)}
        told |= {"status": "kept" if sent is None else sent.status, "ms": stages.ms}
        self._log.info("decided", extra={"fields": told})
        for event in self._watch.seen(
            decision,
            before,
            day=self._books.day,
            ms=stages.ms,
            journal=self.journal,
            inventory=inventory,
            config=self.config,
            skew=self._client.skew,
        ):
            self.journal.record_event(event)

    def _holds(self, name: str, text: str, severity: str = "warning") -> None:
        """Something does not work as it should, until `_over`; it is told once."""
        self._standing, events = self._standing.begun(Condition("fallback", name, text, severity), self.now())
        for event in events:
            self.journal.record_event(event)

    def _over(self, name: str) -> None:
        self._standing, events = self._standing.over("fallback", name, self.now())
        for event in events:
            self.journal.record_event(event)

    def _tell(self, name: str, text: str, severity: str = "info", *, kind: str = "loop") -> None:
        self.journal.record_event(Event(self.now(), kind, name, text, severity))


class Stopwatch:
    """How long the stages of a step take."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._since = time.perf_counter()

    def restart(self) -> None:
        """What went by since the last stage counts for none."""
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        """A stage has ended."""
        now = time.perf_counter()
        self.add(stage, 1000 * (now - self._since))
        self._since = now

    def add(self, stage: str, ms: float) -> None:
        """A stage took so long. [ms]"""
        self.ms[stage] = self.ms.get(stage, 0.0) + ms


def not_in_force(decision: Decision, before: State) -> State:
    """The state that follows a decision that was not carried out, as far as is known."""
    order = replace(decision.state.order, counts=before.order.counts)
    return replace(decision.state, order=order, started=before.started)


def _recorded_inventory(reader: Reader) -> Inventory | None:
    """The machine types as the server last gave them, which hold until it gives them anew."""
    try:
        return reader.inventory()
    except DataError:
        return None
