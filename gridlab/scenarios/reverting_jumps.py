"""A mean-reverting jump diffusion around the season of prices, on a scale on which spikes are tame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.scenarios.jumps import normal_coordinates, normal_jumps_objective, normal_starts
from gridlab.scenarios.likelihood import (
    Coordinate,
    Estimated,
    Maximum,
    by_delta,
    checked_series,
    checked_start,
    jumps_or_refusal,
    maximise,
    neighbours,
    robust_spread,
)
from gridlab.scenarios.season import Season, calibrate_season
from gridlab.schema import step_hours, validate

Floats = NDArray[np.float64]

LEAST_DAYS = 28
WHAT = "a mean-reverting jump diffusion"


@dataclass(frozen=True)
class MRJDParams(Estimated):
    r"""
    A price whose asinh less its season is ``dX = kappa (mean - X) dt + sigma dW + J dN``, jumps at the end of steps.

    Parameters
    ----------
    mean : float
        What the diffusion reverts to, without the jumps. [-]
    kappa : float
        Speed of reversion. [1/h]
    sigma : float
        Volatility of the diffusion. [1/root of h]
    intensity : float
        Expected number of jumps. [1/h]
    jump_mean, jump_sd : float
        Of a jump, on the asinh scale. [-]
    dt : float
        Length of a step. [h]
    season : Season
        Scale of the asinh, and its mean by weekday and hour.
    """

    estimated: ClassVar[tuple[str, ...]] = ("mean", "kappa", "sigma", "intensity", "jump_mean", "jump_sd")

    mean: float
    kappa: float
    sigma: float
    intensity: float
    jump_mean: float
    jump_sd: float
    dt: float
    season: Season

    def __post_init__(self) -> None:
        self._require_positive("kappa", "sigma", "intensity", "jump_sd", "dt")

    @property
    def half_life(self) -> float:
        """Time in which a deviation halves, ``ln 2 / kappa``. [h]"""
        return float(np.log(2) / self.kappa)

    @property
    def decay(self) -> float:
        """Share of a deviation that is left a step later, ``exp(-kappa dt)``. [-]"""
        return float(np.exp(-self.kappa * self.dt))

    @property
    def step_sd(self) -> float:
        """Standard deviation of the diffusion in a step. [-]"""
        return float(self.sigma * np.sqrt(-np.expm1(-2 * self.kappa * self.dt) / (2 * self.kappa)))


class _Steps(NamedTuple):
    """Neighbours on the scale of the step's robust spread, and the autoregression by least squares."""

    before: Floats
    after: Floats
    scale: float
    decay: float
    variance: float


