r"""
Forecasts of the next hours, learned row by row: an ensemble that costs the same at every row and begins as the naive.

A live site sees a row of prices every few minutes, at first with an hour of history. `start` gives what is believed
before the first row, `observe` what is believed after one more, `predict` what is expected of the rows to come::

    beliefs = start(3)
    beliefs = observe(beliefs, [energy, hash, token], slot)   # every five minutes
    outlook = predict(beliefs)

Beliefs are a record of arrays of fixed size; nothing is refitted, and the same rows give the same beliefs, bit by bit,
whatever the batches they came in. So a restart replays the recorded rows through `observe_all`.

The members, for the value :math:`y_t` and :math:`h` rows ahead, with gains and priors as `intraday_core` has them:

- ``naive``: :math:`y_t`.
- ``kalman``: local levels :math:`\ell \leftarrow \ell + g \psi(y - \ell)`, steady-state Kalman filters of five gains,
  mixed by their discounted losses [1]_; :math:`\psi` cuts a surprise to 6 scales (Huber).
- ``reverting``: :math:`m_t + \varphi_t^h (y_t - m_t)`, a slow mean and a discounted lag-one autocorrelation drawn to 1.
- ``var``: moves regressed on two lags of all series, by discounted recursive least squares drawn to 0, iterated.
- ``multiscale``: direct regressions of :math:`y_{t+h} - y_t` on the distances from four moving means (20 minutes to a
  day), the last move, the other series' distances and the step of the usual day.
- ``yesterday``: the same slot a day ago.
- ``profile``: the usual value of the slot, and a deviation from it that fades.

At each of the scored leads (1, 2, 3, 6, 12, 24, ...) the weights come from ML-Poly [2]_ on the absolute error, as in
`gridlab.forecast.combine.Online`, with regrets that are the mean of the plain and the linearised ones: the largest
regret met bounds each [3]_, and the naive has a head start. In between they are interpolated in the logarithm of the
lead. Until 12 forecasts of a lead have been scored, it is the naive's.

Bands are quantiles of the last 256 errors at the lead, each divided by the scale :math:`\sqrt{f_t s_t}` of its origin
(a fast and a slow moving mean of the one-step errors), read at levels that move with every miss by adaptive
conformal inference [4]_: :math:`\theta \leftarrow \theta + \gamma_h (q - 1\{y < \hat Q(\theta)\})`.

References
----------
.. [1] D. T. Magill, "Optimal adaptive estimation of sampled stochastic processes," IEEE Trans. Automatic Control
   10(4), 1965, doi:10.1109/TAC.1965.1098191.
.. [2] P. Gaillard, G. Stoltz and T. van Erven, "A second-order bound with excess losses," COLT 2014,
   arXiv:1402.2044.
.. [3] A. Cutkosky, "Artificial constraints and hints for unbounded online learning," COLT 2019, arXiv:1902.09013.
.. [4] I. Gibbs and E. Candes, "Adaptive conformal inference under distribution shift," NeurIPS 2021,
   arXiv:2106.00170.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.days import Floats
from gridlab.errors import DataError
from gridlab.forecast.intraday_core import (
    AGE,
    BANK_GAINS,
    COUNT,
    DIRECT_PRIOR,
    ERROR,
    EXPECTED,
    FAST,
    LEAST_ROWS,
    MEAN_GAINS,
    MEMBERS,
    N_LAGS,
    N_MEMBERS,
    N_POINT,
    N_PRIOR,
    N_WINDOW,
    PRIOR_GROWTH,
    REVERSION,
    SCORED,
    SEASON,
    SLOW,
    TIMES,
    VAR_PRIOR,
    observe_rows,
    outlook,
)

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)
"""Levels whose coverage is held unless others are asked for."""

SCORED_LEADS = (1, 2, 3, 6, 12, 24, 48, 96, 192, 288)
"""Leads at which forecasts are scored, those that are asked for; the last lead is one of them too."""


class State(NamedTuple):
    """
    All that is known of the series.

    The first axis is the series but in `clock`, the rows seen and the slot of the last; `k` is a scored lead, and a
    ring holds for each of them the forecasts that have not come due.
    """

    clock: Floats
    point: Floats  # (s, N_POINT)
    means: Floats  # (s, n_means)
    bank: Floats  # (s, 2, n_gains): levels, losses
    var: Floats  # (s, 1 + v, v): coefficients, then the inverse of the moments
    direct: Floats  # (s, k, 1 + f, f): the same
    regressors: Floats  # (s, longest lead, f + 2 + k): of the last rows; value, unit, steps of the usual day
    daily: Floats  # (s, steps_a_day, 3): last seen, usual, times
    members: Floats  # (s, ring, n_members)
    issued: Floats  # (s, ring, 2 + n_levels): mean, width, bands
    regret: Floats  # (s, k, 2, n_members): sums, squares
    tally: Floats  # (s, k, 3): largest regret, forecasts scored, errors in the window
    window: Floats  # (s, k, 2, N_WINDOW): in order of time, in order of size
    theta: Floats  # (s, k, n_levels)
    silent: Floats  # (s, n_members): rows until a member that was dropped speaks again


@dataclass(frozen=True, eq=False)
class Beliefs:
    """
    All that has been learned of some series: arrays of fixed size, not to be written to.

    Parameters
    ----------
    state : State
        The arrays.
    leads : ndarray of int
        Scored leads, the last the longest.
    levels : ndarray
        Levels whose coverage is held.
    """

    state: State
    leads: NDArray[np.int64]
    levels: Floats

    @property
    def n_series(self) -> int:
        """Number of series."""
        return len(self.state.point)

    @property
    def n_leads(self) -> int:
        """The longest lead. [rows]"""
        return int(self.leads[-1])

    @property
    def steps_a_day(self) -> int:
        """Rows a day."""
        return int(self.state.daily.shape[1])

    @property
    def n_rows(self) -> int:
        """Rows observed, missing ones among them."""
        return int(self.state.clock[0])

    @property
    def slot(self) -> int:
        """Slot of the last row, -1 before the first."""
        return int(self.state.clock[1])

    @property
    def age(self) -> NDArray[np.int64]:
        """Rows since a value of each series was known, 0 when the last was. [rows]"""
        return self.state.point[:, AGE].astype(np.int64)

    @property
    def last_error(self) -> Floats:
        """
        Value less forecast of the last row, shape (n_series,). [$]

        NaN where the row or the one before was missing, or there was no forecast.
        """
        return self.state.point[:, ERROR].copy()

    @property
    def expected_error(self) -> Floats:
        """Mean absolute one-step error so far, of the last week or so once there is more, shape (n_series,). [$]"""
        return self.state.point[:, EXPECTED].copy()

    @property
    def nbytes(self) -> int:
        """Size of the arrays. [bytes]"""
        return sum(array.nbytes for array in self.state)


class Outlook(NamedTuple):
    """
    What is expected of the rows to come.

    Parameters
    ----------
    mean : ndarray, shape (n_series, n_leads)
        Expected values; NaN for a series of which no value is known. [$]
    quantiles : ndarray, shape (n_series, n_leads, n_levels)
        Never crossing. All at the mean while a series has only one value or has not changed. [$]
    weights : ndarray, shape (n_series, n_members)
        Of the members, as a mean over the leads. [-]
    members : tuple of str
        Their names.
    fallback : tuple of str
        For each series what is not as it should be: that leads are on the naive and why, and members dropped because
        their sums were not finite; empty when the ensemble forecasts all leads.
    """

    mean: Floats
    quantiles: Floats
    weights: Floats
    members: tuple[str, ...]
    fallback: tuple[str, ...]


def start(n_series: int, *, n_leads: int = 24, steps_a_day: int = 288, levels: Sequence[float] = LEVELS) -> Beliefs:
    """
    What is believed before the first row.

    Parameters
    ----------
    n_series : int
        Series that come together in a row.
    n_leads : int
        The longest lead to forecast. [rows]
    steps_a_day : int
        Rows a day.
    levels : sequence of float
        Levels whose coverage is held, increasing, in (0, 1).

    Returns
    -------
    Beliefs

    Raises
    ------
    DataError
        If a number is below 1, `n_leads` is above `steps_a_day`, or the levels do not increase within (0, 1).

    Examples
    --------
    >>> beliefs = start(3)
    >>> beliefs.n_leads, beliefs.n_rows, beliefs.leads.tolist()
    (24, 0, [1, 2, 3, 6, 12, 24])
    """
    if n_series < 1 or steps_a_day < 1 or not 1 <= n_leads <= steps_a_day:
        raise DataError(
            f"n_series must be at least 1 and n_leads in [1, steps_a_day], got {n_series}, {n_leads} and {steps_a_day}"
        )
    held = np.asarray(levels, dtype=float)
    if held.ndim != 1 or not len(held) or not (np.diff(held, prepend=0.0, append=1.0) > 0).all():
        raise DataError(f"levels must increase within (0, 1), got {list(levels)}")
    leads = np.array([lead for lead in SCORED_LEADS if lead < n_leads] + [n_leads], dtype=np.int64)
    return Beliefs(_first_state(n_series, leads, steps_a_day, held), leads, held)


def observe(beliefs: Beliefs, values: ArrayLike, slot: int) -> Beliefs:
    """
    What is believed after one more row.

    Parameters
    ----------
    beliefs : Beliefs
        What was believed before; left as it is.
    values : array_like, shape (n_series,)
        The row. One that is not finite is missing: it is carried over as it was forecast, nothing is learned from it,
        and leads go on counting from the last value that is known. [$]
    slot : int
        Row of the day, in [0, steps_a_day): in UTC, so that every day has as many.

    Returns
    -------
    Beliefs

    Raises
    ------
    DataError
        If there are not `n_series` values, or `slot` does not follow the last one: rows that are missing are given
        too.

    Examples
    --------
    >>> beliefs = observe(observe(start(1), [30.0], 7), [31.0], 8)
    >>> predict(beliefs, 3).mean.tolist()
    [[31.0, 31.0, 31.0]]
    """
    return observe_all(beliefs, np.asarray(values, dtype=float)[None], [slot])


def observe_all(beliefs: Beliefs, values: ArrayLike, slots: ArrayLike) -> Beliefs:
    """
    What is believed after many rows: to the last bit what `observe` gives one by one.

    Parameters
    ----------
    beliefs : Beliefs
        What was believed before; left as it is.
    values : array_like, shape (n_rows, n_series)
        The rows, NaN where one is missing. [$]
    slots : array_like of int, shape (n_rows,)
        Rows of the day.

    Returns
    -------
    Beliefs

    Raises
    ------
    DataError
        As `observe`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> beliefs = observe_all(start(1), rng.normal(30.0, 1.0, (300, 1)), np.arange(300) % 288)
    >>> outlook = predict(beliefs)  # noise is best forecast by its mean, not by its last value
    >>> bool(abs(outlook.mean[0, -1] - 30) < 0.3), outlook.fallback
    (True, ('',))
    """
    rows = np.ascontiguousarray(values, dtype=float)
    if rows.ndim != 2 or rows.shape[1] != beliefs.n_series:
        raise DataError(f"a row must have {beliefs.n_series} values, one for each series, got shape {rows.shape}")
    which = _checked_slots(beliefs, slots, len(rows))
    state = State(*(array.copy() for array in beliefs.state))
    observe_rows(state, rows, which, beliefs.leads, beliefs.levels)
    return Beliefs(state, beliefs.leads, beliefs.levels)


def predict(beliefs: Beliefs, n_leads: int | None = None, levels: Sequence[float] = LEVELS) -> Outlook:
    """
    What is expected of the rows to come.

    Parameters
    ----------
    beliefs : Beliefs
        What is believed.
    n_leads : int, optional
        Rows to forecast, at most those of the beliefs; all of these when omitted. [rows]
    levels : sequence of float
        Levels of the quantiles, in (0, 1), in any order; between and beyond those of the beliefs the correction for
        coverage is that of the nearest ones.

    Returns
    -------
    Outlook
        With the row after the last first.

    Raises
    ------
    DataError
        If `n_leads` is not in [1, the beliefs' own], or a level is not in (0, 1).

    Examples
    --------
    >>> beliefs = observe_all(start(1), [[30.0], [31.0], [30.0]], [0, 1, 2])
    >>> predict(beliefs, 2, (0.1, 0.9)).quantiles.round(1).tolist()
    [[[28.3, 31.7], [27.7, 32.3]]]
    >>> predict(beliefs).fallback
    ('on the naive: 2 of 12 forecasts one row ahead scored',)
    """
    n_leads = beliefs.n_leads if n_leads is None else n_leads
    if not 1 <= n_leads <= beliefs.n_leads:
        raise DataError(f"n_leads must be in [1, {beliefs.n_leads}], got {n_leads}: start beliefs with more leads")
    ordered, places = _ordered(tuple(levels))
    mean, bands, weights = outlook(beliefs.state, beliefs.leads, beliefs.levels, n_leads, ordered)
    quantiles = bands if places is None else bands[..., places]
    return Outlook(mean, quantiles, weights, MEMBERS, _fallbacks(beliefs, n_leads))


@lru_cache(maxsize=16)
def _ordered(levels: tuple[float, ...]) -> tuple[Floats, NDArray[np.int64] | None]:
    """Levels in order of size, and where each of those given is among them; None where they are in order."""
    wanted = np.array(levels, dtype=float)
    if wanted.ndim != 1 or not ((wanted > 0) & (wanted < 1)).all():
        raise DataError(f"levels must lie in (0, 1), got {list(levels)}")
    order = np.argsort(wanted, kind="stable")
    ordered, places = wanted[order], np.argsort(order, kind="stable")
    ordered.flags.writeable = False
    return ordered, None if (places == np.arange(len(places))).all() else places


def _first_state(n_series: int, leads: NDArray[np.int64], steps_a_day: int, levels: Floats) -> State:
    """The state before the first row."""
    s, k, n_ring, v, f = n_series, len(leads), int(leads.sum()), N_LAGS * n_series, 5 + n_series
    share = (np.arange(N_PRIOR) + 0.5) / N_PRIOR
    law = np.where(share < 0.5, np.log(2 * share), -np.log(2 * (1 - share)))
    window = np.full((s, k, 2, N_WINDOW), np.inf)
    window[..., :N_PRIOR] = (law * (leads**PRIOR_GROWTH)[:, None])[:, None]
    var = np.tile(np.vstack([np.zeros(v), VAR_PRIOR * np.eye(v)]), (s, 1, 1))
    inverse = DIRECT_PRIOR * np.eye(f) / leads[:, None, None]
    direct = np.tile(np.concatenate([np.zeros((k, 1, f)), inverse], axis=1), (s, 1, 1, 1))
    point = np.full((s, N_POINT), np.nan)
    point[:, [COUNT, AGE, FAST, SLOW, REVERSION, REVERSION + 1, SEASON, SEASON + 1]] = 0.0
    daily = np.full((s, steps_a_day, 3), np.nan)
    daily[..., TIMES] = 0.0
    return State(
        clock=np.array([0.0, -1.0]),
        point=point,
        means=np.zeros((s, len(MEAN_GAINS))),
        bank=np.zeros((s, 2, len(BANK_GAINS))),
        var=var,
        direct=direct,
        regressors=np.full((s, int(leads.max()), f + 2 + k), np.nan),
        daily=daily,
        members=np.full((s, n_ring, N_MEMBERS), np.nan),
        issued=np.full((s, n_ring, 2 + len(levels)), np.nan),
        regret=np.zeros((s, k, 2, N_MEMBERS)),
        tally=np.tile([0.0, 0.0, N_PRIOR], (s, k, 1)),
        window=window,
        theta=np.tile(levels, (s, k, 1)),
        silent=np.zeros((s, N_MEMBERS)),
    )


def _checked_slots(beliefs: Beliefs, slots: ArrayLike, n_rows: int) -> NDArray[np.int64]:
    which = np.asarray(slots)
    if which.shape != (n_rows,) or (n_rows and which.dtype.kind not in "iu"):
        raise DataError(f"{n_rows} rows need as many slots, whole numbers, got {which.dtype} of shape {which.shape}")
    which = which.astype(np.int64)
    first = beliefs.slot + 1 if beliefs.n_rows or not n_rows else which[0]
    due = (first + np.arange(n_rows)) % beliefs.steps_a_day
    wrong = np.flatnonzero(which != due)
    if len(wrong):
        raise DataError(
            f"slot of row {wrong[0]} must be {due[wrong[0]]}, got {which[wrong[0]]}: slots lie in "
            f"[0, {beliefs.steps_a_day}) and follow each other, so give missing rows too, as NaN"
        )
    return which


def _fallbacks(beliefs: Beliefs, n_leads: int) -> tuple[str, ...]:
    """What is not as it should be, by series."""
    state = beliefs.state
    if state.tally[..., SCORED].min() >= LEAST_ROWS and not state.silent.any():
        return ("",) * beliefs.n_series
    return tuple(_fallback(beliefs, i, n_leads) for i in range(beliefs.n_series))


def _fallback(beliefs: Beliefs, i: int, n_leads: int) -> str:
    """What is not as it should be with a series, in words."""
    state = beliefs.state
    if state.point[i, COUNT] == 0:
        return "no forecast: no value is known"
    scored = state.tally[i, :, SCORED]
    parts = []
    if scored[0] < LEAST_ROWS:
        parts.append(f"on the naive: {scored[0]:.0f} of {LEAST_ROWS} forecasts one row ahead scored")
    else:
        late = beliefs.leads[(scored < LEAST_ROWS) & (beliefs.leads <= n_leads)]
        if len(late):
            parts.append(f"on the naive from lead {late[0]} on: fewer than {LEAST_ROWS} forecasts scored")
    if state.silent[i].any():
        dropped = [name for name, rows in zip(MEMBERS, state.silent[i], strict=True) if rows > 0]
        parts.append(f"dropped, as their sums were not finite: {', '.join(dropped)}")
    return "; ".join(parts)
