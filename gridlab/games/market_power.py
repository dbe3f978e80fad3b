"""What large batteries gain by moving less energy than would be best for all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery
from gridlab.errors import DataError, PlanError
from gridlab.games.battery_play import BestPlan, Market, best_plan, earnings, greatest_earnings
from gridlab.games.checks import numbers
from gridlab.schema import step_hours, validate
from gridlab.storage import reach

Floats = NDArray[np.float64]

CONDUCTS = ("strategic", "cartel", "efficient", "price_taker")
"""What each battery seeks: its own profit, that of all batteries, welfare, or its profit at given prices."""

_WEIGHTS = {"strategic": (1.0, 1.0), "cartel": (2.0, 0.0), "efficient": (1.0, 0.0), "price_taker": (0.0, 0.0)}
_SWEEPS = 100  # of best replies, at the most
_REGRET = 1e-11  # of all that a battery can earn and spend, at which it keeps its plan
_CLOSE = 1e-9  # MWh within which a start or an end lies in a battery's limits


@dataclass(frozen=True)
class BatteryPlay:
    """
    What batteries do in a market whose price they move.

    Parameters
    ----------
    schedule : DataFrame
        A `schedule` table of all batteries together with the price that they make: `battery_mw`, `soc_mwh` and
        `price`, and, of several, `battery_<i>_mw` and `soc_<i>_mwh` of each. [MW] [MWh] [$/MWh]
    profit : ndarray, shape (n_batteries,)
        Sales less purchases at that price, less wear. [$]
    welfare : float
        What the batteries are worth to all: the area under the residual demand that they serve, less wear. [$]
    delivered_mwh : float
        Energy that they put into the grid. [MWh]
    regret : ndarray, shape (n_batteries,)
        The most that each could still add by another plan to what it seeks, the others' plans given: proven by the
        values of stored energy, so also an upper bound where a search for the best plan was given up. [$]
    """

    schedule: pd.DataFrame
    profit: Floats
    welfare: float
    delivered_mwh: float
    regret: Floats


@dataclass(frozen=True)
class MarketPower:
    """
    Batteries that use their power over the price, beside the best plan for all and one that overlooks that power.

    Parameters
    ----------
    strategic, efficient, price_taker : BatteryPlay
        What they do if each seeks its profit, if they seek welfare, and if each plans at the price without them. One
        small battery plans best for all when it takes prices as given; large ones must foresee where the price goes.
    """

    strategic: BatteryPlay
    efficient: BatteryPlay
    price_taker: BatteryPlay

    @property
    def gain(self) -> float:
        """What all batteries together gain over the efficient plan. [$]"""
        return float(self.strategic.profit.sum() - self.efficient.profit.sum())

    @property
    def withheld_mwh(self) -> float:
        """Energy that the efficient plan puts into the grid and the strategic one does not. [MWh]"""
        return self.efficient.delivered_mwh - self.strategic.delivered_mwh

    @property
    def welfare_loss(self) -> float:
        """Welfare of the efficient plan less that of the strategic one. [$]"""
        return self.efficient.welfare - self.strategic.welfare

    @property
    def price_of_anarchy(self) -> float:
        """Welfare of the efficient plan over that of the strategic one; 1 where neither has any. [-]"""
        best, worse = self.efficient.welfare, self.strategic.welfare
        return 1.0 if best == worse else best / worse if worse > 0 else float("inf")

    def table(self) -> pd.DataFrame:
        """Profit, welfare, energy delivered and regret by conduct. [$] [$] [MWh] [$]"""
        plays = {"strategic": self.strategic, "efficient": self.efficient, "price_taker": self.price_taker}
        return pd.DataFrame(
            {
                "profit": {name: float(play.profit.sum()) for name, play in plays.items()},
                "welfare": {name: play.welfare for name, play in plays.items()},
                "delivered_mwh": {name: play.delivered_mwh for name, play in plays.items()},
                "regret": {name: float(play.regret.max()) for name, play in plays.items()},
            }
        )


def market_power(
    prices: pd.DataFrame,
    batteries: Battery | Sequence[Battery],
    slope: float | pd.Series | ArrayLike,
    *,
    soc_mwh: float | Sequence[float] | None = None,
    end_mwh: float | Sequence[float] | None = None,
) -> MarketPower:
    """
    How much batteries gain by withholding, and what it costs all.

    Arguments and refusals are those of `play_batteries`.

    Examples
    --------
    One MWh may be moved from a price of 10 to one of 50; each MW moves the price by 20. All of it would even them out
    at 30; the battery earns most from half of it, which leaves a spread of 20.

    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=1).iloc[:2].assign(price=[10.0, 50.0])
    >>> power = market_power(prices, Battery(2.0, 2.0, 1.0, 1.0), 20.0)
    >>> power.strategic.schedule[["battery_mw", "price"]].values.tolist()
    [[-0.5, 20.0], [0.5, 40.0]]
    >>> power.gain, power.withheld_mwh, power.welfare_loss
    (10.0, 0.5, 5.0)
    """
    asked = {"soc_mwh": soc_mwh, "end_mwh": end_mwh}
    plays = (play_batteries(prices, batteries, slope, conduct=conduct, **asked) for conduct in _COMPARED)
    return MarketPower(*plays)


_COMPARED = ("strategic", "efficient", "price_taker")


def play_batteries(
    prices: pd.DataFrame,
    batteries: Battery | Sequence[Battery],
    slope: float | pd.Series | ArrayLike,
    *,
    conduct: str = "strategic",
    soc_mwh: float | Sequence[float] | None = None,
    end_mwh: float | Sequence[float] | None = None,
) -> BatteryPlay:
    r"""
    The plans of batteries that face a price which falls with what they together put into the grid.

    With :math:`Q` MW from all of them an interval has the price :math:`p = a - b Q`, where :math:`a` is the price
    without them. Each battery's plan is the best reply to the others', where by `conduct` it seeks its profit
    :math:`(a - b Q) q`, as in Cournot's game, the profit of all, :math:`(a - b Q) Q`, welfare, :math:`a Q - b Q^2 / 2`,
    or :math:`a q`. All four are concave and have a potential, so that replies in turn lead to the equilibrium;
    batteries that are all alike are found in one step.

    Parameters
    ----------
    prices : DataFrame
        A `prices` table: prices without the batteries; nothing is traded where the price is NaN. [$/MWh]
    batteries : Battery or sequence of Battery
        The batteries; their ramps must not bind.
    slope : float, Series by time, or array of shape (n_steps,)
        Fall of the price for each MW, at least 0. [$/MWh per MW]
    conduct : str
        One of `CONDUCTS`.
    soc_mwh, end_mwh : float or sequence of float, optional
        Energy stored at the start and at the end, of each battery. The least energy, and the start, when omitted. [MWh]

    Returns
    -------
    BatteryPlay
        No interval charges and discharges at once. Where the price is so negative that energy is worth burning, an
        interval does one or the other, found by a search of bounded length; `regret` then says what it may have missed.
        Replies end after 100 of each battery, which unlike batteries that seek welfare on steep slopes may need more
        of; `regret` says what is left to each alone. Otherwise it is 0 up to rounding.

    Raises
    ------
    DataError
        If `prices` breaks its schema or has no interval, there is no battery, a ramp could bind, all stored energy
        leaks in an interval, `slope` is negative, not finite or does not fit, or `conduct` is unknown.
    PlanError
        If a battery cannot start or end as asked.

    References
    ----------
    .. [1] R. Sioshansi, "Welfare impacts of electricity storage and the implications of ownership structure,"
       The Energy Journal 31(2), 2010, doi:10.5547/ISSN0195-6574-EJ-Vol31-No2-7.

    Examples
    --------
    >>> from gridlab.schema import mock_prices
    >>> prices = mock_prices(days=1).iloc[:2].assign(price=[10.0, 50.0])
    >>> two = play_batteries(prices, [Battery(2.0, 2.0, 1.0, 1.0)] * 2, 20.0)  # each a third, as in Cournot's duopoly
    >>> two.schedule[["battery_mw", "battery_0_mw"]].round(9).values.tolist()
    [[-0.666666667, -0.333333333], [0.666666667, 0.333333333]]
    """
    validate(prices, "prices")
    if not len(prices):
        raise DataError("prices has no intervals: give the hours that the batteries are to plan for")
    if conduct not in CONDUCTS:
        raise DataError(f"conduct must be one of {', '.join(CONDUCTS)}, got {conduct!r}")
    owned = _owned(batteries)
    fleet = _fleet(prices, owned, _slope_at(slope, prices), soc_mwh, end_mwh)
    plans, regret = _equilibrium(fleet, *_WEIGHTS[conduct])
    return _play(prices, fleet, plans, regret)


def _owned(batteries: Any) -> list[Battery]:
    """The batteries as a list."""
    owned = [batteries] if isinstance(batteries, Battery) or not np.iterable(batteries) else list(batteries)
    wrong = [battery for battery in owned if not isinstance(battery, Battery)]
    if wrong:
        raise DataError(f"batteries must be a Battery or a sequence of them, got {wrong[0]!r}")
    if not owned:
        raise DataError("batteries holds none: give at least one")
    return owned


class _Fleet(NamedTuple):
    """The batteries, what each faces alone, and the fall of the price by interval."""

    batteries: list[Battery]
    markets: list[Market]
    slope: Floats

    def facing(self, i: int, others: Floats, together: float, alone: float) -> Market:
        """What a battery faces when the others put some energy into the grid."""
        market = self.markets[i]
        price = market.price - together * self.slope * others / market.step_hours
        return market._replace(price=price, bend=(together + alone) * self.slope)


def _equilibrium(fleet: _Fleet, together: float, alone: float) -> tuple[list[BestPlan], Floats]:
    """Plans that are replies to each other, and the regret of each battery."""
    n_batteries = len(fleet.batteries)
    plans = _first(fleet, together, alone)
    if n_batteries == 1:
        return plans, np.array([plans[0].bound - plans[0].earned])
    total = np.sum([plan.net_mwh for plan in plans], axis=0)
    settled = 0
    for turn in range(_SWEEPS * n_batteries):
        i = turn % n_batteries
        reply, regret = _reply(fleet, plans, total, i, together, alone)
        settled += 1
        if regret.improvement:
            total += reply.net_mwh - plans[i].net_mwh
            plans[i], settled = reply, 1
        if settled > n_batteries:
            break
    return plans, np.array([_reply(fleet, plans, total, i, together, alone)[1].bound for i in range(n_batteries)])


class _Regret(NamedTuple):
    """Whether a reply is worth its trouble, and what no reply can add. [$]"""

    improvement: bool
    bound: float


def _reply(
    fleet: _Fleet, plans: list[BestPlan], total: Floats, i: int, together: float, alone: float
) -> tuple[BestPlan, _Regret]:
    """The best plan of a battery among the others' plans, and its regret of the one it has."""
    battery, own = fleet.batteries[i], plans[i].net_mwh
    market, wear = fleet.facing(i, total - own, together, alone), battery.degradation_cost
    reply, now = best_plan(market, battery), earnings(market, own, wear)
    better = reply.earned - now > _REGRET * greatest_earnings(market, wear)
    return reply, _Regret(better, max(reply.bound - now, 0.0))


