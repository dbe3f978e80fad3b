"""Forecasters of a price that reverts to its profile by the day and by the hour, and jumps, from filtered states."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridlab.days import Days, Floats
from gridlab.forecast.base import DayAheadForecaster, past_closed
from gridlab.forecast.filters.gaussian import NonlinearModel, unscented
from gridlab.forecast.filters.particle import particle
from gridlab.forecast.transform import MAD_TO_SD, AsinhScale, asinh_scale, hourly, intervals

RIDGE = 1e-2
"""Penalty, a row, on coefficients of the profile's regressors."""

LEVEL_DAYS = 7
"""Days whose mean tells the profile at what level the market is."""

MEMORY_DAYS = 4
"""Days that are filtered before a forecast."""

SLOW_HALF_LIVES = (1.0, 2.0, 4.0, 7.0, 14.0, 28.0)
"""Of the base that are tried. [d]"""

FAST_HALF_LIVES = (1 / 24, 2 / 24, 3 / 24, 6 / 24, 12 / 24)
"""Of the spikes that are tried. [d]"""

JUMP_SDS = 4.0
"""Size of an innovation, in robust standard deviations, from which on it is a jump."""

LEAST_NOISE = 0.1
"""Least share of the observation's noise in a step's variance, without which hardly any particle would fit."""

PROPOSED_JUMPS = 0.1
"""Least share of particles that are made to jump at a step."""


@dataclass(frozen=True)
class Reversion:
    """
    The two factors of the deviation from the profile, on the asinh scale: a base and spikes that jump.

    Parameters
    ----------
    persistence : ndarray, shape (2,)
        Of the base and of the spikes from one step to the next.
    step_variance : ndarray, shape (2,)
        Of their normal innovations.
    jump_probability, jump_variance : float
        Of a jump of the spikes at a step, normal of mean 0.
    noise_variance : float
        Of the observation.
    """

    persistence: Floats
    step_variance: Floats
    jump_probability: float
    jump_variance: float
    noise_variance: float

    @property
    def variance(self) -> Floats:
        """Of the innovations, the jumps among them, shape (2,)."""
        return np.asarray(self.step_variance + np.array([0.0, self.jump_probability * self.jump_variance]))

    @property
    def stationary(self) -> Floats:
        """Variance of the factors where nothing was observed, shape (2,)."""
        return np.asarray(self.variance / (1 - self.persistence**2))

    def ahead(self, covariance: Floats, n_steps: int) -> tuple[Floats, Floats]:
        """Weights of the state in the sum of the factors 1 to `n_steps` steps on, and the variance of the sum."""
        weights = self.persistence ** np.arange(1, n_steps + 1)[:, None]
        known = np.einsum("ki,ij,kj->k", weights, covariance, weights)
        return weights, known + ((1 - weights**2) * self.stationary).sum(axis=1) + self.noise_variance


@dataclass(frozen=True)
class RevertingModel:
    """The profile of every slot, the factors around it, and the scales."""

    price: AsinhScale
    inputs: AsinhScale
    coefficients: Floats
    reversion: Reversion
    least: float
    greatest: float

    def profile(self, days: Days) -> Floats:
        """On the asinh scale, of the days that a week precedes, shape (n_days - 7, n_slots)."""
        regressors = _regressors(days, self.price, self.inputs)[LEVEL_DAYS:]
        return np.asarray(np.einsum("dsk,sk->ds", regressors, self.coefficients))

    def to_price(self, transformed: Floats) -> Floats:
        """Prices on the asinh scale, which may pass what was seen by a factor e."""
        return self.price.back(np.clip(transformed, self.least, self.greatest))


