"""The loop's log: one JSON object a line, in files that rotate, with every secret taken out before it is written."""

import io
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import pandas as pd

NAME = "gridlab.live"
"""Name of the loop's logger."""

HTTP_LOGGERS = (
    "httpx",
    "httpcore",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
"""Loggers of the HTTP client, whose records are redacted too, whoever's handlers they go to."""

Redact = Callable[[str], str]

_UNSPEAKABLE = "a record that could not be put into words was left out"


@contextmanager
def open_log(
    path: str | os.PathLike[str],
    *,
    redact: Sequence[Redact] = (),
    max_bytes: int = 5_000_000,
    backups: int = 5,
    level: int = logging.INFO,
) -> Iterator[logging.Logger]:
    """
    The loop's logger, writing to a file while the context is open.

    A line has ``at`` (UTC), ``level``, ``logger`` and ``message``, then the record's own ``fields`` and, for an
    exception, its traceback. A disk that is full or a folder that cannot be written to stops nothing: the lines lost
    are counted in the handler's `lost`, said on stderr once, and in the log when it can be written to again.

    Parameters
    ----------
    path : path
        The file; when it would pass `max_bytes` it becomes ``path.1``, that ``path.2``, up to `backups`.
    redact : sequence of callable
        What takes a secret out of a text; applied to messages, fields and tracebacks of this logger and of those of
        the HTTP client, for handlers that others have added as well.
    max_bytes, backups : int
        Size of a file, and how many old ones are kept. [B]
    level : int
        The least severe record that is written.

    Yields
    ------
    Logger

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_log(Path(folder) / "loop.log", redact=[lambda text: text.replace("s3cret", "***")]) as log:
    ...         log.info("sent with s3cret", extra={"fields": {"power": 1_000_000}})
    ...     line = json.loads((Path(folder) / "loop.log").read_text())
    >>> line["message"], line["power"], line["level"]
    ('sent with ***', 1000000, 'info')
    """
    logger, handler, cleaner = logging.getLogger(NAME), JsonLines(path, max_bytes, backups), _Redacting(redact)
    handler.addFilter(cleaner)
    handler.setLevel(level)
    before = logger.level
    cleaned = [logger, *map(logging.getLogger, HTTP_LOGGERS)]
    for one in cleaned:
        one.addFilter(cleaner)
    logger.setLevel(min(level, logger.getEffectiveLevel()))
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        for one in cleaned:
            one.removeFilter(cleaner)
        handler.close()


class JsonLines(RotatingFileHandler):
    """
    A handler that writes JSON lines to a file that rotates, and outlives a disk that is full.

    Parameters
    ----------
    path : path
        The file, made readable by its owner alone.
    max_bytes, backups : int
        Size of a file, and how many old ones are kept. [B]

    Attributes
    ----------
    lost : int
        Lines that could not be written.
    """

    def __init__(self, path: str | os.PathLike[str], max_bytes: int = 5_000_000, backups: int = 5) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", delay=True)
        self.setFormatter(_JsonFormatter())
        self.lost = 0
        self._unsaid = 0
        self._torn = False
        self._warned = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what fails is counted and never raised."""
        try:
            line = (self.format(record) + "\n").encode()
            self._make_room(len(line))
            if self._unsaid:
                self._write(_line("warning", NAME, f"{self._unsaid} lines of the log were lost").encode() + b"\n")
                self._unsaid = 0
            self._write(line)
        except Exception as error:
            self._count(error)

    def close(self) -> None:
        """Close the file; there is nothing held back to be lost."""
        try:
            super().close()
        except OSError as error:
            self._count(error)

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return io.FileIO(self.baseFilename, "a", opener=lambda name, flags: os.open(name, flags, 0o600))

    def _make_room(self, n_bytes: int) -> None:
        """Rotate where the line does not fit; go on in the same file where that fails."""
        if self.stream is None:
            self.stream = self._open()
        size = os.fstat(self.stream.fileno()).st_size
        if not self.maxBytes or not size or size + n_bytes <= self.maxBytes:
            return
        try:
            self.doRollover()
        except OSError as error:
            self._warn(error)
        if self.stream is None:
            self.stream = self._open()

    def _write(self, line: bytes) -> None:
        """All of the line or an error; after a torn one the next begins on a line of its own."""
        file: Any = self.stream
        rest = b"\n" + line if self._torn else line
        while rest:
            self._torn = True
            rest = rest[file.write(rest) :]
        self._torn = False

    def _count(self, error: Exception) -> None:
        self.lost += 1
        self._unsaid += 1
        self._warn(error)

    def _warn(self, error: Exception) -> None:
        if not self._warned and sys.stderr is not None:
            self._warned = True
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            sys.stderr.write(f"the log {self.baseFilename} cannot be kept as it should: {reason}; the loop goes on\n")


class _Redacting(logging.Filter):
    """Takes secrets out of a record before any handler sees it; passes every record."""

    def __init__(self, redact: Sequence[Redact]) -> None:
        super().__init__()
        self._redact = tuple(redact)

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            self._clean(record)
        except Exception:
            record.msg, record.args, record.exc_info, record.exc_text = _UNSPEAKABLE, None, None, None
            record.stack_info, record.fields = None, {}
        return True

    def _clean(self, record: logging.LogRecord) -> None:
        record.msg, record.args = self._text(record.getMessage()), None
        if record.exc_info:
            record.exc_text = record.exc_text or logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        record.exc_text = record.exc_text and self._text(record.exc_text)
        record.stack_info = record.stack_info and self._text(record.stack_info)
        if hasattr(record, "fields"):
            record.fields = self._plain(record.fields)

    def _text(self, text: str) -> str:
        for one in self._redact:
            text = one(text)
        return text

    def _plain(self, value: Any) -> Any:
        """The value as JSON has it, with no secret in it."""
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, Mapping):
            return {self._text(str(key)): self._plain(one) for key, one in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._plain(one) for one in value]
        if hasattr(value, "dtype") and hasattr(value, "tolist"):
            return self._plain(value.tolist())
        return self._text(str(value))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = dict(getattr(record, "fields", {}))
        if record.exc_text:
            extra["exception"] = record.exc_text
        if record.stack_info:
            extra["stack"] = record.stack_info
        return _line(record.levelname.lower(), record.name, record.getMessage(), record.created, extra)


def _line(
    level: str, logger: str, message: str, created: float | None = None, extra: Mapping[str, Any] | None = None
) -> str:
    at = pd.Timestamp.now("UTC") if created is None else pd.Timestamp(created, unit="s", tz="UTC")
    head = {"at": at.isoformat(timespec="milliseconds"), "level": level, "logger": logger, "message": message}
    taken = {(f"{key}_" if key in head else key): value for key, value in (extra or {}).items()}
    return json.dumps({**head, **taken}, ensure_ascii=False)
