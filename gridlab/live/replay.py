"""The loop's backtest: the same step over recorded prices, without a network or a clock."""

from typing import NamedTuple

import pandas as pd

from gridlab.dispatch.order import Protection
from gridlab.dispatch.protocols import draw_mw
from gridlab.errors import DataError
from gridlab.live.accounts import Outcome
from gridlab.live.believed import Rows, rows_of
from gridlab.live.books import Books, Placed
from gridlab.live.config import STEP, Config
from gridlab.live.limits import protection
from gridlab.live.loop import Site
from gridlab.live.state import first_state
from gridlab.live.step import Decision, step
from gridlab.sources.mara import MACHINES, Inventory


class Replay(NamedTuple):
    """
    What the loop would have done.

    Parameters
    ----------
    decisions : DataFrame
        By interval: `mode`, machines of each type, `power_mw`, `battery_mw`, `cooling_mw`, `services_mw`,
        `soc_share`, `expected_profit`, and `fired`, the protocols that fired. [MW, -, $]
    outcomes : DataFrame
        By interval, what `gridlab.live.accounts.account` says. [$]
    """

    decisions: pd.DataFrame
    outcomes: pd.DataFrame

    @property
    def profit(self) -> float:
        """Of all intervals. [$]"""
        return float(self.outcomes["profit"].sum())


def replay(
    prices: pd.DataFrame, inventory: Inventory, config: Config, *, site: Site | None = None, delay_s: float = 2.0
) -> Replay:
    """
    Step through recorded prices, each interval decided when its row has come.

    Parameters
    ----------
    prices : DataFrame
        A prices table with `hash_price` and `token_price`, every five minutes; a missing row is one of NaN.
    inventory, config
        As for `step`.
    site : Site, optional
        Its readings and bids.
    delay_s : float
        How long after an interval has begun it is decided. [s]

    Returns
    -------
    Replay

    Raises
    ------
    DataError
        If the table lacks a column or is not of five minutes.

    Examples
    --------
    >>> from gridlab.sources.mara import EVENT
    >>> times = pd.date_range("2025-06-21 12:00", periods=3, freq="5min", tz="UTC", name="time")
    >>> prices = pd.DataFrame({"price": [1.5, 1.4, 9.9], "hash_price": 1.75, "token_price": 1.0}, index=times)
    >>> played = replay(prices, EVENT, Config())
    >>> played.decisions["hydro_miners"].tolist(), played.outcomes["profit"].tolist()
    ([200, 200, 0], [2000000.0, 2100000.0, 0.0])
    """
    table = _checked(prices)
    site, books, rows = site or Site(), Books(config), []
    delay = pd.Timedelta(seconds=delay_s)
    limits = protection(config, inventory)
    state = first_state(table.index[0], config)
    times, values = rows_of(table)
    outcomes = []
    for i, interval in enumerate(table.index):
        before = state.at(interval + delay, readings=site.readings(), bids=site.bids(interval))
        begin = int(times.searchsorted(state.known.newest, "right"))  # those before it has learned
        decision = step(before, Rows(times[begin : i + 1], values[begin : i + 1]), inventory, config)
        state = decision.state
        books.place(interval, Placed(decision.order, before.order, decision.services_paid, decision.expected_profit))
        outcomes += books.settle(decision.seen.known, inventory)
        rows.append(_row(decision, limits))
    return Replay(_decisions(rows, table.index), _outcomes(outcomes))


def _checked(prices: pd.DataFrame) -> pd.DataFrame:
    columns = ["price", "hash_price", "token_price"]
    missing = [name for name in columns if name not in prices]
    if missing or not isinstance(prices.index, pd.DatetimeIndex) or prices.index.tz is None or prices.empty:
        raise DataError(f"a replay needs prices by UTC time with {', '.join(columns)}, got {list(prices.columns)}")
    if prices.index.freq is None or pd.Timedelta(prices.index.freq) != STEP:
        raise DataError("a replay needs a row every 5 minutes: read the file with gridlab.sources, or call .asfreq")
    return prices[columns]


def _row(decision: Decision, limits: Protection) -> tuple[object, ...]:
    order = decision.order
    counts = (order.counts[name] for name in MACHINES)
    powers = draw_mw(order, limits), order.battery_mw, order.cooling_mw, sum(order.services_mw.values())
    fired = " ".join(one.name for one in decision.fired)
    return (decision.mode, *counts, *powers, decision.state.soc_share, decision.expected_profit, fired)


def _decisions(rows: list[tuple[object, ...]], times: pd.Index) -> pd.DataFrame:
    names = ["mode", *MACHINES, "power_mw", "battery_mw", "cooling_mw", "services_mw", "soc_share", "expected_profit"]
    return pd.DataFrame(rows, index=times, columns=[*names, "fired"])


def _outcomes(outcomes: list[tuple[pd.Timestamp, Outcome]]) -> pd.DataFrame:
    times = pd.DatetimeIndex([time for time, _ in outcomes], name="time")
    table = pd.DataFrame([outcome._asdict() | {"profit": outcome.profit} for _, outcome in outcomes], index=times)
    return table.sort_index()
