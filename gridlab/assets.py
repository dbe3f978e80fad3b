"""What a site owns: frozen records, units in the names, refused on entry when a value cannot be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Battery:
    """
    A battery behind one grid meter.

    Efficiencies are split: a MWh drawn from the grid stores `eta_charge` MWh, and a stored MWh delivers `eta_discharge`
    MWh, so that the round trip is their product. Power and cost are measured at the grid.

    Parameters
    ----------
    power_mw : float
        Greatest charging and discharging power, at the grid. [MW]
    energy_mwh : float
        Energy stored when full. [MWh]
    eta_charge, eta_discharge : float
        Charging and discharging efficiency, in (0, 1]. [-]
    soc_min, soc_max : float
        Limits of the state of charge as shares of `energy_mwh`, ``0 <= soc_min < soc_max <= 1``. [-]
    degradation_cost : float
        Cost of wear for each MWh delivered to the grid. [$/MWh]
    self_discharge_per_hour : float
        Share of the energy stored above `soc_min` that leaks away in an hour, in [0, 1). [1/h]
    ramp_mw_per_hour : float
        Greatest change of the power in an hour; infinite where it does not bind. [MW/h]

    Raises
    ------
    DataError
        If a value lies outside its range; the message has the name, the value and the range.

    Examples
    --------
    >>> battery = Battery(power_mw=1.0, energy_mwh=2.0, eta_charge=0.9, eta_discharge=0.95, soc_min=0.1)
    >>> battery.soc_low_mwh, battery.soc_high_mwh, round(battery.eta_round_trip, 3)
    (0.2, 2.0, 0.855)
    """

    power_mw: float
    energy_mwh: float
    eta_charge: float = 0.92
    eta_discharge: float = 0.92
    soc_min: float = 0.0
    soc_max: float = 1.0
    degradation_cost: float = 0.0
    self_discharge_per_hour: float = 0.0
    ramp_mw_per_hour: float = math.inf

    def __post_init__(self) -> None:
        _require("power_mw", self.power_mw, 0 < self.power_mw < math.inf, "above 0 MW")
        _require("energy_mwh", self.energy_mwh, 0 < self.energy_mwh < math.inf, "above 0 MWh")
        _require("eta_charge", self.eta_charge, 0 < self.eta_charge <= 1, "in (0, 1]")
        _require("eta_discharge", self.eta_discharge, 0 < self.eta_discharge <= 1, "in (0, 1]")
        _require("soc_min", self.soc_min, 0 <= self.soc_min < self.soc_max, f"in [0, soc_max = {self.soc_max})")
        _require("soc_max", self.soc_max, self.soc_min < self.soc_max <= 1, f"in (soc_min = {self.soc_min}, 1]")
        _require("degradation_cost", self.degradation_cost, 0 <= self.degradation_cost < math.inf, "at least 0 $/MWh")
        leak = self.self_discharge_per_hour
        _require("self_discharge_per_hour", leak, 0 <= leak < 1, "in [0, 1)")
        _require("ramp_mw_per_hour", self.ramp_mw_per_hour, self.ramp_mw_per_hour > 0, "above 0 MW/h")

    def kept(self, step_hours: float) -> float:
        """Share of the energy above `soc_min` that is still there after an interval. [-]"""
        return 1 - self.self_discharge_per_hour * step_hours

    @property
    def eta_round_trip(self) -> float:
        """Share of the energy drawn that comes back. [-]"""
        return self.eta_charge * self.eta_discharge

    @property
    def soc_low_mwh(self) -> float:
        """Least energy that may be stored. [MWh]"""
        return self.soc_min * self.energy_mwh

    @property
    def soc_high_mwh(self) -> float:
        """Greatest energy that may be stored. [MWh]"""
        return self.soc_max * self.energy_mwh


@dataclass(frozen=True)
class Machine:
    """
    Alike machines that turn power into something that is sold: miners, inference servers, a training cluster.

    Parameters
    ----------
    name : str
        Names the machines in a schedule, as ``<name>_mw``.
    power_mw : float
        Power of one machine. [MW]
    count : int
        How many there are.
    output : float
        What one machine makes while it runs, in the units that `product` pays for.
    product : str
        Column of the prices that pays for the output, such as `hash_price` or `token_price`. [$/unit/interval]
    integer : bool
        Whether each machine is on or off; otherwise any share of them may run.
    min_run_hours : float
        Least time that a machine runs once started. [h]
    start_cost, stop_cost : float
        Cost of starting one machine, and of stopping one: a job that is paused pays for its checkpoint. [$]
    ramp_mw_per_hour : float
        Greatest change of their power in an hour. [MW/h]
    service_level : float
        Least share of the demand that is served over each day, in [0, 1]. The demand is the column ``<name>_demand``
        of the forecast, in machines, or all of them where there is no such column; of whole machines one more may run
        for what is left of it. [-]

    Raises
    ------
    DataError
        If a value lies outside its range; the message has the name, the value and the range.

    Examples
    --------
    >>> Machine("hydro", power_mw=0.005, count=200, output=10_000).greatest_mw
    1.0
    >>> Machine("training", power_mw=0.5, count=4, output=1, product="token_price", service_level=1.2)
    Traceback (most recent call last):
    gridlab.errors.DataError: service_level of training must be in [0, 1], got 1.2
    """

    name: str
    power_mw: float
    count: int
    output: float
    product: str = "hash_price"
    integer: bool = False
    min_run_hours: float = 0.0
    start_cost: float = 0.0
    stop_cost: float = 0.0
    ramp_mw_per_hour: float = math.inf
    service_level: float = 0.0

    def __post_init__(self) -> None:
        _require_word("name of a machine", self.name, _TAKEN)
        _require_word(f"product of {self.name}", self.product, _ACCOUNTS)
        of = f" of {self.name}"
        _require("power_mw" + of, self.power_mw, 0 < self.power_mw < math.inf, "above 0 MW")
        _require("count" + of, self.count, self.count >= 1 and self.count == int(self.count), "a whole number above 0")
        _require("output" + of, self.output, 0 <= self.output < math.inf, "at least 0 and finite")
        _require("min_run_hours" + of, self.min_run_hours, 0 <= self.min_run_hours < math.inf, "at least 0 h")
        _require("start_cost" + of, self.start_cost, 0 <= self.start_cost < math.inf, "at least 0 $")
        _require("stop_cost" + of, self.stop_cost, 0 <= self.stop_cost < math.inf, "at least 0 $")
        _require("ramp_mw_per_hour" + of, self.ramp_mw_per_hour, self.ramp_mw_per_hour > 0, "above 0 MW/h")
        _require("service_level" + of, self.service_level, 0 <= self.service_level <= 1, "in [0, 1]")

    @property
    def greatest_mw(self) -> float:
        """Power of all of them. [MW]"""
        return self.power_mw * self.count

    def run_steps(self, step_hours: float) -> int:
        """Intervals that a machine runs at least once started."""
        return max(1, math.ceil(self.min_run_hours / step_hours - 1e-9))


@dataclass(frozen=True)
class Cooling:
    r"""
    A chiller that keeps a room of machines between two temperatures.

    Its coefficient of performance is a share of Carnot's between the evaporator and the outside air, and its power
    follows a quadratic in the part-load ratio, which is convex:

    .. math::
        P = \frac{Q_\text{max}}{\text{COP}(T)} \left(a + b \frac{Q}{Q_\text{max}} + c \frac{Q^2}{Q_\text{max}^2}\right).

    Without `room_mwh_per_c` the heat is removed as it is produced. With it the room stores heat, and over an interval
    of constant heat :math:`Q_+` in and :math:`Q` out

    .. math::
        \theta_t = \kappa \theta_{t-1} + (1 - \kappa) \left(T_t + \frac{Q_+ - Q}{w}\right), \qquad
        \kappa = e^{-w h / C},

    where :math:`C` is `room_mwh_per_c`, :math:`w` is `wall_mw_per_c` and :math:`h` the length of the interval; without
    a wall this is :math:`\theta_{t-1} + h (Q_+ - Q) / C`. The room's temperature is nowhere in the interval outside
    those at its ends.

    Parameters
    ----------
    capacity_mw : float
        Greatest heat removed. [MW]
    carnot_share : float
        Share of Carnot's coefficient of performance, in (0, 1]. [-]
    evaporator_c : float
        Temperature of the evaporator. [degC]
    approach_c : float
        How much warmer the condenser is than the outside air. [K]
    cop_max : float
        Greatest coefficient of performance, which bounds Carnot's on cold days. [-]
    part_load : tuple of float
        :math:`a`, :math:`b` and :math:`c`, none negative. [-]
    room_low_c, room_high_c : float
        Limits of the room's temperature. [degC]
    room_mwh_per_c : float
        Heat that warms the room by one degree. [MWh/K]
    wall_mw_per_c : float
        Heat that enters for each degree that it is warmer outside; needs `room_mwh_per_c`. [MW/K]

    Raises
    ------
    DataError
        If a value lies outside its range; the message has the name, the value and the range.

    References
    ----------
    .. [1] EnergyPlus Engineering Reference, "Electric chiller model based on condenser entering temperature"; the
       coefficients are those of its example chiller.

    Examples
    --------
    >>> cooling = Cooling(capacity_mw=2.0)
    >>> round(cooling.cop(35.0), 2), round(cooling.power_mw(1.0, 35.0), 3)
    (4.13, 0.216)
    """

    capacity_mw: float
    carnot_share: float = 0.5
    evaporator_c: float = 10.0
    approach_c: float = 9.3
    cop_max: float = 12.0
    part_load: tuple[float, float, float] = (0.03303, 0.6852, 0.2818)
    room_low_c: float = 18.0
    room_high_c: float = 27.0
    room_mwh_per_c: float = 0.0
    wall_mw_per_c: float = 0.0

    def __post_init__(self) -> None:
        _require("capacity_mw of the cooling", self.capacity_mw, 0 < self.capacity_mw < math.inf, "above 0 MW")
        _require("carnot_share", self.carnot_share, 0 < self.carnot_share <= 1, "in (0, 1]")
        _require("evaporator_c", self.evaporator_c, -60 < self.evaporator_c < 100, "in (-60, 100) degC")
        _require("approach_c", self.approach_c, 0 <= self.approach_c < 100, "in [0, 100) K")
        _require("cop_max", self.cop_max, 0 < self.cop_max < math.inf, "above 0")
        _require(
            "room_low_c", self.room_low_c, self.room_low_c < self.room_high_c, f"below room_high_c = {self.room_high_c}"
        )
        _require("room_mwh_per_c", self.room_mwh_per_c, 0 <= self.room_mwh_per_c < math.inf, "at least 0 MWh/K")
        _require("wall_mw_per_c", self.wall_mw_per_c, 0 <= self.wall_mw_per_c < math.inf, "at least 0 MW/K")
        if len(self.part_load) != 3 or not all(0 <= share < math.inf for share in self.part_load):
            raise DataError(f"part_load must be three numbers, none negative, got {self.part_load}")
        if self.wall_mw_per_c > 0 and self.room_mwh_per_c == 0:
            raise DataError(
                f"wall_mw_per_c = {self.wall_mw_per_c} needs a room that warms: give room_mwh_per_c above 0"
            )

    def cop(self, outside_c: float) -> float:
        """Heat removed for each unit of power at full load. [-]"""
        evaporator, condenser = self.evaporator_c + 273.15, outside_c + self.approach_c + 273.15
        carnot = evaporator / (condenser - evaporator) if condenser > evaporator else math.inf
        return min(self.carnot_share * carnot, self.cop_max)

    def power_mw(self, heat_mw: float, outside_c: float) -> float:
        """Power that removes `heat_mw`. [MW]"""
        ratio, (a, b, c) = heat_mw / self.capacity_mw, self.part_load
        return self.capacity_mw / self.cop(outside_c) * (a + b * ratio + c * ratio**2)

    def heat_mw(self, power_mw: float, outside_c: float) -> float:
        """
        Heat that `power_mw` removes, none where it only idles, the capacity at most. [MW]

        Examples
        --------
        >>> cooling = Cooling(capacity_mw=2.0)
        >>> round(cooling.heat_mw(cooling.power_mw(1.0, 35.0), 35.0), 9), cooling.heat_mw(9.9, 35.0)
        (1.0, 2.0)
        """
        a, b, c = self.part_load
        above = power_mw * self.cop(outside_c) / self.capacity_mw - a
        root = math.sqrt(b * b + 4 * c * max(above, 0.0)) + b
        ratio = 0.0 if above <= 0 else 2 * above / root if root > 0 else 1.0
        return self.capacity_mw * min(ratio, 1.0)

    def room_kept(self, step_hours: float) -> float:
        """Share of the difference to the outside that the room keeps over an interval. [-]"""
        return math.exp(-self.wall_mw_per_c * step_hours / self.room_mwh_per_c)

    def room_c_per_mwh(self, step_hours: float) -> float:
        """How much each MWh of heat that enters over an interval has warmed the room at its end. [K/MWh]"""
        decay = self.wall_mw_per_c * step_hours / self.room_mwh_per_c
        return (-math.expm1(-decay) / decay if decay > 0 else 1.0) / self.room_mwh_per_c

    def room_after(self, room_c: float, heat_mwh: float, outside_c: float, step_hours: float) -> float:
        """
        Temperature of the room after an interval in which `heat_mwh` more is produced than removed. [degC]

        Examples
        --------
        >>> Cooling(capacity_mw=2.0, room_mwh_per_c=0.1).room_after(20.0, heat_mwh=0.2, outside_c=30.0, step_hours=1.0)
        22.0
        """
        kept = self.room_kept(step_hours)
        return kept * room_c + (1 - kept) * outside_c + self.room_c_per_mwh(step_hours) * heat_mwh


@dataclass(frozen=True)
class Regulation:
    """
    An award of frequency response that the battery must be able to deliver, up and down, in every interval.

    Parameters
    ----------
    award_mw : float
        Power promised each way, at the grid. [MW]
    reserve_hours : float
        How long the battery could deliver all of it. [h]
    price : float
        Payment for the promise. [$/MW/h]

    Examples
    --------
    >>> Regulation(award_mw=0.5, reserve_hours=0.25, price=8.0)
    Regulation(award_mw=0.5, reserve_hours=0.25, price=8.0)
    """

    award_mw: float
    reserve_hours: float = 0.25
    price: float = 0.0

    def __post_init__(self) -> None:
        _require("award_mw", self.award_mw, 0 <= self.award_mw < math.inf, "at least 0 MW")
        _require("reserve_hours", self.reserve_hours, 0 <= self.reserve_hours < math.inf, "at least 0 h")
        _require("price of the regulation", self.price, 0 <= self.price < math.inf, "at least 0 $/MW/h")

    def reserve_mwh(self, battery: Battery) -> tuple[float, float]:
        """Energy kept above the least and room kept below the greatest state of charge. [MWh]"""
        energy = self.award_mw * self.reserve_hours
        return energy / battery.eta_discharge, energy * battery.eta_charge


@dataclass(frozen=True)
class Site:
    """
    What stands behind one grid connection.

    Parameters
    ----------
    import_limit_mw, export_limit_mw : float
        Greatest power drawn from the grid and delivered to it. [MW]
    battery : Battery, optional
        The battery.
    machines : tuple of Machine
        The machines, by type.
    cooling : Cooling, optional
        The chiller that removes the machines' heat, which is all of their power.
    demand_charge : float
        Charge on the greatest power drawn in a calendar month. [$/MW]
    regulation : Regulation, optional
        Frequency response that the battery has been awarded.

    Raises
    ------
    DataError
        If a value lies outside its range, two machines share a name, or an award has no battery or meter that could
        keep it.

    Examples
    --------
    >>> miners = Machine("miners", power_mw=0.0035, count=200, output=1000)
    >>> Site(import_limit_mw=1.0, machines=(miners,)).names
    ('miners',)
    >>> Site(1.0, machines=(miners, miners))
    Traceback (most recent call last):
    gridlab.errors.DataError: machines share a name, got miners, miners: give each type its own
    """

    import_limit_mw: float
    export_limit_mw: float = 0.0
    battery: Battery | None = None
    machines: tuple[Machine, ...] = ()
    cooling: Cooling | None = None
    demand_charge: float = 0.0
    regulation: Regulation | None = None

    def __post_init__(self) -> None:
        _require("import_limit_mw", self.import_limit_mw, 0 <= self.import_limit_mw < math.inf, "at least 0 MW")
        _require("export_limit_mw", self.export_limit_mw, 0 <= self.export_limit_mw < math.inf, "at least 0 MW")
        _require("demand_charge", self.demand_charge, 0 <= self.demand_charge < math.inf, "at least 0 $/MW")
        if len(set(self.names)) < len(self.names):
            raise DataError(f"machines share a name, got {', '.join(self.names)}: give each type its own")
        if self.regulation is not None and (self.battery is None or self.battery.power_mw < self.regulation.award_mw):
            power = 0.0 if self.battery is None else self.battery.power_mw
            raise DataError(
                f"award_mw = {self.regulation.award_mw} is above the battery's {power} MW: award no more than it has"
            )
        if self.regulation is not None and self.battery is not None:
            self._require_headroom(self.regulation, self.battery)

    def _require_headroom(self, regulation: Regulation, battery: Battery) -> None:
        meter = (self.import_limit_mw + self.export_limit_mw) / 2
        if regulation.award_mw > meter:
            raise DataError(
                f"award_mw = {regulation.award_mw} is above {meter} MW, half of what the meter may swing between its "
                "limits: award less or raise a limit"
            )
        low, high = regulation.reserve_mwh(battery)
        usable = battery.soc_high_mwh - battery.soc_low_mwh
        if low + high > usable:
            raise DataError(
                f"reserve_hours = {regulation.reserve_hours} takes {low:g} MWh below and {high:g} MWh "
                f"above the state of charge and the battery has {usable:g}: award less or for a shorter time"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the machines, in order."""
        return tuple(machine.name for machine in self.machines)

    @property
    def products(self) -> tuple[str, ...]:
        """The columns of prices that pay for what the machines make, each once."""
        return tuple(dict.fromkeys(machine.product for machine in self.machines))


