"""Scaling: how much of a position keeps its tail within a target, and a limit that follows the market's volatility."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.errors import DataError, PlanError
from gridlab.risk.contributions import tail_shares
from gridlab.risk.historical import Floats, cvar
from gridlab.volatility import LEAST_SHOCKS, fit_garch

_ROUNDING = 1e-12  # share of the losses' size by which a target may be missed by rounding


def scale_to_cvar(
    loss: ArrayLike,
    target: float,
    level: float = 0.95,
    *,
    fixed: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> float:
    r"""
    Greatest factor in [0, 1] on a position that keeps the CVaR within a target.

    The CVaR of ``fixed + factor * loss`` is convex and piecewise linear in the factor, and the tail at one factor gives
    a line below it [1]_. From factor 1 down, each step goes to where that line meets the target, which is never below
    the answer; it ends on the answer after as many pieces as lie between, without a grid or a tolerance on the factor.

    Parameters
    ----------
    loss : array_like, shape (n_scenarios,)
        Loss of the whole position in each scenario, positive when money is paid. [$]
    target : float
        Greatest CVaR. [$]
    level : float
        Confidence level, ``0 <= level < 1``. [-]
    fixed : array_like, shape (n_scenarios,), optional
        Loss that is there whatever the factor, none when omitted. [$]
    weights : array_like, shape (n_scenarios,), optional
        Scenario probabilities, scaled here to sum to 1. Equal when omitted. [-]

    Returns
    -------
    float
        1 where the whole position fits. [-]

    Raises
    ------
    PlanError
        If no factor in [0, 1] keeps to the target: that of `fixed` alone is above it and the position does not hedge
        enough of it. The message has the target and the least CVaR that can be reached.
    DataError
        If `level` is outside [0, 1), `loss` and `fixed` are not finite and of one length, the target is NaN, or
        `weights` are negative, all zero or of another length.

    References
    ----------
    .. [1] R. T. Rockafellar and S. Uryasev, "Conditional value-at-risk for general loss distributions," J. Banking &
       Finance 26(7), 2002, Cor. 11 and Th. 14, doi:10.1016/S0378-4266(02)00271-6.

    Examples
    --------
    >>> scale_to_cvar([-5.0, 2.0, 10.0, 40.0], 12.5, 0.5)
    0.5
    >>> scale_to_cvar([-5.0, 2.0, 10.0, 40.0], 12.5, 0.5, fixed=[0.0, 0.0, 0.0, 5.0])
    0.4
    >>> scale_to_cvar([-5.0, 2.0, 10.0, 40.0], 30.0, 0.5)
    1.0
    """
    moved, held = _pair(loss, fixed)
    if np.isnan(target):
        raise DataError("target is NaN: give the greatest CVaR")
    near, factor = _ROUNDING * max(np.abs(moved).max(), np.abs(held).max()), 1.0
    while (excess := float(cvar(held + factor * moved, level, weights=weights)) - target) > near:
        slope = float(tail_shares(held + factor * moved, level, weights=weights) @ moved)
        if factor == 0 or slope <= 0:
            raise PlanError(_why_none_fits(moved, held, target, level, weights))
        factor = max(0.0, factor - excess / slope)
    return factor


def dynamic_limit(
    limit: float,
    volatility: pd.Series,
    *,
    reference: float | None = None,
    least: float = 0.0,
    most: float | None = None,
) -> pd.Series:
    """
    A limit that follows the market's volatility: half of it where the market moves twice as much as usual.

    Parameters
    ----------
    limit : float
        Limit at the reference volatility, of a loss or of a power. [$ or MW]
    volatility : Series, shape (n_days,)
        Volatility of each day as known before it, as from `ewma_volatility` or `garch_volatility`, whose last row is of
        the day to come.
    reference : float, optional
        Volatility at which the limit is `limit`, above 0. When omitted, the median of the volatility up to and with
        the day, so that no day's limit depends on what comes after it.
    least, most : float, optional
        Bounds of the limit, in its unit; zero and `limit` itself when omitted, so that a calm market raises no limit.

    Returns
    -------
    Series, shape (n_days,)
        ``limit * reference / volatility`` within the bounds. A volatility that is not known (NaN) counts as the last
        that was; before the first the limit is `limit`, and so it is where the volatility is zero as its reference is,
        all within the bounds; it is `most` where the volatility alone is zero.

    Raises
    ------
    DataError
        If a volatility is negative or infinite, the days do not rise, `limit` or `reference` is not positive and
        finite, or the bounds are not ``0 <= least <= most``.

    Examples
    --------
    >>> volatility = pd.Series([float("nan"), 2.0, 2.0, 8.0, 1.0])
    >>> dynamic_limit(100.0, volatility, most=150.0).tolist()
    [100.0, 100.0, 100.0, 25.0, 150.0]
    >>> dynamic_limit(100.0, volatility).tolist()
    [100.0, 100.0, 100.0, 25.0, 100.0]
    """
    _require_positive("limit", limit)
    if reference is not None:
        _require_positive("reference", reference)
    most = limit if most is None else most
    if not 0 <= least <= most:
        raise DataError(f"the bounds must be 0 <= least <= most, got {least} and {most}")
    _refuse_disorder(volatility, "volatility")
    bad = (volatility < 0) | np.isinf(volatility)
    if bad.any():
        raise DataError(f"volatility is {volatility[bad].iloc[0]} at {volatility.index[bad][0]}: it must be 0 or more")
    usual = volatility.expanding().median() if reference is None else reference
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = (limit * usual / volatility.ffill()).fillna(limit)
    return scaled.clip(least, most).rename("limit")


def ewma_volatility(values: pd.Series, *, half_life: float) -> pd.Series:
    r"""
    Volatility of each day from the days before it, the later the more: a mean of squares with exponential weights [1]_.

    Parameters
    ----------
    values : Series, shape (n_days,)
        Changes or errors of mean zero, in order of time: their size is taken as it is, with no mean taken off, so that
        a steady loss of 100 would count as a move of 100. Of daily losses give the changes, ``loss.diff()``, or what is
        beyond their mean before the day, ``loss - loss.expanding().mean().shift()``. A NaN is passed over. [any unit]
    half_life : float
        Days after which the weight of a day has halved, above 0. [days]

    Returns
    -------
    Series, shape (n_days + 1,)
        Volatility of each day as known before it, and of the day after the last, dated a day (or, without dates, one)
        later: `.iloc[-1]` is tomorrow's. NaN until there is a value before it. [the unit of `values`]

    Raises
    ------
    DataError
        If `half_life` is not positive and finite, there are no values or one is infinite, or the days do not rise.

    References
    ----------
    .. [1] J.P. Morgan and Reuters, "RiskMetrics: technical document," 4th ed., 1996, sec. 5.2.

    Examples
    --------
    >>> ewma_volatility(pd.Series([3.0, 3.0, 0.0, 0.0]), half_life=1.0).round(3).tolist()
    [nan, 3.0, 3.0, 1.964, 1.342]
    """
    _require_positive("half_life", half_life)
    values = _with_next_day(values)
    variance = (values.astype(float) ** 2).ewm(halflife=half_life).mean().shift()
    return pd.Series(np.sqrt(variance), name="volatility")


def garch_volatility(values: pd.Series, *, first: int = 250, refit_every: int = 20) -> pd.Series:
    """
    Volatility of each day from the days before it, by GARCH(1, 1) with Student t shocks, one day ahead.

    Parameters
    ----------
    values : Series, shape (n_days,)
        Changes or errors of mean zero, in order of time, as in `ewma_volatility`; a NaN counts as one of the size
        expected. [any unit]
    first : int
        Days before the first fit, at least 50. [days]
    refit_every : int
        Days after which the model is fitted again, to all days before. [days]

    Returns
    -------
    Series, shape (n_days + 1,)
        Volatility of each day as known before it, and of the day after the last, dated a day (or, without dates, one)
        later: `.iloc[-1]` is tomorrow's. NaN for the first `first` days. [the unit of `values`]

    Raises
    ------
    DataError
        If there are no values or one is infinite, the days do not rise, `first` is below 50, `refit_every` below 1, or
        the values of a fit do not vary.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> calm_then_wild = pd.Series(np.concatenate([rng.normal(0, 1, 150), rng.normal(0, 5, 50)]))
    >>> volatility = garch_volatility(calm_then_wild, first=100, refit_every=20)
    >>> int(volatility.isna().sum()), bool(volatility[170:].mean() > 2 * volatility[100:150].mean())
    (100, True)
    """
    if first < LEAST_SHOCKS or refit_every < 1:
        raise DataError(f"needs first >= {LEAST_SHOCKS} and refit_every >= 1 day, got {first} and {refit_every}")
    days = _with_next_day(values).index
    shocks, volatility = values.to_numpy(float), np.full(len(days), np.nan)
    for start in range(first, len(days), refit_every):
        stop = min(start + refit_every, len(days))
        volatility[start:stop] = np.sqrt(fit_garch(shocks[:start]).variance(shocks[: stop - 1])[start:])
    return pd.Series(volatility, index=days, name="volatility")


def _pair(loss: ArrayLike, fixed: ArrayLike | None) -> tuple[Floats, Floats]:
    moved = np.asarray(loss, dtype=float)
    held = np.zeros_like(moved) if fixed is None else np.asarray(fixed, dtype=float)
    if moved.ndim != 1 or not moved.size or held.shape != moved.shape:
        raise DataError(f"loss and fixed must have one shape, (n_scenarios,), got {moved.shape} and {held.shape}")
    if not (np.isfinite(moved).all() and np.isfinite(held).all()):
        bad = int(np.argmin(np.isfinite(moved) & np.isfinite(held)))
        raise DataError(f"loss of scenario {bad} is {moved[bad]}, fixed {held[bad]}: fill it or drop the scenario")
    return moved, held


def _why_none_fits(moved: Floats, held: Floats, target: float, level: float, weights: ArrayLike | None) -> str:
    alone, both = (float(cvar(loss, level, weights=weights)) for loss in (held, held + moved))
    return (
        f"no share of the position keeps the CVaR within {target:g}: it is {alone:g} without the position, "
        f"{alone - target:g} above, and {both:g} with all of it: raise the target or reduce what is fixed"
    )


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise DataError(f"{name} must be positive and finite, got {value}")


def _with_next_day(values: pd.Series) -> pd.Series:
    """The values, checked, and a NaN on the day after the last."""
    infinite = np.isinf(values.to_numpy(float))
    if infinite.any():
        raise DataError(f"values are infinite at {values.index[int(np.argmax(infinite))]}: correct it or set it to NaN")
    _refuse_disorder(values, "values")
    last = values.index[-1]
    after = last + (pd.DateOffset(days=1) if isinstance(last, pd.Timestamp) else 1)
    return values.reindex(values.index.append(pd.Index([after], name=values.index.name)))


def _refuse_disorder(values: pd.Series, name: str) -> None:
    if not len(values):
        raise DataError(f"{name} must have at least one day, got none")
    if not isinstance(values.index, pd.DatetimeIndex | pd.PeriodIndex) and values.index.dtype.kind not in "iuf":
        raise DataError(f"{name} must be indexed by dates or numbers of days, got {values.index.dtype}: set its index")
    if not (values.index.is_monotonic_increasing and values.index.is_unique):
        raise DataError(f"the days of {name} must rise, each once: sort them and keep one row a day")
