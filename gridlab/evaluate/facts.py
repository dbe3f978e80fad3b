"""Stylised facts: what prices are like, and whether simulated ones are like them."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridlab.days import Floats
from gridlab.errors import DataError

FACTS: Mapping[str, str] = MappingProxyType(
    {
        "mean": "mean [$/MWh]",
        "sd": "standard deviation [$/MWh]",
        "share_spikes": "spikes [share of steps]",
        "share_negative": "below zero [share of steps]",
        "skew": "skewness [-]",
        "kurtosis": "excess kurtosis [-]",
        "change_sd": "standard deviation of the change from step to step [$/MWh]",
        "acf_step": "autocorrelation at one step [-]",
        "acf_24h": "autocorrelation at 24 hours [-]",
        "acf_168h": "autocorrelation at 168 hours [-]",
        "clustering_step": "autocorrelation of the changes' size at one step [-]",
        "clustering_24h": "autocorrelation of the changes' size at 24 hours [-]",
        "day_amplitude": "greatest less least mean by time of day [$/MWh]",
    }
)
"""The facts of `stylised_facts` in words, with units."""

_TO_SD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


def stylised_facts(
    values: ArrayLike,
    *,
    step_hours: float,
    spike_deviations: float = 5.0,
    reference: ArrayLike | None = None,
) -> pd.DataFrame:
    """
    What a series of prices is like, or each of several paths: level, tails, memory and shape of the day.

    Parameters
    ----------
    values : array_like, shape (n_steps,) or (n_paths, n_steps)
        A series, or paths, from midnight on and without gaps. [$/MWh]
    step_hours : float
        Length of a step, which must divide a day. [h]
    spike_deviations : float
        A spike is a price farther from the median than that many robust standard deviations, 1.4826 times the median
        absolute deviation.
    reference : array_like, optional
        Prices whose median and deviation say what a spike is; `values` themselves, all paths together, when omitted.
        [$/MWh]

    Returns
    -------
    DataFrame
        Index `path`; the columns of `FACTS`, whose words name the units. The autocorrelation is the usual one, around
        the path's own mean. NaN where the path is constant, or as short as the lag.

    Raises
    ------
    DataError
        If `values` or `reference` are of another shape, empty or not finite, the step does not divide a day, or
        `spike_deviations` is not positive.

    References
    ----------
    .. [1] R. Weron, "Electricity price forecasting: a review of the state-of-the-art with a look into the future,"
       Int. J. Forecasting 30(4), 2014, section 2.3, doi:10.1016/j.ijforecast.2014.08.008.
    .. [2] R. Cont, "Empirical properties of asset returns: stylized facts and statistical issues," Quantitative Finance
       1(2), 2001, doi:10.1080/713665670.

    Examples
    --------
    >>> day = 30 + 10 * np.sin(2 * np.pi * np.arange(24) / 24)
    >>> facts = stylised_facts(np.tile(day, 28), step_hours=1)
    >>> facts[["mean", "share_spikes", "acf_24h", "day_amplitude"]].round(2).to_dict("records")
    [{'mean': 30.0, 'share_spikes': 0.0, 'acf_24h': 0.96, 'day_amplitude': 20.0}]
    """
    paths = _checked(values, "values")
    day_steps = _steps_in_a_day(step_hours)
    if not spike_deviations > 0:
        raise DataError(f"spike_deviations must be positive, got {spike_deviations}")
    usual = _checked(paths if reference is None else reference, "reference")
    median = np.median(usual)
    far = spike_deviations * _TO_SD * np.median(np.abs(usual - median))
    size = np.abs(np.diff(paths, axis=1))
    shape = _by_slot(paths, day_steps)
    return pd.DataFrame(
        {
            "mean": paths.mean(axis=1),
            "sd": paths.std(axis=1),
            "share_spikes": np.mean(np.abs(paths - median) > far, axis=1),
            "share_negative": np.mean(paths < 0, axis=1),
            "skew": _moment(paths, 3),
            "kurtosis": _moment(paths, 4) - 3,
            "change_sd": np.diff(paths, axis=1).std(axis=1) if paths.shape[1] > 1 else np.nan,
            "acf_step": _autocorrelation(paths, 1),
            "acf_24h": _autocorrelation(paths, day_steps),
            "acf_168h": _autocorrelation(paths, 7 * day_steps),
            "clustering_step": _autocorrelation(size, 1),
            "clustering_24h": _autocorrelation(size, day_steps),
            "day_amplitude": np.ptp(shape, axis=1),
        }
    ).rename_axis("path")


def compare_facts(
    real: ArrayLike,
    simulated: Mapping[str, ArrayLike],
    *,
    step_hours: float,
    spike_deviations: float = 5.0,
    share: float = 0.9,
) -> pd.DataFrame:
    """
    The stylised facts of what happened beside those of simulated paths of the same length.

    Parameters
    ----------
    real : array_like, shape (n_steps,)
        What happened, from midnight on. [$/MWh]
    simulated : mapping of str to array_like, shape (n_paths, n_steps)
        Paths of each process. [$/MWh]
    step_hours, spike_deviations
        As for `stylised_facts`; what a spike is, the real prices say for all.
    share : float
        Share of the paths between `low` and `high`, in (0, 1).

    Returns
    -------
    DataFrame
        Index (`process`, `fact`): `real`, and over the paths `median`, `low` and `high`; `inside` says whether the
        real value lies between the two.

    Raises
    ------
    DataError
        As `stylised_facts` does, and if there is no process, paths have another length than `real`, or `share` is not
        in (0, 1).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = compare_facts(rng.normal(30, 5, 672), {"noise": rng.normal(30, 5, (50, 672))}, step_hours=1)
    >>> table.loc["noise", ["real", "median", "low", "high"]].loc["sd"].round(1).to_dict()
    {'real': 5.0, 'median': 5.0, 'low': 4.8, 'high': 5.2}
    """
    if not simulated:
        raise DataError("there is no process to compare: name at least one")
    if not 0 < share < 1:
        raise DataError(f"share must be in (0, 1), got {share}")
    facts_of = partial(stylised_facts, step_hours=step_hours, spike_deviations=spike_deviations, reference=real)
    truth = facts_of(real).iloc[0]
    tables = {}
    for name, paths in simulated.items():
        if np.shape(paths)[-1] != np.size(real):
            raise DataError(
                f"paths of '{name}' must have {np.size(real)} steps, as real has, got {np.shape(paths)[-1]}"
            )
        facts = facts_of(paths)
        low, median, high = (facts.quantile(q) for q in ((1 - share) / 2, 0.5, (1 + share) / 2))
        inside = (low <= truth) & (truth <= high)
        tables[name] = pd.DataFrame({"real": truth, "median": median, "low": low, "high": high, "inside": inside})
    return pd.concat(tables, names=["process", "fact"])


def day_shape(values: ArrayLike, *, step_hours: float) -> pd.Series:
    """
    Mean price by time of day.

    Parameters
    ----------
    values : array_like, shape (n_steps,) or (n_paths, n_steps)
        A series, or paths, from midnight on and without gaps. [$/MWh]
    step_hours : float
        Length of a step, which must divide a day. [h]

    Returns
    -------
    Series
        Index `hour`, the start of the step from midnight [h]; mean over days and paths. [$/MWh]

    Raises
    ------
    DataError
        As `stylised_facts` does.

    Examples
    --------
    >>> day_shape([10.0, 30.0, 20.0, 50.0], step_hours=12).to_dict()
    {0.0: 15.0, 12.0: 40.0}
    """
    shape = _by_slot(_checked(values, "values"), _steps_in_a_day(step_hours)).mean(axis=0)
    return pd.Series(shape, index=pd.Index(step_hours * np.arange(len(shape)), name="hour", dtype=float), name="price")


def autocorrelation(values: ArrayLike, *, step_hours: float, max_lag_hours: float = 192.0) -> pd.Series:
    """
    Autocorrelation of a series, or the mean of those of several paths.

    Parameters
    ----------
    values : array_like, shape (n_steps,) or (n_paths, n_steps)
        A series, or paths, without gaps. [$/MWh]
    step_hours : float
        Length of a step. [h]
    max_lag_hours : float
        The longest lag; shorter where the series is. [h]

    Returns
    -------
    Series
        Index `lag` [h], from 0. [-]

    Raises
    ------
    DataError
        If `values` are of another shape, empty or not finite, the step does not divide a day, or the lag is not
        positive.

    Examples
    --------
    >>> autocorrelation([1.0, -1.0] * 50, step_hours=1, max_lag_hours=3).round(2).tolist()
    [1.0, -0.99, 0.98, -0.97]
    """
    paths = _checked(values, "values")
    _steps_in_a_day(step_hours)
    if not 0 < max_lag_hours < np.inf:
        raise DataError(f"max_lag_hours must be positive, got {max_lag_hours}")
    n_lags = min(round(max_lag_hours / step_hours), paths.shape[1] - 1) + 1
    varying = paths[_power(paths) > 0]
    mean = _autocorrelations(varying, n_lags).mean(axis=0) if len(varying) else np.full(n_lags, np.nan)
    return pd.Series(mean, index=pd.Index(step_hours * np.arange(n_lags), name="lag", dtype=float), name="price")


def marginal_distances(real: ArrayLike, simulated: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """
    How far apart the distributions of real and simulated prices are, all steps and paths together.

    Parameters
    ----------
    real : array_like
        What happened, of any shape. [$/MWh]
    simulated : mapping of str to array_like
        Simulated prices of each process, of any shape. [$/MWh]

    Returns
    -------
    DataFrame
        Index `process`: `kolmogorov_smirnov`, the greatest difference of the distribution functions [-], and
        `wasserstein`, the mean distance by which prices must move [$/MWh].

    Raises
    ------
    DataError
        If there is no process, or prices are empty or not finite.

    References
    ----------
    .. [1] A. Ramdas, N. Garcia Trillos and M. Cuturi, "On Wasserstein two-sample testing and related families of
       nonparametric tests," Entropy 19(2), 2017, doi:10.3390/e19020047.

    Examples
    --------
    >>> marginal_distances([1.0, 2.0, 3.0, 4.0], {"shifted": [3.0, 4.0, 5.0, 6.0]}).loc["shifted"].tolist()
    [0.5, 2.0]
    """
    from scipy.stats import wasserstein_distance

    if not simulated:
        raise DataError("there is no process to compare: name at least one")
    truth = np.sort(_flat(real, "real"))
    rows = {}
    for name, values in simulated.items():
        drawn = np.sort(_flat(values, name))
        rows[name] = {
            "kolmogorov_smirnov": _greatest_difference(truth, drawn),
            "wasserstein": float(wasserstein_distance(truth, drawn)),
        }
    return pd.DataFrame(rows).T.rename_axis("process")


def _flat(values: ArrayLike, name: str) -> Floats:
    flat = np.asarray(values, dtype=float).ravel()
    if not flat.size or not np.isfinite(flat).all():
        raise DataError(
            f"{name} must have finite prices, got {np.count_nonzero(~np.isfinite(flat))} of {flat.size} not"
        )
    return flat


def _checked(values: ArrayLike, name: str) -> Floats:
    """One row a path."""
    table = np.asarray(values, dtype=float)
    if table.ndim not in (1, 2):
        raise DataError(f"{name} must have shape (n_steps,) or (n_paths, n_steps), got {table.shape}")
    _flat(table, name)
    return np.atleast_2d(table)


def _steps_in_a_day(step_hours: float) -> int:
    if not 0 < step_hours <= 24 or abs(24 / step_hours - round(24 / step_hours)) > 1e-6:
        raise DataError(f"step_hours must divide 24, got {step_hours}")
    return round(24 / step_hours)


def _by_slot(paths: Floats, day_steps: int) -> Floats:
    """Mean by slot of the day, shape (n_paths, n_slots); the slots of the first day where there is no more."""
    whole = paths.shape[1] // day_steps
    if not whole:
        return paths
    return np.asarray(paths[:, : whole * day_steps].reshape(len(paths), whole, day_steps).mean(axis=1))


def _power(paths: Floats) -> Floats:
    """Sum of squares around each path's mean; 0 where that is rounding."""
    centred = paths - paths.mean(axis=1, keepdims=True)
    power = (centred**2).sum(axis=1)
    return np.where(np.ptp(paths, axis=1) > 1e-12 * np.abs(paths).max(axis=1), power, 0.0)


