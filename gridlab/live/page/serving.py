"""Voila as the server of the page: a notebook as an application that opens with no internet, on this computer alone."""

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gridlab.errors import DataError, MissingExtraError, RunError

TEMPLATE = "gridlab"
TEMPLATE_VARIABLE = "GRIDLAB_PAGE_TEMPLATE"
"""Environment variable by which a kernel knows that its page says every few seconds that it is there."""

IDLE_S = 600


def voila_command(
    notebook: str | Path, *, port: int = 8866, host: str = "127.0.0.1", exposed: bool = False
) -> list[str]:
    """
    The command that serves a notebook as a page.

    Each viewer gets a kernel of its own, which runs the notebook, so the notebook must only read. The page asks for no
    password: who can reach it can pause the site and override its allocation. It therefore listens on the loopback
    alone. To look on from elsewhere, forward the port (``ssh -L 8866:localhost:8866 host``) or put a proxy with a login
    before it; `exposed` says that such is in place. Its environment is `voila_environment`.

    Parameters
    ----------
    notebook : path
        The notebook.
    port : int
        Port, in [1, 65535].
    host : str
        Address to listen on.
    exposed : bool
        Whether an address other than the loopback is meant.

    Returns
    -------
    list of str
        The command and its arguments.

    Raises
    ------
    MissingExtraError
        If voila is not installed.
    DataError
        If there is no such notebook, the port is outside its range, or the address is not the loopback's and not
        `exposed`.
    """
    path = Path(notebook).resolve()
    if not path.is_file():
        raise DataError(f"there is no notebook {notebook}: give the path of one")
    if not 1 <= port <= 65535:
        raise DataError(f"port must be in [1, 65535], got {port}")
    if not exposed and not is_loopback(host):
        raise DataError(
            f"{host} can be reached from other computers and the page asks for no password: keep 127.0.0.1, or say "
            "that it is to be exposed where a proxy with a login stands before it"
        )
    _require_voila()
    return [sys.executable, "-m", "voila", str(path), *_options(port, host)]


def voila_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """
    The environment in which Voila finds the page's template.

    Parameters
    ----------
    environ : mapping, optional
        The environment to begin with; this process' own when omitted.

    Returns
    -------
    dict of str to str
    """
    environment = dict(os.environ if environ is None else environ)
    paths = [str(Path(__file__).parent), *filter(None, [environment.get("JUPYTER_PATH")])]
    return environment | {"JUPYTER_PATH": os.pathsep.join(paths), TEMPLATE_VARIABLE: TEMPLATE}


@contextmanager
def serving(
    notebook: str | Path,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    exposed: bool = False,
    timeout_s: float = 60.0,
) -> Iterator[str]:
    """
    Serve a notebook as a page while a block runs.

    Parameters
    ----------
    notebook, port, host, exposed
        As `voila_command` takes them; a free port when omitted.
    timeout_s : float
        How long to wait for the server. [s]

    Yields
    ------
    str
        The page's address.

    Raises
    ------
    RunError
        If the server ends or does not answer in time.
    """
    port = _free_port(host) if port is None else port
    command = voila_command(notebook, port=port, host=host, exposed=exposed)
    process = subprocess.Popen(command, env=voila_environment())
    try:
        url = f"http://{_in_url(host)}:{port}/"
        _await(url, process, timeout_s)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve_page(
    notebook: str | Path, *, port: int = 8866, host: str = "127.0.0.1", exposed: bool = False
) -> int:  # pragma: no cover - runs until it is interrupted
    """
    Serve a notebook as a page until interrupted; the exit status of the server comes back.

    Parameters
    ----------
    notebook, port, host, exposed
        As `voila_command` takes them.

    Returns
    -------
    int
    """
    command = voila_command(notebook, port=port, host=host, exposed=exposed)
    process = subprocess.Popen(command, env=voila_environment())
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())  # which would leave the server behind
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
        process.terminate()
        process.wait()


def is_loopback(host: str) -> bool:
    """
    Whether an address is reached from this computer alone.

    Examples
    --------
    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _options(port: int, host: str) -> list[str]:
    """No browser, no source, no traceback, and no kernel that nobody looks at; files are closed by the template."""
    return [
        "--no-browser",
        f"--port={port}",
        "--Voila.port_retries=0",
        f"--Voila.ip={host}",
        f"--template={TEMPLATE}",
        "--theme=light",
        "--strip_sources=True",
        "--show_tracebacks=False",
        f"--MappingKernelManager.cull_idle_timeout={IDLE_S}",
        "--MappingKernelManager.cull_interval=60",
    ]


def _await(url: str, process: "subprocess.Popen[bytes]", timeout_s: float) -> None:
    """Wait until the server answers; its static files are asked for, so that no kernel starts."""
    until = time.monotonic() + timeout_s
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}voila/static/voila.js", timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > until:
                raise RunError(
                    f"the page at {url} did not answer within {timeout_s:g} s: see Voila's messages"
                ) from None
            time.sleep(0.1)
    raise RunError(f"Voila ended with status {process.returncode} before it served {url}: see its messages")


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _require_voila() -> None:
    from importlib.util import find_spec

    if find_spec("voila") is None:
        raise MissingExtraError("voila is not installed: pip install 'gridlab[live]'")
