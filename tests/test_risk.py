"""Value at risk and conditional value at risk: laws first, then answers from books."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gridlab import risk
from gridlab.errors import DataError

losses = st.lists(st.integers(-100, 100), min_size=1, max_size=12)
levels = st.integers(0, 19).map(lambda twentieths: twentieths / 20)


@given(losses, levels)
def test_var_is_the_least_loss_that_is_not_exceeded_with_the_level(loss, level):
    not_exceeded = [x for x in loss if np.mean([other <= x for other in loss]) >= level - 1e-12]
    assert risk.var(loss, level) == min(not_exceeded)


@given(losses, levels)
def test_cvar_is_the_least_of_rockafellar_and_uryasevs_function_and_var_is_where(loss, level):
    def objective(threshold):
        return threshold + np.mean(np.maximum(np.subtract(loss, threshold), 0)) / (1 - level)

    assert risk.cvar(loss, level) == pytest.approx(min(objective(x) for x in loss))
    assert objective(risk.var(loss, level)) == pytest.approx(risk.cvar(loss, level))


@given(losses, levels, st.lists(st.integers(0, 4), min_size=12, max_size=12).filter(sum))
def test_a_weight_counts_as_so_many_equal_scenarios(loss, level, weights):
    weights = weights[: len(loss)]
    if sum(weights) == 0:
        weights[0] = 1
    repeated = np.repeat(loss, weights)
    assert risk.var(loss, level, weights=weights) == risk.var(repeated, level)
    assert risk.cvar(loss, level, weights=weights) == pytest.approx(risk.cvar(repeated, level))


def test_the_scenario_that_straddles_the_boundary_counts_in_part():
    assert risk.cvar([0, 1, 2, 3, 4], 0.75) == pytest.approx(3.8)


def test_level_zero_gives_the_mean_and_the_least_loss_that_can_occur():
    assert risk.cvar([1, 5], 0, weights=[3, 1]) == 2
    assert risk.var([-9, 1, 5], 0, weights=[0, 3, 1]) == 1


def test_scenarios_lie_along_the_last_axis():
    assert risk.cvar([[0, 10], [5, 5]], 0.5).tolist() == [10, 5]
    assert risk.var([[0, 10], [5, 5]], 0.5).tolist() == [0, 5]


def test_many_normal_losses_have_the_normal_quantile_and_shortfall():
    loss = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    assert risk.var(loss, 0.95) == pytest.approx(1.644854, abs=1e-4)
    assert risk.cvar(loss, 0.95) == pytest.approx(2.062713, abs=1e-4)
    assert risk.cvar(loss, 0.99) == pytest.approx(2.665214, abs=1e-3)


@pytest.mark.parametrize(
    ("loss", "level", "weights", "said"),
    [
        ([1.0], 1.0, None, "level must be in"),
        ([1.0], -0.1, None, "level must be in"),
        ([], 0.5, None, "needs scenarios"),
        (3.0, 0.5, None, "needs scenarios"),
        ([np.nan, 1.0], 0.5, None, "no NaN"),
        ([1.0, 2.0], 0.5, [1.0], "one for each scenario"),
        ([1.0, 2.0], 0.5, [1.0, -1.0], "not negative"),
        ([1.0, 2.0], 0.5, [0.0, 0.0], "not all zero"),
        ([1.0, 2.0], 0.5, [np.inf, 0.0], "finite"),
    ],
)
@pytest.mark.parametrize("measure", [risk.var, risk.cvar])
def test_what_has_no_answer_is_refused(measure, loss, level, weights, said):
    with pytest.raises(DataError, match=said):
        measure(loss, level, weights=weights)
