"""Shapes of the distribution around a forecast: residual quantiles, quantile regression, isotonic regression."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gridlab.days import Floats
from gridlab.forecast.calibrate.levels import PERCENTILES

RIDGE_ROWS = 30.0


@dataclass(frozen=True)
class Rows:
    """
    Forecasts of some days by slot, in the unit of the scale: (x - level) / scale.

    Parameters
    ----------
    mean : ndarray, shape (n_days, n_slots)
        The point forecast less the median price of the weeks before. [-]
    experts : ndarray, shape (n_days, n_slots, n_experts)
        The experts less the point forecast; 0 where one is missing. [-]
    error : ndarray, shape (n_days, n_slots)
        Actual less the point forecast. [-]
    """

    mean: Floats
    experts: Floats
    error: Floats


class Shape(Protocol):
    """Quantiles of the error of a day, in the unit of the scale, learned from rows."""

    def fit(self, rows: Rows) -> None:
        """Learn from the days of a window."""

    def table(self, mean: Floats, experts: Floats) -> Floats:
        """Quantiles of the day's errors at the percentiles, shape (n_slots, 99), from one day of `Rows`' columns."""


class Split:
    """
    Quantiles of past errors, each slot pooled with its two neighbours, at the rank (n + 1) q of split conformal.

    Were the errors exchangeable, a one-sided band of level q would hold the price with probability q or more [1]_.
    They are not, quite: hence the division by a scale, and the adaptive rate of `Calibration`.

    References
    ----------
    .. [1] J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani and L. Wasserman, "Distribution-free predictive inference
       for regression," JASA 113(523), 2018, doi:10.1080/01621459.2017.1307116.
    """

    def fit(self, rows: Rows) -> None:
        """Learn from the days of a window."""
        n_slots = rows.error.shape[1]
        neighbours = np.clip(np.arange(n_slots)[:, None] + [-1, 0, 1], 0, n_slots - 1)
        pooled = rows.error[:, neighbours] if n_slots > 1 else rows.error[:, :, None]
        self._table = np.quantile(pooled, PERCENTILES, axis=(0, 2), method="weibull").T

    def table(self, mean: Floats, experts: Floats) -> Floats:
        """Quantiles of the day's errors at the percentiles, shape (n_slots, 99)."""
        return np.asarray(self._table)


class QuantileRegression:
    r"""
    Quantile regression averaging [1]_: each percentile of the price a linear mix of the experts and the scale.

    In the unit of the scale s, the error is regressed on a constant and the experts' distances from the point
    forecast f: :math:`q_\tau = f + a_\tau s + \sum_k b_{\tau k} (f_k - f)`. All slots share the coefficients. The
    check loss is smoothed by a uniform kernel of the bandwidth of [2]_ and solved by Newton's method, warm-started
    from the neighbouring percentile and from the last fit; a ridge holds experts that say the same.
    Percentiles that cross are sorted [3]_.

    References
    ----------
    .. [1] J. Nowotarski and R. Weron, "Computing electricity spot price prediction intervals using quantile regression
       and forecast averaging," Computational Statistics 30, 2015, doi:10.1007/s00180-014-0523-0.
    .. [2] X. He, X. Pan, K. M. Tan and W.-X. Zhou, "Smoothed quantile regression with large-scale inference," J.
       Econometrics 232(2), 2023, doi:10.1016/j.jeconom.2021.07.010.
    .. [3] V. Chernozhukov, I. Fernandez-Val and A. Galichon, "Quantile and probability curves without crossing,"
       Econometrica 78(3), 2010, doi:10.3982/ECTA7880.
    """

    _coefficients: Floats | None = None

    def fit(self, rows: Rows) -> None:
        """Learn from the days of a window."""
        X = _with_constant(rows.experts.reshape(-1, rows.experts.shape[2]))
        start = self._coefficients
        if start is None or start.shape[1] != X.shape[1]:
            start = None
        self._coefficients = smoothed_quantile_regression(X, rows.error.ravel(), PERCENTILES, start=start)

    def table(self, mean: Floats, experts: Floats) -> Floats:
        """Quantiles of the day's errors at the percentiles, shape (n_slots, 99)."""
        return np.sort(_with_constant(experts) @ np.asarray(self._coefficients).T, axis=1)


