"""
Backtests: plan, bid, clear, dispatch and post over a history, settled on what happened.

A run ends with the energy that it began with, so that no energy is left to be valued: each plan is given the band of
final energies from which the rest of the run can still come back. Where a price is missing the market is closed, and
every policy knows it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab import auctions, bids, ledger, mpc, risk
from gridlab.assets import Battery
from gridlab.days import gap_dates, market_dates
from gridlab.dispatch import Dispatch, dispatch
from gridlab.errors import DataError, PlanError
from gridlab.schema import step_hours, validate

Floats = NDArray[np.float64]

_RETURN_TOLERANCE = 1e-3  # share of the battery's energy by which a run may miss the energy it began with
_LEAST_BLOCK_DAYS = 7.0
_RESAMPLES = 1000
_LEAST_PROFIT = 0.01  # $ a day below which a share of it says nothing


class Result(NamedTuple):
    """
    A run.

    Parameters
    ----------
    schedule : DataFrame
        What was done, a `schedule` table, and beside it the `price` at which it was settled; the price is NaN where
        nothing could be traded, because it is missing or because no plan reaches there.
    flows, entries : DataFrame
        The `flows` and the double `entries`.
    profit : float
        Sum of the battery's entries: sales less purchases less wear, and gains in the value of stored energy, whose
        own sum is zero. [$]
    counts : mapping
        `plans`, the solvers by name and how many plans each made, `gap_days` (market days with an interval that
        could not be traded, or cut short), and `clipped_mwh`, energy planned that the battery could not do.
    """

    schedule: pd.DataFrame
    flows: pd.DataFrame
    entries: pd.DataFrame
    profit: float
    counts: Mapping[str, float]


def run(
    policy: mpc.Policy,
    asset: Battery,
    prices: pd.DataFrame,
    forecast: pd.DataFrame | None = None,
    *,
    horizon: int,
    soc_mwh: float | None = None,
    market_tz: str = "UTC",
) -> Result:
    """
    What a policy would have earned.

    A policy that sees forecasts plans anew at every origin. It looks over the first `horizon` of the forecast's times
    (more where the next plan begins later, as on a day of 25 hours) and its plan is executed until the next one
    begins. Perfect foresight plans once over the whole period, so that no policy with whatever horizon can pass it.

    Parameters
    ----------
    policy : Policy
        One of `gridlab.mpc.POLICIES`, made, or any callable with the same signature.
    asset : Battery
        The battery.
    prices : DataFrame
        A `prices` table; a gap is a row whose price is NaN.
    forecast : DataFrame, optional
        A `forecast` table. It also says which times the run covers, for every policy, so that runs on one forecast
        compare; without it the run covers all of `prices`.
    horizon : int
        Intervals that a plan looks ahead.
    soc_mwh : float, optional
        Energy stored at the beginning and at the end; the battery's least when omitted. [MWh]
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    Result

    Raises
    ------
    DataError
        If a table breaks its schema, the forecast has times that `prices` has not, or the policy needs a forecast
        and there is none.
    PlanError
        If a plan cannot be made, or the policy does not come back to the energy it began with.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> prices, forecast = mock_prices(days=3), mock_forecast(days=3)
    >>> planned = run(mpc.POLICIES["mpc"](), Battery(1, 2), prices, forecast, horizon=24)
    >>> best = run(mpc.POLICIES["perfect_foresight"](), Battery(1, 2), prices, forecast, horizon=24)
    >>> 0 < planned.profit < best.profit
    True
    """
    period, windows = _period_and_windows(policy, prices, forecast, horizon)
    start_soc = asset.soc_low_mwh if soc_mwh is None else soc_mwh
    soc, steps, solvers = start_soc, [], []
    for window in windows:
        plan = policy(mpc.State(asset, soc, *_end_band(window, asset, start_soc, period)), window.forecast)
        steps.append(_execute(plan, asset, soc, period.iloc[window.start : window.until]))
        soc = float(steps[-1].schedule["soc_mwh"].iloc[-1])
        solvers.append(plan.attrs.get("solver"))
    if abs(soc - start_soc) > _RETURN_TOLERANCE * asset.energy_mwh:
        raise PlanError(
            f"the run began with {start_soc:g} MWh and ends with {soc:g}: the policy must end its plans between the "
            "state's end_low_mwh and end_high_mwh"
        )
    return _result(period, start_soc, steps, solvers, asset, market_tz)


def daily_profit(results: Mapping[str, Result], *, market_tz: str = "UTC") -> pd.DataFrame:
    """
    Profit of each strategy by market day, from the ledger: cash, wear, and the value gained by the energy stored.

    Parameters
    ----------
    results : mapping of str to Result
        Runs over one period, by strategy.
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    DataFrame
        Index `date`, without a time zone; a column for each strategy. Days on which some run could not trade in
        every interval, for a gap or for want of a plan, are left out. [$]

    Raises
    ------
    DataError
        If the runs cover different periods.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> daily_profit({"idle": run(mpc.Idle(), Battery(1, 2), mock_prices(days=2), horizon=24)})["idle"].tolist()
    [0.0, 0.0]
    """
    dates = _whole_dates(results, market_tz)
    statements = {name: ledger.statement(result.entries, market_tz=market_tz) for name, result in results.items()}
    return pd.DataFrame({name: table["profit"].reindex(dates, fill_value=0.0) for name, table in statements.items()})


def compare(
    results: Mapping[str, Result],
    *,
    battery: Battery,
    benchmark: str = "perfect_foresight",
    market_tz: str = "UTC",
    level: float = 0.95,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """
    Strategies side by side.

    The capture ratio is the sum of a strategy's profits over the sum of the benchmark's; its confidence interval
    takes its standard error from resampling days, the same for every strategy, by the stationary bootstrap [1]_, and
    Student's t with as many degrees of freedom as there are blocks of days, less one; it is NaN below two blocks.

    Parameters
    ----------
    results : mapping of str to Result
        Runs over one period, by strategy.
    battery : Battery
        The battery that they used.
    benchmark : str
        The strategy that the others are measured by.
    market_tz : str
        Time zone that says when a day begins.
    level : float
        Level of the value at risk and of the confidence interval. [-]
    rng : Generator
        Source of randomness of the bootstrap.

    Returns
    -------
    DataFrame
        Index `strategy`; columns `profit_per_mw_year` (365 days) [$/MW], `capture`, `capture_low`, `capture_high`
        [-], `cycles_per_day` (energy out of the store over the usable energy) [1/day], `var` and `cvar` of the daily
        loss [$], `share_best_days` (of the profit, from the best hundredth of the days) [-] and `days`. A ratio to
        a profit of less than a cent a day is NaN.

    Raises
    ------
    DataError
        If the benchmark is not among the results, the runs cover different periods, no whole day is left, or `level`
        is outside (0, 1).

    References
    ----------
    .. [1] D. N. Politis and J. P. Romano, "The stationary bootstrap," JASA 89(428), 1994,
       doi:10.1080/01621459.1994.10476870.

    Examples
    --------
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> prices, forecast, battery = mock_prices(days=14), mock_forecast(days=14), Battery(1, 2)
    >>> results = {
    ...     name: run(mpc.POLICIES[name](), battery, prices, forecast, horizon=24)
    ...     for name in ("mpc", "perfect_foresight")
    ... }
    >>> table = compare(results, battery=battery, rng=np.random.default_rng(0))
    >>> bool(table.loc["mpc", "capture_low"] < table.loc["mpc", "capture"] < 1)
    True
    """
    daily = _comparable_days(results, benchmark, level, market_tz)
    total, loss = daily.sum(), 0.0 - daily.to_numpy().T
    low, high = _capture_interval(daily, benchmark, level, rng)
    table = {
        "profit_per_mw_year": total / len(daily) * 365 / battery.power_mw,
        "capture": _ratio(total, total[benchmark], len(daily)),
        "capture_low": low,
        "capture_high": high,
        "cycles_per_day": pd.Series({n: _cycles(r, battery, daily.index, market_tz) for n, r in results.items()}),
        "var": pd.Series(risk.var(loss, level), index=daily.columns),
        "cvar": pd.Series(risk.cvar(loss, level), index=daily.columns),
        "share_best_days": _ratio(
            0.01 * len(daily) * pd.Series(risk.cvar(-loss, 0.99), index=daily.columns), total, len(daily)
        ),
        "days": pd.Series(len(daily), index=daily.columns),
    }
    return pd.DataFrame(table).rename_axis(index="strategy")


def _comparable_days(results: Mapping[str, Result], benchmark: str, level: float, market_tz: str) -> pd.DataFrame:
    """Daily profits of runs that can be compared, or the sentence why they cannot."""
    if benchmark not in results:
        raise DataError(f"the benchmark '{benchmark}' is not among the results ({', '.join(results)}): add its run")
    if not 0 < level < 1:
        raise DataError(f"level must be in (0, 1), got {level}")
    daily = daily_profit(results, market_tz=market_tz)
    if daily.empty:
        raise DataError("no day is whole in every run: compare over a longer period")
    return daily


class _Window(NamedTuple):
    """One plan: rows of the period from `start`; it looks as far as `stop` and is executed up to `until`."""

    start: int
    stop: int
    until: int
    forecast: pd.DataFrame


def _period_and_windows(
    policy: mpc.Policy, prices: pd.DataFrame, forecast: pd.DataFrame | None, horizon: int
) -> tuple[pd.DataFrame, list[_Window]]:
    """The prices that the run settles at, NaN where nothing can be traded, and its plans in order of time."""
    validate(prices, "prices")
    if horizon < 1:
        raise DataError(f"horizon must be at least 1 interval, got {horizon}")
    if forecast is None and policy.sees == "forecast":
        raise DataError("the policy plans on a forecast and none is given: pass one, for instance of evaluate.roll")
    if forecast is None:
        period = prices[["price"]]
        windows = []
    else:
        period = _covered(prices, forecast)
        windows = _windows(forecast, period.index, horizon)
        period = _masked(period, ~_planned(windows, len(period)))
    if policy.sees != "forecast":
        seen = period.rename(columns={"price": "mean"})
        windows = [_Window(0, len(period), len(period), seen if policy.sees == "prices" else seen * np.nan)]
    closed = period["price"].isna().to_numpy()
    return period, [_without(window, closed) for window in windows]


def _covered(prices: pd.DataFrame, forecast: pd.DataFrame) -> pd.DataFrame:
    """The prices from the forecast's first time to its last."""
    times = validate(forecast, "forecast").index.get_level_values("time")
    if len(times) == 0:
        raise DataError("the forecast has no rows: forecast at least one day")
    known = times.isin(prices.index)
    if not known.all():
        missing = times[int(np.argmin(known))]
        raise DataError(f"the forecast is for {missing}, which prices does not have: cut it to the prices' times")
    return prices.loc[times.min() : times.max(), ["price"]]


