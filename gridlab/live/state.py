"""What a step of a live site starts from."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridlab.dispatch.order import Order, Readings
from gridlab.errors import DataError
from gridlab.live.believed import Known
from gridlab.live.config import STEP, Config
from gridlab.sources.mara import MACHINES

if TYPE_CHECKING:
    from gridlab.forecast.intraday import Beliefs

MOST_COUNT = 10**15

Started = tuple[tuple[pd.Timestamp, Mapping[str, int]], ...]


@dataclass(frozen=True)
class Override:
    """
    An allocation that a person asked for.

    Parameters
    ----------
    counts : mapping of str to int
        Machines of each type; none of a type that is missing.
    until : Timestamp
        When it ends, UTC.

    Raises
    ------
    DataError
        If a name is no machine type, a count is negative or no whole number, or the end has no time zone.
    """

    counts: Mapping[str, int]
    until: pd.Timestamp

    def __post_init__(self) -> None:
        for name, count in self.counts.items():
            whole = isinstance(count, int) and not isinstance(count, bool)
            if name not in MACHINES or not whole or not 0 <= count <= MOST_COUNT:
                raise DataError(
                    f"an override needs whole numbers in [0, 1e15] of {', '.join(MACHINES)}, got {count!r} of {name!r}"
                )
        if not isinstance(self.until, pd.Timestamp) or self.until.tz is None:
            raise DataError(f"an override needs an end with its time zone, got {self.until}: write 2025-06-21T12:30Z")


@dataclass(frozen=True)
class Asked:
    """
    What people have asked of the loop.

    Parameters
    ----------
    paused : bool
        Whether the site is left as it is, but for what its protocols ask.
    risk : float, optional
        How far plans lean to the unfavourable end of the forecast; as configured where None. [-]
    override : Override, optional
        An allocation in the place of the plan's.
    """

    paused: bool = False
    risk: float | None = None
    override: Override | None = None

    def after(self, kind: str, value: str) -> "Asked":
        """
        What is asked after one more command.

        Parameters
        ----------
        kind : str
            One of `gridlab.live.commands.KINDS`.
        value : str
            The command's value, JSON.

        Raises
        ------
        DataError
            If it is no command, or its value is none of its kind.

        Examples
        --------
        >>> Asked().after("risk", "0.25").risk
        0.25
        >>> Asked().after("override", '{"counts": {"gpu_compute": 3}, "until": "2025-06-21T12:30Z"}').override.counts
        {'gpu_compute': 3}
        """
        changes: dict[str, Callable[[Any], dict[str, Any]]] = {
            "pause": lambda _: {"paused": True},
            "resume": lambda _: {"paused": False},
            "risk": lambda risk: {"risk": _risk(risk)},
            "override": lambda told: {"override": Override(dict(told["counts"]), pd.Timestamp(told["until"]))},
            "clear_override": lambda _: {"override": None},
        }
        try:
            return replace(self, **changes[kind](json.loads(value)))
        except DataError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise DataError(f"{kind} {value} is no command of this loop ({error}): ask again") from error


@dataclass(frozen=True)
class State:
    """
    What is known of a site at a moment, and what the steps before have learned.

    Parameters
    ----------
    now : Timestamp
        The moment, UTC.
    order : Order
        What is in force.
    fresh_at : Timestamp, optional
        When prices were last acted upon, UTC; None before the first time.
    started : tuple of (Timestamp, mapping)
        Machines started in an interval, by type, as far back as the longest dwell reaches.
    soc_share, room_c : float, optional
        State of charge and the room's temperature, as modelled from what was ordered. [-], [degC]
    warm_at : Timestamp, optional
        When the thermometer last gave a reading, UTC.
    known : Known
        Rows of prices accepted so far.
    beliefs : Beliefs, optional
        What the forecast has learned; None before the first row.
    readings : Readings
        What the sensors say.
    bids : DataFrame, optional
        Bids for the interval.
    asked : Asked
        What people have asked.
    server_time : Timestamp, optional
        The server's clock at `now`, UTC.
    """

    now: pd.Timestamp
    order: Order = field(default_factory=lambda: Order(dict.fromkeys(MACHINES, 0)))
    fresh_at: pd.Timestamp | None = None
    started: Started = ()
    soc_share: float | None = None
    room_c: float | None = None
    warm_at: pd.Timestamp | None = None
    known: Known = field(default_factory=Known)
    beliefs: "Beliefs | None" = None
    readings: Readings = field(default_factory=Readings)
    bids: pd.DataFrame | None = None
    asked: Asked = field(default_factory=Asked)
    server_time: pd.Timestamp | None = None

    @property
    def interval(self) -> pd.Timestamp:
        """Start of the interval of `now`."""
        return self.now.floor(STEP)

    def at(self, now: pd.Timestamp, **new: Any) -> "State":
        """
        The state at a later moment, with what is new.

        Examples
        --------
        >>> state = State(pd.Timestamp("2025-06-21 12:00:03", tz="UTC"))
        >>> state.at(pd.Timestamp("2025-06-21 12:05:02", tz="UTC"), readings=Readings(soc_share=0.4)).interval
        Timestamp('2025-06-21 12:05:00+0000', tz='UTC')
        """
        return replace(self, now=now, **new)


def first_state(now: pd.Timestamp, config: Config) -> State:
    """The state of a site of which nothing is known yet: nothing runs, the battery is half full."""
    soc = None if config.battery is None else (config.battery.soc_min + config.battery.soc_max) / 2
    room = None if config.cooling is None else (config.cooling.room_low_c + config.cooling.room_high_c) / 2
    return State(now, soc_share=soc, room_c=room)


def to_json(state: State) -> str:
    """
    What a loop that begins again needs of a state; prices and forecasts it learns anew from the recorded rows.

    Examples
    --------
    >>> state = State(pd.Timestamp("2025-06-21 12:00:03", tz="UTC"), asked=Asked(risk=0.1))
    >>> from_json(to_json(state)) == state.at(state.now, known=from_json(to_json(state)).known)
    True
    """
    order, override = state.order, state.asked.override
    kept: dict[str, Any] = {
        "now": str(state.now),
        "order": {
            "counts": dict(order.counts),
            "battery_mw": order.battery_mw,
            "cooling_mw": order.cooling_mw,
            "services_mw": dict(order.services_mw),
            "base_mw": order.base_mw,
        },
        "fresh_at": _text(state.fresh_at),
        "started": [[str(time), dict(counts)] for time, counts in state.started],
        "soc_share": state.soc_share,
        "room_c": state.room_c,
        "warm_at": _text(state.warm_at),
        "paused": state.asked.paused,
        "risk": state.asked.risk,
        "override": None if override is None else [dict(override.counts), str(override.until)],
    }
    return json.dumps(kept)


def from_json(text: str) -> State:
    """The state that `to_json` wrote down."""
    kept = json.loads(text)
    override = kept["override"]
    asked = Asked(
        kept["paused"], kept["risk"], None if override is None else Override(override[0], pd.Timestamp(override[1]))
    )
    return State(
        now=pd.Timestamp(kept["now"]),
        order=Order(**kept["order"]),
        fresh_at=_time(kept["fresh_at"]),
        started=tuple((pd.Timestamp(time), counts) for time, counts in kept["started"]),
        soc_share=kept["soc_share"],
        room_c=kept["room_c"],
        warm_at=_time(kept["warm_at"]),
        asked=asked,
    )


def _risk(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise DataError(f"risk must be in [0, 1], got {value}")
    return float(value)


def _text(time: pd.Timestamp | None) -> str | None:
    return None if time is None else str(time)


def _time(text: str | None) -> pd.Timestamp | None:
    return None if text is None else pd.Timestamp(text)
