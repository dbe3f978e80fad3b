"""Rolling-origin evaluation: forecasts as they would have been made, their scores, tests of difference, and drift."""

from gridlab.evaluate.drift import coverage_drift, loss_drift
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
    "Comparison",
    "compare_all",
    "coverage_drift",
    "daily_hits",
    "daily_losses",
    "diebold_mariano",
    "failures",
    "giacomini_white",
    "last_days",
    "loss_drift",
    "model_confidence_set",
    "reliability",
    "roll",
    "roll_many",
    "score",
    "sigma",
]
