"""The dynamic programme's recursions over the state of charge, compiled. States are positions on the grid from 0 on."""

from typing import NamedTuple

import numba
import numpy as np

WORTH_A_MOVE = 1e-13  # share of the value that a move must add, well above rounding, for it to be made


class Limits(NamedTuple):
    """A battery over one interval: what a grid step holds and the power limit [MWh], shares, and wear [$/MWh]."""

    grid_mwh: float
    limit_mwh: float
    kept: float
    eta_charge: float
    eta_discharge: float
    wear: float


class Reach(NamedTuple):
    """Where each state comes to at rest, at full charge and at full discharge, as positions on the grid."""

    rest: np.ndarray
    charged: np.ndarray
    discharged: np.ndarray


@numba.njit(cache=True)
def reach_of(states, last, limits):  # type: ignore[no-untyped-def]
    """Where `states`, positions on a grid that ends at `last`, can come to."""
    rest = limits.kept * states
    charged = rest + limits.limit_mwh * limits.eta_charge / limits.grid_mwh
    discharged = rest - limits.limit_mwh / (limits.eta_discharge * limits.grid_mwh)
    return Reach(rest, np.minimum(charged, last), np.maximum(discharged, 0.0))


@numba.njit(cache=True)
def value_windows(price, value, limits):  # type: ignore[no-untyped-def]
    """Fill `value` (n_windows, n_steps + 1, n_states) from its last step back, at `price` (n_windows, n_steps)."""
    n_states = value.shape[2]
    reach, scratch = reach_of(np.arange(n_states) * 1.0, n_states - 1.0, limits), _scratch(n_states)
    for window in range(price.shape[0]):
        for step in range(price.shape[1] - 1, -1, -1):
            _step_back(value[window, step], value[window, step + 1], price[window, step], reach, limits, scratch)


@numba.njit(cache=True)
def value_nodes(price, weights, value, limits):  # type: ignore[no-untyped-def]
    """
    Fill `value` (n_rows, n_steps + 1, n_states) from its last step back, at the nodes `price` (n_steps, n_nodes).

    A row is the node of the interval before, or there is one row for all of them; ``weights[step, row]`` are the
    probabilities of the nodes after that row.
    """
    n_rows, n_states = value.shape[0], value.shape[2]
    reach, scratch = reach_of(np.arange(n_states) * 1.0, n_states - 1.0, limits), _scratch(n_states)
    best = np.empty(n_states)
    for step in range(price.shape[0] - 1, -1, -1):
        value[:, step] = 0.0
        for node in range(price.shape[1]):
            after = value[min(node, n_rows - 1), step + 1]
            _step_back(best, after, price[step, node], reach, limits, scratch)
            for row in range(n_rows):
                if weights[step, row, node] > 0.0:
                    _add(value[row, step], weights[step, row, node], best)


@numba.njit(cache=True)
def best_energy(after, position, price, limits):  # type: ignore[no-untyped-def]
    """Energy into the grid that is best at `price` from `position`, where `after` is the value of the next interval."""
    if np.isnan(price):
        return 0.0
    rest, charged, discharged = reach_of(position, len(after) - 1.0, limits)
    buy, sell = _per_grid_step(price, limits)
    best, to = _at(after, rest), rest
    best += WORTH_A_MOVE * (10.0 + abs(best))
    for target in (charged, discharged):
        worth = _at(after, target) - _cost(target - rest, buy, sell)
        if worth > best:
            best, to = worth, target
    for cell in range(int(np.ceil(discharged)), int(charged) + 1):
        worth = after[cell] - _cost(cell - rest, buy, sell)
        if worth > best:
            best, to = worth, cell * 1.0
    drawn = (rest - to) * limits.grid_mwh
    energy = drawn / limits.eta_charge if drawn < 0.0 else drawn * limits.eta_discharge
    return min(max(energy, -limits.limit_mwh), limits.limit_mwh)


