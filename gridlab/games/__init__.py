"""Games: equilibria of players who look after themselves, and what players gain together."""

from gridlab.games.bimatrix import Equilibria, Equilibrium, nash_equilibria, one_equilibrium
from gridlab.games.characteristic import coalition_table, is_convex, is_superadditive, players_of
from gridlab.games.correlated import (
    CorrelatedEquilibrium,
    coarse_correlated_equilibrium,
    correlated_equilibrium,
    correlated_regrets,
)
from gridlab.games.dynamics import (
    Path,
    best_reply,
    best_reply_dynamics,
    fictitious_play,
    logit_dynamics,
    pure_equilibria,
    replicator,
)
from gridlab.games.market_power import CONDUCTS, BatteryPlay, MarketPower, market_power, play_batteries
from gridlab.games.nucleolus import (
    Balance,
    LeastCore,
    Objection,
    balance,
    core_is_empty,
    in_core,
    least_core,
    nucleolus,
    objection,
    prenucleolus,
    satisfies_kohlberg,
)
from gridlab.games.oligopoly import Oligopoly, competitive, cournot, price_of_anarchy, stackelberg_cournot
from gridlab.games.payoffs import regrets
from gridlab.games.price_slopes import PriceLine, SlopeEstimate, slope_of_bids, slope_of_prices
from gridlab.games.price_takers import Leadership, lead_price_takers
from gridlab.games.quantal import logit_equilibrium
from gridlab.games.shapley import Sampled, banzhaf, player_types, shapley, shapley_by_type, shapley_sampled
from gridlab.games.stackelberg import Commitment, stackelberg
from gridlab.games.supply_functions import SupplyFunctions, supply_function_equilibrium
from gridlab.games.zero_sum import ZeroSum, zero_sum

__all__ = [
    "CONDUCTS",
    "Balance",
    "BatteryPlay",
    "Commitment",
    "CorrelatedEquilibrium",
    "Equilibria",
    "Equilibrium",
    "Leadership",
    "LeastCore",
    "MarketPower",
    "Objection",
    "Oligopoly",
    "Path",
    "PriceLine",
    "Sampled",
    "SlopeEstimate",
    "SupplyFunctions",
    "ZeroSum",
    "balance",
    "banzhaf",
    "best_reply",
    "best_reply_dynamics",
    "coalition_table",
    "coarse_correlated_equilibrium",
    "competitive",
    "core_is_empty",
    "correlated_equilibrium",
    "correlated_regrets",
    "cournot",
    "fictitious_play",
    "in_core",
    "is_convex",
    "is_superadditive",
    "lead_price_takers",
    "least_core",
    "logit_dynamics",
    "logit_equilibrium",
    "market_power",
    "nash_equilibria",
    "nucleolus",
    "objection",
    "one_equilibrium",
    "play_batteries",
    "player_types",
    "players_of",
    "prenucleolus",
    "price_of_anarchy",
    "pure_equilibria",
    "regrets",
    "replicator",
    "satisfies_kohlberg",
    "shapley",
    "shapley_by_type",
    "shapley_sampled",
    "slope_of_bids",
    "slope_of_prices",
    "stackelberg",
    "stackelberg_cournot",
    "supply_function_equilibrium",
    "zero_sum",
]
