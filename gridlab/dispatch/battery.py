"""Dispatch: what the battery does with what it was awarded, and the energy that its meters saw."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.assets import Battery
from gridlab.errors import DataError
from gridlab.schema import step_hours
from gridlab.storage import execute

Floats = NDArray[np.float64]


class Dispatch(NamedTuple):
    """
    What was done.

    Parameters
    ----------
    schedule : DataFrame
        The `schedule` as executed.
    flows : DataFrame
        Energy into the grid, into the battery's store and into heat, as meters `grid`, `battery` and `loss`. [MWh]
    clipped_mwh : float
        Energy that was awarded and not delivered or taken, for want of power, energy or room. [MWh]
    """

    schedule: pd.DataFrame
    flows: pd.DataFrame
    clipped_mwh: float


def dispatch(awards: pd.DataFrame, battery: Battery, *, soc_mwh: float, times: pd.DatetimeIndex) -> Dispatch:
    """
    Execute awards as far as the battery's power, energy and room allow.

    Parameters
    ----------
    awards : DataFrame
        The battery's rows of an auction's awards, a `bids` table. [MW]
    battery : Battery
        The asset.
    soc_mwh : float
        Energy stored at the start. [MWh]
    times : DatetimeIndex
        The intervals to execute, in order and with a freq; without an award the battery rests.

    Returns
    -------
    Dispatch
        The meters of a time sum to zero.

    Raises
    ------
    DataError
        If an award is for a time outside `times`, or `soc_mwh` is outside the battery's limits.

    Examples
    --------
    >>> from gridlab.schema import mock_bids, mock_times
    >>> times = mock_times(days=1)[:2]
    >>> awards = mock_bids(2).assign(time=times, quantity_mw=[-1.0, 1.0])
    >>> done = dispatch(awards, Battery(1, 2, 0.5, 1.0), soc_mwh=0, times=times)
    >>> done.schedule.values.tolist(), done.clipped_mwh
    ([[-1.0, 0.5], [0.5, 0.0]], 0.5)
    >>> done.flows.pivot(index="time", columns="meter", values="energy_mwh").values.tolist()
    [[0.5, -1.0, 0.5], [-0.5, 0.5, 0.0]]
    """
    low, high = battery.soc_low_mwh, battery.soc_high_mwh
    if not low - 1e-6 <= soc_mwh <= high + 1e-6:
        raise DataError(f"soc_mwh must be in [{low:g}, {high:g}], got {soc_mwh}: start within the battery's limits")
    hours = step_hours(times)
    awarded = _awarded_mw(awards, times)
    start, limit = min(max(soc_mwh, low), high) - low, np.full(len(times), battery.power_mw * hours)
    grid, stored = execute(awarded * hours, limit, start, battery, hours)
    schedule = pd.DataFrame({"battery_mw": grid / hours, "soc_mwh": low + stored}, index=times)
    kept = np.diff(stored, prepend=start)
    return Dispatch(schedule, _flows(times, grid, kept), float(np.abs(awarded * hours - grid).sum()))


def _awarded_mw(awards: pd.DataFrame, times: pd.DatetimeIndex) -> Floats:
    row = times.get_indexer(awards["time"])
    if (row < 0).any():
        raise DataError(
            f"there is an award at {awards['time'].iloc[int(np.argmin(row))]}, outside the times to execute, "
            f"{times[0]} to {times[-1]}: execute the awards of these times only"
        )
    return np.bincount(row, awards["quantity_mw"].to_numpy(float), len(times)).astype(float)


def _flows(times: pd.DatetimeIndex, grid: Floats, stored: Floats) -> pd.DataFrame:
    by_meter = np.stack([grid, stored, -grid - stored], axis=1)
    meters = pd.Series(np.tile(np.array(["grid", "battery", "loss"]), len(times)), dtype="str")
    return pd.DataFrame({"time": times.repeat(3), "meter": meters, "energy_mwh": by_meter.ravel()})
