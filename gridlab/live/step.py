"""
The step of a live site: what is known becomes what is to be done, in one pure call.

The same call runs in the notebook, in the replay of recorded prices and in the loop behind ``gridlab live``. It reads
no clock, no network and no file: all that it knows is in its arguments, all that it changes is in what it returns.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from gridlab.dispatch.order import Order, Protection, Situation
from gridlab.dispatch.protocols import Fired, Protected, protect
from gridlab.live.accounts import profit
from gridlab.live.believed import Believed, Rows, believed
from gridlab.live.config import STEP, STEP_HOURS, Config
from gridlab.live.following import after, readings_of
from gridlab.live.journal_tables import Mode
from gridlab.live.learning import LEVELS, Fan, forecast, prices_now
from gridlab.live.limits import protection
from gridlab.live.planning import Ahead, Planner
from gridlab.live.services import Services, clear_services
from gridlab.live.state import State
from gridlab.sources.mara import MACHINES, Inventory, Quote, margins

if TYPE_CHECKING:
    from gridlab.dispatch.payload import Payload
    from gridlab.forecast.intraday import Beliefs, Outlook

RULES = {
    "knapsack": "The allocation of greatest profit at these prices.",
    "sequence": "The allocation of greatest profit over the horizon, switching counted.",
    "programme": "The plan of greatest profit over the horizon, with battery and cooling.",
}


class Fallback(NamedTuple):
    """
    Something that did not work as it should, and what was done instead.

    Parameters
    ----------
    name : str
        ``prices``, ``forecast``, ``plan``, ``auction`` or ``bids``.
    text : str
        One sentence.
    """

    name: str
    text: str


@dataclass(frozen=True)
class Decision:
    """
    What a step decides.

    Parameters
    ----------
    interval : Timestamp
        The interval that it is for, UTC.
    mode : str
        ``normal``, ``hold``, ``safe``, ``override`` or ``paused``.
    reason : str
        Why, one sentence.
    order : Order
        What the site is to do.
    payload : Payload
        The same for the site, with its limits and its state.
    expected_profit : float, optional
        What the order earns at `quote`. [$]
    quote : Quote, optional
        The prices acted upon; None where there were none.
    outlook : Outlook, optional
        The forecast of the intervals after the last row known.
    ahead : Ahead, optional
        The plan.
    services : Services, optional
        What bidders were awarded; None where there were no bids.
    services_paid : float
        What they pay for as much of it as the protocols let pass. [$]
    fired : tuple of Fired
        Protocols that fired.
    fallbacks : tuple of Fallback
        What did not work as it should.
    seen : Believed
        What was made of the prices.
    state : State
        For the next step, on the belief that the order is carried out.
    to_send : bool
        Whether the order is to be sent; False where the site is left as it is.
    """

    interval: pd.Timestamp
    mode: Mode
    reason: str
    order: Order
    payload: "Payload"
    expected_profit: float | None
    quote: Quote | None
    outlook: "Outlook | None"
    ahead: Ahead | None
    services: Services | None
    services_paid: float
    fired: tuple[Fired, ...]
    fallbacks: tuple[Fallback, ...]
    seen: Believed
    state: State
    to_send: bool

    @property
    def last_row(self) -> pd.Timestamp | None:
        """The last row of prices known, from which the outlook starts."""
        times = self.seen.known.times
        return pd.Timestamp(times[-1], unit="ns", tz="UTC") if len(times) else None


Told = Callable[[str], None]


def step(
    state: State, prices: pd.DataFrame | Rows, inventory: Inventory, config: Config, *, told: Told = lambda stage: None
) -> Decision:
    """
    Decide what a site does in the interval of ``state.now``.

    Prices are checked, the forecast learns the rows that are new, services are cleared where there are bids, the plan
    allocates what is left of the cap, and the protocols have the last word.

    Parameters
    ----------
    state : State
        What is known of the site, from the step before by `State.at`; `first_state` at the beginning.
    prices : DataFrame or Rows
        A prices table as the API gives it, whole or its last rows; without a row where the API did not answer.
    inventory : Inventory
        The machine types.
    config : Config
        The site.
    told : callable
        Called with ``forecast, auction, plan, protect, dispatch`` as each stage ends; for timing it.

    Returns
    -------
    Decision
        Its order keeps every limit whatever the inputs. Where the prices cannot be used, the order in force holds for
        ``config.hold_minutes`` and the safe one follows.

    Raises
    ------
    DataError
        If `prices` is no such table.

    Examples
    --------
    >>> from gridlab.live.state import first_state
    >>> from gridlab.sources.mara import EVENT
    >>> times = pd.date_range("2025-06-21 12:00", periods=2, freq="5min", tz="UTC", name="time")
    >>> prices = pd.DataFrame({"price": [1.5, 1.4], "hash_price": 1.75, "token_price": 1.0}, index=times)
    >>> state = first_state(pd.Timestamp("2025-06-21 12:05:02", tz="UTC"), Config())
    >>> decision = step(state, prices, EVENT, Config())
    >>> decision.mode, decision.order.counts["hydro_miners"]
    ('normal', 200)
    """
    seen = believed(prices, state.now, config, state.known, server_time=state.server_time)
    beliefs, outlook = forecast(state, seen, config)
    told("forecast")
    return _decided(state, seen, beliefs, outlook, inventory, config, told)


def held(state: State, problem: str, inventory: Inventory, config: Config) -> Decision:
    """
    Decide without prices: the order in force holds, and the safe one follows after ``config.hold_minutes``.

    Nothing is forecast or planned, so that nothing of that can fail.

    Parameters
    ----------
    state, inventory, config
        As for `step`.
    problem : str
        Why there are none, one sentence.
    """
    nothing = np.empty(0, dtype=np.int64), np.empty((0, 3))
    seen = Believed(None, "empty", problem, np.inf, *nothing, (), (), state.known)
    return _decided(state, seen, state.beliefs, None, inventory, config, lambda stage: None)


def _decided(
    state: State,
    seen: Believed,
    beliefs: "Beliefs | None",
    outlook: "Outlook | None",
    inventory: Inventory,
    config: Config,
    told: Told,
) -> Decision:
    from gridlab.dispatch.payload import payload_of

    interval = state.interval
    quote = prices_now(seen, outlook, interval)
    services = _auction(state, quote, inventory, config)
    told("auction")
    ahead = _plan(state, seen, quote, outlook, services, inventory, config)
    told("plan")
    limits = protection(config, inventory)
    situation = _situation(state, seen, quote, limits, inventory, config)
    protected = protect(_wanted(state, ahead, services, limits), situation, limits)
    told("protect")
    mode, paid = _mode(state, protected), _paid(services, protected.order)
    expected = None if quote is None else profit(protected.order, state.order, inventory, quote, config, paid)
    payload = payload_of(
        protected,
        situation,
        limits,
        site=config.site,
        start=interval,
        simulated=config.simulated,
        mode=mode,
        expected_profit=expected,
    )
    decision = Decision(
        interval=interval,
        mode=mode,
        reason=_reason(state, mode, protected, ahead),
        order=protected.order,
        payload=payload,
        expected_profit=expected,
        quote=quote,
        outlook=outlook,
        ahead=ahead,
        services=services,
        services_paid=paid,
        fired=protected.fired,
        fallbacks=tuple(_fallbacks(seen, outlook, ahead, services)),
        seen=seen,
        state=after(state, protected, seen, beliefs, inventory, config),
        to_send=mode != "paused" or protected.order.counts != state.order.counts,
    )
    told("dispatch")
    return decision


@lru_cache(maxsize=16)
def _planner(config: Config) -> Planner:
    """The compiled planner of a site: it changes with nothing but its data."""
    return Planner(config)


def _auction(state: State, quote: Quote | None, inventory: Inventory, config: Config) -> Services | None:
    if state.bids is None or quote is None or state.asked.paused:
        return None
    return clear_services(
        state.bids,
        config=config,
        inventory=inventory,
        prices_now=quote,
        time=state.interval,
        outside_c=state.readings.outside_c,
        explain=False,
    )


def _plan(
    state: State,
    seen: Believed,
    quote: Quote | None,
    outlook: "Outlook | None",
    services: Services | None,
    inventory: Inventory,
    config: Config,
) -> Ahead | None:
    if quote is None or state.asked.paused:
        return None
    fan = None
    if outlook is not None and seen.quote is not None:
        lead = max((quote.time - seen.quote.time) // STEP, 0)
        fan = Fan(outlook.mean[:, lead:], outlook.quantiles[:, lead:], LEVELS)
    readings = readings_of(state)
    return _planner(config).plan(
        inventory,
        quote,
        fan,
        counts=state.order.counts,
        started=state.started,
        soc_share=readings.soc_share,
        battery_mw=state.order.battery_mw,
        room_c=state.room_c,
        outside_c=readings.outside_c,
        services_mw=0.0 if services is None else services.drawn_mw,
        risk=state.asked.risk,
    )


def _wanted(state: State, ahead: Ahead | None, services: Services | None, limits: Protection) -> Order:
    """The order before the protocols: the plan's, a person's in its place, or what is in force."""
    sold = {} if services is None else services.services_mw
    if ahead is None:
        return replace(state.order, services_mw=sold)
    override = _override(state)
    if override is None:
        return Order(ahead.counts, ahead.battery_mw, ahead.cooling_mw, sold)
    counts = dict.fromkeys(MACHINES, 0) | dict(override)
    return Order(counts, ahead.battery_mw, limits.cooling_mw(counts, state.readings.outside_c), sold)


def _paid(services: Services | None, order: Order) -> float:
    """What bidders pay; of a service that the protocols cut, for what is left of it. [$]"""
    if services is None or order.services_mw == services.services_mw:
        return 0.0 if services is None else services.paid
    left = {name: order.services_mw.get(name, 0.0) / mw for name, mw in services.services_mw.items() if mw > 0}
    table = services.table
    return math.fsum(left.get(name, 1.0) * paid for name, paid in zip(table["service"], table["payment"], strict=True))


def _override(state: State) -> Mapping[str, int] | None:
    """The allocation that a person asked for, while it lasts."""
    asked = state.asked.override
    return None if asked is None or state.now >= asked.until else asked.counts


def _situation(
    state: State, seen: Believed, quote: Quote | None, limits: Protection, inventory: Inventory, config: Config
) -> Situation:
    now, fresh, warm = state.now, state.fresh_at, state.warm_at
    safe = dict.fromkeys(MACHINES, 0) | dict(config.safe)
    return Situation(
        readings=readings_of(state),
        held=state.order,
        safe=Order(safe, cooling_mw=limits.cooling_mw(safe, state.readings.outside_c)),
        price_problem=None if quote is not None else seen.problem or "there are no prices",
        minutes_without_prices=_minutes(now, fresh) if fresh is not None else np.inf,
        hold_minutes=config.hold_minutes,
        minutes_without_temperature=_minutes(now, warm) if warm is not None else np.inf,
        worth={} if quote is None else margins(inventory, quote, config.scaling),
        step_hours=STEP_HOURS,
    )


def _minutes(now: pd.Timestamp, then: pd.Timestamp) -> float:
    return max(float((now - then).total_seconds()) / 60, 0.0)


def _mode(state: State, protected: Protected) -> Mode:
    if state.asked.paused and protected.mode != "safe":
        return "paused"
    if protected.mode == "normal" and _override(state) is not None:
        return "override"
    return protected.mode


def _reason(state: State, mode: str, protected: Protected, ahead: Ahead | None) -> str:
    if mode in ("hold", "safe") or protected.fired:
        return protected.fired[0].reason
    if mode == "paused":
        return "The loop is paused and the site is left as it is."
    if mode == "override":
        return f"A person asked for this until {state.asked.override.until:%H:%M} UTC."  # type: ignore[union-attr]
    return "" if ahead is None else RULES[ahead.rule]


def _fallbacks(
    seen: Believed, outlook: "Outlook | None", ahead: Ahead | None, services: Services | None
) -> Iterator[Fallback]:
    if seen.problem is not None:
        yield Fallback("prices", seen.problem)
    naive = [] if outlook is None else [text for text in outlook.fallback if text]
    if naive:
        yield Fallback("forecast", naive[0])
    if ahead is not None and ahead.problem is not None:
        yield Fallback("plan", ahead.problem)
    if services is not None and services.problem is not None:
        yield Fallback("auction", services.problem)
    if services is not None and services.left_out:
        yield Fallback("bids", services.left_out[0])
