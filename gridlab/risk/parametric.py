"""Laws of a loss with a few parameters: normal, Student t, and the normal bent by Cornish and Fisher's expansion."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, ndtr, ndtri, psi, stdtrit

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, checked_level, finite_number
from gridlab.risk.laws import checked_history

MOST_NU = 1000.0
"""Degrees of freedom at which a Student t counts as normal."""

WIDEST = 40.0
"""Most that the logarithm of a scale may differ from that of the middle half of the losses."""

FAR = 40.0
"""Beyond so many standard deviations a normal has no mass that a double can hold."""


@dataclass(frozen=True)
class Normal:
    """
    Normal losses.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation, which may be 0. [$]

    References
    ----------
    .. [1] A. J. McNeil, R. Frey and P. Embrechts, "Quantitative Risk Management," Princeton, 2nd ed., 2015,
       Examples 2.11 and 2.14.

    Examples
    --------
    >>> model = Normal(mean=0.0, std=1.0)
    >>> round(model.var(0.95), 6), round(model.cvar(0.95), 6)
    (1.644854, 2.062713)
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        finite_number(self.mean, "mean")
        _not_negative("std", self.std)

    def var(self, level: float) -> float:
        """Quantile; minus infinity at level 0 unless `std` is 0. [$]"""
        return self.mean + (self.std * float(ndtri(checked_level(level))) if self.std else 0.0)

    def cvar(self, level: float) -> float:
        """Mean beyond the quantile. [$]"""
        return self.mean + self.std * _normal_tail_mean(checked_level(level))

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Independent losses, shape (n,). [$]"""
        return rng.normal(self.mean, self.std, size=n)


@dataclass(frozen=True)
class Student:
    """
    Student t losses.

    Parameters
    ----------
    mean : float
        Centre, which is the mean. [$]
    scale : float
        Scale, above 0: not the standard deviation, which is ``scale * sqrt(nu / (nu - 2))``. [$]
    nu : float
        Degrees of freedom, above 1, so that the mean beyond the VaR is finite. [-]

    References
    ----------
    .. [1] A. J. McNeil, R. Frey and P. Embrechts, "Quantitative Risk Management," Princeton, 2nd ed., 2015,
       Examples 2.12 and 2.15.

    Examples
    --------
    >>> model = Student(mean=0.0, scale=1.0, nu=4.0)
    >>> round(model.var(0.95), 6), round(model.cvar(0.95), 6)
    (2.131847, 3.20287)
    """

    mean: float
    scale: float
    nu: float

    def __post_init__(self) -> None:
        finite_number(self.mean, "mean")
        _not_negative("scale", self.scale)
        if not 1 < self.nu < np.inf:
            raise DataError(f"nu must be above 1 and finite, got {self.nu}: the mean beyond the VaR would be infinite")

    def var(self, level: float) -> float:
        """Quantile, minus infinity at level 0. [$]"""
        return self.mean + self.scale * self._quantile(checked_level(level))

    def cvar(self, level: float) -> float:
        """Mean beyond the quantile. [$]"""
        level, nu = checked_level(level), self.nu
        quantile = self._quantile(level)
        log_density = gammaln((nu + 1) / 2) - gammaln(nu / 2) - np.log(nu * np.pi) / 2
        log_tail = log_density - (nu - 1) / 2 * np.log1p(quantile**2 / nu)
        return self.mean + self.scale * float(np.exp(log_tail)) * nu / (nu - 1) / (1 - level)

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Independent losses, shape (n,). [$]"""
        return self.mean + self.scale * rng.standard_t(self.nu, size=n)

    def _quantile(self, level: float) -> float:
        return float(stdtrit(self.nu, level)) if level > 0 else -np.inf