class _Reverting(DayAheadForecaster):
    """What both filters share: profile, factors by moments, and the forecast from the state at the origin."""

    min_history_days = 28

    window_days: int

    @abstractmethod
    def _state_after(self, model: RevertingModel, price: Floats, profile: Floats) -> tuple[Floats, Floats]:
        """Mean and covariance of the factors at the end of some days, given prices [$/MWh] and profile by slot."""

    def _fit_model(self, history: Days) -> RevertingModel:
        closed, whole = past_closed(history[-self.window_days :])
        scale = asinh_scale(closed.price[whole].reshape(-1, 1))
        input_scale = asinh_scale(intervals(closed.inputs[~np.isnan(closed.inputs).any(axis=(1, 2))]))
        X, Y = _regressors(closed, scale, input_scale), scale.forward(closed.price)
        usable = whole & ~np.isnan(X).any(axis=(1, 2))
        coefficients = _ridge(X[usable], Y[usable])
        deviation = np.where(usable[:, None], Y - np.einsum("dsk,sk->ds", X, coefficients), np.nan)
        reversion = reversion_by_moments(hourly(deviation))
        return RevertingModel(scale, input_scale, coefficients, reversion, float(Y.min()) - 1, float(Y.max()) + 1)

    def _predict_day(self, model: RevertingModel, history: Days, inputs: Floats) -> Floats:
        return model.to_price(self._ahead(model, history, inputs)[0])

    def _spread(self, model: RevertingModel, history: Days, inputs: Floats) -> Floats:
        """Standard deviation of the day after `history`, shape (n_slots,). [$/MWh]."""
        transformed, sd = self._ahead(model, history, inputs)
        slope = np.cosh(np.clip(transformed, model.least, model.greatest)) * model.price.spread
        return np.asarray(sd * slope)

    def _ahead(self, model: RevertingModel, history: Days, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the day after `history` on the asinh scale, by slot."""
        past, n_slots = history[-LEVEL_DAYS - MEMORY_DAYS :], history.n_slots
        profile = model.profile(past.followed_by(np.zeros(n_slots), inputs))
        mean, covariance = self._state_after(model, past.price[LEVEL_DAYS:], profile[:-1])
        n_steps = min(n_slots, 24)
        weights, variance = model.reversion.ahead(covariance, n_steps)
        by_slot = np.arange(n_slots) * n_steps // n_slots
        return profile[-1] + (weights @ mean)[by_slot], np.sqrt(variance)[by_slot]

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests short windows."""
        return [{"window_days": 56}, {"window_days": 42}]


class UnscentedKalman(_Reverting):
    r"""
    A mean-reverting price with spikes, whose state an unscented Kalman filter reads off past prices.

    The price is ``sinh(profile + base + spike)`` in the market's own scale, plus noise. The profile of a slot is a
    ridge regression on the weekday, the inputs, and the slot's mean price and inputs of the week before; base and
    spike revert to 0, by the day and by the hour, each with a persistence of its own [1]_. Jumps count by their
    variance. The filter sees prices, not their asinh, so that a given noise of the price says much about the state
    where prices are steep, and little where they are flat.

    Parameters
    ----------
    window_days : int
        Days of history used, at most. [d]
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] T. Meyer-Brandis and P. Tankov, "Multi-factor jump-diffusion models of electricity prices," Int. J.
       Theoretical and Applied Finance 11(5), 2008, doi:10.1142/S0219024908004907.

    Examples
    --------
    >>> from gridlab.forecast.filters import UnscentedKalman
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = UnscentedKalman().fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    def __init__(self, window_days: int = 182, *, market_tz: str = "UTC") -> None:
        self.window_days = window_days
        super().__init__(market_tz=market_tz)

    def _state_after(self, model: RevertingModel, price: Floats, profile: Floats) -> tuple[Floats, Floats]:
        steps, reversion = hourly(profile).ravel(), model.reversion

        def observe(states: Floats, t: int) -> Floats:
            return model.to_price(steps[t] + states.sum(axis=1))[:, None]

        noise = np.atleast_2d(reversion.noise_variance * model.price.spread**2)
        state_space = NonlinearModel(
            lambda states, t: states * reversion.persistence,
            np.diag(reversion.variance),
            observe,
            noise,
            np.zeros(2),
            np.diag(reversion.stationary),
            bound=model.greatest - model.least,
        )
        filtered = unscented(hourly(price).ravel(), state_space)
        return filtered.mean[-1], filtered.covariance[-1]


class ParticleFilter(_Reverting):
    r"""
    A mean-reverting price with spikes, whose state a particle filter reads off past prices.

    On the scale of asinh the price is a profile, a base and spikes, plus noise. The profile of a slot is a ridge
    regression on the weekday, the inputs, and the slot's mean price and inputs of the week before; base and spike
    revert to 0, by the day and by the hour, each with a persistence of its own [1]_; spikes jump at random, by a
    normal amount [2]_. A particle is a guess at both, so that a single high price is taken for a jump that dies
    within hours, and not for a new level.

    Parameters
    ----------
    window_days : int
        Days of history used, at most. [d]
    n_particles : int
        Guesses.
    seed : int
        Of the random draws, the same for every forecast.
    market_tz : str
        Time zone that says when a day begins.

    References
    ----------
    .. [1] T. Meyer-Brandis and P. Tankov, "Multi-factor jump-diffusion models of electricity prices," Int. J.
       Theoretical and Applied Finance 11(5), 2008, doi:10.1142/S0219024908004907.
    .. [2] R. C. Merton, "Option pricing when underlying stock returns are discontinuous," J. Financial Economics
       3(1-2), 1976, doi:10.1016/0304-405X(76)90022-2.

    Examples
    --------
    >>> from gridlab.forecast.filters import ParticleFilter
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=60)
    >>> y, X = prices["price"].tz_localize(None), prices[["load_forecast"]].tz_localize(None)
    >>> forecast = ParticleFilter().fit(y[:-24], X=X[:-24]).predict(fh=range(1, 25), X=X[-24:])
    >>> bool(abs(forecast - y[-24:]).mean() < 20)
    True
    """

    def __init__(
        self, window_days: int = 182, n_particles: int = 500, seed: int = 0, *, market_tz: str = "UTC"
    ) -> None:
        self.window_days = window_days
        self.n_particles = n_particles
        self.seed = seed
        super().__init__(market_tz=market_tz)

    def _state_after(self, model: RevertingModel, price: Floats, profile: Floats) -> tuple[Floats, Floats]:
        deviation = hourly(model.price.forward(price) - profile).ravel()
        rng = np.random.default_rng(self.seed)
        cloud = particle(deviation, Jumping(model.reversion), n_particles=self.n_particles, rng=rng)
        return cloud.mean[-1], cloud.covariance[-1]

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Give sktime's tests few particles and short windows."""
        return [{"window_days": 56, "n_particles": 50}, {"window_days": 42, "n_particles": 50, "seed": 1}]


