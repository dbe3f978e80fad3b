"""The MARA API over HTTPS: every call ends by a deadline, is tried again where that is worth it, and keeps its key."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from numbers import Integral
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Self, TypeVar

import numpy as np
import pandas as pd

from gridlab.errors import DataError, MissingExtraError, ServerError
from gridlab.sources.mara import parsing
from gridlab.sources.mara.keys import ENVIRONMENT, ApiKey, redact
from gridlab.sources.mara.records import MACHINES, CreatedSite, Exchange, Inventory, MachinesReply, SiteReply
from gridlab.sources.mara.skew import Skew
from gridlab.sources.mara.wire import Answer, Wire

if TYPE_CHECKING:
    from tenacity import RetryCallState

BACKOFF_S, MOST_BACKOFF_S = 0.1, 5.0
MOST_QUIET_S = 60.0
ODD_TRIES = 3
CALLS_PER_S, BURST = 5.0, 20
TEXT_CHARACTERS = 4000
MOST_BYTES, MOST_BYTES_OF_ONE = 16 * 2**20, 2**20
AGAIN = frozenset({408, 429, *range(500, 600)})

T = TypeVar("T")
Applied = Literal["yes", "no", "over", "late"]
UNKNOWN = ("over", "late")


class DoubtfulError(ServerError):
    """PUT ``/machines`` may have been applied or not: read GET ``/machines`` before sending again."""


class Outcome(NamedTuple, Generic[T]):
    """
    What one request came to.

    Parameters
    ----------
    verdict : {"done", "again", "odd", "mend"}
        Whether it has a value, is worth another try, is worth a few because JSON lacks what is needed, or asks for
        something to be mended.
    value : object
        What was read, where it is done.
    problem : str
        What was wrong, where it is not.
    applied : {"yes", "no", "over", "late"}
        Whether the server did what a request that changes something asked for: where that is not known, whether it
        is over or the server may still be at it.
    """

    verdict: Literal["done", "again", "odd", "mend"]
    value: T | None = None
    problem: str = ""
    applied: Applied = "no"


class MaraClient:
    """
    A client of the MARA API; one call at a time, from whichever thread.

    Connection failures, timeouts, the statuses 408, 429 and 5xx and answers that are not JSON are tried again, after a
    wait drawn between 0 and a bound that doubles up to five seconds, and not before a Retry-After has passed (a minute
    at the most); JSON that lacks what is needed is asked for three times. Other refusals are not tried again. No call
    waits or works past `deadline_s`, but for the look-up of the host's name by the system. Redirects are not followed.

    Parameters
    ----------
    base_url : str
        The server's address: HTTPS, or HTTP where the host is this machine.
    key : ApiKey, optional
        The site's key, which machines and sites are asked with.
    timeout_s : float
        Longest wait for a connection, and for each piece of an answer. [s]
    deadline_s : float
        Longest time for a call with all its tries. [s]
    calls_per_s, burst : float, int
        Requests allowed each second in the long run, and at once. Five and twenty when omitted, and no limit where the
        host is this machine. [1/s, -]
    most_bytes : int
        Longest reply of prices that is read; a mebibyte of any other. [B]
    sleep, monotonic, now : callable
        How to wait, and the clocks of durations and of the time of day.
    rng : numpy.random.Generator, optional
        Draws the waits.
    on_exchange : callable, optional
        Called with the `Exchange` of every request made, failed or not. An exception of its own ends the call, after
        the request was made.

    Raises
    ------
    DataError
        If `base_url` is no such address, or a duration or a limit is not above 0.
    MissingExtraError
        If httpx or tenacity is not installed.

    Examples
    --------
    >>> MaraClient("http://example.org")
    Traceback (most recent call last):
    gridlab.errors.DataError: http://example.org would send the API key for all to read: write https://example.org
    >>> with MaraClient("http://127.0.0.1:8000", ApiKey("3f2b8c4e-0000-4000-8000-5d1f6a7b9c01")) as client:
    ...     print(client)
    MaraClient(http://127.0.0.1:8000, key=ApiKey([redacted], from this program))
    """

    def __init__(
        self,
        base_url: str,
        key: ApiKey | None = None,
        *,
        timeout_s: float = 5.0,
        deadline_s: float = 20.0,
        calls_per_s: float | None = None,
        burst: int = BURST,
        most_bytes: int = MOST_BYTES,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], pd.Timestamp] = lambda: pd.Timestamp.now("UTC"),
        rng: np.random.Generator | None = None,
        on_exchange: Callable[[Exchange], None] | None = None,
    ) -> None:
        _require_above_0(timeout_s=timeout_s, deadline_s=deadline_s, burst=burst, most_bytes=most_bytes)
        self._wire = Wire(base_url, timeout_s=timeout_s, monotonic=monotonic)
        self._most_bytes = most_bytes
        self._key = key
        self._deadline_s = deadline_s
        usual = float("inf") if self._wire.is_local else CALLS_PER_S
        self._pace = _Pace(usual if calls_per_s is None else calls_per_s, burst, monotonic)
        self._sleep, self._monotonic, self._now = sleep, monotonic, now
        self._rng = np.random.default_rng() if rng is None else rng
        self._on_exchange = on_exchange
        self._skew = Skew()
        self._lock = threading.RLock()

    def get_prices(self) -> pd.DataFrame:
        """
        The prices since the API began, with the newest interval last.

        An older row that cannot be read is a gap, and ``attrs["notes"]`` says so; the newest must be whole.

        Raises
        ------
        ServerError
            If no answer that can be read came by the deadline.
        DataError
            If the server refuses the call, or its answer lacks what is needed.
        """

        def read(body: bytes) -> pd.DataFrame:
            return parsing.prices_of(parsing.decode(body, "GET /prices", nan=True), bad_rows="gap")

        return self._get("/prices", read)

    def get_inventory(self) -> Inventory:
        """The machine types on offer. Raises as `get_prices`."""
        return self._get("/inventory", parsing.parse_inventory)

    def get_machines(self) -> MachinesReply:
        """What the site runs and earns. Raises as `get_prices`, and DataError where there is no key or a wrong one."""
        return self._get("/machines", parsing.parse_machines, keyed=True)

    def get_site(self) -> SiteReply:
        """The site's name and power. Raises as `get_machines`."""
        return self._get("/sites", parsing.parse_site, keyed=True)

    def create_site(self, name: str) -> CreatedSite:
        """
        Make a new site.

        It is tried again only where the server cannot have made one, for there would be two.

        Raises
        ------
        ServerError
            If no answer that can be read came; a site may have been made whose key is lost.
        DataError
            If `name` is blank, or the server refuses the call.
        """
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"a site needs a name, got {name!r}: give it one")
        content = json.dumps({"name": name}).encode()

        def attempt(until: float) -> Outcome[CreatedSite]:
            seen = self._request("POST", "/sites", parsing.parse_created_site, until, content=content)
            return seen._replace(verdict="mend") if seen.applied in UNKNOWN else seen

        seen = self._repeated(attempt)
        if seen.applied in UNKNOWN:
            raise ServerError(f"{seen.problem}; a site may have been made whose key is lost: call again for another")
        return _value(seen)

    def put_machines(self, counts: Mapping[str, int]) -> MachinesReply:
        """
        Set how many machines of each type run.

        Where an answer is lost or in doubt, GET ``/machines`` is read and compared before anything is sent again, so
        a decision that was applied is not sent twice; its answer then is that of GET. Nothing is sent again while the
        server may still be at the first request, which timed out.

        Parameters
        ----------
        counts : mapping of str to int
            Machines of each type, all five.

        Returns
        -------
        MachinesReply
            The server's, with the counts asked for.

        Raises
        ------
        DataError
            If a count is missing, negative or not an integer, nothing having been sent; or the server refuses them.
        DoubtfulError
            If it is not known by the deadline whether they were applied.
        ServerError
            If they were not applied, or the server answers with other counts.
        """
        wanted = checked_counts(counts)
        content = json.dumps(wanted).encode()
        doubt: Outcome[MachinesReply] | None = None

        def attempt(until: float) -> Outcome[MachinesReply]:
            nonlocal doubt
            if doubt is not None:
                seen = self._request("GET", "/machines", parsing.parse_machines, until, keyed=True)
                if seen.value is None or seen.value.counts == wanted:
                    return seen._replace(verdict="again") if seen.verdict == "odd" else seen
                if doubt.applied == "late":
                    return doubt
                doubt = None
            sent = self._request("PUT", "/machines", _parse_put, until, keyed=True, content=content)
            doubt = sent._replace(verdict="again") if sent.applied in UNKNOWN else None
            return doubt or sent

        seen = self._repeated(attempt)
        if seen.value is None and doubt is not None:
            then = "" if seen.problem == doubt.problem else f", and then {seen.problem}"
            raise DoubtfulError(
                f"{doubt.problem}{then}; it is not known whether the counts were applied: read GET /machines before "
                "sending again"
            )
        return _with_counts(_value(seen), wanted)

    @property
    def skew(self) -> pd.Timedelta | None:
        """The server's clock less ours, from the Date of its answers; None before the first."""
        return self._skew.value

    @property
    def skew_error(self) -> pd.Timedelta | None:
        """How far `skew` may be off either way; None before the first answer."""
        return self._skew.error

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"MaraClient({self._wire.base_url}, key={self._key!r})"

    def _get(self, path: str, read: Callable[[bytes], T], *, keyed: bool = False) -> T:
        return _value(self._repeated(lambda until: self._request("GET", path, read, until, keyed=keyed)))

    def _repeated(self, attempt: Callable[[float], Outcome[T]]) -> Outcome[T]:
        """The outcome of an attempt, made again while it is worth it and there is time."""
        retrying = _tenacity()
        with self._lock:
            until = self._monotonic() + self._deadline_s
            outcome: Outcome[T] = retrying(
                sleep=self._sleep,
                wait=self._wait,
                retry=_is_worth_it,
                stop=lambda state: self._monotonic() + state.upcoming_sleep >= until,
                retry_error_callback=_last,
            )(attempt, until)
        return outcome

    def _wait(self, state: "RetryCallState") -> float:
        bound = min(MOST_BACKOFF_S, BACKOFF_S * 2.0 ** min(state.attempt_number, 16))
        return max(float(self._rng.uniform(0.0, bound)), self._pace.wait_s())

    def _request(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], T],
        until: float,
        *,
        keyed: bool = False,
        content: bytes | None = None,
    ) -> Outcome[T]:
        """One request, judged and told of."""
        call, key = f"{method} {path}", self._key if keyed else None
        if keyed and key is None:
            raise DataError(f"{call} needs an API key: set {ENVIRONMENT}, or name a file that holds it")
        wait = self._pace.wait_s()
        if self._monotonic() + wait >= until:
            return Outcome("again", problem=f"{call} was not sent, for it would have to wait {wait:.3g} s for its turn")
        if wait:
            self._sleep(wait)
        self._pace.take()
        at, began = self._now(), self._monotonic()
        most_bytes = self._most_bytes if call == "GET /prices" else min(self._most_bytes, MOST_BYTES_OF_ONE)
        answer = self._wire.send(method, path, until=until, most_bytes=most_bytes, key=key, content=content)
        latency_ms = 1000 * (self._monotonic() - began)
        outcome = self._judged(answer, call, read, changes=content is not None)
        self._learn_from(answer, at)
        self._tell(call, answer, outcome, at, latency_ms)
        return outcome

    def _judged(self, answer: Answer, call: str, read: Callable[[bytes], T], *, changes: bool) -> Outcome[T]:
        status, problem = answer.status, answer.problem
        unknown: Applied = answer.fate if changes and answer.fate != "unsent" else "no"
        if status is None or (problem is not None and 200 <= status < 300):
            return Outcome("again", problem=f"{call}: {self._clean(problem or 'no answer')}", applied=unknown)
        if 200 <= status < 300:
            return self._read(answer.body, call, read, unknown)
        if status in AGAIN:
            said = f"{call} answered {status}{self._words(answer)}"
            return Outcome("again", problem=said, applied="no" if status == 429 else unknown)
        return Outcome("mend", problem=self._refusal(answer, call))

    def _read(self, body: bytes, call: str, read: Callable[[bytes], T], unknown: Applied) -> Outcome[T]:
        try:
            return Outcome("done", value=read(body), applied="yes")
        except parsing.NotJsonError as error:
            return Outcome("again", problem=self._clean(str(error)), applied=unknown)
        except DataError as error:
            return Outcome("odd", problem=self._clean(str(error)), applied=unknown)

    def _refusal(self, answer: Answer, call: str) -> str:
        if answer.status in (401, 403):
            origin = f" from {self._key.origin}" if self._key is not None else ""
            return (
                f"{call} answered {answer.status}: the server does not accept the API key{origin}; give the site's own"
            )
        if answer.status is not None and 300 <= answer.status < 400:
            place = self._clean(answer.headers.get("location", "another address"))[:120]
            return f"{call} answered {answer.status} and points to {place}, where the key is not sent: see the address"
        return f"{call} was refused with {answer.status}{self._words(answer)}: mend what was asked"

    def _words(self, answer: Answer) -> str:
        """What the server said, in brackets; a new site's key may be in it, so it is cleaned."""
        text = _decoded(answer.body[: 2 * TEXT_CHARACTERS]).strip()
        if text.startswith("<"):
            return " (a web page)"
        words = " ".join(self._clean(text).split())
        return f" ({words[:160]})" if words else ""

    def _learn_from(self, answer: Answer, at: pd.Timestamp) -> None:
        date = _date(answer.headers.get("date"))
        if date is not None and "age" not in answer.headers:
            self._skew.observe(date, at, self._now())
        if answer.status in (429, 503):
            self._pace.be_quiet(_retry_after_s(answer.headers.get("retry-after"), date or at))

    def _tell(self, call: str, answer: Answer, outcome: Outcome[Any], at: pd.Timestamp, latency_ms: float) -> None:
        if self._on_exchange is None:
            return
        is_told = call != "POST /sites" and not (call == "GET /prices" and outcome.value is not None)
        text = self._clean(_decoded(answer.body[: 2 * TEXT_CHARACTERS]))[:TEXT_CHARACTERS] if is_told else ""
        digest = hashlib.sha256(answer.body).hexdigest() if answer.body else ""
        date = _date(answer.headers.get("date"))
        self._on_exchange(Exchange(at, call, answer.status, latency_ms, text, outcome.problem or None, date, digest))

    def _clean(self, text: str) -> str:
        return redact(text, self._key)


