"""
Portfolio: how power or capital is split between services and assets.

Weights come from returns, losses or a covariance, within `Limits`: bounds, a total, the site's caps and turnover.
"""

from gridlab.portfolio.bands import frontier_bands
from gridlab.portfolio.covariance import Shrunk, checked_covariance, nearest_covariance, shrunk_covariance
from gridlab.portfolio.family import WEIGHTINGS, Weighting, nearest_within
from gridlab.portfolio.frontier import frontier
from gridlab.portfolio.hierarchical import hierarchical_risk_parity_weights
from gridlab.portfolio.limits import Limits
from gridlab.portfolio.optimisation import max_diversification_weights, mean_variance_weights, min_variance_weights
from gridlab.portfolio.parity import risk_parity_weights, risk_shares
from gridlab.portfolio.rebalancing import Rebalanced, compare_allocations, rebalance
from gridlab.portfolio.tail import max_return_weights, min_cvar_weights

__all__ = [
    "WEIGHTINGS",
    "Limits",
    "Rebalanced",
    "Shrunk",
    "Weighting",
    "checked_covariance",
    "compare_allocations",
    "frontier",
    "frontier_bands",
    "hierarchical_risk_parity_weights",
    "max_diversification_weights",
    "max_return_weights",
    "mean_variance_weights",
    "min_cvar_weights",
    "min_variance_weights",
    "nearest_covariance",
    "nearest_within",
    "rebalance",
    "risk_parity_weights",
    "risk_shares",
    "shrunk_covariance",
]
