"""
The search of `gridlab.mpc.allocation`, compiled.

A type's machines beyond those held are two segments: those that ran before and may be kept, and those to start. What a
machine of the first earns is never less than one of the second, so segments fill in order by themselves.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TIED = 1e-12
"""Share of the greatest gain by which gains are the same."""

_ROUNDING = 1e-14  # share by which a bound may be wrong
_FOUND, _GIVEN_UP = 0, 1


class Segments(NamedTuple):
    """
    Segments whose machines earn, by type, and their order from the most earned for each unit of power.

    `unit[i]` divides the power of every segment of type i and after it.
    """

    kind: Any
    gain: Any
    weight: Any
    room: Any
    order: Any
    unit: Any


class Rows(NamedTuple):
    """Steps of the recursion: machines of a type that come together, and whether they may come again and again."""

    kind: Any
    many: Any
    weight: Any
    gain: Any
    change: Any
    again: Any


@numba.njit(cache=True)
def best_counts(margin, power, cap, most, held, before, cost, counted, most_nodes):  # type: ignore[no-untyped-def]
    """Counts of greatest value by the stated rule, or the best found, whether they are proven, and the nodes used."""
    n_types, left = len(margin), cap - _power(held, power)
    if left < 0:
        return held.copy(), _FOUND, left
    earning = _segments(margin, power, left, most, held, before, cost)
    if len(earning.order) == 0:
        return held.copy(), _FOUND, 0
    entries = (left // earning.unit[0] + 1) * len(earning.order)
    most_nodes = min(most_nodes, max(500, entries // 4))
    filled, status, nodes = _greatest(earning, left, most_nodes)
    if status == _GIVEN_UP:
        return held + _by_type(earning, filled, n_types), status, nodes
    more, status, searched = _by_rule(earning, filled, n_types, power, left, held, before, counted, most_nodes)
    return held + more, status, nodes + searched


def by_recursion(
    margin: Floats,
    power: Ints,
    cap: int,
    most: Ints,
    held: Ints,
    before: Ints,
    cost: Floats,
    counted: bool,
    entries: int,
) -> tuple[Ints, int]:
    """The same by dynamic programming over the power used, if its table needs no more than `entries`."""
    left = cap - int(held @ power)
    unit = int(np.gcd.reduce(power[(margin + cost > 0) & (power <= left)])) or 1
    size = left // unit
    data = (margin, -(-power // unit), size, most, held, before, cost)
    worth, rows, taken = tables(*data, counted, entries)
    if len(worth) == 0:
        return held.copy(), _GIVEN_UP
    at = int(np.argmax(worth >= max(worth.max(), 0.0) * (1 - TIED)))
    return held + taken_at(rows, taken, at, len(margin)), _FOUND


@numba.njit(cache=True)
def tables(margin, power, size, most, held, before, cost, counted, entries):  # type: ignore[no-untyped-def]
    """
    The most that machines beyond those held earn at each power from 0 to `size`, and which they are.

    Empty where that needs more than so many entries.
    """
    earning = _segments(margin, power, size, most, held, before, cost)
    rows = _rows(earning, size, held, before, counted)
    if (size + 1) * len(rows.kind) > entries:
        return np.empty(0), rows, np.empty((0, 0), np.uint8)
    worth, taken = _filled(rows, size, TIED * _relaxed(earning, np.int64(-1), size), counted)
    return worth, rows, taken


@numba.njit(cache=True)
def _segments(margin, power, left, most, held, before, cost):  # type: ignore[no-untyped-def]
    """What fits beyond the machines held and earns, in the order of the types."""
    n_types = len(margin)
    kind, gain = np.empty(2 * n_types, np.int64), np.empty(2 * n_types)
    weight, room = np.empty(2 * n_types, np.int64), np.empty(2 * n_types, np.int64)
    n = 0
    for i in range(n_types):
        fits = min(most[i] - held[i], left // power[i])
        kept = min(max(before[i] - held[i], 0), fits)
        for above in range(2):
            gain[n] = margin[i] - cost[i] if above else margin[i] + cost[i]
            room[n] = fits - kept if above else kept
            kind[n], weight[n] = i, power[i]
            n += gain[n] > 0 and room[n] > 0
    kind, gain, weight, room = kind[:n], gain[:n], weight[:n], room[:n]
    return Segments(kind, gain, weight, room, _by_gain(gain, weight), _units(kind, weight, n_types))


@numba.njit(cache=True)
def _by_gain(gain, weight):  # type: ignore[no-untyped-def]
    """The segments from the most earned for each unit of power; an insertion sort, which compiles quickly."""
    order = np.zeros(len(gain), np.int64)
    for k in range(len(gain)):
        at = k
        while at > 0 and gain[order[at - 1]] / weight[order[at - 1]] < gain[k] / weight[k]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = k
    return order


@numba.njit(cache=True)
def _units(kind, weight, n_types):  # type: ignore[no-untyped-def]
    """Greatest common divisor of the powers from each type on; 0 after the last."""
    unit, k = np.zeros(n_types + 1, np.int64), len(kind) - 1
    for i in range(n_types - 1, -1, -1):
        unit[i] = unit[i + 1]
        while k >= 0 and kind[k] == i:
            unit[i] = np.gcd(unit[i], weight[k])
            k -= 1
    return unit


@numba.njit(cache=True)
def _relaxed(earning, after, left):  # type: ignore[no-untyped-def]
    """Most that types after one could earn if machines could be split."""
    worth = 0.0
    for k in earning.order:
        if earning.kind[k] > after:
            filled = earning.weight[k] * earning.room[k]
            if filled >= left:
                return worth + earning.gain[k] * (left / earning.weight[k])
            worth += earning.gain[k] * earning.room[k]
            left -= filled
    return worth


@numba.njit(cache=True)
def _usable(earning, after, left):  # type: ignore[no-untyped-def]
    """What types after one can use of the power that is left."""
    unit = earning.unit[after + 1]
    return left // unit * unit if unit > 0 else 0


@numba.njit(cache=True)
def _least_power(earning, after, needed):  # type: ignore[no-untyped-def]
    """Least power with which types after one could earn what is needed if machines could be split."""
    power = 0.0
    for k in earning.order:
        if needed <= 0:
            break
        if earning.kind[k] > after:
            taken = min(earning.room[k], needed / earning.gain[k])
            needed -= taken * earning.gain[k]
            power += taken * earning.weight[k]
    unit = max(earning.unit[after + 1], 1)
    return np.int64(np.ceil(power * (1 - _ROUNDING) / unit)) * unit


@numba.njit(cache=True)
def _greatest(earning, left, most_nodes):  # type: ignore[no-untyped-def]
    """Machines of each segment that earn the most: depth first, the best for its power first."""
    n = len(earning.order)
    gain, weight, room, places = np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    for k in range(n):
        place = earning.order[k]
        gain[k], weight[k], room[k], places[k] = earning.gain[place], earning.weight[place], earning.room[place], k
    chain = Segments(places, gain, weight, room, places, _units(places, weight, n))
    taken, filled = np.zeros(n, np.int64), np.zeros(n, np.int64)
    worth_at, left_at = np.zeros(n + 1), np.zeros(n + 1, np.int64)
    left_at[0] = left
    best, start, nodes = -1.0, 0, np.int64(0)  # not a literal, for which a call would be compiled once more
    while True:
        for j in range(start, n):
            taken[j] = min(chain.room[j], left_at[j] // chain.weight[j])
            worth_at[j + 1] = worth_at[j] + taken[j] * chain.gain[j]
            left_at[j + 1] = left_at[j] - taken[j] * chain.weight[j]
        if worth_at[n] > best:
            best = worth_at[n]
            for j in range(n):
                filled[earning.order[j]] = taken[j]
        start, nodes = _next_branch(chain, taken, worth_at, left_at, best, nodes, most_nodes)
        if start < 0:
            break
    return filled, _FOUND if nodes <= most_nodes else _GIVEN_UP, nodes


@numba.njit(cache=True)
def _next_branch(chain, taken, worth_at, left_at, best, nodes, most_nodes):  # type: ignore[no-untyped-def]
    """Take less of the last segment where that could earn more: where to fill on, -1 at the end of the search."""
    for k in range(len(taken) - 2, -1, -1):
        for fewer in range(taken[k] - 1, -1, -1):
            nodes += 1
            worth = worth_at[k] + fewer * chain.gain[k]
            left = left_at[k] - fewer * chain.weight[k]
            if worth + _relaxed(chain, k, left) <= best * (1 + _ROUNDING):
                break  # and so with fewer still: those after it earn less for their power
            if nodes > most_nodes or worth + _relaxed(chain, k, _usable(chain, k, left)) > best * (1 + _ROUNDING):
                taken[k], worth_at[k + 1], left_at[k + 1] = fewer, worth, left
                return (k + 1 if nodes <= most_nodes else -1), nodes
    return -1, nodes


@numba.njit(cache=True)
def _by_rule(earning, filled, n_types, power, left, held, before, counted, most_nodes):  # type: ignore[no-untyped-def]
    """Of all that earn as much: least power, fewest switched, most of the earlier types; depth first by type."""
    floor = 0.0
    more, best = np.zeros(n_types, np.int64), _by_type(earning, filled, n_types)
    for k in range(len(filled)):
        floor += (1 - TIED) * earning.gain[k] * filled[k]
    best_power, best_switched = _power(best, power), _switched(best, held, before, counted, n_types)
    from_rule, nodes, i = False, 0, np.int64(0)
    least, used, gained = np.zeros(n_types, np.int64), np.zeros(n_types + 1, np.int64), np.zeros(n_types + 1)
    least[0], more[0] = _range(earning, i, power[0], left, floor)
    more[0] += 1
    while i >= 0 and nodes <= most_nodes:
        more[i] -= 1
        nodes += 1
        if more[i] < least[i]:
            i -= 1
            continue
        used[i + 1] = used[i] + more[i] * power[i]
        gained[i + 1] = gained[i] + _gain(earning, i, more[i])
        if gained[i + 1] + _relaxed(earning, i, _usable(earning, i, left - used[i + 1])) < floor:
            continue
        needed = used[i + 1] + _least_power(earning, i, floor - gained[i + 1])
        switched = _least_switched(more, i, power, left - used[i + 1], needed - used[i + 1], held, before, counted)
        worse = needed > best_power or (needed == best_power and switched > best_switched)
        if worse or (from_rule and needed == best_power and switched == best_switched):
            continue
        if i + 1 < n_types:
            i += 1
            least[i], more[i] = _range(earning, i, power[i], left - used[i], floor - gained[i])
            more[i] += 1
        else:
            for j in range(n_types):
                best[j] = more[j]
            best_power, best_switched, from_rule = used[n_types], switched, True
    return best, _FOUND if nodes <= most_nodes else _GIVEN_UP, nodes


@numba.njit(cache=True)
def _by_type(earning, filled, n_types):  # type: ignore[no-untyped-def]
    counts = np.zeros(n_types, np.int64)
    for k in range(len(filled)):
        counts[earning.kind[k]] += filled[k]
    return counts


@numba.njit(cache=True)
def _power(counts, power):  # type: ignore[no-untyped-def]
    drawn = 0
    for i in range(len(counts)):
        drawn += counts[i] * power[i]
    return drawn


@numba.njit(cache=True)
def _gain(earning, kind, count):  # type: ignore[no-untyped-def]
    """What so many more machines of a type earn."""
    gained = 0.0
    for k in range(len(earning.kind)):
        if earning.kind[k] == kind:
            taken = min(count, earning.room[k])
            gained += taken * earning.gain[k]
            count -= taken
    return gained


@numba.njit(cache=True)
def _range(earning, kind, weight, left, needed):  # type: ignore[no-untyped-def]
    """Least and greatest number of machines of a type with which types from it on could earn what is needed."""
    fits = 0
    for k in range(len(earning.kind)):
        fits += earning.room[k] if earning.kind[k] == kind else 0
    none = np.int64(0)
    most = min(fits, left // weight)
    low, high = none, most
    while low < high:  # the bound is concave: its peak
        middle = (low + high) // 2
        if _bound(earning, kind, weight, left, middle) < _bound(earning, kind, weight, left, middle + 1):
            low = middle + 1
        else:
            high = middle
    if _bound(earning, kind, weight, left, low) < needed:
        return 1, 0
    least = _last(earning, kind, weight, left, needed, low, none)
    return least, _last(earning, kind, weight, left, needed, low, most)


@numba.njit(cache=True)
def _last(earning, kind, weight, left, needed, good, end):  # type: ignore[no-untyped-def]
    """The number nearest to an end with which what is needed could be earned, from one that is good."""
    if _bound(earning, kind, weight, left, end) >= needed:
        return end
    while abs(end - good) > 1:
        middle = (good + end) // 2
        if _bound(earning, kind, weight, left, middle) >= needed:
            good = middle
        else:
            end = middle
    return good


@numba.njit(cache=True)
def _bound(earning, kind, weight, left, count):  # type: ignore[no-untyped-def]
    return _gain(earning, kind, count) + _relaxed(earning, kind, left - weight * count)


@numba.njit(cache=True)
def _switched(more, held, before, counted, n_types):  # type: ignore[no-untyped-def]
    """Machines of the first types that change."""
    switched = 0
    if counted:
        for i in range(n_types):
            switched += abs(held[i] + more[i] - before[i])
    return switched


@numba.njit(cache=True)
def _least_switched(more, at, power, left, needed, held, before, counted):  # type: ignore[no-untyped-def]
    """Machines that change up to a type, and the least that must change after it to use the power that is needed."""
    if not counted:
        return 0
    switched = _switched(more, held, before, counted, at + 1)
    as_before, widest = 0, 1
    for i in range(at + 1, len(power)):
        switched += max(held[i] - before[i], 0)
        as_before += power[i] * max(before[i] - held[i], 0)
        widest = max(widest, power[i])
    too_much = max(as_before - left, needed - as_before, 0)
    return switched + -(-too_much // widest)


@numba.njit(cache=True)
def _rows(earning, size, held, before, counted):  # type: ignore[no-untyped-def]
    """The steps of the recursion, from the last type to the first: any number of machines, or bundles of 1, 2, 4..."""
    n_rows, n = 0, len(earning.kind)
    kind, many, weight = np.empty(44 * n, np.int64), np.empty(44 * n, np.int64), np.empty(44 * n, np.int64)
    gain, change, again = np.empty(44 * n), np.empty(44 * n, np.int64), np.empty(44 * n, np.bool_)
    for k in range(n - 1, -1, -1):
        first = k == 0 or earning.kind[k - 1] != earning.kind[k]
        each = earning.weight[k]
        change_each = -1 if first and before[earning.kind[k]] > held[earning.kind[k]] else 1
        left = earning.room[k]
        any_number = left + (0 if first else earning.room[k - 1]) >= size // each
        bundle = 1
        while left > 0:
            bundle = 1 if any_number else min(bundle, left)
            kind[n_rows], many[n_rows], weight[n_rows] = earning.kind[k], bundle, each * bundle
            gain[n_rows], again[n_rows] = earning.gain[k] * bundle, any_number
            change[n_rows] = change_each * bundle if counted else 0
            n_rows += 1
            left = 0 if any_number else left - bundle
            bundle *= 2
    return Rows(kind[:n_rows], many[:n_rows], weight[:n_rows], gain[:n_rows], change[:n_rows], again[:n_rows])


@numba.njit(cache=True)
def _filled(rows, size, tolerance, counted):  # type: ignore[no-untyped-def]
    """The most earned at each power, and whether each step adds to what is best there."""
    n_rows = len(rows.kind)
    worth, switched = np.empty(size + 1), np.zeros(size + 1 if counted else 1, np.int64)
    for at in range(size + 1):
        worth[at] = -np.inf
    worth[0] = 0.0
    taken = np.zeros((n_rows, size + 1), np.uint8)
    for k in range(n_rows):
        step = rows.weight[k]
        n_blocks = -(-(size + 1 - step) // step)
        for block in range(n_blocks):  # upwards where machines may come again and again, else downwards
            start = step * (block + 1 if rows.again[k] else n_blocks - block)
            end = min(start + step, size + 1)
            was, now, chosen = worth[start - step : end - step], worth[start:end], taken[k, start:end]
            if counted:
                changes = switched[start - step : end - step] + rows.change[k]
                _add_counted(was, now, changes, switched[start:end], chosen, rows.gain[k], tolerance)
            else:
                _add(was, now, chosen, rows.gain[k], tolerance)
    return worth, taken


@numba.njit(cache=True)
def _add_counted(was, worth, changes, switched, taken, gain, tolerance):  # type: ignore[no-untyped-def]
    """Take a step where it earns more, or as much and switches no more; no branch, so that many go at once."""
    for at in range(len(worth)):
        earned = was[at] + gain
        as_good = (earned >= worth[at] - tolerance) & (changes[at] <= switched[at]) & (earned > -np.inf)
        better = (earned > worth[at] + tolerance) | as_good
        taken[at] = better
        worth[at] = earned if better else worth[at]
        switched[at] = changes[at] if better else switched[at]


@numba.njit(cache=True)
def _add(was, worth, taken, gain, tolerance):  # type: ignore[no-untyped-def]
    """Take a step where it earns more or as much."""
    for at in range(len(worth)):
        earned = was[at] + gain
        better = (earned >= worth[at] - tolerance) & (earned > -np.inf)
        taken[at] = better
        worth[at] = earned if better else worth[at]


@numba.njit(cache=True)
def taken_at(rows, taken, at, n_types):  # type: ignore[no-untyped-def]
    """Machines of each type that the recursion has at a power."""
    counts = np.zeros(n_types, np.int64)
    for k in range(len(rows.kind) - 1, -1, -1):
        while taken[k, at]:
            counts[rows.kind[k]] += rows.many[k]
            at -= rows.weight[k]
            if not rows.again[k]:
                break
    return counts
