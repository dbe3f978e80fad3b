"""
Wavelets of a series: denoising, bands that add up to it, power by time and period, and the periods it repeats with.

`denoise` and `bands` look at the whole of what they are given, so a forecaster hands them a window that ends at its
origin; `causal_bands` needs no such care, since no value of it depends on a later one.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError

Floats = NDArray[np.float64]
Threshold = Literal["universal", "sure", "bayes"]
Shrinkage = Literal["soft", "hard"]

CONTINUOUS = {"morlet": "cmor2.0-0.954929658551372", "mexican_hat": "mexh"}
"""Continuous wavelets by name, as PyWavelets spells them; this Morlet has a frequency of 6 radians."""

MORLET_DECORRELATION = 2.32
"""Scales after which the Morlet's power is another draw [Torrence and Compo 1998, table 2]."""

CONE_FACTOR = float(np.sqrt(2))
"""Scales after which an edge's power has fallen by e**2, for both wavelets [the same, table 1]."""

BAND_WIDTH = 0.2
LEAST_IN_BAND = 5
MEMORIES = tuple(float(memory) for memory in np.linspace(0.0, 0.999, 400))
LEAST_CYCLES = 4

NORMAL_MAD = 0.6745
SAME_PERIOD = 0.05
MIN_TIMES = 16


def denoise(
    series: ArrayLike,
    wavelet: str = "db4",
    *,
    level: int | Literal["rule"] = "rule",
    threshold: Threshold = "universal",
    mode: Shrinkage = "soft",
) -> Floats:
    r"""
    Series with their wavelet details shrunk towards zero.

    Parameters
    ----------
    series : array_like, shape (..., n_times)
        One series a row, each treated by itself.
    wavelet : str
        Name of a discrete wavelet in PyWavelets, such as Daubechies' "db4".
    level : int or "rule"
        Levels of details; by the rule, the deepest at which a coefficient is still free of the edges,
        ``log2(n_times / (filter length - 1))``; a series too short for one level is returned as it is.
    threshold : {"universal", "sure", "bayes"}
        ``sd sqrt(2 log n)`` for all levels [1]_; at each level the one of least unbiased risk, the universal where
        details are sparse [2]_; or ``sd**2 / sd of the signal`` at each level [3]_. The noise's `sd` is the finest
        details' median absolute value, scaled to a normal's.
    mode : {"soft", "hard"}
        Whether details above the threshold move by it or stay.

    Returns
    -------
    ndarray, shape (..., n_times)

    Raises
    ------
    DataError
        If the series has a NaN or an infinite value, or the wavelet, level, threshold or mode is not one there is.

    References
    ----------
    .. [1] D. L. Donoho, "De-noising by soft-thresholding," IEEE Trans. Information Theory 41(3), 1995,
       doi:10.1109/18.382009.
    .. [2] D. L. Donoho and I. M. Johnstone, "Adapting to unknown smoothness via wavelet shrinkage," J. American
       Statistical Association 90(432), 1995, doi:10.1080/01621459.1995.10476626.
    .. [3] S. G. Chang, B. Yu and M. Vetterli, "Adaptive wavelet thresholding for image denoising and compression,"
       IEEE Trans. Image Processing 9(9), 2000, doi:10.1109/83.862633.

    Examples
    --------
    >>> noisy = np.sin(np.arange(192) / 12) + np.random.default_rng(0).normal(0, 0.3, (1, 192))
    >>> clean = denoise(noisy) - np.sin(np.arange(192) / 12)
    >>> bool(clean.std() < 0.15)
    True
    """
    import pywt

    values = _finite(series)
    n_levels = _levels(values.shape[-1], wavelet, level)
    _known("threshold", threshold, _THRESHOLDS)
    _known("mode", mode, ("soft", "hard"))
    if not n_levels:
        return values.copy()
    approximation, *details = pywt.wavedec(values, wavelet, mode="symmetric", level=n_levels, axis=-1)
    noise_sd = np.median(np.abs(details[-1]), axis=-1, keepdims=True) / NORMAL_MAD
    rule = _THRESHOLDS[threshold]
    shrunk = [_shrunk(detail, rule(detail, noise_sd, values.shape[-1]), mode) for detail in details]
    back = pywt.waverec([approximation, *shrunk], wavelet, mode="symmetric", axis=-1)
    return np.asarray(back[..., : values.shape[-1]])


