"""
Backtests of a value at risk by its hits, the days whose loss was greater.

A model that holds has hits with probability ``1 - level``, each independent of the past. Every test takes series of
hits along the last axis and many series at once. Its p-value is that of its chi-square limit, which the literature
reports; given `exact` or `rng`, it is one that holds for any number of days. The difference matters: see `kupiec`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc, chdtrc, gammaln, xlog1py, xlogy

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, as_numbers, checked_level, finite, refuse_other_index, refuse_table
from gridlab.risk.p_values import BacktestResult, exact_p_value, simulated_p_value

Counts = NDArray[np.int64]
Hits = NDArray[np.bool_]

BASEL_ADD_ONS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.40, 0.50, 0.65, 0.75, 0.85, 1.0)
"""What Basel's committee (1996, table 2) adds to its multiplier for 0, 1, ..., 10 or more hits in 250 days at 99 %."""

_YELLOW, _RED = 0.95, 0.9999  # cumulative probabilities at which Basel's zones begin
_NEGLIGIBLE = -45.0  # log of a probability that no p-value shows
_RANK_TOLERANCE = 1e-9
_BLOCK = 64  # series whose simulated dynamic quantile statistics are held at once


class Christoffersen(NamedTuple):
    """Both tests of Christoffersen, and the counts [[n00, n01], [n10, n11]] of what followed what."""

    independence: BacktestResult
    conditional_coverage: BacktestResult
    transitions: Counts


class DynamicQuantile(NamedTuple):
    """Statistic and p-value of the dynamic quantile test, and the rank of its regressors."""

    statistic: Floats
    p_value: Floats
    degrees_of_freedom: Counts


class TrafficLight(NamedTuple):
    """
    Basel's zone of a number of hits.

    `probability` is that of so many hits or fewer, `p_value` that of so many or more; the yellow zone begins at
    `yellow` hits and the red one at `red`. `add_on` is NaN but for 250 days at 99 %.
    """

    zone: NDArray[np.str_]
    probability: Floats
    p_value: Floats
    yellow: int
    red: int
    add_on: Floats


def kupiec(
    hits: ArrayLike, level: float, *, exact: bool = False, rng: np.random.Generator | None = None
) -> BacktestResult:
    r"""
    Kupiec's test of the proportion of failures: does the VaR have as many hits as it should?

    The likelihood ratio of the observed share of hits against :math:`p` = ``1 - level``,

    .. math:: LR = 2 \left[ x \log \frac{x/n}{p} + (n - x) \log \frac{1 - x/n}{1 - p} \right],

    with :math:`0 \log 0 = 0`, is chi-square with one degree of freedom for long series.

    Parameters
    ----------
    hits : array_like of bool or 0 and 1, shape (..., n_days)
        Whether the loss was greater than the VaR. [-]
    level : float
        Confidence level of the VaR, ``0 < level < 1``. [-]
    exact : bool
        Take the p-value from the binomial law of the hits, instead of the chi-square: a true model is rejected at 5 %
        in so many cases or fewer.
    rng : Generator, optional
        Takes the p-value from that law and breaks ties by a coin, so that it is rejected in exactly 5 %.

    Returns
    -------
    BacktestResult
        `statistic` and `p_value`, shape (...). Without hits the statistic is ``-2 n log(level)``.

    Raises
    ------
    DataError
        If `level` is outside (0, 1), `hits` is a DataFrame, there are fewer than two days, or a hit is neither 0 nor 1.

    Notes
    -----
    Of 250 days at 99 %, a true model is rejected by the chi-square p-value at 5 % in 9.5 % of the cases. As the number
    of hits takes few values, a test of exactly 5 % needs the coin, with which another `rng` gives another p-value: it
    serves studies of size and power. A desk that must decide once takes `exact` without it, and a test that is
    conservative: at 5 % it rejects a true model in 1.37 % of the cases on 250 days at 99 %, in 4.62 % at 95 %, and in
    3.95 % on 500 days at 95 %; so it finds fewer of the wrong ones too.

    References
    ----------
    .. [1] P. H. Kupiec, "Techniques for verifying the accuracy of risk measurement models," J. Derivatives 3(2), 1995,
       doi:10.3905/jod.1995.407942.

    Examples
    --------
    >>> statistic, p_value = kupiec([1] * 57 + [0] * 986, level=0.95)
    >>> round(float(statistic), 5), round(float(p_value), 5)
    (0.46147, 0.49694)
    """
    hits, level = _checked(hits, level)
    n_days, n_hits = hits.shape[-1], np.count_nonzero(hits, axis=-1)
    statistic = _coverage_ratio(n_hits, n_days, level)
    if not exact and rng is None:
        return BacktestResult(statistic, chdtrc(1, statistic))
    counts, probability = _hit_counts(n_days, level)
    values = _coverage_ratio(counts, n_days, level)
    return BacktestResult(statistic, exact_p_value(statistic, values, probability, rng=rng))


