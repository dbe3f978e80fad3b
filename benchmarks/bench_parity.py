"""Risk parity: Newton's method beside the exponential cone, in cvxpy and in skfolio. Run with ``make bench``."""

import warnings
from functools import cache

import numpy as np
import pytest

from gridlab.portfolio.covariance import checked_covariance
from gridlab.portfolio.hierarchical import hierarchical_risk_parity_weights
from gridlab.portfolio.parity import risk_parity_weights, risk_shares

PARITY = "risk parity: 100 assets"
TREE = "hierarchical risk parity: 100 assets"


@cache
def returns():
    """A thousand days of a hundred assets with a common factor, in units that differ tenfold."""
    rng = np.random.default_rng(0)
    days = rng.normal(size=(1000, 100)) + rng.normal(size=(1000, 1))
    return 0.01 * days * 10.0 ** rng.uniform(-0.5, 0.5, 100)


@cache
def exponential_cone():
    """Spinu's problem as cvxpy has it, on a factor of the correlations, compiled for any of 100 assets."""
    import cvxpy as cp

    factor, x = cp.Parameter((100, 100)), cp.Variable(100)
    return cp.Problem(cp.Minimize(cp.sum_squares(factor @ x) / 2 - cp.sum(cp.log(x)) / 100)), factor, x


def by_cone(problem, factor, x):
    cov = checked_covariance(np.cov(returns(), rowvar=False))
    deviation = np.sqrt(cov.diagonal())
    factor.value = np.linalg.cholesky(cov / np.outer(deviation, deviation)).T
    problem.solve(solver="CLARABEL")
    weights = x.value / deviation
    return weights / weights.sum()


@pytest.mark.benchmark(group=PARITY)
def bench_newton(benchmark):
    cov = np.cov(returns(), rowvar=False)
    weights = benchmark(risk_parity_weights, cov)
    assert np.abs(risk_shares(weights, cov) - 0.01).max() < 1e-8


@pytest.mark.benchmark(group=PARITY)
def bench_cvxpy_exponential_cone_compiled_once(benchmark):
    by_cone(*exponential_cone())
    weights = benchmark.pedantic(by_cone, exponential_cone(), rounds=10)
    assert np.allclose(weights, risk_parity_weights(np.cov(returns(), rowvar=False)), atol=1e-5)


@pytest.mark.benchmark(group=PARITY)
def bench_cvxpy_exponential_cone_compiled_anew(benchmark):
    def anew():
        exponential_cone.cache_clear()
        return by_cone(*exponential_cone())

    benchmark.pedantic(anew, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group=PARITY)
def bench_skfolio_risk_budgeting(benchmark):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skfolio.optimization import RiskBudgeting

        benchmark.pedantic(lambda: RiskBudgeting().fit(returns()), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group=TREE)
def bench_hierarchical(benchmark):
    benchmark(hierarchical_risk_parity_weights, np.cov(returns(), rowvar=False))


@pytest.mark.benchmark(group=TREE)
def bench_skfolio_hierarchical_risk_parity(benchmark):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skfolio.cluster import HierarchicalClustering, LinkageMethod
        from skfolio.optimization import HierarchicalRiskParity
        from skfolio.seriation import HierarchicalSeriation

        clustering = HierarchicalClustering(linkage_method=LinkageMethod.SINGLE)
        order = HierarchicalSeriation(hierarchical_clustering_estimator=clustering)
        benchmark.pedantic(lambda: HierarchicalRiskParity(seriation_estimator=order).fit(returns()), rounds=3)
