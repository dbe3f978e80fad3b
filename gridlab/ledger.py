"""The ledger: every amount twice, once on each side, so that all accounts together sum to zero."""

import numpy as np
import pandas as pd

from gridlab.days import market_dates
from gridlab.errors import DataError
from gridlab.schema import TABLES, validate

CAUSES = ("energy", "wear", "inventory")


def post(flows: pd.DataFrame, prices: pd.DataFrame, *, degradation_cost: float = 0.0) -> pd.DataFrame:
    """
    Enter what the battery's flows earned and cost.

    Energy at the grid's meter is settled between `battery` and `market` at the price; energy delivered is charged
    by `wear`. Intervals without energy have no entries.

    Parameters
    ----------
    flows : DataFrame
        A `flows` table with the meter `grid`.
    prices : DataFrame
        A `prices` table that covers the flows.
    degradation_cost : float
        Cost of wear for each MWh delivered to the grid. [$/MWh]

    Returns
    -------
    DataFrame
        An `entries` table in which each posting is followed, in the second half, by its mirror: account and counter
        account swapped, amount and energy negated.

    Raises
    ------
    DataError
        If a table breaks its schema, or energy flowed where there is no price.

    Examples
    --------
    >>> from gridlab.schema import mock_flows, mock_prices
    >>> entries = post(mock_flows(days=1), mock_prices(days=1).assign(price=30.0), degradation_cost=2.0)
    >>> entries[["account", "counter_account", "amount", "cause"]].head(3).values.tolist()
    [['battery', 'market', -30.0, 'energy'], ['battery', 'market', 30.0, 'energy'], ['battery', 'wear', -2.0, 'wear']]
    >>> float(entries["amount"].sum())
    0.0
    """
    validate(flows, "flows"), validate(prices, "prices")
    grid = flows[(flows["meter"] == "grid") & (flows["energy_mwh"] != 0)]
    sold = grid["energy_mwh"].to_numpy(float)
    price = prices["price"].reindex(pd.DatetimeIndex(grid["time"])).to_numpy(float)
    if np.isnan(price).any():
        raise DataError(
            f"energy flowed at {grid['time'].iloc[int(np.argmax(np.isnan(price)))]}, where there is no price: "
            "trade nothing in a gap"
        )
    worn = (sold > 0) & (degradation_cost != 0)
    energy = _postings(grid["time"], "market", sold * price, sold, "energy")
    wear = _postings(grid["time"][worn], "wear", -degradation_cost * sold[worn], sold[worn], "wear")
    return _with_mirror(pd.concat([energy, wear], ignore_index=True))


def carry(schedule: pd.DataFrame, *, soc_mwh: float, market_tz: str = "UTC") -> pd.DataFrame:
    """
    Enter what the energy stored gained or lost in value over each market day.

    Energy above that of the beginning is worth the day's mean price at the end of it, so that a day which buys for the
    next is no loss. A run that ends with the energy it began with gains nothing in sum.

    Parameters
    ----------
    schedule : DataFrame
        A `schedule` table with a column `price`; a day without a price keeps that of the day before.
    soc_mwh : float
        Energy stored at the beginning. [MWh]
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    DataFrame
        An `entries` table between `battery` and `store`, at each day's last time, with its mirror as in `post`.

    Examples
    --------
    >>> from gridlab.schema import mock_times
    >>> schedule = pd.DataFrame({"battery_mw": 0.0, "soc_mwh": 0.0, "price": 20.0}, index=mock_times(2))
    >>> schedule.loc["2024-01-01 22:00":"2024-01-02 10:00", "soc_mwh"] = 2.0
    >>> carry(schedule, soc_mwh=0.0)["amount"].tolist()
    [40.0, -40.0, -40.0, 40.0]
    """
    dates = market_dates(schedule.index, market_tz)
    by_day = schedule.assign(time=schedule.index).groupby(dates)
    held = by_day["soc_mwh"].last().to_numpy() - soc_mwh
    value = held * by_day["price"].mean().ffill().fillna(0.0).to_numpy()
    gained, stored = np.diff(value, prepend=0.0), np.diff(held, prepend=0.0)
    some = (gained != 0) | (stored != 0)
    return _with_mirror(_postings(by_day["time"].last()[some], "store", gained[some], -stored[some], "inventory"))


def statement(entries: pd.DataFrame, account: str = "battery", *, market_tz: str = "UTC") -> pd.DataFrame:
    """
    What an account received, by market day and cause.

    Parameters
    ----------
    entries : DataFrame
        An `entries` table.
    account : str
        Whose money.
    market_tz : str
        Time zone that says when a day begins.

    Returns
    -------
    DataFrame
        Index `date`, from the account's first day to its last, without a time zone; a column for each cause and
        their sum, `profit`. [$]

    Examples
    --------
    >>> from gridlab.schema import mock_entries
    >>> statement(mock_entries(days=2)).values.tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    own = validate(entries, "entries")[entries["account"] == account]
    date = market_dates(pd.DatetimeIndex(own["time"]), market_tz)
    table = own.pivot_table(index=date, columns="cause", values="amount", aggfunc="sum", fill_value=0.0)
    table = table.reindex(columns=list(CAUSES), fill_value=0.0).rename_axis(index="date", columns=None)
    if len(table):
        table = table.reindex(pd.date_range(table.index[0], table.index[-1], freq="D", name="date"), fill_value=0.0)
    return table.assign(profit=table.sum(axis=1))


def profit(entries: pd.DataFrame, account: str = "battery") -> float:
    """
    Money that an account received, less what it paid. [$]

    Examples
    --------
    >>> from gridlab.schema import mock_entries
    >>> profit(mock_entries(days=1)), profit(mock_entries(days=1), "market")
    (0.0, 0.0)
    """
    return float(entries.loc[entries["account"] == account, "amount"].sum())


def _postings(times: pd.Series, counter_account: str, amount: object, energy: object, cause: str) -> pd.DataFrame:
    table = pd.DataFrame({"time": times.to_numpy(), "amount": amount, "energy_mwh": energy})
    text = {"account": "battery", "counter_account": counter_account, "cause": cause}
    table["time"] = pd.DatetimeIndex(times)
    return table.assign(**{name: pd.Series(word, index=table.index, dtype="str") for name, word in text.items()})


def _with_mirror(one: pd.DataFrame) -> pd.DataFrame:
    mirror = one.assign(
        account=one["counter_account"],
        counter_account=one["account"],
        amount=-one["amount"],
        energy_mwh=-one["energy_mwh"],
    )
    return pd.concat([one, mirror], ignore_index=True)[list(TABLES["entries"].columns)]
