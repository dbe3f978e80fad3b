"""What a site could have earned: on its best machine alone, and with all prices known."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from gridlab.errors import PlanError
from gridlab.live.config import STEP_HOURS, Config
from gridlab.mpc.allocation import allocate
from gridlab.sources.mara import LITERAL, MACHINES, Inventory, Quote, Scaling, margins


def best_machine_counts(
    inventory: Inventory, quote: Quote, cap_power: int, scaling: Scaling = LITERAL
) -> dict[str, int]:
    """All power on the machine type that earns most as a whole; none where none pays."""
    earned = margins(inventory, quote, scaling)
    totals = {name: cap_power // inventory.power[name] * max(earned[name], 0.0) for name in MACHINES}
    best = max(MACHINES, key=lambda name: totals[name])
    counts = dict.fromkeys(MACHINES, 0)
    return counts | {best: cap_power // inventory.power[best]} if totals[best] > 0 else counts


def baseline_best_machine(inventory: Inventory, quote: Quote, cap_power: int, scaling: Scaling = LITERAL) -> float:
    """
    Profit of an interval with all power on the one machine type that earns most. [$]

    Examples
    --------
    >>> from gridlab.sources.mara import DOCUMENTED
    >>> quote = Quote(pd.Timestamp("2025-06-21", tz="UTC"), 1.0, 2.0, 1.0)
    >>> baseline_best_machine(DOCUMENTED, quote, 1_000_000), hindsight_step(DOCUMENTED, quote, 1_000_000)
    (2310000.0, 2320000.0)
    """
    counts, earned = best_machine_counts(inventory, quote, cap_power, scaling), margins(inventory, quote, scaling)
    return float(sum(counts[name] * earned[name] for name in MACHINES))


def hindsight_step(inventory: Inventory, quote: Quote, cap_power: int, scaling: Scaling = LITERAL) -> float:
    """The most that machines can earn in an interval, their switching free. [$]"""
    earned = list(margins(inventory, quote, scaling).values())
    return allocate(earned, list(inventory.power.values()), cap_power).value


class Hindsight(NamedTuple):
    """
    What a site could have earned with all prices known.

    Parameters
    ----------
    profit : float
        Of all intervals. [$]
    exact : bool
        Whether it can be reached; otherwise it bounds from above what can.
    """

    profit: float
    exact: bool


def hindsight(prices: pd.DataFrame, inventory: Inventory, config: Config, *, soc_share: float = 0.5) -> Hindsight:
    """
    The optimum with all prices known.

    Parameters
    ----------
    prices : DataFrame
        A prices table in the API's units; an interval with a NaN earns nothing.
    inventory : Inventory
        The machine types.
    config : Config
        The site.
    soc_share : float
        Energy stored in the battery at the start, as a share of what it holds when full. [-]

    Returns
    -------
    Hindsight
        Exact where the intervals are not coupled. Otherwise the bound of a linear programme with machines that can be
        split, none of which runs at first, that start and stop at their cost and at any time, and a battery
        that may be emptied; cooling counts for nothing.

    Examples
    --------
    >>> from gridlab.sources.mara import EVENT
    >>> times = pd.date_range("2025-06-21 12:00", periods=2, freq="5min", tz="UTC", name="time")
    >>> prices = pd.DataFrame({"price": [1.5, 9.0], "hash_price": 1.75, "token_price": 1.0}, index=times)
    >>> hindsight(prices, EVENT, Config())
    Hindsight(profit=2000000.0, exact=True)
    >>> hindsight(prices, EVENT, Config(switching_cost={"hydro_miners": 1000.0}))
    Hindsight(profit=1600000.0, exact=False)
    """
    rows = prices[["price", "hash_price", "token_price"]].dropna()
    if rows.empty:
        return Hindsight(0.0, exact=True)
    quotes = [Quote(time, *row) for time, *row in rows.itertuples(name=None)]
    most = sum(hindsight_step(inventory, quote, config.cap_power, config.scaling) for quote in quotes)
    if config.battery is None and not any(config.switching_cost.values()):
        return Hindsight(most, exact=config.cooling is None and not any(config.dwell_minutes.values()))
    bound = _bound(quotes, inventory, config, soc_share)
    return Hindsight(bound if config.battery is not None else min(bound, most), exact=False)


def _bound(quotes: list[Quote], inventory: Inventory, config: Config, soc_share: float) -> float:
    """The linear programme: machines, starts and stops, and the battery's two powers and its store."""
    from scipy import sparse
    from scipy.optimize import linprog

    n_steps, n_types, battery = len(quotes), len(MACHINES), config.battery
    margin = np.array([list(margins(inventory, quote, config.scaling).values()) for quote in quotes]).ravel()
    cost = np.tile([float(config.switching_cost.get(name, 0.0)) for name in MACHINES], n_steps)
    steps, power = sparse.eye_array(n_steps), np.array([list(inventory.power.values())], dtype=float)
    change = sparse.eye_array(n_steps * n_types) - sparse.eye_array(n_steps * n_types, k=-n_types)
    whole = sparse.eye_array(n_steps * n_types)
    gain, upper = [margin, -cost, -cost], [np.inf] * (3 * n_steps * n_types)
    laws = [[change, -whole, whole]]
    if battery is not None:
        price = np.array([config.scaling.money_per_mwh(q.energy_price) * STEP_HOURS for q in quotes])
        gain += [price, -price, np.zeros(n_steps)]
        upper += [battery.power_mw] * (2 * n_steps) + [battery.soc_high_mwh - battery.soc_low_mwh] * n_steps
        kept = steps - battery.kept(STEP_HOURS) * sparse.eye_array(n_steps, k=-1)
        out, into = STEP_HOURS / battery.eta_discharge, STEP_HOURS * battery.eta_charge
        laws[0] += [None, None, None]
        laws.append([None, None, None, out * steps, -into * steps, kept])
    law = sparse.block_array(laws, format="csr")
    right = np.zeros(law.shape[0])
    if battery is not None:
        stored = soc_share * battery.energy_mwh - battery.soc_low_mwh
        right[n_steps * n_types] = battery.kept(STEP_HOURS) * max(stored, 0.0)
    cap = sparse.kron(steps, power)
    cap.resize((n_steps, law.shape[1]))
    objective = np.concatenate(gain)
    scale = max(1e-9, float(np.abs(objective).max()))
    found = linprog(
        -objective / scale,
        A_ub=cap.tocsr(),
        b_ub=np.full(n_steps, float(config.cap_power)),
        A_eq=law,
        b_eq=right,
        bounds=np.column_stack([np.zeros(len(upper)), upper]),
    )
    if found.x is None:
        raise PlanError(f"the bound with all prices known was not found ({found.message}): take fewer intervals")
    return float(objective @ found.x)
