"""The particle filter: the state's law as a cloud of weighted points, for models of any shape."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.days import Floats
from gridlab.errors import DataError
from gridlab.forecast.filters.gaussian import Filtered, observed_rows


class ParticleModel(Protocol):
    """A state-space model as the particle filter needs it; states have the shape (n_particles, n_states)."""

    @property
    def n_observed(self) -> int:
        """Number of values observed at a time."""

    def start(self, n_particles: int, rng: np.random.Generator) -> Floats:
        """States at the time of the first observation, before it."""

    def move(self, states: Floats, t: int, rng: np.random.Generator) -> tuple[Floats, Floats | float]:
        """States at row t from those before, and the log of the model's to the proposal's density, 0 if the same."""

    def log_density(self, observed: Floats, states: Floats, t: int) -> Floats:
        """Log density of what was observed at row t given each state, shape (n_particles,)."""


@dataclass(frozen=True)
class Cloud(Filtered):
    """
    What the particles say of the state at each time, and the last of them.

    Parameters
    ----------
    states : ndarray, shape (n_particles, n_states)
        At the last time.
    weights : ndarray, shape (n_particles,)
        They sum to 1.
    effective : ndarray, shape (n_times,)
        Effective number of particles before any resampling, ``1 / sum(weights**2)``.
    """

    states: Floats
    weights: Floats
    effective: Floats


def particle(
    observations: ArrayLike,
    model: ParticleModel,
    *,
    n_particles: int = 500,
    resample_below: float = 0.5,
    rng: np.random.Generator,
) -> Cloud:
    """
    Particle filter with systematic resampling; the bootstrap filter where a model moves states by its own law.

    Parameters
    ----------
    observations : array_like, shape (n_times,) or (n_times, n_observed)
        A time with a NaN is passed over.
    model : ParticleModel
    n_particles : int
        Points of the cloud; errors fall as its root.
    resample_below : float
        Share of effective particles under which they are resampled, in [0, 1].
    rng : Generator
        Source of randomness.

    Returns
    -------
    Cloud
        The likelihood, not its logarithm, is unbiased.

    Raises
    ------
    DataError
        If there is no observation, they are not as many at a time as the model has, there are no particles, the share
        is outside [0, 1], or an observation has no density at any particle.

    References
    ----------
    .. [1] N. J. Gordon, D. J. Salmond and A. F. M. Smith, "Novel approach to nonlinear/non-Gaussian Bayesian state
       estimation," IEE Proceedings F 140(2), 1993, doi:10.1049/ip-f-2.1993.0015.
    .. [2] A. Doucet and A. M. Johansen, "A tutorial on particle filtering and smoothing: fifteen years later," in The
       Oxford Handbook of Nonlinear Filtering, 2011.

    Examples
    --------
    >>> class Walk:
    ...     n_observed = 1
    ...     def start(self, n_particles, rng):
    ...         return rng.normal(size=(n_particles, 1))
    ...     def move(self, states, t, rng):
    ...         return states + 0.1 * rng.normal(size=states.shape), 0.0
    ...     def log_density(self, observed, states, t):
    ...         return -0.5 * (observed - states[:, 0]) ** 2
    >>> cloud = particle(np.full(50, 2.0), Walk(), n_particles=500, rng=np.random.default_rng(0))
    >>> bool(abs(cloud.mean[-1, 0] - 2) < 0.1)
    True
    """
    rows = observed_rows(observations, model.n_observed)
    if n_particles < 1 or not 0 <= resample_below <= 1:
        raise DataError(f"needs n_particles >= 1 and resample_below in [0, 1], got {n_particles} and {resample_below}")
    states, weights, log_likelihood = model.start(n_particles, rng), np.full(n_particles, 1 / n_particles), 0.0
    means: list[Floats] = []
    covariances: list[Floats] = []
    effective: list[float] = []
    for t, row in enumerate(rows):
        log_ratio: Floats | float = 0.0
        if t:
            if effective[-1] < resample_below * n_particles:
                states, weights = states[systematic(weights, rng)], np.full(n_particles, 1 / n_particles)
            states, log_ratio = model.move(states, t, rng)
        log_density = 0.0 if np.isnan(row).any() else model.log_density(row, states, t)
        weights, step = _reweighted(weights, log_ratio + log_density, t)
        log_likelihood += step
        mean = weights @ states
        means.append(mean)
        covariances.append((weights[:, None] * (states - mean)).T @ (states - mean))
        effective.append(1 / float(weights @ weights))
    return Cloud(np.array(means), np.array(covariances), log_likelihood, states, weights, np.array(effective))


def systematic(weights: ArrayLike, rng: np.random.Generator) -> NDArray[np.int64]:
    """
    Rows to keep, each as often as its weight says, rounded up or down at random by one common draw.

    Parameters
    ----------
    weights : array_like, shape (n,)
        They sum to 1.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray of int, shape (n,)
        Rising; a row of weight w stands there ``n w`` times on average [1]_.

    References
    ----------
    .. [1] J. Carpenter, P. Clifford and P. Fearnhead, "Improved particle filter for nonlinear problems," IEE
       Proceedings: Radar, Sonar and Navigation 146(1), 1999, doi:10.1049/ip-rsn:19990255.

    Examples
    --------
    >>> systematic([0.5, 0.0, 0.25, 0.25], np.random.default_rng(0)).tolist()
    [0, 0, 2, 3]
    """
    cumulative = np.cumsum(weights)
    positions = (rng.random() + np.arange(len(cumulative))) / len(cumulative)
    return np.searchsorted(cumulative / cumulative[-1], positions, side="right").astype(np.int64)


def _reweighted(weights: Floats, log_factors: Floats | float, t: int) -> tuple[Floats, float]:
    """Weights times factors, made to sum to 1 again, and the log of their sum."""
    if np.ndim(log_factors) == 0:
        return weights, float(log_factors)
    greatest = float(np.max(log_factors))
    if not np.isfinite(greatest):
        raise DataError(f"the observation in row {t} has no density at any particle: use more, or a wider noise")
    raised = weights * np.exp(log_factors - greatest)
    total = float(raised.sum())
    return raised / total, greatest + np.log(total)