def christoffersen(
    hits: ArrayLike, level: float, *, exact: bool = False, rng: np.random.Generator | None = None
) -> Christoffersen:
    r"""
    Christoffersen's tests: does a hit make another more likely the day after, and are hits as many as they should be?

    `independence` is the likelihood ratio of a chain, whose hits depend on the day before, against one probability of
    a hit on all days, chi-square with one degree of freedom; `conditional_coverage` is the sum of that ratio and
    of `kupiec`'s, with two.

    Parameters
    ----------
    hits : array_like of bool or 0 and 1, shape (..., n_days)
        Whether the loss was greater than the VaR, on consecutive days. [-]
    level : float
        Confidence level of the VaR, ``0 < level < 1``. [-]
    exact : bool
        Take the p-values from exact laws, as `kupiec` does: for `independence`, of as many hits as there were in any
        order, so that it holds whatever the share of hits; for `conditional_coverage`, of independent hits with
        probability ``1 - level``.
    rng : Generator, optional
        Takes the p-values from those laws and breaks ties by a coin.

    Returns
    -------
    Christoffersen
        `independence` and `conditional_coverage`, each of shape (...), and `transitions`, shape (..., 2, 2). Counts may
        be 0, as :math:`0 \log 0 = 0`: without hits, or with hits only, the ratio of independence is 0 with p-value 1.

    Raises
    ------
    DataError
        As `kupiec` does.

    Notes
    -----
    The exact laws list all arrangements of the hits by their number of runs and by whether they begin and end with a
    hit, which is all that the counts of transitions depend on.

    References
    ----------
    .. [1] P. F. Christoffersen, "Evaluating interval forecasts," International Economic Review 39(4), 1998,
       doi:10.2307/2527341.
    .. [2] P. Christoffersen and D. Pelletier, "Backtesting value-at-risk: a duration-based approach," J. Financial
       Econometrics 2(1), 2004, section 4, on p-values in finite samples, doi:10.1093/jjfinec/nbh004.

    Examples
    --------
    >>> result = christoffersen([0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0], level=0.95)
    >>> result.transitions.tolist(), round(float(result.independence.statistic), 6)
    ([[4, 3], [3, 1]], 0.361204)
    """
    hits, level = _checked(hits, level)
    n_days, n_hits = hits.shape[-1], np.count_nonzero(hits, axis=-1)
    transitions = _transitions(hits)
    independence = _independence_ratio(transitions)
    both = independence + _coverage_ratio(n_hits, n_days, level)
    if not exact and rng is None:
        tests = BacktestResult(independence, chdtrc(1, independence)), BacktestResult(both, chdtrc(2, both))
        return Christoffersen(*tests, transitions)
    p_independence = _exact_independence(independence, n_hits, n_days, rng)
    p_both = exact_p_value(both, *_conditional_coverage_law(n_days, level), rng=rng)
    return Christoffersen(BacktestResult(independence, p_independence), BacktestResult(both, p_both), transitions)


