"""
Ratios of return to risk, on a declared capital base, and how much of the best of many is luck.

`profit` has time on its last axis: of a daily table with a column for each strategy, hand over ``table.to_numpy().T``.
"""

import numpy as np
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.drawdown import log_growth, max_drawdown, ulcer_index
from gridlab.risk.historical import Floats, as_series, finite_number
from gridlab.risk.performance import positive

_ROUNDING = 1e-12  # a spread of returns below this part of the greatest return is rounding


def mean_absolute_deviation(profit: ArrayLike) -> Floats:
    """
    Mean distance of the profits from their mean, shape (...), in the unit of `profit`; skfolio's is the same.

    Raises
    ------
    DataError
        If `profit` is a DataFrame, or has no periods or one that is NaN or infinite.

    Examples
    --------
    >>> float(mean_absolute_deviation([1.0, 3.0, 8.0]))
    2.6666666666666665
    """
    profit = as_series(profit, "profit", "periods")
    return np.asarray(np.abs(profit - profit.mean(axis=-1, keepdims=True)).mean(axis=-1))


def downside_deviation(profit: ArrayLike, target: float = 0.0) -> Floats:
    """
    Root of the mean squared shortfall below `target`, over all periods, shape (...), in the unit of `profit`.

    skfolio's `semi_deviation` is the same with `biased` set and the target given; otherwise it divides by one period
    less, or measures from the mean.

    Raises
    ------
    DataError
        If `profit` is a DataFrame, or has no periods or one that is NaN or infinite, or `target` is NaN or infinite.

    Examples
    --------
    >>> float(downside_deviation([-3.0, 1.0, 5.0, -4.0]))
    2.5
    """
    short = np.minimum(as_series(profit, "profit", "periods") - finite_number(target, "target"), 0.0)
    return np.asarray(np.sqrt((short**2).mean(axis=-1)))


def sharpe_ratio(profit: ArrayLike, *, capital: float, periods_per_year: float, target: float = 0.0) -> Floats:
    r"""
    Mean excess return over its standard deviation, for a year: ``sqrt(periods_per_year) (mean - target) / std`` [1]_.

    Parameters
    ----------
    profit : array_like, shape (..., n_periods)
        Profit of each period. [$]
    capital : float
        Capital that was put at risk, and that each profit is a return on; 1 where `profit` holds returns already. [$]
    periods_per_year : float
        Periods in a year, counted as the market counts them: 365 for days of a power market. [1/year]
    target : float
        Return of one period that counts as none, such as the riskless one. [-]

    Returns
    -------
    ndarray, shape (...)
        Annual ratio, with the sample's standard deviation; NaN where the returns do not vary, so also for one. [-]

    Raises
    ------
    DataError
        If `profit` is a DataFrame or has no periods or one that is NaN or infinite, `capital` or `periods_per_year` is
        not a finite number above 0, or `target` is NaN or infinite.

    References
    ----------
    .. [1] W. F. Sharpe, "The Sharpe ratio," J. Portfolio Management 21(1), 1994, doi:10.3905/jpm.1994.409501.

    Examples
    --------
    >>> round(float(sharpe_ratio([120.0, -40.0, 160.0], capital=1e4, periods_per_year=365)), 6)
    14.442002
    """
    returns, periods = _returns(profit, capital, periods_per_year, target)
    return np.asarray(_sharpe(returns - target, returns) * np.sqrt(periods))


def sortino_ratio(profit: ArrayLike, *, capital: float, periods_per_year: float, target: float = 0.0) -> Floats:
    r"""
    Mean excess return over the downside deviation, for a year [1]_; NaN where no return is below `target`.

    Arguments, refusals and shape are `sharpe_ratio`'s; with one period a year it is not annualised.

    References
    ----------
    .. [1] F. A. Sortino and L. N. Price, "Performance measurement in a downside risk framework," J. Investing 3(3),
       1994, doi:10.3905/joi.3.3.59.

    Examples
    --------
    >>> round(float(sortino_ratio([120.0, -40.0, 160.0], capital=1e4, periods_per_year=1)), 6)
    3.464102
    """
    returns, periods = _returns(profit, capital, periods_per_year, target)
    excess = returns.mean(axis=-1) - target
    return np.asarray(_quotient(excess, downside_deviation(returns, target), returns) * np.sqrt(periods))


def calmar_ratio(
    profit: ArrayLike, *, capital: float, periods_per_year: float, target: float = 0.0, compounded: bool = False
) -> Floats:
    """
    Annual return over the greatest drawdown, both of the capital; NaN where there is no drawdown [1]_.

    Arguments, refusals and shape are `sharpe_ratio`'s. If `compounded`, each return is earned on what the ones before
    have left, and the drawdown is a share of the greatest wealth; otherwise the annual return is the mean return times
    `periods_per_year`, and the drawdown that of the sum. Young takes the last three years; here it is the record given.

    References
    ----------
    .. [1] T. W. Young, "Calmar ratio: a smoother tool," Futures 20(1), 1991, p. 40.

    Examples
    --------
    >>> float(calmar_ratio([120.0, -40.0, 160.0], capital=1e4, periods_per_year=3))
    6.0
    """
    returns, periods = _returns(profit, capital, periods_per_year, target)
    annual = _annual_return(returns, periods, compounded) - _annual_return(np.array([target]), periods, compounded)
    return _quotient(annual, max_drawdown(returns, compounded=compounded), returns)


