"""A transport for httpx in which every wait ends by one deadline; imported by what sends, for it loads httpx."""

import logging
import ssl
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import SplitResult
from urllib.request import getproxies, proxy_bypass
from weakref import ref

import httpcore
import httpx

from gridlab.sources.mara.keys import ApiKey, redact
from gridlab.sources.mara.wire import is_loopback

KEEP_ALIVE_S = 60.0

Left = Callable[[], float]


def keep_from_logs(key: ApiKey) -> None:
    """Leave a key out of what httpcore logs for debugging, where a server writes it into its headers."""
    _KEYS[id(key)] = ref(key, partial(_forget, id(key)))


class Transport(httpx.BaseTransport):
    """
    Connections to a server, kept open for a minute, whose every wait ends when nothing is left of a deadline.

    httpx bounds the wait for each piece of an answer, and so waits for ever where a piece comes now and then.

    Parameters
    ----------
    parts : SplitResult
        The server's address.
    left : callable
        What is left until the deadline. [s]
    """

    def __init__(self, parts: SplitResult, left: Left) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context() if parts.scheme == "https" else None,
            proxy=_proxy(parts),
            max_connections=2,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=_Backend(left),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the body of its answer is read later."""
        url = request.url
        reply = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            reply.status, headers=reply.headers, stream=_Body(reply.stream), extensions=reply.extensions
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Cleaned(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage(), *(known() for known in list(_KEYS.values()))), ()
        return True


def _forget(identity: int, _: object) -> None:
    _KEYS.pop(identity, None)


_KEYS: dict[int, ref[ApiKey]] = {}  # by identity: of equal keys in a set the first would take the second with it
for _name in ("connection", "http11", "proxy"):
    logging.getLogger(f"httpcore.{_name}").addFilter(_Cleaned())


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._stream.close()


class _Backend(httpcore.SyncBackend):
    def __init__(self, left: Left) -> None:
        self._left = left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        wait = _shorter(timeout, self._left(), httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, wait, local_address, socket_options), self._left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, left: Left) -> None:
        self._inner, self._left = inner, left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _shorter(timeout, self._left(), httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _shorter(timeout, self._left(), httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        wait = _shorter(timeout, self._left(), httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, wait), self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _shorter(timeout: float | None, left: float, passed: type[Exception]) -> float:
    if left <= 0:
        raise passed("the deadline has passed")
    return left if timeout is None else min(timeout, left)


def _proxy(parts: SplitResult) -> httpcore.Proxy | None:
    """The environment's proxy, but never for this machine; HTTPS is tunnelled, so that it reads no key."""
    host = parts.hostname or ""
    address = getproxies().get(parts.scheme)
    if is_loopback(host) or not address or proxy_bypass(host):
        return None
    return httpcore.Proxy(address if "://" in address else f"http://{address}")