def calibrate_mrjd(prices: pd.DataFrame, *, market_tz: str = "UTC", season: Season | None = None) -> MRJDParams:
    """
    Mean-reverting jump diffusion [1]_ of greatest likelihood around an hour-and-weekday mean on asinh prices.

    A step is an autoregression whose error is a mixture of normals weighted by a Poisson number of jumps, which fall at
    the end of the step. Bounds and starts are as for `calibrate_merton`. The deviations from a season that was
    estimated on the same n prices are scaled by ``sqrt(n / (n - hours of the week))`` for the degrees of freedom that
    it took; beyond this, standard errors take the season as known. Intervals below an hour share
    their hour's mean.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table. NaN is a gap: only neighbours with no gap between them are used.
    market_tz : str
        Time zone of the season's clock, when `season` is omitted.
    season : Season, optional
        From another period, so that parameters of several compare; from these prices when omitted.

    Returns
    -------
    MRJDParams

    Raises
    ------
    DataError
        If the table breaks its schema, has prices on fewer than 28 days, is constant or does not revert to its season,
        no start ends inside the ranges, or the jumps gain less than the Bayesian information criterion asks for.

    References
    ----------
    .. [1] A. Cartea and M. G. Figueroa, "Pricing in electricity markets: a mean reverting jump diffusion model with
       seasonality," Applied Mathematical Finance 12(4), 2005, doi:10.1080/13504860500117503.

    Examples
    --------
    >>> from gridlab.schema import mock_prices, mock_times
    >>> season, times = calibrate_season(mock_prices(days=28)), mock_times(days=90)
    >>> truth = MRJDParams(0.0, 0.2, 0.1, 0.05, 0.3, 0.5, 1.0, season)
    >>> price = simulate_mrjd(truth, start=30.0, times=times, n_paths=1, rng=np.random.default_rng(0))[0]
    >>> calibrate_mrjd(pd.DataFrame({"price": price}, index=times), season=season).table().T.round(3)
    parameter        mean  kappa  sigma  intensity  jump_mean  jump_sd
    estimate       -0.018  0.207  0.100      0.047      0.260    0.469
    standard_error  0.011  0.010  0.002      0.007      0.055    0.039
    """
    x = checked_series(_deviations(prices, market_tz, season), least=2, name="the price less its season")
    season = calibrate_season(prices, market_tz=market_tz) if season is None else season
    dt = step_hours(prices.index)
    steps = _steps(x)
    maximum, log_likelihood = _maximum(steps)
    values = _values(steps.scale, dt)
    errors = by_delta(values, maximum.coordinates, maximum.covariance)
    named = dict(zip(MRJDParams.estimated, errors.tolist(), strict=True))
    mean, kappa, sigma, intensity, jump_mean, jump_sd = values(maximum.coordinates).tolist()
    return MRJDParams(
        mean,
        kappa,
        sigma,
        intensity,
        jump_mean,
        jump_sd,
        dt,
        season,
        errors=named,
        n=len(steps.before),
        log_likelihood=log_likelihood,
    )


def simulate_mrjd(
    params: MRJDParams,
    *,
    start: ArrayLike,
    times: pd.DatetimeIndex,
    n_paths: int,
    rng: np.random.Generator,
    limits: tuple[float, float] | None = None,
) -> Floats:
    """
    Draw price paths of a mean-reverting jump diffusion.

    Parameters
    ----------
    params : MRJDParams
        The process.
    start : float or array_like, shape (n_paths,)
        Last known price, of the interval before ``times[0]``. [$/MWh]
    times : DatetimeIndex, shape (n_steps,)
        UTC times to simulate, a step of `params.dt` apart.
    n_paths : int
        Paths.
    rng : Generator
        Source of randomness.
    limits : tuple of float, optional
        The market's least and greatest price, which paths are cut at; none when omitted. [$/MWh]

    Returns
    -------
    ndarray, shape (n_paths, n_steps)
        Price paths. [$/MWh]

    Raises
    ------
    DataError
        If the steps of `times` are not `params.dt`, `n_paths` is below 1, the limits cross, or `start` is not finite or
        of another shape.

    Examples
    --------
    >>> from gridlab.schema import mock_prices, mock_times
    >>> season = calibrate_season(mock_prices(days=28))
    >>> params = MRJDParams(0.0, 0.2, 0.1, 0.02, 0.3, 0.5, 1.0, season)
    >>> times = mock_times(days=2, start="2024-03-01")
    >>> simulate_mrjd(params, start=20.0, times=times, n_paths=5, rng=np.random.default_rng(0)).shape
    (5, 48)
    """
    from gridlab.scenarios.recursions import jump_normal

    first = checked_start(start, n_steps=len(times), n_paths=n_paths)
    _check_times(times, params.dt)
    if limits is not None and not limits[0] < limits[1]:
        raise DataError(f"limits must rise, got {limits}: give the market's least price and then its greatest")
    season, before = params.season, times[:1] - pd.Timedelta(hours=params.dt)
    usual = season.restore([0.0], before)
    x = np.arcsinh((first - season.median) / season.spread) - np.arcsinh((usual - season.median) / season.spread)
    paths = np.empty((n_paths, len(times)))
    shift, rate = params.mean * (1 - params.decay), params.intensity * params.dt
    jump_normal(rng, paths, x, params.decay, shift, params.step_sd, rate, params.jump_mean, params.jump_sd)
    simulated = season.restore(paths, times)
    return simulated if limits is None else np.clip(simulated, *limits, out=simulated)


