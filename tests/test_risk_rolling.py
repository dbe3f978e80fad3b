"""Measures of every day: nothing is known before it happens, and each day's measures are its own model's."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gridlab.errors import DataError
from gridlab.risk.filtered import FilteredLoss, fit_filtered_history
from gridlab.risk.historical import cvar, var
from gridlab.risk.models import LOSS_MODELS
from gridlab.risk.parametric import Normal, fit_normal
from gridlab.risk.rolling import roll_measures
from gridlab.sources import read_prices
from gridlab.volatility import Garch

WINDOW = 120


def daily_losses(n=160, seed=0):
    rng = np.random.default_rng(seed)
    volatility = np.exp(0.6 * np.sin(np.arange(n) / 20))
    dates = pd.bdate_range("2024-01-01", periods=n, name="date")  # weekends are missing
    return pd.Series(1.0 + volatility * rng.standard_t(4, size=n), dates)


def test_the_measures_of_a_day_are_those_of_the_window_before_it():
    loss = daily_losses()
    measures = roll_measures(loss, level=0.9, window=WINDOW).measures
    assert measures.index.equals(loss.index[WINDOW:])
    for position, (date, row) in enumerate(measures.iterrows()):
        before = loss.to_numpy()[position : position + WINDOW]
        assert row["loss"] == loss[date]
        assert row["var"] == var(before, 0.9)
        assert row["cvar"] == cvar(before, 0.9)


@pytest.mark.parametrize("name", LOSS_MODELS)
@settings(max_examples=3)
@given(st.integers(0, 38), st.integers(0, 100))
def test_what_happens_on_a_day_and_after_leaves_the_measures_up_to_it_bit_identical(name, day, seed):
    loss = daily_losses()
    noise = loss.copy()
    noise.iloc[WINDOW + day :] = 1e3 * np.random.default_rng(seed).normal(size=len(loss) - WINDOW - day)
    known, unknown = (roll_measures(series, name, window=WINDOW, refit_every=9).measures for series in (loss, noise))
    columns = ["var", "cvar"]
    assert known.iloc[: day + 1][columns].equals(unknown.iloc[: day + 1][columns])
    assert known.iloc[:day].equals(unknown.iloc[:day])


@pytest.mark.parametrize("name", ["history", "normal", "garch_student"])
def test_what_happened_before_the_window_leaves_the_measures_bit_identical(name):
    loss = daily_losses()
    changed = loss.copy()
    changed.iloc[:20] = 1e3
    kept, moved = (roll_measures(series, name, window=WINDOW, refit_every=5).measures for series in (loss, changed))
    assert kept.iloc[20:].equals(moved.iloc[20:])
    assert not kept.iloc[19:20].equals(moved.iloc[19:20])


def test_only_the_order_of_the_days_counts():
    loss = daily_losses()
    daily = pd.Series(loss.to_numpy(), pd.date_range("2024-01-01", periods=len(loss)))
    with_gaps, without = (roll_measures(series, window=WINDOW).measures for series in (loss, daily))
    assert with_gaps.to_numpy().tolist() == without.to_numpy().tolist()
    assert without.index.name == "date"


def test_between_fits_history_follows_the_days_and_a_fitted_law_stays():
    loss = daily_losses()
    assert roll_measures(loss, window=WINDOW, refit_every=20).measures.equals(
        roll_measures(loss, window=WINDOW).measures
    )
    normal = roll_measures(loss, "normal", window=WINDOW, refit_every=20)
    for day, model in enumerate(normal.models):
        start = day - day % 20
        assert model == fit_normal(loss.to_numpy()[start : start + WINDOW])


def test_between_fits_a_filtered_model_keeps_its_parameters_and_follows_the_days():
    loss = daily_losses()
    rolled = roll_measures(loss, "fhs", window=WINDOW, refit_every=20, level=0.9)
    for day in (0, 1, 19, 20, 37):
        start = day - day % 20
        fitted = fit_filtered_history(loss.to_numpy()[start : start + WINDOW])
        expected = fitted.updated(loss.to_numpy()[day : day + WINDOW])
        stated = rolled.measures.iloc[day]
        assert (stated["var"], stated["cvar"]) == (expected.var(0.9), expected.cvar(0.9))
    assert rolled.measures["var"].nunique() == len(rolled.measures)


def test_a_model_may_be_any_function_of_the_losses():
    loss = daily_losses()
    by_name, by_function = roll_measures(loss, "normal", window=WINDOW), roll_measures(loss, fit_normal, window=WINDOW)
    assert by_name.measures.equals(by_function.measures)


def test_each_day_is_simulated_from_its_own_model():
    rolled = roll_measures(daily_losses(), "garch_student", window=WINDOW, level=0.9, refit_every=5)
    drawn = rolled.simulate(4000, rng=np.random.default_rng(0))
    assert drawn.shape == (4000, len(rolled.measures))
    hits = (drawn > rolled.measures["var"].to_numpy()).mean(axis=0)
    assert hits == pytest.approx(0.1, abs=0.03)
    again = rolled.simulate(4000, rng=np.random.default_rng(0))
    assert (drawn == again).all()
    with pytest.raises(DataError, match="n must be at least 1, got 0"):
        rolled.simulate(0, rng=np.random.default_rng(0))


def test_under_the_true_model_one_day_in_twenty_is_a_hit():
    rng = np.random.default_rng(4)
    loss = pd.Series(rng.normal(2.0, 3.0, size=4250), pd.date_range("2010-01-01", periods=4250))
    for name in ("history", "normal"):
        measures = roll_measures(loss, name, window=250).measures
        assert 0.04 < (measures["loss"] > measures["var"]).mean() < 0.062


def test_hits_keep_away_from_wild_days_only_where_the_volatility_is_filtered():
    garch = Garch(0.02, np.array([0.12]), np.array([0.86]), nu=50.0, start=1.0)
    start = FilteredLoss(0.0, garch, np.array([1.0]), np.array([1.0]), Normal(0.0, 1.0))
    path = start.paths(2000, 1, rng=np.random.default_rng(2))[0]
    loss = pd.Series(path, pd.date_range("2010-01-01", periods=2000))
    wild = pd.Series(garch.variance(path)[:-1], loss.index).loc[lambda variance: variance > variance.quantile(0.75)]
    shares = {}
    for name in ("history", "fhs"):
        measures = roll_measures(loss, name, window=400, level=0.9, refit_every=400).measures
        hit = measures["loss"] > measures["var"]
        shares[name] = hit.mean(), hit[hit.index.isin(wild.index)].mean()
    assert shares["fhs"] == pytest.approx((0.1, 0.1), abs=0.03)
    assert shares["history"][1] > 0.15


def test_the_series_is_read_and_not_kept():
    loss = daily_losses()
    rolled = roll_measures(loss, window=WINDOW)
    before = rolled.models[3].var(0.9)
    values = loss.to_numpy(copy=True)
    loss.iloc[:] = 0.0
    assert rolled.models[3].var(0.9) == before == var(values[3 : 3 + WINDOW], 0.9)


def test_a_missing_loss_is_refused_with_its_date():
    loss = daily_losses()
    loss.iloc[130] = np.nan
    with pytest.raises(DataError, match=f"got nan on {loss.index[130].date()}"):
        roll_measures(loss, window=WINDOW)


def test_a_window_that_leaves_no_day_is_refused_with_both_numbers():
    with pytest.raises(DataError, match="a window of 160 days leaves none of 160"):
        roll_measures(daily_losses(), window=160)
    with pytest.raises(DataError, match="window and refit_every must be at least 1, got 0 and 1"):
        roll_measures(daily_losses(), window=0)
    with pytest.raises(DataError, match="got 20 and 0"):
        roll_measures(daily_losses(), window=20, refit_every=0)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"loss": [1.0, 2.0, 3.0]}, "loss must be a Series of daily losses on its dates, got a list"),
        ({"loss": pd.DataFrame({"loss": [1.0, 2.0, 3.0]})}, "got a DataFrame"),
        ({"window": 120.0}, "window and refit_every must be whole numbers of days, got 120.0 and 1"),
        ({"refit_every": 2.5}, "whole numbers of days, got 120 and 2.5"),
        ({"level": "0.95"}, "got '0.95': write one number"),
    ],
)
def test_what_is_no_series_of_days_or_no_number_of_them_is_refused(changed, says):
    with pytest.raises(DataError, match=says):
        roll_measures(**{"loss": daily_losses(), "window": WINDOW} | changed)


def test_dates_that_do_not_rise_are_refused():
    loss = daily_losses()
    with pytest.raises(DataError, match="dates must rise, got 2024-01-01 after 2024-01-02"):
        roll_measures(pd.concat([loss.iloc[:2], loss]).iloc[:150], window=WINDOW)
    twice = loss.index.to_list()
    twice[5] = twice[4]
    with pytest.raises(DataError, match="dates must rise, got 2024-01-05 after 2024-01-05"):
        roll_measures(loss.set_axis(pd.DatetimeIndex(twice)), window=WINDOW)


def test_a_model_that_refuses_a_window_is_reported_with_the_date():
    loss = daily_losses()
    loss.iloc[10 : 10 + WINDOW] = 7.0
    day = loss.index[10 + WINDOW].date()
    with pytest.raises(DataError, match=r"'student' has no measures for .*: [0-9]+ of 120 losses are 7"):
        roll_measures(loss, "student", window=WINDOW)
    with pytest.raises(DataError, match=f"'garch_normal' has no measures for {day}: every loss is 7"):
        roll_measures(loss, "garch_normal", window=WINDOW)
    with pytest.raises(DataError, match="no measures for 2024-02-12: needs at least 50 losses"):
        roll_measures(daily_losses(), "fhs", window=30)


def test_levels_and_names_out_of_range_are_refused():
    with pytest.raises(DataError, match=r"level must be in \[0, 1\), got 95"):
        roll_measures(daily_losses(), level=95, window=WINDOW)
    with pytest.raises(DataError, match="no loss model 'historic'"):
        roll_measures(daily_losses(), "historic", window=WINDOW)


@pytest.mark.parametrize("name", LOSS_MODELS)
@pytest.mark.parametrize("market", ["PJM", "NP"])
def test_every_model_of_real_prices_has_as_many_hits_as_99_in_100_models_that_hold(data_dir, market, name):
    price = read_prices(data_dir / "epf" / f"{market}.csv")["price"].iloc[: 400 * 24]
    daily = pd.Series(price.to_numpy().reshape(-1, 24).mean(axis=1), pd.date_range("2013-01-01", periods=400))
    change = daily.diff(7).dropna().rename_axis("date")  # the loss of who sold a week ago and delivers today
    measures = roll_measures(change, name, window=250, refit_every=25).measures
    assert np.isfinite(measures.to_numpy()).all()
    assert (measures["cvar"] >= measures["var"]).all()
    least, most = stats.binom.interval(0.99, len(measures), 0.05)
    assert least <= (measures["loss"] > measures["var"]).sum() <= most
