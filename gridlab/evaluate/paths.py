"""Scores of scenarios: paths as they would have been drawn, against what happened, and their calibration."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.days import Floats, day_times, fold
from gridlab.errors import DataError
from gridlab.evaluate.rolling import scored_rows
from gridlab.risk import as_probabilities
from gridlab.schema import validate

Ranking = Literal["average", "band_depth", "energy"]

_BLOCK = 512  # paths whose distances to all others are held at once
_VARIOGRAM_POWER = 0.5
_BAND = (0.1, 0.9)


@dataclass(frozen=True)
class RolledPaths:
    """
    Paths of a run of market days, each drawn from what was known at its midnight, and what happened.

    Parameters
    ----------
    dates : DatetimeIndex, shape (n_days,)
        The market's dates, midnight without a time zone.
    paths : ndarray, shape (n_days, n_paths, n_slots)
        Price paths by slot of the market's clock. [$/MWh]
    observed : ndarray, shape (n_days, n_slots)
        The prices that came. [$/MWh]
    """

    dates: pd.DatetimeIndex
    paths: Floats
    observed: Floats

    @property
    def end_to_end(self) -> Floats:
        """The days' paths laid end to end, shape (n_paths, n_days * n_slots): the first of each day, the second, ..."""
        return np.ascontiguousarray(self.paths.transpose(1, 0, 2)).reshape(self.paths.shape[1], -1)


def roll_paths(
    simulate: Callable[[pd.DataFrame, pd.DatetimeIndex], ArrayLike],
    prices: pd.DataFrame,
    *,
    first_day: str,
    days: int,
    market_tz: str = "UTC",
    target: str = "price",
) -> RolledPaths:
    """
    Paths of a run of market days, each from the prices before its midnight.

    Parameters
    ----------
    simulate : callable
        ``simulate(known, times)`` returns the paths of one day, shape (n_paths, n_times); `known` is the part of
        `prices` before that day, `times` the starts of its intervals. On days of 23 and 25 hours it may also return
        the slots of the market's clock, as many as on other days.
    prices : DataFrame
        A `prices` table.
    first_day : str
        The first market day.
    days : int
        Number of market days. Those that `roll` leaves out are left out here too.
    market_tz : str
        Time zone that says when a day begins.
    target : str
        The column that is simulated.

    Returns
    -------
    RolledPaths

    Raises
    ------
    DataError
        If the days lie outside the data or a gap touches each of them, there is no such target, or `simulate` returns
        another shape, another number of paths than for the first day, or a value that is not finite.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> def last_week(known, times):
    ...     return known["price"].to_numpy()[-168:].reshape(7, 24)
    >>> rolled = roll_paths(last_week, mock_prices(days=30), first_day="2024-01-28", days=2)
    >>> rolled.paths.shape, rolled.observed.shape, rolled.end_to_end.shape
    ((2, 7, 24), (2, 24), (7, 48))
    """
    validate(prices, "prices")
    if target not in prices:
        raise DataError(f"there is no column {target!r} to simulate: choose one of {', '.join(prices.columns)}")
    known = fold(prices, market_tz, target=target)
    kept = scored_rows(known, first_day, days)
    drawn: list[Floats] = []
    for date in known.dates[kept]:
        times = day_times(date, prices.index, market_tz)
        paths = np.asarray(simulate(prices.iloc[: prices.index.searchsorted(times[0])], times), dtype=float)
        _check_day(paths, len(drawn[0]) if drawn else None, times, known.n_slots)
        drawn.append(paths if paths.shape[1] == known.n_slots else _by_slot(paths, times, market_tz))
    return RolledPaths(known.dates[kept], np.stack(drawn), known.price[kept])


