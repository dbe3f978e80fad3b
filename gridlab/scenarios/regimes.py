"""Markov regimes: a first-order autoregression whose mean, persistence and spread switch with a hidden chain."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.scenarios.likelihood import (
    Coordinate,
    Estimated,
    Maximum,
    by_delta,
    checked_series,
    checked_start,
    maximise,
    robust_spread,
)

Floats = NDArray[np.float64]

LEAST_STEPS = 10
"""Steps that a regime must be expected to have; with fewer it is empty."""

LEAST_SPREAD = 1e-3
"""Least spread of a regime, as a share of the series' own: below it the likelihood has no bound."""

MOST_PHI = 1.0
"""A regime's phi is held at this size where the likelihood would have it greater, as paths would then run away."""

SHORT_RUN, LONG_RUN, LONG_RUNS = 40, 2000, 4
ROUNDING = 1e-9
CONVERGED = 1e-9
"""Gain in the mean log-likelihood of a step at which expectation-maximisation stops."""

ALIKE = 1e-3
"""Starts that are no further apart in the mean log-likelihood of a step, after a short run, are taken for one."""

NEVER = 0.5
"""A transition expected fewer times than this is held at 0."""


@dataclass(frozen=True)
class RegimesParams(Estimated):
    r"""
    A switching autoregression, :math:`x_t = c_s + \phi_s x_{t-1} + \sigma_s \varepsilon_t` in regime s at t.

    Parameters
    ----------
    intercept, phi, sigma : ndarray, shape (n_regimes,)
        Of each regime, the least sigma first.
    transition : ndarray, shape (n_regimes, n_regimes)
        Probability of the column's regime after the row's. [-]

    Examples
    --------
    >>> params = RegimesParams(
    ...     intercept=np.array([0.0, 2.0]),
    ...     phi=np.array([0.8, 0.2]),
    ...     sigma=np.array([0.1, 1.0]),
    ...     transition=np.array([[0.98, 0.02], [0.18, 0.82]]),
    ... )
    >>> params.shares.round(3).tolist(), params.is_stationary
    ([0.9, 0.1], True)
    """

    intercept: Floats
    phi: Floats
    sigma: Floats
    transition: Floats

    def __post_init__(self) -> None:
        k = len(self.sigma)
        shapes = [np.shape(self.intercept), np.shape(self.phi), np.shape(self.sigma)]
        if shapes != [(k,)] * 3 or np.shape(self.transition) != (k, k):
            raise DataError(f"{k} regimes need as many intercepts and phi and a transition ({k}, {k}), got {shapes}")
        if not (self.sigma > 0).all():
            raise DataError(f"sigma must be above 0 in each regime, got {self.sigma.tolist()}")
        sums = self.transition.sum(axis=1)
        if (self.transition < 0).any() or np.abs(sums - 1).max() > 1e-6:
            raise DataError(f"rows of transition must be probabilities that sum to 1, got sums {sums.tolist()}")

    @property
    def shares(self) -> Floats:
        """Share of time spent in each regime in the long run, shape (n_regimes,). [-]"""
        return _shares(self.transition)

    @property
    def is_stationary(self) -> bool:
        """Whether the variance of paths stays bounded: the spectral radius of ``P' diag(phi**2)`` is below 1."""
        return bool(np.abs(np.linalg.eigvals(self.transition.T * self.phi**2)).max() < 1)

    def table(self) -> pd.DataFrame:
        """Estimate and standard error of every parameter, one row each; NaN for one held at its bound."""
        estimates = _named(_Natural(self.intercept, self.phi, self.sigma, self.transition))
        errors = [self.errors.get(name, np.nan) for name in estimates]
        index = pd.Index(list(estimates), name="parameter")
        return pd.DataFrame({"estimate": list(estimates.values()), "standard_error": errors}, index=index)


