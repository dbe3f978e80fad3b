"""
Policies: what an asset does, given its state and what is believed about the price.

Every policy has one signature, ``policy(state, forecast) -> schedule``. Its `sees` says what belongs in `forecast`:
nothing, a forecast, or the prices themselves. A schedule ends within the state's end band, trades nothing where the
forecast's mean is NaN, and names the solver it came from in ``schedule.attrs["solver"]`` where one was used.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gridlab.assets import Battery, Site
from gridlab.errors import DataError
from gridlab.mpc.base import Decision, Planner, PlanningPolicy, Sees, State, Window
from gridlab.mpc.battery import BatteryPlanner, Plan
from gridlab.mpc.site import site_planner
from gridlab.mpc.value import ExpectedValue, Segments, expected_value_of_energy, terminal_segments, value_of_energy
from gridlab.storage import bands_ahead, reach, stored_after, towards

Floats = NDArray[np.float64]

_CARRY_MARGIN = 0.05  # share of the mean price that energy carried past the end of a plan must promise above its cost
_END_STATES, _END_SEGMENTS = 51, 10  # of the value of energy at the end of a plan


@dataclass(frozen=True)
class Idle(PlanningPolicy):
    """
    Do nothing.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> state = State(Battery(1, 2), soc_mwh=0.5, end_low_mwh=0.5, end_high_mwh=0.5)
    >>> schedule = Idle()(state, mock_prices(days=1).rename(columns={"price": "mean"}))
    >>> schedule["battery_mw"].abs().sum(), schedule["soc_mwh"].unique().tolist()
    (np.float64(0.0), [0.5])
    """

    sees: ClassVar[Sees] = "nothing"

    def planner(self, asset: Battery | Site, step_hours: float) -> Planner:
        """Rest."""

        def rest(state: State, window: Window) -> Decision:
            return moved(state, np.zeros(len(window.mean)), step_hours, _switched(asset, window, step_hours, on=False))

        return rest


@dataclass(frozen=True)
class Threshold(PlanningPolicy):
    """
    Charge when the forecast is below one quantile of its window, discharge when it is above another.

    Nothing is traded where the spread between the two quantiles does not pay for the losses and the wear. A site's
    machines run when what they make is worth more than the energy, whatever the limits that they share.

    Parameters
    ----------
    charge_quantile, discharge_quantile : float
        Quantiles of the window's forecast mean, ``0 <= charge_quantile < discharge_quantile <= 1``. [-]

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.date_range("2024-01-01", periods=4, freq="1h", tz="UTC", name="time")
    >>> forecast = pd.DataFrame({"mean": [10.0, 30.0, 30.0, 90.0]}, index=times)
    >>> state = State(Battery(1, 1, 1, 1), soc_mwh=0, end_low_mwh=0, end_high_mwh=0)
    >>> Threshold()(state, forecast)["battery_mw"].tolist()
    [-1.0, 0.0, 0.0, 1.0]
    """

    charge_quantile: float = 0.25
    discharge_quantile: float = 0.75
    sees: ClassVar[Sees] = "forecast"

    def __post_init__(self) -> None:
        if not 0 <= self.charge_quantile < self.discharge_quantile <= 1:
            raise DataError(
                "thresholds need 0 <= charge_quantile < discharge_quantile <= 1, "
                f"got {self.charge_quantile} and {self.discharge_quantile}"
            )

    def planner(self, asset: Battery | Site, step_hours: float) -> Planner:
        """Follow the rule, within power, capacity and what still lets the plan end in its band."""

        def follow(state: State, window: Window) -> Decision:
            machines = _switched(asset, window, step_hours, on=True)
            if isinstance(asset, Site) and asset.battery is None:
                return Decision(machines)
            battery, base = state.battery, state.battery.soc_low_mwh
            limit = np.where(np.isnan(window.mean), 0.0, battery.power_mw * step_hours)
            band = state.end_low_mwh - base, state.end_high_mwh - base
            low, high = bands_ahead(limit, *band, battery, step_hours)
            wish = self._wish(window.mean, battery) * step_hours
            net = towards(
                wish, limit, state.soc_mwh - base, low, high, battery, step_hours, state.power_mw * step_hours
            )
            return moved(state, net, step_hours, machines)

        return follow

    def _wish(self, mean: Floats, battery: Battery) -> Floats:
        """Power into the grid that the rule asks for. [MW]"""
        known = mean[~np.isnan(mean)]
        if known.size == 0:
            return np.zeros_like(mean)
        cheap, dear = np.quantile(known, [self.charge_quantile, self.discharge_quantile])
        if cheap >= dear or battery.eta_round_trip * (dear - battery.degradation_cost) <= cheap:
            return np.zeros_like(mean)
        return np.asarray(battery.power_mw * ((mean >= dear).astype(float) - (mean <= cheap)))


@dataclass(frozen=True)
class ModelPredictive(PlanningPolicy):
    """
    The best schedule if the forecast's mean came true.

    Energy left at the end of a plan is worth `terminal_value`. Without one it is worth what it would earn if the last
    day of the forecast came again, less a margin of a twentieth of the forecast's mean price for that being a guess.

    Where plans end at midnight, with the cheapest hours to come, a `terminal_value` of 0 is as good or a little better;
    where they end in the middle of the day the guess is much better.

    Parameters
    ----------
    terminal_value : float, optional
        Worth of each MWh stored at the end of a plan. [$/MWh]

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC", name="time")
    >>> forecast = pd.DataFrame({"mean": [40.0, 90.0, 20.0]}, index=times)
    >>> state = State(Battery(1, 1, 1, 1), soc_mwh=0, end_low_mwh=0, end_high_mwh=1)
    >>> ModelPredictive()(state, forecast)["battery_mw"].tolist()  # the last step buys for the peak to come
    [-1.0, 1.0, -1.0]
    >>> ModelPredictive(terminal_value=0.0)(state, forecast)["battery_mw"].tolist()
    [-1.0, 1.0, 0.0]
    """

    terminal_value: float | None = None
    sees: ClassVar[Sees] = "forecast"

    def planner(self, asset: Battery | Site, step_hours: float) -> Planner:
        """Solve the asset's programme on the mean."""
        if isinstance(asset, Site):
            return site_planner(asset, step_hours, terminal=self.terminal)
        planner = BatteryPlanner(battery_of(asset), step_hours)

        def plan(state: State, window: Window) -> Decision:
            terminal = self.terminal(window, planner.battery)
            return decided(planner.plan(window.mean, state.soc_mwh, end_band(state), terminal, state.power_mw))

        return plan

    def terminal(self, window: Window, battery: Battery) -> Segments:
        """Worth of the energy stored at the end of a plan."""
        if self.terminal_value is not None:
            return Segments.flat(battery, self.terminal_value)
        return value_of_the_last_day_again(window, battery)


