"""The recursions of `gridlab.storage`, compiled."""

import numba
import numpy as np


@numba.njit(cache=True)
def stored_after(net, start, kept, eta_charge, eta_discharge):  # type: ignore[no-untyped-def]
    """Energy stored after each interval."""
    stored = np.empty(len(net))
    now = start
    for t in range(len(net)):
        now = kept * now - (net[t] * eta_charge if net[t] < 0 else net[t] / eta_discharge)
        stored[t] = now
    return stored


@numba.njit(cache=True)
def towards(wish, limit, start, low, high, before, ramp, kept, eta_charge, eta_discharge):  # type: ignore[no-untyped-def]
    """The moves nearest to a wish within bounds, and the energy stored."""
    net, stored = np.empty(len(wish)), np.empty(len(wish))
    now = start
    for t in range(len(wish)):
        held = kept * now
        last = before if t == 0 else net[t - 1]
        asked = min(max(wish[t], last - ramp, -limit[t]), last + ramp, limit[t])
        target = held - (asked * eta_charge if asked < 0 else asked / eta_discharge)
        target = min(max(target, low[t]), high[t])
        taken = held - target
        net[t] = taken / eta_charge if taken < 0 else taken * eta_discharge
        net[t] = min(max(net[t], -limit[t]), limit[t])
        now = held - (net[t] * eta_charge if net[t] < 0 else net[t] / eta_discharge)
        now = min(max(now, low[t]), high[t])
        stored[t] = now
    return net, stored


@numba.njit(cache=True)
def reach(limit, start, usable, kept, eta_charge, eta_discharge):  # type: ignore[no-untyped-def]
    """Least and greatest energy at the end."""
    low, high = start, start
    for t in range(len(limit)):
        low = max(kept * low - limit[t] / eta_discharge, 0.0)
        high = min(kept * high + limit[t] * eta_charge, usable)
    return low, high


@numba.njit(cache=True)
def bands_ahead(limit, end_low, end_high, usable, kept, eta_charge, eta_discharge):  # type: ignore[no-untyped-def]
    """Bounds of the energy stored from which the end can be reached."""
    low, high = np.empty(len(limit)), np.empty(len(limit))
    least, most = end_low, end_high
    for t in range(len(limit) - 1, -1, -1):
        low[t], high[t] = least, most
        least = max((least - limit[t] * eta_charge) / kept, 0.0)
        most = min((most + limit[t] / eta_discharge) / kept, usable)
    return low, high