class _Pace:
    """A bucket of tokens, one for each request, and a time before which the server asked for none."""

    def __init__(self, calls_per_s: float, burst: int, monotonic: Callable[[], float]) -> None:
        _require_above_0(calls_per_s=calls_per_s)
        self._rate, self._burst, self._monotonic = calls_per_s, float(burst), monotonic
        self._tokens, self._at = float(burst), monotonic()
        self._quiet_until = float("-inf")

    def wait_s(self) -> float:
        """How long to wait before the next request. [s]"""
        return max(0.0, (1.0 - self._filled()) / self._rate, self._quiet_until - self._monotonic())

    def take(self) -> None:
        """Count a request."""
        self._tokens, self._at = self._filled() - 1.0, self._monotonic()

    def be_quiet(self, seconds: float) -> None:
        """Send nothing for a time that the server asked for, a minute at the most."""
        self._quiet_until = self._monotonic() + min(seconds, MOST_QUIET_S)

    def _filled(self) -> float:
        if self._rate == float("inf"):
            return self._burst
        return min(self._burst, self._tokens + (self._monotonic() - self._at) * self._rate)


def checked_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """
    All five counts as integers, in order.

    Raises
    ------
    DataError
        If one is missing, unknown, negative or no integer.

    Examples
    --------
    >>> checked_counts(dict.fromkeys(MACHINES, 0) | {"hydro_miners": 199.5})
    Traceback (most recent call last):
    gridlab.errors.DataError: hydro_miners must be an integer in [0, 1e15], got 199.5: round it down
    """
    missing, unknown = set(MACHINES) - set(counts), set(counts) - set(MACHINES)
    if missing or unknown:
        what = f"lack {sorted(missing)[0]}" if missing else f"name {sorted(map(str, unknown))[0]!r}"
        raise DataError(f"the counts to send {what}: give each of {', '.join(MACHINES)}")
    for name in MACHINES:
        value = counts[name]
        is_integer = isinstance(value, Integral) and not isinstance(value, bool | np.bool_)
        if not is_integer or not 0 <= value <= parsing.MOST_COUNT:
            raise DataError(f"{name} must be an integer in [0, 1e15], got {value!r}: round it down")
    return {name: int(counts[name]) for name in MACHINES}


