"""
What is watched while a site runs: one pure step that takes what a step of the loop saw and did, and says what is amiss.

Each check has a name, a severity, a limit in `Thresholds` beyond which it is raised, and a milder one within which it
ends, so that an alert that stands at its limit neither comes and goes nor stays for ever. What is missing is not taken
for zero: a check that is shown nothing keeps what it knows. The work of a step does not grow with the steps before it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gridlab.days import Floats
from gridlab.live.config import STEP
from gridlab.live.monitor_checks import CHECKERS, Found, percentile, scaled
from gridlab.live.monitor_records import (
    BLOCK,
    BLOCKS_A_DAY,
    CHECKS,
    HOUR,
    LEARNING_BLOCKS,
    WINDOW,
    Alert,
    Baseline,
    Monitor,
    Notice,
    Revenue,
    Seen,
    Temperature,
    Thresholds,
)

if TYPE_CHECKING:
    from gridlab.evaluate.drift import SumTest

__all__ = [
    "CHECKS",
    "Alert",
    "Baseline",
    "Monitor",
    "Notice",
    "Revenue",
    "Seen",
    "Temperature",
    "Thresholds",
    "active",
    "baseline",
    "latency",
    "start",
    "watch",
    "with_baseline",
]

_STEP_NS = STEP.value
_STEP_MINUTES = STEP.total_seconds() / 60
_DAY_NS = 86_400_000_000_000
_CAP = 1.5
_PATIENCE = 12
_QUIET = Alert()


def start(thresholds: Thresholds | None = None, backtest: Baseline | None = None) -> Monitor:
    """
    A monitor that has seen nothing.

    Examples
    --------
    >>> start().alerts
    {}
    """
    monitor = Monitor(thresholds or Thresholds())
    return monitor if backtest is None else with_baseline(monitor, backtest)


def with_baseline(monitor: Monitor, backtest: Baseline) -> Monitor:
    """
    The monitor with a new baseline: its sums begin anew, and alerts in force stay so until their own end.

    Examples
    --------
    >>> errors = np.random.default_rng(0).normal(size=(300, 1))
    >>> made = baseline(errors, rng=np.random.default_rng(0), thresholds=Thresholds(horizon_steps=288), n_draws=100)
    >>> with_baseline(start(), made).loss
    (0.0,)
    """
    zeros = (0.0,) * len(backtest.loss)
    return replace(monitor, baseline=backtest, loss=zeros, above=zeros, below=zeros)


def baseline(
    errors: ArrayLike,
    *,
    rng: np.random.Generator,
    thresholds: Thresholds | None = None,
    n_draws: int = 400,
) -> Baseline:
    """
    What the checks of the forecast need of its backtest; done once, in a second or so.

    Parameters
    ----------
    errors : array_like, shape (n_steps, n_series)
        One-step errors of the backtest over their expected sizes, in order; rows with a NaN are left out. A week or
        more. [-]
    rng : Generator
        Draws the bootstrap.
    thresholds : Thresholds, optional
        For `drift_rise`, `shift`, `false_alarm` and `horizon_steps`. The chance of a false alarm is shared between the
        series, and in ``price_shift`` between above and below.
    n_draws : int
        Bootstrap samples, at least 100.

    Returns
    -------
    Baseline

    Raises
    ------
    DataError
        If fewer than 100 rows are complete, or a series hardly varies.

    Notes
    -----
    Both tests are `gridlab.evaluate.drift.sum_test`, a cumulative sum [1]_ of the ranks, as normal scores, of live
    errors among those of the backtest, so that heavy tails change little. In 100 simulations of a week of backtest and
    a week in use, of one series with 5 % asked for of either test, false alarms of drift and of shift came in 4 and 4 %
    of the weeks where errors were normal, 5 and 7 % where they had Student's t distribution of 4 degrees, 10 and 13 %
    at a correlation of 0.3 from step to step, and 31 and 25 % where their size wandered by a third with a half-life of
    two hours: give errors over a size that follows such wandering. A rise of half was found after 47, 75, 47 and 222
    steps (median), a shift of one after 18, 30, 26 and 19. An alert of drift that had stood for a day ended 4 to 6
    hours after its cause, after 17 in the last case.

    References
    ----------
    .. [1] E. S. Page, "Continuous inspection schemes," Biometrika 41(1/2), 1954, doi:10.1093/biomet/41.1-2.100.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> made = baseline(rng.normal(size=(300, 3)), rng=rng, thresholds=Thresholds(horizon_steps=288), n_draws=100)
    >>> len(made.loss)
    3
    """
    from gridlab.evaluate.drift import sum_test

    limits = thresholds or Thresholds()
    table = np.atleast_2d(np.asarray(errors, dtype=float))
    table = table[np.isfinite(table).all(axis=1)]
    share = limits.false_alarm / max(table.shape[1], 1)
    steps = limits.horizon_steps

    def tests(past: Floats, changed: Floats, chance: float) -> tuple["SumTest", ...]:
        pairs = zip(past.T, changed.T, strict=True)
        return tuple(
            sum_test(a, b, rng=rng, false_alarm=chance, horizon_steps=steps, n_draws=n_draws) for a, b in pairs
        )

    sizes = np.abs(table)
    loss = tests(sizes, (1 + limits.drift_rise) * sizes, share)
    above = tests(table, table + limits.shift, share / 2)
    below = tests(-table, -table + limits.shift, share / 2)
    return Baseline(tuple(sizes.max(axis=0).tolist()), loss, above, below)


def watch(monitor: Monitor, seen: Seen) -> tuple[Monitor, tuple[Notice, ...]]:
    """
    One step of the watch.

    Parameters
    ----------
    monitor : Monitor
        As the step before returned it; it is not changed.
    seen : Seen
        What this step knew and did.

    Returns
    -------
    monitor : Monitor
        For the next step.
    notices : tuple of Notice
        Alerts that begin or end with this step, in the order of `CHECKS`.

    Examples
    --------
    >>> import pandas as pd
    >>> monitor, time = start(), pd.Timestamp("2025-06-21 12:00", tz="UTC")
    >>> monitor, notices = watch(monitor, Seen(time, prices=(3.0, 4.0, 2.0), temperature_c=76.5))
    >>> notices[0].name, notices[0].phase, notices[0].text
    ('temperature', 'raised', 'the hottest machine has 76.5 degC, over the limit of 75 degC')
    >>> monitor, notices = watch(monitor, Seen(time + STEP, prices=(3.0, 4.0, 2.0), temperature_c=70.0))
    >>> notices[0].phase, notices[0].count
    ('ended', 1)
    """
    now = seen.interval.value
    loss, above, below = _sums(monitor, seen)
    after = replace(
        monitor,
        interval=now,
        loss=loss,
        above=above,
        below=below,
        temperature=_temperature(monitor.temperature, seen.temperature_c, now),
        revenue=_revenue(monitor.revenue, seen, now),
        unpriced=0 if seen.prices is not None else monitor.unpriced + 1,
        ms=_times(monitor.ms, seen.ms),
        api=(*monitor.api[1 - HOUR :], (seen.api_calls, seen.api_failures)),
        in_force=_in_force(monitor.in_force, seen, now),
    )
    notices: list[Notice] = []
    alerts = dict(monitor.alerts)
    for name, check in CHECKERS.items():
        found = check(monitor, after, seen, monitor.thresholds)
        alert = alerts.get(name, _QUIET)
        if found is not None and (found.side or alert is not _QUIET):
            alerts[name] = _turned(name, alert, found, notices)
        elif alert.lasted:
            alerts[name] = alert._replace(lasted=alert.lasted + 1)
    return replace(after, alerts=alerts), tuple(notices)


def active(monitor: Monitor) -> tuple[Notice, ...]:
    """
    Alerts in force, in the order of `CHECKS`, with the steps each has lasted.

    Examples
    --------
    >>> import pandas as pd
    >>> time = pd.Timestamp("2025-06-21 12:00", tz="UTC")
    >>> monitor, _ = watch(start(), Seen(time, prices=(3.0, 4.0, 2.0), soc_share=0.05))
    >>> active(monitor)[0].text
    'the state of charge is 5.0 %, outside 15 % to 90 %'
    """
    return tuple(
        Notice(name, severity, "raised", monitor.alerts[name].text, monitor.alerts[name].lasted)
        for name, severity in CHECKS.items()
        if name in monitor.alerts and monitor.alerts[name].lasted
    )


def latency(monitor: Monitor) -> dict[str, tuple[float, float]]:
    """
    Median and 95th percentile of the time of each stage over the last 60 steps. [ms]

    Examples
    --------
    >>> import pandas as pd
    >>> monitor, _ = watch(start(), Seen(pd.Timestamp("2025-06-21", tz="UTC"), ms={"fetch": 40.0, "total": 90.0}))
    >>> latency(monitor)["fetch"]
    (40.0, 40.0)
    """
    return {stage: (percentile(times, 0.5), percentile(times, 0.95)) for stage, times in monitor.ms.items()}


def _turned(name: str, alert: Alert, found: Found, notices: list[Notice]) -> Alert:
    lasted, streak, text = alert
    if not lasted:
        if found.side <= 0 or streak + 1 < found.after:
            return Alert(0, streak + 1) if found.side > 0 else _QUIET
        text = found.say()
        notices.append(Notice(name, CHECKS[name], "raised", text, 1))
        return Alert(1, 0, text)
    streak = 0 if found.side > 0 else streak + (-(-_PATIENCE // found.calm) if found.side < 0 else 1)
    if streak < _PATIENCE:
        return Alert(lasted + 1, streak, text)
    words = f"over after {lasted} interval{'s' * (lasted > 1)} ({lasted * _STEP_MINUTES:.0f} min): {text}"
    notices.append(Notice(name, CHECKS[name], "ended", words, lasted))
    return _QUIET


def _sums(monitor: Monitor, seen: Seen) -> tuple[tuple[float, ...], ...]:
    base, errors = monitor.baseline, scaled(seen)
    if base is None or not errors:
        return monitor.loss, monitor.above, monitor.below

    def after(levels: Iterable[float], tests: Iterable["SumTest"], values: Iterable[float]) -> tuple[float, ...]:
        each = zip(levels, tests, values, strict=True)
        return tuple(test.after(level, value, _CAP) if value == value else level for level, test, value in each)

    return (
        after(monitor.loss, base.loss, map(abs, errors)),
        after(monitor.above, base.above, errors),
        after(monitor.below, base.below, (-one for one in errors)),
    )


def _temperature(before: Temperature | None, value: float | None, now: int) -> Temperature | None:
    if value is None or value != value:
        return before
    steps = (now - before.at) / _STEP_NS if before else 0.0
    if before is None or not 0 < steps <= HOUR:
        return Temperature(now, value, 0.0)
    return Temperature(now, value, (before.rise + (value - before.value) / steps) / 2)


def _revenue(before: Revenue, seen: Seen, now: int) -> Revenue:
    if seen.profit_today is None or seen.planned_today is None:
        return before
    gap, day = seen.profit_today - seen.planned_today, now // _DAY_NS
    if gap != gap:
        return before
    if before.day < 0:
        return before._replace(day=day, gap=gap)
    block = before.block + gap - (before.gap if day == before.day else 0.0)
    if before.steps + 1 < BLOCK:
        return before._replace(day=day, gap=gap, block=block, steps=before.steps + 1)
    return Revenue(day, gap, variance=_variance(before, block), blocks=before.blocks + 1)


def _variance(before: Revenue, block: float) -> float:
    """Mean square of a block's sum over about two weeks; none counts as more than three standard deviations."""
    square = block**2 if before.blocks < LEARNING_BLOCKS else min(block**2, 9 * before.variance)
    return before.variance + (square - before.variance) / min(before.blocks + 1, 14 * BLOCKS_A_DAY)


def _times(before: Mapping[str, tuple[float, ...]], ms: Mapping[str, float]) -> Mapping[str, tuple[float, ...]]:
    if not ms:
        return before
    return {**before, **{stage: (*before.get(stage, ())[1 - WINDOW :], value) for stage, value in ms.items()}}


def _in_force(before: Mapping[tuple[str, str], int], seen: Seen, now: int) -> Mapping[tuple[str, str], int]:
    keys = [("fallback", name) for name in seen.fallbacks] + [("protocol", name) for name in seen.protocols]
    return {key: before.get(key, now) for key in keys}
