"""Weights within limits: no others do better, the laws of scale and order hold, and skfolio agrees."""

import warnings

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab.errors import DataError, PlanError
from gridlab.portfolio.limits import Limits
from gridlab.portfolio.optimisation import max_diversification_weights, mean_variance_weights, min_variance_weights
from gridlab.portfolio.quadratic import Quadratic, corrected, mended, residual
from gridlab.portfolio.tail import max_return_weights, min_cvar_weights
from gridlab.programme import Programme, Session
from gridlab.risk.historical import cvar

N_DAYS, N_ASSETS = 60, 5  # one shape, so that a programme is compiled once

seeds = st.integers(0, 10_000)
levels = st.sampled_from([0.0, 0.5, 0.8, 0.95, 0.99])


def returns_of(seed: int, n_days: int = N_DAYS, n_assets: int = N_ASSETS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = np.eye(n_assets) + 0.4 * rng.normal(size=(n_assets, n_assets))
    return 3 + rng.standard_t(4, (n_days, n_assets)) @ mixed * rng.uniform(0.5, 4, n_assets)


def site(seed: int, n_assets: int = N_ASSETS) -> Limits:
    """Bounds, a cap that 1/N leaves some room under, and something held."""
    rng = np.random.default_rng(seed + 1)
    use, held = rng.uniform(0, 1, (1, n_assets)), rng.dirichlet(np.ones(n_assets))
    cap = use.mean() + rng.uniform(0.01, 0.2)
    return Limits(
        lower=-0.1, upper=0.7, coupling=use, cap=cap, held=held, turnover_cost=rng.uniform(0, 0.3), most_turnover=2.0
    )


def others_within(limits: Limits, weights: np.ndarray, seed: int, count: int = 40) -> np.ndarray:
    """Random weights that keep to the limits, many of them near those that are judged."""
    arrays, rng = limits.of(len(weights)), np.random.default_rng(seed + 2)
    near = weights + rng.normal(0, 1, (count, len(weights))) * rng.choice([1e-4, 1e-2, 1], (count, 1))
    moved = [mended(arrays.rows(), arrays.with_moves(point))[: len(weights)] for point in near]
    kept = [point for point in moved if arrays.violation(point) <= 1e-12]
    assert kept
    return np.array(kept)


def worth_of(name: str, returns: np.ndarray, limits: Limits):
    """What a way of choosing weights makes as great as can be, written as in its paper."""
    cov, mean = np.cov(returns, rowvar=False), returns.mean(axis=0)
    cost = limits.of(returns.shape[1]).cost
    return {
        "variance": lambda w: -w @ cov @ w / 2 - cost(w),
        "mean": lambda w: mean @ w - 0.3 * w @ cov @ w - cost(w),
        "diversification": lambda w: (np.sqrt(cov.diagonal()) @ w - cost(w)) / np.sqrt(w @ cov @ w),
        "cvar": lambda w: -cvar(-returns @ w, 0.9) - cost(w),
    }[name]


def weights_of(name: str, returns: np.ndarray, limits: Limits | None, solver: str | None = None) -> np.ndarray:
    cov, mean = np.cov(returns, rowvar=False), returns.mean(axis=0)
    by = {} if solver is None else {"solver": solver}
    if name == "variance":
        return min_variance_weights(cov, limits=limits, **by)
    if name == "mean":
        return mean_variance_weights(mean, cov, 0.6, limits=limits, **by)
    if name == "diversification":
        return max_diversification_weights(cov, limits=limits, **by)
    return min_cvar_weights(returns, 0.9, limits=limits, **by)


names = pytest.mark.parametrize("name", ["variance", "mean", "diversification", "cvar"])


@names
@settings(max_examples=10)
@given(seed=seeds)
def test_no_other_weights_within_the_limits_do_better_and_the_limits_are_kept(name, seed):
    returns, limits = returns_of(seed), site(seed)
    worth, weights = worth_of(name, returns, limits), weights_of(name, returns, limits)
    assert limits.violation(weights) <= 1e-9
    best = worth(weights)
    for other in others_within(limits, weights, seed):
        assert worth(other) <= best + 1e-8 * max(1, abs(best))


@names
@settings(max_examples=5)
@given(seed=seeds)
def test_the_solvers_agree_and_the_order_of_assets_and_the_unit_of_returns_do_not_matter(name, seed):
    returns = returns_of(seed)
    rng = np.random.default_rng(seed)
    order, unit = rng.permutation(N_ASSETS), 10.0 ** rng.integers(-5, 5)
    weights = weights_of(name, returns, None)
    assert weights_of(name, returns[:, order], None) == pytest.approx(weights[order], abs=1e-8)
    if name != "mean":  # whose risk aversion has a unit
        assert weights_of(name, unit * returns, None) == pytest.approx(weights, abs=1e-8)
    for solver in ("CLARABEL", "SCS"):
        exact = 1e-9 if name != "cvar" else 1e-5  # corrected by active sets; as it comes
        assert weights_of(name, returns, None, solver) == pytest.approx(weights, abs=exact)


@names
@settings(max_examples=5)
@given(seed=seeds)
def test_with_a_turnover_cost_above_any_gain_what_is_held_is_kept_and_with_a_limit_of_zero_too(name, seed):
    returns = returns_of(seed)
    held = np.random.default_rng(seed).dirichlet(np.ones(N_ASSETS))
    cost = 0.02 * np.sqrt(np.cov(returns, rowvar=False).diagonal()).min() if name == "diversification" else 1e3
    if name != "diversification":
        stay = Limits(held=held, turnover_cost=cost)
        assert weights_of(name, returns, stay) == pytest.approx(held, abs=1e-9)
    else:
        for dear in (1e2, 1e4, 1e6, 1e8):
            stay = Limits(held=held, turnover_cost=dear * np.sqrt(np.cov(returns, rowvar=False).diagonal().max()))
            assert weights_of(name, returns, stay) == pytest.approx(held, abs=1e-9)
    assert weights_of(name, returns, Limits(held=held, most_turnover=0.0)) == pytest.approx(held, abs=1e-9)
    moved = weights_of(name, returns, Limits(held=held, most_turnover=0.1))
    assert np.abs(moved - held).sum() <= 0.1 + 1e-9


@given(seeds)
def test_without_bounds_the_least_variance_is_markowitzs_closed_form(seed):
    cov = np.cov(returns_of(seed), rowvar=False)
    solved = np.linalg.solve(cov, np.ones(N_ASSETS))
    free = Limits(lower=-np.inf, upper=np.inf)
    assert min_variance_weights(cov, limits=free) == pytest.approx(solved / solved.sum(), abs=1e-9)
    mean = returns_of(seed).mean(axis=0)
    anything = Limits(lower=-np.inf, upper=np.inf, total=None)
    expected = np.linalg.solve(2 * cov, mean)
    assert mean_variance_weights(mean, cov, 2.0, limits=anything) == pytest.approx(expected, rel=1e-9)


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.floats(-0.95, 0.95))
def test_two_assets_have_the_answers_of_the_textbook(first, second, correlation):
    between = correlation * first * second
    cov = np.array([[first**2, between], [between, second**2]])
    share = np.clip((second**2 - between) / (first**2 + second**2 - 2 * between), 0, 1)
    assert min_variance_weights(cov) == pytest.approx([share, 1 - share], abs=1e-9)
    diverse = second / (first + second)  # whatever the correlation
    assert max_diversification_weights(cov) == pytest.approx([diverse, 1 - diverse], abs=1e-9)


