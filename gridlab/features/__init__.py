"""
What is known at the origin: columns for a price model, in seven categories, put together by `build`.

The origin is the midnight that opens the market's day. A row of that day holds the calendar, the inputs known a day
ahead, and prices of earlier days only, so that a column may be used for any slot of the day. Each column is one
record of the registry, with its name, unit, formula and values; `describe` and ``docs/features.md`` read them there.
"""

from gridlab.features.calendar import fourier, temporal
from gridlab.features.selection import select
from gridlab.features.table import MEMORY_DAYS, build, describe, names, of_days
from gridlab.features.windows import before

LAG_DAYS = (1, 2, 3, 7)
"""Lags of the price, in days, of the field's linear benchmark models."""

__all__ = [
    "LAG_DAYS",
    "MEMORY_DAYS",
    "before",
    "build",
    "describe",
    "fourier",
    "names",
    "of_days",
    "select",
    "temporal",
]