@dataclass(frozen=True)
class CornishFisher:
    r"""
    Losses ``mean + std * w(z)``, z normal, with Cornish and Fisher's expansion w to the fourth moment.

    ``w(z) = z + (z**2 - 1) S / 6 + (z**3 - 3 z) K / 24 - (2 z**3 - 5 z) S**2 / 36`` for skewness S and excess kurtosis
    K [1]_. Where w rises everywhere (`is_monotone`, Maillard's domain of validity [2]_) the VaR is ``w`` at the normal
    quantile, and the CVaR its exact mean beyond it. Outside the domain that VaR would fall as the level rises; the
    quantiles are then rearranged, put in rising order, which is the law of ``w(z)`` itself and is never further from a
    law's true quantiles [3]_. Far outside, as where one spike makes the whole skewness, the expansion says little:
    look at `is_monotone`, and take peaks over threshold.

    Parameters
    ----------
    mean, std : float
        Mean and scale. [$]
    skewness, excess_kurtosis : float
        S and K, which are the law's own only near 0: see `fit_cornish_fisher`. [-]

    References
    ----------
    .. [1] L. Favre and J.-A. Galeano, "Mean-modified value-at-risk optimization with hedge funds," J. Alternative
       Investments 5(2), 2002, doi:10.3905/jai.2002.319052.
    .. [2] D. Maillard, "A user's guide to the Cornish Fisher expansion," 2012, doi:10.2139/ssrn.1997178.
    .. [3] V. Chernozhukov, I. Fernandez-Val and A. Galichon, "Rearranging Edgeworth-Cornish-Fisher expansions,"
       Economic Theory 42, 2010, doi:10.1007/s00199-008-0431-z.

    Examples
    --------
    >>> model = CornishFisher(mean=0.0, std=1.0, skewness=0.5, excess_kurtosis=1.0)
    >>> round(model.var(0.99), 6), round(model.cvar(0.99), 6), model.is_monotone
    (2.833709, 3.490019, True)
    >>> CornishFisher(0.0, 1.0, skewness=3.0, excess_kurtosis=1.0).is_monotone
    False
    """

    mean: float
    std: float
    skewness: float
    excess_kurtosis: float

    def __post_init__(self) -> None:
        for name in ("mean", "skewness", "excess_kurtosis"):
            finite_number(getattr(self, name), name)
        _not_negative("std", self.std)

    @property
    def is_monotone(self) -> bool:
        """Whether skewness and kurtosis lie where the expansion rises everywhere."""
        _, slope, bend, cube = self._expansion
        return bool(slope >= 0 and cube >= 0 and bend**2 <= 3 * slope * cube)

    def var(self, level: float) -> float:
        """Quantile of the expansion, rearranged outside the domain. [$]"""
        return self.mean + (self.std * self._quantile(checked_level(level)) if self.std else 0.0)

    def cvar(self, level: float) -> float:
        """Mean of the expansion beyond the VaR. [$]"""
        level = checked_level(level)
        if level == 0:
            return self.mean
        if not self.is_monotone:
            return self.mean + self.std * _law_tail_mean(self._expansion, self._quantile(level), level)
        z, S, K = float(ndtri(level)), self.skewness, self.excess_kurtosis
        bent = 1 + z * S / 6 + (z**2 - 1) * K / 24 - (2 * z**2 - 1) * S**2 / 36
        return self.mean + self.std * _normal_tail_mean(level) * bent

    def sample(self, n: int, *, rng: np.random.Generator) -> Floats:
        """Independent losses, shape (n,). [$]"""
        return self.mean + self.std * _polynomial(self._expansion, rng.standard_normal(n))

    @property
    def _expansion(self) -> Floats:
        """Coefficients of w, of the constant first."""
        S, K = self.skewness, self.excess_kurtosis
        return np.array([-S / 6, 1 - K / 8 + 5 * S**2 / 36, S / 6, K / 24 - S**2 / 18])

    def _quantile(self, level: float) -> float:
        if level > 0 and not self.is_monotone:
            return _law_quantile(self._expansion, level)
        z = float(ndtri(level))
        return float(_polynomial(self._expansion, z)) if level > 0 else z


def fit_normal(history: ArrayLike) -> Normal:
    """
    Normal law with the mean and the standard deviation (of ``n - 1``) of the losses.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses, at least 20. Losses that are all equal give a law that is that loss. [$]

    Returns
    -------
    Normal

    Raises
    ------
    DataError
        If there are fewer than 20 losses, or one is not finite.

    Examples
    --------
    >>> fit_normal(np.arange(21.0)).mean
    10.0
    """
    losses = checked_history(history)
    return Normal(*_moments(losses))


