"""What a site's steps learn from prices, and what they expect of the intervals ahead."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.days import Floats
from gridlab.live.believed import NEVER, Believed, Known, Rows, Times, believed, rows_of
from gridlab.live.config import STEP, Config
from gridlab.live.state import State
from gridlab.sources.mara import Quote

if TYPE_CHECKING:
    from gridlab.forecast.intraday import Beliefs, Outlook

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)
"""Quantiles of the forecast that a decision keeps."""


STEPS_A_DAY = 288

_STEP_NS = STEP.value


class Fan(NamedTuple):
    """A forecast from the interval after that of the quote on: what plans take."""

    mean: Floats
    quantiles: Floats
    levels: tuple[float, ...]


def forecast(state: State, seen: Believed, config: Config) -> "tuple[Beliefs | None, Outlook | None]":
    """What is believed after the rows that are new, and the forecast from the last of them."""
    from gridlab.forecast.intraday import predict

    beliefs = _observed(state.beliefs, state.known.newest, seen.times, seen.values, config)
    return beliefs, None if beliefs is None else predict(beliefs, config.horizon_steps, LEVELS)


def _observed(beliefs: "Beliefs | None", last: int, times: Times, values: Floats, config: Config) -> "Beliefs | None":
    """Beliefs after new rows; intervals between them that have none count as missing, whole days of them as none."""
    from gridlab.forecast.intraday import observe_all, start

    if not len(times):
        return beliefs
    if beliefs is None or last == NEVER:
        beliefs, last = start(3, n_leads=config.horizon_steps, levels=LEVELS), int(times[0]) - _STEP_NS
    first = last // _STEP_NS + 1
    first += max((int(times[-1]) // _STEP_NS - first) // STEPS_A_DAY - 1, 0) * STEPS_A_DAY
    return observe_all(beliefs, *_every_row(first, Rows(times, values)))


def _every_row(first: int, rows: Rows) -> tuple[Floats, NDArray[np.int64]]:
    """Rows from interval `first` since 1970 on, NaN where one is missing, and their slots of the day."""
    places = rows.times // _STEP_NS - first
    begin, grid = int(places.searchsorted(0)), np.full((int(places[-1]) + 1, 3), np.nan)
    grid[places[begin:]] = rows.values[begin:]
    return grid, np.arange(first, first + len(grid)) % STEPS_A_DAY


def prices_now(seen: Believed, outlook: "Outlook | None", interval: pd.Timestamp) -> Quote | None:
    """The prices of the interval: the row that is there, or where it is late what is expected of it."""
    if seen.quote is None or seen.quote.time >= interval or outlook is None:
        return seen.quote
    lead = min((interval - seen.quote.time) // STEP, outlook.mean.shape[1])
    return Quote(interval, *outlook.mean[:, lead - 1].tolist())


def learned(state: State, prices: pd.DataFrame, config: Config) -> State:
    """
    A state that has learned recorded prices as it would have had they come one by one, for a loop that begins again.

    Parameters
    ----------
    state : State
        The state, as `from_json` gives it.
    prices : DataFrame
        Recorded rows, by the start of their interval; those that are not believed teach nothing.
    config : Config
        The site.
    """
    known, accepted = _accepted(prices, config)
    return replace(state, known=known, beliefs=_observed(None, NEVER, *accepted, config))


def _accepted(prices: pd.DataFrame, config: Config) -> tuple[Known, Rows]:
    """What is known after recorded prices, and their rows that were believed."""
    times, values = rows_of(prices)
    known, accepted = Known(), [Rows(times[:0], values[:0])]
    for i, time in enumerate(times.tolist()):
        begin = int(times.searchsorted(known.newest, "right"))
        seen = believed(Rows(times[begin : i + 1], values[begin : i + 1]), pd.Timestamp(time, tz="UTC"), config, known)
        known = seen.known
        accepted.append(Rows(seen.times, seen.values))
    return known, Rows(*(np.concatenate(parts) for parts in zip(*accepted, strict=True)))


def errors_of(prices: pd.DataFrame, config: Config) -> Iterator[Floats]:
    """
    One-step errors of the forecast over recorded prices, each over its expected size, as they would have been. [-]

    Parameters
    ----------
    prices, config
        As for `learned`.

    Yields
    ------
    ndarray, shape (3,)
        NaN where nothing was forecast.
    """
    from gridlab.forecast.intraday import observe, start

    _, rows = _accepted(prices, config)
    if not len(rows.times):
        return
    beliefs = start(3, n_leads=config.horizon_steps, levels=LEVELS)
    grid, slots = _every_row(int(rows.times[0]) // _STEP_NS, rows)
    for row, slot in zip(grid, slots.tolist(), strict=True):
        beliefs = observe(beliefs, row, slot)
        expected = beliefs.expected_error
        yield beliefs.last_error / np.where(expected > 0, expected, np.nan)