def _autocorrelation(paths: Floats, lag: int) -> Floats:
    """Of each path, around its own mean; NaN where it is constant or no longer than the lag."""
    if paths.shape[1] <= lag:
        return np.full(len(paths), np.nan)
    centred = paths - paths.mean(axis=1, keepdims=True)
    together = (centred[:, lag:] * centred[:, : paths.shape[1] - lag]).sum(axis=1)
    power = _power(paths)
    return np.asarray(np.divide(together, power, out=np.full(len(paths), np.nan), where=power > 0))


def _autocorrelations(paths: Floats, n_lags: int) -> Floats:
    """Of paths that vary, at every lag at once by the Fourier transform, shape (n_paths, n_lags)."""
    from scipy.fft import irfft, next_fast_len, rfft

    size = next_fast_len(paths.shape[1] + n_lags, real=True)
    spectrum = rfft(paths - paths.mean(axis=1, keepdims=True), size, axis=1)
    together = irfft(np.abs(spectrum) ** 2, size, axis=1)[:, :n_lags]
    return np.asarray(together / together[:, :1])


def _moment(paths: Floats, order: int) -> Floats:
    """Central moment over that power of the standard deviation; NaN where the path is constant."""
    centred = paths - paths.mean(axis=1, keepdims=True)
    power = _power(paths) / paths.shape[1]
    moment = (centred**order).mean(axis=1)
    return np.asarray(np.divide(moment, power ** (order / 2), out=np.full(len(paths), np.nan), where=power > 0))


def _greatest_difference(first: Floats, second: Floats) -> float:
    every = np.concatenate([first, second])
    shares = (np.searchsorted(values, every, side="right") / len(values) for values in (first, second))
    return float(np.abs(np.subtract(*shares)).max())
