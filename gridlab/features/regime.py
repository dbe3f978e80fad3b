"""Market regime: negative prices, spikes, volatility, level, trend, and how well the naive forecasts do lately."""

from functools import partial

import numpy as np

from gridlab.days import Floats
from gridlab.features import windows
from gridlab.features.known import Feature, Known
from gridlab.features.windows import before

SPIKE_SPREADS = 3.0
"""How many spreads, of the 28 days before it, a price must be from its slot's median to be a spike or a drop."""

SDS_BETWEEN_DECILES = 2.5631
"""From the 10 % to the 90 % quantile of a normal distribution, in standard deviations."""

HIGH_SHARE = 0.8
TREND_SDS = 0.5

regime_column = partial(Feature, "market regime")


def _negative(known: Known) -> Floats:
    return np.where(np.isnan(known.past), np.nan, known.past < 0)


def _outliers(known: Known, sign: int) -> Floats:
    """Whether yesterday's price, by the 28 days before it, was a spike (`sign` 1) or a drop (-1)."""
    middle, low, high = (before(known[f"price_slot_{q}_28d"], 1) for q in ("median", "q10", "q90"))
    excess = sign * (known.past - middle) - SPIKE_SPREADS * (high - low) / SDS_BETWEEN_DECILES
    return np.where(np.isnan(excess), np.nan, excess > 0)


def _share_of_outliers(known: Known, sign: int, n_days: int) -> Floats:
    of_day = known.once(("outliers", sign), lambda: windows.day_mean(_outliers(known, sign)))
    return of_day if n_days == 1 else windows.mean(of_day, n_days)


def _days_since(known: Known, sign: int) -> Floats:
    return np.minimum(windows.days_since(_share_of_outliers(known, sign, 1), 28) + 1, 28)


def _realised(known: Known) -> Floats:
    change = np.diff(known.past, axis=1, prepend=before(known.past, 1)[:, -1:])
    return np.sqrt(windows.day_mean(change**2) * known.n_slots)


def _naive_error(known: Known, lag_days: int, n_days: int) -> Floats:
    return windows.mean(windows.day_mean(np.abs(known.past - before(known.past, lag_days))), n_days)


def _day_number(known: Known) -> Floats:
    return np.arange(len(known.past), dtype=float)[:, None]


def _trend_state(known: Known) -> Floats:
    strength = known["price_trend_strength"]
    return np.where(np.abs(strength) > TREND_SDS, np.sign(strength), 0.0 * strength)


def _beyond(values: Floats, level: float) -> Floats:
    return np.where(np.isnan(values), np.nan, values > level)


def _outlier_columns(noun: str, sign: int) -> list[Feature]:
    sides = "above" if sign > 0 else "below"
    meaning = f"{SPIKE_SPREADS:g} (q90 - q10) / {SDS_BETWEEN_DECILES} {sides} the median of its slot's 28 days before"
    return [
        *(
            regime_column(f"price_{noun}_share_{n}d", "-",
                          f"share of p[d-i, t], i = 1..{n}, all slots t, more than {meaning}",
                          lambda k, n=n: _share_of_outliers(k, sign, n))
            for n in (1, 7, 28)
        ),
        regime_column(f"days_since_{noun}", "d", f"least i with price_{noun}_share_1d > 0 at d-i+1, at most 28",
                      lambda k: _days_since(k, sign)),
    ]  # fmt: skip


