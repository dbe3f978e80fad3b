"""Where notices go: the journal, the log, and a webhook that never delays the loop."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pandas as pd

from gridlab.errors import DataError, MissingExtraError
from gridlab.live.monitor_records import Notice
from gridlab.sources.mara.wire import is_loopback

if TYPE_CHECKING:
    import httpx

Sink = Callable[[Sequence[Notice], pd.Timestamp], object]
"""What takes the notices of a step and its interval: `Webhook.send`, `to_log`, or what writes `events` to a journal."""

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.CRITICAL}


def deliver(notices: Sequence[Notice], interval: pd.Timestamp, sinks: Mapping[str, Sink]) -> tuple[str, ...]:
    """
    Hand the notices of a step to each sink; one that fails keeps none of the others from them.

    Parameters
    ----------
    notices : sequence of Notice
        As `watch` returned them.
    interval : Timestamp
        The step's interval.
    sinks : mapping of str to callable
        Where they go, by name, in order.

    Returns
    -------
    tuple of str
        One sentence for each sink that failed, with the kind of error and not its words, which might hold a secret.

    Examples
    --------
    >>> def full(notices, interval):
    ...     raise OSError("no space left on device")
    >>> heard = []
    >>> notice = Notice("clock", "warning", "raised", "the server's clock is 61 s ahead of ours", 1)
    >>> sinks = {"journal": full, "page": lambda notices, interval: heard.extend(notices)}
    >>> deliver([notice], pd.Timestamp("2025-06-21 12:00", tz="UTC"), sinks), len(heard)
    (('1 notice did not reach journal: OSError',), 1)
    """
    problems = []
    for name, sink in sinks.items() if notices else ():
        try:
            sink(notices, interval)
        except Exception as error:
            words = f"{len(notices)} notice{'s' * (len(notices) > 1)} did not reach {name}"
            problems.append(f"{words}: {type(error).__name__}")
    return tuple(problems)


def events(notices: Sequence[Notice], interval: pd.Timestamp) -> list[dict[str, Any]]:
    """
    The notices as rows of the journal's events, less `at`, which the journal knows.

    Examples
    --------
    >>> notice = Notice("clock", "warning", "ended", "over after 3 intervals", 3)
    >>> events([notice], pd.Timestamp("2025-06-21 12:00", tz="UTC"))[0]["kind"]
    'alert'
    """
    return [
        {
            "interval": interval,
            "kind": "alert",
            "name": one.name,
            "severity": one.severity,
            "phase": one.phase,
            "text": one.text,
        }
        for one in notices
    ]


def to_log(logger: logging.Logger) -> Sink:
    """A sink that writes each notice to a logger: raised ones at their severity, ended ones as information."""

    def write(notices: Sequence[Notice], interval: pd.Timestamp) -> None:
        for one in notices:
            level = _LEVELS[one.severity] if one.phase == "raised" else logging.INFO
            fields = {"interval": interval.isoformat(), "alert": one.name, "phase": one.phase, "count": one.count}
            logger.log(level, "%s", one.text, extra={"fields": fields})

    return write


class Webhook:
    """
    Posts notices as JSON from a thread of its own; a step only puts them in a queue.

    What is posted has ``text``, all sentences, which chat services show, and ``site``, ``simulated``, ``interval``,
    ``dropped`` and ``notices``. A post that fails for a reason that may pass (no connection, 429, 5xx) is tried once
    more. The address often is a secret itself: only its host is ever shown.

    Parameters
    ----------
    url : str
        Where to: HTTPS, or HTTP to this machine.
    timeout_s : float
        For connecting and for the answer, each. [s]
    site : str
        Name of the site.
    simulated : bool
        Whether it is one; then the text says so.
    redact : sequence of callable
        What takes a secret out of a text.
    backoff_s : float
        Wait before the second try. [s]
    queue_size : int
        Posts that may wait; more are dropped and counted.

    Attributes
    ----------
    sent, failed, dropped : int
        Posts by what became of them.
    problem : str, optional
        Why the last one failed, in a sentence; None after one that did not.

    Raises
    ------
    DataError
        If the address is neither HTTPS nor of this machine, or a number is out of its range.
    MissingExtraError
        If httpx is not installed.

    Examples
    --------
    >>> Webhook("http://hooks.example.com/T0/secret")
    Traceback (most recent call last):
    gridlab.errors.DataError: the webhook at hooks.example.com must be https://, or http:// to this machine
    >>> with Webhook("https://hooks.example.com/T0/secret") as hook:
    ...     hook
    Webhook(hooks.example.com, sent=0, failed=0, dropped=0)
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        site: str = "site",
        simulated: bool = False,
        redact: Sequence[Callable[[str], str]] = (),
        backoff_s: float = 1.0,
        queue_size: int = 100,
    ) -> None:
        self.host = _checked_host(url)
        if not (0 < timeout_s < float("inf") and backoff_s >= 0 and queue_size >= 1):
            raise DataError("a webhook needs timeout_s above 0, backoff_s of 0 or more and queue_size of 1 or more")
        self.sent = self.failed = self.dropped = 0
        self.problem: str | None = None
        self._url, self._timeout_s, self._backoff_s = url, timeout_s, backoff_s
        self._site, self._simulated, self._redact = site, simulated, tuple(redact)
        self._client, normal = _client(url, timeout_s)
        self._hidden = _Hidden({url, normal}, self.host)
        logging.getLogger("httpx").addFilter(self._hidden)
        self._queue_size = queue_size
        self._waiting: deque[dict[str, Any]] = deque()
        self._changed = threading.Condition()
        self._closing, self._abort = False, threading.Event()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"Webhook({self.host}, sent={self.sent}, failed={self.failed}, dropped={self.dropped})"

    def __enter__(self) -> "Webhook":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def send(self, notices: Sequence[Notice], interval: pd.Timestamp) -> bool:
        """Put the notices of a step in the queue, without waiting; False where they were dropped."""
        if not notices:
            return True
        with self._changed:
            if self._closing or len(self._waiting) >= self._queue_size:
                self.dropped += 1
                return False
            self._waiting.append(self._payload(notices, interval))
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="gridlab-webhook", daemon=True)
                self._thread.start()
        return True

    def close(self, wait_s: float | None = None) -> None:
        """
        Post what waits, for so long at the most, then stop; what is left is counted as dropped.

        Parameters
        ----------
        wait_s : float, optional
            As long as an answer may take when omitted. A post under way may take that much longer. [s]
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(self._timeout_s if wait_s is None else wait_s)
            self._abort.set()
            self._thread.join(3 * self._timeout_s)
        self._client.close()
        logging.getLogger("httpx").removeFilter(self._hidden)

    def _work(self) -> None:
        while (payload := self._next()) is not None:
            self._post_or_count(payload)

    def _next(self) -> dict[str, Any] | None:
        """The next payload once there is one; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._abort.is_set():
                self.dropped += len(self._waiting)
                self._waiting.clear()
            return self._waiting.popleft() if self._waiting else None

    def _post_or_count(self, payload: dict[str, Any]) -> None:
        try:
            problem, may_pass = self._post(payload)
            if problem and may_pass and not self._abort.wait(self._backoff_s):
                problem, _ = self._post(payload)
        except Exception as error:  # the thread must outlive whatever a post meets
            problem = f"the webhook at {self.host} failed: {type(error).__name__}"
        self.problem = problem
        if problem:
            self.failed += 1
        else:
            self.sent += 1

    def _post(self, payload: dict[str, Any]) -> tuple[str | None, bool]:
        """What went wrong, and whether it may pass; the answer's body is not read."""
        import httpx

        try:
            with self._client.stream("POST", self._url, json={**payload, "dropped": self.dropped}) as reply:
                status = reply.status_code
        except httpx.HTTPError as error:
            return f"the webhook at {self.host} could not be reached: {type(error).__name__}", True
        if 200 <= status < 300:
            return None, False
        return f"the webhook at {self.host} answered {status}", status == 429 or status >= 500

    def _payload(self, notices: Sequence[Notice], interval: pd.Timestamp) -> dict[str, Any]:
        head = f"{'SIMULATED ' if self._simulated else ''}{self._site} {interval:%Y-%m-%d %H:%M} UTC"
        lines = [f"[{one.severity}] {one.name} {one.phase}: {one.text}" for one in notices]
        rows = [
            {"name": n.name, "severity": n.severity, "phase": n.phase, "text": self._clean(n.text), "count": n.count}
            for n in notices
        ]
        return {
            "text": self._clean("\n".join([head, *lines])),
            "site": self._site,
            "simulated": self._simulated,
            "interval": interval.isoformat(),
            "notices": rows,
        }

    def _clean(self, text: str) -> str:
        for one in self._redact:
            text = one(text)
        return text


def _checked_host(url: str) -> str:
    """Host of an address that notices may be sent to."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise DataError("the address of the webhook cannot be read: copy it again") from None
    if not host or parts.scheme not in ("https", "http"):
        raise DataError("the address of the webhook must begin with https:// and have a host")
    if parts.scheme == "http" and not is_loopback(host):
        raise DataError(f"the webhook at {host} must be https://, or http:// to this machine")
    return host


def _client(url: str, timeout_s: float) -> tuple["httpx.Client", str]:
    """A client, and the address as the client has it."""
    try:
        import httpx
    except ImportError as error:
        raise MissingExtraError("a webhook needs httpx: pip install 'gridlab[live]'") from error
    try:
        normal = str(httpx.URL(url))
    except httpx.InvalidURL:
        raise DataError("the address of the webhook cannot be read: copy it again") from None
    return httpx.Client(timeout=timeout_s, follow_redirects=False), normal


class _Hidden(logging.Filter):
    """Leaves only the host of an address in what httpx logs of each request."""

    def __init__(self, addresses: set[str], host: str) -> None:
        super().__init__()
        self._addresses, self._host = addresses, host

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for address in self._addresses:
            text = text.replace(address, self._host)
        record.msg, record.args = text, None
        return True
