"""
Volatility: how much a price may move, from its past errors (GARCH) and from prices within the interval (realised).

Prices of electricity may be negative, so all of it is about increments and errors in $/MWh, never log returns.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.schema import step_hours

Floats = NDArray[np.float64]

LEAST_SHOCKS = 50
MOST_PERSISTENCE = 0.999
BIPOWER = np.pi / 2
"""Reciprocal of the squared mean size of a standard normal."""


@dataclass(frozen=True)
class Garch:
    r"""
    Conditional variance ``v_t = omega + sum_i alpha_i shock_{t-i}**2 + sum_j beta_j v_{t-j}``, Student t shocks.

    Parameters
    ----------
    omega : float
        Constant. [$2/MWh2]
    alpha, beta : ndarray, shape (p,) and (q,)
        Weights of past squared shocks and of past variances, the latest first. [-]
    nu : float
        Degrees of freedom of the shocks, above 2; the t distribution is scaled to variance 1. [-]
    start : float
        Squared shocks and variances before the first. [$2/MWh2]
    log_likelihood : float
        Of the shocks that it was fitted to.

    Examples
    --------
    >>> model = Garch(0.1, np.array([0.1]), np.array([0.8]), nu=6.0, start=1.0)
    >>> round(model.persistence, 3), round(model.long_run_variance, 3)
    (0.9, 1.0)
    >>> model.variance([0.0, 3.0]).round(3).tolist()  # of both shocks, and of the next one
    [1.0, 0.9, 1.72]
    >>> model.forecast([0.0, 3.0], n_steps=3).round(3).tolist()
    [1.72, 1.648, 1.583]
    """

    omega: float
    alpha: Floats
    beta: Floats
    nu: float
    start: float
    log_likelihood: float = float("nan")

    @property
    def persistence(self) -> float:
        """Share of a deviation of the variance that is left a step later."""
        return float(self.alpha.sum() + self.beta.sum())

    @property
    def long_run_variance(self) -> float:
        """Variance that forecasts tend to, ``omega / (1 - persistence)``."""
        return self.omega / (1 - self.persistence)

    def variance(self, shocks: ArrayLike) -> Floats:
        """
        Conditional variance of every shock, given those before it, and of the one to come, (n_shocks + 1,).

        A NaN among the shocks counts as one of the size expected.
        """
        values = np.asarray(shocks, dtype=float)
        p, q = len(self.alpha), len(self.beta)
        square = np.concatenate([np.full(p, self.start), values**2])
        variance = np.concatenate([np.full(q, self.start), np.empty(len(values) + 1)])
        for t in range(len(values) + 1):
            past = self.alpha @ square[t : t + p][::-1] + self.beta @ variance[t : t + q][::-1]
            variance[q + t] = self.omega + past
            if t < len(values) and np.isnan(square[p + t]):
                square[p + t] = variance[q + t]
        return variance[q:]

    def forecast(self, shocks: ArrayLike, *, n_steps: int) -> Floats:
        """Expected variance 1 to `n_steps` steps after the shocks, shape (n_steps,). [$2/MWh2]."""
        values = np.asarray(shocks, dtype=float)
        ahead = np.concatenate([values, np.full(n_steps - 1, np.nan)])
        return self.variance(ahead)[len(values) :]


def fit_garch(shocks: ArrayLike, *, p: int = 1, q: int = 1) -> Garch:
    """
    GARCH(p, q) with Student t shocks, by maximum likelihood.

    Parameters
    ----------
    shocks : array_like, shape (n_shocks,)
        Errors or increments of mean 0, in order; NaN are left out. [$/MWh]
    p, q : int
        Number of past squared shocks, at least 1, and of past variances. [-]

    Returns
    -------
    Garch
        Its persistence is below 1.

    Raises
    ------
    DataError
        If there are fewer than 50 shocks, an infinite one, or they do not vary, or the orders are out of range.

    References
    ----------
    .. [1] T. Bollerslev, "A conditionally heteroskedastic time series model for speculative prices and rates of
       return," Review of Economics and Statistics 69(3), 1987, doi:10.2307/1925546.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> quiet_then_wild = np.concatenate([rng.normal(0, 1, 300), rng.normal(0, 5, 300)])
    >>> model = fit_garch(quiet_then_wild)
    >>> sd = np.sqrt(model.variance(quiet_then_wild))
    >>> bool(sd[100:300].mean() < 1.5), bool(sd[350:].mean() > 4)
    (True, True)
    """
    from arch.univariate import GARCH, StudentsT, ZeroMean

    values = np.asarray(shocks, dtype=float)
    values = values[~np.isnan(values)]
    if not (p >= 1 and q >= 0):
        raise DataError(f"needs p >= 1 and q >= 0, got {p} and {q}")
    scale = float(np.sqrt(np.mean(values**2))) if len(values) >= LEAST_SHOCKS else 0.0
    if not (np.isfinite(scale) and scale > 0):
        raise DataError(f"needs at least {LEAST_SHOCKS} finite shocks, not all 0, got {len(values)}: give more history")
    model = ZeroMean(values / scale, volatility=GARCH(p=p, q=q), distribution=StudentsT(), rescale=False)
    fit = model.fit(disp="off", show_warning=False)
    omega, weights, nu = fit.params.iloc[0], fit.params.iloc[1 : 1 + p + q].to_numpy(), fit.params.iloc[-1]
    excess = max(1.0, weights.sum() / MOST_PERSISTENCE)
    return Garch(
        omega=float(omega) * scale**2,
        alpha=weights[:p] / excess,
        beta=weights[p:] / excess,
        nu=float(nu),
        start=scale**2,
        log_likelihood=float(fit.loglikelihood - len(values) * np.log(scale)),
    )


def realised_volatility(prices: pd.Series, *, freq: str = "1h") -> pd.DataFrame:
    r"""
    Volatility of every hour, or other interval, from the prices within it.

    The realised variance is the sum of the squared increments ``d_i`` of the interval, and tends to the integral of
    the squared volatility and the squared jumps as the steps shorten [1]_. The bipower variation
    ``pi / 2 m / (m - 1) sum |d_i| |d_{i-1}|`` over the m increments tends to the first part alone [2]_; what it
    leaves, where positive, is the jumps'. Prices may be negative, so the increments are of the price itself.

    Parameters
    ----------
    prices : Series
        Prices of equal steps, on a time index. An increment belongs to the interval it ends in. [$/MWh]
    freq : str
        Length of the intervals, as pandas writes it, such as "1h" or "1D"; three steps of the prices at least.

    Returns
    -------
    DataFrame
        Indexed by the interval's start: `volatility`, the root of the realised variance; `bipower`, the root of the
        bipower variation; and `jump`, the root of the difference. NaN where an increment is missing. [$/MWh]

    Raises
    ------
    DataError
        If the index has no equal steps, or an interval has fewer than three of them.

    References
    ----------
    .. [1] T. G. Andersen, T. Bollerslev, F. X. Diebold and P. Labys, "Modeling and forecasting realized volatility,"
       Econometrica 71(2), 2003, doi:10.1111/1468-0262.00418.
    .. [2] O. E. Barndorff-Nielsen and N. Shephard, "Power and bipower variation with stochastic volatility and jumps,"
       J. Financial Econometrics 2(1), 2004, doi:10.1093/jjfinec/nbh001.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=2, freq="5min")["price"]
    >>> table = realised_volatility(prices, freq="1h")
    >>> table.shape, bool((table["volatility"].dropna() > 0).all())
    ((48, 3), True)
    """
    steps = _steps(prices, freq)
    increment = prices.astype(float).diff()
    start = increment.index.floor(freq)
    pairs = (increment.abs() * increment.abs().shift()).where(start == np.roll(start, 1))
    count = increment.groupby(start).count()
    whole = count == steps
    variance = (increment**2).groupby(start).sum().where(whole)
    bipower = (BIPOWER * pairs.groupby(start).sum() * steps / (steps - 1)).where(whole)
    jump = (variance - bipower).clip(lower=0.0)
    table = pd.DataFrame({"volatility": variance, "bipower": bipower, "jump": jump})
    return cast(pd.DataFrame, np.sqrt(table).rename_axis(prices.index.name or "time"))


def _steps(prices: pd.Series, freq: str) -> int:
    """Steps of the prices in an interval."""
    if not isinstance(prices.index, pd.DatetimeIndex) or len(prices) < 2:
        raise DataError(f"needs a series of at least two prices on a time index, got {len(prices)} prices")
    interval = pd.Timedelta(freq) / pd.Timedelta(hours=1)
    steps: Any = interval / step_hours(prices.index)
    if steps < 3 or steps % 1:
        raise DataError(f"an interval of {freq} must hold three or more whole steps of the prices, got {steps:g}")
    return int(steps)
