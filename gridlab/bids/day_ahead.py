r"""
A site's plan as bids for the day ahead: what each part of it would pay, and take, for what it is to do.

A machine that earns :math:`e` on a MWh of its own and draws :math:`k` MWh of cooling with it breaks even at
:math:`e / (1 + k)`, which it and its cooling both bid. What a battery buys and what it sells of it share one worth of
stored energy, half way between what the one costs and what the other brings at the prices of the plan: a battery
whose purchase and sale are both accepted does not lose, and at the prices of a plan of greatest profit both are.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery, Site
from gridlab.bids.tables import curves_of, rows_of
from gridlab.bids.truthful import column_of, machine_worth
from gridlab.days import market_dates
from gridlab.errors import DataError
from gridlab.schema import step_hours, validate

Floats = NDArray[np.float64]

_NOISE_MW = 1e-9  # power that stands for none
_DUST = 1e-9  # share of a purchase or sale that is left by rounding


def bid_day_ahead(
    schedule: pd.DataFrame,
    prices: pd.DataFrame,
    site: Site,
    *,
    energy_value: ArrayLike | None = None,
    terminal: float = 0.0,
    at_least: Mapping[str, float] | None = None,
    bidder: str = "site",
    services: Mapping[str, str] | str | None = None,
    market_tz: str = "UTC",
) -> pd.DataFrame:
    r"""
    Bid a site's schedule: its machines, their cooling and its battery, each at what its power is worth.

    Parameters
    ----------
    schedule : DataFrame
        A `schedule` table, as a plan's columns: `battery_mw`, ``<machine>_mw``, `cooling_mw`, of the parts that the
        site has, positive into the grid, for any intervals and any number of days; `grid_mw` is not read. [MW]
    prices : DataFrame
        What was believed of the schedule's intervals: `price`, or `mean` as a forecast has it, and the machines'
        products. [$/MWh] [$/unit/interval]
    site : Site
        The site.
    energy_value : float or array_like, shape (n_steps,), optional
        Worth of each MWh stored at the end of an interval. When omitted it follows from the schedule: half way between
        what energy costs to store and what it brings, last in, first out. [$/MWh]
    terminal : float
        Worth of a MWh that is stored at the end and was not at the start, or the other way round, where `energy_value`
        is omitted; as in the plan. [$/MWh]
    at_least : mapping of str to float, optional
        What a MWh of a machine's own power is worth at least, by machine: what a promised service would cost to break.
        [$/MWh]
    bidder : str
        Who bids.
    services : str or mapping of str to str, optional
        Service of each part, `battery`, `cooling` and the machines' names; what is not named is a service of its own
        name, and the battery's is `energy`. One name for all makes one curve of the site.
    market_tz : str
        Time zone of the days over which the cooling of a room that stores heat is shared.

    Returns
    -------
    DataFrame
        A `bids` table: offered power is positive, wanted power negative. Accepted whole it is the schedule; see
        `as_wants` for an auction of capacity.

    Raises
    ------
    DataError
        If a table breaks its schema, a column is missing, `prices` has a time twice, the schedule has power of what is
        no part of the site, a machine or the cooling delivers power, there is power where there is no price, a worth is
        not finite, or `at_least` or `services` names what is no part.

    Notes
    -----
    The cooling of an interval is shared by the machines that run in it, by their power, the chiller's draw at no load
    included. Where the room stores heat it is shared over the market day, since it may be cooled before they run.
    Cooling without machines bids what the day's machines and all of their cooling break even at, 0 where none run.

    Where a bid is accepted at its price or a better one, no machine whose cooling is accepted too earns less than both
    cost. A service level, a least run or a demand charge, for which a plan may run machines at a loss, is not in what a
    MWh earns: such an interval bids too little to be accepted at the price of the plan, unless `at_least` says more.

    Examples
    --------
    >>> from gridlab.assets import Machine
    >>> times = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC", name="time")
    >>> prices = pd.DataFrame({"price": [20.0, 60.0], "hash_price": 4.4}, index=times)
    >>> miners = Machine("miners", power_mw=0.1, count=20, output=1.0)
    >>> site = Site(4.0, 1.0, battery=Battery(1.0, 1.0, 0.9, 0.9), machines=(miners,))
    >>> parts = {"battery_mw": [-1.0, 0.81], "miners_mw": [-2.0, 0.0], "soc_mwh": [0.9, 0.0]}
    >>> bids = bid_day_ahead(pd.DataFrame(parts, index=times), prices, site)
    >>> bids[["service", "quantity_mw", "price"]].round(2).values.tolist()
    [['energy', -1.0, 34.3], ['miners', -2.0, 44.0], ['energy', 0.81, 42.35]]
    """
    if not isinstance(site, Site):
        raise DataError(f"site must be a Site, got a {type(site).__name__}: put it into Site(import_limit_mw, ...)")
    validate(schedule, "schedule")
    _refuse_others(schedule, site)
    plan = _Plan.of(schedule, prices, site, at_least or {})
    dates = market_dates(plan.times, market_tz)
    parts = [] if site.battery is None else [_battery(plan, site.battery, energy_value, terminal)]
    parts += _machines(plan, dates)
    named = _services(services, site)
    tables = [rows_of(plan.times.take(part.step), bidder, named[part.name], part.power, part.price) for part in parts]
    return curves_of(pd.concat(tables, ignore_index=True) if tables else rows_of(plan.times[:0], bidder, "", [], []))


class _Part(NamedTuple):
    """Rows of one part of the site: interval, power and price."""

    name: str
    step: NDArray[np.intp]
    power: Floats
    price: Floats


class _Plan(NamedTuple):
    """A schedule beside what was believed of its intervals."""

    times: pd.DatetimeIndex
    hours: float
    price: Floats
    worth: Floats
    battery: Floats
    machines: Floats
    cooling: Floats
    site: Site

    @classmethod
    def of(cls, schedule: pd.DataFrame, prices: pd.DataFrame, site: Site, at_least: Mapping[str, float]) -> "_Plan":
        """Read a schedule and its prices."""
        times = pd.DatetimeIndex(schedule.index)
        believed = _believed(prices, times)
        price = believed["price"].to_numpy(float)
        battery = _power(schedule, "battery") if site.battery is not None else np.zeros(len(times))
        machines = [_drawn(schedule, name) for name in site.names]
        cooling = _drawn(schedule, "cooling") if site.cooling is not None else np.zeros(len(times))
        running = np.stack(machines, axis=1) if machines else np.zeros((len(times), 0))
        busy = (battery != 0) | (running != 0).any(axis=1) | (cooling != 0)
        column_of(believed, "price", "the schedule was made for", busy)
        worth = machine_worth(site, believed, (running != 0).any(axis=1))
        worth = np.maximum(np.nan_to_num(worth), _least(site, at_least))
        return cls(times, step_hours(times), price, worth, battery, running, cooling, site)


def _machines(plan: _Plan, dates: pd.Index) -> list[_Part]:
    """What the machines and their cooling bid."""
    group = np.arange(len(plan.times))
    day = pd.factorize(pd.Index(dates))[0]
    if plan.site.cooling is not None and plan.site.cooling.room_mwh_per_c > 0:
        group = day
    running, total = -plan.machines, -plan.machines.sum(axis=1)
    share = _ratio(_sums(group, -plan.cooling), _sums(group, total))[group]
    price = plan.worth / (1 + share[:, None])
    earned = _sums(day, (plan.worth * running).sum(axis=1))
    even = _ratio(earned, _sums(day, total - plan.cooling))[day]
    parts = [_part(name, running[:, i], price[:, i]) for i, name in enumerate(plan.site.names)]
    cooled = -plan.cooling[:, None] * _ratio(running, np.broadcast_to(total[:, None], running.shape))
    parts += [_part("cooling", cooled[:, i], price[:, i]) for i in range(len(plan.site.names))]
    return [*parts, _part("cooling", np.where(total > 0, 0.0, -plan.cooling), even)]


def _part(name: str, drawn: Floats, price: Floats) -> _Part:
    step = np.flatnonzero(drawn)
    return _Part(name, step, -drawn[step], price[step])


def _battery(plan: _Plan, battery: Battery, energy_value: ArrayLike | None, terminal: float) -> _Part:
    """What the battery bids: at a worth of stored energy that is given, or at what the schedule says."""
    if not np.isfinite(terminal):
        raise DataError(f"terminal must be finite, in $/MWh stored, got {terminal}")
    power = plan.battery
    if energy_value is None:
        step, power, value = _by_use(plan, battery, terminal)
    else:
        given = np.asarray(energy_value, dtype=float)
        if given.shape not in ((), power.shape) or not np.isfinite(given).all():
            raise DataError(f"energy_value must be a number or have shape {power.shape}, and be finite, got {given}")
        step = np.flatnonzero(power)
        power, value = power[step], np.broadcast_to(given, power.shape)[step]
    offered = value / battery.eta_discharge + battery.degradation_cost
    return _Part("battery", step, power, np.where(power > 0, offered, value * battery.eta_charge))


class _Lot(NamedTuple):
    """Energy put into the store in an interval, negative where taken out: all of it, and what is not matched."""

    step: int
    whole: float
    energy: float


class _Uses(NamedTuple):
    """Energy put into the store, negative where taken out, and what a MWh of it is worth there."""

    step: list[int]
    energy: list[float]
    value: list[float]

    def add(self, step: int, energy: float, value: float) -> None:
        """One more."""
        self.step.append(step)
        self.energy.append(energy)
        self.value.append(value)


def _by_use(plan: _Plan, battery: Battery, terminal: float) -> tuple[NDArray[np.intp], Floats, Floats]:
    """
    Interval, power and worth of stored energy of each purchase and sale.

    Each level of the store is filled and emptied in turn. What empties it is matched to what filled it last, and what
    fills it again to what emptied it last: in a plan of greatest profit no such pair loses. What is matched to nothing
    is the difference between the store at the end and at the start.
    """
    kept = battery.kept(plan.hours)
    if kept <= 0:
        raise DataError(f"the battery keeps nothing over an interval of {plan.hours:g} h: give its energy_value")
    buys = plan.battery < 0
    moved = -plan.battery * plan.hours * np.where(buys, battery.eta_charge, 1 / battery.eta_discharge)
    sale = (plan.price - battery.degradation_cost) * battery.eta_discharge
    worth = np.where(buys, plan.price / battery.eta_charge, sale)
    uses, lots = _Uses([], [], []), list[_Lot]()
    for step in range(len(moved)):
        rest = _match(step, float(moved[step]), worth, kept, lots, uses)
        if rest != 0:
            lots.append(_Lot(step, rest, rest))
    for lot in lots:
        uses.add(lot.step, lot.energy, terminal * kept ** (len(moved) - 1 - lot.step))
    step_of, energy = np.array(uses.step, dtype=np.intp), np.array(uses.energy, dtype=float)
    power = np.where(energy > 0, -energy / battery.eta_charge, -energy * battery.eta_discharge)
    return step_of, _exact(step_of, power, plan.battery), np.array(uses.value, dtype=float)


def _match(step: int, moved: float, worth: Floats, kept: float, lots: list[_Lot], uses: _Uses) -> float:
    """Match what moves to the last lots that moved the other way, half way between their worths; what is left of it."""
    rest = moved
    while lots and lots[-1].energy * rest < 0 and (keeps := kept ** (step - lots[-1].step)) > _DUST:
        lot = lots.pop()
        share = min(1.0, -rest / (keeps * lot.energy))
        was, now = lot.energy * share, -keeps * lot.energy * share
        money = float(worth[lot.step] * abs(was) + worth[step] * abs(now)) / 2
        uses.add(lot.step, was, money / abs(was))
        uses.add(step, now, money / abs(now))
        rest = rest - now if abs(rest - now) > _DUST * abs(moved) else 0.0
        if abs(lot.energy - was) > _DUST * abs(lot.whole):
            lots.append(lot._replace(energy=lot.energy - was))
    return rest


def _exact(step: NDArray[np.intp], power: Floats, planned: Floats) -> Floats:
    """The powers of the uses, scaled so that those of an interval sum to the schedule's."""
    total = np.bincount(step, power, len(planned)).astype(float)
    return np.asarray(power * _ratio(planned, total)[step])


