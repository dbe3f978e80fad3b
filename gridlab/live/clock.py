"""What time a loop goes by, and how it waits: the machine's clock, or that of a simulated server."""

import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from gridlab.errors import DataError, ServerError

TIMEOUT_S = 5.0


class WallClock:
    """
    The machine's clock.

    Examples
    --------
    >>> WallClock().now().tz
    datetime.timezone.utc
    """

    def now(self) -> pd.Timestamp:
        """The time, UTC."""
        return pd.Timestamp.now("UTC")

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """
        Wait, unless told to stop.

        Parameters
        ----------
        seconds : float
            How long; not at all when 0 or below. [s]
        stop : Event, optional
            Ends the wait as soon as it is set.
        """
        _wait(seconds, stop)


class SimulatedClock:
    """
    The clock of a simulated server: a fast one shortens every wait, and a manual one is moved instead of waiting.

    Parameters
    ----------
    url : str
        The server's.

    Raises
    ------
    ServerError
        If the server does not answer, or is not a simulated one.

    Examples
    --------
    >>> from gridlab.live.simulator import running
    >>> with running(clock="manual", start="2025-06-21T12:00") as url:
    ...     clock = SimulatedClock(url)
    ...     clock.sleep(300)
    ...     clock.now()
    Timestamp('2025-06-21 12:05:00+0000', tz='UTC')
    """

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        said = self._ask("GET")
        self.kind, self.speed = str(said["kind"]), float(said["speed"])

    def now(self) -> pd.Timestamp:
        """
        The server's time, UTC.

        Raises
        ------
        ServerError
            If the server does not answer.
        """
        return pd.Timestamp(self._ask("GET")["now"]).tz_convert("UTC")

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """
        Wait until so many seconds have gone by on the server's clock, unless told to stop.

        Parameters
        ----------
        seconds : float
            How long on the server's clock; not at all when 0 or below. [s]
        stop : Event, optional
            Ends the wait as soon as it is set; a manual clock is not moved once it is.

        Raises
        ------
        DataError
            If a manual clock would go beyond the market's end.
        ServerError
            If the clock is a manual one and the server does not answer.
        """
        if self.kind != "manual":
            _wait(seconds / self.speed, stop)
        elif seconds > 0 and not (stop is not None and stop.is_set()):
            self._ask("POST", {"to": (self.now() + pd.Timedelta(seconds=seconds)).isoformat()})

    def _ask(self, method: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """Ask the server's clock, on a connection of its own."""
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        try:
            connection.request(method, "/simulator/clock", body=None if body is None else json.dumps(body))
            reply = connection.getresponse()
            said = json.loads(reply.read())
            if reply.status in (409, 422):
                raise DataError(said["detail"])
            return {name: said[name] for name in ("kind", "now", "speed")}
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"the simulated clock does not answer ({error}): start the server again") from error
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ServerError("the server has no simulated clock: use WallClock, or gridlab serve-mara") from error
        finally:
            connection.close()


def _wait(seconds: float, stop: threading.Event | None) -> None:
    if seconds <= 0:
        return
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)