@dataclass(frozen=True)
class SiteState:
    """
    What a site's next plan must know of the intervals before it.

    Parameters
    ----------
    peak_mw : float
        Greatest power drawn so far in the calendar month of the plan's first interval. [MW]
    room_c : float, optional
        Temperature of the room; the middle of its limits when omitted. [degC]
    running : mapping of str to float
        Machines of each type that ran in the interval before; none where a name is missing.
    started : mapping of str to ndarray
        Machines of each type started in each of the intervals before, the latest last; for the least run.
    served, demanded : mapping of str to float
        Machine-hours served and demanded so far in the market day of the plan's first interval. [h]
    """

    peak_mw: float = 0.0
    room_c: float | None = None
    running: Mapping[str, float] = field(default_factory=dict)
    started: Mapping[str, Floats] = field(default_factory=dict)
    served: Mapping[str, float] = field(default_factory=dict)
    demanded: Mapping[str, float] = field(default_factory=dict)


_IN_TABLES = ("battery", "cooling", "grid", "loss", "price", "room", "site", "soc")
_IN_PROGRAMMES = ("budget", "capacity", "charge", "charging", "days", "discharge", "discharging", "empty", "full")
_TAKEN = (*_IN_TABLES, *_IN_PROGRAMMES, "import", "left", "peak", "stored")
_ACCOUNTS = ("demand", "market", "mean", "price", "regulation", "site", "starts", "wear")  # taken in entries


def _require_word(name: str, word: str, taken: tuple[str, ...]) -> None:
    if not word.isidentifier() or word in taken:
        raise DataError(f"{name} must be a word other than {', '.join(taken)}, got {word!r}")


def _require(name: str, value: float, holds: bool, rule: str) -> None:
    if not holds:
        raise DataError(f"{name} must be {rule}, got {value}")
