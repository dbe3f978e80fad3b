"""Rolling-origin evaluation: forecasts as they would have been made, their scores, tests of difference, and drift."""

from gridlab.evaluate.drift import coverage_drift, loss_drift
from gridlab.evaluate.facts import (
    FACTS,
    autocorrelation,
    compare_facts,
    day_shape,
    marginal_distances,
    stylised_facts,
)
from gridlab.evaluate.paths import RolledPaths, multivariate_rank, path_losses, pit, roll_paths, score_paths
from gridlab.evaluate.rolling import failures, last_days, roll, roll_many
from gridlab.evaluate.scores import daily_hits, daily_losses, reliability, score, sigma
from gridlab.evaluate.significance import (
    Comparison,
    compare_all,
    diebold_mariano,
    giacomini_white,
    model_confidence_set,
)

__all__ = [
    "FACTS",
    "Comparison",
    "RolledPaths",
    "autocorrelation",
    "compare_all",
    "compare_facts",
    "coverage_drift",
    "daily_hits",
    "daily_losses",
    "day_shape",
    "diebold_mariano",
    "failures",
    "giacomini_white",
    "last_days",
    "loss_drift",
    "marginal_distances",
    "model_confidence_set",
    "multivariate_rank",
    "path_losses",
    "pit",
    "reliability",
    "roll",
    "roll_many",
    "roll_paths",
    "score",
    "score_paths",
    "sigma",
    "stylised_facts",
]
