"""The page of a live site as widgets: what its journal says, drawn anew when it changes, and the loop's controls."""

import asyncio
import html
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from gridlab.errors import DataError, MissingExtraError
from gridlab.live.config import Config
from gridlab.live.page import words
from gridlab.live.page.controls import CommandWriter, Controls
from gridlab.live.page.figures import FIGURES, Picture, figure_html, pictures
from gridlab.live.page.seen import JournalReader, Seen, View, age_s, fingerprint, look, site_time
from gridlab.live.page.serving import TEMPLATE_VARIABLE
from gridlab.sources.mara import Inventory

LOG = logging.getLogger(__name__)

Known = Callable[[], tuple[Config | None, Inventory | None]]

UNHEARD_S = 300.0
"""How long a kernel looks on for a page that was not heard of; then it rests, and Voila ends it."""

_TALL = ("prices",)  # figures that stand beside two others
_OPEN: dict[Any, "Dashboard"] = {}


def dashboard(
    reader: "JournalReader | str | Path",
    *,
    commands: CommandWriter | None = None,
    refresh_s: float = 5.0,
    market_tz: str = "UTC",
    config: Config | None = None,
    inventory: Inventory | None = None,
    known: Known | None = None,
    clock: Callable[[], pd.Timestamp] | None = None,
    watch: bool | None = None,
) -> "Dashboard":
    """
    The page of a live site; the last expression of a cell shows it.

    It only reads the journal, so many may be open; what a person asks for goes to the journal as a command, which the
    loop reads. Where nobody looks on (papermill, nbconvert, a script) it is drawn once, as plain HTML.

    Parameters
    ----------
    reader : JournalReader or path
        The journal, or where it is.
    commands : CommandWriter, optional
        Where the controls' commands go; without it the page has no controls.
    refresh_s : float
        Time between two looks at the journal, at least 0.5. [s]
    market_tz : str
        Time zone of the page, and of the day whose profit is shown.
    config : Config, optional
        The site; without it no cap is shown and no override can be asked for.
    inventory : Inventory, optional
        The machine types; without it the power of all machines is shown as one.
    known : callable, optional
        The site and its machine types as far as they are known now, asked for whenever the loop has begun or decided;
        in place of `config` and `inventory`.
    clock : callable, optional
        The time by the site's clock, UTC. The computer's clock when omitted; where the site is simulated, the time of
        its last decision.
    watch : bool, optional
        Whether to look at the journal again and again; where somebody looks on when omitted.

    Returns
    -------
    Dashboard

    Raises
    ------
    MissingExtraError
        If ipywidgets is not installed.
    DataError
        If `refresh_s` is below 0.5 or the time zone is unknown.
    """
    _require_widgets()
    if not refresh_s >= 0.5:
        raise DataError(f"refresh_s must be at least 0.5 s, got {refresh_s}")
    view = View(_known_zone(market_tz), config, inventory)
    if (earlier := _OPEN.pop(_key(reader), None)) is not None:
        earlier.close()
    made = Dashboard(reader, commands=commands, view=view, refresh_s=refresh_s, clock=clock, known=known)
    made.refresh()
    if _somebody_looks_on() if watch is None else watch:
        made.watch()
        _OPEN[_key(reader)] = made
    return made


