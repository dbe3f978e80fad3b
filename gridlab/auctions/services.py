r"""
Services that couple: inference, training, cooling and others share a site's cap, and cooling follows the load.

With :math:`x_r` awarded to row :math:`r` of the bids, for service :math:`s(r)` at price :math:`p_r`,

.. math::
    \max_x \; & \sum_r (p_r - \rho \, w_{s(r)}) \, x_r \\
    & \sum_r w_{s(r)} x_r \le C, \qquad \sum_r h_{s(r)} x_r \le Q, \qquad
      L_s \le \sum_{r: s(r) = s} x_r \le U_s, \qquad 0 \le x_r \le q_r,

where a MW of a service that is cooled draws :math:`w_s = 1 + 1/\text{COP}_s` of the cap and makes :math:`h_s = 1` MW of
heat, one that is not cooled draws 1 and makes none, and a MW of heat that is removed for a bidder on ``cooling`` draws
:math:`1/\text{COP}` and takes 1 of the chiller; :math:`\rho` is the reserve.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gridlab.auctions.blocks import no_rows, refuse_names
from gridlab.auctions.clearing import Clearing, Wants, clearing_of, refuse_row, wants
from gridlab.auctions.merit_order import require_decreasing
from gridlab.auctions.services_columns import Curves
from gridlab.auctions.services_model import Limit, Optimum, Programme
from gridlab.auctions.services_solver import Deadline
from gridlab.errors import DataError, PlanError

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

COOLING = "cooling"
"""The service whose quantity is heat removed for a bidder, not power that it uses."""

CAP, CHILLER = "site cap", "chiller"


@dataclass(frozen=True)
class Coupling:
    """
    How services share a site.

    Parameters
    ----------
    cop : mapping of str to float
        The services on sale and the coefficient of performance at which each is cooled: a MW of load makes a MW of heat
        and draws ``1 + 1 / cop`` MW of the cap. Infinite for one that is not cooled: it draws 1 MW and makes no heat
        for the chiller. Of ``"cooling"`` itself it is the COP of the heat removed for its bidders, of which a MW draws
        ``1 / cop``. [-]
    cooling_mw : float
        Greatest heat that the chiller removes. [MW]
    at_most, at_least : mapping of str to float
        Limits of what is awarded of a service in all; of cooling it is heat. [MW]
    shortfall_price : float
        What a MWh costs by which a minimum of `at_least` is missed. Infinite where it must be met; then bids that
        cannot meet it are refused, and so is a bidder whom it cannot be met without. [$/MWh]

    Raises
    ------
    DataError
        If a COP is not above 0, a limit is negative or NaN or is for a service that `cop` does not have, or a minimum
        is above its maximum.

    Examples
    --------
    >>> coupling = Coupling(cop={"inference": 4.0, "mining": float("inf"), "cooling": 5.0}, cooling_mw=3.0)
    >>> coupling.draw("inference"), coupling.draw("mining"), coupling.draw("cooling")
    (1.25, 1.0, 0.2)
    >>> coupling.heat("inference"), coupling.heat("mining"), coupling.heat("cooling")
    (1.0, 0.0, 1.0)
    """

    cop: Mapping[str, float]
    cooling_mw: float = math.inf
    at_most: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    shortfall_price: float = math.inf

    def __post_init__(self) -> None:
        for name in ("cop", "at_most", "at_least"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        if not self.cop:
            raise DataError("cop must name at least one service: give its COP, or inf for one that is not cooled")
        for service, cop in self.cop.items():
            if not cop > 0 or (service == COOLING and cop == math.inf):
                rule = "above 0 and finite" if service == COOLING else "above 0, inf for a service that is not cooled"
                raise DataError(f"cop of {service} must be {rule}, got {cop}")
        for name in ("cooling_mw", "shortfall_price"):
            number = getattr(self, name)
            if not isinstance(number, int | float | np.number) or not number >= 0:
                raise DataError(f"{name} must be at least 0, got {number!r}")
        self._check_limits()

    def draw(self, service: str) -> float:
        """What a MW of a service draws of the cap. [MW]"""
        return 1 / self.cop[service] + (service != COOLING)

    def heat(self, service: str) -> float:
        """Heat that a MW of a service gives the chiller to remove. [MW]"""
        return float(math.isfinite(self.cop[service]))

    def _check_limits(self) -> None:
        for name in ("at_most", "at_least"):
            for service, limit in getattr(self, name).items():
                if service not in self.cop:
                    raise DataError(f"{name} has {service}, which is not a service of cop: add its COP or drop it")
                if not limit >= 0 or (name == "at_least" and limit == math.inf):
                    raise DataError(f"{name} of {service} must be at least 0 MW and a minimum finite, got {limit}")
        for service, least in self.at_least.items():
            most = self.at_most.get(service, math.inf)
            if least > most:
                raise DataError(f"at_least of {service}, {least:g} MW, is above its at_most, {most:g} MW: change one")


def clear_vcg_services(
    bids: pd.DataFrame,
    capacity_mw: float | pd.Series,
    *,
    coupling: Coupling,
    reserve_price: float = 0.0,
    payments: Literal["vcg", "core"] = "vcg",
    step_hours: float = 1.0,
    time_limit_s: float = 60.0,
) -> Clearing:
    r"""
    Sell services that share a site's cap so that it pays every bidder to state what they are worth to it.

    The award is the optimum of the programme of this module, and winner :math:`i` pays what its presence costs the
    others and the seller,

    .. math:: p_i = W(\text{without } i) - (W - v_i),

    where :math:`W(\text{without } i)` is solved for again, for winners alone, from the basis of the answer before.

    Parameters
    ----------
    bids : DataFrame
        A `bids` table. A bidder's rows of one time and service are its marginal values, from the dearest on, of
        divisible segments. An optional column `minimum_mw` [MW] has the least that the bidder can use of the service,
        the same in all its rows: it is awarded nothing or at least that. Prices are for a MWh of the service, without
        its cooling; of ``"cooling"`` for a MWh of heat.
    capacity_mw : float or Series
        The site's cap, one number or one for each time. [MW]
    coupling : Coupling
        The services and how they share the site.
    reserve_price : float
        What the seller keeps power of the cap for; a bid for a MWh that draws more than that of the cap must be worth
        as much more. A divisible bid just worth it is accepted where there is room. [$/MWh]
    payments : str
        ``"vcg"``, or ``"core"`` for the core payments nearest to them (`core_prices.core_payments`).
    step_hours : float
        Length of an interval. [h]
    time_limit_s : float
        How long the searches that curves with a minimum, and the core, ask for may take in all; infinite for as long
        as they need. Bids without a minimum ask for none under VCG, and where all are for all or nothing and the cap is
        the only limit the award is that of `blocks.clear_vcg_blocks`, as quickly. [s]

    Returns
    -------
    Clearing
        Rows of one price whose services draw on all limits alike share what they are awarded in proportion to their
        quantities; of other awards as good, and of whole minimum quantities as good, HiGHS's is taken, which does not
        depend on bidders' names or the order of the rows; of bids with a minimum that are the same the earlier are
        served. What each bidder gains is the same in all of them. A bidder's payment is divided over its rows in
        proportion to what they are worth above the reserve; where one is worth less than that, so that all gain in
        proportion to what they draw. The price is what one more MWh of the cap would be worth, NaN where there are
        minimum quantities.

    Raises
    ------
    DataError
        If `clearing.wants` or `merit_order.require_decreasing` refuse the bids, a service is not one of `coupling`, or
        a minimum quantity is negative, not the same in a curve's rows or above their sum.
    PlanError
        If a minimum of `coupling` cannot be met, or not without a bidder, whose payment is then not defined; the
        message says which limit gave way and by how much. If awards of minimum quantities are not proven best within
        `time_limit_s`; or if those of a knapsack have too many combinations to be held, as in `clear_vcg_blocks`.

    Notes
    -----
    Without minima of `coupling` payments are not negative. A minimum may be met by bids below the reserve, and at
    prices below 0 if need be: who makes it possible is paid what the next best way of meeting it would cost the others,
    so that no one loses, and the auction may run a deficit.

    References
    ----------
    .. [1] T. Groves, "Incentives in teams," Econometrica 41(4), 1973, doi:10.2307/1914085.
    .. [2] Q. Huangfu and J. A. J. Hall, "Parallelizing the dual revised simplex method," Math. Prog. Comp. 10, 2018,
       doi:10.1007/s12532-017-0130-5.

    Examples
    --------
    A MW of training draws 1.25 MW of the cap, so that 5 MW serve four; the lab displaces 2 MW of the mill's.

    >>> import pandas as pd
    >>> bids = pd.DataFrame({"time": pd.Timestamp("2024-01-01", tz="UTC"), "bidder": ["lab", "mill"],
    ...     "service": "training", "quantity_mw": [2.0, 4.0], "price": [90.0, 50.0]})
    >>> clearing = clear_vcg_services(bids, 5.0, coupling=Coupling(cop={"training": 4.0}))
    >>> clearing.awards["quantity_mw"].tolist(), clearing.payments.round(9).tolist(), clearing.prices.round(9).tolist()
    ([2.0, 2.0], [100.0, 0.0], [40.0])
    """
    if payments not in ("vcg", "core"):
        raise DataError(f"payments must be 'vcg' or 'core', got {payments!r}")
    book = _book(bids, capacity_mw, coupling, reserve_price, step_hours, time_limit_s)
    awarded, paid = np.zeros(len(bids)), np.zeros(len(bids))
    price = np.full(len(book.asked.times), np.nan)
    for market in _markets(book):
        best = _optimum(market)
        due = _clarke(market, best)
        if payments == "core":
            due = _core(market, best, due)
        awarded[market.rows] = best.awarded
        paid[market.rows] = step_hours * _spread(market, best.awarded, due)
        if best.awarded.any():
            price[market.number] = reserve_price + market.programme.gains()[0]
    return clearing_of(bids, awarded, paid, book.asked.times, price)


def explain_vcg_services(
    bids: pd.DataFrame,
    capacity_mw: float | pd.Series,
    *,
    coupling: Coupling,
    reserve_price: float = 0.0,
    step_hours: float = 1.0,
    time_limit_s: float = 60.0,
) -> pd.DataFrame:
    """
    Explain the VCG payments of `clear_vcg_services`: whom each winner displaced, in which service, at what value.

    Parameters
    ----------
    bids, capacity_mw, coupling, reserve_price, step_hours, time_limit_s
        As in `clear_vcg_services`.

    Returns
    -------
    DataFrame
        One row for each winner and each row of the bids whose award its presence changes: `time`, `bidder`,
        `displaced`, `service`, `quantity_mw` (what the displaced would be awarded more without it, negative where it
        would be less) [MW], `price` [$/MWh] and `amount` [$]. What the seller would keep of the cap is displaced from
        ``"reserve"``; what a minimum would be missed by is ``"shortfall"``, at minus its price. The amounts of a bidder
        sum to its payment.

    Raises
    ------
    DataError, PlanError
        As `clear_vcg_services`, or if a bidder is called ``"reserve"`` or ``"shortfall"``.

    Examples
    --------
    >>> import pandas as pd
    >>> bids = pd.DataFrame({"time": pd.Timestamp("2024-01-01", tz="UTC"), "bidder": ["lab", "mill"],
    ...     "service": "training", "quantity_mw": [2.0, 3.0], "price": [90.0, 50.0]})
    >>> explained = explain_vcg_services(bids, 5.0, coupling=Coupling(cop={"training": 4.0}), reserve_price=10.0)
    >>> explained[["bidder", "displaced", "quantity_mw", "price", "amount"]]
      bidder displaced  quantity_mw  price  amount
    0    lab      mill         1.00   50.0    50.0
    1    lab   reserve         1.25   10.0    12.5
    2   mill   reserve         2.50   10.0    25.0
    """
    book = _book(bids, capacity_mw, coupling, reserve_price, step_hours, time_limit_s)
    refuse_names(book.asked, "reserve", "shortfall")
    found = []
    for market in _markets(book):
        best = _optimum(market)
        for winner in _winners(market, best.awarded):
            found.append(_displaced(book, market, best, winner))
    columns = ["time", "bidder", "displaced", "service", "quantity_mw", "price"]
    explained = pd.concat(found, ignore_index=True) if found else no_rows(book.asked.times, columns)
    explained = explained.astype({"quantity_mw": float, "price": float})
    return explained.assign(amount=explained["quantity_mw"] * explained["price"] * step_hours)


def services_report(
    bids: pd.DataFrame,
    clearing: Clearing,
    capacity_mw: float | pd.Series,
    coupling: Coupling,
    *,
    reserve_price: float = 0.0,
) -> pd.DataFrame:
    """
    What a clearing uses of the limits of the site, and what loosening them would be worth.

    Parameters
    ----------
    bids, capacity_mw, coupling, reserve_price
        What was cleared by `clear_vcg_services`.
    clearing : Clearing
        Its answer.

    Returns
    -------
    DataFrame
        For each time one row for the ``"site cap"``, the ``"chiller"``, ``"at most"`` of each service and ``"at
        least"`` of those with a minimum: `time`, `limit`, `service`, `used_mw` (power of the cap, heat of the chiller,
        what is awarded of the service), `limit_mw`, `slack_mw` (what is left, negative where a minimum is missed),
        `power_mw` (what that draws of the cap: of the chiller its own power, of a service its load and cooling) [MW]
        and `shadow_price`, what the welfare gains with each MWh by which the limit is loosened, of the cap with what
        the seller would keep it for; NaN where minimum quantities make it undefined. [$/MWh]

    Raises
    ------
    DataError
        If `clearing` is not of these bids, or as `clear_vcg_services`.

    Examples
    --------
    >>> import pandas as pd
    >>> bids = pd.DataFrame({"time": pd.Timestamp("2024-01-01", tz="UTC"), "bidder": ["lab", "mill"],
    ...     "service": "training", "quantity_mw": [2.0, 4.0], "price": [90.0, 50.0]})
    >>> coupling = Coupling(cop={"training": 4.0}, cooling_mw=6.0)
    >>> report = services_report(bids, clear_vcg_services(bids, 5.0, coupling=coupling), 5.0, coupling)
    >>> report[["limit", "used_mw", "limit_mw", "slack_mw", "power_mw", "shadow_price"]]
          limit  used_mw  limit_mw  slack_mw  power_mw  shadow_price
    0  site cap      5.0       5.0       0.0       5.0          40.0
    1   chiller      4.0       6.0       2.0       1.0           0.0
    2   at most      4.0       inf       inf       5.0           0.0
    """
    book = _book(bids, capacity_mw, coupling, reserve_price)
    if len(clearing.awards) != len(bids) or not clearing.awards.index.equals(bids.index):
        raise DataError("clearing.awards must have the rows of bids: clear these bids")
    awarded = clearing.awards["quantity_mw"].to_numpy(float)
    rows = [row for market in _markets(book) for row in _uses(book, market, awarded[market.rows], reserve_price)]
    columns = ["time", "limit", "service", "used_mw", "limit_mw", "slack_mw", "power_mw", "shadow_price"]
    return pd.DataFrame(rows, columns=columns)


def _numbers(name: str, given: Mapping[str, float]) -> dict[str, float]:
    """Numbers by service, refused where they are none."""
    if not isinstance(given, Mapping):
        raise DataError(f"{name} must map services to numbers, got {given!r}: write {{'training': 4.0}}")
    for service, number in given.items():
        if not isinstance(number, int | float | np.number):
            raise DataError(f"{name} of {service} must be a number, got {number!r}")
    return {str(service): float(number) for service, number in given.items()}


class _Book(NamedTuple):
    """The bids as arrays, and the services by number."""

    asked: Wants
    coupling: Coupling
    names: list[str]
    service: Ints
    minimum: Floats
    draw: Floats
    heat: Floats
    reserve: float
    deadline: Deadline


class _Market(NamedTuple):
    """One time's bids and programme."""

    number: int
    time: pd.Timestamp
    rows: Ints
    curves: Curves
    price: Floats
    draw: Floats
    reserve: float
    bidders: pd.Index
    alike: Ints
    limits: list[Limit]
    coupling: Coupling
    programme: Programme


