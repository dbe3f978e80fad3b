"""The MARA API: its records, its formula, a client that keeps its key to itself, and a store of what it said."""

from gridlab.sources.mara.client import DoubtfulError, MaraClient
from gridlab.sources.mara.formula import LITERAL, Scaling, Settlement, margins, settle
from gridlab.sources.mara.keys import ApiKey, key_from
from gridlab.sources.mara.parsing import (
    parse_created_site,
    parse_inventory,
    parse_machines,
    parse_prices,
    parse_site,
)
from gridlab.sources.mara.recorded import read_recorded, read_replies, write_recorded
from gridlab.sources.mara.records import (
    DOCUMENTED,
    EVENT,
    MACHINES,
    CreatedSite,
    Exchange,
    Inventory,
    MachinesReply,
    MachineType,
    Quote,
    SiteReply,
    inventory_of,
)

__all__ = [
    "DOCUMENTED",
    "EVENT",
    "LITERAL",
    "MACHINES",
    "ApiKey",
    "CreatedSite",
    "DoubtfulError",
    "Exchange",
    "Inventory",
    "MachineType",
    "MachinesReply",
    "MaraClient",
    "Quote",
    "Scaling",
    "Settlement",
    "SiteReply",
    "inventory_of",
    "key_from",
    "margins",
    "parse_created_site",
    "parse_inventory",
    "parse_machines",
    "parse_prices",
    "parse_site",
    "read_recorded",
    "read_replies",
    "settle",
    "write_recorded",
]
