"""Risk parity and hierarchical risk parity."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.portfolio.hierarchical import LINKAGES, hierarchical_risk_parity_weights
from gridlab.portfolio.parity import risk_parity_weights, risk_shares

seeds = st.integers(0, 10_000)


@st.composite
def covariances(draw, most=12):
    """Covariances of 1 to 12 assets, in units six orders of magnitude apart, correlated either way or not at all."""
    n_assets = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(seeds))
    n_days = n_assets + draw(st.sampled_from([2, 10, 200]))
    common = draw(st.sampled_from([0.0, 1.0, 30.0])) * rng.normal(size=(n_days, 1))
    signs = rng.choice([-1.0, 1.0], n_assets) if draw(st.booleans()) else np.ones(n_assets)
    days = rng.normal(size=(n_days, n_assets)) + common * signs
    return np.atleast_2d(np.cov(days * 10.0 ** rng.uniform(-3, 3, n_assets), rowvar=False))


def budgets(seed, n_assets):
    uneven = np.random.default_rng(seed).dirichlet(np.full(n_assets, 0.3)) + 1e-6
    return uneven / uneven.sum()


@given(covariances())
def test_every_asset_brings_an_equal_share_of_the_variance(cov):
    weights = risk_parity_weights(cov)
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert np.abs(risk_shares(weights, cov) - 1 / len(cov)).max() <= 1e-8


@given(covariances(), seeds)
def test_every_asset_brings_its_budgets_share_of_the_variance(cov, seed):
    budget = budgets(seed, len(cov))
    shares = risk_shares(risk_parity_weights(cov, budget=7 * budget), cov)
    assert np.abs(shares - budget).max() <= 1e-8


@given(covariances(), seeds)
def test_the_order_and_the_units_of_the_assets_do_not_matter(cov, seed):
    rng = np.random.default_rng(seed)
    order, unit = rng.permutation(len(cov)), 10.0 ** rng.uniform(-2, 2, len(cov))
    weights = risk_parity_weights(cov)
    assert np.allclose(risk_parity_weights(cov[np.ix_(order, order)]), weights[order], rtol=1e-7, atol=0)
    in_units = weights / unit
    assert np.allclose(risk_parity_weights(cov * np.outer(unit, unit)), in_units / in_units.sum(), rtol=1e-7, atol=0)


def by_coordinates(cov, budget):
    """Griveau-Billion, Richard and Roncalli (2013): each coordinate's minimum in turn, until nothing moves."""
    deviation = np.sqrt(cov.diagonal())
    correlation = cov / np.outer(deviation, deviation)
    x = np.sqrt(budget)
    for _ in range(100_000):
        before = x.copy()
        for i in range(len(x)):
            others = correlation[i] @ x - correlation[i, i] * x[i]
            x[i] = (np.sqrt(others**2 + 4 * correlation[i, i] * budget[i]) - others) / (2 * correlation[i, i])
        if np.abs(x - before).max() <= 1e-15 * x.max():
            break
    return x / deviation / (x / deviation).sum()


@given(covariances(most=6), seeds)
def test_weights_are_those_of_the_slow_descent_by_coordinates(cov, seed):
    budget = budgets(seed, len(cov))
    deviation = np.sqrt(cov.diagonal())
    assume(np.linalg.cond(cov / np.outer(deviation, deviation)) < 1e4)
    weights = risk_parity_weights(cov, budget=budget)
    assert np.allclose(weights, by_coordinates(cov, budget), rtol=1e-6, atol=1e-9)


def test_uncorrelated_assets_are_held_inverse_to_their_deviations():
    """reference: deviations .10 and .25 give .714286 and .285714."""
    assert risk_parity_weights(np.diag([0.10**2, 0.25**2])).round(6).tolist() == [0.714286, 0.285714]


def test_two_assets_are_held_inverse_to_their_deviations_whatever_their_correlation():
    for correlation in (-0.9999999, -0.9, 0.0, 0.9, 1.0):
        weights = risk_parity_weights([[1, 2 * correlation], [2 * correlation, 4]])
        assert weights == pytest.approx([2 / 3, 1 / 3], abs=1e-9)


