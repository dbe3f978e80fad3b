"""Compiled log-likelihoods of a step that is normal but for a Poisson number of jumps, each with its exact gradient."""

import math

import numba
import numpy as np

MOST_TERMS = 80
"""Of the Poisson series; enough for one jump a step in the mean at any row."""

TOLERANCE = 1e-10
"""Share of a row's density, or probability of more jumps, that the series may leave out."""

FAR = 3.0
"""Where the repeated integrals of the normal tail turn to the continued fraction."""

FRACTION_TERMS = 40
ROOT_TWO_PI = math.sqrt(2 * math.pi)


@numba.njit(cache=True)
def normal_jumps(before, after, shift, decay, variance, rate, jump_mean, jump_variance):  # type: ignore[no-untyped-def]
    r"""
    Sum of ``log sum_k Poisson(k; rate) N(r; k jump_mean, variance + k jump_variance)`` and its gradient.

    The residual r of a row is ``after - shift - decay before``. Its series ends once a bound on
    what is left, the probability of more jumps times the greatest density that they can have, is a `TOLERANCE` of its
    sum.

    Returns
    -------
    total : float
    gradient : ndarray, shape (6,)
        By shift, decay, variance, rate, jump_mean, jump_variance.
    """
    log_weight, spread, bound = _poisson_terms(variance, rate, jump_variance)
    total, gradient = 0.0, np.zeros(6)
    sums = np.empty(5)
    for row in range(len(after)):
        residual = after[row] - shift - decay * before[row]
        density, log_unit = _row(residual, log_weight, spread, bound, rate, jump_mean, sums)
        total += math.log(density) + log_unit
        gradient[0] += sums[0] / density
        gradient[1] += sums[0] / density * before[row]
        for j in range(1, 5):
            gradient[1 + j] += sums[j] / density
    return total, gradient


@numba.njit(cache=True)
def _poisson_terms(variance, rate, jump_variance):  # type: ignore[no-untyped-def]
    """Log weight over the root of 2 pi and the variance, the variance, and the bound on what follows, of every term."""
    log_weight, spread, bound = np.empty(MOST_TERMS), np.empty(MOST_TERMS), np.empty(MOST_TERMS)
    mass = 1.0
    for k in range(MOST_TERMS):
        spread[k] = variance + k * jump_variance
        log_poisson = k * math.log(rate) - rate - math.lgamma(k + 1.0)
        log_weight[k] = log_poisson - math.log(ROOT_TWO_PI) - 0.5 * math.log(spread[k])
        # the terms after k fall at least as fast as a geometric series of ratio rate / (k + 2)
        following = math.exp(log_poisson) * rate / (k + 1.0) / max(1.0 - rate / (k + 2.0), 1e-3)
        mass = min(mass, following)
        bound[k] = mass / math.sqrt(2 * math.pi * (spread[k] + jump_variance))
    return log_weight, spread, bound


@numba.njit(cache=True)
def _row(residual, log_weight, spread, bound, rate, jump_mean, sums):  # type: ignore[no-untyped-def]
    """Density of a row in a unit whose logarithm is given, and in `sums` its derivatives in that unit."""
    log_unit = 0.0
    density = _series(residual, log_weight, spread, bound, rate, jump_mean, sums, log_unit)
    if density < 1e-200:
        log_unit = -np.inf
        for k in range(len(spread)):
            log_unit = max(log_unit, log_weight[k] - 0.5 * (residual - k * jump_mean) ** 2 / spread[k])
        density = _series(residual, log_weight, spread, bound, rate, jump_mean, sums, log_unit)
    return density, log_unit


@numba.njit(cache=True)
def _series(residual, log_weight, spread, bound, rate, jump_mean, sums, log_unit):  # type: ignore[no-untyped-def]
    density = 0.0
    sums[:] = 0.0
    for k in range(len(spread)):
        distance = residual - k * jump_mean
        score = distance / spread[k]
        term = math.exp(log_weight[k] - 0.5 * distance * score - log_unit)
        curvature = 0.5 * term * (score * score - 1.0 / spread[k])
        density += term
        sums[0] += term * score
        sums[1] += curvature
        sums[2] += term * (k / rate - 1.0)
        sums[3] += term * k * score
        sums[4] += curvature * k
        if log_unit == 0.0 and bound[k] <= TOLERANCE * density:
            break
    return density


@numba.njit(cache=True)
def exponential_jumps(increments, shift, sd, up_rate, down_rate, up_decay, down_decay):  # type: ignore[no-untyped-def]
    r"""
    Sum of log densities of a normal plus Poisson numbers of exponential jumps up and down, and its gradient.

    With m jumps up and n down the density ``G[m, n]`` is a normal's convolved with two Erlang densities of opposite
    sign. With jumps of one sign it is ``(sd decay)**m`` times a repeated integral of the normal tail [1]_; with both,
    partial fractions give ``G[m, n] = (down G[m, n-1] + up G[m-1, n]) / (up + down)`` in the decays, sums of positive
    terms. Numbers of jumps whose probability is below `TOLERANCE` in all are left out.

    Returns
    -------
    total : float
    gradient : ndarray, shape (6,)
        By shift, sd, up_rate, down_rate, up_decay, down_decay.

    References
    ----------
    .. [1] S. G. Kou, "A jump-diffusion model for option pricing," Management Science 48(8), 2002, appendix B,
       doi:10.1287/mnsc.48.8.1086.166.
    """
    most = _most_jumps(up_rate + down_rate)
    weight = _two_poissons(up_rate, down_rate, most)
    value, slope, bend = np.zeros((most + 2, most + 2)), np.zeros((most + 2, most + 2)), np.zeros((most + 2, most + 2))
    total, gradient, sums = 0.0, np.zeros(6), np.empty(6)
    for row in range(len(increments)):
        t = increments[row] - shift
        log_unit = _densities(t, sd, up_decay, down_decay, most + 1, value)
        _derivatives(t, sd, up_decay, down_decay, most, value, slope, bend)
        density = _weigh(weight, value, slope, bend, most, up_rate, down_rate, up_decay, down_decay, sums)
        total += math.log(density) + log_unit
        sums[1] *= sd
        for j in range(6):
            gradient[j] += sums[j] / density
    return total, gradient


