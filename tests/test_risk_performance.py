"""Performance: laws first, then answers from books, a paper and skfolio."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab.errors import DataError
from gridlab.risk.drawdown import max_drawdown, ulcer_index
from gridlab.risk.performance import (
    capture_ratio,
    days_for_half,
    equivalent_full_cycles,
    profit_per_mw_year,
    ratio_of_totals,
    regret,
    share_of_best_days,
)
from gridlab.risk.ratios import (
    calmar_ratio,
    deflated_sharpe_from_moments,
    deflated_sharpe_ratio,
    downside_deviation,
    expected_best_sharpe,
    martin_ratio,
    mean_absolute_deviation,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    sortino_ratio,
)

profits = st.lists(st.integers(-100, 100), min_size=1, max_size=30).map(lambda x: np.array(x, dtype=float))
DAILY = {"capital": 1e4, "periods_per_year": 365}
RATIOS = [sharpe_ratio, sortino_ratio, calmar_ratio, martin_ratio, probabilistic_sharpe_ratio]
# fmt: off
BACON = np.array([
    0.003, 0.026, 0.011, -0.010, 0.015, 0.025, 0.016, 0.067, -0.014, 0.040, -0.005, 0.081,
    0.040, -0.037, -0.061, 0.017, -0.049, -0.022, 0.070, 0.058, -0.065, 0.024, -0.005, -0.009,
])
# fmt: on
RECORD = np.random.default_rng(2).normal(20, 300, size=(3, 500))


def half_by_hand(profit):
    """Days counted one at a time, the last in part."""
    left, days = profit.sum() / 2, 0.0
    for x in sorted(profit, reverse=True):
        if x >= left:
            return days + left / x
        left, days = left - x, days + 1
    raise AssertionError("half of a profit is reached")


@given(profits, st.floats(0.1, 100))
def test_profit_per_mw_year_is_the_mean_day_times_365_over_the_power(profit, power_mw):
    assert profit_per_mw_year(profit, power_mw) == pytest.approx(profit.mean() * 365 / power_mw)
    assert profit_per_mw_year(np.tile(profit, 3), power_mw) == pytest.approx(profit_per_mw_year(profit, power_mw))


@given(profits, st.integers(0, 100))
def test_what_is_captured_and_what_is_regretted_make_up_the_benchmark(profit, more):
    benchmark = profit + more
    missed, captured = regret(profit, benchmark), capture_ratio(profit, benchmark)
    assert missed.total == missed.daily.sum() == benchmark.sum() - profit.sum()
    if benchmark.mean() > 0.01:
        assert captured == pytest.approx(1 - missed.total / benchmark.sum())
    else:
        assert np.isnan(captured)


def test_a_share_of_no_profit_worth_the_name_is_nan():
    assert np.isnan(capture_ratio([1.0, 2.0], [0.0, 0.0]))
    assert np.isnan(capture_ratio([1.0, 2.0], [-5.0, 2.0]))
    assert np.isnan(capture_ratio([1.0, 2.0], [0.01, 0.01]))
    assert capture_ratio([1.0, 2.0], [0.01, 0.01], least=0.0) == pytest.approx(150)
    for measure in (share_of_best_days, days_for_half):
        assert np.isnan(measure([5.0, -5.0]))
        assert np.isnan(measure([0.0]))
    assert ratio_of_totals(7.0, [2.0, -1.0], 3).tolist() == pytest.approx([3.5, np.nan], nan_ok=True)


@given(profits.filter(lambda x: x.mean() > 0.01), st.floats(0.001, 1))
def test_the_best_days_share_is_at_least_their_number_and_rises_to_all(profit, share):
    assert share_of_best_days(profit, share) >= share - 1e-12
    assert share_of_best_days(profit, 1.0) == pytest.approx(1)
    if (profit >= 0).all():
        assert share_of_best_days(profit, share) <= 1 + 1e-12
    whole = -(-len(profit) // 2)
    best = np.sort(profit)[::-1][:whole].sum()
    assert share_of_best_days(profit, whole / len(profit)) == pytest.approx(best / profit.sum())


@given(profits.filter(lambda x: x.mean() > 0.01))
def test_the_days_for_half_earn_half(profit):
    assert days_for_half(profit) == pytest.approx(half_by_hand(profit))
    assert share_of_best_days(profit, float(days_for_half(profit)) / len(profit)) == pytest.approx(0.5)


def test_equal_days_give_half_of_them_and_one_day_half_a_day():
    assert days_for_half([0.1] * 9) == pytest.approx(4.5)
    assert days_for_half([8.0]) == 0.5
    assert share_of_best_days([0.1] * 100, 0.01) == pytest.approx(0.01)


def test_cycles_count_the_energy_out_in_full_stores():
    assert equivalent_full_cycles([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]], 2.0).tolist() == [1.5, 0.0]


@given(profits.filter(lambda x: np.ptp(x) > 0), st.floats(1, 1e6))
def test_a_ratio_does_not_change_with_the_unit_of_money(profit, unit):
    for measure in RATIOS:
        scaled = measure(profit * unit, capital=1e4 * unit, periods_per_year=365)
        assert scaled == pytest.approx(measure(profit, **DAILY), rel=1e-9, nan_ok=True)


@given(profits.filter(lambda x: np.ptp(x) > 0), st.floats(0, 0.01))
def test_a_higher_target_gives_no_higher_ratio(profit, target):
    for measure in RATIOS:
        asked_more, asked_less = measure(profit, **DAILY, target=target), measure(profit, **DAILY)
        assert not asked_more > asked_less + 1e-9 * (1 + abs(asked_less))


def test_each_ratio_is_annual_return_over_its_own_risk():
    for profit in RECORD:
        shares = profit / 1e4
        over = (shares - 0.001).mean() / shares.std(ddof=1) * 365**0.5
        assert sharpe_ratio(profit, **DAILY, target=0.001) == pytest.approx(over)
        assert sharpe_ratio(profit, **DAILY) == pytest.approx(shares.mean() / shares.std(ddof=1) * 365**0.5)
        below = np.sqrt(np.mean(np.minimum(shares - 0.001, 0) ** 2))
        assert sortino_ratio(profit, **DAILY, target=0.001) == pytest.approx((shares.mean() - 0.001) / below * 365**0.5)
        assert calmar_ratio(profit, **DAILY) == pytest.approx(365 * shares.mean() / max_drawdown(shares))
        assert martin_ratio(profit, **DAILY) == pytest.approx(365 * shares.mean() / ulcer_index(shares))
        growth = np.prod(1 + shares) ** (365 / 500) - 1
        greatest = max_drawdown(shares, compounded=True)
        assert calmar_ratio(profit, **DAILY, compounded=True) == pytest.approx(growth / greatest)
        excess = growth - (1.0001**365 - 1)
        found = martin_ratio(profit, **DAILY, compounded=True, target=0.0001)
        assert found == pytest.approx(excess / ulcer_index(shares, compounded=True))


@pytest.mark.parametrize("measure", RATIOS)
def test_a_ratio_to_no_risk_is_nan(measure):
    for profit in ([5.0], [0.0, 0.0], [0.1] * 7, [0.3, 0.1 + 0.2]):
        assert np.isnan(measure(profit, **DAILY))


def test_no_downside_gives_no_sortino_and_no_drawdown_no_calmar():
    assert sharpe_ratio([1.0, 3.0], **DAILY) > 0
    for measure in (sortino_ratio, calmar_ratio, martin_ratio):
        assert np.isnan(measure([1.0, 3.0], **DAILY))


def test_all_wealth_lost_is_a_return_of_minus_one_over_a_drawdown_of_one():
    assert calmar_ratio([0.5, -1.0], capital=1.0, periods_per_year=2, compounded=True) == -1


@pytest.mark.parametrize("measure", RATIOS)
def test_time_lies_along_the_last_axis(measure):
    found = measure(RECORD.reshape(3, 1, 500), **DAILY)
    assert found.shape == (3, 1)
    assert found[2, 0] == measure(RECORD[2], **DAILY)


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_the_more_trials_the_better_the_best_of_them_and_the_less_it_says(one, other):
    few, many = sorted((one, other))
    assert expected_best_sharpe(few, 0.01) <= expected_best_sharpe(many, 0.01) + 1e-12
    deflated = [deflated_sharpe_from_moments(0.2, 500, n_trials=n, trial_variance=0.01) for n in (few, many)]
    assert deflated[1] <= deflated[0] + 1e-12


def test_one_trial_deflates_nothing():
    assert expected_best_sharpe(1, 0.5) == 0
    assert (
        deflated_sharpe_ratio(RECORD, [1.3], **DAILY).tolist() == probabilistic_sharpe_ratio(RECORD, **DAILY).tolist()
    )


def test_the_probability_is_a_half_at_the_ratio_that_was_found():
    found = sharpe_ratio(RECORD[0], **DAILY)
    assert probabilistic_sharpe_ratio(RECORD[0], **DAILY, benchmark=float(found)) == pytest.approx(0.5)


def test_the_best_of_many_records_without_skill_is_deflated_to_an_even_chance():
    yearly = {"capital": 1.0, "periods_per_year": 365}
    probable, deflated = [], []
    for records in np.random.default_rng(8).normal(0, 1, size=(60, 40, 365)):
        trials = sharpe_ratio(records, **yearly)
        best = records[np.argmax(trials)]
        probable.append(probabilistic_sharpe_ratio(best, **yearly))
        deflated.append(deflated_sharpe_ratio(best, trials, **yearly))
    assert np.mean(probable) > 0.95
    assert 0.4 < np.mean(deflated) < 0.6


def test_bailey_and_lopez_de_prados_deflated_sharpe_ratio():
    """Section "A numerical example": annual ratio 2.5 and trial variance 1/2, 250 returns a year, 1,250 of them."""
    moments = {"n_trials": 100, "trial_variance": 0.5 / 250, "skewness": -3.0, "kurtosis": 10.0}
    assert round(expected_best_sharpe(100, 0.5 / 250), 4) == 0.1132
    assert round(deflated_sharpe_from_moments(2.5 / 250**0.5, 1250, **moments), 4) == 0.9004


def test_bacons_two_years_have_his_mean_absolute_deviation_sortino_and_martin_ratio():
    """
    Deviation and Martin ratio are given to the digits that the book's own rounding leaves.

    He cuts 3.108 % to 3.10 %, and divides an annual return of 10.37 % by an ulcer index of returns added up, 6.07 %
    rounded to 6.1 %: 1.70. Compounded throughout, as here, the ratio is 1.6945.
    """
    monthly = {"capital": 1.0, "periods_per_year": 12}
    assert np.floor(mean_absolute_deviation(BACON) * 1e4) / 1e4 == 0.0310
    assert round(float(sortino_ratio(BACON, capital=1.0, periods_per_year=1, target=0.005)), 3) == 0.157
    assert martin_ratio(BACON, **monthly, compounded=True) == pytest.approx(1.70, abs=0.006)
    annual = martin_ratio(BACON, **monthly, compounded=True) * ulcer_index(BACON, compounded=True)
    assert round(float(annual), 4) == 0.1037
    assert round(float(annual / np.round(ulcer_index(BACON), 3)), 2) == 1.70


def test_deviations_and_sharpe_ratios_agree_with_skfolio():
    oracle = pytest.importorskip("skfolio.measures", reason="skfolio is not installed")
    daily = {"capital": 1e4, "periods_per_year": 250}
    for profit in np.random.default_rng(4).standard_t(5, size=(5, 331)) * 100 + 5:
        shares = profit / 1e4
        trials = np.random.default_rng(1).normal(0, 0.05, 40)
        agreed = [
            (mean_absolute_deviation(shares), oracle.mean_absolute_deviation(shares)),
            (downside_deviation(shares, 1e-3), oracle.semi_deviation(shares, min_acceptable_return=1e-3, biased=True)),
            (sharpe_ratio(profit, **daily) / 250**0.5, oracle.mean(shares) / oracle.standard_deviation(shares)),
            (probabilistic_sharpe_ratio(profit, **daily), oracle.probabilistic_sharpe_ratio(shares)),
            (
                probabilistic_sharpe_ratio(profit, **daily, benchmark=0.03 * 250**0.5, target=1e-4),
                oracle.probabilistic_sharpe_ratio(shares, benchmark_sharpe_ratio=0.03, risk_free_rate=1e-4),
            ),
            (
                deflated_sharpe_ratio(profit, trials * 250**0.5, **daily, target=1e-4),
                oracle.deflated_sharpe_ratio(shares, trials, risk_free_rate=1e-4),
            ),
            (expected_best_sharpe(7.5, 0.04), oracle.expected_max_sharpe_ratio(7.5, 0.2)),
        ]
        np.testing.assert_allclose(*zip(*agreed, strict=True), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("measure", RATIOS)
@pytest.mark.parametrize("capital", [None, 0.0, -1e4, np.nan, np.inf])
def test_a_ratio_without_a_declared_capital_is_refused(measure, capital):
    with pytest.raises(DataError, match=r"capital must be .*\$"):
        measure([1.0, -2.0], capital=capital, periods_per_year=365)
    with pytest.raises(TypeError, match="capital"):
        measure([1.0, -2.0], periods_per_year=365)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sharpe_ratio([1.0, 2.0], capital=1.0, periods_per_year=0), "periods_per_year must be"),
        (lambda: sharpe_ratio([1.0, np.nan], **DAILY), r"no NaN, got nan at \[1\]"),
        (lambda: sharpe_ratio([], **DAILY), "profit needs periods"),
        (lambda: sharpe_ratio([1.0, 2.0], **DAILY, target=np.nan), "target must be one finite number, got nan"),
        (lambda: martin_ratio([-2e4, 1.0], **DAILY, compounded=True), "-1 or more"),
        (lambda: deflated_sharpe_ratio([1.0, 2.0], [], **DAILY), "trials needs Sharpe ratios"),
        (lambda: deflated_sharpe_ratio([1.0, 2.0], [np.nan], **DAILY), "trials must be finite"),
        (lambda: deflated_sharpe_ratio([1.0, 2.0], [[1.0, 2.0]], **DAILY), "one axis"),
        (lambda: expected_best_sharpe(0.5, 1.0), "n_trials must be 1 or more, got 0.5"),
        (lambda: expected_best_sharpe(5, -1.0), "not negative, got -1"),
        (lambda: deflated_sharpe_from_moments(1, 1, n_trials=5, trial_variance=1), "n_periods must be 2"),
        (
            lambda: deflated_sharpe_from_moments(1, 9, n_trials=5, trial_variance=1, skewness=-3, kurtosis=7),
            "skewness.2 = 10 or more, got 7",
        ),
        (lambda: profit_per_mw_year([1.0], 0.0), "power_mw must be"),
        (lambda: capture_ratio([1.0, 2.0], [1.0]), "profit has 2 days and benchmark 1"),
        (lambda: regret([1.0, 2.0], [1.0, np.inf]), "benchmark must be finite"),
        (lambda: share_of_best_days([1.0], 0.0), r"share must be in \(0, 1\], got 0"),
        (lambda: equivalent_full_cycles([-1.0], 2.0), "must not be negative, got -1"),
        (lambda: equivalent_full_cycles([1.0], -2.0), "usable_mwh must be"),
        (lambda: mean_absolute_deviation([]), "needs periods"),
        (lambda: downside_deviation([1.0], np.nan), "target must be one finite number, got nan"),
        (lambda: downside_deviation([1.0], np.inf), "target must be one finite number, got inf"),
        (lambda: capture_ratio([1.0], [1.0], least=np.nan), "least must be one finite number, got nan"),
        (lambda: share_of_best_days([1.0], least=np.nan), "least must be one finite number, got nan"),
        (lambda: days_for_half([1.0], least=np.nan), "least must be one finite number, got nan"),
        (lambda: capture_ratio([1.0], [1.0], least=-1.0), "least must not be negative, got -1"),
        (lambda: ratio_of_totals(1.0, 2.0, 0), "n_days must be at least 1, got 0"),
        (lambda: probabilistic_sharpe_ratio([1.0, 2.0], **DAILY, benchmark=np.nan), "benchmark must be one finite"),
        (lambda: deflated_sharpe_from_moments(np.nan, 9, n_trials=5, trial_variance=1), "sharpe must be one finite"),
        (lambda: deflated_sharpe_from_moments(1, np.inf, n_trials=5, trial_variance=1), "n_periods must be one finite"),
        (
            lambda: deflated_sharpe_from_moments(1, 9, n_trials=5, trial_variance=1, skewness=np.nan),
            "skewness must be one finite number, got nan",
        ),
    ],
)
def test_what_has_no_answer_is_refused(call, said):
    with pytest.raises(DataError, match=said):
        call()


@pytest.mark.parametrize("measure", RATIOS)
def test_a_table_with_time_on_its_first_axis_is_refused(measure):
    table = pd.DataFrame(RECORD.T)
    with pytest.raises(DataError, match=r"profit is a DataFrame of shape \(500, 3\).*give table.to_numpy\(\).T"):
        measure(table, **DAILY)
    assert measure(table.to_numpy().T, **DAILY)[2] == pytest.approx(measure(table[2], **DAILY))


@pytest.mark.parametrize("measure", [capture_ratio, regret])
def test_profits_of_other_days_are_refused_and_of_the_same_days_matched(measure):
    profit = pd.Series(7.0, pd.date_range("2024-01-01", periods=30))
    other = pd.Series(7.0, pd.date_range("2025-06-01", periods=30))
    with pytest.raises(DataError, match="profit and benchmark must have the same index, got 2024-01-01 to 2024-01-30"):
        measure(profit, other)
    with pytest.raises(DataError, match="same index"):
        measure(profit, profit.iloc[::-1])
    assert repr(measure(profit, profit)) == repr(measure(profit, other.to_numpy()))


def test_a_share_too_small_to_take_from_one_is_a_part_of_the_best_day():
    assert share_of_best_days([1.0, 3.0], 1e-17) == pytest.approx(1e-17 * 2 * 3 / 4, rel=1e-9)


def test_a_trial_repeated_lowers_the_deflated_ratio_as_if_it_were_another():
    trials = np.array([1.3, 0.2, -0.9])
    once, thrice = (float(deflated_sharpe_ratio(RECORD[0], np.tile(trials, n), **DAILY)) for n in (1, 3))
    assert thrice < once
