from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gridlab import evaluate
from gridlab.days import fold
from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.forecast.ensemble import Ensemble
from gridlab.forecast.wavelet import denoise
from gridlab.schema import mock_prices

PRICES = mock_prices(days=50)
DAYS = fold(PRICES)
QUANTILES = (0.1, 0.5, 0.9)


EXTRAS = {"deep": "torch", "xgboost": "xgboost"}


def make(name):
    """The member as sktime's tests make it: with parameters that fit quickly."""
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    return MODELS[name](**type(MODELS[name]()).get_test_params()[0])


def series(days):
    """The sktime view of PRICES: naive UTC, target and inputs."""
    naive = PRICES.tz_localize(None)
    return naive["price"][days], naive[["load_forecast"]][days]


def law_that_no_forecast_changes_when_the_future_is_replaced_by_noise(forecaster, prices, max_examples, quantiles):
    """Nine days from row 38 on, so that a fit kept for a week is made twice; the cut is the origin of one of them."""

    def roll(table):
        first_day = str(DAYS.dates[38].date())
        return evaluate.roll(forecaster, table, first_day=first_day, days=9, quantiles=quantiles)

    clean = roll(prices)

    @settings(max_examples=max_examples, phases=[Phase.generate])  # to shrink a seed says nothing, and takes minutes
    @given(row=st.integers(40, 46), noise=st.integers(0, 2**32 - 1))
    def law(row, noise):
        changed = prices.copy()
        changed.iloc[24 * row :, 0] = np.random.default_rng(noise).normal(0, 1000, 24 * (len(DAYS) - row))
        changed.iloc[24 * (row + 1) :, 1] = -1.0
        upto = slice(None, prices.index[24 * row])
        pd.testing.assert_frame_equal(roll(changed).loc[upto], clean.loc[upto], check_exact=True)

    law()


@pytest.mark.parametrize("gap", [False, True], ids=["whole", "gap"])
@pytest.mark.parametrize("name", MODELS)
def test_no_forecast_changes_when_the_future_is_replaced_by_noise(name, gap):
    prices = PRICES.copy()
    if gap:
        prices.iloc[24 * 35 + 3 : 24 * 36 + 2, 0] = np.nan
    max_examples = 3
    law_that_no_forecast_changes_when_the_future_is_replaced_by_noise(make(name), prices, max_examples, QUANTILES)


def test_no_forecast_of_sktimes_own_changes_when_the_future_is_replaced_by_noise():
    from sktime.forecasting.naive import NaiveForecaster

    law_that_no_forecast_changes_when_the_future_is_replaced_by_noise(NaiveForecaster(sp=24), PRICES, 2, QUANTILES)


