"""The Hamilton filter and Kim smoother of a switching first-order autoregression, compiled."""

import numba
import numpy as np

LOG_TWO_PI = np.log(2 * np.pi)


@numba.njit(cache=True)
def densities(x, intercept, phi, sigma):  # type: ignore[no-untyped-def]
    """Log density of each step in each regime, (n_steps, n_regimes); 0 for a step that a NaN touches."""
    n, k = len(x) - 1, len(sigma)
    logs = np.zeros((n, k))
    for t in range(n):
        if not (np.isnan(x[t]) or np.isnan(x[t + 1])):
            for s in range(k):
                shock = (x[t + 1] - intercept[s] - phi[s] * x[t]) / sigma[s]
                logs[t, s] = -0.5 * (LOG_TWO_PI + shock * shock) - np.log(sigma[s])
    return logs


@numba.njit(cache=True)
def filtered(logs, transition, first):  # type: ignore[no-untyped-def]
    """Log-likelihood, and probabilities of the regimes given the steps so far, (n_steps, n_regimes)."""
    n, k = logs.shape
    probability, expected, total = np.empty((n, k)), first.copy(), 0.0
    for t in range(n):
        highest, mass = -np.inf, 0.0
        for s in range(k):
            if expected[s] > 0.0:
                highest = max(highest, logs[t, s])
        for s in range(k):
            probability[t, s] = expected[s] * np.exp(min(logs[t, s] - highest, 0.0))
            mass += probability[t, s]
        total += highest + np.log(mass)
        for s in range(k):
            probability[t, s] /= mass
        for s in range(k):
            expected[s] = 0.0
            for r in range(k):
                expected[s] += probability[t, r] * transition[r, s]
    return total, probability


@numba.njit(cache=True)
def smoothed(probability, transition):  # type: ignore[no-untyped-def]
    """Probabilities of the regimes given all steps, from the filtered ones, and the transitions to expect, (k, k)."""
    n, k = probability.shape
    smooth, counts, pair = probability.copy(), np.zeros((k, k)), np.empty((k, k))
    for t in range(n - 2, -1, -1):
        for s in range(k):
            expected = 0.0
            for r in range(k):
                pair[r, s] = probability[t, r] * transition[r, s]
                expected += pair[r, s]
            ratio = smooth[t + 1, s] / expected if expected > 0.0 else 0.0
            for r in range(k):
                pair[r, s] *= ratio
        for r in range(k):
            smooth[t, r] = 0.0
            for s in range(k):
                smooth[t, r] += pair[r, s]
                counts[r, s] += pair[r, s]
    return smooth, counts


@numba.njit(cache=True)
def moments(x, smooth):  # type: ignore[no-untyped-def]
    """By regime, sums over the steps, weighted by probability, of 1, x, y, xx, xy, yy: x before and y after."""
    n, k = smooth.shape
    sums = np.zeros((k, 6))
    for t in range(n):
        if not (np.isnan(x[t]) or np.isnan(x[t + 1])):
            for s in range(k):
                weight, before, after = smooth[t, s], x[t], x[t + 1]
                sums[s, 0] += weight
                sums[s, 1] += weight * before
                sums[s, 2] += weight * after
                sums[s, 3] += weight * before * before
                sums[s, 4] += weight * before * after
                sums[s, 5] += weight * after * after
    return sums
