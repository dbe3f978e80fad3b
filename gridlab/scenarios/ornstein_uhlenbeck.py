"""The Ornstein-Uhlenbeck process, by its exact transition: prices that revert to a mean."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.scenarios.likelihood import (
    Estimated,
    checked_series,
    checked_start,
    checked_step,
    neighbours,
    normal_log_likelihood,
)

Floats = NDArray[np.float64]

LEAST_STEPS = 10


@dataclass(frozen=True)
class OUParams(Estimated):
    r"""
    An Ornstein-Uhlenbeck process, ``dX = kappa (mean - X) dt + sigma dW``.

    Parameters
    ----------
    mean : float
        What it reverts to. [unit of x]
    kappa : float
        Speed of reversion. [1/unit of dt]
    sigma : float
        Volatility. [unit of x per root of the unit of dt]
    dt : float
        Length of a step.

    Examples
    --------
    >>> params = OUParams(mean=30.0, kappa=0.1, sigma=2.0, dt=1.0)
    >>> round(params.half_life, 3), round(params.stationary_sd, 3)
    (6.931, 4.472)
    """

    estimated: ClassVar[tuple[str, ...]] = ("mean", "kappa", "sigma")

    mean: float
    kappa: float
    sigma: float
    dt: float

    def __post_init__(self) -> None:
        self._require_positive("kappa", "sigma", "dt")

    @property
    def half_life(self) -> float:
        """Time in which a deviation halves, ``ln 2 / kappa``. [unit of dt]"""
        return float(np.log(2) / self.kappa)

    @property
    def stationary_sd(self) -> float:
        """Standard deviation in the long run, ``sigma / sqrt(2 kappa)``. [unit of x]"""
        return float(self.sigma / np.sqrt(2 * self.kappa))

    @property
    def decay(self) -> float:
        """Share of a deviation that is left a step later, ``exp(-kappa dt)``. [-]"""
        return float(np.exp(-self.kappa * self.dt))

    @property
    def step_sd(self) -> float:
        """Standard deviation of a step, given where it starts. [unit of x]"""
        return float(self.stationary_sd * np.sqrt(-np.expm1(-2 * self.kappa * self.dt)))


def calibrate_ou(x: ArrayLike, *, dt: float) -> OUParams:
    r"""
    Ornstein-Uhlenbeck process of greatest likelihood.

    A step is exactly a first-order autoregression with normal errors, of coefficient ``exp(-kappa dt)`` and variance
    ``sigma^2 (1 - exp(-2 kappa dt)) / (2 kappa)``, so that least squares gives the maximum in closed form, given the
    first value [1]_. Standard errors come from the information matrix by the delta method. As for every
    autoregression, kappa is estimated too high in short series, by about ``(1 + 3 decay) / (n decay dt)`` [2]_.

    Parameters
    ----------
    x : array_like, shape (n,)
        Series at steps of `dt`. NaN is a gap: only neighbours with no gap between them are used.
    dt : float
        Length of a step, in the unit that kappa is wanted in.

    Returns
    -------
    OUParams

    Raises
    ------
    DataError
        If there are fewer than 10 steps, the series is constant or infinite, or it does not revert to a mean: an
        autoregressive coefficient outside (0, 1).

    References
    ----------
    .. [1] C. Y. Tang and S. X. Chen, "Parameter estimation and bias correction for diffusion processes," J.
       Econometrics 149(1), 2009, doi:10.1016/j.jeconom.2008.11.001.
    .. [2] M. G. Kendall, "Note on bias in the estimation of autocorrelation," Biometrika 41(3-4), 1954,
       doi:10.1093/biomet/41.3-4.403.

    Examples
    --------
    >>> truth = OUParams(mean=30.0, kappa=0.1, sigma=2.0, dt=1.0)
    >>> x = simulate_ou(truth, start=30.0, n_steps=8760, n_paths=1, rng=np.random.default_rng(0))[0]
    >>> calibrate_ou(x, dt=1.0).table().T.round(3)
    parameter         mean  kappa  sigma
    estimate        30.049  0.093  1.996
    standard_error   0.231  0.005  0.016
    """
    dt = checked_step(dt)
    before, after = neighbours(checked_series(x, least=LEAST_STEPS))
    centre = before.mean()
    deviation = before - centre
    square = deviation @ deviation
    decay = float(deviation @ after / square) if square > 0 else 1.0
    _require_reversion(decay)
    level = after.mean() - centre
    residual = after - centre - level - decay * deviation
    variance = float(residual @ residual / len(residual))
    if not variance > 1e-20 * after.var():
        raise DataError("x follows its recursion without error, so sigma is 0: there is no process to calibrate")
    kappa = -np.log(decay) / dt
    mean = centre + level / (1 - decay)
    sigma = np.sqrt(variance * 2 * kappa / (1 - decay**2))
    errors = _errors(decay, variance, level / (1 - decay), len(before), square, dt)
    log_likelihood = normal_log_likelihood(variance, len(before))
    return OUParams(
        float(mean), float(kappa), float(sigma), dt, errors=errors, n=len(before), log_likelihood=log_likelihood
    )


def simulate_ou(params: OUParams, *, start: ArrayLike, n_steps: int, n_paths: int, rng: np.random.Generator) -> Floats:
    """
    Draw paths of an Ornstein-Uhlenbeck process, exact at every step.

    Parameters
    ----------
    params : OUParams
        The process.
    start : float or array_like, shape (n_paths,)
        Last known value; the first column is a step later. [unit of x]
    n_steps, n_paths : int
        Steps of `params.dt`, and paths.
    rng : Generator
        Source of randomness: the normals are those of ``rng.standard_normal((n_paths, n_steps))``.

    Returns
    -------
    ndarray, shape (n_paths, n_steps)

    Raises
    ------
    DataError
        If a count is below 1 or `start` is not finite or of another shape.

    Examples
    --------
    >>> params = OUParams(mean=30.0, kappa=0.1, sigma=2.0, dt=1.0)
    >>> simulate_ou(params, start=50.0, n_steps=3, n_paths=2, rng=np.random.default_rng(0)).round(2).tolist()
    [[48.34, 46.34, 46.0], [48.3, 45.54, 44.75]]
    """
    from gridlab.scenarios.recursions import revert

    first = checked_start(start, n_steps=n_steps, n_paths=n_paths)
    paths = np.empty((n_paths, n_steps))
    revert(rng, paths, first, params.decay, params.mean * (1 - params.decay), params.step_sd)
    return paths


def _require_reversion(decay: float) -> None:
    if decay >= 1:
        raise DataError(
            f"x does not revert to a mean: its autoregressive coefficient is {decay:.4f}, not in (0, 1): take out its "
            "trend, give a longer period, or use calibrate_gbm"
        )
    if decay <= 0:
        raise DataError(
            f"x turns about its mean at every step: its autoregressive coefficient is {decay:.4f}, not in (0, 1): take "
            "out its season, or sample it at longer steps"
        )


def _errors(decay: float, variance: float, offset: float, n: int, square: float, dt: float) -> dict[str, float]:
    """Standard errors by the delta method, from those of the autoregression about the mean of its regressor."""
    variances = np.array([variance / n, variance / square, 2 * variance**2 / n])  # of level, decay and variance
    ratio = -2 * np.log(decay) / (dt * (1 - decay**2))
    ratio_slope = (-2 / (decay * dt) + 2 * decay * ratio) / (1 - decay**2)
    sigma = np.sqrt(variance * ratio)
    slopes = np.array(
        [
            [1 / (1 - decay), offset / (1 - decay), 0.0],
            [0.0, -1 / (decay * dt), 0.0],
            [0.0, variance * ratio_slope / (2 * sigma), ratio / (2 * sigma)],
        ]
    )
    errors = np.sqrt(slopes**2 @ variances)
    return {name: float(error) for name, error in zip(OUParams.estimated, errors, strict=True)}
