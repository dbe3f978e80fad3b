"""
Plots: ``plot_*(table, *, ax=None) -> ax``, one question each.

Every plot draws on the axes it is given, or on new ones; it reads its table and changes nothing. Prices and power are
steps over market intervals, axes carry units and the time zone, and a colour, line and marker mean the same thing in
every plot: see `COLORS` and `line_styles`. Matplotlib is loaded by the first plot, not by the import.
"""

from gridlab.plots.control import (
    plot_best_days,
    plot_limit_worth,
    plot_profit_sources,
    plot_shadow_prices,
    plot_site_schedule,
)
from gridlab.plots.evaluation import plot_calibration, plot_coverage_by_hour, plot_drift, plot_p_values
from gridlab.plots.forecasts import plot_error_by_hour, plot_forecast_fan, plot_paths
from gridlab.plots.games import plot_best_responses, plot_market_power, plot_sharing, plot_withholding
from gridlab.plots.live import (
    plot_day_profit,
    plot_live_battery,
    plot_live_power,
    plot_live_prices,
    plot_live_temperature,
    plot_stage_latency,
)
from gridlab.plots.markets import (
    plot_mechanisms,
    plot_merit_order,
    plot_misreports,
    plot_payment,
    plot_supply_demand,
)
from gridlab.plots.portfolio import plot_allocations, plot_frontier, plot_frontier_weights, plot_weights
from gridlab.plots.prices import plot_daily_shape, plot_dispatch, plot_prices
from gridlab.plots.profits import (
    plot_capture,
    plot_cumulative_profit,
    plot_daily_profit,
    plot_profit_distribution,
)
from gridlab.plots.risk import plot_drawdown, plot_hits, plot_loss_distribution, plot_mean_excess
from gridlab.plots.scenarios import plot_autocorrelation, plot_distributions, plot_pit
from gridlab.plots.services import plot_attribution, plot_stress
from gridlab.plots.style import COLORS, LINES, Line, line_styles

__all__ = [
    "COLORS",
    "LINES",
    "Line",
    "line_styles",
    "plot_allocations",
    "plot_attribution",
    "plot_autocorrelation",
    "plot_best_days",
    "plot_best_responses",
    "plot_calibration",
    "plot_capture",
    "plot_coverage_by_hour",
    "plot_cumulative_profit",
    "plot_daily_profit",
    "plot_daily_shape",
    "plot_day_profit",
    "plot_dispatch",
    "plot_distributions",
    "plot_drawdown",
    "plot_drift",
    "plot_error_by_hour",
    "plot_forecast_fan",
    "plot_frontier",
    "plot_frontier_weights",
    "plot_hits",
    "plot_limit_worth",
    "plot_live_battery",
    "plot_live_power",
    "plot_live_prices",
    "plot_live_temperature",
    "plot_loss_distribution",
    "plot_market_power",
    "plot_mean_excess",
    "plot_mechanisms",
    "plot_merit_order",
    "plot_misreports",
    "plot_p_values",
    "plot_paths",
    "plot_payment",
    "plot_pit",
    "plot_prices",
    "plot_profit_distribution",
    "plot_profit_sources",
    "plot_shadow_prices",
    "plot_sharing",
    "plot_site_schedule",
    "plot_stage_latency",
    "plot_stress",
    "plot_supply_demand",
    "plot_weights",
    "plot_withholding",
]
