"""Dispatch: what an asset does with what it was awarded or told, and the energy that its meters saw."""

from gridlab.dispatch.battery import Dispatch, dispatch
from gridlab.dispatch.site import SiteDispatch, execute_site, flows_table

__all__ = ["Dispatch", "SiteDispatch", "dispatch", "execute_site", "flows_table"]
