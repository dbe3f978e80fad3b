"""What the MARA API speaks of: machine types, what a site holds, what it is told to run and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

import pandas as pd

from gridlab.errors import DataError
from gridlab.sources.mara.keys import ApiKey

MACHINES = ("air_miners", "hydro_miners", "immersion_miners", "gpu_compute", "asic_compute")
"""The API's names of the five machine types, in the order used everywhere here."""

Product = Literal["hash_price", "token_price"]


@dataclass(frozen=True)
class MachineType:
    """
    One type of machine of the inventory.

    Parameters
    ----------
    name : str
        One of `MACHINES`.
    power : int
        Power of one machine, in the API's unit. [power]
    output : int
        Hashrate or tokens that one machine makes. [unit/interval]
    product : str
        The price that pays for the output, ``hash_price`` or ``token_price``.
    """

    name: str
    power: int
    output: int
    product: Product

    def __post_init__(self) -> None:
        if self.name not in MACHINES:
            raise DataError(f"there is no machine type {self.name!r}: the types are {', '.join(MACHINES)}")
        if self.power <= 0 or self.output < 0:
            raise DataError(
                f"{self.name} must have power above 0 and output at least 0, got {self.power} and {self.output}"
            )


@dataclass(frozen=True)
class Inventory:
    """
    The machine types on offer.

    Parameters
    ----------
    types : tuple of MachineType
        One for each of `MACHINES`, in that order.

    Examples
    --------
    >>> EVENT.power["hydro_miners"], EVENT.output["hydro_miners"], EVENT.product["gpu_compute"]
    (5000, 10000, 'token_price')
    """

    types: tuple[MachineType, ...]
    power: Mapping[str, int] = field(init=False, repr=False, compare=False)
    output: Mapping[str, int] = field(init=False, repr=False, compare=False)
    product: Mapping[str, Product] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(one.name for one in self.types)
        if names != MACHINES:
            raise DataError(f"an inventory needs each of {', '.join(MACHINES)} once and in order, got {names}")
        for column in ("power", "output", "product"):
            by_name = MappingProxyType({one.name: getattr(one, column) for one in self.types})
            object.__setattr__(self, column, by_name)


def inventory_of(power: Mapping[str, int], output: Mapping[str, int]) -> Inventory:
    """An inventory from the power and the output of one machine of each type."""
    mined = {name: "hash_price" if name.endswith("_miners") else "token_price" for name in MACHINES}
    return Inventory(tuple(MachineType(n, power[n], output[n], mined[n]) for n in MACHINES))  # type: ignore[arg-type]


EVENT = inventory_of(
    dict(zip(MACHINES, (3333, 5000, 10000, 3333, 10000), strict=True)),
    dict(zip(MACHINES, (1000, 10000, 5000, 1000, 5000), strict=True)),
)
"""The inventory as it was at the event of 2025-06-21."""

DOCUMENTED = inventory_of(
    dict(zip(MACHINES, (3500, 5000, 10000, 5000, 15000), strict=True)),
    dict(zip(MACHINES, (1000, 5000, 10000, 1000, 50000), strict=True)),
)
"""The inventory as it was documented before the event."""


@dataclass(frozen=True)
class Quote:
    """
    One row of the prices: what holds from `time` for five minutes, in the API's units.

    Parameters
    ----------
    time : Timestamp
        Start of the interval, UTC.
    energy_price, hash_price, token_price : float
        Cost of power, and pay for hashrate and tokens. [$/power/interval, $/unit/interval]
    """

    time: pd.Timestamp
    energy_price: float
    hash_price: float
    token_price: float


@dataclass(frozen=True)
class MachinesReply:
    """
    The server's answer to GET or PUT ``/machines``.

    Parameters
    ----------
    counts : mapping of str to int
        Machines of each type that run.
    updated_at : Timestamp
        When they were last set, UTC.
    power : mapping of str to int, optional
        Power of each type; None in the answer to PUT, as are those that follow. [power]
    revenue : mapping of str to float, optional
        Revenue of each type. [$/interval]
    total_power_used : int, optional
        The sum of `power`. [power]
    total_power_cost, total_revenue : float, optional
        Cost of the power, and the sum of `revenue`. [$/interval]
    id, site_id : int, optional
        The server's own.
    """

    counts: Mapping[str, int]
    updated_at: pd.Timestamp
    power: Mapping[str, int] | None = None
    revenue: Mapping[str, float] | None = None
    total_power_used: int | None = None
    total_power_cost: float | None = None
    total_revenue: float | None = None
    id: int | None = None
    site_id: int | None = None


class SiteReply(NamedTuple):
    """
    The server's answer to GET ``/sites``.

    Parameters
    ----------
    name : str
        Name of the site; empty where the server says none.
    power : int
        What its machines may draw in all. [power]
    """

    name: str
    power: int


class CreatedSite(NamedTuple):
    """
    The server's answer to POST ``/sites``.

    Parameters
    ----------
    key : ApiKey
        The new site's key.
    name : str
        Its name.
    power : int
        What its machines may draw in all. [power]
    """

    key: ApiKey
    name: str
    power: int


@dataclass(frozen=True)
class Exchange:
    """
    One request and what came of it, without any key.

    Parameters
    ----------
    at : Timestamp
        When it was sent, UTC by the local clock.
    call : str
        Method and path, such as ``GET /prices``.
    status : int or None
        The server's; None where no answer came.
    latency_ms : float
        From sending to the last byte read, or to the failure. [ms]
    text : str
        The answer, shortened and without keys; empty for prices that were read, which repeat the whole history, and for
        a new site's answer, which holds its key.
    problem : str or None
        What was wrong with it, in one sentence.
    server_time : Timestamp or None
        The server's Date header, UTC in whole seconds.
    digest : str
        SHA-256 of the body as received; empty where there was none.
    """

    at: pd.Timestamp
    call: str
    status: int | None
    latency_ms: float
    text: str
    problem: str | None
    server_time: pd.Timestamp | None
    digest: str = ""
