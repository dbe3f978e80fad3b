"""The best columns for a target: a screen for variance, a rank by correlation, and no near-duplicates."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.days import Floats
from gridlab.errors import DataError

LEAST_MOVING = 0.005
"""Share of the rows in which a column must differ from its median."""

SAME = 1e-9
"""Values closer than this share of the column's greatest size do not differ."""

MOST_MISSING = 0.5
"""A column with more of its rows missing is left out, rather than the rows."""


def select(X: pd.DataFrame, y: ArrayLike, k: int, *, max_correlation: float = 0.98) -> list[str]:
    """
    Names of the `k` columns that say most about the target by themselves and are not near-copies of each other.

    Columns that hardly vary are screened out. The others are ranked by the size of Spearman's correlation with `y`:
    of ranks, so that neither a spike of a hundred times the median nor a change of scale decides. From the best down,
    a column is kept unless its correlation with one already kept is beyond `max_correlation`.

    The choice is fitted to what it is given. Give it the past only, that is the rows of days before the first day to
    be forecast, and keep the names: ``chosen = select(X[:origin], y[:origin], 30)``, then ``X.loc[origin:, chosen]``.

    Parameters
    ----------
    X : DataFrame, shape (n_times, n_features)
        Columns, for instance of `build`; NaN where they are not known.
    y : Series or array_like, shape (n_times,)
        Target. A series is matched with `X` by its index, an array by its order.
    k : int
        How many columns to keep at most.
    max_correlation : float
        Size of Spearman's correlation beyond which two columns count as one. [-]

    Returns
    -------
    list of str
        At most `k` names, the best first.

    Raises
    ------
    DataError
        If `k` is less than 1, `max_correlation` is not in (0, 1], `y` does not fit `X` or is constant, or no row has a
        target and all columns.

    References
    ----------
    .. [1] M. A. Hall, "Correlation-based feature selection for discrete and numeric class machine learning," Proc. 17th
       Int. Conf. Machine Learning, 2000: good columns go with the target and not with each other.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = pd.DataFrame(rng.normal(size=(500, 3)), columns=["noise", "signal", "flat"]).assign(flat=1.0)
    >>> X["copy"] = 3 * X["signal"]
    >>> select(X, X["signal"] + 0.1 * rng.normal(size=500), 2)
    ['signal', 'noise']
    """
    if k < 1 or int(k) != k:
        raise DataError(f"k must be a whole number of columns, 1 or more, got {k}")
    if not 0 < max_correlation <= 1:
        raise DataError(f"max_correlation must be in (0, 1], got {max_correlation}")
    target = _aligned(X, y)
    values = X.to_numpy(float)
    usable = np.flatnonzero(_is_given(values[~np.isnan(target)]))
    rows = ~np.isnan(target) & ~np.isnan(values[:, usable]).any(axis=1)
    _check_rows(rows, target, X.columns[usable])
    usable = usable[_moves(values[rows][:, usable])]
    ranks = _unit_ranks(values[rows][:, usable])
    relevance = np.abs(ranks.T @ _unit_ranks(target[rows, None])[:, 0]).round(9)
    kept = _spread_out(ranks, np.argsort(-relevance, kind="stable"), int(k), max_correlation)
    return [str(X.columns[usable[i]]) for i in kept]


def _aligned(X: pd.DataFrame, y: ArrayLike) -> Floats:
    """The target in the order of the rows of `X`, NaN where it has none."""
    if X.columns.has_duplicates:
        raise DataError(f"X has the column '{X.columns[X.columns.duplicated()][0]}' twice: rename one")
    if not isinstance(y, pd.Series):
        target = np.asarray(y, dtype=float)
        if target.shape != (len(X),):
            raise DataError(f"y must have one value for each of the {len(X)} rows of X, got shape {target.shape}")
        return target
    if X.index.equals(y.index):
        return np.asarray(y, dtype=float)
    if X.index.has_duplicates or y.index.has_duplicates:
        raise DataError("X or y has a time twice: drop the duplicates, or give rows of the same index")
    if not len(X.index.intersection(y.index)):
        raise DataError("X and y have no rows in common: give them the same period and time zone")
    return np.asarray(y.reindex(X.index), dtype=float)


def _check_rows(rows: NDArray[np.bool_], target: Floats, columns: pd.Index) -> None:
    if rows.sum() < 2:
        raise DataError(
            f"{int(rows.sum())} of {len(rows)} rows have a target and all of {len(columns)} columns, which is too few: "
            "give a longer history or drop columns with gaps"
        )
    if np.ptp(target[rows]) == 0:
        raise DataError(f"y is {target[rows][0]:g} in every complete row: there is nothing to correlate with")


def _is_given(values: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(values).sum(axis=0) <= MOST_MISSING * len(values)) & (len(values) > 0)


def _moves(values: Floats) -> NDArray[np.bool_]:
    """Which columns differ from their median in enough rows."""
    tolerance = SAME * np.abs(values).max(axis=0, initial=0.0)
    moved = np.abs(values - np.median(values, axis=0)) > tolerance
    return np.asarray(moved.mean(axis=0) >= LEAST_MOVING)


def _unit_ranks(values: Floats) -> Floats:
    """Ranks of each column, ties averaged, centred and of length 1, so that a product is a correlation."""
    ranks = pd.DataFrame(values).rank().to_numpy()
    centred = ranks - ranks.mean(axis=0)
    return np.asarray(centred / np.sqrt((centred**2).sum(axis=0)))


def _spread_out(ranks: Floats, order: NDArray[np.int64], k: int, max_correlation: float) -> list[int]:
    """The first `k` in order of which no two are alike."""
    kept: list[int] = []
    for i in order:
        alike = np.abs(ranks[:, kept].T @ ranks[:, i]).round(9) > max_correlation
        if not alike.any():
            kept.append(int(i))
        if len(kept) == k:
            break
    return kept
