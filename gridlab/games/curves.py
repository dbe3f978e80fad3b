"""
Quantities that trade as a price rises: steps and straight lines, added up and met exactly.

A row trades nothing up to its `low` price and all of its quantity from its `high` price, in a straight line between; a
step has both prices the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.games.checks import numbers

Floats = NDArray[np.float64]


class Curve(NamedTuple):
    """
    A price that falls as a quantity grows, in straight lines between corners.

    Parameters
    ----------
    quantity_mw : ndarray, shape (n_corners,)
        Quantities, none below the one before. [MW]
    price : ndarray, shape (n_corners,)
        Prices, none above the one before; two corners of one quantity are a drop. [$/MWh]
    """

    quantity_mw: Floats
    price: Floats

    def at(self, quantity_mw: float) -> tuple[float, float]:
        """The greatest and the least price at a quantity; within the curve they differ at a drop. [$/MWh]"""
        before = _before(self.quantity_mw, self.price, quantity_mw)
        return before, _before(-self.quantity_mw[::-1], self.price[::-1], -quantity_mw)

    def area(self, low_mw: float, high_mw: float) -> float:
        """What lies under the curve between two quantities of it. [$/h]"""
        inner = (self.quantity_mw > low_mw) & (self.quantity_mw < high_mw)
        quantity = np.r_[low_mw, self.quantity_mw[inner], high_mw]
        price = np.r_[self.at(low_mw)[1], self.price[inner], self.at(high_mw)[0]]
        return float(np.sum(np.diff(quantity) * (price[1:] + price[:-1]) / 2))


def residual_demand(quantity_mw: ArrayLike, price: ArrayLike, price_to: ArrayLike | None = None) -> Curve:
    """
    The price at which others take a quantity: demand less supply of those who take the price as given, inverted.

    Parameters
    ----------
    quantity_mw : array_like, shape (n_rows,)
        Power offered (positive) or wanted (negative), as in a `bids` table of a market with two sides. [MW]
    price : array_like, shape (n_rows,)
        Least price to sell at, or greatest to buy at. [$/MWh]
    price_to : array_like, shape (n_rows,), optional
        Price at which all of the row trades, not below `price` for an offer nor above it for a bid to buy; from `price`
        the row's quantity grows in a straight line. `price` when omitted, a step. [$/MWh]

    Returns
    -------
    Curve
        From minus all that is offered, where the last offer is bought, to all that is wanted; empty without rows.

    Raises
    ------
    DataError
        If the rows are of different lengths, a value is NaN or infinite, or a row's prices are in the wrong order.

    Examples
    --------
    >>> curve = residual_demand([3.0, -4.0], [10.0, 50.0])
    >>> curve.quantity_mw.tolist(), curve.price.tolist()
    ([-3.0, 1.0, 1.0, 4.0], [50.0, 50.0, 10.0, 10.0])
    """
    quantity, low, high = _rows(quantity_mw, price, price_to)
    traded = np.abs(quantity) > 0
    quantity, low, high = np.abs(quantity[traded]), low[traded], high[traded]
    offered = np.asarray(quantity_mw, dtype=float).clip(min=0.0).sum()
    quantity_at, price_at = spread_over(quantity, low, high)
    wanted = quantity.sum() - offered
    taken = np.clip((wanted - quantity_at)[::-1], -offered, max(wanted, 0.0))
    return Curve(np.r_[-offered, taken[1:-1], max(wanted, 0.0)][: len(taken)], price_at[::-1])


def spread_over(quantity: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """The corners of what rows trade together as the price rises: quantities and prices, both from the least."""
    step = high == low
    corner, place = np.unique(np.r_[low, high], return_inverse=True)
    jumps = np.bincount(place[: len(low)][step], quantity[step], len(corner))
    lines = np.zeros(len(corner))
    for row in np.flatnonzero(~step):
        lines += quantity[row] * np.clip((corner - low[row]) / (high[row] - low[row]), 0.0, 1.0)
    after = np.cumsum(jumps) + lines
    kept = np.column_stack([np.ones(len(corner), dtype=bool), jumps > 0]).ravel()
    together = np.column_stack([after - jumps, after]).ravel()[kept]
    return np.maximum.accumulate(together), np.repeat(corner, 2)[kept]


def _rows(quantity_mw: ArrayLike, price: ArrayLike, price_to: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """The rows as quantities, the lesser price and the greater, checked."""
    quantity, start = np.atleast_1d(numbers(quantity_mw, "quantity_mw")), np.atleast_1d(numbers(price, "price"))
    end = start if price_to is None else np.atleast_1d(numbers(price_to, "price_to"))
    if quantity.ndim != 1 or quantity.shape != start.shape or start.shape != end.shape:
        raise DataError(
            f"quantity_mw, price and price_to must be of one length, got {quantity.shape}, {start.shape}, {end.shape}"
        )
    for name, values in (("quantity_mw", quantity), ("price", start), ("price_to", end)):
        if not np.isfinite(values).all():
            row = int(np.argmax(~np.isfinite(values)))
            raise DataError(f"{name} must be finite, got {values[row]} in row {row}: state a cap and a floor")
    wrong = np.sign(quantity) * (end - start) < 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"price_to = {end[row]:g} of row {row}, {quantity[row]:g} MW, is on the wrong side of its price = "
            f"{start[row]:g}: an offer sells more as the price rises, a bid to buy takes less"
        )
    return quantity, np.minimum(start, end), np.maximum(start, end)


def _before(along: Floats, values: Floats, at: float) -> float:
    """The value at a place, and at a jump the one before it."""
    end = int(np.searchsorted(along, at, side="left"))
    if end == len(along):
        return float(values[-1])
    if along[end] == at or end == 0:
        return float(values[end])
    share = (at - along[end - 1]) / (along[end] - along[end - 1])
    return float(values[end - 1] + share * (values[end] - values[end - 1]))
