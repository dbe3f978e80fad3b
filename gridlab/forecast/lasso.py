"""The LASSO path by homotopy over the Gram matrix, many targets on the same regressors, compiled."""

from typing import NamedTuple

import numba
import numpy as np

from gridlab.days import Floats

LEAST_PENALTY = 1e-4
PATIENCE = 20
COLLINEAR = 1e-7
EXPLAINED = 1e-12


def lasso_by_aicc(X: Floats, Y: Floats) -> tuple[Floats, Floats]:
    r"""
    LASSO of every column of `Y` on `X`, each with the penalty that the corrected Akaike criterion chooses.

    Minimises ``|y - a - X b|^2 / 2n + lambda sum_j s_j |b_j|`` with `s_j` the standard deviation of column j. The
    coefficients are piecewise linear in the penalty, and the path is followed exactly from one knot, where a
    regressor enters or leaves, to the next [1]_ [2]_: over the Gram matrix, which all targets share, with a Cholesky
    factor that grows and shrinks by a row. The criterion is least at a knot; a path ends once twenty knots have not
    improved it, or the penalty is a ten-thousandth of the one that empties the model.

    Parameters
    ----------
    X : ndarray, shape (n_rows, n_regressors)
        Regressors; a constant column, and one that others explain, gets the coefficient 0.
    Y : ndarray, shape (n_rows, n_targets)
        Targets.

    Returns
    -------
    coefficients : ndarray, shape (n_regressors, n_targets)
    intercepts : ndarray, shape (n_targets,)

    References
    ----------
    .. [1] M. R. Osborne, B. Presnell and B. A. Turlach, "A new approach to variable selection in least squares
       problems," IMA J. Numerical Analysis 20(3), 2000, doi:10.1093/imanum/20.3.389.
    .. [2] B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, "Least angle regression," Annals of Statistics 32(2),
       2004, doi:10.1214/009053604000000067.
    .. [3] C. M. Hurvich and C.-L. Tsai, "Regression and time series model selection in small samples," Biometrika
       76(2), 1989, doi:10.1093/biomet/76.2.297.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> coefficients, intercepts = lasso_by_aicc(x, 1 + x[:, :1] * 2)
    >>> (coefficients.round(1) + 0.0).ravel().tolist(), intercepts.round(1).tolist()
    ([2.0, 0.0, 0.0], [1.0])
    """
    x_mean, y_mean = X.mean(axis=0), Y.mean(axis=0)
    scale = X.std(axis=0)
    varies = scale > 1e-9 * np.maximum(1.0, np.abs(x_mean))
    standardised = (X[:, varies] - x_mean[varies]) / scale[varies]
    centred = Y - y_mean
    gram = standardised.T @ standardised / len(X)
    moments = np.ascontiguousarray((standardised.T @ centred).T / len(X))
    chosen = _paths(gram, moments, (centred**2).mean(axis=0), len(X))
    coefficients = np.zeros((X.shape[1], Y.shape[1]))
    coefficients[varies] = chosen.T / scale[varies, None]
    return coefficients, y_mean - x_mean @ coefficients


class _Path(NamedTuple):
    """The active set of one path: positions, signs, coefficients, and the lower Cholesky factor of its Gram matrix."""

    active: np.ndarray
    sign: np.ndarray
    coefficients: np.ndarray
    factor: np.ndarray
    direction: np.ndarray


@numba.njit(cache=True)
def _paths(gram, moments, power, n_rows):  # type: ignore[no-untyped-def]
    """Coefficients of each target at the penalty of least AICc, shape (n_targets, n_regressors)."""
    n_targets, n_regressors = moments.shape
    chosen = np.zeros((n_targets, n_regressors))
    most = max(min(n_regressors, n_rows - 3), 0)
    path = _Path(np.empty(most, np.int64), np.empty(most), np.empty(most), np.empty((most, most)), np.empty(most))
    for target in range(n_targets):
        if power[target] > 0.0 and most > 0:
            _follow(path, gram, moments[target], power[target], n_rows, chosen[target])
    return chosen


@numba.njit(cache=True)
def _follow(path, gram, moment, power, n_rows, chosen):  # type: ignore[no-untyped-def]
    """One path from the empty model on; `chosen` becomes the coefficients of least AICc."""
    correlation, slope = moment.copy(), np.empty(len(moment))
    outside = np.ones(len(moment), np.bool_)
    entering = int(np.argmax(np.abs(correlation)))
    first = penalty = abs(correlation[entering])
    n_active, since, least = 0, 0, _aicc(power, 1, n_rows)
    mean_square = power
    while since < PATIENCE and penalty > LEAST_PENALTY * first and mean_square > EXPLAINED * power:
        if entering >= 0:
            if n_active == len(path.active):
                break
            n_active += _enter(path, n_active, gram[entering], entering, correlation[entering])
            outside[entering] = False
        _turn(path, n_active, gram, slope)
        length, entering, leaving = _reach(path, n_active, correlation, slope, penalty, outside)
        _add(path.coefficients, length, path.direction, n_active)
        _add(correlation, -length, slope, len(slope))
        penalty -= length
        if leaving >= 0:
            outside[path.active[leaving]] = True
            _leave(path, leaving, n_active)
            n_active -= 1
        mean_square = power - _explained(path, n_active, moment, correlation)
        criterion = _aicc(max(mean_square, EXPLAINED * power), n_active + 1, n_rows)
        since += 1
        if criterion < least:
            least, since = criterion, 0
            chosen[:] = 0.0
            chosen[path.active[:n_active]] = path.coefficients[:n_active]


