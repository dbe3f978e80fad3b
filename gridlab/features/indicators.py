"""
Technical indicators of the daily mean price and of each slot's own series from day to day: RSI, MACD, Bollinger bands.

Where the textbook runs a recursion from the first price on record, the exponentially weighted means here are cut at
four spans; and the width of a band is not divided by its middle, for a price may be 0 or less.

References
----------
.. [1] J. W. Wilder, New Concepts in Technical Trading Systems, 1978: the relative strength index, the average true
   range and the smoothing with weight 1/n.
.. [2] G. Appel, Technical Analysis: Power Tools for Active Investors, 2005: moving average convergence divergence.
.. [3] J. Bollinger, Bollinger on Bollinger Bands, 2001: bands of 20 periods and two standard deviations, and %b.
.. [4] G. C. Lane, "Lane's stochastics," Technical Analysis of Stocks & Commodities 2, 1984: %K.
"""

from functools import partial

import numpy as np

from gridlab.days import Floats
from gridlab.features import windows
from gridlab.features.known import Feature, Known
from gridlab.features.windows import before

RSI_DAYS = (7, 14)
MACD_DAYS = (12, 26)
SIGNAL_DAYS = 9
BAND_DAYS = 20
BAND_SDS = 2.0
RANGE_DAYS = 14

indicator_column = partial(Feature, "technical indicators")


def wilder_span(n_days: int) -> float:
    """
    The span whose exponentially weighted mean gives the newest value the weight 1 / `n_days`, as Wilder does.

    Examples
    --------
    >>> wilder_span(14)
    27.0
    """
    return float(2 * n_days - 1)


def rsi(values: Floats, n_days: int) -> Floats:
    """
    Relative strength index: the share of rises in the smoothed size of moves; 50 where nothing moved. [0 to 100].

    Examples
    --------
    >>> rising = np.arange(30.0)[:, None]
    >>> float(rsi(rising, 14)[-1, 0]), float(rsi(-rising, 14)[-1, 0]), float(rsi(0 * rising, 14)[-1, 0])
    (100.0, 0.0, 50.0)
    """
    change = values - before(values, 1)
    rises = windows.ewm(np.maximum(change, 0.0), wilder_span(n_days))
    falls = windows.ewm(np.maximum(-change, 0.0), wilder_span(n_days))
    return 50.0 + 50.0 * windows.ratio(rises - falls, rises + falls)


def macd(values: Floats) -> Floats:
    """Exponentially weighted mean of span 12 less that of span 26."""
    fast, slow = MACD_DAYS
    return windows.ewm(values, fast) - windows.ewm(values, slow)


def stochastic(values: Floats, n_days: int) -> Floats:
    """Place of the last row between the least and the greatest of `n_days` rows; 50 if they are one. [0 to 100]."""
    least, greatest = windows.lowest(values, n_days), windows.highest(values, n_days)
    return 50.0 + 50.0 * windows.ratio(2 * values - least - greatest, greatest - least)


def _true_range(known: Known) -> Floats:
    close = before(known["price_last_1d"], 1)
    return np.fmax(known["price_max_1d"], close) - np.fmin(known["price_min_1d"], close)


def _position(known: Known, stem: str, values: Floats) -> Floats:
    width = known[f"{stem}_bollinger_width_{BAND_DAYS}d"]
    return 0.5 + windows.ratio(values - known[f"{stem}_bollinger_middle_{BAND_DAYS}d"], width)


def _of_series(stem: str, symbol: str, series: str) -> list[Feature]:
    """The indicators of the column `series`, written `symbol` in formulas."""
    middle, width = f"{stem}_bollinger_middle_{BAND_DAYS}d", f"{stem}_bollinger_width_{BAND_DAYS}d"
    line, signal = f"{stem}_macd", f"{stem}_macd_signal"
    return [
        *(
            indicator_column(f"{stem}_rsi_{n}d", "-",
                             f"100 U / (U + D), U and D Wilder's means (weight 1/{n}) of rises and falls of {symbol}",
                             lambda k, n=n: rsi(k[series], n))
            for n in RSI_DAYS
        ),
        indicator_column(line, "$/MWh", f"EMA{MACD_DAYS[0]} - EMA{MACD_DAYS[1]} of {symbol}",
                         lambda k: macd(k[series])),
        indicator_column(signal, "$/MWh", f"EMA{SIGNAL_DAYS} of {line}",
                         lambda k: windows.ewm(k[line], SIGNAL_DAYS)),
        indicator_column(f"{stem}_macd_histogram", "$/MWh", f"{line} - {signal}", lambda k: k[line] - k[signal]),
        indicator_column(middle, "$/MWh", f"mean of {symbol} over {BAND_DAYS} days",
                         lambda k: windows.mean(k[series], BAND_DAYS)),
        indicator_column(width, "$/MWh", f"{2 * BAND_SDS:.0f} sd of {symbol} over {BAND_DAYS} days",
                         lambda k: 2 * BAND_SDS * windows.sd(k[series], BAND_DAYS)),
        indicator_column(f"{stem}_bollinger_upper_{BAND_DAYS}d", "$/MWh", f"{middle} + {width} / 2",
                         lambda k: k[middle] + k[width] / 2),
        indicator_column(f"{stem}_bollinger_lower_{BAND_DAYS}d", "$/MWh", f"{middle} - {width} / 2",
                         lambda k: k[middle] - k[width] / 2),
        indicator_column(f"{stem}_bollinger_position_{BAND_DAYS}d", "-",
                         f"({symbol.replace('-i', '-1')} - lower band) / {width}, 0.5 where there is no width",
                         lambda k: _position(k, stem, k[series])),
    ]  # fmt: skip


FEATURES = (
    *_of_series("price", "m[d-i]", "price_mean_1d"),
    *_of_series("price_slot", "p[d-i, s]", "price_lag_1d"),
    indicator_column("price_stochastic_14d", "-",
                     "100 (m[d-1] - L) / (H - L), L and H the least and greatest m[d-i], i = 1..14",
                     lambda k: stochastic(k["price_mean_1d"], RANGE_DAYS)),
    indicator_column("price_true_range_14d", "$/MWh",
                     "Wilder's mean (weight 1/14) of max(p[d-i], p[d-i-1, last]) - min(p[d-i], p[d-i-1, last])",
                     lambda k: windows.ewm(_true_range(k), wilder_span(RANGE_DAYS))),
    indicator_column("price_momentum_7d", "$/MWh", "m[d-1] - m[d-8]",
                     lambda k: k["price_mean_1d"] - before(k["price_mean_1d"], 7)),
    indicator_column("price_momentum_28d", "$/MWh", "m[d-1] - m[d-29]",
                     lambda k: k["price_mean_1d"] - before(k["price_mean_1d"], 28)),
)  # fmt: skip
