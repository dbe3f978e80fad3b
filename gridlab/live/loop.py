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
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pandas as pd

from gridlab.dispatch.order import Readings
from gridlab.errors import DataError, ServerError
from gridlab.live.books import Books, Placed
from gridlab.live.commands import Command
from gridlab.live.config import STEP, Config
from gridlab.live.journal import Journal
from gridlab.live.journal_tables import Event
from gridlab.live.learning import learned
from gridlab.live.reading import Reader
from gridlab.live.rows import conditions_of, row_of
from gridlab.live.sending import IN_FLIGHT_S, Recovered, Sent, recover, send
from gridlab.live.settings import as_mapping
from gridlab.live.standing import standing_of
from gridlab.live.state import State, first_state, from_json
from gridlab.live.step import Decision, held, step
from gridlab.live.watching import Watch
from gridlab.sources.mara import Inventory, MachinesReply
from gridlab.sources.mara.records import SiteReply

SETTLE_S = 1.0
"""How long after an interval has begun its prices are asked for. [s]"""

PATIENCE_S, AGAIN_S = 20.0, 3.0
"""How long the row of an interval is waited for before an earlier one is used, and between two tries. [s]"""

INVENTORY_EVERY, INVENTORY_AGAIN_S = pd.Timedelta(hours=1), 30.0

LEARN_FROM = pd.Timedelta(days=8)
"""How far back recorded prices are learned from by a loop that begins again."""

