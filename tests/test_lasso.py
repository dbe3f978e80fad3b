import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso, lars_path

from gridlab.days import fold
from gridlab.forecast.lasso import lasso_by_aicc
from gridlab.forecast.lear import regressors
from gridlab.schema import mock_prices


def collinear(n_rows, n_regressors, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_regressors)) @ rng.normal(size=(n_regressors, n_regressors)) / 3 + 1
    return X, X[:, :4] @ [1.0, -2.0, 0.5, 0.1] + rng.normal(size=n_rows)


def aicc(mean_square, n_parameters, n_rows):
    k = n_parameters
    return n_rows * np.log(mean_square) + 2 * k + 2 * k * (k + 1) / (n_rows - k - 1)


@pytest.mark.parametrize(("n_rows", "n_regressors"), [(300, 10), (60, 40), (30, 60), (49, 247)])
def test_the_compiled_path_equals_scikit_learns_at_the_knot_of_least_aicc(n_rows, n_regressors):
    X, y = collinear(n_rows, n_regressors, seed=n_rows)
    coefficients, intercepts = lasso_by_aicc(X, y[:, None])
    scale = X.std(axis=0)
    Z, centred = (X - X.mean(axis=0)) / scale, y - y.mean()
    _, _, knots = lars_path(Z, centred, method="lasso")
    best, least, since = None, np.inf, 0
    for b in knots.T:
        n_parameters = np.count_nonzero(b) + 1
        if n_parameters > n_rows - 3 or since == 20:
            break
        criterion = aicc(np.mean((centred - Z @ b) ** 2), n_parameters, n_rows)
        best, least, since = (b, criterion, 0) if criterion < least else (best, least, since + 1)
    assert np.count_nonzero(best) >= 3
    assert coefficients[:, 0] == pytest.approx(best / scale, abs=1e-9)
    assert intercepts[0] == pytest.approx(y.mean() - X.mean(axis=0) @ coefficients[:, 0])


@settings(max_examples=25)
@given(n_rows=st.integers(8, 80), n_regressors=st.integers(1, 60), seed=st.integers(0, 2**16))
def test_what_is_chosen_is_a_lasso_solution_of_some_penalty(n_rows, n_regressors, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_regressors)) @ rng.normal(size=(n_regressors, n_regressors))
    Y = X[:, :1] + rng.normal(size=(n_rows, 3))
    coefficients, _ = lasso_by_aicc(X, Y)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    b = coefficients * X.std(axis=0)[:, None]
    pull = Z.T @ (Y - Y.mean(axis=0) - Z @ b) / n_rows
    penalty = np.abs(pull).max(axis=0)
    active = b != 0
    assert np.abs(pull - np.sign(b) * penalty)[active] == pytest.approx(0, abs=1e-9)


def test_the_path_on_lears_own_regressors_equals_scikit_learns_lasso_at_the_same_penalty():
    days = fold(mock_prices(days=120))
    table = regressors(days)
    X, Y = np.hstack([table.lags, table.weekday])[7:], days.price[7:]
    coefficients, _ = lasso_by_aicc(X, Y[:, [3, 18]])
    varies = X.std(axis=0) > 0
    Z = (X[:, varies] - X[:, varies].mean(axis=0)) / X[:, varies].std(axis=0)
    for column, hour in enumerate((3, 18)):
        b = coefficients[varies, column] * X[:, varies].std(axis=0)
        centred = Y[:, hour] - Y[:, hour].mean()
        penalty = np.abs(Z.T @ (centred - Z @ b)).max() / len(Z)
        judge = Lasso(alpha=penalty, fit_intercept=False, tol=1e-10, max_iter=500_000).fit(Z, centred)
        assert Z @ b == pytest.approx(judge.predict(Z), abs=1e-3 * centred.std())


def test_a_constant_regressor_or_target_and_a_copy_get_no_coefficient():
    X = np.column_stack([np.ones(50), np.arange(50.0), 2 * np.arange(50.0) + 1])
    Y = np.column_stack([np.full(50, 3.0), np.arange(50.0) + np.random.default_rng(0).normal(size=50)])
    coefficients, intercepts = lasso_by_aicc(X, Y)
    assert coefficients[0].tolist() == [0.0, 0.0]
    assert coefficients[:, 0].tolist() == [0.0, 0.0, 0.0]
    assert intercepts[0] == 3.0
    assert np.count_nonzero(coefficients[1:, 1]) == 1
    assert coefficients[1, 1] + 2 * coefficients[2, 1] == pytest.approx(1.0, abs=0.05)


def test_fewer_rows_than_a_criterion_needs_give_the_mean():
    coefficients, intercepts = lasso_by_aicc(np.arange(6.0).reshape(3, 2), np.array([[1.0], [2.0], [6.0]]))
    assert not coefficients.any()
    assert intercepts.tolist() == [3.0]
