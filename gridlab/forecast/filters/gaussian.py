"""Filters that carry a mean and a covariance: Kalman's, which is exact for linear models, and the unscented."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridlab.days import Floats
from gridlab.errors import DataError


@dataclass(frozen=True)
class Filtered:
    """
    What is known of the state at each time from the observations up to it.

    Parameters
    ----------
    mean : ndarray, shape (n_times, n_states)
    covariance : ndarray, shape (n_times, n_states, n_states)
    log_likelihood : float
        Of all observations.
    """

    mean: Floats
    covariance: Floats
    log_likelihood: float


@dataclass(frozen=True)
class LinearModel:
    """
    A state ``x_t = F x_{t-1} + w_t`` seen as ``y_t = H x_t + v_t``, with normal noise of covariances Q and R.

    Parameters
    ----------
    transition : ndarray, shape (n_states, n_states)
        F.
    process : ndarray, shape (n_states, n_states)
        Q.
    observation : ndarray, shape (n_observed, n_states)
        H.
    noise : ndarray, shape (n_observed, n_observed)
        R.
    mean : ndarray, shape (n_states,)
    covariance : ndarray, shape (n_states, n_states)
        Of the state at the time of the first observation, before it.
    """

    transition: Floats
    process: Floats
    observation: Floats
    noise: Floats
    mean: Floats
    covariance: Floats


@dataclass(frozen=True)
class NonlinearModel:
    """
    A state ``x_t = f(x_{t-1}, t) + w_t`` seen as ``y_t = h(x_t, t) + v_t``, with normal noise of covariances Q and R.

    Parameters
    ----------
    transition : callable
        f of states of shape (n_points, n_states) and the row of the time they are moved to.
    process : ndarray, shape (n_states, n_states)
        Q.
    observe : callable
        h of states and the row of their time; shape (n_points, n_observed).
    noise : ndarray, shape (n_observed, n_observed)
        R.
    mean : ndarray, shape (n_states,)
    covariance : ndarray, shape (n_states, n_states)
        Of the state at the time of the first observation, before it.
    bound : ndarray, shape (n_states,), optional
        Size that no state passes; the mean and the points are moved to it.
    """

    transition: Callable[[Floats, int], Floats]
    process: Floats
    observe: Callable[[Floats, int], Floats]
    noise: Floats
    mean: Floats
    covariance: Floats
    bound: Floats | float = np.inf


def kalman(observations: ArrayLike, model: LinearModel) -> Filtered:
    """
    Kalman's filter: the exact mean and covariance of the state of a linear normal model.

    Parameters
    ----------
    observations : array_like, shape (n_times,) or (n_times, n_observed)
        A time with a NaN is passed over.
    model : LinearModel

    Returns
    -------
    Filtered

    Raises
    ------
    DataError
        If there is no observation, or they are not as many at a time as the model has.

    References
    ----------
    .. [1] R. E. Kalman, "A new approach to linear filtering and prediction problems," J. Basic Engineering 82(1),
       1960, doi:10.1115/1.3662552.

    Examples
    --------
    >>> one = np.eye(1)
    >>> walk = LinearModel(one, 0 * one, one, one, np.zeros(1), 1e9 * one)  # a constant: the filter takes the mean
    >>> kalman([1.0, 2.0, 6.0], walk).mean[:, 0].round(3).tolist()
    [1.0, 1.5, 3.0]
    """
    rows = observed_rows(observations, len(model.noise))
    F, H = model.transition, model.observation
    mean, covariance, log_likelihood = model.mean, model.covariance, 0.0
    means, covariances = [], []
    for t, row in enumerate(rows):
        if t:
            mean, covariance = F @ mean, F @ covariance @ F.T + model.process
        if not np.isnan(row).any():
            cross = covariance @ H.T
            mean, covariance, step = _corrected(mean, covariance, row - H @ mean, cross, H @ cross + model.noise)
            log_likelihood += step
        means.append(mean)
        covariances.append(covariance)
    return Filtered(np.array(means), np.array(covariances), log_likelihood)


def unscented(
    observations: ArrayLike, model: NonlinearModel, *, alpha: float = 1.0, beta: float = 2.0, kappa: float = 0.0
) -> Filtered:
    r"""
    Unscented Kalman filter: mean and covariance carried through the functions by points around the mean.

    The ``2 n + 1`` points are the mean and, along each axis of the covariance's root, the mean more and less
    ``alpha sqrt(n + kappa)`` deviations [1]_ [2]_; they are drawn anew after the noise of the process is added. On a
    linear model it is Kalman's filter, whatever the parameters. States that a bound limits are moved to it [3]_.

    Parameters
    ----------
    observations : array_like, shape (n_times,) or (n_times, n_observed)
        A time with a NaN is passed over.
    model : NonlinearModel
    alpha, beta, kappa : float
        Spread of the points, above 0; weight of the mean's point in the covariance, 2 for a normal; and a second
        spread, above -n_states.

    Returns
    -------
    Filtered
        The likelihood is that of normal innovations.

    Raises
    ------
    DataError
        If there is no observation, they are not as many at a time as the model has, or the points have no spread.

    References
    ----------
    .. [1] S. J. Julier and J. K. Uhlmann, "Unscented filtering and nonlinear estimation," Proc. IEEE 92(3), 2004,
       doi:10.1109/JPROC.2003.823141.
    .. [2] E. A. Wan and R. van der Merwe, "The unscented Kalman filter for nonlinear estimation," Proc. IEEE Adaptive
       Systems for Signal Processing, Communications, and Control, 2000, doi:10.1109/ASSPCC.2000.882463.
    .. [3] R. Kandepu, B. Foss and L. Imsland, "Applying the unscented Kalman filter for nonlinear state estimation,"
       J. Process Control 18(7-8), 2008, doi:10.1016/j.jprocont.2007.11.004.

    Examples
    --------
    >>> one = np.eye(1)
    >>> level = NonlinearModel(lambda x, t: x, 0.01 * one, lambda x, t: np.sinh(x), 0.01 * one, np.zeros(1), one)
    >>> float(unscented(np.full(20, np.sinh(1.5)), level).mean[-1, 0].round(1))
    1.5
    """
    rows = observed_rows(observations, len(model.noise))
    spread, weights, squares = _weights(len(model.mean), alpha, beta, kappa)
    mean, covariance, log_likelihood = model.mean, model.covariance, 0.0
    means, covariances = [], []
    for t, row in enumerate(rows):
        points = _points(mean, covariance, spread, model.bound)
        if t:
            moved = model.transition(points, t)
            mean = weights @ moved
            covariance = _second_moment(moved - mean, moved - mean, squares) + model.process
            points = _points(mean, covariance, spread, model.bound)
        if not np.isnan(row).any():
            seen = model.observe(points, t)
            expected = weights @ seen
            cross = _second_moment(points - mean, seen - expected, squares)
            variance = _second_moment(seen - expected, seen - expected, squares) + model.noise
            mean, covariance, step = _corrected(mean, covariance, row - expected, cross, variance)
            mean = np.clip(mean, -model.bound, model.bound)
            log_likelihood += step
        means.append(mean)
        covariances.append(covariance)
    return Filtered(np.array(means), np.array(covariances), log_likelihood)


def observed_rows(observations: ArrayLike, n_observed: int) -> Floats:
    """Observations as rows, (n_times, n_observed); refused where they are not as many as the model's."""
    rows = np.asarray(observations, dtype=float)
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != n_observed:
        raise DataError(f"needs observations of shape (n_times, {n_observed}), got {np.shape(observations)}")
    return rows


