"""The state of a simulated server: its sites, what they run, what they really earn, and the prices it shows."""

import json
import math
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from gridlab.errors import DataError
from gridlab.live.simulator.faults import Fault, Faults
from gridlab.live.simulator.market import STEP, Market
from gridlab.live.simulator.ticking import ServerClock
from gridlab.sources.mara import EVENT, MACHINES, Inventory, settle

CAP = 1_000_000
MOST_SITES = 1000
MOST_PUTS = 200_000
LONGEST = timedelta(days=366)


@dataclass(frozen=True)
class SiteSpec:
    """
    A site that is there when the server starts.

    Parameters
    ----------
    name : str
        Its name.
    key : str
        Its key, which appears in no repr.
    power : int
        What its machines may draw in all. [power]
    """

    name: str
    key: str = field(repr=False)
    power: int = CAP


class Put(NamedTuple):
    """An allocation that was applied."""

    id: int
    site_id: int
    time: datetime
    counts: tuple[int, ...]


@dataclass
class Earned:
    """What a site earned in an interval, so far: by the formula, for the seconds that each allocation was in force."""

    seconds: float = 0.0
    power_seconds: float = 0.0
    revenue: float = 0.0
    cost: float = 0.0


@dataclass
class Site:
    """A site: what it may draw, what it runs since when, and what it earned in each interval."""

    site_id: int
    name: str
    power: int
    put: Put
    accrued_to: datetime
    earned: dict[int, Earned] = field(default_factory=dict)
    n_puts: int = 0


class Simulator:
    """
    All that a simulated server knows; it speaks no HTTP.

    Parameters
    ----------
    market : Market
        Where the prices come from.
    clock : ServerClock
        What time it is. It must be after the market's start; a year and a day after that it stands still.
    inventory : Inventory
        The machine types on offer.
    sites : iterable of SiteSpec
        Sites that are there from the start.
    cap_power : int
        What a site that a client makes may draw. [power]
    faults : iterable of Fault
        What goes wrong.
    seed : int
        Draws the faults.
    most_rows : int, optional
        Rows of prices that are shown at most, the newest; all of them when omitted, as the API does.

    Raises
    ------
    DataError
        If the clock is before the market's start, or a parameter is outside its range.
    """

    def __init__(
        self,
        market: Market,
        clock: ServerClock,
        *,
        inventory: Inventory = EVENT,
        sites: Iterable[SiteSpec] = (),
        cap_power: int = CAP,
        faults: Iterable[Fault] = (),
        seed: int = 0,
        most_rows: int | None = None,
    ) -> None:
        if clock.now() < market.start:
            raise DataError(f"the clock, {clock.now()}, is before the market's start, {market.start}: start it later")
        if cap_power < 0 or (most_rows is not None and most_rows < 1):
            raise DataError(f"cap_power must be at least 0 and most_rows at least 1, got {cap_power} and {most_rows}")
        self.market, self.clock, self.inventory, self.cap_power = market, clock, inventory, cap_power
        self.faults = Faults(faults, seed=seed)
        self.prices = PriceRows(market, most_rows)
        self.sites: list[Site] = []
        self.puts: deque[Put] = deque(maxlen=MOST_PUTS)
        self._by_key: dict[str, Site] = {}
        self._last_id = 0
        for spec in sites:
            self.add_site(spec.name, spec.key, spec.power)

    @property
    def end(self) -> datetime:
        """When the market ends and the server's time stands still."""
        return self.market.start + LONGEST

    def now(self) -> datetime:
        """Time of the server, UTC."""
        return min(self.clock.now(), self.end)

    def move(self, to: datetime) -> None:
        """Move a manual clock forward, at most to the end of the market."""
        if to > self.end:
            raise DataError(
                f"the market ends on {self.end.isoformat()}: move to a time before, or start the server again"
            )
        self.clock.move(to)

    def add_site(self, name: str, key: str | None = None, power: int | None = None) -> tuple[str, Site]:
        """
        Make a site, and give its key.

        Raises
        ------
        DataError
            If there are too many, or another has the key.
        """
        if len(self.sites) >= MOST_SITES:
            raise DataError(f"this server holds at most {MOST_SITES:,} sites: start it again")
        key = str(uuid.uuid4()) if key is None else key
        if not key or key in self._by_key:
            raise DataError(f"the key of site {name[:40]!r} is empty or another site's: give each site its own")
        now, site_id = self.now(), len(self.sites)
        nothing = Put(self._next_id(), site_id, now, (0,) * len(MACHINES))
        site = Site(site_id, name, self.cap_power if power is None else power, nothing, now)
        self.sites.append(site)
        self._by_key[key] = site
        return key, site

    def site_of(self, key: str) -> Site | None:
        """The site whose key it is, if there is one."""
        return self._by_key.get(key)

    def apply(self, site: Site, counts: Mapping[str, int]) -> dict[str, Any]:
        """
        Run an allocation from now on.

        Returns
        -------
        dict
            The reply to PUT ``/machines``.

        Raises
        ------
        DataError
            If it draws more than the site may.
        """
        used = sum(counts[name] * self.inventory.power[name] for name in MACHINES)
        if used > site.power:
            raise DataError(f"the allocation draws {_short(used)}, above the site's {site.power:,}: run fewer machines")
        now = max(self.now(), site.put.time + timedelta(microseconds=1))  # `updated_at` tells two apart on any clock
        self.accrue(site, now)
        site.put = Put(self._next_id(), site.site_id, now, tuple(counts[name] for name in MACHINES))
        site.n_puts += 1
        self.puts.append(site.put)
        return _allocation(site.put)

    def machines(self, site: Site) -> dict[str, Any]:
        """The reply to GET ``/machines``: what the site runs, and what that earns at the prices of when it was set."""
        counts = dict(zip(MACHINES, site.put.counts, strict=True))
        settled = settle(counts, self.inventory, self.market.quote(self.market.index(site.put.time)))
        return {
            **_allocation(site.put),
            "total_power_used": settled.total_power_used,
            "total_power_cost": settled.total_power_cost,
            "total_revenue": settled.total_revenue,
            "power": dict(settled.power),
            "revenue": dict(settled.revenue),
        }

    def accrue(self, site: Site, until: datetime) -> None:
        """Credit a site with what its allocation earns until then, interval by interval, pro rata by seconds."""
        counts = dict(zip(MACHINES, site.put.counts, strict=True))
        while site.accrued_to < until:
            k = self.market.index(site.accrued_to)
            end = min(until, self.market.time(k + 1))
            seconds = (end - site.accrued_to).total_seconds()
            earned = site.earned.setdefault(k, Earned())
            earned.seconds += seconds
            if any(site.put.counts):
                settled = settle(counts, self.inventory, self.market.quote(k))
                share = seconds / STEP.total_seconds()
                earned.power_seconds += settled.total_power_used * seconds
                earned.revenue += settled.total_revenue * share
                earned.cost += settled.total_power_cost * share
            site.accrued_to = end

    def intervals(self, site: Site, since: datetime | None = None) -> list[dict[str, Any]]:
        """What a site earned, interval by interval, from `since` on, until now."""
        self.accrue(site, self.now())
        first = 0 if since is None else self.market.index(since)
        return [
            {
                "time": self.market.time(k).isoformat(),
                "site_id": site.site_id,
                "seconds": one.seconds,
                "mean_power": one.power_seconds / one.seconds,
                "revenue": one.revenue,
                "cost": one.cost,
                "profit": one.revenue - one.cost,
            }
            for k, one in site.earned.items()
            if k >= first
        ]

    def earned(self, site: Site) -> dict[str, Any]:
        """What a site has earned since it was made, until now."""
        self.accrue(site, now := self.now())
        all_of = site.earned.values()
        revenue, cost = math.fsum(one.revenue for one in all_of), math.fsum(one.cost for one in all_of)
        return {
            "site_id": site.site_id,
            "name": site.name,
            "until": now.isoformat(),
            "seconds": math.fsum(one.seconds for one in all_of),
            "puts": site.n_puts,
            "revenue": revenue,
            "cost": cost,
            "profit": revenue - cost,
        }

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id


