"""
Services sold by auction at a live site: inference, training and cooling share the cap with the site's own machines.

A bidder pays for power of the cap, the energy with it, what its presence costs the other bidders and the site (VCG).
What the site keeps a MWh for is the reserve: its energy price and what the best of its own machines would earn with it
now. So a bidder displaces own machines only where it pays more; they get the rest of the cap.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from gridlab.auctions import clear_vcg_services, explain_vcg_services
from gridlab.auctions.services import Coupling
from gridlab.dispatch.limits import number
from gridlab.dispatch.order import cooling_for
from gridlab.live.config import STEP_HOURS, Config
from gridlab.sources.mara import Inventory, Quote, margins

COLUMNS = ["time", "bidder", "service", "quantity_mw", "price", "award_mw", "payment"]
"""Columns of the table of bids and awards."""

MOST_ROWS = 1000
"""Rows of the bids of an interval that take part, the first ones."""

OUTSIDE_C = 35.0
"""Temperature of the outside air where it is not known. [degC]"""

_EXPLAINED = ["time", "bidder", "displaced", "service", "quantity_mw", "price", "amount"]
_TAKEN = ("reserve", "shortfall")  # stand for the seller in explanations
_LEAST_MW, _MOST_CAPS, _MOST_PRICES = 1e-6, 1e3, 1e3


@dataclass(frozen=True)
class Services:
    """
    What an auction of services sold.

    Parameters
    ----------
    table : DataFrame
        The bids that took part and their awards: `time`, `bidder`, `service`, `quantity_mw` wanted, `price` [$/MWh],
        `award_mw` and `payment` [$]; by bidder and service.
    services_mw : mapping of str to float
        Power of the cap drawn by what was sold of each service, with what cools it. [MW]
    heat_mw : float
        Heat of it that the chiller removes. [MW]
    explained : DataFrame
        Whom each winner displaced, as of `explain_vcg_services`; the amounts of a bidder sum to its payment.
    reserve_price : float
        What a MWh of the cap is kept for. [$/MWh]
    rest_power : int
        What is left of the cap for the site's own machines. [power]
    left_out : tuple of str
        Rows of the bids that could not take part, a sentence each.
    problem : str, optional
        Why nothing is sold though there are bids, a sentence; None where the auction took place.
    """

    table: pd.DataFrame
    services_mw: Mapping[str, float] = field(default_factory=dict)
    heat_mw: float = 0.0
    explained: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_EXPLAINED))
    reserve_price: float = math.nan
    rest_power: int = 0
    left_out: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def drawn_mw(self) -> float:
        """Power of the cap that is sold. [MW]"""
        return math.fsum(self.services_mw.values())

    @property
    def paid(self) -> float:
        """What the bidders pay. [$]"""
        return math.fsum(self.table["payment"])


def clear_services(
    bids: pd.DataFrame,
    *,
    config: Config,
    inventory: Inventory,
    prices_now: Quote,
    time: pd.Timestamp,
    outside_c: float | None = None,
    explain: bool = True,
    time_limit_s: float = 0.1,
) -> Services:
    """
    Sell services of a site for an interval.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table, as `clear_vcg_services` takes it, with `minimum_mw` where there are any; NaN is none. Prices are
        for a MWh of the service, its energy with it, without its cooling, of ``"cooling"`` for a MWh of heat.
    config : Config
        The site; what is for sale is its `coupling`.
    inventory : Inventory
        Its own machines.
    prices_now : Quote
        The prices of the interval.
    time : Timestamp
        Start of the interval, UTC.
    outside_c : float, optional
        Temperature of the outside air; `OUTSIDE_C` when omitted. [degC]
    explain : bool
        Whether payments are explained, which takes as long again.
    time_limit_s : float
        How long searches that minimum quantities ask for may take; the first in a process loads what it needs and
        takes longer. [s]

    Returns
    -------
    Services
        Nothing is refused. A row that breaks a rule is left out alone and said in `left_out`; where the auction fails
        or is not over in time nothing is sold, and `problem` says why.

    Examples
    --------
    >>> from gridlab.sources.mara import EVENT, Scaling
    >>> time = pd.Timestamp("2025-06-21T12:00", tz="UTC")
    >>> config = Config(scaling=Scaling(cost=1e-6 / 12, revenue=1e-6 / 12), coupling=Coupling(cop={"training": 4.0}))
    >>> bids = pd.DataFrame({"time": time, "bidder": ["lab", "mill"], "service": "training",
    ...     "quantity_mw": [0.4, -1.0], "price": [90.0, 50.0]})
    >>> sold = clear_services(bids, config=config, inventory=EVENT, prices_now=Quote(time, 30.0, 20.0, 1.0), time=time)
    >>> round(sold.reserve_price, 6), sold.services_mw, round(sold.paid, 6), sold.rest_power
    (40.0, {'training': 0.5}, 1.666667, 500000)
    >>> sold.left_out
    ("Row 1 of the bids, of 'mill', is left out: its quantity_mw is -1.0, not a number of MW from 0 to 1000.",)
    """
    outside = outside_c if outside_c is not None and -60 <= outside_c <= 60 else OUTSIDE_C
    reserve = reserve_price(config, inventory, prices_now, outside)
    problem = _obstacle(bids, config, reserve)
    if problem is not None or config.coupling is None or len(bids) == 0:
        return _nothing(config, reserve, (), problem)
    book, left_out = _sorted_out(bids, config.coupling, time, config.cap_mw, reserve)
    if len(book) == 0:
        return _nothing(config, reserve, left_out, None)
    try:
        return _sold(book, config, reserve, outside, left_out, explain=explain, time_limit_s=time_limit_s)
    except Exception as fault:  # whatever fails here costs the sale of an interval, never the step
        told = f"{fault}".rstrip(".") or type(fault).__name__
        return _nothing(config, reserve, left_out, f"The services are not sold: {told}.")


def reserve_price(config: Config, inventory: Inventory, prices_now: Quote, outside_c: float = OUTSIDE_C) -> float:
    """
    What the site keeps a MWh of its cap for: the energy, and what its best machine would earn with it. [$/MWh]

    A machine that is cooled draws its cooling as well. NaN where a price is no number; at least 0.

    Examples
    --------
    >>> from gridlab.sources.mara import EVENT, Scaling
    >>> now = Quote(pd.Timestamp("2025-06-21", tz="UTC"), 30.0, 20.0, 1.0)
    >>> config = Config(scaling=Scaling(cost=1e-6 / 12, revenue=1e-6 / 12))
    >>> round(reserve_price(config, EVENT, now), 6)  # hydro makes 2 units of hashrate with a watt
    40.0
    >>> round(reserve_price(config, EVENT, Quote(now.time, 30.0, 1.0, 1.0)), 6)  # nothing pays
    30.0
    """
    scaling = config.scaling
    energy, margin = prices_now.energy_price * scaling.cost, margins(inventory, prices_now, scaling)
    cooled = set(config.cooled) if config.cooling is not None else set()
    extra = 0.0 if config.cooling is None else 1 / config.cooling.cop(outside_c)
    best = 0.0
    for one in inventory.types:
        drawn = one.power * (1 + extra * (one.name in cooled))
        earned = (margin[one.name] - (drawn - one.power) * energy) / drawn
        best = earned if math.isnan(earned) else max(best, earned)
        if math.isnan(best):
            break
    return max((energy + best) / (scaling.power_mw * STEP_HOURS), 0.0) if not math.isnan(best) else math.nan


def _nothing(config: Config, reserve: float, left_out: tuple[str, ...], problem: str | None) -> Services:
    table = _table([]).assign(award_mw=0.0, payment=0.0)
    return Services(table, reserve_price=reserve, rest_power=config.cap_power, left_out=left_out, problem=problem)


def _obstacle(bids: pd.DataFrame, config: Config, reserve: float) -> str | None:
    """Why no auction can take place, a sentence."""
    if not isinstance(bids, pd.DataFrame):
        return f"The bids are a {type(bids).__name__}, not a table."
    if len(bids) == 0:
        return None
    if config.coupling is None:
        return "There are bids and no service is on sale: give the site a coupling."
    missing = [name for name in COLUMNS[:5] if name not in bids]
    if missing:
        return f"The bids have no column {missing[0]}: they need {', '.join(COLUMNS[:5])}."
    if not math.isfinite(reserve):
        return "The services are not sold: without the prices of the interval there is no reserve."
    return None


def _sold(
    book: pd.DataFrame,
    config: Config,
    reserve: float,
    outside_c: float,
    left_out: tuple[str, ...],
    *,
    explain: bool,
    time_limit_s: float,
) -> Services:
    """The auction."""
    coupling, capacity = _coupling_of(config), config.cap_mw
    if config.cooling is not None:
        capacity = max(capacity - cooling_for(1e-12, outside_c, config.cooling), 0.0)
    said = {"coupling": coupling, "reserve_price": reserve, "step_hours": STEP_HOURS, "time_limit_s": time_limit_s}
    clearing = clear_vcg_services(book, capacity, **said)
    explained = explain_vcg_services(book, capacity, **said) if explain else pd.DataFrame(columns=_EXPLAINED)
    award, of = clearing.awards["quantity_mw"].to_numpy(float), book["service"].tolist()
    drawn: dict[str, float] = {}
    for service, mw in zip(of, award.tolist(), strict=True):
        if mw > 0:
            drawn[service] = drawn.get(service, 0.0) + mw * coupling.draw(service)
    heat = math.fsum(mw * coupling.heat(service) for service, mw in zip(of, award.tolist(), strict=True))
    table = book.drop(columns="minimum_mw", errors="ignore").assign(award_mw=award, payment=clearing.payments)
    taken = math.ceil(math.fsum(drawn.values()) / config.scaling.power_mw - 1e-6)
    rest = max(config.cap_power - taken, 0)
    return Services(table[COLUMNS], drawn, heat, explained, reserve, rest, left_out)


def _coupling_of(config: Config) -> Coupling:
    """The coupling, its chiller no larger than the site's."""
    coupling = config.coupling or Coupling(cop={"none": math.inf})
    if config.cooling is None or coupling.cooling_mw <= config.cooling.capacity_mw:
        return coupling
    limits = (coupling.at_most, coupling.at_least, coupling.shortfall_price)
    return Coupling(coupling.cop, config.cooling.capacity_mw, *limits)


