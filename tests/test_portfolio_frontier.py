"""The efficient frontier: least risk for each mean, convex, and the same whatever the order or unit of the assets."""

import itertools
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError, PlanError
from gridlab.portfolio.frontier import frontier
from gridlab.portfolio.limits import Limits
from gridlab.portfolio.optimisation import min_variance_weights
from gridlab.portfolio.quadratic import mended
from gridlab.portfolio.tail import max_return_weights, min_cvar_weights
from gridlab.risk.historical import cvar

N_DAYS, N_ASSETS, N_POINTS = 60, 5, 9

seeds = st.integers(0, 10_000)
measures = pytest.mark.parametrize("measure", ["variance", "cvar"])


def returns_of(seed: int, n_days: int = N_DAYS, n_assets: int = N_ASSETS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = np.eye(n_assets) + 0.4 * rng.normal(size=(n_assets, n_assets))
    return rng.normal(0, 0.4, n_assets) + rng.standard_t(4, (n_days, n_assets)) @ mixed * rng.uniform(0.5, 4, n_assets)


def site(seed: int) -> Limits:
    rng = np.random.default_rng(seed + 1)
    use, held = rng.uniform(0, 1, (1, N_ASSETS)), rng.dirichlet(np.ones(N_ASSETS))
    cap, cost = use.mean() + rng.uniform(0.01, 0.2), rng.uniform(0, 0.2)
    return Limits(lower=-0.1, upper=0.7, coupling=use, cap=cap, held=held, turnover_cost=cost, most_turnover=1.5)


def risk_of(measure: str, returns: np.ndarray, weights: np.ndarray, cost: float = 0.0) -> float:
    if measure == "variance":
        return float(np.std(returns @ weights, ddof=1))
    return float(cvar(-returns @ weights, 0.9)) + cost


def parts(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return table["mean"].to_numpy(), table["risk"].to_numpy(), table.iloc[:, 2:].to_numpy()


@measures
@settings(max_examples=12)
@given(seed=seeds, limited=st.booleans())
def test_the_frontier_is_even_in_the_mean_convex_in_the_risk_within_limits_and_recomputed_from_weights(
    measure, seed, limited
):
    returns, limits = returns_of(seed), site(seed) if limited else Limits()
    arrays = limits.of(N_ASSETS)
    mean, risk, weights = parts(frontier(returns, measure=measure, level=0.9, n_points=N_POINTS, limits=limits))
    for point in range(N_POINTS):
        cost = arrays.cost(weights[point])
        assert limits.violation(weights[point]) <= 1e-9
        assert mean[point] == pytest.approx(returns.mean(axis=0) @ weights[point] - cost, abs=1e-12)
        assert risk[point] == pytest.approx(risk_of(measure, returns, weights[point], cost), abs=1e-10)
    assert mean == pytest.approx(np.linspace(mean[0], mean[-1], N_POINTS), abs=1e-8)
    assert (np.diff(risk) >= -1e-8).all()
    assert (np.diff(risk, n=2) >= -1e-7).all()


@measures
@settings(max_examples=6)
@given(seed=seeds)
def test_no_weights_with_a_points_mean_have_less_risk(measure, seed):
    returns, limits, rng = returns_of(seed), site(seed), np.random.default_rng(seed + 2)
    arrays = limits.of(N_ASSETS)
    mean, risk, weights = parts(frontier(returns, measure=measure, level=0.9, n_points=N_POINTS, limits=limits))
    for other in weights[rng.integers(0, N_POINTS, 60)] + rng.normal(0, 1, (60, N_ASSETS)) * 10.0 ** rng.uniform(-4, 0):
        other = mended(arrays.rows(), arrays.with_moves(other))[:N_ASSETS]
        cost = arrays.cost(other)
        reached = returns.mean(axis=0) @ other - cost
        if arrays.violation(other) <= 1e-10:
            assert reached <= mean[-1] + 1e-8
            assert risk_of(measure, returns, other, cost) >= risk[0] - 1e-8
            least = np.interp(reached, mean, risk)  # lies above the frontier between points, which is convex
            gap = np.diff(risk, n=2).max() + 1e-8
            assert risk_of(measure, returns, other, cost) >= least - gap


@settings(max_examples=10)
@given(seed=seeds)
def test_the_ends_are_the_least_risk_and_the_greatest_mean(seed):
    returns = returns_of(seed)
    best = returns.mean(axis=0).argmax()
    cov = np.cov(returns, rowvar=False)
    _, _, weights = parts(frontier(returns, n_points=3))
    assert weights[0] == pytest.approx(min_variance_weights(cov), abs=1e-9)
    assert weights[-1] == pytest.approx(np.eye(N_ASSETS)[best], abs=1e-9)
    mean, risk, weights = parts(frontier(returns, measure="cvar", level=0.9, n_points=3))
    assert risk[0] == pytest.approx(cvar(-returns @ min_cvar_weights(returns, 0.9), 0.9), abs=1e-8)
    assert weights[-1] == pytest.approx(np.eye(N_ASSETS)[best], abs=1e-9)
    between = max_return_weights(returns, 0.9, risk[1])
    assert returns.mean(axis=0) @ between == pytest.approx(mean[1], abs=1e-7)


@measures
@settings(max_examples=6)
@given(seed=seeds)
def test_order_and_unit_of_the_assets_do_not_matter(measure, seed):
    returns, rng = returns_of(seed), np.random.default_rng(seed)
    order, unit = rng.permutation(N_ASSETS), 10.0 ** rng.integers(-5, 5)
    options = {"measure": measure, "level": 0.9, "n_points": 5}
    mean, risk, _ = parts(frontier(returns, **options))
    mean_other, risk_other, _ = parts(frontier(unit * returns[:, order], **options))
    size = np.abs(returns).max()
    assert mean_other / unit == pytest.approx(mean, abs=1e-8 * size)
    assert risk_other / unit == pytest.approx(risk, abs=1e-8 * size)


def test_the_frontier_of_two_assets_is_the_hyperbola_of_the_textbook():
    returns = returns_of(4, n_assets=2)
    cov, expected = np.cov(returns, rowvar=False), returns.mean(axis=0)
    mean, risk, weights = parts(frontier(returns, n_points=7))
    share = (mean - expected[1]) / (expected[0] - expected[1])
    assert weights[:, 0] == pytest.approx(share, abs=1e-9)
    variance = share**2 * cov[0, 0] + 2 * share * (1 - share) * cov[0, 1] + (1 - share) ** 2 * cov[1, 1]
    assert risk == pytest.approx(np.sqrt(variance), abs=1e-10)


@measures
@given(seed=seeds)
@settings(max_examples=6)
def test_of_equally_safe_portfolios_the_first_point_is_the_richest(measure, seed):
    returns = returns_of(seed)
    returns[:, 3], returns[:, 4] = 0.1, -0.2  # two without risk
    returns[:, :3] += 0.5 * np.abs(returns[:, :3]).max()
    if measure == "variance":
        mean, risk, weights = parts(frontier(returns, n_points=4))
        assert (risk[0], mean[0]) == (pytest.approx(0, abs=1e-7), pytest.approx(0.1, abs=1e-7))
    else:
        doubled = np.column_stack([returns[:, 0], returns[:, 0], returns[:, 3]])
        for expected, poorer in (([1.0, 2.0, 0.5], 0), ([2.0, 1.0, 0.5], 1)):
            mean, _, weights = parts(frontier(doubled, measure="cvar", mean=expected, n_points=4))
            assert weights[:, poorer] == pytest.approx(0, abs=1e-7)
    assert (np.diff(mean) >= -1e-9).all()


@measures
def test_degenerate_tables_have_the_stated_answer(measure):
    same = frontier(np.ones((5, 3)), measure=measure, n_points=4)
    assert same["mean"].tolist() == pytest.approx([1.0] * 4)
    assert same["risk"].tolist() == pytest.approx([0.0 if measure == "variance" else -1.0] * 4, abs=1e-9)
    alone = frontier(returns_of(2, n_assets=1), measure=measure, n_points=3)
    assert alone.iloc[:, 2].tolist() == pytest.approx([1.0] * 3)
    few = frontier(returns_of(3, n_days=3), measure=measure, n_points=5)
    assert (np.diff(few["risk"], n=2) >= -1e-7).all()


def test_a_table_of_names_has_their_columns_and_other_means_may_be_expected():
    table = pd.DataFrame(returns_of(6, n_assets=3), columns=["energy", "regulation", "compute"])
    found = frontier(table, n_points=3, mean=[0.0, 5.0, 1.0])
    assert list(found.columns) == ["mean", "risk", "energy", "regulation", "compute"]
    assert (found.index.name, found.index.tolist()) == ("point", [0, 1, 2])
    assert found["regulation"].iloc[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_points": 1}, "n_points must be a whole number, 2 or more"),
        ({"n_points": 2.5}, "n_points must be a whole number, 2 or more"),
        ({"measure": "varianse"}, "there is no measure 'varianse', did you mean 'variance'"),
        ({"level": 1.0, "measure": "cvar"}, "level must be in"),
        ({"mean": [1.0]}, "mean must be finite"),
    ],
)
def test_what_has_no_answer_is_refused(options, said):
    with pytest.raises(DataError, match=said):
        frontier(returns_of(1), **options)
    with pytest.raises(DataError, match="returns of one day have no variance"):
        frontier([[1.0, 2.0]])
    with pytest.raises(DataError, match="got nan in scenario 0 of asset 1"):
        frontier([[1.0, np.nan], [1.0, 2.0]])
    apart = Limits(coupling=np.ones((1, N_ASSETS)), cap=0.5, names=["site cap"])
    for measure in ("variance", "cvar"):
        with pytest.raises(PlanError, match=r"'site cap' would have to be 1 instead of 0\.5"):
            frontier(returns_of(1), measure=measure, limits=apart)
        with pytest.raises(PlanError, match="unbounded"):
            frontier(returns_of(1), measure=measure, limits=Limits(lower=-np.inf, upper=np.inf))


@measures
def test_skfolio_has_the_same_frontier(measure):
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk

    returns = returns_of(8, n_days=200) / 100
    mean, risk, _ = parts(frontier(returns, measure=measure, level=0.9, n_points=5))
    tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
    by = RiskMeasure.VARIANCE if measure == "variance" else RiskMeasure.CVAR
    for point in range(1, 5):
        model = MeanRisk(
            risk_measure=by, cvar_beta=0.9, min_return=mean[point] - 1e-15, scale_objective=1e3, solver_params=tight
        )
        with warnings.catch_warnings():  # it stops short of 1e-12, and says so
            warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
            weights = model.fit(returns).weights_
        assert risk_of(measure, returns, weights) == pytest.approx(risk[point], abs=1e-8)


@pytest.mark.parametrize(
    ("seed", "limits"),
    [
        (4, Limits()),
        (15, Limits(lower=-0.5, upper=1.5)),
        (165, Limits(upper=0.6)),
        (187, Limits(lower=-0.5, upper=1.5)),
    ],
)
def test_assets_in_units_far_apart_have_a_frontier_of_cvar_that_begins_at_the_least(seed, limits):
    rng = np.random.default_rng(seed)
    n_assets = int(rng.integers(2, 9))
    returns = rng.standard_t(2.5, (int(rng.integers(5, 250)), n_assets)) * 10 ** rng.uniform(-4, 3, n_assets)
    mean, risk, _ = parts(frontier(returns, measure="cvar", n_points=6, limits=limits))
    least = cvar(-returns @ min_cvar_weights(returns, limits=limits), 0.95)
    assert risk[0] == pytest.approx(least, rel=1e-8)
    assert mean == pytest.approx(np.linspace(mean[0], mean[-1], 6), rel=1e-8, abs=1e-9 * mean[-1])
    assert (np.diff(risk, n=2) >= -1e-8 * risk[-1]).all()


@measures
def test_a_small_total_with_wide_bounds_has_a_frontier(measure):
    """Shares of a total that is a millionth of what each may be: all is borrowed, and risk grows with it."""
    mean, risk, weights = parts(
        frontier(returns_of(7), measure=measure, n_points=3, limits=Limits(total=1e-6, lower=-1, upper=1))
    )
    assert weights.sum(axis=1) == pytest.approx(1e-6, abs=1e-9)
    assert np.abs(weights[-1]).max() == pytest.approx(1.0)
    assert 0 < risk[1] < risk[2] / 2
    assert mean[1] == pytest.approx(mean[2] / 2, rel=1e-4)


@measures
@settings(max_examples=8)
@given(seed=seeds)
def test_fewer_days_than_assets_are_not_refused(measure, seed):
    rng = np.random.default_rng(seed)
    n_assets = int(rng.integers(3, 12))
    returns = rng.normal(0, 10 ** rng.uniform(-2, 2, n_assets), (int(rng.integers(2, n_assets)), n_assets))
    for limits in (Limits(), Limits(lower=-0.3, upper=2, held=rng.dirichlet(np.ones(n_assets)), turnover_cost=0.01)):
        table = frontier(returns, measure=measure, n_points=6, limits=limits)
        assert (np.diff(table["risk"], n=2) >= -1e-7 * table["risk"].abs().max()).all()


def test_limits_by_name_are_those_of_the_columns():
    table = pd.DataFrame(returns_of(6, n_assets=3), columns=["energy", "regulation", "compute"])
    named = frontier(table, n_points=3, limits=Limits(upper=pd.Series({"compute": 0.1, "regulation": 1, "energy": 1})))
    assert named.equals(frontier(table, n_points=3, limits=Limits(upper=[1, 1, 0.1])))
    with pytest.raises(DataError, match=r"upper lacks \['regulation', 'compute'\]"):
        frontier(table, limits=Limits(upper={"energy": 1.0}))
    with pytest.raises(DataError, match="the assets have none here"):
        frontier(table.to_numpy(), limits=Limits(upper=pd.Series([1, 1, 0.1])))


@pytest.mark.parametrize("name", ["mean", "risk"])
def test_an_asset_with_the_name_of_a_column_of_the_answer_is_refused(name):
    with pytest.raises(DataError, match=f"no asset can be called '{name}', a column of the answer: rename it"):
        frontier(pd.DataFrame(returns_of(6, n_assets=2), columns=[name, "energy"]))


@pytest.mark.parametrize("limits", [None, Limits(held=[0.4, 0.3, 0.2, 0.1], turnover_cost=0.02)])
def test_a_point_whose_way_from_the_point_before_is_lost_is_found_from_the_solver_s_answer(limits, monkeypatch):
    returns = np.random.default_rng(6).normal([1, 2, 3, 4], [1, 3, 5, 9], (200, 4))
    usual = frontier(returns, n_points=7, limits=limits)
    module, verdicts = sys.modules["gridlab.portfolio.frontier"], itertools.cycle([False, True])
    counts = module.counts
    monkeypatch.setattr(module, "counts", lambda *given: next(verdicts) and counts(*given))
    lost = frontier(returns, n_points=7, limits=limits)
    np.testing.assert_allclose(lost, usual, atol=1e-7)
    monkeypatch.setattr(module, "counts", lambda *_: False)
    with pytest.raises(PlanError, match="a point of the frontier misses its limits by"):
        frontier(returns, n_points=7, limits=limits)