@given(seed=seeds, unit=st.sampled_from([0.01, 1.0, 250.0]))
def test_weights_in_mw_are_the_shares_times_the_total(seed, unit):
    returns = returns_of(seed)
    cov = np.cov(returns, rowvar=False)
    limits = Limits(upper=unit, total=unit)
    for name in ("variance", "diversification"):
        shares = weights_of(name, returns, None)
        assert weights_of(name, returns, limits) == pytest.approx(unit * shares, abs=1e-9 * unit)
    mean = returns.mean(axis=0)
    by_mw = mean_variance_weights(mean, cov, 0.6 / unit, limits=limits)
    assert by_mw == pytest.approx(unit * weights_of("mean", returns, None), abs=1e-9 * unit)


@settings(max_examples=15)
@given(seed=seeds, level=levels, uneven=st.booleans())
def test_the_programmes_least_is_the_historical_cvar_and_the_cap_on_it_is_kept_at_a_price(seed, level, uneven):
    returns, rng = returns_of(seed), np.random.default_rng(seed)
    chance = rng.dirichlet(np.ones(N_DAYS)) * (rng.random(N_DAYS) < 0.8) if uneven else np.ones(N_DAYS)
    options = {"probabilities": chance, "limits": site(seed)}
    cost = site(seed).of(N_ASSETS).cost

    def risk(weights):
        return float(cvar(-returns @ weights, level, weights=chance)) + cost(weights)

    def mean(weights):
        return float(np.average(returns @ weights, weights=chance)) - cost(weights)

    least = min_cvar_weights(returns, level, **options)
    assert risk(least) == pytest.approx(_by_enumeration_of_the_tail(returns, level, chance, site(seed)), abs=1e-8)
    richer = max_return_weights(returns, level, risk(least) + 0.5, **options)
    assert risk(richer) <= risk(least) + 0.5 + 1e-8
    assert mean(richer) >= mean(least) - 1e-8
    for other in others_within(site(seed), richer, seed, count=20):
        assert mean(other) <= mean(richer) + 1e-8 or risk(other) > risk(least) + 0.5
    with pytest.raises(PlanError, match=r"below the least that can be had, "):
        max_return_weights(returns, level, risk(least) - 0.01, **options)