def calibrate_regimes(
    x: ArrayLike, *, n_regimes: int = 2, own_phi: bool = True, n_starts: int | None = None, rng: np.random.Generator
) -> RegimesParams:
    r"""
    Switching autoregression by maximum likelihood, from several starts.

    Hamilton's model [1]_ with all parameters switching: each regime has an intercept, a persistence and a spread, and
    the chain that chooses among them is hidden. Expectation-maximisation with the filter of [1]_ and
    the smoother of [3]_ climbs from every start; the best end is carried to the maximum of the exact likelihood,
    whose Hessian there gives the standard errors. Values are conditional on the first; the first regime has the
    chain's long-run shares.

    Parameters
    ----------
    x : array_like, shape (n,)
        A series without a season: of prices, what `Season.remove` leaves. A NaN is a gap: the chain goes on, and the
        steps it touches say nothing.
    n_regimes : int
        Number of regimes, at least 2.
    own_phi : bool
        Whether each regime has its own phi, or all share one. None is above 1 in size: where the likelihood would
        have it so, it is held there and has no standard error.
    n_starts : int, optional
        Starts: the steps sorted into regimes by volatility, by level and by shock, then regimes by chance; 16 for each
        regime after the first when omitted.
    rng : Generator
        Source of randomness, for the starts.

    Returns
    -------
    RegimesParams

    Raises
    ------
    DataError
        If the series is short, constant or infinite, every start ends with a regime that is empty or has no spread,
        the maximum is not one, the Bayesian information criterion prefers a single regime, or paths would grow without
        bound.

    Notes
    -----
    These are the parameter-switching models of [2]_: a regime takes over from the last price, and so a spike decays
    by the base regime's phi. In its independent-regime models the base price goes on unseen while a spike lasts.

    References
    ----------
    .. [1] J. D. Hamilton, "A new approach to the economic analysis of nonstationary time series and the business
       cycle," Econometrica 57(2), 1989, doi:10.2307/1912559.
    .. [2] J. Janczura and R. Weron, "Efficient estimation of Markov regime-switching models: an application to
       electricity spot prices," AStA Advances in Statistical Analysis 96(3), 2012, doi:10.1007/s10182-011-0181-2.
    .. [3] C.-J. Kim, "Dynamic linear models with Markov-switching," J. Econometrics 60(1-2), 1994,
       doi:10.1016/0304-4076(94)90036-1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> calm = np.repeat([True, False, True, False, True], [300, 60, 400, 40, 200])
    >>> x = np.where(calm, rng.normal(0, 1, 1000), rng.normal(5, 4, 1000))
    >>> params = calibrate_regimes(x, rng=rng)
    >>> bool(abs(params.sigma - [1, 4]).max() < 0.6), bool(abs(params.shares[1] - 0.1) < 0.05)
    (True, True)
    """
    n_starts = 16 * (n_regimes - 1) if n_starts is None else n_starts
    if n_regimes < 2 or n_starts < 1:
        raise DataError(f"needs n_regimes >= 2 and n_starts >= 1, got {n_regimes} and {n_starts}")
    values = checked_series(x, least=4 * n_regimes * LEAST_STEPS)
    centre, scale = float(np.nanmedian(values)), robust_spread(values[~np.isnan(values)])
    scaled = (values - centre) / scale
    layout = _Layout.of(*_best_start(scaled, n_regimes, own_phi, n_starts, rng), own_phi)
    n, start = int(_step_is_whole(values).sum()), np.zeros(len(layout.origin))
    found = maximise(
        lambda v: _objective(scaled, v, layout, n), [start], layout.coordinates(), n=n, what="a switching process"
    )
    params = _in_units(found, layout, centre, scale, n)
    _check_worth(params, values, more=len(found.coordinates) - 3)
    return params


