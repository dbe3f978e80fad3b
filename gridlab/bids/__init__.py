"""Bids: a plan as quantities and prices that an auction can clear."""

from gridlab.bids.price_taker import bid_price_taker

__all__ = ["bid_price_taker"]
