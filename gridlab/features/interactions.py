"""
Interactions: what a load or a lag means depends on the hour, the day and the state of the market.

Inputs enter by their z-scores, so that products have the size and the unit of the price whatever the input's unit.
"""

from functools import partial

import numpy as np

from gridlab.days import Floats
from gridlab.features import calendar, indicators, lags, price, regime, windows
from gridlab.features.inputs import DAYS, past_sd
from gridlab.features.known import Feature, Known
from gridlab.features.windows import before

PRODUCTS = (
    ("price_lag_1d", "is_free_day"),
    ("price_lag_7d", "is_free_day"),
    ("price_lag_1d", "is_peak"),
    ("price_lag_1d", "price_volatility_ratio"),
    ("price_slot_z_28d", "price_volatility_ratio"),
    ("price_change_1d", "price_volatility_ratio"),
    ("price_mean_1d", "hour_sin"),
    ("price_mean_1d", "hour_cos"),
    ("price_trend_7d", "hour_sin"),
    ("price_trend_7d", "hour_cos"),
    ("hour", "is_free_day"),
    ("hour_sin", "is_free_day"),
    ("hour_cos", "is_free_day"),
    ("hour_sin", "year_sin"),
    ("hour_sin", "year_cos"),
    ("hour_cos", "year_sin"),
    ("hour_cos", "year_cos"),
)
"""Pairs of columns that are there without inputs."""

Z_PRODUCTS = (
    "hour_sin",
    "hour_cos",
    "is_free_day",
    "is_peak",
    "price_lag_1d",
    "price_mean_1d",
    "price_slot_sd_28d",
    "price_slot_z_28d",
    "price_volatility_ratio",
)
"""Columns that the z-score of each input multiplies."""

UNITS = {
    column.name: column.unit for module in (calendar, price, indicators, regime, lags) for column in module.FEATURES
}

interaction_column = partial(Feature, "interactions")


def _unit_of_product(*units: str) -> str:
    return " ".join(unit for unit in units if unit != "-") or "-"


def _product(first: str, second: str) -> Feature:
    unit = _unit_of_product(UNITS[first], UNITS[second])
    return interaction_column(f"{first}_x_{second}", unit, f"{first} * {second}", lambda k: k[first] * k[second])


def _z_product(name: str) -> Feature:
    return interaction_column(
        f"<input>_z_x_{name}", UNITS[name], f"<input>_z * {name}", lambda k, x: k[f"{x}_z"] * k[name]
    )


def _correlation(known: Known, name: str) -> Floats:
    """Correlation of price and input over all slots of the days before: within the days and between them."""
    past = before(known.inputs[name], 1)
    of_day, price = windows.day_mean(past), known["price_mean_1d"]
    within = windows.mean(windows.day_mean((past - of_day) * (known.past - price)), DAYS)
    between = windows.covariance(of_day, price, DAYS)
    return np.clip(windows.ratio(within + between, past_sd(known, name) * known["price_sd_28d"]), -1.0, 1.0)


def _slot_correlation(known: Known, name: str) -> Floats:
    past = before(known.inputs[name], 1)
    spreads = windows.sd(past, DAYS) * known["price_slot_sd_28d"]
    return np.clip(windows.ratio(windows.covariance(past, known.past, DAYS), spreads), -1.0, 1.0)


def _step(known: Known, name: str) -> Floats:
    """Yesterday's price, moved along the regression line by the change of the input."""
    change = windows.z_score(known.inputs[name], known[f"{name}_lag_1d"], past_sd(known, name))
    return known["price_lag_1d"] + known[f"{name}_price_correlation_28d"] * known["price_sd_28d"] * change


FEATURES = (
    *(_product(first, second) for first, second in PRODUCTS),
    *(_z_product(name) for name in Z_PRODUCTS),
    interaction_column("<input>_z_squared", "-", "<input>_z ** 2", lambda k, x: k[f"{x}_z"] ** 2),
    interaction_column("<input>_price_correlation_28d", "-",
                       "correlation of p[d-i, t] and x[d-i, t], i = 1..28, all slots t", _correlation),
    interaction_column("<input>_price_slot_correlation_28d", "-",
                       "correlation of p[d-i, s] and x[d-i, s], i = 1..28", _slot_correlation),
    interaction_column("<input>_price_fit_28d", "$/MWh",
                       "price_mean_28d + <input>_price_correlation_28d * price_sd_28d * <input>_z: "
                       "the regression line of price on x at x[d, s]",
                       lambda k, x: k["price_mean_28d"]
                       + k[f"{x}_price_correlation_28d"] * k["price_sd_28d"] * k[f"{x}_z"]),
    interaction_column("<input>_price_slot_fit_28d", "$/MWh",
                       "price_slot_mean_28d + <input>_price_slot_correlation_28d * price_slot_sd_28d * <input>_slot_z",
                       lambda k, x: k["price_slot_mean_28d"]
                       + k[f"{x}_price_slot_correlation_28d"] * k["price_slot_sd_28d"] * k[f"{x}_slot_z"]),
    interaction_column("<input>_price_step_1d", "$/MWh",
                       "price_lag_1d + <input>_price_correlation_28d * price_sd_28d * "
                       "z(x[d, s]; x[d-1, s], sd of x[d-i, t], i = 1..28)", _step),
    interaction_column("<input>_minus_<other>", "as <input>", "x[d, s] - y[d, s], of the first input and each other",
                       lambda k, x, y: k.inputs[x] - k.inputs[y]),
    interaction_column("<input>_z_minus_<other>_z", "-", "<input>_z - <other>_z",
                       lambda k, x, y: k[f"{x}_z"] - k[f"{y}_z"]),
    interaction_column("<input>_z_x_<other>_z", "-", "<input>_z * <other>_z",
                       lambda k, x, y: k[f"{x}_z"] * k[f"{y}_z"]),
)  # fmt: skip
