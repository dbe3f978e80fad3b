"""The watch over a running site: what its steps did becomes alerts, and goes to the journal, the log and a webhook."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridlab.dispatch.protocols import draw_mw
from gridlab.live import monitoring
from gridlab.live.alerts import Sink, deliver, events
from gridlab.live.books import Day
from gridlab.live.config import Config
from gridlab.live.journal import Journal
from gridlab.live.journal_tables import Event
from gridlab.live.learning import errors_of
from gridlab.live.limits import protection
from gridlab.live.state import State
from gridlab.live.step import Decision
from gridlab.sources.mara import Inventory, margins

if TYPE_CHECKING:
    from gridlab.sources.mara.records import Exchange

LEARNING = 288
"""One-step errors of the forecast from which its usual ones are learned: a day of them."""

N_DRAWS = 100
"""Samples of the bootstrap that sets the limits of drift; more would take longer than a step may."""


class Watch:
    """
    Watches a site's steps.

    Parameters
    ----------
    thresholds : Thresholds, optional
        Where alerts begin and end.
    sinks : mapping of str to callable
        Where notices go beside the journal, by name.
    seed : int
        Seeds what the usual errors are learned by.
    """

    def __init__(
        self,
        thresholds: monitoring.Thresholds | None = None,
        sinks: Mapping[str, Sink] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self._monitor = monitoring.start(thresholds)
        self._sinks = dict(sinks or {})
        self._errors: list[np.ndarray] = []
        self._rng = np.random.default_rng(seed)
        self._calls = self._failures = 0

    def heard(self, exchange: "Exchange") -> None:
        """Count a request and whether it failed."""
        self._calls += 1
        self._failures += exchange.problem is not None

    def learn(self, prices: pd.DataFrame, config: Config) -> None:
        """Learn the forecast's usual errors from recorded prices; drift is watched for from the next step on."""
        self._errors = list(errors_of(prices, config)) if len(prices) else []

    def seen(
        self,
        decision: Decision,
        before: State,
        *,
        day: Day,
        ms: Mapping[str, float],
        journal: Journal,
        inventory: Inventory,
        config: Config,
        skew: pd.Timedelta | None,
    ) -> tuple[Event, ...]:
        """
        What begins and ends with a step, as events for the journal; the other sinks have been told.

        Parameters
        ----------
        decision, before : Decision, State
            What was decided, and from what.
        day : Day
            The day so far.
        ms : mapping of str to float
            How long each stage took. [ms]
        journal : Journal
            For its health, and the room on its disk.
        inventory, config
            As for `step`.
        skew : Timedelta, optional
            The server's clock less ours.
        """
        found = self._found(decision, before, day, ms, inventory, config)
        found = replace(
            found,
            journal_problem=journal.problem,
            disk_free_mb=_free_mb(journal.path),
            clock_skew_s=None if skew is None else skew.total_seconds(),
        )
        self._calls = self._failures = 0
        self._monitor, notices = monitoring.watch(self._monitor, found)
        self._settle()
        failed = deliver(notices, decision.interval, self._sinks)
        told = [Event(at=before.now, **one) for one in events(notices, decision.interval)]
        return (*told, *(Event(before.now, "alert", "sinks", words, "warning") for words in failed))

    def _found(
        self,
        decision: Decision,
        before: State,
        day: Day,
        ms: Mapping[str, float],
        inventory: Inventory,
        config: Config,
    ) -> monitoring.Seen:
        """What a step knew and did, as the monitor takes it."""
        quote, soc = decision.quote, before.readings.soc_share
        errors, scales = self._learned(decision)
        draw = draw_mw(decision.order, protection(config, inventory))
        return monitoring.Seen(
            interval=decision.interval,
            prices=None if quote is None else (quote.energy_price, quote.hash_price, quote.token_price),
            price_problem=decision.seen.problem,
            errors=errors,
            error_scales=scales,
            soc_share=soc,
            soc_expected=None if soc is None else before.soc_share,
            temperature_c=before.readings.temperature_c,
            utilisation=draw / config.cap_mw if config.cap_mw else None,
            margin_positive=None if quote is None else max(margins(inventory, quote, config.scaling).values()) > 0,
            profit_today=day.profit if day.date is not None else None,
            planned_today=day.expected if day.date is not None else None,
            ms={**ms, "total": sum(ms.values())},
            protocols=tuple(fired.name for fired in decision.fired),
            fallbacks=tuple(fallback.name for fallback in decision.fallbacks),
            api_calls=self._calls,
            api_failures=self._failures,
            readings_minutes=_age_minutes(before),
        )

    def _learned(self, decision: Decision) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        """The forecast's last errors and their expected sizes, kept until the usual ones are known."""
        beliefs = decision.state.beliefs
        if beliefs is None or not len(decision.seen.times):
            return None, None
        errors, scales = beliefs.last_error, beliefs.expected_error
        if self._monitor.baseline is None:
            self._errors.append(errors / scales if (scales > 0).all() else np.full(3, np.nan))
        return tuple(errors.tolist()), tuple(scales.tolist())

    def _settle(self) -> None:
        """Begin to watch for drift once enough errors are known."""
        if self._monitor.baseline is None and len(self._errors) >= LEARNING:
            errors, limits = np.array(self._errors), self._monitor.thresholds
            usual = monitoring.baseline(errors, rng=self._rng, thresholds=limits, n_draws=N_DRAWS)
            self._monitor = monitoring.with_baseline(self._monitor, usual)
            self._errors = []


def _age_minutes(before: State) -> float | None:
    at = before.readings.at
    return None if at is None else (before.now - at) / pd.Timedelta(minutes=1)


def _free_mb(path: Path) -> float:
    return shutil.disk_usage(path.parent).free / 1e6
