"""Whether a table of prices may be acted upon: what a step checks before it uses the newest row."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.days import Floats
from gridlab.errors import DataError
from gridlab.live.config import STEP, Bounds, Config
from gridlab.sources.mara import Quote

SERIES = ("price", "hash_price", "token_price")
"""Columns of the prices table, in the order used here."""

TOLERANCE_S = 30.0
"""How far the server's clock may be from ours, and a row ahead of now, before it is said. [s]"""

MEMORY = 288
"""Changes from which the scale is learned: a day of them."""

RECENT = 12
"""Changes of the last hour; the scale is theirs where it is the larger, so that a wild hour is taken as one."""

LEARNING = 12
"""Changes that must be known before any is called a jump."""

CONFIRM = 3
"""Rows in a row away from the old level that are taken as a new one, though no two of them are alike."""

NEVER = -1
"""In the place of a time that is not there. [ns since 1970, UTC]"""

Times = NDArray[np.int64]
Kind = Literal["fresh", "late", "stale", "absurd", "future", "skewed", "empty"]

_STEP_NS = STEP.value
_MINUTE_NS = 60_000_000_000
_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_BOUNDS = ("energy", "hash", "token")
_NO_TIMES: Times = np.empty(0, dtype=np.int64)
_NO_VALUES: Floats = np.empty((0, 3))


@dataclass(frozen=True)
class Known:
    """
    What is remembered from one call to the next: the last rows accepted, and how far their prices move.

    Parameters
    ----------
    times : ndarray, shape (n_rows,)
        Start of each interval, ascending; at most `MEMORY` and one. [ns since 1970, UTC]
    values : ndarray, shape (n_rows, 3)
        Prices, in the order of `SERIES`. [API's units]
    scale : tuple of float
        Robust standard deviation of a change in an interval, by series; infinite until enough are known.
        [API's units]
    newest : int
        Start of the newest row that was ever accepted, which is no longer among `times` where its price was revised to
        one that is not believed; before 1970 where there is none. [ns since 1970, UTC]
    """

    times: Times = field(default_factory=lambda: _NO_TIMES)
    values: Floats = field(default_factory=lambda: _NO_VALUES)
    scale: tuple[float, float, float] = (np.inf, np.inf, np.inf)
    newest: int = NEVER


class Rows(NamedTuple):
    """
    The rows of a prices table as arrays, for who takes many steps over one table.

    Parameters
    ----------
    times : ndarray, shape (n_rows,)
        Start of each interval, ascending. [ns since 1970, UTC]
    values : ndarray, shape (n_rows, 3)
        Prices, in the order of `SERIES`; NaN where a row is missing. [API's units]
    """

    times: Times
    values: Floats


class Refused(NamedTuple):
    """A row that is not used, and why."""

    time: pd.Timestamp
    reason: str


@dataclass(frozen=True)
class Believed:
    """
    What may be made of a table of prices.

    Parameters
    ----------
    quote : Quote, optional
        The newest row believed; None where there is none to act upon.
    kind : str
        ``fresh`` where the row of this interval is there, ``late`` where an earlier one is used; ``stale``, ``absurd``
        and ``empty`` for what they say; ``future`` where rows were ahead of the clock, ``skewed`` where the clocks
        differ. The last three may have a quote.
    problem : str, optional
        All that is amiss, in one sentence.
    age_minutes : float
        Age of the newest row believed, from its start; infinite without one. [min]
    times : ndarray, shape (n_new,)
        Start of each row newly accepted, ascending; a missing row has none. [ns since 1970, UTC]
    values : ndarray, shape (n_new, 3)
        Their prices, in the order of `SERIES`. [API's units]
    refused : tuple of Refused
        Rows newer than those that were not accepted.
    revised : tuple of Timestamp
        Rows accepted before whose prices are others now.
    known : Known
        To be handed to the next call.
    """

    quote: Quote | None
    kind: Kind
    problem: str | None
    age_minutes: float
    times: Times
    values: Floats
    refused: tuple[Refused, ...]
    revised: tuple[pd.Timestamp, ...]
    known: Known


