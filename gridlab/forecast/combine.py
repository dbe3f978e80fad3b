"""
Combination of forecasts: weights for some experts, learned day by day from what came.

A combination forecasts a day with the weights that the days before have taught it (`mean`), then learns that day
(`observe`). Its state is arrays of its own, so it pickles, and the same days give the same weights.
"""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from gridlab.days import Floats
from gridlab.errors import DataError
from gridlab.family import Family

ROUNDS = 3
"""Of reweighting a day in `Stacking`."""


class Combination:
    """
    The plain mean of the experts, which is hard to beat and learns nothing [1]_; the base of the other combinations.

    Weights are zero or more and sum to 1 in each slot. An expert without a forecast of a slot (NaN) weighs nothing
    there, and the others share its weight in proportion; what it would have lost is taken to be what the others did.

    References
    ----------
    .. [1] R. T. Clemen, "Combining forecasts: a review and annotated bibliography," Int. J. Forecasting 5(4), 1989,
       doi:10.1016/0169-2070(89)90012-5.

    Examples
    --------
    >>> Combination().mean(np.array([[10.0, 20.0], [30.0, np.nan]])).tolist()
    [15.0, 30.0]
    """

    def __init__(self) -> None:
        self._weights = np.empty((0, 0))

    @property
    def weights(self) -> Floats:
        """Weights of the day to come, shape (n_slots, n_experts) or (1, n_experts) where all slots share them [-]."""
        return self._weights

    def mean(self, experts: Floats) -> Floats:
        """
        Forecast of the day to come.

        Parameters
        ----------
        experts : ndarray, shape (n_slots, n_experts)
            Their forecasts; NaN where an expert has none. [$/MWh]

        Returns
        -------
        ndarray, shape (n_slots,)
            The weighted mean. [$/MWh]

        Raises
        ------
        DataError
            If there are no experts, a slot has none, or their number is not that of the days learned.
        """
        experts = self._checked(experts)
        present = ~np.isnan(experts)
        weights = np.where(present, self._weights, 0.0)
        weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, present)
        weights = weights / weights.sum(axis=1, keepdims=True)
        return np.asarray((weights * np.where(present, experts, 0.0)).sum(axis=1))

    def observe(self, experts: Floats, actual: Floats) -> None:
        """
        Learn a day that came.

        Parameters
        ----------
        experts : ndarray, shape (n_slots, n_experts)
            What the experts had forecast. [$/MWh]
        actual : ndarray, shape (n_slots,)
            What came; NaN where it is not known. [$/MWh]

        Raises
        ------
        DataError
            As `mean`.
        """
        combined = self.mean(experts)
        error = np.asarray(experts, dtype=float) - np.asarray(actual, dtype=float)[:, None]
        if not np.isnan(error).all():
            self._weights = self._learned(error, combined - actual)

    def _learned(self, error: Floats, combined_error: Floats) -> Floats:
        """Weights after a day of which the errors, forecast minus actual, are given; NaN where there is none."""
        return self._weights

    def _checked(self, experts: Floats) -> Floats:
        experts = np.asarray(experts, dtype=float)
        n_experts = experts.shape[1]
        if not n_experts or np.isnan(experts).all(axis=1).any():
            raise DataError("every slot needs the forecast of at least one expert: drop the day or add an expert")
        if not self._weights.size:
            self._weights = np.full((1, n_experts), 1 / n_experts)
        if self._weights.shape[1] != n_experts:
            raise DataError(
                f"{type(self).__name__} has learned {self._weights.shape[1]} experts, got {n_experts}: give the same "
                "ones, a column of NaN for one that is missing"
            )
        return experts


class InverseError(Combination):
    """
    Weights in inverse proportion to a power of the mean absolute error of the last days.

    Parameters
    ----------
    window_days : int
        Days of errors. [d]
    power : float
        Of the error; 0 gives the mean. [-]

    References
    ----------
    .. [1] J. M. Bates and C. W. J. Granger, "The combination of forecasts," Operational Research Quarterly 20(4),
       1969, doi:10.1057/jors.1969.103, whose weights have the power 2.

    Examples
    --------
    >>> combination = InverseError(power=1)
    >>> combination.observe(np.array([[11.0, 13.0]]), np.array([10.0]))
    >>> combination.weights.tolist()
    [[0.75, 0.25]]
    """

    def __init__(self, window_days: int = 28, power: float = 2.0) -> None:
        super().__init__()
        self.window_days = window_days
        self.power = power
        self._losses: Floats = np.empty((0, 0, 0))

    def _learned(self, error: Floats, combined_error: Floats) -> Floats:
        self._losses = _appended(self._losses, _losses(error), self.window_days)
        return _shares((1 + _excess(np.nanmean(self._losses, axis=(0, 1))[None])) ** -self.power)


