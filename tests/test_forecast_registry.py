import importlib.util
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from gridlab import evaluate
from gridlab.days import fold
from gridlab.errors import DataError, MissingExtraError
from gridlab.forecast import MODELS
from gridlab.forecast.registry import Sktime, sktime_class, sktime_forecaster
from gridlab.schema import mock_prices

PRICES = mock_prices(days=50).assign(price=lambda prices: prices["price"] + 150)  # some forecasters want no less than 0
DAYS = fold(PRICES)
TREND = {"forecaster": "PolynomialTrendForecaster", "parameters": {"degree": 2}, "window_days": 14}


def hourly_series(rows):
    """Prices and inputs of some days of DAYS, in periods."""
    index = pd.period_range(DAYS.dates[rows.start or 0], periods=24 * len(DAYS[rows]), freq="h")
    price = pd.Series(DAYS.price[rows].ravel(), index)
    return price, pd.DataFrame(DAYS.inputs[rows].reshape(-1, 1), index, columns=["load_forecast"])


def said_of(forecaster, n_history, model_of=None):
    model = forecaster.fit_part(DAYS[: model_of or n_history])
    return forecaster.say(model, DAYS[:n_history], DAYS.inputs[n_history]).experts[:, 0]


def reduction():
    from sktime.forecasting.compose import make_reduction

    return make_reduction(LinearRegression(), window_length=26, strategy="recursive")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("NaiveForecaster", {"sp": 24, "strategy": "mean"}),
        ("PolynomialTrendForecaster", {"degree": 2}),
        ("ThetaForecaster", {"sp": 24}),
        ("ExponentialSmoothing", {"seasonal": "add", "sp": 24}),
        ("ARDL", {"lags": [24], "order": 0}),
    ],
)
def test_a_forecaster_by_name_says_what_it_says_when_called_by_hand(name, parameters):
    y, X = hourly_series(slice(26, 40))
    forecaster = sktime_forecaster(name, **parameters)
    uses_inputs = forecaster.get_tag("capability:exogenous")
    X_then, X_next = (X, hourly_series(slice(40, 41))[1]) if uses_inputs else (None, None)
    by_hand = forecaster.fit(y, X=X_then, fh=np.arange(1, 25)).predict(X=X_next)
    said = said_of(Sktime(name, parameters, window_days=14), 40)
    assert said == pytest.approx(by_hand.to_numpy(), rel=1e-9)


def test_a_forecaster_that_is_made_already_is_cloned_and_learns_from_inputs():
    made = reduction()
    said = said_of(Sktime(made, window_days=28), 40)
    y, X = hourly_series(slice(12, 40))
    by_hand = made.clone().fit(y, X=X, fh=np.arange(1, 25)).predict(X=hourly_series(slice(40, 41))[1])
    assert said == pytest.approx(by_hand.to_numpy().ravel())
    assert not made.is_fitted


def test_every_day_has_a_fit_of_its_own_unless_it_is_kept():
    assert said_of(Sktime(**TREND), 45, model_of=40) == pytest.approx(said_of(Sktime(**TREND), 45))


def test_a_kept_fit_is_shown_the_days_since_by_the_forecasters_own_update():
    (y, _), (since, _) = hourly_series(slice(26, 40)), hourly_series(slice(40, 45))
    forecaster = sktime_forecaster("NaiveForecaster", sp=24)
    updated = forecaster.fit(y, fh=np.arange(1, 25)).update(since, update_params=False).predict()
    kept = Sktime("NaiveForecaster", window_days=14, refit_days=7)
    model = kept.fit_part(DAYS[:40])
    for _ in range(2):
        said = kept.say(model, DAYS[:45], DAYS.inputs[45]).experts[:, 0]
        assert said == pytest.approx(updated.to_numpy())
    assert said == pytest.approx(DAYS.price[44])


def test_a_season_that_is_not_given_is_the_slots_of_the_day():
    half_hours = mock_prices(days=40, freq="30min")
    days = fold(half_hours)
    forecaster = Sktime("NaiveForecaster", window_days=14)
    said = forecaster.say(forecaster.fit_part(days[:39]), days[:39], days.inputs[39]).experts[:, 0]
    assert said == pytest.approx(days.price[38])
    assert said_of(Sktime("NaiveForecaster", {"sp": 168}, window_days=14), 40) == pytest.approx(DAYS.price[33])