def bands(series: ArrayLike, wavelet: str = "db4", *, level: int | Literal["rule"] = "rule") -> Floats:
    """
    A series as a sum of bands: the smooth, then the details from the coarsest to the finest.

    Every band of every time depends on the whole series; `causal_bands` are those without the future.

    Parameters
    ----------
    series : array_like, shape (..., n_times)
        One series a row.
    wavelet : str
        Name of a discrete wavelet in PyWavelets.
    level : int or "rule"
        Bands of details, as for `denoise`.

    Returns
    -------
    ndarray, shape (1 + n_levels, ..., n_times)
        The multiresolution analysis [1]_; its sum over the first axis is the series.

    Raises
    ------
    DataError
        If the series has a NaN or an infinite value, or the wavelet or level is not one there is.

    References
    ----------
    .. [1] S. Mallat, "A theory for multiresolution signal decomposition: the wavelet representation," IEEE Trans.
       Pattern Analysis and Machine Intelligence 11(7), 1989, doi:10.1109/34.192463.

    Examples
    --------
    >>> series = np.random.default_rng(0).normal(size=100).cumsum()
    >>> parts = bands(series)
    >>> parts.shape, bool(np.allclose(parts.sum(axis=0), series))
    ((4, 100), True)
    """
    import pywt

    values = _finite(series)
    n_levels = _levels(values.shape[-1], wavelet, level)
    if not n_levels:
        return values[None].copy()
    return np.stack(pywt.mra(values, wavelet, level=n_levels, transform="dwt", axis=-1, mode="symmetric"))


def causal_bands(series: ArrayLike, *, level: int) -> Floats:
    r"""
    A series as a sum of bands of which none depends on the future: the Haar transform "with holes".

    The smooth of level j is ``c_j(t) = (c_{j-1}(t) + c_{j-1}(t - 2**(j-1))) / 2``, the mean of the last ``2**j``
    values, and the detail what the smooth loses, ``c_{j-1} - c_j`` [1]_. Before the first value stands the first.

    Parameters
    ----------
    series : array_like, shape (..., n_times)
        One series a row.
    level : int
        Bands of details, at least 1.

    Returns
    -------
    ndarray, shape (1 + level, ..., n_times)
        The smooth, then the details from the coarsest to the finest; their sum is the series.

    Raises
    ------
    DataError
        If the series has a NaN or an infinite value, or the level is below 1.

    References
    ----------
    .. [1] F. Murtagh, J.-L. Starck and O. Renaud, "On neuro-wavelet modeling," Decision Support Systems 37(4), 2004,
       doi:10.1016/S0167-9236(03)00092-7.

    Examples
    --------
    >>> causal_bands([4.0, 8.0, 0.0, 4.0], level=1).tolist()
    [[4.0, 6.0, 4.0, 2.0], [0.0, 2.0, -4.0, 2.0]]
    """
    smooth = _finite(series)
    if level < 1:
        raise DataError(f"level must be at least 1, got {level}")
    times = np.arange(smooth.shape[-1])
    details = []
    for j in range(level):
        finer, smooth = smooth, (smooth + smooth[..., np.maximum(times - 2**j, 0)]) / 2
        details.append(finer - smooth)
    return np.stack([smooth, *details[::-1]])


@dataclass(frozen=True)
class Scalogram:
    """
    Power of a series by period and time.

    Parameters
    ----------
    period : ndarray, shape (n_periods,)
        Periods. [steps]
    power : ndarray, shape (n_periods, n_times)
        Squared size of the coefficients of a wavelet of energy 1: white noise has its variance at every period.
    is_inside_cone : ndarray of bool, shape (n_periods, n_times)
        Where the edges of the series do not reach.
    """

    period: Floats
    power: Floats
    is_inside_cone: NDArray[np.bool_]


