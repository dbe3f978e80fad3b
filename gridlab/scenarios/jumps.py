"""Merton's and Kou's jump diffusions: a random walk with drift that now and then jumps."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.scenarios.likelihood import (
    Coordinate,
    Estimated,
    by_delta,
    checked_series,
    checked_start,
    checked_step,
    jumps_or_refusal,
    maximise,
    neighbours,
    robust_spread,
)

Floats = NDArray[np.float64]

LEAST_STEPS = 100

THRESHOLDS = (3.0, 4.5, 7.0)
"""Robust standard deviations from which on a step counts as a jump, where the climbs start."""

RATIOS = (np.log(1e-2), np.log(1e3))
"""Size of jumps over the diffusion's standard deviation in a step: outside them the likelihood has no bound."""


@dataclass(frozen=True)
class MertonParams(Estimated):
    r"""
    A diffusion with normal jumps, ``dX = drift dt + sigma dW + J dN``.

    Parameters
    ----------
    drift : float
        Of the diffusion, without the jumps. [unit of x per unit of dt]
    sigma : float
        Volatility of the diffusion. [unit of x per root of the unit of dt]
    intensity : float
        Expected number of jumps. [1/unit of dt]
    jump_mean, jump_sd : float
        Of a jump. [unit of x]
    dt : float
        Length of a step.

    Examples
    --------
    >>> params = MertonParams(drift=0.0, sigma=0.02, intensity=0.05, jump_mean=0.03, jump_sd=0.12, dt=1.0)
    >>> round(params.jumps_mean, 6), round(params.jumps_variance, 6)
    (0.0015, 0.000765)
    """

    estimated: ClassVar[tuple[str, ...]] = ("drift", "sigma", "intensity", "jump_mean", "jump_sd")

    drift: float
    sigma: float
    intensity: float
    jump_mean: float
    jump_sd: float
    dt: float

    def __post_init__(self) -> None:
        self._require_positive("sigma", "intensity", "jump_sd", "dt")

    @property
    def jumps_mean(self) -> float:
        """Expected sum of jumps, ``intensity jump_mean``. [unit of x per unit of dt]"""
        return self.intensity * self.jump_mean

    @property
    def jumps_variance(self) -> float:
        """Variance of the sum of jumps, ``intensity (jump_mean^2 + jump_sd^2)``. [unit of x squared per unit of dt]"""
        return self.intensity * (self.jump_mean**2 + self.jump_sd**2)


@dataclass(frozen=True)
class KouParams(Estimated):
    r"""
    A diffusion with exponential jumps of either sign, ``dX = drift dt + sigma dW + J dN``.

    Parameters
    ----------
    drift : float
        Of the diffusion, without the jumps. [unit of x per unit of dt]
    sigma : float
        Volatility of the diffusion. [unit of x per root of the unit of dt]
    intensity : float
        Expected number of jumps. [1/unit of dt]
    up_share : float
        Probability that a jump is up. [-]
    up_mean, down_mean : float
        Expected size of a jump up and of one down, both positive: the reciprocals of Kou's eta. [unit of x]
    dt : float
        Length of a step.

    Examples
    --------
    >>> params = KouParams(
    ...     drift=0.0, sigma=0.02, intensity=0.05, up_share=0.6, up_mean=0.1, down_mean=0.05, dt=1.0
    ... )
    >>> round(params.jumps_mean, 6), round(params.jumps_variance, 6)
    (0.002, 0.0007)
    """

    estimated: ClassVar[tuple[str, ...]] = ("drift", "sigma", "intensity", "up_share", "up_mean", "down_mean")

    drift: float
    sigma: float
    intensity: float
    up_share: float
    up_mean: float
    down_mean: float
    dt: float

    def __post_init__(self) -> None:
        self._require_positive("sigma", "intensity", "up_mean", "down_mean", "dt")
        if not 0 <= self.up_share <= 1:
            raise DataError(f"up_share must be in [0, 1], got {self.up_share}")

    @property
    def jumps_mean(self) -> float:
        """Expected sum of jumps. [unit of x per unit of dt]"""
        return self.intensity * (self.up_share * self.up_mean - (1 - self.up_share) * self.down_mean)

    @property
    def jumps_variance(self) -> float:
        """Variance of the sum of jumps. [unit of x squared per unit of dt]"""
        return 2 * self.intensity * (self.up_share * self.up_mean**2 + (1 - self.up_share) * self.down_mean**2)