@pytest.mark.parametrize("name", MODELS)
def test_sktimes_interface_gives_what_the_array_core_gives(name):
    y, X = series(slice(0, 45 * 24))
    known = series(slice(45 * 24, 46 * 24))[1]
    forecaster = make(name).fit(y, X=X)
    rolled = evaluate.roll(make(name), PRICES, first_day=str(DAYS.dates[45].date()), days=1, quantiles=QUANTILES)
    fh = np.arange(1, 25)
    assert (forecaster.predict(fh=fh, X=known).to_numpy() == rolled["mean"].to_numpy()).all()
    quantiles = forecaster.predict_quantiles(fh=fh, X=known, alpha=list(QUANTILES))
    assert quantiles.to_numpy() == pytest.approx(rolled[["q10", "q50", "q90"]].to_numpy(), abs=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_quantiles_do_not_cross_and_forecasts_are_finite(name):
    forecast = evaluate.roll(make(name), PRICES, first_day="2024-02-15", days=2, quantiles=(0.05, 0.25, 0.5, 0.95))
    assert np.isfinite(forecast.to_numpy()).all()
    assert (np.diff(forecast.drop(columns="mean").to_numpy(), axis=1) >= 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_too_little_history_is_refused_with_the_number_needed(name):
    forecaster = make(name)
    needed = forecaster.needed_days()
    with pytest.raises(DataError, match=f"needs {needed} whole days of history, got {needed - 1} before"):
        forecaster.fit_days(DAYS[: needed - 1])
    assert np.isfinite(
        forecaster.forecast_day(forecaster.fit_days(DAYS[:needed]), DAYS[:needed], DAYS.inputs[needed], ())
    ).all()


@pytest.mark.parametrize("name", MODELS)
def test_the_second_day_of_a_horizon_is_forecast_as_if_the_forecast_of_the_first_had_happened(name):
    y, X = series(slice(0, 45 * 24))
    known = series(slice(45 * 24, 48 * 24))[1]
    forecaster = make(name).fit(y, X=X)
    whole = forecaster.predict(fh=np.arange(1, 73), X=known)
    assert (forecaster.predict(fh=[1, 30, 72], X=known).to_numpy() == whole.to_numpy()[[0, 29, 71]]).all()
    forecaster.update(whole[:24].rename("price"), X=known[:24], update_params=False)
    assert forecaster.predict(fh=np.arange(1, 49), X=known[24:]).to_numpy() == pytest.approx(whole.to_numpy()[24:])


def test_the_bands_of_a_random_walk_widen_with_the_horizon():
    times = pd.date_range("2024-01-01", periods=60 * 24, freq="1h")
    walk = pd.Series(np.random.default_rng(0).normal(size=len(times)).cumsum(), times, name="price")
    bands = MODELS["naive_day"]().fit(walk).predict_quantiles(fh=np.arange(1, 73), alpha=[0.1, 0.9]).to_numpy()
    width = (bands[:, 1] - bands[:, 0]).reshape(3, 24).mean(axis=1)
    assert width[0] < width[1] < width[2]


def test_a_fit_can_be_updated_without_learning_and_from_the_middle_of_a_day():
    y, X = series(slice(0, 45 * 24))
    more_y, more_X = series(slice(45 * 24, 46 * 24 + 6))
    known = series(slice(46 * 24 + 6, 47 * 24))[1]
    forecaster = MODELS["naive_day"]().fit(y, X=X)
    forecaster.update(more_y, X=more_X, update_params=False)
    forecast = forecaster.predict(fh=np.arange(1, 19), X=known)
    assert (forecast.to_numpy() == more_y.to_numpy()[6:24]).all()


def test_a_fit_updated_by_learning_is_the_fit_on_all_of_it():
    (y, X), (more_y, more_X) = series(slice(0, 44 * 24)), series(slice(44 * 24, 45 * 24))
    known = series(slice(45 * 24, 46 * 24))[1]
    updated = MODELS["wavelet"]().fit(y, X=X).update(more_y, X=more_X, update_params=True)
    all_y, all_X = series(slice(0, 45 * 24))
    whole = MODELS["wavelet"]().fit(all_y, X=all_X)
    fh = np.arange(1, 25)
    assert (updated.predict(fh=fh, X=known).to_numpy() == whole.predict(fh=fh, X=known).to_numpy()).all()


def test_a_missing_input_is_refused_and_a_missing_hour_of_it_is_closed_by_the_week_before():
    forecaster = MODELS["lear"]()
    fitted = forecaster.fit_days(DAYS[:45])
    nothing = np.full_like(DAYS.inputs[45], np.nan)
    with pytest.raises(DataError, match="input 'load_forecast' has no values on 2024-02-15"):
        forecaster.forecast_day(fitted, DAYS[:45], nothing, ())
    partly, as_week_before = DAYS.inputs[45].copy(), DAYS.inputs[45].copy()
    partly[3:6], as_week_before[3:6] = np.nan, DAYS.inputs[38][3:6]
    closed = forecaster.forecast_day(fitted, DAYS[:45], partly, ())
    assert (closed == forecaster.forecast_day(fitted, DAYS[:45], as_week_before, ())).all()
    empty = fold(PRICES.assign(wind_forecast=np.nan))
    with pytest.raises(DataError, match="input 'wind_forecast' has no values: drop the column"):
        forecaster.fit_days(empty)


@pytest.mark.parametrize("name", MODELS)
def test_gaps_in_the_history_change_only_the_days_they_touch_and_leave_forecasts_finite(name):
    gappy = PRICES.copy()
    gappy.iloc[24 * 40 + 3 : 24 * 41 + 2, 0] = np.nan
    forecast = evaluate.roll(make(name), gappy, first_day="2024-02-09", days=5)
    assert [str(d.date()) for d in forecast.index.unique("origin")] == ["2024-02-09", "2024-02-12", "2024-02-13"]
    assert np.isfinite(forecast.to_numpy()).all()


@pytest.mark.parametrize("name", MODELS)
def test_prices_without_inputs_and_with_a_gap_every_third_day_are_forecast(name):
    gappy = mock_prices(days=70)[["price"]]
    gappy.iloc[5 :: 24 * 3, 0] = np.nan
    forecast = evaluate.roll(make(name), gappy, first_day="2024-03-08", days=2)
    assert np.isfinite(forecast.to_numpy()).all()
    assert evaluate.score(forecast, gappy)["mae"].item() < 20


@pytest.mark.parametrize("name", MODELS)
def test_the_day_after_a_month_without_prices_has_errors_to_make_quantiles_of(name):
    gappy = mock_prices(days=80)
    gappy.iloc[24 * 45 : 24 * 78, 0] = np.nan
    forecast = evaluate.roll(make(name), gappy, first_day="2024-03-19", days=1)
    assert (forecast["q10"] < forecast["q90"]).all()


@pytest.mark.parametrize("name", ["naive", "lear", "wavelet", "mean"])
@pytest.mark.parametrize("price", [0.0, -5.0])
def test_a_price_that_never_changes_is_forecast_as_it_is(name, price):
    forecast = evaluate.roll(make(name), PRICES[["price"]] * 0 + price, first_day="2024-02-16", days=1)
    assert forecast.to_numpy() == pytest.approx(price)


def test_a_model_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(DataError, match="there is no model 'leer', did you mean 'lear'\\? the names are naive, "):
        MODELS["leer"]
    with pytest.raises(DataError, match="there is no model 3: the names are"):
        MODELS[3]
    assert "leer" not in MODELS


@pytest.mark.parametrize("name", ["naive", "lear", "wavelet", "arima"])
@pytest.mark.parametrize("freq", ["15min", "30min"])
def test_shorter_intervals_and_days_of_23_hours_go_through(name, freq):
    prices = mock_prices(days=34, freq=freq, start="2024-02-08")
    zone = "America/Los_Angeles"
    forecaster = make(name).set_params(market_tz=zone)
    forecast = evaluate.roll(forecaster, prices, first_day="2024-03-09", days=2)
    per_hour = pd.Timedelta(hours=1) // pd.Timedelta(freq)
    assert forecast.groupby("origin").size().tolist() == [24 * per_hour, 23 * per_hour]
    assert np.isfinite(forecast.to_numpy()).all()


def test_five_minute_intervals_go_through():
    prices = mock_prices(days=30, freq="5min")
    forecast = evaluate.roll(MODELS["lear"](), prices, first_day="2024-01-30", days=1)
    assert forecast.shape == (288, 4)


def test_spikes_and_constant_inputs_leave_forecasts_finite():
    wild = PRICES.assign(wind_forecast=0.0)
    wild.iloc[24 * 44 + 18, 0] = 100 * wild["price"].median()
    for name in ("lear", "wavelet", "arima"):
        forecast = evaluate.roll(make(name), wild, first_day="2024-02-14", days=2)
        assert np.isfinite(forecast.to_numpy()).all()
        assert forecast["mean"].abs().max() < 100 * wild["price"].median()


@settings(max_examples=20)
@given(scale=st.floats(0.1, 10), shift=st.floats(-100, 100))
def test_denoising_moves_with_scale_and_shift_and_keeps_a_constant(scale, shift):
    rows = np.random.default_rng(0).normal(size=(2, 192))
    assert denoise(scale * rows + shift) == pytest.approx(scale * denoise(rows) + shift, abs=1e-8)
    assert denoise(np.full((1, 192), shift)) == pytest.approx(np.full((1, 192), shift), abs=1e-9)


def test_denoising_treats_each_row_by_itself():
    rows = np.random.default_rng(1).normal(size=(3, 192))
    assert (denoise(rows)[1] == denoise(rows[1:2])[0]).all()


def test_the_standard_naive_takes_the_week_on_monday_saturday_and_sunday():
    forecast = evaluate.roll(MODELS["naive"](), PRICES, first_day="2024-02-05", days=7)
    for origin, table in forecast.groupby("origin"):
        lag = 7 if origin.weekday() in (0, 5, 6) else 1
        past = PRICES["price"].reindex(table.index.get_level_values("time") - pd.Timedelta(days=lag))
        assert (table["mean"].to_numpy() == past.to_numpy()).all()


def test_unknown_rules_and_members_are_refused_with_the_known_ones():
    with pytest.raises(DataError, match="rule must be one of standard, day, week, got 'year'"):
        MODELS["naive"](rule="year").fit_days(DAYS)
    with pytest.raises(DataError, match="there is no model 'oracle': the names are naive"):
        Ensemble(["oracle"]).fit_days(DAYS)
    with pytest.raises(DataError, match=r"members must be a list of names of naive.*got \[\]"):
        Ensemble([]).fit_days(DAYS)


def test_ours_work_in_sktimes_own_tools():
    from sktime.forecasting.compose import TransformedTargetForecaster
    from sktime.forecasting.model_evaluation import evaluate as sktime_evaluate
    from sktime.split import SlidingWindowSplitter

    y, _ = series(slice(0, 24 * 40))
    splitter = SlidingWindowSplitter(fh=np.arange(1, 25), window_length=24 * 35, step_length=24)
    table = sktime_evaluate(TransformedTargetForecaster([("model", MODELS["naive"]())]), splitter, y)
    assert len(table) == 5
    assert table.filter(like="test_").notna().all(axis=None)


def test_a_window_that_the_history_does_not_fill_is_refused_and_one_that_is_not_given_ends_with_it():
    with pytest.raises(DataError, match="Lear needs 1092 whole days of history, got 45 before"):
        MODELS["lear"](windows=(28, 1092)).fit_days(DAYS[:45])
    with pytest.raises(DataError, match=r"windows must be of 14 days or more, got \[28, 7\]"):
        MODELS["lear"](windows=(28, 7)).fit_days(DAYS[:45])
    with pytest.raises(DataError, match="level must be one of kept, removed, both, got 'gone'"):
        MODELS["lear"](level="gone").fit_days(DAYS[:45])
    cut = MODELS["lear"]().fit_part(DAYS[:45])
    assert [len(of_level) for of_level in cut] == [4, 4]
    assert cut[0][2] is cut[0][3]  # 1092 and 1456 days are both all that there is


def test_the_mean_of_lears_windows_is_the_mean_of_its_experts_each_of_which_a_model_of_one_window_gives():
    both = MODELS["lear"](windows=(21, 35))
    said = both.say(both.fit_part(DAYS[:45]), DAYS[:45], DAYS.inputs[45])
    alone = [MODELS["lear"](windows=(n,), level=level) for level in ("kept", "removed") for n in (21, 35)]
    each = [one.say(one.fit_part(DAYS[:45]), DAYS[:45], DAYS.inputs[45]).experts[:, 0] for one in alone]
    assert (said.experts == np.column_stack(each)).all()
    forecast = both.forecast_day(both.fit_days(DAYS[:45]), DAYS[:45], DAYS.inputs[45], ())
    assert forecast[:, 0] == pytest.approx(np.mean(each, axis=0))


def test_a_level_that_moves_shifts_the_level_free_forecast_and_nothing_else():
    forecaster = MODELS["lear"](windows=(35,), level="removed")
    said = forecaster.say(forecaster.fit_part(DAYS[:45]), DAYS[:45], DAYS.inputs[45]).experts
    higher = replace(DAYS[:45], price=DAYS[:45].price + 1000.0)
    shifted = forecaster.say(forecaster.fit_part(higher), higher, DAYS.inputs[45]).experts
    assert shifted == pytest.approx(said + 1000.0, abs=1e-6)