NEVER = pd.Timestamp(0, tz="UTC")

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
        self._client, self._clock, self._site = client, clock, site or Site()
        self._log = log or logging.getLogger("gridlab.live")
        self._watch, self._day_ended = watch or Watch(), day_ended
        self._state = first_state(clock.now(), config)
        self._books = Books(config)
        self._standing = standing_of(Reader(journal.path).events())
        self._inventory: Inventory | None = None
        self._asked_at = NEVER
        self._open: tuple[int, Decision, State] | None = None

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
        """
        stop = stop or threading.Event()
        self._begin()
        made = 0
        while steps is None or made < steps:
            interval = self._next_interval()
            self._clock.sleep((interval + pd.Timedelta(seconds=SETTLE_S) - self._clock.now()).total_seconds(), stop)
            inventory = self._known_inventory(stop)
            if stop.is_set() or inventory is None:
                break
            self._one(interval, inventory, stop)
            made += 1
            if self._day_ended is not None and interval == interval.normalize():
                self._day_ended(interval - pd.Timedelta(days=1))
        self.journal.record_loop("stop", self._clock.now(), as_mapping(self.config))
        return made

    def _begin(self) -> None:
        """Say that the loop starts, learn what the journal knows, and settle what was left open."""
        self.journal.record_loop("start", self._clock.now(), as_mapping(self.config))
        last = self.journal.last_decision()
        if last is not None:
            reader = Reader(self.journal.path)
            recorded = reader.prices(last.interval - LEARN_FROM)
            state = from_json(last.state)
            self._state = learned(state, recorded, self.config) if len(recorded) else state
            self._watch.learn(recorded, self.config)
            self._books.reopen(reader)
            self._tell("restart", f"The loop begins again after the decision of {last.interval:%Y-%m-%d %H:%M} UTC.")
            self._recover()

    def _next_interval(self) -> pd.Timestamp:
        """The interval to decide: that of now, or the next one where it is decided already."""
        last, moment = self.journal.last_decision(), self._clock.now()
        now = moment.floor(STEP)
        if last is None:
            room = now + STEP - moment > pd.Timedelta(seconds=IN_FLIGHT_S + PATIENCE_S)
            return now if room else now + STEP
        missed = (now - last.interval) // STEP - 1
        if missed > 0:
            self._tell("missed", f"{missed} intervals before {now:%Y-%m-%d %H:%M} UTC passed without a decision.")
        return max(now, last.interval + STEP)

    def _known_inventory(self, stop: threading.Event) -> Inventory | None:
        """The machine types, asked for anew every hour; without any nothing can be decided, so they are waited for."""
        while self._clock.now() - self._asked_at >= INVENTORY_EVERY and not stop.is_set():
            try:
                self._inventory, site = self._client.get_inventory(), self._client.get_site()
            except (ServerError, DataError) as error:
                self._log.warning("the inventory or the site is not known: %s", error)
                if self._inventory is not None:
                    break
                self._clock.sleep(INVENTORY_AGAIN_S, stop)
                continue
            if self._asked_at == NEVER:
                self._warm_up(self._inventory)
            self._asked_at = self._clock.now()
            self._keep_to(site)
        return self._inventory

    def _warm_up(self, inventory: Inventory) -> None:
        """Take a step that is thrown away, so that the first true one finds everything loaded and compiled."""
        services = () if self.config.coupling is None else self.config.coupling.cop
        rows = [(WARMING.index[-1], "nobody", service, 0.001, 1e-6) for service in services]
        bids = pd.DataFrame(rows, columns=["time", "bidder", "service", "quantity_mw", "price"]) if rows else None
        step(
            first_state(WARMING.index[-1], self.config).at(WARMING.index[-1], bids=bids),
            WARMING,
            inventory,
            self.config,
        )

    def _keep_to(self, site: SiteReply) -> None:
        """Never allocate more than the server grants."""
        if site.power < self.config.cap_power:
            words = f"The server grants {site.power} of power, less than the {self.config.cap_power} of the settings."
            self._tell("cap", words, "warning")
            self.config = replace(self.config, cap_power=site.power)

    def _one(self, interval: pd.Timestamp, inventory: Inventory, stop: threading.Event) -> None:
        """One step, from the prices to what came of it."""
        stages = Stopwatch()
        prices = self._fetch(interval, stop)
        stages.lap("fetch")
        before = self._heard(interval)
        decision = self._decide(before, prices, inventory, stages.lap)
        self._standing, events = self._standing.turned(conditions_of(decision), decision.state.now)
        row = self.journal.record_decision(row_of(decision, inventory, stages.ms, events))
        sent = self._send(row, decision, before)
        self.journal.record_prices(prices, before.now)
        self._account(decision, before, inventory)
        self._look(decision, before, inventory, sent, stages)

    def _fetch(self, interval: pd.Timestamp, stop: threading.Event) -> pd.DataFrame:
        """The prices, the interval's row waited for; no row where they cannot be had."""
        try:
            prices = self._client.get_prices()
            while self._is_early(prices, interval) and not stop.is_set():
                self._clock.sleep(AGAIN_S, stop)
                prices = self._client.get_prices()
        except (ServerError, DataError) as error:
            self._log.warning("the prices are not known: %s", error)
            return NO_PRICES
        return prices

    def _is_early(self, prices: pd.DataFrame, interval: pd.Timestamp) -> bool:
        waited = (self._clock.now() - interval).total_seconds()
        return bool(len(prices)) and prices.index[-1] < interval and waited < PATIENCE_S

    def _heard(self, interval: pd.Timestamp) -> State:
        """The state at this moment: what people asked, the sensors say and bidders offer."""
        for command in self.journal.commands():
            self._obey(command)
        now, skew = self._clock.now(), self._client.skew
        return self._state.at(
            max(now, interval),
            readings=self._told("readings", self._site.readings, Readings()),
            bids=self._told("bids", lambda: self._site.bids(interval), None),
            server_time=None if skew is None else now + skew,
        )

    def _told(self, name: str, ask: Callable[[], Any], otherwise: Any) -> Any:
        """What the site says; where that cannot be read it has said nothing."""
        try:
            return ask()
        except DataError as error:
            self._log.warning("the %s are not known: %s", name, error)
            self._tell(name, str(error), "warning", kind="fallback")
            return otherwise

    def _obey(self, command: Command) -> None:
        """Do what a person asked, and write down that it was done, or why not."""
        refused = ""
        try:
            self._state = replace(self._state, asked=self._state.asked.after(command.kind, command.value))
        except DataError as error:
            refused = f"; not done: {error}"
        self.journal.apply_command(command, self._clock.now(), refused.strip("; "))
        self._tell(command.kind, f"{command.by} asked for {command.kind} {command.value}{refused}", kind="command")

    def _decide(
        self, state: State, prices: pd.DataFrame, inventory: Inventory, told: Callable[[str], None]
    ) -> Decision:
        """The step's decision; where it fails, which is a fault of ours, the order in force holds."""
        try:
            return step(state, prices, inventory, self.config, told=told)
        except Exception as error:
            self._log.exception("the step failed")
            words = f"the step failed with {type(error).__name__}, which the log describes"
            return held(state, words, inventory, self.config)

    def _send(self, row: int | None, decision: Decision, before: State) -> Sent | None:
        """Send what is recorded; the state that follows has what is in force."""
        self._state = decision.state
        if row is None or not decision.to_send:
            self._state = not_in_force(decision, before) if row is None else decision.state
            return None
        sent = send(row, decision.order.counts, self.journal, self._client, self._clock)
        if sent.status != "confirmed":
            self._open, self._state = (row, decision, before), not_in_force(decision, before)
            self._tell("send", sent.problem or sent.status, "warning", kind="fallback")
            if sent.is_open:
                self._recover()
        return sent

    def _recover(self) -> Recovered:
        """Settle what is open, and know what is in force."""
        found = recover(self.journal, self._client, self._clock)
        for one in found.sent:
            words = f"Decision {one.decision} is {one.status}. {one.problem or ''}".strip()
            self._tell(one.status, words, kind="recovery")
            if self._open is not None and one.decision == self._open[0] and one.status in ("confirmed", "recovered"):
                self._state = self._open[1].state
        return found

    def _account(self, decision: Decision, before: State, inventory: Inventory) -> None:
        """Write down what the intervals earned whose prices are known now."""
        paid = 0.0 if decision.services is None else decision.services.paid
        placed = Placed(self._state.order, before.order, paid, decision.expected_profit)
        self._books.place(decision.interval, placed)
        for interval, outcome in self._books.settle(decision.seen.known, inventory):
            self.journal.record_outcome(interval, self._clock.now(), **outcome._asdict(), profit=outcome.profit)

    def _look(
        self, decision: Decision, before: State, inventory: Inventory, sent: Sent | None, stages: "Stopwatch"
    ) -> None:
        """Watch what happened, and tell people what begins and ends."""
        stages.add("send", 0.0 if sent is None or sent.ms_send is None else sent.ms_send)
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
        told = {"interval": str(decision.interval), "mode": decision.mode, "counts": dict(decision.order.counts)}
        told |= {"status": "kept" if sent is None else sent.status, "ms": stages.ms}
        self._log.info("decided", extra={"fields": told})

    def _tell(self, name: str, text: str, severity: str = "info", *, kind: str = "loop") -> None:
        self.journal.record_event(Event(self._clock.now(), kind, name, text, severity))


class Stopwatch:
    """How long the stages of a step take."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
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
