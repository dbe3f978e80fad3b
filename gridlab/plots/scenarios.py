"""Plots of simulated prices beside real ones: calibration, distribution, memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.plots.style import COLORS, FAINT, INK, Floats, axes_for, dress, line_styles

_REAL = "real"
_QUANTILES = 41


def plot_pit(values: Mapping[str, ArrayLike], *, bins: int = 10, ax: Any = None) -> Any:
    r"""
    PIT histogram of each process, side by side: flat where its paths are calibrated.

    A U tells of paths that are too narrow, a dome of too wide ones, a slope of a bias. The line is where a calibrated
    process has its bars, and below each name is the share of its values in the two outer tenths.

    Parameters
    ----------
    values : mapping of str to array_like
        PIT values of each process, in [0, 1], of any shape, as `gridlab.evaluate.pit` gives them. [-]
    bins : int
        Bars of each histogram, 2 or more.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If there is no process, values are none or outside [0, 1], or `bins` is below 2.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> [label.get_text() for label in plot_pit({"wide": rng.beta(3, 3, 500)}).get_xticklabels()]
    ['wide\n1 %']
    """
    tables = {str(name): np.asarray(table, dtype=float).ravel() for name, table in values.items()}
    if not tables or bins < 2:
        raise DataError(f"there must be a process and at least 2 bins, got {len(tables)} and {bins}")
    for name, table in tables.items():
        if not table.size or not ((table >= 0) & (table <= 1)).all():
            raise DataError(f"PIT values of '{name}' must be in [0, 1] and at least one: take them from evaluate.pit")
    ax = axes_for(ax, 3.4)
    inner = 0.88 * (np.arange(bins) + 0.5) / bins + 0.06
    for i, (name, line) in enumerate(line_styles(tables).items()):
        height = bins * np.histogram(tables[name], bins=bins, range=(0, 1))[0] / tables[name].size
        ax.bar(i + inner, height, 0.88 / bins, color=line.color, alpha=0.75, edgecolor="white", linewidth=0.5)
        ax.plot([i + 0.06, i + 0.94], [1, 1], color=INK, linewidth=1.2, label="_" if i else "calibrated")
    for i in range(1, len(tables)):
        ax.axvline(i, color=FAINT, linewidth=0.8)
    outer = {name: np.mean((table < 0.1) | (table > 0.9)) for name, table in tables.items()}
    ax.set_xticks(np.arange(len(tables)) + 0.5, [f"{name}\n{100 * share:.0f} %" for name, share in outer.items()])
    ax.tick_params(axis="x", length=0)
    ax.set(xlim=(0, len(tables)), ylim=(0, None))
    xlabel = "Place among the paths, from 0 to 1 [-]; below each name the share in the outer tenths, 20 % if calibrated"
    dress(ax, xlabel, "Frequency over a calibrated one's [-]")
    return ax


def plot_distributions(real: ArrayLike, simulated: Mapping[str, ArrayLike], *, ax: Any = None) -> Any:
    """
    Quantiles of simulated against those of real prices: on the diagonal where the distributions are the same.

    The axes are linear around zero and logarithmic far from it, on either side, so that spikes and negative prices
    can be read as well as the usual ones.

    Parameters
    ----------
    real : array_like
        What happened, of any shape. [$/MWh]
    simulated : mapping of str to array_like
        Simulated prices of each process, of any shape. [$/MWh]
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If there is no process, or prices are none or not finite.

    Examples
    --------
    >>> ax = plot_distributions([10.0, 20.0, 30.0, 400.0], {"half": [5.0, 10.0, 15.0, 200.0]})
    >>> ax.get_title(loc="left")
    'Quantile of 99 %: real 389, half 194 [$/MWh]'
    """
    if not simulated:
        raise DataError("there is no process to draw: name at least one")
    truth = _prices(real, _REAL)
    drawn = {str(name): _prices(values, name) for name, values in simulated.items()}
    levels = _levels(truth.size)
    x = np.quantile(truth, levels)
    ax = axes_for(ax, 5.0)
    scale = _linear_width(truth)
    ax.set_xscale("asinh", linear_width=scale)
    ax.set_yscale("asinh", linear_width=scale)
    low, high = x[0], x[-1]
    ax.plot(x[[0, -1]], x[[0, -1]], color=COLORS["actual"], linewidth=1.0, zorder=1.5, label="same distribution")
    for name, line in line_styles(drawn).items():
        y = np.quantile(drawn[name], levels)
        style = {"color": line.color, "linestyle": line.linestyle, "marker": line.marker, "markersize": 4.5}
        ax.plot(x, y, linewidth=1.3, markevery=4, label=name, **style)
        low, high = min(low, y[0]), max(high, y[-1])
    _money_ticks(ax.xaxis, x[0], x[-1], scale)
    _money_ticks(ax.yaxis, low, high, scale)
    top = {name: float(np.quantile(values, 0.99)) for name, values in {_REAL: truth, **drawn}.items()}
    words = f"Quantile of 99 %: {_nearest_and_farthest(top, '{:,.0f}')} [$/MWh]"
    dress(ax, "Quantile of real prices [$/MWh]", "Quantile of simulated prices [$/MWh]", subtitle=words, grid="both")
    return ax


def plot_autocorrelation(table: pd.DataFrame, *, ax: Any = None) -> Any:
    """
    Autocorrelation of prices by lag, one line a process, what happened in black.

    Parameters
    ----------
    table : DataFrame
        Index: lag [h]; one column a process, and `real`, as `gridlab.evaluate.autocorrelation` gives them. [-]
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If there are no lags, or a value is outside [-1, 1].

    Examples
    --------
    >>> table = pd.DataFrame({"real": [1.0, 0.9, 0.8], "ou": [1.0, 0.5, 0.25]}, index=[0.0, 1.0, 2.0])
    >>> [line.get_label() for line in plot_autocorrelation(table).lines if line.get_label()[0] != "_"]
    ['ou', 'real']
    """
    values = table.to_numpy(dtype=float)
    if table.empty or (np.abs(values) > 1 + 1e-9).any():
        raise DataError(
            "autocorrelations must be in [-1, 1], at one lag or more: take them from evaluate.autocorrelation"
        )
    lags = np.asarray(table.index, dtype=float)
    ax = axes_for(ax)
    ax.axhline(0, color="#555555", linewidth=0.8, zorder=1.5)
    for day in np.arange(24, lags.max() + 1, 24):
        ax.axvline(day, color=FAINT, linewidth=1.4 if day % 168 else 2.4, zorder=0.5)
    every = max(1, len(lags) // 16)
    for i, (name, line) in enumerate(line_styles(c for c in table.columns if c != _REAL).items()):
        style = {"color": line.color, "linestyle": line.linestyle, "marker": line.marker, "markersize": 4.5}
        start = (i * every) // max(1, table.shape[1])
        ax.plot(lags, table[name], linewidth=1.3, markevery=(start, every), label=name, **style)
    if _REAL in table:
        ax.plot(lags, table[_REAL], color=COLORS["actual"], linewidth=2.0, zorder=3, label=_REAL)
    ax.set_xticks(np.arange(0, lags.max() + 1, 24 if lags.max() >= 48 else 6))
    ax.margins(x=0.01)
    dress(ax, "Lag [h]", "Autocorrelation of the price [-]", subtitle=_memory_in_words(table))
    return ax


def _prices(values: ArrayLike, name: str) -> Floats:
    flat = np.asarray(values, dtype=float).ravel()
    if not flat.size or not np.isfinite(flat).all():
        raise DataError(f"prices of '{name}' must be finite and at least one, got {flat.size}")
    return flat


def _levels(n: int) -> Floats:
    """Probabilities evenly spaced by normal score, as far out as `n` prices can say."""
    from scipy.special import ndtr, ndtri

    edge = float(ndtri(1 - 0.5 / max(n, 2)))
    return np.asarray(ndtr(np.linspace(-edge, edge, _QUANTILES)))


def _linear_width(truth: Floats) -> float:
    """Where the axes turn from linear to logarithmic: the usual size of a price."""
    usual = float(np.median(np.abs(truth)))
    return usual if usual > 0 else max(float(np.abs(truth).max()), 1.0)


def _money_ticks(axis: Any, low: float, high: float, scale: float) -> None:
    """Round prices, about evenly spaced on the axis as it is drawn."""
    tens = np.outer(10.0 ** np.arange(-2, 9), [1, 1.5, 2, 3, 4, 5, 7]).ravel()
    every = np.concatenate([[0.0], tens, -tens])
    every = every[(every >= low) & (every <= high)]
    apart = max(np.arcsinh(high / scale) - np.arcsinh(low / scale), 1e-9) / 9
    ticks: list[float] = []
    for tick in every[np.argsort(np.abs(every), kind="stable")]:
        if all(abs(np.arcsinh(tick / scale) - np.arcsinh(other / scale)) >= apart for other in ticks):
            ticks.append(float(tick))
    ticks = sorted(ticks) if len(ticks) > 1 else sorted({low, high})
    axis.set_ticks(ticks, [f"{tick:,.4g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def _memory_in_words(table: pd.DataFrame) -> str:
    if 24 not in table.index:
        return ""
    return f"At 24 hours: {_nearest_and_farthest(table.loc[24].to_dict(), '{:.2f}')}"


def _nearest_and_farthest(numbers: Mapping[str, float], form: str) -> str:
    """The real number and those of the processes; of more than three only the nearest to it and the farthest."""
    said = {str(name): f"{name} {form.format(value)}" for name, value in numbers.items()}
    others = {str(name): value for name, value in numbers.items() if name != _REAL and np.isfinite(value)}
    if len(others) <= 3 or _REAL not in numbers:
        return ", ".join(said.values())
    by_distance = sorted(others, key=lambda name: abs(others[name] - numbers[_REAL]))
    return f"{said[_REAL]}; nearest {said[by_distance[0]]}, farthest {said[by_distance[-1]]}"