def calibrate_merton(x: ArrayLike, *, dt: float) -> MertonParams:
    """
    Merton's jump diffusion [1]_ of greatest likelihood, on the increments of a series.

    A step is a mixture of normals weighted by a Poisson number of jumps. Its likelihood is unbounded where sigma
    shrinks onto a single step [2]_: jumps may be up to 1,000 times as large as the diffusion's step, and the best
    maximum inside is taken, from several starts. There may be one jump a step in the mean; with more of them they
    cannot be told from the diffusion.

    Parameters
    ----------
    x : array_like, shape (n,)
        Series at steps of `dt`, of any sign; give the logarithm for Merton's model of prices above 0. NaN is a gap:
        only neighbours with no gap between them are used.
    dt : float
        Length of a step, in the unit that the parameters are wanted in.

    Returns
    -------
    MertonParams

    Raises
    ------
    DataError
        If there are fewer than 100 steps, the series is constant or infinite, no start ends inside the ranges, or the
        jumps gain less than the Bayesian information criterion asks for.

    References
    ----------
    .. [1] R. C. Merton, "Option pricing when underlying stock returns are discontinuous," J. Financial Economics
       3(1-2), 1976, doi:10.1016/0304-405X(76)90022-2.
    .. [2] P. Honore, "Pitfalls in estimating jump-diffusion models," 1998, doi:10.2139/ssrn.61998.

    Examples
    --------
    >>> truth = MertonParams(drift=0.0, sigma=0.02, intensity=0.05, jump_mean=0.03, jump_sd=0.12, dt=1.0)
    >>> x = simulate_merton(truth, start=0.0, n_steps=4000, n_paths=1, rng=np.random.default_rng(0))[0]
    >>> calibrate_merton(x, dt=1.0).table().T.round(4)
    parameter        drift   sigma  intensity  jump_mean  jump_sd
    estimate       -0.0002  0.0201     0.0432     0.0232   0.1313
    standard_error  0.0003  0.0003     0.0045     0.0104   0.0085
    """
    dt = checked_step(dt)
    increments, scale = _increments(x)
    nothing = np.zeros_like(increments)

    def objective(u: Floats) -> tuple[float, Floats]:
        return normal_jumps_objective(u, nothing, increments, decay=0.0)[:2]

    n = len(increments)
    what, instead = "Merton's jump diffusion", "calibrate_gbm or calibrate_ou"
    accept = jumps_or_refusal(float(increments.var()), more=3, n=n, what=what, instead=instead)
    maximum = maximise(objective, normal_starts(increments), normal_coordinates(n), n=n, what=what, accept=accept)
    log_likelihood = float(maximum.log_likelihood - n * np.log(scale))

    def values(u: Floats) -> Floats:
        sd = np.exp(u[1]) * scale
        return np.array([u[0] * scale / dt, sd / np.sqrt(dt), np.exp(u[2]) / dt, u[3] * scale, sd * np.exp(u[4])])

    errors = by_delta(values, maximum.coordinates, maximum.covariance)
    named = dict(zip(MertonParams.estimated, errors.tolist(), strict=True))
    drift, sigma, intensity, mean, sd = values(maximum.coordinates).tolist()
    return MertonParams(drift, sigma, intensity, mean, sd, dt, errors=named, n=n, log_likelihood=log_likelihood)


def simulate_merton(
    params: MertonParams, *, start: ArrayLike, n_steps: int, n_paths: int, rng: np.random.Generator
) -> Floats:
    """
    Draw paths of Merton's jump diffusion, exact at every step.

    Parameters
    ----------
    params : MertonParams
        The process.
    start : float or array_like, shape (n_paths,)
        Last known value; the first column is a step later. [unit of x]
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
        If a count is below 1 or `start` is not finite or of another shape.

    Examples
    --------
    >>> params = MertonParams(drift=0.0, sigma=0.02, intensity=0.5, jump_mean=0.03, jump_sd=0.12, dt=1.0)
    >>> paths = simulate_merton(params, start=0.0, n_steps=24, n_paths=2000, rng=np.random.default_rng(0))
    >>> paths.shape, round(float(paths[:, -1].mean()), 2)  # 24 steps of jumps_mean 0.015
    ((2000, 24), 0.36)
    """
    from gridlab.scenarios.recursions import jump_normal

    first = checked_start(start, n_steps=n_steps, n_paths=n_paths)
    paths = np.empty((n_paths, n_steps))
    shift, sd, rate = params.drift * params.dt, params.sigma * np.sqrt(params.dt), params.intensity * params.dt
    jump_normal(rng, paths, first, 1.0, shift, sd, rate, params.jump_mean, params.jump_sd)
    return paths


