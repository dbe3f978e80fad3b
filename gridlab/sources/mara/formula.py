r"""
What a site of the MARA API earns: the server's own formula, exact on every reply that was recorded.

With :math:`n_m` machines of type :math:`m`, each of output :math:`o_m` and power :math:`w_m`,

.. math::
    \text{revenue}_m = n_m \, o_m \, p_{\text{product}(m)}, \qquad
    \text{cost} = p_\text{energy} \sum_m n_m w_m .

The API says neither its unit of power nor the period that earns a revenue; `Scaling` says what is supposed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gridlab.errors import DataError
from gridlab.sources.mara.records import MACHINES, Inventory, Quote


@dataclass(frozen=True)
class Scaling:
    """
    What the API's numbers stand for.

    Parameters
    ----------
    power_mw : float
        Power of one of its units of power: a watt as it stands. [MW]
    cost : float
        Money for one unit of power over an interval at an energy price of 1. [$]
    revenue : float
        Money for one unit of output over an interval at a product price of 1. [$]

    Examples
    --------
    >>> Scaling().money_per_mwh(1.5)  # literally: 1.5 for each unit of power and interval
    18000000.0
    >>> Scaling(cost=1e-6 / 12).money_per_mwh(30.0)  # energy prices are $/MWh, and a unit is a watt
    30.0
    """

    power_mw: float = 1e-6
    cost: float = 1.0
    revenue: float = 1.0

    def __post_init__(self) -> None:
        for name in ("power_mw", "cost", "revenue"):
            if not 0 < getattr(self, name) < float("inf"):
                raise DataError(f"{name} of the scaling must be above 0 and finite, got {getattr(self, name)}")

    def money_per_mwh(self, energy_price: float, step_hours: float = 1 / 12) -> float:
        """Money for a MWh at an energy price of the API. [$/MWh]"""
        return energy_price * self.cost / (self.power_mw * step_hours)


LITERAL = Scaling()
"""The formula as the server has it: a cost for each unit of power and interval, not divided by anything."""


class Settlement(NamedTuple):
    """
    What an allocation earns over an interval.

    Parameters
    ----------
    power : mapping of str to int
        Power of each type. [power]
    revenue : mapping of str to float
        Revenue of each type. [$]
    total_power_used : int
        The sum of `power`. [power]
    total_power_cost, total_revenue : float
        Cost of the power, and the sum of `revenue`. [$]
    """

    power: Mapping[str, int]
    revenue: Mapping[str, float]
    total_power_used: int
    total_power_cost: float
    total_revenue: float

    @property
    def profit(self) -> float:
        """Revenue less the cost of power. [$]"""
        return self.total_revenue - self.total_power_cost


def settle(counts: Mapping[str, int], inventory: Inventory, quote: Quote, scaling: Scaling = LITERAL) -> Settlement:
    """
    What an allocation earns at the prices of an interval.

    Parameters
    ----------
    counts : mapping of str to int
        Machines of each type; all five.
    inventory : Inventory
        The machine types.
    quote : Quote
        The prices of the interval.
    scaling : Scaling
        What the API's numbers stand for; literally when omitted, which gives the server's numbers to the last bit.

    Returns
    -------
    Settlement

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlab.sources.mara.records import EVENT
    >>> counts = dict.fromkeys(MACHINES, 0) | {"hydro_miners": 200}
    >>> settle(counts, EVENT, Quote(pd.Timestamp("2025-06-21", tz="UTC"), 1.5, 1.75, 1.0)).profit
    2000000.0
    """
    power = {name: counts[name] * inventory.power[name] for name in MACHINES}
    paid = {"hash_price": quote.hash_price, "token_price": quote.token_price}
    revenue = {
        name: counts[name] * inventory.output[name] * paid[inventory.product[name]] * scaling.revenue
        for name in MACHINES
    }
    used = sum(power.values())
    return Settlement(power, revenue, used, used * quote.energy_price * scaling.cost, sum(revenue.values()))


def margins(inventory: Inventory, quote: Quote, scaling: Scaling = LITERAL) -> dict[str, float]:
    """
    What one machine of each type earns over an interval, less its power. [$]

    Examples
    --------
    >>> import pandas as pd
    >>> from gridlab.sources.mara.records import EVENT
    >>> margins(EVENT, Quote(pd.Timestamp("2025-06-21", tz="UTC"), 1.5, 1.75, 1.0))["hydro_miners"]
    10000.0
    """
    paid = {"hash_price": quote.hash_price * scaling.revenue, "token_price": quote.token_price * scaling.revenue}
    energy = quote.energy_price * scaling.cost
    return {one.name: one.output * paid[one.product] - one.power * energy for one in inventory.types}
