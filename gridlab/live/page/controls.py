"""What a person may ask of the loop: pause, resume, risk, and a manual override that is confirmed before it is sent."""

import html
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import pandas as pd

from gridlab.errors import DataError, RunError
from gridlab.live.config import STEP
from gridlab.live.page.seen import Seen, View
from gridlab.live.page.words import clock_words, counts_in_words
from gridlab.plots.live import machine_words
from gridlab.sources.mara import MACHINES

LOG = logging.getLogger(__name__)

MOST_MINUTES = 24 * 60
_SHOWN = 5

_ASKED = {
    "pause": "Pause",
    "resume": "Resume",
    "risk": "Risk",
    "override": "Override",
    "clear_override": "End of the override",
}


class CommandWriter(Protocol):
    """What appends commands to a journal; `gridlab.live.reading.Commands` is one."""

    def pause(self) -> Any:
        """Ask the loop to send nothing."""

    def resume(self) -> Any:
        """Ask the loop to go on."""

    def risk(self, value: float) -> Any:
        """Ask for another risk, in [0, 1]."""

    def override(self, counts: Mapping[str, int], until: pd.Timestamp) -> Any:
        """Ask for these machines until then."""

    def clear_override(self) -> Any:
        """Ask the loop to plan again."""


class Check(NamedTuple):
    """Whether an override may be asked for, and why not in words, or what it leaves."""

    fits: bool
    words: str


def check_override(counts: Mapping[str, int], view: View) -> Check:
    """
    Hold the counts of an override against the site's cap.

    Parameters
    ----------
    counts : mapping of str to int
        Machines of each type.
    view : View
        The site, with its inventory.

    Returns
    -------
    Check

    Examples
    --------
    >>> from gridlab.live.config import Config
    >>> from gridlab.sources.mara import EVENT
    >>> view = View(config=Config(), inventory=EVENT)
    >>> check_override(dict.fromkeys(MACHINES, 0) | {"hydro_miners": 201}, view).words
    'Over the cap by 5,000: the machines would draw 1,005,000 of 1,000,000. Lower a count.'
    """
    if view.config is None or view.inventory is None:
        return Check(False, "This page does not know the site's cap and inventory: an override cannot be checked here.")
    if any(count < 0 for count in counts.values()):
        return Check(False, "A count is below 0: give 0 or more of each type.")
    used, cap = sum(counts[name] * view.inventory.power[name] for name in MACHINES), view.config.cap_power
    if used > cap:
        over = f"Over the cap by {used - cap:,}: the machines would draw {used:,} of {cap:,}."
        return Check(False, f"{over} Lower a count.")
    return Check(True, f"Fits: the machines draw {used:,} of {cap:,}, {cap - used:,} left.")