def calibrate_kou(x: ArrayLike, *, dt: float) -> KouParams:
    """
    Kou's jump diffusion [1]_ of greatest likelihood, on the increments of a series.

    The density of a step, a normal and any number of exponential jumps up and down, is a series of closed forms, summed
    until the numbers of jumps left out have a probability of 1e-10. Bounds and starts are as for `calibrate_merton`.

    Parameters
    ----------
    x : array_like, shape (n,)
        Series at steps of `dt`, of any sign; give the logarithm for Kou's model of prices above 0. NaN is a gap: only
        neighbours with no gap between them are used.
    dt : float
        Length of a step, in the unit that the parameters are wanted in.

    Returns
    -------
    KouParams

    Raises
    ------
    DataError
        If there are fewer than 100 steps, the series is constant or infinite, no start ends inside the ranges (as
        where jumps have one sign only), or the jumps gain less than the Bayesian information criterion asks for.

    References
    ----------
    .. [1] S. G. Kou, "A jump-diffusion model for option pricing," Management Science 48(8), 2002,
       doi:10.1287/mnsc.48.8.1086.166.

    Examples
    --------
    >>> truth = KouParams(drift=0.0, sigma=0.02, intensity=0.06, up_share=0.6, up_mean=0.1, down_mean=0.06, dt=1.0)
    >>> x = simulate_kou(truth, start=0.0, n_steps=3000, n_paths=1, rng=np.random.default_rng(0))[0]
    >>> calibrate_kou(x, dt=1.0).table().T.round(4)
    parameter        drift   sigma  intensity  up_share  up_mean  down_mean
    estimate        0.0000  0.0201     0.0550    0.5454   0.1043     0.0457
    standard_error  0.0004  0.0003     0.0104    0.0956   0.0150     0.0102
    """
    dt = checked_step(dt)
    increments, scale = _increments(x)
    n = len(increments)

    def objective(u: Floats) -> tuple[float, Floats]:
        return _kou_objective(u, increments)

    what, instead = "Kou's jump diffusion", "calibrate_gbm or calibrate_ou"
    accept = jumps_or_refusal(float(increments.var()), more=4, n=n, what=what, instead=instead)
    maximum = maximise(objective, _kou_starts(increments), _kou_coordinates(n), n=n, what=what, accept=accept)
    log_likelihood = float(maximum.log_likelihood - n * np.log(scale))

    def values(u: Floats) -> Floats:
        sd, rates = np.exp(u[1]) * scale, np.exp(u[2:4])
        share = rates[0] / rates.sum()
        return np.array([u[0] * scale / dt, sd / np.sqrt(dt), rates.sum() / dt, share, *(sd * np.exp(u[4:]))])

    errors = by_delta(values, maximum.coordinates, maximum.covariance)
    named = dict(zip(KouParams.estimated, errors.tolist(), strict=True))
    drift, sigma, intensity, share, up, down = values(maximum.coordinates).tolist()
    return KouParams(drift, sigma, intensity, share, up, down, dt, errors=named, n=n, log_likelihood=log_likelihood)


def simulate_kou(
    params: KouParams, *, start: ArrayLike, n_steps: int, n_paths: int, rng: np.random.Generator
) -> Floats:
    """
    Draw paths of Kou's jump diffusion, exact at every step.

    Parameters
    ----------
    params : KouParams
        The process.
    start : float or array_like, shape (n_paths,)
        Last known value; the first column is a step later. [unit of x]
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
        If a count is below 1 or `start` is not finite or of another shape.

    Examples
    --------
    >>> params = KouParams(
    ...     drift=0.0, sigma=0.02, intensity=0.5, up_share=0.6, up_mean=0.1, down_mean=0.06, dt=1.0
    ... )
    >>> paths = simulate_kou(params, start=0.0, n_steps=24, n_paths=2000, rng=np.random.default_rng(0))
    >>> paths.shape, round(float(paths[:, -1].mean()), 2)  # 24 steps of jumps_mean 0.018
    ((2000, 24), 0.42)
    """
    from gridlab.scenarios.recursions import jump_exponential

    first = checked_start(start, n_steps=n_steps, n_paths=n_paths)
    paths = np.empty((n_paths, n_steps))
    shift, sd, rate = params.drift * params.dt, params.sigma * np.sqrt(params.dt), params.intensity * params.dt
    jump_exponential(rng, paths, first, shift, sd, rate, params.up_share, params.up_mean, params.down_mean)
    return paths


def normal_jumps_objective(u: Floats, before: Floats, after: Floats, *, decay: float) -> tuple[float, Floats, float]:
    """
    Mean log-likelihood of ``after = u[0] + decay before + noise`` with normal jumps, its slopes by `u` and by decay.

    `u` holds shift, log of the diffusion's step sd, log of the jumps a step, mean jump, and log of the jump's sd over
    the diffusion's.
    """
    from gridlab.scenarios.densities import normal_jumps

    variance, rate = np.exp(2 * u[1]), np.exp(u[2])
    jump_variance = variance * np.exp(2 * u[4])
    total, slope = normal_jumps(before, after, u[0], decay, variance, rate, u[3], jump_variance)
    by_ratio = 2 * jump_variance * slope[5]
    by_u = [slope[0], 2 * variance * slope[2] + by_ratio, rate * slope[3], slope[4], by_ratio]
    return total / len(after), np.array(by_u) / len(after), slope[1] / len(after)