def _book(
    bids: pd.DataFrame,
    capacity_mw: float | pd.Series,
    coupling: Coupling,
    reserve_price: float,
    step_hours: float = 1.0,
    time_limit_s: float = math.inf,
) -> _Book:
    if not isinstance(coupling, Coupling):
        raise DataError(f"coupling must be a Coupling, got {type(coupling).__name__}: state the services and their COP")
    if not isinstance(time_limit_s, int | float | np.number) or not time_limit_s > 0:
        raise DataError(f"time_limit_s must be a number above 0, inf for no limit, got {time_limit_s!r}")
    asked = wants(bids, capacity_mw, reserve_price=reserve_price, step_hours=step_hours)
    require_decreasing(bids, asked)
    names = sorted(coupling.cop)
    service = pd.Index(names).get_indexer(pd.Index(bids["service"]))
    if (service < 0).any():
        row = int(np.argmin(service))
        raise DataError(
            f"bids['service'] has {bids['service'].iloc[row]} in row {bids.index[row]}, which is not on sale "
            f"({', '.join(names)}): give coupling its COP or drop the row"
        )
    draw, heat = (np.array([of(name) for name in names]) for of in (coupling.draw, coupling.heat))
    minimum = _minimum(bids, asked, service)
    return _Book(asked, coupling, names, service, minimum, draw, heat, reserve_price, Deadline(float(time_limit_s)))


