"""
Policies: what a battery does, given its state and what is believed about the price.

Every policy has one signature, ``policy(state, forecast) -> schedule``. Its `sees` says what belongs in `forecast`:
nothing, a forecast, or the prices themselves. A schedule ends within the state's end band, trades nothing where the
forecast's mean is NaN, and names the solver it came from in ``schedule.attrs["solver"]`` where one was used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery
from gridlab.errors import DataError
from gridlab.family import Family
from gridlab.mpc.battery import plan_battery
from gridlab.schema import step_hours

Floats = NDArray[np.float64]
Sees = Literal["nothing", "forecast", "prices"]

_CARRY_MARGIN = 0.05  # share of the mean price that energy carried past the end of a plan must promise above its cost


@dataclass(frozen=True)
class State:
    """
    Where a plan starts and where it may end.

    Parameters
    ----------
    battery : Battery
        The asset.
    soc_mwh : float
        Energy stored at the start. [MWh]
    end_low_mwh, end_high_mwh : float
        Least and greatest energy stored at the end of the plan. [MWh]
    """

    battery: Battery
    soc_mwh: float
    end_low_mwh: float
    end_high_mwh: float


class Policy(Protocol):
    """What all policies have in common."""

    @property
    def sees(self) -> Sees:
        """What the policy is handed as its forecast."""

    def __call__(self, state: State, forecast: pd.DataFrame) -> pd.DataFrame:
        """Plan over the times of `forecast`, a table indexed by `time` with the column `mean`."""


@dataclass(frozen=True)
class Idle:
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

    def __call__(self, state: State, forecast: pd.DataFrame) -> pd.DataFrame:
        """Hold the energy that is stored."""
        return _schedule(forecast.index, np.zeros(len(forecast)), np.full(len(forecast), state.soc_mwh))


@dataclass(frozen=True)
class Threshold:
    """
    Charge when the forecast is below one quantile of its window, discharge when it is above another.

    Nothing is traded where the spread between the two quantiles does not pay for the losses and the wear.

    Parameters
    ----------
    charge_quantile, discharge_quantile : float
        Quantiles of the window's forecast mean, ``0 <= charge_quantile < discharge_quantile <= 1``. [-]

    Examples
    --------
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

    def __call__(self, state: State, forecast: pd.DataFrame) -> pd.DataFrame:
        """Follow the rule, within power, capacity and what still lets the plan end in its band."""
        mean, hours = forecast["mean"].to_numpy(float), step_hours(forecast.index)
        wish = self._wish(mean, state.battery)
        low, high = _band_ahead(state, ~np.isnan(mean), hours)
        soc, power, stored = state.soc_mwh, np.zeros(len(mean)), np.zeros(len(mean))
        for step in range(len(mean)):
            power[step] = _power_within(state.battery, wish[step], soc, low[step], high[step], hours)
            soc += _stored(state.battery, power[step] * hours)
            stored[step] = soc
        return _schedule(forecast.index, power, stored)

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
class ModelPredictive:
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

    def __call__(self, state: State, forecast: pd.DataFrame) -> pd.DataFrame:
        """Solve the battery's linear programme on the mean."""
        if self.terminal_value is not None:
            return _optimal(state, forecast, self.terminal_value)
        mean = forecast["mean"].to_numpy(float)
        last_day = mean[-max(1, round(24 / step_hours(forecast.index))) :]
        price_level = np.abs(mean[~np.isnan(mean)]).mean() if not np.isnan(mean).all() else 0.0
        return _optimal(state, forecast, -_CARRY_MARGIN * price_level, last_day)


@dataclass(frozen=True)
class PerfectForesight:
    """The best schedule for the prices as they come: the bound that no other policy passes."""

    sees: ClassVar[Sees] = "prices"

    def __call__(self, state: State, forecast: pd.DataFrame) -> pd.DataFrame:
        """Solve the battery's linear programme on the prices, handed over as the mean."""
        return _optimal(state, forecast)


POLICIES: MappingProxyType[str, Callable[..., Policy]] = MappingProxyType(
    Family(
        "policy", {"idle": Idle, "threshold": Threshold, "mpc": ModelPredictive, "perfect_foresight": PerfectForesight}
    )
)
"""Policies by name."""


def _optimal(
    state: State, forecast: pd.DataFrame, terminal_value: float = 0.0, price_beyond: ArrayLike = ()
) -> pd.DataFrame:
    plan = plan_battery(
        forecast["mean"].to_numpy(float),
        state.battery,
        soc_mwh=state.soc_mwh,
        step_hours=step_hours(forecast.index),
        end_low_mwh=state.end_low_mwh,
        end_high_mwh=state.end_high_mwh,
        terminal_value=terminal_value,
        price_beyond=price_beyond,
    )
    schedule = _schedule(forecast.index, plan.power_mw, plan.soc_mwh)
    schedule.attrs["solver"] = plan.solver
    return schedule


def _schedule(times: pd.Index, power_mw: Floats, soc_mwh: Floats) -> pd.DataFrame:
    return pd.DataFrame({"battery_mw": power_mw, "soc_mwh": soc_mwh}, index=times)


def _band_ahead(state: State, tradable: NDArray[np.bool_], hours: float) -> tuple[Floats, Floats]:
    """Least and greatest energy at the end of each interval from which the end band can still be reached. [MWh]"""
    battery = state.battery
    left = battery.power_mw * hours * (tradable.sum() - np.cumsum(tradable))
    low = np.maximum(battery.soc_low_mwh, state.end_low_mwh - left * battery.eta_charge)
    high = np.minimum(battery.soc_high_mwh, state.end_high_mwh + left / battery.eta_discharge)
    return low, high


def _power_within(battery: Battery, wish: float, soc: float, low: float, high: float, hours: float) -> float:
    """The power nearest to `wish` that ends the interval between `low` and `high`. [MW]"""
    target = min(max(soc + _stored(battery, wish * hours), low), high)
    taken = soc - target
    power = taken / battery.eta_charge if taken < 0 else taken * battery.eta_discharge
    return min(max(power / hours, -battery.power_mw), battery.power_mw)


def _stored(battery: Battery, energy_mwh: float) -> float:
    """Change of the energy stored when `energy_mwh` goes into the grid. [MWh]"""
    return -energy_mwh * battery.eta_charge if energy_mwh < 0 else -energy_mwh / battery.eta_discharge
