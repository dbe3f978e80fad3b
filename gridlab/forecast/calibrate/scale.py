"""The scale of a day's errors, slot by slot, from what is known the day before."""

import numpy as np

from gridlab.days import Floats
from gridlab.forecast.calibrate.uncertainty import disagreement
from gridlab.forecast.combine import hour_kernel

HALF_LIFE_DAYS = (7.0, 28.0, 91.0)
LEVEL_DAYS = 28
PRIOR = np.array([0.3, 0.1, 0.2, 0.1, 0.15, 0.05, 0.1, 0.0])
"""Exponents that a fit without data would have, of the measures in the order of `ErrorScale.measures`."""

N_MEASURES = len(PRIOR)

PRIOR_ROWS = 20.0
"""Weight of the prior, in rows of data."""


class ErrorScale:
    r"""
    Expected absolute error of each slot: a product of powers of measures that are known the day before.

    The measures: the disagreement of the experts, recent absolute errors of the slot with half-lives of 7, 28 and 91
    days, the distance of the forecast from the median price of four weeks, the range of the day's forecast, the last
    day's error, and a spread that the caller may give. The exponents have the greatest likelihood under Laplace's
    distribution, :math:`\sum |e| / s + \log s`, which is convex in them [1]_, drawn to a prior by the weight of 20
    errors.

    References
    ----------
    .. [1] R. Koenker and Q. Zhao, "Conditional quantile estimation and inference for ARCH models," Econometric Theory
       12(5), 1996, doi:10.1017/S0266466600007167, has scale models of absolute errors.

    Examples
    --------
    >>> scale, rng = ErrorScale(24), np.random.default_rng(0)
    >>> for _ in range(60):
    ...     scale.observe(np.full(24, 30.0), rng.normal(30.0, 2.0, 24))
    >>> experts = np.full((24, 2), 30.0)
    >>> bool(np.all(scale.of(np.full(24, 30.0), experts) > 0))
    True
    """

    def __init__(self, n_slots: int) -> None:
        self._kernels = [hour_kernel(n_slots, hours) for hours in (0.7, 2.0, 1.5)]
        self._error = np.zeros((len(HALF_LIFE_DAYS), n_slots))
        self._known = np.zeros(len(HALF_LIFE_DAYS))
        self._last = np.zeros(n_slots)
        self._prices = np.empty((0, n_slots))
        self._exponents = PRIOR
        self._constant = 0.0

    def of(self, mean: Floats, experts: Floats, spread: Floats | None = None) -> Floats:
        """Scale of the day to come, shape (n_slots,), positive. [$/MWh]."""
        measures, unit = self.measures(mean, experts, spread)
        return unit * self.relative(measures)

    def relative(self, measures: Floats) -> Floats:
        """Scale in the unit of the measures, (..., 8) to (...)."""
        return np.asarray(np.exp(np.clip(self._constant + measures @ self._exponents, -20, 20)))

    def measures(self, mean: Floats, experts: Floats, spread: Floats | None = None) -> tuple[Floats, float]:
        """Logarithms of the measures in their unit, shape (n_slots, 8), and the unit: the mean recent error."""
        week, month, quarter = self._error / np.maximum(self._known, 1e-12)[:, None]
        unit = float(quarter.mean()) if quarter.any() else 1.0
        of_day = np.ones_like(mean)
        level = np.median(self._prices) if len(self._prices) else mean.mean()
        measures = [
            self._kernels[0] @ disagreement(experts),
            self._kernels[1] @ week,
            self._kernels[1] @ month,
            quarter,
            np.abs(mean - level) + unit,
            (mean.max() - mean.min()) * of_day,
            self._kernels[2] @ self._last + 0.2 * month,
            of_day * unit if spread is None else spread,
        ]
        return np.log(np.maximum(np.stack(measures, axis=1) / unit, 0.01)), unit

    def observe(self, mean: Floats, actual: Floats) -> None:
        """Learn a day that came; both of shape (n_slots,)."""
        keep = 0.5 ** (1 / np.array(HALF_LIFE_DAYS))
        self._last = np.abs(actual - mean)
        self._error = keep[:, None] * self._error + (1 - keep)[:, None] * self._last
        self._known = keep * self._known + (1 - keep)
        self._prices = np.concatenate([self._prices[1 - LEVEL_DAYS :], actual[None]])

    @property
    def level(self) -> float:
        """Median price of the last four weeks. [$/MWh]."""
        return float(np.median(self._prices))

    def fit(self, measures: Floats, relative_error: Floats) -> None:
        """Learn the exponents from rows of measures, (n_rows, 8), and absolute errors in their units, (n_rows,)."""
        X = np.column_stack([np.ones(len(measures)), measures])
        prior = np.concatenate([[0.0], PRIOR])
        pull = np.diag([1e-9, *np.full(len(PRIOR), PRIOR_ROWS / len(X))])
        exponents = np.concatenate([[self._constant], self._exponents])
        for _ in range(20):
            ratio = relative_error * np.exp(-np.clip(X @ exponents, -20, 20))
            slope = X.T @ (1 - ratio) / len(X) + pull @ (exponents - prior)
            curvature = (X * ratio[:, None]).T @ X / len(X) + pull
            step = np.linalg.solve(curvature, slope)
            exponents = exponents - step * min(1.0, 0.5 / max(float(np.abs(step).max()), 1e-12))
            if np.abs(step).max() < 1e-4:
                break
        self._constant, self._exponents = float(exponents[0]), exponents[1:]
