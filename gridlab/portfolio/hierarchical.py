"""Hierarchical risk parity: power split down a tree of assets that move together."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.portfolio.covariance import Floats, Split, split_covariance

LINKAGES = ("single", "complete", "average", "weighted", "centroid", "median", "ward")
"""Rules that say how far two clusters are from each other, as in `scipy.cluster.hierarchy.linkage`."""


def hierarchical_risk_parity_weights(cov: ArrayLike, *, linkage: str = "single") -> Floats:
    r"""
    Weights by recursive bisection of the assets in the order of their tree, without an inverse of the covariance.

    Assets are :math:`d_{ij} = \sqrt{(1 - \rho_{ij}) / 2}` apart, and clustered by the Euclidean distance between the
    columns of `d` [1]_. The tree's leaves are then halved again and again, and each half gets a weight inverse to the
    variance of its own inverse-variance portfolio.

    The paper leaves the two sides of a branch in the order of the input. Here leaves lie as near to their neighbours
    as the tree allows [2]_, beginning with the end of lesser variance, so that where no distances are equal the
    weights do not depend on the order of the assets.

    Parameters
    ----------
    cov : array_like, shape (n_assets, n_assets)
        Covariance of the returns. [($/MW)^2]
    linkage : str
        One of `LINKAGES`.

    Returns
    -------
    ndarray, shape (n_assets,)
        Weights, positive, that sum to 1. [-]

    Raises
    ------
    DataError
        If `cov` is not a covariance, an asset has no variance, or there is no such linkage.

    References
    ----------
    .. [1] M. Lopez de Prado, "Building diversified portfolios that outperform out of sample," J. Portfolio Management
       42(4), 2016, doi:10.3905/jpm.2016.42.4.059.
    .. [2] Z. Bar-Joseph, D. K. Gifford and T. S. Jaakkola, "Fast optimal leaf ordering for hierarchical clustering,"
       Bioinformatics 17, 2001, doi:10.1093/bioinformatics/17.suppl_1.S22.

    Examples
    --------
    >>> cov = [[0.04, 0.02, 0.0, 0.0], [0.02, 0.05, 0.0, 0.0], [0.0, 0.0, 0.06, 0.05], [0.0, 0.0, 0.05, 0.07]]
    >>> hierarchical_risk_parity_weights(cov).round(4).tolist()
    [0.3558, 0.2846, 0.1936, 0.166]
    """
    if linkage not in LINKAGES:
        raise DataError(f"there is no linkage {linkage!r}: the names are {', '.join(LINKAGES)}")
    assets = split_covariance(cov)
    weights = np.ones(len(assets.deviation))
    clusters = [_leaves(assets, linkage)]
    while clusters:
        halves = [(c[: len(c) // 2], c[len(c) // 2 :]) for c in clusters if len(c) > 1]
        for left, right in halves:
            share = _share_of_left(_cluster_variance(assets, left), _cluster_variance(assets, right))
            weights[left] *= share
            weights[right] *= 1 - share
        clusters = [half for pair in halves for half in pair]
    return weights


def _leaves(assets: Split, linkage: str) -> NDArray[np.intp]:
    """Order of the leaves of the tree."""
    if len(assets.deviation) == 1:
        return np.arange(1)
    from scipy.cluster.hierarchy import leaves_list, optimal_leaf_ordering
    from scipy.cluster.hierarchy import linkage as linked
    from scipy.spatial.distance import pdist

    apart = np.sqrt(np.clip(1 - assets.correlation, 0.0, 2.0) / 2)
    np.fill_diagonal(apart, 0.0)
    distance = pdist(apart)
    leaves = leaves_list(optimal_leaf_ordering(linked(distance, linkage), distance))
    first, last = ((assets.deviation[leaf], apart[leaf].sum()) for leaf in (leaves[0], leaves[-1]))
    return np.asarray(leaves[::-1] if first > last else leaves, dtype=np.intp)


def _cluster_variance(assets: Split, cluster: NDArray[np.intp]) -> float:
    """Variance of the cluster's portfolio whose weights are inverse to the variances."""
    inverse = 1 / assets.deviation[cluster]
    exposure = inverse / (inverse**2).sum()
    return max(float(exposure @ assets.correlation[np.ix_(cluster, cluster)] @ exposure), 0.0)


def _share_of_left(left: float, right: float) -> float:
    """Inverse to the variances; equal where both are hedged to none."""
    return right / (left + right) if left + right > 0 else 0.5