def simulate_regimes(
    params: RegimesParams,
    *,
    start: ArrayLike,
    n_steps: int,
    n_paths: int,
    rng: np.random.Generator,
    start_regime: ArrayLike | None = None,
) -> Floats:
    """
    Draw paths of a switching autoregression.

    Parameters
    ----------
    params : RegimesParams
        The process.
    start : float or array_like, shape (n_paths,)
        Last known value, from which the first step is taken.
    n_steps, n_paths : int
        Steps and paths to draw.
    rng : Generator
        Source of randomness.
    start_regime : array_like, shape (n_regimes,), optional
        Probabilities of the regime at `start`, such as the last row of `regime_probabilities`; the chain's long-run
        shares when omitted. [-]

    Returns
    -------
    ndarray, shape (n_paths, n_steps)
        The first column is one step after `start`.

    Raises
    ------
    DataError
        If a number is below 1, the start is not finite or has another shape, or `start_regime` are no probabilities.

    Examples
    --------
    >>> params = RegimesParams(
    ...     intercept=np.zeros(2), phi=np.zeros(2), sigma=np.array([1.0, 9.0]), transition=np.full((2, 2), 0.5)
    ... )
    >>> paths = simulate_regimes(params, start=0, n_steps=24, n_paths=2000, rng=np.random.default_rng(0))
    >>> paths.shape, round(float(paths.var()))  # (1 + 81) / 2
    ((2000, 24), 41)
    """
    last = checked_start(start, n_steps=n_steps, n_paths=n_paths)
    first = params.shares if start_regime is None else _probabilities(start_regime, len(params.sigma))
    reached = np.cumsum(params.transition, axis=1)[:, :-1]
    regime = (rng.random(n_paths)[:, None] > np.cumsum(first)[:-1]).sum(axis=1)
    paths = np.empty((n_steps, n_paths))
    for step in paths:
        regime = (rng.random(n_paths)[:, None] > reached[regime]).sum(axis=1)
        step[:] = params.intercept[regime] + params.phi[regime] * last
        step += params.sigma[regime] * rng.standard_normal(n_paths)
        last = step
    return np.ascontiguousarray(paths.T)


def regime_probabilities(params: RegimesParams, x: ArrayLike, *, smooth: bool = True) -> Floats:
    """
    Probability of each regime at every value after the first.

    Parameters
    ----------
    params : RegimesParams
        The process.
    x : array_like, shape (n,)
        A series; NaN is a gap.
    smooth : bool
        Whether to judge by all of the series, or, with no look-ahead, by the values up to each.

    Returns
    -------
    ndarray, shape (n - 1, n_regimes)
        [-]

    Examples
    --------
    >>> params = RegimesParams(
    ...     intercept=np.zeros(2), phi=np.zeros(2), sigma=np.array([1.0, 9.0]), transition=np.full((2, 2), 0.5)
    ... )
    >>> regime_probabilities(params, [0.0, 0.5, 20.0]).round(2).tolist()
    [[0.89, 0.11], [0.0, 1.0]]
    """
    from gridlab.scenarios.hamilton import densities, filtered, smoothed

    values = checked_series(x, least=1)
    logs = densities(values, params.intercept, params.phi, params.sigma)
    _, probability = filtered(logs, params.transition, params.shares)
    return np.asarray(smoothed(probability, params.transition)[0] if smooth else probability)


def regimes_log_likelihood(params: RegimesParams, x: ArrayLike) -> float:
    """
    Exact log-likelihood of a series under a switching autoregression, given its first value.

    Examples
    --------
    >>> params = RegimesParams(
    ...     intercept=np.zeros(2), phi=np.zeros(2), sigma=np.array([1.0, 1.0]), transition=np.full((2, 2), 0.5)
    ... )
    >>> round(regimes_log_likelihood(params, [0.0, 0.0, 1.0]), 6)  # of two standard normals, 0 and 1
    -2.337877
    """
    from gridlab.scenarios.hamilton import densities, filtered

    logs = densities(checked_series(x, least=1), params.intercept, params.phi, params.sigma)
    return float(filtered(logs, params.transition, params.shares)[0])


