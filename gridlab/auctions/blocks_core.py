"""The multiple-choice knapsack of `gridlab.auctions.blocks`, compiled: bounds, dynamic programmes and Pareto lists.

Bidder i has the options ``start[i]`` to ``start[i + 1]``, of sizes that rise and values above 0; sizes are whole steps
where there is a grid. A bidder or an option that is none is -1.
"""

import numba
import numpy as np

_TILE = 1024  # elements of a row that stay in the first cache while all options of a bidder pass over them
_MISSES = 256  # increments that may fail to fit before a greedy solution is left as it is


@numba.njit(cache=True)
def undominated(start, size, value, rank):  # type: ignore[no-untyped-def]
    """Flags of the options worth more than 0 and than each smaller one; of equals the first by `rank` is kept."""
    keep = np.zeros(len(size), np.bool_)
    for i in range(len(start) - 1):
        best, last = 0.0, -1
        for j in range(start[i], start[i + 1]):
            if last >= 0 and size[j] == size[last]:
                if value[j] > value[last] or (value[j] == value[last] and rank[j] < rank[last]):
                    keep[last], keep[j], last, best = False, True, j, value[j]
            elif value[j] > best:
                keep[j], last, best = True, j, value[j]
    return keep


@numba.njit(cache=True)
def increments(start, size, value):  # type: ignore[no-untyped-def]
    """
    The steps along each bidder's concave hull, steepest first: slope, option reached, option left, bidder.
    """
    slope, to = np.empty(len(size)), np.empty(len(size), np.int64)
    origin, whose = np.empty(len(size), np.int64), np.empty(len(size), np.int64)
    hull = np.empty(len(size) + 1, np.int64)
    count = 0
    for i in range(len(start) - 1):
        n_hull = 0
        for j in range(start[i], start[i + 1]):
            while n_hull > 0:
                last = hull[n_hull - 1]
                size_before = size[hull[n_hull - 2]] if n_hull > 1 else 0.0
                value_before = value[hull[n_hull - 2]] if n_hull > 1 else 0.0
                rise = (value[last] - value_before) * (size[j] - size[last])
                if rise > (value[j] - value[last]) * (size[last] - size_before):
                    break
                n_hull -= 1
            hull[n_hull] = j
            n_hull += 1
        for h in range(n_hull):
            j, before = hull[h], hull[h - 1] if h > 0 else -1
            size_before, value_before = (size[before], value[before]) if h > 0 else (0.0, 0.0)
            slope[count] = (value[j] - value_before) / (size[j] - size_before)
            to[count], origin[count], whose[count] = j, before, i
            count += 1
    order = np.argsort(-slope[:count], kind="mergesort")
    return slope[:count][order], to[:count][order], origin[:count][order], whose[:count][order]


@numba.njit(cache=True)
def relaxed(start, size, value, capacity):  # type: ignore[no-untyped-def]
    """
    Dantzig's bound: the price of capacity, the optimum of the relaxation, and the options taken whole before its break.
    """
    slope, to, origin, whose = increments(start, size, value)
    chosen = np.full(len(start) - 1, -1, np.int64)
    room, at = capacity, 0
    while at < len(slope):
        grows = size[to[at]] - (size[origin[at]] if origin[at] >= 0 else 0.0)
        if grows > room:
            break
        room -= grows
        chosen[whose[at]] = to[at]
        at += 1
    price = slope[at] if at < len(slope) else 0.0
    profit = profits(start, size, value, price)
    return price, price * capacity + profit.sum(), profit, chosen, at, slope, to, origin, whose


@numba.njit(cache=True)
def profits(start, size, value, price):  # type: ignore[no-untyped-def]
    """What each bidder's best option is worth above the price of its capacity, at least 0."""
    profit = np.zeros(len(start) - 1)
    for i in range(len(start) - 1):
        for j in range(start[i], start[i + 1]):
            profit[i] = max(profit[i], value[j] - price * size[j])
    return profit


@numba.njit(cache=True)
def _filled(without, size, value, room, at, to, origin, whose, refused):  # type: ignore[no-untyped-def]
    """What the greedy solution adds past the break with all bidders but one; `refused` is scratch, marked by it."""
    misses, worth = 0, 0.0
    for t in range(at, len(to)):
        i = whose[t]
        if i == without or refused[i] == without:
            continue
        before = origin[t]
        grows = size[to[t]] - (size[before] if before >= 0 else 0.0)
        if grows <= room:
            room -= grows
            worth += value[to[t]] - (value[before] if before >= 0 else 0.0)
        else:
            refused[i] = without
            misses += 1
            if misses > _MISSES or room <= 0:
                break
    return worth


