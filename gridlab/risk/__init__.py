"""
Risk: what can be lost, how sure that number is, what drives it, and tests of whether it holds.

A loss is money paid, positive; it is minus a profit. A confidence level lies in [0, 1), so the value at risk at 0.95 is
passed on one day in twenty. The modules, in reading order:

- measures by history: `historical`, `entropic`, `drawdown`;
- models of tomorrow's loss and their rolling use: `laws`, `parametric`, `generalised_pareto`, `filtered`, `models`,
  `monte_carlo`, `rolling`;
- tests of them: `coverage`, `shortfall`, `scoring`, `p_values`, `table`;
- what drives a loss, and limits: `contributions`, `stressing`, `scaling`;
- figures of merit and how sure they are: `performance`, `ratios`, `confidence`.
"""

from gridlab.risk.confidence import Interval, block_length, bootstrap_interval
from gridlab.risk.contributions import attribution, contributions, diversification_benefit, incremental, standalone
from gridlab.risk.coverage import (
    Christoffersen,
    DynamicQuantile,
    TrafficLight,
    christoffersen,
    dynamic_quantile,
    kupiec,
    traffic_light,
)
from gridlab.risk.drawdown import conditional_drawdown, drawdown, max_drawdown, ulcer_index
from gridlab.risk.entropic import evar
from gridlab.risk.filtered import FilteredLoss, fit_filtered, fit_filtered_history
from gridlab.risk.generalised_pareto import GeneralisedPareto, fit_generalised_pareto, mean_excess
from gridlab.risk.historical import as_probabilities, cvar, var
from gridlab.risk.laws import History, LossModel, fit_history
from gridlab.risk.models import LOSS_MODELS, foresee
from gridlab.risk.monte_carlo import MonteCarloRisk, monte_carlo
from gridlab.risk.p_values import BacktestResult
from gridlab.risk.parametric import CornishFisher, Normal, Student, fit_cornish_fisher, fit_normal, fit_student
from gridlab.risk.performance import (
    capture_ratio,
    days_for_half,
    equivalent_full_cycles,
    profit_per_mw_year,
    ratio_of_totals,
    regret,
    share_of_best_days,
)
from gridlab.risk.ratios import (
    calmar_ratio,
    deflated_sharpe_from_moments,
    deflated_sharpe_ratio,
    downside_deviation,
    expected_best_sharpe,
    martin_ratio,
    mean_absolute_deviation,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    sortino_ratio,
)
from gridlab.risk.rolling import Rolled, roll_measures
from gridlab.risk.scaling import dynamic_limit, ewma_volatility, garch_volatility, scale_to_cvar
from gridlab.risk.scoring import fissler_ziegel, quantile_score
from gridlab.risk.shortfall import AcerbiSzekely, acerbi_szekely, mcneil_frey
from gridlab.risk.stressing import reverse_stress, stress_table, worst_windows
from gridlab.risk.table import backtest_measures, compare_measures, daily_scores

__all__ = [
    "LOSS_MODELS",
    "AcerbiSzekely",
    "BacktestResult",
    "Christoffersen",
    "CornishFisher",
    "DynamicQuantile",
    "FilteredLoss",
    "GeneralisedPareto",
    "History",
    "Interval",
    "LossModel",
    "MonteCarloRisk",
    "Normal",
    "Rolled",
    "Student",
    "TrafficLight",
    "acerbi_szekely",
    "as_probabilities",
    "attribution",
    "backtest_measures",
    "block_length",
    "bootstrap_interval",
    "calmar_ratio",
    "capture_ratio",
    "christoffersen",
    "compare_measures",
    "conditional_drawdown",
    "contributions",
    "cvar",
    "daily_scores",
    "days_for_half",
    "deflated_sharpe_from_moments",
    "deflated_sharpe_ratio",
    "diversification_benefit",
    "downside_deviation",
    "drawdown",
    "dynamic_limit",
    "dynamic_quantile",
    "equivalent_full_cycles",
    "evar",
    "ewma_volatility",
    "expected_best_sharpe",
    "fissler_ziegel",
    "fit_cornish_fisher",
    "fit_filtered",
    "fit_filtered_history",
    "fit_generalised_pareto",
    "fit_history",
    "fit_normal",
    "fit_student",
    "foresee",
    "garch_volatility",
    "incremental",
    "kupiec",
    "martin_ratio",
    "max_drawdown",
    "mcneil_frey",
    "mean_absolute_deviation",
    "mean_excess",
    "monte_carlo",
    "probabilistic_sharpe_ratio",
    "profit_per_mw_year",
    "quantile_score",
    "ratio_of_totals",
    "regret",
    "reverse_stress",
    "roll_measures",
    "scale_to_cvar",
    "share_of_best_days",
    "sharpe_ratio",
    "sortino_ratio",
    "standalone",
    "stress_table",
    "traffic_light",
    "ulcer_index",
    "var",
    "worst_windows",
]