def believed(
    prices: pd.DataFrame | Rows,
    now: pd.Timestamp,
    config: Config,
    known: Known | None = None,
    *,
    server_time: pd.Timestamp | None = None,
) -> Believed:
    """
    What of a table of prices is to be believed, and the quote to act upon.

    Only rows newer than the last one accepted are judged. A row with a price that is missing, not finite or outside
    ``config.bounds`` is absurd. One that has moved by more than ``config.bounds.jump`` robust deviations waits: it is
    accepted when the next row is like it, or when three rows in a row have left the old level; it is dropped when the
    next row is back. An absurd row leaves no quote, even where the one before is young. Rows ahead of the clock are
    left for later. Nothing here has a random or a hidden part: the same input gives the same output.

    Parameters
    ----------
    prices : DataFrame or Rows
        The prices table of the API, ascending, with NaN rows where a row is missing.
    now : Timestamp
        Our clock, with its time zone.
    config : Config
        For `bounds` and `stale_minutes`.
    known : Known, optional
        What the call before returned, or `known_rows` of a journal; nothing when omitted.
    server_time : Timestamp, optional
        The server's clock at the same moment, from the Date header of its reply.

    Returns
    -------
    Believed

    Raises
    ------
    DataError
        If the table lacks a column or its index is not UTC times, or `now` has no time zone.

    Notes
    -----
    The scale is 1.4826 times the median size of those changes that are not zero, of the last day or of the last hour,
    whichever is the larger; over a gap of n intervals a change may be larger by the square root of n.

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=3, freq="5min", tz="UTC", name="time")
    >>> prices = pd.DataFrame({"price": [3, 2.9, -1], "hash_price": 4.0, "token_price": 2.0}, index=times)
    >>> now = pd.Timestamp("2025-06-21 12:06", tz="UTC")
    >>> known = believed(prices[:2], now, Config())
    >>> known.kind, known.quote.energy_price
    ('fresh', 2.9)
    >>> told = believed(prices, now + pd.Timedelta("5min"), Config(), known.known)
    >>> told.kind, told.quote, told.problem[:60]
    ('absurd', None, 'the energy price of 12:10 is -1, below the least believed, 0')
    """
    if now.tz is None:
        raise DataError(f"now must have a time zone, got {now}: use pd.Timestamp.now('UTC')")
    times, values = prices if isinstance(prices, Rows) else rows_of(prices)
    known = known or Known()
    n_rows, limit = len(times), now.value + int(TOLERANCE_S * 1e9)
    revised, base = _revisions(times, values, _until(limit, known))
    begin = int(times.searchsorted(base.times[-1], "right")) if len(base.times) else 0
    end = int(times.searchsorted(limit, "right"))
    ahead = _present(times[max(begin, end) :], values[max(begin, end) :])[0] if end < len(times) else _NO_TIMES
    times, values = _present(times[begin:end], values[begin:end])
    accepted, rejected = _judge(times, values, base, config.bounds)
    after = _joined(base, times[accepted], values[accepted])
    facts = _Facts(
        now=now.value,
        stale_minutes=config.stale_minutes,
        skew_s=0.0 if server_time is None else (server_time.value - now.value) / 1e9,
        rows=n_rows,
        ahead=ahead,
        refused=tuple(_refusal(row, times, values, after, config.bounds) for row in rejected[-RECENT:]),
        revised=tuple(_stamp(time) for time in revised),
        newest=int(after.times[-1]) if len(after.times) else None,
    )
    times, values = times[accepted], values[accepted]
    new = int(times.searchsorted(known.newest, "right"))
    return _verdict(facts, times[new:], values[new:], after)


def known_rows(prices: pd.DataFrame) -> Known:
    """
    What a loop that begins again knows, from the rows that it had accepted, as its journal has them.

    Parameters
    ----------
    prices : DataFrame
        A prices table of accepted rows.

    Returns
    -------
    Known

    Examples
    --------
    >>> times = pd.date_range("2025-06-21 12:00", periods=20, freq="5min", tz="UTC", name="time")
    >>> price = np.tile([3.0, 3.1], 10)
    >>> known_rows(pd.DataFrame({"price": price, "hash_price": 1.0, "token_price": 2.0}, index=times)).scale[1:]
    (0.0, 0.0)
    """
    return _joined(Known(), *_present(*rows_of(prices)))