def test_a_singular_covariance_has_parity_where_no_long_portfolio_is_without_risk():
    cov = np.ones((3, 3)) * np.outer([1, 2, 3], [1, 2, 3])
    assert risk_parity_weights(cov) == pytest.approx(np.array([6, 3, 2]) / 11)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("uneven", [False, True])
def test_weights_agree_with_skfolios_risk_budgeting(uneven):
    from skfolio.optimization import RiskBudgeting

    rng = np.random.default_rng(3)
    returns = rng.normal(size=(500, 8)) @ rng.normal(size=(8, 8)) * 0.01
    budget = budgets(1, 8) + 0.05 if uneven else np.ones(8)
    tight = {"tol_gap_abs": 1e-14, "tol_gap_rel": 1e-14, "tol_feas": 1e-14}
    asked = {"risk_budget": budget / budget.sum(), "solver_params": tight, "scale_objective": 1e2}
    theirs = RiskBudgeting(**asked).fit(returns).weights_
    assert np.abs(risk_parity_weights(np.cov(returns, rowvar=False), budget=budget) - theirs).max() <= 1e-8


@pytest.mark.parametrize(
    ("cov", "budget", "said"),
    [
        (np.diag([1.0, 0.0, 2.0]), None, "asset 1 has no variance"),
        (np.eye(2), [1.0, 0.0], "budget must be positive, got .*0.0"),
        (np.eye(2), [1.0, -1.0], "budget must be positive"),
        (np.eye(2), [1.0, np.nan], "budget must be positive"),
        (np.eye(2), [1.0], r"shape \(2,\)"),
        ([[1.0, -1.0], [-1.0, 1.0]], None, "hedge each other"),
        ([[1.0, 2.0], [2.0, 1.0]], None, "nearest_covariance"),
    ],
)
def test_parity_that_does_not_exist_is_refused(cov, budget, said):
    with pytest.raises(DataError, match=said):
        risk_parity_weights(cov, budget=budget)


@given(covariances(), seeds)
def test_risk_shares_sum_to_one_and_do_not_depend_on_the_size(cov, seed):
    weights = np.random.default_rng(seed).uniform(0.1, 1, len(cov))
    assume(weights @ cov @ weights > 1e-6 * (weights**2 @ cov.diagonal()))
    shares = risk_shares(weights, cov)
    assert shares.sum() == pytest.approx(1)
    assert risk_shares(-3 * weights, cov) == pytest.approx(shares)


@pytest.mark.parametrize(("weights", "said"), [([0, 0], "no variance"), ([1], "each of 2"), ([1, np.nan], "finite")])
def test_shares_of_no_risk_are_refused(weights, said):
    with pytest.raises(DataError, match=said):
        risk_shares(weights, np.eye(2))


def test_shares_and_budgets_beside_a_table_are_read_by_its_labels():
    cov = pd.DataFrame([[1.0, 0.2], [0.2, 9.0]], ["hash", "energy"], ["hash", "energy"])
    weights = pd.Series([0.8, 0.2], ["energy", "hash"])
    assert risk_shares(weights, cov) == pytest.approx(risk_shares([0.2, 0.8], cov.to_numpy()))
    assert risk_parity_weights(cov, budget=weights) == pytest.approx(risk_parity_weights(cov, budget=[0.2, 0.8]))
    for other in (weights.rename({"hash": "miners"}), weights.iloc[:1], weights.reset_index(drop=True)):
        with pytest.raises(DataError, match="weights and cov must name the same assets"):
            risk_shares(other, cov)