def _first(fleet: _Fleet, together: float, alone: float) -> list[BestPlan]:
    """Plans to begin with: those of alike batteries at their equilibrium, others as if all were like them."""
    n_batteries, found = len(fleet.batteries), {}
    plans = []
    for battery, market in zip(fleet.batteries, fleet.markets, strict=True):
        key = battery, market.start, market.end
        if key not in found:
            found[key] = best_plan(market._replace(bend=(together * n_batteries + alone) * fleet.slope), battery)
        plans.append(found[key])
    return plans


def _play(prices: pd.DataFrame, fleet: _Fleet, plans: list[BestPlan], regret: Floats) -> BatteryPlay:
    """The tables and sums of plans."""
    hours, level = fleet.markets[0].step_hours, fleet.markets[0].price
    net = np.array([plan.net_mwh for plan in plans]) + 0.0
    soc = np.array(
        [plan.stored_mwh + battery.soc_low_mwh for plan, battery in zip(plans, fleet.batteries, strict=True)]
    )
    total = net.sum(axis=0)
    price = prices["price"].to_numpy(float) - fleet.slope * total / hours
    wear = np.array([battery.degradation_cost for battery in fleet.batteries]) * np.maximum(net, 0.0).sum(axis=1)
    columns = {"battery_mw": total / hours, "soc_mwh": soc.sum(axis=0), "price": price}
    for i in range(len(plans)) if len(plans) > 1 else ():
        columns |= {f"battery_{i}_mw": net[i] / hours, f"soc_{i}_mwh": soc[i]}
    worth = level * total - fleet.slope * total**2 / (2 * hours)
    return BatteryPlay(
        pd.DataFrame(columns, index=prices.index),
        net @ (level - fleet.slope * total / hours) - wear,
        float(worth.sum() - wear.sum()),
        float(np.maximum(net, 0.0).sum()),
        regret,
    )


