"""
The checks of the watch, one function each: what was remembered before and after a step and what it saw, to a finding.

A check that is shown nothing returns None and so changes nothing.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from gridlab.live.config import STEP
from gridlab.live.monitor_records import BLOCKS_A_DAY, HOUR, LEARNING_BLOCKS, WINDOW, Monitor, Seen, Thresholds

SERIES = ("energy", "hash", "token")
_STEP_NS = STEP.value
_STEP_MINUTES = STEP.total_seconds() / 60


class Found(NamedTuple):
    """
    What a check found.

    `side` is 1 beyond the limit, -1 within the milder one, 0 between; an alert is raised by `after` steps beyond in a
    row, and ends by `calm` steps within, or by an hour of steps not beyond.
    """

    side: int
    say: Callable[[], str]
    after: int = 1
    calm: int = 1


def scaled(seen: Seen) -> tuple[float, ...]:
    """Errors over their expected sizes; NaN where one is not known."""
    if seen.errors is None or seen.error_scales is None:
        return ()
    pairs = zip(seen.errors, seen.error_scales, strict=True)
    return tuple(error / scale if scale > 0 else math.nan for error, scale in pairs)


def percentile(times: tuple[float, ...], share: float) -> float:
    """The least time that the share of them does not pass."""
    return sorted(times)[math.ceil(share * len(times)) - 1]


def _no_price(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found:
    steps = after.unpriced
    reason = f": {seen.price_problem}" if seen.price_problem else ""
    side = 1 if steps >= limits.no_price_steps else -1 if not steps else 0
    return Found(side, lambda: f"no price to act upon for {steps} intervals{reason}")


def _price_jump(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    sizes = [abs(error) for error in scaled(seen)]
    if not sizes:
        return None
    greatest = after.baseline.greatest if after.baseline else (0.0,) * len(sizes)
    most = [max(limits.price_z, one) for one in greatest]
    shares = [(size / limit, i) for i, (size, limit) in enumerate(zip(sizes, most, strict=True)) if size == size]
    if not shares:
        return None
    share, i = max(shares)
    words = "missed its forecast by {:.1f} expected sizes, over the limit of {:.1f}"
    return Found(_side(share, 1, 0.5), lambda: f"the {SERIES[i]} price {words.format(sizes[i], most[i])}", calm=3)


def _price_shift(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    if after.baseline is None or not any(map(_known, scaled(seen))):
        return None
    ways = [(level, i, "above") for i, level in enumerate(after.above)]
    level, i, way = max(ways + [(level, i, "below") for i, level in enumerate(after.below)])
    words = f"prices stay {way} their forecasts: the sum of their ranks is {level:.1f} times what chance explains"
    return Found(_side(level, 1, 0.5), lambda: f"the {SERIES[i]} {words}")


def _forecast_drift(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    if after.baseline is None or not any(map(_known, scaled(seen))):
        return None
    level, i = max((level, i) for i, level in enumerate(after.loss))
    words = "price's forecasts err more than in their backtest: the sum of their ranks is"
    return Found(_side(level, 1, 0.5), lambda: f"the {SERIES[i]} {words} {level:.1f} times what chance explains")


def _soc_limits(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    soc = seen.soc_share
    if soc is None or soc != soc:
        return None
    low, high = limits.soc_share
    side = _side(max(low - soc, soc - high), limits.soc_margin, 0.0)
    return Found(side, lambda: f"the state of charge is {soc:.1%}, outside {low:.0%} to {high:.0%}".replace("%", " %"))


def _soc_motion(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    soc, due = seen.soc_share, seen.soc_expected
    if soc is None or due is None or not _known(soc - due):
        return None
    side = _side(abs(soc - due), limits.soc_error, limits.soc_error / 2)
    words = "the battery does not follow its orders: its state of charge is {:.1f} % where they lead to {:.1f} %"
    return Found(side, lambda: words.format(100 * soc, 100 * due), after=3, calm=3)


def _hot(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    value, most = seen.temperature_c, limits.temperature_c
    if value is None or value != value:
        return None
    side = _side(value, most, most - limits.temperature_margin_c)
    return Found(side, lambda: f"the hottest machine has {value:.1f} degC, over the limit of {most:g} degC")


def _rising(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    now, most = after.temperature, limits.temperature_c
    if now is None or not _known(seen.temperature_c):
        return None
    soon = now.value + max(now.rise, 0.0) * limits.rise_steps
    side = _side(soon, most, most - limits.temperature_margin_c)
    words = f"the hottest machine has {now.value:.1f} degC and gains {now.rise:.1f} degC an interval: "
    said = f"{soon:.1f} degC in {limits.rise_steps} of them, over the limit of {most:g} degC"
    return Found(side if now.rise > 0.2 else min(side, 0), lambda: words + said, after=2, calm=2)


def _utilisation(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    used, least = seen.utilisation, limits.utilisation
    if used is None or used != used or seen.margin_positive is None:
        return None
    side = -1 if not seen.margin_positive else _side(-used, -least, -least - 0.05)
    words = f"for an hour less than {100 * least:g} % of the cap was used while machines earn more than their power"
    return Found(side, lambda: f"{words}: {100 * used:.0f} % now", after=HOUR)


def _under_plan(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    today, planned = after.revenue, seen.planned_today
    if today.blocks < LEARNING_BLOCKS or planned is None or seen.profit_today is None:
        return None
    spread = math.sqrt(today.variance * BLOCKS_A_DAY)
    need = max(limits.revenue_sd * spread, limits.revenue_share * abs(planned))
    words = f"today's profit is {seen.profit_today:.2f} $ where {planned:.2f} $ was planned: "
    return Found(
        _side(-today.gap, need, need / 2), lambda: f"{words}{-today.gap:.2f} $ short, chance explains {need:.2f} $"
    )


def _slow(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    budgets = {"total": limits.latency_ms, **limits.stage_ms}
    known = [stage for stage in budgets if stage in seen.ms and len(after.ms[stage]) >= WINDOW // 3]
    if not known:
        return None
    late, stage = max((percentile(after.ms[stage], 0.95) / budgets[stage], stage) for stage in known)
    return Found(1 if late > 1 else -1, lambda: _slow_words(stage, after, budgets[stage]))


def _slow_words(stage: str, after: Monitor, budget: float) -> str:
    what = "a step takes" if stage == "total" else f"the stage {stage} takes"
    words = f"{what} {percentile(after.ms[stage], 0.95):.0f} ms at the 95th percentile, over its {budget:g} ms"
    parts = {name: sum(times) / len(times) for name, times in after.ms.items() if name != "total"}
    longest = max(parts, key=lambda name: parts[name], default=None)
    return words if longest is None else f"{words}; {longest} is the longest stage, {parts[longest]:.0f} ms on average"


def _api(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    calls, failed = (sum(column) for column in zip(*after.api, strict=True))
    if not calls:
        return None
    share, words = failed / calls, f"{failed} of the last hour's {calls} calls of the API failed"
    side = _side(share, limits.api_share, limits.api_share / 2)
    return Found(side if failed >= 3 else min(side, 0), lambda: words)


def _journal(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found:
    free, least = seen.disk_free_mb, limits.disk_mb
    if seen.journal_problem is not None:
        return Found(1, lambda: f"the journal: {seen.journal_problem}")
    if free is None or free != free:
        return Found(-1, lambda: "")
    side = _side(-free, -least, -1.25 * least)
    return Found(side, lambda: f"{free:.0f} MB are free where the journal lies, under {least:g} MB: make room")


def _clock(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    skew = seen.clock_skew_s
    if skew is None or skew != skew:
        return None
    way = "ahead of" if skew > 0 else "behind"
    words = f"the server's clock is {abs(skew):.0f} s {way} ours, over {limits.clock_s:g} s: set the one that is wrong"
    return Found(_side(abs(skew), limits.clock_s, limits.clock_s / 2), lambda: words, after=2)


def _readings(_: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found | None:
    age, most = seen.readings_minutes, limits.readings_minutes
    if age is None or age != age:
        return None
    return Found(_side(age, most, most), lambda: f"the sensors last spoke {age:.0f} min ago, over {most:g} min")


def _long(kind: str, after: Monitor, limits: Thresholds) -> Found:
    """The fallback or the protocol that has been in force for longest."""
    since = min(((at, name) for (of, name), at in after.in_force.items() if of == kind), default=None)
    if since is None or after.interval is None:
        return Found(-1, lambda: "")
    minutes = (after.interval - since[0]) / _STEP_NS * _STEP_MINUTES
    side = _side(minutes, limits.in_force_minutes, limits.in_force_minutes)
    return Found(side, lambda: f"the {kind} {since[1]} has been in force for {minutes:.0f} min")


def _gap(before: Monitor, after: Monitor, seen: Seen, limits: Thresholds) -> Found:
    missed = 0 if before.interval is None else (seen.interval.value - before.interval) // _STEP_NS - 1
    first, last = seen.interval - missed * STEP, seen.interval - STEP
    words = f"{missed} interval{'s' * (missed > 1)} had no step, {first:%H:%M} to {last:%H:%M}" if missed > 0 else ""
    return Found(1 if missed > 0 else -1, lambda: words)


CHECKERS: Mapping[str, Callable[[Monitor, Monitor, Seen, Thresholds], Found | None]] = MappingProxyType(
    {
        "no_price": _no_price,
        "price_jump": _price_jump,
        "price_shift": _price_shift,
        "forecast_drift": _forecast_drift,
        "soc_limits": _soc_limits,
        "soc_motion": _soc_motion,
        "temperature": _hot,
        "temperature_rising": _rising,
        "utilisation": _utilisation,
        "revenue": _under_plan,
        "latency": _slow,
        "api": _api,
        "journal": _journal,
        "clock": _clock,
        "readings": _readings,
        "fallback": lambda _, after, seen, limits: _long("fallback", after, limits),
        "protocol": lambda _, after, seen, limits: _long("protocol", after, limits),
        "gap": _gap,
    }
)


def _side(value: float, raised: float, ended: float) -> int:
    return 1 if value > raised else -1 if value <= ended else 0


def _known(value: float | None) -> bool:
    return value is not None and value == value
