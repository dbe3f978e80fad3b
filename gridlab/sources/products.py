"""What a price file does not say of a compute site: what its products earn, the demand for them, the weather."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.days import zone
from gridlab.errors import DataError
from gridlab.schema import step_hours
from gridlab.sources.simulate import Reverting, path

Floats = NDArray[np.float64]

HASH, TOKENS = Reverting(242, 0.10), Reverting(104, 0.10)  # in the logarithm of the price
TOGETHER = 0.5  # correlation of the two
WEATHER = Reverting(69, 3.0)  # around the day's shape [K]
DAY_SWING_K = 5.0
DEMAND_MEAN, DEMAND_SWING = 0.70, 0.25  # shares of `inference_demand`
USUAL_PRICE = 30.0  # $/MWh at which the levels are meant


def simulate_products(
    prices: pd.DataFrame,
    *,
    hash_price: float = 51.91,
    token_price: float = 0.6,
    outside_c: float = 15.0,
    inference_demand: float | None = None,
    usual_price: float = USUAL_PRICE,
    market_tz: str = "UTC",
    rng: np.random.Generator,
) -> pd.DataFrame:
    """
    Add to a table of prices the columns that a compute site needs and that it has not.

    Hash price and token price revert to their levels within days, with correlated noise; temperature and demand follow
    the hour of the day, coldest and least at four in the morning. Levels are scaled by `usual_price` over 30 $/MWh, so
    that in a market of any price some machines pay at some times.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table; columns that it has stay as they are.
    hash_price : float
        Level of hash price at 30 $/MWh. [$/PH/s/day]
    token_price : float
        Level of what a server earns in an hour at 30 $/MWh. [$/h]
    outside_c : float
        Mean temperature outside. [degC]
    inference_demand : float, optional
        Greatest number of servers wanted; no such column is made when omitted.
    usual_price : float
        Price that is usual in this market. [$/MWh]
    market_tz : str
        Time zone of the hours of the day.
    rng : Generator
        Draws everything.

    Returns
    -------
    DataFrame
        A new `prices` table with ``hash_price`` [$/PH/s/interval], ``token_price`` [$/server/interval],
        ``temperature_c`` [degC] and ``inference_demand`` [servers]; ``attrs["made"]`` lists the columns made here.

    Raises
    ------
    DataError
        If a level or `usual_price` is not above 0 and finite, `outside_c` is not finite, `inference_demand` is negative
        or not finite, or there is no such time zone.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = simulate_products(mock_prices(days=2), rng=np.random.default_rng(7))
    >>> prices.attrs["made"]
    ['hash_price', 'token_price', 'temperature_c']
    """
    for name, level in {"hash_price": hash_price, "token_price": token_price, "usual_price": usual_price}.items():
        if not 0 < level < np.inf:
            raise DataError(f"{name} must be above 0 and finite, got {level}")
    if not np.isfinite(outside_c):
        raise DataError(f"outside_c must be finite, in degrees Celsius, got {outside_c}")
    if inference_demand is not None and not 0 <= inference_demand < np.inf:
        raise DataError(f"inference_demand must be 0 or more servers and finite, got {inference_demand}")
    hours, local = step_hours(prices.index), pd.DatetimeIndex(prices.index).tz_convert(zone(market_tz))
    since_four = np.cos(2 * np.pi * np.asarray(local.hour + local.minute / 60 - 4) / 24)
    scale, noise = usual_price / USUAL_PRICE, _together(len(prices), hours, rng)
    made = {
        "hash_price": scale * hash_price * hours / 24 * np.exp(noise[0]),
        "token_price": scale * token_price * hours * np.exp(noise[1]),
        "temperature_c": outside_c - DAY_SWING_K * since_four + path(WEATHER, len(prices), hours, rng),
    }
    if inference_demand is not None:
        made["inference_demand"] = inference_demand * (DEMAND_MEAN - DEMAND_SWING * since_four)
    made = {name: values for name, values in made.items() if name not in prices}
    return _with_attrs(prices.assign(**made), prices.attrs | {"made": list(made)})


def _together(n_steps: int, hours: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Noise of the logarithms of hash price and token price, correlated."""
    first, second = path(HASH, n_steps, hours, rng), path(TOKENS, n_steps, hours, rng)
    shared = TOGETHER * first / HASH.sd * TOKENS.sd
    return first, shared + np.sqrt(1 - TOGETHER**2) * second


def _with_attrs(table: pd.DataFrame, attrs: dict[str, object]) -> pd.DataFrame:
    table.attrs = attrs
    return table
