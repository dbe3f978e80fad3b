"""The tests of difference agree with their formulas, keep their size, have power, and order the published models."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridlab import evaluate
from gridlab.errors import DataError
from gridlab.evaluate import diebold_mariano, giacomini_white
from gridlab.schema import mock_forecast, mock_prices

seeds = st.integers(0, 2**32 - 1)


def losses(seed, shape=(60, 24), better=1.0):
    rng = np.random.default_rng(seed)
    return rng.gamma(2, 1.0, shape), rng.gamma(2, better, shape)


@given(seed=seeds, n_days=st.integers(10, 80))
def test_the_small_sample_version_is_students_t_test(seed, n_days):
    from scipy.stats import ttest_1samp

    a, b = losses(seed, (n_days, 24))
    ours, judge = (
        diebold_mariano(a, b, small_sample=True),
        ttest_1samp((a - b).mean(axis=1), 0, alternative="greater"),
    )
    assert ours.statistic == pytest.approx(judge.statistic)
    assert ours.p_value == pytest.approx(judge.pvalue)
    plain = diebold_mariano(a, b)
    assert plain.statistic == pytest.approx(judge.statistic * np.sqrt(n_days / (n_days - 1)))


@given(seed=seeds, lags=st.integers(0, 9))
def test_the_variance_with_lags_is_that_of_newey_and_west(seed, lags):
    import statsmodels.api as sm

    a, b = losses(seed)
    d = np.cumsum((a - b).mean(axis=1))
    fit = sm.OLS(d, np.ones(len(d))).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    assert diebold_mariano(d, np.zeros(len(d)), lags=lags).statistic == pytest.approx(fit.tvalues[0])


@given(seed=seeds)
def test_the_conditional_test_is_n_r_squared_of_one_on_the_instruments(seed):
    import statsmodels.api as sm
    from scipy.stats import chi2

    a, b = losses(seed, better=0.95)
    d = (a - b).mean(axis=1)
    moments = np.column_stack([d[1:], d[1:] * d[:-1]])
    size = (len(d) - 1) * sm.OLS(np.ones(len(d) - 1), moments).fit().rsquared
    ours = giacomini_white(a, b)
    assert abs(ours.statistic) == pytest.approx(size)
    assert ours.p_value == pytest.approx(chi2.sf(size, 2) if d[1:].mean() > 0 else 1.0)


@pytest.mark.parametrize("test", [diebold_mariano, giacomini_white])
@given(seed=seeds, scale=st.floats(1e-3, 1e6))
def test_a_test_turns_its_sign_when_the_models_change_places_and_knows_no_unit(test, seed, scale):
    a, b = losses(seed)
    assert test(b, a).statistic == pytest.approx(-test(a, b).statistic)
    assert test(scale * a, scale * b).p_value == pytest.approx(test(a, b).p_value, rel=1e-6)


@pytest.mark.parametrize("test", [diebold_mariano, giacomini_white])
def test_the_tests_by_hour_are_those_of_each_hour_alone(test):
    a, b = losses(4)
    hourly = test(a, b, by="hour")
    alone = [test(a[:, hour], b[:, hour]) for hour in range(24)]
    assert hourly.statistic == pytest.approx([one.statistic for one in alone])
    assert hourly.p_value == pytest.approx([one.p_value for one in alone])
    assert test(a, b).p_value == pytest.approx(test(a.mean(axis=1), b.mean(axis=1)).p_value)


def rejections(test, differentials, **options):
    """Share of runs in which b, then a, is found better at 5 %; one run a column."""
    zero = np.zeros_like(differentials)
    ways = (test(differentials, zero, by="hour", **options), test(zero, differentials, by="hour", **options))
    return [float(np.mean(way.p_value < 0.05)) for way in ways]


def test_of_equally_accurate_forecasts_each_is_found_better_as_often_as_it_should_be():
    """4,000 runs of a year: two standard errors are 0.7 points at 5 %, 0.5 points at 2.5 %."""
    differentials = np.random.default_rng(1).standard_t(5, (364, 4000))
    assert rejections(diebold_mariano, differentials) == pytest.approx([0.05, 0.05], abs=0.011)
    assert rejections(giacomini_white, differentials) == pytest.approx([0.025, 0.025], abs=0.009)


def test_correlated_days_need_lags_to_come_near_the_size():
    from scipy.signal import lfilter

    noise = np.random.default_rng(2).normal(size=(500, 2000))
    differentials = lfilter([1], [1, -0.5], noise, axis=0)[100:]
    assert rejections(diebold_mariano, differentials)[0] > 0.13
    assert rejections(diebold_mariano, differentials, lags=14)[0] < 0.085


def test_a_better_forecast_is_found_and_a_worse_one_never_is():
    differentials = 0.2 + np.random.default_rng(3).normal(size=(364, 1000))
    for test, power in ((diebold_mariano, 0.97), (giacomini_white, 0.9)):
        found, wrongly = rejections(test, differentials)
        assert found > power
        assert wrongly == 0


def test_only_the_conditional_test_finds_that_yesterday_tells_the_better_model():
    """The differential remembers its own sign, and is zero on average."""
    from scipy.signal import lfilter

    differentials = lfilter([1], [1, -0.5], np.random.default_rng(4).normal(size=(464, 500)), axis=0)[100:]
    assert sum(rejections(giacomini_white, differentials)) > 0.95
    assert sum(rejections(diebold_mariano, differentials, lags=14)) < 0.2


def test_losses_without_a_difference_are_no_evidence_and_a_constant_one_is_full_evidence():
    a, _ = losses(5)
    assert diebold_mariano(a, a) == (0.0, 0.5)
    assert giacomini_white(a, a) == (0.0, 1.0)
    one = np.ones(20)
    assert diebold_mariano(2 * one, one) == (np.inf, 0.0)
    assert diebold_mariano(one, 2 * one) == (-np.inf, 1.0)
    assert giacomini_white(2 * one, one).p_value < 1e-3


def two_models(days=40, worse=9.0):
    good = mock_forecast(days=days)
    return pd.concat({"poor": good.assign(mean=good["mean"] + worse), "good": good}, names=["model"])


def test_every_pair_is_compared_with_the_column_as_the_candidate_and_the_best_first():
    three = pd.concat([two_models(), pd.concat({"fair": two_models(worse=2.0).loc["poor"]}, names=["model"])])
    prices = mock_prices(days=40)
    for name, test in (("dm", diebold_mariano), ("gw", giacomini_white)):
        table = evaluate.compare_all(three, prices, test=name)
        assert list(table.index) == list(table.columns) == ["good", "fair", "poor"]
        made = evaluate.daily_losses(three, prices)
        for row in table.index:
            for column in table.columns.drop(row):
                assert table.loc[row, column] == pytest.approx(test(made[row], made[column]).p_value)
        assert np.isnan(np.diag(table)).all()
    assert evaluate.compare_all(three, prices).loc["poor", "good"] < 0.01


def published(data_dir, market):
    from gridlab.sources import read_epf

    prices = read_epf(data_dir / "epf" / f"{market}.csv")
    stored = pd.read_csv(data_dir / "epf" / f"Forecasts_{market}_DNN_LEAR_ensembles.csv", index_col=0, parse_dates=True)
    times = stored.index.tz_localize("UTC").rename("time")
    index = pd.MultiIndex.from_arrays([times.normalize(), times], names=["origin", "time"])
    columns = stored.columns.drop("Real price")
    return prices, pd.concat(
        {c: stored[[c]].set_axis(["mean"], axis=1).set_axis(index) for c in columns}, names=["model"]
    )


@pytest.mark.parametrize("market", ["NP", "PJM"])
def test_the_published_ensembles_beat_their_members_and_the_networks_beat_lear(data_dir, market):
    """The conclusions of Lago et al. 2021, doi:10.1016/j.apenergy.2021.116983, from the forecasts stored with it."""
    prices, stored = published(data_dir, market)
    dm, gw = (evaluate.compare_all(stored, prices, test=test) for test in ("dm", "gw"))
    assert dm.columns[0] == "DNN Ensemble"
    for window in ("LEAR 56", "LEAR 84", "LEAR 1092", "LEAR 1456"):
        assert dm.loc[window, "LEAR Ensemble"] < 0.05
        assert gw.loc[window, "LEAR Ensemble"] < 0.05
    assert dm.loc["LEAR Ensemble", "DNN Ensemble"] < 0.05
    assert gw.loc["LEAR Ensemble", "DNN Ensemble"] < 0.1
    assert (dm.loc["DNN Ensemble"].drop("DNN Ensemble") > 0.9).all()


def test_the_confidence_set_holds_the_best_and_drops_the_worst_and_the_seed_decides_the_rest():
    rng = np.random.default_rng(6)
    common = rng.gamma(4, 1, (364, 1))
    made = pd.DataFrame(common * [1.0, 1.0, 1.3] + rng.normal(0, 0.3, (364, 3)), columns=["a", "b", "poor"])
    one, same = (evaluate.model_confidence_set(made, rng=np.random.default_rng(1)) for _ in range(2))
    pd.testing.assert_series_equal(one, same)
    assert (one >= 0.1).to_dict() == {"a": True, "b": True, "poor": False}
    assert one.iloc[0] == 1.0
    assert one.index[0] == made.mean().idxmin()


def test_the_confidence_set_loses_the_best_in_at_most_a_tenth_of_runs():
    rng = np.random.default_rng(7)
    held = [
        evaluate.model_confidence_set(pd.DataFrame(rng.gamma(4, 1, (200, 4))), rng=rng, n_draws=200, block_days=1)[0]
        for _ in range(200)
    ]
    assert np.mean(np.array(held) >= 0.1) > 0.85


A, B = losses(8)
SAME = pd.DataFrame({"a": A[:, 0], "b": A[:, 0] + 1.0})

REFUSED = {
    r"same days and slots, got shapes \(60, 24\) and \(59, 24\)": lambda: diebold_mariano(A, B[1:]),
    "9 days of losses tell nothing: give at least 10": lambda: diebold_mariano(A[:9], B[:9]),
    r"the losses of day 3 \(counted from 0\) are not all finite": lambda: giacomini_white(
        A, np.where(np.arange(60)[:, None] == 3, np.nan, B)
    ),
    r"shape \(n_days, n_slots\) for by='hour', got \(60,\)": lambda: diebold_mariano(A[:, 0], B[:, 0], by="hour"),
    r"shape \(n_days, n_slots\) for by='day', got \(60, 24, 1\)": lambda: diebold_mariano(A[..., None], B[..., None]),
    "by must be 'day' or 'hour', got 'week'": lambda: giacomini_white(A, B, by="week"),
    r"lags must be in \[0, 60\)": lambda: diebold_mariano(A, B, lags=60),
    "test must be 'dm' or 'gw', got 't'": lambda: evaluate.compare_all(two_models(), mock_prices(days=40), test="t"),
    "nothing to compare: give forecasts of two models": lambda: evaluate.compare_all(mock_forecast(), mock_prices()),
    "give one column of losses for each of two models": lambda: evaluate.model_confidence_set(
        SAME[["a"]], rng=np.random.default_rng(0)
    ),
    "the losses of 'a' and 'b' differ by a constant": lambda: evaluate.model_confidence_set(
        SAME.round(), rng=np.random.default_rng(0)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_compared_is_refused_in_one_sentence(message):
    with pytest.raises(DataError, match=message):
        REFUSED[message]()
