r"""
What sites or homes gain behind one virtual meter: the characteristic function of a coalition, by linear programmes.

With energies in MWh an interval, :math:`c_{it}` and :math:`d_{it}` drawn from and delivered by the battery of member
:math:`i`, :math:`w_{it}` of its solar energy spilled, and :math:`m_t` and :math:`e_t` bought and sold by the coalition,
it pays

.. math::
    \min \; & \sum_t (p_t m_t - q_t e_t + f r_t) + \sum_{it} \omega_i d_{it} + D P, \qquad P \ge m_t / h \\
    & u_{it} - o_{it} = l_{it} - y_{it} + w_{it} + c_{it} - d_{it}, \qquad
    \sum_i u_{it} = m_t + r_t, \quad \sum_i o_{it} = e_t + s_t, \quad r_t = (1 - \lambda) s_t,

where what a member lacks, :math:`u_{it}`, is bought or received from the others, and what it has over,
:math:`o_{it}`, is sold or sent to them: of :math:`s_t` sent a share :math:`\lambda` is lost, and for each MWh received
the network asks :math:`f`. Each battery is its own, with the block that `gridlab.mpc.site_programme` plans it by. One
programme holds all members; a coalition is a set of bounds, and each begins with the basis of one that differs by a
single member.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.assets import Battery, Site
from gridlab.errors import DataError, PlanError
from gridlab.games.checks import number, numbers
from gridlab.mpc.base import State
from gridlab.mpc.battery import runs_that_hold
from gridlab.mpc.coalition_programme import Form, coalition_programme
from gridlab.mpc.site_data import battery_data
from gridlab.mpc.site_programme import Shape
from gridlab.programme import Answer, Session

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_COALITIONS = 2**16
"""Most coalitions whose programmes are all solved, in minutes."""

_PRECISION = 1e-9  # residuals and gap of an answer that counts
_ROUNDING = 1e-9  # of the money that passes through the members' meters, below which a gain is none
_BURNT = 1e-7  # of the greatest member's energy an interval that is as good as nothing
_SOLVERS = {"HIGHS": {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}}


@dataclass(frozen=True, eq=False)
class Member:
    """
    A site or a home that may join a coalition.

    Parameters
    ----------
    load_mw : array_like, shape (n_steps,) or scalar
        Power that it uses. [MW]
    solar_mw : array_like, shape (n_steps,) or scalar
        Power that its panels could make; it may be spilled. [MW]
    battery : Battery, optional
        Its battery.
    soc_mwh : float, optional
        Energy stored at the start, and at least at the end; the least that may be stored when omitted. [MWh]
    """

    load_mw: ArrayLike
    solar_mw: ArrayLike = 0.0
    battery: Battery | None = None
    soc_mwh: float | None = None


@dataclass(frozen=True, eq=False)
class Tariff:
    """
    What a meter pays, and what it costs to share.

    Parameters
    ----------
    import_price : array_like, shape (n_steps,)
        Price of energy drawn from the grid. [$/MWh]
    export_price : array_like, shape (n_steps,) or scalar
        Price of energy delivered to it, never above `import_price`. [$/MWh]
    demand_charge : float
        Charge on the greatest power drawn in the whole plan, once: a month's charge for the plan of a day is the
        caller's to divide. [$/MW]
    loss_share : float
        Share of the energy that a member sends to others which does not arrive, in [0, 1). [-]
    network_fee : float
        Fee for energy that a member receives from others. [$/MWh]
    """

    import_price: ArrayLike
    export_price: ArrayLike = 0.0
    demand_charge: float = 0.0
    loss_share: float = 0.0
    network_fee: float = 0.0


Members = Mapping[str, Member] | Sequence[Member]


@dataclass(frozen=True)
class CoalitionPlan:
    """
    The cheapest plan of a coalition.

    Parameters
    ----------
    members : tuple of str
        Who is in it.
    cost : float
        Energy bought less energy sold, fees, wear and the demand charge. [$]
    schedule : DataFrame, one row for each interval
        `import_mw` and `export_mw` at the virtual meter, `spilled_mw` of solar power, `shared_mw` received by members
        from others; for each member with a battery ``<name>_battery_mw``, positive where it delivers, and
        ``<name>_soc_mwh`` at the end of the interval. [MW, MWh]
    solver : str
        Which of `gridlab.programme.SOLVERS` answered.
    """

    members: tuple[str, ...]
    cost: float
    schedule: pd.DataFrame
    solver: str


def coalition_values(members: Members, tariff: Tariff, *, step_hours: float = 1.0) -> Floats:
    """
    What each coalition of members saves behind one virtual meter, against each behind its own.

    The table is what `gridlab.games` reads: `shapley` and `nucleolus` divide what is saved. It is never negative, and
    joining two coalitions never loses, as they may go on as before.

    Parameters
    ----------
    members : mapping of str to Member, or sequence of Member
        The members, of which there are 2**n coalitions: 10 members take seconds. Alike members are for
        `values_by_count`.
    tariff : Tariff
        Prices of energy, of the peak and of sharing; the same for a member alone and for all of them.
    step_hours : float
        Length of an interval. [h]

    Returns
    -------
    ndarray, shape (2**n,)
        What each coalition saves, at the sum of ``2**i`` of its members `i` in their order. [$]

    Raises
    ------
    DataError
        If there are no members or more than 16, one of them is no `Member` or its name no text, a load, solar power or
        a price is not finite, has another length or is negative where it must not be, an export price is above the
        import price, or a charge, a fee or the loss is outside its range.
    PlanError
        If a battery cannot hold the energy that it starts with, or cannot end with as much.

    Examples
    --------
    One has sun to sell at 10 when the other buys at 50, and their peaks of 1 MW come at different times.

    >>> members = {"sunny": Member([0.0, 1.0], solar_mw=[1.0, 0.0]), "shop": Member([1.0, 0.0])}
    >>> coalition_values(members, Tariff([50.0, 50.0], 10.0)).tolist()
    [0.0, 0.0, 0.0, 40.0]
    >>> coalition_values(members, Tariff([50.0, 50.0], 10.0, loss_share=0.1, network_fee=5.0)).tolist()
    [0.0, 0.0, 0.0, 30.5]
    """
    return CoalitionPlanner(members, tariff, step_hours=step_hours).values()


def values_by_count(members: Members, counts: Sequence[int], tariff: Tariff, *, step_hours: float = 1.0) -> Floats:
    """
    What coalitions save that have so many of each type of alike members, exact whatever their number.

    Alike members may do alike, so that `k` of them are one of `k` times the size. `gridlab.games.shapley_by_type`
    divides what is saved.

    Parameters
    ----------
    members : mapping of str to Member, or sequence of Member
        One member of each type.
    counts : sequence of int
        How many there are of each.
    tariff, step_hours
        As for `coalition_values`.

    Returns
    -------
    ndarray, shape (counts[0] + 1, ...)
        What a coalition saves by the number of its members of each type. [$]

    Raises
    ------
    DataError
        As `coalition_values`, or if `counts` are not a whole number for each type.
    PlanError
        As `coalition_values`, or if alike batteries would charge one another to burn energy, at export prices below
        zero or to ramp, which is for `coalition_values`.

    Examples
    --------
    >>> types = {"sunny": Member(0.0, solar_mw=[2.0]), "home": Member([1.0])}
    >>> values_by_count(types, (1, 3), Tariff([50.0], 10.0)).tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 40.0, 80.0, 80.0]]
    """
    of_each = list(counts) if np.iterable(counts) else []
    if len(of_each) != len(_named(members)) or any(not isinstance(k, int | np.integer) or k < 0 for k in of_each):
        raise DataError(f"counts must be a whole number of at least 0 for each of {len(members)} types, got {counts}")
    return CoalitionPlanner(members, tariff, step_hours=step_hours).saved(tuple(int(count) for count in of_each))


class CoalitionPlanner:
    """
    The programme of all coalitions of some members; `coalition_values` says what it solves.

    Parameters
    ----------
    members, tariff, step_hours
        As for `coalition_values`.

    Examples
    --------
    >>> battery = Battery(1.0, 1.0, 1.0, 1.0)
    >>> members = {"store": Member([0.0, 0.0], battery=battery), "shop": Member([0.0, 1.0])}
    >>> planner = CoalitionPlanner(members, Tariff([20.0, 60.0], [0.0, 30.0]))
    >>> planner.table()
        coalition  size  cost  value
    0       store     1 -10.0    0.0
    1        shop     1  60.0    0.0
    2  store+shop     2  20.0   30.0
    >>> planner.plan([0, 1]).schedule[["import_mw", "shared_mw"]].to_numpy().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, members: Members, tariff: Tariff, *, step_hours: float = 1.0) -> None:
        if not 0 < number(step_hours, "step_hours") < np.inf:
            raise DataError(f"step_hours must be above 0 and finite, got {step_hours}")
        named = _named(members)
        self.names, self.step_hours = tuple(named), step_hours
        self.tariff = _checked_tariff(tariff)
        n_steps = len(self.tariff.import_price)
        powers = [_power(name, member, n_steps, step_hours) for name, member in named.items()]
        self._unit = max(one.greatest for one in powers) or 1.0
        self._members = [one.over(self._unit) for one in powers]
        self._sessions: dict[bool, Session] = {}
        self._known: dict[tuple[int, ...], float] = {(0,) * len(self._members): 0.0}

    def values(self) -> Floats:
        """What each coalition saves, shape (2**n,). [$]"""
        return self.saved((1,) * len(self.names)).ravel(order="F")

    def value(self, coalition: Iterable[int | str]) -> float:
        """What one coalition saves, for a game too large for a table: `shapley_sampled` takes it as it is. [$]"""
        counts = self._counts(coalition)
        return float(self._gain(counts, self.cost(coalition)))

    def cost(self, coalition: Iterable[int | str]) -> float:
        """What one coalition pays; its members by number or by name. [$]"""
        return self._cost(self._counts(coalition))

    def plan(self, coalition: Iterable[int | str]) -> CoalitionPlan:
        """The cheapest plan of one coalition, in which no battery charges and discharges at once."""
        counts = self._counts(coalition)
        answer = self._solve(counts, anywhere=True)
        names = tuple(name for name, count in zip(self.names, counts, strict=True) if count)
        return CoalitionPlan(names, -self._unit * answer.objective, self._schedule(counts, answer), answer.solver)

    def table(self) -> pd.DataFrame:
        """All coalitions in the order of their places: names, size, cost [$] and what is saved [$]."""
        n = len(self.names)
        costs = self.costs((1,) * n)
        cost, value = costs.ravel(order="F"), self._gains(costs).ravel(order="F")
        masks = range(1, 2**n)
        joined = ["+".join(name for at, name in enumerate(self.names) if mask >> at & 1) for mask in masks]
        sizes = [mask.bit_count() for mask in masks]
        return pd.DataFrame({"coalition": joined, "size": sizes, "cost": cost[1:], "value": value[1:]})

    def costs(self, counts: tuple[int, ...]) -> Floats:
        """What coalitions pay by the number of their members of each type, shape (counts[0] + 1, ...). [$]"""
        n_coalitions = prod(count + 1 for count in counts)
        if n_coalitions > MOST_COALITIONS:
            raise DataError(
                f"there are {n_coalitions} coalitions, above {MOST_COALITIONS}: count alike members with "
                "values_by_count, or give CoalitionPlanner.value to shapley_sampled"
            )
        cost = np.zeros(tuple(count + 1 for count in counts))
        for at in _neighbours(cost.shape):
            cost[at] = self._cost(at)
        return cost

    def saved(self, counts: tuple[int, ...]) -> Floats:
        """What coalitions save by the number of their members of each type, shape (counts[0] + 1, ...). [$]"""
        return self._gains(self.costs(counts))

    def _gains(self, cost: Floats) -> Floats:
        return np.array([self._gain(at, float(cost[at])) for at in np.ndindex(cost.shape)]).reshape(cost.shape)

    def _gain(self, counts: tuple[int, ...], cost: float) -> float:
        """What a coalition saves; what is rounding is nothing."""
        apart = sum(count * self._cost_alone(at) for at, count in enumerate(counts) if count)
        passed = sum(count * self._money(one) for one, count in zip(self._members, counts, strict=True))
        gain = float(apart - cost)
        return gain if sum(counts) > 1 and abs(gain) > _ROUNDING * passed else 0.0

    def _cost_alone(self, at: int) -> float:
        return self._cost(tuple(int(other == at) for other in range(len(self.names))))

    def _money(self, one: "_Power") -> float:
        """The money that passes through a member's meter. [$]"""
        dearest = np.maximum(np.abs(self.tariff.import_price), np.abs(self.tariff.export_price))
        peak = self.tariff.demand_charge * one.load.max() / self.step_hours
        return self._unit * float(dearest @ (one.load + one.solar) + peak + dearest.max() * one.greatest)

    def _counts(self, coalition: Iterable[int | str]) -> tuple[int, ...]:
        if isinstance(coalition, str) or not np.iterable(coalition):
            raise DataError(f"a coalition must be an iterable of members, such as [0, 2], got {coalition!r}")
        players = [self.names.index(one) if one in self.names else one for one in coalition]
        bad = [player for player in players if player not in range(len(self.names))]
        if bad or len(set(players)) < len(players):
            raise DataError(
                f"a coalition must have members 0 to {len(self.names) - 1}, or their names, each once, got {players}"
            )
        return tuple(int(at in players) for at in range(len(self.names)))

    def _cost(self, counts: tuple[int, ...]) -> float:
        if counts not in self._known:
            self._known[counts] = -self._unit * self._solve(counts, anywhere=False).objective
        return self._known[counts]

    def _solve(self, counts: tuple[int, ...], *, anywhere: bool) -> Answer:
        """
        The optimum that burns nothing, in units of the greatest member.

        Where energy that is left can be sold for nothing or more, burning it gains nothing, unless a battery has to
        ramp, and only a plan that is looked at asks for one without.
        """
        matters = (self.tariff.export_price < 0) | anywhere | any(one.ramps for one in self._members)
        held: dict[str, Flags] = {}
        while True:
            data = self._data(counts)
            data |= {name: np.where(flags, 0.0, data[name]) for name, flags in held.items()}
            answer = self._session(burns=bool(held)).solve(data)
            burnt = {name: flags & matters for name, flags in self._burnt(answer).items()}
            if not any((flags & ~held.get(name, False)).any() for name, flags in burnt.items()):
                return answer
            if any(flags.any() and counts[int(name.split()[0])] > 1 for name, flags in burnt.items()):
                raise PlanError(
                    "alike batteries would charge one another to burn energy, at export prices below zero or to ramp, "
                    "which one of their joint size cannot: use coalition_values"
                )
            cheap = self.tariff.import_price <= 0
            held = {name: held.get(name, False) | runs_that_hold(flags, cheap) for name, flags in burnt.items()}

    def _burnt(self, answer: Answer) -> dict[str, Flags]:
        """Where energy goes in and out at once, by the parameter that keeps it from that."""
        found = {}
        for prefix, one in zip(self._prefixes, self._members, strict=True):
            if (battery := one.battery) is not None:
                both = np.minimum(answer.values[f"{prefix}charge"], answer.values[f"{prefix}discharge"])
                lost = both * (1 / battery.eta_discharge - battery.eta_charge)
                found[f"{prefix}two_way"] = np.asarray(lost > _BURNT)
            if self._shares_at_a_cost:
                both = np.minimum(answer.values[f"{prefix}lacking"], answer.values[f"{prefix}over"])
                found[f"{prefix}both_sides"] = np.asarray(both * self.tariff.loss_share > _BURNT)
        return found

    @property
    def _prefixes(self) -> list[str]:
        return [f"{at} " for at in range(len(self.names))]

    @property
    def _shares_at_a_cost(self) -> bool:
        return self.tariff.loss_share > 0 or self.tariff.network_fee > 0

    def _data(self, counts: tuple[int, ...]) -> dict[str, Any]:
        """The parameters of a coalition."""
        tariff = self.tariff
        out = [count * (one.solar - one.load) for count, one in zip(counts, self._members, strict=True)]
        spillable = [count * one.solar for count, one in zip(counts, self._members, strict=True)]
        data: dict[str, Any] = {
            "import_price": tariff.import_price,
            "export_price": tariff.export_price,
            "out": sum(out),
            "spillable": sum(spillable),
        }
        for prefix, one, count, net, sun in zip(self._prefixes, self._members, counts, out, spillable, strict=True):
            data |= {prefix + name: count * value for name, value in one.stored.items()}
            most = count * one.greatest
            data |= {f"{prefix}piece_value": 0.0, f"{prefix}out": net, f"{prefix}spillable": sun}
            data |= {f"{prefix}over_most": most, f"{prefix}both_sides": np.full(len(net), most)}
        return data

    def _session(self, *, burns: bool) -> Session:
        if burns not in self._sessions:
            tariff, members = self.tariff, self._members
            form = Form(
                tuple(one.battery for one in members),
                tuple(one.greatest for one in members) if burns and self._shares_at_a_cost else (),
                any(one.solar.any() for one in members),
                Shape((), len(tariff.import_price), self.step_hours, burns=burns),
                tariff.demand_charge,
                tariff.loss_share,
                tariff.network_fee,
            )
            self._sessions[burns] = Session(coalition_programme(form), solvers=_SOLVERS, tolerance=_PRECISION)
        return self._sessions[burns]

    def _schedule(self, counts: tuple[int, ...], answer: Answer) -> pd.DataFrame:
        """A coalition's plan in MW and MWh."""
        per_mw, net = self._unit / self.step_hours, {}
        columns: dict[str, Floats] = {}
        for at, (prefix, one) in enumerate(zip(self._prefixes, self._members, strict=True)):
            power = np.zeros(len(one.load))
            if one.battery is not None and counts[at]:
                power = per_mw * (answer.values[f"{prefix}discharge"] - answer.values[f"{prefix}charge"])
                columns[f"{self.names[at]}_battery_mw"] = power
                soc = self._unit * (answer.values[f"{prefix}stored"] + one.battery.soc_low_mwh)
                columns[f"{self.names[at]}_soc_mwh"] = soc
            net[at] = power + counts[at] * per_mw * (one.solar - one.load)
        lacking = sum((np.maximum(-power, 0.0) for power in net.values()), np.zeros(len(self._members[0].load)))
        bought, sold = (per_mw * (answer.values[name] - self._passed_on(answer)) for name in ("imported", "exported"))
        spilled = per_mw * sum(value for name, value in answer.values.items() if name.endswith("spilled"))
        shared = per_mw * answer.values["received"] if self._shares_at_a_cost else np.maximum(lacking - bought, 0.0)
        own = {"import_mw": bought, "export_mw": sold, "spilled_mw": spilled + 0 * bought, "shared_mw": shared}
        return pd.DataFrame(own | columns) + 0.0

    def _passed_on(self, answer: Answer) -> Floats:
        """What is bought and sold at once, where that costs nothing."""
        if not self._shares_at_a_cost:
            return np.minimum(answer.values["imported"], answer.values["exported"])
        sides = ((answer.values[f"{prefix}lacking"], answer.values[f"{prefix}over"]) for prefix in self._prefixes)
        return np.asarray(sum(np.minimum(lacking, over) for lacking, over in sides))


