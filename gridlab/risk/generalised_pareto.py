"""Peaks over threshold: a generalised Pareto law of the losses above a threshold, history below it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import boxcox

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, checked_level, cvar, finite_number, var
from gridlab.risk.laws import checked_history

LEAST_EXCESSES = 10
"""Fewest losses above the threshold from which a tail is fitted."""

LEAST_XI = -0.5
"""Below it the likelihood has no regular maximum."""

GRID = 200
"""Points at which the profile likelihood is looked at before its maximum is refined."""

MOST_SHRUNK, NEAREST = -700.0, 1e-4
"""The lowest point, as its exponential is the least number, and the grid's nearest to 0 as a share of its end."""


@dataclass(frozen=True)
class GeneralisedPareto:
    r"""
    Losses above `threshold` exceed it by a generalised Pareto law; those below are drawn from history.

    ``P(loss > x) = share_above (1 + xi (x - threshold) / beta)**(-1 / xi)`` above the threshold, so that with
    ``r = share_above / (1 - level)`` the VaR is ``threshold + beta (r**xi - 1) / xi`` and the CVaR
    ``(VaR + beta - xi threshold) / (1 - xi)`` [1]_. At the threshold's level, ``1 - share_above``, the VaR of the body
    meets that of the tail, and the CVaR is one continuous function of the level.

    Parameters
    ----------
    xi : float
        Shape: above 0 the tail is a power law, below 0 it ends at ``threshold - beta / xi``. [-]
    beta : float
        Scale, above 0. [$]
    threshold : float
        Where the tail begins. [$]
    share_above : float
        Probability of a loss above the threshold, in (0, 1]. [-]
    body : ndarray, shape (n_losses,)
        Losses that are not above the threshold; without them the law answers from the threshold's level on.

    References
    ----------
    .. [1] A. J. McNeil, R. Frey and P. Embrechts, "Quantitative Risk Management," Princeton, 2nd ed., 2015,
       section 5.2.3.

    Examples
    --------
    >>> model = GeneralisedPareto(xi=0.2, beta=1.0, threshold=2.0, share_above=0.05)
    >>> round(model.var(0.99), 6), round(model.cvar(0.99), 6)
    (3.898648, 5.62331)
    """

    xi: float
    beta: float
    threshold: float
    share_above: float
    body: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        finite_number(self.xi, "xi")
        finite_number(self.threshold, "threshold")
        if not 0 < self.beta < np.inf:
            raise DataError(f"beta must be above 0 and finite, got {self.beta}")
        if not 0 < self.share_above <= 1:
            raise DataError(f"share_above must be in (0, 1], got {self.share_above}")

    def var(self, level: float) -> float:
        """Quantile of the tail, or of the body below the threshold. [$]"""
        level = checked_level(level)
        if level < 1 - self.share_above:
            return float(var(self._body(level), self._level_in_body(level)))
        return self.threshold + self.beta * float(boxcox(self.share_above / (1 - level), self.xi))

    def cvar(self, level: float) -> float:
        """Mean beyond the VaR; refused where `xi` is 1 or more, as it is infinite. [$]"""
        level = checked_level(level)
        if self.xi >= 1:
            raise DataError(
                f"xi is {self.xi:.3g}, and from 1 on the mean beyond the VaR is infinite: take the VaR alone, a longer "
                "history, or fit with estimator='moments', which keeps xi below 1"
            )
        if level >= 1 - self.share_above:
            return (self.var(level) + self.beta - self.xi * self.threshold) / (1 - self.xi)
        tail_mean = self.threshold + self.beta / (1 - self.xi)
        in_body = float(cvar(self._body(level), self._level_in_body(level)))
        return in_body + (tail_mean - in_body) * self.share_above / (1 - level)

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Independent losses, shape (n,). [$]"""
        above = self.threshold + self.beta * boxcox(1 / (1 - rng.random(n)), self.xi)
        if self.share_above == 1:
            return np.asarray(above)
        return np.where(rng.random(n) < self.share_above, above, rng.choice(self._body(0.0), size=n))

    def _body(self, level: float) -> Floats:
        if len(self.body) == 0:
            raise DataError(
                f"level {level:g} lies below the threshold's, {1 - self.share_above:g}, and the law has no body there: "
                "fit it to a history, or ask for a higher level"
            )
        return self.body

    def _level_in_body(self, level: float) -> float:
        return min(level / (1 - self.share_above), float(np.nextafter(1.0, 0.0)))


def fit_generalised_pareto(
    history: ArrayLike, *, threshold_share: float = 0.1, estimator: str = "likelihood"
) -> GeneralisedPareto:
    r"""
    Generalised Pareto tail of the worst losses of a history.

    The threshold is the lower quantile at ``1 - threshold_share``, and the losses strictly above it are the tail's.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses, in any order. [$]
    threshold_share : float
        Share of the losses above the threshold, in (0, 1): a larger one steadies the fit and bends it toward the
        body; `mean_excess` tabulates the choice. [-]
    estimator : str
        "likelihood" takes the greatest likelihood with ``xi >= -0.5``, by a search over the one parameter
        ``xi / beta`` that is left when xi is profiled out [1]_. "moments" takes the probability-weighted moments [2]_,
        steadier for few losses and always below ``xi = 1``, so that the CVaR is finite, and raises xi where the tail
        would end before the greatest loss [3]_; it understates tails of a true xi above about 0.5.

    Returns
    -------
    GeneralisedPareto

    Raises
    ------
    DataError
        If fewer than 10 losses lie above the threshold (ties at the threshold do not), a loss is not finite, all are
        equal, or an option is out of its range.

    References
    ----------
    .. [1] S. D. Grimshaw, "Computing maximum likelihood estimates for the generalized Pareto distribution,"
       Technometrics 35(2), 1993, doi:10.1080/00401706.1993.10485040.
    .. [2] J. R. M. Hosking and J. R. Wallis, "Parameter and quantile estimation for the generalized Pareto
       distribution," Technometrics 29(3), 1987, doi:10.1080/00401706.1987.10488243.
    .. [3] D. J. Dupuis and M. Tsao, "A hybrid estimator for generalized Pareto and extreme-value distributions,"
       Communications in Statistics - Theory and Methods 27(4), 1998, pp. 925-941.

    Examples
    --------
    >>> losses = np.random.default_rng(0).pareto(4.0, size=20_000)  # xi is 1/4
    >>> model = fit_generalised_pareto(losses)
    >>> round(model.xi, 2), model.share_above
    (0.24, 0.1)
    """
    if not 0 < threshold_share < 1:
        raise DataError(f"threshold_share must be in (0, 1), got {threshold_share}")
    if estimator not in _ESTIMATORS:
        raise DataError(f"there is no estimator {estimator!r}: the names are {', '.join(_ESTIMATORS)}")
    losses = checked_history(history, varies=True)
    threshold = float(var(losses, 1 - threshold_share))
    excess = losses[losses > threshold] - threshold
    if len(excess) < LEAST_EXCESSES:
        raise DataError(
            f"{len(excess)} of {len(losses)} losses lie above the threshold {threshold:g}, and the fit needs "
            f"{LEAST_EXCESSES}: give more history or a threshold_share above {threshold_share:g}"
        )
    xi, beta = _ESTIMATORS[estimator](excess)
    return GeneralisedPareto(xi, beta, threshold, len(excess) / len(losses), losses[losses <= threshold])


def mean_excess(history: ArrayLike, *, n_thresholds: int = 40) -> pd.DataFrame:
    """
    What a choice of threshold does, for a plot against it: mean excess, and the tail that would be fitted.

    A generalised Pareto tail begins where the mean excess becomes a straight line, and above it `xi` and `scale` stay
    level within their errors [1]_.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses, in any order. [$]
    n_thresholds : int
        Most rows; thresholds lie at equal steps of the share above, from half of the losses to the least that can
        be fitted.

    Returns
    -------
    DataFrame
        Index `threshold` [$], rising; columns `share_above`, `n_above`, `mean_excess` and `mean_excess_error` [$],
        `xi` and `xi_error`, its asymptotic standard error ``(1 + xi) / sqrt(n)`` [2]_, and `scale`, which is
        ``beta - xi threshold`` and does not depend on the threshold within a generalised Pareto tail. [$]

    Raises
    ------
    DataError
        If there are fewer than 20 losses, one is not finite, or no threshold has 10 losses above it.

    References
    ----------
    .. [1] A. C. Davison and R. L. Smith, "Models for exceedances over high thresholds," J. Royal Statistical Society
       B 52(3), 1990, doi:10.1111/j.2517-6161.1990.tb01796.x.
    .. [2] R. L. Smith, "Estimating tails of probability distributions," Annals of Statistics 15(3), 1987,
       doi:10.1214/aos/1176350499.

    Examples
    --------
    >>> losses = np.random.default_rng(0).exponential(5.0, size=2000)
    >>> table = mean_excess(losses, n_thresholds=4)  # the same at every threshold, within its error
    >>> print(table[["n_above", "mean_excess", "mean_excess_error"]].round(1).to_string(index=False))
     n_above  mean_excess  mean_excess_error
        1000          5.0                0.2
         670          5.1                0.2
         340          5.3                0.3
          10          6.3                1.3
    """
    if n_thresholds < 1:
        raise DataError(f"n_thresholds must be at least 1, got {n_thresholds}")
    losses = checked_history(history, varies=True)
    shares = np.linspace(0.5, min(0.5, LEAST_EXCESSES / len(losses)), n_thresholds)
    thresholds = np.unique([float(var(losses, 1 - share)) for share in shares])
    rows = [_threshold_row(losses, threshold) for threshold in thresholds]
    table = pd.DataFrame([row for row in rows if row["n_above"] >= LEAST_EXCESSES])
    if table.empty:
        raise DataError(f"no threshold has {LEAST_EXCESSES} of the {len(losses)} losses above it: give more history")
    return table.astype({"n_above": int}).set_index("threshold")


def _threshold_row(losses: Floats, threshold: float) -> dict[str, float]:
    excess = losses[losses > threshold] - threshold
    n_above = len(excess)
    if n_above < LEAST_EXCESSES:
        return {"n_above": n_above}
    xi, beta = _by_likelihood(excess)
    return {
        "threshold": threshold,
        "share_above": n_above / len(losses),
        "n_above": n_above,
        "mean_excess": float(excess.mean()),
        "mean_excess_error": float(excess.std(ddof=1) / np.sqrt(n_above)),
        "xi": xi,
        "xi_error": (1 + xi) / np.sqrt(n_above),
        "scale": beta - xi * threshold,
    }


def _by_likelihood(excess: Floats) -> tuple[float, float]:
    """Shape and scale of the greatest likelihood, over ``s = log(1 + xi / beta * greatest excess)``."""
    from scipy.optimize import minimize_scalar

    greatest = float(excess.max())
    y = excess / greatest

    def cost(s: float) -> float:
        return float(np.log(_scale(s, y))) + _shape(s, y)

    grid = _grid(y)
    best = int(np.argmin([cost(s) for s in grid]))
    bracket = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    refined = minimize_scalar(cost, bounds=bracket, method="bounded", options={"xatol": 1e-12})
    found = min(float(refined.x), float(grid[0]), key=cost)
    return _shape(found, y), _scale(found, y) * greatest


def _shape(s: float, y: Floats) -> float:
    """Likeliest xi, of excesses as shares of the greatest."""
    return float(np.log1p(np.expm1(s) * y).mean() if s > -1 else np.log(1 - y + np.exp(s) * y).mean())


def _scale(s: float, y: Floats) -> float:
    return _shape(s, y) / float(np.expm1(s)) if s else float(y.mean())


def _grid(y: Floats) -> Floats:
    """Points from where xi is -0.5 to where the likelihood only falls, dense about xi = 0."""
    from scipy.optimize import brentq

    lowest = MOST_SHRUNK
    if _shape(lowest, y) < LEAST_XI:
        lowest = float(brentq(lambda s: _shape(s, y) - LEAST_XI, lowest, 0.0))
    highest = 2 - 2 * float(np.log(y.min()))
    below, above = (np.geomspace(NEAREST, 1, GRID // 2) * end for end in (lowest, highest))
    return np.concatenate([below[::-1], [0.0], above])


def _by_moments(excess: Floats) -> tuple[float, float]:
    """Shape and scale of the first two probability-weighted moments, with plotting positions ``(i - 0.35) / n``."""
    rising = np.sort(excess)
    position = (np.arange(1, len(rising) + 1) - 0.35) / len(rising)
    mean, weighted = float(rising.mean()), float((rising * (1 - position)).mean())
    beyond = float(rising[-1]) - mean
    xi = max(2 - mean / (mean - 2 * weighted), LEAST_XI, -mean / beyond if beyond > 0 else LEAST_XI)
    return xi, mean * (1 - xi)


_ESTIMATORS: dict[str, Callable[[Floats], tuple[float, float]]] = {
    "likelihood": _by_likelihood,
    "moments": _by_moments,
}