class Dashboard:
    """
    The page of a live site, as made by `dashboard`.

    Attributes
    ----------
    tree : ipywidgets.VBox
        The widgets.
    watching : bool
        Whether it looks at the journal again and again.
    """

    def __init__(
        self,
        reader: "JournalReader | str | Path",
        *,
        commands: CommandWriter | None,
        view: View,
        refresh_s: float,
        clock: Callable[[], pd.Timestamp] | None,
        known: Known | None = None,
    ) -> None:
        self._source, self._view, self._refresh_s, self._clock = reader, view, refresh_s, clock
        self._reader: JournalReader | None = None
        self._seen: Seen | None = None
        self._drawn: tuple[Any, ...] | None = None
        self._pictures: dict[str, Picture] = {}
        self._known = known
        self._known_at: tuple[Any, ...] | None = None
        self._decided: int | None = None
        self._decided_at: float | None = None
        self._pace: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard_at = time.monotonic()
        self._controls = Controls(commands, view, self._now, self._show_again) if commands is not None else None
        self._make()

    @property
    def watching(self) -> bool:
        """Whether it looks at the journal again and again."""
        return self._task is not None and not self._task.done()

    def refresh(self) -> None:
        """Look at the journal once, and show what it says."""
        if (seen := self._look()) is not None and fingerprint(seen) != self._drawn:
            self._draw(seen, _try_pictures(seen, self._view))

    def watch(self) -> None:
        """Look at the journal again and again, until `close`; needs a running event loop, as a notebook has."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def close(self) -> None:
        """Stop looking; what is shown stays."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def static_html(self) -> str:
        """The page as it stands as HTML that needs no other file and no kernel."""
        figures = "".join(
            f'<div class="{"gl-tall" if name in _TALL else ""}">{figure_html(one, narrow=False)}</div>'
            for name, one in self._pictures.items()
        )
        above = "".join(part.value for part in (self._head, self._problem, self._alerts, self._tiles))
        wide = "" if self._beside else "gl-wide"
        events = f'<div class="{wide}">{self._events.value}</div>'
        grid = f'<div class="gl-grid">{figures}{events}</div>'
        below = self._services.value + self._journal.value
        return f'<div class="gl-page gl-static">{words.style_html()}{above}{grid}{below}</div>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        if self.watching:
            return self.tree._repr_mimebundle_(include=include, exclude=exclude)
        site = self._seen.status.get("site") if self._seen else "a site"
        return {"text/html": self.static_html(), "text/plain": f"The page of {site}"}

    def _make(self) -> None:
        import ipywidgets as widgets

        parts = [widgets.HTML() for _ in range(7)]
        self._head, self._problem, self._alerts, self._tiles, self._services, self._journal, self._events = parts
        self._figures = {name: widgets.HTML() for name in FIGURES}
        for name in _TALL:
            self._figures[name].add_class("gl-tall")
        grid = widgets.Box([*self._figures.values(), self._events])
        grid.add_class("gl-grid")
        controls = widgets.HTML('<p class="gl-card">This page only shows: it was opened without controls.</p>')
        asked = self._controls.box if self._controls else controls
        here = widgets.Button(description="Still here", tooltip="Pressed by the page itself")
        here.add_class("gl-here")
        here.on_click(lambda _: self._heard())
        style = widgets.HTML(words.style_html())
        style.layout.display = "none"
        children = [style, *parts[:4], asked, grid, *parts[4:6], here]
        self.tree = widgets.VBox(children)
        self.tree.add_class("gl-page")
        self.tree.observe(lambda _: self.close(), "comm")

    async def _watch(self) -> None:
        """Look, draw in a thread where something has changed, wait, as long as somebody looks on."""
        while self._is_seen():
            began = time.monotonic()
            if (seen := self._look()) is not None and fingerprint(seen) != self._drawn:
                self._draw(seen, await asyncio.to_thread(_try_pictures, seen, self._view))
            await asyncio.sleep(max(self._refresh_s, 2 * (time.monotonic() - began)))

    def _heard(self) -> None:
        """The page says that it is there; where the kernel had given up looking, it looks again."""
        self._heard_at = time.monotonic()
        if not self.watching:
            self.watch()

    def _is_seen(self) -> bool:
        """Whether the page was heard of lately; one that cannot say so, as in JupyterLab, is taken to be there."""
        return TEMPLATE_VARIABLE not in os.environ or time.monotonic() - self._heard_at < UNHEARD_S

    def _look(self) -> Seen | None:
        """Read the journal and show all but the figures; where that fails, a sentence says why."""
        try:
            seen = look(self._open(), self._clock, self._view)
            self._learn(seen)
            self._show(seen)
        except Exception as error:
            LOG.warning("the journal could not be read: %s", error)
            self._say_problem(f"The journal could not be read ({_one_line(error)}); trying again.")
            return None
        self._seen, self._problem.value = seen, ""
        return seen

    def _show_again(self) -> None:
        self._look()

    def _open(self) -> JournalReader:
        if self._reader is None:
            if isinstance(self._source, str | Path):
                from gridlab.live.reading import Reader

                self._reader = Reader(Path(self._source))
            else:
                self._reader = self._source
        return self._reader

    def _learn(self, seen: Seen) -> None:
        """Ask again what the site is, where it was not known yet or the loop has begun or decided since."""
        at = seen.status.get("since"), seen.status.get("n_decisions")
        is_known = self._view.config is not None and self._view.inventory is not None
        if self._known is None or (is_known and at == self._known_at):
            return
        config, inventory = self._known()
        self._view, self._known_at = replace(self._view, config=config, inventory=inventory), at
        if self._controls is not None:
            self._controls.view = self._view

    def _show(self, seen: Seen) -> None:
        view, age = self._view, self._age(seen)
        self._head.value = (
            words.header_html(seen, view, age, self._pace)
            + f'<span hidden data-beat="{time.time():.1f}" data-every="{self._refresh_s:g}"></span>'
        )
        self._alerts.value = words.alerts_html(seen, view)
        self._tiles.value = words.tiles_html(seen, view)
        self._events.value = words.events_html(seen, view)
        self._services.value = words.services_html(seen, view)
        self._journal.value = words.journal_html(seen, view)
        if self._controls is not None:
            self._controls.show(seen)

    def _draw(self, seen: Seen, made: dict[str, Picture] | Exception) -> None:
        """Put the figures on the page; where they could not be drawn, say so and leave the older ones."""
        if isinstance(made, Exception):
            self._say_problem(f"The figures could not be drawn ({_one_line(made)}); those shown are older.")
            return
        self._pictures, self._drawn = made, fingerprint(seen)
        for name, shown in self._figures.items():
            shown.value = figure_html(made[name]) if name in made else ""
        (self._events.remove_class if self._beside else self._events.add_class)("gl-wide")

    @property
    def _beside(self) -> bool:
        """Whether an odd number of figures leaves room for the events beside the last."""
        return (len(self._pictures) + len(_TALL)) % 2 == 1

    def _say_problem(self, sentence: str) -> None:
        since = ""
        if self._seen is not None:
            since = f" What is shown is from {words.clock_words(self._seen.now, self._view.market_tz)}."
        self._problem.value = words.problem_html(sentence + since)

    def _now(self) -> pd.Timestamp:
        """The time by the site's clock."""
        return site_time(self._clock, self._seen.status if self._seen else {})

    def _age(self, seen: Seen) -> float | None:
        """
        Time since the last step: by the site's clock, or by a watch where a simulated site's clock is not given.

        A watch knows nothing before a step was seen to be taken, while its loop may have stood for long.
        """
        age = age_s(seen)
        if self._clock is not None or not seen.status.get("simulated") or age is None:
            return age
        now, decided = time.monotonic(), int(seen.status.get("n_decisions") or 0)
        if self._decided is not None and decided > self._decided:
            if self._decided_at is not None:
                self._pace = (now - self._decided_at) / (decided - self._decided)
            self._decided_at = now
        self._decided = decided
        return None if self._decided_at is None else now - self._decided_at


def _try_pictures(seen: Seen, view: View) -> dict[str, Picture] | Exception:
    try:
        return pictures(seen, view)
    except Exception as error:
        LOG.warning("the figures could not be drawn", exc_info=True)
        return error


def _require_widgets() -> None:
    try:
        import ipywidgets  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("ipywidgets is not installed: pip install 'gridlab[live]'") from error


def _known_zone(market_tz: str) -> str:
    try:
        pd.Timestamp(0, tz=market_tz)
    except Exception as error:
        raise DataError(f"there is no time zone {market_tz!r}: give a name such as 'America/Chicago'") from error
    return market_tz


def _key(reader: Any) -> Any:
    return str(Path(reader).resolve()) if isinstance(reader, str | Path) else id(reader)


def _somebody_looks_on() -> bool:
    """Whether a front end shows what this kernel makes: not so in a script, under papermill and in nbconvert."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        return True
    return bool(kernel.get_parent().get("content", {}).get("allow_stdin"))


def _one_line(error: Exception) -> str:
    return html.unescape(" ".join(str(error).split())) or type(error).__name__