def dynamic_quantile(
    hits: ArrayLike,
    var: ArrayLike,
    level: float,
    *,
    lags: int = 4,
    rng: np.random.Generator | None = None,
    n_simulations: int = 9_999,
) -> DynamicQuantile:
    r"""
    Engle and Manganelli's test: can hits be foreseen from hits before them or from the VaR itself?

    With :math:`Hit_t = 1\{loss_t > VaR_t\} - (1 - level)` regressed on a constant, the last `lags` hits and the VaR of
    the day, all known before the day, the explained sum of squares over :math:`level (1 - level)`,

    .. math:: DQ = \frac{Hit' X (X'X)^{-1} X' Hit}{level (1 - level)},

    is chi-square with as many degrees of freedom as regressors.

    Parameters
    ----------
    hits : array_like of bool or 0 and 1, shape (..., n_days)
        Whether the loss was greater than the VaR, on consecutive days. [-]
    var : array_like, shape (n_days,) or (..., n_days)
        Value at risk of each day. [$]
    level : float
        Confidence level of the VaR, ``0 < level < 1``. [-]
    lags : int
        Hits before the day that are regressors; so many days at the beginning are left out. [d]
    rng : Generator, optional
        Draws `n_simulations` series of independent hits and gives the Monte-Carlo p-value instead of the chi-square.
    n_simulations : int
        Series drawn.

    Returns
    -------
    DynamicQuantile
        `statistic`, `p_value` and `degrees_of_freedom`, shape (...). A regressor that the others span, as a constant
        VaR or the lags of a series without hits, adds nothing to the statistic nor to the degrees of freedom.

    Raises
    ------
    DataError
        As `kupiec` does, and if `var` is not finite or not of the days of `hits`, `lags` is negative, or the days
        are not more than twice the lags and three (`least_days`).

    Notes
    -----
    The simulation takes the VaR as given and draws the hits apart from it. Where the VaR answers to the losses, as that
    of a GARCH does, this is an approximation: see the sizes that ``benchmarks/risk_backtests.py`` prints.

    References
    ----------
    .. [1] R. F. Engle and S. Manganelli, "CAViaR: conditional autoregressive value at risk by regression quantiles,"
       J. Business & Economic Statistics 22(4), 2004, theorem 5, doi:10.1198/073500104000000370.

    Examples
    --------
    >>> in_runs = np.repeat(np.random.default_rng(0).random(100) >= 0.95, 5)
    >>> result = dynamic_quantile(in_runs, np.full(500, 3.7), 0.95)
    >>> bool(result.p_value < 0.001), int(result.degrees_of_freedom)  # the VaR is constant
    (True, 5)
    """
    refuse_other_index(hits=hits, var=var)
    hits, level = _checked(hits, level)
    var = _checked_var(var, hits)
    if lags < 0 or hits.shape[-1] < least_days(lags):
        raise DataError(f"lags must be at least 0 and below half the days less 3, got {lags} for {hits.shape[-1]} days")
    scale, standard = level * (1 - level), _standardised(var[..., lags:])
    past = _factor(hits, level, lags)
    explained, rank = _explained(past, _paired(standard, past), np.square(standard).sum(axis=-1))
    statistic = explained / scale
    if rng is None:
        return DynamicQuantile(statistic, chdtrc(rank, statistic), rank)
    drawn = _factor(rng.random((n_simulations, hits.shape[-1])) >= level, level, lags)
    p_value = _simulated_dynamic_quantile(statistic, standard, drawn, scale, rng)
    return DynamicQuantile(statistic, p_value, rank)


def least_days(lags: int) -> int:
    """Fewest days from which `dynamic_quantile` answers with so many lags."""
    return 2 * lags + 4


