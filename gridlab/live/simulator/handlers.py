"""The simulated server's HTTP, in tornado: each call of the API, the calls that study it, and the faults between."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import tornado.httputil
import tornado.web

from gridlab.errors import DataError
from gridlab.live.simulator import requests
from gridlab.live.simulator.faults import Fault, garbled, spoiled
from gridlab.live.simulator.openapi import DESCRIPTION
from gridlab.live.simulator.sites import Simulator, Site, inventory_reply, put_record

log = logging.getLogger(__name__)

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
PAGE = b"<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"


class Refused(tornado.web.HTTPError):
    """A request that is answered with a status of the 400s and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class Call(tornado.web.RequestHandler):
    """What all calls share: replies and errors in JSON, the simulated time, and no word of a key in the log."""

    @property
    def world(self) -> Simulator:
        """The state."""
        world: Simulator = self.application.settings["world"]
        return world

    def set_default_headers(self) -> None:
        """Date the reply by the server's clock, which is not the machine's."""
        self.date(0.0)
        self.set_header("Server", "gridlab simulator")
        self.set_header("X-Simulated", "true")

    def date(self, skew_s: float) -> None:
        """Set the header Date, so many seconds ahead of the server's clock."""
        shown = self.world.now() + timedelta(seconds=skew_s)
        self.set_header("Date", tornado.httputil.format_timestamp(shown))

    def prepare(self) -> Awaitable[None] | None:
        """Refuse what is too long."""
        if len(self.request.body) > requests.MOST_BYTES:
            raise Refused(413, f"the body is longer than {requests.MOST_BYTES:,} bytes: send less")
        return None

    def reply(self, value: Any, status: int = 200) -> None:
        """Answer with a value as JSON."""
        self.send(json.dumps(value).encode(), status)

    def send(self, body: bytes, status: int = 200) -> None:
        """Answer with JSON that is written already."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(body)

    def body(self) -> dict[str, Any]:
        """The JSON object of the request."""
        try:
            return requests.body_of(self.request.body)
        except requests.NotJsonError as error:
            raise Refused(400, str(error)) from None

    def compute_etag(self) -> None:
        """No tag: it would cost a hash of every reply, and the API gives none."""

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """What the library refuses is the request's fault."""
        refused = isinstance(kwargs.get("exc_info", (None, None))[1], DataError)
        super().send_error(422 if refused else status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """One sentence as JSON, whatever went wrong."""
        error = kwargs.get("exc_info", (None, None))[1]
        if status_code == 405:
            allowed = [verb for verb in VERBS if verb.lower() in vars(type(self))]
            self.set_header("Allow", ", ".join(allowed))
        if status_code == 401:
            self.set_header("WWW-Authenticate", "ApiKey")
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"detail": self._sentence(status_code, error)}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Name what the server did not foresee; no traceback, path or key."""
        if not isinstance(value, tornado.web.HTTPError | DataError):
            log.error("%s failed: %s", self.request.method, getattr(typ, "__name__", typ))

    def _sentence(self, status: int, error: BaseException | None = None) -> str:
        if isinstance(error, Refused | DataError):
            return str(error)
        if status == 404:
            return "there is no such path: GET /openapi.json lists those there are"
        if status == 405:
            return "this path has no such method: the header Allow lists those it has"
        return f"the request failed: {HTTPStatus(status).phrase.lower()}"


class ApiCall(Call):
    """A call of the API: faults may befall it, before it is applied, after, or in its reply."""

    struck: Mapping[str, Fault] = MappingProxyType({})
    gone = False

    async def prepare(self) -> None:
        """Let the faults befall it that come before it is applied."""
        super().prepare()
        self.struck = self.world.faults.draw(f"{self.request.method} {self.request.path}")
        if "latency" in self.struck:
            await asyncio.sleep(self.struck["latency"].length_s)
            if self.gone:
                raise tornado.web.Finish
        if "before" in self.struck:
            self._fail(self.struck["before"])
            raise tornado.web.Finish

    def on_connection_close(self) -> None:
        """Remember that the client has gone: what it asked for is not applied."""
        self.gone = True

    def reply(self, value: Any, status: int = 200) -> None:
        """Answer as the fault in the reply, if there is one, leaves it."""
        fault = self.struck.get("reply")
        if fault is not None:
            value = spoiled(fault, value, self.world.now(), self.world.faults.rng)
            if fault.kind == "skew":
                self.date(fault.length_s)
        super().reply(value, status)

    def send(self, body: bytes, status: int = 200) -> None:
        """Answer, unless a fault comes after the request is applied."""
        fault = self.struck.get("after")
        if fault is None:
            super().send(body, status)
        elif fault.kind in ("malformed", "truncated"):
            super().send(garbled(fault, body, self.world.faults.rng), status)
        else:
            self._fail(fault)

    def site(self) -> Site:
        """The site whose key the request has."""
        key = self.request.headers.get("X-Api-Key")
        site = None if key is None else self.world.site_of(key)
        if site is None:
            why = "lacks its X-Api-Key header" if key is None else "has an X-Api-Key that is no site's"
            raise Refused(401, f"the request {why}: POST /sites gives a key")
        return site

    def _fail(self, fault: Fault) -> None:
        if fault.kind in ("drop", "drop_after"):
            self.detach().close()
        elif fault.kind == "html":
            self.set_status(fault.status, "Bad Gateway")
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.finish(PAGE)
        elif fault.kind == "rate_limit":
            self.set_header("Retry-After", str(max(1, round(fault.length_s))))
            Call.send(self, b'{"detail": "there are too many requests: wait and send it again"}', 429)
        else:
            Call.send(self, b'{"detail": "the server failed, as it was told to"}', 500)


class Prices(ApiCall):
    """``/prices``."""

    def get(self) -> None:
        """All rows up to now, newest first."""
        body = self.world.prices.body(self.world.market.index(self.world.now()))
        if "reply" in self.struck:
            self.reply(json.loads(body))
        else:
            self.send(body)


class InventoryCall(ApiCall):
    """``/inventory``."""

    def get(self) -> None:
        """The machine types on offer."""
        self.reply(inventory_reply(self.world.inventory))


class Machines(ApiCall):
    """``/machines``."""

    def get(self) -> None:
        """What the site runs, and what that earns."""
        self.reply(self.world.machines(self.site()))

    def put(self) -> None:
        """Run an allocation from now on."""
        site = self.site()
        self.reply(self.world.apply(site, requests.counts_of(self.body())))


class Sites(ApiCall):
    """``/sites``."""

    def get(self) -> None:
        """The site whose key it is."""
        site = self.site()
        self.reply({"site_id": site.site_id, "name": site.name, "power": site.power})

    def post(self) -> None:
        """Make a site and give its key."""
        key, site = self.world.add_site(requests.name_of(self.body()))
        self.reply({"api_key": key, "name": site.name, "power": site.power})


class Study(Call):
    """A call beside the API: no fault befalls it, and it needs no key."""

    def site_id(self) -> int | None:
        """The site that the query names."""
        asked = self.get_query_argument("site", None)
        if asked is None:
            return None
        number = requests.number_of(asked, "site")
        if number >= len(self.world.sites):
            raise Refused(404, f"there is no site {number}: there are {len(self.world.sites)}, numbered from 0")
        return number

    def chosen(self) -> list[Site]:
        """The site that the query names, or all of them."""
        number = self.site_id()
        return self.world.sites if number is None else [self.world.sites[number]]


class About(Study):
    """``/simulator``."""

    def get(self) -> None:
        """What is simulated."""
        self.reply(
            {
                "simulated": True,
                "market": self.world.market.about(),
                "clock": _clock(self.world),
                "sites": [{"site_id": s.site_id, "name": s.name, "power": s.power} for s in self.world.sites],
                "end": self.world.end.isoformat(),
            }
        )


class Clock(Study):
    """``/simulator/clock``."""

    def get(self) -> None:
        """What time it is."""
        self.reply(_clock(self.world))

    def post(self) -> None:
        """Move a manual clock forward."""
        target = requests.time_of(self.body().get("to"), "to")
        if self.world.clock.kind != "manual":
            raise Refused(409, f"only a manual clock can be moved, and this one is {self.world.clock.kind}")
        try:
            self.world.move(target)
        except DataError as error:
            raise Refused(409, str(error)) from None
        self.reply(_clock(self.world))


class FaultsCall(Study):
    """``/simulator/faults``."""

    def get(self) -> None:
        """The faults in force, and their counts."""
        self.reply(self.world.faults.summary())

    def post(self) -> None:
        """Set the faults, or add some."""
        faults, keep = requests.faults_of(self.body())
        self.world.faults.set(faults, keep=keep)
        self.reply(self.world.faults.summary())


class Log(Study):
    """``/simulator/log``."""

    def get(self) -> None:
        """What was applied, and what was earned in each interval."""
        sites, since = self.chosen(), self.get_query_argument("since", None)
        start = self.world.market.start if since is None else requests.time_of(since, "since")
        numbers = {site.site_id for site in sites}
        puts = [put for put in self.world.puts if put.site_id in numbers and put.time >= start]
        lost = sum(site.n_puts for site in self.world.sites) - len(self.world.puts)
        self.reply(
            {
                "puts": [put_record(put) for put in puts],
                "intervals": [one for site in sites for one in self.world.intervals(site, start)],
                "puts_forgotten": lost,
            }
        )


class EarnedCall(Study):
    """``/simulator/earned``."""

    def get(self) -> None:
        """What each site has earned so far."""
        self.reply([self.world.earned(site) for site in self.chosen()])


class OpenApi(Study):
    """``/openapi.json``."""

    def get(self) -> None:
        """The description of all calls."""
        self.reply(DESCRIPTION)


class Missing(Call):
    """Any other path."""

    def prepare(self) -> None:
        """Refuse."""
        raise Refused(404, self._sentence(404))


PATHS: dict[str, type[Call]] = {
    "/prices": Prices,
    "/inventory": InventoryCall,
    "/machines": Machines,
    "/sites": Sites,
    "/simulator": About,
    "/simulator/clock": Clock,
    "/simulator/faults": FaultsCall,
    "/simulator/log": Log,
    "/simulator/earned": EarnedCall,
    "/openapi.json": OpenApi,
}


def application(world: Simulator) -> tornado.web.Application:
    """The server's application on a state."""
    return tornado.web.Application(
        list(PATHS.items()),
        default_handler_class=Missing,
        log_function=_log_call,
        world=world,
    )


def _clock(world: Simulator) -> dict[str, Any]:
    return {"kind": world.clock.kind, "now": world.now().isoformat(), "speed": world.clock.speed}


def _log_call(handler: tornado.web.RequestHandler) -> None:
    log.debug("%s %s", handler.request.method, handler.get_status())