@numba.njit(cache=True)
def follow_windows(value, price, start, limits):  # type: ignore[no-untyped-def]
    """Energy into the grid and position at the end of each interval, each window by its own value from its `start`."""
    energy, position = np.empty(price.shape), np.empty(price.shape)
    for window in range(price.shape[0]):
        at = start[window]
        for step in range(price.shape[1]):
            energy[window, step] = best_energy(value[window, step + 1], at, price[window, step], limits)
            at = position[window, step] = _moved(at, energy[window, step], value.shape[2] - 1.0, limits)
    return energy, position


@numba.njit(cache=True)
def follow_nodes(value, nodes, price, start, limits):  # type: ignore[no-untyped-def]
    """As `follow_windows`, each path by the value that follows the node nearest to its price."""
    energy, position = np.empty(price.shape), np.empty(price.shape)
    for path in range(price.shape[0]):
        at = start[path]
        for step in range(price.shape[1]):
            row = nearest(nodes[step], price[path, step]) if len(value) > 1 else 0
            energy[path, step] = best_energy(value[row, step + 1], at, price[path, step], limits)
            at = position[path, step] = _moved(at, energy[path, step], value.shape[2] - 1.0, limits)
    return energy, position


@numba.njit(cache=True)
def nearest(nodes, price):  # type: ignore[no-untyped-def]
    """Index of the node nearest to `price`."""
    found, distance = 0, np.inf
    for node in range(len(nodes)):
        if abs(nodes[node] - price) < distance:
            found, distance = node, abs(nodes[node] - price)
    return found


@numba.njit(cache=True)
def concave_segments(worth, n_segments):  # type: ignore[no-untyped-def]
    """Grid steps and rises (n_rows, n_segments) of polygons under the concave envelopes of `worth`'s rows."""
    lengths, rises = np.zeros((len(worth), n_segments)), np.zeros((len(worth), n_segments))
    for row in range(len(worth)):
        envelope = _concave_envelope(worth[row])
        breaks = _breaks(envelope, n_segments)
        for segment in range(n_segments):
            first, last = breaks[segment], breaks[segment + 1]
            lengths[row, segment] = last - first
            rises[row, segment] = envelope[last] - envelope[first]
    return lengths, rises


@numba.njit(cache=True)
def _scratch(n_states):  # type: ignore[no-untyped-def]
    """Room for one step: values less cost, their greatest in each state's window, and the queue that finds it."""
    return np.empty(n_states), np.empty(n_states), np.empty(n_states, np.int64)


@numba.njit(cache=True)
def _step_back(now, after, price, reach, limits, scratch):  # type: ignore[no-untyped-def]
    """The value of every state before an interval at `price`, from the value after it."""
    for state in range(len(now)):
        now[state] = _at(after, reach.rest[state])
    if np.isnan(price):
        return
    buy, sell = _per_grid_step(price, limits)
    least, most = _extreme_slopes(after)
    if buy < most:
        _improve(now, after, buy, reach.rest, reach.charged, reach.charged, reach.rest, scratch)
    if sell > least:
        _improve(now, after, sell, reach.discharged, reach.rest, reach.discharged, reach.rest, scratch)


@numba.njit(cache=True)
def _improve(now, after, slope, low, high, full, rest, scratch):  # type: ignore[no-untyped-def]
    """Let `now` be at least the best of full power and the grid's states in [low, high] when a step costs `slope`."""
    net, greatest, queue = scratch
    for state in range(len(net)):
        net[state] = after[state] - slope * state
    _greatest_between(net, low, high, queue, greatest)
    for state in range(len(net)):
        at_full_power = _at(after, full[state]) - slope * full[state]
        now[state] = max(now[state], max(greatest[state], at_full_power) + slope * rest[state])


@numba.njit(cache=True)
def _extreme_slopes(values):  # type: ignore[no-untyped-def]
    """Least and greatest rise from one state to the next: no move pays that costs more, or brings less."""
    least, most = np.inf, -np.inf
    for state in range(len(values) - 1):
        rise = values[state + 1] - values[state]
        least = rise if rise < least else least
        most = rise if rise > most else most
    return least, most


