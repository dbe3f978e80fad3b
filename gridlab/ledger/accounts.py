"""What an account holds: the value of stored energy, statements by day, and profit."""

import numpy as np
import pandas as pd

from gridlab.days import market_dates
from gridlab.ledger.entries import postings, with_mirror
from gridlab.schema import validate

_ROUNDING = 1e-6  # MWh by which a run may end with other energy than it began with

CAUSES = ("energy", "wear", "inventory")
"""Causes of a battery's entries."""

SITE_CAUSES = ("energy", "output", "wear", "starts", "regulation", "demand", "inventory")
"""Causes of a site's entries."""


def carry(schedule: pd.DataFrame, *, soc_mwh: float, market_tz: str = "UTC", account: str = "battery") -> pd.DataFrame:
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
    account : str
        Whose energy.

    Returns
    -------
    DataFrame
        An `entries` table between the account and `store`, at each day's last time, with its mirror as in `post`.

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
    times = by_day["time"].last()[some]
    return with_mirror(postings(times, account, "store", gained[some], -stored[some], "inventory"))


def true_up(schedule: pd.DataFrame, *, soc_mwh: float, account: str = "site") -> pd.DataFrame:
    """
    Enter what keeps a run from gaining by the energy that it ends with, beside what `carry` says.

    Energy gained since the beginning is worth no more than the least price of the run, and energy lost no less than the
    greatest.

    Parameters
    ----------
    schedule : DataFrame
        A `schedule` table with a column `price`.
    soc_mwh : float
        Energy stored at the beginning. [MWh]
    account : str
        Whose energy.

    Returns
    -------
    DataFrame
        An `entries` table between the account and `store`, with its mirror; empty where the run ends as it began.

    Examples
    --------
    >>> from gridlab.schema import mock_times
    >>> schedule = pd.DataFrame({"battery_mw": 0.0, "soc_mwh": 2.0, "price": 20.0}, index=mock_times(1))
    >>> schedule.loc[schedule.index[0], "price"] = 8.0
    >>> true_up(schedule, soc_mwh=0.0)["amount"].tolist()  # carried at a mean of 19.5, worth 8
    [-23.0, 23.0]
    """
    gained = float(schedule["soc_mwh"].iloc[-1]) - soc_mwh
    price, last_day = schedule["price"].dropna(), schedule.index.normalize() == schedule.index[-1].normalize()
    mean = schedule["price"][last_day].mean()
    some = np.array([abs(gained) > _ROUNDING and len(price) > 0 and not np.isnan(mean)])
    worth = (price.min() if gained > 0 else price.max()) - mean if some[0] else 0.0
    return with_mirror(
        postings(schedule.index[-1:][some], account, "store", np.array([gained * worth])[some], 0.0, "inventory")
    )


def statement(entries: pd.DataFrame, account: str | None = None, *, market_tz: str = "UTC") -> pd.DataFrame:
    """
    What an account received, by market day and cause.

    Parameters
    ----------
    entries : DataFrame
        An `entries` table.
    account : str, optional
        Whose money; that of the battery, or of the site, when omitted.
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
    account = owner(validate(entries, "entries")) if account is None else account
    own = entries[entries["account"] == account]
    date = market_dates(pd.DatetimeIndex(own["time"]), market_tz)
    table = own.pivot_table(index=date, columns="cause", values="amount", aggfunc="sum", fill_value=0.0)
    causes = SITE_CAUSES if account == "site" else CAUSES
    table = table.reindex(columns=list(causes), fill_value=0.0).rename_axis(index="date", columns=None)
    if len(table):
        table = table.reindex(pd.date_range(table.index[0], table.index[-1], freq="D", name="date"), fill_value=0.0)
    return table.assign(profit=table.sum(axis=1))


def owner(entries: pd.DataFrame) -> str:
    """
    Whose entries they are: `site` where a site has any, and else `battery`.

    Examples
    --------
    >>> from gridlab.schema import mock_entries
    >>> owner(mock_entries(days=1))
    'battery'
    """
    return "site" if (entries["account"] == "site").any() else "battery"


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
