import builtins
import importlib.util
import pickle
from dataclasses import replace

import numpy as np
import pytest

from gridlab import evaluate
from gridlab.days import Days, fold
from gridlab.errors import DataError, MissingExtraError
from gridlab.forecast import trees
from gridlab.forecast.trees import VIEWS, Boosting, Forest, XGBoost, day_draws, long_form, mean_of_last, training_cells
from gridlab.schema import mock_prices

DAYS = fold(mock_prices(days=60))
needs_xgboost = pytest.mark.skipif(importlib.util.find_spec("xgboost") is None, reason="needs gridlab[trees]")
QUICK = [
    Boosting(n_trees=20, learning_rate=0.2),
    pytest.param(XGBoost(n_resamples=3, n_trees=20, learning_rate=0.2), marks=needs_xgboost),
    Forest(n_trees=10),
]


def slow_features(days, view, row, slot):
    """One row of the long form, value by value from the definitions."""
    price, daily, n_slots = days.price, [day.mean() for day in days.price], days.n_slots
    of_hours = price.reshape(len(days), 24, -1).mean(axis=2)
    level = np.median(of_hours[max(row - view.level_days, 0) : row]) if view.level_days else 0.0
    scale = 1.0
    if view.scale_days:
        moves = [abs(price[d] - daily[d]).mean() + abs(daily[d] - daily[max(d - 1, 0)]) for d in range(row)]
        recent = moves[-view.scale_days :]
        scale = np.mean([min(move, trees.MOST_MEDIANS * np.median(recent)) for move in recent])
    hour = max(1, n_slots // 24)
    prices = {f"price_lag_{n}d": price[row - n, slot] for n in (1, 2, 3, 7, 14)} | {
        "slot_mean_7d": np.mean([price[row - n, slot] for n in range(1, 8)]),
        "min_1d": min(price[row - 1]),
        "max_1d": max(price[row - 1]),
        "last_1d": price[row - 1][-1],
        "mean_1d": daily[row - 1],
        "mean_lag_2d": daily[row - 2],
        "mean_lag_7d": daily[row - 7],
        "mean_7d": np.mean(daily[row - 7 : row]),
        "mean_28d": np.mean(daily[max(row - 28, 0) : row]),
    }
    expected = {name: (value - level) / scale for name, value in prices.items()}
    expected |= {"hour": slot * 24 / n_slots, "weekday": days.dates[row].weekday(), "level": level, "scale": scale}
    expected |= {"day_of_year": days.dates[row].dayofyear, "sd_of_means_7d": np.std(daily[row - 7 : row]) / scale}
    for i in range(days.inputs.shape[2]):
        x = days.inputs[:, :, i]
        mean = [day.mean() for day in x]
        of_input = {
            "now": x[row, slot],
            "hour_before": x[row, max(slot - hour, 0)],
            "hour_after": x[row, min(slot + hour, n_slots - 1)],
            "lag_1d": x[row - 1, slot],
            "lag_7d": x[row - 7, slot],
            "less_1d": x[row, slot] - x[row - 1, slot],
            "less_7d": x[row, slot] - x[row - 7, slot],
            "less_slot_mean_7d": x[row, slot] - np.mean([x[row - n, slot] for n in range(1, 8)]),
            "less_mean": x[row, slot] - mean[row],
            "mean": mean[row],
            "min": min(x[row]),
            "max": max(x[row]),
            "mean_less_1d": mean[row] - mean[row - 1],
            "mean_less_7d": mean[row] - mean[row - 7],
            "mean_less_mean_7d": mean[row] - np.mean(mean[row - 7 : row]),
        }
        expected |= {f"input_{i}_{name}": value for name, value in of_input.items()}
    return expected, level, scale


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("freq", ["1h", "30min"])
def test_features_are_what_their_definitions_give_row_by_row(view, freq):
    days = fold(mock_prices(days=40, freq=freq))
    days.price[22, 5] = 1e5  # a spike that the scale caps
    form = long_form(days, view)
    for row, slot in [(14, 0), (20, 7), (31, days.n_slots - 1), (39, 12)]:
        expected, level, scale = slow_features(days, view, row, slot)
        got = dict(zip(form.columns, form.rows(np.array([row]), np.array([slot]))[0], strict=True))
        assert got == pytest.approx(expected, abs=1e-9)
        assert (form.level[row, 0], form.scale[row, 0]) == pytest.approx((level, scale))


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_features_of_a_day_do_not_change_with_its_prices_or_with_what_follows(view):
    rng = np.random.default_rng(0)
    other = replace(DAYS, price=DAYS.price.copy(), inputs=DAYS.inputs.copy())
    other.price[40:] = rng.normal(0, 1000, other.price[40:].shape)
    other.inputs[41:] = rng.normal(0, 1000, other.inputs[41:].shape)
    kept, changed = long_form(DAYS, view), long_form(other, view)
    for name, column in kept.columns.items():
        assert np.array_equal(column[:41], changed.columns[name][:41], equal_nan=True), name


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_the_features_to_predict_from_are_those_that_were_learned_from(view):
    late = long_form(DAYS[-trees.MEMORY_DAYS - 1 :], view)
    for name, column in long_form(DAYS, view).columns.items():
        assert (late.columns[name][-1] == column[-1]).all(), name


@pytest.mark.parametrize("name", [name for name, view in VIEWS.items() if view.level_days])
def test_a_market_shifted_by_a_constant_differs_only_in_its_level(name):
    shifted = replace(DAYS, price=DAYS.price + 4096.0)
    one, other = long_form(DAYS, VIEWS[name]), long_form(shifted, VIEWS[name])
    for column in one.columns.keys() - {"level"}:
        assert other.columns[column] == pytest.approx(one.columns[column], abs=1e-8, nan_ok=True)
    assert other.level[1:] == pytest.approx(one.level[1:] + 4096.0)


@pytest.mark.parametrize("forecaster", QUICK)
def test_with_level_and_scale_taken_out_a_market_in_other_money_is_forecast_alike(forecaster):
    forecaster = forecaster.clone().set_params(views=("scaled",))
    model = forecaster._fit_model(DAYS[:50])
    eights = replace(DAYS, price=8 * DAYS.price)
    model_of_eights = forecaster._fit_model(eights[:50])
    forecast = forecaster._predict_day(model, DAYS[:50], DAYS.inputs[50])
    error = np.abs(forecaster._predict_day(model_of_eights, eights[:50], DAYS.inputs[50]) / 8 - forecast)
    assert error.mean() < 0.02 * np.abs(forecast).mean()


def test_no_more_rows_are_learned_from_than_stated_and_all_days_and_slots_are_among_them():
    whole = np.ones(400, dtype=bool)
    whole[100] = False
    day, slot = training_cells(whole, 288, 364)
    assert len(day) <= trees.MOST_ROWS
    assert set(day) == set(range(36, 400)) - {100}
    assert set(slot) == set(range(288))
    day, slot = training_cells(whole, 24, 364)
    assert len(day) == 363 * 24


def test_a_resample_draws_whole_days_as_often_as_there_are():
    day = np.repeat(np.arange(7, 37), 24)
    draws = day_draws(day, 200, np.random.default_rng(0)).reshape(200, 30, 24)
    assert (draws == draws[:, :, :1]).all()
    assert (draws[:, :, 0].sum(axis=1) == 30).all()
    assert draws[:, :, 0].mean(axis=0) == pytest.approx(1.0, abs=0.4)


def test_a_mean_of_last_days_is_that_of_those_there_are():
    values = np.arange(12.0).reshape(6, 2) ** 2
    for row in range(1, 6):
        assert mean_of_last(values, 4)[row].tolist() == values[max(row - 4, 0) : row].mean(axis=0).tolist()
    assert np.isnan(mean_of_last(values, 4)[0]).all()


@pytest.mark.parametrize("forecaster", QUICK)
def test_the_forecast_is_the_mean_of_one_expert_a_view_and_the_same_each_time(forecaster):
    model = pickle.loads(pickle.dumps(forecaster._fit_model(DAYS[:50])))
    again = forecaster.clone()._fit_model(DAYS[:50])
    experts = forecaster._experts(model, DAYS[:50], DAYS.inputs[50])
    assert experts.shape == (24, len(forecaster.expert_names))
    assert (forecaster._predict_day(model, DAYS[:50], DAYS.inputs[50]) == experts.mean(axis=1)).all()
    assert (forecaster._experts(again, DAYS[:50], DAYS.inputs[50]) == experts).all()


@pytest.mark.parametrize("forecaster", QUICK)
def test_another_seed_makes_other_trees(forecaster):
    other = forecaster.clone().set_params(seed=1)
    forecasts = [f._predict_day(f._fit_model(DAYS[:50]), DAYS[:50], DAYS.inputs[50]) for f in (forecaster, other)]
    assert (forecasts[0] != forecasts[1]).any()
    assert np.abs(forecasts[0] - forecasts[1]).mean() < DAYS.price.std()


def noisy_evenings():
    """Days whose evenings are ten times as noisy as their mornings."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, np.where(np.arange(24) < 12, 1.0, 10.0), (120, 24))
    return replace(fold(mock_prices(days=120)), price=50.0 + noise)


@pytest.mark.parametrize("forecaster", QUICK[1:])
def test_the_spread_is_positive_and_larger_where_the_data_are_noisier(forecaster):
    days = noisy_evenings()
    model = forecaster._fit_model(days[:-1])
    spread = forecaster._spread(model, days[:-1], days.inputs[-1])
    assert (spread > 0).all()
    assert np.median(spread[12:]) > 2 * np.median(spread[:12])


@pytest.mark.parametrize("forecaster", QUICK[1:])
def test_the_spread_has_the_unit_of_the_price(forecaster):
    days = noisy_evenings()
    eights = replace(days, price=8 * days.price)
    spreads = [forecaster._spread(forecaster._fit_model(d[:-1]), d[:-1], d.inputs[-1]) for d in (days, eights)]
    assert np.median(spreads[1] / spreads[0]) == pytest.approx(8.0, rel=0.2)


@pytest.mark.parametrize("forecaster", QUICK)
@pytest.mark.parametrize("price", [0.0, -5.0])
def test_a_price_that_never_changes_is_forecast_as_it_is(forecaster, price):
    forecaster = forecaster.clone().set_params(views=tuple(VIEWS))
    days = replace(DAYS, price=np.full_like(DAYS.price, price))
    assert forecaster._experts(forecaster._fit_model(days[:40]), days[:40], days.inputs[40]) == pytest.approx(price)


@pytest.mark.parametrize("forecaster", QUICK)
def test_a_spike_a_constant_input_and_days_without_prices_leave_forecasts_within_what_was_seen(forecaster):
    prices = mock_prices(days=50).assign(wind_forecast=3.0)
    spike = 100 * prices["price"].median()
    prices.iloc[24 * 46 + 18, 0] = spike
    prices.iloc[24 * 35 : 24 * 37, 0] = np.nan
    forecast = evaluate.roll(forecaster.clone(), prices, first_day="2024-02-17", days=2)
    assert np.isfinite(forecast.to_numpy()).all()
    assert forecast["mean"].abs().max() < spike


@pytest.mark.parametrize("forecaster", QUICK)
@pytest.mark.parametrize("freq", ["15min", "1D"])
def test_days_of_other_numbers_of_slots_without_inputs_are_forecast(forecaster, freq):
    days = fold(mock_prices(days=40, freq="15min")[["price"]])
    if freq == "1D":
        days = Days(days.dates, days.price.mean(axis=1, keepdims=True), days.inputs[:, :1])
    forecast = forecaster._predict_day(forecaster._fit_model(days[:39]), days[:39], days.inputs[39])
    assert np.abs(forecast - days.price[39]).mean() < 3 * np.abs(days.price[38] - days.price[39]).mean() + 20


def test_an_unknown_view_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match=r"views must be names of plain, .*got \['year'\]"):
        Boosting(views=["year"]).fit_days(DAYS)
    with pytest.raises(DataError, match=r"views must be names of .*got \[\]"):
        Boosting(views=[]).fit_days(DAYS)


def test_without_xgboost_the_error_says_how_to_install_it(monkeypatch):
    really_import = builtins.__import__

    def no_xgboost(name, *arguments, **keywords):
        if name == "xgboost":
            raise ImportError(name)
        return really_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", no_xgboost)
    with pytest.raises(MissingExtraError, match=r"pip install 'gridlab\[trees\]'"):
        XGBoost().fit_days(DAYS)


@pytest.mark.parametrize("forecaster", QUICK)
def test_a_fit_that_is_kept_follows_the_days_that_pass(forecaster):
    model = forecaster._fit_model(DAYS[:45])
    later = forecaster._predict_day(model, DAYS[:55], DAYS.inputs[55])
    dearer = replace(DAYS, price=DAYS.price + np.where(np.arange(60) >= 48, 30.0, 0.0)[:, None])
    assert later.mean() + 10 < forecaster._predict_day(model, dearer[:55], DAYS.inputs[55]).mean()


def test_boosting_beats_the_naive_on_a_real_market(data_dir):
    from gridlab.forecast import MODELS
    from gridlab.sources import read_prices

    prices = read_prices(data_dir / "epf" / "PJM.csv").iloc[: 24 * 420]
    first_day = str(fold(prices).dates[392].date())
    quick = Boosting(views=("week",), n_trees=40, learning_rate=0.2)
    boosting, naive = (
        evaluate.roll(member, prices, first_day=first_day, days=28) for member in (quick, MODELS["naive"]())
    )
    assert evaluate.score(boosting, prices)["mae"].item() < 0.8 * evaluate.score(naive, prices)["mae"].item()
