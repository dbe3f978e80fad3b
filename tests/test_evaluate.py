import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sktime.forecasting.naive import NaiveForecaster

from gridlab import evaluate
from gridlab.errors import DataError
from gridlab.forecast import MODELS
from gridlab.schema import mock_forecast, mock_prices, validate

PRICES = mock_prices(days=40)


def test_roll_gives_a_valid_table_with_a_row_for_each_interval_and_midnight_as_origin():
    forecast = evaluate.roll(MODELS["naive"](), PRICES, first_day="2024-02-01", days=3, quantiles=(0.05, 0.5, 0.95))
    validate(forecast, "forecast")
    assert list(forecast.columns) == ["mean", "q05", "q50", "q95"]
    assert forecast.index.get_level_values("time").equals(PRICES["2024-02-01":"2024-02-03"].index)
    assert (forecast.index.get_level_values("origin") == PRICES["2024-02-01":"2024-02-03"].index.normalize()).all()


@pytest.mark.parametrize("name", ["naive", "wavelet", "arima"])
def test_the_number_of_processes_changes_nothing(name):
    forecaster = MODELS["arima"](window_days=7) if name == "arima" else MODELS[name]()
    one, two = (evaluate.roll(forecaster, PRICES, first_day="2024-01-30", days=8, n_jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_a_forecaster_is_left_as_it_was():
    forecaster = MODELS["naive"]()
    evaluate.roll(forecaster, PRICES, first_day="2024-02-01", days=1)
    assert not forecaster.is_fitted


def test_any_sktime_forecaster_drops_in():
    seasonal = NaiveForecaster(sp=24)
    forecast = evaluate.roll(seasonal, PRICES, first_day="2024-02-01", days=2, quantiles=(0.1, 0.9))
    ours = evaluate.roll(MODELS["naive_day"](), PRICES, first_day="2024-02-01", days=2, quantiles=(0.1, 0.9))
    assert (forecast["mean"] == ours["mean"]).all()
    assert (forecast["q10"] < forecast["mean"]).all()


def test_an_sktime_forecaster_sees_inputs_closed_gaps_and_the_markets_days():
    from sklearn.linear_model import LinearRegression
    from sktime.forecasting.compose import YfromX

    gappy = mock_prices(days=34, start="2024-02-08")
    gappy.iloc[24 * 20 : 24 * 21, 0] = np.nan
    zone = "America/Los_Angeles"
    forecast = evaluate.roll(
        YfromX(LinearRegression()), gappy, first_day="2024-03-09", days=2, quantiles=(), market_tz=zone
    )
    assert forecast.groupby("origin").size().tolist() == [24, 23]
    load = gappy["load_forecast"].reindex(forecast.index.get_level_values("time"))
    assert np.corrcoef(load, forecast["mean"])[0, 1] == pytest.approx(1.0, abs=0.02)


def test_an_sktime_forecaster_without_quantiles_is_refused_with_the_remedy():
    from sktime.forecasting.trend import TrendForecaster

    with pytest.raises(DataError, match="TrendForecaster gives no quantiles: wrap it in sktime's ConformalIntervals"):
        evaluate.roll(TrendForecaster(), PRICES, first_day="2024-02-01", days=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first_day": "2031-01-01"}, r"1 days from 2031-01-01 do not lie in the data \(2024-01-01 to 2024-02-09\)"),
        ({"first_day": "2024-02-09", "days": 2}, "2 days from 2024-02-09 do not lie in the data"),
        ({"days": 0}, "days must be at least 1, got 0"),
        ({"n_jobs": 0}, "n_jobs must be at least 1, got 0"),
        ({"first_day": ""}, "first_day must be a date such as 2024-03-01, got ''"),
        ({"first_day": "2024-02-01T00:00Z"}, "first_day must be a date such as"),
        ({"first_day": "soon"}, "first_day must be a date such as 2024-03-01, got 'soon'"),
        ({"first_day": "2024-01-03"}, "Naive needs 15 whole days of history, got 2 before 2024-01-03"),
        ({"quantiles": (0.5, 0.1)}, r"quantiles must rise, got \[0.5, 0.1\]"),
        ({"quantiles": (0.5, 0.5)}, "quantiles must rise"),
        ({"quantiles": (0.0, 0.5)}, r"quantile must be in \(0, 1\), got 0.0"),
        ({"market_tz": "Europe/Oslo"}, "the forecaster's market_tz is UTC, not Europe/Oslo"),
    ],
)
def test_what_roll_cannot_do_it_refuses_in_a_sentence(change, message):
    with pytest.raises(DataError, match=message):
        evaluate.roll(MODELS["naive"](), PRICES, **{"first_day": "2024-02-01", "days": 1, **change})


def test_days_that_a_gap_touches_are_left_out_and_only_gaps_are_refused():
    gappy = PRICES.copy()
    gappy.iloc[24 * 32 + 5, 0] = np.nan
    forecast = evaluate.roll(MODELS["naive"](), gappy, first_day="2024-02-01", days=3)
    assert [d.day for d in forecast.index.unique("origin")] == [1, 3]
    with pytest.raises(DataError, match="a gap touches each of the 1 days from 2024-02-02"):
        evaluate.roll(MODELS["naive"](), gappy, first_day="2024-02-02", days=1)


def test_the_last_days_leave_out_a_gap_at_the_end_and_keep_the_history_asked_for():
    assert evaluate.last_days(PRICES, 7) == ("2024-02-03", 7)
    gappy = PRICES.copy()
    gappy.iloc[-30:, 0] = np.nan
    assert evaluate.last_days(gappy, 7) == ("2024-02-01", 7)
    assert evaluate.last_days(PRICES, 56, history_days=39) == ("2024-02-09", 1)
    with pytest.raises(DataError, match="the prices have 40 whole days of 40, 41 are needed"):
        evaluate.last_days(PRICES, 1, history_days=40)
    for days in (0, -3):
        with pytest.raises(DataError, match=f"days must be at least 1, got {days}"):
            evaluate.last_days(PRICES, days)
    everyday = PRICES.copy()
    everyday.iloc[12::24, 0] = np.nan
    with pytest.raises(DataError, match="0 whole days of 40, 29 are needed: give a longer file, or fill its gaps"):
        evaluate.last_days(everyday, 7)


@given(seed=st.integers(0, 2**32 - 1))
def test_scores_equal_their_formulas_written_out(seed):
    rng = np.random.default_rng(seed)
    prices = mock_prices(days=12, rng=rng)
    forecast = mock_forecast(days=12, rng=rng).loc["2024-01-09":]
    row = evaluate.score(forecast, prices).loc["all"]
    losses = {"abs": [], "square": [], "naive": [], "smape": [], "pinball": [], "inside": []}
    for (_, time), f in forecast.iterrows():
        p = prices.loc[time, "price"]
        lag = 7 if time.weekday() in (0, 5, 6) else 1
        losses["abs"].append(abs(p - f["mean"]))
        losses["square"].append((p - f["mean"]) ** 2)
        losses["naive"].append(abs(p - prices.loc[time - pd.Timedelta(days=lag), "price"]))
        losses["smape"].append(200 * abs(p - f["mean"]) / (abs(p) + abs(f["mean"])))
        pinballs = [
            q * (p - f[c]) if p > f[c] else (q - 1) * (p - f[c]) for q, c in ((0.1, "q10"), (0.5, "q50"), (0.9, "q90"))
        ]
        losses["pinball"].append(np.mean(pinballs))
        losses["inside"].append(f["q10"] <= p <= f["q90"])
    mean = {name: np.mean(values) for name, values in losses.items()}
    assert row["mae"] == pytest.approx(mean["abs"])
    assert row["rmse"] == pytest.approx(np.sqrt(mean["square"]))
    assert row["rmae"] == pytest.approx(mean["abs"] / mean["naive"])
    assert row["smape"] == pytest.approx(mean["smape"])
    assert row["pinball"] == pytest.approx(mean["pinball"])
    assert row["coverage_80"] == pytest.approx(mean["inside"])
    assert row["n"] == len(forecast)


def test_a_perfect_forecast_scores_zero_even_at_zero_prices():
    prices = mock_prices(days=9)
    prices.iloc[-5:, 0] = 0.0
    forecast = mock_forecast(days=9).loc["2024-01-09":].drop(columns=["q10", "q50", "q90"])
    forecast["mean"] = prices["price"].to_numpy()[-24:]
    row = evaluate.score(forecast, prices).loc["all"]
    assert (row[["mae", "rmse", "rmae", "smape"]] == 0).all()
    assert "pinball" not in row.index


def test_scores_by_model_and_hour_average_to_those_of_the_model():
    both = pd.concat(
        {"a": mock_forecast(days=20), "b": mock_forecast(days=20, rng=np.random.default_rng(9))}, names=["model"]
    )
    both = both[both.index.get_level_values("time") >= "2024-01-09"]
    prices = mock_prices(days=20)
    total = evaluate.score(both, prices)
    hourly = evaluate.score(both, prices, by="hour", market_tz="Asia/Kolkata")
    assert list(total.index) == ["a", "b"]
    assert hourly.index.names == ["model", "hour"]
    assert len(hourly) == 48
    assert hourly["mae"].groupby("model").mean().to_numpy() == pytest.approx(total["mae"].to_numpy())
    assert evaluate.score(both.loc["a"], prices, by="hour").index.name == "hour"


def test_a_forecast_of_another_period_is_refused():
    with pytest.raises(DataError, match="no time in common"):
        evaluate.score(mock_forecast(start="2020-01-01"), mock_prices())


@pytest.mark.parametrize(
    ("market", "naive_mae", "lear", "dnn"),
    [("NP", 3.165, (1.738, 0.549), (1.683, 0.532)), ("PJM", 4.846, (3.013, 0.622), (2.862, 0.591))],
)
def test_the_published_forecasts_score_as_published(data_dir, market, naive_mae, lear, dnn):
    """Lago et al. 2021, doi:10.1016/j.apenergy.2021.116983: two test years, rMAE against the standard naive."""
    from gridlab.sources import read_epf

    prices = read_epf(data_dir / "epf" / f"{market}.csv")
    stored = pd.read_csv(data_dir / "epf" / f"Forecasts_{market}_DNN_LEAR_ensembles.csv", index_col=0, parse_dates=True)
    times = stored.index.tz_localize("UTC").rename("time")
    index = pd.MultiIndex.from_arrays([times.normalize(), times], names=["origin", "time"])
    for column, (mae, rmae) in (("LEAR Ensemble", lear), ("DNN Ensemble", dnn)):
        row = evaluate.score(pd.DataFrame({"mean": stored[column].to_numpy()}, index=index), prices).loc["all"]
        assert row["mae"] == pytest.approx(mae, abs=5e-4)
        assert row["rmae"] == pytest.approx(rmae, abs=1e-3)
    first = str(times[0].date())
    naive = evaluate.roll(MODELS["naive"](), prices, first_day=first, days=728, quantiles=())
    row = evaluate.score(naive, prices).loc["all"]
    assert row["mae"] == pytest.approx(naive_mae, abs=5e-4)
    assert row["rmae"] == 1.0


@pytest.mark.parametrize("market", ["NP", "PJM"])
def test_lear_beats_the_naive_by_a_quarter_in_the_last_autumn_before_the_test_years(data_dir, market):
    from gridlab.sources import read_epf

    prices = read_epf(data_dir / "epf" / f"{market}.csv")
    forecast = evaluate.roll(MODELS["lear"](), prices, first_day="2016-09-01", days=28)
    assert evaluate.score(forecast, prices).loc["all", "rmae"] < 0.75


def test_several_forecasters_are_rolled_as_each_alone_and_none_is_refused():
    both = evaluate.roll_many(
        {"a": MODELS["naive_day"](), "b": MODELS["naive_week"]()}, PRICES, first_day="2024-02-01", days=1
    )
    alone = evaluate.roll(MODELS["naive_week"](), PRICES, first_day="2024-02-01", days=1)
    pd.testing.assert_frame_equal(both.loc["b"], alone)
    with pytest.raises(DataError, match="there is no forecaster to roll"):
        evaluate.roll_many({}, PRICES, first_day="2024-02-01", days=1)


def test_a_day_whose_input_was_not_published_is_left_out_and_the_others_are_forecast():
    holed = PRICES.copy()
    holed.loc["2024-02-05", "load_forecast"] = np.nan
    forecast = evaluate.roll(MODELS["wavelet"](), holed, first_day="2024-02-04", days=4)
    assert [d.day for d in forecast.index.unique("origin")] == [4, 6, 7]
    assert np.isfinite(forecast.to_numpy()).all()


def test_the_relative_error_compares_the_times_that_have_a_naive():
    forecast, prices = mock_forecast(days=7), mock_prices(days=7)
    later = forecast[forecast.index.get_level_values("time") >= "2024-01-02"]
    beside = [t for t in later.index.get_level_values("time") if t.weekday() not in (0, 5, 6)]
    common = later[later.index.get_level_values("time").isin(beside)]
    assert evaluate.score(forecast, prices)["rmae"].item() == pytest.approx(
        evaluate.score(common, prices)["rmae"].item()
    )
