"""The recursions of `gridlab.forecast.intraday`, compiled; `state` is a `gridlab.forecast.intraday.State`."""

import numba
import numpy as np

MEMBERS = ("naive", "kalman", "reverting", "var", "multiscale", "yesterday", "profile")
N_MEMBERS = len(MEMBERS)
NAIVE, KALMAN, REVERTING, VAR, MULTISCALE, YESTERDAY, PROFILE = range(N_MEMBERS)

LEAST_ROWS = 12
"""Scored forecasts of a lead before the ensemble takes over from the naive; rows that a dropped member is silent."""

N_WINDOW, N_PRIOR = 256, 32
"""Standardised errors kept for each lead, and how many of a Laplace law it begins with."""

PRIOR_GROWTH = 0.4
"""Exponent by which the law at the start widens with the lead."""

BANK_GAINS = np.array([0.1, 0.2, 0.35, 0.55, 0.8])
"""Of the local levels in the Kalman bank."""

MEAN_GAINS = np.array([1 / 3, 1 / 12, 1 / 48, 1 / 288])
"""Of the moving means that the multiscale regression sees; the third is the centre of the reverting members."""

CENTRE = 2
N_LAGS = 2
SLOW_GAIN, FAST_GAIN = 1 / 576, 1 / 12
HALF_KERNEL, PROFILE_GAIN = 6, 1 / 49
HUBER, MEAN_CLIP = 6.0, 3.0
SCALE_CLIP = 10.0
TARGET_CLIP = 5.0
REGRESSOR_CLIP = 20.0
FORGET = 1 - 1 / 3000
FORGET_REGRET = 1 - 1 / 5000
FORGET_LOSS = 0.99
VAR_PRIOR, DIRECT_PRIOR = 0.005, 0.02
REVERSION_PRIOR = 10.0
ADAPTIVE_RATE = 0.005
NAIVE_HEAD_START = 0.5
ERROR_GAIN = 1 / 2016
TINY = 1e-300