def _deviations(prices: pd.DataFrame, market_tz: str, season: Season | None) -> Floats:
    """Prices less their season, with its degrees of freedom given back where it is from these prices."""
    known = validate(prices, "prices")["price"].dropna()
    n_days = known.index.normalize().nunique()
    if n_days < LEAST_DAYS:
        raise DataError(f"prices cover {n_days} days, and at least {LEAST_DAYS} are needed for a season: add days")
    if season is not None:
        return np.asarray(season.remove(prices), dtype=float)
    own = calibrate_season(prices, market_tz=market_tz)
    hours_of_week = len(np.unique(own.profile))
    return np.asarray(own.remove(prices) * np.sqrt(len(known) / max(len(known) - hours_of_week, 1)), dtype=float)


def _steps(x: Floats) -> _Steps:
    before, after = neighbours(x)
    deviation = before - before.mean()
    decay = float(deviation @ after / (deviation @ deviation))
    if not 0 < decay < 1:
        raise DataError(
            f"the price does not revert to its season: its autoregressive coefficient is {decay:.4f}, not in (0, 1): "
            "take out its trend or give a longer period"
        )
    residual = after - after.mean() - decay * deviation
    scale = robust_spread(residual)
    if not scale > 1e-9 * x[~np.isnan(x)].std():
        raise DataError("the price less its season follows its recursion without error: there is nothing to calibrate")
    return _Steps(before / scale, after / scale, scale, decay, float(residual.var()) / scale**2)


def _maximum(steps: _Steps) -> tuple[Maximum, float]:
    """Maximum in shift, log sd, log rate, jump mean, log ratio and log of kappa dt, and its log-likelihood unscaled."""

    def objective(u: Floats) -> tuple[float, Floats]:
        decay = np.exp(-np.exp(u[5]))
        value, slope, by_decay = normal_jumps_objective(u[:5], steps.before, steps.after, decay=decay)
        return value, np.append(slope, -by_decay * decay * np.exp(u[5]))

    n = len(steps.before)
    log_speed = np.log(-np.log(steps.decay))
    starts = [np.append(u, log_speed) for u in normal_starts(steps.after - steps.decay * steps.before)]
    trend = "the price does not revert to its season: take out its trend or give a longer period"
    speed = Coordinate(np.log(1e-7), np.log(20.0), trend, "the price has no memory of a step ago: use a bootstrap")
    accept = jumps_or_refusal(
        steps.variance, more=3, n=n, what=WHAT, instead="calibrate_ou on what season.remove leaves"
    )
    maximum = maximise(objective, starts, [*normal_coordinates(n), speed], n=n, what=WHAT, accept=accept)
    return maximum, float(maximum.log_likelihood - n * np.log(steps.scale))


def _values(scale: float, dt: float) -> Callable[[Floats], Floats]:
    """The parameters at given coordinates."""

    def values(u: Floats) -> Floats:
        speed, sd = np.exp(u[5]), np.exp(u[1]) * scale
        mean = u[0] * scale / -np.expm1(-speed)
        sigma = sd * np.sqrt(2 * speed / dt / -np.expm1(-2 * speed))
        return np.array([mean, speed / dt, sigma, np.exp(u[2]) / dt, u[3] * scale, sd * np.exp(u[4])])

    return values


def _check_times(times: pd.DatetimeIndex, dt: float) -> None:
    if str(times.tz) != "UTC":
        raise DataError(f"times must be UTC, got {times.dtype}: use tz_convert('UTC')")
    gaps = np.diff(times.to_numpy()) / np.timedelta64(1, "h")
    if len(gaps) and np.abs(gaps - dt).max() > 1e-9:
        raise DataError(
            f"times must be {dt:g} h apart, as the calibration's were, got steps of {gaps.min():g} h and more"
        )