class Isotonic:
    """
    Isotonic distributional regression [1]_ on the point forecast: the higher it is, the higher every quantile.

    Prices and forecasts are taken less the median price of the weeks before and in the unit of the scale, so that the
    window may cross a change of level or of volatility; all slots are pooled. The distribution is the one of least
    CRPS among all that keep the order. It is held at 200 values of the forecast, linear in between.

    References
    ----------
    .. [1] A. Henzi, J. F. Ziegel and T. Gneiting, "Isotonic distributional regression," J. Royal Statistical Society B
       83(5), 2021, doi:10.1111/rssb.12450.
    """

    def fit(self, rows: Rows) -> None:
        """Learn from the days of a window."""
        from gridlab.forecast.calibrate.isotonic import isotonic_quantiles

        mean = rows.mean.ravel()
        self._knots, self._quantiles = isotonic_quantiles(mean, mean + rows.error.ravel(), PERCENTILES)

    def table(self, mean: Floats, experts: Floats) -> Floats:
        """Quantiles of the day's errors at the percentiles, shape (n_slots, 99)."""
        last = len(self._knots) - 1
        above = np.clip(np.searchsorted(self._knots, mean), min(1, last), last)
        below = np.maximum(above - 1, 0)
        width = self._knots[above] - self._knots[below]
        part = np.divide(mean - self._knots[below], width, out=np.zeros_like(mean), where=width > 0)
        part = np.clip(part, 0.0, 1.0)[:, None]
        return np.asarray((1 - part) * self._quantiles[below] + part * self._quantiles[above] - mean[:, None])


def smoothed_quantile_regression(
    X: Floats, y: Floats, levels: Floats, *, ridge_rows: float = RIDGE_ROWS, start: Floats | None = None
) -> Floats:
    """
    Coefficients of linear quantile regressions, shape (n_levels, n_columns).

    Parameters
    ----------
    X : ndarray, shape (n_rows, n_columns)
        Regressors, the first column constant.
    y : ndarray, shape (n_rows,)
        Target.
    levels : ndarray, shape (n_levels,)
        Levels in (0, 1).
    ridge_rows : float
        Weight of the ridge on all coefficients but the constant, in rows of data. [-]
    start : ndarray, shape (n_levels, n_columns), optional
        Coefficients to begin with.

    Returns
    -------
    ndarray, shape (n_levels, n_columns)

    References
    ----------
    .. [1] X. He, X. Pan, K. M. Tan and W.-X. Zhou, "Smoothed quantile regression with large-scale inference," J.
       Econometrics 232(2), 2023, doi:10.1016/j.jeconom.2021.07.010.

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 1001)
    >>> y = (1 + x) * np.tile([-1.0, 0.0, 1.0], 334)[:1001]
    >>> X = np.column_stack([np.ones(1001), x])
    >>> smoothed_quantile_regression(X, y, np.array([0.5])).round(1).tolist()
    [[-0.0, 0.0]]
    """
    n_rows, n_columns = X.shape
    spread = 1.4826 * float(np.median(np.abs(y - np.median(y)))) or float(np.std(y)) or 1.0
    bandwidth = spread * max(0.05, ((n_columns + np.log(n_rows)) / n_rows) ** 0.4)
    ridge = np.concatenate([[1e-6], np.full(n_columns - 1, ridge_rows / n_rows + 1e-9)])
    coefficients = np.zeros((len(levels), n_columns))
    before = np.concatenate([[np.median(y)], np.zeros(n_columns - 1)])
    for row in np.argsort(np.abs(levels - 0.5), kind="stable"):
        near = before if start is None else start[row]
        coefficients[row] = before = _smoothed(X, y, float(levels[row]), bandwidth, ridge, near)
    return coefficients


def _smoothed(X: Floats, y: Floats, level: float, bandwidth: float, ridge: Floats, start: Floats) -> Floats:
    """Newton's method on the smoothed check loss with a ridge."""
    n_rows = len(X)
    coefficients = start
    for _ in range(30):
        residual = y - X @ coefficients
        slope = X.T @ (level - np.clip((bandwidth - residual) / (2 * bandwidth), 0, 1)) / n_rows - ridge * coefficients
        near = X[np.abs(residual) < bandwidth]
        curvature = near.T @ near / (2 * bandwidth * n_rows) + np.diag(ridge)
        step = np.linalg.solve(curvature, slope)
        coefficients = coefficients + step * min(1.0, bandwidth / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-3 * bandwidth:
            break
    return coefficients


def _with_constant(experts: Floats) -> Floats:
    return np.column_stack([np.ones(len(experts)), experts])


SHAPES: dict[str, type[Split] | type[QuantileRegression] | type[Isotonic]] = {
    "split": Split,
    "qra": QuantileRegression,
    "idr": Isotonic,
}
"""Name of a shape to its class."""
