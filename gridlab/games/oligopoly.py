"""Firms on one node: competition in quantities with capacity limits, beside perfect competition."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.games.checks import number, numbers, whole
from gridlab.games.curves import residual_demand
from gridlab.games.price_takers import Residual

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Oligopoly:
    """
    What firms on one node sell, and at what price.

    Parameters
    ----------
    quantity_mw : ndarray, shape (n_firms,)
        Power sold by each. [MW]
    price : float
        Price; where nothing is sold that at which demand begins. [$/MWh]
    profit : ndarray, shape (n_firms,)
        Sales less variable cost in an hour. [$/h]
    consumer_surplus : float
        What the power is worth to those who buy it, less what they pay. [$/h]
    marginal_cost : ndarray, shape (n_firms,)
        Cost of one more MWh of each. [$/MWh]
    regret : ndarray, shape (n_firms,)
        What each could gain by another quantity while the others keep theirs. [$/h]
    """

    quantity_mw: Floats
    price: float
    profit: Floats
    consumer_surplus: float
    marginal_cost: Floats
    regret: Floats

    @property
    def welfare(self) -> float:
        """Surplus of all. [$/h]"""
        return float(self.consumer_surplus + self.profit.sum())

    @property
    def hhi(self) -> float:
        """Herfindahl-Hirschman index: the sum of squared market shares, 1 for a monopoly; NaN where none sells. [-]"""
        total = self.quantity_mw.sum()
        return float(((self.quantity_mw / total) ** 2).sum()) if total > 0 else float("nan")

    @property
    def lerner(self) -> Floats:
        """Lerner index of each firm, shape (n_firms,): markup over marginal cost as a share of the price. [-]"""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((self.price - self.marginal_cost) / self.price)


class Firms(NamedTuple):
    """Linear inverse demand and the firms that serve it, checked; vectors have an element for each firm."""

    intercept: float
    slope: float
    cost: Floats
    cost_slope: Floats
    capacity: Floats


def cournot(
    intercept: float,
    slope: float,
    cost: ArrayLike,
    *,
    cost_slope: ArrayLike = 0.0,
    capacity_mw: ArrayLike = np.inf,
) -> Oligopoly:
    r"""
    The equilibrium of firms that choose quantities, each within its capacity.

    At the price :math:`p = a - b Q` firm :math:`i` with marginal cost :math:`c_i + d_i q_i` replies best by

    .. math::
        q_i = \min\left(\max\left(\frac{p - c_i}{b + d_i}, 0\right), K_i\right),

    so that the firms together sell what grows with the price, which meets demand once: the equilibrium is unique, and
    it is found at the corners of these lines, to rounding.

    Parameters
    ----------
    intercept, slope : float
        Inverse demand :math:`a` at no quantity and its fall :math:`b` with each MW, above 0. [$/MWh] [$/MWh per MW]
    cost : array_like, shape (n_firms,)
        Marginal cost of each firm at no quantity. [$/MWh]
    cost_slope : array_like, shape (n_firms,) or a number
        Growth of the marginal cost with the quantity, at least 0. [$/MWh per MW]
    capacity_mw : array_like, shape (n_firms,) or a number
        Greatest quantity of each firm; may be infinite. [MW]

    Returns
    -------
    Oligopoly
        The regret of each firm is 0 up to rounding.

    Raises
    ------
    DataError
        If there is no firm, a length does not fit, `slope` is not above 0, a cost is not finite, or a growth of it or a
        capacity is negative.

    Notes
    -----
    Where demand is a staircase of bids a firm's profit has several peaks, and there may be no equilibrium in pure
    strategies: fit a line to it (`price_slopes.slope_of_bids`), or let one firm lead (`price_takers`).

    References
    ----------
    .. [1] C. J. Day, B. F. Hobbs and J.-S. Pang, "Oligopolistic competition in power networks," IEEE Trans. Power
       Systems 17(3), 2002, doi:10.1109/TPWRS.2002.800900.

    Examples
    --------
    >>> three = cournot(100.0, 1.0, [20.0, 20.0, 20.0])
    >>> three.quantity_mw.tolist(), three.price, round(three.hhi, 6)
    ([20.0, 20.0, 20.0], 40.0, 0.333333)
    >>> cournot(100.0, 1.0, [20.0, 20.0, 20.0], capacity_mw=[5.0, 30.0, 30.0]).quantity_mw.tolist()
    [5.0, 25.0, 25.0]
    """
    firms = checked_firms(intercept, slope, cost, cost_slope, capacity_mw)
    return outcome(firms, sold(firms, firms.slope + firms.cost_slope))


def competitive(
    intercept: float,
    slope: float,
    cost: ArrayLike,
    *,
    cost_slope: ArrayLike = 0.0,
    capacity_mw: ArrayLike = np.inf,
) -> Oligopoly:
    """
    The quantities of greatest welfare, which firms choose that take the price as given: the merit order.

    Arguments and refusals are those of `cournot`. Firms of the same constant cost at the margin share what is left in
    proportion to their capacities, firms without a capacity equally and before the others. The regret is what a firm
    that knew that it moves the price could gain.

    Examples
    --------
    >>> merit = competitive(100.0, 1.0, [20.0, 30.0], capacity_mw=[50.0, 50.0])
    >>> merit.quantity_mw.tolist(), merit.price, merit.welfare
    ([50.0, 20.0], 30.0, 2950.0)
    """
    firms = checked_firms(intercept, slope, cost, cost_slope, capacity_mw)
    return outcome(firms, sold(firms, firms.cost_slope))


def stackelberg_cournot(
    intercept: float,
    slope: float,
    cost: ArrayLike,
    *,
    cost_slope: ArrayLike = 0.0,
    capacity_mw: ArrayLike = np.inf,
    leader: int = 0,
    followers: Literal["cournot", "price_takers"] = "cournot",
) -> Oligopoly:
    """
    One firm commits to a quantity, and the others reply to it and to each other.

    The replies are straight lines between the quantities at which a follower begins to sell or reaches its capacity.
    The leader's profit is greatest at one of these or between two of them, and all are looked at.

    Parameters
    ----------
    intercept, slope, cost, cost_slope, capacity_mw
        As those of `cournot`.
    leader : int
        Number of the firm that leads.
    followers : {"cournot", "price_takers"}
        Whether the others know that they move the price.

    Returns
    -------
    Oligopoly
        The leader's regret is what it would gain by another quantity once the others have chosen theirs; it cannot, as
        it has committed itself. That of followers in quantities is 0 up to rounding.

    Raises
    ------
    DataError
        As `cournot`, or if `leader` is not the number of a firm or `followers` is neither.

    References
    ----------
    .. [1] H. D. Sherali, A. L. Soyster and F. H. Murphy, "Stackelberg-Nash-Cournot equilibria: characterizations and
       computations," Operations Research 31(2), 1983, doi:10.1287/opre.31.2.253.

    Examples
    --------
    >>> stackelberg_cournot(100.0, 1.0, [20.0, 20.0]).quantity_mw.tolist()
    [40.0, 20.0]
    """
    firms = checked_firms(intercept, slope, cost, cost_slope, capacity_mw)
    leader = whole(leader, "leader", least=0)
    if leader >= len(firms.cost):
        raise DataError(f"leader must be the number of a firm, 0 to {len(firms.cost) - 1}, got {leader}")
    if followers not in ("cournot", "price_takers"):
        raise DataError(f"followers must be cournot or price_takers, got {followers!r}")
    rise = firms.cost_slope + (firms.slope if followers == "cournot" else 0.0)
    others, near = np.arange(len(firms.cost)) != leader, _from_intercept(firms)
    rows = line_rows(near, rise, others)
    limits = (float(column[leader]) for column in (near.capacity, near.cost, near.cost_slope))
    led, price = Residual(residual_demand(*rows), 0.0, *limits).best() if len(rows[0]) else (0.0, 0.0)
    return outcome(firms, _sold_at(price, near, rise, others, led))


def price_of_anarchy(best: Oligopoly, outcome: Oligopoly) -> float:
    """
    Welfare of the best outcome over that of another; 1 where neither has any, infinite where only the other has none.

    Examples
    --------
    >>> market = 100.0, 1.0, [20.0, 20.0]
    >>> price_of_anarchy(competitive(*market), cournot(*market))  # (n + 1)^2 / (n (n + 2))
    1.125
    """
    if best.welfare == outcome.welfare:
        return 1.0
    return best.welfare / outcome.welfare if outcome.welfare > 0 else float("inf")


def checked_firms(
    intercept: float, slope: float, cost: ArrayLike, cost_slope: ArrayLike, capacity_mw: ArrayLike
) -> Firms:
    """The firms as vectors of one length; refused as `cournot` says."""
    cost = np.atleast_1d(numbers(cost, "cost"))
    intercept, slope = number(intercept, "intercept"), number(slope, "slope")
    if cost.ndim != 1 or cost.size == 0:
        raise DataError(f"cost must have an element for each firm, at least one, got shape {cost.shape}")
    if not np.isfinite(intercept):
        raise DataError(f"intercept must be finite, got {intercept}")
    if not 0 < slope < np.inf:
        raise DataError(f"slope must be above 0 and finite, got {slope}: demand falls as the price rises")
    columns = {"cost": cost}
    for name, given in (("cost_slope", cost_slope), ("capacity_mw", capacity_mw)):
        column = numbers(given, name)
        if column.shape not in ((), cost.shape):
            raise DataError(f"{name} must be a number or have the {len(cost)} elements of cost, got {column.shape}")
        columns[name] = np.broadcast_to(column, cost.shape).copy()
    for name, column in columns.items():
        least = -np.inf if name == "cost" else 0.0
        bad = ~((column >= least) & ((column < np.inf) | (name == "capacity_mw")) & (column > -np.inf))
        if bad.any():
            firm = int(np.argmax(bad))
            rule = "finite" if name == "cost" else "at least 0" + ("" if name == "capacity_mw" else " and finite")
            raise DataError(f"{name} must be {rule}, got {column[firm]} of firm {firm}")
    return Firms(intercept, slope, columns["cost"], columns["cost_slope"], columns["capacity_mw"])


def sold(firms: Firms, rise: Floats) -> Floats:
    """
    Quantities at which the firms' lines meet demand: each offers ``(p - cost) / rise`` within its capacity. [MW]

    Parameters
    ----------
    firms : Firms
        Demand and firms.
    rise : ndarray, shape (n_firms,)
        By how much the price at which a firm sells grows with its quantity; 0 for a step. [$/MWh per MW]
    """
    firms, all_of_them = _from_intercept(firms), np.ones(len(firms.cost), dtype=bool)
    rows = line_rows(firms, rise, all_of_them)
    price = residual_demand(*rows).at(0.0)[1] if len(rows[0]) else firms.intercept
    return _sold_at(price, firms, rise, all_of_them)


def outcome(firms: Firms, quantity: Floats) -> Oligopoly:
    """What quantities come to."""
    price = firms.intercept - firms.slope * quantity.sum()
    return Oligopoly(
        quantity,
        float(price),
        (price - firms.cost - firms.cost_slope * quantity / 2) * quantity + 0.0,
        float(firms.slope * quantity.sum() ** 2 / 2),
        firms.cost + firms.cost_slope * quantity,
        regret(firms, quantity),
    )


def regret(firms: Firms, quantity: Floats) -> Floats:
    """What each firm could gain by another quantity while the others keep theirs, shape (n_firms,). [$/h]"""
    room = firms.intercept - firms.cost - firms.slope * (quantity.sum() - quantity)
    bend = firms.slope + firms.cost_slope / 2
    best = np.clip(room / (2 * bend), 0.0, firms.capacity)
    return np.asarray(np.maximum((best - quantity) * (room - bend * (best + quantity)), 0.0))


def line_rows(firms: Firms, rise: Floats, chosen: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Demand, and the lines of those chosen that may sell, as rows of a residual demand; none if there is no demand."""
    least = float(firms.cost.min())
    if firms.intercept <= least:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    selling = chosen & (firms.cost < firms.intercept)
    wanted = (firms.intercept - least) / firms.slope
    offered, cost = np.minimum(firms.capacity[selling], wanted), firms.cost[selling]
    return (
        np.r_[-wanted, offered],
        np.r_[firms.intercept, cost],
        np.r_[least, cost + rise[selling] * offered],
    )


