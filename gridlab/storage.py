r"""
The energy balance of a battery, interval by interval, compiled.

All energies are in MWh an interval. `stored` is what lies above the least energy; with :math:`c` drawn from the grid
and :math:`d` delivered to it, :math:`s_t = k s_{t-1} + \eta_c c - d / \eta_d`, where :math:`k` is the share that does
not leak. Net energy is positive into the grid.
"""

import numpy as np
from numpy.typing import NDArray

from gridlab.assets import Battery

Floats = NDArray[np.float64]


def stored_after(net: Floats, start: float, battery: Battery, step_hours: float) -> Floats:
    """
    Energy stored above the least at the end of each interval, within the battery's limits.

    Parameters
    ----------
    net : ndarray, shape (n_steps,)
        Energy into the grid. [MWh]
    start : float
        Energy stored above the least at the start. [MWh]
    battery : Battery
        The asset.
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    ndarray, shape (n_steps,)
        Energy stored. [MWh]

    Examples
    --------
    >>> stored_after(np.array([-1.0, 0.25]), 0.0, Battery(1, 2, 0.5, 0.5), 1.0).tolist()
    [0.5, 0.0]
    """
    from gridlab import storage_core

    stored: Floats = storage_core.stored_after(net, start, *_physics(battery, step_hours))
    return stored


def execute(
    wanted: Floats, limit: Floats, start: float, battery: Battery, step_hours: float, before: float = 0.0
) -> tuple[Floats, Floats]:
    """
    Do what is wanted as far as power, ramp, energy and room allow.

    Parameters
    ----------
    wanted, limit : ndarray, shape (n_steps,)
        Energy into the grid that is wanted, and the greatest either way. [MWh]
    start : float
        Energy stored above the least at the start. [MWh]
    battery : Battery
        The asset.
    step_hours : float
        Length of an interval. [h]
    before : float
        Energy into the grid in the interval before, from which the battery ramps. [MWh]

    Returns
    -------
    net, stored : ndarray, shape (n_steps,)
        Energy into the grid and energy stored above the least. [MWh]

    Examples
    --------
    >>> execute(np.array([-2.0, 1.0]), np.ones(2), 0.0, Battery(1, 2, 0.5, 1.0), 1.0)
    (array([-1. ,  0.5]), array([0.5, 0. ]))
    """
    from gridlab import storage_core

    usable = np.full(len(wanted), battery.soc_high_mwh - battery.soc_low_mwh)
    ramp = _ramp(battery, step_hours)
    low, physics = np.zeros(len(wanted)), _physics(battery, step_hours)
    done: tuple[Floats, Floats] = storage_core.towards(wanted, limit, start, low, usable, before, ramp, *physics)
    return done


def towards(
    wish: Floats,
    limit: Floats,
    start: float,
    low: Floats,
    high: Floats,
    battery: Battery,
    step_hours: float,
    before: float = 0.0,
) -> Floats:
    """
    The net energy nearest to a wish that keeps what is stored between `low` and `high`.

    Parameters
    ----------
    wish, limit : ndarray, shape (n_steps,)
        Energy into the grid that is wished for, and the greatest either way. [MWh]
    start : float
        Energy stored above the least at the start. [MWh]
    low, high : ndarray, shape (n_steps,)
        Least and greatest energy stored above the least at the end of each interval. [MWh]
    battery : Battery
        The asset.
    step_hours : float
        Length of an interval. [h]
    before : float
        Energy into the grid in the interval before, from which the battery ramps. [MWh]

    Returns
    -------
    ndarray, shape (n_steps,)
        Energy into the grid. [MWh]
    """
    from gridlab import storage_core

    ramp = _ramp(battery, step_hours)
    net: Floats = storage_core.towards(wish, limit, start, low, high, before, ramp, *_physics(battery, step_hours))[0]
    return net


def reach(limit: Floats, start: float, battery: Battery, step_hours: float) -> tuple[float, float]:
    """
    Least and greatest energy above the least that can be stored at the end of the last interval. [MWh]

    Examples
    --------
    >>> reach(np.ones(1), 1.5, Battery(1, 2, 0.5, 1.0), 1.0)
    (0.5, 2.0)
    """
    from gridlab import storage_core

    low, high = storage_core.reach(
        limit, start, battery.soc_high_mwh - battery.soc_low_mwh, *_physics(battery, step_hours)
    )
    return float(low), float(high)


def bands_ahead(
    limit: Floats, end_low: float, end_high: float, battery: Battery, step_hours: float
) -> tuple[Floats, Floats]:
    """
    Energy above the least, at the end of each interval, from which an end between two bounds can be reached. [MWh]

    Parameters
    ----------
    limit : ndarray, shape (n_steps,)
        Greatest energy either way. [MWh]
    end_low, end_high : float
        Bounds of the energy stored above the least at the end. [MWh]
    battery : Battery
        The asset.
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    low, high : ndarray, shape (n_steps,)
        Bounds at the end of each interval. [MWh]
    """
    from gridlab import storage_core

    usable = battery.soc_high_mwh - battery.soc_low_mwh
    physics = _physics(battery, step_hours)
    band: tuple[Floats, Floats] = storage_core.bands_ahead(limit, end_low, end_high, usable, *physics)
    return band


def _physics(battery: Battery, step_hours: float) -> tuple[float, float, float]:
    return battery.kept(step_hours), battery.eta_charge, battery.eta_discharge


def _ramp(battery: Battery, step_hours: float) -> float:
    """Greatest change of the net energy from one interval to the next. [MWh]"""
    return battery.ramp_mw_per_hour * step_hours * step_hours