@dataclass(frozen=True)
class DayAhead(PlanningPolicy):
    """
    The best schedule of the forecast's intervals alone: it ends with the energy that it began with.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC", name="time")
    >>> forecast = pd.DataFrame({"mean": [40.0, 90.0, 20.0]}, index=times)
    >>> state = State(Battery(1, 1, 1, 1), soc_mwh=0, end_low_mwh=0, end_high_mwh=1)
    >>> DayAhead()(state, forecast)["battery_mw"].tolist()
    [-1.0, 1.0, 0.0]
    """

    def planner(self, asset: Battery | Site, step_hours: float) -> Planner:
        """Solve the asset's programme on the mean, from the energy stored back to it."""
        if isinstance(asset, Site):
            of_site = site_planner(asset, step_hours)
            return lambda state, window: of_site(_back(state, window), window)
        planner = BatteryPlanner(battery_of(asset), step_hours)
        nothing = Segments.flat(planner.battery, 0.0)

        def plan(state: State, window: Window) -> Decision:
            band = end_band(_back(state, window))
            return decided(planner.plan(window.mean, state.soc_mwh, band, nothing, state.power_mw))

        return plan


@dataclass(frozen=True)
class PerfectForesight(PlanningPolicy):
    """The best schedule for the prices as they come: the bound that no other policy passes."""

    sees: ClassVar[Sees] = "prices"

    def planner(self, asset: Battery | Site, step_hours: float) -> Planner:
        """Solve the asset's programme on the prices, handed over as the mean."""
        if isinstance(asset, Site):
            return site_planner(asset, step_hours, prorate_demand=False)
        planner = BatteryPlanner(battery_of(asset), step_hours)
        nothing = Segments.flat(planner.battery, 0.0)

        def plan(state: State, window: Window) -> Decision:
            return decided(planner.plan(window.mean, state.soc_mwh, end_band(state), nothing, state.power_mw))

        return plan