class PriceRows:
    """The rows that GET ``/prices`` shows, each written as JSON once, and the newest reply kept whole."""

    def __init__(self, market: Market, most_rows: int | None = None) -> None:
        self._market, self._most = market, most_rows
        self._rows: list[bytes | None] = []
        self._newest, self._body = -1, b"[]"

    def body(self, k: int) -> bytes:
        """The rows up to an interval, newest first, as JSON."""
        if k != self._newest:
            self._body = b"[" + b", ".join(self._shown(k)) + b"]"
            self._newest = k
        return self._body

    def _shown(self, k: int) -> list[bytes]:
        while len(self._rows) <= k:
            self._rows.append(self._written(len(self._rows)))
        shown = [row for row in reversed(self._rows[: k + 1]) if row is not None]
        return shown[: self._most]

    def _written(self, k: int) -> bytes | None:
        row = self._market.row(k)
        if row is None:
            return None
        time = self._market.time(k).replace(tzinfo=None).isoformat()
        names = ("energy_price", "hash_price", "token_price")
        pairs: list[tuple[str, Any]] = [*zip(names, row, strict=True), ("timestamp", time)]
        turn = k % len(pairs)
        return json.dumps(dict(pairs[turn:] + pairs[:turn])).encode()


def inventory_reply(inventory: Inventory) -> dict[str, Any]:
    """The reply to GET ``/inventory``."""
    of = {name: (inventory.power[name], inventory.output[name]) for name in MACHINES}
    compute = {kind: dict(zip(("power", "tokens"), of[f"{kind}_compute"], strict=True)) for kind in ("asic", "gpu")}
    miners = {
        kind: dict(zip(("power", "hashrate"), of[f"{kind}_miners"], strict=True))
        for kind in ("air", "hydro", "immersion")
    }
    return {"inference": compute, "miners": miners}


def put_record(put: Put) -> dict[str, Any]:
    """An allocation that was applied, as the log shows it."""
    counts = dict(zip(MACHINES, put.counts, strict=True))
    return {"id": put.id, "site_id": put.site_id, "time": put.time.isoformat(), **counts}


def _allocation(put: Put) -> dict[str, Any]:
    updated_at = put.time.replace(tzinfo=None).isoformat(timespec="microseconds")
    return {
        "site_id": put.site_id,
        "id": put.id,
        **dict(zip(MACHINES, put.counts, strict=True)),
        "updated_at": updated_at,
    }


def _short(number: int) -> str:
    return f"{number:,}" if number < 10**15 else "more than 10^15"
