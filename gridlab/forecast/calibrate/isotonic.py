"""Isotonic distributional regression by pooling adjacent violators at many thresholds, compiled."""

import numba
import numpy as np

from gridlab.days import Floats

N_THRESHOLDS = 400
N_KNOTS = 200


def isotonic_quantiles(covariate: Floats, y: Floats, levels: Floats) -> tuple[Floats, Floats]:
    """
    Quantiles of `y` given a covariate by isotonic distributional regression.

    Parameters
    ----------
    covariate, y : ndarray, shape (n_rows,)
        What is known, and what came.
    levels : ndarray, shape (n_levels,)
        Levels in (0, 1).

    Returns
    -------
    knots : ndarray, shape (n_knots,)
        200 values of the covariate, evenly spaced in rank (fewer where there are fewer rows).
    quantiles : ndarray, shape (n_knots, n_levels)
        Non-decreasing in both directions.

    References
    ----------
    .. [1] A. Henzi, J. F. Ziegel and T. Gneiting, "Isotonic distributional regression," J. Royal Statistical Society B
       83(5), 2021, doi:10.1111/rssb.12450.

    Examples
    --------
    >>> knots, quantiles = isotonic_quantiles(np.arange(4.0), np.array([1.0, 3.0, 2.0, 5.0]), np.array([0.5]))
    >>> quantiles.ravel().tolist()
    [1.0, 2.0, 2.0, 5.0]
    """
    values, rank, counts = np.unique(covariate, return_inverse=True, return_counts=True)
    ranks = np.arange(min(N_THRESHOLDS, len(y))) + 0.5
    thresholds = np.unique(np.quantile(y, ranks / len(ranks), method="inverted_cdf"))
    cdf = isotonic_cdf(np.asarray(rank).ravel(), counts.astype(float), y, thresholds)
    knots = np.unique(np.linspace(0, len(values) - 1, N_KNOTS).round().astype(int))
    at = (cdf[:, knots].T[:, None, :] < levels[:, None] - 1e-12).sum(axis=2)
    return values[knots], thresholds[np.minimum(at, len(thresholds) - 1)]


@numba.njit(cache=True)
def isotonic_cdf(rank, counts, y, thresholds):  # type: ignore[no-untyped-def]
    """Share of `y` at or below each threshold given the covariate's rank, falling in it: (n_thresholds, n_values)."""
    n_values, cdf = len(counts), np.empty((len(thresholds), len(counts)))
    share, weight, length = np.empty(n_values), np.empty(n_values), np.empty(n_values, np.int64)
    for row in range(len(thresholds)):
        below = np.zeros(n_values)
        for i in range(len(y)):
            if y[i] <= thresholds[row]:
                below[rank[i]] += 1.0
        n_blocks = 0
        for i in range(n_values):
            share[n_blocks], weight[n_blocks], length[n_blocks] = below[i] / counts[i], counts[i], 1
            n_blocks += 1
            while n_blocks > 1 and share[n_blocks - 2] <= share[n_blocks - 1]:
                both = weight[n_blocks - 2] + weight[n_blocks - 1]
                mass = share[n_blocks - 2] * weight[n_blocks - 2] + share[n_blocks - 1] * weight[n_blocks - 1]
                share[n_blocks - 2], weight[n_blocks - 2] = mass / both, both
                length[n_blocks - 2] += length[n_blocks - 1]
                n_blocks -= 1
        first = 0
        for block in range(n_blocks):
            cdf[row, first : first + length[block]] = share[block]
            first += length[block]
    return cdf
