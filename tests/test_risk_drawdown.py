"""Drawdowns: laws first, then answers from a book and from skfolio."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.risk.drawdown import conditional_drawdown, drawdown, max_drawdown, ulcer_index

profits = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=30).map(np.array)
returns = st.lists(st.floats(-1, 2), min_size=1, max_size=30).map(np.array)
levels = st.floats(0, 0.999)
# fmt: off
BACON = np.array([
    0.003, 0.026, 0.011, -0.010, 0.015, 0.025, 0.016, 0.067, -0.014, 0.040, -0.005, 0.081,
    0.040, -0.037, -0.061, 0.017, -0.049, -0.022, 0.070, 0.058, -0.065, 0.024, -0.005, -0.009,
])
# fmt: on


def by_hand(profit, compounded):
    peak = wealth = 1.0 if compounded else 0.0
    path = []
    for x in profit:
        wealth = wealth * (1 + x) if compounded else wealth + x
        peak = max(peak, wealth)
        path.append(1 - wealth / peak if compounded else peak - wealth)
    return path


@given(profits)
def test_a_drawdown_is_what_the_running_total_lacks_to_its_peak(profit):
    np.testing.assert_allclose(drawdown(profit), by_hand(profit, compounded=False), rtol=1e-12, atol=1e-9)


@given(returns)
def test_a_compounded_drawdown_is_the_share_that_wealth_lacks_to_its_peak(profit):
    np.testing.assert_allclose(drawdown(profit, compounded=True), by_hand(profit, compounded=True), atol=1e-12)


@given(profits, levels)
def test_conditional_drawdown_lies_between_the_mean_and_the_greatest_and_so_does_the_ulcer_index(profit, level):
    path = drawdown(profit)
    slack = 1e-12 * (1 + path.max())
    assert path.mean() - slack <= conditional_drawdown(profit, level) <= max_drawdown(profit) == path.max()
    assert path.mean() - slack <= ulcer_index(profit) <= path.max() + slack
    assert conditional_drawdown(profit, 0.0) == pytest.approx(path.mean())
    assert conditional_drawdown(profit, 1 - 1e-12) == path.max()


@given(profits, st.floats(0, 1e3))
def test_more_profit_every_day_gives_no_more_drawdown(profit, more):
    assert (drawdown(profit + more) <= drawdown(profit) + 1e-8).all()


@given(profits)
def test_the_drawdown_of_a_day_knows_no_later_day(profit):
    half = len(profit) // 2 + 1
    changed = np.r_[profit[:half], -profit[half:] - 1]
    np.testing.assert_array_equal(drawdown(changed)[:half], drawdown(profit)[:half])


@given(returns.map(lambda x: x * 1e-7))
def test_compounding_matters_little_when_returns_are_small(profit):
    np.testing.assert_allclose(drawdown(profit, compounded=True), drawdown(profit), atol=1e-10)


@pytest.mark.parametrize("compounded", [False, True])
def test_a_series_that_never_falls_has_no_drawdown(compounded):
    for profit in ([0.1] * 50, [0.0], [0.0, 3.0, 0.0]):
        assert (drawdown(profit, compounded=compounded) == 0).all()
        assert max_drawdown(profit, compounded=compounded) == ulcer_index(profit, compounded=compounded) == 0


def test_a_first_loss_is_a_drawdown_from_nothing_and_all_lost_stays_lost():
    assert drawdown([-5.0]).tolist() == [5.0]
    assert drawdown([-0.5, 0.5], compounded=True).tolist() == pytest.approx([0.5, 0.25])
    assert drawdown([1.0, -1.0, 9.0], compounded=True).tolist() == [0.0, 1.0, 1.0]


def test_time_lies_along_the_last_axis():
    profit = np.random.default_rng(0).normal(size=(2, 3, 40))
    assert drawdown(profit).shape == (2, 3, 40)
    for measure in (max_drawdown, conditional_drawdown, ulcer_index):
        assert measure(profit).shape == (2, 3)
        assert measure(profit)[1, 2] == measure(profit[1, 2])


def test_bacons_two_years_have_his_drawdown_and_pain():
    """Bacon adds returns up (2nd edition, p. 89): the greatest drawdown is 15.2 %, the mean one 3.9 %."""
    assert max_drawdown(BACON) == pytest.approx(0.152, abs=1e-12)
    assert conditional_drawdown(BACON, 0.0) == pytest.approx(0.039, abs=1e-12)
    growth = np.prod(1 + BACON) ** (12 / 24) - 1
    assert round(growth / conditional_drawdown(BACON, 0.0), 2) == 2.66


def test_skfolios_greatest_drawdown_of_apple_from_1990_to_2022():
    datasets = pytest.importorskip("skfolio.datasets", reason="skfolio is not installed")
    profit = datasets.load_sp500_dataset()["AAPL"].pct_change().dropna().to_numpy()
    assert round(float(max_drawdown(profit, compounded=True)), 8) == 0.81809872


@pytest.mark.parametrize("compounded", [False, True])
@pytest.mark.parametrize("n_periods", [1, 2, 100, 997])
def test_drawdowns_agree_with_skfolio(compounded, n_periods):
    oracle = pytest.importorskip("skfolio.measures", reason="skfolio is not installed")
    profit = 0.02 * np.random.default_rng(n_periods).standard_t(4, size=n_periods)
    theirs = oracle.get_drawdowns(profit, compounded=compounded)
    np.testing.assert_allclose(drawdown(profit, compounded=compounded), -theirs, atol=1e-12)
    assert max_drawdown(profit, compounded=compounded) == pytest.approx(oracle.max_drawdown(theirs), abs=1e-12)
    assert ulcer_index(profit, compounded=compounded) == pytest.approx(oracle.ulcer_index(theirs), abs=1e-12)
    for level in (0.5, 0.9, 0.95, 0.97):
        found = conditional_drawdown(profit, level, compounded=compounded)
        assert found == pytest.approx(oracle.cdar(theirs, beta=level), abs=1e-12)


@pytest.mark.parametrize("measure", [drawdown, max_drawdown, conditional_drawdown, ulcer_index])
def test_what_has_no_drawdown_is_refused(measure):
    for profit, said in (
        ([], "needs periods"),
        (3.0, "needs periods"),
        ([1.0, np.nan], "no NaN"),
        ([np.inf], "finite"),
    ):
        with pytest.raises(DataError, match=said):
            measure(profit)
    with pytest.raises(DataError, match=r"-1 or more.*got -1.5"):
        measure([0.1, -1.5], compounded=True)
    with pytest.raises(DataError, match="level must be in"):
        conditional_drawdown([1.0], 1.0)


@pytest.mark.parametrize("measure", [drawdown, max_drawdown, conditional_drawdown, ulcer_index])
def test_a_table_with_time_on_its_first_axis_is_refused(measure):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 2)), columns=["energy", "hash"])
    with pytest.raises(DataError, match=r"profit is a DataFrame of shape \(9, 2\).*give table.to_numpy\(\).T"):
        measure(table)
    assert measure(table.to_numpy().T)[1] == pytest.approx(measure(table["hash"]))