def continuous(series: ArrayLike, periods: ArrayLike, wavelet: str = "morlet") -> Scalogram:
    """
    Power of a series at every time and at the periods asked for, by the continuous wavelet transform.

    Parameters
    ----------
    series : array_like, shape (n_times,)
        Equally spaced values; their mean is taken off.
    periods : array_like, shape (n_periods,)
        Periods of the sines to which the wavelets answer most, above 2. [steps]
    wavelet : {"morlet", "mexican_hat"}
        The Morlet tells periods apart, the Mexican hat times.

    Returns
    -------
    Scalogram

    Raises
    ------
    DataError
        If the series has fewer than 16 values, a NaN or an infinite one, a period is 2 or below or longer than the
        series, or there is no such wavelet.

    References
    ----------
    .. [1] C. Torrence and G. P. Compo, "A practical guide to wavelet analysis," Bulletin of the American
       Meteorological Society 79(1), 1998, doi:10.1175/1520-0477(1998)079<0061:APGTWA>2.0.CO;2.

    Examples
    --------
    >>> daily = np.sin(2 * np.pi * np.arange(480) / 24)
    >>> scalogram = continuous(daily, [12, 24, 48])
    >>> scalogram.power.shape, int(scalogram.period[scalogram.power.mean(axis=1).argmax()])
    ((3, 480), 24)
    """
    import pywt

    values, period = _one_series(series), np.atleast_1d(np.asarray(periods, dtype=float))
    _known("wavelet", wavelet, CONTINUOUS)
    if not ((period > 2) & (period <= len(values))).all():
        raise DataError(f"periods must be above 2 and at most {len(values)} steps, got {period.tolist()}")
    scale = period * _peak_frequency(wavelet)
    coefficients, _ = pywt.cwt(values - values.mean(), scale, CONTINUOUS[wavelet], method="fft")
    to_edge = np.minimum(np.arange(len(values)), np.arange(len(values))[::-1])
    power = np.abs(coefficients) ** 2 / _energy(wavelet)
    return Scalogram(period, power, to_edge >= CONE_FACTOR * scale[:, None])


def periodicities(series: ArrayLike, *, step_hours: float = 1.0, n: int = 5, level: float = 0.05) -> pd.DataFrame:
    r"""
    The periods that a series repeats with, by its periodogram and beside it by the Morlet wavelet.

    A period is a peak of the periodogram (a Hann window, the linear trend taken off) of which the series holds four
    cycles, and that stands out of red noise, ``(1 - a**2) / (1 + a**2 - 2 a cos 2 pi f)`` [1]_, by a test at `level`
    over all frequencies together (Sidak). The noise is fitted to the medians of bands of the periodogram, so that the
    lines themselves do not count as noise [2]_. Of peaks within 5 % of each other the strongest counts.

    Parameters
    ----------
    series : array_like, shape (n_times,)
        Equally spaced values.
    step_hours : float
        Length of a step. [h]
    n : int
        Periods to return, at most.
    level : float
        Probability of a period found in red noise, in (0, 1).

    Returns
    -------
    DataFrame
        One row a period, the strongest first: `period_hours`, its `share` of the variance around the peak, `p_value`
        of the periodogram, `wavelet_ratio` of the Morlet's mean power to that of red noise and its `wavelet_p_value`
        (NaN where the cone of influence leaves no time).

    Raises
    ------
    DataError
        If the series has fewer than 16 values, a NaN or an infinite one, or is constant, or a parameter is out of its
        range.

    References
    ----------
    .. [1] C. Torrence and G. P. Compo, "A practical guide to wavelet analysis," Bulletin of the American
       Meteorological Society 79(1), 1998, doi:10.1175/1520-0477(1998)079<0061:APGTWA>2.0.CO;2.
    .. [2] M. E. Mann and J. M. Lees, "Robust estimation of background noise and signal detection in climatic time
       series," Climatic Change 33(3), 1996, doi:10.1007/BF00142586.

    Examples
    --------
    >>> hours = np.arange(24 * 7 * 8)
    >>> noise = np.random.default_rng(0).normal(size=len(hours))
    >>> table = periodicities(2 * np.sin(2 * np.pi * hours / 24) + np.sin(2 * np.pi * hours / 168) + noise)
    >>> table["period_hours"].round(1).tolist()
    [24.0, 168.0]
    """
    from scipy.signal import periodogram

    values = _one_series(series)
    if not (step_hours > 0 and n >= 1 and 0 < level < 1):
        raise DataError(f"needs step_hours > 0, n >= 1 and level in (0, 1), got {step_hours}, {n} and {level}")
    if np.ptp(values) == 0:
        raise DataError(f"a constant series repeats with every period: all {len(values)} values are {values[0]}")
    standard = (values - values.mean()) / values.std()
    frequency, power = periodogram(standard, window="hann", detrend="linear")
    frequency, power = frequency[1:-1], power[1:-1] / 2
    noise = _red_noise_around(frequency, power)
    p_value = _of_any(np.exp(-power / noise(frequency)), len(power))
    peaks = _peaks(frequency, power, (p_value < level) & (frequency * len(values) >= LEAST_CYCLES))[:n]
    share = [2 * power[max(i - 2, 0) : i + 3].sum() / len(values) for i in peaks]
    table = pd.DataFrame({"period_hours": step_hours / frequency[peaks], "share": share, "p_value": p_value[peaks]})
    return table.assign(**_wavelet_test(standard, 1 / frequency[peaks], noise))


