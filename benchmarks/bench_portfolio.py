"""Frontiers of 50 points on 10 assets and 1,000 days beside skfolio's, and a re-solve beside a fresh cvxpy problem."""

from itertools import cycle

import numpy as np
import pytest

from gridlab.portfolio.frontier import frontier
from gridlab.portfolio.limits import Limits
from gridlab.portfolio.optimisation import mean_variance_weights, min_variance_weights
from gridlab.portfolio.tail import max_return_weights, min_cvar_weights
from gridlab.risk.historical import cvar

N_DAYS, N_ASSETS, N_POINTS, LEVEL = 1_000, 10, 50, 0.95


def _returns(seed=1, n_days=N_DAYS, n_assets=N_ASSETS):
    rng = np.random.default_rng(seed)
    mixed = np.eye(n_assets) + 0.3 * rng.normal(size=(n_assets, n_assets))
    return rng.standard_t(4, (n_days, n_assets)) @ mixed * 0.01 + 0.0005 * rng.normal(size=n_assets)


@pytest.mark.parametrize("measure", ["variance", "cvar"])
@pytest.mark.benchmark(group="frontier of 50 points, 10 assets, 1,000 days")
def bench_frontier(benchmark, measure):
    returns = _returns()
    frontier(returns, measure=measure, level=LEVEL)
    table = benchmark.pedantic(lambda: frontier(returns, measure=measure, level=LEVEL, n_points=N_POINTS), rounds=5)
    assert len(table) == N_POINTS


@pytest.mark.parametrize("measure", ["variance", "cvar"])
@pytest.mark.benchmark(group="frontier of 50 points, 10 assets, 1,000 days")
def bench_frontier_by_skfolio(benchmark, measure):
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk

    by = RiskMeasure.VARIANCE if measure == "variance" else RiskMeasure.CVAR
    model = MeanRisk(risk_measure=by, cvar_beta=LEVEL, efficient_frontier_size=N_POINTS)
    returns = _returns()
    found = benchmark.pedantic(lambda: model.fit(returns).weights_, rounds=3, warmup_rounds=1)
    assert found.shape == (N_POINTS, N_ASSETS)


@pytest.mark.parametrize("measure", ["variance", "cvar"])
@pytest.mark.benchmark(group="frontier of 50 points with bounds, a cap and turnover")
def bench_frontier_within_limits(benchmark, measure):
    use = np.linspace(0.2, 1.0, N_ASSETS)[np.newaxis]
    limits = Limits(upper=0.4, coupling=use, cap=0.6, held=np.full(N_ASSETS, 0.1), turnover_cost=1e-4)
    returns = _returns()
    frontier(returns, measure=measure, level=LEVEL, limits=limits)
    benchmark.pedantic(lambda: frontier(returns, measure=measure, level=LEVEL, limits=limits), rounds=3)


def _fresh_variance(cov):
    import cvxpy as cp

    w = cp.Variable(len(cov))
    cp.Problem(cp.Minimize(cp.quad_form(w, cp.psd_wrap(cov))), [cp.sum(w) == 1, w >= 0, w <= 1]).solve("CLARABEL")
    return w.value


def _fresh_tail(returns):
    import cvxpy as cp

    w, threshold = cp.Variable(returns.shape[1]), cp.Variable()
    shortfall = cp.Variable(len(returns), nonneg=True)
    risk = threshold + cp.sum(shortfall) / (len(returns) * (1 - LEVEL))
    limits = [shortfall >= -returns @ w - threshold, cp.sum(w) == 1, w >= 0, w <= 1]
    cp.Problem(cp.Minimize(risk), limits).solve("HIGHS")
    return w.value


@pytest.mark.parametrize("way", ["compiled once", "fresh problem"])
@pytest.mark.benchmark(group="minimum variance, 10 assets, new data each time")
def bench_min_variance(benchmark, way):
    covs = [np.cov(_returns(seed), rowvar=False) for seed in range(20)]
    solve = {"compiled once": min_variance_weights, "fresh problem": _fresh_variance}[way]
    after = cycle(covs)
    assert solve(covs[0]) == pytest.approx(min_variance_weights(covs[0]), abs=1e-3)
    benchmark.pedantic(lambda: solve(next(after)), rounds=40)


@pytest.mark.parametrize("way", ["compiled once", "fresh problem"])
@pytest.mark.benchmark(group="minimum cvar, 10 assets, 1,000 days, new data each time")
def bench_min_cvar(benchmark, way):
    tables = [_returns(seed) for seed in range(10)]
    solve = {"compiled once": lambda returns: min_cvar_weights(returns, LEVEL), "fresh problem": _fresh_tail}[way]
    after = cycle(tables)
    assert solve(tables[0]) == pytest.approx(min_cvar_weights(tables[0], LEVEL), abs=1e-6)
    benchmark.pedantic(lambda: solve(next(after)), rounds=10)


@pytest.mark.benchmark(group="return within a cvar, 10 assets, 1,000 days")
def bench_max_return(benchmark):
    returns = _returns()
    most = 1.2 * float(cvar(-returns @ min_cvar_weights(returns, LEVEL), LEVEL))
    max_return_weights(returns, LEVEL, most)
    benchmark.pedantic(lambda: max_return_weights(returns, LEVEL, most), rounds=10)


@pytest.mark.parametrize("n_assets", [10, 30, 100])
@pytest.mark.benchmark(group="mean-variance by the number of assets")
def bench_mean_variance(benchmark, n_assets):
    returns = _returns(n_assets=n_assets)
    mean, cov = returns.mean(axis=0), np.cov(returns, rowvar=False)
    mean_variance_weights(mean, cov, 5.0)
    benchmark.pedantic(lambda: mean_variance_weights(mean, cov, 5.0), rounds=10)
