"""Margins: the whole distribution of a price from a few of its quantiles, and what a price is worth in it."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.schema import quantiles_of

Floats = NDArray[np.float64]


def margins_of(forecast: pd.DataFrame) -> tuple[Floats, Floats]:
    """
    Quantiles of every row of a forecast, and their probabilities.

    Quantiles that cross are put in order, the rearrangement of [1]_, which brings them no further from the true ones.

    Parameters
    ----------
    forecast : DataFrame
        Rows with columns such as ``q10`` and ``q90``, at least two.

    Returns
    -------
    quantiles : ndarray, shape (n_rows, n_quantiles)
        [$/MWh]
    probabilities : ndarray, shape (n_quantiles,)
        [-]

    Raises
    ------
    DataError
        If there are not two columns of quantiles.

    References
    ----------
    .. [1] V. Chernozhukov, I. Fernández-Val and A. Galichon, "Quantile and probability curves without crossing,"
       Econometrica 78(3), 2010, doi:10.3982/ECTA7880.

    Examples
    --------
    >>> quantiles, probabilities = margins_of(pd.DataFrame({"mean": [5.0], "q10": [9.0], "q90": [1.0]}))
    >>> quantiles.tolist(), probabilities.tolist()
    ([[1.0, 9.0]], [0.1, 0.9])
    """
    columns = quantiles_of(forecast)
    if len(columns) < 2:
        raise DataError(
            f"the forecast has {len(columns) or 'no'} quantile column{'s' * (not columns)}, and a margin needs two: "
            "roll it with quantiles=(0.1, 0.5, 0.9)"
        )
    return np.sort(forecast[list(columns)].to_numpy(float), axis=1), np.array(list(columns.values()))


def values_at(share: ArrayLike, quantiles: Floats, probabilities: Floats) -> Floats:
    r"""
    Quantile function: linear between the quantiles, exponential beyond the outermost ones.

    Below the least quantile, of probability :math:`p_1`, the value is :math:`q_1 - s \log(p_1 / p)`, and above the
    greatest likewise, with the scale `s` that makes the density continuous there.

    Parameters
    ----------
    share : array_like, shape (n_paths, n_rows)
        Probabilities in (0, 1), one column a margin. [-]
    quantiles : ndarray, shape (n_rows, n_quantiles)
        Rising along the last axis. [$/MWh]
    probabilities : ndarray, shape (n_quantiles,)
        Rising, in (0, 1). [-]

    Returns
    -------
    ndarray, shape (n_paths, n_rows)
        [$/MWh]

    Examples
    --------
    >>> quantiles, probabilities = np.array([[10.0, 20.0, 40.0]]), np.array([0.1, 0.5, 0.9])
    >>> values_at([[0.1], [0.3], [0.7], [0.9]], quantiles, probabilities).round(6).ravel().tolist()
    [10.0, 15.0, 30.0, 40.0]
    """
    share = np.asarray(share, dtype=float)
    inner = np.stack([np.interp(u, probabilities, row) for u, row in zip(share.T, quantiles, strict=True)], axis=1)
    low, high = _tail_scales(quantiles, probabilities)
    below = low * np.log(np.minimum(share / probabilities[0], 1))
    above = -high * np.log(np.minimum((1 - share) / (1 - probabilities[-1]), 1))
    return np.asarray(inner + below + above)


def shares_at(values: ArrayLike, quantiles: Floats, probabilities: Floats) -> Floats:
    """
    Distribution function, the inverse of `values_at`: the probability integral transform of what happened.

    Where several quantiles are one value, it has the middle of their probabilities.

    Parameters
    ----------
    values : array_like, shape (n_rows,)
        One value a margin; NaN stays NaN. [$/MWh]
    quantiles : ndarray, shape (n_rows, n_quantiles)
        Rising along the last axis. [$/MWh]
    probabilities : ndarray, shape (n_quantiles,)
        Rising, in (0, 1). [-]

    Returns
    -------
    ndarray, shape (n_rows,)
        In [0, 1]. [-]

    Examples
    --------
    >>> quantiles, probabilities = np.array([[10.0, 20.0, 40.0]] * 3), np.array([0.1, 0.5, 0.9])
    >>> shares_at([15.0, 30.0, 40.0], quantiles, probabilities).round(6).tolist()
    [0.3, 0.7, 0.9]
    """
    values = np.asarray(values, dtype=float)
    rows, last = np.arange(len(values)), len(probabilities) - 1
    first = (quantiles < values[:, None]).sum(axis=1)
    reached = (quantiles <= values[:, None]).sum(axis=1)
    left, right = np.clip(first - 1, 0, last), np.clip(first, 0, last)
    width = quantiles[rows, right] - quantiles[rows, left]
    part = np.divide(values - quantiles[rows, left], width, out=np.zeros(len(values)), where=width > 0)
    inner = probabilities[left] + part * (probabilities[right] - probabilities[left])
    equal = (probabilities[np.minimum(first, last)] + probabilities[np.maximum(reached - 1, 0)]) / 2
    low, high = _tail_scales(quantiles, probabilities)
    below = probabilities[0] * _fading(quantiles[:, 0] - values, low)
    above = 1 - (1 - probabilities[-1]) * _fading(values - quantiles[:, -1], high)
    cases = [np.isnan(values), reached > first, reached == 0, first > last]
    return np.asarray(np.select(cases, [np.full(len(values), np.nan), equal, below, above], inner))


def _tail_scales(quantiles: Floats, probabilities: Floats) -> tuple[Floats, Floats]:
    slope = np.diff(quantiles, axis=1) / np.diff(probabilities)
    return slope[:, 0] * probabilities[0], slope[:, -1] * (1 - probabilities[-1])


def _fading(distance: Floats, scale: Floats) -> Floats:
    """``exp(-distance / scale)`` where there is a tail, and 0 where it has no width."""
    far = np.divide(distance, scale, out=np.full(len(distance), np.inf), where=scale > 0)
    return np.asarray(np.exp(-np.maximum(far, 0)))
