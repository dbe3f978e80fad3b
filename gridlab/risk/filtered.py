"""Filtered models: the volatility of the day comes from a GARCH recursion, the shape from the shocks that it leaves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridlab.errors import DataError
from gridlab.risk.generalised_pareto import fit_generalised_pareto
from gridlab.risk.historical import Floats, checked_level
from gridlab.risk.laws import LossModel, checked_history, fit_history, updated
from gridlab.risk.parametric import Normal, Student
from gridlab.volatility import LEAST_SHOCKS, Garch, fit_garch


@dataclass(frozen=True)
class FilteredLoss:
    """
    A loss ``mean + sqrt(variance) * shock``, the variance of the day from a GARCH recursion over the days before.

    Parameters
    ----------
    mean : float
        Mean loss, which is removed before the recursion. [$]
    garch : Garch
        The recursion.
    squares, variances : ndarray, shape (p,) and (q,)
        Squared deviations from the mean, and variances, of the last days, the latest first. [$2]
    shock : LossModel
        Law of a day's standardised shock: history makes it filtered historical simulation. [-]

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> losses = np.concatenate([rng.normal(0, 1, 200), rng.normal(0, 5, 50)])  # the last days are wild
    >>> filtered, plain = fit_filtered_history(losses), fit_history(losses)
    >>> filtered.var(0.95) > 1.5 * plain.var(0.95)
    True
    >>> week = filtered.paths(5, 1000, rng=rng).sum(axis=1)
    >>> bool(np.quantile(week, 0.95) > filtered.var(0.95))
    True
    """

    mean: float
    garch: Garch
    squares: Floats
    variances: Floats
    shock: LossModel

    @property
    def variance(self) -> float:
        """Variance of the next day's loss. [$2]"""
        past = self.garch.alpha @ self.squares + self.garch.beta @ self.variances
        return float(self.garch.omega + past)

    @property
    def std(self) -> float:
        """Standard deviation of the next day's loss. [$]"""
        return float(np.sqrt(self.variance))

    def var(self, level: float) -> float:
        """Value at risk of the next day. [$]"""
        return self.mean + self.std * self.shock.var(checked_level(level))

    def cvar(self, level: float) -> float:
        """Mean of the worst ``1 - level`` share of the next day's losses. [$]"""
        return self.mean + self.std * self.shock.cvar(checked_level(level))

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Losses of the next day, shape (n,). [$]"""
        return self.mean + self.std * self.shock.sample(n, rng=rng)

    def paths(self, n_steps: int, n_paths: int, *, rng: np.random.Generator) -> Floats:
        """
        Losses of the next `n_steps` days, shape (n_paths, n_steps): each day's shock moves the variance of those after.

        The risk of a week is then that of the paths' sums, which the square root of time would miss. Meant for days
        and weeks: shocks from history need not have mean square 1, and over seasons the variance may drift.

        Raises
        ------
        DataError
            If `n_steps` or `n_paths` is below 1.
        """
        if n_steps < 1 or n_paths < 1:
            raise DataError(f"n_steps and n_paths must be at least 1, got {n_steps} and {n_paths}")
        squares = np.tile(self.squares, (n_paths, 1))
        variances = np.tile(self.variances, (n_paths, 1))
        losses = np.empty((n_paths, n_steps))
        for step in range(n_steps):
            variance = self.garch.omega + squares @ self.garch.alpha + variances @ self.garch.beta
            deviation = np.sqrt(variance) * self.shock.sample(n_paths, rng=rng)
            losses[:, step] = self.mean + deviation
            squares = np.column_stack([deviation**2, squares[:, :-1]])
            variances = np.column_stack([variance, variances])[:, : len(self.garch.beta)]
        return losses

    def updated(self, history: ArrayLike) -> "FilteredLoss":
        """
        The model after another history: the mean and the recursion are kept and run through it.

        Shocks that come from history are then those of the new one; the parameters of other laws are kept.
        """
        return _filtered(_checked(history), self.mean, self.garch, lambda shocks: updated(self.shock, shocks))


def fit_filtered(
    history: ArrayLike, fit_shock: Callable[[ArrayLike], LossModel], *, p: int = 1, q: int = 1
) -> FilteredLoss:
    """
    GARCH volatility, and the law that `fit_shock` finds in the losses standardised by it.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses in order, at least 50. [$]
    fit_shock : callable
        From standardised shocks to their law, such as any member of `LOSS_MODELS`.
    p, q : int
        Orders of the recursion.

    Returns
    -------
    FilteredLoss

    Raises
    ------
    DataError
        If there are fewer than 50 losses, one is not finite, all are equal, or `fit_shock` refuses the shocks.

    Examples
    --------
    >>> from gridlab.risk.parametric import fit_cornish_fisher
    >>> model = fit_filtered(np.random.default_rng(0).normal(3.0, 2.0, size=500), fit_cornish_fisher)
    >>> round(model.cvar(0.0), 1), type(model.shock).__name__
    (2.9, 'CornishFisher')
    """
    losses = _checked(history)
    mean = float(losses.mean())
    return _filtered(losses, mean, fit_garch(losses - mean, p=p, q=q), fit_shock)


def fit_filtered_history(history: ArrayLike) -> FilteredLoss:
    """
    Filtered historical simulation: past losses over their GARCH volatility, drawn again and scaled by today's.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses in order, at least 50. [$]

    Returns
    -------
    FilteredLoss

    Raises
    ------
    DataError
        As `fit_filtered`.

    References
    ----------
    .. [1] J. Hull and A. White, "Incorporating volatility updating into the historical simulation method for
       value-at-risk," J. Risk 1(1), 1998, doi:10.21314/JOR.1998.001.
    .. [2] G. Barone-Adesi, K. Giannopoulos and L. Vosper, "VaR without correlations for portfolios of derivative
       securities," J. Futures Markets 19(5), 1999,
       doi:10.1002/(SICI)1096-9934(199908)19:5<583::AID-FUT5>3.0.CO;2-S.

    Examples
    --------
    >>> model = fit_filtered_history(np.random.default_rng(0).normal(0.0, 2.0, size=500))
    >>> 3.0 < model.var(0.95) < 3.6
    True
    """
    return fit_filtered(history, fit_history)


def fit_garch_normal(history: ArrayLike) -> FilteredLoss:
    """
    GARCH volatility with normal shocks.

    The recursion is that of the other filtered models, fitted with Student t shocks; its level is then set by the
    mean square of the shocks, which keeps the variance right whatever their law [1]_.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses in order, at least 50. [$]

    Returns
    -------
    FilteredLoss

    Raises
    ------
    DataError
        As `fit_filtered`.

    References
    ----------
    .. [1] J. Fan, L. Qi and D. Xiu, "Quasi-maximum likelihood estimation of GARCH models with heavy-tailed
       likelihoods," J. Business & Economic Statistics 32(2), 2014, doi:10.1080/07350015.2013.840239.

    Examples
    --------
    >>> model = fit_garch_normal(np.random.default_rng(0).normal(0.0, 2.0, size=500))
    >>> 3.0 < model.var(0.95) < 3.6
    True
    """
    return fit_filtered(history, lambda shocks: Normal(0.0, float(np.sqrt(np.mean(np.square(shocks))))))


def fit_garch_student(history: ArrayLike) -> FilteredLoss:
    """
    GARCH volatility with Student t shocks of variance 1, both by one maximum likelihood.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses in order, at least 50. [$]

    Returns
    -------
    FilteredLoss

    Raises
    ------
    DataError
        As `fit_filtered`.

    References
    ----------
    .. [1] T. Bollerslev, "A conditionally heteroskedastic time series model for speculative prices and rates of
       return," Review of Economics and Statistics 69(3), 1987, doi:10.2307/1925546.

    Examples
    --------
    >>> model = fit_garch_student(np.random.default_rng(0).normal(0.0, 2.0, size=500))
    >>> 3.0 < model.var(0.95) < 3.6
    True
    """
    losses = _checked(history)
    mean = float(losses.mean())
    garch = fit_garch(losses - mean)
    law = Student(0.0, float(np.sqrt((garch.nu - 2) / garch.nu)), garch.nu)
    return _filtered(losses, mean, garch, lambda _: law)


def fit_garch_pareto(history: ArrayLike) -> FilteredLoss:
    """
    GARCH volatility with peaks over threshold of the shocks: conditional extreme value theory.

    The tail is that of the probability-weighted moments, whose mean is finite for every history.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses in order, at least 100, so that 10 shocks lie in the tail. [$]

    Returns
    -------
    FilteredLoss

    Raises
    ------
    DataError
        As `fit_filtered` and `fit_generalised_pareto`.

    References
    ----------
    .. [1] A. J. McNeil and R. Frey, "Estimation of tail-related risk measures for heteroscedastic financial time
       series: an extreme value approach," J. Empirical Finance 7, 2000, doi:10.1016/S0927-5398(00)00012-8.

    Examples
    --------
    >>> model = fit_garch_pareto(np.random.default_rng(0).normal(0.0, 2.0, size=500))
    >>> 4.2 < model.var(0.99) < 5.4
    True
    """
    return fit_filtered(history, lambda shocks: fit_generalised_pareto(shocks, estimator="moments"))


def _checked(history: ArrayLike) -> Floats:
    return checked_history(history, least=LEAST_SHOCKS, varies=True)


def _filtered(losses: Floats, mean: float, garch: Garch, law_of: Callable[[ArrayLike], LossModel]) -> FilteredLoss:
    deviations = losses - mean
    variance = garch.variance(deviations)[:-1]
    p, q = len(garch.alpha), len(garch.beta)
    shocks = deviations / np.sqrt(variance)
    return FilteredLoss(mean, garch, deviations[::-1][:p] ** 2, variance[::-1][:q], law_of(shocks))
