"""What a site owns: frozen records, units in the names, refused on entry when a value cannot be."""

from dataclasses import dataclass

from gridlab.errors import DataError


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

    def __post_init__(self) -> None:
        _require("power_mw", self.power_mw, 0 < self.power_mw < float("inf"), "above 0 MW")
        _require("energy_mwh", self.energy_mwh, 0 < self.energy_mwh < float("inf"), "above 0 MWh")
        _require("eta_charge", self.eta_charge, 0 < self.eta_charge <= 1, "in (0, 1]")
        _require("eta_discharge", self.eta_discharge, 0 < self.eta_discharge <= 1, "in (0, 1]")
        _require("soc_min", self.soc_min, 0 <= self.soc_min < self.soc_max, f"in [0, soc_max = {self.soc_max})")
        _require("soc_max", self.soc_max, self.soc_min < self.soc_max <= 1, f"in (soc_min = {self.soc_min}, 1]")
        _require(
            "degradation_cost", self.degradation_cost, 0 <= self.degradation_cost < float("inf"), "at least 0 $/MWh"
        )

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


def _require(name: str, value: float, holds: bool, rule: str) -> None:
    if not holds:
        raise DataError(f"{name} must be {rule}, got {value}")