class RecentError(InverseError):
    """
    Exponential weights on the last days' mean absolute error, as a share of the best expert's, by hour.

    With the whole past instead of a window it would be the exponentially weighted average forecaster [1]_; the window
    lets it follow changes at the price of the theorem. The errors are smoothed over neighbouring hours.

    Parameters
    ----------
    window_days : int
        Days of errors. [d]
    rate : float
        An expert worse than the best by the share 1 / `rate` weighs 1/e of it. [-]
    smooth_hours : float
        Standard deviation of the normal kernel over the hours. [h]

    References
    ----------
    .. [1] N. Cesa-Bianchi and G. Lugosi, Prediction, Learning, and Games, Cambridge University Press, 2006, ch. 2,
       doi:10.1017/CBO9780511546921.

    Examples
    --------
    >>> combination = RecentError(rate=10.0)
    >>> combination.observe(np.array([[11.0, 11.1]]), np.array([10.0]))
    >>> bool(np.isclose(combination.weights[0, 0] / combination.weights[0, 1], np.e))
    True
    """

    def __init__(self, window_days: int = 56, rate: float = 10.0, smooth_hours: float = 2.0) -> None:
        super().__init__(window_days)
        self.rate = rate
        self.smooth_hours = smooth_hours

    def _learned(self, error: Floats, combined_error: Floats) -> Floats:
        self._losses = _appended(self._losses, _losses(error), self.window_days)
        kernel = hour_kernel(len(error), self.smooth_hours)
        total, n_known = np.nansum(self._losses, axis=0), (~np.isnan(self._losses)).sum(axis=0)
        mae = (kernel @ total) / np.maximum(kernel @ n_known, 1e-9)
        return _shares(np.exp(-self.rate * _excess(mae)))


class Online(Combination):
    r"""
    ML-Poly: weights from the regret of the combination towards each expert, with rates that need no tuning.

    Losses are linearised at the combined forecast, so that the combination is held to the best convex mix of the
    experts and not only to the best one. With instantaneous regrets :math:`r_{k,t}`, their sums :math:`R_k` and sums
    of squares :math:`V_k`, the weights are :math:`w_k \propto (R_k)_+ / (B^2 + V_k)`, :math:`B` the largest regret
    met. The scale of prices drops out, for a regret that passes the largest so far enters cut to that one [2]_.

    Parameters
    ----------
    half_life_days : float
        After which a regret counts half; ``inf`` forgets nothing. [d]
    smooth_hours : float
        Standard deviation of the normal kernel by which hours share regrets; 0 keeps them apart. [h]

    Notes
    -----
    The polynomial potential of [1]_ with the cut of [2]_ gives, where nothing is forgotten or shared between hours,
    after any sequence of days :math:`R_k \le B + \sqrt{A_k \sum_j \log_2 (A_j / b^2)}` in each slot, with
    :math:`A_k = B^2 + V_k` and :math:`b` the first regret that is not 0: the regret grows like the root of the days.
    The absolute loss exceeds that of the best fixed convex mix by no more. To forget and to share follows changes and
    lowers the error on day-ahead prices a little; the bound then no longer holds for the whole past.

    References
    ----------
    .. [1] P. Gaillard, G. Stoltz and T. van Erven, "A second-order bound with excess losses," COLT 2014,
       arXiv:1402.2044.
    .. [2] A. Cutkosky, "Artificial constraints and hints for unbounded online learning," COLT 2019, arXiv:1902.09013.

    Examples
    --------
    >>> combination = Online()
    >>> for _ in range(30):
    ...     combination.observe(np.array([[8.0, 15.0]]), np.array([10.0]))
    >>> bool(abs(combination.mean(np.array([[8.0, 15.0]]))[0] - 10) < 1)  # neither expert alone is as near
    True
    """

    def __init__(self, half_life_days: float = 140.0, smooth_hours: float = 2.0) -> None:
        super().__init__()
        self.half_life_days = half_life_days
        self.smooth_hours = smooth_hours
        self._regret = self._square = self._largest = np.zeros((1, 1))

    def _learned(self, error: Floats, combined_error: Floats) -> Floats:
        gradient = np.sign(np.nan_to_num(combined_error))[:, None]
        regret = np.nan_to_num(gradient * (combined_error[:, None] - error))
        largest = np.maximum(self._largest, np.abs(regret).max(axis=1, keepdims=True))
        cut = regret * np.divide(self._largest, largest, out=np.zeros_like(largest), where=largest > 0)
        keep = 0.5 ** (1 / self.half_life_days)
        self._regret, self._square = keep * self._regret + cut, keep * self._square + cut**2
        self._largest = largest
        shared = hour_kernel(len(error), self.smooth_hours) @ self._regret
        scale = self._largest**2 + self._square
        return _shares(np.divide(np.maximum(shared, 0.0), scale, out=np.zeros_like(shared), where=scale > 0))