def _by_enumeration_of_the_tail(returns, level, chance, limits):
    """The dual: nature chooses the worst probabilities, at most 1 / (1 - level) times those given; by scipy's HiGHS."""
    from scipy.optimize import linprog

    rows, n_days, n_assets = limits.of(N_ASSETS).rows(), *returns.shape
    chance = chance / chance.sum()
    n = rows.most.shape[1]
    cost = np.concatenate([np.zeros(n_assets), np.full(n - n_assets, limits.turnover_cost), [1], chance / (1 - level)])
    shortfall = np.hstack([-returns, np.zeros((n_days, n - n_assets)), -np.ones((n_days, 1)), -np.eye(n_days)])
    most = np.vstack([np.hstack([rows.most, np.zeros((len(rows.most), n_days + 1))]), shortfall])
    sides = np.concatenate([rows.sides, np.zeros(n_days)])
    equal = np.hstack([rows.equal, np.zeros((len(rows.equal), n_days + 1))])
    bounds = [(None, None)] * (n + 1) + [(0, None)] * n_days
    return linprog(cost, most, sides, equal, rows.sums, bounds, method="highs").fun


def test_at_level_zero_the_least_cvar_is_the_greatest_mean_and_one_scenario_has_one_best_asset():
    returns = returns_of(3)
    assert min_cvar_weights(returns, 0.0).argmax() == returns.mean(axis=0).argmax()
    assert min_cvar_weights(returns[:1], 0.95).argmax() == returns[0].argmax()


def test_one_asset_gets_all_of_the_total():
    assert min_variance_weights([[4.0]]) == pytest.approx(1.0, abs=1e-12)
    assert max_diversification_weights([[4.0]], limits=Limits(upper=9, total=3)) == pytest.approx(3.0, abs=1e-12)
    assert mean_variance_weights([-1.0], [[4.0]]) == pytest.approx(1.0, abs=1e-12)
    assert min_cvar_weights([[1.0], [-2.0]]) == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=15)