@dataclass(frozen=True)
class Jumping:
    """The two factors as `particle` needs them; more particles jump than the model says, at a smaller weight."""

    reversion: Reversion
    n_observed: int = 1

    def start(self, n_particles: int, rng: np.random.Generator) -> Floats:
        """States as if nothing had been observed."""
        return rng.normal(size=(n_particles, 2)) * np.sqrt(self.reversion.stationary)

    def move(self, states: Floats, t: int, rng: np.random.Generator) -> tuple[Floats, Floats | float]:
        """Revert, diffuse, and jump."""
        law = self.reversion
        moved = states * law.persistence + rng.normal(size=states.shape) * np.sqrt(law.step_variance)
        if not law.jump_probability:
            return moved, 0.0
        proposed = max(law.jump_probability, PROPOSED_JUMPS)
        jumps = rng.random(len(states)) < proposed
        moved[jumps, 1] += rng.normal(size=int(jumps.sum())) * np.sqrt(law.jump_variance)
        ratios = np.log([(1 - law.jump_probability) / (1 - proposed), law.jump_probability / proposed])
        return moved, ratios[jumps.astype(int)]

    def log_density(self, observed: Floats, states: Floats, t: int) -> Floats:
        """Log density of the sum of the factors and normal noise."""
        variance = self.reversion.noise_variance
        return np.asarray(-0.5 * ((observed - states.sum(axis=1)) ** 2 / variance + np.log(2 * np.pi * variance)))


