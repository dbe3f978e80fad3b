"""A local server with the calls and the formula of the MARA API, simulated prices and faults on demand."""

from gridlab.live.simulator.faults import CALLS, KINDS, MEANINGS, Fault, mixed
from gridlab.live.simulator.market import Market, ReplayedMarket, SimulatedMarket
from gridlab.live.simulator.serving import INVENTORIES, running, serve
from gridlab.live.simulator.sites import Simulator, SiteSpec
from gridlab.live.simulator.ticking import ServerClock

__all__ = [
    "CALLS",
    "INVENTORIES",
    "KINDS",
    "MEANINGS",
    "Fault",
    "Market",
    "ReplayedMarket",
    "ServerClock",
    "SimulatedMarket",
    "Simulator",
    "SiteSpec",
    "mixed",
    "running",
    "serve",
]
