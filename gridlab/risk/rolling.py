"""Measures as they would have been stated: every day from the losses before it alone."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, as_day, checked_level, refuse_unordered
from gridlab.risk.laws import LossModel, updated
from gridlab.risk.models import LOSS_MODELS


@dataclass(frozen=True)
class Rolled:
    """
    Measures of every day, and the models that stated them.

    Parameters
    ----------
    measures : DataFrame
        Index `date`; columns `loss`, what happened, `var` and `cvar`, what was stated before. [$]
    models : tuple of LossModel
        The model of each day.
    """

    measures: pd.DataFrame
    models: tuple[LossModel, ...]

    def simulate(self, n: int, *, rng: np.random.Generator) -> Floats:
        """
        Losses drawn from each day's model, shape (n, n_days), as tests of expected shortfall need them. [$]

        Raises
        ------
        DataError
            If `n` is below 1.
        """
        if n < 1:
            raise DataError(f"n must be at least 1, got {n}")
        return np.column_stack([model.sample(n, rng=rng) for model in self.models])


def roll_measures(
    loss: pd.Series,
    model: str | Callable[[ArrayLike], LossModel] = "history",
    *,
    level: float = 0.95,
    window: int = 250,
    refit_every: int = 1,
) -> Rolled:
    """
    VaR and CVaR of every day from the `window` days before it.

    Parameters
    ----------
    loss : Series
        Daily losses, positive when money is paid, on rising dates. Dates may be missing: a day is a row. [$]
    model : str or callable
        A name in `LOSS_MODELS`, or a function from losses, shape (window,), to a model.
    level : float
        Confidence level, ``0 <= level < 1``. [-]
    window : int
        Days from which each model is fitted.
    refit_every : int
        Days between fits. Between them history and the filtered models follow the days that come, with their
        parameters kept; the others stay as fitted.

    Returns
    -------
    Rolled
        Of every day after the first `window`.

    Raises
    ------
    DataError
        If `loss` is no Series, its dates do not rise, a loss is not finite, there are no more days than the window, an
        option is out of its range, or the model refuses a window: the message has the date.

    Examples
    --------
    >>> dates = pd.date_range("2024-01-01", periods=6, name="date")
    >>> rolled = roll_measures(pd.Series([1.0, 5.0, 2.0, 4.0, 9.0, 3.0], dates), level=0.5, window=4)
    >>> print(rolled.measures.reset_index().to_string(index=False))
          date  loss  var  cvar
    2024-01-05   9.0  2.0   4.5
    2024-01-06   3.0  4.0   7.0
    """
    level = checked_level(level)
    fit = LOSS_MODELS[model] if isinstance(model, str) else model
    values = _checked(loss, window, refit_every)
    models: list[LossModel] = []
    rows = []
    for day in range(window, len(values)):
        history = values[day - window : day]
        try:
            due = (day - window) % refit_every == 0
            models.append(fit(history) if due else updated(models[-1], history))
            rows.append((values[day], models[-1].var(level), models[-1].cvar(level)))
        except DataError as error:
            raise DataError(f"{_name(model)} has no measures for {as_day(loss.index[day])}: {error}") from error
    dates = loss.index[window:].rename("date")
    return Rolled(pd.DataFrame(rows, index=dates, columns=["loss", "var", "cvar"]), tuple(models))


def _checked(loss: pd.Series, window: int, refit_every: int) -> Floats:
    if not isinstance(loss, pd.Series):
        raise DataError(f"loss must be a Series of daily losses on its dates, got a {type(loss).__name__}")
    if not (isinstance(window, Integral) and isinstance(refit_every, Integral)):
        raise DataError(f"window and refit_every must be whole numbers of days, got {window} and {refit_every}")
    if window < 1 or refit_every < 1:
        raise DataError(f"window and refit_every must be at least 1, got {window} and {refit_every}")
    if len(loss) <= window:
        raise DataError(f"a window of {window} days leaves none of {len(loss)} to measure: take a shorter window")
    refuse_unordered(loss.index)
    values = np.asarray(loss, dtype=float)
    if not np.isfinite(values).all():
        first = int(np.argmin(np.isfinite(values)))
        raise DataError(f"losses must be finite, got {values[first]} on {as_day(loss.index[first])}: drop such days")
    return values


def _name(model: str | Callable[[ArrayLike], LossModel]) -> str:
    return repr(model) if isinstance(model, str) else getattr(model, "__name__", "the model")
