"""One request over HTTP that ends by its deadline, reads no more than it should, and goes where it was sent."""

import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, urlsplit

from gridlab.errors import DataError, MissingExtraError
from gridlab.sources.mara.keys import ApiKey

if TYPE_CHECKING:
    import httpx

KEY_HEADER = "X-Api-Key"
_HEADERS = ("age", "content-encoding", "date", "location", "retry-after")


Fate = Literal["unsent", "over", "late"]


@dataclass(frozen=True)
class Answer:
    """
    What came of a request; its text form leaves out what the server wrote.

    Parameters
    ----------
    status : int or None
        The server's; None where none came.
    headers : mapping of str to str
        Those that are looked at, in small letters.
    body : bytes
        What was read of the body.
    problem : str or None
        Why there is no whole answer.
    fate : {"unsent", "over", "late"}
        Whether the request never left, has been dealt with or dropped, or may still be dealt with.
    """

    status: int | None
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    problem: str | None
    fate: Fate


class Wire:
    """
    Connections to one server, kept open between requests. Redirects are not followed.

    Parameters
    ----------
    base_url : str
        The server's address: HTTPS, or HTTP where the host is this machine.
    timeout_s : float
        Longest wait for a connection, and for each piece of an answer. [s]
    monotonic : callable
        The clock of the deadlines. [s]

    Raises
    ------
    DataError
        If `base_url` is no such address.
    MissingExtraError
        If httpx is not installed.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = _checked(base_url)
        self.base_url = parts.geturl().rstrip("/")
        self.is_local = is_loopback(parts.hostname or "")
        self._until = float("inf")
        self._monotonic = monotonic
        self._client = _client(self.base_url, parts, timeout_s, lambda: self._until - monotonic())

    def send(
        self,
        method: str,
        path: str,
        *,
        until: float,
        most_bytes: int,
        key: ApiKey | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """The answer to a request by `until` of the clock; whatever fails on the way is the answer's `problem`."""
        import httpcore
        import httpx

        from gridlab.sources.mara.transport import keep_from_logs

        self._until = until
        request = self._client.build_request(method, self.base_url + path, content=content)
        if content is not None:
            request.headers["Content-Type"] = "application/json"
        if key is not None:
            request.headers[KEY_HEADER] = key.reveal()
            keep_from_logs(key)
        before = (
            httpcore.ConnectError,
            httpcore.ConnectTimeout,
            httpcore.PoolTimeout,
            httpcore.ProxyError,
            UnicodeError,
        )
        try:
            return self._received(self._client.send(request, stream=True), most_bytes)
        except before as error:
            return Answer(None, {}, b"", f"no connection ({_said(error)})", "unsent")
        except (httpcore.TimeoutException, httpx.TimeoutException):
            return Answer(None, {}, b"", "no answer in time", "late")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpx.HTTPError, httpx.StreamError) as error:
            return Answer(None, {}, b"", f"the connection broke ({_said(error)})", "over")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _received(self, response: "httpx.Response", most_bytes: int) -> Answer:
        import httpcore

        headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
        body, problem = bytearray(), _encoding_problem(headers)
        try:
            for chunk in response.iter_raw() if problem is None else ():
                body += chunk
                if len(body) > most_bytes:
                    problem = f"the answer is longer than {most_bytes:,} bytes"
                    break
        except httpcore.TimeoutException:
            problem = f"the answer stopped after {len(body)} bytes"
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            problem = f"the connection broke after {len(body)} bytes ({_said(error)})"
        finally:
            response.close()
        return Answer(
            response.status_code,
            headers,
            bytes(body[:most_bytes]),
            problem,
            "late" if response.status_code == 504 else "over",
        )


def _checked(base_url: str) -> SplitResult:
    try:
        parts = urlsplit(base_url.strip())
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError):
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise DataError("the server's address must be like https://host or http://127.0.0.1:8000, and is not: mend it")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise DataError(f"the server's address must hold no user, password, query or fragment: write {parts.scheme}://"
                        f"{host}{parts.path}")  # fmt: skip
    if parts.scheme == "http" and not is_loopback(host):
        raise DataError(f"http://{host} would send the API key for all to read: write https://{host}")
    return parts


def is_loopback(host: str) -> bool:
    """
    Whether a host is this machine.

    Examples
    --------
    >>> [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "localhost.example.org", "10.0.0.1")]
    [True, True, True, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _client(base_url: str, parts: SplitResult, timeout_s: float, left: Callable[[], float]) -> "httpx.Client":
    try:
        import httpx

        from gridlab.sources.mara.transport import Transport
    except ImportError as error:
        raise MissingExtraError("the MARA client needs httpx: pip install 'gridlab[live]'") from error
    try:
        httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise DataError(f"the server's address cannot be read ({error}): write it like https://host") from error
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "gridlab"}
    return httpx.Client(transport=Transport(parts, left), timeout=timeout_s, trust_env=False, headers=headers)


def _encoding_problem(headers: Mapping[str, str]) -> str | None:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    return None if encoding in ("", "identity") else "the answer is encoded, which was not asked for"


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
