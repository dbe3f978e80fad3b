"""Runs under stress: what a plan that does not know of a shock earns when it comes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gridlab import ledger, mpc, scenarios
from gridlab.assets import Battery, Site
from gridlab.backtest.running import Result, _least_mwh, _planner, run
from gridlab.errors import DataError

_BASE = "base"


@dataclass(frozen=True)
class Shock:
    """
    A shock put upon the prices of one time.

    Parameters
    ----------
    name : str
        Its name among the results; not `base`, which is the run without a shock.
    kind : str
        One of `gridlab.scenarios.SHOCKS`.
    at : str or Timestamp
        Time at which it begins, the start of an interval; UTC where it has no time zone.
    size : float
        Its size, in the unit that the kind names.
    duration : int, optional
        Intervals that it lasts; the kind's own when omitted.
    column : str, optional
        Column of the prices that it comes upon; when omitted, `hash_price` for a `hash_jump`, and `price` otherwise.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=1).assign(price=30.0)
    >>> shock = Shock("evening", "scarcity", "2024-01-01 18:00", size=100.0, duration=2)
    >>> shock.put_on(prices)["price"].iloc[17:21].tolist()
    [30.0, 130.0, 130.0, 30.0]
    """

    name: str
    kind: str
    at: str | pd.Timestamp
    size: float
    duration: int | None = None
    column: str | None = None

    @property
    def shocked_column(self) -> str:
        """Column of the prices that it comes upon."""
        if self.column is not None:
            return self.column
        return "hash_price" if self.kind == "hash_jump" else "price"

    @property
    def time(self) -> pd.Timestamp:
        """Time at which it begins, UTC."""
        at = pd.Timestamp(self.at)
        return at.tz_localize("UTC") if at.tz is None else at.tz_convert("UTC")

    def put_on(self, prices: pd.DataFrame) -> pd.DataFrame:
        """
        The prices as they would have come; gaps stay gaps, and what a spike is a multiple of is read off all of them.

        Raises
        ------
        DataError
            If the prices have no such column or time, there is no such kind of shock, or its size or duration is not
            positive.
        """
        column = self.shocked_column
        if column not in prices.columns:
            raise DataError(f"'{self.name}' is put on '{column}' and the prices have {', '.join(prices.columns)}")
        if self.time not in prices.index:
            raise DataError(
                f"'{self.name}' begins at {self.time}, which is no interval of the prices, {prices.index[0]} to "
                f"{prices.index[-1]}: choose the start of one of them"
            )
        path = prices[column].to_numpy(float)[np.newaxis]
        place = int(prices.index.get_loc(self.time))
        shocked = scenarios.stress(path, self.kind, at=place, size=self.size, duration=self.duration)
        return prices.assign(**{column: shocked[0]})


def run_stressed(
    policy: mpc.Policy,
    asset: Battery | Site,
    prices: pd.DataFrame,
    forecast: pd.DataFrame | None,
    shocks: Sequence[Shock],
    *,
    horizon: int,
    soc_mwh: float | None = None,
    market_tz: str = "UTC",
) -> dict[str, Result]:
    """
    What a policy would have earned without a shock, and with each of several.

    Every plan is made on the forecast as it is given, which does not know of the shock, neither before it nor after,
    and is settled at the price with the shock on it. So a run differs from that without a shock by what the price does
    to the same plan; a site may also shed other machines, as those go first that earn least. A policy that sees the
    prices themselves, as perfect foresight does, sees those without the shock. The energy in store at the end of a day
    is valued at the prices without the shock in every run, so that a shock while nothing is traded changes no day's
    profit; a run that ends with the energy that it began with has the same sum as if it were valued with the shock.

    Parameters
    ----------
    policy, asset, prices, forecast, horizon, soc_mwh, market_tz
        As in `run`.
    shocks : sequence of Shock
        Shocks, each in a run of its own.

    Returns
    -------
    dict of str to Result
        The run without a shock as `base`, then one for each shock, by its name.

    Raises
    ------
    DataError
        As in `run` and `Shock.put_on`, or if two shocks have one name or one is named `base`, or if a shock begins
        outside the times of the run or where nothing could be traded.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> prices, forecast = mock_prices(days=3), mock_forecast(days=3)
    >>> evening = Shock("evening", "spike", "2024-01-02 18:00", size=20.0)
    >>> results = run_stressed(mpc.ModelPredictive(), Battery(1, 2), prices, forecast, [evening], horizon=24)
    >>> results["evening"].schedule["battery_mw"].equals(results["base"].schedule["battery_mw"])
    True
    """
    names = [_BASE, *(shock.name for shock in shocks)]
    if len(set(names)) < len(names):
        raise DataError(f"each shock needs a name of its own, and not '{_BASE}', got {names[1:]}: rename one")
    unaware = _unaware(policy, prices)
    settings: dict[str, Any] = {"horizon": horizon, "soc_mwh": soc_mwh, "market_tz": market_tz}
    base = run(policy, asset, prices, forecast, **settings)
    come = {shock.name: _come(shock, prices, base) for shock in shocks}
    runs = {name: run(unaware, asset, after, forecast, **settings) for name, after in come.items()}
    return {_BASE: base} | {name: _carried_as(base, result, asset, soc_mwh) for name, result in runs.items()}


def _come(shock: Shock, prices: pd.DataFrame, base: Result) -> pd.DataFrame:
    """Prices with the shock, once it is known to begin where the run can feel it."""
    shocked = shock.put_on(prices)
    if np.isnan(base.schedule["price"].get(shock.time, np.nan)):
        first, last = base.schedule.index[[0, -1]]
        raise DataError(
            f"'{shock.name}' begins at {shock.time}, where the run, {first} to {last}, trades nothing: choose another"
        )
    return shocked


def _carried_as(base: Result, result: Result, asset: Battery | Site, soc_mwh: float | None) -> Result:
    """The run with its stored energy valued at the prices of the base."""
    battery = asset.battery if isinstance(asset, Site) else asset
    if battery is None:
        return result
    owner, market_tz = "site" if isinstance(asset, Site) else "battery", base.entries.attrs["market_tz"]
    schedule = result.schedule.assign(price=base.schedule["price"])
    least = _least_mwh(asset) if isinstance(asset, Site) else battery.soc_low_mwh
    start = least if soc_mwh is None else soc_mwh
    valued = [ledger.carry(schedule, soc_mwh=start, market_tz=market_tz, account=owner)]
    if isinstance(asset, Site):
        valued.append(ledger.true_up(schedule, soc_mwh=start, account=owner))
    entries = pd.concat([result.entries[result.entries["cause"] != "inventory"], *valued], ignore_index=True)
    entries.attrs = result.entries.attrs
    return result._replace(entries=entries, profit=ledger.profit(entries, owner))


def _unaware(policy: mpc.Policy, prices: pd.DataFrame) -> mpc.Policy:
    """The policy, on the prices without a shock where it sees prices."""
    return _Unaware(policy, prices) if policy.sees == "prices" else policy


@dataclass(frozen=True)
class _Unaware(mpc.PlanningPolicy):
    """A policy that sees prices, and is shown those given here."""

    policy: mpc.Policy
    prices: pd.DataFrame
    sees = "prices"

    def planner(self, asset: Battery | Site, step_hours: float) -> mpc.Planner:
        """Plan as the policy does, on the prices without a shock."""
        plan = _planner(self.policy, asset, step_hours)

        def plan_unaware(state: mpc.State, window: mpc.Window) -> mpc.Decision:
            believed = self.prices.reindex(window.times).rename(columns={"price": "mean"})
            columns = {name: believed[name].to_numpy(float) for name in window.columns}
            columns["mean"] = np.where(np.isnan(window.mean), np.nan, columns["mean"])
            return plan(state, replace(window, columns=columns))

        return plan_unaware
