"""Rolling backtests of weightings: decided on the days before, held for some days, and charged for turnover."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.errors import DataError, PlanError
from gridlab.portfolio.covariance import Floats
from gridlab.portfolio.family import WEIGHTINGS, Weighting, nearest_within
from gridlab.portfolio.limits import Limits
from gridlab.risk.confidence import bootstrap_interval
from gridlab.risk.drawdown import max_drawdown
from gridlab.risk.historical import cvar
from gridlab.risk.performance import sharpe_ratio

BENCHMARK = "equal"
"""Row of `compare_allocations` that the others are compared to: 1/N."""

_DAYS = 365.0  # in a year of a power market
_MOST_MISSED = 1e-6  # of a limit, relative to the total


class Rebalanced(NamedTuple):
    """
    A rolling backtest of one weighting.

    Parameters
    ----------
    profit : Series
        Index `date`: the days from the first decision on. Return of the weights, less the cost of turnover on the day
        of the decision. [$/MW of the total, or $ where weights are MW]
    weights : DataFrame
        Index `date`: the first day on which the weights are held; a column for each asset.
    turnover : Series
        Index as that of `weights`: weight bought and sold; 0 where nothing was held before.
    """

    profit: pd.Series
    weights: pd.DataFrame
    turnover: pd.Series


def rebalance(
    returns: pd.DataFrame,
    weighting: str | Weighting,
    *,
    window: int,
    every: int,
    limits: Limits | None = None,
    cost: ArrayLike | None = None,
) -> Rebalanced:
    """
    Decide the weights again and again on the days before, and hold them.

    Weights are shares of power, so they stay as they are between decisions: what power earns is paid out and does not
    compound, unlike a share of capital, which drifts with its price. Each decision knows the weights held, and the
    cost of turnover spread over the days that the new ones will be held, which makes it a cost a day as the returns
    are.

    Parameters
    ----------
    returns : DataFrame
        Index `date`, in order; a column for each asset. [$/MW]
    weighting : str or callable
        A name of `WEIGHTINGS`, or a function of the same signature.
    window : int
        Days before a decision that it is made on. [days]
    every : int
        Days from one decision to the next. [days]
    limits : Limits, optional
        What the weights keep to; `held` is what is held before the first decision, if anything.
    cost : float or array_like, shape (n_assets,), optional
        Cost of a unit of weight bought or sold, paid once; `limits.turnover_cost` when omitted. [$/MW]

    Returns
    -------
    Rebalanced
        Profit by day, and weights and turnover by decision. Where nothing is held before the first decision, that is
        free.

    Raises
    ------
    DataError
        If the days are not in order, a return is not finite, there are no more days than `window`, `window` or
        `every` is below 1, or the weighting refuses a window or gives weights that break the limits; the message names
        the day.
    PlanError
        If the limits exclude each other.

    Examples
    --------
    >>> dates = pd.date_range("2024-01-01", periods=6, name="date")
    >>> returns = pd.DataFrame({"energy": [1.0, 3, 2, 4, 1, 2], "regulation": [2.0, 2, 1, 1, 2, 2]}, index=dates)
    >>> result = rebalance(returns, "equal", window=2, every=2)
    >>> result.profit.tolist(), result.turnover.tolist()
    ([1.5, 2.5, 1.5, 2.0], [0.0, 0.0])
    """
    values = _checked_days(returns, window, every)
    limits = limits or Limits()
    paid = _checked_cost(limits.turnover_cost if cost is None else cost, values.shape[1])
    decisions = range(window, len(values), every)
    weights, turnover = np.empty((len(decisions), values.shape[1])), np.zeros(len(decisions))
    profit, held = np.empty(len(values) - window), limits.held
    for number, day in enumerate(decisions):
        known = _knowing(limits, held, paid / every)
        weights[number] = _decided(weighting, values[day - window : day].copy(), known, returns.index[day])
        moved = np.zeros(values.shape[1]) if held is None else np.abs(weights[number] - np.asarray(held, dtype=float))
        turnover[number], held = moved.sum(), weights[number]
        profit[day - window : day - window + every] = values[day : day + every] @ held
        profit[day - window] -= paid @ moved
    dates = returns.index[list(decisions)]
    return Rebalanced(
        pd.Series(profit, index=returns.index[window:], name="profit"),
        pd.DataFrame(weights, index=dates, columns=returns.columns),
        pd.Series(turnover, index=dates, name="turnover"),
    )


def compare_allocations(
    returns: pd.DataFrame,
    weightings: Iterable[str] | Mapping[str, Weighting] = tuple(WEIGHTINGS),
    *,
    window: int,
    every: int,
    limits: Limits | None = None,
    cost: ArrayLike | None = None,
    level: float = 0.95,
    confidence: float = 0.95,
    capital: float | None = None,
    rng: np.random.Generator,
    n_draws: int = 1000,
) -> pd.DataFrame:
    """
    Rolling backtests of several weightings side by side, with 1/N and each asset alone.

    Parameters
    ----------
    returns, window, every, limits, cost
        As in `rebalance`.
    weightings : iterable of str or mapping of str to callable
        Names of `WEIGHTINGS`, or functions of their signature by name; all of the family when omitted. `equal` is
        added as the benchmark, and `only <asset>` for each asset: as much of it as the limits allow, the nearest
        weights to it alone.
    level : float
        Level of the CVaR, in [0, 1). [-]
    confidence : float
        Level of confidence of the interval, in (0, 1). [-]
    capital : float, optional
        Capital at risk in a unit of weight, for the Sharpe ratio. [$/MW]
    rng : Generator
        Source of randomness of the interval.
    n_draws : int
        Histories drawn for it.

    Returns
    -------
    DataFrame
        Index `weighting`; columns

        - `mean`, `std`, `cvar`, `max_drawdown`: of the daily profit, its loss, and its running total; [$/MW]
        - `turnover`: mean weight bought and sold at a decision; [-]
        - `difference`, `difference_low`, `difference_high`: mean profit less that of 1/N, and its interval by
          `gridlab.risk.confidence.bootstrap_interval`, from blocks of a week or more of the same days for both; NaN
          where the history has too few blocks; [$/MW]
        - `sharpe`: annual Sharpe ratio on `capital` over 365 days a year, if it is given. [-]

    Raises
    ------
    DataError
        As `rebalance`, and if `level`, `confidence` or `capital` is out of range, or `weightings` are none.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> dates = pd.date_range("2024-01-01", periods=120, name="date")
    >>> returns = pd.DataFrame(rng.normal(10, [1, 5], (120, 2)), index=dates, columns=["energy", "regulation"])
    >>> table = compare_allocations(returns, ["risk_parity"], window=60, every=7, rng=rng)
    >>> table.index.tolist(), bool(table.loc["risk_parity", "std"] < table.loc["equal", "std"])
    (['risk_parity', 'equal', 'only energy', 'only regulation'], True)
    """
    rules = _rules(weightings, returns.columns)
    runs = {
        name: rebalance(returns, rule, window=window, every=every, limits=limits, cost=cost)
        for name, rule in rules.items()
    }
    profit = pd.DataFrame({name: run.profit for name, run in runs.items()})
    difference = profit.sub(profit[BENCHMARK], axis=0)
    low, high, _ = bootstrap_interval(
        lambda days: days.mean(axis=0), difference, level=confidence, rng=rng, n_draws=n_draws
    )
    table = pd.DataFrame(
        {
            "mean": profit.mean(),
            "std": profit.std(),
            "cvar": cvar(-profit.to_numpy().T, level),
            "max_drawdown": max_drawdown(profit.to_numpy().T),
            "turnover": [run.turnover.mean() for run in runs.values()],
            "difference": difference.mean(),
            "difference_low": low,
            "difference_high": high,
        }
    )
    if capital is not None:
        table["sharpe"] = sharpe_ratio(profit.to_numpy().T, capital=capital, periods_per_year=_DAYS)
    return table.rename_axis(index="weighting")


def _rules(weightings: Iterable[str] | Mapping[str, Weighting], assets: pd.Index) -> dict[str, Weighting]:
    """The weightings by name, then 1/N and each asset alone."""
    if isinstance(weightings, str):
        weightings = (weightings,)
    named = weightings if isinstance(weightings, Mapping) else {name: WEIGHTINGS[name] for name in weightings}
    if not named:
        raise DataError(f"weightings must name one rule or more: the names are {', '.join(WEIGHTINGS)}")
    alone = {f"only {asset}": _alone(place) for place, asset in enumerate(assets)}
    return {**named, BENCHMARK: WEIGHTINGS[BENCHMARK], **alone}


def _alone(place: int) -> Weighting:
    def only(returns: ArrayLike, *, limits: Limits | None = None) -> Floats:
        return nearest_within(np.eye(np.shape(returns)[1])[place], limits)

    return only


def _knowing(limits: Limits, held: ArrayLike | None, cost_a_day: Floats) -> Limits:
    """The limits of one decision; where nothing is held, turnover has no cost and no limit."""
    if held is None:
        return replace(limits, held=None, turnover_cost=0.0, most_turnover=None)
    return replace(limits, held=held, turnover_cost=cost_a_day)


def _decided(weighting: str | Weighting, days: Floats, limits: Limits, date: pd.Timestamp) -> Floats:
    rule = WEIGHTINGS[weighting] if isinstance(weighting, str) else weighting
    try:
        weights = np.asarray(rule(days, limits=limits), dtype=float)
    except (DataError, PlanError) as error:
        raise type(error)(f"no weights for {date:%Y-%m-%d}: {error}") from error
    if weights.shape != (days.shape[1],) or not np.isfinite(weights).all():
        raise DataError(
            f"the weighting must give {days.shape[1]} finite weights, got {weights.tolist()} for {date:%Y-%m-%d}"
        )
    missed = limits.violation(weights)
    if missed > _MOST_MISSED * max(1.0, float(np.abs(weights).max())):
        raise DataError(f"the weighting breaks the limits by {missed:.3g} for {date:%Y-%m-%d}: use nearest_within")
    return weights


def _checked_days(returns: pd.DataFrame, window: int, every: int) -> Floats:
    index = returns.index
    if not isinstance(index, pd.DatetimeIndex) or not index.is_monotonic_increasing or not index.is_unique:
        raise DataError("returns need an index of dates in order, each once: sort them and drop what is there twice")
    if not len(returns.columns) or not returns.columns.is_unique:
        raise DataError(f"returns need columns, each name once, got {list(returns.columns)}")
    if window < 1 or every < 1:
        raise DataError(f"window and every must be 1 day or more, got {window} and {every}")
    if len(returns) <= window:
        raise DataError(
            f"returns have {len(returns)} days, of which a window of {window} leaves none to hold weights on"
        )
    values: Floats = returns.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        day, asset = np.argwhere(~np.isfinite(values))[0]
        value, name = values[day, asset], returns.columns[asset]
        raise DataError(f"{name!r} is {value} on {index[day]:%Y-%m-%d}: fill it or drop the day")
    return values


def _checked_cost(cost: ArrayLike, n_assets: int) -> Floats:
    cost = np.asarray(cost, dtype=float)
    if cost.shape not in ((), (n_assets,)) or not ((cost >= 0) & (cost < np.inf)).all():
        raise DataError(
            f"cost must be a number or of shape ({n_assets},), finite and not negative, got {cost.tolist()}"
        )
    return np.array(np.broadcast_to(cost, n_assets))
