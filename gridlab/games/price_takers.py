"""A leader who sets a quantity, or the price, before others who take the price as given."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError, PlanError
from gridlab.games.checks import number
from gridlab.games.curves import Curve, residual_demand

Floats = NDArray[np.float64]


class Output(NamedTuple):
    """
    A quantity and what it earns.

    Parameters
    ----------
    quantity_mw : float
        Power sold, negative where bought. [MW]
    price : float
        Price; NaN where there is no market. [$/MWh]
    profit : float
        Sales less cost. [$]
    """

    quantity_mw: float
    price: float
    profit: float


@dataclass(frozen=True)
class Leadership:
    """
    What a leader does, beside what it would do if it took the price as given too.

    Parameters
    ----------
    leader, competitive : Output
        The quantity of greatest profit, and that of greatest welfare. [MW] [$/MWh] [$]
    deadweight_loss : float
        Welfare that leadership costs. [$]
    """

    leader: Output
    competitive: Output
    deadweight_loss: float

    @property
    def gain(self) -> float:
        """What leadership is worth to the leader. [$]"""
        return self.leader.profit - self.competitive.profit

    @property
    def withheld_mw(self) -> float:
        """How much less the leader sells, or buys where it buys, than if it took the price as given. [MW]"""
        sign = -1.0 if self.competitive.quantity_mw < 0 else 1.0
        return sign * (self.competitive.quantity_mw - self.leader.quantity_mw)


def lead_price_takers(
    quantity_mw: ArrayLike,
    price: ArrayLike,
    *,
    capacity_mw: float,
    price_to: ArrayLike | None = None,
    least_mw: float = 0.0,
    cost: float = 0.0,
    cost_slope: float = 0.0,
    step_hours: float = 1.0,
) -> Leadership:
    r"""
    The best quantity of a leader whom others follow as price takers, found exactly.

    The others trade as their bids say at the price that results, so that :math:`q` from the leader sells at the
    residual inverse demand :math:`p(q)`, which is made of steps and straight lines. On each of them the profit
    :math:`p(q) q - c q - d q^2 / 2` is concave; the best of their best is the answer. To choose the price instead is
    the same: where several prices clear the market the leader chooses, and who is indifferent trades as suits it.

    Parameters
    ----------
    quantity_mw, price, price_to : array_like, shape (n_rows,)
        Bids of the others, as `curves.residual_demand` takes them. [MW] [$/MWh]
    capacity_mw, least_mw : float
        Greatest and least quantity of the leader; negative where it may buy. [MW]
    cost, cost_slope : float
        Marginal cost at 0 and its growth with the quantity; what energy is worth to it where the leader buys.
        [$/MWh] [$/MWh per MW]
    step_hours : float
        Length of the interval. [h]

    Returns
    -------
    Leadership
        Of several quantities as good the one nearest to the competitive. Where the leader takes the price as given
        and a range of prices clears the market, the price is the middle of it, or its end where it has one.

    Raises
    ------
    DataError
        If the bids are refused by `residual_demand`, `least_mw` is above `capacity_mw`, a number is not finite,
        `cost_slope` is negative or `step_hours` is not above 0.
    PlanError
        If the others cannot take `least_mw` or give `capacity_mw`, where these leave the leader no choice.

    References
    ----------
    .. [1] D. S. Kirschen and G. Strbac, "Fundamentals of Power System Economics," 2nd ed., Wiley, 2018, ch. 4.

    Examples
    --------
    A fringe offers 3 MW at 10; 4 MW are wanted at 50. The last MW of demand pays 50 where the leader sells just it.

    >>> lead = lead_price_takers([3.0, -4.0], [10.0, 50.0], capacity_mw=6.0, cost=5.0)
    >>> lead.leader, lead.competitive.quantity_mw, lead.withheld_mw
    (Output(quantity_mw=1.0, price=50.0, profit=45.0), 4.0, 3.0)

    A retailer buys at 20 and sells to homes whose demand falls from 8 MW at a price of 0 to nothing at 80.

    >>> lead = lead_price_takers([-8.0], [80.0], price_to=[0.0], capacity_mw=8.0, cost=20.0)
    >>> lead.leader, lead.deadweight_loss
    (Output(quantity_mw=3.0, price=50.0, profit=90.0), 45.0)
    """
    _check(capacity_mw, least_mw, cost, cost_slope, step_hours)
    curve = residual_demand(quantity_mw, price, price_to)
    if not len(curve.price):
        return _alone(least_mw, capacity_mw)
    market = Residual(curve, least_mw, capacity_mw, cost, cost_slope)
    if market.low > market.high:
        raise PlanError(
            f"the leader is to sell between {least_mw:g} and {capacity_mw:g} MW, but the others take between "
            f"{curve.quantity_mw[0]:g} and {curve.quantity_mw[-1]:g} MW: move least_mw or capacity_mw by "
            f"{market.low - market.high:g} MW"
        )
    competitive, leader = market.competitive(), market.best()
    loss = market.welfare(competitive[0]) - market.welfare(leader[0])
    led, taken = (Output(*each, step_hours * market.profit(*each)) for each in (leader, competitive))
    return Leadership(led, taken, float(step_hours * max(loss, 0.0)))


class Residual(NamedTuple):
    """
    A residual demand and the leader who faces it.

    Parameters
    ----------
    curve : Curve
        Price by the leader's quantity.
    least_mw, capacity_mw : float
        Least and greatest quantity of the leader, between which some of the curve lies. [MW]
    cost, cost_slope : float
        Marginal cost at 0 and its growth. [$/MWh] [$/MWh per MW]
    """

    curve: Curve
    least_mw: float
    capacity_mw: float
    cost: float
    cost_slope: float

    @property
    def low(self) -> float:
        """Least quantity that the others take too. [MW]"""
        return max(self.least_mw, float(self.curve.quantity_mw[0]))

    @property
    def high(self) -> float:
        """Greatest quantity that the others take too. [MW]"""
        return min(self.capacity_mw, float(self.curve.quantity_mw[-1]))

    def profit(self, quantity: float, price: float) -> float:
        """What a quantity earns at a price. [$/h]"""
        return (price - self.cost - self.cost_slope * quantity / 2) * quantity

    def welfare(self, quantity: float) -> float:
        """What a quantity is worth to the others, less its cost, from that of the least quantity. [$/h]"""
        cost = self.cost * (quantity - self.low) + self.cost_slope * (quantity**2 - self.low**2) / 2
        return self.curve.area(self.low, quantity) - cost

    def best(self) -> tuple[float, float]:
        """The quantity of greatest profit and its price; of several as good the one nearest to the competitive."""
        quantities = self.candidates()
        sold = [(quantity, self.curve.at(quantity)[int(quantity < 0)]) for quantity in quantities]
        profit = np.array([self.profit(*each) for each in sold])
        good = np.flatnonzero(profit >= profit.max() - 1e-12 * np.abs(profit).max())
        near = good[np.argmin(np.abs(quantities[good] - self.competitive()[0]))]
        return float(sold[near][0]), float(sold[near][1])

    def candidates(self) -> Floats:
        """The corners within the limits, and where the profit is greatest on each line between them."""
        quantity, price = self.curve
        inner = quantity[(quantity > self.low) & (quantity < self.high)]
        width, drop = np.diff(quantity), -np.diff(price)
        line = width > 0
        fall = drop[line] / width[line]
        bend = 2 * fall + self.cost_slope
        level = price[:-1][line] + fall * quantity[:-1][line] - self.cost
        with np.errstate(over="ignore"):
            top = np.divide(level, bend, out=quantity[:-1][line].copy(), where=bend > 0)
        top = np.clip(np.clip(top, quantity[:-1][line], quantity[1:][line]), self.low, self.high)
        zero = [0.0] if self.low <= 0 <= self.high else []
        return np.unique(np.r_[self.low, inner, top, self.high, zero])

    def competitive(self) -> tuple[float, float]:
        """The quantity at which the price meets the marginal cost, within the limits, and the price."""
        quantity = self.curve.quantity_mw
        corners = np.unique(np.r_[self.low, quantity[(quantity > self.low) & (quantity < self.high)], self.high])
        above = np.array([self.curve.at(corner)[1] >= self.marginal(corner) for corner in corners])
        last = int(np.flatnonzero(above)[-1]) if above.any() else 0
        met = corners[last]
        if above.any() and last + 1 < len(corners):
            met = self._met_between(corners[last], corners[last + 1])
        return float(met), self._clearing(float(met))

    def marginal(self, quantity: float) -> float:
        """Cost of one more MWh. [$/MWh]"""
        return self.cost + self.cost_slope * quantity

    def _met_between(self, start: float, end: float) -> float:
        """Where, on a line of the curve, the price meets the marginal cost."""
        ahead = self.curve.at(start)[1] - self.marginal(start)
        behind = self.curve.at(end)[0] - self.marginal(end)
        if behind >= 0:
            return end
        return start + (end - start) * ahead / (ahead - behind)

    def _clearing(self, quantity: float) -> float:
        """The middle of the prices that clear the market at a quantity and at which a price taker would sell it."""
        most, least = self.curve.at(quantity)
        marginal = self.marginal(quantity)
        if quantity == self.curve.quantity_mw[0]:
            most = np.inf
        if quantity == self.curve.quantity_mw[-1]:
            least = -np.inf
        if quantity > self.least_mw:
            least = max(least, min(marginal, most))
        if quantity < self.capacity_mw:
            most = min(most, max(marginal, least))
        if np.isinf(least) or np.isinf(most):
            return float(most if np.isinf(least) else least)
        return float(least + (most - least) / 2)


def _alone(least_mw: float, capacity_mw: float) -> Leadership:
    """A leader whom nobody trades with."""
    if least_mw > 0 or capacity_mw < 0:
        raise PlanError(
            f"the leader is to sell between {least_mw:g} and {capacity_mw:g} MW, but nobody trades: add bids"
        )
    nothing = Output(0.0, float("nan"), 0.0)
    return Leadership(nothing, nothing, 0.0)


def _check(capacity_mw: float, least_mw: float, cost: float, cost_slope: float, step_hours: float) -> None:
    for name, value in {"capacity_mw": capacity_mw, "least_mw": least_mw}.items():
        if np.isnan(number(value, name)):
            raise DataError(f"{name} must be a number, got {value}")
    if least_mw > capacity_mw:
        raise DataError(f"least_mw = {least_mw:g} is above capacity_mw = {capacity_mw:g}: swap them")
    for name, value in {"cost": cost, "cost_slope": cost_slope}.items():
        if not np.isfinite(number(value, name)):
            raise DataError(f"{name} must be finite, got {value}")
    if cost_slope < 0:
        raise DataError(
            f"cost_slope must be at least 0, got {cost_slope:g}: a cost that falls has no best quantity here"
        )
    if not 0 < number(step_hours, "step_hours") < np.inf:
        raise DataError(f"step_hours must be above 0, got {step_hours}")