def _believed(prices: pd.DataFrame, times: pd.DatetimeIndex) -> pd.DataFrame:
    """The prices of the schedule's intervals, with `price`."""
    named = prices if "price" in prices.columns else prices.rename(columns={"mean": "price"})
    if "price" not in named.columns:
        raise DataError(
            f"prices has neither 'price' nor 'mean' (it has {', '.join(map(str, prices.columns))}): add one"
        )
    if not isinstance(named.index, pd.DatetimeIndex):
        raise DataError("prices must be indexed by time: take one origin of a forecast with .xs(origin)")
    if named.index.has_duplicates:
        twice = named.index[named.index.duplicated()][0]
        raise DataError(f"prices has {twice} twice: give each time one row")
    missing = times.difference(named.index)
    if len(missing):
        raise DataError(f"prices has no row for {missing[0]}, which the schedule has: add it")
    return named.loc[times].set_axis(times, axis=0)


def _refuse_others(schedule: pd.DataFrame, site: Site) -> None:
    """Refuse power in the schedule that no part of the site would bid for."""
    has = [("battery", site.battery is not None), ("cooling", site.cooling is not None)]
    known = {"grid_mw", *(f"{name}_mw" for name, is_part in has if is_part), *(f"{name}_mw" for name in site.names)}
    for column in schedule.columns:
        if str(column).endswith("_mw") and column not in known:
            if not pd.api.types.is_numeric_dtype(schedule[column]):
                raise DataError(f"schedule['{column}'] must hold numbers [MW], got {schedule[column].dtype}: drop it")
            power = schedule[column].to_numpy(float)
            if (np.abs(power) > _NOISE_MW).any():
                row = int(np.argmax(np.abs(power) > _NOISE_MW))
                raise DataError(
                    f"schedule['{column}'] is {power[row]:g} MW at {schedule.index[row]}, and the site has no such "
                    "part: add it to the site or drop the column"
                )