@numba.njit(cache=True)
def _aicc(mean_square, n_parameters, n_rows):  # type: ignore[no-untyped-def]
    correction = 2.0 * n_parameters * (n_parameters + 1) / (n_rows - n_parameters - 1)
    return n_rows * np.log(mean_square) + 2.0 * n_parameters + correction


@numba.njit(cache=True)
def _explained(path, n_active, moment, correlation):  # type: ignore[no-untyped-def]
    """Part of the target's mean square that the coefficients explain: ``b'(c_0 + c)``."""
    explained = 0.0
    for position in range(n_active):
        j = path.active[position]
        explained += path.coefficients[position] * (moment[j] + correlation[j])
    return explained


@numba.njit(cache=True)
def _enter(path, n_active, gram_row, entering, correlation):  # type: ignore[no-untyped-def]
    """A regressor joins with a new row of the factor: 1, or 0 if the active ones explain it."""
    row, rest = path.factor[n_active], gram_row[entering]
    for i in range(n_active):
        row[i] = (gram_row[path.active[i]] - _dot(path.factor[i], row, i)) / path.factor[i, i]
        rest -= row[i] * row[i]
    if rest < COLLINEAR:
        return 0
    row[n_active] = np.sqrt(rest)
    path.active[n_active] = entering
    path.sign[n_active] = np.sign(correlation)
    path.coefficients[n_active] = 0.0
    return 1


@numba.njit(cache=True)
def _turn(path, n_active, gram, slope):  # type: ignore[no-untyped-def]
    """The coefficients' direction as the penalty falls, ``G_AA d = sign``, and the correlations' slope, ``G_A d``."""
    direction, factor = path.direction, path.factor
    for i in range(n_active):
        direction[i] = (path.sign[i] - _dot(factor[i], direction, i)) / factor[i, i]
    for i in range(n_active - 1, -1, -1):
        direction[i] /= factor[i, i]
        _add(direction, -direction[i], factor[i], i)
    slope[:] = 0.0
    for i in range(n_active):
        _add(slope, direction[i], gram[path.active[i]], len(slope))


@numba.njit(cache=True, fastmath={"reassoc", "contract"})
def _dot(one, other, n):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(n):
        total += one[k] * other[k]
    return total


@numba.njit(cache=True)
def _add(to, factor, values, n):  # type: ignore[no-untyped-def]
    for k in range(n):
        to[k] += factor * values[k]


@numba.njit(cache=True)
def _reach(path, n_active, correlation, slope, penalty, outside):  # type: ignore[no-untyped-def]
    """How far the penalty falls to the next knot, and who enters or leaves there (-1 for nobody)."""
    length, entering, leaving = penalty, -1, -1
    for j in range(len(outside)):
        if outside[j]:
            if penalty - correlation[j] < length * (1.0 - slope[j]):
                length, entering = (penalty - correlation[j]) / (1.0 - slope[j]), j
            if penalty + correlation[j] < length * (1.0 + slope[j]):
                length, entering = (penalty + correlation[j]) / (1.0 + slope[j]), j
    for i in range(n_active):
        if path.direction[i] * path.coefficients[i] < 0.0 and -path.coefficients[i] / path.direction[i] < length:
            length, entering, leaving = -path.coefficients[i] / path.direction[i], -1, i
    return max(length, 0.0), entering, leaving


@numba.njit(cache=True)
def _leave(path, leaving, n_active):  # type: ignore[no-untyped-def]
    """A regressor leaves: its row goes out of the factor, which Givens rotations make triangular again."""
    factor, last = path.factor, n_active - 1
    for i in range(leaving, last):
        path.active[i], path.sign[i] = path.active[i + 1], path.sign[i + 1]
        path.coefficients[i] = path.coefficients[i + 1]
        factor[i, : i + 2] = factor[i + 1, : i + 2]
    for i in range(leaving, last):
        radius = np.hypot(factor[i, i], factor[i, i + 1])
        cosine, sine = factor[i, i] / radius, factor[i, i + 1] / radius
        factor[i, i], factor[i, i + 1] = radius, 0.0
        for row in range(i + 1, last):
            one, other = factor[row, i], factor[row, i + 1]
            factor[row, i] = cosine * one + sine * other
            factor[row, i + 1] = cosine * other - sine * one
