"""What every plot shares: one meaning for each colour, line and marker, the axes' dress, and steps over intervals."""

import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.days import zone
from gridlab.errors import DataError

Floats = NDArray[np.float64]

WIDTH_INCHES = 9.0
_LEGEND_CHARACTERS = 112  # of small print that fit into that width
SMALL, INK, FAINT = 9, "#222222", "#D9D9D9"

COLORS: Mapping[str, str] = MappingProxyType(
    {
        "actual": "#000000",
        "forecast": "#0072B2",
        "charge": "#56B4E9",
        "discharge": "#E69F00",
        "stored": "#5B6B7A",
        "extreme": "#D55E00",
        "risk": "#E4002B",
        "gap": "#B5B5B5",
    }
)
"""The colour of what is no model and no policy."""


class Line(NamedTuple):
    """How one model or policy is drawn, so that no two differ by colour alone."""

    color: str
    linestyle: Any
    marker: str


LINES: Mapping[str, Line] = MappingProxyType(
    {
        "idle": Line("#8C8C8C", (0, (1, 1)), "x"),
        "perfect": Line("#332288", (0, (6, 2)), "*"),
        "threshold": Line("#602040", (0, (3, 1, 1, 1, 1, 1)), "P"),
        "naive": Line("#8A1C0F", (0, (4, 1.5)), "s"),
        "arima": Line("#9A7B00", (0, (5, 1, 1, 1)), "^"),
        "lear": Line("#2E9E5B", "-", "o"),
        "wavelet": Line("#8A3FE0", (0, (2, 1)), "D"),
        "mean": Line("#E23DB8", (0, (8, 1, 2, 1)), "v"),
    }
)
"""The fixed line of each model, and of the policy that plans on that model's forecast."""

_SPARE = (
    Line("#00708C", (0, (7, 1, 1, 1, 1, 1)), "<"),
    Line("#6E5A00", (0, (3, 3)), ">"),
    Line("#203560", (0, (10, 2)), "h"),
    Line("#B0416B", (0, (1, 2.5)), "p"),
    Line("#4D7C0F", (0, (5, 2, 2, 2)), "d"),
    Line("#5C4033", (0, (9, 1)), "8"),
)
_SAME = {"nothing": "idle", "foresight": "perfect", "ensemble": "mean"}


def line_styles(names: Iterable[str]) -> dict[str, Line]:
    """
    The line of each model or policy.

    A name that has a word of `LINES` in it gets that line: "mpc lear" is drawn as "lear" is, wherever it appears. Other
    names, and the second of two that share a word, take spare lines in the order given.

    Examples
    --------
    >>> styles = line_styles(["mpc lear", "perfect foresight", "my own"])
    >>> styles["mpc lear"] == LINES["lear"], styles["perfect foresight"] == LINES["perfect"]
    (True, True)
    """
    names = [str(name) for name in names]
    owner: dict[str, str] = {}
    for name in sorted(names, key=len):
        owner.setdefault(_known(name) or name, name)
    fixed = {name: LINES[key] for key, name in owner.items() if key in LINES}
    others = [name for name in names if name not in fixed]
    spare = {name: _SPARE[i % len(_SPARE)] for i, name in enumerate(others)}
    return {name: fixed.get(name) or spare[name] for name in names}


def is_benchmark(name: str) -> bool:
    """Whether a policy only marks a bound: doing nothing, or perfect foresight."""
    return _known(str(name)) in {"idle", "perfect"}


