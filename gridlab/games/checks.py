"""What is asked of numbers that come from outside, whichever the game."""

from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]


def numbers(values: ArrayLike, name: str) -> Floats:
    """
    Values as an array of floats; text, and rows that differ in length, are refused.

    Examples
    --------
    >>> numbers(["1", "2"], "cost")
    Traceback (most recent call last):
    gridlab.errors.DataError: cost must be numbers in rows of one length, got ['1', '2']
    """
    try:
        given = np.asarray(values)
        if given.dtype.kind in "biufO":
            return np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        pass
    raise DataError(f"{name} must be numbers in rows of one length, got {_short(values)}")


def number(value: Any, name: str) -> float:
    """
    One number, which may be infinite or NaN.

    Examples
    --------
    >>> number([100.0, 120.0], "intercept")
    Traceback (most recent call last):
    gridlab.errors.DataError: intercept must be one number, got [100.0, 120.0]
    """
    try:
        given = np.asarray(value)
        if given.ndim == 0 and value is not None and given.dtype.kind in "biufO":
            return float(given)
    except (TypeError, ValueError):
        pass
    raise DataError(f"{name} must be one number, got {_short(value)}")


def whole(value: Any, name: str, *, least: int) -> int:
    """
    A whole number that is not below the least.

    Examples
    --------
    >>> whole(10.5, "rounds", least=1)
    Traceback (most recent call last):
    gridlab.errors.DataError: rounds must be a whole number, got 10.5
    """
    try:
        found = index(value)
    except TypeError:
        raise DataError(f"{name} must be a whole number, got {_short(value)}") from None
    if found < least:
        raise DataError(f"{name} must be at least {least}, got {found}")
    return found


def checked_tolerance(tolerance: Any) -> float:
    """What counts as nothing, at least 0 and finite."""
    found = number(tolerance, "tolerance")
    if not 0 <= found < np.inf:
        raise DataError(f"tolerance must be at least 0 and finite, got {found}")
    return found


def _short(value: Any) -> str:
    """What was given, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
