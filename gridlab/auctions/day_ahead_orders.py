"""The orders of a day-ahead market as arrays: hourly steps, and blocks over several times."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.clearing import refuse_row, require_number
from gridlab.auctions.crossing import read_book
from gridlab.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


class Orders(NamedTuple):
    """
    What is bid, by row and by block.

    Parameters
    ----------
    times : DatetimeIndex
        The times, in order.
    market : ndarray, shape (n_rows,)
        Position of each row in `times`.
    quantity, limit : ndarray, shape (n_rows,)
        Power offered (positive) or wanted (negative), and its limit price. [MW] [$/MWh]
    block : ndarray, shape (n_rows,)
        Number of the row's block, in order of bidder and name; -1 for an hourly row.
    names : DataFrame
        `bidder` and `block` of each block.
    profile : ndarray, shape (n_blocks, n_times)
        Power of each block. [MW]
    price, least : ndarray, shape (n_blocks,)
        Limit price and least share of each block. [$/MWh] [-]
    parent, group : ndarray, shape (n_blocks,)
        Number of the parent block and of the exclusive group; -1 for none.
    floor, cap : float
        Least and greatest price that may be set. [$/MWh]
    """

    times: pd.DatetimeIndex
    market: Ints
    quantity: Floats
    limit: Floats
    block: Ints
    names: pd.DataFrame
    profile: Floats
    price: Floats
    least: Floats
    parent: Ints
    group: Ints
    floor: float
    cap: float

    def surplus(self, prices: Floats) -> Floats:
        """What each block would gain if it were accepted whole at these prices. [$/h]"""
        return np.asarray(self.profile @ prices - self.profile.sum(axis=1) * self.price)


def read_orders(bids: pd.DataFrame, *, step_hours: float, floor: float | None, cap: float | None) -> Orders:
    """Read the bids of a day-ahead market; what is refused is listed by `clear_day_ahead`."""
    times, market, limit, quantity = read_book(bids, step_hours)
    remedy = "give price takers a floor and a cap (bids.bid_price_taker)"
    refuse_row(bids, np.isinf(limit), "price", "is infinite", remedy, unit="$/MWh")
    low, high = _bounds(bids, limit, floor, cap)
    block, names = _blocks(bids)
    rows = np.flatnonzero(block >= 0)
    profile = np.zeros((len(names), len(times)))
    np.add.at(profile, (block[rows], market[rows]), quantity[rows])
    return Orders(
        times,
        market,
        quantity,
        limit,
        block,
        names,
        profile,
        price=_one_of_each(bids, limit, block, "price"),
        least=_least(bids, block),
        parent=_parents(bids, names, block),
        group=_groups(bids, names, block),
        floor=low,
        cap=high,
    )


def _bounds(bids: pd.DataFrame, limit: Floats, floor: float | None, cap: float | None) -> tuple[float, float]:
    low = float(limit.min(initial=np.inf)) if floor is None else require_number(floor, "floor", "$/MWh")
    high = float(limit.max(initial=-np.inf)) if cap is None else require_number(cap, "cap", "$/MWh")
    if floor is not None and cap is not None and low > high:
        raise DataError(f"floor must not be above cap, got {low:g} and {high:g} $/MWh: exchange them")
    outside = (limit < low) | (limit > high)
    remedy = f"limits must lie between the floor {low:g} and the cap {high:g}"
    refuse_row(bids, outside, "price", "is outside the price limits", remedy, unit="$/MWh")
    return low, high


def _text(bids: pd.DataFrame, column: str) -> NDArray[Any]:
    """A column of names, empty where there is none."""
    if column not in bids.columns:
        return np.full(len(bids), "", dtype=object)
    values = bids[column].astype(object)
    return np.asarray(values.where(values.notna(), "").astype(str), dtype=object)


def _blocks(bids: pd.DataFrame) -> tuple[Ints, pd.DataFrame]:
    """Block number of each row, and the blocks in order of bidder and name."""
    name = _text(bids, "block")
    bidder, bidders = pd.factorize(bids["bidder"].astype(object))
    place = np.argsort(np.argsort(bidders.astype(str), kind="stable"), kind="stable")
    in_block = name != ""
    keys = pd.MultiIndex.from_arrays([place[bidder[in_block]], name[in_block]])
    block = np.full(len(bids), -1, dtype=np.intp)
    block[in_block], unique = pd.factorize(keys, sort=True)
    names = pd.DataFrame(list(unique), columns=["bidder", "block"], dtype=object)
    return block, names.assign(bidder=bids["bidder"].astype(object).to_numpy()[_first_rows(block)])


def _first_rows(block: Ints) -> Ints:
    """The first row of each block."""
    return np.unique(block, return_index=True)[1][np.unique(block) >= 0]


def _one_of_each(bids: pd.DataFrame, values: NDArray[Any], block: Ints, column: str) -> NDArray[Any]:
    """The value that all rows of a block share."""
    own = values[_first_rows(block)]
    if len(own):
        odd = (block >= 0) & (values != own[block])
        if odd.any():
            row = int(np.argmax(odd))
            raise DataError(
                f"block '{bids['block'].iloc[row]}' of '{bids['bidder'].iloc[row]}' has two values of {column}, "
                f"{own[block[row]]} and {values[row]} in row {bids.index[row]}: a block has one for all of its rows"
            )
    return own


def _labels(bids: pd.DataFrame, column: str, block: Ints) -> NDArray[Any]:
    """A column of names by block; an hourly row may have none."""
    values = _text(bids, column)
    _refuse_hourly(bids, column, values, (block < 0) & (values != ""))
    return _one_of_each(bids, values, block, column)


def _refuse_hourly(bids: pd.DataFrame, column: str, values: NDArray[Any], stray: Flags) -> None:
    if stray.any():
        row = int(np.argmax(stray))
        raise DataError(
            f"bids['{column}'] is '{values[row]}' in the hourly row {bids.index[row]}: leave it empty, or name the "
            "row's block"
        )


def _groups(bids: pd.DataFrame, names: pd.DataFrame, block: Ints) -> Ints:
    """Number of each block's exclusive group, of the same bidder; -1 for none."""
    group = _labels(bids, "exclusive_group", block)
    owned = pd.Series(list(zip(names["bidder"], group, strict=True)), dtype=object)
    return np.asarray(pd.factorize(owned.where(group != ""))[0])


