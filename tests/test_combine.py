import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from gridlab.errors import DataError
from gridlab.forecast.combine import COMBINATIONS, Online, Stacking, project_to_simplex

seeds = st.integers(0, 2**32 - 1)


def days(seed, n_days=30, n_slots=3, n_experts=4):
    """Experts of growing error, one biased, around prices that may be negative."""
    rng = np.random.default_rng(seed)
    actual = rng.normal(20.0, 30.0, (n_days, n_slots))
    noise = rng.normal(0.0, 1.0, (n_days, n_slots, n_experts)) * np.arange(1, n_experts + 1)
    bias = np.array([0.0, 2.0, 0.0, -3.0])[:n_experts]
    return actual[:, :, None] + noise + bias, actual


def taught(name, experts, actual, **parameters):
    """The forecasts made day by day, and the combination after them."""
    combination = COMBINATIONS[name](**parameters)
    forecasts = []
    for forecast, came in zip(experts, actual, strict=True):
        forecasts.append(combination.mean(forecast))
        combination.observe(forecast, came)
    return np.array(forecasts), combination


@pytest.mark.parametrize("name", COMBINATIONS)
@settings(max_examples=8)
@given(seed=seeds)
def test_weights_are_zero_or_more_and_sum_to_one(name, seed):
    weights = taught(name, *days(seed))[1].weights
    assert (weights >= 0).all()
    assert weights.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_experts_in_another_order_have_their_weights_in_that_order(name):
    experts, actual = days(1)
    order = [2, 0, 3, 1]
    forecasts, combination = taught(name, experts, actual)
    others, permuted = taught(name, experts[:, :, order], actual)
    assert permuted.weights == pytest.approx(combination.weights[:, order], abs=1e-4)
    assert others == pytest.approx(forecasts, abs=1e-2)


@pytest.mark.parametrize("factor", [100.0, 1e-3])
@pytest.mark.parametrize("name", COMBINATIONS)
def test_prices_in_another_currency_and_from_another_level_have_the_same_weights(name, factor):
    experts, actual = days(2)
    forecasts, combination = taught(name, experts, actual)
    others, scaled = taught(name, factor * experts - 7.0, factor * actual - 7.0)
    assert scaled.weights == pytest.approx(combination.weights, abs=1e-6)
    assert others == pytest.approx(factor * forecasts - 7.0, abs=1e-5 * factor)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_an_expert_without_a_forecast_weighs_nothing_and_the_others_share_in_proportion(name):
    experts, actual = days(3)
    experts[10:14, :, 1] = np.nan
    experts[20, 0, 2] = np.nan
    forecasts, combination = taught(name, experts, actual)
    assert np.isfinite(forecasts).all()
    today = np.array([[10.0, 20.0, 30.0, 40.0]] * 3)
    missing = np.where(np.arange(4) == 0, np.nan, today)
    rest = combination.weights[:, 1:] / combination.weights[:, 1:].sum(axis=1, keepdims=True)
    assert combination.mean(missing) == pytest.approx((rest * today[:, 1:]).sum(axis=1))


@pytest.mark.parametrize("name", COMBINATIONS)
def test_prices_that_are_not_known_teach_nothing(name):
    experts, actual = days(4)
    combination = taught(name, experts, actual)[1]
    before = combination.weights.copy()
    combination.observe(experts[0], np.full(3, np.nan))
    assert (combination.weights == before).all()


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_day_with_some_prices_missing_and_a_spike_of_a_hundred_times_leave_weights_finite(name):
    experts, actual = days(5)
    actual[7, 0], actual[12] = np.nan, 3000.0
    forecasts, combination = taught(name, experts, actual)
    assert np.isfinite(forecasts).all()
    assert np.isfinite(combination.weights).all()


@pytest.mark.parametrize("name", COMBINATIONS)
def test_experts_that_are_always_right_share_equally(name):
    actual = np.full((20, 3), 25.0)
    forecasts, combination = taught(name, np.repeat(actual[:, :, None], 3, axis=2), actual)
    assert (forecasts == pytest.approx(25.0)) and (combination.weights == pytest.approx(1 / 3))


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_pickled_combination_goes_on_as_the_original(name):
    experts, actual = days(6)
    combination = taught(name, experts[:20], actual[:20])[1]
    copy = pickle.loads(pickle.dumps(combination))
    for forecast, came in zip(experts[20:], actual[20:], strict=True):
        assert (copy.mean(forecast) == combination.mean(forecast)).all()
        copy.observe(forecast, came)
        combination.observe(forecast, came)


@pytest.mark.parametrize("name", [name for name in COMBINATIONS if name != "mean"])
def test_after_a_change_of_regime_the_weight_moves_to_the_better_expert(name):
    rng = np.random.default_rng(7)
    actual = rng.normal(30.0, 10.0, (300, 4))
    noise = rng.normal(0.0, 1.0, (300, 4, 2)) * np.where(np.arange(300)[:, None, None] < 150, [1.0, 4.0], [4.0, 1.0])
    experts = actual[:, :, None] + noise
    before = taught(name, experts[:150], actual[:150])[1].weights.mean(axis=0)
    after = taught(name, experts, actual)[1].weights.mean(axis=0)
    assert before[0] > 0.7
    assert after[1] > 0.6


