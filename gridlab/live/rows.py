"""A step's decision as the journal's row and as conditions that people are told of, and the state read back."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd

from gridlab.errors import DataError
from gridlab.live.books import IN_FORCE
from gridlab.live.config import STEP, Config
from gridlab.live.journal import Recalled
from gridlab.live.journal_tables import FAN, Bid, DecisionRow, Event, Fan
from gridlab.live.learning import LEVELS, learned
from gridlab.live.reading import Reader
from gridlab.live.standing import Condition
from gridlab.live.state import Asked, State, from_json, to_json
from gridlab.live.step import Decision
from gridlab.sources.mara import MACHINES, Inventory

LEARN_FROM = pd.Timedelta(days=8)
"""How far back recorded prices are learned from by a loop that begins again."""


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


def resumed(last: Recalled, reader: Reader, config: Config) -> tuple[State, pd.DataFrame]:
    """
    The state with which a loop begins again, and the recorded prices that it has learned from.

    The journal has every row that the server gave: those ahead of the clock are left out. What people asked is taken
    from the commands, for the last of them may have been applied after the last decision.

    Parameters
    ----------
    last : Recalled
        The last decision.
    reader : Reader
        The journal's.
    config : Config
        The site.
    """
    state = from_json(last.state)
    recorded = reader.prices(last.interval - LEARN_FROM)[: state.now]
    state = replace(state, asked=_asked(reader))
    return learned(state, recorded, config) if len(recorded) else state, recorded


def in_force(state: State, reader: Reader) -> State:
    """The state of a journal's last decision, with what was in force before it where it was not carried out."""
    decisions = reader.decisions(state.interval - LEARN_FROM)
    if decisions.empty or decisions["status"].iloc[-1] in (*IN_FORCE, "kept"):
        return state
    sent = decisions[decisions["status"].isin(IN_FORCE)]
    counts = {name: 0 if sent.empty else int(sent[name].iloc[-1]) for name in MACHINES}
    started = tuple(one for one in state.started if one[0] < state.interval)
    return replace(state, order=replace(state.order, counts=counts), started=started)


def _asked(reader: Reader) -> Asked:
    asked = Asked()
    for row in reader.obeyed().itertuples():
        with suppress(DataError):  # no longer what an earlier gridlab took for a command
            asked = asked.after(str(row.kind), str(row.value))
    return asked


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
