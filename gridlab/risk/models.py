"""The family of loss models: from a history of losses to the law of the next day's."""

from collections.abc import Callable
from functools import partial

from numpy.typing import ArrayLike

from gridlab.family import Family
from gridlab.risk.filtered import fit_filtered_history, fit_garch_normal, fit_garch_pareto, fit_garch_student
from gridlab.risk.generalised_pareto import fit_generalised_pareto
from gridlab.risk.laws import History, LossModel, fit_history
from gridlab.risk.parametric import fit_cornish_fisher, fit_normal, fit_student

__all__ = ["LOSS_MODELS", "Fit", "History", "LossModel", "fit_history"]

Fit = Callable[[ArrayLike], LossModel]
"""From losses in order, shape (n_losses,), to the law of the next."""

LOSS_MODELS: Family[Fit] = Family(
    "loss model",
    {
        "history": fit_history,
        "normal": fit_normal,
        "student": fit_student,
        "cornish_fisher": fit_cornish_fisher,
        "pot": partial(fit_generalised_pareto, estimator="moments"),
        "fhs": fit_filtered_history,
        "garch_normal": fit_garch_normal,
        "garch_student": fit_garch_student,
        "garch_pot": fit_garch_pareto,
    },
)
"""
Names of loss models and the functions that fit them.

The tails of "pot" and "garch_pot" are those of the probability-weighted moments: on windows of a year, the likeliest
tail of a daily loss of power prices now and then has no finite mean, and so no CVaR.

Examples
--------
>>> LOSS_MODELS["history"]([1.0, 2.0, 3.0, 4.0]).var(0.75)
3.0
"""
