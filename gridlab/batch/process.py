"""The worker process of a run, seen from its parent: started, listened to, limited in time, and stopped."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ATTEMPTS = 3
KERNEL_DIED = "its kernel died"
_INLINE = "module://matplotlib_inline.backend_inline"  # needs no display, and keeps the figures in the notebook
_ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "NUMBA")


@dataclass(frozen=True)
class Cell:
    """A cell that begins: its number from 1, the number of cells, and its name."""

    number: int
    count: int
    name: str


class Stopped(Exception):  # noqa: N818 - not an error: the caller asked for it
    """The sweep that the run belongs to was stopped."""


def work(
    job: Mapping[str, Any], *, log: Path, timeout_s: float, token: str, on_cell: Callable[[Cell], None]
) -> tuple[str | None, int]:
    """
    Run one notebook in a process of its own; where the machinery fails and not the notebook, try again.

    Parameters
    ----------
    job : mapping
        What `gridlab.batch.worker` takes: notebook, output, parameters, and the folder to run in as `cwd`.
    log : Path
        Where all that the process prints is added.
    timeout_s : float
        Wall-clock limit of all attempts together. [s]
    token : str
        The sweep that the run belongs to: `stop` ends all of its processes.
    on_cell : callable
        Called with each `Cell` that begins.

    Returns
    -------
    error : str or None
        One line, None when the notebook ran to its end.
    attempts : int
        How often it was tried.

    Raises
    ------
    Stopped
        If the sweep was stopped.
    """
    deadline = time.monotonic() + timeout_s
    for attempt in range(1, ATTEMPTS + 1):
        error, retry = _attempt(job, log, deadline, token, on_cell)
        if error is None or not retry or attempt == ATTEMPTS:
            break
    if error == _TIMED_OUT:
        error = f"it was stopped after its time limit of {timeout_s:g} s: raise timeout_s, or ask for less"
    return error, attempt


def stop(token: str) -> None:
    """Kill the processes of a sweep in this process, and start no more of them."""
    with _lock:
        _stopped.add(token)
        children = list(_live.get(token, ()))
    for child in children:
        child.kill()


_TIMED_OUT = "timed out"
_lock = threading.Lock()
_stopped: set[str] = set()
_live: defaultdict[str, list["_Child"]] = defaultdict(list)


@dataclass(eq=False)
class _Child:
    """A worker process, the process groups to kill with it, the cell that it runs, and whether its time ran out."""

    process: subprocess.Popen[bytes]
    groups: list[int] = field(default_factory=list)
    cell: Cell | None = None
    timed_out: bool = False

    def kill(self) -> None:
        for group in (*self.groups, self.process.pid):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def time_out(self) -> None:
        self.timed_out = True
        self.kill()


def _attempt(
    job: Mapping[str, Any], log: Path, deadline: float, token: str, on_cell: Callable[[Cell], None]
) -> tuple[str | None, bool]:
    """One process from start to end: its error, if any, and whether another try makes sense."""
    with (
        tempfile.TemporaryDirectory(prefix="gridlab-", ignore_cleanup_errors=True) as scratch,
        log.open("ab") as output,
    ):
        child = _start(output, job["cwd"], scratch, token)
        timer = threading.Timer(max(deadline - time.monotonic(), 0), child.time_out)
        timer.start()
        try:
            ended = _listen(child, job, on_cell)
            child.process.wait()
        except BaseException:
            child.kill()
            raise
        finally:
            timer.cancel()
            _forget(child, token)
    if token in _stopped:
        raise Stopped
    if ended is None and child.timed_out:
        return _TIMED_OUT, False
    if ended is None:
        return _death("its process died", child), False
    return _death(KERNEL_DIED, child) if ended["error"] == KERNEL_DIED else ended["error"], ended["retry"]


def _death(what: str, child: _Child) -> str:
    """What died, in which cell and perhaps why, and what to do."""
    where = f" in cell {child.cell.number} of {child.cell.count} ({child.cell.name})" if child.cell else ""
    code = child.process.returncode
    how = f", killed by {signal.Signals(-code).name}" if code < 0 else f", with exit status {code}" if code else ""
    return f"{what}{where}{how}: see run.log, and whether its memory is enough, then run it again"


def _start(output: Any, cwd: str, scratch: str, token: str) -> _Child:
    command = [sys.executable, "-P", "-m", "gridlab.batch.worker"]
    with _lock:
        if token in _stopped:
            raise Stopped
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=cwd,
            env=_environment(scratch),
            start_new_session=True,
        )
        child = _Child(process)
        _live[token].append(child)
    return child


def _environment(scratch: str) -> dict[str, str]:
    return {
        **os.environ,
        **{f"{name}_NUM_THREADS": "1" for name in _ONE_THREAD},
        "MPLBACKEND": _INLINE,
        "IPYTHONDIR": scratch,
        "JUPYTER_RUNTIME_DIR": scratch,
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _listen(child: _Child, job: Mapping[str, Any], on_cell: Callable[[Cell], None]) -> dict[str, Any] | None:
    """Give the job, follow the worker's lines, and return the last one: how the run ended."""
    assert child.process.stdin is not None and child.process.stdout is not None
    with suppress(BrokenPipeError):  # it died at once: there is nothing to read then
        child.process.stdin.write(json.dumps(job).encode() + b"\n")
        child.process.stdin.flush()
    for line in child.process.stdout:
        message = json.loads(line)
        if "kernel" in message:
            child.groups.append(message["kernel"])
        elif "cell" in message:
            child.cell = Cell(*message["cell"])
            on_cell(child.cell)
        else:
            return dict(message)
    child.kill()  # the worker is dead: its kernel must not outlive it
    return None


def _forget(child: _Child, token: str) -> None:
    """Close the pipes of a process that has ended or was killed."""
    process = child.process
    assert process.stdin is not None and process.stdout is not None
    process.wait()
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
    with _lock:
        _live[token].remove(child)
        if not _live[token]:
            del _live[token]