def _minimum(bids: pd.DataFrame, asked: Wants, service: Ints) -> Floats:
    """The least quantity of each row's curve."""
    if "minimum_mw" not in bids:
        return np.zeros(len(bids))
    if not pd.api.types.is_numeric_dtype(bids["minimum_mw"]):
        raise DataError(f"bids['minimum_mw'] must hold numbers [MW], got {bids['minimum_mw'].dtype}: use pd.to_numeric")
    minimum = bids["minimum_mw"].to_numpy(float)
    refuse_row(bids, ~(minimum >= 0), "minimum_mw", "is not at least 0", "set it to 0 where there is none", unit="MW")
    curve = pd.DataFrame({"market": asked.market, "bidder": asked.bidder, "service": service})
    curve = curve.assign(minimum=minimum, quantity=asked.quantity)
    by_curve = curve.groupby(["market", "bidder", "service"], sort=False)
    first, total = by_curve["minimum"].transform("first"), by_curve["quantity"].transform("sum")
    remedy = "the rows of a bidder's service have one minimum together, write it in each"
    refuse_row(bids, (minimum != first).to_numpy(), "minimum_mw", "differs from the row's before", remedy, unit="MW")
    beyond = (minimum > total * (1 + 1e-12)).to_numpy()
    remedy = "it could never be awarded, lower it or bid for more"
    refuse_row(bids, beyond, "minimum_mw", "is above the quantities of its curve", remedy, unit="MW")
    return np.asarray(np.minimum(minimum, total.to_numpy()))