@settings(max_examples=40)
@given(seed=seeds, n_days=st.integers(2, 150), n_experts=st.integers(1, 6), wild=st.booleans())
def test_the_regret_of_the_online_combination_keeps_within_its_bound(seed, n_days, n_experts, wild):
    """Against the best fixed convex mix, by the bound of the docstring, also for days whose scale explodes."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(0.0, 3.0, (n_days, 1, 1))) if wild else np.ones((n_days, 1, 1))
    experts = scale * rng.standard_t(2, (n_days, 1, n_experts)) + rng.normal(0, 1, n_experts)
    actual = (scale * rng.standard_t(2, (n_days, 1, 1)))[:, :, 0]
    combination = Online(half_life_days=float("inf"), smooth_hours=0.0)
    loss, regrets = 0.0, []
    for forecast, came in zip(experts, actual, strict=True):
        mean = combination.mean(forecast)
        loss += abs(mean - came).item()
        regrets.append(np.sign(mean - came) * (mean - forecast[0]))
        combination.observe(forecast, came)
    bound = regret_bound(np.array(regrets))
    assert (np.sum(regrets, axis=0) <= bound + 1e-9).all()
    assert loss - loss_of_best_mix(experts[:, 0], actual[:, 0]) <= bound.max() + 1e-6


def regret_bound(regrets):
    """``B + sqrt(A_k sum_j log2(A_j / b^2))``; the sums of squares are of the cut regrets, which are no larger."""
    largest = np.maximum.accumulate(np.abs(regrets).max(axis=1))
    if largest[-1] == 0:
        return np.zeros(regrets.shape[1])
    cut = regrets * (np.concatenate([[0.0], largest[:-1]]) / np.where(largest > 0, largest, 1.0))[:, None]
    A = largest[-1] ** 2 + (cut**2).sum(axis=0)
    return largest[-1] + np.sqrt(A * np.log2(A / largest[largest > 0][0] ** 2).sum())


def loss_of_best_mix(experts, actual):
    """The least absolute loss of a fixed convex mix, by linear programming."""
    n_days, n_experts = experts.shape
    costs = np.concatenate([np.zeros(n_experts), np.ones(n_days)])
    over = np.hstack([experts, -np.eye(n_days)])
    under = np.hstack([-experts, -np.eye(n_days)])
    sum_to_one = np.concatenate([np.ones(n_experts), np.zeros(n_days)])[None]
    solved = linprog(costs, np.vstack([over, under]), np.concatenate([actual, -actual]), sum_to_one, [1.0])
    return solved.fun


def test_stacking_comes_near_the_mix_of_least_absolute_error():
    experts, actual = days(8, n_days=120)
    rows, came = experts.reshape(-1, 4), actual.ravel()
    combination = taught("stacking", experts, actual, ridge=0.0)[1]
    loss = np.abs(rows @ combination.weights[0] - came).sum()
    assert loss <= 1.01 * loss_of_best_mix(rows, came)


def test_an_expert_that_misses_most_days_weighs_nothing_in_stacking_and_no_days_are_lost_to_it():
    experts, actual = days(9)
    without = taught("stacking", experts[:, :, :3], actual)[1].weights
    experts[3:, :, 3] = np.nan
    weights = taught("stacking", experts, actual)[1].weights
    assert weights[0, 3] == 0
    assert weights[0, :3] == pytest.approx(without[0], abs=1e-2)


@settings(max_examples=20)
@given(point=st.lists(st.floats(-5, 5), min_size=1, max_size=6))
def test_the_projection_onto_the_simplex_is_the_nearest_of_its_points(point):
    point = np.array(point)
    projected = project_to_simplex(point)
    judge = minimize(
        lambda w: ((w - point) ** 2).sum(),
        np.full(len(point), 1 / len(point)),
        jac=lambda w: 2 * (w - point),
        bounds=[(0, 1)] * len(point),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(len(w))},
        method="SLSQP",
    )
    assert projected.sum() == pytest.approx(1)
    assert (projected >= 0).all()
    assert ((projected - point) ** 2).sum() <= judge.fun + 1e-6


def test_neighbouring_hours_learn_from_one_another_and_far_ones_do_not():
    rng = np.random.default_rng(10)
    actual = rng.normal(30.0, 10.0, (200, 24))
    size = np.where(np.arange(24)[:, None] < 12, [1.0, 4.0], [4.0, 1.0])
    experts = actual[:, :, None] + rng.normal(0.0, 1.0, (200, 24, 2)) * size
    weights = taught("online", experts, actual)[1].weights
    assert (weights[:9, 0] > 0.6).all()
    assert (weights[15:, 1] > 0.6).all()


def test_bad_input_is_refused_with_the_remedy():
    combination = Stacking()
    with pytest.raises(DataError, match="at least one expert: drop the day or add an expert"):
        combination.mean(np.array([[np.nan, np.nan]]))
    combination.observe(np.ones((3, 2)), np.ones(3))
    with pytest.raises(DataError, match="has learned 2 experts, got 3: give the same ones"):
        combination.mean(np.ones((3, 3)))
    with pytest.raises(DataError, match="there is no combination 'men', did you mean 'mean'"):
        COMBINATIONS["men"]


def test_the_online_weights_are_those_of_the_formula_written_out():
    rng = np.random.default_rng(11)
    experts, actual = rng.standard_t(2, (40, 1, 3)), rng.standard_t(2, (40, 1))
    combination = Online(half_life_days=20.0, smooth_hours=0.0)
    regret, square, largest = np.zeros(3), np.zeros(3), 0.0
    for forecast, came in zip(experts, actual, strict=True):
        positive = np.maximum(regret, 0)
        parts = positive / (largest**2 + square) if largest else positive
        weights = parts / parts.sum() if parts.sum() else np.full(3, 1 / 3)
        mean = weights @ forecast[0]
        assert combination.mean(forecast)[0] == pytest.approx(mean)
        combination.observe(forecast, came)
        today = np.sign(mean - came[0]) * (mean - forecast[0])
        before, largest = largest, max(largest, np.abs(today).max())
        regret = 0.5 ** (1 / 20) * regret + today * before / largest
        square = 0.5 ** (1 / 20) * square + (today * before / largest) ** 2