def _wavelet_test(standard: Floats, periods: Floats, noise: "_RedNoise") -> dict[str, Floats]:
    """Ratio of mean Morlet power within the cone to that of the noise, and its p-value [Torrence and Compo, eq. 23]."""
    from scipy.stats import chi2

    if not len(periods):
        return {"wavelet_ratio": np.empty(0), "wavelet_p_value": np.empty(0)}
    scalogram = continuous(standard, periods, "morlet")
    n_inside = scalogram.is_inside_cone.sum(axis=1)
    total = np.where(scalogram.is_inside_cone, scalogram.power, 0.0).sum(axis=1)
    mean = np.divide(total, n_inside, out=np.full(len(periods), np.nan), where=n_inside > 0)
    ratio = mean / noise(1 / periods)
    freedom = 2 * np.sqrt(1 + (n_inside / (MORLET_DECORRELATION * periods * _peak_frequency("morlet"))) ** 2)
    return {"wavelet_ratio": ratio, "wavelet_p_value": chi2.sf(freedom * ratio, freedom)}


@dataclass(frozen=True)
class _RedNoise:
    """Spectrum of an autoregressive series of order 1, on average `level` over the frequencies."""

    memory: float
    level: float

    def __call__(self, frequency: Floats) -> Floats:
        cosine = np.cos(2 * np.pi * frequency)
        return np.asarray(self.level * (1 - self.memory**2) / (1 + self.memory**2 - 2 * self.memory * cosine))


def _red_noise_around(frequency: Floats, power: Floats) -> _RedNoise:
    """Red noise whose logarithm fits the medians of the periodogram over bands of rising width, which no line moves."""
    edges = [0]
    while edges[-1] < len(power):
        edges.append(edges[-1] + max(LEAST_IN_BAND, int(BAND_WIDTH * edges[-1])))
    wide = [slice(low, high) for low, high in pairwise(edges)]
    weight = np.array([len(frequency[band]) for band in wide])
    centre = np.array([frequency[band].mean() for band in wide])
    height = np.log([max(np.median(power[band]) / np.log(2), np.finfo(float).tiny) for band in wide])
    shapes = np.log([_RedNoise(memory, 1.0)(centre) for memory in MEMORIES])
    level = np.average(height - shapes, axis=1, weights=weight)
    misfit = np.average((height - shapes - level[:, None]) ** 2, axis=1, weights=weight)
    best = int(misfit.argmin())
    return _RedNoise(MEMORIES[best], float(np.exp(level[best])))


def _of_any(p_value: Floats, n_tests: int) -> Floats:
    """Probability that the least of `n_tests` p-values is as small as this."""
    return np.asarray(-np.expm1(n_tests * np.log1p(-np.minimum(p_value, 1 - 1e-15))))