def traffic_light(hits: ArrayLike, level: float, *, rng: np.random.Generator | None = None) -> TrafficLight:
    """
    Basel's traffic light: green, yellow or red by the probability of so many hits or fewer under a model that holds.

    Yellow begins where that probability reaches 95 %, red where it reaches 99.99 %.

    Parameters
    ----------
    hits : array_like of bool or 0 and 1, shape (..., n_days)
        Whether the loss was greater than the VaR. [-]
    level : float
        Confidence level of the VaR, ``0 < level < 1``. [-]
    rng : Generator, optional
        Breaks ties in the p-value, so that 5 % of true models lie below 5 %; without it the p-value is that of so many
        hits or more, and fewer do: on 250 days at 99 %, 4.12 %.

    Returns
    -------
    TrafficLight
        `zone`, `probability`, `p_value` and `add_on` of shape (...); `yellow` and `red`, the hits at which they begin.

    Raises
    ------
    DataError
        As `kupiec` does.

    References
    ----------
    .. [1] Basel Committee on Banking Supervision, "Supervisory framework for the use of 'backtesting' in conjunction
       with the internal models approach to market risk capital requirements," 1996, https://www.bis.org/publ/bcbs22.htm.

    Examples
    --------
    >>> light = traffic_light([1] * 7 + [0] * 243, level=0.99)
    >>> str(light.zone), light.yellow, light.red, float(light.add_on)
    ('yellow', 5, 10, 0.65)
    """
    hits, level = _checked(hits, level)
    n_days, n_hits = hits.shape[-1], np.count_nonzero(hits, axis=-1)
    counts, mass = _hit_counts(n_days, level)
    more = bdtrc(counts, n_days, 1 - level)  # probability of more hits than each count
    yellow, red = (int(np.argmax(more <= 1 - begin)) for begin in (_YELLOW, _RED))
    p_value = (more + mass)[n_hits] if rng is None else exact_p_value(n_hits, counts, mass, rng=rng)
    zone = np.array(["green", "yellow", "red"])[(n_hits >= yellow).astype(int) + (n_hits >= red)]
    basel = n_days == 250 and abs(level - 0.99) < 1e-12
    add_on = np.array(BASEL_ADD_ONS)[np.minimum(n_hits, 10)] if basel else np.full(np.shape(n_hits), np.nan)[()]
    return TrafficLight(zone, 1 - more[n_hits], p_value, yellow, red, add_on)


def _checked(hits: ArrayLike, level: float) -> tuple[Hits, float]:
    level = checked_level(level, above_zero=True)
    refuse_table(hits, "hits")
    hits = np.asarray(hits)
    if hits.ndim == 0 or hits.shape[-1] < 2:
        raise DataError(f"a backtest needs two days of hits or more along the last axis, got shape {hits.shape}")
    if hits.dtype == bool:
        return hits, level
    is_hit = hits == 1
    wrong = ~is_hit & (hits != 0)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(f"hits must be 0 or 1, got {hits[where]} on day {where[-1]} (counted from 0): give loss > var")
    return np.asarray(is_hit), level


def _checked_var(var: ArrayLike, hits: Hits) -> Floats:
    var = as_numbers(var, "var")
    if var.shape[-1:] != hits.shape[-1:] or (var.ndim > 1 and var.shape != hits.shape):
        raise DataError(f"var must be of the days of the hits, shape {hits.shape}, got {var.shape}")
    return finite(var, "var", "leave out the days without a measure")


def _coverage_ratio(n_hits: Any, n_days: int, level: float) -> Floats:
    share = n_hits / n_days
    observed = xlogy(n_hits, share) + xlogy(n_days - n_hits, 1 - share)
    expected = xlog1py(n_hits, -level) + xlogy(n_days - n_hits, level)
    return np.asarray(np.maximum(2 * (observed - expected), 0.0))[()]


def _independence_ratio(transitions: Counts) -> Floats:
    """Log likelihood ratio of a row of probabilities for each state against one row for both, shape (...)."""
    total = transitions.sum(axis=-2)
    chain = _entropy(transitions).sum(axis=-1)
    return np.asarray(np.maximum(2 * (chain - _entropy(total)), 0.0))[()]