def test_a_forecaster_without_quantiles_of_its_own_gets_them():
    forecaster = MODELS["sktime"](**TREND)
    assert not sktime_class("TrendForecaster").get_class_tag("capability:pred_int")
    forecast = evaluate.roll(
        MODELS["sktime"](forecaster="TrendForecaster", window_days=14), PRICES, first_day="2024-02-10", days=3
    )
    assert (forecast["q10"] < forecast["q90"]).all()
    assert forecaster.get_tag("capability:pred_int")


def test_a_name_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(DataError, match="sktime has no forecaster 'Profet', did you mean Prophet\\?"):
        sktime_forecaster("Profet")
    with pytest.raises(DataError, match="sktime has no forecaster '!', see sktime"):
        sktime_forecaster("!")
    with pytest.raises(DataError, match="NaiveForecaster has no parameter 'season': it has sp, strategy"):
        sktime_forecaster("NaiveForecaster", season=24)
    with pytest.raises(DataError, match="ForecastKnownValues needs the parameter 'y_known': give it"):
        sktime_forecaster("ForecastKnownValues")
    with pytest.raises(DataError, match="parameters go with the name of a class"):
        Sktime(reduction(), {"window_length": 3}).fit_part(DAYS)


@pytest.mark.skipif(importlib.util.find_spec("prophet") is not None, reason="Prophet is installed")
def test_a_forecaster_whose_package_is_missing_is_refused_with_the_command_before_any_fit():
    message = "sktime's Prophet needs prophet>?=?[0-9.]*: pip install 'prophet"
    with pytest.raises(MissingExtraError, match=message):
        sktime_forecaster("Prophet")
    with pytest.raises(MissingExtraError, match=message):
        evaluate.roll(MODELS["sktime"](forecaster="Prophet"), PRICES, first_day="2024-02-10", days=2)
    y = PRICES["price"].tz_localize(None)
    with pytest.raises(MissingExtraError, match=message):
        Sktime("Prophet").fit(y)


def test_every_forecaster_in_sktimes_registry_is_found_or_refused_for_what_it_lacks():
    from sktime.registry import all_estimators

    found, refused = [], []
    for name, forecaster in all_estimators("forecaster"):
        if not forecaster.__module__.startswith("sktime.forecasting"):
            continue
        try:
            found.append(sktime_class(name))
        except MissingExtraError as error:
            refused.append(str(error))
    assert len(found) > 40
    assert all(
        message.startswith("sktime's ") and ("pip install" in message or "Python" in message) for message in refused
    )


def test_a_forecaster_without_an_update_is_not_kept():
    lacks = next(
        made
        for made in map(sktime_class, ("ARDL", "TrendForecaster", "PolynomialTrendForecaster", "SplineTrendForecaster"))
        if not made.get_class_tag("capability:update")
    ).__name__
    with pytest.raises(DataError, match=f"{lacks} has no update: leave refit_days at 1, got 7"):
        Sktime(lacks, refit_days=7).fit_part(DAYS)


def test_a_member_of_the_registry_pickles():
    forecaster = pickle.loads(pickle.dumps(Sktime(**TREND)))
    model = pickle.loads(pickle.dumps(forecaster.fit_part(DAYS[:40])))
    said = forecaster.say(model, DAYS[:40], DAYS.inputs[40]).experts[:, 0]
    assert said == pytest.approx(said_of(Sktime(**TREND), 40))


def test_sktimes_announcement_is_not_heard_and_what_a_forecaster_says_itself_is():
    from sktime.forecasting.trend import TrendForecaster

    class Talking(TrendForecaster):
        def _fit(self, y, X, fh):
            warnings.warn("the data is thin", UserWarning, stacklevel=2)
            return super()._fit(y, X, fh)

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        talking = Talking()
        heard.clear()
        said_of(Sktime(talking, window_days=14), 40)
    assert {str(one.message) for one in heard} == {"the data is thin"}
