"""What drives a risk: the part of each service in a measure of the whole, alone, and at the margin."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.risk.historical import Floats, as_probabilities, as_series, checked_level, cvar, var

Measure = Literal["cvar", "var", "std"]

_ROUNDING = 1e-12  # share of the greatest loss by which two losses differ by rounding alone
_NO_RISK = 1e-9  # share of the contributions' sizes up to which the whole has no risk to share
_TOTAL = "total"


def contributions(
    losses: ArrayLike, level: float = 0.95, *, measure: Measure = "cvar", weights: ArrayLike | None = None
) -> Floats:
    r"""
    Part of each service in a measure of the whole: Euler's allocation, which sums to the measure.

    The measures are homogeneous of degree 1, so the whole is the sum of :math:`x_i \partial \rho / \partial x_i` over
    the services' sizes [1]_. For the CVaR that is the mean loss of the service over the tail of the whole, in which
    the scenario at the boundary counts for the part of it inside; for the VaR its mean loss over the scenarios at the
    boundary; for the standard deviation its covariance with the whole over the deviation of the whole.

    Where scenarios tie at the boundary the derivative is not one number: each tied scenario then counts in proportion
    to its probability, so that the order of the rows does not matter; of equal ones that is the mean over the orders
    in which they could lie. The VaR by history rests on few scenarios, so its parts jump from sample to sample.

    Parameters
    ----------
    losses : array_like, shape (n_scenarios, n_services)
        Loss of each service in each scenario, positive when money is paid; the whole is the sum of a row. [$]
    level : float
        Confidence level, ``0 <= level < 1``; the standard deviation has none. [-]
    measure : {"cvar", "var", "std"}
        What is allocated.
    weights : array_like, shape (n_scenarios,), optional
        Scenario probabilities, scaled here to sum to 1. Equal when omitted. [-]

    Returns
    -------
    ndarray, shape (n_services,)
        Parts that sum to the measure of the whole; zeros where the standard deviation of the whole is zero. [$]

    Raises
    ------
    DataError
        If `level` is outside [0, 1), `losses` is no table of finite numbers, there is no such measure, or `weights`
        are negative, all zero or of another length.

    References
    ----------
    .. [1] D. Tasche, "Capital allocation to business units and sub-portfolios: the Euler principle," in Pillar II in
       the New Basel Accord, Risk Books, 2008, arXiv:0708.2542.

    Examples
    --------
    >>> losses = [[0, 0], [1, 1], [4, 6], [30, -10]]  # in all 0, 2, 10, 20
    >>> contributions(losses, 0.5).tolist()
    [17.0, -2.0]
    >>> contributions(losses, 0.75, measure="var").tolist()
    [4.0, 6.0]
    """
    table = _checked(losses)
    probability, whole = as_probabilities(weights, len(table)), _whole(table)
    if measure == "cvar":
        return np.asarray(tail_shares(whole, level, weights=weights) @ table)
    if measure == "var":
        tied = np.where(_ties(whole, float(var(whole, level, weights=weights))), probability, 0.0)
        return np.asarray(tied @ table / tied.sum())
    _require_measure(measure)
    centred = whole - probability @ whole
    deviation = np.sqrt(probability @ centred**2)
    if deviation <= _ROUNDING * np.abs(table).max():
        return np.zeros(table.shape[1])
    return np.asarray((probability * centred) @ table / deviation)


def incremental(
    losses: ArrayLike, level: float = 0.95, *, measure: Measure = "cvar", weights: ArrayLike | None = None
) -> Floats:
    """
    By how much each service raises the measure: that of the whole less that of the whole without it.

    Parameters
    ----------
    losses, level, measure, weights
        As in `contributions`.

    Returns
    -------
    ndarray, shape (n_services,)
        Negative for a service that hedges the others. They do not sum to the measure of the whole. [$]

    Raises
    ------
    DataError
        As in `contributions`.

    Examples
    --------
    >>> incremental([[0, 0], [1, 1], [4, 6], [30, -10]], 0.5).tolist()  # 15, less -2 and less 17
    [11.5, -2.0]
    """
    table = _checked(losses)
    without = table.sum(axis=1) - table.T
    return _measured(_whole(table), level, measure, weights) - _measured(without, level, measure, weights)


def standalone(
    losses: ArrayLike, level: float = 0.95, *, measure: Measure = "cvar", weights: ArrayLike | None = None
) -> Floats:
    """
    The measure of each service by itself, shape (n_services,). [$]

    Parameters
    ----------
    losses, level, measure, weights
        As in `contributions`.

    Raises
    ------
    DataError
        As in `contributions`.

    Examples
    --------
    >>> standalone([[0, 0], [1, 1], [4, 6], [30, -10]], 0.5).tolist()
    [17.0, 3.5]
    """
    return _measured(_checked(losses).T, level, measure, weights)


def attribution(
    losses: pd.DataFrame, level: float = 0.95, *, measure: Measure = "cvar", weights: ArrayLike | None = None
) -> pd.DataFrame:
    """
    What drives the risk of the whole, by service.

    Parameters
    ----------
    losses : DataFrame, shape (n_scenarios, n_services)
        Loss of each service, a column a service. [$]
    level, measure, weights
        As in `contributions`.

    Returns
    -------
    DataFrame
        Index `service`, the last row `total` with the sums; columns `standalone`, `contribution` [$], `share` of the
        whole [-] and `incremental` [$]. The total of `contribution` is the measure of the whole; those of `standalone`
        and `incremental` are sums alone, of no position that could be held. The first less the measure of the whole is
        what diversification saves: `diversification_benefit`. `share` is NaN where the measure of the whole is not
        above zero, by a billionth of the contributions' sizes: a share of nothing has no size, and one of a gain, as
        where even the tail earns, would give the service that loses most the least share.

    Raises
    ------
    DataError
        As in `contributions`, or if `losses` is no DataFrame or a service is named `total`.

    Examples
    --------
    >>> losses = pd.DataFrame({"energy": [0, 1, 4, 30], "hash": [0, 1, 6, -10]})
    >>> attribution(losses, 0.5).round(2).loc["total"].tolist()
    [20.5, 15.0, 1.0, 9.5]
    """
    if not isinstance(losses, pd.DataFrame):
        raise DataError(f"losses must be a DataFrame with a column a service, got {type(losses).__name__}: name them")
    if _TOTAL in losses.columns:
        raise DataError(f"a service is named '{_TOTAL}', which is the name of the last row: rename it")
    columns = {"standalone": standalone, "contribution": contributions, "incremental": incremental}
    made = {name: made_by(losses, level, measure=measure, weights=weights) for name, made_by in columns.items()}
    table = 0.0 + pd.DataFrame(made, index=pd.Index(losses.columns, name="service"))
    table.loc[_TOTAL] = table.sum()
    whole = float(table.loc[_TOTAL, "contribution"])
    least = _NO_RISK * table["contribution"].drop(_TOTAL).abs().sum()
    table["share"] = table["contribution"] / (whole if whole > least else np.nan)
    return table[["standalone", "contribution", "share", "incremental"]]


def diversification_benefit(
    losses: ArrayLike, level: float = 0.95, *, measure: Measure = "cvar", weights: ArrayLike | None = None
) -> float:
    """
    What the services save by being held together: the sum of the measures of each less the measure of the whole. [$]

    It is not negative for the CVaR and the standard deviation, which are subadditive; for the VaR it may be.

    Parameters
    ----------
    losses, level, measure, weights
        As in `contributions`.

    Raises
    ------
    DataError
        As in `contributions`.

    Examples
    --------
    >>> diversification_benefit([[0, 0], [1, 1], [4, 6], [30, -10]], 0.5)
    5.5
    """
    alone = standalone(losses, level, measure=measure, weights=weights)
    return float(alone.sum() - _measured(_whole(_checked(losses)), level, measure, weights))


def tail_shares(loss: ArrayLike, level: float = 0.95, *, weights: ArrayLike | None = None) -> Floats:
    """
    Share of each scenario in the tail: ``tail_shares(loss) @ loss`` is the CVaR, and the shares its derivative.

    Parameters
    ----------
    loss : array_like, shape (n_scenarios,)
        Loss of each scenario. [$]
    level, weights
        As in `contributions`. Scenarios that tie at the boundary share what is left of the tail by probability.

    Returns
    -------
    ndarray, shape (n_scenarios,)
        Not negative, of sum 1. [-]

    Raises
    ------
    DataError
        If `level` is outside [0, 1), `loss` is no series of finite numbers, or `weights` are negative, all zero or of
        another length.

    Examples
    --------
    >>> tail_shares([0, 1, 2, 3, 4], 0.75).round(6).tolist()
    [0.0, 0.0, 0.0, 0.2, 0.8]
    >>> tail_shares([7, 1, 7, 7], 0.5).round(6).tolist()
    [0.333333, 0.0, 0.333333, 0.333333]
    """
    if np.ndim(loss) != 1:
        raise DataError(f"loss must have shape (n_scenarios,), got {np.shape(loss)}")
    loss = as_series(loss, "loss", "scenarios")
    level = checked_level(level)
    probability, worst_first = as_probabilities(weights, len(loss)), np.argsort(-loss)
    reached = np.minimum(np.cumsum(probability[worst_first]), 1 - level)
    shares = np.empty(len(loss))
    shares[worst_first] = np.diff(reached, prepend=0.0)
    tied = _ties(loss, loss[shares > 0].min())
    shares[tied] = probability[tied] * (shares[tied].sum() / probability[tied].sum())
    return np.asarray(shares / shares.sum())


def _measured(loss: Floats, level: float, measure: Measure, weights: ArrayLike | None) -> Floats:
    """The measure of losses whose scenarios lie along the last axis."""
    _require_measure(measure)
    if measure == "cvar":
        return cvar(loss, level, weights=weights)
    if measure == "var":
        return var(loss, level, weights=weights)
    probability = as_probabilities(weights, loss.shape[-1])
    centred = loss - (loss @ probability)[..., np.newaxis]
    return np.asarray(np.sqrt(centred**2 @ probability))


def _whole(table: Floats) -> Floats:
    """Sum of each row, zero where services cancel but for rounding."""
    whole = table.sum(axis=1)
    return np.where(np.abs(whole) <= _ROUNDING * np.abs(table).sum(axis=1), 0.0, whole)


def _ties(loss: Floats, boundary: float) -> NDArray[np.bool_]:
    """Scenarios at the boundary, by whatever order their services were summed in."""
    return np.asarray(np.abs(loss - boundary) <= _ROUNDING * np.abs(loss).max())


def _checked(losses: ArrayLike) -> Floats:
    table = np.asarray(losses, dtype=float)
    if table.ndim != 2 or not table.size:
        raise DataError(f"losses must have shape (n_scenarios, n_services), at least one of each, got {table.shape}")
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise DataError(f"losses of scenario {row}, service {column} is {table[row, column]}: fill it or drop the row")
    return table


def _require_measure(measure: str) -> None:
    if measure not in ("cvar", "var", "std"):
        raise DataError(f"measure must be 'cvar', 'var' or 'std', got {measure!r}")
