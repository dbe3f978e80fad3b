"""Geometric Brownian motion, for series that are above 0 whatever happens, such as a hash price or a token's price."""

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
class GBMParams(Estimated):
    r"""
    A geometric Brownian motion, ``dX = drift X dt + sigma X dW``.

    Parameters
    ----------
    drift : float
        Rate at which the expected value grows. [1/unit of dt]
    sigma : float
        Volatility of the logarithm. [1/root of the unit of dt]
    dt : float
        Length of a step.
    """

    estimated: ClassVar[tuple[str, ...]] = ("drift", "sigma")

    drift: float
    sigma: float
    dt: float

    def __post_init__(self) -> None:
        self._require_positive("sigma", "dt")

    @property
    def log_drift(self) -> float:
        """Mean growth of the logarithm, ``drift - sigma^2 / 2``. [1/unit of dt]"""
        return self.drift - self.sigma**2 / 2


def calibrate_gbm(x: ArrayLike, *, dt: float) -> GBMParams:
    """
    Geometric Brownian motion of greatest likelihood: mean and variance of the log returns.

    Parameters
    ----------
    x : array_like, shape (n,)
        Series above 0 at steps of `dt`. NaN is a gap: only neighbours with no gap between them are used.
    dt : float
        Length of a step, in the unit that drift and sigma are wanted in.

    Returns
    -------
    GBMParams
        Its `log_likelihood` is that of the log returns.

    Raises
    ------
    DataError
        If a value is 0 or below, there are fewer than 10 steps, or the series is constant, grows at a constant rate
        or is infinite.

    Examples
    --------
    >>> truth = GBMParams(drift=0.001, sigma=0.02, dt=1.0)
    >>> x = simulate_gbm(truth, start=50.0, n_steps=2000, n_paths=1, rng=np.random.default_rng(0))[0]
    >>> calibrate_gbm(x, dt=1.0).table().T.round(4)
    parameter        drift   sigma
    estimate        0.0004  0.0200
    standard_error  0.0004  0.0003
    >>> calibrate_gbm([30.0, -5.0] * 6, dt=1.0)
    Traceback (most recent call last):
    gridlab.errors.DataError: x is -5 in row 1: the process is wrong for prices that may be negative, as it never \
reaches 0; use calibrate_ou or calibrate_mrjd
    """
    dt = checked_step(dt)
    values = checked_series(x, least=LEAST_STEPS)
    if (values <= 0).any():
        row = int(np.argmax(values <= 0))
        raise DataError(
            f"x is {values[row]:g} in row {row}: the process is wrong for prices that may be negative, as it never "
            "reaches 0; use calibrate_ou or calibrate_mrjd"
        )
    before, after = neighbours(np.log(values))
    growth, n = after - before, len(before)
    variance = float(growth.var())
    if variance <= 1e-24 * max(1.0, float(growth.mean() ** 2)):
        raise DataError(
            f"x grows by {growth.mean():.6g} in every step, so sigma is 0: there is no process to calibrate"
        )
    sigma = np.sqrt(variance / dt)
    errors = {
        "drift": float(np.sqrt(sigma**2 / (n * dt) + sigma**4 / (2 * n))),
        "sigma": float(sigma / np.sqrt(2 * n)),
    }
    drift = float(growth.mean() / dt + sigma**2 / 2)
    log_likelihood = normal_log_likelihood(variance, n)
    return GBMParams(drift, float(sigma), dt, errors=errors, n=n, log_likelihood=log_likelihood)


def simulate_gbm(
    params: GBMParams, *, start: ArrayLike, n_steps: int, n_paths: int, rng: np.random.Generator
) -> Floats:
    """
    Draw paths of a geometric Brownian motion, exact at every step.

    Parameters
    ----------
    params : GBMParams
        The process.
    start : float or array_like, shape (n_paths,)
        Last known value, above 0; the first column is a step later. [unit of x]
    n_steps, n_paths : int
        Steps of `params.dt`, and paths.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (n_paths, n_steps)

    Raises
    ------
    DataError
        If a count is below 1 or `start` is not above 0, not finite or of another shape.

    Examples
    --------
    >>> params = GBMParams(drift=0.0, sigma=0.02, dt=1.0)
    >>> simulate_gbm(params, start=50.0, n_steps=3, n_paths=2, rng=np.random.default_rng(0)).round(2).tolist()
    [[50.12, 49.97, 50.61], [50.09, 49.55, 49.9]]
    """
    from gridlab.scenarios.recursions import revert

    first = checked_start(start, n_steps=n_steps, n_paths=n_paths)
    if (first <= 0).any():
        raise DataError(f"start must be above 0, got {first.min():g}: a price that may be negative needs calibrate_ou")
    paths = np.empty((n_paths, n_steps))
    revert(rng, paths, np.log(first), 1.0, params.log_drift * params.dt, params.sigma * np.sqrt(params.dt))
    return np.asarray(np.exp(paths, out=paths))
