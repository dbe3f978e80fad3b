"""Covariance matrices: checked, mended and estimated from a short history."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]

_ROUNDING = 1e-10  # of the correlations, below which an asymmetry or a negative eigenvalue is rounding
_MOST_PROJECTIONS = 20_000
_CONVERGED = 1e-12


def checked_covariance(cov: ArrayLike) -> Floats:
    """
    The covariance as an array, refused if no random numbers have it.

    Parameters
    ----------
    cov : array_like, shape (n_assets, n_assets)
        Covariance of returns; the rows of a DataFrame are its columns, in their order. [($/MW)^2]

    Returns
    -------
    ndarray, shape (n_assets, n_assets)
        A copy, exactly symmetric. [($/MW)^2]

    Raises
    ------
    DataError
        If `cov` is not square, finite, symmetric within rounding and positive semidefinite within rounding; rounding
        is 1e-10 of the correlations, so that the unit of an asset does not matter.

    Examples
    --------
    >>> checked_covariance([[4, 1], [1, 1]]).tolist()
    [[4.0, 1.0], [1.0, 1.0]]
    >>> checked_covariance([[1, 2], [2, 1]])
    Traceback (most recent call last):
    gridlab.errors.DataError: cov is not positive semidefinite, least eigenvalue of its correlations -1: use \
portfolio.nearest_covariance
    """
    cov = _symmetric(cov)
    _refuse_negative(cov)
    if not _is_semidefinite(cov):
        raise DataError(f"cov is not positive semidefinite, {_flaw(cov)}: use portfolio.nearest_covariance")
    return cov


def nearest_covariance(cov: ArrayLike) -> Floats:
    """
    The covariance with the same variances whose correlations are the nearest, in the Frobenius norm.

    Alternating projections on the positive semidefinite matrices, with Dykstra's correction, and on the matrices of
    unit diagonal [1]_. A matrix that is a covariance already comes back as it is.

    Parameters
    ----------
    cov : array_like, shape (n_assets, n_assets)
        A symmetric matrix with variances, not negative, on its diagonal. [($/MW)^2]

    Returns
    -------
    ndarray, shape (n_assets, n_assets)
        Positive semidefinite, with the diagonal of `cov`. An asset of no variance has no covariance. [($/MW)^2]

    Raises
    ------
    DataError
        If `cov` is not square, finite and symmetric within rounding, or has a negative variance.

    References
    ----------
    .. [1] N. J. Higham, "Computing the nearest correlation matrix: a problem from finance," IMA J. Numerical Analysis
       22(3), 2002, doi:10.1093/imanum/22.3.329.

    Examples
    --------
    >>> nearest_covariance([[1, 1, 0], [1, 1, 1], [0, 1, 1]]).round(4)[0].tolist()  # Higham, section 1
    [1.0, 0.7607, 0.1573]
    """
    cov = _symmetric(cov)
    _refuse_negative(cov)
    if _is_semidefinite(cov):
        return cov
    variance = cov.diagonal()
    deviation = np.sqrt(variance)
    nearest: Floats = _nearest_correlation(_scaled(cov, deviation)) * np.outer(deviation, deviation)
    np.fill_diagonal(nearest, variance)
    return nearest


class Split(NamedTuple):
    """
    A covariance as correlations and deviations.

    Parameters
    ----------
    correlation : ndarray, shape (n_assets, n_assets)
        Ones on its diagonal. [-]
    deviation : ndarray, shape (n_assets,)
        Standard deviations, positive. [$/MW]
    """

    correlation: Floats
    deviation: Floats


def split_covariance(cov: ArrayLike) -> Split:
    """
    Correlations and standard deviations of assets that all vary.

    Parameters
    ----------
    cov : array_like, shape (n_assets, n_assets)
        Covariance of the returns. [($/MW)^2]

    Returns
    -------
    Split

    Raises
    ------
    DataError
        If `cov` is not a covariance or an asset has no variance, and so no correlations.

    Examples
    --------
    >>> split_covariance([[4.0, 1.0], [1.0, 1.0]]).correlation.tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    cov = checked_covariance(cov)
    variance = cov.diagonal()
    if not variance.all():
        asset = int(np.flatnonzero(variance == 0)[0])
        raise DataError(f"asset {asset} has no variance, so no weight gives it a share of the risk: leave it out")
    deviation = np.sqrt(variance)
    return Split(_scaled(cov, deviation), deviation)


