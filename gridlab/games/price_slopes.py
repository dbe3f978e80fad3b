"""How far a MW moves the price: from the bids of others, or from prices and load."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.games.curves import residual_demand

Floats = NDArray[np.float64]


class PriceLine(NamedTuple):
    """
    A straight line for the price by quantity, and how far the bids depart from it.

    Parameters
    ----------
    price : float
        Price without the quantity. [$/MWh]
    slope : float
        Fall of the price for each MW. [$/MWh per MW]
    error : float
        Greatest distance of the bids' price from the line, at any quantity up to that asked about either way. [$/MWh]
    """

    price: float
    slope: float
    error: float


class SlopeEstimate(NamedTuple):
    """
    A regression's slope and its standard error.

    Parameters
    ----------
    slope, standard_error : float
        Rise of the price for each MW of net load, which is its fall for each MW put into the grid. [$/MWh per MW]
    """

    slope: float
    standard_error: float


def slope_of_bids(
    quantity_mw: ArrayLike, price: ArrayLike, power_mw: float, *, price_to: ArrayLike | None = None
) -> PriceLine:
    """
    The line for the price that a battery meets when it moves up to `power_mw` either way among given bids.

    Its slope is that of the chord between the prices at full charge and at full discharge, and it goes through the
    price at rest; of a step's several prices the middle. The error is exact for steps and lines alike.

    Parameters
    ----------
    quantity_mw, price, price_to : array_like, shape (n_rows,)
        Bids of the others, as `curves.residual_demand` takes them. [MW] [$/MWh]
    power_mw : float
        Power of the battery, above 0. [MW]

    Raises
    ------
    DataError
        If `curves.residual_demand` refuses the bids, `power_mw` is not above 0, or the bids cannot take or give it.

    Examples
    --------
    >>> slope_of_bids([5.0, 5.0, 5.0, -7.0], [10.0, 30.0, 50.0, 100.0], 4.0)
    PriceLine(price=30.0, slope=5.0, error=15.0)
    """
    if not 0 < power_mw < np.inf:
        raise DataError(f"power_mw must be above 0 and finite, got {power_mw}")
    curve = residual_demand(quantity_mw, price, price_to)
    low, high = (curve.quantity_mw[0], curve.quantity_mw[-1]) if len(curve.price) else (0.0, 0.0)
    if not low <= -power_mw <= power_mw <= high:
        raise DataError(
            f"power_mw = {power_mw:g} is more than the bids can take or give, {-low:g} and {high:g} MW: ask about less"
        )
    ends = curve.at(-power_mw)[1], curve.at(power_mw)[0]
    middle, slope = sum(curve.at(0.0)) / 2, (ends[0] - ends[1]) / (2 * power_mw)
    inside = np.abs(curve.quantity_mw) < power_mw
    quantity = np.r_[-power_mw, curve.quantity_mw[inside], power_mw]
    met = np.r_[ends[0], curve.price[inside], ends[1]]
    return PriceLine(float(middle), float(slope), float(np.abs(met - (middle - slope * quantity)).max()))


def slope_of_prices(
    price: ArrayLike, net_load_mw: ArrayLike, *, lags: int = 24, within: int | None = None
) -> SlopeEstimate:
    """
    The rise of the price with net load, by least squares, and its standard error.

    The error allows for noise that is correlated over `lags` intervals [1]_. It does not allow for demand that answers
    to the price, which makes the slope too small, or for a supply curve that bends: fit the hours that matter. Fuel
    and water move the level of prices slowly; give `within` where the history is longer than they stay.

    Parameters
    ----------
    price : array_like, shape (n_steps,)
        Prices. [$/MWh]
    net_load_mw : array_like, shape (n_steps,)
        Load less what is generated at any price. [MW]
    lags : int
        Intervals over which the noise is correlated, at least 0.
    within : int, optional
        Intervals in a block, at least 2, such as those of a week: the mean of each block is taken out of both series
        first, so that only what varies within blocks counts. The whole is one block when omitted.

    Raises
    ------
    DataError
        If the two are not of one length, have fewer than three entries or one that is not finite, `lags` is not
        between 0 and the number of entries less one, `within` is below 2, or the net load does not vary.

    References
    ----------
    .. [1] W. K. Newey and K. D. West, "A simple, positive semi-definite, heteroskedasticity and autocorrelation
       consistent covariance matrix," Econometrica 55(3), 1987, doi:10.2307/1913610.

    Examples
    --------
    >>> estimate = slope_of_prices([20.0, 31.0, 40.0, 49.0], [100.0, 200.0, 300.0, 400.0], lags=0)
    >>> round(estimate.slope, 6), round(estimate.standard_error, 6)
    (0.096, 0.002315)
    """
    level, load = np.asarray(price, dtype=float), np.asarray(net_load_mw, dtype=float)
    if level.ndim != 1 or level.shape != load.shape or len(level) < 3:
        raise DataError(
            f"price and net_load_mw must be vectors of one length, 3 or more, got {level.shape}, {load.shape}"
        )
    if not (np.isfinite(level) & np.isfinite(load)).all():
        raise DataError(
            f"entry {int(np.argmin(np.isfinite(level) & np.isfinite(load)))} is not finite: drop it from both"
        )
    if lags not in range(len(level)):
        raise DataError(f"lags must be a whole number from 0 to {len(level) - 1}, got {lags}")
    if within is not None and within not in range(2, 1 + max(len(level), 2)):
        raise DataError(f"within must be a whole number from 2 to {len(level)}, got {within}")
    away, level = (_less_means(values, within or len(level)) for values in (load, level))
    spread = float(away @ away)
    if spread <= 1e-24 * float(load @ load) or spread == 0:
        raise DataError("net_load_mw does not vary, so that no slope can be seen: take more intervals")
    slope = float(away @ level) / spread
    moment = away * (level - slope * away)
    variance = float(moment @ moment)
    for lag in range(1, int(lags) + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(moment[lag:] @ moment[:-lag])
    return SlopeEstimate(slope, float(np.sqrt(max(variance, 0.0)) / spread))


def _less_means(values: Floats, within: int) -> Floats:
    """Values less the mean of their block."""
    block = np.arange(len(values)) // within
    return np.asarray(values - (np.bincount(block, values) / np.bincount(block))[block])