def rows_of(prices: pd.DataFrame) -> Rows:
    """
    The rows of a prices table.

    Raises
    ------
    DataError
        If the table lacks a column or its index is not UTC times.
    """
    index = prices.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise DataError("the index of prices must be UTC times: use the client's table")
    try:
        columns = [prices.columns.get_loc(name) for name in SERIES]
    except KeyError as error:
        raise DataError(f"prices has no column {error}: it needs {', '.join(SERIES)}") from None
    times = np.asarray(index.asi8 * _NS[index.unit])
    return Rows(times, np.asarray(prices.to_numpy()[:, columns], dtype=float))


class _Facts(NamedTuple):
    now: int
    stale_minutes: float
    skew_s: float
    rows: int
    ahead: Times
    refused: tuple[Refused, ...]
    revised: tuple[pd.Timestamp, ...]
    newest: int | None

    @property
    def age_minutes(self) -> float:
        return np.inf if self.newest is None else max(self.now - self.newest, 0) / _MINUTE_NS

    @property
    def absurd(self) -> bool:
        """Whether the newest row was refused, and is young enough to matter."""
        if not self.refused:
            return False
        last = int(self.refused[-1].time.value)
        return last > (self.newest or 0) and (self.now - last) / _MINUTE_NS <= self.stale_minutes

    @property
    def skewed(self) -> bool:
        return abs(self.skew_s) > TOLERANCE_S

    @property
    def late(self) -> bool:
        return self.newest is not None and self.newest < self.now - self.now % _STEP_NS


def _until(limit: int, known: Known) -> Known:
    """What is known less the rows after a time, which only a clock that was set back leaves."""
    return _first(int(known.times.searchsorted(limit, "right")), known)


def _first(n_rows: int, known: Known) -> Known:
    return (
        known
        if n_rows == len(known.times)
        else replace(known, times=known.times[:n_rows], values=known.values[:n_rows])
    )


def _present(times: Times, values: Floats) -> tuple[Times, Floats]:
    """Rows that have a price at all; a row of the table without any stands for one that is missing."""
    there = ~np.isnan(values).all(axis=1)
    return (times, values) if there.all() else (times[there], values[there])


def _revisions(times: Times, values: Floats, known: Known) -> tuple[Times, Known]:
    """Times of accepted rows whose prices are others now, and what is known before the first of them."""
    if not len(known.times) or not len(times) or times[0] > known.times[-1] or _as_before(times, values, known):
        return _NO_TIMES, known
    row = np.minimum(times.searchsorted(known.times), len(times) - 1)
    now = values[row]
    changed = (times[row] == known.times) & (now != known.values).any(axis=1) & ~np.isnan(now).all(axis=1)
    if not changed.any():
        return _NO_TIMES, known
    return known.times[changed], _first(int(changed.argmax()), known)


def _as_before(times: Times, values: Floats, known: Known) -> bool:
    """Whether the rows known stand together in the table as they were."""
    end = int(times.searchsorted(known.times[-1], "right"))
    begin = max(end - len(known.times), 0)
    return np.array_equal(times[begin:end], known.times) and np.array_equal(values[begin:end], known.values)


def _judge(times: Times, values: Floats, base: Known, bounds: Bounds) -> tuple[list[int], list[int]]:
    """Rows accepted and rows refused, both ascending."""
    inside = _inside(values, bounds)
    scale = base.scale
    if len(base.times) <= LEARNING:
        scale = _joined(base, times[inside], values[inside]).scale
    limit = [np.inf if np.inf in (bounds.jump, one) else bounds.jump * one for one in scale]
    calm = len(inside) > RECENT and _calm(times[inside], values[inside], base, limit)
    accepted = inside if calm else _one_by_one(times, values, inside, base, limit)
    if len(accepted) == len(times):
        return accepted, []
    return accepted, sorted(set(range(len(times))) - set(accepted))


