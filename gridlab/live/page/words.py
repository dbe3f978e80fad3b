"""What the page says beside its figures, as HTML; every word of the journal is escaped."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gridlab.live.page.seen import Seen, View, in_force, sells_services, sensors_of
from gridlab.plots.live import machine_words, short_money
from gridlab.sources.mara import MACHINES

ROWS = 12

MODES = {
    "normal": ("running", "good", "The loop plans and sends."),
    "hold": ("holding", "warn", "Nothing new is known: the last allocation holds."),
    "safe": ("safe state", "bad", "Too little is known: the site runs its safe allocation."),
    "override": ("override", "warn", "The site runs what a person asked for."),
    "paused": ("paused", "warn", "The loop is paused: nothing is sent until it is resumed."),
}
"""Mode of a decision to its word, its tone and a sentence."""

_MARKS = {"good": "\N{BLACK CIRCLE}", "warn": "\N{BLACK UP-POINTING TRIANGLE}", "bad": "\N{BLACK SQUARE}"}
_TONES = {"info": "plain", "warning": "warn", "critical": "bad"}


class State(NamedTuple):
    """State of the loop: a word, its tone (good, warn or bad), and what it means."""

    word: str
    tone: str
    meaning: str


def state_of(seen: Seen) -> State:
    """
    State of the loop, by the journal.

    What is worst comes first: no loop, then a pause, then the mode of the last decision.
    """
    if not seen.status.get("running"):
        return State("stopped", "bad", "No loop runs: the site keeps its last allocation.")
    if seen.status.get("paused"):
        return State(*MODES["paused"])
    if seen.last is None:
        return State("starting", "warn", "The loop runs and has not decided yet.")
    mode = str(seen.last["mode"])
    return State(*MODES.get(mode, (mode, "warn", str(seen.last["reason"]))))


def is_late(age: float | None, view: View, pace: float | None = None) -> bool:
    """Whether the last step is longer ago than an interval and some grace, or than a fast clock's pace allows. [s]"""
    patience = view.late_s if pace is None else min(view.late_s, max(30.0, 4 * pace))
    return age is not None and age > patience


def style_html() -> str:
    """The page's style."""
    return f"<style>{(Path(__file__).parent / 'page.css').read_text(encoding='utf-8')}</style>"


def header_html(seen: Seen, view: View, age: float | None, pace: float | None = None) -> str:
    """Name of the site, what is simulated, the state of the loop, what runs, and the age of its last step."""
    state = state_of(seen)
    site = _text(seen.status.get("site") or "site")
    badge = '<span class="gl-badge">SIMULATED</span>' if seen.status.get("simulated") else ""
    return (
        f'<header class="gl-header"><div class="gl-name"><h1>{site}</h1>{badge}</div>'
        f'<div class="gl-state" role="status"><span class="gl-chip gl-{state.tone}">{_MARKS[state.tone]} '
        f"{_text(state.word)}</span> <span>{_text(state.meaning)}{_now_html(seen)}</span></div>"
        f"{_age_html(seen, view, age, is_late(age, view, pace))}</header>"
    )


def problem_html(problem: str) -> str:
    """A sentence on why the page shows old values; nothing when `problem` is empty."""
    return f'<div class="gl-problem gl-bad" role="alert">{_MARKS["bad"]} {_text(problem)}</div>' if problem else ""


def alerts_html(seen: Seen, view: View) -> str:
    """What was raised and has not ended."""
    alerts = in_force(seen.events)
    if alerts.empty:
        return '<section class="gl-alerts gl-none"><p>No alert is in force.</p></section>'
    rows = "".join(
        f'<li class="gl-{_TONES.get(row.severity, "warn")}"><strong>{_severity(row.severity)}: {_words(row.name)}'
        f"</strong> {_text(row.text)} <small>(since {_clock(row.at, view, seen.now)})</small></li>"
        for row in alerts.itertuples(index=False)
    )
    return f'<section class="gl-alerts" aria-label="Alerts in force"><h2>Alerts in force</h2><ul>{rows}</ul></section>'


def tiles_html(seen: Seen, view: View) -> str:
    """The key figures."""
    tiles = [
        _profit_tile(seen),
        _best_tile(seen),
        _power_tile(seen, view),
        *_sensor_tiles(seen, view),
        *_services_tiles(seen, view),
        _sent_tile(seen, view),
    ]
    made = "".join(
        f'<li class="gl-tile gl-{tone}"><span>{name}</span><strong>{value}</strong><small>{beside}</small></li>'
        for name, value, beside, tone in tiles
    )
    return f'<ul class="gl-tiles" aria-label="Key figures">{made}</ul>'


def events_html(seen: Seen, view: View) -> str:
    """The last events: protocols that fired, fallbacks, alerts, what happened to the loop; not what people asked."""
    heads = ("Time", "Event", "What happened")
    rows = [
        (
            _clock(row.at, view, seen.now),
            f'<span class="gl-tag gl-{_tone(row)}">{_text(row.kind)}</span> {_words(row.name)}'
            + {"raised": ", began", "ended": ", ended"}.get(row.phase, ""),
            _text(row.text),
        )
        for row in seen.events[seen.events["kind"] != "command"].iloc[::-1].head(ROWS).itertuples(index=False)
    ]
    return _table("Protocols, fallbacks and alerts", heads, rows, "Nothing has happened in the last seven days.")