def _markets(book: _Book) -> list[_Market]:
    return [_market(book, number) for number in range(len(book.asked.times))]


def _market(book: _Book, number: int) -> _Market:
    asked, rows = book.asked, np.flatnonzero(book.asked.market == number)
    service, price = book.service[rows], asked.price[rows]
    draw = book.draw[service]
    curves = Curves(asked.bidder[rows], service, asked.quantity[rows], price - book.reserve * draw, book.minimum[rows])
    limits = _limits(book, float(asked.capacity[number]))
    weights = np.array([limit.weight for limit in limits])
    alike = np.unique(weights.T, axis=0, return_inverse=True)[1].ravel()
    programme = Programme(curves, alike, limits, book.coupling.shortfall_price, deadline=book.deadline)
    time = asked.times[number]
    said = (draw, book.reserve, asked.bidders, alike, limits, book.coupling, programme)
    return _Market(number, time, rows, curves, price, *said)


def _limits(book: _Book, capacity: float) -> list[Limit]:
    """The site's limits, the cap first."""
    limits = [Limit(CAP, book.draw, 0.0, capacity)]
    if math.isfinite(book.coupling.cooling_mw):
        limits.append(Limit(CHILLER, book.heat, 0.0, book.coupling.cooling_mw))
    for number, name in enumerate(book.names):
        own = np.eye(len(book.names))[number]
        if math.isfinite(most := book.coupling.at_most.get(name, math.inf)):
            limits.append(Limit(f"at_most of {name}", own, 0.0, most))
        if (least := book.coupling.at_least.get(name, 0.0)) > 0:
            limits.append(Limit(f"at_least of {name}", own, least, math.inf))
    return limits