_part = numba.njit(cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compiled to be called by compiled code only."""

COUNT, AGE, LAST, NOW, BEFORE, FAST, SLOW, ERROR, EXPECTED = range(9)
REVERSION, SEASON = 9, 11
N_POINT = 13
"""Columns of `State.point`; of the last two there are two each, sums of products with the next and of squares."""

SEEN, USUAL, TIMES = range(3)
LARGEST, SCORED, FILLED = range(3)
MEAN, WIDTH, BANDS = range(3)


@numba.njit(cache=True, error_model="numpy")
def observe_rows(state, values, slots, leads, levels):  # type: ignore[no-untyped-def]
    """Score what was forecast of each row, learn it and forecast what follows, in place."""
    n_series = len(state.point)
    joint = np.empty((n_series, leads[-1]))
    for t in range(len(values)):
        clock = int(state.clock[0])
        for i in range(n_series):
            if np.isfinite(values[t, i]) and state.point[i, COUNT] > 0:
                score(state, i, values[t, i], clock, leads, levels)
                learn_regressions(state, i, values[t, i], clock, leads)
        for i in range(n_series):
            advance(state, i, values[t, i], slots[t])
        var_paths(state.point, state.means, state.var, joint)
        state.clock[0], state.clock[1] = clock + 1, slots[t]
        for i in range(n_series):
            if state.point[i, COUNT] > 0:
                issue(state, i, clock, slots[t], leads, joint)


@_part
def score(state, i, y, clock, leads, levels):  # type: ignore[no-untyped-def]
    """Learn from the forecasts of a value that came: error, weights, and coverage at each scored lead."""
    start = 0
    for k in range(len(leads)):
        at = start + clock % leads[k]
        start += leads[k]
        mean, width = state.issued[i, at, MEAN], state.issued[i, at, WIDTH]
        if not np.isfinite(mean) or (k == 0 and state.point[i, AGE] > 0):
            continue
        if k == 0:
            learn_error(state.point[i], state.tally[i, 0, SCORED], y - mean)
        if width > 0 and np.isfinite((y - mean) / width):
            learn_coverage(state.theta[i, k], state.issued[i, at], y, levels, ADAPTIVE_RATE / np.sqrt(leads[k]))
            learn_shape(state.window[i, k], state.tally[i, k], (y - mean) / width)
        learn_weights(state.regret[i, k], state.tally[i, k], state.members[i, at], mean, y)
        state.tally[i, k, SCORED] += 1


@_part
def learn_error(point, n_scored, error):  # type: ignore[no-untyped-def]
    """The one-step error, and the mean absolute one so far."""
    point[ERROR] = error
    before = 0.0 if np.isnan(point[EXPECTED]) else point[EXPECTED]
    point[EXPECTED] = before + max(1 / (n_scored + 1), ERROR_GAIN) * (abs(error) - before)


@_part
def learn_coverage(theta, issued, y, levels, rate):  # type: ignore[no-untyped-def]
    """Adaptive conformal inference: the level at which a quantile is read moves with every miss."""
    for j in range(len(levels)):
        below = 1.0 if y < issued[BANDS + j] else 0.0
        if y == issued[BANDS + j]:
            below = levels[j]
        theta[j] += rate * (levels[j] - below)


@_part
def learn_shape(window, tally, ratio):  # type: ignore[no-untyped-def]
    """Put a standardised error into the window in the place of the oldest, and into the order of size."""
    n = int(tally[FILLED])
    in_time, in_size = window[0], window[1]
    at = min(n, N_WINDOW - 1)
    if n >= N_WINDOW:
        at = np.searchsorted(in_size, in_time[n % N_WINDOW])
    while at > 0 and in_size[at - 1] > ratio:
        in_size[at] = in_size[at - 1]
        at -= 1
    while at < min(n, N_WINDOW - 1) and in_size[at + 1] < ratio:
        in_size[at] = in_size[at + 1]
        at += 1
    in_size[at] = ratio
    in_time[n % N_WINDOW] = ratio
    tally[FILLED] = n + 1


@_part
def learn_weights(regret, tally, members, mean, y):  # type: ignore[no-untyped-def]
    """Regrets of the combination towards its members: of the absolute error and of the same made linear, in halves."""
    sign, largest = np.sign(mean - y), tally[LARGEST]
    for m in range(N_MEMBERS):
        if np.isfinite(members[m]):
            largest = max(largest, abs(mean - members[m]))
    cut = tally[LARGEST] / largest if 0 < largest < np.inf else 0.0
    for m in range(N_MEMBERS):
        linear, plain = sign * (mean - members[m]), abs(mean - y) - abs(members[m] - y)
        now = 0.5 * (linear + plain) * cut if np.isfinite(members[m]) else 0.0
        regret[0, m] = FORGET_REGRET * regret[0, m] + now
        regret[1, m] = FORGET_REGRET * regret[1, m] + now**2
    tally[LARGEST] = min(largest, 1e150)


@_part
def weigh(regret, tally, members, weights):  # type: ignore[no-untyped-def]
    """Weights of the members that have a forecast; all on the naive while few forecasts have been scored."""
    total, largest = 0.0, tally[LARGEST]
    for m in range(N_MEMBERS):
        lead = NAIVE_HEAD_START * largest if m == NAIVE else 0.0
        scale = largest**2 + regret[1, m]
        usable = np.isfinite(members[m]) and scale > 0
        weights[m] = max(regret[0, m] + lead, 0.0) / scale if usable else 0.0
        total += weights[m]
    if not 0 < total < np.inf or tally[SCORED] < LEAST_ROWS:
        for m in range(N_MEMBERS):
            weights[m] = 0.0
        weights[NAIVE] = total = 1.0
    for m in range(N_MEMBERS):
        weights[m] /= total


@_part
def learn_regressions(state, i, y, clock, leads):  # type: ignore[no-untyped-def]
    """Move the regressions whose regressors were known when the value was that many rows ahead."""
    n, n_rows = state.direct.shape[3], state.regressors.shape[1]
    for k in range(len(leads)):
        x = state.regressors[i, (clock - leads[k]) % n_rows]
        if clock >= leads[k] and x[n + 1] > 0:
            x[n - 1] = x[n + 2 + k]
            least_squares(state.direct[i, k], x, (y - x[n]) / x[n + 1])
    if state.point[i, AGE] == 0 and state.point[i, COUNT] >= 3 and state.point[i, SLOW] > 0:
        x = np.empty(state.var.shape[2])
        var_regressors(state.point, state.means, x)
        least_squares(state.var[i], x, (y - state.point[i, NOW]) / state.point[i, SLOW])


@_part
def least_squares(fit, x, target):  # type: ignore[no-untyped-def]
    """A step of discounted recursive least squares; where the inverse has wound up, nothing is forgotten."""
    n = fit.shape[1]
    gain, predicted, scale, trace = np.zeros(n), 0.0, 0.0, 0.0
    for a in range(n):
        for b in range(n):
            gain[a] += fit[1 + a, b] * x[b]
        predicted += fit[0, a] * x[a]
        scale += gain[a] * x[a]
        trace += fit[1 + a, a]
    keep = FORGET if trace < n else 1.0
    error = clip(target - predicted, TARGET_CLIP)
    for a in range(n):
        fit[0, a] += gain[a] * error / (keep + scale)
        for b in range(n):
            fit[1 + a, b] = (fit[1 + a, b] - gain[a] * gain[b] / (keep + scale)) / keep


@_part
def clip(x, limit):  # type: ignore[no-untyped-def]
    """The nearest number in [-limit, limit]."""
    return min(max(x, -limit), limit)


@_part
def seasonal_step(daily, point, slot, lead):  # type: ignore[no-untyped-def]
    """How the usual value changes over a lead, 0 before a day is known."""
    n_day = len(daily)
    step = daily[(slot + lead) % n_day, USUAL] - daily[slot % n_day, USUAL]
    return step if np.isfinite(step) and point[COUNT] > n_day else 0.0


@_part
def var_regressors(point, means, x):  # type: ignore[no-untyped-def]
    """Distances of all series from their centres in units of their scales, now and a row before."""
    n_series = len(point)
    for j in range(n_series):
        usable = point[j, COUNT] > 0 and point[j, SLOW] > 0
        for lag in range(N_LAGS):
            distance = (point[j, BEFORE if lag else NOW] - means[j, CENTRE]) / point[j, SLOW] if usable else 0.0
            x[lag * n_series + j] = clip(distance, REGRESSOR_CLIP)


@_part
def var_paths(point, means, var, out):  # type: ignore[no-untyped-def]
    """Forecasts of all series together by iterating the autoregression of moves; NaN where a series has none."""
    n_series = len(point)
    x, moved, new = np.empty(var.shape[2]), np.zeros(n_series), np.empty(n_series)
    var_regressors(point, means, x)
    for h in range(out.shape[1]):
        for j in range(n_series):
            move = 0.0
            for a in range(len(x)):
                move += var[j, 0, a] * x[a]
            known = point[j, COUNT] >= 3 and point[j, SLOW] > 0
            moved[j] = clip(moved[j] + move, 2 * REGRESSOR_CLIP) if known else 0.0
            new[j] = clip(x[j] + move, REGRESSOR_CLIP)
            out[j, h] = point[j, NOW] + point[j, SLOW] * moved[j] if known else np.nan
        for j in range(n_series):
            x[n_series + j], x[j] = x[j], new[j]


@_part
def advance(state, i, y, slot):  # type: ignore[no-untyped-def]
    """Move a series on by a row; one that is missing is carried over as it was forecast, and nothing is learned."""
    point, known = state.point[i], np.isfinite(y)
    state.daily[i, slot, SEEN] = y if known else np.nan
    if known:
        if point[COUNT] == 0 or not np.isfinite(point[FAST] + point[SLOW] + total_of(state.means[i])):
            begin(point, state.means[i], state.bank[i], y)
        else:
            learn_members(point, state.means[i], state.bank[i], state.issued[i, 0, MEAN], y)
        learn_profile(state.daily[i], point, y, slot)
        point[BEFORE] = point[NOW]
        point[NOW], point[LAST], point[AGE] = y, y, 0
        point[COUNT] += 1
    elif point[COUNT] > 0:
        ahead = state.issued[i, 0, MEAN]
        point[BEFORE] = point[NOW]
        point[NOW] = ahead if np.isfinite(ahead) else point[LAST]
        point[AGE] += 1
        point[ERROR] = np.nan


@_part
def begin(point, means, bank, y):  # type: ignore[no-untyped-def]
    """The first value of a series."""
    for j in range(len(means)):
        means[j] = y
    fresh_bank(bank, y)
    point[NOW], point[FAST], point[SLOW], point[COUNT] = y, 0.0, 0.0, 0.0


@_part
def fresh_bank(bank, y):  # type: ignore[no-untyped-def]
    """The Kalman bank as it begins."""
    for j in range(bank.shape[1]):
        bank[0, j], bank[1, j] = y, 0.0


@_part
def total_of(numbers):  # type: ignore[no-untyped-def]
    """The sum, which is not finite where a number is not."""
    total = 0.0
    for number in numbers:
        total += number
    return total


@_part
def learn_members(point, means, bank, ahead, y):  # type: ignore[no-untyped-def]
    """Scales of the one-step errors, moving means and local levels, with moves cut to some scales."""
    n = point[COUNT]
    surprise = abs(y - ahead) if np.isfinite(ahead) else abs(y - point[NOW])
    wide = max(point[FAST], point[SLOW])
    if n > LEAST_ROWS and wide > 0:
        surprise = min(surprise, SCALE_CLIP * wide)
    point[SLOW] += max(1 / n, SLOW_GAIN) * (surprise - point[SLOW])
    point[FAST] += max(1 / n, FAST_GAIN) * (surprise - point[FAST])
    unit = unit_of(point, y)
    centre = means[CENTRE]
    learn_reversion(point, REVERSION, (y - centre) / unit, (point[NOW] - centre) / unit)
    for j in range(len(means)):
        means[j] += max(1 / (n + 1), MEAN_GAINS[j]) * clip(y - means[j], MEAN_CLIP * unit)
    for j in range(bank.shape[1]):
        bank[1, j] = FORGET_LOSS * bank[1, j] + abs(y - bank[0, j]) / unit
        bank[0, j] += max(1 / (n + 1), BANK_GAINS[j]) * clip(y - bank[0, j], HUBER * unit)


@_part
def unit_of(point, y):  # type: ignore[no-untyped-def]
    """A scale of errors that is never 0."""
    return max(point[SLOW], point[FAST], 1e-9 * abs(y), TINY)


@_part
def learn_reversion(point, at, new, old):  # type: ignore[no-untyped-def]
    """Discounted sums of products of a deviation with the next and with itself."""
    new, old = clip(new, REGRESSOR_CLIP), clip(old, REGRESSOR_CLIP)
    point[at] = (1 - SLOW_GAIN) * point[at] + new * old
    point[at + 1] = (1 - SLOW_GAIN) * point[at + 1] + old * old


@_part
def persistence(point, at):  # type: ignore[no-untyped-def]
    """Share of a deviation left a row later, in [0, 1], drawn to 1."""
    return min(max((point[at] + REVERSION_PRIOR) / (point[at + 1] + REVERSION_PRIOR), 0.0), 1.0)


@_part
def learn_profile(daily, point, y, slot):  # type: ignore[no-untyped-def]
    """The usual value of a slot and of those beside it, and how a deviation from it lasts."""
    n_day, unit = len(daily), unit_of(point, y)
    new, old = y - daily[slot, USUAL], point[NOW] - daily[(slot - 1) % n_day, USUAL]
    if point[COUNT] > n_day and np.isfinite(new) and np.isfinite(old):
        learn_reversion(point, SEASON, new / unit, old / unit)
    for d in range(-HALF_KERNEL, HALF_KERNEL + 1):
        of_slot = daily[(slot + d) % n_day]
        part = 1 - abs(d) / (HALF_KERNEL + 1)
        if not np.isfinite(of_slot[USUAL]):
            of_slot[USUAL], of_slot[TIMES] = y, 0.0
        of_slot[TIMES] += part
        gain = part * max(1 / of_slot[TIMES], PROFILE_GAIN)
        of_slot[USUAL] += gain * clip(y - of_slot[USUAL], 10 * unit)


@_part
def issue(state, i, clock, slot, leads, joint):  # type: ignore[no-untyped-def]
    """Forecasts of the scored leads, kept until they come due; of a filled value only the next, and none is scored."""
    mend(state, i, leads)
    n = state.direct.shape[3]
    x = state.regressors[i, clock % state.regressors.shape[1]]
    make_regressors(state.point, state.means, i, x)
    weights = np.empty(N_MEMBERS)
    start = 0
    for k in range(len(leads)):
        at = start + clock % leads[k]
        start += leads[k]
        issued = state.issued[i, at]
        if state.point[i, AGE] > 0 and k > 0:
            issued[MEAN] = np.nan
            continue
        members = state.members[i, at]
        step = seasonal_step(state.daily[i], state.point[i], slot, leads[k])
        x[n + 2 + k] = clip(step / x[n + 1], REGRESSOR_CLIP) if x[n + 1] > 0 else 0.0
        forecast_members(state, i, slot, leads[k], k, k, 0.0, x, joint[i, leads[k] - 1], members)
        silence(state.silent[i], members)
        weigh(state.regret[i, k], state.tally[i, k], members, weights)
        issued[MEAN], issued[WIDTH] = mixed(weights, members), width_of(state.point[i])
        for j in range(state.theta.shape[2]):
            ratio = read(state.window[i, k], state.tally[i, k], state.theta[i, k, j])
            issued[BANDS + j] = issued[MEAN] + issued[WIDTH] * ratio
    if state.point[i, AGE] > 0:
        x[n + 1] = 0.0


@_part
def silence(silent, members):  # type: ignore[no-untyped-def]
    """Take out the members that were dropped not long ago, and drop those whose sums are not numbers."""
    for m in range(1, N_MEMBERS):
        if silent[m] > 0 or np.isinf(members[m]):
            members[m] = np.nan


@_part
def mend(state, i, leads):  # type: ignore[no-untyped-def]
    """Begin again with the members whose sums are not numbers, which are then silent for a while."""
    point, silent = state.point[i], state.silent[i]
    for m in range(N_MEMBERS):
        silent[m] = max(silent[m] - 1, 0.0)
    if not np.isfinite(total_of(state.bank[i, 0]) + total_of(state.bank[i, 1])):
        fresh_bank(state.bank[i], point[NOW])
        silent[KALMAN] = LEAST_ROWS
    if not np.isfinite(point[REVERSION] + point[REVERSION + 1]):
        point[REVERSION] = point[REVERSION + 1] = 0.0
        silent[REVERTING] = LEAST_ROWS
    if not np.isfinite(point[SEASON] + point[SEASON + 1]):
        point[SEASON] = point[SEASON + 1] = 0.0
        silent[PROFILE] = LEAST_ROWS
    if not np.isfinite(total_of(state.var[i].ravel())):
        refresh(state.var[i], VAR_PRIOR)
        silent[VAR] = LEAST_ROWS
    for k in range(state.direct.shape[1]):
        if not np.isfinite(total_of(state.direct[i, k].ravel())):
            refresh(state.direct[i, k], DIRECT_PRIOR / leads[k])
            silent[MULTISCALE] = LEAST_ROWS


@_part
def refresh(fit, prior):  # type: ignore[no-untyped-def]
    """A regression as it begins."""
    n = fit.shape[1]
    for a in range(n):
        fit[0, a] = 0.0
        for b in range(n):
            fit[1 + a, b] = prior if a == b else 0.0


@_part
def make_regressors(point, means, i, x):  # type: ignore[no-untyped-def]
    """Distances from the moving means, the last move, the others' distances, a place; then the value and the unit."""
    n = len(MEAN_GAINS) + len(point) + 1
    now, unit = point[i, NOW], max(0.5 * (point[i, FAST] + point[i, SLOW]), 1e-9 * abs(point[i, NOW]), TINY)
    at = len(MEAN_GAINS)
    for j in range(at):
        x[j] = (means[i, j] - now) / unit
    x[at] = (now - point[i, BEFORE]) / unit
    for j in range(len(point)):
        if j != i:
            at += 1
            usable = point[j, COUNT] > 0 and point[j, SLOW] > 0
            x[at] = (means[j, 1] - point[j, NOW]) / point[j, SLOW] if usable else 0.0
    for j in range(n - 1):
        x[j] = clip(x[j], REGRESSOR_CLIP) if np.isfinite(x[j]) else 0.0
    x[n - 1], x[n], x[n + 1] = 0.0, now, unit if point[i, COUNT] > 3 else 0.0


@_part
def forecast_members(state, i, slot, lead, low, high, part, x, joint, out):  # type: ignore[no-untyped-def]
    """Forecast of each member at a lead that lies between two scored ones; NaN where it has none."""
    point, daily = state.point[i], state.daily[i]
    n_day, now, centre = len(daily), point[NOW], state.means[i, CENTRE]
    ahead = (slot + lead) % n_day
    out[NAIVE] = point[LAST]
    out[KALMAN] = bank_level(state.bank[i])
    out[REVERTING] = centre + persistence(point, REVERSION) ** lead * (now - centre)
    out[VAR] = joint
    out[MULTISCALE] = out[PROFILE] = np.nan
    if point[COUNT] > 3:
        step = seasonal_step(daily, point, slot, lead)
        near, far = direct_move(state.direct[i, low], x, step), direct_move(state.direct[i, high], x, step)
        out[MULTISCALE] = now + x[len(MEAN_GAINS) + len(state.point) + 2] * (near + part * (far - near))
    out[YESTERDAY] = daily[ahead, SEEN] if lead < n_day else now
    if point[COUNT] > n_day:
        out[PROFILE] = daily[ahead, USUAL] + persistence(point, SEASON) ** lead * (now - daily[slot, USUAL])


@_part
def bank_level(bank):  # type: ignore[no-untyped-def]
    """Mean of the local levels, weighed by their discounted losses."""
    best, total, value = np.inf, 0.0, 0.0
    for j in range(bank.shape[1]):
        best = min(best, bank[1, j])
    for j in range(bank.shape[1]):
        weight = np.exp(best - bank[1, j])
        total += weight
        value += weight * bank[0, j]
    return value / total


@_part
def direct_move(fit, x, step):  # type: ignore[no-untyped-def]
    """The move that a direct regression forecasts, in its unit."""
    n = fit.shape[1]
    total = fit[0, n - 1] * clip(step / x[n + 1], REGRESSOR_CLIP)
    for a in range(n - 1):
        total += fit[0, a] * x[a]
    return total


@_part
def mixed(weights, members):  # type: ignore[no-untyped-def]
    """Weighted mean of the members; the naive where it is not a number."""
    total = 0.0
    for m in range(N_MEMBERS):
        if weights[m] > 0:
            total += weights[m] * members[m]
    return total if np.isfinite(total) else members[NAIVE]


@_part
def width_of(point):  # type: ignore[no-untyped-def]
    """Scale of the errors to come: the geometric mean of a fast and a slow one."""
    return np.sqrt(max(point[FAST], 0.05 * point[SLOW])) * np.sqrt(point[SLOW])


@_part
def read(window, tally, level):  # type: ignore[no-untyped-def]
    """Quantile of the errors in the window, whose ends go on along straight lines."""
    in_size, n = window[1], min(int(tally[FILLED]), N_WINDOW)
    position = level * (n + 1) - 1
    tail = max(0.3 * (in_size[(3 * n) // 4] - in_size[n // 4]), 0.05) * 50 / (n + 1)
    if position < 0:
        return in_size[0] + position * tail
    if position > n - 1:
        return in_size[n - 1] + (position - n + 1) * tail
    below = min(int(position), n - 2)
    return in_size[below] + (position - below) * (in_size[below + 1] - in_size[below])


@numba.njit(cache=True, error_model="numpy")
def outlook(state, leads, levels, n_leads, wanted):  # type: ignore[no-untyped-def]
    """Mean, quantiles at increasing levels, and mean weights of the members, of all series."""
    n_series, slot = len(state.point), int(state.clock[1])
    mean, bands = np.full((n_series, n_leads), np.nan), np.full((n_series, n_leads, len(wanted)), np.nan)
    shares, joint = np.zeros((n_series, N_MEMBERS)), np.empty((n_series, n_leads))
    var_paths(state.point, state.means, state.var, joint)
    x = np.empty(state.regressors.shape[2])
    for i in range(n_series):
        if state.point[i, COUNT] > 0:
            make_regressors(state.point, state.means, i, x)
            for h in range(n_leads):
                look_ahead(state, i, slot, h + 1, leads, joint[i, h], x, mean[i], shares[i])
                width_ahead(state, i, h + 1, leads, levels, wanted, mean[i, h], bands[i, h])
    return mean, bands, shares / n_leads


@_part
def between(lead, leads):  # type: ignore[no-untyped-def]
    """The scored leads around a lead and its place between them in logarithms."""
    low = 0
    while low < len(leads) - 1 and leads[low + 1] <= lead:
        low += 1
    if low == len(leads) - 1:
        return low, low, 0.0
    return low, low + 1, np.log(lead / leads[low]) / np.log(leads[low + 1] / leads[low])


@_part
def look_ahead(state, i, slot, lead, leads, joint, x, mean, shares):  # type: ignore[no-untyped-def]
    """Mean forecast at a lead, with the weights of the scored leads around it."""
    low, high, part = between(lead, leads)
    members, near, far = np.empty(N_MEMBERS), np.empty(N_MEMBERS), np.empty(N_MEMBERS)
    forecast_members(state, i, slot, lead, low, high, part, x, joint, members)
    silence(state.silent[i], members)
    weigh(state.regret[i, low], state.tally[i, low], members, near)
    weigh(state.regret[i, high], state.tally[i, high], members, far)
    for m in range(N_MEMBERS):
        near[m] += part * (far[m] - near[m])
        shares[m] += near[m]
    mean[lead - 1] = mixed(near, members)


@_part
def width_ahead(state, i, lead, leads, levels, wanted, mean, bands):  # type: ignore[no-untyped-def]
    """Quantiles at a lead, counted from the last value that is known, and growing beyond the last scored lead."""
    lead += int(state.point[i, AGE])
    low, high, part = between(lead, leads)
    width = width_of(state.point[i]) * np.sqrt(max(lead / leads[-1], 1.0))
    highest = -np.inf
    for j in range(len(wanted)):
        near = read(state.window[i, low], state.tally[i, low], adapted(state.theta[i, low], levels, wanted[j]))
        far = read(state.window[i, high], state.tally[i, high], adapted(state.theta[i, high], levels, wanted[j]))
        highest = max(highest, mean + width * (near + part * (far - near)))
        bands[j] = highest


@_part
def adapted(theta, levels, wanted):  # type: ignore[no-untyped-def]
    """The level at which a quantile is to be read, with the shift of the adapted levels around it."""
    n = len(levels)
    if wanted <= levels[0]:
        return wanted + theta[0] - levels[0]
    for j in range(1, n):
        if wanted <= levels[j]:
            part = (wanted - levels[j - 1]) / (levels[j] - levels[j - 1])
            before, after = theta[j - 1] - levels[j - 1], theta[j] - levels[j]
            return wanted + before + part * (after - before)
    return wanted + theta[n - 1] - levels[n - 1]
