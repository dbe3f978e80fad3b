"""Scenarios: price paths that a plan may meet, drawn from a price process or around a forecast."""

from gridlab.scenarios.blocks import (
    BlockParams,
    calibrate_block_bootstrap,
    calibrate_price_blocks,
    simulate_block_bootstrap,
)
from gridlab.scenarios.bootstrap import BootstrapParams, calibrate_bootstrap, simulate_bootstrap
from gridlab.scenarios.copula import CopulaParams, calibrate_copula, simulate_copula
from gridlab.scenarios.correlated import CorrelatedParams, calibrate_correlated, simulate_correlated
from gridlab.scenarios.geometric import GBMParams, calibrate_gbm, simulate_gbm
from gridlab.scenarios.jumps import (
    KouParams,
    MertonParams,
    calibrate_kou,
    calibrate_merton,
    simulate_kou,
    simulate_merton,
)
from gridlab.scenarios.ornstein_uhlenbeck import OUParams, calibrate_ou, simulate_ou
from gridlab.scenarios.price_processes import PRICE_PROCESSES, PriceProcess, price_process
from gridlab.scenarios.reduction import Reduced, reduce
from gridlab.scenarios.regimes import RegimesParams, calibrate_regimes, regime_probabilities, simulate_regimes
from gridlab.scenarios.reverting_jumps import MRJDParams, calibrate_mrjd, simulate_mrjd
from gridlab.scenarios.sampling import sampler
from gridlab.scenarios.season import Season, calibrate_season
from gridlab.scenarios.stress import SHOCKS, stress

__all__ = [
    "PRICE_PROCESSES",
    "SHOCKS",
    "BlockParams",
    "BootstrapParams",
    "CopulaParams",
    "CorrelatedParams",
    "GBMParams",
    "KouParams",
    "MRJDParams",
    "MertonParams",
    "OUParams",
    "PriceProcess",
    "Reduced",
    "RegimesParams",
    "Season",
    "calibrate_block_bootstrap",
    "calibrate_bootstrap",
    "calibrate_copula",
    "calibrate_correlated",
    "calibrate_gbm",
    "calibrate_kou",
    "calibrate_merton",
    "calibrate_mrjd",
    "calibrate_ou",
    "calibrate_price_blocks",
    "calibrate_regimes",
    "calibrate_season",
    "price_process",
    "reduce",
    "regime_probabilities",
    "sampler",
    "simulate_block_bootstrap",
    "simulate_bootstrap",
    "simulate_copula",
    "simulate_correlated",
    "simulate_gbm",
    "simulate_kou",
    "simulate_merton",
    "simulate_mrjd",
    "simulate_ou",
    "simulate_regimes",
    "stress",
]