class Shrunk(NamedTuple):
    """
    A covariance whose correlations are drawn towards none.

    Parameters
    ----------
    covariance : ndarray, shape (n_assets, n_assets)
        Positive semidefinite. [($/MW)^2]
    shrinkage : float
        Share of the correlations that is taken away, from 0, the covariance of the sample, to 1. [-]
    """

    covariance: Floats
    shrinkage: float


def shrunk_covariance(returns: ArrayLike) -> Shrunk:
    r"""
    Covariance of the returns with the variances of the sample and correlations shrunk by Ledoit and Wolf's share.

    The estimate is :math:`\sigma_i \sigma_j ((1 - \delta) R_{ij} + \delta I_{ij})` with `R` the correlations of the
    sample and its deviations, divided by the days. The share is that of [1]_ for the returns divided by their
    deviations, the one of least expected squared error were these known. Shrunk in their own units, services that
    differ in volatility would all be given a part of the most volatile one's variance; hence correlations are drawn to
    none and variances are left, as in [2]_, and the unit of a service does not matter.

    Parameters
    ----------
    returns : array_like, shape (n_days, n_assets)
        Returns of the assets by day; two days or more. [$/MW]

    Returns
    -------
    Shrunk
        The covariance and the shrinkage. An asset that is constant has no variance and no covariance, and does not
        count for the share, which is 0 where one asset or none varies.

    Raises
    ------
    DataError
        If `returns` is not a table, has fewer than two days, no assets, or values that are not finite.

    References
    ----------
    .. [1] O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices," J.
       Multivariate Analysis 88(2), 2004, doi:10.1016/S0047-259X(03)00096-4.
    .. [2] J. Schaefer and K. Strimmer, "A shrinkage approach to large-scale covariance matrix estimation and
       implications for functional genomics," Statistical Applications in Genetics and Molecular Biology 4(1), 2005,
       doi:10.2202/1544-6115.1175.

    Examples
    --------
    >>> shrunk = shrunk_covariance([[1.0, 10.0], [2.0, 30.0], [3.0, 30.0], [6.0, 70.0]])
    >>> shrunk.covariance.round(4).tolist(), round(shrunk.shrinkage, 4)
    ([[3.5, 17.9338], [17.9338, 475.0]], 0.5517)
    """
    from sklearn.covariance import ledoit_wolf

    returns = checked_returns(returns)
    from_first = returns - returns[0]  # so that a constant asset has no variance, not one of rounding
    centred = from_first - from_first.mean(axis=0)
    scale = np.abs(centred).max(axis=0)
    varying = scale > 0
    covariance = np.zeros((len(scale), len(scale)))
    if not varying.any():
        return Shrunk(covariance, 0.0)
    in_scale = centred[:, varying] / scale[varying]
    spread = np.sqrt((in_scale**2).mean(axis=0))
    correlation, shrinkage = ledoit_wolf(in_scale / spread)
    np.fill_diagonal(correlation, 1.0)
    deviation = spread * scale[varying]
    covariance[np.ix_(varying, varying)] = (correlation + correlation.T) / 2 * np.outer(deviation, deviation)
    return Shrunk(covariance, float(shrinkage))


def checked_returns(returns: ArrayLike, *, least_days: int = 2) -> Floats:
    """Returns by day as an array (n_days, n_assets), refused if too few or not finite. [$/MW]"""
    returns = np.asarray(returns, dtype=float)
    if returns.ndim != 2 or returns.shape[1] == 0:
        raise DataError(f"returns must have shape (n_days, n_assets), got {returns.shape}")
    if len(returns) < least_days:
        raise DataError(f"returns need {least_days} days or more, got {len(returns)}")
    if not np.isfinite(returns).all():
        day, asset = np.argwhere(~np.isfinite(returns))[0]
        value = returns[day, asset]
        raise DataError(f"returns must be finite, got {value} on day {day}, asset {asset}: fill or drop the day")
    return returns


