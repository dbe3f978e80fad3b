"""Quantile functions held at the percentiles, and read at any level."""

import numpy as np

from gridlab.days import Floats

PERCENTILES = np.arange(1, 100) / 100

TAIL = 0.001
"""Level beyond which a tail goes on in a straight line, so that it has a value at levels outside (0, 1) too."""


def read(table: Floats, levels: Floats, least_slope: Floats | float = 0.0) -> Floats:
    """
    Quantile functions at levels: straight between percentiles, exponential tails beyond them.

    A tail is that of the exponential distribution through the outer 1 and 5 %, down to the level 0.001; there it goes
    on along its tangent, without end, also at levels below 0 or above 1, which an adaptive calibration may ask for.

    Parameters
    ----------
    table : ndarray, shape (n_slots, 99)
        Non-decreasing values at the percentiles.
    levels : ndarray, shape (n_slots, n_levels) or (n_levels,)
        Levels.
    least_slope : ndarray, shape (n_slots,), or float
        Least scale of the tails.

    Returns
    -------
    ndarray, shape (n_slots, n_levels)

    Examples
    --------
    >>> read(PERCENTILES[None], np.array([0.055, 0.5])).round(3).tolist()
    [[0.055, 0.5]]
    """
    levels = np.broadcast_to(levels, (len(table), np.shape(levels)[-1]))
    position = np.clip(levels * 100 - 1, 0, 98)
    below = np.minimum(position.astype(int), 97)
    part = position - below
    low, high = np.take_along_axis(table, below, axis=1), np.take_along_axis(table, below + 1, axis=1)
    lower = np.maximum((table[:, 4] - table[:, 0]) / np.log(5), least_slope)[:, None]
    upper = np.maximum((table[:, 98] - table[:, 94]) / np.log(5), least_slope)[:, None]
    inner = low + part * (high - low)
    return np.asarray(inner - lower * _beyond(levels) + upper * _beyond(1 - levels))


def _beyond(level: Floats) -> Floats:
    """How far the tail at a level lies beyond its first percentile, in its scale: log(0.01 / level), then a line."""
    far = np.maximum(TAIL - level, 0.0) / TAIL
    return np.log(0.01 / np.clip(level, TAIL, 0.01)) + far
