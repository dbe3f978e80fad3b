"""The family of loss models: from a history of losses to the law of the next day's."""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.family import Family
from gridlab.risk.filtered import fit_filtered_history, fit_garch_normal, fit_garch_pareto, fit_garch_student
from gridlab.risk.generalised_pareto import fit_generalised_pareto
from gridlab.risk.historical import Floats, checked_level
from gridlab.risk.laws import LossModel, checked_history, fit_history
from gridlab.risk.parametric import fit_cornish_fisher, fit_normal, fit_student

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


def foresee(history: ArrayLike, models: Iterable[str] = tuple(LOSS_MODELS), *, level: float = 0.95) -> pd.DataFrame:
    """
    VaR and CVaR of the next day by several models, side by side; one that refuses the history says why.

    Parameters
    ----------
    history : array_like, shape (n_days,)
        Daily losses, positive when money is paid, the last one the latest. [$]
    models : iterable of str
        Names in `LOSS_MODELS`; all of them when omitted.
    level : float
        Confidence level, ``0 <= level < 1``. [-]

    Returns
    -------
    DataFrame
        Index `model`; columns `var` and `cvar`, NaN where the model refuses [$], and `refused`, its sentence, or
        nothing.

    Raises
    ------
    DataError
        If `level` is outside [0, 1), a name is not in the family, or a loss is not finite.

    Examples
    --------
    >>> foresee([0.0, 0.0, 10.0, 30.0], ["history", "normal"], level=0.5)["refused"].str[:24].to_dict()
    {'history': '', 'normal': 'needs at least 20 losses'}
    """
    level, losses = checked_level(level), checked_history(history, least=1)
    fits = {name: LOSS_MODELS[name] for name in models}
    rows = {name: _foreseen(fit, losses, level) for name, fit in fits.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["var", "cvar", "refused"]).rename_axis(index="model")


def _foreseen(fit: Fit, losses: Floats, level: float) -> tuple[float, float, str]:
    try:
        model = fit(losses)
        return model.var(level), model.cvar(level), ""
    except DataError as error:
        return np.nan, np.nan, str(error)
