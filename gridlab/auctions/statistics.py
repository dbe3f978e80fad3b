"""What a clearing achieved: welfare, its share of the optimum, who gained, and whether the money adds up."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.auctions.clearing import Clearing, refuse_row, require_cleared, require_number, require_step, wants
from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]


def statistics(
    bids: pd.DataFrame,
    clearing: Clearing,
    *,
    values: ArrayLike | pd.Series | None = None,
    optimum: float | None = None,
    capacity_mw: float | pd.Series | None = None,
    two_sided: bool | None = None,
    step_hours: float = 1.0,
) -> pd.Series:
    """
    Welfare, efficiency and money of a clearing.

    Parameters
    ----------
    bids : DataFrame
        The `bids` table that was cleared, row by row as it was; a quantity is power wanted (positive) or, in a market
        with two sides, offered (positive) or wanted (negative).
    clearing : Clearing
        What became of it.
    values : Series or array_like, shape (n_rows,), optional
        What each row is truly worth, or costs its seller; the prices of the bids when omitted. Give it where bids were
        shaded: welfare is measured in true values. Rows that a bidder bid at one price and that share an award count
        as served in order of their true value. [$/MWh]
    optimum : float, optional
        Greatest welfare. When omitted, that of divisible power: of `capacity_mw` among the bidders, or of the trades
        between the two sides at each time and service; give it for blocks, coupled services and losses. [$]
    capacity_mw : float or Series, optional
        Power that was on sale, from which the optimum of a market with one side is computed. [MW]
    two_sided : bool, optional
        Whether quantities are offers (positive) and bids to buy (negative). When omitted, if one is negative.
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    Series
        ``welfare`` (values of what was awarded less the sellers' costs; unsold power is worth nothing), ``optimum``
        and ``efficiency`` (their ratio; NaN where the optimum is 0 or is not known), ``surplus`` (what the bidders
        keep), ``revenue`` (what rows pay), ``payout`` (what rows are paid) and ``balance`` (what the auction keeps:
        revenue less payout, a deficit where negative). ``welfare = surplus + balance``. [$]

    Raises
    ------
    DataError
        If the clearing is not of these bids, `values` do not fit the rows or are not finite (a bid at any price needs
        its true value), or the optimum is not a number.

    References
    ----------
    .. [1] R. B. Myerson and M. A. Satterthwaite, "Efficient mechanisms for bilateral trading," J. Economic Theory
       29(2), 1983, doi:10.1016/0022-0531(83)90048-0.

    Examples
    --------
    A seller and two buyers trade 2 MW at 30 $/MWh.

    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(3).assign(quantity_mw=[2.0, -2.0, -1.0], price=[10.0, 50.0, 30.0])
    >>> awards = bids.assign(quantity_mw=[2.0, -2.0, 0.0])
    >>> clearing = Clearing(awards, pd.Series([-60.0, 60.0, 0.0]), pd.Series([30.0]))
    >>> statistics(bids, clearing)[["welfare", "efficiency", "surplus", "balance"]].to_dict()
    {'welfare': 80.0, 'efficiency': 1.0, 'surplus': 80.0, 'balance': 0.0}
    """
    sides = _has_two_sides(bids) if two_sided is None else two_sided
    worth = _true_values(bids, values)
    value = _value_of_awards(bids, clearing, worth, sides, step_hours)
    if optimum is None:
        best = _best(bids, worth, capacity_mw, sides) * step_hours
    else:
        best = require_number(optimum, "optimum", "$")
    payment = clearing.payments.to_numpy(float)
    welfare, balance = value.sum(), payment.sum()
    return pd.Series(
        {
            "welfare": welfare,
            "optimum": best,
            "efficiency": welfare / best if best != 0 else np.nan,
            "surplus": welfare - balance,
            "revenue": payment[payment > 0].sum(),
            "payout": -payment[payment < 0].sum() + 0.0,
            "balance": balance,
        },
        dtype=float,
    )


def by_bidder(
    bids: pd.DataFrame,
    clearing: Clearing,
    *,
    values: ArrayLike | pd.Series | None = None,
    two_sided: bool | None = None,
    step_hours: float = 1.0,
) -> pd.DataFrame:
    """
    What each bidder was awarded, what that is worth to it, what it pays and what it keeps.

    Parameters
    ----------
    bids, clearing, values, two_sided, step_hours
        As in `statistics`.

    Returns
    -------
    DataFrame
        Indexed by `bidder`, in order of first appearance: `awarded_mwh` (signed as the bids; what a bidder sells and
        buys is netted), `value` (a seller's is minus its cost), `payment` (negative where it is paid) and `surplus`,
        value less payment. [MWh] [$]

    Raises
    ------
    DataError
        As `statistics`.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> bids = mock_bids(2).assign(quantity_mw=[2.0, -2.0], price=[10.0, 50.0])
    >>> clearing = Clearing(bids, pd.Series([-60.0, 60.0]), pd.Series([30.0]))
    >>> by_bidder(bids, clearing).reset_index()
         bidder  awarded_mwh  value  payment  surplus
    0  bidder_0          2.0  -20.0    -60.0     40.0
    1  bidder_1         -2.0  100.0     60.0     40.0
    """
    sides = _has_two_sides(bids) if two_sided is None else two_sided
    value = _value_of_awards(bids, clearing, _true_values(bids, values), sides, step_hours)
    rows = pd.DataFrame(
        {
            "awarded_mwh": clearing.awards["quantity_mw"].to_numpy(float) * step_hours,
            "value": value,
            "payment": clearing.payments.to_numpy(float),
        }
    )
    table = rows.groupby(bids["bidder"].to_numpy(), sort=False).sum().rename_axis("bidder")
    return table.assign(surplus=table["value"] - table["payment"])


def _has_two_sides(bids: pd.DataFrame) -> bool:
    return bool((validate(bids, "bids")["quantity_mw"] < 0).any())


def _true_values(bids: pd.DataFrame, values: ArrayLike | pd.Series | None) -> Floats:
    """What each row is truly worth."""
    validate(bids, "bids")
    if isinstance(values, pd.Series) and not values.index.equals(bids.index):
        raise DataError(f"values has {len(values)} rows that are not those of the bids: give it the bids' index")
    stated = bids["price"].to_numpy(float) if values is None else np.asarray(values, dtype=float)
    if stated.shape != (len(bids),):
        raise DataError(f"values must have one number for each of the {len(bids)} rows, got shape {stated.shape}")
    bad, remedy = ~np.isfinite(stated), "state what the power is truly worth in values"
    if values is None:
        refuse_row(bids, bad, "price", "is not finite", remedy, unit="$/MWh")
    elif bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"values is not finite in row {bids.index[row]}, {stated[row]:g} $/MWh: {remedy}")
    return stated


def _value_of_awards(bids: pd.DataFrame, clearing: Clearing, worth: Floats, sides: bool, step_hours: float) -> Floats:
    """Each row's award at its true value, minus its cost for a seller."""
    require_step(step_hours)
    require_cleared(bids, clearing)
    awarded = _by_true_value(bids, clearing.awards["quantity_mw"].to_numpy(float), worth, sides)
    return np.asarray((-1.0 if sides else 1.0) * awarded * worth * step_hours)


def _by_true_value(bids: pd.DataFrame, awarded: Floats, worth: Floats, sides: bool) -> Floats:
    """
    Awards, those that a bidder's rows share at one price moved to the rows that are truly worth most.

    The bidder has the same power either way and uses it where it is worth most, or makes it where it costs least.
    """
    quantity = bids["quantity_mw"].to_numpy(float)
    cut = np.flatnonzero((awarded != 0) & (np.abs(awarded) < np.abs(quantity)))
    if not len(cut) or np.array_equal(worth, bids["price"].to_numpy(float)):
        return awarded
    side = np.sign(quantity[cut])
    better = -side if sides else side
    keys = bids.iloc[cut][["time", "service", "bidder", "price"]].assign(side=side).reset_index(drop=True)
    group = keys.groupby(list(keys.columns), sort=False).ngroup().to_numpy()
    order = np.lexsort((-better * worth[cut], group))
    rows, ranked = cut[order], pd.Series(group[order])
    wanted = pd.Series(np.abs(quantity[rows]))
    total = pd.Series(np.abs(awarded[rows])).groupby(ranked).transform("sum")
    before = wanted.groupby(ranked).cumsum() - wanted
    moved = awarded.copy()
    moved[rows] = side[order] * (total - before).clip(0.0, wanted).to_numpy()
    return moved


def _best(bids: pd.DataFrame, worth: Floats, capacity_mw: float | pd.Series | None, sides: bool) -> float:
    """The greatest welfare of divisible power, in $/h."""
    if sides:
        return _best_of_trades(bids, worth)
    return np.nan if capacity_mw is None else _best_of_capacity(bids.assign(price=worth), capacity_mw)


def _best_of_capacity(bids: pd.DataFrame, capacity_mw: float | pd.Series) -> float:
    from gridlab.auctions.merit_order import in_merit_order

    asked = wants(bids, capacity_mw)
    return float(in_merit_order(asked).awarded @ asked.price)


def _best_of_trades(bids: pd.DataFrame, worth: Floats) -> float:
    """All that is offered, to whom it is worth most: a seller that is served keeps its power and saves its cost."""
    from gridlab.auctions.merit_order import merit_of

    market = bids.groupby(["time", "service"], sort=False).ngroup().to_numpy()
    quantity = bids["quantity_mw"].to_numpy(float)
    offered = np.bincount(market, np.maximum(quantity, 0.0), market.max(initial=-1) + 1).astype(float)
    kept = merit_of(market, np.abs(quantity), worth, offered, -np.inf).awarded
    return float(np.where(quantity < 0, kept, kept - quantity) @ worth)