@given(seeds)
def test_with_more_assets_than_days_the_answer_is_still_certified_and_no_other_is_better(seed):
    returns = returns_of(seed, n_days=4, n_assets=9)
    cov = np.cov(returns, rowvar=False)
    weights = min_variance_weights(cov)
    assert Limits().violation(weights) <= 1e-9
    for other in others_within(Limits(), weights, seed):
        assert other @ cov @ other >= weights @ cov @ weights - 1e-12 * cov.max()


@pytest.mark.parametrize("constant", [0.0, 7.0])
def test_a_constant_asset_has_the_least_variance_and_a_spike_of_a_hundred_medians_is_survived(constant):
    returns = returns_of(5)
    returns[:, 2] = constant
    returns[7, 0] = 100 * np.median(np.abs(returns[:, 0]))
    cov = np.cov(returns, rowvar=False)
    assert min_variance_weights(cov) == pytest.approx(np.eye(N_ASSETS)[2], abs=1e-9)
    mean_variance_weights(returns.mean(axis=0), cov, 1.0)
    max_diversification_weights(cov)
    min_cvar_weights(returns)


@names
@pytest.mark.parametrize("highest", [1.0, 0.25])
def test_skfolio_gives_the_same_weights(name, highest):
    """
    To 1e-6, with one setting: the scale of the objective that brings the variance of these returns to the order of 1.

    An interior point whose gap is 1e-14 leaves its square root in the weights, 1e-7; what they are worth is closer.
    """
    returns, limits = returns_of(11, n_days=500) / 100, Limits(upper=highest)
    worth, ours = worth_of(name, returns, limits), weights_of(name, returns, limits)
    theirs = _by_skfolio(name, returns, highest)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert worth(ours) == pytest.approx(worth(theirs / theirs.sum()), rel=1e-8)


def _by_skfolio(name: str, returns: np.ndarray, highest: float, scale: float = 1e3) -> np.ndarray:
    from skfolio import RiskMeasure
    from skfolio.optimization import MaximumDiversification, MeanRisk, ObjectiveFunction

    tight = {"tol_gap_abs": 1e-14, "tol_gap_rel": 1e-14, "tol_feas": 1e-14}
    options = {"max_weights": highest, "solver_params": tight, "scale_objective": scale}
    model = {
        "variance": lambda: MeanRisk(**options),
        "mean": lambda: MeanRisk(ObjectiveFunction.MAXIMIZE_UTILITY, risk_aversion=0.3, **options),
        "diversification": lambda: MaximumDiversification(**options),
        "cvar": lambda: MeanRisk(risk_measure=RiskMeasure.CVAR, cvar_beta=0.9, **options),
    }[name]()
    with warnings.catch_warnings():  # it stops short of 1e-14, and says so
        warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
        return np.asarray(model.fit(returns).weights_)


@given(seeds)
def test_active_sets_end_at_a_point_whose_residual_is_zero_from_any_point(seed):
    rng = np.random.default_rng(seed)
    rows = site(seed).of(N_ASSETS).rows()
    half = rng.normal(size=(rows.most.shape[1], rng.integers(1, 6)))
    programme = Quadratic(half @ half.T, rng.normal(size=len(half)) + half @ rng.normal(size=half.shape[1]), *rows)
    programme = programme._replace(linear=half @ rng.normal(size=half.shape[1]))  # bounded below
    start = rng.normal(size=len(half))
    assert max(residual(programme, corrected(programme, start))) <= 1e-9
    away = mended(rows, corrected(programme, start) + 0.1 * rng.normal(size=len(half)))
    assert programme.value(away) >= programme.value(corrected(programme, start)) - 1e-9


