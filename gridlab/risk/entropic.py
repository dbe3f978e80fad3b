"""The entropic value at risk of scenarios: what the exponential moments of a loss say of its tail."""

import numpy as np
from numpy.typing import ArrayLike

from gridlab.risk.historical import Floats, checked_losses

_BLOCK = 250_000  # losses worked on at once, few enough for the processor's cache
_PRECISION = 1e-9  # of the logarithm of the tilt: the measure is flat in it, so the error is of the square
_GREATEST_TILT = 1e20  # only the greatest loss is left of losses that differ by rounding
_FARTHEST = 20.0  # the most that one step may add to the logarithm of the tilt
_NEWTON_STEPS, _MOST_STEPS = 30, 120
_TINY, _FLATTEST = 1e-200, 1e-12  # what a relative entropy, and its slope beside it, are at the least


def evar(loss: ArrayLike, level: float = 0.95, *, weights: ArrayLike | None = None) -> Floats:
    r"""
    Entropic value at risk: the least upper bound that the exponential moments of a loss put on its tail.

    ``inf over t > 0 of log(E[exp(t loss)] / (1 - level)) / t``. It is the greatest mean loss under any distribution
    whose entropy relative to the given one is at most ``-log(1 - level)``, hence coherent, and lies between the
    conditional value at risk of the same level and the greatest loss. Level 0 gives the mean; where the greatest loss
    has a probability of ``1 - level`` or more, and so as the level goes to 1, it is the greatest loss.

    The least is found by Newton's method on the logarithm of `t`, within a bracket, where the tilted distribution has
    exactly the relative entropy allowed; losses are scaled by their range before.

    Parameters
    ----------
    loss : array_like, shape (..., n_scenarios)
        Loss of each scenario, positive when money is paid. [$]
    level : float
        Confidence level, ``0 <= level < 1``; 0 gives the mean. [-]
    weights : array_like, shape (n_scenarios,), optional
        Scenario probabilities, scaled here to sum to 1. Equal when omitted. [-]

    Returns
    -------
    ndarray, shape (...)
        Entropic value at risk. [$]

    Raises
    ------
    DataError
        If `level` is outside [0, 1), `loss` is a DataFrame or has no scenarios or one that is NaN or infinite, or
        `weights` are negative, all zero, of another length or another index.

    References
    ----------
    .. [1] A. Ahmadi-Javid, "Entropic value-at-risk: a new coherent risk measure," J. Optimization Theory and
       Applications 155(3), 2012, doi:10.1007/s10957-011-9968-2.

    Examples
    --------
    >>> loss = [0, 0, 10, 30]
    >>> [round(float(evar(loss, level)), 6) for level in (0, 0.5, 0.75)]
    [10.0, 25.176149, 30.0]
    """
    loss, level, probability = checked_losses(loss, level, weights)
    greatest, spread = loss.max(axis=-1), np.ptp(loss, axis=-1)
    if level == 0:
        return np.asarray(np.clip(loss @ probability, loss.min(axis=-1), greatest))
    scaled = (loss - greatest[..., np.newaxis]) / np.where(spread > 0, spread, 1.0)[..., np.newaxis]
    below_greatest = np.asarray((scaled == 0) @ probability < 1 - level)
    bound = np.zeros(below_greatest.shape)
    rows = scaled[below_greatest]
    blocks = np.array_split(rows, max(rows.size // _BLOCK, 1))
    bound[below_greatest] = np.concatenate([_least_bound(block, probability, -np.log1p(-level)) for block in blocks])
    return np.asarray(greatest + spread * bound)


def _least_bound(loss: Floats, probability: Floats, budget: float) -> Floats:
    """
    Measure of rows of losses in [-1, 0] whose greatest is 0, where it is below 0, shape (n_rows,).

    A tilt of `t` adds a relative entropy of at most ``t^2 / 8`` to such losses, which is where the bracket begins.
    """
    if not len(loss):
        return np.zeros(0)
    variance = np.maximum(loss**2 @ probability - (loss @ probability) ** 2, _TINY)
    low, high = np.full(len(loss), 0.99 * np.sqrt(8 * budget)), np.full(len(loss), _GREATEST_TILT)
    tilt = np.clip(np.sqrt(2 * budget / variance), low, high)
    for n_steps in range(_MOST_STEPS):
        log_mean, entropy, slope = _tilted(loss, probability, tilt)
        low, high = np.where(entropy < budget, tilt, low), np.where(entropy < budget, high, tilt)
        newton = tilt * np.exp(np.clip(np.log(budget / entropy) * entropy / slope, -_FARTHEST, _FARTHEST))
        inside = (newton >= low) & (newton <= high) & (n_steps < _NEWTON_STEPS)
        step = np.where(inside, newton, np.sqrt(low * high))
        if (np.abs(np.log(step / tilt)) < _PRECISION).all():
            break
        tilt = step
    return np.asarray(np.minimum((log_mean + budget) / tilt, 0.0))


def _tilted(loss: Floats, probability: Floats, tilt: Floats) -> tuple[Floats, Floats, Floats]:
    """
    Of the distributions tilted by ``exp(tilt loss)``: the cumulant, the relative entropy and its slope in ``log tilt``.

    The greatest loss is 0, so the mean of the exponentials neither over- nor underflows; where the tilt is small it
    is close to 1, and its distance from 1 is what is summed.
    """
    exponent = tilt[:, np.newaxis] * loss
    grown = np.exp(exponent)
    total = grown @ probability
    close = np.log1p(np.expm1(np.maximum(exponent, loss)) @ probability)
    log_mean = np.where(tilt <= 1, close, np.log(total))
    mean = (grown * exponent) @ probability / total
    variance = (grown * exponent**2) @ probability / total - mean**2
    entropy = np.maximum(mean - log_mean, _TINY)
    return log_mean, entropy, np.maximum(variance, _FLATTEST * entropy)