def score_paths(paths: ArrayLike, observed: ArrayLike, *, weights: ArrayLike | None = None) -> pd.DataFrame:
    r"""
    Scores of scenarios against what happened, the mean over cases; less is better, but for the coverage.

    With X and X' drawn from the scenarios of a case and y what happened

    - `energy` is E\|X - y\| - E\|X - X'\| / 2, with Euclidean norms over the steps [1]_ [$/MWh];
    - `variogram` is the sum over all pairs of steps (k, l) of the square of \|y_k - y_l\|^p - E\|X_k - X_l\|^p with
      p = 0.5, each pair counted both ways [2]_ [$/MWh];
    - `crps` is the energy score of each step for itself, mean over the steps [$/MWh];
    - `coverage_80` is the share of steps at which y lies within the tenth and ninetieth percentile [-], and
      `width_80` the mean width of that band [$/MWh].

    All three scores are proper. The energy score sees location and scale before dependence; the variogram score sees
    dependence and no shift common to all steps: read them together.

    Parameters
    ----------
    paths : array_like, shape (n_cases, n_paths, n_steps)
        Scenarios of each case, such as a day. [$/MWh]
    observed : array_like, shape (n_cases, n_steps)
        What happened. [$/MWh]
    weights : array_like, shape (n_paths,) or (n_cases, n_paths), optional
        Probabilities of the scenarios, scaled here to sum to 1. Equal when omitted. [-]

    Returns
    -------
    DataFrame
        One row, ``all``; columns as above and `n`, the number of cases.

    Raises
    ------
    DataError
        If shapes do not fit, a value is not finite, or `weights` are negative, all zero or of another length.

    Notes
    -----
    The scenarios are taken to be the distribution itself: a sample of n paths of a distribution scores, on average,
    1 / n of E\|X - X'\| / 2 worse than the distribution does. Compare sets of the same size. Percentiles lie at
    i / (n + 1), so that n paths of the true distribution hold 80 % whatever n, from 9; with weights n is Kish's
    effective number.

    References
    ----------
    .. [1] T. Gneiting and A. E. Raftery, "Strictly proper scoring rules, prediction, and estimation," J. American
       Statistical Association 102(477), 2007, sections 4.2 and 4.3, doi:10.1198/016214506000001437.
    .. [2] M. Scheuerer and T. M. Hamill, "Variogram-based proper scoring rules for probabilistic forecasts of
       multivariate quantities," Monthly Weather Review 143(4), 2015, doi:10.1175/MWR-D-14-00269.1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> paths, observed = rng.normal(size=(50, 200, 24)), rng.normal(size=(50, 24))
    >>> score_paths(paths, observed).round(2)
         energy  variogram  crps  coverage_80  width_80   n
    all    3.43      94.23  0.56          0.8      2.58  50
    """
    losses = path_losses(paths, observed, weights=weights)
    return losses.mean().to_frame("all").T.assign(n=len(losses))


def path_losses(paths: ArrayLike, observed: ArrayLike, *, weights: ArrayLike | None = None) -> pd.DataFrame:
    """
    Scores of scenarios case by case: what the tests of difference take.

    Parameters
    ----------
    paths, observed, weights
        As for `score_paths`.

    Returns
    -------
    DataFrame
        Index `case`, columns as `score_paths` has them, without `n`.

    Raises
    ------
    DataError
        As `score_paths` does.

    Examples
    --------
    >>> path_losses([[[0.0, 0.0]], [[1.0, 1.0]]], [[3.0, 4.0], [1.0, 1.0]])["energy"].tolist()
    [5.0, 0.0]
    """
    rows = [_losses(*case) for case in _cases(paths, observed, weights)]
    return pd.DataFrame(rows).rename_axis("case")


def pit(paths: ArrayLike, observed: ArrayLike, *, rng: np.random.Generator, weights: ArrayLike | None = None) -> Floats:
    """
    Randomised probability integral transform: where among the scenarios of its step each observation falls.

    Where the scenarios are calibrated the values are uniform, whatever the number of paths: the observation's place
    among n paths is one of n + 1 that are equally likely, and the value is drawn within it [1]_ [2]_. A histogram like
    a U tells of scenarios that are too narrow, a dome of too wide ones, a slope of a bias. Values of the steps of one
    case depend on each other.

    Parameters
    ----------
    paths, observed, weights
        As for `score_paths`. With weights, n is Kish's effective number of paths.
    rng : Generator
        Draws the place between paths, and among those that equal the observation.

    Returns
    -------
    ndarray, shape (n_cases, n_steps)
        Values in [0, 1]. [-]

    Raises
    ------
    DataError
        As `score_paths` does.

    References
    ----------
    .. [1] T. M. Hamill, "Interpretation of rank histograms for verifying ensemble forecasts," Monthly Weather Review
       129(3), 2001, doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2.
    .. [2] C. Czado, T. Gneiting and L. Held, "Predictive model assessment for count data," Biometrics 65(4), 2009,
       doi:10.1111/j.1541-0420.2009.01191.x.

    Examples
    --------
    >>> pit([[[1.0], [2.0], [3.0]]], [[9.0]], rng=np.random.default_rng(0)).round(2).tolist()
    [[0.91]]
    """
    rows = []
    for path, actual, probability in _cases(paths, observed, weights):
        number = 1 / np.sum(probability**2)
        below = number * (probability @ (path < actual))
        equal = number * (probability @ (path == actual))
        rows.append((below + rng.random(len(actual)) * (equal + 1)) / (number + 1))
    return np.stack(rows)


