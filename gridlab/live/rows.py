"""A step's decision as the journal's row, and as the conditions that people are told of."""

from collections.abc import Iterator, Mapping

import numpy as np

from gridlab.live.config import STEP
from gridlab.live.journal_tables import FAN, Bid, DecisionRow, Event, Fan
from gridlab.live.learning import LEVELS
from gridlab.live.standing import Condition
from gridlab.live.state import to_json
from gridlab.live.step import Decision
from gridlab.sources.mara import Inventory


def row_of(
    decision: Decision, inventory: Inventory, ms: Mapping[str, float], events: tuple[Event, ...] = ()
) -> DecisionRow:
    """
    A decision as a row of the journal.

    Parameters
    ----------
    decision : Decision
        The decision.
    inventory : Inventory
        The machine types.
    ms : mapping of str to float
        How long its stages took. [ms]
    events : tuple of Event
        What begins or ends with it.
    """
    order, needs, system = decision.order, decision.payload.power, decision.payload.state
    return DecisionRow(
        interval=decision.interval,
        decided_at=decision.state.now,
        mode=decision.mode,
        reason=decision.reason,
        counts=order.counts,
        power=sum(count * inventory.power[name] for name, count in order.counts.items()),
        power_mw=needs.total_mw,
        cooling_mw=order.cooling_mw,
        battery_mw=order.battery_mw,
        services_mw=sum(order.services_mw.values()),
        soc_share=system.soc_share,
        temperature_c=system.temperature_c,
        expected_profit=decision.expected_profit,
        ms=ms,
        payload=decision.payload.model_dump_json(),
        state=to_json(decision.state),
        forecast=_fan(decision),
        events=events,
        bids=tuple(_bids(decision)),
        to_send=decision.to_send,
    )


def conditions_of(decision: Decision) -> Iterator[Condition]:
    """What holds in a step that people are told of: protocols that fired, and what did not work as it should."""
    for fired in decision.fired:
        yield Condition("protocol", fired.name, fired.reason, fired.severity)
    for fallback in decision.fallbacks:
        yield Condition("fallback", fallback.name, fallback.text)


def _fan(decision: Decision) -> Fan | None:
    outlook = decision.outlook
    if outlook is None or decision.last_row is None:
        return None
    kept = [LEVELS.index(float("0." + name[1:])) for name in FAN[1:]]
    values = np.concatenate([outlook.mean[:, None], outlook.quantiles[:, :, kept].transpose(0, 2, 1)], axis=1)
    return Fan(decision.last_row + STEP, values)


def _bids(decision: Decision) -> Iterator[Bid]:
    if decision.services is not None:
        columns = ["bidder", "service", "quantity_mw", "price", "award_mw", "payment"]
        for row in decision.services.table[columns].itertuples(index=False, name=None):
            yield Bid(*row)
