"""Merit order and the marginals that an award displaces, compiled; rows are ranked within each market."""

import numba
import numpy as np

_DIGITS, _BITS = 6, 11  # of a 64-bit key


@numba.njit(cache=True)
def dearest_first(price):  # type: ignore[no-untyped-def]
    """
    The rows in order of price from the dearest on, equal prices in their order.

    A radix sort of keys that are in order where the prices are: the bits of a float, all turned where it is negative.
    """
    bits = (0.0 - price).view(np.int64)
    keys = (bits ^ ((bits >> 63) & np.int64(0x7FFFFFFFFFFFFFFF))).view(np.uint64) ^ np.uint64(1 << 63)
    places = _first_places(keys)
    rows, other_keys, other_rows = np.arange(len(keys)), np.empty_like(keys), np.empty(len(keys), dtype=np.int64)
    for digit in range(_DIGITS):
        for k in range(len(keys)):
            value = _digit(keys[k], digit)
            other_keys[places[digit, value]], other_rows[places[digit, value]] = keys[k], rows[k]
            places[digit, value] += 1
        keys, other_keys, rows, other_rows = other_keys, keys, other_rows, rows
    return rows


@numba.njit(cache=True)
def by_market(ranked, market, n_markets):  # type: ignore[no-untyped-def]
    """The ranked rows gathered market by market, each in its ranking, and where each market starts."""
    start = np.zeros(n_markets + 1, dtype=np.int64)
    for row in range(len(market)):
        start[market[row] + 1] += 1
    for m in range(n_markets):
        start[m + 1] += start[m]
    free, order = start[:-1].copy(), np.empty(len(market), dtype=np.int64)
    for k in range(len(ranked)):
        m = market[ranked[k]]
        order[free[m]] = ranked[k]
        free[m] += 1
    return order, start


@numba.njit(cache=True)
def first_faults(cell, bidder, price, n_cells):  # type: ignore[no-untyped-def]
    """
    First row whose price rises within its bidder's curve, or -1; which rows open a curve; whether one may be twice.

    A cell is a time and service; bidders are numbered as they first appear, so that a curve whose bidder has a greater
    number than all before it in its cell is new.
    """
    last, greatest = np.full(n_cells, -1, dtype=np.int64), np.full(n_cells, -1, dtype=np.int64)
    opens = np.zeros(len(cell), dtype=np.bool_)
    rises, suspect = -1, False
    for row in range(len(cell)):
        c, before = cell[row], last[cell[row]]
        if before >= 0 and bidder[before] == bidder[row]:
            if rises < 0 and price[row] > price[before]:
                rises = row
        else:
            opens[row] = True
            suspect = suspect or bidder[row] <= greatest[c]
            greatest[c] = max(greatest[c], bidder[row])
        last[c] = row
    return rises, opens, suspect


@numba.njit(cache=True)
def awards(start, price, quantity, capacity, reserve):  # type: ignore[no-untyped-def]
    """
    Award each market's capacity from the dearest row down to the reserve; equal prices share in proportion.

    Also the clearing prices and, counted from the market's start, the first row that is not served whole and the end of
    the rows that meet the reserve.
    """
    n_markets = len(capacity)
    awarded, clearing = np.zeros(len(price)), np.empty(n_markets)
    margin, floor = np.empty(n_markets, dtype=np.int64), np.empty(n_markets, dtype=np.int64)
    for m in range(n_markets):
        own = slice(start[m], start[m + 1])
        floor[m] = _meet(price[own], reserve)
        margin[m], clearing[m] = _award(price[own][: floor[m]], quantity[own], awarded[own], capacity[m], reserve)
    return awarded, clearing, margin, floor


@numba.njit(cache=True)
def payments(start, price, quantity, bidder, awarded, margin, floor, n_bidders, reserve):  # type: ignore[no-untyped-def]
    """
    What each row pays, in $/h: the reserve, and what the others' rows that its bidder displaces are worth above it.

    The others' rows that are not served are summed once in order of price, and a bidder skips its own by differences of
    the sums; these carry what rounding takes from them, or the difference of two large ones would lose a small one.
    """
    paid = np.zeros(len(price))
    most = np.max(floor - margin) if len(floor) else 0
    sums, own_next = np.zeros((most + 1, 4)), np.empty(most, dtype=np.int64)
    own_first = np.full(n_bidders, -1, dtype=np.int64)
    totals = np.zeros((n_bidders, 3))
    for m in range(len(floor)):
        won, lost = slice(start[m], start[m] + floor[m]), slice(start[m] + margin[m], start[m] + floor[m])
        _sum_rejected(price[lost], quantity[lost] - awarded[lost], reserve, sums)
        _link(bidder[lost], own_first, own_next)
        _total(price[won], awarded[won], bidder[won], reserve, totals)
        _pay(price, awarded, bidder, won, lost, reserve, sums, own_first, own_next, totals, paid)
        for k in range(start[m], start[m] + floor[m]):
            own_first[bidder[k]] = -1
            totals[bidder[k]] = 0.0
    return paid


