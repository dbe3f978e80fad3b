"""Stress: the worst that happened, what shocks would have done, and how large one must be to reach a limit."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.historical import Floats

Profit: TypeAlias = pd.Series | pd.DataFrame


def worst_windows(profit: Profit, *, lengths: Sequence[int] = (1, 5, 20), n_worst: int = 1) -> pd.DataFrame:
    """
    Stretches of days that lost most.

    A window is a number of consecutive rows, so days that are left out of the table are passed over. Windows of one
    length do not overlap: the worst is taken first, then the worst of those that do not touch it, and so on until
    there are `n_worst` of them, or none is left. Of windows that lost the same the first is taken.

    Parameters
    ----------
    profit : Series or DataFrame, shape (n_days,) or (n_days, n_services)
        Profit of each day, indexed by date; the whole is the sum of a row. [$]
    lengths : sequence of int
        Lengths of the windows, whole numbers. [days]
    n_worst : int
        Windows of each length.

    Returns
    -------
    DataFrame
        Index (`length`, `rank`), rank 1 the worst; columns `start` and `end`, the first and the last date, `loss` of
        the whole, positive when money is paid, and the loss of each service where `profit` has services. [$]

    Raises
    ------
    DataError
        If the profit is not finite or not in order of date, there is no length or one is no whole number between 1 and
        the number of days, a service has the name of a column of the answer, or `n_worst` is below 1.

    Examples
    --------
    >>> dates = pd.date_range("2024-01-01", periods=5, name="date")
    >>> profit = pd.DataFrame({"energy": [5, -3, -4, 6, -5], "hash": [1, 1, -1, 1, 1]}, index=dates)
    >>> windows = worst_windows(profit, lengths=(1, 2))
    >>> windows["start"].dt.day.tolist(), windows[["loss", "energy", "hash"]].values.tolist()
    ([3, 2], [[5.0, 4.0, 1.0], [7.0, 7.0, 0.0]])
    """
    services = _services(profit)
    if n_worst < 1:
        raise DataError(f"n_worst must be at least 1 window, got {n_worst}")
    if not len(lengths):
        raise DataError("there are no lengths of windows: give at least one, as 1 for single days")
    rows = [row for length in lengths for row in _windows(services, length, n_worst)]
    index = pd.MultiIndex.from_tuples([row[:2] for row in rows], names=["length", "rank"])
    table = pd.DataFrame([row[2:4] for row in rows], columns=["start", "end"], index=index)
    loss = pd.DataFrame([row[4] for row in rows], columns=services.columns, index=index)
    table["loss"] = loss.sum(axis=1)
    return table.join(loss) if isinstance(profit, pd.DataFrame) else table


def stress_table(base: Profit, shocked: Mapping[str, Profit], *, limit: float | None = None) -> pd.DataFrame:
    """
    What each shock does to a history of daily profit.

    Parameters
    ----------
    base : Series or DataFrame, shape (n_days,) or (n_days, n_services)
        Profit of each day without a shock, indexed by date; the whole is the sum of a row. [$]
    shocked : mapping of str to Series or DataFrame
        The same days and services with a shock, by its name.
    limit : float, optional
        Loss of a day that must not be passed: a loss that is the limit keeps it. [$]

    Returns
    -------
    DataFrame
        Index `shock`; columns `date` of the worst day, its `loss`, positive when money is paid, `base_loss`, that of
        the worst day without the shock, which shows a breach that no shock has made, `change` of the profit of all days
        against `base`, negative where the shock costs, the change by service where there are services [$], and
        `breach`, whether the loss is above the limit, where there is one.

    Raises
    ------
    DataError
        If there is no shock, the profit is not finite or not in order of date, a shock covers other days or services
        than `base`, or the limit is NaN.

    Examples
    --------
    >>> dates = pd.date_range("2024-01-01", periods=3, name="date")
    >>> base = pd.Series([10.0, 12.0, 8.0], index=dates)
    >>> table = stress_table(base, {"spike": base - [0, 40, 0], "calm": base}, limit=20.0)
    >>> table[["loss", "base_loss", "change", "breach"]].values.tolist()
    [[28.0, -8.0, -40.0, True], [-8.0, -8.0, 0.0, False]]
    """
    if not shocked:
        raise DataError("there is no shock: give at least one history of profit under a shock")
    if limit is not None and np.isnan(limit):
        raise DataError("limit is NaN: give the greatest loss of a day, or leave it out")
    services = _services(base)
    rows = {name: _under_shock(services, _alike(services, profit, name), limit) for name, profit in shocked.items()}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="shock")
    return table if isinstance(base, pd.DataFrame) else table.drop(columns=list(services.columns))


def reverse_stress(loss: ArrayLike, shocked_loss: ArrayLike, limit: float) -> float:
    """
    The multiple of a shock at which a loss reaches a limit: up to it the limit is kept, as in `stress_table`.

    The loss is taken to be linear in the multiple, through the loss without the shock (0) and with it (1), and beyond.
    That is exact where the shock adds to a price at which a plan is settled that does not know of it; where the plan or
    the dispatch answers to the shock it is an extrapolation.

    Parameters
    ----------
    loss, shocked_loss : array_like, shape () or (n_days,)
        Loss without the shock and with it, of one day or of several, of which the first to reach the limit counts. [$]
    limit : float
        The limit. [$]

    Returns
    -------
    float
        0 where the limit is reached or passed without a shock, infinite where a shock of this kind never reaches it.
        A loss that is the limit keeps it; any greater multiple breaks it. [-]

    Raises
    ------
    DataError
        If the losses are not finite or not of one shape, or the limit is NaN.

    Examples
    --------
    >>> reverse_stress(-10.0, 30.0, 90.0), reverse_stress([-10.0, 5.0], [30.0, 25.0], 90.0)
    (2.5, 2.5)
    >>> reverse_stress(10.0, 8.0, 90.0)
    inf
    """
    before, after = np.atleast_1d(np.asarray(loss, float)), np.atleast_1d(np.asarray(shocked_loss, float))
    if before.shape != after.shape or before.ndim != 1 or not before.size:
        raise DataError(f"loss and shocked_loss must have one shape, (n_days,), got {before.shape} and {after.shape}")
    if not (np.isfinite(before).all() and np.isfinite(after).all()) or np.isnan(limit):
        raise DataError(f"losses must be finite and the limit no NaN, got {before}, {after} and {limit}: fill them")
    if (before >= limit).any():
        return 0.0
    grows = after > before
    return float(np.min((limit - before[grows]) / (after - before)[grows], initial=np.inf))


def _windows(services: pd.DataFrame, length: int, n_worst: int) -> list[tuple[int, int, Any, Any, Floats]]:
    """The worst windows of one length that do not overlap: length, rank, first and last date, losses."""
    n_days = len(services)
    if not isinstance(length, int | np.integer) or not 1 <= length <= n_days:
        raise DataError(
            f"a window must be of 1 to {n_days} whole days, as there are so many, got {length!r}: give another"
        )
    loss = 0.0 - np.lib.stride_tricks.sliding_window_view(services.to_numpy(float), length, axis=0).sum(axis=-1)
    whole = loss.sum(axis=1)
    rows: list[tuple[int, int, Any, Any, Floats]] = []
    while len(rows) < n_worst and np.isfinite(whole).any():
        first = int(np.argmax(whole))
        dates = services.index[first], services.index[first + length - 1]
        rows.append((length, len(rows) + 1, *dates, loss[first]))
        whole[max(0, first - length + 1) : first + length] = -np.inf
    return rows


def _under_shock(base: pd.DataFrame, shocked: pd.DataFrame, limit: float | None) -> dict[str, object]:
    whole = 0.0 - shocked.sum(axis=1)
    change = (shocked - base).sum()
    base_loss = (0.0 - base.sum(axis=1)).max()
    row = {"date": whole.idxmax(), "loss": whole.max(), "base_loss": base_loss, "change": change.sum(), **change}
    return row if limit is None else {**row, "breach": bool(whole.max() > limit)}


def _alike(base: pd.DataFrame, profit: Profit, name: str) -> pd.DataFrame:
    """The services under a shock, once they are those of the base."""
    services = _services(profit)
    if not services.index.equals(base.index):
        raise DataError(
            f"'{name}' covers {services.index[0]} to {services.index[-1]} in {len(services)} days, the base "
            f"{base.index[0]} to {base.index[-1]} in {len(base)}: run both over the same days"
        )
    if set(services.columns) != set(base.columns):
        raise DataError(f"'{name}' has services {list(services.columns)}, the base {list(base.columns)}: give the same")
    return services[base.columns]


def _services(profit: Profit) -> pd.DataFrame:
    """Daily profit as a table of services, checked."""
    services = profit.to_frame("whole") if isinstance(profit, pd.Series) else profit
    if not services.size:
        raise DataError(f"profit must have days and services, got shape {services.shape}")
    if not services.index.is_monotonic_increasing or not services.index.is_unique:
        raise DataError("profit must be in order of date, each date once: sort it and sum what is of one day")
    taken = {"start", "end", "date", "loss", "base_loss", "change", "breach"} & set(services.columns)
    if taken:
        raise DataError(f"a service is named '{min(taken)}', which is a column of the answer: rename it")
    bad = ~np.isfinite(services.to_numpy(float)).all(axis=1)
    if bad.any():
        raise DataError(f"profit is not finite on {services.index[int(np.argmax(bad))]}: fill it or drop the day")
    return services