@numba.njit(cache=True)
def narrow(start, size, value, capacity, more):  # type: ignore[no-untyped-def]
    """
    How far the optimum may be from Dantzig's bound, of all bidders, of all but one, or with `more` capacity.

    Returns
    -------
    Loss of each option, against the best of its bidder at the price of capacity; profit of each bidder at it; that
    price; the bound; and the greatest gap between a bound and a greedy solution
    """
    price, bound, profit, chosen, at, _, to, origin, whose = relaxed(start, size, value, capacity)
    n_bidders = len(start) - 1
    loss, nearest = np.empty(len(size)), profit.copy()
    room, worth = capacity, 0.0
    for i in range(n_bidders):
        for j in range(start[i], start[i + 1]):
            loss[j] = profit[i] - (value[j] - price * size[j])
            nearest[i] = min(nearest[i], loss[j])
        if chosen[i] >= 0:
            room -= size[chosen[i]]
            worth += value[chosen[i]]
    refused = np.full(n_bidders, -2, np.int64)
    gap = bound - worth - _filled(-1, size, value, room, at, to, origin, whose, refused) + price * more
    first = gap + 1e-11 * bound
    for k in range(n_bidders):
        if nearest[k] <= first:
            freed, lost = (size[chosen[k]], value[chosen[k]]) if chosen[k] >= 0 else (0.0, 0.0)
            added = _filled(k, size, value, room + freed, at, to, origin, whose, refused)
            gap = max(gap, bound - profit[k] - (worth - lost) - added)
    return loss, profit, price, bound, gap


@numba.njit(cache=True, fastmath={"nnan", "nsz"})
def _add(old, new, size, value, first, last):  # type: ignore[no-untyped-def]
    """A row of the dynamic programme: best value by capacity with the options of one more bidder."""
    width = len(new)
    for low in range(0, width, _TILE):
        high = min(low + _TILE, width)
        new[low:high] = old[low:high]
        for j in range(first, last):
            begin = max(low, size[j])
            if begin < high:
                target, source, worth = new[begin:high], old[begin - size[j] : high - size[j]], value[j]
                for c in range(len(target)):
                    with_it = source[c] + worth
                    target[c] = with_it if with_it > target[c] else target[c]


@numba.njit(cache=True, fastmath={"nnan", "nsz"})
def _best_split(before, after, capacity):  # type: ignore[no-untyped-def]
    """The most that two groups of bidders are worth together."""
    best = 0.0
    for c in range(capacity + 1):
        both = before[c] + after[capacity - c]
        best = both if both > best else best
    return best


@numba.njit(cache=True)
def _suffixes(kept, rows, start, size, value, low, high):  # type: ignore[no-untyped-def]
    """Rows of the best value by capacity of the bidders from `low` on, the next, and so on, from that of `high` on."""
    rows[high - low] = kept
    for i in range(high - 1, low - 1, -1):
        _add(rows[i - low + 1], rows[i - low], size, value, start[i], start[i + 1])


@numba.njit(cache=True)
def _first_that_reaches(target, after, left, size, value, rank, first, last):  # type: ignore[no-untyped-def]
    """Of a bidder's options that of the least rank with which the rest come to a target."""
    found = -1
    for j in range(first, last):
        reaches = size[j] <= left and after[left - size[j]] + value[j] == target
        if reaches and (found < 0 or rank[j] < rank[found]):
            found = j
    return found


@numba.njit(cache=True)
def _widest(start, size):  # type: ignore[no-untyped-def]
    """What all bidders take up at most."""
    total = 0
    for i in range(len(start) - 1):
        total += size[start[i + 1] - 1]
    return total