class Stacking(Combination):
    """
    The convex mix of the experts with the least absolute error over the last days, drawn a little to the mean [1]_.

    Solved by reweighted least squares over the simplex, a few rounds a day from the weights of the day before; the
    ridge keeps experts that say much the same from trading places every day. An expert that misses more than half of
    the days weighs nothing, and days that another misses are left out.

    Parameters
    ----------
    window_days : int
        Days of errors. [d]
    ridge : float
        Pull towards equal weights, in mean squares of the experts' errors. [-]

    References
    ----------
    .. [1] C. Conflitti, C. De Mol and D. Giannone, "Optimal combination of survey forecasts," Int. J. Forecasting
       31(4), 2015, doi:10.1016/j.ijforecast.2015.03.009.

    Examples
    --------
    >>> combination = Stacking(ridge=0.0)
    >>> for day in range(20):
    ...     combination.observe(np.array([[8.0, 14.0], [28.0, 34.0]]), np.array([10.0, 30.0]))
    >>> combination.weights.round(3).tolist()
    [[0.667, 0.333]]
    """

    def __init__(self, window_days: int = 182, ridge: float = 0.1) -> None:
        super().__init__()
        self.window_days = window_days
        self.ridge = ridge
        self._errors: Floats = np.empty((0, 0, 0))

    def _learned(self, error: Floats, combined_error: Floats) -> Floats:
        self._errors = _appended(self._errors, error, self.window_days)
        rows = self._errors.reshape(-1, error.shape[1])
        rows = rows[~np.isnan(rows).all(axis=1)]
        often = np.isnan(rows).mean(axis=0) <= 0.5
        rows = rows[:, often][~np.isnan(rows[:, often]).any(axis=1)]
        scale = np.abs(rows).mean() if rows.size else 0.0
        weights = np.zeros((1, error.shape[1]))
        weights[0, often] = self._solved(rows / scale, self._weights[0, often]) if scale > 0 else 1.0
        return _shares(weights) if weights.any() else self._weights

    def _solved(self, rows: Floats, start: Floats) -> Floats:
        weights = start / start.sum() if start.any() else np.full(len(start), 1 / len(start))
        for _ in range(ROUNDS):
            weights = self._reweighted(rows, weights)
        return weights

    def _reweighted(self, rows: Floats, weights: Floats) -> Floats:
        residual = np.abs(rows @ weights)
        emphasis = 1 / np.maximum(residual, max(0.05 * np.median(residual), 1e-9))
        gram = (rows * emphasis[:, None]).T @ rows / emphasis.sum()
        gram += self.ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
        return _least_square_on_simplex(gram, weights)


