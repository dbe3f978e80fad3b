"""Quantiles of the day to come around a point forecast, from one or more shapes, held to their coverage."""

from collections.abc import Sequence

import numpy as np

from gridlab.days import Floats
from gridlab.errors import DataError
from gridlab.forecast.calibrate.levels import PERCENTILES, read
from gridlab.forecast.calibrate.scale import N_MEASURES, ErrorScale
from gridlab.forecast.calibrate.shapes import SHAPES, Rows, Shape

LEAST_TAIL = 0.05
"""Least scale of the tails at which adaptive levels are read, so that they always gain from going further out. [-]"""

LEAST_DAYS = 7
"""Days that must have been observed before there are bands."""

REGRESSION_DAYS = 56
"""Days of errors that a regression needs; until then the residual quantiles stand in for it."""


class Calibration:
    r"""
    Distributions around a point forecast, learned day by day.

    Errors are divided by a scale known the day before (`ErrorScale`), so that quiet and wild days share one shape;
    each shape gives the quantiles of the divided error, and their mean, quantile by quantile [1]_, is multiplied back.
    With a rate above 0 the level at which each percentile is read then follows what came, by adaptive conformal
    inference [2]_, in each slot:
    :math:`\theta_{q,t+1} = \theta_{q,t} + \gamma (q - \mathbf 1\{y_t \le \hat Q_t(\theta_{q,t})\})`.

    Parameters
    ----------
    shapes : sequence of {"split", "qra", "idr"}
        Residual quantiles, quantile regression averaging and isotonic distributional regression.
    scaled : bool
        Whether errors are divided by the scale; else by the `spread` that is given, or by 1.
    rate : float
        Adaptive step :math:`\gamma`; 0 leaves the levels as they are. [-]
    window_days : int
        Days of errors, at most. [d]
    refit_days : int
        Days between fits of the scale and the regressions; residual quantiles are taken anew every day. [d]

    Notes
    -----
    The guarantee of a rate above 0 holds for any sequence of prices whatever [2]_: in each slot the share of T days
    at or below the band of percentile q differs from q by at most :math:`|\theta_{T+1} - \theta_1| / (\gamma T)`.
    Since the tails go on without end, theta stays bounded when errors are bounded in the scale's unit, and the share
    goes to q. It is exact before percentiles that cross, by a step at most, are put in order. With rate 0 "split" has
    the guarantee of exchangeable errors only, "qra" and "idr" that of a consistent estimate.

    Days of more than 24 slots enter the window with 24 of them, one an hour, a different one each day, so that the
    cost is that of hours; slots of an hour share its shape, not its scale.

    References
    ----------
    .. [1] A. Lipiecki, B. Uniejewski and R. Weron, "Postprocessing of point predictions for probabilistic forecasting
       of day-ahead electricity prices: the benefits of using isotonic distributional regression," Energy Economics
       139, 2024, doi:10.1016/j.eneco.2024.107934.
    .. [2] I. Gibbs and E. Candes, "Adaptive conformal inference under distribution shift," NeurIPS 2021,
       arXiv:2106.00170, Proposition 4.1.

    Examples
    --------
    >>> calibration, rng = Calibration(rate=0.0), np.random.default_rng(0)
    >>> mean, experts = np.full(24, 30.0), np.full((24, 3), 30.0)
    >>> for _ in range(100):
    ...     calibration.observe(mean, experts, rng.normal(30.0, 10.0, 24))
    >>> low, high = calibration.bands(mean, experts, (0.1, 0.9)).mean(axis=0)
    >>> bool(abs(low - 17.2) < 2 and abs(high - 42.8) < 2)
    True
    """

    def __init__(
        self,
        shapes: Sequence[str] = ("split",),
        *,
        scaled: bool = True,
        rate: float = 0.01,
        window_days: int = 364,
        refit_days: int = 7,
    ) -> None:
        unknown = [name for name in shapes if name not in SHAPES]
        if unknown or not shapes:
            raise DataError(f"shapes must be some of {', '.join(SHAPES)}, got {list(shapes)}")
        self.shapes = shapes
        self.scaled = scaled
        self.rate = rate
        self.window_days = window_days
        self.refit_days = refit_days
        self._shapes: dict[str, Shape] = {name: SHAPES[name]() for name in shapes}
        self._fallback: Shape = SHAPES["split"]()
        self._n_observed = 0

    def bands(self, mean: Floats, experts: Floats, quantiles: Sequence[float], spread: Floats | None = None) -> Floats:
        """
        Quantiles of the day to come.

        Parameters
        ----------
        mean : ndarray, shape (n_slots,)
            The point forecast. [$/MWh]
        experts : ndarray, shape (n_slots, n_experts)
            The forecasts behind it; NaN where one is missing. [$/MWh]
        quantiles : sequence of float
            Probabilities in (0, 1), in any order.
        spread : ndarray, shape (n_slots,), optional
            Positive scale of the day's errors from a model of volatility. [$/MWh]

        Returns
        -------
        ndarray, shape (n_slots, n_quantiles)
            Never crossing. [$/MWh]

        Raises
        ------
        DataError
            If fewer than 7 days have been observed, or a quantile is outside (0, 1).
        """
        levels = np.asarray(quantiles, dtype=float)
        if not ((levels > 0) & (levels < 1)).all():
            raise DataError(f"quantiles must lie in (0, 1), got {list(quantiles)}")
        if self._n_observed < LEAST_DAYS:
            raise DataError(f"bands need {LEAST_DAYS} observed days, got {self._n_observed}: observe more days first")
        scale = self._scale_of(mean, experts, spread)
        table = np.sort(self._adapted(mean, experts, scale), axis=1)
        return np.asarray(mean[:, None] + scale[:, None] * read(table, levels))

    def observe(self, mean: Floats, experts: Floats, actual: Floats, spread: Floats | None = None) -> None:
        """
        Learn a day that came; a day with a price or a forecast missing is left out.

        Parameters
        ----------
        mean, experts, spread
            As they were given to `bands`.
        actual : ndarray, shape (n_slots,)
            What came. [$/MWh]
        """
        if np.isnan(actual).any() or np.isnan(mean).any():
            return
        if not self._n_observed:
            self._begin(len(mean), experts.shape[1])
        scale = self._scale_of(mean, experts, spread)
        if self.rate and self._n_observed >= LEAST_DAYS:
            self._adapt(mean, experts, actual, scale)
        if self._n_observed or not self.scaled:
            self._record(mean, experts, actual, spread)
        self._scale.observe(mean, actual)
        self._n_observed += 1
        if self._n_observed >= LEAST_DAYS:
            self._learn()

    def _begin(self, n_slots: int, n_experts: int) -> None:
        n_groups = min(n_slots, 24)
        self._scale = ErrorScale(n_slots)
        self._levels = np.tile(PERCENTILES, (n_slots, 1))
        self._group = np.arange(n_slots) * n_groups // n_slots
        self._window = Rows(np.empty((0, n_groups)), np.empty((0, n_groups, n_experts)), np.empty((0, n_groups)))
        self._measures = np.empty((0, n_groups, N_MEASURES))

    def _scale_of(self, mean: Floats, experts: Floats, spread: Floats | None) -> Floats:
        if self.scaled:
            return self._scale.of(mean, experts, spread)
        return np.ones_like(mean) if spread is None else np.asarray(spread, dtype=float)

    def _rows(self, mean: Floats, experts: Floats, scale: Floats) -> tuple[Floats, Floats]:
        """Point forecast and experts of a day as `Rows` has them."""
        level = self._scale.level if self._n_observed else float(mean.mean())
        distance = (experts - mean[:, None]) / scale[:, None]
        return (mean - level) / scale, np.nan_to_num(distance)

    def _table(self, mean: Floats, experts: Floats, scale: Floats) -> Floats:
        """Quantiles of the day's divided errors at the percentiles, shape (n_slots, 99): the mean of the shapes'."""
        row, distance = self._rows(mean, experts, scale)
        ready = len(self._window.error) >= REGRESSION_DAYS
        shapes = self._shapes if ready else {"split": self._shapes.get("split", self._fallback)}
        tables = []
        for name, shape in shapes.items():
            table = shape.table(row, distance)
            tables.append(table[self._group] if name == "split" else table)
        return np.asarray(np.mean(tables, axis=0))

    def _adapted(self, mean: Floats, experts: Floats, scale: Floats) -> Floats:
        """Divided errors at the levels that stand for the percentiles, before they are put in order."""
        table = self._table(mean, experts, scale)
        return read(table, self._levels, LEAST_TAIL) if self.rate else table

    def _adapt(self, mean: Floats, experts: Floats, actual: Floats, scale: Floats) -> None:
        error, bound = ((actual - mean) / scale)[:, None], self._adapted(mean, experts, scale)
        below = np.where(error == bound, PERCENTILES, error < bound)
        self._levels = self._levels + self.rate * (PERCENTILES - below)

    def _record(self, mean: Floats, experts: Floats, actual: Floats, spread: Floats | None) -> None:
        """Keep the day in the window in units of recent error, one slot an hour where there are more."""
        n_slots, n_groups = len(mean), self._window.mean.shape[1]
        stride = n_slots // n_groups
        slots = np.arange(n_groups) * stride + self._n_observed % stride
        measures, unit = self._scale.measures(mean, experts, spread)
        unit_of_day = np.full(n_slots, unit) if self.scaled else self._scale_of(mean, experts, spread)
        row, distance = self._rows(mean, experts, unit_of_day)
        self._window = Rows(
            self._appended(self._window.mean, row[slots]),
            self._appended(self._window.experts, distance[slots]),
            self._appended(self._window.error, ((actual - mean) / unit_of_day)[slots]),
        )
        self._measures = self._appended(self._measures, measures[slots])

    def _appended(self, window: Floats, day: Floats) -> Floats:
        return np.concatenate([window[max(len(window) + 1 - self.window_days, 0) :], day[None]])

    def _learn(self) -> None:
        """Fit the shapes to the window divided by the scale as the last fit has it."""
        n_rows = len(self._window.error)
        fit_now = self._n_observed % self.refit_days == 0
        if self.scaled and (fit_now or n_rows < LEAST_DAYS):
            relative_error = np.abs(self._window.error).ravel()
            self._scale.fit(self._measures.reshape(-1, N_MEASURES), relative_error)
        rows = self._divided()
        for name, shape in self._shapes.items():
            if name == "split" or (n_rows >= REGRESSION_DAYS and (fit_now or n_rows == REGRESSION_DAYS)):
                shape.fit(rows)
        if "split" not in self._shapes and n_rows < REGRESSION_DAYS:
            self._fallback.fit(rows)

    def _divided(self) -> Rows:
        if not self.scaled:
            return self._window
        scale = self._scale.relative(self._measures)
        return Rows(self._window.mean / scale, self._window.experts / scale[..., None], self._window.error / scale)
