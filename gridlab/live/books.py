"""The books of a running site: what each interval earned, once its prices are known, and the day so far."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from gridlab.dispatch.order import Order
from gridlab.live.accounts import Outcome, account
from gridlab.live.believed import Known
from gridlab.live.config import Config
from gridlab.live.reading import Reader
from gridlab.sources.mara import MACHINES, Inventory, Quote

MOST_OPEN = 288
"""Intervals whose prices are waited for: a day of them."""

IN_FORCE = ("confirmed", "recovered")
"""How the sending of a decision that is carried out ends."""

NOTHING = Order(dict.fromkeys(MACHINES, 0))


class Placed(NamedTuple):
    """
    What was in force over an interval.

    Parameters
    ----------
    order, before : Order
        The order in force, and the one of the interval before.
    services_paid : float
        What bidders pay. [$]
    expected : float, optional
        Profit expected when it was decided. [$]
    """

    order: Order
    before: Order
    services_paid: float = 0.0
    expected: float | None = None


@dataclass
class Day:
    """Profit of a day so far, settled and as it was expected of the same intervals. [$]"""

    date: pd.Timestamp | None = None
    profit: float = 0.0
    expected: float = 0.0


class Books:
    """
    What intervals earned, worked out as their prices come.

    Parameters
    ----------
    config : Config
        The site.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._open: OrderedDict[pd.Timestamp, Placed] = OrderedDict()
        self.day = Day()

    def place(self, interval: pd.Timestamp, placed: Placed) -> None:
        """Note what is in force over an interval; of more than a day without prices the oldest is given up."""
        self._open[interval] = placed
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)

    def reopen(self, reader: Reader) -> None:
        """Take up the intervals of a journal that have no outcome yet, and the day so far."""
        decisions = reader.decisions().tail(MOST_OPEN)
        if decisions.empty:
            return
        outcomes = reader.outcomes(decisions.index[0])
        bids = reader.awards(decisions.index[0])
        paid = bids.groupby("time")["payment"].sum()
        order = NOTHING
        for interval, row in decisions.iterrows():
            before, order = order, _order(row) if row["status"] in IN_FORCE else order
            expected = None if pd.isna(row["expected_profit"]) else float(row["expected_profit"])
            if interval not in outcomes.index:
                self.place(interval, Placed(order, before, float(paid.get(interval, 0.0)), expected))
            elif expected is not None:
                self._add(interval, float(outcomes.loc[interval, "profit"]), expected)

    def settle(self, known: Known, inventory: Inventory) -> list[tuple[pd.Timestamp, Outcome]]:
        """What the intervals earned whose prices are known now, in order of time."""
        done = []
        for interval in list(self._open):
            row = int(known.times.searchsorted(interval.value))
            if row < len(known.times) and known.times[row] == interval.value:
                placed = self._open.pop(interval)
                quote = Quote(interval, *known.values[row].tolist())
                outcome = account(placed.order, placed.before, inventory, quote, self.config, placed.services_paid)
                if placed.expected is not None:
                    self._add(interval, outcome.profit, placed.expected)
                done.append((interval, outcome))
        return done

    def _add(self, interval: pd.Timestamp, profit: float, expected: float) -> None:
        date = interval.normalize()
        if self.day.date is None or date > self.day.date:
            self.day = Day(date)
        if date == self.day.date:
            self.day.profit += profit
            self.day.expected += expected


def _order(row: pd.Series) -> Order:
    """What a decision of the journal put in force."""
    counts = {name: int(row[name]) for name in MACHINES}
    return Order(counts, row["battery_mw"], row["cooling_mw"], {"services": row["services_mw"]})
