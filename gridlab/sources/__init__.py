"""
Prices from files, or made here: every call gives a `prices` table, in UTC, on its grid, with what was done to it said.

``read_*`` opens a file, ``parse_*`` takes an open table, `simulate_market` makes a market, `describe` says what a table
is. What a reader did to the rows stands in ``prices.attrs["notes"]``, one sentence each.
"""

from gridlab.sources.bids import read_bids, simulate_bids
from gridlab.sources.caiso import parse_caiso, read_caiso
from gridlab.sources.daily import read_entries, read_returns
from gridlab.sources.describe import Description, describe
from gridlab.sources.epf import parse_epf, read_epf
from gridlab.sources.gridstatus import parse_gridstatus, read_gridstatus
from gridlab.sources.plain import parse_csv, read_csv
from gridlab.sources.prices import read_prices, write_parquet
from gridlab.sources.products import simulate_products
from gridlab.sources.simulate import simulate_market

__all__ = [
    "Description",
    "describe",
    "parse_caiso",
    "parse_csv",
    "parse_epf",
    "parse_gridstatus",
    "read_bids",
    "read_caiso",
    "read_csv",
    "read_entries",
    "read_epf",
    "read_gridstatus",
    "read_prices",
    "read_returns",
    "simulate_bids",
    "simulate_market",
    "simulate_products",
    "write_parquet",
]