class _Natural(NamedTuple):
    """The parameters as they stand in the formula."""

    intercept: Floats
    phi: Floats
    sigma: Floats
    transition: Floats


class _Layout(NamedTuple):
    """
    How parameters lie in a vector: intercepts, phi, log sigma, and log odds of the transitions, from a start on.

    Each is counted from its start in units of about the noise of one step, so that the likelihood curves alike in all.
    Without a coordinate are a phi held at 1 or -1 (elsewhere `held` is NaN) and a transition that never happens.
    """

    held: Floats
    happens: NDArray[np.bool_]
    free: NDArray[np.bool_]
    origin: Floats
    unit: Floats

    @classmethod
    def of(cls, natural: _Natural, expected: "_Expected", own_phi: bool) -> "_Layout":
        phi = natural.phi if own_phi else natural.phi[:1]
        held = np.where(np.abs(phi) > MOST_PHI - ROUNDING, np.sign(phi) * MOST_PHI, np.nan)
        free = natural.transition > 0
        likeliest = np.arange(len(free)), natural.transition.argmax(axis=1)
        free[likeliest] = False
        odds = np.log(natural.transition / natural.transition[likeliest][:, None], where=free, out=np.zeros(free.shape))
        origin = np.concatenate([natural.intercept, phi[np.isnan(held)], np.log(natural.sigma), odds[free]])
        information = _information(natural, expected, held, free) / expected.sums[:, 0].sum()
        return cls(held, natural.transition > 0, free, origin, 1 / np.sqrt(np.maximum(information, 1e-12)))

    @property
    def free_phi(self) -> NDArray[np.bool_]:
        """Which phi have a coordinate."""
        return np.asarray(np.isnan(self.held))

    def unpack(self, v: Floats) -> _Natural:
        k, n_phi, u = len(self.happens), int(self.free_phi.sum()), self.origin + self.unit * v
        odds = np.where(self.happens, 0.0, -np.inf)
        odds[self.free] = u[2 * k + n_phi :]
        weight = np.exp(odds - odds.max(axis=1, keepdims=True))
        phi = self.held.copy()
        phi[self.free_phi] = u[k : k + n_phi]
        sigma = np.exp(u[k + n_phi : 2 * k + n_phi])
        return _Natural(u[:k], np.resize(phi, k), sigma, weight / weight.sum(axis=1, keepdims=True))

    def coordinates(self) -> list[Coordinate]:
        k, n_phi = len(self.happens), int(self.free_phi.sum())
        spread = Coordinate(np.log(LEAST_SPREAD), 20.0, "a regime's spread goes to 0", "a regime's spread has no bound")
        level = Coordinate(-1e6, 1e6, "a regime's intercept has no bound", "a regime's intercept has no bound")
        persistence = Coordinate(-2.0, 2.0, "a regime's phi passes -1", "a regime's phi passes 1")
        odds = Coordinate(-20.0, 20.0, "a transition never happens", "a regime is left at once")
        every = [level] * k + [persistence] * n_phi + [spread] * k + [odds] * int(self.free.sum())
        return [
            one._replace(low=(one.low - at) / unit, high=(one.high - at) / unit)
            for one, at, unit in zip(every, self.origin, self.unit, strict=True)
        ]


def _information(natural: _Natural, expected: "_Expected", held: Floats, free: NDArray[np.bool_]) -> Floats:
    """Curvature by each coordinate, were the regimes known."""
    weight, _, _, square, _, _ = expected.sums.T
    variance, visits = natural.sigma**2, expected.counts.sum(axis=1, keepdims=True)
    by_phi = square / variance if len(held) > 1 else (square / variance).sum(keepdims=True)
    by_odds = visits * natural.transition * (1 - natural.transition)
    return np.concatenate([weight / variance, by_phi[np.isnan(held)], 2 * weight, by_odds[free]])