def martin_ratio(
    profit: ArrayLike, *, capital: float, periods_per_year: float, target: float = 0.0, compounded: bool = False
) -> Floats:
    """
    Annual return over the ulcer index, both of the capital; NaN where there is no drawdown. See `calmar_ratio`.

    Examples
    --------
    >>> round(float(martin_ratio([120.0, -40.0, 160.0], capital=1e4, periods_per_year=3)), 6)
    10.392305
    """
    returns, periods = _returns(profit, capital, periods_per_year, target)
    annual = _annual_return(returns, periods, compounded) - _annual_return(np.array([target]), periods, compounded)
    return _quotient(annual, ulcer_index(returns, compounded=compounded), returns)


def probabilistic_sharpe_ratio(
    profit: ArrayLike, *, capital: float, periods_per_year: float, benchmark: float = 0.0, target: float = 0.0
) -> Floats:
    """
    Probability that the true Sharpe ratio exceeds `benchmark`, given the length, skewness and tails of the record [1]_.

    Arguments, refusals and shape are `sharpe_ratio`'s; `benchmark` is an annual ratio as that function gives. It is NaN
    where the returns do not vary; a `benchmark` that is NaN or infinite is refused. skfolio's function is the same in
    ratios of one period.

    References
    ----------
    .. [1] D. H. Bailey and M. Lopez de Prado, "The Sharpe ratio efficient frontier," J. Risk 15(2), 2012,
       doi:10.21314/JOR.2012.255.

    Examples
    --------
    >>> round(float(probabilistic_sharpe_ratio([120.0, -40.0, 160.0, 20.0], capital=1e4, periods_per_year=365)), 6)
    0.876802
    """
    returns, periods = _returns(profit, capital, periods_per_year, target)
    sharpe = _sharpe(returns - target, returns)
    skewness, kurtosis = _standard_moment(returns, 3), _standard_moment(returns, 4)
    beside = finite_number(benchmark, "benchmark") / np.sqrt(periods)
    return _exceedance(sharpe, returns.shape[-1], beside, skewness, kurtosis)


def deflated_sharpe_ratio(
    profit: ArrayLike, trials: ArrayLike, *, capital: float, periods_per_year: float, target: float = 0.0
) -> Floats:
    """
    Probability that the true Sharpe ratio of the strategy picked from several is above 0, given how many were tried.

    It is the probabilistic Sharpe ratio beside the greatest one that as many trials without skill would have shown
    [1]_. The trials must be independent: repeats, and strategies that are nearly the same, inflate their number and so
    lower the probability. Give one of each kind, or the number that they are worth to `deflated_sharpe_from_moments`.

    Parameters
    ----------
    profit : array_like, shape (..., n_periods)
        Profit of each period of the strategy that was picked. [$]
    trials : array_like, shape (n_trials,)
        Annual Sharpe ratios of all strategies tried, the one picked among them, as `sharpe_ratio` gives. [-]
    capital, periods_per_year, target
        As in `sharpe_ratio`.

    Returns
    -------
    ndarray, shape (...)
        Probability, NaN where the returns do not vary. [-]

    Raises
    ------
    DataError
        As in `sharpe_ratio`, and if `trials` is not of one axis, is empty or has one that is NaN or infinite.

    References
    ----------
    .. [1] D. H. Bailey and M. Lopez de Prado, "The deflated Sharpe ratio," J. Portfolio Management 40(5), 2014,
       doi:10.3905/jpm.2014.40.5.094.

    Examples
    --------
    >>> record = [120.0, -40.0, 160.0, 20.0]
    >>> round(float(deflated_sharpe_ratio(record, [14.2, 5.1, -3.0], capital=1e4, periods_per_year=365)), 6)
    0.702848
    """
    trials = as_series(trials, "trials", "Sharpe ratios")
    if trials.ndim != 1:
        raise DataError(f"trials must have one axis, a Sharpe ratio for each strategy tried, got shape {trials.shape}")
    best = expected_best_sharpe(len(trials), trials.var(ddof=1) if len(trials) > 1 else 0.0)
    return probabilistic_sharpe_ratio(
        profit, capital=capital, periods_per_year=periods_per_year, benchmark=best, target=target
    )