def _corrected(
    mean: Floats, covariance: Floats, innovation: Floats, cross: Floats, variance: Floats
) -> tuple[Floats, Floats, float]:
    """Mean and covariance given an observation, and its log-likelihood."""
    gain = np.linalg.solve(variance, cross.T).T
    _, log_determinant = np.linalg.slogdet(2 * np.pi * variance)
    log_likelihood = -0.5 * (float(innovation @ np.linalg.solve(variance, innovation)) + float(log_determinant))
    smaller = covariance - gain @ cross.T
    return mean + gain @ innovation, (smaller + smaller.T) / 2, log_likelihood


def _weights(n_states: int, alpha: float, beta: float, kappa: float) -> tuple[float, Floats, Floats]:
    """Squared distance of the points in deviations, and their weights in means and in second moments."""
    if not (alpha > 0 and n_states + kappa > 0):
        raise DataError(f"needs alpha > 0 and kappa > -{n_states}, got {alpha} and {kappa}")
    spread = alpha**2 * (n_states + kappa)
    weights = np.full(2 * n_states + 1, 0.5 / spread)
    weights[0] = 1 - n_states / spread
    squares = weights.copy()
    squares[0] += 1 - alpha**2 + beta
    return spread, weights, squares


def _points(mean: Floats, covariance: Floats, spread: float, bound: Floats | float) -> Floats:
    """Sigma points, shape (2 n_states + 1, n_states), along the axes of the covariance, which may be singular."""
    variance, axes = np.linalg.eigh(covariance)
    steps = (axes * np.sqrt(spread * np.maximum(variance, 0.0))).T
    points = np.concatenate([mean[None], mean + steps, mean - steps])
    return np.asarray(np.clip(points, -np.asarray(bound), bound))


def _second_moment(left: Floats, right: Floats, weights: Floats) -> Floats:
    return np.asarray((weights[:, None] * left).T @ right)