@numba.njit(cache=True)
def on_grid(start, size, value, rank, capacity, top, payments):  # type: ignore[no-untyped-def]
    """
    The optimum on a grid, and the optimum without each winner, by rows of suffixes and of prefixes.

    One suffix in about the root of their number is kept; those between are found anew on the way back, beside the
    rolling prefix.

    Parameters
    ----------
    size : ndarray of int64
        Whole steps.
    rank : ndarray of int64
        Order of the options among equals.
    capacity, top : int
        Steps on sale, and the most that the value is asked for.
    payments : bool
        Whether the optima without each winner are wanted.

    Returns
    -------
    Option of each bidder, optimum without each winner (NaN for the rest), most value by steps of capacity from 0 to
    `top` or to where it grows no more
    """
    n_bidders, width = len(start) - 1, min(top, _widest(start, size)) + 1
    capacity = min(capacity, width - 1)
    every = int(np.ceil(np.sqrt(max(n_bidders, 1))))
    n_kept = (n_bidders + every - 1) // every
    kept, rows = np.zeros((n_kept + 1, width)), np.zeros((every + 1, width))
    for b in range(n_kept - 1, -1, -1):
        _suffixes(kept[b + 1], rows, start, size, value, b * every, min((b + 1) * every, n_bidders))
        kept[b] = rows[0]
    left = np.searchsorted(kept[0], kept[0, capacity])
    chosen, without = np.full(n_bidders, -1, np.int64), np.full(n_bidders, np.nan)
    before, scratch = np.zeros(capacity + 1), np.zeros(capacity + 1)
    for i in range(n_bidders):
        if left == 0:
            break
        low = i // every * every
        if i == low:
            _suffixes(kept[i // every + 1], rows, start, size, value, low, min(low + every, n_bidders))
        target, after = rows[i - low, left], rows[i - low + 1]
        chosen[i] = _first_that_reaches(target, after, left, size, value, rank, start[i], start[i + 1])
        if chosen[i] >= 0:
            left -= size[chosen[i]]
            without[i] = _best_split(before, after, capacity) if payments else np.nan
        if payments and left > 0:
            _add(before, scratch, size, value, start[i], start[i + 1])
            before, scratch = scratch, before
    return chosen, without, kept[0].copy()


@numba.njit(cache=True)
def _least(sizes, values, pointer, start, size, value, rank, i):  # type: ignore[no-untyped-def]
    """The next state of a bidder's merge: option taken (0 for none), size, value; -1 at the end."""
    taken, at_size, at_value, at_rank = -1, np.inf, 0.0, np.int64(0)
    for o in range(len(pointer)):
        if pointer[o] < len(sizes):
            j = start[i] + max(o - 1, 0)
            state_size = sizes[pointer[o]] + (size[j] if o > 0 else 0.0)
            state_value = values[pointer[o]] + (value[j] if o > 0 else 0.0)
            state_rank = rank[j] if o > 0 else np.int64(2**62)
            better = state_size < at_size
            if state_size == at_size:
                better = state_value > at_value or (state_value == at_value and state_rank < at_rank)
            if better:
                taken, at_size, at_value, at_rank = o, state_size, state_value, state_rank
    return taken, at_size, at_value


@numba.njit(cache=True)
def _merged(sizes, values, start, size, value, rank, i, top, price, least):  # type: ignore[no-untyped-def]
    """The undominated states with one more bidder, worth at least `least` above the price: option, state before."""
    n_ways = start[i + 1] - start[i] + 1
    length = len(sizes) * n_ways
    new_size, new_value = np.empty(length), np.empty(length)
    choice, parent = np.empty(length, np.int32), np.empty(length, np.int64)
    pointer, count = np.zeros(n_ways, np.int64), 0
    while True:
        taken, at_size, at_value = _least(sizes, values, pointer, start, size, value, rank, i)
        if taken < 0 or at_size > top:
            return new_size[:count].copy(), new_value[:count].copy(), choice[:count].copy(), parent[:count].copy()
        if (count == 0 or at_value > new_value[count - 1]) and at_value - price * at_size >= least:
            new_size[count], new_value[count], parent[count] = at_size, at_value, pointer[taken]
            choice[count] = start[i] + taken - 1 if taken > 0 else -1
            count += 1
        pointer[taken] += 1


@numba.njit(cache=True)
def _best_pair(sizes, values, other_sizes, other_values, capacity):  # type: ignore[no-untyped-def]
    """The most that a state of each of two lists are worth together."""
    best, other = -np.inf, len(other_sizes) - 1
    for state in range(len(sizes)):
        while other >= 0 and sizes[state] + other_sizes[other] > capacity:
            other -= 1
        if other < 0:
            break
        best = max(best, values[state] + other_values[other])
    return best


@numba.njit(cache=True)
def in_lists(start, size, value, rank, capacity, top, price, profit, gap, payments, most):  # type: ignore[no-untyped-def]
    """
    The optimum by lists of undominated sizes and values, for sizes of any kind, and the optimum without each winner.

    A state whose loss against the profits at the price of capacity is above the gap leads to no optimum, and is left.

    Parameters
    ----------
    price, profit, gap : float, ndarray, float
        From `narrow`.
    payments : bool
        Whether the optima without each winner are wanted.
    most : int
        States that may be held in all.

    Returns
    -------
    Option of each bidder (one too many where there are more than `most` states, none where no state is left), optimum
    without each winner (NaN for the rest), sizes and values of the states, rising
    """
    n_bidders, total, reachable = len(start) - 1, 1, 0.0
    choices, parents = [np.full(1, -1, np.int32)], [np.zeros(1, np.int64)]
    sizes, values = [np.zeros(1)], [np.zeros(1)]
    chosen, without = np.full(n_bidders, -1, np.int64), np.full(n_bidders, np.nan)
    for i in range(n_bidders - 1, -1, -1):
        reachable += profit[i]
        list_size, list_value, choice, parent = _merged(
            sizes[-1], values[-1], start, size, value, rank, i, top, price, reachable - gap
        )
        total += len(list_size)
        if total > most:
            return np.full(n_bidders + 1, -1, np.int64), without, list_size, list_value
        choices.append(choice)
        parents.append(parent)
        sizes.append(list_size)
        values.append(list_value)
    state = np.searchsorted(sizes[-1], capacity, side="right") - 1
    if state < 0:
        return chosen, without, sizes[-1], values[-1]
    before_size, before_value, reachable = np.zeros(1), np.zeros(1), 0.0
    for i in range(n_bidders):
        chosen[i], state = choices[n_bidders - i][state], parents[n_bidders - i][state]
        if payments and chosen[i] >= 0:
            without[i] = _best_pair(before_size, before_value, sizes[-2 - i], values[-2 - i], capacity)
        if payments:
            reachable += profit[i]
            before_size, before_value, _, _ = _merged(
                before_size, before_value, start, size, value, rank, i, capacity, price, reachable - gap
            )
    return chosen, without, sizes[-1], values[-1]