def axes_for(ax: Any, height_inches: float = 4.0) -> Any:
    """`ax`, or the axes of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(WIDTH_INCHES, height_inches), layout="constrained")[1]


def dress(ax: Any, xlabel: str, ylabel: str, *, subtitle: str = "", grid: str = "y", legend: bool = True) -> None:
    """Labels, plain look, a legend where it covers no data, and a line of small print above it all; called last."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#888888")
    ax.tick_params(labelsize=SMALL, color="#888888", labelcolor=INK)
    ax.grid(axis=grid, color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_xlabel(xlabel, fontsize=SMALL, color=INK)
    ax.set_ylabel(ylabel, fontsize=SMALL, color=INK)
    rows = _legend_above(ax) if legend else 0
    if subtitle:
        ax.set_title(subtitle, loc="left", fontsize=SMALL, color="#444444", pad=6 + 1.9 * SMALL * rows)
    _plain_words(ax)


def zero_line(ax: Any) -> None:
    """A thin line at zero."""
    ax.axhline(0, color="#555555", linewidth=0.8, zorder=1.5)


def date_axis(ax: Any, index: pd.Index, market_tz: str, what: str = "Delivery time") -> str:
    """Few, short dates in the market's time zone; the axis' label comes back."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    clock = zone(market_tz)
    if pd.DatetimeIndex(index).tz is None:  # dates, which are the same by every clock
        clock = zone("UTC")
    locator = AutoDateLocator(tz=clock, minticks=4, maxticks=9)
    formatter = ConciseDateFormatter(
        locator,
        tz=clock,
        formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
        zero_formats=["", "%b\n%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
        offset_formats=["", "", "%Y", "%Y", "%d %b %Y", "%d %b %Y"],
    )
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(formatter)
    ax.xaxis.get_offset_text().set_size(SMALL)
    return f"{what} [{market_tz}]"


def date_numbers(times: pd.Index) -> Floats:
    """Times as the days that matplotlib counts; those with a time zone in UTC."""
    from matplotlib.dates import date2num

    times = pd.DatetimeIndex(times)
    naive = times if times.tz is None else times.tz_convert("UTC").tz_localize(None)
    return np.asarray(date2num(naive.to_numpy()), dtype=float)


def step(ax: Any, times: pd.Index, values: Any, width: pd.Timedelta, **style: Any) -> None:
    """A line that holds each value for its whole interval, the last one too; intervals that are absent stay empty."""
    edges, (level,) = _on_grid(times, width, values)
    ax.stairs(level, edges, baseline=None, **style)


def step_band(ax: Any, times: pd.Index, low: Any, high: Any, width: pd.Timedelta, **style: Any) -> None:
    """A band that holds its limits for each whole interval; intervals that are absent stay empty."""
    edges, (bottom, top) = _on_grid(times, width, low, high)
    ax.stairs(top, edges, baseline=bottom, fill=True, linewidth=0, **style)


def label_ends(ax: Any, ends: Mapping[str, tuple[float, float]], text: Mapping[str, str]) -> None:
    """Each line's name at the right of its last point, moved up or down where names would touch."""
    low, high = ax.get_ylim()
    apart = 0.062 * (high - low)
    names = sorted(ends, key=lambda name: ends[name][1])
    wanted = np.array([ends[name][1] for name in names])
    at = _spread(wanted, apart)
    colors = line_styles(ends)
    for name, y in zip(names, at, strict=True):
        ax.annotate(
            text[name],
            xy=ends[name],
            xytext=(1.015, (y - low) / (high - low)),
            textcoords="axes fraction",
            fontsize=SMALL,
            color=colors[name].color,
            va="center",
            parse_math=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colors[name].color,
                "linewidth": 0.6,
                "relpos": (0, 0.5),
                "shrinkB": 2,
            },
        )


def require_columns(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Refuse a table that lacks one of the columns that the plot reads."""
    for column in columns:
        if column not in table.columns:
            raise DataError(f"{what} has no column '{column}' (it has {', '.join(map(str, table.columns))}): add it")


def _known(name: str) -> str | None:
    words = (_SAME.get(word, word) for word in re.split(r"[^a-z0-9]+", name.lower()))
    return next((word for word in words if word in LINES), None)


def _plain_words(ax: Any) -> None:
    """Read every $ in the words on the axes as money: two of them in a line are no formula, but powers of ten are."""
    from matplotlib.text import Text
    from matplotlib.ticker import LogFormatter, LogitFormatter, ScalarFormatter

    numbers = {
        label
        for axis in (ax.xaxis, ax.yaxis)
        if isinstance(axis.get_major_formatter(), LogFormatter | LogitFormatter | ScalarFormatter)
        for label in axis.findobj(Text)
        if label is not axis.label
    }
    for text in ax.findobj(lambda artist: isinstance(artist, Text) and artist not in numbers):
        text.set_parse_math(False)


def _legend_above(ax: Any) -> int:
    """A legend above the axes, in as many rows as keep it within their width; the number of rows comes back."""
    handles, labels = ax.get_legend_handles_labels()
    if not labels:
        return 0
    rows = math.ceil(sum(len(label) + 9 for label in labels) / _LEGEND_CHARACTERS)
    columns = math.ceil(len(labels) / rows)
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": columns, "borderaxespad": 0.2, "borderpad": 0.2}
    ax.legend(handles, labels, frameon=False, fontsize=SMALL, columnspacing=1.4, handlelength=2.2, **place)
    return math.ceil(len(labels) / columns)


def _on_grid(times: pd.Index, width: pd.Timedelta, *values: Any) -> tuple[Floats, list[Floats]]:
    """The edges of every interval from the first to the last, and the values in each; NaN where there is none."""
    grid = pd.date_range(times[0], times[-1], freq=width)
    on_grid = [pd.Series(np.asarray(v, dtype=float), index=times).reindex(grid).to_numpy() for v in values]
    return date_numbers(grid.append(grid[-1:] + width)), on_grid


def _spread(wanted: Floats, apart: float) -> Floats:
    """Increasing positions at least `apart` from each other, centred on those wanted: pool those that would touch."""
    groups: list[tuple[float, int]] = []
    for y in wanted:
        centre, n = float(y), 1
        while groups and centre - (n - 1) * apart / 2 < groups[-1][0] + (groups[-1][1] + 1) * apart / 2:
            below, m = groups.pop()
            centre, n = (below * m + centre * n) / (m + n), n + m
        groups.append((centre, n))
    return np.concatenate([centre + apart * (np.arange(n) - (n - 1) / 2) for centre, n in groups])
