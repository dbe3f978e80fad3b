"""A run: plans in order of time, each begun where the last one's execution ended, settled on what happened."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab import auctions, bids, ledger, mpc
from gridlab.assets import Battery, Site
from gridlab.backtest.sites import run_site
from gridlab.backtest.windows import Agenda, agenda
from gridlab.days import gap_dates
from gridlab.dispatch import dispatch
from gridlab.errors import PlanError
from gridlab.programme import SOLVERS
from gridlab.schema import step_hours
from gridlab.storage import bands_ahead, execute

Floats = NDArray[np.float64]

_RETURN_TOLERANCE = 1e-3  # share of the battery's energy by which a run may miss the energy it began with


class Result(NamedTuple):
    """
    A run.

    Parameters
    ----------
    schedule : DataFrame
        What was done, a `schedule` table, and beside it the `price` at which it was settled; the price is NaN where
        nothing could be traded, because it is missing or because no plan reaches there.
    flows, entries : DataFrame
        The `flows` and the double `entries`, whose attrs hold `market_tz`, `power_mw` (the battery's power, or what
        the site may draw) and `service_mw` (the power of each service of `ledger.by_service`).
    profit : float
        Sum of the asset's own entries: sales less purchases less wear, what machines made, and gains in the value of
        stored energy, whose own sum is zero where the run ends with the energy that it began with. [$]
    counts : mapping
        `plans`, the solvers by name and how many plans each made (those after the first of `programme.SOLVERS` are
        fallbacks), `gap_days` (market days with an interval that could not be traded, or cut short), `clipped_mwh`,
        energy planned that the battery could not do, and of a site `shed_mwh`, energy of machines that had to stop.
    """

    schedule: pd.DataFrame
    flows: pd.DataFrame
    entries: pd.DataFrame
    profit: float
    counts: Mapping[str, float]


def run(
    policy: mpc.Policy,
    asset: Battery | Site,
    prices: pd.DataFrame,
    forecast: pd.DataFrame | None = None,
    *,
    horizon: int,
    soc_mwh: float | None = None,
    market_tz: str = "UTC",
) -> Result:
    """
    What a policy would have earned.

    A policy that sees forecasts plans anew at every origin. It looks over the first `horizon` of the forecast's times
    (more where the next plan begins later, as on a day of 25 hours) and its plan is executed until the next one
    begins. Perfect foresight plans once over the whole period, so that no policy with whatever horizon can pass it.

    Parameters
    ----------
    policy : Policy
        One of `gridlab.mpc.POLICIES`, made, or any callable with the same signature.
    asset : Battery or Site
        The battery, or the site. A site makes no bids and is settled at its meter; its prices have the columns that pay
        for its machines' output, and `temperature_c` where there is cooling, and so has the forecast.
    prices : DataFrame
        A `prices` table; a gap is a row whose price is NaN.
    forecast : DataFrame, optional
        A `forecast` table. It also says which times the run covers, for every policy, so that runs on one forecast
        compare; without it the run covers all of `prices`.
    horizon : int
        Intervals that a plan looks ahead.
    soc_mwh : float, optional
        Energy stored at the beginning and at the end; the least that may be stored when omitted. [MWh]
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        If a table breaks its schema, the forecast has times that `prices` has not, or the policy needs a forecast
        and there is none.
    PlanError
        If a plan cannot be made, or the policy does not come back to the energy it began with.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> prices, forecast = mock_prices(days=3), mock_forecast(days=3)
    >>> planned = run(mpc.POLICIES["mpc"](), Battery(1, 2), prices, forecast, horizon=24)
    >>> best = run(mpc.POLICIES["perfect_foresight"](), Battery(1, 2), prices, forecast, horizon=24)
    >>> 0 < planned.profit < best.profit
    True
    """
    plans = agenda(policy, prices, forecast, horizon)
    if isinstance(asset, Site):
        return _run_site(policy, asset, plans, soc_mwh, market_tz)
    start_soc = asset.soc_low_mwh if soc_mwh is None else soc_mwh
    schedule, solvers = _carried_out(policy, asset, plans, start_soc)
    cleared = auctions.clear_at_price(bids.bid_price_taker(schedule), plans.period)
    done = dispatch(cleared.awards, asset, soc_mwh=start_soc, times=pd.DatetimeIndex(plans.period.index))
    _refuse_another_end(done.schedule["soc_mwh"].iloc[-1], start_soc, asset)
    executed = done.schedule.assign(price=plans.period["price"])
    settled = ledger.post(done.flows, plans.period, degradation_cost=asset.degradation_cost)
    carried = ledger.carry(executed, soc_mwh=start_soc, market_tz=market_tz)
    entries = pd.concat([settled, carried], ignore_index=True)
    counts: dict[str, float] = {solver: solvers[solver] for solver in SOLVERS if solver in solvers}
    counts |= {"clipped_mwh": done.clipped_mwh}
    return _result(executed, done.flows, entries, counts, plans, _facts(asset, market_tz))


def _run_site(policy: mpc.Policy, site: Site, plans: Agenda, soc_mwh: float | None, market_tz: str) -> Result:
    start = _least_mwh(site) if soc_mwh is None else soc_mwh
    planner = _planner(policy, site, step_hours(plans.period.index))
    done = run_site(site, plans, planner, start, market_tz)
    return _result(*done, plans, _facts(site, market_tz))


def _least_mwh(site: Site) -> float:
    """Least energy with which a site can begin: what its regulation holds in reserve is stored. [MWh]"""
    if site.battery is None:
        return 0.0
    return site.battery.soc_low_mwh + (site.regulation.reserve_mwh(site.battery)[0] if site.regulation else 0.0)


def _result(
    schedule: pd.DataFrame,
    flows: pd.DataFrame,
    entries: pd.DataFrame,
    counts: Mapping[str, float],
    plans: Agenda,
    facts: dict[str, Any],
) -> Result:
    entries.attrs = facts
    counts = {"plans": len(plans.spans), **counts, "gap_days": len(gap_dates(schedule, facts["market_tz"]))}
    return Result(schedule, flows, entries, ledger.profit(entries, ledger.owner(entries)), counts)


def _facts(asset: Battery | Site, market_tz: str) -> dict[str, Any]:
    """What a ledger says of itself where it is kept: when a day begins, and the power behind it and each service."""
    if isinstance(asset, Battery):
        return {"market_tz": market_tz, "power_mw": asset.power_mw, "service_mw": {"energy": asset.power_mw}}
    services: dict[str, float] = {}
    for machine in asset.machines:
        services[machine.product] = services.get(machine.product, 0.0) + machine.greatest_mw
    if asset.battery is not None:
        award_mw = asset.regulation.award_mw if asset.regulation else 0.0
        services |= {"energy": asset.battery.power_mw - award_mw, "regulation": award_mw}
    return {"market_tz": market_tz, "power_mw": asset.import_limit_mw, "service_mw": services}


def _carried_out(
    policy: mpc.Policy, battery: Battery, plans: Agenda, start_soc: float
) -> tuple[pd.DataFrame, Counter[str]]:
    """What the plans in force say, each made from where the execution of those before it ends, and who solved them."""
    hours, base = step_hours(plans.period.index), battery.soc_low_mwh
    limit = np.where(plans.period["price"].isna(), 0.0, battery.power_mw * hours)
    low, high = bands_ahead(limit, start_soc - base, start_soc - base, battery, hours)
    planner, solvers = _planner(policy, battery, hours), Counter[str]()
    power, soc = np.zeros(len(limit)), np.full(len(limit), start_soc)
    now, before = start_soc, 0.0
    for span, window in plans.windows():
        state = mpc.State(battery, now, base + low[span.stop - 1], base + high[span.stop - 1], before)
        decision = planner(state, window)
        inside = slice(span.start, min(span.stop, span.until))
        planned = decision.columns["battery_mw"][: inside.stop - inside.start]
        net, stored = execute(planned * hours, limit[inside], now - base, battery, hours, before * hours)
        power[inside], soc[inside] = planned, base + stored
        now, before = base + float(stored[-1]), float(net[-1]) / hours
        solvers.update([decision.solver] if decision.solver else [])
    return pd.DataFrame({"battery_mw": power, "soc_mwh": soc}, index=plans.period.index), solvers


def _planner(policy: mpc.Policy, asset: Battery | Site, hours: float) -> mpc.Planner:
    """The policy's array core, or one around a callable that has none."""
    if isinstance(policy, mpc.PlanningPolicy):
        return policy.planner(asset, hours)

    def by_table(state: mpc.State, window: mpc.Window) -> mpc.Decision:
        schedule = policy(state, window.table())
        columns = {str(name): schedule[name].to_numpy(float) for name in schedule.columns}
        return mpc.Decision(columns, schedule.attrs.get("solver"))

    return by_table


def _refuse_another_end(soc: float, start_soc: float, battery: Battery) -> None:
    if abs(soc - start_soc) > _RETURN_TOLERANCE * battery.energy_mwh:
        raise PlanError(
            f"the run began with {start_soc:g} MWh and ends with {soc:g}: the policy must end its plans between the "
            "state's end_low_mwh and end_high_mwh"
        )