def multivariate_rank(
    paths: ArrayLike, observed: ArrayLike, *, rng: np.random.Generator, method: Ranking = "average"
) -> Floats:
    r"""
    Where among its scenarios each observed path falls, as one number a case: uniform where they are calibrated.

    The observation and its n scenarios are put in order by one number each, and the place of the observation among
    the n + 1, drawn at random within it, is the value. That number is

    - ``average``: the mean over steps of its rank at each [1]_; a U tells of too narrow scenarios or too weak
      dependence between steps, a dome of the contrary, a slope of a bias;
    - ``band_depth``: how central it is, the mean over steps of (m - r) (r - 1) with rank r of m = n + 1 [1]_; too many
      low values tell of scenarios too narrow or a bias, too many high ones of too wide;
    - ``energy``: its mean distance to the others; too many high values tell of scenarios too narrow or a bias.

    Parameters
    ----------
    paths : array_like, shape (n_cases, n_paths, n_steps)
        Scenarios of each case, equally likely. [$/MWh]
    observed : array_like, shape (n_cases, n_steps)
        What happened. [$/MWh]
    rng : Generator
        Draws the place, and settles ties.
    method : {"average", "band_depth", "energy"}
        What orders the paths.

    Returns
    -------
    ndarray, shape (n_cases,)
        Values in [0, 1]. [-]

    Raises
    ------
    DataError
        If shapes do not fit, a value is not finite, or there is no such method.

    References
    ----------
    .. [1] T. L. Thorarinsdottir, M. Scheuerer and C. Heinz, "Assessing the calibration of high-dimensional ensemble
       forecasts using rank histograms," J. Computational and Graphical Statistics 25(1), 2016,
       doi:10.1080/10618600.2014.977447.

    Examples
    --------
    >>> paths = [[[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]]
    >>> multivariate_rank(paths, [[0.0, 0.0]], rng=np.random.default_rng(0)).round(2).tolist()
    [0.16]
    """
    orders = {"average": _average_rank, "band_depth": _band_depth, "energy": _mean_distance}
    if method not in orders:
        raise DataError(f"method must be one of {', '.join(orders)}, got {method!r}")
    places = []
    for path, actual, _ in _cases(paths, observed, None):
        order = orders[method](np.vstack([actual, path]))
        below, equal = np.sum(order < order[0]), np.sum(order == order[0])
        places.append((below + rng.random() * equal) / len(order))
    return np.array(places)


def _check_day(paths: Floats, n_paths: int | None, times: pd.DatetimeIndex, n_slots: int) -> None:
    is_shaped = paths.ndim == 2 and paths.shape[1] in (len(times), n_slots) and len(paths) == (n_paths or len(paths))
    if not is_shaped or not paths.size or not np.isfinite(paths).all():
        raise DataError(
            f"simulate must give finite paths of shape ({n_paths or 'n_paths'}, {len(times)}), got {paths.shape} with "
            f"{np.count_nonzero(~np.isfinite(paths))} not finite for the day from {times[0]}"
        )


def _by_slot(paths: Floats, times: pd.DatetimeIndex, market_tz: str) -> Floats:
    """Paths of a day of 23 or 25 hours by slot of the clock, as its prices are folded."""
    return np.concatenate([fold(pd.DataFrame({"price": path}, index=times), market_tz).price for path in paths])