class _Expected(NamedTuple):
    """What expectation finds: the log-likelihood, weighted sums by regime, transitions, and the first regime."""

    log_likelihood: float
    sums: Floats
    counts: Floats
    first: Floats


def _expect(x: Floats, natural: _Natural, first: Floats) -> _Expected:
    from gridlab.scenarios.hamilton import densities, filtered, moments, smoothed

    logs = densities(x, natural.intercept, natural.phi, natural.sigma)
    log_likelihood, probability = filtered(logs, natural.transition, first)
    smooth, counts = smoothed(probability, natural.transition)
    return _Expected(log_likelihood, moments(x, smooth), counts, smooth[0])


def _maximised(expected: _Expected, own_phi: bool, sigma: Floats) -> _Natural:
    """Weighted regressions by regime and shares of the transitions: the step that cannot lower the likelihood."""
    n, sx, sy, sxx, sxy, syy = expected.sums.T
    n = np.maximum(n, 1e-300)
    within, across = sxx - sx**2 / n, sxy - sx * sy / n
    if not own_phi:
        within, across = (np.broadcast_to((s / sigma**2).sum(), s.shape) for s in (within, across))
    phi = np.clip(np.divide(across, within, out=np.zeros(len(n)), where=within > 0), -MOST_PHI, MOST_PHI)
    intercept = (sy - phi * sx) / n
    square = syy - 2 * intercept * sy - 2 * phi * sxy + intercept**2 * n + 2 * intercept * phi * sx + phi**2 * sxx
    visits = expected.counts.sum(axis=1, keepdims=True)
    stay = np.eye(len(n))
    transition = np.where(visits > 0, expected.counts / np.maximum(visits, 1e-300), stay)
    return _Natural(intercept, phi, np.sqrt(np.maximum(square / n, LEAST_SPREAD**2 / 4)), transition)


def _climbed(x: Floats, natural: _Natural, first: Floats, own_phi: bool, most: int) -> tuple[_Natural, _Expected]:
    """Expectation-maximisation until it gains no more, or `most` times."""
    n, before = len(x) - 1, -np.inf
    expected = _expect(x, natural, first)
    for _ in range(most):
        if expected.log_likelihood - before < CONVERGED * n or _is_empty(natural, expected):
            break
        before = expected.log_likelihood
        natural = _maximised(expected, own_phi, natural.sigma)
        expected = _expect(x, natural, expected.first)
    return natural, expected


def _is_empty(natural: _Natural, expected: _Expected) -> bool:
    return bool((expected.sums[:, 0] < LEAST_STEPS).any() or (natural.sigma < LEAST_SPREAD).any())


def _best_start(
    x: Floats, n_regimes: int, own_phi: bool, n_starts: int, rng: np.random.Generator
) -> tuple[_Natural, _Expected]:
    short = [_climbed(x, *one, own_phi, SHORT_RUN) for one in _starts(x, n_regimes, n_starts, own_phi, rng)]
    short = sorted((one for one in short if not _is_empty(*one)), key=lambda one: -one[1].log_likelihood)
    reached = [one[1].log_likelihood for one in short]
    apart = [k for k in range(len(short)) if k == 0 or reached[k - 1] - reached[k] > ALIKE * len(x)]
    long = [_climbed(x, short[k][0], short[k][1].first, own_phi, LONG_RUN) for k in apart[:LONG_RUNS]]
    long = [one for one in long if not _is_empty(*one)]
    if not long:
        raise DataError(
            f"{n_regimes} regimes do not fit: each of {n_starts} starts ends with a regime of fewer than {LEAST_STEPS} "
            "steps or without spread: ask for fewer regimes, or give a longer series"
        )
    natural, expected = max(long, key=lambda one: one[1].log_likelihood)
    transition = np.where(expected.counts < NEVER, 0, natural.transition)
    return natural._replace(transition=transition / transition.sum(axis=1, keepdims=True)), expected


