"""
Backtests of a conditional value at risk, also called expected shortfall.

The tests of Acerbi and Szekely need the distribution that the model said for each day: draws of it give the p-value.
All are one-sided: a small p-value says that the model understates what is lost; one that overstates is not rejected.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, checked_level, finite, refuse_masked
from gridlab.risk.p_values import BacktestResult, simulated_p_value
from gridlab.risk.scoring import Measured, checked_measures

Hits = NDArray[np.bool_]

_ROUNDING = 1e-9  # a standard error that is smaller, relative to 1 and the mean, is none


class AcerbiSzekely(NamedTuple):
    """
    Three tests of a CVaR: Z1 given the hits, Z2 of hits and their losses together, and the ridge, minimally biased.

    Each statistic is 0 on average under the model and negative where it understates what is lost.
    """

    conditional: BacktestResult
    unconditional: BacktestResult
    ridge: BacktestResult


def acerbi_szekely(
    loss: ArrayLike,
    var: ArrayLike,
    cvar: ArrayLike,
    level: float,
    *,
    simulated: ArrayLike,
    rng: np.random.Generator | None = None,
) -> AcerbiSzekely:
    r"""
    Acerbi and Szekely's backtests: are the losses as large as the CVaR says?

    With losses :math:`L_t`, VaR :math:`v_t`, CVaR :math:`c_t`, :math:`\alpha = 1 - level`, T days and N hits
    :math:`I_t = 1\{L_t > v_t\}`, and the papers' signs,

    .. math::

       Z_1 = 1 - \frac{1}{N} \sum_t \frac{L_t I_t}{c_t}, \quad
       Z_2 = 1 - \frac{1}{T \alpha} \sum_t \frac{L_t I_t}{c_t}, \quad
       Z_{ridge} = \frac{1}{T} \sum_t \left[ c_t - v_t - \frac{(L_t - v_t)^+}{\alpha} \right].

    The papers have a profit :math:`X = -L`; their statistics are these. :math:`Z_1` asks for the size of hits only,
    and is to be read after a test of their number; :math:`Z_{ridge}`, in $ a day, is by how much the CVaR is too large,
    errs least, and on the safe side, where the VaR is wrong, and has a meaning for a CVaR of any sign.

    Parameters
    ----------
    loss : array_like, shape (..., n_days)
        What was lost, positive when money is paid. [$]
    var, cvar : array_like, shape (n_days,) or (..., n_days)
        Measures said for each day. [$]
    level : float
        Confidence level of both, ``0 < level < 1``. [-]
    simulated : array_like, shape (n_simulations, n_days) or (n_simulations, ..., n_days)
        Losses drawn from the distribution that the model said for each day, 999 or more of them, as
        ``Rolled.simulate``. [$]
    rng : Generator, optional
        Breaks ties. Without it ties count for the model, which matters where it draws from few values.

    Returns
    -------
    AcerbiSzekely
        `conditional`, `unconditional` and `ridge`. Without hits :math:`Z_1` is NaN and its p-value 1, as there
        is no evidence against the model; draws without hits rank so too. Where a CVaR is 0 or negative, the ratios
        have no meaning: both, with their p-values, are NaN.

    Raises
    ------
    DataError
        If `level` is outside (0, 1), a value is not finite, a CVaR is below its VaR, `loss`, `var` or `cvar` is a
        DataFrame, or the shapes or indices do not fit.

    References
    ----------
    .. [1] C. Acerbi and B. Szekely, "Backtesting expected shortfall," Risk, December 2014 (MSCI), tests 1 and 2.
    .. [2] C. Acerbi and B. Szekely, "General properties of backtestable statistics," 2017, doi:10.2139/ssrn.2905109,
       where the ridge test is from; in short "The minimally biased backtest for ES," Risk, September 2019.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> loss, simulated = 1.3 * rng.normal(size=500), rng.normal(size=(999, 500))
    >>> result = acerbi_szekely(loss, 1.644854, 2.062713, 0.95, simulated=simulated)
    >>> bool(result.unconditional.statistic < -0.3), float(result.unconditional.p_value)
    (True, 0.001)
    """
    level = checked_level(level, above_zero=True)
    measured = checked_measures(loss, var, cvar, level)
    drawn = _simulated(simulated, var, cvar, measured.loss)
    z1, z2, ridge = (-statistic for statistic in _understatement(measured, level))
    draws = _understatement(drawn, level)
    positive = (measured.cvar > 0).all(axis=-1)
    return AcerbiSzekely(
        BacktestResult(np.where(positive, z1, np.nan)[()], _ranked(-z1, draws[0], positive, rng)),
        BacktestResult(np.where(positive, z2, np.nan)[()], _ranked(-z2, draws[1], positive, rng)),
        BacktestResult(ridge, _ranked(-ridge, draws[2], np.bool_(True), rng)),
    )


def mcneil_frey(
    loss: ArrayLike,
    var: ArrayLike,
    cvar: ArrayLike,
    level: float,
    *,
    simulated: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    n_simulations: int = 9_999,
) -> BacktestResult:
    r"""
    McNeil and Frey's test of exceedance residuals: are the losses of the hits greater than the CVaR on average?

    The residuals of the hits, :math:`r_t = (L_t - c_t) / (c_t - v_t)`, have mean 0 under the model; the statistic is
    their mean over its standard error, positive where the CVaR is too small. Adding a sum to losses and measures does
    not change it, so that the CVaR may have any sign. The authors divide by the volatility instead of
    :math:`c_t - v_t`, which is proportional to it where the days differ by their location and scale only.

    Parameters
    ----------
    loss : array_like, shape (..., n_days)
        What was lost, positive when money is paid. [$]
    var, cvar : array_like, shape (n_days,) or (..., n_days)
        Measures said for each day; their difference scales the residual of the day. [$]
    level : float
        Confidence level of both, ``0 < level < 1``. [-]
    simulated : array_like, shape (n_simulations, n_days) or (n_simulations, ..., n_days), optional
        Losses drawn from the model, as for `acerbi_szekely`. Without them the residuals are resampled.
    rng : Generator, optional
        Resamples the residuals, where there is nothing simulated, and breaks ties.
    n_simulations : int
        Resamples.

    Returns
    -------
    BacktestResult
        `statistic` and `p_value`, shape (...). With fewer than two hits, or with residuals all equal, there is no
        standard error: the statistic is NaN and the p-value 1. Where a CVaR is its VaR, both are NaN.

    Raises
    ------
    DataError
        As `acerbi_szekely` does, and if neither `simulated` nor `rng` is given.

    Notes
    -----
    The bootstrap asks nothing of the model, and rejects a true one too often or too seldom where there are few hits:
    see the sizes that ``benchmarks/risk_backtests.py`` prints.

    References
    ----------
    .. [1] A. J. McNeil and R. Frey, "Estimation of tail-related risk measures for heteroscedastic financial time
       series: an extreme value approach," J. Empirical Finance 7(3-4), 2000, section 4.2,
       doi:10.1016/S0927-5398(00)00012-8.
    .. [2] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap," 1993, algorithm 16.2.

    Examples
    --------
    >>> loss = np.random.default_rng(0).standard_t(3, size=1000)
    >>> bool(mcneil_frey(loss, 2.353, 2.6, 0.95, rng=np.random.default_rng(1)).p_value < 0.01)
    True
    """
    level = checked_level(level, above_zero=True)
    measured = checked_measures(loss, var, cvar, level)
    residuals, is_hit = _residuals(measured)
    statistic, defined = _studentised(residuals, is_hit), (measured.cvar > measured.var).all(axis=-1)
    if simulated is not None:
        draws = _studentised(*_residuals(_simulated(simulated, var, cvar, measured.loss)))
        p_value = _ranked(statistic, draws, defined, rng)
    elif rng is not None:
        p_value = _bootstrapped(statistic, residuals, is_hit, rng, n_simulations)
    else:
        raise DataError("this test needs losses simulated under the model, or rng to resample the residuals: give one")
    return BacktestResult(np.where(defined, statistic, np.nan)[()], np.where(defined, p_value, np.nan)[()])


def _simulated(simulated: ArrayLike, var: ArrayLike, cvar: ArrayLike, loss: Floats) -> Measured:
    """The draws, shape (n_simulations, ..., n_days), beside measures that broadcast with them."""
    refuse_masked(simulated, "simulated")
    draws = np.asarray(simulated, dtype=float)
    if draws.ndim not in (2, loss.ndim + 1) or draws.shape[-1] != loss.shape[-1] or len(draws) == 0:
        shape = f"(n_simulations, {loss.shape[-1]})"
        raise DataError(f"simulated must have shape {shape}, draws of the losses of each day, got {draws.shape}")
    finite(draws, "simulated", "draw from a model whose losses are finite")
    said = np.broadcast_arrays(np.asarray(var, dtype=float), np.asarray(cvar, dtype=float))
    if draws.ndim == 2 and said[0].ndim > 1:
        draws = draws.reshape(len(draws), *(1 for _ in said[0].shape[:-1]), -1)
    return Measured(draws, *said)


def _understatement(measured: Measured, level: float) -> tuple[Floats, Floats, Floats]:
    """The statistics with their signs turned, large where the model understates; Z1 is NaN without hits."""
    loss, var, cvar = measured
    is_hit, n_days = loss > var, loss.shape[-1]
    n_hits = is_hit.sum(axis=-1)
    ratios = (np.where(is_hit, loss, 0.0) / np.where(cvar > 0, cvar, 1.0)).sum(axis=-1)
    z1 = np.where(n_hits > 0, ratios / np.maximum(n_hits, 1) - 1, np.nan)
    ridge = (np.maximum(loss - var, 0.0) / (1 - level) - (cvar - var)).mean(axis=-1)
    return z1, ratios / (n_days * (1 - level)) - 1, ridge


def _residuals(measured: Measured) -> tuple[Floats, Hits]:
    loss, var, cvar = measured
    gap = cvar - var
    return (loss - cvar) / np.where(gap > 0, gap, 1.0), loss > var


def _studentised(residuals: Floats, is_hit: Hits) -> Floats:
    """Mean of the hits' residuals over its standard error; NaN for fewer than two or where they are all equal."""
    n_hits = is_hit.sum(axis=-1)
    mean = np.where(is_hit, residuals, 0.0).sum(axis=-1) / np.maximum(n_hits, 1)
    squares = np.where(is_hit, np.square(residuals - mean[..., np.newaxis]), 0.0).sum(axis=-1)
    error = np.sqrt(squares / np.maximum(n_hits * (n_hits - 1), 1))
    differ = (n_hits > 1) & (error > _ROUNDING * (1 + np.abs(mean)))
    return np.where(differ, mean / np.where(differ, error, 1.0), np.nan)


