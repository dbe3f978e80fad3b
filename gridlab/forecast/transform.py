"""Transforms that models share: a scale on which spikes are tame, and hours from shorter intervals."""

from dataclasses import dataclass

import numpy as np

from gridlab.days import Floats

MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class AsinhScale:
    """Median and spread of each column, and the transform ``asinh((x - median) / spread)`` by them."""

    median: Floats
    spread: Floats

    def forward(self, values: Floats) -> Floats:
        """Transform values to a scale on which spikes are tame."""
        return np.asarray(np.arcsinh((values - self.median) / self.spread))

    def back(self, values: Floats) -> Floats:
        """Transform back to prices."""
        return np.asarray(np.sinh(values) * self.spread + self.median)


def asinh_scale(values: Floats) -> AsinhScale:
    """
    Median and scaled median absolute deviation of each column.

    A column whose deviation is 0 at the median (more than half of it constant) takes its standard deviation instead,
    and a constant one the unit.

    Examples
    --------
    >>> scale = asinh_scale(np.array([[20.0], [30.0], [40.0], [3000.0]]))
    >>> [round(float(scale.back(scale.forward(np.array([price])))[0]), 9) for price in (7.0, 3000.0)]
    [7.0, 3000.0]
    """
    median = np.median(values, axis=0)
    spread = MAD_TO_SD * np.median(np.abs(values - median), axis=0)
    deviation = values.std(axis=0)
    return AsinhScale(median, np.select([spread > 0, deviation > 0], [spread, deviation], 1.0))


def hourly(values: Floats) -> Floats:
    """Means by hour of slots that are shorter, (n_days, n_slots) to (n_days, 24)."""
    n_days, n_slots = values.shape
    return values if n_slots <= 24 else values.reshape(n_days, 24, n_slots // 24).mean(axis=2)


def intervals(values: Floats) -> Floats:
    """Values by day and slot as one row an interval, (n_days, n_slots, n) to (n_days n_slots, n); n may be 0."""
    n_days, n_slots, n_columns = values.shape
    return values.reshape(n_days * n_slots, n_columns)