def _entropy(counts: Counts) -> Floats:
    """Log likelihood of counts under their own shares, over the last axis; shape (...)."""
    total = counts.sum(axis=-1)
    return np.asarray(xlogy(counts, counts).sum(axis=-1) - xlogy(total, total))


def _transitions(hits: Hits) -> Counts:
    before, after = hits[..., :-1], hits[..., 1:]
    hit_hit = np.count_nonzero(before & after, axis=-1)
    from_hit, to_hit = np.count_nonzero(before, axis=-1), np.count_nonzero(after, axis=-1)
    rest = before.shape[-1] - from_hit - to_hit + hit_hit
    return _two_by_two(rest, to_hit - hit_hit, from_hit - hit_hit, hit_hit)


def _two_by_two(n00: Any, n01: Any, n10: Any, n11: Any) -> Counts:
    return np.stack([np.stack([n00, n01], axis=-1), np.stack([n10, n11], axis=-1)], axis=-2)


def _hit_counts(n_days: int, level: float) -> tuple[Counts, Floats]:
    """Every number of hits and its binomial probability."""
    counts = np.arange(n_days + 1)
    log_mass = _log_binomial(n_days, counts) + xlog1py(counts, -level) + xlogy(n_days - counts, level)
    return counts, np.exp(log_mass)


def _exact_independence(statistic: Floats, n_hits: Any, n_days: int, rng: np.random.Generator | None) -> Floats:
    p_value = np.ones(np.shape(statistic))
    for count in np.setdiff1d(n_hits, [0, n_days]):
        same = n_hits == count
        transitions, probability = _arrangements(n_days, int(count))
        p_value[same] = exact_p_value(statistic[same], _independence_ratio(transitions), probability, rng=rng)
    return p_value[()]


def _conditional_coverage_law(n_days: int, level: float) -> tuple[Floats, Floats]:
    """Every value of the ratio of conditional coverage and its probability."""
    counts, mass = _hit_counts(n_days, level)
    likely = counts[mass > np.exp(_NEGLIGIBLE)]
    laws = [_arrangements(n_days, int(count)) for count in likely]
    coverage = _coverage_ratio(likely, n_days, level)
    values = [_independence_ratio(kinds) + ratio for (kinds, _), ratio in zip(laws, coverage, strict=True)]
    probability = [mass[count] * share for (_, share), count in zip(laws, likely, strict=True)]
    return np.concatenate(values), np.concatenate(probability)


def _arrangements(n_days: int, n_hits: int) -> tuple[Counts, Floats]:
    """
    Transitions of the arrangements of so many hits, shape (n_kinds, 2, 2), and the probability of each kind.

    A kind has a number of runs of hits, which the first and the last day may belong to. Of h hits in r runs there are
    C(h - 1, r - 1), and the days without stand in a run before, after and between.
    """
    if n_hits in (0, n_days):
        ends = _two_by_two(*((n_days - 1) * np.array([[n_hits == 0], [False], [False], [n_hits > 0]])))
        return ends, np.ones(1)
    runs, first, last = (grid.ravel() for grid in np.meshgrid(np.arange(1, n_hits + 1), [0, 1], [0, 1], indexing="ij"))
    gaps, n_misses = runs + 1 - first - last, n_days - n_hits
    can_be = (gaps >= 1) & (gaps <= n_misses)
    runs, first, last, gaps = runs[can_be], first[can_be], last[can_be], gaps[can_be]
    log_ways = _log_binomial(n_hits - 1, runs - 1) + _log_binomial(n_misses - 1, gaps - 1)
    log_share = log_ways - _log_binomial(n_days, n_hits)
    likely = log_share > _NEGLIGIBLE
    transitions = _two_by_two(n_misses - gaps, runs - first, runs - last, n_hits - runs)
    return transitions[likely], np.exp(log_share[likely])


def _log_binomial(n: int, k: Any) -> Floats:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