def _optimum(market: _Market) -> Optimum:
    best = market.programme.best()
    if best is None:
        raise PlanError(f"{_missing(market, None)}: lower it, or give shortfall_price")
    return best


def _missing(market: _Market, keep: NDArray[np.bool_] | None) -> str:
    """Which minimum cannot be met, by how much, and what is in its way."""
    least = market.programme.nearest(keep)
    if least is None:
        raise PlanError(f"the minima at {market.time} cannot be met by any award: check the size of the numbers")
    number = int(np.argmax(least.missed))
    limit, short = market.limits[number], least.missed[number]
    totals = np.bincount(market.curves.service, least.awarded, len(limit.weight))
    full = [
        other.name for other in market.limits if other.low == 0 and other.weight @ totals >= other.high * (1 - 1e-9)
    ]
    reason = f"the bids, with {', '.join(full)}," if full else "the bids"
    return (
        f"{limit.name} needs {limit.low:g} MW at {market.time} and {reason} allow {limit.low - short:g} MW, "
        f"{short:g} MW less"
    )


def _winners(market: _Market, awarded: Floats) -> Ints:
    """Numbers of the bidders who are awarded anything."""
    return np.unique(market.curves.bidder[awarded > 0])


def _without(market: _Market, bidder: int) -> Optimum:
    """The optimum that leaves a bidder out."""
    keep = market.curves.bidder != bidder
    best = market.programme.best(keep)
    if best is None:
        raise PlanError(
            f"without {market.bidders[bidder]}, {_missing(market, keep)}, so that its payment is not defined: lower "
            "the minimum, find another bidder, or give shortfall_price"
        )
    return best