def _starts(
    x: Floats, n_regimes: int, n_starts: int, own_phi: bool, rng: np.random.Generator
) -> Iterator[tuple[_Natural, Floats]]:
    """Parameters, and probabilities of the first regime: three from sorted steps, the others by chance."""
    whole = _step_is_whole(x)
    before, after = x[:-1][whole], x[1:][whole]
    slope = float(np.polyfit(before, after, 1)[0])
    shock = after - after.mean() - slope * (before - before.mean())
    for feature in (np.abs(shock), after, shock)[:n_starts]:
        yield _sorted_start(x, feature, n_regimes, own_phi, rng)
    low, high = np.log(np.quantile(np.abs(shock), [0.2, 0.98]) + 2 * LEAST_SPREAD)
    stay = np.full((n_regimes, n_regimes), 0.1 / (n_regimes - 1))
    np.fill_diagonal(stay, 0.9)
    for _ in range(n_starts - 3):
        phi = np.clip(slope * rng.uniform(0.3, 1.05, n_regimes if own_phi else 1), -0.98, 0.98)
        through = rng.integers(len(after), size=n_regimes)
        sigma = np.exp(rng.uniform(low, high, n_regimes))
        natural = _Natural(after[through] - phi * before[through], np.resize(phi, n_regimes), sigma, stay)
        yield natural, np.full(n_regimes, 1 / n_regimes)


def _sorted_start(
    x: Floats, feature: Floats, n_regimes: int, own_phi: bool, rng: np.random.Generator
) -> tuple[_Natural, Floats]:
    """Parameters of regimes into which the steps are sorted by a feature, in shares of chance."""
    from gridlab.scenarios.hamilton import moments

    cuts = np.quantile(feature, np.cumsum(rng.dirichlet(np.full(n_regimes, 4.0)))[:-1])
    regime = np.zeros(len(x) - 1, dtype=int)
    regime[_step_is_whole(x)] = np.searchsorted(cuts, feature)
    smooth = np.full((len(x) - 1, n_regimes), 0.1 / n_regimes) + 0.9 * np.eye(n_regimes)[regime]
    expected = _Expected(0.0, moments(x, smooth), smooth[:-1].T @ smooth[1:], smooth.mean(axis=0))
    return _maximised(expected, own_phi, np.ones(n_regimes)), expected.first


def _objective(x: Floats, v: Floats, layout: _Layout, n: int) -> tuple[float, Floats]:
    """Mean log-likelihood of a step and its gradient, by Fisher's identity: the expected score of what is hidden."""
    natural = layout.unpack(v)
    expected = _expect(x, natural, _shares(natural.transition))
    weight, sx, sy, sxx, sxy, syy = expected.sums.T
    c, phi, variance = natural.intercept, natural.phi, natural.sigma**2
    by_phi = (sxy - c * sx - phi * sxx) / variance
    by_phi = by_phi if len(layout.held) > 1 else by_phi.sum(keepdims=True)
    square = syy - 2 * c * sy - 2 * phi * sxy + c**2 * weight + 2 * c * phi * sx + phi**2 * sxx
    by_odds = expected.counts - natural.transition * expected.counts.sum(axis=1, keepdims=True)
    by_c, by_sigma = (sy - c * weight - phi * sx) / variance, square / variance - weight
    gradient = layout.unit * np.concatenate([by_c, by_phi[layout.free_phi], by_sigma, by_odds[layout.free]])
    return float(expected.log_likelihood) / n, (gradient + _by_first(v, layout, expected.first)) / n


def _by_first(v: Floats, layout: _Layout, first: Floats) -> Floats:
    """Slope of the expected log probability of the first regime, which the log odds alone move."""
    n_odds = int(layout.free.sum())
    steps = 1e-5 * np.eye(len(v))[len(v) - n_odds :]

    def value(at: Floats) -> float:
        return float(first @ np.log(np.maximum(_shares(layout.unpack(at).transition), 1e-300)))

    slopes = [(value(v + step) - value(v - step)) / 2e-5 for step in steps]
    return np.append(np.zeros(len(v) - n_odds), slopes)


