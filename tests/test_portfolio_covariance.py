"""Covariances: what is refused, the nearest one, and Ledoit and Wolf's shrinkage."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.portfolio.covariance import checked_covariance, nearest_covariance, shrunk_covariance, split_covariance

HIGHAM = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])


@st.composite
def broken(draw):
    """A covariance of assets in units that differ by six orders of magnitude, with noise on its correlations."""
    n_assets = draw(st.integers(2, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    correlation = np.corrcoef(rng.normal(size=(n_assets, 3 * n_assets)))
    noise = np.triu(rng.uniform(-1, 1, correlation.shape), 1) * draw(st.sampled_from([0.0, 0.3, 1.0]))
    correlation = np.clip(correlation + noise + noise.T, -1, 1)
    deviation = 10.0 ** rng.uniform(-3, 3, n_assets)
    return correlation * np.outer(deviation, deviation)


def correlations(cov):
    deviation = np.sqrt(cov.diagonal())
    return cov / np.outer(deviation, deviation)


def clipped(correlation):
    """The obvious remedy: negative eigenvalues cut, and the diagonal scaled back."""
    values, vectors = np.linalg.eigh(correlation)
    return correlations((vectors * np.maximum(values, 0)) @ vectors.T)


@given(broken())
def test_the_nearest_covariance_is_one_and_keeps_the_variances(matrix):
    nearest = nearest_covariance(matrix)
    assert np.array_equal(nearest.diagonal(), matrix.diagonal())
    assert np.linalg.eigvalsh(correlations(nearest))[0] > -1e-12
    assert np.array_equal(checked_covariance(nearest), nearest)


@given(broken())
def test_the_nearest_covariance_of_a_covariance_is_itself(matrix):
    nearest = nearest_covariance(matrix)
    assert np.array_equal(nearest_covariance(nearest), nearest)


@given(broken())
def test_the_nearest_covariance_is_nearer_than_cut_eigenvalues(matrix):
    correlation = correlations(matrix)
    apart = np.linalg.norm(correlations(nearest_covariance(matrix)) - correlation)
    assert apart <= np.linalg.norm(clipped(correlation) - correlation) + 1e-10


@given(broken(), st.integers(0, 100))
def test_no_other_covariance_in_sight_is_nearer(matrix, seed):
    correlation, nearest = correlations(matrix), correlations(nearest_covariance(matrix))
    other = np.corrcoef(np.random.default_rng(seed).normal(size=(len(matrix), 2 * len(matrix))))
    for share in (1e-3, 1e-2, 0.1):
        between = (1 - share) * nearest + share * other
        assert np.linalg.norm(between - correlation) >= np.linalg.norm(nearest - correlation) - 1e-10


def test_highams_example_has_his_answer():
    """Higham (2002), section 1: off-diagonals .7607 and .1573, at a distance of .5278."""
    nearest = nearest_covariance(HIGHAM)
    assert nearest[0].round(4).tolist() == [1.0, 0.7607, 0.1573]
    assert round(float(np.linalg.norm(nearest - HIGHAM)), 4) == 0.5278


def test_an_asset_of_no_variance_has_no_covariance_in_the_nearest():
    assert nearest_covariance([[1, 0.1], [0.1, 0]]).tolist() == [[1.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ([[1, 2], [2, 1]], "least eigenvalue of its correlations -1: use portfolio.nearest_covariance"),
        (HIGHAM, "least eigenvalue of its correlations -0.414214"),
        ([[1, 0], [0, -1]], "negative variance -1 for asset 1"),
        ([[1, 0.1], [0.1, 0]], "semidefinite, asset 1 has covariances and no variance: use portfolio.nearest"),
        ([[1e12, 2e-3], [2e-3, 1e-18]], "least eigenvalue of its correlations -1:"),
        ([[1e6, 200.0], [200.0, 1e-2]], "least eigenvalue of its correlations -1:"),
        (pd.DataFrame([[4, 1], [1, 1]], ["b", "a"], ["a", "b"]), r"one order, got rows \['b', 'a'\]"),
        ([[1, 0.5], [0.4, 1]], r"symmetric, got 0.5 at \(0, 1\) and 0.4"),
        ([[1, np.nan], [np.nan, 1]], "finite, got nan"),
        ([[1, np.inf], [np.inf, 1]], "finite, got inf"),
        ([1, 2], r"square, .* got shape \(2,\)"),
        (np.ones((2, 3)), r"got shape \(2, 3\)"),
        (np.empty((0, 0)), r"got shape \(0, 0\)"),
    ],
)
def test_what_is_no_covariance_is_refused_with_its_value(matrix, said):
    with pytest.raises(DataError, match=said):
        checked_covariance(matrix)


def test_a_negative_variance_has_no_nearest_covariance():
    with pytest.raises(DataError, match="negative variance -2 for asset 1"):
        nearest_covariance([[1, 0], [0, -2]])


@given(st.integers(1, 6), st.integers(2, 12), st.integers(0, 1000))
def test_covariances_of_a_sample_are_accepted_even_when_singular(n_assets, n_days, seed):
    sample = np.random.default_rng(seed).normal(size=(n_days, n_assets)) * 10.0 ** np.arange(n_assets)
    cov = np.atleast_2d(np.cov(sample, rowvar=False))
    assert np.allclose(checked_covariance(cov), cov, rtol=1e-15)


def slow_shrinkage(returns):
    """Ledoit and Wolf (2004), lemmas 3.2 to 3.4, one day at a time, on the returns by their deviations."""
    deviation = returns.std(axis=0)
    days = (returns - returns.mean(axis=0)) / deviation
    n_days, n_assets = returns.shape
    sample, target = days.T @ days / n_days, np.eye(n_assets)
    dispersion = ((sample - target) ** 2).sum() / n_assets
    error = sum(((np.outer(day, day) - sample) ** 2).sum() / n_assets for day in days) / n_days**2
    shrinkage = min(error, dispersion) / dispersion
    return np.outer(deviation, deviation) * ((1 - shrinkage) * sample + shrinkage * target), shrinkage


@given(st.integers(2, 6), st.integers(3, 60), st.integers(0, 1000), st.sampled_from([1e-150, 1e-6, 1.0, 1e6, 1e150]))
def test_the_shrinkage_is_ledoit_and_wolfs_of_the_correlations_in_any_unit(n_assets, n_days, seed, unit):
    rng = np.random.default_rng(seed)
    returns = rng.normal(size=(n_days, n_assets)) @ rng.normal(size=(n_assets, n_assets)) + 5
    covariance, shrinkage = slow_shrinkage(returns)
    shrunk = shrunk_covariance(returns * unit)
    assert shrunk.shrinkage == pytest.approx(shrinkage, abs=1e-9)
    assert np.allclose(shrunk.covariance / unit / unit, covariance, rtol=1e-8, atol=1e-10)
    assert checked_covariance(shrunk.covariance) is not None


@given(st.integers(2, 6), st.integers(5, 60), st.integers(0, 1000))
def test_returns_of_one_variance_have_the_covariance_of_sklearn(n_assets, n_days, seed):
    from sklearn.covariance import ledoit_wolf

    rng = np.random.default_rng(seed)
    returns = rng.normal(size=(n_days, n_assets)) @ rng.normal(size=(n_assets, n_assets))
    returns = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    theirs, shrinkage = ledoit_wolf(returns)
    ours = shrunk_covariance(returns)
    assert ours.shrinkage == pytest.approx(shrinkage, abs=1e-12)
    assert np.allclose(ours.covariance, theirs, rtol=0, atol=1e-12)


@given(st.integers(1, 6), st.integers(2, 60), st.integers(0, 1000))
def test_the_unit_of_an_asset_scales_its_covariances_and_nothing_else(n_assets, n_days, seed):
    rng = np.random.default_rng(seed)
    returns, unit = rng.normal(size=(n_days, n_assets)), 10.0 ** rng.uniform(-4, 4, n_assets)
    shrunk = shrunk_covariance(returns)
    assert np.allclose(shrunk.covariance.diagonal(), returns.var(axis=0), rtol=1e-12, atol=0)
    in_units = shrunk_covariance(returns * unit).covariance / np.outer(unit, unit)
    assert np.allclose(in_units, shrunk.covariance, rtol=1e-9, atol=1e-12)


def test_constant_assets_have_no_variance_and_do_not_count():
    rng = np.random.default_rng(0)
    assert shrunk_covariance(np.full((5, 3), 0.1)).covariance.tolist() == np.zeros((3, 3)).tolist()
    days = rng.normal(size=(50, 2))
    mixed = shrunk_covariance(np.column_stack([days[:, 0], np.full(50, 0.1), days[:, 1]]))
    assert mixed.covariance[1].tolist() == [0.0, 0.0, 0.0]
    alone = shrunk_covariance(days)
    assert np.array_equal(mixed.covariance[::2, ::2], alone.covariance)
    assert mixed.shrinkage == alone.shrinkage > 0
    one = shrunk_covariance([[1.0], [3.0]])
    assert one.covariance.tolist() == [[1.0]]
    assert one.shrinkage == 0


def test_a_covariance_is_its_correlations_and_deviations():
    split = split_covariance([[4.0, -1.0], [-1.0, 25.0]])
    assert split.correlation.tolist() == [[1.0, -0.1], [-0.1, 1.0]]
    assert split.deviation.tolist() == [2.0, 5.0]
    with pytest.raises(DataError, match="asset 1 has no variance"):
        split_covariance(np.diag([1.0, 0.0]))


@pytest.mark.parametrize(
    ("returns", "said"),
    [
        ([[1.0, 2.0]], "2 days or more, got 1"),
        ([[1.0, 2.0], [np.nan, 3.0]], "got nan on day 1, asset 0"),
        ([1.0, 2.0], r"got \(2,\)"),
        (np.empty((5, 0)), r"got \(5, 0\)"),
    ],
)
def test_returns_without_a_covariance_are_refused(returns, said):
    with pytest.raises(DataError, match=said):
        shrunk_covariance(returns)
