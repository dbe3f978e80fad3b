"""Price columns: the level, shape and spread of yesterday and of the weeks before it."""

from functools import partial

import numpy as np

from gridlab.days import Floats
from gridlab.features import windows
from gridlab.features.known import Feature, Known
from gridlab.features.windows import before

WINDOW_DAYS = (7, 28, 56)
HALF_LIFE_DAYS = (1, 3, 7)
QUANTILES = {"q10": 0.1, "median": 0.5, "q90": 0.9}
PARTS_OF_DAY = {"night": (0, 6), "morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24)}

price_column = partial(Feature, "price", unit="$/MWh")


def _daily_sd(known: Known, n_days: int) -> Floats:
    """Standard deviation of all slots of the last days: that within days and that between them."""
    within = windows.mean(known["price_sd_1d"] ** 2, n_days)
    between = windows.covariance(known["price_mean_1d"], known["price_mean_1d"], n_days)
    return windows.settled(np.sqrt(within + between), known[f"price_mean_{n_days}d"])


def _slot_quantile(known: Known, n_days: int, name: str) -> Floats:
    levels = tuple(QUANTILES.values())
    found = known.once(("quantiles", n_days), lambda: windows.quantiles(known.past, n_days, levels))
    return np.asarray(found[list(QUANTILES).index(name)])


def _hours(known: Known) -> Floats:
    """Hour of each slot from the day's first, without an offset of the intervals from the clock."""
    return np.arange(known.n_slots) * 24 / known.n_slots


def _part_of_day(known: Known, first: int, last: int) -> Floats:
    hour = _hours(known)
    inside = (hour >= first) & (hour < last)
    return windows.day_mean(known.past[:, inside]) if inside.any() else known["price_mean_1d"]


def _peak_spread(known: Known) -> Floats:
    hour = _hours(known)
    peak = (hour >= 8) & (hour < 20)
    if not peak.any():
        return np.zeros((len(known.past), 1))
    return windows.day_mean(known.past[:, peak]) - windows.day_mean(known.past[:, ~peak])


def _free_day_gap(known: Known) -> Floats:
    return windows.slope(known["price_mean_1d"], before(known["is_free_day"], 1), 28)


def _of_window(n: int) -> list[Feature]:
    return [
        price_column(name=f"price_mean_{n}d", formula=f"mean of m[d-i], i = 1..{n}",
                     values=lambda k: windows.mean(k["price_mean_1d"], n)),
        price_column(name=f"price_sd_{n}d", formula=f"sd of p[d-i, t], i = 1..{n}, all slots t",
                     values=lambda k: _daily_sd(k, n)),
        price_column(name=f"price_slot_mean_{n}d", formula=f"mean of p[d-i, s], i = 1..{n}",
                     values=lambda k: windows.mean(k.past, n)),
        price_column(name=f"price_slot_sd_{n}d", formula=f"sd of p[d-i, s], i = 1..{n}",
                     values=lambda k: windows.sd(k.past, n)),
        price_column(name=f"price_profile_{n}d", formula=f"price_slot_mean_{n}d - price_mean_{n}d",
                     values=lambda k: k[f"price_slot_mean_{n}d"] - k[f"price_mean_{n}d"]),
        *(
            price_column(name=f"price_slot_{q}_{n}d", formula=f"{q} of p[d-i, s], i = 1..{n}",
                         values=lambda k, q=q: _slot_quantile(k, n, q))
            for q in QUANTILES
        ),
    ]  # fmt: skip


def _of_half_life(n: int) -> list[Feature]:
    span = windows.half_life(n)
    return [
        price_column(name=f"price_ewm_{n}d", formula=f"exponentially weighted mean of m[d-i], half-life {n} days",
                     values=lambda k: windows.ewm(k["price_mean_1d"], span)),
        price_column(name=f"price_slot_ewm_{n}d",
                     formula=f"exponentially weighted mean of p[d-i, s], half-life {n} days",
                     values=lambda k: windows.ewm(k.past, span)),
    ]  # fmt: skip


def _of_part(name: str) -> Feature:
    first, last = PARTS_OF_DAY[name]
    formula = f"mean of p[d-1, t], {first} <= hour of t < {last}"
    return price_column(name=f"price_{name}_1d", formula=formula, values=lambda k: _part_of_day(k, first, last))


FEATURES = (
    price_column(name="price_mean_1d", formula="m[d-1]", values=lambda k: windows.day_mean(k.past)),
    price_column(name="price_median_1d", formula="median of p[d-1, t]", values=lambda k: windows.day_median(k.past)),
    price_column(name="price_sd_1d", formula="sd of p[d-1, t]", values=lambda k: windows.day_sd(k.past)),
    price_column(name="price_min_1d", formula="min of p[d-1, t]", values=lambda k: windows.day_min(k.past)),
    price_column(name="price_max_1d", formula="max of p[d-1, t]", values=lambda k: windows.day_max(k.past)),
    price_column(name="price_range_1d", formula="price_max_1d - price_min_1d",
                 values=lambda k: k["price_max_1d"] - k["price_min_1d"]),
    price_column(name="price_rise_1d", formula="greatest rise of p[d-1] over one hour",
                 values=lambda k: windows.day_max(windows.changes(k.past, 1))),
    price_column(name="price_fall_1d", formula="greatest fall of p[d-1] over one hour",
                 values=lambda k: windows.day_max(-windows.changes(k.past, 1))),
    price_column(name="price_peak_hour_1d", unit="h", formula="hour of the max of p[d-1, t]",
                 values=lambda k: windows.hour_of_max(k.past)),
    price_column(name="price_trough_hour_1d", unit="h", formula="hour of the min of p[d-1, t]",
                 values=lambda k: windows.hour_of_max(-k.past)),
    *(_of_part(name) for name in PARTS_OF_DAY),
    price_column(name="price_peak_spread_1d", formula="mean of p[d-1] from 8 to 20 h minus that of its other hours",
                 values=_peak_spread),
    price_column(name="price_min_7d", formula="min of p[d-i, t], i = 1..7, all slots t",
                 values=lambda k: windows.lowest(k["price_min_1d"], 7)),
    price_column(name="price_max_7d", formula="max of p[d-i, t], i = 1..7, all slots t",
                 values=lambda k: windows.highest(k["price_max_1d"], 7)),
    *(column for n in WINDOW_DAYS for column in _of_window(n)),
    *(column for n in HALF_LIFE_DAYS for column in _of_half_life(n)),
    price_column(name="price_level_and_profile", formula="price_mean_1d + price_profile_28d",
                 values=lambda k: k["price_mean_1d"] + k["price_profile_28d"]),
    price_column(name="price_free_day_gap_28d", formula="mean of m[d-i] on free days minus that on others, i = 1..28",
                 values=_free_day_gap),
    price_column(name="price_z_28d", unit="-", formula="z(m[d-1]; its mean and sd over i = 1..28)",
                 values=lambda k: windows.z_score(
                     k["price_mean_1d"], k["price_mean_28d"], windows.sd(k["price_mean_1d"], 28))),
    price_column(name="price_slot_z_28d", unit="-", formula="z(p[d-1, s]; price_slot_mean_28d, price_slot_sd_28d)",
                 values=lambda k: windows.z_score(
                     k["price_lag_1d"], k["price_slot_mean_28d"], k["price_slot_sd_28d"])),
)  # fmt: skip