# --- bids that can take part


def _sorted_out(
    bids: pd.DataFrame, coupling: Coupling, time: pd.Timestamp, cap_mw: float, reserve: float
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows that can take part, each bidder's service together, and why the others cannot."""
    most_mw, most_price = _MOST_CAPS * max(cap_mw, 1.0), _MOST_PRICES * max(reserve, 1000.0)
    left_out = [f"Rows of the bids after the first {MOST_ROWS} are left out: {len(bids)} are too many for an interval."]
    left_out = left_out if len(bids) > MOST_ROWS else []
    bids = bids.iloc[:MOST_ROWS]
    curves: dict[tuple[str, str], list[dict[str, object]]] = {}
    for label, row in zip(bids.index, bids.to_dict("records"), strict=True):
        curve = curves.get((str(row["bidder"]), str(row["service"])), [])
        why = _fault(row, coupling, time, most_mw, most_price) or _fault_of_curve(row, curve)
        if why is not None:
            left_out.append(f"Row {label} of the bids, of {_short(row['bidder'])}, is left out: {why}.")
        else:
            curves.setdefault((row["bidder"], row["service"]), []).append(row)
    for (bidder, service), curve in list(curves.items()):
        total, least = sum(_mw(row, "quantity_mw") for row in curve), _mw(curve[0], "minimum_mw")
        if least > total * (1 + 1e-12):
            del curves[bidder, service]
            told = f"its minimum_mw is {least:g} and the rows left want {total:g} MW of {service}"
            left_out.append(f"The bids of {_short(bidder)} are left out: {told}.")
    return _table([row for curve in curves.values() for row in curve], time), tuple(left_out)


def _fault(
    row: Mapping[str, object], coupling: Coupling, time: pd.Timestamp, most_mw: float, most_price: float
) -> str | None:
    """Why a row by itself cannot take part."""
    bidder, service = row["bidder"], row["service"]
    if not isinstance(bidder, str) or not bidder.strip() or bidder in _TAKEN:
        return f"a bidder needs a name, which cannot be {' or '.join(_TAKEN)}"
    if not isinstance(service, str) or service not in coupling.cop:
        return f"its service is {_short(service)}, on sale are {', '.join(sorted(coupling.cop))}"
    if not isinstance(row["time"], pd.Timestamp) or row["time"] != time:
        return f"it is for {_short(row['time'])}, the interval is {time}"
    for name in ("quantity_mw", "minimum_mw"):
        mw = 0.0 if name == "minimum_mw" and _is_none(row.get(name)) else _number(row[name])
        if mw is None or not 0 <= mw <= most_mw:
            return f"its {name} is {_short(row[name])}, not a number of MW from 0 to {most_mw:g}"
    price = _number(row["price"])
    if price is None or abs(price) > most_price:
        return f"its price is {_short(row['price'])}, not a number of $/MWh up to {most_price:g}"
    return None


def _fault_of_curve(row: Mapping[str, object], curve: list[dict[str, object]]) -> str | None:
    """Why a row cannot follow those of its bidder and service before it."""
    if curve and _mw(row, "price") > _mw(curve[-1], "price"):
        return f"its price, {_short(row['price'])} $/MWh, is above the row's before, {curve[-1]['price']}"
    if curve and _mw(row, "minimum_mw") != _mw(curve[0], "minimum_mw"):
        return f"its minimum_mw, {_short(row.get('minimum_mw'))}, is not that of the bidder's first row"
    return None


def _table(rows: list[dict[str, object]], time: pd.Timestamp | None = None) -> pd.DataFrame:
    """A `bids` table of rows that can take part; what is too small to be metered is nothing."""
    when = pd.Timestamp("1970-01-01", tz="UTC") if time is None else time
    quantity = [mw if (mw := _mw(row, "quantity_mw")) >= _LEAST_MW else 0.0 for row in rows]
    table = pd.DataFrame(
        {
            "time": pd.DatetimeIndex([when] * len(rows), tz="UTC"),
            "bidder": pd.Series([row["bidder"] for row in rows], dtype="str"),
            "service": pd.Series([row["service"] for row in rows], dtype="str"),
            "quantity_mw": pd.Series(quantity, dtype=float),
            "price": pd.Series([_mw(row, "price") for row in rows], dtype=float),
        }
    )
    minima = [min(_mw(row, "minimum_mw"), mw) if mw == 0 else _mw(row, "minimum_mw") for row, mw in
              zip(rows, quantity, strict=True)]  # fmt: skip
    return table.assign(minimum_mw=minima) if any(minima) else table


def _mw(row: Mapping[str, object], name: str) -> float:
    return _number(row.get(name)) or 0.0


def _number(value: object) -> float | None:
    """A finite number; True and False are none."""
    return None if isinstance(value, bool) else number(value)


def _is_none(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _short(value: object) -> str:
    told = repr(value) if isinstance(value, str) else str(value)
    return told if len(told) <= 40 else told[:37] + "..."