def _fleet(
    prices: pd.DataFrame,
    batteries: list[Battery],
    slope: Floats,
    soc_mwh: float | Sequence[float] | None,
    end_mwh: float | Sequence[float] | None,
) -> _Fleet:
    """What each battery faces, checked."""
    hours, level = step_hours(prices.index), prices["price"].to_numpy(float)
    low = [battery.soc_low_mwh for battery in batteries]
    starts = _of_each(soc_mwh, low, "soc_mwh")
    ends = _of_each(end_mwh, starts, "end_mwh")
    markets = []
    for battery, start, end in zip(batteries, starts, ends, strict=True):
        _require_free(battery, hours)
        limit = np.where(np.isnan(level), 0.0, battery.power_mw * hours)
        first, last = _inside(battery, start, "soc_mwh"), _inside(battery, end, "end_mwh")
        last = _reachable(battery, limit, first, last, hours)
        markets.append(Market(np.nan_to_num(level), slope, limit, first, last, hours))
    return _Fleet(batteries, markets, slope)


def _slope_at(slope: float | pd.Series | ArrayLike, prices: pd.DataFrame) -> Floats:
    """The fall of the price in each interval."""
    if isinstance(slope, pd.Series):
        if slope.index.has_duplicates:
            raise DataError(f"slope has {slope.index[slope.index.duplicated()][0]} twice: leave one")
        missing = prices.index.difference(slope.index)
        if len(missing):
            raise DataError(f"slope has no value for {missing[0]}: add it")
        slope = slope.reindex(prices.index)
    values = numbers(slope, "slope")
    if values.shape not in ((), (len(prices),)):
        raise DataError(
            f"slope must be a number or have the {len(prices)} elements of prices, got shape {values.shape}"
        )
    values = np.broadcast_to(values, len(prices)).copy()
    bad = ~((values >= 0) & (values < np.inf))
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(f"slope must be at least 0 and finite, got {values[at]} at {prices.index[at]}: mend it")
    return values


