"""The figures of the page as PNG images, each in a width for a desktop and one for a phone, and their words."""

import base64
import html
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import pandas as pd

from gridlab.live.page.seen import Seen, View, load_of, sensors_of
from gridlab.plots import live
from gridlab.plots.live import machine_words, short_money

WIDE_INCHES, NARROW_INCHES = 6.4, 3.9
PHONE_PX = 640
_DPI = {WIDE_INCHES: 130, NARROW_INCHES: 180}
_DRAWING = threading.Lock()

SERIES = {"price": "$/power/interval", "hash_price": "$/unit/interval", "token_price": "$/unit/interval"}


class Picture(NamedTuple):
    """A figure of the page: its name, its title, what it shows in words, and its images."""

    name: str
    title: str
    alt: str
    wide: bytes
    narrow: bytes


def pictures(seen: Seen, view: View) -> dict[str, Picture]:
    """
    Every figure of the page that has something to show: none of the battery and the temperature where neither is.

    Nothing global is touched, so it may run in a thread of its own.

    Parameters
    ----------
    seen : Seen
        What the journal says.
    view : View
        How the site is shown.

    Returns
    -------
    dict of str to Picture
    """
    return {name: picture(name, seen, view) for name in FIGURES if name != "state" or sensors_of(seen, view)}


def picture(name: str, seen: Seen, view: View) -> Picture:
    """One figure of the page, by its name in `FIGURES`."""
    title, alt, draw = FIGURES[name]
    simulated = bool(seen.status.get("simulated"))
    words = ("Simulated. " if simulated else "") + alt(seen, view)
    with _DRAWING:
        wide, narrow = (_png(draw(seen, view, inches), simulated) for inches in (WIDE_INCHES, NARROW_INCHES))
    return Picture(name, title, words, wide, narrow)


def figure_html(picture: Picture, *, narrow: bool = True) -> str:
    """The figure as HTML that needs no other file; without `narrow`, of one width for every screen."""
    wide = f"data:image/png;base64,{base64.b64encode(picture.wide).decode()}"
    small = f"data:image/png;base64,{base64.b64encode(picture.narrow).decode()}"
    source = f'<source media="(max-width: {PHONE_PX}px)" srcset="{small}">' if narrow else ""
    image = f'<img src="{wide}" alt="{html.escape(picture.alt)}">'
    return (
        f'<figure class="gl-card gl-fig-{picture.name}"><h2>{html.escape(picture.title)}</h2>'
        f"<picture>{source}{image}</picture></figure>"
    )


def _prices(seen: Seen, view: View, inches: float) -> Any:
    names = [name for name in SERIES if name in seen.prices.columns]
    figure, axes = _figure(inches, 1.95 * len(names) + 0.5, len(names))
    for ax, name in zip(axes, names, strict=True):
        live.plot_live_prices(
            seen.prices, seen.forecast, series=name, unit=SERIES[name], market_tz=view.market_tz, ax=ax
        )
        ax.set_ylabel(ax.get_ylabel().replace(" [", "\n["))
    _share_dates(axes)
    return figure


def _power(seen: Seen, view: View, inches: float) -> Any:
    figure, (ax,) = _figure(inches, 2.95)
    cap = view.config.cap_mw if view.config else None
    live.plot_live_power(load_of(seen, view), cap_mw=cap, mode=seen.decisions["mode"], market_tz=view.market_tz, ax=ax)
    return figure


def _profit(seen: Seen, view: View, inches: float) -> Any:
    figure, (ax,) = _figure(inches, 2.75)
    live.plot_day_profit(seen.outcomes, market_tz=view.market_tz, ax=ax)
    return figure


def _state(seen: Seen, view: View, inches: float) -> Any:
    names = sensors_of(seen, view)
    figure, axes = _figure(inches, 3.6, len(names))
    for ax, name in zip(axes, names, strict=True):
        values = seen.decisions[name].astype(float)
        if name == "soc_share":
            live.plot_live_battery(values, limits=view.soc_limits, market_tz=view.market_tz, ax=ax)
        else:
            live.plot_live_temperature(values, limit_c=view.limit_c, market_tz=view.market_tz, ax=ax)
    if seen.decisions[list(names)].notna().any().all():
        _share_times(axes)
    return figure


def _latency(seen: Seen, view: View, inches: float) -> Any:
    figure, (ax,) = _figure(inches, 3.6)
    live.plot_stage_latency(seen.decisions, ax=ax)
    return figure