@numba.njit(cache=True)
def _most_jumps(rate):  # type: ignore[no-untyped-def]
    """Least number that more jumps pass with a probability of `TOLERANCE`."""
    term, most = math.exp(-rate), 0
    tail = -math.expm1(-rate)
    while tail > TOLERANCE and most < MOST_TERMS:
        most += 1
        term *= rate / most
        tail = 0.0
        following = term
        for k in range(most + 1, most + 30):
            following *= rate / k
            tail += following
    return max(most, 2)


@numba.njit(cache=True)
def _two_poissons(up_rate, down_rate, most):  # type: ignore[no-untyped-def]
    """Probability of m jumps up and n down."""
    weight = np.zeros((most + 1, most + 1))
    for m in range(most + 1):
        for n in range(most + 1 - m):
            log_weight = m * math.log(up_rate) + n * math.log(down_rate) - math.lgamma(m + 1.0) - math.lgamma(n + 1.0)
            weight[m, n] = math.exp(log_weight - up_rate - down_rate)
    return weight


@numba.njit(cache=True)
def _densities(t, sd, up_decay, down_decay, most, value):  # type: ignore[no-untyped-def]
    """Fill ``G[m, n]`` in a unit whose logarithm is returned."""
    up, down = sd * up_decay - t / sd, sd * down_decay + t / sd
    _repeated_integrals(up, sd * up_decay, most, value[:, 0])
    _repeated_integrals(down, sd * down_decay, most, value[0])
    log_unit, low = -0.5 * (t / sd) ** 2, min(up, down)
    if low <= 0.0:
        log_unit += 0.5 * low * low
        normal = math.exp(-0.5 * low * low)
        other = value[0] if up <= 0.0 else value[:, 0]
        for k in range(1, most + 1):
            other[k] *= normal
        value[0, 0] = normal
    height = 1.0 / (sd * ROOT_TWO_PI)
    for k in range(most + 1):
        value[k, 0] *= height
        if k > 0:
            value[0, k] *= height
    share = up_decay / (up_decay + down_decay)
    for m in range(1, most + 1):
        for n in range(1, most + 1 - m):
            value[m, n] = (1.0 - share) * value[m, n - 1] + share * value[m - 1, n]
    return log_unit


@numba.njit(cache=True)
def _repeated_integrals(x, scale, most, out):  # type: ignore[no-untyped-def]
    """
    ``scale**k Hh_{k-1}(x)`` for k to `most`, times ``exp(x**2 / 2)`` where x is above 0.

    ``n Hh_n = Hh_{n-2} - x Hh_{n-1}`` loses digits as x grows; the ratios of successive ones are a continued fraction.
    """
    if x > FAR:
        last = most + FRACTION_TERMS
        ratio = 2.0 / (x + math.sqrt(x * x + 4.0 * (last + 1.0)))
        for k in range(last - 1, -1, -1):
            ratio = 1.0 / (x + (k + 1.0) * ratio)
            if k < most:
                out[k + 1] = ratio
        out[0] = 1.0
        for k in range(1, most + 1):
            out[k] *= out[k - 1] * scale
        return
    out[0] = 1.0 if x > 0.0 else math.exp(-0.5 * x * x)
    tail = math.sqrt(0.5 * math.pi) * math.erfc(x / math.sqrt(2.0))
    out[1] = scale * (tail * math.exp(0.5 * x * x) if x > 0.0 else tail)
    for k in range(2, most + 1):
        out[k] = scale * (scale * out[k - 2] - x * out[k - 1]) / (k - 1.0)


@numba.njit(cache=True)
def _derivatives(t, sd, up_decay, down_decay, most, value, slope, bend):  # type: ignore[no-untyped-def]
    """First and second derivative of ``G[m, n]`` by t."""
    slope[0, 0] = -t / (sd * sd) * value[0, 0]
    bend[0, 0] = ((t / sd) ** 2 - 1.0) / (sd * sd) * value[0, 0]
    for n in range(1, most + 1):
        slope[0, n] = down_decay * (value[0, n] - value[0, n - 1])
        bend[0, n] = down_decay * (slope[0, n] - slope[0, n - 1])
    for m in range(1, most + 1):
        for n in range(most + 1 - m):
            slope[m, n] = up_decay * (value[m - 1, n] - value[m, n])
            bend[m, n] = up_decay * (slope[m - 1, n] - slope[m, n])


@numba.njit(cache=True)
def _weigh(weight, value, slope, bend, most, up_rate, down_rate, up_decay, down_decay, sums):  # type: ignore[no-untyped-def]
    """Density, and in `sums` its derivatives by shift, variance (twice), rates and decays."""
    density = 0.0
    sums[:] = 0.0
    for m in range(most + 1):
        for n in range(most + 1 - m):
            term = weight[m, n] * value[m, n]
            density += term
            sums[0] -= weight[m, n] * slope[m, n]
            sums[1] += weight[m, n] * bend[m, n]
            sums[2] += term * (m / up_rate - 1.0)
            sums[3] += term * (n / down_rate - 1.0)
            sums[4] += weight[m, n] * (value[m, n] - value[m + 1, n]) * m / up_decay
            sums[5] += weight[m, n] * (value[m, n] - value[m, n + 1]) * n / down_decay
    return density
