"""Bids at what power is worth: the truth, as step curves."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.assets import Cooling, Machine, Site
from gridlab.bids.tables import curves_of, refuse_infinite, rows_of
from gridlab.errors import DataError
from gridlab.schema import step_hours, validate

Floats = NDArray[np.float64]

_PIECES = 8  # of the chiller's part-load curve, as in a site's programme


def bid_truthful(values: pd.DataFrame, *, bidder: str | None = None, service: str | None = None) -> pd.DataFrame:
    """
    Bid what each MWh is worth: curves that fall for who buys and rise for who sells.

    Parameters
    ----------
    values : DataFrame
        Laid out as a `bids` table, in any order: power offered (positive) or wanted (negative), and as `price` what a
        MWh of it is worth; as `machine_values` gives for machines. [MW] [$/MWh]
    bidder, service : str, optional
        One name for all rows, which merges their curves into one; the column may then be missing.

    Returns
    -------
    DataFrame
        A `bids` table with a curve for each time, bidder and service. Rows of equal worth are one, and rows without
        power none.

    Raises
    ------
    DataError
        If the table breaks its schema or a worth is infinite.

    Examples
    --------
    >>> from gridlab.schema import mock_bids
    >>> values = mock_bids(3).assign(quantity_mw=[-1.0, -2.0, -1.0], price=[20.0, 50.0, 20.0])
    >>> bid_truthful(values, bidder="site")[["quantity_mw", "price"]].values.tolist()
    [[-2.0, 50.0], [-2.0, 20.0]]
    """
    names = {"bidder": bidder, "service": service}
    named = values.assign(**{column: name for column, name in names.items() if name is not None})
    validate(named, "bids")
    refuse_infinite(named, "the worth of a MWh")
    return curves_of(named)


def machine_values(
    site: Site | Machine, prices: pd.DataFrame, *, bidder: str = "site", service: str | None = None
) -> pd.DataFrame:
    r"""
    What a MWh at the meter is worth to each type of machine, with the cooling that it needs.

    A machine of power :math:`e` that makes :math:`y`, paid :math:`\pi` in an interval of :math:`h` hours, earns
    :math:`y \pi / (h e)` on each MWh of its own. Heat up to :math:`H` is what the machines before it in the merit
    order make; on the part-load curve :math:`P` of the chiller each MWh of its own then draws
    :math:`1 + P'(H)` at the meter, and a MWh at the meter is worth :math:`y \pi / (h e (1 + P'(H)))`. The curve is cut
    where the chiller's steeper pieces begin, which keeps the sum of it exact at each cut.

    Parameters
    ----------
    site : Site or Machine
        The machines; a site's cooling and import limit count.
    prices : DataFrame
        A `prices` table with the machines' products, ``<machine>_demand`` where not all machines are wanted, and
        `temperature_c` where there is cooling. Nothing is wanted where `price` is NaN.
    bidder : str
        Who wants the power.
    service : str, optional
        One service for all machines; each type is a service of its own name when omitted.

    Returns
    -------
    DataFrame
        Laid out as a `bids` table: wanted power, negative, and what a MWh of it is worth as `price`. [MW] [$/MWh]

    Raises
    ------
    DataError
        If a column is missing, or is not finite where there is a price, or a demand is negative.

    Notes
    -----
    The chiller's power at no load is drawn whatever runs: it takes room at the meter and is not bid for. A room that
    stores heat is cooled as the heat comes. Starts, least runs and service levels tie intervals together and are not
    part of what a MWh of one interval is worth: `bid_day_ahead` starts from a schedule that knows them.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> miners = Machine("miners", power_mw=0.1, count=20, output=1.0)
    >>> prices = mock_prices(days=1).assign(hash_price=4.0)
    >>> machine_values(Site(1.5, machines=(miners,)), prices)[["quantity_mw", "price"]].values[0].tolist()
    [-1.5, 40.0]
    >>> cooled = Site(10.0, machines=(miners,), cooling=Cooling(2.0, cop_max=4.0, part_load=(0.0, 1.0, 0.0)))
    >>> machine_values(cooled, prices.assign(temperature_c=5.0))[["quantity_mw", "price"]].values[0].tolist()
    [-2.5, 32.0]
    """
    validate(prices, "prices")
    site = Site(site.greatest_mw, machines=(site,)) if isinstance(site, Machine) else site
    is_open = prices["price"].notna().to_numpy()
    worth = machine_worth(site, prices, is_open)
    most = [_most_mw(machine, prices, is_open) for machine in site.machines]
    most_mw = np.stack(most, axis=1) if most else np.zeros_like(worth)
    chilled = _chillers(site.cooling, prices, is_open)
    rows = [
        (step, machine, power, price)
        for step, chiller in zip(np.flatnonzero(is_open).tolist(), chilled, strict=True)
        for machine, power, price in _merit_order(worth[step], most_mw[step], _meter_mw(site, chiller), chiller)
    ]
    step, machine, power, price = (np.array(column) for column in zip(*rows, strict=True)) if rows else _NOTHING
    names = np.array(site.names, dtype=object)[machine.astype(int)]
    times = pd.DatetimeIndex(prices.index).take(step.astype(int))
    return curves_of(rows_of(times, bidder, names if service is None else service, -power, price))


def machine_worth(site: Site, prices: pd.DataFrame, needed: NDArray[np.bool_]) -> Floats:
    """
    What a MWh of their own earns each type of machine, shape (n_steps, n_machines). [$/MWh]

    Refused where a product's column is missing, or is not finite in an interval that needs it.
    """
    hours = step_hours(prices.index)
    earned = [
        machine.output * column_of(prices, machine.product, "pays for what the machines make", needed)
        for machine in site.machines
    ]
    energy = [hours * machine.power_mw for machine in site.machines]
    return np.asarray(np.stack(earned, axis=1) / energy) if earned else np.zeros((len(prices), 0))


def column_of(prices: pd.DataFrame, name: str, purpose: str, needed: NDArray[np.bool_]) -> Floats:
    """A column of the prices, refused where it is missing or is not finite where it is needed."""
    if name not in prices.columns:
        raise DataError(f"prices has no column '{name}', which {purpose} (it has {', '.join(prices.columns)}): add it")
    values: Floats = prices[name].to_numpy(float)
    bad = needed & ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"prices['{name}'] is {values[row]:g} at {prices.index[row]}, where it is needed: fill it")
    return values


class _Chiller:
    """The power of a chiller by the heat that it removes, beside that at no load."""

    def __init__(self, cooling: Cooling | None, outside_c: float = 0.0) -> None:
        self.cooling, self.outside_c = cooling, outside_c
        self.heat_mw = np.inf if cooling is None else cooling.capacity_mw
        self.cuts = np.zeros(0) if cooling is None else np.linspace(0.0, self.heat_mw, _PIECES + 1)[1:-1]
        self.at_no_load_mw = 0.0 if cooling is None else cooling.power_mw(0.0, outside_c)

    def power_mw(self, heat_mw: float) -> float:
        if self.cooling is None:
            return 0.0
        return self.cooling.power_mw(heat_mw, self.outside_c) - self.at_no_load_mw


def _chillers(cooling: Cooling | None, prices: pd.DataFrame, is_open: NDArray[np.bool_]) -> list[_Chiller]:
    if cooling is None:
        return [_Chiller(None)] * int(is_open.sum())
    outside = column_of(prices, "temperature_c", "says how well the chiller works", is_open)
    return [_Chiller(cooling, temperature) for temperature in outside[is_open].tolist()]


def _meter_mw(site: Site, chiller: _Chiller) -> float:
    """What the meter has left for the machines and what cools them."""
    award = site.regulation.award_mw if site.regulation is not None else 0.0
    return site.import_limit_mw - award - chiller.at_no_load_mw


def _most_mw(machine: Machine, prices: pd.DataFrame, is_open: NDArray[np.bool_]) -> Floats:
    name = f"{machine.name}_demand"
    if name not in prices.columns:
        return np.full(len(prices), machine.greatest_mw)
    demand = column_of(prices, name, "", is_open)
    bad = is_open & (demand < 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{name} must be at least 0 machines, got {demand[row]:g} at {prices.index[row]}")
    wanted = np.ceil(demand - 1e-9) if machine.integer else demand
    return machine.power_mw * np.minimum(wanted, machine.count)


def _merit_order(
    worth: Floats, most_mw: Floats, meter_mw: float, chiller: _Chiller
) -> Iterator[tuple[int, float, float]]:
    """Machine, power at the meter and its worth, the worthiest first, until the meter or the chiller is full."""
    heat = 0.0
    for machine in np.argsort(-worth, kind="stable").tolist():
        end = min(heat + most_mw[machine], chiller.heat_mw)
        inside = chiller.cuts[(chiller.cuts > heat) & (chiller.cuts < end)]
        for cut in [*inside.tolist(), end]:
            own = cut - heat
            if own <= 0 or meter_mw <= 0:
                break
            drawn = own + chiller.power_mw(cut) - chiller.power_mw(heat)
            yield machine, min(drawn, meter_mw), float(worth[machine] * own / drawn)
            meter_mw, heat = meter_mw - drawn, cut


_NOTHING = (np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros(0), np.zeros(0))
