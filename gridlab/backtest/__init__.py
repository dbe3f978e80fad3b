"""
Backtests: plan, bid, clear, dispatch and post over a history, settled on what happened.

A run ends with the energy that it began with, so that no energy is left to be valued: each plan is given the band of
final energies from which the rest of the run can still come back. Where a price is missing the market is closed, and
every policy knows it.
"""

from gridlab.backtest.comparing import compare, daily_profit
from gridlab.backtest.running import Result, run
from gridlab.backtest.stressing import Shock, run_stressed
from gridlab.backtest.windows import with_last_known

__all__ = ["Result", "Shock", "compare", "daily_profit", "run", "run_stressed", "with_last_known"]