def _shares(transition: Floats) -> Floats:
    """Long-run shares of a chain: ``pi P = pi``, in sum 1, by least squares so that several closed classes pass too."""
    k = len(transition)
    equations = np.vstack([transition.T - np.eye(k), np.ones(k)])
    solved = np.linalg.lstsq(equations, np.append(np.zeros(k), 1.0), rcond=None)[0]
    return np.asarray(np.maximum(solved, 0) / np.maximum(solved, 0).sum())


def _in_units(found: Maximum, layout: _Layout, centre: float, scale: float, n: int) -> RegimesParams:
    """Parameters and standard errors of the series, from those of the series less `centre`, over `scale`."""
    order = np.argsort(layout.unpack(found.coordinates).sigma)

    def natural(u: Floats) -> _Natural:
        return _sorted(_rescaled(layout.unpack(u), centre, scale), order)

    def values(u: Floats) -> Floats:
        return np.array(list(_named(natural(u)).values()))

    best = natural(found.coordinates)
    errors = by_delta(values, found.coordinates, found.covariance)
    by_name = {name: float(error) for name, error in zip(_named(best), errors, strict=True) if error > 0}
    log_likelihood = float(found.log_likelihood - n * np.log(scale))
    return RegimesParams(*best, errors=by_name, n=n, log_likelihood=log_likelihood)


def _rescaled(natural: _Natural, centre: float, scale: float) -> _Natural:
    intercept = scale * natural.intercept + centre * (1 - natural.phi)
    return natural._replace(intercept=intercept, sigma=scale * natural.sigma)


def _sorted(natural: _Natural, order: NDArray[np.int64]) -> _Natural:
    intercept, phi, sigma, transition = natural
    return _Natural(intercept[order], phi[order], sigma[order], transition[np.ix_(order, order)])


def _named(natural: _Natural) -> dict[str, float]:
    rows = {"intercept": natural.intercept, "phi": natural.phi, "sigma": natural.sigma}
    named = {f"{name}_{s}": float(value) for name, values in rows.items() for s, value in enumerate(values)}
    return named | {f"transition_{r}_{s}": float(p) for (r, s), p in np.ndenumerate(natural.transition)}


def _step_is_whole(x: Floats) -> NDArray[np.bool_]:
    return np.asarray(~(np.isnan(x[:-1]) | np.isnan(x[1:])))


def _probabilities(start_regime: ArrayLike, n_regimes: int) -> Floats:
    values = np.asarray(start_regime, dtype=float)
    if values.shape != (n_regimes,) or not (values >= 0).all() or abs(values.sum() - 1) > 1e-6:
        raise DataError(f"start_regime must be {n_regimes} probabilities in sum 1, got {values.tolist()}")
    return values


def _check_worth(params: RegimesParams, values: Floats, *, more: int) -> None:
    """Refuse regimes that a single autoregression explains as well, and paths that grow without bound."""
    whole = _step_is_whole(values)
    before, after = values[:-1][whole], values[1:][whole]
    residual = after - np.polyval(np.polyfit(before, after, 1), before)
    plain = -0.5 * params.n * (np.log(2 * np.pi * residual.var()) + 1)
    gain = 2 * (params.log_likelihood - plain)
    if gain < more * np.log(params.n):
        raise DataError(
            f"{len(params.sigma)} regimes are not there: they raise twice the log-likelihood by {gain:.1f}, less than "
            f"the {more * np.log(params.n):.1f} that {more} more parameters cost: use calibrate_ou"
        )
    if not params.is_stationary:
        raise DataError(
            f"paths of the regimes found would grow without bound (phi {params.phi.round(3).tolist()}): take the "
            "season out first, ask for fewer regimes, or set own_phi=False"
        )
