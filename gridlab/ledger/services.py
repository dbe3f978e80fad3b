"""What each service earned, from the ledger: the battery's trade, each product, the regulation, and what they cost."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.days import market_dates
from gridlab.errors import DataError
from gridlab.ledger.accounts import CAUSES, SITE_CAUSES, owner, statement
from gridlab.schema import validate

Floats = NDArray[np.float64]

_ROUNDING = 1e-6  # share of a price, or $/MWh, by which two prices are the same
_NOTHING = 1e-9  # share of the greatest amount below which another is left by rounding
_OF_NO_HOUR = ("inventory", "demand")
_COSTS = ("wear", "starts", "cooling", "demand")
_DEMANDS = ("posted", "spread", "accrued")


def by_service(
    entries: pd.DataFrame,
    prices: pd.DataFrame | None = None,
    *,
    flows: pd.DataFrame | None = None,
    demand: Literal["posted", "spread", "accrued"] = "posted",
    market_tz: str = "UTC",
) -> pd.DataFrame:
    """
    What each service of a battery or a site earned, by market day.

    All services behind one meter trade with each other at the market's price of the interval: machines buy all that
    they draw at it, also where the battery or no one else's energy feeds them, and the battery sells all that it
    delivers at it, also what never reaches the meter. So a product earns what was paid for the machines' output less
    the energy that they drew, the cooling costs the energy that it drew, and `energy` is what is left of the money
    settled at the meter: the battery's power into the site times the price, and the gain in value of its stored
    energy. That price is what another MWh would have cost or brought as long as the meter's limits do not bind; where
    they bind, machines and battery share in an advantage that it does not show. Every $ of the ledger is in one column,
    so the columns sum to the daily profit of `statement`.

    Parameters
    ----------
    entries : DataFrame
        An `entries` table of a battery or a site.
    prices : DataFrame, optional
        A table indexed by time with the column `price`, at which the entries were settled, such as the schedule of a
        run. When omitted, each price is the amount of the market's entry over its energy, which is not there for an
        interval in which nothing went through the meter. [$/MWh]
    flows : DataFrame, optional
        The `flows` of the same run. The entries do not name the energy of the cooling: without the flows it stays in
        `energy`, as a cost.
    demand : {"posted", "spread", "accrued"}
        On which days the charge on a month's greatest power lies: on the last of the month; evenly on those that the
        ledger covers, which puts on a day what is known at the month's end alone, so that such days must not be fed to
        what forecasts from past days; or, each day, what its own power adds to the greatest of the month so far. Then a
        day rests on itself and the days before it, as the charge per MW, the posted charge over the rise of the month,
        is the tariff. In all three a month's sum is the posted charge. A first month that began with an earlier peak is
        known by the charge per MW of the months after it; where there is none, it is taken to have begun without, and
        then the days before the earlier peak was passed bear a part of a sum that the month's end settles.
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    DataFrame
        Index `date`, as in `statement`. For a battery the columns are `energy` and `wear`; for a site a column for each
        product that was paid for, named as in the prices, then `energy`, `regulation`, and the costs `wear`, `starts`,
        `cooling`, `demand`, not above zero but for cooling at negative prices. [$]

    Raises
    ------
    DataError
        If a table breaks its schema, machines or cooling drew energy in an interval without a price, `prices` differ
        from those of the entries, a product is named as another column, or `demand` is none of the three.

    Examples
    --------
    >>> from gridlab.assets import Machine, Site
    >>> from gridlab.ledger import post_site
    >>> times = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC", name="time")
    >>> site = Site(1.0, machines=(Machine("miners", power_mw=0.5, count=2, output=1.0),), demand_charge=10.0)
    >>> done = pd.DataFrame({"miners_mw": [-0.5, -1.0], "grid_mw": [-0.5, -1.0], "soc_mwh": 0.0}, index=times)
    >>> prices = pd.DataFrame({"price": [20.0, 30.0], "hash_price": 40.0}, index=times)
    >>> services = by_service(post_site(done, site, prices), prices)
    >>> services[["hash_price", "energy", "demand"]].values.tolist()  # 120 for output, less 10 and 30 for energy
    [[80.0, 0.0, -10.0]]
    """
    if demand not in _DEMANDS:
        raise DataError(f"demand must be {', '.join(map(repr, _DEMANDS[:-1]))} or {_DEMANDS[-1]!r}, got {demand!r}")
    account = owner(validate(entries, "entries"))
    own = entries[entries["account"] == account]
    total = statement(entries, account, market_tz=market_tz)
    if account != "site":
        return pd.DataFrame({"energy": total["energy"] + total["inventory"], "wear": total["wear"]})
    price = _prices_of(own, prices)
    drawn = _drawn(own, flows)
    value = drawn["energy_mwh"].to_numpy() * _price_at(price, pd.DatetimeIndex(drawn["time"]))
    bought = _daily(drawn["time"], value, drawn["service"], total.index, market_tz)
    output = own[own["cause"] == "output"]
    _refuse_names(output["counter_account"])
    paid = _daily(output["time"], output["amount"], output["counter_account"], total.index, market_tz)
    services = paid.sub(bought.reindex(columns=paid.columns, fill_value=0.0))
    services["energy"] = total["energy"] + total["inventory"] + bought.sum(axis=1)
    cooling = 0.0 - bought["cooling"] if "cooling" in bought else 0.0
    services = services.assign(
        regulation=total["regulation"], wear=total["wear"], starts=total["starts"], cooling=cooling
    )
    return services.assign(demand=_laid(total["demand"], own, demand, market_tz))


def by_time_of_day(entries: pd.DataFrame, *, block_hours: int = 4, market_tz: str = "UTC") -> pd.DataFrame:
    """
    What a battery or a site earned in each part of the day: what drives the profit of an asset with one service.

    Parameters
    ----------
    entries : DataFrame
        An `entries` table.
    block_hours : int
        Hours of each part by the market's clock, a divisor of 24. [h]
    market_tz : str
        Time zone of the clock, which also says when a day begins.

    Returns
    -------
    DataFrame
        Index `date`, as in `statement`; columns such as ``00-04``, and `inventory` and `demand`, which belong to no
        hour, where there are any. They sum to the daily profit of `statement`. [$]

    Raises
    ------
    DataError
        If the table breaks its schema or `block_hours` is no divisor of 24.

    Examples
    --------
    >>> from gridlab.ledger import post
    >>> times = pd.date_range("2024-01-01 03:00", periods=2, freq="15h", tz="UTC", name="time")
    >>> flows = pd.DataFrame({"time": times, "meter": "grid", "energy_mwh": [-1.0, 0.8]})
    >>> prices = pd.DataFrame({"price": [20.0, 90.0]}, index=times)
    >>> by_time_of_day(post(flows, prices, degradation_cost=0.0))[["00-04", "16-20"]].values.tolist()
    [[-20.0, 72.0]]
    """
    if block_hours < 1 or 24 % block_hours:
        raise DataError(f"block_hours must divide 24, as 4 or 6 do, got {block_hours}")
    account = owner(validate(entries, "entries"))
    total = statement(entries, account, market_tz=market_tz)
    own = entries[(entries["account"] == account) & ~entries["cause"].isin(_OF_NO_HOUR)]
    first = pd.DatetimeIndex(own["time"]).tz_convert(market_tz).hour // block_hours * block_hours
    names = [f"{hour:02d}-{hour + block_hours:02d}" for hour in range(0, 24, block_hours)]
    block = pd.Series([names[hour // block_hours] for hour in first], index=own.index, dtype=object)
    daily = _daily(own["time"], own["amount"], block, total.index, market_tz).reindex(columns=names, fill_value=0.0)
    return daily.join(total[[cause for cause in _OF_NO_HOUR if cause in total and (total[cause] != 0).any()]])


def spread_by_month(charge: pd.Series) -> pd.Series:
    """
    A charge of each calendar month in equal parts on those of its days that are in the index.

    A day so bears what is known at the end of the month alone: such days must not be fed to what forecasts from past
    days, for which `by_service` has ``demand="accrued"``.

    Parameters
    ----------
    charge : Series, shape (n_days,)
        What is charged on each date. [$]

    Examples
    --------
    >>> dates = pd.date_range("2024-01-30", periods=3, name="date")
    >>> spread_by_month(pd.Series([0.0, -10.0, -4.0], index=dates)).tolist()
    [-5.0, -5.0, -4.0]
    """
    spread: pd.Series = charge.groupby(pd.DatetimeIndex(charge.index).to_period("M")).transform("mean")
    return spread


def service_returns(
    services: pd.DataFrame,
    power_mw: Mapping[str, float],
    *,
    borne_by: Mapping[str, str | Sequence[str]] | None = None,
) -> pd.DataFrame:
    """
    What a MW given to each service returned, by day: what a portfolio of services chooses from.

    Costs that are no service's alone are borne by several in proportion to their power. Unless said otherwise `energy`
    bears `wear`; the products bear `starts` and `cooling`; the products and `energy` bear `demand`. So the returns
    times the power sum to the day's profit.

    Parameters
    ----------
    services : DataFrame, shape (n_days, n_columns)
        Daily profit and costs, as from `by_service`. [$]
    power_mw : mapping of str to float
        Power that each service has: of the products that of their machines, of `energy` and `regulation` their parts
        of the battery's. [MW]
    borne_by : mapping of str to str or sequence of str, optional
        The service or services that bear a cost, by the cost's column.

    Returns
    -------
    DataFrame, shape (n_days, n_services)
        A column for each service of `power_mw`. [$/MW per day]

    Raises
    ------
    DataError
        If a power is not positive and finite, a service of `power_mw` or `borne_by` is not there or is named twice for
        one cost, a cost of `borne_by` is not there or has power of its own, an amount is not finite, or a column that
        is not zero throughout has neither power nor a service to bear it.

    Examples
    --------
    >>> dates = pd.date_range("2024-01-01", periods=2, name="date")
    >>> services = pd.DataFrame({"hash_price": [60.0, 90.0], "energy": [20.0, 10.0], "wear": -2.0}, index=dates)
    >>> service_returns(services.assign(demand=-8.0), {"hash_price": 3.0, "energy": 1.0}).values.tolist()
    [[18.0, 16.0], [28.0, 6.0]]
    """
    for name, power in power_mw.items():
        if name not in services.columns:
            raise DataError(f"there is no service '{name}' (there are {', '.join(services.columns)}): drop its power")
        if not 0 < power < np.inf:
            raise DataError(f"power_mw of {name} must be positive and finite, got {power}: leave out what has none")
    size = services.abs().max()
    if not np.isfinite(size.to_numpy()).all() or services.isna().any(axis=None):
        raise DataError("services must be finite: fill or drop the days that are not")
    bearers = _bearers(list(services.columns), power_mw, borne_by)
    returns = {name: services[name] / power for name, power in power_mw.items()}
    for cost in size.index[size > _NOTHING * size.max()].drop(list(power_mw), errors="ignore"):
        if not bearers.get(cost):
            raise DataError(f"'{cost}' is not zero and nothing bears it: give it power_mw or name it in borne_by")
        borne = services[cost] / sum(power_mw[name] for name in bearers[cost])
        returns |= {name: returns[name] + borne for name in bearers[cost]}
    return pd.DataFrame(returns)


def _bearers(
    columns: Sequence[str], power_mw: Mapping[str, float], borne_by: Mapping[str, str | Sequence[str]] | None
) -> dict[str, list[str]]:
    """Services that bear each cost."""
    for cost in borne_by or {}:
        if cost not in columns or cost in power_mw:
            costs = [name for name in columns if name not in power_mw]
            raise DataError(f"borne_by names '{cost}', which is no cost (they are {', '.join(costs)}): correct it")
    products = [name for name in power_mw if name not in (*CAUSES, *SITE_CAUSES, *_COSTS)]
    energy = [name for name in ("energy",) if name in power_mw]
    usual = {"wear": energy, "starts": products, "cooling": products, "demand": products + energy}
    said = {cost: [names] if isinstance(names, str) else list(names) for cost, names in (borne_by or {}).items()}
    for cost, names in said.items():
        if len(set(names)) < len(names):
            raise DataError(f"'{cost}' is to be borne twice by one of {', '.join(names)}: name each once")
        absent = [name for name in names if name not in power_mw]
        if absent:
            raise DataError(f"'{absent[0]}' is to bear '{cost}' and has no power_mw: give its power")
    return usual | said


def _laid(charge: pd.Series, own: pd.DataFrame, demand: str, market_tz: str) -> pd.Series:
    """The demand charge on the days on which it is to lie."""
    if demand == "posted":
        return charge
    return spread_by_month(charge) if demand == "spread" else _accrued(charge, own, market_tz)


def _accrued(charge: pd.Series, own: pd.DataFrame, market_tz: str) -> pd.Series:
    """The charge of each month by what each day adds to the greatest energy that was drawn in an interval so far."""
    month = pd.DatetimeIndex(charge.index).to_period("M")
    sold = own[own["counter_account"] == "market"].groupby("time")["energy_mwh"].sum()
    drawn = (0.0 - sold).groupby(market_dates(pd.DatetimeIndex(sold.index), market_tz)).max()
    so_far = drawn.reindex(charge.index).fillna(0.0).clip(lower=0.0).groupby(month).cummax()
    before = pd.Series(0.0, index=charge.index)
    before[month == month[0]] = _peak_before(charge.groupby(month).sum(), so_far.groupby(month).max())
    passed = so_far.clip(lower=before)
    rise = passed - passed.groupby(month).shift().fillna(before)
    whole = rise.groupby(month).transform("sum")
    return 0.0 + (charge.groupby(month).transform("sum") * rise / whole.where(whole > 0)).fillna(charge)


def _peak_before(charge: pd.Series, peak: pd.Series) -> float:
    """The peak that the first month began with, which by the charge per unit of the months after it was paid for."""
    later = (charge / peak.where(peak > 0)).iloc[1:].dropna()
    if not (later < 0).any():
        return 0.0
    before = float(peak.iloc[0] - charge.iloc[0] / later[later < 0].iloc[0])
    return before if before > _NOTHING * peak.iloc[0] else 0.0


def _drawn(own: pd.DataFrame, flows: pd.DataFrame | None) -> pd.DataFrame:
    """Energy drawn at each time by each product's machines and, where there are flows, by the cooling. [MWh]"""
    output = own[own["cause"] == "output"]
    drawn = pd.DataFrame(
        {"time": output["time"], "service": output["counter_account"], "energy_mwh": -output["energy_mwh"]}
    )
    if flows is None:
        return drawn
    cooling = validate(flows, "flows")
    cooling = cooling[cooling["meter"] == "cooling"].rename(columns={"meter": "service"})
    return pd.concat([drawn, cooling[cooling["energy_mwh"] != 0]], ignore_index=True)


