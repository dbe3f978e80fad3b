"""Tests of whether one forecast is more accurate than another, beyond what chance explains."""

from itertools import combinations, permutations
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtr, stdtr

from gridlab.days import Floats
from gridlab.errors import DataError
from gridlab.evaluate.scores import Loss, daily_losses

MIN_DAYS = 10
"""Fewest days that a test takes; its distribution is that of many more."""


class Comparison(NamedTuple):
    """A test's statistic and p-value: numbers, or arrays with one for each slot of the day."""

    statistic: Floats
    p_value: Floats


def diebold_mariano(
    loss_a: ArrayLike,
    loss_b: ArrayLike,
    *,
    by: Literal["day", "hour"] = "day",
    lags: int = 0,
    small_sample: bool = False,
) -> Comparison:
    r"""
    Diebold-Mariano test: is forecast b more accurate than forecast a?

    The statistic is the mean of the loss differential :math:`d = L_a - L_b` over its standard error, a standard
    normal variable if both are equally accurate. The alternative is one-sided: a small p-value says that b is better.

    Parameters
    ----------
    loss_a, loss_b : array_like, shape (n_days,) or (n_days, n_slots)
        Losses of the two forecasts on the same days, from `daily_losses`. [$/MWh]
    by : {"day", "hour"}
        One test on each day's mean loss, the multivariate version of the EPF literature [3]_ (with absolute losses, the
        L1 norm of the day's errors), or a univariate test for each slot of the day.
    lags : int
        Days over which differentials are taken to be correlated: Bartlett weights up to that lag [4]_. The EPF
        literature has none.
    small_sample : bool
        Correct the statistic for few days and compare it with Student's t, as [2]_, for forecasts ``lags + 1`` ahead.

    Returns
    -------
    Comparison
        `statistic`, positive where b is better, and `p_value`; arrays of shape (n_slots,) for ``by="hour"``. Where the
        differential is constant, there is no variance: equal losses give 0 and 0.5, others an infinite statistic.

    Raises
    ------
    DataError
        If the shapes differ, a loss is NaN or infinite, there are fewer than ten days, `lags` is not below the number
        of days, or single losses a day are to be split by hour.

    References
    ----------
    .. [1] F. X. Diebold and R. S. Mariano, "Comparing predictive accuracy," J. Business & Economic Statistics 13(3),
       1995, doi:10.1080/07350015.1995.10524599.
    .. [2] D. Harvey, S. Leybourne and P. Newbold, "Testing the equality of prediction mean squared errors," Int. J.
       Forecasting 13(2), 1997, eq. (9), doi:10.1016/S0169-2070(96)00719-4.
    .. [3] F. Ziel and R. Weron, "Day-ahead electricity price forecasting with high-dimensional structures," Energy
       Economics 70, 2018, section 4.3, doi:10.1016/j.eneco.2017.12.016.
    .. [4] W. K. Newey and K. D. West, "A simple, positive semi-definite, heteroskedasticity and autocorrelation
       consistent covariance matrix," Econometrica 55(3), 1987, doi:10.2307/1913610.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> worse, better = rng.gamma(4, 1.1, (364, 24)), rng.gamma(4, 1.0, (364, 24))
    >>> bool(diebold_mariano(worse, better).p_value < 0.01), bool(diebold_mariano(better, worse).p_value > 0.99)
    (True, True)
    >>> diebold_mariano(worse, better, by="hour").p_value.shape
    (24,)
    """
    differential = _differential(loss_a, loss_b, by)
    n_days = len(differential)
    if not 0 <= lags < n_days:
        raise DataError(f"lags must be in [0, {n_days}), the number of days, got {lags}")
    mean = differential.mean(axis=0)
    statistic = _ratio(mean, np.sqrt(_long_run_variance(differential, lags) / n_days))
    if not small_sample:
        return Comparison(statistic[()], ndtr(-statistic))
    horizon = lags + 1
    statistic = np.asarray(statistic * np.sqrt((n_days + 1 - 2 * horizon + horizon * (horizon - 1) / n_days) / n_days))
    return Comparison(statistic[()], stdtr(n_days - 1, -statistic))


