"""Firms that bid supply functions before they know the demand."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.games.checks import numbers
from gridlab.games.curves import residual_demand
from gridlab.games.oligopoly import Firms, Oligopoly, checked_firms, line_rows, outcome, sold
from gridlab.games.price_takers import Residual

Floats = NDArray[np.float64]

_ROUNDS = 200  # of Newton's method, which converges quadratically from above
_CLOSE = 1e-15  # relative step at which it has converged


@dataclass(frozen=True)
class SupplyFunctions:
    """
    Affine supply functions, and what they come to at each demand.

    Parameters
    ----------
    slope_mw : ndarray, shape (n_firms,)
        Power offered for each $/MWh above the firm's cost at no quantity, up to its capacity. [MW per $/MWh]
    outcomes, best : tuple of Oligopoly, one for each demand
        What these functions come to, and perfect competition. The regret is what a firm could gain with any quantity
        against the residual demand that the others' functions leave it. [$/h]
    probability : ndarray, shape (n_demands,)
        Probability of each demand, summing to 1. [-]
    """

    slope_mw: Floats
    outcomes: tuple[Oligopoly, ...]
    best: tuple[Oligopoly, ...]
    probability: Floats

    @property
    def price(self) -> Floats:
        """Price at each demand, shape (n_demands,). [$/MWh]"""
        return np.array([each.price for each in self.outcomes])

    @property
    def regret(self) -> Floats:
        """Regret of each firm at each demand, shape (n_demands, n_firms). [$/h]"""
        return np.array([each.regret for each in self.outcomes])

    @property
    def price_of_anarchy(self) -> float:
        """Expected welfare of perfect competition over that of these functions. [-]"""
        welfare = [np.array([each.welfare for each in kind]) @ self.probability for kind in (self.best, self.outcomes)]
        return 1.0 if welfare[0] == welfare[1] else float(welfare[0] / welfare[1]) if welfare[1] > 0 else float("inf")


def supply_function_equilibrium(
    intercepts: ArrayLike,
    slope: float,
    cost: ArrayLike,
    *,
    cost_slope: ArrayLike,
    capacity_mw: ArrayLike = np.inf,
    probability: ArrayLike | None = None,
) -> SupplyFunctions:
    r"""
    The affine supply functions of which each is a best reply to the others at every demand.

    Against others whose supply grows by :math:`\beta_j` MW for each $/MWh, firm :math:`i` with marginal cost
    :math:`c_i + d_i q_i` does best, whatever the demand :math:`p = a - b Q`, with :math:`q_i = \beta_i (p - c_i)` and

    .. math::
        \beta_i = (1 - d_i \beta_i) \left(\frac{1}{b} + \sum_{j \ne i} \beta_j\right).

    With :math:`T = 1/b + \sum_j \beta_j` each :math:`\beta_i` is the lesser root of a quadratic that grows with
    :math:`T`, and the :math:`T` that they add up to is unique.

    Parameters
    ----------
    intercepts : array_like, shape (n_demands,)
        Prices :math:`a` at which demand begins, one for each demand that may come. [$/MWh]
    slope, cost, cost_slope, capacity_mw
        As those of `oligopoly.cournot`; one firm at the most may have a constant cost.
    probability : array_like, shape (n_demands,), optional
        Probabilities of the demands, scaled here to sum to 1. Equal when omitted. [-]

    Returns
    -------
    SupplyFunctions
        The price at each demand lies between that of perfect competition and Cournot's.

    Raises
    ------
    DataError
        If `oligopoly.cournot` would refuse the firms, there is no demand, two firms have a constant cost, or the
        probabilities do not fit, are negative or all zero.

    Notes
    -----
    Every firm bids its line as if no limit ever bound: it offers nothing below its cost and, once its capacity is
    reached, no more. Without capacities this is an equilibrium at every demand at which all firms sell. Where a firm
    does not sell, or is at its capacity, or another gains by selling so little that it gets there, a firm faces fewer
    rivals than its line assumes; `regret` says at each demand what it forgoes.

    References
    ----------
    .. [1] P. D. Klemperer and M. A. Meyer, "Supply function equilibria in oligopoly under uncertainty," Econometrica
       57(6), 1989, doi:10.2307/1913707.
    .. [2] R. Baldick, R. Grant and E. Kahn, "Theory and application of linear supply function equilibrium in
       electricity markets," J. Regulatory Economics 25(2), 2004, doi:10.1023/B:REGE.0000012287.80449.97.

    Examples
    --------
    Of two firms with marginal cost q, each bids 0.618 MW for each $/MWh; a price taker would bid 1, Cournot 0.5.

    >>> bids = supply_function_equilibrium([50.0, 100.0], 1.0, [0.0, 0.0], cost_slope=1.0)
    >>> bids.slope_mw.round(6).tolist(), bids.price.round(6).tolist()
    ([0.618034, 0.618034], [22.36068, 44.72136])
    """
    demands = np.atleast_1d(numbers(intercepts, "intercepts"))
    if demands.ndim != 1 or demands.size == 0:
        raise DataError(f"intercepts must have an element for each demand, at least one, got shape {demands.shape}")
    markets = [checked_firms(float(demand), slope, cost, cost_slope, capacity_mw) for demand in demands]
    slopes = _equilibrium_slopes(markets[0])
    outcomes = tuple(_cleared(firms, slopes) for firms in markets)
    best = tuple(outcome(firms, sold(firms, firms.cost_slope)) for firms in markets)
    return SupplyFunctions(slopes, outcomes, best, _probabilities(probability, len(demands)))


def _equilibrium_slopes(firms: Firms) -> Floats:
    """The slopes that are each other's best replies, by Newton's method from above on their convex equation."""
    constant = np.flatnonzero(firms.cost_slope == 0)
    if len(constant) > 1:
        raise DataError(
            f"cost_slope is 0 for firms {constant[0]} and {constant[1]}, which undercut each other until the price is "
            "their cost: use competitive, or give all firms but one a cost that grows"
        )
    rising = firms.cost_slope[firms.cost_slope > 0] * (1 / firms.slope)
    total = (1 + len(constant)) * (1 + (1 / rising).sum())
    for _ in range(_ROUNDS):
        slopes, growth = _replies(firms.cost_slope / firms.slope, total)
        step = (total - 1 - slopes.sum()) / (1 - growth.sum())
        total -= step
        if abs(step) <= _CLOSE * total:
            break
    return np.asarray(_replies(firms.cost_slope / firms.slope, total)[0] / firms.slope)


def _replies(rise: Floats, total: float) -> tuple[Floats, Floats]:
    """Each slope by the sum of all and that of demand, which is the unit, and its growth with this sum."""
    root = np.hypot(2.0, rise * total)
    slopes = 2 * total / (2 + rise * total + root)
    return slopes, (1 - rise * slopes) / (2 + rise * total - 2 * rise * slopes)


def _cleared(firms: Firms, slopes: Floats) -> Oligopoly:
    """What the functions come to at one demand, with the regret against the functions of the others."""
    met = outcome(firms, sold(firms, 1 / slopes))
    regret = [_regret(firms, slopes, met, firm) for firm in range(len(slopes))]
    return replace(met, regret=np.array(regret))


def _regret(firms: Firms, slopes: Floats, met: Oligopoly, firm: int) -> float:
    """What a firm could gain by another quantity against the residual demand that the others leave it."""
    if firms.cost[firm] >= firms.intercept:
        return 0.0
    curve = residual_demand(*line_rows(firms, 1 / slopes, np.arange(len(slopes)) != firm))
    own = Residual(curve, 0.0, *(float(column[firm]) for column in (firms.capacity, firms.cost, firms.cost_slope)))
    return max(own.profit(*own.best()) - float(met.profit[firm]), 0.0)


def _probabilities(given: ArrayLike | None, n_demands: int) -> Floats:
    probability = np.ones(n_demands) if given is None else numbers(given, "probability")
    if probability.shape != (n_demands,) or not (probability >= 0).all() or not 0 < probability.sum() < np.inf:
        raise DataError(
            f"probability must have {n_demands} elements that are not negative and not all 0, got {probability}"
        )
    return np.asarray(probability / probability.sum())
