import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from gridlab.days import Days, fold
from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.forecast.components import UnobservedComponents
from gridlab.forecast.gaussian_process import fit_kernel
from gridlab.forecast.linear import input_effects
from gridlab.forecast.smoothing import Smoothing, fit_smoothing, smooth
from gridlab.schema import mock_prices
from gridlab.sources import read_prices

NAMES = ("linear", "ets", "ucm", "gp", "arima")
PRICES = mock_prices(days=60)
DAYS = fold(PRICES)


def quick(name):
    return MODELS[name](**type(MODELS[name]()).get_test_params()[0])


def next_day(name, days, n_history):
    """What the member says, fitted on the first days, of the day after them."""
    forecaster = quick(name)
    model = forecaster.fit_part(days[:n_history])
    return forecaster.say(model, days[:n_history], days.inputs[n_history]).experts[:, 0]


def with_inputs(days, inputs):
    return Days(days.dates, days.price, inputs, tuple(f"input_{i}_forecast" for i in range(inputs.shape[2])))


def weekly(n_days, n_slots=24):
    """Days that repeat every week."""
    week = np.random.default_rng(3).normal(40, 10, (7, n_slots))
    dates = pd.DatetimeIndex(pd.date_range("2024-01-01", periods=n_days, freq="D", name="date"))
    return Days(dates, np.tile(week, (n_days // 7 + 1, 1))[:n_days], np.empty((n_days, n_slots, 0)))


def transform(values):
    """asinh of the deviation from the median in scaled median absolute deviations, and its inverse."""
    median = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - median))
    return lambda x: np.arcsinh((x - median) / spread), lambda z: np.sinh(z) * spread + median


# linear regression


def test_the_regressions_of_all_slots_are_those_of_each_slot_by_least_squares():
    n_history, n_slots = 50, 24
    forward, back = transform(DAYS.price[:n_history])
    load, _ = transform(DAYS.inputs[:n_history])
    price, inputs = forward(DAYS.price), load(DAYS.inputs[:, :, 0])

    def row(day, slot):
        yesterday = price[day - 1]
        lags = [price[day - lag, slot] for lag in (1, 2, 7)]
        extremes = [yesterday.min(), yesterday.max(), yesterday[-1]]
        weekday = [float(DAYS.dates[day].weekday() == k) for k in range(7)]
        return lags + extremes + weekday + [inputs[day - lag, slot] for lag in (0, 1, 7)] + [inputs[day].mean()]

    slow = np.empty(n_slots)
    for slot in range(n_slots):
        X = np.array([row(day, slot) for day in range(7, n_history)])
        coefficients = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), price[7:n_history, slot], rcond=1e-10)[0]
        slow[slot] = np.append(row(n_history, slot), 1.0) @ coefficients
    past = price[:n_history]
    slow = back(np.clip(slow, past.min(axis=0) - 1, past.max(axis=0) + 1))
    forecaster = MODELS["linear"](penalty=0.0)
    said = forecaster.say(forecaster.fit_part(DAYS[:n_history]), DAYS[:n_history], DAYS.inputs[n_history])
    assert said.experts[:, 0] == pytest.approx(slow, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_input_changes_no_forecast(name):
    wide = with_inputs(DAYS, np.concatenate([DAYS.inputs, np.full_like(DAYS.inputs, 7.0)], axis=2))
    assert next_day(name, wide, 50) == pytest.approx(next_day(name, DAYS, 50), rel=1e-2)


def test_a_forecast_on_the_scale_of_asinh_stays_within_reach_of_what_was_seen():
    wild = with_inputs(DAYS, DAYS.inputs.copy())
    wild.inputs[50] = 1e9
    forward, _ = transform(DAYS.price[:50])
    assert (forward(next_day("linear", wild, 50)) <= forward(DAYS.price[:50]).max(axis=0) + 1 + 1e-9).all()


@pytest.mark.parametrize(("name", "parameters"), [("linear", {"penalty": 0.0}), ("ets", {})])
def test_prices_that_repeat_every_week_are_forecast_as_they_are(name, parameters):
    days, forecaster = weekly(60), MODELS[name](**parameters)
    said = forecaster.say(forecaster.fit_part(days[:59]), days[:59], days.inputs[59])
    assert said.experts[:, 0] == pytest.approx(days.price[59], rel=1e-6)


# exponential smoothing


def test_smoothing_is_that_of_statsmodels_from_the_same_start():
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    series = np.random.default_rng(0).normal(size=60).cumsum() + np.tile([5, 6, 6, 6, 5, 2, 1], 9)[:60]
    start = series[:7].mean()
    model = ETSModel(
        series,
        error="add",
        seasonal="add",
        seasonal_periods=7,
        initialization_method="known",
        initial_level=start,
        initial_seasonal=series[:7] - start,
    )
    judge = model.smooth([0.3, 0.1])
    said = smooth(series[:, None], Smoothing(0.3, 0.1, 0.0))[:, 0]
    assert said[:-1] == pytest.approx(np.asarray(judge.fittedvalues))
    assert said[-1] == pytest.approx(judge.forecast(1)[0])


def test_no_smoothing_parameters_of_statsmodels_have_smaller_squared_errors():
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    series, start = DAYS.price[:, 12], DAYS.price[:7, 12].mean()
    ours = fit_smoothing(series[:, None])
    model = ETSModel(
        series,
        seasonal="add",
        seasonal_periods=7,
        initialization_method="known",
        initial_level=start,
        initial_seasonal=series[:7] - start,
    )
    theirs = model.fit(disp=False).params
    errors = [
        ((series[:, None] - smooth(series[:, None], one)[:-1])[14:] ** 2).mean()
        for one in (ours, Smoothing(float(theirs[0]), float(theirs[1]), 0.0))
    ]
    assert errors[0] <= 1.001 * errors[1]


def test_the_smoothing_that_made_a_series_is_found_again():
    truth, rng = Smoothing(0.3, 0.15, 0.5), np.random.default_rng(1)
    n_days, n_slots = 400, 24
    level, lasting = np.zeros(n_slots), np.zeros(n_slots)
    seasons, series = list(rng.normal(0, 3, (7, n_slots))), np.empty((n_days, n_slots))
    for day in range(n_days):
        error = rng.normal(0, 1, n_slots)
        base = level + seasons[day]
        series[day] = base + truth.carry * lasting + error
        lasting = series[day] - base
        level = level + truth.level * error
        seasons.append(seasons[day] + truth.season * error)
    found = fit_smoothing(series)
    assert [found.level, found.season, found.carry] == pytest.approx([truth.level, truth.season, truth.carry], abs=0.05)


def test_the_effects_of_inputs_are_found_for_each_slot_under_a_wandering_level_and_a_week():
    rng = np.random.default_rng(2)
    inputs, truth = rng.normal(size=(200, 24, 2)), np.array([3.0, -2.0]) + 0.5 * rng.normal(size=(24, 2))
    level = rng.normal(0, 0.1, (200, 1)).cumsum(axis=0) + np.tile(weekly(7).price / 10, (29, 1))[:200]
    found = input_effects(level + ((inputs - 3.0) * truth).sum(axis=2), inputs)
    assert found.coefficients.mean(axis=0) == pytest.approx(truth.mean(axis=0), abs=0.1)
    assert np.corrcoef(found.coefficients[:, 0], truth[:, 0])[0, 1] > 0.9
    assert np.abs(found.explain(inputs).mean(axis=0)).max() < 1e-9


# unobserved components


def test_the_slope_and_the_seasons_of_a_series_made_of_them_are_told_apart():
    hours, slope = np.arange(21 * 24), 0.003
    day = np.sin(2 * np.pi * hours / 24) + 0.5 * np.cos(4 * np.pi * hours / 24)
    week = 0.8 * np.cos(2 * np.pi * hours / 168)
    noise = np.random.default_rng(0).normal(0, 0.05, len(hours))
    series = 2 + slope * hours + day + week + noise
    forecaster = UnobservedComponents(harmonics=(2, 1))
    fit = forecaster.state_space(series[: 20 * 24].reshape(20, 24)).fit(disp=False, cov_type="none", maxiter=50)
    daily, weekly_ = (season["filtered"][-24:] for season in fit.freq_seasonal)
    assert fit.trend["filtered"][-1] == pytest.approx(slope, abs=0.002)
    assert daily == pytest.approx(day[19 * 24 : 20 * 24], abs=0.1)
    assert weekly_ == pytest.approx(week[19 * 24 : 20 * 24], abs=0.1)
    assert fit.forecast(24) == pytest.approx(series[20 * 24 :], abs=4 * 0.05 + 0.1)


def test_the_variance_of_a_random_walk_is_found_by_its_likelihood():
    walk = np.random.default_rng(4).normal(0, 0.3, 40 * 24).cumsum().reshape(40, 24)
    fit = UnobservedComponents(harmonics=(1, 0)).state_space(walk).fit(disp=False, cov_type="none", maxiter=50)
    variance = dict(zip(fit.model.param_names, fit.params, strict=True))
    wandering = variance["sigma2.level"] + variance["sigma2.ar"]
    assert wandering == pytest.approx(0.09, rel=0.15)


def test_the_pattern_within_hours_is_kept_at_five_minutes():
    pattern = np.tile(np.linspace(-1, 1, 12), 24)
    days = weekly(29, 288)
    steps = Days(days.dates, np.repeat(weekly(29).price, 12, axis=1) + pattern, days.inputs)
    said = next_day("ucm", steps, 28).reshape(24, 12)
    assert said[:, -1] - said[:, 0] == pytest.approx(np.full(24, 2.0), abs=0.8)


# Gaussian process


def matern(distance):
    """Matern function of nu 5/2: Rasmussen and Williams, eq. 4.17."""
    scaled = np.sqrt(5) * distance
    return (1 + scaled + scaled**2 / 3) * np.exp(-scaled)


def test_the_posterior_is_that_of_the_textbook():
    n_history, forecaster = 50, MODELS["gp"](window_days=40)
    model = forecaster.fit_part(DAYS[:n_history])
    forward, back = transform(DAYS.price[10:n_history])
    load, _ = transform(DAYS.inputs[10:n_history])
    price, inputs = forward(DAYS.price), load(DAYS.inputs[:, :, 0])

    def row(day):
        hours = [price[day - 1], price[day - 7], inputs[day], inputs[day - 1]]
        return np.concatenate(
            [np.array(hours).ravel() / np.sqrt(24), np.eye(7)[DAYS.dates[day].weekday()] / np.sqrt(7)]
        )

    X, x = np.array([row(day) for day in range(n_history - 40, n_history)]), row(n_history)
    y = price[n_history - 40 : n_history]
    kernel = model.kernel.get_params()
    curved, straight, noise = (
        kernel["k1__k1__k1__constant_value"],
        kernel["k1__k2__k1__constant_value"],
        kernel["k2__noise_level"],
    )
    length = kernel["k1__k1__k2__length_scale"]

    def covariance(a, b):
        distance = np.linalg.norm(a[:, None] - b[None], axis=2) / length
        return curved * matern(distance) + straight * (1 + a @ b.T)

    K, k = covariance(X, X) + noise * np.eye(len(X)), covariance(X, x[None])[:, 0]
    mean = y.mean(axis=0) + y.std(axis=0) * (k @ np.linalg.solve(K, (y - y.mean(axis=0)) / y.std(axis=0)))
    own = covariance(x[None], x[None])[0, 0] + noise
    deviation = np.sqrt(own - k @ np.linalg.solve(K, k)) * y.std(axis=0)
    said = forecaster.say(model, DAYS[:n_history], DAYS.inputs[n_history]).experts[:, 0]
    assert said == pytest.approx(back(mean), rel=1e-6)
    slope = (back(mean + 1e-6) - back(mean - 1e-6)) / 2e-6
    sigma = forecaster.sigma_day(model, DAYS[:n_history], DAYS.inputs[n_history])
    assert sigma == pytest.approx(deviation * slope, rel=1e-5)


def test_a_smooth_function_is_interpolated_and_doubt_grows_away_from_the_data():
    x = np.linspace(-1, 1, 25)[:, None]
    y = np.column_stack([np.sin(3 * x[:, 0]), np.cos(2 * x[:, 0])])
    process = GaussianProcessRegressor(fit_kernel(x, y, 2.5), optimizer=None, normalize_y=True).fit(x, y)
    between = (x[1:] + x[:-1]) / 2
    assert process.predict(between) == pytest.approx(
        np.column_stack([np.sin(3 * between[:, 0]), np.cos(2 * between[:, 0])]), abs=0.02
    )
    _, deviation = process.predict(np.array([[0.04], [1.5], [3.0]]), return_std=True)
    assert (np.diff(deviation, axis=0) > 0).all()


def test_a_day_unlike_any_before_has_a_wider_distribution():
    forecaster = quick("gp")
    model = forecaster.fit_part(DAYS[:50])
    usual = forecaster.sigma_day(model, DAYS[:50], DAYS.inputs[50])
    odd = forecaster.sigma_day(model, DAYS[:50], 3 * DAYS.inputs[50])
    assert odd.mean() > usual.mean()


# all of them


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("price", [0.0, -5.0])
def test_a_price_that_never_changes_is_forecast_as_it_is(name, price):
    days = Days(DAYS.dates, np.full_like(DAYS.price, price), DAYS.inputs, DAYS.names)
    assert next_day(name, days, 50) == pytest.approx(price, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_spike_of_a_hundred_medians_leaves_the_next_day_in_reach(name):
    wild = Days(DAYS.dates, DAYS.price.copy(), DAYS.inputs, DAYS.names)
    spike = 100 * np.median(DAYS.price)
    wild.price[49, 18] = spike
    said = next_day(name, wild, 50)
    assert np.isfinite(said).all()
    assert np.abs(said).max() < spike / 2


@pytest.mark.parametrize("name", NAMES)
def test_an_input_that_is_published_only_since_last_month_can_be_used(name):
    late = np.concatenate([DAYS.inputs, DAYS.inputs + 3.0], axis=2)
    late[:40, :, 1] = np.nan
    assert np.isfinite(next_day(name, with_inputs(DAYS, late), 50)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_slots", [1, 96])
def test_days_of_any_number_of_slots_are_forecast(name, n_slots):
    days = weekly(45, n_slots)
    rng = np.random.default_rng(0)
    noisy = Days(days.dates, days.price + rng.normal(size=days.price.shape), rng.normal(size=(45, n_slots, 1)), ("a",))
    said = next_day(name, noisy, 44)
    assert said.shape == (n_slots,)
    assert np.abs(said - days.price[44]).mean() < 12


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_fit_pickles_and_hears_of_the_days_since(name):
    forecaster = quick(name)
    model = pickle.loads(pickle.dumps(forecaster.fit_part(DAYS[:45])))
    dearer = Days(DAYS.dates, DAYS.price + 5.0 * (np.arange(60) >= 48)[:, None], DAYS.inputs, DAYS.names)
    before = forecaster.say(model, DAYS[:50], DAYS.inputs[50]).experts
    assert (forecaster.say(model, dearer[:50], DAYS.inputs[50]).experts != before).any()


@pytest.mark.parametrize("market", ["PJM", "NP"])
def test_the_quick_ones_beat_the_standard_naive_on_a_fortnight_of_both_markets(market, data_dir):
    days = fold(read_prices(data_dir / "epf" / f"{market}.csv"))
    error = {}
    for name in ("naive", "linear", "ets", "gp"):
        forecaster = MODELS[name]()
        model = forecaster.fit_part(days[:1000])
        said = [forecaster.say(model, days[:row], days.inputs[row]).experts[:, 0] for row in range(1000, 1014)]
        error[name] = np.abs(np.array(said) - days.price[1000:1014]).mean()
    assert max(error["linear"], error["ets"], error["gp"]) < 0.9 * error["naive"]


def test_wrong_parameters_are_refused_with_the_right_ones():
    for make, message in (
        (MODELS["linear"](window_days=5), "window_days must be 14 or more, got 5"),
        (MODELS["linear"](penalty=-1.0), "penalty must be at least 0, got -1.0"),
        (MODELS["gp"](smoothness=2.0), "smoothness must be 0.5, 1.5 or 2.5, got 2.0"),
        (MODELS["ucm"](harmonics=(1, 2, 3)), "harmonics must be two numbers, of the day and of the week, got"),
    ):
        with pytest.raises(DataError, match=message):
            make.fit_part(DAYS)
