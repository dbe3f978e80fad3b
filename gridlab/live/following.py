"""What the next step starts from, if an order is carried out."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from gridlab.dispatch.limits import celsius
from gridlab.dispatch.order import Order, Readings
from gridlab.dispatch.protocols import Protected
from gridlab.live.believed import Believed
from gridlab.live.config import STEP_HOURS, Config
from gridlab.live.limits import protection
from gridlab.live.state import Started, State
from gridlab.sources.mara import MACHINES, Inventory

if TYPE_CHECKING:
    from gridlab.forecast.intraday import Beliefs


def readings_of(state: State) -> Readings:
    """What the sensors say; a state of charge that cannot be is none, and the modelled one stands for it."""
    soc = state.readings.soc_share
    if soc is state.soc_share or (soc is not None and 0 <= soc <= 1):
        return state.readings
    return replace(state.readings, soc_share=state.soc_share)


def after(
    state: State,
    protected: Protected,
    seen: Believed,
    beliefs: "Beliefs | None",
    inventory: Inventory,
    config: Config,
) -> State:
    """What the next step starts from, if the order is carried out."""
    order, readings = protected.order, readings_of(state)
    return replace(
        state,
        order=order,
        fresh_at=state.now if protected.mode == "normal" else state.fresh_at,
        started=_started(state, order, config),
        soc_share=_charged(readings.soc_share, order, config),
        room_c=_warmed(state, order, inventory, config),
        warm_at=state.warm_at if celsius(state.readings) is None else state.now,
        known=seen.known,
        beliefs=beliefs,
    )


def _started(state: State, order: Order, config: Config) -> Started:
    """Machines started, as far back as the longest dwell reaches."""
    longest = max(config.dwell_minutes.values(), default=0.0)
    if longest == 0:
        return ()
    more = {name: order.counts[name] - state.order.counts[name] for name in MACHINES}
    new = {name: count for name, count in more.items() if count > 0}
    since = state.interval - pd.Timedelta(minutes=longest)
    kept = tuple(one for one in state.started if one[0] > since)
    return (*kept, (state.interval, new)) if new else kept


def _charged(soc_share: float | None, order: Order, config: Config) -> float | None:
    """State of charge at the end of the interval."""
    battery = config.battery
    if battery is None or soc_share is None:
        return soc_share
    net, stored = order.battery_mw * STEP_HOURS, soc_share * battery.energy_mwh
    moved = net * battery.eta_charge if net < 0 else net / battery.eta_discharge
    leaked = max(stored - battery.soc_low_mwh, 0.0) * (1 - battery.kept(STEP_HOURS))
    share: float = (stored - moved - leaked) / battery.energy_mwh
    return min(max(share, 0.0), 1.0)


def _warmed(state: State, order: Order, inventory: Inventory, config: Config) -> float | None:
    """Temperature of the room at the end of the interval."""
    cooling = config.cooling
    if cooling is None or cooling.room_mwh_per_c == 0 or state.room_c is None:
        return state.room_c
    outside = state.readings.outside_c
    if outside is None or not -60 <= outside <= 60:
        outside = protection(config, inventory).outside_c
    heat = sum(order.counts[name] * inventory.power[name] for name in config.cooled) * config.scaling.power_mw
    removed = cooling.heat_mw(order.cooling_mw, outside)
    warmed: float = cooling.room_after(state.room_c, (heat - removed) * STEP_HOURS, outside, STEP_HOURS)
    return warmed