def deflated_sharpe_from_moments(
    sharpe: float,
    n_periods: int,
    *,
    n_trials: float,
    trial_variance: float,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """
    Deflated Sharpe ratio from published moments: ratios of one period, not annual ones; `kurtosis` is 3 for the normal.

    Parameters
    ----------
    sharpe : float
        Sharpe ratio of the strategy picked. [-]
    n_periods : int
        Number of its returns, 2 at least.
    n_trials : float
        Number of independent trials, which may be an effective number, 1 at least.
    trial_variance : float
        Variance of the trials' Sharpe ratios. [-]
    skewness, kurtosis : float
        Of the returns of the strategy picked. [-]

    Returns
    -------
    float
        Probability that the true Sharpe ratio is above 0. [-]

    Raises
    ------
    DataError
        If an argument is NaN or infinite, there are fewer than 2 periods or 1 trial, the variance is negative, or no
        returns have the skewness and kurtosis given, as the kurtosis is below ``1 + skewness^2``.

    References
    ----------
    .. [1] D. H. Bailey and M. Lopez de Prado, "The deflated Sharpe ratio," J. Portfolio Management 40(5), 2014,
       doi:10.3905/jpm.2014.40.5.094.

    Examples
    --------
    >>> moments = {"n_trials": 100, "trial_variance": 0.5 / 250, "skewness": -3.0, "kurtosis": 10.0}
    >>> round(deflated_sharpe_from_moments(2.5 / 250**0.5, 1250, **moments), 4)
    0.9004
    """
    for name, value in {"sharpe": sharpe, "n_periods": n_periods, "skewness": skewness, "kurtosis": kurtosis}.items():
        finite_number(value, name)
    if not n_periods >= 2:
        raise DataError(f"n_periods must be 2 or more, got {n_periods}")
    if not kurtosis >= 1 + skewness**2:
        raise DataError(
            f"kurtosis must be 1 + skewness^2 = {1 + skewness**2:g} or more, got {kurtosis}: give the kurtosis that is "
            "3 for the normal, not the excess"
        )
    best = expected_best_sharpe(n_trials, trial_variance)
    moments = np.asarray(skewness, dtype=float), np.asarray(kurtosis, dtype=float)
    return float(_exceedance(np.asarray(sharpe, dtype=float), n_periods, best, *moments))


def expected_best_sharpe(n_trials: float, trial_variance: float) -> float:
    """
    Sharpe ratio to expect of the best of `n_trials` independent trials without skill; 0 for one. [-]

    In the period, a year or a day, that `trial_variance` is in. The formula is [1]_'s, an approximation.

    References
    ----------
    .. [1] D. H. Bailey and M. Lopez de Prado, "The deflated Sharpe ratio," J. Portfolio Management 40(5), 2014,
       doi:10.3905/jpm.2014.40.5.094.

    Examples
    --------
    >>> round(expected_best_sharpe(100, 0.5 / 250), 4)
    0.1132
    """
    from scipy.special import ndtri

    if not 1 <= n_trials < np.inf:
        raise DataError(f"n_trials must be 1 or more, got {n_trials}: count every strategy that was tried")
    if not 0 <= trial_variance < np.inf:
        raise DataError(f"trial_variance must be finite and not negative, got {trial_variance}")
    if n_trials == 1:
        return 0.0
    expected = -(1 - np.euler_gamma) * ndtri(1 / n_trials) - np.euler_gamma * ndtri(1 / (n_trials * np.e))
    return float(np.sqrt(trial_variance) * expected)


def _exceedance(sharpe: Floats, n_periods: int, benchmark: float, skewness: Floats, kurtosis: Floats) -> Floats:
    """Probability that the true ratio is above `benchmark`, from ratios of one period; NaN where nothing varies."""
    from scipy.special import ndtr

    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return np.asarray(
        ndtr((sharpe - benchmark) * np.sqrt((n_periods - 1) / np.where(spread > _ROUNDING, spread, np.nan)))
    )


def _sharpe(excess: Floats, returns: Floats) -> Floats:
    """Sharpe ratio of one period."""
    freedom = max(returns.shape[-1] - 1, 1)
    deviation = np.sqrt(((returns - returns.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1) / freedom)
    return _quotient(excess.mean(axis=-1), deviation, returns)


def _standard_moment(returns: Floats, order: int) -> Floats:
    deviation = returns - returns.mean(axis=-1, keepdims=True)
    scale = np.sqrt((deviation**2).mean(axis=-1))
    return np.asarray(((deviation / np.where(scale > 0, scale, np.nan)[..., np.newaxis]) ** order).mean(axis=-1))


def _annual_return(returns: Floats, periods_per_year: float, compounded: bool) -> Floats:
    if not compounded:
        return np.asarray(returns.mean(axis=-1) * periods_per_year)
    return np.asarray(np.expm1(log_growth(returns).mean(axis=-1) * periods_per_year))


def _quotient(numerator: Floats, risk: Floats, returns: Floats) -> Floats:
    """Return over risk, NaN where the risk is none, or no more than rounding."""
    none = _ROUNDING * np.abs(returns).max(axis=-1)
    return np.asarray(numerator / np.where(risk > none, risk, np.nan))


def _returns(profit: ArrayLike, capital: float, periods_per_year: float, target: float) -> tuple[Floats, float]:
    """Profits as shares of the capital, and the periods in a year; a target that is no return is refused."""
    if capital is None:
        raise DataError(
            "capital must be declared, as profits have no rate of return without it: give the $ put at risk, or 1.0 "
            "where profit holds returns already"
        )
    finite_number(target, "target")
    returns = as_series(profit, "profit", "periods") / positive(capital, "capital", "$")
    return returns, positive(periods_per_year, "periods_per_year", "1/year")