@dataclass(frozen=True)
class ValueFunction(PlanningPolicy):
    """
    Follow the value of energy: at each interval the move that earns most with the expected value of what is left.

    The value comes from dynamic programming over the forecast's quantiles, each a price that the interval may have, and
    supposes that a price is seen before the battery moves: it waits for prices better than the mean where the forecast
    is unsure. It belongs where a plan is made anew at each interval, with the price of the first known. Without
    quantiles the mean is the only price, and the plan is that of `mpc` to the grid.

    Parameters
    ----------
    terminal_value : float, optional
        As in `ModelPredictive`. [$/MWh]
    n_states : int
        States of charge of the dynamic programme.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC", name="time")
    >>> forecast = pd.DataFrame({"mean": [40.0, 30.0], "q10": [40.0, 0.0], "q90": [40.0, 90.0]}, index=times)
    >>> state = State(Battery(1, 1, 1, 1), soc_mwh=1, end_low_mwh=0, end_high_mwh=1)
    >>> ValueFunction(terminal_value=0.0)(state, forecast)["battery_mw"].tolist()  # 45 is expected of waiting
    [0.0, 1.0]
    >>> ModelPredictive(terminal_value=0.0)(state, forecast)["battery_mw"].tolist()
    [1.0, 0.0]
    """

    terminal_value: float | None = None
    n_states: int = 201

    def planner(self, asset: Battery | Site, step_hours: float) -> Planner:
        """Value the energy over the forecast's quantiles, and follow it along the mean."""
        battery, base = battery_of(asset), battery_of(asset).soc_low_mwh

        def follow(state: State, window: Window) -> Decision:
            limit = np.where(np.isnan(window.mean), 0.0, battery.power_mw * step_hours)
            low, high = bands_ahead(limit, state.end_low_mwh - base, state.end_high_mwh - base, battery, step_hours)
            value = self._value(state, window, battery)
            wish = value.follow(state.soc_mwh, window.mean)[0] * step_hours
            before = state.power_mw * step_hours
            net = towards(wish, limit, state.soc_mwh - base, low, high, battery, step_hours, before)
            return moved(state, net, step_hours)

        return follow

    def _value(self, state: State, window: Window, battery: Battery) -> ExpectedValue:
        """The value of energy, with a fall outside the band in which the plan must end."""
        price, weights = prices_and_weights(window)
        grid = np.linspace(battery.soc_low_mwh, battery.soc_high_mwh, self.n_states)
        segments = ModelPredictive(self.terminal_value).terminal(window, battery)
        ends = battery.soc_low_mwh + np.concatenate([[0.0], np.cumsum(segments.width_mwh)])
        worth = np.interp(grid, ends, np.concatenate([[0.0], np.cumsum(segments.width_mwh * segments.slope)]))
        missed = np.maximum(state.end_low_mwh - grid, 0.0) + np.maximum(grid - state.end_high_mwh, 0.0)
        steep = 10 * (1 + np.nanmax(np.abs(price), initial=0.0)) / battery.eta_round_trip
        return expected_value_of_energy(
            price,
            weights,
            battery,
            step_hours=window.step_hours,
            n_states=self.n_states,
            terminal=worth - steep * missed,
        )


