"""A run of a site: each plan is carried out by its battery, machines and chiller on the day as it came."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab import ledger, mpc
from gridlab.assets import Site
from gridlab.backtest.windows import Agenda
from gridlab.dispatch import SiteDispatch, execute_site, flows_table
from gridlab.programme import SOLVERS
from gridlab.schema import step_hours
from gridlab.storage import bands_ahead

Floats = NDArray[np.float64]


class SiteRun(NamedTuple):
    """What a site did over a period: the executed schedule, its flows and entries, and counts."""

    schedule: pd.DataFrame
    flows: pd.DataFrame
    entries: pd.DataFrame
    counts: dict[str, float]


def run_site(site: Site, plans: Agenda, planner: mpc.Planner, start: float, tz: str) -> SiteRun:
    """
    Carry out the plans of a site.

    A site makes no bids: what it takes from the grid and gives to it is paid at the meter, at the price that came.
    Energy that its battery has gained by the end counts at the least price of the run, and lost at the greatest.
    """
    times = pd.DatetimeIndex(plans.period.index)
    steps, solvers = _carried_out(site, plans, planner, start, tz)
    columns = {name: np.concatenate([step.columns[name] for step in steps]) for name in steps[0].columns}
    schedule = pd.DataFrame(columns, index=times)
    meters = {name: np.concatenate([step.flows[name] for step in steps]) for name in steps[0].flows}
    entries = ledger.post_site(schedule, site, plans.period, soc_mwh=start, market_tz=tz)
    schedule = schedule.assign(price=plans.period["price"])
    if site.battery is not None:
        carried = ledger.carry(schedule, soc_mwh=start, market_tz=tz, account="site")
        entries = pd.concat([entries, carried, ledger.true_up(schedule, soc_mwh=start)], ignore_index=True)
    counts: dict[str, float] = {solver: solvers[solver] for solver in SOLVERS if solver in solvers}
    counts |= {name: sum(getattr(step, name) for step in steps) for name in ("clipped_mwh", "shed_mwh")}
    return SiteRun(schedule, flows_table(meters, times), entries, counts)


def _carried_out(
    site: Site, plans: Agenda, planner: mpc.Planner, start: float, tz: str
) -> tuple[list[SiteDispatch], Counter[str]]:
    """What was done under each plan in force, and who solved it."""
    times, hours = pd.DatetimeIndex(plans.period.index), step_hours(plans.period.index)
    actual = {str(name): plans.period[name].to_numpy(float) for name in plans.period.columns}
    low, high = _ends(site, actual["price"], start, hours)
    soc, power, now, solvers, steps = start, 0.0, mpc.SiteState(), Counter[str](), []
    for span, window in plans.windows(tz):
        state = mpc.State(site, soc, float(low[span.stop - 1]), float(high[span.stop - 1]), power, now)
        decision = planner(state, window)
        inside = slice(span.start, span.until)
        planned = _in_force(decision.columns, site, span.until - span.start)
        happened = {name: values[inside] for name, values in actual.items()}
        begun: dict[str, Any] = {"soc_mwh": soc, "power_mw": power, "state": now, "market_tz": tz}
        steps.append(execute_site(planned, site, happened, times=times[inside], step_hours=hours, **begun))
        soc, power, now = steps[-1].soc_mwh, steps[-1].power_mw, steps[-1].state
        solvers.update([decision.solver] if decision.solver else [])
    return steps, solvers


def _ends(site: Site, price: Floats, start: float, hours: float) -> tuple[Floats, Floats]:
    """Energy stored at the end of each interval from which the battery can still come back to its start. [MWh]"""
    if site.battery is None:
        return np.zeros(len(price)), np.zeros(len(price))
    battery, base = site.battery, site.battery.soc_low_mwh
    award = site.regulation.award_mw if site.regulation is not None else 0.0
    limit = np.where(np.isnan(price), 0.0, (battery.power_mw - award) * hours)
    low, high = bands_ahead(limit, start - base, start - base, battery, hours)
    return base + low, base + high


def _in_force(columns: Mapping[str, Floats], site: Site, n_steps: int) -> dict[str, Floats]:
    """
    A plan's columns over the intervals in which it is in force.

    Where the plan does not reach everything rests; where it says nothing of the room, that may be as warm as its limit.
    """
    warm = site.cooling.room_high_c if site.cooling is not None else 0.0
    columns = {"room_c": np.full(n_steps, warm), **columns}
    return {
        name: np.concatenate([values[:n_steps], np.full(max(0, n_steps - len(values)), warm * (name == "room_c"))])
        for name, values in columns.items()
    }