class _Power(NamedTuple):
    """A member's energies an interval [MWh], the parameters of its battery, and the most that it can move."""

    load: Floats
    solar: Floats
    battery: Battery | None
    stored: dict[str, Any]
    greatest: float
    ramps: bool

    def over(self, unit: float) -> "_Power":
        """The same with another unit of energy and power."""
        stored = {name: value / unit for name, value in self.stored.items()}
        battery = self.battery
        if battery is not None:
            ramp = battery.ramp_mw_per_hour / unit
            sizes = {"power_mw": battery.power_mw / unit, "energy_mwh": battery.energy_mwh / unit}
            battery = replace(battery, **sizes, ramp_mw_per_hour=ramp)
        return _Power(self.load / unit, self.solar / unit, battery, stored, self.greatest / unit, self.ramps)


def _neighbours(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All places of a table, each but the first beside the one before."""
    if not shape:
        yield ()
        return
    for turn, rest in enumerate(_neighbours(shape[1:])):
        first = range(shape[0]) if turn % 2 == 0 else range(shape[0] - 1, -1, -1)
        yield from ((at, *rest) for at in first)


class _Prices(NamedTuple):
    """A tariff as arrays."""

    import_price: Floats
    export_price: Floats
    demand_charge: float
    loss_share: float
    network_fee: float


def _named(members: Any) -> dict[str, Member]:
    """The members by name; those of a sequence are named by their numbers."""
    if isinstance(members, str | Member) or not np.iterable(members):
        raise DataError(f"members must be a mapping from names to Member or a sequence of them, got {members!r}")
    named = dict(members) if isinstance(members, Mapping) else {str(at): one for at, one in enumerate(members)}
    if not named:
        raise DataError("there are no members: give at least one")
    for name, member in named.items():
        if not isinstance(name, str):
            raise DataError(f"member names must be text, got {name!r}: numbers are those of their places")
        if not isinstance(member, Member):
            raise DataError(f"member {name} must be a Member, got {member!r}")
    return named


def _checked_tariff(tariff: Tariff) -> _Prices:
    if not isinstance(tariff, Tariff):
        raise DataError(f"tariff must be a Tariff, got {tariff!r}")
    bought = numbers(tariff.import_price, "import_price")
    if bought.ndim != 1 or not len(bought):
        raise DataError(f"import_price must be a vector with an entry for each interval, got shape {bought.shape}")
    sold = _series("export_price", tariff.export_price, len(bought), "$/MWh")
    bought = _series("import_price", bought, len(bought), "$/MWh")
    if (sold > bought).any():
        at = int(np.argmax(sold > bought))
        raise DataError(
            f"export_price must be at most import_price, got {sold[at]:g} above {bought[at]:g} $/MWh in interval {at}: "
            "a meter would buy what it sells"
        )
    for name in ("demand_charge", "network_fee"):
        if not 0 <= number(getattr(tariff, name), name) < np.inf:
            raise DataError(f"{name} must be at least 0 and finite, got {getattr(tariff, name)}")
    if not 0 <= number(tariff.loss_share, "loss_share") < 1:
        raise DataError(f"loss_share must be in [0, 1), got {tariff.loss_share}")
    return _Prices(bought, sold, float(tariff.demand_charge), float(tariff.loss_share), float(tariff.network_fee))


def _power(name: str, member: Member, n_steps: int, hours: float) -> _Power:
    """A member as energies and its battery's parameters."""
    load, solar = (
        hours * _series(f"{what} of {name}", getattr(member, what), n_steps, "MW") for what in ("load_mw", "solar_mw")
    )
    for what, energy in (("load_mw", load), ("solar_mw", solar)):
        if (energy < 0).any():
            at = int(np.argmax(energy < 0))
            raise DataError(f"{what} of {name} must be at least 0 MW, got {energy[at] / hours:g} in interval {at}")
    stored: dict[str, Any] = {}
    greatest, ramps = float(np.maximum(load, solar).max()), False
    if (battery := member.battery) is not None:
        if not isinstance(battery, Battery):
            raise DataError(f"the battery of {name} must be a Battery, got {battery!r}")
        soc = battery.soc_low_mwh if member.soc_mwh is None else number(member.soc_mwh, f"soc_mwh of {name}")
        site = Site(import_limit_mw=battery.power_mw, battery=battery)
        state = State(site, soc_mwh=soc, end_low_mwh=soc, end_high_mwh=battery.soc_high_mwh)
        try:
            stored = dict(battery_data(site, battery, state, np.full(n_steps, True), hours))
        except PlanError as error:
            raise PlanError(f"the battery of {name}: {error}") from error
        stored["piece_most"] = battery.soc_high_mwh - battery.soc_low_mwh
        greatest += hours * battery.power_mw
        ramps = battery.ramp_mw_per_hour * hours < 2 * battery.power_mw
    return _Power(load, solar, battery, stored, greatest, ramps)


def _series(name: str, value: ArrayLike, n_steps: int, unit: str) -> Floats:
    """Numbers for each interval."""
    series = numbers(value, name)
    if series.shape not in ((), (n_steps,)):
        raise DataError(f"{name} must be a number or {n_steps} of them, as import_price has, got shape {series.shape}")
    series = np.broadcast_to(series, n_steps)
    if not np.isfinite(series).all():
        at = int(np.argmin(np.isfinite(series)))
        raise DataError(f"{name} must be finite, got {series[at]} {unit} in interval {at}")
    return series