class Average(Combination):
    """
    The mean of the weights of several combinations.

    Parameters
    ----------
    members : sequence of str
        Names in `COMBINATIONS`.

    Examples
    --------
    >>> combination = Average()
    >>> for day in range(20):
    ...     combination.observe(np.array([[10.0, 14.0]]), np.array([10.0]))
    >>> bool(combination.weights[0, 0] > 0.9)
    True
    """

    def __init__(self, members: tuple[str, ...] = ("online", "recent_error")) -> None:
        super().__init__()
        self.members = members
        self._combinations = [COMBINATIONS[name]() for name in members]

    def observe(self, experts: Floats, actual: Floats) -> None:
        """Learn a day that came, in every member."""
        self._checked(experts)
        for combination in self._combinations:
            combination.observe(experts, actual)
        self._weights = sum((c.weights for c in self._combinations), np.zeros((1, 1))) / len(self._combinations)


COMBINATIONS: MappingProxyType[str, Callable[..., Combination]] = MappingProxyType(
    Family(
        "combination",
        {
            "mean": Combination,
            "inverse_error": InverseError,
            "recent_error": RecentError,
            "online": Online,
            "stacking": Stacking,
            "average": Average,
        },
    )
)
"""Name of a combination to its class."""


def hour_kernel(n_slots: int, smooth_hours: float) -> Floats:
    """
    Row-stochastic matrix that smooths over neighbouring hours by a normal kernel; the identity for 0.

    Examples
    --------
    >>> hour_kernel(24, 2.0).sum(axis=1).round(12).tolist() == [1.0] * 24
    True
    """
    if smooth_hours == 0:
        return np.eye(n_slots)
    hours = np.arange(n_slots) * 24 / n_slots
    kernel = np.exp(-0.5 * ((hours[:, None] - hours) / smooth_hours) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True))


def _appended(window: Floats, day: Floats, window_days: int) -> Floats:
    """Return the last days with one more, shape (n_days, n_slots, n_experts)."""
    return (
        np.concatenate([window[1 - window_days :] if window_days > 1 else window[:0], day[None]])
        if window.size
        else day[None]
    )


def _losses(error: Floats) -> Floats:
    """Absolute errors; the mean of the others where an expert has none, NaN in slots of which nothing is known."""
    loss, present = np.abs(error), ~np.isnan(error)
    n_present = present.sum(axis=1, keepdims=True)
    others = np.divide(
        np.nansum(loss, axis=1, keepdims=True), n_present, where=n_present > 0, out=np.full(n_present.shape, np.nan)
    )
    return np.where(present, loss, others)


def _excess(loss: Floats) -> Floats:
    """Loss of each expert above the best one's, as a share of it, at most 1e9; 0 where none errs."""
    best, worst = loss.min(axis=1, keepdims=True), loss.max(axis=1, keepdims=True)
    return np.asarray(np.divide(loss - best, np.maximum(best, 1e-9 * worst), out=np.zeros_like(loss), where=worst > 0))


def _shares(parts: Floats) -> Floats:
    """Parts of a whole in each slot; equal ones where all are 0."""
    total = parts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(parts, total, out=np.full_like(parts, 1 / parts.shape[1]), where=total > 0))


def _least_square_on_simplex(gram: Floats, start: Floats) -> Floats:
    """Weights of least ``w' gram w``, zero or more with the sum 1, by accelerated projected gradients."""
    step = 1 / max(float(np.linalg.norm(gram, 2)), 1e-12)
    weights = ahead = start
    momentum = 1.0
    for _ in range(200):
        moved = project_to_simplex(ahead - step * (gram @ ahead))
        if np.abs(moved - weights).max() < 1e-6:
            return moved
        next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / next_momentum * (moved - weights)
        weights, momentum = moved, next_momentum
    return np.asarray(weights)


def project_to_simplex(point: Floats) -> Floats:
    """
    The nearest point with coordinates zero or more that sum to 1 [1]_.

    References
    ----------
    .. [1] J. Duchi, S. Shalev-Shwartz, Y. Singer and T. Chandra, "Efficient projections onto the l1-ball for learning
       in high dimensions," ICML 2008, doi:10.1145/1390156.1390191.

    Examples
    --------
    >>> project_to_simplex(np.array([0.9, 0.5, -1.0])).round(9).tolist()
    [0.7, 0.3, 0.0]
    """
    largest_first = np.sort(point)[::-1]
    surplus = (np.cumsum(largest_first) - 1) / np.arange(1, len(point) + 1)
    return np.asarray(np.maximum(point - surplus[np.flatnonzero(largest_first > surplus)[-1]], 0.0))