def _cases(paths: ArrayLike, observed: ArrayLike, weights: ArrayLike | None) -> Iterator[tuple[Floats, Floats, Floats]]:
    """The scenarios (n_paths, n_steps), the observation (n_steps,) and the probabilities (n_paths,) of each case."""
    paths, observed = np.asarray(paths, dtype=float), np.asarray(observed, dtype=float)
    if paths.ndim != 3 or not paths.size or observed.shape != (paths.shape[0], paths.shape[2]):
        raise DataError(
            "paths must have shape (n_cases, n_paths, n_steps) and observed (n_cases, n_steps), none of them 0, got "
            f"{paths.shape} and {observed.shape}"
        )
    for name, values in (("paths", paths), ("observed", observed)):
        if not np.isfinite(values).all():
            raise DataError(f"{name} must be finite, got {np.argwhere(~np.isfinite(values))[0].tolist()} as NaN or inf")
    n_cases, n_paths, _ = paths.shape
    if weights is None or np.ndim(weights) < 2:
        probabilities = [as_probabilities(weights, n_paths)] * n_cases
    else:
        if np.shape(weights) != (n_cases, n_paths):
            raise DataError(f"weights must have shape ({n_paths},) or ({n_cases}, {n_paths}), got {np.shape(weights)}")
        probabilities = [as_probabilities(row, n_paths) for row in np.asarray(weights, dtype=float)]
    return zip(paths, observed, probabilities, strict=True)


def _losses(paths: Floats, observed: Floats, probability: Floats) -> dict[str, float]:
    low, high = _quantiles(paths, probability, _BAND)
    return {
        "energy": _energy(paths, observed, probability),
        "variogram": _variogram(paths, observed, probability),
        "crps": float(_crps(paths, observed, probability).mean()),
        "coverage_80": float(np.mean((low <= observed) & (observed <= high))),
        "width_80": float(np.mean(high - low)),
    }


def _energy(paths: Floats, observed: Floats, probability: Floats) -> float:
    """Gneiting and Raftery 2007, eq. (22): exact over all pairs, a block of rows at a time."""
    from scipy.spatial.distance import cdist

    off = probability @ np.linalg.norm(paths - observed, axis=1)
    blocks = (slice(first, first + _BLOCK) for first in range(0, len(paths), _BLOCK))
    apart = sum(probability[block] @ cdist(paths[block], paths) @ probability for block in blocks)
    return float(off - apart / 2)


def _variogram(paths: Floats, observed: Floats, probability: Floats) -> float:
    """Scheuerer and Hamill 2015, eq. (5), unit weights; each pair is worked out once and counted twice."""
    total = 0.0
    for step in range(paths.shape[1] - 1):
        expected = probability @ np.abs(paths[:, step + 1 :] - paths[:, [step]]) ** _VARIOGRAM_POWER
        seen = np.abs(observed[step + 1 :] - observed[step]) ** _VARIOGRAM_POWER
        total += 2 * float(np.sum((seen - expected) ** 2))
    return total


def _crps(paths: Floats, observed: Floats, probability: Floats) -> Floats:
    """The CRPS of each step: Gneiting and Raftery 2007, eq. (21), the mean distance of pairs by sorting."""
    away = paths - observed
    order = np.argsort(away, axis=0)
    mass = probability[order]
    reached = np.cumsum(mass, axis=0)
    apart = np.take_along_axis(away, order, axis=0) * mass * (2 * reached - mass - 1)
    return np.asarray(probability @ np.abs(away) - apart.sum(axis=0))


def _quantiles(paths: Floats, probability: Floats, levels: tuple[float, ...]) -> Floats:
    """Quantiles of each step, shape (n_levels, n_steps): the i-th of n equal paths is that of i / (n + 1)."""
    number = 1 / np.sum(probability**2)
    possible = probability > 0
    paths, probability = paths[possible], probability[possible]
    order = np.lexsort((np.broadcast_to(probability[:, None], paths.shape), paths), axis=0)
    mass = probability[order]
    position = (number * (np.cumsum(mass, axis=0) - mass / 2) + 0.5) / (number + 1)
    values = np.take_along_axis(paths, order, axis=0)
    return np.stack([np.interp(levels, *column) for column in zip(position.T, values.T, strict=True)], axis=1)


def _average_rank(pooled: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(pooled, axis=0).sum(axis=1))


def _band_depth(pooled: Floats) -> Floats:
    from scipy.stats import rankdata

    rank = rankdata(pooled, axis=0)
    return np.asarray(((len(pooled) - rank) * (rank - 1)).sum(axis=1))


def _mean_distance(pooled: Floats) -> Floats:
    from scipy.spatial.distance import cdist

    blocks = (pooled[first : first + _BLOCK] for first in range(0, len(pooled), _BLOCK))
    return np.concatenate([cdist(block, pooled).mean(axis=1) for block in blocks])
