"""Auctions: bids in, awards, payments and prices out."""

from gridlab.auctions.at_price import clear_at_price
from gridlab.auctions.blocks import Rounded, clear_vcg_blocks, clear_vcg_rounded, explain_vcg_blocks
from gridlab.auctions.clearing import Clearing
from gridlab.auctions.day_ahead import WelfareGivenUp, clear_day_ahead, paradoxical_blocks, welfare_given_up
from gridlab.auctions.double import clear_double
from gridlab.auctions.merit_order import clear_vcg, explain_vcg
from gridlab.auctions.one_sided import clear_first_price, clear_pay_as_bid, clear_second_price, clear_uniform
from gridlab.auctions.peer import clear_p2p, match_p2p
from gridlab.auctions.services import Coupling, clear_vcg_services, explain_vcg_services, services_report
from gridlab.auctions.statistics import by_bidder, statistics

__all__ = [
    "Clearing",
    "Coupling",
    "Rounded",
    "WelfareGivenUp",
    "by_bidder",
    "clear_at_price",
    "clear_day_ahead",
    "clear_double",
    "clear_first_price",
    "clear_p2p",
    "clear_pay_as_bid",
    "clear_second_price",
    "clear_uniform",
    "clear_vcg",
    "clear_vcg_blocks",
    "clear_vcg_rounded",
    "clear_vcg_services",
    "explain_vcg",
    "explain_vcg_blocks",
    "explain_vcg_services",
    "match_p2p",
    "paradoxical_blocks",
    "services_report",
    "statistics",
    "welfare_given_up",
]
