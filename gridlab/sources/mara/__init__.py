"""The MARA API: its records, its formula, a client that keeps its key to itself, and a store of what it said."""

from gridlab.sources.mara.formula import LITERAL, Scaling, Settlement, margins, settle
from gridlab.sources.mara.records import (
    DOCUMENTED,
    EVENT,
    MACHINES,
    Inventory,
    MachinesReply,
    MachineType,
    Quote,
    inventory_of,
)

__all__ = [
    "DOCUMENTED",
    "EVENT",
    "LITERAL",
    "MACHINES",
    "Inventory",
    "MachineType",
    "MachinesReply",
    "Quote",
    "Scaling",
    "Settlement",
    "inventory_of",
    "margins",
    "settle",
]
