"""Conditions that last: said once when they begin and once when they end, however many steps lie between."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from gridlab.live.journal_tables import Event


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

    def turned(self, conditions: Iterable[Condition], at: pd.Timestamp) -> tuple["Standing", tuple[Event, ...]]:
        """What stands after a step, and the events of those that begin or end with it."""
        now = {(one.kind, one.name): one for one in conditions}
        begun = [
            Event(at, one.kind, one.name, one.text, one.severity, "raised")
            for key, one in now.items()
            if key not in self.steps
        ]
        ended = [
            Event(at, kind, name, f"ended after {count} step{'s' * (count > 1)}", "info", "ended")
            for (kind, name), count in self.steps.items()
            if (kind, name) not in now
        ]
        return Standing({key: self.steps.get(key, 0) + 1 for key in now}), (*begun, *ended)


def standing_of(events: pd.DataFrame) -> Standing:
    """
    What stood when a journal's last event was written, for a loop that begins again.

    Parameters
    ----------
    events : DataFrame
        The reader's events.
    """
    ours = events[events["kind"].isin(("protocol", "fallback")) & events["phase"].isin(("raised", "ended"))]
    last = ours.drop_duplicates(["kind", "name"], keep="last")
    still = last.loc[last["phase"] == "raised", ["kind", "name"]].itertuples(index=False, name=None)
    return Standing(dict.fromkeys(still, 1))
