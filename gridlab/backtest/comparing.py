"""Strategies side by side: profits by day, shares of perfect foresight and how sure they are."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab import ledger, risk
from gridlab.assets import Battery, Site
from gridlab.backtest.running import Result
from gridlab.days import gap_dates, market_dates
from gridlab.errors import DataError

Floats = NDArray[np.float64]


def daily_profit(results: Mapping[str, Result], *, market_tz: str = "UTC") -> pd.DataFrame:
    """
    Profit of each strategy by market day, from the ledger: cash, wear, and the value gained by the energy stored.

    A site's demand charge is spread evenly over the days of its month, so that a day bears what is known at the month's
    end alone: for what forecasts from past days take ``ledger.by_service(..., demand="accrued")``.

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
    >>> from gridlab import mpc
    >>> from gridlab.backtest import run
    >>> from gridlab.schema import mock_prices
    >>> daily_profit({"idle": run(mpc.Idle(), Battery(1, 2), mock_prices(days=2), horizon=24)})["idle"].tolist()
    [0.0, 0.0]
    """
    dates = _whole_dates(results, market_tz)
    statements = {name: ledger.statement(result.entries, market_tz=market_tz) for name, result in results.items()}
    return pd.DataFrame({name: _by_day(table, dates) for name, table in statements.items()})


def compare(
    results: Mapping[str, Result],
    *,
    asset: Battery | Site,
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
    asset : Battery or Site
        The asset that they used.
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
        Index `strategy`; columns `profit_per_mw_year` (365 days, for each MW of the battery's power or of what a site
        may draw) [$/MW], `capture`, `capture_low`, `capture_high` [-], `cycles_per_day` (energy out of the store over
        the usable energy) [1/day], `var` and `cvar` of the daily loss [$], `share_best_days` (of the profit, from the
        best hundredth of the days) [-] and `days`. A ratio to a profit of less than a cent a day is NaN.

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
    >>> from gridlab import mpc
    >>> from gridlab.backtest import run
    >>> from gridlab.schema import mock_forecast, mock_prices
    >>> prices, forecast, battery = mock_prices(days=14), mock_forecast(days=14), Battery(1, 2)
    >>> results = {
    ...     name: run(mpc.POLICIES[name](), battery, prices, forecast, horizon=24)
    ...     for name in ("mpc", "perfect_foresight")
    ... }
    >>> table = compare(results, asset=battery, rng=np.random.default_rng(0))
    >>> bool(table.loc["mpc", "capture_low"] < table.loc["mpc", "capture"] < 1)
    True
    """
    daily = _comparable_days(results, benchmark, level, market_tz)
    profit, total = daily.to_numpy().T, daily.sum()
    low, high = _capture_interval(daily, benchmark, level, rng)
    table = {
        "profit_per_mw_year": risk.profit_per_mw_year(profit, _power_mw(asset)),
        "capture": risk.ratio_of_totals(total, total[benchmark], len(daily)),
        "capture_low": low,
        "capture_high": high,
        "cycles_per_day": [_cycles(result, asset, daily.index, market_tz) for result in results.values()],
        "var": risk.var(0.0 - profit, level),
        "cvar": risk.cvar(0.0 - profit, level),
        "share_best_days": risk.share_of_best_days(profit),
        "days": len(daily),
    }
    return pd.DataFrame(table, index=daily.columns.rename("strategy"))


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


def _by_day(statement: pd.DataFrame, dates: pd.DatetimeIndex) -> pd.Series:
    """Profit of each date, with the demand charge of a month in equal parts on its days."""
    profit = statement["profit"]
    if "demand" in statement:
        charge = statement["demand"]
        profit = profit - charge + ledger.spread_by_month(charge)
    return profit.reindex(dates, fill_value=0.0)


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


def _capture_interval(
    daily: pd.DataFrame, benchmark: str, level: float, rng: np.random.Generator
) -> tuple[pd.Series, pd.Series]:
    """Bounds of the ratio of sums: resampled days give its standard error, blocks the freedom of Student's t."""
    place = daily.columns.get_loc(benchmark)

    def captured(days: Floats) -> Floats:
        total = days.sum(axis=0)
        return risk.ratio_of_totals(total, total[place], len(days))

    block = risk.block_length(daily[benchmark])
    low, high, _ = risk.bootstrap_interval(captured, daily, level=level, rng=rng, block_days=block)
    return pd.Series(low, index=daily.columns), pd.Series(high, index=daily.columns)


def _power_mw(asset: Battery | Site) -> float:
    """What a profit is divided by. [MW]"""
    return asset.power_mw if isinstance(asset, Battery) else asset.import_limit_mw


def _cycles(result: Result, asset: Battery | Site, dates: pd.DatetimeIndex, market_tz: str) -> float:
    """Energy taken out of the store in a day, in full batteries, over the days of `dates`."""
    battery = asset if isinstance(asset, Battery) else asset.battery
    if battery is None:
        return 0.0
    counted = market_dates(pd.DatetimeIndex(result.flows["time"]), market_tz).isin(dates)
    moved = result.flows["energy_mwh"].where(counted & (result.flows["meter"] == "battery"), 0.0)
    usable = battery.soc_high_mwh - battery.soc_low_mwh
    return float(risk.equivalent_full_cycles(0.0 - moved.clip(upper=0.0), usable)) / len(dates)
