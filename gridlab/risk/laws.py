"""What every model of a day's loss can do, and the plainest one: the losses seen, each as likely as the others."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, as_numbers, cvar, finite, var

LEAST_LOSSES = 20
"""Fewest losses from which a law is fitted; history itself needs one."""


class LossModel(Protocol):
    """A law of the next day's loss, positive when money is paid. [$]"""

    def var(self, level: float) -> float:
        """Value at risk at a confidence level in [0, 1). [$]"""
        ...

    def cvar(self, level: float) -> float:
        """Mean of the worst ``1 - level`` share of the law. [$]"""
        ...

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Independent losses, shape (n,). [$]"""
        ...


@dataclass(frozen=True)
class History:
    """
    The losses seen, each as likely as the others: historical simulation.

    Parameters
    ----------
    losses : ndarray, shape (n_losses,)
        Losses, in order. [$]

    Examples
    --------
    >>> model = fit_history([0, 0, 10, 30])
    >>> model.var(0.5), model.cvar(0.5)
    (0.0, 20.0)
    >>> model.sample(3, rng=np.random.default_rng(0)).tolist()
    [30.0, 10.0, 10.0]
    """

    losses: Floats

    def var(self, level: float) -> float:
        """Lower quantile of the losses. [$]"""
        return float(var(self.losses, level))

    def cvar(self, level: float) -> float:
        """Mean of the worst ``1 - level`` share of the losses. [$]"""
        return float(cvar(self.losses, level))

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Losses drawn with replacement, shape (n,). [$]"""
        return rng.choice(self.losses, size=n)

    def updated(self, history: ArrayLike) -> "History":
        """The model of another history."""
        return fit_history(history)


def fit_history(history: ArrayLike) -> History:
    """
    Historical simulation from the losses given.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses, at least one; the result does not depend on their order. [$]

    Returns
    -------
    History

    Raises
    ------
    DataError
        If there is no loss, or one that is not finite.

    Examples
    --------
    >>> fit_history([5.0]).cvar(0.95)  # one loss is every measure
    5.0
    """
    return History(checked_history(history, least=1))


def updated(model: LossModel, history: ArrayLike) -> LossModel:
    """The model as it stands after another history: one with an `updated` follows it, the others stay as fitted."""
    follow = getattr(model, "updated", None)
    return follow(history) if follow else model


def checked_history(history: ArrayLike, *, least: int = LEAST_LOSSES, varies: bool = False) -> Floats:
    """The losses, copied; refused where fewer than `least`, not finite or, if they must vary, all equal."""
    losses = as_numbers(history, "history").copy()
    if losses.ndim != 1:
        raise DataError(f"a history has one axis, a loss for each day, got shape {losses.shape}: give one series")
    if len(losses) < least:
        raise DataError(f"needs at least {least} losses, one a day, got {len(losses)}: give more days")
    finite(losses, "losses", "leave such days out")
    if varies and np.ptp(losses) == 0:
        raise DataError(f"every loss is {losses[0]:g}, so this law has no fit: take 'history' or 'normal'")
    return losses
