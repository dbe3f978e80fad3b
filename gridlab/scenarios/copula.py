"""The Gaussian copula over a day: any forecast's quantiles as margins, and the past's dependence between the hours."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.errors import DataError
from gridlab.scenarios.bootstrap import past_prices, whole_days
from gridlab.scenarios.margins import margins_of, shares_at, values_at

Floats = NDArray[np.float64]

LEAST_DAYS = 10
JITTER = 1e-10
"""Added to the correlation's diagonal, so that leads that always move as one still have a Cholesky factor."""


@dataclass(frozen=True)
class CopulaParams:
    """
    Dependence between the leads of a forecast.

    Parameters
    ----------
    correlation : ndarray, shape (n_steps, n_steps)
        Correlation of the normal scores, shrunk. [-]
    errors : ndarray, shape (n_steps, n_steps)
        Standard errors of the correlations, as if days were independent. [-]
    n_days : int
        Forecasts used.
    left_out : int
        Forecasts not used: those with a NaN, and those of another length, such as days of 23 and 25 hours.
    """

    correlation: Floats
    errors: Floats
    n_days: int
    left_out: int

    def table(self) -> pd.DataFrame:
        """One row a pair of leads, with `estimate` and `standard_error`. [-]"""
        pairs = list(combinations(range(len(self.correlation)), 2))
        index = pd.MultiIndex.from_tuples(pairs, names=["lead", "other_lead"])
        values = {"estimate": [self.correlation[p] for p in pairs], "standard_error": [self.errors[p] for p in pairs]}
        return pd.DataFrame(values, index=index, dtype=float)


def calibrate_copula(forecast: pd.DataFrame, prices: pd.DataFrame) -> CopulaParams:
    r"""
    Dependence between the leads of past forecasts, whatever their margins.

    Each price becomes its probability under its forecast's quantiles [1]_; by lead, these become normal scores of
    their ranks [2]_, so that a forecast whose margins are off still shows how its leads go together; and the
    correlation of the scores is shrunk towards none by as much as its sampling noise asks for [3]_.

    Parameters
    ----------
    forecast : DataFrame
        A `forecast` table of days that are over, with at least two quantiles.
    prices : DataFrame
        A `prices` table that covers them.

    Returns
    -------
    CopulaParams

    Raises
    ------
    DataError
        If a table breaks its schema, the forecast has no two quantiles, or fewer than 10 forecasts are complete.

    Notes
    -----
    Between the quantiles the margins are linear, beyond the outermost ones exponential, and quantiles that cross are
    put in order: see `gridlab.scenarios.margins`. The standard error of a correlation is
    :math:`(1 - \rho^2) / \sqrt{n}`, that of the normal scores under this copula [2]_.

    References
    ----------
    .. [1] P. Pinson, H. Madsen, H. Aa. Nielsen, G. Papaefthymiou and B. Klöckl, "From probabilistic forecasts to
       statistical scenarios of short-term wind power production," Wind Energy 12(1), 2009, doi:10.1002/we.284.
    .. [2] C. A. J. Klaassen and J. A. Wellner, "Efficient estimation in the bivariate normal copula model: normal
       margins are least favourable," Bernoulli 3(1), 1997, doi:10.2307/3318652.
    .. [3] O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices,"
       J. Multivariate Analysis 88(2), 2004, doi:10.1016/S0047-259X(03)00096-4.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> params = calibrate_copula(mock_forecast(days=40), mock_prices(days=40))
    >>> params.correlation.shape, params.n_days
    ((24, 24), 40)
    """
    price = past_prices(forecast, prices)
    shares = pd.Series(shares_at(price, *margins_of(forecast)), forecast.index)
    days, left_out = whole_days(shares)
    if len(days) < LEAST_DAYS:
        raise DataError(f"the copula needs at least {LEAST_DAYS} whole days, got {len(days)}: add days")
    correlation = correlation_of(days)
    return CopulaParams(correlation, (1 - correlation**2) / np.sqrt(len(days)), len(days), left_out)


def simulate_copula(
    params: CopulaParams, forecast_day: pd.DataFrame, *, n_paths: int, rng: np.random.Generator
) -> Floats:
    """
    Draw paths whose margins are a forecast's quantiles and whose leads go together as in the past.

    Parameters
    ----------
    params : CopulaParams
        Dependence between the leads.
    forecast_day : DataFrame, n_steps rows
        The new forecast: its columns of quantiles, at least two, which need not be those of the past. [$/MWh]
    n_paths : int
        Paths to draw.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (n_paths, n_steps)
        Price paths. [$/MWh]

    Raises
    ------
    DataError
        If the forecast has not as many rows as the correlation, or no two quantiles, or one that is not finite, or
        `n_paths` is below 1.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> params = calibrate_copula(mock_forecast(days=40), mock_prices(days=40))
    >>> simulate_copula(params, mock_forecast(days=1), n_paths=5, rng=np.random.default_rng(0)).shape
    (5, 24)
    """
    n_steps = len(params.correlation)
    if len(forecast_day) != n_steps:
        raise DataError(
            f"the forecast must have {n_steps} rows, as the past ones have, got {len(forecast_day)}: "
            "gridlab.scenarios.sampler aligns days of other lengths by the slots of the clock"
        )
    if n_paths < 1:
        raise DataError(f"n_paths must be at least 1, got {n_paths}")
    quantiles, probabilities = margins_of(forecast_day)
    if not np.isfinite(quantiles).all():
        raise DataError("the forecast has a quantile that is NaN or infinite: fill it or drop the column")
    return values_at(shares(params.correlation, n_paths=n_paths, rng=rng), quantiles, probabilities)


def correlation_of(days: Floats) -> Floats:
    """
    Shrunk correlation of the normal scores of each column's ranks, (n_days, n_steps) to (n_steps, n_steps).

    Examples
    --------
    >>> one = np.random.default_rng(0).uniform(size=500)  # shrunk by 1 %
    >>> correlation_of(np.column_stack([one, one**3, -one])).round(2).tolist()
    [[1.0, 0.99, -0.99], [0.99, 1.0, -0.99], [-0.99, -0.99, 1.0]]
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata
    from sklearn.covariance import ledoit_wolf

    scores = ndtri(rankdata(days, axis=0) / (len(days) + 1))
    if days.shape[1] == 1:
        return np.ones((1, 1))
    covariance, _ = ledoit_wolf(scores, assume_centered=True)
    deviation = np.sqrt(np.where(np.diag(covariance) > 0, np.diag(covariance), 1))
    correlation = covariance / np.outer(deviation, deviation)
    np.fill_diagonal(correlation, 1)
    return np.asarray(correlation)


def shares(correlation: Floats, *, n_paths: int, rng: np.random.Generator) -> Floats:
    """
    Uniform numbers with normal scores of a given correlation, shape (n_paths, n_steps).

    Examples
    --------
    >>> shares(np.ones((2, 2)), n_paths=1, rng=np.random.default_rng(0)).round(4).tolist()
    [[0.55, 0.55]]
    """
    from scipy.special import ndtr

    factor = np.linalg.cholesky(correlation + JITTER * np.eye(len(correlation)))
    return np.asarray(ndtr(rng.standard_normal((n_paths, len(correlation))) @ factor.T))