def test_an_answer_that_is_not_the_optimum_has_a_residual():
    programme = Quadratic(np.eye(2), np.zeros(2), *Limits().of(2).rows())
    assert max(residual(programme, np.array([0.5, 0.5]))) <= 1e-15
    assert residual(programme, np.array([0.6, 0.4])).dual > 0.1
    assert residual(programme, np.array([0.6, 0.6])).primal == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            Limits(coupling=[[1, 1, 1]], cap=0.5, names=["site cap"]),
            "exclude each other: 'site cap' would have to be 1 instead of 0.5$",
        ),
        (
            Limits(upper=0.5, held=[1.0, 0, 0], most_turnover=0.2),
            "most_turnover would have to be 1 instead of 0.2$",
        ),
        (
            Limits(lower=[0.3, 0, 0], coupling=[[1, 0, 0], [0, 0, 0]], cap=[0.1, 1.0]),
            "'row 0' would have to be 0.3 instead of 0.1$",
        ),
        (
            Limits(lower=0.3, total=1, coupling=[[1, -1, 0], [-1, 1, 0]], cap=[-0.3, 1.0]),
            "'row 0' would have to be -0.1 instead of -0.3$",
        ),
    ],
)
def test_limits_that_exclude_each_other_are_refused_with_the_one_that_would_give_way(limits, said):
    _refused(limits, said)


@pytest.mark.parametrize("total", [1e-9, 1e-3, 1.0, 100.0])
def test_what_would_give_way_is_told_in_the_unit_of_the_limits(total):
    apart = Limits(upper=total, total=total, coupling=[[1, 1, 1]], cap=0.7 * total, names=["site"])
    _refused(apart, f"'site' would have to be {total:.6g} instead of {0.7 * total:.6g}$")
    held = [total, 0, 0]
    still = Limits(upper=[0.4 * total, total, total], total=total, held=held, most_turnover=0.1 * total)
    _refused(still, f"most_turnover would have to be {1.2 * total:.6g} instead of {0.1 * total:.6g}$")
    both = Limits(
        lower=[0.5 * total, 0.3 * total, 0],
        upper=total,
        total=total,
        coupling=[[1, 0, 0]],
        cap=0.3 * total,
        held=[0.3 * total, 0, 0.7 * total],
        most_turnover=0.2 * total,
    )
    _refused(both, f"lower bound of asset 0 would have to be {0.3 * total:.6g} instead of {0.5 * total:.6g}, ")
    with pytest.raises(PlanError, match=f"lower bound of 'hash' would have to be {0.1 * total:.6g} instead of "):
        both.of(3, ["energy", "hash", "compute"]).refuse()


def _refused(limits: Limits, said: str) -> None:
    cov, returns = np.diag([1.0, 2.0, 3.0]), returns_of(1, n_assets=3)
    for solve in (
        lambda: min_variance_weights(cov, limits=limits),
        lambda: min_variance_weights(cov, limits=limits, solver="SCS"),
        lambda: max_diversification_weights(cov, limits=limits),
        lambda: min_cvar_weights(returns, limits=limits),
        lambda: max_return_weights(returns, 0.9, 100.0, limits=limits),
    ):
        with pytest.raises(PlanError, match=said):
            solve()