def normal_coordinates(n: int) -> list[Coordinate]:
    """Ranges of the coordinates of `normal_jumps_objective` for residuals of spread 1."""
    return [
        Coordinate(-1e3, 1e3, "the drift is beyond 1,000 robust standard deviations"),
        *_diffusion_and_jumps(n, 1),
        Coordinate(-1e4, 1e4, "the jumps are beyond 10,000 robust standard deviations"),
        _ratio("jumps"),
    ]


def normal_starts(residuals: Floats) -> list[Floats]:
    """Where the climbs start: jumps told by their size at several thresholds, and many small ones."""
    starts = [np.array([np.median(residuals), np.log(0.7), np.log(0.3), 0.0, np.log(2.0)])]
    for threshold in THRESHOLDS:
        distance = residuals - np.median(residuals)
        jump = np.abs(distance) > threshold
        if 2 <= jump.sum() <= len(residuals) / 2:
            sd = max(float(residuals[~jump].std()), 1e-3)
            size = [distance[jump].mean(), np.log(max(distance[jump].std(), 1e-2) / sd)]
            starts.append(np.array([residuals[~jump].mean(), np.log(sd), np.log(jump.mean()), *size]))
    return starts


def _increments(x: ArrayLike) -> tuple[Floats, float]:
    """Increments in units of their spread, and that unit."""
    before, after = neighbours(checked_series(x, least=LEAST_STEPS))
    increments = after - before
    scale = robust_spread(increments)
    if not scale > 0:
        raise DataError("x moves by the same amount in every step, so sigma is 0: there is no process to calibrate")
    return increments / scale, scale


def _diffusion_and_jumps(n: int, kinds: int) -> list[Coordinate]:
    collapsed = "the diffusion shrinks onto repeated values: drop what is stale or rounded"
    few = "no jumps are found: use calibrate_ou or calibrate_gbm (or calibrate_merton, if they are of one sign)"
    many = "more than one jump a step cannot be told from the diffusion: use calibrate_ou or calibrate_gbm"
    rate = Coordinate(np.log(0.5 / n), 0.0, few, many)
    return [Coordinate(np.log(1e-4), np.log(1e4), collapsed, "the diffusion takes all"), *[rate] * kinds]


def _ratio(what: str) -> Coordinate:
    small = f"the {what} are all of one size, or none are found: use calibrate_ou or calibrate_gbm"
    return Coordinate(*RATIOS, small, "the diffusion shrinks onto repeated values: drop what is stale or rounded")


def _kou_objective(u: Floats, increments: Floats) -> tuple[float, Floats]:
    """Mean log-likelihood and slopes by shift, log sd, log rates up and down, and log sizes over sd."""
    from gridlab.scenarios.densities import exponential_jumps

    sd, rates = np.exp(u[1]), np.exp(u[2:4])
    decays = np.exp(-u[4:]) / sd
    total, slope = exponential_jumps(increments, u[0], sd, *rates, *decays)
    by_ratio = -decays * slope[4:]
    by_u = np.array([slope[0], sd * slope[1] + by_ratio.sum(), *(rates * slope[2:4]), *by_ratio])
    return total / len(increments), by_u / len(increments)


def _kou_coordinates(n: int) -> list[Coordinate]:
    drift = Coordinate(-1e3, 1e3, "the drift is beyond 1,000 robust standard deviations")
    return [drift, *_diffusion_and_jumps(n, 2), _ratio("jumps up"), _ratio("jumps down")]


def _kou_starts(increments: Floats) -> list[Floats]:
    centre = float(np.median(increments))
    starts = [np.array([centre, np.log(0.7), np.log(0.15), np.log(0.15), np.log(1.5), np.log(1.5)])]
    for threshold in THRESHOLDS:
        distance = increments - centre
        up, down = distance > threshold, distance < -threshold
        rest = increments[~up & ~down]
        if up.any() and down.any() and len(rest) > len(increments) / 2:
            sd = max(float(rest.std()), 1e-3)
            sizes = np.log([distance[up].mean() / sd, -distance[down].mean() / sd])
            starts.append(np.array([rest.mean(), np.log(sd), np.log(up.mean()), np.log(down.mean()), *sizes]))
    return starts