def aligned(values: ArrayLike, cov: ArrayLike, name: str) -> Floats:
    """Values of the assets as an array; a Series beside a DataFrame is read by their labels, in the order of `cov`."""
    if isinstance(values, pd.Series) and isinstance(cov, pd.DataFrame):
        if not values.index.is_unique or set(values.index) != set(cov.columns):
            raise DataError(
                f"{name} and cov must name the same assets once each, got {list(values.index)} and "
                f"{list(cov.columns)}: name them alike or give arrays"
            )
        values = values.reindex(cov.columns)
    return np.asarray(values, dtype=float)


def _symmetric(cov: ArrayLike) -> Floats:
    if isinstance(cov, pd.DataFrame) and set(cov.index) == set(cov.columns) and not cov.index.equals(cov.columns):
        raise DataError(f"cov must have its assets in one order, got rows {list(cov.index)} and {list(cov.columns)}")
    cov = np.asarray(cov, dtype=float)
    if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or cov.size == 0:
        raise DataError(f"cov must be square, (n_assets, n_assets), got shape {cov.shape}")
    if not np.isfinite(cov).all():
        raise DataError(f"cov must be finite, got {cov[~np.isfinite(cov)][0]}")
    deviation = np.sqrt(np.abs(cov.diagonal()))
    asymmetry = np.abs(cov - cov.T)
    if (asymmetry > _ROUNDING * np.maximum(np.outer(deviation, deviation), np.abs(cov))).any():
        row, column = np.unravel_index(asymmetry.argmax(), cov.shape)
        there, back = cov[row, column], cov[column, row]
        raise DataError(
            f"cov must be symmetric, got {there:.6g} at ({row}, {column}) and {back:.6g} across: use the mean"
        )
    return np.asarray((cov + cov.T) / 2)


def _refuse_negative(cov: Floats) -> None:
    variance = cov.diagonal()
    if (variance < 0).any():
        asset = int(variance.argmin())
        raise DataError(f"cov has the negative variance {variance[asset]:.6g} for asset {asset}: give its variance")


def _flaw(cov: Floats) -> str:
    """Why a matrix with variances, none negative, is no covariance."""
    variance = cov.diagonal()
    without = np.flatnonzero((variance == 0) & cov.any(axis=0))
    if without.size:
        return f"asset {without[0]} has covariances and no variance"
    return f"least eigenvalue of its correlations {np.linalg.eigvalsh(_scaled(cov, np.sqrt(variance)))[0]:.6g}"


def _is_semidefinite(cov: Floats) -> bool:
    """Whether the correlations, raised by the rounding, have a Cholesky factor; no variance means no covariance."""
    variance = cov.diagonal()
    if cov[variance == 0].any():
        return False
    correlation = _scaled(cov, np.sqrt(variance))
    correlation[np.diag_indices_from(correlation)] += _ROUNDING
    try:
        np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        return False
    return True


def _scaled(cov: Floats, deviation: Floats) -> Floats:
    """Correlations; an asset of no variance has none with the others."""
    per_deviation = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    correlation = cov * per_deviation[:, None] * per_deviation
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _nearest_correlation(correlation: Floats) -> Floats:
    """Higham's algorithm 3.3 with unit weights; the last projection is scaled to the unit diagonal."""
    unit, correction = correlation, np.zeros_like(correlation)
    for _ in range(_MOST_PROJECTIONS):
        corrected = unit - correction
        semidefinite = _projected(corrected)
        correction = semidefinite - corrected
        before, unit = unit, semidefinite.copy()
        np.fill_diagonal(unit, 1.0)
        if np.abs(unit - before).max() <= _CONVERGED:
            break
    deviation = np.sqrt(semidefinite.diagonal())
    return np.asarray(semidefinite / np.outer(deviation, deviation))


def _projected(matrix: Floats) -> Floats:
    """The nearest positive semidefinite matrix: eigenvalues below zero are cut."""
    values, vectors = np.linalg.eigh(matrix)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(factor @ factor.T)