def _inside(values: Floats, bounds: Bounds) -> list[int]:
    """Rows whose every price is finite and within bounds."""
    limits = bounds.energy, bounds.hash, bounds.token
    if len(values) <= RECENT:
        return [
            row
            for row, prices in enumerate(values.tolist())
            if all(low <= one <= high and abs(one) < np.inf for one, (low, high) in zip(prices, limits, strict=True))
        ]
    low, high = np.array(limits).T
    within = (values >= low) & (values <= high) & (np.abs(values) < np.inf)
    return [int(row) for row in np.flatnonzero(within.all(axis=1))]


def _calm(times: Times, values: Floats, base: Known, limit: list[float]) -> bool:
    """Whether no row has jumped from the one before."""
    times, values = np.concatenate([base.times[-1:], times]), np.concatenate([base.values[-1:], values])
    return bool((_changes(times, values) <= limit).all())


def _one_by_one(times: Times, values: Floats, inside: list[int], base: Known, limit: list[float]) -> list[int]:
    """Rows accepted where some have jumped: each waits for the next one."""
    at, prices = times.tolist(), values.tolist()
    level = (int(base.times[-1]), base.values[-1].tolist()) if len(base.times) else None
    accepted: list[int] = []
    waiting: list[int] = []
    for row in inside:
        here = at[row], prices[row]
        if level is None or _near(level, here, limit):
            accepted.append(row)
        elif waiting and _near((at[waiting[-1]], prices[waiting[-1]]), here, limit):
            accepted += [waiting[-1], row]
        elif len(waiting) == CONFIRM - 1:
            accepted.append(row)
        else:
            waiting.append(row)
            continue
        waiting, level = [], here
    return accepted


def _near(one: tuple[int, list[float]], other: tuple[int, list[float]], limit: list[float]) -> bool:
    longer = ((other[0] - one[0]) / _STEP_NS) ** 0.5
    return all(abs(b - a) / longer <= most for a, b, most in zip(one[1], other[1], limit, strict=True))


def _changes(times: Times, values: Floats) -> Floats:
    """Size of each change, as if over one interval."""
    sizes = np.abs(values[1:] - values[:-1])
    if times[-1] - times[0] == len(sizes) * _STEP_NS:
        return np.asarray(sizes)
    return np.asarray(sizes / np.sqrt((times[1:] - times[:-1]) / _STEP_NS)[:, None])


def _joined(base: Known, times: Times, values: Floats) -> Known:
    if not len(times):
        return base
    times = np.concatenate([base.times, times])[-MEMORY - 1 :]
    values = np.concatenate([base.values, values])[-MEMORY - 1 :]
    newest = max(base.newest, int(times[-1]))
    if len(times) <= LEARNING:
        return Known(times, values, newest=newest)
    changes = np.ascontiguousarray(_changes(times, values).T)
    day, hour = np.sort(changes), np.sort(changes[:, -RECENT:])
    first, second, third = (1.4826 * max(_median(day[i]), _median(hour[i])) for i in range(3))
    return Known(times, values, (first, second, third), newest)


