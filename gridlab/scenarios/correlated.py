"""Several series at once, such as energy, hash price and token: each its own process, moved by correlated noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridlab.errors import DataError
from gridlab.scenarios.geometric import GBMParams, calibrate_gbm
from gridlab.scenarios.likelihood import checked_start
from gridlab.scenarios.ornstein_uhlenbeck import OUParams, calibrate_ou

Floats = NDArray[np.float64]
Process = Literal["ou", "gbm"]

CALIBRATE = {"ou": calibrate_ou, "gbm": calibrate_gbm}
LEAST_SHARED = 10


@dataclass(frozen=True)
class CorrelatedParams:
    r"""
    Ornstein-Uhlenbeck processes and geometric Brownian motions with correlated Brownian motions.

    Parameters
    ----------
    names : tuple of str
        Of the series.
    processes : tuple of OUParams or GBMParams
        Each series' own, all with the same dt.
    correlation : ndarray, shape (k, k)
        Of the Brownian motions. [-]
    errors : ndarray, shape (k, k)
        Standard errors of the correlations; NaN where they are not estimated. [-]
    repaired : float
        Greatest change of a correlation that made the matrix positive semidefinite; 0 where it was. [-]
    """

    names: tuple[str, ...]
    processes: tuple[OUParams | GBMParams, ...]
    correlation: Floats
    errors: Floats
    repaired: float = 0.0

    def __post_init__(self) -> None:
        k = len(self.names)
        if len(self.processes) != k or np.shape(self.correlation) != (k, k) or np.shape(self.errors) != (k, k):
            raise DataError(
                f"{k} names need as many processes and a correlation ({k}, {k}), got {len(self.processes)} and "
                f"{np.shape(self.correlation)}"
            )
        if len({one.dt for one in self.processes}) > 1:
            raise DataError(f"the processes must share one dt, got {[one.dt for one in self.processes]}")
        if not np.allclose(self.correlation, self.correlation.T) or not np.allclose(np.diag(self.correlation), 1):
            raise DataError("correlation must be symmetric with ones on its diagonal")
        least = float(np.linalg.eigvalsh(self.correlation).min())
        if least < -1e-9:
            raise DataError(f"correlation must be positive semidefinite, got an eigenvalue of {least:.3g}")

    def table(self) -> pd.DataFrame:
        """Estimate and standard error of every parameter and of every correlation, one row each."""
        own = [one.table() for one in self.processes]
        above = [(i, j) for i in range(len(own)) for j in range(i + 1, len(own))]
        rows = pd.DataFrame(
            {
                "estimate": [self.correlation[i, j] for i, j in above],
                "standard_error": [self.errors[i, j] for i, j in above],
            },
            index=pd.Index([f"correlation with {self.names[j]}" for _, j in above], name="parameter"),
        )
        parts = [pd.concat([one, rows[[i == k for i, _ in above]]]) for k, one in enumerate(own)]
        return pd.concat(parts, keys=self.names, names=["series"])

    @property
    def innovation_correlation(self) -> Floats:
        """Correlation of the innovations of a step, shape (k, k). [-]"""
        return np.asarray(self.correlation * _overlap(self.processes))


def calibrate_correlated(
    x: pd.DataFrame | ArrayLike, *, dt: float, process: Process | Mapping[str, Process] = "ou"
) -> CorrelatedParams:
    r"""
    Calibrate each series exactly, and the correlation of their Brownian motions from that of their innovations.

    The innovations of a step of two processes that revert at speeds a and b have a covariance of
    ``rho s_a s_b (1 - exp(-(a + b) dt)) / (a + b)``, from which rho follows; a geometric Brownian motion is a speed of
    0 of the logarithm. A matrix that is not positive semidefinite, as series with different gaps may give, is brought
    there by its eigenvalues [1]_. The standard error of a correlation is that of normal innovations, which takes the
    speeds as known.

    Parameters
    ----------
    x : DataFrame or array_like, shape (n, k)
        One series a column, at steps of `dt`. NaN is a gap in its own series only.
    dt : float
        Length of a step.
    process : {"ou", "gbm"} or mapping of column to one of them
        Process of all series, or of those named; the others are "ou".

    Returns
    -------
    CorrelatedParams

    Raises
    ------
    DataError
        If a series cannot be calibrated (its name is given), a process or a name is unknown, there are fewer than two
        series, or two series have fewer than 10 steps in common.

    References
    ----------
    .. [1] R. Rebonato and P. Jaeckel, "The most general methodology to create a valid correlation matrix for risk
       management and option pricing purposes," J. Risk 2(2), 1999, doi:10.21314/JOR.2000.023.

    Examples
    --------
    >>> energy, hash_price = OUParams(30.0, 0.2, 4.0, 1.0), GBMParams(0.0, 0.01, 1.0)
    >>> rho = np.array([[1.0, 0.5], [0.5, 1.0]])
    >>> truth = CorrelatedParams(("energy", "hash"), (energy, hash_price), rho, np.full((2, 2), np.nan))
    >>> x = simulate_correlated(truth, start=[30.0, 0.05], n_steps=4000, n_paths=1, rng=np.random.default_rng(0))[0]
    >>> table = pd.DataFrame(x, columns=["energy", "hash"])
    >>> calibrate_correlated(table, dt=1.0, process={"hash": "gbm"}).correlation.round(2).tolist()
    [[1.0, 0.49], [0.49, 1.0]]
    """
    table = x if isinstance(x, pd.DataFrame) else pd.DataFrame(np.atleast_2d(np.asarray(x, dtype=float)))
    names = tuple(str(column) for column in table.columns)
    if len(names) < 2:
        raise DataError(f"correlation needs at least two series, got {len(names)}: use calibrate_ou for one")
    kinds = _kinds(names, process)
    columns = [table.iloc[:, i].to_numpy(float) for i in range(len(names))]
    processes = tuple(_own(*one, dt) for one in zip(names, columns, kinds, strict=True))
    innovations = pd.DataFrame(np.stack([_innovations(v, p) for v, p in zip(columns, processes, strict=True)], axis=1))
    discrete, shared = _correlations(innovations, names)
    overlap = _overlap(processes)
    errors = (1 - discrete**2) / np.sqrt(shared) / overlap
    found = discrete / overlap
    correlation = _semidefinite(found)
    return CorrelatedParams(names, processes, correlation, errors, float(np.abs(correlation - found).max()))


def simulate_correlated(
    params: CorrelatedParams, *, start: ArrayLike, n_steps: int, n_paths: int, rng: np.random.Generator
) -> Floats:
    """
    Draw joint paths, exact at every step.

    Parameters
    ----------
    params : CorrelatedParams
        The processes and their correlation.
    start : array_like, shape (k,)
        Last known values; the first step is after them. [units of x]
    n_steps, n_paths : int
        Steps of the processes' dt, and paths.
    rng : Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (n_paths, n_steps, k)

    Raises
    ------
    DataError
        If a count is below 1, `start` is not finite or of another shape, or that of a "gbm" is not above 0.

    Examples
    --------
    >>> both = (OUParams(30.0, 0.2, 4.0, 1.0), GBMParams(0.0, 0.01, 1.0))
    >>> params = CorrelatedParams(("energy", "hash"), both, np.eye(2), np.full((2, 2), np.nan))
    >>> simulate_correlated(params, start=[30.0, 0.05], n_steps=24, n_paths=3, rng=np.random.default_rng(0)).shape
    (3, 24, 2)
    """
    from gridlab.scenarios.recursions import revert_together

    checked_start(0.0, n_steps=n_steps, n_paths=n_paths)
    first = np.asarray(start, dtype=float)
    if first.shape != (len(params.names),) or not np.isfinite(first).all():
        raise DataError(
            f"start must be {len(params.names)} finite numbers, one a series, got {np.asarray(start).tolist()}"
        )
    is_log = np.array([isinstance(one, GBMParams) for one in params.processes])
    for name in (name for name, log, value in zip(params.names, is_log, first, strict=True) if log and value <= 0):
        raise DataError(f"start of {name} must be above 0 for a geometric Brownian motion, got {np.min(first):g}")
    decay, shift, sd = np.array([_recursion(one) for one in params.processes]).T
    root = sd[:, None] * _square_root(params.innovation_correlation)
    paths = np.empty((n_paths, n_steps, len(first)))
    revert_together(rng, paths, np.where(is_log, np.log(np.where(is_log, first, 1.0)), first), decay, shift, root)
    paths[..., is_log] = np.exp(paths[..., is_log])
    return paths


def _kinds(names: Sequence[str], process: Process | Mapping[str, Process]) -> list[Process]:
    chosen: Mapping[str, Process] = dict.fromkeys(names, process) if isinstance(process, str) else process
    for name, kind in chosen.items():
        if name not in names:
            raise DataError(f"process names {name!r}, which is not a series: choose from {', '.join(names)}")
        if kind not in CALIBRATE:
            raise DataError(f"process of {name} must be one of {', '.join(CALIBRATE)}, got {kind!r}")
    return [chosen.get(name, "ou") for name in names]


def _own(name: str, values: Floats, kind: Process, dt: float) -> OUParams | GBMParams:
    try:
        return calibrate_gbm(values, dt=dt) if kind == "gbm" else calibrate_ou(values, dt=dt)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _speed(process: OUParams | GBMParams) -> float:
    return process.kappa if isinstance(process, OUParams) else 0.0


def _recursion(process: OUParams | GBMParams) -> tuple[float, float, float]:
    """Decay, shift and standard deviation of a step of the series, or of its logarithm."""
    if isinstance(process, OUParams):
        return process.decay, process.mean * (1 - process.decay), process.step_sd
    return 1.0, process.log_drift * process.dt, process.sigma * float(np.sqrt(process.dt))


def _innovations(values: Floats, process: OUParams | GBMParams) -> Floats:
    decay, shift, _ = _recursion(process)
    state = np.log(values) if isinstance(process, GBMParams) else values
    return np.asarray(state[1:] - shift - decay * state[:-1])


def _correlations(innovations: pd.DataFrame, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Correlation of each pair where both have an innovation, and how many such steps there are."""
    known = innovations.notna().to_numpy(float)
    shared = known.T @ known
    if shared.min() < LEAST_SHARED:
        i, j = (int(at) for at in np.unravel_index(int(np.argmin(shared)), shared.shape))
        raise DataError(
            f"{names[i]} and {names[j]} have {int(shared.min())} steps in common, at least {LEAST_SHARED} are needed"
            ": give series of the same period"
        )
    return innovations.corr().to_numpy(), shared


def _overlap(processes: Sequence[OUParams | GBMParams]) -> Floats:
    """Correlation of the innovations of a step if the Brownian motions were one, shape (k, k)."""
    speed, dt = np.array([_speed(one) for one in processes]), processes[0].dt
    both = speed[:, None] + speed[None]
    covariance = np.where(both > 0, -np.expm1(-both * dt) / np.where(both > 0, both, 1.0), dt)
    sd = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / np.outer(sd, sd))


def _semidefinite(matrix: Floats) -> Floats:
    """The matrix, or where it has a negative eigenvalue, that with them at 0, scaled to a diagonal of ones."""
    values, vectors = np.linalg.eigh(matrix)
    if values.min() >= -1e-12:
        return matrix
    clipped = (vectors * np.maximum(values, 0.0)) @ vectors.T
    sd = np.sqrt(np.diag(clipped))
    repaired = clipped / np.outer(sd, sd)
    np.fill_diagonal(repaired, 1.0)
    return np.asarray(repaired)


def _square_root(matrix: Floats) -> Floats:
    """A root R with R R' = matrix, which may be singular."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