@given(seeds)
def test_a_limit_that_gives_way_by_what_the_message_says_excludes_no_longer(seed):
    rng = np.random.default_rng(seed)
    use = rng.uniform(0.2, 1, (2, 4))
    limits = Limits(upper=0.4, coupling=use, cap=use.min(axis=1) * rng.uniform(0.5, 1.2, 2))
    try:
        limits.of(4).refuse()
    except PlanError as error:
        cap = np.array(limits.cap)
        for row in range(2):
            if f"'row {row}'" in str(error):
                cap[row] = float(str(error).split(f"'row {row}' would have to be ")[1].split()[0])
        assert (cap > limits.cap).any()
        Limits(upper=0.4, coupling=use, cap=cap + 1e-5).of(4).refuse()
        with pytest.raises(PlanError):
            Limits(upper=0.4, coupling=use, cap=np.maximum(cap - 1e-4, limits.cap)).of(4).refuse()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Limits(lower=0.5, upper=0.2), "lower = 0.5 lies above upper = 0.2 for asset 0"),
        (lambda: Limits(lower=[0, 0.9], upper=[1, 0.8]), "lower = 0.9 lies above upper = 0.8 for asset 1"),
        (lambda: Limits(lower=np.nan), "must be numbers"),
        (lambda: Limits(lower=[0, 0], upper=[1, 1, 1]), "of one length"),
        (lambda: Limits(total=np.inf), "total must be finite"),
        (lambda: Limits(turnover_cost=-1), "turnover_cost must be finite and not negative"),
        (lambda: Limits(most_turnover=-1), "most_turnover must be 0 or above"),
        (lambda: Limits(cap=1.0), "coupling is missing"),
        (lambda: Limits(lower=0.5).of(3), "lower bounds sum to 1.5, above total = 1"),
        (lambda: Limits(upper=0.3).of(3), "upper bounds sum to 0.9, below total = 1"),
        (lambda: Limits(lower=[0, 0]).of(3), r"lower must be a number or of shape \(3,\)"),
        (lambda: Limits(coupling=[[1, 1]], cap=1).of(3), r"coupling must have shape \(n_rows, 3\)"),
        (lambda: Limits(coupling=[[1, 1, 1]], cap=[1, 2]).of(3), r"cap must have shape \(1,\)"),
        (lambda: Limits(coupling=[[1, np.nan, 1]], cap=1).of(3), "coupling must be finite"),
        (lambda: Limits(coupling=[[1, 1, 1]], cap=1, names=["a", "b"]).of(3), "names must be 1"),
        (lambda: Limits(turnover_cost=0.1).of(3), "held is missing"),
        (lambda: Limits(held=[1, 0, np.inf]).of(3), "held must be finite"),
        (lambda: min_variance_weights([[1, 2], [2, 1]]), "not positive semidefinite"),
        (lambda: min_variance_weights(np.eye(2), solver="HIGHS"), "solver must be one of CLARABEL, SCS"),
        (lambda: mean_variance_weights([1.0], np.eye(2)), r"mean must be finite and of shape \(2,\)"),
        (lambda: mean_variance_weights([1.0, 1.0], np.eye(2), -1.0), "risk_aversion must be 0 or above"),
        (lambda: max_diversification_weights(np.zeros((2, 2))), "cov is all zero"),
        (lambda: max_diversification_weights(np.eye(2), limits=Limits(total=None)), "needs limits with a total"),
        (lambda: min_cvar_weights([1.0, 2.0]), "returns must have shape"),
        (lambda: min_cvar_weights(np.empty((0, 2))), "returns must have shape"),
        (lambda: min_cvar_weights([[1.0, np.nan]]), "got nan in scenario 0 of asset 1"),
        (lambda: min_cvar_weights([[1.0, 2.0]], level=1.0), r"level must be in \[0, 1\), got 1.0"),
        (lambda: min_cvar_weights([[1.0, 2.0]], probabilities=[-1.0]), "not negative"),
        (lambda: min_cvar_weights([[1.0, 2.0]], probabilities=[0.0]), "not all zero"),
        (lambda: min_cvar_weights([[1.0, 2.0]], solver="GUROBI"), "solver must be one of HIGHS, CLARABEL, SCS"),
        (lambda: max_return_weights([[1.0, 2.0]], 0.5, np.nan), "max_cvar must be finite"),
        (lambda: Limits(upper={"a": 1.0}).of(2, ["a", "b"]), r"upper lacks \['b'\]: give one number for each of"),
        (lambda: Limits(upper=pd.Series({"a": 1, "b": 1, "c": 1})).of(2, "ab"), r"upper names \['c'\], which is no"),
        (lambda: Limits(held=pd.Series([1, 0], ["a", "a"])).of(2, "ab"), "held name 'a' twice"),
        (lambda: Limits(upper={"a": 1.0, "b": 1.0}).of(2, "aa"), "assets name 'a' twice"),
        (
            lambda: Limits(lower={"a": 1, "b": 0}, upper=[0.5, 1]).of(2, "ab"),
            "lower = 1 lies above upper = 0.5 for 'a'",
        ),
        (lambda: Limits(upper={"a": np.nan}), "must be numbers"),
        (lambda: Limits(turnover_cost={"a": -1.0}), "turnover_cost must be finite and not negative"),
        (lambda: Limits().of(2, ["a"]), "names must be 2, one for each asset"),
        (lambda: min_variance_weights(np.eye(2), limits=Limits(upper={"a": 1, "b": 1})), "the assets have none here"),
        (lambda: min_cvar_weights(np.eye(2), limits=Limits(held=pd.Series([1, 0]))), "held is given by name and the"),
    ],
)
def test_what_has_no_answer_is_refused_with_the_value_and_the_remedy(made, said):
    with pytest.raises(DataError, match=said):
        made()


