"""Value at risk, conditional and entropic: laws first, then answers from books and from skfolio."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from gridlab.errors import DataError
from gridlab.risk.entropic import evar
from gridlab.risk.historical import as_probabilities, checked_level, cvar, var

losses = st.lists(st.integers(-100, 100), min_size=1, max_size=12)
levels = st.integers(0, 19).map(lambda twentieths: twentieths / 20)
finely = st.floats(0, 0.9999)
pairs = st.integers(1, 15).flatmap(
    lambda n: st.tuples(*[st.lists(st.floats(-1e6, 1e6), min_size=n, max_size=n).map(np.array)] * 2)
)
weighted = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(-1e3, 1e3), min_size=n, max_size=n).map(np.array),
        st.lists(st.floats(0, 1) | st.just(0.1), min_size=n, max_size=n).filter(lambda w: sum(w) > 0.01).map(np.array),
    )
)
coherent = pytest.mark.parametrize("measure", [cvar, evar])


def cvar_by_sorting(loss, level, weights):
    """In whole fractions, without rounding."""
    total = sum(map(Fraction, weights.tolist()))
    left = tail = 1 - Fraction(level)
    paid = Fraction(0)
    for x, weight in sorted(zip(loss.tolist(), weights.tolist(), strict=True), reverse=True):
        mass = min(Fraction(weight) / total, left)
        left, paid = left - mass, paid + mass * Fraction(x)
    return float(paid / tail)


def var_by_sorting(loss, level, weights):
    reached = 0.0
    for x, weight in sorted(zip(loss, weights / weights.sum(), strict=True)):
        reached += weight
        if weight > 0 and reached >= level - 1e-12:
            return x
    return loss[weights > 0].max()


def evar_by_search(loss, level, probability):
    """The least over a grid of tilts, then by a golden search around it."""

    def bound(log_tilt):
        tilt = np.exp(log_tilt)
        return (special.logsumexp(tilt * scaled, b=probability) - np.log1p(-level)) / tilt

    scaled = (loss - loss.max()) / np.ptp(loss)
    tilts = np.linspace(-20, 20, 401)
    best = tilts[np.argmin([bound(x) for x in tilts])]
    found = optimize.minimize_scalar(bound, bounds=(best - 0.2, best + 0.2), method="bounded", options={"xatol": 1e-9})
    return loss.max() + np.ptp(loss) * min(found.fun, 0.0)


@given(losses, levels)
def test_var_is_the_least_loss_that_is_not_exceeded_with_the_level(loss, level):
    not_exceeded = [x for x in loss if np.mean([other <= x for other in loss]) >= level - 1e-12]
    assert var(loss, level) == min(not_exceeded)


@given(losses, levels)
def test_cvar_is_the_least_of_rockafellar_and_uryasevs_function_and_var_is_where(loss, level):
    def objective(threshold):
        return threshold + np.mean(np.maximum(np.subtract(loss, threshold), 0)) / (1 - level)

    assert cvar(loss, level) == pytest.approx(min(objective(x) for x in loss))
    assert objective(var(loss, level)) == pytest.approx(cvar(loss, level))


@given(losses, levels, st.lists(st.integers(0, 4), min_size=12, max_size=12).filter(sum))
def test_a_weight_counts_as_so_many_equal_scenarios(loss, level, weights):
    weights = weights[: len(loss)]
    if sum(weights) == 0:
        weights[0] = 1
    repeated = np.repeat(loss, weights)
    assert var(loss, level, weights=weights) == var(repeated, level)
    assert cvar(loss, level, weights=weights) == pytest.approx(cvar(repeated, level))
    assert evar(loss, level, weights=weights) == pytest.approx(evar(repeated, level))


@given(weighted, finely)
def test_cvar_and_var_agree_with_sorting_by_hand(scenarios, level):
    loss, weights = scenarios
    ones = np.ones(len(loss))
    assert cvar(loss, level, weights=weights) == pytest.approx(cvar_by_sorting(loss, level, weights), abs=1e-8)
    assert cvar(loss, level) == pytest.approx(cvar_by_sorting(loss, level, ones), abs=1e-8)
    assert var(loss, level) == var_by_sorting(loss, level, ones)
    assert var(loss, level, weights=weights) == var_by_sorting(loss, level, weights)


@pytest.mark.parametrize("concentration", [1, 8])
def test_many_scenarios_agree_with_sorting_however_they_lie_in_memory(concentration):
    rng = np.random.default_rng(3)
    loss, weights = rng.standard_t(3, size=(5, 4000)), rng.random(4000) ** concentration
    loss[4] = weights  # the weights of the tail are far from those of the rest
    scattered = np.ascontiguousarray(loss.T).T
    for level in (0.0, 0.3, 0.95, 0.9973, 1 - 1e-9):
        for given_weights in (None, weights):
            by_hand = np.ones(4000) if given_weights is None else weights
            expected = [cvar_by_sorting(row, level, by_hand) for row in loss]
            np.testing.assert_allclose(cvar(loss, level, weights=given_weights), expected, rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(
                var(loss, level, weights=given_weights), [var_by_sorting(row, level, by_hand) for row in loss]
            )
            for measure in (var, cvar):
                np.testing.assert_allclose(
                    measure(scattered, level, weights=given_weights),
                    measure(loss, level, weights=given_weights),
                    rtol=1e-12,
                    atol=1e-13,
                )


def test_a_sample_that_misleads_changes_nothing():
    loss = np.zeros((4, 6000))
    loss[0, ::6] = np.arange(1000)  # the sample has all that is large
    loss[1, 1::6] = np.arange(1000)  # and none
    loss[2] = np.arange(6000)
    for level in (0.9, 0.95, 0.9999):
        expected = [cvar_by_sorting(row, level, np.ones(6000)) for row in loss]
        np.testing.assert_allclose(cvar(loss, level), expected, rtol=1e-12)
        assert var(loss, level).tolist() == [var_by_sorting(row, level, np.ones(6000)) for row in loss]


@pytest.mark.parametrize("n_scenarios", [3, 7, 10, 49, 100, 365, 1000])
def test_a_boundary_on_a_scenario_is_that_scenarios_however_level_and_weights_are_rounded(n_scenarios):
    loss = np.arange(1.0, n_scenarios + 1)
    for below in range(1, n_scenarios):
        tail = (n_scenarios - below) / n_scenarios
        for level in (below / n_scenarios, 1 - tail, float(np.sum([1 / n_scenarios] * below))):
            assert var(loss, level) == below
            assert var(loss, level, weights=[0.1] * n_scenarios) == below
            assert cvar(loss, level) == pytest.approx(loss[below:].mean(), rel=1e-12)
    shares = np.r_[0.1 / 3 * np.ones(3), 0.3, 0.6]  # 0.1 in three parts, then a boundary at 0.1 and at 0.4
    assert [float(var(range(5), level, weights=shares)) for level in (0.1, 0.4, 1 - 0.6)] == [2, 3, 3]


@given(pairs, finely)
@coherent
def test_the_measure_is_coherent(measure, pair, level):
    loss, other = pair
    slack = 1e-9 * (1 + np.abs(pair).max())
    assert measure(loss + np.abs(other), level) >= measure(loss, level) - slack
    assert measure(loss + 1234.5, level) == pytest.approx(measure(loss, level) + 1234.5, abs=slack)
    assert measure(7.25 * loss, level) == pytest.approx(7.25 * measure(loss, level), abs=8 * slack)
    assert measure(loss + other, level) <= measure(loss, level) + measure(other, level) + 2 * slack


@given(weighted, finely)
def test_var_is_at_most_cvar_at_most_evar_at_most_the_greatest_loss(scenarios, level):
    loss, weights = scenarios
    for given_weights in (None, weights):
        at_risk, conditional, entropic = (float(m(loss, level, weights=given_weights)) for m in (var, cvar, evar))
        greatest = loss[weights > 0].max() if given_weights is not None else loss.max()
        assert at_risk <= conditional <= greatest
        assert conditional - 1e-9 * (1 + np.abs(loss).max()) <= entropic <= greatest


@given(weighted, finely, finely)
@coherent
def test_the_measure_rises_with_the_level_by_no_more_than_the_tail_allows(measure, scenarios, level, other):
    loss, weights = scenarios
    low, high = sorted((level, other))
    rise = measure(loss, high, weights=weights) - measure(loss, low, weights=weights)
    assert rise >= -1e-9 * (1 + np.abs(loss).max())
    if measure is cvar:
        assert rise <= np.ptp(loss) * (high - low) / (1 - high) + 1e-9


@given(weighted, finely, st.floats(0, 1e-3), st.integers(0, 11))
def test_cvar_moves_continuously_with_the_weights(scenarios, level, change, position):
    loss, weights = scenarios
    changed = weights.copy()
    changed[position % len(loss)] += change
    moved = np.abs(as_probabilities(changed, len(loss)) - as_probabilities(weights, len(loss))).sum()
    difference = cvar(loss, level, weights=changed) - cvar(loss, level, weights=weights)
    assert abs(difference) <= np.ptp(loss) * moved / (1 - level) + 1e-8


@given(weighted, st.floats(0.001, 0.999))
def test_evar_agrees_with_a_search_for_the_least_bound(scenarios, level):
    loss, weights = scenarios
    probability = as_probabilities(weights, len(loss))
    loss, probability = loss[probability > 0], probability[probability > 0]
    if np.ptp(loss) > 1e-6 * (1 + np.abs(loss).max()):
        expected = evar_by_search(loss, level, probability)
        assert evar(loss, level, weights=probability) == pytest.approx(expected, abs=1e-7 * np.ptp(loss))
        assert evar(loss, level, weights=probability) <= expected + 1e-13 * np.ptp(loss) + 1e-13 * np.abs(loss).max()


@pytest.mark.parametrize("probability", [0.001, 0.02, 0.3])
@pytest.mark.parametrize("level", [1e-12, 0.01, 0.5, 0.95])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_evar_of_one_bet_is_the_probability_whose_relative_entropy_is_allowed(probability, level, unit):
    budget = -np.log1p(-level)

    def excess(q):
        return special.rel_entr(q, probability) + special.rel_entr(1 - q, 1 - probability) - budget

    expected = optimize.brentq(excess, probability, 1, xtol=1e-15) if probability < 1 - level else 1.0
    tolerance = 1e-10 if level > 1e-6 else 1e-8  # the judge's own entropy is all rounding at a level of 1e-12
    found = evar([5 * unit, 6 * unit], level, weights=[1 - probability, probability])
    assert (found - 5 * unit) / unit == pytest.approx(expected, abs=tolerance)


def test_evar_of_the_normal_has_its_closed_form():
    grid = np.linspace(-12, 12, 2401)
    for level in (0.0, 1e-6, 0.5, 0.95, 0.99, 0.9999):
        expected = 3 + 2 * np.sqrt(-2 * np.log1p(-level))
        assert evar(3 + 2 * grid, level, weights=stats.norm.pdf(grid)) == pytest.approx(expected, abs=1e-9)


def test_evar_is_the_mean_at_level_zero_and_the_greatest_loss_once_it_holds_the_tail():
    loss = [-4.0, 1.0, 2.0, 9.0]
    assert evar(loss, 0.0) == 2
    for level in (5e-324, 1e-100, 1e-30, 1e-20):
        assert evar(loss, level) == pytest.approx(2, abs=1e-8)
    assert evar(loss, 0.75) == evar(loss, 0.999999) == 9
    assert evar(loss, 0.75 - 1e-9) == pytest.approx(9, abs=1e-6)
    assert evar([1.0, 5.0, 7.0], 0.999999, weights=[1, 1, 0]) == 5


def test_the_scenario_that_straddles_the_boundary_counts_in_part():
    assert cvar([0, 1, 2, 3, 4], 0.75) == pytest.approx(3.8)


def test_level_zero_gives_the_mean_and_the_least_loss_that_can_occur():
    assert cvar([1, 5], 0, weights=[3, 1]) == 2
    assert var([-9, 1, 5], 0, weights=[0, 3, 1]) == 1


@pytest.mark.parametrize("measure", [var, cvar, evar])
def test_one_scenario_and_equal_ones_are_their_own_risk_at_every_level(measure):
    for level in (0.0, 5e-324, 1e-12, 0.5, 0.95, 1 - 1e-16):
        assert measure([0.1], level) == measure([0.1], level, weights=[1e-300]) == 0.1
        assert measure([0.1] * 7, level) == 0.1
        assert measure([0.1, 0.1, 3.0], level, weights=[0.3, 0.7, 0.0]) == 0.1
        for weights in np.random.default_rng(5).random((40, 9)):
            assert measure([0.1] * 9, level, weights=weights) == 0.1


@pytest.mark.parametrize("measure", [var, cvar, evar])
def test_scenarios_lie_along_the_last_axis(measure):
    loss = np.random.default_rng(0).normal(size=(2, 3, 20))
    weights = np.arange(20.0)
    found = measure(loss, 0.8, weights=weights)
    assert found.shape == (2, 3)
    assert found[1, 2] == pytest.approx(float(measure(loss[1, 2], 0.8, weights=weights)), rel=1e-12)
    assert measure(np.zeros((0, 4)), 0.5).shape == (0,)


def test_normal_losses_have_the_normal_quantile_and_shortfall():
    edges = stats.norm.ppf(np.arange(2001) / 2000)
    highest = np.r_[edges[1:-1], 9.0]  # of each of 2,000 equally probable intervals
    mean = np.diff(-stats.norm.pdf(edges)) * 2000
    for level, quantile, shortfall in (
        (0.95, 1.644854, 2.062713),
        (0.975, 1.959964, 2.337803),
        (0.99, 2.326348, 2.665214),
    ):
        assert round(float(var(highest, level)), 6) == quantile
        assert round(float(cvar(mean, level)), 6) == shortfall


def test_skfolios_figures_for_apple_from_1990_to_2022():
    loss = -_apple()
    assert round(float(var(loss, 0.95)), 9) == 0.039568345
    assert round(float(cvar(loss, 0.95)), 9) == 0.059240073
    assert evar(loss, 0.95) == pytest.approx(0.213993692, abs=1e-9)  # to more digits it is 0.2139936925039


@pytest.mark.parametrize("n_scenarios", [1, 2, 10, 100, 997, 1000])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.97, 0.99])
def test_var_cvar_and_evar_agree_with_skfolio(n_scenarios, level):
    oracle = pytest.importorskip("skfolio.measures", reason="skfolio is not installed")
    rng = np.random.default_rng(n_scenarios)
    loss, weights = rng.standard_t(4, size=n_scenarios), rng.random(n_scenarios) + 1e-3
    for given_weights in (None, weights):
        asked = {"beta": level, "sample_weight": given_weights}
        assert var(loss, level, weights=given_weights) == oracle.value_at_risk(-loss, **asked)
        assert cvar(loss, level, weights=given_weights) == pytest.approx(oracle.cvar(-loss, **asked), abs=1e-10)
        assert evar(loss, level, weights=given_weights) == pytest.approx(oracle.evar(-loss, **asked), abs=1e-8)


@pytest.mark.parametrize(
    ("loss", "level", "weights", "said"),
    [
        ([1.0], 1.0, None, r"level must be in \[0, 1\), got 1"),
        ([1.0], -0.1, None, "level must be in"),
        ([1.0], np.nan, None, "level must be in"),
        ([], 0.5, None, "needs scenarios"),
        (3.0, 0.5, None, "needs scenarios"),
        ([1.0, np.nan], 0.5, None, r"with no NaN, got nan at \[1\]"),
        ([[1.0, 2.0], [np.inf, 1.0]], 0.5, None, r"finite, with no NaN, got inf at \[1, 0\]"),
        ([-np.inf, 1.0], 0.5, None, "got -inf"),
        ([np.nan, 1.0], 0.5, [0.0, 1.0], "no NaN"),
        ([1.0, 2.0], 0.5, [1.0], "one for each scenario"),
        ([1.0, 2.0], 0.5, [1.0, -1.0], "not negative .*got -1.0 for scenario 1"),
        ([1.0, 2.0], 0.5, [0.0, 0.0], "not all zero"),
        ([1.0, 2.0], 0.5, [np.inf, 0.0], "finite"),
        ([1.0, 2.0], 0.5, [np.nan, 1.0], "got nan for scenario 0"),
        ([1.0, 2.0], 0.5, [1e308, 1e308], "sum of inf"),
    ],
)
@pytest.mark.parametrize("measure", [var, cvar, evar])
def test_what_has_no_answer_is_refused(measure, loss, level, weights, said):
    with pytest.raises(DataError, match=said):
        measure(loss, level, weights=weights)


@pytest.mark.parametrize("measure", [var, cvar, evar])
def test_a_table_a_masked_array_and_weights_of_other_scenarios_are_refused(measure):
    table = pd.DataFrame(np.arange(12.0).reshape(6, 2))
    with pytest.raises(DataError, match=r"loss is a DataFrame of shape \(6, 2\).*last axis: give table.to_numpy\(\).T"):
        measure(table)
    assert measure(table.to_numpy().T).shape == (2,)
    with pytest.raises(DataError, match="loss is a masked array"):
        measure(np.ma.masked_greater([1.0, 2.0, 99.0], 50))
    with pytest.raises(DataError, match="weights is a masked array"):
        measure([1.0, 2.0], weights=np.ma.masked_greater([1.0, 2.0], 1))
    loss, weights = table[0], pd.Series(1.0, index=range(1, 7))
    with pytest.raises(DataError, match=r"same index, got 0 to 5 \(6 rows\) and 1 to 6 \(6 rows\)"):
        measure(loss, weights=weights)
    assert measure(loss, weights=weights.to_numpy()) == measure(loss, weights=weights.set_axis(loss.index))


@pytest.mark.parametrize("level", [95, "0.95", [0.9, 0.95], None, np.array([0.5]), 1 + 0j])
@pytest.mark.parametrize("measure", [var, cvar, evar])
def test_a_level_that_is_no_number_in_its_range_is_refused_with_how_to_write_it(measure, level):
    with pytest.raises(DataError, match=r"level must be in \[0, 1\), got .*: write one number, 0.95 for 95 %"):
        measure([1.0, 2.0], level)


def test_a_level_of_single_precision_is_the_decimal_that_it_prints_as():
    loss = np.arange(1.0, 101.0)
    for level in (np.float32(0.6), np.float16(0.6), np.array(0.6), np.array(0.6, dtype=np.float32)):
        assert (var(loss, level), cvar(loss, level)) == (60, cvar(loss, 0.6))
        assert evar(loss, level) == evar(loss, 0.6)
    for tenth in range(10):
        assert checked_level(np.float32(tenth / 10)) == tenth / 10


def _apple():
    """Simple daily returns of the series that skfolio ships."""
    datasets = pytest.importorskip("skfolio.datasets", reason="skfolio is not installed")
    return datasets.load_sp500_dataset()["AAPL"].pct_change().dropna().to_numpy()