def _from_intercept(firms: Firms) -> Firms:
    """The same with prices measured from that at which demand begins, so that small quantities keep their digits."""
    return firms._replace(intercept=0.0, cost=firms.cost - firms.intercept)


def _sold_at(price: float, firms: Firms, rise: Floats, chosen: NDArray[np.bool_], led: float = 0.0) -> Floats:
    """
    What the chosen firms sell at a price, those at the margin so that together with what is led they meet demand.

    The others share what is led, as there is one of them at the most.
    """
    wanted = max((firms.intercept - price) / firms.slope, 0.0)
    capacity = np.minimum(firms.capacity, max((firms.intercept - firms.cost.min()) / firms.slope, 0.0))
    selling = chosen & (firms.cost < price)
    line = np.divide(price - firms.cost, rise, out=np.full(len(rise), np.inf), where=rise > 0)
    quantity = np.where(selling, np.clip(line, 0.0, capacity), 0.0)
    quantity[~chosen] = led
    missing = wanted - quantity.sum()
    steps = chosen & (rise == 0) & (firms.cost == price) & (capacity > 0)
    if steps.any():
        endless = np.isinf(firms.capacity)
        weight = np.where(steps, endless if endless[steps].any() else firms.capacity, 0.0)
        return np.asarray(np.clip(quantity + missing * weight / weight.sum(), 0.0, firms.capacity))
    inside = chosen & (quantity > 0) & (quantity < firms.capacity) & (rise > 0)
    weight = np.divide(1.0, rise, out=np.zeros(len(rise)), where=inside)
    moved = quantity + (missing * weight / weight.sum() if inside.any() else 0.0)
    return np.asarray(np.clip(moved, 0.0, firms.capacity))
