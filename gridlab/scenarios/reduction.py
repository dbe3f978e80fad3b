"""Reduction: a small weighted set of scenarios in the place of a large one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]

ROUNDING = 1e-6
"""How far probabilities may be from summing to one."""


class Reduced(NamedTuple):
    """
    Scenarios that stand for a larger set.

    Parameters
    ----------
    paths : ndarray, shape (n_keep, ...)
        The scenarios kept, in the order in which they were chosen.
    weights : ndarray, shape (n_keep,)
        Their probabilities, which sum to 1. [-]
    chosen : ndarray, shape (n_keep,)
        Their rows among the scenarios given.
    distance : float
        Kantorovich distance from the set given: the mean distance to the nearest scenario kept, in the paths' unit.
    """

    paths: Floats
    weights: Floats
    chosen: NDArray[np.int64]
    distance: float


def reduce(paths: ArrayLike, n_keep: int, *, weights: ArrayLike | None = None) -> Reduced:
    r"""
    Keep a few scenarios and give each the probability of those nearest to it, by fast forward selection [1]_.

    Each scenario kept is the one that, with those kept before it, leaves the least
    :math:`\sum_i p_i \min_{j\ \mathrm{kept}} \lVert x_i - x_j \rVert`, the Kantorovich distance between the two sets.

    Parameters
    ----------
    paths : array_like, shape (n_paths, ...)
        Scenarios, of one series or of several; the distance is Euclidean over all their values. Give series of
        different units on one scale.
    n_keep : int
        Scenarios to keep, from 1 to n_paths.
    weights : array_like, shape (n_paths,), optional
        Probabilities, which sum to 1. Equal when omitted. [-]

    Returns
    -------
    Reduced

    Raises
    ------
    DataError
        If a path has a NaN or an infinite value, `n_keep` is out of range, or the weights are negative, of another
        length or do not sum to one.

    Notes
    -----
    The distances take n_paths squared numbers, 32 MB for 2000 paths.

    References
    ----------
    .. [1] H. Heitsch and W. Römisch, "Scenario reduction algorithms in stochastic programming," Computational
       Optimization and Applications 24, 2003, Algorithm 2.4, doi:10.1023/A:1021805924152.

    Examples
    --------
    >>> kept = reduce([[0.0, 0.0], [0.0, 1.0], [0.0, 0.4], [9.0, 9.0]], 2)
    >>> kept.paths.tolist(), kept.weights.tolist(), kept.chosen.tolist(), kept.distance
    ([[0.0, 0.4], [9.0, 9.0]], [0.75, 0.25], [2, 3], 0.25)
    """
    from scipy.spatial.distance import pdist, squareform

    from gridlab.scenarios.fast_forward import fast_forward

    values = np.asarray(paths, dtype=float)
    probability = _checked(values, n_keep, weights)
    distance = squareform(pdist(values.reshape(len(values), -1)), checks=False)
    chosen = fast_forward(distance, probability, n_keep)
    nearest = distance[:, chosen].argmin(axis=1)
    nearest[chosen] = np.arange(n_keep)
    left = float(probability @ distance[np.arange(len(values)), chosen[nearest]])
    return Reduced(values[chosen], np.bincount(nearest, probability, n_keep).astype(float), chosen, left)


def _checked(values: Floats, n_keep: int, weights: ArrayLike | None) -> Floats:
    if values.ndim < 2 or not values.size or not np.isfinite(values).all():
        raise DataError(f"paths need shape (n_paths, n_steps), some values and only finite ones, got {values.shape}")
    if not 1 <= n_keep <= len(values):
        raise DataError(f"n_keep must be from 1 to the {len(values)} paths, got {n_keep}")
    if weights is None:
        return np.full(len(values), 1 / len(values))
    probability = np.asarray(weights, dtype=float)
    if probability.shape != (len(values),):
        raise DataError(f"weights must have shape ({len(values)},), one for each path, got {probability.shape}")
    if not (probability >= 0).all() or not abs(probability.sum() - 1) <= ROUNDING:
        raise DataError(
            f"weights must be probabilities: none below 0 and 1 in sum, got a least one of {probability.min():g} and "
            f"the sum {probability.sum():g}"
        )
    return np.asarray(probability / probability.sum())
