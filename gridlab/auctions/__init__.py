"""Auctions: bids in, awards, payments and prices out."""

from gridlab.auctions.at_price import clear_at_price
from gridlab.auctions.clearing import Clearing
from gridlab.auctions.double import clear_uniform

__all__ = ["Clearing", "clear_at_price", "clear_uniform"]
