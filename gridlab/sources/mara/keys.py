"""An API key that can be used and not seen: where it comes from, who may read it, and how texts are cleaned of it."""

import base64
import hmac
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, final
from urllib.parse import quote, quote_plus

from gridlab.errors import DataError

ENVIRONMENT = "MARA_API_KEY"
LEAST_CHARACTERS, MOST_CHARACTERS = 8, 512
REDACTED = "[redacted]"

_FRAGMENT = 8
_ISSUED = re.compile(  # a key in a reply: anything named so, and whatever has the form of one
    r"(?i)(?<=api_key)(\\?\"\s*:\s*\\?\"[^\"\\]*)|(?<=api-key)(\s*[:=]\s*[^\s\"',;]+)"
    r"|\b[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{4,12}\b"
)


@final
class ApiKey:
    """
    A key that shows itself only when asked by `reveal`.

    No text form, copy, record or error of it has the key in it; it cannot be pickled. Two keys are compared in a time
    that does not tell how much of them agrees.

    Parameters
    ----------
    secret : str
        The key: 8 to 512 printable ASCII characters without blanks.
    origin : str
        Where it came from, for messages.

    Raises
    ------
    DataError
        If it is too short, too long, or has other characters; the message has the rule and not the key.

    Examples
    --------
    >>> key = ApiKey("3f2b8c4e-0000-4000-8000-5d1f6a7b9c01", origin="an example")
    >>> key, f"{key}", key.redact("sent with 3f2b8c4e-0000-4000-8000-5d1f6a7b9c01")
    (ApiKey([redacted], from an example), '[redacted]', 'sent with [redacted]')
    """

    __slots__ = ("__weakref__", "_forms", "_reveal", "origin")

    origin: str
    _reveal: Callable[[], str]
    _forms: Callable[[], tuple[str, ...]]

    def __init__(self, secret: str, *, origin: str = "this program") -> None:
        object.__setattr__(self, "origin", origin)
        problem = _problem_of(secret)
        if problem is not None:
            del secret  # a traceback that shows the values of names would have it
            raise DataError(f"the API key from {origin} {problem}: copy it again")
        forms = tuple(dict.fromkeys(_forms_of(secret)))
        object.__setattr__(self, "_reveal", lambda: secret)
        object.__setattr__(self, "_forms", lambda: forms)

    def reveal(self) -> str:
        """The key itself: for the header of a request, and for nothing else."""
        return self._reveal()

    def redact(self, text: str) -> str:
        """
        A text without the key: as it stands, url-encoded, in base64 or hexadecimal, without hyphens, or cut.

        Whatever shares eight characters in a row with one of those forms goes.

        Examples
        --------
        >>> ApiKey("abcd efgh".replace(" ", "-")).redact("?key=ABCD%2Defgh&key=abcd-efg")
        '?key=[redacted]&key=[redacted]'
        """
        spans = [span for form in self._forms() for span in _shared(text, form)]
        return _without(text, spans)

    def __repr__(self) -> str:
        return f"ApiKey({REDACTED}, from {self.origin})"

    def __str__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ApiKey):
            return NotImplemented
        return hmac.compare_digest(self._reveal().encode(), other._reveal().encode())

    def __hash__(self) -> int:
        return hash(("ApiKey", self._reveal()))

    def __copy__(self) -> "ApiKey":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ApiKey":
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("an API key is not pickled: give the other process its environment or its file")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an API key does not change: make another")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("an API key does not change: make another")


def key_from(env: str | None = ENVIRONMENT, path: str | Path | None = None) -> ApiKey | None:
    """
    The key of a file where one is named, else that of the environment.

    Parameters
    ----------
    env : str, optional
        Name of the environment variable; none is looked at when None.
    path : str or Path, optional
        A file whose only line is the key, readable by its owner alone.

    Returns
    -------
    ApiKey or None
        None where no file is named and the variable is not set or blank.

    Raises
    ------
    DataError
        If the file is not there, is no file, belongs to or can be read by others, or holds no key.

    Examples
    --------
    >>> key_from(env="NO_SUCH_VARIABLE") is None
    True
    """
    if path is not None:
        return _key_of_file(Path(path).expanduser())
    if env is None or not os.environ.get(env, "").strip():
        return None
    return ApiKey(os.environ[env].strip(), origin=f"the environment variable {env}")


def redact(text: str, *keys: ApiKey | None) -> str:
    """
    A text without these keys, and without anything that has a key's name or form.

    Examples
    --------
    >>> redact('{"api_key": "3f2b8c4e-0000-4000-8000-5d1f6a7b9c01", "power": 1000000}')
    '{"api_key[redacted]", "power": 1000000}'
    """
    for key in keys:
        text = text if key is None else key.redact(text)
    return _ISSUED.sub(REDACTED, text)


def _key_of_file(path: Path) -> ApiKey:
    origin = f"the file {path}"
    try:
        with path.open("rb") as file:
            _require_private(os.fstat(file.fileno()), path)
            return ApiKey(_decoded(file.read(4 * MOST_CHARACTERS)), origin=origin)
    except FileNotFoundError:
        problem = f"there is no file {path} to take the API key from: write the key to it and run chmod 600 {path}"
    except OSError as error:
        problem = f"cannot read the API key from {path} ({error.strerror}): name a file of yours"
    raise DataError(problem)


def _require_private(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is no regular file to take the API key from: name a file that holds the key alone")
    if os.name != "posix":
        return
    if status.st_mode & 0o077:
        raise DataError(
            f"{path} holds the API key and may be read or written by others (mode {stat.S_IMODE(status.st_mode):03o}): "
            f"run chmod 600 {path}"
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise DataError(f"{path} holds the API key and belongs to another user: make a file of your own and chmod 600")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", errors="replace").removeprefix("\ufeff").strip()


def _problem_of(secret: object) -> str | None:
    if not isinstance(secret, str):
        return f"is {type(secret).__name__} and not text"
    if not LEAST_CHARACTERS <= len(secret) <= MOST_CHARACTERS:
        return f"must have {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters, and has {len(secret)}"
    if not all("!" <= character <= "~" for character in secret):
        return "must be printable ASCII in one word"
    return None


def _forms_of(secret: str) -> Iterator[str]:
    """What a key may look like in a text, in small letters but for base64."""
    plain = {secret, secret.replace("-", ""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    encoded = {quote(secret, safe=""), quote_plus(secret, safe=""), _all_encoded(secret), secret.replace("-", "%2d")}
    for form in plain | encoded | {secret.encode().hex()}:
        yield form.lower()
    for shift in range(3):  # base64 of a text that has it inside, whatever stands before it
        form = base64.b64encode(b"\0" * shift + secret.encode()).decode()[shift + (shift > 0) :].rstrip("=")[:-1]
        yield form
        yield form.replace("+", "-").replace("/", "_")


def _all_encoded(secret: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in secret)


def _shared(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Where a text has `_FRAGMENT` or more characters in a row of a form."""
    if len(form) < _FRAGMENT:
        return
    seen = text.lower() if form == form.lower() else text
    for start in range(len(form) - _FRAGMENT + 1):
        fragment = form[start : start + _FRAGMENT]
        at = seen.find(fragment)
        while at >= 0:
            yield at, at + _FRAGMENT
            at = seen.find(fragment, at + 1)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    end = 0
    for start, stop in sorted(spans):
        if start > end or (start == 0 == end and not pieces):
            pieces += [text[end:start], REDACTED]
        end = max(end, stop)
    return "".join([*pieces, text[end:]])
