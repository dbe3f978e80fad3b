"""The ledger of a site: what its meters and machines earned and cost, every amount twice."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.assets import Battery, Machine, Regulation, Site, SiteState
from gridlab.days import market_dates
from gridlab.errors import DataError
from gridlab.ledger.entries import postings, with_mirror
from gridlab.schema import step_hours

Floats = NDArray[np.float64]

_ROUNDING = 1e-9  # machines by which a count may change by rounding
_AWARD_ROUNDING = 1e-5  # MW and MWh by which an award may be missed by rounding


def post_site(
    done: pd.DataFrame,
    site: Site,
    prices: pd.DataFrame,
    *,
    state: SiteState | None = None,
    soc_mwh: float | None = None,
    market_tz: str = "UTC",
) -> pd.DataFrame:
    """
    Enter what a site earned and cost.

    Energy at the meter is settled between `site` and `market` at the price; what the machines make is paid for by the
    product's account; energy that the battery delivers is charged by `wear`, starts and stops by `starts`, and the
    regulation is paid for by `regulation` where there is a price and the battery has the power, energy and room that it
    promised. At the last time of each calendar month `demand`
    charges the greatest power drawn in it, as far as it is above that of before.

    Parameters
    ----------
    done : DataFrame
        Indexed by time, the columns of `SiteDispatch`: what was executed. [MW, MWh]
    site : Site
        The site.
    prices : DataFrame
        A `prices` table that covers those times, with the machines' products. [$/MWh, $/unit/interval]
    state : SiteState, optional
        What the machines and the meter brought with them.
    soc_mwh : float, optional
        Energy stored at the beginning; that at the end of the first interval when omitted. [MWh]
    market_tz : str
        Time zone that says when a month begins.

    Returns
    -------
    DataFrame
        An `entries` table in which each posting is followed, in the second half, by its mirror; they sum to zero.

    Raises
    ------
    DataError
        If energy flowed or machines ran where there is no price for it.

    Examples
    --------
    >>> times = pd.date_range("2024-01-31 22:00", periods=2, freq="1h", tz="UTC", name="time")
    >>> site = Site(1.0, machines=(Machine("miners", power_mw=0.5, count=2, output=1.0),), demand_charge=10.0)
    >>> done = pd.DataFrame({"miners_mw": [-0.5, -1.0], "grid_mw": [-0.5, -1.0], "soc_mwh": 0.0}, index=times)
    >>> prices = pd.DataFrame({"price": [20.0, 30.0], "hash_price": 40.0}, index=times)
    >>> entries = post_site(done, site, prices)
    >>> entries.groupby("counter_account")["amount"].sum().loc[["market", "hash_price", "demand"]].tolist()
    [-40.0, 120.0, -10.0]
    >>> float(entries["amount"].sum())
    0.0
    """
    state = SiteState() if state is None else state
    hours, times = step_hours(done.index), pd.DatetimeIndex(done.index)
    grid = hours * done["grid_mw"].to_numpy(float)
    price = _priced(prices, "price", times, grid != 0)
    parts = [_postings(times, "market", grid * np.nan_to_num(price), grid, "energy")]
    for machine in site.machines:
        parts += _of_machine(machine, done, prices, times, hours, state)
    if site.battery is not None:
        worn = hours * np.maximum(done["battery_mw"].to_numpy(float), 0.0)
        parts.append(_postings(times, "wear", -site.battery.degradation_cost * worn, worn, "wear"))
    if site.regulation is not None and site.battery is not None:
        kept = _keeps_award(site, site.regulation, site.battery, done, soc_mwh) & ~np.isnan(price)
        paid = np.where(kept, site.regulation.price * site.regulation.award_mw * hours, 0.0)
        parts.append(_postings(times, "regulation", paid, np.zeros(len(times)), "regulation"))
    parts.append(_demand(site, grid / hours, times, state, market_tz))
    return with_mirror(pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True))


def _of_machine(
    machine: Machine, done: pd.DataFrame, prices: pd.DataFrame, times: pd.DatetimeIndex, hours: float, state: SiteState
) -> Iterator[pd.DataFrame]:
    """What machines of a type made, and what their starts and stops cost."""
    power = done[f"{machine.name}_mw"].to_numpy(float)
    running = -power / machine.power_mw
    paid = np.nan_to_num(_priced(prices, machine.product, times, running != 0))
    yield _postings(times, machine.product, machine.output * paid * running, hours * power, "output")
    change = np.diff(running, prepend=state.running.get(machine.name, 0.0))
    change = np.where(np.abs(change) > _ROUNDING, change, 0.0)
    cost = machine.start_cost * np.maximum(change, 0.0) + machine.stop_cost * np.maximum(-change, 0.0)
    yield _postings(times, "starts", -cost, np.zeros(len(times)), "starts")


def _keeps_award(
    site: Site, regulation: Regulation, battery: Battery, done: pd.DataFrame, start_mwh: float | None
) -> NDArray[np.bool_]:
    """Where battery and meter have the power and, at either end of the interval, the store has what was promised."""
    low, high = regulation.reserve_mwh(battery)
    soc, grid = done["soc_mwh"].to_numpy(float), done["grid_mw"].to_numpy(float)
    soc = np.concatenate([soc[:1] if start_mwh is None else [start_mwh], soc])
    enough = (soc >= battery.soc_low_mwh + low - _AWARD_ROUNDING) & (
        soc <= battery.soc_high_mwh - high + _AWARD_ROUNDING
    )
    award = regulation.award_mw - _AWARD_ROUNDING
    free = battery.power_mw - np.abs(done["battery_mw"].to_numpy(float)) >= award
    room = (site.import_limit_mw + grid >= award) & (site.export_limit_mw - grid >= award)
    return np.asarray(free & room & enough[:-1] & enough[1:])


def _demand(site: Site, grid_mw: Floats, times: pd.DatetimeIndex, state: SiteState, market_tz: str) -> pd.DataFrame:
    """The charge of each calendar month, at its last time."""
    months = market_dates(times, market_tz).to_numpy().astype("datetime64[M]")
    _, first = np.unique(months, return_index=True)
    last = np.append(first[1:], len(times)) - 1
    peak = np.maximum.reduceat(np.maximum(-grid_mw, 0.0), first)
    before = np.zeros(len(peak))
    before[0] = state.peak_mw
    charge = site.demand_charge * np.maximum(peak - before, 0.0)
    return _postings(times[last], "demand", -charge, np.zeros(len(last)), "demand")


def _priced(prices: pd.DataFrame, column: str, times: pd.DatetimeIndex, needed: NDArray[np.bool_]) -> Floats:
    if column not in prices.columns:
        raise DataError(f"the prices have no column '{column}' (they have {', '.join(prices.columns)}): add it")
    price = prices[column].reindex(times).to_numpy(float)
    if np.isnan(price[needed]).any():
        bad = times[int(np.argmax(np.isnan(price) & needed))]
        raise DataError(f"there is no {column} at {bad}, where there is something to settle at it: rest in a gap")
    return np.asarray(price)


def _postings(times: pd.DatetimeIndex, counter: str, amount: Floats, energy: Floats, cause: str) -> pd.DataFrame:
    """Entries of the account `site` where there is an amount or energy."""
    some = (amount != 0) | (energy != 0)
    return postings(times[some], "site", counter, amount[some], energy[some], cause)