def _parse_put(body: bytes) -> MachinesReply:
    return parsing.parse_machines(body, "PUT /machines")


def _value(outcome: Outcome[T]) -> T:
    if outcome.value is not None:
        return outcome.value
    if outcome.verdict == "again":
        raise ServerError(f"{outcome.problem}: try again later")
    raise DataError(outcome.problem)


def _with_counts(reply: MachinesReply, wanted: Mapping[str, int]) -> MachinesReply:
    other = [
        f"{name} {reply.counts[name]} for {wanted[name]}" for name in MACHINES if reply.counts[name] != wanted[name]
    ]
    if other:
        raise ServerError(
            f"PUT /machines was answered with other counts ({', '.join(other)}): read them and send again"
        )
    return reply


def _tenacity() -> Any:
    try:
        from tenacity import Retrying
    except ImportError as error:
        raise MissingExtraError("the MARA client needs tenacity: pip install 'gridlab[live]'") from error
    return Retrying


def _is_worth_it(state: "RetryCallState") -> bool:
    if state.outcome is None or state.outcome.failed:
        return False
    verdict = state.outcome.result().verdict
    return bool(verdict == "again" or (verdict == "odd" and state.attempt_number < ODD_TRIES))


def _last(state: "RetryCallState") -> Any:
    return state.outcome.result() if state.outcome is not None else None


def _decoded(body: bytes) -> str:
    return body.decode("utf-8", errors="replace")


def _date(header: str | None) -> pd.Timestamp | None:
    try:
        time = pd.Timestamp(parsedate_to_datetime(header or ""))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")


def _retry_after_s(header: str | None, now: pd.Timestamp) -> float:
    """Seconds of a Retry-After: a number, or a date by the server's clock; 0 where there is none that can be read."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    date = _date(text)
    return 0.0 if date is None else max(0.0, (date - now).total_seconds())


def _require_above_0(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise DataError(f"{name} must be above 0, got {value}")
