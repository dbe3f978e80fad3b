"""
What all policies share: the state a plan starts from, what it is handed, and the table it answers with.

A policy is called with tables, ``policy(state, forecast) -> schedule``. Behind that is an array core, a `Planner`, that
a backtest drives thousands of times: it is made once for an asset, keeps its compiled programme between plans, and
starts afresh in every run, so that a run depends on its data alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.assets import Battery, Site, SiteState
from gridlab.errors import DataError
from gridlab.schema import step_hours

Floats = NDArray[np.float64]
Sees = Literal["nothing", "forecast", "prices"]


@dataclass(frozen=True)
class State:
    """
    Where a plan starts and where it may end.

    Parameters
    ----------
    asset : Battery or Site
        The asset.
    soc_mwh : float
        Energy stored at the start. [MWh]
    end_low_mwh, end_high_mwh : float
        Least and greatest energy stored at the end of the plan. [MWh]
    power_mw : float
        The battery's power in the interval before, which a ramp starts from. [MW]
    site : SiteState
        What a site's machines, room and meter bring with them.
    """

    asset: Battery | Site
    soc_mwh: float
    end_low_mwh: float
    end_high_mwh: float
    power_mw: float = 0.0
    site: SiteState = field(default_factory=SiteState)

    @property
    def battery(self) -> Battery:
        """The battery of the asset."""
        if isinstance(self.asset, Battery):
            return self.asset
        if self.asset.battery is None:
            raise DataError("the policy plans a battery and the site has none: give the site one, or plan with 'mpc'")
        return self.asset.battery


@dataclass(frozen=True)
class Window:
    """
    What is believed about the intervals of a plan.

    Parameters
    ----------
    index : DatetimeIndex
        Times that hold the intervals; of a run, all of its times.
    step_hours : float
        Length of an interval. [h]
    columns : mapping of str to ndarray, shape (n_steps,)
        The forecast's columns: `mean`, quantiles, and others that a site needs.
    market_tz : str
        Time zone that says when days and months begin.
    start : int
        Which of the times is the first interval's.
    """

    index: pd.DatetimeIndex
    step_hours: float
    columns: Mapping[str, Floats]
    market_tz: str = "UTC"
    start: int = 0

    @cached_property
    def times(self) -> pd.DatetimeIndex:
        """The intervals."""
        return self.index[self.start : self.start + len(self.mean)]

    @property
    def mean(self) -> Floats:
        """Expected price, NaN where nothing can be traded, shape (n_steps,). [$/MWh]"""
        return self.columns["mean"]

    def table(self) -> pd.DataFrame:
        """The same as a table indexed by time."""
        return pd.DataFrame(dict(self.columns), index=self.times)


class Decision(NamedTuple):
    """
    What a plan says.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_steps,)
        The schedule's columns. [MW, MWh]
    solver : str, optional
        Which of `gridlab.programme.SOLVERS` answered; None where none was asked.
    """

    columns: Mapping[str, Floats]
    solver: str | None = None


Planner = Callable[[State, Window], Decision]
"""The array core of a policy, made for one asset and one length of interval."""


class Policy(Protocol):
    """What all policies have in common."""

    @property
    def sees(self) -> Sees:
        """What the policy is handed as its forecast."""

    def __call__(self, state: State, forecast: pd.DataFrame) -> pd.DataFrame:
        """Plan over the times of `forecast`, a table indexed by `time` with the column `mean`."""


class PlanningPolicy(ABC):
    """A policy of this library: a planner, and the table interface around it."""

    sees: ClassVar[Sees] = "forecast"

    @abstractmethod
    def planner(self, asset: Battery | Site, step_hours: float) -> Planner:
        """A planner for an asset, with no memory of plans before."""

    def __call__(self, state: State, forecast: pd.DataFrame) -> pd.DataFrame:
        """Plan over the times of `forecast`, a table indexed by `time` with the column `mean`."""
        window = window_of(forecast)
        decision = self.planner(state.asset, window.step_hours)(state, window)
        schedule = pd.DataFrame(dict(decision.columns), index=forecast.index)
        if decision.solver is not None:
            schedule.attrs["solver"] = decision.solver
        return schedule


def window_of(forecast: pd.DataFrame) -> Window:
    """A forecast's table as arrays."""
    if "mean" not in forecast.columns:
        raise DataError(f"the forecast has no column 'mean' (it has {', '.join(forecast.columns)}): name its price so")
    hours = step_hours(forecast.index)
    columns = {str(name): forecast[name].to_numpy(float) for name in forecast.columns}
    return Window(pd.DatetimeIndex(forecast.index), hours, columns)