def _of_each(given: float | Sequence[float] | None, otherwise: list[float], name: str) -> list[float]:
    """A number for each battery."""
    if given is None:
        return otherwise
    values = numbers(given, name)
    if values.shape not in ((), (len(otherwise),)):
        raise DataError(
            f"{name} must be a number or one for each of {len(otherwise)} batteries, got shape {values.shape}"
        )
    return [float(value) for value in np.broadcast_to(values, len(otherwise))]


def _require_free(battery: Battery, hours: float) -> None:
    """Refuse what the game does not know: a ramp that may bind, and a store that is empty after an interval."""
    if battery.ramp_mw_per_hour * hours < 2 * battery.power_mw:
        raise DataError(
            f"ramp_mw_per_hour = {battery.ramp_mw_per_hour:g} may bind between intervals of {hours:g} h, which the "
            f"game leaves out: set it to {2 * battery.power_mw / hours:g} or more"
        )
    if battery.kept(hours) <= 0:
        raise DataError(
            f"self_discharge_per_hour = {battery.self_discharge_per_hour:g} leaves nothing after {hours:g} h: use "
            "shorter intervals"
        )


def _inside(battery: Battery, energy_mwh: float, name: str) -> float:
    """Energy above the least, within the store."""
    low, high = battery.soc_low_mwh, battery.soc_high_mwh
    if not low - _CLOSE <= energy_mwh <= high + _CLOSE:
        raise PlanError(f"{name} = {energy_mwh:g} is outside the battery's {low:g} to {high:g} MWh: move it inside")
    return min(max(energy_mwh, low), high) - low


def _reachable(battery: Battery, limit: Floats, start: float, end: float, hours: float) -> float:
    """The energy above the least at the end, if it can be reached."""
    least, most = reach(limit, start, battery, hours)
    if not least - _CLOSE <= end <= most + _CLOSE:
        missed = max(least - end, end - most)
        raise PlanError(
            f"end_mwh = {end + battery.soc_low_mwh:g} is {missed:.3g} MWh outside what the battery can reach, "
            f"{least + battery.soc_low_mwh:g} to {most + battery.soc_low_mwh:g} MWh: move it inside"
        )
    return min(max(end, least), most)
