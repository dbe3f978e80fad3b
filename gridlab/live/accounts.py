"""What an interval earned, by the API's formula, beside what simpler ways to run the site would have earned."""

from typing import NamedTuple

from gridlab.dispatch.order import Order
from gridlab.live.config import Config
from gridlab.live.hindsight import baseline_best_machine, hindsight_step
from gridlab.sources.mara import MACHINES, Inventory, Quote, settle


class Outcome(NamedTuple):
    """
    What an interval earned.

    Parameters
    ----------
    revenue : float
        What the machines made. [$]
    cost : float
        Power drawn from the grid by machines, cooling, services and battery; negative where the battery delivers
        more than they draw. [$]
    services_paid : float
        What bidders paid for power. [$]
    switching : float
        Cost of machines started and stopped. [$]
    best_machine : float
        What the site would have earned with all its power on the machine that earns most at these prices, or with
        none where none pays. [$]
    hindsight : float
        The most that machines alone could have earned, their switching free. [$]
    """

    revenue: float
    cost: float
    services_paid: float
    switching: float
    best_machine: float
    hindsight: float

    @property
    def profit(self) -> float:
        """Revenue and payments less costs. [$]"""
        return self.revenue + self.services_paid - self.cost - self.switching


def account(
    order: Order, before: Order, inventory: Inventory, quote: Quote, config: Config, services_paid: float = 0.0
) -> Outcome:
    """
    What an order earned over the interval of a quote.

    Parameters
    ----------
    order, before : Order
        What was in force, and what was in force in the interval before.
    inventory : Inventory
        The machine types.
    quote : Quote
        The prices that came.
    config : Config
        The site.
    services_paid : float
        What bidders pay for the interval. [$]

    Returns
    -------
    Outcome

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlab.sources.mara import EVENT
    >>> order = Order(dict.fromkeys(MACHINES, 0) | {"hydro_miners": 200})
    >>> quote = Quote(pd.Timestamp("2025-06-21 12:00", tz="UTC"), 1.5, 1.75, 1.0)
    >>> account(order, order, EVENT, quote, Config()).profit
    2000000.0
    """
    earned = settle(order.counts, inventory, quote, config.scaling)
    return Outcome(
        revenue=earned.total_revenue,
        cost=earned.total_power_cost + _other_cost(order, quote, config),
        services_paid=services_paid,
        switching=switching(order, before, config),
        best_machine=baseline_best_machine(inventory, quote, config.cap_power, config.scaling),
        hindsight=hindsight_step(inventory, quote, config.cap_power, config.scaling),
    )


def profit(
    order: Order, before: Order, inventory: Inventory, quote: Quote, config: Config, services_paid: float = 0.0
) -> float:
    """Profit of an order at the prices of a quote, as `account` has it. [$]"""
    earned = settle(order.counts, inventory, quote, config.scaling).profit
    return earned + services_paid - _other_cost(order, quote, config) - switching(order, before, config)


def _other_cost(order: Order, quote: Quote, config: Config) -> float:
    """Cost of the power of the chiller and of services, less what the battery delivers. [$]"""
    other_mw = order.cooling_mw + sum(order.services_mw.values()) - order.battery_mw
    return other_mw / config.scaling.power_mw * quote.energy_price * config.scaling.cost


def switching(order: Order, before: Order, config: Config) -> float:
    """Cost of the machines that an order starts and stops. [$]"""
    dear = [name for name in MACHINES if name in config.switching_cost]
    return sum((config.switching_cost[name] * abs(order.counts[name] - before.counts[name]) for name in dear), 0.0)