def _median(ordered: Floats) -> float:
    """Median of those above zero; 0 where none is."""
    still, n = int(ordered.searchsorted(0.0, "right")), len(ordered)
    return 0.0 if still == n else float(ordered[(still + n - 1) // 2] + ordered[(still + n) // 2]) / 2


def _refusal(row: int, times: Times, values: Floats, after: Known, bounds: Bounds) -> Refused:
    time = _stamp(times[row])
    for name, column, price in zip(_BOUNDS, SERIES, values[row].tolist(), strict=True):
        low, high = getattr(bounds, name)
        if not low <= price <= high or not np.isfinite(price):
            return Refused(time, _out_of_bounds(f"the {name} price of {time:%H:%M}", name, column, price, low, high))
    return Refused(time, _jumped(row, times, values, after))


def _out_of_bounds(what: str, name: str, column: str, price: float, low: float, high: float) -> str:
    if not np.isfinite(price):
        return f"{what} is {'missing' if np.isnan(price) else price}: the row is not used"
    if column == "price" and price < low:
        words = "where a market pays for using power, lower bounds.energy"
        return f"{what} is {price:g}, below the least believed, {low:g}: {words}"
    return f"{what} is {price:g}, outside what is believed, {low:g} to {high:g}: widen bounds.{name} if it is right"


def _jumped(row: int, times: Times, values: Floats, after: Known) -> str:
    before = int(after.times.searchsorted(times[row])) - 1
    if before < 0:
        return f"the row of {_stamp(times[row]):%H:%M} is unlike those around it: it waits for the next row"
    pairs = zip(_BOUNDS, values[row].tolist(), after.values[before].tolist(), after.scale, strict=True)
    moves = [
        (abs(now - then) / one if one else np.inf * (now != then), name, then, now) for name, now, then, one in pairs
    ]
    size, name, then, now = max((move for move in moves if move[0] == move[0]), default=moves[0])
    return (
        f"the {name} price went from {then:g} to {now:g} at {_stamp(times[row]):%H:%M}, "
        f"{size:.0f} robust deviations: it waits for the next row to confirm it"
    )


def _verdict(facts: _Facts, times: Times, values: Floats, after: Known) -> Believed:
    kind = _kind(facts)
    usable = facts.newest is not None and not facts.absurd and facts.age_minutes <= facts.stale_minutes
    quote = Quote(_stamp(facts.newest), *after.values[-1].tolist()) if usable else None
    said = "; ".join(_sentences(facts)) or None
    return Believed(quote, kind, said, facts.age_minutes, times, values, facts.refused, facts.revised, after)


def _kind(facts: _Facts) -> Kind:
    """The worst that is known, worst first; what leaves no quote is worse than what leaves one."""
    none = facts.newest is None
    worst_first: tuple[tuple[Kind, bool], ...] = (
        ("absurd", facts.absurd),
        ("stale", not none and facts.age_minutes > facts.stale_minutes),
        ("future", none and len(facts.ahead) > 0),
        ("empty", none or not facts.rows),
        ("skewed", facts.skewed),
        ("future", len(facts.ahead) > 0),
        ("late", facts.late),
    )
    return next((kind for kind, holds in worst_first if holds), "fresh")


def _sentences(facts: _Facts) -> Iterator[str]:
    if facts.absurd:
        yield facts.refused[-1].reason
    elif facts.newest is None or not facts.rows:
        yield "no row of prices is there to be used: ask the server again"
    if facts.newest is not None and not facts.absurd:
        yield from _age(facts)
    if len(facts.ahead):
        last = _stamp(facts.ahead[-1])
        yield f"{len(facts.ahead)} rows up to {last:%Y-%m-%d %H:%M} are ahead of our clock and left for later"
    if facts.skewed:
        way = "ahead of" if facts.skew_s > 0 else "behind"
        yield f"the server's clock is {abs(facts.skew_s):.0f} s {way} ours: set the one that is wrong"
    if facts.revised:
        many = len(facts.revised) > 1
        begin, end = (f"{len(facts.revised)} rows from", "on were") if many else ("the row of", "was")
        yield f"{begin} {facts.revised[0]:%H:%M} {end} revised by the server"


def _age(facts: _Facts) -> Iterator[str]:
    if facts.age_minutes <= facts.stale_minutes and not facts.late:
        return
    newest = f"{_stamp(facts.newest):%H:%M}"
    if facts.age_minutes > facts.stale_minutes:
        limit = f"over the limit of {facts.stale_minutes:g} min"
        yield f"the newest row believed is that of {newest}, {facts.age_minutes:.1f} min old, {limit}"
    else:
        yield f"the row of {_stamp(facts.now - facts.now % _STEP_NS):%H:%M} is missing and that of {newest} is used"


def _stamp(time: int | np.int64 | None) -> pd.Timestamp:
    return pd.Timestamp(time, unit="ns", tz="UTC")