def _services(services: Mapping[str, str] | str | None, site: Site) -> dict[str, str]:
    """Service of each part."""
    own = {"battery": "energy", "cooling": "cooling"} | {name: name for name in site.names}
    if isinstance(services, str):
        return dict.fromkeys(own, services)
    named = services or {}
    if not isinstance(named, Mapping) or not all(isinstance(name, str) for name in named.values()):
        raise DataError(f"services must be a name or map parts to names, got {services!r}")
    unknown = [name for name in named if name not in own]
    if unknown:
        raise DataError(f"services names '{unknown[0]}', and the parts of a site are {', '.join(own)}")
    return own | dict(named)


def _least(site: Site, at_least: Mapping[str, float]) -> Floats:
    if not isinstance(at_least, Mapping):
        raise DataError(f"at_least must map machines to $/MWh, got a {type(at_least).__name__}")
    unknown = [name for name in at_least if name not in site.names]
    if unknown:
        raise DataError(f"at_least names '{unknown[0]}', and the site has {', '.join(site.names) or 'no machines'}")
    least = np.array([at_least.get(name, -np.inf) for name in site.names], dtype=float)
    if np.isnan(least).any() or np.isposinf(least).any():
        raise DataError(f"at_least must be finite, in $/MWh, got {dict(at_least)}")
    return least


def _power(schedule: pd.DataFrame, name: str) -> Floats:
    column = f"{name}_mw"
    if column not in schedule.columns:
        raise DataError(f"schedule has no column '{column}' (it has {', '.join(schedule.columns)}): add what it draws")
    power: Floats = np.asarray(schedule[column], dtype=float)
    if not np.isfinite(power).all():
        raise DataError(f"schedule['{column}'] is not finite at {schedule.index[int(np.argmin(np.isfinite(power)))]}")
    return np.asarray(np.where(np.abs(power) > _NOISE_MW, power, 0.0))


def _drawn(schedule: pd.DataFrame, name: str) -> Floats:
    power = _power(schedule, name)
    if (power > 0).any():
        row = int(np.argmax(power > 0))
        raise DataError(
            f"schedule['{name}_mw'] is {power[row]:g} MW at {schedule.index[row]}: what a machine or the cooling draws "
            "is negative"
        )
    return power


def _sums(group: NDArray[np.intp], values: Floats) -> Floats:
    return np.bincount(group, values, int(group.max()) + 1 if len(group) else 0).astype(float)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """One over the other, 0 where that is nothing."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole != 0))