def services_html(seen: Seen, view: View) -> str:
    """What was bid for the services of the last interval and what was sold; nothing where the site sells none."""
    if not sells_services(seen, view):
        return ""
    heads = ("Bidder", "Service", "Wanted", "Bid", "Sold", "Pays")
    bids = seen.bids.sort_values("award_mw", ascending=False, kind="stable")
    rows = [
        (
            _text(row.bidder),
            _words(row.service),
            f"{row.quantity_mw:.3g} MW",
            f"{short_money(row.price)} $/MWh",
            f"{row.award_mw:.3g} MW" if row.award_mw > 0 else "nothing",
            f"{short_money(row.payment)} $",
        )
        for row in bids.head(ROWS).itertuples(index=False)
    ]
    interval = seen.status.get("last_interval")
    time = "" if interval is None else f" of {clock_words(interval, view.market_tz, seen.now)[:-3]}"
    more = f", the {ROWS} with the greatest awards of {len(bids)} bids" if len(bids) > ROWS else ""
    return _table(f"Services sold in the interval{time}{more}", heads, rows, "Nobody bid for this interval.")


def journal_html(seen: Seen, view: View) -> str:
    """The last decisions."""
    heads = ("Interval", "Mode", "What runs", "Power", "Expected", "Sent", "Took")
    rows = [_decision(time, row, seen, view) for time, row in seen.decisions.iloc[::-1].head(ROWS).iterrows()]
    return _table("Decisions", heads, rows, "The loop has not decided yet.")


def counts_in_words(counts: Any) -> str:
    """
    Machines in words.

    Examples
    --------
    >>> counts_in_words({"hydro_miners": 150, "asic_compute": 20, "air_miners": 0})
    '150 hydro miners and 20 ASIC compute'
    """
    parts = [f"{int(counts[name]):,} {machine_words(name)}" for name in MACHINES if counts.get(name)]
    if len(parts) > 1:
        parts = [", ".join(parts[:-1]) + " and " + parts[-1]]
    return parts[0] if parts else "nothing"


def clock_words(time: pd.Timestamp, market_tz: str, now: pd.Timestamp | None = None) -> str:
    """A time in the market's time zone; its date too where that is not today's."""
    local = time.tz_convert(market_tz)
    same = now is not None and now.tz_convert(market_tz).date() == local.date()
    return f"{local:%H:%M:%S}" if same else f"{local.day} {local:%b %H:%M:%S}"


def _now_html(seen: Seen) -> str:
    """What runs, by the last decision."""
    if seen.last is None:
        return ""
    sold = float(seen.last["services_mw"])
    services = f" and {sold:.3f} MW of services" if sold else ""
    return f" Now: <strong>{_text(counts_in_words(seen.last))}{services}</strong>."


def _age_html(seen: Seen, view: View, age: float | None, late: bool) -> str:
    zone = f"Times are {_text(view.market_tz)}."
    if seen.last is None and age is None:
        return f'<p class="gl-age">No step yet. {zone}</p>'
    if age is None:
        return f'<p class="gl-age">Last step at {_clock(seen.status["last_decided_at"], view, seen.now)}. {zone}</p>'
    words = "LATE: last step" if late else "Last step"
    return f'<p class="gl-age{" gl-bad" if late else ""}">{words} {_ago(age)} ago. {zone}</p>'


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


Tile = tuple[str, str, str, str]


def _profit_tile(seen: Seen) -> Tile:
    if seen.outcomes.empty:
        return "Profit today", "\N{EN DASH}", "nothing settled yet", "plain"
    profit = float(seen.outcomes["profit"].sum())
    planned = seen.decisions["expected_profit"].reindex(seen.outcomes.index).dropna()
    beside = "idle 0\N{NO-BREAK SPACE}$"
    if len(planned):
        beside = f"planned {_big(float(planned.sum()))}\N{NO-BREAK SPACE}$, {beside}"
    return "Profit today", f"{_big(profit)} $", beside, "bad" if profit < 0 else "plain"


def _best_tile(seen: Seen) -> Tile:
    name = "Against the best machine"
    if seen.outcomes.empty:
        return name, "\N{EN DASH}", "nothing settled yet", "plain"
    profit, best = (float(seen.outcomes[column].sum()) for column in ("profit", "best_machine"))
    gain = profit - best
    if abs(gain) <= 1e-9 * abs(best):
        return name, "0 $", f"it earns {_big(best)} $ too", "plain"
    share = f"{100 * gain / abs(best):+.1f} % of its {_big(best)} $" if best else "it earns nothing"
    sign = "+" if gain > 0 else ""
    return name, f"{sign}{_big(gain)} $", share.replace("-", "\N{MINUS SIGN}"), "warn" if gain < 0 else "plain"


