"""Bids: from a schedule, scenarios and values to quantities and prices that an auction can clear."""

from gridlab.bids.cost_based import battery_costs, bid_cost_based
from gridlab.bids.curves import Curve, bid_from_scenarios, fit_curve
from gridlab.bids.day_ahead import bid_day_ahead
from gridlab.bids.learning import LEARNERS, Learned, learn_bids
from gridlab.bids.price_taker import bid_price_taker
from gridlab.bids.shading import Response, best_response, bid_shaded, critical_prices
from gridlab.bids.tables import as_wants, curves_of
from gridlab.bids.truthful import bid_truthful, machine_values

__all__ = [
    "LEARNERS",
    "Curve",
    "Learned",
    "Response",
    "as_wants",
    "battery_costs",
    "best_response",
    "bid_cost_based",
    "bid_day_ahead",
    "bid_from_scenarios",
    "bid_price_taker",
    "bid_shaded",
    "bid_truthful",
    "critical_prices",
    "curves_of",
    "fit_curve",
    "learn_bids",
    "machine_values",
]