def _windows(forecast: pd.DataFrame, times: pd.DatetimeIndex, horizon: int) -> list[_Window]:
    """A plan for each origin, on the grid of `times`, NaN where the forecast has no row; it reaches the next plan."""
    tables = [table.droplevel("origin").sort_index() for _, table in forecast.groupby(level="origin")]
    starts = [int(times.get_indexer(table.index[:1])[0]) for table in tables]
    untils = [*starts[1:], len(times)]
    if not all(start < until for start, until in zip(starts, untils, strict=True)):
        raise DataError("a later origin's forecast must begin later: drop the origins that do not")
    windows = []
    for table, start, until in zip(tables, starts, untils, strict=True):
        stop = min(max(start + horizon, until), 1 + int(times.get_indexer(table.index[-1:])[0]))
        windows.append(_Window(start, stop, until, table.reindex(times[start:stop])))
    return windows


def _planned(windows: list[_Window], n_steps: int) -> NDArray[np.bool_]:
    """Which intervals have a forecast in the plan that is in force, shape (n_steps,)."""
    planned = np.zeros(n_steps, dtype=bool)
    for window in windows:
        stop = min(window.stop, window.until)
        planned[window.start : stop] = window.forecast["mean"].notna()[: stop - window.start]
    return planned


def _without(window: _Window, closed: NDArray[np.bool_]) -> _Window:
    """The window with a forecast of NaN wherever the market is closed."""
    return window._replace(forecast=_masked(window.forecast, closed[window.start : window.stop]))


