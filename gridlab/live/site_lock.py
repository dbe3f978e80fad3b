"""One loop a site: a lock that the kernel holds for a process and gives back when it ends, however it dies."""

import fcntl
import json
import os
import re
import time
import weakref
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import pandas as pd

from gridlab.errors import RunError
from gridlab.files import make_folder

_HELD: "weakref.WeakSet[SiteLock]" = weakref.WeakSet()


class SiteLock:
    """
    A lock on a file, from `acquire` to `release` or to the end of the process.

    The lock is the kernel's (flock), not the file's existence: a file left behind by a killed process blocks nobody.
    Processes forked from the holder give up their share at once, so that a worker that outlives it does not keep the
    site. A network drive may not know flock; keep journals on a local disk.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        _HELD.add(self)

    @classmethod
    def acquire(cls, path: str | Path, what: str, *, patience_s: float = 0.5) -> "SiteLock":
        """
        Take the lock, or say who has it.

        Parameters
        ----------
        path : path
            The lock file; made where it does not exist.
        what : str
            What is locked, for the message.
        patience_s : float
            How long to try: a viewer that looks whether a loop runs holds the lock for an instant. [s]

        Raises
        ------
        RunError
            If another process has it; the message names it and since when.
        """
        path = Path(path)
        make_folder(path.parent)
        last = time.monotonic() + patience_s
        while (file := _try(path)) is None:
            if time.monotonic() > last:
                raise RunError(
                    f"{what} is already run by {_named(holder(path))}: stop that loop before starting another"
                )
            time.sleep(0.02)
        words = {"pid": os.getpid(), "since": pd.Timestamp.now("UTC").isoformat(timespec="seconds")}
        with suppress(OSError):  # a full disk: the lock holds, it only cannot say whose it is
            os.ftruncate(file.fileno(), 0)
            os.pwrite(file.fileno(), json.dumps(words).encode(), 0)
        return cls(file)

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()


def is_held(path: str | Path) -> bool:
    """Whether a process holds the lock on a file."""
    try:
        with Path(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def holder(path: str | Path) -> dict[str, Any]:
    """What the last holder wrote into its lock file: ``pid`` and ``since``; empty where it cannot be read."""
    try:
        words = json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return {}
    return words if isinstance(words, dict) else {}


def machine_lock(name: str, folder: str | Path | None = None) -> Path:
    """
    The lock file of a site for all loops of this user on this machine, whatever their journals.

    Parameters
    ----------
    name : str
        What tells the site apart, such as the server's address and a digest of its key; never a key itself.
    folder : path, optional
        Where the locks lie; ``gridlab/locks`` in ``$XDG_STATE_HOME``, by default ``~/.local/state``.

    Examples
    --------
    >>> machine_lock("https://host/ a site", "/locks").as_posix()
    '/locks/https_host_a_site.lock'
    """
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(folder or home / "gridlab" / "locks") / (re.sub(r"[^A-Za-z0-9.-]+", "_", name) + ".lock")


def _try(path: Path) -> FileIO | None:
    """The locked file, or None while another has it or where it was replaced as we took it."""
    file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()
    return None


def _named(words: dict[str, Any]) -> str:
    return f"process {words['pid']} since {words['since']}" if {"pid", "since"} <= set(words) else "another process"


def _release_after_fork() -> None:
    for lock in _HELD:
        lock.release()


os.register_at_fork(after_in_child=_release_after_fork)
