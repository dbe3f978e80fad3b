"""Drawdown: how far a run of profits has fallen from its best, and what to expect of it."""

import numpy as np
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, as_series, cvar


def drawdown(profit: ArrayLike, *, compounded: bool = False) -> Floats:
    """
    Distance of the running total below its greatest value so far, which is nothing at the beginning.

    skfolio's `get_drawdowns` is the same with the other sign, and with time on the first axis.

    Parameters
    ----------
    profit : array_like, shape (..., n_periods)
        Profit of each period [$]; if `compounded`, its return, a share of the wealth at its beginning [-].
    compounded : bool
        Whether each return is earned on the wealth that the ones before have left, rather than on the same capital.

    Returns
    -------
    ndarray, shape (..., n_periods)
        Drawdown at the end of each period, 0 or positive [$]; if `compounded`, as a share of the greatest wealth [-].

    Raises
    ------
    DataError
        If `profit` is a DataFrame or has no periods or one that is NaN or infinite, or a compounded return is below -1.

    References
    ----------
    .. [1] A. Chekhlov, S. Uryasev and M. Zabarankin, "Drawdown measure in portfolio optimization," Int. J. Theoretical
       and Applied Finance 8(1), 2005, doi:10.1142/S0219024905002767.

    Examples
    --------
    >>> drawdown([-5.0, 10.0, -2.0, 1.0]).tolist()
    [5.0, 0.0, 2.0, 1.0]
    >>> drawdown([0.1, -0.5, 0.2], compounded=True).round(9).tolist()
    [0.0, 0.5, 0.4]
    """
    profit = as_series(profit, "profit", "periods")
    if not compounded:
        return _below_peak(np.cumsum(profit, axis=-1))
    return np.asarray(-np.expm1(-_below_peak(np.cumsum(log_growth(profit), axis=-1))))


def max_drawdown(profit: ArrayLike, *, compounded: bool = False) -> Floats:
    """
    Greatest drawdown, shape (...): in $, or a share of the greatest wealth if `compounded`. See `drawdown`.

    Raises
    ------
    DataError
        As `drawdown` does.

    Examples
    --------
    >>> float(max_drawdown([-5.0, 10.0, -2.0, 1.0]))
    5.0
    """
    return np.asarray(drawdown(profit, compounded=compounded).max(axis=-1))


def conditional_drawdown(profit: ArrayLike, level: float = 0.95, *, compounded: bool = False) -> Floats:
    """
    Mean of the worst ``1 - level`` share of the drawdowns, with the part of a period that the boundary cuts off [1]_.

    It goes from the mean drawdown at level 0 to the greatest one as the level goes to 1. skfolio's `cdar` of its
    `get_drawdowns` is the same.

    Parameters
    ----------
    profit : array_like, shape (..., n_periods)
        Profit of each period, or its return if `compounded`, as in `drawdown`.
    level : float
        Confidence level, ``0 <= level < 1``. [-]
    compounded : bool
        As in `drawdown`.

    Returns
    -------
    ndarray, shape (...)
        Conditional drawdown at risk, in $, or a share of the greatest wealth if `compounded`.

    Raises
    ------
    DataError
        If `level` is outside [0, 1), `profit` has no periods or one that is NaN or infinite, or a compounded return
        is below -1.

    References
    ----------
    .. [1] A. Chekhlov, S. Uryasev and M. Zabarankin, "Drawdown measure in portfolio optimization," Int. J. Theoretical
       and Applied Finance 8(1), 2005, doi:10.1142/S0219024905002767.

    Examples
    --------
    >>> float(conditional_drawdown([-5.0, 10.0, -2.0, 1.0], level=0.5))
    3.5
    """
    return cvar(drawdown(profit, compounded=compounded), level)


def ulcer_index(profit: ArrayLike, *, compounded: bool = False) -> Floats:
    """
    Root of the mean squared drawdown, shape (...): in $, or a share if `compounded`. See `drawdown`.

    skfolio's `ulcer_index` of its `get_drawdowns` is the same; P. G. Martin and B. B. McCann, *The Investor's Guide to
    Fidelity Funds*, 1989, who named it, count in per cent.

    Raises
    ------
    DataError
        As `drawdown` does.

    Examples
    --------
    >>> float(ulcer_index([-2.0, 3.0, -4.0, 2.0]))
    2.449489742783178
    """
    return np.asarray(np.sqrt(np.mean(drawdown(profit, compounded=compounded) ** 2, axis=-1)))


def log_growth(returns: Floats) -> Floats:
    """Logarithm of the growth of wealth in each period, minus infinity where all of it is lost."""
    if (returns < -1).any():
        raise DataError(
            f"a compounded return must be -1 or more, as no more than the wealth can be lost, got {returns.min():g}: "
            "give shares of the wealth, or do not compound"
        )
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(returns))


def _below_peak(total: Floats) -> Floats:
    return np.asarray(np.maximum(np.maximum.accumulate(total, axis=-1), 0.0) - total)
