"""The ledger: every amount twice, once on each side, so that all accounts together sum to zero."""

from gridlab.ledger.accounts import CAUSES, SITE_CAUSES, carry, owner, profit, statement, true_up
from gridlab.ledger.battery import post
from gridlab.ledger.services import by_service, by_time_of_day, service_returns, spread_by_month
from gridlab.ledger.site import post_site

__all__ = [
    "CAUSES",
    "SITE_CAUSES",
    "by_service",
    "by_time_of_day",
    "carry",
    "owner",
    "post",
    "post_site",
    "profit",
    "service_returns",
    "spread_by_month",
    "statement",
    "true_up",
]