class Controls:
    """
    The controls as widgets, in `box`; each appends a command, and says whether the loop has applied it.

    Parameters
    ----------
    commands : CommandWriter
        Where commands go.
    view : View
        The site.
    now : callable
        The time by the site's clock.
    look : callable
        Called after a command was appended, to show it.
    """

    def __init__(
        self, commands: CommandWriter, view: View, now: Callable[[], pd.Timestamp], look: Callable[[], None]
    ) -> None:
        import ipywidgets as widgets

        self._commands, self.view, self._now, self._look = commands, view, now, look
        self._edited, self._quiet, self._risk_row = False, False, -1
        self._last: dict[str, int] = {}
        self._site = "site"
        self._make_buttons(widgets)
        self._make_override(widgets)
        head = widgets.HTML("<h2>Controls</h2>")
        row = _row(widgets, [self.pause, self.resume, self.open_override, self.risk])
        self.box = widgets.VBox([head, row, self.override, self.message, self.asked])
        self.box.add_class("gl-controls")

    def show(self, seen: Seen) -> None:
        """Show what was asked for and what runs, as far as the person is not editing it."""
        self._site = str(seen.status.get("site") or "site")
        paused = bool(seen.status.get("paused"))
        self.pause.disabled, self.resume.disabled = paused, not paused
        self.clear.disabled = not _may_end_override(seen)
        self.asked.value = commands_html(seen, self.view)
        self._show_risk(seen.commands)
        if seen.last is not None:
            self._last = {name: int(seen.last[name]) for name in MACHINES}
        if not self._edited:
            self._prefill()

    def _make_buttons(self, widgets: Any) -> None:
        self.pause = widgets.Button(description="Pause", tooltip="Ask the loop to send nothing")
        self.resume = widgets.Button(description="Resume", tooltip="Ask the loop to go on", disabled=True)
        self.risk = widgets.FloatSlider(
            value=0.0, min=0.0, max=1.0, step=0.05, description="Risk aversion", continuous_update=False
        )
        self.risk.style.description_width = "110px"
        self.risk.tooltip = "0 plans on the mean of the forecast, 1 on its unfavourable end"
        self.message, self.asked = widgets.HTML(), widgets.HTML()
        self.pause.on_click(lambda _: self._send("Pause", self._commands.pause))
        self.resume.on_click(lambda _: self._send("Resume", self._commands.resume))
        self.risk.observe(self._risk_moved, "value")

    def _make_override(self, widgets: Any) -> None:
        most = 10_000_000
        self.counts = {
            name: widgets.BoundedIntText(0, min=0, max=most, description=_sentence(machine_words(name)))
            for name in MACHINES
        }
        self.minutes = widgets.BoundedIntText(60, min=5, max=MOST_MINUTES, step=5, description="Minutes")
        self.check = widgets.HTML()
        self.review = widgets.Button(description="Review", button_style="primary")
        self.clear = widgets.Button(description="End override", disabled=True)
        self.confirm = widgets.Button(description="Confirm", button_style="danger")
        self.cancel = widgets.Button(description="Cancel")
        self.question = widgets.HTML()
        self.confirmation = widgets.VBox([self.question, _row(widgets, [self.confirm, self.cancel])])
        self.confirmation.add_class("gl-confirm")
        for box in (*self.counts.values(), self.minutes):
            box.style.description_width = "initial"
            box.observe(self._changed, "value")
        self.review.on_click(lambda _: self._ask())
        self.confirm.on_click(lambda _: self._confirmed())
        self.cancel.on_click(lambda _: self._cancelled())
        self.clear.on_click(lambda _: self._send("End of the override", self._commands.clear_override))
        self.open_override = widgets.ToggleButton(value=False, description="Manual override")
        self.open_override.observe(self._opened, "value")
        self.override = widgets.VBox(
            [
                _row(widgets, [*self.counts.values(), self.minutes]),
                self.check,
                _row(widgets, [self.review, self.clear]),
                self.confirmation,
            ]
        )
        self.override.add_class("gl-override")
        self.override.layout.display = "none"
        self._withdraw()
        self._check()

    def _opened(self, change: Any) -> None:
        """Show the override; to close it is to cancel what was typed."""
        self.override.layout.display = "" if change["new"] else "none"
        if not change["new"]:
            self._withdraw()
            self._edited = False
            self._prefill()

    def _counts(self) -> dict[str, int]:
        return {name: int(box.value) for name, box in self.counts.items()}

    def _prefill(self) -> None:
        self._quiet = True
        for name, box in self.counts.items():
            box.value = self._last.get(name, 0)
        self._quiet = False
        self._check()

    def _changed(self, _: Any) -> None:
        """The person typed: what is asked for is checked again, and a question that stood is withdrawn."""
        if not self._quiet:
            self._edited = True
            self._withdraw()
            self._check()

    def _check(self) -> Check:
        made = check_override(self._counts(), self.view)
        kind = "gl-fits" if made.fits else "gl-refused"
        self.check.value = f'<span class="{kind}" role="status">{html.escape(made.words)}</span>'
        self.review.disabled = not made.fits
        return made

    def _ask(self) -> None:
        """The confirmation step: what will be done, in words."""
        if not self._check().fits:
            return
        self._edited = True
        self._asked_counts, self._asked_until = self._counts(), self._until()
        until = clock_words(self._asked_until, self.view.market_tz)
        what, fits = counts_in_words(self._asked_counts), check_override(self._asked_counts, self.view).words
        self.question.value = (
            f"<p><strong>{html.escape(self._site)} will run {html.escape(what)}</strong>, whatever prices do, from the "
            f"next step until {until} {html.escape(self.view.market_tz)} ({self.minutes.value} min). Protocols still "
            f"apply: a limit of the site comes first. {fits}"
            "</p>"
        )
        self.confirmation.layout.display = ""
        self.review.disabled = True

    def _until(self) -> pd.Timestamp:
        """End of the override: the first start of an interval not before the minutes have passed."""
        return (self._now() + pd.Timedelta(minutes=self.minutes.value)).ceil(STEP)

    def _confirmed(self) -> None:
        if self.confirmation.layout.display == "none":
            return
        self._withdraw()
        self._edited = False
        counts, until = self._asked_counts, self._asked_until
        self._send("Override", lambda: self._commands.override(counts, until))
        self.open_override.value = False

    def _cancelled(self) -> None:
        self._withdraw()
        self._edited = False
        self._prefill()
        self.message.value = "<p>Nothing was asked for.</p>"

    def _withdraw(self) -> None:
        self.confirmation.layout.display = "none"

    def _risk_moved(self, change: Any) -> None:
        if not self._quiet:
            self._send(f"Risk {change['new']:.2f}", lambda: self._commands.risk(float(change["new"])))

    def _show_risk(self, commands: pd.DataFrame) -> None:
        """Follow the last risk asked for, by whichever viewer, or the settings'; once, so that a moved slider stays."""
        asked = commands[commands["kind"] == "risk"]
        settings = None if self.view.config is None else self.view.config.risk
        if (row := len(asked)) == self._risk_row or (row == 0 and settings is None):
            return
        self._risk_row, self._quiet = row, True
        self.risk.value = float(asked["value"].iloc[-1]) if row else settings
        self._quiet = False

    def _send(self, name: str, append: Callable[[], Any]) -> None:
        """Append a command; where that fails, the page says so and nothing else stops."""
        try:
            append()
        except (DataError, RunError, OSError, ValueError) as error:
            LOG.warning("%s could not be asked for: %s", name, error)
            self._say(f"{name} could not be asked for: {error}", "gl-refused")
            return
        self.message.value = ""
        self._look()

    def _say(self, words: str, kind: str) -> None:
        self.message.value = f'<p class="{kind}" role="status">{html.escape(words)}</p>'