def giacomini_white(loss_a: ArrayLike, loss_b: ArrayLike, *, by: Literal["day", "hour"] = "day") -> Comparison:
    r"""
    Giacomini-White test of conditional predictive ability: given yesterday, is b the forecast to trust?

    The differential :math:`d_t = L_a - L_b` must not be foreseen, not even by its own last value: with the
    instruments :math:`h_{t-1} = (1, d_{t-1})`, the statistic is n times the uncentred :math:`R^2` of a regression
    of 1 on :math:`h_{t-1} d_t`, chi-square with two degrees of freedom if both forecasts are equally able.

    Parameters
    ----------
    loss_a, loss_b : array_like, shape (n_days,) or (n_days, n_slots)
        Losses of the two forecasts on the same, consecutive days, from `daily_losses`. [$/MWh]
    by : {"day", "hour"}
        One test on each day's mean loss, or one for each slot of the day.

    Returns
    -------
    Comparison
        `statistic`, with the sign of the mean differential: positive where b is the better on average; and
        `p_value`, which is 1 where it is not. Losses that never differ give 0 and 1.

    Raises
    ------
    DataError
        As for `diebold_mariano`.

    Notes
    -----
    The test itself is two-sided. To give it a direction, the EPF literature [2]_ keeps its p-value where b is the
    better on average and sets it to 1 elsewhere, as is done here. So of equally able forecasts, b is found better at
    the level 5 % in about 2.5 % of the cases, and a in as many.

    References
    ----------
    .. [1] R. Giacomini and H. White, "Tests of conditional predictive ability," Econometrica 74(6), 2006, section 3.2,
       doi:10.1111/j.1468-0262.2006.00718.x.
    .. [2] J. Lago, G. Marcjasz, B. De Schutter and R. Weron, "Forecasting day-ahead electricity prices: a review of
       state-of-the-art algorithms, best practices and an open-access benchmark," Applied Energy 293, 2021,
       doi:10.1016/j.apenergy.2021.116983.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> worse, better = rng.gamma(4, 1.1, (364, 24)), rng.gamma(4, 1.0, (364, 24))
    >>> bool(giacomini_white(worse, better).p_value < 0.01), float(giacomini_white(better, worse).p_value)
    (True, 1.0)
    """
    differential = _differential(loss_a, loss_b, by)
    today, before = differential[1:], differential[:-1]
    columns = zip(np.atleast_2d(today.T), np.atleast_2d(before.T), strict=True)
    size = np.array([_uncentred_r2(np.column_stack([now, past * now])) for now, past in columns]) * len(today)
    statistic = np.asarray(np.sign(today.mean(axis=0)) * size.reshape(differential.shape[1:]))
    return Comparison(statistic[()], chdtrc(2, np.maximum(statistic, 0)))


def compare_all(
    forecast: pd.DataFrame,
    prices: pd.DataFrame,
    *,
    test: Literal["dm", "gw"] = "dm",
    loss: Loss = "absolute",
    market_tz: str = "UTC",
    target: str = "price",
) -> pd.DataFrame:
    """
    P-values of every pair of models: is the column's model more accurate than the row's?

    Parameters
    ----------
    forecast : DataFrame
        `forecast` tables with `model` as the first level of the index, as `roll_many` gives them.
    prices : DataFrame
        A `prices` table.
    test : {"dm", "gw"}
        `diebold_mariano` or `giacomini_white`, on the days' mean losses.
    loss : {"absolute", "squared", "crps"}
        As for `daily_losses`.
    market_tz : str
        Time zone that says when a day begins.
    target : str
        The column of `prices` that was forecast.

    Returns
    -------
    DataFrame
        One row and one column a model, the most accurate first; NaN on the diagonal. [-]

    Raises
    ------
    DataError
        As `daily_losses` and the tests do, and if there are no two models or no such test.

    Notes
    -----
    Nothing is done about there being many pairs: of 90 comparisons of equal models, four or five fall below 0.05. For
    the set of models that may be the best see `model_confidence_set`.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> good = mock_forecast(days=30)
    >>> poor = good.assign(mean=good["mean"] + 9)
    >>> both = pd.concat({"good": good, "poor": poor}, names=["model"])
    >>> compare_all(both, mock_prices(days=30)).round(2)
          good  poor
    good   NaN   1.0
    poor   0.0   NaN
    """
    if test not in ("dm", "gw"):
        raise DataError(f"test must be 'dm' or 'gw', got {test!r}")
    if "model" not in forecast.index.names or len(forecast.index.unique("model")) < 2:
        raise DataError("there is nothing to compare: give forecasts of two models, with `model` as first index level")
    losses = daily_losses(forecast, prices, loss=loss, market_tz=market_tz, target=target)
    daily = losses.T.groupby(level="model").mean().T
    compare = diebold_mariano if test == "dm" else giacomini_white
    models = daily.mean().sort_values(kind="stable").index
    table = pd.DataFrame(np.nan, index=models, columns=models)
    for row, column in permutations(models, 2):
        table.loc[row, column] = float(compare(daily[row], daily[column]).p_value)
    return table.rename_axis(index=None, columns=None)