@numba.njit(cache=True)
def _greatest_between(values, low, high, queue, greatest):  # type: ignore[no-untyped-def]
    """
    Greatest of the values whose index lies in [low, high], for windows whose ends never fall; -inf where none does.

    The queue holds the indices that may still become greatest, their values falling: each enters and leaves once.
    """
    head, tail, entering = 0, 0, 0
    for window in range(len(low)):
        while entering <= high[window]:
            while tail > head and values[queue[tail - 1]] <= values[entering]:
                tail -= 1
            queue[tail] = entering
            tail += 1
            entering += 1
        while head < tail and queue[head] < low[window]:
            head += 1
        greatest[window] = values[queue[head]] if head < tail else -np.inf


@numba.njit(cache=True)
def _per_grid_step(price, limits):  # type: ignore[no-untyped-def]
    """What filling the battery by a grid step costs, and what emptying it by one earns. [$]"""
    buy = price / limits.eta_charge * limits.grid_mwh
    return buy, (price - limits.wear) * limits.eta_discharge * limits.grid_mwh


@numba.njit(cache=True)
def _cost(steps, buy, sell):  # type: ignore[no-untyped-def]
    return steps * (buy if steps > 0.0 else sell)


@numba.njit(cache=True)
def _at(values, position):  # type: ignore[no-untyped-def]
    """Value at a position between grid points, linear between its neighbours."""
    cell = min(int(position), len(values) - 2)
    return values[cell] + (position - cell) * (values[cell + 1] - values[cell])


@numba.njit(cache=True)
def _moved(position, energy, last, limits):  # type: ignore[no-untyped-def]
    """Where an interval ends that starts at `position` and delivers `energy`."""
    stored = -energy * limits.eta_charge if energy < 0.0 else -energy / limits.eta_discharge
    return min(max(limits.kept * position + stored / limits.grid_mwh, 0.0), last)


@numba.njit(cache=True)
def _add(total, share, values):  # type: ignore[no-untyped-def]
    for i in range(len(total)):
        total[i] += share * values[i]


@numba.njit(cache=True)
def _concave_envelope(worth):  # type: ignore[no-untyped-def]
    """Least concave function above `worth` on an even grid, by the monotone chain."""
    hull, size, envelope = np.empty(len(worth), np.int64), 0, np.empty(len(worth))
    for i in range(len(worth)):
        while size > 1:
            first, middle = hull[size - 2], hull[size - 1]
            if (worth[middle] - worth[first]) * (i - middle) > (worth[i] - worth[middle]) * (middle - first):
                break
            size -= 1
        hull[size] = i
        size += 1
    for corner in range(size - 1):
        _draw(envelope, worth, hull[corner], hull[corner + 1])
    return envelope


@numba.njit(cache=True)
def _draw(line, values, first, last):  # type: ignore[no-untyped-def]
    """The straight line between two points of `values`, both included."""
    for i in range(first, last + 1):
        line[i] = values[first] + (values[last] - values[first]) * (i - first) / (last - first)


@numba.njit(cache=True)
def _breaks(envelope, n_segments):  # type: ignore[no-untyped-def]
    """Ends of the segments: each new one is where the polygon is furthest below `envelope`; repeats close the list."""
    breaks, line = np.full(n_segments + 1, len(envelope) - 1), np.empty(len(envelope))
    breaks[0], n_breaks = 0, 2
    while n_breaks <= n_segments:
        for segment in range(n_breaks - 1):
            _draw(line, envelope, breaks[segment], breaks[segment + 1])
        furthest = int(np.argmax(envelope - line))
        if envelope[furthest] - line[furthest] <= 1e-12 * (1.0 + abs(envelope[furthest])):
            break
        breaks[n_breaks] = furthest
        n_breaks += 1
        breaks[:n_breaks].sort()
    return breaks