def test_weights_without_end_are_refused():
    free = Limits(lower=-np.inf, upper=np.inf)
    with pytest.raises(PlanError, match="unbounded"):
        mean_variance_weights([1.0, 2.0], np.eye(2), 0.0, limits=free)
    with pytest.raises(PlanError, match="unbounded"):
        min_cvar_weights([[1.0, 2.0], [2.0, 4.0]], limits=free)


def test_a_session_asks_those_it_was_told_to_and_takes_no_quadratic_for_a_linear_programme():
    price, x = cp.Parameter(2), cp.Variable(2)
    limits = [cp.sum(x) == 1, x >= 0]
    linear = Programme(cp.Problem(cp.Maximize(price @ x), limits), {"price": price}, {"x": x})
    quadratic = Programme(cp.Problem(cp.Maximize(price @ x - cp.sum_squares(x)), limits), {"price": price}, {"x": x})
    data = {"price": [1.0, 2.0]}
    for solver in ("HIGHS", "CLARABEL", "SCS"):
        answer = Session(linear, solvers={solver: {}}).solve(data)
        assert (answer.solver, answer.values["x"]) == (solver, pytest.approx([0, 1], abs=1e-5))
        if solver != "HIGHS":
            answer = Session(quadratic, solvers={solver: {}}).solve(data)
            assert (answer.solver, answer.values["x"]) == (solver, pytest.approx([0.25, 0.75], abs=1e-5))
    assert Session(quadratic).solve(data).values["x"] == pytest.approx([0.25, 0.75], abs=1e-5)
    after = Session(linear, solvers={"CLARABEL": {"max_iter": 1}, "SCS": {}})
    assert after.solve(data).solver == "SCS"
    with pytest.raises(PlanError, match="CLARABEL: "):
        Session(linear, solvers={"CLARABEL": {"max_iter": 1}}).solve(data)
    with pytest.raises(DataError, match="solvers must be of HIGHS, CLARABEL and SCS, got GUROBI"):
        Session(linear, solvers={"GUROBI": {}})


def test_limits_by_name_are_those_of_the_assets_whatever_their_order():
    named = Limits(
        lower={"b": 0.1, "a": 0.0}, upper=pd.Series({"b": 0.4, "a": 1.0}), held={"b": 0.2, "a": 0.8}, turnover_cost=1e-3
    )
    by_place = Limits(lower=[0.0, 0.1], upper=[1.0, 0.4], held=[0.8, 0.2], turnover_cost=1e-3)
    for made in (named.of(2, ["a", "b"]), named.aligned(["a", "b"]).of(2)):
        for name in ("lower", "upper", "held", "turnover_cost"):
            assert getattr(made, name).tolist() == getattr(by_place.of(2), name).tolist()


@settings(max_examples=12)
@given(seed=seeds)
def test_fewer_days_than_assets_with_shorts_and_costs_of_any_size_are_not_refused(seed):
    rng = np.random.default_rng(seed)
    n_assets = int(rng.integers(3, 12))
    returns = rng.normal(0, 10 ** rng.uniform(-2, 2, n_assets), (int(rng.integers(2, n_assets)), n_assets))
    cov, held = np.cov(returns.T), rng.dirichlet(np.ones(n_assets))
    for cost in (0.0, 1e-4, 0.01):
        limits = Limits(lower=-0.3, upper=2.0, held=held, turnover_cost=cost)
        weights = min_variance_weights(cov, limits=limits)
        worth = worth_of("variance", returns, limits)
        for other in others_within(limits, weights, seed):
            assert worth(other) <= worth(weights) + 1e-9 * cov.max()
    max_diversification_weights(cov)