def bisected(cov, order):
    """Lopez de Prado (2016), the listing of the paper's stage 3."""
    weights, clusters = np.ones(len(cov)), [list(order)]
    while clusters:
        clusters = [c[i:j] for c in clusters for i, j in ((0, len(c) // 2), (len(c) // 2, len(c))) if len(c) > 1]
        for left, right in zip(clusters[::2], clusters[1::2], strict=True):
            risks = []
            for cluster in (left, right):
                inside = cov[np.ix_(cluster, cluster)]
                inverse = 1 / np.diag(inside) / (1 / np.diag(inside)).sum()
                risks.append(inverse @ inside @ inverse)
            weights[left] *= 1 - risks[0] / sum(risks)
            weights[right] *= risks[0] / sum(risks)
    return weights


def distances(cov):
    """The paper's stage 1: the distance of two columns of distances."""
    deviation = np.sqrt(cov.diagonal())
    apart = np.sqrt(np.maximum(0.5 * (1 - cov / np.outer(deviation, deviation)), 0))
    return np.array([[np.sqrt(((a - b) ** 2).sum()) for b in apart.T] for a in apart.T])


@given(covariances(), st.sampled_from(LINKAGES))
def test_hierarchical_weights_are_those_of_the_papers_listing(cov, linkage):
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    order = [0]
    if len(cov) > 1:
        apart = squareform(distances(cov), checks=False)
        order = hierarchy.leaves_list(hierarchy.linkage(apart, linkage, optimal_ordering=True))
    if cov[order[0], order[0]] > cov[order[-1], order[-1]]:
        order = order[::-1]
    assert hierarchical_risk_parity_weights(cov, linkage=linkage) == pytest.approx(bisected(cov, order), rel=1e-9)


@given(covariances(), seeds, st.sampled_from(LINKAGES))
def test_hierarchical_weights_do_not_depend_on_the_order_of_the_assets(cov, seed, linkage):
    apart = np.sort(distances(cov)[np.triu_indices(len(cov), 1)])
    assume((np.diff(apart) > 1e-9).all())
    order = np.random.default_rng(seed).permutation(len(cov))
    weights = hierarchical_risk_parity_weights(cov, linkage=linkage)
    permuted = hierarchical_risk_parity_weights(cov[np.ix_(order, order)], linkage=linkage)
    assert permuted == pytest.approx(weights[order], rel=1e-9)


@given(covariances(), st.sampled_from(LINKAGES))
def test_hierarchical_weights_are_positive_and_sum_to_one(cov, linkage):
    weights = hierarchical_risk_parity_weights(cov, linkage=linkage)
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-12)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9))
def test_uncorrelated_assets_are_held_inverse_to_their_variances(variances):
    inverse = 1 / np.array(variances)
    assert hierarchical_risk_parity_weights(np.diag(variances)) == pytest.approx(inverse / inverse.sum())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("linkage", ["single", "average", "ward"])
@pytest.mark.parametrize("n_assets", [2, 4, 8, 16])
def test_hierarchical_weights_agree_with_skfolios_given_the_papers_distance(n_assets, linkage):
    """
    Skfolio clusters by the correlations' distance itself, the paper by the distance between its columns.

    With the paper's handed to it, it agrees wherever halves do not depend on the end that the order begins with.
    """
    from skfolio.cluster import HierarchicalClustering, LinkageMethod
    from skfolio.distance import BaseDistance
    from skfolio.optimization import HierarchicalRiskParity
    from skfolio.seriation import HierarchicalSeriation

    class Paper(BaseDistance):
        def __init__(self):
            pass

        def fit(self, X, y=None):
            self.codependence_ = np.corrcoef(X.T)
            self.distance_ = distances(np.cov(X.T))
            return self

    rng = np.random.default_rng(n_assets)
    returns = rng.normal(size=(300, n_assets)) @ rng.normal(size=(n_assets, n_assets)) * 0.01
    clustering = HierarchicalClustering(linkage_method=LinkageMethod[linkage.upper()])
    seriation = HierarchicalSeriation(hierarchical_clustering_estimator=clustering)
    theirs = HierarchicalRiskParity(distance_estimator=Paper(), seriation_estimator=seriation).fit(returns).weights_
    ours = hierarchical_risk_parity_weights(np.cov(returns, rowvar=False), linkage=linkage)
    assert np.abs(ours - theirs).max() <= 1e-8


@pytest.mark.parametrize(
    ("cov", "linkage", "said"),
    [
        (np.diag([1.0, 0.0]), "single", "asset 1 has no variance"),
        (np.eye(2), "nearest", "no linkage 'nearest'"),
        ([[1.0, 2.0], [2.0, 1.0]], "single", "nearest_covariance"),
    ],
)
def test_a_tree_that_cannot_be_halved_is_refused(cov, linkage, said):
    with pytest.raises(DataError, match=said):
        hierarchical_risk_parity_weights(cov, linkage=linkage)