def _clarke(market: _Market, best: Optimum) -> dict[int, float]:
    """What each winner pays above the reserve for what it draws. [$/h]"""
    worth = np.bincount(market.curves.bidder, market.curves.value * best.awarded)
    due = {}
    for winner in _winners(market, best.awarded).tolist():
        value = float(worth[winner])
        cost = _cost_to_others(market, best, _without(market, winner), winner)
        due[winner] = min(cost if len(market.programme.minima) else max(cost, 0.0), value)
    return due


def _cost_to_others(market: _Market, best: Optimum, other: Optimum, winner: int) -> float:
    """What a winner's presence costs the others; summed over what changes, so that nothing large cancels. [$/h]"""
    theirs = market.curves.bidder != winner
    cost = float(market.curves.value[theirs] @ (other.awarded - best.awarded)[theirs])
    more_missed = float((other.missed - best.missed).sum())
    return cost - (market.coupling.shortfall_price * more_missed if more_missed else 0.0)


def _core(market: _Market, best: Optimum, due: dict[int, float]) -> dict[int, float]:
    """The core payments nearest to VCG, above the reserve. [$/h]"""
    from gridlab.auctions.core_prices import core_payments

    limits, deadline = market.limits, market.programme.deadline
    shortfall_price = market.coupling.shortfall_price
    apart = Programme(market.curves, market.alike, limits, shortfall_price, deadline=deadline, apart=True)
    worth = np.bincount(market.curves.bidder, market.curves.value * best.awarded)
    winners = list(due)

    def offer(surplus: Floats) -> tuple[float, NDArray[np.bool_]]:
        return apart.charged(dict(zip(winners, surplus.tolist(), strict=True)))

    paid = core_payments(worth[winners], np.array(list(due.values())), offer) if winners else np.zeros(0)
    return dict(zip(winners, paid.tolist(), strict=True))