def test_assets_that_hedge_each_other_wholly_are_weighed_by_what_it_costs_to_move():
    """Four assets on three days: some weights have no variance, and those nearest to what is held are the answer."""
    days = np.array([[-101.0, 62, 2.5, 1], [-99, -245, 1.6, 1.2], [30, -118, -1.7, 1]])
    cov, held = np.cov(days.T), np.array([0.18, 0.31, 0.46, 0.05])
    weights = min_variance_weights(cov, limits=Limits(lower=-0.3, upper=2, held=held, turnover_cost=1e-4))
    w = cp.Variable(4)
    spread = cp.sum_squares((days - days.mean(axis=0)) / np.sqrt(2) @ w) / 2
    problem = cp.Problem(cp.Minimize(1e4 * spread + cp.norm1(w - held)), [w >= -0.3, w <= 2, cp.sum(w) == 1])
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-11, tol_gap_rel=1e-11)
    assert weights @ cov @ weights / 2 + 1e-4 * np.abs(weights - held).sum() <= 1e-4 * problem.value * (1 + 1e-7)


@pytest.mark.parametrize("seed", [4, 67, 165, 187])
@pytest.mark.parametrize("limits", [Limits(), Limits(lower=-0.5, upper=1.5)])
def test_the_least_cvar_of_assets_in_units_far_apart_is_that_of_a_programme_in_its_own_units(seed, limits):
    returns = mixed_units(seed)
    weights = min_cvar_weights(returns, 0.95, limits=limits)
    ours = float(cvar(-returns @ weights, 0.95))
    n_days, n_assets = returns.shape
    by = np.maximum(np.abs(returns).max(axis=0) / abs(ours), 1.0)
    v, threshold = cp.Variable(n_assets), cp.Variable()
    tail = cp.sum(cp.pos(-(returns / abs(ours) / by) @ v - threshold)) / (0.05 * n_days)
    within = [v / by >= limits.lower, v / by <= limits.upper, cp.sum(v / by) == 1]
    with np.errstate(invalid="ignore"):  # cvxpy takes 0 times infinity where a variable has no bounds
        cp.Problem(cp.Minimize(threshold + tail), within).solve(
            solver="HIGHS", primal_feasibility_tolerance=1e-10, dual_feasibility_tolerance=1e-10
        )
    assert ours == pytest.approx(float(cvar(-returns @ (v.value / by), 0.95)), rel=1e-8)
    assert float(cvar(-returns @ max_return_weights(returns, 0.95, ours, limits=limits), 0.95)) <= ours + 1e-8 * abs(
        ours
    )


def mixed_units(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n_assets = int(rng.integers(2, 9))
    return rng.standard_t(2.5, (int(rng.integers(5, 250)), n_assets)) * 10 ** rng.uniform(-4, 3, n_assets)


def test_an_answer_of_a_conic_solver_to_a_linear_programme_counts_only_with_a_certificate():
    price, x, rough = cp.Parameter(2), cp.Variable(2), {"SCS": {"eps_abs": 0.1, "eps_rel": 0.1}}
    limits = [x[0] + 2 * x[1] <= 4, x <= 3, x >= 0]
    linear = Programme(cp.Problem(cp.Maximize(price @ x), limits), {"price": price}, {"x": x}, {"row": limits[0]})
    session = Session(linear, solvers=rough | {"CLARABEL": {}})
    answer = session.solve({"price": [1.0, 1.0]})
    assert (answer.solver, session.counts["refuted"]) == ("CLARABEL", 1)
    assert answer.values["x"] == pytest.approx([3, 0.5], abs=1e-6)
    assert answer.shadow_prices["row"] == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(PlanError, match=r"SCS: its certificate is off by 0\.0"):
        Session(linear, solvers=rough).solve({"price": [1.0, 1.0]})