def model_confidence_set(
    losses: pd.DataFrame, *, rng: np.random.Generator, n_draws: int = 1000, block_days: int = 7
) -> pd.Series:
    """
    Model confidence set: which of many models may be the best, with the number of comparisons allowed for.

    Parameters
    ----------
    losses : DataFrame, shape (n_days, n_models)
        Daily losses, one column a model. Of `daily_losses` take ``losses.T.groupby(level="model").mean().T``.
    rng : Generator
        Draws the stationary bootstrap.
    n_draws : int
        Bootstrap samples.
    block_days : int
        Mean length of their blocks. [d]

    Returns
    -------
    Series
        P-value of each model, the best first: models at or above 0.1 are the set that holds the best one with
        probability 0.9. [-]

    Raises
    ------
    DataError
        If there are no two models, fewer than ten days, a NaN, or two models whose losses never vary apart.

    References
    ----------
    .. [1] P. R. Hansen, A. Lunde and J. M. Nason, "The model confidence set," Econometrica 79(2), 2011,
       doi:10.3982/ECTA5771. The computation is that of the package arch.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> losses = pd.DataFrame(rng.gamma(4, 1, (364, 3)) * [1.0, 1.01, 1.5], columns=["a", "b", "c"])
    >>> (model_confidence_set(losses, rng=rng) >= 0.1).to_dict()
    {'a': True, 'b': True, 'c': False}
    """
    if losses.ndim != 2 or losses.shape[1] < 2:
        raise DataError("there is nothing to compare: give one column of losses for each of two models or more")
    _check_losses(losses.to_numpy(float))
    for one, other in combinations(losses.columns, 2):
        if np.ptp(losses[one] - losses[other]) == 0:
            raise DataError(f"the losses of '{one}' and '{other}' differ by a constant: leave one of them out")
    from arch.bootstrap import MCS

    chosen = MCS(losses, size=0.1, reps=n_draws, block_size=block_days, seed=rng)
    chosen.compute()
    return chosen.pvalues["Pvalue"].reindex(losses.mean().sort_values().index).rename("p_value").rename_axis("model")


def _differential(loss_a: ArrayLike, loss_b: ArrayLike, by: str) -> Floats:
    """Loss of a minus loss of b, shape (n_days,) for `by` day and (n_days, n_slots) for hour."""
    first, second = (np.asarray(loss, dtype=float) for loss in (loss_a, loss_b))
    if first.shape != second.shape:
        raise DataError(f"the losses must be of the same days and slots, got shapes {first.shape} and {second.shape}")
    if by not in ("day", "hour"):
        raise DataError(f"by must be 'day' or 'hour', got {by!r}")
    if first.ndim != 2 and (by == "hour" or first.ndim != 1):
        raise DataError(f"losses must have the shape (n_days, n_slots) for by={by!r}, got {first.shape}")
    for loss in (first, second):
        _check_losses(loss)
    differential = first - second
    return np.asarray(differential.mean(axis=1) if by == "day" and differential.ndim == 2 else differential)


def _check_losses(losses: Floats) -> None:
    if len(losses) < MIN_DAYS:
        raise DataError(f"{len(losses)} days of losses tell nothing: give at least {MIN_DAYS}, better a year")
    if not np.isfinite(losses).all():
        row = int(np.argwhere(~np.isfinite(losses))[0, 0])
        raise DataError(f"the losses of day {row} (counted from 0) are not all finite: leave the day out of both")


def _long_run_variance(values: Floats, lags: int) -> Any:
    """Variance of the root-n mean along the first axis: autocovariances with Bartlett weights."""
    centred, n = values - values.mean(axis=0), len(values)
    covariances = [(centred[lag:] * centred[: n - lag]).sum(axis=0) / n for lag in range(lags + 1)]
    return covariances[0] + 2 * sum((1 - lag / (lags + 1)) * covariances[lag] for lag in range(1, lags + 1))


def _ratio(mean: Any, error: Any) -> NDArray[np.float64]:
    """Mean over its standard error; 0 where both are 0, infinite where only the error is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where((mean == 0) & (error == 0), 0.0, mean / error))


def _uncentred_r2(moments: Floats) -> float:
    """Share of 1 explained by the columns."""
    fit, *_ = np.linalg.lstsq(moments, np.ones(len(moments)), rcond=None)
    return float((moments @ fit).mean())