def _power_tile(seen: Seen, view: View) -> Tile:
    if seen.last is None:
        return "Power", "\N{EN DASH}", "no decision yet", "plain"
    power = float(seen.last["power_mw"])
    if view.config is None:
        return "Power from the grid", f"{power:.3f} MW", "the cap is not known here", "plain"
    share = power / view.config.cap_mw if view.config.cap_mw else float(power > 0)
    over = share > 1 + 1e-9
    beside = f"{power:.3f} of {view.config.cap_mw:g} MW{', OVER THE CAP' if over else ''}"
    return "Power used of the cap", f"{100 * share:.1f} %", beside, "bad" if over else "plain"


def _sensor_tiles(seen: Seen, view: View) -> list[Tile]:
    last, none = seen.last, "\N{EN DASH}"
    soc = None if last is None else _number(last["soc_share"])
    low, high = view.soc_limits
    limits = f"limits {100 * low:g} to {100 * high:g} %"
    warm = None if last is None else _number(last["temperature_c"])
    charge = heat = (none, "no reading", "plain" if last is None else "warn")
    if soc is not None:
        charge = (f"{100 * soc:.0f} %", limits, "plain" if low <= soc <= high else "bad")
    if warm is not None:
        heat = (f"{warm:.1f} °C", f"limit {view.limit_c:g} °C", "bad" if warm > view.limit_c else "plain")
    made = {"soc_share": ("State of charge", *charge), "temperature_c": ("Hottest machine", *heat)}
    return [made[name] for name in sensors_of(seen, view)]


def _services_tiles(seen: Seen, view: View) -> list[Tile]:
    if not sells_services(seen, view):
        return []
    now = 0.0 if seen.last is None else float(seen.last["services_mw"])
    paid = float(seen.outcomes["services_paid"].sum())
    return [("Services today", f"{_big(paid)} $", f"now {now:.3f} MW sold", "plain")]


def _sent_tile(seen: Seen, view: View) -> Tile:
    decided, confirmed = (int(seen.status.get(name) or 0) for name in ("n_decisions", "n_confirmed"))
    failed = int((seen.decisions["status"] == "failed").sum())
    beside = f"{failed or 'none'} failed in {view.hours:g} h"
    return "Decisions confirmed", f"{confirmed:,} of {decided:,}", beside, "warn" if failed else "plain"


def _decision(time: Any, row: pd.Series, seen: Seen, view: View) -> tuple[str, ...]:
    word, tone, _ = MODES.get(str(row["mode"]), (str(row["mode"]), "warn", ""))
    tone = "plain" if tone == "good" else tone
    mode = f'<span class="gl-tag gl-{tone}">{_text(word)}</span> {_text(row["reason"] or "")}'
    took, hoped = _number(row["ms_total"]), _number(row["expected_profit"])
    sent = str(row["status"])
    sent_tone = {"failed": "bad", "sending": "warn", "decided": "warn"}.get(sent, "plain")
    return (
        clock_words(time, view.market_tz, seen.now)[:-3],
        mode,
        _text(counts_in_words(row)),
        f"{float(row['power_mw']):.3f} MW",
        "\N{EN DASH}" if hoped is None else f"{short_money(hoped)} $",
        f'<span class="gl-tag gl-{sent_tone}">{_text(sent)}</span>',
        "\N{EN DASH}" if took is None else f"{took:.0f} ms",
    )


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> str:
    """A table that becomes a list of cards where the screen is narrow; cells are HTML."""
    body = "".join(
        "<tr>"
        + "".join(f'<td data-label="{h}"><div>{cell}</div></td>' for h, cell in zip(heads, row, strict=True))
        + "</tr>"
        for row in rows
    )
    if not body:
        return f'<section class="gl-card"><h2>{title}</h2><p>{empty}</p></section>'
    head = "".join(f'<th scope="col">{h}</th>' for h in heads)
    return (
        f'<section class="gl-card"><h2>{title}</h2><table class="gl-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></section>"
    )


def _big(amount: float) -> str:
    """An amount that fits a tile: millions from one million on, with a space that does not break."""
    if 1e6 <= abs(amount) < 1e7:
        made = f"{amount / 1e6:,.2f} M".replace("-", "\N{MINUS SIGN}")
    else:
        made = short_money(amount)
    return made.replace(" ", "\N{NO-BREAK SPACE}")


def _clock(time: pd.Timestamp, view: View, now: pd.Timestamp) -> str:
    return clock_words(time, view.market_tz, now)


def _tone(event: Any) -> str:
    """Tone of an event in the list: what has ended alarms nobody."""
    return "plain" if event.phase == "ended" else _TONES.get(event.severity, "warn")


def _severity(severity: str) -> str:
    return f"{_MARKS['bad' if severity == 'critical' else 'warn']} {_text(severity).capitalize()}"


def _words(name: Any) -> str:
    return _text(str(name).replace("_", " "))


def _text(words: Any) -> str:
    return html.escape(str(words))


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
