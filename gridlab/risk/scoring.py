"""
Scores of a value at risk and of a pair of VaR and CVaR, by which models are compared: the lower the mean, the better.

Each is strictly consistent: its expectation is least at the true measures and nowhere else. A day has one score, so
that the tests of `gridlab.evaluate` can say whether two models differ by more than chance.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, as_numbers, checked_level, finite, finite_number, refuse_other_index
from gridlab.risk.historical import cvar as historical_cvar

Form = Literal["logistic", "zero_homogeneous"]

_ROUNDING = 1e-9  # by so much, relative to their size, a CVaR may lie below its VaR


class Measured(NamedTuple):
    """Losses and the measures that a model gave for them, of one shape (..., n_days); no CVaR is below its VaR."""

    loss: Floats
    var: Floats
    cvar: Floats


def quantile_score(loss: ArrayLike, var: ArrayLike, level: float) -> Floats:
    """
    Quantile score of a VaR: ``level`` of what the loss is above it, and ``1 - level`` of what it is below.

    Parameters
    ----------
    loss : array_like, shape (..., n_days)
        What was lost, positive when money is paid. [$]
    var : array_like, shape (..., n_days), or what broadcasts with it
        Value at risk said for the day. [$]
    level : float
        Confidence level of the VaR, ``0 < level < 1``. [-]

    Returns
    -------
    ndarray, shape (..., n_days)
        Score of each day. [$]

    Raises
    ------
    DataError
        If `level` is outside (0, 1), a value is not finite, an argument is a DataFrame, or the shapes or indices do not
        fit.

    References
    ----------
    .. [1] T. Gneiting, "Making and evaluating point forecasts," J. American Statistical Association 106(494), 2011,
       theorem 9, doi:10.1198/jasa.2011.r10138.

    Examples
    --------
    >>> quantile_score([0.0, 10.0, 30.0], 10.0, level=0.9).round(6).tolist()
    [1.0, 0.0, 18.0]
    """
    level = checked_level(level, above_zero=True)
    loss, var, _ = checked_measures(loss, var, var, level)
    return np.asarray(np.maximum(loss - var, 0.0) - (1 - level) * (loss - var))


def fissler_ziegel(
    loss: ArrayLike,
    var: ArrayLike,
    cvar: ArrayLike,
    level: float,
    *,
    form: Form = "logistic",
    centre: float | None = None,
    scale: float | None = None,
) -> Floats:
    r"""
    Fissler and Ziegel's score of a pair of VaR and CVaR.

    With :math:`\alpha = 1 - level`, VaR :math:`v`, CVaR :math:`c` and :math:`m = v + (loss - v)^+ / \alpha - c`, which
    is 0 on average where both are right:

    - ``"logistic"``: :math:`QS(v) + G(c) m - s \log(1 + e^{-(c - k) / s})` with the quantile score :math:`QS` and
      :math:`G(c) = 1 / (1 + e^{(c - k) / s})`, for measures of any sign [2]_.
    - ``"zero_homogeneous"``: :math:`m / c + \log c`, FZ0 [3]_, for a CVaR above 0. A change of currency moves all
      scores by the same amount, and losses of calm and of wild days weigh alike.

    Parameters
    ----------
    loss : array_like, shape (..., n_days)
        What was lost, positive when money is paid. [$]
    var, cvar : array_like, shape (..., n_days), or what broadcasts with it
        Value at risk and conditional value at risk said for the day; not ``cvar < var``. [$]
    level : float
        Confidence level of both, ``0 < level < 1``. [-]
    form : {"logistic", "zero_homogeneous"}
        Member of the family. The best days of a battery may leave it with a gain even in its worst days, a negative
        CVaR, so that the one without a sign is the default.
    centre, scale : float, optional
        :math:`k` and :math:`s` of the logistic, which say where it tells CVaRs apart: `centre` is the CVaR of the
        losses themselves, and `scale` what it has above their median. Models are compared with the same two. [$]

    Returns
    -------
    ndarray, shape (..., n_days)
        Score of each day, in $ for the logistic. Its difference between two models does not change when a sum is added
        to all losses and measures, and is multiplied when they are. [$] or [-]

    Raises
    ------
    DataError
        As `quantile_score` does, and if a CVaR is below its VaR, there is no such form, `centre` is not finite, `scale`
        is not above 0, or a CVaR is not above 0 where it must be.

    References
    ----------
    .. [1] T. Fissler and J. F. Ziegel, "Higher order elicitability and Osband's principle," Annals of Statistics 44(4),
       2016, corollary 5.5, doi:10.1214/16-AOS1439.
    .. [2] T. Fissler, J. F. Ziegel and T. Gneiting, "Expected shortfall is jointly elicitable with value at risk:
       implications for backtesting," 2015, arXiv:1507.00244.
    .. [3] A. J. Patton, J. F. Ziegel and R. Chen, "Dynamic semiparametric models for expected shortfall (and
       value-at-risk)," J. Econometrics 211(2), 2019, eq. (6), doi:10.1016/j.jeconom.2018.10.008.

    Examples
    --------
    >>> loss = np.random.default_rng(0).normal(-50, 10, 2000)  # a gain on nearly all days
    >>> right = fissler_ziegel(loss, -50 + 16.4485, -50 + 20.6271, 0.95)
    >>> wrong = fissler_ziegel(loss, -50 + 16.4485, -50 + 26.0, 0.95)
    >>> bool(right.mean() < wrong.mean())
    True
    """
    level = checked_level(level, above_zero=True)
    measured = checked_measures(loss, var, cvar, level)
    if form not in ("logistic", "zero_homogeneous"):
        raise DataError(f"form must be 'logistic' or 'zero_homogeneous', got {form!r}")
    if form == "zero_homogeneous":
        return _zero_homogeneous(measured, level)
    worst = historical_cvar(measured.loss, level)[..., np.newaxis]
    above = worst - np.median(measured.loss, axis=-1, keepdims=True)
    if scale is not None and not 0 < scale < np.inf:
        raise DataError(f"scale must be above 0 $, got {scale}")
    k = worst if centre is None else finite_number(centre, "centre")
    s = np.where(above > 0, above, 1.0) if scale is None else scale
    standard = (measured.cvar - k) / s
    quantile = np.maximum(measured.loss - measured.var, 0.0) - (1 - level) * (measured.loss - measured.var)
    return np.asarray(quantile + expit(-standard) * _excess(measured, level) - s * np.logaddexp(0.0, -standard))


def checked_measures(loss: ArrayLike, var: ArrayLike, cvar: ArrayLike, level: float) -> Measured:
    """
    Losses with their measures as arrays of one shape.

    Raises
    ------
    DataError
        If `level` is outside (0, 1), a value is not finite, an argument is a DataFrame, the shapes or indices do not
        fit, or a CVaR is below its VaR.

    Examples
    --------
    >>> checked_measures([1.0, 5.0], 2.0, 3.0, 0.95).cvar.tolist()
    [3.0, 3.0]
    """
    checked_level(level, above_zero=True)
    named = {"loss": loss, "var": var, "cvar": cvar}
    refuse_other_index(**named)
    arrays = {name: finite(as_numbers(values, name), name, "leave out the day") for name, values in named.items()}
    shapes = {name: values.shape for name, values in arrays.items()}
    try:
        together = np.broadcast_arrays(*arrays.values())
    except ValueError as error:
        raise DataError(f"loss, var and cvar must be of the same days, got shapes {shapes}") from error
    if not arrays["loss"].shape[-1:] or together[0].shape[-1] != arrays["loss"].shape[-1] or not together[0].size:
        raise DataError(f"loss needs one value a day along its last axis, got shapes {shapes}")
    measured = Measured(*together)
    below = measured.cvar < measured.var - _ROUNDING * (1 + np.abs(measured.var))
    if below.any():
        said = f"{measured.cvar[below][0]:g} < {measured.var[below][0]:g}"
        raise DataError(
            f"cvar must not be below var, got {said} on {int(below.sum())} days: the model contradicts itself"
        )
    return measured


def _excess(measured: Measured, level: float) -> Floats:
    """What the day says that the CVaR should be, less what it is: 0 on average where the measures are right."""
    loss, var, cvar = measured
    return np.asarray(var + np.maximum(loss - var, 0.0) / (1 - level) - cvar)


def _zero_homogeneous(measured: Measured, level: float) -> Floats:
    cvar = measured.cvar
    if (cvar <= 0).any():
        raise DataError(f"this form needs a CVaR above 0, got {cvar.min():g}: take form='logistic', for any sign")
    return np.asarray(_excess(measured, level) / cvar + np.log(cvar))
