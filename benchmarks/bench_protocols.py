"""Protocols and payload of a dispatch: what they cost inside a step of a millisecond."""

import pandas as pd

from gridlab.assets import Battery, Cooling, Regulation
from gridlab.dispatch.payload import payload_of
from gridlab.dispatch.protocols import Order, Protection, Readings, Situation, protect

POWER = {
    "air_miners": 3333,
    "hydro_miners": 5000,
    "immersion_miners": 10000,
    "gpu_compute": 3333,
    "asic_compute": 10000,
}
SITE = Protection(
    cap_mw=1.0,
    machine_cap_power=1_000_000,
    power=POWER,
    battery=Battery(power_mw=0.4, energy_mwh=0.8),
    cooling=Cooling(capacity_mw=0.5),
    cooled=("gpu_compute", "asic_compute"),
    regulation=Regulation(award_mw=0.2),
    thermometer=True,
)
ORDER = Order(dict.fromkeys(POWER, 20), cooling_mw=0.02)
TOO_MUCH = Order(dict.fromkeys(POWER, 100), -0.3, 0.02, {"inference": 0.3})
QUIET = Situation(Readings(soc_share=0.5, temperature_c=40.0, outside_c=20.0, power_mw=0.7), ORDER)
GRAVE = Situation(Readings(soc_share=0.1, temperature_c=78.0, outside_c=20.0, power_mw=1.2, regulation=0.7), ORDER)
START = pd.Timestamp("2025-06-21T12:05", tz="UTC")


def bench_protect_where_nothing_fires(benchmark):
    assert benchmark(protect, ORDER, QUIET, SITE).fired == ()


def bench_protect_where_cap_temperature_battery_and_regulation_fire(benchmark):
    assert len(benchmark(protect, TOO_MUCH, GRAVE, SITE).fired) == 4


def bench_payload(benchmark):
    protected = protect(ORDER, QUIET, SITE)
    assert benchmark(payload_of, protected, QUIET, SITE, site="yard", start=START, simulated=True).constraints_satisfied