def _masked(table: pd.DataFrame, rows: NDArray[np.bool_]) -> pd.DataFrame:
    """The table with NaN in `rows`."""
    return table.mask(np.broadcast_to(rows[:, np.newaxis], table.shape))


def _end_band(window: _Window, battery: Battery, start_soc: float, period: pd.DataFrame) -> tuple[float, float]:
    """Least and greatest energy at the plan's end from which the run can still return to `start_soc`. [MWh]"""
    still_open = period["price"].iloc[window.stop :].notna().sum()
    room = battery.power_mw * step_hours(period.index) * still_open
    low = max(battery.soc_low_mwh, start_soc - room * battery.eta_charge)
    high = min(battery.soc_high_mwh, start_soc + room / battery.eta_discharge)
    return low, high


def _execute(plan: pd.DataFrame, battery: Battery, soc: float, settled: pd.DataFrame) -> Dispatch:
    """Bid the plan, clear it at the market's price and carry out what was awarded."""
    in_force = plan[plan.index <= settled.index[-1]]
    cleared = auctions.clear_at_price(bids.bid_price_taker(in_force), settled)
    return dispatch(cleared.awards, battery, soc_mwh=soc, times=pd.DatetimeIndex(settled.index))


def _result(
    period: pd.DataFrame,
    start_soc: float,
    steps: list[Dispatch],
    solvers: list[str | None],
    battery: Battery,
    market_tz: str,
) -> Result:
    schedule = pd.concat([step.schedule for step in steps]).reindex(period.index).assign(price=period["price"])
    flows = pd.concat([step.flows for step in steps], ignore_index=True)
    settled = ledger.post(flows, period, degradation_cost=battery.degradation_cost)
    entries = pd.concat([settled, ledger.carry(schedule, soc_mwh=start_soc, market_tz=market_tz)], ignore_index=True)
    counts: dict[str, float] = {"plans": len(steps)}
    counts |= {solver: solvers.count(solver) for solver in mpc.SOLVERS if solver in solvers}
    counts["gap_days"] = len(gap_dates(period, market_tz))
    counts["clipped_mwh"] = sum(step.clipped_mwh for step in steps)
    return Result(schedule, flows, entries, ledger.profit(entries), counts)