def _prices_words(seen: Seen, view: View) -> str:
    names = [name for name in SERIES if name in seen.prices.columns]
    if seen.prices.empty:
        return "Prices: nothing recorded yet."
    now = ", ".join(f"{name.replace('_', ' ')} {seen.prices[name].iloc[-1]:.3f}" for name in names)
    issued = "no forecast yet" if seen.forecast is None or seen.forecast.empty else _fan_words(seen.forecast, view)
    return f"Prices of the last {view.hours:g} hours; the newest: {now}; {issued}."


def _fan_words(forecast: pd.DataFrame, view: View) -> str:
    start, end = (time.tz_convert(view.market_tz) for time in forecast.index[[0, -1]])
    return f"the forecast's mean and bands run from {start:%H:%M} to {end:%H:%M} {view.market_tz}"


def _power_words(seen: Seen, view: View) -> str:
    if seen.decisions.empty:
        return "Power by machine type: nothing recorded yet."
    now = load_of(seen, view).drop(columns="battery").iloc[-1]
    parts = ", ".join(f"{machine_words(str(name))} {mw:.3g} MW" for name, mw in now[now > 0].items())
    cap = f"; the cap is {view.config.cap_mw:g} MW" if view.config else ""
    return f"Power by machine type over time; now {parts or 'nothing runs'}{cap}."


def _profit_words(seen: Seen, view: View) -> str:
    if seen.outcomes.empty:
        return "Profit of the day: no interval has been settled yet."
    total = seen.outcomes.sum(numeric_only=True)
    return (
        f"Profit of the day so far: this site {short_money(total['profit'])} $, all power on the best machine "
        f"{short_money(total['best_machine'])} $, doing nothing 0 $, "
        f"machines in hindsight {short_money(total['hindsight'])} $."
    )


def _state_words(seen: Seen, view: View) -> str:
    last, words = seen.last, []
    if last is not None and pd.notna(last["soc_share"]):
        low, high = view.soc_limits
        words.append(f"state of charge {100 * last['soc_share']:.0f} %, limits {100 * low:g} and {100 * high:g} %")
    if last is not None and pd.notna(last["temperature_c"]):
        words.append(f"hottest machine {last['temperature_c']:.1f} degrees, limit {view.limit_c:g}")
    return f"Battery and temperature over time; {'; '.join(words) or 'no sensor speaks'}."


def _latency_words(seen: Seen, view: View) -> str:
    total = seen.decisions["ms_total"].astype(float).dropna()
    if total.empty:
        return "Time taken by each stage: nothing recorded yet."
    return (
        f"Time taken by each stage; a step takes {total.median():.0f} ms in the median, the last {total.iloc[-1]:.0f}."
    )


Words = Callable[[Seen, View], str]
Draw = Callable[[Seen, View, float], Any]

FIGURES: dict[str, tuple[str, Words, Draw]] = {
    "prices": ("Prices, and what is forecast", _prices_words, _prices),
    "power": ("What runs", _power_words, _power),
    "profit": ("Profit of the day", _profit_words, _profit),
    "state": ("Battery and temperature", _state_words, _state),
    "latency": ("Time that a step takes", _latency_words, _latency),
}
"""Name of a figure to its title, its words and how it is drawn."""


def _figure(inches: float, height: float, rows: int = 1) -> tuple[Any, Any]:
    """A figure that is no part of pyplot's, and its axes from top to bottom."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    taller = 0.5 if inches == NARROW_INCHES else 0.0  # for legends of more rows
    size = (inches, height + taller)
    figure = Figure(figsize=size, dpi=_DPI[inches], layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, 1, squeeze=False)[:, 0])


def _share_dates(axes: list[Any]) -> None:
    """Dates below the lowest axes and the legend above the highest, where all mean the same."""
    for ax in axes[:-1]:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)
        ax.xaxis.get_offset_text().set_visible(False)
    for ax in axes[1:]:
        if ax.get_legend():
            ax.get_legend().remove()


def _share_times(axes: list[Any]) -> None:
    """The same times on all axes, written below the lowest, each axes with its own legend."""
    limits = [ax.get_xlim() for ax in axes]
    for ax in axes:
        ax.set_xlim(min(left for left, _ in limits), max(right for _, right in limits))
    for ax in axes[:-1]:
        ax.set_xlabel("")
        ax.tick_params(labelbottom=False)


def _png(figure: Any, simulated: bool) -> bytes:
    from matplotlib.image import imsave

    if simulated:
        box = {"facecolor": "#5B2A86", "edgecolor": "none", "boxstyle": "round,pad=0.3"}
        style = {"x": 0.985, "ha": "right", "fontsize": 8.5, "fontweight": "bold", "color": "white", "bbox": box}
        figure.suptitle("SIMULATED", **style)
    figure.canvas.draw()  # once: savefig would draw a second time to lay out
    file = BytesIO()
    imsave(file, figure.canvas.buffer_rgba(), format="png")
    return file.getvalue()