FEATURES = (
    regime_column("price_negative_share_1d", "-", "share of p[d-1, t] < 0", lambda k: windows.day_mean(_negative(k))),
    regime_column("price_negative_share_7d", "-", "share of p[d-i, t] < 0, i = 1..7, all slots t",
                  lambda k: windows.mean(k["price_negative_share_1d"], 7)),
    regime_column("price_negative_share_28d", "-", "share of p[d-i, t] < 0, i = 1..28, all slots t",
                  lambda k: windows.mean(k["price_negative_share_1d"], 28)),
    regime_column("price_slot_negative_share_28d", "-", "share of p[d-i, s] < 0, i = 1..28",
                  lambda k: windows.mean(_negative(k), 28)),
    *_outlier_columns("spike", 1),
    *_outlier_columns("drop", -1),
    regime_column("price_realised_volatility_1d", "$/MWh", "root of the sum of squared changes of p[d-1] by slot",
                  _realised),
    regime_column("price_realised_volatility_7d", "$/MWh", "root mean square of price_realised_volatility_1d, 7 days",
                  lambda k: np.sqrt(windows.mean(k["price_realised_volatility_1d"] ** 2, 7))),
    regime_column("price_volatility_ratio", "-", "price_sd_7d / price_sd_56d",
                  lambda k: windows.ratio(k["price_sd_7d"], k["price_sd_56d"])),
    regime_column("price_slot_volatility_ratio", "-", "price_slot_sd_7d / price_slot_sd_56d",
                  lambda k: windows.ratio(k["price_slot_sd_7d"], k["price_slot_sd_56d"])),
    regime_column("price_volatility_rank_56d", "-", "share of the last 56 values of price_sd_7d below today's",
                  lambda k: windows.rank(k["price_sd_7d"], 56)),
    regime_column("is_volatile", "-", f"1 if price_volatility_rank_56d > {HIGH_SHARE}",
                  lambda k: _beyond(k["price_volatility_rank_56d"], HIGH_SHARE)),
    regime_column("price_level_rank_56d", "-", "share of m[d-i], i = 1..56, below m[d-1]",
                  lambda k: windows.rank(k["price_mean_1d"], 56)),
    regime_column("is_high_price", "-", f"1 if price_level_rank_56d > {HIGH_SHARE}",
                  lambda k: _beyond(k["price_level_rank_56d"], HIGH_SHARE)),
    regime_column("is_low_price", "-", f"1 if price_level_rank_56d < {1 - HIGH_SHARE:.1f}",
                  lambda k: _beyond(-k["price_level_rank_56d"], HIGH_SHARE - 1)),
    regime_column("price_trend_7d", "$/MWh/d", "least-squares slope of m[d-i] on the day, i = 1..7",
                  lambda k: windows.slope(k["price_mean_1d"], _day_number(k), 7)),
    regime_column("price_trend_28d", "$/MWh/d", "least-squares slope of m[d-i] on the day, i = 1..28",
                  lambda k: windows.slope(k["price_mean_1d"], _day_number(k), 28)),
    regime_column("price_trend_strength", "-", "z(price_mean_7d; mean and sd of m[d-i], i = 1..28)",
                  lambda k: windows.z_score(
                      k["price_mean_7d"], k["price_mean_28d"], windows.sd(k["price_mean_1d"], 28))),
    regime_column("price_trend_state", "-", f"sign of price_trend_strength where it is beyond {TREND_SDS}, else 0",
                  _trend_state),
    regime_column("price_naive_error_7d", "$/MWh", "mean of |p[d-i, t] - p[d-i-1, t]|, i = 1..7, all slots t",
                  lambda k: _naive_error(k, 1, 7)),
    regime_column("price_naive_error_28d", "$/MWh", "mean of |p[d-i, t] - p[d-i-1, t]|, i = 1..28, all slots t",
                  lambda k: _naive_error(k, 1, 28)),
    regime_column("price_weekly_naive_error_28d", "$/MWh", "mean of |p[d-i, t] - p[d-i-7, t]|, i = 1..28, all slots t",
                  lambda k: _naive_error(k, 7, 28)),
    regime_column("price_naive_advantage_28d", "$/MWh", "price_weekly_naive_error_28d - price_naive_error_28d",
                  lambda k: k["price_weekly_naive_error_28d"] - k["price_naive_error_28d"]),
)  # fmt: skip