def fit_student(history: ArrayLike, *, least_nu: float = 2.0) -> Student:
    """
    Student t law by maximum likelihood.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses, at least 20. [$]
    least_nu : float
        Fewest degrees of freedom, above 1; at the default the variance is finite for every larger number. Heavier
        tails than the bound's are understated. The most is 1,000, which is normal. [-]

    Returns
    -------
    Student

    Raises
    ------
    DataError
        If there are fewer than 20 losses, one is not finite, `least_nu` is outside (1, 1000), or so many losses are
        equal that the likelihood has no maximum: a share of ``least_nu / (least_nu + 1)``.

    References
    ----------
    .. [1] K. L. Lange, R. J. A. Little and J. M. G. Taylor, "Robust statistical modeling using the t distribution,"
       J. American Statistical Association 84, 1989, doi:10.1080/01621459.1989.10478852.

    Examples
    --------
    >>> losses = np.random.default_rng(0).standard_t(4, size=4000)
    >>> 3.5 < fit_student(losses).nu < 4.5
    True
    """
    from scipy.optimize import minimize

    if not 1 < least_nu < MOST_NU:
        raise DataError(f"least_nu must be in (1, {MOST_NU:g}), got {least_nu}")
    losses = checked_history(history, varies=True)
    _refuse_ties(losses, least_nu)
    centre, unit = float(np.median(losses)), _spread(losses)
    x = (losses - centre) / unit
    bounds = [(x.min(), x.max()), (-WIDEST, WIDEST), (np.log(least_nu), np.log(MOST_NU))]
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 500}
    starts = [[0.0, np.log(0.7), np.log(max(least_nu, nu))] for nu in (3.0, 30.0)]
    fits = [
        minimize(_student_cost, start, args=(x,), jac=True, bounds=bounds, method="L-BFGS-B", options=options)
        for start in starts
    ]
    mean, log_scale, log_nu = min(fits, key=lambda fit: float(fit.fun)).x
    return Student(centre + unit * float(mean), unit * float(np.exp(log_scale)), float(np.exp(log_nu)))


def fit_cornish_fisher(history: ArrayLike, *, match_moments: bool = False) -> CornishFisher:
    """
    Cornish-Fisher law from the first four moments of the losses.

    The moments enter the expansion as its parameters, as is usual ("modified VaR"). The law then has other moments,
    with fatter tails the further they are from the normal's; `match_moments` solves for the parameters whose law has
    the moments of the losses, where its domain has them.

    Parameters
    ----------
    history : array_like, shape (n_losses,)
        Losses, at least 20. Losses that are all equal give a law that is that loss. [$]
    match_moments : bool
        Whether the law, and not the expansion's parameters, takes the moments of the losses.

    Returns
    -------
    CornishFisher

    Raises
    ------
    DataError
        If there are fewer than 20 losses, one is not finite, or no law of the domain has their moments.

    References
    ----------
    .. [1] D. Maillard, "A user's guide to the Cornish Fisher expansion," 2012, doi:10.2139/ssrn.1997178.

    Examples
    --------
    >>> losses = np.random.default_rng(0).logistic(size=20_000)  # excess kurtosis 1.2
    >>> fit_cornish_fisher(losses).is_monotone
    True
    >>> laws = fit_cornish_fisher(losses), fit_cornish_fisher(losses, match_moments=True)
    >>> [round(law.var(0.99), 2) for law in laws], round(float(np.quantile(losses, 0.99)), 2)
    ([4.77, 4.59], 4.69)
    """
    losses = checked_history(history)
    mean, std = _moments(losses)
    if std == 0:
        return CornishFisher(mean, 0.0, 0.0, 0.0)
    standardised = (losses - losses.mean()) / losses.std()
    skewness, excess = float(np.mean(standardised**3)), float(np.mean(standardised**4)) - 3
    return _matched(mean, std, skewness, excess) if match_moments else CornishFisher(mean, std, skewness, excess)


def _not_negative(name: str, value: float) -> None:
    if not 0 <= value < np.inf:
        raise DataError(f"{name} must be finite and not negative, got {value}")


def _moments(losses: Floats) -> tuple[float, float]:
    """Mean and standard deviation, exact where all losses are equal."""
    if np.ptp(losses) == 0:
        return float(losses[0]), 0.0
    return float(losses.mean()), float(losses.std(ddof=1))


def _normal_tail_mean(level: float) -> float:
    """Mean of a standard normal beyond its quantile."""
    return float(_density(ndtri(level))) / (1 - level)


def _density(z: Any) -> Floats:
    return np.asarray(np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi))


def _spread(losses: Floats) -> float:
    """A scale that a few spikes do not move; the standard deviation where half of the losses are equal."""
    lower, upper = np.quantile(losses, [0.25, 0.75])
    return float((upper - lower) / 1.35 if upper > lower else losses.std())


def _refuse_ties(losses: Floats, least_nu: float) -> None:
    """The likelihood grows without bound about a value that so large a share of the losses has."""
    values, counts = np.unique(losses, return_counts=True)
    most, limit = int(counts.max()), least_nu / (least_nu + 1)
    if most >= limit * len(losses):
        raise DataError(
            f"{most} of {len(losses)} losses are {values[counts.argmax()]:g}, and from a share of {limit:.2f} on a "
            "Student t has no likeliest scale: take 'history' or 'normal'"
        )


