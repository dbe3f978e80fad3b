"""Families of functions and classes that share one signature, members chosen by name."""

import difflib
from typing import TypeVar

from gridlab.errors import DataError

T = TypeVar("T")


class Family(dict[str, T]):
    """
    The members of a family by name; a name that is not there is refused in a sentence that lists those that are.

    Examples
    --------
    >>> Family("model", {"naive": 1, "lear": 2})["leer"]
    Traceback (most recent call last):
    gridlab.errors.DataError: there is no model 'leer', did you mean 'lear'? the names are naive, lear
    """

    def __init__(self, kind: str, members: dict[str, T]) -> None:
        super().__init__(members)
        self.kind = kind

    def __missing__(self, name: object) -> T:
        near = difflib.get_close_matches(str(name), self, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ":"
        raise DataError(f"there is no {self.kind} {name!r}{hint} the names are {', '.join(self)}")