class _Past(NamedTuple):
    """
    The regression of hits on a constant and their own past.

    `regressors` are the columns, each broadcast to (..., n_days); `factor` F, shape (..., k, k), has F F' = (X'X)^+;
    `fitted` is F'X'Hit and `rank` the number of columns that the others do not span.
    """

    target: Floats
    regressors: list[Floats]
    factor: Floats
    fitted: Floats
    rank: Counts


def _factor(hits: Hits, level: float, lags: int) -> _Past:
    values, n_days = hits.astype(float), hits.shape[-1]
    target = values[..., lags:] - (1 - level)
    past = [values[..., lags - lag : n_days - lag] for lag in range(1, lags + 1)]
    regressors = [np.broadcast_to(1.0, target.shape), *past]
    gram = np.stack([np.stack([_dot(a, b) for a in regressors], axis=-1) for b in regressors], axis=-1)
    moment = np.stack([_dot(column, target) for column in regressors], axis=-1)
    size, axes = np.linalg.eigh(gram)
    spans = size > _RANK_TOLERANCE * size[..., -1:]
    factor = axes * np.where(spans, np.where(spans, size, 1.0) ** -0.5, 0.0)[..., np.newaxis, :]
    fitted = np.einsum("...kj,...k->...j", factor, moment)
    return _Past(target, regressors, factor, fitted, spans.sum(axis=-1))


def _standardised(var: Floats) -> Floats:
    """The VaR less its mean, its sum of squares 1; zero where it is constant."""
    centred = var - var.mean(axis=-1, keepdims=True)
    length = np.sqrt(np.square(centred).sum(axis=-1, keepdims=True))
    constant = length <= _RANK_TOLERANCE * np.abs(var).max(axis=-1, keepdims=True)
    return np.asarray(np.where(constant, 0.0, centred / np.where(constant, 1.0, length)))


def _paired(standard: Floats, past: _Past) -> tuple[Floats, Floats]:
    """Products of each series' VaR with its own regressors, shape (..., k), and with its hits, shape (...)."""
    cross = np.stack([_dot(column, standard) for column in past.regressors], axis=-1)
    return cross, _dot(past.target, standard)


def _crossed(standard: Floats, past: _Past) -> tuple[Floats, Floats]:
    """Products of every VaR, shape (n_series, n_days), with the regressors of every draw."""
    cross = np.stack([standard @ column.T for column in past.regressors], axis=-1)
    return cross, standard @ past.target.T


def _explained(past: _Past, products: tuple[Floats, Floats], own: Floats) -> tuple[Floats, Counts]:
    """Sum of squares that the past explains, with what the VaR adds to it, and the rank of both."""
    cross = np.einsum("...k,...kj->...j", products[0], past.factor)
    left = own - np.square(cross).sum(axis=-1)
    adds = left > _RANK_TOLERANCE
    slope = np.where(adds, products[1] - (cross * past.fitted).sum(axis=-1), 0.0)
    explained = np.square(past.fitted).sum(axis=-1) + np.square(slope) / np.where(adds, left, 1.0)
    return np.asarray(explained), past.rank + adds


def _simulated_dynamic_quantile(
    statistic: Floats, standard: Floats, drawn: _Past, scale: float, rng: np.random.Generator
) -> Floats:
    """P-values of the statistics, each among the draws regressed on its own VaR."""
    series = standard.reshape(-1, standard.shape[-1])
    own = np.square(series).sum(axis=-1)[:, np.newaxis]
    if len(series) == 1:
        explained = _explained(drawn, _crossed(series, drawn), own)[0][0]
        return simulated_p_value(statistic, explained / scale, rng=rng)
    observed, p_values = statistic.ravel(), []
    for i in range(0, len(series), _BLOCK):
        rows = slice(i, i + _BLOCK)
        explained = _explained(drawn, _crossed(series[rows], drawn), own[rows])[0]
        p_values.append(simulated_p_value(observed[rows], explained.T / scale, rng=rng))
    return np.concatenate(p_values).reshape(statistic.shape)


def _dot(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("...t,...t->...", a, b))
