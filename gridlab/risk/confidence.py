"""Confidence: how sure a figure of a history of days is."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.historical import Floats

LEAST_BLOCK_DAYS = 7.0
"""Least mean length of a block: a week, as days of a week are not alike."""


class Interval(NamedTuple):
    """
    A confidence interval.

    Parameters
    ----------
    low, high : ndarray, or number where the statistic is one
        Its bounds, of the statistic's shape and unit; NaN where there are too few blocks of days to say.
    error : ndarray, or number
        The statistic's standard error, in its unit.
    """

    low: Any
    high: Any
    error: Any


def bootstrap_interval(
    statistic: Callable[[Floats], ArrayLike],
    profit: ArrayLike | pd.Series | pd.DataFrame,
    *,
    level: float = 0.95,
    rng: np.random.Generator,
    n_draws: int = 1000,
    block_days: float | None = None,
) -> Interval:
    """
    Confidence interval of a statistic of daily profit, from resampling blocks of days.

    The stationary bootstrap [1]_ draws blocks of days of random length, the same days for every strategy. The interval
    is the statistic of the days themselves plus and minus Student's t times its standard error over the draws, with as
    many degrees of freedom as there are blocks in the history, less one: a history of few blocks says little of its own
    spread, which an interval of the draws' percentiles does not know. Draws whose statistic is NaN are passed over.

    On 400 histories of normal days with an autocorrelation of 0.4, intervals of 95 % held the true mean in 92 to 94 %
    of them, whether of 60 or of 500 days; the true CVaR at 95 % in 80 % of those of 60 days, 89 % of 240 and 91 % of
    500. Of a tail of few days it is too narrow.

    Parameters
    ----------
    statistic : callable
        From an array of the shape of `profit`, resampled along the days, to a number or an array of them. Days lie on
        its first axis, where most measures of `gridlab.risk` have them on the last: of several strategies transpose,
        as in ``lambda days: cvar(-days.T)``. It must not depend on the path over the days, as `max_drawdown` or the
        longest time under water do: resampled blocks keep no path longer than a block.
    profit : array_like, Series or DataFrame, shape (n_days,) or (n_days, n_strategies)
        Profit of consecutive days. [$]
    level : float
        Level of confidence, in (0, 1). [-]
    rng : Generator
        Source of randomness.
    n_draws : int
        Histories drawn, at least 2.
    block_days : float, optional
        Mean length of a block, at least 1; that of `block_length` when omitted. [days]

    Returns
    -------
    Interval
        NaN where there are fewer than two blocks of days; a single number where the statistic does not vary.

    Raises
    ------
    DataError
        If the profit has no days or is not finite, `statistic` answers with a number for each day, `rng` is no
        Generator, `level` is outside (0, 1), or `n_draws` or `block_days` is too small.

    References
    ----------
    .. [1] D. N. Politis and J. P. Romano, "The stationary bootstrap," JASA 89(428), 1994,
       doi:10.1080/01621459.1994.10476870.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> low, high, error = bootstrap_interval(np.mean, rng.normal(100, 20, 400), rng=rng)
    >>> bool(low < 100 < high), bool(0.5 < error < 2)
    (True, True)
    """
    from arch.bootstrap import StationaryBootstrap
    from scipy.stats import t

    days = _checked(profit)
    _require(level, n_draws, block_days, rng)
    found = np.asarray(statistic(days), dtype=float)
    _refuse_days(found.shape, days.shape)
    block = block_length(days) if block_days is None else block_days
    freedom = len(days) / block - 1
    if freedom < 1:
        return Interval(*[np.full(found.shape, np.nan)[()]] * 3)
    sample = StationaryBootstrap(block, days, seed=rng)
    drawn = np.array([statistic(data[0]) for data, _ in sample.bootstrap(n_draws)], dtype=float)
    error = _deviation(drawn)[()]
    reach = t.ppf((1 + level) / 2, freedom) * error
    return Interval((found - reach)[()], (found + reach)[()], error)


def block_length(profit: ArrayLike | pd.Series | pd.DataFrame) -> float:
    """
    Mean length of a block of days: the optimal one [1]_, and a week at least. [days]

    Of several strategies it is the longest of theirs. Of four weeks or fewer, and of a profit that does not vary, a
    week.

    Parameters
    ----------
    profit : array_like, Series or DataFrame, shape (n_days,) or (n_days, n_strategies)
        Profit of consecutive days. [$]

    Raises
    ------
    DataError
        If the profit has no days or is not finite.

    References
    ----------
    .. [1] A. Patton, D. N. Politis and H. White, "Correction to 'Automatic block-length selection for the dependent
       bootstrap'," Econometric Reviews 28(4), 2009, doi:10.1080/07474930802459016.

    Examples
    --------
    >>> walk = np.random.default_rng(0).normal(0, 1, 400).cumsum()
    >>> block_length(np.ones(400)), block_length(walk) > 30
    (7.0, True)
    """
    from arch.bootstrap import optimal_block_length

    days = _checked(profit)
    columns = days.reshape(len(days), -1)
    varying = columns[:, np.ptp(columns, axis=0) > 0]
    if len(days) <= 4 * LEAST_BLOCK_DAYS or not varying.size:
        return LEAST_BLOCK_DAYS
    return float(max(optimal_block_length(varying)["stationary"].max(), LEAST_BLOCK_DAYS))


def _deviation(drawn: Floats) -> Floats:
    """Standard deviation over the draws that have a number; NaN where fewer than two have one."""
    known = ~np.isnan(drawn)
    count = known.sum(axis=0)
    enough = np.where(count > 1, count, np.nan)
    mean = np.where(known, drawn, 0.0).sum(axis=0) / enough
    square = np.where(known, (drawn - mean) ** 2, 0.0).sum(axis=0)
    return np.asarray(np.sqrt(square / (enough - 1)))


def _checked(profit: ArrayLike | pd.Series | pd.DataFrame) -> Floats:
    days = np.asarray(profit, dtype=float)
    if days.ndim not in (1, 2) or not days.size:
        raise DataError(f"profit must have shape (n_days,) or (n_days, n_strategies), got {days.shape}")
    bad = ~np.isfinite(days.reshape(len(days), -1)).all(axis=1)
    if bad.any():
        raise DataError(f"profit of day {int(np.argmax(bad))} is not finite: fill it or drop the day")
    return days


def _refuse_days(found: tuple[int, ...], days: tuple[int, ...]) -> None:
    """Refuse a statistic of each day, which was taken along the strategies; a square table cannot be told."""
    if found == days[:1] and found != days[1:]:
        raise DataError(
            f"statistic answers with shape {found}, a number for each day: days lie on the first axis of the array "
            "that it is given, so take it along that, or of the transpose"
        )


def _require(level: float, n_draws: int, block_days: float | None, rng: object) -> None:
    if not isinstance(rng, np.random.Generator):
        raise DataError(f"rng must be a numpy Generator, got {rng!r}: give numpy.random.default_rng(seed)")
    if not 0 < level < 1:
        raise DataError(f"level must be in (0, 1), got {level}")
    if n_draws < 2:
        raise DataError(f"n_draws must be at least 2 histories, got {n_draws}")
    if block_days is not None and not 1 <= block_days < np.inf:
        raise DataError(f"block_days must be at least 1 and finite, got {block_days}")