@numba.njit(cache=True)
def n_displacements(start, price, quantity, bidder, awarded, margin, floor, n_bidders, asked, most):  # type: ignore[no-untyped-def]
    """How many rows are displaced by the bidders asked for, one counted for each; not counted on far past `most`."""
    curves = (start, price, quantity, bidder, awarded, margin, floor)
    none, nothing = np.empty(0, dtype=np.int64), np.empty(0)
    return _each_winner(curves, n_bidders, asked, none, none, none, nothing, most)


@numba.njit(cache=True)
def displacements(start, price, quantity, bidder, awarded, margin, floor, n_bidders, asked, n_rows):  # type: ignore[no-untyped-def]
    """
    The market, who displaces, which row and how much of it; row -1 is the seller, at the reserve.

    Rows at one price are displaced in proportion to what they were not served, as a clearing without the bidder would.
    """
    curves = (start, price, quantity, bidder, awarded, margin, floor)
    market, winner = np.empty(n_rows, dtype=np.int64), np.empty(n_rows, dtype=np.int64)
    row, amount = np.empty(n_rows, dtype=np.int64), np.empty(n_rows)
    _each_winner(curves, n_bidders, asked, market, winner, row, amount, n_rows)
    return market, winner, row, amount


@numba.njit(cache=True)
def _digit(key, digit):  # type: ignore[no-untyped-def]
    return (key >> np.uint64(_BITS * digit)) & np.uint64((1 << _BITS) - 1)


@numba.njit(cache=True)
def _first_places(keys):  # type: ignore[no-untyped-def]
    """For each digit and value, how many keys have a smaller one."""
    places = np.zeros((_DIGITS, 1 << _BITS), dtype=np.int64)
    for key in keys:
        for digit in range(_DIGITS):
            places[digit, _digit(key, digit)] += 1
    for digit in range(_DIGITS):
        before = 0
        for value in range(1 << _BITS):
            count = places[digit, value]
            places[digit, value] = before
            before += count
    return places


@numba.njit(cache=True)
def _plus(total, low, term):  # type: ignore[no-untyped-def]
    """A sum and what rounding took from it, after one more term."""
    new = total + term
    part = new - total
    return new, low + ((total - (new - part)) + (term - part))


@numba.njit(cache=True)
def _meet(price, reserve):  # type: ignore[no-untyped-def]
    """How many of the ranked rows meet the reserve."""
    k = 0
    while k < len(price) and price[k] >= reserve:
        k += 1
    return k


@numba.njit(cache=True)
def _award(price, quantity, awarded, capacity, reserve):  # type: ignore[no-untyped-def]
    """Fill `awarded`; the first row not served whole, and what one more MWh is worth, NaN if nothing is sold."""
    used, low, k = 0.0, 0.0, 0
    while k < len(price):
        stop, shared, shared_low = k, 0.0, 0.0
        while stop < len(price) and price[stop] == price[k]:
            shared, shared_low = _plus(shared, shared_low, quantity[stop])
            stop += 1
        left = (capacity - used) - low
        lacking = shared + shared_low - left
        if shared > 0 and lacking > min(1e-12 * capacity, 0.5 * shared):
            share = max(left, 0.0) / (shared + shared_low)
            awarded[k:stop] = share * quantity[k:stop]
            return k, price[k] if used > 0 or share > 0 else np.nan
        awarded[k:stop] = quantity[k:stop]
        used, low = _plus(used, low + shared_low, shared)
        k = stop
    return k, reserve if used > 0 else np.nan


@numba.njit(cache=True)
def _sum_rejected(price, rejected, reserve, sums):  # type: ignore[no-untyped-def]
    """Power not served, and its worth above the reserve, up to each row; each with what rounding took."""
    for j in range(len(price)):
        worth = rejected[j] * (price[j] - reserve)
        sums[j + 1, 0], sums[j + 1, 1] = _plus(sums[j, 0], sums[j, 1], rejected[j])
        sums[j + 1, 2], sums[j + 1, 3] = _plus(sums[j, 2], sums[j, 3], worth)


@numba.njit(cache=True)
def _between(sums, begin, end, what):  # type: ignore[no-untyped-def]
    return (sums[end, what] - sums[begin, what]) + (sums[end, what + 1] - sums[begin, what + 1])