def _parents(bids: pd.DataFrame, names: pd.DataFrame, block: Ints) -> Ints:
    """Number of each block's parent, of the same bidder; -1 for none."""
    wanted = _labels(bids, "parent", block)
    known = {key: i for i, key in enumerate(names.itertuples(index=False, name=None))}
    parent = np.full(len(names), -1, dtype=np.intp)
    for i in np.flatnonzero(wanted != ""):
        key = (names["bidder"].iloc[i], wanted[i])
        if key not in known:
            raise DataError(
                f"block '{names['block'].iloc[i]}' of '{key[0]}' has the parent '{key[1]}', not a block of it"
            )
        parent[i] = known[key]
    above = parent.copy()
    for _ in range(len(names)):
        above = np.where(above >= 0, parent[above], -1) if len(above) else above
    if (above >= 0).any():
        i = np.argmax(above >= 0)
        raise DataError(f"block '{names['block'].iloc[i]}' of '{names['bidder'].iloc[i]}' is among its own ancestors")
    return parent


def _least(bids: pd.DataFrame, block: Ints) -> Floats:
    if "minimum_share" not in bids.columns:
        return np.ones(len(_first_rows(block)))
    stated = _text(bids, "minimum_share")
    share = pd.to_numeric(pd.Series(stated), errors="coerce").to_numpy(float)
    odd = np.isnan(share) & (stated != "")
    if odd.any():
        row = int(np.argmax(odd))
        raise DataError(
            f"bids['minimum_share'] is '{stated[row]}' in row {bids.index[row]}: a number in [0, 1], or leave it empty"
        )
    _refuse_hourly(bids, "minimum_share", stated, (block < 0) & (stated != ""))
    share = np.where(stated == "", 1.0, share)
    wrong = ~((share >= 0) & (share <= 1))
    remedy = "1 is all or nothing, 0 any share"
    refuse_row(bids.assign(minimum_share=share), wrong, "minimum_share", "is outside [0, 1]", remedy, unit="")
    return _one_of_each(bids, share, block, "minimum_share")
