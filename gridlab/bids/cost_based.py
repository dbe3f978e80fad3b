r"""
Offers at cost: what is stored in a battery, and what a generator burns.

A MWh sold takes :math:`1 / \eta_d` MWh out of the store and wears the battery by :math:`w`; a MWh bought puts
:math:`\eta_c` MWh in. With :math:`\lambda` the worth of the last stored MWh, selling pays from
:math:`\lambda / \eta_d + w` on and buying up to :math:`\lambda \eta_c`.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery
from gridlab.bids.tables import checked_hours, checked_times, curves_of, refuse_infinite, rows_of
from gridlab.errors import DataError
from gridlab.schema import validate

Floats = NDArray[np.float64]

_TOLERANCE = 1e-7  # MWh by which a state of charge may lie outside its limits, as in a plan


def bid_cost_based(
    costs: pd.DataFrame,
    *,
    markup: float = 0.0,
    adder: float = 0.0,
    bidder: str | None = None,
    service: str | None = None,
) -> pd.DataFrame:
    r"""
    Offer at cost and bid at worth, or at a margin from it.

    What costs :math:`c` is offered at :math:`c + m |c| + a`, and what is worth :math:`c` is wanted at
    :math:`c - m |c| - a`, with the markup :math:`m` and the adder :math:`a`; a negative cost moves the same way.

    Parameters
    ----------
    costs : DataFrame
        Laid out as a `bids` table: power offered (positive) with what a MWh of it costs as `price`, or wanted
        (negative) with what it is worth; as `battery_costs` gives for a battery. [MW] [$/MWh]
    markup : float
        Margin as a share of the cost, at least 0. [-]
    adder : float
        Margin beside it, at least 0. [$/MWh]
    bidder, service : str, optional
        One name for all rows; the column may then be missing.

    Returns
    -------
    DataFrame
        A `bids` table whose offers rise and whose bids to buy fall.

    Raises
    ------
    DataError
        If the table breaks its schema, a cost is infinite, or a margin is negative or infinite.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> costs = mock_bids(3).assign(quantity_mw=[50.0, 30.0, 20.0], price=[40.0, 25.0, -10.0])
    >>> bid_cost_based(costs, markup=0.1, bidder="plant")[["quantity_mw", "price"]].values.tolist()
    [[20.0, -9.0], [30.0, 27.5], [50.0, 44.0]]
    """
    for name, margin in {"markup": markup, "adder": adder}.items():
        if not 0 <= margin < np.inf:
            raise DataError(f"{name} must be at least 0 and finite, got {margin}")
    names = {"bidder": bidder, "service": service}
    named = costs.assign(**{column: name for column, name in names.items() if name is not None})
    validate(named, "bids")
    refuse_infinite(named, "the cost of a MWh")
    price = named["price"]
    margin = markup * price.abs() + adder
    return curves_of(named.assign(price=price + np.sign(named["quantity_mw"]) * margin))


def battery_costs(
    battery: Battery,
    value: ArrayLike | tuple[ArrayLike, ArrayLike] | Any,
    *,
    times: pd.DatetimeIndex,
    soc_mwh: ArrayLike,
    step_hours: float = 1.0,
    bidder: str = "battery",
    service: str = "energy",
) -> pd.DataFrame:
    r"""
    What a battery's energy costs it to sell, and what it is worth to buy, in each interval.

    Parameters
    ----------
    battery : Battery
        Power, energy, efficiencies, wear and self-discharge.
    value : array_like, shape () or (n_steps,), or Segments
        Worth of each MWh stored at the end of an interval; or of the segments of the store, from the least state of
        charge on, as `mpc.terminal_segments` gives: a pair or more whose first elements are widths and slopes of shape
        (n_segments,) or (n_steps, n_segments). The slopes must not rise. [$/MWh] [MWh]
    times : DatetimeIndex, shape (n_steps,)
        The intervals.
    soc_mwh : array_like, shape () or (n_steps,)
        Energy stored at the start of each. [MWh]
    step_hours : float
        Length of an interval. [h]
    bidder, service : str
        Who bids, and for what.

    Returns
    -------
    DataFrame
        Laid out as a `bids` table, for `bid_cost_based`: cleared at a price it gives the power that earns most, were
        the interval's end worth `value`.

    Raises
    ------
    DataError
        If a shape does not fit, a number is not finite, a width is negative, the slopes rise, the widths are less than
        the battery's range, or `soc_mwh` is outside its limits.

    Notes
    -----
    Where stored energy is worth so little that buying would pay up to a higher price than selling from, one of the two
    is best at each price, and both are cut where they gain the same: no price is left at which the battery would do
    both.

    Examples
    --------
    >>> from gridlab.schema import mock_times
    >>> battery = Battery(1.0, 2.0, eta_charge=0.8, eta_discharge=0.9, degradation_cost=5.0)
    >>> costs = battery_costs(battery, 36.0, times=mock_times(1)[:1], soc_mwh=0.5)
    >>> costs[["quantity_mw", "price"]].round(6).values.tolist()
    [[-1.0, 28.8], [0.45, 45.0]]
    >>> costs = battery_costs(battery, ([0.5, 1.5], [60.0, 30.0]), times=mock_times(1)[:1], soc_mwh=0.75)
    >>> costs[["quantity_mw", "price"]].round(6).values.tolist()
    [[-1.0, 24.0], [0.225, 38.333333], [0.45, 71.666667]]
    """
    times, hours = checked_times(times, len(times)), checked_hours(step_hours)
    width, slope = _segments(battery, value, len(times))
    stored = _kept(battery, hours) * (_socs(battery, soc_mwh, len(times)) - battery.soc_low_mwh)
    found = [_apart(*_curve(battery, *row, hours)) for row in zip(width, slope, stored.tolist(), strict=True)]
    step = np.repeat(np.arange(len(times)), [len(power) for power, _ in found])
    power, price = (np.concatenate([*column, np.zeros(0)]) for column in zip(*found, strict=True)) if found else _EMPTY
    return curves_of(rows_of(times.take(step), bidder, service, power, price))


def _curve(battery: Battery, width: Floats, slope: Floats, stored: float, hours: float) -> tuple[Floats, Floats]:
    """Power into the grid and its price, from the energy that each segment has and has room for."""
    below = np.cumsum(width) - width
    has = np.clip(stored - below, 0.0, width)
    room = width - has
    sold = _within(has[::-1] * battery.eta_discharge / hours, battery.power_mw)
    bought = _within(room / battery.eta_charge / hours, battery.power_mw)
    power = np.concatenate([-bought, sold])
    offered = slope[::-1] / battery.eta_discharge + battery.degradation_cost
    price = np.concatenate([slope * battery.eta_charge, offered])
    return power[power != 0], price[power != 0]


def _within(power: Floats, most: float) -> Floats:
    """The first of the powers, until they make up the most that there is."""
    return np.diff(np.minimum(np.cumsum(power), most), prepend=0.0)


def _apart(power: Floats, price: Floats) -> tuple[Floats, Floats]:
    """The curve with its bids to buy below its offers: both cut where buying and selling gain the same."""
    sold, bought = power > 0, power < 0
    if not (sold.any() and bought.any() and price[bought].max() >= price[sold].min()):
        return power, price
    at = np.unique(price)
    ahead = np.maximum(np.sign(power) * (at[:, None] - price), 0.0) @ power  # what selling gains beyond buying
    same = float(np.interp(0.0, ahead, at))
    return power, np.where(sold, np.maximum(price, same), np.minimum(price, np.nextafter(same, -np.inf)))


def _segments(battery: Battery, value: Any, n_steps: int) -> tuple[Floats, Floats]:
    """Widths and slopes of each interval, shape (n_steps, n_segments)."""
    room = battery.soc_high_mwh - battery.soc_low_mwh
    if not isinstance(value, tuple):
        worth = np.asarray(value, dtype=float)
        if worth.shape not in ((), (n_steps,)):
            raise DataError(f"value must be a number, have shape ({n_steps},) or be segments, got shape {worth.shape}")
        value = (np.full((n_steps, 1), room), np.broadcast_to(worth, n_steps)[:, None])
    given = [np.asarray(part, dtype=float) for part in value[:2]]
    if len(given) < 2 or any(part.ndim not in (1, 2) or part.shape[-1] == 0 for part in given):
        raise DataError("segments must be widths and slopes of shape (n_segments,) or (n_steps, n_segments)")
    n_segments = given[0].shape[-1]
    if any(part.shape not in ((n_segments,), (n_steps, n_segments)) for part in given):
        shapes = " and ".join(str(part.shape) for part in given)
        raise DataError(f"segments must have shape ({n_segments},) or ({n_steps}, {n_segments}), got {shapes}")
    width, slope = (np.broadcast_to(part, (n_steps, n_segments)) for part in given)
    _check_segments(width, slope, room)
    return width, slope


def _check_segments(width: Floats, slope: Floats, room: float) -> None:
    used = width > 0
    if not (np.isfinite(width).all() and np.isfinite(slope[used]).all()):
        raise DataError("widths and slopes of segments must be finite: one is NaN or infinite")
    if (width < 0).any():
        raise DataError(f"a segment has a negative width, {width.min():g} MWh: give at least 0")
    for step in range(len(width)):
        rise = np.diff(slope[step][used[step]])
        if (rise > 0).any():
            raise DataError(f"the worth of stored energy rises by {rise.max():g} $/MWh in interval {step}: let it fall")
        if abs(width[step].sum() - room) > 1e-6 * room:
            raise DataError(
                f"the segments of interval {step} hold {width[step].sum():g} MWh and the battery {room:g}: cover its "
                "range"
            )


def _kept(battery: Battery, hours: float) -> float:
    kept = battery.kept(hours)
    if kept < 0:
        raise DataError(
            f"self_discharge_per_hour = {battery.self_discharge_per_hour:g} leaves less than nothing after an interval "
            f"of {hours:g} h: use shorter intervals"
        )
    return kept


def _socs(battery: Battery, soc_mwh: ArrayLike, n_steps: int) -> Floats:
    soc, low, high = np.asarray(soc_mwh, dtype=float), battery.soc_low_mwh, battery.soc_high_mwh
    if soc.shape not in ((), (n_steps,)):
        raise DataError(f"soc_mwh must be a number or have shape ({n_steps},), got shape {soc.shape}")
    if not ((soc >= low - _TOLERANCE) & (soc <= high + _TOLERANCE)).all():
        raise DataError(f"soc_mwh must be in [{low:g}, {high:g}], got {soc}: start within the battery's limits")
    return np.asarray(np.broadcast_to(np.clip(soc, low, high), n_steps))


_EMPTY = (np.zeros(0), np.zeros(0))
