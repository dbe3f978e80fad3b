"""The drift monitor keeps its rate of false alarms, finds a planted drift in weeks, and looks at no later day."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridlab import evaluate
from gridlab.errors import DataError
from gridlab.evaluate.drift import _cusum, _normal_scores
from gridlab.schema import mock_forecast, mock_prices


def days(n_days):
    return pd.date_range("2024-01-01", periods=n_days, name="date")


def daily(n_days, rng, correlation=0.0, spread=0.5):
    """Lognormal daily losses that vary by about half of their mean, correlated from day to day."""
    from scipy.signal import lfilter

    noise = lfilter([np.sqrt(1 - correlation**2)], [1, -correlation], rng.normal(size=n_days + 50))[50:]
    return pd.Series(3 * np.exp(spread * noise), index=days(n_days))


def drift(live, backtest, seed=0, **options):
    return evaluate.loss_drift(live, backtest, rng=np.random.default_rng(seed), **{"n_draws": 200, **options})


def first_alarm(table):
    """Days until the first alarm; infinite without one."""
    found = np.flatnonzero(table["alarm"])
    return found[0] + 1 if len(found) else np.inf


@given(walk=st.lists(st.floats(-3, 3), min_size=1, max_size=50), slack=st.floats(0, 2))
def test_the_cumulative_sum_is_pages_recursion(walk, slack):
    level, recursion = 0.0, []
    for score in walk:
        level = max(0.0, level + score - slack)
        recursion.append(level)
    np.testing.assert_allclose(_cusum(np.array(walk), slack), recursion, atol=1e-9)


def test_normal_scores_of_a_sample_among_itself_are_standard_normal_and_ties_share_theirs():
    losses = np.random.default_rng(0).gamma(2, 1, 999)
    scores = _normal_scores(losses, losses)
    assert (scores.mean(), scores.std()) == pytest.approx((0, 1), abs=0.02)
    assert (np.argsort(scores) == np.argsort(losses)).all()
    assert _normal_scores(np.ones(2), np.ones(7)).tolist() == [0.0, 0.0]
    assert np.isfinite(_normal_scores(np.array([0.0, 1e9]), losses)).all()


@pytest.mark.parametrize(("correlation", "at_most"), [(0.0, 0.1), (0.4, 0.15)])
def test_without_a_change_alarms_are_about_as_rare_as_asked_for(correlation, at_most):
    """5 % asked for, 100 pairs of a year of backtest and half a year in use: two standard errors are 4 points."""
    rng = np.random.default_rng(11)
    alarms = [
        drift(daily(182, rng, correlation), daily(364, rng, correlation), seed)["alarm"].any() for seed in range(100)
    ]
    assert np.mean(alarms) < at_most


@pytest.mark.parametrize(("correlation", "within"), [(0.0, 28), (0.4, 42)])
def test_errors_half_as_large_again_are_found_within_weeks(correlation, within):
    rng = np.random.default_rng(12)
    delays = [
        first_alarm(drift(1.5 * daily(182, rng, correlation), daily(364, rng, correlation), seed)) for seed in range(40)
    ]
    assert np.median(delays) <= within
    assert np.mean(np.isfinite(delays)) > 0.9


def test_a_short_backtest_is_trusted_less():
    rng = np.random.default_rng(22)
    live = daily(1, rng)
    pasts = {n_days: [daily(n_days, rng) for _ in range(20)] for n_days in (60, 1200)}
    limits = {n: np.mean([drift(live, past)["limit"].iloc[0] / past.mean() for past in pasts[n]]) for n in pasts}
    assert limits[60] > 1.03 * limits[1200]


def test_an_alarm_follows_the_planted_day_and_not_before():
    rng = np.random.default_rng(13)
    backtest, live = daily(728, rng), daily(150, rng)
    live.iloc[60:] *= 1.8
    assert 60 < first_alarm(drift(live, backtest)) < 90


def test_one_wild_day_raises_the_rolling_mean_but_not_the_cumulative_sum():
    rng = np.random.default_rng(14)
    backtest, live = daily(364, rng), daily(90, rng)
    wild = live.copy()
    wild.iloc[45] *= 100
    calm, shaken = drift(live, backtest), drift(wild, backtest)
    assert (shaken["rolling_mean"] > shaken["limit"])[45:73].all()
    assert (shaken["cusum"] < 1).all()
    assert not calm["alarm"].any()


def test_an_alarm_ends_after_its_cause():
    rng = np.random.default_rng(21)
    backtest, live = daily(728, rng), daily(182, rng)
    live.iloc[20:80] *= 2
    table = drift(live, backtest)
    assert table["alarm"].iloc[60:80].all()
    assert table["cusum"].max() == 2
    assert not table["alarm"].iloc[-40:].any()


def test_an_alarm_is_either_detector_past_its_limit():
    rng = np.random.default_rng(15)
    table = drift(1.4 * daily(150, rng), daily(364, rng))
    either = (table["cusum"] > 1) | (table["rolling_mean"] > table["limit"])
    pd.testing.assert_series_equal(table["alarm"], either, check_names=False)
    assert table["rolling_mean"].isna().sum() == 27
    assert table["rolling_mean"].iloc[-1] == pytest.approx(table["loss"].iloc[-28:].mean())


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), known=st.integers(1, 59))
def test_no_day_is_judged_by_a_later_one(seed, known):
    rng = np.random.default_rng(seed)
    backtest, live = daily(100, rng), daily(60, rng)
    whole, part = drift(live, backtest, n_draws=100), drift(live[:known], backtest, n_draws=100)
    pd.testing.assert_frame_equal(whole[:known], part, check_exact=True)


def test_the_unit_of_the_losses_changes_no_alarm():
    rng = np.random.default_rng(16)
    backtest, live = daily(364, rng), 1.3 * daily(120, rng)
    one, other = drift(live, backtest), drift(1000 * live, 1000 * backtest)
    pd.testing.assert_series_equal(one["alarm"], other["alarm"])
    np.testing.assert_allclose(other["limit"], 1000 * one["limit"])


def hits(n_days, rng, coverage=0.8, together=0.0):
    """Hits by hour; a share of the days hit or miss as a whole."""
    by_hour, by_day = rng.random((n_days, 24)) < coverage, rng.random((n_days, 1)) < coverage
    whole = rng.random((n_days, 1)) < together
    return pd.DataFrame(np.where(whole, by_day, by_hour).astype(float), index=days(n_days))


def coverage(live, backtest, **options):
    return evaluate.coverage_drift(live, backtest, rng=np.random.default_rng(0), **{"n_draws": 500, **options})


def test_of_independent_hits_the_band_of_one_day_and_window_is_the_binomial():
    from scipy.stats import binom

    rng = np.random.default_rng(17)
    backtest = hits(4000, rng)
    table = coverage(backtest[:1], backtest, window_days=1, horizon_days=1, false_alarm=0.1, n_draws=20_000)
    low, high = binom(24, 0.8).ppf([0.05, 0.95]) / 24
    assert table["low"].iloc[0] == pytest.approx(low, abs=1 / 24)
    assert table["high"].iloc[0] == pytest.approx(high, abs=1 / 24)


def test_hours_that_miss_together_widen_the_band_and_keep_the_rate_of_false_alarms():
    rng = np.random.default_rng(18)
    alone, together = (coverage(hits(28, rng), hits(364, rng, together=share)).iloc[-1] for share in (0.0, 0.5))
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])
    runs = [
        coverage(hits(182, rng, together=0.5), hits(364, rng, together=0.5), n_draws=200)["alarm"].any()
        for _ in range(80)
    ]
    assert np.mean(runs) < 0.15


def test_intervals_that_hold_less_or_more_than_they_say_are_found():
    rng = np.random.default_rng(19)
    backtest = hits(364, rng, together=0.2)
    for share in (0.6, 0.95):
        assert coverage(hits(90, rng, share, together=0.2), backtest)["alarm"].any()
    drifting = pd.concat([hits(60, rng), hits(60, rng, 0.5)]).set_axis(days(120))
    assert 60 < first_alarm(coverage(drifting, backtest)) < 85


def test_the_monitors_take_what_the_losses_and_hits_by_day_give():
    prices, forecast = mock_prices(days=120), mock_forecast(days=120)
    forecast = forecast.assign(q10=forecast["mean"] - 10, q90=forecast["mean"] + 10)
    by_day = evaluate.daily_losses(forecast, prices).mean(axis=1)
    assert drift(by_day[60:], by_day[:60]).index.name == "date"
    inside = evaluate.daily_hits(forecast, prices)
    table = coverage(inside[60:], inside[:60])
    assert table["coverage"].mean() == pytest.approx(evaluate.score(forecast[60 * 24 :], prices)["coverage_80"].item())


RNG = np.random.default_rng(20)
LIVE, PAST = daily(40, RNG), daily(100, RNG)
IN, PAST_IN = hits(40, RNG), hits(100, RNG)

REFUSED = {
    "live is negative or not finite on 2024-01-04": lambda: drift(LIVE.where(LIVE.index != LIVE.index[3]), PAST),
    "backtest is negative or not finite on 2024-01-01": lambda: drift(LIVE, -PAST),
    r"live must have one value for each of some days, got shape \(0,\)": lambda: drift(LIVE[:0], PAST),
    r"backtest must have one value for each of some days, got shape \(100, 24\)": lambda: drift(LIVE, PAST_IN),
    "the backtest has 55 days, 56 are needed": lambda: drift(LIVE, PAST[:55]),
    "most days of the backtest have the loss 1": lambda: drift(LIVE, PAST.where(PAST.index == PAST.index[0], 1.0)),
    r"window_days must be in \[1, horizon_days = 182\], got 0": lambda: drift(LIVE, PAST, window_days=0),
    r"window_days must be in \[1, horizon_days = 20\], got 28": lambda: drift(LIVE, PAST, horizon_days=20),
    r"false_alarm must be in \(0, 1\), got 0": lambda: drift(LIVE, PAST, false_alarm=0),
    "n_draws must be at least 100, got 9": lambda: drift(LIVE, PAST, n_draws=9),
    "rise must be above 0, got 0": lambda: drift(LIVE, PAST, rise=0),
    r"level must be in \(0, 1\), got 80": lambda: coverage(IN, PAST_IN, level=80),
    "hits must be 0 or 1": lambda: coverage(IN * 3, PAST_IN),
    "live is negative or not finite on 2024-01-01": lambda: coverage(IN.replace(1.0, np.nan), PAST_IN),
    "the backtest's days are all alike": lambda: coverage(IN, PAST_IN * 0 + 1),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_watched_is_refused_in_one_sentence(message):
    with pytest.raises(DataError, match=message):
        REFUSED[message]()
