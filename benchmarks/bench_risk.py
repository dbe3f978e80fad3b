"""Conditional and entropic value at risk beside the slow forms and skfolio's. Run with ``make bench``."""

import cvxpy as cp
import numpy as np
import pytest
import skfolio.measures as oracle

from gridlab.risk.entropic import evar
from gridlab.risk.historical import cvar, var

LEVEL = 0.95
CVAR_GROUP = "CVaR of 10,000 scenarios on 250 days"
WEIGHTED_GROUP = "CVaR of 10,000 weighted scenarios on 250 days"
EVAR_GROUP = "EVaR of 10,000 scenarios on 10 days"
CONE_GROUP = "EVaR of 200 scenarios"


@pytest.fixture(scope="module")
def loss():
    return np.random.default_rng(0).standard_t(4, size=(250, 10_000))


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(1).random(10_000)


def cvar_by_sorting(loss, weights):
    """All scenarios in order, with the probability of each that lies in the tail."""
    probability = weights / weights.sum()
    worst_first = np.argsort(-loss, axis=-1)
    reached = np.minimum(np.cumsum(probability[worst_first], axis=-1), 1 - LEVEL)
    mass = np.diff(reached, axis=-1, prepend=0.0)
    return (np.take_along_axis(loss, worst_first, axis=-1) * mass).sum(axis=-1) / mass.sum(axis=-1)


@pytest.mark.benchmark(group=CVAR_GROUP)
def bench_cvar(benchmark, loss):
    found = benchmark(cvar, loss, LEVEL)
    np.testing.assert_allclose(found, cvar_by_sorting(loss, np.ones(10_000)), rtol=1e-10)


@pytest.mark.benchmark(group=CVAR_GROUP)
def bench_cvar_of_a_transposed_view(benchmark, loss):
    benchmark(cvar, np.ascontiguousarray(loss.T).T, LEVEL)


@pytest.mark.benchmark(group=CVAR_GROUP)
def bench_var(benchmark, loss):
    benchmark(var, loss, LEVEL)


@pytest.mark.benchmark(group=CVAR_GROUP)
def bench_cvar_by_sorting(benchmark, loss):
    benchmark.pedantic(cvar_by_sorting, (loss, np.ones(10_000)), rounds=5)


@pytest.mark.benchmark(group=CVAR_GROUP)
def bench_cvar_by_skfolio_day_by_day(benchmark, loss):
    found = benchmark(lambda: [oracle.cvar(-day, beta=LEVEL) for day in loss])
    np.testing.assert_allclose(found, cvar(loss, LEVEL), rtol=1e-10)


@pytest.mark.benchmark(group=CVAR_GROUP)
def bench_cvar_by_skfolio_at_once(benchmark, loss):
    benchmark(lambda: oracle.cvar(-loss.T, beta=LEVEL))


@pytest.mark.benchmark(group=WEIGHTED_GROUP)
def bench_weighted_cvar(benchmark, loss, weights):
    found = benchmark(cvar, loss, LEVEL, weights=weights)
    np.testing.assert_allclose(found, cvar_by_sorting(loss, weights), rtol=1e-10)


@pytest.mark.benchmark(group=WEIGHTED_GROUP)
def bench_weighted_cvar_by_sorting(benchmark, loss, weights):
    benchmark.pedantic(cvar_by_sorting, (loss, weights), rounds=5)


@pytest.mark.benchmark(group=WEIGHTED_GROUP)
def bench_weighted_cvar_by_skfolio(benchmark, loss, weights):
    benchmark.pedantic(oracle.cvar, (-loss.T,), {"beta": LEVEL, "sample_weight": weights}, rounds=5)


@pytest.mark.benchmark(group=EVAR_GROUP)
def bench_evar(benchmark, loss):
    benchmark(evar, loss[:10], LEVEL)


@pytest.mark.benchmark(group=EVAR_GROUP)
def bench_evar_by_skfolio_day_by_day(benchmark, loss):
    found = benchmark(lambda: [oracle.evar(-day, beta=LEVEL) for day in loss[:10]])
    np.testing.assert_allclose(found, evar(loss[:10], LEVEL), rtol=1e-8)


@pytest.mark.benchmark(group=CONE_GROUP)
def bench_evar_of_one_day(benchmark, loss):
    benchmark(evar, loss[0, :200], LEVEL)


@pytest.mark.benchmark(group=CONE_GROUP)
def bench_evar_by_an_exponential_cone(benchmark, loss):
    """The least ``t + s log(n / (1 - level))`` with ``sum_i s exp((loss_i - t) / s) <= s``, by Clarabel."""
    small = loss[0, :200]
    value, scale, share = cp.Variable(), cp.Variable(), cp.Variable(200)
    cones = [cp.ExpCone(small - value, scale * np.ones(200), share), cp.sum(share) <= scale]
    problem = cp.Problem(cp.Minimize(value - scale * np.log((1 - LEVEL) * 200)), cones)
    found = benchmark.pedantic(problem.solve, (), {"solver": cp.CLARABEL}, rounds=5)
    assert found == pytest.approx(float(evar(small, LEVEL)), rel=1e-6)
