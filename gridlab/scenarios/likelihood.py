"""What the calibrations share: records with errors, checked series, likelihoods climbed from several starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]
Objective = Callable[[Floats], tuple[float, Floats]]

MOST_ITERATIONS = 500
FLAT = 1e-5
"""Greatest gradient, a row, of the log-likelihood at a maximum; the coordinates are of order 1."""

AT_BOUND = 1e-3
DIFFERENCE = 1e-4
NEWTON_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """
    What every record of a calibration has beside the parameters; a record made by hand leaves it out.

    Parameters
    ----------
    errors : dict of str to float
        Standard error of each parameter, in its unit.
    n : int
        Steps that it was calibrated on.
    log_likelihood : float
        Of those steps.
    """

    estimated: ClassVar[tuple[str, ...]] = ()

    errors: dict[str, float] = field(default_factory=dict, hash=False)
    n: int = 0
    log_likelihood: float = float("nan")

    def table(self) -> pd.DataFrame:
        """Estimate and standard error of every parameter, one row each."""
        estimates = [getattr(self, name) for name in self.estimated]
        errors = [self.errors.get(name, np.nan) for name in self.estimated]
        index = pd.Index(self.estimated, name="parameter")
        return pd.DataFrame({"estimate": estimates, "standard_error": errors}, index=index)

    def _require_positive(self, *names: str) -> None:
        for name in (one.name for one in fields(self) if one.name in names):
            if not 0 < getattr(self, name) < np.inf:
                raise DataError(f"{name} must be above 0 and finite, got {getattr(self, name)}")


class Coordinate(NamedTuple):
    """One coordinate of a likelihood: its range, and what it means when the maximum lies at either end."""

    low: float
    high: float
    at_low: str = ""
    at_high: str = ""


class Maximum(NamedTuple):
    """A maximum of a log-likelihood: where, how high, and the covariance of the coordinates."""

    coordinates: Floats
    log_likelihood: float
    covariance: Floats


def checked_step(dt: float) -> float:
    """Refuse a length of step that is not positive."""
    if not 0 < dt < np.inf:
        raise DataError(f"dt must be above 0 and finite, got {dt}")
    return float(dt)


def checked_series(x: ArrayLike, *, least: int, name: str = "x") -> Floats:
    """
    A series as an array; NaN is a gap.

    Raises
    ------
    DataError
        If it is not one series, is infinite somewhere, has fewer than `least` steps between neighbours without a
        gap, or is constant.

    Examples
    --------
    >>> checked_series([1.0, 1.0, 1.0, 1.0], least=2)
    Traceback (most recent call last):
    gridlab.errors.DataError: x is constant at 1 and has no process to calibrate: choose a period in which it moves
    """
    values = np.asarray(x, dtype=float)
    if values.ndim != 1:
        raise DataError(f"{name} must be one series, got shape {values.shape}: calibrate one column at a time")
    if np.isinf(values).any():
        raise DataError(f"{name} is infinite in row {int(np.argmax(np.isinf(values)))}: correct it or set it to NaN")
    before, _ = neighbours(values)
    if len(before) < least:
        raise DataError(f"{name} has {len(before)} steps without a gap, and at least {least} are needed: add rows")
    if np.ptp(values[~np.isnan(values)]) <= 1e-12 * np.nanmax(np.abs(values)):
        raise DataError(
            f"{name} is constant at {before[0]:.6g} and has no process to calibrate: choose a period in which it moves"
        )
    return values


def neighbours(values: Floats) -> tuple[Floats, Floats]:
    """Values and their successors, where neither is NaN."""
    whole = ~(np.isnan(values[:-1]) | np.isnan(values[1:]))
    return values[:-1][whole], values[1:][whole]


def checked_start(start: ArrayLike, *, n_steps: int, n_paths: int) -> Floats:
    """Where each path starts, shape (n_paths,), from one number or one a path."""
    for name, count in (("n_steps", n_steps), ("n_paths", n_paths)):
        if count < 1:
            raise DataError(f"{name} must be at least 1, got {count}")
    values = np.asarray(start, dtype=float)
    if values.shape not in ((), (n_paths,)):
        raise DataError(f"start must be one number or one a path, shape ({n_paths},), got shape {values.shape}")
    if not np.isfinite(values).all():
        raise DataError("start must be finite, got NaN or infinity: start from the last known value")
    return np.ascontiguousarray(np.broadcast_to(values, n_paths))


def robust_spread(values: Floats) -> float:
    """Scaled median absolute deviation, or the standard deviation where more than half of the values are equal."""
    spread = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return spread if spread > 0 else float(values.std())


def normal_log_likelihood(variance: float, n: int) -> float:
    """Log-likelihood of `n` normal residuals at their own mean square."""
    return float(-0.5 * n * (np.log(2 * np.pi * variance) + 1))


def maximise(
    objective: Objective,
    starts: Sequence[Floats],
    coordinates: Sequence[Coordinate],
    *,
    n: int,
    what: str,
    accept: Callable[[float], None] | None = None,
) -> Maximum:
    """
    Best maximum of a log-likelihood inside its ranges, climbed to from several starts.

    A mixture's likelihood has no upper bound where one of its parts shrinks to a single row, so that its greatest
    value is of no use and its best maximum inside is the estimate [1]_. Each start climbs by L-BFGS-B, the best ends
    with Newton steps, and the observed information there gives the covariance.

    Parameters
    ----------
    objective : callable
        Mean log-likelihood of a row and its gradient, at some coordinates.
    starts : sequence of ndarray
        Coordinates to climb from.
    coordinates : sequence of Coordinate
        Range of each coordinate.
    n : int
        Rows.
    what : str
        The process, for messages.
    accept : callable, optional
        Refuses a greatest log-likelihood by raising, before the information is asked for.

    Raises
    ------
    DataError
        If no start ends at a maximum inside the ranges, or the information there is not positive definite.

    References
    ----------
    .. [1] J. Kiefer, "Discrete parameter variation: efficient estimation of a switching regression model,"
       Econometrica 46(2), 1978, doi:10.2307/1913910.

    Examples
    --------
    >>> def objective(u):
    ...     return -((u[0] - 3) ** 2), -2 * (u - 3)
    >>> maximum = maximise(objective, [np.array([0.0])], [Coordinate(-9, 9)], n=50, what="a parabola")
    >>> maximum.coordinates.round(6).tolist(), maximum.covariance.round(6).tolist()
    ([3.0], [[0.01]])
    """
    ends = [_climb(objective, start, coordinates) for start in starts]
    inside = [u for u, _ in ends if not _ends_met(u, coordinates)]
    if accept is not None:
        accept(max(value for _, value in ends) * n)
    if not inside:
        raise DataError(f"{what} does not fit: {_reason(ends, coordinates)}")
    best = max(inside, key=lambda u: objective(u)[0])
    if accept is not None:
        accept(objective(best)[0] * n)
    for _ in range(NEWTON_STEPS):
        best = _newton(objective, best)
    value, gradient = objective(best)
    information = _information(objective, best)
    if np.abs(gradient).max() > FLAT or np.linalg.eigvalsh(information).min() <= 0:
        raise DataError(
            f"{what} does not fit: the likelihood has no maximum (greatest slope {np.abs(gradient).max():.1e} a row, "
            f"least curvature {np.linalg.eigvalsh(information).min():.1e}), so the standard errors are unknown: give a "
            "longer series or a process with fewer parameters"
        )
    return Maximum(best, value * n, np.linalg.inv(information) / n)


def by_delta(values: Callable[[Floats], Floats], at: Floats, covariance: Floats) -> Floats:
    """Standard errors of functions of estimated coordinates, by the delta method."""
    steps = 1e-5 * np.eye(len(at))
    slopes = np.stack([(values(at + step) - values(at - step)) / 2e-5 for step in steps], axis=1)
    return np.asarray(np.sqrt(np.einsum("ij,jk,ik->i", slopes, covariance, slopes)))


def jumps_or_refusal(variance: float, *, more: int, n: int, what: str, instead: str) -> Callable[[float], None]:
    """What refuses jumps that the Bayesian information criterion, against normal residuals, says are not there."""
    plain, cost = normal_log_likelihood(variance, n), more * np.log(n)

    def accept(log_likelihood: float) -> None:
        gain = 2 * (log_likelihood - plain)
        if gain < cost:
            raise DataError(
                f"{what} finds no jumps: they raise twice the log-likelihood by {gain:.1f}, less than the {cost:.1f} "
                f"that {more} more parameters cost: use {instead}"
            )

    return accept


def _climb(objective: Objective, start: Floats, coordinates: Sequence[Coordinate]) -> tuple[Floats, float]:
    from scipy.optimize import minimize

    def descent(u: Floats) -> tuple[float, Floats]:
        value, gradient = objective(u)
        return -value, -gradient

    bounds = [(one.low, one.high) for one in coordinates]
    lows, highs = np.array(bounds).T
    options = {"maxiter": MOST_ITERATIONS, "ftol": 1e-11, "gtol": 1e-6}
    found = minimize(descent, np.clip(start, lows, highs), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x), -float(found.fun)


def _ends_met(u: Floats, coordinates: Sequence[Coordinate]) -> list[str]:
    met = [one.at_low for at, one in zip(u, coordinates, strict=True) if at - one.low < AT_BOUND]
    return met + [one.at_high for at, one in zip(u, coordinates, strict=True) if one.high - at < AT_BOUND]


def _reason(ends: Sequence[tuple[Floats, float]], coordinates: Sequence[Coordinate]) -> str:
    best, _ = max(ends, key=lambda end: end[1])
    return "; ".join(_ends_met(best, coordinates))


def _newton(objective: Objective, u: Floats) -> Floats:
    """One Newton step, if it climbs."""
    value, gradient = objective(u)
    information = _information(objective, u)
    if np.linalg.eigvalsh(information).min() <= 0:
        return u
    after = u + np.linalg.solve(information, gradient)
    return after if objective(after)[0] >= value else u


def _information(objective: Objective, u: Floats) -> Floats:
    """Information in one row, from central differences of the gradient."""
    steps = DIFFERENCE * np.eye(len(u))
    rows = [(objective(u - step)[1] - objective(u + step)[1]) / (2 * DIFFERENCE) for step in steps]
    information = np.stack(rows)
    return np.asarray((information + information.T) / 2)
