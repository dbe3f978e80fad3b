"""The block bootstrap: runs of consecutive days, so that paths of several days keep what goes from day to day."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.days import fold
from gridlab.errors import DataError
from gridlab.scenarios.bootstrap import calibrate_bootstrap
from gridlab.schema import validate

Floats = NDArray[np.float64]
Kind = Literal["stationary", "circular"]


@dataclass(frozen=True)
class BlockParams:
    """
    Days to draw runs from.

    Parameters
    ----------
    days : ndarray, shape (n_days, n_steps)
        Errors of past forecasts, or prices, one row a day, in order of time. [$/MWh]
    block_days : float
        Length of a run: its mean for the stationary bootstrap, each one's for the circular. [days]
    kind : {"stationary", "circular"}
        Runs of random length, or of one length.
    left_out : int
        Days not used: those with a NaN and, of forecasts, those of another length. The days on either side of one
        count as neighbours.
    """

    days: Floats
    block_days: float
    kind: Kind
    left_out: int


def calibrate_block_bootstrap(
    forecast: pd.DataFrame, prices: pd.DataFrame, *, block_days: float | None = None, kind: Kind = "stationary"
) -> BlockParams:
    """
    Collect the errors of past forecasts, in order of time, and choose how long runs of them shall be.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table of days that are over.
    prices : DataFrame
        A `prices` table that covers them.
    block_days : float, optional
        Length of a run, at least 1; by the rule of [3]_, on the days' means, when omitted. [days]
    kind : {"stationary", "circular"}
        Runs of geometric length [1]_, or all of one length [2]_.

    Returns
    -------
    BlockParams

    Raises
    ------
    DataError
        If a table breaks its schema, no forecast is complete, `block_days` is below 1, there is no such kind, or
        `block_days` is omitted and there are fewer than 10 days to choose it from.

    References
    ----------
    .. [1] D. N. Politis and J. P. Romano, "The stationary bootstrap," J. American Statistical Association 89(428),
       1994, doi:10.1080/01621459.1994.10476870.
    .. [2] D. N. Politis and J. P. Romano, "A circular block-resampling procedure for stationary data," in Exploring
       the Limits of Bootstrap, Wiley, 1992.
    .. [3] A. Patton, D. N. Politis and H. White, "Correction to 'Automatic block-length selection for the dependent
       bootstrap'," Econometric Reviews 28(4), 2009, doi:10.1080/07474930802459016.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> calibrate_block_bootstrap(mock_forecast(days=30), mock_prices(days=30), block_days=3).days.shape
    (30, 24)
    """
    past = calibrate_bootstrap(forecast, prices)
    return _params(past.residuals, past.left_out, block_days, kind)


def calibrate_price_blocks(
    prices: pd.DataFrame, *, market_tz: str = "UTC", block_days: float | None = None, kind: Kind = "stationary"
) -> BlockParams:
    """
    Collect the market days of a price series, to draw runs of them as they were.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table; days that a gap touches are left out.
    market_tz : str
        Time zone that says when a day begins; days of 23 and 25 hours are brought to the slots of the clock.
    block_days, kind
        As for `calibrate_block_bootstrap`.

    Returns
    -------
    BlockParams

    Raises
    ------
    DataError
        As `calibrate_block_bootstrap` does.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> params = calibrate_price_blocks(mock_prices(days=30), block_days=7)
    >>> simulate_block_bootstrap(params, n_days=14, n_paths=3, rng=np.random.default_rng(0)).shape
    (3, 336)
    """
    known = fold(validate(prices, "prices")[["price"]], market_tz)
    if not known.is_whole.any():
        raise DataError(f"a gap touches each of the {len(known)} days: fill the prices or give more of them")
    return _params(known.price[known.is_whole], int((~known.is_whole).sum()), block_days, kind)


def simulate_block_bootstrap(
    params: BlockParams, mean: ArrayLike = 0.0, *, n_days: int = 1, n_paths: int, rng: np.random.Generator
) -> Floats:
    """
    Draw runs of consecutive days, one after another, around a forecast.

    Runs go on from the last day to the first, so that every day is drawn equally often.

    Parameters
    ----------
    params : BlockParams
        Days to draw from.
    mean : array_like, shape (n_days * n_steps,)
        The forecast that errors are drawn around; 0, the days as they were, when omitted. [$/MWh]
    n_days : int
        Days of a path.
    n_paths : int
        Paths to draw.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (n_paths, n_days * n_steps)
        Price paths. [$/MWh]

    Raises
    ------
    DataError
        If `mean` has another length, or `n_days` or `n_paths` is below 1.

    Examples
    --------
    >>> params = BlockParams(np.array([[1.0], [2.0], [3.0], [4.0]]), block_days=3, kind="circular", left_out=0)
    >>> simulate_block_bootstrap(params, n_days=6, n_paths=2, rng=np.random.default_rng(0)).tolist()
    [[4.0, 1.0, 2.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0, 1.0, 2.0]]
    """
    if n_days < 1 or n_paths < 1:
        raise DataError(f"n_days and n_paths must be at least 1, got {n_days} and {n_paths}")
    n_steps = params.days.shape[1] * n_days
    mean = np.asarray(mean, dtype=float)
    if mean.shape not in ((), (n_steps,)):
        raise DataError(f"mean must have shape ({n_steps},), {n_days} days of the errors, got {mean.shape}")
    rows = _rows(params, n_days, n_paths, rng)
    return np.asarray(mean + params.days[rows].reshape(n_paths, n_steps))


def _rows(params: BlockParams, n_days: int, n_paths: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of the days drawn, shape (n_paths, n_days)."""
    fresh = rng.integers(len(params.days), size=(n_paths, n_days))
    if params.kind == "circular":
        begins = np.broadcast_to(np.arange(n_days) % round(params.block_days) == 0, fresh.shape)
    else:
        begins = rng.random(fresh.shape) < 1 / params.block_days
    day = np.arange(n_days)
    begun = np.maximum.accumulate(np.where(begins, day, 0), axis=1)
    return np.asarray((np.take_along_axis(fresh, begun, axis=1) + day - begun) % len(params.days))


def _params(days: Floats, left_out: int, block_days: float | None, kind: Kind) -> BlockParams:
    if kind not in ("stationary", "circular"):
        raise DataError(f"kind must be 'stationary' or 'circular', got {kind!r}")
    length = _optimal_length(days, kind) if block_days is None else block_days
    if not 1 <= length < np.inf:
        raise DataError(f"block_days must be at least 1 and finite, got {length}")
    return BlockParams(days, float(length), kind, left_out)


def _optimal_length(days: Floats, kind: Kind) -> float:
    """The length that suits the means of the days; 1 where they do not vary."""
    from arch.bootstrap import optimal_block_length

    if len(days) < 10:
        raise DataError(f"the length of a block needs 10 days to be chosen from, got {len(days)}: give block_days")
    means = days.mean(axis=1)
    if np.ptp(means) == 0:
        return 1.0
    length = float(optimal_block_length(means)[kind].iloc[0])
    return max(length if np.isfinite(length) else 1.0, 1.0)