def _whole_dates(results: Mapping[str, Result], market_tz: str) -> pd.DatetimeIndex:
    """Market days that every run could trade in every interval."""
    first = next(iter(results.values())).schedule.index
    for name, result in results.items():
        if not result.schedule.index.equals(first):
            raise DataError(
                f"'{name}' covers {result.schedule.index[0]} to {result.schedule.index[-1]}, another run {first[0]} to "
                f"{first[-1]}: run both on the same forecast times"
            )
    dates = market_dates(first, market_tz).unique()
    for result in results.values():
        dates = dates.difference(gap_dates(result.schedule, market_tz))
    return dates.rename("date")


def _ratio(numerator: pd.Series, denominator: Any, n_days: int) -> pd.Series:
    """The quotient, NaN where the denominator is not a profit worth the name."""
    denominator = pd.Series(denominator, index=numerator.index)
    return numerator / denominator.where(denominator > _LEAST_PROFIT * n_days)


def _capture_interval(
    daily: pd.DataFrame, benchmark: str, level: float, rng: np.random.Generator
) -> tuple[pd.Series, pd.Series]:
    """Bounds of the ratio of sums: resampled days give its standard error, blocks the freedom of Student's t."""
    from arch.bootstrap import StationaryBootstrap
    from scipy.stats import t

    ratio = _ratio(daily.sum(), daily[benchmark].sum(), len(daily))
    block = _block_days(daily[benchmark])
    freedom = len(daily) / block - 1
    if freedom < 1:
        return ratio * np.nan, ratio * np.nan
    sample = StationaryBootstrap(block, daily.to_numpy(), seed=rng)
    totals = pd.DataFrame([data[0].sum(axis=0) for data, _ in sample.bootstrap(_RESAMPLES)], columns=daily.columns)
    error = totals.apply(_ratio, args=(totals[benchmark], len(daily))).std()
    reach = t.ppf((1 + level) / 2, freedom) * error
    return ratio - reach, ratio + reach


def _block_days(profit: pd.Series) -> float:
    """Mean length of a block: the optimal one for the benchmark's profit, a week at least."""
    from arch.bootstrap import optimal_block_length

    varies = len(profit) > 4 * _LEAST_BLOCK_DAYS and profit.std() > 0
    optimal = float(optimal_block_length(profit)["stationary"].iloc[0]) if varies else _LEAST_BLOCK_DAYS
    return max(optimal, _LEAST_BLOCK_DAYS)


def _cycles(result: Result, battery: Battery, dates: pd.DatetimeIndex, market_tz: str) -> float:
    """Energy taken out of the store in a day, in full batteries, over the days of `dates`."""
    stored = result.flows[(result.flows["meter"] == "battery") & (result.flows["energy_mwh"] < 0)]
    counted = market_dates(pd.DatetimeIndex(stored["time"]), market_tz).isin(dates)
    usable = battery.soc_high_mwh - battery.soc_low_mwh
    return float(stored["energy_mwh"][counted].abs().sum() / usable / len(dates))
