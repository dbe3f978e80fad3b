"""Volume or load: what is published a day ahead, by itself, against its own day, and against its past."""

from functools import partial

import numpy as np

from gridlab.days import Floats
from gridlab.features import windows
from gridlab.features.known import Feature, Known
from gridlab.features.windows import before

DAYS = 28

input_column = partial(Feature, "volume or load")


def _ramp(known: Known, name: str, hours: int) -> Floats:
    """Change from so many hours before, yesterday's where the day has just begun."""
    values = known.inputs[name]
    step = windows.slots(hours, known.n_slots)
    earlier = np.concatenate([before(values, 1)[:, known.n_slots - step :], values[:, : known.n_slots - step]], axis=1)
    return np.asarray(values - earlier)


def _next(known: Known, name: str) -> Floats:
    values = known.inputs[name]
    slot = np.minimum(np.arange(known.n_slots) + windows.slots(1, known.n_slots), known.n_slots - 1)
    return np.asarray(values[:, slot] - values)


def _hours_from_peak(known: Known, name: str) -> Floats:
    return np.arange(known.n_slots) * 24 / known.n_slots - windows.hour_of_max(known.inputs[name])


def _past_day(known: Known, name: str) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each day before, shape (n_days, 1)."""
    past = before(known.inputs[name], 1)
    return windows.day_mean(past), windows.day_sd(past)


def past_sd(known: Known, name: str) -> Floats:
    """Standard deviation of all slots of an input over the days before."""
    of_day, within = _past_day(known, name)
    variance = windows.mean(within**2, DAYS) + windows.covariance(of_day, of_day, DAYS)
    return windows.settled(np.sqrt(variance), windows.mean(of_day, DAYS))


def _z(known: Known, name: str) -> Floats:
    return windows.z_score(known.inputs[name], known[f"{name}_mean_28d"], past_sd(known, name))


def _slot_z(known: Known, name: str) -> Floats:
    spread = windows.sd(before(known.inputs[name], 1), DAYS)
    return windows.z_score(known.inputs[name], known[f"{name}_slot_mean_28d"], spread)


FEATURES = (
    input_column("<input>", "as <input>", "x[d, s]", lambda k, x: k.inputs[x]),
    input_column("<input>_lag_1d", "as <input>", "x[d-1, s]", lambda k, x: before(k.inputs[x], 1)),
    input_column("<input>_lag_7d", "as <input>", "x[d-7, s]", lambda k, x: before(k.inputs[x], 7)),
    input_column("<input>_change_1d", "as <input>", "x[d, s] - x[d-1, s]",
                 lambda k, x: k.inputs[x] - k[f"{x}_lag_1d"]),
    input_column("<input>_change_7d", "as <input>", "x[d, s] - x[d-7, s]",
                 lambda k, x: k.inputs[x] - k[f"{x}_lag_7d"]),
    input_column("<input>_ramp_1h", "as <input>", "x[d, s] - x one hour before", lambda k, x: _ramp(k, x, 1)),
    input_column("<input>_ramp_3h", "as <input>", "x[d, s] - x three hours before", lambda k, x: _ramp(k, x, 3)),
    input_column("<input>_ramp_ahead_1h", "as <input>", "x one hour later (at most the day's last slot) - x[d, s]",
                 _next),
    input_column("<input>_day_mean", "as <input>", "mean of x[d, t] over all slots t",
                 lambda k, x: windows.day_mean(k.inputs[x])),
    input_column("<input>_day_min", "as <input>", "min of x[d, t]", lambda k, x: windows.day_min(k.inputs[x])),
    input_column("<input>_day_max", "as <input>", "max of x[d, t]", lambda k, x: windows.day_max(k.inputs[x])),
    input_column("<input>_day_range", "as <input>", "<input>_day_max - <input>_day_min",
                 lambda k, x: k[f"{x}_day_max"] - k[f"{x}_day_min"]),
    input_column("<input>_from_day_mean", "as <input>", "x[d, s] - <input>_day_mean",
                 lambda k, x: k.inputs[x] - k[f"{x}_day_mean"]),
    input_column("<input>_share_of_day_range", "-", "(x[d, s] - <input>_day_min) / <input>_day_range",
                 lambda k, x: windows.ratio(k.inputs[x] - k[f"{x}_day_min"], k[f"{x}_day_range"])),
    input_column("<input>_hours_from_peak", "h", "hour of s - hour of the max of x[d, t]", _hours_from_peak),
    input_column("<input>_day_mean_change_1d", "as <input>", "<input>_day_mean - that of d-1",
                 lambda k, x: k[f"{x}_day_mean"] - before(k[f"{x}_day_mean"], 1)),
    input_column("<input>_day_mean_change_7d", "as <input>", "<input>_day_mean - that of d-7",
                 lambda k, x: k[f"{x}_day_mean"] - before(k[f"{x}_day_mean"], 7)),
    input_column("<input>_mean_7d", "as <input>", "mean of x[d-i, t], i = 1..7, all slots t",
                 lambda k, x: windows.mean(before(k[f"{x}_day_mean"], 1), 7)),
    input_column("<input>_mean_28d", "as <input>", "mean of x[d-i, t], i = 1..28, all slots t",
                 lambda k, x: windows.mean(before(k[f"{x}_day_mean"], 1), DAYS)),
    input_column("<input>_slot_mean_28d", "as <input>", "mean of x[d-i, s], i = 1..28",
                 lambda k, x: windows.mean(before(k.inputs[x], 1), DAYS)),
    input_column("<input>_from_mean_7d", "as <input>", "x[d, s] - <input>_mean_7d",
                 lambda k, x: k.inputs[x] - k[f"{x}_mean_7d"]),
    input_column("<input>_from_slot_mean_28d", "as <input>", "x[d, s] - <input>_slot_mean_28d",
                 lambda k, x: k.inputs[x] - k[f"{x}_slot_mean_28d"]),
    input_column("<input>_z", "-", "z(x[d, s]; mean and sd of x[d-i, t], i = 1..28, all slots t)", _z),
    input_column("<input>_slot_z", "-", "z(x[d, s]; mean and sd of x[d-i, s], i = 1..28)", _slot_z),
    input_column("<input>_slot_rank_28d", "-", "share of x[d-i, s], i = 0..27, below x[d, s]",
                 lambda k, x: windows.rank(k.inputs[x], DAYS)),
)  # fmt: skip
