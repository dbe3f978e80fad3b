"""What a site's steps learn from prices, and what they expect of the intervals ahead."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from gridlab.days import Floats
from gridlab.live.believed import Believed, known_rows
from gridlab.live.config import STEP, Config
from gridlab.live.state import State
from gridlab.sources.mara import Quote

if TYPE_CHECKING:
    from gridlab.forecast.intraday import Beliefs, Outlook

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)
"""Quantiles of the forecast that a decision keeps."""


STEPS_A_DAY = 288

MOST_MISSING = STEPS_A_DAY
"""Intervals without a row that the forecast is told of; of a longer gap the last so many."""


class Fan(NamedTuple):
    """A forecast from the interval after that of the quote on: what plans take."""

    mean: Floats
    quantiles: Floats
    levels: tuple[float, ...]


def forecast(state: State, seen: Believed, config: Config) -> "tuple[Beliefs | None, Outlook | None]":
    """What is believed after the rows that are new, and the forecast from the last of them."""
    from gridlab.forecast.intraday import predict

    last = state.known.times[-1] if len(state.known.times) else None
    beliefs = _observed(state.beliefs, last, seen.times, seen.values, config)
    return beliefs, None if beliefs is None else predict(beliefs, config.horizon_steps, LEVELS)


def _observed(
    beliefs: "Beliefs | None", last: int | None, times: np.ndarray, values: Floats, config: Config
) -> "Beliefs | None":
    """Beliefs after new rows; intervals between them that have none count as missing."""
    from gridlab.forecast.intraday import observe_all, start

    if not len(times):
        return beliefs
    beliefs = start(3, n_leads=config.horizon_steps, levels=LEVELS) if beliefs is None else beliefs
    first = times[0] if last is None else max(last + STEP.value, times[-1] - MOST_MISSING * STEP.value)
    grid = np.full(((times[-1] - first) // STEP.value + 1, 3), np.nan)
    inside = times >= first
    grid[(times[inside] - first) // STEP.value] = values[inside]
    slots = (first // STEP.value + np.arange(len(grid))) % STEPS_A_DAY
    return observe_all(beliefs, grid, slots)


def prices_now(seen: Believed, outlook: "Outlook | None", interval: pd.Timestamp) -> Quote | None:
    """The prices of the interval: the row that is there, or where it is late what is expected of it."""
    if seen.quote is None or seen.quote.time >= interval or outlook is None:
        return seen.quote
    lead = (interval - seen.quote.time) // STEP
    return Quote(interval, *outlook.mean[:, lead - 1].tolist()) if lead <= outlook.mean.shape[1] else None


def learned(state: State, prices: pd.DataFrame, config: Config) -> State:
    """
    A state that has learned recorded prices, for a loop that begins again.

    Parameters
    ----------
    state : State
        The state, as `from_json` gives it.
    prices : DataFrame
        Rows that were accepted before, by the start of their interval.
    config : Config
        The site.
    """
    known = known_rows(prices)
    values = prices[["price", "hash_price", "token_price"]].to_numpy(float)
    beliefs = _observed(None, None, prices.index.as_unit("ns").asi8, values, config)
    return replace(state, known=known, beliefs=beliefs)


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

    grid = prices[["price", "hash_price", "token_price"]].asfreq(STEP)
    slots = (grid.index.as_unit("ns").asi8 // STEP.value % STEPS_A_DAY).tolist()
    beliefs = start(3, n_leads=config.horizon_steps, levels=LEVELS)
    for row, slot in zip(grid.to_numpy(float), slots, strict=True):
        beliefs = observe(beliefs, row, slot)
        expected = beliefs.expected_error
        yield beliefs.last_error / np.where(expected > 0, expected, np.nan)