def _student_cost(parameters: Floats, x: Floats) -> tuple[float, Floats]:
    """Mean negative log-likelihood and its gradient, at the mean and the logs of scale and nu."""
    mean, scale, nu = parameters[0], np.exp(parameters[1]), np.exp(parameters[2])
    z = (x - mean) / scale
    pull = (nu + 1) / (nu + z**2)
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - np.log(nu * np.pi) / 2 - parameters[1]
    logs = np.log1p(z**2 / nu)
    by_nu = (psi((nu + 1) / 2) - psi(nu / 2) - 1 / nu - logs.mean() + (pull * z**2).mean() / nu) / 2
    gradient = np.array([(pull * z).mean() / scale, (pull * z**2).mean() - 1, by_nu * nu])
    return float((nu + 1) / 2 * logs.mean() - constant), -gradient


def _polynomial(coefficients: Sequence[float] | Floats, z: Any) -> Floats:
    constant, linear, square, cube = coefficients
    return cast(Floats, constant + z * (linear + z * (square + z * cube)))


def _law_quantile(expansion: Floats, level: float) -> float:
    """Quantile of ``w(z)``, z normal: where the probability of ``w(z) > y`` falls to ``1 - level``."""
    from scipy.optimize import brentq

    end = -float(ndtri(min(level, 1 - level) / 4))
    reached = _polynomial(expansion, _stations(expansion, end))
    return float(brentq(lambda y: _above(expansion, y)[0] - (1 - level), reached.min(), reached.max(), xtol=1e-14))


def _law_tail_mean(expansion: Floats, quantile: float, level: float) -> float:
    """Mean of ``w(z)`` beyond its quantile, ``y + E[(w(z) - y)+] / (1 - level)``."""
    share, mean = _above(expansion, quantile)
    return quantile + (mean - quantile * share) / (1 - level)


def _above(expansion: Floats, y: float) -> tuple[float, float]:
    """Probability of ``w(z) > y``, z normal, and the mean of ``w(z)`` there and 0 elsewhere."""
    pieces = [_piece_above(expansion, y, *ends) for ends in pairwise(_stations(expansion, FAR))]
    moments = _partial_moments(*np.array(pieces).T)
    return float(moments[0].sum()), float((expansion @ moments).sum())


def _stations(expansion: Floats, end: float) -> Floats:
    """Where w turns between -end and end, and these ends; between two stations it rises or falls."""
    slope, twice_bend, thrice_cube = (float(value) for value in expansion[1:] * [1, 2, 3])
    discriminant = twice_bend**2 - 4 * thrice_cube * slope
    turns = []
    if discriminant > 0:
        larger = -(twice_bend + np.copysign(np.sqrt(discriminant), twice_bend)) / 2
        turns = [larger / thrice_cube if abs(thrice_cube) * end > abs(larger) else np.inf, slope / larger]
    return np.sort([-end, *(turn for turn in turns if abs(turn) < end), end])


def _piece_above(expansion: Floats, y: float, start: float, stop: float) -> tuple[float, float]:
    """The part of a piece on which w is above y, of length 0 where it is nowhere."""
    from scipy.optimize import brentq

    shifted = (expansion - [y, 0.0, 0.0, 0.0]).tolist()
    starts, stops = (bool(_polynomial(shifted, end) > 0) for end in (start, stop))
    if starts == stops:
        return (start, stop) if starts else (start, start)
    crossing = float(brentq(lambda z: _polynomial(shifted, z), start, stop))
    return (start, crossing) if starts else (crossing, stop)


def _partial_moments(lower: Floats, upper: Floats) -> Floats:
    """Integrals of ``z**k`` times the normal density from lower to upper, k = 0 to 3, shape (4, n)."""
    share = np.where(lower > 0, ndtr(-lower) - ndtr(-upper), ndtr(upper) - ndtr(lower))
    first, second, third = (lower**k * _density(lower) - upper**k * _density(upper) for k in range(3))
    return np.stack([share, first, share + second, 2 * first + third])


def _matched(mean: float, std: float, skewness: float, excess: float) -> CornishFisher:
    """The law of the domain that has these moments."""
    from scipy.optimize import root

    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    probability = weights / weights.sum()

    def law_moments(S: float, K: float) -> Floats:
        w = _polynomial(CornishFisher(0.0, 1.0, S, K)._expansion, nodes)
        spread = np.sqrt(probability @ w**2)
        return np.array([probability @ (w / spread) ** 3, probability @ (w / spread) ** 4 - 3, spread])

    found = root(lambda point: law_moments(*point)[:2] - [skewness, excess], [skewness / 2, excess / 4], tol=1e-12)
    S, K = (float(value) for value in found.x)
    model = CornishFisher(mean, std / float(law_moments(S, K)[2]), S, K)
    if not (found.success and model.is_monotone):
        raise DataError(
            f"no Cornish-Fisher law of the domain has skewness {skewness:.3g} and excess kurtosis {excess:.3g}: "
            "take 'pot' or 'student'"
        )
    return model