def _spread(market: _Market, awarded: Floats, due: dict[int, float]) -> Floats:
    """Each winner's payment over its rows. [$/h]"""
    drawn, worth = market.draw * awarded, market.curves.value * awarded
    paid = market.reserve * drawn
    for winner, cost in due.items():
        own = np.flatnonzero((market.curves.bidder == winner) & (awarded > 0))
        total = worth[own].sum()
        if (worth[own] >= 0).all() and total > 0:
            paid[own] += cost * worth[own] / total
        else:
            paid[own] += worth[own] - (total - cost) * drawn[own] / drawn[own].sum()
    return paid


def _displaced(book: _Book, market: _Market, best: Optimum, winner: int) -> pd.DataFrame:
    """How the others' awards, the seller's power and the minima missed change when a winner is left out."""
    other = _without(market, winner)
    more, close = other.awarded - best.awarded, 1e-11 * market.programme.unit
    rows = np.flatnonzero((np.abs(more) > close) & (market.curves.bidder != winner))
    kept, short = -float(market.draw @ more), other.missed - best.missed
    missed = np.flatnonzero(np.abs(short) > close)
    sold = [(market.bidders[market.curves.bidder[row]], book.names[market.curves.service[row]]) for row in rows]
    seller = [("reserve", None)] if abs(kept) > close else []
    minima = [("shortfall", book.names[int(np.argmax(market.limits[number].weight))]) for number in missed]
    who, what = zip(*(sold + seller + minima), strict=True) if sold + seller + minima else ((), ())
    keeps = [kept] * len(seller)
    prices = [market.reserve] * len(seller) + [-book.coupling.shortfall_price] * len(missed)
    return pd.DataFrame(
        {
            "time": market.time,
            "bidder": market.bidders[winner],
            "displaced": pd.Series(list(who), dtype="str"),
            "service": pd.Series(list(what), dtype="str"),
            "quantity_mw": np.r_[more[rows], keeps, short[missed]],
            "price": np.r_[market.price[rows], prices],
        }
    )


def _uses(book: _Book, market: _Market, awarded: Floats, reserve: float) -> list[tuple[object, ...]]:
    """Rows of the report for one time."""
    totals = np.bincount(market.curves.service, awarded, len(book.names))
    gains = dict(zip([limit.name for limit in market.limits], market.programme.gains(), strict=True))
    undefined = math.nan if len(market.programme.parts.block) else 0.0
    cap, chiller = float(book.draw @ totals), float(book.heat @ totals)
    power = float((book.draw - np.array([name != COOLING for name in book.names])) @ totals)
    lines: list[tuple[str, str | None, float, float, float]]
    lines = [(CAP, None, cap, market.limits[0].high, cap), (CHILLER, None, chiller, book.coupling.cooling_mw, power)]
    for number, name in enumerate(book.names):
        used, draw = float(totals[number]), float(book.draw[number] * totals[number])
        lines.append(("at most", name, used, book.coupling.at_most.get(name, math.inf), draw))
        if f"at_least of {name}" in gains:
            lines.append(("at least", name, used, book.coupling.at_least[name], draw))
    report: list[tuple[object, ...]] = []
    for limit, service, used, bound, draw in lines:
        key = limit if service is None else f"{limit.replace(' ', '_')} of {service}"
        gain = gains.get(key, undefined) + (reserve if limit == CAP else 0.0)
        slack = used - bound if limit == "at least" else bound - used
        report.append((market.time, limit, service, used, bound, slack, draw, gain))
    return report
