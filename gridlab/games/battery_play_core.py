"""
The marginal value of a store as a falling line with corners, compiled.

A line is two arrays, the value of energy from the least and what is stored at it, none of it more than before; two
corners of one value are a step.
"""

import numba
import numpy as np


@numba.njit(cache=True)
def combine(value, stored, quantity, low, high, least):  # type: ignore[no-untyped-def]
    """The line of what is stored before an interval's move, whose rows are in order of value and do not overlap."""
    corner, moved = np.empty(2 * len(quantity)), np.empty(2 * len(quantity))
    n_moves, now = 0, least
    for row in range(len(quantity)):
        if quantity[row] > 0:
            corner[n_moves], moved[n_moves] = low[row], now
            now += quantity[row]
            corner[n_moves + 1], moved[n_moves + 1] = high[row], now
            n_moves += 2
    out_value, out_stored = np.empty(2 * (len(value) + n_moves)), np.empty(2 * (len(value) + n_moves))
    i, j, n = 0, 0, 0
    while i < len(value) or j < n_moves:
        at = value[i] if j == n_moves or (i < len(value) and value[i] <= corner[j]) else corner[j]
        before_a, i = _side(value, stored, i, len(value), at)
        after_a = stored[i - 1] if i > 0 and value[i - 1] == at else before_a
        before_b, j = _side(corner, moved, j, n_moves, at) if n_moves else (least, 0)
        after_b = moved[j - 1] if j > 0 and corner[j - 1] == at else before_b
        out_value[n], out_stored[n] = at, before_a - before_b
        n += 1
        if after_a != before_a or after_b != before_b:
            out_value[n], out_stored[n] = at, after_a - after_b
            n += 1
    return out_value[:n], out_stored[:n]


@numba.njit(cache=True)
def _side(x, y, i, n, at):  # type: ignore[no-untyped-def]
    """The height of a line just before a place, and the first corner beyond it; corner `i` is the first not before."""
    if i < n and x[i] == at:
        before = y[i]
        while i < n and x[i] == at:
            i += 1
        return before, i
    if i == 0:
        return y[0], i
    if i == n:
        return y[n - 1], i
    return y[i - 1] + (y[i] - y[i - 1]) * ((at - x[i - 1]) / (x[i] - x[i - 1])), i


@numba.njit(cache=True)
def within(value, stored, kept, usable):  # type: ignore[no-untyped-def]
    """The line an interval earlier, before the leak, of the energies that fit in the store."""
    n = len(value)
    out_value, out_stored = np.empty(n + 2), np.empty(n + 2)
    m = 0
    for i in range(n):
        now, at = stored[i] / kept, value[i] * kept
        if i > 0:
            before, from_ = stored[i - 1] / kept, value[i - 1] * kept
            for limit in (usable, 0.0):
                if before > limit > now:
                    out_value[m] = from_ + (at - from_) * ((before - limit) / (before - now)) if at > from_ else at
                    out_stored[m] = limit
                    m += 1
        if 0.0 <= now <= usable:
            out_value[m], out_stored[m] = at, now
            m += 1
    if m == 0:
        out_value[0], out_stored[0] = value[0] * kept, min(max(stored[0] / kept, 0.0), usable)
        m = 1
    return out_value[:m], out_stored[:m]


@numba.njit(cache=True)
def value_at(value, stored, energy, wish, close):  # type: ignore[no-untyped-def]
    """The value of energy nearest to a wish at which a line holds an energy, or as good as; one of its ends if none."""
    return min(max(wish, _first(value, stored, energy + close)), _last(value, stored, energy - close))


@numba.njit(cache=True)
def _first(value, stored, energy):  # type: ignore[no-untyped-def]
    """The least value at which a line holds no more than an energy."""
    if energy >= stored[0]:
        return -np.inf
    if energy < stored[-1]:
        return value[-1]
    low, high = 0, len(stored) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if stored[middle] > energy:
            low = middle
        else:
            high = middle
    return _between(value, stored, energy, low)