def reversion_by_moments(deviation: Floats) -> Reversion:
    """
    Factors whose autocovariance over a week is nearest to that of the deviation, jumps split off by their size.

    The autocovariance of the sum is ``s1 f1**k + s2 f2**k``, and the noise besides at lag 0; for each pair of
    half-lives tried the three variances are non-negative least squares. Innovations of a first-order autoregression
    beyond four robust standard deviations are jumps: their count is the probability, their share of the squares is
    their share of the spikes' variance.

    Parameters
    ----------
    deviation : ndarray, shape (n_days, n_steps)
        From the profile; days of NaN are left out.

    Returns
    -------
    Reversion
        Of variances that are all above 0.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> path = np.zeros(24 * 400)
    >>> for t in range(1, len(path)):
    ...     path[t] = 0.5 ** (1 / 48) * path[t - 1] + rng.normal()
    >>> reversion = reversion_by_moments(path.reshape(400, 24))
    >>> slow = np.log(0.5) / np.log(reversion.persistence[0])
    >>> bool(20 <= slow <= 100)
    True
    """
    from scipy.optimize import nnls

    n_steps = deviation.shape[1]
    flat = deviation.ravel()
    lags = np.arange(max(7 * n_steps, 4))
    covariance = np.array([_product_mean(flat, lag) for lag in lags])
    size = max(float(covariance[0]), 1e-12)
    best: tuple[float, Floats, Floats] | None = None
    for slow in SLOW_HALF_LIVES:
        for fast in FAST_HALF_LIVES:
            persistence = 0.5 ** (1 / (n_steps * np.array([slow, fast])))
            terms = np.column_stack([persistence[0] ** lags, persistence[1] ** lags, lags == 0])
            variances, misfit = nnls(terms, covariance)
            if best is None or misfit < best[0]:
                best = misfit, persistence, variances
    assert best is not None
    _, persistence, variances = best
    spread = np.maximum(variances[:2], 1e-3 * size) * (1 - persistence**2)
    probability, share = _jumps(flat)
    noise = max(float(variances[2]), LEAST_NOISE * float(spread.sum()))
    jump_variance = share * spread[1] / probability if probability else 0.0
    return Reversion(persistence, spread * np.array([1.0, 1 - share]), probability, jump_variance, noise)


def _jumps(flat: Floats) -> tuple[float, float]:
    """Share of the innovations that are jumps, and their share of the squares."""
    first, second = flat[1:], flat[:-1]
    known = ~np.isnan(first * second)
    first, second = first[known], second[known]
    power = float(second @ second)
    innovation = first - (float(first @ second) / power if power else 0.0) * second
    is_jump = np.abs(innovation) > JUMP_SDS * MAD_TO_SD * float(np.median(np.abs(innovation)))
    squares = float(innovation @ innovation)
    if not is_jump.any() or not squares:
        return 0.0, 0.0
    return float(is_jump.mean()), min(float((innovation[is_jump] ** 2).sum()) / squares, 0.9)


def _product_mean(flat: Floats, lag: int) -> float:
    product = flat[lag:] * flat[: len(flat) - lag]
    known = product[~np.isnan(product)]
    return float(known.mean()) if len(known) else 0.0


def _regressors(days: Days, scale: AsinhScale, input_scale: AsinhScale) -> Floats:
    """Of every day and slot, shape (n_days, n_slots, n_regressors); NaN in the first week."""
    price, inputs = scale.forward(days.price)[:, :, None], input_scale.forward(days.inputs)
    of_day = np.hstack([inputs.mean(axis=1), np.eye(7)[days.dates.weekday]])
    repeated = np.broadcast_to(of_day[:, None, :], (len(days), days.n_slots, of_day.shape[1]))
    return np.concatenate([inputs, _mean_of_last_week(price), _mean_of_last_week(inputs), repeated], axis=2)


def _mean_of_last_week(values: Floats) -> Floats:
    """Of each slot over the days before, NaN in the first week; the shape of the values."""
    mean = np.full_like(values, np.nan)
    if len(values) > LEVEL_DAYS:
        windows = np.lib.stride_tricks.sliding_window_view(values[:-1], LEVEL_DAYS, axis=0)
        mean[LEVEL_DAYS:] = windows.mean(axis=-1)
    return mean


def _ridge(X: Floats, Y: Floats) -> Floats:
    """Coefficients of every slot, shape (n_slots, n_regressors)."""
    by_slot = X.transpose(1, 0, 2)
    gram = by_slot.transpose(0, 2, 1) @ by_slot + RIDGE * len(X) * np.eye(X.shape[2])
    return np.asarray(np.linalg.solve(gram, np.einsum("dsk,ds->sk", X, Y)[:, :, None])[:, :, 0])
