"""Dispatch: what an asset does with what it was awarded or told, the energy that its meters saw, and its protocols."""

from gridlab.dispatch.battery import Dispatch, dispatch
from gridlab.dispatch.order import Order, Protection, Readings, Situation, cooling_for
from gridlab.dispatch.protocols import PROTOCOLS, Fired, Protected, protect
from gridlab.dispatch.site import SiteDispatch, execute_site, flows_table

__all__ = [
    "PROTOCOLS",
    "Dispatch",
    "Fired",
    "Order",
    "Protected",
    "Protection",
    "Readings",
    "SiteDispatch",
    "Situation",
    "cooling_for",
    "dispatch",
    "execute_site",
    "flows_table",
    "protect",
]
