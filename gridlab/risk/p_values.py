"""P-values that hold in samples of any size: from a statistic's exact law, or from draws of it under the hypothesis."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, as_probabilities

_ROUNDING = 1e-9  # statistics that differ by less, relative to 1 and their size, are equal


class BacktestResult(NamedTuple):
    """A backtest's statistic and p-value: numbers, or arrays with one for each series."""

    statistic: Floats
    p_value: Floats


def exact_p_value(
    statistic: ArrayLike, values: ArrayLike, probability: ArrayLike, *, rng: np.random.Generator | None = None
) -> Floats:
    r"""
    P-value of a statistic whose law is a list of values: :math:`P(S > s) + U P(S = s)`, U uniform on [0, 1).

    The coin U makes the p-value uniform under the hypothesis, so that a test at 5 % rejects in exactly 5 % of the
    cases, however few the values are. Without `rng` U is 1: the test rejects in 5 % of the cases or fewer, and in far
    fewer where one value holds much of the probability.

    Parameters
    ----------
    statistic : array_like, shape (...)
        What was observed; large values speak against the hypothesis.
    values : array_like, shape (n_values,)
        What the statistic can be, in any order.
    probability : array_like, shape (n_values,)
        Probability of each value under the hypothesis. [-]
    rng : Generator, optional
        Draws the coin.

    Returns
    -------
    ndarray, shape (...)
        P-values. [-]

    Raises
    ------
    DataError
        If the statistic is NaN, there is not one probability for each value, or these are negative, NaN or all zero.

    Examples
    --------
    >>> float(exact_p_value(1, [0, 1, 2], [0.5, 0.4, 0.1]))
    0.5
    >>> p_value = exact_p_value(np.ones(3), [0, 1, 2], [0.5, 0.4, 0.1], rng=np.random.default_rng(0))
    >>> bool(((p_value >= 0.1) & (p_value < 0.5)).all())
    True
    """
    statistic, values = np.asarray(statistic, dtype=float), np.asarray(values, dtype=float)
    if np.isnan(statistic).any():
        raise DataError("a statistic is NaN, and so has no p-value: leave it out")
    if values.ndim != 1 or np.isnan(values).any():
        raise DataError(f"values must be of shape (n_values,) and not NaN, got {values}")
    order, share = np.argsort(values), as_probabilities(probability, len(values))
    at_least = np.append(np.cumsum(share[order][::-1])[::-1], 0.0)
    slack = _slack(statistic)
    greater = at_least[np.searchsorted(values[order], statistic + slack, side="right")]
    tied = at_least[np.searchsorted(values[order], statistic - slack, side="left")] - greater
    coin = 1.0 if rng is None else rng.random(statistic.shape)
    return np.asarray(np.minimum(greater + coin * tied, 1.0))[()]


def simulated_p_value(statistic: ArrayLike, simulated: ArrayLike, *, rng: np.random.Generator | None = None) -> Floats:
    r"""
    Monte-Carlo p-value: the rank of a statistic among draws of it under the hypothesis.

    With G draws greater than the statistic and T equal to it, :math:`p = (1 + G + R) / (N + 1)`, where R is drawn
    uniformly from 0 to T. If :math:`\alpha (N + 1)` is whole, the test at :math:`\alpha` then rejects in exactly that
    share of the cases [1]_, whatever the law of the statistic and however few the draws, as 999.

    Parameters
    ----------
    statistic : array_like, shape (...)
        What was observed; large values speak against the hypothesis, minus infinity says nothing against it.
    simulated : array_like, shape (n_simulations,) or (n_simulations, ...)
        Draws of the statistic, common to all series or each series' own.
    rng : Generator, optional
        Breaks ties. Without it all ties count as greater: the p-value is then too large where there are many.

    Returns
    -------
    ndarray, shape (...)
        P-values. [-]

    Raises
    ------
    DataError
        If there are no draws or one of them is NaN.

    References
    ----------
    .. [1] J.-M. Dufour, "Monte Carlo tests with nuisance parameters: a general approach to finite-sample inference and
       nonstandard asymptotics," J. Econometrics 133(2), 2006, doi:10.1016/j.jeconom.2005.06.007.

    Examples
    --------
    >>> float(simulated_p_value(3.5, [1, 2, 3, 4]))
    0.4
    """
    statistic, simulated = np.asarray(statistic, dtype=float), np.asarray(simulated, dtype=float)
    if simulated.shape[:1] in ((), (0,)) or np.isnan(simulated).any():
        raise DataError(f"a Monte-Carlo p-value needs draws of the statistic without NaN, got shape {simulated.shape}")
    low, high = statistic - _slack(statistic), statistic + _slack(statistic)
    if simulated.ndim == 1:
        in_order = np.sort(simulated)
        greater = len(simulated) - np.searchsorted(in_order, high, side="right")
        tied = len(simulated) - np.searchsorted(in_order, low, side="left") - greater
    else:
        greater = (simulated > high).sum(axis=0)
        tied = (simulated >= low).sum(axis=0) - greater
    above = tied if rng is None else rng.integers(0, tied, endpoint=True)
    return np.asarray((1 + greater + above) / (len(simulated) + 1))[()]


def _slack(statistic: Floats) -> Floats:
    return np.asarray(_ROUNDING * (1 + np.abs(np.where(np.isfinite(statistic), statistic, 0.0))))