def _peaks(frequency: Floats, power: Floats, is_significant: NDArray[np.bool_]) -> list[int]:
    """Local maxima that are significant, the strongest first, none within 5 % of a stronger one."""
    padded = np.concatenate([[-np.inf], power, [-np.inf]])
    is_peak = (power > padded[:-2]) & (power >= padded[2:]) & is_significant
    chosen: list[int] = []
    for i in sorted(np.flatnonzero(is_peak), key=lambda i: -power[i]):
        if all(abs(np.log(frequency[i] / frequency[j])) > SAME_PERIOD for j in chosen):
            chosen.append(int(i))
    return chosen


def _peak_frequency(wavelet: str) -> float:
    """Frequency of the sine whose power is greatest at scale 1 [Torrence and Compo 1998, table 1]."""
    return float((6 + np.sqrt(38)) / (4 * np.pi) if wavelet == "morlet" else np.sqrt(2.5) / (2 * np.pi))


def _energy(wavelet: str) -> float:
    """Of the wavelet as PyWavelets scales it."""
    return float(1 / np.sqrt(4 * np.pi)) if wavelet == "morlet" else 1.0


def _levels(n_times: int, wavelet: str, level: int | str) -> int:
    import pywt

    if wavelet not in pywt.wavelist(kind="discrete"):
        raise DataError(f"there is no discrete wavelet {wavelet!r}: choose one of pywt.wavelist(kind='discrete')")
    deepest = pywt.dwt_max_level(n_times, pywt.Wavelet(wavelet).dec_len)
    if level == "rule":
        return int(deepest)
    if not isinstance(level, int | np.integer) or not 1 <= level <= deepest:
        raise DataError(f"level must be 'rule' or in 1..{deepest} for {n_times} values by {wavelet}, got {level!r}")
    return int(level)


def _universal(detail: Floats, noise_sd: Floats, n_times: int) -> Floats:
    return np.asarray(noise_sd * np.sqrt(2 * np.log(n_times)))


def _sure(detail: Floats, noise_sd: Floats, n_times: int) -> Floats:
    """Stein's unbiased risk, least over the details themselves; the universal threshold of the level if sparse."""
    n = detail.shape[-1]
    unit = np.where(noise_sd > 0, noise_sd, 1.0)
    square = np.sort((detail / unit) ** 2, axis=-1)
    rank = np.arange(1, n + 1)
    risk = n - 2 * rank + np.cumsum(square, axis=-1) + (n - rank) * square
    best = np.sqrt(np.take_along_axis(square, risk.argmin(axis=-1, keepdims=True), axis=-1))
    universal = np.sqrt(2 * np.log(n))
    is_sparse = (square - 1).mean(axis=-1, keepdims=True) <= np.log2(n) ** 1.5 / np.sqrt(n)
    return np.asarray(noise_sd * np.where(is_sparse, universal, np.minimum(best, universal)))


def _bayes(detail: Floats, noise_sd: Floats, n_times: int) -> Floats:
    power = np.mean(detail**2, axis=-1, keepdims=True)
    signal_sd = np.sqrt(np.maximum(power - noise_sd**2, 0.0))
    greatest = np.abs(detail).max(axis=-1, keepdims=True)
    return np.asarray(np.divide(noise_sd**2, signal_sd, out=greatest, where=signal_sd > 0))


_THRESHOLDS = {"universal": _universal, "sure": _sure, "bayes": _bayes}


def _shrunk(detail: Floats, threshold: Floats, mode: Shrinkage) -> Floats:
    beyond = np.maximum(np.abs(detail) - threshold, 0.0)
    return np.asarray(np.sign(detail) * beyond if mode == "soft" else np.where(beyond > 0, detail, 0.0))


def _known(what: str, name: str, names: Any) -> None:
    if name not in names:
        raise DataError(f"{what} must be one of {', '.join(names)}, got {name!r}")


def _finite(series: ArrayLike) -> Floats:
    values = np.asarray(series, dtype=float)
    if values.ndim == 0 or values.shape[-1] == 0 or not np.isfinite(values).all():
        raise DataError(f"a series needs values, all finite, got shape {values.shape}: close its gaps first")
    return cast(Floats, values)


def _one_series(series: ArrayLike) -> Floats:
    values = _finite(series)
    if values.ndim != 1 or len(values) < MIN_TIMES:
        raise DataError(f"needs one series of at least {MIN_TIMES} values, got shape {values.shape}")
    return values