@numba.njit(cache=True)
def _link(bidder, own_first, own_next):  # type: ignore[no-untyped-def]
    """Each bidder's rows not served, as a chain in order of price."""
    for j in range(len(bidder) - 1, -1, -1):
        own_next[j] = own_first[bidder[j]]
        own_first[bidder[j]] = j


@numba.njit(cache=True)
def _total(price, awarded, bidder, reserve, totals):  # type: ignore[no-untyped-def]
    """Each bidder's award and its worth above the reserve; its share of that to be paid is not known yet."""
    for k in range(len(price)):
        if awarded[k] > 0:
            totals[bidder[k], 0] += awarded[k]
            totals[bidder[k], 1] += awarded[k] * (price[k] - reserve)
            totals[bidder[k], 2] = -1.0


@numba.njit(cache=True)
def _pay(price, awarded, bidder, won, lost, reserve, sums, own_first, own_next, totals, paid):  # type: ignore[no-untyped-def]
    """Each row pays the reserve, and above it the share of its worth that its bidder's displaced rows are."""
    for k in range(won.start, won.stop):
        b = bidder[k]
        if awarded[k] <= 0:
            continue
        if totals[b, 2] < 0:
            displaced = _displaced(totals[b, 0], own_first[b], own_next, sums, price[lost], reserve)
            totals[b, 2] = min(displaced / totals[b, 1], 1.0) if totals[b, 1] > 0 else 0.0
        paid[k] = awarded[k] * (reserve + totals[b, 2] * (price[k] - reserve))


@numba.njit(cache=True)
def _displaced(need, own, own_next, sums, price, reserve):  # type: ignore[no-untyped-def]
    """What the dearest rejected rows of the others, `need` of them, are worth above the reserve."""
    total, begin = 0.0, 0
    while True:
        end = own if own >= 0 else len(price)
        offered = _between(sums, begin, end, 0)
        if offered >= need and end > begin:
            cut = _reached(sums, begin, end, need)
            need -= _between(sums, begin, cut, 0)
            return total + _between(sums, begin, cut, 2) + need * (price[cut] - reserve)
        total += _between(sums, begin, end, 2)
        need -= offered
        if own < 0 or need <= 0:
            return total
        begin, own = own + 1, own_next[own]


@numba.njit(cache=True)
def _reached(sums, begin, end, need):  # type: ignore[no-untyped-def]
    """The row from `begin` within which `need` is reached, by doubled steps, then halved ones."""
    step, low = 1, begin
    while low + step < end and _between(sums, begin, low + step, 0) < need:
        low += step
        step *= 2
    high = min(low + step, end)
    while high - low > 1:
        middle = (low + high) // 2
        if _between(sums, begin, middle, 0) < need:
            low = middle
        else:
            high = middle
    return low


@numba.njit(cache=True)
def _each_winner(curves, n_bidders, asked, market, winner, row, amount, most):  # type: ignore[no-untyped-def]
    """Fill the arrays if they have room; how long they must be, or a number past `most`."""
    start, price, quantity, bidder, awarded, margin, floor = curves
    totals, rejected, n = np.zeros((n_bidders, 3)), quantity - awarded, 0
    for m in range(len(floor)):
        won, lost = slice(start[m], start[m] + floor[m]), slice(start[m] + margin[m], start[m] + floor[m])
        _total(price[won], awarded[won], bidder[won], 0.0, totals)
        for b in np.unique(bidder[won]):
            if asked[b] and totals[b, 0] > 0 and n <= most:
                before = n
                n = _walk(totals[b, 0], b, price, rejected, bidder, lost, row, amount, n)
                market[before:n], winner[before:n] = m, b
            totals[b] = 0.0
    return n


@numba.njit(cache=True)
def _walk(need, b, price, rejected, bidder, lost, row, amount, n):  # type: ignore[no-untyped-def]
    """Write the rows that a bidder displaces from place `n` on, if there is room; the place after the last."""
    k = lost.start
    while k < lost.stop and need > 0:
        stop, others = k, 0.0
        while stop < lost.stop and price[stop] == price[k]:
            others += rejected[stop] if bidder[stop] != b else 0.0
            stop += 1
        share = min(need / others, 1.0) if others > 0 else 0.0
        for j in range(k, stop):
            if bidder[j] != b and share * rejected[j] > 0:
                n = _write(j, share * rejected[j], row, amount, n)
        need = max(need - others, 0.0)
        k = stop
    return _write(-1, need, row, amount, n) if need > 0 else n


@numba.njit(cache=True)
def _write(j, part, row, amount, n):  # type: ignore[no-untyped-def]
    if n < len(row):
        row[n], amount[n] = j, part
    return n + 1