def _ranked(evidence: Floats, draws: Floats, defined: Any, rng: np.random.Generator | None) -> Floats:
    """P-value of evidence against the model; where there is none, NaN, it is 1, and draws without rank least."""
    none, least = np.isnan(evidence), np.where(np.isnan(draws), -np.inf, draws)
    p_value = simulated_p_value(np.where(none, -np.inf, evidence), least, rng=rng)
    return np.where(defined, np.where(none, 1.0, p_value), np.nan)[()]


def _bootstrapped(
    statistic: Floats, residuals: Floats, is_hit: Hits, rng: np.random.Generator, n_simulations: int
) -> Floats:
    """Rank of each series' statistic among those of its residuals, moved to mean 0 and drawn again."""
    p_value = np.ones(statistic.size)
    rows = residuals.reshape(-1, residuals.shape[-1]), is_hit.reshape(-1, is_hit.shape[-1])
    for i in np.flatnonzero(np.isfinite(statistic)):
        own = rows[0][i][rows[1][i]]
        again = rng.choice(own - own.mean(), (n_simulations, len(own)))
        draws = _studentised(again, np.ones(again.shape, dtype=bool))
        all_equal = np.where(again[:, 0] > 0, np.inf, -np.inf)  # a mean over an error of 0
        draws = np.where(np.isnan(draws), all_equal, draws)
        p_value[i] = simulated_p_value(statistic.flat[i], draws, rng=rng)
    return p_value.reshape(statistic.shape)
