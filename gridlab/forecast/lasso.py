"""The LASSO path by coordinate descent over the Gram matrix, many targets on the same regressors, compiled."""

import numba
import numpy as np

from gridlab.days import Floats

N_LAMBDAS = 60
LAMBDA_RATIO = 1e-3
TOLERANCE = 3e-4
MAX_SWEEPS = 200
PATIENCE = 10


def lasso_by_aicc(X: Floats, Y: Floats) -> tuple[Floats, Floats]:
    r"""
    LASSO of every column of `Y` on `X`, each with the penalty that the corrected Akaike criterion chooses.

    Minimises ``|y - a - X b|^2 / 2n + lambda sum_j s_j |b_j|`` with `s_j` the standard deviation of column j, along 60
    penalties from the one that empties the model down to a thousandth of it, warm-started; a path ends early once ten
    penalties have not improved the criterion. A path's coefficients rest when none moves by more than 3e-4 standard
    deviations of the target. On LEAR's collinear regressors a tighter path keeps other coefficients of the same worth
    at many times the cost: predictions move by less than a tenth of the residuals' standard deviation, which
    ``tests/test_forecast.py`` holds.

    Parameters
    ----------
    X : ndarray, shape (n_rows, n_regressors)
        Regressors; a constant column gets the coefficient 0.
    Y : ndarray, shape (n_rows, n_targets)
        Targets.

    Returns
    -------
    coefficients : ndarray, shape (n_regressors, n_targets)
    intercepts : ndarray, shape (n_targets,)

    References
    ----------
    .. [1] J. Friedman, T. Hastie and R. Tibshirani, "Regularization paths for generalized linear models via
       coordinate descent," J. Statistical Software 33(1), 2010, doi:10.18637/jss.v033.i01.
    .. [2] C. M. Hurvich and C.-L. Tsai, "Regression and time series model selection in small samples," Biometrika
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
    standardised = (X - x_mean)[:, varies] / scale[varies]
    centred = Y - y_mean
    gram = standardised.T @ standardised / len(X)
    moments = np.ascontiguousarray((standardised.T @ centred).T / len(X))
    powers = np.linspace(0.0, 1.0, N_LAMBDAS)
    shrink = LAMBDA_RATIO**powers
    chosen = _paths_by_aicc(gram, moments, (centred**2).mean(axis=0), len(X), shrink, TOLERANCE, PATIENCE)
    coefficients = np.zeros((X.shape[1], Y.shape[1]))
    coefficients[varies] = chosen.T / scale[varies, None]
    return coefficients, y_mean - x_mean @ coefficients


@numba.njit(cache=True)
def _paths_by_aicc(gram, moments, power, n_rows, shrink, tolerance, patience):  # type: ignore[no-untyped-def]
    """Coefficients of each target at the penalty of least AICc, shape (n_targets, n_regressors)."""
    n_targets, n_regressors = moments.shape
    chosen = np.zeros((n_targets, n_regressors))
    for target in range(n_targets):
        coefficients = np.zeros(n_regressors)
        gradient = moments[target].copy()
        largest = np.abs(gradient).max() if n_regressors else 0.0
        least_move = tolerance * np.sqrt(power[target])
        least, best = np.inf, 0
        for step in range(len(shrink)):
            _descend(gram, gradient, coefficients, largest * shrink[step], least_move)
            n_parameters = np.count_nonzero(coefficients) + 1
            if n_parameters >= n_rows - 2:
                break
            mean_square = power[target] - np.dot(coefficients, moments[target] + gradient)
            if mean_square <= 1e-12 * power[target]:
                if least == np.inf:
                    chosen[target] = coefficients
                break
            correction = 2.0 * n_parameters * (n_parameters + 1) / (n_rows - n_parameters - 1)
            criterion = n_rows * np.log(mean_square) + 2.0 * n_parameters + correction
            if criterion < least:
                least, best = criterion, step
                chosen[target] = coefficients
            elif step - best >= patience:
                break
    return chosen


@numba.njit(cache=True)
def _descend(gram, gradient, coefficients, penalty, tolerance):  # type: ignore[no-untyped-def]
    """Coordinate descent in place: all coordinates once, then the active ones until they rest, until none moves."""
    for _ in range(MAX_SWEEPS):
        if _sweep(gram, gradient, coefficients, penalty) < tolerance:
            return
        active = np.flatnonzero(coefficients)
        here = _descend_among(gram[active][:, active], gradient[active], coefficients[active], penalty, tolerance)
        for position in range(len(active)):
            change = here[position] - coefficients[active[position]]
            if change != 0.0:
                coefficients[active[position]] = here[position]
                _subtract(gradient, gram[active[position]], change)


@numba.njit(cache=True)
def _descend_among(gram, gradient, coefficients, penalty, tolerance):  # type: ignore[no-untyped-def]
    """Coefficients of the active regressors once they rest."""
    for _ in range(MAX_SWEEPS):
        if _sweep(gram, gradient, coefficients, penalty) < tolerance:
            break
    return coefficients


@numba.njit(cache=True)
def _sweep(gram, gradient, coefficients, penalty):  # type: ignore[no-untyped-def]
    """One pass over the coordinates, in place; the largest change."""
    largest = 0.0
    for j in range(len(coefficients)):
        old = coefficients[j]
        pull = gradient[j] + old
        new = 0.0
        if pull > penalty:
            new = pull - penalty
        elif pull < -penalty:
            new = pull + penalty
        if new != old:
            coefficients[j] = new
            _subtract(gradient, gram[j], new - old)
            largest = max(largest, abs(new - old))
    return largest


@numba.njit(cache=True)
def _subtract(gradient, row, factor):  # type: ignore[no-untyped-def]
    for k in range(len(gradient)):
        gradient[k] -= row[k] * factor