def commands_html(seen: Seen, view: View) -> str:
    """The last commands, and whether the loop has applied each."""
    rows = []
    for row in seen.commands.iloc[::-1].head(_SHOWN).itertuples(index=False):
        asked = f"{_command_words(row.kind, row.value)} asked at {clock_words(row.at, view.market_tz, seen.now)}"
        if seen.status.get("simulated"):  # asked by the computer's clock and applied by the site's: only one is shown
            asked = f"{_command_words(row.kind, row.value)} asked"
        by = f" by {html.escape(str(row.by))}" if row.by else ""
        detail = html.escape(str(getattr(row, "detail", "") or ""))
        if pd.isna(row.applied_at):
            rows.append(f'<li class="gl-asked">{asked}{by}: the loop has not applied it yet.</li>')
            continue
        applied = clock_words(row.applied_at, view.market_tz, seen.now)
        if detail:
            rows.append(f'<li class="gl-refused">{asked}{by}: refused at {applied}, {detail}.</li>')
        else:
            rows.append(f"<li>{asked}{by}: applied at {applied}.</li>")
    return f'<ul class="gl-commands" aria-live="polite">{"".join(rows)}</ul>' if rows else ""


def _may_end_override(seen: Seen) -> bool:
    """Whether an override is in force, or was asked for last and not applied yet."""
    asked = seen.commands[seen.commands["kind"].isin(["override", "clear_override"])]
    waits = len(asked) > 0 and asked["kind"].iloc[-1] == "override" and pd.isna(asked["applied_at"].iloc[-1])
    return bool(waits or (seen.last is not None and seen.last["mode"] == "override"))


def _command_words(kind: str, value: Any) -> str:
    name = html.escape(_ASKED.get(kind, kind))
    return f"{name} {float(value):.2f}" if kind == "risk" else name


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _row(widgets: Any, children: list[Any]) -> Any:
    row = widgets.Box(children)
    row.add_class("gl-row")
    return row