@numba.njit(cache=True)
def _last(value, stored, energy):  # type: ignore[no-untyped-def]
    """The greatest value at which a line holds no less than an energy."""
    if energy <= stored[-1]:
        return np.inf
    if energy > stored[0]:
        return value[0]
    low, high = 0, len(stored) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if stored[middle] >= energy:
            low = middle
        else:
            high = middle
    return _between(value, stored, energy, low)


@numba.njit(cache=True)
def _between(value, stored, energy, low):  # type: ignore[no-untyped-def]
    """The value between two corners at which a line holds an energy."""
    width = value[low + 1] - value[low]
    return value[low] + width * ((stored[low] - energy) / (stored[low] - stored[low + 1])) if width > 0 else value[low]


@numba.njit(cache=True)
def _height(value, stored, at, from_below):  # type: ignore[no-untyped-def]
    """What a line holds at a value, and at a step before or after it."""
    low, high = 0, len(value)
    while low < high:
        middle = (low + high) // 2
        if value[middle] < at:
            low = middle + 1
        else:
            high = middle
    before, i = _side(value, stored, low, len(value), at)
    return stored[i - 1] if not from_below and i > 0 and value[i - 1] == at else before


@numba.njit(cache=True)
def move(value, stored, held, quantity, low, high, least, at, two_ways, grain):  # type: ignore[no-untyped-def]
    """
    What is stored after the move at a value of energy, on the line of what is worth storing.

    Of several moves the least, or an end of those that go both ways. Where the line and the moves leave none between
    them, the value is taken to be known to a grain only.
    """
    wish = 0.0
    for blur in (0.0, grain):
        from_, greatest = _moved(quantity, low, high, least, at - blur, True)
        to, _ = _moved(quantity, low, high, least, at + blur, False)
        floor = max(_height(value, stored, at + blur, False) - held, from_)
        roof = min(_height(value, stored, at - blur, True) - held, to)
        if floor <= roof:
            break
        wish = (floor + roof) / 2
    if floor > roof:
        floor = roof = wish
    wish = min(max(wish, floor), roof)
    if two_ways and from_ < 0 < to:
        wish = from_ if floor <= from_ else (to if roof >= to else wish)
    return min(max(held + wish, stored[-1], held + least), stored[0], held + greatest)


@numba.njit(cache=True)
def _moved(quantity, low, high, least, at, from_below):  # type: ignore[no-untyped-def]
    """The move at a value of energy, and at a step before or after it; and the greatest move."""
    moved, greatest = least, least
    for row in range(len(quantity)):
        if quantity[row] > 0:
            greatest += quantity[row]
            width = high[row] - low[row]
            if width > 0:
                moved += quantity[row] * min(max((at - low[row]) / width, 0.0), 1.0)
            elif at > low[row] or (at == low[row] and not from_below):
                moved += quantity[row]
    return moved, greatest


@numba.njit(cache=True)
def best_signs(price, bend, limit, wear, eta_charge, eta_discharge, kept, start, end, states):  # type: ignore[no-untyped-def]
    """Which way the best plan between states of a store moves it in each interval: 1 out, -1 in, 0 neither."""
    n_steps, n_states = len(price), len(states)
    value, best = np.full((n_steps + 1, n_states), -np.inf), np.zeros((n_steps, n_states), dtype=np.int64)
    for j in range(n_states):
        value[n_steps, j] = 0.0 if states[j] == end else -np.inf
    for t in range(n_steps - 1, -1, -1):
        for i in range(n_states):
            for j in range(n_states):
                change = states[j] - kept * states[i]
                net = -change / eta_charge if change > 0 else -change * eta_discharge
                if abs(net) <= limit[t] * (1 + 1e-12):
                    earned = (price[t] - bend[t] * net / 2) * net - wear * max(net, 0.0) + value[t + 1, j]
                    if earned > value[t, i]:
                        value[t, i], best[t, i] = earned, j
    signs, i = np.zeros(n_steps), int(np.argmin(np.abs(states - start)))
    for t in range(n_steps):
        j = best[t, i]
        signs[t] = np.sign(kept * states[i] - states[j])
        i = j
    return signs, value[0, int(np.argmin(np.abs(states - start)))]