def _daily(
    time: pd.Series, amount: pd.Series | Floats, service: pd.Series, dates: pd.Index, market_tz: str
) -> pd.DataFrame:
    """Sum of amounts by market day and service."""
    date = market_dates(pd.DatetimeIndex(time), market_tz)
    table = pd.Series(np.asarray(amount), index=[date, service.to_numpy()]).groupby(level=[0, 1]).sum().unstack()
    return table.reindex(dates).fillna(0.0).rename_axis(columns=None)


def _prices_of(own: pd.DataFrame, prices: pd.DataFrame | None) -> pd.Series:
    """Price at each time, as given and as the market's entries say; the two must agree."""
    settled = own[own["counter_account"] == "market"].groupby("time")[["amount", "energy_mwh"]].sum()
    settled = settled[settled["energy_mwh"] != 0]
    implied = settled["amount"] / settled["energy_mwh"]
    if prices is None:
        return implied
    if "price" not in prices.columns:
        raise DataError(f"the prices have no column 'price' (they have {', '.join(prices.columns)}): add it")
    given = prices["price"].reindex(implied.index)
    off = ~((given - implied).abs() <= _ROUNDING * (1 + implied.abs()))
    if off.any():
        time = implied.index[off][0]
        raise DataError(
            f"the entries were settled at {implied[time]:g} $/MWh at {time} and prices say {given[time]:g}: give the "
            "prices of the run"
        )
    return prices["price"]


def _price_at(price: pd.Series, times: pd.DatetimeIndex) -> Floats:
    found = price.reindex(times).to_numpy(float)
    if np.isnan(found).any():
        raise DataError(
            f"machines or cooling drew energy at {times[int(np.argmax(np.isnan(found)))]}, where no price is known: "
            "give the prices that the run was settled at"
        )
    return np.asarray(found)


def _refuse_names(products: pd.Series) -> None:
    taken = {"energy", *_COSTS} & set(products)
    if taken:
        raise DataError(f"a product is named '{min(taken)}', which is a column of the answer: rename it in the prices")
