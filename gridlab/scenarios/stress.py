"""Stress: named shocks, put upon paths to see what a plan does when they come."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.family import Family

Floats = NDArray[np.float64]


def stress(paths: ArrayLike, shock: str, *, at: int, size: float, duration: int | None = None) -> Floats:
    """
    Put a named shock upon every path.

    Parameters
    ----------
    paths : array_like, shape (n_paths, n_steps)
        Paths of a price, or of another series. [$/MWh]
    shock : str
        One of `SHOCKS`.
    at : int
        Step at which it begins; a shock that runs past the last step is cut there.
    size : float
        Its size, in the unit that the shock names.
    duration : int, optional
        Steps that it lasts; the shock's own when omitted.

    Returns
    -------
    ndarray, shape (n_paths, n_steps)
        New paths; those given stay as they are.

    Raises
    ------
    DataError
        If there is no such shock, `at` is not one of the steps, `size` is not positive and finite, or `duration` is
        below 1.

    Examples
    --------
    >>> stress([[20.0, 30.0, 40.0, 30.0]], "crash", at=1, size=15, duration=2).tolist()
    [[20.0, -15.0, -15.0, 30.0]]
    """
    own = {} if duration is None else {"duration": duration}
    return SHOCKS[shock](paths, at=at, size=size, **own)


def spike(paths: ArrayLike, *, at: int, size: float, duration: int = 3) -> Floats:
    """
    Prices rise by a multiple for a few steps: `size` - 1 times the paths' median absolute value is added.

    A price at that median so becomes `size` times itself, and a negative one rises too, as a product would not.

    Parameters
    ----------
    paths : array_like, shape (n_paths, n_steps)
        Price paths. [$/MWh]
    at, duration : int
        First step, and number of steps.
    size : float
        Multiple of the paths' median absolute value, above 0; 1 changes nothing. [-]

    Examples
    --------
    >>> spike([[20.0, 30.0, -5.0, 30.0, 40.0]], at=1, size=10, duration=2).tolist()
    [[20.0, 300.0, 265.0, 30.0, 40.0]]
    """
    values, within = _within(paths, at, size, duration)
    values[:, within] += (size - 1) * np.nanmedian(np.abs(values))
    return values


def crash(paths: ArrayLike, *, at: int, size: float, duration: int = 5) -> Floats:
    """
    Prices fall to ``-size`` or below for some steps, as at midday when the sun makes more than is wanted.

    Parameters
    ----------
    paths : array_like, shape (n_paths, n_steps)
        Price paths. [$/MWh]
    at, duration : int
        First step, and number of steps.
    size : float
        How far below zero, above 0. [$/MWh]

    Examples
    --------
    >>> crash([[20.0, 30.0, -50.0, 30.0]], at=1, size=15, duration=2).tolist()
    [[20.0, -15.0, -50.0, 30.0]]
    """
    values, within = _within(paths, at, size, duration)
    values[:, within] = np.minimum(values[:, within], -size)
    return values


def scarcity(paths: ArrayLike, *, at: int, size: float, duration: int = 168) -> Floats:
    """
    Prices keep their shape and stand higher for long, a week of hours: an adder, as a market pays for short reserves.

    Parameters
    ----------
    paths : array_like, shape (n_paths, n_steps)
        Price paths. [$/MWh]
    at, duration : int
        First step, and number of steps.
    size : float
        The adder, above 0. [$/MWh]

    Examples
    --------
    >>> scarcity([[20.0, 30.0, -5.0, 30.0]], at=1, size=100).tolist()
    [[20.0, 130.0, 95.0, 130.0]]
    """
    values, within = _within(paths, at, size, duration)
    values[:, within] += size
    return values


def hash_jump(paths: ArrayLike, *, at: int, size: float, duration: int | None = None) -> Floats:
    """
    A price jumps to a multiple of itself and stays there, as a hash price does after a halving (0.5) or a rally (2).

    Parameters
    ----------
    paths : array_like, shape (n_paths, n_steps)
        Paths of a hash price, a token price or any other series.
    at : int
        First step.
    size : float
        The multiple, above 0; 1 changes nothing. [-]
    duration : int, optional
        Number of steps; to the end when omitted.

    Examples
    --------
    >>> hash_jump([[0.06, 0.06, 0.06]], at=1, size=0.5).tolist()
    [[0.06, 0.03, 0.03]]
    """
    values, within = _within(paths, at, size, duration)
    values[:, within] *= size
    return values


SHOCKS: Family[Callable[..., Floats]] = Family(
    "shock", {"spike": spike, "crash": crash, "scarcity": scarcity, "hash_jump": hash_jump}
)
"""Shocks by name, of one signature: ``(paths, *, at, size, duration) -> paths``."""


def _within(paths: ArrayLike, at: int, size: float, duration: int | None) -> tuple[Floats, slice]:
    """A copy of the paths, and the steps of the shock."""
    values = np.array(paths, dtype=float)
    if values.ndim != 2 or not values.size:
        raise DataError(f"paths must have shape (n_paths, n_steps), got {values.shape}")
    if not 0 <= at < values.shape[1]:
        raise DataError(f"at must be one of the {values.shape[1]} steps, 0 to {values.shape[1] - 1}, got {at}")
    if not 0 < size < np.inf:
        raise DataError(f"size must be positive and finite, got {size}")
    if duration is not None and duration < 1:
        raise DataError(f"duration must be at least 1 step, got {duration}")
    return values, slice(at, None if duration is None else at + duration)
