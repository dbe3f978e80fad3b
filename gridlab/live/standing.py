"""Conditions that last: said once when they begin and once when they end, however many steps lie between."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from gridlab.live.config import STEP
from gridlab.live.journal_tables import Event
from gridlab.live.reading import Reader


@dataclass(frozen=True)
class Condition:
    """
    Something that holds in a step.

    Parameters
    ----------
    kind, name : str
        ``protocol`` or ``fallback``, and its name within the kind.
    text : str
        What it is, one sentence.
    severity : str
        ``info``, ``warning`` or ``critical``.
    """

    kind: str
    name: str
    text: str
    severity: str = "warning"


@dataclass(frozen=True)
class Standing:
    """
    Conditions that hold now, and for how many steps they have.

    Parameters
    ----------
    steps : mapping of (str, str) to int
        Steps so far, by kind and name.

    Examples
    --------
    >>> noon = pd.Timestamp("2025-06-21 12:00", tz="UTC")
    >>> standing, events = Standing().turned([Condition("fallback", "prices", "No prices.")], noon)
    >>> [(event.name, event.phase) for event in events]
    [('prices', 'raised')]
    >>> [event.text for event in standing.turned([], noon)[1]]
    ['ended after 1 step']
    """

    steps: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def turned(
        self, conditions: Iterable[Condition], at: pd.Timestamp, *, apart: Collection[str] = ()
    ) -> tuple["Standing", tuple[Event, ...]]:
        """
        What stands after a step, and the events of those that begin or end with it.

        Parameters
        ----------
        conditions : iterable of Condition
            What holds in the step.
        at : Timestamp
            When, UTC.
        apart : collection of str
            Names of fallbacks that begin and end by `begun` and `over`.
        """
        now = {(one.kind, one.name): one for one in conditions}
        still = [key for key in self.steps if key in now or (key[0] == "fallback" and key[1] in apart)]
        ended = [_ended(key, count, at) for key, count in self.steps.items() if key not in still]
        raised = [_raised(one, at) for key, one in now.items() if key not in self.steps]
        return Standing({key: self.steps.get(key, 0) + 1 for key in (*still, *now)}), (*raised, *ended)

    def begun(self, condition: Condition, at: pd.Timestamp) -> tuple["Standing", tuple[Event, ...]]:
        """What stands once a condition holds, and the event of its beginning where it did not."""
        key = (condition.kind, condition.name)
        if key in self.steps:
            return self, ()
        return Standing({**self.steps, key: 0}), (_raised(condition, at),)

    def over(self, kind: str, name: str, at: pd.Timestamp) -> tuple["Standing", tuple[Event, ...]]:
        """What stands once a condition no longer holds, and the event of its end where it did."""
        if (kind, name) not in self.steps:
            return self, ()
        left = {key: count for key, count in self.steps.items() if key != (kind, name)}
        return Standing(left), (_ended((kind, name), self.steps[kind, name], at),)


def standing_of(reader: Reader, *kinds: str) -> Standing:
    """
    What stood when a journal's last event was written, for a loop that begins again.

    Parameters
    ----------
    reader : Reader
        The journal's.
    *kinds : str
        Kinds of events; protocols and fallbacks when omitted.
    """
    events = reader.events()
    ours = events[events["kind"].isin(kinds or ("protocol", "fallback")) & events["phase"].isin(("raised", "ended"))]
    last = ours.drop_duplicates(["kind", "name"], keep="last")
    still = last.loc[last["phase"] == "raised"]
    if still.empty:
        return Standing()
    decided = reader.decisions(still["at"].min().floor(STEP)).index
    since = [int((decided >= at.floor(STEP)).sum()) for at in still["at"]]
    return Standing(dict(zip(zip(still["kind"], still["name"], strict=True), since, strict=True)))


def _raised(one: Condition, at: pd.Timestamp) -> Event:
    return Event(at, one.kind, one.name, one.text, one.severity, "raised")


def _ended(key: tuple[str, str], count: int, at: pd.Timestamp) -> Event:
    return Event(at, *key, f"ended after {count} step{'s' * (count != 1)}", "info", "ended")