def prices_and_weights(window: Window) -> tuple[Floats, Floats]:
    """The forecast's quantiles, or its mean without them, shape (n_steps, n_nodes), and their probabilities."""
    levels = {name: float("0." + name[1:]) for name in window.columns if name[0] == "q" and name[1:].isdigit()}
    if not levels:
        return window.mean[:, np.newaxis], np.ones(1)
    names = sorted(levels, key=lambda name: levels[name])
    middles = np.array([levels[name] for name in names])
    bounds = np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [1.0]])
    price = np.sort(np.stack([window.columns[name] for name in names], axis=1), axis=1)
    return np.where(np.isnan(window.mean)[:, np.newaxis], np.nan, price), np.diff(bounds)


def battery_of(asset: Battery | Site) -> Battery:
    """The battery that is all of an asset, or the sentence that it is not."""
    if isinstance(asset, Site):
        raise DataError(
            "the policy plans a battery alone, got a site: plan a site with 'mpc', 'day_ahead' or 'threshold'"
        )
    return asset


def end_band(state: State) -> tuple[float, float]:
    """Least and greatest energy stored at the end of a plan. [MWh]"""
    return state.end_low_mwh, state.end_high_mwh


def decided(plan: Plan) -> Decision:
    """A plan as the columns of a schedule."""
    return Decision({"battery_mw": plan.power_mw, "soc_mwh": plan.soc_mwh}, plan.solver)


def moved(
    state: State, net_mwh: Floats, step_hours: float, machines: Mapping[str, Floats] = MappingProxyType({})
) -> Decision:
    """Energies of the battery into the grid as the columns of a schedule, beside those of machines."""
    if isinstance(state.asset, Site) and state.asset.battery is None:
        return Decision(machines)
    base = state.battery.soc_low_mwh
    stored = stored_after(net_mwh, state.soc_mwh - base, state.battery, step_hours)
    return Decision({"battery_mw": net_mwh / step_hours, **machines, "soc_mwh": base + stored})


def _back(state: State, window: Window) -> State:
    """The state of a plan that ends with the energy that it begins with, as far as its band and a leak allow."""
    if isinstance(state.asset, Site) and state.asset.battery is None:
        return state
    battery, base = state.battery, state.battery.soc_low_mwh
    limit = np.where(np.isnan(window.mean), 0.0, battery.power_mw * window.step_hours)
    most = base + reach(limit, state.soc_mwh - base, battery, window.step_hours)[1]
    back = min(max(state.soc_mwh, state.end_low_mwh), state.end_high_mwh, most)
    return replace(state, end_low_mwh=back, end_high_mwh=back)


def _switched(asset: Battery | Site, window: Window, step_hours: float, *, on: bool) -> dict[str, Floats]:
    """Power of a site's machines into the grid: all that pay for their energy, or none. [MW]"""
    powers = {}
    for machine in asset.machines if isinstance(asset, Site) else ():
        if on and machine.product not in window.columns:
            raise DataError(f"the forecast has no column '{machine.product}', which pays for {machine.name}: add it")
        wanted = window.columns.get(f"{machine.name}_demand", np.full(len(window.mean), float(machine.count)))
        earned = machine.output * window.columns[machine.product] if on else np.zeros(len(wanted))
        pays = on & (earned > machine.power_mw * step_hours * window.mean)
        powers[f"{machine.name}_mw"] = np.where(pays, -machine.power_mw * wanted, 0.0)
    return powers


def value_of_the_last_day_again(window: Window, battery: Battery) -> Segments:
    """What the energy left at the end would earn if the last day of the forecast came again, less a margin."""
    last_day = window.mean[-max(1, round(24 / window.step_hours)) :]
    open_ = ~np.isnan(window.mean)
    margin = _CARRY_MARGIN * np.abs(window.mean[open_]).mean() if open_.any() else 0.0
    if math.isfinite(battery.ramp_mw_per_hour):
        battery = replace(battery, ramp_mw_per_hour=math.inf)  # the guess need not heed it
    value = value_of_energy(last_day, battery, step_hours=window.step_hours, n_states=_END_STATES)
    segments = terminal_segments(value, n_segments=_END_SEGMENTS)
    return segments._replace(slope=segments.slope - margin)
