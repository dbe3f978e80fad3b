"""Lags: prices of the same slot on earlier days, of the hours around it, and of the end of yesterday."""

from functools import partial

import numpy as np

from gridlab.days import WEEKLY_DAYS, Floats
from gridlab.features.known import Feature, Known
from gridlab.features.windows import before, day_mean, slots

SLOT_LAG_DAYS = (1, 2, 3, 4, 5, 6, 7, 8, 14, 21, 28)
NEIGHBOURS = ((1, -2), (1, -1), (1, 1), (1, 2), (7, -1), (7, 1))
"""Lags, in days, and hours around the slot."""

SAME_KIND_DAYS = 10
"""How far back to look for a day of the same kind."""

lag_column = partial(Feature, "lags")


def _lag(known: Known, n_days: int) -> Floats:
    return before(known.past, n_days - 1)


def _neighbour(known: Known, n_days: int, hours: int) -> Floats:
    shift = int(np.sign(hours)) * slots(abs(hours), known.n_slots)
    slot = np.clip(np.arange(known.n_slots) + shift, 0, known.n_slots - 1)
    return _lag(known, n_days)[:, slot]


def _last_hours(known: Known, hours: int) -> Floats:
    return day_mean(known.past[:, -max(slots(hours, known.n_slots), 1) :])


def _standard_naive(known: Known) -> Floats:
    weekly = np.isin(known["weekday"], WEEKLY_DAYS)
    return np.where(weekly, known["price_lag_7d"], known["price_lag_1d"])


def _same_kind(known: Known) -> Floats:
    """Price of the latest day that is free like this one, or works like it; a gap sends us further back."""
    free, latest = known["is_free_day"], np.full(known.past.shape, np.nan)
    for lag in range(SAME_KIND_DAYS, 0, -1):
        price = _lag(known, lag)
        latest = np.where((before(free, lag) == free) & ~np.isnan(price), price, latest)
    return latest


def _slot_lag(n: int) -> Feature:
    return lag_column(f"price_lag_{n}d", "$/MWh", f"p[d-{n}, s]", lambda k: _lag(k, n))


def _neighbour_column(n: int, hours: int) -> Feature:
    name = f"price_lag_{n}d_{'minus' if hours < 0 else 'plus'}_{abs(hours)}h"
    formula = f"p[d-{n}, s {'-' if hours < 0 else '+'} {abs(hours)} h], held at that day's first and last slot"
    return lag_column(name, "$/MWh", formula, lambda k: _neighbour(k, n, hours))


FEATURES = (
    *(_slot_lag(n) for n in SLOT_LAG_DAYS),
    *(_neighbour_column(n, hours) for n, hours in NEIGHBOURS),
    lag_column("price_last_1d", "$/MWh", "p[d-1, last slot]", lambda k: k.past[:, -1:]),
    lag_column("price_last_3h_1d", "$/MWh", "mean of the last 3 hours of p[d-1]", lambda k: _last_hours(k, 3)),
    lag_column("price_last_6h_1d", "$/MWh", "mean of the last 6 hours of p[d-1]", lambda k: _last_hours(k, 6)),
    lag_column("price_change_1d", "$/MWh", "p[d-1, s] - p[d-2, s]", lambda k: k["price_lag_1d"] - k["price_lag_2d"]),
    lag_column("price_change_7d", "$/MWh", "p[d-1, s] - p[d-8, s]", lambda k: k["price_lag_1d"] - k["price_lag_8d"]),
    lag_column("price_lag_4_weeks", "$/MWh", "mean of p[d-7i, s], i = 1..4",
               lambda k: sum((k[f"price_lag_{7 * i}d"] for i in range(1, 5)), np.zeros(1)) / 4),
    lag_column("price_lag_naive", "$/MWh", "p[d-7, s] on Monday, Saturday and Sunday, else p[d-1, s]", _standard_naive),
    lag_column("price_lag_same_kind", "$/MWh",
               f"p[d-i, s] of the least i <= {SAME_KIND_DAYS} whose is_free_day is that of d", _same_kind),
)  # fmt: skip
